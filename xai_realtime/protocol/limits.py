"""How long a session may last and what it may cost. In: times, usage. Out: warnings, a hand-over, an end.

Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from typing import Final

from xai_realtime.protocol.agent_voice import AgentVoice
from xai_realtime.protocol.desk import Desk
from xai_realtime.protocol.floor import FREE, Floor
from xai_realtime.protocol.prices import Cost, budget_state, cost
from xai_realtime.protocol.session_events import SessionWarning

__all__ = ["Limits"]

HARD_MARGIN_S: Final = 5.0
"""How long before the server's limit the session moves on although somebody speaks."""
RETRY_MS: Final = 500.0
WATCH_MS: Final = 1_000.0
FAREWELL_MS: Final = 30_000.0
"""How long a reply may go on once the budget is used up."""


class Limits:
    """The session's bounds: the service's limit on a connection's life, and the user's budget.

    `model` is the one that was asked for, `served_model` the one that the service names, None before it does.
    """

    __slots__ = (
        "_desk",
        "_floor",
        "_limit_at_ms",
        "_voice",
        "_warned",
        "has_been_reached",
        "has_server_tools",
        "is_ending",
        "model",
        "served_model",
    )

    def __init__(self, desk: Desk, floor: Floor, voice: AgentVoice, model: str | None) -> None:
        self._desk = desk
        self._floor = floor
        self._voice = voice
        self._limit_at_ms = 0.0
        self._warned: set[str] = set()
        self.model = model
        self.served_model: str | None = None
        self.has_server_tools = False
        self.is_ending = False
        self.has_been_reached = False

    def opened(self, connections: int, *, is_by_clock: bool) -> None:
        """A connection is open: its time runs."""
        desk, policy = self._desk, self._desk.policy
        self.has_been_reached = False
        desk.ledger.opened(desk.now_ms, is_by_clock=is_by_clock)
        if policy.session_limit_s is not None:
            limit_ms = policy.session_limit_s * 1000
            self._limit_at_ms = desk.now_ms + limit_ms
            desk.start_timer("warn", max(0.0, limit_ms - policy.warn_before_s * 1000))
            if policy.reconnect is not None:
                desk.start_timer("handover", max(limit_ms / 2, limit_ms - policy.handover_before_s * 1000))
        if policy.budget is not None:
            desk.start_timer("budget", WATCH_MS)

    def closed(self) -> None:
        """The connection is gone."""
        self._desk.ledger.closed(self._desk.now_ms)
        for name in ("warn", "handover", "budget"):
            self._desk.stop_timer(name)

    def reached(self) -> None:
        """The service says that the connection's life is over; it closes it next."""
        self.has_been_reached = True

    def warn(self) -> None:
        """The connection's life is nearly over."""
        left_s = max(0.0, (self._limit_at_ms - self._desk.now_ms) / 1000)
        message = f"the service ends this connection in {left_s:.0f} s"
        self._desk.tell(SessionWarning("session_limit", message, {"left_s": left_s}))

    def hand_over(self, *, is_quiet: bool) -> None:
        """Move to a fresh connection, in a pause of the talk while there is time to wait for one."""
        left_s = (self._limit_at_ms - self._desk.now_ms) / 1000
        is_pause = is_quiet and self._floor.state == FREE and not self._voice.is_speaking
        if is_pause or left_s <= HARD_MARGIN_S:
            self._desk.redial = "session_limit"
        else:
            self._desk.start_timer("handover", RETRY_MS)

    # The budget

    def cost(self) -> Cost:
        """What the session cost so far, as far as that is known."""
        ledger = self._desk.ledger
        ledger.session_time(self._desk.now_ms)
        return cost(
            ledger.session,
            self.served_model or self.model,
            self._desk.policy.prices,
            is_by_clock=ledger.is_by_clock,
            has_server_tools=self.has_server_tools,
        )

    def watch_budget(self) -> None:
        """Look at the budget now and then."""
        self._desk.start_timer("budget", WATCH_MS)
        self.check_budget()

    def check_budget(self) -> None:
        """Does the budget hold?"""
        budget = self._desk.policy.budget
        if budget is None or self.is_ending:
            return
        self._desk.ledger.session_time(self._desk.now_ms)
        state = budget_state(budget, self._desk.ledger.session, self.cost())
        if state.level == "over":
            self.is_ending = True
            self._floor.wishes.clear()
            self._desk.tell(SessionWarning("budget_over", f"the budget is used up: {state.reason}"))
            self._desk.start_timer("end", FAREWELL_MS)
            self.end_when_quiet()
        elif not state.is_watched:
            self._warn_once("budget_unwatched", state.reason)
        elif state.level == "warn":
            self._warn_once("budget_low", f"the budget is nearly used up: {state.reason}")

    def _warn_once(self, code: str, message: str) -> None:
        if code not in self._warned:
            self._warned.add(code)
            self._desk.tell(SessionWarning(code, message))

    def end_when_quiet(self) -> None:
        """End once nothing is being said any more."""
        if self._floor.state == FREE and not self._voice.is_speaking:
            self.end_now()

    def end_now(self) -> None:
        """End the session."""
        self._desk.finish = "budget"
