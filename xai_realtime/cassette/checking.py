"""Whether a tape is what it says. In: a path. Out: a CheckReport. Imports: rooms 0-2.

Everything but playing it: it loads, its media are whole, its events are known, its header is true, and writing it
again would neither redact nor rename anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

from xai_realtime.cassette._http_body import Piece, TextBody, body_kind, changed_unit, rewritten
from xai_realtime.cassette._http_records import clean_bytes
from xai_realtime.cassette._json import Json, is_equal
from xai_realtime.cassette.ids import IdNames, is_canonical
from xai_realtime.cassette.media import MediaReader
from xai_realtime.cassette.records import (
    CloseRecord,
    EndRecord,
    FrameRecord,
    HttpChunkRecord,
    HttpDoneRecord,
    HttpRequestRecord,
    HttpResponseRecord,
    MarkRecord,
    MediaRef,
    OpenRecord,
    Record,
)
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.services import codec_of
from xai_realtime.cassette.tape import Cassette, TapedExchange, load_cassette, media_folder
from xai_realtime.codec import realtime_codec
from xai_realtime.defaults import AUDIO_RATE_HZ
from xai_realtime.errors import AudioDecodeError, CassetteFormatError
from xai_realtime.events import InvalidEvent, UnknownEvent, realtime

__all__ = ["CHECKS", "CheckReport", "Finding", "check_cassette"]

CHECKS: Final = ("loads", "media", "received", "sent", "header", "redaction", "ids", "secrets")
"""What is looked at, in this order."""

MADE_ELSEWHERE: Final = ("derived", "imported")
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SHA256: Final = re.compile(r"[0-9a-f]{64}")
SLACK_MS: Final = 1.5
"""Durations are stated in whole milliseconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: which of the checks, why, and the line of the tape (0: the whole)."""

    check: str
    reason: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.check}{f', line {self.line}' if self.line else ''}: {self.reason}"


@dataclass(slots=True)
class CheckReport:
    """What the checks found on one tape.

    `checks` are the names of those that were made, `received` and `sent` count frames, `notes` are remarks
    that are nothing wrong. `cassette` is the loaded tape, None when it does not load.
    """

    path: Path
    checks: tuple[str, ...] = CHECKS
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    received: int = 0
    sent: int = 0
    cassette: Cassette | None = None

    @property
    def ok(self) -> bool:
        """True when nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        failed = {finding.check for finding in self.findings}
        return {
            "cassette": self.path.name,
            "ok": self.ok,
            "received": self.received,
            "sent": self.sent,
            "checks": {name: name not in failed for name in self.checks},
            "findings": [{"check": f.check, "line": f.line, "reason": f.reason} for f in self.findings],
            "notes": self.notes,
        }


def check_cassette(path: str | PathLike[str]) -> CheckReport:
    """Look at a tape without playing it.

    What is wrong is a finding, not an exception; only a file that is not there raises (FileNotFoundError,
    as every OSError of reading it). Findings never show a secret.
    """
    report = CheckReport(Path(path))
    try:
        cassette = report.cassette = load_cassette(path)
    except CassetteFormatError as error:
        report.checks = CHECKS[:1]
        report.findings.append(Finding("loads", error.reason, error.line))
        return report
    redactor = Redactor()
    report.findings += _loads(cassette)
    report.findings += _media(cassette)
    _frames(cassette, report)
    report.findings += _header(cassette)
    report.findings += _redaction(cassette, redactor)
    _ids(cassette, report)
    report.findings += _secrets(cassette, redactor)
    return report


def _loads(cassette: Cassette) -> Iterator[Finding]:
    end = cassette.end
    if end is None or not end.complete:
        yield Finding("loads", "the recording did not come to its end", end.line if end else 0)
    elif not end.counts and cassette.records:
        yield Finding("loads", "the end does not count the records", end.line)
    last_ms = 0.0
    for record in cassette.records:
        if isinstance(record, EndRecord):
            continue
        if not last_ms <= record.at_ms < float("inf"):
            yield Finding("loads", f"time goes from {last_ms:g} to {record.at_ms:g} ms", record.line)
        last_ms = max(last_ms, record.at_ms)


def _media(cassette: Cassette) -> Iterator[Finding]:
    """Every file that the end states is there unchanged, every reference leads somewhere, nothing lies beside."""
    stated = cassette.end.media if cassette.end is not None else {}
    folder = media_folder(cassette.path)
    reader = MediaReader(folder, stated)
    line = cassette.end.line if cassette.end is not None else 0
    told: set[str] = set()
    for file in stated:
        try:
            reader.load(MediaRef(file, 0, 0))
        except (ValueError, OSError) as error:
            told.add(_reason(error))
            yield Finding("media", _reason(error), line)
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.name not in stated:
                yield Finding("media", f"file {path.name!r} belongs to no record", line)
    for record in cassette.records:
        try:
            if isinstance(record, FrameRecord):
                cassette.frame(record)
            elif isinstance(record, HttpChunkRecord) and record.media is not None:
                cassette.media(record)
        except CassetteFormatError as error:
            if error.reason not in told:
                told.add(error.reason)
                yield Finding("media", error.reason, error.line)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"media cannot be read ({type(error).__name__})"


