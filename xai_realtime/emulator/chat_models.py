"""The models that the emulated chat serves, and what each takes. In: names. Out: facts, JSON objects.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from xai_realtime.emulator.rest import CHAT_MODELS, NOT_FOUND, Refusal
from xai_realtime.models import retired_model

__all__ = ["ChatModel", "language_model", "language_models", "no_model", "served_model"]

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {"grok-4.7": ("grok-latest",)}
UP_TO_HIGH: Final = ("low", "medium", "high")
EFFORTS: Final[Mapping[str, tuple[str, ...]]] = {
    "grok-4.7": (*UP_TO_HIGH, "xhigh"),
    "grok-4.6": (*UP_TO_HIGH, "xhigh"),
    "grok-4.5": UP_TO_HIGH,
    "grok-4.3": ("none", *UP_TO_HIGH),
    "grok-4.20-multi-agent": (*UP_TO_HIGH, "xhigh"),
}
"""Source: the AI SDK's supports-reasoning-effort.ts, docs.x.ai reasoning guide."""
NOT_REASONING: Final = ("grok-4.20-non-reasoning", "grok-build-0.1")
PROMPT_PRICE: Final = 20_000
CACHED_PRICE: Final = 5_000
COMPLETION_PRICE: Final = 60_000
"""USD cents for 100 million tokens, which is also ticks (1 USD is 10^10) for one token."""


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A model: the name under which it was asked for, the one that serves, and what it takes."""

    asked: str
    name: str

    @property
    def efforts(self) -> tuple[str, ...]:
        """The values of `reasoning_effort`; none where the model refuses it whatever it is."""
        return EFFORTS.get(self.name, ())

    def reasons(self, effort: str | None) -> bool:
        """Does it think before it answers?"""
        return self.name not in NOT_REASONING and effort != "none"


def served_model(name: str, *, serves_retired: bool) -> ChatModel | None:
    """The model that serves a name; of a retired one its successor. None for a name that is not known."""
    if name in CHAT_MODELS:
        return ChatModel(name, name)
    for model, aliases in ALIASES.items():
        if name in aliases:
            return ChatModel(name, model)
    retired = retired_model(name)
    return ChatModel(name, retired.successor) if retired is not None and serves_retired else None


def no_model(name: str, status: int = 404) -> Refusal:
    """A model that is not known."""
    code = NOT_FOUND if status == 404 else "Client specified an invalid argument"
    return Refusal(status, code, f"The model {name[:200]} does not exist or your team does not have access to it.")


def language_models() -> dict[str, Any]:
    """The answer to `GET /v1/language-models`."""
    return {"models": [_described(name) for name in CHAT_MODELS]}


def language_model(name: str) -> dict[str, Any] | Refusal:
    """The answer to `GET /v1/language-models/{name}`."""
    model = served_model(name, serves_retired=False)
    return no_model(name) if model is None else _described(model.name)


def _described(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "fingerprint": fingerprint(name),
        "created": CHAT_MODELS[name],
        "object": "model",
        "owned_by": "xai",
        "version": "1.0",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "prompt_text_token_price": PROMPT_PRICE,
        "cached_prompt_text_token_price": CACHED_PRICE,
        "prompt_image_token_price": PROMPT_PRICE,
        "completion_text_token_price": COMPLETION_PRICE,
        "search_price": 0,
        "aliases": list(ALIASES.get(name, ())),
    }


def fingerprint(name: str) -> str:
    """The fingerprint of a model: the same with every answer."""
    return f"fp_{hashlib.sha256(name.encode()).hexdigest()[:10]}"
