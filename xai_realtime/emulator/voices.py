"""The voices of the service: those built in, and those that were made here. In: requests. Out: JSON objects, refusals.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from xai_realtime.emulator.query import BadSetting, Settings, bad

__all__ = ["BUILT_IN", "MAX_CUSTOM_VOICES", "CustomVoices", "built_in", "is_known", "new_voice_id", "voice_list"]

BUILT_IN: Final = (
    "carina",
    "zagan",
    "helix",
    "orion",
    "luna",
    "iris",
    "altair",
    "zenith",
    "perseus",
    "helios",
    "lux",
    "kepler",
    "rigel",
    "cosmo",
    "celeste",
    "ursa",
    "sirius",
    "lumen",
    "castor",
    "naksh",
    "atlas",
    "aurora",
    "una",
    "ara",
    "eve",
    "leo",
    "rex",
    "sal",
)
"""Ids of the voices that any of the sources names. Source: docs.x.ai voice reference; openclaw/openclaw."""
CUSTOM_ID: Final = re.compile(r"[a-z0-9]{8}", re.IGNORECASE)
MAX_CUSTOM_VOICES: Final = 30
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "gender": ("male", "female", "neutral"),
    "age": ("young", "middle-aged", "old"),
    "use_case": (
        "conversational",
        "narration",
        "characters",
        "educational",
        "advertisement",
        "social_media",
        "entertainment",
    ),
    "tone": ("warm", "casual", "professional", "friendly", "authoritative", "expressive", "calm"),
}
DETAILS: Final = ("name", "description", "gender", "accent", "age", "language", "use_case", "tone")


def built_in(voice_id: str) -> dict[str, Any] | None:
    """A voice of the service, whatever the case of its id."""
    name = voice_id.lower()
    return {"voice_id": name, "name": name.capitalize(), "language": "multilingual"} if name in BUILT_IN else None


def voice_list() -> dict[str, Any]:
    """All voices of the service; custom ones are listed elsewhere."""
    return {"voices": [built_in(name) for name in BUILT_IN]}


def is_known(voice_id: str) -> bool:
    """May something be spoken by this voice? Any custom id passes, also one that was not made here."""
    return voice_id.lower() in BUILT_IN or CUSTOM_ID.fullmatch(voice_id) is not None


class CustomVoices:
    """The voices of one team: their details, and the audio they were made from. Everything may raise BadSetting."""

    def __init__(self) -> None:
        self._voices: dict[str, dict[str, Any]] = {}
        self._audio: dict[str, tuple[bytes, str]] = {}

    def create(
        self, voice_id: str, details: Mapping[str, Any], audio: bytes, kind: str, epoch_ms: int
    ) -> dict[str, Any]:
        """A new voice, `audio` of the media type `kind` being its reference."""
        if len(self._voices) >= MAX_CUSTOM_VOICES:
            raise BadSetting(f"A team may have {MAX_CUSTOM_VOICES} custom voices.")
        made_at = datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        blank: dict[str, Any] = {"voice_id": voice_id, **dict.fromkeys(DETAILS)}
        self._voices[voice_id] = {**blank, **checked_details(details), "created_at": made_at}
        self._audio[voice_id] = (audio, kind)
        return self._voices[voice_id]

    def get(self, voice_id: str) -> dict[str, Any] | None:
        """One voice."""
        return self._voices.get(voice_id.lower())

    def page(self, query: Settings) -> dict[str, Any]:
        """Voices in the order in which they were made, `limit` of them from `pagination_token` on."""
        limit = query.whole("limit", 1, 1000) or 100
        token = query.text("pagination_token")
        ids = list(self._voices)
        if token is not None and token not in ids:
            raise bad("pagination_token", token, "one that came with a page is allowed")
        begin = 0 if token is None else ids.index(token)
        rest = ids[begin + limit :]
        voices = [self._voices[name] for name in ids[begin : begin + limit]]
        return {"voices": voices, "pagination_token": rest[0] if rest else None}

    def update(self, voice_id: str, changes: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change details; null takes one away. None when there is no such voice."""
        voice = self.get(voice_id)
        if voice is not None:
            voice.update(checked_details(changes))
        return voice

    def delete(self, voice_id: str) -> bool:
        """Was there such a voice? It is gone."""
        self._audio.pop(voice_id.lower(), None)
        return self._voices.pop(voice_id.lower(), None) is not None

    def audio(self, voice_id: str) -> tuple[bytes, str] | None:
        """The reference audio and its media type."""
        return self._audio.get(voice_id.lower())


def new_voice_id(below: Any) -> str:
    """Eight lower-case letters and digits; `below(n)` gives a number under n."""
    characters = string.ascii_lowercase + string.digits
    return "".join(characters[below(len(characters))] for _ in range(8))


def checked_details(given: Mapping[str, Any]) -> dict[str, Any]:
    """The details among the fields. Raises BadSetting."""
    details = {name: given[name] for name in DETAILS if name in given}
    for name, value in details.items():
        if value is not None and not isinstance(value, str):
            raise bad(name, value, "a text or null is allowed")
        if value == "":
            raise bad(name, value, "an empty text is not allowed; null takes it away")
        allowed = CHOICES.get(name)
        if value is not None and allowed is not None and value not in allowed:
            raise bad(name, value, f"one of {', '.join(allowed)} is allowed")
    return details
