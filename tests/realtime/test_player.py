"""Playing a whole tape through the typed client: what it counts, shows, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import Close, In, Open, Out, append, make_tape
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.tape import Cassette
from xai_realtime.errors import (
    ClosedByServerError,
    ConnectionClosedError,
    HandshakeError,
    ReplayIncompleteError,
    ReplayMismatchError,
)
from xai_realtime.frames import Frame
from xai_realtime.player import Moment, play
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

pytestmark = pytest.mark.anyio


def mixed(folder: Path) -> Cassette:
    return make_tape(
        folder / "t.jsonl",
        In({"type": "session.created", "session": {"id": "session_1"}}),
        Out({"type": "response.create"}),
        Out({"type": "response.create", "new": 1}),
        Out({"type": "unheard.of"}),
        Out(append(b"\1\2")),
        Out(Frame(b"\3\4", False)),
        Out(Frame(b"no json")),
        In({"type": "unheard.of"}),
        In({"type": "response.done"}),
        In({"type": "ping"}),
        Close(),
    )


async def test_playing_counts_what_passed_and_tells_every_moment_in_order(tmp_path: Path) -> None:
    moments: list[Moment] = []
    with anyio.fail_after(5):
        playback = await play(mixed(tmp_path), observer=moments.append)
    report = playback.to_json()
    wanted = {
        "connections": 1,
        "received": 4,
        "sent": 6,
        "unknown_events": 1,
        "invalid_events": 1,
        "unread": 0,
        "unsent": 0,
    }
    assert {name: report[name] for name in wanted} == wanted
    assert playback.untyped_sends == 2
    assert (report["origin"], report["tape_ms"], len(report["digest"])) == ("synthetic", 110.0, 64)
    assert report["wall_ms"] > 0
    assert [moment.at_ms for moment in moments] == [10.0 * number for number in range(1, 11)]
    assert {moment.conn for moment in moments} == {1}
    assert [moment.direction for moment in moments] == ["in", *["out"] * 6, *["in"] * 3]


class Altered(Transport):
    """A replay of which one thing goes wrong: it loses, closes or changes."""

    needs_key = False

    def __init__(self, inner: Transport, fault: str) -> None:
        self.inner = inner
        self.fault = fault

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:  # type: ignore[override]
        async with self.inner.open(request) as channel:
            yield AlteredChannel(channel, self.fault)

    async def __aexit__(self, *failure: Any) -> None:
        await self.inner.__aexit__(*failure)


class AlteredChannel(Channel):
    def __init__(self, inner: Channel, fault: str) -> None:
        self.inner = inner
        self.fault = fault
        self.received = 0

    async def send(self, frame: Frame) -> None:
        if self.fault == "close" and self.received:
            raise ClosedByServerError(1011, "early")
        await self.inner.send(Frame(b'{"type":"response.cancel"}') if self.fault == "change" else frame)

    async def receive(self) -> Frame:
        self.received += 1
        if self.fault == "close":
            raise ClosedByServerError(1011, "early")
        return await self.inner.receive()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self.inner.aclose(code, reason)


@pytest.mark.behaviour("play-never-hangs")
@pytest.mark.parametrize(("fault", "kind"), [("close", ConnectionClosedError), ("change", ReplayMismatchError)])
async def test_playing_ends_in_the_first_error_when_the_line_goes_wrong(tmp_path: Path, fault: str, kind: type) -> None:
    with anyio.fail_after(5), pytest.raises(kind):
        await play(mixed(tmp_path), around=lambda inner: Altered(inner, fault))


@pytest.mark.behaviour("play-never-hangs")
async def test_playing_ends_as_incomplete_when_the_line_closes_and_nothing_was_to_be_sent(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In({"type": "a"}), In({"type": "b"}), Close())
    with anyio.fail_after(5), pytest.raises(ReplayIncompleteError):
        await play(tape, around=lambda inner: Altered(inner, "close"))


async def test_playing_opens_connections_as_they_stand_on_the_tape(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(1),
        Open(2),
        In({"type": "a"}, conn=2),
        Out({"type": "pong"}, conn=1),
        Close("server", 1000, conn=2),
        Close(conn=1),
        Open(3, status=503),
        Open(4, url=None),
        Out({"type": "pong"}, conn=4),
    )
    with anyio.fail_after(5):
        playback = await play(tape, clock="real", scale=0.01)
        assert playback.replay is not None and playback.replay.connections == 4
        assert len(playback.conversations) == 4
        await play(tape, around=lambda inner: record(tmp_path / "u.jsonl", inner))


async def test_playing_an_empty_tape_gives_nothing(tmp_path: Path) -> None:
    empty = make_tape(tmp_path / "t.jsonl", Open())
    empty.connections.clear()
    with anyio.fail_after(5):
        playback = await play(empty)
    assert playback.to_json()["connections"] == 0
    assert playback.conversations == []


class Refusing(Transport):
    needs_key = False

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:  # type: ignore[override]
        raise HandshakeError("refused", status=500)
        yield


async def test_playing_raises_a_refusal_that_the_tape_does_not_hold(tmp_path: Path) -> None:
    with anyio.fail_after(5), pytest.raises(HandshakeError):
        await play(mixed(tmp_path), around=lambda inner: Refusing())


async def test_playing_takes_a_policy_and_can_be_cancelled(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In({"type": "a"}), In({"type": "b"}, at_ms=1e9))
    with anyio.fail_after(5):
        with anyio.move_on_after(0.02) as scope:
            await play(tape, clock="real", policy=MatchPolicy(trailing=("b",)))
    assert scope.cancelled_caught
