"""Cut the agent off in the middle of a story: what was heard stays in the conversation, the rest is forgotten.

Run it: `python examples/interruption.py` (the emulator tells the story, in virtual time, and a spoken "Stop" cuts it
off). With `--live` and XAI_API_KEY set Grok tells one, and is interrupted after three seconds.
"""

from __future__ import annotations

import sys

import anyio

from xai_realtime import AsyncClient, AudioOutput, Interrupted, RealtimeSession, SpeechStarted, Transcript, run_virtual
from xai_realtime.audible import speak
from xai_realtime.emulator import Emulator, Prompt

LIVE = "--live" in sys.argv[1:]
STORY = "Once upon a time a lighthouse keeper found a bottle on the beach, and in it was a letter from the sea."


def storyteller(prompt: Prompt) -> str:
    """What the emulator says."""
    return STORY if "story" in prompt.heard else "As you like."


async def break_in(session: RealtimeSession) -> None:
    """Three seconds into the story, say that it is enough."""
    await anyio.sleep(3)
    if LIVE:
        await session.interrupt()
        return
    speech = speak("Stop") + bytes(48_000)  # and a second of silence, which ends the turn
    for at in range(0, len(speech), 960):
        await session.send_audio(speech[at : at + 960])
        await anyio.sleep(0.02)


async def main() -> None:
    transport = None if LIVE else Emulator(storyteller, seed=1).transport()
    async with AsyncClient(transport=transport) as client, anyio.create_task_group() as tasks:
        async with client.realtime.session() as session:
            await session.send_text("Tell me a story about a lighthouse, a long one.")
            received = 0
            async for event in session:
                match event:
                    case SpeechStarted(who="agent"):
                        print("the agent begins to speak")
                        if not received:
                            tasks.start_soon(break_in, session)
                    case AudioOutput():
                        received += len(event.audio)  # here it would go to the loudspeaker
                    case SpeechStarted(who="user"):
                        print("the user speaks")
                    case Interrupted():
                        # Here the loudspeaker would be emptied.
                        print(f"cut off: {event.heard_ms} of {event.received_ms} ms were heard: {event.heard_text!r}")
                        if LIVE:
                            break
                    case Transcript() if not event.is_interrupted:
                        print(f"{event.role}: {event.text}")
                        if event.role == "assistant":
                            break
            print("The conversation as it stands:")
            for item in session.conversation.items:
                print(f"  {item.role}: {item.said() if item.heard is None else item.heard + ' ...'}")
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
