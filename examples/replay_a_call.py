"""A voice call with a function call, played from a tape: your code talks, the tape answers, and checks what you send.

Run it from the repository: `python examples/replay_a_call.py`. With `AsyncClient()` and a key, Grok answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio

from xai_realtime import AsyncClient, replay
from xai_realtime.errors import ReplayMismatchError
from xai_realtime.events import realtime as events

TAPE = "cassettes/realtime/tool_call.jsonl"
PCM = events.AudioFormatConfig(type="audio/pcm", rate=24_000)
TOOL = events.FunctionTool(
    name="look_up_tide",
    description="Gives the next high tide of a harbour town.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
SETUP = events.SessionConfig(
    instructions="Call look_up_tide whenever somebody asks about the sea. Then give a single sentence.",
    turn_detection=events.TurnDetectionConfig(type="server_vad", create_response=True, interrupt_response=True),
    audio=events.AudioConfig(
        input=events.AudioInputConfig(format=PCM, transcription=events.TranscriptionConfig(model="grok-transcribe")),
        output=events.AudioOutputConfig(format=PCM),
    ),
    tools=[TOOL],
)


def look_up_tide(city: str) -> str:
    """The function that Grok calls."""
    return f"High tide in {city} is at 16:40, 3.1 metres."


async def ask(client: AsyncClient, question: str, tide: Callable[[str], str] = look_up_tide) -> list[str]:
    """Ask Grok one question, answer its function calls, and give what it said."""
    said: list[str] = []
    calls: list[events.ResponseFunctionCallArgumentsDone] = []
    async with client.realtime.connect() as connection:
        await connection.send(events.SessionUpdate(session=SETUP))
        async for event in connection:
            match event:
                case events.SessionUpdated():
                    words = events.MessageItem(role="user", content=[events.InputTextPart(text=question)])
                    await connection.send(events.ConversationItemCreate(item=words))
                    await connection.send(events.ResponseCreate())
                case events.ResponseOutputAudioTranscriptDone():
                    said.append(event.transcript)
                case events.ResponseFunctionCallArgumentsDone():
                    calls.append(event)
                case events.ResponseDone() if calls:
                    for call in calls:
                        output = tide(json.loads(call.arguments)["city"])
                        item = events.FunctionCallOutputItem(call_id=call.call_id, output=output)
                        await connection.send(events.ConversationItemCreate(item=item))
                    calls.clear()
                    await connection.send(events.ResponseCreate())
                case events.ResponseDone():
                    break
    return said


async def main() -> None:
    async with AsyncClient(transport=replay(TAPE)) as client:
        for sentence in await ask(client, "When is high tide in Porto today?"):
            print("Grok:", sentence)

    print("\nThe same, with a function that gives another answer than the tape knows:")
    try:
        async with AsyncClient(transport=replay(TAPE)) as client:
            await ask(client, "When is high tide in Porto today?", lambda city: "No idea.")
    except ReplayMismatchError as mismatch:
        print(mismatch)


if __name__ == "__main__":
    anyio.run(main)
