"""Voices that a team makes of its own recordings. In: recordings, details. Out: CustomVoice. Imports: rooms 0-4, stt.

Details are checked before they are sent, and read leniently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, TypedDict

from pydantic_core import from_json, to_json

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES
from xai_realtime.errors import ConfigurationError, RemoteProtocolError
from xai_realtime.stt.upload import AudioSource, Form, FormFile, Progress, is_url, opened_source
from xai_realtime.transport.base import HttpRequest, Transport
from xai_realtime.transport.rest import ask_json, check_status
from xai_realtime.tts.voices import Voice, one_of, text_of, voices_in

__all__ = [
    "AGES",
    "CUSTOM_VOICES_PATH",
    "GENDERS",
    "PAGE_LIMIT",
    "TONES",
    "USE_CASES",
    "CustomVoice",
    "CustomVoicePage",
    "VoiceChanges",
    "VoiceDetails",
    "changes",
    "checked_limit",
    "create_voice",
    "delete_voice",
    "details",
    "one_custom_voice",
    "page_of_voices",
    "reference_audio",
    "update_voice",
]

CUSTOM_VOICES_PATH: Final = "custom-voices"
PAGE_LIMIT: Final = 100
PAGE_LIMIT_MAX: Final = 1000
REFERENCE_BYTES_MAX: Final = 100 * 1000 * 1000
"""Two minutes of 32-bit stereo at 96 kHz are 92 MB."""

Gender: TypeAlias = Literal["male", "female", "neutral"]
Age: TypeAlias = Literal["young", "middle-aged", "old"]
UseCase: TypeAlias = Literal[
    "conversational", "narration", "characters", "educational", "advertisement", "social_media", "entertainment"
]
Tone: TypeAlias = Literal["warm", "casual", "professional", "friendly", "authoritative", "expressive", "calm"]

GENDERS: Final[tuple[Gender, ...]] = ("male", "female", "neutral")
AGES: Final[tuple[Age, ...]] = ("young", "middle-aged", "old")
USE_CASES: Final[tuple[UseCase, ...]] = (
    "conversational",
    "narration",
    "characters",
    "educational",
    "advertisement",
    "social_media",
    "entertainment",
)
TONES: Final[tuple[Tone, ...]] = ("warm", "casual", "professional", "friendly", "authoritative", "expressive", "calm")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "gender": GENDERS,
    "age": AGES,
    "use_case": USE_CASES,
    "tone": TONES,
}
NAMES: Final = ("name", "description", "gender", "accent", "age", "language", "use_case", "tone")


class VoiceDetails(TypedDict, total=False):
    """What may be said about a new voice."""

    name: str
    description: str
    gender: Gender
    accent: str
    age: Age
    language: str
    use_case: UseCase
    tone: Tone


class VoiceChanges(TypedDict, total=False):
    """What may be changed about a voice; None takes a detail away."""

    name: str | None
    description: str | None
    gender: Gender | None
    accent: str | None
    age: Age | None
    language: str | None
    use_case: UseCase | None
    tone: Tone | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomVoice(Voice):
    """A voice that was made of a recording. What the service does not say is None; `created_at` is RFC 3339.

    The choices are open here: the service may add to those that can be written. Source: docs.x.ai, custom voices.
    """

    description: str | None = None
    gender: str | None = None
    accent: str | None = None
    age: str | None = None
    use_case: str | None = None
    tone: str | None = None
    created_at: str | None = None


@dataclass(frozen=True, slots=True)
class CustomVoicePage:
    """Some of the voices; `pagination_token` asks for the next page, None when this is the last."""

    voices: tuple[CustomVoice, ...]
    pagination_token: str | None = None


def read_custom_voice(told: Mapping[str, Any]) -> CustomVoice | None:
    """A voice of an answer; None for one without an id."""
    voice_id = text_of(told, "voice_id")
    if voice_id is None:
        return None
    known = {name: text_of(told, name) for name in (*NAMES, "created_at")}
    return CustomVoice(voice_id=voice_id, raw=told, **known)


def details(given: Mapping[str, Any]) -> dict[str, str]:
    """The details of a new voice, checked; what is None is left out. Raises ConfigurationError."""
    return {name: value for name, value in _checked(given).items() if value is not None}


def changes(given: Mapping[str, Any]) -> dict[str, str | None]:
    """The changes of a voice, checked; None takes a detail away. Raises ConfigurationError, also for none at all."""
    if not given:
        raise ConfigurationError(f"nothing is to be changed; give one of {', '.join(NAMES)}")
    return _checked(given)


def _checked(given: Mapping[str, Any]) -> dict[str, str | None]:
    for name, value in given.items():
        if name not in NAMES:
            raise ConfigurationError(f"detail {name!r} is not known; known are {', '.join(NAMES)}")
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise ConfigurationError(f"{name} is {value!r}; a text that is not blank is allowed, or None")
        allowed = CHOICES.get(name)
        if value is not None and allowed is not None and value not in allowed:
            raise ConfigurationError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
    return dict(given)


def checked_limit(limit: object) -> int:
    """How many voices a page has. Raises ConfigurationError."""
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= PAGE_LIMIT_MAX:
        raise ConfigurationError(f"limit is {limit!r}; a whole number from 1 to {PAGE_LIMIT_MAX} is allowed")
    return limit


async def page_of_voices(transport: Transport, url: str, headers: Mapping[str, str]) -> CustomVoicePage:
    """One page of the team's voices. Raises what `ask_json` raises."""
    answer = await ask_json(transport, HttpRequest("GET", url, headers))
    voices = voices_in(answer, read_custom_voice)
    return CustomVoicePage(voices, text_of(answer, "pagination_token"))


