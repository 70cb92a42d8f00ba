"""WAV files, read and written piece by piece. In: files, audio. Out: audio with its format, files. Imports: stdlib, 0.

Reading and writing wait as the file does: in an event loop, do it in a worker thread where files are slow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike, fspath
from types import TracebackType
from typing import IO, Final, Self, TypeAlias

from xai_realtime.audio._wav_chunks import UNKNOWN_BYTES, WAV_RATES_HZ, read_layout, take
from xai_realtime.audio.formats import (
    Audio,
    AudioFormat,
    checked_channels,
    duration_ms,
    sample_size_bytes,
    whole_number,
)
from xai_realtime.audio.framing import SampleAligner, frame_sizes
from xai_realtime.errors import ConfigurationError

__all__ = ["WAV_RATES_HZ", "WavAudio", "WavFile", "WavReader", "WavWriter", "read_wav", "wav_header", "write_wav"]

WavFile: TypeAlias = str | PathLike[str] | IO[bytes]
"""A path, or a file that is open for bytes; it need not be one that can be sought in."""

CODES: Final = {"pcm": 1, "pcma": 6, "pcmu": 7}
BLOCK_SAMPLES: Final = 65_536


@dataclass(frozen=True, slots=True)
class WavAudio:
    """What a WAV file holds: its channels interleaved, as PCM of 16 bits or as G.711, which `format` tells.

    `is_truncated` says that the file ends before the length that it states.
    """

    audio: bytes = field(repr=False)
    format: AudioFormat
    channels: int
    is_truncated: bool

    @property
    def duration_ms(self) -> float:
        """How long it lasts."""
        return duration_ms(self.audio, self.format.rate_hz, encoding=self.format.encoding, channels=self.channels)


class WavReader:
    """A WAV file, read piece by piece; `with` closes it when a path was given, and leaves an open file open.

    `format` and `channels` are what the file states. PCM of 8, 16, 24 or 32 bits and floats of 32 bits are given as PCM
    of 16 bits, rounded and clipped; G.711 is given as it is (`to_pcm16` makes PCM of it). The rate may be one that the
    service does not accept: `AudioConverter` makes another of it. A file that was written as a stream, whose lengths
    are 0 or 0xFFFFFFFF, is read to its end.

    Raises ConfigurationError, with what can be read, for what is no WAV file, for other samples, for more than 32
    channels, and where no audio comes within the first 16 MiB; OSError as `open` does.
    """

    def __init__(self, file: WavFile) -> None:
        self._file, self._is_ours = _opened(file, "rb")
        try:
            self._layout = read_layout(self._file, fspath(file) if isinstance(file, str | PathLike) else "the file")
        except BaseException:
            self.close()
            raise
        self._left_bytes = self._layout.data_bytes
        self._is_truncated = False

    @property
    def format(self) -> AudioFormat:
        """Encoding and rate of what is read."""
        return self._layout.format

    @property
    def channels(self) -> int:
        """How many channels are interleaved."""
        return self._layout.channels

    @property
    def duration_ms(self) -> float | None:
        """How long the audio lasts by what the file states; None when it was written as a stream."""
        layout = self._layout
        if layout.data_bytes is None:
            return None
        return layout.data_bytes // layout.unit_bytes * 1000 / layout.format.rate_hz

    @property
    def is_truncated(self) -> bool:
        """Did the file end before the length that it states? Known when all has been read."""
        return self._is_truncated

    def frames(self, frame_ms: float = 20) -> Iterator[bytes]:
        """Frames of `frame_ms` milliseconds until the end, of whole samples of all channels; the last may be shorter.

        Raises ConfigurationError for frames of less than one sample.
        """
        sizes = frame_sizes(self.format.rate_hz, frame_ms)

        def read() -> Iterator[bytes]:
            while frame := self._read(next(sizes)):
                yield frame

        return read()

    def read(self) -> bytes:
        """All that has not been read yet."""
        parts = []
        while part := self._read(BLOCK_SAMPLES):
            parts.append(part)
        return b"".join(parts)

    def _read(self, samples: int) -> bytes:
        """The next samples; fewer only at the end."""
        unit = self._layout.unit_bytes
        wanted = samples * unit
        if self._left_bytes is not None:
            wanted = min(wanted, self._left_bytes // unit * unit)
        stored = take(self._file, wanted)
        if self._left_bytes is not None:
            self._is_truncated = self._is_truncated or len(stored) < wanted
            self._left_bytes = self._left_bytes - wanted if len(stored) == wanted else 0
        return self._layout.decode(stored[: len(stored) // unit * unit])

    def close(self) -> None:
        """Close the file, when a path was given."""
        if self._is_ours:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class WavWriter:
    """A WAV file, written piece by piece: PCM of 16 bits or G.711, its `channels` interleaved.

    `with` states the lengths at the end and closes the file when a path was given; an open file stays open. Until then,
    and where the file cannot be sought in (a pipe), the lengths say that they are not known, so that what was written
    can be read however the program ends. Chunks may be cut anywhere; a cut sample at the end is dropped.

    Raises ConfigurationError for Opus, for a rate out of `WAV_RATES_HZ`, for channels out of 1 to 32, and when written
    to after its end; OSError as `open` and the file do.
    """

    def __init__(self, file: WavFile, format: AudioFormat, channels: int = 1) -> None:
        header = wav_header(format, channels)
        self._format = format
        self._channels = channels
        self._aligner = SampleAligner(format.sample_bytes * channels)
        self._data_bytes = 0
        self._is_open = True
        self._file, self._is_ours = _opened(file, "wb")
        try:
            self._start = self._file.tell() if self._file.seekable() else None
            _put(self._file, header)
        except BaseException:
            self._let_go()
            raise

    @property
    def duration_ms(self) -> float:
        """How long what was written lasts."""
        return duration_ms(
            self._data_bytes, self._format.rate_hz, encoding=self._format.encoding, channels=self._channels
        )

    def write(self, audio: Audio) -> None:
        """Write more audio."""
        if not self._is_open:
            raise ConfigurationError("this WAV file has been ended: nothing can be written to it any more")
        whole = self._aligner.push(audio)
        _put(self._file, whole)
        self._data_bytes += len(whole)

    def close(self) -> None:
        """State the lengths, and close the file when a path was given. A second call does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            if self._start is not None:
                _put(self._file, bytes(self._data_bytes % 2))
                self._file.seek(self._start)
                _put(self._file, wav_header(self._format, self._channels, data_bytes=self._data_bytes))
                self._file.seek(0, 2)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._is_ours:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_wav(file: WavFile) -> WavAudio:
    """All that a WAV file holds. Raises as `WavReader`."""
    with WavReader(file) as reader:
        audio = reader.read()
        return WavAudio(audio, reader.format, reader.channels, reader.is_truncated)


