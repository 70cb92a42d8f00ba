"""What the emulated chat answers. In: a request, a turn of the scenario. Out: ChatAnswer, usage, deltas.

No web framework and no clock here. Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Final

from xai_realtime.emulator.chat_models import CACHED_PRICE, COMPLETION_PRICE, PROMPT_PRICE
from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.chat_request import ChatAsk, pieces_of
from xai_realtime.emulator.chat_schema import fitting_value
from xai_realtime.emulator.scenario import ToolRequest, Turn

__all__ = ["ChatAnswer", "Delta", "MadeCall", "deltas", "made_answer", "message_of", "usage_of"]

USUAL_REASONING_TOKENS: Final = 32
FRAGMENT_CHARACTERS: Final = 7


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call with its id and the text of its arguments."""

    id: str
    name: str
    arguments: str = field(repr=False)

    def whole(self, index: int) -> dict[str, Any]:
        """The call as it goes out at once."""
        return {"id": self.id, "type": "function", "function": self._function(self.arguments), "index": index}

    def fragments(self, index: int) -> list[dict[str, Any]]:
        """The call in pieces: id and name with the first, then a few characters of the arguments with each."""
        size = FRAGMENT_CHARACTERS
        texts = [self.arguments[at : at + size] for at in range(0, len(self.arguments), size)]
        first = {"index": index, "id": self.id, "type": "function", "function": self._function("")}
        return [first, *({"index": index, "function": {"arguments": text}} for text in texts)]

    def _function(self, arguments: str) -> dict[str, str]:
        return {"name": self.name, "arguments": arguments}


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """One answer: what is thought, said and called, why it ends, and what it counts."""

    reasoning: tuple[str, ...] = field(default=(), repr=False)
    pieces: tuple[str, ...] = field(default=(), repr=False)
    calls: tuple[MadeCall, ...] = ()
    finish_reason: str = "stop"
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        """What is said."""
        return "".join(self.pieces)

    @property
    def call_tokens(self) -> int:
        """What the calls count."""
        return sum(1 + len(pieces_of(call.arguments)) for call in self.calls)


@dataclass(frozen=True, slots=True)
class Delta:
    """A step of a stream: the delta, and how many tokens of the answer and of the thought it brings."""

    fields: dict[str, Any] = field(repr=False)
    tokens: int = 0
    thought: int = 0


