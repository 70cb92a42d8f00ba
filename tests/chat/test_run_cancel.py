"""Runs that are stopped at every moment, in every way: nothing runs on, and the conversation can be gone on with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.chat.driving import BACKENDS, DONE, Hang, Told, asking, calls, chunk, refusal, run, said, sse, stop
from tests.chat.running import answer, calling, check, read, text_told
from xai_realtime import tool
from xai_realtime.chat.run import ChatRunEvent
from xai_realtime.client import AsyncClient
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn
from xai_realtime.protocol.chat_outcome import TextDelta
from xai_realtime.protocol.session_events import ToolCalled, ToolFinished

MODEL = "grok-4.6"


@tool
async def look(city: str) -> str:
    return f"sunny in {city}"


class Trace:
    """What the functions of a run lived through."""

    def __init__(self) -> None:
        self.begun = 0
        self.done = 0
        self.stopped = 0

    def tools(self) -> list[Any]:
        async def work(seconds: float) -> str:
            self.begun += 1
            try:
                await anyio.sleep(seconds)
            except BaseException:
                self.stopped += 1
                raise
            self.done += 1
            return f"after {seconds}"

        return [tool(work)]


def talkative() -> tuple[Told, ...]:
    """Four seconds or so: an answer that calls, two functions, an answer."""
    first = calling(("work", {"seconds": 0.5}), ("work", {"seconds": 1.0}), text="Let me see.", gap_s=0.2)
    second = answer("It is done now.", 0.2, after_s=0.5)
    return first, second


MOMENTS_S = [round(0.1 * tick + 0.05, 2) for tick in range(40)] + [0.0, 0.2, 0.8, 1.3, 1.8, 2.3]


def settled(trace: Trace) -> None:
    assert trace.begun == trace.done + trace.stopped, "a function ran on"


@BACKENDS
@pytest.mark.behaviour("run-cancel", "run-always-valid")
def test_cancel_from_another_task_ends_the_run_at_once_at_every_moment(backend: str) -> None:
    statuses: dict[float, str] = {}

    async def stopped_at(moment_s: float) -> None:
        trace = Trace()
        begun_s = anyio.current_time()
        async with asking(*talkative(), answer("Gone on.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=trace.tools())
            told: list[ChatRunEvent] = []

            async def stopper() -> None:
                await anyio.sleep(moment_s)
                await made.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stopper)
                async with made:
                    async for event in made:
                        told.append(event)
                    ended_s = anyio.current_time() - begun_s
                tasks.cancel_scope.cancel()
            assert made.reply.outcome is not None
            statuses[moment_s] = made.reply.outcome.status
            if statuses[moment_s] == "cancelled":
                assert ended_s == pytest.approx(moment_s), "the iteration ends when it is cancelled"
            settled(trace)
            called = [event for event in told if isinstance(event, ToolCalled)]
            finished = [event for event in told if isinstance(event, ToolFinished)]
            assert len(called) == len(finished), "each call that is told of is told to be over"
            assert trace.stopped == sum("the call was stopped" in event.output for event in finished) or not trace.begun
            check(made.conversation)
            told_words = "".join(message["content"] for message in made.conversation if message["role"] == "assistant")
            assert told_words == text_told(told)
            asked = len(service.bodies)
            made.conversation.add_user("And now?")
            service._script = (answer("Gone on."),)
            assert (await chat.run(MODEL, made.conversation, tools=trace.tools())).text == "Gone on."
            assert len(service.bodies) == asked + 1, "nothing was asked after the end"
            check(service.bodies[-1]["messages"])

    async def main() -> None:
        for moment_s in MOMENTS_S:
            await stopped_at(moment_s)

    run(main, backend)
    assert set(statuses.values()) == {"cancelled", "complete"}
    assert all(status == "cancelled" for moment_s, status in statuses.items() if moment_s < 3)


@BACKENDS
@pytest.mark.behaviour("run-cancel", "run-always-valid")
@pytest.mark.parametrize("is_awaited", [True, False])
def test_cancelling_the_task_leaves_nothing_open_at_every_moment(backend: str, is_awaited: bool) -> None:
    async def stopped_at(moment_s: float) -> bool:
        trace = Trace()
        async with asking(*talkative()) as (chat, _):
            made = chat.run(MODEL, "hi", tools=trace.tools())
            begun_s = anyio.current_time()
            with anyio.move_on_after(moment_s) as scope:
                if is_awaited:
                    await made
                else:
                    async with made:
                        async for _ in made:
                            pass
            if scope.cancelled_caught:
                assert anyio.current_time() - begun_s == pytest.approx(moment_s)
            settled(trace)
            check(made.conversation)
            if made.replies and scope.cancelled_caught:
                assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"
            return scope.cancelled_caught

    async def main() -> None:
        assert {await stopped_at(moment_s) for moment_s in MOMENTS_S} == {True, False}

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel", "run-always-valid")
def test_leaving_after_any_event_leaves_a_conversation_of_what_was_told(backend: str) -> None:
    async def left_after(count: int) -> bool:
        trace = Trace()
        async with asking(*talkative()) as (chat, _):
            made = chat.run(MODEL, "hi", tools=trace.tools())
            told: list[ChatRunEvent] = []
            async with made:
                async for event in made:
                    told.append(event)
                    if len(told) == count:
                        break
            settled(trace)
            check(made.conversation)
            words = "".join(message["content"] for message in made.conversation if message["role"] == "assistant")
            assert words == text_told(told)
            return len(told) == count

    async def main() -> None:
        count = 1
        while await left_after(count):
            count += 1
        assert count > 10

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_reader_may_cancel_its_own_run_at_every_event(backend: str) -> None:
    async def cancelled_at(count: int) -> bool:
        trace = Trace()
        async with asking(*talkative()) as (chat, _):
            made = chat.run(MODEL, "hi", tools=trace.tools())
            told: list[ChatRunEvent] = []
            async with made:
                async for event in made:
                    told.append(event)
                    if len(told) == count:
                        await made.cancel()
            settled(trace)
            check(made.conversation)
            if len(told) >= count:
                is_call = isinstance(told[count - 1], ToolCalled)
                assert trace.begun == 0 if is_call else True, "a function that has not begun does not begin"
                assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"
            return len(told) >= count

    async def main() -> None:
        count = 1
        while await cancelled_at(count):
            count += 1
        assert count > 10

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_what_came_but_was_not_told_is_not_in_the_conversation(backend: str) -> None:
    async def main() -> None:
        at_once = b"".join([said("One "), said("two "), said("three"), stop(), DONE])
        async with asking(sse(at_once, done=False)) as (chat, _):
            made = chat.run(MODEL, "hi")
            async with made:
                await anext(made)
                await made.cancel()
                assert [event async for event in made] == []
            assert [message["content"] for message in made.conversation] == ["hi", "One "]
            assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_calls_that_came_but_were_not_told_are_not_run_when_the_run_is_cancelled(backend: str) -> None:
    async def main() -> None:
        at_once = b"".join([said("One "), chunk(calls((0, "c1", "look", '{"city":"Rome"}'))), stop("tool_calls"), DONE])
        async with asking(sse(at_once, done=False)) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[look])
            async with made:
                await anext(made)
                await made.cancel()
                assert [event async for event in made] == []
            assert [message["content"] for message in made.conversation] == ["hi", "One "]
            assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"
            assert len(service.bodies) == 1

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_run_that_is_cancelled_before_it_is_entered_asks_nothing(backend: str) -> None:
    async def main() -> None:
        async with asking(answer("hi")) as (chat, service):
            made = chat.run(MODEL, "hi")
            await made.cancel()
            reply = await made
            assert reply.outcome is not None and reply.outcome.status == "cancelled"
            assert service.asked == [] and made.replies == []

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_cancel_after_the_end_changes_nothing(backend: str) -> None:
    async def main() -> None:
        async with asking(answer("hi")) as (chat, _):
            made = chat.run(MODEL, "hi")
            await made
            await made.cancel()
            assert made.reply.outcome is not None and made.reply.outcome.is_complete
            assert made.reply.text == "hi"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_cancel_of_one_run_leaves_another_one_alone(backend: str) -> None:
    async def main() -> None:
        async with asking(answer("One two three.", 0.5)) as (chat, _):
            texts: dict[str, str] = {}
            runs = {name: chat.run(MODEL, "hi") for name in ("first", "second")}

            async def reading(name: str) -> None:
                texts[name] = text_told(await read(runs[name]))

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    for name in runs:
                        tasks.start_soon(reading, name)
                    await anyio.sleep(0.75)
                    await runs["first"].cancel()
            assert texts == {"first": "One", "second": "One two three."}

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
@pytest.mark.parametrize("script", [lambda: sse(Hang()), lambda: sse(said("a"), Hang()), lambda: sse(after_s=1e6)])
def test_cancel_ends_a_run_whose_service_is_silent(backend: str, script: Callable[[], Told]) -> None:
    async def main() -> None:
        async with asking(script()) as (chat, _):
            made = chat.run(MODEL, "hi")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, made)
                await anyio.sleep(5)
                with anyio.fail_after(1):
                    await made.cancel()
            assert anyio.current_time() == 5
            assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_cancel_during_the_wait_before_a_second_try_asks_no_more(backend: str) -> None:
    async def main() -> None:
        async with asking(refusal(429, Retry_After="20")) as (chat, service):
            made = chat.run(MODEL, "hi")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, made)
                await anyio.sleep(5)
                await made.cancel()
            assert anyio.current_time() == 5 and len(service.asked) == 1
            assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel", "run-always-valid")
def test_emulated_run_is_cancelled_while_its_function_runs(backend: str) -> None:
    async def main() -> None:
        trace = Trace()

        def scenario(prompt: Prompt) -> Turn:
            return Turn(say="Wait.", calls=(ToolRequest("work", {"seconds": 60.0}),), then="{output}")

        async with AsyncClient(transport=Emulator(scenario, seed=1).transport()) as client:
            made = client.chat.run(MODEL, "hi", tools=trace.tools())
            async with made:
                async for event in made:
                    if isinstance(event, ToolCalled):
                        break
                await anyio.sleep(1)
                await made.cancel()
                rest = [event async for event in made]
            assert [type(event) for event in rest] == [ToolFinished]
            assert (trace.begun, trace.stopped) == (1, 1)
            check(made.conversation)
            made.conversation.add_user("Go on.")
            assert (await client.chat.create(MODEL, made.conversation)).text.startswith("Wait.")

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-cancel")
def test_function_may_stop_the_run_that_called_it(backend: str) -> None:
    async def main() -> None:
        begun: list[str] = []

        @tool
        async def hang_up() -> str:
            await made.cancel()
            return "never"

        @tool
        async def pay() -> str:
            begun.append("pay")
            return "paid"

        async with asking(calling(("hang_up", {}), ("pay", {}))) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[hang_up, pay])
            told = await read(made)
            finished = [event for event in told if isinstance(event, ToolFinished)]
            assert "the call was stopped" in finished[0].output
            assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"
            if backend == "asyncio":  # trio begins tasks in any order
                assert begun == []
            check(made.conversation)
            assert len(service.bodies) == 1

    run(main, backend)


@pytest.mark.anyio
@pytest.mark.behaviour("run-cancel", "run-always-valid")
async def test_run_over_a_real_socket_is_stopped_in_its_text_and_in_its_function(live_backend: str) -> None:
    def scenario(prompt: Prompt) -> Turn:
        if prompt.outputs or prompt.heard == "Go on.":
            return Turn(say="It is done.")
        return Turn(say="Wait a moment.", calls=(ToolRequest("work", {"seconds": 60.0}),))

    trace = Trace()
    with anyio.fail_after(20):
        async with Emulator(scenario, seed=1) as emulator, AsyncClient(base_url=emulator.url, api_key="k") as client:
            for kind, wanted in ((TextDelta, "text"), (ToolCalled, "call")):
                made = client.chat.run(MODEL, "hi", tools=trace.tools())
                async with made:
                    async for event in made:
                        if isinstance(event, kind):
                            break
                    await made.cancel()
                    assert all(isinstance(event, ToolFinished) for event in [event async for event in made]), wanted
                check(made.conversation)
                assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"
                made.conversation.add_user("Go on.")
                assert (await client.chat.run(MODEL, made.conversation)).text == "It is done."
    settled(trace)
