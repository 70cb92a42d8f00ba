"""The usage ledger: what was stated, once, field by field; what was measured; budgets that make sense."""

from __future__ import annotations

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest

from xai_realtime.codec import realtime_codec
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.protocol.ledger import FIGURES, MAX_FIGURE, Budget, ResponseUsage, UsageLedger, UsageSummary

TOP_LEVEL = pytest.mark.behaviour("ask-29")
RUNNING = pytest.mark.behaviour("ask-30")
ONCE = pytest.mark.behaviour("ask-31")
ALL_FIELDS = pytest.mark.behaviour("bug-22")

WHOLE = {
    "input_tokens": 156,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 146, "grok_tokens": 1},
    "output_tokens": 185,
    "output_token_details": {"text_tokens": 16, "audio_tokens": 169, "grok_tokens": 2},
    "total_tokens": 341,
    "output_audio_seconds": 3.38,
    "billable_audio_seconds": 5,
}
FLAT = {
    "input_tokens": 156,
    "input_text_tokens": 10,
    "input_audio_tokens": 146,
    "input_grok_tokens": 1,
    "output_tokens": 185,
    "output_text_tokens": 16,
    "output_audio_tokens": 169,
    "output_grok_tokens": 2,
    "total_tokens": 341,
    "output_audio_seconds": 3.38,
    "billable_audio_seconds": 5,
}


def usage(value: dict[str, Any] | None) -> wire.Usage | None:
    return None if value is None else wire.Usage.model_validate(value)


def done(
    ledger: UsageLedger,
    name: str,
    top: dict[str, Any] | None = None,
    nested: dict[str, Any] | None = None,
    status: str | None = "completed",
    now_ms: float = 0,
) -> ResponseUsage | None:
    return ledger.response_done(name, usage(top), usage(nested), status=status, now_ms=now_ms)


def figures(usage: ResponseUsage | UsageSummary | None) -> dict[str, Any]:
    return {name: value for name in FIGURES if (value := getattr(usage, name)) is not None}


def running(ledger: UsageLedger, *seconds: int | None, prefix: str = "r") -> list[int | None]:
    """Take in replies that state these running counts; what each of them added."""
    added = []
    for number, value in enumerate(seconds):
        took = done(ledger, f"{prefix}{number}", {"total_tokens": 1, "billable_audio_seconds": value})
        assert took is not None
        added.append(took.billable_audio_seconds)
    return added


@TOP_LEVEL
@pytest.mark.parametrize(
    ("top", "nested"),
    [
        (WHOLE, None),
        (WHOLE, {}),
        (None, WHOLE),
        ({}, WHOLE),
        ({"total_tokens": None, "input_token_details": {}, "output_token_details": None}, WHOLE),
        (WHOLE, {"input_tokens": 7, "billable_audio_seconds": 9}),
        ({"input_tokens": 156, "input_token_details": {"text_tokens": 10}}, WHOLE),
        (
            {key: value for key, value in WHOLE.items() if key != "total_tokens"} | {"total_tokens": None},
            {"total_tokens": 341},
        ),
    ],
)
def test_usage_is_read_field_by_field_wherever_it_is_stated(
    top: dict[str, Any] | None, nested: dict[str, Any] | None
) -> None:
    ledger = UsageLedger()
    took = done(ledger, "r", top, nested)
    assert figures(took) == FLAT
    assert figures(ledger.session) == figures(ledger.conversation) == FLAT
    assert took is ledger.responses["r"]
    assert took.is_known
    assert ledger.session.is_complete


@TOP_LEVEL
@pytest.mark.parametrize(
    ("top", "nested"),
    [
        (None, None),
        ({}, {}),
        (None, {"input_tokens": None}),
        ({"input_token_details": {"text_tokens": None}}, None),
        ({"cost_in_usd_ticks": 5}, None),
        ({"total_tokens": -1, "output_audio_seconds": 2e12}, {"input_tokens": MAX_FIGURE + 1}),
    ],
)
def test_usage_that_states_no_figure_is_unknown_and_never_zero(
    top: dict[str, Any] | None, nested: dict[str, Any] | None
) -> None:
    ledger = UsageLedger()
    took = done(ledger, "r", top, nested)
    assert took is not None
    assert not took.is_known
    assert figures(took) == figures(ledger.session) == {}
    assert (ledger.session.responses, ledger.session.unknown_responses) == (1, 1)
    assert not ledger.session.is_complete
    assert ledger.session.unstated == dict.fromkeys(FIGURES, 1)


