"""The mouth: text in pieces, audio in codecs, tags, times, clears and ends."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulator.speech.driving import TtsCall
from xai_realtime.audible import duration_ms, hear, speak, words
from xai_realtime.audio import silence
from xai_realtime.emulator.query import BadSetting
from xai_realtime.emulator.tts_engine import TtsEngine
from xai_realtime.emulator.tts_sound import SpokenText, pronounced, without_tags
from xai_realtime.emulator.world import World

LONG = "This is a rather long sentence that somebody wants to hear. And here comes another one, not so short."


@pytest.mark.behaviour("emulator-tts-utterance")
def test_text_is_spoken_at_its_pace_and_done_comes_after_the_audio() -> None:
    call = TtsCall()
    call.write("Hello there.")
    call.run(10_000)
    assert call.heard() == "Hello there."
    assert call.types == ["audio.delta"] * len(call.chunks) + ["audio.done"]
    assert call.at("audio.delta") == [200.0 + 100 * number for number in range(len(call.chunks))]
    assert call.at("audio.done") == [200.0 + duration_ms("Hello there.")]
    assert {len(chunk) for chunk in call.chunks[:-1]} == {4800}
    assert len(call.of("audio.done")[0]["trace_id"]) == 32
    assert call.hangup is None


@pytest.mark.behaviour("emulator-tts-utterance")
def test_instant_pace_gives_all_audio_at_once() -> None:
    call = TtsCall(pace="instant")
    call.write("Hello there.")
    call.run(201)
    assert call.types[-1] == "audio.done"
    assert set(call.at("audio.delta")) == {200.0}


@pytest.mark.behaviour("emulator-tts-utterance")
def test_speaking_begins_before_the_text_is_complete() -> None:
    call = TtsCall()
    call.write(LONG, done=False)
    call.run(60_000)
    assert call.types.count("audio.done") == 0
    assert hear(call.audio) == LONG.removesuffix(" short.")
    call.send({"type": "text.done"})
    call.run(60_000)
    assert call.heard() == LONG
    assert call.audio == speak(LONG)


@pytest.mark.behaviour("emulator-tts-utterance")
def test_several_utterances_share_a_socket_and_wait_for_each_other() -> None:
    call = TtsCall()
    call.write("First.")
    call.write("Second.")
    call.run(10_000)
    call.write("Third.")
    call.run(10_000)
    assert [name for name in call.types if name != "audio.delta"] == ["audio.done"] * 3
    assert call.heard() == "First. Second. Third."
    assert call.types.index("audio.done") < call.types.index("audio.delta", call.types.index("audio.done"))


@pytest.mark.behaviour("emulator-tts-utterance")
def test_end_without_any_text_is_done_without_audio() -> None:
    call = TtsCall()
    call.write()
    call.write("  ")
    call.run(1000)
    assert call.types == ["audio.done", "audio.done"]


@pytest.mark.behaviour("emulator-tts-whitespace")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab,. \n!éß漢字", max_size=9), min_size=1, max_size=12))
def test_every_space_between_pieces_is_kept_however_the_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    speech = SpokenText(16_000, {})
    pcm, characters = b"", ""
    for piece in pieces:
        speech.push(piece)
        batch = speech.next_batch()
        pcm += b"" if batch is None else batch.pcm
        characters += "" if batch is None else "".join(batch.characters)
    batch = speech.rest()
    pcm += b"" if batch is None else batch.pcm
    characters += "" if batch is None else "".join(batch.characters)
    assert (pcm, characters) == ((speak(text, sample_rate_hz=16_000), text) if text.strip() else (b"", ""))


@pytest.mark.behaviour("emulator-tts-whitespace")
def test_words_whose_space_was_dropped_are_heard_as_one() -> None:
    call = TtsCall()
    call.write("Hello", " ", "world")
    call.write("Hello", "world")
    call.run(10_000)
    assert call.heard() == "Hello world Helloworld"


@pytest.mark.behaviour("emulator-tts-tags")
def test_tags_are_not_spoken_unless_they_are_split_over_pieces() -> None:
    call = TtsCall()
    call.write("Wait [pause] for <whisper>the <emphasis>secret</emphasis></whisper>.[laugh]")
    call.run(10_000)
    assert call.heard() == "Wait for the secret."
    call.forget()
    call.write("Wait [pa", "use] here <b>now</b>.")
    call.run(10_000)
    assert call.heard() == "Wait [pause] here <b>now</b>."
    assert without_tags("a[sigh] b") == "a b"


@pytest.mark.behaviour("emulator-tts-replace")
def test_phrases_are_pronounced_otherwise_and_acknowledged() -> None:
    call = TtsCall()
    call.send({"type": "session.update", "replace": {"New York": "Gotham", "york": "Yorick", "x.ai": "no"}})
    assert "x.ai" in call.errors[0]
    call.send({"type": "session.update", "replace": {"New York": "Gotham", "york": "Yorick"}})
    assert call.of("session.updated") == [
        {"type": "session.updated", "replace": {"New York": "Gotham", "york": "Yorick"}}
    ]
    call.write("From new", " york to York, Yorkshire.")
    call.run(10_000)
    assert call.heard() == "From Gotham to Yorick, Yorkshire."
    assert pronounced("a b", {}) == "a b"


@pytest.mark.behaviour("emulator-tts-replace")
@pytest.mark.parametrize(
    "replace",
    [None, [], {"a": 1}, {"": "x"}, {"a" * 101: "x"}, {"a": "x" * 129}, {f"w{n}": "x" for n in range(201)}],
)
def test_bad_replacement_is_refused_and_the_socket_stays_usable(replace: Any) -> None:
    call = TtsCall()
    call.send({"type": "session.update", "replace": replace})
    assert len(call.errors) == 1
    call.write("Fine.")
    call.run(10_000)
    assert call.heard() == "Fine."


def test_replacement_by_nothing_leaves_the_rest() -> None:
    call = TtsCall()
    call.send({"type": "session.update", "replace": {"end": ""}})
    call.write("A word too many. Then more. The end", done=False)
    call.write("")
    call.run(20_000)
    assert (call.heard() or "").rstrip() == "A word too many. Then more. The"


@pytest.mark.behaviour("emulator-tts-codecs")
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize(("codec", "ours"), [("pcm", "pcm"), ("mulaw", "pcmu"), ("ulaw", "pcmu"), ("alaw", "pcma")])
def test_every_codec_is_spoken_at_every_rate(codec: str, ours: str, rate_hz: int) -> None:
    call = TtsCall({"codec": codec, "sample_rate": str(rate_hz)}, pace="instant")
    call.write("Every codec.")
    call.run(1000)
    assert call.heard(rate_hz=rate_hz, encoding=ours) == "Every codec."


@pytest.mark.behaviour("emulator-tts-codecs")
def test_wav_begins_with_one_head_for_each_utterance() -> None:
    call = TtsCall({"codec": "wav", "sample_rate": "16000"}, pace="instant")
    call.write("In a box.")
    call.run(1000)
    head, pcm = call.audio[:44], call.audio[44:]
    assert (head[:4], head[8:16], head[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
    assert int.from_bytes(head[24:28], "little") == 16_000
    assert hear(pcm, sample_rate_hz=16_000) == "In a box."
    call.write("Another.")
    call.run(1000)
    assert call.audio.count(b"RIFF") == 2


@pytest.mark.behaviour("emulator-tts-codecs")
@pytest.mark.parametrize("rate_hz", ["8000", "22050", "24000", "48000"])
def test_mp3_is_heard_again_and_the_default(rate_hz: str) -> None:
    av = pytest.importorskip("av", reason="PyAV is an extra")
    call = TtsCall({"codec": "", "sample_rate": rate_hz}, pace="instant")
    call.write("Squeezed sound.")
    call.run(1000)
    with av.open(io.BytesIO(call.audio), format="mp3") as file:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=24_000)
        pcm = b"".join(
            bytes(piece.to_ndarray().tobytes()) for frame in file.decode(audio=0) for piece in resampler.resample(frame)
        )
    assert hear(pcm) == "Squeezed sound."
    assert call.types[-1] == "audio.done"


@pytest.mark.behaviour("emulator-tts-timestamps")
def test_timestamps_tell_each_character_from_the_start_of_the_utterance() -> None:
    call = TtsCall({"with_timestamps": "true"})
    call.write(LONG)
    call.run(60_000)
    stamped = [event for event in call.of("audio.delta") if "audio_timestamps" in event]
    assert len(stamped) == 2
    characters = [letter for event in stamped for letter in event["audio_timestamps"]["graph_chars"]]
    times = [pair for event in stamped for pair in event["audio_timestamps"]["graph_times"]]
    assert "".join(characters) == LONG
    assert len(times) == len(LONG)
    assert all(start <= end for start, end in times)
    assert [start for start, _ in times] == sorted(start for start, _ in times)
    at = 0
    for word in words(LONG):
        at = LONG.index(word.text, at)
        assert times[at][0] == pytest.approx(word.start_ms / 1000, abs=0.002)
        at += len(word.text)
    assert sum(event["audio_duration"] for event in stamped) == pytest.approx(duration_ms(LONG) / 1000)
    assert all(event["delta"] for event in stamped)


@pytest.mark.behaviour("emulator-tts-timestamps")
def test_timestamps_come_as_objects_and_without_audio_when_asked() -> None:
    call = TtsCall({"with_timestamps": "true"}, graph_times="objects", timestamps_alone=True)
    call.write("Hi all.")
    call.run(10_000)
    first, second = call.of("audio.delta")[:2]
    assert first["delta"] == ""
    assert first["audio_timestamps"]["graph_times"][0] == {"start": 0.0, "end": 0.1}
    assert "audio_timestamps" not in second
    assert call.heard() == "Hi all."


@pytest.mark.behaviour("emulator-tts-clear")
def test_clear_lets_audio_on_its_way_arrive_before_its_receipt_and_drops_the_rest() -> None:
    call = TtsCall()
    call.write(LONG)
    call.run(1050)
    before = len(call.chunks)
    call.clear()
    call.send({"type": "text.delta", "delta": "Dropped."}, {"type": "text.done"}, {"type": "text.clear"})
    call.run(10_000)
    assert call.types == ["audio.delta"] * (before + 2) + ["audio.clear"]
    call.forget()
    call.write("Fresh.")
    call.run(10_000)
    assert call.heard() == "Fresh."


@pytest.mark.behaviour("emulator-tts-clear")
def test_clear_is_answered_on_an_idle_socket_and_before_any_audio() -> None:
    call = TtsCall()
    call.clear()
    call.run(100)
    assert call.types == ["audio.clear"]
    call.write("Never heard.")
    call.clear()
    call.run(10_000)
    assert call.types == ["audio.clear"] * 2


@pytest.mark.behaviour("emulator-tts-clear")
def test_receipt_of_a_clear_may_be_missing_or_be_followed_by_done() -> None:
    call = TtsCall(no_clear_receipt=True, done_after_clear=True, in_flight_deltas=0)
    call.write(LONG)
    call.run(500)
    count = len(call.chunks)
    call.clear()
    call.run(10_000)
    assert call.types == ["audio.delta"] * count + ["audio.done"]


@pytest.mark.behaviour("emulator-tts-odd")
def test_audio_may_be_cut_through_samples_and_its_bytes_stay() -> None:
    call = TtsCall(odd_cuts=True)
    call.write(LONG)
    call.run(60_000)
    assert all(len(chunk) % 2 == 1 for chunk in call.chunks[:-1])
    assert call.audio == speak(LONG)


@pytest.mark.behaviour("emulator-tts-age")
def test_old_socket_ends_with_an_error_also_in_mid_utterance() -> None:
    call = TtsCall()
    call.run(2_099_000)
    call.write(LONG)
    call.run(60_000)
    assert call.errors == ["TTS pipeline timed out after 2101s (Deadline expired before operation could complete)"]
    assert call.at("error") == [2_100_000.0]
    assert call.hangup is not None
    assert call.of("audio.done") == []
    call.write("Nobody listens.")
    call.run(1000)
    ageless = TtsCall(tts_max_age_s=None)
    ageless.run(10_000_000)
    assert ageless.hangup is None


@pytest.mark.behaviour("emulator-tts-errors")
@pytest.mark.parametrize(
    "message",
    [
        {"type": "text.delta", "delta": "x" * 15_001},
        {"type": "text.delta"},
        {"type": "text.delta", "delta": 3},
        {"type": "nothing"},
        {"type": 3},
        "{",
        b"\x00\x01",
    ],
)
def test_bad_message_is_an_error_and_the_socket_stays_usable(message: Any) -> None:
    call = TtsCall()
    call.send(message)
    assert call.types == ["error"]
    call.write("x" * 100)
    call.run(60_000)
    assert call.heard() == "x" * 100


def test_engine_forgets_everything_when_the_client_is_gone() -> None:
    call = TtsCall()
    call.write("Gone.")
    call.engine.disconnected(call.now_ms)
    assert call.engine.next_due_ms() is None


def test_engine_refuses_a_query_that_the_handshake_refuses() -> None:
    with pytest.raises(BadSetting, match="language"):
        TtsEngine(World(), {}, 0.0)


def test_silence_between_utterances_is_not_sent() -> None:
    call = TtsCall()
    call.write("One.")
    call.write("Two.")
    call.run(10_000)
    assert call.audio == speak("One.") + speak("Two.")
    assert silence(20, 24_000) not in call.audio
