"""The sockets that one client speaks over, and whose turn it is. In: orders. Out: sockets, one user at a time.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio
import anyio.abc
import anyio.lowlevel

from xai_realtime.errors import ClosedByUsError, ConfigurationError
from xai_realtime.transport.base import Transport
from xai_realtime.tts._socket import Order, SpeechSocket
from xai_realtime.tts.policy import TtsPolicy

__all__ = ["SpeechPool"]

NOT_ENTERED: Final = "speaking over sockets needs an open client: use it inside `async with AsyncClient() as client`"
LEFT: Final = "the client was left"
LEAVING_TURNS: Final = 3
"""Turns of the event loop until a speech whose loop was left by `break` has given its socket back."""


class _Place:
    """Somebody who waits for a socket, and what came of it."""

    __slots__ = ("error", "is_fresh", "is_ready", "order", "socket", "wants_fresh")

    def __init__(self, order: Order, wants_fresh: bool) -> None:
        self.order = order
        self.wants_fresh = wants_fresh
        self.is_ready = anyio.Event()
        self.is_fresh = False
        self.socket: SpeechSocket | None = None
        self.error: Exception | None = None


class _Host:
    """One entering of the client: what was started there ends before it is left."""

    def __init__(self) -> None:
        self.tasks = anyio.create_task_group()
        self.task_id = anyio.get_current_task().id
        self.is_open = True
        self._scopes: set[anyio.CancelScope] = set()
        self._running = 0
        self._is_done = anyio.Event()

    def start(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope | None = None) -> None:
        """Run something, in a scope of its own if it is to be cancelled with the host."""
        self._running += 1
        if scope is not None:
            self._scopes.add(scope)
        self.tasks.start_soon(self._run, work, scope)

    async def _run(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope | None) -> None:
        try:
            await work()
        finally:
            self._running -= 1
            if scope is not None:
                self._scopes.discard(scope)
            if not self._running:
                self._is_done.set()
                self._is_done = anyio.Event()

    def cancel(self) -> None:
        """Cancel what has a scope of its own."""
        for scope in tuple(self._scopes):
            scope.cancel()

    async def leave(self, exc: BaseException | None) -> None:
        """Wait until all has ended. Where another task leaves than entered, the task group is left alone."""
        if anyio.get_current_task().id == self.task_id:
            # Without the exception of the body, which would come back wrapped in a group.
            is_cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
            why = (type(exc), exc, exc.__traceback__) if exc is not None and is_cancelled else (None, None, None)
            await self.tasks.__aexit__(*why)
            return
        with anyio.CancelScope(shield=True):
            while self._running:
                await self._is_done.wait()


@dataclass(slots=True)
class _Seat:
    """Where a socket was started, and who is to get it next."""

    host: _Host
    following: _Place | None = None


class SpeechPool:
    """Sockets for utterances, kept between them. It lives while the client is entered, and owns every task.

    Who wants a socket gets an idle one of the same order, else a new one while there are fewer than the policy allows,
    else waits; nobody overtakes. An idle socket of another order is closed where it stands in the way.
    """

    def __init__(self, transport: Transport, policy: TtsPolicy) -> None:
        self.policy = policy
        self._transport = transport
        self._hosts: list[_Host] = []
        self._sockets: dict[SpeechSocket, _Seat] = {}
        self._waiting: deque[_Place] = deque()

    def __repr__(self) -> str:
        return f"<SpeechPool, {len(self._sockets)} sockets, {len(self._waiting)} waiting>"

    @property
    def is_open(self) -> bool:
        """Is the client entered?"""
        return bool(self._hosts)

    def check_open(self) -> None:
        """Raise ConfigurationError when the client is not entered."""
        if not self._hosts:
            raise ConfigurationError(NOT_ENTERED)

    # Sockets

    async def take(self, order: Order, *, fresh: bool = False) -> tuple[SpeechSocket, bool]:
        """A socket for this order, and whether it was opened just for it; `fresh` takes no other.

        Cancelling is safe. Raises ConfigurationError when the client is not entered, ClosedByUsError when it is left
        meanwhile, and what opening a socket raises.
        """
        for _ in range(LEAVING_TURNS):
            await anyio.lowlevel.checkpoint()
        self.check_open()
        place = _Place(order, fresh)
        self._waiting.append(place)
        self._serve()
        try:
            await place.is_ready.wait()
            if place.error is not None:
                raise place.error
            assert place.socket is not None
            await place.socket.until_quiet()
        except BaseException:
            self._withdraw(place)
            raise
        return place.socket, place.is_fresh

    def _withdraw(self, place: _Place) -> None:
        if place in self._waiting:
            self._waiting.remove(place)
        for seat in self._sockets.values():
            if seat.following is place:
                seat.following = None
        if place.socket is not None:
            place.socket.move("released")
        self._serve()

    async def prewarm(self, order: Order) -> bool:
        """Have a socket for this order ready, if that takes nobody's turn; False when it would.

        Cancelling is safe. Raises ConfigurationError when the client is not entered, and what opening a socket raises.
        """
        self.check_open()
        self._serve()
        for socket, seat in self._sockets.items():
            if socket.order == order and seat.following is None and socket.state in ("idle", "clearing", "dialling"):
                return await self._is_opened(socket)
        if self._waiting:
            return False
        if len(self._sockets) < self.policy.max_connections:
            return await self._is_opened(self._dial(order, None))
        if not any(socket.is_idle for socket in self._sockets):
            return False
        socket, _ = await self.take(order)
        socket.move("released")
        return True

    async def _is_opened(self, socket: SpeechSocket) -> bool:
        await socket.until_open()
        if socket.error is not None:
            raise socket.error
        return socket.was_opened

    def _serve(self) -> None:
        """Give sockets to those who wait, the first one first, as far as there are any."""
        for socket, seat in self._sockets.items():
            if socket.is_idle and (socket.is_old or not seat.host.is_open):
                socket.move("dropped")
        while self._waiting and self._serve_one(self._waiting[0]):
            self._waiting.popleft()

    def _serve_one(self, place: _Place) -> bool:
        """Give `place` a socket, or one that it will get; False when there is none yet, and it stays the first."""
        if not place.wants_fresh:
            mine = [(socket, seat) for socket, seat in self._sockets.items() if socket.order == place.order]
            for socket, _ in mine:
                if socket.is_idle:
                    self._give(socket, place)
                    return True
            for socket, seat in mine:
                if socket.state in ("dialling", "clearing") and seat.following is None and seat.host.is_open:
                    seat.following = place
                    return True
        if len(self._sockets) < self.policy.max_connections:
            place.is_fresh = True
            self._dial(place.order, place)
            return True
        self._make_room()
        return False

    def _make_room(self) -> None:
        """Close a socket that nobody uses; one that is being closed makes room as well."""
        if any(socket.state == "closing" for socket in self._sockets):
            return
        for socket, seat in self._sockets.items():
            if socket.is_idle or (socket.state == "dialling" and seat.following is None):
                socket.move("dropped")
                return

    def _give(self, socket: SpeechSocket, place: _Place) -> None:
        socket.move("taken")
        self._sockets[socket].following = None
        place.socket = socket
        place.is_ready.set()

    def _dial(self, order: Order, place: _Place | None) -> SpeechSocket:
        host = self._hosts[0]
        socket = SpeechSocket(order, self.policy, self._changed)
        self._sockets[socket] = _Seat(host, place)
        host.start(partial(socket.own, self._transport))
        return socket

    def _changed(self, socket: SpeechSocket) -> None:
        """A socket is idle, or gone."""
        seat = self._sockets[socket]
        if socket.is_gone:
            del self._sockets[socket]
            if seat.following is not None:
                self._disappoint(seat.following, socket)
        elif seat.following is not None and seat.host.is_open:
            self._give(socket, seat.following)
        self._serve()

    def _disappoint(self, place: _Place, socket: SpeechSocket) -> None:
        """The socket that was meant for `place` is gone: it did not open, or could not be cleared."""
        if self._hosts and (socket.error is None or not place.is_fresh):
            place.is_fresh = False
            self._waiting.appendleft(place)
            return
        place.error = socket.error or ClosedByUsError(1000, LEFT)
        place.is_ready.set()

    # Tasks and life

    def start(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        """Run something of a user's, at most as long as the client is entered: then `scope` is cancelled."""
        self.check_open()
        self._hosts[0].start(work, scope)

    async def enter(self) -> None:
        """The client is entered, for the first time or once more."""
        host = _Host()
        await host.tasks.__aenter__()
        self._hosts.append(host)

    async def leave(self, exc: BaseException | None) -> None:
        """The client is left, with the exception of its body.

        What still runs is cut off when this was the last time, or when an exception leaves; else it may end first.
        """
        if not self._hosts:
            return
        mine = anyio.get_current_task().id
        host = next((host for host in reversed(self._hosts) if host.task_id == mine), self._hosts[-1])
        self._hosts.remove(host)
        host.is_open = False
        cuts = not self._hosts or exc is not None
        while self._waiting and not self._hosts:
            place = self._waiting.popleft()
            place.error = ClosedByUsError(1000, LEFT)
            place.is_ready.set()
        for socket, seat in self._sockets.items():
            is_unused = socket.is_idle or (socket.state == "dialling" and seat.following is None)
            if seat.host is host and (cuts or is_unused):
                socket.move("dropped")
        if cuts:
            host.cancel()
        await host.leave(exc)
