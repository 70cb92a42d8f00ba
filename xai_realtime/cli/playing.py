"""A tape played for the command line. In: a path, a clock, an event loop. Out: the playback.

Imports: rooms 0-7.
"""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias

import anyio

from xai_realtime.cassette.replay import Clock
from xai_realtime.cassette.tape import Cassette
from xai_realtime.errors import ConfigurationError
from xai_realtime.player import Moment, Playback, play
from xai_realtime.virtual_time import run_virtual

__all__ = ["Backend", "play_tape"]

Backend: TypeAlias = Literal["asyncio", "trio"]


def play_tape(
    cassette: Cassette,
    moments: list[Moment],
    *,
    clock: Clock = "instant",
    scale: float = 1.0,
    backend: Backend = "asyncio",
) -> Playback:
    """Play a tape through the typed client on an event loop of its own; every event is put into `moments`.

    Raises what `play` raises, and ConfigurationError when the event loop is not installed.
    """
    run = functools.partial(play, cassette, clock=clock, scale=scale, observer=moments.append)
    if clock == "virtual":
        return run_virtual(run, backend=backend)
    try:
        import_backend(backend)
    except ImportError:
        raise ConfigurationError(f"the event loop {backend} is not installed: pip install {backend}") from None
    return anyio.run(run, backend=backend)


def import_backend(backend: Backend) -> None:
    """Import an event loop. Raises ImportError."""
    if backend == "trio":
        import trio  # noqa: F401
