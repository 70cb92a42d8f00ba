"""The user's audio, brought into the format of the session. In: PCM at any rate. Out: audio of the wire. Imports: 0."""

from __future__ import annotations

from xai_realtime.audio import Audio, AudioConverter, AudioFormat, SampleAligner, duration_ms
from xai_realtime.errors import ConfigurationError

__all__ = ["Microphone"]


class Microphone:
    """One stream of audio. It may change its rate or its channels; what was held back of the old one goes first."""

    __slots__ = ("_aligner", "_converter", "_format", "_source")

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._source: tuple[int, int] | None = None
        self._converter: AudioConverter | None = None
        self._aligner = None if format.encoding == "opus" else SampleAligner(format.sample_bytes)

    def take(self, audio: Audio, rate_hz: int | None, channels: int) -> bytes:
        """Audio in the session's format; less than was given while the resampler holds some back.

        Without a rate it is in that format already. Raises ConfigurationError for a rate or a number of channels that
        cannot be, and when resampling is not installed.
        """
        if rate_hz is None:
            if channels != 1:
                raise ConfigurationError(f"{channels} channels need rate_hz=, so that they can be mixed down to one")
            return self._as_it_is(audio)
        rest = b""
        if self._source != (rate_hz, channels) or self._converter is None:
            converter = AudioConverter(self._format, rate_hz=rate_hz, channels=channels)
            rest = self.flush()
            self._source, self._converter = (rate_hz, channels), converter
        return rest + self._converter.push(audio)

    def _as_it_is(self, audio: Audio) -> bytes:
        if self._aligner is None:
            return bytes(audio)
        return self.flush() + self._aligner.push(audio)

    def flush(self) -> bytes:
        """What was held back, at the end of a turn."""
        if self._converter is None:
            return b""
        converter, self._converter, self._source = self._converter, None, None
        return converter.flush()

    def reset(self) -> None:
        """Forget what was held back."""
        self._converter, self._source = None, None
        if self._aligner is not None:
            self._aligner.reset()

    def duration_ms(self, audio: bytes) -> float:
        """How long audio of the session's format lasts; 0 for an Opus packet, which does not tell."""
        if self._format.encoding == "opus":
            return 0.0
        return duration_ms(audio, self._format.rate_hz, encoding=self._format.encoding)
