"""Runs in which something goes wrong, or that are stopped: the model is told, and the conversation can go on."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import anyio
import pytest

from tests.chat.driving import BACKENDS, asking, calls, chunk, refusal, run, said, sse, stop
from tests.chat.running import answer, calling, check, outputs, read
from xai_realtime import ServerError, ServiceError, tool
from xai_realtime.chat.run import ChatRunEvent
from xai_realtime.protocol.session_events import ToolCalled, ToolFinished

MODEL = "grok-4.6"
CANARY = "canary-words"


@tool
async def look(city: str, days: int = 1) -> str:
    return f"sunny in {city}"


@tool
async def fail(city: str) -> str:
    raise LookupError(f"no such city: {city}")


@tool
async def hang() -> None:
    await anyio.sleep_forever()


@tool(timeout_s=2)
async def hang_shortly() -> None:
    await anyio.sleep_forever()


@tool
async def give_set() -> object:
    return object()


TOOLS: list[Any] = [look, fail, hang, hang_shortly, give_set]


async def refuse_everything(called: ToolCalled) -> bool | str:
    return False


async def refuse_with_a_reason(called: ToolCalled) -> bool | str:
    assert (called.name, called.call_id) == ("look", "call_look_0")
    return "not before noon"


async def approve_everything(called: ToolCalled) -> bool | str:
    return True


# What the model does wrong, and functions do


WRONG = {
    "malformed": (("look", '{"city": "Ro'), "the arguments are no JSON", None),
    "a list": (("look", "[1]"), "no JSON object", None),
    "no object": (("look", '"Rome"'), "no JSON object", None),
    "missing": (("look", {}), "city", None),
    "of the wrong type": (("look", {"city": "Rome", "days": "many"}), "days", None),
    "unknown tool": (("book", {}), "there is no tool named book", None),
    "failing": (("fail", {"city": "Oz"}), "LookupError: no such city: Oz", None),
    "late": (("hang", {}), "no answer within 5 s", None),
    "late by its own limit": (("hang_shortly", {}), "no answer within 2 s", None),
    "result is no JSON": (("give_set", {}), "cannot be written as JSON", None),
    "not approved": (("look", {"city": "Rome"}), "the call was not approved", refuse_everything),
    "not approved for a reason": (("look", {"city": "Rome"}), "not before noon", refuse_with_a_reason),
}


@BACKENDS
@pytest.mark.behaviour("bug-9", "run-mistakes-told")
@pytest.mark.parametrize("kind", list(WRONG))
def test_model_is_told_once_when_a_call_comes_to_nothing(
    backend: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    (name, arguments), expected, approve = WRONG[kind]

    async def main() -> None:
        async with asking(calling((name, arguments), text="Wait."), answer("I could not.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=TOOLS, tool_timeout_s=5, approve=approve)
            told = await read(made)
            (finished,) = [event for event in told if isinstance(event, ToolFinished)]
            assert finished.is_error and finished.name == name
            assert expected in json.loads(finished.output)["error"]
            assert outputs(service.bodies[1]) == {f"call_{name}_0": finished.output}
            repeated = service.bodies[1]["messages"][1]["tool_calls"][0]["function"]
            written = arguments if isinstance(arguments, str) else json.dumps(arguments)
            assert repeated == {"name": name, "arguments": written}
            assert len(service.bodies) == 2 and made.reply.text == "I could not."
            check(made.conversation)

    caplog.set_level(logging.DEBUG)
    run(main, backend)
    assert "Rome" not in caplog.text and "Oz" not in caplog.text


@BACKENDS
@pytest.mark.behaviour("run-mistakes-told")
def test_call_without_a_name_is_answered_and_goes_back_under_one(backend: str) -> None:
    async def main() -> None:
        nameless = {"tool_calls": [{"index": 0, "id": "c1", "function": {"arguments": "{}"}}]}
        two = sse(chunk(nameless), chunk(calls((1, "c2", "look", '{"city":"Rome"}'))), stop("tool_calls"))
        async with asking(two, answer("Sunny.")) as (chat, service):
            asked: list[str] = []

            async def approve(called: ToolCalled) -> bool | str:
                asked.append(called.name)
                return True

            made = chat.run(MODEL, "hi", tools=TOOLS, approve=approve)
            told = await read(made)
            assert [event.name for event in told if isinstance(event, ToolCalled)] == ["", "look"]
            assert outputs(service.bodies[1]) == {"c1": '{"error":"the call names no tool"}', "c2": "sunny in Rome"}
            repeated = service.bodies[1]["messages"][1]["tool_calls"]
            assert [call["function"]["name"] for call in repeated] == ["unnamed", "look"]
            assert asked == ["look"], "nobody is asked about a call that names nothing"
            check(made.conversation)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-mistakes-told", "run-approve")
def test_one_call_that_fails_leaves_the_others_of_its_answer_alone(backend: str) -> None:
    async def main() -> None:
        made_calls: Any = (("fail", {"city": "Oz"}), ("look", {"city": "Rome"}), ("hang_shortly", {}), ("book", "{"))
        async with asking(calling(*made_calls), answer("So so.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=TOOLS, approve=approve_everything)
            told = await read(made)
            assert [event.is_error for event in told if isinstance(event, ToolFinished)] == [True, False, True, True]
            assert list(outputs(service.bodies[1])) == [f"call_{name}_{at}" for at, (name, _) in enumerate(made_calls)]
            check(made.conversation)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-approve")
def test_function_does_not_run_unless_its_call_is_approved(backend: str) -> None:
    async def main() -> None:
        ran: list[str] = []

        @tool
        async def pay(sum_usd: int) -> str:
            ran.append(f"{sum_usd} at {anyio.current_time()}")
            return "paid"

        async def approve(called: ToolCalled) -> bool | str:
            await anyio.sleep(4)
            return json.loads(called.arguments)["sum_usd"] < 100 or "too much"

        async with asking(calling(("pay", {"sum_usd": 500}), ("pay", {"sum_usd": 5})), answer("Done.")) as (chat, http):
            await chat.run(MODEL, "hi", tools=[pay], approve=approve)
            assert ran == ["5 at 4.0"]
            assert list(outputs(http.bodies[1]).values()) == ['{"error":"too much"}', "paid"]

    run(main, backend)


# What breaks the run


class Own(Exception):
    """An exception of the test."""


@BACKENDS
@pytest.mark.behaviour("run-bare-exceptions", "run-always-valid")
def test_exception_of_approve_surfaces_as_it_is_and_stops_the_other_calls(backend: str) -> None:
    async def main() -> None:
        stopped: list[float] = []

        @tool
        async def slow() -> str:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.append(anyio.current_time())
            return "never"

        async def approve(called: ToolCalled) -> bool | str:
            if called.name == "look":
                await anyio.sleep(3)
                raise Own
            return True

        async with asking(calling(("slow", {}), ("look", {"city": "Rome"}))) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[slow, look], approve=approve)
            with pytest.raises(Own) as caught:
                await made
            assert stopped == [3.0] and len(service.bodies) == 1
            check(made.conversation)
            assert made.reply.outcome is not None
            assert (made.reply.outcome.status, made.reply.outcome.error) == ("failed", caught.value)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-bare-exceptions", "run-always-valid")
@pytest.mark.parametrize("round_number", [1, 2])
def test_error_of_the_service_surfaces_as_it_is_in_any_round(backend: str, round_number: int) -> None:
    async def main() -> None:
        script = [*([calling(("look", {"city": "Rome"}), text="Wait.")] * (round_number - 1)), refusal(501)]
        async with asking(*script) as (chat, service):
            made = chat.run(MODEL, "hi", tools=TOOLS, policy=no_retries())
            events: list[ChatRunEvent] = []
            with pytest.raises(ServerError):
                async with made:
                    async for event in made:
                        events.append(event)
            assert len(made.replies) == round_number and len(service.bodies) == round_number
            assert made.reply.outcome is not None and made.reply.outcome.status == "failed"
            check(made.conversation)
            roles = [message["role"] for message in made.conversation]
            assert roles == (["user"] if round_number == 1 else ["user", "assistant", "tool"])

    run(main, backend)


def no_retries() -> Any:
    from xai_realtime.protocol.chat_policy import ChatPolicy

    return ChatPolicy(max_retries=0)


@BACKENDS
@pytest.mark.behaviour("run-bare-exceptions", "run-always-valid")
def test_what_was_said_stays_in_the_conversation_when_the_stream_breaks(backend: str) -> None:
    async def main() -> None:
        broken = sse(said("Half a "), chunk(calls((0, "c1", "look", "{"))), b'data: {"code":"busy","error":"No."}\n\n')
        async with asking(broken, answer("Whole.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=TOOLS)
            with pytest.raises(ServiceError):
                await made
            assert [message["content"] for message in made.conversation] == ["hi", "Half a "]
            check(made.conversation)
            made.conversation.add_user("Again?")
            assert (await chat.run(MODEL, made.conversation, tools=TOOLS)).text == "Whole."
            check(service.bodies[-1]["messages"])

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-always-valid")
@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        ([stop("length")], "truncated", "length"),
        ([stop("content_filter")], "refused", "content_filter"),
        ([], "truncated", "cut"),
    ],
)
def test_calls_of_an_answer_that_is_not_whole_are_not_run(
    backend: str, ending: list[bytes], status: str, reason: str
) -> None:
    async def main() -> None:
        call = chunk(calls((0, "c1", "look", '{"city":"Rome"}')))
        async with asking(sse(said("Wait."), call, *ending, done=bool(ending))) as (chat, service):
            made = chat.run(MODEL, "hi", tools=TOOLS)
            told = await read(made)
            assert not any(isinstance(event, ToolCalled | ToolFinished) for event in told)
            assert made.reply.outcome is not None and len(service.bodies) == 1
            assert (made.reply.outcome.status, made.reply.outcome.reason) == (status, reason)
            assert [message["content"] for message in made.conversation] == ["hi", "Wait."]
            check(made.conversation)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-always-valid")
def test_answer_that_says_nothing_is_not_added(backend: str) -> None:
    async def main() -> None:
        async with asking(sse(said(""), stop())) as (chat, _):
            made = chat.run(MODEL, "hi")
            assert (await made).text == ""
            assert [message["role"] for message in made.conversation] == ["user"]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-bare-exceptions", "run-always-valid")
@pytest.mark.parametrize("kind", ["text", "call", "end"])
def test_exception_of_the_reader_surfaces_as_it_is(backend: str, kind: str) -> None:
    async def main() -> None:
        script = (calling(("hang_shortly", {}), text="Let me see."), answer("It is so."))
        async with asking(*script) as (chat, _):
            made = chat.run(MODEL, "hi", tools=TOOLS)
            with pytest.raises(Own):
                async with made:
                    async for event in made:
                        if kind == "text" or (kind == "call" and isinstance(event, ToolCalled)):
                            raise Own
                    raise Own
            check(made.conversation)
            if kind == "call":
                assert made.reply.outcome is not None and made.reply.outcome.status == "cancelled"

    run(main, backend)


@pytest.mark.behaviour("run-always-valid")
def test_function_that_waits_for_a_cancelled_task_is_told_as_stopped() -> None:
    @tool
    async def give_up() -> str:
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task
        return "never"

    async def main() -> None:
        async with asking(calling(("give_up", {})), answer("So be it.")) as (chat, service):
            assert (await chat.run(MODEL, "hi", tools=[give_up])).text == "So be it."
            assert "the call was stopped" in outputs(service.bodies[1])["call_give_up_0"]

    run(main, "asyncio")


@BACKENDS
@pytest.mark.behaviour("run-no-text")
def test_no_text_of_a_run_stands_in_what_is_shown_of_it(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        script = (calling(("fail", {"city": CANARY}), text=CANARY), answer(CANARY))
        async with asking(*script) as (chat, _):
            made = chat.run(MODEL, CANARY, tools=TOOLS)
            told = await read(made)
            shown = [repr(made), repr(made.reply), repr(made.conversation), *map(repr, told), *map(repr, made.replies)]
            assert not any(CANARY in text for text in shown)

    caplog.set_level(logging.DEBUG)
    run(main, backend)
    assert CANARY not in caplog.text
