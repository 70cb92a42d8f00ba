"""Whole files to text. In: a transport, a file, settings. Out: SttResult. Imports: rooms 0-4, anyio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypedDict

import anyio

from xai_realtime.address import merge_headers
from xai_realtime.defaults import (
    HTTP_READ_TIMEOUT_S,
    MAX_MESSAGE_BYTES,
    RECONNECT_FIRST_DELAY_S,
    RECONNECT_MAX_DELAY_S,
    STT_MAX_UPLOAD_BYTES,
)
from xai_realtime.errors import (
    ApiError,
    ConfigurationError,
    ConnectError,
    RateLimitError,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.protocol.stt_policy import demand, is_number
from xai_realtime.stt.config import MAX_CHANNELS, RATES_HZ, checked_keyterms
from xai_realtime.stt.result import SttResult, read_result
from xai_realtime.stt.upload import AudioSource, Form, FormFile, Progress, is_url, opened_source
from xai_realtime.transport.base import HttpRequest, Transport
from xai_realtime.transport.rest import ask_json

__all__ = ["AudioFileFormat", "TranscribeSettings", "form_fields", "transcribe_file"]

AudioFileFormat = Literal["pcm", "mulaw", "alaw", "wav", "mp3", "ogg", "opus", "flac", "aac", "mp4", "m4a", "mkv"]

RAW_FORMATS: Final = ("pcm", "mulaw", "alaw")
CONTAINERS: Final = ("wav", "mp3", "ogg", "opus", "flac", "aac", "mp4", "m4a", "mkv")
NAMES: Final = (
    "audio_format", "channels", "diarize", "filler_words", "format", "keyterms", "language", "model", "multichannel",
    "sample_rate", "vad_threshold",
)  # fmt: skip
MAX_ANSWER_BYTES: Final = 4 * MAX_MESSAGE_BYTES
"""A word is about 100 bytes of JSON, and told twice with several channels: thirty hours of talk still pass."""
TRANSCRIBE_TIMEOUT_S: Final = 900.0
"""The service is silent until it has heard all of a file, which may last for hours."""
MAX_RETRY_AFTER_S: Final = 60.0
MAX_RETRIES: Final = 10
UNAVAILABLE: Final = 503
BEFORE_SENDING: Final = ("connect", "open", "pool")


class TranscribeSettings(TypedDict, total=False):
    """Settings of an upload as keywords; what you do not set, or set to None, is not sent.

    `model` is the service's default otherwise. `audio_format` is needed for raw audio alone (`pcm`, `mulaw`, `alaw`),
    together with `sample_rate` (Hz). `language` is a code; with `format=True` numbers, dates and currencies are
    written as in that language. `channels` (2 to 8) transcribes each channel of the file by itself;
    `multichannel=True` does so with the channels that a WAV file or another container states. `diarize` tells speakers
    apart. `keyterms` are up to 100 names and terms of up to 50 characters to listen for. `filler_words=True` keeps
    "um" and the like. `vad_threshold` is 0 to 1, 0 hears everything. Source: docs.x.ai, voice reference.
    """

    model: str | None
    audio_format: AudioFileFormat | None
    sample_rate: int | None
    language: str | None
    format: bool | None
    channels: int | None
    multichannel: bool | None
    diarize: bool | None
    keyterms: Iterable[str]
    filler_words: bool | None
    vad_threshold: float | None


def form_fields(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings as fields of the form. Raises ConfigurationError, naming the value and what is allowed."""
    unknown = sorted(settings.keys() - set(NAMES))
    if unknown:
        raise ConfigurationError(f"transcribe takes no {unknown[0]!r}; allowed are {', '.join(NAMES)}")
    given: dict[str, Any] = {name: settings.get(name) for name in NAMES}
    for name in ("model", "language"):
        demand(name, given[name], given[name] is None or isinstance(given[name], str), "texts, None")
        given[name] = (given[name] or "").strip() or None
    for name in ("format", "multichannel", "diarize", "filler_words"):
        demand(name, given[name], given[name] is None or isinstance(given[name], bool), "True, False, None")
    threshold = given["vad_threshold"]
    demand("vad_threshold", threshold, threshold is None or is_number(threshold, 0, 1), "numbers from 0 to 1, None")
    if given["format"] and given["language"] is None:
        raise ConfigurationError("format is True; it is allowed with language alone")
    _check_audio(given)
    keyterms = checked_keyterms(given["keyterms"] or ())
    asked = [
        ("model", given["model"]),
        ("audio_format", given["audio_format"]),
        ("sample_rate", given["sample_rate"]),
        ("language", given["language"]),
        ("format", given["format"]),
        ("multichannel", given["multichannel"]),
        ("channels", given["channels"]),
        ("diarize", given["diarize"]),
        *(("keyterm", term) for term in keyterms),
        ("filler_words", given["filler_words"]),
        ("vad_threshold", threshold),
    ]
    return [(name, _as_text(value)) for name, value in asked if value is not None]


