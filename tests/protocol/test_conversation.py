"""The fold: items, transcripts, calls and usage out of events, for the committed tapes and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import COMMITTED, audio_delta
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.codec import realtime_codec
from xai_realtime.events._base import BinaryAudio, InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.player import Playback, play
from xai_realtime.protocol.conversation import Conversation, Item

FOLD = pytest.mark.behaviour("fold-tells-the-conversation")


def fold(*values: Any) -> Conversation:
    conversation = Conversation()
    for value in values:
        event: Any = value
        if isinstance(value, dict):
            event = realtime_codec.decode(Frame(json.dumps(value).encode()))
            assert not isinstance(event, UnknownEvent | InvalidEvent), value
        conversation.receive(event)
    return conversation


def added(name: str, after: str | None = None, role: str = "user", text: str = "", **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}] if text else []
    item = {"id": name, "type": "message", "role": role, "content": content, **more}
    return {"type": "conversation.item.added", "item": item, "previous_item_id": after}


def delta(text: str, name: str = "item_1", kind: str = "response.output_audio_transcript.delta") -> dict[str, Any]:
    return {"type": kind, "item_id": name, "response_id": "resp_1", "delta": text, "content_index": 0}


def usage(response_id: str, top: Any = None, nested: Any = None) -> dict[str, Any]:
    response = {"id": response_id, "status": "completed", "output": []}
    event: dict[str, Any] = {"type": "response.done", "response": response}
    if top is not None:
        event["usage"] = top
    if nested is not None:
        response["usage"] = nested
    return event


def played(name: str) -> Playback:
    (path,) = [path for path in COMMITTED if path.stem == name]
    return anyio.run(play, load_cassette(path))


def rows(conversation: Conversation) -> list[tuple[str, str, str, int]]:
    return [(item.kind, item.role, item.text, item.audio_bytes) for item in conversation.items]


# By hand, read from the tapes.


@FOLD
def test_text_turn_is_a_question_and_a_spoken_answer() -> None:
    (conversation,) = played("text_turn").conversations
    assert rows(conversation) == [
        ("message", "user", "Wish the crew good luck.", 0),
        ("message", "assistant", "Fair winds, all!", 36_960),
    ]
    assert list(conversation.transcripts()) == [("user", "Wish the crew good luck."), ("assistant", "Fair winds, all!")]
    assert conversation.session is not None and conversation.conversation_id == "conversation_1"
    assert (conversation.usage.total("input_tokens"), conversation.usage.total("total_tokens")) == (5, 47)
    assert conversation.usage.detail("output_token_details", "audio_tokens") == 39


@FOLD
def test_tool_call_is_called_answered_and_spoken_about() -> None:
    playback = played("tool_call")
    (conversation,) = playback.conversations
    assert [row[:3] for row in rows(conversation)] == [
        ("message", "user", "When is high tide in Porto today?"),
        ("message", "assistant", "One moment, I look at the tide table for Porto."),
        ("function_call", "assistant", ""),
        ("function_call_output", "tool", ""),
        ("message", "assistant", "Porto has its high tide at twenty to five. It will reach about three metres."),
    ]
    (call,) = conversation.tool_calls
    assert (call.call_id, call.name, call.arguments) == ("call_1", "look_up_tide", '{"city":"Porto"}')
    assert call.output == "High tide in Porto is at 16:40, 3.1 metres."
    assert playback.to_json()["tool_calls"] == [
        {"call_id": "call_1", "name": "look_up_tide", "arguments": '{"city":"Porto"}', "output": call.output}
    ]


@FOLD
def test_resumption_is_two_conversations_of_which_the_second_knows_the_answer_of_the_first() -> None:
    playback = played("resumption")
    first, second = playback.conversations
    assert [row[2] for row in rows(first)] == [
        "Please note: our meeting point is the old lighthouse. Just confirm.",
        "Noted: the old lighthouse.",
    ]
    assert rows(second)[0][2] == "Noted: the old lighthouse."
    assert [item.replayed for item in second.items] == [True, False, False]
    assert playback.to_json()["usage"]["total_tokens"] == 320
    assert first.conversation_id == second.conversation_id


@FOLD
def test_voice_turn_keeps_the_last_transcript_of_what_was_heard() -> None:
    (conversation,) = played("voice_turn").conversations
    heard = conversation.items[0]
    assert (heard.role, heard.text) == ("user", "Morning! This is Ines.")
    assert len(heard.parts[0].all()) > 1


@FOLD
def test_history_is_announced_before_the_turn() -> None:
    (conversation,) = played("history_seeding").conversations
    assert [row[1] for row in rows(conversation)] == ["user", "assistant", "user", "assistant"]


@pytest.mark.behaviour("replay-plays-every-tape")
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
@pytest.mark.anyio
async def test_committed_tape_plays_with_nothing_unknown_invalid_or_left(path: Path) -> None:
    with anyio.fail_after(5):
        playback = await play(load_cassette(path))
    report = playback.to_json()
    wanted = {"unknown_events": 0, "invalid_events": 0, "unread": 0, "unsent": 0, "cassette": path.name}
    assert {name: report[name] for name in wanted} == wanted
    assert playback.untyped_sends == 0
    assert all(conversation.bad_audio == 0 for conversation in playback.conversations)
    told = sum(b'"type":"error"' in line for line in path.read_bytes().splitlines())
    assert sum(len(conversation.errors) for conversation in playback.conversations) == told


# The order of items.


@FOLD
def test_item_goes_after_the_one_it_names_and_else_to_the_end() -> None:
    conversation = fold(added("a"), added("b", "a"), added("c", "a"), added("d", "nobody"), added("a", "d"))
    assert [item.id for item in conversation.items] == ["a", "c", "b", "d"]


@FOLD
def test_deleted_item_is_gone() -> None:
    deleted = {"type": "conversation.item.deleted", "item_id": "a"}
    conversation = fold(added("a"), added("b"), deleted, deleted)
    assert [item.id for item in conversation.items] == ["b"]


@FOLD
def test_item_that_was_never_announced_is_known_by_what_is_said_of_it() -> None:
    conversation = fold(
        {"type": "input_audio_buffer.committed", "item_id": "u"},
        delta("Hi", "a"),
        {
            "type": "response.function_call_arguments.delta",
            "item_id": "c",
            "response_id": "r",
            "call_id": "x",
            "delta": "{",
        },
    )
    assert [(item.id, item.kind, item.role) for item in conversation.items] == [
        ("u", "message", "user"),
        ("a", "message", "assistant"),
        ("c", "function_call", "assistant"),
    ]
    assert conversation.tool_calls[0].arguments == "{"


# Texts.


@FOLD
@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("response.output_audio_transcript", {"transcript": "Hello."}),
        ("response.audio_transcript", {"transcript": "Hello."}),
        ("response.output_text", {"text": "Hello."}),
        ("response.text", {"text": "Hello."}),
    ],
)
def test_text_is_streamed_and_then_stated(kind: str, done: dict[str, str]) -> None:
    pieces = [delta("Hel", kind=f"{kind}.delta"), delta("lo", kind=f"{kind}.delta")]
    stated = {"type": f"{kind}.done", "item_id": "item_1", "response_id": "resp_1", "content_index": 0, **done}
    assert fold(*pieces).items[0].text == "Hello"
    assert fold(*pieces, stated).items[0].text == "Hello."
    assert fold(*pieces, stated).items[0].parts[0].all() == ("Hello", "Hello.")


@FOLD
def test_parts_are_joined_and_a_truncation_holds() -> None:
    part = {"type": "response.content_part.done", "item_id": "item_1", "response_id": "r", "content_index": 1}
    events = [delta("One"), part | {"part": {"type": "text", "text": "two"}}, part]
    assert fold(*events).items[0].text == "One two"
    cut = {"type": "conversation.item.truncated", "item_id": "item_1", "content_index": 0, "audio_end_ms": 5}
    assert fold(*events, cut).items[0].text == "One two"
    assert fold(*events, cut | {"transcript": "On"}).items[0].text == "On two"


# Audio.


@FOLD
def test_audio_is_counted_and_hashed_by_item_and_bad_audio_is_told() -> None:
    bad = audio_delta(b"") | {"delta": "@@@"}
    conversation = fold(audio_delta(b"\1\2"), audio_delta(b"\3"), bad, audio_delta(b"\4", "item_2"))
    assert [(item.id, item.audio_bytes) for item in conversation.items] == [("item_1", 3), ("item_2", 1)]
    assert conversation.bad_audio == 1
    same = fold(audio_delta(b"\1\2\3"))
    assert conversation.items[0].audio_sha256 == same.items[0].audio_sha256
    assert Item("a", "message", "user").audio_sha256 is None


@pytest.mark.behaviour("fold-binary-audio")
def test_binary_audio_belongs_to_the_message_announced_last() -> None:
    output = {"type": "response.output_item.added", "response_id": "r", "output_index": 0}
    conversation = fold(
        BinaryAudio(b"\1"),
        output | {"item": {"id": "m", "type": "message", "role": "assistant"}},
        BinaryAudio(b"\2\3"),
        output | {"item": {"id": "c", "type": "function_call", "name": "f", "call_id": "x"}},
        BinaryAudio(b"\4"),
    )
    assert {item.id: item.audio_bytes for item in conversation.items} == {"(binary audio)": 1, "m": 3, "c": 0}


# Usage.

TOP = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "billable_audio_seconds": 4}


@pytest.mark.behaviour("usage-unknown-is-not-zero")
@pytest.mark.parametrize(
    ("events", "total"),
    [
        ([], None),
        ([usage("r")], None),
        ([usage("r", {}, {})], None),
        ([usage("r", None, {"total_tokens": None})], None),
        ([usage("r", {"total_tokens": 0})], 0),
        ([usage("r", TOP)], 3),
        ([usage("r", {}, TOP)], 3),
        ([usage("r", None, TOP)], 3),
        ([usage("r", TOP, {})], 3),
        ([usage("r", TOP, {"total_tokens": 9})], 3),
        ([usage("r", TOP), usage("r", TOP)], 3),
        ([usage("r", TOP), usage("r", {"total_tokens": 9})], 3),
        ([usage("r", TOP), usage("s", TOP)], 6),
        ([usage("r", TOP), usage("s", {})], 3),
    ],
)
def test_usage_is_summed_over_responses_and_unknown_is_none(events: list[Any], total: int | None) -> None:
    assert fold(*events).usage.total("total_tokens") == total


@pytest.mark.behaviour("usage-unknown-is-not-zero")
def test_billable_seconds_run_on_and_details_are_summed() -> None:
    details = {"output_token_details": {"audio_tokens": 5}, "output_audio_seconds": 0.1}
    totals = fold(
        usage("r", TOP | details), usage("s", TOP | details | {"billable_audio_seconds": 9}), usage("t", TOP)
    ).usage
    assert totals.total("billable_audio_seconds") == 9
    assert totals.total("output_audio_seconds") == 0.2
    assert totals.detail("output_token_details", "audio_tokens") == 10
    assert totals.detail("output_token_details", "text_tokens") is None
    assert totals.detail("input_token_details", "text_tokens") is None
    assert totals.to_json() == {
        "input_tokens": 3,
        "output_tokens": 6,
        "total_tokens": 9,
        "output_audio_seconds": 0.2,
        "billable_audio_seconds": 9,
        "output_token_details": {"text_tokens": None, "audio_tokens": 10, "grok_tokens": None},
    }


@FOLD
def test_errors_are_kept_and_other_events_change_nothing() -> None:
    conversation = fold({"type": "error", "error": {"message": "no"}}, {"type": "ping"}, object())
    assert len(conversation.errors) == 1
    assert conversation.items == ()
    assert not list(conversation.transcripts())


@FOLD
def test_call_keeps_its_first_name_ids_and_last_arguments() -> None:
    item = {"id": "c", "type": "function_call", "role": "user", "name": "f", "call_id": "x", "arguments": ""}
    done = {"type": "response.function_call_arguments.done", "item_id": "c", "response_id": "r", "call_id": "x"}
    output = {"id": "o", "type": "function_call_output", "role": "user", "call_id": "x", "output": ""}
    conversation = fold(
        {"type": "conversation.item.added", "item": item},
        done | {"name": "f", "arguments": "{}"},
        {"type": "conversation.item.added", "item": item},
        {"type": "conversation.item.created", "item": output},
    )
    (call,) = conversation.tool_calls
    assert (call.call_id, call.name, call.arguments, call.output) == ("x", "f", "{}", "")
    assert [item.role for item in conversation.items] == ["assistant", "tool"]
