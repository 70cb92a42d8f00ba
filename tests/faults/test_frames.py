"""Faults of single frames: dropped, doubled, late, out of order, in both directions."""

from __future__ import annotations

import anyio
import pytest

from tests.faults.lines import REQUEST, all_types, broken_line, event, kind_of, line_of
from xai_realtime.errors import ClosedByServerError, ClosedByUsError, LocalProtocolError
from xai_realtime.frames import Frame
from xai_realtime.transport.faults import Fault
from xai_realtime.virtual_time import run_virtual

pytestmark = pytest.mark.anyio

FRAMES = ["a", "b", "a", "c", "a"]

PLANS = [
    ([Fault.drop(at=2)], "aaca"),
    ([Fault.drop(on="a")], "baca"),
    ([Fault.drop(on="a", nth=3)], "abac"),
    ([Fault.drop(on="a", nth=None)], "bc"),
    ([Fault.drop(at=2), Fault.drop(on="c")], "aaa"),
    ([Fault.duplicate(at=2)], "abbaca"),
    ([Fault.duplicate(3, on="c")], "abacccca"),
    ([Fault.reorder(at=2)], "aabca"),
    ([Fault.reorder(2, at=2)], "aacba"),
    ([Fault.reorder(2, at=1), Fault.reorder(at=2)], "abcaa"),
    ([Fault.reorder(at=2), Fault.duplicate(at=2)], "aabbca"),
    ([Fault.reorder(9, at=2)], "aacab"),
    ([Fault.corrupt("unknown_type", on="b"), Fault.duplicate(on="b")], "a??aca"),
]


def letters(types: list[str]) -> str:
    return "".join(name if len(name) == 1 else "?" for name in types)


@pytest.mark.behaviour("fault-of-a-frame")
@pytest.mark.parametrize(("plan", "arrives"), PLANS)
async def test_fault_takes_its_frame_alone_when_the_server_sends(plan: list[Fault], arrives: str) -> None:
    async with broken_line(*plan) as (transport, channel, server):
        for name in FRAMES:
            await server.send(event(name))
        await server.aclose(1001, "done")
        types, closed = await all_types(channel)
    assert letters(types) == arrives
    assert (type(closed), closed.code) == (ClosedByServerError, 1001)
    assert len({str(injection.fault) for injection in transport.trace}) == len(plan)


@pytest.mark.behaviour("fault-of-a-frame")
@pytest.mark.parametrize(("plan", "arrives"), PLANS)
async def test_fault_takes_its_frame_alone_when_the_client_sends(plan: list[Fault], arrives: str) -> None:
    out = [
        Fault(
            kind=fault.kind,
            direction="out",
            at=fault.at,
            on=fault.on,
            nth=fault.nth,
            count=fault.count,
            how=fault.how,
        )
        for fault in plan
    ]
    async with broken_line(*out) as (_, channel, server):
        for name in FRAMES:
            await channel.send(event(name))
        await channel.aclose(1000)
        types, closed = await all_types(server)
    assert letters(types) == arrives
    assert closed.code == 1000


async def test_direction_follows_from_the_event_type_when_the_spec_knows_it() -> None:
    async with broken_line(Fault.drop(on="response.create"), Fault.drop(on="response.done")) as (_, channel, server):
        for name in ("response.create", "response.cancel"):
            await channel.send(event(name))
        for name in ("response.done", "ping"):
            await server.send(event(name))
        assert kind_of(await server.receive()) == "response.cancel"
        assert kind_of(await channel.receive()) == "ping"


@pytest.mark.behaviour("fault-per-connection")
async def test_fault_takes_the_connection_it_is_placed_on_and_none_means_each_apart() -> None:
    plan = [Fault.drop(at=1, conn=2), Fault.drop(on="b", conn=None)]
    async with line_of(*plan) as (transport, opened):
        seen = []
        for _ in range(3):
            async with transport.open(REQUEST) as channel:
                _, server = await opened.accept()
                for name in "abb":
                    await server.send(event(name))
                await server.aclose()
                seen.append("".join((await all_types(channel))[0]))
    assert seen == ["ab", "b", "ab"]
    assert [injection.conn for injection in transport.trace] == [1, 2, 2, 3]


