"""Numbers as PCM and back, and the level. In: numbers, or bytes. Out: bytes, numbers, dBFS. Imports: stdlib, 0."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable
from operator import mul
from typing import Final

from xai_realtime.audio.formats import Audio

__all__ = ["clipped_pcm16", "level_dbfs", "little_endian", "pcm16_samples"]

_SILENT_DBFS: Final = -120.0


def clipped_pcm16(samples: Iterable[float]) -> bytes:
    """PCM bytes of numbers in units of the 16-bit sample, rounded half to even, and clipped instead of wrapped."""
    values = array("h", (max(-32768, min(32767, round(sample))) for sample in samples))
    return little_endian(values).tobytes()


def pcm16_samples(pcm: Audio) -> array[int]:
    """The samples of PCM as numbers; half a sample at the end is dropped."""
    data = bytes(pcm)
    return little_endian(array("h", data[: len(data) // 2 * 2]))


def level_dbfs(pcm: Audio) -> float:
    """Level (root mean square) of mono PCM in dBFS; -120.0 for silence and for no audio, and never below.

    0 dBFS is a square wave at full scale; a sine at full scale has -3.01 dBFS. Half a sample at the end is dropped.
    """
    samples = pcm16_samples(pcm)
    power = sum(map(mul, samples, samples))
    if not power:
        return _SILENT_DBFS
    return max(_SILENT_DBFS, 10 * math.log10(power / len(samples) / 32768**2))


def little_endian(samples: array[int]) -> array[int]:
    """Swaps the bytes of `samples` in place on a big-endian machine, and returns them."""
    if sys.byteorder == "big":  # pragma: no cover
        samples.byteswap()
    return samples
