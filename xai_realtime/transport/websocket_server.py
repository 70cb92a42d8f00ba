"""The serving side of live sockets, on asyncio. In: a handler. Out: what clients ask for, and accepted Channels.

Imports: websockets (at the first handshake, never before), anyio, rooms 0-2.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio

from xai_realtime.defaults import (
    CLOSE_TIMEOUT_S,
    MAX_MESSAGE_BYTES,
    OPEN_TIMEOUT_S,
    PING_INTERVAL_S,
    PING_TIMEOUT_S,
)
from xai_realtime.errors import ConfigurationError, ConnectionBrokenError, RemoteProtocolError
from xai_realtime.timemark import time_is_virtual
from xai_realtime.transport._websocket_errors import Scrubber, closed_error
from xai_realtime.transport._websocket_http import Front, Head, response_head
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketChannel, silent_logger

if TYPE_CHECKING:
    from xai_realtime.transport._websocket_asyncio import AsyncioLine

__all__ = ["Arrival", "ServingChannel", "serve_sockets"]

logger = logging.getLogger(__name__)

SWITCHING: Final = 101
NO_BODY: Final = frozenset({204, 304})
FRAMING_HEADERS: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})

Handler: TypeAlias = Callable[["Arrival"], Awaitable[None]]


class ServingChannel(WebSocketChannel):
    """The server's end of a live socket: its peer is the client, whose close is a ClosedByServerError here too."""

    def __init__(self, line: AsyncioLine, max_message_bytes: int) -> None:
        scrub = Scrubber(ChannelRequest(""))
        super().__init__(
            line,
            close_timeout_s=CLOSE_TIMEOUT_S,
            closed=lambda error: closed_error(
                error, line, max_message_bytes=max_message_bytes, ping_timeout_s=PING_TIMEOUT_S, scrub=scrub
            ),
        )
        self._serving = line

    async def aclose_without_code(self) -> None:
        """Close with an empty close frame, as `aclose` does otherwise."""
        await self._serving.finish(None, "", CLOSE_TIMEOUT_S)  # type: ignore[arg-type]

    def break_off(self) -> None:
        """End the connection without a close frame, as a lost network does."""
        self._serving.transport.abort()


class Arrival:
    """What one client asks for: a socket or an HTTP answer. Exactly one of `accept` and `answer` serves it.

    `target` is path and query, `headers` the pairs as they came, `body` the whole body of an HTTP request.
    None of them appears in the repr: they hold keys.
    """

    def __init__(self, front: Front, head: Head, body: bytes, max_message_bytes: int) -> None:
        self.method = head.method
        self.target = head.target
        self.headers = head.headers
        self.body = body
        self.wants_socket = head.wants_socket
        self.subprotocols = tuple(head.tokens("sec-websocket-protocol"))
        self.is_served = False
        self._front = front
        self._head = head
        self._max_message_bytes = max_message_bytes

    def __repr__(self) -> str:
        return f"<Arrival {self.method}{' of a socket' if self.wants_socket else ''}>"

    def accept(self, subprotocol: str | None = None) -> AbstractAsyncContextManager[ServingChannel]:
        """Complete the handshake: the client's channel, closed (1001) when the context ends.

        Raises ConnectionBrokenError when the client is gone.
        """
        return self._accept(subprotocol)

    @asynccontextmanager
    async def _accept(self, subprotocol: str | None) -> AsyncIterator[ServingChannel]:
        from xai_realtime.transport._websocket_asyncio import AsyncioLine

        self.is_served = True
        protocol, status = _handshake(self._head, subprotocol, self._max_message_bytes)
        await self._front.write(b"".join(protocol.data_to_send()))
        assert status == SWITCHING, "a handshake was checked when it arrived"
        # After its handshake a line is the same from both ends.
        line = AsyncioLine(
            protocol, ping_interval=PING_INTERVAL_S, ping_timeout=PING_TIMEOUT_S, close_timeout=CLOSE_TIMEOUT_S
        )
        line.response = protocol
        self._front.hand_over(line)
        line.start_keepalive()
        channel = ServingChannel(line, self._max_message_bytes)
        try:
            yield channel
        finally:
            await channel.aclose(1001)

    async def answer(
        self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes | AsyncIterator[bytes] = b""
    ) -> None:
        """Answer with HTTP, a handshake too; a body that is an iterator goes out piece by piece.

        Raises ConnectionBrokenError when the client is gone.
        """
        self.is_served = True
        kept = [(name, value) for name, value in headers if name.lower() not in FRAMING_HEADERS]
        has_body = status not in NO_BODY and self.method != "HEAD"
        if isinstance(body, bytes):
            head = response_head(status, [*kept, ("Content-Length", str(len(body)))] if status not in NO_BODY else kept)
            await self._front.write(head + (body if has_body else b""))
        elif has_body:
            await self._front.write(response_head(status, [*kept, ("Transfer-Encoding", "chunked")]))
            await self._front.write_body(body)
        else:
            await self._front.write(response_head(status, kept))


