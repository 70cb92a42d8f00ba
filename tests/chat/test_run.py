"""A run asks, calls functions, and asks again until the model answers."""

from __future__ import annotations

import gc
import json
import threading
import warnings
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.chat.driving import BACKENDS, asking, calls, chunk, emulated, run, said, sse, stop, usage
from tests.chat.running import answer, calling, check, outputs, read, text_told
from xai_realtime import AsyncClient, ConfigurationError, ToolResult, tool
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.run import ChatRun
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn
from xai_realtime.models import RetiredModelWarning
from xai_realtime.protocol.chat_outcome import TextDelta
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.protocol.session_events import ResponseDone, ToolCalled, ToolFinished

MODEL = "grok-4.6"
BOTH = (("look", {"city": "Paris"}), ("look", {"city": "Rome"}))


@tool
async def look(city: str) -> str:
    """The weather; in Paris one waits longer for it."""
    await anyio.sleep(3 if city == "Paris" else 1)
    return f"sunny in {city}"


@tool
async def now() -> str:
    """The time."""
    return "noon"


def travelling(prompt: Prompt) -> Turn:
    if prompt.outputs:
        return Turn(say=f"It is {' and '.join(prompt.outputs)}.")
    return Turn(say="Let me see.", calls=tuple(ToolRequest(name, args) for name, args in BOTH))


@BACKENDS
@pytest.mark.behaviour("run-loops", "run-content-kept", "run-parallel")
def test_run_calls_at_the_same_time_and_gives_outputs_back_in_the_order_of_the_calls(backend: str) -> None:
    async def main() -> None:
        async with emulated(travelling) as chat:
            made = chat.run(MODEL, "How is the weather?", tools=[look])
            async with made:
                told = [(anyio.current_time(), event) async for event in made]
            kinds = [type(event).__name__ for _, event in told if not isinstance(event, TextDelta)]
            assert kinds == ["ToolDelta"] * 2 + ["ToolCalled"] * 2 + ["ToolFinished"] * 2
            assert text_told([event for _, event in told]) == "Let me see.It is sunny in Paris and sunny in Rome."
            called = [(at, event) for at, event in told if isinstance(event, ToolCalled)]
            finished = [(at, event) for at, event in told if isinstance(event, ToolFinished)]
            assert [event.output for _, event in finished] == ["sunny in Paris", "sunny in Rome"]
            assert [event.duration_ms for _, event in finished] == pytest.approx([3000, 1000])
            assert finished[-1][0] - called[0][0] == pytest.approx(3), "one waits for the longest alone"
            ids = [event.call_id for _, event in called]
            assert ids == [event.call_id for _, event in finished]
            assert [event.response_id for _, event in called] == [made.replies[0].id] * 2
            assert made.reply is made.replies[-1] and len(made.replies) == 2
            assert made.reply.outcome is not None and made.reply.outcome.is_complete
            check(made.conversation)
            first, second, *rest = made.conversation.messages
            assert first == {"role": "user", "content": "How is the weather?"}
            assert second["content"] == "Let me see."
            assert [call["id"] for call in second["tool_calls"]] == ids
            assert [message["content"] for message in rest] == [
                "sunny in Paris",
                "sunny in Rome",
                "It is sunny in Paris and sunny in Rome.",
            ]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-loops")
def test_run_gives_the_last_answer_when_it_is_awaited(backend: str) -> None:
    async def main() -> None:
        async with emulated(travelling) as chat:
            reply = await chat.run(MODEL, "How is the weather?", tools=[look])
            assert reply.text == "It is sunny in Paris and sunny in Rome."
            assert (await chat.run(MODEL, "hi")).outcome.reason == "stop"  # type: ignore[union-attr]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-loops")
