"""Nothing enters, the version of this package leaves; imports nothing (room 0)."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0.dev0"