@TOP_LEVEL
def test_usage_nested_in_a_decoded_event_is_read_when_the_top_level_is_empty() -> None:
    event = realtime_codec.decode(
        Frame(b'{"type":"response.done","usage":{},"response":{"id":"r","usage":{"total_tokens":3}}}')
    )
    assert not isinstance(event, UnknownEvent | InvalidEvent)
    assert isinstance(event, wire.ResponseDone)
    ledger = UsageLedger()
    ledger.response_done("r", event.usage, event.response.usage, status=None, now_ms=0)
    assert ledger.session.total_tokens == 3


@ALL_FIELDS
def test_ledger_keeps_the_billable_seconds_and_every_split_when_the_total_is_zero() -> None:
    ledger = UsageLedger()
    took = done(
        ledger,
        "r",
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "total_tokens": 0,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "grok_tokens": 0},
            "billable_audio_seconds": 4,
        },
    )
    assert took is not None
    assert took.total_tokens == ledger.session.total_tokens == 0
    assert took.billable_audio_seconds == 4
    assert took.input_grok_tokens == took.input_audio_tokens == 0
    assert took.output_grok_tokens is None
    assert took.is_known


@ALL_FIELDS
def test_ledger_sums_every_figure_when_there_are_several_replies() -> None:
    ledger = UsageLedger()
    done(ledger, "r", WHOLE)
    done(ledger, "s", WHOLE | {"billable_audio_seconds": 8})
    done(ledger, "t", {"input_tokens": 4})
    summed = {name: 2 * value for name, value in FLAT.items()} | {"input_tokens": 316, "billable_audio_seconds": 8}
    assert figures(ledger.session) == pytest.approx(summed)
    assert ledger.session.unstated == dict.fromkeys(FIGURES.keys() - {"input_tokens"}, 1)
    assert ledger.session.is_complete


def test_total_tokens_are_those_of_the_wire_when_they_are_not_the_sum() -> None:
    ledger = UsageLedger()
    took = done(ledger, "r", {"input_tokens": 1, "output_tokens": 2, "total_tokens": 9})
    assert took is not None
    assert took.total_tokens == 9


def test_total_tokens_stay_unknown_when_only_their_parts_are_stated() -> None:
    ledger = UsageLedger()
    done(ledger, "r", {"input_tokens": 1, "output_tokens": 2})
    assert ledger.session.total_tokens is None


@ONCE
def test_reply_counts_once_when_it_is_reported_again() -> None:
    ledger = UsageLedger()
    done(ledger, "r", WHOLE)
    assert done(ledger, "r", WHOLE) is None
    assert done(ledger, "r", {"total_tokens": 900, "billable_audio_seconds": 99}) is None
    assert done(ledger, "r", None, None) is None
    ledger.response_lost("r", now_ms=1)
    assert figures(ledger.session) == FLAT
    assert ledger.session.responses == 1


@ONCE
def test_reply_is_filled_in_when_a_repeated_report_states_more() -> None:
    ledger = UsageLedger()
    first = done(ledger, "r", {"total_tokens": 3}, status=None)
    more = done(ledger, "r", {"total_tokens": 9, "input_tokens": 1, "x": 1}, {"output_tokens": 2}, status="cancelled")
    assert figures(first) == {"total_tokens": 3}
    assert more is not None
    assert figures(more) == {"total_tokens": 3, "input_tokens": 1, "output_tokens": 2}
    assert (more.status, more.extra) == ("cancelled", {"x": 1})
    last = done(ledger, "r", {"x": 2, "y": 3})
    assert last is not None
    assert last.extra == {"x": 1, "y": 3}
    assert last.status == "cancelled"


@ONCE
def test_cached_tokens_are_kept_apart_and_added_to_nothing() -> None:
    ledger = UsageLedger()
    top = {
        "input_tokens": 10,
        "total_tokens": 12,
        "cost_in_usd_ticks": 37,
        "cached_tokens": None,
        "input_token_details": {"text_tokens": 10, "cached_tokens": 8},
    }
    took = done(ledger, "r", top, {"num_sources_used": 2, "output_token_details": {"reasoning_tokens": 1}})
    assert took is not None
    assert took.extra == {
        "cost_in_usd_ticks": 37,
        "input_token_details.cached_tokens": 8,
        "num_sources_used": 2,
        "output_token_details.reasoning_tokens": 1,
    }
    assert figures(took) == {"input_tokens": 10, "input_text_tokens": 10, "total_tokens": 12}
    assert "37" not in repr(took)


@RUNNING
def test_billable_seconds_are_what_each_reply_added_when_the_wire_counts_on() -> None:
    ledger = UsageLedger()
    ledger.connected("c")
    assert running(ledger, 1, 2, 3) == [1, 1, 1]
    assert ledger.session.billable_audio_seconds == 3


