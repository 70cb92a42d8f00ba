"""livekit's xAI realtime session. In, out: see `worker`. Imports: livekit, livekit-plugins-xai.

The session makes an audio frame of every delta and puts it into a channel; nobody takes it out here, which would cost
it more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp  # type: ignore[import-not-found]
from livekit import rtc  # type: ignore[import-not-found]
from livekit.plugins.xai.realtime import RealtimeModel  # type: ignore[import-not-found]

from benchmarks.peers.worker import SEND_FRAMES, Job, Sides, main, parsing, raw_append, raw_receive, raw_socket

__all__ = ["MEASURES"]

RATE_HZ = 24_000
FRAME_BYTES = 2
MESSAGE_FRAMES = 5
"""It sends 100 ms at a time: five microphone frames."""


class Seen:
    """Waits until the session has taken up so many events of one kind."""

    def __init__(self, session: Any, name: str) -> None:
        self._left = 0
        self._done = asyncio.Event()
        session.on(name, self._on_event)

    def expect(self, count: int) -> None:
        self._left = count
        self._done.clear()

    async def wait(self) -> None:
        await self._done.wait()

    def _on_event(self, _: Any) -> None:
        self._left -= 1
        if self._left == 0:
            # The session goes on with this event when the callback has returned; waiters run after that.
            self._done.set()


class Fed:
    """Stands where aiohttp's socket stands: text messages as aiohttp hands them over, without a line."""

    def __init__(self) -> None:
        self._rows: Iterator[bytes] = iter(())
        self._more = asyncio.Event()

    def feed(self, rows: list[bytes]) -> None:
        self._rows = iter(rows)
        self._more.set()

    async def receive(self) -> Any:
        while True:
            row = next(self._rows, None)
            if row is not None:
                return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, row.decode(), None)
            self._more.clear()
            await self._more.wait()

    async def send_str(self, text: str) -> None:
        return None

    async def close(self) -> None:
        return None


@asynccontextmanager
async def opened(url: str, socket: Fed | None = None) -> AsyncIterator[Any]:
    """A session as `RealtimeModel.session` makes it; it connects by itself."""
    async with aiohttp.ClientSession() as http:
        model = RealtimeModel(api_key="bench", base_url=url, http_session=http)
        session = model.session()
        if socket is not None:

            async def connected() -> Fed:
                return socket

            session._create_ws_conn = connected
        try:
            yield session
        finally:
            await session.aclose()
            await model.aclose()


@asynccontextmanager
async def parse(job: Job) -> AsyncIterator[Sides]:
    """`RealtimeSession._run_ws`, its receive task, on a socket that hands over texts without a line."""
    socket = Fed()
    async with opened("ws://127.0.0.1", socket) as session:
        seen = Seen(session, "openai_server_event_received")

        async def client() -> None:
            seen.expect(len(job.rows))
            socket.feed(job.rows)
            await seen.wait()

        yield Sides(parsing(job.rows), client, len(job.rows))


@asynccontextmanager
async def receive(job: Job) -> AsyncIterator[Sides]:
    """`RealtimeSession._run_ws`, its receive task, on the socket that it opens."""
    count = len(job.rows)
    async with raw_socket(job.port, "feed") as raw, opened(f"ws://127.0.0.1:{job.port}/feed") as session:
        seen = Seen(session, "openai_server_event_received")

        async def client() -> None:
            seen.expect(count)
            session.send_event({"type": "go"})
            await seen.wait()

        yield Sides(raw_receive(raw, count), client, count)


@asynccontextmanager
async def send(job: Job) -> AsyncIterator[Sides]:
    """`RealtimeSession.push_audio`, which gathers 100 ms, until its send task has sent it all."""
    samples = len(job.frame) // FRAME_BYTES
    async with raw_socket(job.port, "sink") as raw, opened(f"ws://127.0.0.1:{job.port}/sink") as session:
        connected = Seen(session, "openai_client_event_queued")
        connected.expect(1)
        await connected.wait()
        sent = Seen(session, "openai_client_event_queued")

        async def client() -> None:
            sent.expect(SEND_FRAMES // MESSAGE_FRAMES)
            for _ in range(SEND_FRAMES):
                session.push_audio(rtc.AudioFrame(job.frame, RATE_HZ, 1, samples))
            await sent.wait()

        yield Sides(raw_append(raw, job.frame), client, SEND_FRAMES)


MEASURES = {"parse": parse, "receive": receive, "send": send}

if __name__ == "__main__":
    main(MEASURES)
