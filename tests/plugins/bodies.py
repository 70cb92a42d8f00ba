"""Test bodies that hold under every async plugin and event loop that users have; the wrappers run each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from xai_realtime import AsyncClient, Transport, UnknownEvent, memory_pair, record, replay
from xai_realtime.errors import ClosedByServerError, ClosedByUsError
from xai_realtime.events import realtime as events
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest
from xai_realtime.transport.memory import MemoryServer

__all__ = ["BODIES", "Body"]

Body = Callable[[], Awaitable[None]]


@asynccontextmanager
async def open_line() -> AsyncIterator[tuple[Channel, Channel]]:
    transport, server = memory_pair()
    async with transport, transport.open(ChannelRequest("wss://example.test/v1/realtime")) as client:
        _, peer = await server.accept()
        try:
            yield client, peer
        finally:
            await peer.aclose()
            server.close()


async def frames_arrive_in_order_and_as_they_were_sent() -> None:
    frames = [Frame(b'{"n":1}', True), Frame(b"\x00\xff", False), Frame(b"", True)]
    async with open_line() as (client, peer):
        for frame in frames:
            await client.send(frame)
        assert [await peer.receive() for _ in frames] == frames


async def a_receive_that_ran_out_of_time_loses_nothing() -> None:
    async with open_line() as (client, peer):
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await client.receive()
        await peer.send(Frame(b"late", True))
        assert await client.receive() == Frame(b"late", True)


async def a_close_is_seen_after_the_frames_before_it() -> None:
    async with open_line() as (client, peer):
        await peer.send(Frame(b"last", True))
        await peer.aclose(1001, "going away")
        assert await client.receive() == Frame(b"last", True)
        for _ in range(2):
            with pytest.raises(ClosedByServerError) as caught:
                await client.receive()
            assert (caught.value.code, caught.value.reason) == (1001, "going away")


async def a_closed_end_says_that_we_closed_it() -> None:
    async with open_line() as (client, _):
        await client.aclose()
        await client.aclose()
        with pytest.raises(ClosedByUsError):
            await client.send(Frame(b"{}", True))


async def two_tasks_talk_over_one_line() -> None:
    async def echo(peer: Channel) -> None:
        for _ in range(100):
            await peer.send(await peer.receive())

    heard: list[Frame] = []
    async with open_line() as (client, peer), anyio.create_task_group() as tasks:
        tasks.start_soon(echo, peer)
        for number in range(100):
            await client.send(Frame(b"%d" % number, True))
            heard.append(await client.receive())
    assert [frame.data for frame in heard] == [b"%d" % number for number in range(100)]


async def serve_one_turn(server: MemoryServer) -> None:
    _, peer = await server.accept()
    await peer.send(Frame(b'{"type":"session.created","session":{"voice":"eve"}}', True))
    assert b"response.create" in (await peer.receive()).data
    await peer.send(Frame(b'{"type":"tomorrow.event"}', True))
    await peer.aclose()
    server.close()


async def talk_one_turn(transport: Transport) -> list[str | None]:
    types: list[str | None] = []
    async with AsyncClient(transport=transport) as client, client.realtime.connect() as connection:
        async for event in connection:
            types.append(event.type)
            if isinstance(event, events.SessionCreated):
                await connection.send(events.ResponseCreate())
            else:
                assert isinstance(event, UnknownEvent)
    return types


async def a_typed_conversation_is_the_same_live_and_on_tape() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "turn.jsonl"
        transport, server = memory_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_one_turn, server)
            live = await talk_one_turn(record(path, transport))
        assert live == ["session.created", "tomorrow.event"]
        assert await talk_one_turn(replay(path)) == live


BODIES: list[Body] = [
    frames_arrive_in_order_and_as_they_were_sent,
    a_receive_that_ran_out_of_time_loses_nothing,
    a_close_is_seen_after_the_frames_before_it,
    a_closed_end_says_that_we_closed_it,
    two_tasks_talk_over_one_line,
    a_typed_conversation_is_the_same_live_and_on_tape,
]
