"""Replies broken off: by the user's voice, by the client, and what is left of them."""

from __future__ import annotations

import pytest

from tests.emulator.engine.driving import MANUAL, VAD, Call, say, scripted
from xai_realtime.audible import text_until
from xai_realtime.emulator.scenario import ToolRequest, Turn

LONG = "This is a rather long answer that nobody wants to hear to its end, so it is interrupted."
WORDS: dict[str, Turn | str | None] = {"Tell me": LONG, "Stop": "All right.", "Go": Turn(calls=(ToolRequest("f", {}),))}
BROKEN_OFF = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.output_item.done",
    "response.done",
]


def speaking(**more: object) -> Call:
    """A call in which the model has spoken for about a second."""
    call = Call(scripted(WORDS), session={**VAD, **more})
    call.write("Tell me")
    call.run(1_550)
    return call


@pytest.mark.behaviour("emulator-barge-in")
def test_speech_of_the_user_breaks_the_reply_off_and_opens_a_turn_of_its_own() -> None:
    call = speaking()
    call.forget()
    call.stream(say("Stop"))
    call.run(10_000)
    assert call.types[:6] == ["input_audio_buffer.speech_started", "conversation.item.added", *BROKEN_OFF]
    assert call.of("response.output_item.done")[0]["item"]["status"] == "incomplete"
    first, second = call.of("response.done")
    assert first["response"]["status"] == "cancelled"
    assert second["response"]["status"] == "completed"
    assert call.heard() == "All right."
    late = [e for e in call.of("response.output_audio.delta") if e["response_id"] == first["response_id"]]
    assert late == []
    assert LONG.startswith(call.of("response.output_audio_transcript.done")[0]["transcript"])


def test_speech_does_not_break_off_a_reply_when_interrupt_response_is_false() -> None:
    call = speaking(turn_detection={"type": "server_vad", "interrupt_response": False})
    call.stream(say("Stop"))
    call.run(20_000)
    assert [event["response"]["status"] for event in call.of("response.done")] == ["completed", "completed"]
    assert call.heard() == f"{LONG} All right."


def test_burst_that_holds_two_turns_cancels_the_reply_that_could_not_be_heard() -> None:
    call = Call(scripted(WORDS), session=VAD)
    call.append(say("Tell me", after_ms=2_000) + say("Stop"))
    call.run(10_000)
    assert [event["response"]["status"] for event in call.of("response.done")] == ["cancelled", "completed"]
    assert call.of("response.done")[0]["response"]["output"] == []
    assert call.heard() == "All right."


def test_call_that_is_made_before_the_user_speaks_stays_made() -> None:
    call = Call(scripted(WORDS), session=VAD)
    call.write("Go")
    call.run(1_000)
    call.stream(say("Stop"))
    call.run(5_000)
    assert [event["response"]["status"] for event in call.of("response.done")] == ["completed", "completed"]


@pytest.mark.behaviour("emulator-cancel")
def test_cancel_breaks_the_reply_off_and_a_new_one_can_be_asked_for() -> None:
    call = speaking()
    call.forget()
    call.send({"type": "response.cancel"})
    call.take()
    assert call.types == BROKEN_OFF
    call.write("Stop")
    call.run(10_000)
    assert call.errors == []
    assert call.heard() == "All right."


@pytest.mark.behaviour("emulator-cancel-not-active")
def test_cancel_with_nothing_to_cancel_is_an_error_in_the_words_of_the_service() -> None:
    call = Call()
    call.send({"type": "response.cancel", "event_id": "e1"})
    call.take()
    assert call.errors == [
        {
            "type": "invalid_request_error",
            "code": "response_cancel_not_active",
            "message": "Cancellation failed: no active response found",
            "event_id": "e1",
        }
    ]


def test_cancel_names_a_response() -> None:
    call = speaking()
    call.send({"type": "response.cancel", "response_id": "another"})
    call.take()
    assert call.errors[0]["code"] == "response_cancel_not_active"
    call.send({"type": "response.cancel", "response_id": call.last("response.created")["response"]["id"]})
    call.take()
    assert call.last("response.done")["response"]["status"] == "cancelled"


def test_cancel_before_the_response_is_created_creates_and_cancels_it() -> None:
    call = Call(scripted(WORDS), session=VAD)
    call.write("Tell me")
    call.send({"type": "response.cancel"})
    call.run(10_000)
    assert call.types[-2:] == ["response.created", "response.done"]
    assert call.last("response.done")["response"]["status"] == "cancelled"


