"""Faults of the line: closed, cut, stalled, refused."""

from __future__ import annotations

import anyio
import pytest

from tests.faults.lines import REQUEST, all_types, broken_line, event, kind_of, line_of
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    RedirectRefusedError,
)
from xai_realtime.transport.base import Channel
from xai_realtime.transport.faults import Fault
from xai_realtime.virtual_time import run_virtual

pytestmark = pytest.mark.anyio

CLOSE = Fault.close(1011, "internal", at=2)
CUT = Fault.cut(at=2)


@pytest.mark.behaviour("fault-errors-are-those-of-a-live-line")
@pytest.mark.parametrize(
    ("fault", "heard", "error", "code"),
    [
        (CLOSE, ["a"], ClosedByServerError, 1011),
        (CUT, ["a"], ConnectionBrokenError, None),
        (Fault.close(None, at=1), [], ClosedByServerError, None),
        (Fault.close(1001, on="b", after=True), ["a", "b"], ClosedByServerError, 1001),
        (Fault.cut(on="b", after=True), ["a", "b"], ConnectionBrokenError, None),
    ],
)
async def test_line_ends_at_its_frame_and_what_came_before_is_read(
    fault: Fault, heard: list[str], error: type[ConnectionClosedError], code: int | None
) -> None:
    async with broken_line(fault) as (_, channel, server):
        for name in "abc":
            await server.send(event(name))
        types, closed = await all_types(channel)
        assert (types, type(closed), closed.code) == (heard, error, code)
        for attempt in (channel.receive, lambda: channel.send(event("x"))):
            with pytest.raises(error) as again:
                await attempt()
            assert (again.value.code, again.value.reason) == (closed.code, closed.reason)


@pytest.mark.parametrize(("fault", "left"), [(CLOSE, ClosedByServerError), (CUT, ConnectionBrokenError)])
async def test_server_learns_that_the_line_is_gone(fault: Fault, left: type[ConnectionClosedError]) -> None:
    async with broken_line(fault) as (_, channel, server):
        await server.send(event("a"))
        await server.send(event("b"))
        await all_types(channel)
        with pytest.raises(left):
            await server.receive()


@pytest.mark.parametrize("after", [False, True])
async def test_reader_wakes_when_the_line_ends_at_a_frame_of_the_client(after: bool) -> None:
    fault = Fault.cut(on="response.create", after=after)
    ends: list[ConnectionClosedError] = []

    async def read(channel: Channel) -> None:
        ends.append((await all_types(channel))[1])

    async with broken_line(fault) as (_, channel, server), anyio.create_task_group() as group:
        group.start_soon(read, channel)
        await anyio.wait_all_tasks_blocked()
        if after:
            await channel.send(event("response.create"))
            assert kind_of(await server.receive()) == "response.create"
        else:
            with pytest.raises(ConnectionBrokenError):
                await channel.send(event("response.create"))
    assert [type(end) for end in ends] == [ConnectionBrokenError]


@pytest.mark.behaviour("fault-on-time")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["cut", "close"])
def test_line_ends_at_its_very_time_while_the_client_waits(backend: str, kind: str) -> None:
    fault = Fault.cut(at_ms=1200) if kind == "cut" else Fault.close(1012, at_ms=1200)

    async def main() -> tuple[list[str], float, int | None]:
        async with broken_line(fault) as (_transport, channel, server):

            async def serve() -> None:
                while True:
                    try:
                        await server.send(event("ping"))
                    except ConnectionClosedError:
                        return
                    await anyio.sleep(0.5)

            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                types, closed = await all_types(channel)
                return types, round(anyio.current_time(), 6), closed.code

    code = None if kind == "cut" else 1012
    assert run_virtual(main, backend=backend) == (["ping"] * 3, 1.2, code)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_frames_that_are_late_are_lost_when_the_line_is_cut_before_they_arrive(backend: str) -> None:
    plan = [Fault.delay(300, at=2), Fault.cut(at_ms=100)]

    async def main() -> tuple[list[str], float]:
        async with broken_line(*plan) as (_, channel, server):
            for name in "abc":
                await server.send(event(name))
            types, _ = await all_types(channel)
            return types, round(anyio.current_time(), 6)

    assert run_virtual(main, backend=backend) == (["a"], 0.1)


