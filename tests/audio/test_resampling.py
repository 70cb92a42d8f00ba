"""Audio of any rate and any channels as a format of the wire."""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.audible import hear, speak
from xai_realtime.audio import (
    PCM_RATES_HZ,
    AudioConverter,
    AudioFormat,
    ResamplingQuality,
    audio_format,
    clipped_pcm16,
    from_pcm16,
    level_dbfs,
    to_pcm16,
)
from xai_realtime.errors import ConfigurationError

PCM_24K = audio_format("pcm", 24_000)
TARGETS = [*(audio_format("pcm", rate_hz) for rate_hz in PCM_RATES_HZ), audio_format("pcmu"), audio_format("pcma")]
SOURCE_RATES = [4_000, 8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 191_999, 192_000]
QUALITIES: list[ResamplingQuality] = ["high", "low"]


def tone(rate_hz: int, *, time_ms: int = 500, tone_hz: float = 1000, peak: float = 16_000) -> bytes:
    places = np.arange(rate_hz * time_ms // 1000)
    return np.rint(peak * np.sin(2 * np.pi * tone_hz * places / rate_hz)).astype("<i2").tobytes()


def numbers(pcm: bytes) -> npt.NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(float)


def interleaved(*channels: bytes) -> bytes:
    return np.stack([np.frombuffer(channel, "<i2") for channel in channels], axis=1).tobytes()


def noise(size: int, *, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def in_chunks(converter: AudioConverter, audio: bytes, sizes: Iterable[int]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(audio):
            return b"".join([*parts, converter.flush()])
        parts.append(converter.push(memoryview(audio)[at : at + size]))
        at += size
    raise AssertionError("no sizes")


def at_once(converter: AudioConverter, audio: bytes) -> bytes:
    return converter.push(audio) + converter.flush()


def strongest_hz(samples: npt.NDArray[np.float64], rate_hz: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))) * rate_hz / len(samples)


def sine_misfit(samples: npt.NDArray[np.float64], rate_hz: int, tone_hz: float) -> tuple[float, float]:
    """Peak of the sine of `tone_hz` that fits best, and the largest distance to it."""
    turns = 2 * np.pi * tone_hz * np.arange(len(samples)) / rate_hz
    waves = np.stack([np.sin(turns), np.cos(turns)], axis=1)
    parts = np.linalg.lstsq(waves, samples, rcond=None)[0]
    return float(np.hypot(*parts)), float(np.abs(samples - waves @ parts).max())


@pytest.mark.behaviour("bug-33")
def test_converter_makes_mono_at_24_khz_of_stereo_at_48_khz() -> None:
    left, right = tone(48_000, peak=16_000), tone(48_000, peak=8_000)
    converter = AudioConverter(PCM_24K, rate_hz=48_000, channels=2)
    made = at_once(converter, interleaved(left, right))
    assert len(made) == 500 * 24 * 2
    peak, misfit = sine_misfit(numbers(made)[1200:-1200], 24_000, 1000)
    assert peak == pytest.approx(12_000, abs=1)
    assert misfit < 1.5
    assert converter.target == PCM_24K


@pytest.mark.behaviour("bug-33")
@pytest.mark.parametrize("chunk_ms", [10, 20, 40, 100])
def test_converter_keeps_mono_at_its_speed_when_chunks_could_pass_for_stereo(chunk_ms: int) -> None:
    audio = tone(48_000, tone_hz=440)
    made = in_chunks(AudioConverter(PCM_24K, rate_hz=48_000), audio, [chunk_ms * 96])
    assert len(made) == len(audio) // 2
    assert strongest_hz(numbers(made), 24_000) == pytest.approx(440, abs=2)


@pytest.mark.behaviour("audio-resampled-keeps-its-time")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.encoding}-{target.rate_hz}")
@pytest.mark.parametrize("rate_hz", SOURCE_RATES)
def test_converter_keeps_tone_level_and_time_at_every_rate_and_format(rate_hz: int, target: AudioFormat) -> None:
    audio = tone(rate_hz, time_ms=500)
    made = in_chunks(AudioConverter(target, rate_hz=rate_hz), audio, [rate_hz // 50 * 2 + 1])
    pcm = to_pcm16(made, target.encoding)
    assert abs(len(pcm) // 2 - len(audio) // 2 * target.rate_hz / rate_hz) <= 1
    middle = numbers(pcm)[target.rate_hz // 8 : -target.rate_hz // 8]
    peak, misfit = sine_misfit(middle, target.rate_hz, 1000)
    assert peak == pytest.approx(16_000, rel=0.002 if target.encoding == "pcm" else 0.02)
    assert misfit < (4 if target.encoding == "pcm" else 600)


@pytest.mark.behaviour("audio-resampled-keeps-its-time")
@pytest.mark.parametrize("quality", QUALITIES)
@given(samples=st.integers(0, 3_000), rate_hz=st.integers(4_000, 192_000), target=st.sampled_from(TARGETS))
@settings(max_examples=60, deadline=None)
def test_converter_gives_the_samples_that_the_time_asks_for_when_it_is_flushed(
    quality: ResamplingQuality, samples: int, rate_hz: int, target: AudioFormat
) -> None:
    made = at_once(AudioConverter(target, rate_hz=rate_hz, quality=quality), noise(2 * samples))
    assert abs(len(made) / target.sample_bytes - round(samples * target.rate_hz / rate_hz)) <= 1


@pytest.mark.behaviour("audio-resampled-keeps-its-time")
def test_converter_loses_no_time_when_the_audio_is_long() -> None:
    converter = AudioConverter(PCM_24K, rate_hz=44_100)
    chunk = noise(2 * 44_100)
    size = sum(len(converter.push(chunk)) for _ in range(60)) + len(converter.flush())
    assert size == 60 * 24_000 * 2


@pytest.mark.behaviour("bug-34")
@pytest.mark.behaviour("audio-resampled-alike-at-any-cut")
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=12),
    rate_hz=st.sampled_from([8_000, 24_000, 44_100, 48_000]),
    channels=st.integers(1, 6),
    target=st.sampled_from(TARGETS),
    quality=st.sampled_from(QUALITIES),
    extra_bytes=st.integers(0, 11),
)
def test_converter_gives_the_same_bytes_when_the_audio_is_cut_anywhere(
    sizes: list[int], rate_hz: int, channels: int, target: AudioFormat, quality: ResamplingQuality, extra_bytes: int
) -> None:
    audio = noise(rate_hz // 10 * 2 * channels + extra_bytes)
    converter = AudioConverter(target, rate_hz=rate_hz, channels=channels, quality=quality)
    expected = at_once(converter, audio)
    assert expected
    assert in_chunks(converter, audio, sizes) == expected


@pytest.mark.behaviour("bug-34")
@pytest.mark.behaviour("audio-resampled-alike-at-any-cut")
@pytest.mark.parametrize(("quality", "name"), [("high", "HQ"), ("low", "LQ")])
@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=12),
    rate_hz=st.sampled_from([8_000, 16_000, 44_100, 48_000, 96_000]),
    seed=st.integers(0, 1_000),
)
def test_converter_is_within_one_step_of_resampling_at_once_when_the_audio_is_cut_anywhere(
    quality: ResamplingQuality, name: str, sizes: list[int], rate_hz: int, seed: int
) -> None:
    audio = noise(8_000, seed=seed)
    made = numbers(in_chunks(AudioConverter(PCM_24K, rate_hz=rate_hz, quality=quality), audio, sizes))
    whole = soxr.resample(np.frombuffer(audio, "<i2").astype(np.float32), rate_hz, 24_000, quality=name)
    assert abs(len(made) - len(whole)) <= 1
    size = min(len(made), len(whole))
    assert np.abs(made[:size] - np.clip(whole[:size], -32768, 32767)).max() <= 1


@pytest.mark.behaviour("bug-34")
def test_converter_adds_no_click_to_a_tone_when_chunks_are_of_odd_sizes() -> None:
    made = in_chunks(AudioConverter(PCM_24K, rate_hz=48_000), tone(48_000, time_ms=1000), [1, 777, 1920, 3, 481])
    assert sine_misfit(numbers(made)[1200:-1200], 24_000, 1000)[1] < 1.5


@pytest.mark.behaviour("bug-34")
@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_converter_clips_and_never_wraps_when_a_square_wave_at_full_scale_overshoots(
    rate_hz: int, quality: ResamplingQuality
) -> None:
    period = rate_hz // 100
    square = np.where(np.arange(rate_hz) % period < period // 2, 32767, -32768).astype("<i2")
    made = numbers(at_once(AudioConverter(PCM_24K, rate_hz=rate_hz, quality=quality), square.tobytes()))
    assert made.max() == 32767
    assert made.min() == -32768
    # Away from its edges the wave has the sign of the source; a wrapped sample has the other one.
    place = np.arange(len(made)) % 240
    inside = (place % 120 >= 12) & (place % 120 < 108)
    assert np.all(np.sign(made[inside]) == np.where(place[inside] < 120, 1, -1))


@pytest.mark.behaviour("bug-34")
@pytest.mark.parametrize("rate_hz", [24_000, 48_000])
def test_converter_keeps_full_scale_when_the_channels_are_equal(rate_hz: int) -> None:
    loudest = clipped_pcm16([-32768] * (4 * 4_800))
    made = numbers(at_once(AudioConverter(PCM_24K, rate_hz=rate_hz, channels=4), loudest))
    assert len(made) == 4_800 * 24_000 // rate_hz
    assert np.all(made[600:-600] <= -32767)


def test_converter_averages_the_channels_when_the_rates_are_equal() -> None:
    left, middle, right = [1, 4, 100, -32768, 32767], [2, 4, -3, -32768, 32767], [3, 5, -1, -32768, 32766]
    audio = interleaved(*map(clipped_pcm16, (left, middle, right)))
    converter = AudioConverter(PCM_24K, rate_hz=24_000, channels=3)
    assert at_once(converter, audio) == clipped_pcm16([2, 4, 32, -32768, 32767])
    assert converter.pending_ms == 0


@pytest.mark.parametrize("encoding", ["pcm", "pcmu", "pcma"])
def test_converter_only_encodes_and_needs_neither_numpy_nor_soxr_when_the_rates_are_equal(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = tone(8_000)
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.setitem(sys.modules, "soxr", None)
    converter = AudioConverter(audio_format(encoding, 8_000), rate_hz=8_000)
    assert converter.push(audio) == from_pcm16(audio, encoding)
    assert converter.flush() == b""


def test_converter_does_not_copy_mono_pcm_when_there_is_nothing_to_convert() -> None:
    audio = tone(24_000)
    assert AudioConverter(PCM_24K, rate_hz=24_000).push(audio) is audio


@pytest.mark.parametrize("missing", ["numpy", "soxr"])
def test_converter_names_the_extra_when_a_library_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"48000 Hz .* 24000 Hz .*pip install 'xai-realtime\[audio\]'"):
        AudioConverter(PCM_24K, rate_hz=48_000)


@pytest.mark.behaviour("audio-resampled-stays-audible")
@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.encoding}-{target.rate_hz}")
def test_text_is_heard_as_it_was_spoken_when_48_khz_stereo_was_converted(
    target: AudioFormat, quality: ResamplingQuality
) -> None:
    text = "What is the weather in London?"
    said = speak(text, sample_rate_hz=48_000)
    converter = AudioConverter(target, rate_hz=48_000, channels=2, quality=quality)
    made = in_chunks(converter, interleaved(said, said), [3_840])
    assert hear(to_pcm16(made, target.encoding), sample_rate_hz=target.rate_hz) == text


@pytest.mark.behaviour("bug-34")
@pytest.mark.parametrize("quality", QUALITIES)
def test_converter_removes_what_lies_above_the_band_of_the_target(quality: ResamplingQuality) -> None:
    made = at_once(AudioConverter(PCM_24K, rate_hz=48_000, quality=quality), tone(48_000, tone_hz=15_000))
    assert level_dbfs(made[2_400:-2_400]) < -85


@pytest.mark.parametrize(("quality", "most_ms"), [("high", 39), ("low", 21)])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 96_000])
def test_converter_holds_back_what_it_says_when_it_resamples(
    rate_hz: int, quality: ResamplingQuality, most_ms: int
) -> None:
    converter = AudioConverter(PCM_24K, rate_hz=rate_hz, quality=quality)
    assert converter.pending_ms == 0
    pushed_ms = given_ms = 0.0
    for chunk in [tone(rate_hz, time_ms=10)] * 100:
        given_ms += len(converter.push(chunk)) / 48
        pushed_ms += len(chunk) * 500 / rate_hz
        assert converter.pending_ms == pytest.approx(pushed_ms - given_ms)
        assert converter.pending_ms < most_ms
    assert converter.pending_ms > 0
    converter.flush()
    assert converter.pending_ms == 0


