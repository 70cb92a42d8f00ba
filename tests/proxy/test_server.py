"""The serving side of sockets by itself: HTTP answers of every form, slow clients, a handler that does nothing."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread
import pytest

from tests.proxy.ends import NONCE, UPGRADE, bare_answer, bare_client, handshake_bytes
from xai_realtime.errors import ConnectionBrokenError, ConnectionClosedError
from xai_realtime.frames import Frame
from xai_realtime.transport.websocket_server import Arrival, serve_sockets

Client = Callable[[int], bytes]
GET = handshake_bytes()
CHUNKS = b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


def served(handler: Callable[[Arrival], Awaitable[None]], client: Client) -> bytes:
    """What one client, in a thread, hears of a handler."""

    async def main() -> bytes:
        with anyio.fail_after(10), socket.create_server(("127.0.0.1", 0)) as listener:
            async with anyio.create_task_group() as group:
                group.start_soon(serve_sockets, handler, listener)
                heard = await anyio.to_thread.run_sync(client, listener.getsockname()[1])
                group.cancel_scope.cancel()
        return heard

    return anyio.run(main)


def asking(*pieces: bytes) -> Client:
    return partial(lambda pieces, port: bare_answer(port, *pieces), pieces)


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


def test_handler_that_answers_nothing_is_a_500() -> None:
    async def handler(arrival: Arrival) -> None:
        assert repr(arrival) == "<Arrival GET>"

    assert served(handler, asking(GET)).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")


@pytest.mark.parametrize(
    ("method", "status", "body", "heard"),
    [
        ("GET", 200, b"whole", b"200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole"),
        ("GET", 204, b"", b"204 No Content\r\nConnection: close\r\n\r\n"),
        ("GET", 799, b"", b"799 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ("HEAD", 200, b"whole", b"200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"),
        (
            "GET",
            200,
            (b"a", b"", b"bc"),
            b"200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + CHUNKS,
        ),
        ("HEAD", 200, (b"a",), b"200 OK\r\nConnection: close\r\n\r\n"),
        ("GET", 304, (b"a",), b"304 Not Modified\r\nConnection: close\r\n\r\n"),
    ],
)
def test_answer_is_framed_by_what_it_is_and_not_by_what_its_headers_say(
    method: str, status: int, body: bytes | tuple[bytes, ...], heard: bytes
) -> None:
    async def handler(arrival: Arrival) -> None:
        framing = [("Content-Length", "999"), ("transfer-encoding", "gzip"), ("Connection", "keep-alive")]
        await arrival.answer(status, framing, body if isinstance(body, bytes) else pieces(*body))

    assert served(handler, asking(handshake_bytes(method=method))) == b"HTTP/1.1 " + heard


@pytest.mark.parametrize("size", [0, 3, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_of_a_request_arrives_whole_however_it_is_sent(size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    if chunked:
        head = handshake_bytes("Transfer-Encoding: chunked", method="POST")
        sent = b"".join(
            b"%x\r\n%b\r\n" % (len(part), part) for at in range(0, size, 70_000) if (part := body[at : at + 70_000])
        )
        sent += b"0\r\n\r\n"
    else:
        head, sent = handshake_bytes(f"Content-Length: {size}", "Expect: 100-continue", method="POST"), body

    async def handler(arrival: Arrival) -> None:
        assert arrival.body == body
        await arrival.answer(200, [], b"taken")

    assert served(handler, asking(head, sent)).endswith(b"\r\n\r\ntaken")


def test_long_answer_waits_for_a_slow_client_and_ends_when_the_client_leaves() -> None:
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1_000_000)
            sent.append(1)

    async def handler(arrival: Arrival) -> None:
        with pytest.raises(ConnectionBrokenError):
            await arrival.answer(200, [], endless())
        assert len(sent) < 100

    def client(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(GET)
            return b"".join(sock.recv(4_000_000) for _ in range(10))

    assert served(handler, client).startswith(b"HTTP/1.1 200 OK")
    assert sent


def test_accepted_channel_sends_receives_and_can_be_broken_off() -> None:
    async def handler(arrival: Arrival) -> None:
        assert repr(arrival) == "<Arrival GET of a socket>"
        async with arrival.accept() as channel:
            assert await channel.receive() == Frame(b"\1", False)
            channel.break_off()
            with pytest.raises(ConnectionClosedError):
                await channel.receive()

    def client(port: int) -> bytes:
        return bare_client(port, b"\x82\x81\0\0\0\0\1", listens=True)

    # A lost line may look to the other end like a reset one.
    with suppress(ConnectionResetError):
        assert served(handler, client) == b""


def test_frames_sent_right_behind_the_handshake_are_not_lost() -> None:
    async def handler(arrival: Arrival) -> None:
        async with arrival.accept() as channel:
            assert await channel.receive() == Frame(b"\1", False)

    early = handshake_bytes(*UPGRADE, NONCE) + b"\x82\x81\0\0\0\0\1" + b"\x88\x80\0\0\0\0"
    assert served(handler, asking(early)).startswith(b"HTTP/1.1 101 ")
