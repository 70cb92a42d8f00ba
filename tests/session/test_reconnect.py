"""A line that drops: what the next connection is told, what is asked for again, and what the user learns of it."""

from __future__ import annotations

import anyio
import pytest

from tests.session.breakable import breakable, seeded
from tests.session.driving import BACKENDS, Talk, run
from xai_realtime.emulator import Turn
from xai_realtime.errors import ConnectError
from xai_realtime.protocol.session_events import (
    Interrupted,
    ItemCreated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    Transcript,
    TranscriptDelta,
)

LONG = "One comes first of all numbers. Two comes then. Three comes after two."
SCENARIO: dict[str, Turn | str] = {
    "hello": "Hello there",
    "count": LONG,
    "slow": Turn(say="At last", delay_ms=3000),
    "bye": "Goodbye",
}
CONFIGURED = "session.update"
ITEM = "conversation.item.create"
REQUEST = "response.create"


async def asked(talk: Talk, text: str) -> ResponseDone:
    """Something written, and its answer to the end."""
    await talk.session.send_text(text)
    return await talk.next(ResponseDone)


def told(talk: Talk) -> list[tuple[str, str]]:
    """The conversation: who said what, as far as it was heard."""
    return [(item.role, item.said()) for item in talk.session.conversation.items if item.said()]


# What is told


