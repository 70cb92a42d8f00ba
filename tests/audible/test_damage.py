"""Lost, doubled and misplaced audio is heard as wrong or missing text, and what is no audible text as none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.audible.lines import PRINTABLE, SENTENCES, pcm16, samples
from xai_realtime.audible import DAMAGE, Hearer, Word, _speech, hear, speak, words
from xai_realtime.audio import PCM_RATES_HZ

CHUNK_BYTES = 4800
RATE_HZ = 24_000
LONG = st.one_of(SENTENCES, PRINTABLE).filter(lambda text: DAMAGE not in text and len(speak(text)) > 5 * CHUNK_BYTES)


def chunks(text: str, lead: int) -> tuple[list[bytes], int, int]:
    """100 ms chunks of a text after some silence; and the first and the last that is speech throughout."""
    speech = speak(text)
    audio = bytes(2 * lead) + speech + bytes(2 * CHUNK_BYTES)
    first = -(-2 * lead // CHUNK_BYTES)
    last = (2 * lead + len(speech)) // CHUNK_BYTES - 1
    return [audio[at : at + CHUNK_BYTES] for at in range(0, len(audio), CHUNK_BYTES)], first, last


def differ(one: bytes, other: bytes) -> bool:
    """For more than a symbol's time, so that it is no seam that could go unnoticed."""
    return bool((np.abs(samples(one) - samples(other)) > 500).sum() > 480)


@pytest.mark.behaviour("audible-text-shows-loss")
@settings(max_examples=80, deadline=None)
@given(text=LONG, lead=st.integers(0, 4800), deed=st.sampled_from(["lose", "double", "silence"]), data=st.data())
def test_the_original_is_not_heard_when_a_chunk_is_lost_doubled_or_silenced(
    text: str, lead: int, deed: str, data: st.DataObject
) -> None:
    parts, first, last = chunks(text, lead)
    place = data.draw(st.integers(first, last))
    put = {"lose": [], "double": [parts[place]] * 2, "silence": [bytes(CHUNK_BYTES)]}[deed]
    hearer = Hearer()
    found = [*hearer.feed(b"".join([*parts[:place], *put, *parts[place + 1 :]])), *hearer.finish()]
    assert hearer.text != text
    assert {word.text for word in found} <= {word.text for word in words(text)} | {DAMAGE}


@pytest.mark.behaviour("audible-text-shows-loss")
@settings(max_examples=60, deadline=None)
@given(text=LONG, lead=st.integers(0, 4800), data=st.data())
def test_the_original_is_not_heard_when_two_chunks_change_places(text: str, lead: int, data: st.DataObject) -> None:
    parts, first, last = chunks(text, lead)
    one, other = data.draw(st.lists(st.integers(first, last), min_size=2, max_size=2, unique=True))
    assume(differ(parts[one], parts[other]))
    parts[one], parts[other] = parts[other], parts[one]
    assert hear(b"".join(parts)) != text


@pytest.mark.behaviour("audible-text-shows-loss")
def test_damage_is_shown_between_the_words_around_it() -> None:
    speech = speak("one two three four")
    hearer = Hearer()
    found = hearer.feed(speech[: 48 * 300] + speech[48 * 400 :] + bytes(960))
    assert [word.text for word in found] == ["one", DAMAGE, "three", "four"]
    assert found[1] == Word(DAMAGE, pytest.approx(240, abs=3), pytest.approx(420, abs=3))  # type: ignore[arg-type]
    assert hearer.text == f"one{DAMAGE} three four"


def start_to_end(text: str, start_ms: int = 0, end_ms: int = 99_999) -> bytes:
    """A part of the speech of a text."""
    return speak(text)[48 * start_ms : 48 * end_ms]


FIRST_TONES = _speech._waves(RATE_HZ)[_speech.FIRST]
A_TONE = _speech._waves(RATE_HZ)[3]
PAUSE = bytes(48 * 300)