async def serve_sockets(
    handler: Handler, listener: socket.socket, *, max_message_bytes: int = MAX_MESSAGE_BYTES
) -> None:
    """Serve until cancelled: `handler` is run for each request that arrives, each in a task of its own.

    `listener` is a bound socket (`socket.create_server(("127.0.0.1", port))`), closed at the end. What
    `handler` raises ends the whole, as an exception group. Raises ConfigurationError on another event
    loop than asyncio's and in virtual time.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError("serving sockets needs the event loop asyncio") from None
    if time_is_virtual():
        raise ConfigurationError("sockets cannot be served in virtual time: the other side lives in real time")
    arrived: asyncio.Queue[Front] = asyncio.Queue()

    class Accepting(Front):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            arrived.put_nowait(self)

    server = await loop.create_server(Accepting, sock=listener)
    try:
        async with anyio.create_task_group() as group:
            while True:
                group.start_soon(_serve_one, await arrived.get(), handler, max_message_bytes)
    finally:
        server.close()
        while not arrived.empty():
            arrived.get_nowait().transport.abort()


async def _serve_one(front: Front, handler: Handler, max_message_bytes: int) -> None:
    """One connection, which serves one request."""
    arrival: Arrival | None = None
    try:
        with anyio.move_on_after(OPEN_TIMEOUT_S):
            arrival = await _arrival(front, max_message_bytes)
        if arrival is not None:
            await handler(arrival)
            if not arrival.is_served:
                await arrival.answer(500)
    except ConnectionBrokenError:
        logger.debug("a client left before it was served")
    finally:
        front.transport.close()


async def _arrival(front: Front, max_message_bytes: int) -> Arrival | None:
    """What a client asks for; None when that was no proper request and has its answer already."""
    try:
        head = await front.read_head()
        if not head.wants_socket:
            return Arrival(front, head, await front.read_body(head, max_message_bytes), max_message_bytes)
    except RemoteProtocolError as breach:
        reason = f"{breach}\n".encode()
        await front.write(response_head(400, [("Content-Length", str(len(reason)))]) + reason)
        return None
    protocol, status = _handshake(head, None, max_message_bytes)
    if status != SWITCHING:
        refusal = b"".join(protocol.data_to_send())
        await front.write(refusal or response_head(status, [("Content-Length", "0")]))
        return None
    return Arrival(front, head, b"", max_message_bytes)


def _handshake(head: Head, subprotocol: str | None, max_message_bytes: int) -> tuple[Any, int]:
    """The sans-I/O side of a handshake, its answer ready to be sent, and the status of that."""
    from websockets.server import ServerProtocol

    protocol = ServerProtocol(
        select_subprotocol=lambda _, offered: next((name for name in offered if name == subprotocol), None),
        max_size=max_message_bytes,
        logger=silent_logger(),
    )
    protocol.receive_data(head.raw)
    events = protocol.events_received()
    if not events:
        return protocol, 400
    response = protocol.accept(events[0])  # type: ignore[arg-type]
    protocol.send_response(response)
    return protocol, response.status_code
