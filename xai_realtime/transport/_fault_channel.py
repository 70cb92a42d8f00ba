"""One channel that breaks as told. In: frames of the line and of the client. Out: the same, less what a fault took.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel

from xai_realtime.defaults import CLOSE_TIMEOUT_S, MAX_MESSAGE_BYTES
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConnectionBrokenError,
    ConnectionClosedError,
    LocalProtocolError,
    MessageTooLargeError,
)
from xai_realtime.frames import Frame
from xai_realtime.timemark import time_is_virtual
from xai_realtime.transport._corruption import OVERSIZE_BYTES, corrupted, event_type
from xai_realtime.transport._fault import Direction, Fault
from xai_realtime.transport._watch import Shelf, Watch
from xai_realtime.transport.base import Channel

__all__ = ["FaultChannel", "Injection", "LineClock"]

MAX_TYPE_CHARACTERS: Final = 80
GOING_AWAY: Final = 1001
SLACK_MS: Final = 1e-5
"""Timers may fire this early."""
EARLY_MS: Final = 1e-4
"""A tape hands a frame over this much before its time."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that was done: to which connection and frame, when.

    `frame` counts the frames of its direction from 1, 0 for what happened to no frame; `type` is the event
    type met, empty for none. `at_ms` is the time since the first connection opened.
    """

    fault: Fault
    conn: int
    direction: Direction
    frame: int
    type: str
    at_ms: float

    def __str__(self) -> str:
        met = f" {self.direction} #{self.frame}{f' {self.type}' if self.type else ''}" if self.frame else ""
        return f"{self.at_ms:.3f} ms connection {self.conn}{met}: {self.fault}"


class LineClock:
    """Milliseconds since the first connection opened, on the loop's clock; on a tape, the tape's time.

    The tape's time is that of its last frame, and goes on with the loop's where that is virtual. On a real
    clock the loop's time says nothing about the tape, so there only frames move it.
    """

    def __init__(self) -> None:
        self._begin: float | None = None
        self._tape_ms = 0.0
        self._tape_at = 0.0
        self._is_tape = False

    def start(self, *, is_tape: bool) -> None:
        """The first connection is open; later calls change nothing."""
        if self._begin is None:
            self._begin = self._tape_at = anyio.current_time()
            self._is_tape = is_tape

    def seen(self, frame: Frame) -> None:
        """A frame came, with its time when it is from a tape."""
        if self._is_tape and frame.at_ms is not None:
            self._tape_ms, self._tape_at = frame.at_ms, anyio.current_time()

    def now_ms(self) -> float:
        """Now, to the microsecond."""
        now = anyio.current_time()
        if not self._is_tape:
            return 0.0 if self._begin is None else round((now - self._begin) * 1000, 3)
        return round(self._tape_ms + ((now - self._tape_at) * 1000 if time_is_virtual() else 0.0), 3)

    def past_ms(self) -> float:
        """Up to when everything has passed that was to come: the frames of one time pass before a fault does."""
        now = anyio.current_time()
        if not self._is_tape:
            return 0.0 if self._begin is None else (now - self._begin) * 1000 + SLACK_MS
        if not time_is_virtual():
            return math.nextafter(self._tape_ms, -math.inf)
        return self._tape_ms - EARLY_MS + (now - self._tape_at) * 1000 + SLACK_MS

    def loop_time(self, at_ms: float) -> float:
        """The loop's time, in seconds, when that moment is past; infinity when a frame must tell."""
        if not self._is_tape:
            return (self._begin or 0.0) + at_ms / 1000
        if not time_is_virtual():
            return math.inf
        # A client that lags finds frames that were due before: they are read first.
        return max(self._tape_at + (at_ms - self._tape_ms + EARLY_MS) / 1000, anyio.current_time() + EARLY_MS / 1000)


class _Passage(NamedTuple):
    """What faults make of one frame."""

    frames: list[Frame]
    late_s: float
    before: list[Fault]
    after: list[Fault]


