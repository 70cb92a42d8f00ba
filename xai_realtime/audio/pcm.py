"""Numbers as PCM and back. In: numbers, or bytes. Out: bytes, numbers. Imports: stdlib, 0."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import TypeVar

from xai_realtime.audio.formats import Audio

__all__ = ["clipped_pcm16", "little_endian", "pcm16_samples"]

N = TypeVar("N", int, float)


def clipped_pcm16(samples: Iterable[float]) -> bytes:
    """PCM bytes of numbers in units of the 16-bit sample, rounded half to even, and clipped instead of wrapped.

    Infinity is clipped too; what is no number is silence.
    """
    values = array("h", (round(max(-32768, min(32767, sample))) if sample == sample else 0 for sample in samples))
    return little_endian(values).tobytes()


def pcm16_samples(pcm: Audio) -> array[int]:
    """The samples of PCM as numbers; half a sample at the end is dropped."""
    data = bytes(pcm)
    return little_endian(array("h", data[: len(data) // 2 * 2]))


def little_endian(samples: array[N]) -> array[N]:
    """Swaps the bytes of `samples` in place on a big-endian machine, and returns them."""
    if sys.byteorder == "big":  # pragma: no cover
        samples.byteswap()
    return samples
