"""`python -m benchmarks.speech`: what the ears and the mouth cost beside their sockets. In: nothing. Out: Markdown.

Ratios are of CPU time in this process against `websockets` with the same bytes; the server is another process.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pybase64
import websockets.asyncio.client

from benchmarks import baselines
from benchmarks.__main__ import served
from benchmarks.workload import STT_FRAME, speech_messages
from xai_realtime import AsyncClient, SttPolicy, SttStream

__all__ = ["main"]

ROUNDS = 31
SEND_FRAMES = 2_000
STREAMS = 50
LIVE_S = 5.0
LIVE_FRAMES = int(10 * LIVE_S)
LIVE_ROUNDS = 3
POLICY = SttPolicy(reconnect=None, deaf_after_s=None)
"""The server of the benchmark never answers, which would count as deaf."""


def main() -> None:
    """Measure and print."""
    print("| measure | here | goal |\n|---|---|---|", flush=True)
    ratio, raw_us = served(send)
    _row("STT: send a 100 ms frame, CPU against websockets", f"{ratio:.3f} (raw {raw_us:.1f} us)", "<= 1.2")
    ratio, raw_us, untyped = served(receive)
    received = f"{ratio:.2f} (raw {raw_us:.1f} us); {untyped:.2f} against websockets + orjson + pybase64"
    _row("TTS: receive 100 ms of speech, bytes in hand, CPU against websockets", received, "<= 1.2")
    ours, raw, memory, raw_memory = served(live)
    cpu = f"{ours:.2f} % of a core a stream (raw websockets {raw:.2f} %)"
    _row(f"{STREAMS} STT streams in real time, CPU", cpu, "reported")
    size = f"{memory / 1000:.1f} kB (raw websockets {raw_memory / 1000:.1f} kB)"
    _row("memory of one STT stream, socket included", size, "reported")


def _row(measure: str, here: str, goal: str) -> None:
    print(f"| {measure} | {here} | {goal} |", flush=True)


async def send(port: int) -> tuple[float, float]:
    """Ratio of sending audio, and the microseconds that websockets take for a frame."""
    async with _raw(port, "sink") as raw, AsyncClient(api_key="bench") as client, _stream(client, port) as stream:

        async def ours() -> None:
            for _ in range(SEND_FRAMES):
                await stream.send(STT_FRAME)

        async def theirs() -> None:
            for _ in range(SEND_FRAMES):
                await raw.send(STT_FRAME)

        ratio, raw_s = await _paired(theirs, ours)
    return ratio, raw_s / SEND_FRAMES * 1e6


async def receive(port: int) -> tuple[float, float, float]:
    """Ratios of receiving an utterance against the bytes alone and against untyped parsing, and the bytes' time."""
    count = len(speech_messages())
    url = f"ws://127.0.0.1:{port}/tts"
    async with _raw(port, "tts") as raw, AsyncClient(api_key="bench") as client:

        async def ours() -> None:
            async for chunk in client.tts.stream("go", url=url, api_key="bench"):
                len(chunk)

        async def theirs() -> None:
            await raw.send('{"type":"text.delta","delta":"go"}')
            await raw.send('{"type":"text.done"}')
            await baselines.receive(raw, count)

        async def untyped() -> None:
            await raw.send('{"type":"text.delta","delta":"go"}')
            await raw.send('{"type":"text.done"}')
            for _ in range(count):
                event = orjson.loads(await raw.recv(decode=False))
                if event["type"] == "audio.delta":
                    pybase64.b64decode(event["delta"])

        ratio, raw_s = await _paired(theirs, ours)
        parsed, _ = await _paired(untyped, ours)
    return ratio, raw_s / count * 1e6, parsed


async def live(port: int) -> tuple[float, float, float, float]:
    """Share of a core of one real-time stream in percent, ours and raw, and the bytes of one, ours and raw."""
    ours, raw = [], []
    for _ in range(LIVE_ROUNDS):
        raw.append(await _live_raw(port))
        ours.append(await _live_streams(port))
    share = 100 / LIVE_S / STREAMS
    return (
        statistics.median(cpu for cpu, _ in ours) * share,
        statistics.median(cpu for cpu, _ in raw) * share,
        statistics.median(size for _, size in ours),
        statistics.median(size for _, size in raw),
    )


async def _live_raw(port: int) -> tuple[float, float]:
    async def open_one(stack: AsyncExitStack) -> Callable[[bytes], Awaitable[Any]]:
        socket = await stack.enter_async_context(_raw(port, "sink"))
        send: Callable[[bytes], Awaitable[Any]] = socket.send
        return send

    return await _all(open_one)


async def _live_streams(port: int) -> tuple[float, float]:
    async with AsyncClient(api_key="bench") as client:

        async def open_one(stack: AsyncExitStack) -> Callable[[bytes], Awaitable[Any]]:
            stream = await stack.enter_async_context(_stream(client, port))
            return stream.send

        return await _all(open_one)


async def _all(
    open_one: Callable[[AsyncExitStack], Awaitable[Callable[[bytes], Awaitable[Any]]]],
) -> tuple[float, float]:
    """CPU time of all streams together, and the bytes of one when open; the first open pays for what all share."""

    async def talk(send: Callable[[bytes], Awaitable[Any]]) -> None:
        due = asyncio.get_running_loop().time()
        for _ in range(LIVE_FRAMES):
            await send(STT_FRAME)
            due += 0.1
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async with AsyncExitStack() as stack:
        await open_one(stack)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        opened = [await open_one(stack) for _ in range(STREAMS)]
        gc.collect()
        size = (tracemalloc.get_traced_memory()[0] - before) / STREAMS
        tracemalloc.stop()
        start = time.process_time()
        await asyncio.gather(*map(talk, opened))
        return time.process_time() - start, size


def _stream(client: AsyncClient, port: int) -> SttStream:
    return client.stt.stream(url=f"ws://127.0.0.1:{port}/stt", api_key="bench", policy=POLICY)


def _raw(port: int, path: str) -> Any:
    url = f"ws://127.0.0.1:{port}/{path}"
    return websockets.asyncio.client.connect(url, compression=None, max_size=None, ping_interval=20)


async def _paired(theirs: Callable[[], Awaitable[None]], ours: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Median ratio of CPU times taken in turns, and the median time of the baseline in seconds."""
    await _cpu(theirs), await _cpu(ours)
    pairs = [(await _cpu(theirs), await _cpu(ours)) for _ in range(ROUNDS)]
    return statistics.median(mine / other for other, mine in pairs), statistics.median(other for other, _ in pairs)


async def _cpu(work: Callable[[], Awaitable[None]]) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
