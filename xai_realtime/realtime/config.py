"""The configuration of a realtime session. In: settings. Out: `session.update`. Imports: pydantic, rooms 0-5."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypedDict, Unpack

from pydantic import BeforeValidator, Field, StrictBool

from xai_realtime.audio import AudioFormat
from xai_realtime.defaults import VOICE_MODEL
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime
from xai_realtime.realtime._config_parts import (
    AudioLike,
    AudioSettings,
    Manual,
    ServerVad,
    Settings,
    Transcription,
    TranscriptionLike,
    TurnDetectionLike,
    as_audio,
    as_transcription,
    as_turn_detection,
    continued_audio,
    continued_transcription,
    listed,
)
from xai_realtime.realtime._config_refusals import (
    MAX_SPEED,
    MIN_SPEED,
    checked_extra,
    refuse_settings,
    taken_modalities,
)
from xai_realtime.tools import Toolbox, ToolLike

__all__ = [
    "AudioSettings",
    "ConfigChange",
    "Manual",
    "ServerVad",
    "SessionConfig",
    "SessionSettings",
    "Transcription",
    "Update",
]

MAX_FILE_BYTES: Final = 4 * 1024 * 1024

Update: TypeAlias = realtime.SessionUpdate | dict[str, Any]
"""A `session.update`: typed, or as a mapping where it holds what the SDK does not know."""


class SessionSettings(TypedDict, total=False):
    """The keywords of `SessionConfig` and of `changed`, in the forms they may be given in; None means not given."""

    model: str
    voice: str | None
    instructions: str | None
    turn_detection: TurnDetectionLike
    input: AudioLike | None
    output: AudioLike | None
    speed: float | None
    transcription: TranscriptionLike | None
    reasoning_effort: Literal["high", "none"] | None
    replace: Mapping[str, str] | None
    resumption: bool | None
    tools: Sequence[ToolLike] | None
    extra: Mapping[str, Any] | None


class SessionConfig(Settings):
    """Everything a realtime session can be told, checked when it is made, and not changed after.

    What you leave out is not sent, but for three things that are always said in full: turn detection (`server_vad`),
    and the formats of both directions (PCM at 24,000 Hz).

    `model` goes into the address. `turn_detection` is `"server_vad"`, a `ServerVad` with settings, or `"manual"` (also
    None). `input` and `output` are an encoding, an `AudioFormat`, or `AudioSettings`. `speed` is from 0.7 to 1.5.
    `replace` maps words to how they are spoken. `resumption` lets the conversation be resumed on another connection.
    `tools` are functions and server tools; `()` is sent and takes tools away. `extra` is laid over the wire's session
    object last: for what the SDK does not know. Tables may stand wherever a class of ours may.

    Raises ConfigurationError, with what is allowed, before anything is sent. The repr shows no text, no secret and no
    value of `extra`. Source: docs.x.ai voice-realtime.ws.json.
    """

    model: Annotated[str, Field(min_length=1)] = VOICE_MODEL
    voice: Annotated[str, Field(min_length=1)] | None = None
    instructions: str | None = Field(default=None, repr=False)
    turn_detection: ServerVad | Manual = Field(default_factory=ServerVad)
    input: AudioSettings = Field(default_factory=AudioSettings)
    output: AudioSettings = Field(default_factory=AudioSettings)
    speed: Annotated[float, Field(strict=True, ge=MIN_SPEED, le=MAX_SPEED)] | None = None
    transcription: Transcription | None = None
    reasoning_effort: Literal["high", "none"] | None = None
    replace: dict[str, str] | None = Field(default=None, repr=False)
    resumption: StrictBool | None = None
    tools: Annotated[tuple[Any, ...], BeforeValidator(listed), Field(strict=True)] | None = Field(
        default=None, repr=False
    )
    extra: dict[str, Any] = Field(default_factory=dict, repr=False)

    def __init__(self, /, **settings: Unpack[SessionSettings]) -> None:
        given: dict[str, Any] = {**settings}
        taken_modalities(given)
        refuse_settings(given)
        given = {name: value for name, value in given.items() if value is not None or name == "turn_detection"}
        if "turn_detection" in given:
            given["turn_detection"] = as_turn_detection(given["turn_detection"])
        for side in ("input", "output"):
            if side in given:
                given[side] = as_audio(given[side], side)
        if "transcription" in given:
            given["transcription"] = as_transcription(given["transcription"])
        if "extra" in given:
            given["extra"] = checked_extra(given["extra"])
        super().__init__(**given)
        self.toolbox  # noqa: B018 - a tool that cannot be described fails here, not when the session opens

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """The configuration that a plain mapping holds, under the names of the keywords.

        Unknown names are refused unless they stand under `extra`. Raises ConfigurationError.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigurationError(f"a configuration is a mapping, not {type(mapping).__name__}")
        refuse_settings(mapping)
        return cls(**mapping)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The configuration that a TOML file holds, as `from_mapping`. Raises ConfigurationError with the path."""
        file = Path(path)
        try:
            return cls.from_mapping(_toml(file))
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from None

    @property
    def is_manual(self) -> bool:
        """Do you end the user's turn, not the server?"""
        return isinstance(self.turn_detection, Manual)

    @property
    def input_format(self) -> AudioFormat:
        """Format of the audio you send."""
        return self.input.format

    @property
    def output_format(self) -> AudioFormat:
        """Format of the audio you receive."""
        return self.output.format

    @property
    def input_is_binary(self) -> bool:
        """Does the audio you send go out as raw messages?"""
        return self.input.transport == "binary"

    @property
    def output_is_binary(self) -> bool:
        """Does the audio you receive come as raw messages?"""
        return self.output.transport == "binary"

    @cached_property
    def toolbox(self) -> Toolbox:
        """The tools, ready to be called."""
        return Toolbox(self.tools or ())

    def query(self) -> dict[str, str]:
        """What goes into the address."""
        return {"model": self.model}

    def to_update(self) -> Update:
        """The whole configuration as a `session.update`; a mapping when `extra` is used."""
        return _update(_session(self), is_typed=not self.extra)

    def changed(self, **changes: Unpack[SessionSettings]) -> ConfigChange:
        """This configuration with changes, and the event that tells a running session of them.

        A table for `input`, `output` or `transcription` is laid over what is in force, `extra` name by name; everything
        else is replaced. None takes a setting back where the service's own value is documented.

        Raises ConfigurationError: for a wrong value, and for what a running session cannot change (the model, an
        encoding, a rate, taking back a voice).
        """
        given: dict[str, Any] = {**self.given(), **changes}
        for side in ("input", "output"):
            if changes.get(side) is not None:
                given[side] = continued_audio(getattr(self, side), given[side], side)
        if changes.get("transcription") is not None:
            given["transcription"] = continued_transcription(self.transcription, given["transcription"])
        if changes.get("extra") is not None:
            given["extra"] = _laid_over(self.extra, checked_extra(given["extra"]))
        new = type(self)(**given)
        _refuse_fixed(self, new)
        names = [name for name in type(self).model_fields if _comparable(self, name) != _comparable(new, name)]
        return ConfigChange(new, {name: getattr(self, name) for name in names}, _difference(self, new))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, checked as by the constructor. Functions are never copied, everything else always is."""
        return type(self)(**{**self.given(), **(update or {})})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        kept = {name: value for name, value in state["__dict__"].items() if name in type(self).model_fields}
        return {**state, "__dict__": kept}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What was given, without text; of the tools and of `extra` the names alone."""
        yield from super().__repr_args__()
        if self.tools is not None:
            yield "tools", [tool.get("name") or tool["type"] for tool in _wire_tools(self)]
        if self.extra:
            yield "extra", sorted(self.extra)


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """What changes in a running session: the new configuration, the old values, and the event that says so.

    `fields` maps each changed setting to its old value. `update` holds what changed on the wire and nothing else,
    None when nothing did; audio, turn detection and tools always go whole.
    """

    config: SessionConfig
    fields: dict[str, Any] = field(repr=False)
    update: Update | None = field(repr=False)


