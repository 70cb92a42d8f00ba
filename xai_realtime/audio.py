"""Audio of the wire: formats, G.711, whole samples, frames. In: bytes. Out: bytes, milliseconds. Imports: stdlib, 0.

Audio is mono. PCM means signed 16 bit, little endian.
"""

from __future__ import annotations

import functools
import sys
from array import array
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from xai_realtime.errors import ConfigurationError

__all__ = [
    "PCM_RATES_HZ",
    "Audio",
    "AudioFormat",
    "Encoding",
    "Framer",
    "SampleAligner",
    "audio_format",
    "bytes_for_ms",
    "clipped_pcm16",
    "duration_ms",
    "from_pcm16",
    "pcm16_to_pcma",
    "pcm16_to_pcmu",
    "pcma_to_pcm16",
    "pcmu_to_pcm16",
    "silence",
    "to_pcm16",
]

Encoding = Literal["pcm", "pcmu", "pcma", "opus"]
Audio = bytes | bytearray | memoryview
"""Audio as bytes, in whatever holds them."""

PCM_RATES_HZ: Final = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Sample rates of PCM that the service accepts. Source: docs.x.ai voice-realtime.ws.json, `audio.*.format.rate`."""

_RATES_HZ: Final[dict[str, tuple[int, ...]]] = {
    "pcm": PCM_RATES_HZ,
    "pcmu": (8_000,),
    "pcma": (8_000,),
    "opus": (24_000,),
}
_SAMPLE_BYTES: Final[dict[str, int]] = {"pcm": 2, "pcmu": 1, "pcma": 1}
_SILENCE: Final[dict[str, bytes]] = {"pcm": b"\x00", "pcmu": b"\xff", "pcma": b"\xd5"}


class AudioFormat(NamedTuple):
    """Encoding and sample rate of one direction. Make it with `audio_format`, which checks both."""

    encoding: Encoding
    rate_hz: int

    @property
    def wire_type(self) -> str:
        """The `type` of this format on the wire, such as `audio/pcm`."""
        return f"audio/{self.encoding}"

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample: 2 for PCM, 1 for G.711. Raises ConfigurationError for Opus, whose packets have none."""
        return _sample_bytes(self.encoding)


def audio_format(encoding: str = "pcm", rate_hz: int | None = None) -> AudioFormat:
    """The checked format of `encoding` (`pcm`, or as on the wire `audio/pcm`) at `rate_hz`.

    Without a rate: 24,000 Hz for PCM and Opus, 8,000 Hz for G.711. Raises ConfigurationError for an unknown encoding
    and for a rate that the service does not accept. Source: docs.x.ai voice-realtime.ws.json.
    """
    name = encoding.removeprefix("audio/")
    rates = _RATES_HZ.get(name)
    if rates is None:
        raise ConfigurationError(f"audio encoding {encoding!r} is not one of {', '.join(_RATES_HZ)}")
    if rate_hz is None:
        rate_hz = 24_000 if 24_000 in rates else rates[0]
    if isinstance(rate_hz, bool) or rate_hz not in rates:
        allowed = ", ".join(str(rate) for rate in rates)
        raise ConfigurationError(f"a rate of {rate_hz!r} Hz is not allowed for {name}; allowed: {allowed}")
    return AudioFormat(name, int(rate_hz))  # type: ignore[arg-type]


def _sample_bytes(encoding: str) -> int:
    size = _SAMPLE_BYTES.get(encoding)
    if size is None:
        known = ", ".join(_SAMPLE_BYTES)
        raise ConfigurationError(f"audio encoding {encoding!r} has no fixed bytes a sample; those that have: {known}")
    return size


def _positive(rate_hz: int) -> int:
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int) or rate_hz <= 0:
        raise ConfigurationError(f"a sample rate is a whole number of Hz above 0, not {rate_hz!r}")
    return rate_hz


def duration_ms(audio: Audio | int, rate_hz: int, *, encoding: str = "pcm") -> float:
    """Milliseconds that `audio` (bytes, or their number) lasts; half a sample at the end does not count.

    Raises ConfigurationError for Opus, whose duration its size does not tell, and for a rate that is no rate.
    """
    size = audio if isinstance(audio, int) else memoryview(audio).nbytes
    return size // _sample_bytes(encoding) * 1000 / _positive(rate_hz)


