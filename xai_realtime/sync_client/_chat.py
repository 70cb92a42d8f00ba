"""Chat without async. In: messages, tools, settings. Out: answers, streams and runs that block until they tell more.

Imports: rooms 0-6, anyio. Everything happens in the async client; see `_thread` for where.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar, Unpack

import anyio

from xai_realtime.chat.partial import FieldText, PartialJson, Step
from xai_realtime.chat.run import ChatRun, ChatRunEvent
from xai_realtime.chat.stream import ChatStream
from xai_realtime.client.chat import Chat
from xai_realtime.client.models import Models
from xai_realtime.defaults import CHAT_MAX_ROUNDS, TOOL_TIMEOUT_S
from xai_realtime.errors import ClosedByUsError, ConfigurationError
from xai_realtime.models import PROVIDERS, ModelRef
from xai_realtime.protocol.chat_outcome import ChatOutcome, ChatTold, TextDelta
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.protocol.chat_usage import ChatUsage
from xai_realtime.protocol.session_events import ToolCalled
from xai_realtime.sync_client._thread import Front, Held, check_thread, in_thread, verb

if TYPE_CHECKING:
    from xai_realtime.chat.calling import ChatCall
    from xai_realtime.chat.conversation import ChatConversation
    from xai_realtime.chat.request import MessagesLike

__all__ = ["SyncChat", "SyncChatRun", "SyncChatStream", "SyncModels"]

R = TypeVar("R")
E = TypeVar("E", bound=ChatRunEvent)
A = TypeVar("A", bound=ChatStream | ChatRun)

SyncApprove: TypeAlias = "Callable[[ToolCalled], bool | str]"


class SyncChat(Front[Chat]):
    """Chat without async: `client.chat`."""

    deferred = verb(Chat.deferred)
    wait_deferred = verb(Chat.wait_deferred)

    def create(self, model: str | ModelRef, messages: MessagesLike, **options: Unpack[ChatCall]) -> ChatReply:
        """One whole answer. All as in `Chat.create`."""
        ref = self._ref(model)
        return self._held.call(lambda: self._inner.create(ref, messages, **options))

    def text(self, model: str | ModelRef, messages: MessagesLike, **options: Unpack[ChatCall]) -> str | None:
        """The words of one answer, None when it has none. All as in `Chat.text`."""
        ref = self._ref(model)
        return self._held.call(lambda: self._inner.text(ref, messages, **options))

    def defer(self, model: str | ModelRef, messages: MessagesLike, **options: Unpack[ChatCall]) -> str:
        """Ask for an answer that is fetched later: the id of the request. All as in `Chat.defer`."""
        ref = self._ref(model)
        return self._held.call(lambda: self._inner.defer(ref, messages, **options))

    def stream(self, model: str | ModelRef, messages: MessagesLike, **options: Unpack[ChatCall]) -> SyncChatStream:
        """An answer while it is written: `with client.chat.stream("grok-4.6", "Hello") as stream`.

        All as in `Chat.stream`.
        """
        check_thread()
        stream = self._inner.stream(self._ref(model), messages, **options)
        return SyncChatStream(stream, Held(stream))

    def run(
        self,
        model: str | ModelRef,
        messages: MessagesLike,
        *,
        max_rounds: int = CHAT_MAX_ROUNDS,
        tool_timeout_s: float | None = TOOL_TIMEOUT_S,
        approve: SyncApprove | None = None,
        **options: Unpack[ChatCall],
    ) -> SyncChatRun:
        """An answer for which functions are called as often as the model wants: `client.chat.run(...).finish()`.

        All as in `Chat.run`, but for where your functions run: tools and `approve`, which is a plain function here, in
        worker threads.
        """
        check_thread()
        run = self._inner.run(
            self._ref(model),
            messages,
            max_rounds=max_rounds,
            tool_timeout_s=tool_timeout_s,
            approve=None if approve is None else in_thread(approve),
            **options,
        )
        return SyncChatRun(run, Held(run))

    def _ref(self, model: str | ModelRef) -> str | ModelRef:
        """The model, read where it was written: a warning that it is retired names the caller's line."""
        if not isinstance(model, str):
            return model
        return ModelRef.parse(model, self._inner._providers or PROVIDERS, stacklevel=4)


class SyncModels(Front[Models]):
    """The models of the service without async: `client.models`."""

    list = verb(Models.list)
    get = verb(Models.get)
    language_models = verb(Models.language_models)
    language_model = verb(Models.language_model)


