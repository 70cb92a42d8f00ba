"""The ears: utterances, chunks, interim results, ends and errors, on the time of the audio."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.emulator.speech.driving import SttCall
from xai_realtime.audible import DAMAGE, duration_ms, speak, words
from xai_realtime.audio import AudioFormat, from_pcm16, silence
from xai_realtime.emulator.encodings import encoded
from xai_realtime.emulator.query import BadSetting
from xai_realtime.emulator.stt_engine import SttEngine
from xai_realtime.emulator.world import World

RATE = 16_000
LONG = "No, I'm not going to the station today, because it rains and the trains are late."


def said(*texts: str, pause_ms: float = 600, rate_hz: int = RATE) -> bytes:
    """Texts with silence behind each."""
    return b"".join(speak(text, sample_rate_hz=rate_hz) + silence(pause_ms, rate_hz) for text in texts)


def interleaved(*channels: bytes) -> bytes:
    """Mono PCM as channels of one stream, the shorter ones with silence at the end."""
    length = max(map(len, channels))
    padded = [channel.ljust(length, b"\0") for channel in channels]
    return b"".join(channel[at : at + 2] for at in range(0, length, 2) for channel in padded)


@pytest.mark.behaviour("emulator-stt-created")
def test_transcript_created_comes_first_after_a_delay_and_audio_before_it_is_not_heard() -> None:
    call = SttCall(waits=False, startup_ms=200)
    call.send(said("Too early."))
    assert call.events == []
    call.run(200)
    assert [(at_ms, event["type"]) for at_ms, event in call.events] == [(200.0, "transcript.created")]
    assert len(call.of("transcript.created")[0]["id"]) == 36
    call.send(said("In time."))
    call.send({"type": "audio.done"})
    assert call.finals == ["In time."]
    assert call.of("transcript.done")[0]["duration"] == round(len(said("In time.")) / 32_000, 2)


@pytest.mark.behaviour("emulator-stt-finals")
def test_utterance_arrives_twice_with_its_words_and_their_times() -> None:
    call = SttCall()
    call.stream(silence(1000, RATE) + said("Good morning, Grok."))
    chunk, final = call.of("transcript.partial")
    assert (chunk["is_final"], chunk["speech_final"]) == (True, False)
    assert (final["is_final"], final["speech_final"]) == (True, True)
    assert chunk["text"] == final["text"] == "Good morning, Grok."
    spoken = words("Good morning, Grok.")
    assert [word["text"] for word in final["words"]] == ["Good", "morning,", "Grok."]
    for word, expected in zip(final["words"], spoken, strict=True):
        assert word["start"] == pytest.approx(1 + expected.start_ms / 1000, abs=0.011)
        assert word["end"] == pytest.approx(1 + expected.end_ms / 1000, abs=0.011)
        assert set(word) == {"text", "start", "end", "confidence"}
        assert round(word["start"], 2) == word["start"]
    assert final["start"] == final["words"][0]["start"]
    assert final["start"] + final["duration"] == pytest.approx(final["words"][-1]["end"])
    assert "channel_index" not in final
    assert "end_of_turn_confidence" not in final


@pytest.mark.behaviour("emulator-stt-chunks")
def test_long_utterance_comes_in_fragments_and_is_merged_and_punctuated_again() -> None:
    call = SttCall()
    call.stream(said(LONG))
    assert len(call.chunks) >= 2
    assert call.finals == [LONG]
    assert all(not chunk.endswith((".", ",")) for chunk in call.chunks)
    final = call.partials(True, True)[0]
    assert final["start"] == call.partials(True, False)[0]["start"] == 0
    told = [word["text"] for event in call.partials(True, False) for word in event["words"]]
    assert told == [word["text"] for word in final["words"]] == LONG.split()
    lengths = [event["duration"] for event in call.partials(True, False)]
    assert all(2 < length <= 3.1 for length in lengths[:-1])


@pytest.mark.behaviour("emulator-stt-chunks")
def test_pause_within_an_utterance_ends_a_chunk_whose_mark_begins_the_next() -> None:
    call = SttCall()
    call.stream(said("No,", pause_ms=300) + said("I'm not."))
    assert call.chunks == ["No", ", I'm not"]
    assert call.finals == ["No, I'm not."]


@pytest.mark.behaviour("emulator-stt-endpointing")
@pytest.mark.parametrize(
    ("endpointing", "pause_ms", "count"), [("0", 120, 2), ("400", 360, 1), ("400", 480, 2), ("1000", 900, 1)]
)
def test_silence_of_the_endpointing_ends_an_utterance(endpointing: str, pause_ms: float, count: int) -> None:
    call = SttCall({"endpointing": endpointing})
    call.stream(said("One.", "Two.", pause_ms=pause_ms))
    call.send({"type": "audio.done"})
    assert call.finals == (["One.", "Two."] if count == 2 else ["One. Two."])


@pytest.mark.behaviour("emulator-stt-audio-time")
def test_burst_and_cuts_at_any_byte_give_the_same_results_as_a_stream() -> None:
    audio = said(LONG, "Second one.", "Third", pause_ms=500)
    told = []
    for sizes in ((len(audio),), (3200,), (1, 77, 641, 9999)):
        call = SttCall({"interim_results": "true"})
        at = number = 0
        while at < len(audio):
            size = sizes[number % len(sizes)]
            call.send(audio[at : at + size])
            at, number = at + size, number + 1
        call.send({"type": "audio.done"})
        told.append(call.of("transcript.partial"))
        assert call.finals == [LONG, "Second one.", "Third"]
    assert told[0] == told[1] == told[2]


@pytest.mark.behaviour("emulator-stt-audio-time")
def test_utterance_is_not_ended_by_a_client_that_stops_sending() -> None:
    call = SttCall()
    call.stream(speak("Hello there.", sample_rate_hz=RATE))
    call.run(60_000)
    assert call.finals == []
    call.send(silence(500, RATE))
    assert call.finals == ["Hello there."]


@pytest.mark.behaviour("emulator-stt-interims")
def test_interim_results_come_every_half_second_of_speech_when_asked() -> None:
    call = SttCall({"interim_results": "true"})
    call.stream(said("one two three four five six seven eight."))
    times = [event["start"] + event["duration"] for event in call.interims]
    assert len(times) >= 3
    assert all(0.45 <= later - earlier <= 0.55 for earlier, later in pairwise(times))
    texts = [event["text"] for event in call.interims]
    assert all("one two three four five six seven eight.".startswith(text) for text in texts)
    assert texts == sorted(texts, key=len)
    assert all("confidence" not in word for event in call.interims for word in event["words"])
    silent = SttCall()
    silent.stream(said("one two three four five six seven eight."))
    assert silent.interims == []


@pytest.mark.behaviour("emulator-stt-finalize")
@pytest.mark.parametrize("name", ["finalize", "Finalize"])
def test_finalize_gives_the_utterance_out_and_the_session_goes_on(name: str) -> None:
    call = SttCall()
    call.send(speak("Stop here.", sample_rate_hz=RATE))
    call.send({"type": name})
    assert call.finals == ["Stop here."]
    call.send({"type": name})  # nobody speaks: nothing comes
    call.send(said("And go on."), {"type": name})
    assert call.finals == ["Stop here.", "And go on."]
    assert call.of("transcript.done") == []
    later = call.partials(True, True)[1]
    assert later["start"] == pytest.approx(len(speak("Stop here.", sample_rate_hz=RATE)) / 32_000, abs=0.011)


@pytest.mark.behaviour("emulator-stt-finalize")
def test_finalize_in_mid_word_gives_the_words_that_are_whole() -> None:
    call = SttCall()
    audio = speak("one two three", sample_rate_hz=RATE)
    at = int(words("one two three")[2].start_ms + 100) * 32 + 10
    call.send(audio[:at])
    call.send({"type": "finalize"})
    assert call.finals == ["one two"]
    call.send(audio[at:] + silence(600, RATE))
    assert call.finals[1:] == ["hello world"]  # the rest of a word is no text


@pytest.mark.behaviour("emulator-stt-done")
def test_audio_done_gives_the_rest_then_an_empty_done_and_closes() -> None:
    call = SttCall()
    call.send(said("First.") + speak("Second", sample_rate_hz=RATE))
    call.send({"type": "audio.done"}, b"late", {"type": "finalize"})
    assert call.types[-2:] == ["transcript.partial", "transcript.done"]
    assert call.finals == ["First.", "Second"]
    done = call.of("transcript.done")[0]
    assert (done["text"], done["words"]) == ("", [])
    assert call.hangup is not None
    assert (call.hangup.code, call.hangup.abrupt) == (1000, False)


@pytest.mark.behaviour("emulator-stt-done")
@pytest.mark.parametrize(
    ("done_text", "text", "finals"),
    [("tail", "Two", ["One."]), ("last", "Two", ["One.", "Two"]), ("full", "One. Two", ["One.", "Two"])],
)
def test_done_says_more_when_asked(done_text: str, text: str, finals: list[str]) -> None:
    call = SttCall(done_text=done_text)
    call.send(said("One.") + speak("Two", sample_rate_hz=RATE), {"type": "audio.done"})
    done = call.of("transcript.done")[0]
    assert done["text"] == text
    assert [word["text"] for word in done["words"]] == text.split()
    assert call.finals == finals


@pytest.mark.behaviour("emulator-stt-again")
def test_new_turn_is_heard_behind_the_end_when_the_socket_stays_open() -> None:
    call = SttCall(stays_open_after_done=True, done_text="full", stt_idle_timeout_s=5)
    for text in ("One.", "Two."):
        call.send(said(text), {"type": "audio.done"})
    assert [done["text"] for done in call.of("transcript.done")] == ["One.", "Two."]
    assert call.finals == ["One.", "Two."]
    assert call.of("transcript.done")[1]["duration"] == round(len(said("One.", "Two.")) / 32_000, 2)
    assert call.types.count("transcript.created") == 1
    call.run(6000)
    assert call.errors == ["ASR stream timed out"]


@pytest.mark.behaviour("emulator-stt-language")
@pytest.mark.parametrize("language", ["de", ""])
def test_language_that_was_detected_is_stated_when_asked(language: str) -> None:
    call = SttCall({"interim_results": "true"}, language=language)
    call.send(said("Guten Tag."), {"type": "audio.done"})
    events = [event for _, event in call.events[1:]]
    assert len(events) > 2
    assert {event["language"] for event in events} == {language}


@pytest.mark.behaviour("emulator-stt-language")
def test_language_is_not_stated_unless_asked() -> None:
    call = SttCall({"language": "de"})
    call.send(said("Guten Tag."), {"type": "audio.done"})
    assert not any("language" in event for _, event in call.events)


@pytest.mark.behaviour("emulator-stt-done")
def test_audio_done_before_the_recogniser_is_ready_is_kept_until_then() -> None:
    call = SttCall(waits=False)
    call.send({"type": "audio.done"})
    assert call.events == []
    call.run(1000)
    assert call.types == ["transcript.created", "transcript.done"]
    assert call.of("transcript.done")[0]["duration"] == 0


@pytest.mark.behaviour("emulator-stt-channels")
def test_channels_are_transcribed_by_themselves_and_each_is_done() -> None:
    call = SttCall({"multichannel": "true", "channels": "3"})
    left, right = said("Left one.", "Left two."), silence(300, RATE) + said("Right.")
    call.stream(interleaved(left, right, silence(100, RATE)), bytes_per_ms=96)
    call.send({"type": "audio.done"})
    by_channel: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for event in call.partials(True, True):
        by_channel[event["channel_index"]].append(event["text"])
    assert by_channel == {0: ["Left one.", "Left two."], 1: ["Right."], 2: []}
    assert [event["channel_index"] for event in call.of("transcript.done")] == [0, 1, 2]
    ends = [event["start"] + event["duration"] for event in call.partials(True, True)]
    assert ends == sorted(ends)


@pytest.mark.behaviour("emulator-stt-channels")
def test_finalize_of_one_channel_leaves_the_other_alone() -> None:
    call = SttCall({"multichannel": "true", "channels": "2"})
    both = interleaved(speak("Left side.", sample_rate_hz=RATE), speak("Right side.", sample_rate_hz=RATE))
    call.send(both, {"type": "finalize", "channel": 1})
    assert [(event["channel_index"], event["text"]) for event in call.partials(True, True)] == [(1, "Right side.")]
    call.send({"type": "finalize", "channel": 2}, {"type": "finalize", "channel": "0"})
    assert len(call.errors) == 2
    call.send({"type": "finalize"})
    assert call.finals == ["Right side.", "Left side."]


@pytest.mark.behaviour("emulator-stt-encodings")
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize(("encoding", "ours"), [("pcm", "pcm"), ("mulaw", "pcmu"), ("alaw", "pcma")])
def test_every_encoding_is_heard_at_every_rate(encoding: str, ours: str, rate_hz: int) -> None:
    call = SttCall({"encoding": encoding, "sample_rate": str(rate_hz)})
    audio = from_pcm16(said("Every rate.", rate_hz=rate_hz), ours)
    call.send(audio, {"type": "audio.done"})
    assert call.finals == ["Every rate."]
    assert call.of("transcript.done")[0]["duration"] == duration_ms("Every rate.") / 1000 + 0.6


@pytest.mark.behaviour("emulator-stt-encodings")
def test_opus_is_heard_packet_by_packet_and_other_bytes_end_the_session() -> None:
    pytest.importorskip("av", reason="PyAV is an extra")
    call = SttCall({"encoding": "opus", "sample_rate": "24000"})
    for packet, _ in encoded(said("Opus it is.", rate_hz=24_000), AudioFormat("opus", 24_000), 20):
        call.send(packet)
    assert call.finals == ["Opus it is."]
    call.send(b"\xff\xff\xff this is no packet")
    assert "Failed to decode audio" in call.errors[0]
    assert call.hangup is not None


@pytest.mark.behaviour("emulator-stt-words")
def test_fillers_are_stripped_unless_asked_for() -> None:
    audio = said("Um, I think, uh, yes.", "Hmm.")
    call = SttCall()
    call.send(audio, {"type": "audio.done"})
    assert call.finals == ["I think, yes."]
    assert [word["text"] for word in call.partials(True, True)[0]["words"]] == ["I", "think,", "yes."]
    kept = SttCall({"filler_words": "true"})
    kept.send(audio, {"type": "audio.done"})
    assert kept.finals == ["Um, I think, uh, yes.", "Hmm."]


@pytest.mark.behaviour("emulator-stt-words")
def test_speakers_are_told_where_asked_for_and_come_from_the_scenario() -> None:
    call = SttCall({"diarize": "true"}, speakers=(0, 1))
    call.send(said("One.", "Two.", "Three."))
    assert [event["words"][0]["speaker"] for event in call.partials(True, True)] == [0, 1, 0]
    plain = SttCall({"diarize": "true"})
    plain.send(said("One.", "Two."))
    assert [event["words"][0]["speaker"] for event in plain.partials(True, True)] == [0, 0]


@pytest.mark.behaviour("emulator-stt-words")
def test_other_sound_is_heard_as_the_fallback_and_damage_has_no_confidence() -> None:
    buzz = (b"\x00\x30" * 20 + b"\x00\xd0" * 20) * 400
    call = SttCall()
    call.send(buzz + silence(600, RATE))
    assert call.finals == ["hello world"]
    first, second = call.partials(True, True)[0]["words"]
    assert (first["start"], first["end"]) == (0, second["start"])
    audio = said("one two three four")
    two = words("one two three four")[1]
    at = int(two.start_ms) * 32
    call.send(audio[:at] + audio[at + 3200 :])
    assert call.finals[1] == f"one{DAMAGE} three four"
    damage = next(word for word in call.partials(True, True)[1]["words"] if word["text"] == DAMAGE)
    assert "confidence" not in damage


@pytest.mark.behaviour("emulator-stt-smart-turn")
def test_smart_turn_demotes_a_pause_in_mid_sentence_and_merges_what_follows() -> None:
    call = SttCall({"smart_turn": "0.7"})
    call.stream(said("I would like a ticket to", pause_ms=3000))
    assert call.finals == []
    demoted = call.partials(True, False)[-1]
    assert demoted["end_of_turn_confidence"] == 0.1
    call.stream(said("London."))
    assert call.finals == ["I would like a ticket to London."]
    assert call.partials(True, True)[0]["end_of_turn_confidence"] == 0.95
    assert call.chunks == ["I would like a ticket to", "London"]


@pytest.mark.behaviour("emulator-stt-smart-turn")
def test_smart_turn_timeout_ends_a_turn_that_is_held_open() -> None:
    call = SttCall({"smart_turn": "0.7", "smart_turn_timeout": "1500", "interim_results": "true"})
    call.stream(said("and then", pause_ms=1400))
    assert call.finals == []
    call.stream(silence(200, RATE))
    assert call.finals == ["and then"]
    assert {event["end_of_turn_confidence"] for event in call.interims} == {0.0}
    unsure = SttCall({"smart_turn": "0.5"})
    unsure.stream(said("maybe"))
    assert unsure.finals == ["maybe"]


@pytest.mark.behaviour("emulator-stt-errors")
@pytest.mark.parametrize("message", [{"type": "input_audio_buffer.append"}, {"type": None}, "{", "[]", {}])
def test_bad_client_message_is_an_error_that_names_audio_done_and_the_session_goes_on(message: Any) -> None:
    call = SttCall()
    call.send(message)
    assert "audio.done" in call.errors[0]
    call.send(said("Still here."))
    assert call.finals == ["Still here."]


@pytest.mark.behaviour("emulator-stt-idle")
def test_stream_without_audio_times_out_and_closes() -> None:
    call = SttCall(stt_idle_timeout_s=10)
    call.run(5000)
    call.send(silence(100, RATE))
    call.run(9_000)
    assert call.errors == []
    call.run(2_000)
    assert call.errors == ["ASR stream timed out"]
    assert call.at("error") == [16_000.0]
    assert call.hangup is not None
    assert call.engine.next_due_ms() is None


@pytest.mark.behaviour("emulator-stt-idle")
def test_socket_may_stay_open_after_the_time_out_and_says_nothing_more() -> None:
    call = SttCall(stt_idle_timeout_s=10, stays_open_after_error=True, error_field="error")
    call.run(20_000)
    assert call.of("error") == [{"type": "error", "error": "ASR stream timed out"}]
    call.send(said("Hello?"), {"type": "audio.done"})
    call.run(60_000)
    assert call.hangup is None
    assert len(call.events) == 2


@pytest.mark.behaviour("emulator-stt-idle")
def test_stream_goes_deaf_after_a_long_pause_and_stays_open() -> None:
    call = SttCall(goes_deaf_after_s=600, stt_idle_timeout_s=None)
    call.send(said("Heard."))
    call.run(601_000)
    call.send(said("Not heard."), {"type": "finalize"})
    call.run(600_000)
    assert call.finals == ["Heard."]
    assert (call.errors, call.hangup) == ([], None)
    endless = SttCall(stt_idle_timeout_s=None)
    endless.run(10_000_000)
    assert endless.hangup is None


@pytest.mark.behaviour("emulator-stt-quirks")
def test_empty_partials_come_each_second_after_finalize_until_speech() -> None:
    call = SttCall(empty_partials=True)
    call.send(said("Hello."), {"type": "finalize"})
    call.run(3500)
    empties = [event for event in call.of("transcript.partial") if event["text"] == ""]
    assert len(empties) == 3
    assert len({(event["start"], event["duration"]) for event in empties}) == 1
    call.send(said("Again."))
    call.run(5000)
    assert call.of("transcript.partial")[-1]["text"] == "Again."


@pytest.mark.behaviour("emulator-stt-quirks")
@pytest.mark.parametrize(("cut", "count"), [("before_done", 0), ("after_done", 1)])
def test_connection_may_break_off_at_the_end(cut: str, count: int) -> None:
    call = SttCall(cut_at_end=cut, no_words=True)
    call.send(said("Bye."), {"type": "audio.done"})
    assert call.finals == ["Bye."]
    assert "words" not in call.partials(True, True)[0]
    assert len(call.of("transcript.done")) == count
    assert call.hangup is not None
    assert call.hangup.abrupt


def test_engine_forgets_everything_when_the_client_is_gone() -> None:
    call = SttCall()
    call.engine.disconnected(call.now_ms)
    assert call.engine.next_due_ms() is None
    call.send(said("Nobody."))
    assert call.finals == []


def test_engine_refuses_a_query_that_the_handshake_refuses() -> None:
    with pytest.raises(BadSetting, match="endpointing"):
        SttEngine(World(), {"endpointing": "-1"}, 0.0)
