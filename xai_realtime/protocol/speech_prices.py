"""What transcripts and speech cost. In: seconds of audio, characters of text, dated prices. Out: money, or why not.

Imports: the standard library, rooms 0-1, prices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.ledger import checked_decimal
from xai_realtime.protocol.prices import Cost

__all__ = ["SPEECH_PRICES", "SpeechPrices"]

_PRICES: Final = ("stream_hour", "file_hour", "million_characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPrices:
    """Prices of speech to text and text to speech as they were on a day (`dated`, as in 2026-09-18).

    `stream_hour` is the price of an hour of audio through the socket, `file_hour` that of an hour in a file: they
    differ. `million_characters` is the price of a million characters to be spoken. None where a price is not known.
    Raises ConfigurationError on a price below 0 and on another form of day.
    """

    dated: str
    stream_hour: Decimal | float | str | None = None
    file_hour: Decimal | float | str | None = None
    million_characters: Decimal | float | str | None = None
    currency: str = "USD"

    def __post_init__(self) -> None:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", self.dated) is None:
            raise ConfigurationError(f"dated is a day such as 2026-09-18, not {self.dated!r}")
        for name in _PRICES:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_decimal(name, value))

    def transcription(self, duration_s: float | None, *, streaming: bool) -> Cost:
        """What it costs to write `duration_s` seconds of audio down, through the socket or as a file.

        `duration_s` is what the service states (`SttDone.duration_s`, `SttResult.duration_s`); None is unknown.
        Whether each channel of a multichannel stream counts is not documented; here it does not.
        """
        name = "stream_hour" if streaming else "file_hour"
        what = "price of streamed audio" if streaming else "price of audio files"
        return self._cost("audio", name, what, duration_s, "length of the audio", 3600)

    def speech(self, characters: int | None) -> Cost:
        """What it costs to speak so many characters of the original text, before pronunciations replace any."""
        return self._cost("text", "million_characters", "price of speech", characters, "length of the text", 1_000_000)

    def changed(self, **prices: Decimal | float | str | None) -> SpeechPrices:
        """The same with some prices, or `dated`, of your own. Raises ConfigurationError as the class does."""
        unknown = prices.keys() - {*_PRICES, "dated", "currency"}
        if unknown:
            allowed = f"allowed: {', '.join(_PRICES)}, dated, currency"
            raise ConfigurationError(f"{', '.join(sorted(unknown))} is no price of speech; {allowed}")
        return replace(self, **prices)  # type: ignore[arg-type]

    def _cost(self, part: str, name: str, what: str, used: float | None, lacking: str, unit: int) -> Cost:
        price = getattr(self, name)
        unknown = tuple(words for words, value in ((what, price), (lacking, used)) if value is None)
        if price is None or used is None:
            return Cost(None, self.currency, {}, unknown, self.dated)
        amount = checked_decimal(lacking, used) * price / unit
        return Cost(amount, self.currency, {part: amount}, (), self.dated)


SPEECH_PRICES: Final = SpeechPrices(
    dated="2026-09-18", stream_hour=Decimal("0.20"), file_hour=Decimal("0.10"), million_characters=Decimal(15)
)
"""The prices that are known: of transcripts from a note on Grok Voice Transcribe 2.0, of speech from a third party."""
