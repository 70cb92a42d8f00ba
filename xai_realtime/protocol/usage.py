"""Usage folded from responses. In: the usage objects of `response.done`. Out: sums; unknown stays None.

Imports: rooms 0-1.
"""

from __future__ import annotations

from typing import Any, Final

from xai_realtime.events import realtime as wire

__all__ = ["UsageTotals"]

SUMMED: Final = ("input_tokens", "output_tokens", "total_tokens", "output_audio_seconds")
DETAILS: Final = ("input_token_details", "output_token_details")


class UsageTotals:
    """Usage of one conversation.

    The wire states it at the top level of `response.done`, where `response.usage` is empty, or nested:
    the top level counts unless it is empty. A response counts once. `billable_audio_seconds` runs on over
    the conversation, so its highest value holds; everything else is summed. What no response stated is
    None, never 0.
    """

    def __init__(self) -> None:
        self.responses: dict[str, dict[str, Any]] = {}
        self.stated: list[dict[str, Any]] = []

    def add(self, response_id: str, top: wire.Usage | None, nested: wire.Usage | None) -> None:
        """Take in the usage of one finished response; a repeated one changes nothing."""
        forms = [form for form in (_plain(top), _plain(nested)) if form]
        if response_id in self.responses or not forms:
            return
        self.responses[response_id] = forms[0]
        self.stated += forms

    def total(self, name: str) -> float | None:
        """The sum of one figure over the responses (seconds for `*_seconds`), None when none stated it."""
        values = [value for usage in self.responses.values() if (value := usage.get(name)) is not None]
        if not values:
            return None
        total: float = max(values) if name == "billable_audio_seconds" else round(sum(values), 6)
        return total

    def detail(self, side: str, name: str) -> int | None:
        """The sum of one figure of the token details (`input_token_details`, `audio_tokens`)."""
        values = [
            value for usage in self.responses.values() if (value := (usage.get(side) or {}).get(name)) is not None
        ]
        return sum(values) if values else None

    def to_json(self) -> dict[str, Any]:
        """The totals that are known, in the wire's names."""
        totals: dict[str, Any] = {name: self.total(name) for name in (*SUMMED, "billable_audio_seconds")}
        for side in DETAILS:
            totals[side] = {name: self.detail(side, name) for name in ("text_tokens", "audio_tokens", "grok_tokens")}
            if all(value is None for value in totals[side].values()):
                totals[side] = None
        return {name: value for name, value in totals.items() if value is not None}


def _plain(usage: wire.Usage | None) -> dict[str, Any]:
    """What was stated, without what was not."""
    if usage is None:
        return {}
    stated = usage.model_dump(exclude_unset=True)
    return stated if any(value not in (None, {}) for value in stated.values()) else {}
