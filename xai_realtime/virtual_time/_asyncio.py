"""An asyncio event loop whose clock jumps. In: callbacks, timers. Out: their order. Imports: asyncio, _error, _stall.

Two private names of asyncio's own loop are used, both guarded by tests: the heap `_scheduled`, to read the
next due time without rounding, and `_clock_resolution`, so that no timer fires before its time.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import sys
import threading
from asyncio import SelectorEventLoop  # the one of this platform, whatever the policy says
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple

from xai_realtime.virtual_time._error import Cause, VirtualTimeError
from xai_realtime.virtual_time._stall import Stall, place

if TYPE_CHECKING:
    from contextvars import Context

    from _typeshed import FileDescriptorLike

__all__ = ["VirtualEventLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

POLL_S = 0.02


class Due(float):
    """A due time in seconds; equal times stand in the order in which they were asked for."""

    __slots__ = ("order",)
    order: int

    def __new__(cls, when_s: float, order: int) -> Due:
        self = super().__new__(cls, when_s)
        self.order = order
        return self

    def __lt__(self, other: float) -> bool:
        if isinstance(other, Due) and self == other:
            return self.order < other.order
        return super().__lt__(other)


class IdleSelector(selectors.DefaultSelector):
    """Polls once; with nothing ready it asks `when_idle` instead of waiting. Watches the loop's own pipe alone."""

    when_idle: Callable[[], list[tuple[selectors.SelectorKey, int]]]
    refuse: Callable[[str], NoReturn] | None = None

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """Add a file descriptor. Raises VirtualTimeError for any but those of the loop itself."""
        if self.refuse is not None:
            self.refuse("a file descriptor was given to the event loop")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Ready descriptors; `timeout` in seconds counts only as "may wait" or "may not"."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self.when_idle()

    def wait(self, timeout_s: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Ready descriptors after at most `timeout_s` of wall time."""
        return super().select(timeout_s)


class VirtualEventLoop(SelectorEventLoop):
    """An asyncio loop that starts at 0 s and jumps to the next timer whenever nothing else is left to do.

    `thread_limit_s` is the wall time a worker thread may hold the clock. Raises VirtualTimeError out of
    the run when time cannot go on, and at once from a call that needs a real file descriptor.
    """

    time_is_virtual = True
    if TYPE_CHECKING:
        _scheduled: list[asyncio.TimerHandle]
        _clock_resolution: float

    def __init__(self, *, thread_limit_s: float) -> None:
        self._idle_selector = IdleSelector()
        super().__init__(self._idle_selector)
        self._idle_selector.when_idle = self._when_idle
        self._idle_selector.refuse = self._refuse
        self._stall = Stall(thread_limit_s)
        self._timers = 0
        self._jobs = 0
        self._jump(0.0)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a virtual time in seconds; equal times keep the order of these calls."""
        self._timers += 1
        return super().call_at(Due(when, self._timers), callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function in a thread or process; the clock stands until it is done or given up."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._job_done)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the executor's threads, which hold the clock meanwhile."""
        self._jobs += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._jobs -= 1

    def close(self) -> None:
        """Close the loop; a thread that was given up ends when its work does."""
        for thread in workers_of(self):
            thread.stop()
        super().close()

    async def _refuse_call(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("a connection, server, pipe or subprocess was asked of the event loop")

    create_connection = create_server = create_datagram_endpoint = _refuse_call
    create_unix_connection = create_unix_server = _refuse_call
    connect_read_pipe = connect_write_pipe = _refuse_call
    subprocess_exec = subprocess_shell = _refuse_call

    def _job_done(self, future: asyncio.Future[Any]) -> None:
        self._jobs -= 1

    def _when_idle(self) -> list[tuple[selectors.SelectorKey, int]]:
        self._stall.reset()
        while True:
            due_s = self._scheduled[0].when() if self._scheduled else math.inf
            held = self._jobs > 0 or bool(workers_of(self))
            if not held and due_s < math.inf:
                self._jump(float(due_s))
                return []
            if cause := self._stall.verdict(held):
                raise self._error(cause)
            if ready := self._idle_selector.wait(POLL_S):
                return ready

    def _jump(self, to_s: float) -> None:
        self._now_s = to_s
        self._clock_resolution = math.ulp(to_s)

    def _refuse(self, detail: str) -> NoReturn:
        raise self._error("io", detail)

    def _error(self, cause: Cause, detail: str = "") -> VirtualTimeError:
        waiting = sorted(place(task.get_name(), task.get_coro()) for task in asyncio.all_tasks(self))
        return VirtualTimeError(cause, at_s=self._now_s, waiting=tuple(waiting), detail=detail)


def workers_of(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """The threads of `anyio.to_thread` that work for this loop, on whichever limiter.

    anyio counts them nowhere, but each knows its loop and the list it rests in; that list changes in the
    loop's own thread alone, so there is no moment between work and rest.
    """
    if "anyio" not in sys.modules:
        return []
    return [
        thread
        for thread in threading.enumerate()
        if getattr(thread, "loop", None) is loop
        and thread not in getattr(thread, "idle_workers", (thread,))
        and not getattr(thread, "stopping", True)
    ]
