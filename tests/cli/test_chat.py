"""The command `chat` against an emulator over a real socket: what it prints, keeps, and exits with."""

from __future__ import annotations

import builtins
import io
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner, Result

from xai_realtime.cli import chatting
from xai_realtime.cli.app import app
from xai_realtime.cli.app import run as run_here
from xai_realtime.cli.screen import Screen
from xai_realtime.emulator import ChatQuirks, Emulator, Prompt, Refuse, Turn

pytest.importorskip("uvicorn", reason="the emulator is an extra")

KEY = "xai-emulator"
PATIENCE_S = 30


def scenario(prompt: Prompt) -> Turn | str:
    """Answers that tell what was asked, and how much was said before."""
    if "half" in prompt.heard:
        return Turn(say="A long answer of many words.", incomplete=True)
    if "fail" in prompt.heard:
        return Turn(fail=True)
    if "long" in prompt.heard:
        return "word " * 2_000
    if "steer" in prompt.heard:
        return "red \x1b[31m and\r ideographic\u3000blank\nline"
    said = " | ".join(f"{role}: {text}" for role, text in prompt.history if role != "system")
    return f"You said: {prompt.heard}" + (f" after {said}" if said else "")


@contextmanager
def serving(pace: str = "instant", **options: Any) -> Iterator[str]:
    with start_blocking_portal() as portal:
        emulator = Emulator(scenario, seed=1, pace=pace, **options)  # type: ignore[arg-type]
        with portal.wrap_async_context_manager(emulator) as served:
            yield served.url


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """An emulator for all tests that do not change it."""
    with serving() as url:
        yield url


def run(*arguments: object, text: str | None = None, key: str | None = KEY) -> Result:
    environment = {"COLUMNS": "100", "XAI_API_KEY": key}
    return CliRunner().invoke(app, ["chat", *(str(argument) for argument in arguments)], input=text, env=environment)


@pytest.mark.parametrize("how", [(), ("--no-stream",)])
@pytest.mark.behaviour("cli-chat")
def test_chat_prints_the_answer_and_nothing_else(base_url: str, how: tuple[str, ...]) -> None:
    result = run("Hello there", *how, "--base-url", base_url)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "You said: Hello there\n", "")


@pytest.mark.behaviour("cli-chat")
def test_chat_reads_the_question_from_standard_input(base_url: str) -> None:
    result = run("-", "--base-url", base_url, text="Hello\nthere\n")
    assert (result.exit_code, result.stdout) == (0, "You said: Hello\nthere\n")


