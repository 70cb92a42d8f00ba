"""Calls that are announced again and again, in part, or out of order: each runs once and is answered once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.calling import (
    ARGUMENTS_DONE,
    Core,
    Recording,
    announces,
    asking,
    call_id_of,
    called_back,
    continuations,
    outputs,
    recorded,
    slow,
    without_calls,
)
from tests.session.driving import BACKENDS, run, talking
from xai_realtime import Fault
from xai_realtime.emulator import Emulator, Quirks, ToolRequest
from xai_realtime.protocol.session_events import ItemCreated, ResponseStarted, SessionWarning, ToolCalled, ToolFinished

PREAMBLE_AND_CALL = asking(ToolRequest("look_up", {"city": "Ulm"}), say="One moment.")
ARGUMENTS = '{"city":"Ulm"}'
TYPES = (
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
    "response.done",
)
CARRIERS = ("response.function_call_arguments.done", "response.output_item.done", "response.done")


@cache
def one_call() -> Recording:
    return recorded(PREAMBLE_AND_CALL, ["look_up"])


@cache
def two_calls() -> Recording:
    return recorded(asking("one", "two"), ["one", "two"])


def announcement(kind: str) -> int:
    """The place of the announcement of one kind in the recording of one call."""
    events = one_call().events
    return next(n for n, event in enumerate(events) if event.type == kind and announces(event))


def call_ids(events: Sequence[Any]) -> set[str]:
    return {found for event in events if (found := call_id_of(event))}


@pytest.mark.behaviour("ask-23", "bug-18", "tool-announcements-any-order")
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("comes_back", ["at once", "after the reply", "at the end"])
def test_call_runs_once_when_an_announcement_comes_again_at_any_later_place(kind: str, comes_back: str) -> None:
    recording = one_call()
    events, over, first = recording.events, recording.over, announcement(kind)
    for place in range(first + 1, len(events) + 1):
        if comes_back != "at once" and place > over + 1:
            break  # what the recording says from there on follows the output
        core = Core(recording.minted[1:], holds=comes_back != "at once")
        with_copy = [*events[:place], events[first], *events[place:]]
        if comes_back == "at the end":
            core.feed(*with_copy[: over + 2])
            core.feed(events[first])
            core.finish()
        else:
            core.feed(*with_copy[: over + 2])
            core.finish()
            core.feed(*with_copy[over + 2 :])
        core.check_once(call_ids(events))
        assert core.arguments[core.ran[0]] == ARGUMENTS
        begun = core.of(ResponseStarted)
        assert len({told.response_id for told in begun}) == len(begun) == (1 if comes_back == "at the end" else 2)
        created = [told.item.id for told in core.of(ItemCreated)]
        assert len(created) == len(set(created)), f"{kind} again at {place}"
        assert not core.of(SessionWarning)


@pytest.mark.behaviour("ask-23", "bug-18")
@pytest.mark.parametrize("times", [1, 7])
def test_calls_run_once_when_every_announcement_of_two_comes_several_times(times: int) -> None:
    recording = two_calls()
    core = Core(recording.minted[1:])
    core.feed(*(event for event in recording.events for _ in range(1 + times * announces(event))))
    core.check_once(call_ids(recording.events))


@pytest.mark.behaviour("bug-23", "tool-announcements-any-order")
@pytest.mark.parametrize("kind", CARRIERS)
@pytest.mark.parametrize("is_created_seen", [True, False])
def test_call_runs_with_its_arguments_when_one_announcement_alone_carries_them(
    kind: str, is_created_seen: bool
) -> None:
    """The end of the reply still comes, and says nothing of the call unless it is the one."""
    recording = one_call()
    kept = [event for event in recording.first_reply if event.type == kind or not announces(event)]
    if kind != "response.done":
        kept.append(without_calls(recording.events[recording.over]))
    if not is_created_seen:
        kept = [event for event in kept if event.type != "response.created"]
    core = Core()
    core.feed(*kept)
    core.check_once(call_ids(recording.events))
    assert core.arguments[core.ran[0]] == ARGUMENTS
    (called,) = core.of(ToolCalled)
    assert (called.name, called.raw.type) == ("look_up", kind)


@pytest.mark.behaviour("bug-23")
def test_call_runs_when_its_arguments_come_before_its_item() -> None:
    recording = one_call()
    early = [event for event in recording.first_reply if isinstance(event, ARGUMENTS_DONE)]
    rest = [event for event in recording.first_reply if event not in early]
    core = Core()
    core.feed(rest[0], *early, *rest[1:])
    core.check_once(call_ids(recording.events))


def test_call_waits_for_its_name_when_its_arguments_come_without() -> None:
    recording = one_call()
    nameless = [event.model_copy(update={"name": None}) for event in recording.events if type(event) is ARGUMENTS_DONE]
    core = Core()
    core.feed(recording.events[0], *nameless)
    assert core.ran == []
    core.feed(recording.events[recording.over])
    core.check_once(call_ids(recording.events))
    assert core.of(ToolCalled)[0].name == "look_up"


@pytest.mark.behaviour("tool-announcements-any-order")
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_two_calls_run_once_each_in_whatever_order_and_number_their_announcements_come(data: st.DataObject) -> None:
    """Shuffled, some left out, some again; what carries the arguments is left in at least once for each."""
    recording = two_calls()
    stated = [event for event in recording.first_reply if announces(event)]
    others = [event for event in recording.first_reply if not announces(event)]
    order = data.draw(st.permutations(range(len(stated))))
    left_out = data.draw(st.sets(st.sampled_from(range(len(stated)))))
    again = data.draw(st.lists(st.sampled_from(range(len(stated))), max_size=4))
    carried = [number for number in order if stated[number].type in CARRIERS[:2] and number not in left_out]
    is_whole = {call_id_of(stated[number]) for number in carried} == call_ids(stated)
    done = recording.events[recording.over]
    kept = [stated[number] for number in (*order, *again) if number not in left_out]
    if done not in kept:
        kept.append(without_calls(done) if is_whole else done)
    core = Core()
    core.feed(*others, *kept)
    core.check_once(call_ids(recording.events))


class TestThroughTheWholeSession:
    """The same over a line, with the emulator's quirk and with faults."""

    FAULTS = (
        *(pytest.param(Fault.duplicate(times=3, on=kind, nth=None), id=f"{kind} again") for kind in TYPES),
        *(pytest.param(Fault.drop(on=kind, nth=None), id=f"without {kind}") for kind in TYPES[:-1]),
        *(pytest.param(Fault.reorder(by=3, on=kind, nth=1), id=f"late {kind}") for kind in TYPES[:-1]),
    )

    @pytest.mark.behaviour("ask-23", "bug-18", "bug-23")
    @pytest.mark.parametrize("fault", FAULTS)
    @BACKENDS
    def test_call_is_answered_once_when_the_line_repeats_or_loses_announcements(
        self, fault: Fault, backend: str
    ) -> None:
        async def main() -> None:
            async with talking(asking("one"), fault, tools=[slow("one", 0.5)]) as talk:
                await called_back(talk)
                assert [text for _, text in outputs(talk)] == ["one output"]
                assert continuations(talk) == 1
                assert (len(talk.of(ToolCalled)), len(talk.of(ToolFinished))) == (1, 1)
                assert talk.heard() == "It is one output"

        run(main, backend)

    @pytest.mark.behaviour("ask-23", "bug-18")
    @BACKENDS
    def test_two_calls_are_answered_once_when_the_server_announces_everything_five_times(self, backend: str) -> None:
        async def main() -> None:
            scenario = asking("one", "two", say="One moment.")
            emulator = Emulator(lambda prompt: scenario.get(prompt.heard), seed=1, quirks=Quirks(duplicate_calls=5))
            async with talking(emulator=emulator, tools=[slow("one", 2), slow("two", 1)]) as talk:
                await called_back(talk, 2)
                assert [text for _, text in outputs(talk)] == ["two output", "one output"]
                assert continuations(talk) == 1

        run(main, backend)
