"""Captures in forms that no recording at hand has."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cassette.captures import (
    CREATE,
    CREATED,
    EVENTS,
    PING,
    UUID,
    as_jsonl,
    as_yaml,
    check,
    frames,
    played,
    received,
    refused,
    sent,
    tape_of,
    tape_of_into,
    values,
)
from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.records import CloseRecord, OpenRecord
from xai_realtime.cassette.tape import load_cassette


@pytest.mark.behaviour("import-unseen")
@pytest.mark.parametrize(
    ("close", "by", "clean"),
    [
        ({"code": 1011, "ok": False}, "server", False),
        ({"code": 1000, "reason": "bye", "ok": True}, "server", True),
        ({"code": 1001}, "server", True),
        ({"code": 1006, "ok": False}, "network", False),
        ({}, "network", False),
        ({"code": 1000, "by": "client"}, "client", True),
        ({"code": 1000, "direction": "sent"}, "client", True),
        ({"code": 4000, "by": "Remote", "ok": False}, "server", False),
    ],
)
def test_close_says_who_ended_the_connection_and_how(
    close: dict[str, Any], by: str, clean: bool, tmp_path: Path
) -> None:
    tape = tape_of(as_yaml(tmp_path, received(CREATED), {"kind": "close", **close}))
    record = tape.connections[1].close
    assert record is not None
    assert (record.by, record.code, record.clean) == (by, close.get("code"), clean)
    check(anyio.run(played, tape))


@pytest.mark.behaviour("import-unseen")
def test_connections_begin_at_a_connect_after_a_close_and_at_a_second_session_created(tmp_path: Path) -> None:
    url = "wss://api.x.ai/v1/realtime?model=grok-voice-latest"
    close = {"kind": "close", "code": 1000, "ok": True}
    source = as_yaml(
        tmp_path,
        {"kind": "connect", "url": f"{url}&token=hush", "subprotocol": "realtime"},
        received(CREATED), close, close,
        received(CREATED), sent(CREATE),
        received(CREATED),
        {"kind": "open", "status": 401, "body": {"code": "x", "error": "no"}, "headers": {"X-Request-Id": "r"}},
        url=url,
    )  # fmt: skip
    tape = tape_of(source)
    opens = [record for record in tape.records if isinstance(record, OpenRecord)]
    assert [record.conn for record in opens] == [1, 2, 3, 4]
    assert [record.url for record in opens] == [f"{url}&token=[redacted]", url, url, url]
    assert (opens[0].subprotocol, opens[3].status, opens[3].body) == ("realtime", 401, {"code": "x", "error": "no"})
    assert [len(connection.frames) for connection in tape.connections.values()] == [1, 2, 1, 0]
    assert len([record for record in tape.records if isinstance(record, CloseRecord)]) == 1
    check(anyio.run(played, tape))


@pytest.mark.behaviour("import-unseen")
def test_close_before_any_message_is_a_connection_of_its_own(tmp_path: Path) -> None:
    close = {"kind": "close", "code": 1008, "reason": "no", "ok": False}
    tape = tape_of(as_yaml(tmp_path, close, {**close, "reason": "again"}, received(CREATED)))
    assert list(tape.connections) == [1, 2, 3]
    check(anyio.run(played, tape))


@pytest.mark.behaviour("import-unseen")
@pytest.mark.parametrize(
    "interaction",
    [
        {"kind": "binary", "direction": "sent", "data": base64.b64encode(b"\x00\x01\xfe\xff").decode()},
        {"data": "0001FEFF", "kind": "binary", "direction": "sent"},
        {"kind": "message", "direction": "sent", "data": "0001feff", "encoding": "hex"},
        {"kind": "message", "direction": "sent", "data": "AAH+/w==", "encoding": "base64"},
        {"kind": "message", "direction": "sent", "data": b"\x00\x01\xfe\xff"},
        {"kind": "message", "direction": "sent", "data": {"base64": "AAH+/w=="}},
        {"kind": "message", "direction": "sent", "data": {"hex": "0001feff"}},
        {"kind": "message", "direction": "out", "binary": "AAH+/w=="},
        {"kind": "sent", "opcode": 2, "data": "AAH+/w=="},
    ],
)
def test_binary_message_keeps_its_bytes_however_they_are_written(interaction: dict[str, Any], tmp_path: Path) -> None:
    tape = tape_of(as_yaml(tmp_path, received(CREATED), interaction))
    record = frames(tape)[1]
    assert (record.direction, record.opcode, tape.media(record)) == ("out", None, b"\x00\x01\xfe\xff")
    check(anyio.run(played, tape))


@pytest.mark.behaviour("import-unseen")
def test_text_messages_keep_what_they_are(tmp_path: Path) -> None:
    source = as_yaml(
        tmp_path,
        received(json.dumps(CREATED)),
        sent("not json", encoding="text"),
        {"kind": "text", "from": "client", "data": '{"type": "response.create"}'},
        {"kind": "text", "direction": "sent", "encoding": "base64", "data": base64.b64encode(b"\xff{").decode()},
        sent([1, 2]),
    )
    tape = tape_of(source)
    first, second, third, fourth, fifth = frames(tape)
    assert (first.type, second.text, third.value, fifth.value) == ("session.created", "not json", CREATE, [1, 2])
    assert (fourth.opcode, tape.frame(fourth).data) == ("text", b"\xff{")


@pytest.mark.behaviour("import-unseen")
def test_message_without_kind_or_direction_is_told_by_its_type(tmp_path: Path) -> None:
    tape = tape_of(as_yaml(tmp_path, {"data": CREATED}, {"data": CREATE}, {"data": {"type": "made.up"}}))
    assert [record.direction for record in frames(tape)] == ["in", "out", "in"]


@pytest.mark.behaviour("import-unseen")
@pytest.mark.parametrize("text", ["yes", "12:30", "2026-01-01", "1e5", "1_000", "0x1f", "~x", "null", "<<", "=", "010"])
def test_text_that_yaml_could_take_for_something_else_stays_text(text: str, tmp_path: Path) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    tape = tape_of(as_yaml(tmp_path, received(CREATED), sent({"type": "conversation.item.create", "item": item})))
    assert values(tape)[1][1]["item"] == item


@pytest.mark.behaviour("import-unseen")
def test_unquoted_dates_and_words_of_other_yaml_dialects_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "capture.yaml"
    path.write_text(
        "interactions:\n- direction: received\n  data: {type: made.up, a: yes, b: 2026-01-01, c: 12:30, d: 0x10,"
        " e: 1e5, f: 1.0e+3, g: !!float 2, h: !!str 3, i: !!int 4, j: !!null ~, k: ! 5, l: -7, m: .5}\n"
    )
    assert values(tape_of(path))[0][1] == {
        "type": "made.up", "a": "yes", "b": "2026-01-01", "c": "12:30", "d": "0x10", "e": "1e5", "f": 1000.0,
        "g": 2.0, "h": "3", "i": 4, "j": None, "k": "5", "l": -7, "m": 0.5,
    }  # fmt: skip


@pytest.mark.behaviour("import-unseen")
def test_aliases_of_equal_objects_are_written_out(tmp_path: Path) -> None:
    shared_value = {"type": "session.update", "session": {"tools": [{"type": "web_search"}]}}
    source = as_yaml(tmp_path, received(CREATED), sent(shared_value), sent(shared_value))
    assert "*id001" in source.read_text()
    assert values(tape_of(source))[1:] == [("out", shared_value)] * 2
    source.write_text("interactions:\n- {kind: &word message, data: {type: made.up, text: *word}}\n- data: binary?\n")
    assert values(tape_of(source))[0] == ("in", {"type": "made.up", "text": "message"})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<=~1:", max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@st.composite
def captures(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Conversations nobody had: events of the spec in any order, over several connections."""
    found: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 3))):
        found.append({"data": CREATED, "direction": "received"})
        for event in draw(st.lists(st.sampled_from(EVENTS), max_size=8)):
            found.append({"data": event, "direction": "sent" if event in EVENTS[10:] else "received"})
        if draw(st.booleans()):
            found.append({"kind": "close", "code": draw(st.sampled_from([1000, 1006, 1011]))})
    return found


