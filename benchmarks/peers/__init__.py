"""The same measures for other people's clients, each in an environment of its own. In: nothing. Out: ratios."""

from __future__ import annotations

__all__: list[str] = []
