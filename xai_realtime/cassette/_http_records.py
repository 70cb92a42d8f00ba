"""HTTP exchanges as records of a tape. In: requests, heads, pieces of bodies. Out: records without secrets, ids named.

Imports: rooms 0-2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from xai_realtime.cassette._http_body import BodyKind, Piece, TextBody, body_kind, changed_unit, multipart_as
from xai_realtime.cassette._json import Json, parse_exact
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.media import MediaWriter, audio_out
from xai_realtime.cassette.records import (
    HttpChunkRecord,
    HttpDoneRecord,
    HttpRequestRecord,
    HttpResponseRecord,
    MediaRef,
)
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.transport.base import HttpRequest

__all__ = ["HttpRecords", "Pending", "clean_bytes", "request_body"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A piece of a body that may have to wait until its secrets can be seen."""

    conn: int
    data: bytes
    body: TextBody | None = None
    piece: Piece | None = None

    def is_ready(self) -> bool:
        """True when it can be written."""
        return self.body is None or self.piece is None or self.body.is_ready(self.piece)


class HttpRecords:
    """The exchanges of one tape that is being written."""

    def __init__(self, redactor: Redactor, names: IdNames | None, media: MediaWriter) -> None:
        self._redactor = redactor
        self._names = names
        self._media = media
        self._kinds: dict[int, BodyKind] = {}
        self._encodings: dict[int, str] = {}
        self._bodies: dict[int, TextBody] = {}

    def request(self, conn: int, at_ms: float, url: str, request: HttpRequest) -> HttpRequestRecord:
        """The record of a request; `url` is the address as it may stand on the tape."""
        headers = self._kept(request.headers.items())
        content_type, body = request_body(self._redactor, request)
        if "content-type" in headers:
            headers["content-type"] = self._redactor.text(content_type)
        value: Json
        if isinstance(body, bytes):
            value = {"$media": self._media.append(f"conn{conn}.request", body, pcm_rate_hz=None).to_json()}
        else:
            value = audio_out(body if self._names is None else self._names.canonical(body), (), _no_media)
        return HttpRequestRecord(conn, at_ms, request.method, url, headers, value)

    def response(self, conn: int, at_ms: float, status: int, headers: Iterable[tuple[str, str]]) -> HttpResponseRecord:
        """The record of an answer's head."""
        headers = list(headers)
        kept = self._kept(headers)
        kept.pop("content-encoding", None)
        return HttpResponseRecord(conn, at_ms, status, kept)

    def begin_body(self, conn: int, headers: Iterable[tuple[str, str]]) -> None:
        """What follows is a body with these headers."""
        named = {name.lower(): value for name, value in headers}
        kind = self._kinds[conn] = body_kind(named)
        self._encodings[conn] = named.get("content-encoding", "")
        if kind in ("lines", "whole"):
            self._bodies[conn] = TextBody(by_line=kind == "lines", change=self._clean, can_stand=self._is_clean)

    def piece(self, conn: int, data: bytes) -> Pending:
        """Take in a piece of a body."""
        body = self._bodies.get(conn)
        return Pending(conn, data) if body is None else Pending(conn, data, body, body.feed(data))

    def chunk(self, at_ms: float, pending: Pending) -> HttpChunkRecord | None:
        """The record of a piece that is ready; None when nothing of it is left or may be kept."""
        data = pending.data
        if pending.body is None or pending.piece is None:
            if self._kinds[pending.conn] == "encoded":
                return None
        else:
            data = pending.body.take(pending.piece)
            try:
                return HttpChunkRecord(pending.conn, at_ms, text=data.decode()) if data else None
            except UnicodeDecodeError:
                pass
        return HttpChunkRecord(pending.conn, at_ms, media=self._stored(pending.conn, data))

    def finish(self, conn: int | None = None) -> None:
        """The body of one exchange is whole, or of all of them."""
        for number in list(self._bodies) if conn is None else [conn]:
            body = self._bodies.pop(number, None)
            if body is not None:
                body.finish()

    def done(self, conn: int, at_ms: float, error: str | None, reason: str) -> HttpDoneRecord:
        """The record of an exchange's end."""
        if error is None and self._kinds.get(conn) == "encoded":
            error, reason = "unkept", f"content-encoding {self._encodings[conn]}"
        reason = self._redactor.text(reason)
        return HttpDoneRecord(
            conn, at_ms, error, reason=reason if self._names is None else self._names.canonical_text(reason)
        )

    def _kept(self, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        kept: Json = self._redactor.headers(headers)
        return cast("dict[str, str]", kept if self._names is None else self._names.canonical(kept))

    def _stored(self, conn: int, data: bytes) -> MediaRef:
        return self._media.append(f"conn{conn}.body", data, pcm_rate_hz=None)

    def _clean(self, unit: bytes) -> bytes:
        return changed_unit(unit, self._clean_json, lambda data: clean_bytes(self._redactor, data))

    def _is_clean(self, part: bytes) -> bool:
        return clean_bytes(self._redactor, part) == part

    def _clean_json(self, value: Json) -> Json:
        self._learn(value)
        clean = self._redactor.json(value)
        return clean if self._names is None else self._names.canonical(clean)

    def _learn(self, value: Json) -> None:
        """A secret that the service hands out is one wherever it comes back, whatever it looks like."""
        for holder in (value, value.get("client_secret")) if isinstance(value, dict) else ():
            if isinstance(holder, dict) and "expires_at" in holder and isinstance(holder.get("value"), str):
                self._redactor.add_secret(holder["value"])


def _no_media(audio: bytes) -> MediaRef:
    raise AssertionError("no field of a request is taken out")


def clean_bytes(redactor: Redactor, data: bytes) -> bytes:
    """Bytes without the secrets that stand in them as text."""
    return redactor.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def request_body(redactor: Redactor, request: HttpRequest) -> tuple[str, Json | bytes]:
    """Content type and body of a request as they stand on a tape, ids not named yet.

    An object or a list when it is one in JSON, a text, bytes, or None for an empty one. The request is one
    whose body is whole.
    """
    assert isinstance(request.body, bytes)
    named: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
    content_type, data = multipart_as(named.get("content-type", ""), request.body)
    if not data:
        return content_type, None
    is_json, value = parse_exact(data)
    if is_json and isinstance(value, dict | list):
        return content_type, redactor.json(value)
    data = clean_bytes(redactor, data)
    try:
        return content_type, data.decode()
    except UnicodeDecodeError:
        return content_type, data
