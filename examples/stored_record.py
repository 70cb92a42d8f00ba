"""Chat and a voice session out of a stored record: which model, whose key, what it is told.

Run it: `python examples/stored_record.py` (the emulator answers, in virtual time). With `--live` and XAI_API_KEY set
Grok does. An empty key in the record leaves the one of the client, else XAI_API_KEY.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import anyio

from xai_realtime import AsyncClient, RealtimeSession, ResponseDone, Transcript, run_virtual
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.emulator import Emulator
from xai_realtime.models import ModelRef
from xai_realtime.protocol.chat_reply import ChatReply

LIVE = "--live" in sys.argv[1:]
RECORD = '{"engine_model": "grok.grok-3", "engine_key": "", "init_prompt": "You keep a lighthouse."}'


@dataclass(frozen=True)
class Assistant:
    """What a record says: the model that writes, the key it is asked with, the instruction."""

    model: ModelRef
    key: str | None = field(repr=False)
    prompt: str | None = field(repr=False)

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> Self:
        """Raises ConfigurationError for an unknown provider or no model; a retired model warns with its successor."""
        model = ModelRef.parse(record["engine_model"], stacklevel=3)
        return cls(model, record.get("engine_key") or None, record.get("init_prompt") or None)

    def conversation(self) -> ChatConversation:
        """A new chat, under the instruction."""
        return ChatConversation(system=self.prompt)

    async def answer(self, client: AsyncClient, conversation: ChatConversation) -> ChatReply:
        """What the model says next; it is added to the conversation."""
        reply = await client.chat.create(self.model, conversation, api_key=self.key)
        conversation.add(reply.to_message())
        return reply

    def session(self, client: AsyncClient, conversation: ChatConversation) -> RealtimeSession:
        """The same by voice, with what was written before. The voice model is the client's default: `model` writes."""
        settings = {} if self.prompt is None else {"instructions": self.prompt}
        return client.realtime.session(settings, history=conversation.to_history(), api_key=self.key)


async def main() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assistant = Assistant.from_record(json.loads(RECORD))
    for warning in told:
        print(f"note:  {warning.message}")

    async with AsyncClient(transport=None if LIVE else Emulator(seed=1).transport()) as client:
        conversation = assistant.conversation().add_user("Good evening!")
        reply = await assistant.answer(client, conversation)
        print(f"chat:  {reply.text} (asked {assistant.model.name}, served by {reply.model})")

        async with assistant.session(client, conversation) as session:
            await session.send_text("And now tell me about the sea.")
            async for event in session:
                match event:
                    case Transcript(role="assistant"):
                        print(f"voice: {event.text}")
                    case ResponseDone():
                        break


if __name__ == "__main__":
    anyio.run(main) if LIVE else run_virtual(main)
