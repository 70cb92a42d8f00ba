"""How a session behaves where the wire leaves it open. In: wishes. Out: checked values. Imports: room 0, protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from xai_realtime.defaults import (
    HANDOVER_BEFORE_S,
    MAX_QUEUED_EVENTS,
    MAX_QUEUED_TURNS,
    MICROPHONE_RING_S,
    READY_TIMEOUT_S,
    RECONNECT_FIRST_DELAY_S,
    RECONNECT_MAX_ATTEMPTS,
    RECONNECT_MAX_DELAY_S,
    RECONNECT_MAX_PER_SESSION,
    RECONNECT_WINDOW_S,
    REPLY_TIMEOUT_S,
    SESSION_LIMIT_S,
    TOOL_TIMEOUT_S,
    WARN_BEFORE_S,
)
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.ledger import Budget
from xai_realtime.protocol.prices import PRICES, PriceTable

__all__ = ["WHEN_BUSY", "Reconnect", "SessionPolicy", "WhenBusy", "checked_when_busy"]

WhenBusy: TypeAlias = Literal["queue", "cancel", "raise"]
WHEN_BUSY: Final = ("queue", "cancel", "raise")
PLAYBACKS: Final = ("clock", "reported")
RESUMPTIONS: Final = ("local", "native", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """When a line that dropped is opened again, and how often.

    The n-th attempt of one outage waits up to `first_delay_s * 2**(n-1)`, at most `max_delay_s`, drawn at random
    (full jitter); a server's Retry-After is honoured up to `max_delay_s`. After `max_attempts` in one outage, or
    `max_per_session` reconnects within `window_s`, the session ends with the error of the last attempt.
    Wrong keys and used-up quotas are never tried again.
    """

    first_delay_s: float = RECONNECT_FIRST_DELAY_S
    max_delay_s: float = RECONNECT_MAX_DELAY_S
    max_attempts: int = RECONNECT_MAX_ATTEMPTS
    max_per_session: int = RECONNECT_MAX_PER_SESSION
    window_s: float = RECONNECT_WINDOW_S

    def __post_init__(self) -> None:
        for name in ("first_delay_s", "max_delay_s", "window_s"):
            _check_at_least(name, getattr(self, name), 0)
        for name in ("max_attempts", "max_per_session"):
            _check_at_least(name, getattr(self, name), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """How a session behaves.

    `when_busy`: what a new wish for a reply does while one runs: `queue`, `cancel` the running one, or `raise`.
    `playback`: `clock` takes audio as played in real time from its arrival, `reported` waits for `session.played()`;
    the first report switches to it anyway. `truncate` tells the server what was not heard. `min_speech_ms` of speech
    are needed to cut the agent off: the server is told to leave that to the session (`interrupt_response`).
    `protects_replies`: while a reply that may not be interrupted plays, the microphone is withheld. `starts_paused`:
    the microphone is closed until `resume_input()`. `resumption`: after a reconnect the conversation is told again by
    this session (`local`), by the server (`native`, which forgets what the user wrote and every call), or not at all
    (`none`). `reconnect=None` never reconnects. `ring_s` bounds the microphone audio that is kept for a reconnect.
    `session_limit_s` is the server's limit: `warn_before_s` before it you are told, `handover_before_s` before it the
    session moves to a fresh connection, in a pause of the talk if there is one. `max_events` are held for a slow
    reader, then the socket is not read any further; `max_queued_turns` bounds the wishes that wait. `budget` ends the
    session politely; costs are worked out with `prices`.

    Raises ConfigurationError for values that are not allowed.
    """

    when_busy: WhenBusy = "queue"
    playback: Literal["clock", "reported"] = "clock"
    truncate: bool = True
    min_speech_ms: float = 0.0
    protects_replies: bool = True
    starts_paused: bool = False
    resumption: Literal["local", "native", "none"] = "local"
    reconnect: Reconnect | None = field(default_factory=Reconnect)
    ready_timeout_s: float = READY_TIMEOUT_S
    reply_timeout_s: float = REPLY_TIMEOUT_S
    tool_timeout_s: float | None = TOOL_TIMEOUT_S
    ring_s: float = MICROPHONE_RING_S
    session_limit_s: float | None = SESSION_LIMIT_S
    warn_before_s: float = WARN_BEFORE_S
    handover_before_s: float = HANDOVER_BEFORE_S
    max_events: int = MAX_QUEUED_EVENTS
    max_queued_turns: int = MAX_QUEUED_TURNS
    budget: Budget | None = None
    prices: PriceTable = PRICES

    def __post_init__(self) -> None:
        checked_when_busy(self.when_busy)
        _check_one_of("playback", self.playback, PLAYBACKS)
        _check_one_of("resumption", self.resumption, RESUMPTIONS)
        for name in ("min_speech_ms", "ring_s", "warn_before_s", "handover_before_s"):
            _check_at_least(name, getattr(self, name), 0)
        for name in ("ready_timeout_s", "reply_timeout_s", "tool_timeout_s", "session_limit_s"):
            value = getattr(self, name)
            if value is not None:
                _check_at_least(name, value, 0.001)
        for name in ("max_events", "max_queued_turns"):
            _check_at_least(name, getattr(self, name), 1)


def checked_when_busy(value: str) -> str:
    """`value`, when it is one of the policies. Raises ConfigurationError."""
    _check_one_of("when_busy", value, WHEN_BUSY)
    return value


def _check_one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")


def _check_at_least(name: str, value: object, least: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
        raise ConfigurationError(f"{name} is {value!r}; a number from {least:g} on is allowed")
