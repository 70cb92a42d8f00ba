"""Breaking in: by voice and by hand, before, during and after a reply, and what the server is told of it."""

from __future__ import annotations

import math
from array import array
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, talking, utterance
from xai_realtime import Manual, ServerVad, SessionPolicy, Transcription
from xai_realtime.audible import duration_ms, hear, speak
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator, Quirks, Turn
from xai_realtime.emulator.scenario import Prompt
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
)

STORY = "One two three four five six. Seven eight nine ten."
STORY_MS = duration_ms(STORY)
ANSWER = "All right then."
TURNS: dict[str, Turn | str] = {"tell": STORY, "stop": ANSWER}
BYTES_PER_MS = RATE_HZ * 2 // 1000


def scripted(prompt: Prompt) -> Turn | str:
    return TURNS.get(prompt.heard, f"You said: {prompt.heard}")


def instant(**quirks: Any) -> Emulator:
    """A server that sends a reply at once, so that it is over long before it is played."""
    return Emulator(scripted, seed=1, pace="instant", quirks=Quirks(**quirks))


def noise(duration_ms: int) -> bytes:
    """A hum that the server takes for speech, and silence behind it."""
    count = RATE_HZ * duration_ms // 1000
    hum = array("h", (int(9000 * math.sin(place / 12)) for place in range(count)))
    return hum.tobytes() + silence(1_500, RATE_HZ)


async def mid_story(talk: Talk, after_ms: float = 1_000) -> ResponseStarted:
    """Have the story told for a while."""
    await talk.session.send_text("tell")
    started = await talk.next(ResponseStarted)
    await talk.next(SpeechStarted, who="agent")
    await anyio.sleep(after_ms / 1000)
    return started


async def settle() -> None:
    """Let everything happen that can happen now: virtual time goes on only afterwards."""
    await anyio.sleep(0.01)


def time_of(talk: Talk, event: object) -> float:
    return next(at_ms for at_ms, told in talk.told if told is event)


def audio_after(talk: Talk, event: object) -> bytes:
    place = next(place for place, (_, told) in enumerate(talk.told) if told is event)
    return b"".join(told.audio for _, told in talk.told[place:] if isinstance(told, AudioOutput))


# By hand


@pytest.mark.behaviour("bug-36")
@BACKENDS
def test_interrupt_cancels_the_open_response_and_truncates_what_was_not_heard(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=Manual(), transcription=Transcription()) as talk:
            started = await mid_story(talk, 1_030)
            assert await talk.session.interrupt()
            told = await talk.next(Interrupted)
            done = await talk.next(ResponseDone)
            await settle()
            (cancel,), (truncate,) = talk.sent_of(wire.ResponseCancel), talk.sent_of(wire.ConversationItemTruncate)
            assert cancel.response_id == started.response_id
            assert (truncate.item_id, truncate.content_index, truncate.audio_end_ms) == (told.item_id, 0, 1_030)
            assert (told.reason, told.heard_ms, told.received_ms, told.heard_text) == (
                "interrupt",
                1_030,
                1_100,
                "One two three",
            )
            assert (done.status, done.reason) == ("cancelled", "interrupted")

    run(main, backend)


