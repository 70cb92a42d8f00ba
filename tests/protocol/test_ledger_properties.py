"""The usage ledger equals what a server stated, over recorded conversations and over any course of events."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tapes import COMMITTED
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.ledger import FIGURES, ResponseUsage, UsageLedger


def usage(value: dict[str, Any] | None) -> wire.Usage | None:
    return None if value is None else wire.Usage.model_validate(value)


def stated_by(usage: ResponseUsage) -> set[str]:
    return {name for name in FIGURES if getattr(usage, name) is not None}


def tape_responses(name: str) -> list[wire.ResponseDone]:
    (path,) = [path for path in COMMITTED if path.stem == name]
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    messages = [line["json"] for line in lines if isinstance(line.get("json"), dict)]
    return [wire.ResponseDone.model_validate(each) for each in messages if each.get("type") == "response.done"]


@pytest.mark.behaviour("ask-29")
def test_usage_of_a_recorded_reply_is_taken_from_the_top_level() -> None:
    (event,) = tape_responses("voice_turn")
    assert event.response.usage is not None
    assert not event.response.usage.model_dump(exclude_none=True)
    ledger = UsageLedger()
    took = ledger.response_done(event.response.id, event.usage, event.response.usage, status="completed", now_ms=0)
    assert took is not None
    assert took.total_tokens == 239
    assert took.input_text_tokens == 4
    assert took.input_audio_tokens == 55
    assert took.billable_audio_seconds == 5


@pytest.mark.behaviour("ask-30")
def test_billable_seconds_of_a_recorded_resumption_go_on() -> None:
    ledger = UsageLedger()
    for event in tape_responses("resumption"):
        ledger.connected("conversation_1")
        ledger.response_done(event.response.id, event.usage, event.response.usage, status=None, now_ms=0)
    assert [each.billable_audio_seconds for each in ledger.responses.values()] == [3, 1]


STATUS = ("completed", "cancelled")
SECONDS = st.integers(0, 5)
FORMS: st.SearchStrategy[Any] = st.sampled_from([None, {}, {"input_token_details": {}}, {"total_tokens": None}])
PLACES = st.sampled_from(["absent", "top", "nested", "both"])
REPORT = st.tuples(
    st.fixed_dictionaries({name: st.tuples(PLACES, st.integers(0, 99)) for name in FIGURES}), FORMS, FORMS
)
STEP = st.one_of(
    st.tuples(st.just("done"), SECONDS, REPORT),
    st.tuples(st.just("repeat"), st.integers(0, 9), REPORT),
    st.tuples(st.just("lost"), SECONDS, st.none()),
    st.tuples(st.just("connect"), st.sampled_from([None, "a", "b"]), st.none()),
)


@dataclass
class Server:
    """Conversations with a running count each, and what was first stated of each reply."""

    names: dict[str, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0])
    now: int = 0
    is_connected: bool = False
    where: dict[str, tuple[int, int]] = field(default_factory=dict)
    stated: dict[str, dict[str, int]] = field(default_factory=dict)

    def connect(self, name: str | None) -> None:
        if name in self.names:
            self.now = self.names[name]
        elif self.is_connected:
            self.counts.append(0)
            self.now = len(self.counts) - 1
        if name is not None:
            self.names[name] = self.now
        self.is_connected = True

    def end(self, seconds: int) -> str:
        self.counts[self.now] += seconds
        name = f"r{len(self.where)}"
        self.where[name] = (self.now, self.counts[self.now])
        self.stated[name] = {}
        return name

    def report(self, name: str, report: Any) -> tuple[Any, Any]:
        places, top, nested = report
        forms: list[dict[str, Any]] = copy.deepcopy([top or {}, nested or {}])
        for figure, (place, value) in places.items():
            part, key = FIGURES[figure]
            truth = self.where[name][1] if figure == "billable_audio_seconds" else value
            for form, at, number in ((forms[1], "nested", truth + (place == "both")), (forms[0], "top", truth)):
                if place in (at, "both"):
                    holder = form if part is None else form.setdefault(part, {})
                    holder[key] = number
                    if at == "top" or place == "nested":
                        self.stated[name].setdefault(figure, number)
        return forms[0] or top, forms[1] or nested

    def total(self, figure: str, conversations: set[int]) -> int | None:
        rows = [(self.where[name][0], stated[figure]) for name, stated in self.stated.items() if figure in stated]
        rows = [row for row in rows if row[0] in conversations]
        if figure != "billable_audio_seconds":
            return sum(value for _, value in rows) if rows else None
        highest: dict[int, int] = {}
        for conversation, value in rows:
            highest[conversation] = max(value, highest.get(conversation, 0))
        return sum(highest.values()) if rows else None


@pytest.mark.behaviour("ask-29")
@pytest.mark.behaviour("ask-30")
@pytest.mark.behaviour("ask-31")
@pytest.mark.behaviour("usage-equals-the-wire")
@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEP, max_size=25))
def test_ledger_equals_what_was_stated_over_any_course_of_events(steps: list[Any]) -> None:
    server, ledger = Server(), UsageLedger()
    for kind, value, report in steps:
        if kind == "connect":
            server.connect(value)
            ledger.connected(value)
        elif kind == "lost":
            ledger.response_lost(server.end(value), now_ms=0)
        elif kind == "done" or server.where:
            name = server.end(value) if kind == "done" else list(server.where)[value % len(server.where)]
            top, nested = server.report(name, report)
            ledger.response_done(name, usage(top), usage(nested), status=STATUS[value % 2], now_ms=0)
    everything = set(range(len(server.counts)))
    for summary, conversations in ((ledger.session, everything), (ledger.conversation, {server.now})):
        for figure in FIGURES:
            assert getattr(summary, figure) == server.total(figure, conversations), figure
        names = [name for name, (conversation, _) in server.where.items() if conversation in conversations]
        assert summary.responses == len(names)
        assert summary.unknown_responses == sum(not server.stated[name] for name in names)
    for name, stated in server.stated.items():
        assert stated_by(ledger.responses[name]) == stated.keys()
    assert list(ledger.responses) == list(server.where)
