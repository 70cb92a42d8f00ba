"""Loading: whole, cut short, foreign and hostile tapes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tapes import COMMITTED, Close, In, Open, Out, append, audio_delta, make_tape
from xai_realtime.cassette import tape as tape_module
from xai_realtime.cassette.records import (
    HttpChunkRecord,
    HttpDoneRecord,
    HttpRequestRecord,
    HttpResponseRecord,
    MarkRecord,
    MediaRef,
    OpenRecord,
    record_from_json,
    record_to_json,
)
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.errors import CassetteFormatError
from xai_realtime.frames import Frame

HOSTILE = pytest.mark.behaviour("tape-hostile-files-are-refused")
Lines = list[dict[str, Any]]


def simple(folder: Path) -> Path:
    """A tape with audio, on line 1 the header, 2 the open, 3 a message, 4 and 5 audio, 6 the close, 7 the end."""
    return make_tape(
        folder / "t.jsonl", In({"type": "hello"}), Out(append(b"\1\2" * 10)), In(audio_delta(b"\3\4" * 10)), Close()
    ).path


def change(path: Path, edit: Callable[[Lines], object]) -> Path:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edit(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def assert_refused(path: Path, words: str, line: int) -> None:
    """Loading and reading every frame ends in a CassetteFormatError that names the place."""
    with pytest.raises(CassetteFormatError, match=words) as caught:
        tape = load_cassette(path)
        for taped in tape.connections.values():
            for record in taped.frames:
                tape.frame(record)
    assert caught.value.path == str(path)
    assert caught.value.line == line
    assert str(path) in str(caught.value)


def test_cassette_gives_header_connections_frames_and_length(tmp_path: Path) -> None:
    tape = load_cassette(simple(tmp_path))
    assert (tape.header.origin, tape.complete, tape.tape_ms) == ("synthetic", True, 40.0)
    frames = [tape.frame(record) for record in tape.connections[1].frames]
    assert [frame.at_ms for frame in frames] == [10.0, 20.0, 30.0]
    assert json.loads(frames[1].data) == append(b"\1\2" * 10)
    assert repr(tape) == "<Cassette t.jsonl: synthetic, 5 records>"
    assert [record.type for record in tape.connections[1].frames] == [
        "hello",
        "input_audio_buffer.append",
        "response.output_audio.delta",
    ]


def test_frame_type_says_what_stands_in_its_place_when_there_is_none(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In(Frame(b"no json")), In(Frame(b"\0", False)), In([1]), In({"type": 5}))
    types = [record.type for record in tape.connections[1].frames]
    assert types == ["(text)", "(binary)", "(no type)", "(no type)"]


@HOSTILE
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no cassette"),
        (b"\n", "no cassette"),
        (b"version: 1\ninteractions: []\n", "no cassette"),
        (b"!!python/object/apply:os.system ['true']\n", "no cassette"),
        (b'{"type":"session.created"}\n', "no cassette"),
        (b'[{"kind":"header","cassette":1}]\n', "no cassette"),
        (b'{"kind":"header"}\n', "no cassette"),
        (b"\xff\xfe\n", "no cassette"),
        (b"\x1f\x8b\x08\0\0\0\n", "no cassette"),
        (b'{"kind":"header","cassette":"1","origin":"live","service":"realtime"}\n', "no number"),
        (b'{"kind":"header","cassette":0,"origin":"live","service":"realtime"}\n', "no number"),
        (b'{"kind":"header","cassette":true,"origin":"live","service":"realtime"}\n', "no number"),
        (b'{"kind":"header","cassette":2,"origin":"live","service":"realtime"}\n', "version 2 is newer"),
        (b'{"kind":"header","cassette":1,"origin":"live"}\n', "needs service"),
        (b'{"kind":"header","cassette":1,"origin":"live","service":"x"}\n', "service one of"),
        (b'{"kind":"header","cassette":1,"origin":"x","service":"stt"}\n', "origin is one of"),
        (b'{"kind":"header","cassette":1,"origin":"live","service":"stt","media":"shortend"}\n', "media one of"),
        (b'{"kind":"header","cassette":1,"origin":"live","service":"stt","timing":"guess"}\n', "timing is one of"),
        (b'{"kind":"header","cassette":1,"origin":"live","service":"stt","x":1}\n', "has no field 'x'"),
    ],
)
def test_loading_says_what_is_wrong_when_the_first_line_is_no_header_it_knows(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    assert_refused(path, words, 1)


def test_loading_raises_file_not_found_when_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_cassette(tmp_path / "none.jsonl")


def insert(at: int, value: dict[str, Any]) -> Callable[[Lines], object]:
    return lambda lines: lines.insert(at - 1, value)


def put(at: int, **fields: Any) -> Callable[[Lines], object]:
    return lambda lines: lines[at - 1].update(fields)


def drop(at: int, *names: str) -> Callable[[Lines], object]:
    return lambda lines: [lines[at - 1].pop(name) for name in names]


MARK = {"kind": "mark", "at_ms": 1.0, "label": "x"}
FRAME = {"kind": "frame", "conn": 1, "at_ms": 1.0, "dir": "in", "json": 1}


@HOSTILE
@pytest.mark.parametrize(
    ("edit", "words", "line"),
    [
        (insert(3, {"kind": "header", "cassette": 1, "origin": "live", "service": "stt"}), "a second header", 3),
        (insert(8, MARK), "a record after the end", 8),
        (insert(3, {"kind": "hologram"}), "unknown record kind 'hologram'", 3),
        (insert(3, {"kind": 5}), "unknown record kind '5'", 3),
        (insert(3, {"no": "kind"}), "unknown record kind 'None'", 3),
        (insert(3, MARK), "the end states", 8),
        (put(7, counts={"frame": 3}), "the end states", 7),
        (put(7, counts={"frame": "many"}), "the end states", 7),
        (drop(7, "complete"), "needs complete", 7),
        (put(7, complete="yes"), "wrong type", 7),
        (insert(3, {"kind": "open", "conn": 1, "at_ms": 1, "url": None}), "opened twice", 3),
        (insert(3, FRAME | {"conn": 2}), "connection 2 is not open", 3),
        (insert(7, FRAME), "connection 1 is closed", 7),
        (put(2, status=401), "connection 1 is not open", 3),
        (put(6, by="nobody"), "not 'nobody'", 6),
        (put(6, clean=1), "wrong type", 6),
        (put(6, code=True), "wrong type", 6),
        (put(6, extra=1), "has no field 'extra'", 6),
        (drop(6, "by"), "needs by", 6),
        (put(2, headers={"a": 1}), "headers of a record 'open' are texts", 2),
        (put(3, conn="1"), "wrong conn", 3),
        (put(3, at_ms="1"), "wrong conn, at_ms", 3),
        (put(3, at_ms=-1), "wrong conn, at_ms", 3),
        (put(3, at_ms=10**400), "wrong conn, at_ms", 3),
        (put(2, at_ms=1e300), "field 'at_ms'", 2),
        (put(3, dir="up"), "wrong conn, at_ms or dir", 3),
        (put(3, text="both"), "no field beside", 3),
        (put(3, opcode="text"), "no field beside", 3),
        (drop(3, "json"), "one of json, text, media", 3),
        (drop(3, "conn"), "needs 'conn'", 3),
        (lambda lines: (drop(3, "json")(lines), put(3, text=5)(lines)), "needs one of json, text, media", 3),
        (lambda lines: (drop(3, "json")(lines), put(3, media=5)(lines)), "a media reference is", 3),
        (
            lambda lines: (drop(3, "json")(lines), put(3, media=MediaRef("a", 0, 1).to_json(), opcode="x")(lines)),
            "opcode can only be",
            3,
        ),
    ],
)
def test_loading_names_the_line_when_a_record_is_wrong(
    tmp_path: Path, edit: Callable[[Lines], object], words: str, line: int
) -> None:
    def without_counts(lines: Lines) -> None:
        edit(lines)
        if "the end states" not in words and "kind" in lines[-1] and lines[-1]["kind"] == "end":
            lines[-1].pop("counts", None)

    assert_refused(change(simple(tmp_path), without_counts), words, line)


@HOSTILE
def test_loading_says_truncated_when_the_end_is_missing(tmp_path: Path) -> None:
    path = simple(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert_refused(path, "truncated: the end record is missing", 6)
    path.write_bytes(whole[:-1])
    assert_refused(path, "truncated: the last line is not finished", 7)


@HOSTILE
def test_loading_names_the_line_when_a_tape_is_cut_at_any_byte(tmp_path: Path) -> None:
    path = simple(tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(CassetteFormatError) as caught:
            load_cassette(path)
        assert caught.value.line == max(1, whole[:size].count(b"\n") + (not whole[:size].endswith(b"\n"))) or (
            "the end record is missing" in caught.value.reason
        )


@HOSTILE
@pytest.mark.parametrize("line", [b"{", b'{"kind":"mark"}x', b"NaN", b'"\\ud800"', b"[" * 5000, b"1" * 5000, b"\xff"])
def test_loading_names_the_line_when_it_is_no_json(tmp_path: Path, line: bytes) -> None:
    path = simple(tmp_path)
    lines = path.read_bytes().splitlines()
    lines.insert(2, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert_refused(path, "line|expected|control|EOF|JSON", 3)


@HOSTILE
def test_loading_stops_early_when_a_line_is_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape_module, "MAX_LINE_BYTES", 1000)
    path = simple(tmp_path)
    lines = path.read_bytes().splitlines()
    lines.insert(2, b'"' + b"x" * 5000 + b'"')
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert_refused(path, "a line over 1000 bytes", 3)


@HOSTILE
def test_loading_stops_when_the_whole_is_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = simple(tmp_path)
    monkeypatch.setattr(tape_module, "MAX_TAPE_BYTES", 100)
    with pytest.raises(CassetteFormatError, match="a tape over 100 bytes"):
        load_cassette(path)


def reference(name: str) -> Callable[[Lines], object]:
    return lambda lines: lines[3]["json"]["audio"]["$media"].update(file=name)


@HOSTILE
@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", ".", "", "a/b", "a\\b", "c:d", "a\0b", "a" * 300])
def test_reading_refuses_a_media_name_that_leaves_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"\1\2" * 10)
    assert_refused(change(simple(tmp_path), reference(name)), "media", 4)


@HOSTILE
@pytest.mark.parametrize(
    "value", [5, [], {"file": "a"}, {"file": "a", "offset": -1, "bytes": 1}, {"file": 1, "offset": 0}]
)
def test_reading_refuses_a_malformed_reference(tmp_path: Path, value: Any) -> None:
    path = change(simple(tmp_path), lambda lines: lines[3]["json"].update(audio={"$media": value}))
    assert_refused(path, "a media reference is", 4)


@HOSTILE
def test_reading_refuses_media_that_are_symbolic_links(tmp_path: Path) -> None:
    path = simple(tmp_path)
    folder = tmp_path / "t.media"
    for file in folder.iterdir():
        file.rename(tmp_path / file.name)
        file.symlink_to(tmp_path / file.name)
    assert_refused(path, "no plain file", 4)
    for file in folder.iterdir():
        target = file.resolve()
        file.unlink()
        target.rename(file)
    load_cassette(path).frame(load_cassette(path).connections[1].frames[1])
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert_refused(path, "no plain file", 4)


@HOSTILE
def test_reading_refuses_a_fifo_without_waiting_for_it(tmp_path: Path) -> None:
    path = simple(tmp_path)
    file = tmp_path / "t.media" / "conn1.out.24000hz.wav"
    file.unlink()
    os.mkfifo(file)
    assert_refused(path, "no plain file", 4)


def media_of(path: Path) -> Path:
    return path.with_name("t.media") / "conn1.out.24000hz.wav"


@HOSTILE
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\xff"), "was changed"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "19 bytes of audio"),
        (lambda file: file.write_bytes(file.read_bytes() + b"\0"), "21 bytes of audio"),
        (lambda file: file.write_bytes(b"OggS" + file.read_bytes()[4:]), "no WAV file"),
        (lambda file: file.write_bytes(b""), "no WAV file"),
    ],
)
def test_reading_names_the_line_when_media_are_damaged(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    path = simple(tmp_path)
    damage(media_of(path))
    assert_refused(path, words, 4)


@HOSTILE
@pytest.mark.parametrize("entry", [None, "x", [], 5, {}, {"bytes": 20}, {"bytes": 20, "sha256": None}])
def test_reading_names_the_line_when_the_end_states_other_media(tmp_path: Path, entry: Any) -> None:
    path = change(simple(tmp_path), lambda lines: lines[-1].update(media={"conn1.out.24000hz.wav": entry}))
    assert_refused(path, "media file", 4)


@HOSTILE
def test_reading_names_the_line_when_a_reference_points_beyond_its_file(tmp_path: Path) -> None:
    path = change(simple(tmp_path), lambda lines: lines[3]["json"]["audio"]["$media"].update(offset=1))
    assert_refused(path, "ends before byte 21", 4)


@HOSTILE
def test_reading_refuses_media_over_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xai_realtime.cassette.media.MAX_MEDIA_BYTES", 10)
    assert_refused(simple(tmp_path), "over 10 bytes", 4)


@pytest.mark.behaviour("tape-partial-loads")
def test_partial_loads_as_incomplete_when_it_is_cut_at_any_byte_after_its_header(tmp_path: Path) -> None:
    whole = simple(tmp_path)
    text = whole.read_bytes()
    partial = tmp_path / "t.jsonl.partial"
    (tmp_path / "t.media").rename(tmp_path / "t.media.partial")
    lines = text.splitlines(keepends=True)
    for size in range(len(lines[0]), len(text) - len(lines[-1]) + 1, 5):
        partial.write_bytes(text[:size])
        tape = load_cassette(partial)
        assert not tape.complete
        assert tape.end is None
        assert len(tape.records) == text[:size].count(b"\n") - 1
        for taped in tape.connections.values():
            assert all(tape.frame(record).data for record in taped.frames)
    assert "incomplete" in repr(tape)


def test_binary_record_without_media_is_a_format_error(tmp_path: Path) -> None:
    tape = load_cassette(simple(tmp_path))
    with pytest.raises(CassetteFormatError, match="no media"):
        tape.media(tape.connections[1].frames[0])


def test_binary_record_with_missing_media_is_a_format_error(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In(Frame(b"\1\2", False)))
    for file in (tmp_path / "t.media").iterdir():
        file.unlink()
    with pytest.raises(CassetteFormatError, match="missing"):
        tape.frame(tape.connections[1].frames[0])


HTTP = [
    HttpRequestRecord(3, 1.0, "POST", "https://api.x.ai/v1/tts", {"accept": "audio/mpeg"}, {"text": "hi"}, 1),
    HttpResponseRecord(3, 2.0, 200, {"content-type": "audio/mpeg"}, 1),
    HttpChunkRecord(3, 3.0, text="data: {}\n\n", line=1),
    HttpChunkRecord(3, 4.0, media=MediaRef("a.raw", 0, 4), line=1),
    HttpDoneRecord(3, 5.0, "cut", 1),
    MarkRecord(6.0, "barge-in", 1),
    OpenRecord(3, 7.0, None, line=1),
]


@pytest.mark.parametrize("record", HTTP, ids=lambda record: record.kind)
def test_every_record_kind_comes_back_as_it_was(record: Any) -> None:
    text = json.loads(json.dumps(record_to_json(record)))
    assert next(iter(text)) == "kind"
    assert record_from_json(text, 1) == record


@HOSTILE
@pytest.mark.parametrize(
    "value",
    [
        [],
        "x",
        {"kind": "chunk", "conn": 1, "at_ms": 1.0},
        {"kind": "chunk", "conn": 1, "at_ms": True, "text": ""},
        {"kind": "chunk", "conn": 1, "at_ms": 1.0, "text": "", "x": 1},
        {"kind": "chunk", "conn": 1, "at_ms": 1.0, "media": {}},
        {"kind": "chunk", "conn": 1, "at_ms": 1.0, "text": 5},
        {"kind": "chunk", "conn": "1", "at_ms": 1.0, "text": ""},
        {"kind": "request", "conn": 1, "at_ms": 1.0, "method": "GET"},
        {"kind": "response", "conn": 1, "at_ms": 1.0, "status": True},
        {"kind": "done", "conn": 1, "at_ms": 1.0, "error": 5},
        {"kind": "mark", "at_ms": 1.0},
    ],
)
def test_record_is_refused_when_its_shape_is_wrong(value: Any) -> None:
    with pytest.raises(ValueError, match=r"record|reference"):
        record_from_json(value, 1)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_tape_loads_whole_and_every_frame_of_it_can_be_had(path: Path) -> None:
    tape = load_cassette(path)
    assert tape.complete
    for taped in tape.connections.values():
        assert taped.frames
        for record in taped.frames:
            assert tape.frame(record).data


def test_partial_of_a_writer_that_was_left_behind_loads(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open(), In(audio_delta(b"\0\1" * 50)), finish=False)
    assert not tape.complete
    assert json.loads(tape.frame(tape.connections[1].frames[0]).data) == audio_delta(b"\0\1" * 50)
