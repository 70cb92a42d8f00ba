"""Times of a capture on one scale. In: times as they are written, epoch times inside events. Out: milliseconds.

Imports: the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

__all__ = ["STEP_MS", "GivenTime", "Line", "Unit", "anchor_ms", "fill", "given_time", "on_one_scale"]

STEP_MS: Final = 10.0
"""Distance of neighbours outside all known times."""
DAY_MS: Final = 86_400_000.0
EPOCH_MS: Final = (1e12, 1e13)
"""Epoch milliseconds between 2001 and 2286."""
Unit: TypeAlias = Literal["ms", "s"]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class GivenTime:
    """A time as it is written; `unit` None when neither its form nor the name of its field tells."""

    value: float
    unit: Unit | None


@dataclass(slots=True)
class Line:
    """Times in order. `epoch_ms` is the epoch time of 0.0 when it is known, `moved` counts times that went back."""

    at_ms: list[float]
    epoch_ms: float | None
    moved: int


def given_time(value: object, unit: Unit | None) -> GivenTime | None:
    """The time in a number, in the text of a number, or in an ISO 8601 text (UTC when it names no zone)."""
    if isinstance(value, str):
        try:
            return given_time(float(value), unit)
        except ValueError:
            return _iso(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return GivenTime(number, unit) if math.isfinite(number) and 0 <= number < 1e20 else None


def _iso(text: str) -> GivenTime | None:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return GivenTime((moment - EPOCH) / timedelta(milliseconds=1), "ms")
    except (OverflowError, ValueError):
        return None


def on_one_scale(given: Sequence[GivenTime | None], span_ms: float | None) -> list[float | None]:
    """The given times in milliseconds.

    By size: over 1e17 epoch nanoseconds, 1e14 microseconds, 1e11 milliseconds, 1e9 seconds. Smaller ones
    count from some beginning: in the unit that comes nearer to `span_ms`, the span which the events
    themselves state; without that, seconds when one has a fraction and all are under 10,000, else
    milliseconds. Where some are epoch times and some are not, only the former count.
    """
    numbers = [time.value for time in given if time is not None and time.unit is None]
    factor = _factor(numbers, span_ms)
    factors = {"ms": 1.0, "s": 1e3, None: factor}
    times = [None if time is None else time.value * factors[time.unit] for time in given]
    if any(time is not None and time >= EPOCH_MS[0] for time in times):
        return [time if time is not None and time >= EPOCH_MS[0] else None for time in times]
    return times


def _factor(numbers: Sequence[float], span_ms: float | None) -> float:
    largest = max(numbers, default=0.0)
    for limit, factor in ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (1e9, 1e3)):
        if largest >= limit:
            return factor
    span = largest - min(numbers, default=0.0)
    if span_ms and span:
        return 1e3 if abs(math.log(span * 1e3 / span_ms)) < abs(math.log(span / span_ms)) else 1.0
    return 1e3 if largest < 10_000 and any(not number.is_integer() for number in numbers) else 1.0


def anchor_ms(event: dict[str, Any] | None) -> float | None:
    """The epoch milliseconds that a server event states: `timestamp` of a ping, `ts` of a delta."""
    if event is None:
        return None
    value = event.get("timestamp") if event.get("type") == "ping" else event.get("ts")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if EPOCH_MS[0] <= value < EPOCH_MS[1] else None


def fill(known: Sequence[float | None], *, is_estimate: bool) -> Line:
    """A time for every place, from 0.0 on: known ones stay, those between are spread evenly, none goes back.

    Before the first, after the last and without any, neighbours are `STEP_MS` apart. A known time before
    the one ahead of it gives way; so does, in an estimate, one more than a day after it.
    """
    places: list[tuple[int, float]] = []
    moved = 0
    for index, time in enumerate(known):
        if time is None:
            continue
        if places and (time < places[-1][1] or (is_estimate and time - places[-1][1] > DAY_MS)):
            moved += 1
            if not is_estimate:
                places.append((index, places[-1][1]))
            continue
        places.append((index, time))
    if not places:
        return Line([index * STEP_MS for index in range(len(known))], None, moved)
    first, start = places[0]
    zero = start - first * STEP_MS
    times = [index * STEP_MS for index in range(first)]
    for (left, before), (right, after) in pairwise(places):
        step = (after - before) / (right - left)
        times += [before - zero + step * offset for offset in range(right - left)]
    last, end = places[-1]
    times += [end - zero + STEP_MS * offset for offset in range(len(known) - last)]
    is_epoch = EPOCH_MS[0] <= zero < EPOCH_MS[1]
    return Line([round(time, 3) + 0.0 for time in times], zero if is_epoch else None, moved)
