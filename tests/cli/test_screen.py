"""What reaches the terminal or the pipe: colour, width, encoding, secrets."""

from __future__ import annotations

import io
import json

import pytest

from xai_realtime.cli.screen import Screen
from xai_realtime.cli.timeline import Row

ROWS = [
    Row(10.0, "session", "session", "connected to grok-voice-latest"),
    Row(61_234.5, "You", "said", "What [bold]is[/bold] the weather :smile: like, in all of the towns along the coast?"),
    Row(62_000.0, "Grok", "said", "It rains.", "1.20 s of speech"),
    Row(62_500.0, "tool", "error", "日本語 → café"),
]
SECRET = "canary-3f9c2b7e51d84a6c"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def shown(stream: io.StringIO) -> str:
    screen = Screen(stream, stream)
    screen.say("Hello.", "bold")
    screen.timeline(ROWS)
    screen.facts([("digest", "d" * 64)])
    screen.table(("line", "type"), [("1", "ping")], numbers={"line"})
    return stream.getvalue()


@pytest.mark.behaviour("cli-plain-pipe")
def test_pipe_gets_no_escape_codes_and_no_blanks_at_the_ends_of_lines() -> None:
    text = shown(io.StringIO())
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


@pytest.mark.behaviour("cli-plain-pipe")
def test_pipe_gets_no_escape_codes_even_when_colour_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in shown(io.StringIO())


@pytest.mark.behaviour("cli-no-color")
def test_terminal_gets_colour_unless_no_color_is_set_or_it_is_dumb(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = shown(Terminal())
    assert "\x1b[" in coloured
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert shown(Terminal()) == coloured


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.behaviour("cli-width")
def test_timeline_fits_the_width_and_loses_no_word(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    Screen(stream, stream).timeline(ROWS)
    text = stream.getvalue()
    assert max(len(line) for line in text.splitlines()) <= columns
    words = " ".join(text.split())
    assert "What [bold]is[/bold] the weather :smile: like, in all of the towns along the coast?" in words
    assert "[1.20 s of speech]" in text
    assert "61.234 " in text or "61.235 " in text


@pytest.mark.behaviour("cli-unicode-safe")
def test_stream_without_unicode_gets_ascii_instead_of_an_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    screen = Screen(stream, stream)
    screen.timeline(ROWS)
    screen.complain("über → drüber")
    screen.json({"text": "日本"})
    stream.flush()
    text = raw.getvalue().decode("ascii")
    assert "??? -> caf?" in text
    assert "?ber -> dr?ber" in text
    assert json.loads(text.splitlines()[-1]) == {"text": "日本"}


@pytest.mark.behaviour("cli-no-secrets")
def test_screen_shows_no_configured_key_and_nothing_that_looks_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", SECRET)
    looks_like_one = "xai-" + "Ab3" * 12
    stream = io.StringIO()
    screen = Screen(stream, stream)
    for text in (SECRET, looks_like_one):
        screen.say(text)
        screen.timeline([Row(0, "You", "said", text, text)])
        screen.facts([(text, text)])
        screen.table((text,), [(text,)])
        screen.json({"text": text, "deep": [{"text": text}]})
        screen.complain(f"first\n  at {text}")
    assert SECRET not in stream.getvalue()
    assert looks_like_one not in stream.getvalue()
    assert "[redacted]" in stream.getvalue()


def test_complaint_keeps_its_lines_and_steers_no_terminal() -> None:
    stream = io.StringIO()
    Screen(stream, stream).complain("a.jsonl:3: differs\n    expected \x1b[2Jx\nactual y")
    assert stream.getvalue() == "a.jsonl:3: differs\n  expected \N{REPLACEMENT CHARACTER}[2Jx\nactual y\n"


def test_unwrapped_sentence_stays_on_one_line() -> None:
    stream = io.StringIO()
    Screen(stream, stream).say("word " * 40, wrap=False)
    assert stream.getvalue() == ("word " * 40).rstrip() + "\n"
