"""Text becomes tones whose times are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audible.lines import PRINTABLE, SENTENCES, samples
from xai_realtime.audible import SYMBOL_MS, WORD_BYTES, Word, duration_ms, hear, speak, text_until, words
from xai_realtime.audio import PCM_RATES_HZ
from xai_realtime.audio import duration_ms as pcm_duration_ms
from xai_realtime.errors import ConfigurationError

SENTENCE = "What is the weather in London this week?"


def test_words_tell_when_each_word_sounds() -> None:
    assert words("Hi you.") == [Word("Hi", 0, 200), Word("you.", 200, 520)]
    assert words("  a \n") == [Word("a", 0, 320)]
    assert words("   ") == words("") == []


def test_a_sentence_lasts_about_as_long_as_a_person_would_take() -> None:
    assert len(SENTENCE) == 40
    assert 2000 <= duration_ms(SENTENCE) <= 3000


@settings(max_examples=40, deadline=None)
@given(text=PRINTABLE, rate_hz=st.sampled_from(PCM_RATES_HZ))
def test_durations_are_exact_at_every_rate(text: str, rate_hz: int) -> None:
    spans = words(text)
    assert pcm_duration_ms(speak(text, sample_rate_hz=rate_hz), rate_hz) == duration_ms(text)
    assert all(0 <= word.start_ms < word.end_ms <= duration_ms(text) for word in spans)
    assert all(one.end_ms <= other.start_ms for one, other in itertools.pairwise(spans))
    assert "".join(word.text for word in spans) == "".join(text.split())
    assert text_until(text, duration_ms(text)) == text
    assert text_until(text, -1) == ""


@pytest.mark.behaviour("audible-text-cut-off")
@settings(max_examples=30, deadline=None)
@given(text=SENTENCES, cut=st.integers(0, 200))
def test_audio_cut_off_anywhere_is_heard_as_its_first_whole_words(text: str, cut: int) -> None:
    at_ms = min(cut * SYMBOL_MS, duration_ms(text))
    heard = hear(speak(text)[: 48 * at_ms] + bytes(9600))
    assert (heard or "") == text_until(text, at_ms)


@pytest.mark.behaviour("audible-text-cut-off")
def test_each_word_is_heard_at_its_end_and_not_a_symbol_before() -> None:
    speech = speak(SENTENCE)
    for word in words(SENTENCE):
        upto = SENTENCE[: SENTENCE.index(word.text) + len(word.text)]
        assert hear(speech[: 48 * int(word.end_ms)]) == upto
        before = hear(speech[: 48 * int(word.end_ms - SYMBOL_MS)]) or ""
        assert before == upto[: -len(word.text)].rstrip()


def test_long_runs_without_spaces_are_cut_at_characters() -> None:
    assert [word.text for word in words("世" * 20)] == ["世" * 8, "世" * 8, "世" * 4]
    assert [word.text for word in words("x" * (WORD_BYTES + 1))] == ["x" * WORD_BYTES, "x"]


def test_the_same_text_gives_the_same_audio_and_no_text_none() -> None:
    assert speak(SENTENCE) == speak(SENTENCE)
    assert speak("") == b""
    assert duration_ms("") == 0


def test_a_lone_surrogate_is_spoken_as_a_question_mark() -> None:
    assert hear(speak("a \ud800 b")) == "a ? b"


@pytest.mark.parametrize("rate_hz", PCM_RATES_HZ)
def test_speech_is_as_loud_as_documented_and_below_the_telephone_band_edge(rate_hz: int) -> None:
    values = samples(speak(SENTENCE, sample_rate_hz=rate_hz)) / 32768
    assert 0.45 <= np.abs(values).max() <= 0.5
    assert 20 * np.log10(np.sqrt(np.mean(np.square(values)))) == pytest.approx(-12, abs=1)
    power = np.square(np.abs(np.fft.rfft(values)))
    hz = np.fft.rfftfreq(len(values), 1 / rate_hz)
    assert power[(hz > 300) & (hz < 3400)].sum() > 0.999 * power.sum()


@pytest.mark.parametrize("rate_hz", [11_025, 0, True, 24_000.5])
def test_speaking_refuses_a_rate_that_the_service_does_not_know(rate_hz: int) -> None:
    with pytest.raises(ConfigurationError, match="22050"):
        speak("a", sample_rate_hz=rate_hz)