def made_answer(
    ask: ChatAsk, turn: Turn, quirks: ChatQuirks, call_id: Callable[[], str], *, is_usual: bool
) -> ChatAnswer:
    """The answer that a turn is to this request.

    `is_usual` says that the scenario is the one built in: structured answers are then the smallest object that fits.
    Raises ValueError, TypeError and the like for a schema that is none.
    """
    requests = offered(ask, turn)
    text = turn.say or ""
    if ask.form.kind != "text" and not requests and is_usual:
        text = structured(ask, text)
    pieces = pieces_of(until_stop(text, ask.stops))
    finish_reason = "tool_calls" if requests else "stop"
    if turn.incomplete:
        pieces, finish_reason, requests = pieces[: len(pieces) // 2], "length", ()
    if ask.max_tokens is not None and len(pieces) > ask.max_tokens:
        pieces, finish_reason, requests = pieces[: ask.max_tokens], "length", ()
    reasons = ask.model.reasons(ask.effort)
    reasoning = tuple(pieces_of(quirks.reasoning)) if quirks.reasoning and reasons else ()
    thought = len(reasoning) or USUAL_REASONING_TOKENS
    if quirks.reasoning_tokens is not None:
        thought = quirks.reasoning_tokens
    return ChatAnswer(
        reasoning,
        tuple(pieces),
        tuple(MadeCall(call_id(), call.name, written(call.arguments)) for call in requests),
        finish_reason,
        thought if reasons else 0,
    )


def offered(ask: ChatAsk, turn: Turn) -> tuple[ToolRequest, ...]:
    """The calls of a turn as far as the request lets them be; one of them in any case where it wants one."""
    if ask.choice == "none":
        return ()
    calls = turn.calls
    if ask.choice not in ("auto", "required"):
        calls = tuple(call for call in calls if call.name == ask.choice)
    if not calls and ask.choice != "auto":
        name = next(iter(ask.tools)) if ask.choice == "required" else ask.choice
        calls = (ToolRequest(name, fitting_value(ask.tools[name] or {"type": "object"}, ask.prompt.heard)),)
    return calls if ask.is_parallel else calls[:1]


def structured(ask: ChatAsk, text: str) -> str:
    """The smallest object that fits, what was heard in its texts; a text that is an object already stays."""
    try:
        if isinstance(json.loads(text), dict):
            return text
    except ValueError:
        pass
    if ask.form.schema is None:
        return json.dumps({"heard": ask.prompt.heard}, ensure_ascii=False)
    return json.dumps(fitting_value(ask.form.schema, ask.prompt.heard), ensure_ascii=False)


def until_stop(text: str, stops: tuple[str, ...]) -> str:
    """A text up to the first of the stop texts."""
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def written(arguments: Mapping[str, Any] | str) -> str:
    """Arguments as the model writes them."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def message_of(answer: ChatAnswer) -> dict[str, Any]:
    """The message of a whole answer; with calls alone its content is empty, not null."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.reasoning:
        message["reasoning_content"] = "".join(answer.reasoning)
    message["refusal"] = None
    if answer.calls:
        calls = [call.whole(index) for index, call in enumerate(answer.calls)]
        message["tool_calls"] = [{name: value for name, value in call.items() if name != "index"} for call in calls]
    return message


def usage_of(ask: ChatAsk, completion: int, thought: int, cached: int) -> dict[str, Any]:
    """Usage as the wire counts it: the completion leaves reasoning out, the total has all three."""
    cached = min(cached, ask.prompt_tokens)
    ticks = (ask.prompt_tokens - cached) * PROMPT_PRICE + cached * CACHED_PRICE
    return {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": ask.prompt_tokens + completion + thought,
        "prompt_tokens_details": {
            "text_tokens": ask.prompt_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": cached,
        },
        "completion_tokens_details": {
            "reasoning_tokens": thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "num_sources_used": 0,
        "cost_in_usd_ticks": ticks + (completion + thought) * COMPLETION_PRICE,
    }


def deltas(answer: ChatAnswer, quirks: ChatQuirks) -> list[Delta]:
    """An answer in the steps of a stream, without the one that ends it."""
    steps = [Delta({"reasoning_content": piece}) for piece in answer.reasoning]
    calls = call_deltas(answer, quirks)
    pieces = list(answer.pieces)
    if calls and pieces and quirks.content_with_calls:
        calls[0] = Delta({"content": pieces.pop(), **calls[0].fields}, tokens=calls[0].tokens + 1)
    steps += [Delta({"content": piece}, tokens=1) for piece in pieces]
    steps += calls
    steps = steps or [Delta({"content": ""})]
    left = answer.reasoning_tokens
    for at in range(max(1, len(answer.reasoning))):
        thought = left if at + 1 >= len(answer.reasoning) else min(1, left)
        steps[at] = replace(steps[at], thought=thought)
        left -= thought
    steps[0] = replace(steps[0], fields={"role": "assistant", **steps[0].fields})
    return steps


def call_deltas(answer: ChatAnswer, quirks: ChatQuirks) -> list[Delta]:
    """The calls of an answer, in the style that is asked for; all their tokens come with the first."""
    numbered = list(enumerate(answer.calls, quirks.first_call_index))
    if not numbered:
        return []
    if quirks.tool_calls == "together":
        groups = [[call.whole(index) for index, call in numbered]]
    elif quirks.tool_calls == "separate":
        groups = [[call.whole(index)] for index, call in numbered]
    elif quirks.tool_calls == "fragments":
        groups = [[fragment] for index, call in numbered for fragment in call.fragments(index)]
    else:
        columns = [call.fragments(index) for index, call in numbered]
        groups = [[entry for entry in row if entry is not None] for row in zip_longest(*columns)]
    steps = [Delta({"tool_calls": group}) for group in groups]
    return [Delta(steps[0].fields, tokens=answer.call_tokens), *steps[1:]]
