"""What goes wrong, in the words of the service. In: facts. Out: failures for `error` events. Imports: stdlib, room 0.

Codes and wording are those that integrations met where they are known; the rest follows their manner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from xai_realtime.errors import XaiRealtimeError

__all__ = [
    "Failure",
    "Refused",
    "active_response",
    "audio_format_refused",
    "call_not_found",
    "cancel_not_active",
    "item_exists",
    "item_not_found",
    "malformed",
    "missing",
    "not_truncated",
    "out_of_range",
    "scenario_failed",
    "session_idle",
    "session_over",
    "too_large",
    "tool_name_taken",
    "unknown_event",
    "wrong_type",
]

MAX_SHOWN_CHARACTERS: Final = 80
KINDS: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The body of an `error` event, but for the event it answers."""

    message: str
    code: str | None = None
    type: str = "invalid_request_error"
    param: str | None = None


class Refused(XaiRealtimeError):
    """A client event cannot be honoured; it ends as an `error` event, the session goes on."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def shown(value: str) -> str:
    """A client's text as far as a message may carry it."""
    return value if len(value) <= MAX_SHOWN_CHARACTERS else value[:MAX_SHOWN_CHARACTERS] + "..."


def malformed(reason: str) -> Refused:
    """A message that is no JSON object."""
    return Refused(Failure(f"The message could not be read: {reason}", "invalid_json", "invalid_event"))


def too_large(size_bytes: int, limit_bytes: int) -> Refused:
    """A message over the limit."""
    text = f"A message of {size_bytes} bytes is over the limit of {limit_bytes} bytes."
    return Refused(Failure(text, "message_too_large", "invalid_event"))


def unknown_event(name: str | None) -> Refused:
    """An event type that the service does not know."""
    if name is None:
        return Refused(Failure("The message has no event type.", "missing_required_parameter", "invalid_event", "type"))
    return Refused(Failure(f"Unknown event type: '{shown(name)}'.", "unknown_event_type", "invalid_event", "type"))


def missing(path: str) -> Refused:
    """A field that must be there."""
    return Refused(Failure(f"Missing required parameter: '{path}'.", "missing_required_parameter", param=path))


def wrong_type(path: str, wanted: str, value: Any) -> Refused:
    """A field of another JSON type."""
    got = KINDS.get(type(value), "something else")
    text = f"Invalid type for '{path}': expected {wanted}, but got {got} instead."
    return Refused(Failure(text, "invalid_type", param=path))


def out_of_range(path: str, wanted: str) -> Refused:
    """A value that is not allowed."""
    return Refused(Failure(f"Invalid value for '{path}': {wanted}.", "invalid_value", param=path))


def audio_format_refused(path: str, reason: str) -> Refused:
    """A format that cannot be served, or audio that is not of the format."""
    return Refused(Failure(f"Invalid audio format: {reason}.", "invalid_audio_format", param=path))


def item_not_found(item_id: str) -> Refused:
    """An item that the conversation does not hold."""
    return Refused(Failure(f"Item not found: '{shown(item_id)}'.", "item_not_found", param="item_id"))


def item_exists(item_id: str) -> Refused:
    """A second item under one id."""
    text = f"An item with the ID '{shown(item_id)}' already exists in the conversation."
    return Refused(Failure(text, "item_already_exists", param="item.id"))


def not_truncated(reason: str) -> Refused:
    """A truncation that cannot be done."""
    return Refused(Failure(f"Error truncating item: {reason}.", "invalid_value", param="audio_end_ms"))


def call_not_found(call_id: str) -> Refused:
    """An output for a call that is not known, or not announced to its end."""
    text = f"Tool call ID '{shown(call_id)}' not found in conversation."
    return Refused(Failure(text, "invalid_tool_call_id", param="item.call_id"))


def cancel_not_active() -> Refused:
    """A cancel with nothing to cancel."""
    return Refused(Failure("Cancellation failed: no active response found", "response_cancel_not_active"))


def active_response(response_id: str) -> Refused:
    """A second response while one runs."""
    text = (
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one."
    )
    return Refused(Failure(text, "conversation_already_has_active_response"))


def tool_name_taken(name: str) -> Failure:
    """A function under the name of one of the service's own tools."""
    return Failure(f"Function name '{name}' collides with a server-side tool.", "server_error", "internal_error")


def scenario_failed(reason: str) -> Failure:
    """The scenario, a user's function, raised."""
    return Failure(f"The scenario failed: {reason}.", "scenario_failed", "internal_error")


def session_over(limit_s: float) -> Failure:
    """The session lasted as long as it may."""
    return Failure(f"The session reached its maximum duration of {limit_s:g} seconds.", "max_duration", "max_duration")


def session_idle(limit_s: float) -> Failure:
    """The client said nothing for too long."""
    return Failure(f"The session was inactive for {limit_s:g} seconds.", "timeout", "timeout")
