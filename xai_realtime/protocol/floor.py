"""Who may speak: replies one at a time, wishes in order, interruptions. In: wishes and response events.

Out: session events, client events. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xai_realtime.errors import LocalProtocolError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import InvalidEvent
from xai_realtime.protocol.agent_voice import AgentVoice
from xai_realtime.protocol.desk import Desk, Table, step
from xai_realtime.protocol.reply import Replies, Reply, Wish
from xai_realtime.protocol.session_events import SessionWarning

__all__ = ["FLOOR", "Floor"]

FREE: Final = "free"
ASKED: Final = "asked"
OPEN: Final = "open"
STOPPING: Final = "stopping"
ABANDONED: Final = "abandoned"
BLOCKED: Final = "blocked"

FLOOR: Final[Table] = {
    (FREE, "ask"): ASKED,
    (FREE, "created"): OPEN,
    (ASKED, "created"): OPEN,
    (ASKED, "stop"): ABANDONED,
    (ASKED, "refused"): BLOCKED,
    (ASKED, "expired"): FREE,
    (OPEN, "created"): OPEN,
    (OPEN, "done"): FREE,
    (OPEN, "dropped"): FREE,
    (OPEN, "expired"): FREE,
    (OPEN, "stop"): STOPPING,
    (STOPPING, "created"): OPEN,
    (STOPPING, "done"): FREE,
    (STOPPING, "dropped"): FREE,
    (STOPPING, "nothing_to_stop"): FREE,
    (STOPPING, "expired"): FREE,
    (ABANDONED, "created"): STOPPING,
    (ABANDONED, "refused"): FREE,
    (ABANDONED, "expired"): FREE,
    (BLOCKED, "created"): OPEN,
    (BLOCKED, "done"): FREE,
    (BLOCKED, "expired"): FREE,
    (ASKED, "line_lost"): FREE,
    (OPEN, "line_lost"): FREE,
    (STOPPING, "line_lost"): FREE,
    (ABANDONED, "line_lost"): FREE,
    (BLOCKED, "line_lost"): FREE,
}
"""The one place from which a reply is spoken.