@RUNNING
@pytest.mark.parametrize("name", ["d", None])
def test_billable_seconds_begin_anew_when_a_new_conversation_begins(name: str | None) -> None:
    ledger = UsageLedger()
    ledger.connected("c")
    running(ledger, 1, 4)
    assert ledger.conversation == ledger.session
    ledger.connected(name)
    assert ledger.conversation == UsageSummary()
    assert running(ledger, 5, 6, prefix="s") == [5, 1]
    assert ledger.conversation.billable_audio_seconds == 6
    assert ledger.session.billable_audio_seconds == 10
    assert (ledger.conversation.responses, ledger.session.responses) == (2, 4)


@RUNNING
@pytest.mark.parametrize(("later", "added"), [((3, 5), [2, 2]), ((1, 5), [1, 4]), ((None, 3), [None, 2])])
def test_billable_seconds_go_on_or_begin_anew_when_a_conversation_is_resumed(
    later: tuple[int | None, ...], added: list[int | None]
) -> None:
    ledger = UsageLedger()
    if later[0] == 1:
        running(ledger, 3)
        ledger.connected("c")
    else:
        ledger.connected("c")
        running(ledger, 1)
    ledger.connected("c")
    assert running(ledger, *later, prefix="s") == added
    assert ledger.conversation == ledger.session


@RUNNING
def test_billable_seconds_of_an_old_conversation_go_on_when_it_is_resumed_after_another() -> None:
    ledger = UsageLedger()
    ledger.connected("c")
    running(ledger, 4)
    ledger.connected(None)
    ledger.connected("c")
    assert running(ledger, 6, prefix="s") == [2]
    assert ledger.conversation.billable_audio_seconds == 6


@RUNNING
def test_billable_seconds_do_not_begin_anew_when_a_reply_states_zero_or_states_them_late() -> None:
    ledger = UsageLedger()
    done(ledger, "a", {"total_tokens": 1})
    ledger.response_lost("b", now_ms=0)
    assert running(ledger, 5, 0) == [5, 0]
    late = [done(ledger, name, {"billable_audio_seconds": value}) for name, value in (("a", 3), ("b", 4))]
    assert [each and each.billable_audio_seconds for each in late] == [0, 0]
    assert running(ledger, 6, prefix="s") == [1]
    assert ledger.session.billable_audio_seconds == 6


def test_lost_reply_counts_as_unknown_until_a_late_report_states_its_usage() -> None:
    ledger = UsageLedger()
    done(ledger, "a", WHOLE)
    ledger.response_lost("b", now_ms=1)
    ledger.response_lost("b", now_ms=2)
    assert (ledger.session.responses, ledger.session.unknown_responses) == (2, 1)
    assert not ledger.session.is_complete
    assert not ledger.responses["b"].is_known
    assert ledger.responses["b"].status is None
    late = done(ledger, "b", {"total_tokens": 5}, status="cancelled")
    assert late is not None
    assert late.status == "cancelled"
    assert (ledger.session.total_tokens, ledger.session.unknown_responses) == (346, 0)


def test_late_report_belongs_to_the_conversation_in_which_the_reply_was_lost() -> None:
    ledger = UsageLedger()
    ledger.connected("c")
    ledger.response_lost("a", now_ms=0)
    ledger.connected("d")
    done(ledger, "a", WHOLE)
    assert ledger.conversation == UsageSummary()
    assert figures(ledger.session) == FLAT


def test_wall_time_runs_while_the_line_is_open_and_goes_to_its_conversation() -> None:
    ledger = UsageLedger()
    assert ledger.session.wall_ms is None
    ledger.session_time(50)
    ledger.closed(60)
    assert ledger.session.wall_ms is None
    ledger.opened(100, is_by_clock=True)
    ledger.connected("c")
    assert ledger.is_by_clock
    assert ledger.session.wall_ms == 0
    ledger.session_time(400)
    ledger.session_time(300)
    done(ledger, "a", WHOLE, now_ms=600)
    ledger.response_lost("b", now_ms=700)
    ledger.closed(1_100)
    assert ledger.session.wall_ms == 1_000
    ledger.opened(5_000)
    ledger.opened(5_100)
    ledger.connected("d")
    assert ledger.conversation.wall_ms == 0
    ledger.session_time(5_350)
    assert ledger.conversation.wall_ms == 250
    assert ledger.session.wall_ms == 1_350
    assert ledger.session.is_by_clock


def test_wall_time_of_a_conversation_is_zero_when_it_began_on_an_open_line() -> None:
    ledger = UsageLedger()
    ledger.connected()
    ledger.opened(0)
    ledger.connected("d")
    assert ledger.conversation.wall_ms == 0


def test_messages_and_audio_are_counted_for_the_conversation_and_the_session() -> None:
    ledger = UsageLedger()
    ledger.message_sent()
    for _ in range(10):
        ledger.audio_sent(0.1)
    ledger.connected("c")
    ledger.connected("d")
    ledger.message_sent()
    ledger.audio_sent(20)
    assert (ledger.conversation.messages_sent, ledger.conversation.audio_sent_ms) == (1, 20)
    assert (ledger.session.messages_sent, ledger.session.audio_sent_ms) == (2, 21)