@pytest.mark.behaviour("cli-chat")
def test_chat_sends_what_it_is_told(base_url: str) -> None:
    result = run(
        "Hello", "--model", "grok-4.3", "--system", "Be brief.", "--effort", "low", "--temperature", 0.5,
        "--base-url", base_url, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert told.keys() == {
        "text", "status", "reason", "refusal", "reasoning", "model", "id", "citations", "first_token_ms", "total_ms",
        "usage",
    }  # fmt: skip
    assert (told["text"], told["status"], told["model"]) == ("You said: Hello", "complete", "grok-4.3")
    assert told["usage"]["prompt_tokens"] == 9


@pytest.mark.behaviour("cli-chat")
def test_chat_tells_usage_and_cost_on_standard_error(base_url: str) -> None:
    result = run("Hello there", "--usage", "--base-url", base_url)
    assert result.stdout == "You said: Hello there\n"
    assert result.stderr == "usage: 5 tokens in, 36 out · $0.000226 · grok-4.7\n"


@pytest.mark.behaviour("cli-chat")
def test_chat_says_that_usage_was_not_stated() -> None:
    with serving(chat=ChatQuirks(usage_style="none")) as url:
        result = run("Hello there", "--usage", "--base-url", url)
    assert (result.exit_code, result.stderr) == (0, "usage: not stated\n")


@pytest.mark.behaviour("cli-chat")
def test_chat_warns_of_a_retired_model_in_a_sentence(base_url: str) -> None:
    result = run("Hello", "--model", "grok.grok-3", "--base-url", base_url)
    assert (result.exit_code, result.stdout) == (0, "You said: Hello\n")
    assert result.stderr == "model grok-3 was retired on 2026-05-15: use grok-4.3\n"


@pytest.mark.parametrize("how", [(), ("--no-stream",), ("--json",)])
@pytest.mark.behaviour("cli-chat")
def test_chat_exits_with_1_when_the_answer_is_not_whole(base_url: str, how: tuple[str, ...]) -> None:
    result = run("half of it", *how, "--base-url", base_url)
    assert result.exit_code == 1
    text = json.loads(result.stdout)["text"] if how == ("--json",) else result.stdout
    assert text.startswith("A long") and "words" not in text
    assert result.stderr == "the answer is not whole: truncated (length)\n"


@pytest.mark.behaviour("cli-chat")
def test_chat_exits_with_1_and_a_sentence_when_the_service_refuses() -> None:
    refusal = Refuse(status=403, body='{"code": "no", "error": "the team has no credits"}', path="/chat", times=9)
    with serving(chat=ChatQuirks(refuse=(refusal,))) as url:
        result = run("Hello", "--base-url", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the team has no credits" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.behaviour("cli-chat")
def test_chat_keeps_what_came_when_the_line_breaks() -> None:
    with serving(chat=ChatQuirks(fails_after=3, failure="cut")) as url:
        result = run("Hello there", "--base-url", url)
    assert result.exit_code == 1
    assert result.stdout.startswith("You ")
    assert result.stdout.endswith("\n")
    assert result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["Hello", "--temperature", "3"], "numbers from 0 to 2"),
        (["Hello", "--max-tokens", "0"], "whole numbers from 1"),
        (["Hello", "--model", "openai.gpt-4o"], "provider 'openai' is not known"),
        (["  "], "TEXT is empty"),
        ([], "TEXT is missing"),
        (["--json"], "TEXT is missing"),
    ],
)
@pytest.mark.behaviour("cli-chat")
def test_chat_refuses_what_cannot_be_asked_with_status_two(base_url: str, arguments: list[str], reason: str) -> None:
    result = run(*arguments, "--base-url", base_url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr


@pytest.mark.behaviour("cli-chat")
def test_chat_without_a_key_says_where_to_put_one(base_url: str) -> None:
    result = run("Hello", "--base-url", base_url, key=None)
    assert result.exit_code == 2
    assert "XAI_API_KEY" in result.stderr


# The loop


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Person:
    """Types lines; KeyboardInterrupt among them stands for Ctrl-C at the prompt."""

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self.left = [*lines, EOFError]

    def __call__(self, prompt: str = "") -> str:
        line = self.left.pop(0)
        if isinstance(line, str):
            return line
        raise line


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the loop as on a terminal: status, what was printed, what was complained of."""
    monkeypatch.setenv("XAI_API_KEY", KEY)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(Screen, "is_terminal", True)

    def hold(url: str, *lines: str | type[BaseException], options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        person = Person(*lines)
        monkeypatch.setattr(builtins, "input", person)
        status = run_here(["chat", "--base-url", url, *options])
        assert status == 2 or person.left == []
        return (status, *capsys.readouterr())

    return hold


@pytest.mark.behaviour("cli-chat-loop")
def test_chat_loop_keeps_the_conversation(base_url: str, talk: Any) -> None:
    status, printed, complained = talk(base_url, "One", "  ", KeyboardInterrupt, "Two", options=("--system", "Hm."))
    assert status == 0
    assert printed == "You said: One\n\nYou said: Two after user: One | assistant: You said: One\n\n"
    assert complained == "Ctrl-C stops an answer, Ctrl-D ends the talk.\n"


@pytest.mark.behaviour("cli-chat-loop")
def test_chat_loop_goes_on_without_the_question_that_failed(base_url: str, talk: Any) -> None:
    status, printed, complained = talk(base_url, "Will it fail?", "Two")
    assert status == 0
    assert printed == "You said: Two\n\n"
    assert "503" in complained


@pytest.mark.behaviour("cli-chat-loop")
def test_chat_loop_tells_a_mistake_before_the_first_question(base_url: str, talk: Any) -> None:
    status, printed, complained = talk(base_url, "One", options=("--temperature", "3"))
    assert (status, printed) == (2, "")
    assert "numbers from 0 to 2" in complained


def stopping_at(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as soon as so much was shown."""
    show, shown = chatting._show, io.StringIO()

    def watched(text: str) -> None:
        show(text)
        shown.write(text)
        if shown.getvalue() == piece:
            raise KeyboardInterrupt

    monkeypatch.setattr(chatting, "_show", watched)


@pytest.mark.behaviour("cli-chat-loop")
def test_chat_loop_keeps_what_was_said_when_ctrl_c_stops_an_answer(talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stopping_at("word ", monkeypatch)
    with serving(pace="real") as url:
        status, printed, _ = talk(url, "A long answer", "Two")
    assert status == 0
    stopped, answered, _ = printed.split("\n", 2)
    assert stopped == "word "
    assert answered.startswith("You said: Two after user: A long answer | assistant: word ")
    assert answered.count("word") < 20


@pytest.mark.behaviour("cli-chat")
def test_chat_stopped_by_ctrl_c_prints_what_came_and_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping_at("word ", monkeypatch)
    with serving(pace="real") as url:
        result = run("A long answer", "--base-url", url)
    assert (result.exit_code, result.stdout) == (130, "word \n")


@pytest.mark.parametrize("how", [(), ("--no-stream",)])
@pytest.mark.behaviour("cli-chat")
def test_chat_stopped_before_the_first_word_exits_with_130(
    base_url: str, how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(chatting, "_asked", interrupted)
    result = run("Hello", *how, "--base-url", base_url)
    assert (result.exit_code, result.stdout) == (130, "")


@pytest.mark.behaviour("cli-chat-loop")
def test_chat_loop_goes_on_when_ctrl_c_comes_before_the_first_word(
    base_url: str, talk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, calls = chatting._asked, []

    def watched(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return asked(*arguments, **options)

    monkeypatch.setattr(chatting, "_asked", watched)
    assert talk(base_url, "One", "Two")[:2] == (0, "\nYou said: Two\n\n")


def test_answer_cannot_steer_a_terminal_and_keeps_lines_and_blanks() -> None:
    assert chatting.harmless("plain\ntext") == "plain\ntext"
    assert chatting.harmless("a\u3000b\u00a0c\td\ne") == "a\u3000b\u00a0c\td\ne"
    shown = chatting.harmless("\x1b[31mred\r\x07\u202e")
    assert shown.replace("\N{REPLACEMENT CHARACTER}", "") == "[31mred"


def test_answer_goes_into_a_pipe_as_it_is(base_url: str) -> None:
    result = run("steer", "--base-url", base_url)
    assert result.stdout == "red \x1b[31m and\r ideographic\u3000blank\nline\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.behaviour("cli-chat-loop")
def test_chat_on_a_terminal_stops_at_ctrl_c_goes_on_and_ends_at_ctrl_d() -> None:
    import pty

    command = [sys.executable, "-m", "xai_realtime", "chat"]
    environment = {**os.environ, "XAI_API_KEY": KEY, "TERM": "xterm", "PYTHONWARNINGS": "error"}
    terminal, other_side = pty.openpty()
    with serving(pace="real") as url:
        with subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL, *command, "--base-url", url],
            stdin=other_side,
            stdout=other_side,
            stderr=other_side,
            env=environment,
            start_new_session=True,
        ) as process:
            os.close(other_side)
            try:
                screen = Watched(terminal)
                screen.until("> ")
                screen.type("A long answer\n")
                screen.until("word word word word")
                screen.type("\x03")
                screen.until("> ")
                screen.type("steer\n")
                screen.until("line")
                assert "red \N{REPLACEMENT CHARACTER}[31m and ideographic" in screen.seen
                screen.until("> ")
                screen.type("\x04")
                screen.until_closed()
                assert "Traceback" not in screen.all_seen
                assert process.wait(PATIENCE_S) == 0
            finally:
                process.kill()
                os.close(terminal)


ON_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes what stands on standard input the terminal whose Ctrl-C is a signal, and goes on as another program."""


class Watched:
    """The other side of a pseudo-terminal. `seen` is what came since something was typed."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._seen = b""
        self._before = b""

    @property
    def seen(self) -> str:
        return self._seen.decode("utf-8", "replace")

    @property
    def all_seen(self) -> str:
        return (self._before + self._seen).decode("utf-8", "replace")

    def type(self, text: str) -> None:
        self._before, self._seen = self._before + self._seen, b""
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < deadline_s, self.all_seen
            assert self._read(), self.all_seen

    def until_closed(self) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < deadline_s, self.all_seen

    def _read(self) -> bool:
        """Take in what comes within a moment; False at the end."""
        if not select.select([self._terminal], [], [], 0.2)[0]:
            return True
        try:
            piece = os.read(self._terminal, 4096)
        except OSError:  # the other side has closed it
            return False
        self._seen += piece
        return bool(piece)
