"""A real server around the emulated service. In: an ASGI application, a port. Out: an address that answers.

uvicorn runs on asyncio alone: on asyncio it serves inside the running loop, on trio in a thread with a loop of its own.
Imports: uvicorn (extra `emulator`), anyio, rooms 0 and 7.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread
from uvicorn import Config, Server
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from xai_realtime.emulator.app import CUT
from xai_realtime.errors import ConfigurationError
from xai_realtime.timemark import time_is_virtual

__all__ = ["serve"]

STOP_S: Final = 2.0
START_S: Final = 10.0
REASONS: Final = {
    errno.EADDRINUSE: "the port is in use by another program",
    errno.EACCES: "this port may not be used without special rights",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}
DRAIN_S: Final = 2.0
QUIET_S: Final = 0.2
"""A peer that sends nothing for so long after a breach has sent all."""


@asynccontextmanager
async def serve(app: Any, *, host: str, port: int, max_message_bytes: int) -> AsyncIterator[tuple[str, int]]:
    """Serve `app` while the context lasts; gives host and port, the real one where 0 was asked for.

    Leaving closes open sockets with 1012 and is bounded to a few seconds. Raises ConfigurationError for an
    address that cannot be listened at, and in virtual time, where no socket can be waited for.
    """
    if time_is_virtual():
        raise ConfigurationError(
            "the emulator's server cannot run in virtual time: the other side lives in real time; "
            "use Emulator(...).transport(), which needs no socket"
        )
    listener = bound(host, port)
    address = listener.getsockname()[:2]
    run = partial(_Running, app, listener, max_message_bytes)
    try:
        on_asyncio = asyncio.get_running_loop() is not None
    except RuntimeError:
        on_asyncio = False
    if on_asyncio:
        running = run()
        await running.start()
        try:
            yield address
        finally:
            with anyio.CancelScope(shield=True):
                await running.stop()
    else:
        thread = _Thread(run)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(thread.start)
        try:
            yield address
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(thread.stop)


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = REASONS.get(error.errno or 0, error.strerror or "it cannot be used")
        raise ConfigurationError(f"cannot listen at {host}:{port}: {reason}") from None


class _Running:
    """uvicorn without its own loop, signals and log lines."""

    def __init__(self, app: Any, listener: socket.socket, max_message_bytes: int) -> None:
        self._listener = listener
        self._server = Server(
            Config(
                app,
                http="h11",
                ws=_Protocol,
                ws_max_size=max_message_bytes,
                ws_per_message_deflate=False,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=int(STOP_S),
            )
        )

    async def start(self) -> None:
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._listener])

    async def stop(self) -> None:
        await self._server.shutdown(sockets=[self._listener])
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


class _Thread:
    """A server in a thread with an asyncio loop of its own."""

    def __init__(self, run: partial[_Running]) -> None:
        self._run = run
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._main, name="xai-realtime emulator", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.result(START_S)

    def stop(self) -> None:
        loop, stopping = self._ready.result(0)
        loop.call_soon_threadsafe(stopping.set)
        self._thread.join(2 * STOP_S + DRAIN_S)

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        running, stopping = self._run(), asyncio.Event()
        await running.start()
        self._ready.set_result((asyncio.get_running_loop(), stopping))
        await stopping.wait()
        await running.stop()


class _Protocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with three differences.

    It logs nothing (at DEBUG the library writes headers, keys and audio). A close with `CUT` ends the
    connection without a close handshake. A message that breaks the protocol or the limit is answered with
    its close code and then drained, because closing at once would reset the connection and lose the code.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        silent = logging.Logger(f"{__name__}.silent", level=logging.CRITICAL + 1)
        self.logger = self.conn.logger = silent
        self.conn.debug = False
        self._drain_timer: asyncio.TimerHandle | None = None
        self._drain_until_s = 0.0

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what comes after a breach is thrown away."""
        if self._drain_timer is None:
            super().data_received(data)
        elif self.loop.time() < self._drain_until_s:
            self._drain_timer.cancel()
            self._drain_timer = self.loop.call_later(QUIET_S, self._drained)

    def handle_parser_exception(self) -> None:
        """Say what was wrong, and let the peer finish sending, for a bounded time."""
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._drain_until_s = self.loop.time() + DRAIN_S
        self._drain_timer = self.loop.call_later(QUIET_S, self._drained)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits."""
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        super().connection_lost(exc)

    def _drained(self) -> None:
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.close()

    async def send(self, message: Any) -> None:
        """Send one ASGI message; into a breach goes nothing more."""
        if self._drain_timer is not None:
            return
        if message["type"] == "websocket.close" and message.get("code") == CUT:
            self.transport.abort()
            return
        await super().send(message)
