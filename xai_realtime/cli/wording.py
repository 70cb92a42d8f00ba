"""How sessions, calls and usage are put into words. In: their wire values. Out: short texts. Imports: rooms 0-3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from xai_realtime.cli.text import shortened
from xai_realtime.defaults import AUDIO_RATE_HZ
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.chat_usage import ChatUsage

__all__ = [
    "audio_bytes_per_s",
    "audio_format",
    "call_words",
    "chat_usage_words",
    "configured_words",
    "counted",
    "usage_words",
]

MAX_VALUE_CHARACTERS: Final = 60
G711: Final = {"audio/pcmu": "G.711 mu-law", "audio/pcma": "G.711 A-law"}
G711_RATE_HZ: Final = 8000


def counted(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def audio_format(session: Mapping[str, Any], side: str) -> tuple[str, int] | None:
    """Type and rate (Hz) of one side's audio in a session object; None when it does not say."""
    form: Any = session
    for key in ("audio", side, "format"):
        form = form.get(key) if isinstance(form, dict) else None
    if not isinstance(form, dict):
        return None
    kind, rate = form.get("type", "audio/pcm"), form.get("rate", AUDIO_RATE_HZ)
    return (kind, rate) if isinstance(kind, str) and type(rate) is int and rate > 0 else None


def audio_bytes_per_s(form: tuple[str, int] | None) -> int | None:
    """Bytes in a second of audio; None for a compressed format."""
    kind, rate = form or ("audio/pcm", AUDIO_RATE_HZ)
    if kind in G711:
        return G711_RATE_HZ
    return 2 * rate if kind == "audio/pcm" else None


def configured_words(session: Mapping[str, Any]) -> str:
    """That a session is configured: model, voice, audio formats, turns and tools, as far as it says."""
    parts = [str(session["model"])] if isinstance(session.get("model"), str) else []
    if isinstance(session.get("voice"), str):
        parts.append(f"voice {session['voice']}")
    parts += _formats(audio_format(session, "input"), audio_format(session, "output"))
    if "turn_detection" in session:
        turns = session["turn_detection"]
        kind = turns.get("type") if isinstance(turns, dict) else None
        parts.append(f"turns by {kind}" if isinstance(kind, str) else "turns by hand")
    names = [name for tool in session.get("tools") or () if (name := _tool_name(tool))]
    if names:
        parts.append(f"{'tool' if len(names) == 1 else 'tools'} {', '.join(names)}")
    return f"configured: {' · '.join(parts)}" if parts else "configured"


def _formats(heard: tuple[str, int] | None, spoken: tuple[str, int] | None) -> list[str]:
    if heard == spoken:
        return [] if heard is None else [_format_words(heard)]
    sides = (("in", heard), ("out", spoken))
    return [", ".join(f"{_format_words(form)} {side}" for side, form in sides if form is not None)]


def _format_words(form: tuple[str, int]) -> str:
    kind, rate = form
    if kind in G711:
        return G711[kind]
    name = kind.removeprefix("audio/")
    return f"{name.upper() if name == 'pcm' else name.capitalize()} {rate / 1000:g} kHz"


def _tool_name(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    named = function if isinstance(function, dict) else tool
    name = named.get("name") or tool.get("type")
    return name if isinstance(name, str) else None


def call_words(name: str | None, arguments: str) -> str:
    """A call as code: `get_weather(city="London")`."""
    try:
        given = json.loads(arguments) if arguments else {}
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return f"{name or '?'}({shortened(arguments, MAX_VALUE_CHARACTERS)})"
    words = ", ".join(f"{key}={_value(value)}" for key, value in given.items())
    return f"{name or '?'}({words})"


def _value(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "…"
    return shortened(text, MAX_VALUE_CHARACTERS)


def usage_words(usage: wire.Usage) -> str:
    """What an answer used; only what the service stated, empty when it stated nothing."""
    sides = ((usage.input_tokens, "in"), (usage.output_tokens, "out"))
    tokens = [f"{counted(number, 'token')} {side}" for number, side in sides if number is not None]
    if usage.total_tokens is not None and len(tokens) < len(sides):
        tokens.append(f"{counted(usage.total_tokens, 'token')} in all")
    parts = [", ".join(tokens)] if tokens else []
    if usage.output_audio_seconds is not None:
        parts.append(f"{usage.output_audio_seconds:.2f} s of speech")
    if usage.billable_audio_seconds is not None:
        parts.append(f"{usage.billable_audio_seconds} s billed so far")
    return " · ".join(parts)


def chat_usage_words(usage: ChatUsage) -> str:
    """What a chat answer used; only what the service stated, empty when it stated nothing."""
    sides = (
        (usage.prompt_tokens, "in", usage.cached_tokens, "cached"),
        (usage.output_tokens, "out", usage.reasoning_tokens, "thought"),
    )
    tokens = []
    for number, side, part, what in sides:
        if number is not None:
            tokens.append(f"{counted(number, 'token')} {side}" + (f" ({part} {what})" if part else ""))
    if usage.total_tokens is not None and len(tokens) < len(sides):
        tokens.append(f"{counted(usage.total_tokens, 'token')} in all")
    parts = [", ".join(tokens)] if tokens else []
    if usage.cost_usd is not None:
        parts.append(f"{usage.cost_usd.normalize():f} USD")
    if parts and not usage.is_complete:
        parts.append("incomplete")
    return " · ".join(parts)
