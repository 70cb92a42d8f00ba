"""A session's life and what is true of it: entered, read, left. In: a way to connect, a configuration. Out: events.

Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import anyio
import anyio.abc
import anyio.lowlevel

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.protocol.metrics import SessionMetrics
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.prices import Cost, check_budget
from xai_realtime.protocol.session import SessionCore
from xai_realtime.protocol.session_events import SessionEvent
from xai_realtime.protocol.tool_ledger import Call
from xai_realtime.realtime._calls import Approve, CallRunner
from xai_realtime.realtime._carrier import Carrier, Connect, Observer
from xai_realtime.realtime._inbox import Inbox
from xai_realtime.realtime._microphone import Microphone
from xai_realtime.realtime._setup import has_server_tools, session_setup
from xai_realtime.realtime.config import SessionConfig
from xai_realtime.realtime.history import HistoryLike, as_history

__all__ = ["RunningSession", "now_ms"]


class RunningSession:
    """What a session is without its verbs: its parts, what is true now, reading, entering and leaving."""

    def __init__(
        self,
        connect: Connect,
        config: SessionConfig,
        policy: SessionPolicy,
        *,
        history: Iterable[HistoryLike] = (),
        observer: Observer | None = None,
        approve: Approve | None = None,
        waits_until_ready: bool = True,
    ) -> None:
        if policy.budget is not None:
            check_budget(policy.budget, config.model, policy.prices)
        if policy.resumption == "native":
            config = config.changed(resumption=True).config
        self._config = config
        self._calls = CallRunner(config.toolbox, approve)
        self._waits = waits_until_ready
        self._microphone = Microphone(config.input_format)
        self._core = SessionCore(
            session_setup(config, policy),
            policy,
            mint=lambda: f"item-{uuid.uuid4()}",
            is_server_tool=self._calls.is_server_tool,
            stops_on_interrupt=self._calls.stops_on_interrupt,
            history=as_history(history),
        )
        self._core.limits.has_server_tools = has_server_tools(self._calls.toolbox)
        self._inbox = Inbox(self._core.desk.told, policy.max_events)
        self._carrier = Carrier(
            self._core,
            self._inbox,
            connect,
            observer=observer,
            is_binary=config.input_is_binary,
            run_call=self._run_call,
            stop_call=self._calls.stop,
        )
        self._tasks: anyio.abc.TaskGroup | None = None

    # What is true now

    @property
    def config(self) -> SessionConfig:
        """The configuration in force, or on its way to the server."""
        return self._config

    @property
    def conversation(self) -> Conversation:
        """The items so far; of what was cut off, `item.heard` is what was heard."""
        return self._core.desk.conversation

    @property
    def usage(self) -> UsageLedger:
        """What was used: by reply, by conversation, and over the session."""
        ledger = self._core.desk.ledger
        ledger.session_time(now_ms())
        return ledger

    @property
    def cost(self) -> Cost:
        """What it cost so far, as far as prices and usage are known."""
        self._core.desk.now_ms = now_ms()
        return self._core.limits.cost()

    @property
    def metrics(self) -> SessionMetrics:
        """How long things took."""
        return self._core.desk.metrics

    def __repr__(self) -> str:
        return f"<RealtimeSession {self._core.line}, {self._core.connections} connections>"

    # Reading

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self

    async def __anext__(self) -> SessionEvent:
        event = await self._inbox.next()
        if event is None:
            raise StopAsyncIteration
        return event

    # Life

    async def ready(self) -> None:
        """Wait until the connection is configured. Raises what ended the session instead."""
        await self._carrier.wait_until_ready()

    async def aclose(self) -> None:
        """End the session in order; leaving its context does the same. A second call does nothing."""
        self._carrier.close()
        await anyio.lowlevel.checkpoint()

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise ConfigurationError("a session is entered once")
        self._tasks = tasks = anyio.create_task_group()
        await tasks.__aenter__()
        tasks.start_soon(self._carrier.run, tasks)
        try:
            if self._waits:
                await self.ready()
        except BaseException as error:
            self._inbox.was_surfaced = True
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._tasks is None:
            return
        self._carrier.close()
        self._tasks.cancel_scope.cancel()
        # Without the exception of the body, which would come back wrapped in a group.
        is_cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
        await self._tasks.__aexit__(*((exc_type, exc, traceback) if is_cancelled else (None, None, None)))
        self._inbox.end(None)
        if exc is None and not self._inbox.was_surfaced:
            self._inbox.raise_if_over()

    async def _work_off(self) -> None:
        self._carrier.work_off()
        await anyio.lowlevel.checkpoint()

    async def _run_call(self, call: Call) -> None:
        """One call of a function, in a task of its own; it always comes to an outcome."""
        try:
            outcome = await self._calls.run(call, self._core.desk.policy.tool_timeout_s)
        except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
            self._carrier.fail(error)
            return
        self._core.desk.now_ms = now_ms()
        self._core.calls.finished(call.call_id, outcome.output, is_error=outcome.is_error, responds=outcome.respond)
        self._carrier.work_off()


def now_ms() -> float:
    """The time of the event loop, in milliseconds."""
    return anyio.current_time() * 1000
