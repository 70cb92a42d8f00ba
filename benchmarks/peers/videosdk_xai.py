"""videosdk's xAI realtime model. In, out: see `worker`. Imports: videosdk-agents, videosdk-plugins-xai.

It plays decoded audio into the track of a room. The track here only keeps the last bytes; the real one cuts them into
frames, which would cost it more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from videosdk.agents import audio_format  # type: ignore[import-not-found]
from videosdk.plugins.xai import XAIRealtime  # type: ignore[import-not-found]

from benchmarks.peers.worker import SEND_FRAMES, Job, Sides, main, parsing, raw_append, raw_receive, raw_socket

__all__ = ["MEASURES"]

RATE_HZ = 24_000


class Track:
    """Where the audio goes."""

    def __init__(self) -> None:
        self.audio = b""

    async def add_new_bytes(self, audio: bytes) -> None:
        self.audio = audio

    def mark_synthesis_complete(self) -> None:
        return None


def model_of(url: str) -> Any:
    """A model that hears 24 kHz mono and plays into the track."""
    audio_format.publish(RATE_HZ, 1)
    model = XAIRealtime(api_key="bench", base_url=url)
    model.audio_track = Track()
    model.loop = asyncio.get_running_loop()
    return model


@asynccontextmanager
async def parse(job: Job) -> AsyncIterator[Sides]:
    """`json.loads` and `XAIRealtime._handle_event`, as `_receive_loop` does, and the tasks it makes."""
    model = model_of("ws://127.0.0.1")

    async def client() -> None:
        for row in job.rows:
            await model._handle_event(json.loads(row))
        await asyncio.sleep(0)

    yield Sides(parsing(job.rows), client, len(job.rows))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    """A model with its send and receive loops running, as `XAIRealtime.connect` starts them."""
    model = model_of(url)
    model._session = await model._create_session(url, {"Authorization": "Bearer bench"})
    await model._handle_websocket(model._session)
    try:
        yield model
    finally:
        await model.aclose()


@asynccontextmanager
async def receive(job: Job) -> AsyncIterator[Sides]:
    """`XAIRealtime._receive_loop` until it says that the answer is complete."""
    count = len(job.rows)
    async with raw_socket(job.port, "feed") as raw, opened(f"ws://127.0.0.1:{job.port}/feed") as model:
        answered = asyncio.Event()

        def on_answered(_: Any) -> None:
            answered.set()

        model.on("llm_text_output", on_answered)

        async def client() -> None:
            answered.clear()
            await model.send_event({"type": "go"})
            await answered.wait()

        yield Sides(raw_receive(raw, count), client, count)


@asynccontextmanager
async def send(job: Job) -> AsyncIterator[Sides]:
    """`XAIRealtime.handle_audio_input` until its send loop has emptied the queue."""
    async with raw_socket(job.port, "sink") as raw, opened(f"ws://127.0.0.1:{job.port}/sink") as model:
        queue = model._session.msg_queue

        async def client() -> None:
            for _ in range(SEND_FRAMES):
                await model.handle_audio_input(job.frame)
            while not queue.empty():  # noqa: ASYNC110  (the queue of the client has nothing to wait for)
                await asyncio.sleep(0)

        yield Sides(raw_append(raw, job.frame), client, SEND_FRAMES)


MEASURES = {"parse": parse, "receive": receive, "send": send}

if __name__ == "__main__":
    main(MEASURES)
