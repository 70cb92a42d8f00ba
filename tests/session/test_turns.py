"""Turns in writing: one reply each, in order, and what a new wish does while a reply runs."""

from __future__ import annotations

import json
from typing import Any, Literal

import anyio
import pytest

from tests.session.driving import BACKENDS, Talk, run, talking
from tests.session.handmade import served
from xai_realtime import SessionPolicy, tool
from xai_realtime.emulator import Emulator, ToolRequest, Turn
from xai_realtime.emulator.scenario import Prompt
from xai_realtime.errors import ConfigurationError, LocalProtocolError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    ItemCreated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)
from xai_realtime.transport.faults import Fault

STORY = "One two three four five six seven eight nine ten."
TURNS: dict[str, Turn | str] = {"tell": STORY, "hello": "Hello there", "bye": "See you"}
ASK = ["conversation.item.create", "response.create"]


def said(talk: Talk) -> list[str]:
    return [event.text for event in talk.of(Transcript) if event.role == "assistant"]


def written(talk: Talk) -> list[str]:
    items = [event.item for event in talk.sent_of(wire.ConversationItemCreate)]
    return [item.content[0].text for item in items if isinstance(item, wire.MessageItem)]  # type: ignore[union-attr]


def replies_overlap(talk: Talk) -> bool:
    """Did one reply begin before the one before was over?"""
    kinds = [type(event) for _, event in talk.told if isinstance(event, ResponseStarted | ResponseDone)]
    return kinds != [ResponseStarted, ResponseDone] * (len(kinds) // 2)


# One turn


@BACKENDS
def test_text_is_answered_once_with_the_events_of_one_reply_in_order(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.send_text("hello")
            await talk.next(SpeechStopped)
            assert talk.kinds == [
                "SessionReady",
                "ResponseStarted",
                "ItemCreated",
                "SpeechStarted",
                "TranscriptDelta",
                "Transcript",
                "ItemUpdated",
                "ResponseDone",
                "SpeechStopped",
            ]
            assert talk.heard() == "Hello there"
            assert said(talk) == ["Hello there"]
            started, done = talk.of(ResponseStarted)[0], talk.of(ResponseDone)[0]
            assert started.response_id == done.response_id
            assert (started.raw.type, done.raw.type) == ("response.created", "response.done")
            assert talk.sent_types() == ["session.update", *ASK]
            roles = [(item.role, item.said()) for item in talk.session.conversation.items]
            assert roles == [("user", "hello"), ("assistant", "Hello there")]

    run(main, backend)


@pytest.mark.behaviour("bug-20")
@pytest.mark.behaviour("bug-19")
@pytest.mark.behaviour("session-turn-order")
@BACKENDS
def test_each_turn_has_one_beginning_and_one_end_and_its_items_once(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            for text in ("hello", "bye", "tell", "hello"):
                await talk.session.send_text(text)
            await talk.until(lambda: len(talk.of(ResponseDone)) == 4)
            assert said(talk) == ["Hello there", "See you", STORY, "Hello there"]
            assert not replies_overlap(talk)
            ids = [started.response_id for started in talk.of(ResponseStarted)]
            assert ids == [done.response_id for done in talk.of(ResponseDone)] and len(set(ids)) == 4
            items = [created.item for created in talk.of(ItemCreated)]
            assert [item.role for item in items] == ["assistant"] * 4
            assert len({item.id for item in items}) == 4
            announced = [event for event in talk.received if isinstance(event, wire.ConversationItemAdded)]
            assert len(announced) == 8
            assert talk.sent_types() == ["session.update", *ASK * 4]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("bug-35")
@BACKENDS
def test_text_leaves_what_the_user_is_saying_untouched(backend: str) -> None:
    async def main() -> None:
        turns = {"hello": "Hello there", "good morning to you": "Good morning!"}
        async with talking(turns, turn_detection="manual") as talk:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.speak, "good morning to you")
                await anyio.sleep(0.7)
                await talk.session.send_text("a note", respond=False)
            await talk.session.end_turn()
            await talk.next(ResponseDone)
            assert said(talk) == ["Good morning!"]
            await talk.stream(bytes(48_000))
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            assert talk.sent_types()[-2:] == ASK
            assert talk.sent_types().count("input_audio_buffer.commit") == 1
            assert "input_audio_buffer.clear" not in talk.sent_types()

    run(main, backend)


@pytest.mark.behaviour("ask-5")
@BACKENDS
def test_text_without_an_answer_asks_for_none_and_asking_later_asks_once(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.send_text("hello", respond=False)
            await anyio.sleep(30)
            assert talk.sent_types() == ["session.update", "conversation.item.create"]
            assert talk.of(ResponseStarted) == []
            await talk.session.respond()
            await talk.next(ResponseDone)
            await anyio.sleep(30)
            assert talk.sent_types() == ["session.update", *ASK]
            assert len(talk.of(ResponseStarted)) == 1
            assert said(talk) == ["Hello there"]

    run(main, backend)


@BACKENDS
def test_text_of_the_system_is_an_item_of_that_role_and_other_roles_are_refused(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.send_text("Be brief.", role="system", respond=False)
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            assert [item.role for item in talk.session.conversation.items] == ["system", "user", "assistant"]
            for role in ("assistant", "tool", ""):
                with pytest.raises(ConfigurationError, match="allowed are 'user' and 'system'"):
                    await talk.session.send_text("hello", role=role)

    run(main, backend)


@BACKENDS
def test_instructions_and_metadata_reach_the_server_and_metadata_come_back(backend: str) -> None:
    prompts: list[Prompt] = []

    def answer(prompt: Prompt) -> str:
        prompts.append(prompt)
        return "Aye."

    async def main() -> None:
        async with talking(answer) as talk:
            await talk.session.send_text("hello", respond=False)
            await talk.session.respond(instructions="Talk like a pirate.", metadata={"turn": "7"})
            started, done = await talk.next(ResponseStarted), await talk.next(ResponseDone)
            (request,) = talk.sent_of(wire.ResponseCreate)
            assert json.loads(request.model_dump_json(exclude_unset=True)) == {
                "type": "response.create",
                "response": {"instructions": "Talk like a pirate.", "metadata": {"turn": "7"}},
            }
            assert prompts[0].instructions == "Talk like a pirate."
            assert started.metadata == done.metadata == {"turn": "7"}
            await talk.session.respond()
            assert (await talk.next(ResponseStarted)).metadata is None
            assert prompts[1].instructions is None

    run(main, backend)


# What the agent is to say


@BACKENDS
def test_say_speaks_the_text_word_for_word_without_asking_for_a_reply(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.say("Welcome to the show")
            await talk.next(SpeechStopped)
            assert talk.heard() == "Welcome to the show"
            assert talk.kinds[1:] == [
                "ResponseStarted",
                "ItemCreated",
                "SpeechStarted",
                "TranscriptDelta",
                "Transcript",
                "ItemUpdated",
                "ResponseDone",
                "SpeechStopped",
            ]
            assert talk.sent_types() == ["session.update", "conversation.item.create"]
            (created,) = talk.sent_of(wire.ConversationItemCreate)
            stated = created.item.model_dump(exclude_unset=True, exclude={"id"})
            assert stated == {
                "type": "force_message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Welcome to the show"}],
            }

    run(main, backend)


@BACKENDS
def test_say_that_may_not_be_interrupted_tells_the_server_so_and_is_played_to_its_end(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.say(STORY, interruptible=False)
            await talk.next(SpeechStarted)
            assert not await talk.session.interrupt()
            await talk.speak("hello", after_ms=500)
            done = await talk.next(ResponseDone)
            assert (done.status, talk.heard()) == ("completed", STORY)
            (created,) = talk.sent_of(wire.ConversationItemCreate)
            assert created.item.model_dump(exclude_unset=True)["interruptible"] is False
            assert "response.cancel" not in talk.sent_types()

    run(main, backend)


@pytest.mark.behaviour("session-turn-order")
@BACKENDS
def test_all_kinds_of_wishes_wait_for_their_turn_in_one_order(backend: str) -> None:
    async def main() -> None:
        turns = {"tell": STORY, "hello": "Hello there"}
        async with talking(turns) as talk:
            await talk.session.send_text("tell")
            await talk.session.say("A word from our sponsor")
            await talk.session.send_text("hello", respond=False)
            await talk.session.respond()
            await talk.session.say("Goodbye")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 4)
            assert said(talk) == [STORY, "A word from our sponsor", "Hello there", "Goodbye"]
            assert not replies_overlap(talk)
            ask, item = ASK, "conversation.item.create"
            assert talk.sent_types() == ["session.update", *ask, item, *ask, item]

    run(main, backend)


# While a reply runs


async def ask_by(talk: Talk, verb: str, when_busy: Literal["queue", "cancel", "raise"] | None) -> None:
    """Ask for a reply by one of the verbs."""
    session = talk.session
    if verb == "send_text":
        await session.send_text("hello", when_busy=when_busy)
    elif verb == "respond":
        await session.respond(instructions="hello", when_busy=when_busy)
    else:
        await session.say("Hello there", when_busy=when_busy)


VERBS = pytest.mark.parametrize("verb", ["send_text", "respond", "say"])


def answer_by_instructions(prompt: Prompt) -> Turn | str:
    return TURNS[prompt.instructions or prompt.heard]


@pytest.mark.behaviour("ask-3")
@VERBS
@BACKENDS
def test_wish_waits_for_the_running_reply_when_it_is_to_queue(backend: str, verb: str) -> None:
    async def main() -> None:
        async with talking(answer_by_instructions) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted)
            await ask_by(talk, verb, None)
            await anyio.sleep(0.5)
            assert talk.sent_types() == ["session.update", *ASK]
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            assert said(talk) == [STORY, "Hello there"]
            assert [done.status for done in talk.of(ResponseDone)] == ["completed", "completed"]
            assert not replies_overlap(talk)

    run(main, backend)


@pytest.mark.behaviour("ask-3")
@VERBS
@BACKENDS
def test_wish_stops_the_running_reply_when_it_is_to_cancel(backend: str, verb: str) -> None:
    async def main() -> None:
        async with talking(answer_by_instructions) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted)
            await anyio.sleep(1)
            await ask_by(talk, verb, "cancel")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            assert [done.status for done in talk.of(ResponseDone)] == ["cancelled", "completed"]
            assert said(talk)[0] in STORY and said(talk)[1] == "Hello there"
            assert not replies_overlap(talk)
            first = talk.of(ResponseDone)[0].response_id
            assert [cancel.response_id for cancel in talk.sent_of(wire.ResponseCancel)] == [first]

    run(main, backend)


@pytest.mark.behaviour("ask-3")
@VERBS
@BACKENDS
def test_wish_is_refused_while_a_reply_runs_when_it_is_to_raise(backend: str, verb: str) -> None:
    async def main() -> None:
        async with talking(answer_by_instructions, policy=SessionPolicy(when_busy="raise")) as talk:
            await talk.session.send_text("tell")
            for moment in (None, ResponseStarted, SpeechStarted):
                if moment is not None:
                    await talk.next(moment)
                with pytest.raises(LocalProtocolError, match="a reply is running or asked for"):
                    await ask_by(talk, verb, None)
            await talk.next(ResponseDone)
            await ask_by(talk, verb, None)
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            assert said(talk) == [STORY, "Hello there"]
            assert len(talk.sent_of(wire.ConversationItemCreate)) == (1 if verb == "respond" else 2)

    run(main, backend)


@pytest.mark.behaviour("ask-3")
@BACKENDS
def test_wish_that_cancels_also_cuts_a_reply_that_is_over_but_still_playing(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(answer_by_instructions, seed=1, pace="instant")
        async with talking(emulator=emulator) as talk:
            await talk.session.send_text("tell")
            await talk.next(ResponseDone)
            await anyio.sleep(1)
            await talk.session.send_text("hello", when_busy="cancel")
            await talk.next(ResponseDone)
            kinds = talk.kinds
            assert kinds.index("Interrupted") < kinds.index("ResponseStarted", kinds.index("ResponseDone"))
            assert talk.sent_types()[-3:] == ["conversation.item.truncate", *ASK]
            assert "response.cancel" not in talk.sent_types()

    run(main, backend)


@BACKENDS
def test_text_without_an_answer_does_not_wait_for_the_running_reply_and_is_never_refused(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted)
            for when_busy in ("queue", "raise", "cancel"):
                await talk.session.send_text(when_busy, respond=False, when_busy=when_busy)
            await talk.next(ResponseDone, status="completed")
            assert written(talk) == ["tell", "queue", "raise", "cancel"]
            last = talk.sent_of(wire.ConversationItemCreate)[-1]
            place = talk.received.index(next(event for event in talk.received if is_item(event, last.item.id)))
            ends = [number for number, event in enumerate(talk.received) if isinstance(event, wire.ResponseDone)]
            assert place < ends[0]

    run(main, backend)


def is_item(event: Any, item_id: str | None) -> bool:
    return isinstance(event, wire.ConversationItemAdded) and event.item.id == item_id


@pytest.mark.behaviour("ask-45")
@BACKENDS
def test_more_wishes_than_may_wait_are_refused_and_those_before_are_fulfilled(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, policy=SessionPolicy(max_queued_turns=2)) as talk:
            await talk.session.send_text("tell")
            await talk.session.send_text("hello")
            await talk.session.send_text("bye")
            for when_busy in ("queue", "cancel", "raise"):
                with pytest.raises(LocalProtocolError, match="2 wishes wait already"):
                    await talk.session.send_text("more", when_busy=when_busy)
            await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
            assert said(talk) == [STORY, "Hello there", "See you"]
            assert written(talk) == ["tell", "hello", "bye"]

    run(main, backend)


@BACKENDS
def test_policy_that_does_not_exist_is_refused_by_each_verb_and_nothing_is_sent(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            for verb in ("send_text", "respond", "say"):
                with pytest.raises(ConfigurationError, match="when_busy is 'wait'; allowed are 'queue'"):
                    await ask_by(talk, verb, "wait")  # type: ignore[arg-type]
            assert talk.sent_types() == ["session.update"]

    run(main, backend)


@pytest.mark.behaviour("session-turn-order")
@BACKENDS
def test_text_waits_while_the_user_speaks_and_until_the_user_was_answered(backend: str) -> None:
    async def main() -> None:
        turns = {"good morning to you": "Good morning!", "hello": "Hello there"}
        async with talking(turns) as talk:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.speak, "good morning to you", 2_500)
                await talk.next(SpeechStarted, who="user")
                await talk.session.send_text("hello")
                await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            assert said(talk) == ["Good morning!", "Hello there"]
            assert not replies_overlap(talk)
            assert not [event for event in talk.received if isinstance(event, wire.Error)]

    run(main, backend)


@BACKENDS
def test_text_goes_out_in_time_when_the_user_is_not_answered(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await server.say("input_audio_buffer.speech_started", item_id="user-1", audio_start_ms=0)
            await talk.next(SpeechStarted)
            await talk.session.send_text("hello")
            await server.say("input_audio_buffer.speech_stopped", item_id="user-1", audio_end_ms=500)
            await server.got("response.create")
            assert anyio.current_time() == pytest.approx(5, abs=0.1)

    run(main, backend)


# The order of things said and called


@pytest.mark.behaviour("ask-24")
@BACKENDS
def test_words_before_a_call_stand_before_it_in_the_conversation_and_in_what_a_new_line_is_told(backend: str) -> None:
    @tool
    async def look_up(city: str) -> str:
        return f"rain in {city}"

    calls = (ToolRequest("look_up", {"city": "Porto"}),)
    turns = {"weather": Turn(say="One moment.", calls=calls, then="Now: {output}"), "hello": "Hello there"}
    order = [
        ("message", "weather"),
        ("message", "One moment."),
        ("function_call", ""),
        ("function_call_output", "rain in Porto"),
        ("message", "Now: rain in Porto"),
    ]

    async def main() -> None:
        cut = Fault.cut(on="response.done", nth=2, after=True)
        async with talking(turns, cut, tools=[look_up]) as talk:
            await talk.session.send_text("weather")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            items = talk.session.conversation.items
            assert [(item.kind, item.said() or item.output or "") for item in items] == order
            await talk.next(Reconnected)
            await talk.session.send_text("hello")
            await talk.next(Transcript, text="Hello there")
            seeds = seeded(talk)[:-1]
            assert [(item["type"], text_of(item)) for item in seeds] == order
            assert [item["id"] for item in seeds] == [item.id for item in items[:5]]
            assert seeds[2]["call_id"] == seeds[3]["call_id"]

    run(main, backend)


def seeded(talk: Talk) -> list[dict[str, Any]]:
    """The items that the second connection was told, as they went out."""
    updates = [place for place, event in enumerate(talk.sent) if isinstance(event, wire.SessionUpdate)]
    items = [event.item for event in talk.sent[updates[1] :] if isinstance(event, wire.ConversationItemCreate)]
    return [item.model_dump(exclude_unset=True) for item in items]


def text_of(item: dict[str, Any]) -> str:
    return str(item.get("output") or "".join(part["text"] for part in item.get("content", ())))
