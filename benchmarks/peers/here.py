"""This library, measured like the others. In, out: see `worker`. Imports: xai_realtime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

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
from xai_realtime import AsyncClient, AudioOutput, Frame, ResponseDone, SessionPolicy
from xai_realtime.codec import realtime_codec
from xai_realtime.events.realtime import ResponseOutputAudioDelta

__all__ = ["MEASURES"]


@asynccontextmanager
async def parse(job: Job) -> AsyncIterator[Sides]:
    """`Codec.decode` of a frame, and `ResponseOutputAudioDelta.audio`."""

    async def client() -> None:
        for row in job.rows:
            event = realtime_codec.decode(Frame(row))
            if isinstance(event, ResponseOutputAudioDelta):
                event.audio  # noqa: B018

    yield Sides(parsing(job.rows), client, len(job.rows))


@asynccontextmanager
async def unread(job: Job) -> AsyncIterator[Sides]:
    """`Codec.decode` of a frame."""

    async def client() -> None:
        for row in job.rows:
            realtime_codec.decode(Frame(row))

    yield Sides(parsing(job.rows), client, len(job.rows))


@asynccontextmanager
async def receive(job: Job) -> AsyncIterator[Sides]:
    """`RealtimeConnection.receive`, and `ResponseOutputAudioDelta.audio`."""
    count = len(job.rows)
    async with raw_socket(job.port, "feed") as raw, AsyncClient(api_key="bench") as sdk:
        async with sdk.realtime.connect(url=f"ws://127.0.0.1:{job.port}/feed", api_key="bench") as connection:

            async def client() -> None:
                await connection.send({"type": "go"})
                for _ in range(count):
                    event = await connection.receive()
                    if isinstance(event, ResponseOutputAudioDelta):
                        event.audio  # noqa: B018

            yield Sides(raw_receive(raw, count), client, count)


@asynccontextmanager
async def session(job: Job) -> AsyncIterator[Sides]:
    """The events of `RealtimeSession` for one answer with `AudioOutput.audio`, its playback reported."""
    count = len(job.rows)
    policy = SessionPolicy(playback="reported", reconnect=None)
    url = f"ws://127.0.0.1:{job.port}/talk"
    async with raw_socket(job.port, "feed") as raw, AsyncClient(api_key="bench") as sdk:
        async with sdk.realtime.session(url=url, api_key="bench", policy=policy) as talk:

            async def client() -> None:
                await talk.send_text("go", respond=False)
                async for event in talk:
                    if isinstance(event, AudioOutput):
                        event.audio  # noqa: B018
                    elif isinstance(event, ResponseDone):
                        break
                await talk.played(ms=60_000)

            yield Sides(raw_receive(raw, count), client, count)


@asynccontextmanager
async def send(job: Job) -> AsyncIterator[Sides]:
    """`RealtimeConnection.send_audio`."""
    async with raw_socket(job.port, "sink") as raw, AsyncClient(api_key="bench") as sdk:
        async with sdk.realtime.connect(url=f"ws://127.0.0.1:{job.port}/sink", api_key="bench") as connection:

            async def client() -> None:
                for _ in range(SEND_FRAMES):
                    await connection.send_audio(job.frame)

            yield Sides(raw_append(raw, job.frame), client, SEND_FRAMES)


@asynccontextmanager
async def chat(job: Job) -> AsyncIterator[Sides]:
    """`client.chat.stream`, every delta of it."""
    url = f"http://127.0.0.1:{job.port}/v1"
    async with httpx2.AsyncClient() as raw, AsyncClient(api_key="bench") as sdk:

        async def client() -> None:
            async with sdk.chat.stream("grok-4.6", "go", url=url, api_key="bench") as stream:
                async for delta in stream:
                    delta.kind  # noqa: B018

        yield Sides(raw_chat(raw, url), client, len(await chat_stream(raw, url)))


MEASURES = {"parse": parse, "unread": unread, "receive": receive, "session": session, "send": send, "chat": chat}

if __name__ == "__main__":
    main(MEASURES)
