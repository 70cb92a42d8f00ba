"""Chat requests stand in one ledger with the voice, each once, and are mixed with nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import chat as wire
from xai_realtime.events import realtime
from xai_realtime.protocol.chat_ledger import ChatLedger, ChatSummary
from xai_realtime.protocol.chat_prices import CHAT_PRICES, ChatPrice, chat_price
from xai_realtime.protocol.chat_usage import ChatUsage
from xai_realtime.protocol.ledger import Budget, UsageLedger, UsageSummary
from xai_realtime.protocol.prices import PRICES, budget_state, chat_cost, cost

ONE = pytest.mark.behaviour("chat-one-ledger")
COST = pytest.mark.behaviour("chat-cost")

STATED = ChatUsage(12, 1, 241, cached_tokens=4, reasoning_tokens=228, cost_in_usd_ticks=5_000_000_000, is_complete=True)
TOKENS = ChatUsage(1_000_000, 500_000, 1_500_000, is_complete=True)


def test_request_counts_once_however_often_it_is_reported() -> None:
    ledger = ChatLedger()
    assert ledger.done("a", STATED, model="grok-4.7")
    assert not ledger.done("a", STATED, model="grok-4.7")
    assert ledger.done("b", ChatUsage())
    summary = ledger.summary()
    assert (summary.requests, summary.unknown_requests, summary.incomplete_requests) == (2, 1, 0)
    assert (summary.prompt_tokens, summary.completion_tokens, summary.output_tokens) == (12, 1, 229)
    assert (summary.total_tokens, summary.cached_tokens, summary.reasoning_tokens) == (241, 4, 228)
    assert summary.cost_usd == Decimal("0.5")
    assert summary.unstated["prompt_tokens"] == 1
    assert summary.models == ("grok-4.7",)
    assert not summary.is_complete
    assert list(ledger.requests) == ["a", "b"]


def test_later_report_fills_in_and_replaces_what_was_incomplete_alone() -> None:
    ledger = ChatLedger()
    ledger.done("a", ChatUsage(12, 1, extra={"x": 1}))
    assert ledger.summary().incomplete_requests == 1
    assert ledger.done("a", ChatUsage(12, 9, 21, is_complete=True), model="m")
    assert ledger.requests["a"].usage == ChatUsage(12, 9, 21, is_complete=True, extra={"x": 1})
    assert ledger.done("a", ChatUsage(99, cached_tokens=3))
    assert ledger.requests["a"].usage == ChatUsage(12, 9, 21, cached_tokens=3, is_complete=True, extra={"x": 1})
    assert ledger.requests["a"].model == "m"


def test_sums_that_no_request_stated_are_unknown() -> None:
    summary = ChatLedger().summary()
    assert summary == ChatSummary() and summary.is_complete
    assert (summary.prompt_tokens, summary.cost_usd) == (None, None)
    assert summary.to_json() == {
        "requests": 0,
        "unknown_requests": 0,
        "incomplete_requests": 0,
        "is_complete": True,
    }


@ONE
def test_ledger_of_a_session_takes_chat_without_mixing_its_figures_with_the_voice() -> None:
    ledger = UsageLedger()
    ledger.response_done("r", realtime.Usage(input_tokens=7, total_tokens=9), None, status="completed", now_ms=0.0)
    voice = ledger.session
    assert "chat" not in voice.to_json()
    assert ledger.chat_done("a", STATED, model="grok-4.7")
    assert not ledger.chat_done("a", STATED, model="grok-4.7")
    both = ledger.session
    assert (both.responses, both.input_tokens, both.total_tokens, both.unstated) == (1, 7, 9, voice.unstated)
    assert both.chat.prompt_tokens == 12 and both.chat.total_tokens == 241
    assert list(ledger.chat_requests) == ["a"]
    assert both.to_json()["chat"]["cost_in_usd_ticks"] == 5_000_000_000
    assert both.to_json()["chat"]["models"] == ["grok-4.7"]


@ONE
def test_chat_request_belongs_to_the_conversation_in_which_it_was_first_reported() -> None:
    ledger = UsageLedger()
    ledger.connected("one")
    ledger.chat_done("a", ChatUsage(prompt_tokens=1))
    ledger.connected("two")
    ledger.chat_done("b", ChatUsage(prompt_tokens=2))
    ledger.chat_done("a", ChatUsage(completion_tokens=5))
    assert ledger.conversation.chat.prompt_tokens == 2
    assert (ledger.session.chat.requests, ledger.session.chat.prompt_tokens) == (2, 3)
    ledger.connected("one")
    assert ledger.conversation.chat.requests == 1 and ledger.conversation.chat.completion_tokens == 5


# Money.


@COST
def test_cost_that_the_service_states_goes_before_the_price_list() -> None:
    ledger = ChatLedger()
    ledger.done("a", STATED, model="grok-4.7")
    ledger.done("b", TOKENS, model="grok-4.7")
    found = chat_cost(ledger.summary())
    assert (found.amount, found.parts, found.unknown) == (Decimal("5.5"), {"chat": Decimal("5.5")}, ())
    assert str(found) == "$5.50"


@COST
@pytest.mark.parametrize(
    ("usage", "model", "amount", "unknown"),
    [
        (TOKENS, "grok-4.7", Decimal(5), ()),
        (TOKENS, "grok-9", None, ("price of grok-9",)),
        (TOKENS, None, None, ("price of a model without a name",)),
        (ChatUsage(), "grok-4.7", None, ("usage of a chat request",)),
        (ChatUsage(5, 5, 99), "grok-4.7", None, ("tokens of a request to grok-4.7",)),
        (ChatUsage(12, 2, 14, cached_tokens=4), "grok-4.7", None, ("price of cached tokens of grok-4.7",)),
        (ChatUsage(1_000_000, 0, 1_000_000), "grok-4.7", Decimal(2), ("rest of a chat request that did not end",)),
    ],
)
def test_cost_says_what_it_does_not_know(
    usage: ChatUsage, model: str | None, amount: Decimal | None, unknown: tuple[str, ...]
) -> None:
    ledger = ChatLedger()
    ledger.done("a", usage, model=model)
    found = chat_cost(ledger.summary())
    assert (found.amount, found.unknown, found.is_complete) == (amount, unknown, amount is not None and not unknown)


@COST
def test_thought_is_priced_as_output_and_cached_input_at_its_own_price() -> None:
    price = ChatPrice("x", Decimal(2), Decimal(6), Decimal("0.5"))
    usage = ChatUsage(1_000_000, 100_000, 2_000_000, cached_tokens=400_000, reasoning_tokens=900_000)
    assert price.cost(usage) == Decimal("1.2") + Decimal("0.2") + Decimal(6)


@COST
def test_price_is_read_as_the_service_states_it() -> None:
    stated = wire.LanguageModel(
        id="grok-x",
        prompt_text_token_price=30_000,
        completion_text_token_price=150_000,
        cached_prompt_text_token_price=7_500,
    )
    price = ChatPrice.of(stated)
    assert (price.model, price.input_per_million, price.output_per_million) == ("grok-x", Decimal(3), Decimal(15))
    assert price.cached_per_million == Decimal("0.75")
    assert ChatPrice.of(wire.LanguageModel(id="y")) == ChatPrice("y", source="/v1/language-models")


@COST
def test_price_of_ones_own_comes_first_and_leaves_the_rest_as_it_was() -> None:
    prices = PRICES.with_chat_price("grok-4.7", cached_per_million="0.5")
    assert chat_price(prices.chat_rows, "grok-4.7") == ChatPrice("grok-4.7", Decimal(2), Decimal(6), Decimal("0.5"))
    prices = prices.with_chat_price("mine-*", input_per_million=1, output_per_million=2.5)
    assert chat_price(prices.chat_rows, "mine-1").output_per_million == Decimal("2.5")
    with pytest.raises(ConfigurationError, match="input_per_million"):
        prices.with_chat_price("mine", input_per_million=-1)


def test_every_price_of_chat_names_its_source() -> None:
    assert CHAT_PRICES and all(price.source for price in CHAT_PRICES)


@COST
def test_cost_of_a_session_has_chat_as_a_part_of_its_own() -> None:
    ledger = UsageLedger()
    ledger.opened(0.0, is_by_clock=True)
    ledger.session_time(60_000.0)
    ledger.chat_done("a", STATED)
    found = cost(ledger.session, "grok-voice-think-fast-1.0")
    assert found.parts["chat"] == Decimal("0.5")
    assert found.amount == Decimal("0.55") and found.is_complete
    ledger.chat_done("b", TOKENS, model="grok-9")
    found = cost(ledger.session, "grok-voice-think-fast-1.0")
    assert (found.amount, found.unknown) == (Decimal("0.55"), ("price of grok-9",))
    assert budget_state(Budget(max_cost="0.5"), ledger.session, found).level == "over"


@COST
def test_cost_of_chat_alone_asks_for_no_price_of_voice() -> None:
    ledger = UsageLedger()
    ledger.chat_done("a", STATED)
    assert cost(ledger.session, None).amount == Decimal("0.5")
    assert cost(UsageSummary(), None).amount is None


@COST
def test_stated_cost_counts_in_no_other_currency() -> None:
    from dataclasses import replace

    ledger = ChatLedger()
    ledger.done("a", STATED, model="grok-9")
    assert chat_cost(ledger.summary(), replace(PRICES, currency="EUR")).amount is None
