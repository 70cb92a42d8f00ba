"""The calls of a session by their ids: each cell of their table, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.session.calling import Core
from xai_realtime.events import realtime as wire
from xai_realtime.protocol import tool_ledger
from xai_realtime.protocol.session_events import ToolCalled, ToolFinished
from xai_realtime.protocol.tool_ledger import CALL

STATES = ("announced", "running", "finished", "answered", "ignored", "void")
TRIGGERS = ("complete", "ignore", "finish", "answer", "drop")


def item(call_id: str | None = "call-1", **fields: Any) -> wire.ConversationItemAdded:
    """A call as an item that names no reply."""
    stated = {"id": f"item-{call_id}", "type": "function_call", "call_id": call_id, "status": "in_progress", **fields}
    return wire.ConversationItemAdded.model_validate({"type": "conversation.item.added", "item": stated})


def whole(name: str | None = "one", call_id: str = "call-1") -> wire.ConversationItemAdded:
    return item(call_id, name=name, status="completed", arguments='{"n":1}')


def reply_begins_and_ends(core: Core) -> None:
    """The one place from which is spoken gets free."""
    response = {"id": "resp-1", "status": "completed", "output": []}
    core.feed(wire.ResponseCreated.model_validate({"type": "response.created", "response": response}))
    core.feed(wire.ResponseDone.model_validate({"type": "response.done", "response": response}))


def finish(core: Core) -> None:
    core.core.calls.finished("call-1", "erg", is_error=False, responds=True)
    core.settle()


HAPPENS: dict[str, Callable[[Core], None]] = {
    "complete": lambda core: core.feed(whole()),
    "ignore": lambda core: core.feed(whole("web_search")),
    "finish": finish,
    "answer": reply_begins_and_ends,
    "drop": lambda core: core.core.calls.reset(),
}
WAYS = {
    "announced": (),
    "running": ("complete",),
    "finished": ("complete", "finish"),
    "answered": ("complete", "finish", "answer"),
    "ignored": ("ignore",),
    "void": ("drop",),
}


def reached(state: str) -> Core:
    """A core with one call in that state, while a reply is asked for."""
    core = Core(holds=True)
    core.feed(item())
    for trigger in WAYS[state]:
        HAPPENS[trigger](core)
    return core


def state_of(core: Core, call_id: str = "call-1") -> str:
    return core.core.calls._calls[call_id].state


@pytest.mark.behaviour("tool-call-table")
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("state", STATES)
def test_call_is_where_its_table_says_when_anything_happens_in_any_state(state: str, trigger: str) -> None:
    core = reached(state)
    assert state_of(core) == state
    HAPPENS[trigger](core)
    after = CALL.get((state, trigger), state)
    assert state_of(core) == after
    has_run = "complete" in WAYS[state] or (state, trigger) == ("announced", "complete")
    assert core.ran == ["call-1"] * has_run
    assert core.sent.count("output") == (after == "answered")
    assert [call.call_id for call in core.core.calls.pending] == (["call-1"] if after in STATES[:3] else [])


def test_table_of_calls_has_only_states_and_triggers_that_the_walk_visits() -> None:
    assert {state for state, _ in CALL} | set(CALL.values()) == set(STATES)
    assert {trigger for _, trigger in CALL} == set(TRIGGERS)


@pytest.mark.behaviour("tool-call-table")
@pytest.mark.parametrize("state", ["answered", "ignored", "void"])
def test_call_is_settled_for_good_when_it_is_in_a_final_state(state: str) -> None:
    core = reached(state)
    told, sent = core.told, list(core.sent)
    core.feed(item(), whole(), whole("web_search"))
    finish(core)
    assert (state_of(core), core.sent) == (state, sent)
    assert core.told == told


def test_call_is_void_when_its_line_drops_before_it_is_whole_and_no_reply_has_it() -> None:
    core = reached("announced")
    core.core.lost(core.now_ms, "connection_lost")
    assert state_of(core) == "void"


class TestItems:
    """What is taken as a call, and what of it."""

    @pytest.mark.parametrize(
        "event", [item(None), item(type="message"), item(type="function_call_output", status="completed", output="x")]
    )
    def test_ledger_knows_no_call_when_an_item_is_none(self, event: wire.ConversationItemAdded) -> None:
        core = Core()
        core.feed(event)
        assert not core.core.calls.pending

    def test_call_runs_with_what_came_first_when_it_is_told_otherwise_later(self) -> None:
        core = Core(holds=True)
        core.feed(whole(), item(name="two", status="completed", arguments='{"n":2}'))
        finish(core)
        (called,), (finished,) = core.of(ToolCalled), core.of(ToolFinished)
        assert (called.name, called.arguments) == (finished.name, finished.arguments) == ("one", '{"n":1}')

    def test_call_waits_for_its_arguments_when_an_item_that_is_announced_says_it_is_completed(self) -> None:
        core = Core(holds=True)
        core.feed(item(name="one", status="completed", arguments=""))
        assert core.ran == []
        core.feed(whole())
        assert core.arguments == {"call-1": '{"n":1}'}

    def test_call_without_a_name_runs_at_once_when_no_reply_can_tell_it_any_more(self) -> None:
        core = Core(holds=True, asks=False)
        core.feed(whole(None))
        assert core.ran == ["call-1"]
        assert core.of(ToolCalled)[0].name == ""


class TestMemory:
    """What the ledger still knows of calls that are settled."""

    def test_call_of_the_history_is_not_run_when_the_server_announces_it(self) -> None:
        core = Core()
        core.core.calls.settled_before("call-1")
        core.feed(item(), whole())
        assert core.ran == []
        assert not core.core.calls.is_left_out("call-1")

    @pytest.mark.parametrize(
        ("state", "is_left_out"),
        [("announced", False), ("running", False), ("answered", False), ("ignored", True), ("void", True)],
    )
    def test_call_is_left_out_of_the_conversation_when_it_is_none_of_ours(self, state: str, is_left_out: bool) -> None:
        assert reached(state).core.calls.is_left_out("call-1") is is_left_out

    def test_call_is_left_out_when_nobody_knows_it(self) -> None:
        assert Core().core.calls.is_left_out("call-9")

    def test_oldest_settled_call_is_forgotten_and_one_that_runs_is_kept_when_there_are_too_many(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tool_ledger, "REMEMBERED", 4)
        core = Core(holds=True)
        core.feed(whole())
        core.core.calls.settled_before("call-2")
        for number in range(3, 7):
            core.feed(whole("web_search", f"call-{number}"))
        calls = core.core.calls._calls
        assert list(calls) == ["call-1", "call-4", "call-5", "call-6"]
        finish(core)
        assert state_of(core) == "finished"

    def test_nothing_happens_when_a_forgotten_function_comes_back(self) -> None:
        core = Core()
        finish(core)
        assert not core.of(ToolFinished) and core.sent == []
