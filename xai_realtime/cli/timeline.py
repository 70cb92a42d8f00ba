"""A conversation as a newcomer reads it. In: what happened on a tape. Out: rows. Imports: rooms 0-6, no terminal.

A pure fold: streamed pieces become one row at the time they began, announcements repeated on the wire one row in all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from xai_realtime.cassette.records import CloseRecord, MarkRecord, OpenRecord
from xai_realtime.cassette.services import service_of
from xai_realtime.cassette.tape import TapedExchange
from xai_realtime.chat.taped import ChatTape
from xai_realtime.cli._received import receive
from xai_realtime.cli._sent import send
from xai_realtime.cli._speech import audio_formats
from xai_realtime.cli._talk import Kind, Line, Talk, Who
from xai_realtime.cli._web import exchanged
from xai_realtime.cli.moments import Entry
from xai_realtime.cli.text import clean

__all__ = ["Row", "timeline"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timeline: when it began (milliseconds of the tape), who, what, and a remark in small print."""

    at_ms: float
    who: Who
    kind: Kind
    text: str
    note: str = ""
    conn: int = 1

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return asdict(self)


def timeline(entries: Iterable[Entry], *, is_shortened: bool = False, service: str = "realtime") -> list[Row]:
    """The rows of a conversation, in the order in which things began.

    `entries` are moments and records in the order of the tape (`with_records`). `is_shortened` says that audio
    was cut on the tape, so that bytes tell no durations; `service` is the tape's, for addresses that do not tell
    theirs. Texts are one line each, without control characters;
    they are not redacted.
    """
    lines: list[tuple[int, Line]] = []
    talks: dict[int, Talk] = {}
    chats = ChatTape()
    for entry in entries:
        if isinstance(entry, MarkRecord):
            lines.append((max(talks, default=1), Line(entry.at_ms, "session", "session", f"mark: {entry.label}")))
            continue
        if isinstance(entry, TapedExchange):
            lines += [(entry.conn, line) for line in exchanged(entry, chats.read(entry))]
            continue
        talk = talks.get(entry.conn)
        if talk is None:
            talk = talks[entry.conn] = Talk(entry.conn, len(talks) + 1, lines, is_shortened)
        if isinstance(entry, OpenRecord):
            talk.session |= audio_formats(service_of(service, entry.url), entry.url)
            talk.opened(entry)
        elif isinstance(entry, CloseRecord):
            talk.closed(entry)
        elif entry.direction == "in":
            receive(talk, entry)
        else:
            send(talk, entry)
    for talk in talks.values():
        talk.finish()
    # An exchange is told whole where it begins.
    lines.sort(key=lambda pair: pair[1].at_ms)
    return [
        Row(line.at_ms, line.who, line.kind, clean(line.text), clean(" · ".join(line.notes)), conn)
        for conn, line in lines
    ]