@pytest.mark.behaviour("import-unseen")
def test_client_ids_metadata_and_seeded_calls_come_through_a_reconnect(tmp_path: Path) -> None:
    def said(number: int) -> dict[str, Any]:
        content = [{"type": "input_text", "text": f"question {number}"}]
        return {"id": f"app_item_{number}", "type": "message", "role": "user", "content": content}

    call = {
        "type": "function_call",
        "name": "look_up",
        "call_id": "2996ce21aab246f81e17fda7363f964d",
        "arguments": "{}",
    }
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "12"}
    created = {"id": UUID.format(8), "object": "realtime.response", "output": [], "metadata": {"inputs": "0"}}
    items: list[dict[str, Any]] = [
        received(CREATED, at=0.0),
        sent({"type": "conversation.item.create", "event_id": "app.content.0", "item": said(0)}, at=0.1),
        sent(
            {"type": "response.create", "event_id": "app.response.0", "response": {"metadata": {"inputs": "0"}}}, at=0.1
        ),
        received({"type": "conversation.item.added", "item": said(0), "previous_item_id": None}, at=0.2),
        received({"type": "response.created", "response": created}, at=0.3),
        {"kind": "close", "code": 1011, "reason": "gone", "ok": False, "at": 5.291},
        received(CREATED, at=5.547),
        *(
            sent({"type": "conversation.item.create", "item": item}, at=5.6)
            for item in (said(1), call, output, said(2))
        ),
        received({"type": "conversation.item.added", "item": {**call, "id": UUID.format(9)}}, at=5.7),
        received({"type": "conversation.item.added", "item": said(2), "previous_item_id": "app_item_1"}, at=5.7),
    ]
    told = tape_of_into(as_yaml(tmp_path, *items), tmp_path / "told.jsonl", keep_ids=True)
    assert [value for _, value in values(told)] == [item["data"] for item in items if "data" in item]
    for tape in (told, tape_of(tmp_path / "capture.yaml")):
        playback = anyio.run(played, tape)
        check(playback)
        assert playback.untyped_sends == 0


