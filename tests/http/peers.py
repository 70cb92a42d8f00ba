"""A small HTTP server on loopback, in a thread of its own, that answers as a test tells it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from xai_realtime.transport.base import ChannelRequest, HttpRequest, HttpResponse, Transport

__all__ = ["KEY", "Asked", "Peer", "Scripted", "ask", "jsonic", "page", "serving"]

KEY = "xai-CANARYcanaryCANARYcanary0123456789"


@dataclass
class Asked:
    """One request as it came over the line."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Where the server listens, and what it was asked."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    loop: asyncio.AbstractEventLoop | None = None

    def release(self, event: asyncio.Event) -> None:
        """Set an event that an answer waits for."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(event.set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def serving(answer: Answer) -> Iterator[Peer]:
    """A server whose connections each answer any number of requests."""
    peer = Peer(0)
    started = threading.Event()
    stop = asyncio.Event()
    failures: list[BaseException] = []

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        try:
            while (asked := await _read(reader)) is not None:
                peer.asked.append(asked)
                await answer(asked, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connection, "127.0.0.1", 0)
        peer.port = server.sockets[0].getsockname()[1]
        peer.loop = asyncio.get_running_loop()
        started.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(5)
    assert peer.loop is not None
    try:
        yield peer
    finally:
        peer.loop.call_soon_threadsafe(stop.set)
        thread.join(5)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body)


def page(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole answer as bytes."""
    named = {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Reason", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def jsonic(value: Any, status: int = 200, **headers: str) -> Answer:
    """An answer that is always the same JSON."""

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(page(status, json.dumps(value).encode(), **headers))

    return answer


async def ask(transport: Transport, request: HttpRequest) -> tuple[int, list[bytes]]:
    """One request and the pieces of its answer."""
    async with transport.request(request) as response:
        return response.status, [piece async for piece in response]


class Scripted(Transport):
    """A transport whose answers are made by a function: status, headers, pieces of the body.

    A piece that is a number is a pause in seconds, one that is an exception is raised.
    """

    def __init__(self, answer: Callable[[HttpRequest], tuple[int, dict[str, str], list[Any]] | Exception]) -> None:
        self.asked: list[HttpRequest] = []
        self._answer = answer

    def open(self, request: ChannelRequest) -> Any:
        raise AssertionError("no sockets here")

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        self.asked.append(request)
        told = self._answer(request)
        if isinstance(told, Exception):
            raise told
        status, headers, pieces = told
        async with aclosing(_pieces(pieces)) as body:
            yield HttpResponse(status, tuple(headers.items()), body)

    def request(self, request: HttpRequest) -> Any:
        return self._request(request)


async def _pieces(pieces: list[Any]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        await anyio.sleep(piece if isinstance(piece, int | float) else 0)
        if isinstance(piece, Exception):
            raise piece
        if isinstance(piece, bytes):
            yield piece
