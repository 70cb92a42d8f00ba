"""Text in, speech out: order, content, usage, requests that cannot be honoured."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import pytest

from tests.emulator.engine.driving import MANUAL, VAD, Call, scripted, sequence
from xai_realtime.audible import hear
from xai_realtime.emulator.engine import Hangup
from xai_realtime.emulator.scenario import DropSpec, ErrorSpec, Prompt, ToolRequest, Turn

SPOKEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_audio.done",
    "response.output_item.done",
    "response.done",
]


@pytest.fixture
def call() -> Call:
    made = Call(session=VAD)
    made.forget()
    return made


@pytest.mark.behaviour("emulator-text-turn")
def test_text_turn_is_spoken_in_the_order_of_the_service(call: Call) -> None:
    call.write("Hello")
    call.run(10_000)
    assert sequence(call.types) == ["conversation.item.added", *SPOKEN]
    assert call.heard() == "You said: Hello"
    assert call.conversation.items[-1].text == "You said: Hello"
    user, assistant = (event["item"] for event in call.of("conversation.item.added"))
    assert user["status"] == "completed"
    assert assistant["content"] == []
    assert call.of("conversation.item.added")[1]["previous_item_id"] == user["id"]
    assert call.last("response.content_part.added")["previous_item_id"] == "0"
    assert "part" not in call.last("response.content_part.done")
    assert "content" not in call.last("response.output_item.done")["item"]


def test_audio_comes_in_chunks_of_100_ms_at_their_time(call: Call) -> None:
    call.write("Hello")
    call.run(10_000)
    times = call.at("response.output_audio.delta")
    assert times[0] == 500
    assert [later - earlier for earlier, later in pairwise(times)] == [100] * (len(times) - 1)
    deltas = call.of("response.output_audio.delta")
    assert {delta["audio_duration_ms"] for delta in deltas[:-1]} == {100}
    assert [("latency" in delta) for delta in deltas] == [True] + [False] * (len(deltas) - 1)
    assert deltas[0]["latency"] == "0.50"
    assert deltas[1]["ts"] - deltas[0]["ts"] == 100


def test_audio_comes_at_once_when_the_pace_is_instant() -> None:
    call = Call(session=VAD, pace="instant")
    call.write("Hello")
    call.take()
    assert call.heard() == "You said: Hello"
    assert call.of("response.done")


@pytest.mark.behaviour("emulator-segment-ids")
def test_audio_deltas_name_the_transcript_delta_of_their_segment(call: Call) -> None:
    call.write("one two three four five six seven eight nine")
    call.run(20_000)
    texts = call.of("response.output_audio_transcript.delta")
    assert [text["delta"] for text in texts] == ["You said: one two three four five", " six seven eight nine"]
    assert [text["rid"] for text in texts] == [text["event_id"] for text in texts]
    rids = [delta["rid"] for delta in call.of("response.output_audio.delta")]
    assert rids == sorted(rids, key=[text["rid"] for text in texts].index)
    first = b"".join(
        base64.b64decode(d["delta"]) for d in call.of("response.output_audio.delta") if d["rid"] == texts[0]["rid"]
    )
    assert hear(first) == "You said: one two three four five"


@pytest.mark.behaviour("emulator-usage")
def test_usage_stands_beside_the_response_and_not_in_it(call: Call) -> None:
    call.write("What is the weather in London?")
    call.run(10_000)
    done = call.last("response.done")
    assert done["response"]["usage"] == {}
    assert done["response"]["status_details"] == "unimplemented"
    usage = done["usage"]
    assert usage["input_tokens"] == 7
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_audio_seconds"] == pytest.approx(len(call.spoken()) / 48_000)
    assert usage["output_token_details"]["audio_tokens"] == round(50 * usage["output_audio_seconds"])


@pytest.mark.behaviour("emulator-billable-seconds")
def test_billable_seconds_run_on_over_the_connection(call: Call) -> None:
    for _ in range(3):
        call.write("Hello")
        call.run(5_000)
    billed = [event["usage"]["billable_audio_seconds"] for event in call.of("response.done")]
    assert billed == [1, 6, 11]


def test_billable_seconds_are_those_of_the_audio_without_turn_detection() -> None:
    call = Call(session=MANUAL)
    for _ in range(2):
        call.write("Hello")
        call.run(60_000)
    seconds = len(call.spoken()) / 48_000
    assert call.last("response.done")["usage"]["billable_audio_seconds"] == int(seconds)


@pytest.mark.behaviour("emulator-speaks-text")
def test_reply_is_spoken_also_when_only_text_is_asked_for() -> None:
    call = Call(session={"turn_detection": None, "modalities": ["text"]})
    assert call.last("session.updated")["session"]["modalities"] == ["text"]
    call.send({"type": "conversation.item.create", "item": user("Hello")})
    call.send({"type": "response.create", "response": {"modalities": ["text"]}})
    call.run()
    assert call.heard() == "You said: Hello"


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


@pytest.mark.behaviour("emulator-metadata")
def test_metadata_of_the_request_is_echoed_in_created_and_done(call: Call) -> None:
    call.write("Hello", respond=False)
    call.send({"type": "response.create", "response": {"metadata": {"topic": "x"}}})
    call.run(10_000)
    assert call.last("response.created")["response"]["metadata"] == {"topic": "x"}
    assert call.last("response.done")["response"]["metadata"] == {"topic": "x"}
    call.write("Hello")
    call.run(10_000)
    assert "metadata" not in call.last("response.done")["response"]


def test_metadata_of_more_than_16_pairs_is_refused(call: Call) -> None:
    call.send({"type": "response.create", "response": {"metadata": {str(n): "x" for n in range(17)}}})
    call.run(5_000)
    assert call.errors[0]["param"] == "response.metadata"
    assert "response.created" not in call.types


@pytest.mark.behaviour("emulator-active-response")
def test_second_request_is_refused_while_a_response_runs(call: Call) -> None:
    call.write("Hello")
    call.send({"type": "response.create", "event_id": "mine"})
    call.run(10_000)
    error = call.errors[0]
    assert error["code"] == "conversation_already_has_active_response"
    assert "already has an active response" in error["message"]
    assert error["event_id"] == "mine"
    assert len(call.of("response.done")) == 1


def test_request_without_anything_heard_is_greeted(call: Call) -> None:
    call.send({"type": "response.create", "response": {"instructions": "Greet the caller."}})
    call.run(10_000)
    assert call.heard() == "Hello! How can I help you?"


def test_scenario_is_asked_with_what_was_said_before_and_the_instructions() -> None:
    asked: list[Prompt] = []

    def answer(prompt: Prompt) -> str:
        asked.append(prompt)
        return "Yes."

    call = Call(answer, session={"tools": [{"type": "function", "name": "find"}]})
    call.write("One")
    call.run(10_000)
    call.write("Two", respond=False)
    call.send({"type": "response.create", "response": {"instructions": "Be kind."}})
    call.run(10_000)
    assert asked[1] == Prompt("Two", "text", (("user", "One"), ("assistant", "Yes.")), (), "Be kind.", ("find",))


def test_silent_turn_gives_no_response(call: Call) -> None:
    call = Call(scripted({"Hello": None}))
    call.write("Hello")
    call.run(10_000)
    assert "response.created" not in call.types


def test_delay_of_a_turn_is_thought_about_before_the_first_audio() -> None:
    call = Call(scripted({"Hello": Turn(say="Hm.", delay_ms=2_000)}))
    call.write("Hello")
    call.run(10_000)
    assert call.at("response.created") == [60]
    assert call.at("response.output_audio.delta")[0] == 2_500


def test_error_of_a_turn_comes_in_place_of_a_reply() -> None:
    call = Call(scripted({"Hello": Turn(error=ErrorSpec("No credits.", "no_credits", "internal_error"), delay_ms=100)}))
    call.write("Hello")
    call.run(10_000)
    assert call.errors == [{"type": "internal_error", "code": "no_credits", "message": "No credits."}]
    assert call.at("error") == [100]
    assert "response.created" not in call.types


@pytest.mark.parametrize(
    ("turn", "status", "item"),
    [
        (Turn(say="Oh.", fail=True), "failed", "completed"),
        (Turn(say="Oh.", incomplete=True), "incomplete", "incomplete"),
    ],
)
def test_response_ends_in_the_status_that_the_scenario_wants(turn: Turn, status: str, item: str) -> None:
    call = Call(scripted({"Hello": turn}))
    call.write("Hello")
    call.run(10_000)
    assert call.last("response.done")["response"]["status"] == status
    assert call.last("response.output_item.done")["item"]["status"] == item


def test_failed_response_without_words_ends_at_once() -> None:
    call = Call(scripted({"Hello": Turn(fail=True)}))
    call.forget()
    call.write("Hello")
    call.run(10_000)
    assert call.types == ["conversation.item.added", "response.created", "response.done"]
    assert call.last("response.done")["response"]["output"] == []


@pytest.mark.parametrize(
    ("drop", "hangup"),
    [(DropSpec(1_000), Hangup(1006, "", abrupt=True)), (DropSpec(1_000, 1011), Hangup(1011, ""))],
)
@pytest.mark.parametrize("words", ["A long answer that goes on and on and on.", None])
def test_connection_ends_in_the_middle_when_the_scenario_drops_it(
    drop: DropSpec, hangup: Hangup, words: str | None
) -> None:
    call = Call(scripted({"Hello": Turn(say=words, drop=drop, silent=words is None)}))
    call.write("Hello")
    call.run(10_000)
    assert call.hangup == hangup
    assert "response.done" not in call.types
    assert call.engine.next_due_ms() is None


def test_scenario_that_raises_ends_as_an_error_event_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    call = Call(scripted({"Good": "Fine."}))
    call.write("Bad")
    call.run(10_000)
    assert call.errors[0]["code"] == "scenario_failed"
    assert "KeyError" in call.errors[0]["message"]
    assert "the scenario failed: KeyError in line" in caplog.text
    assert "Bad" not in caplog.text
    call.write("Good")
    call.run(10_000)
    assert call.heard() == "Fine."


@pytest.mark.parametrize(
    "turn",
    [
        Turn(say="\ud800"),
        Turn(calls=(ToolRequest("f", {"x": object()}),)),
        Turn(events=({"type": "ping", "x": {1, object()}},)),
    ],
)
def test_turn_that_is_no_json_ends_as_an_error_event(turn: Turn) -> None:
    call = Call(scripted({"Hello": turn}))
    call.write("Hello")
    call.run(10_000)
    assert call.errors[0]["code"] == "scenario_failed"
    assert call.hangup is None


def test_raw_events_of_a_turn_go_out_inside_its_response_with_ids_filled_in() -> None:
    events = (
        {
            "type": "response.output_item.added",
            "response_id": "{response_id}",
            "output_index": 0,
            "item": {"id": "{item_id}", "type": "mcp_call", "status": "in_progress"},
        },
        {"type": "response.mcp_call.in_progress", "item_id": "{item_id}", "output_index": 0},
        {"type": "response.mcp_call.completed", "item_id": "{item_id}", "output_index": 0, "event_id": "given"},
    )
    call = Call(scripted({"Hello": Turn(say="Done.", events=events)}))
    call.write("Hello")
    call.run(10_000)
    begun = call.of("response.output_item.added")[0]
    assert begun["response_id"] == call.last("response.done")["response_id"]
    assert call.last("response.mcp_call.completed")["item_id"] == begun["item"]["id"]
    assert call.last("response.mcp_call.completed")["event_id"] == "given"
    assert call.types.index("response.mcp_call.completed") < call.types.index("response.output_audio.delta")


def test_raw_events_go_out_alone_when_the_turn_is_silent() -> None:
    key: dict[str, Any] = {"type": "input_audio_buffer.dtmf_event_received", "event": "5", "received_at": 1}
    call = Call(scripted({"Hello": Turn(silent=True, events=(key, {**key, "parts": [1]}))}))
    call.write("Hello")
    call.run(10_000)
    assert [event["event"] for event in call.of(key["type"])] == ["5", "5"]
    assert "response.created" not in call.types


def test_words_are_replaced_when_spoken_and_kept_in_the_transcript() -> None:
    call = Call(scripted({"Hello": "Ask ACME, not Acmeville."}), session={"replace": {"acme": "Ack me", "": "x"}})
    call.write("Hello")
    call.run(10_000)
    assert call.heard() == "Ask Ack me, not Acmeville."
    assert call.last("response.output_audio_transcript.done")["transcript"] == "Ask ACME, not Acmeville."


def test_empty_words_are_no_message() -> None:
    call = Call(scripted({"Hello": Turn(say="", calls=(ToolRequest("find", {}),))}))
    call.write("Hello")
    call.run(10_000)
    assert [item["type"] for item in call.last("response.done")["response"]["output"]] == ["function_call"]