@pytest.mark.behaviour("ask-15")
@BACKENDS
def test_interrupt_sends_nothing_and_says_no_when_nothing_runs(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await settle()
            before = list(talk.sent)
            assert not await talk.session.interrupt()
            assert not await talk.session.interrupt(force=True)
            await settle()
            assert talk.sent == before
            await talk.session.send_text("stop")
            await talk.next(SpeechStopped, who="agent")
            assert not await talk.session.interrupt()
            await settle()
            assert talk.sent_types() == ["session.update", "conversation.item.create", "response.create"]
            await talk.session.send_text("tell")
            assert (await talk.next(Transcript, text=STORY)).is_interrupted is False

    run(main, backend)


@pytest.mark.behaviour("ask-15")
@BACKENDS
def test_interrupt_sends_no_second_cancel_when_the_first_is_not_answered_yet(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(scripted, seed=1, quirks=Quirks(late_deltas=5))
        async with talking(emulator=emulator, turn_detection=Manual()) as talk:
            await mid_story(talk)
            assert await talk.session.interrupt()
            assert not await talk.session.interrupt()
            await anyio.sleep(0.2)
            assert not await talk.session.interrupt(force=True)
            await talk.next(ResponseDone)
            await settle()
            assert len(talk.sent_of(wire.ResponseCancel)) == 1
            assert len(talk.sent_of(wire.ConversationItemTruncate)) == 1

    run(main, backend)


@BACKENDS
def test_reply_never_surfaces_when_it_was_interrupted_before_it_began(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=Manual(), transcription=Transcription()) as talk:
            await talk.session.send_text("tell")
            assert await talk.session.interrupt()
            await settle()
            assert talk.sent_of(wire.ResponseCancel) == []
            await talk.session.send_text("stop")
            await talk.next(SpeechStopped, who="agent")
            late, answer = [event.response.id for event in talk.received if isinstance(event, wire.ResponseCreated)]
            assert [cancel.response_id for cancel in talk.sent_of(wire.ResponseCancel)] == [late]
            assert [event.response_id for event in talk.of(ResponseStarted)] == [answer]
            assert talk.audio() == speak(ANSWER, sample_rate_hz=RATE_HZ)
            assert {event.response_id for event in talk.of(TranscriptDelta)} == {answer}

    run(main, backend)


@pytest.mark.behaviour("ask-15")
@BACKENDS
def test_interrupt_truncates_and_cancels_nothing_when_the_reply_is_over_but_still_plays(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=instant(), turn_detection=Manual()) as talk:
            await mid_story(talk, 1_000)
            await talk.next(ResponseDone, status="completed")
            assert await talk.session.interrupt()
            told = await talk.next(Interrupted)
            assert (told.heard_ms, told.received_ms) == (1_000, STORY_MS)
            await settle()
            assert talk.sent_of(wire.ResponseCancel) == []
            assert [event.audio_end_ms for event in talk.sent_of(wire.ConversationItemTruncate)] == [1_000]
            assert talk.of(SpeechStopped)
            await talk.session.send_text("stop")
            await talk.next(Transcript, text=ANSWER)
            assert audio_after(talk, told) == speak(ANSWER, sample_rate_hz=RATE_HZ)

    run(main, backend)


@BACKENDS
def test_interrupt_throws_away_what_the_user_said_when_it_is_to_clear_the_input(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=Manual(), transcription=Transcription()) as talk:
            await mid_story(talk)
            await talk.stream(utterance("nonsense", 0))
            assert await talk.session.interrupt(clear_input=True)
            await talk.next(ResponseDone, status="cancelled")
            await settle()
            kinds = talk.sent_types()
            assert kinds[-3:] == ["response.cancel", "conversation.item.truncate", "input_audio_buffer.clear"]
            await talk.stream(utterance("stop", 0))
            await talk.session.end_turn()
            assert (await talk.next(Transcript, role="user")).text == "stop"
            assert (await talk.next(Transcript, role="assistant", is_interrupted=False)).text == ANSWER

    run(main, backend)


@BACKENDS
def test_interrupt_leaves_what_the_user_said_when_it_is_not_to_clear_the_input(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=Manual(), transcription=Transcription()) as talk:
            await mid_story(talk, 500)
            await talk.stream(utterance("stop", 0))
            assert await talk.session.interrupt()
            await settle()
            assert "input_audio_buffer.clear" not in talk.sent_types()
            await talk.session.end_turn()
            assert (await talk.next(Transcript, role="user")).text == "stop"
            assert (await talk.next(Transcript, role="assistant", is_interrupted=False)).text == ANSWER

    run(main, backend)


# By voice


@pytest.mark.behaviour("ask-15")
@BACKENDS
def test_speech_flushes_and_truncates_without_a_cancel_when_the_server_stops_by_itself(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await mid_story(talk, 1_030)
            await talk.speak("stop")
            told = await talk.next(Interrupted)
            assert isinstance(told.raw, wire.InputAudioBufferSpeechStarted)
            assert (told.reason, told.heard_text) == ("speech", "One two three")
            assert 1_030 < told.heard_ms <= 1_130
            await settle()
            assert talk.sent_types()[3:] == ["conversation.item.truncate"]
            assert (await talk.next(Transcript, text=ANSWER)).is_interrupted is False
            assert audio_after(talk, told) == speak(ANSWER, sample_rate_hz=RATE_HZ)
            assert [event.who for event in talk.of(SpeechStarted)] == ["agent", "user", "agent"]

    run(main, backend)


@pytest.mark.behaviour("bug-17")
@pytest.mark.parametrize("detection", [ServerVad(), Manual()], ids=["voice", "hand"])
@BACKENDS
def test_late_audio_of_an_interrupted_reply_is_never_passed_on(backend: str, detection: Any) -> None:
    async def main() -> None:
        emulator = Emulator(scripted, seed=1, quirks=Quirks(late_deltas=8))
        async with talking(emulator=emulator, turn_detection=detection) as talk:
            started = await mid_story(talk, 300)
            if isinstance(detection, ServerVad):
                await talk.speak("stop")
            else:
                await talk.session.interrupt()
                await talk.session.send_text("stop")
            told = await talk.next(Interrupted)
            await talk.next(SpeechStopped, who="agent")
            await talk.next(SpeechStopped, who="agent")
            late = [event for event in talk.received if isinstance(event, wire.ResponseOutputAudioDelta)]
            late = [event for event in late if event.response_id == started.response_id]
            assert len(b"".join(event.audio for event in late)) >= len(talk.audio(started.response_id)) + 8 * 4_800
            assert audio_after(talk, told) == speak(ANSWER, sample_rate_hz=RATE_HZ)
            assert hear(audio_after(talk, told)) == ANSWER

    run(main, backend)


@pytest.mark.behaviour("bug-17")
@BACKENDS
def test_next_reply_is_whole_when_the_interrupted_one_never_ends(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(scripted, seed=1, quirks=Quirks(late_deltas=3, no_done_after_interrupt=True))
        async with talking(emulator=emulator) as talk:
            started = await mid_story(talk, 500)
            await talk.speak("stop")
            told = await talk.next(Interrupted)
            done = await talk.next(ResponseDone, response_id=started.response_id)
            assert (done.status, done.reason) == ("cancelled", "interrupted")
            await talk.next(ResponseDone, status="completed")
            assert audio_after(talk, told) == speak(ANSWER, sample_rate_hz=RATE_HZ)
            assert len(talk.of(ResponseDone)) == 2

    run(main, backend)


@BACKENDS
def test_speech_flushes_nothing_when_the_server_was_told_not_to_stop_for_it(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=ServerVad(interrupt_response=False)) as talk:
            started = await mid_story(talk, 300)
            await talk.speak("stop")
            await talk.next(Transcript, text=ANSWER)
            assert talk.of(Interrupted) == []
            assert "conversation.item.truncate" not in talk.sent_types()
            assert talk.audio(started.response_id) == speak(STORY, sample_rate_hz=RATE_HZ)
            assert [event.who for event in talk.of(SpeechStarted)][:2] == ["agent", "user"]

    run(main, backend)


# Speech of some length


@pytest.mark.behaviour("ask-13")
@BACKENDS
def test_short_noise_does_not_cut_the_agent_when_speech_must_have_some_length(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(min_speech_ms=300)
        async with talking(TURNS, policy=policy) as talk:
            started = await mid_story(talk, 500)
            await talk.stream(noise(120))
            await talk.next(SpeechStarted, who="user")
            await talk.next(ResponseDone, response_id=started.response_id, status="completed")
            assert talk.of(Interrupted) == []
            assert talk.audio(started.response_id) == speak(STORY, sample_rate_hz=RATE_HZ)
            assert talk.sent_of(wire.ResponseCancel) == []
            assert talk.sent_of(wire.ConversationItemTruncate) == []

    run(main, backend)


@pytest.mark.behaviour("ask-13")
@BACKENDS
def test_speech_cuts_the_agent_as_soon_as_it_has_the_length(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, policy=SessionPolicy(min_speech_ms=200)) as talk:
            started = await mid_story(talk, 500)
            spoke_ms = anyio.current_time() * 1000
            await talk.speak("stop")
            told = await talk.next(Interrupted)
            assert 180 <= time_of(talk, told) - spoke_ms <= 240
            assert told.reason == "speech"
            assert isinstance(told.raw, wire.InputAudioBufferSpeechStarted)
            await settle()
            assert [cancel.response_id for cancel in talk.sent_of(wire.ResponseCancel)] == [started.response_id]
            assert len(talk.sent_of(wire.ConversationItemTruncate)) == 1
            assert (await talk.next(Transcript, text=ANSWER)).is_interrupted is False
            assert audio_after(talk, told) == speak(ANSWER, sample_rate_hz=RATE_HZ)

    run(main, backend)


@pytest.mark.behaviour("ask-13")
@BACKENDS
def test_speech_cuts_the_agent_later_when_the_microphone_is_too_quiet_to_measure(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xai_realtime.protocol.speech_gate.LEVEL_DBFS", 0.0)

    async def main() -> None:
        detection = ServerVad(silence_duration_ms=400)
        async with talking(TURNS, policy=SessionPolicy(min_speech_ms=200), turn_detection=detection) as talk:
            await mid_story(talk, 500)
            await talk.speak("some longer words that do not end")
            told = await talk.next(Interrupted)
            begun = next(
                at_ms for at_ms, event in talk.told if isinstance(event, SpeechStarted) and event.who == "user"
            )
            cut_ms = next(at_ms for at_ms, event in talk.told if event is told)
            assert 600 <= cut_ms - begun <= 601

    run(main, backend)


@pytest.mark.behaviour("ask-13")
@pytest.mark.parametrize("extra", [None, {"turn_detection": {"eagerness": "low"}}])
@BACKENDS
def test_detection_settings_reach_the_wire(backend: str, extra: dict[str, Any] | None) -> None:
    async def main() -> None:
        detection = ServerVad(threshold=0.7, silence_duration_ms=300, prefix_padding_ms=200)
        options = {} if extra is None else {"extra": extra}
        async with talking(TURNS, policy=SessionPolicy(min_speech_ms=200), turn_detection=detection, **options) as talk:
            await talk.session.update(turn_detection=ServerVad(threshold=0.4))
            await talk.next(SessionReady)
            await settle()
            first, second = (sent_detection(event) for event in talk.sent)
            assert first["interrupt_response"] is second["interrupt_response"] is False
            if extra is None:
                assert first["threshold"] == 0.7
                assert (first["silence_duration_ms"], first["prefix_padding_ms"]) == (300, 200)
                assert second["threshold"] == 0.4

    run(main, backend)


def sent_detection(event: Any) -> dict[str, Any]:
    plain = event if isinstance(event, dict) else event.model_dump(exclude_unset=True)
    return dict(plain["session"]["turn_detection"])
