"""Live captions: what is said appears while it is said, and stands once it is over.

Run it: `python examples/live_captions.py [talk.wav]` (the emulator listens, in virtual time; a file is made if none is
given).
With `--live` and XAI_API_KEY set Grok listens: give it a WAV file of 16-bit PCM with somebody speaking.
"""

from __future__ import annotations

import sys
import tempfile
import wave
from pathlib import Path

import anyio

from xai_realtime import AsyncClient, run_virtual
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator
from xai_realtime.protocol.stt_events import SttInterim, SttReconnected, SttSegment, SttUtterance
from xai_realtime.stt.stream import SttStream

ARGUMENTS = [argument for argument in sys.argv[1:] if argument != "--live"]
LIVE = "--live" in sys.argv[1:]
RATE_HZ = 24_000


def made(folder: Path) -> Path:
    """A file with two sentences."""
    path = folder / "talk.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        for sentence in ("Good evening, and welcome to the show.", "Tonight we talk about the weather."):
            file.writeframes(speak(sentence, sample_rate_hz=RATE_HZ) + silence(800, RATE_HZ))
    return path


async def play(pcm: bytes, stt: SttStream) -> None:
    """Give the audio as a microphone would."""
    await stt.send(pcm, pace=True)
    await stt.finish()


async def main(path: Path) -> None:
    with wave.open(str(path), "rb") as file:
        rate_hz, channels, pcm = file.getframerate(), file.getnchannels(), file.readframes(file.getnframes())
    transport = None if LIVE else Emulator(seed=1).transport()
    async with AsyncClient(transport=transport) as client, anyio.create_task_group() as tasks:
        async with client.stt.stream(source_rate_hz=rate_hz, source_channels=channels) as stt:
            tasks.start_soon(play, pcm, stt)
            async for event in stt:
                match event:
                    case SttInterim() | SttSegment():
                        print(f"        ... {event.so_far}")
                    case SttUtterance():
                        print(f"{event.start_s or 0:6.2f} s  {event.text}")
                    case SttReconnected():
                        print(f"(connected again: {event.reason})")
            print(f"{len(stt.transcript.words)} words in {stt.transcript.duration_s} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        given = Path(ARGUMENTS[0]) if ARGUMENTS else made(Path(folder))
        anyio.run(main, given) if LIVE else run_virtual(main, given)
