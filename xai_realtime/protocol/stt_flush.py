"""Silence that makes a recogniser end an utterance, where it serves no `finalize`. In: settings. Out: audio.

Imports: room 0.
"""

from __future__ import annotations

from typing import Final

from xai_realtime.audio import silence
from xai_realtime.errors import ConfigurationError

__all__ = ["FLUSH_MARGIN_MS", "FLUSH_MIN_MS", "flush_ms", "flush_silence"]

FLUSH_MARGIN_MS: Final = 50
"""How much longer than the endpointing the silence lasts. Source: videosdk-plugins-xai stt.py."""
FLUSH_MIN_MS: Final = 100
"""The least that is sent. Source: videosdk-plugins-xai stt.py."""

_ENCODINGS: Final = {"pcm": "pcm", "mulaw": "pcmu", "alaw": "pcma"}


def flush_ms(endpointing_ms: int) -> int:
    """Milliseconds of silence after which an endpointing of `endpointing_ms` has surely ended the utterance."""
    return max(endpointing_ms + FLUSH_MARGIN_MS, FLUSH_MIN_MS)


def flush_silence(endpointing_ms: int, rate_hz: int, *, encoding: str = "pcm", channels: int = 1) -> bytes:
    """That silence as audio of the stream: whole samples of all channels, in its encoding.

    Raises ConfigurationError for Opus, whose silence takes an encoder, and for other unknown encodings.
    """
    name = _ENCODINGS.get(encoding)
    if name is None:
        raise ConfigurationError(f"no silence is known for {encoding!r}; allowed: {', '.join(_ENCODINGS)}")
    return silence(flush_ms(endpointing_ms), rate_hz, encoding=name) * channels
