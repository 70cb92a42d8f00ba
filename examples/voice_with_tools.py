"""A spoken question, two functions that the model calls, a spoken answer.

Run it: `python examples/voice_with_tools.py` (the emulator listens and speaks, in virtual time). With
`--live question.wav` and XAI_API_KEY set the file is played to Grok; without a file it is asked in writing.
"""

from __future__ import annotations

import sys
import wave

import anyio

import xai_realtime as xai
from xai_realtime.audible import speak
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn

LIVE = "--live" in sys.argv[1:]
QUESTION = "Do I need a coat in Porto?"


@xai.tool
async def get_weather(city: str) -> dict[str, object]:
    """Current weather of a city."""
    await anyio.sleep(0.3)
    return {"city": city, "sky": "rain", "degrees": 14}


@xai.tool(cancel_on_interrupt=True)
def find_shop(thing: str) -> str:
    """The nearest shop that sells something. A plain function: it may block, and runs in a thread."""
    return f"{thing}s: Rua das Flores 12"


def scenario(prompt: Prompt) -> Turn:
    """What the emulator does."""
    calls = (ToolRequest("get_weather", {"city": "Porto"}), ToolRequest("find_shop", {"thing": "coat"}))
    return Turn(say="Let me look.", calls=calls, then="Yes, it rains. There is a shop in Rua das Flores.")


async def microphone(session: xai.RealtimeSession, pcm: bytes, rate_hz: int) -> None:
    """Plays audio as a microphone would, a piece every 20 ms, and then silence."""
    size = rate_hz // 50 * 2
    for at in range(0, len(pcm) + 100 * size, size):
        await session.send_audio(pcm[at : at + size] or bytes(size), rate_hz=rate_hz)
        await anyio.sleep(0.02)


async def main() -> None:
    transport = None if LIVE else Emulator(scenario, seed=1).transport()
    async with xai.AsyncClient(transport=transport) as client, anyio.create_task_group() as tasks:
        async with client.realtime.session(tools=[get_weather, find_shop]) as session:
            if not LIVE:
                tasks.start_soon(microphone, session, speak(QUESTION), 24_000)
            elif sys.argv[-1] == "--live":
                await session.send_text(QUESTION)
            else:
                with wave.open(sys.argv[-1]) as file:
                    tasks.start_soon(microphone, session, file.readframes(-1), file.getframerate())
            calling = set()
            async for event in session:
                match event:
                    case xai.Transcript():
                        print(f"{event.role + ':':10} {event.text}")
                    case xai.ToolCalled():
                        calling.add(event.response_id)
                        print(f"call:      {event.name} {event.arguments}")
                    case xai.ToolFinished():
                        print(f"result:    {event.output} ({event.duration_ms:.0f} ms)")
                    case xai.ResponseDone() if event.response_id not in calling:
                        break
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main) if LIVE else xai.run_virtual(main)
