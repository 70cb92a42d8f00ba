"""The two speech sockets, told on a timeline. In: their events. Out: lines of a talk. Imports: rooms 0-6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from xai_realtime.cassette.services import bytes_per_s
from xai_realtime.cli._talk import Talk
from xai_realtime.cli.text import seconds
from xai_realtime.cli.wording import counted
from xai_realtime.errors import AudioDecodeError
from xai_realtime.events import stt, tts

__all__ = ["RECEIVED", "SENT", "audio_formats", "pronounce"]


def audio_formats(service: str | None, url: str | None) -> dict[str, Any]:
    """What a realtime session would say of the audio of a speech socket; empty for any other.

    Raw audio of any kind is told as the PCM that takes as many bytes.
    """
    if service not in ("stt", "tts"):
        return {}
    sizes = {"input": bytes_per_s(service, url, "out"), "output": bytes_per_s(service, url, "in")}
    return {
        "audio": {
            side: {"format": {"type": "audio/pcm", "rate": size // 2} if size else {"type": "audio/other"}}
            for side, size in sizes.items()
        }
    }


def pronounce(talk: Talk, at_ms: float, phrases: Mapping[str, Any]) -> None:
    """Phrases are to be spoken in another way."""
    talk.line(at_ms, "session", "session", f"pronunciation of {counted(len(phrases), 'phrase')}")


def _created(talk: Talk, at_ms: float, event: stt.TranscriptCreated) -> None:
    talk.line(at_ms, "session", "session", "ready to listen")


def _partial(talk: Talk, at_ms: float, event: stt.TranscriptPartial) -> None:
    """Only what stands is told: the rest comes again."""
    if event.is_final and event.speech_final and event.text.strip():
        talk.line(at_ms, "You", "said", event.text, *_channel(event.channel_index))


def _transcript_done(talk: Talk, at_ms: float, event: stt.TranscriptDone) -> None:
    if event.text and event.text.strip():
        talk.line(at_ms, "You", "said", event.text, *_channel(event.channel_index))
    length = "" if event.duration is None else f", {seconds(event.duration * 1000)} of audio"
    talk.line(at_ms, "session", "session", f"all is written down{length}", *_channel(event.channel_index))


def _channel(index: int | None) -> list[str]:
    return [] if index is None else [f"channel {index}"]


def _audio_delta(talk: Talk, at_ms: float, event: tts.AudioDelta) -> None:
    try:
        audio = event.audio
    except AudioDecodeError as error:
        talk.line(at_ms, "session", "error", f"unreadable audio: {error}")
        return
    if audio:
        line = talk.speaking or talk.speech(at_ms, f"utterance {len(talk.said)}", None)
        line.text = "(speaks)"
        line.audio_bytes += len(audio)


def _audio_done(talk: Talk, at_ms: float, event: tts.AudioDone) -> None:
    talk.speaking = None


def _audio_cleared(talk: Talk, at_ms: float, event: tts.AudioCleared) -> None:
    if talk.speaking is not None:
        talk.speaking.notes.append("interrupted")
        talk.speaking = None


def _error(talk: Talk, at_ms: float, event: stt.Error | tts.Error) -> None:
    inner = event.error.get("message") if isinstance(event.error, dict) else event.error
    text = event.message or inner
    talk.line(at_ms, "session", "error", f"error: {text}" if text else "error")


def _finalize(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.line(at_ms, "You", "aside", "(end the utterance)")


def _no_more_audio(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.line(at_ms, "You", "aside", "(have no more audio)")


def _text_delta(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    """All text of an utterance is one line."""
    if talk.asked is None:
        talk.asked = talk.line(at_ms, "You", "said", "", "to be spoken")
        talk.ask(at_ms)
    text = value.get("delta")
    talk.asked.text += text if isinstance(text, str) else ""


def _text_done(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.asked = None


def _text_clear(talk: Talk, at_ms: float, value: Mapping[str, Any]) -> None:
    talk.asked = None
    talk.line(at_ms, "You", "aside", "(stop Grok)")


RECEIVED: Final[Mapping[type, Callable[[Talk, float, Any], None]]] = {
    stt.TranscriptCreated: _created,
    stt.TranscriptPartial: _partial,
    stt.TranscriptDone: _transcript_done,
    stt.Error: _error,
    tts.AudioDelta: _audio_delta,
    tts.AudioDone: _audio_done,
    tts.AudioCleared: _audio_cleared,
    tts.Error: _error,
}
SENT: Final[Mapping[str, Callable[[Talk, float, Mapping[str, Any]], None]]] = {
    "finalize": _finalize,
    "audio.done": _no_more_audio,
    "text.delta": _text_delta,
    "text.done": _text_done,
    "text.clear": _text_clear,
}
