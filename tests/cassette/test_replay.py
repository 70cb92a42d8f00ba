"""A tape as a Transport: one order of sends and receives, and replays in which both sides wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.tapes import (
    BACKENDS,
    REQUEST,
    Close,
    In,
    Out,
    append,
    event,
    heard,
    make_tape,
    message,
    on,
    talk,
)
from xai_realtime.cassette.replay import ReplayTransport, replay
from xai_realtime.cassette.tape import Cassette
from xai_realtime.errors import (
    ConfigurationError,
    LocalProtocolError,
    ReplayOrderError,
    ReplayStuckError,
)
from xai_realtime.transport.base import Channel
from xai_realtime.virtual_time import run_virtual

# The order.


async def say_all(channel: Channel, log: list[str], yields: int = 0) -> None:
    for name in "123":
        for _ in range(yields):
            await anyio.lowlevel.checkpoint()
        await channel.send(message(event(name)))
        log.append(name)


async def hear_all(channel: Channel, log: list[str], yields: int = 0) -> None:
    for _ in "abcde":
        log.append(await heard(channel))
        for _ in range(yields):
            await anyio.lowlevel.checkpoint()


async def order_of(tape: Cassette, writer_yields: int, reader_yields: int) -> tuple[str, tuple[int, ...]]:
    log: list[str] = []
    async with replay(tape) as transport, transport.open(REQUEST) as channel:
        async with anyio.create_task_group() as group:
            group.start_soon(say_all, channel, log, writer_yields)
            group.start_soon(hear_all, channel, log, reader_yields)
    return "".join(log), transport.report().waited


@pytest.mark.anyio
@pytest.mark.behaviour("replay-one-order")
@pytest.mark.parametrize("writer_yields", [0, 1, 7])
@pytest.mark.parametrize("reader_yields", [0, 1, 7])
async def test_replay_has_one_order_when_another_task_writes_eagerly_or_yields(
    tmp_path: Path, writer_yields: int, reader_yields: int
) -> None:
    tape = talk(tmp_path)
    with anyio.fail_after(5):
        orders = [await order_of(tape, writer_yields, reader_yields) for _ in range(20)]
    assert {order for order, _ in orders} == {"a1bc2d3e"}
    assert all(set(waited) <= {4, 7, 9} for _, waited in orders)
    assert any(waited for _, waited in orders) or reader_yields <= writer_yields


@pytest.mark.anyio
async def test_report_names_the_lines_of_the_sends_that_waited(tmp_path: Path) -> None:
    log: list[str] = []
    with anyio.fail_after(5):
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(say_all, channel, log)
                for count in (1, 2, 1, 1):
                    await anyio.wait_all_tasks_blocked()
                    for _ in range(count):
                        log.append(await heard(channel))
    assert "".join(log) == "a1bc2d3e"
    assert transport.report().waited == (4, 7, 9)


@BACKENDS
@pytest.mark.behaviour("replay-one-order")
@pytest.mark.parametrize("writer_yields", [0, 7])
def test_replay_has_the_same_order_in_virtual_time(tmp_path: Path, backend: Any, writer_yields: int) -> None:
    tape = talk(tmp_path)
    for _ in range(10):
        order, _ = run_virtual(order_of, tape, writer_yields, 3, backend=backend)
        assert order == "a1bc2d3e"


@pytest.mark.anyio
async def test_send_does_not_wait_when_its_own_task_is_the_reader(tmp_path: Path) -> None:
    with anyio.fail_after(0.9):
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            log = [await heard(channel)]
            for name in "123":
                await channel.send(message(event(name)))
            log += [await heard(channel) for _ in "bcde"]
    assert log == ["a", "b", "c", "d", "e"]
    assert transport.report().waited == ()
    assert (transport.report().sent, transport.report().received, transport.report().connections) == (3, 5, 1)


@pytest.mark.behaviour("replay-ahead-waits-at-most-a-second")
@BACKENDS
def test_send_ahead_waits_one_second_for_a_reader_on_a_real_clock(
    tmp_path: Path, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xai_realtime.cassette._channel.time_is_virtual", lambda: False)

    async def main() -> list[float]:
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            times = []
            for name in "123":
                await channel.send(message(event(name)))
                times.append(round(anyio.current_time(), 3))
            assert transport.report().waited == (4,)
            assert [await heard(channel) for _ in "abcde"] == ["a", "b", "c", "d", "e"]
        return times

    assert on(backend, main) == [1.0, 1.0, 1.0]


@BACKENDS
def test_send_ahead_waits_again_once_something_was_read(
    tmp_path: Path, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xai_realtime.cassette._channel.time_is_virtual", lambda: False)

    async def main() -> None:
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            await channel.send(message(event("1")))
            async with anyio.create_task_group() as group:
                group.start_soon(heard, channel)
            await channel.send(message(event("2")))
            await channel.send(message(event("3")))
            assert transport.report().waited == (4, 7)
            assert anyio.current_time() == pytest.approx(2.0)
            assert [await heard(channel) for _ in "bcde"] == ["b", "c", "d", "e"]

    on(backend, main)


@BACKENDS
def test_send_ahead_is_let_through_when_virtual_time_finds_everything_idle(tmp_path: Path, backend: Any) -> None:
    async def main() -> float:
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            for name in "123":
                await channel.send(message(event(name)))
            assert [await heard(channel) for _ in "abcde"] == ["a", "b", "c", "d", "e"]
            assert transport.report().waited == (4,)
        return anyio.current_time()

    assert on(backend, main) < 0.001


@pytest.mark.anyio
@pytest.mark.behaviour("replay-strict-order")
async def test_send_ahead_is_an_error_under_strict_order(tmp_path: Path) -> None:
    tape = talk(tmp_path)
    with anyio.fail_after(5):
        transport = replay(tape, strict_order=True)
        async with transport.open(REQUEST) as channel:
            with pytest.raises(ReplayOrderError, match="ahead of 1 unread frames") as caught:
                await channel.send(message(event("1")))
            assert (caught.value.path, caught.value.line) == (str(tape.path), 4)
            assert await heard(channel) == "a"
            await channel.send(message(event("1")))
            assert [await heard(channel), await heard(channel)] == ["b", "c"]


@pytest.mark.anyio
async def test_cancelled_send_and_receive_leave_the_tape_where_it_was(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            for wait in (channel.receive, lambda: channel.send(message(event("1")))):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await wait()
            assert transport.report().received == transport.report().sent == 0
            log: list[str] = []
            async with anyio.create_task_group() as group:
                group.start_soon(hear_all, channel, log)
                await say_all(channel, log)
    assert "".join(log) == "a1bc2d3e"


@pytest.mark.anyio
async def test_cancelled_wait_for_a_turn_leaves_the_tape_where_it_was(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with replay(talk(tmp_path)) as transport, transport.open(REQUEST) as channel:
            with anyio.move_on_after(0.01):
                await channel.send(message(event("1")))
            assert transport.report().sent == 0
            async with anyio.create_task_group() as group:
                log: list[str] = []
                group.start_soon(hear_all, channel, log)
                await say_all(channel, log)
    assert "".join(log) == "a1bc2d3e"


@pytest.mark.anyio
async def test_only_one_task_receives_at_a_time(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        transport = replay(talk(tmp_path))
        async with transport.open(REQUEST) as channel:
            await channel.receive()
            async with anyio.create_task_group() as group:
                group.start_soon(heard, channel)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(LocalProtocolError, match="another task"):
                    await channel.receive()
                await channel.send(message(event("1")))


# Both sides wait.


@BACKENDS
@pytest.mark.behaviour("replay-stuck-names-both-frames")
def test_stuck_replay_names_the_frame_each_side_waits_for(tmp_path: Path, backend: Any) -> None:
    tape = talk(tmp_path)

    async def main() -> None:
        async with replay(tape) as transport, transport.open(REQUEST) as channel:
            await channel.receive()
            await channel.receive()

    with pytest.raises(ReplayStuckError) as caught:
        on(backend, main)
    assert caught.value.reason == "stuck: receiving waits for b (line 5), which waits for the client to send 1 (line 4)"
    assert str(caught.value).startswith(f"{tape.path}:4: stuck")


@pytest.mark.parametrize(
    ("entries", "said", "words"),
    [
        ([Out(event("1"))], 0, "waits for the end of the tape, which waits for the client to send 1"),
        (
            [Out(event("1")), Close("server", 1011)],
            0,
            "waits for the close .line 4., which waits for the client to send 1",
        ),
        ([Close("client")], 0, "the tape ends here with the client closing"),
        (
            [Out(append(b"\1\2\3\4")), In(event("a"))],
            2,
            "waits for a .line 4., which waits .* to send 2 bytes of audio",
        ),
    ],
)
def test_stuck_replay_says_what_is_missing(tmp_path: Path, entries: list[Any], said: int, words: str) -> None:
    tape = make_tape(tmp_path / "t.jsonl", *entries)

    async def main() -> None:
        async with replay(tape) as transport, transport.open(REQUEST) as channel:
            if said:
                await channel.send(message(append(b"\1\2\3\4"[:said])))
            await channel.receive()

    with pytest.raises(ReplayStuckError, match=words):
        on("asyncio", main)


@BACKENDS
@pytest.mark.behaviour("replay-stuck-is-bounded")
@pytest.mark.parametrize(
    ("clock", "is_virtual", "timeout_s", "due_s"),
    [
        ("instant", True, None, 30.0),
        ("instant", False, None, 5.0),
        ("instant", False, 0.25, 0.25),
        ("virtual", True, None, 130.0),
        ("virtual", True, 1.0, 101.0),
        ("real", False, None, 105.0),
    ],
)
def test_stuck_replay_ends_a_stated_time_after_the_client_was_due(
    tmp_path: Path,
    backend: Any,
    clock: Any,
    is_virtual: bool,
    timeout_s: float | None,
    due_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not is_virtual:
        monkeypatch.setattr("xai_realtime.cassette._channel.time_is_virtual", lambda: False)
    tape = make_tape(tmp_path / "t.jsonl", In(event("a"), at_ms=10), Out(event("1"), at_ms=100_000))

    async def heartbeat() -> None:
        for _ in range(1000):
            await anyio.sleep(0.2)

    async def main() -> float:
        async with anyio.create_task_group() as group:
            group.start_soon(heartbeat)
            transport = replay(tape, clock=clock, stuck_timeout_s=timeout_s)
            async with transport.open(REQUEST) as channel:
                await channel.receive()
                with pytest.raises(ReplayStuckError):
                    await channel.receive()
                group.cancel_scope.cancel()
                return anyio.current_time()

    assert on(backend, main) == pytest.approx(due_s, abs=0.011)


@BACKENDS
@pytest.mark.parametrize(
    ("entries", "due_s"),
    [
        ([Out(append(b"\1\2"), at_ms=1000), Out(append(b"\3\4"), at_ms=3000)], 33.0),
        ([Out(append(b"\1\2"), at_ms=1000), Close("client", at_ms=7000)], 37.0),
    ],
)
def test_stuck_replay_counts_from_the_next_audio_or_close(
    tmp_path: Path, backend: Any, entries: list[Any], due_s: float
) -> None:
    async def main() -> float:
        async with replay(make_tape(tmp_path / "t.jsonl", *entries), clock="virtual").open(REQUEST) as channel:
            await anyio.sleep(1)
            await channel.send(message(append(b"\1\2")))
            with pytest.raises(ReplayStuckError):
                await channel.receive()
            return anyio.current_time()

    assert on(backend, main) == pytest.approx(due_s, abs=0.001)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clock": "fast"}, "allowed are instant, real, virtual"),
        ({"scale": 0}, "over 0"),
        ({"scale": float("nan")}, "over 0"),
        ({"scale": float("inf")}, "over 0"),
        ({"ids": "own"}, "allowed are canonical, fresh"),
        ({"stuck_timeout_s": 0}, "over 0"),
        ({"stuck_timeout_s": float("inf")}, "over 0"),
    ],
)
def test_replay_names_the_setting_that_is_wrong(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        replay(talk(tmp_path), **options)


def test_replay_takes_a_path_and_shows_the_header(tmp_path: Path) -> None:
    transport = replay(talk(tmp_path).path)
    assert isinstance(transport, ReplayTransport)
    assert transport.header == transport.cassette.header
    assert not transport.needs_key
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none.jsonl")
