"""What a session must do on the wire, each as a check whose failure says what went wrong.

A check holds a whole session against the emulator, in virtual time. Checks of tools and turns; more stand in
`checks_of_audio.py` and `checks_of_lines.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.mutants.lines import NotedLine, Wire
from tests.session.driving import Talk, run, scripted, talking
from xai_realtime.emulator import Emulator, Quirks
from xai_realtime.emulator.scenario import ToolRequest, Turn
from xai_realtime.protocol.session_events import ResponseDone, ResponseStarted, ToolFinished, Transcript
from xai_realtime.tools import tool
from xai_realtime.transport.faults import Fault, faults

__all__ = ["Check", "call", "check"]

Check = Callable[[], None]
CREATE = "response.create"
OUTPUT = "function_call_output"


def check(main: Callable[[], Awaitable[None]]) -> Check:
    """Make an ordinary function of it, which runs in virtual time."""

    def perform() -> None:
        run(main, "asyncio")

    perform.is_check = True  # type: ignore[attr-defined]
    perform.__name__ = perform.__qualname__ = main.__name__  # type: ignore[attr-defined]
    return perform


@asynccontextmanager
async def call(
    scenario: Any = None,
    *plan: Fault,
    quirks: Quirks | None = None,
    answers_commits: bool = True,
    alter: Any = None,
    **options: Any,
) -> AsyncIterator[tuple[Talk, Wire]]:
    """A session over a line that notes every message. A mapping as scenario answers its words."""
    answer = scripted(scenario) if isinstance(scenario, dict) else scenario
    emulator = Emulator(answer, seed=1, quirks=quirks, answers_commits=answers_commits)
    line = NotedLine(faults(emulator.transport(), plan) if plan else emulator.transport(), alter)
    async with talking(transport=line, **options) as talk:
        yield talk, line.wire


async def rest(seconds: float = 8.0) -> None:
    """Let everything come that will come."""
    await anyio.sleep(seconds)


def asks_tools(*names: str, arguments: Any = None) -> dict[str, Turn | str]:
    """A scenario in which `go` calls these functions."""
    given = {} if arguments is None else arguments
    return {"go": Turn(calls=tuple(ToolRequest(name, given) for name in names), then="It is {output}.")}


# Functions


@check
async def call_runs_once() -> None:
    runs = []

    @tool
    async def now() -> str:
        """The time."""
        runs.append(1)
        return "noon"

    async with call(asks_tools("now"), quirks=Quirks(duplicate_calls=2), tools=[now]) as (talk, wire):
        await talk.session.send_text("go")
        await rest()
    assert len(runs) == 1, f"the tool ran {len(runs)} times for one call id"
    outputs = len(wire.items(OUTPUT))
    assert outputs == 1, f"one call id got {outputs} outputs"


@tool
async def soon() -> str:
    """Answers soon."""
    return "soon"


@tool
async def late() -> str:
    """Answers late."""
    await anyio.sleep(2)
    return "late"


@check
async def one_continuation_follows_the_last_output() -> None:
    async with call(asks_tools("soon", "late"), tools=[soon, late]) as (talk, wire):
        await talk.session.send_text("go")
        await rest(30)
        order = wire.order()
    outputs = [place for place, name in enumerate(order) if name == f"> {OUTPUT}"]
    last = outputs[1] if len(outputs) > 1 else len(order)
    between = order[outputs[0] : last].count(f"> {CREATE}")
    assert not between, "response.create went out before the last output of a reply with two calls"
    continuations = order[last : outputs[2] if len(outputs) > 2 else None].count(f"> {CREATE}")
    assert continuations, "no response.create followed the last output"
    assert continuations == 1, f"{continuations} response.create followed the last output, one is wanted"
    assert len(outputs) == 2, f"two calls got {len(outputs)} outputs"


@check
async def output_waits_for_the_end_of_its_reply() -> None:
    async with call(asks_tools("soon"), quirks=Quirks(late_done_ms=500), tools=[soon]) as (talk, wire):
        await talk.session.send_text("go")
        await rest()
        order = wire.order()
    assert order.index(f"> {OUTPUT}") > order.index("< response.done"), (
        "an output went out before the response.done of the reply that called"
    )


@check
async def output_names_its_call() -> None:
    async with call(asks_tools("soon"), tools=[soon]) as (talk, wire):
        await talk.session.send_text("go")
        await rest()
        [announced] = wire.came("response.function_call_arguments.done")
        [output] = wire.items(OUTPUT)
    named = output["call_id"]
    if named == announced["item_id"]:
        raise AssertionError("the output names the item id of its call in place of the call_id")
    assert named == announced["call_id"], f"the output names {named!r}, which is no call"


@check
async def text_of_a_tool_goes_out_as_it_is() -> None:
    async with call(asks_tools("soon"), tools=[soon]) as (talk, wire):
        await talk.session.send_text("go")
        await rest()
        [output] = wire.items(OUTPUT)
    assert output["output"] != '"soon"', "a text that a tool returned went out in quotes"
    assert output["output"] == "soon"


@check
async def call_with_empty_arguments_is_answered() -> None:
    async with call(asks_tools("soon", arguments=""), tools=[soon]) as (talk, wire):
        await talk.session.send_text("go")
        await rest()
    assert wire.items(OUTPUT), "the call with empty arguments was dropped: the model waits for its output"


@check
async def call_of_an_unknown_tool_is_answered() -> None:
    async with call(asks_tools("nothing"), tools=[soon]) as (talk, wire):
        await talk.session.send_text("go")
        await rest()
        assert wire.items(OUTPUT), "the call of an unknown tool got no output: the model waits for it"
        assert "error" in wire.items(OUTPUT)[0]["output"]
        assert talk.of(ToolFinished)[0].is_error


# Turns


async def spoken_turn(*, answers_commits: bool) -> tuple[Talk, Wire]:
    options: dict[str, Any] = {"turn_detection": "manual", "transcription": {"model": "grok-transcribe"}}
    async with call({}, answers_commits=answers_commits, **options) as (talk, wire):
        await talk.speak("good day", after_ms=200)
        await talk.session.end_turn()
        await rest(20)
    return talk, wire


@check
async def turn_by_hand_gets_one_reply() -> None:
    for answers_commits in (True, False):
        talk, _ = await spoken_turn(answers_commits=answers_commits)
        replies = len(talk.of(ResponseStarted))
        assert replies == 1, f"one turn by hand got {replies} replies (answers_commits={answers_commits})"


@check
async def turns_by_hand_are_configured_so() -> None:
    _, wire = await spoken_turn(answers_commits=True)
    sent = wire.sent("session.update")[0]["session"].get("turn_detection", "nothing")
    assert sent == {"type": None}, f"turn_detection went out as {sent}: the server goes on ending turns by itself"


@check
async def text_leaves_the_microphone_alone() -> None:
    async with call({}) as (talk, wire):
        await talk.stream(bytes(9600))
        await talk.session.send_text("hello")
        await talk.next(ResponseDone)
    for name in ("commit", "clear"):
        assert not wire.sent(f"input_audio_buffer.{name}"), f"send_text sent input_audio_buffer.{name}"


@check
async def transcript_is_final_once() -> None:
    async with call({}, transcription={"model": "grok-transcribe"}) as (talk, wire):
        await talk.speak("good day to all of you")
        await talk.next(ResponseDone)
    stated = wire.came("conversation.item.input_audio_transcription.completed")
    assert any(event.get("status") == "in_progress" for event in stated)
    finals = [event.text for event in talk.of(Transcript) if event.role == "user"]
    assert finals == ["good day to all of you"], f"a snapshot in_progress was taken as final: {finals}"


@check
async def tools_can_be_taken_away() -> None:
    async with call({}, tools=[soon]) as (talk, wire):
        await talk.session.update(tools=())
        await rest(1)
    assert wire.sent("session.update")[1:], "update(tools=()) sent nothing: the tools stay"
    assert wire.sent("session.update")[1]["session"] == {"tools": []}, "update(tools=()) sent no empty tools"


@check
async def error_event_leaves_the_session_running() -> None:
    async with call({}) as (talk, wire):
        talk.session._core.desk.send({"type": "session.update", "session": {"voice": 5}})
        await talk.session.delete_item("item-that-never-was")
        await rest(1)
        assert not talk.has_ended, f"an error event ended the session: {talk.error!r}"
        assert len(wire.came("error")) == 2
        await talk.session.send_text("hello")
        assert await talk.next(ResponseDone)
