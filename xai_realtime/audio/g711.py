"""PCM and G.711 into each other at the same rate. In: bytes. Out: bytes. Imports: stdlib, 0.

PCM means signed 16 bit, little endian.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable
from operator import itemgetter

from xai_realtime.audio.formats import Audio, sample_size_bytes
from xai_realtime.audio.pcm import little_endian

__all__ = [
    "from_pcm16",
    "pcm16_to_pcma",
    "pcm16_to_pcmu",
    "pcma_to_pcm16",
    "pcmu_to_pcm16",
    "to_pcm16",
]


def to_pcm16(audio: Audio, encoding: str) -> bytes:
    """`audio` of an encoding with fixed samples as PCM at the same rate. Raises ConfigurationError for Opus.

    Half a sample at the end is dropped; put a `SampleAligner` before it where chunks are cut anywhere.
    """
    sample_size_bytes(encoding)
    if encoding == "pcm":
        data = bytes(audio)
        return data[: len(data) // 2 * 2]
    return (pcmu_to_pcm16 if encoding == "pcmu" else pcma_to_pcm16)(audio)


def from_pcm16(pcm: Audio, encoding: str) -> bytes:
    """PCM in an encoding with fixed samples, at the same rate. Raises ConfigurationError for Opus."""
    sample_size_bytes(encoding)
    if encoding == "pcm":
        return to_pcm16(pcm, "pcm")
    return (pcm16_to_pcmu if encoding == "pcmu" else pcm16_to_pcma)(pcm)


def pcmu_to_pcm16(audio: Audio) -> bytes:
    """G.711 mu-law as PCM at the same rate, two bytes a byte."""
    return _expanded(bytes(audio), _expansion(_mu_law_value))


def pcma_to_pcm16(audio: Audio) -> bytes:
    """G.711 A-law as PCM at the same rate, two bytes a byte."""
    return _expanded(bytes(audio), _expansion(_a_law_value))


def pcm16_to_pcmu(pcm: Audio) -> bytes:
    """PCM as G.711 mu-law at the same rate, one byte a sample; half a sample at the end is dropped."""
    return _compressed(pcm, _mu_law_codes())


def pcm16_to_pcma(pcm: Audio) -> bytes:
    """PCM as G.711 A-law at the same rate, one byte a sample; half a sample at the end is dropped."""
    return _compressed(pcm, _a_law_codes())


def _mu_law_value(code: int) -> int:
    code ^= 0xFF
    magnitude = (((code & 0x0F) * 8 + 132) << (code >> 4 & 7)) - 132
    return -magnitude if code & 0x80 else magnitude


def _a_law_value(code: int) -> int:
    code ^= 0x55
    exponent = code >> 4 & 7
    magnitude = (code & 0x0F) * 16 + 8
    if exponent:
        magnitude = (magnitude + 256) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


@functools.cache
def _expansion(value: Callable[[int], int]) -> tuple[bytes, bytes]:
    """Two translation tables: low and high byte of the sample behind each code."""
    samples = [value(code) & 0xFFFF for code in range(256)]
    return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)


def _expanded(codes: bytes, tables: tuple[bytes, bytes]) -> bytes:
    pcm = bytearray(2 * len(codes))
    pcm[0::2] = codes.translate(tables[0])
    pcm[1::2] = codes.translate(tables[1])
    return bytes(pcm)


def _segment(magnitude: int, first_end: int) -> int:
    return (magnitude // first_end).bit_length()


@functools.cache
def _mu_law_codes() -> bytes:
    """Code of every sample, by the sample as an unsigned 16-bit number. The law works on its upper 14 bits."""

    def code(sample: int) -> int:
        magnitude = min(abs(sample), 8158) + 33
        segment = _segment(magnitude, 64)
        return (segment << 4 | magnitude >> segment + 1 & 0x0F) ^ (0xFF if sample >= 0 else 0x7F)

    return b"".join(bytes([code(sample)]) * 4 for sample in (*range(8192), *range(-8192, 0)))


@functools.cache
def _a_law_codes() -> bytes:
    """Code of every sample, by the sample as an unsigned 16-bit number. The law works on its upper 13 bits."""

    def code(sample: int) -> int:
        magnitude = sample if sample >= 0 else ~sample
        segment = _segment(magnitude, 32)
        return (segment << 4 | magnitude >> max(1, segment) & 0x0F) ^ (0xD5 if sample >= 0 else 0x55)

    return b"".join(bytes([code(sample)]) * 8 for sample in (*range(4096), *range(-4096, 0)))


def _compressed(pcm: Audio, codes: bytes) -> bytes:
    data = bytes(pcm)
    samples = little_endian(array("H", data[: len(data) // 2 * 2]))
    if len(samples) < 2:  # itemgetter of one index gives no tuple
        return bytes(codes[sample] for sample in samples)
    return bytes(itemgetter(*samples)(codes))
