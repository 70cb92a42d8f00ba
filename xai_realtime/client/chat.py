"""Chat: `client.chat`. In: messages, tools, settings. Out: answers, streams, runs. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import quote

import anyio

from xai_realtime.client._dialing import Dialing
from xai_realtime.defaults import CHAT_MAX_ROUNDS, CHAT_POLL_S, CHAT_POLL_TIMEOUT_S, TOOL_TIMEOUT_S
from xai_realtime.errors import ConfigurationError, TransportTimeoutError
from xai_realtime.transport.base import HttpRequest

if TYPE_CHECKING:
    from xai_realtime.chat.asking import Asking
    from xai_realtime.chat.calling import ChatCall
    from xai_realtime.chat.conversation import ChatConversation
    from xai_realtime.chat.request import ChatSettings, MessagesLike
    from xai_realtime.chat.run import Approve, ChatRun
    from xai_realtime.chat.stream import ChatStream
    from xai_realtime.models import ModelRef, Providers
    from xai_realtime.protocol.chat_policy import ChatPolicy
    from xai_realtime.protocol.chat_reply import ChatReply
    from xai_realtime.protocol.ledger import UsageLedger
    from xai_realtime.tools import Tool

__all__ = ["Chat"]

PATH = "chat/completions"
DEFERRED_PATH = "chat/deferred-completion/"


class Chat:
    """Chat: `client.chat`. `settings` of the client apply where the conversation and the call say nothing else."""

    def __init__(
        self,
        dialing: Dialing,
        *,
        providers: Providers | None = None,
        settings: ChatSettings | None = None,
        policy: ChatPolicy | None = None,
    ) -> None:
        self._dialing = dialing
        self._providers = providers
        self._settings = settings
        self._policy = policy

    async def create(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        **options: Unpack[ChatCall],
    ) -> ChatReply:
        """One whole answer: `(await client.chat.create("grok-4.6", "Hello")).text`.

        `model` is an id, or a reference such as `grok.grok-4.6`. `messages` is a text, a list of messages, or a
        ChatConversation, which brings its instruction and settings along and is not changed. `options` are those of
        ChatCall: every field of the request (what is not given is not sent), `extra=`, which wins over all of them, and
        how it is asked. With `response_format=` a pydantic model, `reply.parsed` is an instance of it. Look at
        `reply.outcome`: an answer that was cut short, refused, or does not fit what was asked for is no error.

        Cancelling is safe; the service may have answered, and bill it. Raises ConfigurationError before anything is
        sent; AuthenticationError (a wrong key is HTTP 400), PermissionDeniedError, NotFoundError, RateLimitError,
        ServerError or another ApiError for an answer that says no, also one with status 200, with a note on what may
        help; RemoteProtocolError for an answer that cannot be read; ConnectError, ConnectionBrokenError,
        TransportTimeoutError. Source: xAI's OpenAPI, chat/completions.
        """
        from xai_realtime.chat.asking import ask

        return await ask(self._asking(model, messages, options, stream=False))

    def stream(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        **options: Unpack[ChatCall],
    ) -> ChatStream:
        """An answer while it is written: `async with client.chat.stream("grok-4.6", "Hello") as stream`.

        Takes what `create` takes, and asks for the usage as well. Raises ConfigurationError at once, and the rest when
        it is entered and read.
        """
        from xai_realtime.chat.stream import ChatStream

        return ChatStream(self._asking(model, messages, options, stream=True))

    async def text(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        **options: Unpack[ChatCall],
    ) -> str | None:
        """The words of one answer, None when it has none. Takes and raises what `create` does."""
        from xai_realtime.chat.asking import ask

        return (await ask(self._asking(model, messages, options, stream=False))).text or None

    def run(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        *,
        max_rounds: int = CHAT_MAX_ROUNDS,
        tool_timeout_s: float | None = TOOL_TIMEOUT_S,
        approve: Approve | None = None,
        **options: Unpack[ChatCall],
    ) -> ChatRun:
        """An answer for which `tools=` are called as often as the model wants: `await client.chat.run(...)`.

        Or `async with client.chat.run(...) as run: async for event in run`, to hear it while it is written. At most
        `max_rounds` requests are made. `tool_timeout_s` bounds each call of a function without a timeout of its own;
        `approve` is asked before each. A ChatConversation that you give grows by what is said and called. Options and
        errors are those of `stream`.
        """
        from xai_realtime.chat.conversation import ChatConversation
        from xai_realtime.chat.run import ChatRun
        from xai_realtime.chat.stream import ChatStream

        def opening(conversation: ChatConversation) -> tuple[ChatStream, dict[str, Tool[..., Any]]]:
            asking = self._asking(known.ref, conversation, options, stream=True)
            return ChatStream(asking), dict(asking.asked.functions)

        if isinstance(messages, ChatConversation):
            talk = messages
        else:
            talk = ChatConversation([("user", messages)] if isinstance(messages, str) else messages)
        known = self._asking(model, talk, options, stream=True).asked  # so that a mistake is known at once
        return ChatRun(opening, talk, max_rounds=max_rounds, tool_timeout_s=tool_timeout_s, approve=approve)

    # Deferred answers

    async def defer(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        **options: Unpack[ChatCall],
    ) -> str:
        """Ask for an answer that is fetched later: the id of the request, for `deferred` and `wait_deferred`.

        Takes and raises what `create` does. Source: xAI's OpenAPI, deferred completions.
        """
        from xai_realtime.chat.asking import read_answer, tried
        from xai_realtime.events import chat
        from xai_realtime.protocol.chat_policy import Retries
        from xai_realtime.transport.rest import ask_whole

        asking = self._asking(model, messages, {**options, "deferred": True}, stream=False, is_deferred=True)

        async def once() -> str:
            answer = await ask_whole(asking.transport, asking.request)
            return read_answer(asking.request, answer, chat.DeferredCompletion).request_id

        return await tried(once, asking, Retries(asking.policy))

    async def deferred(
        self,
        request_id: str,
        *,
        response_format: Any = None,
        ledger: UsageLedger | None = None,
        url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatReply | None:
        """The answer to a deferred request; None while it is not ready.

        Older documentation says that it can be read once, within a day. `response_format` is the one that was asked
        for, so that the answer is read by it; `ledger` is told what it used, once however often it is fetched. Raises
        NotFoundError for an unknown id, and what `create` raises.
        """
        from xai_realtime.chat.deferring import fetched

        if not isinstance(request_id, str) or not request_id.strip() or "/" in request_id:
            raise ConfigurationError("request_id is an id that `defer` gave; a text that is not blank is allowed")
        path = DEFERRED_PATH + quote(request_id.strip(), safe="")
        address, named = self._dialing.web(path, {}, url=url, api_key=api_key, headers=headers)
        request = HttpRequest("GET", address, named)
        reply = await fetched(self._dialing.transport, request, response_format, self._policy)
        if reply is not None and ledger is not None:
            ledger.chat_done(reply.id or request_id, reply.usage, model=reply.model)
        return reply

    async def wait_deferred(
        self,
        request_id: str,
        *,
        response_format: Any = None,
        ledger: UsageLedger | None = None,
        every_s: float = CHAT_POLL_S,
        timeout_s: float = CHAT_POLL_TIMEOUT_S,
        url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ChatReply:
        """Ask for a deferred answer every `every_s` seconds until it is there.

        Raises TransportTimeoutError(`deferred answer`) after `timeout_s`, and what `deferred` raises. Cancelling is
        safe: it can still be fetched.
        """
        for name, value in (("every_s", every_s), ("timeout_s", timeout_s)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ConfigurationError(f"{name} is {value!r}; numbers above 0 are allowed")
        until_s = anyio.current_time() + timeout_s
        while True:
            reply = await self.deferred(
                request_id, response_format=response_format, ledger=ledger, url=url, api_key=api_key, headers=headers
            )
            if reply is not None:
                return reply
            left_s = until_s - anyio.current_time()
            if left_s <= 0:
                raise TransportTimeoutError("deferred answer", timeout_s)
            await anyio.sleep(min(every_s, left_s))

    # Putting a request together

    def _asking(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        options: ChatCall,
        *,
        stream: bool,
        is_deferred: bool = False,
    ) -> Asking:
        from xai_realtime.chat.asking import Asking
        from xai_realtime.chat.calling import CALL_OPTIONS
        from xai_realtime.chat.request import chat_request
        from xai_realtime.models import PROVIDERS
        from xai_realtime.protocol.chat_policy import ChatPolicy

        settings: Any = {name: value for name, value in options.items() if name not in CALL_OPTIONS}
        asked = chat_request(
            model,
            messages,
            stream=stream,
            system=options.get("system"),
            developer_as=options.get("developer_as"),
            client=self._settings,
            call=settings,
            extra=options.get("extra"),
            providers=self._providers or PROVIDERS,
            stacklevel=4,
        )
        if asked.body.get("deferred") and not is_deferred:
            raise ConfigurationError("a deferred answer is fetched later: call `defer`, then `wait_deferred`")
        query, url = options.get("query") or {}, options.get("url")
        api_key, more = options.get("api_key"), options.get("headers")
        address, named = self._dialing.web(PATH, query, url=url, api_key=api_key, headers=more, provider=asked.provider)
        accept = "text/event-stream" if stream else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept, **named}
        request = HttpRequest("POST", address, headers, asked.to_json())
        policy = options.get("policy") or self._policy or ChatPolicy()
        return Asking(self._dialing.transport, request, asked, policy, options.get("ledger"))
