"""Whole answers of the emulated chat: what the scenario says, calls, structured answers, usage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.chat.driving import LOOK, ask, chat, complete
from xai_realtime.codec import chat_codec
from xai_realtime.emulator import ChatQuirks, Emulator, ErrorSpec, Prompt, ToolRequest, Turn
from xai_realtime.events import chat as wire

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "weather in London?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}, "required": ["city"]}


def message(told: Any) -> dict[str, Any]:
    assert told.status == 200, told.body
    found: dict[str, Any] = told.json["choices"][0]["message"]
    return found


def format_of(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


async def saying(turn: Any, *, quirks: ChatQuirks | None = None, **fields: Any) -> Any:
    emulator = Emulator(lambda prompt: turn, seed=1, pace="instant", chat=quirks)
    return await complete("hi", emulator=emulator, **fields)


@pytest.mark.behaviour("emulator-chat-answers")
async def test_answer_is_what_the_scenario_says_with_the_fields_of_the_service() -> None:
    told = await complete("Hello there")
    assert isinstance(chat_codec.decode(told.body, wire.ChatCompletion), wire.ChatCompletion)
    answer = told.json
    assert message(told) == {"role": "assistant", "content": "You said: Hello there", "refusal": None}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert (answer["object"], answer["model"], answer["created"]) == ("chat.completion", "grok-4.6", 1_767_225_600)
    assert set(answer) == {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert told.headers["x-request-id"]
    assert (await complete(service_tier="priority")).json["service_tier"] == "priority"


@pytest.mark.behaviour("emulator-chat-usage")
async def test_usage_leaves_reasoning_out_of_the_completion_and_has_it_in_the_total() -> None:
    emulator = Emulator(seed=1, pace="instant", chat=ChatQuirks(reasoning_tokens=9, cached_tokens=2))
    usage = (await complete("one two", emulator=emulator)).json["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (5, 4, 18)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 9
    assert usage["prompt_tokens_details"]["cached_tokens"] == 2
    assert usage["cost_in_usd_ticks"] == 3 * 20_000 + 2 * 5_000 + 13 * 60_000
    assert "usage" not in (await saying("x", quirks=ChatQuirks(usage_style="none"))).json


@pytest.mark.behaviour("emulator-chat-answers")
async def test_reasoning_is_told_where_it_is_set_and_the_model_reasons() -> None:
    quirks = ChatQuirks(reasoning="let me think")
    assert message(await saying("x", quirks=quirks))["reasoning_content"] == "let me think"
    for fields in ({"model": "grok-4.20-non-reasoning"}, {"model": "grok-4.3", "reasoning_effort": "none"}):
        told = await saying("x", quirks=quirks, **fields)
        assert "reasoning_content" not in message(told)
        assert told.json["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.behaviour("emulator-chat-tools")
async def test_call_is_made_where_the_function_is_offered_and_answered_once_its_output_came() -> None:
    emulator = Emulator(seed=1, pace="instant")
    told = await complete([USER], emulator=emulator, tools=[LOOK])
    made = message(told)
    assert (made["content"], told.json["choices"][0]["finish_reason"]) == ("Let me check.", "tool_calls")
    (call,) = made["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"London"}'}
    assert call["id"].startswith("call_") and set(call) == {"id", "type", "function"}
    output = {"role": "tool", "tool_call_id": call["id"], "content": "sun"}
    told = await complete([USER, made, output], emulator=emulator, tools=[LOOK])
    assert message(told)["content"] == "sun"
    assert message(await complete([USER]))["content"] == "You said: weather in London?"


@pytest.mark.behaviour("emulator-chat-tools")
async def test_scenario_is_asked_again_with_the_outputs_when_it_has_nothing_to_say_after_them() -> None:
    asked: list[Prompt] = []

    def scenario(prompt: Prompt) -> Turn:
        asked.append(prompt)
        calls = (ToolRequest("a", {"x": 1}), ToolRequest("b", "not json"))
        return Turn(say=f"got {' and '.join(prompt.outputs)}") if prompt.outputs else Turn(calls=calls)

    tools = [{"type": "function", "function": {"name": name}} for name in "ab"]
    emulator = Emulator(scenario, seed=1, pace="instant")
    system = {"role": "system", "content": "be kind"}
    before = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    told = await complete([system, *before, USER], emulator=emulator, tools=tools)
    made = message(told)
    assert [call["function"]["arguments"] for call in made["tool_calls"]] == ['{"x":1}', "not json"]
    assert made["content"] == ""
    outputs = [{"role": "tool", "tool_call_id": call["id"], "content": call["id"]} for call in made["tool_calls"]]
    told = await complete([system, *before, USER, made, *outputs], emulator=emulator, tools=tools)
    ids = [call["id"] for call in made["tool_calls"]]
    assert message(told)["content"] == f"got {' and '.join(ids)}"
    first, second = asked
    assert (first.heard, first.instructions, first.tools) == ("weather in London?", "be kind", ("a", "b"))
    assert first.history == second.history == (("user", "one"), ("assistant", "two"))
    assert (first.outputs, second.outputs) == ((), tuple(ids))


@pytest.mark.behaviour("emulator-chat-tools")
@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ["a", "b"]),
        ({"parallel_tool_calls": False}, ["a"]),
        ({"tool_choice": "none"}, []),
        ({"tool_choice": "required"}, ["a", "b"]),
        ({"tool_choice": {"type": "function", "function": {"name": "b"}}}, ["b"]),
        ({"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}, ["get_weather"]),
    ],
)
async def test_tool_choice_and_parallel_calls_are_honoured(fields: Any, names: list[str]) -> None:
    tools = [LOOK, *({"type": "function", "function": {"name": name}} for name in "ab")]
    made = message(await saying(Turn(say="x", calls=(ToolRequest("a"), ToolRequest("b"))), tools=tools, **fields))
    assert [call["function"]["name"] for call in made.get("tool_calls", [])] == names


@pytest.mark.behaviour("emulator-chat-tools")
async def test_required_call_is_made_with_the_smallest_arguments_when_the_scenario_makes_none() -> None:
    (call,) = message(await saying("no call", tools=[LOOK], tool_choice="required"))["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"hi"}'}


@pytest.mark.behaviour("emulator-chat-structured")
async def test_structured_answer_is_the_smallest_object_with_what_was_heard_by_default() -> None:
    told = await complete("Porto", response_format=format_of(SCHEMA))
    assert json.loads(message(told)["content"]) == {"city": "Porto"}
    told = await complete("Porto", response_format={"type": "json_object"})
    assert json.loads(message(told)["content"]) == {"heard": "Porto"}
    told = await complete("Porto", response_format={"type": "text"})
    assert message(told)["content"] == "You said: Porto"


@pytest.mark.behaviour("emulator-chat-structured")
async def test_output_of_a_tool_that_is_an_object_is_the_structured_answer() -> None:
    emulator = Emulator(seed=1, pace="instant")
    made = message(await complete([USER], emulator=emulator, tools=[LOOK], response_format=format_of(SCHEMA)))
    for content, expected in (('{"city": "Rome"}', {"city": "Rome"}), ("sun", {"city": "weather in London?"})):
        output = {"role": "tool", "tool_call_id": made["tool_calls"][0]["id"], "content": content}
        told = await complete([USER, made, output], emulator=emulator, response_format=format_of(SCHEMA))
        assert json.loads(message(told)["content"]) == expected


@pytest.mark.behaviour("emulator-chat-structured")
@pytest.mark.parametrize("text", ['{"city": "Faro"}', "no json at all", '{"city": '])
async def test_structured_answer_is_the_text_of_a_scenario_of_ones_own(text: str) -> None:
    assert message(await saying(text, response_format=format_of(SCHEMA)))["content"] == text


@pytest.mark.behaviour("emulator-chat-answers")
async def test_answer_is_cut_at_the_limit_of_tokens_and_at_stop_texts() -> None:
    told = await saying("one two three four", max_completion_tokens=2)
    assert (message(told)["content"], told.json["choices"][0]["finish_reason"]) == ("one two ", "length")
    assert told.json["usage"]["completion_tokens"] == 2
    told = await saying("one two three", model="grok-4.20-non-reasoning", stop=["three", "two"])
    assert (message(told)["content"], told.json["choices"][0]["finish_reason"]) == ("one ", "stop")
    assert message(await saying("one two", model="grok-4.20-non-reasoning", stop="x"))["content"] == "one two"


@pytest.mark.behaviour("emulator-chat-answers")
async def test_several_choices_count_several_times() -> None:
    told = await saying("one two", quirks=ChatQuirks(reasoning_tokens=1), n=3)
    assert [choice["index"] for choice in told.json["choices"]] == [0, 1, 2]
    assert (told.json["usage"]["completion_tokens"], told.json["usage"]["total_tokens"]) == (6, 4 + 6 + 3)


@pytest.mark.behaviour("emulator-chat-scenario")
@pytest.mark.parametrize(
    ("turn", "status", "body"),
    [
        (Turn(error=ErrorSpec("bad luck", "slug")), 400, {"code": "slug", "error": "bad luck"}),
        (
            Turn(error=ErrorSpec("bad luck")),
            400,
            {"code": "Client specified an invalid argument", "error": "bad luck"},
        ),
        (
            Turn(fail=True),
            503,
            {"code": "The service is currently unavailable", "error": "The model failed to answer."},
        ),
        (5, 500, {"code": "Internal error", "error": "The scenario failed: ConfigurationError."}),
    ],
)
async def test_turn_that_fails_is_an_error_of_the_service(turn: Any, status: int, body: Any) -> None:
    for stream in (False, True):
        told = await saying(turn, stream=stream)
        assert (told.status, told.json) == (status, body)


@pytest.mark.behaviour("emulator-chat-scenario")
async def test_silent_turn_is_an_empty_answer_and_an_incomplete_one_is_cut_in_half() -> None:
    assert message(await saying(None))["content"] == ""
    told = await saying(Turn(say="one two three four", incomplete=True, calls=(ToolRequest("a"),)), tools=[LOOK])
    assert (message(told)["content"], told.json["choices"][0]["finish_reason"]) == ("one two ", "length")


@pytest.mark.behaviour("emulator-chat-scenario")
async def test_dropped_answer_is_cut_after_its_head() -> None:
    from xai_realtime.emulator import DropSpec

    told = await saying(Turn(say="x", drop=DropSpec()))
    assert (told.status, told.is_cut, told.body) == (200, True, b"")


@pytest.mark.behaviour("emulator-chat-models")
async def test_model_that_serves_is_told_for_aliases_and_retired_names() -> None:
    assert (await complete(model="grok-latest")).json["model"] == "grok-4.7"
    assert (await complete(model="grok-3")).json["model"] == "grok-4.3"
    told = await saying("x", quirks=ChatQuirks(retired_models="refused"), model="grok-3")
    assert told.status == 404


@pytest.mark.behaviour("emulator-chat-models")
async def test_models_are_listed_with_prices_and_found_by_name() -> None:
    emulator = Emulator()
    listed = (await ask(emulator, "GET", "/models")).json
    assert {row["id"] for row in listed["data"]} >= {"grok-4.7", "grok-4.20-reasoning"}
    models = (await ask(emulator, "GET", "/language-models")).json["models"]
    assert [row["id"] for row in models] == [row["id"] for row in listed["data"]]
    one = (await ask(emulator, "GET", "/language-models/grok-latest")).json
    assert (one["id"], one["aliases"], one["prompt_text_token_price"]) == ("grok-4.7", ["grok-latest"], 20_000)
    for path in ("/models/none", "/language-models/none", "/language-models/grok-3"):
        assert (await ask(emulator, "GET", path)).status == 404
    assert (await ask(emulator, "GET", "/models/grok-4.6")).json["id"] == "grok-4.6"


@pytest.mark.behaviour("emulator-chat-deterministic")
async def test_same_requests_give_the_same_bytes_with_a_seed() -> None:
    async def run() -> list[bytes]:
        emulator = Emulator(seed=5, pace="instant", chat=ChatQuirks(reasoning="a b"))
        body = chat([USER], tools=[LOOK], stream=True)
        return [(await ask(emulator, "POST", "/chat/completions", body)).body for _ in range(2)]

    first, second = await run(), await run()
    assert first == second
    assert first[0] != first[1]
