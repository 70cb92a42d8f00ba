"""The calls of the own tapes, held over real sockets and through the recording proxy: the same but for times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import OWN
from tools.own_calls import CALLS, OwnCall
from tools.record_tapes import SEED, hold
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.emulator import Emulator
from xai_realtime.player import play
from xai_realtime.proxy import ProxyAddress, run_proxy
from xai_realtime.transport.faults import faults
from xai_realtime.transport.websocket import WebSocketTransport

NAMES = [name for name in CALLS if name != "emulator_long_call"]
SHORT_ENOUGH_S = 14
"""Before the second ping, which would come at another place."""
ATTEMPTS = 3
"""A microphone that a busy machine holds up for half a second has paused, and that is another call."""
TIMES = ("latency", "timestamp", "ts")
"""Fields that hold a time; audio durations are none, they are the audio's own."""


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def frames(tape: Cassette, direction: str) -> list[tuple[int, Any]]:
    """What went one way, connection by connection, audio and all."""
    return [
        (conn, without_times(tape.value(record)))
        for conn, taped in tape.connections.items()
        for record in taped.frames
        if record.direction == direction
    ]


async def directly(call: OwnCall, path: Path) -> None:
    """The call over one socket."""
    async with Emulator(call.scenario, seed=SEED) as emulator:
        await hold(call, path, WebSocketTransport(), base_url=emulator.url)


@asynccontextmanager
async def proxied(upstream: str, path: Path, call: OwnCall) -> AsyncIterator[str]:
    """A proxy whose upstream does wrong what the call wants; its base URL."""
    stop, is_up = anyio.Event(), anyio.Event()
    addresses: list[ProxyAddress] = []

    def started(address: ProxyAddress) -> None:
        addresses.append(address)
        is_up.set()

    async def run() -> None:
        transport = faults(WebSocketTransport(user_agent=None), call.faults)
        await run_proxy(upstream, path, started=started, stop=stop, transport=transport, origin="emulator")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await is_up.wait()
        yield addresses[0].http_url
        stop.set()


async def through_a_proxy(call: OwnCall, path: Path) -> None:
    """The call over two sockets with the proxy between them: its tape at `path`, the client's beside it."""
    async with Emulator(call.scenario, seed=SEED) as emulator, proxied(emulator.url, path, call) as base_url:
        client = path.with_name(f"{path.stem}_client.jsonl")
        await hold(replace(call, faults=()), client, WebSocketTransport(), base_url=base_url)


async def hold_all(names: list[str], folder: Path) -> None:
    """Every call at the same time, both ways. One that breaks off leaves no tape under its name."""
    folder.mkdir()

    async def held(way: Callable[[OwnCall, Path], Awaitable[None]], name: str, path: Path) -> None:
        try:
            with anyio.fail_after(SHORT_ENOUGH_S):
                await way(CALLS[name], path)
        except Exception as error:  # noqa: BLE001
            print(name, type(error).__name__, error)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(held, directly, name, folder / f"{name}.jsonl")
            tasks.start_soon(held, through_a_proxy, name, folder / f"{name}_proxy.jsonl")


async def digest_of(tape: Cassette) -> str:
    with anyio.fail_after(SHORT_ENOUGH_S):
        return (await play(tape)).digest


def differences(name: str, folder: Path) -> Iterator[str]:
    """Where the tapes made over sockets differ from the tape of that name."""
    wanted = load_cassette(OWN[0].parent / f"{name}.jsonl")
    for stem in (name, f"{name}_proxy", f"{name}_proxy_client"):
        path = folder / f"{stem}.jsonl"
        if not path.exists():
            yield f"{stem}: broken off"
            continue
        found = load_cassette(path)
        yield from (f"{stem}: {way}" for way in ("in", "out") if frames(found, way) != frames(wanted, way))
        if anyio.run(digest_of, found) != anyio.run(digest_of, wanted):
            yield f"{stem}: digest"


@pytest.mark.behaviour("own-tapes-sockets")
def test_calls_over_sockets_and_through_the_proxy_equal_the_tapes_but_for_times(tmp_path: Path) -> None:
    differing: dict[str, list[str]] = {name: [] for name in NAMES}
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        anyio.run(hold_all, list(differing), folder)
        found = {name: list(differences(name, folder)) for name in differing}
        differing = {name: places for name, places in found.items() if places}
        if not differing:
            break
    assert differing == {}


def test_calls_are_short_enough_to_be_held_in_real_time() -> None:
    assert all(load_cassette(path).tape_ms < SHORT_ENOUGH_S * 1000 for path in OWN if path.stem in NAMES)


def test_times_alone_are_left_out_of_the_comparison() -> None:
    event = {"type": "x", "ts": 1, "inner": [{"latency": "0.50", "audio_duration_ms": 100}]}
    assert without_times(event) == {"type": "x", "inner": [{"audio_duration_ms": 100}]}
