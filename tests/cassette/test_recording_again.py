"""A recording of a replay, and of the same conversation: equal byte for byte in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import (
    BACKENDS,
    DERIVED,
    REQUEST,
    Close,
    In,
    Open,
    Out,
    append,
    audio_delta,
    make_tape,
    message,
    unwrapped,
)
from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.recording import RecordingTransport, record
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.frames import Frame
from xai_realtime.player import play
from xai_realtime.transport.memory import MemoryChannel, memory_pair
from xai_realtime.virtual_time import run_virtual

IDENTICAL = pytest.mark.behaviour("record-of-replay-is-identical")
EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def kinds(path: Path) -> list[str]:
    return [line["kind"] for line in lines(path)]


# A recording of a replay.


def files(tape: Path) -> dict[str, bytes]:
    """The tape and its sidecar by the names they have relative to the tape's stem."""
    found = {"tape": tape.read_bytes()}
    folder = tape.with_name(f"{tape.stem}.media")
    return found | ({path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {})


async def again(tape: Cassette, target: Path, times: int) -> None:
    """Record what playing the tape gives, and compare every byte, and all that the report says but for wall time."""
    wanted = files(tape.path)
    reports = set()
    for _ in range(times):
        playback = await play(tape, clock="virtual", around=lambda transport: record(target, transport))
        reports.add(json.dumps(playback.to_json() | {"wall_ms": 0}))
        assert len(reports) == 1
        found = files(target)
        assert found["tape"].splitlines() == wanted["tape"].splitlines()
        assert found == wanted


def identical(tape: Cassette, target: Path, times: int, backend: Any) -> None:
    try:
        run_virtual(again, tape, target, times, backend=backend)
    except BaseExceptionGroup as failures:
        raise unwrapped(failures) from None


@IDENTICAL
@BACKENDS
@pytest.mark.parametrize("path", DERIVED, ids=lambda path: path.stem)
def test_recording_of_a_replay_of_a_committed_tape_is_identical_every_time(
    tmp_path: Path, path: Path, backend: Any
) -> None:
    identical(load_cassette(path), tmp_path / path.name, 20, backend)


@pytest.mark.slow
@IDENTICAL
@BACKENDS
@pytest.mark.parametrize("path", DERIVED, ids=lambda path: path.stem)
def test_recording_of_a_replay_of_a_committed_tape_is_identical_ten_thousand_times(
    tmp_path: Path, path: Path, backend: Any
) -> None:
    identical(load_cassette(path), tmp_path / path.name, 10_000, backend)


@IDENTICAL
@BACKENDS
def test_recording_of_a_replay_of_an_imported_recording_is_identical(
    tmp_path: Path, recordings: Callable[[], list[Path]], backend: Any
) -> None:
    for source in recordings():
        import_capture(source, tmp_path / f"{source.stem}.jsonl")
        identical(load_cassette(tmp_path / f"{source.stem}.jsonl"), tmp_path / "again.jsonl", 5, backend)


UNUSUAL = [
    Open(1, at_ms=0),
    In({"type": "a", "item_id": "item_1"}, at_ms=1.001),
    Out({"session": {"tools": [], "instructions": None}, "type": "session.update"}, at_ms=1.001),
    Out({"type": "session.update", "session": {"voice": "eve", "instructions": "x"}}, at_ms=1.002),
    Out({"type": "input_audio_buffer.append", "audio": "QR=="}, at_ms=2),
    Out({"audio": "AAA=", "type": "input_audio_buffer.append"}, at_ms=2),
    Out(append(b"\1", event_id="event_1"), at_ms=3),
    Out(append(b"\1\2"), at_ms=3),
    Out(append(b""), at_ms=3),
    Out(Frame(b"\1\2\3", False), at_ms=3),
    Out(Frame(b"", False), at_ms=3),
    Out(Frame(b"no json"), at_ms=4),
    Out(Frame(b"\xff"), at_ms=4),
    Out(5, at_ms=4),
    Out([1, {"$media": 1}], at_ms=4),
    Out({"type": "response.create", "response": {"temperature": 1}}, at_ms=4),
    Out({"type": "unheard-of", "$literal": {}}, at_ms=4),
    In(Frame(b"{no json", True), at_ms=4),
    In(Frame(b'{"type":"ping","n":NaN}'), at_ms=4),
    In(audio_delta(b"\1\2\3"), at_ms=4),
    In(audio_delta(b"\1\2"), at_ms=4.5),
    In(Frame(b"\5\6", False), at_ms=1234.567),
    Out({"type": "response.create"}, at_ms=1234.567),
    In({"type": "b"}, at_ms=1234.567),
]


@IDENTICAL
@BACKENDS
@pytest.mark.parametrize(
    "end",
    [
        [],
        [Close("client", 1001, "bye", at_ms=2000)],
        [Close("server", 1011, "over", at_ms=2000)],
        [Close("network", None, "", at_ms=2000)],
        [Close("client", 1009, "too big", at_ms=2000)],
        [
            Close("server", 1000, at_ms=1500),
            Open(2, at_ms=1600, status=503, body=b"busy"),
            Open(3, at_ms=1700, url=None),
        ],
        [Open(2, at_ms=1500), In({"type": "c"}, conn=2), Out({"type": "pong"}, conn=1), Out({"type": "pong"}, conn=2)],
    ],
    ids=["none", "client", "server", "network", "too big", "reconnect", "parallel"],
)
def test_recording_of_a_replay_of_an_unusual_tape_is_identical(tmp_path: Path, backend: Any, end: list[Any]) -> None:
    identical(make_tape(tmp_path / "source.jsonl", *UNUSUAL, *end), tmp_path / "t.jsonl", 5, backend)


@IDENTICAL
@BACKENDS
def test_marks_are_recorded_again_in_their_places(tmp_path: Path, backend: Any) -> None:
    source = tmp_path / "source.jsonl"

    async def make() -> None:
        transport, server = memory_pair()
        async with record(source, transport, recorded_at=EPOCH) as recording:
            async with recording.open(REQUEST) as channel:
                _, peer = await server.accept()
                recording.mark("begin")
                await anyio.sleep(0.5)
                await peer.send(message({"type": "a"}))
                await channel.receive()
                recording.mark("heard")
                await channel.send(message({"type": "response.cancel"}))
                recording.mark("said")
                await anyio.sleep(0.25)
                recording.mark("before the close")
        server.close()

    run_virtual(make, backend=backend)
    assert kinds(source).count("mark") == 4
    identical(load_cassette(source), tmp_path / "t.jsonl", 5, backend)


@BACKENDS
@IDENTICAL
def test_recording_the_same_conversation_twice_in_virtual_time_changes_no_line(tmp_path: Path, backend: Any) -> None:
    async def server_side(peer: MemoryChannel) -> None:
        for number in range(3):
            await anyio.sleep(0.1)
            minted = f"{number:08x}-bc81-4592-b73a-6c01a29d2d4a"
            await peer.send(message({"type": "a", "item_id": minted}))

    async def make(path: Path) -> None:
        transport, server = memory_pair()
        async with record(path, transport, recorded_at=EPOCH) as recording, recording.open(REQUEST) as channel:
            _, peer = await server.accept()
            async with anyio.create_task_group() as group:
                group.start_soon(server_side, peer)
                for _ in range(3):
                    await channel.receive()
        server.close()

    for name in ("a.jsonl", "b.jsonl"):
        run_virtual(make, tmp_path / name, backend=backend)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_recording_of_a_replay_carries_its_header(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", media="shortened", timing="estimated", origin="imported", notes="n")
    transport = record(tmp_path / "u.jsonl", replay(tape), origin="live", notes="other")
    assert isinstance(transport, RecordingTransport)
    assert transport._header == tape.header
