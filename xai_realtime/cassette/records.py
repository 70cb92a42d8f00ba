"""The records of a tape, format version 1. In: JSON objects. Out: record values. Imports: rooms 0-2.

A tape is `NAME.jsonl`, one record a line, and `NAME.media/` beside it. `kind` says which record a line holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias

from xai_realtime.cassette._json import Json

__all__ = [
    "CASSETTE_VERSION",
    "MEDIA",
    "ORIGINS",
    "SERVICES",
    "TIMINGS",
    "CloseRecord",
    "EndRecord",
    "FrameRecord",
    "Header",
    "HttpChunkRecord",
    "HttpDoneRecord",
    "HttpRequestRecord",
    "HttpResponseRecord",
    "MarkRecord",
    "MediaRef",
    "OpenRecord",
    "Record",
    "media_ref",
    "record_from_json",
    "record_to_json",
]

CASSETTE_VERSION: Final = 1
ORIGINS: Final = ("live", "emulator", "derived", "synthetic", "imported")
TIMINGS: Final = ("recorded", "estimated")
MEDIA: Final = ("full", "shortened")
SERVICES: Final = ("realtime", "stt", "tts", "chat", "mixed")

Direction: TypeAlias = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class MediaRef:
    """Bytes in a sidecar: `offset` and `size_bytes` count audio bytes (a WAV header does not count)."""

    file: str
    offset: int
    size_bytes: int

    def to_json(self) -> dict[str, Json]:
        return {"file": self.file, "offset": self.offset, "bytes": self.size_bytes}


@dataclass(frozen=True, slots=True)
class Header:
    """First line: what the tape is and where it comes from."""

    kind: ClassVar[str] = "header"
    cassette: int = CASSETTE_VERSION
    origin: str = "live"
    service: str = "realtime"
    recorded_at: str | None = None
    sdk: str | None = None
    spec_sha256: str | None = None
    timing: str = "recorded"
    media: str = "full"
    redaction: Mapping[str, Json] = field(default_factory=dict)
    notes: str = ""


@dataclass(slots=True)
class OpenRecord:
    """A handshake. `url` is scrubbed, None when an imported capture does not know it; `status` 101 is a socket."""

    kind: ClassVar[str] = "open"
    conn: int
    at_ms: float
    url: str | None
    subprotocol: str | None = None
    status: int = 101
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    line: int = 0


@dataclass(slots=True)
class FrameRecord:
    """One message: `value` when it is JSON (media references inside), `text` when it is text, `media` when binary.

    `opcode` is `text` for a text message that had to be kept as media since it is no UTF-8.
    """

    kind: ClassVar[str] = "frame"
    conn: int
    at_ms: float
    direction: Direction
    value: Json = None
    text: str | None = None
    media: MediaRef | None = None
    opcode: str | None = None
    line: int = 0

    @property
    def type(self) -> str:
        """The event's type, or what stands in its place."""
        if self.text is not None:
            return "(text)"
        if self.media is not None:
            return "(binary)"
        name = self.value.get("type") if isinstance(self.value, dict) else None
        return name if isinstance(name, str) else "(no type)"


@dataclass(slots=True)
class CloseRecord:
    """The end of a connection. `by` is who ended it."""

    kind: ClassVar[str] = "close"
    conn: int
    at_ms: float
    by: Literal["client", "server", "network"]
    code: int | None = None
    reason: str = ""
    clean: bool = True
    line: int = 0


@dataclass(slots=True)
class HttpRequestRecord:
    """An HTTP request. `body` is a JSON object or list, a text, `{"$media": ...}` for bytes, None for no body."""

    kind: ClassVar[str] = "request"
    conn: int
    at_ms: float
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None
    line: int = 0


@dataclass(slots=True)
class HttpResponseRecord:
    """The head of an HTTP answer."""

    kind: ClassVar[str] = "response"
    conn: int
    at_ms: float
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


@dataclass(slots=True)
class HttpChunkRecord:
    """A piece of an HTTP body as it came: `text`, or `media` when it is none."""

    kind: ClassVar[str] = "chunk"
    conn: int
    at_ms: float
    text: str | None = None
    media: MediaRef | None = None
    line: int = 0


