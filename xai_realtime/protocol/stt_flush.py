"""Silence that makes a recogniser end an utterance, where it serves no `finalize`. In: settings. Out: audio.

Imports: room 0.
"""

from __future__ import annotations

from xai_realtime.audio import silence
from xai_realtime.defaults import STT_FLUSH_MARGIN_MS, STT_FLUSH_MIN_MS
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.stt_loud import WIRE_ENCODINGS

__all__ = ["flush_ms", "flush_silence", "wire_silence"]


def flush_ms(endpointing_ms: int) -> int:
    """Milliseconds of silence after which an endpointing of `endpointing_ms` has surely ended the utterance."""
    return max(endpointing_ms + STT_FLUSH_MARGIN_MS, STT_FLUSH_MIN_MS)


def flush_silence(endpointing_ms: int, rate_hz: int, *, encoding: str = "pcm", channels: int = 1) -> bytes:
    """That silence as audio of the stream: whole samples of all channels, in its encoding.

    Raises ConfigurationError for Opus, whose silence takes an encoder, and for other unknown encodings.
    """
    return wire_silence(flush_ms(endpointing_ms), rate_hz, encoding=encoding, channels=channels)


def wire_silence(time_ms: float, rate_hz: int, *, encoding: str = "pcm", channels: int = 1) -> bytes:
    """Silence of `time_ms` milliseconds as audio of the stream. Raises as `flush_silence`."""
    name = WIRE_ENCODINGS.get(encoding)
    if name is None:
        raise ConfigurationError(f"no silence is known for {encoding!r}; allowed: {', '.join(WIRE_ENCODINGS)}")
    return silence(time_ms, rate_hz, encoding=name) * channels
