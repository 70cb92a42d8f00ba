"""Speech to text: what waits for the service. In: audio. Out: transcripts. Imports: rooms 0-5, anyio."""

from __future__ import annotations

__all__: list[str] = []
