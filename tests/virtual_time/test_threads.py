"""Worker threads hold the clock, and one that cannot finish ends in an error."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import trio

from xai_realtime.virtual_time import VirtualTimeError, run_virtual

Backend = Literal["asyncio", "trio"]
Way = Callable[[Callable[[], None]], Awaitable[Any]]


def work() -> None:
    time.sleep(0.03)


async def times_around(way: Way) -> list[tuple[str, float]]:
    """What happens first: the end of a thread's work, or a timer that is due long before in wall time."""
    seen: list[tuple[str, float]] = []

    async def timer() -> None:
        await anyio.sleep(0.001)
        seen.append(("timer", anyio.current_time()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(timer)
        await way(work)
        seen.append(("thread", anyio.current_time()))
    return seen


def in_pool(function: Callable[[], None]) -> Awaitable[None]:
    async def wait() -> None:
        with ThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, function)

    return wait()


WAYS: list[Any] = [
    pytest.param("asyncio", anyio.to_thread.run_sync, id="asyncio-anyio"),
    pytest.param("asyncio", lambda f: anyio.to_thread.run_sync(f, limiter=anyio.CapacityLimiter(1)), id="asyncio-own"),
    pytest.param("asyncio", lambda f: anyio.to_thread.run_sync(f, abandon_on_cancel=True), id="asyncio-abandonable"),
    pytest.param("asyncio", asyncio.to_thread, id="asyncio-to_thread"),
    pytest.param("asyncio", lambda f: asyncio.get_running_loop().run_in_executor(None, f), id="asyncio-executor"),
    pytest.param("asyncio", in_pool, id="asyncio-pool"),
    pytest.param("trio", anyio.to_thread.run_sync, id="trio-anyio"),
    pytest.param("trio", lambda f: anyio.to_thread.run_sync(f, limiter=anyio.CapacityLimiter(1)), id="trio-own"),
    pytest.param("trio", lambda f: anyio.to_thread.run_sync(f, abandon_on_cancel=True), id="trio-abandonable"),
    pytest.param("trio", trio.to_thread.run_sync, id="trio-to_thread"),
]


@pytest.mark.behaviour("virtual-threads")
@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_thread_in_flight_holds_the_clock(backend: Backend, way: Way) -> None:
    assert run_virtual(times_around, way, backend=backend) == [("thread", 0.0), ("timer", 0.001)]


def test_clock_goes_on_after_threads_that_came_and_went(backend: Backend) -> None:
    async def main() -> float:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(anyio.to_thread.run_sync, work)
        await anyio.sleep(7)
        await anyio.to_thread.run_sync(work)
        await anyio.sleep(1)
        return anyio.current_time()

    assert run_virtual(main, backend=backend) == 8.0


def test_clock_goes_on_after_a_thread_that_was_given_up(backend: Backend) -> None:
    async def main() -> float:
        begun = threading.Event()

        def begin() -> None:
            begun.set()
            work()

        async with anyio.create_task_group() as tasks:

            async def give_up() -> None:
                assert await anyio.to_thread.run_sync(begun.wait, 5)
                tasks.cancel_scope.cancel()

            tasks.start_soon(give_up)
            await anyio.to_thread.run_sync(begin, abandon_on_cancel=True)
        await anyio.sleep(1)
        return anyio.current_time()

    assert run_virtual(main, backend=backend) == 1.0


def test_thread_may_call_into_the_loop_as_long_as_that_needs_no_time(backend: Backend) -> None:
    async def now() -> float:
        await anyio.lowlevel.checkpoint()
        return anyio.current_time()

    async def main() -> list[float]:
        await anyio.sleep(3)

        def call() -> list[float]:
            return [anyio.from_thread.run(now), anyio.from_thread.run_sync(anyio.current_time)]

        return await anyio.to_thread.run_sync(call)

    assert run_virtual(main, backend=backend) == [3.0, 3.0]


@pytest.mark.behaviour("virtual-thread-waits")
def test_thread_that_waits_on_the_loop_for_time_is_an_error(backend: Backend) -> None:
    async def wait_in_a_thread() -> None:
        await anyio.to_thread.run_sync(anyio.from_thread.run, anyio.sleep, 1)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_in_a_thread)

    with pytest.raises(VirtualTimeError, match=r"waits for the event loop \(from_thread\.run\)") as caught:
        run_virtual(main, backend=backend)
    assert caught.value.cause == "thread_waits"
    assert any("wait_in_a_thread" in entry for entry in caught.value.waiting)


@pytest.mark.behaviour("virtual-thread-limit")
@pytest.mark.parametrize("timer", [False, True])
@pytest.mark.usefixtures("torn_down")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning")
def test_thread_over_its_limit_is_an_error(backend: Backend, timer: bool) -> None:
    stop = threading.Event()

    async def main() -> None:
        with anyio.move_on_after(10 if timer else None):
            await anyio.to_thread.run_sync(stop.wait)

    try:
        with pytest.raises(VirtualTimeError, match="does not finish") as caught:
            run_virtual(main, backend=backend, thread_limit_s=0.1)
        assert (caught.value.cause, caught.value.at_s) == ("thread", 0.0)
    finally:
        stop.set()


@pytest.mark.usefixtures("torn_down")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning")
def test_thread_is_told_that_the_run_is_over_when_trio_was_broken_off() -> None:
    stop = threading.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def main() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        await trio.to_thread.run_sync(stop.wait)

    try:
        with pytest.raises(VirtualTimeError):
            run_virtual(main, backend="trio", thread_limit_s=0.1)
        with pytest.raises(trio.RunFinishedError):
            tokens[0].run_sync_soon(stop.set)
    finally:
        stop.set()


def test_thread_given_up_by_the_loop_ends_with_its_work() -> None:
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def block() -> None:
        threads.append(threading.current_thread())
        stop.wait()

    async def main() -> None:
        await anyio.to_thread.run_sync(block)

    try:
        with pytest.raises(VirtualTimeError):
            run_virtual(main, thread_limit_s=0.1)
    finally:
        stop.set()
    threads[0].join(5)
    assert not threads[0].is_alive()
