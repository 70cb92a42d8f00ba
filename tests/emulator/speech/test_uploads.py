"""Forms read as they arrive, and audio files of many kinds."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.audible import hear, speak
from xai_realtime.audio import AudioFormat, from_pcm16, wav_header
from xai_realtime.emulator import containers
from xai_realtime.emulator.containers import Recording, channels_of, raw_recording, read_container
from xai_realtime.emulator.multipart import BadForm, FormReader, boundary_of
from xai_realtime.emulator.query import BadSetting

FORM = (
    b'a preamble\r\n--XX\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n'
    b"--XX\r\ncontent-disposition: form-data; name=keyterm\r\n\r\none\r\ntwo --XX\r\n"
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a \\"b\\".wav"\r\nContent-Type: audio/wav\r\n\r\n'
    b'\x00\r\n--X\xff\r\n--XX\r\nContent-Disposition: form-data; name="late"\r\n\r\nx\r\n--XX--\r\nan epilogue'
)


def read(form: bytes, size: int = 10_000, **more: Any) -> FormReader:
    reader = FormReader(b"XX", **{"max_file_bytes": 1000, **more})
    for at in range(0, len(form), size):
        reader.feed(form[at : at + size])
    return reader


def wav(
    pcm: bytes, *, code: int = 1, bits: int = 16, channels: int = 1, rate_hz: int = 16_000, extra: bytes = b""
) -> bytes:
    """A WAV file with a chunk before its samples."""
    form = struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * channels * bits // 8, channels * bits // 8, bits)
    form += extra
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"junk" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


def made_with_pyav(name: str, codec: str, **more: Any) -> bytes:
    """A file of another container: a spoken text."""
    av = pytest.importorskip("av", reason="PyAV is an extra")
    pcm, file = speak("From a container."), io.BytesIO()
    with av.open(file, "w", format=name) as container:
        stream = container.add_stream(codec, rate=24_000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate, frame.pts = 24_000, 0
        frame.planes[0].update(pcm)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


@pytest.mark.behaviour("emulator-upload-form")
@given(st.integers(1, len(FORM)))
def test_form_is_read_however_it_is_cut_and_ends_at_its_file(size: int) -> None:
    reader = read(FORM, size)
    assert reader.is_whole
    assert reader.fields == [("language", "en"), ("keyterm", "one\r\ntwo --XX")]
    assert reader.file is not None
    assert bytes(reader.file.content) == b"\x00\r\n--X\xff"
    assert (reader.file.file_name, reader.file.content_type) == ('a "b".wav', "audio/wav")
    whole = read(FORM, size, ends_at_file=False)
    assert whole.fields[2:] == [("late", "x")]
    assert whole.is_whole


@pytest.mark.behaviour("emulator-upload-form")
@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        (b"--XXrubbish", 400, "boundary"),
        (b"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--", 400, "no name"),
        (b"--XX\r\n" + b"x" * 20_000, 400, "headers"),
        (b"--XX\r\n" + b"x" * 20_000 + b"\r\n\r\n", 400, "headers"),
        (b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 70_000, 400, "too long"),
        (b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"x" * 1100, 413, "over the limit"),
        (b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 1002, 400, "over 1000 fields"),
    ],
)
def test_bad_form_is_refused_with_its_status(form: bytes, status: int, said: str) -> None:
    with pytest.raises(BadForm, match=said) as caught:
        read(form, 100_000)
    assert caught.value.status == status


def test_form_that_breaks_off_is_not_whole_and_what_follows_its_end_does_not_count() -> None:
    assert not read(FORM[:200]).is_whole
    reader = read(b"--XX--")
    reader.feed(b"\r\n--XX\r\n")
    assert (reader.is_whole, reader.fields, reader.file) == (True, [], None)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        (' Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("application/json", None),
    ],
)
def test_boundary_is_read_from_the_content_type(header: str, boundary: bytes | None) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.behaviour("emulator-upload-containers")
@pytest.mark.parametrize(
    ("code", "bits", "law", "extra"),
    [
        (1, 16, "pcm", b""),
        (6, 8, "pcma", b"\0\0"),
        (7, 8, "pcmu", b"\0\0"),
        (0xFFFE, 16, "pcm", struct.pack("<HHIH", 22, 16, 0, 1) + bytes(14)),
    ],
)
def test_wav_of_known_samples_is_read_without_pyav(
    code: int, bits: int, law: str, extra: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "has_opus", lambda: False)
    audio = from_pcm16(speak("In a box.", sample_rate_hz=16_000), law)
    found = read_container(wav(audio, code=code, bits=bits, extra=extra) + b"after")
    assert (found.rate_hz, found.channels) == (16_000, 1)
    assert hear(found.pcm, sample_rate_hz=16_000) == "In a box."


@pytest.mark.behaviour("emulator-upload-containers")
def test_wav_of_a_stream_without_its_length_is_read_to_its_end() -> None:
    pcm = speak("Live.", sample_rate_hz=16_000)
    found = read_container(wav_header(AudioFormat("pcm", 16_000)) + pcm)
    assert found.pcm == pcm
    assert found.duration_s == len(pcm) / 32_000


@pytest.mark.behaviour("emulator-upload-containers")
@pytest.mark.parametrize(
    ("name", "codec"), [("flac", "flac"), ("ogg", "libopus"), ("mp3", "libmp3lame"), ("matroska", "flac")]
)
def test_other_containers_are_read_by_pyav(name: str, codec: str) -> None:
    found = read_container(made_with_pyav(name, codec))
    assert (found.rate_hz, found.channels) == (24_000, 1)
    assert hear(found.pcm) == "From a container."


@pytest.mark.behaviour("emulator-upload-containers")
@pytest.mark.parametrize("audio", [b"", b"no audio at all" * 100, b"RIFF\0\0\0\0WAVE", wav(b"\0" * 9, bits=24)[:30]])
def test_what_is_no_audio_is_refused(audio: bytes) -> None:
    pytest.importorskip("av", reason="PyAV is an extra")
    with pytest.raises(BadSetting):
        read_container(audio)


@pytest.mark.behaviour("emulator-upload-containers")
def test_film_without_sound_is_refused() -> None:
    av = pytest.importorskip("av", reason="PyAV is an extra")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        picture = av.VideoFrame(16, 16, "yuv420p")
        for packet in (*stream.encode(picture), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(BadSetting, match="no audio"):
        read_container(file.getvalue())


@pytest.mark.behaviour("emulator-upload-containers")
@pytest.mark.parametrize("bits", [24, 64])
def test_wav_of_deep_samples_is_read_by_hand_and_of_others_by_pyav(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = struct.iter_unpack("<h", speak("Deep.", sample_rate_hz=16_000))
    if bits == 24:
        monkeypatch.setattr(containers, "has_opus", lambda: False)
        file = wav(b"".join(b"\0" + struct.pack("<h", *sample) for sample in samples), bits=24)
    else:
        pytest.importorskip("av", reason="PyAV is an extra")
        file = wav(b"".join(struct.pack("<d", sample[0] / 32768) for sample in samples), code=3, bits=64)
    found = read_container(file)
    assert hear(found.pcm, sample_rate_hz=found.rate_hz) == "Deep."


@pytest.mark.behaviour("emulator-upload-containers")
def test_containers_without_pyav_are_refused_with_a_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "has_opus", lambda: False)
    with pytest.raises(BadSetting, match="PyAV"):
        read_container(b"fLaC")


def test_channels_are_mixed_or_kept_apart_and_brought_to_a_rate_that_can_be_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stereo = Recording(struct.pack("<4h", 100, 300, -5, -6), 16_000, 2)
    assert channels_of(stereo, is_multichannel=False) == ([struct.pack("<2h", 200, -6)], 16_000)
    assert channels_of(stereo, is_multichannel=True)[0] == [struct.pack("<2h", 100, -5), struct.pack("<2h", 300, -6)]
    odd_rate = Recording(b"\0\0" * 11_025, 11_025, 1)
    pcm, rate_hz = channels_of(odd_rate, is_multichannel=False)
    assert (rate_hz, len(pcm[0])) == (16_000, 32_000)
    assert raw_recording(b"\0" * 7, "pcm", 8000, 2).pcm == b"\0" * 4
    with pytest.raises(BadSetting, match="sample rate of 3 Hz"):
        channels_of(Recording(b"\0\0", 3, 1), is_multichannel=False)
