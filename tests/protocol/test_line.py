"""The connection of a session as a table: every state with everything that can happen, and its timers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.session.bare import Bare
from xai_realtime import SessionPolicy
from xai_realtime.errors import TransportTimeoutError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session import LINE, SessionCore
from xai_realtime.protocol.session_events import Reconnected, SessionReady, SessionWarning

STATES = ("down", "greeting", "configuring", "ready")


def core_in(state: str) -> Bare:
    """A core whose first connection dropped, in this state."""
    bare = Bare()
    bare.core.lost(bare.now_ms, "connection_lost")
    if state != "down":
        bare.core.opened(bare.now_ms)
    if state in ("configuring", "ready"):
        bare.event("session.created", session={})
    if state == "ready":
        bare.event("session.updated", session={})
    assert bare.core.line == state
    return bare.done()


def opened(bare: Bare) -> None:
    bare.core.opened(bare.now_ms)


def greeted(bare: Bare) -> None:
    bare.event("session.created", session={})


def acknowledged(bare: Bare) -> None:
    bare.event("session.updated", session={})


def silent(bare: Bare) -> None:
    bare.at(bare.now_ms + 10_000)


def lost(bare: Bare) -> None:
    bare.core.lost(bare.now_ms, "connection_lost")


TRIGGERS: dict[str, Callable[[Bare], None]] = {
    "opened": opened,
    "greeted": greeted,
    "acknowledged": acknowledged,
    "silent": silent,
    "lost": lost,
}
BESIDE_THE_TABLE = {
    # What is said to a connection that waits for its greeting is a greeting, and may be the acknowledgement at once.
    ("greeting", "acknowledged"): "ready",
    # The configuration is sent after a second of silence all the same, and then nobody acknowledges it.
    ("greeting", "silent"): "configuring",
}


@pytest.mark.behaviour("line-table")
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("state", STATES)
def test_line_goes_where_its_table_says(state: str, trigger: str) -> None:
    bare = core_in(state)
    TRIGGERS[trigger](bare)
    expected = BESIDE_THE_TABLE.get((state, trigger), LINE.get((state, trigger), state))
    assert bare.core.line == expected


def test_table_names_no_state_and_no_trigger_but_these() -> None:
    assert {state for state, _ in LINE} | set(LINE.values()) == set(STATES)
    assert {trigger for _, trigger in LINE} == set(TRIGGERS)


@pytest.mark.behaviour("session-ready")
def test_second_acknowledgement_is_none_of_a_second_beginning() -> None:
    bare = Bare()
    bare.event("session.updated", session={})
    assert len(bare.of(SessionReady)) == 1
    bare.lose().event("session.updated", session={})
    assert len(bare.of(Reconnected)) == 1


@pytest.mark.behaviour("session-ready")
def test_configuration_goes_out_after_a_second_when_the_server_does_not_greet() -> None:
    bare = core_in("greeting")
    bare.sent.clear()
    bare.at(999)
    assert bare.sent == []
    bare.at(1_000)
    assert [type(event) for event in bare.sent] == [wire.SessionUpdate]
    bare.event("session.created", session={})
    assert len(bare.sent) == 1
    bare.event("session.updated", session={})
    assert bare.core.is_ready


@pytest.mark.behaviour("session-ready")
def test_silence_of_the_first_connection_ends_the_session_and_of_a_later_one_asks_for_another() -> None:
    core = SessionCore(
        Bare().setup,
        SessionPolicy(ready_timeout_s=3),
        mint=str,
        is_server_tool=lambda name: False,
        stops_on_interrupt=lambda name: False,
    )
    core.opened(0)
    for now_ms in (1_000, 3_000):
        core.tick(now_ms)
    assert isinstance(core.desk.finish, TransportTimeoutError)
    later = core_in("greeting")
    later.at(10_000)
    assert later.core.desk.finish is None
    assert later.core.desk.redial == "connection_lost"
    assert later.of(SessionWarning) == []


@pytest.mark.behaviour("reset")
def test_event_of_a_connection_that_was_given_up_changes_nothing() -> None:
    bare = core_in("ready")
    bare.core.reset([], 0.0)
    assert bare.core.line == "down"
    bare.begin("late").item("late", "item").audio("late", "item", 100)
    assert bare.core.floor.open is None
    assert bare.core.desk.conversation.items == ()
