"""How a transcription stream behaves where the wire leaves it open. In: wishes. Out: checked values.

Imports: room 0, protocol.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from xai_realtime.defaults import (
    MAX_QUEUED_EVENTS,
    STT_CREATED_TIMEOUT_S,
    STT_DEAF_AFTER_S,
    STT_FINISH_TIMEOUT_S,
    STT_KEEP_ALIVE_S,
    STT_RENEW_IDLE_S,
    STT_RING_S,
)
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.policy import Reconnect

__all__ = ["SttPolicy", "demand", "is_number"]

FLUSHES: Final = ("finalize", "silence")


@dataclass(frozen=True, slots=True, kw_only=True)
class SttPolicy:
    """How a transcription stream behaves.

    `created_timeout_s` is how long a connection may take until `transcript.created`, `finish_timeout_s` how long the
    service may be silent at the end. `ring_s` is how much audio is kept for a new connection, and how much may wait
    for one before `send` waits too. `reconnect=None` never connects again. `keep_alive_s` without audio are followed
    by 100 ms of silence, again and again (None: never; with Opus there is none). After `renew_idle_s` without audio
    the next goes to a new connection (None: never). `deaf_after_s` of loud audio without a word from the service are
    sent once more, to a new connection (None: never; with Opus there is no telling). `reconnect_on_error` connects
    again after an `error` event as well, which ends the stream otherwise. `flush` is how an utterance is ended by
    hand: `finalize`, or `silence` for a service that does not know it. `max_events` are held for a slow reader, then
    the socket is not read any further.

    Raises ConfigurationError for values that are not allowed.
    """

    created_timeout_s: float = STT_CREATED_TIMEOUT_S
    finish_timeout_s: float = STT_FINISH_TIMEOUT_S
    ring_s: float = STT_RING_S
    reconnect: Reconnect | None = field(default_factory=Reconnect)
    keep_alive_s: float | None = STT_KEEP_ALIVE_S
    renew_idle_s: float | None = STT_RENEW_IDLE_S
    deaf_after_s: float | None = STT_DEAF_AFTER_S
    reconnect_on_error: bool = False
    flush: Literal["finalize", "silence"] = "finalize"
    max_events: int = MAX_QUEUED_EVENTS

    def __post_init__(self) -> None:
        for name in ("created_timeout_s", "finish_timeout_s"):
            value = getattr(self, name)
            demand(name, value, is_number(value, 0.001), "seconds from 0.001 on")
        for name in ("keep_alive_s", "renew_idle_s", "deaf_after_s"):
            value = getattr(self, name)
            demand(name, value, value is None or is_number(value, 0.1), "seconds from 0.1 on, None")
        demand("ring_s", self.ring_s, is_number(self.ring_s, 0), "seconds from 0 on")
        is_reconnect = self.reconnect is None or isinstance(self.reconnect, Reconnect)
        demand("reconnect", self.reconnect, is_reconnect, "Reconnect(...), None")
        demand("reconnect_on_error", self.reconnect_on_error, isinstance(self.reconnect_on_error, bool), "True, False")
        demand("flush", self.flush, self.flush in FLUSHES, ", ".join(map(repr, FLUSHES)))
        count = self.max_events
        is_count = isinstance(count, int) and not isinstance(count, bool) and count >= 1
        demand("max_events", count, is_count, "whole numbers from 1 on")


def is_number(value: object, low: float, high: float = math.inf) -> bool:
    """Is it a finite number within these bounds, both included?"""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    )


def demand(name: str, value: object, is_allowed: bool, wanted: str) -> None:
    """Raise ConfigurationError unless the value is allowed; what is allowed stands in `wanted`."""
    if not is_allowed:
        raise ConfigurationError(f"{name} is {value!r}; allowed are {wanted}")
