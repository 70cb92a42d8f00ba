"""A line that is cut, and the conversation resumed on another one, in this process."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from xai_realtime import AsyncClient, ConnectionBrokenError, RealtimeConnection, run_virtual
from xai_realtime.emulator import Emulator
from xai_realtime.transport.faults import Fault, faults

STORY = "One comes first of all the numbers that there are. Two comes then. Three comes after two."
SETTINGS = {"type": "session.update", "session": {"turn_detection": {"type": None}, "resumption": {"enabled": True}}}


async def cut_off(connection: RealtimeConnection) -> tuple[str, str]:
    """Ask for the story and read until the line is cut; the conversation's id and the words that came."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tell me"}]}
    for event in (SETTINGS, {"type": "conversation.item.create", "item": item}, {"type": "response.create"}):
        await connection.send(event)
    conversation_id = words = ""
    with pytest.raises(ConnectionBrokenError):
        async for event in connection:
            if event.type == "conversation.created":
                conversation_id = event.conversation.id
            elif event.type == "response.output_audio_transcript.delta":
                words += event.delta
    return conversation_id, words


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("pace", ["real", "instant"])
@pytest.mark.behaviour("emulator-resumes-what-was-said")
def test_conversation_whose_line_was_cut_is_resumed_with_the_words_that_came(backend: Any, pace: Any) -> None:
    async def main() -> None:
        cut = Fault.cut(on="response.output_audio.delta", nth=8)
        async with faults(Emulator(lambda prompt: STORY, seed=1, pace=pace).transport(), [cut]) as transport:
            client = AsyncClient(transport=transport)
            with anyio.fail_after(60):
                async with client.realtime.connect() as connection:
                    conversation_id, words = await cut_off(connection)
                assert words
                assert STORY.startswith(words)
                assert words != STORY
                async with client.realtime.connect(conversation_id=conversation_id) as connection:
                    await connection.send(SETTINGS)
                    replayed = []
                    async for event in connection:
                        if event.type == "conversation.item.added":
                            replayed += [part.text for part in event.item.content]
                        elif event.type == "session.updated":
                            break
                assert replayed == [words]

    run_virtual(main, backend=backend)
