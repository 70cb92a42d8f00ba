"""What is true now, folded from events. In: events. Out: values. Imports: rooms 0-1."""

from __future__ import annotations

__all__: list[str] = []
