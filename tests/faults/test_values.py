"""A fault as a value: what is refused, how it reads, what a report says."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from tests.faults.lines import REQUEST, broken_line, event
from xai_realtime.errors import ConfigurationError
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport
from xai_realtime.transport.faults import Fault, UnusedFaultError, faults
from xai_realtime.transport.memory import memory_pair

ANY: Any = None

WRONG: list[tuple[Callable[[], Fault], str]] = [
    (lambda: Fault.drop(), "exactly one of"),
    (lambda: Fault.drop(at=1, on="a"), "exactly one of"),
    (lambda: Fault.drop(at=0), "at 0"),
    (lambda: Fault.drop(at=True), "at True"),
    (lambda: Fault.drop(at_ms=-1), "at_ms -1"),
    (lambda: Fault.drop(at_ms=math.nan), "at_ms nan"),
    (lambda: Fault.drop(at_ms=math.inf), "at_ms inf"),
    (lambda: Fault.drop(on=""), "on ''"),
    (lambda: Fault.drop(on="a", nth=0), "nth 0"),
    (lambda: Fault.drop(at=2, nth=2), "nth= goes with on="),
    (lambda: Fault.drop(at=2, nth=None), "goes with on="),
    (lambda: Fault.cut(on="a", nth=None), "ends once"),
    (lambda: Fault.drop(at=1, conn=0), "conn 0"),
    (lambda: Fault.drop(at=1, direction="up"), "direction 'up'"),  # type: ignore[typeddict-item]
    (lambda: Fault.drop(on="response.create", direction="in"), "that the client sends"),
    (lambda: Fault.drop(on="response.done", direction="out"), "that the server sends"),
    (lambda: Fault(kind="drop", at=1, after=True), "after= goes with"),
    (lambda: Fault.cut(at_ms=1, after=True), "after= goes with"),
    (lambda: Fault.delay(0, at=1), "ms 0"),
    (lambda: Fault.delay(math.nan, at=1), "ms nan"),
    (lambda: Fault(kind="delay", at=1), "ms None"),
    (lambda: Fault.stall(-5, at=1), "ms -5"),
    (lambda: Fault.duplicate(0, at=1), "times 0"),
    (lambda: Fault.reorder(-1, at=1), "by -1"),
    (lambda: Fault.corrupt(ANY, at=1), "how None"),
    (lambda: Fault.corrupt("bad_json", field="a", at=1), "field= goes with"),
    (lambda: Fault.close(1006, at=1), "1006 is Fault.cut"),
    (lambda: Fault.close(1011, "x" * 124, at=1), "at most 123 bytes"),
    (lambda: Fault.close(None, "why", at=1), "none without a code"),
    (lambda: Fault.refuse(101), "status 101"),
    (lambda: Fault.refuse(600), "status 600"),
    (lambda: Fault(kind="refuse", status=500, at=1), "placed by conn= alone"),
    (lambda: Fault(kind="explode", at=1), "fault kind 'explode'"),  # type: ignore[arg-type]
]


@pytest.mark.behaviour("fault-bad-place")
@pytest.mark.parametrize(("make", "words"), WRONG)
def test_fault_is_refused_when_its_place_or_value_cannot_be(make: Callable[[], Fault], words: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        make()
    assert words in str(wrong.value)


def test_plan_of_other_things_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        faults(memory_pair()[0], ["drop"])  # type: ignore[list-item]


def test_fault_reads_as_what_it_does_and_shows_no_body() -> None:
    assert str(Fault.cut(on="response.done", nth=2)) == "cut(on='response.done', nth=2, direction='in')"
    refusal = Fault.refuse(401, "canary", headers={"x": "canary"})
    assert str(refusal) == "refuse(status=401)"
    assert "canary" not in repr(refusal)


def test_faults_are_values_that_can_be_compared_and_kept_in_sets() -> None:
    assert Fault.drop(at=1) == Fault.drop(at=1)
    assert len({Fault.drop(at=1), Fault.drop(at=1), Fault.refuse(500, {"a": 1}), Fault.refuse(500, {"a": 1})}) == 2


@pytest.mark.anyio
@pytest.mark.behaviour("fault-trace")
async def test_trace_says_what_was_done_and_report_what_was_not() -> None:
    plan = [Fault.drop(on="a"), Fault.duplicate(at=9), Fault.drop(at=1), Fault.corrupt("bad_json", at=1)]
    async with broken_line(*plan) as (transport, channel, server):
        await server.send(event("a"))
        await server.send(event("b"))
        await channel.receive()
        report = transport.report()
    assert [(done.fault, done.conn, done.direction, done.frame, done.type) for done in report.done] == [
        (plan[0], 1, "in", 1, "a")
    ]
    assert report.unused == tuple(plan[1:])
    assert report.left == ()
    assert "ms connection 1 in #1 a: drop(on='a', direction='in')" in str(report.done[0])


@pytest.mark.anyio
@pytest.mark.behaviour("fault-unused")
@pytest.mark.parametrize("fails", [False, True])
async def test_unused_fault_is_an_error_at_the_end_when_that_is_asked_for(fails: bool) -> None:
    inner, _ = memory_pair()
    transport = faults(inner, [Fault.cut(at=7), Fault.drop(at=8)], fail_unused=fails)
    if not fails:
        async with transport:
            pass
        return
    with pytest.raises(UnusedFaultError) as unused:
        async with transport:
            async with transport.open(REQUEST):
                pass
    assert str(unused.value).splitlines()[:2] == ["2 faults were never reached", "  cut(at=7, direction='in')"]


@pytest.mark.anyio
async def test_unused_faults_do_not_hide_the_error_that_came_first() -> None:
    inner, _ = memory_pair()
    with pytest.raises(KeyError):
        async with faults(inner, [Fault.cut(at=7)], fail_unused=True):
            raise KeyError("first")


@pytest.mark.anyio
async def test_http_passes_untouched() -> None:
    class Http(Transport):
        """Answers HTTP."""

        needs_key = False

        def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
            raise NotImplementedError

        @asynccontextmanager
        async def request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:  # type: ignore[override]
            async def body() -> AsyncIterator[bytes]:
                yield request.body

            yield HttpResponse(200, (), body())

    transport = faults(Http(), [Fault.cut(at_ms=0)])
    async with transport.request(HttpRequest("POST", "https://api.x.ai/v1/models", {}, b"same")) as answer:
        assert await answer.read(100) == b"same"
    assert not transport.needs_key
