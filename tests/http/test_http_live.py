"""HTTP on the live line, against a server on loopback: what goes out, what comes back, how it fails."""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextlib import nullcontext
from typing import Any

import anyio
import httpx2
import pytest

from tests.http.peers import KEY, Asked, ask, jsonic, page, serving
from xai_realtime.client import AsyncClient
from xai_realtime.errors import (
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    LocalProtocolError,
    TransportTimeoutError,
    XaiRealtimeError,
)
from xai_realtime.transport.base import ChannelRequest, HttpRequest
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.memory import memory_pair
from xai_realtime.transport.websocket import WebSocketTransport
from xai_realtime.virtual_time import run_virtual

pytestmark = pytest.mark.anyio

AUTH = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.behaviour("http-request-goes-out")
async def test_request_goes_out_as_it_was_given_and_the_answer_comes_back_as_a_value() -> None:
    with anyio.fail_after(5), serving(jsonic({"a": 1}, 418, X_Request_Id="r-1")) as peer:
        request = HttpRequest("POST", f"{peer.url}/x?y=%20z", {**AUTH, "X-Own": "1"}, b'{"b":2}')
        async with HttpTransport().request(request) as response:
            assert (response.status, response.header("x-request-id")) == (418, "r-1")
            assert await response.read(100) == b'{"a": 1}'
            assert [piece async for piece in response] == []
    (asked,) = peer.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/v1/x?y=%20z", b'{"b":2}')
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["x-own"] == "1"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["user-agent"].startswith("xai-realtime/")
    assert asked.headers["content-length"] == "7"


async def test_pieces_of_an_answer_arrive_as_they_are_sent() -> None:
    go = asyncio.Event()

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await writer.drain()
        await go.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    with anyio.fail_after(5), serving(answer) as peer:
        async with HttpTransport().request(HttpRequest("GET", peer.url)) as response:
            pieces = aiter(response)
            assert await anext(pieces) == b"data: 1\n\n"
            peer.release(go)
            assert [piece async for piece in pieces] == [b"data: 2\n\n"]


@pytest.mark.behaviour("http-keeps-connections")
@pytest.mark.parametrize(("entered", "connections"), [(True, 1), (False, 3)])
async def test_connections_are_kept_for_the_next_request_inside_the_context_alone(
    entered: bool, connections: int
) -> None:
    with anyio.fail_after(5), serving(jsonic({})) as peer:
        transport = HttpTransport()
        async with transport if entered else nullcontext():
            for _ in range(3):
                assert (await ask(transport, HttpRequest("GET", peer.url)))[0] == 200
    assert peer.connections == connections


async def test_transport_can_be_entered_again_when_it_was_left() -> None:
    with anyio.fail_after(5), serving(jsonic({})) as peer:
        async with HttpTransport() as transport:
            async with transport:
                await ask(transport, HttpRequest("GET", peer.url))
            await ask(transport, HttpRequest("GET", peer.url))
        async with transport:
            await ask(transport, HttpRequest("GET", peer.url))
    assert peer.connections == 2


@pytest.mark.behaviour("http-no-redirect")
async def test_redirect_to_another_host_is_a_value_and_nothing_is_sent_there() -> None:
    with anyio.fail_after(5), serving(jsonic({})) as thief:

        async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(page(307, b"", Location=f"http://localhost:{thief.port}/v1/x"))

        with serving(answer) as peer:
            request = HttpRequest("POST", f"{peer.url}/x", AUTH, b"{}")
            async with HttpTransport().request(request) as response:
                assert response.status == 307
    assert (len(peer.asked), thief.asked) == (1, [])


@pytest.mark.behaviour("http-errors-typed")
async def test_refused_connection_is_a_connect_error_that_names_the_origin_alone() -> None:
    with serving(jsonic({})) as peer:
        pass
    with anyio.fail_after(5), pytest.raises(ConnectError, match=rf"cannot connect to http://127.0.0.1:{peer.port}: "):
        await ask(HttpTransport(), HttpRequest("GET", f"{peer.url}/path?api_key={KEY}", AUTH))


@pytest.mark.behaviour("http-errors-typed")
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"", "broke HTTP"),
        (b"no http at all\r\n\r\n", "broke HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "broke HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "broke HTTP"),
    ],
    ids=["silence", "nonsense", "cut-body", "bad-chunk"],
)
async def test_answer_that_is_cut_or_no_http_is_a_broken_connection(sent: bytes, reason: str) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()

    with anyio.fail_after(5), serving(answer) as peer:
        with pytest.raises(ConnectionBrokenError, match=reason):
            await ask(HttpTransport(), HttpRequest("GET", peer.url, AUTH))


