"""Spoken pieces joined to one file: samples whole, one WAV head, the frames of MP3 alone."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.errors import RemoteProtocolError
from xai_realtime.protocol.tts_joining import JoinedSpeech, joined_speech, mp3_frame

SOUND = bytes(range(1, 201))
MPEG2_24K_64K = b"\xff\xf3\x84\xc4"
"""MPEG 2, layer III, 64 kbit/s, 24 kHz, mono: 192 bytes and 24 ms."""
MPEG1_44K_128K_STEREO = b"\xff\xfb\x90\x44"
MPEG25_8K_32K = b"\xff\xe3\x48\xc4"


def wav(
    data: bytes, *, stated: int | None = None, before: bytes = b"", after: bytes = b"", rate_hz: int = 24_000
) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    size = len(data) if stated is None else stated
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + data + after
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def frame(fill: int, head: bytes = MPEG2_24K_64K, *, index: bytes = b"") -> bytes:
    known = mp3_frame(head)
    assert known is not None
    body = bytearray([fill]) * (known.size_bytes - 4)
    if index:
        body[known.index_at - 4 : known.index_at] = index
    return head + bytes(body)


def id3(body: bytes, *, footer: bool = False) -> bytes:
    size = bytes([0, 0, len(body) >> 7, len(body) & 0x7F])
    head = b"ID3\x04\x00" + (b"\x10" if footer else b"\x00") + size
    return head + body + (b"3DI" + head[3:] if footer else b"")


def joined(
    codec: str, pieces: Sequence[bytes], cuts: Iterable[int] = (7,), rate_hz: int = 24_000
) -> tuple[bytes, JoinedSpeech]:
    """The file, its first bytes replaced where they must be, each piece having come in chunks of these sizes."""
    speech = joined_speech(codec, rate_hz, len(pieces))
    made = b""
    sizes = list(cuts)
    for piece in pieces:
        at = number = 0
        while at < len(piece):
            size = sizes[number % len(sizes)]
            made += speech.push(piece[at : at + size])
            at, number = at + size, number + 1
        speech.end_piece()
    made += speech.finish()
    head = speech.head()
    return (made if head is None else head + made[len(head) :]), speech


def read(data: bytes) -> tuple[int, bytes]:
    with wave.open(io.BytesIO(data)) as file:
        return file.getframerate(), file.readframes(file.getnframes())


@pytest.mark.parametrize(("codec", "ms"), [("pcm", 200 / 2 / 8), ("mulaw", 200 / 8), ("alaw", 200 / 8)])
@pytest.mark.behaviour("tts-files-joined")
def test_raw_pieces_stand_one_behind_the_other_with_their_length_counted_by_samples(codec: str, ms: float) -> None:
    made, speech = joined(codec, [SOUND[:120], SOUND[120:]], rate_hz=8000)
    assert made == SOUND
    assert speech.duration_ms == ms
    assert speech.head() is None


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.sampled_from(["pcm", "mulaw", "wav", "mp3"]))
@pytest.mark.behaviour("tts-files-joined")
def test_joined_file_is_the_same_however_the_pieces_are_cut(cuts: list[int], codec: str) -> None:
    pieces = {
        "pcm": [SOUND, SOUND],
        "mulaw": [SOUND, SOUND],
        "wav": [wav(SOUND, before=chunk(b"LIST", b"abc")), wav(SOUND, after=chunk(b"LIST", b"xyz"))],
        "mp3": [id3(b"a" * 200) + frame(1) + frame(2), frame(3, index=b"Info") + frame(4) + b"TAG" + b"z" * 125],
    }[codec]
    whole = joined(codec, pieces, [10_000])
    parted = joined(codec, pieces, cuts)
    assert parted[0] == whole[0]
    assert parted[1].duration_ms == whole[1].duration_ms


@pytest.mark.behaviour("tts-files-chunks-aligned")
def test_raw_chunks_are_whole_samples_when_they_came_cut() -> None:
    speech = joined_speech("pcm", 24_000, 1)
    assert [len(speech.push(SOUND[at : at + 7])) % 2 for at in range(0, 70, 7)] == [0] * 10


@pytest.mark.behaviour("tts-files-cut")
def test_odd_byte_at_the_end_of_pcm_is_told_as_cut() -> None:
    speech = joined_speech("pcm", 24_000, 1)
    speech.push(SOUND[:5])
    with pytest.raises(RemoteProtocolError, match="middle of a sample"):
        speech.end_piece()


@pytest.mark.behaviour("tts-files-joined")
def test_wav_pieces_have_one_head_that_states_the_length_of_all() -> None:
    made, speech = joined("wav", [wav(SOUND), wav(SOUND[:100], stated=0), wav(SOUND, stated=0xFFFFFFFF)])
    assert read(made) == (24_000, SOUND + SOUND[:100] + SOUND)
    assert struct.unpack_from("<I", made, 4)[0] == len(made) - 8
    assert speech.duration_ms == pytest.approx(250 / 24)


@pytest.mark.behaviour("tts-files-joined")
def test_single_wav_that_states_its_length_has_its_final_head_from_the_start() -> None:
    speech = joined_speech("wav", 24_000, 1)
    made = speech.push(wav(SOUND))
    speech.end_piece()
    assert made == wav(SOUND)
    assert speech.head() is None


@pytest.mark.parametrize("stated", [0, 0x7FFFF000, 0xFFFFFFFF])
@pytest.mark.behaviour("tts-files-joined")
def test_streamed_wav_gets_its_length_at_the_end_when_its_head_states_none(stated: int) -> None:
    speech = joined_speech("wav", 24_000, 1)
    first = speech.push(wav(SOUND, stated=stated))
    speech.end_piece()
    assert struct.unpack_from("<I", first, 40)[0] == 0xFFFFFFFF
    assert speech.head() == wav(SOUND)[:44]


def test_wav_states_the_rate_of_its_own_format_when_that_is_another() -> None:
    made, speech = joined("wav", [wav(SOUND, rate_hz=8000)])
    assert (speech.rate_hz, speech.duration_ms) == (8000, 12.5)
    assert read(made)[0] == 8000


def test_wav_of_eight_bits_ends_on_an_even_byte() -> None:
    form = struct.pack("<HHIIHHH", 7, 1, 8000, 8000, 1, 8, 0)
    body = chunk(b"fmt ", form) + b"data" + struct.pack("<I", 3) + b"abc"
    made, speech = joined("wav", [b"RIFF\0\0\0\0WAVE" + body])
    assert made.endswith(b"abc\0")
    assert struct.unpack_from("<I", made, 4)[0] == len(made) - 8
    assert speech.duration_ms == 0.375


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (wav(SOUND)[:30], "within the head"),
        (wav(SOUND)[:-10], "10 bytes of its WAV are missing"),
        (wav(SOUND[:99], stated=0), "middle of a sample"),
        (b"ID3" + b"\0" * 60, "does not begin"),
        (b"RIFF\0\0\0\0AVI " + b"\0" * 60, "does not begin"),
        (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "does not state its format"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", bytes(16)) + b"data\4\0\0\0abcd", "states no rate"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"LIST", bytes(70_000)), "has no end"),
    ],
)
@pytest.mark.behaviour("tts-files-cut")
def test_wav_that_is_cut_or_none_is_told(piece: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        joined("wav", [piece], [4096])


def test_wav_pieces_of_different_formats_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="differ"):
        joined("wav", [wav(SOUND), wav(SOUND, rate_hz=8000)])


@pytest.mark.parametrize(
    ("head", "size_bytes", "samples", "rate_hz"),
    [
        (MPEG2_24K_64K, 192, 576, 24_000),
        (MPEG1_44K_128K_STEREO, 417, 1152, 44_100),
        (b"\xff\xfb\x92\x44", 418, 1152, 44_100),
        (MPEG25_8K_32K, 288, 576, 8000),
    ],
)
def test_mp3_frame_is_read_as_its_head_states(head: bytes, size_bytes: int, samples: int, rate_hz: int) -> None:
    known = mp3_frame(head)
    assert known is not None
    assert (known.size_bytes, known.samples, known.rate_hz) == (size_bytes, samples, rate_hz)


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xf3\x84",
        b"ABCD",
        b"\xff\x03\x84\xc4",
        b"\xff\xf5\x84\xc4",
        b"\xff\xeb\x84\xc4",
        b"\xff\xf3\x04\xc4",
        b"\xff\xf3\xf4\xc4",
        b"\xff\xf3\x8c\xc4",
    ],
)
def test_mp3_frame_is_none_when_the_bytes_begin_none(head: bytes) -> None:
    assert mp3_frame(head) is None


@pytest.mark.behaviour("tts-files-joined")
def test_single_mp3_passes_as_it_came_with_its_frames_counted() -> None:
    piece = id3(b"title" * 30) + frame(0, index=b"Xing") + frame(1) + frame(2) + b"TAG" + b"x" * 125
    made, speech = joined("mp3", [piece])
    assert made == piece
    assert speech.duration_ms == 48.0


@pytest.mark.parametrize("index", [b"Xing", b"Info"])
@pytest.mark.behaviour("tts-files-joined")
def test_mp3_pieces_are_joined_by_their_frames_without_tags_and_indexes(index: bytes) -> None:
    pieces = [
        id3(b"one" * 99) + frame(0, index=index) + frame(1) + frame(2) + b"TAG" + b"x" * 125,
        id3(b"two", footer=True) + frame(0, index=index) + frame(3),
        frame(4) + frame(5)[:100],
    ]
    made, speech = joined("mp3", pieces)
    assert made == frame(1) + frame(2) + frame(3) + frame(4)
    assert speech.duration_ms == 4 * 24.0


def test_mp3_index_of_fraunhofer_encoders_is_left_out_too() -> None:
    vbri = bytearray(frame(0))
    vbri[36:40] = b"VBRI"
    made, _ = joined("mp3", [frame(1), bytes(vbri) + frame(2)])
    assert made == frame(1) + frame(2)


def test_mp3_without_a_frame_has_no_duration_alone_and_cannot_be_joined() -> None:
    made, speech = joined("mp3", [b"no frames at all, but Id and ID3"])
    assert (made, speech.duration_ms) == (b"no frames at all, but Id and ID3", None)
    with pytest.raises(RemoteProtocolError, match="no frame"):
        joined("mp3", [frame(1), b"nothing"])