@pytest.mark.behaviour("audible-text-shows-loss")
@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        pytest.param(start_to_end("a bc", 0, 300) + speak("de"), f"a{DAMAGE} de", id="cut off by another at once"),
        pytest.param(start_to_end("a bc", 0, 300) + PAUSE + speak("de"), "a de", id="cut off, then another"),
        pytest.param(start_to_end("abc", 100) + speak("de"), f"{DAMAGE}de", id="the tail of a stale reply before"),
        pytest.param(speak("de") + start_to_end("abc", 100), f"de{DAMAGE}", id="the tail of a stale reply after"),
        pytest.param(start_to_end("abc", 100), None, id="nothing but a tail"),
        pytest.param(start_to_end("abc", 0, 180), None, id="nothing but a beginning"),
        pytest.param(start_to_end("a b c", 160), f"{DAMAGE} b c", id="the front is missing"),
        pytest.param(start_to_end("a b c", 0, 360) + PAUSE + start_to_end("a b c", 360), "a b c", id="a pause"),
        pytest.param(start_to_end("a b c", 0, 460) + PAUSE + start_to_end("a b c", 460), f"a b{DAMAGE}", id="a gap"),
        pytest.param(speak("a b") * 2, "a b a b", id="said twice"),
        pytest.param(speak("a") + start_to_end("b c", 160), f"a {DAMAGE} c", id="another one without its front"),
        pytest.param(FIRST_TONES * 9 + PAUSE + speak("a"), "a", id="a start that hangs"),
        pytest.param(speak("a") + A_TONE * 40, f"a{DAMAGE}", id="a tone that hangs"),
        pytest.param(speak("a") + A_TONE * 2, "a", id="two stray tones"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [10**6, 480])
def test_stale_and_broken_speech_is_told_from_whole_words(audio: bytes, expected: str | None, chunk_bytes: int) -> None:
    hearer = Hearer()
    for at in range(0, len(audio), chunk_bytes):
        hearer.feed(audio[at : at + chunk_bytes])
    hearer.finish()
    assert hearer.text == expected


@pytest.mark.behaviour("audible-text-never-invents")
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), peak=st.sampled_from([1, 30, 3000, 30_000]), rate_hz=st.sampled_from(PCM_RATES_HZ))
def test_noise_is_heard_as_nothing(seed: int, peak: int, rate_hz: int) -> None:
    noise = np.random.default_rng(seed).uniform(-peak, peak, size=2 * rate_hz)
    hearer = Hearer(sample_rate_hz=rate_hz)
    assert hearer.feed(pcm16(noise)) == ()
    assert hearer.text is hearer.partial is None


@pytest.mark.behaviour("audible-text-never-invents")
def test_silence_voices_keys_and_stray_tones_are_heard_as_nothing() -> None:
    rng = np.random.default_rng(5)
    time_s = np.arange(RATE_HZ * 10) / RATE_HZ
    pitch_hz = 140 + 60 * np.sin(np.pi * time_s) + 15 * np.sin(10 * np.pi * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    voice = sum((np.sin(number * phase) / number for number in range(2, 20)), np.sin(phase)) * 6000
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    key_s = time_s[: RATE_HZ // 20]
    keys = [
        6000 * (np.sin(2 * np.pi * rng.choice(rows) * key_s) + np.sin(2 * np.pi * rng.choice(columns) * key_s))
        for _ in range(200)
    ]
    waves = list(_speech._waves(RATE_HZ).values())
    stray = b"".join(waves[place] for place in rng.integers(0, len(waves), 2000))
    for audio in (b"", b"\0", bytes(480_000), pcm16(voice), pcm16(np.concatenate(keys)), stray, b"\xff\x7f" * 48_000):
        assert hear(audio) is None


def test_a_word_that_is_no_text_is_heard_as_nothing() -> None:
    body = b"\xff\xfe"
    framed = body + _speech.check(_speech.FIRST, body, _speech.LAST).to_bytes(2, "big")
    symbols = {value: symbol for symbol, value in _speech.VALUES.items()}
    row = [_speech.FIRST, *(symbols[half] for byte in framed for half in (byte >> 4, byte & 15)), _speech.LAST]
    waves = _speech._waves(RATE_HZ)
    assert hear(b"".join(waves[symbol] for symbol in row)) is None
