"""Turns in PCM by its energy, on the time of the audio. In: PCM in any cuts. Out: events. Imports: stdlib, 0, numpy.

numpy is imported inside the function (extra `emulator`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from xai_realtime.audio import PCM_RATES_HZ, Audio
from xai_realtime.errors import ConfigurationError

__all__ = ["FRAME_MS", "EnergyVad", "SpeechStarted", "SpeechStopped"]

FRAME_MS: Final = 20
"""Milliseconds over which the energy is measured; all times are multiples of it, less the padding."""
_MIN_SPEECH_FRAMES: Final = 2
"""A click shorter than this starts no turn."""


class SpeechStarted(NamedTuple):
    """Speech began at `speech_start_ms`; the turn's audio at `audio_start_ms`, earlier by the padding."""

    audio_start_ms: int
    speech_start_ms: int


class SpeechStopped(NamedTuple):
    """Speech ended at `speech_end_ms`; the turn's audio at `audio_end_ms`, later by the silence that was waited for."""

    audio_end_ms: int
    speech_end_ms: int


class EnergyVad:
    """Tells where speech starts and stops in mono PCM; the same audio gives the same turns however it is cut and timed.

    `threshold` (0.1 to 0.9) is a level: -60 dBFS + 30 dB times the threshold, so -34.5 dBFS at the server's default of
    0.85. Speech starts after 40 ms above the level and stops after `silence_duration_ms` below it. The padding reaches
    back over at most `prefix_padding_ms`, never before the audio or into the turn before. Times are milliseconds of
    audio since the first byte. There is no clock: say with `silence_for` that the sender went quiet.

    The service states 0.85 and 333 ms, and no default for the silence; 500 ms is what others use. Ranges are those of
    the service (docs.x.ai voice-realtime.ws.json). Raises ConfigurationError out of them, and when the extra
    `emulator` is not installed.
    """

    def __init__(
        self,
        rate_hz: int = 24_000,
        *,
        threshold: float = 0.85,
        silence_duration_ms: int = 500,
        prefix_padding_ms: int = 333,
    ) -> None:
        try:
            import numpy as np
        except ImportError:
            raise ConfigurationError(
                "detecting turns needs numpy; install the extra: pip install 'xai-realtime[emulator]'"
            ) from None
        if rate_hz not in PCM_RATES_HZ:
            raise ConfigurationError(f"rate_hz is one of {', '.join(map(str, PCM_RATES_HZ))}, not {rate_hz!r}")
        if not 0.1 <= threshold <= 0.9:
            raise ConfigurationError(f"threshold lies from 0.1 to 0.9, not {threshold!r}")
        for name, value in (("silence_duration_ms", silence_duration_ms), ("prefix_padding_ms", prefix_padding_ms)):
            if not 0 <= value <= 10_000:
                raise ConfigurationError(f"{name} lies from 0 to 10000, not {value!r}")
        self._np = np
        self._silence_ms = silence_duration_ms
        self._padding_ms = prefix_padding_ms
        self._frame = rate_hz * FRAME_MS // 1000
        self._level_dbfs = -60 + 30 * threshold
        self._limit = 32768**2 * 10 ** (self._level_dbfs / 10) * self._frame
        self._rest = b""
        self._now_ms = 0
        self._loud_frames = 0
        self._quiet_since_ms = 0
        self._turn_end_ms = 0
        self._is_speaking = False

    @property
    def level_dbfs(self) -> float:
        """The level (root mean square against full scale) above which a frame counts as speech."""
        return self._level_dbfs

    @property
    def is_speaking(self) -> bool:
        """Between SpeechStarted and SpeechStopped."""
        return self._is_speaking

    @property
    def audio_ms(self) -> int:
        """Milliseconds of audio judged so far; up to a frame more may have been fed."""
        return self._now_ms

    def feed(self, pcm: Audio) -> list[SpeechStarted | SpeechStopped]:
        """Listen to a chunk of any size, cut at any byte; returns the events that it completes, in order."""
        data = self._rest + bytes(pcm)
        frames = len(data) // (2 * self._frame)
        self._rest = data[frames * 2 * self._frame :]
        if not frames:
            return []
        samples = self._np.frombuffer(data, "<i2", frames * self._frame).reshape(frames, -1).astype("f8")
        loud: list[bool] = (self._np.einsum("ij,ij->i", samples, samples) > self._limit).tolist()
        return [event for is_loud in loud if (event := self._step(is_loud)) is not None]

    def silence_for(self, quiet_ms: float) -> list[SpeechStarted | SpeechStopped]:
        """Say that no audio has come for `quiet_ms` since the last chunk; returns the stop when that ends the turn.

        It counts as silence after the last audio, without moving the time of the audio on. Each call gives the whole
        time, not the time since the last call.
        """
        if quiet_ms <= 0 or not self._is_speaking:
            return []
        if self._now_ms - self._quiet_since_ms + quiet_ms < self._silence_ms:
            return []
        return [self._stopped()]

    def _step(self, is_loud: bool) -> SpeechStarted | SpeechStopped | None:
        self._now_ms += FRAME_MS
        self._loud_frames = self._loud_frames + 1 if is_loud else 0
        if self._is_speaking:
            if is_loud:
                self._quiet_since_ms = self._now_ms
            elif self._now_ms - self._quiet_since_ms >= self._silence_ms:
                return self._stopped()
        elif self._loud_frames >= _MIN_SPEECH_FRAMES:
            self._is_speaking = True
            self._quiet_since_ms = self._now_ms
            start_ms = self._now_ms - self._loud_frames * FRAME_MS
            return SpeechStarted(max(self._turn_end_ms, start_ms - self._padding_ms), start_ms)
        return None

    def _stopped(self) -> SpeechStopped:
        self._is_speaking = False
        self._loud_frames = 0
        self._turn_end_ms = min(self._now_ms, self._quiet_since_ms + self._silence_ms)
        return SpeechStopped(self._turn_end_ms, self._quiet_since_ms)
