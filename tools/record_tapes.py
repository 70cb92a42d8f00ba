"""Records the project's own tapes in `cassettes/realtime/`: calls with the emulator, in process, in virtual time.

Seed, date and times are fixed, so that recording again changes no byte; what is said stands in `own_calls.py`.

Usage: python -m tools.record_tapes [OUT] [NAME...]
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tools.own_calls import CALLS, OwnCall
from xai_realtime import AsyncClient, record, run_virtual
from xai_realtime.defaults import BASE_URL
from xai_realtime.emulator import Emulator
from xai_realtime.transport.base import Transport
from xai_realtime.transport.faults import faults

__all__ = ["hold", "record_tape"]

RECORDED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
SEED: Final = 1


async def hold(call: OwnCall, path: Path, transport: Transport, *, base_url: str = BASE_URL) -> None:
    """Hold a call over a transport that leads to an emulator with its scenario, and write its tape at `path`."""
    line = faults(transport, call.faults, fail_unused=True) if call.faults else transport
    notes = f"{call.shows} Recorded from the emulator; speech is audible text."
    recording = record(path, line, origin="emulator", recorded_at=RECORDED_AT, notes=notes)
    async with AsyncClient(transport=recording, api_key="xai-emulator", base_url=base_url) as client:
        await call.talk(client, recording.mark)


def record_tape(name: str, out: Path, backend: str = "asyncio") -> Path:
    """Record one call in virtual time; the path of its tape."""
    path = out / f"{name}.jsonl"

    async def main() -> None:
        await hold(CALLS[name], path, Emulator(CALLS[name].scenario, seed=SEED).transport())

    run_virtual(main, backend=backend)  # type: ignore[arg-type]
    return path


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if name in CALLS]
    folders = [Path(argument) for argument in arguments if argument not in CALLS]
    if len(folders) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 2
    out = folders[0] if folders else Path(__file__).parents[1] / "cassettes" / "realtime"
    for name in names or CALLS:
        print(record_tape(name, out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
