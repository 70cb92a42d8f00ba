"""Write to Grok, and hear it answer: text in, speech and its words out.

Run it: `python examples/text_chat_by_voice.py` (the emulator answers, in virtual time). With `--live` and XAI_API_KEY
set Grok answers, and what it says is written to `answers.wav`.
"""

from __future__ import annotations

import sys
import wave

import anyio

from xai_realtime import AsyncClient, AudioOutput, RealtimeSession, ResponseDone, Transcript, run_virtual
from xai_realtime.emulator import Emulator, Prompt

LIVE = "--live" in sys.argv[1:]
INSTRUCTIONS = "You keep a lighthouse. Answer in a single sentence."
QUESTIONS = ["Good evening! Who are you?", "And how is the sea tonight?"]
SETTING = [("system", "It is two in the morning, and the wind is rising.")]


def keeper(prompt: Prompt) -> str:
    """What the emulator says."""
    return "I keep the light on the rock." if "who" in prompt.heard.lower() else "Rough, and getting rougher."


async def ask(session: RealtimeSession, question: str) -> bytes:
    """One question in writing; the answer as audio, its words on the screen as they come."""
    print(f"you:   {question}")
    audio = b""
    await session.send_text(question)
    async for event in session:
        match event:
            case AudioOutput():
                audio += event.audio
            case Transcript(role="assistant"):
                print(f"agent: {event.text}")
            case ResponseDone(latency=latency):
                wait_ms = latency.first_audio_ms or 0.0
                print(f"       {len(audio) / 48_000:.1f} s of speech, the first after {wait_ms:.0f} ms")
                break
    return audio


async def main() -> None:
    async with AsyncClient(transport=None if LIVE else Emulator(keeper, seed=1).transport()) as client:
        async with client.realtime.session(instructions=INSTRUCTIONS, history=SETTING) as session:
            answers = [await ask(session, question) for question in QUESTIONS]
            used = session.usage.session
            print(f"used:  {used.responses} replies, {used.output_audio_seconds} s of speech")
    if LIVE:
        with wave.open("answers.wav", "wb") as file:
            file.setparams((1, 2, 24_000, 0, "NONE", "not compressed"))
            file.writeframes(b"".join(answers))


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
