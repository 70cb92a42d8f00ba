"""Formats, durations, G.711, whole samples and frames."""

from __future__ import annotations

import hashlib
import itertools
import struct
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.audio import (
    PCM_RATES_HZ,
    AudioFormat,
    Framer,
    SampleAligner,
    audio_format,
    bytes_for_ms,
    clipped_pcm16,
    duration_ms,
    from_pcm16,
    pcm16_to_pcma,
    pcm16_to_pcmu,
    pcma_to_pcm16,
    pcmu_to_pcm16,
    silence,
    to_pcm16,
)
from xai_realtime.errors import ConfigurationError

EVERY_SAMPLE = struct.pack("<65536h", *range(-32768, 32768))
EVERY_CODE = bytes(range(256))


@pytest.mark.behaviour("audio-formats-are-checked")
@pytest.mark.parametrize(
    ("encoding", "rate_hz", "expected"),
    [
        ("pcm", None, AudioFormat("pcm", 24_000)),
        ("audio/pcm", 22_050, AudioFormat("pcm", 22_050)),
        ("pcmu", None, AudioFormat("pcmu", 8_000)),
        ("audio/pcma", 8_000, AudioFormat("pcma", 8_000)),
        ("opus", None, AudioFormat("opus", 24_000)),
    ],
)
def test_audio_format_is_made_when_the_service_accepts_it(
    encoding: str, rate_hz: int | None, expected: AudioFormat
) -> None:
    made = audio_format(encoding, rate_hz)
    assert made == expected
    assert made.wire_type == f"audio/{made.encoding}"


