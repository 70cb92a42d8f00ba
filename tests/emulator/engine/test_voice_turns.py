"""Speech in: turns by energy, transcripts that grow, turns that are taken back, turns by hand."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.emulator.engine.driving import MANUAL, VAD, Call, say, scripted, sequence
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.frames import Frame

TURN = [
    "input_audio_buffer.speech_started",
    "conversation.item.added",
    "conversation.item.input_audio_transcription.updated",
    "conversation.item.input_audio_transcription.completed",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.input_audio_transcription.updated",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.completed",
]
COMPLETED = "conversation.item.input_audio_transcription.completed"
UPDATED = "conversation.item.input_audio_transcription.updated"
STARTED = "input_audio_buffer.speech_started"


def voice_call(scenario: Any = None, **more: Any) -> Call:
    call = Call(scenario, session={**VAD, **more.pop("session", {})}, **more)
    call.forget()
    return call


def turns(call: Call) -> list[str]:
    """What the user said, item by item."""
    return [item.text for item in call.conversation.items if item.role == "user"]


@pytest.mark.behaviour("emulator-vad-turn")
def test_voice_turn_goes_as_the_service_goes_when_audio_streams() -> None:
    call = voice_call()
    call.stream(say("Hello, my name is Marcelo."))
    call.run(10_000)
    assert sequence(call.types)[:9] == TURN
    item_id = call.of(STARTED)[0]["item_id"]
    added = call.of("conversation.item.added")[0]
    assert added["item"]["id"] == item_id
    assert added["item"]["status"] == "in_progress"
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": ""}]
    assert call.at("conversation.item.added")[0] == call.at(STARTED)[0] < call.at("input_audio_buffer.committed")[0]
    assert call.heard() == "You said: Hello, my name is Marcelo."


@pytest.mark.behaviour("emulator-transcripts-grow")
def test_transcripts_are_cumulative_and_completed_comes_repeatedly_with_a_status() -> None:
    call = voice_call()
    call.stream(say("Hello, my name is Marcelo.", after_ms=1_000))
    assert [event["transcript"] for event in call.of(UPDATED)] == [
        "Hello,",
        "Hello, my",
        "Hello, my name",
        "Hello, my name is",
    ]
    assert [(event["transcript"], event["status"]) for event in call.of(COMPLETED)] == [
        ("Hello, my name", "in_progress"),
        ("Hello, my name is", "in_progress"),
        ("Hello, my name is Marcelo.", "completed"),
    ]


def test_updated_transcripts_are_not_sent_without_a_transcription_model() -> None:
    call = voice_call(session={"audio": {"input": {"transcription": None}}})
    call.stream(say("Hello, my name is Marcelo.", after_ms=1_000))
    assert call.of(UPDATED) == []
    assert call.of(COMPLETED)[-1]["transcript"] == "Hello, my name is Marcelo."


def test_reply_begins_at_least_100_ms_after_the_speech_was_told_when_audio_comes_in_a_burst() -> None:
    call = voice_call()
    call.append(say("Hello"))
    call.run(10_000)
    assert call.at(STARTED) == [0]
    assert call.at("response.output_audio.delta")[0] >= 100


@pytest.mark.behaviour("emulator-audio-time")
@pytest.mark.parametrize("chunk_ms", [20.0, 100.0, 730.0, 60_000.0])
def test_turns_are_the_same_in_a_burst_and_at_real_pace(chunk_ms: float) -> None:
    talk = say("First one.", after_ms=2_000) + say("Second", after_ms=600) + say("goes on.", after_ms=900)
    call = voice_call()
    call.stream(talk, chunk_ms=chunk_ms)
    call.run(10_000)
    assert turns(call) == ["First one.", "Second goes on."]
    marks = [(event["audio_start_ms"]) for event in call.of(STARTED)]
    assert marks == [0, 2307, 3500]
    assert [event["audio_end_ms"] for event in call.of("input_audio_buffer.speech_stopped")] == [1140, 3500, 4660]


@pytest.mark.behaviour("emulator-takes-back")
def test_turn_is_taken_back_when_the_user_goes_on_before_the_reply_is_heard() -> None:
    call = voice_call()
    call.stream(say("My number is", after_ms=640) + say("four two.", after_ms=800))
    call.run(10_000)
    items = {event["item_id"] for event in call.of(STARTED)}
    assert len(call.of(STARTED)) == 2
    assert len(items) == 1
    assert len(call.of("input_audio_buffer.committed")) == 1
    assert len([e for e in call.of("conversation.item.added") if e["item"]["role"] == "user"]) == 1
    assert [e["transcript"] for e in call.of(COMPLETED)] == [
        "My",
        "My number is",
        "My number is four",
        "My number is four two.",
    ]
    assert [e["status"] for e in call.of(COMPLETED)] == ["in_progress"] * 3 + ["completed"]
    dropped, heard = call.of("response.created")
    assert [event["response_id"] for event in call.of("response.done")] == [heard["response"]["id"]]
    assert dropped["response"]["id"] not in {event.get("response_id") for _, event in call.events}
    marks = ("input_audio_buffer.speech_stopped", "response.created", STARTED, "input_audio_buffer.committed")
    assert [name for name in call.types if name in marks] == [STARTED, *marks[:3], marks[0], marks[3], marks[1]]
    assert call.heard() == "You said: My number is four two."
    updates = [event["transcript"] for event in call.of(UPDATED)]
    assert updates == sorted(updates, key=len)


def test_sender_that_stops_after_speech_counts_as_silent_after_the_silence_setting() -> None:
    call = voice_call(session={"turn_detection": {"type": "server_vad", "silence_duration_ms": 700}})
    call.stream(speak("Hello there"))
    call.run(10_000)
    last_ms = 100 * -(-len(speak("Hello there")) // 4800) - 100
    assert call.at("input_audio_buffer.speech_stopped") == [last_ms + 700]
    assert turns(call) == ["Hello there"]
    assert call.heard() == "You said: Hello there"


def test_sender_that_goes_on_in_time_is_one_turn() -> None:
    call = voice_call()
    for part in ("Hello", "again"):
        call.append(speak(part))
        call.run(400)
    call.run(10_000)
    assert len(call.of(STARTED)) == 1
    assert turns(call) == ["Hello again"]


def test_audio_that_is_no_audible_text_is_heard_as_the_fallback() -> None:
    tone = base64.b64decode(base64.b64encode(b"\x00\x20\x00\xe0" * 24_000))
    call = voice_call()
    call.append(tone + silence(700, 24_000))
    call.run(10_000)
    assert turns(call) == ["What is the weather in London?"]


def test_silence_and_noise_below_the_threshold_start_no_turn() -> None:
    call = voice_call()
    call.append(b"\x10\x00\xf0\xff" * 48_000)
    call.run(10_000)
    assert STARTED not in call.types


def test_turn_that_had_ended_is_committed_before_other_ears_listen() -> None:
    call = voice_call()
    call.stream(say("Hello"))
    call.send({"type": "session.update", "session": {"turn_detection": None}})
    call.run(10_000)
    assert turns(call) == ["Hello"]
    assert call.heard() == "You said: Hello"


@pytest.mark.behaviour("emulator-commit-under-vad")
def test_commit_does_nothing_under_turn_detection() -> None:
    call = voice_call()
    call.append(speak("Hello"))
    call.send({"type": "input_audio_buffer.commit"})
    call.take()
    assert "input_audio_buffer.committed" not in call.types
    assert call.errors == []
    call.run(10_000)
    assert len(call.of("input_audio_buffer.committed")) == 1


@pytest.mark.behaviour("emulator-create-response-ignored")
def test_reply_comes_although_create_response_is_false() -> None:
    detection = {"type": "server_vad", "create_response": False}
    call = Call(session={"turn_detection": detection})
    assert call.last("session.updated")["session"]["turn_detection"] == detection
    call.append(say("Hello"))
    call.run(10_000)
    assert call.heard() == "You said: Hello"


@pytest.mark.parametrize(("kind", "rate_hz"), [("pcm", 8000), ("pcm", 44100), ("pcmu", 8000), ("pcma", 8000)])
def test_voice_turn_works_in_every_format_both_ways(kind: str, rate_hz: int) -> None:
    form = {"format": {"type": f"audio/{kind}", "rate": rate_hz}}
    call = voice_call(session={"audio": {"input": form, "output": form}})
    call.append(say("Good morning, Grok.", rate_hz=rate_hz, encoding=kind))
    call.run(20_000)
    assert turns(call) == ["Good morning, Grok."]
    assert call.heard(rate_hz=rate_hz, encoding=kind) == "You said: Good morning, Grok."
    assert call.last("response.done")["usage"]["output_audio_seconds"] == pytest.approx(
        len(call.spoken()) / rate_hz / (2 if kind == "pcm" else 1), abs=1e-6
    )


def test_audio_goes_through_binary_messages_both_ways() -> None:
    audio = {"input": {"transport": "binary"}, "output": {"transport": "binary"}}
    call = voice_call(session={"audio": audio})
    for at in range(0, len(say("Hello")), 999):
        call.send(Frame(say("Hello")[at : at + 999], is_text=False))
    call.run(10_000)
    assert turns(call) == ["Hello"]
    assert "response.output_audio.delta" not in call.types
    assert call.heard() == "You said: Hello"


def test_output_transport_switches_at_the_next_response() -> None:
    call = voice_call()
    call.write("One")
    call.run(1_000)
    call.send({"type": "session.update", "session": {"audio": {"output": {"transport": "binary"}}}})
    call.run(10_000)
    assert call.binary == b""
    call.write("Two")
    call.run(10_000)
    assert call.binary


def test_clear_forgets_what_was_said() -> None:
    call = voice_call()
    call.append(speak("Never mind"))
    call.send({"type": "input_audio_buffer.clear"})
    call.run(10_000)
    assert call.types[-1] == "input_audio_buffer.cleared"
    assert "input_audio_buffer.committed" not in call.types


def test_time_of_the_audio_goes_on_over_a_clear() -> None:
    call = voice_call()
    call.stream(silence(2_000, 24_000))
    call.send({"type": "input_audio_buffer.clear"})
    call.stream(say("Hello"))
    assert 1_600 <= call.last("input_audio_buffer.speech_started")["audio_start_ms"] <= 2_100


def test_change_of_the_input_format_begins_with_new_ears() -> None:
    call = voice_call()
    call.append(speak("Lost"))
    call.send({"type": "session.update", "session": {"audio": {"input": {"format": {"rate": 16_000}}}}})
    call.append(say("Kept", rate_hz=16_000))
    call.run(10_000)
    assert call.heard() == "You said: Kept"


def test_change_of_other_settings_keeps_the_turn() -> None:
    call = voice_call()
    audio = say("Kept words")
    call.append(audio[:20_000])
    call.send({"type": "session.update", "session": {"instructions": "Be kind."}})
    call.append(audio[20_000:])
    call.run(10_000)
    assert turns(call) == ["Kept words"]


@pytest.mark.parametrize("tail_ms", [0, 20, 500, 20_000])
def test_turn_is_heard_whole_whatever_silence_ends_it(tail_ms: int) -> None:
    detection = {"type": "server_vad", "silence_duration_ms": 20, "prefix_padding_ms": 0, "threshold": 0.1}
    call = voice_call(session={"turn_detection": detection})
    call.stream(silence(3_000, 24_000) + say("Hello there", after_ms=tail_ms))
    call.run(10_000)
    assert turns(call) == ["Hello there"]


@pytest.mark.behaviour("emulator-idle-timeout")
def test_idle_timeout_commits_a_silent_turn_answers_it_and_arms_again() -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    call = voice_call(session={"turn_detection": detection})
    call.append(silence(1_000, 24_000))
    call.run(20_000)
    assert "input_audio_buffer.timeout_triggered" not in call.types
    call.write("Hello")
    call.run(20_000)
    assert len(call.of("input_audio_buffer.timeout_triggered")) >= 2
    first = call.types.index("input_audio_buffer.timeout_triggered")
    assert call.types[first : first + 4] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "response.created",
    ]
    assert call.at("input_audio_buffer.timeout_triggered")[0] == call.at("response.done")[0] + 5_000
    assert call.at("input_audio_buffer.timeout_triggered")[1] == call.at("response.done")[1] + 5_000
    assert (call.heard() or "").startswith("You said: Hello Are you still there?")


def test_idle_timeout_waits_while_the_user_speaks() -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 2_000}
    call = voice_call(session={"turn_detection": detection})
    call.write("Hello")
    call.run(3_000)
    call.forget()
    call.stream(speak("I have a lot to say and it takes longer than the timeout does"))
    assert "input_audio_buffer.timeout_triggered" not in call.types


def test_manual_turn_is_answered_by_its_commit_alone() -> None:
    call = Call(session=MANUAL)
    call.forget()
    call.stream(speak("What is my name?"))
    assert call.types == []
    call.send({"type": "input_audio_buffer.commit"})
    call.take()
    assert call.types == ["input_audio_buffer.committed", "conversation.item.added", UPDATED, COMPLETED]
    assert call.last(COMPLETED)["status"] == "completed"
    assert call.of("conversation.item.added")[0]["item"]["status"] == "completed"
    call.run(10_000)
    assert call.heard() == "You said: What is my name?"


@pytest.mark.behaviour("emulator-manual-answers-commit")
def test_request_right_after_an_answered_audio_turn_is_dropped_until_there_is_new_input() -> None:
    call = Call(session=MANUAL)
    call.append(speak("Hello"))
    call.send({"type": "input_audio_buffer.commit"}, {"type": "response.create"})
    call.run(10_000)
    call.send({"type": "response.create"})
    call.run(10_000)
    assert call.errors == []
    assert len(call.of("response.created")) == 1
    call.send({"type": "input_audio_buffer.clear"}, {"type": "response.create"})
    call.run(10_000)
    assert len(call.of("response.created")) == 2


@pytest.mark.behaviour("emulator-request-commits")
def test_request_commits_the_speech_that_waits_and_answers_it() -> None:
    call = Call(session=MANUAL)
    call.forget()
    call.append(speak("Hello"))
    call.send({"type": "response.create", "response": {"metadata": {"n": "1"}}})
    call.run(10_000)
    assert call.types[:2] == ["input_audio_buffer.committed", "conversation.item.added"]
    assert call.heard() == "You said: Hello"
    assert call.last("response.done")["response"]["metadata"] == {"n": "1"}
    call.append(silence(1_000, 24_000))
    call.send({"type": "response.create"})
    call.run(10_000)
    assert len(call.of("response.created")) == 1


def test_request_that_is_refused_commits_nothing() -> None:
    call = Call(session=MANUAL)
    call.write("Hello")
    call.append(speak("Wait"))
    call.send({"type": "response.create"})
    call.run(10_000)
    assert call.errors[0]["code"] == "conversation_already_has_active_response"
    assert "input_audio_buffer.committed" not in call.types


@pytest.mark.behaviour("emulator-manual-silence")
@pytest.mark.parametrize("audio", [b"", silence(2_000, 24_000)])
def test_commit_of_silence_is_ignored_and_a_request_after_it_is_answered(audio: bytes) -> None:
    call = Call(session=MANUAL)
    call.forget()
    call.append(audio)
    call.send({"type": "input_audio_buffer.commit"})
    call.take()
    assert call.types == []
    call.send({"type": "response.create"})
    call.run(10_000)
    assert call.heard() == "Hello! How can I help you?"


def test_manual_turns_follow_each_other() -> None:
    call = Call(session=MANUAL)
    for words in ("One", "Two"):
        call.append(speak(words))
        call.send({"type": "input_audio_buffer.commit"})
        call.run(10_000)
    assert turns(call) == ["One", "Two"]
    first, second = call.of("input_audio_buffer.committed")
    assert first["previous_item_id"] is None
    assert second["previous_item_id"] is not None


def test_manual_turn_without_transcription_is_answered_without_a_transcript() -> None:
    call = Call(session={"turn_detection": None}, scenario=scripted({"Hello": "Hi."}))
    call.append(speak("Hello"))
    call.send({"type": "input_audio_buffer.commit"})
    call.run(10_000)
    assert COMPLETED not in call.types
    assert call.heard() == "Hi."
