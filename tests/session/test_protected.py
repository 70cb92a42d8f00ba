"""Replies that may not be interrupted: what is said meanwhile, and what stops them all the same."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, scripted, talking, utterance
from xai_realtime import Manual, ServerVad, SessionPolicy
from xai_realtime.audible import duration_ms, speak
from xai_realtime.emulator import Emulator
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)

pytestmark = pytest.mark.behaviour("protected-replies")

NOTICE = "This call is recorded for quality. Please hold."
STORY = "One two three four five six. Seven eight nine ten."
ANSWER = "All right then."
TURNS = {"tell": STORY, "stop": ANSWER}


async def begin(talk: Talk, by: str) -> ResponseStarted:
    """Have something said that may not be interrupted, for half a second."""
    if by == "say":
        await talk.session.say(NOTICE, interruptible=False)
    else:
        await talk.session.send_text("tell", respond=False)
        await talk.session.respond(interruptible=False)
    started = await talk.next(ResponseStarted)
    await talk.next(SpeechStarted, who="agent")
    await anyio.sleep(0.5)
    return started


def text_of(by: str) -> str:
    return NOTICE if by == "say" else STORY


@pytest.mark.parametrize("by", ["say", "respond"])
@BACKENDS
def test_microphone_is_withheld_while_a_protected_reply_plays(backend: str, by: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            started = await begin(talk, by)
            await talk.stream(utterance("stop", 0))
            assert "input_audio_buffer.append" not in talk.sent_types(audio=True)
            await talk.next(SpeechStopped, who="agent")
            assert talk.audio(started.response_id) == speak(text_of(by), sample_rate_hz=RATE_HZ)
            assert talk.of(Interrupted) == []
            await talk.speak("stop")
            assert (await talk.next(Transcript, role="user")).text == "stop"
            assert (await talk.next(Transcript, role="assistant", text=ANSWER)).is_interrupted is False

    run(main, backend)


@BACKENDS
def test_microphone_is_withheld_from_the_asking_to_the_end_of_playback(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(scripted(TURNS), seed=1, pace="instant")
        async with talking(emulator=emulator) as talk:
            await talk.session.say(NOTICE, interruptible=False)
            await talk.session.send_audio(bytes(960))
            await talk.next(ResponseDone)
            await anyio.sleep(duration_ms(NOTICE) / 1000 - 0.02)
            await talk.session.send_audio(bytes(960))
            assert talk.microphone_bytes() == b""
            await anyio.sleep(0.04)
            await talk.session.send_audio(bytes(960))
            assert talk.microphone_bytes() == bytes(960)

    run(main, backend)


@pytest.mark.parametrize("by", ["say", "respond"])
@BACKENDS
def test_speech_is_reported_and_flushes_nothing_when_the_microphone_is_not_withheld(backend: str, by: str) -> None:
    async def main() -> None:
        # The server knows of `say` that it may not be interrupted, and nothing of `respond`.
        detection = ServerVad() if by == "say" else ServerVad(interrupt_response=False)
        policy = SessionPolicy(protects_replies=False)
        async with talking(TURNS, policy=policy, turn_detection=detection) as talk:
            started = await begin(talk, by)
            await talk.speak("stop")
            assert [event.who for event in talk.of(SpeechStarted)][:2] == ["agent", "user"]
            await talk.next(ResponseDone, response_id=started.response_id, status="completed")
            assert (await talk.next(Transcript, role="assistant", text=ANSWER)).is_interrupted is False
            assert talk.audio(started.response_id) == speak(text_of(by), sample_rate_hz=RATE_HZ)
            assert talk.of(Interrupted) == []
            assert {"response.cancel", "conversation.item.truncate"}.isdisjoint(talk.sent_types())

    run(main, backend)


@BACKENDS
def test_what_came_of_a_protected_reply_is_played_when_the_server_breaks_it_off(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(protects_replies=False)
        async with talking(TURNS, policy=policy) as talk:
            started = await begin(talk, "respond")
            await talk.speak("stop")
            done = await talk.next(ResponseDone, response_id=started.response_id)
            assert (done.status, done.reason) == ("cancelled", None)
            await talk.next(Transcript, text=ANSWER)
            assert talk.of(Interrupted) == []
            assert "conversation.item.truncate" not in talk.sent_types()

    run(main, backend)


@pytest.mark.parametrize("detection", [ServerVad(), Manual()], ids=["vad", "manual"])
@BACKENDS
def test_protected_reply_is_stopped_by_hand_only_when_forced(backend: str, detection: Any) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=detection) as talk:
            started = await begin(talk, "say")
            assert not await talk.session.interrupt()
            await anyio.sleep(0.1)
            assert talk.of(Interrupted) == []
            assert talk.sent_of(wire.ResponseCancel) == []
            assert await talk.session.interrupt(force=True)
            assert (await talk.next(Interrupted)).heard_ms == 600
            await talk.next(ResponseDone, status="cancelled")
            await anyio.sleep(0.1)
            assert [event.response_id for event in talk.sent_of(wire.ResponseCancel)] == [started.response_id]
            await talk.session.send_text("stop")
            assert await talk.session.interrupt(), "the next reply may be interrupted again"

    run(main, backend)


@BACKENDS
def test_protected_reply_is_not_abandoned_before_it_begins(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=Manual()) as talk:
            await talk.session.say(NOTICE, interruptible=False)
            assert not await talk.session.interrupt()
            await talk.next(SpeechStopped, who="agent")
            assert talk.heard() == NOTICE

    run(main, backend)


@BACKENDS
def test_protection_ends_with_the_reply_when_the_next_one_follows_at_once(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, turn_detection=Manual()) as talk:
            await talk.session.say(NOTICE, interruptible=False)
            await talk.session.send_text("tell")
            protected, story = await talk.next(ResponseStarted), await talk.next(ResponseStarted)
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(1.0)
            assert await talk.session.interrupt()
            told = await talk.next(Interrupted)
            assert told.response_id == story.response_id != protected.response_id
            assert talk.audio(protected.response_id) == speak(NOTICE, sample_rate_hz=RATE_HZ)

    run(main, backend)
