"""How the emulated chat behaves where it can be chosen. In: settings. Out: the same, checked.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.emulator.speech_quirks import CHAT_PATHS, Refuse
from xai_realtime.errors import ConfigurationError

__all__ = ["CallStyle", "ChatQuirks", "Failure", "UsageStyle"]

UsageStyle: TypeAlias = Literal["end", "every_chunk", "last_chunk", "none", "zero_then_real", "empty_after"]
CallStyle: TypeAlias = Literal["together", "separate", "fragments", "interleaved"]
Failure: TypeAlias = Literal["error", "openai", "event", "cut", "malformed"]

CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "usage_style": ("end", "every_chunk", "last_chunk", "none", "zero_then_real", "empty_after"),
    "tool_calls": ("together", "separate", "fragments", "interleaved"),
    "failure": ("error", "openai", "event", "cut", "malformed"),
    "unknown_model_status": (404, 400),
    "retired_models": ("served", "refused"),
}
COUNTS: Final[Mapping[str, tuple[int, int]]] = {
    "cached_tokens": (0, 10_000_000),
    "first_call_index": (0, 1000),
    "error_in_body": (0, 1_000_000),
    "context_tokens": (1, 10_000_000),
    "deferred_ms": (0, 86_400_000),
}
OPTIONAL: Final[Mapping[str, int]] = {
    "first_token_ms": 3_600_000,
    "token_ms": 3_600_000,
    "reasoning_tokens": 10_000_000,
    "fails_after": 1_000_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatQuirks:
    """What `/v1/chat` does where sources differ, or where a test wants it otherwise.

    Time: `first_token_ms` is from the request to the first token, `token_ms` from one to the next (a word with the
    space behind it): 300 and 20 at real pace, 0 at instant pace. `deferred_ms` is until a deferred answer is there.

    Answers: `reasoning` is thought before every answer, in `reasoning_content`; `reasoning_tokens` counts it (None:
    the words of `reasoning`, else 32 where the model reasons). `cached_tokens` of the prompt count as cached.
    `usage_style` is where a stream states its usage: in a chunk of its own at the end, cumulative on every chunk, on
    the last one with a choice, nowhere, zeros until the end, or on the last one and then `{}`. `tool_calls` come whole
    in one chunk, each in one, in fragments, or in fragments of all calls at once; their index counts from
    `first_call_index`. `content_with_calls` puts the last word beside the first call. `odd_chunks` sends roles in
    every delta, null and empty choices, a null delta, unknown fields, comments, and CRLF. `no_done` ends streams
    without `[DONE]`.

    Trouble: after `fails_after` chunks a stream comes to its `failure`: an error object of the service, of OpenAI or
    with a type, a cut line, or a line that is no JSON, after which it goes on. `error_in_body` requests are answered
    with status 200 and an error. `takes_developer` lets the role `developer` pass. `unknown_model_status` is 404 or
    400; `retired_models` are served by their successors or refused. A prompt over `context_tokens` is refused.
    `refuse` are requests refused, each rule till it is used up.

    Raises ConfigurationError for a value that is not allowed.
    """

    first_token_ms: int | None = None
    token_ms: int | None = None
    deferred_ms: int = 1000
    reasoning: str | None = field(default=None, repr=False)
    reasoning_tokens: int | None = None
    cached_tokens: int = 0
    usage_style: UsageStyle = "end"
    tool_calls: CallStyle = "together"
    first_call_index: int = 0
    content_with_calls: bool = False
    odd_chunks: bool = False
    no_done: bool = False
    fails_after: int | None = None
    failure: Failure = "error"
    error_in_body: int = 0
    takes_developer: bool = False
    unknown_model_status: Literal[404, 400] = 404
    retired_models: Literal["served", "refused"] = "served"
    context_tokens: int = 500_000
    refuse: tuple[Refuse, ...] = ()

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            is_allowed, wanted = _rule(entry.name, value)
            if not is_allowed:
                raise ConfigurationError(f"{entry.name} is {value!r}; allowed are {wanted}")


def _rule(name: str, value: Any) -> tuple[bool, str]:
    """Is the value of this field allowed, and what is?"""
    if name in CHOICES:
        is_known = not isinstance(value, bool) and value in CHOICES[name]
        return is_known, ", ".join(map(repr, CHOICES[name]))
    if name in COUNTS:
        low, high = COUNTS[name]
        return _is_whole(value, low, high), f"whole numbers from {low} to {high}"
    if name in OPTIONAL:
        most = OPTIONAL[name]
        return value is None or _is_whole(value, 0, most), f"whole numbers from 0 to {most}, None"
    if name == "reasoning":
        return value is None or isinstance(value, str), "texts, None"
    if name == "refuse":
        is_rules = isinstance(value, tuple) and all(isinstance(entry, Refuse) for entry in value)
        allowed = f"tuples of Refuse whose path is None or one of {', '.join(CHAT_PATHS)}"
        return is_rules and all(entry.path in (None, *CHAT_PATHS) for entry in value), allowed
    return isinstance(value, bool), "True, False"


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
