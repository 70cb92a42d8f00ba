"""How the clock moves: exactly, from timer to timer, the same in every run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Literal

import anyio
import pytest
import trio
import trio.testing

from xai_realtime.timemark import time_is_virtual
from xai_realtime.virtual_time import loop_factory, run_virtual, trio_clock

Backend = Literal["asyncio", "trio"]


async def passing_time() -> float:
    return anyio.current_time()


async def marked() -> bool:
    return time_is_virtual()


async def sleeping(*delays_s: float) -> list[float]:
    """The times at which tasks that start together wake."""
    woken: list[float] = []

    async def sleep(delay_s: float) -> None:
        await anyio.sleep(delay_s)
        woken.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        for delay_s in delays_s:
            tasks.start_soon(sleep, delay_s)
    return woken


def test_clock_starts_at_zero_in_every_run(backend: Backend) -> None:
    run_virtual(anyio.sleep, 5, backend=backend)
    assert run_virtual(passing_time, backend=backend) == 0.0


@pytest.mark.behaviour("virtual-exact")
@pytest.mark.parametrize("delay_s", [1.0, 0.1, 1e-9, 3.3333333333333335, 86_400.0 * 365])
def test_sleep_lands_exactly_on_its_time(backend: Backend, delay_s: float) -> None:
    assert run_virtual(sleeping, delay_s, backend=backend) == [delay_s]


@pytest.mark.behaviour("virtual-exact")
def test_sleep_lands_exactly_on_its_time_when_others_wake_between(backend: Backend) -> None:
    delays_s = [index * 0.1 + 1.1 / (index + 3) for index in range(200)]
    assert run_virtual(sleeping, *delays_s, backend=backend) == sorted(delays_s)


@pytest.mark.behaviour("virtual-exact")
def test_timer_does_not_fire_early_when_another_is_due_within_a_nanosecond(backend: Backend) -> None:
    times_s = [1.0, math.nextafter(1.0, 2), 1.0 + 5e-10]
    assert run_virtual(sleeping, *times_s, backend=backend) == times_s


@pytest.mark.behaviour("virtual-fifo")
def test_equal_times_keep_their_order_on_asyncio() -> None:
    async def main() -> list[int]:
        order: list[int] = []
        loop = asyncio.get_running_loop()
        for index in range(500):
            loop.call_at(1.0 if index % 2 else 2.0, order.append, index)
        cancelled = loop.call_at(1.0, order.append, -1)
        cancelled.cancel()
        await asyncio.sleep(2.0)
        return order

    assert run_virtual(main) == [*range(1, 500, 2), *range(0, 500, 2)]


@pytest.mark.behaviour("virtual-deterministic")
def test_trace_is_the_same_in_a_hundred_runs_on_asyncio() -> None:
    async def main() -> list[tuple[float, int]]:
        trace: list[tuple[float, int]] = []

        async def tick(index: int) -> None:
            for _ in range(5):
                await anyio.sleep(0.5 if index % 2 else 0.25)
                trace.append((anyio.current_time(), index))

        async with anyio.create_task_group() as tasks:
            for index in range(6):
                tasks.start_soon(tick, index)
        return trace

    assert len({tuple(run_virtual(main)) for _ in range(100)}) == 1


@pytest.mark.behaviour("virtual-deterministic")
def test_times_are_the_same_in_a_hundred_runs(backend: Backend) -> None:
    delays_s = [0.1 * (index % 7) for index in range(20)]
    assert {tuple(run_virtual(sleeping, *delays_s, backend=backend)) for _ in range(100)} == {tuple(sorted(delays_s))}


def test_timeout_fires_at_its_deadline(backend: Backend) -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(30):
                await anyio.sleep_forever()
        return anyio.current_time()

    assert run_virtual(main, backend=backend) == 30.0


def test_timeout_does_not_fire_when_the_work_is_done_before(backend: Backend) -> None:
    async def main() -> float:
        with anyio.fail_after(30):
            await anyio.sleep(29.5)
        return anyio.current_time()

    assert run_virtual(main, backend=backend) == 29.5


def test_asyncio_timeout_and_wait_for_live_on_the_clock() -> None:
    async def main() -> list[float]:
        times_s = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(4)
        times_s.append(asyncio.get_running_loop().time())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(4), timeout=2)
        return [*times_s, asyncio.get_running_loop().time()]

    assert run_virtual(main) == [3.0, 5.0]


def test_all_ready_work_is_done_before_the_clock_moves(backend: Backend) -> None:
    async def main() -> list[float]:
        received: list[float] = []
        send, receive = anyio.create_memory_object_stream[int](0)

        async def reader() -> None:
            async with receive:
                async for _ in receive:
                    received.append(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            tasks.start_soon(anyio.sleep, 1e-6)
            async with send:
                for _ in range(200):
                    await send.send(1)
        return received

    assert run_virtual(main, backend=backend) == [0.0] * 200


@pytest.mark.behaviour("virtual-speed")
def test_a_minute_of_frames_and_a_year_of_sleep_pass_at_once(backend: Backend) -> None:
    async def main() -> tuple[int, float]:
        send, receive = anyio.create_memory_object_stream[int](0)

        async def frames() -> None:
            async with send:
                for index in range(600):
                    await anyio.sleep(0.125)
                    await send.send(index)

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(frames)
            count = len([frame async for frame in receive])
        elapsed_s = anyio.current_time()
        await anyio.sleep(365 * 86_400)
        return count, elapsed_s

    assert run_virtual(main, backend=backend) == (600, 75.0)


def test_sleep_without_end_is_no_timer_that_the_clock_jumps_to(backend: Backend) -> None:
    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, math.inf)
            await anyio.sleep(2)
            tasks.cancel_scope.cancel()
        return anyio.current_time()

    assert run_virtual(main, backend=backend) == 2.0


def test_waiting_until_all_tasks_are_blocked_works(backend: Backend) -> None:
    async def main() -> bool:
        started = anyio.Event()

        async def waiter() -> None:
            await anyio.lowlevel.checkpoint()
            started.set()
            await anyio.sleep(3600)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiter)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        return started.is_set() and anyio.current_time() < 1

    assert run_virtual(main, backend=backend)


def test_arguments_reach_main_and_its_error_comes_out(backend: Backend) -> None:
    async def main(left: int, right: int) -> int:
        return left // right

    assert run_virtual(main, 7, 2, backend=backend) == 3
    with pytest.raises(ZeroDivisionError):
        run_virtual(main, 1, 0, backend=backend)


def test_loop_factory_serves_an_asyncio_runner() -> None:
    async def main() -> tuple[float, bool]:
        await asyncio.sleep(10)
        return asyncio.get_running_loop().time(), time_is_virtual()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(main()) == (10.0, True)
        assert runner.run(main()) == (20.0, True)


def test_trio_clock_serves_run_after_run() -> None:
    async def main() -> tuple[float, bool]:
        await trio.sleep(10)
        return trio.current_time(), time_is_virtual()

    clock = trio_clock()
    assert trio.run(main, clock=clock) == (10.0, True)
    assert trio.run(main, clock=clock) == (10.0, True)


@pytest.mark.behaviour("virtual-mark")
def test_mark_says_that_time_is_virtual(backend: Backend) -> None:
    assert run_virtual(marked, backend=backend) is True


@pytest.mark.behaviour("virtual-mark")
@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(lambda: asyncio.run(marked()), False, id="asyncio"),
        pytest.param(lambda: trio.run(marked), False, id="trio"),
        pytest.param(lambda: trio.run(marked, clock=trio.testing.MockClock()), True, id="any-mock-clock"),
        pytest.param(time_is_virtual, False, id="outside"),
    ],
)
def test_mark_tells_a_real_clock_from_a_virtual_one(run: Callable[[], bool], expected: bool) -> None:
    assert run() is expected


def test_mark_needs_neither_loop_to_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "trio")
    monkeypatch.delitem(__import__("sys").modules, "asyncio")
    assert time_is_virtual() is False


def test_virtual_loop_inside_a_thread_does_not_mark_the_real_loop_outside() -> None:
    async def main() -> tuple[bool, bool]:
        return await asyncio.to_thread(run_virtual, marked), time_is_virtual()

    assert asyncio.run(main()) == (True, False)


def test_main_may_be_any_callable_that_gives_an_awaitable(backend: Backend) -> None:
    def main() -> Awaitable[float]:
        return passing_time()

    assert run_virtual(main, backend=backend) == 0.0
