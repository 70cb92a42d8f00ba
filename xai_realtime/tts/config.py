"""What speech is asked for, checked. In: settings. Out: a query for the socket, a body for REST. Imports: rooms 0-2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from dataclasses import replace as replaced
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypedDict, Unpack

from xai_realtime.defaults import TTS_CODEC, TTS_LANGUAGE, TTS_MAX_CHARACTERS, TTS_RATE_HZ, TTS_VOICE
from xai_realtime.errors import ConfigurationError

__all__ = ["BIT_RATES", "BUILT_IN_VOICES", "CODECS", "RATES_HZ", "TtsCodec", "TtsConfig", "TtsSettings"]

TtsCodec: TypeAlias = Literal["pcm", "mulaw", "alaw", "mp3", "wav"]

CODECS: Final[tuple[TtsCodec, ...]] = ("pcm", "mulaw", "alaw", "mp3", "wav")
RATES_HZ: Final = (8000, 16_000, 22_050, 24_000, 44_100, 48_000)
BIT_RATES: Final = (32_000, 64_000, 96_000, 128_000, 192_000)
LATENCIES: Final = (0, 1, 2)
SPEED_MIN, SPEED_MAX = 0.7, 1.5
PHRASES_MAX, PHRASE_CHARACTERS_MAX, SPOKEN_CHARACTERS_MAX = 200, 100, 128
PHRASE: Final = re.compile(r"[^\W_](?:[^\W_]|[' ])*")

# fmt: off
BUILT_IN_VOICES: Final = frozenset({
    "altair", "ara", "atlas", "aurora", "carina", "castor", "celeste", "cosmo", "eve",
    "helios", "helix", "iris", "kepler", "leo", "lumen", "luna", "lux", "naksh",
    "orion", "perseus", "rex", "rigel", "sal", "sirius", "una", "ursa", "zagan",
    "zenith",
})
# fmt: on
"""Voices that any source names, for the case of their ids alone: every other id passes as it is.

