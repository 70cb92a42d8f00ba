"""The call that `demo` holds with the emulator. In: where to keep the tape, whom to tell. Out: what was said.

A whole voice call over a real socket, recorded: a spoken question, a preamble and a function call, a spoken answer
that is interrupted, a last word. Speech is audible text, so what is heard can be checked word by word.
Imports: rooms 0-7; the extra `emulator`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from xai_realtime import AsyncClient, Conversation, RealtimeConnection, WebSocketTransport, record
from xai_realtime.audible import hear, speak
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn
from xai_realtime.events import realtime as events
from xai_realtime.realtime.connection import ReceivedEvent

__all__ = ["DemoCall", "hold_demo_call"]

RATE_HZ: Final = 24_000
BYTES_A_MS: Final = RATE_HZ * 2 // 1000
CHUNK_MS: Final = 100
CALL_TIMEOUT_S: Final = 60.0
SILENCE_MS: Final = 300
HARBOUR: Final = "Porto"
QUESTION: Final = "When is high tide in Porto?"
INTERRUPTION: Final = "Thanks, that will do!"
FAREWELL: Final = "You are welcome."
TIDE: Final = "at 16:40, and it reaches 3.1 metres"
INTERRUPT_AFTER_MS: Final = 1_200

Tell = Callable[[str, str], None]


@dataclass(slots=True)
class DemoCall:
    """What came of it: the tape, the conversation as the client folded it, and what each reply was heard to say."""

    path: Path
    conversation: Conversation = field(default_factory=Conversation)
    heard: list[str] = field(default_factory=list)
    called: dict[str, str] = field(default_factory=dict)
    cut_at_ms: int | None = None


def scenario(prompt: Prompt) -> Turn:
    """What the other side says."""
    if "tide" in prompt.heard.lower():
        request = ToolRequest("look_up_tide", {"harbour": HARBOUR})
        answer = f"High tide in {HARBOUR} is {{output}}. The wind comes from the north, so mind the swell at the pier."
        return Turn(say="One moment, I look it up.", calls=(request,), then=answer)
    return Turn(say=FAREWELL)


async def hold_demo_call(path: Path, tell: Tell) -> DemoCall:
    """Hold the call and keep its tape at `path`; `tell(who, what)` hears of each step as it happens.

    Raises ConfigurationError without the extra `emulator`, TimeoutError after a minute. Cancelling is safe.
    """
    call = DemoCall(path)
    with anyio.fail_after(CALL_TIMEOUT_S):
        async with Emulator(scenario, seed=1) as emulator:
            tell("session", f"calling the emulator at {emulator.ws_url}/realtime")
            transport = record(path, WebSocketTransport(), origin="emulator", notes="The call of xai-realtime demo.")
            async with emulator.client(transport=transport) as client:
                await _Caller(call, client, tell).talk()
            call.path = transport.path
    return call


class _Caller:
    """The client's side of the call."""

    def __init__(self, call: DemoCall, client: AsyncClient, tell: Tell) -> None:
        self._call = call
        self._client = client
        self._tell = tell
        self._reply = bytearray()
        self._item: str | None = None
        self._cut_item: str | None = None

    async def talk(self) -> None:
        async with self._client.realtime.connect() as connection, aclosing(_received(connection, self._call)) as wire:
            async for event in wire:
                if isinstance(event, events.SessionCreated):
                    await connection.send(events.SessionUpdate(session=_session()))
                elif isinstance(event, events.SessionUpdated):
                    break
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._say, connection, QUESTION)
                async for event in wire:
                    await self._hear(event, connection, tasks.start_soon)
                    if self._call.heard[-1:] == [FAREWELL]:
                        break

    async def _hear(self, event: object, connection: RealtimeConnection, start: Callable[..., object]) -> None:
        if isinstance(event, events.ResponseOutputAudioDelta):
            await self._take_audio(event, connection, start)
        elif isinstance(event, events.InputAudioBufferSpeechStarted) and self._reply:
            await self._interrupt(connection)
        elif isinstance(event, events.ResponseFunctionCallArgumentsDone):
            self._tell("Grok", f"calls {event.name}({event.arguments})")
            self._call.called[event.call_id] = event.arguments
        elif isinstance(event, events.ResponseDone):
            self._finish_reply()
            if any(item.type == "function_call" for item in event.response.output or ()):
                await self._answer_calls(connection)

    async def _take_audio(
        self, event: events.ResponseOutputAudioDelta, connection: RealtimeConnection, start: Callable[..., object]
    ) -> None:
        if event.item_id == self._cut_item:
            return  # late audio of the reply that was cut off
        if event.item_id != self._item:
            self._item, self._reply = event.item_id, bytearray()
        before = len(self._reply) // BYTES_A_MS
        self._reply += event.audio
        is_answer = len(self._call.heard) == 1
        if is_answer and before < INTERRUPT_AFTER_MS <= len(self._reply) // BYTES_A_MS:
            start(self._say, connection, INTERRUPTION)

    async def _interrupt(self, connection: RealtimeConnection) -> None:
        """Stop playing, and tell the service how much was heard."""
        if self._item is None:
            return
        self._cut_item = self._item
        self._call.cut_at_ms = len(self._reply) // BYTES_A_MS
        self._tell("session", f"interrupted after {self._call.cut_at_ms / 1000:.1f} s of the answer")
        await connection.send(
            events.ConversationItemTruncate(item_id=self._item, content_index=0, audio_end_ms=self._call.cut_at_ms)
        )
        self._finish_reply()

    def _finish_reply(self) -> None:
        if self._reply:
            heard = hear(bytes(self._reply)) or "(nothing)"
            self._reply = bytearray()
            self._call.heard.append(heard)
            self._tell("Grok", f"is heard to say: {heard}")

    async def _answer_calls(self, connection: RealtimeConnection) -> None:
        for call_id in self._call.called:
            self._tell("tool", TIDE)
            output = events.FunctionCallOutputItem(call_id=call_id, output=TIDE)
            await connection.send(events.ConversationItemCreate(item=output))
        await connection.send(events.ResponseCreate())

    async def _say(self, connection: RealtimeConnection, text: str) -> None:
        """Speak into the microphone at the pace of speech, then fall silent."""
        self._tell("You", f"say: {text}")
        audio = speak(text, sample_rate_hz=RATE_HZ) + bytes(SILENCE_MS * BYTES_A_MS)
        for start in range(0, len(audio), CHUNK_MS * BYTES_A_MS):
            await connection.send_audio(audio[start : start + CHUNK_MS * BYTES_A_MS])
            await anyio.sleep(CHUNK_MS / 1000)


async def _received(connection: RealtimeConnection, call: DemoCall) -> AsyncGenerator[ReceivedEvent, None]:
    """The events, folded on their way."""
    async for event in connection:
        call.conversation.receive(event)
        yield event


def _session() -> events.SessionConfig:
    pcm = events.AudioFormatConfig(type="audio/pcm", rate=RATE_HZ)
    harbour = {"type": "object", "properties": {"harbour": {"type": "string"}}, "required": ["harbour"]}
    return events.SessionConfig(
        instructions="Answer questions about the sea in one or two sentences.",
        turn_detection=events.TurnDetectionConfig(type="server_vad", silence_duration_ms=SILENCE_MS),
        audio=events.AudioConfig(
            input=events.AudioInputConfig(
                format=pcm, transcription=events.TranscriptionConfig(model="grok-transcribe")
            ),
            output=events.AudioOutputConfig(format=pcm),
        ),
        tools=[events.FunctionTool(name="look_up_tide", description="High tide of a harbour.", parameters=harbour)],
    )
