"""The project's tapes of speech: recorded again they are the same, played they are whole, each shows its thing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import BACKENDS, unwrapped
from tests.tapes_own.test_tapes import files
from tools.own_speech import SPEECH, Desk, together
from tools.record_tapes import SEED, folder_of, hold_speech, record_tape
from xai_realtime import record, replay, run_virtual
from xai_realtime.audible import hear
from xai_realtime.audio import to_pcm16
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.records import HttpChunkRecord, MarkRecord
from xai_realtime.cassette.services import CODECS
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.defaults import BASE_URL
from xai_realtime.emulator import Emulator
from xai_realtime.events._base import InvalidEvent, UnknownEvent, decode_audio
from xai_realtime.player import Playback, play
from xai_realtime.transport.websocket import WebSocketTransport

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
NAMES = pytest.mark.parametrize("name", list(SPEECH))
SHOWS = pytest.mark.behaviour("speech-tapes-show")
MAX_BYTES = 3_000_000
LIMIT_S = 30
ATTEMPTS = 3
"""An interruption that a busy machine holds up comes later in the text."""
RATE_HZ = 8000


def path_of(name: str) -> Path:
    return CASSETTES / folder_of(name) / f"{name}.jsonl"


def tape_of(name: str) -> Cassette:
    return load_cassette(path_of(name))


def values(tape: Cassette, direction: str = "in") -> list[Any]:
    """The JSON messages of one way."""
    found = [
        tape.value(frame)
        for taped in tape.connections.values()
        for frame in taped.frames
        if frame.direction == direction
    ]
    return [value for value in found if isinstance(value, dict)]


def of_type(name: str, kind: str, direction: str = "in") -> list[Any]:
    return [value for value in values(tape_of(name), direction) if value["type"] == kind]


def finals(name: str) -> list[str]:
    """The texts of the utterances."""
    return [value["text"] for value in of_type(name, "transcript.partial") if value["speech_final"]]


def microphone(name: str) -> bytes:
    """All audio that the client sent."""
    (taped,) = (tape := tape_of(name)).connections.values()
    frames = [tape.frame(frame) for frame in taped.frames if frame.direction == "out"]
    return b"".join(frame.data for frame in frames if not frame.is_text)


def spoken(name: str) -> list[str | None]:
    """What is heard in each utterance, the one that was broken off included."""
    sounds = [b""]
    for value in values(tape_of(name)):
        if value["type"] == "audio.delta":
            sounds[-1] += decode_audio(value["delta"])
        elif value["type"] in ("audio.done", "audio.clear"):
            sounds.append(b"")
    return [hear(sound[: len(sound) // 2 * 2], sample_rate_hz=RATE_HZ) for sound in sounds if sound]


def answers(name: str) -> list[tuple[int, list[bytes]]]:
    """Status and pieces of each answer over HTTP."""
    tape = tape_of(name)
    return [
        (exchange.response.status, [tape.piece(chunk) for chunk in exchange.chunks])
        for exchange in tape.exchanges.values()
        if exchange.response is not None
    ]


def told(name: str) -> list[tuple[int, Any]]:
    """Status and JSON of each answer over HTTP."""
    return [(status, json.loads(b"".join(pieces))) for status, pieces in answers(name)]


def test_every_speech_has_its_tape_and_every_tape_its_speech() -> None:
    found = [path for folder in ("stt", "tts") for path in (CASSETTES / folder).glob("*.jsonl")]
    assert sorted(found) == sorted(path_of(name) for name in SPEECH)


@pytest.mark.behaviour("speech-tapes-record-again")
@BACKENDS
@NAMES
def test_recording_speech_again_changes_no_byte(name: str, backend: str, tmp_path: Path) -> None:
    found, wanted = files(record_tape(name, tmp_path, backend)), files(path_of(name))
    assert found["tape"].splitlines() == wanted["tape"].splitlines()
    assert found == wanted


@pytest.mark.behaviour("speech-tapes-record-again")
def test_recording_shows_a_change_when_the_ears_take_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xai_realtime.emulator.stt_hearing.INTERIM_MS", 400)
    again = record_tape("emulator_utterance_twice", tmp_path)
    assert files(again)["tape"] != files(path_of("emulator_utterance_twice"))["tape"]


@pytest.mark.behaviour("speech-tapes-replay")
@NAMES
def test_tape_of_speech_plays_on_every_backend_and_clock(name: str) -> None:
    tape = tape_of(name)

    async def at_once() -> Playback:
        with anyio.fail_after(LIMIT_S):
            return await play(tape)

    for backend in ("asyncio", "trio"):
        playbacks = [anyio.run(at_once, backend=backend)]
        playbacks.append(run_virtual(partial(play, tape, clock="virtual"), backend=backend))  # type: ignore[arg-type]
        for playback in playbacks:
            report = playback.to_json()
            counts = {name: report[name] for name in ("unknown_events", "invalid_events", "unread", "unsent")}
            assert counts == dict.fromkeys(counts, 0)
            assert playback.untyped_sends == 0


@pytest.mark.behaviour("speech-tapes-replay")
@BACKENDS
@NAMES
def test_recording_of_a_replay_of_speech_is_identical(name: str, backend: Any, tmp_path: Path) -> None:
    tape, target = tape_of(name), tmp_path / f"{name}.jsonl"

    async def again() -> None:
        for _ in range(3):
            await play(tape, clock="virtual", around=lambda transport: record(target, transport))
            assert files(target) == files(tape.path)

    run_virtual(again, backend=backend)


@pytest.mark.behaviour("speech-tapes-replay")
@BACKENDS
@NAMES
def test_client_that_made_the_tape_speaks_with_the_tape(name: str, backend: Any) -> None:
    async def talk() -> None:
        try:
            async with replay(tape_of(name), clock="virtual") as transport:
                await SPEECH[name].talk(Desk(transport, BASE_URL), lambda label: None)
        except BaseExceptionGroup as failures:
            raise unwrapped(failures) from None

    run_virtual(talk, backend=backend)


async def hold_all(names: list[str], folder: Path) -> None:
    """Every tape at the same time, each over sockets of its own."""
    folder.mkdir()

    async def held(name: str) -> None:
        async with Emulator(seed=SEED, speech=SPEECH[name].quirks) as emulator:
            path = folder / f"{name}.jsonl"
            await hold_speech(SPEECH[name], path, WebSocketTransport(), base_url=emulator.url)

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(held, name)


def differences(name: str, folder: Path) -> list[str]:
    """What is not as on the tape, times aside."""
    ours, theirs = load_cassette(folder / f"{name}.jsonl"), tape_of(name)
    found = [way for way in ("in", "out") if values(ours, way) != values(theirs, way)]
    web = [[joined(tape, conn) for conn in tape.exchanges] for tape in (ours, theirs)]
    return found if web[0] == web[1] else [*found, "web"]


@pytest.mark.behaviour("speech-tapes-sockets")
def test_speech_over_real_sockets_has_the_frames_of_the_tapes(tmp_path: Path) -> None:
    differing: dict[str, list[str]] = {name: [] for name in SPEECH}
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        anyio.run(hold_all, list(differing), folder)
        found = {name: differences(name, folder) for name in differing}
        differing = {name: places for name, places in found.items() if places}
        if not differing:
            break
    assert differing == {}


def joined(tape: Cassette, conn: int) -> tuple[int, bytes]:
    """Status and body of an answer, however it was cut."""
    exchange = tape.exchanges[conn]
    assert exchange.response is not None
    return exchange.response.status, b"".join(map(tape.piece, exchange.chunks))


@NAMES
@SHOWS
def test_tape_of_speech_says_what_it_is_and_passes_every_check(name: str) -> None:
    report = check_cassette(path_of(name))
    assert (report.findings, report.notes) == ([], [])
    tape = tape_of(name)
    header = tape.header
    assert (header.origin, header.service, header.timing, header.media) == (
        "emulator",
        folder_of(name),
        "recorded",
        "full",
    )
    assert header.notes.startswith(SPEECH[name].shows)
    for taped in tape.connections.values():
        events = [CODECS[header.service].decode(tape.frame(frame)) for frame in taped.frames if frame.direction == "in"]
        assert not any(isinstance(event, UnknownEvent | InvalidEvent) for event in events)


@SHOWS
def test_tapes_of_speech_stay_small_and_short() -> None:
    paths = [path for folder in ("stt", "tts") for path in (CASSETTES / folder).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < MAX_BYTES
    assert all(tape_of(name).tape_ms < 10_000 for name in SPEECH)


# What each one shows


@SHOWS
def test_utterances_are_told_in_fragments_and_then_whole_and_a_repeated_one_twice() -> None:
    name = "emulator_utterance_twice"
    chunks = [value for value in of_type(name, "transcript.partial") if value["is_final"] and not value["speech_final"]]
    assert [value["text"] for value in chunks] == ["No", ", I'm not", "Yes.", "Yes."]
    assert finals(name) == ["No, I'm not.", "Yes.", "Yes."]
    assert [value["text"] for value in of_type(name, "transcript.partial") if not value["is_final"]] != []
    (done,) = of_type(name, "transcript.done")
    assert (done["text"], done["words"]) == ("", [])


@SHOWS
def test_last_final_comes_after_audio_done_and_the_done_is_empty() -> None:
    name = "emulator_empty_done"
    kinds = [(value["type"], value.get("speech_final")) for value in values(tape_of(name))[1:]]
    assert kinds == [("transcript.partial", False), ("transcript.partial", True), ("transcript.done", None)]
    assert finals(name) == ["That is all I wanted to say."]
    assert of_type(name, "transcript.done")[0]["text"] == ""
    assert hear(to_pcm16(microphone(name), "pcmu"), sample_rate_hz=RATE_HZ) == finals(name)[0]


@SHOWS
def test_channels_have_their_own_words_and_ends() -> None:
    name = "emulator_multichannel"
    said = [value for value in of_type(name, "transcript.partial") if value["speech_final"]]
    assert [(value["channel_index"], value["text"]) for value in said] == [
        (0, "Who is there?"),
        (1, "It is me, Ada."),
        (0, "Come in."),
    ]
    assert all(word["speaker"] == 0 for value in said for word in value["words"])
    assert [value["channel_index"] for value in of_type(name, "transcript.done")] == [0, 1]
    sound = microphone(name)
    parts = [b"".join(sound[at : at + 2] for at in range(start, len(sound), 4)) for start in (0, 2)]
    assert together(*parts) == sound
    assert hear(parts[1], sample_rate_hz=RATE_HZ) == "It is me, Ada."


@SHOWS
def test_finalize_ends_utterances_and_brings_nothing_in_silence() -> None:
    name = "emulator_finalize"
    assert len(of_type(name, "finalize", "out")) == 3
    assert finals(name) == ["Push to talk", "and once more"]
    assert [record.label for record in tape_of(name).records if isinstance(record, MarkRecord)] == ["released"]


@SHOWS
def test_stream_without_audio_ends_in_an_error() -> None:
    assert finals("emulator_timed_out") == ["I will be back."]
    assert values(tape_of("emulator_timed_out"))[-1] == {"type": "error", "message": "ASR stream timed out"}


@SHOWS
def test_pause_in_mid_sentence_is_no_end_until_it_lasts_too_long() -> None:
    name = "emulator_smart_turn"
    assert finals(name) == ["I would like a cup of tea and two biscuits.", "No, wait"]
    sure = [value["end_of_turn_confidence"] for value in of_type(name, "transcript.partial") if value["is_final"]]
    assert sure == [0.1, 0.0, 0.95, 0.6, 0.6]


@SHOWS
def test_uploads_are_answered_with_texts_words_and_channels() -> None:
    ((status, answer),) = told("emulator_transcribe")
    assert (status, answer["text"], len(answer["words"])) == (200, "The train leaves at noon.", 5)
    channels, speakers, refused = told("emulator_transcribe_words")
    assert [channel["text"] for channel in channels[1]["channels"]] == ["Where to?", "To Faro."]
    assert [(word["text"], word["speaker"]) for word in speakers[1]["words"]] == [("Who?", 0), ("Me.", 1)]
    assert refused[0] == 400


@SHOWS
def test_utterances_over_one_socket_are_heard_as_their_texts() -> None:
    assert spoken("emulator_two_utterances") == ["Good morning. How are you?", "I am well."]
    assert len(of_type("emulator_two_utterances", "audio.done")) == 2


@SHOWS
def test_text_that_is_cleared_breaks_off_and_the_next_one_is_whole() -> None:
    name = "emulator_text_clear"
    assert spoken(name) == ["There once", "Yes?"]
    kinds = [value["type"] for value in values(tape_of(name))]
    assert kinds == ["audio.delta"] * 7 + ["audio.clear"] + ["audio.delta"] * 3 + ["audio.done", "audio.clear"]


@SHOWS
def test_times_are_those_of_the_text_as_it_is_spoken() -> None:
    name = "emulator_timestamps"
    assert spoken(name) == ["The train to Fahroh. It is late."]
    stamps = [value["audio_timestamps"] for value in of_type(name, "audio.delta") if "audio_timestamps" in value]
    assert "".join(character for stamp in stamps for character in stamp["graph_chars"]) == spoken(name)[0]
    times = [pair for stamp in stamps for pair in stamp["graph_times"]]
    assert times == sorted(times)


@SHOWS
def test_audio_is_cut_through_samples_and_is_whole_all_the_same() -> None:
    sizes = [len(decode_audio(value["delta"])) for value in of_type("emulator_odd_cuts", "audio.delta")]
    assert any(size % 2 for size in sizes)
    assert sum(sizes) % 2 == 0
    assert spoken("emulator_odd_cuts") == ["Cut me anywhere."]


@SHOWS
def test_socket_that_is_too_old_ends_in_an_error() -> None:
    assert spoken("emulator_too_old") == ["First."]
    assert values(tape_of("emulator_too_old"))[-1]["message"].startswith("TTS pipeline timed out after 4s")


@SHOWS
def test_voices_are_listed_and_an_unknown_one_is_not_found() -> None:
    listed, one, none = told("emulator_voices")
    assert one == (200, {"voice_id": "eve", "name": "Eve", "language": "multilingual"})
    assert one[1] in listed[1]["voices"]
    assert none[0] == 404


@SHOWS
def test_speech_over_http_comes_with_times_or_in_odd_pieces() -> None:
    ((_, envelope),) = told("emulator_synthesize_timestamps")
    assert hear(decode_audio(envelope["audio"]), sample_rate_hz=RATE_HZ) == "Mind the gap."
    assert "".join(envelope["audio_timestamps"]["graph_chars"]) == "Mind the gap."
    (status, pieces), *refused = answers("emulator_synthesize_chunks")
    assert status == 200
    assert any(len(piece) % 2 for piece in pieces[:-1])
    assert hear(b"".join(pieces), sample_rate_hz=RATE_HZ) == "Doors open on the left."
    assert [status for status, _ in refused] == [404, 422]
    assert any(isinstance(record, HttpChunkRecord) for record in tape_of("emulator_synthesize_chunks").records)
