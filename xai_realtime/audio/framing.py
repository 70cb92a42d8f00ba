"""Whole samples and frames out of chunks cut anywhere. In: bytes. Out: bytes, frames. Imports: stdlib, 0."""

from __future__ import annotations

from xai_realtime.audio.formats import SILENT_BYTE, Audio, AudioFormat, bytes_for_ms
from xai_realtime.errors import ConfigurationError

__all__ = ["Framer", "SampleAligner"]


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
    """Frames of `frame_ms` milliseconds out of chunks that are cut anywhere, always of whole samples.

    Where a frame is no whole number of samples (10 ms at 22,050 Hz) neighbouring frames differ by one sample, and no
    time is lost over many. Raises ConfigurationError for Opus, and for frames of less than one sample.
    """

    __slots__ = ("_buffer", "_format", "_frame_ms", "_number", "_taken_samples")

    def __init__(self, format: AudioFormat, frame_ms: float = 20) -> None:
        if bytes_for_ms(frame_ms, format.rate_hz, encoding=format.encoding) == 0:
            raise ConfigurationError(f"a frame of {frame_ms!r} ms at {format.rate_hz} Hz holds no sample")
        self._format = format
        self._frame_ms = frame_ms
        self._buffer = bytearray()
        self._number = 0
        self._taken_samples = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of the frame that is not full yet."""
        return len(self._buffer)

    def _next_bytes(self) -> int:
        end = int((self._number + 1) * self._frame_ms * self._format.rate_hz // 1000)
        return (end - self._taken_samples) * self._format.sample_bytes

    def _take(self, size: int) -> bytes:
        frame = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._number += 1
        self._taken_samples += size // self._format.sample_bytes
        return frame

    def push(self, chunk: Audio) -> list[bytes]:
        """The frames that are full now, in order."""
        self._buffer += chunk
        frames = []
        while len(self._buffer) >= (size := self._next_bytes()):
            frames.append(self._take(size))
        return frames

    def flush(self) -> bytes | None:
        """The last frame, filled up with silence; None when nothing waits. A cut sample at its end is dropped."""
        whole = len(self._buffer) - len(self._buffer) % self._format.sample_bytes
        del self._buffer[whole:]
        if not whole:
            return None
        size = self._next_bytes()
        self._buffer += SILENT_BYTE[self._format.encoding] * (size - whole)
        return self._take(size)
