"""What somebody else recorded, as values. In: objects of a capture. Out: entries, then steps of numbered connections.

A capture need not say where a connection begins: a message after a close begins one, and so does a second
`session.created` or `transcript.created`. Nor need it say who sent an event: that goes by the service, and the service
by the address or by the events. Imports: rooms 0-2.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import pybase64

from xai_realtime.cassette._json import Json, dump_json, parse_exact
from xai_realtime.cassette.importing._clock import GivenTime, Unit, given_time
from xai_realtime.cassette.services import EVENTS, service_of
from xai_realtime.frames import Frame

__all__ = [
    "CLOSES",
    "DIRECTIONS",
    "FIELDS",
    "OPENS",
    "PAYLOADS",
    "Capture",
    "Closing",
    "Entry",
    "EntryError",
    "Message",
    "Opening",
    "Step",
    "direction_of",
    "message",
    "read_entry",
    "service_of_capture",
    "steps_of",
]

Direction: TypeAlias = Literal["in", "out"]
By: TypeAlias = Literal["client", "server", "network"]

DIRECTIONS: Final[Mapping[str, Direction]] = {
    **dict.fromkeys(("in", "<", "<<", "incoming", "inbound", "receive", "received", "recv", "rx", "server"), "in"),
    **dict.fromkeys(("out", ">", ">>", "client", "outbound", "outgoing", "send", "sent", "tx"), "out"),
}
MESSAGES: Final = frozenset({"binary", "frame", "json", "message", "text"})
OPENS: Final = frozenset({"connect", "connected", "handshake", "open", "opened"})
CLOSES: Final = frozenset({"close", "closed", "disconnect", "disconnected"})
PAYLOADS: Final = ("data", "event", "message", "frame", "json", "payload", "text", "binary")
WAYS: Final = ("direction", "dir", "from")
CONNECTIONS: Final = ("conn", "connection", "connection_id", "socket")
TIMES: Final = ("at_ms", "time_ms", "timestamp_ms", "ts_ms", "t_ms", "at", "time", "timestamp", "ts", "t")
CREATED: Final = frozenset({"session.created", "transcript.created"})
"""What a server says once, when a connection begins."""
_COMMON: Final = frozenset({"kind", *CONNECTIONS, *TIMES})
FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "message": _COMMON | {"encoding", "opcode", *WAYS, *PAYLOADS},
    "open": _COMMON | {"body", "headers", "status", "subprotocol", "url", *WAYS},
    "close": _COMMON | {"by", "clean", "code", "ok", "reason", *WAYS},
}
"""What an object of each kind may hold."""

_ENDS: Final[Mapping[str, By]] = {
    "client": "client", "local": "client", "out": "client", "sent": "client", "us": "client",
    "in": "server", "peer": "server", "received": "server", "remote": "server", "server": "server",
    "network": "network",
}  # fmt: skip
_HEX: Final = re.compile("(?:[0-9a-fA-F]{2})+")


class EntryError(ValueError):
    """An object that no entry can be read from; the reader of the file adds the place."""


@dataclass(slots=True)
class Message:
    """One message. `value` is its JSON when it is an object, None otherwise.

    `is_directed` is False while nobody has said who sent it.
    """

    direction: Direction
    frame: Frame
    value: dict[str, Any] | None = None
    is_directed: bool = True


@dataclass(slots=True)
class Opening:
    """A handshake that the capture states."""

    url: str | None = None
    subprotocol: str | None = None
    status: int = 101
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Closing:
    """The end of a connection."""

    by: By
    code: int | None
    reason: str
    clean: bool


What: TypeAlias = Message | Opening | Closing


@dataclass(slots=True)
class Entry:
    """One object of a capture: what happened, on which socket if the capture tells them apart, and when if it says."""

    what: What
    socket: str | None = None
    time: GivenTime | None = None


@dataclass(slots=True)
class Step:
    """One record of the tape to be: `conn` counts from 1, `at_ms` from the first step; an implied open has no time."""

    conn: int
    what: What
    time: GivenTime | None = None
    implied: bool = False
    at_ms: float = 0.0


@dataclass(slots=True)
class Capture:
    """A capture that was read. `kind` names its format, `url` is the address it states for every connection."""

    kind: str
    entries: list[Entry]
    url: str | None = None


def direction_of(value: Json, service: str) -> Direction:
    """Who sends an event of this type; a type that nobody knows counts as received."""
    return "out" if _type_of(value) in EVENTS[service].CLIENT_EVENTS else "in"


def message(frame: Frame, direction: Direction | None) -> Message:
    """A message; without a direction it counts as received until `steps_of` knows the service."""
    is_json, value = parse_exact(frame.data) if frame.is_text else (False, None)
    content = value if is_json and isinstance(value, dict) else None
    return Message(direction or "in", frame, content, direction is not None)


def service_of_capture(capture: Capture, url: str | None) -> str:
    """The service that a capture is of: by the first address that tells, else by most of its event types."""
    urls = (entry.what.url for entry in capture.entries if isinstance(entry.what, Opening))
    for address in (url, capture.url, *urls):
        service = service_of("", address)
        if service is not None:
            return service
    names = [_type_of(entry.what.value) for entry in capture.entries if isinstance(entry.what, Message)]
    return max(EVENTS, key=lambda service: _known(service, names))


def _known(service: str, names: Iterable[str | None]) -> int:
    events = EVENTS[service]
    return sum(name in events.SERVER_EVENTS or name in events.CLIENT_EVENTS for name in names)


def _type_of(value: Json) -> str | None:
    name = value.get("type") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def read_entry(item: Mapping[str, Any], *, strict: bool) -> Entry:
    """The entry in an object with a `kind`, a direction and a payload, in any order, as far as they are there.

    `strict` is for the YAML form: it refuses fields that such an object does not have, and `at` is in seconds.
    Raises EntryError.
    """
    kind, direction = _kind(item)
    if strict:
        unknown = sorted(set(item) - FIELDS[kind])
        if unknown:
            raise EntryError(f"a {kind} has no field {_short(unknown[0])}")
    what: What
    if kind == "open":
        what = _opening(item)
    elif kind == "close":
        what = _closing(item)
    else:
        what = _message(item, direction)
    return Entry(what, _socket(item), _time(item, "s" if strict else None))


def _kind(item: Mapping[str, Any]) -> tuple[str, Direction | None]:
    stated = item.get("kind")
    if not isinstance(stated, str | None):
        raise EntryError(f"unknown kind {_short(stated)}")
    word = None if stated is None else stated.lower()
    direction: Direction | None = None
    for key in WAYS:
        if key in item and word not in CLOSES | OPENS:
            way = item[key]
            direction = DIRECTIONS.get(way.lower()) if isinstance(way, str) else None
            if direction is None:
                raise EntryError(f"the {key} {_short(way)} is neither sent nor received")
    if word is None or word in MESSAGES:
        return "message", direction
    if word in OPENS:
        return "open", None
    if word in CLOSES:
        return "close", None
    if word in DIRECTIONS:
        return "message", direction or DIRECTIONS[word]
    raise EntryError(f"unknown kind {_short(stated)}")


def _message(item: Mapping[str, Any], direction: Direction | None) -> Message:
    key = next((name for name in PAYLOADS if item.get(name) is not None), None)
    if key is None:
        raise EntryError("a message without data")
    payload = item[key]
    encoding, opcode, kind = item.get("encoding"), item.get("opcode"), item.get("kind")
    if encoding not in (None, "base64", "hex", "json", "text", "utf-8", "utf8"):
        raise EntryError(f"unknown encoding {_short(encoding)}")
    if opcode not in (None, 1, 2, "binary", "text"):
        raise EntryError(f"opcode {_short(opcode)} is no message")
    if isinstance(payload, dict) and len(payload) == 1 and (inner := next(iter(payload))) in ("base64", "hex"):
        encoding, payload = inner, payload[inner]
    is_text = kind == "text" or opcode in (1, "text")
    is_binary = kind == "binary" or key == "binary" or opcode in (2, "binary")
    if isinstance(payload, str) and (encoding in ("base64", "hex") or is_binary):
        return message(Frame(_decoded(payload, encoding), is_text and not is_binary), direction)
    if isinstance(payload, bytes):
        return message(Frame(payload, is_text), direction)
    if isinstance(payload, str):
        return message(Frame(payload.encode("utf-8", "surrogatepass")), direction)
    if isinstance(payload, dict | list) and not is_binary:
        return message(Frame(dump_json(payload)), direction)
    raise EntryError(f"the {key} of a message is no object and no text")


def _decoded(text: str, encoding: str | None) -> bytes:
    text = "".join(text.split())
    if encoding == "hex" or (encoding != "base64" and _HEX.fullmatch(text)):
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise EntryError("a binary message that is no hex") from None
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EntryError("a binary message that is neither base64 nor hex") from None


def _opening(item: Mapping[str, Any]) -> Opening:
    headers, body = item.get("headers") or {}, item.get("body")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise EntryError("headers are an object of texts")
    data = b"" if body is None else body.encode() if isinstance(body, str) else dump_json(body)
    status = _number(item, "status")
    return Opening(
        _optional_text(item, "url"), _optional_text(item, "subprotocol"), 101 if status is None else status,
        headers, data,
    )  # fmt: skip


def _closing(item: Mapping[str, Any]) -> Closing:
    code = _number(item, "code")
    ok = next((item[name] for name in ("ok", "clean") if item.get(name) is not None), code in (1000, 1001))
    if not isinstance(ok, bool):
        raise EntryError("ok of a close is true or false")
    by: By = "network" if code == 1006 or (code is None and not ok) else "server"
    stated = next((item[name] for name in ("by", *WAYS) if item.get(name) is not None), None)
    if stated is not None:
        known = _ENDS.get(stated.lower()) if isinstance(stated, str) else None
        if known is None:
            raise EntryError(f"a close by {_short(stated)}: it is by client, server or network")
        by = known
    return Closing(by, code, _optional_text(item, "reason") or "", ok)


def _socket(item: Mapping[str, Any]) -> str | None:
    for key in CONNECTIONS:
        value = item.get(key)
        if isinstance(value, str) or type(value) is int:
            return str(value)
    return None


def _time(item: Mapping[str, Any], unit_of_at: Unit | None) -> GivenTime | None:
    for key in TIMES:
        if item.get(key) is not None:
            given = given_time(item[key], "ms" if key.endswith("_ms") else unit_of_at if key == "at" else None)
            if given is None:
                raise EntryError(f"the {key} {_short(item[key])} is no time")
            return given
    return None


def _number(item: Mapping[str, Any], key: str) -> int | None:
    value = item.get(key)
    if value is None or (type(value) is int and 0 <= value < 65_536):
        return value
    raise EntryError(f"{key} is a number from 0 to 65535")


def _optional_text(item: Mapping[str, Any], key: str) -> str | None:
    value = item.get(key)
    if value is None or isinstance(value, str):
        return value
    raise EntryError(f"{key} is a text")


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | bool) or value is None else type(value).__name__
    return text if len(text) <= 42 else f"{text[:40]}…"


def steps_of(capture: Capture, url: str | None, service: str) -> list[Step]:
    """The entries as steps of numbered connections, with the opens and directions that the capture leaves out."""
    steps: list[Step] = []
    numbering = _Numbering(steps, url or capture.url)
    for entry in capture.entries:
        what = entry.what
        if isinstance(what, Message) and not what.is_directed:
            what.direction = direction_of(what.value, service)
        numbering.add(entry)
    return steps


class _Numbering:
    """Gives each entry its connection."""

    def __init__(self, steps: list[Step], url: str | None) -> None:
        self._steps = steps
        self._url = url
        self._count = 0
        self._open: dict[str | None, int] = {}
        self._created: set[int] = set()
        self._closed: dict[str | None, Closing] = {}

    def add(self, entry: Entry) -> None:
        what, socket = entry.what, entry.socket
        if isinstance(what, Opening):
            if what.url is None:
                what.url = self._url
            self._begin(socket, what, entry.time, implied=False)
            if what.status != 101:
                del self._open[socket]
        elif isinstance(what, Closing):
            if socket not in self._open:
                if self._closed.get(socket) == what:
                    return
                self._begin(socket, Opening(self._url), None, implied=True)
            self._closed[socket] = what
            self._steps.append(Step(self._open.pop(socket), what, entry.time))
        else:
            self._message(socket, what, entry.time)

    def _message(self, socket: str | None, what: Message, time: GivenTime | None) -> None:
        is_first = what.direction == "in" and _type_of(what.value) in CREATED
        if socket not in self._open or (is_first and self._open[socket] in self._created):
            self._begin(socket, Opening(self._url), None, implied=True)
        conn = self._open[socket]
        if is_first:
            self._created.add(conn)
        self._steps.append(Step(conn, what, time))

    def _begin(self, socket: str | None, what: Opening, time: GivenTime | None, *, implied: bool) -> None:
        self._count += 1
        self._open[socket] = self._count
        self._closed.pop(socket, None)
        self._steps.append(Step(self._count, what, time, implied))
