"""What happened on a tape, in its order. In: a tape, its events. Out: moments and records. Imports: rooms 0-6."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from xai_realtime.cassette._json import parse_exact
from xai_realtime.cassette.records import CloseRecord, FrameRecord, MarkRecord, OpenRecord
from xai_realtime.cassette.services import CODECS, service_of
from xai_realtime.cassette.tape import Cassette, TapedExchange
from xai_realtime.player import Moment

__all__ = ["Entry", "moments_of", "with_records"]

Entry: TypeAlias = Moment | OpenRecord | CloseRecord | MarkRecord | TapedExchange


def moments_of(cassette: Cassette) -> list[Moment]:
    """The events of a tape, decoded and not played. Raises CassetteFormatError for damaged media."""
    return [_moment(cassette, record) for record in cassette.records if isinstance(record, FrameRecord)]


def with_records(cassette: Cassette, moments: Iterable[Moment], *, is_whole: bool = True) -> list[Entry]:
    """The moments of a playback in the order of the tape, with its handshakes, closes, marks and requests between them.

    `is_whole=False` leaves out what stands behind the last moment, for a playback that failed there.

    The order in which a reader and a writer got their turn differs between event loops; the tape's does not.
    """
    lines: dict[tuple[int, str], list[int]] = {}
    entries: list[tuple[int, Entry]] = []
    for record in cassette.records:
        if isinstance(record, FrameRecord):
            lines.setdefault((record.conn, record.direction), []).append(record.line)
        elif isinstance(record, OpenRecord | CloseRecord | MarkRecord):
            entries.append((record.line, record))
    entries += [(exchange.request.line, exchange) for exchange in cassette.exchanges.values()]
    passed: dict[tuple[int, str], int] = {}
    last = 0
    for moment in moments:
        key = (moment.conn, moment.direction)
        index = passed.get(key, 0)
        passed[key] = index + 1
        entries.append((lines[key][index], moment))
        last = max(last, entries[-1][0])
    entries.sort(key=lambda pair: pair[0])
    return [entry for line, entry in entries if is_whole or line <= last]


def _moment(cassette: Cassette, record: FrameRecord) -> Moment:
    frame = cassette.frame(record)
    if record.direction == "in":
        service = service_of(cassette.header.service, cassette.connections[record.conn].open.url)
        return Moment(record.conn, record.at_ms, "in", CODECS[service or "realtime"].decode(frame), frame)
    _, value = parse_exact(frame.data) if frame.is_text else (False, None)
    return Moment(record.conn, record.at_ms, "out", value if isinstance(value, dict) else {}, frame)
