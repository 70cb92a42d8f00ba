"""Real lines on loopback that break as a test wants: a TCP proxy and an HTTP CONNECT proxy, on asyncio and trio."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import ObjectReceiveStream, TaskGroup

__all__ = ["ConnectProxy", "TcpProxy", "http_connect_proxy", "tcp_proxy"]

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
READ_BYTES = 65536
MAX_HEAD_BYTES = 65536
BROKEN = (OSError, anyio.ClosedResourceError)
"""What a task meets whose socket was closed or reset, by the other side or by the proxy."""


# Sockets as they are: the streams of anyio end with a FIN, and a reset must come without one.


async def accepted(listener: socket.socket) -> socket.socket:
    while True:
        await anyio.wait_readable(listener)
        with suppress(BlockingIOError):
            sock, _ = listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock


async def connected(host: str, port: int) -> socket.socket:
    (family, kind, number, _, address), *_ = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            sock.connect(address)
        await anyio.wait_writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"cannot connect to port {port}")
    except BaseException:
        sock.close()
        raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def check_open(sock: socket.socket) -> None:
    """A socket that was closed meanwhile cannot be waited for."""
    if sock.fileno() == -1:
        raise anyio.ClosedResourceError


async def received(sock: socket.socket) -> bytes:
    while True:
        check_open(sock)
        await anyio.wait_readable(sock)
        with suppress(BlockingIOError):
            return sock.recv(READ_BYTES)


async def send_all(sock: socket.socket, data: bytes) -> None:
    while data:
        check_open(sock)
        await anyio.wait_writable(sock)
        with suppress(BlockingIOError):
            data = data[sock.send(data) :]


def close(sock: socket.socket, *, is_reset: bool = False) -> None:
    """End a socket, with RST in place of FIN when it is a reset. A second call does nothing."""
    if sock.fileno() == -1:
        return
    if is_reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    anyio.notify_closing(sock)
    sock.close()


@dataclass
class TcpProxy:
    """A TCP line that is late by `delay_ms` each way.

    `port` is where it listens. `refuse` may be set at any time: connections accepted from then on are never answered.
    `connections` counts those accepted, `bytes_up` what went on to the server, `bytes_down` what to the client.
    """

    port: int
    target: tuple[str, int]
    delay_ms: float = 50.0
    refuse: bool = False
    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    _sockets: set[socket.socket] = field(default_factory=set, repr=False)
    _gate: anyio.Event = field(default_factory=anyio.Event, repr=False)

    def __post_init__(self) -> None:
        self._gate.set()

    @property
    def base_url(self) -> str:
        """The base URL of a service behind it, as `AsyncClient` takes it."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def ws_url(self) -> str:
        """The same for sockets."""
        return f"ws://127.0.0.1:{self.port}/v1"

    def reset(self) -> None:
        """End all open connections at once, both their ends with RST; what was under way is lost."""
        for sock in tuple(self._sockets):
            close(sock, is_reset=True)

    def stall(self) -> None:
        """Pass nothing any more, neither bytes nor ends, and keep every socket open."""
        if self._gate.is_set():
            self._gate = anyio.Event()

    def resume(self) -> None:
        """Go on where it stalled; nothing of what was sent is lost."""
        self._gate.set()

    async def _serve(self, client: socket.socket) -> None:
        self.connections += 1
        self._sockets.add(client)
        try:
            if self.refuse:
                await anyio.sleep_forever()
            server = await connected(*self.target)
            self._sockets.add(server)
            await self._join(client, server)
        except BROKEN:
            close(client, is_reset=True)
        finally:
            self._forget(client)

    async def _join(self, client: socket.socket, server: socket.socket) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pass_on, client, server, self._count_up)
                tasks.start_soon(self._pass_on, server, client, self._count_down)
        finally:
            self._forget(server)

    def _forget(self, sock: socket.socket) -> None:
        close(sock)
        self._sockets.discard(sock)

    def _count_up(self, size: int) -> None:
        self.bytes_up += size

    def _count_down(self, size: int) -> None:
        self.bytes_down += size

    async def _pass_on(self, source: socket.socket, sink: socket.socket, count: Callable[[int], None]) -> None:
        """One direction, to its end: a FIN is passed on as one, a reset ends both sides."""
        under_way, arrivals = anyio.create_memory_object_stream[tuple[float, bytes]](math.inf)
        try:
            async with arrivals, anyio.create_task_group() as tasks, under_way:
                tasks.start_soon(self._deliver, arrivals, sink, count)
                data = b"more"
                while data:
                    await self._passing()
                    data = await received(source)
                    under_way.send_nowait((anyio.current_time() + self.delay_ms / 1000, data))
        except* BROKEN:
            close(source, is_reset=True)
            close(sink, is_reset=True)

    async def _deliver(
        self,
        arrivals: ObjectReceiveStream[tuple[float, bytes]],
        sink: socket.socket,
        count: Callable[[int], None],
    ) -> None:
        async for due, data in arrivals:
            await anyio.sleep_until(due)
            await self._passing()
            await send_all(sink, data)
            count(len(data))
            if not data:
                sink.shutdown(socket.SHUT_WR)

    async def _passing(self) -> None:
        while not self._gate.is_set():
            await self._gate.wait()


