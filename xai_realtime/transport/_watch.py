"""Which faults are due. In: frames that pass, and the time. Out: faults, in the order they were given.

Nothing here waits or asks for the time. Imports: room 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Generic, TypeVar

from xai_realtime.transport._fault import Direction, Fault

__all__ = ["Shelf", "Watch"]

T = TypeVar("T")


class Watch:
    """The faults of one connection, told of what passes on it."""

    def __init__(self, plan: Iterable[Fault], conn: int) -> None:
        self._faults = [fault for fault in plan if fault.conn in (None, conn) and fault.kind != "refuse"]
        self._done: set[int] = set()
        self._frames: Counter[Direction] = Counter()
        self._types: Counter[tuple[Direction, str]] = Counter()
        self.needs_types = any(fault.on is not None for fault in self._faults)

    def frame(self, direction: Direction, name: str, now_ms: float) -> tuple[int, list[Fault]]:
        """One more frame: its number in its direction, and what happens to it."""
        self._frames[direction] += 1
        self._types[direction, name] += 1
        number = self._frames[direction]
        due: list[Fault] = []
        for index, fault in enumerate(self._faults):
            if fault.direction != direction or index in self._done:
                continue
            if fault.on is not None:
                is_due = fault.on == name and fault.nth in (None, self._types[direction, name])
            elif fault.at is not None:
                is_due = fault.at == number
            else:
                is_due = not fault.is_of_line and fault.at_ms is not None and now_ms >= fault.at_ms
            if is_due:
                due.append(fault)
                if fault.nth is not None:
                    self._done.add(index)
        return number, due

    def timed(self, now_ms: float) -> list[Fault]:
        """What happens to the line by now, the earliest first."""
        due = [
            (fault.at_ms, index)
            for index, fault in enumerate(self._faults)
            if fault.is_of_line and fault.at_ms is not None and index not in self._done and now_ms >= fault.at_ms
        ]
        self._done.update(index for _, index in due)
        return [self._faults[index] for _, index in sorted(due)]

    def next_ms(self) -> float:
        """When something happens to the line next; infinity when nothing does."""
        return min(
            (
                fault.at_ms
                for index, fault in enumerate(self._faults)
                if fault.is_of_line and fault.at_ms is not None and index not in self._done
            ),
            default=math.inf,
        )


class Shelf(Generic[T]):
    """Frames that wait until others have passed."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, list[T]]] = []

    def pass_by(self, items: list[T], behind: int) -> list[T]:
        """Put `items` behind the next `behind` ones, or let them pass: what passes now."""
        if not items:
            return []
        if behind:
            self._kept.append((behind, items))
            return []
        passed = list(items)
        kept, self._kept = self._kept, []
        for left, waiting in kept:
            if left == 1:
                passed += waiting
            else:
                self._kept.append((left - 1, waiting))
        return passed

    def rest(self) -> list[T]:
        """What still waits; it waits no more."""
        kept, self._kept = self._kept, []
        return [item for _, items in kept for item in items]
