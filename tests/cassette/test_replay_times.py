"""A tape as a Transport: the recorded times, in virtual and in real time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.tapes import (
    BACKENDS,
    COMMITTED,
    REQUEST,
    Close,
    In,
    Open,
    Out,
    event,
    make_tape,
    message,
    on,
    talk,
)
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.errors import (
    ConfigurationError,
)
from xai_realtime.player import play
from xai_realtime.transport.base import Channel

# Time.


def timed(folder: Path) -> Cassette:
    times = [0.001, 500, 999.999, 1000, 1000, 1000, 1000.001, 1000.5, 2000]
    return make_tape(folder / "t.jsonl", Open(at_ms=0), *(In(event(str(at)), at_ms=at) for at in times))


@BACKENDS
@pytest.mark.behaviour("replay-a-second-is-a-second")
@pytest.mark.parametrize("zero_s", [0.0, 0.1, 12345.678901])
def test_task_that_sleeps_a_second_sees_exactly_the_frames_of_that_second(
    tmp_path: Path, backend: Any, zero_s: float
) -> None:
    tape = timed(tmp_path)

    async def main() -> list[float | None]:
        await anyio.sleep(zero_s)
        seen: list[float | None] = []

        async def read(channel: Channel) -> None:
            for _ in range(9):
                seen.append((await channel.receive()).at_ms)

        async with replay(tape, clock="virtual") as transport, transport.open(REQUEST) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(read, channel)
                await anyio.sleep(1.0)
                at_one = [*seen]
        assert anyio.current_time() == pytest.approx(zero_s + 2.0, abs=1e-6)
        return at_one

    for _ in range(5):
        assert on(backend, main) == [0.001, 500, 999.999, 1000, 1000, 1000]


@BACKENDS
@pytest.mark.behaviour("replay-a-second-is-a-second")
def test_task_that_sleeps_a_second_sees_the_answers_to_sends_of_that_very_time(tmp_path: Path, backend: Any) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(at_ms=0),
        In(event("a"), at_ms=1000),
        Out(event("1"), at_ms=1000),
        In(event("b"), at_ms=1000),
        Out(event("2"), at_ms=1000),
        In(event("c"), at_ms=1000),
        In(event("d"), at_ms=1000.001),
        Close(at_ms=1100),
    )

    async def main() -> list[str]:
        seen: list[str] = []
        at_one: list[str] = []

        async def user() -> None:
            await anyio.sleep(1.0)
            at_one.extend(seen)

        async with anyio.create_task_group() as group:
            group.start_soon(user)
            await play(
                tape, clock="virtual", observer=lambda moment: seen.append(json.loads(moment.frame.data)["type"])
            )
        return at_one

    for _ in range(10):
        assert on(backend, main) == ["a", "1", "b", "2", "c"]


@BACKENDS
@pytest.mark.behaviour("replay-a-second-is-a-second")
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_tape_keeps_its_times_in_virtual_time(path: Path, backend: Any) -> None:
    tape = load_cassette(path)
    start_ms = next(iter(tape.connections.values())).open.at_ms
    times = [record.at_ms for taped in tape.connections.values() for record in taped.frames if record.direction == "in"]

    async def main() -> tuple[list[float], list[float]]:
        seen: list[float] = []
        at_one: list[float] = []

        async def user() -> None:
            await anyio.sleep(1.0)
            at_one.extend(seen)

        async with anyio.create_task_group() as group:
            group.start_soon(user)
            await play(
                tape,
                clock="virtual",
                observer=lambda moment: seen.append(moment.at_ms) if moment.direction == "in" else None,
            )
        return at_one, seen

    at_one, seen = on(backend, main)
    assert at_one == [at for at in times if at <= start_ms + 1000]
    assert seen == times


@BACKENDS
@pytest.mark.behaviour("replay-slow-tool-shifts-the-rest")
@pytest.mark.parametrize(
    ("sends_at_s", "due_s"),
    [(1.0, [0.5, 1.2, 1.5, 3.0]), (2.5, [0.5, 2.7, 3.0, 4.5]), (0.6, [0.5, 0.8, 1.1, 2.6])],
)
def test_gap_counts_from_the_later_of_the_frame_before_and_the_send_that_gated(
    tmp_path: Path, backend: Any, sends_at_s: float, due_s: list[float]
) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(at_ms=0),
        In(event("call"), at_ms=500),
        Out(event("output"), at_ms=1000),
        *(In(event("a"), at_ms=at) for at in (1200, 1500, 3000)),
    )

    async def main() -> list[float]:
        times: list[float] = []

        async def read(channel: Channel) -> None:
            for _ in due_s:
                await channel.receive()
                times.append(round(anyio.current_time(), 6))

        async with replay(tape, clock="virtual") as transport, transport.open(REQUEST) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(read, channel)
                await anyio.sleep(sends_at_s)
                await channel.send(message(event("output")))
        return times

    assert on(backend, main) == pytest.approx(due_s, abs=1e-5)


@BACKENDS
def test_frame_before_a_fast_send_keeps_the_frames_after_it_back(tmp_path: Path, backend: Any) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(at_ms=0),
        Out(event("1"), at_ms=100),
        In(event("a"), at_ms=1000),
        Out(event("2"), at_ms=1500),
        In(event("b"), at_ms=1600),
    )

    async def main() -> list[float]:
        async with replay(tape, clock="virtual") as transport, transport.open(REQUEST) as channel:
            await channel.send(message(event("1")))
            await channel.receive()
            first = anyio.current_time()
            await channel.send(message(event("2")))
            await channel.receive()
            return [first, anyio.current_time()]

    # "a" came 900 ms after "1"; "b" came 100 ms after "2", which was sent at once.
    assert on(backend, main) == pytest.approx([0.9, 1.0], abs=1e-5)


@pytest.mark.anyio
@pytest.mark.parametrize(("scale", "least_s"), [(1.0, 0.03), (0.5, 0.015), (2.0, 0.06)])
async def test_real_clock_keeps_the_recorded_gaps_scaled(tmp_path: Path, scale: float, least_s: float) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open(at_ms=0), *(In(event("a"), at_ms=at) for at in (10, 20, 30)))
    with anyio.fail_after(5):
        async with replay(tape, clock="real", scale=scale) as transport, transport.open(REQUEST) as channel:
            start = time.monotonic()
            for _ in range(3):
                await channel.receive()
            assert time.monotonic() - start >= least_s - 0.002


@pytest.mark.anyio
async def test_instant_clock_waits_for_nothing_and_frames_keep_their_times(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open(at_ms=0), *(In(event("a"), at_ms=at) for at in (1e6, 2e6, 3e9)))
    with anyio.fail_after(5):
        async with replay(tape) as transport, transport.open(REQUEST) as channel:
            frames = [await channel.receive() for _ in range(3)]
    assert [frame.at_ms for frame in frames] == [1e6, 2e6, 3e9]


@pytest.mark.anyio
async def test_virtual_clock_is_refused_on_a_real_loop(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run_virtual"):
        async with replay(talk(tmp_path), clock="virtual").open(REQUEST):
            raise AssertionError("opened")


@BACKENDS
@pytest.mark.behaviour("replay-thread-holds-the-time")
def test_sync_function_in_a_thread_holds_the_time_of_a_replay(tmp_path: Path, backend: Any) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(at_ms=0),
        In(event("call"), at_ms=500),
        Out(event("output"), at_ms=500),
        In(event("a"), at_ms=600),
    )

    async def main() -> list[float]:
        async def clockwork() -> None:
            for _ in range(1000):
                await anyio.sleep(0.01)

        async with replay(tape, clock="virtual") as transport, transport.open(REQUEST) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(clockwork)
                await channel.receive()
                before = anyio.current_time()
                await anyio.to_thread.run_sync(time.sleep, 0.05)
                after = anyio.current_time()
                await channel.send(message(event("output")))
                await channel.receive()
                group.cancel_scope.cancel()
        return [before, after, anyio.current_time()]

    assert on(backend, main) == pytest.approx([0.5, 0.5, 0.6], abs=1e-5)
