"""What an error event of the service means: its kind, in the nested form and the flat one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.codec import realtime_codec
from xai_realtime.events import realtime as wire
from xai_realtime.frames import Frame
from xai_realtime.protocol.server_errors import read_error

KINDS = {
    "response_cancel_not_active": "no_active_response",
    "conversation_already_has_active_response": "active_response",
    "item_not_found": "item_not_found",
    "invalid_audio_format": "other",
    "invalid_tool_call_id": "other",
    "a_code_of_tomorrow": "other",
    "insufficient_quota": "fatal",
    "invalid_api_key": "fatal",
}
TYPES = {
    "invalid_request_error": "other",
    "invalid_event": "other",
    "internal_error": "other",
    "timeout": "inactivity",
    "max_duration": "session_limit",
    "authentication_error": "fatal",
}
WORDINGS = {
    "Cancellation failed: no active response found": "no_active_response",
    "Conversation already has an active response": "active_response",
    "Audio content of 2000ms is already shorter than 3000ms": "truncation",
    "Only model output audio messages can be truncated": "truncation",
    "Item not found: item_7": "item_not_found",
    "The session reached its maximum duration of 120 minutes": "session_limit",
    "Incorrect API key provided": "fatal",
    "Your team is out of credits": "fatal",
    "Tool call ID 'call_1' not found in conversation.": "other",
    "something that nobody has seen before": "other",
}


def error(**fields: Any) -> wire.Error:
    """The event, as it is received."""
    event = realtime_codec.decode(Frame(json.dumps({"type": "error", **fields}).encode()))
    assert isinstance(event, wire.Error)
    return event


@pytest.mark.behaviour("bug-16")
@pytest.mark.parametrize("code", KINDS)
def test_error_has_the_kind_of_its_code_in_both_forms(code: str) -> None:
    nested = read_error(error(error={"type": "invalid_request_error", "code": code, "message": "words"}))
    flat = read_error(error(code=code, message="words"))

    assert nested == flat == (KINDS[code], code, "words")


@pytest.mark.behaviour("bug-16")
@pytest.mark.parametrize("name", TYPES)
def test_error_without_a_code_has_the_kind_of_its_type(name: str) -> None:
    read = read_error(error(error={"type": name, "message": "words"}))

    assert read == (TYPES[name], name, "words")


@pytest.mark.behaviour("bug-16")
@pytest.mark.parametrize("words", WORDINGS)
def test_error_without_a_known_code_has_the_kind_of_its_words_in_every_form(words: str) -> None:
    kind = WORDINGS[words]

    assert read_error(error(error={"type": "invalid_request_error", "message": words})).kind == kind
    assert read_error(error(error={"code": "unheard_of", "message": words.upper()})).kind == kind
    assert read_error(error(error=words)) == (kind, "error", words)
    assert read_error(error(message=words)) == (kind, "error", words)


def test_code_counts_before_the_words_of_an_error() -> None:
    read = read_error(error(error={"code": "item_not_found", "message": "the truncated item is gone"}))

    assert read.kind == "item_not_found"


def test_message_counts_before_a_bare_text_in_the_flat_form() -> None:
    assert read_error(error(error="short", message="long words", code="c")) == ("other", "c", "long words")


def test_error_that_says_nothing_is_another_one() -> None:
    assert read_error(error()) == read_error(error(error={})) == ("other", "error", "")


@pytest.mark.parametrize(
    ("kind", "is_benign"),
    [
        ("response_cancel_not_active", True),
        ("conversation_already_has_active_response", True),
        ("item_truncate_invalid_item_id", True),
        ("item_not_found", True),
        ("max_duration", False),
        ("timeout", False),
        ("invalid_api_key", False),
        ("anything", False),
    ],
)
def test_error_is_benign_when_it_says_that_something_is_so_already(kind: str, is_benign: bool) -> None:
    assert read_error(error(code=kind)).is_benign is is_benign


@settings(max_examples=30)
@given(
    detail=st.none() | st.text() | st.fixed_dictionaries({}, optional={"code": st.text(), "message": st.text()}),
    code=st.none() | st.text(),
    message=st.none() | st.text(),
)
def test_error_of_any_words_is_read(detail: Any, code: str | None, message: str | None) -> None:
    read = read_error(error(error=detail, code=code, message=message))

    assert read.code
    assert read.kind in {*KINDS.values(), *TYPES.values(), "truncation"}
