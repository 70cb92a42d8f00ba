"""What an `error` event of the service means for a session. In: the event. Out: a kind, a code, a text.

Codes are worded differently over time, so the text is looked at as well. Imports: rooms 0-1.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from xai_realtime.events import realtime as wire

__all__ = ["Kind", "ServerError", "read_error"]

Kind: TypeAlias = Literal[
    "no_active_response",
    "active_response",
    "truncation",
    "item_not_found",
    "session_limit",
    "inactivity",
    "fatal",
    "other",
]

_BY_NAME: Final[dict[str, Kind]] = {
    "response_cancel_not_active": "no_active_response",
    "conversation_already_has_active_response": "active_response",
    "item_not_found": "item_not_found",
    "item_delete_invalid_item_id": "item_not_found",
    "item_truncate_invalid_item_id": "truncation",
    "max_duration": "session_limit",
    "session_expired": "session_limit",
    "timeout": "inactivity",
    "authentication_error": "fatal",
    "invalid_api_key": "fatal",
    "permission_denied": "fatal",
    "insufficient_quota": "fatal",
    "billing_hard_limit_reached": "fatal",
}
"""Kinds by `code`, else by `type`."""

_BY_WORDING: Final[tuple[tuple[str, Kind], ...]] = (
    ("no active response", "no_active_response"),
    ("already has an active response", "active_response"),
    ("truncat", "truncation"),
    ("already shorter than", "truncation"),
    ("item not found", "item_not_found"),
    ("maximum duration", "session_limit"),
    ("maximum session duration", "session_limit"),
    ("incorrect api key", "fatal"),
    ("invalid api key", "fatal"),
    ("out of credits", "fatal"),
)

BENIGN: Final = frozenset({"no_active_response", "active_response", "truncation", "item_not_found"})
"""Errors that only say that what was wanted is so already; the session works them off and tells nobody."""


class ServerError(NamedTuple):
    """An error of the service: its kind for a session, and its own words."""

    kind: Kind
    code: str
    message: str

    @property
    def is_benign(self) -> bool:
        """Does it only say that what was wanted is so already?"""
        return self.kind in BENIGN


def read_error(event: wire.Error) -> ServerError:
    """What an error means, in the nested form or the flat one."""
    detail = event.error
    if isinstance(detail, wire.ErrorDetail):
        names = (detail.code, detail.type)
        message = detail.message
    else:
        names = (event.code, None)
        message = event.message or detail
    code = next((name for name in names if name), "error")
    text = (message or "").lower()
    named = [_BY_NAME[name] for name in names if name is not None and name in _BY_NAME]
    worded = [kind for words, kind in _BY_WORDING if words in text]
    kind: Kind = next(iter([*named, *worded]), "other")
    return ServerError(kind, code, message or "")
