"""What a transcription is asked for, by query or by form. In: names and texts. Out: `SttSettings`. Imports: 0 and 7.

Ranges and defaults: docs.x.ai stt-streaming.ws.json and voice reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xai_realtime.audio import AudioFormat, Encoding
from xai_realtime.emulator.encodings import has_opus
from xai_realtime.emulator.query import SPEECH_RATES_HZ, BadSetting, Settings, bad

__all__ = ["MAX_CHANNELS", "RAW_ENCODINGS", "SttSettings", "check_common", "streaming_settings"]

RAW_ENCODINGS: Final[dict[str, Encoding]] = {"pcm": "pcm", "mulaw": "pcmu", "alaw": "pcma"}
OPUS_RATES_HZ: Final = (8_000, 16_000, 24_000, 48_000)
MODEL_PREFIX: Final = "grok-voice-transcribe-"
MAX_CHANNELS: Final = 8
MAX_KEYTERMS: Final = 100
MAX_KEYTERM_CHARACTERS: Final = 50
ENDPOINTING_MS: Final = 400
DEFAULT_FORMAT: Final = AudioFormat("pcm", 16_000)


@dataclass(frozen=True, slots=True)
class SttSettings:
    """One stream as it was asked for. `form` is the format of the audio, its channels interleaved."""

    form: AudioFormat = DEFAULT_FORMAT
    channels: int = 1
    is_multichannel: bool = False
    interim_results: bool = False
    endpointing_ms: int = ENDPOINTING_MS
    diarize: bool = False
    filler_words: bool = False
    smart_turn: float | None = None
    smart_turn_timeout_ms: int | None = None


def streaming_settings(pairs: Iterable[tuple[str, str]]) -> SttSettings:
    """The settings of a socket's query. Raises BadSetting; what it does not know it passes over."""
    given = Settings(pairs)
    check_common(given)
    given.number("vad_threshold", 0, 1)
    encoding = given.one_of("encoding", (*RAW_ENCODINGS, "opus")) or "pcm"
    rate_hz = given.one_of_numbers("sample_rate", SPEECH_RATES_HZ) or 16_000
    channels, is_multichannel = channels_of(given)
    if encoding == "opus":
        check_opus(rate_hz, is_multichannel)
    endpointing_ms = given.whole("endpointing", 0, 5000)
    smart_turn = given.number("smart_turn", 0, 1)
    timeout_ms = given.whole("smart_turn_timeout", 1, 5000)
    if timeout_ms is not None and smart_turn is None:
        raise BadSetting("'smart_turn_timeout' needs 'smart_turn'.")
    return SttSettings(
        form=AudioFormat(RAW_ENCODINGS.get(encoding, "opus"), rate_hz),
        channels=channels,
        is_multichannel=is_multichannel,
        interim_results=given.flag("interim_results"),
        endpointing_ms=ENDPOINTING_MS if endpointing_ms is None else endpointing_ms,
        diarize=given.flag("diarize"),
        filler_words=given.flag("filler_words"),
        smart_turn=smart_turn,
        smart_turn_timeout_ms=timeout_ms,
    )


def check_common(given: Settings) -> None:
    """What sockets and uploads share: model, key terms, the language."""
    model = given.text("model")
    if model is not None and not model.startswith(MODEL_PREFIX):
        raise bad("model", model, f"'{MODEL_PREFIX}2.0' and its kin are allowed")
    terms = given.all("keyterm")
    if len(terms) > MAX_KEYTERMS:
        raise BadSetting(f"'keyterm' is given {len(terms)} times; {MAX_KEYTERMS} are allowed.")
    if any(len(term) > MAX_KEYTERM_CHARACTERS for term in terms):
        raise BadSetting(f"A 'keyterm' is over {MAX_KEYTERM_CHARACTERS} characters.")


def channels_of(given: Settings) -> tuple[int, bool]:
    """How many channels are interleaved, and whether each is transcribed by itself. Without that they do not count."""
    channels = given.whole("channels", 1, MAX_CHANNELS)
    if not given.flag("multichannel"):
        return 1, False
    if channels is None or channels < 2:
        raise BadSetting(f"'multichannel' needs 'channels' from 2 to {MAX_CHANNELS}.")
    return channels, True


def check_opus(rate_hz: int, is_multichannel: bool) -> None:
    if rate_hz not in OPUS_RATES_HZ:
        raise bad("sample_rate", rate_hz, f"with opus one of {', '.join(map(str, OPUS_RATES_HZ))} is allowed")
    if is_multichannel:
        raise BadSetting("'multichannel' cannot be used with opus.")
    if not has_opus():
        raise BadSetting("opus needs PyAV beside this emulator: pip install 'xai-realtime[opus]'.")
