"""Chat: requests, the conversation, answers. In: messages. Out: bodies, replies. Imports: rooms 0-5."""

from __future__ import annotations

__all__: list[str] = []
