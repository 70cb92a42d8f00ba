"""What virtual time refuses, and how a program that cannot go on ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest

from xai_realtime.errors import ConfigurationError, XaiRealtimeError
from xai_realtime.virtual_time import VirtualTimeError, anyio_backends, run_virtual, trio_clock

Backend = Literal["asyncio", "trio"]
Main = Callable[[], Coroutine[Any, Any, Any]]


async def wait_for_nothing() -> None:
    await anyio.sleep(12.5)
    await anyio.Event().wait()


async def wait_for_nothing_in_a_group() -> None:
    await anyio.sleep(12.5)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        tasks.start_soon(anyio.sleep_forever)


async def wait_for_nothing_behind_a_shield() -> None:
    with anyio.CancelScope(shield=True):
        await wait_for_nothing()


async def wait_for_what_never_is_due() -> None:
    await anyio.sleep(12.5)
    await anyio.sleep(float("inf"))


@pytest.mark.behaviour("virtual-idle")
@pytest.mark.parametrize(
    "main",
    [
        wait_for_nothing,
        wait_for_nothing_in_a_group,
        wait_for_nothing_behind_a_shield,
        wait_for_what_never_is_due,
    ],
)
def test_program_that_is_idle_for_good_is_an_error_that_says_who_waits(backend: Backend, main: Main) -> None:
    with pytest.raises(VirtualTimeError, match=r"stops at 12\.5 s: every task waits") as caught:
        run_virtual(main, backend=backend)
    assert (caught.value.cause, caught.value.at_s) == ("idle", 12.5)
    assert any("wait_for_" in entry and "(test_errors.py:" in entry for entry in caught.value.waiting)
    assert isinstance(caught.value, XaiRealtimeError)


def test_idle_error_shows_ten_tasks_and_counts_the_rest(backend: Backend) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for index in range(14):
                tasks.start_soon(anyio.sleep_forever, name=f"waiter-{index:02}")

    with pytest.raises(VirtualTimeError) as caught:
        run_virtual(main, backend=backend)
    assert len(caught.value.waiting) == 15
    assert str(caught.value).count("waiting:") == 10
    assert "and 5 more tasks" in str(caught.value)
    assert "waiter-03" in str(caught.value)


def test_cleanup_may_still_sleep_after_the_idle_error(backend: Backend) -> None:
    slept: list[float] = []

    async def main() -> None:
        try:
            await anyio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
                slept.append(anyio.current_time())

    with pytest.raises(VirtualTimeError):
        run_virtual(main, backend=backend)
    assert slept == [2.0]


@pytest.mark.behaviour("virtual-idle")
@pytest.mark.usefixtures("torn_down")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::RuntimeWarning")
def test_program_that_catches_the_error_and_waits_again_ends_all_the_same() -> None:
    async def main() -> None:
        while True:
            with suppress(VirtualTimeError):
                await anyio.Event().wait()

    with pytest.raises(VirtualTimeError, match="every task waits"):
        run_virtual(main, backend="trio")


def test_program_gets_the_error_on_trio_and_may_go_on() -> None:
    async def main() -> float:
        with pytest.raises(VirtualTimeError):
            await anyio.Event().wait()
        await anyio.sleep(1)
        return anyio.current_time()

    assert run_virtual(main, backend="trio") == 1.0


def test_error_of_the_program_beside_the_idle_error_is_not_hidden() -> None:
    async def failing() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("cleanup failed")

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(failing)

    with pytest.raises(BaseExceptionGroup) as caught:
        run_virtual(main, backend="trio")
    assert caught.value.split(ValueError)[0] is not None
    assert caught.value.split(VirtualTimeError)[0] is not None


def test_foreign_thread_may_wake_an_idle_loop_within_its_grace(backend: Backend) -> None:
    async def main() -> float:
        event = anyio.Event()
        token = anyio.lowlevel.current_token()

        def wake() -> None:
            anyio.from_thread.run_sync(event.set, token=token)

        thread = threading.Thread(target=wake)
        thread.start()
        await event.wait()
        await anyio.to_thread.run_sync(thread.join, 5)
        return anyio.current_time()

    assert run_virtual(main, backend=backend) == 0.0


async def listen() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        with anyio.fail_after(5):
            await listener.serve(None)  # type: ignore[arg-type]


async def read_a_pair() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        with anyio.fail_after(5):
            await anyio.wait_readable(left)


async def run_a_process() -> None:
    with anyio.fail_after(5):
        await anyio.run_process([sys.executable, "-c", "input()"], stdin=None)


@pytest.mark.behaviour("virtual-io")
@pytest.mark.parametrize("main", [listen, read_a_pair])
def test_wait_for_a_real_descriptor_is_refused_at_once(backend: Backend, main: Main) -> None:
    with pytest.raises(VirtualTimeError, match="no place in virtual time") as caught:
        run_virtual(main, backend=backend)
    assert (caught.value.cause, caught.value.at_s) == ("io", 0.0)


@pytest.mark.behaviour("virtual-io")
@pytest.mark.parametrize("name", ["create_connection", "create_server", "create_datagram_endpoint", "subprocess_exec"])
def test_asyncio_call_that_needs_a_descriptor_is_refused_where_it_is_made(name: str) -> None:
    async def main() -> bool:
        with pytest.raises(VirtualTimeError, match="no place in virtual time"):
            await getattr(asyncio.get_running_loop(), name)(asyncio.Protocol, "127.0.0.1", 9)
        return True

    assert run_virtual(main)


@pytest.mark.behaviour("virtual-io")
def test_subprocess_is_refused_on_asyncio() -> None:
    with pytest.raises(VirtualTimeError, match="no place in virtual time"):
        run_virtual(run_a_process)


@pytest.mark.behaviour("virtual-interrupt")
def test_interrupt_of_a_task_ends_the_run(backend: Backend) -> None:
    async def main() -> None:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep(3600)

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main, backend=backend)


@pytest.mark.behaviour("virtual-interrupt")
@pytest.mark.skipif(sys.platform == "win32", reason="signals a thread, which only POSIX can")
def test_interrupt_while_a_thread_holds_the_clock_ends_the_run(backend: Backend) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    ended = threading.Event()

    def interrupt() -> None:
        signal.pthread_kill(main_thread, signal.SIGINT)
        ended.wait(0.05)

    async def main() -> None:
        await anyio.to_thread.run_sync(interrupt)
        await anyio.sleep(3600)

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main, backend=backend)


def test_unknown_backend_is_a_configuration_error_that_names_those_allowed() -> None:
    with pytest.raises(ConfigurationError, match="backend is 'curio', allowed are 'asyncio', 'trio'"):
        run_virtual(wait_for_nothing, backend="curio")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="backend is 'curio'"):
        anyio_backends("curio")  # type: ignore[arg-type]


def test_missing_trio_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "xai_realtime.virtual_time._trio", raising=False)
    monkeypatch.setitem(sys.modules, "trio", None)
    with pytest.raises(ConfigurationError, match="needs the package `trio`"):
        trio_clock()
