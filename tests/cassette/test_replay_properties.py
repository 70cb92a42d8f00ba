"""Every outgoing frame counts: no change, drop, double or swap of any of them gets past any tape."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pybase64
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tapes import BACKENDS, SHORT, Close, Entry, In, Out, Say, leaves, make_tape, message, perform, scripts_of
from xai_realtime.cassette._json import is_equal
from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.errors import (
    ConnectionClosedError,
    ReplayError,
    ReplayIncompleteError,
    ReplayMismatchError,
    ReplayStuckError,
)
from xai_realtime.frames import Frame
from xai_realtime.virtual_time import run_virtual

EXPECTED = (ReplayMismatchError, ReplayIncompleteError, ReplayStuckError)

Scripts = dict[int, list[Say]]


def changed_leaf(leaf: Any) -> list[Any]:
    """Other values in the place of one."""
    if isinstance(leaf, bool):
        return [not leaf, None, int(leaf)]
    if isinstance(leaf, int | float):
        return [leaf + 1, str(leaf), None]
    if isinstance(leaf, str):
        return [f"{leaf}x", leaf[:-1], None] if leaf else ["x", None]
    return ["x", False]


def changed_values(value: Any) -> Iterator[tuple[str, Any]]:
    """(what was done, the value with one leaf changed or left out)."""
    for path in leaves(value):
        if path == ("event_id",):
            continue
        at: Any = value
        for step in path[:-1]:
            at = at[step]
        others = changed_leaf(at[path[-1]] if path else value)
        if value.get("type") == "input_audio_buffer.append" and path == ("audio",):
            audio = bytearray(pybase64.b64decode(value["audio"]))
            audio[-1] ^= 1
            others = [pybase64.b64encode(bytes(audio)).decode(), pybase64.b64encode(bytes(audio[:-1])).decode()]
        for other in others:
            if is_equal(other, at[path[-1]]):
                continue
            new = copy.deepcopy(value)
            place: Any = new
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = other
            yield f"{path} became {type(other).__name__}", new
        new = copy.deepcopy(value)
        place = new
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        yield f"{path} is left out", new
    yield "a field more", {**value, "field_more": 1}


def says_the_same(one: Frame, other: Frame) -> bool:
    if one.is_text and other.is_text:
        return is_equal(json.loads(one.data), json.loads(other.data))
    return one == other


def with_frames(scripts: Scripts, conn: int, steps: list[Say]) -> Scripts:
    return {**scripts, conn: steps}


def mutations(scripts: Scripts) -> Iterator[tuple[str, Scripts]]:
    """Every way in which one outgoing frame can go wrong."""
    for conn, steps in scripts.items():
        for index, step in enumerate(steps):
            name = f"connection {conn}, frame {index}"
            before, after = steps[:index], steps[index + 1 :]
            yield f"{name} dropped", with_frames(scripts, conn, [*before, *after])
            yield f"{name} doubled", with_frames(scripts, conn, [*before, step, step, *after])
            if step.frame.is_text:
                value = json.loads(step.frame.data)
                for what, other in changed_values(value):
                    yield (
                        f"{name}: {what}",
                        with_frames(scripts, conn, [*before, Say(step.heard, message(other)), *after]),
                    )
            for later in range(index + 1, len(steps)):
                if not says_the_same(steps[later].frame, step.frame):
                    swapped = [*steps]
                    swapped[index] = Say(step.heard, steps[later].frame)
                    swapped[later] = Say(steps[later].heard, step.frame)
                    yield f"{name} swapped with {later}", with_frames(scripts, conn, swapped)


async def survivors(tape: Cassette) -> tuple[int, list[str]]:
    """How many mutations were tried, and those that went through or failed without saying where."""
    policy = MatchPolicy(audio="exact")
    await perform(tape, policy=policy)
    tried, passed = 0, []
    for name, scripts in mutations(scripts_of(tape)):
        tried += 1
        try:
            await perform(tape, scripts, policy=policy)
        except EXPECTED as error:
            if error.path != str(tape.path) or error.line < 1 or f"{tape.path}:{error.line}" not in str(error):
                passed.append(f"{name}: {type(error).__name__} names no place")
        except ConnectionClosedError:
            # Sent after the recorded end was read: the line is as over as it was then.
            if all(taped.close is None or taped.close.by == "client" for taped in tape.connections.values()):
                passed.append(f"{name}: the line was over")
        else:
            passed.append(name)
    return tried, passed


EACH_ONCE = [
    pytest.param(
        path,
        backend,
        id=f"{path.stem}-{backend}",
        marks=[] if (number + place) % 2 == 0 else [pytest.mark.slow],
    )
    for number, path in enumerate(SHORT)
    for place, backend in enumerate(("asyncio", "trio"))
]
"""Each tape on one of the backends; on the other one among the slow tests."""


@pytest.mark.behaviour("replay-every-outgoing-frame-counts")
@pytest.mark.parametrize(("path", "backend"), EACH_ONCE)
def test_replay_fails_with_path_and_line_when_any_outgoing_frame_of_a_committed_tape_is_changed(
    path: Path, backend: Any
) -> None:
    tried, passed = run_virtual(survivors, load_cassette(path), backend=backend)
    assert passed == []
    assert tried > 10


@pytest.mark.behaviour("replay-every-outgoing-frame-counts")
@pytest.mark.slow
def test_replay_fails_with_path_and_line_when_any_outgoing_frame_of_an_imported_recording_is_changed(
    tmp_path: Path, recordings: Callable[[], list[Path]]
) -> None:
    for source in recordings():
        import_capture(source, tmp_path / f"{source.stem}.jsonl")
        tried, passed = run_virtual(survivors, load_cassette(tmp_path / f"{source.stem}.jsonl"))
        assert passed == []
        assert tried > 10


@pytest.mark.behaviour("replay-every-outgoing-frame-counts")
@BACKENDS
@pytest.mark.parametrize("at", [0, 1, -1])
def test_replay_fails_when_one_byte_of_a_binary_message_is_changed(tmp_path: Path, backend: Any, at: int) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl", Out(Frame(b"\0\1\2\3", False)), Out(Frame(b"\4\5", False)), In({"type": "x"})
    )
    scripts = scripts_of(tape)
    audio = bytearray(scripts[1][0].frame.data)
    audio[at] ^= 0x80
    scripts[1][0] = Say(0, Frame(bytes(audio), False))
    with pytest.raises(ReplayMismatchError, match="the audio differs"):
        run_virtual(perform, tape, scripts, backend=backend)


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab\u00e9", max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "id", "item_id", "x"]), inner),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries({"type": st.sampled_from(["one", "two"])}, optional={"v": VALUES, "item_id": VALUES})
APPENDS = st.binary(min_size=1, max_size=6).map(
    lambda audio: {"type": "input_audio_buffer.append", "audio": pybase64.b64encode(audio).decode()}
)
BINARY = st.binary(max_size=6).map(lambda audio: Frame(audio, False))
ENTRIES = st.lists(
    st.one_of(EVENTS.map(In), EVENTS.map(Out), APPENDS.map(Out), BINARY.map(Out), BINARY.map(In)),
    min_size=1,
    max_size=8,
)


@pytest.mark.behaviour("replay-every-outgoing-frame-counts")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=ENTRIES, end=st.sampled_from([None, Close("client"), Close("server", 1011, "over"), Close("network", None)])
)
def test_replay_plays_any_tape_and_lets_no_mutation_of_it_pass(
    tmp_path: Path, entries: list[Entry], end: Close | None
) -> None:
    tape = make_tape(tmp_path / "t.jsonl", *entries, *([] if end is None else [end]))
    _, passed = run_virtual(survivors, tape)
    assert [name for name in passed if not_a_move_of_nothing(name, tape)] == []


def not_a_move_of_nothing(name: str, tape: Cassette) -> bool:
    """Audio is one stream: the same bytes in another cut are the same, so a swap of equal bytes is no change."""
    return not ("swapped" in name and is_same_stream(name, tape))


def is_same_stream(name: str, tape: Cassette) -> bool:
    first, later = int(name.split("frame ")[1].split(" ")[0]), int(name.rsplit(" ", 1)[1])
    frames = [say.frame for say in scripts_of(tape)[1]]
    swapped = [*frames]
    swapped[first], swapped[later] = frames[later], frames[first]
    return as_stream(frames) == as_stream(swapped)


def as_stream(frames: list[Frame]) -> list[Any]:
    """The frames with neighbouring audio joined."""
    joined: list[Any] = []
    for frame in frames:
        value = json.loads(frame.data) if frame.is_text else None
        if frame.is_text and value.get("type") != "input_audio_buffer.append":
            joined.append(json.dumps(value))
            continue
        form = "append" if frame.is_text else "binary"
        audio = pybase64.b64decode(value["audio"]) if frame.is_text else frame.data
        if audio and joined and joined[-1][0] == form and joined[-1][1]:
            joined[-1] = (form, joined[-1][1] + audio)
        else:
            joined.append((form, audio))
    return joined


def test_replay_error_is_one_tree() -> None:
    assert all(issubclass(error, ReplayError) for error in EXPECTED)
