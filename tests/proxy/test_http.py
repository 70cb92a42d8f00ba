"""What comes to the proxy's port and is no WebSocket, or no longer anybody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from tests.proxy.ends import KEY, NONCE, UPGRADE, bare_answer, echo, handshake_bytes, request
from tests.proxy.running import proxied
from tests.transport.peers import WEBSOCKETS, proper
from xai_realtime.errors import ConnectError, ConnectionBrokenError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("live_backend")]

HELLO = Frame(b'{"type":"response.create"}')


class SocketsAlone(Transport):
    """An upstream that carries no HTTP."""

    needs_key = False

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        raise ConnectError("there is none")


class Http(SocketsAlone):
    """An upstream that answers HTTP in pieces, and breaks off or is not there when the path says so."""

    def __init__(self) -> None:
        self.asked: list[HttpRequest] = []

    @asynccontextmanager
    async def request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:  # type: ignore[override]
        self.asked.append(request)
        if request.url.endswith("/none"):
            raise ConnectError("there is none")
        yield HttpResponse(201, (("X-A", "1"), ("X-A", "2"), ("Content-Length", "7")), self.body(request.url))

    async def body(self, url: str) -> AsyncIterator[bytes]:
        for piece in (b'{"a":', b"", b"1}"):
            yield piece
        if url.endswith("/breaks"):
            raise ConnectionBrokenError(None, "cut")


@pytest.mark.behaviour("proxy-plain-http")
async def test_http_request_passes_with_its_key_and_its_answer_comes_back_in_pieces(tmp_path: Path) -> None:
    upstream = Http()
    asked = handshake_bytes(
        "Content-Length: 2", f"Authorization: Bearer {KEY}", "Accept-Encoding: gzip", method="POST", path="/v1/a?b=c"
    )
    with proxied("wss://api.x.ai/v1", tmp_path / "t.jsonl", transport=upstream) as proxy:
        with anyio.fail_after(5):
            port = proxy.address.port
            got = await anyio.to_thread.run_sync(bare_answer, port, asked, b"{}")
            cut = await anyio.to_thread.run_sync(bare_answer, port, handshake_bytes(path="/breaks"))
            none = await anyio.to_thread.run_sync(bare_answer, port, handshake_bytes(path="/none"))
            wrong = await anyio.to_thread.run_sync(bare_answer, port, handshake_bytes(path="relative"))
            head = await anyio.to_thread.run_sync(bare_answer, port, handshake_bytes(path="/v1", method="HEAD"))
    top, body = got.split(b"\r\n\r\n", 1)
    assert top.splitlines()[:3] == [b"HTTP/1.1 201 Created", b"X-A: 1", b"X-A: 2"]
    assert body == b'5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    assert cut.endswith(b"2\r\n1}\r\n")
    assert none.startswith(b"HTTP/1.1 502 ")
    assert wrong.startswith(b"HTTP/1.1 400 ")
    assert head.endswith(b"\r\n\r\n")
    first = upstream.asked[0]
    assert (first.method, first.url, first.body) == ("POST", "https://api.x.ai/v1/a?b=c", b"{}")
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert "gzip" not in str(first.headers), "a compressed body could not be redacted"
    assert "canary" not in proxy.report.path.read_text()


@pytest.mark.behaviour("proxy-plain-http")
@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([handshake_bytes(path="/v1/models")], 501),
        ([handshake_bytes("Content-Length: 2", method="POST"), b"{}"], 501),
        ([handshake_bytes("Content-Length: 2", "Expect: 100-continue", method="POST"), b"{}"], 501),
        (
            [
                handshake_bytes("Transfer-Encoding: chunked", method="POST"),
                b"1;x\r\n{\r\n",
                b"1\r\n}\r\n0\r\nA: b\r\n\r\n",
            ],
            501,
        ),
        ([handshake_bytes("Transfer-Encoding: chunked", method="POST"), b"zz\r\n"], 400),
        ([handshake_bytes("Content-Length: 99999999999", method="POST")], 400),
        ([handshake_bytes("Content-Length: -1", method="POST")], 400),
        ([handshake_bytes("Content-Length: 1", "Content-Length: 2", method="POST")], 400),
        ([b"\x16\x03\x01\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\r\nno header\r\n\r\n"], 400),
        ([b"GET /" + b"a" * 70_000], 400),
        ([b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"], 400),
        ([handshake_bytes(*UPGRADE)], 400),
        ([handshake_bytes("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8", NONCE)], 400),
        ([handshake_bytes(*UPGRADE, NONCE, path="relative")], 400),
        ([handshake_bytes(*UPGRADE, NONCE, "X-Long: " + "a" * 9000)], 431 if WEBSOCKETS >= 17 else 400),
    ],
)
async def test_what_is_no_handshake_gets_a_clear_http_answer(tmp_path: Path, pieces: list[bytes], status: int) -> None:
    with proxied("ws://127.0.0.1:1", tmp_path / "t.jsonl", transport=SocketsAlone()) as proxy:
        with anyio.fail_after(10):
            got = await anyio.to_thread.run_sync(bare_answer, proxy.address.port, *pieces)
    got = got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 %d " % status), got[:100]
    if status == 501:
        assert json.loads(got.split(b"\r\n\r\n", 1)[1])["code"] == "not_carried"


async def test_client_that_leaves_in_the_middle_of_its_request_harms_nobody(tmp_path: Path) -> None:
    def leave(port: int) -> None:
        for piece in (b"", b"GET / HT", handshake_bytes("Content-Length: 5", method="POST") + b"{"):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
                sock.sendall(piece)

    with proper(echo) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(leave, proxy.address.port)
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                await channel.send(HELLO)
                assert await channel.receive() == HELLO
    assert proxy.failure is None


async def test_client_that_leaves_before_the_upstream_has_answered_is_forgotten(tmp_path: Path) -> None:
    gone: Queue[None] = Queue()

    async def wait_for_it(_: ServerConnection, __: Any) -> None:
        await asyncio.to_thread(gone.get, timeout=5)

    def leave(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(handshake_bytes(*UPGRADE, NONCE))
        gone.put(None)

    with proper(echo, process_request=wait_for_it) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(leave, proxy.address.port)
            gone.put(None)
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                await channel.send(HELLO)
                assert await channel.receive() == HELLO
    assert proxy.failure is None