Source: docs.x.ai voice reference; openclaw/openclaw.
"""


class TtsSettings(TypedDict, total=False):
    """The settings of TtsConfig, as keywords."""

    voice: str
    language: str
    codec: TtsCodec
    sample_rate: int
    bit_rate: int | None
    latency: int | None
    speed: float | None
    text_normalization: bool | None
    timestamps: bool
    pronunciations: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsConfig:
    """What speech is asked for. What is None is not sent, and the service decides.

    `voice` is the id of any voice, built in or made by you; the case of a built-in one does not matter. `language` is
    `auto` or a code such as `en` or `pt-BR`. `codec` is one of pcm (16-bit little-endian mono), mulaw, alaw, mp3, wav;
    `sample_rate` one of 8000, 16000, 22050, 24000, 44100, 48000 Hz. `bit_rate` is bits per second of mp3: 32000,
    64000, 96000, 128000 or 192000. `latency` from 0 to 2 gives quality up for an earlier start, `speed` from 0.7 to
    1.5 talks slower or faster. `text_normalization` has numbers and abbreviations written out before they are spoken.
    `timestamps` asks when each character is spoken. `pronunciations` are phrases and what is said for them: another
    spelling, or IPA between slashes; at most 200, of letters, digits, apostrophes and spaces.

    Raises ConfigurationError for a value that is not allowed. Source: docs.x.ai voice reference.
    """

    voice: str = TTS_VOICE
    language: str = TTS_LANGUAGE
    codec: TtsCodec = TTS_CODEC
    sample_rate: int = TTS_RATE_HZ
    bit_rate: int | None = None
    latency: int | None = None
    speed: float | None = None
    text_normalization: bool | None = None
    timestamps: bool = False
    pronunciations: Mapping[str, str] | None = field(default=None, repr=False, hash=False)

    def __post_init__(self) -> None:
        for name in ("voice", "language"):
            object.__setattr__(self, name, _checked_text(name, getattr(self, name)))
        if self.voice.lower() in BUILT_IN_VOICES:
            object.__setattr__(self, "voice", self.voice.lower())
        _check_one_of("codec", self.codec, CODECS)
        _check_one_of("sample_rate", self.sample_rate, RATES_HZ)
        if self.bit_rate is not None:
            _check_one_of("bit_rate", self.bit_rate, BIT_RATES)
            if self.codec != "mp3":
                raise ConfigurationError(
                    f"bit_rate is {self.bit_rate!r} with codec {self.codec!r}; it is for 'mp3' alone"
                )
        if self.latency is not None:
            _check_one_of("latency", self.latency, LATENCIES)
        if self.speed is not None:
            _check_speed(self.speed)
        _check_one_of("text_normalization", self.text_normalization, (None, False, True))
        _check_one_of("timestamps", self.timestamps, (False, True))
        object.__setattr__(self, "pronunciations", _checked_pronunciations(self.pronunciations))

    def changed(self, **settings: Unpack[TtsSettings]) -> TtsConfig:
        """This one with other settings. Raises ConfigurationError for what is not allowed, or not known."""
        known = {entry.name for entry in fields(self)}
        for name in settings:
            if name not in known:
                raise ConfigurationError(f"setting {name!r} is not known; known are {', '.join(sorted(known))}")
        return replaced(self, **settings)

    def query(self) -> dict[str, str]:
        """The query of the socket; the pronunciations are not in it."""
        given = {
            "voice": self.voice,
            "language": self.language,
            "codec": self.codec,
            "sample_rate": self.sample_rate,
            "bit_rate": self.bit_rate,
            "optimize_streaming_latency": self.latency,
            "speed": self.speed,
            "text_normalization": self.text_normalization,
            "with_timestamps": self.timestamps or None,
        }
        return {name: _written(value) for name, value in given.items() if value is not None}

    def body(self, text: str) -> dict[str, Any]:
        """The JSON of one request over HTTP that speaks `text`.

        Raises ConfigurationError for blank text and for more than 15,000 characters.
        """
        if not text.strip():
            raise ConfigurationError("the text is blank; there is nothing to speak")
        if len(text) > TTS_MAX_CHARACTERS:
            raise ConfigurationError(f"the text has {len(text)} characters; {TTS_MAX_CHARACTERS} are allowed")
        sound = {"codec": self.codec, "sample_rate": self.sample_rate, "bit_rate": self.bit_rate}
        given = {
            "text": text,
            "voice_id": self.voice,
            "language": self.language,
            "output_format": {name: value for name, value in sound.items() if value is not None},
            "speed": self.speed,
            "optimize_streaming_latency": self.latency,
            "text_normalization": self.text_normalization,
            "with_timestamps": self.timestamps or None,
            "replace": dict(self.pronunciations) if self.pronunciations else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checked_text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{name} is {value!r}; a text that is not blank is allowed")
    return value.strip()


def _check_one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if not any(value == entry and type(value) is type(entry) for entry in allowed):
        raise ConfigurationError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")


def _check_speed(speed: object) -> None:
    is_number = isinstance(speed, int | float) and not isinstance(speed, bool)
    if not is_number or not SPEED_MIN <= speed <= SPEED_MAX:  # type: ignore[operator]
        raise ConfigurationError(f"speed is {speed!r}; numbers from {SPEED_MIN} to {SPEED_MAX} are allowed")


def _checked_pronunciations(given: object) -> Mapping[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"pronunciations are a {type(given).__name__}; a mapping of phrases is allowed")
    if len(given) > PHRASES_MAX:
        raise ConfigurationError(f"there are {len(given)} pronunciations; {PHRASES_MAX} are allowed")
    for phrase, spoken in given.items():
        is_phrase = isinstance(phrase, str) and PHRASE.fullmatch(phrase) and len(phrase) <= PHRASE_CHARACTERS_MAX
        if not is_phrase:
            raise ConfigurationError(
                f"phrase {str(phrase)[:PHRASE_CHARACTERS_MAX]!r} of the pronunciations: letters, digits, ' and spaces "
                f"are allowed, at most {PHRASE_CHARACTERS_MAX}"
            )
        if not isinstance(spoken, str) or not spoken.strip() or len(spoken) > SPOKEN_CHARACTERS_MAX:
            raise ConfigurationError(
                f"what is said for {phrase!r} is no text of 1 to {SPOKEN_CHARACTERS_MAX} characters, which is allowed"
            )
    return MappingProxyType(dict(given)) if given else None