@pytest.mark.behaviour("import-unseen")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(capture=captures(), order=st.randoms(use_true_random=False), style=st.booleans())
def test_generated_capture_plays_clean_from_yaml_and_from_json_lines(
    capture: list[dict[str, Any]], order: random.Random, style: bool, tmp_path: Path
) -> None:
    shuffled = [dict(order.sample(sorted(item.items()), len(item))) for item in capture]
    written = tmp_path / "capture.yaml"
    written.write_text(yaml.safe_dump({"interactions": shuffled, "version": 1}, default_flow_style=style))
    one, two = tape_of(written), tape_of(as_jsonl(tmp_path, *shuffled))
    messages = [item for item in capture if "data" in item]
    for tape in (one, two):
        assert [record.direction for record in frames(tape)] == [
            "in" if item["direction"] == "received" else "out" for item in messages
        ]
        assert len(tape.connections) == sum(item.get("data") == CREATED for item in capture)
        assert all(left.at_ms <= right.at_ms for left, right in zip(tape.records, tape.records[1:], strict=False))
        check(anyio.run(played, tape))
    assert values(one) == values(two)


@pytest.mark.behaviour("import-unseen")
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JSON_VALUES, unicode=st.booleans())
def test_any_json_comes_through_yaml_unchanged(content: Any, unicode: bool, tmp_path: Path) -> None:
    event = {"type": "made.up", "content": content}
    path = tmp_path / "capture.yaml"
    # PyYAML writes a bare NEL, which it reads as the end of a line.
    is_plain = unicode and "\x85" not in json.dumps(content, ensure_ascii=False)
    text = yaml.safe_dump({"interactions": [received(event)]}, allow_unicode=is_plain)
    path.write_text(text, encoding="utf-8", newline="")
    assert json.dumps(values(tape_of(path, keep_ids=True))[0][1]) == json.dumps(
        dict(sorted(event.items())), sort_keys=True
    )