@pytest.mark.behaviour("emulator-truncate")
def test_truncation_keeps_the_words_that_were_heard_by_then() -> None:
    call = speaking()
    call.send({"type": "response.cancel"})
    call.take()
    item_id = call.last("response.output_item.done")["item"]["id"]
    call.send({"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 730})
    call.take()
    cut = call.last("conversation.item.truncated")
    assert cut["transcript"] == text_until(LONG, 730).strip() == "This is a"
    assert cut["audio_end_ms"] == 730
    assert call.conversation.items[-1].text == "This is a"


def test_truncation_reckons_with_words_that_were_replaced_when_spoken() -> None:
    call = Call(scripted({"Go": "ACME is great."}), session={"replace": {"ACME": "The Ack Mee company of Ohio"}})
    call.write("Go")
    call.run(10_000)
    item = call.conversation.items[-1]
    half_ms = item.audio_bytes // 48 // 2
    call.send({"type": "conversation.item.truncate", "item_id": item.id, "content_index": 0, "audio_end_ms": half_ms})
    call.take()
    assert call.last("conversation.item.truncated")["transcript"] == "ACME"


@pytest.mark.behaviour("emulator-truncate-errors")
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"audio_end_ms": 60_000}, "invalid_value", "is already shorter than 60000ms"),
        ({"item_id": "nowhere"}, "item_not_found", "not found"),
        ({"content_index": 3}, "invalid_value", "truncating"),
        ({"audio_end_ms": None}, "missing_required_parameter", "audio_end_ms"),
        ({"audio_end_ms": -1}, "invalid_value", "audio_end_ms"),
        ({"audio_end_ms": 1.5}, "invalid_type", "an integer"),
        ({"audio_end_ms": "1"}, "invalid_type", "a string"),
    ],
)
def test_truncation_that_cannot_be_done_is_an_error(changes: dict[str, object], code: str, words: str) -> None:
    call = speaking()
    item_id = call.last("response.output_item.added")["item"]["id"]
    wish = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 100}
    call.send({**wish, **changes})
    call.take()
    assert call.errors[0]["code"] == code
    assert words in call.errors[0]["message"]
    assert "conversation.item.truncated" not in call.types


def test_message_of_the_user_cannot_be_truncated() -> None:
    call = speaking()
    wish = {"type": "conversation.item.truncate", "content_index": 0, "audio_end_ms": 0}
    call.send({**wish, "item_id": call.conversation.items[0].id})
    call.take()
    assert "only assistant messages" in call.errors[0]["message"]


def test_second_truncation_cannot_give_back_what_the_first_took() -> None:
    call = speaking()
    item_id = call.last("response.output_item.added")["item"]["id"]
    for end_ms in (600, 900):
        wish = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": end_ms}
        call.send(wish)
    call.take()
    assert call.of("conversation.item.truncated")[0]["audio_end_ms"] == 600
    assert "600ms is already shorter" in call.errors[0]["message"]


def force(text: str, **more: object) -> dict[str, object]:
    content = [{"type": "output_text", "text": text}]
    item = {"type": "force_message", "role": "assistant", "content": content, **more}
    return {"type": "conversation.item.create", "item": item}


@pytest.mark.behaviour("emulator-force-message")
def test_forced_message_is_spoken_in_a_response_of_its_own_without_being_asked_for() -> None:
    call = Call(session=VAD)
    call.forget()
    call.send(force("This call is recorded."))
    call.run(10_000)
    assert call.types[0] == "response.created"
    assert call.types[-1] == "response.done"
    assert call.heard() == "This call is recorded."
    assert "metadata" not in call.last("response.done")["response"]


def test_forced_message_waits_for_the_reply_that_runs() -> None:
    call = speaking()
    call.send(force("Over."), force("And out."))
    call.run(20_000)
    assert call.heard() == f"{LONG} Over. And out."


@pytest.mark.parametrize(("interruptible", "status"), [(True, "cancelled"), (False, "completed")])
def test_forced_message_is_broken_off_only_when_it_may_be(interruptible: bool, status: str) -> None:
    call = Call(scripted(WORDS), session=VAD)
    call.send(force(LONG, interruptible=interruptible))
    call.run(1_500)
    call.stream(say("Stop"))
    call.run(20_000)
    assert call.of("response.done")[0]["response"]["status"] == status
    assert call.of("response.done")[1]["response"]["status"] == "completed"


def test_reply_to_a_manual_turn_can_be_cancelled() -> None:
    call = Call(scripted({"Hello": LONG}), session=MANUAL)
    call.append(say("Hello"))
    call.send({"type": "input_audio_buffer.commit"})
    call.run(1_500)
    call.send({"type": "response.cancel"})
    call.run(5_000)
    assert call.last("response.done")["response"]["status"] == "cancelled"


def test_usage_of_a_cancelled_reply_counts_what_was_sent() -> None:
    call = speaking()
    call.send({"type": "response.cancel"})
    call.take()
    usage = call.last("response.done")["usage"]
    assert usage["output_audio_seconds"] == pytest.approx(1.1)
