"""Client secrets: minted over HTTP, used in the header or as a sub-protocol, on no tape and in no text."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY, Scripted, jsonic, serving
from tests.tapes import BACKENDS, on
from xai_realtime.address import Address
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.client import AsyncClient
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    AuthenticationError,
    ConfigurationError,
    HandshakeError,
    LocalProtocolError,
    PermissionDeniedError,
    RemoteProtocolError,
)
from xai_realtime.realtime.secrets import ClientSecret
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest
from xai_realtime.transport.memory import memory_pair

SECRET = "xai-realtime-client-secret-canary0123456789canary0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XAI_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def minting(value: Any, status: int = 200) -> Scripted:
    return Scripted(lambda request: (status, {"content-type": "application/json"}, [json.dumps(value).encode()]))


async def mint(server: Scripted, **options: Any) -> ClientSecret:
    with anyio.fail_after(5):
        async with AsyncClient(transport=server, api_key=KEY, default_headers={"X-Team": "t"}) as client:
            return await client.realtime.client_secret(**options)


@pytest.mark.anyio
@pytest.mark.behaviour("secret-minted")
async def test_secret_is_minted_with_the_key_and_its_life_in_the_request() -> None:
    server = minting({"value": SECRET, "expires_at": 1_790_000_000})
    secret = await mint(server)
    assert (secret.value, secret.expires_at) == (SECRET, 1_790_000_000)
    (asked,) = server.asked
    assert (asked.method, asked.url) == ("POST", "https://api.x.ai/v1/realtime/client_secrets")
    assert json.loads(asked.body) == {"expires_after": {"seconds": 600}}
    assert asked.headers == {"X-Team": "t", "Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    await mint(server, expires_in_s=3600, headers={"x-team": "u"}, api_key="other", url="ws://h.test/a?b=c")
    assert server.asked[1].url == "http://h.test/a?b=c"
    assert server.asked[1].headers["Authorization"] == "Bearer other"
    assert server.asked[1].headers["x-team"] == "u"
    assert json.loads(server.asked[1].body) == {"expires_after": {"seconds": 3600}}


@pytest.mark.anyio
@pytest.mark.behaviour("secret-expiry-range")
@pytest.mark.parametrize("wrong", [0, -1, 3601, 1.5, 600.0, True, "600", None])
async def test_life_out_of_its_range_is_refused_before_anything_is_sent(wrong: Any) -> None:
    server = minting({})
    with pytest.raises(ConfigurationError, match=r"expires_in_s is .*from 1 to 3600"):
        await mint(server, expires_in_s=wrong)
    assert server.asked == []


@pytest.mark.anyio
@pytest.mark.behaviour("secret-legacy-shape")
@pytest.mark.parametrize(
    ("answer", "expires_at"),
    [
        ({"client_secret": {"value": SECRET, "expires_at": 17}}, 17),
        ({"value": SECRET, "client_secret": {"value": "other"}}, None),
        ({"value": SECRET, "expires_at": 17.9, "new": "field"}, 17),
        ({"value": SECRET, "expires_at": "later"}, None),
        ({"value": SECRET, "expires_at": True}, None),
    ],
)
async def test_answer_is_read_leniently(answer: Any, expires_at: int | None) -> None:
    assert await mint(minting(answer)) == ClientSecret(SECRET, expires_at)


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [{}, [], None, {"value": ""}, {"value": 5}, {"client_secret": SECRET}])
async def test_answer_without_a_secret_is_the_servers_fault(answer: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="holds none"):
        await mint(minting(answer))


@pytest.mark.anyio
@pytest.mark.behaviour("http-errors-typed")
async def test_refusals_are_typed() -> None:
    flat = {"code": "Client specified an invalid argument", "error": f"Incorrect API key provided: {KEY}"}
    with pytest.raises(AuthenticationError) as raised:
        await mint(minting(flat, 400))
    assert KEY not in str(raised.value)
    with pytest.raises(PermissionDeniedError, match="no credits"):
        await mint(minting({"error": "Your team has no credits"}, 403))


@pytest.mark.anyio
async def test_key_rules_are_those_of_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    server = minting({"value": SECRET})
    with pytest.raises(ConfigurationError, match="no API key"):
        await AsyncClient(transport=server).realtime.client_secret()
    monkeypatch.setenv("XAI_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match="not to https://elsewhere"):
        await AsyncClient(transport=server, base_url="https://elsewhere.test/v1").realtime.client_secret()
    with pytest.raises(ConfigurationError, match=r"belongs to https://api\.x\.ai"):
        await mint(server, url="https://elsewhere.test/v1")
    assert server.asked == []
    transport, _ = memory_pair()
    with pytest.raises(LocalProtocolError, match="carries no HTTP"):
        await AsyncClient(transport=transport).realtime.client_secret()


class Opening(Scripted):
    """Keeps the handshakes and refuses them."""

    def __init__(self) -> None:
        super().__init__(lambda request: (200, {}, [json.dumps({"value": SECRET, "expires_at": 1}).encode()]))
        self.handshakes: list[ChannelRequest] = []

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:  # type: ignore[override]
        self.handshakes.append(request)
        raise HandshakeError("refused", status=418)
        yield


@pytest.mark.anyio
@pytest.mark.behaviour("secret-header")
@pytest.mark.behaviour("secret-subprotocol")
@pytest.mark.parametrize("as_text", [False, True])
async def test_secret_takes_the_place_of_the_key_in_the_header_or_as_sub_protocol(as_text: bool) -> None:
    server = Opening()
    client = AsyncClient(transport=server, api_key=KEY, default_headers={"X-A": "b"})
    minted = await client.realtime.client_secret()
    secret = minted.value if as_text else minted
    for options in ({}, {"as_subprotocol": True, "subprotocols": ["realtime"]}, {"url": "wss://other.test/v1"}):
        with pytest.raises(HandshakeError):
            async with client.realtime.connect(client_secret=secret, **options):  # type: ignore[arg-type]
                raise AssertionError("opened")
    plain, browser, elsewhere = server.handshakes
    assert plain.headers == {"X-A": "b", "Authorization": f"Bearer {SECRET}"}
    assert plain.subprotocols == ()
    assert browser.headers == {"X-A": "b"}
    assert browser.subprotocols == ("realtime", f"xai-client-secret.{SECRET}")
    assert minted.subprotocol == browser.subprotocols[1]
    assert elsewhere.headers["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"client_secret": SECRET, "api_key": "k"}, "not both"),
        ({"client_secret": SECRET, "call_id": "c"}, "phone call is joined with an API key"),
        ({"client_secret": SECRET, "query": {"call_id": "c"}}, "phone call is joined with an API key"),
        ({"as_subprotocol": True}, "needs client_secret="),
        ({"client_secret": ""}, "client_secret must be"),
        ({"client_secret": f"{SECRET}\r\n"}, "client_secret must be"),
        ({"client_secret": f"{SECRET} x"}, "client_secret must be"),
        ({"client_secret": b"bytes"}, "client_secret must be"),
        ({"client_secret": f"{SECRET}é"}, "client_secret must be"),
    ],
)
def test_secret_that_cannot_be_used_is_a_local_mistake_and_is_not_shown(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong) as raised:
        AsyncClient(transport=Opening(), api_key=KEY).realtime.connect(**options)
    assert SECRET not in str(raised.value)


def test_secret_is_in_no_repr() -> None:
    assert repr(ClientSecret(SECRET, 17)) == "ClientSecret(expires_at=17)"
    assert SECRET not in str(ClientSecret(SECRET, 17))


def test_web_address_of_any_base_is_http() -> None:
    assert Address("wss://h.test/v1/").web("a/b", {"c": "d e"}).url == "https://h.test/v1/a/b?c=d+e"
    assert Address("http://[::1]:99/v1").web("a", {}).url == "http://[::1]:99/v1/a"


async def call(client: AsyncClient, *, as_subprotocol: bool) -> tuple[str, str | None]:
    """Mint a secret, open a session with it, and read the first event."""
    secret = await client.realtime.client_secret(expires_in_s=60)
    async with client.realtime.connect(client_secret=secret, as_subprotocol=as_subprotocol) as connection:
        event = await connection.receive()
        return str(event.type), connection.subprotocol


@BACKENDS
@pytest.mark.behaviour("secret-not-on-tape")
@pytest.mark.parametrize("as_subprotocol", [False, True])
def test_minted_secret_opens_the_emulator_and_the_tape_of_it_replays_byte_for_byte(
    as_subprotocol: bool, backend: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    minted: list[str] = []

    path, again = tmp_path / "t.jsonl", tmp_path / "again.jsonl"

    async def live() -> tuple[str, str | None]:
        emulator = Emulator(seed=1)
        mint_secret = emulator.world.mint_secret

        def noted(*arguments: Any) -> Any:
            told = mint_secret(*arguments)
            minted.append(told[0])
            return told

        emulator.world.mint_secret = noted  # type: ignore[method-assign]
        async with AsyncClient(
            transport=record(path, emulator.transport(api_key=None), origin="emulator"), api_key=KEY
        ) as client:
            return await call(client, as_subprotocol=as_subprotocol)

    async def from_tape() -> tuple[str, str | None]:
        async with AsyncClient(transport=record(again, replay(path, clock="virtual")), api_key="any-other") as client:
            return await call(client, as_subprotocol=as_subprotocol)

    told = on(backend, live)
    expected = f"xai-client-secret.{minted[0]}" if as_subprotocol else None
    assert told == ("session.created", expected)
    assert on(backend, from_tape)[0] == "session.created"
    assert again.read_bytes() == path.read_bytes()
    assert check_cassette(path).findings == []
    for text in (path.read_text(), caplog.text):
        assert minted[0] not in text
        assert KEY not in text


@pytest.mark.anyio
@pytest.mark.behaviour("secret-minted")
async def test_minted_secret_opens_the_emulator_over_a_real_socket(live_backend: str) -> None:
    with anyio.fail_after(20):
        async with Emulator(seed=1) as emulator:
            async with emulator.client() as client:
                for as_subprotocol in (False, True):
                    assert (await call(client, as_subprotocol=as_subprotocol))[0] == "session.created"
            async with emulator.client(api_key="xai-invalid") as client:
                with pytest.raises(AuthenticationError) as raised:
                    await client.realtime.client_secret()
    assert raised.value.status == 400


@pytest.mark.anyio
async def test_default_transport_mints_over_http() -> None:
    with anyio.fail_after(5), serving(jsonic({"value": SECRET, "expires_at": 5})) as peer:
        async with AsyncClient(base_url=peer.url, api_key=KEY) as client:
            assert (await client.realtime.client_secret()).value == SECRET
        assert (await AsyncClient(base_url=peer.url, api_key=KEY).realtime.client_secret()).expires_at == 5
    assert [asked.target for asked in peer.asked] == ["/v1/realtime/client_secrets"] * 2
    assert HttpRequest("GET", peer.url) == HttpRequest("GET", peer.url)
