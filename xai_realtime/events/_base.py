"""What the generated events stand on, and the two events no spec names. Imports: pydantic, room 0."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Final, Self, TypeVar, overload

import pybase64
from pydantic import BaseModel, ConfigDict, model_validator

from xai_realtime.errors import AudioDecodeError

__all__ = [
    "BinaryAudio",
    "ClientModel",
    "InvalidEvent",
    "ServerModel",
    "UnknownEvent",
    "decode_audio",
    "decoded_once",
    "encode_audio",
]

KEPT_CHARACTERS: Final = 256

Decoded = TypeVar("Decoded", covariant=True)


def decode_audio(payload: str) -> bytes:
    """Base64 text to bytes, strictly. Raises AudioDecodeError."""
    try:
        return pybase64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AudioDecodeError(str(error), payload=payload[:KEPT_CHARACTERS], characters=len(payload)) from None


def encode_audio(audio: bytes | bytearray | memoryview) -> str:
    """Bytes to base64 text."""
    return pybase64.b64encode_as_string(audio)


class decoded_once(cached_property[Decoded]):
    """A property that is worked out on first read and kept, without the lock `cached_property` takes before 3.12."""

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> Decoded: ...
    def __get__(self, instance: object | None, owner: type[Any] | None = None) -> Self | Decoded:
        if instance is None:
            return self
        value: Decoded = self.func(instance)
        instance.__dict__[self.func.__name__] = value
        return value


class ServerModel(BaseModel):
    """What a server sends: read leniently, kept whole (`model_extra` holds what the spec lacks), not changed."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        hide_input_in_errors=True,
        defer_build=True,
        cache_strings="keys",
        ignored_types=(decoded_once,),
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what was decoded from the old fields is not taken along."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The declared fields, but for audio and secrets; of undeclared ones the names alone."""
        extra = self.__pydantic_extra__ or {}
        yield from ((name, value) for name, value in super().__repr_args__() if name not in extra)
        if extra:
            yield "undeclared", sorted(extra)


class ClientModel(BaseModel):
    """What a client sends: unknown fields are refused, and only the fields that were given go out.

    An explicit None goes out as null where the wire allows null, and is refused where it does not.
    """

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
        hide_input_in_errors=True,
        defer_build=True,
    )

    _not_null: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _refuse_null(self) -> Self:
        nulls = [name for name in self._not_null & self.model_fields_set if getattr(self, name) is None]
        if nulls:
            raise ValueError(f"{', '.join(sorted(nulls))} cannot be null; leave it out instead")
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Mark the type as given, so that a dump without unset fields still carries it."""
        if "type" in type(self).model_fields and self.__dict__.get("type") is not None:
            self.__pydantic_fields_set__.add("type")

    def to_wire(self) -> dict[str, Any]:
        """The JSON object as it goes out: given fields only, None as null."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """A message whose type the spec does not know, or that has no readable type (a list, null).

    `type` is None when there is none to read. `raw` are the bytes as they came, whole: the message
    limit of the transport bounds them.
    """

    type: str | None
    raw: bytes = field(repr=False)
    is_text: bool = True


@dataclass(frozen=True, slots=True)
class InvalidEvent:
    """A known type with a bad body, bad JSON, or bad UTF-8: a value, the stream goes on.

    `reason` says what is wrong and `path` where (`response.usage.total_tokens`), never showing the
    value. `raw` keeps the first bytes of the message, `size_bytes` its full size.
    """

    type: str | None
    reason: str
    path: str
    raw: bytes = field(repr=False)
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BinaryAudio:
    """A binary message: raw audio in the session's output format, without ids (output transport `binary`)."""

    audio: bytes = field(repr=False)
    type: ClassVar[str] = "(binary)"
