"""The body of a chat request, for tests that look at nothing else."""

from __future__ import annotations

from typing import Any

from xai_realtime.chat.request import MessagesLike, chat_request
from xai_realtime.models import ModelRef

__all__ = ["chat_body"]


def chat_body(model: str | ModelRef, messages: MessagesLike, **options: Any) -> dict[str, Any]:
    """The body that `chat_request` makes, which takes the same options."""
    return chat_request(model, messages, **{"stacklevel": 3, **options}).body
