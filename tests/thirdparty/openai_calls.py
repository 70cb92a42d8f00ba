"""The openai SDK, unmodified, holds calls with the emulator over a real socket, in both dialects."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import anyio
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent

from tests.thirdparty.talking import ANSWER, OUTPUT, PREAMBLE, QUESTION, RATE_HZ, answer, frames, utterance
from xai_realtime.audible import hear
from xai_realtime.emulator import Emulator

pytestmark = pytest.mark.anyio

CALL_S = 60
MODEL = "grok-voice-latest"
FORMAT = {"type": "audio/pcm", "rate": RATE_HZ}
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Current weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
EVENT_CLASSES = {
    get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(get_args(RealtimeServerEvent)[0])
}


def session(detection: dict[str, Any] | None, transcription: str = "grok-transcribe") -> dict[str, Any]:
    """The session as the SDK's users write it, everything of the audio nested."""
    return {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": FORMAT, "turn_detection": detection, "transcription": {"model": transcription}},
            "output": {"format": FORMAT, "voice": "eve"},
        },
        "tools": [TOOL],
        "tool_choice": "auto",
    }


class Call:
    """One connection of the SDK, its events kept as they are received."""

    def __init__(self, connection: AsyncRealtimeConnection, dialect: str) -> None:
        self.connection = connection
        self.dialect = dialect
        self.seen: list[Any] = []

    async def next(self) -> Any:
        """The next event; in the `openai` dialect it must pass the SDK's own classes, strictly."""
        raw = await self.connection.recv_bytes()
        name = json.loads(raw)["type"]
        if self.dialect == "openai":
            EVENT_CLASSES[name].model_validate_json(raw, strict=True)
        event = self.connection.parse_event(raw)
        assert event.type == name
        assert name != "error", event
        self.seen.append(event)
        return event

    async def until(self, name: str) -> list[Any]:
        """The events up to the next one of that name, which is the last of them."""
        events = [await self.next()]
        while events[-1].type != name:
            events.append(await self.next())
        return events

    async def configured(self, detection: dict[str, Any] | None) -> None:
        """Greeted, configured and told so."""
        await self.connection.session.update(session=session(detection))
        events = await self.until("session.updated")
        assert [event.type for event in events[:2]] == ["session.created", "conversation.created"]

    async def say(self, text: str) -> None:
        """A sentence into the microphone, with the silence after it."""
        for frame in frames(utterance(text)):
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())

    async def write(self, text: str) -> None:
        """A typed message, and the wish for an answer."""
        content = [{"type": "input_text", "text": text}]
        item = {"id": "my_item_1", "type": "message", "role": "user", "content": content}
        await self.connection.conversation.item.create(item=item)
        await self.connection.response.create(response={"metadata": {"turn": "1"}})

    def usage_of(self, event: Any) -> Any:
        """The usage of a `response.done`: the service says it beside the response, OpenAI inside."""
        if self.dialect == "openai":
            return event.response.usage
        assert event.response.usage.to_dict() == {}
        return event.usage


@asynccontextmanager
async def calling(dialect: str, pace: str) -> AsyncIterator[Call]:
    """A call with an emulator of its own."""
    with anyio.fail_after(CALL_S):
        async with Emulator(answer, dialect=dialect, pace=pace, seed=1) as emulator:
            async with AsyncOpenAI(base_url=emulator.url, api_key=emulator.api_key) as client:
                async with client.realtime.connect(model=MODEL) as connection:
                    yield Call(connection, dialect)


def spoken(events: list[Any]) -> tuple[str | None, str]:
    """What the audio of a reply says, and what its transcript says."""
    audio = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta")
    deltas = (event.delta for event in events if event.type == "response.output_audio_transcript.delta")
    return hear(audio, sample_rate_hz=RATE_HZ), "".join(deltas)


def only(events: list[Any], name: str) -> Any:
    """The one event of that name."""
    (event,) = (event for event in events if event.type == name)
    return event


DIALECTS = pytest.mark.parametrize("dialect", ["xai", "openai"])
PACES = pytest.mark.parametrize("pace", ["instant", "real"])


@DIALECTS
@PACES
async def test_text_turn_is_answered_in_the_same_words_and_with_usage(dialect: str, pace: str) -> None:
    async with calling(dialect, pace) as call:
        await call.configured(None)
        await call.write("Hello there")
        events = await call.until("response.done")

    added = [event.item for event in events if event.type == "conversation.item.added"]
    assert "my_item_1" in [item.id for item in added]
    assert only(events, "response.created").response.metadata == {"turn": "1"}
    assert spoken(events) == ("You said: Hello there", "You said: Hello there")
    assert events[-1].response.status == "completed"
    assert events[-1].response.metadata == {"turn": "1"}
    usage = call.usage_of(events[-1])
    total = usage["total_tokens"] if isinstance(usage, dict) else usage.total_tokens
    assert total > 0


