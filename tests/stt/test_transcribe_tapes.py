"""Uploads on our own tape: recorded, replayed without a service, without any secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY
from tests.stt.uploads import RATE_HZ, SAID, in_pieces, wav
from tests.tapes import BACKENDS, on
from xai_realtime import AsyncClient
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ReplayMismatchError
from xai_realtime.player import play
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = pytest.mark.anyio

OTHER = wav("Something else entirely.", rate_hz=RATE_HZ)


async def talk(client: AsyncClient, source: Any) -> tuple[str, str]:
    async with client:
        first = await client.stt.transcribe(source, language="en", keyterms=["Grok"])
        second = await client.stt.transcribe(OTHER, diarize=True)
        return first.text, second.srt()


@BACKENDS
@pytest.mark.behaviour("stt-file-tapes")
def test_upload_is_recorded_once_and_replays_from_every_kind_of_source(backend: str, tmp_path: Path) -> None:
    path, audio = tmp_path / "t.jsonl", wav(SAID)
    file = tmp_path / "call.wav"
    file.write_bytes(audio)

    async def recorded() -> tuple[str, str]:
        transport = record(path, Emulator(seed=1).transport(), origin="emulator", service="stt")
        return await talk(AsyncClient(transport=transport, api_key=KEY), file)

    async def replayed(source: Any) -> tuple[str, str]:
        return await talk(AsyncClient(transport=replay(path, clock="virtual")), source)

    told = on(backend, recorded)
    assert told[0] == SAID
    assert on(backend, lambda: replayed(file)) == told
    with pytest.raises(ReplayMismatchError):
        on(backend, lambda: replayed(OTHER))
    assert check_cassette(path).findings == []
    assert KEY not in path.read_text()
    assert str(tmp_path) not in path.read_text()
    requests = [line for line in map(json.loads, path.read_text().splitlines()) if line["kind"] == "request"]
    assert {line["headers"]["content-type"] for line in requests} == {"multipart/form-data; boundary=boundary"}
    playback = on(backend, lambda: play(load_cassette(path)))
    assert playback.replay.requests == 2


@pytest.mark.behaviour("stt-file-tapes")
async def test_upload_over_a_socket_is_recorded_and_replays_from_an_iterator_of_the_same_audio(tmp_path: Path) -> None:
    path, audio = tmp_path / "t.jsonl", wav(SAID)
    with anyio.fail_after(20):
        async with Emulator(seed=1) as emulator:
            taping = record(path, WebSocketTransport(), origin="emulator", service="stt")
            told = await talk(emulator.client(transport=taping), in_pieces(audio, 777))
            assert await talk(AsyncClient(base_url=emulator.url, transport=replay(path)), in_pieces(audio)) == told
            policy = MatchPolicy(audio="length")
            assert await talk(
                AsyncClient(base_url=emulator.url, transport=replay(path, policy=policy)), audio[:-1] + b"\x01"
            )
