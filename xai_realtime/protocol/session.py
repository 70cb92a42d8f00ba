"""A session without I/O: what is true, what to send, what to tell. In: server events, the user's verbs, times.

Out: events to send, events to tell, functions to run, all on the desk. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xai_realtime.audio import AudioFormat
from xai_realtime.errors import LocalProtocolError, TransportTimeoutError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol._receiving import HANDLERS, announce
from xai_realtime.protocol._resuming import (
    LOST,
    RESET,
    Outage,
    ask_again,
    follows_audio,
    is_heard_in_vain,
    seeds,
    tell_lost_audio,
    tell_ready,
)
from xai_realtime.protocol.agent_voice import AgentVoice
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.protocol.desk import HELD_AUDIO, Desk, Outgoing, Table, step
from xai_realtime.protocol.floor import Floor
from xai_realtime.protocol.history import HistoryItem, message_item
from xai_realtime.protocol.limits import Limits
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.reply import Reply, Wish
from xai_realtime.protocol.session_events import SessionWarning
from xai_realtime.protocol.tool_ledger import ToolLedger
from xai_realtime.protocol.user_turns import SILENCE_MS, UserTurns

__all__ = ["LINE", "SessionCore", "SessionSetup"]

DOWN: Final = "down"
GREETING: Final = "greeting"
CONFIGURING: Final = "configuring"
READY: Final = "ready"

LINE: Final[Table] = {
    (DOWN, "opened"): GREETING,
    (GREETING, "greeted"): CONFIGURING,
    (GREETING, "lost"): DOWN,
    (CONFIGURING, "acknowledged"): READY,
    (CONFIGURING, "silent"): READY,
    (CONFIGURING, "lost"): DOWN,
    (READY, "lost"): DOWN,
}
"""The connection: `greeting` until the server said anything, `configuring` until it acknowledged the configuration."""

LINE_REASONS: Final = (LOST, "session_limit", "restart")
"""Why a reply ends that may be asked for again on the next connection."""
GREETING_MS: Final = 1_000.0
"""How long the server may be silent after the handshake before the configuration is sent all the same."""


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """What of the configuration the session itself needs. `update` makes the whole of it, as it is sent.

    `silence_ms` is how long the server waits before it calls speech ended, None when it was not told.
    """

    update: Callable[[], Outgoing]
    input_format: AudioFormat
    output_format: AudioFormat
    model: str | None = None
    is_manual: bool = False
    interrupts: bool = True
    silence_ms: float | None = None


class SessionCore:
    """One session, whatever connections carry it.

    Call `opened`, `receive`, `lost` and `tick` as things happen, with the time in milliseconds, and the verbs as the
    user wants; then work off `desk`. `next_due_ms` says when `tick` is wanted.
    """

    __slots__ = (
        "_announced",
        "_deletes",
        "_has_heard",
        "calls",
        "connections",
        "desk",
        "floor",
        "history",
        "is_draining",
        "is_paused",
        "limits",
        "line",
        "outage",
        "replayed",
        "setup",
        "user",
        "voice",
        "withheld_ms",
    )

    def __init__(
        self,
        setup: SessionSetup,
        policy: SessionPolicy,
        *,
        mint: Callable[[], str],
        is_server_tool: Callable[[str], bool],
        stops_on_interrupt: Callable[[str], bool],
        history: Sequence[HistoryItem] = (),
    ) -> None:
        self.desk = Desk(policy, mint, is_by_clock=not setup.is_manual)
        self.setup = setup
        self.voice = AgentVoice(self.desk, setup.output_format)
        self.floor: Floor = Floor(self.desk, self.voice)
        self.calls = ToolLedger(self.desk, self.floor, is_server_tool, stops_on_interrupt)
        self.user = UserTurns(self.desk, self.floor, setup.input_format)
        self.limits: Limits = Limits(self.desk, self.floor, self.voice, setup.model)
        self.floor.on_over = self._reply_over
        self.is_paused = policy.starts_paused
        self.is_draining = False
        self.line = DOWN
        self.connections = 0
        self.outage = Outage()
        self.replayed: dict[str, None] = {}
        self.withheld_ms = 0.0
        self._announced: dict[str, None] = {}
        self._deletes: list[str] = []
        self.history = list(history)
        self._has_heard = False
        self.configured(setup)
        settle_calls(self.calls, history)

    def configured(self, setup: SessionSetup) -> None:
        """The configuration is another one from now on."""
        self.setup = setup
        self.user.is_manual = setup.is_manual
        self.user.interrupts = setup.interrupts
        self.user.silence_ms = SILENCE_MS if setup.silence_ms is None else setup.silence_ms

    # What happens

    @property
    def is_ready(self) -> bool:
        """Can the session talk now?"""
        return self.line == READY

    def opened(self, now_ms: float) -> None:
        """A connection is open."""
        self.desk.now_ms = now_ms
        self.line = step(LINE, self.line, "opened")
        self.connections += 1
        self.desk.out.clear()
        self._has_heard = False
        self.desk.conversation.reconnected()
        self.desk.start_timer("greeting", GREETING_MS)
        self.desk.start_timer("ready", self.desk.policy.ready_timeout_s * 1000)
        self.limits.opened(self.connections, is_by_clock=not self.setup.is_manual)

    def receive(self, event: object, now_ms: float) -> None:
        """An event came."""
        desk = self.desk
        desk.now_ms = now_ms
        if self.line == DOWN:
            return  # from a connection that was given up
        self._has_heard = True
        if self.line == READY:
            self.user.keeping.server_spoke(now_ms)
        elif self.line == GREETING:
            self._greet()
        handler = HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)
        else:
            desk.conversation.receive(event)
        if self.limits.is_ending:
            self.limits.end_when_quiet()

    def lost(self, now_ms: float, reason: str) -> None:
        """The connection is gone; `reason` is `connection_lost`, `session_limit`, `restart` or `reset`."""
        desk = self.desk
        desk.now_ms = now_ms
        is_planned, desk.redial = desk.redial not in (None, LOST), None
        if self.line == READY or not self.outage.reason:
            self.outage.begins(now_ms, reason, is_planned=is_planned)
        self.line = step(LINE, self.line, "lost")
        for name in ("greeting", "ready"):
            desk.stop_timer(name)
        self.limits.closed()
        desk.out.clear()
        self.is_draining = False
        was_open = self.floor.open
        wish = self.floor.line_lost(reason)
        is_waiting = self.user.line_lost()
        self.calls.line_lost()
        self.voice.forget_line()
        while self._deletes:
            forget(self, self._deletes.pop())
        if reason != RESET:
            ask_again(self, was_open, wish, is_waiting=is_waiting)

    def next_due_ms(self) -> float | None:
        """When `tick` is wanted."""
        return min(self.desk.timers.values(), default=None)

    def tick(self, now_ms: float) -> None:
        """Time has passed."""
        self.desk.now_ms = now_ms
        for name in self.desk.due():
            _TIMERS[name](self)
        if self.limits.is_ending:
            self.limits.end_when_quiet()

    def _greet(self) -> None:
        self.desk.stop_timer("greeting")
        self.line = step(LINE, self.line, "greeted")
        self.desk.send(self.setup.update())

    def _not_ready(self) -> None:
        """The server was given time enough to acknowledge the configuration."""
        if self.line == CONFIGURING and self._has_heard:
            seconds = self.desk.policy.ready_timeout_s
            message = f"the server did not acknowledge the configuration within {seconds:g} s; going on without"
            self.desk.tell(SessionWarning("not_acknowledged", message))
            self.became_ready("silent", None)
        elif self.outage.was_ready:
            self.desk.redial = LOST
        else:
            self.desk.finish = TransportTimeoutError("ready", self.desk.policy.ready_timeout_s)

    def became_ready(self, trigger: str, raw: Any) -> None:
        """The connection is configured: what it has to know is told to it, and what waited goes out."""
        if self.line != CONFIGURING:
            return
        desk = self.desk
        self.line = step(LINE, self.line, trigger)
        desk.stop_timer("ready")
        desk.ledger.connected(desk.conversation.conversation_id)
        for item in seeds(self):
            desk.send_item(item)
        tell_ready(self, raw, is_confirmed=trigger == "acknowledged")
        self.outage.ends()
        self.replayed.clear()
        is_held_first = follows_audio(self)
        if is_held_first:
            desk.send(HELD_AUDIO)
        self.floor.is_ready = True
        self.calls.advance()
        self.floor.advance()
        if not is_held_first:
            desk.send(HELD_AUDIO)

    def _reply_over(self, reply: Reply) -> None:
        is_lost = reply.reason in LINE_REASONS and is_heard_in_vain(reply)
        if not is_lost and reply.reason != "taken_back":
            self.user.keeping.settled(None if reply.wish is None else reply.wish.turn)
        self.calls.reply_over(reply)
        self.limits.check_budget()

    def announced(self, item_id: str) -> bool:
        """Is this the first time that the item is heard of?"""
        return announce(self._announced, item_id)

    # The user's verbs

    def text(self, text: str, role: str, *, responds: bool, when_busy: str, now_ms: float) -> None:
        """Something written by the user (or the system)."""
        self.desk.now_ms = now_ms
        item = message_item(role, text, self.desk.mint())
        request = wire.ResponseCreate() if responds else None
        self.floor.ask(Wish("text" if responds else "item", (item,), request=request), when_busy)

    def ask(self, wish: Wish, when_busy: str, now_ms: float) -> None:
        """Any other wish."""
        self.desk.now_ms = now_ms
        self.floor.ask(wish, when_busy)

    def end_turn(self, wish: Wish, when_busy: str, now_ms: float) -> None:
        """The user's turn is over. Raises LocalProtocolError when the server ends turns, or nothing was said."""
        self.desk.now_ms = now_ms
        if not self.user.is_manual:
            raise LocalProtocolError("the server ends the turns of this session; end_turn() needs manual turns")
        if not self.user.has_audio():
            raise LocalProtocolError("no audio was sent since the last turn, so there is none to end")
        self.floor.make_room(wish, when_busy)
        is_next = self.is_ready and not self.user.ring.has_held
        wish.turn = self.user.turn_ended()
        if is_next:
            self.desk.send(wire.InputAudioBufferCommit())
        self.floor.enqueue(wish)

    def interrupt(self, *, clear_input: bool, force: bool, now_ms: float) -> bool:
        """Stop the agent; False when there was nothing to stop."""
        self.desk.now_ms = now_ms
        did = self.floor.interrupt("interrupt", force=force)
        if clear_input:
            self.clear_input(now_ms)
        return did

    def clear_input(self, now_ms: float) -> None:
        """Throw away what the user said and was not committed."""
        self.desk.now_ms = now_ms
        if self.is_ready:
            self.desk.send(wire.InputAudioBufferClear())
        self.user.cleared()
        if not self.user.ring.has_held:
            # Nothing waits any more, and what is said from now on must not go out before the clear.
            self.is_draining = False
            while HELD_AUDIO in self.desk.out:
                self.desk.out.remove(HELD_AUDIO)

    def microphone(self, audio: bytes, audio_ms: float, now_ms: float) -> bool:
        """Audio of the user in the session's format; True when it is to be sent at once, by the caller."""
        self.desk.now_ms = now_ms
        if self.is_paused or (self.desk.policy.protects_replies and self.floor.is_protected):
            self.withheld_ms += audio_ms
            return False
        self.user.audio_sent(audio)
        self.desk.ledger.audio_sent(audio_ms)
        if self.line != READY or self.is_draining or self.desk.out:
            self.user.ring.held(audio, audio_ms or 20.0)
            if self.line == READY and not self.is_draining and self.desk.out[-1] is not HELD_AUDIO:
                self.desk.send(HELD_AUDIO)
            return False
        self.user.keeping.sending(now_ms)
        self.user.ring.sent(audio, audio_ms or 20.0)
        return True

    def defers_audio(self) -> bool:
        """A turn has gone out of the audio that waits: does what was asked for since go before the rest?"""
        out = self.desk.out
        if len(out) < 2:
            return False
        if out[-1] is not HELD_AUDIO:
            out.append(HELD_AUDIO)
        return True

    def drained(self) -> None:
        """The microphone audio that waited has gone out."""
        self.is_draining = False
        tell_lost_audio(self, round(self.user.ring.forgotten_ms(), 3))

    def delete_item(self, item_id: str, now_ms: float) -> None:
        """Take an item out of the conversation."""
        self.desk.now_ms = now_ms
        if self.is_ready:
            self._deletes.append(item_id)
            self.desk.send(wire.ConversationItemDelete(item_id=item_id))
        else:
            forget(self, item_id)

    def deleted(self, item_id: str | None) -> None:
        """A deletion is settled, the oldest unless it is named: the server may leave that out, or refuse it (None)."""
        if item_id in self._deletes:
            self._deletes.remove(item_id)
            pending = item_id
        else:
            pending = self._deletes.pop(0) if self._deletes and not item_id else ""
        if item_id is not None:
            self.desk.conversation.forget(item_id or pending)

    def reconfigure(self, setup: SessionSetup, update: Outgoing | None, now_ms: float) -> None:
        """The configuration changes; `update` says how, to a connection that has the rest already."""
        self.desk.now_ms = now_ms
        self.configured(setup)
        if update is not None and self.line in (CONFIGURING, READY):
            self.desk.send(update)
        self.floor.advance()

    def reset(self, history: Sequence[HistoryItem], now_ms: float) -> None:
        """Begin a new conversation: configuration and usage stay, everything else is dropped."""
        desk = self.desk
        desk.now_ms = now_ms
        self.calls.reset()
        self.voice.reset()
        self.floor.reset()
        self.user.reset()
        desk.own_ids.clear()
        desk.unconfirmed.clear()
        self._announced.clear()
        desk.conversation = Conversation(hashes_audio=False)
        self.history = list(history)
        settle_calls(self.calls, history)
        if self.line != DOWN:
            self.lost(now_ms, RESET)
        self.outage.reason = desk.redial = RESET


def settle_calls(calls: ToolLedger, history: Sequence[HistoryItem]) -> None:
    """The calls of a history count as done."""
    for item in history:
        if not isinstance(item, wire.MessageItem):
            calls.settled_before(item.call_id)


def forget(core: SessionCore, item_id: str) -> None:
    """An item is to be deleted that the next connection has not been told of: it never will be."""
    core.desk.conversation.forget(item_id)
    core.desk.unconfirmed.pop(item_id, None)
    core.history = [item for item in core.history if item.id != item_id]


_TIMERS: Final[Mapping[str, Callable[[SessionCore], None]]] = {
    "greeting": SessionCore._greet,
    "ready": SessionCore._not_ready,
    "reply": lambda core: core.floor.expired(),
    "answer": lambda core: core.user.expired(),
    "speech": lambda core: core.user.barge_in(),
    "playback": lambda core: core.voice.check_playback(),
    "warn": lambda core: core.limits.warn(),
    "handover": lambda core: core.limits.hand_over(is_quiet=core.user.state == "quiet"),
    "budget": lambda core: core.limits.watch_budget(),
    "end": lambda core: core.limits.end_now(),
}
