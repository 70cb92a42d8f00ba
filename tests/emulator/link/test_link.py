"""A link runs an engine against a channel: at its time, to its end, whatever happens."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.emulator.standin import StandIn, event
from xai_realtime import (
    ChannelRequest,
    ClosedByServerError,
    ConnectionBrokenError,
    Frame,
    memory_pair,
    run_virtual,
)
from xai_realtime.emulator.inprocess import ClientEnd, MemoryEnd
from xai_realtime.emulator.link import Clock, hold
from xai_realtime.emulator.world import World
from xai_realtime.transport.memory import MemoryChannel

pytestmark = pytest.mark.anyio
BACKENDS = ("asyncio", "trio")
BUFFER = 64


@asynccontextmanager
async def linked(limit: int = 1000) -> AsyncIterator[tuple[ClientEnd, StandIn]]:
    transport, server = memory_pair(buffer=BUFFER)
    under_way: deque[Frame] = deque()
    async with anyio.create_task_group() as tasks, transport.open(ChannelRequest("ws://x")) as near:
        assert isinstance(near, MemoryChannel)
        client = ClientEnd(near, under_way)
        _, end = await server.accept()
        clock = Clock()
        engine = StandIn(World(seed=1), {}, clock.now_ms())

        async def run() -> None:
            await hold(engine, MemoryEnd(end, under_way), clock, name="session 1", max_message_bytes=limit)

        tasks.start_soon(run)
        with anyio.fail_after(5):
            assert json.loads((await client.receive()).data)["type"] == "session.created"
            yield client, engine
            await client.aclose()


def virtual(main: Callable[[], Awaitable[None]]) -> None:
    for backend in BACKENDS:
        run_virtual(main, backend=backend)  # type: ignore[arg-type]


async def test_link_passes_text_and_binary_frames_on() -> None:
    async with linked() as (client, engine):
        await client.send(event(a="é"))
        assert await client.receive() == event(type="echo", kind="text", bytes=14)
        await client.send(Frame(b"\xff\x00", is_text=False))
        assert await client.receive() == Frame(b"\xff\x00", is_text=False)
        assert engine.received[1].is_text is False


@pytest.mark.behaviour("emulator-link-times")
def test_link_sends_at_the_engines_time_also_when_an_earlier_time_comes_up() -> None:
    async def main() -> None:
        async with linked() as (client, engine):
            await client.send(event(do="later", ms=4000))
            await anyio.sleep(1)
            await client.send(event(do="later", ms=250.5))
            assert json.loads((await client.receive()).data)["at_ms"] == 1000
            assert anyio.current_time() == pytest.approx(1.2505)
            await client.receive()
            assert anyio.current_time() == pytest.approx(4)
            assert engine.taken_ms == [0, 0, 1000, 1250.5, 4000]

    virtual(main)


def test_link_lets_the_writer_sleep_while_frames_change_nothing() -> None:
    async def main() -> None:
        async with linked() as (client, engine):
            await client.send(event(do="later", ms=1000))
            for _ in range(50):
                await client.send(event(do="nothing"))
                await anyio.sleep(0.01)
            await client.receive()
            assert engine.taken_ms == [0, 0, 1000]

    virtual(main)


def test_link_does_not_spin_when_an_engine_names_a_time_and_has_nothing() -> None:
    async def main() -> None:
        async with linked() as (client, engine):
            await client.send(event(do="idle", ms=100))
            await anyio.sleep(0.2)
            assert 90 <= len(engine.taken_ms) <= 110

    virtual(main)


@pytest.mark.behaviour("emulator-link-times")
def test_link_does_not_spin_when_less_is_left_than_its_clock_tells() -> None:
    async def main() -> None:
        async with linked() as (client, engine):
            await anyio.sleep(2.0867)
            await client.send(event(do="later", ms=1e-7))
            await client.receive()
            assert len(engine.taken_ms) <= 4
            assert anyio.current_time() == pytest.approx(2.0867, abs=2e-6)

    virtual(main)


@pytest.mark.behaviour("emulator-link-ends")
@pytest.mark.parametrize(
    ("told", "end"),
    [
        ({"do": "close", "code": 1011, "reason": "why"}, ClosedByServerError(1011, "why")),
        ({"do": "close", "code": 1000}, ClosedByServerError(1000, "")),
        ({"do": "cut"}, ConnectionBrokenError(None, "the other end is gone")),
        ({"do": "raise"}, ClosedByServerError(1011, "internal error")),
        ({"do": "say", "padding": "x" * 1000}, ClosedByServerError(1009, "message over the limit of 1000 bytes")),
    ],
    ids=lambda value: str(value.get("do")) if isinstance(value, dict) else "",
)
async def test_link_ends_as_the_engine_or_the_message_wants(told: dict[str, Any], end: Exception) -> None:
    async with linked() as (client, engine):
        await client.send(event(**told))
        with pytest.raises(type(end)) as caught:
            await client.receive()
        assert str(caught.value) == str(end)
    assert engine.gone_ms is not None


async def test_link_refuses_text_that_is_no_utf8_with_its_close_code() -> None:
    async with linked() as (client, engine):
        await client.send(Frame(b"\xff"))
        with pytest.raises(ClosedByServerError, match="1007"):
            await client.receive()
        assert engine.received == []


async def test_link_closes_with_1011_when_taking_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with linked() as (client, engine):
        monkeypatch.setattr(engine, "take", lambda now_ms: 1 / 0)
        await client.send(event(do="later", ms=0))
        with pytest.raises(ClosedByServerError, match="1011"):
            await client.receive()


async def test_link_takes_in_what_was_sent_before_the_client_closed() -> None:
    async with linked() as (client, engine):
        for _ in range(10):
            await client.send(event(do="nothing"))
        await client.aclose()
    assert len(engine.received) == 10
    assert engine.gone_ms is not None


async def test_link_ends_when_the_client_leaves_while_it_is_sending() -> None:
    async with linked(limit=10**6) as (client, engine):
        await client.send(event(do="many", count=1000))
        await client.receive()
    assert engine.gone_ms is not None


@pytest.mark.parametrize("leave", ["close", "break"])
@pytest.mark.behaviour("emulator-lost-frames")
async def test_link_tells_the_engine_what_the_client_left_unread(leave: str) -> None:
    async with linked(limit=10**6) as (client, engine):
        await client.send(event(do="many", count=2 * BUFFER))
        for _ in range(10):
            await client.receive()
        if leave == "break":
            client.break_off()
    assert [json.loads(frame.data)["number"] for frame in engine.lost] == list(range(10, 2 * BUFFER))


async def test_link_counts_as_read_what_a_client_can_still_read_when_the_server_ends_first() -> None:
    async with linked(limit=10**6) as (client, engine):
        await client.send(event(do="many", count=BUFFER // 2))
        await client.send(event(do="cut"))
        with pytest.raises(ConnectionBrokenError):
            while True:
                await client.receive()
    assert engine.lost == []


def test_clock_goes_on_where_it_was_on_another_event_loop() -> None:
    clock, seen = Clock(), []

    async def main() -> None:
        seen.append(clock.now_ms())
        await anyio.sleep(1.5)
        seen.append(clock.now_ms())

    virtual(main)
    assert seen == [0, 1500, 1500, 3000]


@pytest.mark.behaviour("emulator-log-content-free")
async def test_link_logs_types_ids_and_sizes_and_nothing_that_was_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "xai_realtime.emulator")
    said = [
        event(type="conversation.item.create", item_id="item_1", text="SECRET"),
        event(type="bad\nname" + "x" * 100, event_id=["SECRET"], do="close", code=1000),
        Frame(b"SECRET", is_text=False),
        Frame(b'"SECRET"'),
    ]
    async with linked() as (client, _):
        await client.send(said[0])
        await client.receive()
        await client.send(said[2])
        await client.receive()
        await client.send(said[1])
        with pytest.raises(ClosedByServerError):
            await client.receive()
    async with linked() as (client, _):
        await client.send(said[3])
        await client.receive()
    lines = [record.getMessage() for record in caplog.records]
    assert f"session 1 received conversation.item.create, {len(said[0].data)} bytes item_id=item_1" in lines
    assert any(line.startswith("session 1 sent echo, ") for line in lines)
    assert "session 1 received binary, 6 bytes" in lines
    assert any(line.startswith(r"session 1 received bad\nnamexx") and line.count("x") < 80 for line in lines)
    assert "session 1 closes with 1000" in lines
    assert "session 1 received (no event), 8 bytes" in lines
    assert lines[-1] == "session 1 over"
    assert "SECRET" not in "\n".join(lines)


async def test_link_logs_the_code_of_an_error_event_and_not_its_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "xai_realtime.emulator")
    async with linked() as (client, engine):
        engine.put(0, event(type="error", error={"code": "item_not_found", "message": "SECRET"}))
        engine.put(0, Frame(b"\x00", is_text=False))
        await client.send(event(do="cut"))
        with pytest.raises(ConnectionBrokenError):
            while True:
                await client.receive()
    assert "sent error, 69 bytes code=item_not_found" in caplog.text
    assert "sent binary, 1 bytes" in caplog.text
    assert "cuts the connection" in caplog.text
    assert "SECRET" not in caplog.text
