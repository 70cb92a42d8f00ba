"""Grok voice over one socket. In: the user's verbs. Out: events. Imports: rooms 0-4, anyio."""

from __future__ import annotations

__all__: list[str] = []
