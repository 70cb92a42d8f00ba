"""Which service a connection of a tape speaks with. In: a header's service, an address. Out: its events, codec, audio.

Imports: rooms 0-2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from xai_realtime.codec import Codec, realtime_codec, stt_codec, tts_codec
from xai_realtime.defaults import AUDIO_RATE_HZ
from xai_realtime.events import realtime, stt, tts

__all__ = ["CODECS", "EVENTS", "bytes_per_s", "codec_of", "pcm_rate_hz", "service_of"]

EVENTS: Final[Mapping[str, ModuleType]] = {"realtime": realtime, "stt": stt, "tts": tts}
"""The events of each service that has a socket."""
CODECS: Final[Mapping[str, Codec[Any, Any]]] = {"realtime": realtime_codec, "stt": stt_codec, "tts": tts_codec}

AUDIO: Final = {("stt", "out"): ("encoding", "pcm", 16_000), ("tts", "in"): ("codec", "mp3", 24_000)}
"""Where the query names the format of the audio, and what the server takes when it does not: format and rate in Hz."""
MIN_RATE_HZ: Final = 1000
MAX_RATE_HZ: Final = 768_000
SAMPLE_BYTES: Final[Mapping[str, int]] = {"pcm": 2, "mulaw": 1, "ulaw": 1, "alaw": 1}
MAX_CHANNELS: Final = 8


def service_of(stated: str, url: str | None) -> str | None:
    """The service of a connection: by the end of its path (`/v1/stt`), else as the header states it.

    The address counts first, since a proxy records whatever comes by. None for a header that names no
    service with a socket (`mixed`, `chat`) where the address does not tell either.
    """
    for name in (_split(url).path.rstrip("/").rpartition("/")[2], stated):
        if name in EVENTS:
            return name
    return None


def codec_of(stated: str, url: str | None) -> Codec[Any, Any] | None:
    """The codec of that service."""
    service = service_of(stated, url)
    return None if service is None else CODECS[service]


def pcm_rate_hz(service: str | None, url: str | None, direction: Literal["in", "out"]) -> int | None:
    """Rate of the mono 16-bit PCM that a new connection carries one way; None when its audio is of another kind."""
    if service not in ("stt", "tts"):
        return AUDIO_RATE_HZ
    if (service, direction) not in AUDIO:
        return None
    encoding, rate_hz, query = _audio(service, url, direction)
    return rate_hz if encoding == "pcm" and query.get("channels", "1") == "1" else None


def bytes_per_s(service: str | None, url: str | None, direction: Literal["in", "out"]) -> int | None:
    """Bytes in a second of the raw audio of a speech socket, its channels together; None where that is not known."""
    if service is None or (service, direction) not in AUDIO:
        return None
    encoding, rate_hz, query = _audio(service, url, direction)
    count = query.get("channels", "") if query.get("multichannel", "").lower() == "true" else "1"
    if rate_hz is None or encoding not in SAMPLE_BYTES or not (count.isascii() and count.isdigit()):
        return None
    return rate_hz * SAMPLE_BYTES[encoding] * min(int(count[:4]), MAX_CHANNELS) or None


def _audio(service: str, url: str | None, direction: Literal["in", "out"]) -> tuple[str, int | None, Mapping[str, str]]:
    """Encoding and rate that an address asks for, the rate None for one that is none; and all that it asks for."""
    name, usual, usual_rate_hz = AUDIO[service, direction]
    query = {key: values[-1] for key, values in parse_qs(_split(url).query).items()}
    rate = query.get("sample_rate", str(usual_rate_hz))
    is_rate = rate.isascii() and rate.isdigit() and len(rate) <= len(str(MAX_RATE_HZ))
    is_sane = is_rate and MIN_RATE_HZ <= int(rate) <= MAX_RATE_HZ
    return query.get(name, usual).lower(), int(rate) if is_sane else None, query


def _split(url: str | None) -> SplitResult:
    """The parts of an address, empty for one that is malformed, as a foreign tape may hold."""
    try:
        return urlsplit(url or "")
    except ValueError:
        return urlsplit("")
