"""A fault as a value, and where it is placed. In: options. Out: checked values. Imports: rooms 0-2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from typing import Any, Final, Literal, Self, TypeAlias, TypedDict, Unpack

from pydantic_core import to_json

from xai_realtime.cassette.services import EVENTS
from xai_realtime.errors import ConfigurationError

__all__ = ["Corruption", "Direction", "Fault", "FramePlace", "Kind", "LinePlace"]

Direction: TypeAlias = Literal["in", "out"]
Kind: TypeAlias = Literal["drop", "delay", "duplicate", "reorder", "corrupt", "close", "cut", "stall", "refuse"]
Corruption: TypeAlias = Literal[
    "bad_json", "bad_utf8", "bad_base64", "oversize", "unknown_type", "missing_field", "wrong_type"
]

KINDS: Final = ("drop", "delay", "duplicate", "reorder", "corrupt", "close", "cut", "stall", "refuse")
LINE_KINDS: Final = frozenset({"close", "cut", "stall"})
CORRUPTIONS: Final = (
    "bad_json",
    "bad_utf8",
    "bad_base64",
    "oversize",
    "unknown_type",
    "missing_field",
    "wrong_type",
)
TAKES_FIELD: Final = frozenset({"bad_base64", "missing_field", "wrong_type"})
CLOSE_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
MAX_REASON_BYTES: Final = 123


class FramePlace(TypedDict, total=False):
    """Where a fault of a frame stands; see `Fault`."""

    at: int
    at_ms: float
    on: str
    nth: int | None
    direction: Direction
    conn: int | None


class LinePlace(FramePlace, total=False):
    """Where a fault of the line stands; see `Fault`."""

    after: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, and where. Made by its class methods: `Fault.drop(on="response.done")`.

    Each is placed by exactly one of `at` (the n-th frame of its direction, from 1), `on` (an event type,
    its `nth` occurrence, from 1; None for every one) and `at_ms` (milliseconds from the opening of the
    first connection; around a tape, the tape's time): a fault of a frame then takes the first frame from
    that time on, a fault of the line happens when that time is past. Around a tape that is played on a
    real clock, the first frame with a later time tells that it is.

    `direction` is `in` (what the server sends) or `out`; with `on` it follows from the event type. `conn`
    is the connection, counted from 1 in the order of opening; None means each of them, counted apart.

    A fault of the line (`close`, `cut`, `stall`) comes in place of its frame, which is then lost or held;
    with `after=True` the frame passes first.

    Raises ConfigurationError for a place or a value that cannot be.
    """

    kind: Kind
    at: int | None = None
    at_ms: float | None = None
    on: str | None = None
    nth: int | None = 1
    direction: Direction | None = None
    conn: int | None = 1
    after: bool = False
    ms: float | None = None
    count: int = 1
    how: Corruption | None = None
    field: str | None = None
    code: int | None = None
    reason: str = ""
    status: int = 0
    headers: Mapping[str, str] = dataclass_field(default_factory=dict, repr=False, hash=False)
    body: bytes = dataclass_field(default=b"", repr=False)

    @classmethod
    def drop(cls, **place: Unpack[FramePlace]) -> Self:
        """The frame never arrives."""
        return cls(kind="drop", **place)

    @classmethod
    def delay(cls, ms: float, **place: Unpack[FramePlace]) -> Self:
        """The frame arrives `ms` milliseconds late; what comes after it stays behind it."""
        return cls(kind="delay", ms=ms, **place)

    @classmethod
    def duplicate(cls, times: int = 1, **place: Unpack[FramePlace]) -> Self:
        """The frame arrives `times` more."""
        return cls(kind="duplicate", count=times, **place)

    @classmethod
    def reorder(cls, by: int = 1, **place: Unpack[FramePlace]) -> Self:
        """The frame arrives after the next `by` frames of its direction."""
        return cls(kind="reorder", count=by, **place)

    @classmethod
    def corrupt(cls, how: Corruption, *, field: str | None = None, **place: Unpack[FramePlace]) -> Self:
        """The frame arrives damaged.

        `how`: `bad_json`, `bad_utf8`, `bad_base64` (of its audio), `oversize` (over the message limit),
        `unknown_type`, `missing_field`, `wrong_type`. `field` names the field of `bad_base64`,
        `missing_field` and `wrong_type` by its path (`response.output.0.id`); without it a field that the
        event must have, or its audio, is taken.
        """
        return cls(kind="corrupt", how=how, field=field, **place)

    @classmethod
    def close(cls, code: int | None = 1011, reason: str = "", **place: Unpack[LinePlace]) -> Self:
        """The server closes the connection with this code; None is a close frame without one."""
        return cls(kind="close", code=code, reason=reason, **place)

    @classmethod
    def cut(cls, **place: Unpack[LinePlace]) -> Self:
        """The connection breaks without a close frame, in the middle of the frame it is placed on."""
        return cls(kind="cut", **place)

    @classmethod
    def stall(cls, ms: float | None = None, **place: Unpack[LinePlace]) -> Self:
        """Nothing more arrives for `ms` milliseconds, or for ever; then all that was held does."""
        return cls(kind="stall", ms=ms, **place)

    @classmethod
    def refuse(
        cls,
        status: int,
        body: bytes | str | Mapping[str, Any] = b"",
        *,
        headers: Mapping[str, str] | None = None,
        conn: int | None = 1,
    ) -> Self:
        """The server answers the handshake with this HTTP status; a mapping as `body` is sent as JSON."""
        data = body.encode() if isinstance(body, str) else to_json(body) if isinstance(body, Mapping) else body
        return cls(kind="refuse", status=status, body=data, headers=headers or {}, conn=conn)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigurationError(f"fault kind {self.kind!r}: allowed are {', '.join(KINDS)}")
        if self.conn is not None:
            self._need_count("conn", self.conn)
        if self.kind == "refuse":
            if not 300 <= _whole(self.status) <= 599:
                raise self._wrong(f"status {self.status!r}: 300 to 599 is allowed")
            if self.at is not None or self.at_ms is not None or self.on is not None:
                raise self._wrong("a handshake is placed by conn= alone")
        else:
            self._check_place()
        self._check_values()

    @property
    def is_of_line(self) -> bool:
        """True for what happens to the connection and not to one frame."""
        return self.kind in LINE_KINDS

    @property
    def loses_frames(self) -> bool:
        """True when what the client or the server sent may never arrive."""
        return self.kind in ("close", "cut", "stall", "refuse") or (self.kind == "drop" and self.direction == "out")

    def __str__(self) -> str:
        given = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in fields(self)
            if item.repr and item.name != "kind" and getattr(self, item.name) != item.default
        ]
        return f"{self.kind}({', '.join(given)})"

    def _check_place(self) -> None:
        if sum(place is not None for place in (self.at, self.at_ms, self.on)) != 1:
            raise self._wrong("it is placed by exactly one of at=, at_ms= and on=")
        if self.at is not None:
            self._need_count("at", self.at)
        if self.at_ms is not None and not (self.at_ms == 0 or _is_positive(self.at_ms)):
            raise self._wrong(f"at_ms {self.at_ms!r}: a number of milliseconds from 0 is allowed")
        if self.on is not None and (not isinstance(self.on, str) or not self.on):
            raise self._wrong(f"on {self.on!r}: an event type is allowed")
        if self.nth is None and self.on is None:
            raise self._wrong("nth=None (every one) goes with on=")
        if self.nth is not None:
            self._need_count("nth", self.nth)
            if self.nth != 1 and self.on is None:
                raise self._wrong("nth= goes with on=")
        if self.nth is None and self.kind in LINE_KINDS - {"stall"}:
            raise self._wrong("a connection ends once: nth is a number")
        if self.after and (not self.is_of_line or self.at_ms is not None):
            raise self._wrong("after= goes with close, cut and stall that are placed on a frame")
        if self.direction not in (None, "in", "out"):
            raise self._wrong(f"direction {self.direction!r}: allowed are in, out")
        natural = _direction_of(self.on)
        if natural is not None and self.direction not in (None, natural):
            raise self._wrong(f"{self.on} is an event that the {'server' if natural == 'in' else 'client'} sends")
        object.__setattr__(self, "direction", self.direction or natural or "in")

    def _check_values(self) -> None:
        is_for_ever = self.kind == "stall" and self.ms is None
        if self.kind in ("delay", "stall") and not is_for_ever and not _is_positive(self.ms):
            raise self._wrong(f"ms {self.ms!r}: a number of milliseconds over 0 is allowed")
        if self.kind in ("duplicate", "reorder"):
            self._need_count("times" if self.kind == "duplicate" else "by", self.count)
        if self.kind == "corrupt":
            if self.how not in CORRUPTIONS:
                raise self._wrong(f"how {self.how!r}: allowed are {', '.join(CORRUPTIONS)}")
            if self.field is not None and self.how not in TAKES_FIELD:
                raise self._wrong(f"field= goes with {', '.join(sorted(TAKES_FIELD))}")
        if self.kind == "close":
            if self.code is not None and self.code not in CLOSE_CODES:
                raise self._wrong("code: 1000 to 1003, 1007 to 1014 and 3000 to 4999 are allowed; 1006 is Fault.cut")
            if len(self.reason.encode()) > (0 if self.code is None else MAX_REASON_BYTES):
                raise self._wrong(f"reason: at most {MAX_REASON_BYTES} bytes, and none without a code")

    def _need_count(self, name: str, value: object) -> None:
        if _whole(value) < 1:
            raise self._wrong(f"{name} {value!r}: a whole number from 1 is allowed")

    def _wrong(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"fault {self}: {why}")


def _whole(value: object) -> int:
    return value if type(value) is int else -1


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _direction_of(name: str | None) -> Direction | None:
    """Who sends events of this type; None when no spec knows, or both do (`audio.done` of the two speech sockets)."""
    is_in = any(name in events.SERVER_EVENTS for events in EVENTS.values())
    is_out = any(name in events.CLIENT_EVENTS for events in EVENTS.values())
    if is_in == is_out:
        return None
    return "in" if is_in else "out"
