"""WAV files: of every kind that is read, hostile ones, broken ones, and written ones."""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import sys
import threading
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.audible import hear, speak
from xai_realtime.audio import (
    AudioConverter,
    AudioFormat,
    WavAudio,
    WavReader,
    WavWriter,
    audio_format,
    clipped_pcm16,
    from_pcm16,
    interleave,
    read_wav,
    to_pcm16,
    wav_header,
    write_wav,
)
from xai_realtime.errors import ConfigurationError

PCM_16K = AudioFormat("pcm", 16_000)
UNKNOWN = 0xFFFFFFFF


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)


def form(
    code: int = 1, bits: int = 16, channels: int = 1, rate_hz: int = 16_000, extra: bytes = b"", unit: int | None = None
) -> bytes:
    unit = (bits + 7) // 8 * channels % 65_536 if unit is None else unit
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate_hz, 0, unit, bits) + extra)


def riff(*chunks: bytes, size: int | None = None, kind: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack("<I", len(body) if size is None else size) + body


def made(data: bytes, size: int | None = None, **of_form: Any) -> bytes:
    return riff(form(**of_form), chunk(b"data", data, size))


def read(file: bytes) -> WavAudio:
    return read_wav(io.BytesIO(file))


class PipeEnd(io.RawIOBase):
    """A file that cannot be sought in, gives three bytes at a time, and takes five."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = bytes(self.content[: min(3, size)])
        del self.content[: len(data)]
        return data

    def write(self, data: Any) -> int:
        taken = bytes(data[:5])
        self.content += taken
        return len(taken)


Pipe: Any = PipeEnd

# Reading


@pytest.mark.behaviour("wav-reads-every-kind")
@pytest.mark.parametrize(
    ("data", "kind", "pcm"),
    [
        (bytes([0, 128, 255, 1]), {"bits": 8}, [-32768, 0, 32512, -32512]),
        (struct.pack("<3h", 1, -2, 32767), {}, [1, -2, 32767]),
        (b"\x80\x00\x00" b"\x7f\x00\x00" b"\xff\xff\x7f" b"\x00\x00\x80" b"\x80\xff\xff", {"bits": 24},
         [1, 0, 32767, -32768, 0]),
        (struct.pack("<4i", 0x8000, 0x7FFF, 2**31 - 1, -(2**31)), {"bits": 32}, [1, 0, 32767, -32768]),
        (struct.pack("<2i", 256 << 8, -(2**31)), {"bits": 24, "unit": 4}, [1, -32768]),
        (struct.pack("<2h", 16, -32768), {"bits": 12}, [16, -32768]),
        (struct.pack("<7f", 0.5, 1.0, -1.0, 4.0, -math.inf, math.inf, math.nan), {"code": 3, "bits": 32},
         [16384, 32767, -32768, 32767, -32768, 32767, 0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_extensible", [False, True])
def test_samples_of_every_width_are_read_as_16_bits_and_clipped(
    data: bytes, kind: dict[str, Any], pcm: list[int], is_extensible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    if is_extensible:
        code = kind.get("code", 1)
        more = struct.pack("<HHIH", 22, kind.get("bits", 16), 0, code) + bytes.fromhex("000000001000800000aa00389b71")
        kind = {**kind, "code": 0xFFFE, "extra": more}
        if kind.pop("unit", None):
            kind["bits"] = 32  # those that are kept, of which 24 count
    found = read(made(data, **kind))
    assert found == WavAudio(clipped_pcm16(pcm), PCM_16K, 1, False)
    assert repr(found).count("\\x") == 0


@pytest.mark.behaviour("wav-reads-every-kind")
@pytest.mark.parametrize(("encoding", "code"), [("pcma", 6), ("pcmu", 7)])
def test_g711_is_given_as_it_is(encoding: str, code: int) -> None:
    audio = from_pcm16(speak("On the phone.", sample_rate_hz=8_000), encoding)
    file = riff(
        form(code, 8, rate_hz=8_000, extra=b"\0\0"),
        chunk(b"fact", struct.pack("<I", len(audio))),
        chunk(b"data", audio),
    )
    found = read(file)
    assert found.format == audio_format(encoding)
    assert found.audio == audio
    assert found.duration_ms == len(audio) / 8
    assert hear(to_pcm16(found.audio, encoding), sample_rate_hz=8_000) == "On the phone."


@pytest.mark.behaviour("wav-reads-every-kind")
def test_chunks_beside_the_audio_are_passed_over_and_odd_ones_are_padded() -> None:
    found = read(riff(chunk(b"LIST", b"abc"), form(), chunk(b"bext", b"x" * 300_001), chunk(b"data", b"\1\2\3\4"),
                      chunk(b"data", b"ignored!"), b"more"))  # fmt: skip
    assert found.audio == b"\1\2\3\4"
    assert not found.is_truncated


@pytest.mark.behaviour("wav-reads-streams")
@pytest.mark.parametrize(("whole", "size"), [(UNKNOWN, UNKNOWN), (0, 0), (36, 0), (UNKNOWN, 0), (1_000, UNKNOWN)])
def test_file_written_as_a_stream_is_read_to_its_end(whole: int, size: int) -> None:
    pcm = speak("Live.", sample_rate_hz=16_000)
    file = riff(form(), chunk(b"data", pcm + b"\1", size)[:-1], size=whole)
    with WavReader(Pipe(file)) as reader:
        assert reader.duration_ms is None
        assert reader.read() == pcm
        assert not reader.is_truncated


@pytest.mark.behaviour("wav-reads-streams")
def test_empty_audio_is_empty_where_something_follows_it() -> None:
    file = riff(form(), chunk(b"data", b""), chunk(b"LIST", b"a title"))
    with WavReader(io.BytesIO(file)) as reader:
        assert (reader.duration_ms, reader.read(), reader.is_truncated) == (0, b"", False)


@pytest.mark.behaviour("wav-reads-streams")
def test_large_file_states_its_length_before_its_format() -> None:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 2**33, 6, 3, 0))
    file = riff(sizes, form(), chunk(b"data", b"\1\2\3\4\5\6beyond", UNKNOWN), size=UNKNOWN, kind=b"RF64")
    assert read(file).audio == b"\1\2\3\4\5\6"


@pytest.mark.behaviour("wav-reads-what-is-there")
@given(lost=st.integers(1, 60), channels=st.integers(1, 3), frame_ms=st.sampled_from([0.5, 1, 20]))
def test_truncated_audio_is_given_as_far_as_it_goes(lost: int, channels: int, frame_ms: float) -> None:
    pcm = bytes(range(60))
    with WavReader(io.BytesIO(made(pcm, channels=channels)[:-lost])) as reader:
        assert not reader.is_truncated
        assert reader.duration_ms == 30 // channels / 16
        got = b"".join(reader.frames(frame_ms))
        assert got == pcm[: (60 - lost) // (2 * channels) * 2 * channels]
        assert reader.is_truncated
        assert reader.read() == b""


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_cut_sample_at_the_end_is_dropped_and_does_not_count_as_truncated(extra: int) -> None:
    found = read(made(b"\1\2\3\4" + bytes(extra), channels=2))
    assert (found.audio, found.is_truncated) == (b"\1\2\3\4", False)


@pytest.mark.parametrize(("rate_hz", "frame_ms"), [(48_000, 20), (22_050, 10), (44_100, 2.5)])
def test_frames_are_whole_samples_of_all_channels_and_lose_no_time(rate_hz: int, frame_ms: float) -> None:
    data = bytes(range(250)) * 96
    with WavReader(Pipe(made(data, bits=24, channels=2, rate_hz=rate_hz))) as reader:
        assert (reader.channels, reader.format) == (2, AudioFormat("pcm", rate_hz))
        frames = list(reader.frames(frame_ms))
    samples = 0
    for number, frame in enumerate(frames[:-1], 1):
        assert len(frame) % 4 == 0
        samples += len(frame) // 4
        assert samples == int(number * frame_ms * rate_hz // 1000)
    assert len(frames[-1]) <= len(frames[0]) + 4
    assert b"".join(frames) == read(made(data, bits=24, channels=2)).audio
    assert len(b"".join(frames)) == 16_000


def test_frames_refuse_a_length_without_a_sample() -> None:
    with WavReader(io.BytesIO(made(b""))) as reader, pytest.raises(ConfigurationError, match="holds no sample"):
        reader.frames(0.01)


@pytest.mark.behaviour("wav-hostile-is-bounded")
@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (b"", "no WAV"),
        (b"RIFF", "no WAV"),
        (b"OggS" + bytes(100), "no WAV"),
        (b"RIFX" + riff(form())[4:], "no WAV"),
        (riff(), "ends before its audio"),
        (riff(form()), "ends before its audio"),
        (riff(form())[:30], "ends before its audio"),
        (riff(form(), b"da"), "ends before its audio"),
        (riff(form(), chunk(b"LIST", b"x", 1_000)), "ends before its audio"),
        (riff(chunk(b"data", b"\1\2")), "does not describe its format"),
        (riff(chunk(b"fmt ", bytes(14)), chunk(b"data", b"\1\2")), "does not describe its format"),
        (riff(chunk(b"fmt ", b"", 2**31)), "format in 2147483648 bytes"),
        (riff(chunk(b"junk", b"", 2**32 - 2)), "within its first 16777216 bytes"),
        (riff(*[chunk(b"junk", b"")] * 1_001), "within its first 1000 chunks"),
        (riff(chunk(b"ds64", b"short"), *[chunk(b"ds64", b"", UNKNOWN)]), "within its first 16777216 bytes"),
        (made(b"", channels=0), "0 channels"),
        (made(b"", channels=65_535), "65535 channels"),
        (made(b"", rate_hz=0), "0 samples a second"),
        (made(b"", rate_hz=2**32 - 1), "4294967295 samples a second"),
        (made(b"", bits=0), "0 bits in format 0x1"),
        (made(b"", bits=65_535, unit=2), "65535 bits"),
        (made(b"", bits=64, code=3), "64 bits in format 0x3; .* floats of 32 bits"),
        (made(b"", bits=4, code=0x11), "4 bits in format 0x11"),
        (made(b"", code=0xFFFE), "format 0xfffe"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(file: bytes, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^the file .*{problem}"):
        read(file)


@pytest.mark.behaviour("wav-hostile-is-bounded")
@settings(max_examples=120)
@given(st.binary(max_size=80), st.integers(0, 60))
def test_header_of_random_bytes_is_read_or_refused(noise: bytes, at: int) -> None:
    file = bytearray(made(bytes(range(40)), channels=2))
    file[at : at + len(noise)] = noise
    try:
        found = read(bytes(file))
    except ConfigurationError:
        return
    assert len(found.audio) <= 4 * len(file)


@pytest.mark.behaviour("wav-hostile-is-bounded")
def test_claimed_lengths_take_no_memory() -> None:
    file = made(bytes(100), size=2**32 - 2, channels=32, rate_hz=768_000, bits=32)
    tracemalloc.start()
    try:
        with WavReader(io.BytesIO(file)) as reader:
            assert list(reader.frames(10_000_000)) == []
            assert reader.is_truncated
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_path_is_named_in_what_is_refused_and_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"MZ")
    with pytest.raises(ConfigurationError, match=r"call\.wav is no WAV"):
        WavReader(path)
    with pytest.raises(FileNotFoundError):
        WavReader(str(tmp_path / "none.wav"))
    write_wav(path, b"\1\2", PCM_16K)
    with WavReader(str(path)) as reader:
        pass
    with pytest.raises(ValueError, match="closed"):
        reader.read()
    reader.close()


def test_open_file_is_left_open() -> None:
    file = io.BytesIO()
    file.write(b"before")
    with WavWriter(file, PCM_16K) as writer:
        writer.write(b"\1\2")
    assert file.tell() == 6 + 46
    file.seek(6)
    with WavReader(file) as reader:
        assert reader.read() == b"\1\2"
    assert not file.closed


# Writing


@pytest.mark.behaviour("wav-comes-back")
@settings(max_examples=60)
@given(
    audio=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    channels=st.integers(1, 32),
    encoding=st.sampled_from(["pcm", "pcmu", "pcma"]),
    rate_hz=st.integers(1, 768_000),
)
def test_what_was_written_in_pieces_comes_back_whole(
    audio: bytes, cuts: list[int], channels: int, encoding: Any, rate_hz: int
) -> None:
    file = io.BytesIO()
    written = AudioFormat(encoding, rate_hz)
    edges = sorted({0, len(audio), *(cut for cut in cuts if cut < len(audio))})
    with WavWriter(file, written, channels) as writer:
        for begin, end in itertools.pairwise(edges):
            writer.write(memoryview(audio)[begin:end])
    unit = written.sample_bytes * channels
    whole = audio[: len(audio) // unit * unit]
    content = file.getvalue()
    assert len(content) % 2 == 0
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    assert read(content) == WavAudio(whole, written, channels, False)
    assert writer.duration_ms == len(whole) // unit * 1000 / rate_hz


@pytest.mark.behaviour("wav-comes-back")
def test_written_pcm_is_read_by_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    pcm = interleave([speak("left"), speak("right")[: len(speak("left"))].ljust(len(speak("left")), b"\0")])
    write_wav(path, pcm, audio_format(), channels=2)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 24_000)
        assert file.readframes(file.getnframes()) == pcm


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_written_g711_is_read_by_others(encoding: str) -> None:
    av = pytest.importorskip("av", reason="PyAV is an extra")
    audio = from_pcm16(speak("Anyone there?", sample_rate_hz=8_000), encoding)
    file = io.BytesIO()
    write_wav(file, audio, audio_format(encoding))
    file.seek(0)
    with av.open(file) as container:
        pcm = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in container.decode(audio=0))
    assert pcm == to_pcm16(audio, encoding)


@pytest.mark.behaviour("wav-reads-streams")
@pytest.mark.parametrize("encoding", ["pcm", "pcmu"])
def test_pipe_gets_lengths_that_nobody_knows_and_every_byte(encoding: str) -> None:
    pipe = Pipe()
    written = audio_format(encoding, 8_000)
    with WavWriter(pipe, written) as writer:
        writer.write(b"\1\2\3\4\5\6\7")
        writer.write(b"\x08\x09")
    content = bytes(pipe.content)
    whole = b"\1\2\3\4\5\6\7\x08\x09"[: 8 if encoding == "pcm" else 9]
    assert content == wav_header(written) + whole
    assert struct.unpack_from("<I", content, 4)[0] == UNKNOWN
    assert read(content) == WavAudio(whole, written, 1, False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name here")
def test_named_pipe_is_written_and_read_at_once(tmp_path: Path) -> None:
    path, found = tmp_path / "pipe", []
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: found.append(read_wav(path)))
    thread.start()
    write_wav(path, b"\1\2" * 100_000, PCM_16K)
    thread.join(5)
    assert found == [WavAudio(b"\1\2" * 100_000, PCM_16K, 1, False)]


def test_file_is_whole_when_the_body_fails_and_readable_when_nobody_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(LookupError), WavWriter(path, PCM_16K) as writer:
        writer.write(b"\1\2\3")
        raise LookupError
    assert path.read_bytes() == wav_header(PCM_16K, data_bytes=2) + b"\1\2"
    with pytest.raises(ConfigurationError, match="ended"):
        writer.write(b"")
    writer.close()
    killed = io.BytesIO()
    WavWriter(killed, PCM_16K).write(b"\1\2\3\4")
    assert read(killed.getvalue()).audio == b"\1\2\3\4"


def test_writer_closes_its_file_when_it_cannot_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[io.BytesIO] = []

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError("no space left")

    def open_full(path: object, mode: str) -> io.BytesIO:
        opened.append(Full())
        return opened[0]

    monkeypatch.setattr("builtins.open", open_full)
    with pytest.raises(OSError, match="no space"):
        WavWriter(tmp_path / "a.wav", PCM_16K)
    assert opened[0].closed


def test_file_that_tells_nothing_of_what_it_took_is_written_once() -> None:
    class Silent(io.BytesIO):
        def write(self, data: Any) -> Any:
            super().write(data)

    file = Silent()
    write_wav(file, b"\1\2", PCM_16K)
    assert read(file.getvalue()).audio == b"\1\2"


@pytest.mark.parametrize(
    ("written", "channels", "named"),
    [
        (audio_format("opus"), 1, "opus"),
        (AudioFormat("pcm", 0), 1, "the rate is a whole number from 1 to 768000, not 0"),
        (AudioFormat("pcm", 768_001), 1, "768001"),
        (PCM_16K, 0, "channels .* 1 to 32, not 0"),
        (PCM_16K, 33, "channels"),
    ],
)
def test_writer_refuses_what_no_file_holds_before_one_is_made(
    written: AudioFormat, channels: int, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        WavWriter(tmp_path / "a.wav", written, channels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["pcm", "pcma"])
def test_length_beyond_what_can_be_stated_is_left_unknown(encoding: str) -> None:
    written = audio_format(encoding, 8_000)
    assert wav_header(written, data_bytes=2**32) == wav_header(written)
    assert wav_header(written, data_bytes=2**32 - 100) != wav_header(written)


@pytest.mark.behaviour("wav-reads-every-kind")
def test_file_of_44_khz_stereo_is_heard_after_the_converter() -> None:
    said = speak("Read me out.", sample_rate_hz=44_100)
    file = io.BytesIO()
    write_wav(file, interleave([said, said]), AudioFormat("pcm", 44_100), channels=2)
    file.seek(0)
    with WavReader(file) as wav:
        converter = AudioConverter(audio_format(), rate_hz=wav.format.rate_hz, channels=wav.channels)
        sent = b"".join([converter.push(frame) for frame in wav.frames(20)]) + converter.flush()
    assert hear(sent) == "Read me out."
