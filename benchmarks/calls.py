"""`python -m benchmarks.calls`: how many real-time calls one emulator carries. In: nothing. Out: Markdown on stdout.

The emulator runs in a process of its own and speaks at real pace; this process holds N calls at once, each sending
fifty microphone frames a second while it listens to one long spoken answer. A delta is late by how much it comes after
its time, counted from the first delta of its answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import orjson
import websockets.asyncio.client

from benchmarks.workload import MIC_FRAME
from xai_realtime import AsyncClient, run_virtual
from xai_realtime.codec import audio_append_text
from xai_realtime.emulator import Emulator, Turn
from xai_realtime.events import realtime as events

__all__ = ["main"]

CALLS = (50, 100, 150, 200)
ANSWER = "What goes up must come down, and what comes down has been up before. " * 3
LISTEN_S = 10.0
HOUR_S = 3600.0


def main() -> None:
    """Measure and print."""
    print("| calls at once | late, p50 | late, p99 | late, max | server CPU | memory a call |")
    print("|---|---|---|---|---|---|")
    for calls in CALLS:
        with _emulator() as (process, port):
            before, memory_before = _cpu_s(process.pid), _memory_bytes(process.pid)
            start = time.perf_counter()
            late = asyncio.run(_hold(port, calls))
            cores = (_cpu_s(process.pid) - before) / (time.perf_counter() - start)
            memory = (_memory_bytes(process.pid) - memory_before) / calls
        ordered = sorted(late)
        p99 = ordered[int(len(ordered) * 0.99)]
        print(
            f"| {calls} | {statistics.median(ordered):.0f} ms | {p99:.0f} ms | {ordered[-1]:.0f} ms "
            f"| {cores:.2f} cores | {memory / 1e6:.2f} MB |",
            flush=True,
        )
    for backend in ("asyncio", "trio"):
        start = time.perf_counter()
        turns = run_virtual(_hour, backend=backend)
        print(f"\nAn hour of conversation in process, {turns} turns, {backend}: {time.perf_counter() - start:.1f} s")


class _emulator:
    """A running emulator: its process and its port."""

    def __enter__(self) -> tuple[subprocess.Popen[str], int]:
        scenario = Path(__file__).parent / "long_answer.toml"
        command = [sys.executable, "-m", "xai_realtime", "emulate", "--port", "0", "--scenario", str(scenario)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise RuntimeError("the emulator has no output")
        for line in self._process.stdout:
            found = re.search(r"ws://[^:/]+:(\d+)/", line)
            if found:
                return self._process, int(found[1])
        raise RuntimeError("the emulator said no address")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(15)
        if self._process.stdout is not None:
            self._process.stdout.close()


async def _hold(port: int, calls: int) -> list[float]:
    late: list[float] = []
    await asyncio.gather(*(_call(port, index, calls, late) for index in range(calls)))
    return late


async def _call(port: int, index: int, calls: int, late: list[float]) -> None:
    await asyncio.sleep(index / calls)  # people do not all call in the same millisecond
    address = f"ws://127.0.0.1:{port}/v1/realtime"
    headers = {"Authorization": "Bearer bench"}
    async with websockets.asyncio.client.connect(address, additional_headers=headers, compression=None) as socket:
        session = {"type": "session.update", "session": {"turn_detection": {"type": None}}}
        question = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tell me."}]}
        for event in (session, {"type": "conversation.item.create", "item": question}, {"type": "response.create"}):
            await socket.send(orjson.dumps(event), text=True)
        talking = asyncio.create_task(_talk(socket))
        try:
            await asyncio.wait_for(_listen(socket, late), LISTEN_S + 10)
        finally:
            talking.cancel()


async def _talk(socket: Any) -> None:
    frame = audio_append_text(MIC_FRAME)
    due = time.perf_counter()
    while True:
        await socket.send(frame, text=True)
        due += 0.02
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


async def _listen(socket: Any, late: list[float]) -> None:
    first = 0.0
    count = 0
    async for message in socket:
        if '"response.output_audio.delta"' not in message:
            continue
        now = time.perf_counter()
        first = first or now
        late.append(max(0.0, (now - first) * 1000 - 100 * count))
        count += 1
        if now - first >= LISTEN_S:
            return


async def _hour() -> int:
    """Text turns, each with a long spoken answer, until the clock says an hour."""
    turns = 0
    emulator = Emulator(lambda prompt: Turn(say=ANSWER), seed=1, max_duration_s=HOUR_S * 2)
    async with AsyncClient(transport=emulator.transport()) as client, client.realtime.connect() as connection:
        while anyio.current_time() < HOUR_S:
            question = events.MessageItem(role="user", content=[events.InputTextPart(text="Tell me.")])
            await connection.send(events.ConversationItemCreate(item=question))
            await connection.send(events.ResponseCreate())
            async for event in connection:
                if isinstance(event, events.ResponseDone):
                    break
            turns += 1
    return turns


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