@pytest.mark.behaviour("import-jsonl")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda way, event: event,
        lambda way, event: {"dir": "in" if way else "out", "data": event},
        lambda way, event: {"direction": "received" if way else "sent", "event": json.dumps(event), "logger": "x"},
        lambda way, event: {"from": "server" if way else "client", "message": event},
        lambda way, event: {"kind": "receive" if way else "send", "frame": event},
        lambda way, event: {"type": "receive" if way else "send", "opcode": 1, "data": json.dumps(event)},
        lambda way, event: {"type": "message", "direction": "<" if way else ">", "json": event},
        lambda way, event: {"payload": json.dumps(event)},
        lambda way, event: {"type": "frame", "event": event},
    ],
)
def test_json_lines_import_in_every_form(wrap: Callable[[bool, Any], dict[str, Any]], tmp_path: Path) -> None:
    told = [(True, CREATED), (False, CREATE), (True, EVENTS[1]), (True, EVENTS[7]), (True, PING)]
    tape = tape_of(as_jsonl(tmp_path, *(wrap(way, event) for way, event in told)), keep_ids=True)
    assert values(tape) == [("in" if way else "out", event) for way, event in told]
    check(anyio.run(played, tape))


@pytest.mark.behaviour("import-jsonl")
def test_capture_of_server_events_alone_plays_and_counts_its_connections(tmp_path: Path) -> None:
    source = as_jsonl(tmp_path, CREATED, PING, {"type": "made.up", "data": {"x": 1}}, CREATED, EVENTS[3])
    report = import_capture(source, tmp_path / "tape.jsonl")
    assert (report.kind, report.connections, report.received, report.sent) == ("jsonl", 2, 5, 0)
    assert report.unknown_types == ("made.up",)
    playback = anyio.run(played, load_cassette(report.path))
    assert (playback.unknown_events, playback.invalid_events) == (1, 0)


@pytest.mark.behaviour("import-jsonl")
def test_json_lines_tell_sockets_closes_and_handshakes_apart(tmp_path: Path) -> None:
    source = as_jsonl(
        tmp_path,
        {"kind": "open", "conn": 7, "url": "wss://api.x.ai/v1/realtime"},
        {"dir": "in", "conn": 7, "data": CREATED},
        {"dir": "in", "conn": "b", "data": CREATED},
        {"dir": "in", "conn": 7, "data": PING},
        {"dir": "close", "conn": 7, "code": 1000},
        {"type": "close", "conn": "b", "code": 1001, "by": "client"},
    )
    tape = tape_of(source)
    assert [len(connection.frames) for connection in tape.connections.values()] == [2, 1]
    assert [connection.close and connection.close.by for connection in tape.connections.values()] == [
        "server",
        "client",
    ]
    check(anyio.run(played, tape))


@pytest.mark.behaviour("import-jsonl")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"type": "ping"}\n\n{"type": "pi', 3),
        ('{"type": "ping"}\n[1]\n', 2),
        ('{"type": "ping", "x": NaN}\n', 1),
        ('{"hello": "world"}\n', 1),
        ('{"dir": "sideways", "data": {"type": "ping"}}\n', 1),
        ('{"dir": "in", "data": {"type": "ping"}, "t": "noon"}\n', 1),
        ('{"dir": "in", "data": {"type": "ping"}, "t": true}\n', 1),
        ('{"dir": "in", "data": {"type": "ping"}, "t": 1' + "0" * 400 + "}\n", 1),
        ('{"dir": "in", "data": {"type": "ping"}, "t": -1}\n', 1),
        ("words\n", 1),
        ('{"dir": "in", "data": "zz", "opcode": 2}\n', 1),
        ('{"dir": "in", "data": "zz", "encoding": "hex"}\n', 1),
        ('{"kind": "header", "cassette": 1, "origin": "live", "service": "realtime"}\n', 1),
        ('{\n  "log": {"entries": []}\n}\n', 1),
    ],
)
def test_json_lines_that_are_no_capture_are_refused_with_the_line(text: str, line: int, tmp_path: Path) -> None:
    assert refused(tmp_path, text, "capture.jsonl").line == line


@pytest.mark.behaviour("import-unseen")
def test_yaml_parser_in_python_reads_the_same(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = shared / "recordings" / "tool_call_round.yaml"
    first = tape_of_into(source, tmp_path / "tape.jsonl").path.read_bytes()
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert tape_of_into(source, tmp_path / "tape.jsonl").path.read_bytes() == first
    (tmp_path / "bad").mkdir()
    assert refused(tmp_path / "bad", "interactions:\n- {data: !!python/name:os.system x}\n").line == 2