def _frames(cassette: Cassette, report: CheckReport) -> None:
    """Every inbound frame is an event of the specification, every outbound one a wish it knows."""
    stated = cassette.header.service
    codecs = {conn: codec_of(stated, taped.open.url) for conn, taped in cassette.connections.items()}
    if None in codecs.values():
        report.notes.append(f"events of the service {stated} are not looked into where the address names none")
    for record in cassette.records:
        if not isinstance(record, FrameRecord):
            continue
        is_in = record.direction == "in"
        report.received += is_in
        report.sent += not is_in
        codec = codecs[record.conn]
        if codec is None:
            continue
        try:
            frame = cassette.frame(record)
        except CassetteFormatError:
            continue
        event = codec.decode(frame) if is_in else codec.decode_client(frame)
        name = str(event.type)[:80]
        if isinstance(event, UnknownEvent):
            report.findings.append(Finding("received" if is_in else "sent", f"unknown event {name!r}", record.line))
        elif isinstance(event, InvalidEvent):
            where = f" at {event.path}" if event.path else ""
            reason = f"invalid event {name!r}{where}: {event.reason}"
            report.findings.append(Finding("received" if is_in else "sent", reason, record.line))


def _header(cassette: Cassette) -> Iterator[Finding]:
    header = cassette.header
    if header.recorded_at is not None and not MOMENT.fullmatch(header.recorded_at):
        yield Finding("header", "recorded_at is no time in UTC (2026-01-31T12:00:00Z)", 1)
    if header.spec_sha256 is not None and not SHA256.fullmatch(header.spec_sha256):
        yield Finding("header", "spec_sha256 is no sha256", 1)
    if not header.redaction.get("policy") or not SHA256.fullmatch(str(header.redaction.get("sha256"))):
        yield Finding("header", "redaction does not name the policy and its sha256", 1)
    if header.origin == "live" and (header.sdk is None or header.recorded_at is None):
        yield Finding("header", "a live recording says when it was made and by what (recorded_at, sdk)", 1)
    if header.origin in MADE_ELSEWHERE and not header.notes.strip():
        yield Finding("header", f"a tape that is {header.origin} says in its notes from what", 1)
    yield from _served_model(cassette)
    if header.media == "full":
        yield from _durations(cassette)


def _served_model(cassette: Cassette) -> Iterator[Finding]:
    model = None
    for record in cassette.records:
        value = record.value if isinstance(record, FrameRecord) and record.direction == "in" else None
        if isinstance(value, dict) and value.get("type") in ("session.created", "session.updated"):
            session = value.get("session")
            stated = session.get("model") if isinstance(session, dict) else None
            model = stated if isinstance(stated, str) else model
    if cassette.end is not None and cassette.end.model != model:
        yield Finding("header", "the model of the end is not the one that the sessions state", cassette.end.line)


def _durations(cassette: Cassette) -> Iterator[Finding]:
    """Audio that is called whole lasts as long as the service said."""
    bytes_per_ms: dict[int, float | None] = {}
    for record in cassette.records:
        if not isinstance(record, FrameRecord) or record.direction != "in":
            continue
        if record.type == "session.updated":
            bytes_per_ms[record.conn] = _bytes_per_ms(record.value)
        if record.type != "response.output_audio.delta":
            continue
        per_ms = bytes_per_ms.get(record.conn, AUDIO_RATE_HZ * 2 / 1000)
        try:
            event = realtime_codec.decode(cassette.frame(record))
            if not isinstance(event, realtime.ResponseOutputAudioDelta) or event.audio_duration_ms is None:
                continue
            audio_bytes = len(event.audio)
        except (CassetteFormatError, AudioDecodeError):
            continue
        if per_ms is not None and audio_bytes / per_ms < event.audio_duration_ms - SLACK_MS:
            reason = f"media are called full, but {event.audio_duration_ms} ms of audio are {audio_bytes} bytes"
            yield Finding("header", reason, record.line)


def _bytes_per_ms(value: Json) -> float | None:
    form: Any = value
    for key in ("session", "audio", "output", "format"):
        form = form.get(key) if isinstance(form, dict) else None
    if not isinstance(form, dict):
        return AUDIO_RATE_HZ * 2 / 1000
    rate = form.get("rate", AUDIO_RATE_HZ)
    is_pcm = form.get("type", "audio/pcm") == "audio/pcm" and type(rate) is int
    return rate * 2 / 1000 if is_pcm else None


def _redaction(cassette: Cassette, redactor: Redactor) -> Iterator[Finding]:
    """Redacting what was redacted changes nothing."""
    if redactor.text(cassette.header.notes) != cassette.header.notes:
        yield Finding("redaction", "the notes would be redacted", 1)
    for record in cassette.records:
        if not _is_redacted(cassette, record, redactor):
            yield Finding("redaction", f"a record {record.kind!r} would be redacted further", record.line)
    for exchange in cassette.exchanges.values():
        if _body_kind(exchange) in ("lines", "whole") and not _is_body_redacted(cassette, exchange, redactor):
            yield Finding("redaction", "the body of an answer would be redacted further", exchange.chunks[0].line)


