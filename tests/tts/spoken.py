"""Speech over HTTP under test: an emulator's client in virtual time, answers made by hand, files read back."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pybase64

from tests.http.peers import KEY, Scripted
from tests.tapes import on
from xai_realtime import AsyncClient
from xai_realtime.audible import hear
from xai_realtime.audio import to_pcm16
from xai_realtime.emulator import Emulator
from xai_realtime.transport.base import HttpRequest

__all__ = [
    "LONG",
    "SPOKEN_LONG",
    "answering",
    "body_of",
    "emulated",
    "envelope",
    "heard",
    "left_in",
    "on",
    "pcm_of",
    "wav_of",
]

SENTENCE = "Ships leave on <whisper>every quiet</whisper> tide, he said."
LONG = " ".join([SENTENCE] * 300)
"""18,000 characters with tags: two requests."""
SPOKEN_LONG = " ".join(["Ships leave on every quiet tide, he said."] * 300)
LAWS = {"pcm": "pcm", "wav": "pcm", "mulaw": "pcmu", "alaw": "pcma"}


def emulated(backend: str, talk: Callable[[AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    """What `talk` gives with a client of an emulator in process, in virtual time."""

    async def main() -> Any:
        async with AsyncClient(transport=Emulator(seed=1, **options).transport()) as client:
            return await talk(client)

    return on(backend, main)


def answering(*answers: tuple[int, dict[str, str], list[Any]] | Exception) -> tuple[AsyncClient, list[HttpRequest]]:
    """A client whose requests are answered in turn, the last answer again and again; and what it asked."""
    left = list(answers)
    transport = Scripted(lambda request: left.pop(0) if len(left) > 1 else left[0])
    return AsyncClient(transport=transport, api_key=KEY), transport.asked


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON that a request carries."""
    assert isinstance(request.body, bytes)
    told: dict[str, Any] = json.loads(request.body)
    return told


def envelope(audio: bytes | str, chars: str = "", times: list[Any] | None = None, **more: Any) -> bytes:
    """Speech with its times, as the service answers it."""
    told: dict[str, Any] = {
        "audio": audio if isinstance(audio, str) else pybase64.b64encode_as_string(audio),
        "content_type": "audio/pcm",
        "duration": 0.5,
        "audio_timestamps": {"graph_chars": list(chars), "graph_times": times or []},
    }
    return json.dumps({**told, **more}).encode()


def pcm_of(audio: bytes, codec: str, rate_hz: int) -> bytes:
    """The samples of a file."""
    if codec == "wav":
        with wave.open(io.BytesIO(audio)) as file:
            assert file.getframerate() == rate_hz
            frames: bytes = file.readframes(file.getnframes())
            return frames
    return to_pcm16(audio, LAWS[codec])


def heard(audio: bytes | None, codec: str = "pcm", rate_hz: int = 24_000) -> str:
    """The words in a file, a blank between them."""
    assert audio is not None
    return " ".join((hear(pcm_of(audio, codec, rate_hz), sample_rate_hz=rate_hz) or "").split())


def left_in(folder: Path) -> list[str]:
    """The names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def wav_of(pcm: bytes, rate_hz: int = 24_000) -> bytes:
    """A recording of one channel."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(pcm)
    return made.getvalue()
