"""A tape that is being written. In: frames and what happens to sockets. Out: `NAME.jsonl` and its sidecar.

Each record is redacted, its audio set aside, its ids named, and appended to `NAME.jsonl.partial`; at the end the
whole is scanned once more and put in place. Imports: rooms 0-2.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from xai_realtime.cassette._http_records import HttpRecords
from xai_realtime.cassette._json import Json, dump_json, parse_exact, parse_json
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.media import MediaWriter, PathSteps, audio_out, split_path
from xai_realtime.cassette.records import (
    CloseRecord,
    EndRecord,
    FrameRecord,
    Header,
    MarkRecord,
    OpenRecord,
    Record,
    record_to_json,
)
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.services import EVENTS, pcm_rate_hz, service_of
from xai_realtime.cassette.tape import PARTIAL, media_folder
from xai_realtime.defaults import AUDIO_RATE_HZ
from xai_realtime.errors import CassetteFormatError, RedactionError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import HttpRequest

__all__ = ["CassetteWriter"]

AUDIO_PATHS: Final[Mapping[str, Mapping[str, tuple[PathSteps, ...]]]] = {
    service: {name: tuple(map(split_path, paths)) for name, paths in events.BASE64_FIELDS.items()}
    for service, events in EVENTS.items()
}
NEAR_DEPTH_LIMIT: Final = 90
"""Fewer brackets than this stay under the parser's depth limit even when each gets one more around it."""


