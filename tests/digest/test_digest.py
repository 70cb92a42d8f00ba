"""The digest changes with what was said, heard, called and used, and with nothing else."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pybase64
import pytest

from tests.tapes import SHORT, In, audio_delta, leaves, make_tape
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.codec import realtime_codec
from xai_realtime.digest import digest
from xai_realtime.events._base import BinaryAudio
from xai_realtime.frames import Frame
from xai_realtime.player import play
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.virtual_time import run_virtual

Events = list[dict[str, Any]]
TELLS = pytest.mark.behaviour("digest-tells-conversations-apart")
ALIKE = pytest.mark.behaviour("digest-ignores-the-rest")
TAPES = pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)

AUDIO = ("response.output_audio.delta", "response.audio.delta")


def events_of(tape: Cassette) -> list[Events]:
    """What each connection received, as JSON."""
    return [
        [json.loads(tape.frame(record).data) for record in taped.frames if record.direction == "in"]
        for taped in tape.connections.values()
    ]


def digest_of(connections: list[Events]) -> str:
    conversations = []
    for events in connections:
        conversation = Conversation()
        for event in events:
            conversation.receive(realtime_codec.decode(Frame(json.dumps(event).encode())))
        conversations.append(conversation)
    return digest(conversations)


def value_at(event: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        event = event[step]
    return event


def with_value(event: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    new = copy.deepcopy(event)
    value_at(new, path[:-1])[path[-1]] = value
    return new


def one_changed_character(text: str) -> Iterator[str]:
    for at in {0, len(text) // 2, len(text) - 1}:
        yield f"{text[:at]}{'#' if text[at] != '#' else '+'}{text[at + 1 :]}"
    yield f"{text}."


def is_said(event: dict[str, Any], path: tuple[str | int, ...]) -> bool:
    """Does a text at this path belong to the conversation (and not to the session or to bookkeeping)?"""
    if event["type"].startswith("session.") or "session" in path:
        return False
    return (
        path[-1] in ("transcript", "text", "arguments", "output")
        or (path == ("delta",) and event["type"] not in AUDIO)
        or (path[-1] == "name" and "tools" not in path)
    )


def telling_changes(connections: list[Events]) -> Iterator[tuple[str, list[Events]]]:
    """Every single change that makes it another conversation."""
    for at, events in enumerate(connections):

        def changed(index: int, event: dict[str, Any], at: int = at, events: Events = events) -> list[Events]:
            return [*connections[:at], [*events[:index], event, *events[index + 1 :]], *connections[at + 1 :]]

        for index, event in enumerate(events):
            for path in leaves(event):
                leaf = value_at(event, path)
                place = f"{event['type']} {path}"
                if isinstance(leaf, str) and leaf and is_said(event, path):
                    for text in one_changed_character(leaf):
                        yield place, changed(index, with_value(event, path, text))
                elif "usage" in path and isinstance(leaf, int | float):
                    yield place, changed(index, with_value(event, path, leaf + 1))
                    yield (
                        place,
                        changed(index, with_value(event, path, leaf + 0.001 if isinstance(leaf, float) else leaf + 2)),
                    )
            if event["type"] in AUDIO:
                audio = bytearray(pybase64.b64decode(event["delta"]))
                for byte in (0, len(audio) - 1):
                    audio[byte] ^= 1
                    yield (
                        f"audio byte {byte}",
                        changed(index, {**event, "delta": pybase64.b64encode(bytes(audio)).decode()}),
                    )
        yield from swapped_items(connections, at)
        for kind in ("response.output_audio.delta", "response.output_audio_transcript.delta"):
            places = [index for index, event in enumerate(events) if event["type"] == kind]
            for one, two in itertools.pairwise(places):
                if events[one]["delta"] == events[two]["delta"] or events[one]["item_id"] != events[two]["item_id"]:
                    continue
                swapped = [*events]
                swapped[one], swapped[two] = events[two], events[one]
                yield f"{kind} {one} and {two} swapped", [*connections[:at], swapped, *connections[at + 1 :]]


def swapped_items(connections: list[Events], at: int) -> Iterator[tuple[str, list[Events]]]:
    """What two neighbouring items hold, exchanged."""
    events = connections[at]
    places = [index for index, event in enumerate(events) if event["type"] == "conversation.item.added"]
    for one, two in itertools.pairwise(places):
        if without_ids(events[one]["item"]) == without_ids(events[two]["item"]):
            continue
        swapped = [*events]
        for here, there in ((one, two), (two, one)):
            swapped[here] = {**events[here], "item": {**events[there]["item"], "id": events[here]["item"]["id"]}}
        yield f"items {one} and {two} swapped", [*connections[:at], swapped, *connections[at + 1 :]]


def without_ids(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in ("id", "call_id")}


@TELLS
@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)
def test_digest_changes_with_any_character_number_byte_or_swap(path: Path) -> None:
    connections = events_of(load_cassette(path))
    was = digest_of(connections)
    seen = 0
    unmoved = []
    for name, other in telling_changes(connections):
        seen += 1
        if digest_of(other) == was:
            unmoved.append(name)
    assert unmoved == []
    assert seen > 20


def rename_ids(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: rename_ids(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [rename_ids(item, key) for item in value]
    if isinstance(value, str) and (key == "id" or key.endswith("_id") or key == "rid") and value not in ("", "0"):
        return f"other_{value}"
    return value


def without_bookkeeping(event: dict[str, Any]) -> dict[str, Any]:
    other = {
        key: value for key, value in event.items() if key not in ("event_id", "latency", "rid", "ts", "start_time")
    }
    return other | ({"timestamp": 1} if event["type"] == "ping" else {})


ANNOUNCEMENTS = (
    "conversation.item.added",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.created",
    "response.done",
    "response.output_audio_transcript.done",
    "response.output_audio.done",
    "response.function_call_arguments.done",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.updated",
    "input_audio_buffer.committed",
    "input_audio_buffer.speech_started",
    "session.created",
    "session.updated",
    "conversation.created",
    "ping",
)


def doubled(events: Events) -> Events:
    return [copied for event in events for copied in [event] * (2 if event["type"] in ANNOUNCEMENTS else 1)]


@ALIKE
@TAPES
@pytest.mark.parametrize(
    "change",
    [
        lambda events: [rename_ids(event) for event in events],
        lambda events: [without_bookkeeping(event) for event in events],
        lambda events: [event for event in events if event["type"] != "ping"],
        lambda events: [copied for event in events for copied in ({"type": "ping", "timestamp": 9}, event)],
        lambda events: [copied for event in events for copied in ({"type": "unheard.of"}, event)],
        doubled,
        lambda events: [dict(reversed(event.items())) for event in events],
    ],
    ids=["ids", "bookkeeping", "no ping", "pings", "unknown", "announced twice", "key order"],
)
def test_digest_stays_when_only_bookkeeping_changes(path: Path, change: Callable[[Events], Events]) -> None:
    connections = events_of(load_cassette(path))
    assert digest_of([change(events) for events in connections]) == digest_of(connections)


@TELLS
def test_digest_of_no_conversation_an_empty_one_and_two_are_three() -> None:
    assert len({digest([]), digest([Conversation()]), digest([Conversation(), Conversation()])}) == 3


@TELLS
def test_order_of_connections_counts() -> None:
    one, two = Conversation(), Conversation()
    one.receive(realtime_codec.decode(Frame(json.dumps(audio_delta(b"\1")).encode())))
    assert digest([one, two]) != digest([two, one])


@TELLS
@pytest.mark.parametrize("key", ["output", "name", "arguments", "call_id"])
def test_digest_changes_with_each_statement_about_a_call_though_the_last_one_holds(key: str) -> None:
    item = {"id": "o", "type": "function_call_output", "call_id": "x", "output": "5", "name": "f", "arguments": "{}"}

    def told(first: str) -> str:
        return digest_of(
            [
                [
                    {"type": "conversation.item.added", "item": item | {key: first}},
                    {"type": "response.output_item.done", "item": item, "response_id": "r", "output_index": 0},
                ]
            ]
        )

    assert (told("other") == told("another")) is (key == "call_id")


@TELLS
def test_order_of_items_counts() -> None:
    def added(name: str, after: str | None) -> dict[str, Any]:
        item = {"id": name, "type": "message", "role": "user", "content": [{"type": "input_text", "text": name}]}
        return {"type": "conversation.item.added", "item": item, "previous_item_id": after}

    in_order = digest_of([[added("a", None), added("b", "a"), added("c", "b")]])
    assert digest_of([[added("a", None), added("c", "a"), added("b", "a")]]) == in_order
    assert digest_of([[added("a", None), added("b", "a"), added("c", "a")]]) != in_order


@TELLS
def test_digest_covers_binary_audio() -> None:
    digests = set()
    for audio in (b"\1\2", b"\1\3", b"\2\1"):
        conversation = Conversation()
        conversation.receive(BinaryAudio(audio))
        digests.add(digest([conversation]))
    assert len(digests) == 3


@ALIKE
@TAPES
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_digest_is_one_over_backends_and_clocks(path: Path, backend: Any) -> None:
    async def main() -> set[str]:
        tape = load_cassette(path)
        return {
            (await play(tape)).digest,
            (await play(tape, clock="virtual")).digest,
            (await play(tape, clock="virtual", scale=3.0)).digest,
            (await play(tape, clock="real", scale=0.5)).digest,
        }

    assert run_virtual(main, backend=backend) == {digest_of(events_of(load_cassette(path)))}


@ALIKE
def test_digest_is_a_sha256_that_changes_only_with_the_fold_version(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In(audio_delta(b"\1\2")))
    found = digest_of(events_of(tape))
    assert len(found) == 64
    assert found == FROZEN


FROZEN = "47ce479e111cab2633af42617c9ac590769e320040bcb5ddcab992f7d1508a5b"
