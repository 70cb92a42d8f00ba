"""Mint a client secret, open a session with it as a browser does, and replay both from one tape.

The other side is the emulator in this process; with `AsyncClient()` and a key it is Grok.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio

from xai_realtime import AsyncClient, record, replay
from xai_realtime.emulator import Emulator


async def greet(client: AsyncClient) -> str:
    """What the service says first to whoever holds a fresh secret."""
    secret = await client.realtime.client_secret(expires_in_s=60)
    print("hand this out:", secret)
    async with client.realtime.connect(client_secret=secret, as_subprotocol=True) as connection:
        return (await connection.receive()).type or "?"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "secret.jsonl"
        emulator = Emulator(seed=1)
        live = record(path, emulator.transport(), origin="emulator")
        async with AsyncClient(transport=live, api_key=emulator.api_key) as client:
            print("live:  ", await greet(client))
        async with AsyncClient(transport=replay(path)) as client:
            print("replay:", await greet(client))


if __name__ == "__main__":
    anyio.run(main)
