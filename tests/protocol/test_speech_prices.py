"""What transcripts and speech cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.speech_prices import SPEECH_PRICES, SpeechPrices


@pytest.mark.behaviour("ask-34")
def test_hour_of_audio_costs_twice_as_much_through_the_socket_as_in_a_file() -> None:
    streamed = SPEECH_PRICES.transcription(3600.0, streaming=True)
    file = SPEECH_PRICES.transcription(3600.0, streaming=False)
    assert (streamed.amount, file.amount) == (Decimal("0.20"), Decimal("0.10"))
    assert streamed.is_complete
    assert streamed.parts == {"audio": Decimal("0.20")}
    assert streamed.prices_dated == "2026-09-18"


def test_speech_is_paid_by_the_character() -> None:
    assert SPEECH_PRICES.speech(200_000).amount == Decimal(3)
    assert SPEECH_PRICES.speech(0).amount == 0


@pytest.mark.parametrize(
    ("told", "unknown"),
    [
        (SPEECH_PRICES.transcription(None, streaming=True), ("length of the audio",)),
        (SPEECH_PRICES.speech(None), ("length of the text",)),
        (SpeechPrices(dated="2026-01-01").transcription(1.0, streaming=True), ("price of streamed audio",)),
        (
            SpeechPrices(dated="2026-01-01").transcription(None, streaming=False),
            ("price of audio files", "length of the audio"),
        ),
        (SpeechPrices(dated="2026-01-01").speech(1), ("price of speech",)),
    ],
)
def test_cost_is_unknown_and_says_why_where_a_price_or_the_use_is_unknown(told: object, unknown: tuple[str]) -> None:
    assert (told.amount, told.unknown, told.is_complete) == (None, unknown, False)  # type: ignore[attr-defined]


def test_prices_of_your_own_take_the_place_of_the_known_ones() -> None:
    mine = SPEECH_PRICES.changed(stream_hour="0.15", dated="2026-11-01", currency="EUR")
    told = mine.transcription(1800, streaming=True)
    assert (told.amount, told.currency, told.prices_dated) == (Decimal("0.075"), "EUR", "2026-11-01")
    assert mine.file_hour == SPEECH_PRICES.file_hour


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stream_hour": -1}, "stream_hour is a number from 0 up"),
        ({"file_hour": "much"}, "file_hour is a number from 0 up"),
        ({"dated": "today"}, "dated is a day"),
        ({"minute": 1}, "minute is no price of speech; allowed: stream_hour"),
    ],
)
def test_price_that_is_none_is_refused(change: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SPEECH_PRICES.changed(**change)


def test_length_below_zero_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="length of the audio"):
        SPEECH_PRICES.transcription(-1, streaming=True)
