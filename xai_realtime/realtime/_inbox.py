"""What a session has told and its user has not read. In: events. Out: the same in order, or the end. Imports: anyio."""

from __future__ import annotations

from collections import deque

import anyio

from xai_realtime.protocol.session_events import SessionEvent

__all__ = ["Inbox"]


class Inbox:
    """A bounded queue between a session and its reader.

    Nothing is dropped: while it is full the session does not read its socket, until the reader has taken half.
    """

    __slots__ = ("_end", "_event_class", "_has_ended", "_max_events", "_news", "_room", "told", "was_surfaced")

    def __init__(self, told: deque[SessionEvent], max_events: int) -> None:
        self.told = told
        self.was_surfaced = False
        self._max_events = max_events
        self._news: anyio.Event | None = None
        self._event_class: type[anyio.Event] | None = None
        self._room: anyio.Event | None = None
        self._end: Exception | None = None
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """Is the session over?"""
        return self._has_ended

    @property
    def error(self) -> Exception | None:
        """Why it ended, None for an ordinary end."""
        return self._end

    def wake(self) -> None:
        """Something was told."""
        if self._news is not None:
            self._news.set()
            self._news = None

    def end(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if not self._has_ended:
            self._end, self._has_ended = error, True
        self.wake()
        self.make_room()

    def raise_if_over(self) -> None:
        """Raise what ended the session, when it did not end in order."""
        if self._has_ended and self._end is not None:
            self.was_surfaced = True
            raise self._end

    async def next(self) -> SessionEvent | None:
        """The next event, None at the end. Cancelling is safe: nothing is lost. Raises what ended the session."""
        while not self.told:
            if self._has_ended:
                self.raise_if_over()
                return None
            if self._news is None:
                # Of the loop's own class, since looking the loop up again is felt at each event of a live session.
                self._event_class = self._event_class or type(anyio.Event())
                self._news = self._event_class()
            await self._news.wait()
        event = self.told.popleft()
        if self._room is not None and len(self.told) * 2 <= self._max_events:
            self.make_room()
        return event

    @property
    def is_full(self) -> bool:
        """Must the session wait for its reader?"""
        return len(self.told) >= self._max_events

    async def wait_for_room(self) -> None:
        """Wait until the reader has taken half."""
        if self._room is None:
            self._room = anyio.Event()
        await self._room.wait()

    def make_room(self) -> None:
        """Let the session read on."""
        if self._room is not None:
            self._room.set()
            self._room = None
