"""A chat answer while it is written. In: a request. Out: deltas, then the answer with one typed outcome.

Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from xai_realtime.chat._repeating import RepeatingChunks
from xai_realtime.chat.asking import Asking, loop_clock, now_ms, parsed_reply, read_answer, report, tried, unreadable
from xai_realtime.chat.partial import FieldText, PartialJson, Step
from xai_realtime.codec import chat_codec
from xai_realtime.defaults import CLOSE_TIMEOUT_S, MAX_MESSAGE_BYTES
from xai_realtime.errors import ConfigurationError, ServiceError, XaiRealtimeError
from xai_realtime.events._base import InvalidEvent
from xai_realtime.events._chat import DONE, ChatStreamError
from xai_realtime.protocol.chat_outcome import ChatOutcome, ChatTold, TextDelta
from xai_realtime.protocol.chat_policy import Retries, may_be_billed
from xai_realtime.protocol.chat_reply import ChatReply, ReplyFold
from xai_realtime.protocol.chat_usage import ChatUsage
from xai_realtime.protocol.sse import SseEvent, SseParser
from xai_realtime.transport._http_errors import Scrubber
from xai_realtime.transport.base import HttpResponse
from xai_realtime.transport.rest import Answer, answered

__all__ = ["ChatStream", "Parts", "words"]

PartT = TypeVar("PartT")

STREAM: Final = "text/event-stream"
DRAIN_S: Final = 0.1
"""How long the end of the body may come after `[DONE]`; a body read to its end leaves its connection for the next."""


class _TooLateError(Exception):
    """Nothing came before the deadline of the first token."""


def words(told: object) -> Sequence[str]:
    """The words of the first choice in what was told."""
    return (told.text,) if isinstance(told, TextDelta) and told.choice == 0 else ()


class Parts(AsyncIterator[PartT]):
    """Parts of what is told. Unlike a generator it may be left anywhere, and nothing of it needs to be closed."""

    def __init__(self, told: AsyncIterator[Any], read: Callable[[Any], Iterable[PartT]]) -> None:
        self._told = told
        self._read = read
        self._parts: deque[PartT] = deque()

    async def __anext__(self) -> PartT:
        while not self._parts:
            self._parts += self._read(await anext(self._told))
        return self._parts.popleft()


class ChatStream:
    """One answer while it is written: `async with client.chat.stream(...) as stream: async for delta in stream`.

    Entering sends the request, waits for its answer to begin (with `first_token_timeout_s` for its first token), and
    raises what `Chat.create` raises. Iterating gives TextDelta, ReasoningDelta,
    RefusalDelta and ToolDelta; `text()`, `text_of()` and `partials()` give parts of the same, and all of them share one
    pass, by the task that entered. `reply` is the answer so far, `outcome` how it ended: a stream that was cancelled or
    cut ends in order with such an outcome; an error of the service or of the line is raised too, ServiceError,
    RemoteProtocolError, ConnectionBrokenError or TransportTimeoutError. What came until then stays in `reply`. Leaving
    the context closes the connection, and counts as cancelling an answer that is not over.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._retries = Retries(asking.policy)
        self._fold: ReplyFold | None = None
        self._stack: AsyncExitStack | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._sse = SseParser()
        self._repeating = RepeatingChunks()
        self._told: deque[ChatTold] = deque()
        self._is_done = False
        self._may_be_billed = False
        self._scope: anyio.CancelScope | None = None
        self._break_off: Callable[[], Awaitable[None]] | None = None
        self._clock: Callable[[], float] = anyio.current_time
        self._is_cancelled = False
        self._was_asked_twice = False
        self._failure: Exception | None = None
        self._reply: ChatReply | None = None

    # What is true now

    @property
    def reply(self) -> ChatReply:
        """The answer so far, or the whole of it."""
        if self._reply is not None:
            return self._reply
        made = ChatReply() if self._fold is None else self._fold.reply
        return replace(made, attempts=self._retries.attempts, was_asked_twice=self._was_asked_twice)

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

    def __repr__(self) -> str:
        outcome = self.outcome
        return f"<ChatStream {self._asking.asked.ref.name}, {'open' if outcome is None else outcome.status}>"

    # Reading

    def __aiter__(self) -> AsyncIterator[ChatTold]:
        return self

    async def __anext__(self) -> ChatTold:
        if self._fold is None:
            raise ConfigurationError("a stream is entered before it is read: `async with client.chat.stream(...)`")
        while not self._told:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._reply is not None:
                raise StopAsyncIteration
            await self._read()
        return self._told.popleft()

    def text(self) -> AsyncIterator[str]:
        """The words of the answer, piece by piece."""
        return Parts(self, words)

    def text_of(self, field: Step | Sequence[Step]) -> AsyncIterator[str]:
        """The text of one field of a structured answer while its JSON still grows, so that it can be spoken at once.

        `field` is a name, or names and places from the outside in.
        """
        reader = FieldText(field)
        return Parts(self, lambda delta: filter(None, map(reader.push, words(delta))))

    def partials(self) -> AsyncIterator[Any]:
        """What a structured answer says so far, each time that it says more. Its last number may still grow."""
        reader = PartialJson()
        before: Any = None

        def read(delta: object) -> Iterator[Any]:
            nonlocal before
            for piece in words(delta):
                value = reader.push(piece)
                if reader.has_value and value != before:
                    before = value
                    yield value

        return Parts(self, read)

    async def finish(self) -> ChatReply:
        """Read what is left, and give the whole answer. Raises as iterating does."""
        async for _ in self:
            pass
        return self.reply

    async def cancel(self) -> None:
        """Stop this answer, from any task: its iteration ends in order, and its connection is closed.

        What had come until then is still told. Of a stream that is not entered yet nothing is asked.
        """
        self._is_cancelled = True
        break_off, self._break_off = self._break_off, None
        if self._scope is not None:
            self._scope.cancel()
        elif break_off is not None:
            broken = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)
            with suppress(*broken), anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await break_off()
        await checkpoint()

    # Life

    async def __aenter__(self) -> Self:
        if self._fold is not None:
            raise ConfigurationError("a stream is entered once: ask for another one")
        self._fold = ReplyFold(started_ms=now_ms())
        self._clock = loop_clock()
        try:
            await self._open()
        except anyio.get_cancelled_exc_class():
            self._end(self._fold.cancel(now_ms()))
            raise
        except BaseException as error:
            self._end(self._fold.fail(error, now_ms()))
            raise
        if self._is_cancelled:
            self._end(self._fold.cancel(now_ms()))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._fold is not None
        if self._reply is None:
            self._end(self._fold.cancel(now_ms()))
        try:
            await self._close_body()
        finally:
            stack, self._stack = self._stack, None
            if stack is not None:
                await stack.aclose()

    async def _open(self) -> None:
        """Open the answer; a first one that says nothing in time is given up for a second."""

        async def pause(wait_s: float) -> None:
            try:
                with anyio.CancelScope() as self._scope:
                    await anyio.sleep(wait_s)
            finally:
                self._scope = None

        try:
            await tried(self._attempt, self._asking, self._retries, pause=pause)
        except _TooLateError:
            # Nothing of the first request stands in the answer; the ledger knows that it may be billed.
            assert self._fold is not None
            self._fold.cancel(now_ms())
            report(self._fold.reply, self._asking)
            self._fold = ReplyFold(started_ms=self._fold.started_ms)
            self._told.clear()
            self._was_asked_twice = True
            self._retries.attempts += 1
            await tried(self._attempt, self._asking, self._retries, pause=pause)

    async def _attempt(self) -> None:
        """One request, up to the head of a good answer, and to its first token where that has a bound.

        The scope ends after the request, which may hold scopes of its own, and is of no effect once this is through.
        """
        if self._is_cancelled:
            return
        timeout_s = self._asking.policy.first_token_timeout_s
        is_bounded = timeout_s is not None and not self._was_asked_twice
        deadline_s = anyio.current_time() + (timeout_s or 0) if is_bounded else math.inf
        stack = AsyncExitStack()
        self._scope = scope = stack.enter_context(anyio.CancelScope(deadline=deadline_s))
        self._sse = SseParser()
        self._repeating = RepeatingChunks()
        self._may_be_billed = True
        try:
            response = await stack.enter_async_context(answered(self._asking.transport, self._asking.request))
            if (response.header("content-type") or "").lower().startswith(STREAM):
                self._body = aiter(response)
                while is_bounded and self._reply is None and not (self._fold and self._fold.has_output):
                    self._take_piece(await anext(self._body, None))
            else:
                await self._take_whole(response)
            if scope.cancel_called:
                # It came while it was given up; a scope that is cancelled would stop whoever reads.
                await checkpoint()
        except BaseException as error:
            self._may_be_billed = may_be_billed(error)
            await self._close_body()
            if not await stack.__aexit__(*sys.exc_info()):
                raise
            if self._reply is None and not self._is_cancelled:
                raise _TooLateError from None
            return
        finally:
            self._scope = None
        scope.deadline = math.inf
        self._stack = stack

    async def _take_whole(self, response: HttpResponse) -> None:
        """An answer that is no stream: an error with status 200, or a server that does not stream."""
        from xai_realtime.events import chat

        body = await response.read(MAX_MESSAGE_BYTES)
        kind = response.header("content-type")
        request = self._asking.request
        completion = read_answer(request, Answer(response.status, response.headers, body, kind), chat.ChatCompletion)
        assert self._fold is not None
        self._told += self._fold.push_whole(completion, now_ms())
        self._end(self._fold.done(now_ms()))

    # What the one who iterates does

    async def _read(self) -> None:
        assert self._fold is not None
        if self._is_cancelled or self._body is None:
            self._end(self._fold.cancel(now_ms()))
            await self._close_body()
            return
        piece: bytes | None = b""
        self._break_off = getattr(self._body, "break_off", None)
        try:
            try:
                if self._break_off is not None:
                    piece = await self._body.__anext__()
                else:
                    # A scope for each piece costs as much as reading it; a line that can be closed does without.
                    with anyio.CancelScope() as self._scope:
                        piece = await self._body.__anext__()
            except StopAsyncIteration:
                piece = None
            if piece is not None or not self._is_cancelled:
                self._take_piece(piece)
        except Exception as error:  # noqa: BLE001 - it surfaces from the iterator, after what came before it
            if not self._is_cancelled:
                self._fail(error)
        finally:
            self._scope = self._break_off = None
        if self._is_cancelled and not self._told:
            self._end(self._fold.cancel(now_ms()))
        if self._reply is not None:
            await self._close_body()

    def _take_piece(self, piece: bytes | None) -> None:
        """A piece of the body; None is its end."""
        assert self._fold is not None
        if piece is not None:
            self._take(self._sse.push(piece))
            return
        self._take(self._sse.finish())
        if self._reply is None:
            self._end(self._fold.closed(now_ms()))

    def _take(self, events: Sequence[SseEvent]) -> None:
        fold = self._fold
        assert fold is not None
        time_ms = self._clock() * 1000
        for event in events:
            text = self._repeating.text(event.data)
            if text is not None and (delta := fold.push_text(text, self._repeating.choice, time_ms)) is not None:
                self._told.append(delta)
                continue
            said = chat_codec.decode_chunk(event.data)
            if said is DONE:
                self._is_done = True
                self._end(fold.done(time_ms))
                return
            if isinstance(said, ChatStreamError):
                scrub = Scrubber(self._asking.request).text
                self._fail(ServiceError(scrub(said.code or said.type or "error"), scrub(said.message or "")))
                return
            if isinstance(said, InvalidEvent):
                if not event.data:
                    continue
                if event.is_whole:
                    self._fail(unreadable("a chunk of the answer", said))
                return
            self._told += fold.push(said, time_ms)
            self._repeating.learn(event.data, said)

    # How it ends

    def _fail(self, error: Exception) -> None:
        assert self._fold is not None
        self._failure = error
        self._end(self._fold.fail(error, now_ms()))

    def _end(self, outcome: ChatOutcome) -> None:
        """The answer is over: read it, tell what it used. Once."""
        if self._reply is None:
            self._reply = parsed_reply(replace(self.reply, outcome=outcome), self._asking.asked)
            if self._may_be_billed:
                report(self._reply, self._asking)

    async def _close_body(self) -> None:
        """Give the connection back. The rest of the answer ends with the context, inside which it began."""
        body, self._body = self._body, None
        if body is None:
            return
        try:
            if self._is_done and self._stack is not None:
                with suppress(XaiRealtimeError), anyio.move_on_after(DRAIN_S) as self._scope:
                    while await anext(body, None) is not None:
                        pass
        finally:
            self._scope = None
            close = getattr(body, "aclose", None)
            if close is not None:
                # The answer is over: how its line ends changes nothing of it.
                with suppress(XaiRealtimeError), anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                    await close()