@dataclass(slots=True)
class HttpDoneRecord:
    """The end of an HTTP answer.

    `error` is None for a whole answer, `connect`, `timeout` or `broken` for one that failed, `client` for one
    that the client left before its end, `unkept` when its rest is not on the tape; `reason` says more (of a
    `timeout` it is the phase).
    """

    kind: ClassVar[str] = "done"
    conn: int
    at_ms: float
    error: str | None = None
    line: int = 0
    reason: str = ""


@dataclass(slots=True)
class MarkRecord:
    """A named moment ("barge-in")."""

    kind: ClassVar[str] = "mark"
    at_ms: float
    label: str
    line: int = 0


@dataclass(slots=True)
class EndRecord:
    """Last line: whether the recording is whole, which model served, how many records and which media it has."""

    kind: ClassVar[str] = "end"
    complete: bool
    model: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    media: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    line: int = 0


Record: TypeAlias = (
    OpenRecord
    | FrameRecord
    | CloseRecord
    | HttpRequestRecord
    | HttpResponseRecord
    | HttpChunkRecord
    | HttpDoneRecord
    | MarkRecord
    | EndRecord
)

_NUMBER: Final = (int, float)
_MAX_AT_MS: Final = 1e12
"""Thirty years: times beyond it are damage, and would not survive the arithmetic of a clock."""
_FIELDS: Final[Mapping[type, Mapping[str, tuple[type, ...]]]] = {
    Header: {
        "cassette": (int,),
        "origin": (str,),
        "service": (str,),
        "recorded_at": (str, type(None)),
        "sdk": (str, type(None)),
        "spec_sha256": (str, type(None)),
        "timing": (str,),
        "media": (str,),
        "redaction": (dict,),
        "notes": (str,),
    },
    OpenRecord: {
        "conn": (int,),
        "at_ms": _NUMBER,
        "url": (str, type(None)),
        "subprotocol": (str, type(None)),
        "status": (int,),
        "headers": (dict,),
        "body": (object,),
    },
    CloseRecord: {
        "conn": (int,),
        "at_ms": _NUMBER,
        "by": (str,),
        "code": (int, type(None)),
        "reason": (str,),
        "clean": (bool,),
    },
    HttpRequestRecord: {
        "conn": (int,),
        "at_ms": _NUMBER,
        "method": (str,),
        "url": (str,),
        "headers": (dict,),
        "body": (object,),
    },
    HttpResponseRecord: {"conn": (int,), "at_ms": _NUMBER, "status": (int,), "headers": (dict,)},
    HttpDoneRecord: {"conn": (int,), "at_ms": _NUMBER, "error": (str, type(None)), "reason": (str,)},
    MarkRecord: {"at_ms": _NUMBER, "label": (str,)},
    EndRecord: {"complete": (bool,), "model": (str, type(None)), "counts": (dict,), "media": (dict,)},
}
_REQUIRED: Final[Mapping[type, frozenset[str]]] = {
    Header: frozenset({"cassette", "origin", "service"}),
    OpenRecord: frozenset({"conn", "at_ms", "url"}),
    CloseRecord: frozenset({"conn", "at_ms", "by"}),
    HttpRequestRecord: frozenset({"conn", "at_ms", "method", "url"}),
    HttpResponseRecord: frozenset({"conn", "at_ms", "status"}),
    HttpDoneRecord: frozenset({"conn", "at_ms"}),
    MarkRecord: frozenset({"at_ms", "label"}),
    EndRecord: frozenset({"complete"}),
}
_BY_KIND: Final[Mapping[str, type]] = {
    cls.kind: cls
    for cls in (
        Header,
        OpenRecord,
        CloseRecord,
        HttpRequestRecord,
        HttpResponseRecord,
        HttpDoneRecord,
        MarkRecord,
        EndRecord,
    )
}


def record_to_json(record: Record | Header) -> dict[str, Json]:
    """The JSON object of a record, keys in their fixed order. Times are milliseconds with microsecond precision."""
    if isinstance(record, FrameRecord):
        return _frame_to_json(record)
    if isinstance(record, HttpChunkRecord):
        head: dict[str, Json] = {"kind": "chunk", "conn": record.conn, "at_ms": record.at_ms}
        return head | ({"media": record.media.to_json()} if record.media else {"text": record.text or ""})
    return {"kind": record.kind} | {name: _plain(getattr(record, name)) for name in _FIELDS[type(record)]}


