"""What to do about a refusal of the chat endpoint. In: an ApiError, the body that was sent. Out: a hint.

The service alone knows what a model can do today, so nothing of this is decided before it has answered. Imports: 0-5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from xai_realtime.errors import ApiError, NotFoundError
from xai_realtime.models import retired_model

__all__ = ["explain"]

Hint: TypeAlias = Callable[[re.Match[str], Mapping[str, Any]], str]

CAPITAL: Final = re.compile(r"(?<=[a-z])([A-Z])")
ABSENT: Final = re.compile(r"not exist|not found|not available|unknown|retired", re.IGNORECASE)
BY_PARAMETER: Final = {
    "presence_penalty": "reasoning models take no penalties",
    "frequency_penalty": "reasoning models take no penalties",
    "stop": "reasoning models take no stop texts",
    "reasoning_effort": "whether a model takes it, and which efforts, differs from model to model",
    "logprobs": "newer models give none",
    "top_logprobs": "newer models give none",
}


def not_supported(found: re.Match[str], body: Mapping[str, Any]) -> str:
    """A parameter that the model does not take."""
    name = CAPITAL.sub(r"_\1", found[2]).lower()
    why = BY_PARAMETER.get(name, "the model does not take it")
    other = ", or use a model that does not reason" if name.endswith("_penalty") or name == "stop" else ""
    return f"{name} cannot go to {found[1]}: {why}. Leave it out{other}."


def too_long(found: re.Match[str], body: Mapping[str, Any]) -> str:
    """A context that is full."""
    return (
        f"The messages have {found[2]} tokens and the model takes {found[1]}: shorten them with "
        "ChatConversation.trim(max_tokens=...)."
    )


def said(text: str) -> Hint:
    """A hint that is always the same."""
    return lambda found, body: text


HINTS: Final[tuple[tuple[re.Pattern[str], Hint], ...]] = (
    (re.compile(r"Model (\S+) does not support parameter (\w+)", re.IGNORECASE), not_supported),
    (re.compile(r"maximum prompt length is (\d+) but the request contains (\d+) tokens", re.IGNORECASE), too_long),
    (
        re.compile(r"live search is deprecated", re.IGNORECASE),
        said(
            "Chat no longer searches: leave search_parameters out; a realtime session takes WebSearch() and XSearch()."
        ),
    ),
    (
        re.compile(r"tool_choice was set", re.IGNORECASE),
        said("Give tools=, or leave tool_choice out (also of extra=)."),
    ),
    (re.compile(r"function name (\S+) is reserved", re.IGNORECASE), said("Give the function another name.")),
    (
        re.compile(r"anyOf|oneOf", re.IGNORECASE),
        said("The service takes no anyOf or oneOf at the root of a schema: put it into a field of an object."),
    ),
    (
        re.compile(r"\bdeveloper\b", re.IGNORECASE),
        said("The service knows no developer role: it goes out as user unless has_developer_role is set."),
    ),
    (
        re.compile(r"credits|spending limit", re.IGNORECASE),
        said("The account has no credits left, or its spending limit is reached: asking again does not help."),
    ),
)


def explain(error: ApiError, body: Mapping[str, Any]) -> str | None:
    """What to do about a refusal, in a sentence or two; None when nothing is known. The error gets it as a note too.

    `body` is what was sent; of it only the model's name is shown.
    """
    hint = hint_of(error, body)
    if hint is not None and hint not in getattr(error, "__notes__", ()):
        error.add_note(hint)
    return hint


def hint_of(error: ApiError, body: Mapping[str, Any]) -> str | None:
    """The first hint that fits."""
    message = error.message or ""
    for pattern, hint in HINTS:
        found = pattern.search(message)
        if found is not None:
            return hint(found, body)
    model = body.get("model")
    is_absent = isinstance(error, NotFoundError) or ABSENT.search(message) is not None
    if isinstance(model, str) and is_absent and "model" in message.lower():
        row = retired_model(model)
        return f"{row.advice[0].upper()}{row.advice[1:]}." if row is not None else unknown_model(model)
    return None


def unknown_model(model: str) -> str:
    """A model that the service does not serve to this key."""
    return f"The service does not serve model {model[:80]!r} to this key: client.models lists those it does."
