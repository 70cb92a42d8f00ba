"""The connections that carry a session, one after the other. In: a way to connect, the session's core. Out: its life.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, TypeAlias

import anyio
import anyio.abc

from xai_realtime.errors import ClosedByUsError, ConnectionClosedError, TransportError, TransportTimeoutError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import BinaryAudio, encode_audio
from xai_realtime.protocol.desk import HeldAudio, Outgoing
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.session import SessionCore
from xai_realtime.protocol.session_events import SessionWarning
from xai_realtime.realtime._inbox import Inbox
from xai_realtime.realtime._verdict import END, LOST, retry_after_s, verdict
from xai_realtime.realtime.connection import RealtimeConnection

__all__ = ["Carrier", "Connect", "Observer"]

Connect: TypeAlias = Callable[[str | None], AbstractAsyncContextManager[RealtimeConnection]]
"""Opens a connection; given a conversation id, to resume that one."""
Observer: TypeAlias = Callable[[Literal["in", "out"], Any], None]
"""Sees every event of the wire, as it comes and goes."""

ROUNDING_MS: Final = 0.01
"""By how much the loop's seconds may fall short of the milliseconds that they stand for."""
PLANNED: Final = ("session_limit", "restart", "reset")
MAX_DOUBLINGS: Final = 64


