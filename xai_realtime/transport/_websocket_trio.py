"""The socket on trio. In: an address and settings. Out: a Line. Imports: websockets (17), trio, rooms 0-2.

Imported when a socket is opened on trio, never before.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import trio
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import CLOSING, OPEN, Event
from websockets.trio.client import ClientConnection, connect

from xai_realtime.transport._websocket_line import FLOOD_REASON, Inbox

__all__ = ["TrioLine", "connect_line"]

STREAM_ERRORS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class TrioLine(ClientConnection):
    """A connection that knows the kind of each message and ends in bounded time whatever the peer does."""

    connector: _Connect

    def __init__(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, protocol: ClientProtocol, **settings: Any
    ) -> None:
        super().__init__(nursery, stream, protocol, **settings)
        self.inbox = Inbox()
        self.is_left = False
        self.broken = ""
        self._is_watched = False

    def process_event(self, event: Event) -> None:
        """Pass on whole messages and control frames."""
        if isinstance(event, Frame):
            whole = self.inbox.take(event)
            if whole is None:
                if self.inbox.is_flooded and self.protocol.state is OPEN:
                    self.protocol.fail(CloseCode.MESSAGE_TOO_BIG, FLOOD_REASON)
                    self.nursery.start_soon(self._flush)
                return
            event = whole
        super().process_event(event)

    async def recv_events(self) -> None:
        """Read until the stream is closed, also while the user's scope is cancelled: the close needs the answers."""
        with trio.CancelScope(shield=True):
            await super().recv_events()

    def resume_reading(self) -> None:
        """Read on; nothing when reading was not paused."""
        if self.recv_flow_control is not None:
            super().resume_reading()

    async def send_data(self) -> None:
        """Write what the protocol has to send, as whole frames.

        A write that is cancelled half way ends the line: what follows would be read as the rest of that frame.
        """
        async with self.send_lock:
            await trio.lowlevel.checkpoint_if_cancelled()
            for data in self.protocol.data_to_send():
                if data:
                    try:
                        await self.stream.send_all(data)
                    except trio.Cancelled:
                        self.broken = "a send was cancelled half way"
                        await self._drop()
                        raise
                elif isinstance(self.stream, trio.abc.HalfCloseableStream):
                    with suppress(*STREAM_ERRORS):
                        await self.stream.send_eof()
                else:
                    await self.stream.aclose()
        if self.protocol.handshake_exc is not None:
            await self._drop()
        elif self.protocol.state is CLOSING and not self._is_watched:
            self._is_watched = True
            self.nursery.start_soon(self._drop_late)

    async def _flush(self) -> None:
        try:
            await self.send_data()
        except STREAM_ERRORS as error:
            self.set_connection_exc(error)

    async def _drop(self) -> None:
        """Close the stream without ceremony and wake the reader, which then ends the line."""
        self.resume_reading()
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self.stream)

    async def _drop_late(self) -> None:
        """Allow the peer `close_timeout` to end the TCP connection once the close has begun."""
        with trio.move_on_after(self.close_timeout or 0.0):
            await self.stream_closed.wait()
            return
        await self._drop()

    async def finish(self, code: int, reason: str, bound_s: float) -> None:
        """Close within `bound_s`, shielded from cancellation."""
        if self.protocol.state is OPEN:
            self.is_left = True
        self.inbox.is_shut = True
        self.resume_reading()
        with trio.move_on_after(bound_s, shield=True):
            await self.aclose(code, reason)
        if not self.stream_closed.is_set():
            await self._drop()
            with trio.CancelScope(shield=True):
                await self.stream_closed.wait()

    async def release(self) -> None:
        """Leave the nursery of the line.

        It is left as if nothing had gone wrong: a nursery would wrap the user's exception in a group.
        """
        self.nursery.cancel_scope.shield = True
        await self.connector.__aexit__(None, None, None)


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow nothing: neither a header nor a sub-protocol with a key leaves for another place."""
        return exc


async def connect_line(url: str, settings: dict[str, Any]) -> TrioLine:
    """Open the socket. Raises what websockets and the system raise."""
    connector = _Connect(url, create_connection=TrioLine, **settings)
    line = await connector.__aenter__()
    assert isinstance(line, TrioLine)
    line.connector = connector
    return line
