"""`python -m benchmarks.sessions`: what a session costs beside its socket. In: nothing. Out: Markdown on stdout.

Ratios are of CPU time in this process against `websockets` receiving the same messages; the server is another process.
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

import websockets.asyncio.client

from benchmarks import baselines
from benchmarks.__main__ import served
from benchmarks.workload import messages
from xai_realtime import AsyncClient, AudioOutput, RealtimeSession, ResponseDone, SessionPolicy, SessionReady
from xai_realtime.events.realtime import ResponseOutputAudioDelta

__all__ = ["main"]

ROUNDS = 31
SOCKETS = 100
LIVE_SOCKETS = 200
LIVE_S = 4.0
LIVE_FRAMES = int(50 * LIVE_S)
LIVE_ROUNDS = 3
POLICY = SessionPolicy(playback="reported", reconnect=None)


def main() -> None:
    """Measure and print."""
    print("| measure | here | goal |\n|---|---|---|", flush=True)
    ratio, raw_us = served(receive)
    _row(
        "receive through `session`, audio in hand, CPU against websockets", f"{ratio:.2f} (raw {raw_us:.1f} us)", "2.0"
    )
    _row("memory of one `session()`, socket included", f"{served(memory) / 1000:.1f} kB", "36 kB")
    connection, session = served(live)
    live_row = f"{LIVE_SOCKETS} live sockets receiving 50 frames/s, CPU against websockets"
    _row(live_row, f"connection {connection:.2f}, session {session:.2f}", "1.10 (connection)")


def _row(measure: str, here: str, goal: str) -> None:
    print(f"| {measure} | {here} | <= {goal} |", flush=True)


async def receive(port: int) -> tuple[float, float]:
    """Ratio of receiving the workload as events of a session, and the baseline's microseconds a message."""
    count = len(messages())
    async with _raw(port, "feed") as raw, AsyncClient(api_key="bench") as client:
        async with _session(client, port, "talk") as session:

            async def ours() -> None:
                await session.send_text("go", respond=False)
                async for event in session:
                    if isinstance(event, AudioOutput):
                        event.audio  # noqa: B018
                    elif isinstance(event, ResponseDone):
                        break
                await session.played(ms=60_000)

            async def theirs() -> None:
                await raw.send("go")
                await baselines.receive(raw, count)

            await _cpu(theirs), await _cpu(ours)
            pairs = [(await _cpu(theirs), await _cpu(ours)) for _ in range(ROUNDS)]
    ratio = statistics.median(mine / other for other, mine in pairs)
    return ratio, statistics.median(other for other, _ in pairs) / count * 1e6


async def memory(port: int) -> float:
    """Bytes of one open session."""
    async with AsyncClient(api_key="bench") as client, AsyncExitStack() as stack:
        await _opened(stack, client, port)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(SOCKETS):
            await _opened(stack, client, port)
        await asyncio.sleep(0.1)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return used / SOCKETS


async def _opened(stack: AsyncExitStack, client: AsyncClient, port: int) -> None:
    """One more session, which has told that it is ready."""
    session = await stack.enter_async_context(_session(client, port, "talk"))
    async for event in session:
        if isinstance(event, SessionReady):
            break


async def live(port: int) -> tuple[float, float]:
    """Ratios of the CPU time that 200 sockets take in real time, typed and as sessions."""
    raw, typed, whole = [], [], []
    for _ in range(LIVE_ROUNDS):
        raw.append(await _live_raw(port))
        typed.append(await _live_typed(port))
        whole.append(await _live_sessions(port))
    base = statistics.median(raw)
    return statistics.median(typed) / base, statistics.median(whole) / base


async def _live_raw(port: int) -> float:
    async def read(socket: Any) -> None:
        await socket.send("go")
        await baselines.receive(socket, LIVE_FRAMES)

    async with AsyncExitStack() as stack:
        return await _all(read, [await stack.enter_async_context(_raw(port, "live")) for _ in range(LIVE_SOCKETS)])


async def _live_typed(port: int) -> float:
    async def read(connection: Any) -> None:
        await connection.send({"type": "go"})
        for _ in range(LIVE_FRAMES):
            event = await connection.receive()
            if isinstance(event, ResponseOutputAudioDelta):
                event.audio  # noqa: B018

    async with AsyncClient(api_key="bench") as client, AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{port}/live"
        opened = [client.realtime.connect(url=url, api_key="bench") for _ in range(LIVE_SOCKETS)]
        return await _all(read, [await stack.enter_async_context(connection) for connection in opened])


async def _live_sessions(port: int) -> float:
    async def read(session: RealtimeSession) -> None:
        await session.send_text("go", respond=False)
        left = LIVE_FRAMES
        async for event in session:
            if isinstance(event, AudioOutput):
                event.audio  # noqa: B018
                left -= 1
            if not left:
                break

    async with AsyncClient(api_key="bench") as client, AsyncExitStack() as stack:
        opened = [_session(client, port, "live-talk") for _ in range(LIVE_SOCKETS)]
        return await _all(read, [await stack.enter_async_context(session) for session in opened])


async def _all(work: Callable[[Any], Awaitable[None]], things: list[Any]) -> float:
    """The CPU time that it takes for all together, their handshakes not counted."""

    async def together() -> None:
        await asyncio.gather(*(work(thing) for thing in things))

    return await _cpu(together)


def _session(client: AsyncClient, port: int, path: str) -> RealtimeSession:
    return client.realtime.session(url=f"ws://127.0.0.1:{port}/{path}", api_key="bench", policy=POLICY)


def _raw(port: int, path: str) -> Any:
    url = f"ws://127.0.0.1:{port}/{path}"
    return websockets.asyncio.client.connect(url, compression=None, max_size=None, ping_interval=20)


async def _cpu(work: Callable[[], Awaitable[None]]) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
