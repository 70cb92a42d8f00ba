"""A tape as a Transport. In: what the client sends. Out: the recorded answers, in their order and time.

The rules: an inbound frame is released once everything recorded before it was sent; what is sent must agree with the
tape; at the end nothing may be left. HTTP requests likewise. Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import Final, Literal, TypeAlias

from xai_realtime.cassette._channel import Left, ReplayChannel, TapeClock
from xai_realtime.cassette._http_replay import ReplayExchanges
from xai_realtime.cassette._json import dump_json
from xai_realtime.cassette.matching import IdBinding, IdMode, MatchPolicy, same_address
from xai_realtime.cassette.records import Header, OpenRecord
from xai_realtime.cassette.redaction import Redactor, Rule
from xai_realtime.cassette.tape import Cassette, TapedConnection, load_cassette
from xai_realtime.errors import (
    ConfigurationError,
    HandshakeError,
    ReplayIncompleteError,
    ReplayMismatchError,
)
from xai_realtime.transport._http_errors import parse_error_body
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport

__all__ = ["Clock", "ReplayReport", "ReplayTransport", "replay"]

Clock: TypeAlias = Literal["instant", "real", "virtual"]
CLOCKS: Final = ("instant", "real", "virtual")


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay used of its tape: frame counts, the lines of sends that had to wait for their turn, requests."""

    connections: int
    received: int
    sent: int
    unread: tuple[str, ...]
    unsent: tuple[str, ...]
    waited: tuple[int, ...]
    requests: int = 0


class ReplayTransport(Transport):
    """Plays a tape to whoever opens channels on it; see `replay`."""

    needs_key = False

    def __init__(
        self,
        cassette: Cassette,
        *,
        clock: Clock,
        scale: float,
        policy: MatchPolicy,
        ids: IdMode,
        strict_order: bool,
        stuck_timeout_s: float | None,
        redactor: Redactor,
    ) -> None:
        if clock not in CLOCKS:
            raise ConfigurationError(f"clock {clock!r}: allowed are {', '.join(CLOCKS)}")
        if not (scale > 0 and math.isfinite(scale)):
            raise ConfigurationError(f"scale {scale!r}: it must be a number over 0 (2.0 plays at half the speed)")
        if stuck_timeout_s is not None and not (stuck_timeout_s > 0 and math.isfinite(stuck_timeout_s)):
            raise ConfigurationError(f"stuck_timeout_s {stuck_timeout_s!r}: it must be a number of seconds over 0")
        if ids not in ("canonical", "fresh"):
            raise ConfigurationError(f"ids {ids!r}: allowed are canonical, fresh")
        self.cassette = cassette
        self._policy = policy
        self._strict_order = strict_order
        self._clock = TapeClock(
            instant=clock == "instant", virtual=clock == "virtual", scale=scale, stuck_s=stuck_timeout_s
        )
        self._redactor = redactor
        self._binding = IdBinding(ids)
        self._waiting: list[TapedConnection] = list(cassette.connections.values())
        self._channels: list[ReplayChannel] = []
        self._exchanges = ReplayExchanges(cassette, self._clock, policy, self._binding, redactor)
        self._refused = 0

    @property
    def header(self) -> Header:
        """The header of the tape, which a recording of this replay carries over."""
        return self.cassette.header

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Give the next connection of the tape whose address agrees.

        Raises ReplayMismatchError when there is none, HandshakeError when the tape holds a refused handshake.
        """
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        taped = self._take(request)
        self._clock.start(taped.open.at_ms)
        if taped.open.status != 101:
            self._refused += 1
            await self._clock.wait_for_open(taped.open.at_ms)
            raise _refusal(taped.open)
        channel = ReplayChannel(
            self.cassette, taped, self._clock, self._policy, self._binding, self._redactor, self._strict_order
        )
        self._channels.append(channel)
        try:
            yield channel
        finally:
            await channel.aclose()

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Give the recorded answer to the request: by method, path, query and body, its pieces at their times.

        Raises ReplayMismatchError when the tape has no such request here, and what the recording ran into.
        """
        return self._request(request)

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        yield await self._exchanges.take(await request.with_whole_body()).answer()

    def _take(self, request: ChannelRequest) -> TapedConnection:
        path = str(self.cassette.path)
        self._redactor.learn(request.headers, request.url, request.subprotocols)
        live = self._redactor.url(request.url)
        for taped in self._waiting:
            url = taped.open.url
            agrees, pending = (True, {}) if url is None else same_address(url, live, self._binding)
            if agrees:
                self._bind(pending)
                self._waiting.remove(taped)
                return taped
        if not self._waiting:
            raise ReplayMismatchError("the tape holds no further connection", path=path, actual=live)
        expected = self._waiting[0].open
        raise ReplayMismatchError(
            "the address differs", path=path, line=expected.line, expected=expected.url or "", actual=live
        )

    def _bind(self, pending: Mapping[str, str]) -> None:
        for recorded, live in pending.items():
            self._binding.bind(recorded, live)

    def report(self) -> ReplayReport:
        """What was used up to now."""
        unread, unsent = self._left()
        return ReplayReport(
            connections=len(self._channels) + self._refused,
            received=sum(channel.received for channel in self._channels),
            sent=sum(channel.sent for channel in self._channels),
            unread=tuple(map(str, unread)),
            unsent=tuple(map(str, unsent)),
            waited=tuple(line for channel in self._channels for line in channel.waited),
            requests=len(self._exchanges.taken),
        )

    def check_used_up(self) -> None:
        """Raise ReplayIncompleteError when frames or requests of the tape are left unread or unsent."""
        unread, unsent = self._left()
        if unread or unsent:
            raise ReplayIncompleteError(
                path=str(self.cassette.path),
                unread=tuple(map(str, unread)),
                unsent=tuple(map(str, unsent)),
                line=min(left.line for left in (*unread, *unsent)),
            )

    def _left(self) -> tuple[list[Left], list[Left]]:
        unread: list[Left] = []
        unsent: list[Left] = []
        for channel in self._channels:
            unread += channel.unread()
            unsent += channel.unsent()
        for taped in self._waiting:
            unsent.append(Left(f"the handshake of connection {taped.conn}", taped.open.line))
            for record in taped.frames:
                (unread if record.direction == "in" else unsent).append(Left(record.type, record.line))
        return unread + self._exchanges.unread(), unsent + self._exchanges.unsent()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            self.check_used_up()


