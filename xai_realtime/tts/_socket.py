"""One socket that speaks, and the task that owns it. In: an order, its users. Out: frames, an idle socket or none.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import anyio
import anyio.lowlevel

from xai_realtime.codec import tts_codec
from xai_realtime.errors import ConnectionClosedError, ReplayError
from xai_realtime.events import tts as wire
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.tts.policy import TtsPolicy

__all__ = ["SOCKET", "Order", "SpeechSocket"]

_log: Final = logging.getLogger("xai_realtime.tts")

State: TypeAlias = Literal["dialling", "idle", "busy", "clearing", "closing"]
Trigger: TypeAlias = Literal["opened", "taken", "released", "abandoned", "cleared", "dropped"]

SOCKET: Final[Mapping[tuple[State, Trigger], State]] = {
    ("dialling", "opened"): "idle",
    ("dialling", "dropped"): "closing",
    ("idle", "taken"): "busy",
    ("idle", "dropped"): "closing",
    ("busy", "released"): "idle",
    ("busy", "abandoned"): "clearing",
    ("busy", "dropped"): "closing",
    ("clearing", "cleared"): "idle",
    ("clearing", "dropped"): "closing",
}
"""The life of one socket; what is not in the table changes nothing."""


LOOKS: Final = 4
"""How often one looks whether anything came within the time that silence may last."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a socket is asked for: only utterances that want exactly this share one."""

    request: ChannelRequest
    pronunciations: Mapping[str, str] | None = field(default=None, repr=False)