def write_wav(file: WavFile, audio: Audio, format: AudioFormat, channels: int = 1) -> None:
    """Write audio, its `channels` interleaved, as a WAV file. Raises as `WavWriter`."""
    with WavWriter(file, format, channels) as writer:
        writer.write(audio)


def wav_header(format: AudioFormat, channels: int = 1, *, data_bytes: int | None = None) -> bytes:
    """What stands before the audio in a WAV file: 44 bytes for PCM, 58 for G.711.

    Without `data_bytes`, or with more of them than can be stated, the lengths are 0xFFFFFFFF, which means that nobody
    knows. Raises ConfigurationError as `WavWriter`.
    """
    sample_bytes = sample_size_bytes(format.encoding)
    rate_hz = whole_number("the rate", format.rate_hz, WAV_RATES_HZ)
    unit = sample_bytes * checked_channels(channels)
    form = struct.pack("<HHIIHH", CODES[format.encoding], channels, rate_hz, rate_hz * unit, unit, 8 * sample_bytes)
    is_pcm = format.encoding == "pcm"
    after = (20 if is_pcm else 34) + len(form)  # what is counted as the file's, without its audio
    size = UNKNOWN_BYTES if data_bytes is None else data_bytes
    whole = after + size + size % 2
    samples = size // unit
    if whole >= UNKNOWN_BYTES:
        whole = size = samples = UNKNOWN_BYTES
    parts = [struct.pack("<4sI4s", b"RIFF", whole, b"WAVE")]
    if is_pcm:
        parts.append(struct.pack("<4sI", b"fmt ", 16) + form)
    else:
        parts.append(struct.pack("<4sI", b"fmt ", 18) + form + bytes(2))
        parts.append(struct.pack("<4sII", b"fact", 4, samples))
    return b"".join([*parts, struct.pack("<4sI", b"data", size)])


def _opened(file: WavFile, mode: str) -> tuple[IO[bytes], bool]:
    """The file, and whether it was opened here."""
    if isinstance(file, str | PathLike):
        return open(file, mode), True
    return file, False


def _put(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written: int | None = file.write(rest)  # a file without a buffer may take a part only, others tell nothing
        rest = rest[len(rest) if written is None else written :]
