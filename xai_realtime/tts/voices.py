"""The voices of the service. In: a Transport, addresses. Out: Voice. Imports: rooms 0-4.

Read leniently: what is missing or of another type is None, and what is not known is kept in `raw`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import quote

from xai_realtime.errors import ConfigurationError, RemoteProtocolError
from xai_realtime.transport.base import HttpRequest, Transport
from xai_realtime.transport.rest import ask_json

__all__ = ["VOICES_PATH", "Voice", "list_voices", "one_of", "one_voice", "text_of", "voice_path", "voices_in"]

VOICES_PATH: Final = "tts/voices"
MAX_ID_CHARACTERS: Final = 200

logger = logging.getLogger("xai_realtime.tts")

V = TypeVar("V", bound="Voice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """A voice that can be asked for by its `voice_id`.

    `name` and `language` are what the service says, None where it says nothing; `raw` is all that it says.
    """

    voice_id: str
    name: str | None = None
    language: str | None = None
    raw: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)


def text_of(told: Mapping[str, Any], name: str) -> str | None:
    """A text of an answer; None for what is none."""
    value = told.get(name)
    return value if isinstance(value, str) and value else None


def read_voice(told: Mapping[str, Any]) -> Voice | None:
    """A voice of an answer; None for one without an id."""
    voice_id = text_of(told, "voice_id")
    if voice_id is None:
        return None
    return Voice(voice_id=voice_id, name=text_of(told, "name"), language=text_of(told, "language"), raw=told)


def voices_in(answer: Any, read: Callable[[Mapping[str, Any]], V | None]) -> tuple[V, ...]:
    """The voices of an answer that lists some; one without an id is passed over. Raises RemoteProtocolError."""
    listed = answer.get("voices") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        raise RemoteProtocolError("the answer to a request for voices lists none")
    found = [read(told) if isinstance(told, Mapping) else None for told in listed]
    voices = tuple(voice for voice in found if voice is not None)
    if len(voices) < len(found):
        logger.warning(
            "%d of %d voices of the service have no id and were passed over", len(found) - len(voices), len(found)
        )
    return voices


def one_of(answer: Any, read: Callable[[Mapping[str, Any]], V | None]) -> V:
    """The one voice that an answer is. Raises RemoteProtocolError."""
    voice = read(answer) if isinstance(answer, Mapping) else None
    if voice is None:
        raise RemoteProtocolError("the answer to a request for a voice holds none")
    return voice


def voice_path(below: str, voice_id: object) -> str:
    """The path of a voice. Raises ConfigurationError for what can be no id."""
    is_id = isinstance(voice_id, str) and voice_id.strip() and voice_id.strip() not in (".", "..")
    if not isinstance(voice_id, str) or not is_id or len(voice_id) > MAX_ID_CHARACTERS:
        raise ConfigurationError(f"voice_id is {str(voice_id)[:40]!r}; a text that is not blank is allowed")
    return f"{below}/{quote(voice_id.strip(), safe='')}"


async def list_voices(transport: Transport, url: str, headers: Mapping[str, str]) -> tuple[Voice, ...]:
    """The voices that are built in. Raises what `ask_json` raises."""
    return voices_in(await ask_json(transport, HttpRequest("GET", url, headers)), read_voice)


async def one_voice(transport: Transport, url: str, headers: Mapping[str, str]) -> Voice:
    """One voice that is built in. Raises what `ask_json` raises, NotFoundError where there is none."""
    return one_of(await ask_json(transport, HttpRequest("GET", url, headers)), read_voice)
