"""A session against a server that says exactly what the test wants, over memory, in virtual time.

async with served() as (talk, server):
    await talk.session.send_text("hello")
    await server.got("response.create")
    await server.say("response.created", response={"id": "resp-1"})
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.session.driving import PATIENCE_S, Talk, talking
from xai_realtime.errors import ConnectionClosedError
from xai_realtime.events._base import encode_audio
from xai_realtime.frames import Frame
from xai_realtime.transport.memory import MemoryChannel, MemoryServer, memory_pair

__all__ = ["Server", "served"]

GREETING = (
    {"type": "session.created", "session": {"id": "sess-1", "model": "grok-voice-latest"}},
    {"type": "conversation.created", "conversation": {"id": "conv-1"}},
)


class Server:
    """The other end. It greets and acknowledges configurations unless told not to; the rest is for the test to say.

    `heard` is what the client sent, parsed, on all connections; `said` what it was sent. `close` is how the last
    connection ended. Nothing is read until `hears` is set.
    """

    def __init__(self, door: MemoryServer, greeting: tuple[dict[str, Any], ...], acknowledges: bool) -> None:
        self._door = door
        self._greeting = greeting
        self._acknowledges = acknowledges
        self._channel: MemoryChannel | None = None
        self._news = anyio.Event()
        self.hears = anyio.Event()
        self.hears.set()
        self.heard: list[dict[str, Any]] = []
        self.said: list[Frame] = []
        self.close: ConnectionClosedError | None = None
        self.connections = 0

    async def serve(self) -> None:
        """Take one connection after the other."""
        while True:
            _, channel = await self._door.accept()
            self._channel = channel
            self.connections += 1
            for event in self._greeting:
                await self.send(event)
            try:
                while True:
                    await self.hears.wait()
                    await self._take(json.loads((await channel.receive()).data))
            except ConnectionClosedError as closed:
                self.close = closed
                self._tell()

    async def _take(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if message["type"] == "session.update" and self._acknowledges:
            await self.say("session.updated", session={})
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def send(self, event: dict[str, Any]) -> None:
        """Send an event as it is."""
        await self.send_frame(Frame(json.dumps(event).encode()))

    async def send_frame(self, frame: Frame) -> None:
        """Send a message, whatever it holds."""
        assert self._channel is not None
        self.said.append(frame)
        await self._channel.send(frame)

    async def say(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        await self.send({"type": kind, **fields})

    async def hang_up(self, code: int) -> None:
        """Close the line."""
        assert self._channel is not None
        await self._channel.aclose(code)

    def break_off(self) -> None:
        """Break the line."""
        assert self._channel is not None
        self._channel.break_off()

    async def got(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait until so many events of a type came; the last of them."""
        with anyio.fail_after(PATIENCE_S):
            while len(found := self.of(kind)) < count:
                await self._news.wait()
        return found[count - 1]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type that came."""
        return [message for message in self.heard if message["type"] == kind]

    def types(self) -> list[str]:
        """The types of everything that came after the configuration, microphone audio left out."""
        return [
            message["type"]
            for message in self.heard
            if message["type"] not in ("session.update", "input_audio_buffer.append")
        ]

    # A reply, in the order of the service

    async def begins(self, response_id: str, **fields: Any) -> None:
        """`response.created`."""
        await self.say("response.created", response={"id": response_id, "status": "in_progress", **fields})

    async def speaks(self, response_id: str, text: str, audio_ms: int = 100) -> None:
        """A message of a reply, with its words and its sound."""
        ids = {"response_id": response_id, "item_id": f"{response_id}-item"}
        item = {"id": ids["item_id"], "type": "message", "role": "assistant", "status": "in_progress"}
        await self.say("response.output_item.added", response_id=response_id, item=item, output_index=0)
        await self.say("conversation.item.added", item={**item, "content": []})
        await self.say("response.output_audio.delta", delta=encode_audio(bytes(48 * audio_ms)), **ids)
        await self.say("response.output_audio_transcript.delta", delta=text, **ids)

    async def ends(self, response_id: str, status: str = "completed", **fields: Any) -> None:
        """`response.done`."""
        await self.say("response.done", response={"id": response_id, "status": status, **fields})

    async def replies(self, response_id: str, text: str = "Yes.") -> None:
        """A whole reply."""
        await self.begins(response_id)
        await self.speaks(response_id, text)
        await self.ends(response_id)

    async def refuses(self, code: str, message: str = "no") -> None:
        """An `error` event."""
        await self.say("error", error={"type": "invalid_request_error", "code": code, "message": message})


@asynccontextmanager
async def served(
    *,
    greeting: tuple[dict[str, Any], ...] = GREETING,
    acknowledges: bool = True,
    buffer: int = 64,
    **options: Any,
) -> AsyncIterator[tuple[Talk, Server]]:
    """A session, and the server that it talks to; `options` are those of `talking`."""
    line, door = memory_pair(buffer=buffer)
    server = Server(door, greeting, acknowledges)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        async with talking(transport=line, **options) as talk:
            yield talk, server
        tasks.cancel_scope.cancel()