def test_run_asks_as_often_as_the_model_calls_and_says_the_same_each_time(backend: str) -> None:
    async def main() -> None:
        script = (calling(("now", {})), calling(("look", {"city": "Rome"})), answer("Noon and sun."))
        async with asking(*script) as (chat, service):
            options: Any = {"system": "Be brief.", "temperature": 0.5, "tool_choice": "auto", "extra": {"seed": 7}}
            made = chat.run(MODEL, [("user", "hi")], tools=[look, now], **options)
            assert (await made).text == "Noon and sun."
            assert len(service.bodies) == len(made.replies) == 3
            for body in service.bodies:
                assert body["messages"][0] == {"role": "system", "content": "Be brief."}
                assert (body["temperature"], body["tool_choice"], body["seed"]) == (0.5, "auto", 7)
                assert [entry["function"]["name"] for entry in body["tools"]] == ["look", "now"]
                assert body["stream"] is True
                check(body["messages"])
            assert outputs(service.bodies[-1]) == {"call_now_0": "noon", "call_look_0": "sunny in Rome"}

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-7", "bug-8", "run-content-kept")
@pytest.mark.parametrize("style", ["together", "separate", "fragments", "interleaved"])
@pytest.mark.parametrize("first_index", [0, 1, 5])
def test_run_makes_every_call_in_whatever_style_they_come(backend: str, style: Any, first_index: int) -> None:
    async def main() -> None:
        quirks: Any = {"tool_calls": style, "first_call_index": first_index, "content_with_calls": True}
        async with emulated(travelling, odd_chunks=True, reasoning="hm so", **quirks) as chat:
            made = chat.run(MODEL, "How is the weather?", tools=[look])
            told = await read(made)
            assert text_told(told) == "Let me see.It is sunny in Paris and sunny in Rome."
            assert [event.output for event in told if isinstance(event, ToolFinished)] == [
                "sunny in Paris",
                "sunny in Rome",
            ]
            check(made.conversation)
            assert made.conversation.messages[1]["content"] == "Let me see."

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-7", "run-ids")
@pytest.mark.parametrize("indexes", [(0, 2), (2, 0), (7, 9)])
def test_run_keeps_calls_apart_when_their_indexes_have_gaps(backend: str, indexes: tuple[int, int]) -> None:
    async def main() -> None:
        low, high = sorted(indexes)
        parts = [
            chunk(calls((low, "low", "look", '{"city":'), (high, "high", "look", '{"city"'))),
            chunk({"tool_calls": [{"index": high, "function": {"arguments": ':"Rome"}'}}]}),
            chunk({"tool_calls": [{"index": low, "function": {"arguments": '"Paris"}'}}]}),
        ]
        async with asking(sse(*parts, stop("tool_calls")), answer("Fine.")) as (chat, service):
            await chat.run(MODEL, "hi", tools=[look])
            assert list(outputs(service.bodies[1]).items()) == [("low", "sunny in Paris"), ("high", "sunny in Rome")]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-ids")