class CassetteWriter:
    """Writes one tape.

    `path` ends in `.jsonl`. `redactor` and `names` belong to this tape alone; `names=None` keeps ids as
    they are. Times are milliseconds from the first record, kept to the microsecond. What follows a piece of
    an HTTP body that cannot be redacted yet waits for it in memory.
    """

    def __init__(self, path: Path, header: Header, redactor: Redactor, names: IdNames | None) -> None:
        if path.suffix != ".jsonl":
            raise CassetteFormatError("a cassette's name ends in .jsonl", path=path.name)
        self.path = path
        self.header = header
        self._redactor = redactor
        self._names = names
        self._partial = path.with_name(path.name + PARTIAL)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(media_folder(self._partial), ignore_errors=True)
        self._media = MediaWriter(media_folder(self._partial))
        self._file: BinaryIO = self._partial.open("wb")
        self._counts: dict[str, int] = {}
        self._services: dict[int, str | None] = {}
        self._rates: dict[tuple[int, str], int | None] = {}
        self._model: str | None = None
        self._http = HttpRecords(redactor, names, self._media)
        self._held: deque[tuple[Callable[[], bool] | None, Callable[[], None]]] = deque()
        self._put(header)

    def open(
        self,
        conn: int,
        at_ms: float,
        url: str | None,
        *,
        subprotocol: str | None = None,
        status: int = 101,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """A handshake, also a refused one (`status`, `body`)."""
        self._in_turn(partial(self._open, conn, at_ms, url, subprotocol, status, headers, body))

    def _open(
        self,
        conn: int,
        at_ms: float,
        url: str | None,
        subprotocol: str | None,
        status: int,
        headers: Mapping[str, str] | None,
        body: bytes,
    ) -> None:
        service = self._services[conn] = service_of(self.header.service, url)
        self._rates[conn, "in"], self._rates[conn, "out"] = (pcm_rate_hz(service, url, way) for way in ("in", "out"))
        clean_url = None if url is None else self._clean_url(url)
        clean_body: Json = None
        if body:
            is_json, value = parse_exact(body)
            if is_json and isinstance(value, dict | list):
                clean_body = self._clean(value)
            else:
                clean_body = self._redactor.text(body.decode("utf-8", "replace"))
        subprotocol = None if subprotocol is None else self._redactor.text(subprotocol)
        kept = self._redactor.headers(headers or {})
        self._put(OpenRecord(conn, _ms(at_ms), clean_url, subprotocol, status, kept, clean_body))

    def frame(self, conn: int, at_ms: float, direction: Literal["in", "out"], frame: Frame) -> None:
        """One message."""
        if self._held:
            self._in_turn(partial(self._frame, conn, at_ms, direction, frame))
        else:
            self._frame(conn, at_ms, direction, frame)

    def _frame(self, conn: int, at_ms: float, direction: Literal["in", "out"], frame: Frame) -> None:
        at_ms = _ms(at_ms)
        if not frame.is_text:
            reference = self._media.append(
                f"conn{conn}.{direction}", frame.data, pcm_rate_hz=self._rate(conn, direction)
            )
            self._put(FrameRecord(conn, at_ms, direction, media=reference))
            return
        is_json, value = parse_exact(frame.data)
        if is_json:
            self._note_session(conn, value)
            record = FrameRecord(conn, at_ms, direction, self._clean(self._aside(conn, direction, value)))
            if _is_readable(record, frame.data):
                self._put(record)
                return
        try:
            text = frame.data.decode("utf-8")
        except UnicodeDecodeError:
            clean = self._redactor.text(frame.data.decode("utf-8", "surrogateescape"))
            data = clean.encode("utf-8", "surrogateescape")
            reference = self._media.append(f"conn{conn}.{direction}.text", data, pcm_rate_hz=None)
            self._put(FrameRecord(conn, at_ms, direction, media=reference, opcode="text"))
            return
        self._put(FrameRecord(conn, at_ms, direction, text=self._redactor.text(text)))

    def close(
        self,
        conn: int,
        at_ms: float,
        by: Literal["client", "server", "network"],
        code: int | None,
        reason: str,
        clean: bool,
    ) -> None:
        """The end of a connection."""

        def write() -> None:
            text = self._named_text(self._redactor.text(reason))
            self._put(CloseRecord(conn, _ms(at_ms), by, code, text, clean))

        self._in_turn(write)

    def request(self, conn: int, at_ms: float, request: HttpRequest) -> None:
        """An HTTP request."""
        self._in_turn(lambda: self._put(self._http.request(conn, _ms(at_ms), self._clean_url(request.url), request)))

    def response(self, conn: int, at_ms: float, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """The head of an HTTP answer."""
        headers = tuple(headers)
        self._http.begin_body(conn, headers)
        self._in_turn(lambda: self._put(self._http.response(conn, _ms(at_ms), status, headers)))

    def chunk(self, conn: int, at_ms: float, data: bytes) -> None:
        """A piece of an HTTP body, as it came."""
        pending = self._http.piece(conn, data)

        def write() -> None:
            record = self._http.chunk(_ms(at_ms), pending)
            if record is not None:
                self._put(record)

        self._in_turn(write, pending.is_ready)

    def done(self, conn: int, at_ms: float, error: str | None = None, reason: str = "") -> None:
        """The end of an HTTP answer; `error` and `reason` as the record has them."""
        self._http.finish(conn)
        self._in_turn(lambda: self._put(self._http.done(conn, _ms(at_ms), error, reason)))

    def mark(self, at_ms: float, label: str) -> None:
        """A named moment."""
        self._in_turn(lambda: self._put(MarkRecord(_ms(at_ms), self._redactor.text(label))))

    def finish(self, *, complete: bool = True) -> Path:
        """Write the end, scan the whole once more, put it in place and give its path.

        An incomplete tape is put beside the name, as `NAME.failed.jsonl`, so that it replaces no good one.
        Raises RedactionError when the scan finds a secret; the `.partial` file then stays where it is.
        """
        self._write_held()
        self._put(EndRecord(complete, self._model, dict(self._counts), self._media.finish()))
        self._file.close()
        self._scan()
        path = self.path if complete else self.path.with_name(self.path.name.removesuffix(".jsonl") + ".failed.jsonl")
        source, target = media_folder(self._partial), media_folder(path)
        shutil.rmtree(target, ignore_errors=True)
        if source.exists():
            source.rename(target)
        self._partial.replace(path)
        return path

    def abandon(self) -> None:
        """Leave what is written as a `.partial` tape, closed."""
        if not self._file.closed:
            self._write_held()
            self._media.finish()
            self._file.close()

    def _in_turn(self, write: Callable[[], None], is_ready: Callable[[], bool] | None = None) -> None:
        """Write when all that came before is written: names and file offsets follow the order of the tape."""
        self._held.append((is_ready, write))
        while self._held:
            is_ready, write = self._held[0]
            if is_ready is not None and not is_ready():
                return
            self._held.popleft()
            write()

    def _write_held(self) -> None:
        self._http.finish()
        while self._held:
            self._held.popleft()[1]()

    def _put(self, record: Record | Header) -> None:
        if not isinstance(record, Header | EndRecord):
            self._counts[record.kind] = self._counts.get(record.kind, 0) + 1
        self._media.flush()
        self._file.write(dump_json(record_to_json(record)) + b"\n")
        self._file.flush()

    def _clean(self, value: Json) -> Json:
        value = self._redactor.json(value)
        return value if self._names is None else self._names.canonical(value)

    def _named_text(self, text: str) -> str:
        return text if self._names is None else self._names.canonical_text(text)

    def _clean_url(self, url: str) -> str:
        url = self._redactor.url(_without_own_host(url))
        return url if self._names is None else self._names.canonical_url(url)

    def _aside(self, conn: int, direction: str, value: Json) -> Json:
        name = value.get("type") if isinstance(value, dict) else None
        service = self._services.get(conn) or self.header.service
        paths = AUDIO_PATHS.get(service, {}).get(name, ()) if isinstance(name, str) else ()
        rate_hz = self._rate(conn, direction)
        stem = f"conn{conn}.{direction}"
        return audio_out(value, paths, lambda audio: self._media.append(stem, audio, pcm_rate_hz=rate_hz))

    def _rate(self, conn: int, direction: str) -> int | None:
        return self._rates.get((conn, direction), AUDIO_RATE_HZ)

    def _note_session(self, conn: int, value: Json) -> None:
        """Follow the audio formats and the served model, which name and cut the sidecar files."""
        if not isinstance(value, dict) or value.get("type") not in (
            "session.created",
            "session.update",
            "session.updated",
        ):
            return
        session = value.get("session")
        if not isinstance(session, dict):
            return
        if isinstance(session.get("model"), str) and value["type"] != "session.update":
            self._model = self._redactor.text(session["model"])
        audio = session.get("audio")
        for side, direction in (("input", "out"), ("output", "in")):
            part = audio.get(side) if isinstance(audio, dict) else None
            form = part.get("format") if isinstance(part, dict) else None
            if isinstance(form, dict):
                rate = form.get("rate", AUDIO_RATE_HZ)
                is_pcm = form.get("type", "audio/pcm") == "audio/pcm" and type(rate) is int and 1000 <= rate <= 768_000
                self._rates[conn, direction] = rate if is_pcm else None

    def _scan(self) -> None:
        with self._partial.open("rb") as file:
            for number, line in enumerate(file, 1):
                rule = self._redactor.scan(line.decode("utf-8"))
                if rule is not None:
                    raise RedactionError(rule, path=os.fspath(self._partial.name), line=number)


def _is_readable(record: FrameRecord, data: bytes) -> bool:
    """False when the value is nested so deep that no reader could take it inside a record."""
    if data.count(b"[") + data.count(b"{") < NEAR_DEPTH_LIMIT:
        return True
    try:
        parse_json(dump_json(record_to_json(record)))
    except ValueError:
        return False
    return True


def _without_own_host(url: str) -> str:
    """The address with `local` for a host that means something on the recording machine alone."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or re.fullmatch(r"[^.:]+|[0-9.]+|.*:.*", host) is None:
        return url
    return urlunsplit(parts._replace(netloc="local"))


def _ms(at_ms: float) -> float:
    return round(at_ms, 3) + 0.0
