"""Audio of any rate and any channels as a format of the wire. In: PCM cut anywhere. Out: bytes of the format.

numpy and soxr are imported inside the function (extra `audio`), where the rates differ. Imports: stdlib, 0.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from xai_realtime.audio.channels import to_mono
from xai_realtime.audio.formats import Audio, AudioFormat, audio_format, checked_channels, whole_number
from xai_realtime.audio.framing import SampleAligner
from xai_realtime.audio.g711 import from_pcm16
from xai_realtime.errors import ConfigurationError

__all__ = ["SOURCE_RATES_HZ", "AudioConverter", "ResamplingQuality"]

SOURCE_RATES_HZ: Final = range(4_000, 192_001)
"""Sample rates that an `AudioConverter` takes: every whole number of Hz from 4,000 to 192,000."""

ResamplingQuality = Literal["high", "low"]
"""`high` keeps 96 % of the band; `low` keeps 82 % and holds back about half as much."""

_SOXR_QUALITY: Final[dict[str, str]] = {"high": "HQ", "low": "LQ"}


class AudioConverter:
    """PCM of a microphone, a room or a file as `target`: mixed to mono, resampled, encoded; made for a live stream.

    The source is signed 16 bit, little endian, `rate_hz` Hz, its `channels` interleaved. Chunks may be cut anywhere,
    also through a sample or between the channels of one; what is not whole waits for the next. However the audio is
    cut, the bytes are the same, without seams. What is louder than 16 bits hold is clipped, never wrapped. Channels
    are averaged. `flush` gives the rest, and then there are as many samples as the time of the source asks for, give
    or take one.

    A resampler needs to hear ahead: at 24,000 Hz `high` holds back 4 to 39 ms and `low` 1 to 21 ms, at lower rates
    more; `pending_ms` tells. Nothing is held back where the rates are equal. There is no clock, and nothing to await
    or close. One converter serves one stream.

    Raises ConfigurationError for Opus (its packets are sent as they are), for a rate out of `SOURCE_RATES_HZ`, for
    channels out of 1 to 32, for an unknown quality, and, where the rates differ, when the extra `audio` is not
    installed.
    """

    __slots__ = ("_aligner", "_channels", "_in_samples", "_out_samples", "_rate_hz", "_resampler", "_target")

    def __init__(
        self, target: AudioFormat, *, rate_hz: int, channels: int = 1, quality: ResamplingQuality = "high"
    ) -> None:
        if target.encoding == "opus":
            raise ConfigurationError(
                "an AudioConverter makes PCM and G.711, not Opus: packets of Opus are passed as they are"
            )
        self._target = audio_format(*target)
        self._rate_hz = whole_number("rate_hz", rate_hz, SOURCE_RATES_HZ)
        self._channels = checked_channels(channels)
        if quality not in _SOXR_QUALITY:
            raise ConfigurationError(f"quality is one of {', '.join(get_args(ResamplingQuality))}, not {quality!r}")
        self._aligner = SampleAligner(2 * channels)
        self._resampler: _Resampler | None = None
        if rate_hz != target.rate_hz:
            self._resampler = _Resampler(rate_hz, target.rate_hz, channels, _SOXR_QUALITY[quality])
        self._in_samples = 0
        self._out_samples = 0

    @property
    def target(self) -> AudioFormat:
        """The format of what `push` and `flush` return."""
        return self._target

    @property
    def pending_ms(self) -> float:
        """Milliseconds of whole samples that were pushed and did not come out yet; 0.0 after `flush` and `reset`."""
        late = self._in_samples * self._target.rate_hz - self._out_samples * self._rate_hz
        return max(0.0, late * 1000 / (self._rate_hz * self._target.rate_hz))

    def push(self, chunk: Audio) -> bytes:
        """What can be given out after this chunk, in order; may be empty."""
        return self._converted(chunk, is_last=False)

    def flush(self) -> bytes:
        """The rest, at the end of the audio; afterwards the converter starts anew. A cut sample is dropped."""
        rest = self._converted(b"", is_last=True)
        self.reset()
        return rest

    def reset(self) -> None:
        """Forget what waits, as after a clear of the buffer, and start anew."""
        self._aligner.reset()
        if self._resampler is not None:
            self._resampler.reset()
        self._in_samples = self._out_samples = 0

    def _converted(self, chunk: Audio, *, is_last: bool) -> bytes:
        pcm = self._aligner.push(chunk)
        self._in_samples += len(pcm) // (2 * self._channels)
        if self._resampler is not None:
            pcm = self._resampler.push(pcm, is_last=is_last)
        elif self._channels > 1:
            pcm = to_mono(pcm, self._channels)
        self._out_samples += len(pcm) // 2
        return from_pcm16(pcm, self._target.encoding)


class _Resampler:
    """Whole samples of all channels as mono PCM of another rate."""

    __slots__ = ("_channels", "_numpy", "_options", "_soxr", "_stream")

    def __init__(self, rate_hz: int, target_hz: int, channels: int, quality: str) -> None:
        try:
            import numpy
            import soxr
        except ImportError:
            raise ConfigurationError(
                f"audio of {rate_hz} Hz becomes audio of {target_hz} Hz with numpy and soxr; "
                "install the extra: pip install 'xai-realtime[audio]'"
            ) from None
        self._channels = channels
        self._numpy = numpy
        self._soxr = soxr
        self._options = (rate_hz, target_hz, 1, "float32", quality)
        self.reset()

    def reset(self) -> None:
        self._stream: Any = self._soxr.ResampleStream(*self._options)

    def push(self, pcm: bytes, *, is_last: bool) -> bytes:
        np = self._numpy
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        resampled = self._stream.resample_chunk(samples, last=is_last)
        # In floats until here, so that the overshoot of the filter is clipped and no dither is added.
        clipped: bytes = np.clip(np.rint(resampled), -32768, 32767).astype("<i2").tobytes()
        return clipped
