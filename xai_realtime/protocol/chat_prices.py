"""What chat requests cost. In: their usage, prices by the million tokens. Out: money, and in words what is not known.

Imports: the standard library, rooms 0-1, the ledger of chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from xai_realtime.protocol.chat_ledger import ChatRequest, ChatSummary
from xai_realtime.protocol.chat_usage import ChatUsage

if TYPE_CHECKING:
    from xai_realtime.events import chat as wire

__all__ = ["CHAT_PRICES", "ChatPrice", "chat_price", "price_chat"]

MILLION: Final = 1_000_000
PER_MILLION_OF_STATED: Final = Decimal(10_000)
"""The service states US cents for 100 million tokens; this many of them are one dollar for a million."""


@dataclass(frozen=True, slots=True)
class ChatPrice:
    """The price of some chat models for a million tokens; None where it is not known.

    `model` is an id or a pattern with `*`. Thought is billed as output. `cached_per_million` is the price of input that
    stood in the cache.
    """

    model: str
    input_per_million: Decimal | None = None
    output_per_million: Decimal | None = None
    cached_per_million: Decimal | None = None
    source: str = ""

    @classmethod
    def of(cls, model: wire.LanguageModel) -> ChatPrice:
        """The price that the service states of a model (`/v1/language-models`)."""
        return cls(
            model.id,
            _per_million(model.prompt_text_token_price),
            _per_million(model.completion_text_token_price),
            _per_million(model.cached_prompt_text_token_price),
            source="/v1/language-models",
        )

    def cost(self, usage: ChatUsage) -> Decimal | None:
        """What that usage costs; None where a price or a figure that it takes is not known."""
        prompt, output = usage.prompt_tokens, usage.output_tokens
        if prompt is None or output is None or self.input_per_million is None or self.output_per_million is None:
            return None
        cached = min(usage.cached_tokens or 0, prompt)
        if cached and self.cached_per_million is None:
            return None
        input_cost = (prompt - cached) * self.input_per_million + cached * (self.cached_per_million or Decimal(0))
        return (input_cost + output * self.output_per_million) / MILLION


CHAT_PRICES: Final = (
    ChatPrice("grok-4.7", Decimal(2), Decimal(6), source="third-party write-ups of the price list, Oct 2026"),
)
"""The prices of chat that are known. The service states the cost of most requests itself, which goes before them."""


def chat_price(rows: Sequence[ChatPrice], model: str | None) -> ChatPrice:
    """The price of one model: the first row whose pattern fits it, all None when none does."""
    for row in rows:
        if model and fnmatchcase(model, row.model):
            return replace(row, model=model)
    return ChatPrice(model or "a model without a name")


def price_chat(
    summary: ChatSummary, rows: Sequence[ChatPrice], currency: str = "USD"
) -> tuple[Decimal | None, tuple[str, ...]]:
    """The cost of chat requests as far as it is known, and in words what is not.

    What the service states counts before the price list. It is in US dollars, and counts in no other currency.
    """
    spent: list[Decimal] = []
    missing: list[str] = []
    for request in summary.parts:
        stated = request.usage.cost_usd if currency == "USD" else None
        found = chat_price(rows, request.model).cost(request.usage) if stated is None else stated
        if found is None:
            missing.append(_missing(request, rows))
        else:
            spent.append(found)
            if not request.usage.is_complete:
                missing.append("rest of a chat request that did not end")
    total = sum(spent, Decimal(0)) if spent or not summary.requests else None
    return total, tuple(dict.fromkeys(missing))


def _per_million(stated: int | None) -> Decimal | None:
    return None if stated is None else Decimal(stated) / PER_MILLION_OF_STATED


def _missing(request: ChatRequest, rows: Sequence[ChatPrice]) -> str:
    if not request.usage.is_known:
        return "usage of a chat request"
    price = chat_price(rows, request.model)
    if price.input_per_million is None or price.output_per_million is None:
        return f"price of {price.model}"
    if request.usage.cached_tokens and price.cached_per_million is None:
        return f"price of cached tokens of {price.model}"
    return f"tokens of a request to {price.model}"