class SpeechSocket:
    """One socket. Its owner opens it, watches it while it is idle, clears it after an interruption and closes it.

    In between its user calls `send` and `receive`, one task each, once `until_quiet` let it. `changed` is called
    whenever somebody else may use it, or it is gone. The owner's task never raises.
    """

    def __init__(self, order: Order, policy: TtsPolicy, changed: Callable[[SpeechSocket], None]) -> None:
        self.order = order
        self.state: State = "dialling"
        self.error: Exception | None = None
        self.is_gone = False
        self.was_opened = False
        self.received = 0
        """Messages so far."""
        self.expects_audio = False
        """The text of the utterance is complete and its audio has begun: silence means that the service is stuck."""
        self.is_stuck = False
        self.was_cleared = False
        """An `audio.done` of what was cleared may still come."""
        self._policy = policy
        self._changed = changed
        self._channel: Channel | None = None
        self._opened_s = 0.0
        self._scope = anyio.CancelScope()
        self._watching: anyio.CancelScope | None = None
        self._calls = 0
        self._is_quiet: anyio.Event | None = None
        self._news = anyio.Event()

    def __repr__(self) -> str:
        return f"<SpeechSocket {self.state}>"

    @property
    def is_idle(self) -> bool:
        """May it be taken now?"""
        return self.state == "idle" and not self.is_gone

    @property
    def is_old(self) -> bool:
        """Is it to be renewed before the next utterance?"""
        return anyio.current_time() >= self._opened_s + self._policy.max_age_s

    # The user's side

    async def until_quiet(self) -> None:
        """Wait until nobody sends or receives. Cancelling is safe."""
        while self._calls:
            self._is_quiet = self._is_quiet or anyio.Event()
            await self._is_quiet.wait()

    async def send(self, event: wire.ClientEvent) -> None:
        """Send a message. Raises ConnectionClosedError."""
        assert self._channel is not None
        self._calls += 1
        try:
            await self._channel.send(tts_codec.encode(event))
        finally:
            self._calls -= 1
            self._returned()

    @property
    def has_message(self) -> bool:
        """Is there a message that need not be waited for?"""
        return self._channel is not None and self._channel.has_message

    async def receive(self) -> Frame:
        """The next message. Cancelling is safe. Raises ConnectionClosedError."""
        assert self._channel is not None
        self._calls += 1
        try:
            return await self._channel.receive()
        finally:
            self.received += 1
            self._calls -= 1
            if self._is_quiet is not None:
                self._returned()

    def _returned(self) -> None:
        if self._is_quiet is not None and not self._calls:
            self._is_quiet.set()
            self._is_quiet = None

    def move(self, trigger: Trigger) -> None:
        """Go on: `released` after whole utterances, `abandoned` within one, `dropped` when it is broken."""
        following = SOCKET.get((self.state, trigger))
        if following is None:
            return
        self.state = following
        if following == "closing":
            self._scope.cancel()
        if self._watching is not None:
            self._watching.cancel()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def until_open(self) -> None:
        """Wait until the socket is open, or gone. Cancelling is safe."""
        await anyio.lowlevel.checkpoint()
        await self._until_changed("dialling")

    # The owner's side

    async def own(self, transport: Transport) -> None:
        """Open the socket and keep it until it is dropped or breaks; the one task that enters and leaves it."""
        try:
            with self._scope:
                async with transport.open(self.order.request) as self._channel:
                    self._opened_s = anyio.current_time()
                    if self.order.pronunciations:
                        await self.send(wire.SessionUpdate(replace=dict(self.order.pronunciations)))
                    self.was_opened = True
                    self.move("opened")
                    await self._keep()
        except Exception as error:  # noqa: BLE001 - whoever waits for the socket gets it
            self.error = error
            _log.debug("a socket that speaks ended: %s", type(error).__name__)
        finally:
            self.is_gone = True
            self.state = "closing"
            self._wake()
            self._changed(self)

    async def _keep(self) -> None:
        while self.state != "closing":
            if self.state == "idle":
                self._changed(self)
            if self.state == "idle":
                await self._watch()
            elif self.state == "clearing":
                await self._clear()
            else:
                await self._attend()

    async def _attend(self) -> None:
        """Wait while the socket is in use, and see to it that its user does not wait for ever."""
        bound_s = self._policy.audio_timeout_s
        if bound_s is None:
            await self._until_changed("busy")
            return
        before, looks = -1, 0
        while self.state == "busy":
            with anyio.move_on_after(bound_s / LOOKS):
                await self._until_changed("busy")
            is_silent = self.expects_audio and self._calls and self.received == before
            before, looks = self.received, looks + 1 if is_silent else 0
            if looks == LOOKS and self.state == "busy":
                self.is_stuck = True
                self._give_up("no audio came")

    async def _watch(self) -> None:
        """Read an idle socket: nothing is to come, and when it is closed there is no use in keeping it."""
        left_s = self._opened_s + self._policy.max_age_s - anyio.current_time()
        with anyio.move_on_after(left_s) as self._watching:
            try:
                while self.state == "idle":
                    event = tts_codec.decode(await self.receive())
                    if isinstance(event, wire.Error | wire.AudioDelta):
                        self._give_up(f"{event.type} came while nothing was spoken")
                    self.was_cleared = self.was_cleared and not isinstance(event, wire.AudioDone)
            except ReplayError:
                # A tape that waits for the next utterance; whether that agrees is seen when it comes.
                await self._until_changed("idle")
            except ConnectionClosedError as closed:
                self._give_up(type(closed).__name__)
        self._watching = None
        if self.state == "idle" and self.is_old:
            self._give_up("it reached its age")

    async def _until_changed(self, state: State) -> None:
        while self.state == state:
            await self._news.wait()

    async def _clear(self) -> None:
        """Give up what is spoken, and read until the service confirms it."""
        confirmed = False
        with anyio.move_on_after(self._policy.clear_timeout_s):
            try:
                await self.until_quiet()
                await self.send(wire.TextClear())
                confirmed = await self._confirmed()
            except ConnectionClosedError as closed:
                _log.debug("a socket ended while it was cleared: %s", type(closed).__name__)
        if not confirmed:
            self._give_up("the clearing was not confirmed")
            return
        self.was_cleared = True
        self.move("cleared")

    async def _confirmed(self) -> bool:
        while True:
            event = tts_codec.decode(await self.receive())
            if isinstance(event, wire.AudioCleared | wire.Error):
                return isinstance(event, wire.AudioCleared)

    def _give_up(self, why: str) -> None:
        _log.debug("a socket that speaks is given up: %s", why)
        self.move("dropped")
