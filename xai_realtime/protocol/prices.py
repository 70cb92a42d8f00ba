"""What a session costs, and whether its budget holds. In: sums of usage, prices with a date. Out: money, or why not.

Imports: the standard library, rooms 0-1, the ledger, the prices of chat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple, TypeAlias

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.chat_ledger import ChatSummary
from xai_realtime.protocol.chat_prices import CHAT_PRICES, ChatPrice, chat_price, price_chat
from xai_realtime.protocol.ledger import Budget, UsageSummary, checked_decimal

__all__ = [
    "PRICES",
    "BudgetState",
    "Cost",
    "Level",
    "Meter",
    "PriceTable",
    "VoicePrice",
    "budget_state",
    "chat_cost",
    "check_budget",
    "cost",
]

Meter: TypeAlias = Literal["turn_detection", "clock", "audio"]
METERS: Final = ("turn_detection", "clock", "audio")

Level: TypeAlias = Literal["ok", "warn", "over"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warn", "over")


@dataclass(frozen=True, slots=True)
class VoicePrice:
    """The price of some voice models; None where it is not known.

    `model` is an id or a pattern with `*`. `audio_per_minute` is the price of a minute, `text_message` that of one
    `conversation.item.create` other than the output of a function or audio. `meter` says which minutes: those of the
    session with `server_vad` and those of the audio sent and received without it (`turn_detection`), or one of them
    always (`clock`, `audio`). Raises ConfigurationError on a price below 0 and on another meter.
    """

    model: str
    audio_per_minute: Decimal | None = None
    text_message: Decimal | None = None
    meter: Meter = "turn_detection"

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigurationError("a price names the model it is for, an id or a pattern with *")
        if self.meter not in METERS:
            raise ConfigurationError(f"meter is one of {', '.join(METERS)}, not {self.meter!r}")
        for name in ("audio_per_minute", "text_message"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_decimal(name, value))

    def is_by_clock(self, is_by_clock: bool) -> bool:
        """Whether the time of a session is billed, where turn detection says so of it."""
        return is_by_clock if self.meter == "turn_detection" else self.meter == "clock"

    def unknown(self) -> tuple[str, ...]:
        """The prices of `model` that are not known, in words."""
        prices = (("price of", self.audio_per_minute), ("price of messages to", self.text_message))
        return tuple(f"{words} {self.model}" for words, price in prices if price is None)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices as they were on a day (`dated`, as in 2026-09-01). The first row whose pattern fits a model holds.

    `rows` are those of voice, `chat_rows` those of chat.
    """

    dated: str
    rows: tuple[VoicePrice, ...]
    currency: str = "USD"
    source: str = ""
    chat_rows: tuple[ChatPrice, ...] = ()

    def __post_init__(self) -> None:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", self.dated) is None:
            raise ConfigurationError(f"dated is a day such as 2026-09-01, not {self.dated!r}")

    def price(self, model: str | None) -> VoicePrice:
        """The price of one model, all None when no row fits it."""
        for row in self.rows:
            if model and fnmatchcase(model, row.model):
                return replace(row, model=model)
        return VoicePrice(model or "a model without a name")

    def with_price(
        self,
        model: str,
        *,
        audio_per_minute: Decimal | float | str | None = None,
        text_message: Decimal | float | str | None = None,
        meter: Meter | None = None,
        dated: str | None = None,
    ) -> PriceTable:
        """A table in which this price comes first. What you leave out stays as it was for that model.

        `model` may be a pattern with `*`. A float counts as it is printed. Raises ConfigurationError on one below 0.
        """
        was = self.price(model)
        row = VoicePrice(
            model,
            was.audio_per_minute if audio_per_minute is None else checked_decimal("audio_per_minute", audio_per_minute),
            was.text_message if text_message is None else checked_decimal("text_message", text_message),
            was.meter if meter is None else meter,
        )
        return replace(self, rows=(row, *self.rows), dated=self.dated if dated is None else dated)

    def with_chat_price(
        self,
        model: str,
        *,
        input_per_million: Decimal | float | str | None = None,
        output_per_million: Decimal | float | str | None = None,
        cached_per_million: Decimal | float | str | None = None,
    ) -> PriceTable:
        """A table in which this price of chat comes first. What you leave out stays as it was for that model.

        `model` may be a pattern with `*`. A float counts as it is printed. Raises ConfigurationError on one below 0.
        """
        was = chat_price(self.chat_rows, model)
        given = {
            "input_per_million": input_per_million,
            "output_per_million": output_per_million,
            "cached_per_million": cached_per_million,
        }
        stated = {name: checked_decimal(name, value) for name, value in given.items() if value is not None}
        return replace(self, chat_rows=(replace(was, model=model, source="", **stated), *self.chat_rows))


