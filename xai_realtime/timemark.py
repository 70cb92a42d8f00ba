"""The mark by which others know that time is virtual. In: nothing. Out: a bool. Imports: the standard library.

An asyncio loop says it by an attribute `time_is_virtual = True`, trio by running on a MockClock. Neither
library is imported here: whoever runs inside one has imported it already.
"""

from __future__ import annotations

import sys

__all__ = ["time_is_virtual"]


def time_is_virtual() -> bool:
    """True inside a task whose clock jumps instead of waiting: our asyncio loop, or any trio MockClock.

    False on a real clock and outside of asyncio and trio. Costs about a microsecond, never raises.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        testing = sys.modules.get("trio.testing")
        return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    return getattr(asyncio._get_running_loop(), "time_is_virtual", False) is True
