"""Runs async code under a clock that jumps instead of waiting. In: an async function. Out: its result. Imports: anyio.

Virtual time is a property of the event loop, not a mock: `anyio.sleep`, `asyncio.timeout`, `trio.sleep` and
every deadline live on it, and nothing is patched. trio is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple

import anyio

from xai_realtime.errors import ConfigurationError
from xai_realtime.virtual_time._asyncio import VirtualEventLoop
from xai_realtime.virtual_time._error import VirtualTimeError
from xai_realtime.virtual_time._stall import THREAD_LIMIT_S

if TYPE_CHECKING:
    import asyncio

    import trio.testing

__all__ = [
    "VirtualTimeError",
    "anyio_backends",
    "loop_factory",
    "pytest_asyncio_loop_factories",
    "run_virtual",
    "trio_clock",
]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Backend = Literal["asyncio", "trio"]
BACKENDS: tuple[Backend, ...] = ("asyncio", "trio")


def run_virtual(
    main: Callable[[*Ts], Awaitable[T]],
    *args: *Ts,
    backend: Backend = "asyncio",
    thread_limit_s: float = THREAD_LIMIT_S,
) -> T:
    """Run `main(*args)` in virtual time and return its result.

    The clock starts at 0 s and jumps to the next timer whenever every task waits and no worker thread
    (`anyio.to_thread`, `asyncio.to_thread`, `trio.to_thread`, `run_in_executor`) is at work; a thread may
    hold it for `thread_limit_s` of wall time. On asyncio equal times keep the order in which they were
    asked for.

    Raises VirtualTimeError when time cannot go on or a real file descriptor is waited for,
    ConfigurationError for an unknown backend or a missing trio, and whatever `main` raises.
    """
    try:
        return anyio.run(main, *args, backend=backend, backend_options=backend_options(backend, thread_limit_s))
    except BaseException as caught:
        error = unwrapped(caught)
        if error is None or error is caught:
            raise
        raise error from None


def loop_factory(*, thread_limit_s: float = THREAD_LIMIT_S) -> Callable[[], asyncio.AbstractEventLoop]:
    """A maker of virtual asyncio loops, for `asyncio.Runner(loop_factory=...)` and anything that takes one.

    `thread_limit_s` as in `run_virtual`.
    """

    def new_virtual_loop() -> asyncio.AbstractEventLoop:
        return VirtualEventLoop(thread_limit_s=thread_limit_s)

    return new_virtual_loop


def trio_clock(*, thread_limit_s: float = THREAD_LIMIT_S) -> trio.testing.MockClock:
    """A virtual clock for `trio.run(main, clock=...)`, one run at a time; every run starts at 0 s.

    `thread_limit_s` as in `run_virtual`. Raises ConfigurationError when trio is not installed.
    """
    try:
        from xai_realtime.virtual_time._trio import ClockDriver
    except ImportError as error:
        raise ConfigurationError("virtual time on trio needs the package `trio`, which is not installed") from error
    return ClockDriver(thread_limit_s=thread_limit_s).clock


def anyio_backends(*backends: Backend, thread_limit_s: float = THREAD_LIMIT_S) -> list[Any]:
    """Parameters for an `anyio_backend` fixture, with the ids `asyncio-virtual` and `trio-virtual`.

    Both backends unless some are named; `thread_limit_s` as in `run_virtual`. Needs pytest. Raises
    ConfigurationError for an unknown backend or a missing trio.
    """
    import pytest

    return [
        pytest.param((backend, backend_options(backend, thread_limit_s)), id=f"{backend}-virtual")
        for backend in backends or BACKENDS
    ]


def pytest_asyncio_loop_factories(
    config: object, item: object
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The hook of pytest-asyncio (1.4 and later): import it into a `conftest.py` to put its tests in virtual time.

    Nothing loads it by itself. Write the hook yourself to choose per test; it must never return None,
    which pytest-asyncio takes for a mistake in every test of the suite.
    """
    return {"virtual": loop_factory()}


def backend_options(backend: str, thread_limit_s: float) -> dict[str, Any]:
    if backend == "trio":
        return {"clock": trio_clock(thread_limit_s=thread_limit_s)}
    if backend == "asyncio":
        return {"loop_factory": loop_factory(thread_limit_s=thread_limit_s)}
    raise ConfigurationError(f"backend is {backend!r}, allowed are {', '.join(map(repr, BACKENDS))}")


def unwrapped(caught: BaseException) -> VirtualTimeError | None:
    """The VirtualTimeError that `caught` wraps and nothing else besides: in groups of one, in trio's internal error."""
    inner: BaseException | None = caught
    while inner is not None and not isinstance(inner, VirtualTimeError):
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0] if len(inner.exceptions) == 1 else None
        else:
            inner = inner.__cause__ if type(inner).__name__ == "TrioInternalError" else None
    return inner
