"""Oddities that are off unless a test asks for them. In: switches. Out: what goes out in place of an event.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.errors import ConfigurationError

__all__ = ["Quirks", "UsagePlace", "alterations"]

UsagePlace: TypeAlias = Literal["top", "nested", "both", "missing", "empty"]
Alteration: TypeAlias = Callable[[dict[str, Any]], tuple[dict[str, Any], ...]]

LIMITS: Final = {"duplicate_calls": 1000, "late_deltas": 10_000, "late_done_ms": 600_000}
REFUSING_MS: Final = 500
"""From the calls of a response to its `response.done` where early outputs are refused and no time is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What the service does only now and then, or did in one version: switches for tests, each off by default.

    `no_session_created`, `no_conversation_created`, `no_session_updated` and `transcription_off` keep those events
    back; what they tell has happened all the same. `conversation_first` sends `conversation.created` before
    `session.created`.

    `duplicate_calls` announces each function call that many times more: every `response.output_item.added` and
    `.done`, `conversation.item.added` and `response.function_call_arguments.done` of it, each time with an event
    id of its own. `late_done_ms` is how long after its calls the `response.done` of a response comes;
    `refuse_early_outputs` refuses an output that comes before it (and waits 500 ms where no time is given).

    `late_deltas` is how many more audio deltas of a response come, at their pace, once it was broken off by speech
    or `response.cancel`; it ends after them. `no_done_after_interrupt` leaves out the `response.done` of one that
    speech broke off. `ignores_truncate` takes `conversation.item.truncate` without doing or answering anything.

    `usage` says where a `response.done` states it: at the top, nested in the response, in both, nowhere
    (`"missing"`), or as an empty object in both (`"empty"`); None is as the dialect has it.

    Raises ConfigurationError for a value that is not allowed.
    """

    no_session_created: bool = False
    no_conversation_created: bool = False
    no_session_updated: bool = False
    conversation_first: bool = False
    transcription_off: bool = False
    duplicate_calls: int = 0
    late_done_ms: int = 0
    refuse_early_outputs: bool = False
    late_deltas: int = 0
    no_done_after_interrupt: bool = False
    ignores_truncate: bool = False
    usage: UsagePlace | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            limit = LIMITS.get(field.name)
            if field.name == "usage":
                is_allowed, wanted = value in (None, *PLACES), f"None, {', '.join(map(repr, PLACES))}"
            elif limit is None:
                is_allowed, wanted = isinstance(value, bool), "True, False"
            else:
                is_whole = isinstance(value, int) and not isinstance(value, bool)
                is_allowed, wanted = is_whole and 0 <= value <= limit, f"whole numbers from 0 to {limit}"
            if not is_allowed:
                raise ConfigurationError(f"{field.name} is {value!r}; allowed are {wanted}")

    @property
    def done_after_calls_ms(self) -> int:
        """How long after its calls the `response.done` of a response comes."""
        return self.late_done_ms or (REFUSING_MS if self.refuse_early_outputs else 0)


SILENCED: Final[Mapping[str, tuple[str, ...]]] = {
    "no_session_created": ("session.created",),
    "no_conversation_created": ("conversation.created",),
    "no_session_updated": ("session.updated",),
    "transcription_off": (
        "conversation.item.input_audio_transcription.updated",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ),
}
ITEM_ADDED: Final = "conversation.item.added"
ARGUMENTS_DONE: Final = "response.function_call_arguments.done"
ANNOUNCEMENTS: Final = (
    "response.output_item.added",
    ITEM_ADDED,
    ARGUMENTS_DONE,
    "response.output_item.done",
)
STATED: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    "whole": lambda usage: {"usage": usage},
    "empty": lambda usage: {"usage": {}},
    "absent": lambda usage: {},
}
PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "top": ("whole", "empty"),
    "nested": ("absent", "whole"),
    "both": ("whole", "whole"),
    "missing": ("absent", "absent"),
    "empty": ("empty", "empty"),
}
"""How a `response.done` states its usage at the top, and how in its response."""


def alterations(quirks: Quirks, new_id: Callable[[], str]) -> dict[str, Alteration]:
    """By event type, what makes the events that go out in its place; a type that is not there goes out as it is."""
    silenced = [name for switch, names in SILENCED.items() if getattr(quirks, switch) for name in names]
    table: dict[str, Alteration] = dict.fromkeys(silenced, silence)
    if quirks.duplicate_calls:
        table |= dict.fromkeys(ANNOUNCEMENTS, partial(repeated, quirks.duplicate_calls, new_id))
    if quirks.usage is not None:
        table["response.done"] = partial(with_usage, quirks.usage)
    return table


def silence(event: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Nothing."""
    return ()


def repeated(count: int, new_id: Callable[[], str], event: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The announcement of a call and as many more; an event about anything else once."""
    if not announces_call(event):
        return (event,)
    return (event, *({**event, "event_id": new_id()} for _ in range(count)))


def announces_call(event: dict[str, Any]) -> bool:
    """Is this a call of the model, and not the receipt for one that the client made?"""
    if event["type"] == ARGUMENTS_DONE:
        return True
    item: Mapping[str, Any] = event["item"]
    is_receipt = event["type"] == ITEM_ADDED and item["status"] != "in_progress"
    return item["type"] == "function_call" and not is_receipt


def with_usage(place: str, event: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """A `response.done` with its usage elsewhere."""
    at_top, in_response = (STATED[how] for how in PLACES[place])
    response = dict(event["response"])
    nested = response.pop("usage")
    usage = event.get("usage", nested)
    outer = {name: value for name, value in event.items() if name != "usage"}
    return ({**outer, "response": {**response, **in_response(usage)}, **at_top(usage)},)
