"""Tapes: load, record, replay, convert. In: frames or files. Out: frames or files. Imports: rooms 0-2, anyio."""

from __future__ import annotations

__all__: list[str] = []