PRICES: Final = PriceTable(
    dated="2026-09-01",
    rows=(
        VoicePrice("grok-voice-*-1.0", Decimal("0.05"), Decimal("0.004")),
        VoicePrice("grok-voice-*-2.0", Decimal("0.08"), Decimal("0.004")),
        VoicePrice("grok-voice-3.0"),
        VoicePrice("grok-voice-latest"),
    ),
    source="https://docs.x.ai/developers/pricing",
    chat_rows=CHAT_PRICES,
)
"""The published prices that are known. `grok-voice-latest` has none because the service moves it between models."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs, as far as it is known.

    `amount` is None when a price or all of the usage is unknown; a lower bound when `is_complete` is False. `parts` are
    the known parts (`audio`, `messages`, `chat`), `unknown` says in words what could not be priced, `prices_dated` how
    old the prices are.
    """

    amount: Decimal | None
    currency: str = "USD"
    parts: Mapping[str, Decimal] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    prices_dated: str = ""

    @property
    def is_complete(self) -> bool:
        """True when everything was priced."""
        return self.amount is not None and not self.unknown

    def __str__(self) -> str:
        if self.amount is None:
            return f"unknown ({_listed(self.unknown)} not known)"
        if self.is_complete:
            return _money(self.amount, self.currency, ROUND_HALF_UP)
        return f"at least {_money(self.amount, self.currency, ROUND_DOWN)}"


def cost(
    summary: UsageSummary,
    model: str | None,
    prices: PriceTable = PRICES,
    is_by_clock: bool | None = None,
    *,
    has_server_tools: bool = False,
) -> Cost:
    """What the usage of `model` costs: the audio by the minute, and the messages.

    The audio is the `billable_audio_seconds` of the wire and what was measured after they were last stated; all of it
    is measured where they were never stated. `is_by_clock` is True with `server_vad`; None takes it from the summary.
    Say with `has_server_tools` that the session may search or use MCP, which is billed apart: the amount is then a
    lower bound. `model` is the one that the service names in `session.created`. Chat requests of the summary are a part
    of their own, as `chat_cost` has them; of a summary with nothing else they are all.
    """
    chat = chat_cost(summary.chat, prices)
    if summary.chat.requests and not _has_voice(summary):
        return chat
    price = prices.price(model)
    by_clock = price.is_by_clock(summary.is_by_clock if is_by_clock is None else is_by_clock)
    summary = replace(summary, is_by_clock=by_clock)
    audio_s = summary.billed_audio_s
    parts: dict[str, Decimal] = {}
    missing: list[str] = []
    if price.audio_per_minute is None:
        missing.append(f"price of {price.model}")
    elif audio_s is not None:
        parts["audio"] = checked_decimal("seconds of audio", audio_s) * price.audio_per_minute / 60
    if price.text_message is not None or not summary.messages_sent:
        parts["messages"] = summary.messages_sent * (price.text_message or Decimal(0))
    else:
        missing.append(f"price of messages to {price.model}")
    is_priced = not missing and audio_s is not None
    missing += _unstated(summary)
    if has_server_tools:
        missing.append("server tools")
    if summary.chat.requests:
        parts |= chat.parts
        missing += chat.unknown
    amount = sum(parts.values(), Decimal(0)) if is_priced else None
    return Cost(amount, prices.currency, parts, tuple(missing), prices.dated)


