"""The cores of speaking without a connection: the text on its way, the audio as it comes, the quick reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.codec import tts_codec
from xai_realtime.events._base import encode_audio
from xai_realtime.events.tts import AudioDelta, TextDelta, TextDone
from xai_realtime.frames import Frame
from xai_realtime.protocol.tts_script import TtsScript
from xai_realtime.protocol.tts_track import TtsPiece, TtsTrack
from xai_realtime.quick_audio import QuickAudio


def sent(script: TtsScript) -> list[str]:
    """What can be sent now: texts, and `.` for a `text.done`."""
    out = []
    while (message := script.next_message()) is not None:
        out.append(message.delta if isinstance(message, TextDelta) else ".")
        assert isinstance(message, TextDelta | TextDone)
    return out


def delta(audio: bytes, **fields: object) -> AudioDelta:
    event = tts_codec.decode(
        Frame(json.dumps({"type": "audio.delta", "delta": encode_audio(audio), **fields}).encode())
    )
    assert isinstance(event, AudioDelta)
    return event


def test_script_sends_one_utterance_after_the_other() -> None:
    script = TtsScript()
    assert (script.has_more, script.has_begun, script.is_done_sent, script.next_message()) == (
        False,
        False,
        False,
        None,
    )
    script.mark()
    script.push("One")
    assert sent(script) == ["One"]
    script.push(" two")
    script.mark()
    script.mark()
    script.push("Three")
    assert script.waiting_messages == 2
    assert sent(script) == [" two", "."]
    assert script.is_done_sent
    script.spoken()
    assert not script.has_begun
    assert sent(script) == ["Three"]
    script.finish()
    assert sent(script) == ["."]
    assert not script.is_over
    script.spoken()
    assert script.is_over
    assert script.text_sent == "One twoThree"


def test_script_is_told_again_from_the_beginning_of_its_utterance() -> None:
    script = TtsScript()
    assert not script.rewind()
    script.push("One")
    script.mark()
    sent(script)
    script.spoken()
    script.push("Two")
    assert not script.rewind()
    sent(script)
    script.push(" three")
    script.finish()
    assert script.rewind()
    assert script.text_sent == "One"
    assert sent(script) == ["Two", " three", "."]
    assert script.rewind()
    assert sent(script) == ["Two", " three", "."]
    assert script.text_sent == "OneTwo three"


def test_script_that_ignores_marks_is_one_utterance() -> None:
    script = TtsScript(speaks_at_marks=False)
    script.push("One [pa")
    script.mark()
    script.push("use] two")
    script.finish()
    assert sent(script) == ["One ", "[pause] two", "."]
    assert script.is_finished


@given(st.lists(st.one_of(st.text(max_size=40), st.none()), max_size=12))
def test_script_ends_whatever_is_given_and_sends_no_blank_delta(items: list[str | None]) -> None:
    script = TtsScript()
    said = []
    for item in items:
        if item is None:
            script.mark()
        else:
            script.push(item)
    script.finish()
    while not script.is_over:
        part = sent(script)
        assert part[-1] == "."
        assert len(part) > 1
        assert not any(text.isspace() for text in part[:-1])
        said += part[:-1]
        script.spoken()
    assert "".join("".join(said).split()) == "".join("".join(filter(None, items)).split())


@pytest.mark.parametrize(("codec", "size"), [("pcm", 2), ("mulaw", 1), ("alaw", 1)])
def test_track_counts_samples_and_joins_them(codec: str, size: int) -> None:
    track = TtsTrack(codec, 8000)
    assert track.duration_ms == 0
    assert track.push(b"abc") == b"abc"[: 3 - 3 % size]
    piece = track.add(delta(b"d" * 13))
    assert piece is not None
    assert piece.start_ms == (3 - 3 % size) / size / 8
    assert track.duration_ms == 2 / size
    assert track.has_audio
    assert track.end_utterance() == 0
    assert not track.has_audio
    assert track.piece(b"dd") == TtsPiece(b"dd", (), track.duration_ms - 2 / size / 8, 2 / size / 8)
    track.push(b"x")
    assert track.end_utterance() == size - 1


@pytest.mark.parametrize("cut", range(1, 60))
def test_track_counts_the_samples_of_a_file_alone_wherever_its_header_is_cut(cut: int) -> None:
    file = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + b"\1\0" * 8 + b"data\xff\xff\xff\xff" + b"s" * 1600
    track = TtsTrack("wav", 8000)
    for _ in range(2):
        assert track.push(file[:cut]) + track.push(file[cut:]) == file
        track.end_utterance()
    assert track.duration_ms == 200


def test_track_of_mp3_has_the_length_that_is_stated() -> None:
    track = TtsTrack("mp3", 24_000)
    assert track.add(delta(b"x")) == TtsPiece(b"x", (), None, None)
    assert track.piece(b"x") == TtsPiece(b"x")
    assert track.duration_ms is None
    stamps = {"graph_chars": ["a"], "graph_times": [[0.0, 0.4]]}
    piece = track.add(delta(b"", audio_timestamps=stamps, audio_duration=0.5))
    assert piece is not None
    assert [character.text for character in piece.characters] == ["a"]
    assert track.add(delta(b"")) is None
    assert track.duration_ms == 500
    track.end_utterance()
    track.add(delta(b"", audio_timestamps=stamps))
    assert [word.start_s for word in track.words] == [0.0, 0.5]


@given(st.binary(max_size=60), st.sampled_from(["", " ", "\n "]), st.booleans())
def test_quick_reader_reads_what_the_codec_reads(audio: bytes, blank: str, is_compact: bool) -> None:
    quick = QuickAudio()
    data = json.dumps(
        {"type": "audio.delta", "delta": encode_audio(audio)}, separators=(",", ":") if is_compact else None
    ).encode()
    for _ in range(2):
        assert quick.read(blank.encode() + data) == audio
        assert quick.read(b'{"type":"audio.done"}') is None


@given(st.data())
def test_quick_reader_never_reads_anything_else_than_the_codec(data: st.DataObject) -> None:
    quick = QuickAudio()
    assert quick.read(b'{"type":"audio.delta","delta":"YWI="}') == b"ab"
    message = bytearray(b'{"type":"audio.delta","delta":"YWJjZGVmZ2hp"}')
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b'"', b",", b'","x":"', b"\\/", b"=", b" ", b"}", b"A", b'"}', b"\xff", b""])
        )
    read = quick.read(bytes(message))
    if read is not None:
        event = tts_codec.decode(Frame(bytes(message)))
        assert isinstance(event, AudioDelta)
        assert event.audio == read
        assert not event.model_extra
        assert event.audio_timestamps is None
