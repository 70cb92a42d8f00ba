"""Scenarios: rules, templates, Python functions, the one built in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xai_realtime import ConfigurationError
from xai_realtime.emulator import DropSpec, ErrorSpec, Limits, Prompt, Settings, TableScenario, ToolRequest, Turn
from xai_realtime.emulator.scenario import DEFAULT_SCENARIO, Rule, as_scenario, fill, load_scenario, names_in

WHOLE = """
[emulator]
answers_commits = false

[hearing]
fallback = "a"
stt_fallback = "b"

[limits]
max_duration_s = 1.5
idle_timeout_s = 3
concurrent_sessions = 2
max_message_bytes = 1000

[[turn]]
when = "weather in (?P<city>[A-Za-z ]+)"
say = "Let me check."
call = { name = "get_weather", arguments = { city = "{city}", days = [1, "{city}"], deep = { all = true } } }
then = "In {city}: {output}"

[[turn]]
when = "both"
calls = [{ name = "one" }, { name = "two", arguments = "no json: {heard}" }]

[[turn]]
when_output = "rain (?P<hours>\\\\d+)"
say = "{hours} hours, {output}"
delay_ms = 250

[[turn]]
when = "bad"
error = { code = "c", message = "{heard} is bad", type = "t" }

[[turn]]
when = "bye"
say = "Bye"
drop = { after_ms = 500, code = 1011 }
fail = true

[[turn]]
when = "hush"
silent = true
events = [{ type = "mcp_list_tools.in_progress", item_id = "{heard}" }]

[[turn]]
when = "half"
say = "Half"
incomplete = true
"""


@pytest.fixture
def whole(tmp_path: Path) -> TableScenario:
    path = tmp_path / "s.toml"
    path.write_text(WHOLE, encoding="utf-8")
    return load_scenario(path)


@pytest.mark.behaviour("emulator-scenario-toml")
def test_scenario_file_fills_the_groups_of_its_pattern_into_every_text(whole: TableScenario) -> None:
    turn = whole.turn(Prompt("The WEATHER in New York?"))
    arguments = {"city": "New York", "days": [1, "New York"], "deep": {"all": True}}
    assert turn == Turn(
        say="Let me check.", calls=(ToolRequest("get_weather", arguments),), then="In New York: {output}"
    )
    assert turn.answer(["sun", "{city}"]) == "In New York: sun {city}"


@pytest.mark.behaviour("emulator-scenario-toml")
def test_scenario_file_gives_all_that_a_turn_can_hold(whole: TableScenario) -> None:
    assert whole.settings == Settings("a", "b", Limits(1.5, 3, 2, 1000), answers_commits=False)
    assert whole.turn(Prompt("both")).calls == (ToolRequest("one"), ToolRequest("two", "no json: both"))
    assert whole.turn(Prompt("bad")).error == ErrorSpec("bad is bad", "c", "t")
    assert whole.turn(Prompt("bye")) == Turn(say="Bye", drop=DropSpec(500, 1011), fail=True)
    assert whole.turn(Prompt("half")) == Turn(say="Half", incomplete=True)
    events = ({"type": "mcp_list_tools.in_progress", "item_id": "hush"},)
    assert whole.turn(Prompt("hush")) == Turn(silent=True, events=events)


def test_scenario_answers_outputs_by_their_own_rules_and_else_speaks_them(whole: TableScenario) -> None:
    assert whole.turn(Prompt("both", outputs=("rain 3", "x"))) == Turn(say="3 hours, rain 3 x", delay_ms=250)
    assert whole.turn(Prompt("both", outputs=("sun", "x"))) == Turn(say="sun x")
    assert whole.turn(Prompt("nothing of the kind")) == Turn(silent=True)


def test_scenario_passes_a_rule_for_outputs_over_when_what_was_heard_differs() -> None:
    rule = Rule(re.compile("x"), Turn(say="no"), re.compile("."))
    assert TableScenario([rule]).turn(Prompt("y", outputs=("1",))) == Turn(say="1")


def test_group_that_took_no_part_in_the_match_is_empty() -> None:
    rule = Rule(re.compile("a(?P<more>b)?"), Turn(say="[{more}]"))
    assert rule.reply(Prompt("a")) == Turn(say="[]")


@pytest.mark.parametrize(
    ("template", "filled"),
    [("{a} {b}", "1 {b}"), ("{{a}} {a}", "{a} 1"), ("{ a } {1} {}", "{ a } {1} {}"), ("}}{{", "}{")],
)
def test_template_fills_what_it_knows_and_keeps_the_rest(template: str, filled: str) -> None:
    assert fill(template, {"a": "1"}) == filled


def test_template_names_what_it_wants() -> None:
    assert names_in("{a} {{b}} {c_1}") == ["a", "c_1"]


def test_answer_does_not_read_braces_that_somebody_said() -> None:
    rule = Rule(re.compile("(?P<it>.+)"), Turn(calls=(ToolRequest("f"),), then="{it} {{x}}: {output}"))
    turn = rule.reply(Prompt("{output}"))
    assert turn is not None
    assert turn.answer(["1"]) == "{output} {x}: 1"


@pytest.mark.behaviour("emulator-scenario-default")
def test_default_scenario_calls_the_weather_only_where_the_session_offers_it() -> None:
    asked = "What's the weather in New York, please?"
    turn = DEFAULT_SCENARIO.turn(Prompt(asked, tools=("get_weather",)))
    assert turn.calls == (ToolRequest("get_weather", {"city": "New York"}),)
    assert turn.answer(["Sunny."]) == "Sunny."
    assert DEFAULT_SCENARIO.turn(Prompt(asked)) == Turn(say=f"You said: {asked}")
    assert DEFAULT_SCENARIO.turn(Prompt("")) == Turn(silent=True)


def test_answer_is_none_when_the_scenario_is_to_be_asked_again() -> None:
    assert Turn(calls=(ToolRequest("f"),)).answer(["1"]) is None


@pytest.mark.parametrize(
    ("given", "turn"), [("hello", Turn(say="hello")), (None, Turn(silent=True)), (Turn(fail=True), Turn(fail=True))]
)
@pytest.mark.behaviour("emulator-scenario-python")
def test_python_function_is_a_scenario(given: Turn | str | None, turn: Turn) -> None:
    scenario = as_scenario(lambda prompt: given)
    assert scenario.turn(Prompt("x")) == turn
    assert scenario.settings == Settings()


def test_python_function_that_gives_something_else_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="gave a int"):
        as_scenario(lambda prompt: 3).turn(Prompt("x"))  # type: ignore[arg-type,return-value]


def test_scenario_may_be_given_as_object_path_or_nothing(tmp_path: Path, whole: TableScenario) -> None:
    assert as_scenario(whole) is whole
    assert as_scenario(None) is DEFAULT_SCENARIO
    assert as_scenario(str(tmp_path / "s.toml")).settings == whole.settings
    with pytest.raises(ConfigurationError, match="scenario is a int"):
        as_scenario(3)  # type: ignore[arg-type]
