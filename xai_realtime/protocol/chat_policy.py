"""How chat requests behave where the wire leaves it open, and when one is tried again. In: wishes, errors. Out: waits.

Imports: room 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from xai_realtime.defaults import (
    CHAT_FIRST_DELAY_S,
    CHAT_MAX_DELAY_S,
    CHAT_MAX_RETRIES,
    CHAT_RETRY_AFTER_MAX_S,
    CHAT_RETRY_BUDGET_S,
)
from xai_realtime.errors import (
    ApiError,
    CassetteError,
    ConfigurationError,
    ConnectError,
    LocalProtocolError,
    RateLimitError,
    ServerError,
    TransportTimeoutError,
)

__all__ = ["ChatPolicy", "Retries", "may_be_billed"]

NEVER_ARRIVED: Final = ("connect", "pool")
MAX_DOUBLINGS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPolicy:
    """How chat requests behave.

    A request that the service turned away (429 but for used-up credits, 5xx), or that reached no server, is tried again
    up to `max_retries` times. The n-th wait is drawn at random up to `first_delay_s * 2**(n-1)`, at most `max_delay_s`
    (full jitter); the service's Retry-After is honoured instead, and ends the trying when it asks for more than
    `retry_after_max_s`. All waits of one request stay within `retry_budget_s`. What broke after the request was sent,
    and a timeout of the answer, are not tried again: the answer may have been made, and billed.

    `first_token_timeout_s` gives up on an answer of which nothing has come by then, and asks once more; the service may
    bill both, and the answer says so. The second try is bounded by the transport's own times. None, the default, waits.

    Raises ConfigurationError for values that are not allowed.
    """

    max_retries: int = CHAT_MAX_RETRIES
    first_delay_s: float = CHAT_FIRST_DELAY_S
    max_delay_s: float = CHAT_MAX_DELAY_S
    retry_after_max_s: float = CHAT_RETRY_AFTER_MAX_S
    retry_budget_s: float = CHAT_RETRY_BUDGET_S
    first_token_timeout_s: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.max_retries, bool) or not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise ConfigurationError(f"max_retries is {self.max_retries!r}; whole numbers from 0 are allowed")
        for name in ("first_delay_s", "max_delay_s", "retry_after_max_s", "retry_budget_s"):
            _check_seconds(name, getattr(self, name))
        if self.first_token_timeout_s is not None:
            _check_seconds("first_token_timeout_s", self.first_token_timeout_s, above=True)


def _check_seconds(name: str, value: object, *, above: bool = False) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf or (above and not value):  # type: ignore[operator]
        allowed = "above 0" if above else "from 0 up"
        raise ConfigurationError(f"{name} is {value!r}; numbers {allowed} are allowed")


class Retries:
    """The attempts of one request: how long to wait before the next one, or that there is none."""

    __slots__ = ("_policy", "_spent_s", "attempts")

    def __init__(self, policy: ChatPolicy) -> None:
        self._policy = policy
        self._spent_s = 0.0
        self.attempts = 1
        """How often it has been tried, the present attempt counted."""

    def wait_s(self, error: Exception, chance: float) -> float | None:
        """Seconds to wait before the next attempt, None when the error is to surface. `chance` is from 0 to 1."""
        policy = self._policy
        if self.attempts > policy.max_retries or not _may_pass(error):
            return None
        wait_s = min(policy.max_delay_s, policy.first_delay_s * 2.0 ** min(self.attempts - 1, MAX_DOUBLINGS)) * chance
        stated_s = error.retry_after_s if isinstance(error, ApiError) else None
        if stated_s is not None:
            if stated_s > policy.retry_after_max_s:
                return None
            wait_s = stated_s
        if self._spent_s + wait_s > policy.retry_budget_s:
            return None
        self._spent_s += wait_s
        self.attempts += 1
        return wait_s


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later, and was certainly not answered now."""
    if isinstance(error, RateLimitError):
        return not any(word in _words(error) for word in ("credit", "spending limit"))
    if isinstance(error, TransportTimeoutError):
        return error.phase in NEVER_ARRIVED
    if isinstance(error, ApiError) and error.status == 200:
        return "currently unavailable" in _words(error)
    return isinstance(error, ServerError | ConnectError)


def _words(error: ApiError) -> str:
    return f"{error.code or ''} {error.message or ''}".lower()


def may_be_billed(error: BaseException) -> bool:
    """Whether a request that ended so may have been answered all the same: it was not turned away, and was sent."""
    if isinstance(error, TransportTimeoutError):
        return error.phase not in NEVER_ARRIVED
    return not isinstance(error, ApiError | CassetteError | ConfigurationError | ConnectError | LocalProtocolError)
