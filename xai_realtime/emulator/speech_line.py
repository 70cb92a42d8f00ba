"""One speech socket as its engine sees it: time, what is due, what goes out. In: events. Out: frames in order.

Imports: the standard library, pydantic, rooms 0 and 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_core import to_json

from xai_realtime.emulator.line import Agenda, Hangup, Step
from xai_realtime.emulator.world import World
from xai_realtime.frames import Frame

__all__ = ["CLOSE_NORMAL", "SpeechLine"]

CLOSE_NORMAL: Final = 1000


class SpeechLine:
    """What goes out, and when. `now_ms` is the time of what is being done, which may lie before that of its fetch."""

    def __init__(self, world: World, now_ms: float) -> None:
        self.world = world
        self.now_ms = now_ms
        self.is_over = False
        self._agenda = Agenda()
        self._outbox: deque[Frame | Hangup] = deque()

    def send(self, kind: str, fields: Mapping[str, Any] | None = None) -> None:
        """Send an event."""
        if not self.is_over:
            self._outbox.append(Frame(to_json({"type": kind, **(fields or {})})))

    def fail(self, message: str) -> None:
        """Send an `error`; the socket stays usable."""
        self.send("error", {self.world.speech.error_field: message})

    def end_with(self, message: str) -> None:
        """Send an `error` that is the end: nothing follows it, be the socket closed or not."""
        self.fail(message)
        if self.world.speech.stays_open_after_error:
            self._stop()
        else:
            self.hang_up()

    def hang_up(self, *, abrupt: bool = False) -> None:
        """End the connection after what was sent so far; `abrupt` is without a close handshake."""
        if not self.is_over:
            self._outbox.append(Hangup(CLOSE_NORMAL, "", abrupt))
        self._stop()

    def _stop(self) -> None:
        self.is_over = True
        self._agenda.clear()

    def after(self, delay_ms: float, action: Callable[[], None]) -> Step:
        """Do `action` in a while."""
        return self._agenda.put(self.now_ms + delay_ms, action)

    def advance(self, now_ms: float) -> None:
        """Do everything that is due up to `now_ms`, each at its own time."""
        while not self.is_over and (step := self._agenda.pop(now_ms)) is not None:
            self.now_ms = max(self.now_ms, step.due_ms)
            step.action()
        self.now_ms = max(self.now_ms, now_ms)

    def next_due_ms(self) -> float | None:
        """When there is something to fetch: at once when something waits."""
        return self.now_ms if self._outbox else self._agenda.next_due_ms()

    def fetch(self) -> list[Frame | Hangup]:
        """Everything that waits to go out."""
        waiting = list(self._outbox)
        self._outbox.clear()
        return waiting
