"""Functions that the model calls in a session: run, answered, and spoken about once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from tests.session.calling import asking, called_back, continuations, outputs, slow
from tests.session.driving import BACKENDS, Talk, run, talking
from xai_realtime import SessionPolicy
from xai_realtime.emulator import Emulator, Quirks, ToolRequest, Turn
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionWarning,
    ToolCalled,
    ToolFinished,
    Transcript,
)
from xai_realtime.realtime.session import RealtimeSession
from xai_realtime.tools import ToolResult, tool


def time_of(talk: Talk, kind: type[Any], place: int = 0) -> float:
    """When an event of that kind was told, in ms."""
    return [at_ms for at_ms, event in talk.told if isinstance(event, kind)][place]


def spoken(talk: Talk) -> list[str]:
    """The final transcripts of the agent."""
    return [told.text for told in talk.of(Transcript) if told.role == "assistant"]


@pytest.mark.behaviour("ask-22", "bug-41")
@BACKENDS
def test_answer_follows_a_call_when_the_model_spoke_before_it(backend: str) -> None:
    async def main() -> None:
        async with talking(asking("one", say="One moment."), tools=[slow("one", 1)]) as talk:
            await called_back(talk)
            assert spoken(talk) == ["One moment.", "It is one output"]
            assert continuations(talk) == 1
            roles = [(item.kind, item.role) for item in talk.session.conversation.items]
            assert roles == [
                ("message", "user"),
                ("message", "assistant"),
                ("function_call", "assistant"),
                ("function_call_output", "tool"),
                ("message", "assistant"),
            ]

    run(main, backend)


@pytest.mark.behaviour("ask-17", "ask-18")
@pytest.mark.parametrize("seconds", [(0, 0, 0), (3, 2, 1), (1, 3, 2), (2, 2, 2)], ids=str)
@BACKENDS
def test_one_answer_follows_the_last_output_when_several_functions_are_called(
    seconds: tuple[float, ...], backend: str
) -> None:
    async def main() -> None:
        names = ("one", "two", "three")
        tools = [slow(name, time) for name, time in zip(names, seconds, strict=True)]
        async with talking(asking(*names), tools=tools) as talk:
            await called_back(talk, 3)
            await anyio.sleep(20)
            assert sorted(text for _, text in outputs(talk)) == ["one output", "three output", "two output"]
            assert {call_id for call_id, _ in outputs(talk)} == {told.call_id for told in talk.of(ToolCalled)}
            kinds = [kind for kind in talk.sent_types() if kind != "session.update"]
            assert kinds == [
                *("conversation.item.create", "response.create"),
                *["conversation.item.create"] * 3,
                "response.create",
            ]
            assert spoken(talk) == ["It is one output two output three output"]
            assert not talk.of(SessionWarning)

    run(main, backend)


@BACKENDS
def test_calls_run_side_by_side_when_they_are_made_in_one_reply(backend: str) -> None:
    async def main() -> None:
        async with talking(asking("one", "two"), tools=[slow("one", 5), slow("two", 5)]) as talk:
            await called_back(talk, 2)
            assert time_of(talk, ToolFinished, 1) - time_of(talk, ToolCalled, 0) == pytest.approx(5000)

    run(main, backend)


@pytest.mark.behaviour("tool-outputs-after-the-reply")
@pytest.mark.parametrize("late_done_ms", [0, 3_000])
@BACKENDS
def test_outputs_wait_for_the_end_of_the_reply_when_functions_come_back_before_it(
    late_done_ms: int, backend: str
) -> None:
    async def main() -> None:
        scenario = asking("one", "two", say="One moment.")
        quirks = Quirks(refuse_early_outputs=True, late_done_ms=late_done_ms)
        emulator = Emulator(lambda prompt: scenario.get(prompt.heard), seed=1, quirks=quirks)
        async with talking(emulator=emulator, tools=[slow("one", 0), slow("two", 0.1)]) as talk:
            await called_back(talk, 2)
            assert time_of(talk, ToolFinished, 1) < time_of(talk, ResponseDone)
            assert spoken(talk) == ["One moment.", "It is one output two output"]
            assert not [event for event in talk.received if isinstance(event, wire.Error)]

    run(main, backend)


@pytest.mark.behaviour("ask-20", "bug-43")
@BACKENDS
def test_talk_goes_on_when_a_function_takes_half_a_minute(backend: str) -> None:
    """Audio comes, text is answered, and the user can break in, all while the function runs."""

    async def main() -> None:
        scenario = {
            **asking("one", say="Let me look into that for you."),
            "story": Turn(say="Once upon a time there was a very long story that nobody wanted to hear to its end."),
        }
        async with talking(scenario, tools=[slow("one", 30)]) as talk:
            await talk.session.send_text("go")
            await talk.next(ResponseDone)
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            await talk.session.send_text("story")
            story = await talk.next(ResponseStarted)
            await talk.next(AudioOutput, response_id=story.response_id)
            await talk.speak("stop it")
            assert (await talk.next(Interrupted)).reason == "speech"
            assert not talk.of(ToolFinished)
            heard = [told.text for told in talk.of(Transcript) if told.role == "user"]
            assert heard == ["stop it"]
            finished = await talk.next(ToolFinished)
            assert finished.duration_ms == pytest.approx(30_000)
            await talk.until(lambda: spoken(talk)[-1] == "It is one output")
            assert continuations(talk) == 1

    run(main, backend)


@BACKENDS
def test_sync_function_blocks_nothing_when_it_runs_in_a_thread(backend: str) -> None:
    threads: list[int] = []

    @tool
    def one() -> str:
        """A tool."""
        threads.append(threading.get_ident())
        return "one output"

    async def main() -> None:
        async with talking(asking("one"), tools=[one]) as talk:
            await called_back(talk)
            assert spoken(talk) == ["It is one output"]
            assert threads and threads[0] != threading.get_ident()

    run(main, backend)


@BACKENDS
def test_function_may_use_its_session_when_it_is_called(backend: str) -> None:
    async def main() -> None:
        sessions: list[RealtimeSession] = []

        @tool
        async def one() -> str:
            """A tool."""
            await sessions[0].send_text("by the way", respond=False)
            return "one output"

        async with talking(asking("one"), tools=[one]) as talk:
            sessions.append(talk.session)
            await called_back(talk)
            assert continuations(talk) == 1
            texts = [item.text for item in talk.session.conversation.items if item.role == "user"]
            assert texts == ["go", "by the way"]

    run(main, backend)


@pytest.mark.behaviour("ask-21")
@pytest.mark.parametrize(
    ("own_s", "session_s", "limit_s"), [(None, 7.0, 7.0), (45.0, 7.0, 45.0), (3.0, 7.0, 3.0), (3.0, None, 3.0)]
)
@BACKENDS
def test_call_is_answered_with_an_error_when_its_time_is_over(
    own_s: float | None, session_s: float | None, limit_s: float, backend: str
) -> None:
    async def main() -> None:
        policy = SessionPolicy(tool_timeout_s=session_s)
        async with talking(asking("one"), tools=[slow("one", 100, timeout_s=own_s)], policy=policy) as talk:
            await called_back(talk)
            (finished,) = talk.of(ToolFinished)
            expected = f'{{"error":"the tool gave no answer within {limit_s:g} s"}}'
            assert (finished.output, finished.is_error) == (expected, True)
            assert finished.duration_ms == pytest.approx(limit_s * 1000)
            assert [text for _, text in outputs(talk)] == [expected]
            assert continuations(talk) == 1

    run(main, backend)


@BACKENDS
def test_function_is_not_cut_short_when_it_takes_longer_than_ten_seconds(backend: str) -> None:
    async def main() -> None:
        async with talking(asking("one"), tools=[slow("one", 59)]) as talk:
            await called_back(talk)
            assert spoken(talk) == ["It is one output"]

    run(main, backend)


@BACKENDS
def test_events_of_a_call_tell_all_of_it_when_it_runs(backend: str) -> None:
    async def main() -> None:
        async with talking(asking(ToolRequest("one", {"n": 1})), tools=[numbered]) as talk:
            await called_back(talk)
            (called,), (finished,) = talk.of(ToolCalled), talk.of(ToolFinished)
            response_id = talk.of(ResponseStarted)[0].response_id
            call_id = next(item.call_id for item in talk.session.conversation.items if item.call_id)
            assert (called.name, called.call_id, called.arguments) == ("one", call_id, '{"n":1}')
            assert called.response_id == response_id
            assert isinstance(called.raw, wire.ResponseFunctionCallArgumentsDone)
            assert (finished.name, finished.call_id, finished.arguments) == ("one", call_id, '{"n":1}')
            assert (finished.output, finished.is_error, finished.duration_ms) == ("erg 1", False, 1250.0)
            assert finished.raw is called.raw
            assert time_of(talk, ToolFinished) - time_of(talk, ToolCalled) == pytest.approx(1250.0)
            assert "erg" not in repr(finished) and "{" not in repr(called)

    run(main, backend)


@tool(name="one")
async def numbered(n: int) -> str:
    """A tool."""
    await anyio.sleep(1.25)
    return f"erg {n}"


@dataclass
class Weather:
    city: str
    degrees: float


@pytest.mark.behaviour("bug-25")
@pytest.mark.parametrize(
    ("result", "wired"),
    [
        ("plain “text” — as it is\n", '"plain “text” — as it is\\n"'),
        ("[1, 2]", '"[1, 2]"'),
        ({"stadt": "Köln", "n": [1, None]}, '"{\\"stadt\\":\\"Köln\\",\\"n\\":[1,null]}"'),
        (Weather("Ulm", 3.5), '"{\\"city\\":\\"Ulm\\",\\"degrees\\":3.5}"'),
        (7, '"7"'),
    ],
    ids=["text", "text that is JSON", "mapping", "dataclass", "number"],
)
@BACKENDS
def test_output_stands_on_the_wire_byte_by_byte_when_it_is_sent(result: Any, wired: str, backend: str) -> None:
    async def main() -> None:
        async with talking(asking("one"), tools=[slow("one", 0, result)]) as talk:
            await called_back(talk)
            (sent,) = [
                sent
                for sent in talk.sent_of(wire.ConversationItemCreate)
                if isinstance(sent.item, wire.FunctionCallOutputItem)
            ]
            (call_id,) = {told.call_id for told in talk.of(ToolCalled)}
            assert isinstance(sent.item, wire.FunctionCallOutputItem)
            assert sent.model_dump_json(exclude_unset=True) == (
                f'{{"type":"conversation.item.create","item":{{"type":"function_call_output","id":"{sent.item.id}",'
                f'"call_id":"{call_id}","output":{wired}}}}}'
            )

    run(main, backend)


class TestSilence:
    """Tools that want no answer, alone and beside others."""

    @pytest.mark.behaviour("ask-28")
    @BACKENDS
    def test_nothing_is_asked_for_when_a_tool_wants_no_answer(self, backend: str) -> None:
        async def main() -> None:
            async with talking(asking("one"), tools=[slow("one", 1, ToolResult("kept", respond=False))]) as talk:
                await talk.session.send_text("go")
                await talk.next(ToolFinished)
                await anyio.sleep(30)
                assert [text for _, text in outputs(talk)] == ["kept"]
                assert continuations(talk) == 0
                assert len(talk.of(ResponseStarted)) == 1
                await talk.session.send_text("hello")
                await talk.until(lambda: "You said: hello" in spoken(talk))

        run(main, backend)

    @pytest.mark.behaviour("ask-28")
    @pytest.mark.parametrize(("silent_s", "speaking_s"), [(1, 2), (2, 1), (0, 0)])
    @BACKENDS
    def test_one_answer_is_asked_for_when_one_of_two_tools_wants_it(
        self, silent_s: float, speaking_s: float, backend: str
    ) -> None:
        async def main() -> None:
            silent = slow("one", silent_s, ToolResult("kept", respond=False))
            async with talking(asking("one", "two"), tools=[silent, slow("two", speaking_s)]) as talk:
                await called_back(talk, 2)
                await anyio.sleep(20)
                assert continuations(talk) == 1
                assert spoken(talk) == ["It is kept two output"]

        run(main, backend)


class TestOrder:
    """Where outputs and the answer about them stand between what else is said."""

    @pytest.mark.behaviour("tool-answer-comes-first")
    @BACKENDS
    def test_answer_comes_before_what_waits_when_the_user_wrote_meanwhile(self, backend: str) -> None:
        async def main() -> None:
            scenario = {**asking("one", say="Let me look into that for you."), "later": Turn(say="Yes, later.")}
            async with talking(scenario, tools=[slow("one", 0)]) as talk:
                await talk.session.send_text("go")
                await talk.next(AudioOutput)
                await talk.session.send_text("later")
                await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
                assert spoken(talk) == ["Let me look into that for you.", "It is one output", "Yes, later."]

        run(main, backend)

    @pytest.mark.behaviour("tool-outputs-wait-for-the-floor")
    @BACKENDS
    def test_output_waits_for_the_reply_that_runs_when_a_function_comes_back_during_another_one(
        self, backend: str
    ) -> None:
        async def main() -> None:
            scenario = {**asking("one"), "story": Turn(say="Once upon a time there was a very long story.")}
            async with talking(scenario, tools=[slow("one", 2)]) as talk:
                await talk.session.send_text("go")
                await talk.next(ResponseDone)
                await talk.session.send_text("story")
                await talk.next(ToolFinished)
                assert outputs(talk) == []
                await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
                assert spoken(talk) == ["Once upon a time there was a very long story.", "It is one output"]
                assert not [event for event in talk.received if isinstance(event, wire.Error)]

        run(main, backend)

    @pytest.mark.behaviour("tool-outputs-wait-for-the-floor")
    @BACKENDS
    def test_output_waits_for_the_answer_to_the_user_when_it_comes_while_the_user_speaks(self, backend: str) -> None:
        """Sent at once, it would be answered with the user's turn, and the answer asked for would be a second one."""

        async def main() -> None:
            async with talking(asking("one"), tools=[slow("one", 1.5)]) as talk:
                await talk.session.send_text("go")
                await talk.next(ToolCalled)
                await talk.speak("and what about tomorrow then", after_ms=3_000)
                await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
                await anyio.sleep(10)
                assert spoken(talk) == ["You said: and what about tomorrow then", "It is one output"]
                assert len(talk.of(ResponseStarted)) == 3

        run(main, backend)

    @pytest.mark.behaviour("tool-answer-comes-first")
    @BACKENDS
    def test_outputs_of_two_replies_are_followed_by_one_request_when_they_go_out_together(self, backend: str) -> None:
        async def main() -> None:
            story = "Once upon a time there was a very long story that nobody wanted to hear to its end."
            second = Turn(calls=(ToolRequest("two"),), then="And {output}")
            scenario = {**asking("one"), "again": second, "story": Turn(say=story)}
            async with talking(scenario, tools=[slow("one", 5), slow("two", 4)]) as talk:
                for text in ("go", "again"):
                    await talk.session.send_text(text)
                    await talk.next(ResponseDone)
                await talk.session.send_text("story")
                await talk.until(lambda: len(talk.of(ResponseDone)) == 4)
                await anyio.sleep(20)
                assert sorted(text for _, text in outputs(talk)) == ["one output", "two output"]
                assert continuations(talk) == 1

        run(main, backend)
