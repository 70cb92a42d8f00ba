"""Speak an answer while it is written, and stop when the user breaks in.

Run it: `python examples/speak_while_writing.py` (the emulator speaks, in virtual time). With `--live` and XAI_API_KEY
set Grok's voice does.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import anyio

from xai_realtime import AsyncClient, run_virtual
from xai_realtime.emulator import Emulator

LIVE = "--live" in sys.argv[1:]
ANSWER = "The harbour was built four hundred years ago, when the river was still deep enough for the big ships."


async def language_model() -> AsyncIterator[str]:
    """Stands for your model: a word every 150 ms."""
    try:
        for word in ANSWER.split():
            await anyio.sleep(0.15)
            yield word + " "
    finally:
        print("the model stops writing")


async def main() -> None:
    transport = None if LIVE else Emulator(seed=1).transport()
    async with AsyncClient(transport=transport) as client:
        print("ready to speak:", await client.tts.prewarm(timestamps=True))
        loudspeaker = bytearray()

        async with client.tts.stream(language_model(), timestamps=True) as speech:

            async def user_breaks_in() -> None:
                await anyio.sleep(4)
                await speech.interrupt()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(user_breaks_in)
                async for chunk in speech:
                    if not loudspeaker:
                        print("it begins to speak")
                    loudspeaker += chunk  # here it would go to the loudspeaker
                tasks.cancel_scope.cancel()
        if speech.was_interrupted:
            loudspeaker.clear()
        print(f"interrupted: {speech.was_interrupted}; {speech.duration_ms or 0:.0f} ms had come")
        print("of these words:", " ".join(word.text for word in speech.words))

        async for chunk in client.tts.stream("All right, another time.", timestamps=True):
            loudspeaker += chunk
        print(f"then {len(loudspeaker) / 48:.0f} ms of something else, over the same socket")


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
