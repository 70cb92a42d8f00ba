"""What a transcription stream is asked for. In: settings. Out: the same, checked, and the query of the socket.

Ranges and names: docs.x.ai stt-streaming.ws.json. Imports: rooms 0-3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypedDict, Unpack

from xai_realtime.audio import AudioFormat, Encoding
from xai_realtime.defaults import STT_ENDPOINTING_MS, STT_RATE_HZ
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.stt_loud import WIRE_ENCODINGS
from xai_realtime.protocol.stt_policy import demand, is_number

__all__ = [
    "ENCODINGS",
    "RATES_HZ",
    "SttConfig",
    "SttEncoding",
    "SttSettings",
    "checked_keyterms",
    "stream_config",
    "with_extras",
]

SttEncoding = Literal["pcm", "mulaw", "alaw", "opus"]

ENCODINGS: Final = (*WIRE_ENCODINGS, "opus")
RATES_HZ: Final = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
OPUS_RATES_HZ: Final = (8_000, 16_000, 24_000, 48_000)
MAX_CHANNELS: Final = 8
MAX_ENDPOINTING_MS: Final = 5_000
MAX_TURN_TIMEOUT_MS: Final = 5_000
MAX_KEYTERMS: Final = 100
MAX_KEYTERM_CHARACTERS: Final = 50


class SttSettings(TypedDict, total=False):
    """Settings of a stream as keywords: those of SttConfig."""

    sample_rate: int
    encoding: SttEncoding
    interim_results: bool
    endpointing: int
    language: str | None
    channels: int
    diarize: bool
    keyterms: Iterable[str]
    filler_words: bool | None
    smart_turn: float | None
    smart_turn_timeout: int | None
    vad_threshold: float | None
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SttConfig:
    """What a transcription stream is asked for; fixed as long as it lasts.

    `sample_rate` (Hz) and `encoding` are those of the audio on the wire; with `channels` from 2 to 8 it is interleaved
    and each channel is transcribed by itself (not with Opus). `interim_results` asks for previews. `endpointing` are
    the milliseconds of silence after which an utterance is over, 0 to 5000. `language` turns on the writing of numbers
    and currencies as in that language; it restricts nothing, and any code may be tried. `diarize` tells speakers
    apart. `keyterms` are up to 100 names and terms of up to 50 characters to listen for. `filler_words=True` keeps
    "um" and the like. `smart_turn` (0 to 1) lets the service judge whether a turn is over, and `smart_turn_timeout`
    (1 to 5000 ms) how long it may hold it open. `vad_threshold` is 0 to 1. `model` is the service's default when it is
    None. What you do not set is not sent, but for the four first.

    Raises ConfigurationError, naming the value and what is allowed. Source: docs.x.ai stt-streaming.ws.json.
    """

    sample_rate: int = STT_RATE_HZ
    encoding: SttEncoding = "pcm"
    interim_results: bool = True
    endpointing: int = STT_ENDPOINTING_MS
    language: str | None = None
    channels: int = 1
    diarize: bool = False
    keyterms: Iterable[str] = field(default=(), repr=False)
    filler_words: bool | None = None
    smart_turn: float | None = None
    smart_turn_timeout: int | None = None
    vad_threshold: float | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        demand("encoding", self.encoding, self.encoding in ENCODINGS, ", ".join(map(repr, ENCODINGS)))
        rates = OPUS_RATES_HZ if self.encoding == "opus" else RATES_HZ
        is_rate = _is_whole(self.sample_rate, rates[0], rates[-1]) and self.sample_rate in rates
        demand("sample_rate", self.sample_rate, is_rate, f"{', '.join(map(str, rates))} with {self.encoding}")
        most = 1 if self.encoding == "opus" else MAX_CHANNELS
        wanted = "1 with opus" if most == 1 else f"whole numbers from 1 to {most}"
        demand("channels", self.channels, _is_whole(self.channels, 1, most), wanted)
        for name in ("interim_results", "diarize"):
            demand(name, getattr(self, name), isinstance(getattr(self, name), bool), "True, False")
        is_flag = self.filler_words is None or isinstance(self.filler_words, bool)
        demand("filler_words", self.filler_words, is_flag, "True, False, None")
        self._check_turns()
        for name in ("language", "model"):
            value = getattr(self, name)
            demand(name, value, value is None or isinstance(value, str), "texts, None")
            object.__setattr__(self, name, value.strip() or None if value else None)
        object.__setattr__(self, "keyterms", checked_keyterms(self.keyterms))

    def _check_turns(self) -> None:
        most = MAX_ENDPOINTING_MS
        wanted = f"whole milliseconds from 0 to {most}"
        demand("endpointing", self.endpointing, _is_whole(self.endpointing, 0, most), wanted)
        for name in ("smart_turn", "vad_threshold"):
            value = getattr(self, name)
            demand(name, value, value is None or is_number(value, 0, 1), "numbers from 0 to 1, None")
        timeout, most = self.smart_turn_timeout, MAX_TURN_TIMEOUT_MS
        is_timeout = timeout is None or _is_whole(timeout, 1, most)
        demand("smart_turn_timeout", timeout, is_timeout, f"whole milliseconds from 1 to {most}, None")
        if timeout is not None and self.smart_turn is None:
            raise ConfigurationError(f"smart_turn_timeout is {timeout!r}; it is allowed with smart_turn alone")

    @property
    def format(self) -> AudioFormat:
        """The format of one channel, in the library's own names."""
        names: dict[str, Encoding] = {"pcm": "pcm", "mulaw": "pcmu", "alaw": "pcma", "opus": "opus"}
        return AudioFormat(names[self.encoding], self.sample_rate)

    def changed(self, **settings: Unpack[SttSettings]) -> SttConfig:
        """The same with other settings. Raises ConfigurationError."""
        return replace(self, **settings)

    def query(self) -> dict[str, str | list[str]]:
        """What stands in the address of the socket."""
        asked: dict[str, Any] = {
            "sample_rate": self.sample_rate,
            "encoding": self.encoding,
            "interim_results": self.interim_results,
            "endpointing": self.endpointing,
            "language": self.language,
            "multichannel": True if self.channels > 1 else None,
            "channels": self.channels if self.channels > 1 else None,
            "diarize": self.diarize or None,
            "keyterm": list(self.keyterms) or None,
            "filler_words": self.filler_words,
            "smart_turn": self.smart_turn,
            "smart_turn_timeout": self.smart_turn_timeout,
            "vad_threshold": self.vad_threshold,
            "model": self.model,
        }
        return {name: _as_text(value) for name, value in asked.items() if value is not None}


