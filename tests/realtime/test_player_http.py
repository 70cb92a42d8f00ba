"""Playing a tape that holds HTTP exchanges beside its sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from xai_realtime import AsyncClient, load_cassette, play, record, run_virtual
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ApiError
from xai_realtime.player import Playback

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
@pytest.mark.behaviour("player-http")
def test_tape_with_a_minted_secret_and_a_call_plays_to_its_end_byte_for_byte(backend: str, tmp_path: Path) -> None:
    path, again = tmp_path / "t.jsonl", tmp_path / "again.jsonl"

    async def live() -> None:
        transport = record(path, Emulator(seed=1).transport(), origin="emulator", service="mixed")
        async with AsyncClient(transport=transport) as client:
            secret = await client.realtime.client_secret()
            async with client.realtime.connect(client_secret=secret) as connection:
                for _ in range(3):
                    await connection.receive()
            with pytest.raises(ApiError):
                await client.realtime.client_secret(url="https://api.x.ai/v1/realtime/nothing")

    async def taped() -> Playback:
        return await play(load_cassette(path), clock="virtual", around=lambda inner: record(again, inner))

    run_virtual(live, backend=backend)  # type: ignore[arg-type]
    playback = run_virtual(taped, backend=backend)  # type: ignore[arg-type]
    assert playback.replay is not None
    assert (playback.replay.requests, playback.replay.received) == (2, 3)
    assert playback.replay.unread == playback.replay.unsent == ()
    assert again.read_bytes() == path.read_bytes()
