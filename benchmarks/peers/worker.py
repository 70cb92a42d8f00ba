"""What every worker shares: the baseline and one client take turns in one process.

In: on the command line a measure, the folder of the workload, the port of `benchmarks.server`, the number of rounds.
Out: one line of JSON, the CPU seconds of both sides round by round. Imports: orjson, pybase64 and websockets of the
environment it runs in, and nothing of this project but the baselines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websockets.asyncio.client

from benchmarks import baselines

__all__ = [
    "SEND_FRAMES",
    "Job",
    "Measure",
    "Sides",
    "main",
    "parsing",
    "raw_append",
    "raw_chat",
    "raw_receive",
    "raw_socket",
]

SEND_FRAMES = 2_000
RUN_S = 240
Round = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Job:
    """What a measure works on: the server's messages, one microphone frame, the loopback server's port."""

    rows: list[bytes]
    frame: bytes
    port: int


@dataclass(frozen=True)
class Sides:
    """One round of the baseline, one of the client, and how many messages each handles."""

    baseline: Round
    client: Round
    messages: int


Measure = Callable[[Job], AbstractAsyncContextManager[Sides]]


def main(measures: Mapping[str, Measure]) -> None:
    """Run the measure named on the command line and print its rounds."""
    name, folder, port, rounds = sys.argv[1:]
    # What a client logs or not is a setting; no side pays for it here.
    logging.disable(logging.CRITICAL)
    rows = Path(folder, "messages.jsonl").read_bytes().splitlines()
    job = Job(rows, Path(folder, "frame.pcm").read_bytes(), int(port))
    print(json.dumps(asyncio.run(asyncio.wait_for(_measured(measures[name], job, int(rounds)), RUN_S))))


async def _measured(measure: Measure, job: Job, rounds: int) -> dict[str, Any]:
    async with measure(job) as sides:
        await sides.baseline()
        await sides.client()
        pairs = [(await _cpu_s(sides.baseline), await _cpu_s(sides.client)) for _ in range(rounds)]
    return {"messages": sides.messages, "pairs": pairs}


async def _cpu_s(work: Round) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


def parsing(rows: list[bytes]) -> Round:
    """The baseline of both parsing measures."""

    async def baseline() -> None:
        baselines.parse(rows)

    return baseline


def raw_socket(port: int, path: str) -> Any:
    """The websockets of this environment, as it is."""
    return websockets.asyncio.client.connect(
        f"ws://127.0.0.1:{port}/{path}", compression=None, max_size=None, ping_interval=20
    )


def raw_receive(socket: Any, count: int) -> Round:
    """The baseline of receiving."""

    async def baseline() -> None:
        await socket.send("go")
        await baselines.receive(socket, count)

    return baseline


def raw_chat(client: Any, url: str) -> Round:
    """The baseline of a streamed answer."""

    async def baseline() -> None:
        await baselines.chat_stream(client, url)

    return baseline


def raw_append(socket: Any, frame: bytes) -> Round:
    """The baseline of sending."""

    async def baseline() -> None:
        await baselines.append(socket, frame, SEND_FRAMES)

    return baseline
