"""A chat answer for which functions of yours are called, as often as the model wants, within bounds. In: a request.

Out: what happens, then the answer. Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from xai_realtime.chat.asking import now_ms
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.partial import FieldText, Step
from xai_realtime.chat.stream import ChatStream, Parts
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.chat_outcome import ChatOutcome, ChatStatus, ChatTold, TextDelta
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.protocol.chat_tools import ChatToolCall
from xai_realtime.protocol.session_events import ToolCalled, ToolFinished
from xai_realtime.tools import Tool, ToolOutcome
from xai_realtime.tools._outcome import error_outcome

__all__ = ["Approve", "ChatRun", "ChatRunEvent", "Opening"]

ChatRunEvent: TypeAlias = ChatTold | ToolCalled | ToolFinished
"""What a run tells: the pieces of each answer, and the calls between them."""
Functions: TypeAlias = "dict[str, Tool[..., Any]]"
Opening: TypeAlias = Callable[[ChatConversation], tuple[ChatStream, Functions]]
"""Asks once more, with the conversation as it stands; the functions that may be called are told with it."""
Approve: TypeAlias = Callable[[ToolCalled], Awaitable[bool | str]]
"""Asked before each call: True runs it, False or a reason (told to the model) does not."""

STOPPED: Final = error_outcome("the call was stopped")
BROKEN_OFF: Final = ("cancelled", "failed")


@dataclass(slots=True)
class _Call:
    """A call and what it came to; that it was stopped, where nothing else came of it."""

    call: ChatToolCall
    outcome: ToolOutcome = STOPPED
    duration_ms: float = 0.0

    def called(self, reply: ChatReply) -> ToolCalled:
        return ToolCalled(self.call.name, self.call.id, self.call.arguments, reply.id, raw=self.call)

    def finished(self) -> ToolFinished:
        return ToolFinished(
            self.call.name,
            self.call.id,
            self.call.arguments,
            self.outcome.output,
            self.outcome.is_error,
            self.duration_ms,
            raw=self.call,
        )


class ChatRun:
    """Asks, runs the functions that the model calls, and asks again, until it answers.

    `reply = await client.chat.run(...)` gives the last answer; `async with client.chat.run(...) as run: async for event
    in run` tells what happens meanwhile, after which `run.reply` is that answer. The calls of one answer run at the
    same time; their outputs go back in the order of the calls. A function that fails, that is not known, and arguments
    that do not fit are told to the model, once each.

    `conversation` is what was said and called, the last answer included; a conversation that you gave grows. It can be
    gone on with at any time, however the run ends: calls go into it together with their outputs, those that did not
    come to an end as stopped, and of an answer that was broken off what had been told. `replies` are the answers of all
    requests.

    After `max_rounds` requests an answer that calls again is the last: its calls are not run, and its outcome is
    `truncated` with reason `rounds`. When no function wants an answer of the model (`ToolResult(respond=False)`) it is
    not asked again. Raises what `Chat.stream` and `approve` raise, as it is. Cancelling, and leaving the context, stop
    what runs.
    """

    def __init__(
        self,
        opening: Opening,
        conversation: ChatConversation,
        *,
        max_rounds: int,
        tool_timeout_s: float | None,
        approve: Approve | None,
    ) -> None:
        if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or max_rounds < 1:
            raise ConfigurationError(f"max_rounds is {max_rounds!r}; a whole number from 1 is allowed")
        if tool_timeout_s is not None and not _is_time(tool_timeout_s):
            raise ConfigurationError(f"tool_timeout_s is {tool_timeout_s!r}; numbers above 0, and None, are allowed")
        self._opening = opening
        self.conversation = conversation
        self.replies: list[ChatReply] = []
        self._max_rounds = max_rounds
        self._tool_timeout_s = tool_timeout_s
        self._approve = approve
        self._stream: ChatStream | None = None
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self._tasks: anyio.abc.TaskGroup | None = None
        self._failure: Exception | None = None

    @property
    def reply(self) -> ChatReply:
        """The last answer, or the one that is being written."""
        if self._stream is not None:
            return self._stream.reply
        if self.replies:
            return self.replies[-1]
        return ChatReply(outcome=ChatOutcome("cancelled", "cancelled") if self._is_cancelled else None)

    def __repr__(self) -> str:
        return f"<ChatRun, {len(self.replies)} answers>"

    def __await__(self) -> Generator[Any, None, ChatReply]:
        return self._finished().__await__()

    async def _finished(self) -> ChatReply:
        async with self:
            async for _ in self:
                pass
        return self.reply

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise ConfigurationError("a run is made once: ask for another one")
        self._tell, self._told = anyio.create_memory_object_stream[ChatRunEvent](0)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._work)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        # Without the exception of the body, which would come back wrapped in a group.
        is_cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
        try:
            await self._tasks.__aexit__(*((exc_type, exc, traceback) if is_cancelled else (None, None, None)))
        finally:
            self._tell.close()
            self._told.close()

    def __aiter__(self) -> AsyncIterator[ChatRunEvent]:
        return self

    async def __anext__(self) -> ChatRunEvent:
        if self._tasks is None:
            raise ConfigurationError("a run is entered before it is read: `async with client.chat.run(...) as run`")
        try:
            return await self._told.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure from None
            raise StopAsyncIteration from None

    def text(self) -> AsyncIterator[str]:
        """The words of all answers, piece by piece: what is said before a call as well."""
        return Parts(self, _words)

    def text_of(self, field: Step | Sequence[Step]) -> AsyncIterator[str]:
        """The text of one field of structured answers while their JSON still grows, as `ChatStream.text_of` gives it.

        Each answer of the run is read by itself; one that is no JSON says nothing.
        """
        reader = FieldText(field)

        def read(event: ChatRunEvent) -> Iterator[str]:
            nonlocal reader
            if isinstance(event, ToolCalled):
                reader = FieldText(field)
            for words in _words(event):
                if new := reader.push(words):
                    yield new

        return Parts(self, read)

    async def cancel(self) -> None:
        """Stop, from any task: the iteration ends in order, functions that run are cancelled."""
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()
        await checkpoint()

    # The loop

    async def _work(self) -> None:
        """In a task of its own, since what is open between two events must not stand in the way of the reader's."""
        with self._tell:
            try:
                await self._rounds()
            except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
                self._failure = error
                self._mark("failed", "error", error)
            except anyio.get_cancelled_exc_class():
                self._mark("cancelled", "cancelled")
                raise

    async def _rounds(self) -> None:
        for number in range(1, self._max_rounds + 1):
            if self._is_cancelled:
                self._mark("cancelled", "cancelled")
                return
            functions = await self._ask(is_last=number == self._max_rounds)
            reply = self.replies[-1]
            if not _wants_calls(reply) or not await self._call(reply, functions):
                return

    async def _ask(self, *, is_last: bool) -> Functions:
        """One answer: told, noted, and added to the conversation unless its calls are to be run."""
        stream, functions = self._opening(self.conversation)
        said: list[str] = []
        is_whole = False
        self._stream = stream
        try:
            with anyio.CancelScope() as self._scope:
                async with stream:
                    async for delta in stream:
                        await self._tell.send(delta)
                        if isinstance(delta, TextDelta) and delta.choice == 0:
                            said.append(delta.text)
                is_whole = True
        finally:
            self._scope = self._stream = None
            self._note(stream.reply, "".join(said), is_whole=is_whole, is_last=is_last)
        return functions

    def _note(self, reply: ChatReply, said: str, *, is_whole: bool, is_last: bool) -> None:
        """Take in an answer of which this was told; what was not told of one that was broken off does not count."""
        if is_whole:
            said = reply.text
            if is_last and _wants_calls(reply):
                reply = _ended(reply, "truncated", "rounds")
        elif reply.outcome is not None and reply.outcome.status not in BROKEN_OFF:
            reply = _ended(reply, "cancelled", "cancelled")
        self.replies.append(reply)
        if said and not _wants_calls(reply):
            self.conversation.add_assistant(said)

    async def _call(self, reply: ChatReply, functions: Functions) -> bool:
        """Run the calls of an answer; whether the model is to be asked again.

        They go into the conversation all at once with their outputs, whatever happens.
        """
        calls = [_Call(call) for call in reply.tool_calls]
        try:
            for call in calls:
                await self._tell.send(call.called(reply))
            await self._run_all(calls, functions)
        finally:
            self.conversation.add_assistant(reply.text, tool_calls=[each.call.to_wire() for each in calls])
            for each in calls:
                self.conversation.add_tool(each.call.id, each.outcome.output)
        for call in calls:
            await self._tell.send(call.finished())
        return any(call.outcome.respond for call in calls)

    async def _run_all(self, calls: Sequence[_Call], functions: Functions) -> None:
        """Run calls at the same time, and note what they come to. Raises what `approve` raises."""
        failures: list[Exception] = []

        async def answer(each: _Call) -> None:
            await checkpoint()  # what was stopped by now does not begin
            started_ms = now_ms()
            try:
                each.outcome = await self._answer(each.call, functions)
            except Exception as error:  # noqa: BLE001 - of `approve`, without a group around it
                failures.append(error)
                tasks.cancel_scope.cancel()
            finally:
                each.duration_ms = now_ms() - started_ms

        if self._is_cancelled:
            return
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                for each in calls:
                    tasks.start_soon(answer, each)
        finally:
            self._scope = None
        if failures:
            raise failures[0]

    async def _answer(self, call: ChatToolCall, functions: Functions) -> ToolOutcome:
        if not call.name:
            return error_outcome("the call names no tool")
        if self._approve is not None:
            verdict = await self._approve(ToolCalled(call.name, call.id, call.arguments, raw=call))
            if verdict is not True:
                return error_outcome((isinstance(verdict, str) and verdict) or "the call was not approved")
        found = functions.get(call.name)
        if found is None:
            return error_outcome(f"there is no tool named {call.name}")
        timeout_s = self._tool_timeout_s if found.timeout_s is None else found.timeout_s
        return await found.run(call.arguments, timeout_s=timeout_s)

    def _mark(self, status: ChatStatus, reason: str, error: Exception | None = None) -> None:
        """Say of the last answer, where it calls, that what was to follow did not come."""
        if self.replies and _wants_calls(self.replies[-1]):
            self.replies[-1] = _ended(self.replies[-1], status, reason, error)


def _wants_calls(reply: ChatReply) -> bool:
    """Whether an answer is whole and calls."""
    return reply.outcome is not None and reply.outcome.is_complete and bool(reply.tool_calls)


def _ended(reply: ChatReply, status: ChatStatus, reason: str, error: Exception | None = None) -> ChatReply:
    """The same with another end, in the same time."""
    assert reply.outcome is not None
    return replace(reply, outcome=replace(reply.outcome, status=status, reason=reason, error=error))


def _is_time(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf  # type: ignore[operator]


def _words(event: ChatRunEvent) -> tuple[str, ...]:
    """The words of the first choice that an event brings."""
    return (event.text,) if isinstance(event, TextDelta) and event.choice == 0 else ()
