"""Speeches against the emulator, or a server made by hand: what was heard, what went over which socket.

@BACKENDS
def test_...(backend):
    async def main():
        async with mouth() as talk:
            assert await talk.heard("Hello there.") == "Hello there."
    run(main, backend)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.tapes import BACKENDS
from xai_realtime import AsyncClient
from xai_realtime.audible import hear
from xai_realtime.audio import to_pcm16
from xai_realtime.emulator import Emulator, SpeechQuirks
from xai_realtime.events._base import encode_audio
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.transport.memory import MemoryChannel, memory_pair
from xai_realtime.tts.config import TtsConfig
from xai_realtime.tts.policy import TtsPolicy
from xai_realtime.tts.stream import TtsStream
from xai_realtime.virtual_time import run_virtual

__all__ = ["BACKENDS", "LINES", "Mouth", "Wire", "audio", "gather", "mouth", "run", "served", "writing"]

LINES = ("Good morning to you.", "The train leaves at nine.", "See you soon.")


def run(main: Callable[[], Awaitable[Any]], backend: str) -> Any:
    """Run in virtual time."""
    return run_virtual(main, backend=backend)  # type: ignore[arg-type]


class Wire(Transport):
    """Notes what goes over each socket: `requests`, `frames` as (conn, direction, message, seconds), `open_now`."""

    needs_key = False

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.requests: list[ChannelRequest] = []
        self.frames: list[tuple[int, str, dict[str, Any], float]] = []
        self.open_now = 0
        self.most_open = 0

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        self.requests.append(request)
        conn = len(self.requests)
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            async with self._inner.open(request) as channel:
                yield _Tapped(channel, conn, self)
        finally:
            self.open_now -= 1

    def sent(self, conn: int | None = None) -> list[str]:
        """The types of what was sent."""
        return [message["type"] for on, way, message, _ in self.frames if way == "out" and conn in (None, on)]

    def received(self, conn: int | None = None) -> list[str]:
        """The types of what came."""
        return [message["type"] for on, way, message, _ in self.frames if way == "in" and conn in (None, on)]

    def text(self, conn: int | None = None) -> str:
        """The text that was sent."""
        found = (message.get("delta", "") for on, way, message, _ in self.frames if way == "out" and conn in (None, on))
        return "".join(found)


class _Tapped(Channel):
    def __init__(self, inner: Channel, conn: int, wire: Wire) -> None:
        self._inner, self._conn, self._wire = inner, conn, wire

    def _note(self, way: str, frame: Frame) -> None:
        try:
            message = json.loads(frame.data)
        except ValueError:
            message = {"type": "(no JSON)"}
        if not isinstance(message, dict) or "type" not in message:
            message = {"type": "(no type)"}
        self._wire.frames.append((self._conn, way, message, anyio.current_time()))

    async def send(self, frame: Frame) -> None:
        self._note("out", frame)
        await self._inner.send(frame)

    async def receive(self) -> Frame:
        frame = await self._inner.receive()
        self._note("in", frame)
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.aclose(code, reason)


class Mouth:
    """A client that speaks, and the wire below it."""

    def __init__(self, client: AsyncClient, wire: Wire) -> None:
        self.client = client
        self.wire = wire

    def stream(self, text: Any, config: TtsConfig | None = None, **options: Any) -> TtsStream:
        """A speech that has not begun."""
        return self.client.tts.stream(text, config, **options)

    async def heard(self, text: Any, config: TtsConfig | None = None, **options: Any) -> str | None:
        """Speak to the end; the words as a listener hears them."""
        speech = self.stream(text, config, **options)
        return listen(await gather(speech), speech.config)


def listen(sound: bytes, config: TtsConfig) -> str | None:
    """The words in raw audio."""
    encoding = {"mulaw": "pcmu", "alaw": "pcma"}.get(config.codec, config.codec)
    return hear(to_pcm16(sound, encoding), sample_rate_hz=config.sample_rate)


async def gather(speech: TtsStream) -> bytes:
    """All audio of a speech."""
    with anyio.fail_after(600):
        return b"".join([chunk async for chunk in speech])


@asynccontextmanager
async def mouth(
    *plan: Fault, policy: TtsPolicy | None = None, pace: str = "real", inner: Transport | None = None, **quirks: Any
) -> AsyncIterator[Mouth]:
    """A client at the emulator in process; `plan` breaks its line, `quirks` are those of SpeechQuirks."""
    emulator = Emulator(seed=1, pace=pace, speech=SpeechQuirks(**quirks))  # type: ignore[arg-type]
    line = inner or emulator.transport()
    wire = Wire(faults(line, plan) if plan else line)
    async with AsyncClient(transport=wire, tts_policy=policy) as client:
        yield Mouth(client, wire)
    assert wire.open_now == 0, "a socket outlived the client"


def audio(samples: bytes = b"\x01\x00" * 240, **fields: Any) -> dict[str, Any]:
    """An `audio.delta`."""
    return {"type": "audio.delta", "delta": encode_audio(samples), **fields}


class Peer:
    """The server's end of a socket, in objects."""

    def __init__(self, channel: MemoryChannel, conn: int) -> None:
        self.channel = channel
        self.conn = conn

    async def say(self, *messages: dict[str, Any] | bytes) -> None:
        """Send messages."""
        for message in messages:
            data = message if isinstance(message, bytes) else json.dumps(message).encode()
            await self.channel.send(Frame(data))

    async def until(self, kind: str) -> dict[str, Any]:
        """Read to the next message of this type."""
        while True:
            message: dict[str, Any] = json.loads((await self.channel.receive()).data)
            if message["type"] == kind:
                return message

    async def rest(self) -> None:
        """Read until the client goes."""
        while True:
            await self.channel.receive()


@asynccontextmanager
async def served(
    handler: Callable[[Peer], Awaitable[None]], *, policy: TtsPolicy | None = None
) -> AsyncIterator[Mouth]:
    """A client at a server made by hand; its socket closes when the handler returns."""
    from xai_realtime.errors import ConnectionClosedError

    transport, server = memory_pair()

    async def hold(channel: MemoryChannel, conn: int) -> None:
        try:
            await handler(Peer(channel, conn))
            await channel.aclose()
        except ConnectionClosedError:
            pass

    async def accept() -> None:
        conn = 0
        while True:
            _, channel = await server.accept()
            conn += 1
            tasks.start_soon(hold, channel, conn)

    wire = Wire(transport)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(accept)
        async with AsyncClient(transport=wire, tts_policy=policy) as client:
            yield Mouth(client, wire)
        tasks.cancel_scope.cancel()
    assert wire.open_now == 0, "a socket outlived the client"


class writing:
    """A text that is written piece by piece, a piece every `pause_s`; `closed_s` is when its iterator was closed."""

    def __init__(self, *pieces: Any, pause_s: float = 0.0) -> None:
        self.pieces = pieces
        self.pause_s = pause_s
        self.given: list[Any] = []
        self.closed_s: float | None = None

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for piece in self.pieces:
                await anyio.sleep(self.pause_s)
                self.given.append(piece)
                yield piece
        finally:
            self.closed_s = anyio.current_time()
