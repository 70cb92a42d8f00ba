"""One connection held: an engine without I/O runs against a channel. In: frames of both. Out: the same, at their time.

Works on asyncio and trio, in real and in virtual time. Imports: rooms 0-4 and 7, anyio.
"""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import anyio
from anyio.lowlevel import RunVar

from xai_realtime.errors import ConnectionClosedError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel

__all__ = ["Clock", "Farewell", "ServedChannel", "Talk", "hold"]

logger: Final = logging.getLogger("xai_realtime.emulator")

LOGGED: Final = ("event_id", "response_id", "item_id", "call_id", "code")
STEP_MS: Final = 1.0
RESOLUTION_MS: Final = 0.001
CLOSE_INVALID_TEXT, CLOSE_TOO_BIG, CLOSE_FAILED = 1007, 1009, 1011


class Farewell(Protocol):
    """How an engine ends its connection: with a close code, or `abrupt`, without a close handshake."""

    @property
    def code(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def abrupt(self) -> bool: ...


class Talk(Protocol):
    """One side of a conversation without I/O and without a clock: what a link runs. Times are milliseconds."""

    def receive(self, frame: Frame, now_ms: float) -> None:
        """Take in what the client sent, whatever it is."""
        ...

    def next_due_ms(self) -> float | None:
        """When `take` has something next, None while only the client can bring it about."""
        ...

    def take(self, now_ms: float) -> Sequence[Frame | Farewell]:
        """What is due, in order."""
        ...

    def disconnected(self, now_ms: float, lost: Sequence[Frame]) -> None:
        """The connection is over; `lost` of what was taken did not reach the client, in order."""
        ...


class ServedChannel(Channel):
    """The server's end of a socket."""

    @property
    def lost(self) -> Sequence[Frame]:
        """What was sent and never will be read, as far as this can be known: over a real socket it cannot."""
        return ()

    @abstractmethod
    async def cut(self) -> None:
        """End the connection without a close handshake, as a lost network does."""


class Clock:
    """Milliseconds since an emulator was first asked, on the clock of the event loop that runs.

    On another event loop it goes on from where it was.
    """

    def __init__(self) -> None:
        self._last_ms = 0.0
        self._zero_s: RunVar[float] = RunVar("the emulator's zero")

    def now_ms(self) -> float:
        """The time to `RESOLUTION_MS`: sums of sleeps differ by less."""
        at_s = anyio.current_time()
        zero_s = self._zero_s.get(None)
        if zero_s is None:
            zero_s = at_s - self._last_ms / 1000
            self._zero_s.set(zero_s)
        self._last_ms = round((at_s - zero_s) * 1000, 3)
        return self._last_ms


async def hold(talk: Talk, channel: ServedChannel, clock: Clock, *, name: str, max_message_bytes: int) -> None:
    """Run `talk` against `channel` until one of them ends it.

    `name` stands in the log lines. A message over `max_message_bytes` ends the connection with 1009, text
    that is no UTF-8 with 1007, a mistake inside the engine with 1011: none of them raises. Cancelling leaves the
    channel to its owner.
    """
    link = _Link(talk, channel, clock, name, max_message_bytes)
    try:
        await link.run()
    finally:
        talk.disconnected(clock.now_ms(), (*channel.lost, *link.unsent))
        logger.debug("%s over", name)


class _Link:
    def __init__(self, talk: Talk, channel: ServedChannel, clock: Clock, name: str, max_message_bytes: int) -> None:
        self._talk = talk
        self._channel = channel
        self._clock = clock
        self._name = name
        self._max_message_bytes = max_message_bytes
        self._wake = anyio.Event()
        self._sleeps_until_ms: float | None = None
        self._has_idled = False
        self._refusal: tuple[int, str] | None = None
        self._due: deque[Frame | Farewell] = deque()

    @property
    def unsent(self) -> Iterator[Frame]:
        """What was taken and could not be sent any more."""
        return (piece for piece in self._due if isinstance(piece, Frame))

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, tasks.cancel_scope)
            await self._write()
            tasks.cancel_scope.cancel()

    async def _read(self, whole: anyio.CancelScope) -> None:
        try:
            while self._refusal is None:
                self._take_in(await self._channel.receive())
        except ConnectionClosedError:
            whole.cancel()  # a writer may wait for a peer that reads no more

    def _take_in(self, frame: Frame) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s received %s", self._name, described(frame))
        self._refusal = self._fault_of(frame)
        try:
            if self._refusal is None:
                self._talk.receive(frame, self._clock.now_ms())
                due_ms = self._talk.next_due_ms()
        except Exception:  # noqa: BLE001
            self._fail()
        # A microphone sends fifty frames a second and few of them change anything: let the writer sleep.
        if self._refusal is not None or (
            due_ms is not None and (self._sleeps_until_ms is None or due_ms < self._sleeps_until_ms)
        ):
            self._wake.set()

    def _fault_of(self, frame: Frame) -> tuple[int, str] | None:
        if len(frame.data) > self._max_message_bytes:
            return CLOSE_TOO_BIG, f"message over the limit of {self._max_message_bytes} bytes"
        if frame.is_text:
            try:
                frame.data.decode()
            except UnicodeDecodeError:
                return CLOSE_INVALID_TEXT, "text that is no UTF-8"
        return None

    def _fail(self) -> None:
        """The engine, or a scenario's function, went wrong: the one connection ends, the emulator goes on."""
        logger.exception("%s: the emulator failed", self._name)
        self._refusal = CLOSE_FAILED, "internal error"

    async def _write(self) -> None:
        try:
            while not await self._send_due():
                await self._sleep()
        except ConnectionClosedError:
            return

    async def _send_due(self) -> bool:
        """Send what is due; true when that ended the connection."""
        try:
            self._due.extend(self._talk.take(self._clock.now_ms()))
        except Exception:  # noqa: BLE001
            self._fail()
        self._has_idled = not self._due
        while self._due:
            piece = self._due[0]
            if not isinstance(piece, Frame):
                await self._hang_up(piece)
                return True
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s sent %s", self._name, described(piece))
            await self._channel.send(piece)
            self._due.popleft()
        if self._refusal is not None:
            logger.debug("%s closes with %d", self._name, self._refusal[0])
            await self._channel.aclose(*self._refusal)
            return True
        return False

    async def _hang_up(self, farewell: Farewell) -> None:
        if farewell.abrupt:
            logger.debug("%s cuts the connection", self._name)
            await self._channel.cut()
        else:
            logger.debug("%s closes with %d", self._name, farewell.code)
            await self._channel.aclose(farewell.code, farewell.reason)

    async def _sleep(self) -> None:
        due_ms = self._sleeps_until_ms = self._talk.next_due_ms()
        wait_ms = None if due_ms is None else due_ms - self._clock.now_ms()
        if wait_ms is not None and wait_ms <= 0 and self._has_idled:
            wait_ms = STEP_MS  # an engine that names a time and then has nothing must not spin
        elif wait_ms is not None and wait_ms > 0:
            wait_ms = max(wait_ms, RESOLUTION_MS)  # a shorter one leaves the clock where it is
        wait_s = None if wait_ms is None else wait_ms / 1000
        with anyio.move_on_after(wait_s):
            await self._wake.wait()
        self._wake = anyio.Event()


def described(frame: Frame) -> str:
    """What a frame is, in a log line: type, ids and size, never what it says."""
    if not frame.is_text:
        return f"binary, {len(frame.data)} bytes"
    try:
        event = json.loads(frame.data)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        return f"(no event), {len(frame.data)} bytes"
    fields = {**event, **nested} if isinstance(nested := event.get("error"), dict) else event
    named = ((name, fields.get(name)) for name in LOGGED)
    ids = "".join(f" {name}={shown(value)}" for name, value in named if isinstance(value, str))
    return f"{shown(event.get('type'))}, {len(frame.data)} bytes{ids}"


def shown(value: object) -> str:
    """A name or an id as it stands in a log line: bounded, without line breaks."""
    return ascii(value)[1:-1][:80] if isinstance(value, str) else "(no type)"