@pytest.mark.behaviour("http-errors-typed")
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"], ids=["head", "body"])
async def test_server_that_falls_silent_is_a_timeout_of_reading(begun: bytes) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        await asyncio.sleep(60)

    with anyio.fail_after(5), serving(answer) as peer:
        with pytest.raises(TransportTimeoutError) as raised:
            await ask(HttpTransport(read_timeout_s=0.05), HttpRequest("GET", peer.url))
    assert (raised.value.phase, raised.value.timeout_s) == ("read", 0.05)
    assert isinstance(raised.value, TimeoutError)


async def test_cancelling_while_the_server_is_silent_ends_the_request() -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    with anyio.fail_after(5), serving(answer) as peer:
        async with HttpTransport() as transport:
            with anyio.move_on_after(0.1) as scope:
                await ask(transport, HttpRequest("GET", peer.url))
    assert scope.cancelled_caught


async def test_leaving_an_answer_half_read_frees_its_connection() -> None:
    body = b"x" * 1_000_000
    with anyio.fail_after(5), serving(lambda asked, writer: _write(writer, page(200, body, "audio/mpeg"))) as peer:
        async with HttpTransport(max_connections=1) as transport:
            for _ in range(3):
                async with transport.request(HttpRequest("GET", peer.url)) as response:
                    assert await anext(aiter(response))
    assert peer.connections == 3


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)


async def test_waiting_for_a_connection_is_bounded() -> None:
    with anyio.fail_after(5), serving(jsonic({})) as peer:
        async with HttpTransport(max_connections=1, pool_timeout_s=0.05) as transport:
            async with transport.request(HttpRequest("GET", peer.url)):
                with pytest.raises(TransportTimeoutError, match="pool did not finish within"):
                    await ask(transport, HttpRequest("GET", peer.url))


async def test_proxy_carries_plain_http_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    with anyio.fail_after(5), serving(jsonic({"from": "proxy"})) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        request = HttpRequest("GET", "http://api.test/v1/x")
        assert (await ask(HttpTransport(proxy=address), request))[0] == 200
        monkeypatch.setenv("http_proxy", address.removeprefix("http://"))
        assert (await ask(HttpTransport(), request))[0] == 200
        monkeypatch.setenv("no_proxy", "api.test")
        with pytest.raises(ConnectError):
            await ask(HttpTransport(), request)
        with pytest.raises(ConnectError):
            await ask(HttpTransport(proxy=None), request)
    assert [asked.target for asked in proxy.asked] == ["http://api.test/v1/x"] * 2


async def test_proxy_that_cannot_be_used_is_a_local_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    request = HttpRequest("GET", "http://api.test/v1/x")
    with pytest.raises(ConfigurationError, match="one of http, https, socks5"):
        await ask(HttpTransport(proxy="socks4://user:secret@h:1"), request)
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    with pytest.raises(ConfigurationError, match="socksio"):
        await ask(HttpTransport(proxy="socks5://h:1"), request)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"connect_timeout_s": 0}, "connect_timeout_s is 0"),
        ({"read_timeout_s": float("inf")}, "read_timeout_s is inf"),
        ({"write_timeout_s": True}, "write_timeout_s is True"),
        ({"pool_timeout_s": "5"}, "pool_timeout_s is '5'"),
        ({"max_connections": 0}, "max_connections is 0"),
        ({"proxy": "ftp://user:secret@h"}, "proxy must be"),
        ({"ssl_context": 5}, "ssl_context is a int"),
        ({"user_agent": "a\nb"}, "user_agent must be"),
        ({"httpx2_transport": object()}, "AsyncBaseTransport of httpx2"),
    ],
)
async def test_setting_out_of_its_range_is_refused_when_the_transport_is_made(
    options: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(ConfigurationError, match=wrong) as raised:
        HttpTransport(**options)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "ws://h/"),
        HttpRequest("GET", "http://"),
        HttpRequest("GET", "http://h:99999/"),
        HttpRequest("GET", f"http://user:{KEY}@h/"),
        HttpRequest("GET", "http://h/#x"),
        HttpRequest("GET", "http://h/\r\n"),
        HttpRequest("GET", "http://a b/"),
        HttpRequest("GET", f"http://h/{'x' * 70_000}"),
        HttpRequest("GET /x", "http://h/"),
        HttpRequest("GET", "http://h/", {"X": f"{KEY}\r\nY: z"}),
        HttpRequest("GET", "http://h/", {"X": f"{KEY}é"}),
        HttpRequest("GET", "http://h/", {"Content-Length": "5"}),
        HttpRequest("GET", "http://h/", {"a b": "c"}),
    ],
    ids=lambda request: request.url[:20],
)
async def test_request_that_cannot_be_sent_is_a_local_mistake_and_shows_no_secret(request_: HttpRequest) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await ask(HttpTransport(), request_)
    assert KEY not in "".join(traceback.format_exception(raised.value))


