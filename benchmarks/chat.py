"""`python -m benchmarks.chat`: what a streamed answer costs beside its bytes. In: nothing. Out: Markdown on stdout.

Ratios are of CPU time in this process against httpx2 that cuts the same bytes into events and reads them with orjson;
the server is another process and writes one event at a time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import httpx2

from benchmarks.__main__ import served
from benchmarks.baselines import CHAT, chat_stream
from benchmarks.workload import chat_events
from xai_realtime import AsyncClient
from xai_realtime.chat.stream import ChatStream
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.websocket import WebSocketTransport

__all__ = ["main"]

ROUNDS = 31
MANY = 1_000
HALF = 200
"""Events that are read of a stream before it is cancelled."""


def main() -> None:
    """Measure and print."""
    print("| measure | here | goal |\n|---|---|---|", flush=True)
    ratio, raw_us, parsed = served(stream, "chat")
    here = f"{ratio:.2f} (raw {raw_us:.1f} us); {parsed:.2f} against pieces that are not read"
    _row("chat: typed chunk of a stream, CPU against httpx2 + split + orjson", here, "<= 1.4, then <= 1.2")
    raw_s, raw_cpu_s = served(raw_whole, "chat")
    for title, work, beside in (
        ("at once", whole, f" (httpx2 + split + orjson {raw_s:.2f} s, CPU {raw_cpu_s:.2f} s)"),
        ("at once, each cancelled half-way", cancelled, ""),
    ):
        took_s, cpu_s, memory, left = served(work, "chat")
        here = f"{took_s:.2f} s, CPU {cpu_s:.2f} s{beside}, {memory / 1000:.1f} kB each; {left}"
        _row(f"chat: {MANY} streams {title}", here, "0 left")


def _row(measure: str, here: str, goal: str) -> None:
    print(f"| {measure} | {here} | {goal} |", flush=True)


async def stream(port: int) -> tuple[float, float, float]:
    """Ratios against parsed and against bare pieces, and the baseline's microseconds an event."""
    url = f"http://127.0.0.1:{port}/v1"
    count = len(chat_events()) - 1
    async with httpx2.AsyncClient() as raw, AsyncClient(api_key="bench") as client:

        async def ours() -> None:
            async with client.chat.stream("grok-4.6", "go", url=url, api_key="bench") as answer:
                async for delta in answer:
                    delta.kind  # noqa: B018

        async def theirs() -> None:
            for event in await chat_stream(raw, url):
                event["choices"]

        async def bare() -> None:
            async with raw.stream("POST", url, json=CHAT) as response:
                async for _ in response.aiter_raw():
                    pass

        ratio, raw_s = await _paired(theirs, ours)
        unread, _ = await _paired(bare, ours)
    return ratio, raw_s / count * 1e6, unread


async def _paired(theirs: Callable[[], Awaitable[None]], ours: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Median ratio of CPU times taken in turns, and the median time of the baseline in seconds."""
    await _cpu(theirs), await _cpu(ours)
    pairs = [(await _cpu(theirs), await _cpu(ours)) for _ in range(ROUNDS)]
    return statistics.median(mine / other for other, mine in pairs), statistics.median(other for other, _ in pairs)


async def _cpu(work: Callable[[], Awaitable[None]]) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


# Many at once


async def whole(port: int) -> tuple[float, float, float, str]:
    """Wall and CPU time of many streams read to their end, the bytes of one, and what is left behind."""

    async def read(answer: ChatStream) -> None:
        reply = await answer.finish()
        if not reply.outcome or not reply.outcome.is_complete:
            raise RuntimeError("an answer is not whole")

    return await _together(port, "v1", read)


async def raw_whole(port: int) -> tuple[float, float]:
    """Wall and CPU time of the same with httpx2, untyped."""
    url = f"http://127.0.0.1:{port}/v1"
    limits = httpx2.Limits(max_connections=MANY, max_keepalive_connections=MANY)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as client:
        await chat_stream(client, url)
        start, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(chat_stream(client, url) for _ in range(MANY)))
        return time.perf_counter() - start, time.process_time() - cpu


async def cancelled(port: int) -> tuple[float, float, float, str]:
    """The same of streams that are cancelled when half of each has come."""

    async def read(answer: ChatStream) -> None:
        left = HALF
        async for _ in answer:
            left -= 1
            if not left:
                await answer.cancel()
        if not answer.outcome or answer.outcome.status != "cancelled":
            raise RuntimeError("an answer was not cancelled")

    return await _together(port, "endless", read)


async def _together(
    port: int, path: str, read: Callable[[ChatStream], Awaitable[None]]
) -> tuple[float, float, float, str]:
    url = f"http://127.0.0.1:{port}/{path}"
    files = _open_files()
    transport = WebSocketTransport(http=HttpTransport(max_connections=MANY))
    async with AsyncClient(api_key="bench", transport=transport) as client:

        def asked() -> ChatStream:
            return client.chat.stream("grok-4.6", "go", url=url, api_key="bench")

        async def one() -> None:
            async with asked() as answer:
                await read(answer)

        await one()
        memory = await _memory(asked)
        start, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one() for _ in range(MANY)))
        took_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    await asyncio.sleep(0.5)
    gc.collect()
    async with httpx2.AsyncClient() as raw:
        there = int((await raw.post(f"http://127.0.0.1:{port}/open")).text)
        files += 1  # the one that asks
        left = f"{len(asyncio.all_tasks()) - 1} tasks, {max(0, _open_files() - files)} sockets left, {there} there"
    return took_s, cpu_s, memory, left


async def _memory(asked: Callable[[], ChatStream], count: int = 100) -> float:
    """Bytes of one stream that is open, its connection included."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    async with AsyncExitStack() as stack:
        for _ in range(count):
            await stack.enter_async_context(asked())
        gc.collect()
        size = (tracemalloc.get_traced_memory()[0] - before) / count
    tracemalloc.stop()
    return size


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


if __name__ == "__main__":
    main()
