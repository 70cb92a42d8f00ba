"""The command `chat`. In: arguments, what a person types. Out: answers, JSON. Imports: typer, rich, rooms 0-7.

In a loop of questions the context is kept here; a question that brought no answer is not part of it.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from xai_realtime.cli.screen import Screen
from xai_realtime.cli.text import clean, plain
from xai_realtime.defaults import BASE_URL
from xai_realtime.errors import ApiError, ConfigurationError, ProtocolError, ServiceError, TransportError

if TYPE_CHECKING:
    from xai_realtime.chat.conversation import ChatConversation
    from xai_realtime.models import ModelRef
    from xai_realtime.protocol.chat_reply import ChatReply
    from xai_realtime.sync_client import Client

__all__ = ["chat"]

FAILED: Final = 1
STOPPED: Final = 130
"""What a shell gives a program that Ctrl-C ended."""
STANDARD: Final = "-"
MODEL: Final = "grok-latest"
PROMPT: Final = "> "
FAILURES: Final = (ApiError, ProtocolError, ServiceError, TransportError)


@dataclass(frozen=True, slots=True)
class Task:
    """How questions are asked and answers are shown."""

    screen: Screen
    client: Client
    model: ModelRef
    settings: dict[str, Any]
    streams: bool
    tells_usage: bool


def chat(
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The question; - reads standard input. Without it you can talk in a loop."),
    ] = None,
    model: Annotated[str, typer.Option(help="A model's id.")] = MODEL,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The instruction that goes before all.")] = None,
    effort: Annotated[
        str | None, typer.Option(help="How long the model thinks: low, medium, high, ..., where it takes that.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", help="The longest answer, thought included.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 is sober, 2 is wild.")] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Wait for the whole answer.")] = False,
    usage: Annotated[bool, typer.Option("--usage", help="Tell on standard error what it used and cost.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    base_url: Annotated[
        str, typer.Option(metavar="URL", help="Another address than the service's: an emulator's, http://HOST:PORT/v1.")
    ] = BASE_URL,
) -> None:
    """Ask Grok; the answer is printed while it is written. Takes its key from XAI_API_KEY.

    Without TEXT, on a terminal, questions are answered in turn: Ctrl-C stops an answer, Ctrl-D ends the talk. Exit
    status 1 when the service or the line fails, or the answer is not whole; 130 when Ctrl-C stopped it.
    """
    from xai_realtime.cli.app import _mistakes
    from xai_realtime.models import ModelRef
    from xai_realtime.sync_client import Client

    screen = Screen()
    with _mistakes(screen):
        ref = ModelRef.read(model)
        if ref.problem is not None:
            raise ConfigurationError(ref.problem)
        if ref.retired is not None:
            screen.complain(ref.retired.advice)
        question = sys.stdin.read().rstrip() if text == STANDARD else text
        given = {"system": system, "reasoning_effort": effort, "max_tokens": max_tokens, "temperature": temperature}
        settings = {name: value for name, value in given.items() if value is not None}
        if question is None and (as_json or not (screen.is_terminal and sys.stdin.isatty())):
            raise ConfigurationError("TEXT is missing: without it questions are asked on a terminal, and not as JSON")
        if question is not None and not question.strip():
            raise ConfigurationError("TEXT is empty: a question is allowed, or - for standard input")
        with Client(base_url=base_url) as client:
            task = Task(screen, client, ref, settings, not no_stream, usage)
            if question is None:
                _talk(task)
            else:
                _answer_once(task, question, as_json=as_json)


def _answer_once(task: Task, question: str, *, as_json: bool) -> None:
    from xai_realtime.chat.conversation import ChatConversation

    try:
        reply = _asked(task, ChatConversation([("user", question)]), is_shown=not as_json)
    except FAILURES as error:
        task.screen.complain(str(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None
    if as_json:
        task.screen.json(_figures(reply))
    outcome = reply.outcome
    if outcome is not None and outcome.status == "cancelled":
        raise typer.Exit(STOPPED)
    if outcome is not None and not outcome.is_complete:
        raise typer.Exit(FAILED)


def _talk(task: Task) -> None:
    """Questions and answers until Ctrl-D."""
    from xai_realtime.chat.conversation import ChatConversation

    with suppress(ImportError):
        import readline  # noqa: F401 - gives the line that is typed its keys
    task.client.chat.stream(task.model, "?", **task.settings)  # so that a mistake is known before the first question
    task.screen.complain("Ctrl-C stops an answer, Ctrl-D ends the talk.")
    conversation = ChatConversation()
    while True:
        try:
            question = input(PROMPT)
        except EOFError:
            task.screen.say()
            return
        except KeyboardInterrupt:
            task.screen.say()
            continue
        if not question.strip():
            continue
        try:
            reply = _asked(task, conversation.with_overrides(("user", question)), is_shown=True)
        except FAILURES as error:
            task.screen.complain(str(error))
        except KeyboardInterrupt:
            task.screen.say()
        else:
            if reply.text:
                conversation.add_user(question).add_assistant(reply.text)


def _asked(task: Task, conversation: ChatConversation, *, is_shown: bool) -> ChatReply:
    """The answer, shown while it comes; one that Ctrl-C stopped is what came of it."""
    chat, shown = task.client.chat, "\n"
    try:
        with _waiting() as stop_waiting:
            if not task.streams:
                reply = chat.create(task.model, conversation, **task.settings)
                stop_waiting()
                if is_shown and reply.text:
                    shown = reply.text
                    _show(shown)
            else:
                with chat.stream(task.model, conversation, **task.settings) as stream:
                    try:
                        for piece in stream.text():
                            stop_waiting()
                            if is_shown:
                                shown = piece
                                _show(shown)
                    except KeyboardInterrupt:
                        stream.cancel()
                    reply = stream.finish()
    finally:
        if not shown.endswith("\n"):
            _show("\n")
    _remark(task, reply)
    return reply


def _remark(task: Task, reply: ChatReply) -> None:
    """What there is to say beside the answer, on standard error."""
    outcome = reply.outcome
    if outcome is not None and outcome.status not in ("complete", "cancelled"):
        why = f" ({reply.refusal or outcome.reason})" if reply.refusal or outcome.reason else ""
        task.screen.complain(f"the answer is not whole: {outcome.status}{why}")
    if task.tells_usage:
        task.screen.complain(_usage_words(reply))


def _usage_words(reply: ChatReply) -> str:
    used = reply.usage
    if not used.is_known:
        return "usage: not stated"
    tokens = {"tokens in": used.prompt_tokens, "cached": used.cached_tokens or None, "out": used.output_tokens}
    told = [", ".join(f"{count} {what}" for what, count in tokens.items() if count is not None)]
    if used.cost_usd is not None:
        told.append(f"${used.cost_usd.normalize():f}")
    told += [reply.model or "model not stated", *(() if used.is_complete else ("not all was stated",))]
    return f"usage: {' · '.join(filter(None, told))}"


def _figures(reply: ChatReply) -> dict[str, Any]:
    outcome = reply.outcome
    assert outcome is not None
    return {
        "text": reply.text,
        "status": outcome.status,
        "reason": outcome.reason,
        "refusal": reply.refusal,
        "reasoning": reply.reasoning,
        "model": reply.model,
        "id": reply.id,
        "citations": list(reply.citations),
        "first_token_ms": outcome.first_token_ms,
        "total_ms": outcome.total_ms,
        "usage": reply.usage.to_json(),
    }


def _show(text: str) -> None:
    """The very text into a pipe; on a terminal nothing of it can steer."""
    if sys.stdout.isatty():
        text = harmless(text)
    sys.stdout.write(plain(text, sys.stdout.encoding or "utf-8"))
    sys.stdout.flush()


def harmless(text: str) -> str:
    """The text without what could steer a terminal; lines, tabs and blanks stay."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) == "Zs" else clean(letter) for letter in text
    )


@contextmanager
def _waiting() -> Iterator[Callable[[], None]]:
    """A sign of life on standard error until the first word comes, where a person watches; gives what ends it."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console

    with Console(stderr=True).status("Thinking ...") as status:
        yield status.stop
