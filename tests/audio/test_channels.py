"""Interleaved channels: apart, together, mixed, and how loud they are."""

from __future__ import annotations

import math
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.audio import (
    Framer,
    audio_format,
    bytes_for_ms,
    clipped_pcm16,
    duration_ms,
    from_pcm16,
    interleave,
    level_dbfs,
    silence,
    split_channels,
    to_mono,
    to_pcm16,
)
from xai_realtime.errors import ConfigurationError

ENCODINGS = ["pcm", "pcmu", "pcma"]


@pytest.mark.behaviour("audio-channels-apart-and-together")
@given(
    data=st.binary(max_size=400),
    channels=st.integers(1, 32),
    encoding=st.sampled_from(ENCODINGS),
)
def test_channels_come_together_as_they_were_when_they_were_split(data: bytes, channels: int, encoding: str) -> None:
    unit = channels * audio_format(encoding, 8_000).sample_bytes
    parts = split_channels(memoryview(data), channels, encoding=encoding)
    assert len(parts) == channels
    assert interleave(parts, encoding=encoding) == data[: len(data) // unit * unit]


@pytest.mark.behaviour("audio-channels-apart-and-together")
def test_split_gives_each_channel_its_own_samples() -> None:
    assert split_channels(struct.pack("<6h", 1, -1, 2, -2, 3, -3) + b"\7", 2) == [
        struct.pack("<3h", 1, 2, 3),
        struct.pack("<3h", -1, -2, -3),
    ]
    assert split_channels(b"abcabcx", 3, encoding="pcmu") == [b"aa", b"bb", b"cc"]


def test_interleaving_refuses_channels_of_different_lengths() -> None:
    with pytest.raises(ConfigurationError, match="equal lengths, not 4, 2 bytes"):
        interleave([bytes(4), bytes(3)])
    with pytest.raises(ConfigurationError, match=r"channels .* 1 to 32, not 0"):
        interleave([])


@pytest.mark.behaviour("bug-34")
@given(samples=st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), max_size=40), extra=st.binary(max_size=5))
def test_mono_is_the_mean_of_the_channels_and_never_wraps(samples: list[tuple[int, ...]], extra: bytes) -> None:
    audio = b"".join(struct.pack("<3h", *moment) for moment in samples) + extra
    mixed = [value for (value,) in struct.iter_unpack("<h", to_mono(audio, 3))]
    assert mixed == [round(sum(moment) / 3) for moment in samples]


@pytest.mark.behaviour("bug-34")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2, 5, 32])
def test_mono_keeps_full_scale_when_all_channels_are_at_it(channels: int, encoding: str) -> None:
    loud = from_pcm16(clipped_pcm16([-40_000, 40_000]), encoding)
    size = len(loud) // 2
    audio = loud[:size] * channels + loud[size:] * channels
    assert to_mono(audio, channels, encoding=encoding) == loud


def test_channels_are_handled_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    stereo = interleave([clipped_pcm16([100, 200]), clipped_pcm16([300, 0])])
    assert to_mono(stereo, 2) == clipped_pcm16([200, 100])
    assert level_dbfs(stereo, channels=2) < 0


@pytest.mark.parametrize("channels", [0, 33, True, 2.0])
def test_channels_that_cannot_be_are_refused_everywhere(channels: int) -> None:
    form = audio_format()
    for refused in (
        lambda: split_channels(b"", channels),
        lambda: to_mono(b"", channels),
        lambda: level_dbfs(b"", channels=channels),
        lambda: duration_ms(b"", 8_000, channels=channels),
        lambda: bytes_for_ms(1, 8_000, channels=channels),
        lambda: silence(1, 8_000, channels=channels),
        lambda: Framer(form, 20, channels=channels),
    ):
        with pytest.raises(ConfigurationError, match="channels is a whole number from 1 to 32"):
            refused()


def test_opus_has_no_samples_to_take_apart() -> None:
    for refused in (
        lambda: split_channels(b"", 2, encoding="opus"),
        lambda: interleave([b""], encoding="opus"),
        lambda: to_mono(b"", 2, encoding="opus"),
        lambda: level_dbfs(b"", encoding="opus"),
    ):
        with pytest.raises(ConfigurationError, match="opus"):
            refused()


def test_times_and_sizes_count_all_channels() -> None:
    assert duration_ms(bytes(4_801), 24_000, channels=2) == 50
    assert duration_ms(bytes(803), 8_000, encoding="pcmu", channels=4) == 25
    assert bytes_for_ms(10, 48_000, channels=2) == 1_920
    assert silence(1, 8_000, encoding="pcma", channels=3) == b"\xd5" * 24


@pytest.mark.behaviour("audio-channels-apart-and-together")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_frames_hold_whole_samples_of_all_channels_when_chunks_are_cut_anywhere(encoding: str) -> None:
    form = audio_format(encoding, 8_000)
    unit = 3 * form.sample_bytes
    audio = bytes(range(1, 253)) * 12
    framer = Framer(form, 2.5, channels=3)
    frames = [frame for at in range(0, len(audio), 7) for frame in framer.push(audio[at : at + 7])]
    assert {len(frame) for frame in frames} == {20 * unit}
    rest = len(audio) % (20 * unit)
    assert framer.pending_bytes == rest
    framer.push(b"\1")
    last = framer.flush()
    assert last == audio[-rest:] + silence(2.5, 8_000, encoding=encoding, channels=3)[rest:]
    assert b"".join(frames) == audio[:-rest]


@pytest.mark.parametrize(
    ("samples", "level"),
    [([], -120), ([0, 0], -120), ([32767, -32768], 0), ([32767, 0], -3.01), ([8_000, -8_000], -12.25)],
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_level_is_that_of_all_channels_together(samples: list[int], level: float, encoding: str) -> None:
    audio = from_pcm16(clipped_pcm16(samples * 50), encoding)
    slack = 0.01 if encoding == "pcm" else 0.3
    expected = max(level, -72.3 if encoding == "pcma" and samples else -120)  # A-law has no zero
    assert level_dbfs(audio, encoding=encoding, channels=2) == pytest.approx(expected, abs=slack)
    assert level_dbfs(audio + audio[:1], encoding=encoding, channels=2) == level_dbfs(audio, encoding=encoding)


def test_level_of_each_channel_is_told_when_they_are_split() -> None:
    stereo = interleave([clipped_pcm16([3_276.8] * 100), bytes(200)])
    assert [level_dbfs(part) for part in split_channels(stereo, 2)] == [pytest.approx(-20, abs=0.01), -120]


def test_clipping_holds_what_has_no_end_and_silences_what_is_no_number() -> None:
    assert clipped_pcm16([math.inf, -math.inf, math.nan, 5]) == struct.pack("<4h", 32767, -32768, 0, 5)


@pytest.mark.behaviour("audio-g711-is-exact")
@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_changes_no_sample_again_when_it_is_coded_twice(encoding: str) -> None:
    once = to_pcm16(from_pcm16(struct.pack("<65536h", *range(-32768, 32768)), encoding), encoding)
    assert to_pcm16(from_pcm16(once, encoding), encoding) == once
    assert len(set(struct.iter_unpack("<h", once))) == (255 if encoding == "pcmu" else 256)
