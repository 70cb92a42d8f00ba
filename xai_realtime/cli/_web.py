"""HTTP exchanges, told on a timeline. In: an exchange of a tape. Out: lines. Imports: rooms 0-6."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from xai_realtime.cassette._json import parse_json
from xai_realtime.cassette.tape import TapedExchange
from xai_realtime.chat.taped import TapedChat, path_of
from xai_realtime.cli._chat import answered, asked, asked_for
from xai_realtime.cli._talk import Line
from xai_realtime.cli.text import seconds
from xai_realtime.cli.wording import counted

__all__ = ["exchanged"]

SAMPLE_BYTES: Final[Mapping[str, int]] = {"pcm": 2, "mulaw": 1, "ulaw": 1, "alaw": 1}
SPOKEN_HZ: Final = 24_000
PENDING: Final = 202
FAILED: Final = 400
LISTS: Final[Mapping[str, str]] = {"models": "data", "language-models": "models"}


def exchanged(exchange: TapedExchange, chat: TapedChat | None = None) -> list[Line]:
    """What was asked for, what came back, and how it ended; `chat` is what it is where it is one."""
    request, response, done = exchange.request, exchange.response, exchange.done
    service = path_of(request.url).rstrip("/").rpartition("/")[2]
    given = request.body if isinstance(request.body, dict) else {}
    notes = _size_of(given) if chat is None else asked_for(chat)
    lines = [Line(request.at_ms, "You", "aside", f"({request.method} {path_of(request.url)})", notes)]
    lines += asked(chat) if chat is not None else ()
    if chat is not None and chat.reply is not None:
        return [*lines, *answered(chat, chat.reply)]
    if service == "tts" and isinstance(given.get("text"), str):
        lines.append(Line(request.at_ms, "You", "said", str(given["text"]), ["to be spoken"]))
    if response is not None:
        told = _answer(service, given, response.status, _body(exchange), sum(map(_bytes, exchange.chunks)))
        for line in told:
            line.at_ms = response.at_ms
        lines += told
    if done is not None and done.error is not None:
        reason = f" ({done.reason})" if done.reason else ""
        what = "there is no answer" if response is None else "the answer breaks off"
        lines.append(Line(done.at_ms, "session", "error", f"{what}: {done.error}{reason}"))
    return lines


def _answer(service: str, given: Mapping[str, Any], status: int, body: Any, size: int) -> list[Line]:
    """What an answer says; its time is not set."""
    told: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if status >= FAILED or (isinstance(told.get("error"), str | dict) and "choices" not in told):
        inner = told.get("error")
        said = inner.get("message") if isinstance(inner, dict) else inner
        return [_line("error", f"HTTP {status}" + (f": {said}" if isinstance(said, str) else ""))]
    if service == "stt" and isinstance(told.get("text"), str):
        length = told.get("duration")
        notes = [f"{seconds(length * 1000)} of audio"] if isinstance(length, int | float) else []
        heard = [
            _line("said", *_channel(channel)) for channel in told.get("channels") or [] if isinstance(channel, dict)
        ]
        heard = heard or [_line("said", str(told["text"]) or "(nothing is heard)")]
        heard[-1].notes += notes
        return heard
    if service in LISTS and isinstance(listed := told.get(LISTS[service]), list):
        return [_line("session", counted(len(listed), "model"))]
    if isinstance(told.get("request_id"), str):
        return [_line("session", f"the answer is to be fetched as {told['request_id']}")]
    if status == PENDING:
        return [_line("session", "the answer is not ready")]
    if service == "tts" and (length_ms := _speech_ms(given, told, size)) is not None:
        return [Line(0.0, "Grok", "said", "(speaks)", [f"{seconds(length_ms)} of speech"])]
    return [_line("session", f"HTTP {status}, {size:,} bytes")]


def _line(kind: Any, text: str, *notes: str) -> Line:
    return Line(0.0, "You" if kind == "said" else "session", kind, text, list(notes))


def _channel(channel: Mapping[str, Any]) -> tuple[str, str]:
    return str(channel.get("text") or "(nothing is heard)"), f"channel {channel.get('index')}"


def _speech_ms(given: Mapping[str, Any], told: Mapping[str, Any], size: int) -> float | None:
    """How long the speech is: as the answer states it, else by its size where it is raw audio."""
    if isinstance(length := told.get("duration"), int | float):
        return length * 1000
    form = given.get("output_format")
    codec, rate_hz = (form.get("codec"), form.get("sample_rate")) if isinstance(form, dict) else ("mp3", None)
    sample_bytes = SAMPLE_BYTES.get(codec) if isinstance(codec, str) else None
    rate_hz = SPOKEN_HZ if rate_hz is None else rate_hz
    return size / sample_bytes / rate_hz * 1000 if sample_bytes and isinstance(rate_hz, int) and rate_hz > 0 else None


def _body(exchange: TapedExchange) -> Any:
    """The body of an answer in JSON; None for any other."""
    try:
        return parse_json("".join(chunk.text or "" for chunk in exchange.chunks).encode())
    except ValueError:
        return None


def _bytes(chunk: Any) -> int:
    return chunk.media.size_bytes if chunk.media is not None else len((chunk.text or "").encode())


def _size_of(body: Mapping[str, Any]) -> list[str]:
    media = body.get("$media")
    return [f"{media['bytes']:,} bytes"] if isinstance(media, dict) and isinstance(media.get("bytes"), int) else []
