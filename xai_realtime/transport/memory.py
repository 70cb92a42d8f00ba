"""Two ends of a socket in one process. In: Frames from one end. Out: the same Frames at the other.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel

from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

__all__ = ["MemoryChannel", "MemoryServer", "MemoryTransport", "memory_pair"]


class _Pipe:
    """One direction: the frames under way, and those who wait for a change. Holds nothing that must be freed."""

    def __init__(self, buffer: int) -> None:
        self.frames: deque[Frame] = deque()
        self.buffer = buffer
        self.sending = anyio.Lock()
        self.has_sender = self.has_receiver = True
        self._changed = anyio.Event()

    def notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


class MemoryChannel(Channel):
    """One end of a pair. What one end sends the other receives, in order; a bounded number is under way."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._peer: MemoryChannel | None = None
        self._farewell: tuple[int, str] | None = None
        self._closed: ConnectionClosedError | None = None

    async def send(self, frame: Frame) -> None:
        """Send one message; waits while the other end lags behind by the whole buffer."""
        pipe = self._outgoing
        async with pipe.sending:
            await anyio.lowlevel.checkpoint()
            while True:
                if self._closed is not None:
                    raise self._closed
                if not pipe.has_receiver:
                    # What the other end sent before it left can still be received.
                    raise self._left()
                if len(pipe.frames) < pipe.buffer:
                    pipe.frames.append(frame)
                    pipe.notify()
                    return
                await pipe.wait()

    async def receive(self) -> Frame:
        """The next message. Cancelling is safe."""
        pipe = self._incoming
        await anyio.lowlevel.checkpoint()
        while True:
            if self._closed is not None:
                raise self._closed
            if pipe.frames:
                frame = pipe.frames.popleft()
                pipe.notify()
                return frame
            if not pipe.has_sender:
                self._end(self._left())
            else:
                await pipe.wait()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close this end; the other end reads what is left and then the close."""
        if self._closed is None:
            self._farewell = (code, reason)
            self._end(ClosedByUsError(code, reason))

    def break_off(self) -> None:
        """End the connection without a close handshake, as a lost network does."""
        if self._closed is None:
            self._end(ConnectionBrokenError(None, "broken off"))

    def _end(self, closed: ConnectionClosedError) -> None:
        self._closed = closed
        self._outgoing.has_sender = False
        self._incoming.has_receiver = False
        self._outgoing.notify()
        self._incoming.notify()

    def _left(self) -> ConnectionClosedError:
        farewell = self._peer._farewell if self._peer is not None else None
        if farewell is None:
            return ConnectionBrokenError(None, "the other end is gone")
        return ClosedByServerError(*farewell)


class _Door:
    """Where the client's opens wait for the server."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[ChannelRequest, MemoryChannel]] = deque()
        self.is_open = True
        self.rung: anyio.Event | None = None

    def ring(self) -> None:
        if self.rung is not None:
            self.rung.set()
            self.rung = None


class MemoryServer:
    """The serving side of a memory pair: accepts what the client opens."""

    def __init__(self, door: _Door) -> None:
        self._door = door

    async def accept(self) -> tuple[ChannelRequest, MemoryChannel]:
        """Wait for the next channel the client opens: what it asked for, and the server's end. Cancelling is safe."""
        await anyio.lowlevel.checkpoint()
        while not self._door.waiting:
            if self._door.rung is None:
                self._door.rung = anyio.Event()
            await self._door.rung.wait()
        return self._door.waiting.popleft()

    def close(self) -> None:
        """Accept nothing more: opening then raises ConnectError."""
        self._door.is_open = False


class MemoryTransport(Transport):
    """The client's side of a memory pair; needs neither network nor key."""

    needs_key = False

    def __init__(self, door: _Door, buffer: int) -> None:
        self._door = door
        self._buffer = buffer

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open a channel to the server of the pair. Raises ConnectError when it accepts no more."""
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        await anyio.lowlevel.checkpoint()
        if not self._door.is_open:
            raise ConnectError("the server of this memory pair accepts no connections")
        up, down = _Pipe(self._buffer), _Pipe(self._buffer)
        client, server = MemoryChannel(up, down), MemoryChannel(down, up)
        client._peer, server._peer = server, client
        self._door.waiting.append((request, server))
        self._door.ring()
        try:
            yield client
        finally:
            await client.aclose()


def memory_pair(*, buffer: int = 64) -> tuple[MemoryTransport, MemoryServer]:
    """A transport and the server it reaches, both in this process: for tests, on asyncio and trio.

    `buffer` is how many frames may be under way in each direction, at least 1. Raises ConfigurationError.
    """
    if buffer < 1:
        raise ConfigurationError(f"buffer {buffer!r}: at least one frame must be under way")
    door = _Door()
    return MemoryTransport(door, buffer), MemoryServer(door)
