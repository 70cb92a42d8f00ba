"""The `openai` dialect: complete objects, other names and another order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.engine.driving import Call, say, scripted, sequence
from xai_realtime.emulator.scenario import ToolRequest, Turn

strict = pytest.mark.behaviour("emulator-openai-dialect")
DETECTION = {"type": "server_vad", "threshold": 0.4}


def strict_call(scenario: Any = None, **session: Any) -> Call:
    audio = {"input": {"transcription": {"model": "x"}, "turn_detection": DETECTION}, "output": {"voice": "alloy"}}
    return Call(scenario, dialect="openai", session={"type": "realtime", "audio": audio, **session})


@strict
def test_session_is_complete_in_both_of_its_events() -> None:
    call = strict_call(tools=[{"type": "function", "function": {"name": "f"}}])
    created, updated = call.of("session.created")[0]["session"], call.of("session.updated")[0]["session"]
    assert created.keys() == updated.keys()
    assert created["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert updated["audio"]["input"]["turn_detection"]["threshold"] == 0.4
    assert updated["audio"]["output"]["voice"] == "alloy"
    assert updated["tools"] == [{"type": "function", "name": "f"}]
    assert updated["id"] == created["id"]
    assert "ping" not in call.types


@strict
def test_turn_detection_is_on_before_any_update_and_off_when_it_is_null() -> None:
    call = Call(dialect="openai")
    call.append(say("Hello"))
    call.run(5_000)
    assert call.heard() == "You said: Hello"
    call = Call(dialect="openai", session={"audio": {"input": {"turn_detection": None}}})
    assert call.last("session.updated")["session"]["audio"]["input"]["turn_detection"] is None


@strict
def test_voice_turn_has_deltas_one_completed_transcript_and_items_that_are_done() -> None:
    call = strict_call()
    call.forget()
    call.stream(say("Hello my dear friend"))
    call.run(5_000)
    deltas = call.of("conversation.item.input_audio_transcription.delta")
    completed = call.of("conversation.item.input_audio_transcription.completed")
    assert "".join(delta["delta"] for delta in deltas) == "Hello my dear"
    assert [event["transcript"] for event in completed] == ["Hello my dear friend"]
    assert call.of("conversation.item.done")[-1]["item"]["content"] == [
        {"type": "output_audio", "transcript": "You said: Hello my dear friend"}
    ]


@strict
def test_message_closes_audio_first_and_with_its_part() -> None:
    call = strict_call()
    call.write("Hello")
    call.run(5_000)
    end = sequence(call.types).index("response.output_audio.done")
    assert sequence(call.types)[end:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert call.last("response.content_part.done")["part"] == {"type": "audio", "transcript": "You said: Hello"}


@strict
def test_usage_stands_in_the_response_and_indices_count() -> None:
    turn = Turn(say="Wait.", calls=(ToolRequest("f", {}), ToolRequest("g", {})))
    call = strict_call(scripted({"Go": turn}))
    call.write("Go")
    call.run(5_000)
    done = call.last("response.done")
    assert "usage" not in done
    assert done["response"]["usage"]["total_tokens"] > 0
    assert done["response"]["status_details"] == {"type": "completed"}
    assert [event["output_index"] for event in call.of("response.output_item.added")] == [0, 1, 2]
    assert {event["output_index"] for event in call.of("response.output_audio.delta")} == {0}
    assert call.of("response.created")[0]["response"]["usage"] is None
    assert "role" not in done["response"]["output"][1]


@strict
@pytest.mark.parametrize(
    ("turn", "details"),
    [
        (Turn(fail=True), {"type": "failed", "error": {"type": "server_error", "code": "server_error"}}),
        (Turn(say="Hm.", incomplete=True), {"type": "incomplete", "reason": "max_output_tokens"}),
    ],
)
def test_status_has_details(turn: Turn, details: dict[str, Any]) -> None:
    call = strict_call(scripted({"Go": turn}))
    call.write("Go")
    call.run(5_000)
    assert call.last("response.done")["response"]["status_details"] == details


@strict
def test_cancelled_response_and_items_name_what_they_are_about() -> None:
    call = strict_call()
    call.write("Hello")
    call.run(900)
    call.send({"type": "response.cancel"})
    call.take()
    assert call.last("response.done")["response"]["status_details"]["type"] == "cancelled"
    item_id = call.conversation.items[-1].id
    cut = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 100}
    call.send(cut, {"type": "conversation.item.delete", "item_id": item_id})
    call.take()
    assert "transcript" not in call.last("conversation.item.truncated")
    assert call.last("conversation.item.deleted")["item_id"] == item_id


@strict
def test_create_response_false_leaves_the_reply_to_the_client() -> None:
    call = strict_call(turn_detection={"type": "server_vad", "create_response": False})
    call.append(say("Hello"))
    call.run(5_000)
    assert "response.created" not in call.types
    call.send({"type": "response.create"})
    call.run(5_000)
    assert call.heard() == "You said: Hello"


@strict
def test_errors_have_every_field() -> None:
    call = strict_call()
    call.send({"type": "nope"})
    call.take()
    assert call.errors[0].keys() == {"type", "code", "message", "param", "event_id"}


@strict
def test_silent_turn_after_the_idle_timeout_is_told() -> None:
    call = strict_call(turn_detection={"type": "server_vad", "idle_timeout_ms": 3_000})
    call.write("Hello")
    call.run(8_000)
    assert "previous_item_id" not in call.of("input_audio_buffer.timeout_triggered")[0]
    assert call.of("input_audio_buffer.committed")[0]["previous_item_id"] is not None


def test_g711_has_no_rate_in_the_strict_shape() -> None:
    form = {"type": "audio/pcmu"}
    call = Call(dialect="openai", session={"audio": {"output": {"format": form}}})
    call.write("Hello")
    call.run(5_000)
    assert call.last("session.updated")["session"]["audio"]["output"]["format"] == form
    assert call.last("response.done")["response"]["audio"]["output"]["format"] == form
    assert call.heard(rate_hz=8_000, encoding="pcmu") == "You said: Hello"