def test_run_makes_up_ids_where_the_service_gives_none_and_takes_those_that_come_again(backend: str) -> None:
    async def main() -> None:
        nameless = {"tool_calls": [{"function": {"name": "now", "arguments": "{}"}}]}
        again = calling(("now", {}), ids=["call_0"])
        script = (sse(chunk(nameless), stop("tool_calls")), again, again, answer("Noon."))
        async with asking(*script) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[now])
            assert (await made).text == "Noon."
            check(made.conversation)
            last = service.bodies[-1]["messages"]
            check(last)
            assert [message["content"] for message in last if message["role"] == "tool"] == ["noon"] * 3

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-empty-arguments")
@pytest.mark.parametrize("written", ["", " ", "{}", None])
def test_run_calls_without_arguments_when_the_model_wrote_none(backend: str, written: str | None) -> None:
    async def main() -> None:
        function = {"name": "now"} if written is None else {"name": "now", "arguments": written}
        call = {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}
        async with asking(sse(chunk(call), stop("tool_calls")), answer("Noon.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[now])
            told = await read(made)
            assert [event.arguments for event in told if isinstance(event, ToolCalled)] == ["{}"]
            assert outputs(service.bodies[1]) == {"c1": "noon"}
            assert service.bodies[1]["messages"][1]["tool_calls"][0]["function"]["arguments"] == "{}"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-conversation")
def test_run_lets_a_conversation_grow_and_leaves_a_list_alone(backend: str) -> None:
    async def main() -> None:
        async with emulated(travelling) as chat:
            talk = ChatConversation(system="Be brief.", settings={"tools": [look]}).add_user("How is the weather?")
            made = chat.run(MODEL, talk)
            await made
            assert made.conversation is talk and len(talk) == 5
            talk.add_user("And now?")
            await chat.run(MODEL, talk)
            assert len(talk) == 10
            check(talk)
            listed = [{"role": "user", "content": "How is the weather?"}]
            await chat.run(MODEL, listed, tools=[look])
            assert listed == [{"role": "user", "content": "How is the weather?"}]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-conversation")
def test_conversation_never_holds_a_call_without_its_output_while_functions_run(backend: str) -> None:
    async def main() -> None:
        talk = ChatConversation([("user", "hi")])
        seen: list[tuple[str, ...]] = []

        @tool
        async def peek() -> str:
            seen.append(talk.open_calls)
            talk.add_user("Are you there?")
            return "ok"

        async with asking(calling(("peek", {}), text="Wait."), answer("Here.")) as (chat, service):
            await chat.run(MODEL, talk, tools=[peek])
            assert seen == [()]
            roles = [message["role"] for message in service.bodies[1]["messages"]]
            assert roles == ["user", "user", "assistant", "tool"]
            check(talk)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-same-tools")
def test_tool_is_the_same_object_in_a_realtime_session_and_in_chat(backend: str) -> None:
    async def main() -> None:
        def scenario(prompt: Prompt) -> Turn:
            return Turn(calls=(ToolRequest("look", {"city": "Rome"}),), then="It is {output}.")

        async with AsyncClient(transport=Emulator(scenario, seed=1).transport()) as client:
            reply = await client.chat.run(MODEL, "How is the weather?", tools=[look])
            async with client.realtime.session(tools=[look]) as session:
                await session.send_text("How is the weather?")
                told = []
                async for event in session:
                    told.append(event)
                    if isinstance(event, ResponseDone) and any(isinstance(entry, ToolFinished) for entry in told):
                        break
            assert reply.text == "It is sunny in Rome."
            assert [event.output for event in told if isinstance(event, ToolFinished)] == ["sunny in Rome"]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-threads")
def test_sync_function_runs_in_a_thread(backend: str) -> None:
    async def main() -> None:
        threads: list[int] = []

        def where(city: str) -> dict[str, str]:
            threads.append(threading.get_ident())
            return {"city": city}

        async with asking(calling(("where", {"city": "Rome"})), answer("There.")) as (chat, service):
            await chat.run(MODEL, "hi", tools=[where])
            assert outputs(service.bodies[1]) == {"call_where_0": '{"city":"Rome"}'}
            assert len(threads) == 1 and threads[0] != threading.get_ident()

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-usage")
def test_ledger_takes_the_usage_of_all_rounds(backend: str) -> None:
    async def main() -> None:
        ledger = UsageLedger()
        async with emulated(travelling) as chat:
            made = chat.run(MODEL, "How is the weather?", tools=[look], ledger=ledger)
            await made
            assert len(ledger.chat_requests) == len(made.replies) == 2
            told = {reply.id: reply.usage for reply in made.replies}
            assert {name: entry.usage for name, entry in ledger.chat_requests.items()} == told
            assert all(usage.is_complete and usage.total_tokens for usage in told.values())

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-respond")
def test_run_asks_no_more_when_no_function_wants_an_answer(backend: str) -> None:
    async def main() -> None:
        @tool
        async def note(text: str) -> ToolResult:
            return ToolResult({"noted": text}, respond=False)

        async with asking(calling(("note", {"text": "a"}), ("note", {"text": "b"}), text="Noted.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[note])
            reply = await made
            assert len(service.bodies) == 1
            assert reply.outcome is not None and reply.outcome.is_complete and reply.text == "Noted."
            check(made.conversation)
            assert [message["content"] for message in made.conversation][2:] == ['{"noted":"a"}', '{"noted":"b"}']
        async with asking(calling(("note", {"text": "a"}), ("now", {})), answer("Noon.")) as (chat, service):
            assert (await chat.run(MODEL, "hi", tools=[note, now])).text == "Noon."

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-bounded")
@pytest.mark.parametrize("max_rounds", [1, 2, 3])
def test_run_ends_after_so_many_requests_with_a_conversation_that_can_go_on(backend: str, max_rounds: int) -> None:
    async def main() -> None:
        ran = []

        @tool
        async def again() -> str:
            ran.append(1)
            return "more"

        async with asking(calling(("again", {}), text="Once more.")) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[again], max_rounds=max_rounds)
            reply = await made
            assert len(service.bodies) == max_rounds and len(ran) == max_rounds - 1
            assert reply.outcome is not None and reply.parsed is None
            assert (reply.outcome.status, reply.outcome.reason) == ("truncated", "rounds")
            assert reply.outcome.first_text_ms is not None and reply.tool_calls
            check(made.conversation)
            assert made.conversation.messages[-1] == {"role": "assistant", "content": "Once more."}
        async with asking(calling(("again", {}))) as (chat, _):
            made = chat.run(MODEL, "hi", tools=[again], max_rounds=1)
            await made
            assert [message["role"] for message in made.conversation] == ["user"], "it said nothing"

    run(main, backend)


class Answer(BaseModel):
    response: str
    mood: int


@BACKENDS
@pytest.mark.behaviour("run-structured")
def test_run_reads_the_last_answer_by_its_form_and_tells_a_field_as_it_grows(backend: str) -> None:
    async def main() -> None:
        written = json.dumps({"response": 'All "fine" \u2600', "mood": 3})
        grown = sse(*(piece for letter in written for piece in (0.1, said(letter))), stop(usage=usage()))
        early = calling(("now", {}), text='{"response":"Wait. "}')
        async with asking(early, grown) as (chat, service):
            made = chat.run(MODEL, "hi", tools=[now], response_format=Answer)
            told: list[tuple[float, str]] = []
            async with made:
                async for piece in made.text_of("response"):
                    told.append((anyio.current_time(), piece))
                ended_s = anyio.current_time()
            assert "".join(piece for _, piece in told) == 'Wait. All "fine" \u2600'
            assert told[1][0] < ended_s - 3, "it is told while the object grows"
            assert made.reply.parsed == Answer(response='All "fine" \u2600', mood=3)
            assert made.replies[0].parsed is None
            assert all(body["response_format"]["type"] == "json_schema" for body in service.bodies)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-steps")
@pytest.mark.parametrize("step_s", [0.05, 0.1, 0.25])
def test_run_loses_nothing_when_single_steps_are_given_up(backend: str, step_s: float) -> None:
    async def main() -> None:
        script = (calling(*BOTH, text="Let me see.", gap_s=0.1), answer("It is sunny.", 0.1))
        async with asking(*script) as (chat, _):
            made = chat.run(MODEL, "hi", tools=[look])
            told: list[Any] = []
            given_up = 0
            async with made:
                while True:
                    with anyio.move_on_after(step_s) as scope:
                        try:
                            told.append(await anext(made))
                        except StopAsyncIteration:
                            break
                    given_up += scope.cancelled_caught
                with pytest.raises(StopAsyncIteration):
                    await anext(made)
            assert given_up > 3
            assert text_told(told) == "Let me see.It is sunny."
            assert [event.output for event in told if isinstance(event, ToolFinished)] == [
                "sunny in Paris",
                "sunny in Rome",
            ]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-loops")
def test_run_gives_its_words_and_its_reply_while_it_goes_on(backend: str) -> None:
    async def main() -> None:
        async with asking(calling(("now", {}), text="Let me see."), answer("It is noon.")) as (chat, _):
            made = chat.run(MODEL, "hi", tools=[now])
            assert made.reply.outcome is None and made.reply.text == ""
            words = []
            async with made:
                async for piece in made.text():
                    words.append((piece, made.reply.text))
            assert words[0] == ("Let", "Let")
            assert words[-1] == (" noon.", "It is noon.")
            assert "noon" not in repr(made) and repr(made) == "<ChatRun, 2 answers>"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-refusals")
def test_run_refuses_mistakes_before_anything_is_sent(backend: str) -> None:
    async def main() -> None:
        async with asking(answer("hi")) as (chat, service):
            for wrong in (0, -1, True, 1.5, "3"):
                with pytest.raises(ConfigurationError, match="max_rounds"):
                    chat.run(MODEL, "hi", max_rounds=wrong)  # type: ignore[arg-type]
            for bad in (0, -1.0, True, float("nan"), float("inf"), "3"):
                with pytest.raises(ConfigurationError, match="tool_timeout_s"):
                    chat.run(MODEL, "hi", tool_timeout_s=bad)  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="two tools are named look"):
                chat.run(MODEL, "hi", tools=[look, look])
            with pytest.raises(ConfigurationError, match="empty"):
                chat.run(MODEL, [])
            assert service.asked == []
            made = chat.run(MODEL, "hi", tool_timeout_s=None)
            with pytest.raises(ConfigurationError, match="entered before"):
                await anext(made)
            await made
            with pytest.raises(ConfigurationError, match="made once"):
                await made
            with pytest.raises(ConfigurationError, match="made once"):
                async with made:
                    pass

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-28")
def test_tool_that_cannot_be_described_is_refused_and_never_left_out(backend: str) -> None:
    def odd(thing) -> str:  # type: ignore[no-untyped-def]
        return "odd"

    async def main() -> None:
        async with asking(answer("hi")) as (chat, service):
            with pytest.raises(ConfigurationError, match="tool odd: parameter thing has no annotation"):
                chat.run(MODEL, "hi", tools=[look, odd])
            with pytest.raises(ConfigurationError, match="parameters is a str"):
                chat.run(MODEL, "hi", tools=[look, {"name": "odd", "parameters": "none"}])
            assert service.asked == []

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-refusals")
def test_run_that_nobody_enters_leaves_nothing_behind(backend: str) -> None:
    async def main() -> None:
        async with asking(answer("hi")) as (chat, service):
            made: ChatRun | None = chat.run(MODEL, "hi")
            assert made is not None
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                made = None
                gc.collect()
            assert [entry for entry in seen if issubclass(entry.category, ResourceWarning)] == []
            assert service.asked == []

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("run-loops")
def test_run_warns_of_a_retired_model_once_however_often_it_asks(backend: str) -> None:
    async def main() -> None:
        async with asking(calling(("now", {})), answer("Noon.")) as (chat, service):
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                await chat.run("grok-3", "hi", tools=[now])
            assert [entry.category for entry in seen] == [RetiredModelWarning]
            assert len(service.bodies) == 2

    run(main, backend)
