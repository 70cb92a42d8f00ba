"""The client without async: the same words, and calls that wait. In: options and words. Out: services that block.

Imports: rooms 0-6, anyio. Everything happens in the async client; see `_thread` for where.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, Unpack

from xai_realtime.client import AsyncClient, Realtime
from xai_realtime.defaults import BASE_URL, CLIENT_SECRET_S
from xai_realtime.errors import ClosedByUsError, ConfigurationError, ConnectionClosedError
from xai_realtime.realtime.connection import RealtimeConnection, ReceivedEvent
from xai_realtime.realtime.session import RealtimeSession
from xai_realtime.sync_client._chat import SyncChat, SyncModels
from xai_realtime.sync_client._speech import SyncStt, SyncTts
from xai_realtime.sync_client._thread import Front, Held, borrowed, check_thread, in_thread, verb, within

if TYPE_CHECKING:
    from xai_realtime.chat.request import ChatSettings
    from xai_realtime.frames import Frame
    from xai_realtime.models import Providers
    from xai_realtime.protocol.chat_policy import ChatPolicy
    from xai_realtime.protocol.conversation import Conversation
    from xai_realtime.protocol.ledger import UsageLedger
    from xai_realtime.protocol.metrics import SessionMetrics
    from xai_realtime.protocol.policy import SessionPolicy
    from xai_realtime.protocol.prices import Cost
    from xai_realtime.protocol.session_events import SessionEvent, ToolCalled
    from xai_realtime.realtime._carrier import Observer
    from xai_realtime.realtime.config import SessionConfig, SessionSettings
    from xai_realtime.realtime.history import HistoryLike
    from xai_realtime.realtime.secrets import ClientSecret
    from xai_realtime.transport.base import Transport
    from xai_realtime.tts.policy import TtsPolicy

__all__ = ["Client", "SyncRealtime", "SyncRealtimeConnection", "SyncRealtimeSession"]

R = TypeVar("R")

SyncApprove: TypeAlias = "Callable[[ToolCalled], bool | str]"


class Client:
    """The way to Grok without async: `with Client() as client`. Options and errors are those of AsyncClient.

    Calls block the thread they are made in, and no other: clients, connections and sessions may be used from any
    number of threads. Ctrl-C ends a wait, and everything can still be used and closed.

    Raises ConfigurationError where a call would block a running event loop, and in virtual time.
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
        check_thread()
        self._client = AsyncClient(
            api_key=api_key,
            base_url=base_url,
            transport=transport,
            default_headers=default_headers,
            tts_policy=tts_policy,
            providers=providers,
            chat_settings=chat_settings,
            chat_policy=chat_policy,
        )
        self._held = Held(self._client)
        self.realtime = SyncRealtime(self._client.realtime)
        self.stt = SyncStt(self._client.stt, self._held)
        self.tts = SyncTts(self._client.tts, self._held)
        self.chat = SyncChat(self._client.chat, self._held)
        self.models = SyncModels(self._client.models, self._held)

    @property
    def base_url(self) -> str:
        """The address all services stand under."""
        return self._client.base_url

    @property
    def transport(self) -> Transport:
        """The transport that was passed in, or the WebSocket."""
        return self._client.transport

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncClient", "Client")

    def __enter__(self) -> Self:
        self._held.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.__exit__(exc_type, exc, traceback)


