"""Clients of httpx2 and httpx on our transports, and their transports under ours."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.http.peers import KEY, Scripted, ask
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    ClosedByServerError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    HandshakeError,
    ReplayIncompleteError,
    ReplayMismatchError,
    TransportTimeoutError,
)
from xai_realtime.transport.base import HttpRequest
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.httpx_adapter import as_httpx, as_httpx2, from_httpx

pytestmark = pytest.mark.anyio

URL = "https://api.x.ai/v1/x"


def plain_httpx(kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plain httpx where it is installed; or httpx2, whose interface is the same, in its place."""
    if kind == "stand-in":
        monkeypatch.setitem(sys.modules, "httpx", httpx2)
        return httpx2
    if find_spec("httpx") is None:
        pytest.skip("httpx is not installed")
    return import_module("httpx")


@pytest.fixture(params=["stand-in", "httpx"])
def httpx(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    return plain_httpx(request.param, monkeypatch)


class Both:
    """The client and the adapter of one of the two packages."""

    def __init__(self, module: Any, adapter: Any) -> None:
        self.module = module
        self.adapter = adapter

    def client(self, transport: Any, **options: Any) -> Any:
        return self.module.AsyncClient(transport=self.adapter(transport), **options)


@pytest.fixture(params=["httpx2", "stand-in", "httpx"])
def both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Both:
    if request.param == "httpx2":
        return Both(httpx2, as_httpx2)
    return Both(plain_httpx(request.param, monkeypatch), as_httpx)


@pytest.mark.behaviour("http-adapters")
async def test_any_client_runs_on_our_transport(both: Both) -> None:
    def answer(request: HttpRequest) -> Any:
        return 201, {"Content-Type": "application/json", "X-A": "b"}, [b'{"a"', b":1}"]

    server = Scripted(answer)
    async with both.client(server, headers={"Authorization": f"Bearer {KEY}"}) as client:
        answered = await client.post(URL, json={"b": 2}, headers=[("X-Two", "1"), ("X-Two", "2"), ("Cookie", "c=d")])
        assert (answered.status_code, answered.json(), answered.headers["x-a"]) == (201, {"a": 1}, "b")
        async with client.stream("GET", URL) as streamed:
            assert [piece async for piece in streamed.aiter_raw()] == [b'{"a"', b":1}"]
    named = {name.lower(): value for name, value in server.asked[0].headers.items()}
    assert (server.asked[0].method, server.asked[0].url, server.asked[0].body) == ("POST", URL, b'{"b":2}')
    assert named["authorization"] == f"Bearer {KEY}"
    assert (named["x-two"], named["cookie"]) == ("1, 2", "c=d")
    assert not {"host", "content-length", "connection", "transfer-encoding"} & named.keys()


@pytest.mark.behaviour("http-adapters")
async def test_client_on_a_tape_is_recorded_replayed_and_checked(both: Both, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    server = Scripted(lambda request: (200, {"content-type": "text/event-stream"}, [b"data: 1\n\n", b"data: 2\n\n"]))

    async def talk(client: Any) -> list[str]:
        async with client.stream("POST", URL, json={"stream": True}) as streamed:
            return [line async for line in streamed.aiter_lines() if line]

    async with both.client(record(path, server, origin="synthetic")) as client:
        assert await talk(client) == ["data: 1", "data: 2"]
    async with both.client(replay(path)) as client:
        assert await talk(client) == ["data: 1", "data: 2"]
    with pytest.raises(ReplayIncompleteError):
        async with both.client(replay(path)):
            pass
    with pytest.raises(ReplayMismatchError, match="stream"):
        async with both.client(replay(path)) as client:
            await client.post(URL, json={"stream": False})


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ConnectError("no"), "ConnectError"),
        (TransportTimeoutError("connect", 1), "ConnectTimeout"),
        (TransportTimeoutError("read", 1), "ReadTimeout"),
        (TransportTimeoutError("pool", 1), "PoolTimeout"),
        (TransportTimeoutError("other", 1), "ReadTimeout"),
        (ConnectionBrokenError(None, "cut"), "ReadError"),
        (ClosedByServerError(1000), "ReadError"),
        (HandshakeError("what", status=400), "NetworkError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
async def test_failures_of_the_line_are_those_that_the_clients_users_expect(
    ours: Exception, theirs: str, begun: bool, both: Both
) -> None:
    server = Scripted(lambda request: (200, {}, [b"x", ours]) if begun else ours)
    async with both.client(server) as client:
        with pytest.raises(getattr(both.module, theirs)) as raised:
            await client.get(URL)
    assert raised.value.__cause__ is ours
    assert raised.value.request.url == URL


async def test_client_reaches_the_emulator_in_process(both: Both) -> None:
    emulator = Emulator(seed=1)
    with anyio.fail_after(5):
        async with both.client(emulator.transport()) as client:
            models = (await client.get("https://api.x.ai/v1/models")).json()
            minted = (await client.post("https://api.x.ai/v1/realtime/client_secrets", json={})).json()
    assert models["object"] == "list"
    assert set(minted) == {"value", "expires_at"}


class Theirs:
    """A transport of the application: counts what it is asked and whether it was closed."""

    def __init__(self, httpx: Any, failure: str | None = None) -> None:
        self.closed = 0
        theirs = self

        class Body(httpx.AsyncByteStream):  # type: ignore[misc]
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield b"one"
                if failure is not None:
                    raise getattr(httpx, failure)("told to")
                yield b"two"

            async def aclose(self) -> None:
                theirs.closed += 1

        class Own(httpx.AsyncBaseTransport):  # type: ignore[misc]
            async def handle_async_request(self, request: Any) -> Any:
                assert isinstance(request, httpx.Request)
                assert request.extensions["timeout"]["read"] == 60.0
                if request.url.path == "/down":
                    raise httpx.ConnectError("told to")
                body = await request.aread()
                return httpx.Response(200, headers=[("X-Sent", body.decode())], stream=Body())

            async def aclose(self) -> None:
                theirs.closed += 10

        self.transport = Own()


@pytest.mark.behaviour("http-adapters")
async def test_transport_of_plain_httpx_carries_our_requests(httpx: Any) -> None:
    theirs = Theirs(httpx)
    adapted = from_httpx(theirs.transport)
    assert isinstance(adapted, httpx2.AsyncBaseTransport)
    async with HttpTransport(httpx2_transport=adapted) as transport:
        async with transport.request(HttpRequest("POST", URL, {"A": "b"}, b"body")) as response:
            assert response.header("x-sent") == "body"
            assert [piece async for piece in response] == [b"one", b"two"]
        with pytest.raises(ConnectError, match="told to"):
            await ask(transport, HttpRequest("GET", "https://api.x.ai/down"))
    assert theirs.closed == 1
    await adapted.aclose()
    assert theirs.closed == 11


@pytest.mark.parametrize(
    ("theirs", "ours"), [("ReadTimeout", TransportTimeoutError), ("ReadError", ConnectionBrokenError)]
)
async def test_failures_of_plain_httpx_are_ours(theirs: str, ours: type[Exception], httpx: Any) -> None:
    transport = HttpTransport(httpx2_transport=from_httpx(Theirs(httpx, theirs).transport))
    with pytest.raises(ours):
        await ask(transport, HttpRequest("POST", URL))


async def test_what_is_no_transport_of_httpx_is_a_local_mistake(httpx: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"httpx\.AsyncBaseTransport, not a str"):
        from_httpx("http://h")


async def test_missing_httpx_is_a_local_mistake_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r"xai-realtime\[httpx\]"):
        as_httpx(Scripted(lambda request: (200, {}, [])))
