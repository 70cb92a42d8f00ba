"""Records the project's own tapes in `cassettes/`: calls, speech and chats of the emulator, in virtual time.

Seed, date and times are fixed, so that recording again changes no byte; what is said stands in `own_calls.py`,
`own_speech.py` and `own_chat.py`. Tapes go to a folder for their service, or all to OUT.

Usage: python -m tools.record_tapes [OUT] [NAME...]
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tools.own_calls import CALLS, OwnCall
from tools.own_chat import CHATS, OwnChat
from tools.own_speech import SPEECH, Desk, OwnSpeech
from xai_realtime import AsyncClient, record, run_virtual
from xai_realtime.defaults import BASE_URL
from xai_realtime.emulator import Emulator
from xai_realtime.transport.base import Transport
from xai_realtime.transport.faults import faults

__all__ = ["folder_of", "hold", "hold_chat", "hold_speech", "record_tape"]

RECORDED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
SEED: Final = 1
NAMES: Final = (*CALLS, *SPEECH, *CHATS)


def folder_of(name: str) -> str:
    """The folder of a tape, which is called as its service."""
    if name in SPEECH:
        return SPEECH[name].service
    return "chat" if name in CHATS else "realtime"


async def hold(call: OwnCall, path: Path, transport: Transport, *, base_url: str = BASE_URL) -> None:
    """Hold a call over a transport that leads to an emulator with its scenario, and write its tape at `path`."""
    line = faults(transport, call.faults, fail_unused=True) if call.faults else transport
    recording = record(path, line, origin="emulator", recorded_at=RECORDED_AT, notes=notes_of(call))
    async with AsyncClient(transport=recording, api_key="xai-emulator", base_url=base_url) as client:
        await call.talk(client, recording.mark)


async def hold_speech(speech: OwnSpeech, path: Path, transport: Transport, *, base_url: str = BASE_URL) -> None:
    """Hear or speak over a transport that leads to an emulator with its quirks, and write the tape at `path`."""
    recording = record(
        path,
        transport,
        origin="emulator",
        service=speech.service,
        recorded_at=RECORDED_AT,
        notes=notes_of(speech),
    )
    async with recording:
        await speech.talk(Desk(recording, base_url), recording.mark)


async def hold_chat(chat: OwnChat, path: Path, transport: Transport, *, base_url: str = BASE_URL) -> None:
    """Chat over a transport that leads to an emulator with its scenario and quirks, and write the tape at `path`."""
    notes = f"{chat.shows} Recorded from the emulator."
    recording = record(path, transport, origin="emulator", service="chat", recorded_at=RECORDED_AT, notes=notes)
    async with AsyncClient(transport=recording, api_key="xai-emulator", base_url=base_url) as client:
        await chat.talk(client, recording.mark)


def notes_of(taped: OwnCall | OwnSpeech) -> str:
    """What the header says of a tape with speech."""
    return f"{taped.shows} Recorded from the emulator; speech is audible text."


def record_tape(name: str, out: Path, backend: str = "asyncio") -> Path:
    """Record one tape in virtual time; its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.jsonl"
    main: Callable[[], Awaitable[None]]
    if name in SPEECH:
        speech = SPEECH[name]

        async def main() -> None:
            await hold_speech(speech, path, Emulator(seed=SEED, speech=speech.quirks).transport())
    elif name in CHATS:
        chat = CHATS[name]

        async def main() -> None:
            await hold_chat(chat, path, Emulator(chat.scenario, seed=SEED, chat=chat.quirks).transport())
    else:

        async def main() -> None:
            await hold(CALLS[name], path, Emulator(CALLS[name].scenario, seed=SEED).transport())

    run_virtual(main, backend=backend)  # type: ignore[arg-type]
    return path


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if name in NAMES]
    folders = [Path(argument) for argument in arguments if argument not in NAMES]
    if len(folders) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__)
        return 2
    tapes = Path(__file__).parents[1] / "cassettes"
    for name in names or NAMES:
        print(record_tape(name, folders[0] if folders else tapes / folder_of(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
