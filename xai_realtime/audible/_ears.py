"""The tones in PCM, hop by hop, with numpy. In: PCM in any cuts. Out: a symbol per hop. Imports: stdlib, 0, numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from xai_realtime.audible._speech import HIGH_HZ, LOW_HZ, NOTHING, SYMBOL_MS
from xai_realtime.audio import Audio
from xai_realtime.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Ears"]


class Ears:
    """PCM in, one symbol (or nothing) per hop out: that of the window which ends with the hop.

    All sums are of whole numbers below 2**53, hence exact, hence the same for every way to cut the audio into chunks.
    """

    BLOCK_HOPS = 4096
    SCALE_BITS = 14
    PURE = 0.4
    DOMINANT = 2.0
    TWIST = 16.0

    def __init__(self, rate_hz: int) -> None:
        try:
            import numpy as np
        except ImportError:
            raise ConfigurationError(
                "hearing audible text needs numpy; install the extra: pip install 'xai-realtime[emulator]'"
            ) from None
        base_hz = 8_000 if rate_hz % 8_000 == 0 else 7_350
        self.fold = rate_hz // base_hz
        self.symbol_hops = 8 if base_hz == 8_000 else 7
        self.hop = base_hz * SYMBOL_MS // 1000 // self.symbol_hops
        self.hop_bytes = 2 * self.fold * self.hop
        self.window = self.symbol_hops - 2
        length = self.window * self.hop
        angles = 2 * np.pi / base_hz * np.outer(np.arange(length), (*LOW_HZ, *HIGH_HZ))
        waves = np.rint(np.hstack((np.cos(angles), np.sin(angles))) * 2**self.SCALE_BITS)
        self.waves = waves.reshape(self.window, self.hop, 20).transpose(1, 0, 2).reshape(self.hop, -1)
        self.share = 2 / length / 4**self.SCALE_BITS
        self.rest = b""
        self.parts = np.zeros((self.window - 1, self.window, 20))
        self.energies = np.zeros(self.window - 1)

    def feed(self, pcm: Audio) -> Iterator[list[int]]:
        """The symbols of the windows that are full now, a list for each block."""
        data = memoryview(self.rest + bytes(pcm))
        whole = len(data) // self.hop_bytes * self.hop_bytes
        self.rest = bytes(data[whole:])
        block_bytes = self.BLOCK_HOPS * self.hop_bytes
        for begin in range(0, whole, block_bytes):
            yield self._symbols(data[begin : min(whole, begin + block_bytes)])

    def _symbols(self, data: memoryview) -> list[int]:
        import numpy as np

        samples = np.frombuffer(data, "<i2").reshape(-1, self.fold)
        folded = samples[:, 0].astype(np.float64)
        for column in range(1, self.fold):
            folded += samples[:, column]
        hops = folded.reshape(-1, self.hop)
        parts = np.concatenate((self.parts, (hops @ self.waves).reshape(-1, self.window, 20)))
        energies = np.concatenate((self.energies, np.einsum("ij,ij->i", hops, hops)))
        self.parts, self.energies = parts[1 - self.window :], energies[1 - self.window :]
        count = len(hops)
        sums = parts[:count, 0].copy()
        energy = energies[:count].copy()
        for place in range(1, self.window):
            sums += parts[place : place + count, place]
            energy += energies[place : place + count]
        return self._decided(sums, energy)

    def _decided(self, sums: NDArray[np.float64], energy: NDArray[np.float64]) -> list[int]:
        import numpy as np

        power = np.square(sums[:, :10]) + np.square(sums[:, 10:])
        low, high = power[:, :5], power[:, 5:]
        low_best, high_best = low.max(axis=1), high.max(axis=1)
        clear = (low_best + high_best) * self.share > self.PURE * energy
        clear &= low_best * (1 + self.DOMINANT) > self.DOMINANT * low.sum(axis=1)
        clear &= high_best * (1 + self.DOMINANT) > self.DOMINANT * high.sum(axis=1)
        clear &= (low_best < self.TWIST * high_best) & (high_best < self.TWIST * low_best)
        found: list[int] = np.where(clear, 5 * low.argmax(axis=1) + high.argmax(axis=1), NOTHING).tolist()
        return found
