"""The emulator beside the real service: the same client frames, the same event types, the same fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.engine.driving import Call, say, sequence
from tests.emulator.faithfulness.facts import Facts, facts_of, fields_of, load_facts, read_recording, written
from xai_realtime.emulator.scenario import Prompt, ToolRequest, Turn

FACTS = load_facts()
SETTLED_MS = 2_000
ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (service|emulator) \| (.+) \|$", re.MULTILINE)

faithful = pytest.mark.behaviour("emulator-matches-recordings")


def scenario_of(facts: Facts) -> Callable[[Prompt], Turn]:
    """A model that says and calls what the recorded one did, in its order."""
    replies = iter(facts["replies"])

    def answer(prompt: Prompt) -> Turn:
        reply = next(replies)
        calls = tuple(ToolRequest(call["name"], call["arguments"]) for call in reply["calls"])
        return Turn(say=reply["say"], calls=calls)

    return answer


def settle(call: Call) -> None:
    """Let everything happen that the client need not bring about; the next ping is later."""
    while (due_ms := call.engine.next_due_ms()) is not None and due_ms <= call.now_ms + SETTLED_MS:
        call.run(max(0.0, due_ms - call.now_ms))


def with_live_calls(event: dict[str, Any], calls: list[Call]) -> dict[str, Any]:
    """A client event with the id of the emulator's call in the place of the recorded one."""
    item = event.get("item") or {}
    if item.get("type") != "function_call_output":
        return event
    live = calls[-1].of("response.function_call_arguments.done")[-1]["call_id"]
    return {**event, "item": {**item, "call_id": live}}


def played(facts: Facts) -> list[Call]:
    """The recorded client against the emulator, a Call for each connection."""
    calls: list[Call] = []
    for connection in facts["connections"]:
        if calls:
            previous = calls[-1]
            previous.engine.disconnected(previous.now_ms)
            resumed = {"conversation_id": previous.conversation.conversation_id or ""}
            calls.append(Call(world=previous.world, query=resumed, now_ms=previous.now_ms))
        else:
            calls.append(Call(scenario_of(facts)))
        after = 0
        for step in connection["client"]:
            if step["after"] > after:
                settle(calls[-1])
            after = step["after"]
            if "speak" in step:
                calls[-1].append(say(step["speak"]))
            else:
                calls[-1].send(with_live_calls(step["send"], calls))
        settle(calls[-1])
    return calls


def reasoned(repository: Path) -> dict[tuple[str, str, str], str]:
    """The differences in fields that the documentation lists: (type, field, who has it) and why."""
    page = (repository / "docs" / "emulator.md").read_text(encoding="utf-8")
    return {(kind, field, side): why for kind, field, side, why in ROW.findall(page)}


def differences(facts: Facts) -> set[tuple[str, str, str]]:
    """Fields that only one of the two sent."""
    mine: dict[str, set[str]] = {}
    for call in played(facts):
        for _, event in call.events:
            mine.setdefault(event["type"], set()).update(fields_of(event))
    found = set()
    for kind in {*mine, *facts["fields"]}:
        theirs = set(facts["fields"].get(kind, ()))
        found |= {(kind, field, "service") for field in theirs - mine.get(kind, set())}
        found |= {(kind, field, "emulator") for field in mine.get(kind, set()) - theirs}
    return found


def assert_equal_types(facts: Facts) -> None:
    calls = played(facts)
    assert [sequence(call.types) for call in calls] == [connection["server"] for connection in facts["connections"]]


@faithful
@pytest.mark.parametrize("name", FACTS)
def test_emulator_sends_the_recorded_event_types_when_the_recorded_client_calls(name: str) -> None:
    assert_equal_types(FACTS[name])


@pytest.mark.behaviour("emulator-fields-match-recordings")
@pytest.mark.parametrize("name", FACTS)
def test_emulator_sends_the_recorded_fields_but_for_those_with_a_reason(name: str, repository: Path) -> None:
    assert differences(FACTS[name]) <= set(reasoned(repository))


def test_list_of_differences_has_no_row_that_no_recording_shows(repository: Path) -> None:
    shown = set().union(*(differences(facts) for facts in FACTS.values()))
    listed = reasoned(repository)
    assert set(listed) == shown
    assert all(len(why) > 10 for why in listed.values())


def test_facts_are_those_of_all_five_recordings() -> None:
    assert len(FACTS) == 5
    assert sum(len(facts["connections"]) for facts in FACTS.values()) == 6


def test_facts_are_what_the_tool_makes_of_the_recordings(recordings: Callable[[], list[Path]]) -> None:
    folder = Path(__file__).resolve().parent
    made = {path.stem: written(facts_of(read_recording(path))) for path in recordings()}
    assert made == {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}


@faithful
def test_emulator_sends_the_recorded_event_types_when_the_recorded_words_are_spoken(
    recordings: Callable[[], list[Path]],
) -> None:
    for path in recordings():
        assert_equal_types(facts_of(read_recording(path)))


def test_comparison_fails_when_the_service_had_sent_one_event_more() -> None:
    facts = load_facts()["text_in_audio_out_turn"]
    facts["connections"][0]["server"].append("response.done")
    with pytest.raises(AssertionError):
        assert_equal_types(facts)


def test_comparison_fails_when_the_service_had_sent_one_field_more() -> None:
    facts = load_facts()["text_in_audio_out_turn"]
    before = differences(facts)
    facts["fields"]["ping"].append("$.planted: str")
    assert differences(facts) - before == {("ping", "$.planted: str", "service")}
