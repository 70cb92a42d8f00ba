"""Bodies that count what is taken of them, and servers that have a connection to themselves."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from typing import Any

import anyio

from xai_realtime.transport.base import StreamedBody

__all__ = ["PIECE", "Counted", "Reader", "Slow", "Writer", "body_of", "head_of", "raw_server"]

PIECE = bytes(range(256)) * 256
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Handler = Callable[[Reader, Writer], Awaitable[None]]


class Counted(StreamedBody):
    """`count` pieces; `taken` is how many were asked for, `opened` and `closed` how often."""

    def __init__(self, count: int, *, is_known: bool = True, is_repeatable: bool = True, fails_at: Any = None) -> None:
        self.size_bytes = count * len(PIECE) if is_known else None
        self.is_repeatable = is_repeatable
        self.taken = self.opened = self.closed = 0
        self._count = count
        self._fails_at = fails_at

    def open(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return aclosing(self._pieces())

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        self.opened += 1
        try:
            for number in range(self._count):
                if self._fails_at is not None and number == self._fails_at[0]:
                    raise self._fails_at[1]
                self.taken += 1
                yield PIECE
                await anyio.lowlevel.checkpoint()
        finally:
            self.closed += 1


@contextmanager
def raw_server(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server in a thread of its own; the handler has the connection."""
    ports: list[int] = []
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    open_lines: list[Writer] = []

    async def connection(reader: Reader, writer: Writer) -> None:
        open_lines.append(writer)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        loops.append(asyncio.get_running_loop())
        started.set()
        await stop.wait()
        # A connection that is half accepted when its server closes is left open by asyncio.
        loops[0].remove_reader(server.sockets[0].fileno())
        await _turns()
        server.close()
        for writer in open_lines:
            writer.transport.abort()
        await _turns()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield ports[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(5)


async def head_of(reader: Reader) -> tuple[str, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def body_of(reader: Reader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    assert headers["transfer-encoding"] == "chunked"
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


class Slow(Counted):
    """As Counted, a piece every few milliseconds, so that a line never is full."""

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(super()._pieces()) as pieces:
            async for piece in pieces:
                await anyio.sleep(0.003)
                yield piece


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
