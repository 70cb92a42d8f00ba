"""Judges how long nothing may happen in wall time. In: polls. Out: a cause to stop. Imports: stdlib, _error."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType

from xai_realtime.virtual_time._error import Cause

__all__ = ["THREAD_LIMIT_S", "Stall", "place"]

THREAD_LIMIT_S = 60.0
"""Wall seconds a thread may hold the time without a sign of life."""
IDLE_LIMIT_S = 0.25
"""Wall seconds in which a foreign thread or a signal may still wake a program that is idle for good."""
FROM_THREAD_LIMIT_S = 1.0
"""Wall seconds after which a thread that waits for an idle loop is taken to wait for time."""

CALLS_INTO_THE_LOOP = {
    ("anyio.from_thread", "run"),
    ("anyio.from_thread", "run_sync"),
    ("trio._threads", "from_thread_run"),
    ("trio._threads", "from_thread_run_sync"),
}

LOOPS = {"anyio", "asyncio", "outcome", "trio"}


class Stall:
    """A watch over one stretch of wall time in which the loop has nothing to do."""

    def __init__(self, thread_limit_s: float) -> None:
        self._thread_limit_s = thread_limit_s
        self._since_s: float | None = None
        self._held = False

    def reset(self) -> None:
        """Something happened: the next verdict starts the watch again."""
        self._since_s = None

    def verdict(self, held: bool) -> Cause | None:
        """The cause to stop for, or None while waiting may go on; `held` when a thread is in flight."""
        now_s = time.monotonic()
        if self._since_s is None or held is not self._held:
            self._since_s, self._held = now_s, held
        stalled_s = now_s - self._since_s
        if not held:
            return "idle" if stalled_s >= IDLE_LIMIT_S else None
        if stalled_s >= FROM_THREAD_LIMIT_S and thread_waits_for_a_loop():
            return "thread_waits"
        if stalled_s < self._thread_limit_s:
            return None
        # What is torn down after the error may meet the same thread again, and shall not wait as long for it.
        self._thread_limit_s = min(self._thread_limit_s, FROM_THREAD_LIMIT_S)
        return "thread"


def thread_waits_for_a_loop() -> bool:
    """True when some other thread is inside a call into its event loop."""
    own = threading.get_ident()
    return any(calls_into_the_loop(frame) for ident, frame in sys._current_frames().items() if ident != own)


def calls_into_the_loop(frame: FrameType | None) -> bool:
    while frame is not None:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in CALLS_INTO_THE_LOOP:
            return True
        frame = frame.f_back
    return False


def place(name: str, coroutine: object) -> str:
    """One line on a waiting task: its name and where it stands, the innermost line that is no event loop's own."""
    found = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if isinstance(frame, FrameType):
            module = str(frame.f_globals.get("__name__"))
            if not found or module.partition(".")[0] not in LOOPS:
                file = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
                found = f" in {frame.f_code.co_qualname} ({file}:{frame.f_lineno})"
        coroutine = getattr(coroutine, "cr_await", None)
    return name + found
