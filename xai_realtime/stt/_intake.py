"""The caller's audio, brought into the format of the stream. In: audio cut anywhere. Out: whole samples of the wire.

Imports: room 0, config.
"""

from __future__ import annotations

from xai_realtime.audio import Audio, AudioConverter, AudioFormat, SampleAligner, from_pcm16
from xai_realtime.errors import ConfigurationError
from xai_realtime.stt.config import SttConfig

__all__ = ["Intake"]


class Intake:
    """One stream of audio. What is no whole sample of all channels waits for the next chunk.

    With a source rate or source channels it is PCM16 little-endian, interleaved, and is converted without seams.
    Several channels become one, or, where the stream has several, stay what they are. Raises ConfigurationError.
    """

    def __init__(self, config: SttConfig, source_rate_hz: int | None, source_channels: int | None) -> None:
        self._is_opus = config.encoding == "opus"
        self._channels = config.channels
        self._encoding = config.format.encoding
        self._converters: list[AudioConverter] = []
        self.block_bytes = 1 if self._is_opus else config.format.sample_bytes * config.channels
        self._aligner = SampleAligner(self.block_bytes)
        self.passes = True
        """Whole samples pass as they are: nothing is converted, and no part of a sample waits."""
        if source_rate_hz is not None or source_channels is not None:
            self._convert(config, source_rate_hz, source_channels)

    def _convert(self, config: SttConfig, rate_hz: int | None, channels: int | None) -> None:
        if self._is_opus:
            raise ConfigurationError("source_rate_hz and source_channels are for PCM; packets of Opus go as they are")
        count = self._channels if channels is None else channels
        if self._channels not in (1, count):
            raise ConfigurationError(f"source_channels is {count!r}; with channels={self._channels} it is the same")
        pcm = AudioFormat("pcm", config.sample_rate)
        rate_hz = config.sample_rate if rate_hz is None else rate_hz
        mixed = count if self._channels == 1 else 1
        self._converters = [AudioConverter(pcm, rate_hz=rate_hz, channels=mixed) for _ in range(self._channels)]
        self._aligner = SampleAligner(2 * count)
        self.passes = False

    def take(self, audio: Audio) -> bytes:
        """Audio in the stream's format; less than was given while some of it has to wait."""
        if self._is_opus:
            return bytes(audio)
        whole = self._aligner.push(audio)
        if self._converters:
            return self._converted(whole)
        self.passes = not self._aligner.pending_bytes
        return whole

    def flush(self) -> bytes:
        """What a converter held back, at the end of an utterance."""
        if not self._converters:
            return b""
        return self._joined([converter.flush() for converter in self._converters])

    def _converted(self, pcm: bytes) -> bytes:
        if len(self._converters) == 1:
            return self._joined([self._converters[0].push(pcm)])
        samples = memoryview(pcm).cast("h")
        return self._joined(
            [
                converter.push(samples[number :: self._channels].tobytes())
                for number, converter in enumerate(self._converters)
            ]
        )

    def _joined(self, channels: list[bytes]) -> bytes:
        pcm = channels[0]
        if len(channels) > 1:
            whole = bytearray(len(pcm) * len(channels))
            woven = memoryview(whole).cast("h")
            for number, channel in enumerate(channels):
                woven[number :: len(channels)] = memoryview(channel).cast("h")
            pcm = bytes(whole)
        return from_pcm16(pcm, self._encoding)