def _body_kind(exchange: TapedExchange) -> str:
    return "binary" if exchange.response is None else body_kind(exchange.response.headers)


def _is_body_redacted(cassette: Cassette, exchange: TapedExchange, redactor: Redactor) -> bool:
    def redacted(unit: bytes) -> bytes:
        return changed_unit(unit, redactor.json, lambda data: clean_bytes(redactor, data))

    try:
        pieces = [cassette.piece(chunk) for chunk in exchange.chunks]
    except CassetteFormatError:
        return True
    return b"".join(rewritten(pieces, by_line=_body_kind(exchange) == "lines", change=redacted)) == b"".join(pieces)


def _is_redacted(cassette: Cassette, record: Record, redactor: Redactor) -> bool:
    if isinstance(record, FrameRecord):
        if record.opcode == "text":
            return _is_text_redacted(cassette, record, redactor)
        return record.media is not None or _same(record.text, record.value, redactor)
    if isinstance(record, OpenRecord | HttpRequestRecord):
        url = record.url or ""
        return redactor.url(url) == url and _kept(record.headers, redactor) and _same(None, record.body, redactor)
    if isinstance(record, HttpResponseRecord):
        return _kept(record.headers, redactor)
    words = (
        record.reason if isinstance(record, CloseRecord)
        else record.label if isinstance(record, MarkRecord)
        else record.error if isinstance(record, HttpDoneRecord)
        else record.text if isinstance(record, HttpChunkRecord)
        else None
    )  # fmt: skip
    return words is None or redactor.text(words) == words


def _is_text_redacted(cassette: Cassette, record: FrameRecord, redactor: Redactor) -> bool:
    try:
        text = cassette.media(record).decode("utf-8", "surrogateescape")
    except CassetteFormatError:
        return True
    return redactor.text(text) == text


def _same(text: str | None, value: Json, redactor: Redactor) -> bool:
    return (text is None or redactor.text(text) == text) and is_equal(redactor.json(value), value)


def _kept(headers: Mapping[str, str], redactor: Redactor) -> bool:
    return redactor.headers(headers) == dict(headers)


def _ids(cassette: Cassette, report: CheckReport) -> None:
    """Naming the ids of the whole tape again changes nothing, unless they were kept on purpose."""
    names = IdNames()
    bodies = _bodies(cassette, names)
    lines: dict[str, int] = {}
    for record in cassette.records:
        known = set(names.names)
        if isinstance(record, FrameRecord):
            names.canonical(record.value)
        elif isinstance(record, OpenRecord):
            names.canonical_url(record.url or "")
            names.canonical(record.body)
        elif isinstance(record, CloseRecord | HttpDoneRecord):
            names.canonical_text(record.reason)
        elif isinstance(record, HttpRequestRecord):
            names.canonical_url(record.url)
            names.canonical(dict(record.headers))
            names.canonical(record.body)
        elif isinstance(record, HttpResponseRecord):
            names.canonical(dict(record.headers))
        elif isinstance(record, HttpChunkRecord) and record.line in bodies:
            body, piece = bodies[record.line]
            body.take(piece)
        lines |= dict.fromkeys(names.names.keys() - known, record.line)
    changed = [value for value, name in names.names.items() if value != name]
    if changed and not any(is_canonical(value) for value in names.names):
        report.notes.append("ids are kept as the service minted them")
    elif changed:
        first = min(changed, key=lambda value: lines[value])
        report.findings.append(
            Finding("ids", f"{len(changed)} ids would be renamed, the first to {names.names[first]}", lines[first])
        )


def _bodies(cassette: Cassette, names: IdNames) -> dict[int, tuple[TextBody, Piece]]:
    """The pieces of answers that are text, by line; taking one names the ids of its body."""

    def named(unit: bytes) -> bytes:
        return changed_unit(unit, names.canonical, bytes)

    found: dict[int, tuple[TextBody, Piece]] = {}
    for exchange in cassette.exchanges.values():
        kind = _body_kind(exchange)
        if kind in ("lines", "whole"):
            body = TextBody(by_line=kind == "lines", change=named)
            for chunk in exchange.chunks:
                if chunk.media is None:
                    found[chunk.line] = (body, body.feed(cassette.piece(chunk)))
            body.finish()
    return found


def _secrets(cassette: Cassette, redactor: Redactor) -> Iterator[Finding]:
    with cassette.path.open("rb") as file:
        for number, line in enumerate(file, 1):
            rule = redactor.scan(line.decode("utf-8", "replace"))
            if rule is not None:
                yield Finding("secrets", f"a secret is found (rule {rule})", number)
    files = cassette.end.media if cassette.end is not None else {}
    for name in (cassette.path.name, *files):
        if redactor.text(name) != name:
            yield Finding("secrets", "a file name holds a secret")