def record_from_json(value: Json, line: int) -> Record | Header:
    """The record in a JSON object. Raises ValueError that says what is wrong with it."""
    if not isinstance(value, dict):
        raise ValueError("a record is a JSON object")
    kind = value.get("kind")
    if kind == "frame":
        return _frame_from_json(value, line)
    if kind == "chunk":
        return _chunk_from_json(value, line)
    cls = _BY_KIND.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"unknown record kind {str(kind)[:40]!r}")
    fields = _FIELDS[cls]
    given: dict[str, Any] = {}
    for name, item in value.items():
        if name == "kind":
            continue
        if name not in fields:
            raise ValueError(f"a record {kind!r} has no field {name[:40]!r}")
        if not (_is_time(item) if name == "at_ms" else _is_a(item, fields[name])):
            raise ValueError(f"field {name!r} of a record {kind!r} has a wrong type ({type(item).__name__})")
        given[name] = item
    missing = _REQUIRED[cls] - given.keys()
    if missing:
        raise ValueError(f"a record {kind!r} needs {', '.join(sorted(missing))}")
    if cls is not Header:
        given["line"] = line
    record: Record | Header = cls(**given)
    if isinstance(record, CloseRecord) and record.by not in ("client", "server", "network"):
        raise ValueError(f"a close is by client, server or network, not {record.by[:40]!r}")
    if not all(isinstance(text, str) for text in given.get("headers", {}).values()):
        raise ValueError(f"the headers of a record {kind!r} are texts")
    return record


def _is_a(value: Json, types: tuple[type, ...]) -> bool:
    if types == (object,):
        return True
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types)


def _is_time(value: Json) -> bool:
    return type(value) in _NUMBER and 0 <= value <= _MAX_AT_MS


def _plain(value: Any) -> Json:
    return dict(value) if isinstance(value, Mapping) else value


def _frame_to_json(record: FrameRecord) -> dict[str, Json]:
    head: dict[str, Json] = {"kind": "frame", "conn": record.conn, "at_ms": record.at_ms, "dir": record.direction}
    if record.media is not None:
        if record.opcode is not None:
            head["opcode"] = record.opcode
        return head | {"media": record.media.to_json()}
    if record.text is not None:
        return head | {"text": record.text}
    return head | {"json": record.value}


def _frame_from_json(value: dict[str, Json], line: int) -> FrameRecord:
    try:
        conn, at_ms, direction = value["conn"], value["at_ms"], value["dir"]
    except KeyError as missing:
        raise ValueError(f"a record 'frame' needs {missing}") from None
    if type(conn) is not int or not _is_time(at_ms) or direction not in ("in", "out"):
        raise ValueError("a record 'frame' has a wrong conn, at_ms or dir")
    if len(value) != (6 if "opcode" in value and "media" in value else 5):
        raise ValueError("a record 'frame' has one of json, text, media, and no field beside")
    if "json" in value:
        return FrameRecord(conn, at_ms, direction, value["json"], line=line)
    if isinstance(value.get("text"), str):
        return FrameRecord(conn, at_ms, direction, text=value["text"], line=line)
    if "media" in value:
        opcode = value.get("opcode")
        if opcode not in (None, "text"):
            raise ValueError("opcode can only be 'text'")
        return FrameRecord(conn, at_ms, direction, media=media_ref(value["media"]), opcode=opcode, line=line)
    raise ValueError("a record 'frame' needs one of json, text, media")


def _chunk_from_json(value: dict[str, Json], line: int) -> HttpChunkRecord:
    conn, at_ms = value.get("conn"), value.get("at_ms", -1)
    if type(conn) is not int or not _is_time(at_ms) or len(value) != 4:
        raise ValueError("a record 'chunk' has a wrong conn or at_ms, or a field too many")
    if isinstance(value.get("text"), str):
        return HttpChunkRecord(conn, at_ms, text=value["text"], line=line)
    if "media" in value:
        return HttpChunkRecord(conn, at_ms, media=media_ref(value["media"]), line=line)
    raise ValueError("a record 'chunk' needs text or media")


def media_ref(value: Json) -> MediaRef:
    """The reference in a JSON object. Raises ValueError."""
    if isinstance(value, dict) and value.keys() == {"file", "offset", "bytes"}:
        file, offset, size = value["file"], value["offset"], value["bytes"]
        if isinstance(file, str) and type(offset) is int and type(size) is int and offset >= 0 and size >= 0:
            return MediaRef(file, offset, size)
    raise ValueError("a media reference is {file, offset, bytes}")
