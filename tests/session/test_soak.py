"""Many sessions one after the other leave nothing behind: no memory, no tasks, no sockets."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path

import anyio
import pytest

from tests.session.driving import BACKENDS, run, talking
from xai_realtime import ResponseDone, SpeechStopped
from xai_realtime.emulator import Emulator

MIB = 1024 * 1024
STATM = Path("/proc/self/statm")
WARM_UP = 20
FULL_CACHES = 1_500
"""Sessions after which the parser's cache of strings is full, which keeps the ids of the last few thousand."""


async def one_talk(emulator: Emulator) -> None:
    async with talking(emulator=emulator) as talk:
        await talk.session.send_text("hello")
        await talk.next(ResponseDone)
        await talk.next(SpeechStopped, who="agent")


async def growth_bytes(sessions: int) -> int:
    """What so many sessions leave in memory, once those before them have warmed everything up."""
    emulator = Emulator(lambda prompt: "Hello there", seed=1)
    tasks = len(anyio.get_running_tasks())
    for _ in range(WARM_UP):
        await one_talk(emulator)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(sessions):
        await one_talk(emulator)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(anyio.get_running_tasks()) == tasks
    return grown


@BACKENDS
def test_sessions_leave_no_memory_and_no_tasks_behind(backend: str) -> None:
    assert run(lambda: growth_bytes(20), backend) < MIB


async def resident_growth_bytes(sessions: int) -> int:
    """What so many sessions add to the process, once the parser's cache of strings is full."""
    emulator = Emulator(lambda prompt: "Hello there", seed=1)
    tasks = len(anyio.get_running_tasks())
    for _ in range(FULL_CACHES):
        await one_talk(emulator)
    gc.collect()
    before = resident_bytes()
    for _ in range(sessions):
        await one_talk(emulator)
    gc.collect()
    assert len(anyio.get_running_tasks()) == tasks
    return resident_bytes() - before


def resident_bytes() -> int:
    if not STATM.is_file():
        pytest.skip("the memory of this process cannot be read here")
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@BACKENDS
def test_ten_thousand_sessions_leave_no_memory_and_no_tasks_behind(backend: str) -> None:
    assert run(lambda: resident_growth_bytes(10_000), backend) < MIB


@pytest.mark.anyio
async def test_sessions_over_sockets_leave_no_socket_behind(live_backend: str) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open files cannot be counted here")
    with anyio.fail_after(30):
        async with Emulator(pace="instant") as emulator, emulator.client() as client:
            opened = 0
            for number in range(12):
                async with client.realtime.session() as session:
                    await session.send_text("hello")
                    async for event in session:
                        if isinstance(event, ResponseDone):
                            break
                if number == 1:
                    opened = await settled_count(descriptors, None)
            assert await settled_count(descriptors, opened) <= opened


async def settled_count(descriptors: Path, wanted: int | None) -> int:
    """How many files are open, once the server's side has had its time to close."""
    count = len(os.listdir(descriptors))
    for _ in range(100):
        await anyio.wait_all_tasks_blocked()
        fewer = len(os.listdir(descriptors))
        if fewer >= count and (wanted is None or fewer <= wanted):
            break
        count = min(count, fewer)
        await anyio.lowlevel.checkpoint()
    return len(os.listdir(descriptors))
