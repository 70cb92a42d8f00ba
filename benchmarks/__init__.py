"""Speed and memory, side by side with untyped baselines in one run. In: nothing. Out: ratios."""

from __future__ import annotations

__all__: list[str] = []
