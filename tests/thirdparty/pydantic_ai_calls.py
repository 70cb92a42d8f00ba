"""pydantic-ai, unmodified, holds calls with the emulator over a real socket: Grok Voice, and OpenAI in its dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import (
    FunctionToolCallEvent,
    ModelResponse,
    PartDeltaEvent,
    SpeechPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.xai import XaiProvider
from pydantic_ai.realtime import (
    RealtimeInputSpeechEndEvent,
    RealtimeInputSpeechStartEvent,
    RealtimeModel,
    RealtimeSession,
    RealtimeSessionErrorEvent,
    RealtimeSessionReconnectEvent,
    RealtimeTurnCompleteEvent,
)
from pydantic_ai.realtime.openai import OpenAIRealtimeModel
from pydantic_ai.realtime.xai import XaiRealtimeModel

from tests.thirdparty.talking import ANSWER, OUTPUT, PREAMBLE, QUESTION, RATE_HZ, answer, frames, utterance
from xai_realtime.audible import hear
from xai_realtime.emulator import DropSpec, Emulator, Prompt, Turn

pytestmark = pytest.mark.anyio

CALL_S = 60
FRAME_S = 0.1
STORY = "Tell me a story that takes its time, please"


class LocalXaiProvider(XaiProvider):
    """Grok at another address: the provider has no argument for it, so a user overrides the property."""

    def __init__(self, url: str, api_key: str) -> None:
        super().__init__(api_key=api_key)
        self._url = url

    @property
    def base_url(self) -> str:
        """Where the emulator listens."""
        return self._url


def model_of(emulator: Emulator, dialect: str) -> RealtimeModel:
    """The model that speaks the dialect, pointed at the emulator."""
    if dialect == "xai":
        return XaiRealtimeModel("grok-voice-latest", provider=LocalXaiProvider(emulator.url, emulator.api_key))
    provider = OpenAIProvider(base_url=emulator.url, api_key=emulator.api_key)
    return OpenAIRealtimeModel("gpt-realtime", provider=provider)


class Call:
    """One session, its sound collected beside its events."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self._audio = bytearray()
        self._events = session.__aiter__()

    async def collect(self) -> None:
        """Plays what the model says into a buffer, for as long as the session lasts."""
        async for chunk in self.session.stream_audio():
            self._audio += chunk

    async def until(self, *kinds: type) -> list[Any]:
        """The events up to the next one of these kinds, which is the last of them."""
        events: list[Any] = []
        async for event in self._events:
            assert not isinstance(event, RealtimeSessionErrorEvent), event
            events.append(event)
            if isinstance(event, kinds):
                return events
        raise AssertionError("the session ended too soon")

    async def reply(self) -> list[Any]:
        """The events of one exchange, up to the end of what the model owed."""
        return await self.until(RealtimeTurnCompleteEvent)

    async def heard(self) -> str:
        """What was spoken since the last time."""
        await self.session.wait_for_playback()
        audio, self._audio = bytes(self._audio), bytearray()
        return hear(audio, sample_rate_hz=RATE_HZ) or ""

    async def say(self, text: str) -> None:
        """A sentence into the microphone, at the pace of speech."""
        for frame in frames(utterance(text)):
            await self.session.send_audio(frame)
            await anyio.sleep(FRAME_S)


def weather_agent() -> Agent[None, str]:
    """An agent with one tool."""
    agent = Agent(instructions="Be brief.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Current weather for a city."""
        assert city == "Porto"
        return OUTPUT

    return agent


@asynccontextmanager
async def calling(dialect: str, pace: str = "instant", scenario: Any = answer, **settings: Any) -> AsyncIterator[Call]:
    """A session with an emulator of its own."""
    with anyio.fail_after(CALL_S):
        async with Emulator(scenario, dialect=dialect, pace=pace, seed=1) as emulator:
            realtime = weather_agent().realtime(model_of(emulator, dialect), model_settings=settings)
            async with anyio.create_task_group() as tasks:
                async with realtime.session() as session:
                    call = Call(session)
                    tasks.start_soon(call.collect)
                    yield call


def said(session: RealtimeSession) -> list[tuple[str, str]]:
    """Who said what, as the session's history has it."""
    lines = []
    for message in session.new_messages():
        for part in message.parts:
            if isinstance(part, SpeechPart):
                lines.append((part.speaker, part.transcript or ""))
            elif isinstance(part, TextPart) or part.part_kind == "user-prompt":
                lines.append(("assistant" if isinstance(message, ModelResponse) else "user", str(part.content)))
    return lines


DIALECTS = pytest.mark.parametrize("dialect", ["xai", "openai"])
PACES = pytest.mark.parametrize("pace", ["instant", "real"])


@DIALECTS
@PACES
async def test_text_turn_is_answered_by_voice_and_with_usage(dialect: str, pace: str) -> None:
    async with calling(dialect, pace) as call:
        await call.session.send("Hello there")
        await call.reply()
        assert await call.heard() == "You said: Hello there"
        assert said(call.session) == [("user", "Hello there"), ("assistant", "You said: Hello there")]
        assert call.session.usage.input_tokens > 0
        assert call.session.usage.output_audio_tokens > 0
        if dialect == "xai":
            assert call.session.usage.details["billable_audio_seconds"] > 0


@DIALECTS
@PACES
async def test_voice_turn_is_transcribed_and_answered(dialect: str, pace: str) -> None:
    async with calling(dialect, pace) as call:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.say, "Good morning to you")
            events = await call.reply()
        assert sum(isinstance(event, RealtimeInputSpeechStartEvent) for event in events) == 1
        assert sum(isinstance(event, RealtimeInputSpeechEndEvent) for event in events) == 1
        assert await call.heard() == "You said: Good morning to you"
        assert said(call.session) == [
            ("user", "Good morning to you"),
            ("assistant", "You said: Good morning to you"),
        ]


