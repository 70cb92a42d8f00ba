"""What a session used, and how much it may. In: usage objects, facts with times. Out: sums; unknown stays None.

Imports: the standard library, rooms 0-1, the ledger of chat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.chat_ledger import ChatLedger, ChatRequest, WithChat
from xai_realtime.protocol.chat_usage import ChatUsage

__all__ = ["FIGURES", "WARN_AT", "Budget", "ResponseUsage", "UsageLedger", "UsageSummary", "checked_decimal"]

FIGURES: Final[Mapping[str, tuple[str | None, str]]] = MappingProxyType(
    {
        "input_tokens": (None, "input_tokens"),
        "output_tokens": (None, "output_tokens"),
        "total_tokens": (None, "total_tokens"),
        "input_text_tokens": ("input_token_details", "text_tokens"),
        "input_audio_tokens": ("input_token_details", "audio_tokens"),
        "input_grok_tokens": ("input_token_details", "grok_tokens"),
        "output_text_tokens": ("output_token_details", "text_tokens"),
        "output_audio_tokens": ("output_token_details", "audio_tokens"),
        "output_grok_tokens": ("output_token_details", "grok_tokens"),
        "output_audio_seconds": (None, "output_audio_seconds"),
        "billable_audio_seconds": (None, "billable_audio_seconds"),
    }
)
"""Each figure, and where the wire states it: the object it stands in (None: the usage itself) and its name there."""

MAX_FIGURE: Final = 10**12
"""A figure above it, or below 0, is no usage and counts as not stated."""

WARN_AT: Final = 0.8
"""Share of a limit at which a budget warns."""


@dataclass(frozen=True, slots=True)
class ResponseUsage:
    """What one reply used, as the wire stated it; a figure that was not stated is None, never 0.

    Tokens, and seconds for `*_seconds`. `total_tokens` is the wire's own number, also where it is not the sum of the
    other two, and is never worked out here. `billable_audio_seconds` is what this reply added to the running count of
    its conversation. `status` is the wire's (`completed`, `cancelled`, ...), None when the reply ended without
    `response.done`. `extra` holds what the spec does not list, such as `cost_in_usd_ticks`; of the token details with a
    dotted name: `input_token_details.cached_tokens`. Cached tokens are part of the input and are added to nothing.
    """

    response_id: str
    status: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_text_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_grok_tokens: int | None = None
    output_text_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_grok_tokens: int | None = None
    output_audio_seconds: float | None = None
    billable_audio_seconds: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_known(self) -> bool:
        """False when no figure was stated."""
        return any(getattr(self, name) is not None for name in FIGURES)


@dataclass(frozen=True, slots=True)
class UsageSummary(WithChat):
    """What several replies used together. A sum that no reply stated is None, never 0.

    `responses` counts the replies, `unknown_responses` those without any figure; `unstated` says of each figure how
    many replies lack it. `messages_sent`, `audio_sent_ms` and `wall_ms` (time connected, None when it was not measured)
    were measured on this side. `uncovered_wall_ms` and `uncovered_audio_ms` (sent and received) are the part of it that
    came after the last stated `billable_audio_seconds`. `is_by_clock` says that the session's time is billed
    (`server_vad`), not its audio. `chat` sums up the chat requests, whose figures stand in no other field.
    """

    responses: int = 0
    unknown_responses: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_text_tokens: int | None = None
    input_audio_tokens: int | None = None
    input_grok_tokens: int | None = None
    output_text_tokens: int | None = None
    output_audio_tokens: int | None = None
    output_grok_tokens: int | None = None
    output_audio_seconds: float | None = None
    billable_audio_seconds: int | None = None
    messages_sent: int = 0
    audio_sent_ms: float = 0.0
    wall_ms: float | None = None
    uncovered_wall_ms: float | None = None
    uncovered_audio_ms: float = 0.0
    is_by_clock: bool = False
    unstated: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """False when the usage of a reply is not known, so that every sum is a lower bound."""
        return self.unknown_responses == 0

    @property
    def measured_audio_s(self) -> float | None:
        """Seconds of audio as measured on this side: time connected when that is billed, else sent and received."""
        if self.is_by_clock:
            return None if self.wall_ms is None else self.wall_ms / 1000
        if self.responses and self.output_audio_seconds is None and not self.audio_sent_ms:
            return None
        return round(self.audio_sent_ms / 1000 + (self.output_audio_seconds or 0.0), 6)

    @property
    def billed_audio_s(self) -> float | None:
        """Seconds of audio to pay for: the stated ones, and what was measured after they were last stated.

        Without stated ones all of it is measured. None when neither is known.
        """
        if self.billable_audio_seconds is None:
            return self.measured_audio_s
        after_ms = self.uncovered_wall_ms if self.is_by_clock else self.uncovered_audio_ms
        return round(self.billable_audio_seconds + (after_ms or 0.0) / 1000, 6)

    def to_json(self) -> dict[str, Any]:
        """The numbers that are known, and `is_complete`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["unstated"] = dict(self.unstated) or None
        values["chat"] = self.chat.to_json() if self.chat.requests else None
        return {name: value for name, value in values.items() if value is not None} | {"is_complete": self.is_complete}


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a session may use before it ends: seconds of audio, money in the currency of the prices, or both.

    `warn_at` is the share of a limit at which you are warned. Raises ConfigurationError on a limit that is not above 0.
    """

    max_audio_s: float | None = None
    max_cost: Decimal | float | str | None = None
    warn_at: float = WARN_AT

    def __post_init__(self) -> None:
        for name in ("max_audio_s", "max_cost"):
            if (value := getattr(self, name)) is not None and checked_decimal(name, value) == 0:
                raise ConfigurationError(f"{name} is above 0, not {value!r}")
        if self.max_cost is not None:
            object.__setattr__(self, "max_cost", checked_decimal("max_cost", self.max_cost))
        if not 0 < checked_decimal("warn_at", self.warn_at) <= 1:
            raise ConfigurationError(f"warn_at lies above 0 and at most at 1, not {self.warn_at!r}")


def checked_decimal(name: str, value: object) -> Decimal:
    """`value` as an exact decimal, a float as it is printed. Raises ConfigurationError on all but numbers from 0 up."""
    try:
        number = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ConfigurationError(f"{name} is a number from 0 up, not {value!r}")
    return number


class _Count:
    """What one conversation used."""

    __slots__ = (
        "audio_ms",
        "chats",
        "covered_audio_ms",
        "covered_by",
        "covered_wall_ms",
        "highest_s",
        "ids",
        "messages",
        "wall_ms",
    )

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.chats: set[str] = set()
        self.messages = 0
        self.audio_ms = 0.0
        self.wall_ms: float | None = None
        self.highest_s = 0
        self.covered_by = -1
        self.covered_audio_ms = 0.0
        self.covered_wall_ms = 0.0

    def added_s(self, figure_s: int, index: int, *, is_new: bool) -> int:
        """Seconds that the reply at `index` adds with the running count it states.

        A count that falls has begun anew, as after a resumption. Not so one that is 0, or one that was stated late for
        a reply known before.
        """
        if is_new and 0 < figure_s < self.highest_s:
            self.highest_s = 0
        added_s = max(0, figure_s - self.highest_s)
        if added_s:
            self.highest_s = figure_s
        if figure_s >= self.highest_s > 0:
            self.covered_by = max(index, self.covered_by)
            self.covered_audio_ms = self.audio_ms
            self.covered_wall_ms = self.wall_ms or 0.0
        return added_s


class UsageLedger:
    """Everything that a session used, reply by reply: feed it what happens, read `responses` and the two sums.

    The wire states usage at the top level of `response.done`, or nested in the response: field by field the top level
    holds, then the nested one; an empty object or a null never hides what the other states. Each reply counts once,
    however often it is reported. Nothing is estimated: what was not stated stays None. Chat requests count beside the
    replies of the voice (`chat_done`, `chat_requests`, and `chat` of the sums), and are mixed with nothing.

    `is_by_clock` says that the session's time is billed (`server_vad`). Times are milliseconds on any steady clock.
    """

    def __init__(self, *, is_by_clock: bool = False) -> None:
        self.is_by_clock = is_by_clock
        self._responses: dict[str, ResponseUsage] = {}
        self._where: dict[str, tuple[_Count, int]] = {}
        self._chat = ChatLedger()
        self._counts = [_Count()]
        self._named: dict[str, _Count] = {}
        self._count = self._counts[0]
        self._is_connected = False
        self._seen_ms: float | None = None
        self._sums: dict[str, dict[str, Any]] = {}

    @property
    def responses(self) -> Mapping[str, ResponseUsage]:
        """Each reply by its id, in the order in which they ended."""
        return MappingProxyType(self._responses)

    @property
    def chat_requests(self) -> Mapping[str, ChatRequest]:
        """Each chat request by its id, in the order in which they ended."""
        return self._chat.requests

    @property
    def conversation(self) -> UsageSummary:
        """The sums since the last conversation began."""
        return self._summary("conversation", [self._count])

    @property
    def session(self) -> UsageSummary:
        """The sums over everything."""
        return self._summary("session", self._counts)

    def connected(self, conversation_id: str | None = None) -> None:
        """A connection begins. One with the id of an earlier conversation goes on with it, any other begins a new one.

        Call it once a connection, when the id is known. What is told before the first call belongs to the first
        conversation.
        """
        count = None if conversation_id is None else self._named.get(conversation_id)
        if count is None:
            count = self._count
            if self._is_connected:
                count = _Count()
                self._counts.append(count)
            if conversation_id is not None:
                self._named[conversation_id] = count
        self._is_connected = True
        self._count = count
        self._sums.clear()
        if self._seen_ms is not None and count.wall_ms is None:
            count.wall_ms = 0.0

    def response_done(
        self,
        response_id: str,
        top: wire.Usage | None,
        nested: wire.Usage | None,
        *,
        status: str | None,
        now_ms: float,
    ) -> ResponseUsage | None:
        """Take in a finished reply: the usage beside it, the usage in it. None when that says nothing new.

        A repeated report changes no figure, but fills in those that were not stated before.
        """
        self.session_time(now_ms)
        figures = _figures(nested) | _figures(top)
        extra = _extra(nested) | _extra(top)
        known = self._responses.get(response_id)
        count, index = self._place(response_id)
        usage = known or ResponseUsage(response_id)
        news: dict[str, Any] = {name: value for name, value in figures.items() if getattr(usage, name) is None}
        if usage.status is None and status is not None:
            news["status"] = status
        if extra.keys() - usage.extra.keys():
            news["extra"] = extra | dict(usage.extra)
        if known is not None and not news:
            return None
        if "billable_audio_seconds" in news:
            stated_s = news["billable_audio_seconds"]
            news["billable_audio_seconds"] = count.added_s(stated_s, index, is_new=known is None)
        usage = self._responses[response_id] = replace(usage, **news)
        self._sums.clear()
        return usage

    def response_lost(self, response_id: str, *, now_ms: float) -> None:
        """A reply ended without `response.done`: it counts, its usage is unknown until a late report states it."""
        self.session_time(now_ms)
        self._place(response_id)
        self._responses.setdefault(response_id, ResponseUsage(response_id))
        self._sums.clear()

    def chat_done(self, request_id: str, usage: ChatUsage, *, model: str | None = None) -> bool:
        """Take in a chat request, also one that failed or was cancelled. False when that says nothing new.

        It belongs to the conversation during which it was first reported.
        """
        if request_id not in self._chat.requests:
            self._count.chats.add(request_id)
        self._sums.clear()
        return self._chat.done(request_id, usage, model=model)

    def message_sent(self) -> None:
        """A priced `conversation.item.create` went out: neither the output of a function nor audio."""
        self._count.messages += 1

    def audio_sent(self, ms: float) -> None:
        """That many milliseconds of audio went out."""
        self._count.audio_ms += ms

    def opened(self, now_ms: float, *, is_by_clock: bool | None = None) -> None:
        """The line is open from now on, and its time runs."""
        if is_by_clock is not None:
            self.is_by_clock = is_by_clock
        if self._count.wall_ms is None:
            self._count.wall_ms = 0.0
        if self._seen_ms is None:
            self._seen_ms = now_ms
        self.session_time(now_ms)

    def session_time(self, now_ms: float) -> None:
        """It is `now_ms`: the time of an open line goes on to here. Does nothing while the line is closed."""
        if self._seen_ms is not None and now_ms > self._seen_ms:
            self._count.wall_ms = (self._count.wall_ms or 0.0) + now_ms - self._seen_ms
            self._seen_ms = now_ms

    def closed(self, now_ms: float) -> None:
        """The line is closed; its time stands still until it is opened again."""
        self.session_time(now_ms)
        self._seen_ms = None

    def _place(self, response_id: str) -> tuple[_Count, int]:
        place = self._where.get(response_id)
        if place is None:
            place = self._where[response_id] = (self._count, len(self._count.ids))
            self._count.ids.append(response_id)
        return place

    def _summary(self, scope: str, counts: list[_Count]) -> UsageSummary:
        if scope not in self._sums:
            self._sums[scope] = _sums([self._responses[name] for count in counts for name in count.ids])
            chats = set[str]().union(*(count.chats for count in counts))
            self._sums[scope]["chat"] = self._chat.summary(chats.__contains__)
        walls = [count.wall_ms for count in counts if count.wall_ms is not None]
        return UsageSummary(
            **self._sums[scope] | {"unstated": dict(self._sums[scope]["unstated"])},
            messages_sent=sum(count.messages for count in counts),
            audio_sent_ms=_sum(count.audio_ms for count in counts),
            wall_ms=_sum(walls) if walls else None,
            uncovered_wall_ms=_sum([*walls, *(-count.covered_wall_ms for count in counts)]) if walls else None,
            uncovered_audio_ms=_sum(self._uncovered_audio_ms(count) for count in counts),
            is_by_clock=self.is_by_clock,
        )

    def _uncovered_audio_ms(self, count: _Count) -> float:
        later = (self._responses[name].output_audio_seconds or 0.0 for name in count.ids[count.covered_by + 1 :])
        return count.audio_ms - count.covered_audio_ms + 1000 * sum(later)


def _sums(replies: list[ResponseUsage]) -> dict[str, Any]:
    """The part of a summary that comes from the replies."""
    sums: dict[str, Any] = {
        "responses": len(replies),
        "unknown_responses": sum(not reply.is_known for reply in replies),
        "unstated": {},
    }
    for name in FIGURES:
        values = [value for reply in replies if (value := getattr(reply, name)) is not None]
        sums[name] = _sum(values) if values else None
        if len(values) < len(replies):
            sums["unstated"][name] = len(replies) - len(values)
    return sums


def _sum(values: Iterable[float]) -> float:
    """The sum, without the dust of binary fractions."""
    return round(sum(values), 6)


def _figures(usage: wire.Usage | None) -> dict[str, float]:
    """The figures that a usage object states."""
    if usage is None:
        return {}
    stated: dict[str, float] = {}
    for name, (part, place) in FIGURES.items():
        value = getattr(usage if part is None else getattr(usage, part), place, None)
        if value is not None and 0 <= value <= MAX_FIGURE:
            stated[name] = value
    return stated


def _extra(usage: wire.Usage | None) -> dict[str, Any]:
    """What a usage object states beyond the spec."""
    if usage is None:
        return {}
    stated = dict(usage.model_extra or {})
    for part in ("input_token_details", "output_token_details"):
        details = getattr(usage, part)
        if details is not None:
            stated |= {f"{part}.{name}": value for name, value in (details.model_extra or {}).items()}
    return {name: value for name, value in stated.items() if value is not None}