@DIALECTS
@PACES
async def test_voice_turn_is_transcribed_and_answered(dialect: str, pace: str) -> None:
    async with calling(dialect, pace) as call:
        await call.configured({"type": "server_vad"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.say, "Good morning to you")
            events = await call.until("response.done")

    started = only(events, "input_audio_buffer.speech_started")
    assert only(events, "input_audio_buffer.speech_stopped").item_id == started.item_id
    assert only(events, "input_audio_buffer.committed").item_id == started.item_id
    heard = [event for event in events if event.type == "conversation.item.input_audio_transcription.completed"]
    assert (heard[-1].item_id, heard[-1].transcript) == (started.item_id, "Good morning to you")
    assert spoken(events) == ("You said: Good morning to you", "You said: Good morning to you")


@DIALECTS
@PACES
async def test_spoken_question_is_looked_up_and_answered_by_voice(dialect: str, pace: str) -> None:
    async with calling(dialect, pace) as call:
        await call.configured({"type": "server_vad", "create_response": True, "interrupt_response": True})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.say, QUESTION)
            asked = await call.until("response.done")
        assert spoken(asked) == (PREAMBLE, PREAMBLE)
        wanted = only(asked, "response.function_call_arguments.done")
        assert (wanted.name, json.loads(wanted.arguments)) == ("get_weather", {"city": "Porto"})
        assert [item.type for item in asked[-1].response.output] == ["message", "function_call"]
        assert asked[-1].response.output[1].call_id == wanted.call_id

        output = {"type": "function_call_output", "call_id": wanted.call_id, "output": OUTPUT}
        await call.connection.conversation.item.create(item=output)
        await call.connection.response.create()
        told = await call.until("response.done")
        assert spoken(told) == (ANSWER, ANSWER)


@DIALECTS
async def test_reply_ends_cancelled_when_the_user_speaks(dialect: str) -> None:
    async with calling(dialect, "real") as call:
        await call.configured({"type": "server_vad"})
        await call.write("Tell me a story that takes its time, please")
        await call.until("response.output_audio.delta")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.say, "Stop it")
            first = (await call.until("response.done"))[-1]
            second = await call.until("response.done")
        assert first.response.status == "cancelled"
        assert spoken(second)[0] == "You said: Stop it"


@DIALECTS
async def test_turn_by_hand_is_answered_once_on_commit_and_create(dialect: str) -> None:
    async with calling(dialect, "instant") as call:
        await call.configured(None)
        await call.say("By hand")
        await call.connection.input_audio_buffer.commit()
        if dialect == "openai":
            await call.connection.response.create()
        events = await call.until("response.done")
        assert only(events, "input_audio_buffer.committed").item_id
        assert spoken(events)[0] == "You said: By hand"


async def test_cancel_without_a_response_is_an_error_event_in_the_known_words() -> None:
    with anyio.fail_after(CALL_S):
        async with Emulator(answer, dialect="openai", pace="instant") as emulator:
            async with AsyncOpenAI(base_url=emulator.url, api_key=emulator.api_key) as client:
                async with client.realtime.connect(model=MODEL) as connection:
                    await connection.response.cancel(event_id="my_event")
                    async for event in connection:
                        if event.type == "error":
                            break
    assert "no active response" in event.error.message
    assert event.error.event_id == "my_event"


async def test_handlers_are_called_until_the_call_is_closed() -> None:
    said: list[str] = []
    with anyio.fail_after(CALL_S):
        async with Emulator(answer, dialect="openai", pace="instant") as emulator:
            async with AsyncOpenAI(base_url=emulator.url, api_key=emulator.api_key) as client:
                async with client.realtime.connect(model=MODEL) as connection:

                    @connection.on("response.output_audio_transcript.done")
                    def keep(event: Any) -> None:
                        said.append(event.transcript)

                    @connection.on("response.done")
                    async def leave(event: Any) -> None:
                        await connection.close()

                    await Call(connection, "openai").write("Hello")
                    await connection.dispatch_events()
    assert said == ["You said: Hello"]


async def test_client_secret_of_the_emulator_opens_a_call() -> None:
    with anyio.fail_after(CALL_S):
        async with Emulator(answer, pace="instant") as emulator:
            async with AsyncOpenAI(base_url=emulator.url, api_key=emulator.api_key) as client:
                secret = await client.realtime.client_secrets.create(
                    expires_after={"anchor": "created_at", "seconds": 60}
                )
                assert secret.value.startswith("xai-realtime-client-secret-")
                assert [model.id async for model in client.models.list()]
            async with AsyncOpenAI(base_url=emulator.url, api_key=secret.value) as guest:
                async with guest.realtime.connect(model=MODEL) as connection:
                    assert (await connection.recv()).type == "session.created"


async def test_synchronous_client_holds_a_text_turn() -> None:
    def hold(url: str, key: str) -> str:
        with OpenAI(base_url=url, api_key=key) as client, client.realtime.connect(model=MODEL) as connection:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
            connection.conversation.item.create(item=item)
            connection.response.create()
            audio = b""
            for event in connection:
                if event.type == "response.output_audio.delta":
                    audio += base64.b64decode(event.delta)
                elif event.type == "response.done":
                    break
            return hear(audio, sample_rate_hz=RATE_HZ) or ""

    with anyio.fail_after(CALL_S):
        async with Emulator(answer, dialect="openai", pace="instant") as emulator:
            said = await anyio.to_thread.run_sync(hold, emulator.url, emulator.api_key, abandon_on_cancel=True)
    assert said == "You said: Hi"
