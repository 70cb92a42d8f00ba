"""Races for the one place from which a reply is spoken: what the server does while the session asks, stops and asks."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, run, talking
from tests.session.handmade import served
from xai_realtime import SessionPolicy, tool
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator, Turn
from xai_realtime.emulator.scenario import ErrorSpec
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionWarning,
    ToolFinished,
    Transcript,
)
from xai_realtime.transport.faults import Fault

ACTIVE = "conversation_already_has_active_response"
SLOW = Turn(say="Slow.", delay_ms=300)


def ends(talk: Any) -> list[tuple[str, str, str | None]]:
    return [(done.response_id, done.status, done.reason) for done in talk.of(ResponseDone)]


# A response is active already


@pytest.mark.behaviour("ask-1")
@BACKENDS
def test_refused_continuation_is_sent_once_when_the_active_response_is_over(backend: str) -> None:
    @tool
    async def look_up() -> str:
        return "42"

    async def main() -> None:
        async with served(tools=[look_up]) as (talk, server):
            await talk.session.send_text("look")
            await server.got("response.create")
            call = {"id": "item-1", "type": "function_call", "call_id": "call-1", "name": "look_up", "arguments": "{}"}
            await server.begins("resp-1")
            await server.say("response.output_item.done", response_id="resp-1", item=call)
            await server.ends("resp-1", output=[call])
            await server.got("response.create", 2)
            await server.begins("resp-2")  # the user's voice was answered meanwhile
            await server.refuses(ACTIVE, "Conversation already has an active response")
            await server.speaks("resp-2", "You there?")
            await anyio.sleep(1)
            assert len(server.of("response.create")) == 2
            await server.ends("resp-2")
            await server.got("response.create", 3)
            await server.replies("resp-3", "It is 42.")
            await talk.next(Transcript, text="It is 42.")
            await anyio.sleep(60)
            assert server.types() == [
                "conversation.item.create",
                "response.create",
                "conversation.item.create",
                "response.create",
                "response.create",
            ]
            assert ends(talk) == [(f"resp-{number}", "completed", None) for number in (1, 2, 3)]
            assert len(talk.of(ToolFinished)) == 1
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-1")
@BACKENDS
def test_request_refused_over_a_reply_that_nobody_saw_begin_waits_for_its_end(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("hello")
            await server.got("response.create")
            await server.refuses("whatever", "the conversation already has an active response: resp-0")
            await talk.session.send_text("and this")
            await server.speaks("resp-0", "Well.")
            await anyio.sleep(1)
            assert server.types() == ["conversation.item.create", "response.create"]
            await server.ends("resp-0")
            await server.got("response.create", 2)
            await server.replies("resp-1", "Hello!")
            await server.got("response.create", 3)
            await server.replies("resp-2", "That too.")
            await talk.next(Transcript, text="That too.")
            texts = [item["item"]["content"][0]["text"] for item in server.of("conversation.item.create")]
            assert texts == ["hello", "and this"]
            assert [done.response_id for done in talk.of(ResponseDone)] == ["resp-0", "resp-1", "resp-2"]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-4")
@BACKENDS
def test_request_that_was_interrupted_is_not_asked_again_when_it_is_refused(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await server.got("response.create")
            assert await talk.session.interrupt()
            await server.refuses(ACTIVE)
            await talk.session.send_text("second")
            await server.got("response.create", 2)
            await server.replies("resp-1")
            await talk.next(ResponseDone)
            await anyio.sleep(60)
            assert len(server.of("response.create")) == 2
            assert server.of("response.cancel") == []

    run(main, backend)


@pytest.mark.behaviour("ask-1")
@BACKENDS
def test_request_is_not_asked_again_when_the_reply_that_seemed_to_answer_it_was_stopped(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await server.got("response.create")
            await server.begins("resp-1")
            await talk.next(ResponseStarted)
            await talk.session.interrupt()
            await server.refuses(ACTIVE)
            await server.ends("resp-1", "cancelled")
            await talk.next(ResponseDone)
            await anyio.sleep(60)
            assert server.types() == ["conversation.item.create", "response.create", "response.cancel"]

    run(main, backend)


# Cancel and ask


@pytest.mark.behaviour("ask-2")
@BACKENDS
def test_request_after_an_interruption_waits_for_the_end_of_the_interrupted_reply(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await server.got("response.create")
            await server.begins("resp-1")
            await server.speaks("resp-1", "Once upon a time", 1_000)
            await talk.next(AudioOutput)
            await talk.session.interrupt()
            await talk.session.respond(instructions="be brief")
            await server.got("response.cancel")
            await anyio.sleep(1)
            assert len(server.of("response.create")) == 1
            await server.ends("resp-1", "cancelled")
            await server.got("response.create", 2)
            await server.replies("resp-2", "Short.")
            await talk.next(Transcript, text="Short.")
            assert ends(talk) == [("resp-1", "cancelled", "interrupted"), ("resp-2", "completed", None)]

    run(main, backend)


@pytest.mark.behaviour("ask-2")
@BACKENDS
def test_request_after_an_interruption_goes_out_when_there_was_nothing_to_stop_any_more(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await server.got("response.create")
            await server.begins("resp-1")
            await talk.next(ResponseStarted)
            await talk.session.interrupt()
            await talk.session.send_text("second")
            await server.got("response.cancel")
            await server.refuses("response_cancel_not_active", "Cancellation failed: no active response found")
            await server.got("response.create", 2)
            await server.ends("resp-1")  # late, or never
            await server.replies("resp-2")
            await talk.next(ResponseDone, response_id="resp-2")
            assert ends(talk) == [("resp-1", "cancelled", "interrupted"), ("resp-2", "completed", None)]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-2")
@BACKENDS
def test_request_after_an_interruption_goes_out_in_time_when_the_end_never_comes(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await server.got("response.create")
            await server.begins("resp-1")
            await talk.next(ResponseStarted)
            before = anyio.current_time()
            await talk.session.interrupt()
            await talk.session.send_text("second")
            await server.got("response.create", 2)
            assert anyio.current_time() - before == pytest.approx(5)
            assert ends(talk) == [("resp-1", "cancelled", "interrupted")]

    run(main, backend)


@pytest.mark.behaviour("ask-15")
@BACKENDS
def test_cancel_names_its_response_and_none_follows_the_end(backend: str) -> None:
    async def main() -> None:
        async with talking({"hello": "Hello there"}) as talk:
            assert not await talk.session.interrupt()
            await talk.session.send_text("hello")
            started = await talk.next(ResponseStarted)
            assert await talk.session.interrupt()
            assert not await talk.session.interrupt()
            await talk.next(ResponseDone, status="cancelled")
            assert not await talk.session.interrupt()
            (cancel,) = talk.sent_of(wire.ResponseCancel)
            assert cancel.response_id == started.response_id
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)
            assert done.status == "completed"
            assert talk.heard() == "Hello there"

    run(main, backend)


# A reply that was interrupted before it began


@pytest.mark.behaviour("ask-4")
@BACKENDS
def test_reply_interrupted_before_it_began_never_surfaces(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await server.got("response.create")
            assert await talk.session.interrupt()
            await talk.session.send_text("second")
            await anyio.sleep(2)
            assert server.of("response.cancel") == []
            await server.begins("resp-1")
            assert (await server.got("response.cancel"))["response_id"] == "resp-1"
            await server.speaks("resp-1", "Too late.")
            await anyio.sleep(1)
            assert len(server.of("response.create")) == 1
            await server.ends("resp-1", "cancelled", usage={"total_tokens": 5})
            await server.got("response.create", 2)
            await server.replies("resp-2", "Second.")
            await talk.next(ResponseDone)
            assert [started.response_id for started in talk.of(ResponseStarted)] == ["resp-2"]
            assert [done.response_id for done in talk.of(ResponseDone)] == ["resp-2"]
            assert [said.text for said in talk.of(Transcript)] == ["Second."]
            assert {audio.response_id for audio in talk.of(AudioOutput)} == {"resp-2"}
            assert talk.of(Interrupted) == []
            assert talk.session.usage.session.total_tokens == 5
            assert talk.session.metrics.reply_ms.count == 1

    run(main, backend)


@pytest.mark.behaviour("ask-4")
@BACKENDS
def test_reply_interrupted_before_it_began_leaves_the_next_one_whole(backend: str) -> None:
    async def main() -> None:
        async with talking({"first": "Never heard", "second": "Heard in full"}) as talk:
            for _ in range(3):
                await talk.session.send_text("first")
                assert await talk.session.interrupt()
                assert not await talk.session.interrupt()
                await anyio.sleep(0.5)
            await talk.session.send_text("second")
            await talk.next(ResponseDone, status="completed")
            assert talk.heard() == "Heard in full"
            assert len(talk.of(ResponseStarted)) == len(talk.of(ResponseDone)) == 1
            created = [event.response.id for event in talk.received if isinstance(event, wire.ResponseCreated)]
            assert [cancel.response_id for cancel in talk.sent_of(wire.ResponseCancel)] == created[:3]

    run(main, backend)


# The user goes on with a turn that seemed over


@pytest.mark.behaviour("ask-8")
@BACKENDS
def test_reply_taken_back_ends_as_cancelled_and_the_whole_turn_is_answered(backend: str) -> None:
    async def main() -> None:
        async with talking({"one two three four": "Four."}) as talk:
            pause = silence(640, 24_000)  # long enough to seem over, short enough to be taken back
            await talk.stream(speak("one two", sample_rate_hz=24_000) + pause)
            await talk.speak("three four")
            await talk.next(ResponseDone, status="completed")
            dropped, answered = talk.of(ResponseDone)
            assert (dropped.status, dropped.reason, dropped.raw.type) == (
                "cancelled",
                "taken_back",
                "input_audio_buffer.speech_started",
            )
            assert answered.status == "completed"
            assert [started.response_id for started in talk.of(ResponseStarted)] == [
                dropped.response_id,
                answered.response_id,
            ]
            assert talk.heard() == "Four."
            assert talk.sent_types() == ["session.update"]

    run(main, backend)


@pytest.mark.behaviour("ask-8")
@BACKENDS
def test_call_in_a_reply_taken_back_is_stopped_and_never_answered(backend: str) -> None:
    stopped: list[str] = []

    @tool
    async def look_up() -> str:
        try:
            await anyio.sleep(60)
        finally:
            stopped.append("stopped")
        return "42"

    async def main() -> None:
        async with served(tools=[look_up]) as (talk, server):
            await server.say("input_audio_buffer.speech_started", item_id="user-1", audio_start_ms=0)
            await server.say("input_audio_buffer.speech_stopped", item_id="user-1", audio_end_ms=500)
            await server.say("input_audio_buffer.committed", item_id="user-1")
            await server.begins("resp-1")
            call = {"id": "item-1", "type": "function_call", "call_id": "call-1", "name": "look_up", "arguments": "{}"}
            await server.say("response.output_item.done", response_id="resp-1", item=call)
            half = {**call, "id": "item-2", "call_id": "call-2", "arguments": ""}
            await server.say("response.output_item.added", response_id="resp-1", item=half)
            await talk.next(ResponseStarted)
            await server.say("input_audio_buffer.speech_started", item_id="user-1", audio_start_ms=800)
            done = await talk.next(ResponseDone)
            assert (done.status, done.reason) == ("cancelled", "taken_back")
            await anyio.sleep(90)
            assert stopped == ["stopped"]
            assert server.types() == []

    run(main, backend)


@pytest.mark.behaviour("ask-8")
@BACKENDS
def test_reply_that_runs_on_without_an_end_is_closed_by_the_next_one(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await server.begins("resp-1")
            await server.speaks("resp-1", "One", 1_000)
            await server.begins("resp-2")
            await server.speaks("resp-2", "Two")
            await server.ends("resp-2")
            await talk.next(ResponseDone, response_id="resp-2")
            assert ends(talk) == [("resp-1", "cancelled", "next_response"), ("resp-2", "completed", None)]
            assert [said.text for said in talk.of(Transcript)] == ["One", "Two"]

    run(main, backend)


@pytest.mark.behaviour("bug-20")
@BACKENDS
def test_reply_announced_and_ended_several_times_is_told_once(backend: str) -> None:
    async def main() -> None:
        plan = [Fault.duplicate(2, on=kind, nth=None) for kind in ("response.created", "response.done")]
        async with talking({"hello": "Hello there"}, *plan) as talk:
            await talk.session.send_text("hello")
            await talk.session.send_text("hello")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
            await anyio.sleep(30)
            created = [event.response.id for event in talk.received if isinstance(event, wire.ResponseCreated)]
            ids = list(dict.fromkeys(created))
            assert len(created) == 6 and len(ids) == 2
            assert [started.response_id for started in talk.of(ResponseStarted)] == ids
            assert ends(talk) == [(name, "completed", None) for name in ids]
            assert len(talk.of(Transcript)) == 2

    run(main, backend)


# Requests and answers that get lost


@pytest.mark.behaviour("session-no-reply")
@BACKENDS
def test_request_dropped_without_a_word_is_reported_and_the_queue_goes_on(backend: str) -> None:
    async def main() -> None:
        turns: dict[str, Turn | str] = {"hush": Turn(silent=True), "hello": "Hello there"}
        async with talking(turns, policy=SessionPolicy(reply_timeout_s=7)) as talk:
            await talk.session.send_text("hush")
            await talk.session.send_text("hello")
            (warning,) = [await talk.next(SessionWarning)]
            assert (warning.code, warning.raw) == ("no_reply", None)
            assert "7 s" in warning.message
            at_ms = next(at_ms for at_ms, event in talk.told if event is warning)
            await talk.next(ResponseDone, status="completed")
            asked_ms = next(at_ms for at_ms, event in talk.told if isinstance(event, ResponseStarted)) - 60
            assert [at_ms, asked_ms] == pytest.approx([7_000, 7_000], abs=1)
            assert talk.heard() == "Hello there"

    run(main, backend)


@pytest.mark.behaviour("session-no-reply")
@BACKENDS
def test_error_in_place_of_a_reply_is_told_and_the_queue_goes_on(backend: str) -> None:
    async def main() -> None:
        turns: dict[str, Turn | str] = {"bad": Turn(error=ErrorSpec("no", "server_error")), "hello": "Hello there"}
        async with talking(emulator=Emulator(lambda prompt: turns[prompt.heard], seed=1)) as talk:
            await talk.session.send_text("bad")
            await talk.session.send_text("hello")
            await talk.next(ResponseDone, status="completed")
            assert [warning.code for warning in talk.of(SessionWarning)] == ["server_error", "no_reply"]

    run(main, backend)


@BACKENDS
def test_reply_whose_end_is_lost_is_closed_after_a_minute_and_the_queue_goes_on(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("first")
            await talk.session.send_text("second")
            await server.got("response.create")
            await server.begins("resp-1")
            await server.speaks("resp-1", "First.")
            await server.got("response.create", 2)
            assert anyio.current_time() == pytest.approx(60, abs=1)
            await server.replies("resp-2", "Second.")
            await talk.next(Transcript, text="Second.")
            assert ends(talk)[0] == ("resp-1", "cancelled", "no_end")
            assert [warning.code for warning in talk.of(SessionWarning)] == ["no_end"]

    run(main, backend)


# Deletions


@pytest.mark.behaviour("ask-16")
@BACKENDS
def test_deletions_are_settled_in_order_by_receipts_without_an_id_and_by_errors(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            for number in range(4):
                item = {"id": f"item-{number}", "type": "message", "role": "user", "content": []}
                await server.say("conversation.item.added", item=item)
            await talk.until(lambda: len(talk.session.conversation.items) == 4)
            for name in ("item-0", "gone", "item-3", "item-2"):
                await talk.session.delete_item(name)
            await server.got("conversation.item.delete", 4)
            await server.say("conversation.item.deleted", item_id="")
            await server.refuses("item_not_found", "Item not found: gone")
            await server.say("conversation.item.deleted", item_id="item-2")
            await server.say("conversation.item.deleted", item_id="")
            await server.replies("resp-1")
            await talk.next(ResponseDone)
            kept = [item.id for item in talk.session.conversation.items]
            assert kept == ["item-1", "resp-1-item"]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-16")
@BACKENDS
def test_truncation_that_the_server_refuses_leaves_the_conversation_as_heard(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("tell")
            await server.got("response.create")
            await server.begins("resp-1")
            await server.speaks("resp-1", "One two three four", 1_000)
            await talk.next(AudioOutput)
            await anyio.sleep(0.5)
            await talk.session.interrupt()
            await server.got("conversation.item.truncate")
            await server.refuses("invalid_value", "Audio content of 480ms is already shorter than 500ms")
            await server.refuses("item_not_found", "Item not found: resp-1-item")
            await server.ends("resp-1", "cancelled")
            await talk.next(ResponseDone)
            item = talk.session.conversation.item("resp-1-item")
            assert item is not None and item.heard == talk.of(Interrupted)[0].heard_text != ""
            assert talk.of(SessionWarning) == []

    run(main, backend)
