"""Opening a live line against servers that refuse, stall, lie or point elsewhere, and through proxies."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.transport.peers import TEXT, Peer, answer, frame_bytes, http_answer, talk
from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES
from xai_realtime.errors import (
    ConfigurationError,
    ConnectError,
    HandshakeError,
    RedirectRefusedError,
    TransportTimeoutError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("live_backend")]

Start = Callable[[Callable[[Peer], None]], str]
KEY = "xai-canary-0123456789abcdef"
TOKEN = "tok-canary-0123456789abcdef"


def keyed(url: str) -> ChannelRequest:
    return ChannelRequest(
        f"{url}?access_token={TOKEN}",
        headers={"Authorization": f"Bearer {KEY}"},
        subprotocols=(f"xai-client-secret.{KEY}",),
    )


async def refused(url: str, kind: type[Exception], **settings: Any) -> Any:
    with anyio.fail_after(5), pytest.raises(kind) as caught:
        async with WebSocketTransport(**settings).open(keyed(url)):
            raise AssertionError("opened")
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in f"{error} {error!r}"
        error = error.__cause__
    return caught.value


@pytest.mark.behaviour("ws-refusal-flat")
async def test_open_tells_code_and_message_when_the_key_is_malformed(raw_server: Start) -> None:
    body = json.dumps({"code": "Client specified an invalid argument", "error": f"Incorrect key {KEY}"}).encode()
    error = await refused(raw_server(answer(http_answer("400 Bad Request", body, "X-Request-Id: 7"))), HandshakeError)
    assert error.status == 400
    assert error.code == "Client specified an invalid argument"
    assert error.message == "Incorrect key [redacted]"
    assert error.headers["x-request-id"] == "7"
    assert KEY.encode() not in error.body


@pytest.mark.behaviour("ws-refusal-401")
async def test_open_hints_at_the_key_when_the_answer_is_an_empty_401(raw_server: Start) -> None:
    error = await refused(raw_server(answer(http_answer("401 Unauthorized"))), HandshakeError)
    assert (error.status, error.code, error.message, error.body) == (401, None, None, b"")
    assert "no key arrived" in str(error)


@pytest.mark.behaviour("ws-refusal-bounded")
async def test_open_keeps_the_first_bytes_when_a_refusals_body_is_long(raw_server: Start) -> None:
    body = b"overloaded " * 80_000
    error = await refused(raw_server(answer(http_answer("500 Internal Server Error", body))), HandshakeError)
    assert error.status == 500
    assert len(error.body) == MAX_ERROR_PAYLOAD_BYTES
    assert error.message.startswith("overloaded overloaded")
    assert len(str(error)) < 1200


@pytest.mark.behaviour("ws-refusal-bounded")
async def test_open_gives_up_when_a_refusals_body_is_endless(raw_server: Start) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
        while True:
            peer.send(b"x" * 65536)

    error = await refused(raw_server(script), ConnectError)
    assert "did not answer the WebSocket handshake" in str(error)


@pytest.mark.behaviour("ws-redirect")
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_open_follows_no_redirect_and_no_key_leaves_when_another_host_is_named(
    raw_server: Start, status: str
) -> None:
    arrived: list[bytes] = []

    def other(peer: Peer) -> None:
        arrived.append(peer.read_request())

    target = raw_server(other).replace("127.0.0.1", "localhost")
    location = f"Location: {target.replace('ws://', 'ws://user:word@')}?steal={KEY}"
    error = await refused(raw_server(answer(http_answer(status, b"", location))), RedirectRefusedError)
    origin = target.removesuffix("/v1/realtime")
    assert error.status == int(status[:3])
    assert error.headers["location"] == origin
    assert origin in error.reason
    await anyio.sleep(0.02)
    assert arrived == []


@pytest.mark.behaviour("ws-redirect")
async def test_open_follows_no_redirect_when_the_same_server_is_named(raw_server: Start) -> None:
    requests: list[bytes] = []

    def script(peer: Peer) -> None:
        requests.append(peer.read_request())
        peer.send(http_answer("302 Found", b"", "Location: /elsewhere"))

    error = await refused(raw_server(script), RedirectRefusedError)
    assert error.headers["location"].startswith("ws://127.0.0.1:")
    assert len(requests) == 1


@pytest.mark.parametrize("headers", [(), ("Location: ws://[half",)])
async def test_open_refuses_a_redirect_when_its_target_is_missing_or_unreadable(
    raw_server: Start, headers: tuple[str, ...]
) -> None:
    error = await refused(raw_server(answer(http_answer("302 Found", b"", *headers))), RedirectRefusedError)
    assert error.headers.get("location") == ("an unreadable address" if headers else None)


@pytest.mark.behaviour("ws-open-timeout")
@pytest.mark.parametrize(
    "half", [b"", b"HTTP/1.1 101 Switching Protocols\r\nUpgr", b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"]
)
async def test_open_times_out_when_the_answer_does_not_come_or_not_wholly(raw_server: Start, half: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(half)
        peer.hold()

    error = await refused(raw_server(script), TransportTimeoutError, open_timeout_s=0.1)
    assert (error.phase, error.timeout_s) == ("open", 0.1)


@pytest.mark.behaviour("ws-open-timeout")
async def test_open_times_out_when_the_answer_drips(raw_server: Start) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000:
            peer.send(bytes([byte]))
            if peer.stopping.wait(0.01):
                return

    await refused(raw_server(script), TransportTimeoutError, open_timeout_s=0.1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16\x03\x01 this is no http\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 101 " + b"x" * 100_000,
        b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-Flood: y\r\n" * 1000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web",
    ],
    ids=["nothing", "binary", "ssh", "long-line", "many-headers", "cut"],
)
@pytest.mark.parametrize("is_held", [False, True])
async def test_open_fails_to_connect_when_the_answer_is_no_http(raw_server: Start, data: bytes, is_held: bool) -> None:
    def script(peer: Peer) -> None:
        answer(data)(peer)
        if is_held and data.endswith(b"\r\n\r\n"):
            peer.hold()

    error = await refused(raw_server(script), ConnectError)
    assert "did not answer the WebSocket handshake" in str(error)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (("Connection: Upgrade",), "Upgrade"),
        (("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: wrong"), "Accept"),
    ],
)
async def test_open_refuses_when_the_upgrade_is_malformed(
    raw_server: Start, headers: tuple[str, ...], text: str
) -> None:
    head = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *headers, "", ""]).encode()
    error = await refused(raw_server(answer(head)), HandshakeError)
    assert error.status == 101
    assert text in error.reason


@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Extensions: permessage-deflate"])
async def test_open_refuses_when_the_server_chooses_what_was_not_offered(raw_server: Start, header: str) -> None:
    error = await refused(raw_server(talk(b"", header)), HandshakeError)
    assert error.status == 101


async def test_open_fails_to_connect_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await refused(f"ws://127.0.0.1:{port}/v1", ConnectError)
    assert f"cannot connect to ws://127.0.0.1:{port}" in str(error)


async def test_open_fails_to_connect_when_the_server_speaks_no_tls(raw_server: Start) -> None:
    url = raw_server(lambda peer: peer.send(b"HTTP/1.1 400 plain\r\n\r\n")).replace("ws://", "wss://")
    await refused(url, ConnectError)


@pytest.mark.behaviour("ws-tls-trust")
async def test_open_fails_to_connect_when_the_certificate_is_not_trusted(
    server: Callable[..., str], tls: tuple[Any, Any]
) -> None:
    async def unreached(peer: Any) -> None:
        raise AssertionError("reached")

    url = server(unreached, ssl=tls[0]).replace("ws://127.0.0.1", "wss://localhost")
    error = await refused(url, ConnectError)
    assert "certificate" in str(error).lower()


async def test_open_passes_the_cancellation_when_cancelled_in_the_handshake(raw_server: Start) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        assert peer.read_to_end() == b""

    with anyio.fail_after(5):
        url = raw_server(script)
        with anyio.move_on_after(0.05) as scope:
            async with WebSocketTransport().open(ChannelRequest(url)):
                raise AssertionError("opened")
    assert scope.cancelled_caught


@pytest.mark.behaviour("ws-proxy")
async def test_open_goes_through_the_proxy_and_shows_it_no_key_when_one_is_given(raw_server: Start) -> None:
    asked: list[bytes] = []

    def proxy(peer: Peer) -> None:
        asked.append(peer.read_request())
        peer.request = b""
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        peer.send(peer.accept() + frame_bytes(TEXT, b"through"))
        peer.hold()

    address = raw_server(proxy).replace("ws://", "http://user:word@").removesuffix("/v1/realtime")
    with anyio.fail_after(5):
        request = ChannelRequest("ws://voice.invalid/v1", headers={"Authorization": f"Bearer {KEY}"})
        async with WebSocketTransport(proxy=address, close_timeout_s=0.1).open(request) as channel:
            assert await channel.receive() == Frame(b"through")
    (head,) = asked
    assert head.startswith(b"CONNECT voice.invalid:80 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic" in head
    assert KEY.encode() not in head


@pytest.mark.parametrize("data", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"garbage\r\n\r\n"])
async def test_open_fails_to_connect_when_the_proxy_refuses(raw_server: Start, data: bytes) -> None:
    address = raw_server(answer(data)).replace("ws://", f"http://user:{KEY}@").removesuffix("/v1/realtime")
    error = await refused("ws://voice.invalid/v1", ConnectError, proxy=address)
    assert "the proxy did not connect to ws://voice.invalid" in str(error)


async def test_open_names_the_package_when_a_socks_proxy_cannot_be_used() -> None:
    error = await refused("ws://voice.invalid/v1", ConfigurationError, proxy=f"socks5://user:{KEY}@127.0.0.1:9")
    assert "python-socks" in str(error)


async def test_open_refuses_when_the_environments_proxy_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "socks_proxy", "SOCKS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ws_proxy", f"ftp://user:{KEY}@127.0.0.1:9")
    error = await refused("ws://voice.invalid/v1", ConfigurationError, proxy=True)
    assert "proxy" in str(error)
    monkeypatch.setenv("ws_proxy", f"http://user:{KEY}@127.0.0.1:99999")
    await refused("ws://voice.invalid/v1", ConfigurationError, proxy=True)
