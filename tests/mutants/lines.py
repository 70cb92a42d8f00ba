"""A line that notes every message as JSON, with its time, and may alter what the server says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

__all__ = ["NotedLine", "Wire"]

Message = dict[str, Any]
Alter = Callable[[Message], Message]


@dataclass
class Wire:
    """What went over all connections: time in ms, `in` or `out`, the message, the number of the connection."""

    seen: list[tuple[float, str, Message, int]] = field(default_factory=list)

    def sent(self, name: str, conn: int | None = None) -> list[Message]:
        """What was sent of one type."""
        return [
            message
            for _, way, message, number in self.seen
            if way == "out" and message["type"] == name and conn in (None, number)
        ]

    def came(self, name: str) -> list[Message]:
        """What was received of one type."""
        return [message for _, way, message, _ in self.seen if way == "in" and message["type"] == name]

    def items(self, kind: str, conn: int | None = None) -> list[Message]:
        """The items of one type that were created, as they were sent."""
        created = self.sent("conversation.item.create", conn)
        return [message["item"] for message in created if message["item"]["type"] == kind]

    def order(self) -> list[str]:
        """`> type` for what was sent (with the type of an item), `< type` for what came."""
        order = []
        for _, way, message, _ in self.seen:
            name = message["item"]["type"] if message["type"] == CREATE else message["type"]
            order.append(f"{'>' if way == 'out' else '<'} {name}")
        return order


CREATE = "conversation.item.create"


class NotedLine(Transport):
    """Around another transport."""

    needs_key = False

    def __init__(self, inner: Transport, alter: Alter | None = None) -> None:
        self.wire = Wire()
        self.alter = alter
        self._inner = inner
        self._connections = 0

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open a channel whose messages are noted."""
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        async with self._inner.open(request) as inner:
            self._connections += 1
            yield NotedChannel(inner, self, self._connections)


class NotedChannel(Channel):
    """One connection."""

    def __init__(self, inner: Channel, line: NotedLine, number: int) -> None:
        self._inner = inner
        self._line = line
        self._number = number

    def _note(self, way: str, message: Message) -> None:
        self._line.wire.seen.append((anyio.current_time() * 1000, way, message, self._number))

    async def send(self, frame: Frame) -> None:
        """Send one message."""
        self._note("out", json.loads(frame.data))
        await self._inner.send(frame)

    async def receive(self) -> Frame:
        """The next message, perhaps altered."""
        frame = await self._inner.receive()
        message = json.loads(frame.data)
        if self._line.alter is not None:
            message = self._line.alter(message)
            frame = Frame(json.dumps(message).encode())
        self._note("in", message)
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close."""
        await self._inner.aclose(code, reason)