@pytest.mark.behaviour("http-no-secrets")
async def test_key_is_in_no_repr_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = HttpRequest("POST", "http://127.0.0.1:1/v1", AUTH, KEY.encode())
    errors: list[XaiRealtimeError] = []
    with anyio.fail_after(5), serving(jsonic({"error": f"wrong key {KEY}"}, 400)) as peer:
        async with HttpTransport() as transport:
            assert KEY not in repr(transport)
            async with transport.request(HttpRequest("POST", peer.url, AUTH, KEY.encode())) as response:
                assert KEY not in repr(response)
            try:
                await ask(transport, request)
            except XaiRealtimeError as error:
                errors.append(error)
    assert len(errors) == 1
    assert KEY not in "".join(traceback.format_exception(errors[0]))
    assert KEY not in repr(request)
    assert KEY not in caplog.text
    assert f"POST at http://127.0.0.1:{peer.port}: 400" in caplog.text


@pytest.mark.behaviour("http-seam")
async def test_transport_without_http_says_so() -> None:
    transport, _ = memory_pair()
    with pytest.raises(LocalProtocolError, match="MemoryTransport carries no HTTP"):
        transport.request(HttpRequest("GET", "http://h/"))
    with pytest.raises(LocalProtocolError, match="opens no sockets"):
        HttpTransport().open(ChannelRequest("ws://h/"))


@pytest.mark.behaviour("http-seam")
async def test_websocket_transport_carries_http_with_its_own_proxy_or_with_the_one_given() -> None:
    with anyio.fail_after(5), serving(jsonic({})) as peer:
        assert (await ask(WebSocketTransport(), HttpRequest("GET", peer.url)))[0] == 200
        through = WebSocketTransport(proxy=f"http://127.0.0.1:{peer.port}", user_agent="me/1")
        async with through:
            assert (await ask(through, HttpRequest("GET", "http://api.test/v1")))[0] == 200
        own = WebSocketTransport(http=HttpTransport(user_agent="mine/2"))
        async with AsyncClient(transport=own):
            assert (await ask(own, HttpRequest("GET", peer.url)))[0] == 200
    assert [asked.headers["user-agent"] for asked in peer.asked][1:] == ["me/1", "mine/2"]


async def test_httpx2_transport_of_the_user_carries_the_requests_and_stays_open() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(201, headers=[("X-A", "1"), ("x-a", "2")], content=request.content[::-1])

    given = httpx2.MockTransport(answer)
    async with HttpTransport(httpx2_transport=given, user_agent=None) as transport:
        assert "MockTransport" in repr(transport)
        async with transport.request(HttpRequest("POST", "https://h/", body=b"abc")) as response:
            assert (response.status, response.header("X-A"), response.header("none")) == (201, "1, 2", None)
            assert await response.read(3) == b"cba"


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (httpx2.ConnectTimeout("t"), TransportTimeoutError("connect", 15.0)),
        (httpx2.WriteTimeout("t"), TransportTimeoutError("write", 5.0)),
        (httpx2.ProxyError(f"no {KEY}"), ConnectError("the proxy did not connect to https://h: no [redacted]")),
        (httpx2.UnsupportedProtocol("x"), ConfigurationError("the request to https://h cannot be sent: x")),
        (httpx2.ReadError(""), ConnectionBrokenError(None, "ReadError")),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_every_failure_of_httpx2_is_one_of_ours(foreign: Exception, ours: Exception) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise foreign

    transport = HttpTransport(httpx2_transport=httpx2.MockTransport(answer))
    with pytest.raises(type(ours)) as raised:
        await ask(transport, HttpRequest("GET", "https://h/", AUTH))
    assert str(raised.value) == str(ours)


def test_live_request_is_refused_in_virtual_time_but_not_over_a_transport_of_the_user() -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="virtual time"):
            await ask(HttpTransport(), HttpRequest("GET", "http://h/"))
        given = httpx2.MockTransport(lambda request: httpx2.Response(200))
        assert await ask(HttpTransport(httpx2_transport=given), HttpRequest("GET", "http://h/")) == (200, [])

    run_virtual(main)
