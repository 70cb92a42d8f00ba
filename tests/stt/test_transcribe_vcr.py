"""Uploads through vcrpy, beside our own tape: kept once, played without a service."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import anyio
import pytest
import vcr

from tests.http.peers import KEY
from tests.stt.uploads import SAID, in_pieces, wav
from xai_realtime import AsyncClient
from xai_realtime.cassette.vcr import configure_vcr
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.speech_quirks import Refuse, SpeechQuirks
from xai_realtime.errors import RateLimitError

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    logging.getLogger("vcr").setLevel(logging.ERROR)


async def suite(base_url: str) -> list[str]:
    """What a suite of REST calls is told, whoever answers."""
    audio = wav(SAID)
    told: list[str] = []
    async with AsyncClient(base_url=base_url, api_key=KEY) as client:
        try:
            await client.stt.transcribe(audio, model="grok-voice-transcribe-2.0")
        except RateLimitError as error:
            told.append(f"{error.status} {error.retry_after_s}")
        result = await client.stt.transcribe(audio, language="en", diarize=True)
        told += [result.text, result.srt(), result.to_json()]
        streamed = await client.stt.transcribe(in_pieces(audio), keyterms=["Grok"])
        told.append(streamed.text)
        voices = await client.stt.transcribe(wav("Left side.", "Right side."), channels=2)
        told.append(voices.plain_text())
    return told


@pytest.mark.behaviour("stt-file-vcr")
async def test_suite_of_uploads_is_kept_by_vcrpy_and_played_without_a_service(tmp_path: Path) -> None:
    cassette = tmp_path / "uploads.json"
    ours = configure_vcr(vcr.VCR(record_mode="once"))
    quirks = SpeechQuirks(refuse=(Refuse(status=429, retry_after_s=3, path="/stt"),))
    with anyio.fail_after(20):
        async with Emulator(seed=1, speech=quirks) as emulator:
            url = emulator.url
            with ours.use_cassette(str(cassette)):
                told = await suite(url)
        assert told[:2] == ["429 3.0", SAID]
        text = cassette.read_text()
        assert KEY not in text
        assert len(json.loads(text)["interactions"]) == 4
        with ours.use_cassette(str(cassette)) as played:
            assert await suite(url) == told
        assert played.all_played
