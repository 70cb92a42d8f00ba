"""Audio formats and their arithmetic. In: an encoding, a rate, a time or a size. Out: formats, sizes, silence.

Imports: stdlib, 0.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from xai_realtime.errors import ConfigurationError

__all__ = [
    "CHANNELS_MAX",
    "PCM_RATES_HZ",
    "SILENT_BYTE",
    "Audio",
    "AudioFormat",
    "Encoding",
    "audio_format",
    "bytes_for_ms",
    "checked_channels",
    "duration_ms",
    "sample_size_bytes",
    "silence",
    "whole_number",
]

Encoding = Literal["pcm", "pcmu", "pcma", "opus"]
Audio = bytes | bytearray | memoryview
"""Audio as bytes, in whatever holds them."""

PCM_RATES_HZ: Final = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Sample rates of PCM that the service accepts. Source: docs.x.ai voice-realtime.ws.json, `audio.*.format.rate`."""

CHANNELS_MAX: Final = 32
"""Most interleaved channels that anything here takes."""

_RATES_HZ: Final[dict[str, tuple[int, ...]]] = {
    "pcm": PCM_RATES_HZ,
    "pcmu": (8_000,),
    "pcma": (8_000,),
    "opus": (24_000,),
}
_SAMPLE_BYTES: Final[dict[str, int]] = {"pcm": 2, "pcmu": 1, "pcma": 1}
SILENT_BYTE: Final[dict[str, bytes]] = {"pcm": b"\x00", "pcmu": b"\xff", "pcma": b"\xd5"}
"""The byte of silence of each encoding with fixed samples."""


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
        return sample_size_bytes(self.encoding)


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


def sample_size_bytes(encoding: str) -> int:
    """Bytes of one sample of `encoding`. Raises ConfigurationError for Opus, whose packets have none."""
    size = _SAMPLE_BYTES.get(encoding)
    if size is None:
        known = ", ".join(_SAMPLE_BYTES)
        raise ConfigurationError(f"audio encoding {encoding!r} has no fixed bytes a sample; those that have: {known}")
    return size


def whole_number(name: str, value: int, allowed: range) -> int:
    """`value`, which is called `name`. Raises ConfigurationError when it is no whole number within `allowed`."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise ConfigurationError(f"{name} is a whole number from {allowed.start} to {allowed.stop - 1}, not {value!r}")
    return value


def checked_channels(channels: int) -> int:
    """The number of channels. Raises ConfigurationError when there cannot be so many."""
    return whole_number("channels", channels, range(1, CHANNELS_MAX + 1))


def _positive(rate_hz: int) -> int:
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int) or rate_hz <= 0:
        raise ConfigurationError(f"a sample rate is a whole number of Hz above 0, not {rate_hz!r}")
    return rate_hz


def duration_ms(audio: Audio | int, rate_hz: int, *, encoding: str = "pcm", channels: int = 1) -> float:
    """Milliseconds that `audio` (bytes, or their number) lasts; what is no whole sample of all channels does not count.

    Raises ConfigurationError for Opus, whose duration its size does not tell, for a rate that is no rate, and for
    channels out of 1 to 32.
    """
    size = audio if isinstance(audio, int) else memoryview(audio).nbytes
    return size // (sample_size_bytes(encoding) * checked_channels(channels)) * 1000 / _positive(rate_hz)


def bytes_for_ms(time_ms: float, rate_hz: int, *, encoding: str = "pcm", channels: int = 1) -> int:
    """Bytes of the whole samples, in all channels, within the first `time_ms` milliseconds; 0 for a time not above 0.

    Raises ConfigurationError as `duration_ms` does.
    """
    samples = int(time_ms * _positive(rate_hz) // 1000) if time_ms > 0 else 0
    return samples * sample_size_bytes(encoding) * checked_channels(channels)


def silence(time_ms: float, rate_hz: int, *, encoding: str = "pcm", channels: int = 1) -> bytes:
    """Silence of `time_ms` milliseconds, with the silent byte of the encoding. Raises as `bytes_for_ms`."""
    return bytes_for_ms(time_ms, rate_hz, encoding=encoding, channels=channels) * SILENT_BYTE[encoding]
