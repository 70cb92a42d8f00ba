"""New beginnings: what a reset drops, what it keeps, and that everything works at once afterwards."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.breakable import breakable, seeded
from tests.session.driving import BACKENDS, run, utterance
from xai_realtime import Reconnect, SessionPolicy
from xai_realtime.emulator import Prompt, ToolRequest, Turn
from xai_realtime.protocol.session_events import (
    AudioOutput,
    ItemCreated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStopped,
    ToolFinished,
    Transcript,
    TranscriptDelta,
)
from xai_realtime.tools import tool

LONG = "One comes first of all numbers. Two comes then. Three comes after two."
SCENARIO: dict[str, Turn | str] = {"hello": "Hello there", "count": LONG}


@tool(name="slow")
async def slow() -> str:
    """Takes its time."""
    await anyio.sleep(5)
    return "done"


def calling(prompt: Prompt) -> Turn | str:
    if prompt.heard == "call":
        return Turn(calls=(ToolRequest("slow", {}),), then="It is {output}")
    return SCENARIO.get(prompt.heard, "What?")


@pytest.mark.behaviour("bug-24", "reset")
@BACKENDS
def test_reset_drops_the_conversation_and_what_is_pending_and_keeps_configuration_and_usage(backend: str) -> None:
    async def main() -> None:
        async with breakable(calling, tools=[slow], instructions="Be brief.") as (talk, line):
            session = talk.session
            await session.send_text("call")
            await session.send_text("hello")
            await talk.next(SpeechStopped)
            await session.send_text("count")
            await talk.next(ResponseStarted)
            used = session.usage.session.responses
            assert used
            await session.send_text("never said")
            line.delay_s = 0.5
            await session.reset()
            await anyio.sleep(10)
            assert [ready.is_confirmed for ready in talk.of(SessionReady)] == [True, True]
            assert line.kinds(2) == ["session.update"]
            assert line.sent[1][0]["session"]["instructions"] == "Be brief."
            assert session.conversation.items == ()
            assert session.usage.session.responses >= used
            assert talk.of(ToolFinished) == []
            assert talk.of(Reconnected) == []
            assert [done.reason for done in talk.of(ResponseDone)][-1] == "reset"
            assert talk.of(SessionWarning) == []
            begun = len(talk.of(AudioOutput))
            await session.send_text("hello")
            await talk.next(Transcript, text="Hello there")
            assert len(talk.of(AudioOutput)) > begun

    run(main, backend)


@pytest.mark.behaviour("bug-24", "reset")
@BACKENDS
def test_microphone_works_at_once_after_a_reset_in_the_middle_of_a_reply(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            await talk.session.send_text("count")
            await talk.next(TranscriptDelta)
            line.delay_s = 0.4
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.session.reset)
                await anyio.sleep(0.1)
                await talk.session.send_audio(utterance("hello"))
            assert (await talk.next(Transcript, role="user")).text == "hello"
            assert (await talk.next(ResponseDone, status="completed")).reason is None
            assert line.audio(2) == utterance("hello")
            assert [text.text for text in talk.of(Transcript)][-2:] == ["hello", "Hello there"]

    run(main, backend)


@pytest.mark.behaviour("reset")
@BACKENDS
def test_text_sent_while_a_reset_is_under_way_belongs_to_the_new_conversation(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            line.delay_s = 0.4
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.session.reset)
                await anyio.sleep(0.1)
                await talk.session.send_text("hello")
            await talk.next(ResponseDone, status="completed")
            await anyio.sleep(5)
            assert seeded(line, 2) == [("user", "hello")]
            assert line.kinds(2).count("response.create") == 1

    run(main, backend)


@pytest.mark.behaviour("reset", "reset-history-is-done")
@BACKENDS
def test_reset_begins_with_a_history_whose_calls_count_as_done(backend: str) -> None:
    async def main() -> None:
        history: list[Any] = [
            ("user", "earlier"),
            {"type": "function_call", "call_id": "c1", "name": "slow", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
        ]
        async with breakable(calling, tools=[slow]) as (talk, line):
            await talk.session.reset(history)
            await anyio.sleep(10)
            told = [("user", "earlier"), ("function_call", "{}"), ("function_call_output", "done")]
            assert seeded(line, 2) == told
            assert line.kinds(2) == ["session.update", *["conversation.item.create"] * 3]
            line.cut()
            await talk.next(Reconnected)
            await anyio.sleep(10)
            assert seeded(line, 3) == told, "and after a reconnect as well"
            assert "response.create" not in line.kinds(3)
            assert (talk.of(ToolFinished), talk.of(ItemCreated)) == ([], [])

    run(main, backend)


@pytest.mark.behaviour("reset")
@pytest.mark.parametrize("line_is", ["down", "dialling"])
@BACKENDS
def test_reset_while_the_line_is_down_begins_anew(backend: str, line_is: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0 if line_is == "dialling" else 0.5))
        async with breakable(SCENARIO, policy=policy) as (talk, line):
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            line.delay_s = 0.3
            line.cut()
            await talk.next(SessionWarning)
            await talk.session.reset()
            await anyio.sleep(1)
            assert talk.of(Reconnected) == []
            assert len(talk.of(SessionReady)) == 2
            assert line.kinds(len(line.sent)) == ["session.update"]

    run(main, backend)
