"""Sockets of the emulator: real ones and in process, with one behaviour."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.emulator.standin import StandIn, event
from xai_realtime import (
    AsyncClient,
    ClosedByServerError,
    ConfigurationError,
    ConnectionBrokenError,
    Frame,
    HandshakeError,
    RealtimeConnection,
    WebSocketTransport,
    run_virtual,
)
from xai_realtime.emulator import Emulator

pytestmark = pytest.mark.anyio
FORMS = ("socket", "in process")

Make = Callable[..., Emulator]


@asynccontextmanager
async def client_of(form: str, emulator: Emulator, **options: Any) -> AsyncIterator[AsyncClient]:
    """A client of the emulator, over a real socket or in process."""
    with anyio.fail_after(10):
        if form == "in process":
            async with AsyncClient(transport=emulator.transport(), **options) as client:
                yield client
        else:
            async with emulator, emulator.client(**options) as client:
                yield client


async def told(connection: RealtimeConnection) -> Any:
    received = await connection.receive()
    assert connection.last_frame is not None
    return received.type, connection.last_frame


async def fallen_to(count: int, emulator: Emulator) -> None:
    """Wait for the server's side to notice that a client left."""
    while emulator.world.open_sessions > count:  # noqa: ASYNC110
        await anyio.sleep(0.001)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-forms")
async def test_socket_carries_query_text_and_binary(form: str, standing_in: Make, engines: list[StandIn]) -> None:
    async with client_of(form, standing_in()) as client:
        async with client.realtime.connect(model="grok-x", query={"a b": "ü"}) as connection:
            assert (await told(connection))[0] == "session.created"
            await connection.send({"type": "x", "text": "ü"})
            assert (await told(connection))[1] == event(type="echo", kind="text", bytes=24)
            await connection._channel.send(Frame(b"\x00\xff", is_text=False))
            assert (await told(connection))[1] == Frame(b"\x00\xff", is_text=False)
    assert [frame.is_text for frame in engines[0].received] == [True, False]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("order", "end"),
    [
        ({"do": "close", "code": 1001, "reason": "over"}, ClosedByServerError(1001, "over")),
        ({"do": "close", "code": 4000}, ClosedByServerError(4000, "")),
        ({"do": "raise"}, ClosedByServerError(1011, "internal error")),
    ],
    ids=["1001", "4000", "failure"],
)
@pytest.mark.behaviour("emulator-forms")
async def test_socket_ends_with_the_code_that_the_engine_gives(
    form: str, order: dict[str, Any], end: ClosedByServerError, standing_in: Make
) -> None:
    async with client_of(form, standing_in()) as client, client.realtime.connect() as connection:
        await connection.receive()
        await connection.send(order)
        with pytest.raises(ClosedByServerError) as caught:
            await connection.receive()
    assert (caught.value.code, caught.value.reason) == (end.code, end.reason)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-forms")
async def test_socket_is_cut_without_a_close_when_the_engine_wants_it(form: str, standing_in: Make) -> None:
    async with client_of(form, standing_in()) as client, client.realtime.connect() as connection:
        await connection.receive()
        await connection.send({"do": "many", "count": 3})
        await connection.send({"do": "cut"})
        assert [(await told(connection))[0] for _ in range(3)] == ["many"] * 3
        with pytest.raises(ConnectionBrokenError):
            await connection.receive()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-oversize")
async def test_message_of_64_mib_is_refused_with_1009_and_the_emulator_goes_on(form: str, standing_in: Make) -> None:
    async with client_of(form, standing_in()) as client:
        async with client.realtime.connect() as connection:
            await connection.receive()
            await connection._channel.send_text(b"x" * (64 * 1024 * 1024))
            with pytest.raises(ClosedByServerError, match="1009"):
                await connection.receive()
        async with client.realtime.connect() as connection:
            assert (await told(connection))[0] == "session.created"


@pytest.mark.parametrize("form", FORMS)
async def test_message_limit_is_a_setting(form: str, standing_in: Make) -> None:
    emulator = standing_in(max_message_bytes=100)
    async with client_of(form, emulator) as client, client.realtime.connect() as connection:
        await connection.receive()
        await connection.send({"type": "x" * 60})
        assert (await told(connection))[0] == "echo"
        await connection.send({"type": "x" * 100})
        with pytest.raises(ClosedByServerError, match="1009"):
            await connection.receive()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-bad-utf8")
