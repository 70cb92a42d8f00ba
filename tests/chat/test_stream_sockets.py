"""Streams over sockets, in real time, on asyncio, trio and uvloop: connections are used again, or closed at once."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from tests.chat.driving import DONE, MODEL, said, stop, tasks_living
from tests.http.streaming import Reader, Writer, body_of, head_of, raw_server
from xai_realtime import AsyncClient
from xai_realtime.chat.stream import ChatStream
from xai_realtime.client.chat import Chat
from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.transport.http import HttpTransport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LOOPS = [
    pytest.param(("asyncio", {}), id="asyncio"),
    pytest.param(("trio", {}), id="trio"),
    pytest.param(
        ("asyncio", {"use_uvloop": True}),
        id="uvloop",
        marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed here"),
    ),
]


def over_sockets(main: Any, loop: tuple[str, dict[str, Any]]) -> Any:
    async def bounded() -> Any:
        with anyio.fail_after(20):
            return await main()

    return anyio.run(bounded, backend=loop[0], backend_options=loop[1])


class Peer:
    """A server of streams: its connections, the requests it read, and how many connections are still open."""

    def __init__(self, *, ends: bool = True, closes: bool = False) -> None:
        self.connections = self.requests = 0
        self.gone = threading.Semaphore(0)
        self._ends = ends
        self._closes = closes
        self.port = 0

    async def handle(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                _, headers = await head_of(reader)
                await body_of(reader, headers)
                self.requests += 1
                writer.write(HEAD)
                self._write(writer, said("a"))
                self._write(writer, said("b"))
                if self._ends:
                    self._write(writer, stop() + DONE)
                    await writer.drain()
                    await asyncio.sleep(0.01)
                    writer.write(b"0\r\n\r\n")
                await writer.drain()
                if self._closes:
                    raise ConnectionResetError
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.release()

    @staticmethod
    def _write(writer: Writer, data: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def has_lost(self, count: int) -> None:
        """Wait until so many connections were closed by the other side."""
        for _ in range(count):
            await anyio.to_thread.run_sync(lambda: self.gone.acquire(timeout=5))


@contextmanager
def peer(**options: Any) -> Iterator[Peer]:
    made = Peer(**options)
    with raw_server(made.handle) as made.port:
        yield made


def client_of(server: Peer) -> AsyncClient:
    return AsyncClient(api_key="k", base_url=f"http://127.0.0.1:{server.port}/v1", transport=HttpTransport(proxy=None))


async def said_all(streams: list[ChatStream], count: int) -> None:
    """Wait until so many streams have said what they will say."""
    while len(streams) < count or any(stream.reply.text != "ab" for stream in streams):  # noqa: ASYNC110
        await anyio.sleep(0.002)


async def first_of(chat: Chat, streams: list[ChatStream]) -> None:
    async with chat.stream(MODEL, "hi") as stream:
        streams.append(stream)
        async for _ in stream:
            pass


@pytest.mark.behaviour("chat-stream-connection")
@pytest.mark.parametrize("loop", LOOPS)
def test_connection_of_a_stream_that_is_over_serves_the_next(loop: Any) -> None:
    async def main() -> None:
        with peer() as server:
            async with client_of(server) as client:
                for _ in range(3):
                    async with client.chat.stream(MODEL, "hi") as stream:
                        assert [text async for text in stream.text()] == ["a", "b"]
                    assert stream.outcome is not None and stream.outcome.is_complete
                assert (server.requests, server.connections) == (3, 1)

    over_sockets(main, loop)


@pytest.mark.behaviour("bug-4")
@pytest.mark.parametrize("loop", LOOPS)
def test_idle_connection_that_the_server_has_closed_is_not_used_again(loop: Any) -> None:
    async def main() -> None:
        with peer(closes=True) as server:
            async with client_of(server) as client:
                for number in range(3):
                    async with client.chat.stream(MODEL, "hi") as stream:
                        assert (await stream.finish()).text == "ab"
                    await server.has_lost(1)
                    await anyio.sleep(0.01)
                    assert (server.requests, server.connections) == (number + 1, number + 1)

    over_sockets(main, loop)


@pytest.mark.behaviour("bug-4")
@pytest.mark.anyio
async def test_idle_connections_are_kept_for_120_seconds_and_no_longer() -> None:
    transport = HttpTransport(proxy=None)
    pool: Any = transport._new_line(None)
    assert pool._pool._keepalive_expiry == 120
    assert (pool._pool._max_connections, pool._pool._max_keepalive_connections) == (50, 50)
    await pool.aclose()


@pytest.mark.behaviour("chat-stream-connection")
@pytest.mark.parametrize("how", ["leave", "cancel", "task", "error"])
@pytest.mark.parametrize("loop", LOOPS)
def test_connection_of_a_stream_that_is_broken_off_is_closed(loop: Any, how: str) -> None:
    async def main() -> None:
        with peer(ends=False) as server:
            async with client_of(server) as client:
                living = tasks_living()
                streams: list[ChatStream] = []
                if how == "leave":
                    async with client.chat.stream(MODEL, "hi") as stream:
                        streams.append(stream)
                        await anext(stream)
                elif how == "error":
                    with pytest.raises(KeyError):
                        async with client.chat.stream(MODEL, "hi") as stream:
                            streams.append(stream)
                            raise KeyError(await anext(stream))
                else:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(first_of, client.chat, streams)
                        await said_all(streams, 1)
                        if how == "cancel":
                            await streams[0].cancel()
                        else:
                            tasks.cancel_scope.cancel()
                await server.has_lost(1)
                await anyio.sleep(0.01)
                assert tasks_living() == living
            outcome = streams[0].outcome
            assert outcome is not None and outcome.status == "cancelled"

    over_sockets(main, loop)


@pytest.mark.behaviour("chat-stream-connection")
@pytest.mark.parametrize("loop", LOOPS)
def test_many_streams_over_sockets_that_are_cancelled_half_way_leave_no_task_and_no_socket(loop: Any) -> None:
    count = 40

    async def main() -> None:
        with peer(ends=False) as server:
            async with client_of(server) as client:
                living = tasks_living()
                streams: list[ChatStream] = []
                async with anyio.create_task_group() as tasks:
                    for _ in range(count):
                        tasks.start_soon(first_of, client.chat, streams)
                    await said_all(streams, count)
                    for stream in streams[: count // 2]:
                        await stream.cancel()
                    await server.has_lost(count // 2)
                    tasks.cancel_scope.cancel()
                await server.has_lost(count - count // 2)
                await anyio.sleep(0.01)
                assert tasks_living() == living
                assert server.connections == count

    over_sockets(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_emulator_over_a_socket_streams_to_the_end_and_may_be_left(loop: Any) -> None:
    async def main() -> None:
        emulator = Emulator(lambda prompt: "one two three", seed=1, chat=ChatQuirks(first_token_ms=5, token_ms=5))
        async with emulator:
            transport = HttpTransport(proxy=None)
            async with AsyncClient(base_url=emulator.url, api_key="k", transport=transport) as client:
                async with client.chat.stream(MODEL, "hi") as stream:
                    assert (await stream.finish()).text == "one two three"
                assert stream.usage.is_complete
                async with client.chat.stream(MODEL, "hi") as stream:
                    await anext(stream)
                assert stream.outcome is not None and stream.outcome.status == "cancelled"

    over_sockets(main, loop)
