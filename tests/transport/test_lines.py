"""The broken lines that other tests stand on do what they say."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from queue import Queue
from urllib.parse import urlsplit

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from tests.lines import RESET_AT_CLOSE, TcpProxy, http_connect_proxy, received, send_all, tcp_proxy
from tests.transport.peers import Peer, proper, raw, taken
from xai_realtime.frames import Frame
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = pytest.mark.anyio

DELAY_MS = 20


def echo(peer: Peer) -> None:
    while data := peer.sock.recv(65536):
        peer.send(data)


@contextmanager
def dialled(port: int) -> Iterator[socket.socket]:
    """A client's bare socket."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.setblocking(False)
        yield sock


@asynccontextmanager
async def echoing(script: Callable[[Peer], None] = echo) -> AsyncIterator[TcpProxy]:
    """A proxy before a server that echoes, within five seconds."""
    with anyio.fail_after(5), raw(script) as url:
        async with tcp_proxy("127.0.0.1", urlsplit(url).port or 0, delay_ms=DELAY_MS) as proxy:
            yield proxy


async def answered(sock: socket.socket, data: bytes) -> None:
    """Send something and get it back."""
    await send_all(sock, data)
    got = b""
    while len(got) < len(data):
        got += await received(sock)
    assert got == data


async def nothing_from(wait: Callable[[], Awaitable[object]]) -> bool:
    """Does this last on and on?"""
    with anyio.move_on_after(5 * DELAY_MS / 1000) as scope:
        await wait()
    return scope.cancelled_caught


async def test_line_passes_and_counts_bytes_both_ways_and_is_late_each_way() -> None:
    async with echoing() as proxy:
        with dialled(proxy.port) as one, dialled(proxy.port) as two:
            begun = anyio.current_time()
            await answered(one, b"hello")
            assert anyio.current_time() - begun >= 2 * DELAY_MS / 1000 - 0.002
            await answered(two, bytes(1_000_000))
        assert (proxy.connections, proxy.bytes_up, proxy.bytes_down) == (2, 1_000_005, 1_000_005)


async def test_line_is_late_without_being_slow() -> None:
    async with echoing() as proxy:
        with dialled(proxy.port) as sock:
            begun = anyio.current_time()
            for number in range(100):
                await send_all(sock, bytes([number]))
                await anyio.lowlevel.checkpoint()
            got = b""
            while len(got) < 100:
                got += await received(sock)
            assert got == bytes(range(100))
            assert anyio.current_time() - begun < 100 * DELAY_MS / 1000


async def test_reset_ends_every_open_connection_at_once_without_a_fin() -> None:
    async with echoing() as proxy:
        with dialled(proxy.port) as one, dialled(proxy.port) as two:
            await answered(one, b"x")
            await answered(two, b"x")
            proxy.reset()
            for sock in (one, two):
                with pytest.raises(ConnectionResetError):
                    await received(sock)
        with dialled(proxy.port) as sock:
            await answered(sock, b"again")


async def test_reset_by_one_end_reaches_the_other() -> None:
    ends: Queue[str] = Queue()

    def script(peer: Peer) -> None:
        try:
            echo(peer)
        except ConnectionResetError:
            ends.put("reset")

    async with echoing(script) as proxy:
        with dialled(proxy.port) as sock:
            await answered(sock, b"x")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        assert await taken(ends) == "reset"


async def test_stalled_line_keeps_its_sockets_and_goes_on_where_it_stalled() -> None:
    async with echoing() as proxy:
        with dialled(proxy.port) as sock:
            await answered(sock, b"before")
            proxy.stall()
            proxy.stall()
            await send_all(sock, b"after")
            assert await nothing_from(lambda: received(sock))
            assert proxy.bytes_up == len(b"before")
            proxy.resume()
            assert await received(sock) == b"after"


async def test_refusing_line_accepts_and_never_answers() -> None:
    async with echoing() as proxy:
        with dialled(proxy.port) as before:
            await answered(before, b"x")
            proxy.refuse = True
            with dialled(proxy.port) as sock:
                await send_all(sock, b"anyone?")
                assert await nothing_from(lambda: received(sock))
            await answered(before, b"y")
        assert proxy.connections == 2


async def test_end_of_one_side_reaches_the_other_as_an_end() -> None:
    async with echoing(lambda peer: peer.send(b"bye")) as proxy:
        with dialled(proxy.port) as sock:
            assert await received(sock) == b"bye"
            assert await received(sock) == b""


async def test_line_to_nowhere_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with anyio.fail_after(5):
        async with tcp_proxy("127.0.0.1", port) as proxy:
            with dialled(proxy.port) as sock, pytest.raises(ConnectionResetError):
                await received(sock)


async def test_what_the_body_raises_comes_out_of_the_proxy_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with echoing() as proxy:
            with dialled(proxy.port) as sock:
                await answered(sock, b"x")
                raise ZeroDivisionError


async def test_websocket_goes_through_the_connect_proxy_which_counts_it(live_backend: str) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("hello")

    with anyio.fail_after(5), proper(greet) as url:
        async with http_connect_proxy() as proxy:
            async with WebSocketTransport(proxy=proxy.url).open(ChannelRequest(url)) as channel:
                assert await channel.receive() == Frame(b"hello")
        assert proxy.connects == 1
        assert proxy.targets == [urlsplit(url).netloc]
        assert proxy.heads[0].startswith(b"CONNECT ")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [(b"GET / HTTP/1.1", b"405"), (b"CONNECT 127.0.0.1:1 HTTP/1.1", b"502"), (b"CONNECT x", b"502")],
)
async def test_connect_proxy_refuses_other_methods_and_what_it_cannot_reach(request_line: bytes, status: bytes) -> None:
    with anyio.fail_after(5):
        async with http_connect_proxy() as proxy:
            with dialled(proxy.port) as sock:
                await send_all(sock, request_line + b"\r\nHost: x\r\n\r\n")
                assert (await received(sock)).split(b" ")[1] == status
