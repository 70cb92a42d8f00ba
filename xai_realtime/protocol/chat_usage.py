"""What one chat request used, merged field by field. In: usage objects of an answer or its chunks. Out: ChatUsage.

Imports: the standard library, room 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from xai_realtime.events import chat as wire

__all__ = ["FIGURES", "TICKS_PER_USD", "Arithmetic", "ChatUsage", "UsageFold"]

TICKS_PER_USD: Final = 10_000_000_000
"""How many of `cost_in_usd_ticks` are one US dollar. Source: xai-org/xai-proto usage.proto."""

MAX_FIGURE: Final = 10**18
"""A figure above it, or below 0, is no usage and counts as not stated."""

FIGURES: Final[Mapping[str, tuple[str | None, str]]] = MappingProxyType(
    {
        "prompt_tokens": (None, "prompt_tokens"),
        "completion_tokens": (None, "completion_tokens"),
        "total_tokens": (None, "total_tokens"),
        "cached_tokens": ("prompt_tokens_details", "cached_tokens"),
        "prompt_text_tokens": ("prompt_tokens_details", "text_tokens"),
        "prompt_audio_tokens": ("prompt_tokens_details", "audio_tokens"),
        "prompt_image_tokens": ("prompt_tokens_details", "image_tokens"),
        "reasoning_tokens": ("completion_tokens_details", "reasoning_tokens"),
        "completion_audio_tokens": ("completion_tokens_details", "audio_tokens"),
        "accepted_prediction_tokens": ("completion_tokens_details", "accepted_prediction_tokens"),
        "rejected_prediction_tokens": ("completion_tokens_details", "rejected_prediction_tokens"),
        "num_sources_used": (None, "num_sources_used"),
        "cost_in_usd_ticks": (None, "cost_in_usd_ticks"),
    }
)
"""Each figure, and where the wire states it: the object it stands in (None: the usage itself) and its name there."""

DETAILS: Final = ("prompt_tokens_details", "completion_tokens_details")

Arithmetic: TypeAlias = Literal["inclusive", "exclusive", "unknown"]
"""Whether `completion_tokens` holds the tokens of thought (`inclusive`) or leaves them out (`exclusive`)."""


@dataclass(frozen=True, slots=True)
class ChatUsage:
    """What one chat request used, as the service stated it; a figure that was not stated is None, never 0.

    Tokens, but for `cost_in_usd_ticks`. `cached_tokens` are among `prompt_tokens`. Whether `reasoning_tokens` are among
    `completion_tokens` says `arithmetic`; what is billed as output is `output_tokens`. `is_complete` is False while the
    service may still state more, as after a stream that was cut off or cancelled. `extra` holds what the spec does not
    list; of the details with a dotted name.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_text_tokens: int | None = None
    prompt_audio_tokens: int | None = None
    prompt_image_tokens: int | None = None
    reasoning_tokens: int | None = None
    completion_audio_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    num_sources_used: int | None = None
    cost_in_usd_ticks: int | None = None
    is_complete: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_known(self) -> bool:
        """False when no figure was stated."""
        return any(getattr(self, name) is not None for name in FIGURES)

    @property
    def arithmetic(self) -> Arithmetic:
        """Whether thought is among `completion_tokens`, decided by the total that the service states.

        `inclusive` where the total is prompt and completion, as also without any thought; `exclusive` where it is
        prompt, completion and reasoning, as on the live service; `unknown` where it is neither, is not stated, or where
        thought cannot be among a smaller completion. Sources: promptfoo/promptfoo#9507,
        UKGovernmentBEIS/inspect_ai#5528.
        """
        if self.total_tokens is None or self.prompt_tokens is None or self.completion_tokens is None:
            return "unknown"
        beyond = self.total_tokens - self.prompt_tokens - self.completion_tokens
        reasoning = self.reasoning_tokens or 0
        if beyond == 0 and reasoning <= self.completion_tokens:
            return "inclusive"
        return "exclusive" if reasoning and beyond == reasoning else "unknown"

    @property
    def output_tokens(self) -> int | None:
        """All tokens that came out, each once: what is billed as output. None where that cannot be told."""
        if self.completion_tokens is None:
            return None
        if self.reasoning_tokens == 0 or self.arithmetic == "inclusive":
            return self.completion_tokens
        return self.completion_tokens + (self.reasoning_tokens or 0) if self.arithmetic == "exclusive" else None

    @property
    def visible_tokens(self) -> int | None:
        """Those of them that are no thought. None where that cannot be told."""
        if self.output_tokens is None:
            return None
        return max(0, self.output_tokens - (self.reasoning_tokens or 0))

    @property
    def cost_usd(self) -> Decimal | None:
        """What the service says that the request costs, in US dollars, exactly."""
        return None if self.cost_in_usd_ticks is None else Decimal(self.cost_in_usd_ticks) / TICKS_PER_USD

    def to_json(self) -> dict[str, Any]:
        """The figures that are known, what follows from them, and `is_complete`."""
        known = {name: getattr(self, name) for name in (*FIGURES, "output_tokens")}
        found: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
        if self.cost_usd is not None:
            found["cost_usd"] = f"{self.cost_usd.normalize():f}"
        return found | {"arithmetic": self.arithmetic, "is_complete": self.is_complete}


class UsageFold:
    """The usage of one request out of all its snapshots: of each figure the last one stated.

    It may come cumulative on every chunk, once at the end, or both, and is never summed. An empty object, a null, a
    zero or a missing field never hides what was stated before.
    """

    def __init__(self) -> None:
        self._figures: dict[str, int] = {}
        self._extra: dict[str, Any] = {}
        self._is_complete = False

    @property
    def usage(self) -> ChatUsage:
        """What is known now."""
        return ChatUsage(**self._figures, is_complete=self._is_complete, extra=MappingProxyType(dict(self._extra)))

    def push(self, usage: wire.Usage | None) -> None:
        """Take in one snapshot."""
        if usage is None:
            return
        parts: dict[str | None, Any] = {None: usage} | {part: getattr(usage, part) for part in DETAILS}
        for name, (part, place) in FIGURES.items():
            value = getattr(parts[part], place, None)
            if value is not None and 0 <= value <= MAX_FIGURE and (value or not self._figures.get(name)):
                self._figures[name] = value
        for part, stated in parts.items():
            for key, value in ((stated.model_extra if stated is not None else None) or {}).items():
                name = key if part is None else f"{part}.{key}"
                if value not in (None, {}, []) and (value or not self._extra.get(name)):
                    self._extra[name] = value

    def finish(self) -> None:
        """The service has said all it had to say: what was stated is complete."""
        self._is_complete = bool(self._figures)
