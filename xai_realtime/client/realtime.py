"""Grok voice: `client.realtime`. In: options. Out: connections, sessions, secrets. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

from xai_realtime.address import Address
from xai_realtime.client._dialing import Dialing
from xai_realtime.defaults import CLIENT_SECRET_S, VOICE_MODEL
from xai_realtime.errors import ConfigurationError
from xai_realtime.realtime.connection import RealtimeConnection
from xai_realtime.realtime.secrets import (
    SECRET_PATH,
    SUBPROTOCOL,
    ClientSecret,
    checked_expiry_s,
    mint_secret,
    secret_value,
)
from xai_realtime.transport.base import ChannelRequest, Transport

if TYPE_CHECKING:
    from xai_realtime.protocol.policy import SessionPolicy
    from xai_realtime.realtime._carrier import Observer
    from xai_realtime.realtime.config import SessionConfig, SessionSettings
    from xai_realtime.realtime.history import HistoryLike
    from xai_realtime.realtime.session import Approve, RealtimeSession

__all__ = ["Realtime"]


class Realtime:
    """Grok voice: `client.realtime`."""

    def __init__(self, dialing: Dialing) -> None:
        self._dialing = dialing

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
        client_secret: ClientSecret | str | None = None,
        as_subprotocol: bool = False,
    ) -> AbstractAsyncContextManager[RealtimeConnection]:
        """Open the typed wire: `async with client.realtime.connect() as connection`.

        Nothing is sent on its own; the server speaks first (`session.created`). `model` defaults to
        `grok-voice-latest` unless `url` names one (the service does not check it); `conversation_id`
        resumes a conversation, `call_id` joins a phone call. `url` replaces the whole address; its query
        is kept and what you give here added. `headers` cannot replace Authorization. `client_secret` goes in
        the place of the key, to whatever address you give; `as_subprotocol=True` sends it as a browser must,
        as the sub-protocol `xai-client-secret.<secret>`, without any Authorization.

        Raises ConfigurationError before anything is sent, HandshakeError, ConnectError,
        TransportTimeoutError. Source: docs.x.ai, speech to speech.
        """
        names_model = url is not None and Address(url).has("model")
        given = {
            "model": model,
            "reasoning.effort": reasoning_effort,
            "conversation_id": conversation_id,
            "call_id": call_id,
        }
        wanted = {name: value for name, value in given.items() if value is not None}
        asked = {**(query or {}), **wanted}
        default = {} if names_model or {"model", "call_id"} & asked.keys() else {"model": VOICE_MODEL}
        fields = {**(query or {}), **default, **wanted}
        if client_secret is not None:
            _check_secret_alone(api_key, asked.get("call_id"))
            api_key = secret_value(client_secret)
        elif as_subprotocol:
            raise ConfigurationError("as_subprotocol=True needs client_secret=: an API key goes in the header alone")
        request = self._dialing.socket(
            "realtime", "realtime", fields, url=url, api_key=api_key, headers=headers, subprotocols=subprotocols
        )
        return _connected(self._dialing.transport, _as_browser(request, api_key) if as_subprotocol else request)

    def session(
        self,
        config: SessionConfig | Mapping[str, Any] | None = None,
        *,
        policy: SessionPolicy | None = None,
        history: Iterable[HistoryLike] = (),
        observer: Observer | None = None,
        approve: Approve | None = None,
        wait_until_ready: bool = True,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        client_secret: ClientSecret | str | None = None,
        call_id: str | None = None,
        **settings: Unpack[SessionSettings],
    ) -> RealtimeSession:
        """A conversation: `async with client.realtime.session(voice="eve", tools=[get_weather]) as session`.

        `settings` are those of SessionConfig (instructions, voice, tools, turn_detection, input, output, ...), laid
        over `config`. `policy` says how the session behaves. `history` is what the conversation begins with: pairs of
        role and text, items, or their JSON; calls in it count as done. `observer` sees every event of the wire in and
        out (called with `"in"` or `"out"` and the event); `approve` is asked before each call of a function. What they
        raise ends the session and surfaces from its iterator. Entering waits until the session is configured, unless
        `wait_until_ready=False`: then it does not wait for anything, and what you send is held. The first connection
        is tried once. `url`, `query`, `api_key`, `headers`, `client_secret` and `call_id` are those of `connect`.

        Raises ConfigurationError at once; entering raises what `connect` raises, and TransportTimeoutError when the
        session is not ready in time.
        """
        from xai_realtime.protocol.policy import SessionPolicy
        from xai_realtime.realtime.config import SessionConfig
        from xai_realtime.realtime.session import RealtimeSession

        if isinstance(config, Mapping):
            config = SessionConfig.from_mapping(config)
        made = SessionConfig(**settings) if config is None else config.changed(**settings).config
        names_model = url is not None and Address(url).has("model") and "model" not in made.model_fields_set

        def connect(conversation_id: str | None) -> AbstractAsyncContextManager[RealtimeConnection]:
            return self.connect(
                model=None if names_model or call_id is not None else made.model,
                conversation_id=conversation_id,
                call_id=call_id,
                url=url,
                query=query,
                api_key=api_key,
                headers=headers,
                client_secret=client_secret,
            )

        connect(None)  # so that a missing key or a bad address is known at once
        given = policy or SessionPolicy()
        hooks: dict[str, Any] = {"observer": observer, "approve": approve, "waits_until_ready": wait_until_ready}
        return RealtimeSession(connect, made, given, history=history, **hooks)

    async def client_secret(
        self,
        *,
        expires_in_s: int = CLIENT_SECRET_S,
        url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ClientSecret:
        """Mint a short-lived key with which one client opens its own session: `connect(client_secret=...)`.

        `expires_in_s` is from 1 to 3600. `url` replaces the whole address. Nothing is tried twice; cancelling
        may leave a secret minted that nobody knows.

        Raises ConfigurationError before anything is sent; AuthenticationError (a wrong key is HTTP 400 here),
        PermissionDeniedError (no credits), RateLimitError, ServerError or another ApiError for an answer that
        says no; RemoteProtocolError for one that cannot be used; ConnectError, ConnectionBrokenError,
        TransportTimeoutError. Source: docs.x.ai, ephemeral tokens.
        """
        seconds = checked_expiry_s(expires_in_s)
        address, named = self._dialing.web(SECRET_PATH, {}, url=url, api_key=api_key, headers=headers)
        return await mint_secret(self._dialing.transport, address, named, seconds)


def _check_secret_alone(api_key: str | None, call_id: str | None) -> None:
    if api_key is not None:
        raise ConfigurationError("give api_key= or client_secret=, not both")
    if call_id is not None:
        raise ConfigurationError("a phone call is joined with an API key: the service refuses client secrets there")


def _as_browser(request: ChannelRequest, secret: str | None) -> ChannelRequest:
    headers = {name: value for name, value in request.headers.items() if name != "Authorization"}
    return replace(request, headers=headers, subprotocols=(*request.subprotocols, f"{SUBPROTOCOL}{secret}"))


@asynccontextmanager
async def _connected(transport: Transport, request: ChannelRequest) -> AsyncIterator[RealtimeConnection]:
    async with transport.open(request) as channel:
        yield RealtimeConnection(channel)
