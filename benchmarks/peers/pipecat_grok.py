"""pipecat's Grok realtime service, alone and in a pipeline. In, out: see `worker`. Imports: pipecat.

Its log is switched off, which by default goes to standard error and would cost it more.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger  # type: ignore[import-not-found]
from pipecat.frames.frames import (  # type: ignore[import-not-found]
    EndFrame,
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
)
from pipecat.pipeline.pipeline import Pipeline  # type: ignore[import-not-found]
from pipecat.pipeline.worker import PipelineWorker  # type: ignore[import-not-found]
from pipecat.services.xai.realtime import events  # type: ignore[import-not-found]
from pipecat.services.xai.realtime.llm import GrokRealtimeLLMService  # type: ignore[import-not-found]
from pipecat.utils.asyncio.task_manager import TaskManager  # type: ignore[import-not-found]
from pipecat.utils.base_object import BaseObject  # type: ignore[import-not-found]
from pipecat.workers.runner import WorkerRunner  # type: ignore[import-not-found]

from benchmarks.peers.worker import SEND_FRAMES, Job, Sides, main, parsing, raw_append, raw_receive, raw_socket

__all__ = ["MEASURES"]

AUDIO = "response.output_audio.delta"
RATE_HZ = 24_000


@asynccontextmanager
async def parse(job: Job) -> AsyncIterator[Sides]:
    """`events.parse_server_event`, and `base64.b64decode` of a delta as `_handle_evt_audio_delta` does."""

    async def client() -> None:
        for row in job.rows:
            event = events.parse_server_event(row)
            if event.type == AUDIO:
                base64.b64decode(event.delta)

    yield Sides(parsing(job.rows), client, len(job.rows))


@asynccontextmanager
async def unread(job: Job) -> AsyncIterator[Sides]:
    """`events.parse_server_event`."""

    async def client() -> None:
        for row in job.rows:
            events.parse_server_event(row)

    yield Sides(parsing(job.rows), client, len(job.rows))


class Counted:
    """A socket whose iteration ends after one workload, so that the receive loop returns."""

    def __init__(self, socket: Any, count: int) -> None:
        self._socket = socket
        self._count = count

    async def __aiter__(self) -> AsyncIterator[Any]:
        for _ in range(self._count):
            yield await self._socket.recv()

    async def send(self, message: str) -> None:
        await self._socket.send(message)


@asynccontextmanager
async def receive(job: Job) -> AsyncIterator[Sides]:
    """`GrokRealtimeLLMService._receive_task_handler` of a service that stands in no pipeline."""
    count = len(job.rows)
    async with raw_socket(job.port, "feed") as raw, raw_socket(job.port, "feed") as socket:
        service = GrokRealtimeLLMService(api_key="bench")
        await BaseObject.setup(service, TaskManager())
        service._ensure_audio_config(RATE_HZ, RATE_HZ)
        service._websocket = Counted(socket, count)

        async def client() -> None:
            await socket.send("go")
            await service._receive_task_handler()

        yield Sides(raw_receive(raw, count), client, count)


@asynccontextmanager
async def session(job: Job) -> AsyncIterator[Sides]:
    """The service in a pipeline of its own with the defaults, until its frames have reached the pipeline's end."""
    count = len(job.rows)
    service = GrokRealtimeLLMService(api_key="bench", base_url=f"ws://127.0.0.1:{job.port}/feed")
    worker = PipelineWorker(Pipeline([service]), cancel_on_idle_timeout=False)
    worker.set_reached_downstream_filter((LLMFullResponseEndFrame,))
    started, answered = asyncio.Event(), asyncio.Event()

    @worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
    async def on_started(worker: Any, frame: Any) -> None:
        started.set()

    @worker.event_handler("on_frame_reached_downstream")  # type: ignore[untyped-decorator]
    async def on_answered(worker: Any, frame: Any) -> None:
        answered.set()

    async def client() -> None:
        answered.clear()
        await service._websocket.send("go")
        await answered.wait()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await started.wait()
    async with raw_socket(job.port, "feed") as raw:
        yield Sides(raw_receive(raw, count), client, count)
    await worker.queue_frame(EndFrame())
    await running


@asynccontextmanager
async def send(job: Job) -> AsyncIterator[Sides]:
    """`GrokRealtimeLLMService._send_user_audio` of an `InputAudioRawFrame`; no pipeline brings it there."""
    async with raw_socket(job.port, "sink") as raw, raw_socket(job.port, "sink") as socket:
        service = GrokRealtimeLLMService(api_key="bench")
        service._websocket = socket
        service._api_session_ready = True

        async def client() -> None:
            for _ in range(SEND_FRAMES):
                await service._send_user_audio(InputAudioRawFrame(job.frame, RATE_HZ, 1))

        yield Sides(raw_append(raw, job.frame), client, SEND_FRAMES)


MEASURES = {"parse": parse, "unread": unread, "receive": receive, "session": session, "send": send}

if __name__ == "__main__":
    logger.remove()
    main(MEASURES)
