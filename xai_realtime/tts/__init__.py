"""Text to speech: the streaming mouth, whole files, voices. In: text. Out: speech. Imports: rooms 0-5."""

from __future__ import annotations

__all__: list[str] = []
