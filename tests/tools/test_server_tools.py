"""Tools that the service runs: what goes out, what is refused, what does not show."""

from __future__ import annotations

from typing import Any

import pytest

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.tools import FileSearch, Mcp, ServerTool, Tool, WebSearch, XSearch, as_session_tool, tool


@tool
def now() -> str:
    return "noon"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (WebSearch(), {"type": "web_search"}),
        (XSearch(), {"type": "x_search"}),
        (XSearch(handles=["@xai", "grok "]), {"type": "x_search", "allowed_x_handles": ["xai", "grok"]}),
        (FileSearch(["c1"]), {"type": "file_search", "vector_store_ids": ["c1"]}),
        (FileSearch(("c1", "c2"), 3), {"type": "file_search", "vector_store_ids": ["c1", "c2"], "max_num_results": 3}),
        (Mcp("https://m.example"), {"type": "mcp", "server_url": "https://m.example"}),
        (
            Mcp("https://m.example", "m", "Maps.", ["find"], "token", {"X-Key": "k"}),
            {
                "type": "mcp",
                "server_url": "https://m.example",
                "server_label": "m",
                "server_description": "Maps.",
                "allowed_tools": ["find"],
                "authorization": "token",
                "headers": {"X-Key": "k"},
            },
        ),
        (
            Mcp("http://localhost:1", allowed_tools=()),
            {"type": "mcp", "server_url": "http://localhost:1", "allowed_tools": []},
        ),
    ],
)
def test_server_tool_goes_out_with_what_was_given_alone(given: ServerTool, sent: dict[str, Any]) -> None:
    assert given.to_wire().to_wire() == sent
    made = as_session_tool(given)
    assert not isinstance(made, Tool)
    assert made.to_wire() == sent
    assert as_session_tool(made) is made
    assert as_session_tool(sent) == made


@pytest.mark.parametrize(
    ("kind", "settings", "wrong"),
    [
        (XSearch, {"handles": "xai"}, "handles is a str; a list of texts is allowed"),
        (XSearch, {"handles": 5}, "handles is a int"),
        (XSearch, {"handles": ["@"]}, "handles holds an entry that is empty"),
        (XSearch, {"handles": [5]}, "handles holds an entry that is empty or no text"),
        (FileSearch, {"collections": []}, "collections is empty; at least one"),
        (FileSearch, {"collections": "c1"}, "collections is a str"),
        (FileSearch, {"collections": [" "]}, "collections holds an entry"),
        (FileSearch, {"collections": ["c"], "max_results": 0}, "max_results is 0; a whole number above 0"),
        (FileSearch, {"collections": ["c"], "max_results": True}, "max_results is True"),
        (FileSearch, {"collections": ["c"], "max_results": 2.5}, "max_results is 2.5"),
        (Mcp, {"server_url": "m.example"}, "server_url must be an address"),
        (Mcp, {"server_url": None}, "server_url must be an address"),
        (Mcp, {"server_url": "https://m", "allowed_tools": "find"}, "allowed_tools is a str"),
        (Mcp, {"server_url": "https://m", "headers": {"X": 5}}, "headers.X: Input should be a valid string"),
        (Mcp, {"server_url": "https://m", "label": 5}, "server_label: Input should be a valid string"),
    ],
)
def test_server_tool_with_a_wrong_setting_is_refused(kind: Any, settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**settings)
    assert wrong in str(caught.value)


@pytest.mark.behaviour("tool-secrets-stay-inside")
def test_secrets_of_an_mcp_server_show_nowhere() -> None:
    given = Mcp("https://m.example/canary", "m", authorization="canary", headers={"X": "canary"})
    assert repr(given) == "Mcp(label='m', description=None, allowed_tools=None)"
    wrongs: list[dict[str, Any]] = [
        {"authorization": ["canary"]},
        {"headers": "canary"},
        {"headers": {"X": ["canary"]}},
    ]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError) as caught:
            Mcp("https://m.example", **wrong)
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None
    with pytest.raises(ConfigurationError) as caught:
        Mcp("canary")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"type": "code_interpreter"}, "the type of a tool is 'code_interpreter'; one of web_search, x_search,"),
        ({}, "the type of a tool is None"),
        ({"type": ["mcp"]}, "the type of a tool is"),
        ({"type": "web_search", "depth": 3}, "web_search cannot be sent: depth: Extra inputs are not permitted"),
        ({"type": "file_search"}, "file_search cannot be sent: vector_store_ids: Field required"),
        ({"type": "mcp", "server_url": "https://m", "headers": None}, "mcp cannot be sent: mcp: Value error"),
        ({"type": "function", "name": "f"}, "use Tool.from_schema"),
        ({"type": "function", "function": {"name": "f"}}, "use Tool.from_schema"),
        (wire.FunctionTool(name="f"), "use Tool.from_schema"),
        (wire.NestedFunctionTool(function=wire.FunctionDefinition(name="f")), "use Tool.from_schema"),
        ("web_search", "tool str is a str"),
    ],
)
def test_thing_that_is_no_tool_of_a_session_is_refused(given: Any, wrong: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_session_tool(given)
    assert wrong in str(caught.value)


def test_function_is_a_tool_of_a_session_as_it_stands() -> None:
    assert as_session_tool(now) is now
    made = as_session_tool(now.__wrapped__)
    assert isinstance(made, Tool)
    assert made.name == "now"
