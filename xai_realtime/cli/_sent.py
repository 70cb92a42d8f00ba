"""What a client says, told on a timeline. In: outgoing moments. Out: lines of a talk. Imports: rooms 0-6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from xai_realtime.cassette._steps import append_audio
from xai_realtime.cli._speech import SENT, pronounce
from xai_realtime.cli._talk import Talk
from xai_realtime.cli.text import clean, seconds, shortened
from xai_realtime.cli.wording import call_words, configured_words
from xai_realtime.player import Moment

__all__ = ["content_text", "send"]

MAX_INSTRUCTION_CHARACTERS: Final = 160
MAX_NAME_CHARACTERS: Final = 60


def send(talk: Talk, moment: Moment) -> None:
    """Tell one outgoing moment."""
    talk.last_ms = moment.at_ms
    value = moment.event if isinstance(moment.event, dict) else {}
    name = value.get("type")
    audio = append_audio(value) if moment.frame.is_text else moment.frame.data
    handler = _HANDLERS.get(name) if isinstance(name, str) else None
    if audio is not None:
        talk.microphone(moment.at_ms, len(audio))
    elif handler is not None:
        handler(talk, moment.at_ms, value)
    elif name not in _QUIET:
        what = f"an unknown event, {shortened(name, MAX_NAME_CHARACTERS)}" if isinstance(name, str) else "no event"
        talk.line(moment.at_ms, "You", "error", f"(send {what})")


def content_text(item: Mapping[str, Any]) -> str:
    """The words of an item's content."""
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") or part.get("transcript") for part in parts if isinstance(part, dict)]
    return clean(" ".join(text for text in texts if isinstance(text, str)))


def _session_update(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    session, phrases = value.get("session"), value.get("replace")
    if session is None and isinstance(phrases, dict):
        pronounce(talk, at_ms, phrases)
        return
    given: dict[str, Any] = session if isinstance(session, dict) else {}
    talk.session = {**talk.session, **given}
    talk.configuring = talk.line(at_ms, "session", "session", configured_words(talk.session))
    instructions = given.get("instructions")
    if isinstance(instructions, str) and instructions.strip():
        talk.line(at_ms, "session", "aside", f"instructions: {shortened(instructions, MAX_INSTRUCTION_CHARACTERS)}")


def _item_create(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    given = value.get("item")
    item: dict[str, Any] = given if isinstance(given, dict) else {}
    kind, role, text = item.get("type"), item.get("role"), content_text(item)
    call_id = item.get("call_id")
    if kind == "function_call_output":
        talk.output(at_ms, str(call_id), item.get("output"))
    elif kind == "function_call":
        name, arguments = item.get("name"), item.get("arguments")
        words = call_words(name if isinstance(name, str) else None, arguments if isinstance(arguments, str) else "")
        talk.calls[str(call_id)] = talk.line(at_ms, "Grok", "call", f"calls {words}", "history")
    elif kind == "force_message":
        talk.line(at_ms, "You", "aside", f"(have Grok say: {text})")
        talk.ask(at_ms)
    elif role == "assistant":
        talk.echoes["assistant", text] += 1
        talk.line(at_ms, "Grok", "said", text, "history")
    elif role == "system":
        talk.echoes["system", text] += 1
        talk.line(at_ms, "session", "aside", f"system message: {text}")
    else:
        talk.echoes["user", text] += 1
        talk.line(at_ms, "You", "said", text or "(speak, in one recording)")


def _response_create(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.ask(at_ms)


def _response_cancel(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.line(at_ms, "You", "aside", "(stop Grok)")


def _truncate(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    end_ms = value.get("audio_end_ms")
    heard = f" after {seconds(end_ms)}" if isinstance(end_ms, int | float) else ""
    talk.line(at_ms, "You", "aside", f"(cut what Grok said{heard})")


def _delete(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.line(at_ms, "You", "aside", "(take an item out of the conversation)")


def _clear(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.line(at_ms, "You", "aside", "(take back the audio sent since the last turn)")


_QUIET: Final = frozenset({"input_audio_buffer.append", "input_audio_buffer.commit", "pong"})
_HANDLERS: Final[Mapping[str, Callable[[Talk, float, Mapping[str, Any]], None]]] = {
    "session.update": _session_update,
    "conversation.item.create": _item_create,
    "conversation.item.delete": _delete,
    "conversation.item.truncate": _truncate,
    "input_audio_buffer.clear": _clear,
    "response.create": _response_create,
    "response.cancel": _response_cancel,
    **SENT,
}
