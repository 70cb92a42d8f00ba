"""A walkie-talkie: the microphone is open while a button is held, and letting it go ends the turn.

Run it: `python examples/push_to_talk.py` (the emulator answers, in virtual time). With `--live a.wav b.wav` and
XAI_API_KEY set, each file is what is said while the button is held once.
"""

from __future__ import annotations

import sys
import wave

import anyio

from xai_realtime import AsyncClient, RealtimeSession, SessionPolicy, SpeechStopped, Transcript, run_virtual
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator

LIVE = "--live" in sys.argv[1:]
RATE_HZ = 24_000
WORDS = {"model": "grok-transcribe"}  # so that we see what was said as well


def recordings() -> list[tuple[bytes, int]]:
    """What is said each time: PCM of one channel, and its rate."""
    if not LIVE:
        return [(speak(text), RATE_HZ) for text in ("Rover one, do you hear me?", "Come home.")]
    found = []
    for name in sys.argv[2:]:
        with wave.open(name) as file:
            found.append((file.readframes(-1), file.getframerate()))
    return found


async def hold(session: RealtimeSession, pcm: bytes, rate_hz: int) -> None:
    """The button: pressed, spoken, let go."""
    print("[pressed]")
    await session.interrupt()  # whoever presses wants silence
    await session.resume_input()
    for at in range(0, len(pcm), rate_hz // 25):
        await session.send_audio(pcm[at : at + rate_hz // 25], rate_hz=rate_hz)
        await anyio.sleep(0.02)
    await session.end_turn()
    await session.pause_input()
    print("[let go]")


async def answer(session: RealtimeSession) -> None:
    """Read until the agent has been heard."""
    async for event in session:
        if isinstance(event, Transcript):
            print(f"{event.role}: {event.text}")
        elif isinstance(event, SpeechStopped) and event.who == "agent":
            return


async def main() -> None:
    transport = None if LIVE else Emulator(seed=1).transport()
    policy = SessionPolicy(starts_paused=True)
    async with AsyncClient(transport=transport) as client:
        async with client.realtime.session(policy=policy, turn_detection="manual", transcription=WORDS) as session:
            for pcm, rate_hz in recordings():
                await session.send_audio(silence(500, RATE_HZ), rate_hz=RATE_HZ)  # nobody hears this
                await hold(session, pcm, rate_hz)
                await answer(session)
            print(f"{session.usage.session.responses} replies")


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
