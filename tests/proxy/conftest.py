"""The event loops that can open a live socket, as for the socket tests."""

from __future__ import annotations

from tests.transport.conftest import live_backend

__all__ = ["live_backend"]
