"""A session against the emulator in virtual time: what it told, what went over the wire, what was heard.

@BACKENDS
def test_...(backend):
    async def main():
        async with talking({"hello": "Hello there"}) as talk:
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)
    run(main, backend)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from tests.tapes import BACKENDS
from xai_realtime import AsyncClient
from xai_realtime.audible import hear, speak
from xai_realtime.audio import silence, to_pcm16
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.scenario import Prompt, Turn
from xai_realtime.events.realtime import InputAudioBufferAppend
from xai_realtime.protocol.session_events import AudioOutput, SessionEvent
from xai_realtime.realtime.session import RealtimeSession
from xai_realtime.transport.base import Transport
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.virtual_time import run_virtual

__all__ = ["BACKENDS", "FRAME_MS", "Talk", "run", "scripted", "talking", "utterance"]

E = TypeVar("E")
RATE_HZ = 24_000
FRAME_MS = 20
PATIENCE_S = 120.0
"""Of virtual time: what has not come by then will not come."""


def run(main: Callable[[], Awaitable[Any]], backend: str) -> Any:
    """Run in virtual time, so that minutes of talk take milliseconds and every run is the same."""
    return run_virtual(main, backend=backend)  # type: ignore[arg-type]


def utterance(text: str, after_ms: float = 1_500) -> bytes:
    """A spoken text with silence behind it, as 24 kHz PCM."""
    return speak(text, sample_rate_hz=RATE_HZ) + silence(after_ms, RATE_HZ)


def scripted(turns: Mapping[str, Turn | str]) -> Callable[[Prompt], Turn | str]:
    """A scenario that answers these words, and repeats what it hears otherwise."""
    return lambda prompt: turns.get(prompt.heard, f"You said: {prompt.heard}")


class Talk:
    """A session under test. `told` are its events with their time in ms, `sent` and `received` those of the wire."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.told: list[tuple[float, SessionEvent]] = []
        self.sent: list[Any] = []
        self.received: list[Any] = []
        self.error: Exception | None = None
        self.has_ended = False
        self._news = anyio.Event()
        self._seen = 0

    async def read(self) -> None:
        """Read the session to its end."""
        try:
            async for event in self.session:
                self.told.append((anyio.current_time() * 1000, event))
                self._tell()
        except Exception as error:  # noqa: BLE001 - tests look at it
            self.error = error
        self.has_ended = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until it holds; what it gave."""
        with anyio.fail_after(PATIENCE_S):
            while not (found := condition()):
                assert not self.has_ended, f"the session ended ({self.error!r}) after {self.kinds}"
                await self._news.wait()
        return found

    async def next(self, kind: type[E], **fields: Any) -> E:
        """The next event of a kind that was not given out before, with these fields; also one that came already."""

        def found() -> E | None:
            for place in range(self._seen, len(self.told)):
                event = self.told[place][1]
                if isinstance(event, kind) and all(getattr(event, name) == fields[name] for name in fields):
                    self._seen = place + 1
                    return event
            return None

        event: E = await self.until(found)
        return event

    async def ended(self) -> Exception | None:
        """Wait for the end of the session; what broke it."""
        with anyio.fail_after(PATIENCE_S):
            while not self.has_ended:
                await self._news.wait()
        return self.error

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for _, event in self.told if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """The kinds of all events, audio left out."""
        return [type(event).__name__ for _, event in self.told if not isinstance(event, AudioOutput)]

    def audio(self, response_id: str | None = None) -> bytes:
        """The agent's audio."""
        chunks = self.of(AudioOutput)
        return b"".join(chunk.audio for chunk in chunks if response_id in (None, chunk.response_id))

    def heard(self, encoding: str = "pcm", rate_hz: int = RATE_HZ) -> str | None:
        """The words in the agent's audio, as a listener hears them."""
        return hear(to_pcm16(self.audio(), encoding), sample_rate_hz=rate_hz)

    def sent_types(self, *, audio: bool = False) -> list[str]:
        """The types of what was sent, microphone audio left out unless asked for."""
        kinds = [event["type"] if isinstance(event, dict) else event.type for event in self.sent]
        return kinds if audio else [kind for kind in kinds if kind not in ("input_audio_buffer.append", "(binary)")]

    def sent_of(self, kind: type[E]) -> list[E]:
        """What was sent of one class of the wire."""
        return [event for event in self.sent if isinstance(event, kind)]

    def microphone_bytes(self) -> bytes:
        """All microphone audio that was sent as JSON, also what was sent again."""
        return b"".join(event.decoded_audio for event in self.sent if isinstance(event, InputAudioBufferAppend))

    async def speak(self, text: str, after_ms: float = 1_500, *, frame_ms: int = FRAME_MS) -> None:
        """Say something into the microphone, in real time."""
        await self.stream(utterance(text, after_ms), frame_ms=frame_ms)

    async def stream(self, pcm: bytes, *, frame_ms: int = FRAME_MS) -> None:
        """Give audio as a microphone does."""
        size = RATE_HZ * 2 * frame_ms // 1000
        for at in range(0, len(pcm), size):
            await self.session.send_audio(pcm[at : at + size])
            await anyio.sleep(frame_ms / 1000)


@asynccontextmanager
async def talking(
    scenario: Any = None,
    *plan: Fault,
    emulator: Emulator | None = None,
    transport: Transport | None = None,
    reads: bool = True,
    **options: Any,
) -> AsyncIterator[Talk]:
    """A session against the emulator in process. `plan` breaks its line; `options` go to `client.realtime.session`.

    A mapping as scenario answers its words. `emulator` or `transport` replace the emulator that is made here.
    """
    if isinstance(scenario, Mapping):
        scenario = scripted(scenario)
    inner = transport or (emulator or Emulator(scenario, seed=1)).transport()
    sent: list[Any] = []
    received: list[Any] = []
    given = options.pop("observer", None)

    def observe(direction: str, event: Any) -> None:
        (sent if direction == "out" else received).append(event)
        if given is not None:
            given(direction, event)

    async with AsyncClient(transport=faults(inner, plan) if plan else inner) as client:
        async with client.realtime.session(observer=observe, **options) as session:
            talk = Talk(session)
            talk.sent, talk.received = sent, received
            async with anyio.create_task_group() as tasks:
                if reads:
                    tasks.start_soon(talk.read)
                yield talk
                tasks.cancel_scope.cancel()
