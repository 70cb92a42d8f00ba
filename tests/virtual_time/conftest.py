"""The backend of a program that a test runs in virtual time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Literal, cast

import pytest

__all__ = ["backend", "torn_down"]

Backend = Literal["asyncio", "trio"]


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each test runs once on asyncio and once on trio."""
    return cast(Backend, request.param)


@pytest.fixture
def torn_down() -> Iterator[None]:
    """For a run that trio breaks off: what it leaves behind is collected, and complains, before the next test."""
    yield
    for _ in range(3):
        gc.collect()
