"""Where users begin. In: options and words. Out: services and their connections. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Literal, Self

from xai_realtime.address import Address, Key, check_headers, merge_headers, socket_url
from xai_realtime.defaults import BASE_URL, VOICE_MODEL
from xai_realtime.realtime.connection import RealtimeConnection
from xai_realtime.transport.base import ChannelRequest, Transport

__all__ = ["AsyncClient", "Realtime"]


class AsyncClient:
    """The way to Grok, on asyncio and on trio.

    The key comes from the call, else from `api_key`, else from `XAI_API_KEY`; an empty or blank one is
    none. It goes to the origin of `base_url` alone (the variable only to api.x.ai and to loopback).
    `transport` is the seam: `replay("x.jsonl")`, `record("x.jsonl", ...)`, a memory pair, or your own;
    without it a WebSocket. As a context manager the client frees what the transport holds, and a tape
    checks there that it was used up.

    Raises ConfigurationError (also a ValueError) for a malformed key, address or header.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str = BASE_URL,
        transport: Transport | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._base = Address(base_url)
        self._key = Key(api_key)
        self._headers = check_headers(default_headers or {})
        if transport is None:
            from xai_realtime.transport.websocket import WebSocketTransport

            transport = WebSocketTransport()
        self._transport = transport
        self.realtime = Realtime(self)

    @property
    def base_url(self) -> str:
        """The address all services stand under."""
        return self._base.url

    @property
    def transport(self) -> Transport:
        """The transport that was passed in, or the WebSocket."""
        return self._transport

    def __repr__(self) -> str:
        return f"<AsyncClient {self._base.origin}>"

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc, traceback)

    def _request(
        self,
        path: str,
        service: str,
        query: Mapping[str, str | None],
        *,
        url: str | None,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        subprotocols: Sequence[str],
    ) -> ChannelRequest:
        """What one service asks for at its handshake, the key included where it belongs."""
        address = socket_url(self._base, path, query, url)
        named = merge_headers(self._headers, check_headers(headers or {}))
        secret = Key(api_key).value or self._key.for_address(address, self._base, required=self._transport.needs_key)
        if secret is not None:
            named["Authorization"] = f"Bearer {secret}"
        return ChannelRequest(address.url, service, named, tuple(subprotocols))


class Realtime:
    """Grok voice: `client.realtime`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def connect(
        self,
        *,
        model: str | None = None,
        conversation_id: str | None = None,
        call_id: str | None = None,
        reasoning_effort: Literal["high", "none"] | None = None,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
    ) -> AbstractAsyncContextManager[RealtimeConnection]:
        """Open the typed wire: `async with client.realtime.connect() as connection`.

        Nothing is sent on its own; the server speaks first (`session.created`). `model` defaults to
        `grok-voice-latest` unless `url` names one (the service does not check it); `conversation_id`
        resumes a conversation, `call_id` joins a phone call. `url` replaces the whole address; its query
        is kept and what you give here added. `headers` cannot replace Authorization.

        Raises ConfigurationError before anything is sent, HandshakeError, ConnectError,
        TransportTimeoutError. Source: docs.x.ai, speech to speech.
        """
        names_model = url is not None and Address(url).has("model")
        fields = {
            **(query or {}),
            "model": model or (query or {}).get("model") or (None if names_model or call_id else VOICE_MODEL),
            "reasoning.effort": reasoning_effort,
            "conversation_id": conversation_id,
            "call_id": call_id,
        }
        request = self._client._request(
            "realtime", "realtime", fields, url=url, api_key=api_key, headers=headers, subprotocols=subprotocols
        )
        return _connected(self._client.transport, request)


@asynccontextmanager
async def _connected(transport: Transport, request: ChannelRequest) -> AsyncIterator[RealtimeConnection]:
    async with transport.open(request) as channel:
        yield RealtimeConnection(channel)
