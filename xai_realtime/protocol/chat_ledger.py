"""What several chat requests used together, each counted once. In: the usage of a request. Out: sums, None if unknown.

Imports: the standard library, protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from xai_realtime.protocol.chat_usage import FIGURES, TICKS_PER_USD, ChatUsage

__all__ = ["ChatLedger", "ChatRequest", "ChatSummary", "WithChat"]

SUMMED: Final = (
    "prompt_tokens",
    "completion_tokens",
    "output_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_in_usd_ticks",
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What one chat request used, and the model that served it."""

    request_id: str
    usage: ChatUsage = field(default_factory=ChatUsage)
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """What several chat requests used together. A sum that no request stated is None, never 0.

    `requests` counts them, `unknown_requests` those without any figure, `incomplete_requests` those that ended before
    the service had stated all; `unstated` says of each figure how many requests lack it. `models` are the models that
    served. `parts` are the requests themselves, for a price table.
    """

    requests: int = 0
    unknown_requests: int = 0
    incomplete_requests: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_in_usd_ticks: int | None = None
    models: tuple[str, ...] = ()
    unstated: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[ChatRequest, ...] = field(default=(), repr=False)

    @property
    def is_complete(self) -> bool:
        """False when the usage of a request is unknown or incomplete, so that every sum is a lower bound."""
        return not self.unknown_requests and not self.incomplete_requests

    @property
    def cost_usd(self) -> Decimal | None:
        """What the service says that they cost, in US dollars; a lower bound where a request lacks it."""
        return None if self.cost_in_usd_ticks is None else Decimal(self.cost_in_usd_ticks) / TICKS_PER_USD

    def to_json(self) -> dict[str, Any]:
        """The numbers that are known, and `is_complete`."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "parts"}
        values |= {"models": list(self.models) or None, "unstated": dict(self.unstated) or None}
        return {name: value for name, value in values.items() if value is not None} | {"is_complete": self.is_complete}


@dataclass(frozen=True, slots=True, kw_only=True)
class WithChat:
    """A summary that keeps chat beside its own figures, and mixes them in nothing."""

    chat: ChatSummary = ChatSummary()


class ChatLedger:
    """Every chat request and what it used. A request counts once, by the id that you give it.

    A later report of a request fills in what was not stated, and replaces figures that were incomplete.
    """

    def __init__(self) -> None:
        self._requests: dict[str, ChatRequest] = {}

    @property
    def requests(self) -> Mapping[str, ChatRequest]:
        """Each request by its id, in the order in which they ended."""
        return MappingProxyType(self._requests)

    def done(self, request_id: str, usage: ChatUsage, *, model: str | None = None) -> bool:
        """Take in what a request used, also one that failed or was cancelled. False when that says nothing new."""
        known = self._requests.get(request_id)
        if known is None:
            self._requests[request_id] = ChatRequest(request_id, usage, model)
            return True
        merged = replace(known, usage=_merged(known.usage, usage), model=known.model or model)
        self._requests[request_id] = merged
        return merged != known

    def summary(self, is_wanted: Callable[[str], bool] = lambda request_id: True) -> ChatSummary:
        """The sums over all requests, or over those whose id `is_wanted`."""
        return _summary([entry for name, entry in self._requests.items() if is_wanted(name)])


def _merged(known: ChatUsage, later: ChatUsage) -> ChatUsage:
    """What two reports of one request say together: a complete one is not changed, only filled in."""
    first, second = (later, known) if later.is_complete and not known.is_complete else (known, later)
    news = {name: getattr(second, name) for name in FIGURES if getattr(first, name) is None}
    return replace(first, **news, extra={**second.extra, **first.extra})


def _summary(entries: list[ChatRequest]) -> ChatSummary:
    sums: dict[str, int] = {}
    unstated: dict[str, int] = {}
    for name in SUMMED:
        values = [value for entry in entries if (value := getattr(entry.usage, name)) is not None]
        if values:
            sums[name] = sum(values)
        if len(values) < len(entries):
            unstated[name] = len(entries) - len(values)
    return ChatSummary(
        requests=len(entries),
        unknown_requests=sum(not entry.usage.is_known for entry in entries),
        incomplete_requests=sum(entry.usage.is_known and not entry.usage.is_complete for entry in entries),
        **sums,
        models=tuple(_once(entry.model for entry in entries)),
        unstated=unstated,
        parts=tuple(entries),
    )


def _once(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))
