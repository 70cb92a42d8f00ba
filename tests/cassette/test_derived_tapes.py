"""The tapes of this project: what they keep of the recordings, and what they do not."""

from __future__ import annotations

import wave
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pybase64
import pytest

from tools.derive_tapes import APPEND_MS, SCRIPTS, derive, texts_in
from xai_realtime import run_virtual
from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.records import FrameRecord
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.player import Playback, play

TAPES = Path(__file__).resolve().parents[2] / "cassettes" / "realtime"
NAMES = sorted(SCRIPTS)
BYTES_PER_MS = 48
SHARED_CHARACTERS = 12


@pytest.fixture(params=NAMES)
def tape(request: pytest.FixtureRequest) -> Cassette:
    """Each derived tape."""
    return load_cassette(TAPES / f"{request.param}.jsonl")


def frames(cassette: Cassette) -> list[FrameRecord]:
    return [record for record in cassette.records if isinstance(record, FrameRecord)]


def values(cassette: Cassette) -> list[tuple[str, Any]]:
    return [(record.direction, cassette.value(record)) for record in frames(cassette)]


def shape(value: Any) -> Any:
    """Keys in their order and JSON types, without any value."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def keys_in_order(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [(key, keys_in_order(item)) for key, item in value.items()]
    return [keys_in_order(item) for item in value] if isinstance(value, list) else []


def pieces(text: str) -> set[str]:
    return {text[index : index + SHARED_CHARACTERS] for index in range(len(text) - SHARED_CHARACTERS + 1)}


def free_texts(cassette: Cassette) -> set[str]:
    found: set[str] = set()
    for _, value in values(cassette):
        found |= {holder[key] for holder, key in texts_in(value, value["type"])}
    closes = (connection.close for connection in cassette.connections.values())
    return found | {close.reason for close in closes if close is not None}


def check(playback: Playback) -> str:
    report = playback.to_json()
    counts = {name: report[name] for name in ("unknown_events", "invalid_events", "unread", "unsent")}
    assert counts == dict.fromkeys(counts, 0)
    assert playback.untyped_sends == 0
    return playback.digest


async def played(cassette: Cassette) -> Playback:
    with anyio.fail_after(5):
        return await play(cassette)


@pytest.mark.behaviour("derived-tapes")
def test_derived_tape_plays_with_one_digest_on_every_backend_and_clock(tape: Cassette) -> None:
    digests = set()
    for backend in ("asyncio", "trio"):
        digests.add(check(anyio.run(partial(played, tape), backend=backend)))
        digests.add(check(run_virtual(partial(play, tape, clock="virtual"), backend=backend)))
    assert len(digests) == 1


@pytest.mark.behaviour("derived-tapes")
@pytest.mark.parametrize("name", NAMES)
def test_derived_tape_keeps_order_fields_types_and_times_of_its_recording(
    name: str, shared: Path, tmp_path: Path
) -> None:
    source = shared / "recordings" / f"{SCRIPTS[name].recording}.yaml"
    recorded = load_cassette(import_capture(source, tmp_path / "tape.jsonl").path)
    derived = load_cassette(TAPES / f"{name}.jsonl")
    assert [record.kind for record in derived.records] == [record.kind for record in recorded.records]
    assert [record.at_ms for record in derived.records] == [record.at_ms for record in recorded.records]
    for (way, value), (other_way, other) in zip(values(derived), values(recorded), strict=True):
        assert (way, value["type"]) == (other_way, other["type"])
        assert shape(value) == shape(other)
        assert keys_in_order(value) == keys_in_order(other)


@pytest.mark.behaviour("derived-tapes")
def test_derived_tapes_share_no_words_with_the_recordings(shared: Path, tmp_path: Path) -> None:
    theirs: set[str] = set()
    ours: set[str] = set()
    for name, script in SCRIPTS.items():
        source = shared / "recordings" / f"{script.recording}.yaml"
        theirs |= free_texts(load_cassette(import_capture(source, tmp_path / f"{name}.jsonl").path))
        ours |= free_texts(load_cassette(TAPES / f"{name}.jsonl"))
    assert len(ours) > 30 and len(theirs) > 30
    assert theirs & {text for text in ours if len(text) > 2} == set()
    assert set().union(*map(pieces, theirs)) & set().union(*map(pieces, ours)) == set()


@pytest.mark.behaviour("derived-tapes")
def test_deriving_again_changes_nothing(shared: Path, tmp_path: Path) -> None:
    derive(shared / "recordings", tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path.relative_to(TAPES): path.read_bytes() for path in TAPES.rglob("*") if path.is_file()}
    ours = {path for path in kept if path.parts[0].partition(".")[0] in SCRIPTS}
    assert made.keys() == ours
    for path in sorted(ours):
        # The header's first line names the redaction rules, which may have grown since.
        assert made[path].split(b"\n")[1:] == kept[path].split(b"\n")[1:], path


@pytest.mark.behaviour("derived-tapes")
def test_derived_tape_says_what_it_is_and_holds_nothing_to_redact(tape: Cassette) -> None:
    assert (tape.header.origin, tape.header.media, tape.header.timing) == ("derived", "full", "estimated")
    assert "pydantic-ai" in tape.header.notes
    assert "this project's own" in tape.header.notes
    redactor = Redactor(environ={})
    assert all(redactor.json(value) is value for _, value in values(tape))


@pytest.mark.behaviour("derived-tapes")
def test_usage_of_a_derived_tape_adds_up(tape: Cassette) -> None:
    done = [value for _, value in values(tape) if value["type"] == "response.done"]
    assert done
    for value in done:
        usage = value["usage"]
        for side in ("input", "output"):
            assert sum(usage[f"{side}_token_details"].values()) == usage[f"{side}_tokens"]
        assert usage["input_tokens"] + usage["output_tokens"] == usage["total_tokens"]
        items = {item["id"] for item in value["response"]["output"]}
        heard = [other for _, other in values(tape) if "audio_duration_ms" in other and other["item_id"] in items]
        assert usage["output_audio_seconds"] * 1000 == pytest.approx(sum(other["audio_duration_ms"] for other in heard))


@pytest.mark.behaviour("derived-audio")
def test_every_audio_delta_is_as_long_as_it_says(tape: Cassette) -> None:
    deltas = [value for _, value in values(tape) if value["type"] == "response.output_audio.delta"]
    assert deltas
    for value in deltas:
        audio = pybase64.b64decode(value["delta"], validate=True)
        assert len(audio) == value["audio_duration_ms"] * BYTES_PER_MS
        assert any(audio) or value["audio_duration_ms"] <= 31


@pytest.mark.behaviour("derived-audio")
def test_transcript_deltas_join_to_the_transcript(tape: Cassette) -> None:
    joined = ""
    for _, value in values(tape):
        if value["type"] == "response.created":
            joined = ""
        elif value["type"] == "response.output_audio_transcript.delta":
            joined += value["delta"]
        elif value["type"] == "response.output_audio_transcript.done":
            assert value["transcript"] == joined != ""


@pytest.mark.behaviour("derived-audio")
def test_microphone_sounds_where_the_events_say_that_speech_was() -> None:
    tape = load_cassette(TAPES / "voice_turn.jsonl")
    told = {value["type"]: value for _, value in values(tape)}
    start_ms = told["input_audio_buffer.speech_started"]["audio_start_ms"]
    end_ms = told["input_audio_buffer.speech_stopped"]["audio_end_ms"]
    sent = [value["audio"] for way, value in values(tape) if way == "out" and "audio" in value]
    heard = b"".join(pybase64.b64decode(audio, validate=True) for audio in sent)
    assert len(heard) == len(sent) * APPEND_MS * BYTES_PER_MS > end_ms * BYTES_PER_MS
    assert not any(heard[: start_ms * BYTES_PER_MS])
    assert any(heard[start_ms * BYTES_PER_MS : end_ms * BYTES_PER_MS])
    assert not any(heard[end_ms * BYTES_PER_MS :])


@pytest.mark.behaviour("derived-audio")
def test_sidecars_are_wav_files_of_24_khz() -> None:
    files = [path for name in NAMES for path in sorted((TAPES / f"{name}.media").iterdir())]
    assert len(files) == 7
    for path in files:
        with wave.open(str(path)) as sound:
            assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (24_000, 2, 1)
            assert sound.getnframes() > 0
