"""How a chat answer ended, and what it tells on the way. In: nothing. Out: the value classes. Imports: room 1.

Times are milliseconds since the request went out. A delta's `choice` counts the `n` answers from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

from xai_realtime.events._chat import ChatStreamError

__all__ = [
    "BAD_STATUSES",
    "ChatOutcome",
    "ChatStatus",
    "ChatTold",
    "ReasoningDelta",
    "RefusalDelta",
    "TextDelta",
    "ToolDelta",
]

ChatStatus: TypeAlias = Literal["complete", "refused", "truncated", "unparsed", "cancelled", "failed"]
"""How an answer ended: `unparsed` is a structured answer that does not fit what was asked for."""

BAD_STATUSES: Final[tuple[ChatStatus, ...]] = ("failed", "cancelled", "truncated", "unparsed", "refused", "complete")
"""The worst first: an answer of several choices ends as the worst of them."""


@dataclass(frozen=True, slots=True)
class ChatOutcome:
    """How an answer ended.

    `reason` is the finish reason of the service where it gave one (`stop`, `length`, `content_filter`, ...); else
    `refusal`, `cut` (the stream ended without one), `empty` (it ended without an answer), `cancelled` or `error`; no
    text where the service ended the stream without a reason. `error` is what the service said or
    what broke the line. `first_token_ms` is None when nothing came.
    """

    status: ChatStatus
    reason: str = ""
    error: ChatStreamError | BaseException | None = field(default=None, repr=False)
    first_token_ms: float | None = None
    first_text_ms: float | None = None
    total_ms: float | None = None

    @property
    def is_complete(self) -> bool:
        """True when the model said all it wanted to say."""
        return self.status == "complete"


@dataclass(frozen=True, slots=True)
class _Delta:
    text: str = field(repr=False)
    choice: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta(_Delta):
    """The next piece of the answer."""

    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class ReasoningDelta(_Delta):
    """The next piece of what the model thinks before it answers. Not for the user's ears."""

    kind: ClassVar[str] = "reasoning"


@dataclass(frozen=True, slots=True)
class RefusalDelta(_Delta):
    """The next piece of why the model will not answer."""

    kind: ClassVar[str] = "refusal"


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A tool call that begins or goes on: the call at `position`, from 0 as they appear, and its new arguments.

    `name` is the whole name so far. A call is whole only when the answer has ended.
    """

    position: int
    id: str | None
    name: str
    arguments: str = field(default="", repr=False)
    choice: int = 0
    kind: ClassVar[str] = "tool"


ChatTold: TypeAlias = TextDelta | ReasoningDelta | RefusalDelta | ToolDelta
"""Anything that a chat stream tells while it runs."""
