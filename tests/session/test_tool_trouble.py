"""Calls that cannot be answered well: unknown, malformed, refused, failing, and those of replies that broke off."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.calling import Core, asking, called_back, continuations, outputs, recorded, slow
from tests.session.driving import BACKENDS, Talk, run, talking
from xai_realtime.emulator import ToolRequest, Turn
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionWarning,
    ToolCalled,
    ToolFinished,
    Transcript,
)
from xai_realtime.protocol.tool_ledger import Call
from xai_realtime.realtime._calls import CallRunner
from xai_realtime.tools import Toolbox, tool

ASKS_AGAIN = wire.Error.model_validate(
    {"type": "error", "error": {"type": "invalid_request_error", "code": "conversation_already_has_active_response"}}
)

STARTED = wire.InputAudioBufferSpeechStarted.model_validate(
    {"type": "input_audio_buffer.speech_started", "item_id": "item-u", "audio_start_ms": 0}
)
STOPPED = wire.InputAudioBufferSpeechStopped.model_validate(
    {"type": "input_audio_buffer.speech_stopped", "item_id": "item-u", "audio_end_ms": 500}
)
COMMITTED = wire.InputAudioBufferCommitted.model_validate({"type": "input_audio_buffer.committed", "item_id": "item-u"})


@tool
async def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@tool
async def broken() -> str:
    """A tool."""
    raise LookupError("no such order")


async def answered(talk: Talk) -> str:
    """Say `go`, wait for the reply about the one output, and give what the model got."""
    await called_back(talk)
    ((_, output),) = outputs(talk)
    assert continuations(talk) == 1
    return output


def created(response_id: str) -> wire.ResponseCreated:
    return wire.ResponseCreated.model_validate({"type": "response.created", "response": {"id": response_id}})


def done(response_id: str, status: str = "completed") -> wire.ResponseDone:
    stated = {"id": response_id, "status": status, "output": []}
    return wire.ResponseDone.model_validate({"type": "response.done", "response": stated})


def call(response_id: str, name: str = "one", call_id: str = "call-1", item_id: str = "item-1") -> list[Any]:
    """The first and the decisive announcement of a call."""
    item = {"id": item_id, "type": "function_call", "status": "in_progress", "call_id": call_id, "name": name}
    added = {"type": "response.output_item.added", "response_id": response_id, "item": item}
    stated = {"item_id": item_id, "response_id": response_id, "call_id": call_id, "name": name, "arguments": "{}"}
    return [
        wire.ResponseOutputItemAdded.model_validate(added),
        wire.ResponseFunctionCallArgumentsDone.model_validate(
            {"type": "response.function_call_arguments.done", **stated}
        ),
    ]


class TestWrongCalls:
    """The model is told what is wrong, and speaks about it."""

    @pytest.mark.behaviour("ask-19", "bug-44", "bug-9", "bug-42", "bug-45")
    @pytest.mark.parametrize(
        ("request_", "output"),
        [
            (ToolRequest("subtract", {"a": 1}), '{"error":"there is no tool named subtract"}'),
            (ToolRequest("", {"a": 1}), '{"error":"the call names no tool"}'),
            (ToolRequest("add", '{"a": 1'), '{"error":"the arguments are no JSON: '),
            (ToolRequest("add", "[1]"), "object"),
            (ToolRequest("add", ""), "a: Field required"),
            (ToolRequest("add", {"a": "one"}), "a: "),
            (ToolRequest("broken", ""), '{"error":"LookupError: no such order"}'),
        ],
        ids=["unknown", "nameless", "malformed", "no object", "empty", "wrong type", "failing"],
    )
    @BACKENDS
    def test_call_is_answered_with_an_error_and_spoken_about_when_it_cannot_be_run(
        self, request_: ToolRequest, output: str, backend: str
    ) -> None:
        async def main() -> None:
            async with talking(asking(request_, then="Sorry"), tools=[add, broken]) as talk:
                got = await answered(talk)
                assert got.startswith('{"error":') and output in got, got
                (finished,) = talk.of(ToolFinished)
                assert (finished.is_error, finished.output, finished.name) == (True, got, request_.name)
                assert not talk.of(SessionWarning)
                assert talk.of(Transcript)[-1].text == "Sorry"

        run(main, backend)

    @pytest.mark.behaviour("bug-42")
    @BACKENDS
    def test_function_runs_without_arguments_when_none_come(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking(ToolRequest("one", "")), tools=[slow("one", 0)]) as talk:
                assert await answered(talk) == "one output"

        run(main, backend)

    @pytest.mark.behaviour("ask-18", "bug-44")
    @BACKENDS
    def test_one_answer_follows_when_an_unknown_call_stands_beside_a_slow_one(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking("nothing", "one"), tools=[slow("one", 3)]) as talk:
                await called_back(talk, 2)
                assert [text for _, text in outputs(talk)] == [
                    '{"error":"there is no tool named nothing"}',
                    "one output",
                ]
                assert continuations(talk) == 1

        run(main, backend)

    @pytest.mark.behaviour("ask-25", "tool-of-the-service-is-left-to-it")
    @pytest.mark.parametrize("name", ["web_search", "x_keyword_search", "collections_search", "browse_page"])
    @BACKENDS
    def test_call_is_left_to_the_service_when_the_tool_is_its_own(self, name: str, backend: str) -> None:
        async def main() -> None:
            scenario = asking(ToolRequest(name, {"query": "news"}), then="Here is the news.")
            async with talking(scenario, tools=[slow("one", 0)]) as talk:
                await talk.session.send_text("go")
                await talk.next(ResponseDone)
                await anyio.sleep(10)
                assert outputs(talk) == [] and not talk.of(ToolCalled) and not talk.of(ToolFinished)
                assert talk.sent_types().count("response.create") == 1

        run(main, backend)

    @BACKENDS
    def test_own_call_is_answered_when_it_stands_beside_one_of_the_service(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking(ToolRequest("web_search"), "one"), tools=[slow("one", 1)]) as talk:
                assert await answered(talk) == "one output"

        run(main, backend)


class TestApproval:
    """A hook is asked before each call."""

    @pytest.mark.parametrize(
        ("verdict", "output"),
        [
            (True, "one output"),
            (False, '{"error":"the call was not approved"}'),
            ("", '{"error":"the call was not approved"}'),
            ("ask your manager", '{"error":"ask your manager"}'),
        ],
    )
    @BACKENDS
    def test_call_runs_or_tells_why_not_when_the_hook_has_decided(
        self, verdict: bool | str, output: str, backend: str
    ) -> None:
        asked: list[ToolCalled] = []
        ran: list[str] = []

        @tool
        async def one(n: int) -> str:
            """A tool."""
            ran.append("one")
            return "one output"

        async def approve(called: ToolCalled) -> bool | str:
            asked.append(called)
            await anyio.sleep(100)  # a person may need longer than the function may take
            return verdict

        async def main() -> None:
            async with talking(asking(ToolRequest("one", {"n": 1})), tools=[one], approve=approve) as talk:
                assert await answered(talk) == output
                assert asked == talk.of(ToolCalled)
                assert (asked[0].name, asked[0].arguments) == ("one", '{"n":1}')
                assert ran == (["one"] if verdict is True else [])
                (finished,) = talk.of(ToolFinished)
                assert finished.is_error == (verdict is not True)
                assert finished.duration_ms == pytest.approx(100_000)

        run(main, backend)

    @BACKENDS
    def test_exception_comes_out_of_the_iterator_when_the_hook_raises(self, backend: str) -> None:
        async def approve(called: ToolCalled) -> bool:
            raise ConfigurationError("who are you")

        async def main() -> None:
            async with talking(asking("one"), tools=[slow("one", 0)], approve=approve) as talk:
                await talk.session.send_text("go")
                error = await talk.ended()
                assert isinstance(error, ConfigurationError) and str(error) == "who are you"
                assert not talk.of(ToolFinished)

        run(main, backend)


class TestInterruption:
    """The user breaks in while a function runs, or before it was called."""

    @pytest.mark.parametrize("how", ["speech", "interrupt"])
    @BACKENDS
    def test_function_is_stopped_and_nothing_is_asked_for_when_the_user_breaks_in(self, how: str, backend: str) -> None:
        async def main() -> None:
            tools = [slow("one", 30, cancel_on_interrupt=True)]
            async with talking(asking("one"), tools=tools) as talk:
                await talk.session.send_text("go")
                await talk.next(ResponseDone)
                if how == "speech":
                    await talk.speak("never mind")
                else:
                    assert await talk.session.interrupt() is True
                    assert await talk.session.interrupt() is False
                finished = await talk.next(ToolFinished)
                assert (finished.output, finished.is_error) == ('{"error":"the call was stopped"}', True)
                await anyio.sleep(60)
                assert [text for _, text in outputs(talk)] == [finished.output]
                assert continuations(talk) == 0
                assert len(talk.of(ResponseStarted)) == (2 if how == "speech" else 1)

        run(main, backend)

    @BACKENDS
    def test_function_runs_on_when_it_is_not_to_stop(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking("one"), tools=[slow("one", 10)]) as talk:
                await talk.session.send_text("go")
                await talk.next(ResponseDone)
                assert await talk.session.interrupt() is False
                await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
                assert [text for _, text in outputs(talk)] == ["one output"]

        run(main, backend)

    @BACKENDS
    def test_result_goes_out_without_a_request_when_a_function_ends_in_spite_of_being_stopped(
        self, backend: str
    ) -> None:
        @tool(cancel_on_interrupt=True)
        async def one() -> str:
            """A tool."""
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)
            return "booked"

        async def main() -> None:
            async with talking(asking("one"), tools=[one]) as talk:
                await talk.session.send_text("go")
                await talk.next(ToolCalled)
                await talk.session.interrupt()
                assert (await talk.next(ToolFinished)).output == "booked"
                await anyio.sleep(30)
                assert [text for _, text in outputs(talk)] == ["booked"]
                assert continuations(talk) == 0

        run(main, backend)

    @BACKENDS
    def test_function_is_not_begun_when_it_was_stopped_before_its_task_began(self, backend: str) -> None:
        async def main() -> None:
            begun: list[str] = []

            @tool
            async def one() -> None:
                """A tool."""
                begun.append("one")

            runner = CallRunner(Toolbox([one]), None)
            runner.stop("call-1")
            outcome = await runner.run(Call("call-1", "one"), timeout_s=None)
            assert (outcome.output, outcome.is_error, outcome.respond) == (
                '{"error":"the call was stopped"}',
                True,
                False,
            )
            assert begun == []
            assert (await runner.run(Call("call-2", "one"), timeout_s=None)).output == "null"

        run(main, backend)

    def test_function_is_told_to_stop_once_when_the_user_breaks_in_again(self) -> None:
        core = Core(holds=True, stoppable=("one",))
        core.feed(created("resp-1"), *call("resp-1"), done("resp-1"))
        did = [core.core.interrupt(clear_input=False, force=False, now_ms=core.now_ms) for _ in range(2)]
        core.settle()
        assert (did, core.stops) == ([True, False], ["call-1"])

    @pytest.mark.behaviour("tool-of-an-interrupted-reply")
    @pytest.mark.parametrize("is_late", [False, True])
    def test_call_is_answered_and_not_run_when_its_reply_was_interrupted_before(self, is_late: bool) -> None:
        core = Core()
        core.feed(created("resp-1"))
        assert core.core.interrupt(clear_input=False, force=False, now_ms=core.now_ms)
        events = [*call("resp-1"), done("resp-1", "cancelled")]
        core.feed(*(events[::-1] if is_late else events))
        assert core.ran == [] and not core.of(ToolCalled) and not core.of(ToolFinished)
        assert core.sent == ["response.cancel", "output"]
        assert core.of(Interrupted)

    @pytest.mark.behaviour("tool-of-a-reply-taken-back")
    @pytest.mark.parametrize("comes_back", ["before", "after", "never called"])
    def test_call_is_never_answered_when_its_reply_is_taken_back(self, comes_back: str) -> None:
        core = Core(holds=comes_back == "after", asks=False)
        core.feed(STARTED, STOPPED, COMMITTED, created("resp-1"))
        if comes_back != "never called":
            core.feed(*call("resp-1"))
        core.feed(STARTED, *call("resp-1"), done("resp-1"))  # the last two were on their way
        core.finish()
        core.feed(STOPPED, COMMITTED, created("resp-2"), done("resp-2"))
        assert core.of(ResponseDone)[0].reason == "taken_back"
        assert core.ran == ([] if comes_back == "never called" else ["call-1"])
        assert core.stops == (["call-1"] if comes_back == "after" else [])
        assert core.sent == []
        assert core.core.calls.is_left_out("call-1")


class TestReplies:
    """The reply that calls, or the one that answers, does not end as it should."""

    @pytest.mark.behaviour("ask-1")
    @pytest.mark.parametrize("begins", ["before", "after"])
    def test_answer_is_asked_for_again_once_when_the_server_says_that_a_reply_runs(self, begins: str) -> None:
        recording = recorded(asking("one"), ["one"])
        core = Core(recording.minted[1:])
        core.feed(*recording.first_reply)
        core.feed(*([created("other"), ASKS_AGAIN] if begins == "before" else [ASKS_AGAIN, created("other")]))
        core.check_once(core.ran)
        core.feed(done("other"))
        assert core.sent == ["output", "response.create", "response.create"]
        core.feed(created("answer"), done("answer"))
        assert core.sent == ["output", "response.create", "response.create"]
        assert not core.of(SessionWarning)

    @pytest.mark.behaviour("tool-call-cut-off")
    @pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
    def test_call_is_not_run_with_half_its_arguments_when_its_reply_breaks_off(self, status: str) -> None:
        core = Core()
        core.feed(created("resp-1"), call("resp-1")[0], done("resp-1", status))
        assert core.ran == [] and core.sent == []
        assert core.core.calls.is_left_out("call-1")

    @pytest.mark.behaviour("tool-call-cut-off")
    @pytest.mark.parametrize("status", ["incomplete", "cancelled"])
    def test_call_is_not_run_when_its_item_ends_broken_off(self, status: str) -> None:
        recording = recorded(asking("one"), ["one"])
        ended = next(event for event in recording.events if isinstance(event, wire.ResponseOutputItemDone))
        item = ended.item.model_copy(update={"status": status, "arguments": '{"city":"U'})
        core = Core()
        core.feed(recording.events[0], ended.model_copy(update={"item": item}))
        assert core.ran == []
        core.feed(done(recording.events[0].response.id, "incomplete"))
        assert core.ran == [] and core.sent == []

    @BACKENDS
    def test_call_is_answered_when_it_was_whole_and_its_reply_failed(self, backend: str) -> None:
        async def main() -> None:
            scenario = {"go": Turn(calls=(ToolRequest("one"),), then="It is {output}", fail=True)}
            async with talking(scenario, tools=[slow("one", 1)]) as talk:
                assert await answered(talk) == "one output"

        run(main, backend)


class TestUpdate:
    """The tools change while one runs."""

    @BACKENDS
    def test_call_is_answered_when_the_tools_are_taken_away_while_it_runs(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking("one"), tools=[slow("one", 5, cancel_on_interrupt=True)]) as talk:
                await talk.session.send_text("go")
                await talk.next(ToolCalled)
                await talk.session.update(tools=())
                await talk.next(ToolFinished)
                await talk.until(lambda: len(talk.of(ResponseDone)) == 2)
                assert [text for _, text in outputs(talk)] == ["one output"]
                await talk.session.send_text("go")
                await talk.next(ToolFinished, output='{"error":"there is no tool named one"}')

        run(main, backend)

    @BACKENDS
    def test_function_still_stops_when_its_tool_is_taken_away_while_it_runs(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking("one"), tools=[slow("one", 50, cancel_on_interrupt=True)]) as talk:
                await talk.session.send_text("go")
                await talk.next(ToolCalled)
                await talk.session.update(tools=())
                await talk.session.interrupt()
                assert (await talk.next(ToolFinished)).duration_ms < 1000

        run(main, backend)
