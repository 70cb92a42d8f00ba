"""Every cell of the table of replies, through the methods that make it happen, and what the slot promises besides."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from xai_realtime import SessionPolicy
from xai_realtime.audio import audio_format
from xai_realtime.errors import LocalProtocolError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.agent_voice import AgentVoice
from xai_realtime.protocol.desk import Desk, step
from xai_realtime.protocol.floor import END_TIMEOUT_MS, FLOOR, REPLY_TIMER, SECOND_ANSWER_MS, Floor
from xai_realtime.protocol.reply import REMEMBERED, Wish
from xai_realtime.protocol.session_events import ResponseDone, ResponseStarted, SessionWarning

STATES = sorted({state for state, _ in FLOOR} | set(FLOOR.values()))
TRIGGERS = sorted({trigger for _, trigger in FLOOR})


class Stage:
    """A floor alone on its desk. `running` is the id of the reply that was created last."""

    def __init__(self, **policy: Any) -> None:
        minted = (f"own-{number}" for number in itertools.count())
        self.desk = Desk(SessionPolicy(**policy), lambda: next(minted), is_by_clock=False)
        self.voice = AgentVoice(self.desk, audio_format("pcm"))
        self.floor = Floor(self.desk, self.voice)
        self.floor.is_ready = True
        self.running = ""
        self._number = 0

    def ask(self, kind: Any = "reply", when_busy: str = "queue", **fields: Any) -> Wish:
        wish = Wish(kind, request=wire.ResponseCreate(), **fields)
        self.floor.ask(wish, when_busy)
        return wish

    def created(self) -> str:
        self._number += 1
        self.running = f"resp-{self._number}"
        self.floor.created(wire.ResponseCreated(type="response.created", response={"id": self.running}), None)
        return self.running

    def done(self, response_id: str | None = None, status: str = "completed", **response: Any) -> None:
        stated = {"id": response_id or self.running, "status": status, **response}
        self.floor.done(wire.ResponseDone.model_validate({"type": "response.done", "response": stated}))

    def wait(self, ms: float) -> None:
        """Time passes, and the timer of the floor does what it must."""
        self.desk.now_ms += ms
        for name in self.desk.due():
            assert name == REPLY_TIMER
            self.floor.expired()

    def sent(self) -> list[str]:
        """The types of what was sent since the last look."""
        kinds = [str(getattr(event, "type", "")) for event in self.desk.out]
        self.desk.out.clear()
        return kinds

    def told(self) -> list[tuple[Any, ...]]:
        """Beginnings, ends and warnings since the last look."""
        shown: list[tuple[Any, ...]] = []
        for event in self.desk.told:
            if isinstance(event, ResponseStarted):
                shown.append(("start", event.response_id))
            elif isinstance(event, ResponseDone):
                shown.append(("end", event.response_id, event.status, event.reason))
            elif isinstance(event, SessionWarning):
                shown.append(("warning", event.code))
        self.desk.told.clear()
        return shown


def in_state(state: str) -> Stage:
    """A floor that came to a state by what happened to it."""
    stage = Stage()
    stage.floor.created(wire.ResponseCreated(type="response.created", response={"id": "old"}), None)
    stage.done("old")
    if state in ("open", "stopping"):
        stage.created()
    elif state != "free":
        stage.ask()
    if state in ("stopping", "abandoned"):
        stage.floor.interrupt("interrupt")
    if state == "blocked":
        stage.floor.refused()
    assert stage.floor.state == state
    stage.sent()
    return stage


def expire(stage: Stage) -> None:
    stage.desk.now_ms += END_TIMEOUT_MS
    stage.floor.expired()


HAPPEN: dict[str, Callable[[Stage], Any]] = {
    "ask": lambda stage: stage.ask(),
    "created": lambda stage: stage.created(),
    "done": lambda stage: stage.done(stage.floor.open.id if stage.floor.open else "old"),
    "dropped": lambda stage: stage.floor.taken_back(None, 0.0),
    "expired": expire,
    "line_lost": lambda stage: stage.floor.line_lost("connection_lost"),
    "nothing_to_stop": lambda stage: stage.floor.nothing_to_stop(),
    "refused": lambda stage: stage.floor.refused(),
    "stop": lambda stage: stage.floor.interrupt("interrupt"),
}
SENT = {
    ("free", "ask"): ["response.create"],
    ("open", "stop"): ["response.cancel"],
    ("abandoned", "created"): ["response.cancel"],
}


@pytest.mark.behaviour("bug-20")
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("state", STATES)
def test_floor_goes_where_its_table_says_from_each_state_at_each_trigger(state: str, trigger: str) -> None:
    stage = in_state(state)
    stage.floor.user_has_it = trigger != "ask"  # so that what waits shows the state and not the next one
    HAPPEN[trigger](stage)
    after = step(FLOOR, state, trigger)
    assert stage.floor.state == after
    assert (stage.floor.open is not None) == (after in ("open", "stopping"))
    assert (REPLY_TIMER in stage.desk.timers) == (after != "free")
    assert stage.sent() == SENT.get((state, trigger), [])


def test_walk_makes_everything_happen_that_the_table_names() -> None:
    assert set(HAPPEN) == set(TRIGGERS)
    assert len(STATES) == 6


@pytest.mark.behaviour("bug-20")
@pytest.mark.parametrize("first", TRIGGERS)
def test_reply_is_told_once_to_begin_and_once_to_end_whatever_happens(first: str) -> None:
    for more in itertools.product(TRIGGERS, repeat=3):
        stage = Stage()
        for trigger in ("ask", first, *more, "created"):
            HAPPEN[trigger](stage)
        stage.floor.line_lost("connection_lost")
        told = [entry[:2] for entry in stage.told() if entry[0] != "warning"]
        begun = [name for kind, name in told if kind == "start"]
        assert len(set(begun)) == len(begun), more
        assert told == [(kind, name) for name in begun for kind in ("start", "end")], more


# Ends that do not come


def test_reply_whose_end_is_lost_ends_after_a_minute_of_nothing_and_the_next_wish_goes_out() -> None:
    stage = Stage()
    stage.ask()
    stage.created()
    stage.ask("text")
    stage.sent()
    stage.wait(END_TIMEOUT_MS - 1)
    stage.floor.reply("resp-1")  # something came of it
    stage.wait(END_TIMEOUT_MS - 1)
    assert (stage.floor.state, stage.sent()) == ("open", [])
    stage.wait(1)
    assert (stage.floor.state, stage.sent()) == ("asked", ["response.create"])
    assert stage.told() == [("start", "resp-1"), ("warning", "no_end"), ("end", "resp-1", "cancelled", "no_end")]
    stage.done("resp-1")
    assert (stage.floor.state, stage.told()) == ("asked", [])


def test_reply_that_only_ends_is_told_to_begin_and_to_end_and_answers_the_wish() -> None:
    stage = Stage()
    wish = stage.ask("text")
    stage.done("unseen", status="failed")
    reply = stage.floor.known("unseen")
    assert reply is not None and reply.wish is wish
    assert stage.told() == [("start", "unseen"), ("end", "unseen", "failed", None)]
    assert stage.floor.state == "free"


def test_end_of_an_unseen_reply_ends_the_one_that_seemed_to_run_without_its_figures() -> None:
    stage = Stage()
    stage.created()
    stage.done("unseen", usage={"total_tokens": 7})
    assert stage.told() == [
        ("start", "resp-1"),
        ("end", "resp-1", "cancelled", "next_response"),
        ("start", "unseen"),
        ("end", "unseen", "completed", None),
    ]
    totals = {name: usage.total_tokens for name, usage in stage.desk.ledger.responses.items()}
    assert totals == {"resp-1": None, "unseen": 7}


def test_abandoned_reply_that_only_ends_is_not_told_and_not_cancelled() -> None:
    stage = in_state("abandoned")
    stage.told()
    stage.done("unseen", status="cancelled", usage={"total_tokens": 7})
    assert (stage.floor.state, stage.told(), stage.sent()) == ("free", [], [])
    assert stage.desk.ledger.session.total_tokens == 7


def test_late_end_of_a_closed_reply_frees_the_floor_that_it_had_blocked() -> None:
    stage = Stage()
    stage.created()
    stage.floor.interrupt("speech", stops_server=False)
    stage.wait(5_000)
    stage.ask("text")
    stage.floor.refused()
    assert (stage.floor.state, stage.sent()) == ("blocked", ["response.create"])
    stage.done("resp-1", status="cancelled")
    assert (stage.floor.state, stage.sent()) == ("asked", ["response.create"])


# Turns that are answered twice, or not as expected


def answered_turn() -> Stage:
    stage = Stage()
    stage.ask("turn")
    stage.created()
    return stage


@pytest.mark.behaviour("ask-7")
def test_second_answer_to_a_turn_is_cancelled_and_never_told() -> None:
    stage = answered_turn()
    stage.done()
    assert stage.told() == [("start", "resp-1"), ("end", "resp-1", "completed", None)]
    stage.sent()
    stage.created()
    assert (stage.sent(), stage.told(), stage.floor.state) == (["response.cancel"], [], "stopping")
    stage.done("resp-2", status="cancelled")
    assert (stage.told(), stage.floor.state) == ([], "free")
    stage.created()
    assert stage.told() == [("start", "resp-3")]


@pytest.mark.parametrize(
    ("waits_ms", "output"),
    [(SECOND_ANSWER_MS + 1, []), (0, [{"id": "item", "type": "mcp_call"}])],
    ids=["later", "after a call of an MCP server"],
)
def test_reply_that_the_server_makes_on_its_own_is_no_second_answer(waits_ms: float, output: list[Any]) -> None:
    stage = answered_turn()
    stage.done(output=output)
    stage.desk.now_ms += waits_ms
    stage.created()
    assert stage.told()[-1] == ("start", "resp-2")


@pytest.mark.behaviour("ask-7")
def test_turn_refused_before_its_answer_is_seen_is_answered_by_it_or_asked_again() -> None:
    for answers_itself in (True, False):
        stage = Stage()
        wish = stage.ask("turn")
        stage.floor.refused()
        if answers_itself:
            reply = stage.floor.known(stage.created())
            assert reply is not None and reply.wish is wish
            stage.done()
            assert stage.sent() == ["response.create"]
        else:
            stage.done("unseen")
            assert (stage.sent(), stage.floor.state) == (["response.create"] * 2, "asked")


def test_reply_that_turns_out_to_answer_something_else_may_be_interrupted() -> None:
    stage = Stage()
    stage.ask("reply", is_interruptible=False)
    stage.created()
    assert stage.floor.is_protected
    stage.floor.refused()
    assert not stage.floor.is_protected
    assert stage.floor.interrupt("interrupt")
    stage.done(status="cancelled")
    assert stage.floor.state == "asked" and stage.floor.is_protected


# Wishes


def test_wish_that_may_not_wait_changes_nothing() -> None:
    stage = Stage(max_queued_turns=1)
    stage.created()
    stage.ask("text")
    for when_busy in ("queue", "cancel", "raise"):
        with pytest.raises(LocalProtocolError, match="1 wishes wait already"):
            stage.ask("text", when_busy)
        with pytest.raises(LocalProtocolError, match="1 wishes wait already"):
            stage.ask("item", when_busy)
    assert (stage.floor.state, stage.sent(), len(stage.floor.wishes)) == ("open", [], 1)


def test_reset_drops_what_waits() -> None:
    stage = answered_turn()
    stage.ask("text")
    stage.floor.reset()
    stage.done()
    assert (stage.floor.state, stage.sent()) == ("free", ["response.create"])


def test_only_the_latest_replies_are_remembered() -> None:
    stage = Stage()
    for _ in range(REMEMBERED + 1):
        stage.created()
        stage.done()
    assert stage.floor.known("resp-1") is None
    assert stage.floor.known("resp-2") is not None