def chat_cost(summary: ChatSummary, prices: PriceTable = PRICES) -> Cost:
    """What chat requests cost: what the service says of each (`cost_in_usd_ticks`), else its tokens at the price.

    The amount is None when no request could be priced, and a lower bound when some could not, or did not end.
    """
    spent, missing = price_chat(summary, prices.chat_rows, prices.currency)
    parts = {} if spent is None else {"chat": spent}
    return Cost(spent, prices.currency, parts, missing, prices.dated)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Where a session stands against its budget: `level`, the reason in words, and what is left of each limit.

    What is left is None without a limit and where it is not known, and never below 0. `is_watched` is False when a
    limit cannot be watched because what it limits is unknown; the level is then at least `warn`.
    """

    level: Level = "ok"
    reason: str = ""
    audio_left_s: float | None = None
    cost_left: Decimal | None = None
    is_watched: bool = True


def budget_state(budget: Budget, summary: UsageSummary, cost: Cost | None = None) -> BudgetState:
    """Whether the budget holds: `over` from a limit on, `warn` from its share `warn_at` on, else `ok`.

    Audio counts as the larger of what will be billed and what was measured. A limit whose use is not known is reported
    at once, as a warning with the reason. Without `cost` a limit of money is not watched either.
    """
    seconds = [value for value in (summary.billed_audio_s, summary.measured_audio_s) if value is not None]
    audio_s = checked_decimal("seconds of audio", max(seconds)) if seconds else None
    audio_limit = None if budget.max_audio_s is None else checked_decimal("max_audio_s", budget.max_audio_s)
    audio = _look(
        audio_limit,
        audio_s,
        budget.warn_at,
        f"{_plain(audio_s)} s of audio, at most {_plain(audio_limit)} s",
        "max_audio_s cannot be watched: the length of the audio is not known",
    )
    spent = None if cost is None else cost.amount
    cost_limit = None if budget.max_cost is None else checked_decimal("max_cost", budget.max_cost)
    money = _look(
        cost_limit,
        spent,
        budget.warn_at,
        f"a cost of {cost}, at most {_money(cost_limit or Decimal(0), 'USD' if cost is None else cost.currency)}",
        f"max_cost cannot be watched: the cost is {'not given' if cost is None else cost}",
    )
    level = LEVELS[max(LEVELS.index(audio.level), LEVELS.index(money.level))]
    return BudgetState(
        level=level,
        reason="; ".join(look.reason for look in (audio, money) if look.level == level != "ok"),
        audio_left_s=None if audio.left is None else float(audio.left),
        cost_left=money.left,
        is_watched=audio.is_watched and money.is_watched,
    )


def check_budget(budget: Budget, model: str | None, prices: PriceTable = PRICES) -> None:
    """Refuses a limit of money that cannot be watched: raises ConfigurationError when a price of `model` is unknown."""
    if budget.max_cost is None:
        return
    missing = prices.price(model).unknown()
    if missing:
        raise ConfigurationError(
            f"max_cost cannot be watched: {_listed(missing)} not known. Name a model whose price is known, or give it: "
            f"PRICES.with_price({model or 'model'!r}, audio_per_minute=..., text_message=...)"
        )


class _Look(NamedTuple):
    level: Level
    reason: str
    left: Decimal | None
    is_watched: bool


def _look(limit: Decimal | None, used: Decimal | None, warn_at: float, reason: str, unwatched: str) -> _Look:
    """One limit against what was used."""
    if limit is None:
        return _Look("ok", "", None, True)
    if used is None:
        return _Look("warn", unwatched, None, False)
    level: Level = "over" if used >= limit else "warn" if used >= limit * Decimal(str(warn_at)) else "ok"
    return _Look(level, reason, max(limit - used, Decimal(0)), True)


def _has_voice(summary: UsageSummary) -> bool:
    return bool(summary.responses or summary.messages_sent or summary.audio_sent_ms) or summary.wall_ms is not None


def _unstated(summary: UsageSummary) -> list[str]:
    """What of the audio was neither stated nor measured, in words."""
    if summary.is_by_clock:
        if summary.wall_ms is not None:
            return []
        missing = [] if summary.billable_audio_seconds is not None else ["length of the session"]
    else:
        missing = []
        lacking = min(summary.unstated.get(name, 0) for name in ("billable_audio_seconds", "output_audio_seconds"))
        if lacking > summary.unknown_responses:
            missing.append(f"audio of {_counted(lacking - summary.unknown_responses)}")
    if summary.unknown_responses:
        missing.append(f"usage of {_counted(summary.unknown_responses)}")
    return missing


def _counted(responses: int) -> str:
    return f"{responses} response{'' if responses == 1 else 's'}"


def _plain(number: Decimal | None) -> str:
    return "" if number is None else f"{number.normalize():f}"


def _listed(words: tuple[str, ...]) -> str:
    if len(words) == 1:
        return f"{words[0]} is"
    return f"{', '.join(words[:-1])} and {words[-1]} are"


def _money(amount: Decimal, currency: str, rounding: str = ROUND_HALF_UP) -> str:
    """Cents at least, a hundredth of a cent at most; two digits of what is less than that."""
    places = 4 if not amount or amount >= Decimal("0.0001") else 1 - amount.adjusted()
    digits = f"{amount.quantize(Decimal(1).scaleb(-places), rounding):f}".rstrip("0")
    whole, _, cents = digits.partition(".")
    text = f"{whole}.{cents:0<2}"
    return f"${text}" if currency == "USD" else f"{text} {currency}"
