"""A broken line to a server in this process, and what passes over it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from xai_realtime.errors import ConnectionClosedError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest
from xai_realtime.transport.faults import Fault, FaultTransport, faults
from xai_realtime.transport.memory import MemoryChannel, MemoryServer, memory_pair

__all__ = ["REQUEST", "all_types", "broken_line", "event", "kind_of", "line_of"]

REQUEST = ChannelRequest("wss://api.x.ai/v1/realtime")


def event(name: str, **fields: Any) -> Frame:
    """A text message with that type."""
    return Frame(json.dumps({"type": name, **fields}).encode())


def kind_of(frame: Frame) -> str:
    """The type of a message."""
    return str(json.loads(frame.data)["type"])


async def all_types(channel: Channel) -> tuple[list[str], ConnectionClosedError]:
    """The types of all that is received, and how the line ended."""
    types: list[str] = []
    while True:
        try:
            types.append(kind_of(await channel.receive()))
        except ConnectionClosedError as closed:
            return types, closed


@asynccontextmanager
async def line_of(*plan: Fault) -> AsyncIterator[tuple[FaultTransport, MemoryServer]]:
    """A broken transport and the server that it reaches, within five seconds."""
    inner, server = memory_pair()
    with anyio.fail_after(5):
        async with faults(inner, plan) as transport:
            yield transport, server


@asynccontextmanager
async def broken_line(*plan: Fault) -> AsyncIterator[tuple[FaultTransport, Channel, MemoryChannel]]:
    """A broken transport, its one open channel and the server's end of it, within five seconds."""
    async with line_of(*plan) as (transport, server), transport.open(REQUEST) as channel:
        _, peer = await server.accept()
        yield transport, channel, peer
