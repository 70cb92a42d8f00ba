"""The settings of a chat request, checked and put together. In: levels of settings. Out: fields of the body.

Imports: rooms 0-5, pydantic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, TypedDict

from pydantic import BaseModel

from xai_realtime.chat._tools import ChatToolLike, ToolChoice
from xai_realtime.errors import ConfigurationError
from xai_realtime.models import TokenField

__all__ = ["ChatSettings", "Effort", "ResponseFormatLike", "checked_settings", "joined"]

Effort: TypeAlias = Literal["none", "low", "medium", "high", "xhigh"] | str
"""How long a model thinks; which of them a model takes differs, and more may come."""
ResponseFormatLike: TypeAlias = Literal["text", "json"] | type[BaseModel] | Mapping[str, Any]
"""The form of an answer: free text, any JSON, a pydantic model, a JSON Schema, or the wire's own object."""

MAX_STOPS: Final = 4


class Sampling(TypedDict, total=False):
    """How the model picks its words."""

    temperature: float | None
    top_p: float | None
    n: int | None
    max_tokens: int | None
    max_completion_tokens: int | None
    stop: str | Sequence[str] | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    seed: int | None


class ChatSettings(Sampling, total=False):
    """The settings of chat requests. What is left out is not sent; None goes out as null.

    `max_tokens` and `max_completion_tokens` are one setting: None takes back what a level before gave. `tools` of all
    levels are joined; an empty list takes away those of the levels before. Source: xAI's OpenAPI, chat/completions.
    """

    user: str | None
    stream_options: Mapping[str, Any] | None
    tools: Sequence[ChatToolLike] | None
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool | None
    response_format: ResponseFormatLike | None
    reasoning_effort: Effort | None
    deferred: bool | None
    search_parameters: Mapping[str, Any] | None
    web_search_options: Mapping[str, Any] | None
    service_tier: Literal["default", "priority"] | str | None
    prompt_cache_key: str | None


Rule: TypeAlias = tuple[Callable[[Any], bool], str]


def is_number(low: float, high: float, *, above: bool = False) -> Callable[[Any], bool]:
    """A check for finite numbers from `low` (or above it) to `high`."""

    def check(value: Any) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        return low <= value <= high and not (above and value == low)

    return check


def is_whole(low: float = -math.inf, high: float = math.inf) -> Callable[[Any], bool]:
    """A check for whole numbers in a range."""
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_flag(value: Any) -> bool:
    """True and False alone."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Text that is not empty."""
    return isinstance(value, str) and value != ""


def is_stop(value: Any) -> bool:
    """A text, or a few of them."""
    if isinstance(value, str):
        return value != ""
    return isinstance(value, Sequence) and 1 <= len(value) <= MAX_STOPS and all(map(is_text, value))


def is_table(value: Any) -> bool:
    """A mapping of names."""
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


FLAG: Final[Rule] = (is_flag, "True and False")
TEXT: Final[Rule] = (is_text, "texts that are not empty")
TABLE: Final[Rule] = (is_table, "mappings of names to values")
TOKENS: Final[Rule] = (is_whole(1), "whole numbers from 1")
PENALTY: Final[Rule] = (is_number(-2, 2), "numbers from -2 to 2")

RULES: Final[Mapping[str, Rule | None]] = {
    "temperature": (is_number(0, 2), "numbers from 0 to 2"),
    "top_p": (is_number(0, 1, above=True), "numbers above 0 and up to 1"),
    "n": TOKENS,
    "max_tokens": TOKENS,
    "max_completion_tokens": TOKENS,
    "stop": (is_stop, f"a text, and lists of 1 to {MAX_STOPS} texts, none of them empty"),
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "logit_bias": TABLE,
    "logprobs": FLAG,
    "top_logprobs": (is_whole(0, 8), "whole numbers from 0 to 8"),
    "seed": (is_whole(), "whole numbers"),
    "user": TEXT,
    "stream_options": TABLE,
    "tools": None,
    "tool_choice": None,
    "parallel_tool_calls": FLAG,
    "response_format": None,
    "reasoning_effort": TEXT,
    "deferred": FLAG,
    "search_parameters": TABLE,
    "web_search_options": TABLE,
    "service_tier": TEXT,
    "prompt_cache_key": TEXT,
}
"""Every setting, and what is allowed where that is documented; those with None are checked where they are read."""
QUIET: Final = frozenset({"user", "stop", "prompt_cache_key", "logit_bias"})
"""Settings whose values may tell of a person or a text, and are not shown."""
TOKEN_NAMES: Final = ("max_tokens", "max_completion_tokens")


def checked_settings(given: Mapping[str, Any] | None, level: str) -> dict[str, Any]:
    """The settings of one level. Raises ConfigurationError, naming the setting and what is allowed."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"the settings of the {level} are a {type(given).__name__}; a mapping is allowed")
    made = dict(given)
    for name, value in made.items():
        if name not in RULES:
            raise ConfigurationError(f"{name!r} is no setting of chat; use extra= for what the SDK does not know")
        rule = RULES[name]
        if value is not None and rule is not None and not rule[0](value):
            shown = "not one of them" if name in QUIET or is_table(value) else repr(value)[:80]
            raise ConfigurationError(f"{name} is {shown}; allowed are {rule[1]}, and None")
    if all(made.get(name) is not None for name in TOKEN_NAMES):
        raise ConfigurationError("max_tokens and max_completion_tokens are one setting: give one of the two")
    if isinstance(made.get("stop"), str):
        made["stop"] = [made["stop"]]
    return made


def joined(levels: Sequence[Mapping[str, Any]], token_field: TokenField) -> tuple[dict[str, Any], list[ChatToolLike]]:
    """The settings of all levels, later ones winning, and their tools in order."""
    made: dict[str, Any] = {}
    tools: list[ChatToolLike] = []
    for level in levels:
        for name, value in level.items():
            if name == "tools":
                tools = joined_tools(tools, value)
            elif name not in TOKEN_NAMES:
                made[name] = value
        given = [level[name] for name in TOKEN_NAMES if name in level]
        if given:
            made.pop(token_field, None)
            wanted = next((value for value in given if value is not None), None)
            if wanted is not None:
                made[token_field] = wanted
    return made, tools


def joined_tools(before: list[ChatToolLike], given: Any) -> list[ChatToolLike]:
    """The tools of a level behind those before it; an empty list leaves none."""
    if given is None:
        return before
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ConfigurationError(f"tools is a {type(given).__name__}; a list of tools is allowed")
    return [*before, *given] if given else []
