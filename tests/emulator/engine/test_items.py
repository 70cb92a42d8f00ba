"""Items that the client makes and deletes, and bad input of every kind."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.emulator.engine.driving import MANUAL, VAD, Call, say
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator.scenario import Prompt
from xai_realtime.frames import Frame

DELETED = "conversation.item.deleted"
OPUS_48_KHZ = {"type": "audio/opus", "rate": 48_000}


def item(call: Call, **fields: Any) -> None:
    call.send({"type": "conversation.item.create", "item": fields})
    call.take()


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}], **more}


@pytest.mark.behaviour("emulator-client-ids")
def test_ids_of_the_client_are_kept() -> None:
    call = Call()
    item(call, **text("One", id="mine"))
    item(call, **text("Two"))
    one, two = call.of("conversation.item.added")
    assert one["item"]["id"] == "mine"
    assert one["previous_item_id"] is None
    assert two["previous_item_id"] == "mine"
    item(call, **text("Again", id="mine"))
    assert call.errors[0]["code"] == "item_already_exists"


def test_item_goes_where_previous_item_id_says() -> None:
    call = Call()
    for name in ("a", "c"):
        item(call, **text(name, id=name))
    call.send({"type": "conversation.item.create", "previous_item_id": "a", "item": text("b", id="b")})
    call.send({"type": "conversation.item.create", "previous_item_id": "root", "item": text("z", id="z")})
    call.send({"type": "conversation.item.create", "previous_item_id": "nowhere", "item": text("x")})
    call.take()
    assert [entry.id for entry in call.conversation.items] == ["a", "b", "c", "z"]
    assert call.of("conversation.item.added")[2]["previous_item_id"] == "a"
    assert call.of("conversation.item.added")[3]["previous_item_id"] is None
    assert call.errors[0]["code"] == "item_not_found"


def test_history_of_every_kind_is_echoed_as_it_came() -> None:
    call = Call()
    item(call, type="message", role="system", content=[{"type": "input_text", "text": "Be kind."}])
    item(call, type="message", role="assistant", content=[{"type": "output_text", "text": "Hi."}])
    item(call, type="message", role="user", content=[{"type": "input_image", "image_url": "x"}])
    item(call, type="message", role="assistant", content=[{"type": "text", "text": "Ho."}])
    contents = [event["item"]["content"] for event in call.of("conversation.item.added")]
    assert contents == [
        [{"type": "input_text", "text": "Be kind."}],
        [{"type": "output_text", "text": "Hi."}],
        [{"type": "input_image"}],
        [{"type": "text", "text": "Ho."}],
    ]
    assert call.errors == []


def test_audio_in_an_item_is_heard() -> None:
    call = Call(session=VAD)
    audio = base64.b64encode(say("Hello")).decode()
    item(call, type="message", role="user", content=[{"type": "input_audio", "audio": audio}])
    assert call.last("conversation.item.added")["item"]["content"] == [{"type": "input_audio", "transcript": "Hello"}]
    call.send({"type": "response.create"})
    call.run(10_000)
    assert call.heard() == "You said: Hello"


@pytest.mark.parametrize(
    ("audio", "heard"),
    [(silence(500, 24_000), ""), (b"\x00\x40\x00\xc0" * 24_000, "What is the weather in London?")],
)
def test_audio_in_an_item_without_audible_text_is_silence_or_the_fallback(audio: bytes, heard: str) -> None:
    call = Call()
    part = {"type": "input_audio", "audio": base64.b64encode(audio).decode()}
    item(call, type="message", role="user", content=[part, {"type": "input_audio", "transcript": "given"}])
    parts = call.last("conversation.item.added")["item"]["content"]
    assert [entry["transcript"] for entry in parts] == [heard, "given"]


@pytest.mark.behaviour("emulator-delete-receipt")
def test_deleted_item_is_gone_and_the_receipt_leaves_out_which() -> None:
    call = Call()
    item(call, **text("One", id="a"))
    call.send({"type": "conversation.item.delete", "item_id": "a"})
    call.take()
    assert call.last(DELETED)["item_id"] == ""
    call.send({"type": "conversation.item.delete", "item_id": "a"})
    item(call, **text("New", id="a"))
    assert call.errors[0]["code"] == "item_not_found"
    assert len(call.of(DELETED)) == 1
    assert len(call.of("conversation.item.added")) == 2


def test_deleted_item_is_gone_for_the_model_and_for_whoever_resumes() -> None:
    seen: list[Prompt] = []
    call = Call(lambda prompt: seen.append(prompt) or "Yes.", session={"resumption": {"enabled": True}})
    for words in ("One", "Two"):
        call.write(words, id=words)
        call.run(5_000)
    spoken = call.last("response.output_item.done")["item"]["id"]
    for item_id in ("One", spoken):
        call.send({"type": "conversation.item.delete", "item_id": item_id})
    call.write("Three")
    call.run(5_000)
    assert seen[-1].history == (("assistant", "Yes."), ("user", "Two"))
    call.engine.disconnected(call.now_ms)
    query = {"conversation_id": call.conversation.conversation_id or ""}
    again = Call(world=call.world, query=query, now_ms=call.now_ms, session={})
    assert [item.text for item in again.conversation.items] == ["Yes.", "Yes."]


BAD = [
    ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
    ({"type": "conversation.item.create", "item": "x"}, "invalid_type", "item"),
    ({"type": "conversation.item.create", "item": {}}, "missing_required_parameter", "item.type"),
    ({"type": "conversation.item.create", "item": {"type": "poem"}}, "invalid_value", "item.type"),
    ({"type": "conversation.item.create", "item": {"type": "message", "role": "king"}}, "invalid_value", "item.role"),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": "x"}},
        "invalid_type",
        "item.content",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": ["x"]}},
        "invalid_type",
        "item.content[0]",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "content": [{"type": "text", "text": 1}]}},
        "invalid_type",
        "item.content[0].text",
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "function_call_output", "output": "x"}},
        "missing_required_parameter",
        "item.call_id",
    ),
    ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    ({"type": "session.update", "session": {"instructions": 5}}, "invalid_type", "session.instructions"),
    ({"type": "session.update", "session": {"tools": [{"type": "function"}]}}, "missing_required_parameter", None),
    ({"type": "session.update", "session": {"tools": {}}}, "invalid_type", "session.tools"),
    ({"type": "session.update", "session": {"modalities": [1]}}, "invalid_type", "session.modalities[0]"),
    ({"type": "session.update", "session": {"modalities": "text"}}, "invalid_type", "session.modalities"),
    ({"type": "session.update", "session": {"resumption": {"enabled": 1}}}, "invalid_type", None),
    ({"type": "session.update", "session": {"reasoning": {"effort": "x"}}}, "invalid_value", None),
    ({"type": "session.update", "session": {"turn_detection": {"type": "psychic"}}}, "invalid_value", None),
    (
        {"type": "session.update", "session": {"turn_detection": {"type": "server_vad", "threshold": 3}}},
        "invalid_value",
        "session.turn_detection.threshold",
    ),
    (
        {"type": "session.update", "session": {"turn_detection": {"type": "server_vad", "silence_duration_ms": True}}},
        "invalid_type",
        "session.turn_detection.silence_duration_ms",
    ),
    (
        {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 12_345}}}}},
        "invalid_audio_format",
        "session.audio.input.format",
    ),
    (
        {"type": "session.update", "session": {"audio": {"output": {"format": OPUS_48_KHZ}}}},
        "invalid_audio_format",
        "session.audio.output.format",
    ),
    (
        {"type": "session.update", "session": {"audio": {"output": {"transport": "pigeon"}}}},
        "invalid_value",
        "session.audio.output.transport",
    ),
    ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "@@@"}, "invalid_audio_format", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 5}, "invalid_type", "audio"),
    ({"type": "response.create", "response": []}, "invalid_type", "response"),
    ({"type": "response.cancel", "response_id": 1}, "invalid_type", "response_id"),
    ({"type": "conversation.item.retrieve", "item_id": "x"}, "unknown_event_type", "type"),
    ({"type": "x" * 500}, "unknown_event_type", "type"),
    ({"type": 5}, "missing_required_parameter", "type"),
    ({}, "missing_required_parameter", "type"),
]


@pytest.mark.behaviour("emulator-bad-input")
@pytest.mark.parametrize(("event", "code", "param"), BAD, ids=lambda value: str(value)[:60])
def test_bad_event_is_an_error_that_names_the_field_and_the_event(event: Any, code: str, param: str | None) -> None:
    call = Call(session=VAD)
    call.forget()
    call.send({**event, "event_id": "mine"})
    call.take()
    assert call.types == ["error"]
    error = call.errors[0]
    assert error["code"] == code
    assert error["event_id"] == "mine"
    assert error["type"] in ("invalid_request_error", "invalid_event")
    assert len(error["message"]) < 300
    if param is not None:
        assert error["param"] == param


def test_update_that_is_refused_changes_nothing() -> None:
    call = Call(session={**VAD, "instructions": "Old."})
    bad = {"instructions": "New.", "audio": {"input": {"format": {"rate": 1}}}}
    call.send({"type": "session.update", "session": bad}, {"type": "session.update", "session": {}})
    call.take()
    assert call.last("session.updated")["session"]["instructions"] == "Old."


@pytest.mark.behaviour("emulator-malformed-frames")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'"x"',
        b"\xff\xfe",
        b'{"type": NaN}',
        b"[" * 100_000,
        b'{"type": "\\ud800"}',
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_malformed_message_is_an_invalid_event_and_the_session_goes_on(data: bytes) -> None:
    call = Call(session=VAD)
    call.forget()
    call.send(Frame(data))
    call.write("Hello")
    call.run(5_000)
    assert call.errors[0]["type"] == "invalid_event"
    assert "event_id" not in call.errors[0]
    assert call.heard() == "You said: Hello"


@pytest.mark.parametrize("is_text", [True, False])
def test_message_over_the_limit_is_an_error(is_text: bool) -> None:
    call = Call(max_message_bytes=1_000)
    call.send(Frame(b"x" * 1_001, is_text=is_text))
    call.take()
    assert call.errors[0]["code"] == "message_too_large"
    assert "1000 bytes" in call.errors[0]["message"]


def test_audio_before_any_settings_waits_for_its_commit() -> None:
    call = Call()
    call.append(speak("Hello"))
    call.run(5_000)
    assert call.types == ["session.created", "conversation.created", "ping"]
    call.send({"type": "input_audio_buffer.commit"})
    call.run(5_000)
    assert call.heard() == "You said: Hello"


def test_audio_cut_in_the_middle_of_samples_is_put_together() -> None:
    call = Call(session=VAD)
    audio = say("Hello")
    for at in range(0, len(audio), 4_801):
        call.append(audio[at : at + 4_801])
    call.run(5_000)
    assert call.heard() == "You said: Hello"
    assert call.errors == []


def test_commit_of_half_a_sample_is_an_error_and_the_rest_is_answered() -> None:
    call = Call(session=MANUAL)
    call.append(say("Hello") + b"\x00")
    call.send({"type": "input_audio_buffer.commit"})
    call.run(5_000)
    assert call.errors[0]["code"] == "invalid_audio_format"
    assert call.heard() == "You said: Hello"


def test_audio_of_another_rate_is_not_understood() -> None:
    call = Call(session=VAD)
    call.append(say("Hello", rate_hz=16_000))
    call.run(5_000)
    assert call.heard() == "You said: What is the weather in London?"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
]
FIELDS = ["session", "audio", "item", "item_id", "content_index", "audio_end_ms", "response", "response_id"]
INNER = ["type", "role", "content", "turn_detection", "audio", "tools", "id", "call_id", "text", "format", "metadata"]
PARTS = st.dictionaries(st.sampled_from(INNER), JSON | st.sampled_from(["message", "server_vad", "function"]))
EVENTS = st.builds(
    lambda name, fields: {"type": name, **fields},
    st.sampled_from(TYPES),
    st.dictionaries(st.sampled_from(FIELDS), JSON | PARTS, max_size=4),
)


@given(st.lists(EVENTS.map(lambda event: json.dumps(event).encode()) | st.binary(max_size=40), max_size=8))
@settings(max_examples=60, deadline=None)
def test_engine_never_raises_whatever_comes(messages: list[bytes]) -> None:
    call = Call(session=VAD, pace="instant")
    for data in messages:
        call.send(Frame(data, is_text=True), Frame(data, is_text=False))
        call.take()
    call.run(2_000)
    assert call.hangup is None
    call.forget()
    call.send({"type": "session.update", "session": {}})
    call.take()
    assert "session.updated" in call.types
