"""Other ways of going on: the server's own resumption, none at all, and a fresh connection on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from tests.session.breakable import AT_ONCE, Line, breakable, seeded
from tests.session.driving import BACKENDS, Talk, run, talking, utterance
from tests.session.handmade import GREETING, Server
from xai_realtime import SessionPolicy
from xai_realtime.emulator import Prompt, ToolRequest, Turn
from xai_realtime.protocol.session_events import (
    ItemCreated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    ToolCalled,
    ToolFinished,
    TranscriptDelta,
)
from xai_realtime.tools import tool
from xai_realtime.transport.memory import memory_pair

LONG = "One comes first of all numbers. Two comes then. Three comes after two."
SCENARIO: dict[str, Turn | str] = {
    "hello": "Hello there",
    "count": LONG,
    "slow": Turn(say="At last", delay_ms=3000),
    "bye": "Goodbye",
}
CONFIGURED = "session.update"
ITEM = "conversation.item.create"
REQUEST = "response.create"


async def asked(talk: Talk, text: str) -> ResponseDone:
    """Something written, and its answer to the end."""
    await talk.session.send_text(text)
    return await talk.next(ResponseDone)


def told(talk: Talk) -> list[tuple[str, str]]:
    """The conversation: who said what, as far as it was heard."""
    return [(item.role, item.said()) for item in talk.session.conversation.items if item.said()]


def native(**options: Any) -> Any:
    return breakable(SCENARIO, policy=SessionPolicy(reconnect=AT_ONCE, resumption="native"), **options)


def query(line: Line, connection: int) -> dict[str, list[str]]:
    return parse_qs(urlsplit(line.requests[connection - 1].url).query)


@pytest.mark.behaviour("ask-36")
@BACKENDS
def test_conversation_resumed_by_the_server_is_neither_doubled_nor_told_as_new(backend: str) -> None:
    async def main() -> None:
        async with native() as (talk, line):
            first = await talk.next(SessionReady)
            await asked(talk, "hello")
            await talk.session.send_text("count")
            await talk.next(SpeechStarted)
            await anyio.sleep(8)
            created, before = len(talk.of(ItemCreated)), told(talk)
            line.cut()
            back = await talk.next(Reconnected)
            await anyio.sleep(2)
            assert back.conversation_id == first.conversation_id
            assert "conversation_id" not in query(line, 1)
            assert query(line, 2)["conversation_id"] == [first.conversation_id]
            assert all(sent[0]["session"]["resumption"] == {"enabled": True} for sent in line.sent)
            assert line.kinds(2) == [CONFIGURED]
            assert told(talk) == before
            assert len(talk.of(ItemCreated)) == created
            assert (await asked(talk, "bye")).status == "completed"

    run(main, backend)


@pytest.mark.behaviour("ask-36")
@BACKENDS
def test_resumed_conversation_is_told_what_the_user_said_since_the_last_reply(backend: str) -> None:
    async def main() -> None:
        async with native() as (talk, line):
            await asked(talk, "hello")
            await talk.session.send_text("count")
            await talk.next(TranscriptDelta)
            await anyio.sleep(1.5)
            await talk.session.interrupt()
            await talk.session.send_text("slow")
            await talk.next(ResponseStarted)
            line.cut()
            done = await talk.next(ResponseDone, status="completed")
            assert seeded(line, 2) == [("user", "slow")]
            assert line.kinds(2) == [CONFIGURED, ITEM, REQUEST]
            await anyio.sleep(3)
            roles = [role for role, _ in told(talk)]
            assert roles == ["user", "assistant", "user", "assistant", "user", "assistant"], told(talk)
            assert done.reason is None

    run(main, backend)


@pytest.mark.behaviour("resumption-none")
@BACKENDS
def test_nothing_but_what_is_under_way_is_told_when_nothing_is_to_be_resumed(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, resumption="none")
        async with breakable(SCENARIO, policy=policy) as (talk, line):
            await asked(talk, "hello")
            await talk.session.send_text("slow")
            await talk.next(ResponseStarted)
            line.cut()
            await talk.next(Reconnected)
            await anyio.sleep(20)
            assert line.kinds(2) == [CONFIGURED], "the server does not know what the reply was about"
            line.cuts_after = 2
            assert (await asked(talk, "bye")).reason is None
            assert seeded(line, 3) == [("user", "bye")]
            assert line.kinds(3) == [CONFIGURED, ITEM, REQUEST]

    run(main, backend)


@pytest.mark.behaviour("ask-44")
@BACKENDS
def test_restart_moves_the_conversation_to_a_fresh_connection(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO, voice="eve") as (talk, line):
            await asked(talk, "hello")
            line.delay_s = 0.5
            await talk.session.restart()
            assert len(line.sent) == 2
            back = await talk.next(Reconnected)
            assert (back.reason, back.outage_ms, back.attempts, back.lost_ms) == ("restart", 0.0, 1, 0.0)
            await anyio.sleep(1)
            assert seeded(line, 2) == [("user", "hello"), ("assistant", "Hello there")]
            assert line.sent[1][0]["session"]["voice"] == "eve"
            assert (await asked(talk, "bye")).status == "completed"
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-44")
@BACKENDS
def test_restart_comes_about_although_the_microphone_runs_and_the_handshake_is_slow(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO) as (talk, line):
            line.delay_s = 0.5
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.stream, bytes(48 * 3_000))
                await anyio.sleep(0.1)
                with anyio.fail_after(1):
                    await talk.session.restart()
            assert len(line.requests) == 2
            await talk.session.send_audio(utterance("hello"))
            await talk.next(ResponseDone, status="completed")

    run(main, backend)


# Calls


@tool(name="look")
async def look() -> str:
    """Takes two seconds."""
    await anyio.sleep(2)
    return "seen"


def looking(prompt: Prompt) -> Turn | str:
    if prompt.heard == "look":
        return Turn(say="Let me look.", calls=(ToolRequest("look", {}),), then="It is {output}")
    return f"Outputs: {' '.join(prompt.outputs)}"


@pytest.mark.behaviour("ask-36", "resumption-none")
@pytest.mark.parametrize("resumption", ["native", "none"])
@pytest.mark.parametrize("drop", ["while it runs", "with its output under way", "before the answer"])
@BACKENDS
def test_call_that_the_server_has_forgotten_is_told_with_its_output_and_answered(
    backend: str, resumption: Any, drop: str
) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, resumption=resumption)
        async with breakable(looking, policy=policy, tools=[look]) as (talk, line):
            await talk.session.send_text("look")
            await talk.next(ToolCalled)
            await anyio.sleep(1)
            if drop == "while it runs":
                line.cut()
            elif drop == "with its output under way":
                line.cuts_after = 3
            await talk.next(ToolFinished)
            if drop == "before the answer":
                await talk.next(ResponseStarted)
                line.cut()
            await talk.until(lambda: talk.of(Reconnected))
            await anyio.sleep(20)
            assert len(talk.of(ToolCalled)) == len(talk.of(ToolFinished)) == 1
            is_known = drop == "before the answer" and resumption == "none"
            expected = [] if is_known else [("function_call", "{}"), ("function_call_output", "seen")]
            assert seeded(line, 2) == expected
            assert line.kinds(2).count(REQUEST) == (0 if is_known else 1)
            assert [event.code for event in talk.of(SessionWarning)] == ["connection_lost"]

    run(main, backend)


class Resuming(Server):
    """It tells a conversation again as documented: user, agent, call and output, under new ids."""

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "session.update" and self.connections > 1:
            for number, item in enumerate(AGAIN):
                named = {"id": f"again-{number}", "replayed": True, "status": "completed", **item}
                await self.say("conversation.item.created", item=named)
        await super()._take(message)


AGAIN: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "One moment."}]},
    {"type": "function_call", "call_id": "call-1", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call-1", "output": "seen"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "from another session"}]},
]


@asynccontextmanager
async def resuming(**options: Any) -> AsyncIterator[tuple[Talk, Server]]:
    """A session with such a server."""
    line, door = memory_pair()
    server = Resuming(door, GREETING, acknowledges=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        async with talking(transport=line, **options) as talk:
            yield talk, server
        tasks.cancel_scope.cancel()


@pytest.mark.behaviour("ask-36")
@BACKENDS
def test_what_the_server_tells_again_is_neither_doubled_nor_told_back_nor_run(backend: str) -> None:
    async def main() -> None:
        history: list[Any] = [("user", "hello"), ("assistant", "One moment."), *AGAIN[2:4]]
        policy = SessionPolicy(reconnect=AT_ONCE, resumption="native")
        async with resuming(policy=policy, history=history, tools=[look]) as (talk, server):
            await server.got(ITEM, 4)
            for number, message in enumerate(server.of(ITEM)):
                added = {"status": "completed", **message["item"], "id": message["item"].get("id", f"i{number}")}
                await server.say("conversation.item.added", item=added)
            await anyio.sleep(1)
            server.heard.clear()
            server.break_off()
            await talk.next(Reconnected)
            await anyio.sleep(5)
            assert server.types() == []
            texts = [item.text or item.kind for item in talk.session.conversation.items]
            assert texts == ["hello", "One moment.", "function_call", "function_call_output", "from another session"]
            assert (talk.of(ItemCreated), talk.of(ToolCalled)) == ([], [])

    run(main, backend)
