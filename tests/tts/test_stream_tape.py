"""Utterances on tape, and over sockets of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tts.driving import BACKENDS, LINES, gather, listen, run, writing
from xai_realtime import AsyncClient, record, replay
from xai_realtime.emulator import Emulator, SpeechQuirks
from xai_realtime.errors import ConnectionBrokenError, ReplayMismatchError
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.transport.websocket import WebSocketTransport
from xai_realtime.tts.config import TtsConfig
from xai_realtime.tts.policy import TtsPolicy

INTERRUPTED = "This is said to nobody in particular."


async def talk(client: AsyncClient, pause_s: float = 0.0) -> list[bytes]:
    """Two utterances, one that is interrupted, and one more, over one socket."""
    spoken = [await gather(client.tts.stream(line, timestamps=True)) for line in LINES[:2]]
    await anyio.sleep(pause_s)
    async with client.tts.stream(INTERRUPTED, timestamps=True) as speech:
        async for _ in speech.pieces():
            await speech.interrupt()
    spoken.append(await gather(client.tts.stream(LINES[2], timestamps=True)))
    return spoken


@pytest.mark.behaviour("tts-tape")
@pytest.mark.parametrize("clock", ["virtual", "instant"])
@BACKENDS
def test_utterances_are_recorded_and_replayed(backend: str, clock: Any, tmp_path: Path) -> None:
    tape = tmp_path / "speech.jsonl"

    async def main() -> None:
        async with AsyncClient(transport=record(tape, Emulator(seed=1).transport())) as client:
            spoken = await talk(client, pause_s=30)
        assert [listen(sound, TtsConfig()) for sound in spoken] == list(LINES)
        async with AsyncClient(transport=replay(tape, clock=clock)) as client:
            assert await talk(client, pause_s=60) == spoken

    run(main, backend)


@pytest.mark.behaviour("tts-tape")
@pytest.mark.parametrize("form", ["str", "async"])
@BACKENDS
def test_replay_of_another_text_is_a_mismatch_that_comes_out_as_it_is(backend: str, form: str, tmp_path: Path) -> None:
    tape = tmp_path / "speech.jsonl"

    async def main() -> None:
        async with AsyncClient(transport=record(tape, Emulator(seed=1).transport())) as client:
            await gather(client.tts.stream("Hello."))
        with pytest.raises(ReplayMismatchError):
            async with AsyncClient(transport=replay(tape, clock="instant")) as client:
                await gather(client.tts.stream("Goodbye." if form == "str" else writing("Goodbye.")))

    run(main, backend)


@pytest.mark.behaviour("ask-57", "bug-59")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_speeches_and_interruptions_over_a_real_socket(backend: str) -> None:
    async def main() -> None:
        with anyio.fail_after(20):
            async with Emulator(seed=1, pace="instant") as emulator, emulator.client() as client:
                assert await client.tts.prewarm(timestamps=True)
                spoken = await talk(client)
                assert [listen(sound, TtsConfig()) for sound in spoken] == list(LINES)
                for codec in ("mulaw", "alaw"):
                    speech = client.tts.stream(writing("Well, ", "hello ", "there."), codec=codec, sample_rate=8000)
                    assert listen(await gather(speech), speech.config) == "Well, hello there."

    anyio.run(main, backend=backend)


@pytest.mark.behaviour("bug-58")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_real_socket_that_is_cut_within_an_utterance_is_an_error(backend: str) -> None:
    async def main() -> None:
        with anyio.fail_after(20):
            async with Emulator(seed=1, speech=SpeechQuirks(tts_max_age_s=60)) as emulator:
                line = faults(WebSocketTransport(), [Fault.cut(on="audio.delta", nth=2)])
                async with emulator.client(transport=line, tts_policy=TtsPolicy(max_connections=1)) as client:
                    got = []
                    with pytest.raises(ConnectionBrokenError):
                        async for chunk in client.tts.stream("One two three."):
                            got.append(chunk)
                    assert len(got) == 1
                    assert listen(await gather(client.tts.stream("Four.")), TtsConfig()) == "Four."

    anyio.run(main, backend=backend)
