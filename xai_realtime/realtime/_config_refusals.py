"""What a configuration may not hold, with the reason. In: names, values. Out: errors. Imports: pydantic, room 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from xai_realtime.errors import ConfigurationError

__all__ = [
    "KEYTERMS",
    "KEYTERM_CHARACTERS",
    "MAX_SPEED",
    "MAX_THRESHOLD",
    "MAX_WAIT_MS",
    "MIN_SPEED",
    "MIN_THRESHOLD",
    "checked_extra",
    "refuse_settings",
    "taken_modalities",
    "worded",
]

MIN_THRESHOLD: Final = 0.1
MAX_THRESHOLD: Final = 0.9
MAX_WAIT_MS: Final = 10_000
MIN_SPEED: Final = 0.7
MAX_SPEED: Final = 1.5
KEYTERMS: Final = 100
KEYTERM_CHARACTERS: Final = 50
SHOWN_CHARACTERS: Final = 60
DEEPEST: Final = 100

_WAIT: Final = f"a whole number of milliseconds from 0 to {MAX_WAIT_MS}"
_FLAG: Final = "True or False"
_TEXT: Final = "text that is not empty"

ALLOWED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "create_response": _FLAG,
        "idle_timeout_ms": "a whole number of milliseconds, 0 or more, or None for never",
        "instructions": "text",
        "interrupt_response": _FLAG,
        "keyterms": f"a list of up to {KEYTERMS} terms of up to {KEYTERM_CHARACTERS} characters each",
        "language_hint": "the tag of a language, such as en or es-MX",
        "model": _TEXT,
        "prefix_padding_ms": _WAIT,
        "reasoning_effort": "'high' or 'none'",
        "replace": "a mapping of text to text",
        "resumption": _FLAG,
        "silence_duration_ms": _WAIT,
        "speed": f"a number from {MIN_SPEED} to {MAX_SPEED}",
        "threshold": f"a number from {MIN_THRESHOLD} to {MAX_THRESHOLD}",
        "tools": "a list of tools",
        "transport": "'json' or 'binary'",
        "voice": _TEXT,
    }
)

NOT_SHOWN: Final = frozenset({"instructions", "keyterms", "replace", "tools"})

_SAMPLING: Final = "the realtime service ignores it: the model of a voice session samples as it does"
_LENGTH: Final = "the realtime service ignores it: ask for short answers in instructions="
_UNDOCUMENTED: Final = (
    "it is not documented, and whether it does anything is unknown; pass it in extra= to send it all the same"
)

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "audio": "give input=, output=, speed= and transcription= instead",
        "frequency_penalty": _SAMPLING,
        "input_audio_format": "give input= instead",
        "input_audio_transcription": "give transcription= instead",
        "max_completion_tokens": _LENGTH,
        "max_output_tokens": _LENGTH,
        "max_response_output_tokens": _LENGTH,
        "max_tokens": _LENGTH,
        "output_audio_format": "give output= instead",
        "parallel_tool_calls": _UNDOCUMENTED,
        "presence_penalty": _SAMPLING,
        "reasoning": "give reasoning_effort= instead",
        "repetition_penalty": _SAMPLING,
        "seed": _SAMPLING,
        "temperature": _SAMPLING,
        "tool_choice": _UNDOCUMENTED,
        "top_k": _SAMPLING,
        "top_p": _SAMPLING,
    }
)
"""Settings of other services, and other names of ours."""

MODALITIES: Final = ("modalities", "input_modalities", "output_modalities")
_KINDS: Final = ("audio", "text")
_PICTURES: Final = "the service takes audio and text; pictures are swallowed, the model never sees them"
_ALWAYS_SPEAKS: Final = "xAI always speaks, and bills the audio; read the transcript and leave the audio unplayed"

_OWN_WORDS: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("model",): "model=, which goes into the address",
        ("tools",): "tools=",
        ("turn_detection", "type"): "turn_detection=",
        ("audio", "input", "format"): "input=",
        ("audio", "input", "transport"): "input=",
        ("audio", "output", "format"): "output=",
        ("audio", "output", "transport"): "output=",
    }
)
"""What the session itself must know, and so may not stand in `extra`."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _described(value: object) -> str:
    """A value that is not shown: its kind and size."""
    kind = "text" if isinstance(value, str) else type(value).__name__
    return f"{kind} of length {len(value)}" if isinstance(value, Sized) else kind


def worded(error: ValidationError, known: Iterable[str]) -> str:
    """The first mistake of a validation, with what is allowed; text and secrets do not show."""
    first = error.errors(include_url=False)[0]
    name, *rest = first["loc"]
    place = f"{name}[{rest[0]}]" if rest and isinstance(rest[0], int) else str(name)
    if first["type"] == "extra_forbidden":
        return f"{_shown(name)} is no setting; known: {', '.join(sorted(known))}"
    value = first["input"]
    shown = _described(value) if name in NOT_SHOWN else _shown(value)
    return f"{place} is {shown}; allowed: {ALLOWED[str(name)]}"


def refuse_settings(names: Iterable[object]) -> None:
    """Raises ConfigurationError, with the reason, for a setting that would have no effect."""
    for name in names:
        reason = REFUSED.get(name) if isinstance(name, str) else "names are text"
        if reason is not None:
            raise ConfigurationError(f"{_shown(name)} is no setting of a realtime session: {reason}")


def taken_modalities(settings: dict[str, Any]) -> None:
    """Takes modalities out of `settings`, once they say what is the case anyway. Raises ConfigurationError."""
    for name in MODALITIES:
        if name not in settings:
            continue
        value = settings.pop(name)
        kinds = [value] if isinstance(value, str) else value
        if not isinstance(kinds, list | tuple):
            raise ConfigurationError(f"{name} is {_shown(value)}; allowed: a list of {' and '.join(_KINDS)}")
        if "image" in kinds or "video" in kinds:
            raise ConfigurationError(f"{name} is {_shown(value)}: {_PICTURES}")
        if any(kind not in _KINDS for kind in kinds):
            raise ConfigurationError(f"{name} is {_shown(value)}; allowed: a list of {' and '.join(_KINDS)}")
        if name != "input_modalities" and "audio" not in kinds:
            raise ConfigurationError(f"{name} is {_shown(value)}, without audio: {_ALWAYS_SPEAKS}")


def checked_extra(extra: object) -> dict[str, Any]:
    """A copy of `extra`: JSON values, none of them one that the session must know. Raises ConfigurationError."""
    if not isinstance(extra, Mapping):
        raise ConfigurationError(f"extra is {_described(extra)}; allowed: a mapping of names to JSON values")
    copied: dict[str, Any] = _json(extra, ("extra",))
    for path, instead in _OWN_WORDS.items():
        inside: Any = copied
        for depth, name in enumerate(path):
            if not isinstance(inside, dict):
                raise ConfigurationError(f"extra.{'.'.join(path[:depth])} is {_described(inside)}; allowed: a mapping")
            if name not in inside:
                break
            inside = inside[name]
        else:
            raise ConfigurationError(f"extra.{'.'.join(path)} is a setting of its own: give {instead}")
    return copied


def _json(value: object, path: tuple[str, ...]) -> Any:
    place = ".".join(path)
    if len(path) > DEEPEST:
        raise ConfigurationError(f"{'.'.join(path[:3])}... is nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ConfigurationError(f"{place} has the name {_shown(name)}; allowed: text")
        return {name: _json(inner, (*path, name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner, (*path, str(index))) for index, inner in enumerate(value)]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and value - value == 0:
        return value
    raise ConfigurationError(f"{place} is {_described(value)}; allowed: what JSON can hold")