def _check_audio(given: dict[str, Any]) -> None:
    """Format, rate and channels; channels alone ask for `multichannel`."""
    kind, rate_hz, channels = given["audio_format"], given["sample_rate"], given["channels"]
    formats = (*RAW_FORMATS, *CONTAINERS)
    demand("audio_format", kind, kind is None or kind in formats, f"{', '.join(map(repr, formats))}, None")
    is_rate = rate_hz is None or (_is_whole(rate_hz) and rate_hz in RATES_HZ)
    demand("sample_rate", rate_hz, is_rate, f"{', '.join(map(str, RATES_HZ))}, None")
    is_count = channels is None or (_is_whole(channels) and 2 <= channels <= MAX_CHANNELS)
    demand("channels", channels, is_count, f"whole numbers from 2 to {MAX_CHANNELS}, None")
    if kind in RAW_FORMATS and rate_hz is None:
        raise ConfigurationError(f"audio_format is {kind!r}, which needs sample_rate: {', '.join(map(str, RATES_HZ))}")
    if channels is not None:
        if given["multichannel"] is False:
            raise ConfigurationError(f"channels is {channels!r}; it is allowed without multichannel=False alone")
        given["multichannel"] = True
    elif given["multichannel"] and kind in RAW_FORMATS:
        raise ConfigurationError(f"multichannel is True; raw audio needs channels from 2 to {MAX_CHANNELS}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def transcribe_file(
    transport: Transport,
    url: str,
    headers: Mapping[str, str],
    source: AudioSource,
    fields: list[tuple[str, str]],
    *,
    progress: Progress | None = None,
    timeout_s: float = TRANSCRIBE_TIMEOUT_S,
    retries: int = 0,
) -> SttResult:
    """Send a file, or its address, and return its transcript; `client.stt.transcribe` says how."""
    demand("timeout_s", timeout_s, is_number(timeout_s, 0.001, 86_400), "seconds above 0, up to a day")
    is_count = _is_whole(retries) and 0 <= retries <= MAX_RETRIES
    demand("retries", retries, is_count, f"whole numbers from 0 to {MAX_RETRIES}")
    demand("progress", progress, progress is None or callable(progress), "functions of two numbers, None")
    file = None
    if is_url(source):
        fields = [*fields, ("url", str(source))]
    else:
        content, name = await opened_source(source)
        if content.size_bytes is not None and content.size_bytes > STT_MAX_UPLOAD_BYTES:
            size = f"{content.size_bytes} bytes"
            raise ConfigurationError(f"{name or 'the source'} has {size}; up to {STT_MAX_UPLOAD_BYTES} are allowed")
        file = FormFile(content, name)
    for attempt in range(retries + 1):
        form = Form(fields, file, progress=progress)
        request = HttpRequest(
            "POST",
            url,
            merge_headers(headers, {"Content-Type": form.content_type}),
            form,
            read_timeout_s=timeout_s,
            write_timeout_s=min(timeout_s, HTTP_READ_TIMEOUT_S),
        )
        try:
            return read_result(await ask_json(transport, request, max_bytes=MAX_ANSWER_BYTES))
        except (ApiError, TransportError) as error:
            wait_s = _wait_s(error, attempt)
            if attempt == retries or wait_s is None or not form.is_repeatable:
                raise
        await anyio.sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")


def _wait_s(error: ApiError | TransportError, attempt: int) -> float | None:
    """Seconds until the next attempt; None when there shall be none."""
    delay_s = min(RECONNECT_FIRST_DELAY_S * 2.0**attempt, RECONNECT_MAX_DELAY_S)
    if isinstance(error, ConnectError):
        return delay_s
    if isinstance(error, TransportTimeoutError):
        return delay_s if error.phase in BEFORE_SENDING else None
    is_busy = isinstance(error, ServerError) and error.status == UNAVAILABLE
    if not isinstance(error, ApiError) or not (is_busy or isinstance(error, RateLimitError)):
        return None
    if "credit" in (error.message or "").lower() or "spending" in (error.message or "").lower():
        return None
    stated_s = delay_s if error.retry_after_s is None else error.retry_after_s
    return stated_s if stated_s <= MAX_RETRY_AFTER_S else None
