"""The connections that carry a transcription stream, one after the other. In: a transport, the core. Out: its life.

Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias, cast

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from xai_realtime.codec import stt_codec
from xai_realtime.errors import (
    ClosedByUsError,
    ConnectionBrokenError,
    ConnectionClosedError,
    LocalProtocolError,
    ServiceError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.events import stt as wire
from xai_realtime.frames import Frame
from xai_realtime.protocol.stt_core import IDLE, SttCore
from xai_realtime.protocol.stt_ring import INFLOW, Kind
from xai_realtime.realtime._inbox import Inbox
from xai_realtime.realtime._verdict import LOST, retry_after_s, verdict
from xai_realtime.transport.base import Channel

__all__ = ["Connect", "SttLine"]

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Channel]]

END: Final = stt_codec.encode(wire.AudioDone()).data
CREATED: Final = "transcript.created"
NOT_READY: Final = "not_ready"
ERROR: Final = "error"
MAX_DOUBLINGS: Final = 64

_log: Final = logging.getLogger("xai_realtime.stt")


class SttLine:
    """Keeps one connection open for a stream, and another one when it drops.

    `carry` reads, `write` sends what had to wait, `keep_time` looks after silence: three tasks of one group. Whoever
    told the core something calls `work_off`. `channel` is the open socket while the core is ready, `direct` the same
    while nothing waits to be sent.
    """

    def __init__(self, core: SttCore, connect: Connect) -> None:
        self.core = core
        self.channel: Channel | None = None
        self.direct: Channel | None = None
        self.inbox = Inbox(cast("Any", core.told), core.policy.max_events)
        self._connect = connect
        self._scope: anyio.CancelScope | None = None
        self._write_scope: anyio.CancelScope | None = None
        self._out_news: anyio.Event | None = None
        self._news: anyio.Event | None = None
        self._outages: list[float] = []
        self._was_ready = False
        self._is_closed = False
        self.is_entered = False

    # Life

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Carry the stream to its end; what ended it goes to the inbox."""
        tasks.start_soon(self._write)
        tasks.start_soon(self._keep_time)
        try:
            await self._carry()
        except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
            self.core.fail(error)
        self.core.over()
        self.inbox.end(self.core.failure)
        self.work_off()

    def close(self) -> None:
        """End the stream at once."""
        self._is_closed = True
        self.core.over()
        self._stop()
        self.inbox.end(self.core.failure)
        self.work_off()

    def fail(self, error: Exception) -> None:
        """End the stream over a failure that came from elsewhere than the reader."""
        self.core.fail(error)
        self._stop()

    def _stop(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def work_off(self) -> None:
        """Do what the core wants: tell, send, connect again, end."""
        core = self.core
        self.direct = self.channel if core.is_direct else None
        if core.told:
            self.inbox.wake()
        if core.redial is not None or core.failure is not None:
            self._stop()
        self.wake_writer()
        if self._news is not None:
            self._news.set()
            self._news = None

    def wake_writer(self) -> None:
        """Something waits to be sent."""
        if self._out_news is not None:
            self._out_news.set()
            self._out_news = None

    def raise_if_over(self) -> None:
        """Raise what ended the stream, or that it is over, has not begun, or that its end was asked for."""
        if not self.is_entered:
            raise LocalProtocolError("the stream has not begun: async with client.stt.stream(...) as stt")
        if self.core.state == "over":
            self.inbox.raise_if_over()
            if self.core.failure is not None:
                raise self.core.failure
            if self._is_closed:
                raise ClosedByUsError(1000, "the stream is over")
        if self.core.is_ending:
            raise LocalProtocolError("finish() was called: the stream takes no more audio")

    async def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until it holds, or the stream is over."""
        while not condition() and self.core.state != "over":
            self._news = self._news or anyio.Event()
            await self._news.wait()

    async def wait_until_ended(self) -> None:
        """Wait until the stream is over and its connection closed."""
        while not self.inbox.has_ended:
            self._news = self._news or anyio.Event()
            await self._news.wait()

    # One connection after the other

    async def _carry(self) -> None:
        core, attempt = self.core, 0
        while core.state != "over":
            core.attempt = max(attempt, 1)
            self._was_ready = False
            error = await self._once()
            if core.state == "over":
                return
            if core.is_ending and core.connections and self._ends_here(error):
                return
            wanted = core.redial
            reason = wanted or (IDLE if core.is_parked else self._reason(error))
            attempt = 0 if self._was_ready else attempt
            core.lost(reason)
            self.work_off()
            if wanted is None and reason != IDLE:
                attempt += 1
                await self._wait_to_retry(attempt, error)
            elif core.is_parked:
                await self.wait_until(lambda: not core.is_parked)

    def _ends_here(self, error: Exception | None) -> bool:
        """Is the stream over, now that the connection dropped behind the last audio? Nothing may be left to be said."""
        core = self.core
        if not self._was_ready or core.ring.has_held or core.has_uncommitted or isinstance(error, ServiceError):
            return False
        core.end()
        return True

    def _reason(self, error: Exception | None) -> str:
        """Why to connect again. Raises what ends the stream."""
        closed = error or ConnectionBrokenError(None, "the service ended the stream")
        policy = self.core.policy
        if isinstance(closed, ServiceError):
            if policy.reconnect is None or not policy.reconnect_on_error:
                raise closed
            return ERROR
        is_late = isinstance(closed, TransportTimeoutError) and closed.phase == CREATED
        if policy.reconnect is None or verdict(closed, is_at_limit=False) is None:
            raise closed
        return NOT_READY if is_late else LOST

    async def _wait_to_retry(self, attempt: int, error: Exception | None) -> None:
        """Wait before the next attempt. Raises what closed the connection when there were enough."""
        policy, now_s = self.core.policy.reconnect, anyio.current_time()
        closed = error or ConnectionBrokenError(None, "the service ended the stream")
        if policy is None or attempt > policy.max_attempts:
            raise closed
        self._outages = [at_s for at_s in self._outages if at_s >= now_s - policy.window_s]
        if attempt == 1:
            if len(self._outages) >= policy.max_per_session:
                raise closed
            self._outages.append(now_s)
        _log.info("the connection is gone (%s); attempt %d to connect again follows", type(closed).__name__, attempt)
        longest_s = min(policy.max_delay_s, policy.first_delay_s * 2.0 ** min(attempt - 1, MAX_DOUBLINGS))
        asked_s = min(policy.max_delay_s, retry_after_s(closed))
        with anyio.CancelScope() as self._scope:
            await anyio.sleep(max(asked_s, random.uniform(0, longest_s)))
        self._scope = None

    async def _once(self) -> Exception | None:
        """One connection, from its handshake to its end: what ended it, None when we did or the service in order."""
        closed: Exception | None = None
        try:
            with anyio.CancelScope() as self._scope:
                async with self._connect() as channel:
                    try:
                        await self._converse(channel)
                    except (TransportError, ServiceError) as error:
                        closed = error
                    finally:
                        self._leave()
        except TransportError as error:
            closed = closed or error
        finally:
            self._scope = None
        return closed

    def _leave(self) -> None:
        self.channel = self.direct = None
        if self._write_scope is not None:
            self._write_scope.cancel()

    async def _converse(self, channel: Channel) -> None:
        core = self.core
        core.opened()
        bound_s = core.policy.created_timeout_s
        with anyio.move_on_after(bound_s) as starting:
            while core.state == "starting":
                if await self._take(channel):
                    return
        if starting.cancelled_caught:
            raise TransportTimeoutError(CREATED, bound_s)
        self.channel, self._was_ready = channel, True
        self.work_off()
        while not await self._take(channel):
            if self.inbox.is_full and not core.is_ending:
                core.is_paused = True
                await self.inbox.wait_for_room()
                core.reads_again(anyio.current_time())

    async def _take(self, channel: Channel) -> bool:
        """One message; True when it was the last."""
        frame = await channel.receive()
        event = stt_codec.decode(frame)
        if _log.isEnabledFor(logging.DEBUG):
            kind = ascii(getattr(event, "type", None))[:80]
            _log.debug("received %s (%s), %d bytes", kind, type(event).__name__, len(frame.data))
        is_last = self.core.receive(event, anyio.current_time())
        self.work_off()
        return is_last

    # What goes out

    async def send(self, audio: bytes) -> None:
        """Send audio of one message, or hold it for a line that is not ready, for as much as may wait."""
        core, channel = self.core, self.direct
        if channel is not None:
            core.ring.inflow.append(audio)
            if len(core.ring.inflow) >= INFLOW:
                core.ring.absorb()
            try:
                await channel.send(Frame(audio, False))
            except ConnectionClosedError:
                return  # the ring has it, and the reader learns of it once it has read what came before
            return
        self.raise_if_over()
        units = core.ring.units(audio)
        if not core.ring.has_room(units):
            await self.wait_until(lambda: core.ring.has_room(units))
            self.raise_if_over()
        self.hold(audio, "audio")
        await checkpoint()

    def hold(self, payload: bytes, kind: Kind) -> None:
        """Send something behind all that was given so far."""
        self.direct = None
        self.core.hold(payload, kind)
        if self.core.redial is not None or self.core.state == "down":
            self.work_off()
        else:
            self.wake_writer()

    def end_audio(self) -> None:
        """There is no more audio."""
        self.core.is_ending = True
        self.core.reads_again(anyio.current_time())
        self.inbox.make_room()
        self.work_off()

    async def _write(self) -> None:
        """Send what waits, in order, whenever a connection is ready."""
        core = self.core
        while core.state != "over":
            channel = self.channel
            piece = None if channel is None else core.next_out(END)
            if channel is None or piece is None:
                self._out_news = self._out_news or anyio.Event()
                await self._out_news.wait()
                continue
            with anyio.CancelScope() as self._write_scope:
                try:
                    await channel.send(Frame(piece.payload, piece.is_text))
                except ConnectionClosedError:
                    await anyio.sleep_forever()  # until the reader has learned of it as well
                except Exception as error:  # noqa: BLE001 - it surfaces from the iterator
                    self.fail(error)
                    return
            self._write_scope = None
            if self.channel is channel:
                core.went_out(piece, anyio.current_time())
                self.work_off()

    # Time

    async def _keep_time(self) -> None:
        core = self.core
        while core.state != "over":
            with anyio.CancelScope(deadline=core.next_due_s(anyio.current_time())) as wait:
                await self._wait_for_another(core.state, core.is_ending)
            if wait.cancelled_caught:
                core.tick(anyio.current_time())
                self.work_off()

    async def _wait_for_another(self, state: str, is_ending: bool) -> None:
        await self.wait_until(lambda: (self.core.state, self.core.is_ending) != (state, is_ending))
