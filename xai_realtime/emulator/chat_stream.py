"""A chat answer on the wire, whole or as server-sent events. In: ChatAnswer. Out: JSON, and lines with their times.

No web framework and no clock here: times are milliseconds since the request. Imports: the standard library, 0 and 7.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xai_realtime.emulator.chat_models import fingerprint
from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.chat_reply import ChatAnswer, deltas, message_of, usage_of
from xai_realtime.emulator.chat_request import ChatAsk

__all__ = ["Envelope", "Pace", "Step", "completion", "cut_after", "lines", "total_ms"]

UNAVAILABLE: Final = "The service is currently unavailable"
FAILURE: Final = "A failure that was asked for."
BROKEN: Final = b'{"id": "broken", "choices": [{"index": 0, "delta": {"content": "no'
ON_CHUNKS: Final = ("end", "last_chunk", "empty_after", "zero_then_real")
EMPTY: Final[Mapping[str, int]] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands on every object of one answer."""

    id: str
    created: int
    system_fingerprint: str
    model: str
    service_tier: str | None = None

    @classmethod
    def of(cls, ask: ChatAsk, answer_id: str, created: int) -> Envelope:
        """The envelope of the answer to a request."""
        return cls(answer_id, created, fingerprint(ask.model.name), ask.model.name, ask.service_tier)

    def around(self, kind: str, choices: Any, **more: Any) -> dict[str, Any]:
        """An object with its choices."""
        tier = {} if self.service_tier is None else {"service_tier": self.service_tier}
        named = {"id": self.id, "object": kind, "created": self.created, "model": self.model}
        return {**named, "choices": choices, "system_fingerprint": self.system_fingerprint, **tier, **more}


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds to the first token, and from one to the next."""

    first_ms: float
    token_ms: float


@dataclass(frozen=True, slots=True)
class Step:
    """What goes out at `at_ms`; data of None is a line that is cut."""

    at_ms: float
    data: bytes | None = field(repr=False)


def completion(envelope: Envelope, ask: ChatAsk, answer: ChatAnswer, quirks: ChatQuirks) -> dict[str, Any]:
    """The whole answer."""
    message = message_of(answer)
    choices = [
        {"index": index, "message": message, "finish_reason": answer.finish_reason} for index in range(ask.choices)
    ]
    if quirks.usage_style == "none":
        return envelope.around("chat.completion", choices)
    return envelope.around("chat.completion", choices, usage=full_usage(ask, answer, quirks))


def full_usage(ask: ChatAsk, answer: ChatAnswer, quirks: ChatQuirks) -> dict[str, Any]:
    """The usage of all choices."""
    completed = (len(answer.pieces) + answer.call_tokens) * ask.choices
    return usage_of(ask, completed, answer.reasoning_tokens * ask.choices, quirks.cached_tokens)


def total_ms(answer: ChatAnswer, pace: Pace) -> float:
    """How long the model works at an answer."""
    return pace.first_ms + pace.token_ms * (len(answer.reasoning) + len(answer.pieces) + len(answer.calls))


def lines(envelope: Envelope, ask: ChatAsk, answer: ChatAnswer, quirks: ChatQuirks, pace: Pace) -> Iterator[Step]:
    """The stream, chunk by chunk."""
    end = b"\r\n\r\n" if quirks.odd_chunks else b"\n\n"
    at_ms, is_begun = 0.0, False
    for number, (chunk, is_token) in enumerate(chunks(envelope, ask, answer, quirks)):
        if is_token:
            at_ms += pace.token_ms if is_begun else pace.first_ms
            is_begun = True
        if number == quirks.fails_after:
            yield Step(at_ms, failure(quirks, end))
            if quirks.failure != "malformed":
                return
        if quirks.odd_chunks:
            yield Step(at_ms, b": keep-alive" + end)
        yield Step(at_ms, b"data: " + dumped(chunk) + end)
    if not quirks.no_done:
        yield Step(at_ms, b"data: [DONE]" + end)


def chunks(
    envelope: Envelope, ask: ChatAsk, answer: ChatAnswer, quirks: ChatQuirks
) -> Iterator[tuple[dict[str, Any], bool]]:
    """The chunks in order, and of each whether the model has to work for it."""
    kind, style = "chat.completion.chunk", quirks.usage_style
    full = full_usage(ask, answer, quirks)
    asked = ask.with_usage and style in ON_CHUNKS
    completed = thought = 0
    if quirks.odd_chunks:
        for choices in (None, [], [{"index": 0, "delta": None}]):
            yield envelope.around(kind, choices, x_unknown={"nested": [1, None]}), False
    for delta in deltas(answer, quirks):
        for index in range(ask.choices):
            completed, thought = completed + delta.tokens, thought + delta.thought
            more: dict[str, Any] = {}
            if style == "every_chunk":
                more = {"usage": usage_of(ask, completed, thought, quirks.cached_tokens)}
            elif style == "zero_then_real" and asked:
                more = {"usage": dict(EMPTY)}
            fields = {"role": "assistant", **delta.fields} if quirks.odd_chunks else delta.fields
            yield envelope.around(kind, [{"index": index, "delta": fields}], **more), index == 0
    for index in range(ask.choices):
        is_last = index + 1 == ask.choices
        more = {"usage": full} if style == "every_chunk" or (asked and style in ("last_chunk", "empty_after")) else {}
        if asked and style == "zero_then_real":
            more = {"usage": dict(EMPTY)}
        choice = {"index": index, "delta": {}, "finish_reason": answer.finish_reason}
        yield envelope.around(kind, [choice], **(more if is_last or style != "last_chunk" else {})), False
    if asked and style in ("end", "zero_then_real"):
        yield envelope.around(kind, [], usage=full), False
    elif asked and style == "empty_after":
        yield envelope.around(kind, [], usage={}), False


def failure(quirks: ChatQuirks, end: bytes) -> bytes | None:
    """What a stream comes to that fails."""
    if quirks.failure == "cut":
        return None
    if quirks.failure == "malformed":
        return b"data: " + BROKEN + end
    if quirks.failure == "openai":
        told: dict[str, Any] = {"error": {"message": FAILURE, "type": "server_error", "param": None, "code": None}}
        return b"data: " + dumped(told) + end
    if quirks.failure == "event":
        told = {"type": "error", "code": UNAVAILABLE, "message": FAILURE}
        return b"event: error" + end[: len(end) // 2] + b"data: " + dumped(told) + end
    return b"data: " + dumped({"code": UNAVAILABLE, "error": FAILURE}) + end


def cut_after(steps: Iterable[Step], after_ms: float) -> Iterator[Step]:
    """The steps before a time, and then a line that is cut."""
    for step in steps:
        if step.at_ms >= after_ms:
            break
        yield step
    yield Step(after_ms, None)


def dumped(value: Mapping[str, Any]) -> bytes:
    """JSON as the service writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
