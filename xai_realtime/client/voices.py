"""Voices: `client.tts.voices`, `client.tts.custom_voices`. In: ids, recordings. Out: voices. Imports: rooms 0-5."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, TypedDict, Unpack

from xai_realtime.client._dialing import Dialing
from xai_realtime.errors import NotFoundError, RemoteProtocolError
from xai_realtime.stt.upload import AudioSource, Progress
from xai_realtime.transport.base import HttpRequest
from xai_realtime.tts import custom_voices, voices
from xai_realtime.tts.config import BUILT_IN_VOICES
from xai_realtime.tts.custom_voices import (
    CUSTOM_VOICES_PATH,
    PAGE_LIMIT,
    CustomVoice,
    CustomVoicePage,
    VoiceChanges,
    VoiceDetails,
)
from xai_realtime.tts.voices import VOICES_PATH, Voice, voice_path

__all__ = ["CallOptions", "CustomVoices", "Voices"]

CUSTOM_ID: Final = re.compile(r"[A-Za-z0-9]{8}")
"""How the service names a voice that a team made. Source: docs.x.ai, custom voices."""


class CallOptions(TypedDict, total=False):
    """What every call takes besides its own: a whole address, more query, a key and headers of its own."""

    url: str | None
    query: Mapping[str, str] | None
    api_key: str | None
    headers: Mapping[str, str] | None


class _Desk:
    def __init__(self, dialing: Dialing) -> None:
        self._dialing = dialing

    def _web(
        self,
        path: str,
        own: Mapping[str, str],
        *,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[str, dict[str, str]]:
        return self._dialing.web(path, {**(query or {}), **own}, url=url, api_key=api_key, headers=headers)


class Voices(_Desk):
    """The voices of the service: `client.tts.voices`. `url=` replaces a whole address.

    Methods raise ConfigurationError before anything is sent, ApiError (NotFoundError for an unknown voice),
    RemoteProtocolError for an answer that cannot be read, ConnectError, ConnectionBrokenError, TransportTimeoutError.
    Cancelling is safe.
    """

    async def list(self, **options: Unpack[CallOptions]) -> tuple[Voice, ...]:
        """The voices that are built in, those of your team not among them. Source: docs.x.ai voice reference."""
        return await voices.list_voices(self._dialing.transport, *self._web(VOICES_PATH, {}, **options))

    async def get(self, voice_id: str, **options: Unpack[CallOptions]) -> Voice:
        """One voice, built in (whatever the case of its id) or a CustomVoice of your team.

        The service has them apart: the built-in ones are asked first, and when none has an id of eight letters and
        digits, as your own voices have, those of your team; so an own one costs two requests. With `url=` only that
        address is asked. `client.tts.custom_voices.get` asks for your own at once.
        """
        path = voice_path(VOICES_PATH, voice_id)
        if voice_id.strip().lower() in BUILT_IN_VOICES:
            path = path.lower()
        try:
            return await voices.one_voice(self._dialing.transport, *self._web(path, {}, **options))
        except NotFoundError:
            if options.get("url") is not None or CUSTOM_ID.fullmatch(voice_id.strip()) is None:
                raise
        return await CustomVoices(self._dialing).get(voice_id, **options)


class CustomVoices(_Desk):
    """The voices that your team made: `client.tts.custom_voices`. `url=` replaces a whole address.

    Methods raise ConfigurationError before anything is sent, ApiError (PermissionDeniedError where the team may not
    make voices, NotFoundError for an unknown one), RemoteProtocolError for an answer that cannot be read, ConnectError,
    ConnectionBrokenError, TransportTimeoutError. Cancelling may leave a change done or not. Source: docs.x.ai, custom
    voices.
    """

    async def create(
        self,
        source: AudioSource,
        *,
        progress: Progress | None = None,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **details: Unpack[VoiceDetails],
    ) -> CustomVoice:
        """Make a voice of a recording of at most 120 seconds, which is streamed.

        `source` is a path, bytes, a binary file object or an async iterator of bytes: WAV, MP3, FLAC, OGG, Opus, M4A,
        AAC, MKV or MP4. What is not given of the details is not sent. `progress` is called with the bytes sent and all
        bytes (None when they are not known).
        """
        fields = custom_voices.details(details)
        address, named = self._web(CUSTOM_VOICES_PATH, {}, url=url, query=query, api_key=api_key, headers=headers)
        return await custom_voices.create_voice(self._dialing.transport, address, named, source, fields, progress)

    def list(self, *, limit: int = PAGE_LIMIT, **options: Unpack[CallOptions]) -> AsyncIterator[CustomVoice]:
        """All voices of the team: `async for voice in client.tts.custom_voices.list()`.

        Asks page by page, `limit` voices (1 to 1000) at a time, as far as they are read. Stopping early needs no
        closing.
        """
        size = custom_voices.checked_limit(limit)
        return _AllPages(lambda token: self.page(size, token, **options))

    async def page(
        self, limit: int = PAGE_LIMIT, pagination_token: str | None = None, **options: Unpack[CallOptions]
    ) -> CustomVoicePage:
        """One page of the team's voices: the first one, or the one that the token of the page before it names."""
        own = {"limit": str(custom_voices.checked_limit(limit))}
        if pagination_token is not None:
            own["pagination_token"] = pagination_token
        return await custom_voices.page_of_voices(
            self._dialing.transport, *self._web(CUSTOM_VOICES_PATH, own, **options)
        )

    async def get(self, voice_id: str, **options: Unpack[CallOptions]) -> CustomVoice:
        """One voice of the team."""
        request = HttpRequest("GET", *self._web(voice_path(CUSTOM_VOICES_PATH, voice_id), {}, **options))
        return await custom_voices.one_custom_voice(self._dialing.transport, request)

    async def update(
        self,
        voice_id: str,
        *,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **changes: Unpack[VoiceChanges],
    ) -> CustomVoice:
        """Change what is said about a voice. What is not given stays as it is; None takes it away."""
        changed = custom_voices.changes(changes)
        path = voice_path(CUSTOM_VOICES_PATH, voice_id)
        address, named = self._web(path, {}, url=url, query=query, api_key=api_key, headers=headers)
        return await custom_voices.update_voice(self._dialing.transport, address, named, changed)

    async def delete(self, voice_id: str, **options: Unpack[CallOptions]) -> None:
        """Delete a voice, for good."""
        path = voice_path(CUSTOM_VOICES_PATH, voice_id)
        await custom_voices.delete_voice(self._dialing.transport, *self._web(path, {}, **options))

    async def audio(self, voice_id: str, **options: Unpack[CallOptions]) -> bytes:
        """The recording that a voice was made of, as it was uploaded."""
        path = f"{voice_path(CUSTOM_VOICES_PATH, voice_id)}/audio"
        return await custom_voices.reference_audio(self._dialing.transport, *self._web(path, {}, **options))


class _AllPages(AsyncIterator[CustomVoice]):
    """The voices of page after page. No generator: nothing is left to close when somebody stops early."""

    def __init__(self, ask: Callable[[str | None], Awaitable[CustomVoicePage]]) -> None:
        self._ask = ask
        self._seen: set[str | None] = set()
        self._token: str | None = None
        self._waiting: deque[CustomVoice] = deque()
        self._is_last = False

    async def __anext__(self) -> CustomVoice:
        while not self._waiting:
            if self._is_last:
                raise StopAsyncIteration
            if self._token in self._seen:
                raise RemoteProtocolError("the pages of voices have no end: one is told to be the next again")
            page = await self._ask(self._token)
            self._seen.add(self._token)
            self._token = page.pagination_token
            self._is_last = self._token is None
            self._waiting.extend(page.voices)
        return self._waiting.popleft()
