"""An event loop in a thread of its own, for callers that wait in other threads. In: async work. Out: what came of it.

Imports: rooms 0-5, anyio, threads. One such thread serves the whole process, for as long as anything is open.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import wraps
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

import anyio
from anyio import from_thread, to_thread

from xai_realtime.errors import ClosedByUsError, ConfigurationError, TransportTimeoutError
from xai_realtime.timemark import time_is_virtual

__all__ = ["Front", "Held", "borrowed", "check_thread", "in_thread", "verb", "within"]

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
G = TypeVar("G")

STOP_WAIT_S: Final = 5.0
"""The longest that the end of the thread is waited for; it is a daemon, and holds up no exit of the process."""


class LoopThread:
    """An event loop in a thread of its own, into which other threads call."""

    def __init__(self) -> None:
        self._portal: Future[from_thread.BlockingPortal] = Future()
        self._pending: set[Future[Any]] = set()
        self._has_ended = False
        self._thread = Thread(target=self._work, name="xai_realtime.Client", daemon=True)
        self._thread.start()
        self._portal.result()
        self.users = 0

    def _work(self) -> None:
        try:
            anyio.run(self._serve, backend="asyncio")
        except BaseException as error:
            if self._portal.done():
                raise
            self._portal.set_exception(error)
        finally:
            # Tasks that had not begun when the loop stopped resolve nothing, and somebody waits for them.
            self._has_ended = True
            for future in list(self._pending):
                future.cancel()

    async def _serve(self) -> None:
        async with from_thread.BlockingPortal() as portal:
            self._portal.set_result(portal)
            await portal.sleep_until_stopped()

    @property
    def is_alive(self) -> bool:
        """Can it be called? Not after its end, nor in a process forked off from the one that started it."""
        return self._thread.is_alive()

    def start(self, work: Callable[[], Awaitable[R]]) -> Future[R]:
        """Run `work` there. Cancelling what comes back cancels it. Raises ClosedByUsError when the loop is gone."""
        if not self.is_alive:
            raise _gone()
        try:
            future = self._portal.result().start_task_soon(work)
        except RuntimeError:
            raise _gone() from None
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        if self._has_ended:
            future.cancel()
        return future

    def call(self, work: Callable[[], Awaitable[R]]) -> R:
        """Run `work` there and wait for it; an exception in the meantime, such as Ctrl-C, cancels it."""
        check_thread()
        return wait_for(self.start(work))

    async def _stop(self) -> None:
        await self._portal.result().stop(cancel_remaining=True)

    def stop(self) -> None:
        """Cancel all that is left, and wait for the end within bounds."""
        try:
            self.start(self._stop)
        except ClosedByUsError:
            return
        self._thread.join(STOP_WAIT_S)


_lock = Lock()
_thread: LoopThread | None = None


def acquire() -> LoopThread:
    """The thread of the process, started when there is none. To be released."""
    global _thread
    check_thread()
    check_host()
    with _lock:
        if _thread is None or not _thread.is_alive:
            _thread = LoopThread()
        _thread.users += 1
        return _thread


def release(thread: LoopThread) -> None:
    """Give it back; the last one stops it."""
    global _thread
    with _lock:
        thread.users -= 1
        if thread.users == 0:
            _thread = None if _thread is thread else _thread
            thread.stop()


@contextmanager
def borrowed() -> Iterator[LoopThread]:
    """The thread for a moment."""
    thread = acquire()
    try:
        yield thread
    finally:
        release(thread)


def stop_at_exit() -> None:
    """Close what the program left open, before the interpreter takes its threads away."""
    if _thread is not None:
        _thread.stop()


def forget_thread() -> None:
    """In a forked process there is no such thread, and nobody holds the lock."""
    global _thread, _lock
    _thread, _lock = None, Lock()


atexit.register(stop_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_thread)


def check_thread() -> None:
    """Raise ConfigurationError where waiting would stop an event loop."""
    if time_is_virtual():
        raise _virtual()
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    in_trio = trio is not None and trio.lowlevel.in_trio_task()
    if in_trio or (asyncio is not None and asyncio._get_running_loop() is not None):
        raise ConfigurationError(
            "Client would block the event loop that runs in this thread: use AsyncClient there, or call Client from a "
            "worker thread (anyio.to_thread.run_sync)"
        )


def check_host() -> None:
    """Raise ConfigurationError in a worker thread of a program in virtual time."""
    try:
        is_virtual = from_thread.run_sync(time_is_virtual)
    except RuntimeError:  # no worker thread, or one that outlived its event loop
        return
    if is_virtual:
        raise _virtual()


def _virtual() -> ConfigurationError:
    return ConfigurationError("Client waits for the real clock and has no place in virtual time: use AsyncClient there")


def _gone() -> ClosedByUsError:
    return ClosedByUsError(1000, "the thread of the client has ended")


def wait_for(future: Future[R]) -> R:
    """What comes of it; an exception in the meantime, such as Ctrl-C, cancels it."""
    try:
        return future.result()
    except CancelledError:
        raise _gone() from None
    except BaseException:
        future.cancel()
        raise


class Stopped(Exception):
    """Stands for Ctrl-C and its like in the event loop, which the real one would end for everybody."""


class Held(Generic[A]):
    """An async context manager that is entered and left here, by one task over there, as task groups want it."""

    def __init__(self, manager: AbstractAsyncContextManager[A, bool | None]) -> None:
        self._manager = manager
        self._thread: LoopThread | None = None
        self._was_entered = False
        self._entered: Future[A] = Future()
        self._task: Future[bool | None] | None = None
        self._leave = anyio.Event()
        self._why: tuple[type[BaseException] | None, BaseException | None, TracebackType | None] = (None, None, None)

    @property
    def was_entered(self) -> bool:
        """Is it open, or has it been?"""
        return self._was_entered

    @property
    def is_over(self) -> bool:
        """Was it open, and is it no more?"""
        return self._was_entered and self._thread is None

    def call(self, work: Callable[[], Awaitable[R]]) -> R:
        """Run `work` where it is open; before and after, wherever there is a loop."""
        if self._thread is not None:
            return self._thread.call(work)
        with borrowed() as thread:
            return thread.call(work)

    def start(self, work: Callable[[], Awaitable[R]]) -> Future[R]:
        """Run `work` where it is open, without waiting. Raises ClosedByUsError when it is not open."""
        check_thread()
        if self._thread is None:
            raise _gone()
        return self._thread.start(work)

    def __enter__(self) -> A:
        if self._was_entered:
            raise ConfigurationError("this was entered already: make a new one")
        self._thread = acquire()
        self._was_entered = True
        try:
            self._task = self._thread.start(self._hold)
            self._task.add_done_callback(self._never)
            return self._entered.result()
        except BaseException:
            if self._task is not None:
                self._task.cancel()
            self._let_go()
            raise

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if exc is not None and not isinstance(exc, Exception):
            exc_type, exc = Stopped, Stopped().with_traceback(traceback)
        self._why = (exc_type, exc, traceback)
        try:
            assert self._thread is not None and self._task is not None
            if exc is not None and not self._thread.is_alive:
                return False  # what the body raised says more than that nothing is left to be closed
            self._thread.call(self._end)
            return bool(wait_for(self._task))
        except Stopped:
            return False
        finally:
            self._let_go()

    async def _end(self) -> None:
        self._leave.set()

    def _let_go(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            release(thread)

    def _never(self, task: Future[bool | None]) -> None:
        """The task is over, and if it had not entered by now, it never will."""
        with suppress(InvalidStateError):
            self._entered.set_exception(_gone())

    async def _hold(self) -> bool | None:
        try:
            value = await self._manager.__aenter__()
        except Exception as error:  # noqa: BLE001 - it surfaces where it is waited for
            with suppress(InvalidStateError):
                self._entered.set_exception(error)
            return None
        with suppress(InvalidStateError):
            self._entered.set_result(value)
        try:
            await self._leave.wait()
        except BaseException as error:
            await self._manager.__aexit__(type(error), error, error.__traceback__)
            raise
        return await self._manager.__aexit__(*self._why)


async def within(timeout_s: float | None, work: Callable[[], Awaitable[R]]) -> R:
    """What `work` gives. Raises TransportTimeoutError when it takes longer."""
    if timeout_s is None:
        return await work()
    with anyio.move_on_after(timeout_s):
        return await work()
    raise TransportTimeoutError("receive", timeout_s)


def in_thread(function: Callable[[G], R]) -> Callable[[G], Awaitable[R]]:
    """A function that may block, called in a worker thread; one that is not wanted any more is not waited for."""

    async def call(given: G) -> R:
        return await to_thread.run_sync(function, given, abandon_on_cancel=True)

    return call


class Front(Generic[A]):
    """What stands here for something over there."""

    def __init__(self, inner: A, held: Held[Any]) -> None:
        self._inner = inner
        self._held = held


def verb(method: Callable[Concatenate[A, P], Awaitable[R]]) -> Callable[Concatenate[Front[A], P], R]:
    """The same method, waited for."""

    @wraps(method)
    def call(self: Front[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._held.call(lambda: method(self._inner, *args, **kwargs))

    return call
