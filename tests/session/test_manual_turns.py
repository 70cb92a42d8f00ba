"""Turns that are ended by hand: one reply each, with a server that answers commits and with one that does not."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, talking, utterance
from tests.session.handmade import Server, served
from xai_realtime import Manual, SessionPolicy
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator, Turn
from xai_realtime.emulator.scenario import Prompt
from xai_realtime.errors import LocalProtocolError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    Interrupted,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    Transcript,
)
from xai_realtime.transport.faults import Fault

STORY = "One two three four five six seven eight nine ten."
TURNS: dict[str, Turn | str] = {"tell": STORY, "good morning": "Good morning!", "thank you": "You are welcome."}
TURN = ["input_audio_buffer.commit", "response.create"]
ANSWERING = pytest.mark.parametrize("answers_commits", [True, False], ids=["answers commits", "answers requests"])


def answer(prompt: Prompt) -> Turn | str:
    return TURNS[prompt.heard]


def by_hand(answers_commits: bool, **options: Any) -> Any:
    """A session whose turns are ended by hand."""
    emulator = Emulator(answer, seed=1, answers_commits=answers_commits)
    return talking(emulator=emulator, turn_detection=Manual(), **options)


async def say(talk: Talk, text: str) -> None:
    """Say something at once, and end the turn."""
    await talk.session.send_audio(utterance(text, 300))
    await talk.session.end_turn()


def said(talk: Talk) -> list[str]:
    return [event.text for event in talk.of(Transcript) if event.role == "assistant"]


# One turn, one reply


@pytest.mark.behaviour("ask-7")
@ANSWERING
@BACKENDS
def test_turn_ended_by_hand_is_answered_once(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await talk.speak("good morning", 300)
            await talk.session.end_turn()
            await talk.next(ResponseDone)
            await anyio.sleep(60)
            assert talk.heard() == "Good morning!"
            assert said(talk) == ["Good morning!"]
            assert len(talk.of(ResponseStarted)) == len(talk.of(ResponseDone)) == 1
            assert talk.sent_types() == ["session.update", *TURN]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-7")
@pytest.mark.behaviour("session-turn-order")
@ANSWERING
@BACKENDS
def test_turn_after_turn_is_answered_once_each(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            for text in ("good morning", "thank you", "good morning"):
                await say(talk, text)
                await talk.next(ResponseDone)
                await anyio.sleep(1)
            assert said(talk) == ["Good morning!", "You are welcome.", "Good morning!"]
            await anyio.sleep(60)
            assert len(talk.of(ResponseStarted)) == 3
            assert talk.sent_types() == ["session.update", *TURN * 3]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-7")
@ANSWERING
@BACKENDS
def test_turn_ended_while_a_reply_runs_is_answered_after_it(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted)
            await say(talk, "good morning")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            await anyio.sleep(60)
            assert said(talk) == [STORY, "Good morning!"]
            assert [done.status for done in talk.of(ResponseDone)] == ["completed"] * 2
            assert len(talk.of(ResponseStarted)) == 2
            assert talk.of(SessionWarning) == []
            assert not [event for event in talk.received if isinstance(event, wire.Error)]

    run(main, backend)


@pytest.mark.behaviour("ask-7")
@ANSWERING
@BACKENDS
def test_two_turns_ended_one_right_after_the_other_are_answered_once_each(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await say(talk, "good morning")
            await say(talk, "thank you")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            await anyio.sleep(60)
            assert said(talk) == ["Good morning!", "You are welcome."]
            assert len(talk.of(ResponseStarted)) == 2
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-7")
@ANSWERING
@BACKENDS
def test_turns_and_texts_are_answered_in_the_order_in_which_they_came(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await say(talk, "good morning")
            await talk.next(ResponseDone)
            await talk.session.send_text("tell")
            await say(talk, "thank you")
            await talk.session.say("Goodbye")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 4)
            assert said(talk) == ["Good morning!", STORY, "You are welcome.", "Goodbye"]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@ANSWERING
@BACKENDS
def test_turn_that_cancels_stops_the_running_reply_and_is_answered(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted)
            await anyio.sleep(1)
            await talk.session.send_audio(utterance("thank you", 300))
            await talk.session.end_turn(when_busy="cancel")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            assert [done.status for done in talk.of(ResponseDone)] == ["cancelled", "completed"]
            assert said(talk)[1:] == ["You are welcome."]
            assert talk.of(Interrupted)[0].heard_text in STORY
            await anyio.sleep(60)
            assert len(talk.of(ResponseStarted)) == 2

    run(main, backend)


@ANSWERING
@BACKENDS
def test_turn_that_may_not_wait_is_refused_and_keeps_what_was_said(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted)
            await talk.session.send_audio(utterance("thank you", 300))
            with pytest.raises(LocalProtocolError, match="a reply is running"):
                await talk.session.end_turn(when_busy="raise")
            await talk.next(ResponseDone)
            assert "input_audio_buffer.commit" not in talk.sent_types()
            await talk.session.end_turn(when_busy="raise")
            await talk.next(ResponseDone)
            assert said(talk) == [STORY, "You are welcome."]

    run(main, backend)


@pytest.mark.behaviour("ask-4")
@ANSWERING
@BACKENDS
def test_turn_interrupted_before_its_reply_began_is_not_answered(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            await say(talk, "good morning")
            assert await talk.session.interrupt()
            await anyio.sleep(3)
            assert talk.of(ResponseStarted) == []
            await say(talk, "thank you")
            await talk.next(ResponseDone, status="completed")
            assert talk.heard() == "You are welcome."
            assert len(talk.of(ResponseStarted)) == 1

    run(main, backend)


# Servers that answer in other ways


async def spoken_turn(talk: Talk, server: Server) -> None:
    """A turn that the server has committed."""
    await talk.session.send_audio(silence(200, RATE_HZ))
    await talk.session.end_turn()
    await server.got("response.create")
    await server.say("input_audio_buffer.committed", item_id="user-1")


@pytest.mark.behaviour("ask-7")
@BACKENDS
def test_turn_is_told_once_when_the_server_answers_both_its_commit_and_the_request(backend: str) -> None:
    async def main() -> None:
        async with served(turn_detection=Manual()) as (talk, server):
            await spoken_turn(talk, server)
            await server.replies("resp-1", "Yes.")
            await server.begins("resp-2")
            await server.got("response.cancel")
            await server.speaks("resp-2", "Yes again.")
            await server.ends("resp-2", "cancelled")
            await talk.session.send_text("next")
            await server.got("response.create", 2)
            await server.replies("resp-3", "Next.")
            await talk.next(Transcript, text="Next.")
            assert said(talk) == ["Yes.", "Next."]
            assert [done.response_id for done in talk.of(ResponseDone)] == ["resp-1", "resp-3"]

    run(main, backend)


@pytest.mark.behaviour("ask-7")
@pytest.mark.parametrize("begins_first", [True, False])
@BACKENDS
def test_turn_is_answered_once_when_the_server_answers_its_commit_and_refuses_the_request(
    backend: str, begins_first: bool
) -> None:
    async def main() -> None:
        async with served(turn_detection=Manual()) as (talk, server):
            await spoken_turn(talk, server)
            if begins_first:
                await server.begins("resp-1")
            await server.refuses("conversation_already_has_active_response")
            if not begins_first:
                await server.begins("resp-1")
            await server.speaks("resp-1", "Yes.")
            await server.ends("resp-1")
            await talk.next(ResponseDone)
            await anyio.sleep(60)
            assert server.types() == TURN
            assert talk.of(SessionWarning) == []
            assert talk.session.metrics.end_of_speech_ms.count == 1

    run(main, backend)


@pytest.mark.behaviour("ask-1")
@BACKENDS
def test_turn_refused_over_an_older_reply_is_asked_again_without_a_second_commit(backend: str) -> None:
    async def main() -> None:
        async with served(turn_detection=Manual()) as (talk, server):
            await spoken_turn(talk, server)
            await server.refuses("conversation_already_has_active_response")
            await server.speaks("resp-0", "Older.")
            await server.ends("resp-0")
            await server.got("response.create", 2)
            await server.replies("resp-1", "Yes.")
            await talk.next(Transcript, text="Yes.")
            assert server.types() == [*TURN, "response.create"]

    run(main, backend)


@BACKENDS
def test_speech_events_in_a_manual_session_hold_nothing_back(backend: str) -> None:
    async def main() -> None:
        async with served(turn_detection=Manual()) as (talk, server):
            await spoken_turn(talk, server)
            await server.replies("resp-1")
            await server.say("input_audio_buffer.committed", item_id="user-2")
            await talk.next(ResponseDone)
            await talk.session.send_text("hello")
            await server.got("response.create", 2)
            assert anyio.current_time() < 1

    run(main, backend)


# What is refused, and what is dropped


@BACKENDS
def test_ending_a_turn_is_refused_when_the_server_ends_turns_and_nothing_is_sent(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.send_audio(silence(200, RATE_HZ))
            with pytest.raises(LocalProtocolError, match="needs manual turns"):
                await talk.session.end_turn()
            assert talk.sent_types() == ["session.update"]

    run(main, backend)


@ANSWERING
@BACKENDS
def test_ending_a_turn_without_audio_is_refused_and_the_next_turn_works(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as talk:
            with pytest.raises(LocalProtocolError, match="no audio was sent since the last turn"):
                await talk.session.end_turn()
            await say(talk, "good morning")
            with pytest.raises(LocalProtocolError, match="no audio was sent since the last turn"):
                await talk.session.end_turn()
            await talk.next(ResponseDone)
            await talk.session.send_audio(utterance("thank you", 300))
            await talk.session.clear_input()
            with pytest.raises(LocalProtocolError, match="no audio was sent since the last turn"):
                await talk.session.end_turn()
            await say(talk, "thank you")
            await talk.next(ResponseDone)
            assert said(talk) == ["Good morning!", "You are welcome."]
            kinds = [*TURN, "input_audio_buffer.clear", *TURN]
            assert talk.sent_types() == ["session.update", *kinds]

    run(main, backend)


@pytest.mark.behaviour("session-no-reply")
@ANSWERING
@BACKENDS
def test_silent_turn_that_nobody_answers_is_reported_and_the_queue_goes_on(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        def hush(prompt: Prompt) -> Turn | str:
            return TURNS.get(prompt.heard) or Turn(silent=True)

        emulator = Emulator(hush, seed=1, answers_commits=answers_commits)
        policy = SessionPolicy(reply_timeout_s=4)
        async with talking(emulator=emulator, turn_detection=Manual(), policy=policy) as talk:
            await talk.session.send_audio(silence(500, RATE_HZ))
            await talk.session.end_turn()
            await talk.session.send_text("good morning")
            warning = await talk.next(SessionWarning)
            assert warning.code == "no_reply" and "4 s" in warning.message
            await talk.next(ResponseDone)
            assert said(talk) == ["Good morning!"]

    run(main, backend)


@pytest.mark.behaviour("session-no-reply")
@BACKENDS
def test_request_right_after_an_answered_turn_is_reported_when_the_server_drops_it(backend: str) -> None:
    async def main() -> None:
        async with by_hand(True) as talk:
            await say(talk, "good morning")
            await talk.next(ResponseDone)
            await talk.session.respond()
            warning = await talk.next(SessionWarning)
            assert warning.code == "no_reply"
            await say(talk, "thank you")
            await talk.next(ResponseDone)
            assert said(talk) == ["Good morning!", "You are welcome."]

    run(main, backend)


# Instructions, the microphone, the line


@BACKENDS
def test_instructions_and_metadata_of_a_turn_reach_the_server(backend: str) -> None:
    prompts: list[Prompt] = []

    def keep(prompt: Prompt) -> str:
        prompts.append(prompt)
        return "Aye."

    async def main() -> None:
        emulator = Emulator(keep, seed=1, answers_commits=False)
        async with talking(emulator=emulator, turn_detection=Manual()) as talk:
            await talk.session.send_audio(utterance("good morning", 300))
            await talk.session.end_turn(instructions="Talk like a pirate.", metadata={"turn": "7"})
            done = await talk.next(ResponseDone)
            assert (prompts[0].heard, prompts[0].instructions) == ("good morning", "Talk like a pirate.")
            assert talk.of(ResponseStarted)[0].metadata == done.metadata == {"turn": "7"}

    run(main, backend)


@pytest.mark.behaviour("ask-45")
@ANSWERING
@BACKENDS
def test_turn_ended_before_the_connection_is_open_is_answered_once(backend: str, answers_commits: bool) -> None:
    async def main() -> None:
        async with by_hand(answers_commits, wait_until_ready=False) as talk:
            assert talk.received == []
            await say(talk, "good morning")
            await talk.session.send_text("tell")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            assert said(talk) == ["Good morning!", STORY]
            assert talk.sent_types(audio=True)[:2] == ["session.update", "input_audio_buffer.append"]
            kinds = [*TURN, "conversation.item.create", "response.create"]
            assert talk.sent_types() == ["session.update", *kinds]
            assert isinstance(talk.told[0][1], SessionReady)

    run(main, backend)


@pytest.mark.behaviour("ask-45")
@ANSWERING
@BACKENDS
def test_two_turns_ended_before_the_connection_is_open_are_answered_once_each(
    backend: str, answers_commits: bool
) -> None:
    async def main() -> None:
        async with by_hand(answers_commits, wait_until_ready=False) as talk:
            await say(talk, "good morning")
            await say(talk, "thank you")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            await anyio.sleep(60)
            assert said(talk) == ["Good morning!", "You are welcome."]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@ANSWERING
@BACKENDS
def test_turn_ended_while_the_line_is_down_is_answered_once_on_the_next_one(
    backend: str, answers_commits: bool
) -> None:
    async def main() -> None:
        emulator = Emulator(answer, seed=1, answers_commits=answers_commits)
        async with talking(None, Fault.cut(at_ms=500), emulator=emulator, turn_detection=Manual()) as talk:
            await talk.next(SessionWarning, code="connection_lost")
            await say(talk, "good morning")
            await talk.next(Reconnected)
            await talk.next(ResponseDone)
            await anyio.sleep(60)
            assert said(talk) == ["Good morning!"]
            assert len(talk.of(ResponseStarted)) == 1
            assert talk.sent_types() == ["session.update", "session.update", *TURN]

    run(main, backend)


@BACKENDS
def test_microphone_at_another_rate_gives_its_last_samples_to_the_turn_that_ends(backend: str) -> None:
    async def main() -> None:
        async with served(turn_detection=Manual()) as (talk, server):
            second = silence(1_000, 16_000)
            for at in range(0, len(second), 640):
                await talk.session.send_audio(second[at : at + 640], rate_hz=16_000)
            await talk.session.end_turn()
            await server.got("response.create")
            kinds = [message["type"] for message in server.heard]
            assert kinds[-2:] == TURN
            assert len(talk.microphone_bytes()) == pytest.approx(48_000, abs=20)

    run(main, backend)
