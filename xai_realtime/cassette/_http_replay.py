"""HTTP exchanges of a tape, played. In: requests. Out: the recorded answers, each piece at its time.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel

from xai_realtime.cassette._channel import INSTANT_BEFORE_S, Left, TapeClock
from xai_realtime.cassette._http_body import body_kind, changed_unit, rewritten
from xai_realtime.cassette._http_records import request_body
from xai_realtime.cassette._json import Json
from xai_realtime.cassette._steps import microseconds
from xai_realtime.cassette.matching import Difference, IdBinding, MatchPolicy, compare, same_address
from xai_realtime.cassette.records import HttpDoneRecord
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import Cassette, TapedExchange
from xai_realtime.errors import (
    ConnectError,
    ConnectionBrokenError,
    ReplayMismatchError,
    ReplayStuckError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.transport.base import HttpRequest, HttpResponse

__all__ = ["ReplayExchange", "ReplayExchanges"]

SHOWN_CHARACTERS: Final = 200


class ReplayExchange(AsyncIterator[bytes]):
    """One exchange of the tape; iterating gives the pieces of its answer, each when it is due."""

    def __init__(self, cassette: Cassette, taped: TapedExchange, clock: TapeClock, binding: IdBinding) -> None:
        self._cassette = cassette
        self._taped = taped
        self._clock = clock
        self._binding = binding
        self._start_us = clock.now_us()
        self._pieces: list[bytes] = []
        self._next = 0
        self._failure: TransportError | None = None

    async def answer(self) -> HttpResponse:
        """The head of the answer, when it is due. Raises what the recording ran into."""
        head = self._taped.response
        if head is None:
            await self._end()
            raise self._broken("the tape holds no answer to this request")
        await self._wait_until(head.at_ms)
        kind = body_kind(head.headers)
        self._pieces = [self._cassette.piece(chunk) for chunk in self._taped.chunks]
        if kind in ("lines", "whole"):
            self._pieces = rewritten(self._pieces, by_line=kind == "lines", change=self._to_live)
        headers: dict[str, str] = self._binding.to_live(dict(head.headers))
        return HttpResponse(head.status, tuple(headers.items()), self)

    async def __anext__(self) -> bytes:
        while self._next < len(self._pieces):
            await self._wait_until(self._taped.chunks[self._next].at_ms)
            self._next += 1
            if self._pieces[self._next - 1]:
                return self._pieces[self._next - 1]
        await self._end()
        raise StopAsyncIteration

    def left(self) -> list[Left]:
        """The pieces that were not read."""
        name = f"a piece of the answer to {_name(self._taped)}"
        return [Left(name, chunk.line) for chunk in self._taped.chunks[self._next :]]

    def _to_live(self, unit: bytes) -> bytes:
        return changed_unit(unit, self._binding.to_live, bytes)

    async def _end(self) -> None:
        """Wait for the recorded end. Raises when it was none."""
        if self._failure is not None:
            raise self._failure
        done = self._taped.done
        if done is None:
            raise self._broken("the tape ends within this exchange")
        await self._wait_until(done.at_ms)
        if done.error is None:
            return
        if done.error == "client":
            await anyio.sleep(self._clock.stuck_s)
            reason = f"stuck: the answer to {_name(self._taped)} was left here by the client of the tape"
            raise ReplayStuckError(reason, path=str(self._cassette.path), line=done.line)
        self._failure = self._recorded_failure(done)
        raise self._failure

    def _recorded_failure(self, done: HttpDoneRecord) -> TransportError:
        reason = self._binding.text_to_live(done.reason)
        if done.error == "connect":
            return ConnectError(reason)
        if done.error == "timeout":
            before = [self._taped.request, self._taped.response, *self._taped.chunks]
            last_ms = max(record.at_ms for record in before if record is not None)
            return TransportTimeoutError(done.reason, round(done.at_ms - last_ms) / 1000)
        if done.error == "unkept":
            return ConnectionBrokenError(None, f"the body is not on the tape ({reason})")
        return ConnectionBrokenError(None, reason)

    def _broken(self, reason: str) -> ConnectionBrokenError:
        return ConnectionBrokenError(None, reason)

    async def _wait_until(self, at_ms: float) -> None:
        await anyio.lowlevel.checkpoint()
        if self._clock.instant:
            return
        due_us = self._start_us + self._clock.gap(microseconds(self._taped.request.at_ms), microseconds(at_ms))
        if self._clock.now_us() < due_us:
            await anyio.sleep_until(self._clock.loop_time(due_us) - INSTANT_BEFORE_S)


class ReplayExchanges:
    """The exchanges of a tape: which are taken, which wait for their request."""

    def __init__(
        self, cassette: Cassette, clock: TapeClock, policy: MatchPolicy, binding: IdBinding, redactor: Redactor
    ) -> None:
        self.taken: list[ReplayExchange] = []
        self._cassette = cassette
        self._clock = clock
        self._policy = policy
        self._binding = binding
        self._redactor = redactor
        self._waiting = list(cassette.exchanges.values())

    def take(self, request: HttpRequest) -> ReplayExchange:
        """The exchange of the tape that begins with this request. Raises ReplayMismatchError when there is none."""
        self._redactor.learn(request.headers, request.url)
        url = self._redactor.url(request.url)
        _, body = request_body(self._redactor, request)
        first: tuple[TapedExchange, Difference] | None = None
        for taped in self._eligible():
            agrees, ids = same_address(taped.request.url, url, self._binding)
            if not agrees or taped.request.method != request.method:
                continue
            difference, more = self._compare(taped, body)
            if difference is None:
                for recorded, live in {**ids, **more}.items():
                    self._binding.bind(recorded, live)
                self._waiting.remove(taped)
                self._clock.start(taped.request.at_ms)
                self.taken.append(ReplayExchange(self._cassette, taped, self._clock, self._binding))
                return self.taken[-1]
            first = first or (taped, difference)
        raise self._mismatch(request.method, url, first)

    def unread(self) -> list[Left]:
        """The pieces of answers that were not read."""
        return [left for exchange in self.taken for left in exchange.left()]

    def unsent(self) -> list[Left]:
        """The requests that did not come."""
        return [Left(f"the request {_name(taped)}", taped.request.line) for taped in self._waiting]

    def _eligible(self) -> Iterator[TapedExchange]:
        """Those that may come now: none that the tape has after the end of another one that has not come."""
        over_at = float("inf")
        for taped in list(self._waiting):
            if taped.request.line > over_at:
                return
            yield taped
            if taped.done is not None:
                over_at = min(over_at, taped.done.line)

    def _compare(self, taped: TapedExchange, live: Json | bytes) -> tuple[Difference | None, dict[str, str]]:
        recorded = self._cassette.request_body(taped.request)
        if isinstance(recorded, dict | list) and isinstance(live, dict | list):
            return compare(recorded, live, _name(taped), self._policy, self._binding)
        if isinstance(recorded, bytes) and isinstance(live, bytes):
            return self._compare_bytes(recorded, live), {}
        agrees = type(recorded) is type(live) and recorded == live
        return (None if agrees else Difference("(body)", _show(recorded), _show(live))), {}

    def _compare_bytes(self, recorded: bytes, live: bytes) -> Difference | None:
        if self._policy.audio == "ignore":
            return None
        if len(recorded) != len(live):
            return Difference("(body)", _show(recorded), _show(live))
        if self._policy.audio == "length" or recorded == live:
            return None
        at = next(i for i, (one, two) in enumerate(zip(recorded, live, strict=True)) if one != two)
        return Difference(f"(body)[{at}]", f"{recorded[at]:#04x}", f"{live[at]:#04x}")

    def _mismatch(self, method: str, url: str, first: tuple[TapedExchange, Difference] | None) -> ReplayMismatchError:
        path = str(self._cassette.path)
        if first is not None:
            taped, difference = first
            return ReplayMismatchError(
                f"{_name(taped)} differs",
                path=path,
                line=taped.request.line,
                where=difference.path,
                expected=self._redactor.text(difference.expected),
                actual=self._redactor.text(difference.actual),
            )
        expected = next(self._eligible(), None)
        if expected is None:
            return ReplayMismatchError("the tape holds no further request", path=path, actual=f"{method} {url}")
        return ReplayMismatchError(
            "the request differs",
            path=path,
            line=expected.request.line,
            expected=f"{expected.request.method} {expected.request.url}",
            actual=f"{method} {url}",
        )


def _name(taped: TapedExchange) -> str:
    """Method and path: `POST /v1/tts`, also the name under which a policy knows it."""
    return f"{taped.request.method} {urlsplit(taped.request.url).path}"


def _show(body: Json | bytes) -> str:
    if isinstance(body, bytes):
        return f"{len(body)} bytes"
    text = "no body" if body is None else repr(body)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
