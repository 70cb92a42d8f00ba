"""Clients without a socket: they drive the speech engines on a clock that jumps, and keep what came with its time."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from xai_realtime.audible import hear
from xai_realtime.audio import to_pcm16
from xai_realtime.codec import Codec, stt_codec, tts_codec
from xai_realtime.emulator.line import Hangup
from xai_realtime.emulator.speech_quirks import SpeechQuirks
from xai_realtime.emulator.stt_engine import SttEngine
from xai_realtime.emulator.tts_engine import TtsEngine
from xai_realtime.emulator.world import World
from xai_realtime.events._base import InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame

__all__ = ["SpeechCall", "SttCall", "TtsCall"]


class SpeechCall:
    """One connection to an engine. `events` are the JSON events with their time; all of them decode."""

    engine: SttEngine | TtsEngine
    codec: Codec[Any, Any]

    def __init__(self, *, scenario: Any = None, pace: str = "real", now_ms: float = 0.0, **quirks: Any) -> None:
        self.world = World(scenario, seed=1, pace=pace, speech=SpeechQuirks(**quirks))  # type: ignore[arg-type]
        self.now_ms = now_ms
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.hangup: Hangup | None = None

    def take(self) -> None:
        """Fetch what is due now."""
        for frame in self.engine.take(self.now_ms):
            assert self.hangup is None, "nothing comes after the end"
            if isinstance(frame, Hangup):
                self.hangup = frame
                continue
            event = self.codec.decode(frame)
            assert not isinstance(event, UnknownEvent | InvalidEvent), frame.data[:400]
            self.events.append((self.now_ms, json.loads(frame.data)))

    def send(self, *messages: Mapping[str, Any] | bytes | str) -> None:
        """Send messages: objects as JSON, bytes as binary messages, texts as they are."""
        for message in messages:
            if isinstance(message, bytes):
                frame = Frame(message, is_text=False)
            else:
                frame = Frame((message if isinstance(message, str) else json.dumps(message)).encode())
            self.engine.receive(frame, self.now_ms)
        self.take()

    def run(self, for_ms: float = 1000.0) -> None:
        """Let time pass; fetch everything at its time."""
        end_ms = self.now_ms + for_ms
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.take()
        self.now_ms = end_ms

    @property
    def types(self) -> list[str]:
        """The types of all events."""
        return [event["type"] for _, event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for _, event in self.events if event["type"] == kind]

    def at(self, kind: str) -> list[float]:
        """When the events of one type came."""
        return [at_ms for at_ms, event in self.events if event["type"] == kind]

    @property
    def errors(self) -> list[str]:
        """What the errors say."""
        return [event.get("message") or event["error"] for event in self.of("error")]


class SttCall(SpeechCall):
    """A transcription; unless told otherwise it has waited for `transcript.created`."""

    codec = stt_codec

    def __init__(self, query: Mapping[str, str] | None = None, *, waits: bool = True, **more: Any) -> None:
        super().__init__(**more)
        self.engine = SttEngine(self.world, query or {}, self.now_ms)
        if waits:
            self.run(1000)
            assert self.types == ["transcript.created"]

    def stream(self, audio: bytes, *, chunk_ms: float = 100.0, bytes_per_ms: float = 32.0) -> None:
        """Send audio as a microphone does."""
        size = int(chunk_ms * bytes_per_ms)
        for at in range(0, len(audio), size):
            self.send(audio[at : at + size])
            self.run(chunk_ms)

    def partials(self, is_final: bool | None = None, speech_final: bool | None = None) -> list[dict[str, Any]]:
        """The partials of one kind."""
        return [
            event
            for event in self.of("transcript.partial")
            if is_final in (None, event["is_final"]) and speech_final in (None, event["speech_final"])
        ]

    @property
    def interims(self) -> list[dict[str, Any]]:
        """Partials that may change."""
        return self.partials(False)

    @property
    def chunks(self) -> list[str]:
        """The texts of the chunk finals."""
        return [event["text"] for event in self.partials(True, False)]

    @property
    def finals(self) -> list[str]:
        """The texts of the utterances."""
        return [event["text"] for event in self.partials(True, True)]


class TtsCall(SpeechCall):
    """A socket that speaks, by default PCM of 24 kHz."""

    codec = tts_codec

    def __init__(self, query: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.engine = TtsEngine(self.world, {"language": "en", "codec": "pcm", **(query or {})}, self.now_ms)

    def write(self, *deltas: str, done: bool = True) -> None:
        """Text, and that it is complete."""
        self.send(*({"type": "text.delta", "delta": delta} for delta in deltas))
        if done:
            self.send({"type": "text.done"})

    def clear(self) -> None:
        """Give up what is spoken."""
        self.send({"type": "text.clear"})

    @property
    def chunks(self) -> list[bytes]:
        """The audio of each delta."""
        return [base64.b64decode(event["delta"]) for event in self.of("audio.delta")]

    @property
    def audio(self) -> bytes:
        """All audio."""
        return b"".join(self.chunks)

    def heard(self, *, rate_hz: int = 24_000, encoding: str = "pcm") -> str | None:
        """What a listener hears."""
        return hear(to_pcm16(self.audio, encoding), sample_rate_hz=rate_hz)

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self.events.clear()
