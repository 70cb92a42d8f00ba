"""What audio goes through between mouth and ear: resampling, telephone codecs, gain, noise; and strategies for text."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from xai_realtime.audio import from_pcm16, to_pcm16

__all__ = ["PRINTABLE", "SENTENCES", "band_limited", "linear", "nearest", "noisy", "pcm16", "samples", "telephone"]

PRINTABLE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=24)
"""Any printable text, spaces of all kinds included."""

SENTENCES = st.lists(st.text("abcdeß世🌍.,?", min_size=1, max_size=7), min_size=1, max_size=6).map(" ".join)


def samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def pcm16(values: NDArray[np.float64]) -> bytes:
    return np.clip(np.rint(values), -32768, 32767).astype("<i2").tobytes()


def linear(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Resampled by joining the samples with lines, without any filter."""
    values = samples(pcm)
    places = np.arange(len(values) * to_hz // from_hz) * (from_hz / to_hz)
    return pcm16(np.interp(places, np.arange(len(values)), values))


def nearest(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Resampled by repeating and leaving out samples, the worst there is."""
    values = samples(pcm)
    return pcm16(values[np.arange(len(values) * to_hz // from_hz) * from_hz // to_hz])


def band_limited(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Resampled through the spectrum, with a perfectly sharp filter."""
    values = samples(pcm)
    count = len(values) * to_hz // from_hz
    spectrum = np.fft.rfft(values)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    shared = min(len(spectrum), len(kept))
    kept[:shared] = spectrum[:shared]
    return pcm16(np.fft.irfft(kept, count) * (count / len(values)))


def telephone(pcm: bytes, encoding: str) -> bytes:
    """There and back through a codec at the same rate."""
    return to_pcm16(from_pcm16(pcm, encoding), encoding)


def noisy(pcm: bytes, snr_db: float, *, gain: float = 1.0, seed: int = 0) -> bytes:
    """White noise over the whole band, `snr_db` below the speech, then a gain."""
    values = samples(pcm)
    noise = np.random.default_rng(seed).normal(size=len(values))
    level = np.sqrt(np.mean(np.square(values)) / 10 ** (snr_db / 10))
    return pcm16((values + noise * level) * gain)