class _Told(Front[A], Generic[A, E]):
    """What an answer tells, read from here. A wait that is broken off is taken up again by the next one."""

    def __init__(self, inner: A, held: Held[A]) -> None:
        super().__init__(inner, held)
        self._waiting: deque[E] = deque()
        self._failure: Exception | None = None
        self._reading = anyio.Lock()

    @property
    def reply(self) -> ChatReply:
        """The answer so far, or the whole of it."""
        return self._there(lambda: self._inner.reply)

    def __iter__(self) -> Iterator[E]:
        return self

    def __next__(self) -> E:
        if not self._waiting and not self._fetch():
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            raise StopIteration
        return self._waiting.popleft()

    def text(self) -> Iterator[str]:
        """The words of the answer, piece by piece."""
        for told in self:
            if isinstance(told, TextDelta) and told.choice == 0:
                yield told.text

    def __enter__(self) -> Self:
        self._held.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with suppress(ClosedByUsError):
                self._held.call(self._stop)
        finally:
            self._held.__exit__(exc_type, exc, traceback)

    def __repr__(self) -> str:
        name = type(self._inner).__name__
        return repr(self._inner).replace(name, f"Sync{name}")

    def _there(self, read: Callable[[], R]) -> R:
        """What is true there now; nothing changes any more once it was left."""
        if not self._held.was_entered or self._held.is_over:
            return read()

        async def look() -> R:
            return read()

        return self._held.call(look)

    def _read_all(self) -> None:
        for _ in self:
            pass

    def _fetch(self) -> bool:
        """Have what is told moved over here, one of it at least; False at the end."""
        if not self._held.was_entered:
            raise ConfigurationError("nothing is told before it is entered: `with ... as`")
        if self._held.is_over:
            return self._held.call(self._move)
        # Cancelling it would lose the connection: what Ctrl-C leaves goes on, and the next wait is for the same.
        return self._held.start(self._move).result()

    async def _move(self) -> bool:
        async with self._reading:
            if not self._waiting and self._failure is None:
                try:
                    await self._read()
                except Exception as error:  # noqa: BLE001 - it surfaces where it is waited for
                    self._failure = error
        return bool(self._waiting)

    async def _read(self) -> None:
        inner: AsyncIterator[Any] = self._inner
        async for told in inner:
            self._waiting.append(told)
            break

    async def _stop(self) -> None:
        """Nobody reads in the middle of something when it is closed."""
        if self._reading.statistics().locked:
            await self._inner.cancel()
            async with self._reading:
                pass


class SyncChatStream(_Told[ChatStream, ChatTold]):
    """One answer while it is written, as ChatStream, whose verbs wait here.

    `for delta in stream` tells it to one thread; `text()`, `text_of()` and `partials()` give parts of the same, and
    share one pass. `cancel()` may come from any thread. Ctrl-C while it waits loses nothing: go on reading, or leave.
    """

    cancel = verb(ChatStream.cancel)

    @property
    def outcome(self) -> ChatOutcome | None:
        """How it ended; None while it runs."""
        return self.reply.outcome

    @property
    def model(self) -> str | None:
        """The model that really serves, as soon as it is known."""
        return self.reply.model

    @property
    def usage(self) -> ChatUsage:
        """What the request used so far."""
        return self.reply.usage

    @property
    def parsed(self) -> Any:
        """What a structured answer says, once it is whole; None where it does not fit."""
        return self.reply.parsed

    def text_of(self, field: Step | Sequence[Step]) -> Iterator[str]:
        """The text of one field of a structured answer while its JSON still grows. As `ChatStream.text_of`."""
        reader = FieldText(field)
        for piece in self.text():
            if new := reader.push(piece):
                yield new

    def partials(self) -> Iterator[Any]:
        """What a structured answer says so far, each time that it says more. As `ChatStream.partials`."""
        reader = PartialJson()
        before: Any = None
        for piece in self.text():
            value = reader.push(piece)
            if reader.has_value and value != before:
                before = value
                yield value

    def finish(self) -> ChatReply:
        """Read what is left, and give the whole answer. Raises as iterating does."""
        self._read_all()
        return self.reply

    async def _read(self) -> None:
        await super()._read()
        # All that is there already, for one call.
        self._waiting += self._inner._told
        self._inner._told.clear()


class SyncChatRun(_Told[ChatRun, ChatRunEvent]):
    """An answer for which functions are called, as ChatRun: `reply = client.chat.run(...).finish()`.

    Or `with client.chat.run(...) as run: for event in run`, to hear it while it is written. `cancel()` may come from
    any thread.
    """

    cancel = verb(ChatRun.cancel)

    @property
    def conversation(self) -> ChatConversation:
        """What was said and called; a conversation that you gave is this one. It grows until the run is over."""
        return self._inner.conversation

    @property
    def replies(self) -> list[ChatReply]:
        """The answers of all requests so far."""
        return list(self._inner.replies)

    def finish(self) -> ChatReply:
        """Read what is left, and give the last answer; a run that was not entered is entered, and left."""
        if self._held.was_entered:
            self._read_all()
            return self.reply
        with self:
            self._read_all()
        return self.reply
