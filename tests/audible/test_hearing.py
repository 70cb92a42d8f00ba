"""Tones become the text they were made from, through every line and every cut."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audible.lines import PRINTABLE, SENTENCES, band_limited, linear, nearest, noisy, pcm16, samples, telephone
from xai_realtime.audible import Hearer, Utterance, Word, duration_ms, hear, speak, words
from xai_realtime.audio import PCM_RATES_HZ, silence
from xai_realtime.errors import ConfigurationError, LocalProtocolError

TEXT = "What is the weather in London, 世界? \U0001f30d ok"
RATES = st.sampled_from(PCM_RATES_HZ)


@pytest.mark.behaviour("audible-text-survives")
@settings(max_examples=60, deadline=None)
@given(text=PRINTABLE, rate_hz=RATES)
def test_any_printable_text_is_heard_as_it_was_spoken_at_every_rate(text: str, rate_hz: int) -> None:
    assert hear(speak(text, sample_rate_hz=rate_hz), sample_rate_hz=rate_hz) == text


@pytest.mark.behaviour("audible-text-survives")
@settings(max_examples=40, deadline=None)
@given(text=PRINTABLE, rate_hz=RATES, encoding=st.sampled_from(["pcmu", "pcma"]), gain=st.floats(0.1, 1.0))
def test_text_survives_g711_and_gain(text: str, rate_hz: int, encoding: str, gain: float) -> None:
    quieter = pcm16(samples(speak(text, sample_rate_hz=rate_hz)) * gain)
    assert hear(telephone(quieter, encoding), sample_rate_hz=rate_hz) == text


@pytest.mark.behaviour("audible-text-survives")
@pytest.mark.parametrize("resample", [linear, nearest, band_limited])
@pytest.mark.parametrize("to_hz", PCM_RATES_HZ)
@pytest.mark.parametrize("from_hz", PCM_RATES_HZ)
def test_text_survives_resampling_between_all_rates(
    from_hz: int, to_hz: int, resample: Callable[[bytes, int, int], bytes]
) -> None:
    assert hear(resample(speak(TEXT, sample_rate_hz=from_hz), from_hz, to_hz), sample_rate_hz=to_hz) == TEXT


@pytest.mark.behaviour("audible-text-survives")
@settings(max_examples=30, deadline=None)
@given(text=SENTENCES, rate_hz=RATES, gain=st.floats(0.1, 0.8), seed=st.integers(0, 999))
def test_text_survives_noise_six_decibels_below_it(text: str, rate_hz: int, gain: float, seed: int) -> None:
    speech = speak(text, sample_rate_hz=rate_hz)
    assert hear(noisy(speech, 6, gain=gain, seed=seed), sample_rate_hz=rate_hz) == text


@pytest.mark.behaviour("audible-text-survives")
@settings(max_examples=30, deadline=None)
@given(one=SENTENCES, other=SENTENCES, lead=st.integers(0, 9000), gap=st.integers(0, 9000), rate_hz=RATES)
def test_utterances_are_heard_one_after_the_other_with_and_without_silence(
    one: str, other: str, lead: int, gap: int, rate_hz: int
) -> None:
    hearer = Hearer(sample_rate_hz=rate_hz)
    first, second = (speak(text, sample_rate_hz=rate_hz) for text in (one, other))
    hearer.feed(bytes(2 * lead) + first + bytes(2 * gap) + second + bytes(2 * lead))
    hearer.finish()
    assert hearer.text == f"{one} {other}"
    assert [utterance.text for utterance in hearer.utterances] == [one, other]
    assert all(utterance.is_complete for utterance in hearer.utterances)
    lead_ms = lead * 1000 / rate_hz
    gap_ms = gap * 1000 / rate_hz
    times = [utterance[1:3] for utterance in hearer.utterances]
    expected = [
        (lead_ms, lead_ms + duration_ms(one)),
        (lead_ms + duration_ms(one) + gap_ms, lead_ms + duration_ms(one) + gap_ms + duration_ms(other)),
    ]
    for heard, known in zip(times, expected, strict=True):
        assert heard == pytest.approx(known, abs=6)


@pytest.mark.behaviour("audible-text-any-cut")
@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 7000), min_size=1, max_size=12), rate_hz=RATES, loss=st.integers(0, 30_000))
def test_the_same_is_heard_when_the_audio_is_cut_anywhere(sizes: list[int], rate_hz: int, loss: int) -> None:
    speech = speak(TEXT, sample_rate_hz=rate_hz)
    audio = noisy(silence(130, rate_hz) + speech[: 2 * loss] + speech[2 * loss + 4000 :] + speech, 10)
    whole = Hearer(sample_rate_hz=rate_hz)
    expected = [*whole.feed(audio), *whole.finish()]
    hearer = Hearer(sample_rate_hz=rate_hz)
    found: list[Word] = []
    at = 0
    while at < len(audio):
        for size in sizes:
            found += hearer.feed(memoryview(audio)[at : at + size])
            at += size
    found += hearer.finish()
    assert found == expected
    assert hearer.utterances == whole.utterances
    assert hearer.audio_ms == whole.audio_ms == len(audio) // 2 * 1000 / rate_hz


@pytest.mark.behaviour("audible-text-any-cut")
def test_the_same_is_heard_when_a_long_stream_comes_byte_by_byte_or_in_minutes() -> None:
    text = " ".join([TEXT] * 8)
    speech = speak(text, sample_rate_hz=8000)
    hearer = Hearer(sample_rate_hz=8000)
    for at in range(len(speech)):
        hearer.feed(speech[at : at + 1])
    assert hearer.text == hear(speech, sample_rate_hz=8000) == text


def test_words_are_heard_while_the_stream_goes_on_and_at_their_times() -> None:
    hearer = Hearer()
    speech = bytes(4800) + speak("Hello there, friend")
    grown, found = [], []
    for at in range(0, len(speech), 960):
        found += hearer.feed(speech[at : at + 960])
        if not grown or grown[-1] != hearer.text:
            grown.append(hearer.text)
    assert grown == [None, "Hello", "Hello there,", "Hello there, friend"]
    assert [word.text for word in found] == ["Hello", "there,", "friend"]
    for word, spoken in zip(found, words("Hello there, friend"), strict=True):
        assert word[1:] == pytest.approx((spoken.start_ms + 100, spoken.end_ms + 100), abs=3)


def test_partial_text_grows_by_characters_of_the_word_that_is_sounding() -> None:
    hearer = Hearer()
    speech = speak("Hello wörld") + speak("Bye")
    grown: list[str | None] = []
    for at in range(0, len(speech), 960):
        hearer.feed(speech[at : at + 960])
        if not grown or grown[-1] != hearer.partial:
            grown.append(hearer.partial)
    hearer.finish()
    assert grown[:7] == [None, "H", "He", "Hel", "Hell", "Hello", "Hello "]
    assert grown[7:12] == ["Hello w", "Hello wö", "Hello wör", "Hello wörl", "Hello wörld"]
    assert grown[12:] == ["Hello wörld B", "Hello wörld By", "Hello wörld Bye"]
    assert hearer.partial == hearer.text == "Hello wörld Bye"


def test_spaces_come_back_as_they_were() -> None:
    for text in ("  a  b\t\nc ", " ", "\u3000x\u00a0", "a" + " " * 40 + "b"):
        assert hear(speak(text)) == text
    hearer = Hearer()
    assert [word.text for word in hearer.feed(speak("a" + " " * 40 + "b") + bytes(960))] == ["a", "b"]


def test_a_cut_off_utterance_is_not_complete_and_its_last_word_is_left_out() -> None:
    hearer = Hearer()
    hearer.feed(speak("one two three")[: 48 * 600] + bytes(9600) + speak("four"))
    hearer.finish()
    assert hearer.utterances == (
        Utterance("one two", pytest.approx(0, abs=3), pytest.approx(520, abs=3), False),  # type: ignore[arg-type]
        Utterance("four", pytest.approx(800, abs=3), pytest.approx(1080, abs=3), True),  # type: ignore[arg-type]
    )


def test_finishing_twice_changes_nothing_and_no_audio_comes_after() -> None:
    hearer = Hearer()
    assert [word.text for word in hearer.feed(speak("one two")[: -48 * 5])] == ["one"]
    assert [word.text for word in hearer.finish()] == ["two"]
    assert hearer.finish() == ()
    with pytest.raises(LocalProtocolError):
        hearer.feed(b"")


def test_hearing_names_the_extra_when_numpy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert speak("still speaks")
    with pytest.raises(ConfigurationError, match=r"xai-realtime\[emulator\]"):
        hear(b"")


def test_hearing_refuses_a_rate_that_the_service_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match="22050"):
        Hearer(sample_rate_hz=11_025)
