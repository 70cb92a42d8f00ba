"""Faults around a tape, a recording and both: equal on both event loops, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.lines import REQUEST, all_types, broken_line, event, kind_of
from tests.tapes import URL, Close, In, Out, make_tape, message
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.errors import ConnectionClosedError, ReplayIncompleteError
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.faults import Fault, FaultTransport, faults
from xai_realtime.transport.memory import memory_pair
from xai_realtime.virtual_time import run_virtual

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
OPEN = ChannelRequest(URL)


def tape_of(folder: Path) -> Cassette:
    return make_tape(
        folder / "t.jsonl",
        In({"type": "session.created"}, 0),
        Out({"type": "response.create"}, 100),
        In({"type": "response.created"}, 200),
        In({"type": "ping"}, 300),
        In({"type": "response.done"}, 1000),
        Close("server", 1001, "bye", at_ms=1500),
    )


async def talk(transport: Transport, think_s: float = 0.0) -> tuple[list[tuple[str, float]], ConnectionClosedError]:
    """One question; what came, when, and the end."""
    seen: list[tuple[str, float]] = []
    async with transport, transport.open(OPEN) as channel:
        begin = anyio.current_time()
        try:
            while True:
                name = kind_of(await channel.receive())
                seen.append((name, round((anyio.current_time() - begin) * 1000)))
                if name == "session.created":
                    await anyio.sleep(think_s)
                    await channel.send(message({"type": "response.create"}))
        except ConnectionClosedError as closed:
            return seen, closed


OPENED, CREATED, PING, DONE = (
    ("session.created", 0),
    ("response.created", 200),
    ("ping", 300),
    ("response.done", 1000),
)


@BACKENDS
@pytest.mark.behaviour("fault-on-time")
@pytest.mark.parametrize(
    ("plan", "seen", "code"),
    [
        ([], [OPENED, CREATED, PING, DONE], 1001),
        ([Fault.cut(at_ms=0)], [OPENED], None),
        ([Fault.cut(at_ms=300)], [OPENED, CREATED, PING], None),
        ([Fault.cut(at_ms=299)], [OPENED, CREATED], None),
        ([Fault.cut(at_ms=1499)], [OPENED, CREATED, PING, DONE], None),
        ([Fault.drop(at_ms=300)], [OPENED, CREATED, DONE], 1001),
        ([Fault.stall(500, on="ping")], [OPENED, CREATED, ("ping", 800), DONE], 1001),
        ([Fault.stall(500, at_ms=900)], [OPENED, CREATED, PING, ("response.done", 1400)], 1001),
        ([Fault.close(1013, on="response.done")], [OPENED, CREATED, PING], 1013),
        ([Fault.close(1013, at_ms=150), Fault.cut(on="response.create", conn=None)], [OPENED], None),
    ],
)
def test_taped_call_breaks_at_the_same_time_on_both_loops(
    tmp_path: Path, backend: str, plan: list[Fault], seen: list[tuple[str, float]], code: int | None
) -> None:
    transport = faults(replay(tape_of(tmp_path), clock="virtual"), plan)
    heard, closed = run_virtual(lambda: talk(transport, 0.1), backend=backend)
    assert (heard, closed.code) == (seen, code)
    assert bool(transport.trace) == bool(plan)


@BACKENDS
def test_fault_keeps_to_the_tapes_time_when_the_client_is_quicker_than_the_recording(
    tmp_path: Path, backend: str
) -> None:
    """The send comes 100 ms earlier than recorded, and all that follows from it does."""
    plan = [Fault.cut(at_ms=650)]
    transport = faults(replay(tape_of(tmp_path), clock="virtual"), plan)

    async def main() -> tuple[list[tuple[str, float]], float]:
        heard, _ = await talk(transport)
        return heard, round(anyio.current_time() * 1000, 3)

    assert run_virtual(main, backend=backend) == ([OPENED, ("response.created", 100), ("ping", 200)], 550)
    assert [injection.at_ms for injection in transport.trace] == [650]


@BACKENDS
def test_client_that_lags_still_reads_what_came_before_the_cut(tmp_path: Path, backend: str) -> None:
    transport = faults(replay(tape_of(tmp_path), clock="virtual"), [Fault.cut(at_ms=400)])

    async def main() -> tuple[list[str], ConnectionClosedError]:
        async with transport, transport.open(OPEN) as channel:
            await channel.receive()
            await channel.send(message({"type": "response.create"}))
            await anyio.sleep(5)
            return await all_types(channel)

    types, closed = run_virtual(main, backend=backend)
    assert (types, closed.code) == (["response.created", "ping"], None)


@pytest.mark.anyio
@pytest.mark.behaviour("fault-on-time")
@pytest.mark.parametrize(
    ("at_ms", "types", "code"), [(300, 3, None), (299, 2, None), (301, 3, None), (0, 1, None), (1000, 4, 1001)]
)
async def test_instant_replay_has_the_tapes_time_for_faults(
    tmp_path: Path, at_ms: float, types: int, code: int | None
) -> None:
    """A fault behind the last frame is never reached: nothing tells that its time is past."""
    transport = faults(replay(tape_of(tmp_path)), [Fault.cut(at_ms=at_ms)])
    with anyio.fail_after(5):
        heard, closed = await talk(transport, 0.01)
    assert (len(heard), closed.code) == (types, code)
    assert bool(transport.report().unused) == (code is not None)


@pytest.mark.anyio
@pytest.mark.behaviour("fault-left-over")
async def test_tape_that_a_fault_cut_short_is_no_error_and_its_rest_is_listed(tmp_path: Path) -> None:
    transport = faults(replay(tape_of(tmp_path)), [Fault.cut(on="ping")])
    with anyio.fail_after(5):
        await talk(transport)
    assert transport.report().left == ("response.done (line 7)",)


@pytest.mark.anyio
@pytest.mark.behaviour("fault-left-over")
async def test_tape_that_the_client_left_unread_is_an_error_though_a_fault_was_done(tmp_path: Path) -> None:
    with pytest.raises(ReplayIncompleteError):
        async with faults(replay(tape_of(tmp_path)), [Fault.duplicate(at=1)]) as transport:
            async with transport.open(OPEN) as channel:
                for _ in range(2):
                    await channel.receive()


@BACKENDS
def test_recording_of_a_broken_tape_says_that_it_is_derived_and_plays_as_it_broke(tmp_path: Path, backend: str) -> None:
    source = tape_of(tmp_path)
    plan = [Fault.drop(on="ping"), Fault.duplicate(on="response.created"), Fault.cut(on="response.done", after=True)]
    paths = []
    for name in "ab":
        recording = record(tmp_path / f"{name}.jsonl", faults(replay(source, clock="virtual"), plan))
        heard, _ = run_virtual(lambda transport=recording: talk(transport), backend=backend)  # type: ignore[misc]
        paths.append(recording.path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    tape = load_cassette(paths[0])
    assert tape.header.origin == "derived"
    again, closed = run_virtual(lambda: talk(replay(tape, clock="virtual")), backend=backend)
    assert again == heard
    assert closed.code is None


@pytest.mark.anyio
async def test_recording_inside_holds_what_the_server_sent_and_outside_what_the_client_got(tmp_path: Path) -> None:
    inner, server = memory_pair()
    broken: FaultTransport = faults(record(tmp_path / "in.jsonl", inner), [Fault.drop(on="b")])
    with anyio.fail_after(5):
        async with record(tmp_path / "out.jsonl", broken) as transport, transport.open(REQUEST) as channel:
            _, peer = await server.accept()
            for name in "abc":
                await peer.send(event(name))
            await peer.aclose()
            await all_types(channel)
    kinds = [
        [record.type for record in load_cassette(tmp_path / f"{name}.jsonl").connections[1].frames]
        for name in ("in", "out")
    ]
    assert kinds == [["a", "b", "c"], ["a", "c"]]


PLACES = st.one_of(
    st.builds(lambda at, way: {"at": at, "direction": way}, st.integers(1, 6), st.sampled_from(["in", "out"])),
    st.builds(lambda on, nth: {"on": on, "nth": nth}, st.sampled_from("ab"), st.integers(1, 3)),
    st.builds(lambda ms: {"at_ms": ms}, st.integers(0, 800)),
)


def build(kind: str, place: dict[str, Any], number: int) -> Fault:
    if kind in ("delay", "stall"):
        return Fault(kind=kind, ms=100.0 * number, **place)  # type: ignore[arg-type]
    if kind in ("duplicate", "reorder"):
        return Fault(kind=kind, count=number, **place)  # type: ignore[arg-type]
    if kind == "corrupt":
        return Fault.corrupt("unknown_type", **place)
    return Fault(kind=kind, **place)  # type: ignore[arg-type]


KINDS = ["drop", "delay", "duplicate", "reorder", "corrupt", "close", "cut", "stall"]
PLANS = st.lists(st.builds(build, st.sampled_from(KINDS), PLACES, st.integers(1, 3)), max_size=6)


async def converse(plan: list[Fault]) -> tuple[list[tuple[str, float]], list[tuple[str, float]], list[str]]:
    """Both sides say a, b, a, b, a, b a tenth of a second apart; what each hears, when, and the trace."""
    heard: tuple[list[tuple[str, float]], ...] = ([], [])

    async def hear(side: int, channel: Channel) -> None:
        try:
            while True:
                frame = await channel.receive()
                heard[side].append((kind_of(frame), round(anyio.current_time(), 6)))
        except ConnectionClosedError:
            return

    async def say(channel: Channel) -> None:
        try:
            for name in "ababab":
                await channel.send(event(name))
                await anyio.sleep(0.1)
        except ConnectionClosedError:
            return

    async with broken_line(*plan) as (transport, channel, server):
        async with anyio.create_task_group() as group:
            for side, end in enumerate((channel, server)):
                group.start_soon(hear, side, end)
            for end in (channel, server):
                group.start_soon(say, end)
            await anyio.sleep(4)
            await channel.aclose()
    return *heard, [str(injection) for injection in transport.trace]  # type: ignore[return-value]


@pytest.mark.behaviour("fault-trace")
@settings(max_examples=60, deadline=None)
@given(PLANS)
def test_any_plan_breaks_a_conversation_the_same_way_in_every_run_and_ends(plan: list[Fault]) -> None:
    runs = [run_virtual(converse, plan, backend="asyncio") for _ in range(2)]
    assert runs[0] == runs[1]
