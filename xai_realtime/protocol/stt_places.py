"""Times of a connection as times of the caller's audio. In: where a connection begins, what was put in. Out: seconds.

Imports: stdlib.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

__all__ = ["Places"]

ROUNDING_S: Final = 1e-6


class Places:
    """One connection, whose first audio stands at `offset_s` of the stream.

    What was put in between (silence that keeps the recogniser awake) is audio of the connection and none of the
    stream's: times within it are the moment of the stream at which it was put in.
    """

    __slots__ = ("_before_s", "_ends_s", "_starts_s", "offset_s")

    def __init__(self, offset_s: float = 0.0) -> None:
        self.offset_s = offset_s
        self._starts_s: list[float] = []
        self._ends_s: list[float] = []
        self._before_s: list[float] = []

    def insert(self, at_s: float, length_s: float) -> None:
        """Audio that is not the stream's begins at `at_s` of the connection, behind all that was put in before."""
        if self._ends_s and at_s <= self._ends_s[-1] + ROUNDING_S:
            self._ends_s[-1] = at_s + length_s
            return
        before_s = self._before_s[-1] + self._ends_s[-1] - self._starts_s[-1] if self._ends_s else 0.0
        self._starts_s.append(at_s)
        self._ends_s.append(at_s + length_s)
        self._before_s.append(before_s)

    def of_stream(self, time_s: float) -> float:
        """The second of the stream that second `time_s` of the connection is."""
        number = bisect_right(self._starts_s, time_s) - 1
        if number < 0:
            return self.offset_s + time_s
        inside_s = min(time_s, self._ends_s[number]) - self._starts_s[number]
        return self.offset_s + time_s - self._before_s[number] - inside_s
