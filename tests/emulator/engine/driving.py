"""A client without a socket: it drives an engine on a clock that jumps, and keeps what came with its time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xai_realtime.audible import hear, speak
from xai_realtime.audio import from_pcm16, silence, to_pcm16
from xai_realtime.codec import realtime_codec
from xai_realtime.emulator.engine import Engine, Hangup
from xai_realtime.emulator.scenario import Prompt, Turn
from xai_realtime.emulator.world import World
from xai_realtime.events._base import InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.protocol.conversation import Conversation

__all__ = ["MANUAL", "VAD", "Call", "say", "scripted", "sequence"]

VAD: dict[str, Any] = {
    "turn_detection": {"type": "server_vad"},
    "audio": {"input": {"transcription": {"model": "grok-transcribe"}}},
}
MANUAL: dict[str, Any] = {
    "turn_detection": {"type": None},
    "audio": {"input": {"transcription": {"model": "grok-transcribe"}}},
}
RUNS = (
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "conversation.item.input_audio_transcription.updated",
    "(binary)",
)


def scripted(turns: Mapping[str, Turn | str | None]) -> Callable[[Prompt], Turn | str | None]:
    """A scenario that answers exactly these words; anything else is a KeyError."""
    return lambda prompt: turns[prompt.heard]


def say(text: str, *, rate_hz: int = 24_000, encoding: str = "pcm", after_ms: float = 600) -> bytes:
    """A spoken text with silence behind it, in the encoding of the wire."""
    pcm = speak(text, sample_rate_hz=rate_hz) + silence(after_ms, rate_hz)
    return from_pcm16(pcm, encoding)


def sequence(types: Iterable[str]) -> list[str]:
    """Event types, runs of one streamed type counted as one."""
    kept: list[str] = []
    for name in types:
        if name not in RUNS or not kept or kept[-1] != name:
            kept.append(name)
    return kept


class Call:
    """One connection to an engine. `events` are the JSON events with their time, `binary` the binary messages."""

    def __init__(
        self,
        scenario: Any = None,
        *,
        world: World | None = None,
        query: Mapping[str, str] | None = None,
        now_ms: float = 0.0,
        session: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.world = world or World(scenario, **{"seed": 1, **settings})
        self.now_ms = now_ms
        self.engine = Engine(self.world, query or {}, now_ms)
        self.frames: list[tuple[float, Frame]] = []
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.hangup: Hangup | None = None
        self.conversation = Conversation()
        self.take()
        if session is not None:
            self.send({"type": "session.update", "session": dict(session)})
            self.take()

    def take(self) -> None:
        """Fetch what is due now."""
        for frame in self.engine.take(self.now_ms):
            assert self.hangup is None, "nothing comes after the end"
            if isinstance(frame, Hangup):
                self.hangup = frame
                continue
            self.frames.append((self.now_ms, frame))
            event = realtime_codec.decode(frame)
            self.conversation.receive(event)
            if self.world.dialect == "xai":
                assert not isinstance(event, UnknownEvent | InvalidEvent), frame.data[:400]
            if frame.is_text:
                self.events.append((self.now_ms, json.loads(frame.data)))

    def send(self, *events: Mapping[str, Any] | Frame) -> None:
        """Send events, or frames as they are."""
        for event in events:
            frame = event if isinstance(event, Frame) else Frame(json.dumps(event).encode())
            self.engine.receive(frame, self.now_ms)

    def run(self, for_ms: float = 60_000.0) -> Call:
        """Let time pass; fetch everything at its time."""
        end_ms = self.now_ms + for_ms
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.take()
        self.now_ms = end_ms
        return self

    def append(self, audio: bytes) -> None:
        """Send audio at once."""
        self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()})

    def stream(self, audio: bytes, *, chunk_ms: float = 100.0, bytes_per_ms: float = 48.0) -> None:
        """Send audio as a microphone does."""
        size = int(chunk_ms * bytes_per_ms)
        for at in range(0, len(audio), size):
            self.append(audio[at : at + size])
            self.run(chunk_ms)

    def write(self, text: str, *, respond: bool = True, **more: Any) -> None:
        """A text of the user, and the wish for a reply."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}
        self.send({"type": "conversation.item.create", "item": item})
        if respond:
            self.send({"type": "response.create"})

    def bring(self, call_id: str, output: str, *, respond: bool = True) -> None:
        """The output of a call."""
        item = {"type": "function_call_output", "call_id": call_id, "output": output}
        self.send({"type": "conversation.item.create", "item": item})
        if respond:
            self.send({"type": "response.create"})

    @property
    def types(self) -> list[str]:
        """The types of all events."""
        return [event["type"] for _, event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for _, event in self.events if event["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        """The last event of one type."""
        return self.of(kind)[-1]

    def at(self, kind: str) -> list[float]:
        """When the events of one type came."""
        return [at_ms for at_ms, event in self.events if event["type"] == kind]

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.events.clear()
        self.frames.clear()

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The bodies of the errors."""
        return [event["error"] for event in self.of("error")]

    @property
    def binary(self) -> bytes:
        """All binary messages."""
        return b"".join(frame.data for _, frame in self.frames if not frame.is_text)

    def spoken(self, item_id: str | None = None) -> bytes:
        """The audio of one item, or of all."""
        deltas = self.of("response.output_audio.delta")
        return b"".join(base64.b64decode(d["delta"]) for d in deltas if item_id in (None, d["item_id"]))

    def heard(self, *, rate_hz: int = 24_000, encoding: str = "pcm") -> str | None:
        """What a listener hears of the audio."""
        return hear(to_pcm16(self.spoken() or self.binary, encoding), sample_rate_hz=rate_hz)
