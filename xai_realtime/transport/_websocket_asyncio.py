"""The socket on asyncio. In: an address and settings. Out: a Line. Imports: websockets (15 to 17), anyio, rooms 0-2.

Imported when a socket is opened on asyncio, never before.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import CLOSING, OPEN, Event

from xai_realtime.transport._websocket_line import FLOOD_REASON, TEXT, Inbox

__all__ = ["AsyncioLine", "connect_line"]


class AsyncioLine(ClientConnection):
    """A connection that knows the kind of each message and ends in bounded time whatever the peer does."""

    def __init__(self, protocol: ClientProtocol, **settings: Any) -> None:
        super().__init__(protocol, **settings)
        self.inbox = Inbox()
        self.is_left = False
        self.broken = ""
        self._last_call: asyncio.TimerHandle | None = None

    def process_event(self, event: Event) -> None:
        """Pass on whole messages and control frames."""
        inbox = self.inbox
        if event.__class__ is Frame and event.fin and event.opcode is TEXT and not inbox.is_shut:
            # What nearly every message is; the rest goes the long way.
            inbox.kinds.append(True)
        elif isinstance(event, Frame):
            whole = inbox.take(event)
            if whole is None:
                if inbox.is_flooded:
                    self._refuse_flood()
                return
            event = whole
        ClientConnection.process_event(self, event)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and see to it that a line which is over ends whatever the peer does."""
        super().data_received(data)
        if self.protocol.state is not OPEN:
            self._end_soon()

    def _end_soon(self) -> None:
        """Leave at once where the handshake failed; allow the peer `close_timeout` where the close has begun."""
        if self.protocol.handshake_exc is not None:
            self.transport.abort()
        elif self.protocol.state is CLOSING and self._last_call is None:
            self._last_call = self.loop.call_later(self.close_timeout or 0.0, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits."""
        if self._last_call is not None:
            self._last_call.cancel()
        super().connection_lost(exc)
        # When its last bytes left behind a close, asyncio's transport has forgotten its loop: aborting it would fail.
        self.transport = GoneTransport()

    def _refuse_flood(self) -> None:
        if self.protocol.state is OPEN:
            self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, FLOOD_REASON)
            self.send_data()

    async def finish(self, code: int, reason: str, bound_s: float) -> None:
        """Close within `bound_s`, shielded from cancel scopes; a task cancelled outright aborts the line at once."""
        if self.protocol.state is OPEN:
            self.is_left = True
        self.inbox.is_shut = True
        if not self.transport.is_closing():
            self.transport.resume_reading()
        try:
            with anyio.move_on_after(bound_s, shield=True):
                await self.close(code, reason)
        finally:
            if not self.connection_lost_waiter.done():
                self.transport.abort()
        with anyio.CancelScope(shield=True):
            await self.wait_closed()

    async def release(self) -> None:
        """Nothing stands around this line."""


class GoneTransport(asyncio.Transport):
    """Stands for a connection that is lost: there is nothing left to abort or to resume."""

    def abort(self) -> None:
        """Nothing."""

    def is_closing(self) -> bool:
        """It is over."""
        return True

    def pause_reading(self) -> None:
        """Nothing."""

    def resume_reading(self) -> None:
        """Nothing."""


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow nothing: neither a header nor a sub-protocol with a key leaves for another place."""
        return exc


async def connect_line(url: str, settings: dict[str, Any]) -> AsyncioLine:
    """Open the socket. Raises what websockets and the system raise."""
    line = await _Connect(url, create_connection=AsyncioLine, **settings)
    assert isinstance(line, AsyncioLine)
    return line
