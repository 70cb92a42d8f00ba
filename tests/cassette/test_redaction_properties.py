"""Redaction over generated input: twice is once, the scan agrees, audio and clean recordings stay."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.cassette.redaction import PLACEHOLDER, Redactor

CANARY = 'canary/+ä"key 0123456789'
XAI_KEY = "xai-" + "Ab3" * 14
CLIENT_SECRET = "xai-realtime-client-secret-" + "q7" * 20
SK_KEY = "sk-" + "proj-0aB1" * 4
PROPERTY = settings(max_examples=80, deadline=None)

PIECES = st.sampled_from(
    [
        CANARY,
        XAI_KEY,
        XAI_KEY[:9],
        CLIENT_SECRET,
        SK_KEY,
        quote(CANARY),
        "xai-",
        "xai-client-secret.",
        "Bearer ",
        "authorization: ",
        '"api_key": "',
        "password=",
        "cookie: a=",
        "://u:p@",
        "?token=",
        "&",
        "[",
        "]",
        PLACEHOLDER,
        "redacted",
        "\\",
        '"',
        "'",
        "\n",
        " ",
        "null",
        "}",
        ",",
        "=",
        "model_address: ",
        "%20",
        "eyJhbGciOiJI.",
    ]
)
ANY_TEXT = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)
KEYS = st.sampled_from(
    ["authorization", "token", "logprob", "value", "expires_at", "name", "headers", "server_url", "a"]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS | st.sampled_from(["xvad_settings", "x-api-key"]) | ANY_TEXT, inner, max_size=4)
    ),
    max_leaves=10,
)
KNOWING = Redactor([CANARY, "]secrets", "1234567890"], environ={})
UNKNOWING = Redactor(environ={})


def as_text(value: Any) -> str:
    """JSON in which alone zero has no sign: the text of a number is not kept, its value is."""

    def unsigned(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: unsigned(item) for key, item in inner.items()}
        if isinstance(inner, list):
            return [unsigned(item) for item in inner]
        return 0.0 if isinstance(inner, float) and inner == 0 else inner

    return json.dumps(unsigned(value))


@pytest.mark.behaviour("redaction.twice")
@PROPERTY
@given(ANY_TEXT)
def test_redacting_a_text_twice_changes_nothing(text: str) -> None:
    for redactor in (KNOWING, UNKNOWING):
        clean = redactor.text(text)
        assert redactor.text(clean) == clean
        assert redactor.scan(json.dumps(clean)) is None
        address = redactor.url(f"wss://h/{text}")
        assert redactor.url(address) == address


@pytest.mark.behaviour("redaction.twice")
@PROPERTY
@given(ANY_JSON)
def test_redacting_json_twice_changes_nothing_and_the_scan_agrees(value: Any) -> None:
    for redactor in (KNOWING, UNKNOWING):
        clean = redactor.json(value)
        assert redactor.json(clean) == clean
        assert redactor.scan(json.dumps([clean])) is None
        assert (redactor.scan(json.dumps([value])) is None) == (as_text(clean) == as_text(value))
        assert CANARY not in json.dumps(clean, ensure_ascii=False) or redactor is UNKNOWING


@PROPERTY
@given(st.binary(min_size=300, max_size=3_000))
def test_base64_audio_is_never_touched(audio: bytes) -> None:
    payload = base64.b64encode(audio).decode()
    assert KNOWING.text(payload) == payload
    assert UNKNOWING.json({"delta": payload}) == {"delta": payload}


@pytest.mark.behaviour("redaction.recordings")
def test_recordings_of_the_service_stay_as_they_are(recordings: Callable[[], list[Path]]) -> None:
    paths = recordings()
    assert len(paths) == 5
    for path in paths:
        for entry in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["interactions"]:
            assert KNOWING.json(entry) == entry
            assert KNOWING.scan(json.dumps(entry)) is None


def test_frame_nested_deeper_than_the_interpreter_recurses_is_redacted() -> None:
    frame: Any = CANARY
    for _ in range(5_000):
        frame = [frame]
    clean: Any = KNOWING.json(frame)
    for _ in range(5_000):
        clean = clean[0]
    assert clean == PLACEHOLDER
