"""What is written comes back: as the same JSON value, as the same bytes, without secrets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tapes import In, Open, Out, append, audio_delta, header, make_tape
from xai_realtime.cassette._json import dump_json, is_equal, parse_exact, parse_json
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.errors import CassetteFormatError, RedactionError
from xai_realtime.frames import Frame

SURVIVES = pytest.mark.behaviour("tape-every-frame-comes-back")
CANARY = "xai-CANARYcanaryCANARYcanary0123456789"


def deep(levels: int, inner: str = "1") -> bytes:
    return ('{"a":' * levels + inner + "}" * levels).encode()


def come_back(folder: Path, *frames: Frame) -> list[Frame]:
    """The frames after a write and a load, received and sent ones alike."""
    tape = make_tape(folder / "t.jsonl", *map(In, frames), *map(Out, frames))
    back = [tape.frame(record) for record in tape.connections[1].frames]
    assert back[: len(frames)] == back[len(frames) :]
    return back[: len(frames)]


@SURVIVES
@pytest.mark.parametrize(
    "data",
    [
        b"no json",
        b"",
        b'{"type":"x","n":NaN}',
        b'{"type":"x","n":Infinity}',
        b'{"type":"x","n":1e400}',
        b'{"type":"x","n":-1e999}',
        b'{"type":"x","n":' + b"7" * 5000 + b"}",
        b'{"type":"x","s":"\\ud800"}',
        b'{"type":"x","s":"\\udc00\\ud800"}',
        b'{"type":"x"',
        b"[" * 100_000,
        b'{"type":"\xff\xfe"}',
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf{}",
        "\u2028\u0085\x00".encode(),
        b'{"audio":"\xff"}',
    ],
    ids=lambda data: repr(data[:24]),
)
def test_text_message_that_is_no_json_comes_back_byte_for_byte(tmp_path: Path, data: bytes) -> None:
    assert come_back(tmp_path, Frame(data)) == [Frame(data)]


@SURVIVES
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -0.0,
        1.0,
        1e308,
        5e-324,
        2**53 + 1,
        int("9" * 4000),
        "",
        "\x00\u2028\U0001f600",
        [],
        {},
        [[], {}],
        {"": {"": ""}},
        {"$media": {"file": "../x", "offset": 0, "bytes": 4}},
        {"$media": 5},
        {"$media": {"file": "a.raw", "offset": 0, "bytes": 4}, "more": 1},
        {"$literal": {"$media": {}}},
        {"$literal": {"$literal": 5}},
        {"$literal": []},
        {"a": [{"$media": {"$media": {"$literal": 1}}}]},
        {"type": "input_audio_buffer.append", "audio": {"$media": {"file": "x", "offset": 0, "bytes": 1}}},
        {"type": "input_audio_buffer.append", "audio": {"$literal": {}}},
        {"type": "input_audio_buffer.append", "audio": None},
        {"type": "conversation.item.create", "item": {"content": [{"audio": "AAAA"}, 5, {"audio": 5}]}},
        {"type": "conversation.item.create", "item": {"content": {"audio": "AAAA"}}},
        {"type": "conversation.item.create", "item": None},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_json_message_comes_back_as_the_same_value(tmp_path: Path, value: Any) -> None:
    (frame,) = come_back(tmp_path, Frame(json.dumps(value).encode()))
    assert is_equal(parse_json(frame.data), value)
    assert type(parse_json(frame.data)) is type(value)


@SURVIVES
@pytest.mark.parametrize("levels", [89, 90, 100, 150, 197, 198, 199, 200, 201])
@pytest.mark.parametrize("key", ["a", "$media"])
def test_deep_message_comes_back_though_a_record_nests_it_deeper(tmp_path: Path, levels: int, key: str) -> None:
    data = deep(levels).replace(b'"a"', json.dumps(key).encode())
    assert come_back(tmp_path, Frame(data)) == [Frame(data)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$media", "$literal", "audio", "delta", "type", "id", "x"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)
AUDIO_EVENTS = st.sampled_from(["input_audio_buffer.append", "response.output_audio.delta", "conversation.item.create"])


@SURVIVES
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=JSON
    | st.fixed_dictionaries(
        {"type": AUDIO_EVENTS},
        optional={"audio": JSON, "delta": JSON, "item": st.fixed_dictionaries({"content": JSON})},
    )
)
def test_any_json_comes_back_as_the_same_value(tmp_path: Path, value: Any) -> None:
    (frame,) = come_back(tmp_path, Frame(json.dumps(value).encode()))
    assert is_equal(parse_json(frame.data), value)


@SURVIVES
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=40), is_text=st.booleans())
def test_any_bytes_come_back_as_they_were(tmp_path: Path, data: bytes, is_text: bool) -> None:
    (frame,) = come_back(tmp_path, Frame(data, is_text))
    assert frame.is_text is is_text
    is_json, value = parse_exact(data) if is_text else (False, None)
    assert frame.data == data or (is_json and is_equal(parse_json(frame.data), value))


@SURVIVES
@pytest.mark.parametrize("text", ["", "AA", "AAA", "QR==", "QQ", "Q Q==", "@@@@", "QQ==\n", "_-__", "=", "QQ==QQ=="])
def test_base64_that_is_not_canonical_stays_inline(tmp_path: Path, text: str) -> None:
    value = {"type": "input_audio_buffer.append", "audio": text}
    tape = make_tape(tmp_path / "t.jsonl", Out(value))
    assert tape.connections[1].frames[0].value == value
    assert not (tmp_path / "t.media").exists()
    assert parse_json(tape.frame(tape.connections[1].frames[0]).data) == value


def test_canonical_base64_goes_aside_and_the_line_holds_a_reference(tmp_path: Path) -> None:
    content = [{"type": "input_text", "text": "hi"}, {"type": "input_audio", "audio": "AAECAw=="}]
    item = {"type": "conversation.item.create", "item": {"type": "message", "content": content}}
    tape = make_tape(tmp_path / "t.jsonl", Out(append(b"\1\2")), In(audio_delta(b"\3\4")), Out(item))
    text = tape.path.read_text(encoding="utf-8")
    assert "AAECAw==" not in text
    assert text.count("$media") == 3
    frames = [parse_json(tape.frame(record).data) for record in tape.connections[1].frames]
    assert frames == [append(b"\1\2"), audio_delta(b"\3\4"), item]


def test_lines_have_their_keys_in_fixed_order_and_times_of_microseconds(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open(at_ms=0), In({"z": 1, "a": 2}, at_ms=1.23456789))
    lines = tape.path.read_text(encoding="utf-8").splitlines()
    assert lines[2] == '{"kind":"frame","conn":1,"at_ms":1.235,"dir":"in","json":{"z":1,"a":2}}'
    assert list(json.loads(lines[0])) == [
        "kind",
        "cassette",
        "origin",
        "service",
        "recorded_at",
        "sdk",
        "spec_sha256",
        "timing",
        "media",
        "redaction",
        "notes",
    ]
    assert json.loads(lines[-1])["counts"] == {"open": 1, "frame": 1}


def test_end_names_the_model_that_served(tmp_path: Path) -> None:
    entries = [
        Out({"type": "session.update", "session": {"model": "asked"}}),
        In({"type": "session.created", "session": {"model": "served"}}),
        In({"type": "session.updated", "session": 5}),
        In({"type": "session.updated"}),
    ]
    tape = make_tape(tmp_path / "t.jsonl", *entries)
    assert tape.end is not None
    assert tape.end.model == "served"


@pytest.mark.behaviour("tape-holds-no-secret")
def test_secret_is_taken_out_wherever_it_stands(tmp_path: Path) -> None:
    writer = CassetteWriter(
        tmp_path / "t.jsonl",
        header(),
        Redactor(["canary-value-0123456789"], environ={"SOME_API_KEY": CANARY}),
        IdNames(),
    )
    writer.open(
        1,
        0,
        f"wss://user:pw@api.x.ai/v1/realtime?api_key={CANARY}&token=canary-value-0123456789",
        subprotocol=f"xai-client-secret.{CANARY}",
        headers={"Authorization": f"Bearer {CANARY}", "x-request-id": CANARY},
    )
    writer.open(2, 0, None, status=400, body=f'{{"code":"x","error":"bad key {CANARY}"}}'.encode())
    writer.open(3, 0, None, status=400, body=f"bad key {CANARY}".encode() + b"\xff")
    writer.frame(
        1, 1, "out", Frame(json.dumps({"type": "x", "authorization": CANARY, "deep": [{"t": CANARY}]}).encode())
    )
    writer.frame(1, 2, "in", Frame(json.dumps({"type": "session.created", "session": {"model": CANARY}}).encode()))
    writer.frame(1, 3, "in", Frame(f"no json {CANARY}".encode()))
    writer.frame(1, 4, "in", Frame(b"\xff" + CANARY.encode()))
    writer.frame(1, 5, "in", Frame(b'{"type":"e","message":"Incorrect API key provided: ' + CANARY.encode() + b'"}'))
    writer.mark(6, f"mark {CANARY}")
    writer.close(1, 7, "server", 1008, f"key {CANARY}", False)
    path = writer.finish()
    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"CANARY" not in everything
    assert b"canary-value" not in everything
    assert b"pw@" not in everything
    assert load_cassette(path).complete


@pytest.mark.behaviour("tape-scan-refuses")
def test_finish_refuses_and_leaves_no_tape_when_the_scan_still_finds_a_secret(tmp_path: Path) -> None:
    redactor = Redactor(environ={})
    writer = CassetteWriter(tmp_path / "t.jsonl", header(), redactor, None)
    writer.open(1, 0, None)
    writer.frame(1, 1, "in", Frame(b'{"type":"x","said":"a value learnt too late"}'))
    redactor.add_secret("a value learnt too late")
    with pytest.raises(RedactionError) as caught:
        writer.finish()
    assert (caught.value.line, caught.value.path) == (3, "t.jsonl.partial")
    assert "learnt" not in str(caught.value) + repr(caught.value)
    assert not (tmp_path / "t.jsonl").exists()


def test_finish_replaces_the_old_tape_and_its_media(tmp_path: Path) -> None:
    make_tape(tmp_path / "t.jsonl", In(audio_delta(b"\1\2")), In(Frame(b"odd", False)))
    tape = make_tape(tmp_path / "t.jsonl", In(audio_delta(b"\3\4\5\6")))
    assert [file.name for file in sorted((tmp_path / "t.media").iterdir())] == ["conn1.in.24000hz.wav"]
    assert parse_json(tape.frame(tape.connections[1].frames[0]).data) == audio_delta(b"\3\4\5\6")
    make_tape(tmp_path / "t.jsonl", In({"type": "x"}))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.jsonl"]


def test_incomplete_tape_goes_beside_and_replaces_nothing(tmp_path: Path) -> None:
    good = make_tape(tmp_path / "t.jsonl", In(audio_delta(b"\1\2"))).path.read_bytes()
    writer = CassetteWriter(tmp_path / "t.jsonl", header(), Redactor(environ={}), None)
    writer.open(1, 0, None)
    writer.frame(1, 1, "in", Frame(b"\5\6", False))
    failed = writer.finish(complete=False)
    assert failed == tmp_path / "t.failed.jsonl"
    assert (tmp_path / "t.jsonl").read_bytes() == good
    load_cassette(tmp_path / "t.jsonl").frame(load_cassette(tmp_path / "t.jsonl").connections[1].frames[0])
    tape = load_cassette(failed)
    assert not tape.complete
    assert tape.frame(tape.connections[1].frames[0]) == Frame(b"\5\6", False)


def test_abandoned_writer_closes_its_files_once(tmp_path: Path) -> None:
    writer = CassetteWriter(tmp_path / "t.jsonl", header(), Redactor(environ={}), None)
    writer.open(1, 0, None)
    writer.abandon()
    writer.abandon()
    assert os.listdir(tmp_path) == ["t.jsonl.partial"]


def test_name_of_a_tape_ends_in_jsonl(tmp_path: Path) -> None:
    with pytest.raises(CassetteFormatError, match="ends in"):
        CassetteWriter(tmp_path / "t.json", header(), Redactor(environ={}), None)


@pytest.mark.parametrize(
    ("body", "kept", "back"),
    [
        (b'{"code":"x"}', {"code": "x"}, b'{"code":"x"}'),
        (b'"text"', '"text"', b'"text"'),
        (b"null", "null", b"null"),
        (b"5", "5", b"5"),
        (b"<html>", "<html>", b"<html>"),
        (b"", None, b""),
    ],
)
def test_body_of_a_refused_handshake_is_kept(tmp_path: Path, body: bytes, kept: Any, back: bytes) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open(status=401, body=body))
    assert tape.connections[1].open.body == kept
    assert (b"" if kept is None else kept.encode() if isinstance(kept, str) else dump_json(kept)) == back


def test_close_reason_speaks_of_ids_by_their_names(tmp_path: Path) -> None:
    names = IdNames()
    minted = "3d301c41-bc81-4592-b73a-6c01a29d2d4a"
    writer = CassetteWriter(tmp_path / "t.jsonl", header(), Redactor(environ={}), names)
    writer.open(1, 0, f"wss://api.x.ai/v1/realtime?conversation_id={minted}")
    writer.frame(1, 1, "in", Frame(json.dumps({"type": "x", "item_id": minted.replace("3d", "4d")}).encode()))
    writer.close(1, 2, "server", 1011, f"item {minted.replace('3d', '4d')} failed", False)
    text = writer.finish().read_text(encoding="utf-8")
    assert "conversation_id=conversation_1" in text
    assert "item item_1 failed" in text
    assert "bc81" not in text


def test_equality_of_json_keeps_numbers_and_booleans_apart() -> None:
    assert is_equal({"a": [1, 1.0]}, {"a": [1.0, 1]})
    for one, other in [
        (True, 1),
        (0, False),
        (None, 0),
        ("1", 1),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        ({}, []),
        ([], {}),
    ]:
        assert not is_equal(one, other)
        assert not is_equal(other, one)