@pytest.mark.behaviour("fault-stall")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (Fault.stall(1000, at=2), [0.0, 1.1, 1.1, 1.1]),
        (Fault.stall(1000, at=2, after=True), [0.0, 0.1, 1.1, 1.1]),
        (Fault.stall(1000, at_ms=150), [0.0, 0.1, 1.15, 1.15]),
    ],
)
def test_stall_holds_what_comes_for_its_time_and_then_lets_all_go(
    backend: str, fault: Fault, times: list[float]
) -> None:
    async def main() -> list[float]:
        seen = []
        async with broken_line(fault) as (_, channel, server):

            async def serve() -> None:
                for name in "abcd":
                    await server.send(event(name))
                    await anyio.sleep(0.1)

            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                for _ in range(4):
                    await channel.receive()
                    seen.append(round(anyio.current_time(), 6))
        return seen

    assert run_virtual(main, backend=backend) == times


@pytest.mark.behaviour("fault-stall")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("place", [{"at": 1}, {"at_ms": 0}])
def test_stalled_sends_wait_and_then_pass_in_order(backend: str, place: dict[str, int]) -> None:
    async def main() -> list[tuple[str, float]]:
        seen = []
        async with broken_line(Fault.stall(700, direction="out", **place)) as (_, channel, server):  # type: ignore[arg-type]
            async with anyio.create_task_group() as group:
                for name in "ab":
                    group.start_soon(channel.send, event(name))
                    await anyio.sleep(0.01)
                for _ in range(2):
                    seen.append((kind_of(await server.receive()), round(anyio.current_time(), 6)))
        return seen

    assert run_virtual(main, backend=backend) == [("a", 0.7), ("b", 0.7)]


@pytest.mark.behaviour("fault-stall")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_stall_for_ever_is_bounded_by_the_client_alone_and_a_close_ends_it(backend: str) -> None:
    async def main() -> tuple[float, list[str]]:
        ends = []
        async with broken_line(Fault.stall(at=1), Fault.stall(at=1, direction="out")) as (_, channel, server):
            await server.send(event("a"))
            with anyio.move_on_after(3) as waited:
                await channel.receive()
            assert waited.cancelled_caught

            async def read() -> None:
                with pytest.raises(ClosedByUsError):
                    await channel.receive()
                ends.append("read")

            async def send() -> None:
                with pytest.raises(ClosedByUsError):
                    await channel.send(event("x"))
                ends.append("send")

            async with anyio.create_task_group() as group:
                group.start_soon(read)
                group.start_soon(send)
                await anyio.sleep(0.5)
                await channel.aclose()
        return round(anyio.current_time(), 6), sorted(ends)

    assert run_virtual(main, backend=backend) == (3.5, ["read", "send"])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_stall_and_close_on_one_frame_close_when_the_stall_is_over(backend: str) -> None:
    async def main() -> tuple[list[str], float]:
        async with broken_line(Fault.stall(400, at=2), CLOSE, Fault.cut(at_ms=100)) as (transport, channel, server):
            await server.send(event("a"))
            await server.send(event("b"))
            types, closed = await all_types(channel)
            assert closed.code == 1011
        assert [injection.fault.kind for injection in transport.trace] == ["stall", "close"]
        return types, round(anyio.current_time(), 6)

    assert run_virtual(main, backend=backend) == (["a"], 0.4)


@pytest.mark.behaviour("fault-refuse")
@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (429, {"code": "limit", "error": "too many connections"}, "limit", "too many connections"),
        (503, "overloaded", None, "overloaded"),
        (500, b"", None, None),
        (401, {"error": {"code": "no_key", "message": "no key"}}, "no_key", "no key"),
    ],
)
async def test_handshake_is_refused_as_a_server_does_and_the_next_one_is_not(
    status: int, body: dict[str, str] | str | bytes, code: str | None, message: str | None
) -> None:
    async with line_of(Fault.refuse(status, body, headers={"Retry-After": "2"})) as (transport, server):
        with pytest.raises(HandshakeError) as refused:
            async with transport.open(REQUEST):
                raise AssertionError("it is never open")
        error = refused.value
        assert (error.status, error.code, error.message, error.headers) == (status, code, message, {"retry-after": "2"})
        async with transport.open(REQUEST) as channel:
            _, peer = await server.accept()
            await peer.send(event("a"))
            assert kind_of(await channel.receive()) == "a"


async def test_every_handshake_is_refused_when_the_fault_names_no_connection() -> None:
    async with line_of(Fault.refuse(503, conn=None)) as (transport, _):
        for _ in range(3):
            with pytest.raises(HandshakeError):
                async with transport.open(REQUEST):
                    raise AssertionError("it is never open")
    assert [(injection.conn, injection.frame) for injection in transport.trace] == [(1, 0), (2, 0), (3, 0)]


async def test_redirect_is_refused_as_on_a_live_line() -> None:
    async with line_of(Fault.refuse(302, headers={"Location": "https://other.example"})) as (transport, _):
        with pytest.raises(RedirectRefusedError):
            async with transport.open(REQUEST):
                raise AssertionError("it is never open")
