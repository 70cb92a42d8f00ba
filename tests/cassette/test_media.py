"""Audio beside the tape: files that a person can play, bytes that come back."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest

from tests.tapes import In, Out, append, audio_delta, make_tape, scripts_of
from xai_realtime.cassette.media import MediaReader, MediaWriter, audio_in
from xai_realtime.cassette.records import MediaRef
from xai_realtime.frames import Frame


def session(rate: Any = None, kind: str = "audio/pcm", side: str = "output") -> dict[str, Any]:
    form = {"type": kind} if rate is None else {"type": kind, "rate": rate}
    return {"type": "session.updated", "session": {"audio": {side: {"format": form}}}}


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "t.media").iterdir())


@pytest.mark.behaviour("tape-media-can-be-played")
def test_whole_samples_go_to_a_wav_file_that_the_standard_library_reads(tmp_path: Path) -> None:
    chunks = [bytes([number, number + 1] * 100) for number in range(5)]
    make_tape(tmp_path / "t.jsonl", *(In(audio_delta(chunk)) for chunk in chunks))
    with wave.open(str(tmp_path / "t.media" / "conn1.in.24000hz.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 24_000, 500)
        assert file.readframes(500) == b"".join(chunks)


@pytest.mark.behaviour("tape-media-can-be-played")
@pytest.mark.parametrize(
    ("rate", "kind", "name"),
    [
        (8000, "audio/pcm", "conn1.in.8000hz.wav"),
        (None, "audio/pcm", "conn1.in.24000hz.wav"),
        (8000, "audio/pcmu", "conn1.in.raw"),
        (5, "audio/pcm", "conn1.in.raw"),
        ("24000", "audio/pcm", "conn1.in.raw"),
        (True, "audio/pcm", "conn1.in.raw"),
    ],
)
def test_media_file_follows_the_format_of_the_session(tmp_path: Path, rate: Any, kind: str, name: str) -> None:
    make_tape(tmp_path / "t.jsonl", In(session(rate, kind)), In(audio_delta(b"\1\2")), In(Frame(b"\3\4", False)))
    assert files(tmp_path) == [name]


def test_input_and_output_formats_are_told_apart(tmp_path: Path) -> None:
    make_tape(tmp_path / "t.jsonl", In(session(8000, side="input")), In(audio_delta(b"\1\2")), Out(append(b"\3\4")))
    assert files(tmp_path) == ["conn1.in.24000hz.wav", "conn1.out.8000hz.wav"]


@pytest.mark.parametrize(
    "changed", [None, 5, {"audio": 5}, {"audio": {"output": 5}}, {"audio": {"output": {"format": 5}}}]
)
def test_session_of_another_shape_leaves_the_format_as_it_was(tmp_path: Path, changed: Any) -> None:
    make_tape(tmp_path / "t.jsonl", In({"type": "session.updated", "session": changed}), In(audio_delta(b"\1\2")))
    assert files(tmp_path) == ["conn1.in.24000hz.wav"]


@pytest.mark.behaviour("tape-every-frame-comes-back")
def test_odd_empty_and_mixed_chunks_come_back_in_their_order(tmp_path: Path) -> None:
    chunks = [b"\1\2", b"\3", b"", b"\4\5\6", b"\7\x08"]
    tape = make_tape(tmp_path / "t.jsonl", *(Out(Frame(chunk, False)) for chunk in chunks))
    assert files(tmp_path) == ["conn1.out.24000hz.wav", "conn1.out.raw"]
    assert [say.frame.data for say in scripts_of(tape)[1]] == chunks


@pytest.mark.behaviour("tape-partial-loads")
def test_wav_of_a_killed_run_is_read_though_its_size_was_never_patched(tmp_path: Path) -> None:
    writer = MediaWriter(tmp_path)
    reference = writer.append("a", b"\1\2\3\4", pcm_rate_hz=24_000)
    writer.flush()
    assert (tmp_path / reference.file).read_bytes()[4:8] == (0xFFFFFFFF).to_bytes(4, "little")
    assert MediaReader(tmp_path, None).load(reference) == b"\1\2\3\4"
    assert writer.finish()[reference.file]["bytes"] == 4
    assert (tmp_path / reference.file).read_bytes()[40:44] == (4).to_bytes(4, "little")


def test_media_are_hashed_once_over_the_audio_alone(tmp_path: Path) -> None:
    first = MediaWriter(tmp_path / "a")
    second = MediaWriter(tmp_path / "b")
    first.append("x", b"\1\2\3\4", pcm_rate_hz=24_000)
    for chunk in (b"\1\2", b"\3\4"):
        second.append("x", chunk, pcm_rate_hz=24_000)
    assert first.finish() == second.finish()
    assert MediaWriter(tmp_path / "c").finish() == {}
    assert not (tmp_path / "c").exists()


def test_values_without_audio_come_in_as_they_are() -> None:
    def load(reference: MediaRef) -> bytes:
        raise AssertionError(reference)

    for value in (None, 5, "x", [1, [2]], {"$media": {"a": 1}, "b": 2}, {"$literal": 5}, {"$literal": [1], "b": 1}):
        assert audio_in(value, load) == value
