"""Frames to events and back. In: a Frame or an event. Out: an event or a Frame; decoding never raises.

Imports: pydantic, rooms 0-1. No waiting, no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, cast, get_args, get_origin

import pybase64
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES, MAX_MESSAGE_BYTES
from xai_realtime.errors import LocalProtocolError
from xai_realtime.events import realtime, stt, tts
from xai_realtime.events._base import BinaryAudio, ClientModel, InvalidEvent, ServerModel, UnknownEvent
from xai_realtime.frames import Frame

__all__ = [
    "MAX_JSON_DEPTH",
    "MAX_NUMBER_DIGITS",
    "Codec",
    "EventModule",
    "audio_append_text",
    "encode_audio_append",
    "realtime_codec",
    "stt_codec",
    "tts_codec",
]

MAX_JSON_DEPTH: Final = 200
"""Deeper JSON is an InvalidEvent: the limit of the parser, stated here and held by a test."""
MAX_NUMBER_DIGITS: Final = 4_300
"""A longer integer is an InvalidEvent: the limit of the parser, stated here and held by a test."""
MAX_TYPE_CHARACTERS: Final = 256
"""What an UnknownEvent keeps of a type; `raw` has the whole."""

ServerT = TypeVar("ServerT")
ClientT = TypeVar("ClientT")


class EventModule(Protocol):
    """What the codec needs of a generated module."""

    ServerEvent: Any
    ClientEvent: Any
    SERVER_EVENTS: Any
    CLIENT_EVENTS: Any


class Codec(Generic[ServerT, ClientT]):
    """Translates one service's messages.

    `events` is a module that the generator printed (`xai_realtime.events.realtime`, or your own). A
    message over `max_message_bytes`, JSON deeper than `MAX_JSON_DEPTH` or an integer of more than
    `MAX_NUMBER_DIGITS` digits becomes an InvalidEvent.
    """

    def __init__(self, events: EventModule, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._events = events
        self._max_message_bytes = max_message_bytes
        self._flat: frozenset[type] = frozenset()
        self._validate: Callable[[bytes], ServerT] = self._build_and_validate

    def _build_and_validate(self, data: bytes) -> ServerT:
        """Build the validator with the first message, so that no import pays for it, and step aside for it."""
        classes: Iterable[type[ServerModel]] = self._events.SERVER_EVENTS.values()
        # The events of plain fields only: there a NaN has no place but an undeclared field.
        self._flat = frozenset(
            cls for cls in classes if all(_is_plain(field.annotation) for field in cls.model_fields.values())
        )
        self._validate = TypeAdapter(self._events.ServerEvent).validator.validate_json
        return self._validate(data)

    @cached_property
    def _client_adapter(self) -> TypeAdapter[ClientT]:
        return TypeAdapter(self._events.ClientEvent)

    def decode(self, frame: Frame) -> ServerT | UnknownEvent | InvalidEvent | BinaryAudio:
        """The server event in a message; always a value.

        UnknownEvent for a type that the spec does not know or that cannot be read, InvalidEvent for a
        known type with a bad body and for what is no JSON, BinaryAudio for a binary message.
        """
        data = frame.data
        if len(data) > self._max_message_bytes:
            return self._too_large(data)
        if not frame.is_text:
            return BinaryAudio(data)
        try:
            event = self._validate(data)
        except ValidationError as error:
            return _explain(data, error, self._events.SERVER_EVENTS)
        if event.__class__ in self._flat and not event.__pydantic_extra__:  # type: ignore[attr-defined]
            return event
        return _not_finite(data, event) or event

    def decode_client(self, frame: Frame) -> ClientT | UnknownEvent | InvalidEvent | BinaryAudio:
        """The client event in a message, read leniently: unknown fields pass, since third-party clients send more.

        They are not part of the event; whoever needs them keeps the message.
        """
        data = frame.data
        if len(data) > self._max_message_bytes:
            return self._too_large(data)
        if not frame.is_text:
            return BinaryAudio(data)
        try:
            event = self._client_adapter.validate_json(data, extra="ignore")
        except ValidationError as error:
            return _explain(data, error, self._events.CLIENT_EVENTS)
        return _not_finite(data, event) or event

    def encode(self, event: ClientT | Mapping[str, Any]) -> Frame:
        """The message of a client event: given fields only, None as null. A mapping goes out as it is.

        Raises LocalProtocolError for what JSON cannot hold.
        """
        try:
            if isinstance(event, ClientModel):
                return Frame(event.__pydantic_serializer__.to_json(event, by_alias=True, exclude_unset=True))
            data = to_json(dict(cast("Mapping[str, Any]", event)))
            from_json(data, allow_inf_nan=False)
        except (PydanticSerializationError, ValueError):
            raise LocalProtocolError(
                "the message holds what JSON cannot: text or bytes that are no UTF-8, NaN or an object"
            ) from None
        return Frame(data)

    def _too_large(self, data: bytes) -> InvalidEvent:
        reason = f"a message of {len(data)} bytes is over the limit of {self._max_message_bytes} bytes"
        return InvalidEvent(None, reason, "", data[:MAX_ERROR_PAYLOAD_BYTES], len(data))


def encode_audio_append(audio: bytes | bytearray | memoryview) -> Frame:
    """The message that appends input audio, without the detour over a model: one copy, one base64 pass."""
    return Frame(audio_append_text(audio))


def audio_append_text(audio: bytes | bytearray | memoryview) -> bytes:
    """The text of that message."""
    return b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(audio) + b'"}'


def _is_plain(annotation: Any) -> bool:
    """Is it a scalar, a literal, or a union of such, all of which refuse a NaN themselves?"""
    if get_origin(annotation) is Literal:
        return True
    inner = get_args(annotation)
    return all(map(_is_plain, inner)) if inner else annotation in (str, int, float, bool, type(None))


def _not_finite(data: bytes, event: object) -> InvalidEvent | None:
    """An InvalidEvent when the JSON holds a NaN or infinity, which would pass where the spec leaves a field open."""
    if b"NaN" in data or b"Infinity" in data:
        try:
            from_json(data, allow_inf_nan=False)
        except ValueError as error:
            return _invalid(data, getattr(event, "type", None), str(error))
    return None


def _explain(data: bytes, error: ValidationError, known: Mapping[str, Any]) -> UnknownEvent | InvalidEvent:
    """Why a message is none of the `known` events."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return _invalid(data, None, str(first["ctx"]["error"]))
    location = first["loc"]
    if len(known) > 1 and location:
        # The place begins with the tag that the union went by.
        return _invalid(data, str(location[0]), first["msg"], _path(location[1:]))
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as reason:
        return _invalid(data, None, str(reason))
    name = value.get("type") if isinstance(value, dict) else None
    if not isinstance(name, str):
        return UnknownEvent(None, data)
    if name in known:
        return _invalid(data, name, first["msg"], _path(location))
    return UnknownEvent(name[:MAX_TYPE_CHARACTERS], data)


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")


def _invalid(data: bytes, name: str | None, reason: str, path: str = "") -> InvalidEvent:
    return InvalidEvent(name, reason, path, data[:MAX_ERROR_PAYLOAD_BYTES], len(data))


realtime_codec: Final[Codec[realtime.ServerEvent, realtime.ClientEvent]] = Codec(realtime)
stt_codec: Final[Codec[stt.ServerEvent, stt.ClientEvent]] = Codec(stt)
tts_codec: Final[Codec[tts.ServerEvent, tts.ClientEvent]] = Codec(tts)
