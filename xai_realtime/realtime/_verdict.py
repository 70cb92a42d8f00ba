"""What the end of a connection means to its session. In: errors. Out: why to connect again, or that it is over.

Imports: room 0.
"""

from __future__ import annotations

from typing import Final

from xai_realtime.errors import (
    ClosedByUsError,
    ConnectError,
    ConnectionClosedError,
    HandshakeError,
    RedirectRefusedError,
    TransportTimeoutError,
)

__all__ = ["END", "LIMIT", "LOST", "retry_after_s", "verdict"]

LOST: Final = "connection_lost"
LIMIT: Final = "session_limit"
END: Final = "end"

FATAL_CLOSES: Final = frozenset({1008, 3000, 3003, 4001, 4003, 4401, 4403})
"""Close codes that say that this client is not wanted: policy, unauthorized, forbidden."""
FINAL_STATUSES: Final = frozenset({400, 401, 402, 403, 404, 405, 410, 422, 426})
"""Refusals of the handshake that the same request meets again: a wrong key (400 as well), no credits, no such thing."""
QUOTA_WORDS: Final = ("quota", "credit", "billing", "spending", "insufficient")


def verdict(error: Exception, *, is_at_limit: bool) -> str | None:
    """`connection_lost` or `session_limit` to connect again, `end` for an ordinary end, None when it is fatal."""
    if isinstance(error, HandshakeError):
        return None if _is_final(error) else LOST
    if isinstance(error, ConnectError | TransportTimeoutError):
        return LOST
    if not isinstance(error, ConnectionClosedError):
        return None
    if is_at_limit:
        return LIMIT
    if error.code in FATAL_CLOSES:
        return None
    if isinstance(error, ClosedByUsError) or error.code == 1000:
        return END
    return LOST


def _is_final(error: HandshakeError) -> bool:
    if isinstance(error, RedirectRefusedError) or error.status in FINAL_STATUSES:
        return True
    said = f"{error.code} {error.message} {error.reason}".lower()
    return error.status == 429 and any(word in said for word in QUOTA_WORDS)


def retry_after_s(error: Exception | None) -> float:
    """The seconds that a refusal asks to wait, 0 when it does not say so as a number."""
    if not isinstance(error, HandshakeError):
        return 0.0
    stated = next((value for name, value in error.headers.items() if name.lower() == "retry-after"), "")
    return float(stated) if stated.isascii() and stated.isdecimal() else 0.0
