"""What a chat service sends is always a value: a chunk, an error, the end, or what cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.codec import ChatCodec, Codec, chat_codec
from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import InvalidEvent, chat
from xai_realtime.events._chat import DONE, ChatStreamError

VALUES = pytest.mark.behaviour("chat-everything-is-a-value")
LENIENT = pytest.mark.behaviour("chat-lenient-chunks")
ERRORS = pytest.mark.behaviour("chat-errors-in-any-form")


def decoded(value: Any) -> Any:
    return chat_codec.decode_chunk(value if isinstance(value, bytes) else json.dumps(value).encode())


@VALUES
@pytest.mark.parametrize("data", [b"[DONE]", b" [DONE]", b"[DONE]\n"])
def test_mark_of_the_end_is_the_end(data: bytes) -> None:
    assert decoded(data) is DONE


@LENIENT
@pytest.mark.parametrize(
    "value",
    [
        {"choices": None},
        {"choices": []},
        {"choices": [], "usage": {}},
        {"choices": [], "usage": None},
        {"choices": [{}]},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [{"index": None, "delta": {"role": "narrator", "content": None}}]},
        {"choices": [{"delta": {"content": ""}, "finish_reason": "never_heard_of"}], "service_tier": "gold"},
        {"choices": [{"delta": {"tool_calls": [{}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": None}, {"function": {"name": None}}]}}]},
        {"choices": [{"delta": {"content": "NaN and Infinity"}}]},
        {"id": "x", "error": None},
        {"usage": {"prompt_tokens": 1, "prompt_tokens_details": None}},
        {"object": "chat.completion.chunk", "new": {"field": [1]}, "choices": [{"delta": {"newer": 1}}]},
        {"citations": [{"url": "x"}, "y"], "choices": []},
    ],
)
def test_chunk_is_read_when_parts_of_it_are_missing_null_empty_or_new(value: dict[str, Any]) -> None:
    found = decoded(value)
    assert type(found) is chat.ChatCompletionChunk
    assert found.model_dump(exclude_unset=True) == value


@ERRORS
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"code": "invalid-argument", "error": "No."}, ("invalid-argument", "No.", None)),
        ({"code": 429, "error": "Slow down."}, ("429", "Slow down.", None)),
        ({"error": "No."}, (None, "No.", None)),
        ({"error": {"message": "No.", "type": "t", "code": "c", "param": None}}, ("c", "No.", "t")),
        ({"error": {"code": None}, "message": "No.", "code": "c"}, ("c", "No.", None)),
        ({"error": {}, "type": "error"}, (None, None, None)),
        ({"type": "error", "code": "c", "message": "No.", "sequence_number": 3}, ("c", "No.", None)),
        ({"type": "error", "error": {"message": "No."}}, (None, "No.", None)),
        ({"detail": "No."}, (None, "No.", None)),
        ({"code": "c", "message": "No."}, ("c", "No.", None)),
        ({"choices": [{"index": "x"}], "error": "No."}, (None, "No.", None)),
        ({"id": "a", "choices": [{"delta": {}}], "error": {"message": "No."}}, (None, "No.", None)),
    ],
)
def test_error_is_read_in_whatever_form_it_comes(value: dict[str, Any], said: tuple[str | None, ...]) -> None:
    for found in (decoded(value), chat_codec.decode(json.dumps(value).encode(), chat.ChatCompletion)):
        assert isinstance(found, ChatStreamError)
        assert (found.code, found.message, found.type) == said
        assert found.raw == json.dumps(value).encode()


def test_error_says_its_code_and_text_and_shows_no_bytes() -> None:
    assert str(ChatStreamError("c", "No.", raw=b"CANARY")) == "c: No."
    assert str(ChatStreamError(type="t")) == "t"
    assert str(ChatStreamError()) == "an error without a text"
    assert "CANARY" not in repr(ChatStreamError("c", "No.", raw=b"CANARY"))
    long = decoded({"error": "x" * 5000})
    assert len(long.message) == 1000


@VALUES
@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"", ""),
        (b"not json", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'"[DONE]"', ""),
        (b"{}", ""),
        (b'{"what": 1}', ""),
        (b'{"id": "a"', ""),
        (b"\xff", ""),
        (b'{"id": "\\ud800"}', ""),
        (b'{"choices": 5}', "choices"),
        (b'{"choices": [{"delta": {"content": ["x"]}}]}', "choices[0].delta.content"),
        (b'{"choices": [{"index": 0, "logprobs": NaN}]}', ""),
        (b'{"choices": [{"index": 0, "what": -Infinity}]}', ""),
        (b'{"id": "a", "what": NaN}', ""),
        (b'{"usage": {"prompt_tokens": 1.5}}', "usage.prompt_tokens"),
        (b'{"x":' * 1000, ""),
    ],
)
def test_data_that_is_neither_chunk_nor_error_is_an_invalid_event(data: bytes, path: str) -> None:
    found = decoded(data)
    assert isinstance(found, InvalidEvent)
    assert (found.path, found.raw, found.size_bytes) == (path, data, len(data))
    assert found.reason


@VALUES
def test_data_over_the_limit_is_an_invalid_event_that_keeps_its_beginning() -> None:
    codec = ChatCodec(max_message_bytes=100_000)
    for found in (codec.decode_chunk(b" " * 100_001), codec.decode(b" " * 100_001, chat.ModelList)):
        assert isinstance(found, InvalidEvent)
        assert (len(found.raw), found.size_bytes) == (MAX_ERROR_PAYLOAD_BYTES, 100_001)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["choices", "delta", "usage", "error", "code", "tool_calls", "index"]), inner)
    ),
    max_leaves=8,
)


@VALUES
@settings(max_examples=120)
@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_decoding_chat_never_raises(data: bytes) -> None:
    chunk = chat_codec.decode_chunk(data)
    assert chunk is DONE or isinstance(chunk, chat.ChatCompletionChunk | ChatStreamError | InvalidEvent)
    for expected in chat.SERVER_EVENTS.values():
        assert isinstance(chat_codec.decode(data, expected), expected | ChatStreamError | InvalidEvent)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"choices": [{"index": 0, "message": {"role": "assistant", "content": None}}]}, chat.ChatCompletion),
        ({"request_id": "r"}, chat.DeferredCompletion),
        ({"id": "grok-4.6", "object": "model", "created": 1, "owned_by": "xai"}, chat.Model),
        ({"object": "list", "data": [{"id": "grok-4.6"}]}, chat.ModelList),
        ({}, chat.ModelList),
        ({"id": "grok-4.6", "aliases": ["grok-latest"], "prompt_text_token_price": 20000}, chat.LanguageModel),
        ({"models": []}, chat.LanguageModelList),
    ],
)
def test_whole_body_is_read_as_what_was_expected(value: dict[str, Any], expected: Any) -> None:
    found: Any = chat_codec.decode(json.dumps(value).encode(), expected)
    assert type(found) is expected
    assert found.model_dump(exclude_unset=True) == value


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"{}", chat.ChatCompletion), (b"{}", chat.Model), (b'{"id": "a", "x": NaN}', chat.Model), (b"", chat.ModelList)],
)
def test_body_that_is_not_what_was_expected_is_an_invalid_event(data: bytes, expected: Any) -> None:
    assert isinstance(chat_codec.decode(data, expected), InvalidEvent)


def test_codec_of_sockets_refuses_a_module_whose_messages_have_no_type() -> None:
    with pytest.raises(ConfigurationError, match="have no type"):
        Codec(chat)
