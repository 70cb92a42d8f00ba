"""Function calls: how they are announced, answered and followed up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.engine.driving import VAD, Call, say, scripted, sequence
from xai_realtime.emulator.scenario import Prompt, ToolRequest, Turn

WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
ASK = "What is the weather in London?"
PARALLEL = Turn(
    calls=(ToolRequest("get_weather", {"city": "Paris"}), ToolRequest("get_time", "not json")),
    then="It is {output}",
)
DONE = "response.function_call_arguments.done"


def asked(turn: Turn | None = None, **more: Any) -> Call:
    """A call in which the model has just called its functions."""
    scenario = None if turn is None else scripted({ASK: turn, "And you?": "Fine."})
    call = Call(scenario, session={**VAD, "tools": [WEATHER]}, **more)
    call.forget()
    call.write(ASK)
    call.run(10_000)
    return call


@pytest.mark.behaviour("emulator-call-announcements")
def test_call_after_a_preamble_is_announced_five_times_in_one_response() -> None:
    call = asked()
    start = call.types.index("response.output_item.done") + 1
    assert call.types[start:] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.done",
    ]
    assert len(call.of("response.created")) == 1
    output = call.last("response.done")["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call"]
    assert output[1]["arguments"] == '{"city":"London"}'
    assert call.heard() == "Let me check."


@pytest.mark.behaviour("emulator-call-quirks")
def test_call_has_index_0_the_roles_of_user_and_tool_and_no_previous_item() -> None:
    call = asked()
    added = call.last("response.output_item.added")
    assert added["output_index"] == 0
    assert added["item"]["role"] == "user"
    assert added["item"]["arguments"] == ""
    assert call.last("conversation.item.added")["item"]["role"] == "tool"
    assert call.last("conversation.item.added")["previous_item_id"] is None
    assert "output_index" not in call.last("response.function_call_arguments.delta")
    assert call.last(DONE)["output_index"] == 0
    assert call.last(DONE)["call_id"].startswith("call-")


def test_call_without_a_preamble_has_no_message() -> None:
    call = asked(Turn(calls=(ToolRequest("get_weather", {}),)))
    assert "response.output_audio.delta" not in call.types
    assert call.at("response.done") == [500]


@pytest.mark.behaviour("emulator-continuation")
def test_answer_is_spoken_once_the_output_is_in_and_asked_for() -> None:
    call = asked()
    call.forget()
    call.bring(call_id(call), "It is foggy.", respond=False)
    call.run(10_000)
    assert "response.created" not in call.types
    assert call.of("conversation.item.added")[0]["item"]["role"] == "tool"
    call.send({"type": "response.create"})
    call.run(10_000)
    assert call.heard() == "It is foggy."
    assert call.last("response.done")["usage"]["input_tokens"] == 0


def call_id(call: Call, place: int = 0) -> str:
    return [tool.call_id for tool in call.conversation.tool_calls][place]


@pytest.mark.behaviour("emulator-parallel-calls")
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_parallel_calls_are_answered_once_when_all_outputs_are_in(order: tuple[int, int]) -> None:
    call = asked(PARALLEL)
    assert [tool.arguments for tool in call.conversation.tool_calls] == ['{"city":"Paris"}', "not json"]
    outputs = ("sunny", "noon")
    call.bring(call_id(call, order[0]), outputs[order[0]])
    call.run(10_000)
    assert len(call.of("response.created")) == 1
    call.bring(call_id(call, order[1]), outputs[order[1]], respond=False)
    call.run(10_000)
    assert len(call.of("response.created")) == 2
    assert call.heard() == "It is sunny noon"


def test_request_that_comes_once_for_all_outputs_is_answered_once() -> None:
    call = asked(PARALLEL)
    call.bring(call_id(call), "sunny", respond=False)
    call.bring(call_id(call, 1), "noon", respond=True)
    call.run(10_000)
    assert call.heard() == "It is sunny noon"
    assert len(call.of("response.done")) == 2


@pytest.mark.behaviour("emulator-output-before-done")
def test_output_before_the_response_is_done_is_refused() -> None:
    call = Call(scripted({ASK: PARALLEL}))
    call.write(ASK)
    call.bring("call-made-up", "x")
    call.run(10_000)
    assert call.errors[0]["code"] == "invalid_tool_call_id"
    assert call.errors[0]["message"] == "Tool call ID 'call-made-up' not found in conversation."
    assert call.errors[0]["param"] == "item.call_id"
    assert [item.kind for item in call.conversation.items] == ["message", "function_call", "function_call"]


def test_user_who_writes_before_the_outputs_is_answered_first() -> None:
    call = asked(PARALLEL)
    call.forget()
    call.write("And you?")
    call.run(10_000)
    assert call.heard() == "Fine."
    call.bring(call_id(call), "sunny", respond=False)
    call.bring(call_id(call, 1), "noon")
    call.run(10_000)
    assert call.heard() == "Fine. It is sunny noon"


def test_request_without_new_input_waits_for_the_outputs() -> None:
    call = asked(PARALLEL)
    call.send({"type": "response.create", "response": {"metadata": {"n": "1"}}})
    call.run(5_000)
    assert len(call.of("response.created")) == 1
    call.bring(call_id(call), "sunny", respond=False)
    call.bring(call_id(call, 1), "noon", respond=False)
    call.run(5_000)
    assert call.last("response.done")["response"]["metadata"] == {"n": "1"}


def test_held_answer_waits_for_a_reply_that_runs() -> None:
    call = asked(PARALLEL)
    call.send({"type": "response.create"})
    call.append(say("And you?", after_ms=1_000))
    call.run(800)
    call.bring(call_id(call), "sunny", respond=False)
    call.bring(call_id(call, 1), "noon", respond=False)
    call.run(10_000)
    assert call.heard() == "Fine. It is sunny noon"
    assert call.errors == []


def test_scenario_is_asked_again_when_the_turn_says_nothing_about_outputs() -> None:
    def answer(prompt: Prompt) -> Turn:
        if len(prompt.outputs) == 1 and prompt.outputs[0] == "12":
            return Turn(calls=(ToolRequest("second", {"of": prompt.outputs[0]}),))
        return Turn(say=f"Now {prompt.outputs}") if prompt.outputs else Turn(calls=(ToolRequest("first", {}),))

    call = Call(answer)
    call.write(ASK)
    call.run(5_000)
    call.bring(call_id(call), "12")
    call.run(5_000)
    assert [tool.name for tool in call.conversation.tool_calls] == ["first", "second"]
    call.bring(call_id(call, 1), "13")
    call.run(10_000)
    assert call.heard() == "Now ('13',)"


def test_outputs_of_seeded_calls_are_taken() -> None:
    call = Call(scripted({"Hi": "Hello."}))
    seeded = {"type": "function_call", "call_id": "mine", "name": "f", "arguments": "{}"}
    call.send({"type": "conversation.item.create", "item": seeded})
    call.bring("mine", "done", respond=False)
    call.write("Hi")
    call.run(10_000)
    assert call.errors == []
    assert call.heard() == "Hello."
    assert call.conversation.tool_calls[0].output == "done"


@pytest.mark.behaviour("emulator-server-tools")
def test_call_of_a_server_tool_is_answered_by_the_server_in_the_same_response() -> None:
    turn = Turn(say="Searching.", calls=(ToolRequest("web_search", {"query": "x"}),), then="Found it.")
    call = asked(turn)
    assert len(call.of("response.created")) == 1
    output = call.last("response.done")["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "message"]
    assert call.heard() == "Searching. Found it."
    call.bring(call_id(call), "mine", respond=False)
    call.take()
    assert call.errors[0]["code"] == "invalid_tool_call_id"


@pytest.mark.behaviour("emulator-tool-name-collision")
@pytest.mark.parametrize("nested", [False, True])
def test_function_under_the_name_of_a_server_tool_breaks_the_first_response(nested: bool) -> None:
    function: dict[str, Any] = {"name": "file_search"}
    tool = {"type": "function", "function": function} if nested else {"type": "function", **function}
    call = Call(session={**VAD, "tools": [{"type": "web_search"}, tool]})
    call.write("Hello")
    call.run(10_000)
    assert call.errors[0]["code"] == "server_error"
    assert call.last("response.done")["response"]["status"] == "failed"


def test_tool_call_after_a_voice_turn_ends_in_a_spoken_answer() -> None:
    call = Call(session={**VAD, "tools": [WEATHER]})
    call.stream(say("What is the weather in Oslo?"))
    call.run(5_000)
    call.bring(call_id(call), "Snow.")
    call.run(5_000)
    assert call.heard() == "Let me check. Snow."
    assert sequence(call.types)[-1] == "response.done"


def test_output_under_an_id_that_names_no_call_answers_the_one_that_waits() -> None:
    call = asked(PARALLEL)
    call.bring("shortened-1", "sunny", respond=False)
    call.bring("shortened-2", "noon", respond=True)
    call.run(10_000)
    assert call.errors == []
    assert call.heard() == "It is sunny noon"
    call.bring("shortened-3", "late", respond=False)
    call.take()
    assert call.errors[0]["code"] == "invalid_tool_call_id"
