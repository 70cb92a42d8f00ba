"""A whole voice turn with the emulator over a real socket: speech in, a tool call, the answer as speech.

Speech is audible text here: tones that stand for letters, so that every word can be checked without a model.
"""

from __future__ import annotations

import json
from pathlib import Path

import anyio

from xai_realtime import RealtimeConnection
from xai_realtime.audible import hear, speak
from xai_realtime.emulator import Emulator
from xai_realtime.events import realtime as events

SCENARIO = Path(__file__).parent / "scenario.toml"
SESSION = {
    "turn_detection": {"type": "server_vad"},
    "audio": {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}},
    },
    "tools": [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}}],
}


async def reply(connection: RealtimeConnection) -> tuple[str | None, list[tuple[str, dict[str, str]]]]:
    """What one response says, and what it calls: the call's id and its arguments."""
    audio = b""
    calls: list[tuple[str, dict[str, str]]] = []
    async for event in connection:
        if isinstance(event, events.ResponseOutputAudioDelta):
            audio += event.audio
        elif isinstance(event, events.ResponseFunctionCallArgumentsDone):
            calls.append((event.call_id, json.loads(event.arguments)))
        elif isinstance(event, events.ResponseDone):
            break
    return hear(audio), calls


async def main() -> None:
    async with Emulator(SCENARIO, pace="instant") as emulator:
        async with emulator.client() as client, client.realtime.connect() as connection:
            await connection.send({"type": "session.update", "session": SESSION})
            question = speak("What is the weather in Porto?")
            await connection.send_audio(question + bytes(48_000))  # a second of silence ends the turn
            said, calls = await reply(connection)
            print("heard:", said)
            for call_id, arguments in calls:
                print("call: ", arguments)
                output = {"type": "function_call_output", "call_id": call_id, "output": "sunny, 24 degrees"}
                await connection.send({"type": "conversation.item.create", "item": output})
            await connection.send({"type": "response.create"})
            said, _ = await reply(connection)
            print("heard:", said)


if __name__ == "__main__":
    anyio.run(main)
