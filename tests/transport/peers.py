"""Real servers on loopback: one that speaks WebSocket properly, and raw sockets that misbehave."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Queue
from typing import Any, TypeVar

import anyio.to_thread
from websockets.asyncio.server import ServerConnection, serve
from websockets.version import version

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "TEXT",
    "WEBSOCKETS",
    "Peer",
    "frame_bytes",
    "http_answer",
    "proper",
    "raw",
    "taken",
]

WEBSOCKETS = int(version.split(".")[0])
CONT, TEXT, BINARY, CLOSE = 0, 1, 2, 8
LIMIT_S = 5.0
T = TypeVar("T")
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Handler = Callable[[ServerConnection], Awaitable[None]]


@contextmanager
def proper(handler: Handler, **settings: Any) -> Iterator[str]:
    """A proper server in a thread with a loop of its own; gives its address."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stopping = asyncio.Event()
    ports: list[int] = []

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0, close_timeout=0.2, **settings) as server:
            ports.append(next(iter(server.sockets)).getsockname()[1])
            started.set()
            await stopping.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(LIMIT_S)
    try:
        yield f"ws://127.0.0.1:{ports[0]}/v1/realtime"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def frame_bytes(opcode: int, data: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> bytes:
    """One frame as a server sends it."""
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    if len(data) < 126:
        return struct.pack("!BB", first, len(data)) + data
    if len(data) < 65536:
        return struct.pack("!BBH", first, 126, len(data)) + data
    return struct.pack("!BBQ", first, 127, len(data)) + data


def http_answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def taken(queue: Queue[T]) -> T:
    """The next of what the server's thread put in."""
    return await anyio.to_thread.run_sync(partial(queue.get, timeout=LIMIT_S))


class Peer:
    """The server's end of one raw connection."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.stopping = stopping
        self.request = b""

    def read_request(self) -> bytes:
        """Read the handshake's head."""
        while b"\r\n\r\n" not in self.request and (data := self.sock.recv(65536)):
            self.request += data
        return self.request

    def accept(self, *headers: str) -> bytes:
        """The answer that completes the handshake."""
        self.read_request()
        lines = self.request.decode().split("\r\n")
        key = next(line.split(": ", 1)[1] for line in lines if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        head = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        return "\r\n".join([*head, f"Sec-WebSocket-Accept: {accept}", *headers, "", ""]).encode()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def read_to_end(self) -> bytes:
        """All that the client still sends, until it closes."""
        data = b""
        while chunk := self.sock.recv(65536):
            data += chunk
        return data

    def hold(self) -> None:
        """Keep the connection open without reading until the test is over."""
        assert self.stopping.wait(3 * LIMIT_S)


@contextmanager
def raw(script: Callable[[Peer], None]) -> Iterator[str]:
    """A TCP server that runs `script` in a thread for each connection; gives its address."""
    stopping = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def serve_one(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(2 * LIMIT_S)
            try:
                script(Peer(sock, stopping))
            except OSError:
                return  # the client went away, as most of these scripts expect
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

    def accept_all() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve_one, args=(sock,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept_all, daemon=True)
    acceptor.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/realtime"
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [acceptor, *threads]:
            thread.join(LIMIT_S)
            assert not thread.is_alive()
        assert not failures, failures


def answer(data: bytes) -> Callable[[Peer], None]:
    """A script that reads the handshake and answers it with these bytes."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(data)

    return script


def talk(data: bytes, *headers: str, hold: bool = True) -> Callable[[Peer], None]:
    """A script that accepts, sends these bytes and keeps the connection, or ends it without a close."""

    def script(peer: Peer) -> None:
        peer.send(peer.accept(*headers) + data)
        if hold:
            peer.hold()

    return script
