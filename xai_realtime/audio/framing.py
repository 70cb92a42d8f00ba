"""Whole samples and frames out of chunks cut anywhere. In: bytes. Out: bytes, frames. Imports: stdlib, 0."""

from __future__ import annotations

import math
from collections.abc import Iterator

from xai_realtime.audio.formats import SILENT_BYTE, Audio, AudioFormat, bytes_for_ms, checked_channels
from xai_realtime.errors import ConfigurationError

__all__ = ["Framer", "SampleAligner", "frame_sizes"]


def frame_sizes(rate_hz: int, frame_ms: float) -> Iterator[int]:
    """Samples of one frame after the other, so that many have no more and no fewer than their time asks for.

    Raises ConfigurationError for frames of less than one sample, and for no length.
    """
    if not 0 < frame_ms < math.inf or bytes_for_ms(frame_ms, rate_hz, encoding="pcmu") == 0:
        raise ConfigurationError(f"a frame of {frame_ms!r} ms at {rate_hz} Hz holds no sample")

    def sizes() -> Iterator[int]:
        number = begin = 0
        while True:
            number += 1
            end = int(number * frame_ms * rate_hz // 1000)
            yield end - begin
            begin = end

    return sizes()


class SampleAligner:
    """Whole samples out of chunks that are cut anywhere: an odd byte waits for the next chunk.

    `sample_bytes` is 2 for PCM; `pending_bytes` is what waits (less than a sample).
    """

    __slots__ = ("_rest", "_sample_bytes")

    def __init__(self, sample_bytes: int = 2) -> None:
        if sample_bytes < 1:
            raise ConfigurationError(f"a sample has at least one byte, not {sample_bytes!r}")
        self._sample_bytes = sample_bytes
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes of a sample that is not whole yet."""
        return len(self._rest)

    def push(self, chunk: Audio) -> bytes:
        """The whole samples that can be given out now, in order; may be empty."""
        data = self._rest + bytes(chunk)
        whole = len(data) - len(data) % self._sample_bytes
        self._rest = data[whole:]
        return data if whole == len(data) else data[:whole]

    def reset(self) -> None:
        """Forget what waits, as after a clear of the buffer."""
        self._rest = b""


class Framer:
    """Frames of `frame_ms` milliseconds out of chunks that are cut anywhere, always of whole samples of all channels.

    Where a frame is no whole number of samples (10 ms at 22,050 Hz) neighbouring frames differ by one sample, and no
    time is lost over many. `channels` are stated, never guessed.

    Raises ConfigurationError for Opus, for frames of less than one sample, and for channels out of 1 to 32.
    """

    __slots__ = ("_buffer", "_next_bytes", "_sample_bytes", "_silent_byte", "_sizes")

    def __init__(self, format: AudioFormat, frame_ms: float = 20, *, channels: int = 1) -> None:
        self._sample_bytes = format.sample_bytes * checked_channels(channels)
        self._silent_byte = SILENT_BYTE[format.encoding]
        self._sizes = frame_sizes(format.rate_hz, frame_ms)
        self._next_bytes = next(self._sizes) * self._sample_bytes
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frame that is not full yet."""
        return len(self._buffer)

    def _take(self) -> bytes:
        frame = bytes(self._buffer[: self._next_bytes])
        del self._buffer[: self._next_bytes]
        self._next_bytes = next(self._sizes) * self._sample_bytes
        return frame

    def push(self, chunk: Audio) -> list[bytes]:
        """The frames that are full now, in order."""
        self._buffer += chunk
        frames = []
        while len(self._buffer) >= self._next_bytes:
            frames.append(self._take())
        return frames

    def flush(self) -> bytes | None:
        """The last frame, filled up with silence; None when nothing waits. A cut sample at its end is dropped."""
        whole = len(self._buffer) - len(self._buffer) % self._sample_bytes
        del self._buffer[whole:]
        if not whole:
            return None
        self._buffer += self._silent_byte * (self._next_bytes - whole)
        return self._take()
