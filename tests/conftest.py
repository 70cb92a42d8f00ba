"""Fixtures shared by the whole suite: the two event loops and the shared reference folder."""

from __future__ import annotations

import signal
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import settings

__all__ = ["anyio_backend", "live_backend", "recordings", "repository", "shared"]

pytest_plugins = ["pytester"]

# A run in the background begins with SIGINT ignored, and what Ctrl-C does could not be tested there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does, and is never what a test is about.
settings.register_profile("untimed", deadline=None, max_examples=50)
settings.load_profile("untimed")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop under an async test: each runs once on asyncio and once on trio."""
    return str(request.param)


@pytest.fixture
def live_backend(anyio_backend: str) -> str:
    """The event loop of a test over a live socket; skips trio where the installed websockets cannot serve it."""
    if anyio_backend == "trio" and int(version("websockets").split(".")[0]) < 17:
        pytest.skip("trio over a live socket needs websockets >= 17")
    return anyio_backend


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the working tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference folder beside the working tree; skips where it is not laid out."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("the reference folder `shared` does not stand beside the working tree")
    return path


@pytest.fixture(scope="session")
def recordings(shared: Path) -> Callable[[], list[Path]]:
    """Returns a function that lists the reference recordings (YAML), sorted by name."""

    def listed() -> list[Path]:
        return sorted((shared / "recordings").glob("*.yaml"))

    return listed
