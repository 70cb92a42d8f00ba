"""Emulators whose sockets are answered by the stand-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.emulator.standin import StandIn, stand_in
from xai_realtime.emulator import Emulator, app

__all__ = ["engines", "standing_in"]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """The stand-ins that answered behind `/v1/realtime`, in order."""
    made, make = stand_in()
    monkeypatch.setattr(app, "SOCKETS", {"/realtime": make})
    return made


@pytest.fixture
def standing_in(engines: list[StandIn]) -> Callable[..., Emulator]:
    """Makes an emulator with the stand-in behind `/v1/realtime`; options as `Emulator` takes them."""

    def make(**options: Any) -> Emulator:
        return Emulator(**options)

    return make
