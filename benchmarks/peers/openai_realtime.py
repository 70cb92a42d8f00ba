"""The openai SDK's realtime connection and its chat. In, out: see `worker`. Imports: openai.

Its events carry the audio as base64 text; whoever wants PCM decodes it with the standard library, as its examples do.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI  # type: ignore[import-not-found]
from openai.resources.realtime.realtime import AsyncRealtimeConnection  # type: ignore[import-not-found]

from benchmarks.baselines import chat_stream
from benchmarks.peers.worker import (
    SEND_FRAMES,
    Job,
    Sides,
    main,
    parsing,
    raw_append,
    raw_chat,
    raw_receive,
    raw_socket,
)

__all__ = ["MEASURES"]

AUDIO = "response.output_audio.delta"


@asynccontextmanager
async def parse(job: Job) -> AsyncIterator[Sides]:
    """`AsyncRealtimeConnection.parse_event`, and `base64.b64decode` of a delta."""
    connection = AsyncRealtimeConnection(None)

    async def client() -> None:
        for row in job.rows:
            event = connection.parse_event(row)
            if event.type == AUDIO:
                base64.b64decode(event.delta)

    yield Sides(parsing(job.rows), client, len(job.rows))


@asynccontextmanager
async def unread(job: Job) -> AsyncIterator[Sides]:
    """`AsyncRealtimeConnection.parse_event`."""
    connection = AsyncRealtimeConnection(None)

    async def client() -> None:
        for row in job.rows:
            connection.parse_event(row)

    yield Sides(parsing(job.rows), client, len(job.rows))


def connected(port: int, path: str) -> Any:
    """A connection as `AsyncOpenAI.realtime.connect` makes it."""
    sdk = AsyncOpenAI(api_key="bench", websocket_base_url=f"ws://127.0.0.1:{port}/{path}")
    return sdk.realtime.connect(model="grok-voice-latest")


@asynccontextmanager
async def receive(job: Job) -> AsyncIterator[Sides]:
    """`AsyncRealtimeConnection.recv`, and `base64.b64decode` of a delta."""
    count = len(job.rows)
    async with raw_socket(job.port, "feed") as raw, connected(job.port, "feed") as connection:

        async def client() -> None:
            await connection.send_raw("go")
            for _ in range(count):
                event = await connection.recv()
                if event.type == AUDIO:
                    base64.b64decode(event.delta)

        yield Sides(raw_receive(raw, count), client, count)


@asynccontextmanager
async def send(job: Job) -> AsyncIterator[Sides]:
    """`AsyncRealtimeConnection.input_audio_buffer.append` of `base64.b64encode`."""
    async with raw_socket(job.port, "sink") as raw, connected(job.port, "sink") as connection:

        async def client() -> None:
            for _ in range(SEND_FRAMES):
                await connection.input_audio_buffer.append(audio=base64.b64encode(job.frame).decode())

        yield Sides(raw_append(raw, job.frame), client, SEND_FRAMES)


@asynccontextmanager
async def chat(job: Job) -> AsyncIterator[Sides]:
    """`AsyncOpenAI.chat.completions.create(stream=True)`, every delta of it."""
    import httpx2

    base_url = f"http://127.0.0.1:{job.port}/v1"
    url = f"{base_url}/chat/completions"
    messages = [{"role": "user", "content": "go"}]
    async with httpx2.AsyncClient() as raw, AsyncOpenAI(api_key="bench", base_url=base_url) as sdk:

        async def client() -> None:
            async for chunk in await sdk.chat.completions.create(model="grok-4.6", messages=messages, stream=True):
                if chunk.choices:
                    chunk.choices[0].delta  # noqa: B018

        yield Sides(raw_chat(raw, url), client, len(await chat_stream(raw, url)))


MEASURES = {"parse": parse, "unread": unread, "receive": receive, "send": send, "chat": chat}

if __name__ == "__main__":
    main(MEASURES)
