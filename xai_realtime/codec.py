"""Frames to events and back. In: a Frame or an event. Out: an event or a Frame; decoding never raises.

Imports: pydantic, rooms 0-1. No waiting, no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar, cast, get_args, get_origin

import pybase64
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES, MAX_MESSAGE_BYTES
from xai_realtime.errors import ConfigurationError, LocalProtocolError
from xai_realtime.events import realtime, stt, tts
from xai_realtime.events._base import BinaryAudio, ClientModel, InvalidEvent, ServerModel, UnknownEvent
from xai_realtime.events._chat import DONE, ChatStreamError, Done, read_chat_error
from xai_realtime.frames import Frame

if TYPE_CHECKING:
    from xai_realtime.events import chat

__all__ = [
    "MAX_JSON_DEPTH",
    "MAX_NUMBER_DIGITS",
    "ChatCodec",
    "Codec",
    "EventModule",
    "audio_append_text",
    "chat_codec",
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
ModelT = TypeVar("ModelT", bound=ServerModel)


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
    `MAX_NUMBER_DIGITS` digits becomes an InvalidEvent. Raises ConfigurationError for a module whose
    messages nothing tells apart, as those of chat.
    """

    def __init__(self, events: EventModule, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        if not getattr(events, "IS_TAGGED", True):
            raise ConfigurationError("the messages of this module have no type; validate against the class you expect")
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
            return _too_large(data, self._max_message_bytes)
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
            return _too_large(data, self._max_message_bytes)
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


class ChatCodec:
    """Reads what chat answers: the chunks of a stream and whole bodies. Nothing in a message tells which it is.

    The limits are those of `Codec`.
    """

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._validators: dict[type[ServerModel], Callable[[bytes], Any]] = {}
        self._validate_chunk: Callable[[bytes], chat.ChatCompletionChunk] = self._build_and_validate

    def _build_and_validate(self, data: bytes) -> chat.ChatCompletionChunk:
        """Load the classes and build the validator with the first chunk, and step aside for it."""
        from xai_realtime.events import chat

        self._validate_chunk = self._validator(chat.ChatCompletionChunk)
        return self._validate_chunk(data)

    def decode_chunk(self, data: bytes) -> chat.ChatCompletionChunk | ChatStreamError | InvalidEvent | Done:
        """What one `data` field of a stream says; always a value.

        DONE for `[DONE]`, ChatStreamError for an error in any of its forms, InvalidEvent for what is neither JSON of a
        chunk nor of an error. A chunk that holds an error too is the error.
        """
        if len(data) > self._max_message_bytes:
            return _too_large(data, self._max_message_bytes)
        try:
            chunk = self._validate_chunk(data)
        except ValidationError as error:
            return DONE if data.strip() == b"[DONE]" else _explain_answer(data, error)
        if chunk.__pydantic_extra__ or not chunk.choices:
            return _error_in(data, chunk) or _empty(data, chunk) or _not_finite(data, chunk) or chunk
        # One letter is found ten times sooner than a word.
        if b"N" in data or b"I" in data:
            return _not_finite(data, chunk) or chunk
        return chunk

    def decode(self, data: bytes, expected: type[ModelT]) -> ModelT | ChatStreamError | InvalidEvent:
        """The body of an answer as the message you expect (`chat.ChatCompletion`, `chat.ModelList`); always a value.

        ChatStreamError for an error, which comes with status 200 too; InvalidEvent for anything else.
        """
        if len(data) > self._max_message_bytes:
            return _too_large(data, self._max_message_bytes)
        try:
            answer: ModelT = self._validator(expected)(data)
        except ValidationError as error:
            return _explain_answer(data, error)
        return _error_in(data, answer) or _empty(data, answer) or _not_finite(data, answer) or answer

    def _validator(self, expected: type[ModelT]) -> Callable[[bytes], ModelT]:
        found = self._validators.get(expected)
        if found is None:
            found = self._validators[expected] = TypeAdapter(expected).validator.validate_json
        return found


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


def _too_large(data: bytes, limit_bytes: int) -> InvalidEvent:
    reason = f"a message of {len(data)} bytes is over the limit of {limit_bytes} bytes"
    return InvalidEvent(None, reason, "", data[:MAX_ERROR_PAYLOAD_BYTES], len(data))


def _error_in(data: bytes, answer: ServerModel) -> ChatStreamError | None:
    """The error that was read as an answer, since no field of an answer is required."""
    extra = answer.__pydantic_extra__
    if not extra:
        return None
    is_bare = answer.model_fields_set <= extra.keys()
    return read_chat_error(extra, data, is_bare=is_bare)


def _empty(data: bytes, answer: ServerModel) -> InvalidEvent | None:
    """An InvalidEvent for an object that has nothing of a completion. A list may be empty."""
    has_nothing = answer.model_fields_set <= (answer.__pydantic_extra__ or {}).keys()
    if has_nothing and "choices" in type(answer).model_fields:
        return _invalid(data, None, "neither an answer nor an error")
    return None


def _explain_answer(data: bytes, error: ValidationError) -> ChatStreamError | InvalidEvent:
    """Why a body or a chunk is not what was expected."""
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as reason:
        return _invalid(data, None, str(reason))
    if isinstance(value, dict) and (said := read_chat_error(value, data, is_bare="choices" not in value)) is not None:
        return said
    first = error.errors(include_url=False, include_input=False)[0]
    return _invalid(data, None, first["msg"], _path(first["loc"]))


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


chat_codec: Final = ChatCodec()
realtime_codec: Final[Codec[realtime.ServerEvent, realtime.ClientEvent]] = Codec(realtime)
stt_codec: Final[Codec[stt.ServerEvent, stt.ClientEvent]] = Codec(stt)
tts_codec: Final[Codec[tts.ServerEvent, tts.ClientEvent]] = Codec(tts)
