"""The project's own tapes: recorded again they are the same, played they are one conversation, each shows its thing."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import BACKENDS, COMMITTED, OWN, unwrapped
from tools.own_calls import CALLS, client_ids
from tools.record_tapes import record_tape
from xai_realtime import AsyncClient, record, replay, run_virtual
from xai_realtime.audible import hear
from xai_realtime.audio import to_pcm16
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.tape import Cassette, load_cassette, media_folder
from xai_realtime.errors import ReplayMismatchError
from xai_realtime.events._base import decode_audio
from xai_realtime.player import Playback, play

TAPES = COMMITTED[0].parent
LONG = "emulator_long_call"
NAMES = pytest.mark.parametrize("name", list(CALLS))
SHORT = pytest.mark.parametrize("name", [name for name in CALLS if name != LONG])
SHOWS = pytest.mark.behaviour("own-tapes-show")
MAX_BYTES = 8_000_000
PLAYS_LIMIT_S = 5


def tape_of(name: str) -> Cassette:
    return load_cassette(TAPES / f"{name}.jsonl")


def files(tape: Path) -> dict[str, bytes]:
    """The lines of a tape and its sidecar; what a release changes in the header is left out."""
    first, _, rest = tape.read_bytes().partition(b"\n")
    header = {key: value for key, value in json.loads(first).items() if key not in ("sdk", "spec_sha256")}
    found = {"header": json.dumps(header).encode(), "tape": rest}
    return found | {path.name: path.read_bytes() for path in media_folder(tape).glob("*")}


def values(name: str, direction: str = "in") -> list[Any]:
    tape = tape_of(name)
    return [
        tape.value(record)
        for taped in tape.connections.values()
        for record in taped.frames
        if record.direction == direction
    ]


def of_type(name: str, kind: str, direction: str = "in") -> list[Any]:
    return [value for value in values(name, direction) if value["type"] == kind]


def played(name: str) -> Playback:
    return run_virtual(partial(play, tape_of(name), clock="virtual"))


def checked(playback: Playback) -> str:
    report = playback.to_json()
    counts = {name: report[name] for name in ("unknown_events", "invalid_events", "unread", "unsent")}
    assert counts == dict.fromkeys(counts, 0)
    assert playback.untyped_sends == 0
    return playback.digest


def test_every_call_has_its_tape_and_every_tape_its_call() -> None:
    assert sorted(CALLS) == [path.stem for path in OWN]


@pytest.mark.behaviour("own-tapes-record-again")
@BACKENDS
@NAMES
def test_recording_a_call_again_changes_no_byte(name: str, backend: str, tmp_path: Path) -> None:
    again = record_tape(name, tmp_path, backend)
    found, wanted = files(again), files(TAPES / f"{name}.jsonl")
    assert found["tape"].splitlines() == wanted["tape"].splitlines()
    assert found == wanted


@pytest.mark.behaviour("own-tapes-record-again")
def test_recording_shows_a_change_when_the_emulator_says_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xai_realtime.emulator.reply.THINKING_MS", 501.0)
    again = record_tape("emulator_text_turn", tmp_path)
    assert files(again)["tape"] != files(TAPES / "emulator_text_turn.jsonl")["tape"]


@pytest.mark.behaviour("own-tapes-replay")
@NAMES
def test_tape_plays_with_one_digest_on_every_backend_and_clock(name: str) -> None:
    tape = tape_of(name)

    async def at_once() -> Playback:
        with anyio.fail_after(PLAYS_LIMIT_S):
            return await play(tape)

    digests = set()
    for backend in ("asyncio", "trio"):
        digests.add(checked(anyio.run(at_once, backend=backend)))
        digests.add(checked(run_virtual(partial(play, tape, clock="virtual"), backend=backend)))  # type: ignore[arg-type]
    assert len(digests) == 1


def identical(name: str, target: Path, times: int, backend: Any) -> None:
    tape = tape_of(name)

    async def again() -> None:
        for _ in range(times):
            await play(tape, clock="virtual", around=lambda transport: record(target, transport))
            assert files(target) == files(tape.path)
            assert target.read_bytes() == tape.path.read_bytes()

    try:
        run_virtual(again, backend=backend)
    except BaseExceptionGroup as failures:
        raise unwrapped(failures) from None


@pytest.mark.behaviour("own-tapes-replay")
@BACKENDS
@NAMES
def test_recording_of_a_replay_of_an_own_tape_is_identical(name: str, backend: str, tmp_path: Path) -> None:
    identical(name, tmp_path / f"{name}.jsonl", 1 if name == LONG else 5, backend)


@pytest.mark.slow
@pytest.mark.behaviour("own-tapes-replay")
@BACKENDS
@NAMES
def test_recording_of_a_replay_of_an_own_tape_is_identical_every_time(name: str, backend: str, tmp_path: Path) -> None:
    identical(name, tmp_path / f"{name}.jsonl", 10 if name == LONG else 1000, backend)


async def talk_to(tape: Cassette, talk: Any) -> None:
    try:
        async with AsyncClient(transport=replay(tape, clock="virtual")) as client:
            await talk(client, lambda label: None)
    except BaseExceptionGroup as failures:
        raise unwrapped(failures) from None


@pytest.mark.behaviour("own-tapes-replay")
@BACKENDS
@NAMES
def test_client_that_made_the_tape_holds_its_call_with_the_tape(name: str, backend: Any) -> None:
    run_virtual(talk_to, tape_of(name), CALLS[name].talk, backend=backend)


@SHOWS
@BACKENDS
@pytest.mark.parametrize("seed", [2, 3])
def test_client_ids_of_another_run_are_bound_to_those_of_the_tape(seed: int, backend: Any) -> None:
    run_virtual(talk_to, tape_of("emulator_client_ids"), partial(client_ids, seed=seed), backend=backend)


@SHOWS
def test_client_that_says_something_else_is_told_so_by_the_tape() -> None:
    with pytest.raises(ReplayMismatchError):
        run_virtual(talk_to, tape_of("emulator_tool_call"), CALLS["emulator_parallel_calls"].talk)


@NAMES
@SHOWS
def test_tape_says_what_it_is_and_passes_every_check(name: str) -> None:
    report = check_cassette(TAPES / f"{name}.jsonl")
    assert (report.findings, report.notes) == ([], [])
    header = tape_of(name).header
    assert (header.origin, header.timing, header.media) == ("emulator", "recorded", "full")
    assert header.recorded_at == "2026-01-01T00:00:00Z"
    assert header.notes.startswith(CALLS[name].shows)
    assert "Recorded from the emulator" in header.notes


@SHOWS
def test_all_tapes_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in TAPES.rglob("*") if path.is_file()) < MAX_BYTES


# What each one shows


def spoken(name: str, rate_hz: int, encoding: Any = "pcm") -> list[str | None]:
    """What is heard in the audio of each item of the model."""
    sounds: dict[str, bytes] = {}
    for delta in of_type(name, "response.output_audio.delta"):
        sounds[delta["item_id"]] = sounds.get(delta["item_id"], b"") + decode_audio(delta["delta"])
    return [hear(to_pcm16(sound, encoding), sample_rate_hz=rate_hz) for sound in sounds.values()]


def final(name: str) -> list[str]:
    """What the user was understood to say."""
    completed = of_type(name, "conversation.item.input_audio_transcription.completed")
    return [value["transcript"] for value in completed if value["status"] == "completed"]


def statuses(name: str) -> list[str]:
    return [value["response"]["status"] for value in of_type(name, "response.done")]


@SHOWS
def test_text_and_voice_turns_are_heard_as_the_words_they_are() -> None:
    assert spoken("emulator_text_turn", 24_000) == ["North is where the moss grows."]
    assert spoken("emulator_voice_turn", 16_000) == ["It is me, Ada.", "Nobody else is here."]
    assert final("emulator_voice_turn") == ["Who is there?", "And who else?"]


@SHOWS
def test_client_ids_are_kept_by_the_service_and_stand_in_all_that_refers_to_them() -> None:
    name = "emulator_client_ids"
    made = [value["item"]["id"] for value in of_type(name, "conversation.item.create", "out")]
    assert [value["item"]["id"] for value in of_type(name, "conversation.item.added")][:5] == made
    assert len(set(made)) == 5
    assert of_type(name, "conversation.item.delete", "out")[0]["item_id"] == made[0]
    assert len(of_type(name, "conversation.item.deleted")) == 1
    assert of_type(name, "response.done")[0]["response"]["metadata"] == {"question": "2"}
    sent = [value["event_id"] for value in values(name, "out") if "event_id" in value]
    assert len(sent) == len(set(sent)) == 5


@SHOWS
def test_tool_call_has_a_preamble_and_an_answer_that_uses_the_output() -> None:
    name = "emulator_tool_call"
    kinds = [item["type"] for item in of_type(name, "response.done")[0]["response"]["output"]]
    assert kinds == ["message", "function_call"]
    assert spoken(name, 8000) == ["Let me look.", "It blows at 12 knots."]
    (call,) = played(name).conversations[0].tool_calls
    assert (call.name, call.arguments, call.output) == ("get_wind", '{"place":"Sines"}', "It blows at 12 knots.")


@SHOWS
def test_parallel_calls_get_their_own_outputs_and_one_answer() -> None:
    name = "emulator_parallel_calls"
    calls = played(name).conversations[0].tool_calls
    assert [call.output for call in calls] == ["9 knots", "14 knots", "high at 16:40"]
    outputs = [value["item"]["call_id"] for value in of_type(name, "conversation.item.create", "out")[1:]]
    assert outputs == [calls[2].call_id, calls[0].call_id, calls[1].call_id]
    assert len(of_type(name, "response.create", "out")) == 2
    assert spoken(name, 8000) == ["That is 9 knots 14 knots high at 16:40."]


@SHOWS
def test_duplicate_announcements_are_one_call() -> None:
    name = "emulator_duplicate_announcements"
    (call,) = played(name).conversations[0].tool_calls
    announced = Counter(value["type"] for value in values(name) if call.call_id in json.dumps(value))
    assert announced == {
        "response.output_item.added": 2,
        "conversation.item.added": 4,  # three times the call, once its output
        "response.function_call_arguments.delta": 1,
        "response.function_call_arguments.done": 2,
        "response.output_item.done": 2,
        "response.done": 1,
    }
    assert call.output == "It blows at 12 knots."


@SHOWS
@pytest.mark.parametrize(
    ("name", "pieces", "kept"),
    [("emulator_barge_in_early", 2, ""), ("emulator_barge_in_late", 22, "There once was a cat who sailed")],
)
def test_barge_in_ends_the_reply_and_keeps_what_was_heard(name: str, pieces: int, kept: str) -> None:
    assert statuses(name) == ["cancelled", "completed"]
    first = of_type(name, "response.done")[0]["response"]["id"]
    deltas = [value for value in of_type(name, "response.output_audio.delta") if value["response_id"] == first]
    assert len(deltas) == pieces
    assert [value["transcript"] for value in of_type(name, "conversation.item.truncated")] == [kept]
    assert [record.label for record in tape_of(name).records if record.kind == "mark"] == ["barge-in"]  # type: ignore[union-attr]


@SHOWS
def test_take_back_is_one_item_and_a_reply_that_is_never_done() -> None:
    name = "emulator_take_back"
    started = [value["item_id"] for value in of_type(name, "input_audio_buffer.speech_started")]
    assert len(started) == 2
    assert len(set(started)) == 1
    created = [value["response"]["id"] for value in of_type(name, "response.created")]
    done = [value["response"]["id"] for value in of_type(name, "response.done")]
    assert (len(created), done) == (2, created[1:])
    assert final(name) == ["Is the gate open now?"]


@SHOWS
def test_manual_mode_has_no_detected_speech_and_ends_what_the_client_ends() -> None:
    name = "emulator_manual_mode"
    kinds = Counter(value["type"] for value in values(name))
    assert kinds["input_audio_buffer.speech_started"] == 0
    assert (kinds["input_audio_buffer.committed"], kinds["input_audio_buffer.cleared"]) == (2, 1)
    assert final(name) == ["First floor", "Top floor"]
    assert statuses(name) == ["completed", "cancelled"]


@SHOWS
def test_resumption_goes_on_with_the_conversation_after_the_line_broke() -> None:
    tape = tape_of("emulator_resumption")
    first, second = tape.connections.values()
    assert first.close is not None
    assert first.close.by == "network"
    created = [value["conversation"]["id"] for value in of_type("emulator_resumption", "conversation.created")]
    assert created[0] == created[1]
    assert f"conversation_id={created[0]}" in str(second.open.url)
    items = played("emulator_resumption").conversations[1].items
    assert [item.text for item in items if item.role == "assistant"] == [
        "Hello Ines.",
        "One, two, three, four.",
        "Yes, I am.",
    ]


@SHOWS
def test_errors_name_what_they_are_about_and_the_call_goes_on() -> None:
    name = "emulator_error_recovery"
    errors = [value["error"] for value in of_type(name, "error")]
    assert [error["code"] for error in errors] == [
        "response_cancel_not_active",
        "item_not_found",
        "invalid_tool_call_id",
        "internal_error",
    ]
    assert [error.get("event_id") for error in errors[:2]] == ["cancel-nothing", "cut-nothing"]
    assert statuses(name) == ["failed", "completed"]
    assert spoken(name, 8000)[-1] == "I am well."


@SHOWS
def test_long_call_holds_ten_minutes_of_audio_and_every_word_of_it_is_understood() -> None:
    tape = tape_of(LONG)
    audio = {path.name: path.stat().st_size / 8000 for path in media_folder(tape.path).iterdir()}
    assert set(audio) == {"conn1.in.raw", "conn1.out.raw"}
    assert 600 <= sum(audio.values()) <= 620
    lines = final(LONG)
    assert [line.partition(".")[0] for line in lines] == [f"Line {number}" for number in range(1, len(lines) + 1)]
    assert spoken(LONG, 8000, "pcmu") == [f"Line {number} is noted." for number in range(1, len(lines) + 1)]
    assert all(line.endswith("before the end of the month.") for line in lines)
    assert len(of_type(LONG, "ping")) > 30
