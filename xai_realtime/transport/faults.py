"""A Transport that breaks any Transport on purpose. In: channels, frames, faults. Out: the same, broken as told.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.lowlevel

from xai_realtime.cassette.records import Header
from xai_realtime.errors import (
    ConfigurationError,
    HandshakeError,
    RedirectRefusedError,
    ReplayIncompleteError,
    XaiRealtimeError,
)
from xai_realtime.transport._fault import Corruption, Direction, Fault, Kind
from xai_realtime.transport._fault_channel import FaultChannel, Injection, LineClock
from xai_realtime.transport._fault_http import FaultBody, check_requests, refused
from xai_realtime.transport._watch import Watch
from xai_realtime.transport._websocket_errors import parse_error_body
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport

__all__ = [
    "Corruption",
    "Direction",
    "Fault",
    "FaultReport",
    "FaultTransport",
    "Injection",
    "Kind",
    "UnusedFaultError",
    "faults",
]

FIRST_OTHER_STATUS: Final = 400


class UnusedFaultError(XaiRealtimeError):
    """Faults that nothing ever reached, under `fail_unused=True`: the test proved less than it says."""

    def __init__(self, unused: tuple[Fault, ...]) -> None:
        super().__init__(unused)
        self.unused = unused

    def __str__(self) -> str:
        count = "1 fault was" if len(self.unused) == 1 else f"{len(self.unused)} faults were"
        return "\n".join([f"{count} never reached", *(f"  {fault}" for fault in self.unused)])


@dataclass(frozen=True, slots=True)
class FaultReport:
    """What was done, what was never reached, and what of a tape was left because a fault ended its connection."""

    done: tuple[Injection, ...]
    unused: tuple[Fault, ...]
    left: tuple[str, ...]


class FaultTransport(Transport):
    """Breaks what passes through another transport; see `faults`."""

    def __init__(
        self,
        transport: Transport,
        plan: Iterable[Fault],
        *,
        requests: Iterable[Fault] = (),
        fail_unused: bool = False,
    ) -> None:
        self.needs_key = transport.needs_key
        self.header: Header | None = None
        self._plan = tuple(plan)
        if not all(isinstance(fault, Fault) for fault in self._plan):
            raise ConfigurationError("faults are made by the class methods of Fault: Fault.drop(on=...)")
        self._requests = check_requests(requests)
        self._transport = transport
        self._fail_unused = fail_unused
        self._clock = LineClock()
        self._trace: list[Injection] = []
        self._left: tuple[str, ...] = ()
        self._opened = 0
        self._asked = 0
        header = getattr(transport, "header", None)
        if isinstance(header, Header):
            # A recording of this is no recording of the service any more, and it says so.
            self.header = replace(header, origin="derived")

    @property
    def trace(self) -> tuple[Injection, ...]:
        """What was done up to now, in order. Equal runs have equal traces."""
        return tuple(self._trace)

    def report(self) -> FaultReport:
        """What was done and what was never reached, up to now."""
        used = {id(injection.fault) for injection in self._trace}
        unused = tuple(fault for fault in (*self._plan, *self._requests) if id(fault) not in used)
        return FaultReport(self.trace, unused, self._left)

    def check_used(self) -> None:
        """Raise UnusedFaultError when a fault was never reached."""
        unused = self.report().unused
        if unused:
            raise UnusedFaultError(unused)

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open a channel of the inner transport, or refuse to.

        Raises what the inner transport raises; HandshakeError (or RedirectRefusedError) for `Fault.refuse`.
        """
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        self._opened += 1
        conn = self._opened
        for fault in self._plan:
            if fault.kind == "refuse" and fault.conn in (None, conn):
                await anyio.lowlevel.checkpoint()
                self._trace.append(Injection(fault, conn, "in", 0, "", self._clock.now_ms()))
                raise _refusal(fault)
        async with self._transport.open(request) as inner:
            # Only a tape lets a send wait for its turn.
            self._clock.start(is_tape=not inner.sends_at_call)
            channel = FaultChannel(inner, conn, Watch(self._plan, conn), self._clock, self._trace.append)
            try:
                yield channel
            finally:
                await channel.aclose()

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a request through the inner transport; its answer breaks as told, or is a refusal in place of one."""
        return self._request(request) if self._requests else self._transport.request(request)

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        self._asked += 1
        conn = self._asked
        start_s = anyio.current_time()
        plan = [fault for fault in self._requests if fault.conn in (None, conn)]
        refusal = next((fault for fault in plan if fault.kind == "refuse"), None)
        if refusal is not None:
            await anyio.lowlevel.checkpoint()
            self._trace.append(Injection(refusal, conn, "in", 0, "", 0.0))
            yield refused(refusal)
            return
        async with self._transport.request(request) as response:
            body = FaultBody(aiter(response), plan, conn, start_s, self._trace.append)
            yield HttpResponse(response.status, response.headers, body)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._transport.__aexit__(exc_type, exc, traceback)
        except ReplayIncompleteError as incomplete:
            if not any(injection.fault.loses_frames for injection in self._trace):
                raise
            self._left = incomplete.unread + incomplete.unsent
        if exc is None and self._fail_unused:
            self.check_used()


def faults(
    transport: Transport,
    plan: Iterable[Fault] = (),
    *,
    requests: Iterable[Fault] = (),
    fail_unused: bool = False,
) -> FaultTransport:
    """A transport that carries `plan` out on all that passes through `transport`.

    `transport` is any: live, a tape, a recording, a memory pair, the emulator. Several faults may meet one
    frame; they are done in the order given. Nothing is left to chance: an equal conversation breaks in
    equal ways, and `trace` on the result says how. `fail_unused=True` makes it an UnusedFaultError, at
    the end of its context, that a fault was never reached.

    `requests` are faults of HTTP answers: `drop`, `delay`, `duplicate`, `corrupt` (`bad_json`, `bad_utf8`), `cut`,
    `stall` and `refuse`. `at` counts the pieces of the body, `conn` the requests; `at_ms` counts from the request.

    Around a tape, frames that are left over because a fault ended the connection are no error;
    `report().left` lists them. Raises ConfigurationError for what is no fault.
    """
    return FaultTransport(transport, plan, requests=requests, fail_unused=fail_unused)


def _refusal(fault: Fault) -> HandshakeError:
    headers = {name.lower(): value for name, value in fault.headers.items()}
    if fault.status < FIRST_OTHER_STATUS:
        reason = "a redirect was refused; nothing was sent there"
        return RedirectRefusedError(reason, status=fault.status, headers=headers, body=fault.body)
    code, message = parse_error_body(fault.body)
    return HandshakeError(
        "the server gave no reason",
        status=fault.status,
        headers=headers,
        body=fault.body,
        code=code,
        message=message,
    )
