"""Turns by energy, on the time of the audio."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.audible import speak
from xai_realtime.audio import PCM_RATES_HZ, silence
from xai_realtime.errors import ConfigurationError
from xai_realtime.vad import EnergyVad, SpeechStarted, SpeechStopped


def tone(time_ms: int, *, peak: float = 8000, rate_hz: int = 24_000) -> bytes:
    places = np.arange(rate_hz * time_ms // 1000)
    return np.rint(peak * np.sin(2 * np.pi * 440 * places / rate_hz)).astype("<i2").tobytes()


def quiet(time_ms: int, *, rate_hz: int = 24_000) -> bytes:
    return silence(time_ms, rate_hz)


CALL = quiet(600) + tone(400) + quiet(300) + tone(200) + quiet(800) + tone(100) + quiet(1000)
TURNS = [
    SpeechStarted(600 - 333, 600),
    SpeechStopped(1500 + 500, 1500),
    SpeechStarted(2300 - 300, 2300),
    SpeechStopped(2400 + 500, 2400),
]


def test_vad_finds_the_turns_of_a_call_with_padding_and_silence() -> None:
    vad = EnergyVad()
    assert vad.feed(CALL) == TURNS
    assert vad.audio_ms == 3400
    assert not vad.is_speaking


@pytest.mark.behaviour("vad-on-audio-time")
@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
def test_vad_finds_the_same_turns_when_the_audio_is_cut_anywhere(sizes: list[int]) -> None:
    vad = EnergyVad()
    found, at = [], 0
    while at < len(CALL):
        for size in sizes:
            found += vad.feed(memoryview(CALL)[at : at + size])
            at += size
    assert found == TURNS


@pytest.mark.behaviour("vad-on-audio-time")
def test_vad_finds_the_same_speech_when_it_is_told_of_short_pauses_between_chunks() -> None:
    vad = EnergyVad()
    found = []
    for at in range(0, len(CALL), 960):
        found += vad.feed(CALL[at : at + 960])
        found += vad.silence_for(20)
    assert [event[1] for event in found] == [turn[1] for turn in TURNS]


@pytest.mark.parametrize("rate_hz", PCM_RATES_HZ)
def test_vad_hears_audible_text_as_speech_at_every_rate_and_threshold(rate_hz: int) -> None:
    speech = speak("Hello there.", sample_rate_hz=rate_hz)
    faint = (np.frombuffer(speech, "<i2") * 0.1).astype("<i2").tobytes()
    for threshold in (0.1, 0.85, 0.9):
        vad = EnergyVad(rate_hz, threshold=threshold)
        found = vad.feed(quiet(500, rate_hz=rate_hz) + faint + quiet(1000, rate_hz=rate_hz))
        assert found == [SpeechStarted(167, 500), SpeechStopped(1720, 1220)]


def test_vad_is_less_easily_roused_when_the_threshold_is_higher() -> None:
    assert EnergyVad().level_dbfs == pytest.approx(-34.5)
    peak = 32768 * 10 ** (-45 / 20) * 2**0.5
    hum = tone(400, peak=peak)
    assert EnergyVad(threshold=0.1).feed(hum)
    assert not EnergyVad(threshold=0.85).feed(hum)


@pytest.mark.behaviour("vad-ignores-clicks-and-quiet-noise")
def test_vad_starts_no_turn_when_there_are_clicks_or_quiet_noise() -> None:
    noise = np.rint(np.random.default_rng(1).normal(size=48_000) * 300).astype("<i2").tobytes()
    vad = EnergyVad()
    assert vad.feed(noise + (tone(20) + quiet(80)) * 20) == []


def test_vad_stops_the_turn_when_the_sender_goes_quiet_long_enough() -> None:
    vad = EnergyVad(silence_duration_ms=400)
    assert vad.silence_for(5000) == []
    assert vad.feed(tone(200) + quiet(100)) == [SpeechStarted(0, 0)]
    assert vad.silence_for(299) == []
    assert vad.is_speaking
    assert vad.silence_for(300) == [SpeechStopped(300, 200)]
    assert vad.silence_for(300) == []
    assert vad.feed(tone(100)) == [SpeechStarted(300, 300)]


def test_vad_stops_at_once_but_not_while_speech_goes_on_when_no_silence_is_asked_for() -> None:
    vad = EnergyVad(silence_duration_ms=0, prefix_padding_ms=0)
    assert vad.feed(tone(200)) == [SpeechStarted(0, 0)]
    assert vad.silence_for(0) == []
    assert vad.feed(quiet(20)) == [SpeechStopped(200, 200)]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"rate_hz": 11_025}, "22050"),
        ({"threshold": 0.05}, "0.1 to 0.9"),
        ({"threshold": float("nan")}, "0.1 to 0.9"),
        ({"silence_duration_ms": 10_001}, "silence_duration_ms"),
        ({"prefix_padding_ms": -1}, "prefix_padding_ms"),
    ],
)
def test_vad_refuses_settings_out_of_range(options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        EnergyVad(**options)  # type: ignore[arg-type]


def test_vad_names_the_extra_when_numpy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ConfigurationError, match=r"xai-realtime\[emulator\]"):
        EnergyVad()
