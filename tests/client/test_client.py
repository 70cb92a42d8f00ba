"""The client: which key goes where, addresses, headers, and that no key ever shows."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import Close, In, Open, Out, make_tape
from xai_realtime.address import Address, Key, check_headers
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.client import AsyncClient
from xai_realtime.errors import ConfigurationError, HandshakeError, ReplayError, ReplayIncompleteError
from xai_realtime.events import realtime
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.memory import memory_pair

KEY = "xai-CANARYcanaryCANARYcanary0123456789"
OWN = "https://proxy.test:8443/v1"


class Asked(Transport):
    """Keeps what was asked for and refuses."""

    def __init__(self, *, needs_key: bool = True) -> None:
        self.needs_key = needs_key
        self.requests: list[ChannelRequest] = []

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:  # type: ignore[override]
        self.requests.append(request)
        raise HandshakeError("refused", status=401)
        yield


def request(options: dict[str, Any], call: dict[str, Any] | None = None, *, needs_key: bool = True) -> ChannelRequest:
    """What one `connect()` asks for at the handshake."""
    transport = Asked(needs_key=needs_key)

    async def main() -> None:
        client = AsyncClient(transport=transport, **options)
        with pytest.raises(HandshakeError):
            async with client.realtime.connect(**(call or {})):
                raise AssertionError("opened")

    anyio.run(main)
    return transport.requests[0]


def bearer(options: dict[str, Any], call: dict[str, Any] | None = None, **more: Any) -> str | None:
    return request(options, call, **more).headers.get("Authorization")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XAI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.behaviour("client-key-order")
def test_key_of_the_call_goes_before_the_clients_and_that_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "of-env")
    assert bearer({"api_key": "of-client"}, {"api_key": "of-call"}) == "Bearer of-call"
    assert bearer({"api_key": "of-client"}) == "Bearer of-client"
    assert bearer({}) == "Bearer of-env"


@pytest.mark.behaviour("client-key-order")
@pytest.mark.parametrize("blank", [None, "", " ", "\n\t "])
def test_blank_key_is_none(blank: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", " of-env\n")
    assert bearer({"api_key": blank}, {"api_key": blank}) == "Bearer of-env"
    monkeypatch.setenv("XAI_API_KEY", blank or "")
    with pytest.raises(ConfigurationError, match="XAI_API_KEY") as caught:
        bearer({"api_key": blank})
    assert isinstance(caught.value, ValueError)


@pytest.mark.behaviour("client-key-order")
def test_no_other_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GROK_API_KEY", "XAI_KEY", "API_KEY"):
        monkeypatch.setenv(name, "other")
    with pytest.raises(ConfigurationError, match="no API key"):
        bearer({})


@pytest.mark.behaviour("client-key-origin")
@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({}, {}),
        ({"base_url": "https://api.x.ai:443/v1"}, {}),
        ({"base_url": "HTTPS://API.X.AI/v1"}, {}),
        ({"base_url": "wss://api.x.ai/v1"}, {}),
        ({"base_url": "http://127.0.0.1:8000/v1"}, {}),
        ({"base_url": "http://localhost/v1"}, {}),
        ({"base_url": "http://[::1]:9/v1"}, {}),
        ({"base_url": OWN}, {"url": "wss://api.x.ai/v1/realtime"}),
    ],
)
def test_variable_goes_to_the_service_and_to_loopback(
    options: dict[str, Any], call: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_API_KEY", KEY)
    assert bearer(options, call) == f"Bearer {KEY}"


ELSEWHERE = [
    ({"base_url": OWN}, {}),
    ({"base_url": "http://api.x.ai/v1"}, {}),
    ({"base_url": "https://api.x.ai:444/v1"}, {}),
    ({"base_url": "https://api.x.ai.evil.test/v1"}, {}),
    ({"base_url": "https://api.x.ai./v1"}, {}),
    ({"base_url": "http://127.0.0.1.evil.test/v1"}, {}),
    ({}, {"url": "wss://evil.test/v1/realtime"}),
    ({}, {"url": "ws://api.x.ai/v1/realtime"}),
]


@pytest.mark.behaviour("client-key-origin")
@pytest.mark.parametrize(("options", "call"), ELSEWHERE)
def test_variable_goes_nowhere_else(
    options: dict[str, Any], call: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_API_KEY", KEY)
    with pytest.raises(ConfigurationError, match="XAI_API_KEY belongs to") as caught:
        bearer(options, call)
    assert "CANARY" not in str(caught.value)


@pytest.mark.behaviour("client-key-origin")
def test_clients_key_goes_to_the_origin_of_its_base_alone() -> None:
    own = {"api_key": KEY, "base_url": OWN}
    assert bearer(own) == f"Bearer {KEY}"
    assert bearer(own, {"url": "wss://proxy.test:8443/other"}) == f"Bearer {KEY}"
    for url in ("wss://proxy.test/other", "ws://proxy.test:8443/x", "wss://api.x.ai/v1/realtime"):
        with pytest.raises(ConfigurationError, match=r"belongs to https://proxy\.test:8443") as caught:
            bearer(own, {"url": url})
        assert "CANARY" not in str(caught.value)
        assert bearer(own, {"url": url, "api_key": "of-call"}) == "Bearer of-call"


@pytest.mark.behaviour("client-needs-no-key-on-tape")
def test_transport_that_reaches_no_service_needs_no_key_and_gets_no_foreign_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert bearer({}, needs_key=False) is None
    assert bearer({"api_key": KEY}, {"url": "wss://elsewhere.test/"}, needs_key=False) is None
    monkeypatch.setenv("XAI_API_KEY", KEY)
    assert bearer({}, needs_key=False) is None


@pytest.mark.behaviour("client-key-never-shows")
@pytest.mark.parametrize("bad", [f"{KEY} two", f"{KEY}\nx: y", f"{KEY}é", f"{KEY}\x00", f"“{KEY}”"])
def test_malformed_key_is_refused_and_never_shown(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", bad.replace("\x00", "\x7f"))
    for options, call in (({"api_key": bad}, {}), ({}, {"api_key": bad}), ({}, {})):
        with pytest.raises(ConfigurationError, match="malformed") as caught:
            bearer(options, call)
        shown = "".join(traceback.format_exception(caught.value, chain=True))
        assert "CANARY" not in str(caught.value) + repr(caught.value)
        assert "CANARYcanary" not in shown


# Addresses.


@pytest.mark.behaviour("client-addresses")
@pytest.mark.parametrize(
    ("options", "call", "url"),
    [
        ({}, {}, "wss://api.x.ai/v1/realtime?model=grok-voice-latest"),
        ({}, {"model": "m"}, "wss://api.x.ai/v1/realtime?model=m"),
        ({"base_url": "http://localhost:8000/v1/"}, {}, "ws://localhost:8000/v1/realtime?model=grok-voice-latest"),
        ({"base_url": "ws://localhost:8000"}, {}, "ws://localhost:8000/realtime?model=grok-voice-latest"),
        ({"base_url": f"{OWN}?team=a"}, {}, "wss://proxy.test:8443/v1/realtime?team=a&model=grok-voice-latest"),
        ({}, {"conversation_id": "c 1"}, "wss://api.x.ai/v1/realtime?model=grok-voice-latest&conversation_id=c+1"),
        ({}, {"call_id": "p"}, "wss://api.x.ai/v1/realtime?call_id=p"),
        ({}, {"call_id": "p", "model": "m"}, "wss://api.x.ai/v1/realtime?model=m&call_id=p"),
        (
            {},
            {"reasoning_effort": "none"},
            "wss://api.x.ai/v1/realtime?model=grok-voice-latest&reasoning.effort=none",
        ),
        ({}, {"url": "wss://h.test/a?model=own&x=1"}, "wss://h.test/a?model=own&x=1"),
        ({}, {"url": "https://h.test/a?x=1&x=2"}, "wss://h.test/a?x=1&x=2&model=grok-voice-latest"),
        ({}, {"url": "wss://h.test/a?model=own", "model": "m"}, "wss://h.test/a?model=m"),
        ({}, {"query": {"x": "1", "model": "q"}}, "wss://api.x.ai/v1/realtime?x=1&model=q"),
        ({}, {"url": "wss://h.test/a?x=", "query": {"y": "é"}}, "wss://h.test/a?x=&y=%C3%A9&model=grok-voice-latest"),
    ],
)
def test_address_is_made_of_base_or_url_with_its_query_kept_and_merged(
    options: dict[str, Any], call: dict[str, Any], url: str
) -> None:
    assert request(options, {"api_key": "k", **call}).url == url


@pytest.mark.behaviour("client-addresses")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.x.ai/v1",
        "ftp://api.x.ai",
        "https://",
        "https:///v1",
        "https://user@api.x.ai/v1",
        f"https://user:{KEY}@api.x.ai/v1",
        "https://api.x.ai\\@evil.test/v1",
        "https://api.x.ai/v1#part",
        "https://api.x.ai/v 1",
        "https://api.x.ai/v1\r\nx: y",
        "https://api.x.ai:99999/v1",
        "https://api.x.ai:x/v1",
        "https://[::1/v1",
        5,
        None,
    ],
)
def test_malformed_address_is_refused_when_the_client_is_made_and_shows_no_user_info(url: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(base_url=url, transport=Asked())
    assert "CANARY" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        Address(url)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("wss://A.test/x", "https://a.test:443"),
        ("ws://a.test", "http://a.test:80"),
        ("http://[::1]:5/x", "http://[::1]:5"),
    ],
)
def test_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert Address(url).origin == origin


# Headers.


@pytest.mark.behaviour("client-headers")
def test_headers_of_client_and_call_reach_the_handshake_and_the_calls_win() -> None:
    found = request(
        {"api_key": "k", "default_headers": {"X-A": "1", "X-B": "1"}},
        {"headers": {"X-B": "2"}, "subprotocols": ["one", "two"]},
    )
    assert found.headers == {"X-A": "1", "X-B": "2", "Authorization": "Bearer k"}
    assert found.subprotocols == ("one", "two")
    assert found.service == "realtime"


@pytest.mark.behaviour("client-headers")
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"Bearer {KEY}"},
        {"AUTHORIZATION": ""},
        {"X-A": f"{KEY}\r\nHost: evil"},
        {"X-A": f"{KEY}\n"},
        {"X-A": f"{KEY}\0"},
        {"X A": "1"},
        {"X-A:": "1"},
        {"": "1"},
        {"X-A\r\n": "1"},
    ],
)
def test_bad_header_is_refused_and_its_value_not_shown(headers: dict[str, str]) -> None:
    for options, call in (({"default_headers": headers}, {}), ({}, {"headers": headers})):
        with pytest.raises(ConfigurationError) as caught:
            request({"api_key": "k", **options}, call)
        assert "CANARY" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        check_headers(headers)


# What shows.


@pytest.mark.behaviour("client-key-never-shows")
def test_reprs_show_no_key() -> None:
    client = AsyncClient(api_key=KEY, transport=Asked(), default_headers={"X-Secret": KEY})
    found = request(
        {"api_key": KEY, "default_headers": {"X-Secret": KEY}}, {"subprotocols": [f"xai-client-secret.{KEY}"]}
    )
    shown = f"{client!r} {client} {client.realtime!r} {found!r} {found} {Key(KEY)!r} {Key(None)!r}"
    assert "CANARY" not in shown
    assert repr(client) == "<AsyncClient https://api.x.ai:443>"
    assert (repr(Key(KEY)), repr(Key(None))) == ("<Key>", "<no key>")
    assert client.base_url == "https://api.x.ai/v1"


@pytest.mark.anyio
@pytest.mark.behaviour("client-key-never-shows")
async def test_key_is_in_no_log_exception_or_tape_of_a_whole_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    transport, server = memory_pair()
    failures: list[BaseException] = []
    with anyio.fail_after(5):
        try:
            async with AsyncClient(api_key=KEY, transport=record(tmp_path / "t.jsonl", transport)) as client:
                async with client.realtime.connect(query={"token": KEY}) as connection:
                    asked, peer = await server.accept()
                    assert asked.headers["Authorization"] == f"Bearer {KEY}"
                    await connection.send({"type": "x", "api_key": KEY, "text": f"the {KEY}"})
                    await peer.send(await peer.receive())
                    await connection.receive()
                    await peer.aclose(1008, f"bad key {KEY}")
                    raise RuntimeError("the user's own")
        except RuntimeError as error:
            failures.append(error)
        try:
            async with AsyncClient(api_key=KEY, transport=replay(tmp_path / "t.failed.jsonl")) as client:
                async with client.realtime.connect(query={"token": "other"}) as connection:
                    await connection.send({"type": "x", "api_key": "wrong", "text": f"another {KEY}"})
        except ReplayError as error:
            failures.append(error)
    assert len(failures) == 2
    for failure in failures:
        assert "CANARY" not in str(failure) + repr(failure)
    assert caplog.records
    assert "CANARY" not in caplog.text
    for path in tmp_path.rglob("*"):
        assert "CANARY" not in path.name
        assert path.is_dir() or b"CANARY" not in path.read_bytes()


# The whole.


@pytest.mark.anyio
@pytest.mark.behaviour("client-needs-no-key-on-tape")
async def test_client_plays_a_tape_without_a_key_and_checks_that_it_was_used_up(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(),
        In({"type": "session.created", "session": {"id": "session_1"}}),
        Out({"type": "response.create"}),
        In({"type": "ping", "timestamp": 5}),
        Close(),
    )
    with anyio.fail_after(5):
        async with AsyncClient(transport=replay(tape)) as client:
            async with client.realtime.connect() as connection:
                created = await connection.receive()
                assert isinstance(created, realtime.SessionCreated)
                await connection.send(realtime.ResponseCreate())
                assert isinstance(await connection.receive(), realtime.Ping)
                assert connection.last_frame is not None and connection.last_frame.at_ms == 30.0
        with pytest.raises(ReplayIncompleteError):
            async with AsyncClient(transport=replay(tape)) as client:
                async with client.realtime.connect():
                    pass


def test_client_without_a_transport_takes_the_web_socket() -> None:
    assert type(AsyncClient().transport).__name__ == "WebSocketTransport"


@pytest.mark.anyio
async def test_query_keeps_what_no_argument_names() -> None:
    seen: list[str] = []
    transport, server = memory_pair()
    with anyio.fail_after(5):
        async with AsyncClient(transport=transport) as client:
            async with client.realtime.connect(query={"call_id": "c-1", "reasoning.effort": "none", "x": "y"}):
                request, _ = await server.accept()
                seen.append(request.url)
    assert seen == ["wss://api.x.ai/v1/realtime?call_id=c-1&reasoning.effort=none&x=y"]
