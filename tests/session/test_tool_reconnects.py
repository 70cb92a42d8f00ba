"""Calls while the session changes connections or begins anew: run once, answered once, where the server knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import anyio
import pytest

from tests.session.calling import continuations, outputs, slow
from tests.session.driving import BACKENDS, Talk, run, talking
from xai_realtime import Fault, Reconnect, SessionPolicy
from xai_realtime.emulator import Prompt, ToolRequest, Turn
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    Reconnected,
    ResponseDone,
    SessionReady,
    SessionWarning,
    ToolCalled,
    ToolFinished,
    Transcript,
)
from xai_realtime.tools import Tool, tool


def calling_once(say: str | None = None, calls: int = 1) -> Callable[[Prompt], Turn | str]:
    """A scenario that calls `one` when asked, so often, and speaks of the outcome when asked again."""
    left = [calls]

    def answer(prompt: Prompt) -> Turn | str:
        if left[0] and prompt.heard == "go":
            left[0] -= 1
            return Turn(say=say, calls=(ToolRequest("one", {"n": 1}),), then="It is {output}")
        return "It is done"

    return answer


def counting(seconds: float, **options: Any) -> tuple[Tool[..., Any], list[str]]:
    """A tool that takes so long, and what became of its calls."""
    calls: list[str] = []

    @tool(name="one", **options)
    async def function(n: int) -> str:
        """A tool."""
        calls.append("begun")
        try:
            await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            calls.append("stopped")
            raise
        calls.append("ended")
        return "one output"

    return function, calls


def sent_to(talk: Talk, connection: int) -> list[str]:
    """What a connection was sent, in short, its configuration left out; connections count from 1."""
    connections: list[list[str]] = []
    for event in talk.sent:
        if isinstance(event, wire.SessionUpdate):
            connections.append([])
        elif isinstance(event, wire.ConversationItemCreate):
            item = event.item
            connections[-1].append(item.role if isinstance(item, wire.MessageItem) else item.type)
        else:
            connections[-1].append(event.type)
    return connections[connection - 1]


async def cut_line(talk: Talk) -> None:
    """The plan of the test cuts the line."""
    await talk.next(Reconnected, reason="connection_lost")


async def restart(talk: Talk) -> None:
    """The session moves to a fresh connection."""
    await talk.next(ToolCalled)
    await talk.session.restart()


ASKED = ["user", "function_call", "function_call_output", "response.create"]


@pytest.mark.behaviour("tool-calls-outlive-connections")
@pytest.mark.parametrize("resumption", ["local", "native", "none"])
@pytest.mark.parametrize("change", [cut_line, restart])
@BACKENDS
def test_call_runs_once_and_is_answered_on_the_new_connection_when_the_line_changes(
    change: Any, resumption: Literal["local", "native", "none"], backend: str
) -> None:
    async def main() -> None:
        function, calls = counting(8)
        plan = [Fault.cut(at_ms=3_000)] if change is cut_line else []
        policy = SessionPolicy(resumption=resumption)
        async with talking(calling_once(), *plan, tools=[function], policy=policy) as talk:
            await talk.session.send_text("go")
            await change(talk)
            await talk.next(ToolFinished)
            await talk.until(lambda: talk.of(Transcript))
            await anyio.sleep(20)
            assert calls == ["begun", "ended"]
            assert [text for _, text in outputs(talk)] == ["one output"]
            assert continuations(talk) == 1
            told = sent_to(talk, 2)
            assert told == (ASKED if resumption != "none" else ASKED[1:])
            assert not [event for event in talk.received if isinstance(event, wire.Error)]

    run(main, backend)


@pytest.mark.behaviour("tool-calls-outlive-connections")
@BACKENDS
def test_output_waits_for_the_next_connection_when_the_function_comes_back_while_the_line_is_down(
    backend: str,
) -> None:
    async def main() -> None:
        function, calls = counting(5)
        refused = Fault.refuse(503, headers={"Retry-After": "4"}, conn=2)
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0.1))
        plan = (Fault.cut(at_ms=4_000), refused)
        async with talking(calling_once(), *plan, tools=[function], policy=policy) as talk:
            await talk.session.send_text("go")
            await talk.next(ToolFinished)
            assert not talk.of(Reconnected)
            await talk.until(lambda: talk.of(Transcript))
            assert calls == ["begun", "ended"]
            assert sent_to(talk, 2) == ASKED
            assert continuations(talk) == 1

    run(main, backend)


@pytest.mark.behaviour("tool-calls-outlive-connections")
@pytest.mark.parametrize(
    "fault",
    [
        Fault.cut(on="conversation.item.create", nth=2),
        Fault.cut(on="conversation.item.create", nth=2, after=True),
        Fault.cut(on="conversation.item.added", nth=3),
        Fault.cut(on="conversation.item.added", nth=3, after=True),
        Fault.cut(on="response.create", nth=2),
        Fault.cut(on="response.create", nth=2, after=True),
        Fault.cut(on="response.created", nth=2),
        Fault.cut(on="response.created", nth=2, after=True),
    ],
    ids=lambda fault: f"{fault.on} {fault.nth} {'passes' if fault.after else 'is cut'}",
)
@BACKENDS
def test_output_and_request_go_out_again_when_the_line_drops_on_their_way(fault: Fault, backend: str) -> None:
    async def main() -> None:
        function, calls = counting(1)
        async with talking(calling_once(), fault, tools=[function]) as talk:
            await talk.session.send_text("go")
            await talk.next(Reconnected)
            await talk.until(lambda: talk.of(Transcript))
            await anyio.sleep(20)
            assert calls == ["begun", "ended"]
            assert sent_to(talk, 2) == ASKED
            assert [told.text for told in talk.of(Transcript)] == ["It is done"]

    run(main, backend)


@pytest.mark.behaviour("tool-call-cut-off")
@pytest.mark.parametrize("on", ["response.output_item.added", "response.function_call_arguments.delta"])
@BACKENDS
def test_call_is_made_anew_when_the_line_drops_before_its_arguments_are_whole(on: str, backend: str) -> None:
    async def main() -> None:
        function, calls = counting(1)
        async with talking(calling_once(calls=2), Fault.cut(on=on, after=True), tools=[function]) as talk:
            await talk.session.send_text("go")
            await talk.until(lambda: talk.of(Transcript))
            assert calls == ["begun", "ended"]
            assert [told.arguments for told in talk.of(ToolCalled)] == ['{"n":1}']
            assert sent_to(talk, 2) == ["user", "response.create", "function_call_output", "response.create"]
            assert talk.of(Transcript)[0].text == "It is one output"

    run(main, backend)


@pytest.mark.behaviour("tool-calls-outlive-connections")
@BACKENDS
def test_every_output_goes_to_the_new_connection_when_the_line_drops_between_two(backend: str) -> None:
    async def main() -> None:
        both = Turn(calls=(ToolRequest("one"), ToolRequest("two")))
        turns = iter([both, Turn(say="Both are done")])
        tools = [slow("one", 1), slow("two", 6)]
        async with talking(lambda prompt: next(turns), Fault.cut(at_ms=4_000), tools=tools) as talk:
            await talk.session.send_text("go")
            await talk.until(lambda: talk.of(Transcript))
            assert sent_to(talk, 1) == ["user", "response.create", "function_call_output"]
            assert sent_to(talk, 2) == [
                *("user", "function_call", "function_call", "function_call_output"),
                *("function_call_output", "response.create"),
            ]
            assert [told.name for told in talk.of(ToolCalled)] == ["one", "two"]

    run(main, backend)


@pytest.mark.behaviour("tool-calls-end-with-their-conversation")
@BACKENDS
def test_call_is_stopped_and_forgotten_when_the_conversation_begins_anew(backend: str) -> None:
    async def main() -> None:
        function, calls = counting(20)
        async with talking(calling_once(calls=2), tools=[function]) as talk:
            await talk.session.send_text("go")
            await talk.next(ResponseDone)
            await talk.session.reset()
            await talk.next(SessionReady)
            assert calls == ["begun", "stopped"]
            await anyio.sleep(60)
            assert sent_to(talk, 2) == [] and not talk.of(ToolFinished)
            await talk.session.send_text("go")
            await talk.until(lambda: talk.of(Transcript))
            assert calls == ["begun", "stopped", "begun", "ended"]
            assert sent_to(talk, 2) == ["user", "response.create", "function_call_output", "response.create"]
            assert not talk.of(SessionWarning)

    run(main, backend)


@BACKENDS
def test_function_is_stopped_when_the_session_is_left_while_it_runs(backend: str) -> None:
    async def main() -> None:
        function, calls = counting(1_000, timeout_s=2_000)
        async with talking(calling_once(), tools=[function]) as talk:
            await talk.session.send_text("go")
            await talk.next(ToolCalled)
            left_s = anyio.current_time()
        assert calls == ["begun", "stopped"]
        assert anyio.current_time() - left_s < 1

    run(main, backend)
