"""How long the user has been making a sound, by the microphone itself. In: audio of the wire. Out: milliseconds.

Imports: room 0.
"""

from __future__ import annotations

import sys
from array import array
from operator import mul
from typing import Final

from xai_realtime.audio import AudioFormat, to_pcm16

__all__ = ["SpeechGate"]

FRAME_MS: Final = 20
PAUSE_MS: Final = 200
"""A silence as long as this ends what was said; shorter ones lie between two syllables."""
LEVEL_DBFS: Final = -45.0
"""Above quiet rooms, below quiet voices: what the server takes for speech is usually 10 dB louder."""


class SpeechGate:
    """Measures speech where the server says only that there is some, and tells its end half a second late.

    `sound_ms` is how much sound there was since the last pause. Opus is not measured: it stays 0.
    """

    __slots__ = ("_encoding", "_frame_bytes", "_limit", "_quiet_ms", "_rest", "sound_ms")

    def __init__(self, format: AudioFormat) -> None:
        samples = format.rate_hz * FRAME_MS // 1000
        self._encoding = format.encoding
        self._frame_bytes = 2 * samples
        self._limit = 32768**2 * 10 ** (LEVEL_DBFS / 10) * samples
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._rest = b""
        self._quiet_ms = 0
        self.sound_ms = 0

    def feed(self, audio: bytes) -> None:
        """Listen to audio in whole samples, in pieces of any length."""
        if self._encoding == "opus":
            return
        pcm = self._rest + to_pcm16(audio, self._encoding)
        whole = len(pcm) // self._frame_bytes * self._frame_bytes
        self._rest = pcm[whole:]
        for start in range(0, whole, self._frame_bytes):
            self._hear(array("h", pcm[start : start + self._frame_bytes]))

    def _hear(self, frame: array[int]) -> None:
        if sys.byteorder == "big":
            frame.byteswap()
        if sum(map(mul, frame, frame)) > self._limit:
            self._quiet_ms = 0
            self.sound_ms += FRAME_MS
            return
        self._quiet_ms += FRAME_MS
        if self._quiet_ms >= PAUSE_MS:
            self.sound_ms = 0
