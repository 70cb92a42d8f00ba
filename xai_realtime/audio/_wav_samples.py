"""Samples as WAV files keep them, as samples of the wire. In: bytes. Out: PCM of 16 bits, or G.711. Imports: stdlib, 0.

Whole numbers are rounded half up to 16 bits, floats half to even; both are clipped, never wrapped.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Final

from xai_realtime.audio.pcm import clipped_pcm16, little_endian

__all__ = ["DECODERS"]

_SIGN: Final = bytes(value ^ 0x80 for value in range(256))


def _kept(data: bytes) -> bytes:
    return data


def _from_8_bits(data: bytes) -> bytes:
    """The only size without a sign: silence is 128."""
    pcm = bytearray(2 * len(data))
    pcm[1::2] = data.translate(_SIGN)
    return bytes(pcm)


def _from_24_bits(data: bytes) -> bytes:
    wide = bytearray(len(data) // 3 * 4)
    for byte in range(3):
        wide[byte + 1 :: 4] = data[byte::3]
    return _from_32_bits(bytes(wide))


def _from_32_bits(data: bytes) -> bytes:
    values = (min(32767, (value + 0x8000) >> 16) for value in little_endian(array("i", data)))
    return little_endian(array("h", values)).tobytes()


def _from_floats(data: bytes) -> bytes:
    return clipped_pcm16(value * 32768 for value in little_endian(array("f", data)))


DECODERS: Final[dict[tuple[int, int], Callable[[bytes], bytes]]] = {
    (1, 1): _from_8_bits,
    (1, 2): _kept,
    (1, 3): _from_24_bits,
    (1, 4): _from_32_bits,
    (3, 4): _from_floats,
    (6, 1): _kept,
    (7, 1): _kept,
}
"""By the format's number and the bytes of a sample: what makes of it PCM of 16 bits, or leaves it as it is."""
