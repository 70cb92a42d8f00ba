"""The user's voice over lines that drop: every sample arrives where it is needed, or is counted as lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.breakable import AT_ONCE, Line, breakable, seeded
from tests.session.driving import BACKENDS, Talk, run, talking, utterance
from tests.session.handmade import GREETING, Server
from xai_realtime import Reconnect, SessionPolicy
from xai_realtime.emulator import Emulator, Quirks, Turn
from xai_realtime.errors import ConnectError
from xai_realtime.events._base import decode_audio
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)
from xai_realtime.realtime.config import Manual
from xai_realtime.transport.memory import memory_pair

FRAME_BYTES = 960
LATENCY_S = 0.05
APPEND = "input_audio_buffer.append"
COMMIT = "input_audio_buffer.commit"
ANSWERING = pytest.mark.parametrize("answers_commits", [True, False], ids=["answers commits", "answers requests"])


def numbered(frames: int) -> bytes:
    """Audio in which every sample tells its place."""
    return b"".join((sample % 65536).to_bytes(2, "little") for sample in range(frames * FRAME_BYTES // 2))


class Pinging(Server):
    """It says something now and then, so that the session knows how far it surely heard."""

    async def _take(self, message: dict[str, Any]) -> None:
        await super()._take(message)
        if len(self.heard) % 10 == 0:
            await self.say("ping", timestamp=0)


@asynccontextmanager
async def counted(**options: Any) -> AsyncIterator[tuple[Talk, Line, Server]]:
    """A session with a server 50 ms away that takes everything in."""
    inner, door = memory_pair()
    server, line = Pinging(door, GREETING, acknowledges=True), Line(inner, LATENCY_S)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        async with talking(transport=line, **options) as talk:
            yield talk, line, server
        tasks.cancel_scope.cancel()


def received(server: Server) -> list[bytes]:
    """The audio that reached the server, by connection."""
    connections: list[bytes] = []
    for message in server.heard:
        if message["type"] == "session.update":
            connections.append(b"")
        elif message["type"] == APPEND:
            connections[-1] += decode_audio(message["audio"])
    return connections


def covered(whole: bytes, parts: list[bytes]) -> int:
    """How much of a stream the connections have, each of which must have one stretch of it without a gap between."""
    until = 0
    for part in parts:
        place = whole.find(part)
        assert place >= 0, "a connection got audio out of order, or with a hole in it"
        assert place <= until, f"{until - place} bytes are missing between two connections"
        until = max(until, place + len(part))
    return until


# The microphone


@pytest.mark.behaviour("bug-14", "resend-microphone")
@BACKENDS
def test_audio_given_while_the_line_is_down_goes_out_in_order_once_it_is_ready(backend: str) -> None:
    async def main() -> None:
        audio = numbered(100)
        async with counted(wait_until_ready=False, policy=SessionPolicy(reconnect=AT_ONCE)) as (talk, line, server):
            await talk.stream(audio[: 20 * FRAME_BYTES])
            line.delay_s = 0.5
            line.cut()
            await talk.stream(audio[20 * FRAME_BYTES :])
            await anyio.sleep(2)
            back = await talk.next(Reconnected)
            assert back.lost_ms == 0
            assert 500 <= back.resent_ms <= 1200
            assert covered(audio, received(server)) == len(audio)

    run(main, backend)


Drops = tuple[list[int], int, int, bool]

cuts = st.lists(st.integers(min_value=1, max_value=2_000), min_size=1, max_size=10)
drops = st.tuples(cuts, st.sampled_from([1, 4, 25]), st.integers(0, 400), st.booleans())
"""When the line drops, how fast audio is given, how long a new line takes, and who ends turns."""


@pytest.mark.behaviour("resend-microphone")
@given(drops)
@settings(max_examples=5)
def test_microphone_loses_nothing_silently_over_any_drops(course: Drops) -> None:
    check_drops(course)


@pytest.mark.slow
@pytest.mark.behaviour("resend-microphone")
@given(drops)
@settings(max_examples=60)
def test_microphone_loses_nothing_silently_over_many_more_drops(course: Drops) -> None:
    check_drops(course)


def check_drops(course: Drops) -> None:
    cuts_ms, speed, delay_ms, is_manual = course
    audio = numbered(400)
    options = {"turn_detection": Manual()} if is_manual else {}

    async def main() -> tuple[int, list[bytes], list[Reconnected]]:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_per_session=100))
        async with counted(policy=policy, **options) as (talk, line, server):
            line.delay_s = delay_ms / 1000
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream, talk, audio, speed)
                for pause_ms in cuts_ms:
                    await anyio.sleep(pause_ms / 1000)
                    line.cut()
            await anyio.sleep(20)
            return len(audio), received(server), talk.of(Reconnected)

    for backend in ("asyncio", "trio"):
        size, parts, told = run(main, backend)
        assert sum(event.lost_ms for event in told) == 0
        assert covered(audio, parts) == size
        if is_manual:
            assert parts[-1] == audio, "nothing was committed, so the last connection needs all of it"


async def stream(talk: Talk, audio: bytes, speed: int) -> None:
    """A microphone, perhaps faster than real time."""
    for place in range(0, len(audio), FRAME_BYTES):
        await talk.session.send_audio(audio[place : place + FRAME_BYTES])
        await anyio.sleep(0.02 / speed)


@pytest.mark.behaviour("ask-38", "resend-microphone")
@BACKENDS
def test_audio_that_a_half_open_line_swallowed_is_sent_again(backend: str) -> None:
    async def main() -> None:
        audio = numbered(600)
        async with counted(policy=SessionPolicy(reconnect=AT_ONCE)) as (talk, line, server):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream, talk, audio, 1)
                await anyio.sleep(3)
                line.stall()
                await anyio.sleep(8)
                line.cut()
            await anyio.sleep(1)
            back = await talk.next(Reconnected)
            assert back.lost_ms == 0
            assert covered(audio, received(server)) == len(audio)
            assert len(received(server)[1]) < len(audio), "what was heard as silence for sure is not sent again"

    run(main, backend)


@pytest.mark.behaviour("resend-lost-is-told")
@BACKENDS
def test_audio_that_is_too_old_to_be_kept_is_counted_as_lost(backend: str) -> None:
    async def main() -> None:
        audio = numbered(300)
        policy = SessionPolicy(reconnect=AT_ONCE, ring_s=1)
        async with counted(policy=policy, turn_detection=Manual()) as (talk, line, server):
            line.delay_s = 4
            line.cut()
            await talk.stream(audio[: 150 * FRAME_BYTES])
            back = await talk.next(Reconnected)
            assert (back.lost_ms, back.resent_ms) == (2000, 1000)
            await anyio.sleep(1)
            assert received(server)[1] == audio[100 * FRAME_BYTES : 150 * FRAME_BYTES]

    run(main, backend)


@pytest.mark.behaviour("resend-lost-is-told")
@BACKENDS
def test_audio_lost_before_the_first_connection_is_told_of(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, ring_s=1)
        async with counted(policy=policy, wait_until_ready=False) as (talk, line, server):
            line.delay_s = 3
            await talk.stream(numbered(100))
            await talk.next(SessionReady)
            warning = await talk.next(SessionWarning)
            assert (warning.code, warning.details) == ("audio_lost", {"lost_ms": 1000.0})
            await anyio.sleep(1)
            assert received(server) == [numbered(100)[50 * FRAME_BYTES :]]

    run(main, backend)


@pytest.mark.behaviour("resend-microphone")
@BACKENDS
def test_audio_is_sent_again_as_binary_messages_where_they_are_agreed_on(backend: str) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"turn_detection": Manual(), "input": {"transport": "binary"}}
        async with breakable(**options) as (talk, line):
            await talk.stream(numbered(10))
            line.cut()
            await talk.next(Reconnected)
            await anyio.sleep(1)
            assert line.audio(1) == line.audio(2) == numbered(10)
            assert {event["type"] for event in line.sent[1]} == {"session.update", "(binary)"}

    run(main, backend)


# Turns that the server ends

SAID: dict[str, Turn | str] = {
    "good morning": "Good morning!",
    "thank you": "You are welcome.",
    "slow": Turn(say="At last", delay_ms=3000),
}


def conversation(talk: Talk) -> list[tuple[str, str]]:
    return [(item.role, item.said()) for item in talk.session.conversation.items if item.said()]


@pytest.mark.behaviour("resend-turns")
@pytest.mark.parametrize("drop_ms", range(100, 2_300, 200))
@BACKENDS
def test_spoken_turn_is_heard_whole_and_answered_once_wherever_the_line_drops(backend: str, drop_ms: int) -> None:
    async def main() -> None:
        async with breakable(SAID) as (talk, line):
            line.delay_s = 0.2
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.stream, utterance("good morning", 6_000))
                await anyio.sleep(drop_ms / 1000)
                line.cut()
            await talk.until(lambda: talk.of(SpeechStarted)[-1].who == "agent")
            await anyio.sleep(10)
            assert conversation(talk)[0] == ("user", "good morning")
            told = [event.text for event in talk.of(Transcript) if event.role == "user"]
            assert told == ["good morning"]
            heard = {event.response_id for event in talk.of(AudioOutput)}
            assert len(heard) == 1, "one answer, heard once"
            if drop_ms < 1_800:
                assert talk.heard() == "Good morning!"

    run(main, backend)


@pytest.mark.behaviour("resend-turns")
@BACKENDS
def test_turn_whose_words_never_came_is_sent_again_when_its_answer_was_not_heard(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(lambda prompt: SAID.get(prompt.heard), seed=1, quirks=Quirks(transcription_off=True))
        async with breakable(emulator=emulator) as (talk, line):
            await talk.speak("slow")
            await talk.next(ResponseStarted)
            line.cut()
            back = await talk.next(Reconnected)
            assert back.resent_ms > 0
            await talk.next(ResponseDone, status="completed")
            await anyio.sleep(10)
            assert talk.heard() == "At last"
            assert line.kinds(2) == ["session.update"], "speech that is heard again is answered by itself"
            assert [item.role for item in talk.session.conversation.items] == ["user", "assistant"]

    run(main, backend)


@pytest.mark.behaviour("resend-turns")
@BACKENDS
def test_turn_that_went_on_is_neither_lost_nor_doubled_when_the_line_drops_in_its_second_part(backend: str) -> None:
    async def main() -> None:
        async with breakable(lambda prompt: f"Heard: {prompt.heard}") as (talk, line):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.stream, utterance("first part", 900) + utterance("and second part", 6_000))
                await talk.until(lambda: len(talk.of(SpeechStarted)) == 2)
                await anyio.sleep(0.4)
                line.cut()
            await talk.until(lambda: any(done.status == "completed" for done in talk.of(ResponseDone)))
            await anyio.sleep(10)
            said = " ".join(text for role, text in conversation(talk) if role == "user")
            assert said == "first part and second part"

    run(main, backend)


# Turns that are ended by hand


def by_hand(answers_commits: bool) -> Any:
    emulator = Emulator(lambda prompt: SAID.get(prompt.heard), seed=1, answers_commits=answers_commits)
    return breakable(emulator=emulator, turn_detection=Manual(), transcription={"model": "grok-transcribe"})


def replies(talk: Talk) -> list[str]:
    return [event.text for event in talk.of(Transcript) if event.role == "assistant"]


async def say(talk: Talk, text: str) -> None:
    await talk.session.send_audio(utterance(text, 300))
    await talk.session.end_turn()


@pytest.mark.behaviour("resend-turns-by-hand")
@pytest.mark.parametrize("cuts_after", range(1, 5))
@ANSWERING
@BACKENDS
def test_turn_ended_by_hand_is_answered_once_wherever_the_line_drops(
    backend: str, answers_commits: bool, cuts_after: int
) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as (talk, line):
            if cuts_after < 4:
                line.cuts_after = cuts_after
            await say(talk, "good morning")
            await anyio.sleep(0.01)
            if cuts_after == 4:
                line.cut()
            await talk.next(ResponseDone, status="completed")
            await anyio.sleep(20)
            assert replies(talk) == ["Good morning!"]
            assert conversation(talk) == [("user", "good morning"), ("assistant", "Good morning!")]
            assert line.kinds(2).count(COMMIT) + len(seeded(line, 2)) == 1, "as audio, or by its words"
            assert talk.of(SessionWarning)[1:] == []

    run(main, backend)


@pytest.mark.behaviour("resend-turns-by-hand")
@ANSWERING
@BACKENDS
def test_turns_ended_by_hand_while_the_line_is_down_stay_apart_and_in_order(
    backend: str, answers_commits: bool
) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as (talk, line):
            line.delay_s = 1
            line.refusals.append(ConnectError("down"))
            line.cut()
            await talk.next(SessionWarning)
            await say(talk, "good morning")
            await say(talk, "thank you")
            await talk.until(lambda: len(replies(talk)) == 2)
            await anyio.sleep(20)
            assert replies(talk) == ["Good morning!", "You are welcome."]
            users = [text for role, text in conversation(talk) if role == "user"]
            assert users == ["good morning", "thank you"]

    run(main, backend)


@pytest.mark.behaviour("resend-turns-by-hand")
@ANSWERING
@BACKENDS
def test_turn_that_waited_for_its_answer_keeps_its_place_before_the_next_one(
    backend: str, answers_commits: bool
) -> None:
    async def main() -> None:
        async with by_hand(answers_commits) as (talk, line):
            await say(talk, "slow")
            await talk.next(ResponseStarted)
            line.delay_s = 1
            line.cut()
            await talk.next(SessionWarning)
            await say(talk, "thank you")
            await talk.until(lambda: len(replies(talk)) == 2)
            await anyio.sleep(20)
            assert replies(talk) == ["At last", "You are welcome."]
            assert [text for role, text in conversation(talk) if role == "user"] == ["slow", "thank you"]

    run(main, backend)


@pytest.mark.behaviour("resend-turns-by-hand")
@BACKENDS
def test_clearing_the_input_while_the_line_is_down_takes_what_was_not_ended(backend: str) -> None:
    async def main() -> None:
        async with by_hand(True) as (talk, line):
            line.delay_s = 1
            line.cut()
            await talk.next(SessionWarning)
            await say(talk, "good morning")
            await talk.session.send_audio(utterance("nonsense", 0))
            await talk.session.clear_input()
            await talk.next(ResponseDone, status="completed")
            await anyio.sleep(5)
            assert line.audio(2) == utterance("good morning", 300)
            assert seeded(line, 2) == []
            assert talk.of(SpeechStopped)

    run(main, backend)