def test_audio_to_pay_for_is_the_stated_and_what_was_measured_since_when_audio_is_billed() -> None:
    ledger = UsageLedger()
    assert ledger.session.measured_audio_s == ledger.session.billed_audio_s == 0
    ledger.audio_sent(2_000)
    done(ledger, "a", {"output_audio_seconds": 1.5})
    assert ledger.session.measured_audio_s == ledger.session.billed_audio_s == 3.5
    done(ledger, "b", {"output_audio_seconds": 2.5, "billable_audio_seconds": 4})
    assert ledger.session.billed_audio_s == 4
    ledger.audio_sent(500)
    done(ledger, "c", {"output_audio_seconds": 0.25, "billable_audio_seconds": 0})
    assert ledger.session.billed_audio_s == 4.75
    assert ledger.session.measured_audio_s == 6.75
    ledger.connected("d")
    ledger.connected("e")
    ledger.audio_sent(1_000)
    assert ledger.session.billed_audio_s == 5.75


def test_audio_to_pay_for_is_the_stated_and_the_time_since_when_the_clock_is_billed() -> None:
    ledger = UsageLedger(is_by_clock=True)
    assert ledger.session.billed_audio_s is None
    done(ledger, "a", {"billable_audio_seconds": 3})
    assert ledger.session.measured_audio_s is None
    assert ledger.session.billed_audio_s == 3
    ledger.opened(0)
    done(ledger, "b", {"billable_audio_seconds": 9, "output_audio_seconds": 4}, now_ms=10_000)
    ledger.audio_sent(60_000)
    ledger.session_time(12_500)
    assert ledger.session.measured_audio_s == 12.5
    assert ledger.session.billed_audio_s == 11.5


def test_audio_to_pay_for_is_unknown_when_nothing_of_it_was_stated_or_measured() -> None:
    ledger = UsageLedger()
    ledger.response_lost("a", now_ms=0)
    assert ledger.session.measured_audio_s is None
    assert ledger.session.billed_audio_s is None
    ledger.audio_sent(100)
    assert ledger.session.billed_audio_s == 0.1


def test_summary_prints_what_is_known_as_json() -> None:
    ledger = UsageLedger()
    done(ledger, "a", {"input_tokens": 3, "output_audio_seconds": 0.1})
    done(ledger, "b", {"output_audio_seconds": 0.2})
    told = ledger.session.to_json()
    assert told["output_audio_seconds"] == 0.3
    assert told["unstated"]["input_tokens"] == 1
    assert told["is_complete"] is True
    assert "total_tokens" not in told
    assert "wall_ms" not in told
    assert UsageSummary().to_json() == {
        "responses": 0,
        "unknown_responses": 0,
        "messages_sent": 0,
        "audio_sent_ms": 0.0,
        "uncovered_audio_ms": 0.0,
        "is_by_clock": False,
        "is_complete": True,
    }


def test_summary_is_a_value_that_later_usage_and_its_reader_do_not_change() -> None:
    ledger = UsageLedger()
    done(ledger, "a", {"input_tokens": 3})
    before = ledger.session
    kept = copy.deepcopy(before)
    assert pickle.loads(pickle.dumps(ledger.responses["a"])) == ledger.responses["a"]
    ledger.session.unstated["input_tokens"] = 7  # type: ignore[index]
    assert ledger.session == before
    done(ledger, "b", {"input_tokens": 4})
    ledger.response_lost("c", now_ms=0)
    assert before == kept
    assert (ledger.session.input_tokens, ledger.session.responses) == (7, 3)
    with pytest.raises(TypeError):
        ledger.responses["x"] = ResponseUsage("x")  # type: ignore[index]


@pytest.mark.parametrize(
    "limits",
    [
        {"max_audio_s": 0},
        {"max_audio_s": -1},
        {"max_audio_s": True},
        {"max_audio_s": float("inf")},
        {"max_cost": 0},
        {"max_cost": "-0.5"},
        {"max_cost": "much"},
        {"max_cost": Decimal("NaN")},
        {"warn_at": 0},
        {"warn_at": 1.01},
        {"warn_at": "x"},
    ],
)
def test_budget_is_refused_with_its_name_and_value_when_a_limit_makes_no_sense(limits: dict[str, Any]) -> None:
    ((name, value),) = limits.items()
    with pytest.raises(ConfigurationError) as caught:
        Budget(**limits)
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)


def test_budget_takes_money_as_it_is_printed() -> None:
    assert Budget(max_cost=0.1) == Budget(max_cost="0.1") == Budget(max_cost=Decimal("0.1"))
    assert Budget() == Budget(None, None, 0.8)