def bytes_for_ms(time_ms: float, rate_hz: int, *, encoding: str = "pcm") -> int:
    """Bytes of the whole samples within the first `time_ms` milliseconds; 0 for a time that is not above 0.

    Raises ConfigurationError as `duration_ms` does.
    """
    samples = int(time_ms * _positive(rate_hz) // 1000) if time_ms > 0 else 0
    return samples * _sample_bytes(encoding)


def silence(time_ms: float, rate_hz: int, *, encoding: str = "pcm") -> bytes:
    """Silence of `time_ms` milliseconds, with the silent byte of the encoding. Raises as `bytes_for_ms`."""
    return bytes_for_ms(time_ms, rate_hz, encoding=encoding) * _SILENCE[encoding]


def clipped_pcm16(samples: Iterable[float]) -> bytes:
    """PCM bytes of numbers in units of the 16-bit sample, rounded half to even, and clipped instead of wrapped."""
    values = array("h", (max(-32768, min(32767, round(sample))) for sample in samples))
    return _little_endian(values).tobytes()


def _little_endian(samples: array[int]) -> array[int]:
    if sys.byteorder == "big":  # pragma: no cover
        samples.byteswap()
    return samples


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
        self._buffer += _SILENCE[self._format.encoding] * (size - whole)
        return self._take(size)


def to_pcm16(audio: Audio, encoding: str) -> bytes:
    """`audio` of an encoding with fixed samples as PCM at the same rate. Raises ConfigurationError for Opus.

    Half a sample at the end is dropped; put a `SampleAligner` before it where chunks are cut anywhere.
    """
    _sample_bytes(encoding)
    if encoding == "pcm":
        data = bytes(audio)
        return data[: len(data) // 2 * 2]
    return (pcmu_to_pcm16 if encoding == "pcmu" else pcma_to_pcm16)(audio)


def from_pcm16(pcm: Audio, encoding: str) -> bytes:
    """PCM in an encoding with fixed samples, at the same rate. Raises ConfigurationError for Opus."""
    _sample_bytes(encoding)
    if encoding == "pcm":
        return to_pcm16(pcm, "pcm")
    return (pcm16_to_pcmu if encoding == "pcmu" else pcm16_to_pcma)(pcm)


def pcmu_to_pcm16(audio: Audio) -> bytes:
    """G.711 mu-law as PCM at the same rate, two bytes a byte."""
    return _expanded(bytes(audio), _expansion(_mu_law_value))


def pcma_to_pcm16(audio: Audio) -> bytes:
    """G.711 A-law as PCM at the same rate, two bytes a byte."""
    return _expanded(bytes(audio), _expansion(_a_law_value))


def pcm16_to_pcmu(pcm: Audio) -> bytes:
    """PCM as G.711 mu-law at the same rate, one byte a sample; half a sample at the end is dropped."""
    return _compressed(pcm, _mu_law_codes())


def pcm16_to_pcma(pcm: Audio) -> bytes:
    """PCM as G.711 A-law at the same rate, one byte a sample; half a sample at the end is dropped."""
    return _compressed(pcm, _a_law_codes())


def _mu_law_value(code: int) -> int:
    code ^= 0xFF
    magnitude = (((code & 0x0F) * 8 + 132) << (code >> 4 & 7)) - 132
    return -magnitude if code & 0x80 else magnitude


def _a_law_value(code: int) -> int:
    code ^= 0x55
    exponent = code >> 4 & 7
    magnitude = (code & 0x0F) * 16 + 8
    if exponent:
        magnitude = (magnitude + 256) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


@functools.cache
def _expansion(value: Callable[[int], int]) -> tuple[bytes, bytes]:
    """Two translation tables: low and high byte of the sample behind each code."""
    samples = [value(code) & 0xFFFF for code in range(256)]
    return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)


def _expanded(codes: bytes, tables: tuple[bytes, bytes]) -> bytes:
    pcm = bytearray(2 * len(codes))
    pcm[0::2] = codes.translate(tables[0])
    pcm[1::2] = codes.translate(tables[1])
    return bytes(pcm)


def _segment(magnitude: int, first_end: int) -> int:
    return (magnitude // first_end).bit_length()


@functools.cache
def _mu_law_codes() -> bytes:
    """Code of every sample, by the sample as an unsigned 16-bit number. The law works on its upper 14 bits."""

    def code(sample: int) -> int:
        magnitude = min(abs(sample), 8158) + 33
        segment = _segment(magnitude, 64)
        return (segment << 4 | magnitude >> segment + 1 & 0x0F) ^ (0xFF if sample >= 0 else 0x7F)

    return b"".join(bytes([code(sample)]) * 4 for sample in (*range(8192), *range(-8192, 0)))


@functools.cache
def _a_law_codes() -> bytes:
    """Code of every sample, by the sample as an unsigned 16-bit number. The law works on its upper 13 bits."""

    def code(sample: int) -> int:
        magnitude = sample if sample >= 0 else ~sample
        segment = _segment(magnitude, 32)
        return (segment << 4 | magnitude >> max(1, segment) & 0x0F) ^ (0xD5 if sample >= 0 else 0x55)

    return b"".join(bytes([code(sample)]) * 8 for sample in (*range(4096), *range(-4096, 0)))


def _compressed(pcm: Audio, codes: bytes) -> bytes:
    data = bytes(pcm)
    samples = _little_endian(array("H", data[: len(data) // 2 * 2]))
    if len(samples) < 2:  # itemgetter of one index gives no tuple
        return bytes(codes[sample] for sample in samples)
    return bytes(itemgetter(*samples)(codes))
