"""Frames in and out of sockets. In: requests and frames. Out: frames. Imports: rooms 0-2, anyio."""

from __future__ import annotations

__all__: list[str] = []