def test_converter_starts_anew_when_it_is_flushed_or_reset() -> None:
    audio = noise(9_601)
    converter = AudioConverter(PCM_24K, rate_hz=48_000)
    expected = at_once(converter, audio)
    assert at_once(converter, audio) == expected
    converter.push(noise(2_001, seed=2))
    converter.reset()
    assert converter.pending_ms == 0
    assert at_once(converter, audio) == expected


@pytest.mark.parametrize("rate_hz", [24_000, 48_000])
def test_converter_gives_nothing_when_nothing_or_half_a_frame_was_pushed(rate_hz: int) -> None:
    converter = AudioConverter(PCM_24K, rate_hz=rate_hz, channels=2)
    assert converter.flush() == b""
    assert converter.push(b"\x01\x02\x03") == b""
    assert converter.flush() == b""


@pytest.mark.parametrize(
    ("rate_hz", "channels", "named"),
    [
        (3_999, 1, "rate_hz .* 4000 to 192000, not 3999"),
        (192_001, 1, "rate_hz .* 192001"),
        (48_000.0, 1, "rate_hz .* 48000.0"),
        (True, 1, "rate_hz .* True"),
        (48_000, 0, "channels .* 1 to 32, not 0"),
        (48_000, 33, "channels .* 33"),
        (48_000, True, "channels .* True"),
        (48_000, 2.0, "channels .* 2.0"),
    ],
)
def test_converter_refuses_a_source_that_it_cannot_read(rate_hz: int, channels: int, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AudioConverter(PCM_24K, rate_hz=rate_hz, channels=channels)


def test_converter_refuses_opus_and_says_what_to_do_with_packets() -> None:
    with pytest.raises(ConfigurationError, match="Opus are passed as they are"):
        AudioConverter(audio_format("opus"), rate_hz=48_000)


def test_converter_refuses_a_target_that_the_service_does_not_accept() -> None:
    with pytest.raises(ConfigurationError, match="11025 Hz is not allowed for pcm"):
        AudioConverter(AudioFormat("pcm", 11_025), rate_hz=48_000)


def test_converter_refuses_an_unknown_quality() -> None:
    with pytest.raises(ConfigurationError, match="high, low, not 'best'"):
        AudioConverter(PCM_24K, rate_hz=48_000, quality="best")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pcm", "level"),
    [
        (b"", -120),
        (b"\x01", -120),
        (bytes(480), -120),
        (clipped_pcm16([32767] * 10), 0),
        (clipped_pcm16([-32768, 32767] * 10) + b"\x7f", 0),
        (clipped_pcm16([1]), -20 * math.log10(32768)),
        (tone(8_000, peak=32767), -3.01),
        (tone(8_000, peak=3276.7), -23.01),
        (clipped_pcm16([1, *[0] * 999_999]), -120),
    ],
)
def test_level_is_the_mean_power_below_full_scale(pcm: bytes, level: float) -> None:
    assert level_dbfs(pcm) == pytest.approx(level, abs=0.01)
