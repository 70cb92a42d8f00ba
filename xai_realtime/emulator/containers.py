"""Audio files as PCM. In: the bytes of a file. Out: PCM of 16 bits a channel. Imports: 0, 7, numpy, PyAV in functions.

WAV is read by `xai_realtime.audio`, anything else, and WAV with other samples, by PyAV (extra `opus`).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xai_realtime.audio import PCM_RATES_HZ, AudioConverter, audio_format, read_wav, to_pcm16
from xai_realtime.emulator.encodings import has_opus
from xai_realtime.emulator.query import BadSetting
from xai_realtime.errors import ConfigurationError

__all__ = ["Recording", "channels_of", "raw_recording", "read_container"]

DECODED_HZ: Final = 24_000
HEARING_HZ: Final = 16_000


@dataclass(frozen=True, slots=True)
class Recording:
    """PCM of 16 bits, its channels interleaved."""

    pcm: bytes = field(repr=False)
    rate_hz: int
    channels: int

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / (2 * self.channels * self.rate_hz)


def raw_recording(audio: bytes, encoding: str, rate_hz: int, channels: int) -> Recording:
    """Samples without a container; what is cut at the end is left out."""
    size = channels * (2 if encoding == "pcm" else 1)
    return Recording(to_pcm16(audio[: len(audio) // size * size], encoding), rate_hz, channels)


def read_container(audio: bytes) -> Recording:
    """An audio file. Raises BadSetting for what is none, or is none that can be read here."""
    known = _wav(audio)
    if known is not None:
        return known
    if not has_opus():
        raise BadSetting(
            "The file is no WAV that is read by hand (PCM, G.711); other containers need PyAV beside this emulator: "
            "pip install 'xai-realtime[opus]'. Raw audio needs 'audio_format' and 'sample_rate'."
        )
    return _decoded(audio)


def channels_of(recording: Recording, *, is_multichannel: bool) -> tuple[list[bytes], int]:
    """The channels one by one, or mixed to one; and their rate, one that can be heard."""
    import numpy as np

    samples = np.frombuffer(recording.pcm, "<i2").reshape(-1, recording.channels)
    if is_multichannel:
        parts = [samples[:, channel] for channel in range(recording.channels)]
    else:
        parts = [np.rint(samples.mean(axis=1)) if recording.channels > 1 else samples[:, 0]]
    pcm = [part.astype("<i2").tobytes() for part in parts]
    if recording.rate_hz in PCM_RATES_HZ:
        return pcm, recording.rate_hz
    return _resampled(pcm, recording.rate_hz), HEARING_HZ


def _resampled(channels: Sequence[bytes], rate_hz: int) -> list[bytes]:
    try:
        converters = [AudioConverter(audio_format("pcm", HEARING_HZ), rate_hz=rate_hz) for _ in channels]
    except ConfigurationError as error:
        raise BadSetting(f"The sample rate of {rate_hz} Hz cannot be read here: {error}") from None
    return [converter.push(pcm) + converter.flush() for converter, pcm in zip(converters, channels, strict=True)]


def _wav(audio: bytes) -> Recording | None:
    """A WAV whose samples we know; None for anything else."""
    try:
        found = read_wav(io.BytesIO(audio))
    except ConfigurationError:
        return None
    return Recording(to_pcm16(found.audio, found.format.encoding), found.format.rate_hz, found.channels)


def _decoded(audio: bytes) -> Recording:
    import av

    pcm, channels = bytearray(), 1
    try:
        with av.open(io.BytesIO(audio), "r") as container:
            if not container.streams.audio:
                raise BadSetting("The file has no audio.")
            resampler: Any = None
            for frame in container.decode(audio=0):
                if resampler is None:
                    channels = frame.layout.nb_channels
                    resampler = av.AudioResampler(format="s16", layout=frame.layout.name, rate=DECODED_HZ)
                for piece in resampler.resample(frame):
                    pcm += piece.to_ndarray().tobytes()
            for piece in resampler.resample(None) if resampler is not None else ():
                pcm += piece.to_ndarray().tobytes()
    except av.FFmpegError:
        raise BadSetting("The file could not be decoded: it is no audio that is known.") from None
    return Recording(bytes(pcm), DECODED_HZ, channels)