WHOLE: Final = frozenset({("replace",), ("tools",), ("turn_detection",)})
"""Objects that replace what was there: nothing inside of them needs to be taken back by name."""

TAKEN_BACK: Final[Mapping[tuple[str, ...], Any]] = MappingProxyType(
    {
        ("instructions",): "",
        ("reasoning", "effort"): "high",
        ("replace",): {},
        ("resumption", "enabled"): False,
        ("tools",): [],
        ("audio", "input", "transcription", "keyterms"): [],
        ("audio", "input", "transport"): "json",
        ("audio", "output", "speed"): 1.0,
        ("audio", "output", "transport"): "json",
    }
)
"""The service's own values where they are documented: what is sent for a setting that was given and is no more."""


def _toml(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise ConfigurationError(f"larger than {MAX_FILE_BYTES} bytes, which no configuration is")
        return tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(error.strerror or type(error).__name__) from None
    except UnicodeDecodeError:
        raise ConfigurationError("the file is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"no TOML: {error}") from None
    except RecursionError:
        raise ConfigurationError("nested too deeply") from None


def _wire_tools(config: SessionConfig) -> list[dict[str, Any]]:
    return [tool.to_wire() for tool in config.toolbox.to_wire()]


def _session(config: SessionConfig) -> dict[str, Any]:
    """The whole `session` object of the wire."""
    simple = {name: getattr(config, name) for name in ("instructions", "voice", "replace")}
    session: dict[str, Any] = {name: value for name, value in simple.items() if value is not None}
    if config.reasoning_effort is not None:
        session["reasoning"] = {"effort": config.reasoning_effort}
    if config.resumption is not None:
        session["resumption"] = {"enabled": config.resumption}
    session["turn_detection"] = config.turn_detection.to_wire()
    heard, spoken = config.input.to_wire(), config.output.to_wire()
    if config.transcription is not None:
        heard["transcription"] = config.transcription.to_wire()
    if config.speed is not None:
        spoken["speed"] = config.speed
    session["audio"] = {"input": heard, "output": spoken}
    if config.tools is not None:
        session["tools"] = _wire_tools(config)
    return copy.deepcopy(_laid_over(session, config.extra))


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(under)
    for name, value in over.items():
        below = laid.get(name)
        laid[name] = _laid_over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return laid


def _update(session: dict[str, Any], *, is_typed: bool) -> Update:
    if is_typed:
        return realtime.SessionUpdate(session=realtime.SessionConfig.model_validate(session))
    return {"type": "session.update", "session": session}


def _refuse_fixed(old: SessionConfig, new: SessionConfig) -> None:
    if new.model != old.model:
        reason = "it stands in the address, so another model needs a new session"
        raise ConfigurationError(
            f"model cannot change from {old.model!r} to {new.model!r} in a running session: {reason}"
        )
    for side in ("input", "output"):
        before, after = getattr(old, side).format, getattr(new, side).format
        if before != after:
            what = f"from {before.encoding} at {before.rate_hz} Hz to {after.encoding} at {after.rate_hz} Hz"
            reason = "audio on its way would be misread; open a new session"
            raise ConfigurationError(f"{side} cannot change {what} in a running session: {reason}")


def _comparable(config: SessionConfig, name: str) -> Any:
    """A setting in a form in which equal means the same on the wire."""
    value = getattr(config, name)
    if name == "turn_detection":
        return _canonical(value.to_wire())
    return _canonical(value) if name == "extra" else value


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _leaves(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in value.items():
        place = (*path, name)
        if isinstance(inner, dict) and inner and place not in WHOLE:
            yield from _leaves(inner, place)
        else:
            yield place


def _says(session: Any, path: tuple[str, ...]) -> bool:
    """Does `session` say what becomes of a path, itself or by what stands in the place of an object above it?"""
    for depth, name in enumerate(path):
        if path[:depth] in WHOLE or not isinstance(session, dict):
            return True
        if name not in session:
            return False
        session = session[name]
    return True


def _difference(old: SessionConfig, new: SessionConfig) -> Update | None:
    """The `session.update` that leads a running session from `old` to `new`."""
    before, after = _session(old), _session(new)
    session = {
        name: value
        for name, value in after.items()
        if name not in before or _canonical(before[name]) != _canonical(value)
    }
    for path in _leaves(before):
        if _says(after, path):
            continue
        if path not in TAKEN_BACK:
            reason = "the service documents no value that means so; give another one, or open a new session"
            raise ConfigurationError(f"{'.'.join(path)} cannot be taken back in a running session: {reason}")
        _put(session, path, TAKEN_BACK[path])
    return _update(session, is_typed=not (old.extra or new.extra)) if session else None


def _put(session: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *outer, last = path
    for name in outer:
        session = session.setdefault(name, {})
    session[last] = copy.copy(value)