async def test_binary_frames_are_counted_and_dropped_like_text() -> None:
    async with broken_line(Fault.drop(at=2), Fault.drop(on="b")) as (_, channel, server):
        for frame in (Frame(b"\1", False), Frame(b"\2", False), Frame(b"no json"), Frame(b"[]"), event("b")):
            await server.send(frame)
        await server.send(event("c"))
        assert [await channel.receive() for _ in range(4)] == [
            Frame(b"\1", False),
            Frame(b"no json"),
            Frame(b"[]"),
            event("c"),
        ]


async def test_second_receiver_is_told_that_another_task_is_receiving() -> None:
    async with broken_line() as (_, channel, server), anyio.create_task_group() as group:
        group.start_soon(channel.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError):
            await channel.receive()
        await server.send(event("a"))


@pytest.mark.behaviour("fault-cancel-safe")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("plan", [[], [Fault.delay(100, at=2)], [Fault.stall(100, at=2)], [Fault.reorder(at=2)]])
def test_no_frame_is_lost_when_receives_are_cancelled_all_the_time(plan: list[Fault], backend: str) -> None:
    async def main() -> str:
        seen = ""
        async with broken_line(*plan) as (_, channel, server):
            for name in "abcd":
                await server.send(event(name))
            while len(seen) < 4:
                with anyio.move_on_after(0.03):
                    seen += kind_of(await channel.receive())
        return seen

    assert run_virtual(main, backend=backend) == ("acbd" if plan and plan[0].kind == "reorder" else "abcd")


@pytest.mark.behaviour("fault-delay-keeps-order")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_delayed_frame_holds_up_what_is_behind_it_and_nothing_else(backend: str) -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []
        async with broken_line(Fault.delay(250, at=2)) as (_, channel, server):

            async def serve() -> None:
                for name in "abcd":
                    await server.send(event(name))
                    await anyio.sleep(0.1)

            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                for _ in range(4):
                    name = kind_of(await channel.receive())
                    seen.append((name, round(anyio.current_time(), 6)))
        return seen

    assert run_virtual(main, backend=backend) == [("a", 0.0), ("b", 0.35), ("c", 0.35), ("d", 0.35)]


@pytest.mark.behaviour("fault-delay-keeps-order")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_delay_of_every_frame_is_a_latency_and_no_limit_of_the_rate(backend: str) -> None:
    async def main() -> list[float]:
        times = []
        async with broken_line(Fault.delay(500, on="a", nth=None)) as (_, channel, server):

            async def serve() -> None:
                for _ in range(4):
                    await server.send(event("a"))
                    await anyio.sleep(0.1)
                await server.aclose()

            async with anyio.create_task_group() as group:
                group.start_soon(serve)
                for _ in range(4):
                    await channel.receive()
                    times.append(round(anyio.current_time(), 6))
                with pytest.raises(ClosedByServerError):
                    await channel.receive()
        return times

    assert run_virtual(main, backend=backend) == [0.5, 0.6, 0.7, 0.8]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_delayed_send_holds_up_the_sends_behind_it(backend: str) -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []
        async with broken_line(Fault.delay(250, at=1, direction="out")) as (_, channel, server):
            async with anyio.create_task_group() as group:
                group.start_soon(channel.send, event("a"))
                await anyio.sleep(0.1)
                group.start_soon(channel.send, event("b"))
                for _ in range(2):
                    name = kind_of(await server.receive())
                    seen.append((name, round(anyio.current_time(), 6)))
        return seen

    assert run_virtual(main, backend=backend) == [("a", 0.25), ("b", 0.25)]


async def test_frames_held_back_are_let_go_when_the_client_closes_and_the_server_is_gone_already() -> None:
    async with broken_line(Fault.reorder(5, at=1, direction="out")) as (_, channel, server):
        await channel.send(event("a"))
        server.break_off()
        await channel.aclose()
        with pytest.raises(ClosedByUsError):
            await channel.receive()
