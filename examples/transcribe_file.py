"""Subtitles from a recording.

Run it: `python examples/transcribe_file.py` (a telephone call is made on the spot, and the emulator listens). With
a file and XAI_API_KEY set Grok does: `python examples/transcribe_file.py talk.mp3` writes `talk.srt` beside it.
"""

from __future__ import annotations

import io
import sys
import wave
from pathlib import Path

import anyio

from xai_realtime import AsyncClient
from xai_realtime.audible import speak
from xai_realtime.audio import interleave, silence
from xai_realtime.emulator import Emulator

FILE = Path(sys.argv[1]) if len(sys.argv) > 1 else None
RATE_HZ = 16_000
CALL = ["Pizza Napoli, good evening.", "Two margheritas, please.", "They are ready at eight.", "Thank you, goodbye."]


def recorded_call() -> bytes:
    """A WAV file with two channels: the agent left, the caller right, one after the other."""
    tracks = [b"", b""]
    for number, line in enumerate(CALL):
        speech = speak(line, sample_rate_hz=RATE_HZ) + silence(400, RATE_HZ)
        tracks[number % 2] += speech
        tracks[1 - number % 2] += bytes(len(speech))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, RATE_HZ, 0, "NONE", "not compressed"))
        writer.writeframes(interleave(tracks))
    return file.getvalue()


async def main() -> None:
    transport = Emulator(seed=1).transport() if FILE is None else None
    async with AsyncClient(transport=transport) as client:
        if FILE is not None:
            result = await client.stt.transcribe(
                FILE, progress=lambda sent, size: print(f"{sent} of {size} bytes sent")
            )
            FILE.with_suffix(".srt").write_text(result.srt(), encoding="utf-8")
            print(f"{len(result.words)} words, {result.language}: {FILE.with_suffix('.srt')}")
            return
        result = await client.stt.transcribe(recorded_call(), channels=2)
    print(f"{result.duration_s} s, {len(result.channels)} channels\n")
    print(result.srt())
    print(result.plain_text(), end="")


if __name__ == "__main__":
    anyio.run(main)