class FaultChannel(Channel):
    """A Channel whose line breaks as the watch says."""

    def __init__(
        self, inner: Channel, conn: int, watch: Watch, clock: LineClock, note: Callable[[Injection], None]
    ) -> None:
        self.subprotocol = inner.subprotocol
        self.sends_at_call = inner.sends_at_call
        self._inner = inner
        self._conn = conn
        self._watch = watch
        self._clock = clock
        self._note = note
        self._ready: deque[tuple[float, Frame]] = deque()
        self._shelves: dict[Direction, Shelf[Frame]] = {"in": Shelf(), "out": Shelf()}
        self._held_until: dict[Direction, float] = {"in": -math.inf, "out": -math.inf}
        self._over: Callable[[], ConnectionClosedError] | None = None
        self._inner_end: ConnectionClosedError | None = None
        self._farewell: int | None = None
        self._sending = anyio.Lock()
        self._changed = anyio.Event()
        self._reading: anyio.CancelScope | None = None
        self._is_receiving = False

    async def send(self, frame: Frame) -> None:
        """Send one message, unless a fault takes it. Sends wait for one another, and while the line stalls.

        Cancelling may leave it sent or not sent. Raises what the inner channel raises, and
        ConnectionClosedError (one of its kinds) when a fault ended the line.
        """
        async with self._sending:
            await self._raise_if_over()
            passage = self._meet("out", frame)
            for fault in passage.before:
                self._happen(fault, "out")
            await self._raise_if_over()
            await self._wait_to_send(anyio.current_time() + passage.late_s)
            for each in passage.frames:
                await self._inner.send(each)
            for fault in passage.after:
                self._happen(fault, "out")
            await self._leave()

    async def receive(self) -> Frame:
        """The next message that the faults let pass, when they do. Cancelling is safe: nothing is lost.

        Raises what the inner channel raises, and ConnectionClosedError (one of its kinds) when a fault
        ended the line.
        """
        if self._is_receiving:
            raise LocalProtocolError("another task is receiving on this channel")
        self._is_receiving = True
        try:
            await anyio.lowlevel.checkpoint()
            while True:
                if self._inner.sends_at_call:
                    self._happen_timed()
                await self._leave()
                now, held_until = anyio.current_time(), self._held_until["in"]
                due = self._ready[0][0] if self._ready else held_until
                if self._ready and due <= now:
                    return self._ready.popleft()[1]
                if held_until > now or (self._ready and (self._over or self._inner_end)):
                    await self._wait(due)
                elif self._ready:
                    await self._read(due)
                elif self._over is not None:
                    raise self._over()
                elif self._inner_end is not None:
                    raise self._inner_end
                else:
                    await self._read(math.inf)
        finally:
            self._is_receiving = False

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the line; what a fault still holds back of the client's frames is let go first."""
        if self._over is None:
            self._end_line(lambda: ClosedByUsError(code, reason), None)
            self._ready.clear()
            with anyio.move_on_after(CLOSE_TIMEOUT_S):
                try:
                    for frame in self._shelves["out"].rest():
                        await self._inner.send(frame)
                except ConnectionClosedError:
                    pass  # the line was over before: nothing can be let go any more
        await self._inner.aclose(code, reason)

    def _meet(self, direction: Direction, frame: Frame) -> _Passage:
        """What the faults that are due on a frame make of it."""
        name = event_type(frame) if self._watch.needs_types else ""
        number, due = self._watch.frame(direction, name, self._clock.now_ms())
        frames, late_s, behind = [frame], 0.0, 0
        before: list[Fault] = []
        after: list[Fault] = []
        for fault in due:
            if not (frames or fault.is_of_line):
                continue  # the frame was taken before: nothing is done to it, and the report says so
            kind = fault.kind
            if kind == "drop":
                frames = []
            elif kind == "duplicate":
                frames = frames * (1 + fault.count)
            elif kind == "delay":
                late_s += (fault.ms or 0.0) / 1000
            elif kind == "reorder":
                behind += fault.count
            elif kind == "corrupt" and fault.how == "oversize" and direction == "in":
                before.append(fault)
            elif kind == "corrupt" and fault.how is not None:
                frames = [corrupted(each, fault.how, fault.field) for each in frames]
            else:
                (after if fault.after else before).append(fault)
            self._trace(fault, direction, number, name or event_type(frame))
        if any(fault.kind != "stall" for fault in before):
            frames = []
        return _Passage(self._shelves[direction].pass_by(frames, behind), late_s, before, after)

    def _happen(self, fault: Fault, direction: Direction) -> None:
        """Let a fault of the line happen, on a frame of that direction."""
        if fault.kind == "stall":
            self._held_until[direction] = anyio.current_time() + _seconds(fault.ms)
        elif self._over is None:
            self._end_line(_end_of(fault), 1009 if fault.kind == "corrupt" else GOING_AWAY, in_turn=direction == "in")

    def _happen_timed(self) -> None:
        for fault in self._watch.timed(self._clock.past_ms()):
            if self._over is not None:
                return
            direction = fault.direction or "in"
            self._trace(fault, direction, 0, "")
            if fault.kind == "stall":
                late_s = max(0.0, self._clock.past_ms() - (fault.at_ms or 0.0)) / 1000
                self._held_until[direction] = anyio.current_time() - late_s + _seconds(fault.ms)
                self._notify()
            else:
                self._end_line(_end_of(fault), GOING_AWAY)

    def _end_line(
        self, end: Callable[[], ConnectionClosedError], farewell: int | None, *, in_turn: bool = False
    ) -> None:
        """Nothing passes any more. In turn, what came before is received first, however late it is."""
        self._over = end
        self._farewell = farewell
        self._held_until["out"] = -math.inf
        if not in_turn:
            now = anyio.current_time()
            self._held_until["in"] = -math.inf
            self._ready = deque(entry for entry in self._ready if entry[0] <= now)
        self._notify()
        if self._reading is not None:
            self._reading.cancel()

    async def _leave(self) -> None:
        """Let the other side know, once, that a fault ended the line."""
        if self._farewell is None:
            return
        code, self._farewell = self._farewell, None
        break_off = getattr(self._inner, "break_off", None)
        if callable(break_off) and self._over is not None and isinstance(self._over(), ConnectionBrokenError):
            break_off()
        else:
            await self._inner.aclose(code)

    async def _raise_if_over(self) -> None:
        self._happen_timed()
        await self._leave()
        if self._over is not None:
            raise self._over()

    async def _wait_to_send(self, due: float) -> None:
        while max(due, self._held_until["out"]) > anyio.current_time():
            await self._wait(max(due, self._held_until["out"]))
            await self._raise_if_over()

    async def _wait(self, until: float) -> None:
        """Wait for a change, at most until that loop time or the next fault."""
        with anyio.CancelScope(deadline=min(until, self._next_fault_at())):
            await self._changed.wait()
        self._happen_timed()

    async def _read(self, until: float) -> None:
        """Take one frame, or the end, from the inner channel; give up at that loop time or the next fault."""
        frame: Frame | None = None
        with anyio.CancelScope(deadline=min(until, self._next_fault_at())) as scope:
            self._reading = scope
            try:
                frame = await self._inner.receive()
            except ConnectionClosedError as closed:
                if self._over is None:
                    self._inner_end = closed
                    self._pass_on(self._shelves["in"].rest(), 0.0)
            finally:
                self._reading = None
        if frame is not None and self._over is None:
            self._take(frame)
        elif scope.cancelled_caught:
            self._happen_timed()

    def _take(self, frame: Frame) -> None:
        self._clock.seen(frame)
        self._happen_timed()
        if self._over is not None:
            return
        passage = self._meet("in", frame)
        for fault in passage.before:
            self._happen(fault, "in")
        self._pass_on(passage.frames, passage.late_s)
        for fault in passage.after:
            self._happen(fault, "in")

    def _pass_on(self, frames: list[Frame], late_s: float) -> None:
        due = max(anyio.current_time() + late_s, self._held_until["in"])
        if self._ready:
            due = max(due, self._ready[-1][0])
        self._ready += [(due, frame) for frame in frames]

    def _next_fault_at(self) -> float:
        return math.inf if self._over is not None else self._clock.loop_time(self._watch.next_ms())

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _trace(self, fault: Fault, direction: Direction, number: int, name: str) -> None:
        shown = name[:MAX_TYPE_CHARACTERS]
        self._note(Injection(fault, self._conn, direction, number, shown, self._clock.now_ms()))


def _seconds(ms: float | None) -> float:
    return math.inf if ms is None else ms / 1000


def _end_of(fault: Fault) -> Callable[[], ConnectionClosedError]:
    """How the client learns of it: the errors of a live line."""
    if fault.kind == "close":
        return lambda: ClosedByServerError(fault.code, fault.reason)
    if fault.kind == "corrupt":
        return lambda: MessageTooLargeError(limit_bytes=MAX_MESSAGE_BYTES, size_bytes=OVERSIZE_BYTES)
    return lambda: ConnectionBrokenError(None, "the connection was cut")