@DIALECTS
@PACES
async def test_spoken_question_runs_the_tool_and_is_answered_by_voice(dialect: str, pace: str) -> None:
    async with calling(dialect, pace) as call:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.say, QUESTION)
            events = await call.reply()
        (wanted,) = (event.part for event in events if isinstance(event, FunctionToolCallEvent))
        assert (wanted.tool_name, wanted.args_as_dict()) == ("get_weather", {"city": "Porto"})
        assert said(call.session) == [("user", QUESTION), ("assistant", PREAMBLE), ("assistant", ANSWER)]
        parts = [part for message in call.session.new_messages() for part in message.parts]
        (output,) = (part for part in parts if isinstance(part, ToolReturnPart))
        (asked,) = (part for part in parts if isinstance(part, ToolCallPart))
        assert (output.content, output.tool_call_id) == (OUTPUT, asked.tool_call_id)
        assert await call.heard() == f"{PREAMBLE} {ANSWER}"
        assert call.session.usage.tool_calls == 1
        assert call.session.usage.requests == 2


@DIALECTS
async def test_reply_is_interrupted_when_the_user_speaks(dialect: str) -> None:
    async with calling(dialect, "real") as call:
        await call.session.send(STORY)
        await call.until(PartDeltaEvent)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.say, "Stop it")
            await call.until(RealtimeInputSpeechEndEvent)
            await call.reply()
        await call.session.wait_for_reply()
        responses = [message for message in call.session.new_messages() if isinstance(message, ModelResponse)]
        assert [message.state for message in responses] == ["interrupted", "complete"]
        assert said(call.session)[-2:] == [("user", "Stop it"), ("assistant", "You said: Stop it")]


@DIALECTS
async def test_reply_ends_where_the_application_interrupts_it(dialect: str) -> None:
    async with calling(dialect, "real") as call:
        await call.session.send(STORY)
        await call.until(PartDeltaEvent)
        await call.session.interrupt(played_ms=100 if dialect == "openai" else None)
        await call.reply()
        await call.session.send("Go on")
        await call.reply()
        responses = [message for message in call.session.new_messages() if isinstance(message, ModelResponse)]
        assert [message.state for message in responses] == ["interrupted", "complete"]


@DIALECTS
async def test_push_to_talk_is_answered_when_asked_for(dialect: str) -> None:
    async with calling(dialect, turn_detection=False) as call:
        for words in ("By hand", "Once more"):
            await call.session.send_audio(utterance(words))
            await call.session.commit_audio()
            await call.session.create_response()
            await call.reply()
            assert await call.heard() == f"You said: {words}"


@DIALECTS
async def test_commit_under_turn_detection_leaves_the_call_usable(dialect: str) -> None:
    async with calling(dialect) as call:
        await call.session.commit_audio()
        await call.session.send("Still there")
        await call.reply()
        assert await call.heard() == "You said: Still there"


@DIALECTS
async def test_interrupting_nothing_leaves_the_call_usable(dialect: str) -> None:
    async with calling(dialect) as call:
        await call.session.interrupt()
        await call.session.send("Still there")
        await call.reply()
        assert await call.heard() == "You said: Still there"


async def test_cut_call_is_taken_up_again_with_its_history() -> None:
    def cut(prompt: Prompt) -> Turn | str:
        if prompt.heard == "Cut me off":
            return Turn(say=STORY, drop=DropSpec(after_ms=300, code=None))
        earlier = [text for role, text in prompt.history if role == "user"]
        return f"Before that you said: {' and '.join(earlier)}"

    async with calling("xai", "real", cut, reconnect={"base_delay": 0.01}) as call:
        await call.session.send("Hello")
        await call.reply()
        await call.session.send("Cut me off")
        (*_, again) = await call.until(RealtimeSessionReconnectEvent)
        assert not again.state_restored
        await call.heard()
        await call.session.send("Are you there?")
        await call.reply()
        assert await call.heard() == "Before that you said: Hello and Cut me off"
