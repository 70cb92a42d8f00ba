"""The chat spec and the classes printed from it: whole, with evidence, and lenient."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from tests.generate.vectors import least, most, wrong
from tests.spec.wire import SPEC, events, listed, load, page, properties, undeclared
from xai_realtime.codec import chat_codec
from xai_realtime.events import InvalidEvent, chat
from xai_realtime.events._base import ServerModel
from xai_realtime.events._chat import ChatStreamError
from xai_realtime.generate.document import read_spec
from xai_realtime.generate.model import MISSING, Event, Property, Spec

PATH = SPEC.with_name("chat.yaml")
EXAMPLES = pytest.mark.behaviour("chat-examples-decode")
FACTS = pytest.mark.behaviour("chat-spec-facts")


@cache
def spec() -> Spec:
    return read_spec(PATH, require_evidence=True)


FIELDS = [
    (name, prop)
    for name, schema in spec().reachable("server").items()
    for prop in schema.properties
    if wrong(spec(), prop.schema) is not MISSING
]


def named(value: Any) -> str:
    return str(getattr(value, "name", value))


@pytest.mark.behaviour("chat-spec-evidence")
def test_chat_spec_names_evidence_source_and_meaning_of_everything() -> None:
    document = load(PATH)
    found = [*properties(document["components"]), *properties(document["channels"])]
    assert len(found) >= 80
    for place, schema in [*found, *document["components"]["messages"].items()]:
        assert schema["x-evidence"] in ("documented", "observed", "reported"), place
        assert schema["x-source"].strip(), place
        assert schema.get("description") or schema.get("summary"), place
    for word in ("/work", "/home", "/tmp", "localhost"):
        assert word not in PATH.read_text(encoding="utf-8")


@FACTS
def test_chat_spec_has_these_messages_and_no_other() -> None:
    messages = {name: message["x-evidence"] for name, message in load(PATH)["components"]["messages"].items()}
    documented = ("ChatCompletion", "ChatCompletionChunk", "DeferredCompletion", "Model", "ModelList")
    lists = ("LanguageModel", "LanguageModelList")
    assert messages == dict.fromkeys((*documented, *lists), "documented") | {"ChatError": "observed"}
    assert {event.name: event.type for event in spec().events} == {
        found.__name__: name for name, found in chat.SERVER_EVENTS.items()
    }
    assert (chat.CLIENT_EVENTS, chat.BASE64_FIELDS, chat.SERVICE) == ({}, {}, "chat")


@FACTS
def test_chat_spec_has_these_addresses() -> None:
    assert [channel["address"] for channel in load(PATH)["channels"].values()] == [
        "/v1/chat/completions",
        "/v1/chat/deferred-completion/{request_id}",
        "/v1/models",
        "/v1/language-models",
    ]


HEAD = "id object created model choices usage system_fingerprint citations service_tier"
INVENTORY = {
    "ChatCompletion": f"{HEAD} output_files",
    "ChatCompletionChunk": HEAD,
    "Choice": "index message finish_reason logprobs",
    "ChunkChoice": "index delta finish_reason logprobs",
    "Message": "role content reasoning_content refusal tool_calls",
    "Delta": "role content reasoning_content refusal tool_calls",
    "ToolCall": "id index type function",
    "FunctionCall": "name arguments",
    "Usage": "prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details"
    " num_sources_used cost_in_usd_ticks",
    "PromptTokensDetails": "text_tokens audio_tokens image_tokens cached_tokens",
    "CompletionTokensDetails": "reasoning_tokens audio_tokens accepted_prediction_tokens rejected_prediction_tokens",
    "DeferredCompletion": "request_id",
    "ChatError": "code error type message",
    "Model": "id object created owned_by",
    "ModelList": "object data",
    "LanguageModel": "id fingerprint created object owned_by version input_modalities output_modalities"
    " prompt_text_token_price cached_prompt_text_token_price prompt_image_token_price completion_text_token_price"
    " search_price aliases",
    "LanguageModelList": "models",
}
REQUEST = (
    "model messages temperature top_p n max_completion_tokens max_tokens stop presence_penalty frequency_penalty"
    " logit_bias logprobs top_logprobs seed user stream stream_options tools tool_choice parallel_tool_calls"
    " response_format reasoning_effort deferred search_parameters web_search_options service_tier prompt_cache_key"
)


@FACTS
def test_chat_spec_declares_every_field_that_is_known() -> None:
    classes = {name: schema for name, schema in spec().definitions.items() if schema.kind == "object"}
    assert {name: {prop.name for prop in schema.properties} for name, schema in classes.items()} == {
        name: set(fields.split()) for name, fields in INVENTORY.items()
    }
    for name, fields in INVENTORY.items():
        assert set(getattr(chat, name).model_fields) == set(fields.split())


@FACTS
def test_chat_spec_declares_every_field_of_a_request_with_its_range() -> None:
    request = load(PATH)["channels"]["chat"]["x-request"]
    assert set(request["properties"]) == set(REQUEST.split())
    assert request["required"] == ["model", "messages"]
    ranges = {
        name: [schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum", "maxItems")]
        for name, schema in request["properties"].items()
        if {"minimum", "exclusiveMinimum", "maximum", "maxItems"} & schema.keys()
    }
    assert ranges == {
        "temperature": [0, None, 2, None],
        "top_p": [None, 0, 1, None],
        "n": [1, None, None, None],
        "stop": [None, None, None, 4],
        "presence_penalty": [-2, None, 2, None],
        "frequency_penalty": [-2, None, 2, None],
        "top_logprobs": [0, None, 8, None],
        "tools": [None, None, None, 128],
    }


@pytest.mark.behaviour("chat-lenient-chunks")
def test_only_what_tells_one_thing_from_another_is_required() -> None:
    required = {
        f"{name}.{prop.name}"
        for name, schema in spec().definitions.items()
        for prop in schema.properties
        if prop.is_required
    }
    assert required == {"DeferredCompletion.request_id", "Model.id", "LanguageModel.id"}
    values = {name: schema.values for name, schema in spec().definitions.items() if schema.kind == "enum"}
    assert values == {
        "Role": ("system", "user", "assistant", "tool", "function"),
        "FinishReason": ("stop", "length", "tool_calls", "content_filter", "end_turn"),
        "ServiceTier": ("default", "priority"),
    }


def test_wire_page_lists_every_chat_message_with_its_evidence() -> None:
    messages = load(PATH)["components"]["messages"]
    assert listed(page()[3]) == [(message["name"], name, message["x-evidence"]) for name, message in messages.items()]


@pytest.mark.parametrize("event", spec().events, ids=named)
@pytest.mark.parametrize("make", [least, most], ids=["minimal", "maximal"])
def test_chat_message_survives_parse_and_dump_when_made_from_the_spec(event: Event, make: Any) -> None:
    value = make(spec(), spec().definitions[event.name])
    found = chat.SERVER_EVENTS[event.type].model_validate(value)
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == value
    assert not found.model_extra


@pytest.mark.parametrize("name, prop", FIELDS, ids=named)
def test_chat_field_is_refused_when_its_json_type_is_wrong_and_may_be_null(name: str, prop: Property) -> None:
    model: type[ServerModel] = getattr(chat, name)
    value = least(spec(), spec().definitions[name])
    with pytest.raises(ValidationError) as caught:
        model.model_validate({**value, prop.name: wrong(spec(), prop.schema)})
    assert caught.value.errors()[0]["loc"][0] == prop.name
    if not prop.is_required:
        assert getattr(model.model_validate({**value, prop.name: None}), prop.name) is None


# By what was captured and documented of the wire.

TOP = {
    "id": "a3d1008e-4544-40d4-d075-11527e794e4a",
    "object": "chat.completion.chunk",
    "created": 1770000000,
    "model": "grok-3-mini",
    "system_fingerprint": "fp_156d35dcaa",
}
CALL = {
    "id": "call_35671247",
    "type": "function",
    "index": 0,
    "function": {"name": "weather", "arguments": '{"location":"San Francisco"}'},
}
COUNTED = {
    "prompt_tokens": 291,
    "completion_tokens": 26,
    "total_tokens": 506,
    "prompt_tokens_details": {"text_tokens": 291, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 290},
    "completion_tokens_details": {
        "reasoning_tokens": 189,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
    "num_sources_used": 0,
    "cost_in_usd_ticks": 1_000,
}
CHUNKS: list[dict[str, Any]] = [
    {**TOP, "choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "First"}}]},
    {**TOP, "choices": [{"index": 0, "delta": {"content": "Hello"}}], "service_tier": "default"},
    {**TOP, "choices": [{"index": 0, "delta": {"content": "!"}}], "citations": ["https://a.example"]},
    {**TOP, "choices": [{"index": 0, "delta": {"tool_calls": [CALL, {**CALL, "index": 1}]}}]},
    {**TOP, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {**TOP, "choices": [], "usage": COUNTED},
    {
        **TOP,
        "model": "grok-beta",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "x"}, "finish_reason": None}],
        "usage": {"prompt_tokens": 31, "completion_tokens": 3, "total_tokens": 34},
    },
]
BODIES: list[tuple[type[ServerModel], dict[str, Any]]] = [
    (
        chat.ChatCompletion,
        {
            **TOP,
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "",
                        "reasoning_content": "First",
                        "refusal": None,
                        "tool_calls": [CALL],
                    },
                    "finish_reason": "tool_calls",
                    "logprobs": None,
                }
            ],
            "usage": COUNTED,
            "citations": ["https://a.example"],
            "output_files": [],
            "service_tier": "priority",
        },
    ),
    (chat.DeferredCompletion, {"request_id": "a3d1008e"}),
    (chat.ModelList, {"object": "list", "data": [{"id": "g", "created": 1, "object": "model", "owned_by": "xai"}]}),
    (
        chat.LanguageModelList,
        {
            "models": [
                {
                    "id": "grok-4.6",
                    "fingerprint": "fp_1",
                    "created": 1,
                    "object": "model",
                    "owned_by": "xai",
                    "version": "1.0",
                    "input_modalities": ["text", "image"],
                    "output_modalities": ["text"],
                    "prompt_text_token_price": 20000,
                    "cached_prompt_text_token_price": 5000,
                    "prompt_image_token_price": 20000,
                    "completion_text_token_price": 60000,
                    "search_price": 0,
                    "aliases": ["grok-latest"],
                }
            ]
        },
    ),
]


@EXAMPLES
@pytest.mark.parametrize("value", CHUNKS, ids=lambda value: str(sorted(value)))
def test_captured_chunk_is_read_whole(value: dict[str, Any]) -> None:
    found = chat_codec.decode_chunk(json.dumps(value).encode())
    assert isinstance(found, chat.ChatCompletionChunk)
    assert found.model_dump(mode="json", exclude_unset=True) == value
    document = load(PATH)
    assert undeclared(document, document["components"]["schemas"]["ChatCompletionChunk"], value) == []


@EXAMPLES
@pytest.mark.parametrize("expected, value", BODIES, ids=lambda value: getattr(value, "__name__", ""))
def test_captured_body_is_read_whole(expected: type[ServerModel], value: dict[str, Any]) -> None:
    found = chat_codec.decode(json.dumps(value).encode(), expected)
    assert type(found) is expected and not isinstance(found, ChatStreamError | InvalidEvent)
    assert found.model_dump(mode="json", exclude_unset=True) == value
    document = load(PATH)
    assert undeclared(document, document["components"]["schemas"][expected.__name__], value) == []


def test_messages_of_chat_are_all_sent_by_the_service() -> None:
    document = load(PATH)
    assert {operation["action"] for operation in document["operations"].values()} == {"receive"}
    assert document["x-tag"] == "none"
    with pytest.raises(AssertionError):
        events(document, "receive")  # One message answers at two addresses.
