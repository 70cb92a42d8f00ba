"""A trio clock that jumps. In: trio's idle moments. Out: the time, or an error in the main task. Imports: trio, _error.

trio lets nobody subclass its MockClock, and only a MockClock may jump, so two of its methods are replaced on
the one instance that is handed out; nothing is patched globally. Private names of trio that are used, all
guarded by tests: the clock's `_autojump` (called when nothing is ready) and `_virtual_base` (set without
rounding), the task's `_abort_func` and `_attempt_abort` (raise in a waiting task, as for Ctrl-C), and the token's
`_reentry_queue` with its `lock` and `done` (what a thread is told when the run it reports to is over).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import NoReturn

import trio
import trio.testing

from xai_realtime.virtual_time._error import Cause, VirtualTimeError
from xai_realtime.virtual_time._stall import Stall, place

__all__ = ["ClockDriver"]

logger = logging.getLogger("xai_realtime.virtual_time")

POLL_S = 0.001
OWN_WAITS = 1
"""trio itself waits on one descriptor: the one by which other threads wake it."""
MAX_DELIVERED = 3
"""A program that catches the error and waits again gets it this often, then the run is torn down."""


class ClockDriver:
    """Drives `clock`, a MockClock that starts every run at 0 s and jumps when nothing else is left to do.

    `thread_limit_s` is the wall time a worker thread may hold the clock.
    """

    def __init__(self, *, thread_limit_s: float) -> None:
        self.clock = trio.testing.MockClock(autojump_threshold=0)
        self._sleep_time = self.clock.deadline_to_sleep_time
        self._start_clock = self.clock.start_clock
        self._thread_limit_s = thread_limit_s
        self._stall = Stall(thread_limit_s)
        self._due_s = math.inf
        self._was_idle = False
        self._delivered = 0
        self.clock.start_clock = self._start  # type: ignore[method-assign]
        self.clock.deadline_to_sleep_time = self._note_due  # type: ignore[method-assign]
        self.clock._autojump = self._when_idle  # type: ignore[method-assign]

    def _start(self) -> None:
        self._stall = Stall(self._thread_limit_s)
        self._delivered = 0
        self._was_idle = False
        self.clock._virtual_base = 0.0
        self._start_clock()

    def _note_due(self, deadline: float) -> float:
        # trio asks once per turn of its loop, just before it looks for events.
        if not self._was_idle:
            self._stall.reset()
        self._was_idle = False
        self._due_s = deadline
        return self._sleep_time(deadline)

    def _when_idle(self) -> None:
        self._was_idle = True
        if waits_on_descriptors():
            self._fail("io", "a task waits on a file descriptor")
            return
        held = trio.testing.active_thread_count() > 0
        if not held and self._due_s < math.inf:
            self.clock._virtual_base = self._due_s
            self._was_idle = False
        elif cause := self._stall.verdict(held):
            self._fail(cause)
        else:
            # Blocks the loop's own thread, which has nothing else to do: in trio's guest mode, which anyio's
            # pytest plugin uses, a longer look for events would cost a thread each.
            time.sleep(POLL_S)

    def _fail(self, cause: Cause, detail: str = "") -> None:
        main = main_task()
        waiting = tuple(sorted(place(task.name, task.coro) for task in below(main))) if main else ()
        error = VirtualTimeError(cause, at_s=self.clock.current_time(), waiting=waiting, detail=detail)
        self._stall.reset()
        self._delivered += 1
        if main is None or main._abort_func is None or self._delivered > MAX_DELIVERED:
            logger.error("virtual time cannot go on and the main task cannot be reached: %s", cause)
            refuse_threads()
            raise error

        def raise_error() -> NoReturn:
            raise error

        main._attempt_abort(raise_error)


def waits_on_descriptors() -> bool:
    statistics = trio.lowlevel.current_statistics().io_statistics
    waits = getattr(statistics, "tasks_waiting_read", 0) + getattr(statistics, "tasks_waiting_write", 0)
    return bool(max(waits, getattr(statistics, "tasks_waiting", 0)) > OWN_WAITS)


def refuse_threads() -> None:
    """The run is over for other threads: trio closes the socket by which they wake it, but tells them only in order."""
    queue = trio.lowlevel.current_trio_token()._reentry_queue
    with queue.lock:
        queue.done = True


def main_task() -> trio.lowlevel.Task | None:
    root = trio.lowlevel.current_root_task()
    nurseries = root.child_nurseries if root else []
    return next(iter(nurseries[-1].child_tasks), None) if nurseries else None


def below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from below(child)
