"""Money: what is billed, what it costs, what cannot be known, and when a budget is used up."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.ledger import Budget, UsageLedger, UsageSummary
from xai_realtime.protocol.prices import (
    PRICES,
    BudgetState,
    Cost,
    PriceTable,
    VoicePrice,
    budget_state,
    check_budget,
    cost,
)

ONE, TWO = "grok-voice-think-fast-1.0", "grok-voice-think-fast-2.0"
NEWEST, ALIAS = "grok-voice-3.0", "grok-voice-latest"

UNKNOWN = pytest.mark.behaviour("cost-unknown-is-not-zero")
METERED = pytest.mark.behaviour("cost-follows-the-meter")
LIMITS = pytest.mark.behaviour("ask-33")

MINUTE = UsageSummary(responses=1, billable_audio_seconds=60, output_audio_seconds=20.0, audio_sent_ms=40_000)
TALK = UsageSummary(audio_sent_ms=90_000, output_audio_seconds=30.0, wall_ms=300_000, responses=2)


@pytest.mark.parametrize(
    ("model", "per_minute", "per_message"),
    [
        (ONE, "0.05", "0.004"),
        ("grok-voice-fast-1.0", "0.05", "0.004"),
        (TWO, "0.08", "0.004"),
        (NEWEST, None, None),
        (ALIAS, None, None),
        ("grok-voice-4.0", None, None),
        (None, None, None),
    ],
)
def test_price_of_a_model_is_the_published_one_or_unknown(
    model: str | None, per_minute: str | None, per_message: str | None
) -> None:
    price = PRICES.price(model)
    assert price.audio_per_minute == (per_minute and Decimal(per_minute))
    assert price.text_message == (per_message and Decimal(per_message))
    assert model is None or price.model == model
    assert price.meter == "turn_detection"


def test_built_in_prices_name_their_day_and_their_source() -> None:
    assert re.fullmatch(r"2026-\d\d-\d\d", PRICES.dated)
    assert PRICES.source.startswith("https://docs.x.ai/")
    assert PRICES.currency == "USD"


@pytest.mark.parametrize("price", [0.06, "0.06", Decimal("0.06")])
def test_with_price_gives_a_table_with_that_price_and_leaves_the_old_one(price: Any) -> None:
    table = PRICES.with_price(NEWEST, audio_per_minute=price)
    assert table.price(NEWEST) == VoicePrice(NEWEST, Decimal("0.06"))
    assert table.dated == PRICES.dated
    again = table.with_price(NEWEST, text_message="0.01", meter="audio", dated="2026-11-05")
    assert again.price(NEWEST) == VoicePrice(NEWEST, Decimal("0.06"), Decimal("0.01"), "audio")
    assert again.dated == "2026-11-05"
    assert PRICES.price(NEWEST).audio_per_minute is None
    assert again.price(ONE) == PRICES.price(ONE)


def test_with_price_holds_for_every_model_that_its_pattern_fits() -> None:
    table = PRICES.with_price("grok-voice-*", audio_per_minute="0.01")
    assert {table.price(model).audio_per_minute for model in (ONE, TWO, NEWEST, ALIAS)} == {Decimal("0.01")}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VoicePrice(""), "names the model"),
        (lambda: VoicePrice("m", meter="hours"), r"turn_detection, clock, audio, not 'hours'"),  # type: ignore[arg-type]
        (lambda: VoicePrice("m", Decimal(-1)), r"audio_per_minute .* not Decimal\('-1'\)"),
        (lambda: PRICES.with_price("m", text_message="dear"), "text_message .* not 'dear'"),
        (lambda: PRICES.with_price("m", audio_per_minute=float("nan")), "audio_per_minute .* not nan"),
        (lambda: PriceTable("September", ()), "dated .* not 'September'"),
    ],
)
def test_price_is_refused_with_its_value_when_it_makes_no_sense(make: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()


@METERED
@pytest.mark.parametrize(
    ("summary", "model", "is_by_clock", "amount"),
    [
        (MINUTE, ONE, False, "0.05"),
        (MINUTE, TWO, False, "0.08"),
        (MINUTE, ONE, True, "0.05"),
        (TALK, ONE, False, "0.1"),
        (TALK, ONE, True, "0.25"),
        (TALK, TWO, True, "0.4"),
        (UsageSummary(messages_sent=3), ONE, False, "0.012"),
        (UsageSummary(messages_sent=3, wall_ms=60_000), TWO, True, "0.092"),
        (UsageSummary(), ONE, False, "0"),
    ],
)
def test_cost_is_that_of_the_metered_audio_and_of_the_messages(
    summary: UsageSummary, model: str, is_by_clock: bool, amount: str
) -> None:
    told = cost(summary, model, PRICES, is_by_clock)
    assert told.amount == Decimal(amount)
    assert told.is_complete
    assert told.unknown == ()
    assert sum(told.parts.values()) == told.amount
    assert (told.currency, told.prices_dated) == ("USD", PRICES.dated)


@METERED
def test_cost_adds_what_was_measured_after_the_seconds_were_last_stated() -> None:
    ledger = UsageLedger(is_by_clock=True)
    ledger.opened(0)
    stated = wire.Usage.model_validate({"billable_audio_seconds": 60})
    ledger.response_done("r", stated, None, status="completed", now_ms=61_000)
    assert cost(ledger.session, ONE).amount == Decimal("0.05")
    ledger.session_time(121_000)
    assert cost(ledger.session, ONE).amount == Decimal("0.1")
    assert cost(ledger.session, ONE, is_by_clock=False).amount == Decimal("0.05")


@METERED
def test_cost_follows_the_meter_of_the_price_when_it_does_not_depend_on_turn_detection() -> None:
    by_clock = PRICES.with_price(ONE, meter="clock")
    by_audio = PRICES.with_price(ONE, meter="audio")
    for is_by_clock in (True, False, None):
        assert cost(TALK, ONE, by_clock, is_by_clock).amount == Decimal("0.25")
        assert cost(TALK, ONE, by_audio, is_by_clock).amount == Decimal("0.1")


def test_cost_does_not_gather_the_dust_of_binary_fractions() -> None:
    prices = PRICES.with_price(ONE, audio_per_minute=0.1, text_message=0.1)
    told = cost(UsageSummary(messages_sent=3, audio_sent_ms=180_000), ONE, prices)
    assert told.amount == Decimal("0.6")


@UNKNOWN
@pytest.mark.parametrize(
    ("model", "name"),
    [(NEWEST, NEWEST), (ALIAS, ALIAS), ("", "a model without a name"), (None, "a model without a name")],
)
def test_cost_is_unknown_and_says_why_when_the_price_is(model: str | None, name: str) -> None:
    told = cost(MINUTE, model)
    assert told.amount is None
    assert not told.is_complete
    assert told.unknown == (f"price of {name}",)
    assert str(told) == f"unknown (price of {name} is not known)"
    assert told.parts == {"messages": 0}


@UNKNOWN
def test_cost_is_unknown_when_messages_were_sent_whose_price_is() -> None:
    prices = PRICES.with_price(NEWEST, audio_per_minute="0.1")
    assert cost(MINUTE, NEWEST, prices).amount == Decimal("0.1")
    told = cost(UsageSummary(messages_sent=1, audio_sent_ms=60_000), NEWEST, prices)
    assert told.amount is None
    assert told.parts == {"audio": Decimal("0.1")}
    assert str(told) == "unknown (price of messages to grok-voice-3.0 is not known)"
    both = cost(UsageSummary(messages_sent=1, responses=1, unknown_responses=1), NEWEST)
    assert str(both) == (
        "unknown (price of grok-voice-3.0, price of messages to grok-voice-3.0 and usage of 1 response are not known)"
    )


@UNKNOWN
@pytest.mark.parametrize(
    ("summary", "is_by_clock", "amount", "unknown"),
    [
        (
            UsageSummary(responses=2, unknown_responses=1, billable_audio_seconds=6),
            False,
            "0.005",
            ["usage of 1 response"],
        ),
        (UsageSummary(responses=2, unknown_responses=2), False, None, ["usage of 2 responses"]),
        (UsageSummary(responses=2, unknown_responses=2, audio_sent_ms=12_000), False, "0.01", ["usage of 2 responses"]),
        (UsageSummary(responses=2, unknown_responses=2, wall_ms=12_000), True, "0.01", []),
        (UsageSummary(responses=1, billable_audio_seconds=60), True, "0.05", []),
        (UsageSummary(), True, None, ["length of the session"]),
        (
            UsageSummary(responses=1, unknown_responses=1, messages_sent=1),
            True,
            None,
            ["length of the session", "usage of 1 response"],
        ),
        (
            UsageSummary(
                responses=3,
                unknown_responses=1,
                audio_sent_ms=60_000,
                unstated={"billable_audio_seconds": 3, "output_audio_seconds": 3},
            ),
            False,
            "0.05",
            ["audio of 2 responses", "usage of 1 response"],
        ),
        (
            UsageSummary(responses=1, output_audio_seconds=60.0, unstated={"billable_audio_seconds": 1}),
            False,
            "0.05",
            [],
        ),
    ],
)
def test_cost_is_a_lower_bound_or_unknown_when_usage_is_missing(
    summary: UsageSummary, is_by_clock: bool, amount: str | None, unknown: list[str]
) -> None:
    told = cost(summary, ONE, is_by_clock=is_by_clock)
    assert told.amount == (amount and Decimal(amount))
    assert list(told.unknown) == unknown
    assert told.is_complete is (unknown == [])


@UNKNOWN
def test_cost_is_a_lower_bound_when_the_session_has_server_tools() -> None:
    told = cost(MINUTE, ONE, has_server_tools=True)
    assert (told.amount, told.is_complete, told.unknown) == (Decimal("0.05"), False, ("server tools",))
    assert str(told) == "at least $0.05"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (Cost(Decimal("0.0123")), "$0.0123"),
        (Cost(Decimal("0.01236")), "$0.0124"),
        (Cost(Decimal("12")), "$12.00"),
        (Cost(Decimal("0")), "$0.00"),
        (Cost(Decimal("0.1")), "$0.10"),
        (Cost(Decimal("0.000083333")), "$0.000083"),
        (Cost(Decimal("1E-7")), "$0.0000001"),
        (Cost(Decimal("0.5"), "EUR"), "0.50 EUR"),
        (Cost(Decimal("0.01"), unknown=("server tools",)), "at least $0.01"),
        (Cost(Decimal("0.01239"), unknown=("server tools",)), "at least $0.0123"),
        (Cost(None, unknown=("price of x",)), "unknown (price of x is not known)"),
        (Cost(None, unknown=("price of x", "y")), "unknown (price of x and y are not known)"),
    ],
)
def test_cost_reads_as_money(told: Cost, text: str) -> None:
    assert str(told) == text


@LIMITS
@pytest.mark.parametrize(
    ("budget", "summary", "level", "left"),
    [
        (Budget(), TALK, "ok", None),
        (Budget(max_audio_s=60), UsageSummary(audio_sent_ms=47_900), "ok", 12.1),
        (Budget(max_audio_s=60), UsageSummary(audio_sent_ms=48_000), "warn", 12),
        (Budget(max_audio_s=60, warn_at=1), UsageSummary(audio_sent_ms=59_999), "ok", 0.001),
        (Budget(max_audio_s=60), UsageSummary(audio_sent_ms=60_000), "over", 0),
        (Budget(max_audio_s=60), UsageSummary(audio_sent_ms=90_000), "over", 0),
        (Budget(max_audio_s=60), UsageSummary(wall_ms=50_000, is_by_clock=True), "warn", 10),
        (Budget(max_audio_s=60), UsageSummary(billable_audio_seconds=61, audio_sent_ms=10), "over", 0),
        (Budget(max_audio_s=60), UsageSummary(billable_audio_seconds=1, audio_sent_ms=61_000), "over", 0),
    ],
)
def test_budget_of_audio_warns_at_its_share_and_is_over_at_its_limit(
    budget: Budget, summary: UsageSummary, level: str, left: float | None
) -> None:
    state = budget_state(budget, summary)
    assert (state.level, state.audio_left_s, state.cost_left) == (level, left, None)
    assert state.is_watched
    assert bool(state.reason) == (level != "ok")


@LIMITS
@pytest.mark.parametrize(
    ("spent", "level", "left"),
    [("0.07", "ok", "0.03"), ("0.08", "warn", "0.02"), ("0.1", "over", "0"), ("0.3", "over", "0")],
)
def test_budget_of_money_warns_at_its_share_and_is_over_at_its_limit(spent: str, level: str, left: str) -> None:
    state = budget_state(Budget(max_cost=0.1), UsageSummary(), Cost(Decimal(spent)))
    assert (state.level, state.cost_left, state.audio_left_s) == (level, Decimal(left), None)


@LIMITS
def test_budget_says_what_was_used_of_which_limit() -> None:
    budget = Budget(max_audio_s=100, max_cost="0.05")
    over = budget_state(budget, TALK, cost(TALK, ONE))
    assert over.level == "over"
    assert over.reason == "120 s of audio, at most 100 s; a cost of $0.10, at most $0.05"
    warned = budget_state(Budget(max_audio_s=150, max_cost=1), TALK, cost(TALK, ONE))
    assert (warned.level, warned.reason) == ("warn", "120 s of audio, at most 150 s")
    assert budget_state(Budget(max_audio_s=1_000, max_cost=1), TALK, cost(TALK, ONE)) == BudgetState(
        "ok", "", 880.0, Decimal("0.9")
    )


@LIMITS
@UNKNOWN
def test_budget_warns_at_once_when_what_it_limits_is_not_known() -> None:
    state = budget_state(Budget(max_cost=1), MINUTE, cost(MINUTE, ALIAS))
    assert (state.level, state.is_watched, state.cost_left) == ("warn", False, None)
    assert state.reason == ("max_cost cannot be watched: the cost is unknown (price of grok-voice-latest is not known)")
    assert budget_state(Budget(max_cost=1), MINUTE).reason == "max_cost cannot be watched: the cost is not given"
    deaf = budget_state(Budget(max_audio_s=1), UsageSummary(is_by_clock=True))
    assert (deaf.level, deaf.is_watched, deaf.audio_left_s) == ("warn", False, None)
    assert "max_audio_s cannot be watched" in deaf.reason
    both = budget_state(Budget(max_audio_s=1, max_cost=1), MINUTE, cost(MINUTE, ALIAS))
    assert (both.level, both.is_watched) == ("over", False)


@LIMITS
@pytest.mark.parametrize("model", [NEWEST, ALIAS, None])
def test_budget_of_money_is_refused_when_a_price_of_the_model_is_not_known(model: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"max_cost cannot be watched: price of .*with_price"):
        check_budget(Budget(max_cost=1), model)
    check_budget(Budget(max_audio_s=60), model)


@LIMITS
def test_budget_of_money_is_accepted_when_every_price_of_the_model_is_known() -> None:
    check_budget(Budget(max_cost=1), ONE)
    half = PRICES.with_price(NEWEST, audio_per_minute=0.1)
    with pytest.raises(ConfigurationError, match=r"price of messages to grok-voice-3\.0 is not known"):
        check_budget(Budget(max_cost=1), NEWEST, half)
    check_budget(Budget(max_cost=1), NEWEST, half.with_price(NEWEST, text_message=0))


NUMBER = st.none() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False).map(int)
LENGTH = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@UNKNOWN
@LIMITS
@settings(max_examples=80, deadline=None)
@given(
    replies=st.lists(st.tuples(NUMBER, LENGTH), max_size=6),
    lost=st.booleans(),
    is_by_clock=st.booleans(),
    model=st.sampled_from([ONE, NEWEST]),
)
def test_cost_and_budget_hold_whatever_a_server_states(
    replies: list[tuple[Any, Any]], lost: bool, is_by_clock: bool, model: str
) -> None:
    ledger = UsageLedger(is_by_clock=is_by_clock)
    for number, (billable, length) in enumerate(replies):
        stated = wire.Usage.model_validate({"billable_audio_seconds": billable, "output_audio_seconds": length})
        ledger.response_done(str(number), stated, None, status=None, now_ms=number)
    if lost:
        ledger.response_lost("lost", now_ms=0)
    told = cost(ledger.session, model)
    assert (told.amount is None) >= (model == NEWEST)
    assert (told.amount is None) <= bool(told.unknown)
    assert told.amount is None or told.amount >= 0
    assert str(told)
    state = budget_state(Budget(max_audio_s=1, max_cost=1), ledger.session, told)
    assert state.is_watched or state.level != "ok"
