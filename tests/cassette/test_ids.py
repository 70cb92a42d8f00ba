"""Canonical ids: first-seen names for what a service mints, and the exact way back."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.cassette.ids import IdNames, id_kind, is_canonical, looks_minted

UUID = "ed0ace42-3a00-4911-9810-d36cee99fb58"
OTHER = "ad758f3e-5c77-46e7-a474-7711a8a9c8a4"
THIRD = "feea3318-12a0-4d5e-99d5-d1637d00cd98"


def uuids(count: int) -> list[str]:
    return [str(uuid.UUID(int=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for number in range(count)]


POOL = uuids(6)
VALUES = st.sampled_from(
    [
        *POOL,
        POOL[0].replace("-", ""),
        f"call-{POOL[1]}-0",
        "call_Ab12Cd34Ef56",
        "item_1",
        "item_2",
        "resp_1",
        "id_1",
        "id_2",
        "rid_1",
        "event_1",
        "deadbeefdeadbeef01",
        "eve",
        "0",
        "",
        "greeting",
        "grok-voice-latest",
    ]
)
WORDS = st.one_of(VALUES, st.sampled_from(["no", "step_2", "(", "-", "_", "'", "é", "call", "item_", "00000000", " "]))
TEXTS = st.lists(WORDS, max_size=6).map(" ".join) | st.lists(WORDS, max_size=6).map("".join)
ID_KEYS = st.sampled_from(
    ["id", "item_id", "previous_item_id", "response_id", "call_id", "event_id", "rid", "trace_id"]
)
OTHER_KEYS = st.sampled_from(["voice_id", "text", "delta", "name", "item", "response", "output", "session", "metadata"])
FRAMES = st.recursive(
    st.dictionaries(ID_KEYS | OTHER_KEYS, VALUES, max_size=5),
    lambda inner: st.dictionaries(
        ID_KEYS | OTHER_KEYS | st.just("message"), VALUES | TEXTS | inner | st.lists(inner, max_size=3), max_size=5
    ),
    max_leaves=8,
)
TAPES = st.lists(st.dictionaries(st.just("message"), TEXTS) | FRAMES, max_size=8)
PROPERTY = settings(max_examples=60, deadline=None)


def name_all(tape: list[Any]) -> tuple[list[Any], IdNames]:
    names = IdNames()
    return [names.canonical(frame) for frame in tape], names


@pytest.mark.parametrize(
    ("key", "parent", "kind"),
    [
        ("item_id", None, "item"),
        ("previous_item_id", "item", "item"),
        ("response_id", None, "resp"),
        ("previous_response_id", None, "resp"),
        ("call_id", "item", "call"),
        ("tool_call_id", None, "call"),
        ("conversation_id", None, "conversation"),
        ("event_id", "error", "event"),
        ("rid", None, "rid"),
        ("id", "session", "session"),
        ("id", "conversation", "conversation"),
        ("id", "item", "item"),
        ("id", "output", "item"),
        ("id", "response", "resp"),
        ("id", "tool_calls", "call"),
        ("id", None, "id"),
        ("id", "voice", None),
        ("trace_id", None, "id"),
        ("X-Request-Id", "headers", "request"),
        ("vector_store_id", None, "id"),
        ("voice_id", None, None),
        ("model_id", None, None),
        ("_id", None, None),
        ("item", None, None),
        ("idea", None, None),
        ("item_ids", None, None),
    ],
)
def test_id_kind_is_told_by_the_key_and_the_one_above(key: str, parent: str | None, kind: str | None) -> None:
    assert id_kind(key, parent) == kind


@pytest.mark.behaviour("ids.minted")
@pytest.mark.parametrize(
    "value",
    [
        UUID,
        UUID.upper(),
        "274d45b6e5e84b8ab8da2235d5e6aa6d",
        "deadbeefdeadbeef",
        f"call-{UUID}-0",
        "call_61234567",
        "item_BJ3kd93ksPq2Lm",
        "resp_68f0c2a1b7e0",
        "msg_abcdefabcdef",
        "event_BZx1230Qwer4",
        "sess_001122334455",
        f"chatcmpl-{UUID}",
        "item_3",
    ],
)
def test_value_looks_minted_when_a_machine_drew_it(value: str) -> None:
    assert looks_minted("id", value)


@pytest.mark.behaviour("ids.minted")
@pytest.mark.parametrize(
    "value",
    ["", "0", "eve", "xai_ara", "grok-voice-latest", "grok-4.6", "nlbqfwie", "greeting", "item_01", None, 7, [UUID]],
)
def test_value_does_not_look_minted_when_it_is_a_name_or_nothing(value: object) -> None:
    assert not looks_minted("id", value)


@pytest.mark.parametrize("key", ["voice_id", "model_id", "text", "model"])
def test_value_does_not_look_minted_when_the_key_holds_no_id(key: str) -> None:
    assert not looks_minted(key, UUID)


@pytest.mark.parametrize(("text", "is_name"), [("item_3", True), ("item_0", False), ("item", False), ("Item_3", False)])
def test_canonical_form_is_a_prefix_and_a_number_from_one(text: str, is_name: bool) -> None:
    assert is_canonical(text) is is_name


def test_one_id_has_one_name_under_every_key() -> None:
    names = IdNames()
    assert names.canonical({"item_id": UUID, "item": {"id": UUID}, "previous_item_id": OTHER}) == {
        "item_id": "item_1",
        "item": {"id": "item_1"},
        "previous_item_id": "item_2",
    }
    assert names.canonical({"response": {"output": [{"id": OTHER}]}}) == {"response": {"output": [{"id": "item_2"}]}}
    assert names.original("item_2") == OTHER
    assert names.original("item_3") is None
    assert dict(names.names) == {UUID: "item_1", OTHER: "item_2"}


@pytest.mark.behaviour("ids.event-numbering")
def test_event_ids_have_a_numbering_of_their_own_when_a_ping_is_added() -> None:
    reply = {"type": "response.created", "event_id": OTHER, "response": {"id": THIRD}}
    ping = {"type": "ping", "event_id": UUID}
    assert name_all([reply])[0][-1]["response"] == name_all([ping, reply])[0][-1]["response"] == {"id": "resp_1"}


@pytest.mark.behaviour("ids.rid-first")
def test_event_id_takes_the_name_of_the_rid_when_both_are_equal() -> None:
    assert IdNames().canonical({"event_id": UUID, "rid": UUID}) == {"event_id": "rid_1", "rid": "rid_1"}


def test_key_order_stays_and_the_given_frame_is_not_changed() -> None:
    frame = {"b": [{"item_id": UUID}], "a": {"event_id": OTHER}, "id": THIRD}
    before = copy.deepcopy(frame)
    named: Any = IdNames().canonical(frame)
    assert list(named) == ["b", "a", "id"]
    assert frame == before
    assert named == {"b": [{"item_id": "item_1"}], "a": {"event_id": "event_1"}, "id": "id_1"}


@pytest.mark.parametrize("key", ["parameters", "metadata", "properties", "arguments"])
def test_ids_stay_when_they_belong_to_the_user(key: str) -> None:
    frame = {"item": {key: {"id": UUID, "message": UUID, "properties": {"item_id": OTHER}}}}
    assert IdNames().canonical(frame) == frame


@pytest.mark.parametrize("key", ["text", "transcript", "delta", "instructions", "output", "arguments"])
def test_speech_and_prompts_stay_when_they_hold_something_like_an_id(key: str) -> None:
    names = IdNames()
    names.canonical({"item_id": UUID})
    assert names.canonical({key: f"see {UUID}"}) == {key: f"see {UUID}"}


@pytest.mark.behaviour("ids.error-text")
def test_error_text_that_quotes_an_id_is_named_like_the_field() -> None:
    call = f"call-{UUID}-0"
    names = IdNames()
    frame = {
        "error": {"message": f"Tool call ID '{call}' not found; trace {OTHER}.", "event_id": THIRD},
        "call_id": call,
    }
    named = names.canonical(frame)
    assert named == {
        "error": {"message": "Tool call ID 'call_1' not found; trace id_1.", "event_id": "event_1"},
        "call_id": "call_1",
    }
    assert names.restore(named) == frame


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"unknown {UUID}", "unknown id_1"),
        (f"unknown call-{UUID}-2, again call-{UUID}-2", "unknown call_1, again call_1"),
        ("msg_0123456789ab is gone", "item_1 is gone"),
        ("item_internationally is a word, deadbeefdeadbeef01 is a checksum", None),
        ("step_2 of utf_8 failed", None),
        (f"x{UUID}", None),
    ],
)
def test_text_is_named_where_it_can_only_be_an_id(text: str, named: str | None) -> None:
    names = IdNames()
    assert names.canonical_text(text) == (text if named is None else named)
    assert names.restore_text(names.canonical_text(text)) == text


def test_word_like_a_name_is_kept_apart_when_an_id_has_that_name() -> None:
    names = IdNames()
    names.canonical({"item_id": UUID})
    assert names.canonical_text("item_1") == "id_1"
    assert names.restore_text("id_1 item_1") == f"item_1 {UUID}"


def test_word_like_a_name_keeps_it_when_no_id_has_that_name_yet() -> None:
    names = IdNames()
    assert names.canonical_text("no item_1") == "no item_1"
    assert names.canonical({"item_id": UUID}) == {"item_id": "item_2"}


def test_chosen_id_in_the_form_of_a_name_is_renamed_and_comes_back() -> None:
    frames: list[Any] = [{"item_id": UUID}, {"item_id": "item_1"}, {"item_id": "greeting"}]
    named, names = name_all(frames)
    assert named == [{"item_id": "item_1"}, {"item_id": "item_2"}, {"item_id": "greeting"}]
    assert [names.restore(frame) for frame in named] == frames


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (
            f"wss://api.x.ai/v1/realtime?model=grok-voice-latest&conversation_id={UUID}#x",
            "wss://api.x.ai/v1/realtime?model=grok-voice-latest&conversation_id=conversation_1#x",
        ),
        (f"https://api.x.ai/v1/chat/deferred-completion/{UUID}", "https://api.x.ai/v1/chat/deferred-completion/id_1"),
        (f"/v1/realtime/calls/{UUID}/hangup?call_id={UUID}", "/v1/realtime/calls/call_1/hangup?call_id=call_1"),
        ("wss://item_1.example:8000/v1/tts?voice=eve&language=en", None),
        ("", None),
    ],
)
def test_url_is_named_in_path_and_query_and_comes_back(url: str, named: str | None) -> None:
    names = IdNames()
    assert names.canonical_url(url) == (url if named is None else named)
    assert names.restore_url(names.canonical_url(url)) == url


@pytest.mark.parametrize("value", ["text", UUID, 3, None, True, []])
def test_value_without_keys_is_returned_as_it_is(value: Any) -> None:
    assert IdNames().canonical(value) == value
    assert IdNames().restore(value) == value


def test_frame_nested_deeper_than_the_interpreter_recurses_is_named() -> None:
    frame: Any = {"item_id": UUID}
    for _ in range(5_000):
        frame = [frame]
    named: Any = IdNames().canonical(frame)
    for _ in range(5_000):
        named = named[0]
    assert named == {"item_id": "item_1"}


def test_repr_counts_and_shows_no_id() -> None:
    names = IdNames()
    names.canonical({"item_id": UUID})
    assert repr(names) == "<IdNames, 1 ids>"


@PROPERTY
@given(TAPES)
def test_restoring_a_named_tape_gives_the_tape(tape: list[Any]) -> None:
    named, names = name_all(tape)
    assert [names.restore(frame) for frame in named] == tape


@PROPERTY
@given(TAPES)
def test_naming_a_named_tape_changes_nothing(tape: list[Any]) -> None:
    named, _ = name_all(tape)
    assert name_all(named)[0] == named


@PROPERTY
@given(TAPES)
def test_names_and_values_are_one_to_one(tape: list[Any]) -> None:
    _, names = name_all(tape)
    assert len(set(names.names.values())) == len(names.names)
    assert all(is_canonical(name) and names.original(name) == value for value, name in names.names.items())


@PROPERTY
@given(st.lists(st.dictionaries(ID_KEYS, st.sampled_from(POOL)), max_size=8), st.permutations(POOL))
def test_names_depend_on_the_order_of_first_sight_alone(tape: list[Any], other: list[str]) -> None:
    swap = dict(zip(POOL, other, strict=True))
    renamed = [{key: swap[value] for key, value in frame.items()} for frame in tape]
    assert name_all(renamed)[0] == name_all(tape)[0]


@PROPERTY
@given(st.lists(TEXTS, max_size=6))
def test_texts_and_urls_come_back_in_any_order(texts: list[str]) -> None:
    names = IdNames()
    named = [(names.canonical_text(text), names.canonical_url(f"wss://h/{text}?item_id={text}")) for text in texts]
    for text, (named_text, named_url) in zip(texts, named, strict=True):
        assert names.restore_text(named_text) == text
        assert names.restore_url(named_url) == f"wss://h/{text}?item_id={text}"


@pytest.mark.behaviour("ids.recordings")
def test_recordings_are_named_and_restored_exactly(recordings: Callable[[], list[Path]]) -> None:
    counts = []
    for path in recordings():
        tape = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)["interactions"]
        frames = [entry["data"] for entry in tape if entry["kind"] == "message"]
        named, names = name_all(frames)
        assert [names.restore(frame) for frame in named] == frames
        assert name_all(named)[0] == named
        assert not any(value in str(named) for value in names.names)
        counts.append(len(names.names))
    assert len(counts) == 5
    assert (min(counts), max(counts)) == (23, 61)


def test_id_that_a_client_chose_keeps_its_name_when_it_only_ends_like_ours() -> None:
    names = IdNames()
    frame = {"type": "conversation.item.create", "item": {"id": "my_app_item_1", "type": "message"}}
    assert names.canonical(frame) == frame