def stream_config(config: SttConfig | Mapping[str, Any] | None, settings: Mapping[str, Any]) -> SttConfig:
    """The settings laid over `config`. Raises ConfigurationError, also for a setting that there is not."""
    given = dict(config) if isinstance(config, Mapping) else {}
    known = SttSettings.__annotations__
    unknown = [name for name in {**given, **settings} if name not in known]
    if unknown:
        raise ConfigurationError(f"setting {unknown[0]!r} is not known; allowed are {', '.join(known)}")
    if isinstance(config, SttConfig):
        return config.changed(**settings)
    return SttConfig(**{**given, **settings})


def with_extras(asked: Mapping[str, str | list[str]], extras: Mapping[str, str] | None) -> dict[str, str | list[str]]:
    """The query with what no setting knows. Raises ConfigurationError for what is set already."""
    twice = [name for name in extras or {} if name in asked]
    if twice:
        raise ConfigurationError(f"query names {twice[0]!r}, which is sent already: give it as a setting")
    return {**(extras or {}), **asked}


def checked_keyterms(terms: object) -> tuple[str, ...]:
    """The terms, when there are not too many and each is short enough. Raises ConfigurationError."""
    if isinstance(terms, str) or not isinstance(terms, Iterable):
        raise ConfigurationError(f"keyterms is {terms!r}; allowed are lists of texts")
    given = tuple(terms)
    if len(given) > MAX_KEYTERMS:
        raise ConfigurationError(f"keyterms has {len(given)} terms; allowed are up to {MAX_KEYTERMS}")
    for term in given:
        is_term = isinstance(term, str) and term.strip() != "" and len(term) <= MAX_KEYTERM_CHARACTERS
        demand("a keyterm", term, is_term, f"texts of 1 to {MAX_KEYTERM_CHARACTERS} characters")
    return given


def _as_text(value: Any) -> str | list[str]:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, list) else str(value)


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
