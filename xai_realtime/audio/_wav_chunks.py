"""The chunks before the audio of a WAV file. In: an open file. Out: how its samples are kept, and how many bytes.

Whatever a header claims, no more is read than there is, and no more than `MAX_HEADER_BYTES` before the audio.
Imports: stdlib, 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from xai_realtime.audio._wav_samples import DECODERS
from xai_realtime.audio.formats import CHANNELS_MAX, AudioFormat, Encoding
from xai_realtime.errors import ConfigurationError

__all__ = ["UNKNOWN_BYTES", "WAV_RATES_HZ", "Layout", "read_layout", "take"]

WAV_RATES_HZ: Final = range(1, 768_001)
"""Sample rates that a WAV file may have here: every whole number of Hz up to 768,000."""
UNKNOWN_BYTES: Final = 0xFFFFFFFF
"""A length that was not known when it was written."""

PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
LAWS: Final[dict[int, Encoding]] = {A_LAW: "pcma", MU_LAW: "pcmu"}
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
MAX_CHUNKS: Final = 1_000
MAX_FORM_BYTES: Final = 4_096
BLOCK_BYTES: Final = 256 * 1024
READABLE: Final = "PCM of 8, 16, 24 or 32 bits, floats of 32 bits, G.711"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file keeps its audio, and how much of it; `data_bytes` is None when nobody knew while it was written."""

    format: AudioFormat
    channels: int
    stored_bytes: int
    decode: Callable[[bytes], bytes]
    data_bytes: int | None

    @property
    def unit_bytes(self) -> int:
        """Bytes of one sample of all channels, as they are kept."""
        return self.stored_bytes * self.channels


class _Header:
    """The begin of a file, read in order and counted."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next bytes. Raises ConfigurationError where the file ends before."""
        data = take(self._file, size)
        self.at += len(data)
        if len(data) < size:
            raise self.error("ends before its audio")
        return data

    def skip(self, size: int) -> None:
        """Go past a chunk that says nothing here."""
        if self.at + size > MAX_HEADER_BYTES:
            raise self.error(f"has no audio within its first {MAX_HEADER_BYTES} bytes")
        while size > 0:
            size -= len(self.take(min(size, BLOCK_BYTES)))

    def error(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{self._name} {problem}")


def take(file: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes, fewer only at the end of the file; no more memory than there are."""
    parts = []
    while size > 0 and (part := file.read(min(size, BLOCK_BYTES))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_layout(file: IO[bytes], name: str) -> Layout:
    """Read a WAV file, which is called `name`, up to its first sample. Raises ConfigurationError."""
    header = _Header(file, name)
    start = take(file, 12)
    header.at = len(start)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise header.error("is no WAV file (RIFF, WAVE)")
    whole_bytes = struct.unpack_from("<I", start, 4)[0]
    form = b""
    large_bytes = None
    for _ in range(MAX_CHUNKS):
        kind, size = struct.unpack("<4sI", header.take(8))
        if kind == b"data":
            if size == UNKNOWN_BYTES and large_bytes is not None:
                size = large_bytes
            is_unknown = size == UNKNOWN_BYTES or (size == 0 and not _has_more(whole_bytes, header.at))
            return _layout(header, form, None if is_unknown else size)
        if kind == b"fmt ":
            if size > MAX_FORM_BYTES:
                raise header.error(f"describes its format in {size} bytes; at most {MAX_FORM_BYTES} are read")
            form = header.take(size)
        elif kind == b"ds64" and 16 <= size <= MAX_FORM_BYTES:
            large_bytes = struct.unpack_from("<Q", header.take(size), 8)[0]
        else:
            header.skip(size)
        header.skip(size % 2)
    raise header.error(f"has no audio within its first {MAX_CHUNKS} chunks")


def _has_more(whole_bytes: int, at: int) -> bool:
    """Does the file state that something follows its audio, so that audio of 0 bytes is meant as it stands?"""
    return whole_bytes != UNKNOWN_BYTES and whole_bytes + 8 > at


def _layout(header: _Header, form: bytes, data_bytes: int | None) -> Layout:
    if len(form) < 16:
        raise header.error("does not describe its format before its audio")
    code, channels, rate_hz, _, unit_bytes, bits = struct.unpack_from("<HHIIHH", form)
    if code == EXTENSIBLE and len(form) >= 26:
        code = struct.unpack_from("<H", form, 24)[0]
    if not 1 <= channels <= CHANNELS_MAX:
        raise header.error(f"has {channels} channels; 1 to {CHANNELS_MAX} can be read")
    if rate_hz not in WAV_RATES_HZ:
        raise header.error(f"has {rate_hz} samples a second; 1 to {WAV_RATES_HZ[-1]} can be read")
    stored_bytes = (bits + 7) // 8
    if code == PCM and stored_bytes == 3 and unit_bytes == 4 * channels:
        stored_bytes = 4
    decode = DECODERS.get((code, stored_bytes))
    if decode is None:
        raise header.error(f"keeps samples of {bits} bits in format {code:#x}; what can be read is {READABLE}")
    return Layout(AudioFormat(LAWS.get(code, "pcm"), rate_hz), channels, stored_bytes, decode, data_bytes)