def replay(
    cassette: str | PathLike[str] | Cassette,
    *,
    clock: Clock = "instant",
    scale: float = 1.0,
    policy: MatchPolicy | None = None,
    ids: IdMode = "canonical",
    strict_order: bool = False,
    stuck_timeout_s: float | None = None,
    secrets: Iterable[str] = (),
    rules: Iterable[Rule] = (),
) -> ReplayTransport:
    """A transport that plays a tape: no network, no key.

    `clock`: `instant` keeps only the order, `real` the recorded gaps (times `scale`: 2.0 is twice as
    slow), `virtual` the recorded gaps on a virtual-time event loop. `policy` says what of the sent
    frames must agree. `ids="fresh"` mints new server ids for the run. `strict_order` makes a send that
    is ahead of the tape an error instead of letting it wait. `stuck_timeout_s` bounds the wait for a
    send or a read that does not come (5 s; 30 s of the loop's time when it is virtual). `secrets` and
    `rules` are those that the tape was recorded with: what is sent is compared as it stands on a tape.

    As a context manager it raises ReplayIncompleteError at its end for frames left unread or unsent.
    Raises CassetteFormatError for a bad tape, FileNotFoundError, ConfigurationError for bad settings.
    """
    tape = cassette if isinstance(cassette, Cassette) else load_cassette(cassette)
    return ReplayTransport(
        tape,
        clock=clock,
        scale=scale,
        policy=policy if policy is not None else MatchPolicy(),
        ids=ids,
        strict_order=strict_order,
        stuck_timeout_s=stuck_timeout_s,
        redactor=Redactor(secrets, rules=rules),
    )


def _refusal(record: OpenRecord) -> HandshakeError:
    body = record.body
    data = b"" if body is None else body.encode() if isinstance(body, str) else dump_json(body)
    code, message = parse_error_body(data)
    return HandshakeError(
        "the tape holds a refused handshake",
        status=record.status,
        headers=record.headers,
        body=data,
        code=code,
        message=message,
    )
