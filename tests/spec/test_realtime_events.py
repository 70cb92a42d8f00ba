"""The generated realtime events read what was recorded whole and say what the wire allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.spec.wire import events, load, recorded
from xai_realtime.events.realtime import CLIENT_EVENTS, SERVER_EVENTS, ClientEvent, ServerEvent

CLIENT: TypeAdapter[Any] = TypeAdapter(ClientEvent)
SERVER: TypeAdapter[Any] = TypeAdapter(ServerEvent)


def server(type_: str, **fields: Any) -> Any:
    return SERVER.validate_json(json.dumps({"type": type_, **fields}))


def client(type_: str, **fields: Any) -> Any:
    return CLIENT.validate_json(json.dumps({"type": type_, **fields}))


def session(**settings: Any) -> Any:
    return client("session.update", session=settings).to_wire()["session"]


def extras(value: Any, path: str = "$") -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from extras(inner, f"{path}[]")


def test_generated_events_are_those_of_the_spec_when_compared() -> None:
    spec = load()
    assert set(CLIENT_EVENTS) == set(events(spec, "send"))
    assert set(SERVER_EVENTS) == set(events(spec, "receive"))
    for name, message in spec["components"]["messages"].items():
        table = CLIENT_EVENTS if message["name"] in CLIENT_EVENTS else SERVER_EVENTS
        assert table[message["name"]].__name__ == name


@pytest.mark.behaviour("spec-recordings")
def test_server_frames_leave_no_extras_when_the_recordings_are_read(recordings: Callable[[], list[Path]]) -> None:
    frames = [(path.name, frame) for path in recordings() for frame in recorded(path, "received")]
    assert len(frames) > 50
    for name, frame in frames:
        event = SERVER.validate_json(json.dumps(frame))
        assert list(extras(event)) == [], f"{name} {frame['type']}"
        assert event.model_dump(mode="json", by_alias=True, exclude_unset=True) == frame


@pytest.mark.behaviour("spec-client-round-trip")
def test_client_frames_go_out_as_they_came_when_the_recordings_are_read(recordings: Callable[[], list[Path]]) -> None:
    frames = [frame for path in recordings() for frame in recorded(path, "sent")]
    assert len(frames) > 50
    for frame in frames:
        event = CLIENT.validate_json(json.dumps(frame))
        assert event.model_dump(mode="json", by_alias=True, exclude_unset=True) == frame
        assert event.to_wire() == frame


def test_extras_are_found_when_they_lie_deep() -> None:
    event = server("conversation.item.added", item={"id": "i", "type": "message", "content": [{"type": "x", "y": 1}]})
    assert list(extras(event)) == ["$.item.content[].y"]


@pytest.mark.behaviour("spec-session-placeholders")
def test_session_updated_is_read_when_it_holds_placeholders_only() -> None:
    event = server(
        "session.updated",
        session={
            "instructions": "",
            "turn_detection": {},
            "model": "grok-voice-latest",
            "modalities": ["text"],
            "tool_choice": "not implemented",
            "temperature": -1,
            "max_response_output_tokens": "inf",
            "input_audio_format": "not specified",
            "output_audio_format": "not specified",
            "input_audio_transcription": None,
            "keep_context": False,
            "enable_phonetic_spelling": False,
            "enable_noise_suppression": False,
        },
    )
    assert list(extras(event)) == []
    assert event.session.id is event.session.voice is event.session.audio is None
    assert event.session.max_response_output_tokens == "inf"
    assert event.session.temperature == -1
    assert event.session.input_audio_transcription is None


def test_session_keeps_a_token_limit_when_it_is_a_number() -> None:
    assert server("session.updated", session={"max_response_output_tokens": 7}).session.max_response_output_tokens == 7


@pytest.mark.behaviour("spec-manual-turns")
@pytest.mark.parametrize("given", [None, {"type": None}, {}])
def test_manual_turns_are_said_and_read_when_spelled_in_any_way(given: Any) -> None:
    assert session(turn_detection=given) == {"turn_detection": given}
    found = server("session.updated", session={"turn_detection": given}).session.turn_detection
    assert found is None if given is None else found.type is None


@pytest.mark.behaviour("spec-status-details")
@pytest.mark.parametrize("details", ["unimplemented", {"type": "failed", "error": {"code": "x"}}, None])
def test_response_is_read_when_status_details_are_text_or_object(details: Any) -> None:
    event = server("response.done", response={"id": "r", "status": "failed", "status_details": details})
    assert event.response.status_details == details


@pytest.mark.behaviour("spec-usage")
def test_usage_is_unknown_when_it_is_empty_or_missing() -> None:
    event = server("response.done", response={"id": "r", "usage": {}}, usage={"input_tokens": 0})
    assert (event.usage.input_tokens, event.usage.output_tokens, event.usage.billable_audio_seconds) == (0, None, None)
    assert event.response.usage.total_tokens is None
    assert server("response.done", response={"id": "r"}).usage is None
    assert server("response.done", response={"id": "r", "usage": {"total_tokens": 7}}).response.usage.total_tokens == 7


@pytest.mark.behaviour("spec-error-forms")
def test_error_is_read_when_nested_or_flat() -> None:
    nested = server("error", error={"type": "invalid_event", "code": "item_not_found", "message": "m", "event_id": "e"})
    assert (nested.error.type, nested.error.code, nested.error.event_id) == ("invalid_event", "item_not_found", "e")
    flat = server("error", error="bad", code="c", message="m")
    assert (flat.error, flat.code, flat.message) == ("bad", "c", "m")
    assert server("error", code="c", message="m").error is None


@pytest.mark.behaviour("spec-tool-forms")
def test_function_tools_pass_when_flat_or_nested() -> None:
    flat = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    nested = {"type": "function", "function": {"name": "f", "description": "d"}}
    assert session(tools=[flat, nested]) == {"tools": [flat, nested]}
    first, second = server("session.updated", session={"tools": [flat, nested]}).session.tools
    assert (first.name, second.function.name) == ("f", "f")


@pytest.mark.behaviour("spec-tool-forms")
@pytest.mark.parametrize(
    "tool", [{"type": "function"}, {"type": "function", "function": {}}, {"type": "mcp"}, {"type": "file_search"}, {}]
)
def test_tool_is_refused_when_it_says_not_what_it_is(tool: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        session(tools=[tool])


def test_server_tools_pass_when_every_field_is_given() -> None:
    tools = [
        {"type": "web_search"},
        {"type": "x_search", "allowed_x_handles": ["xai"]},
        {"type": "file_search", "vector_store_ids": ["c"], "max_num_results": 3},
        {
            "type": "mcp",
            "server_url": "https://example.com/mcp",
            "server_label": "example",
            "server_description": "d",
            "allowed_tools": ["t"],
            "authorization": "a",
            "headers": {"h": "v"},
        },
    ]
    assert session(tools=tools) == {"tools": tools}
    assert list(extras(server("session.updated", session={"tools": tools}))) == []


@pytest.mark.behaviour("spec-tools-removed")
def test_tools_are_taken_away_when_the_list_is_empty() -> None:
    assert session(tools=[]) == {"tools": []}


@pytest.mark.behaviour("spec-empty-deleted-id")
def test_deleted_item_is_read_when_its_id_is_empty() -> None:
    assert server("conversation.item.deleted", item_id="", previous_item_id=None).item_id == ""


@pytest.mark.behaviour("spec-unknown-values")
def test_server_values_pass_when_the_spec_does_not_know_them() -> None:
    item = {"id": "i", "type": "web_search_call", "status": "new", "role": "critic", "object": "o"}
    event = server("response.done", response={"id": "r", "status": "paused", "output": [item]})
    assert (event.response.status, event.response.output[0].type) == ("paused", "web_search_call")
    assert server("session.created", session={"voice": "xai_ara", "reasoning": {"effort": "low"}}).session.voice
    assert server("error", error={"type": "server_error"}).error.type == "server_error"


@pytest.mark.behaviour("spec-client-limits")
@pytest.mark.parametrize(
    "settings",
    [
        {"turn_detection": {"type": "semantic_vad"}},
        {"turn_detection": {"threshold": 0.05}},
        {"turn_detection": {"threshold": 0.95}},
        {"turn_detection": {"silence_duration_ms": 10001}},
        {"turn_detection": {"prefix_padding_ms": -1}},
        {"turn_detection": {"idle_timeout_ms": -1}},
        {"turn_detection": {"threshold": None}},
        {"reasoning": {"effort": "low"}},
        {"audio": {"input": {"format": {"type": "audio/mp3"}}}},
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 21050}}}},
        {"audio": {"input": {"transport": "xml"}}},
        {"audio": {"input": {"transcription": {"keyterms": ["k"] * 101}}}},
        {"audio": {"input": {"transcription": {"keyterms": ["k" * 51]}}}},
        {"audio": {"output": {"speed": 0.6}}},
        {"audio": {"output": {"speed": 1.6}}},
        {"tools": None},
        {"replace": {"a": 1}},
        {"voice": None},
    ],
)
def test_session_setting_is_refused_when_the_wire_does_not_allow_it(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        session(**settings)


def test_session_settings_go_out_when_they_lie_at_their_limits() -> None:
    settings: dict[str, Any] = {
        "instructions": "",
        "model": "grok-voice-latest",
        "voice": "eve",
        "reasoning": {"effort": "none"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.1,
            "silence_duration_ms": 10000,
            "prefix_padding_ms": 0,
            "idle_timeout_ms": None,
        },
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu", "rate": 8000},
                "transport": "binary",
                "transcription": {"model": "grok-transcribe", "language_hint": "es-MX", "keyterms": ["k" * 50] * 100},
            },
            "output": {"format": {"type": "audio/opus", "rate": 24000}, "transport": "json", "speed": 1.5},
        },
        "resumption": {"enabled": True},
        "replace": {"xAI": "ex A I"},
    }
    assert session(**settings) == settings
    assert list(extras(server("session.updated", session=settings))) == []


@pytest.mark.behaviour("spec-client-shapes")
@pytest.mark.parametrize(
    "settings",
    [
        {"type": "realtime"},
        {"tool_choice": "auto"},
        {"parallel_tool_calls": True},
        {"output_modalities": ["audio"]},
        {"modalities": ["text"]},
        {"input_audio_format": "pcm16"},
        {"audio": {"output": {"voice": "eve"}}},
        {"audio": {"input": {"turn_detection": None}}},
    ],
)
def test_session_setting_is_refused_when_only_openai_documents_it(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        session(**settings)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "id": "i", "role": "system", "content": [{"type": "input_text", "text": "t"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAA="}]},
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "t"}]},
        {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
        {
            "type": "force_message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "t"}],
            "interruptible": False,
        },
    ],
)
def test_item_goes_out_as_given_when_its_kind_is_documented(item: dict[str, Any]) -> None:
    frame = {"type": "conversation.item.create", "item": item, "previous_item_id": None}
    assert CLIENT.validate_json(json.dumps(frame)).to_wire() == frame


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "tool", "content": []},
        {"type": "message", "role": "user"},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "u"}]},
        {"type": "function_call_output", "output": "o"},
        {"type": "force_message", "role": "user", "content": []},
        {"type": "mcp_call", "name": "n"},
    ],
)
def test_item_is_refused_when_the_wire_does_not_know_it(item: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        client("conversation.item.create", item=item)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "input_audio_buffer.append"},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0},
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": -1},
        {"type": "conversation.item.delete"},
        {"type": "response.create", "response": {"modalities": ["video"]}},
        {"type": "response.create", "response": {"metadata": {str(n): "" for n in range(17)}}},
        {"type": "response.cancel", "response_id": None},
    ],
)
def test_client_event_is_refused_when_a_part_is_missing_or_wrong(frame: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CLIENT.validate_json(json.dumps(frame))


@pytest.mark.behaviour("spec-audio-fields")
def test_audio_is_decoded_when_the_property_is_read() -> None:
    delta = server("response.output_audio.delta", response_id="r", item_id="i", delta="AAEC")
    assert delta.audio == b"\x00\x01\x02"
    assert client("input_audio_buffer.append", audio="AAEC").decoded_audio == b"\x00\x01\x02"
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAEC"}]}
    assert client("conversation.item.create", item=item).item.content[0].decoded_audio == b"\x00\x01\x02"
