"""The error of virtual time. In: what stands still. Out: an exception. Imports: xai_realtime.errors."""

from __future__ import annotations

from typing import Literal

from xai_realtime.errors import XaiRealtimeError

__all__ = ["Cause", "VirtualTimeError"]

Cause = Literal["idle", "thread", "thread_waits", "io"]

TEXTS: dict[Cause, str] = {
    "idle": "every task waits, and no timer, thread or callback is left that could wake one",
    "thread": "a worker thread holds the time and does not finish",
    "thread_waits": (
        "a worker thread holds the time while it waits for the event loop (from_thread.run), and the loop waits for"
        " time; wait in a task instead, or give the thread what it needs before it starts"
    ),
    "io": (
        "real sockets, pipes, files to poll and subprocesses have no place in virtual time; use a tape, a memory"
        " transport or the emulator in process, or a real clock"
    ),
}
SHOWN_TASKS = 10


class VirtualTimeError(XaiRealtimeError):
    """Virtual time cannot go on, or was asked for what it cannot give.

    `cause` is `idle` (idle for good), `thread` (a thread over its limit), `thread_waits` (a thread waits
    for the loop that waits for time) or `io` (a real file descriptor). `at_s` is the virtual time in
    seconds, `waiting` a line per waiting task: its name, its function and the line it stands at.
    """

    def __init__(self, cause: Cause, *, at_s: float, waiting: tuple[str, ...] = (), detail: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.at_s = at_s
        self.waiting = waiting
        self.detail = detail

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        lines = [f"virtual time stops at {self.at_s:g} s: {TEXTS[self.cause]}{detail}"]
        lines += [f"  waiting: {entry}" for entry in self.waiting[:SHOWN_TASKS]]
        if len(self.waiting) > SHOWN_TASKS:
            lines.append(f"  and {len(self.waiting) - SHOWN_TASKS} more tasks")
        return "\n".join(lines)
