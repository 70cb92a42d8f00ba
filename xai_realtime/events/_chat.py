"""What a chat stream says besides its chunks: that it is over, or what went wrong. Imports: stdlib, room 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES

__all__ = ["DONE", "ChatStreamError", "Done", "read_chat_error"]

KEPT_CHARACTERS: Final = 1000


class _Mark(Enum):
    DONE = "[DONE]"


DONE: Final = _Mark.DONE
"""Says that a stream is over: `data: [DONE]`."""

Done: TypeAlias = Literal[_Mark.DONE]
"""The type of `DONE`."""


@dataclass(frozen=True, slots=True)
class ChatStreamError:
    """What the service says went wrong: amid a stream, or as a body with status 200. A value; nothing is raised.

    `code` is a phrase that changed over time, so do not branch on it. What was not said is None. `raw` keeps the first
    bytes. Source: vercel/ai packages/xai.
    """

    code: str | None = None
    message: str | None = None
    type: str | None = None
    raw: bytes = field(default=b"", repr=False, compare=False)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.code or self.type, self.message) if part) or "an error without a text"


def read_chat_error(said: Mapping[str, Any], raw: bytes, *, is_bare: bool) -> ChatStreamError | None:
    """The error that a JSON object is, in any of its forms, or None.

    Reads `{"code", "error"}`, `{"error": {"message", "type", "code"}}`, `{"type": "error", ...}`, and of an object with
    nothing of an answer in it (`is_bare`) also `{"code", "message"}` and `{"detail"}`.
    """
    inner = said.get("error")
    is_error = said.get("type") == "error" or bool(inner)
    if not is_error and not (is_bare and any(said.get(name) for name in ("code", "message", "detail"))):
        return None
    kept = raw[:MAX_ERROR_PAYLOAD_BYTES]
    if isinstance(inner, Mapping):
        message = _text(inner.get("message")) or _text(said.get("message"))
        return ChatStreamError(
            _text(inner.get("code")) or _text(said.get("code")), message, _text(inner.get("type")), kept
        )
    message = _text(inner) or _text(said.get("message")) or _text(said.get("detail"))
    kind = None if said.get("type") == "error" else _text(said.get("type"))
    return ChatStreamError(_text(said.get("code")), message, kind, kept)


def _text(value: object) -> str | None:
    """A text, or a number as one; None for anything else and for what is empty."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value[:KEPT_CHARACTERS] if isinstance(value, str) and value else None