@pytest.mark.behaviour("ask-35", "bug-61")
@BACKENDS
def test_session_tells_of_the_outage_when_a_line_drops_and_goes_on(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            first = await talk.next(SessionReady)
            await anyio.sleep(5)
            line.delay_s = 0.3
            line.refusals.extend([ConnectError("down"), ConnectError("down")])
            line.cut()
            back = await talk.next(Reconnected)
            assert (back.reason, back.lost_ms, back.resent_ms, back.attempts) == ("connection_lost", 0.0, 0.0, 3)
            assert back.outage_ms == pytest.approx(900, abs=50), "three handshakes of 300 ms"
            assert back.conversation_id not in (None, first.conversation_id)
            assert back.raw is not None
            warnings = [(told.code, told.details) for told in talk.of(SessionWarning)]
            assert warnings == [("connection_lost", {"attempt": number}) for number in (1, 2, 3)]
            assert len(talk.of(SessionReady)) == 1
            assert (await asked(talk, "hello")).status == "completed"

    run(main, backend)


@pytest.mark.behaviour("reconnect-configures-first")
@BACKENDS
def test_new_connection_is_configured_first_with_what_is_in_force(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO, voice="eve", instructions="Be brief.") as (talk, line):
            await asked(talk, "hello")
            await talk.session.update(instructions="Be long.")
            await anyio.sleep(1)
            line.delay_s = 1
            line.cut()
            await talk.next(SessionWarning, code="connection_lost")
            await talk.session.update(voice="rex")
            await talk.next(Reconnected)
            await anyio.sleep(1)
            assert line.kinds(2) == [CONFIGURED, ITEM, ITEM]
            session = line.sent[1][0]["session"]
            assert (session["voice"], session["instructions"]) == ("rex", "Be long.")

    run(main, backend)


# The conversation


@pytest.mark.behaviour("ask-35", "reconnect-seeds-once")
@BACKENDS
def test_conversation_is_told_once_in_order_with_its_ids_to_each_new_connection(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO, history=[("system", "Be kind."), ("user", "earlier")]) as (talk, line):
            await asked(talk, "hello")
            await anyio.sleep(3)
            await talk.speak("bye")
            await talk.next(ResponseDone)
            await talk.session.send_text("a note", respond=False)
            await anyio.sleep(10)
            before = [item.id for item in talk.session.conversation.items]
            expected = [
                ("system", "Be kind."),
                ("user", "earlier"),
                ("user", "hello"),
                ("assistant", "Hello there"),
                ("user", "bye"),
                ("assistant", "Goodbye"),
                ("user", "a note"),
            ]
            created = len(talk.of(ItemCreated))
            for connection in (2, 3):
                line.cut()
                await talk.next(Reconnected)
                await anyio.sleep(1)
                assert seeded(line, connection) == expected
                assert [item["id"] for item in line.items(connection)] == before
                assert line.kinds(connection) == [CONFIGURED, *[ITEM] * 7]
                assert [item.id for item in talk.session.conversation.items] == before
            assert told(talk) == expected
            assert len(talk.of(ItemCreated)) == created

    run(main, backend)


@pytest.mark.behaviour("ask-11", "reconnect-seeds-as-heard")
@BACKENDS
def test_what_was_cut_off_is_told_as_it_was_heard_and_never_truncated_on_another_connection(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.session.send_text("count")
            await talk.next(SpeechStarted)
            await anyio.sleep(2.5)
            await talk.session.interrupt()
            heard = (await talk.next(Interrupted)).heard_text
            assert heard
            assert LONG.startswith(heard)
            assert heard != LONG
            line.cut()
            await talk.next(Reconnected)
            await talk.session.interrupt()
            await anyio.sleep(1)
            assert seeded(line, 2) == [("user", "count"), ("assistant", heard)]
            assert line.kinds(2) == [CONFIGURED, ITEM, ITEM]

    run(main, backend)


@pytest.mark.behaviour("reconnect-seeds-as-heard")
@BACKENDS
def test_reply_that_the_drop_cut_off_is_told_as_far_as_its_sound_came_and_plays_on(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.session.send_text("count")
            await talk.next(TranscriptDelta)
            await anyio.sleep(2)
            line.cut()
            done = await talk.next(ResponseDone)
            assert (done.status, done.reason) == ("cancelled", "connection_lost")
            await talk.next(Reconnected)
            await anyio.sleep(5)
            (_, (role, text)) = seeded(line, 2)
            assert role == "assistant"
            assert LONG.startswith(text) and 0 < len(text) < len(LONG)
            assert [(final.text, final.is_interrupted) for final in talk.of(Transcript)] == [(text, True)]
            assert line.kinds(2) == [CONFIGURED, ITEM, ITEM], "what was heard in part is not asked for again"
            assert talk.of(Interrupted) == []

    run(main, backend)


@pytest.mark.behaviour("reconnect-seeds-once")
@pytest.mark.parametrize("place", range(1, 8))
@BACKENDS
def test_second_drop_in_the_middle_of_the_telling_loses_and_doubles_nothing(backend: str, place: int) -> None:
    async def main() -> None:
        history = [("user", "one"), ("assistant", "two"), ("user", "three")]
        async with breakable(SCENARIO, history=history) as (talk, line):
            await asked(talk, "hello")
            await anyio.sleep(3)
            line.cuts_after = place
            line.cut()
            await talk.session.send_text("bye")
            await talk.next(ResponseDone, status="completed")
            await anyio.sleep(3)
            words = [*history, ("user", "hello"), ("assistant", "Hello there"), ("user", "bye")]
            assert told(talk) == [*words, ("assistant", "Goodbye")]
            assert seeded(line, len(line.sent)) == words
            assert line.kinds(len(line.sent)).count(REQUEST) == 1
            assert len(line.sent) == 3

    run(main, backend)


@pytest.mark.behaviour("ask-16", "reconnect-keeps-deletions")
@pytest.mark.parametrize("when", ["confirmed", "under way", "while down"])
@BACKENDS
def test_deleted_item_is_not_told_again(backend: str, when: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO, history=[("user", "secret"), ("user", "plain")]) as (talk, line):
            await anyio.sleep(1)
            unwanted = talk.session.conversation.items[0].id
            line.delay_s = 1
            if when == "while down":
                line.cut()
                await talk.next(SessionWarning)
            await talk.session.delete_item(unwanted)
            if when == "confirmed":
                await anyio.sleep(1)
            if when != "while down":
                line.cut()
            await talk.next(Reconnected)
            await anyio.sleep(1)
            assert seeded(line, 2) == [("user", "plain")]

    run(main, backend)


# What was asked for


@pytest.mark.behaviour("ask-35", "reconnect-texts")
@pytest.mark.parametrize("lost_at", range(1, 4))
@BACKENDS
def test_text_under_way_when_the_line_drops_is_said_once_and_answered_once(backend: str, lost_at: int) -> None:
    """The line takes the configuration, then the item, then the request: it drops before each of what follows."""

    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await anyio.sleep(1)
            if lost_at < 3:
                line.cuts_after = lost_at
            await talk.session.send_text("hello")
            await anyio.sleep(0.02)
            if lost_at == 3:
                line.cut()
            done = await talk.next(ResponseDone, status="completed")
            await anyio.sleep(5)
            assert told(talk) == [("user", "hello"), ("assistant", "Hello there")]
            assert line.kinds(2) == [CONFIGURED, ITEM, REQUEST]
            assert [event.response_id for event in talk.of(ResponseDone)][-1] == done.response_id

    run(main, backend)


@pytest.mark.behaviour("reconnect-texts")
@BACKENDS
def test_texts_sent_while_the_line_is_down_are_answered_in_their_order(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await asked(talk, "hello")
            line.delay_s = 2
            line.cut()
            await talk.next(SessionWarning, code="connection_lost")
            await talk.session.send_text("a note", respond=False)
            await talk.session.send_text("count")
            await talk.session.send_text("bye")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
            await anyio.sleep(5)
            users = ["hello", "a note", "count", "bye"]
            assert [text for role, text in told(talk) if role == "user"] == users
            assert [text for role, text in told(talk) if role == "assistant"] == ["Hello there", LONG, "Goodbye"]
            assert line.kinds(2).count(REQUEST) == 2

    run(main, backend)


@pytest.mark.behaviour("reconnect-asks-again")
@BACKENDS
def test_reply_of_which_nothing_was_heard_is_asked_for_again_as_it_was_asked_for(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.session.send_text("slow", respond=False)
            await talk.session.respond(instructions="Whisper.", metadata={"n": "7"})
            await talk.next(ResponseStarted)
            line.cut()
            lost = await talk.next(ResponseDone)
            assert (lost.status, lost.reason) == ("cancelled", "connection_lost")
            done = await talk.next(ResponseDone)
            assert (done.status, done.metadata) == ("completed", {"n": "7"})
            assert line.sent[1][-1]["response"] == {"instructions": "Whisper.", "metadata": {"n": "7"}}
            assert [final.text for final in talk.of(Transcript)] == ["At last"]

    run(main, backend)


@pytest.mark.behaviour("reconnect-asks-again")
@BACKENDS
def test_exact_words_that_were_not_heard_are_said_on_the_next_connection(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.session.say("Please hold the line.", interruptible=False)
            line.cut()
            await talk.next(ResponseDone, status="completed")
            await anyio.sleep(5)
            assert [text for role, text in told(talk) if role == "assistant"] == ["Please hold the line."]
            assert [item["type"] for item in line.items(2)] == ["force_message"]
            assert talk.heard() == "Please hold the line."

    run(main, backend)


@pytest.mark.behaviour("reconnect-asks-again")
@BACKENDS
def test_interrupted_reply_is_not_asked_for_again(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.session.send_text("slow")
            await talk.next(ResponseStarted)
            assert await talk.session.interrupt()
            line.cut()
            await talk.next(Reconnected)
            await anyio.sleep(20)
            assert line.kinds(2) == [CONFIGURED, ITEM]

    run(main, backend)


@pytest.mark.behaviour("reconnect-asks-again")
@BACKENDS
def test_spoken_turn_whose_words_are_known_is_answered_when_the_line_drops_before_the_reply(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.speak("slow", 1_000)
            await talk.next(Transcript, role="user")
            line.cut()
            await talk.next(ResponseDone, status="completed")
            assert seeded(line, 2) == [("user", "slow")]
            assert line.kinds(2) == [CONFIGURED, ITEM, REQUEST]
            assert told(talk) == [("user", "slow"), ("assistant", "At last")]

    run(main, backend)
