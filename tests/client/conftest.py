"""A real emulator for clients without async, and bounds for everything that waits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import anyio.from_thread
import pytest

from tests.client.blocking import answer, client_of, loop_threads
from xai_realtime.emulator import Emulator
from xai_realtime.sync_client import Client


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with anyio.from_thread.start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(Emulator(answer, pace="instant")) as running:
            yield running


@pytest.fixture
def bounded() -> Iterator[None]:
    """Nothing here waits for ever, and no thread is left."""

    def too_long(number: int, frame: Any) -> None:
        raise AssertionError("waited too long")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert loop_threads() == []


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Client]:
    with client_of(emulator) as client:
        yield client
