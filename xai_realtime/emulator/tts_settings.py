"""What speech is asked for, by query or in JSON. In: names and texts, an object. Out: `TtsSettings`. Imports: 0 and 7.

Ranges and defaults: docs.x.ai voice reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from xai_realtime.emulator.query import SPEECH_RATES_HZ, BadSetting, Settings, bad
from xai_realtime.emulator.sounds import CODECS, check_codec

__all__ = ["MAX_TEXT_CHARACTERS", "TtsSettings", "checked_replacements", "language_of", "streaming_settings"]

MAX_TEXT_CHARACTERS: Final = 15_000
DEFAULT_RATE_HZ: Final = 24_000
DEFAULT_BIT_RATE: Final = 128_000
BIT_RATES: Final = (32_000, 64_000, 96_000, 128_000, 192_000)
LATENCIES: Final = (0, 1, 2)
SPEEDS: Final = (0.7, 1.5)
LANGUAGE: Final = re.compile(r"auto|[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,2}", re.IGNORECASE)
MAX_REPLACEMENTS, MAX_PHRASE, MAX_SPOKEN = 200, 100, 128
PHRASE: Final = re.compile(r"[^\W_][\w' ]*")


@dataclass(frozen=True, slots=True)
class TtsSettings:
    """Speech as it was asked for; `voice` is as the client spells it."""

    language: str = "auto"
    voice: str = "eve"
    codec: str = "pcm"
    rate_hz: int = DEFAULT_RATE_HZ
    bit_rate: int = DEFAULT_BIT_RATE
    with_timestamps: bool = False


def streaming_settings(pairs: Iterable[tuple[str, str]]) -> TtsSettings:
    """The settings of a socket's query. Raises BadSetting; what it does not know it passes over."""
    given = Settings(pairs)
    language = given.text("language")
    if language is None:
        raise BadSetting("Missing required parameter: 'language'.")
    codec = given.one_of("codec", CODECS) or "mp3"
    codec = "mulaw" if codec == "ulaw" else codec
    check_codec(codec)
    rate_hz = given.one_of_numbers("sample_rate", SPEECH_RATES_HZ) or DEFAULT_RATE_HZ
    bit_rate = given.one_of_numbers("bit_rate", BIT_RATES) or DEFAULT_BIT_RATE
    given.one_of_numbers("optimize_streaming_latency", LATENCIES)
    given.number("speed", *SPEEDS)
    given.flag("text_normalization")
    voice = given.text("voice") or "eve"
    return TtsSettings(language_of(language), voice, codec, rate_hz, bit_rate, given.flag("with_timestamps"))


def language_of(language: str) -> str:
    """A language that is `auto` or looks like a code: the list is open. Raises BadSetting."""
    if not LANGUAGE.fullmatch(language):
        raise bad("language", language, "'auto' or a language code such as 'en' or 'pt-BR' is allowed")
    return language


def checked_replacements(given: Mapping[str, Any]) -> dict[str, str]:
    """Phrases and what is said for them. Raises BadSetting."""
    if len(given) > MAX_REPLACEMENTS:
        raise BadSetting(f"'replace' has {len(given)} entries; {MAX_REPLACEMENTS} are allowed.")
    for phrase, spoken in given.items():
        if not isinstance(spoken, str):
            raise bad("replace", phrase, "each phrase is replaced by a text")
        if len(phrase) > MAX_PHRASE or not PHRASE.fullmatch(phrase):
            raise bad("replace", phrase, f"a phrase has letters, digits, ' and spaces, at most {MAX_PHRASE} of them")
        if len(spoken) > MAX_SPOKEN:
            raise bad("replace", phrase, f"what is said for it has at most {MAX_SPOKEN} characters")
    return dict(given)
