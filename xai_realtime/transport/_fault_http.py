"""One HTTP answer that breaks as told. In: pieces of a body. Out: the same, less what a fault took.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

import anyio
import anyio.lowlevel

from xai_realtime.errors import ConfigurationError, ConnectionBrokenError
from xai_realtime.transport._fault import Fault
from xai_realtime.transport._fault_channel import Injection
from xai_realtime.transport.base import HttpResponse

__all__ = ["FaultBody", "check_requests", "refused"]

KINDS: Final = ("corrupt", "cut", "delay", "drop", "duplicate", "refuse", "stall")
CORRUPTIONS: Final = ("bad_json", "bad_utf8")


def check_requests(plan: Iterable[Fault]) -> tuple[Fault, ...]:
    """The faults, which may happen to answers. Raises ConfigurationError for one that may not."""
    found = tuple(plan)
    for fault in found:
        if not isinstance(fault, Fault):
            raise ConfigurationError("faults are made by the class methods of Fault: Fault.cut(at=3)")
        if fault.kind not in KINDS:
            raise ConfigurationError(f"{fault}: of an HTTP answer {', '.join(KINDS)} are allowed")
        if fault.on is not None or fault.direction == "out":
            raise ConfigurationError(f"{fault}: a piece of an HTTP answer is placed by at= or at_ms=")
        if fault.kind == "corrupt" and fault.how not in CORRUPTIONS:
            raise ConfigurationError(f"{fault}: of an HTTP answer {', '.join(CORRUPTIONS)} are allowed")
    return found


def refused(fault: Fault) -> HttpResponse:
    """The answer that a refusal is."""
    headers = {"content-type": "application/json", **{name.lower(): value for name, value in fault.headers.items()}}
    return HttpResponse(fault.status, tuple(headers.items()), _one(fault.body))


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


class FaultBody(AsyncIterator[bytes]):
    """The body of one answer, broken as `plan` says. Times count from `start_s`, when the request went out."""

    def __init__(
        self,
        inner: AsyncIterator[bytes],
        plan: Sequence[Fault],
        conn: int,
        start_s: float,
        note: Callable[[Injection], None],
    ) -> None:
        self._inner = inner
        self._plan = list(plan)
        self._conn = conn
        self._start_s = start_s
        self._note = note
        self._number = 0
        self._ready: deque[bytes] = deque()
        self._is_cut = False

    async def __anext__(self) -> bytes:
        while not self._ready:
            if self._is_cut:
                await anyio.lowlevel.checkpoint()
                raise ConnectionBrokenError(None, "the connection was cut")
            await self._take(await self._read())
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Close the body behind it."""
        close = getattr(self._inner, "aclose", None)
        if close is not None:
            await close()

    async def _read(self) -> bytes | None:
        """The next piece; None when a cut came before it."""
        cuts = [fault for fault in self._plan if fault.kind == "cut" and fault.at_ms is not None]
        first = min(cuts, key=lambda fault: fault.at_ms or 0.0, default=None)
        until = math.inf if first is None else self._start_s + (first.at_ms or 0.0) / 1000
        with anyio.CancelScope(deadline=until):
            return await anext(self._inner)
        assert first is not None
        self._done(first, 0)
        self._is_cut = True
        return None

    async def _take(self, piece: bytes | None) -> None:
        if piece is None:
            return
        self._number += 1
        pieces = [piece]
        for fault in [fault for fault in self._plan if self._is_due(fault)]:
            if not (pieces or fault.is_of_line):
                continue
            self._done(fault, self._number)
            if fault.kind == "drop":
                pieces = []
            elif fault.kind == "duplicate":
                pieces = pieces * (1 + fault.count)
            elif fault.kind == "corrupt":
                pieces = [_damaged(each, fault.how) for each in pieces]
            elif fault.kind == "cut":
                self._is_cut = True
                pieces = pieces if fault.after else [each[: len(each) // 2] for each in pieces[:1]]
                break
            else:
                await anyio.sleep(math.inf if fault.ms is None else fault.ms / 1000)
        self._ready += [each for each in pieces if each]

    def _is_due(self, fault: Fault) -> bool:
        if fault.at_ms is not None:
            return fault.kind != "cut" and anyio.current_time() - self._start_s >= fault.at_ms / 1000
        return fault.at == self._number

    def _done(self, fault: Fault, number: int) -> None:
        self._plan.remove(fault)
        at_ms = round((anyio.current_time() - self._start_s) * 1000, 3)
        self._note(Injection(fault, self._conn, "in", number, "", at_ms))


def _damaged(piece: bytes, how: str | None) -> bytes:
    middle = len(piece) // 2
    return piece[:middle] + (b"\xff" + piece[middle:] if how == "bad_utf8" else b"\n\n")