`free`: nothing runs. `asked`: a reply was asked for and has not begun. `open`: one runs. `stopping`: one was
interrupted and has not ended. `abandoned`: one was interrupted before it began. `blocked`: the server
runs one that this session did not see begin.
"""

REPLY_TIMER: Final = "reply"
STOP_TIMEOUT_MS: Final = 5_000.0
"""How long an interrupted reply may take to end before the next one is asked for all the same."""
END_TIMEOUT_MS: Final = 60_000.0
"""How long nothing may come of an open reply before it is taken as over: its end was lost."""
SECOND_ANSWER_MS: Final = 2_000.0
"""How long after the answer to a committed turn a server that answers commit and request may answer once more."""
NEVER: Final = float("-inf")


class Floor:
    """Replies of the model: asked for one at a time, begun once, ended once.

    `user_has_it` holds wishes back while the user speaks and the server is about to answer. `on_over` is called when a
    reply is over, before the next wish goes out, `on_free` when nobody speaks, before that too, `on_interrupt` when the
    user breaks in (it says whether that stopped something). `known` gives the reply under an id, or None.
    """

    __slots__ = (
        "_asked",
        "_desk",
        "_replies",
        "_second_until_ms",
        "_voice",
        "is_ready",
        "known",
        "on_free",
        "on_interrupt",
        "on_over",
        "open",
        "state",
        "user_has_it",
        "wishes",
    )

    def __init__(self, desk: Desk, voice: AgentVoice) -> None:
        self._desk = desk
        self._voice = voice
        self._replies = Replies(desk, voice)
        self._asked: Wish | None = None
        self._second_until_ms = NEVER
        self.known = self._replies.known
        self.state = FREE
        self.open: Reply | None = None
        self.wishes: list[Wish] = []
        self.is_ready = False
        self.user_has_it = False
        self.on_over: Callable[[Reply], None] = _ignore
        self.on_free: Callable[[], None] = _nothing_waits
        self.on_interrupt: Callable[[], bool] = _nothing_stops

    # Wishes

    @property
    def is_busy(self) -> bool:
        """Is a reply running, asked for, or waiting to be asked for?"""
        return self.state != FREE or any(wish.wants_reply for wish in self.wishes)

    @property
    def is_free(self) -> bool:
        """May a reply be asked for now?"""
        return self.is_ready and self.state == FREE and not self.user_has_it

    def ask(self, wish: Wish, when_busy: str) -> None:
        """Take a wish: it goes out when it is its turn. Raises LocalProtocolError when it may not wait."""
        self.make_room(wish, when_busy)
        self.enqueue(wish)

    def make_room(self, wish: Wish, when_busy: str) -> None:
        """Decide what a new wish does to the reply that runs. Raises LocalProtocolError when it may not wait."""
        if len(self.wishes) >= self._desk.policy.max_queued_turns:
            raise LocalProtocolError(f"{len(self.wishes)} wishes wait already, which is the bound of the session")
        if not wish.wants_reply:
            return
        if when_busy == "raise" and self.is_busy:
            raise LocalProtocolError("a reply is running or asked for: wait, interrupt it, or queue this one")
        if when_busy == "cancel" and (self.is_busy or self._voice.is_speaking):
            self.interrupt("interrupt", force=True)

    def enqueue(self, wish: Wish, *, is_next: bool = False) -> None:
        """Put a wish behind all others, or before them."""
        if is_next:
            self.wishes.insert(0, wish)
        else:
            self.wishes.append(wish)
        self.advance()

    def ask_again(self, wish: Wish) -> None:
        """Put a wish that was not fulfilled before all others."""
        self.wishes.insert(0, wish.again())

    def advance(self) -> None:
        """Send what may be sent now."""
        if self.is_free:
            self.on_free()
        while self.is_ready and self.wishes:
            wish = self.wishes[0]
            if wish.wants_reply and not self.is_free:
                return
            del self.wishes[0]
            self._send(wish)

    def _send(self, wish: Wish) -> None:
        desk = self._desk
        for item in wish.items:
            desk.send_item(item)
        if wish.request is not None:
            desk.send(wish.request)
        if wish.wants_reply:
            if wish.asked_ms is None:
                wish.asked_ms = desk.now_ms
            self._asked = wish
            self._second_until_ms = NEVER
            self._step("ask")
            desk.start_timer(REPLY_TIMER, desk.policy.reply_timeout_s * 1000)

    def _step(self, trigger: str) -> str:
        before, self.state = self.state, step(FLOOR, self.state, trigger)
        if self.state == FREE:
            self._desk.stop_timer(REPLY_TIMER)
        elif self.state == OPEN:
            self._desk.start_timer(REPLY_TIMER, END_TIMEOUT_MS)
        return before

    # What the server does

    def created(self, event: wire.ResponseCreated, speech_end_ms: float | None) -> None:
        """A response begins."""
        if self.known(event.response.id) is None:
            self._begin(event.response, event, speech_end_ms)

    def _begin(self, response: wire.Response, raw: Any, speech_end_ms: float | None = None) -> Reply:
        is_over = isinstance(raw, wire.ResponseDone)
        if self.open is not None:
            passed = self.open
            self._close(passed, "cancelled", reason="next_response", raw=None if is_over else raw)
            passed.is_muted = True
        self.open = reply = self._replies.begin(response)
        reply.speech_end_ms = speech_end_ms
        before = self._step("created")
        is_second = before == FREE and self._desk.now_ms <= self._second_until_ms
        self._second_until_ms = NEVER
        if before == ABANDONED or is_second:
            # Nobody waits for this one: it was interrupted before it began, or a turn was answered already.
            reply.is_unwanted = True
            self._stop(reply, tells_server=not is_over)
            return reply
        if before == ASKED:
            reply.wish = self._asked
        elif isinstance(raw, wire.ResponseCreated):
            reply.wish = self._take_committed_turn()
        reply.is_interruptible = reply.wish is None or reply.wish.is_interruptible
        self._asked = None
        self._replies.tell_start(reply, raw)
        return reply

    def _take_committed_turn(self) -> Wish | None:
        """The turn that waits for its answer, committed already: some servers answer it without being asked."""
        wish = self.wishes[0] if self.wishes else None
        if wish is None or wish.kind != "turn":
            return None
        return self.wishes.pop(0)

    def reply(self, response_id: str) -> Reply:
        """The reply under an id, of which something came; one that began unseen is taken as begun now."""
        reply = self.known(response_id)
        if reply is None:
            reply = self._begin(wire.Response.model_construct(id=response_id), None)
        reply.alive_ms = self._desk.now_ms
        return reply

    def done(self, event: wire.ResponseDone | InvalidEvent) -> None:
        """A response is over: the one that runs, when the event could not be read."""
        if isinstance(event, InvalidEvent):
            running = self.open
            self._step("done")
            if running is not None:
                self._close(running, "incomplete", reason="unreadable", raw=event)
            self.advance()
            return
        response = event.response
        reply = self.known(response.id) or self._begin(response, event)
        if reply.is_over:
            self._replies.take_usage(reply, event)
            if self.state == BLOCKED:
                self._step("done")
        else:
            self._step("done")
            if reply.wish is not None and reply.wish.kind == "turn" and not _has_mcp_call(response):
                self._second_until_ms = self._desk.now_ms + SECOND_ANSWER_MS
            self._close(reply, response.status or "completed", raw=event)
        self.advance()

    def refused(self) -> None:
        """The server says that a response is active already: what was asked for is asked for again, once it is over."""
        wish, self._asked = self._asked, None
        reply = self.open
        before = self._step("refused")
        if before == OPEN and reply is not None and reply.wish is not None and reply.wish.kind != "turn":
            # What began was not what was asked for; only a committed turn is answered without being asked.
            wish, reply.wish, reply.is_interruptible = reply.wish, None, True
        if wish is not None and wish.kind == "turn":
            self.wishes.insert(0, wish)
        elif wish is not None:
            self.ask_again(wish)
        self.advance()

    def nothing_to_stop(self) -> None:
        """The server says that no response is active."""
        before, reply = self._step("nothing_to_stop"), self.open
        if before == STOPPING and reply is not None:
            self._close(reply, "cancelled", raw=None)
        self.advance()

    def expired(self) -> None:
        """The server did not do in time what was asked for."""
        desk, reply, asked = self._desk, self.open, self._asked
        if self.state == OPEN and reply is not None and desk.now_ms < reply.alive_ms + END_TIMEOUT_MS:
            desk.start_timer(REPLY_TIMER, reply.alive_ms + END_TIMEOUT_MS - desk.now_ms)
            return
        before, self._asked = self._step("expired"), None
        if before == ASKED and asked is not None:
            seconds = desk.policy.reply_timeout_s
            desk.tell(SessionWarning("no_reply", f"no reply began within {seconds:g} s of asking for one"))
        if before == OPEN:
            seconds = END_TIMEOUT_MS / 1000
            desk.tell(SessionWarning("no_end", f"nothing came of a reply for {seconds:g} s, so it is taken as over"))
        if reply is not None:
            self._close(reply, "cancelled", reason="no_end", raw=None)
        self.advance()

    def taken_back(self, raw: Any, since_ms: float) -> bool:
        """The user goes on with the turn that a reply has begun to answer: the server dropped it without a word."""
        reply = self.open
        if self.state not in (OPEN, STOPPING) or reply is None or reply.wish is not None or reply.started_ms < since_ms:
            return False
        self._voice.cut(reply, "taken_back", raw)
        reply.is_muted, reply.reason = True, "taken_back"
        self._step("dropped")
        self._close(reply, "cancelled", raw=raw)
        return True

    # Interruptions

    @property
    def is_protected(self) -> bool:
        """Is a reply running, asked for or playing that may not be interrupted?"""
        asked = self._asked if self.state == ASKED else None
        running = self.open if self.state == OPEN else None
        speaking = self._voice.reply if self._voice.is_speaking else None
        return any(voice is not None and not voice.is_interruptible for voice in (asked, running, speaking))

    def interrupt(self, reason: str, raw: Any = None, *, force: bool = False, stops_server: bool = True) -> bool:
        """Stop the reply that runs or plays; False when there is none, or it may not be interrupted.

        The server is told only when a response is open; when speech interrupted, it knows by itself.
        """
        if self.is_protected and not force:
            return False
        has_stopped = self.on_interrupt()
        running = self.open if self.state == OPEN else None
        is_abandoned = self.state == ASKED and stops_server
        if running is not None:
            self._stop(running, tells_server=stops_server)
        elif is_abandoned:
            self._step("stop")
            self._asked = None
        return self._voice.cut(running, reason, raw) or is_abandoned or has_stopped

    def _stop(self, reply: Reply, *, tells_server: bool) -> None:
        reply.is_muted, reply.reason = True, "interrupted"
        self._step("stop")
        if tells_server:
            self._desk.send(wire.ResponseCancel(response_id=reply.id))
        self._desk.start_timer(REPLY_TIMER, STOP_TIMEOUT_MS)

    # Ends

    def line_lost(self, reason: str) -> Wish | None:
        """The connection is gone, and what ran on it; the wish that was not fulfilled."""
        reply, asked = self.open, self._asked
        before = self._step("line_lost")
        self._second_until_ms, self._asked = NEVER, None
        self.is_ready = False
        if reply is not None:
            self._close(reply, "cancelled", reason=reason, raw=None)
            unheard = reply.first_audio_ms is None and not reply.has_calls and not reply.is_muted
            return reply.wish if unheard else None
        return asked if before == ASKED else None

    def reset(self) -> None:
        """Drop everything that waits."""
        self.wishes.clear()
        self._second_until_ms, self._asked = NEVER, None

    def _close(self, reply: Reply, status: str, *, reason: str | None = None, raw: Any) -> None:
        reply.status, reply.reason = status, reply.reason or reason
        if self.open is reply:
            self.open = None
        self._replies.close(reply, status, raw)
        self.on_over(reply)


def _has_mcp_call(response: wire.Response) -> bool:
    """Did a reply call an MCP server? Then another one follows that nobody asked for."""
    return any(item.type == "mcp_call" for item in response.output or ())


def _ignore(reply: Reply) -> None:
    """Nobody listens."""


def _nothing_waits() -> None:
    """Nobody listens."""


def _nothing_stops() -> bool:
    """Nobody listens."""
    return False