class Carrier:
    """Keeps one connection open for a session, and another one when it drops.

    `run` is the one task that reads, one more keeps the timers; one that writes lives while there is something to send.
    `work_off` is to be
    called whenever the core was told something, by whoever told it.
    """

    def __init__(
        self,
        core: SessionCore,
        inbox: Inbox,
        connect: Connect,
        *,
        observer: Observer | None,
        is_binary: bool,
        run_call: Callable[[Any], Any],
        stop_call: Callable[[str], None],
    ) -> None:
        self._core = core
        self._inbox = inbox
        self._connect = connect
        self._observer = observer
        self._run_call = run_call
        self._stop_call = stop_call
        self._tasks: anyio.abc.TaskGroup | None = None
        self._scope: anyio.CancelScope | None = None
        self._connection: RealtimeConnection | None = None
        self._failure: Exception | None = None
        self._closed: Exception | None = None
        self._writing: RealtimeConnection | None = None
        self._timer_scope: anyio.CancelScope | None = None
        self._outages: list[float] = []
        self._ready_news: anyio.Event | None = None
        self.is_binary = is_binary

    @property
    def _policy(self) -> SessionPolicy:
        return self._core.desk.policy

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Carry the session to its end; what ended it goes to the inbox. Starts what it needs in `tasks`."""
        self._tasks = tasks
        tasks.start_soon(self._keep_time)
        error: Exception | None = None
        try:
            await self._carry()
        except Exception as failure:  # noqa: BLE001 - it surfaces from the iterator
            error = failure
        finally:
            self._core.desk.now_ms = _now_ms()
            self._core.limits.closed()
        self._inbox.end(error)
        self._tell_waiting()

    def fail(self, error: Exception) -> None:
        """End the session over a failure of the user's own code, such as an observer or a hook."""
        if self._failure is None:
            self._failure = error
        self._core.desk.finish = error
        self._stop_connection()

    def work_off(self) -> None:
        """Do what the core wants: tell, send, run, stop, connect again, end."""
        core, desk = self._core, self._core.desk
        if desk.told:
            self._inbox.wake()
        if desk.out and self._writing is None and self._connection is not None and self._tasks is not None:
            self._writing = self._connection
            self._tasks.start_soon(self._write, self._connection)
        while desk.calls and self._tasks is not None:
            self._tasks.start_soon(self._run_call, desk.calls.pop(0))
        while desk.stops:
            self._stop_call(desk.stops.pop(0))
        if desk.redial is not None or desk.finish is not None:
            self._stop_connection()
        elif self._ready_news is not None and core.is_ready:
            self._tell_waiting()
        if desk.has_new_timer and self._timer_scope is not None:
            desk.has_new_timer = False
            due_ms = core.next_due_ms()
            if due_ms is not None and due_ms < self._timer_scope.deadline * 1000:
                self._timer_scope.deadline = due_ms / 1000

    def _tell_waiting(self) -> None:
        if self._ready_news is not None:
            self._ready_news.set()
            self._ready_news = None

    def _stop_connection(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    # One connection after the other

    async def _carry(self) -> None:
        core, desk = self._core, self._core.desk
        attempt = 0
        while True:
            core.outage.attempts = max(attempt, 1)
            self._closed = None
            await self._once()
            if self._is_over():
                return
            reason = self._reason()
            if reason == END:
                return
            if core.is_ready or reason == "reset":
                attempt = 0
            core.lost(_now_ms(), reason)
            self.work_off()
            if reason not in PLANNED or self._closed is not None:
                attempt += 1
                await self._wait_to_retry(attempt)
                desk.redial = None
                if self._is_over():
                    return

    def _is_over(self) -> bool:
        """Is the session to end in order? Raises what it is to end with otherwise."""
        finish = self._core.desk.finish
        if self._failure is not None:
            raise self._failure
        if isinstance(finish, Exception):
            raise finish
        return finish is not None

    def _reason(self) -> str:
        """Why the connection is over and the session is not. Raises what ends the session."""
        core, wanted, closed = self._core, self._core.desk.redial, self._closed
        if closed is None:
            return wanted or LOST
        why = verdict(closed, is_at_limit=core.limits.has_been_reached)
        if why is None:
            raise closed
        if wanted is not None:
            return wanted
        if why == END and core.outage.was_ready:
            return END
        if why == END or self._policy.reconnect is None or not core.connections:
            raise closed
        return why

    async def _wait_to_retry(self, attempt: int) -> None:
        """Wait before the next attempt. Raises what closed the connection when there were enough."""
        policy, now_s = self._policy.reconnect, anyio.current_time()
        error = self._closed or TransportTimeoutError("ready", self._policy.ready_timeout_s)
        if policy is None or attempt > policy.max_attempts:
            raise error
        self._outages = [at_s for at_s in self._outages if at_s >= now_s - policy.window_s]
        if attempt == 1:
            if len(self._outages) >= policy.max_per_session:
                raise error
            self._outages.append(now_s)
        message = f"the connection is gone ({type(error).__name__}); attempt {attempt} to connect again follows"
        self._core.desk.tell(SessionWarning(LOST, message, {"attempt": attempt}))
        self.work_off()
        longest_s = min(policy.max_delay_s, policy.first_delay_s * 2.0 ** min(attempt - 1, MAX_DOUBLINGS))
        asked_s = min(policy.max_delay_s, retry_after_s(self._closed))
        with anyio.CancelScope() as self._scope:
            await anyio.sleep(max(asked_s, random.uniform(0, longest_s)))
        self._scope = None

    async def _once(self) -> None:
        """One connection, from its handshake to its end, which `_closed` tells."""
        resumed = self._core.desk.conversation.conversation_id if self._policy.resumption == "native" else None
        try:
            with anyio.CancelScope() as self._scope:
                async with self._connect(resumed) as connection:
                    self._core.opened(_now_ms())
                    self._connection = connection
                    self.work_off()
                    await self._read(connection)
        except TransportError as error:
            self._closed = self._closed or error
        finally:
            self._scope = None
            self._connection = self._writing = None

    async def _read(self, connection: RealtimeConnection) -> None:
        core, inbox, observer = self._core, self._inbox, self._observer
        try:
            while True:
                event = await connection.receive()
                if observer is not None:
                    observer("in", event)
                core.receive(event, _now_ms())
                self.work_off()
                if inbox.is_full and core.is_ready:
                    await inbox.wait_for_room()
        except TransportError as error:
            self._closed = error
        except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
            self._failure = self._failure or error

    # What goes out

    async def _write(self, connection: RealtimeConnection) -> None:
        """Send what is to be sent over a connection, as long as it is the one in use."""
        out = self._core.desk.out
        try:
            while out and self._writing is connection:
                # It stays in its place meanwhile, so that the microphone does not overtake it.
                event = out[0]
                await self._send(connection, event)
                if out and out[0] is event:
                    out.popleft()
        except ConnectionClosedError:
            return  # the reader learns of it, once it has read what came before
        except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
            self.fail(error)
        if self._writing is connection:
            self._writing = None

    async def _send(self, connection: RealtimeConnection, event: Outgoing) -> None:
        if isinstance(event, HeldAudio):
            await self._send_held(connection)
            return
        if self._observer is not None:
            self._observer("out", event)
        await connection.send(event)

    async def _send_held(self, connection: RealtimeConnection) -> None:
        core, user = self._core, self._core.user
        core.is_draining = True
        # No longer once the input is cleared: what is said after that waits behind the clear.
        while core.is_draining and (audio := user.ring.next_held()) is not None:
            if audio:
                await self._send_now(connection, audio)
            else:
                await self._send(connection, wire.InputAudioBufferCommit())
            user.ring.held_sent()
            if not audio and core.defers_audio():
                break
        core.drained()
        self.work_off()

    async def _send_now(self, connection: RealtimeConnection, audio: bytes) -> None:
        if self._observer is not None:
            self._observer("out", BinaryAudio(audio) if self.is_binary else _append(audio))
        if self.is_binary:
            await connection.send_binary_audio(audio)
        else:
            await connection.send_audio(audio)

    async def send_audio(self, audio: bytes) -> None:
        """Send microphone audio past all queues; a line that is gone will be told again."""
        connection = self._connection
        if connection is None:
            return
        try:
            await self._send_now(connection, audio)
        except ConnectionClosedError:
            return  # the ring has it, and the reader knows what to do
        except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
            self.fail(error)

    def raise_if_over(self) -> None:
        """Raise what ended the session or is about to, also when it ends in order."""
        finish = self._core.desk.finish
        if self._inbox.has_ended or finish is not None:
            self._inbox.raise_if_over()
            raise finish if isinstance(finish, Exception) else ClosedByUsError(1000, "the session is over")

    def close(self) -> None:
        """End the session in order."""
        if self._core.desk.finish is None:
            self._core.desk.finish = "closed"
        self._stop_connection()

    async def wait_until_ready(self, after: int = 0) -> None:
        """Wait until a connection is configured, one beyond the first `after`. Raises what ended the session before."""
        self.raise_if_over()
        while not self._core.is_ready or self._core.connections <= after:
            self.raise_if_over()
            self._ready_news = self._ready_news or anyio.Event()
            await self._ready_news.wait()

    # Timers

    async def _keep_time(self) -> None:
        core = self._core
        while True:
            core.desk.has_new_timer = False
            due_ms = core.next_due_ms()
            deadline = math.inf if due_ms is None else due_ms / 1000
            with anyio.CancelScope(deadline=deadline) as self._timer_scope:
                await anyio.sleep_forever()
            now_ms, due_ms = _now_ms(), core.next_due_ms()
            if due_ms is not None and due_ms - now_ms < ROUNDING_MS:
                now_ms = max(now_ms, due_ms)
            try:
                core.tick(now_ms)
            except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
                self.fail(error)
            self.work_off()


def _now_ms() -> float:
    return anyio.current_time() * 1000


def _append(audio: bytes) -> wire.InputAudioBufferAppend:
    return wire.InputAudioBufferAppend(audio=encode_audio(audio))