@pytest.mark.behaviour("audio-formats-are-checked")
@pytest.mark.parametrize(
    ("encoding", "rate_hz", "named"),
    [
        ("pcm", 21_050, "22050"),
        ("pcm", 0, "8000"),
        ("pcm", True, "8000"),
        ("pcmu", 16_000, "allowed: 8000"),
        ("pcma", 24_000, "allowed: 8000"),
        ("opus", 48_000, "allowed: 24000"),
        ("mp3", None, "pcm, pcmu, pcma, opus"),
    ],
)
def test_audio_format_is_refused_with_what_is_allowed_when_the_service_does_not_know_it(
    encoding: str, rate_hz: int | None, named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        audio_format(encoding, rate_hz)


def test_duration_counts_whole_samples_when_a_byte_is_odd() -> None:
    assert duration_ms(b"\0" * 4801, 24_000) == 100
    assert duration_ms(memoryview(bytes(800)), 8_000, encoding="pcmu") == 100
    assert duration_ms(48_000, 24_000) == 1000
    assert duration_ms(bytearray(), 24_000) == 0


def test_bytes_for_ms_are_whole_samples_when_the_rate_has_none_per_millisecond() -> None:
    assert bytes_for_ms(100, 24_000) == 4800
    assert bytes_for_ms(1, 22_050) == 44
    assert bytes_for_ms(100, 8_000, encoding="pcma") == 800
    assert bytes_for_ms(-5, 8_000) == bytes_for_ms(0, 8_000) == 0


def test_silence_has_the_silent_byte_of_its_encoding() -> None:
    assert silence(1, 8_000) == bytes(16)
    assert silence(1, 8_000, encoding="pcmu") == b"\xff" * 8
    assert silence(1, 8_000, encoding="pcma") == b"\xd5" * 8
    for encoding in ("pcmu", "pcma"):
        loudest = max(abs(value[0]) for value in struct.iter_unpack("<h", to_pcm16(silence(1, 8_000), "pcm")))
        assert loudest == 0
        assert abs(struct.unpack("<h", to_pcm16(silence(1, 8_000, encoding=encoding)[:1], encoding))[0]) <= 8


@pytest.mark.parametrize("rate_hz", [0, -8_000, True, 8_000.0])
def test_duration_refuses_what_is_no_rate(rate_hz: int) -> None:
    with pytest.raises(ConfigurationError, match="sample rate"):
        duration_ms(b"", rate_hz)


def test_opus_has_no_duration_by_its_size() -> None:
    with pytest.raises(ConfigurationError, match="opus"):
        duration_ms(b"", 24_000, encoding="opus")
    with pytest.raises(ConfigurationError, match="opus"):
        _ = audio_format("opus").sample_bytes
    with pytest.raises(ConfigurationError, match="opus"):
        to_pcm16(b"", "opus")
    with pytest.raises(ConfigurationError, match="opus"):
        from_pcm16(b"", "opus")


def test_clipping_holds_samples_at_the_edge_when_they_are_too_loud() -> None:
    assert clipped_pcm16([40_000, -40_000, 1.4, -0.5, 32767.4]) == struct.pack("<5h", 32767, -32768, 1, 0, 32767)


@pytest.mark.behaviour("audio-g711-is-exact")
@pytest.mark.parametrize(
    ("function", "data", "sha256"),
    [
        (pcm16_to_pcmu, EVERY_SAMPLE, "81d633c9e6972a18c74a58720b96cb8ca0bdd096d4060b646dd708c3b846019a"),
        (pcm16_to_pcma, EVERY_SAMPLE, "38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b"),
        (pcmu_to_pcm16, EVERY_CODE, "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"),
        (pcma_to_pcm16, EVERY_CODE, "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174"),
    ],
)
def test_g711_gives_the_standard_tables_for_every_input(function: object, data: bytes, sha256: str) -> None:
    assert callable(function)
    assert hashlib.sha256(function(data)).hexdigest() == sha256


@pytest.mark.behaviour("audio-g711-is-exact")
def test_g711_agrees_with_the_standard_library_where_it_still_has_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop")
    assert pcm16_to_pcmu(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert pcm16_to_pcma(EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE, 2)
    assert pcmu_to_pcm16(EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)
    assert pcma_to_pcm16(EVERY_CODE) == audioop.alaw2lin(EVERY_CODE, 2)


@pytest.mark.behaviour("audio-g711-is-exact")
@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_code_comes_back_when_it_was_decoded(encoding: str) -> None:
    back = from_pcm16(to_pcm16(EVERY_CODE, encoding), encoding)
    two_zeros = {0x7F} if encoding == "pcmu" else set()
    assert {code for code in range(256) if back[code] != code} == two_zeros


@pytest.mark.parametrize("encoding", ["pcm", "pcmu", "pcma"])
def test_conversion_drops_half_a_sample_at_the_end(encoding: str) -> None:
    pcm = struct.pack("<3h", 1000, -1000, 5)
    assert from_pcm16(pcm + b"\x01", encoding) == from_pcm16(pcm, encoding)
    assert len(from_pcm16(pcm[:3], encoding)) == (2 if encoding == "pcm" else 1)
    assert from_pcm16(b"", encoding) == to_pcm16(b"", encoding) == b""


@pytest.mark.behaviour("audio-keeps-whole-samples")
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_aligner_gives_whole_samples_when_chunks_are_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    aligner = SampleAligner()
    parts = [aligner.push(data[begin:end]) for begin, end in itertools.pairwise(edges)]
    assert all(len(part) % 2 == 0 for part in parts)
    assert b"".join(parts) == data[: len(data) // 2 * 2]
    assert aligner.pending_bytes == len(data) % 2


def test_aligner_forgets_the_odd_byte_when_it_is_reset() -> None:
    aligner = SampleAligner()
    assert aligner.push(b"abc") == b"ab"
    aligner.reset()
    assert aligner.push(b"de") == b"de"
    with pytest.raises(ConfigurationError):
        SampleAligner(0)


@pytest.mark.behaviour("audio-keeps-whole-samples")
@given(
    rate_hz=st.sampled_from(PCM_RATES_HZ),
    frame_ms=st.sampled_from([1, 2.5, 10, 20, 33]),
    size=st.integers(0, 9_000),
    chunk=st.integers(1, 3_000),
)
def test_framer_gives_whole_samples_and_loses_no_time_when_chunks_are_cut_anywhere(
    rate_hz: int, frame_ms: float, size: int, chunk: int
) -> None:
    data = (bytes(range(1, 256)) * 36)[:size]
    framer = Framer(audio_format("pcm", rate_hz), frame_ms)
    frames = [frame for begin in range(0, size, chunk) for frame in framer.push(data[begin : begin + chunk])]
    samples = 0
    for number, frame in enumerate(frames):
        assert len(frame) % 2 == 0
        samples += len(frame) // 2
        assert samples == int((number + 1) * frame_ms * rate_hz // 1000)
    assert framer.pending_bytes == size - 2 * samples
    assert b"".join(frames) == data[: 2 * samples]


@pytest.mark.behaviour("audio-keeps-whole-samples")
@pytest.mark.parametrize(("encoding", "silent"), [("pcm", b"\0"), ("pcmu", b"\xff"), ("pcma", b"\xd5")])
def test_framer_fills_the_last_frame_with_silence_when_it_is_flushed(encoding: str, silent: bytes) -> None:
    form = audio_format(encoding, 8_000)
    framer = Framer(form, 20)
    size = 160 * form.sample_bytes
    assert framer.push(b"\x11" * (size + 10)) == [b"\x11" * size]
    assert framer.flush() == b"\x11" * 10 + silent * (size - 10)
    assert framer.flush() is None


@pytest.mark.behaviour("audio-keeps-whole-samples")
def test_framer_drops_half_a_sample_when_it_is_flushed() -> None:
    framer = Framer(audio_format("pcm", 22_050), 10)
    framer.push(b"\x11" * 3)
    assert framer.flush() == b"\x11\x11" + bytes(438)
    framer.push(b"\x11")
    assert framer.flush() is None


def test_framer_refuses_frames_without_a_sample() -> None:
    with pytest.raises(ConfigurationError, match="holds no sample"):
        Framer(audio_format("pcm", 8_000), 0.1)
    with pytest.raises(ConfigurationError, match="opus"):
        Framer(audio_format("opus"), 20)


@pytest.mark.parametrize("frame_ms", [0, -20, float("nan"), float("inf")])
def test_framer_refuses_what_is_no_length(frame_ms: float) -> None:
    with pytest.raises(ConfigurationError, match="holds no sample"):
        Framer(audio_format("pcm", 8_000), frame_ms)
