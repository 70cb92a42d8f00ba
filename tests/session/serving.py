"""A server over memory that says what a test wants it to say: the shapes of the service, and anything between.

async with serving() as (talk, server):
    await server.say({"type": "error", ...})
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.session.driving import Talk, talking
from xai_realtime.errors import ConnectionClosedError
from xai_realtime.events._base import encode_audio
from xai_realtime.frames import Frame
from xai_realtime.transport.memory import MemoryChannel, memory_pair

__all__ = ["MODEL", "Server", "response_done", "serving"]

MODEL = "grok-voice-think-fast-1.0"


def response_done(response_id: str, status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A `response.done`; `fields` are those of the response, `usage` is the one beside it."""
    usage = fields.pop("usage", None)
    response = {"id": response_id, "object": "realtime.response", "status": status, "output": [], "usage": {}, **fields}
    event: dict[str, Any] = {"type": "response.done", "response": response, "response_id": response_id}
    return event if usage is None else {**event, "usage": usage}


class Server:
    """The other end. It greets, acknowledges, confirms items, and answers each request with a spoken "yes"."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.replies = 0
        self.answers: Callable[[str], list[Any]] = self.reply
        self._channel: MemoryChannel | None = None

    async def serve(self, channel: MemoryChannel) -> None:
        """Serve one connection to its end."""
        self._channel = channel
        try:
            await self.say({"type": "session.created", "session": {"id": "session_1", "model": MODEL}})
            await self.say({"type": "conversation.created", "conversation": {"id": "conversation_1"}})
            while True:
                frame = await channel.receive()
                await self._take(json.loads(frame.data) if frame.is_text else frame.data)
        except ConnectionClosedError:
            pass

    async def _take(self, event: Any) -> None:
        self.got.append(event)
        kind = event["type"] if isinstance(event, dict) else "(binary)"
        if kind == "session.update":
            await self.say({"type": "session.updated", "session": {}})
        elif kind == "conversation.item.create":
            item = {"object": "realtime.item", "status": "completed", **event["item"]}
            await self.say({"type": "conversation.item.added", "item": item})
        elif kind == "response.create":
            self.replies += 1
            await self.say(*self.answers(f"resp_{self.replies}"))

    async def say(self, *events: Any) -> None:
        """Send events: JSON values, or Frames as they are."""
        assert self._channel is not None
        for event in events:
            frame = event if isinstance(event, Frame) else Frame(json.dumps(event).encode())
            await self._channel.send(frame)

    async def close(self, code: int = 1000) -> None:
        """Close the connection."""
        assert self._channel is not None
        await self._channel.aclose(code)

    def reply(self, response_id: str, *, ms: int = 100, **fields: Any) -> list[Any]:
        """A whole reply with so much audio."""
        item = {"id": f"{response_id}_item", "type": "message", "role": "assistant", "status": "in_progress"}
        ids = {"response_id": response_id, "item_id": item["id"]}
        content = [{"type": "audio", "transcript": "yes"}]
        return [
            {"type": "response.created", "response": {"id": response_id, "status": "in_progress"}},
            {"type": "response.output_item.added", "item": item, "response_id": response_id},
            {"type": "response.output_audio.delta", "delta": encode_audio(b"\1\0" * 24 * ms), **ids},
            {"type": "response.output_audio_transcript.done", "transcript": "yes", **ids},
            {"type": "response.output_audio.done", **ids},
            response_done(response_id, output=[{**item, "status": "completed", "content": content}], **fields),
        ]


@asynccontextmanager
async def serving(server: Server | None = None, **options: Any) -> AsyncIterator[tuple[Talk, Server]]:
    """A session with such a server; `options` go to `talking`."""
    made = server or Server()
    transport, door = memory_pair()

    async def answer_the_door() -> None:
        while True:
            _, channel = await door.accept()
            await made.serve(channel)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer_the_door)
        async with talking(transport=transport, **options) as talk:
            yield talk, made
        tasks.cancel_scope.cancel()
