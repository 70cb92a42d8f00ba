"""What is measured, a function a row of the table. In: a port of the loopback server. Out: ratios and figures.

Ratios are medians of paired rounds: baseline and library take turns within one process.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import websockets.asyncio.client

from benchmarks import baselines
from benchmarks.workload import MIC_FRAME, inline_tape, messages, tape
from xai_realtime import AsyncClient, Frame, load_cassette, run_virtual
from xai_realtime.codec import realtime_codec
from xai_realtime.events.realtime import ResponseOutputAudioDelta
from xai_realtime.player import play

__all__ = ["cassette", "imports", "memory", "parse", "receive", "replay", "send"]

ROUNDS = 61
SEND_FRAMES = 2_000
SOCKETS = 100


def parse() -> tuple[float, float]:
    """Ratios of parsing with audio in hand and with audio unread, CPU time."""
    rows = messages()
    decode = realtime_codec.decode

    def with_audio() -> None:
        for row in rows:
            event = decode(Frame(row))
            if isinstance(event, ResponseOutputAudioDelta):
                event.audio  # noqa: B018

    def unread() -> None:
        for row in rows:
            decode(Frame(row))

    def ratio(work: Callable[[], None]) -> float:
        return _paired(lambda: _cpu(lambda: baselines.parse(rows)), lambda: _cpu(work))

    return ratio(with_audio), ratio(unread)


async def receive(port: int) -> tuple[float, float]:
    """Ratio of receiving the workload typed, audio in hand, over loopback, CPU time of this process."""
    count = len(messages())
    async with _raw(port, "feed") as raw, AsyncClient(api_key="bench") as client:
        async with client.realtime.connect(url=f"ws://127.0.0.1:{port}/feed", api_key="bench") as connection:

            async def ours() -> None:
                await connection.send({"type": "go"})
                for _ in range(count):
                    event = await connection.receive()
                    if isinstance(event, ResponseOutputAudioDelta):
                        event.audio  # noqa: B018

            async def theirs() -> None:
                await raw.send("go")
                await baselines.receive(raw, count)

            return await _paired_async(theirs, ours, count)


async def send(port: int) -> tuple[float, float]:
    """Ratio of sending 20 ms microphone frames, CPU time of this process."""
    async with _raw(port, "sink") as raw, AsyncClient(api_key="bench") as client:
        async with client.realtime.connect(url=f"ws://127.0.0.1:{port}/sink", api_key="bench") as connection:

            async def ours() -> None:
                for _ in range(SEND_FRAMES):
                    await connection.send_audio(MIC_FRAME)

            return await _paired_async(lambda: baselines.append(raw, MIC_FRAME, SEND_FRAMES), ours, SEND_FRAMES)


async def memory(port: int) -> tuple[float, float]:
    """Bytes of one open socket: raw websockets, and ours."""

    async def raw() -> Any:
        manager = _raw(port, "idle")
        return manager, await manager.__aenter__()

    async with AsyncClient(api_key="bench") as client:

        async def ours() -> Any:
            manager = client.realtime.connect(url=f"ws://127.0.0.1:{port}/idle", api_key="bench")
            return manager, await manager.__aenter__()

        figures = []
        for opener in (raw, ours):
            warm, _ = await opener()
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            opened = [await opener() for _ in range(SOCKETS)]
            await asyncio.sleep(0.05)
            gc.collect()
            figures.append((tracemalloc.get_traced_memory()[0] - before) / SOCKETS)
            tracemalloc.stop()
            for manager, _ in reversed(opened):
                await manager.__aexit__(None, None, None)
            await warm.__aexit__(None, None, None)
    return figures[0], figures[1]


def imports(repeats: int = 9) -> dict[str, float]:
    """Milliseconds of a fresh interpreter doing one thing, best of several, in turns."""
    ready = (
        "from xai_realtime import AsyncClient, Frame\n"
        "from xai_realtime.codec import realtime_codec\n"
        "AsyncClient(api_key='x').realtime\n"
        'realtime_codec.decode(Frame(b\'{"type":"ping"}\'))'
    )
    programs = {
        "bare Python": "pass",
        "import pydantic": "import pydantic; pydantic.BaseModel",
        "import websockets": "import websockets; websockets.connect",
        "import httpx2": "import httpx2; httpx2.AsyncClient",
        "import xai_realtime": "import xai_realtime",
        "realtime client ready": ready,
    }
    best = dict.fromkeys(programs, float("inf"))
    for _ in range(repeats):
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            best[name] = min(best[name], (time.perf_counter() - start) * 1000)
    return best


def replay(repeats: int = 9) -> dict[str, float]:
    """Milliseconds of wall time to play the 60 s tape in virtual time, best of several, by backend."""
    with tempfile.TemporaryDirectory() as folder:
        cassette = load_cassette(tape(Path(folder), messages()))
        return {backend: _best(partial(_play, cassette, backend), repeats) for backend in ("asyncio", "trio")}


def cassette(repeats: int = 15) -> dict[str, float]:
    """Milliseconds to load the 60 s tape (and to have every frame with its audio), and its text against inline text."""
    with tempfile.TemporaryDirectory() as folder:
        rows = messages()
        path, inline = tape(Path(folder), rows), inline_tape(Path(folder), rows)

        def whole() -> None:
            loaded = load_cassette(path)
            for record in loaded.connections[1].frames:
                loaded.frame(record)

        return {
            "load_ms": _best(lambda: load_cassette(path), repeats),
            "load_and_frames_ms": _best(whole, repeats),
            "inline_ms": _best(lambda: baselines.load_lines(str(inline)), repeats),
            "text_share": path.stat().st_size / inline.stat().st_size,
        }


def _play(cassette: Any, backend: Any) -> None:
    async def main() -> None:
        await play(cassette, clock="virtual")

    run_virtual(main, backend=backend)


def _raw(port: int, path: str) -> Any:
    return websockets.asyncio.client.connect(
        f"ws://127.0.0.1:{port}/{path}", compression=None, max_size=None, ping_interval=20
    )


def _cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _best(work: Callable[[], object], repeats: int) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, (time.perf_counter() - start) * 1000)
    return best


def _paired(baseline: Callable[[], float], ours: Callable[[], float]) -> float:
    baseline(), ours()
    return statistics.median(ours() / baseline() for _ in range(ROUNDS))


async def _paired_async(
    baseline: Callable[[], Awaitable[None]], ours: Callable[[], Awaitable[None]], messages_a_round: int
) -> tuple[float, float]:
    """Median ratio over the paired rounds, and the baseline's microseconds a message: how busy the line was."""

    async def cpu(work: Callable[[], Awaitable[None]]) -> float:
        start = time.process_time()
        await work()
        return time.process_time() - start

    await cpu(baseline), await cpu(ours)
    pairs = [(await cpu(baseline), await cpu(ours)) for _ in range(ROUNDS)]
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    return ratio, statistics.median(theirs for theirs, _ in pairs) / messages_a_round * 1e6
