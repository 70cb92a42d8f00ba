"""A transcription stream under test: what it told, what went over the wire, and servers that do as they are told.

@BACKENDS
def test_...(backend):
    async def main():
        async with listening() as ears:
            await ears.speak("Hello there.")
            done = await ears.stt.finish()
    run(main, backend)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from tests.tapes import BACKENDS
from xai_realtime import AsyncClient
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator, SpeechQuirks
from xai_realtime.errors import ConnectionClosedError
from xai_realtime.frames import Frame
from xai_realtime.protocol.policy import Reconnect
from xai_realtime.protocol.stt_events import SttEvent
from xai_realtime.stt.stream import SttStream
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.transport.memory import MemoryChannel, memory_pair
from xai_realtime.virtual_time import run_virtual

__all__ = [
    "AT_ONCE",
    "BACKENDS",
    "CREATED",
    "FRAME",
    "HEARD_NOTHING",
    "Ears",
    "Wiretap",
    "emulator",
    "listening",
    "partial",
    "run",
    "said",
    "serving",
]

E = TypeVar("E")
RATE_HZ = 16_000
PATIENCE_S = 200.0
"""Of virtual time: what has not come by then will not come."""
AT_ONCE = Reconnect(first_delay_s=0)
FRAME = b"\x00\x20" * 1_600
"""100 ms of loud audio."""
CREATED = {"type": "transcript.created", "id": "0d6e4f51-9d0e-4a3c-8b6d-9f103f0e7e3c"}
HEARD_NOTHING = {"type": "transcript.done", "text": "", "words": [], "duration": 0.0}


def run(main: Callable[[], Awaitable[Any]], backend: str) -> Any:
    """Run in virtual time, within an hour of it."""

    async def bounded() -> Any:
        with anyio.fail_after(3_600):
            return await main()

    return run_virtual(bounded, backend=backend)  # type: ignore[arg-type]


def said(*texts: str, rate_hz: int = RATE_HZ, after_ms: float = 700) -> bytes:
    """Spoken texts, each with silence behind it, as PCM."""
    return b"".join(speak(text, sample_rate_hz=rate_hz) + silence(after_ms, rate_hz) for text in texts)


def emulator(**quirks: Any) -> Emulator:
    """An emulator whose ears have these quirks."""
    return Emulator(seed=1, speech=SpeechQuirks(**quirks))


def partial(text: str, start: float, end: float, *, is_final: bool = True, speech_final: bool = True) -> dict[str, Any]:
    """A partial about the text, one word in that time."""
    words = [{"text": text, "start": start, "end": end}]
    times = {"start": start, "duration": end - start}
    return {
        "type": "transcript.partial",
        "text": text,
        "words": words,
        "is_final": is_final,
        "speech_final": speech_final,
        **times,
    }


class Wiretap(Transport):
    """Another transport, with an eye on what is asked for and sent. `sent` has the frames of each connection."""

    needs_key = False

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.requests: list[ChannelRequest] = []
        self.opened_s: list[float] = []
        self.sent: list[list[Frame]] = []
        self.open_now = 0

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        """Open a channel."""
        self.requests.append(request)
        self.opened_s.append(anyio.current_time())
        async with self._inner.open(request) as channel:
            self.sent.append([])
            self.open_now += 1
            try:
                yield Tapped(channel, self.sent[-1])
            finally:
                self.open_now -= 1

    def audio(self, connection: int) -> bytes:
        """The audio that a connection was sent, from 1."""
        return b"".join(frame.data for frame in self.sent[connection - 1] if not frame.is_text)

    def wishes(self, connection: int) -> list[dict[str, Any]]:
        """The JSON that a connection was sent."""
        return [json.loads(frame.data) for frame in self.sent[connection - 1] if frame.is_text]


class Tapped(Channel):
    """One connection of it."""

    def __init__(self, inner: Channel, sent: list[Frame]) -> None:
        self._inner = inner
        self._sent = sent

    async def send(self, frame: Frame) -> None:
        self._sent.append(frame)
        await self._inner.send(frame)

    async def receive(self) -> Frame:
        return await self._inner.receive()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.aclose(code, reason)


class Ears:
    """A stream under test. `told` are its events."""

    def __init__(self, stt: SttStream, tap: Wiretap) -> None:
        self.stt = stt
        self.tap = tap
        self.told: list[SttEvent] = []
        self.at_s: list[float] = []
        self.error: Exception | None = None
        self.has_ended = False
        self._news = anyio.Event()

    async def read(self) -> None:
        """Read the stream to its end."""
        try:
            async for event in self.stt:
                self.told.append(event)
                self.at_s.append(anyio.current_time())
                self._tell()
        except Exception as error:  # noqa: BLE001 - tests look at it
            self.error = error
        self.has_ended = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def next(self, kind: type[E], count: int = 1) -> E:
        """Wait for so many events of a kind; the last of them."""
        with anyio.fail_after(PATIENCE_S):
            while len(self.of(kind)) < count:
                assert not self.has_ended, f"the stream ended ({self.error!r}) after {self.kinds}"
                await self._news.wait()
        return self.of(kind)[count - 1]

    async def ended(self) -> Exception | None:
        """Wait for the end; what broke it."""
        with anyio.fail_after(PATIENCE_S):
            while not self.has_ended:
                await self._news.wait()
        return self.error

    def of(self, kind: type[E]) -> list[E]:
        """The events of a kind so far."""
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """The kinds of all events."""
        return [type(event).__name__ for event in self.told]

    async def speak(self, *texts: str, after_ms: float = 700) -> None:
        """Say something, in real time."""
        await self.stt.send(said(*texts, after_ms=after_ms), pace=True)


@asynccontextmanager
async def listening(
    transport: Transport | Emulator | None = None, *plan: Fault, reads: bool = True, **options: Any
) -> AsyncIterator[Ears]:
    """A stream against the emulator in process, or over another transport. `plan` breaks its line."""
    inner = transport if isinstance(transport, Transport) else (transport or emulator()).transport()
    tap = Wiretap(faults(inner, plan) if plan else inner)
    async with AsyncClient(transport=tap) as client, client.stt.stream(**options) as stt:
        ears = Ears(stt, tap)
        async with anyio.create_task_group() as tasks:
            if reads:
                tasks.start_soon(ears.read)
            yield ears
            tasks.cancel_scope.cancel()


class Peer:
    """The server's end of one connection."""

    def __init__(self, end: MemoryChannel, number: int) -> None:
        self.end = end
        self.number = number
        self.audio = b""

    async def say(self, *events: dict[str, Any]) -> None:
        """Send events."""
        for event in events:
            await self.end.send(Frame(json.dumps(event).encode()))

    async def hear(self, audio_bytes: int) -> None:
        """Take in audio until there was so much."""
        while len(self.audio) < audio_bytes:
            frame = await self.end.receive()
            self.audio += b"" if frame.is_text else frame.data

    async def wish(self) -> str:
        """Take in everything until the next JSON; its type."""
        while True:
            frame = await self.end.receive()
            if frame.is_text:
                return str(json.loads(frame.data)["type"])
            self.audio += frame.data

    async def drain(self) -> None:
        """Take in everything until the line is over."""
        while True:
            frame = await self.end.receive()
            self.audio += b"" if frame.is_text else frame.data


@asynccontextmanager
async def serving(script: Callable[[Peer], Awaitable[None]], buffer: int = 64) -> AsyncIterator[Transport]:
    """A transport to a server that does as `script` says on each connection, whose number it is told, from 1."""
    transport, door = memory_pair(buffer=buffer)

    async def hold(peer: Peer) -> None:
        try:
            await script(peer)
        except ConnectionClosedError:
            return

    async with anyio.create_task_group() as tasks:

        async def accept() -> None:
            number = 0
            while True:
                number += 1
                tasks.start_soon(hold, Peer((await door.accept())[1], number))

        tasks.start_soon(accept)
        yield transport
        tasks.cancel_scope.cancel()
