"""The command `record`. In: arguments. Out: a proxy that runs, then a tape. Imports: typer, anyio, rooms 0-7."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import anyio
import typer

from xai_realtime.cli.screen import Screen
from xai_realtime.cli.wording import counted
from xai_realtime.errors import ConfigurationError
from xai_realtime.proxy import ProxyAddress, ProxyReport, run_proxy

__all__ = ["record"]


def record(
    cassette: Annotated[Path, typer.Argument(metavar="CASSETTE", help="The tape to write, NAME.jsonl.")],
    upstream: Annotated[
        str, typer.Option(metavar="URL", help="Where to pass on to: https://api.x.ai/v1, or an emulator's address.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 8766,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Keep ids as they are instead of naming them item_1, resp_2, ...")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a tape that is there already.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one line when it listens, one when the tape is written.")
    ] = False,
) -> None:
    """Record the WebSocket conversations of any client, in any language, that is pointed at this port.

    Keys, headers and sub-protocols are passed on and never written. Ctrl-C ends the recording. Exit status
    1 when a secret was found in the tape, 2 when it cannot start.
    """
    from xai_realtime.cli.app import _mistakes

    with _mistakes(Screen()):
        if cassette.exists() and not replace:
            raise ConfigurationError(f"{cassette} is there already: give another name, or --replace")
        anyio.run(_run, upstream, cassette, port, keep_ids, as_json)


async def _run(upstream: str, cassette: Path, port: int, keep_ids: bool, as_json: bool) -> None:
    stop = anyio.Event()

    def started(address: ProxyAddress) -> None:
        typer.echo(_listening_json(address) if as_json else _introduction(address, cassette))

    def said(line: str) -> None:
        if not as_json:
            typer.echo(f"  {line}")

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    report = await run_proxy(upstream, cassette, port=port, started=started, stop=stop, keep_ids=keep_ids, said=said)
    typer.echo(_report_json(report) if as_json else _words(report))


def _listening_json(address: ProxyAddress) -> str:
    return json.dumps(
        {
            "websocket": address.socket_url,
            "base_url": address.http_url,
            "upstream": address.upstream,
            "port": address.port,
        }
    )


def _introduction(address: ProxyAddress, cassette: Path) -> str:
    return f"""\
Recording to {cassette}. Point a client at this address instead of {address.upstream}:

  WebSocket   {address.socket_url}
  base URL    {address.http_url}

This library:
  AsyncClient(base_url="{address.http_url}", api_key=...)

Keys are passed on and never written. Ctrl-C ends the recording."""


def _words(report: ProxyReport) -> str:
    counts = {"refused": report.refused, "not reached": report.unreached}
    less = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    more = f" ({less})" if less else ""
    return f"\nThe tape is {report.path}: {counted(report.opened, 'connection')}{more}."


def _report_json(report: ProxyReport) -> str:
    return json.dumps(
        {
            "cassette": str(report.path),
            "connections": report.opened,
            "refused": report.refused,
            "not_reached": report.unreached,
        }
    )
