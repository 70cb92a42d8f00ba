"""Where users begin. In: options and words. Out: services and their connections. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from xai_realtime.client._dialing import Dialing
from xai_realtime.client.chat import Chat
from xai_realtime.client.models import Models
from xai_realtime.client.realtime import Realtime
from xai_realtime.client.stt import Stt
from xai_realtime.client.tts import Tts
from xai_realtime.defaults import BASE_URL
from xai_realtime.transport.base import Transport
from xai_realtime.tts._pool import SpeechPool
from xai_realtime.tts.policy import TtsPolicy

if TYPE_CHECKING:
    from xai_realtime.chat.request import ChatSettings
    from xai_realtime.models import Providers
    from xai_realtime.protocol.chat_policy import ChatPolicy

__all__ = ["AsyncClient", "Chat", "Models", "Realtime", "Stt", "Tts"]


class AsyncClient:
    """The way to Grok, on asyncio and on trio.

    The key comes from the call, else from `api_key`, else from `XAI_API_KEY`; an empty or blank one is
    none. It goes to the origin of `base_url` alone (the variable only to api.x.ai and to loopback).
    `transport` is the seam: `replay("x.jsonl")`, `record("x.jsonl", ...)`, a memory pair, or your own;
    without it a WebSocket that carries HTTP as well. As a context manager the client frees what the transport
    holds, and a tape checks there that it was used up. The sockets of `client.tts.stream` live in that context alone,
    kept as `tts_policy` says. It may be entered several times; the last one to leave frees everything. `providers` are
    those whose models chat may name, `chat_settings` and `chat_policy` hold for chat requests that say nothing else.

    Raises ConfigurationError (also a ValueError) for a malformed key, address or header.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        transport: Transport | None = None,
        default_headers: Mapping[str, str] | None = None,
        tts_policy: TtsPolicy | None = None,
        providers: Providers | None = None,
        chat_settings: ChatSettings | None = None,
        chat_policy: ChatPolicy | None = None,
    ) -> None:
        if transport is None:
            from xai_realtime.transport.websocket import WebSocketTransport

            transport = WebSocketTransport()
        self._dialing = Dialing(base_url, api_key, default_headers or {}, transport)
        self.realtime = Realtime(self._dialing)
        self.stt = Stt(self._dialing)
        self._speech = SpeechPool(transport, tts_policy or TtsPolicy())
        self.tts = Tts(self._dialing, self._speech)
        self.chat = Chat(self._dialing, providers=providers, settings=chat_settings, policy=chat_policy)
        self.models = Models(self._dialing)

    @property
    def base_url(self) -> str:
        """The address all services stand under."""
        return self._dialing.base.url

    @property
    def transport(self) -> Transport:
        """The transport that was passed in, or the WebSocket."""
        return self._dialing.transport

    def __repr__(self) -> str:
        return f"<AsyncClient {self._dialing.base.origin}>"

    async def __aenter__(self) -> Self:
        await self._dialing.transport.__aenter__()
        await self._speech.enter()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._speech.leave(exc)
        finally:
            await self._dialing.transport.__aexit__(exc_type, exc, traceback)
