"""Oddities that are switched on: what goes out changes, what is true does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.engine.driving import MANUAL, VAD, Call, say, scripted
from xai_realtime import ConfigurationError
from xai_realtime.emulator import Emulator, Quirks
from xai_realtime.emulator.scenario import ToolRequest, Turn

LONG = "This is a rather long answer that nobody wants to hear to its end, so it is interrupted."
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CALL = Turn(calls=(ToolRequest("f", {"a": 1}),), then="It is {output}.")
TWO_CALLS = Turn(calls=(ToolRequest("f", {}), ToolRequest("f", {})), then="{output}")
WORDS: dict[str, Turn | str | None] = {"Tell me": LONG, "Stop": "All right.", "Go": CALL, "Twice": TWO_CALLS}
DELTA = "response.output_audio.delta"
DONE = "response.done"


def calling(session: dict[str, Any] | None = VAD, *, dialect: str = "xai", **quirks: Any) -> Call:
    return Call(scripted(WORDS), session=session, dialect=dialect, quirks=Quirks(**quirks))


def speaking(**quirks: Any) -> Call:
    """A call in which the model has spoken for about a second."""
    call = calling(**quirks)
    call.write("Tell me")
    call.run(1_550)
    call.forget()
    return call


def statuses(call: Call) -> list[str]:
    return [event["response"]["status"] for event in call.of(DONE)]


# The greeting and the receipt


@pytest.mark.behaviour("emulator-quirk-greeting")
@pytest.mark.parametrize(
    ("switches", "types"),
    [
        ({"conversation_first": True}, ["conversation.created", "session.created", "ping"]),
        ({"no_session_created": True}, ["conversation.created", "ping"]),
        ({"no_conversation_created": True}, ["session.created", "ping"]),
        ({"no_session_created": True, "no_conversation_created": True}, ["ping"]),
    ],
)
def test_greeting_comes_in_another_order_or_with_a_part_missing(switches: dict[str, Any], types: list[str]) -> None:
    call = calling(None, **switches)
    assert call.types == types
    call.write("Stop")
    call.run(5_000)
    assert call.heard() == "All right."


@pytest.mark.behaviour("emulator-quirk-no-receipt")
def test_update_takes_effect_without_a_receipt() -> None:
    call = calling(MANUAL, no_session_updated=True)
    assert "session.updated" not in call.types
    call.append(say("Stop"))
    call.run(5_000)
    assert "input_audio_buffer.speech_started" not in call.types
    call.send({"type": "input_audio_buffer.commit"})
    call.run(5_000)
    assert call.heard() == "All right."


@pytest.mark.parametrize("dialect", ["xai", "openai"])
@pytest.mark.behaviour("emulator-quirk-no-transcripts")
def test_speech_is_answered_without_a_transcript(dialect: str) -> None:
    call = calling(dialect=dialect, transcription_off=True)
    call.append(say("Stop"))
    call.run(5_000)
    assert "input_audio_buffer.committed" in call.types
    assert [name for name in call.types if "input_audio_transcription" in name] == []
    assert call.heard() == "All right."


# Calls


@pytest.mark.behaviour("emulator-quirk-duplicate-calls")
def test_call_is_announced_more_often_with_event_ids_of_their_own() -> None:
    call = calling(duplicate_calls=2)
    call.forget()
    call.write("Go")
    call.run(2_000)
    announced = [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]
    assert [call.types.count(name) for name in announced] == [3, 4, 3, 3]
    assert call.types.count("response.function_call_arguments.delta") == 1
    assert call.types.count(DONE) == 1
    ids = [event["event_id"] for _, event in call.events]
    assert len(ids) == len(set(ids))
    (made,) = call.conversation.tool_calls
    assert made.arguments == '{"a":1}'
    call.bring(made.call_id, "done")
    call.run(5_000)
    assert call.heard() == "It is done."


def test_messages_and_calls_that_the_client_made_are_announced_once() -> None:
    call = calling(duplicate_calls=3)
    call.forget()
    seeded = {"type": "function_call", "call_id": "mine", "name": "f", "arguments": "{}"}
    call.send({"type": "conversation.item.create", "item": seeded})
    call.write("Stop")
    call.run(5_000)
    assert call.types.count("conversation.item.added") == 3
    assert call.types.count("response.output_item.added") == 1


@pytest.mark.behaviour("emulator-quirk-early-outputs")
def test_output_before_the_response_is_done_is_refused_when_early_outputs_are() -> None:
    call = calling(refuse_early_outputs=True)
    call.write("Go")
    call.run(600)
    assert DONE not in call.types
    made = call.conversation.tool_calls[0].call_id
    call.bring(made, "early", respond=False)
    call.take()
    assert call.errors[0]["code"] == "invalid_tool_call_id"
    call.run(1_000)
    assert call.at(DONE) == [1_000]
    call.bring(made, "late")
    call.run(5_000)
    assert len(call.errors) == 1
    assert call.heard() == "It is late."


def test_refused_early_output_does_not_answer_another_call_that_waits() -> None:
    call = calling(refuse_early_outputs=True)
    call.write("Go")
    call.run(2_000)
    call.write("Go")
    call.run(700)
    first, second = (tool.call_id for tool in call.conversation.tool_calls)
    call.bring(second, "early", respond=False)
    call.take()
    assert call.errors[0]["code"] == "invalid_tool_call_id"
    assert [tool.output for tool in call.conversation.tool_calls if tool.call_id == first] == [None]


@pytest.mark.behaviour("emulator-quirk-early-outputs")
def test_output_before_the_response_is_done_is_taken_and_a_request_is_refused() -> None:
    call = calling(late_done_ms=2_000)
    call.write("Twice")
    call.run(1_000)
    one, two = (tool.call_id for tool in call.conversation.tool_calls)
    call.bring(one, "first", respond=True)
    call.take()
    assert [error["code"] for error in call.errors] == ["conversation_already_has_active_response"]
    call.run(2_000)
    assert call.at(DONE) == [2_500]
    call.bring(two, "second")
    call.run(5_000)
    assert call.heard() == "first second"


def test_reply_without_calls_is_done_at_once_also_when_calls_are_not() -> None:
    call = calling(late_done_ms=2_000)
    call.write("Stop")
    call.run(10_000)
    assert call.at(DONE) == call.at("response.output_item.done")


# Interruptions


@pytest.mark.behaviour("emulator-quirk-late-deltas")
def test_late_audio_of_the_dead_response_comes_at_its_pace_and_the_end_after_it() -> None:
    call = speaking(late_deltas=3)
    call.send({"type": "response.cancel"}, {"type": "response.cancel"}, {"type": "response.create"})
    call.run(5_000)
    assert [error["code"] for error in call.errors] == [
        "response_cancel_not_active",
        "conversation_already_has_active_response",
    ]
    ends = ["response.output_audio.done", "response.output_audio_transcript.done", "response.output_item.done", DONE]
    assert [name for name in call.types if name != "error"] == [DELTA] * 3 + ends
    assert call.at(DELTA) == [1_600, 1_700, 1_800]
    assert call.at(DONE) == [1_800]
    assert statuses(call) == ["cancelled"]


def test_late_audio_ends_with_the_speech_when_there_is_less_of_it() -> None:
    whole = speaking().run(60_000)
    call = speaking(late_deltas=1_000)
    call.send({"type": "response.cancel"})
    call.run(60_000)
    assert statuses(call) == ["cancelled"]
    assert call.of("response.output_item.done")[0]["item"]["status"] == "incomplete"
    assert call.at(DELTA) == whole.at(DELTA)


def test_reply_that_speech_breaks_off_is_answered_after_its_late_audio() -> None:
    call = speaking(late_deltas=30)
    for _ in range(2):
        call.stream(say("Stop", after_ms=1_000))
    call.run(20_000)
    assert statuses(call)[0] == "cancelled"
    assert len([event for event in call.of(DELTA) if event["response_id"] == call.of(DONE)[0]["response_id"]]) == 30
    assert statuses(call) == ["cancelled", "completed", "completed"]
    assert (call.heard() or "").endswith(" All right. All right.")


def test_reply_that_has_not_spoken_has_no_late_audio() -> None:
    call = calling(late_deltas=3)
    call.write("Tell me")
    call.send({"type": "response.cancel"})
    call.run(5_000)
    assert DELTA not in call.types
    assert statuses(call) == ["cancelled"]


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.behaviour("emulator-quirk-no-done")
def test_reply_that_speech_broke_off_ends_without_response_done(late: int) -> None:
    call = speaking(no_done_after_interrupt=True, late_deltas=late)
    dead = call.conversation.items[-1].response_id
    call.stream(say("Stop"))
    call.run(10_000)
    assert statuses(call) == ["completed"]
    assert call.of(DONE)[0]["response_id"] != dead
    assert len([event for event in call.of(DELTA) if event["response_id"] == dead]) == late
    assert call.of("response.output_item.done")[0]["item"]["status"] == "incomplete"


def test_reply_that_is_cancelled_has_its_end_also_without_one_after_speech() -> None:
    call = speaking(no_done_after_interrupt=True)
    call.send({"type": "response.cancel"})
    call.take()
    assert statuses(call) == ["cancelled"]


@pytest.mark.behaviour("emulator-quirk-no-truncate")
def test_truncation_is_taken_without_an_answer() -> None:
    call = speaking(ignores_truncate=True)
    call.send({"type": "response.cancel"})
    call.take()
    call.forget()
    item_id = call.conversation.items[-1].id
    for end_ms in (100, 10**6):
        wish = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": end_ms}
        call.send(wish)
    call.take()
    assert call.types == []


# Usage


@pytest.mark.parametrize("dialect", ["xai", "openai"])
@pytest.mark.parametrize(
    ("place", "at_top", "in_response"),
    [
        ("top", "whole", "empty"),
        ("nested", None, "whole"),
        ("both", "whole", "whole"),
        ("missing", None, None),
        ("empty", "empty", "empty"),
    ],
)
@pytest.mark.behaviour("emulator-quirk-usage")
def test_usage_stands_where_it_is_wanted(place: Any, at_top: str | None, in_response: str | None, dialect: str) -> None:
    call = calling(dialect=dialect, usage=place)
    call.write("Stop")
    call.run(5_000)
    done = call.last(DONE)

    def stated(where: dict[str, Any]) -> str | None:
        if "usage" not in where:
            return None
        return "whole" if where["usage"].get("total_tokens", 0) > 0 else "empty" if where["usage"] == {} else "wrong"

    assert (stated(done), stated(done["response"])) == (at_top, in_response)


# The switches themselves


@pytest.mark.parametrize(
    ("switches", "said"),
    [
        ({"no_session_updated": 1}, "no_session_updated is 1; allowed are True, False"),
        ({"duplicate_calls": True}, "duplicate_calls is True; allowed are whole numbers from 0 to 1000"),
        ({"late_deltas": -1}, "late_deltas is -1; allowed are whole numbers"),
        ({"late_done_ms": 1.5}, "late_done_ms is 1.5; allowed are whole numbers"),
        ({"usage": "below"}, "usage is 'below'; allowed are None, 'top', 'nested'"),
    ],
)
def test_quirk_with_a_value_that_is_not_allowed_is_a_clear_error(switches: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Quirks(**switches)
    assert str(caught.value).startswith(said)


def test_emulator_takes_its_quirks_and_nothing_else_for_them() -> None:
    quirks = Quirks(late_deltas=2)
    assert Emulator(quirks=quirks).world.quirks == quirks
    assert Emulator().world.quirks == Quirks()
    with pytest.raises(ConfigurationError, match="quirks is a dict"):
        Emulator(quirks={"late_deltas": 2})  # type: ignore[arg-type]


def test_scenarios_own_events_go_out_as_they_are() -> None:
    turn = Turn(say="Yes.", events=({"type": "session.updated", "session": {}}, {"type": "response.done"}))
    call = Call(lambda prompt: turn, quirks=Quirks(no_session_updated=True, usage="missing"))
    call.frames.clear()
    call.write("x")
    call.engine.take(0)
    frames = [frame.data for at in (0, 500) for frame in call.engine.take(at) if hasattr(frame, "data")]
    assert any(b'"session.updated"' in data for data in frames)
    assert any(b'"response.done"' in data and b"usage" not in data for data in frames)
