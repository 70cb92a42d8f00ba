"""Tools of a chat request: every form, nested on the wire, joined over the levels, each name once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chat.bodies import chat_body
from xai_realtime.chat.request import chat_request
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.tools import FileSearch, Mcp, Tool, WebSearch, XSearch, tool


@tool
def look(city: str) -> str:
    """Look at a city."""
    return city


def hear(text: str) -> str:
    return text


LOOK = {
    "name": "look",
    "description": "Look at a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
FLAT = {"type": "function", "name": "flat", "description": "d", "parameters": {"type": "object"}, "strict": True}
NESTED = {"type": "function", "function": {"name": "nested", "parameters": {"type": "object"}}}


def sent(*tools: Any, **settings: Any) -> dict[str, Any]:
    return chat_body("grok-4.6", "hi", call={"tools": tools, **settings})


def names(body: dict[str, Any]) -> list[str]:
    return [entry["function"]["name"] for entry in body["tools"]]


@pytest.mark.behaviour("chat-tools-forms")
def test_tools_of_every_form_go_out_nested() -> None:
    functions = [
        wire.FunctionTool(name="typed", parameters={"type": "object"}),
        wire.NestedFunctionTool.model_validate({"function": {"name": "typed2"}}),
    ]
    body = sent(look, hear, FLAT, NESTED, {"name": "bare"}, *functions)
    assert body["tools"][0] == {"type": "function", "function": LOOK}
    assert names(body) == ["look", "hear", "flat", "nested", "bare", "typed", "typed2"]
    assert all(set(entry) == {"type", "function"} for entry in body["tools"])
    assert body["tools"][2]["function"] == {name: FLAT[name] for name in FLAT if name != "type"}
    assert body["tools"][3] == NESTED
    assert "type" not in body["tools"][5]["function"]
    assert "description" not in body["tools"][1]["function"]


@pytest.mark.behaviour("chat-tools-forms")
def test_functions_are_kept_to_be_run_and_dicts_are_not() -> None:
    request = chat_request("grok-4.6", "hi", call={"tools": [look, hear, FLAT]})
    assert list(request.functions) == ["look", "hear"]
    assert request.functions["look"] is look
    assert isinstance(request.functions["hear"], Tool)


@pytest.mark.behaviour("chat-tools-forms")
def test_body_does_not_change_when_the_dict_of_a_tool_does() -> None:
    given: dict[str, Any] = {"name": "one", "parameters": {"type": "object", "properties": {}}}
    body = sent(given)
    given["parameters"]["properties"]["x"] = {}
    assert body["tools"][0]["function"]["parameters"]["properties"] == {}


@pytest.mark.behaviour("chat-tools-levels")
def test_tools_of_all_levels_are_joined_in_order_and_an_empty_list_takes_them_away() -> None:
    levels: dict[str, Any] = {"client": {"tools": [look]}, "conversation": {"tools": None}, "call": {"tools": [FLAT]}}
    assert names(chat_body("grok-4.6", "hi", **levels)) == ["look", "flat"]
    none = chat_body("grok-4.6", "hi", client={"tools": [look]}, call={"tools": []})
    assert "tools" not in none
    again = chat_body("grok-4.6", "hi", client={"tools": [look]}, conversation={"tools": []}, call={"tools": [look]})
    assert names(again) == ["look"]


@pytest.mark.behaviour("chat-tools-levels")
def test_name_given_twice_over_the_levels_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named look"):
        chat_body("grok-4.6", "hi", client={"tools": [look]}, call={"tools": [{"name": "look"}]})


@pytest.mark.behaviour("ask-27")
@pytest.mark.parametrize("choice", ["auto", "none", "required", "look", None])
def test_tool_choice_is_left_out_when_there_are_no_tools(choice: Any) -> None:
    assert "tool_choice" not in chat_body("grok-4.6", "hi", call={"tool_choice": choice, "parallel_tool_calls": True})
    assert "parallel_tool_calls" not in sent(tool_choice=choice, parallel_tool_calls=False)
    assert "tool_choice" not in sent(look)


@pytest.mark.behaviour("chat-tools-choice")
@pytest.mark.parametrize("choice", ["look", look, {"name": "look"}, {"type": "function", "function": {"name": "look"}}])
def test_tool_choice_of_a_function_is_nested_whatever_its_form(choice: Any) -> None:
    body = sent(look, FLAT, tool_choice=choice, parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body["parallel_tool_calls"] is False


@pytest.mark.behaviour("chat-tools-choice")
def test_tool_choice_of_a_word_goes_out_as_it_is_and_another_name_is_refused() -> None:
    assert [sent(look, tool_choice=word)["tool_choice"] for word in ("none", "auto", "required", None)] == [
        "none",
        "auto",
        "required",
        None,
    ]
    for choice in ("flat", {"function": {}}, {"function": 5}, 7):
        with pytest.raises(ConfigurationError, match="allowed are none, auto, required, look"):
            sent(look, tool_choice=choice)


@pytest.mark.behaviour("chat-tools-refusals")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (WebSearch(), "a tool of type 'web_search' cannot be used in chat, which takes functions alone"),
        (XSearch(["a"]), "type 'x_search'"),
        (FileSearch(["c"]), "type 'file_search'"),
        (Mcp("https://mcp.example"), "type 'mcp'"),
        (wire.WebSearchTool(), "type 'web_search'"),
        ({"type": "live_search", "sources": []}, "live_search is gone from chat"),
        ({"type": 5}, "a tool of type a int"),
        ({"type": "function"}, "has no name"),
        ({"type": "function", "function": 5}, "the function of a tool is a int"),
        ({"name": "two words"}, "the name of a tool is 'two words'"),
        ({"name": "tool_search"}, "the name tool_search is taken by the service"),
        (Tool.from_schema("tool_search", None, {}, hear), "the name tool_search is taken by the service"),
        ({"name": "web_search"}, "tool web_search has a name of the service's own"),
        ({"name": "one", "parameters": []}, "tool one: parameters is a list"),
        ({"name": "one", "description": 5}, "tool one: description is a int"),
        ({"name": "one", "parameters": {"anyOf": [{"type": "string"}]}}, "the parameters of tool one has anyOf"),
        (
            {"name": "one", "parameters": {"oneOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"$ref": "#/$defs/A"}}}},
            "has oneOf",
        ),
        (5, "tool int is a int"),
    ],
)
@pytest.mark.behaviour("bug-28")
def test_tool_that_chat_does_not_take_is_refused_with_the_reason(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sent(given)
    assert said in str(caught.value)


@pytest.mark.behaviour("chat-tools-refusals")
def test_alternatives_at_the_root_pass_when_each_is_an_object() -> None:
    schema = {
        "anyOf": [{"type": "object"}, {"$ref": "#/$defs/A"}, {"properties": {}}],
        "$defs": {"A": {"type": "object"}},
    }
    assert names(sent({"name": "one", "parameters": schema})) == ["one"]


@pytest.mark.behaviour("chat-tools-refusals")
def test_more_tools_than_the_service_takes_and_what_is_no_list_are_refused() -> None:
    many = [{"name": f"t{number}"} for number in range(129)]
    assert len(sent(*many[:128])["tools"]) == 128
    with pytest.raises(ConfigurationError, match="there are 129 tools; at most 128"):
        sent(*many)
    for wrong in ("look", {"name": "look"}):
        with pytest.raises(ConfigurationError, match="a list of tools is allowed"):
            chat_body("grok-4.6", "hi", call={"tools": wrong})


def test_tools_show_their_names_alone() -> None:
    from xai_realtime.chat._tools import ChatTools

    assert repr(ChatTools([look, FLAT])) == "ChatTools(['look', 'flat'])"
