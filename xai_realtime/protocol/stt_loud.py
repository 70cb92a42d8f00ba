"""Whether audio of the wire is loud, told from a few of its samples. In: audio. Out: yes or no.

Cheap enough for every frame: slices and tables, no loop over samples. Imports: rooms 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from xai_realtime.audio import to_pcm16
from xai_realtime.audio.pcm import pcm16_samples

__all__ = ["WIRE_ENCODINGS", "is_loud", "opus_packet_us"]

WIRE_ENCODINGS: Final = {"pcm": "pcm", "mulaw": "pcmu", "alaw": "pcma"}
"""Names of the wire with fixed samples, and the library's own."""

QUIET_PEAK: Final = 256
"""Samples up to here are quiet: the peak of a sine of -45 dBFS."""
SAMPLES_SEEN: Final = 64
"""So many samples of a piece are looked at, spread over it, or somewhat more."""
LOUD_SHARE: Final = 0.02
"""A click is not loud."""

_OPUS_FRAME_US: Final = (
    *(10_000, 20_000, 40_000, 60_000) * 3,
    *(10_000, 20_000) * 2,
    *(2_500, 5_000, 10_000, 20_000) * 4,
)
"""The length of a frame by the configuration of its packet. Source: RFC 6716, table 2."""


@cache
def _loudness(encoding: str) -> bytes:
    """1 for the byte of a loud sample, else 0; of PCM, whose samples have two bytes, for the higher one."""
    if encoding == "pcm":
        return b"\0" + b"\1" * 254 + b"\0"
    decoded = pcm16_samples(to_pcm16(bytes(range(256)), WIRE_ENCODINGS[encoding]))
    return bytes(abs(value) > QUIET_PEAK for value in decoded)


def is_loud(audio: bytes, encoding: str, channels: int = 1, channel: int | None = None) -> bool:
    """Is audio of whole samples louder than about -45 dBFS, all of its channels together, or one of them?"""
    size = 2 if encoding == "pcm" else 1
    if channel is None:
        channel, channels = 0, 1
    step = size * channels * max(1, len(audio) // (size * channels * SAMPLES_SEEN))
    seen = audio[size * (channel + 1) - 1 :: step]
    return seen.translate(_loudness(encoding)).count(1) > LOUD_SHARE * len(seen)


def opus_packet_us(packet: bytes) -> int:
    """Microseconds of audio in a packet of Opus, 0 for one that is empty. Source: RFC 6716, 3.1 and 3.2."""
    if not packet:
        return 0
    counts: Iterable[int] = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)
    return _OPUS_FRAME_US[packet[0] >> 3] * tuple(counts)[packet[0] & 3]