async def test_text_that_is_no_utf8_ends_the_socket_with_1007(form: str, standing_in: Make) -> None:
    async with client_of(form, standing_in()) as client, client.realtime.connect() as connection:
        await connection.receive()
        await connection._channel.send_text(b'{"type":"\xff"}')
        with pytest.raises(ClosedByServerError, match="1007"):
            await connection.receive()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-concurrency")
async def test_session_over_the_limit_is_refused_until_another_ends(
    form: str, standing_in: Make, engines: list[StandIn]
) -> None:
    emulator = standing_in(concurrent_sessions=2)
    async with client_of(form, emulator) as client:
        async with client.realtime.connect() as first, client.realtime.connect() as second:
            for connection in (first, second):
                await connection.receive()
            with pytest.raises(HandshakeError, match="Too many concurrent sessions: your team may hold 2") as caught:
                async with client.realtime.connect():
                    pass
            assert caught.value.status == 429
            await second.aclose()
            await fallen_to(1, emulator)
            async with client.realtime.connect() as third:
                await third.receive()
    assert len(engines) == 3


@pytest.mark.parametrize("form", FORMS)
async def test_socket_without_a_service_is_not_found(form: str, standing_in: Make) -> None:
    emulator = standing_in()
    async with client_of(form, emulator) as client:
        address = f"{emulator.ws_url}/nothing" if form == "socket" else f"{client.base_url}/nothing"
        with pytest.raises(HandshakeError) as caught:
            async with client.realtime.connect(url=address):
                pass
    assert caught.value.status == 404
    assert caught.value.message == "There is nothing at /v1/nothing."


@pytest.mark.behaviour("emulator-virtual-time")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_emulator_in_process_lives_in_virtual_time(
    backend: str, standing_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with AsyncClient(transport=standing_in().transport()) as client:
            async with client.realtime.connect() as connection:
                await connection.receive()
                await connection.send({"do": "later", "ms": 3_600_000})
                await connection.receive()
                assert anyio.current_time() == pytest.approx(3600)

    run_virtual(main, backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_server_refuses_virtual_time_in_a_sentence(backend: str, standing_in: Make) -> None:
    async def main() -> None:
        async with standing_in():
            pass

    with pytest.raises(ConfigurationError, match="cannot run in virtual time"):
        run_virtual(main, backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
async def test_error_inside_a_session_passes_unwrapped(form: str, standing_in: Make) -> None:
    with pytest.raises(ZeroDivisionError):
        async with client_of(form, standing_in()) as client, client.realtime.connect():
            1 / 0


@pytest.mark.parametrize("form", FORMS)
async def test_cancelling_a_session_frees_it(form: str, standing_in: Make, engines: list[StandIn]) -> None:
    emulator = standing_in()
    async with client_of(form, emulator) as client:
        with anyio.move_on_after(0.05):
            async with client.realtime.connect():
                await anyio.sleep_forever()
        await fallen_to(0, emulator)
    assert engines[0].gone_ms is not None


async def test_client_and_server_sockets_of_one_emulator_share_its_world(standing_in: Make) -> None:
    emulator = standing_in(concurrent_sessions=1)
    with anyio.fail_after(10):
        async with emulator, emulator.client() as over_socket:
            async with over_socket.realtime.connect() as connection:
                await connection.receive()
                with pytest.raises(HandshakeError, match="429"):
                    async with AsyncClient(transport=emulator.transport()).realtime.connect():
                        pass


@pytest.mark.behaviour("emulator-log-content-free")
async def test_server_logs_no_key_and_no_query(standing_in: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with standing_in() as emulator:
        client = AsyncClient(base_url=emulator.url, api_key="canary-key", transport=WebSocketTransport())
        async with client.realtime.connect(query={"q": "canary-query"}) as connection:
            await connection.receive()
            await connection.send({"type": "x", "text": "canary-text"})
            await connection.receive()
    assert "session 1 received x" in caplog.text
    assert "canary" not in caplog.text