async def create_voice(
    transport: Transport,
    url: str,
    headers: Mapping[str, str],
    source: AudioSource,
    fields: Mapping[str, str],
    progress: Progress | None,
) -> CustomVoice:
    """Make a voice of a recording. Raises ConfigurationError for what is none, OSError, and what `ask_json` raises."""
    if is_url(source):
        raise ConfigurationError("the source is an address; a path, bytes, a file or an iterator of bytes is allowed")
    body, name = await opened_source(source)
    form = Form([*fields.items()], FormFile(body, name), progress=progress)
    named = {**headers, "Content-Type": form.content_type}
    return await one_custom_voice(transport, HttpRequest("POST", url, named, form))


async def one_custom_voice(transport: Transport, request: HttpRequest) -> CustomVoice:
    """The voice that the answer to a request is. Raises what `ask_json` raises."""
    return one_of(await ask_json(transport, request), read_custom_voice)


async def update_voice(
    transport: Transport, url: str, headers: Mapping[str, str], changed: Mapping[str, str | None]
) -> CustomVoice:
    """Change details of a voice. Raises what `ask_json` raises."""
    named = {**headers, "Content-Type": "application/json"}
    return await one_custom_voice(transport, HttpRequest("PATCH", url, named, to_json(changed)))


async def delete_voice(transport: Transport, url: str, headers: Mapping[str, str]) -> None:
    """Delete a voice. Raises an ApiError, and RemoteProtocolError where the service says that it did not."""
    request = HttpRequest("DELETE", url, headers)
    async with transport.request(request) as response:
        await check_status(request, response)
        body = await response.read(MAX_ERROR_PAYLOAD_BYTES)
    try:
        told = from_json(body)
    except ValueError:
        return  # the status alone says that it is done
    if isinstance(told, Mapping) and told.get("deleted") is False:
        raise RemoteProtocolError("the service answered that the voice was not deleted")


async def reference_audio(transport: Transport, url: str, headers: Mapping[str, str]) -> bytes:
    """The recording that a voice was made of. Raises an ApiError, RemoteProtocolError for more than 100 MB."""
    request = HttpRequest("GET", url, headers)
    async with transport.request(request) as response:
        await check_status(request, response)
        return await response.read(REFERENCE_BYTES_MAX)
