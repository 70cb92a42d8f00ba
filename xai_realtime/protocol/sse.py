"""Server-sent events out of a byte stream, cut anywhere. In: bytes as they come. Out: events. Imports: rooms 0."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.errors import RemoteProtocolError

__all__ = ["SseEvent", "SseParser"]

BOM: Final = b"\xef\xbb\xbf"
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
ORDINARY: Final = b"data: "


class SseEvent(NamedTuple):
    """One event of a stream: its `data` fields joined with line feeds, the rest None where it was not said.

    `id` is the last id that the stream stated, also on events without one. `is_whole` is False for what stood at the
    end of a body without the blank line that ends an event; it may be cut off anywhere.
    """

    data: bytes
    event: str | None = None
    id: str | None = None
    is_whole: bool = True

    def __repr__(self) -> str:
        """Sizes and names; the data may be private."""
        return (
            f"SseEvent(data=<{len(self.data)} bytes>, event={self.event!r}, id={self.id!r}, is_whole={self.is_whole})"
        )


class SseParser:
    """Cuts a byte stream into server-sent events: feed it with `push`, and end it with `finish`.

    Lines end in CRLF, LF or CR; a byte order mark at the beginning, comments and unknown fields are passed over. An
    event of more than `max_event_bytes` raises RemoteProtocolError, after the events before it were given, and so does
    everything after. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    def __init__(self, *, max_event_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self.retry_ms: int | None = None
        """What the stream last said about how long to wait before coming back."""
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._event: str | None = None
        self._id: str | None = None
        self._event_bytes = 0
        self._has_begun = False
        self._is_after_cr = False
        self._is_between = False
        self._failure: RemoteProtocolError | None = None

    def push(self, data: bytes) -> list[SseEvent]:
        """The events that these bytes complete. Raises RemoteProtocolError for an event over the limit."""
        is_plain = b"\r" not in data and len(data) <= self._max_event_bytes
        is_one = is_plain and data.find(b"\n") == len(data) - 2 and data.startswith(ORDINARY)
        if is_one and self._is_between and data.endswith(b"\n"):
            return [SseEvent(data[6:-2], None, self._id)]
        events: list[SseEvent] = []
        if is_plain and self._has_begun and self._failure is None:
            if not self._is_between and (end := data.find(b"\n\n")) >= 0:
                self._take_lines(data[: end + 2], events)
                data = data[end + 2 :]
            if self._is_between:
                data = self._take_ordinary(data, events)
        if data:
            self._take_rest(data, events)
        if self._failure is not None and not events:
            raise self._failure
        return events

    def finish(self) -> list[SseEvent]:
        """The body is over: an event that was not ended by a blank line, marked, or nothing.

        Raises RemoteProtocolError for an event over the limit.
        """
        if self._failure is not None:
            raise self._failure
        if self._line:
            self._field(bytes(self._line))
            self._line.clear()
        events: list[SseEvent] = []
        self._dispatch(events, is_whole=False)
        return events

    def _take_rest(self, data: bytes, events: list[SseEvent]) -> None:
        """Take what the quick ways have left."""
        if self._failure is None:
            self._take_lines(data if self._has_begun else self._without_bom(data), events)

    def _without_bom(self, data: bytes) -> bytes:
        """The first bytes without the mark; what may still become one is kept back."""
        begun = bytes(self._line) + data
        if len(begun) < len(BOM) and BOM.startswith(begun):
            self._line[:] = begun
            return b""
        self._line.clear()
        self._has_begun = True
        return begun.removeprefix(BOM)

    def _take_ordinary(self, data: bytes, events: list[SseEvent]) -> bytes:
        """Take whole events at the pace of `bytes.split`, and return what is left behind them."""
        end = data.rfind(b"\n\n")
        if end < 0:
            return data
        last_id = self._id
        for block in data[:end].split(b"\n\n"):
            if block.startswith(ORDINARY) and b"\n" not in block:
                events.append(SseEvent(block[6:], None, last_id))
            else:
                for line in block.split(b"\n"):
                    self._take_line(line, events)
                self._dispatch(events)
                last_id = self._id
        return data[end + 2 :]

    def _take_lines(self, data: bytes, events: list[SseEvent]) -> None:
        """Take bytes line by line, and keep the one that has no end yet."""
        start = 1 if self._is_after_cr and data.startswith(b"\n") else 0
        self._is_after_cr = False
        for end in LINE_END.finditer(data, start):
            line = bytes(self._line) + data[start : end.start()] if self._line else data[start : end.start()]
            self._line.clear()
            start = end.end()
            if not self._take_line(line, events):
                return
        self._is_after_cr = data.endswith(b"\r")
        self._line += data[start:]
        if not self._line or self._fits(len(self._line)):
            self._is_between = self._has_begun and not (self._event_bytes or self._line or self._is_after_cr)

    def _take_line(self, line: bytes, events: list[SseEvent]) -> bool:
        """One line without its end. False when its event is over the limit."""
        if not line:
            self._dispatch(events)
            return True
        if not self._fits(len(line)):
            return False
        self._field(line)
        return True

    def _fits(self, more_bytes: int) -> bool:
        if self._event_bytes + more_bytes <= self._max_event_bytes:
            return True
        self._failure = RemoteProtocolError(f"a server-sent event is over the limit of {self._max_event_bytes} bytes")
        self._is_between = False
        self._line.clear()
        self._data.clear()
        return False

    def _field(self, line: bytes) -> None:
        # A comment counts too: a line that never ends the event must not run past the limit for nothing.
        self._event_bytes += len(line) + 1
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", errors="replace") or None
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", errors="replace") or None
        elif name == b"retry" and value.isdigit() and len(value) <= 9:
            self.retry_ms = int(value)

    def _dispatch(self, events: list[SseEvent], *, is_whole: bool = True) -> None:
        if self._data:
            events.append(SseEvent(b"\n".join(self._data), self._event, self._id, is_whole))
            self._data.clear()
        self._event = None
        self._event_bytes = 0
