"""Interleaved channels, apart and together, and how loud they are. In: bytes. Out: bytes, dBFS. Imports: stdlib, 0.

Without `encoding=` audio is PCM: signed 16 bit, little endian. What is no whole sample of all channels, at the end, is
dropped; put a `SampleAligner` before it where chunks are cut anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Final

from xai_realtime.audio.formats import Audio, checked_channels, sample_size_bytes
from xai_realtime.audio.g711 import from_pcm16, to_pcm16
from xai_realtime.audio.pcm import clipped_pcm16, pcm16_samples
from xai_realtime.errors import ConfigurationError

__all__ = ["interleave", "level_dbfs", "split_channels", "to_mono"]

_SILENT_DBFS: Final = -120.0


def split_channels(audio: Audio, channels: int, *, encoding: str = "pcm") -> list[bytes]:
    """Each of the interleaved `channels` by itself.

    Raises ConfigurationError for Opus and for channels out of 1 to 32.
    """
    size = sample_size_bytes(encoding)
    data = _whole(audio, size * checked_channels(channels))
    parts = [bytearray(len(data) // channels) for _ in range(channels)]
    for channel, part in enumerate(parts):
        for byte in range(size):
            part[byte::size] = data[channel * size + byte :: channels * size]
    return [bytes(part) for part in parts]


def interleave(channels: Sequence[Audio], *, encoding: str = "pcm") -> bytes:
    """Channels of equal length as one. Fill up the shorter ones with `silence` first.

    Raises ConfigurationError for Opus, for channels of different length, and for none or more than 32.
    """
    size = sample_size_bytes(encoding)
    checked_channels(len(channels))
    parts = [_whole(channel, size) for channel in channels]
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        told = ", ".join(str(len(part)) for part in parts)
        raise ConfigurationError(f"channels that are interleaved have equal lengths, not {told} bytes")
    data = bytearray(sum(map(len, parts)))
    for channel, part in enumerate(parts):
        for byte in range(size):
            data[channel * size + byte :: len(parts) * size] = part[byte::size]
    return bytes(data)


def to_mono(audio: Audio, channels: int, *, encoding: str = "pcm") -> bytes:
    """The mean of the interleaved `channels`, rounded half to even; it never wraps.

    Channels of opposite sign cancel each other out: take one of `split_channels` then. Raises as `split_channels`.
    """
    data = _whole(audio, sample_size_bytes(encoding) * checked_channels(channels))
    if channels == 1:
        return data
    samples = pcm16_samples(to_pcm16(data, encoding))
    every_channel = (samples[channel::channels] for channel in range(channels))
    mixed = clipped_pcm16(sum(moment) / channels for moment in zip(*every_channel, strict=True))
    return from_pcm16(mixed, encoding)


def level_dbfs(audio: Audio, *, encoding: str = "pcm", channels: int = 1) -> float:
    """Level (root mean square) in dBFS, over all `channels`; -120.0 for silence and for no audio, and never below.

    0 dBFS is a square wave at full scale; a sine at full scale has -3.01 dBFS. For the level of each channel, split
    them. Raises as `split_channels`.
    """
    data = _whole(audio, sample_size_bytes(encoding) * checked_channels(channels))
    samples = pcm16_samples(to_pcm16(data, encoding))
    power = sum(map(mul, samples, samples))
    if not power:
        return _SILENT_DBFS
    return max(_SILENT_DBFS, 10 * math.log10(power / len(samples) / 32768**2))


def _whole(audio: Audio, unit_bytes: int) -> bytes:
    data = bytes(audio)
    return data if len(data) % unit_bytes == 0 else data[: len(data) // unit_bytes * unit_bytes]