@dataclass
class ConnectProxy:
    """An HTTP proxy that knows CONNECT alone; `heads` are the requests as they came, `targets` the `host:port` asked.

    What cannot be reached is answered with 502, another method with 405.
    """

    port: int
    heads: list[bytes] = field(default_factory=list, repr=False)
    targets: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """What a client takes as its proxy."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connects(self) -> int:
        """How many CONNECTs came."""
        return len(self.targets)

    async def _serve(self, client: socket.socket) -> None:
        try:
            head = b""
            while b"\r\n\r\n" not in head and len(head) < MAX_HEAD_BYTES:
                data = await received(client)
                if not data:
                    return
                head += data
            head, _, rest = head.partition(b"\r\n\r\n")
            self.heads.append(head)
            await self._answer(client, head, rest)
        except BROKEN:
            return
        finally:
            close(client)

    async def _answer(self, client: socket.socket, head: bytes, rest: bytes) -> None:
        method, _, asked = head.decode("latin-1").partition(" ")
        if method != "CONNECT":
            await send_all(client, b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        self.targets.append(asked.partition(" ")[0])
        host, _, port = self.targets[-1].rpartition(":")
        try:
            server = await connected(host, int(port))
        except (OSError, ValueError):
            await send_all(client, b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            await send_all(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
            await send_all(server, rest)
            await TcpProxy(self.port, (host, int(port)), delay_ms=0)._join(client, server)
        finally:
            close(server)


@asynccontextmanager
async def tcp_proxy(host: str, port: int, *, delay_ms: float = 50) -> AsyncIterator[TcpProxy]:
    """A line to `host`:`port` through a proxy on loopback that can be stalled, reset, or made to say nothing.

    Leaving the context ends every connection.
    """
    with listening() as listener:
        proxy = TcpProxy(listener.getsockname()[1], (host, port), delay_ms)
        async with serving(listener, proxy._serve):
            yield proxy


@asynccontextmanager
async def http_connect_proxy() -> AsyncIterator[ConnectProxy]:
    """An HTTP proxy on loopback that tunnels wherever it is asked to, and counts. Leaving the context ends it."""
    with listening() as listener:
        proxy = ConnectProxy(listener.getsockname()[1])
        async with serving(listener, proxy._serve):
            yield proxy


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


@asynccontextmanager
async def serving(listener: socket.socket, serve: Callable[[socket.socket], object]) -> AsyncIterator[None]:
    """Serve every connection in a task of its own; what the body raises comes out as it is."""
    raised: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept_all, listener, partial(start, tasks, serve))
        try:
            yield
        except Exception as error:  # noqa: BLE001
            raised = error
        tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised


async def accept_all(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        serve(await accepted(listener))


def start(tasks: TaskGroup, serve: Callable[..., object], sock: socket.socket) -> None:
    tasks.start_soon(serve, sock)  # type: ignore[arg-type]
