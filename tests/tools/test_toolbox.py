"""The tools of one session together: what goes out, who answers a call."""

from __future__ import annotations

import json

import anyio
import pytest

from xai_realtime.errors import ConfigurationError
from xai_realtime.tools import RESERVED_NAMES, Mcp, Tool, Toolbox, WebSearch, as_tool, tool

pytestmark = pytest.mark.anyio


@tool
async def weather(city: str) -> str:
    """Weather of a city."""
    return f"rain in {city}"


def clock() -> str:
    return "noon"


@tool(timeout_s=0.02)
async def stuck() -> None:
    await anyio.sleep_forever()


def test_toolbox_sends_functions_first_and_then_the_tools_of_the_service() -> None:
    box = Toolbox([WebSearch(), weather, {"type": "x_search"}, clock])
    assert [entry.to_wire()["type"] for entry in box.to_wire()] == ["function", "function", "web_search", "x_search"]
    assert list(box.functions) == ["weather", "clock"]
    assert repr(box) == "Toolbox(['weather', 'clock', 'web_search', 'x_search'])"
    assert Toolbox().to_wire() == []


def test_toolbox_finds_functions_by_name_alone() -> None:
    box = Toolbox([weather, WebSearch()])
    assert box.find("weather") is weather
    assert box.find("Weather") is box.find("web_search") is box.find(None) is box.find("") is None


def test_toolbox_knows_which_names_the_service_runs() -> None:
    box = Toolbox([weather, Mcp("https://m.example", allowed_tools=["find"]), Mcp("https://n.example")])
    assert all(box.is_server_tool(name) for name in [*RESERVED_NAMES, "find"])
    assert not any(box.is_server_tool(name) for name in ["weather", "mcp", "", None])


def test_toolbox_refuses_two_functions_under_one_name() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named weather"):
        Toolbox([weather, Tool.from_schema("weather", None, {}, clock)])


@pytest.mark.behaviour("ask-25")
def test_toolbox_refuses_a_function_under_the_name_of_an_mcp_tool() -> None:
    with pytest.raises(ConfigurationError, match="tool weather is a function and a tool of an MCP server"):
        Toolbox([weather, {"type": "mcp", "server_url": "https://m.example", "allowed_tools": ["weather"]}])


async def test_toolbox_runs_the_function_that_is_called() -> None:
    outcome = await Toolbox([weather, clock]).run("weather", '{"city":"Łódź"}', 5)
    assert (outcome.output, outcome.is_error) == ("rain in Łódź", False)
    assert (await Toolbox([clock]).run("clock", None)).output == "noon"


@pytest.mark.behaviour("ask-19")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wether", "there is no tool named wether"),
        ("x" * 5000, "there is no tool named " + "x" * 976 + "…"),
        ("\ud800", "there is no tool named ?"),
        ("", "the call names no tool"),
        (None, "the call names no tool"),
    ],
)
async def test_toolbox_answers_a_call_of_an_unknown_tool_with_an_error_output(name: str | None, said: str) -> None:
    outcome = await Toolbox([weather]).run(name, "{}", 5)
    assert outcome.is_error
    assert outcome.respond
    assert json.loads(outcome.output) == {"error": said}


@pytest.mark.behaviour("ask-21")
async def test_time_limit_of_the_tool_goes_before_the_one_of_the_session() -> None:
    async def endless() -> None:
        await anyio.sleep_forever()

    box = Toolbox([stuck, endless, as_tool(clock)])
    with anyio.fail_after(5):
        own = await box.run("stuck", "", 60)
        common = await box.run("endless", "", 0.03)
    assert json.loads(own.output) == {"error": "the tool gave no answer within 0.02 s"}
    assert json.loads(common.output) == {"error": "the tool gave no answer within 0.03 s"}
    assert (await box.run("clock", "", 5)).output == "noon"