class SyncRealtime:
    """Grok voice without async: `client.realtime`."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

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
    ) -> AbstractContextManager[SyncRealtimeConnection]:
        """Open the typed wire: `with client.realtime.connect() as connection`. All as in `Realtime.connect`."""
        check_thread()
        opening = self._realtime.connect(
            model=model,
            conversation_id=conversation_id,
            call_id=call_id,
            reasoning_effort=reasoning_effort,
            url=url,
            query=query,
            api_key=api_key,
            headers=headers,
            subprotocols=subprotocols,
            client_secret=client_secret,
            as_subprotocol=as_subprotocol,
        )
        return _connected(Held(opening))

    def session(
        self,
        config: SessionConfig | Mapping[str, Any] | None = None,
        *,
        policy: SessionPolicy | None = None,
        history: Iterable[HistoryLike] = (),
        observer: Observer | None = None,
        approve: SyncApprove | None = None,
        wait_until_ready: bool = True,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        client_secret: ClientSecret | str | None = None,
        call_id: str | None = None,
        **settings: Unpack[SessionSettings],
    ) -> SyncRealtimeSession:
        """A conversation: `with client.realtime.session(voice="eve", tools=[get_weather]) as session`.

        All as in `Realtime.session`, but for where your functions run: tools and `approve`, which is a plain function
        here, in worker threads; `observer` in the client's own thread, where it must not wait for anything.
        """
        check_thread()
        session = self._realtime.session(
            config,
            policy=policy,
            history=history,
            observer=observer,
            approve=None if approve is None else in_thread(approve),
            wait_until_ready=wait_until_ready,
            url=url,
            query=query,
            api_key=api_key,
            headers=headers,
            client_secret=client_secret,
            call_id=call_id,
            **settings,
        )
        return SyncRealtimeSession(session, Held(session))

    def client_secret(
        self,
        *,
        expires_in_s: int = CLIENT_SECRET_S,
        url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ClientSecret:
        """Mint a short-lived key with which one client opens its own session. All as in `Realtime.client_secret`."""
        mint = partial(
            self._realtime.client_secret, expires_in_s=expires_in_s, url=url, api_key=api_key, headers=headers
        )
        with borrowed() as thread:
            return thread.call(mint)


class SyncRealtimeConnection(Front[RealtimeConnection]):
    """One realtime socket, as RealtimeConnection, whose verbs wait here.

    One thread may receive at a time, any number may send. `for event in connection` ends at an ordinary close and
    raises ConnectionClosedError at any other.
    """

    send = verb(RealtimeConnection.send)
    send_audio = verb(RealtimeConnection.send_audio)
    send_binary_audio = verb(RealtimeConnection.send_binary_audio)
    close = verb(RealtimeConnection.aclose)

    @property
    def subprotocol(self) -> str | None:
        """The sub-protocol the server chose."""
        return self._inner.subprotocol

    @property
    def last_frame(self) -> Frame | None:
        """The message behind the event received last."""
        return self._inner.last_frame

    def receive(self, timeout_s: float | None = None) -> ReceivedEvent:
        """The next event; nothing is lost when the wait is broken off.

        Raises ConnectionClosedError when the line is over, TransportTimeoutError when nothing came in time.
        """
        return self._held.call(partial(within, timeout_s, self._inner.receive))

    def __iter__(self) -> Iterator[ReceivedEvent]:
        return self

    def __next__(self) -> ReceivedEvent:
        try:
            return self.receive()
        except ConnectionClosedError as closed:
            if closed.is_clean or isinstance(closed, ClosedByUsError):
                raise StopIteration from None
            raise


class SyncRealtimeSession(Front[RealtimeSession]):
    """One conversation, as RealtimeSession, whose verbs wait here.

    `for event in session` gives what happens; it ends when the session does, and raises what broke it. One thread may
    read at a time, any number may call verbs. Ctrl-C while it waits loses nothing: go on reading, or leave.
    `conversation`, `usage`, `cost` and `metrics` are copies, true when they were asked for.
    """

    def __init__(self, inner: RealtimeSession, held: Held[RealtimeSession]) -> None:
        super().__init__(inner, held)
        self._waiting: deque[SessionEvent] = deque()

    send_text = verb(RealtimeSession.send_text)
    send_audio = verb(RealtimeSession.send_audio)
    end_turn = verb(RealtimeSession.end_turn)
    respond = verb(RealtimeSession.respond)
    say = verb(RealtimeSession.say)
    interrupt = verb(RealtimeSession.interrupt)
    played = verb(RealtimeSession.played)
    pause_input = verb(RealtimeSession.pause_input)
    resume_input = verb(RealtimeSession.resume_input)
    clear_input = verb(RealtimeSession.clear_input)
    update = verb(RealtimeSession.update)
    delete_item = verb(RealtimeSession.delete_item)
    reset = verb(RealtimeSession.reset)
    restart = verb(RealtimeSession.restart)
    ready = verb(RealtimeSession.ready)
    close = verb(RealtimeSession.aclose)

    @property
    def config(self) -> SessionConfig:
        """The configuration in force, or on its way to the server."""
        return self._inner.config

    @property
    def conversation(self) -> Conversation:
        """The items so far; of what was cut off, `item.heard` is what was heard."""
        return self._copy(lambda: self._inner.conversation)

    @property
    def usage(self) -> UsageLedger:
        """What was used: by reply, by conversation, and over the session."""
        return self._copy(lambda: self._inner.usage)

    @property
    def cost(self) -> Cost:
        """What it cost so far, as far as prices and usage are known."""
        return self._copy(lambda: self._inner.cost)

    @property
    def metrics(self) -> SessionMetrics:
        """How long things took."""
        return self._copy(lambda: self._inner.metrics)

    def __repr__(self) -> str:
        return repr(self._inner).replace("RealtimeSession", "SyncRealtimeSession")

    def receive(self, timeout_s: float | None = None) -> SessionEvent:
        """The next event.

        Raises TransportTimeoutError when nothing came in time, ClosedByUsError when the session ended in order, or
        what broke it.
        """
        if not self._waiting and not self._fetch(timeout_s):
            raise ClosedByUsError(1000, "the session is over")
        return self._waiting.popleft()

    def __iter__(self) -> Iterator[SessionEvent]:
        return self

    def __next__(self) -> SessionEvent:
        if not self._waiting and not self._fetch(None):
            raise StopIteration
        return self._waiting.popleft()

    def __enter__(self) -> Self:
        self._held.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.__exit__(exc_type, exc, traceback)

    def _copy(self, read: Callable[[], R]) -> R:
        async def look() -> R:
            return deepcopy(read())

        return self._held.call(look)

    def _fetch(self, timeout_s: float | None) -> bool:
        """Have everything moved over here that waits over there, one event at least; False at the end."""
        if not self._held.was_entered:
            raise ConfigurationError("nothing happens before the session is entered: `with ... as session`")
        return self._held.call(partial(self._move, timeout_s))

    async def _move(self, timeout_s: float | None) -> bool:
        # What has been moved is kept here, so that nothing is lost when the call is broken off as it returns.
        inbox = self._inner._inbox
        event = await within(timeout_s, inbox.next)
        while event is not None:
            self._waiting.append(event)
            event = await inbox.next() if inbox.told else None
        return bool(self._waiting)


@contextmanager
def _connected(held: Held[RealtimeConnection]) -> Iterator[SyncRealtimeConnection]:
    with held as connection:
        yield SyncRealtimeConnection(connection, held)
