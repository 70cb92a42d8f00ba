"""A tape that was loaded. In: a path. Out: a Cassette: header, records, connections, frames, HTTP exchanges.

Imports: rooms 0-2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final

from xai_realtime.cassette._json import Json, dump_json, parse_json
from xai_realtime.cassette.media import REFERENCE, MediaReader, audio_in
from xai_realtime.cassette.records import (
    CASSETTE_VERSION,
    MEDIA,
    ORIGINS,
    SERVICES,
    TIMINGS,
    CloseRecord,
    EndRecord,
    FrameRecord,
    Header,
    HttpChunkRecord,
    HttpDoneRecord,
    HttpRequestRecord,
    HttpResponseRecord,
    OpenRecord,
    Record,
    media_ref,
    record_from_json,
)
from xai_realtime.errors import CassetteFormatError
from xai_realtime.frames import Frame

__all__ = ["Cassette", "TapedConnection", "TapedExchange", "load_cassette", "media_folder"]

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
MAX_TAPE_BYTES: Final = 1024 * 1024 * 1024
PARTIAL: Final = ".partial"


@dataclass(slots=True)
class TapedConnection:
    """One socket of the tape: its handshake, its frames in the order of the tape, its end if it has one."""

    conn: int
    open: OpenRecord
    frames: list[FrameRecord] = field(default_factory=list)
    close: CloseRecord | None = None


@dataclass(slots=True)
class TapedExchange:
    """One HTTP exchange of the tape: the request, the head of its answer, the body in pieces, its end.

    `response` is None when no answer came, `done` when the recording was cut short.
    """

    conn: int
    request: HttpRequestRecord
    response: HttpResponseRecord | None = None
    chunks: list[HttpChunkRecord] = field(default_factory=list)
    done: HttpDoneRecord | None = None


class Cassette:
    """A loaded tape.

    `path` is the file, `header` and `end` its first and last record (`end` is None for what a killed
    process left), `records` everything between, `connections` the sockets by number in the order they
    were opened, `exchanges` the HTTP requests likewise, `complete` whether the recording came to its end.
    """

    def __init__(
        self, path: Path, header: Header, records: list[Record], end: EndRecord | None, reader: MediaReader
    ) -> None:
        self.path = path
        self.header = header
        self.records = records
        self.end = end
        self._reader = reader
        self.connections = _connections(path, records)
        self.exchanges = _exchanges(path, records, self.connections)

    @property
    def complete(self) -> bool:
        """False for a recording that was cut short."""
        return self.end is not None and self.end.complete

    @property
    def tape_ms(self) -> float:
        """Length of the tape in milliseconds: the time of its last record."""
        return max((record.at_ms for record in self.records if not isinstance(record, EndRecord)), default=0.0)

    def value(self, record: FrameRecord) -> Json:
        """The JSON value of a frame with its audio in place (base64). Raises CassetteFormatError."""
        try:
            return audio_in(record.value, self._reader.load)
        except (ValueError, OSError) as error:
            raise self._damaged(error, record.line) from None

    def frame(self, record: FrameRecord) -> Frame:
        """The message of a record, as bytes. Raises CassetteFormatError when its media cannot be had."""
        if record.media is not None:
            return Frame(self.media(record), record.opcode == "text", record.at_ms)
        if record.text is not None:
            return Frame(record.text.encode("utf-8", "surrogatepass"), True, record.at_ms)
        return Frame(dump_json(self.value(record)), True, record.at_ms)

    def media(self, record: FrameRecord | HttpChunkRecord) -> bytes:
        """The bytes of a binary record. Raises CassetteFormatError."""
        if record.media is None:
            raise CassetteFormatError("this record has no media", path=str(self.path), line=record.line)
        try:
            return self._reader.load(record.media)
        except (ValueError, OSError) as error:
            raise self._damaged(error, record.line) from None

    def piece(self, record: HttpChunkRecord) -> bytes:
        """The bytes of a piece of an HTTP body. Raises CassetteFormatError."""
        return self.media(record) if record.media is not None else (record.text or "").encode("utf-8", "surrogatepass")

    def request_body(self, record: HttpRequestRecord) -> Json | bytes:
        """The body of a request: a JSON object or list, a text, bytes, None for none. Raises CassetteFormatError."""
        body = record.body
        try:
            if isinstance(body, dict) and body.keys() == {REFERENCE}:
                return self._reader.load(media_ref(body[REFERENCE]))
            return audio_in(body, self._reader.load)
        except (ValueError, OSError) as error:
            raise self._damaged(error, record.line) from None

    def _damaged(self, error: Exception, line: int) -> CassetteFormatError:
        reason = str(error) if isinstance(error, ValueError) else f"media cannot be read ({type(error).__name__})"
        return CassetteFormatError(reason, path=str(self.path), line=line)

    def __repr__(self) -> str:
        state = "" if self.complete else ", incomplete"
        return f"<Cassette {self.path.name}: {self.header.origin}, {len(self.records)} records{state}>"


def media_folder(path: Path) -> Path:
    """The sidecar folder of a tape: `NAME.media` beside `NAME.jsonl`, `NAME.media.partial` while recording."""
    partial = path.name.endswith(PARTIAL)
    name = path.name.removesuffix(PARTIAL).removesuffix(".jsonl")
    return path.with_name(f"{name}.media{PARTIAL if partial else ''}")


def load_cassette(path: str | PathLike[str]) -> Cassette:
    """Load a tape. Every record is checked; media are read and verified when first used.

    Raises CassetteFormatError, with the line, for a file that is no tape, a newer version, an unknown
    record, a truncated or over-long line, and FileNotFoundError when there is no such file.
    """
    path = Path(path)
    with path.open("rb") as file:
        lines = _lines(path, file)
        header = _header(path, lines)
        records: list[Record] = []
        end: EndRecord | None = None
        for number, text in lines:
            if end is not None:
                raise CassetteFormatError("a record after the end", path=str(path), line=number)
            record = _record(path, number, text)
            if isinstance(record, Header):
                raise CassetteFormatError("a second header", path=str(path), line=number)
            if isinstance(record, EndRecord):
                end = record
            else:
                records.append(record)
    if end is None and not path.name.endswith(PARTIAL):
        raise CassetteFormatError("truncated: the end record is missing", path=str(path), line=len(records) + 1)
    if end is not None:
        _check_counts(path, records, end)
    expected = end.media if end is not None else None
    return Cassette(path, header, records, end, MediaReader(media_folder(path), expected))


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = total = 0
    while text := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        total += len(text)
        if len(text) > MAX_LINE_BYTES:
            raise CassetteFormatError(f"a line over {MAX_LINE_BYTES} bytes", path=str(path), line=number)
        if total > MAX_TAPE_BYTES:
            raise CassetteFormatError(f"a tape over {MAX_TAPE_BYTES} bytes", path=str(path), line=number)
        if text.endswith(b"\n"):
            yield number, text
        elif not path.name.endswith(PARTIAL):
            raise CassetteFormatError("truncated: the last line is not finished", path=str(path), line=number)


def _header(path: Path, lines: Iterator[tuple[int, bytes]]) -> Header:
    foreign = CassetteFormatError("no cassette: its first line is no header", path=str(path), line=1)
    try:
        _, text = next(lines)
        value = parse_json(text)
    except (StopIteration, ValueError):
        raise foreign from None
    if not isinstance(value, dict) or value.get("kind") != "header" or "cassette" not in value:
        raise foreign
    version = value["cassette"]
    if type(version) is not int or version < 1:
        raise CassetteFormatError("the cassette version is no number from 1", path=str(path), line=1)
    if version > CASSETTE_VERSION:
        reason = f"cassette version {version} is newer than this library reads ({CASSETTE_VERSION})"
        raise CassetteFormatError(reason, path=str(path), line=1)
    try:
        header = record_from_json(value, 1)
    except ValueError as error:
        raise CassetteFormatError(str(error), path=str(path), line=1) from None
    if not isinstance(header, Header):
        raise foreign
    if header.origin not in ORIGINS or header.service not in SERVICES:
        reason = f"origin is one of {', '.join(ORIGINS)}; service one of {', '.join(SERVICES)}"
        raise CassetteFormatError(reason, path=str(path), line=1)
    if header.timing not in TIMINGS or header.media not in MEDIA:
        reason = f"timing is one of {', '.join(TIMINGS)}; media one of {', '.join(MEDIA)}"
        raise CassetteFormatError(reason, path=str(path), line=1)
    return header


def _record(path: Path, number: int, text: bytes) -> Record | Header:
    try:
        return record_from_json(parse_json(text), number)
    except ValueError as error:
        raise CassetteFormatError(str(error), path=str(path), line=number) from None


def _check_counts(path: Path, records: list[Record], end: EndRecord) -> None:
    counts: dict[str, int] = {}
    for record in records:
        counts[record.kind] = counts.get(record.kind, 0) + 1
    if end.counts and dict(end.counts) != counts:
        reason = f"the end states {dict(end.counts)} records, the tape holds {counts}"
        raise CassetteFormatError(reason, path=str(path), line=end.line)


def _connections(path: Path, records: list[Record]) -> dict[int, TapedConnection]:
    found: dict[int, TapedConnection] = {}
    for record in records:
        if isinstance(record, OpenRecord):
            if record.conn in found:
                reason = f"connection {record.conn} is opened twice"
                raise CassetteFormatError(reason, path=str(path), line=record.line)
            found[record.conn] = TapedConnection(record.conn, record)
        elif isinstance(record, FrameRecord | CloseRecord):
            connection = found.get(record.conn)
            if connection is None or connection.close is not None or connection.open.status != 101:
                state = "closed" if connection is not None and connection.close is not None else "not open"
                reason = f"connection {record.conn} is {state} here"
                raise CassetteFormatError(reason, path=str(path), line=record.line)
            if isinstance(record, CloseRecord):
                connection.close = record
            else:
                connection.frames.append(record)
    return found


def _exchanges(path: Path, records: list[Record], connections: dict[int, TapedConnection]) -> dict[int, TapedExchange]:
    found: dict[int, TapedExchange] = {}
    for record in records:
        if isinstance(record, HttpRequestRecord):
            if record.conn in found or record.conn in connections:
                reason = f"connection {record.conn} is opened twice"
                raise CassetteFormatError(reason, path=str(path), line=record.line)
            found[record.conn] = TapedExchange(record.conn, record)
        elif isinstance(record, HttpResponseRecord | HttpChunkRecord | HttpDoneRecord):
            exchange = found.get(record.conn)
            if exchange is None or exchange.done is not None:
                state = "not open" if exchange is None else "over"
                reason = f"the exchange {record.conn} is {state} here"
                raise CassetteFormatError(reason, path=str(path), line=record.line)
            if isinstance(record, HttpDoneRecord):
                exchange.done = record
            elif isinstance(record, HttpResponseRecord) is (exchange.response is not None):
                reason = f"the answer of exchange {record.conn} has two heads, or a body before its head"
                raise CassetteFormatError(reason, path=str(path), line=record.line)
            elif isinstance(record, HttpResponseRecord):
                exchange.response = record
            else:
                exchange.chunks.append(record)
    return found
