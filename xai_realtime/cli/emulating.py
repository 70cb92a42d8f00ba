"""The command `emulate`. In: arguments. Out: a running emulator, its addresses. Imports: typer, anyio, rooms 0-7."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import anyio
import typer

from xai_realtime.cli.screen import Screen
from xai_realtime.defaults import VOICE_MODEL
from xai_realtime.emulator import Emulator

__all__ = ["emulate"]


class Dialect(StrEnum):
    """Whose shapes of events are sent."""

    xai = "xai"
    openai = "openai"


class Pace(StrEnum):
    """How fast it speaks."""

    real = "real"
    instant = "instant"


def emulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 8765,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What it says to what it hears (TOML); else the one built in.")
    ] = None,
    dialect: Annotated[
        Dialect, typer.Option(help="xai: as the service. openai: for clients that validate OpenAI's shapes.")
    ] = Dialect.xai,
    pace: Annotated[
        Pace, typer.Option(help="real: 100 ms of speech every 100 ms. instant: all of it at once.")
    ] = Pace.real,
    seed: Annotated[int | None, typer.Option(help="Makes ids and times the same in every run.")] = None,
    answer_to_commits: Annotated[
        bool | None,
        typer.Option(
            "--answer-to-commits/--no-answer-to-commits",
            help="Is a commit by hand answered without a request? Else as the scenario has it.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="One line for each event: type, ids, size; never content.")
    ] = False,
) -> None:
    """Run Grok's realtime API on this machine: REST and WebSocket on one port, under /v1.

    It needs neither key nor network. Ctrl-C stops it. Exit status 2 when it cannot start.
    """
    from xai_realtime.cli.app import _mistakes

    with _mistakes(Screen()), _logged(log):
        emulator = Emulator(
            scenario,
            dialect=dialect.value,
            pace=pace.value,
            seed=seed,
            host=host,
            port=port,
            answers_commits=answer_to_commits,
        )
        anyio.run(_run, emulator, "built in" if scenario is None else str(scenario))


async def _run(emulator: Emulator, scenario: str) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with emulator:
            typer.echo(_introduction(emulator, scenario))
            async for received in signals:
                typer.echo(f"\n{signal.Signals(received).name}: stopping ...")
                break
    typer.echo("The emulator has stopped.")


def _introduction(emulator: Emulator, scenario: str) -> str:
    base, key, world = emulator.url, emulator.api_key, emulator.world
    seeded = "" if world.seed is None else f", seed {world.seed}"
    return f"""\
The emulator listens at port {emulator.port}: scenario {scenario}, dialect {world.dialect}, pace {world.pace}{seeded}.

  REST        {base}
  WebSocket   {emulator.ws_url}/realtime?model={VOICE_MODEL}
  key         {key}  (any other passes too, but for xai-invalid)

This library:
  AsyncClient(base_url="{base}", api_key="{key}")

Programs that read the environment, the openai SDK among them:
  export XAI_API_KEY={key}
  export OPENAI_API_KEY={key} OPENAI_BASE_URL={base}

By hand:
  curl -X POST {base}/realtime/client_secrets -H "Authorization: Bearer {key}"

Ctrl-C stops it."""


@contextmanager
def _logged(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    logger = logging.getLogger("xai_realtime.emulator")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d  %(message)s", "%H:%M:%S"))
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
