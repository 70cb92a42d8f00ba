"""A chat answer folded out of its chunks, or out of one body. In: chunks and times. Out: deltas, then the whole answer.

Imports: the standard library, rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from xai_realtime.events._chat import ChatStreamError
from xai_realtime.protocol.chat_outcome import (
    BAD_STATUSES,
    ChatOutcome,
    ChatStatus,
    ChatTold,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
)
from xai_realtime.protocol.chat_tools import ChatToolCall, ToolCallFold
from xai_realtime.protocol.chat_usage import ChatUsage, UsageFold

if TYPE_CHECKING:
    from xai_realtime.events import chat as wire

__all__ = ["LIFE", "ChatChoice", "ChatReply", "ReplyFold", "fold_completion"]

State: TypeAlias = Literal["waiting", "speaking", "ended"]
Trigger: TypeAlias = Literal["delta", "chunk", "done", "closed", "cancel", "fail"]

LIFE: Final[Mapping[tuple[State, Trigger], State]] = {
    ("waiting", "chunk"): "waiting",
    ("waiting", "delta"): "speaking",
    ("waiting", "done"): "ended",
    ("waiting", "closed"): "ended",
    ("waiting", "cancel"): "ended",
    ("waiting", "fail"): "ended",
    ("speaking", "chunk"): "speaking",
    ("speaking", "delta"): "speaking",
    ("speaking", "done"): "ended",
    ("speaking", "closed"): "ended",
    ("speaking", "cancel"): "ended",
    ("speaking", "fail"): "ended",
}
"""The life of an answer. What is missing changes nothing: an answer ends once, and nothing that comes later counts."""

BY_FINISH_REASON: Final[Mapping[str, ChatStatus]] = {
    "length": "truncated",
    "max_tokens": "truncated",
    "content_filter": "refused",
    "error": "failed",
}
"""What a finish reason says beyond that the answer ended; any other one says no more."""


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """One of the `n` answers: what the model said, thought and wants to call. What it did not give is empty or None.

    `status` says how this choice ended, None while it runs.
    """

    index: int = 0
    text: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    refusal: str = field(default="", repr=False)
    tool_calls: tuple[ChatToolCall, ...] = ()
    finish_reason: str | None = None
    role: str = "assistant"
    status: ChatStatus | None = None
    logprobs: tuple[Any, ...] = field(default=(), repr=False)

    def to_message(self, *, with_reasoning: bool = False) -> dict[str, Any]:
        """The message by which the conversation goes on: role, content, tool calls, on request the reasoning."""
        message: dict[str, Any] = {"role": self.role, "content": self.text}
        if with_reasoning and self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [call.to_wire() for call in self.tool_calls]
        return message


@dataclass(frozen=True, slots=True)
class ChatReply:
    """A whole answer, or what came of one. `text`, `tool_calls` and the like are those of the first choice.

    `model` is the one that really served. `outcome` says how it ended; None while it still runs. `parsed` is what a
    structured answer says: an instance of the model that was asked for, or the value of its JSON; None where there is
    none, or where it does not fit. `attempts` counts the requests that were made for it; `was_asked_twice` says that
    the first one was given up without an answer, and may be billed all the same.
    """

    id: str | None = None
    model: str | None = None
    choices: tuple[ChatChoice, ...] = ()
    usage: ChatUsage = field(default_factory=ChatUsage)
    outcome: ChatOutcome | None = None
    created_s: int | None = None
    citations: tuple[str, ...] = field(default=(), repr=False)
    service_tier: str | None = None
    system_fingerprint: str | None = None
    parsed: Any = field(default=None, repr=False)
    attempts: int = 1
    was_asked_twice: bool = False

    @property
    def choice(self) -> ChatChoice:
        """The first choice; an empty one when there is none."""
        return self.choices[0] if self.choices else ChatChoice()

    @property
    def text(self) -> str:
        """What the model said."""
        return self.choice.text

    @property
    def reasoning(self) -> str:
        """What the model thought, where it shows it."""
        return self.choice.reasoning

    @property
    def refusal(self) -> str:
        """Why the model will not answer."""
        return self.choice.refusal

    @property
    def tool_calls(self) -> tuple[ChatToolCall, ...]:
        """What the model wants to call."""
        return self.choice.tool_calls

    @property
    def finish_reason(self) -> str | None:
        """Why the service ended the answer, in its own word."""
        return self.choice.finish_reason

    def to_message(self, *, with_reasoning: bool = False) -> dict[str, Any]:
        """The first choice as the message by which the conversation goes on."""
        return self.choice.to_message(with_reasoning=with_reasoning)


class _Choice:
    """One choice while it grows."""

    __slots__ = ("finish_reason", "index", "logprobs", "reasoning", "refusal", "role", "text", "tools")

    def __init__(self, index: int) -> None:
        self.index = index
        self.role = "assistant"
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.tools = ToolCallFold(index)
        self.finish_reason: str | None = None
        self.logprobs: list[Any] = []

    def take(self, part: wire.Delta | wire.Message, *, is_whole: bool) -> Iterator[ChatTold]:
        """What a delta tells, thought first; a whole message is one delta."""
        if part.role:
            self.role = part.role
        if part.reasoning_content:
            self.reasoning.append(part.reasoning_content)
            yield ReasoningDelta(part.reasoning_content, self.index)
        if part.content:
            self.text.append(part.content)
            yield TextDelta(part.content, self.index)
        if part.refusal:
            self.refusal.append(part.refusal)
            yield RefusalDelta(part.refusal, self.index)
        if part.tool_calls:
            yield from self.tools.push(part.tool_calls, are_whole=is_whole)

    def status(self, *, is_cut: bool) -> ChatStatus:
        """How this choice ended; `is_cut` when the stream ended before the service said so."""
        if self.finish_reason is None and is_cut:
            return "truncated"
        if self.refusal:
            return "refused"
        return BY_FINISH_REASON.get(self.finish_reason or "", "complete")

    def reason(self, *, is_cut: bool) -> str:
        if self.finish_reason is None and is_cut:
            return "cut"
        return "refusal" if self.refusal and self.finish_reason != "content_filter" else self.finish_reason or ""

    def shown(self, *, is_over: bool, is_cut: bool) -> ChatChoice:
        return ChatChoice(
            index=self.index,
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            refusal="".join(self.refusal),
            tool_calls=self.tools.calls,
            finish_reason=self.finish_reason,
            role=self.role,
            status=self.status(is_cut=is_cut) if is_over or self.finish_reason else None,
            logprobs=tuple(self.logprobs),
        )


class ReplyFold:
    """Folds the chunks of a stream into deltas and one answer, which ends once, with one typed outcome.

    Feed it with `push`; say how the stream ended with `done` (`[DONE]`), `closed` (the body is over), `cancel` or
    `fail`: the first of them holds, and whatever comes later changes nothing. Times are milliseconds on any steady
    clock; `started_ms` is when the request went out.
    """

    def __init__(self, *, started_ms: float) -> None:
        self.started_ms: Final = started_ms
        self._state: State = "waiting"
        self._first_token_ms: float | None = None
        self._first_text_ms: float | None = None
        self._choices: dict[int, _Choice] = {}
        self._usage = UsageFold()
        self._head: dict[str, Any] = {}
        self._citations: tuple[str, ...] = ()
        self._is_cut = True
        self._outcome: ChatOutcome | None = None

    @property
    def outcome(self) -> ChatOutcome | None:
        """How the answer ended; None while it runs."""
        return self._outcome

    @property
    def has_output(self) -> bool:
        """Whether anything of the answer has come, so that asking again would repeat it."""
        return self._first_token_ms is not None

    @property
    def is_finished(self) -> bool:
        """Whether the service gave every choice its finish reason; usage may still come."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    @property
    def model(self) -> str | None:
        """The model that really serves, as soon as it is stated."""
        return self._head.get("model")

    @property
    def usage(self) -> ChatUsage:
        """What the request used so far."""
        return self._usage.usage

    @property
    def reply(self) -> ChatReply:
        """The answer as it stands."""
        is_over = self._outcome is not None
        shown = (choice.shown(is_over=is_over, is_cut=self._is_cut) for _, choice in sorted(self._choices.items()))
        return ChatReply(
            choices=tuple(shown), usage=self.usage, outcome=self._outcome, citations=self._citations, **self._head
        )

    def push(self, chunk: wire.ChatCompletionChunk, now_ms: float) -> tuple[ChatTold, ...]:
        """Take in a chunk, and return what it tells, in order. Nothing once the answer has ended."""
        choices = chunk.choices or ()
        parts = [(choice, choice.delta) for choice in choices]
        return self._take(chunk, parts, now_ms)

    def push_text(self, text: str, choice: int, now_ms: float) -> ChatTold | None:
        """Take in the next words of a choice, where its chunk says nothing else; None once the answer has ended."""
        if self._state != "speaking" and not self._step("delta"):
            return None
        self._choice(choice).text.append(text)
        told = TextDelta(text, choice)
        if self._first_text_ms is None:
            self._note_times((told,), now_ms)
        return told

    def push_whole(self, completion: wire.ChatCompletion, now_ms: float) -> tuple[ChatTold, ...]:
        """Take in an answer that came in one body."""
        parts = [(choice, choice.message) for choice in completion.choices or ()]
        return self._take(completion, parts, now_ms, is_whole=True)

    def done(self, now_ms: float) -> ChatOutcome:
        """The service says that the stream is over."""
        if self._step("done"):
            self._usage.finish()
            self._is_cut = False
        return self._settle(self._ended(now_ms))

    def closed(self, now_ms: float) -> ChatOutcome:
        """The body is over without a word: complete if every choice had its finish reason, else cut off.

        The usage counts as incomplete where none came with or after the end.
        """
        if self._step("closed") and self.is_finished:
            self._usage.finish()
        return self._settle(self._ended(now_ms))

    def cancel(self, now_ms: float) -> ChatOutcome:
        """The answer is not wanted any more. What came stays, its usage is incomplete."""
        self._step("cancel")
        return self._settle(self._outcome_of("cancelled", "cancelled", now_ms))

    def fail(self, error: ChatStreamError | BaseException, now_ms: float) -> ChatOutcome:
        """The service reports an error, or the line broke. What came stays, its usage is incomplete."""
        self._step("fail")
        return self._settle(replace(self._outcome_of("failed", "error", now_ms), error=error))

    def _settle(self, outcome: ChatOutcome) -> ChatOutcome:
        """The outcome that holds: the first one."""
        self._outcome = self._outcome or outcome
        return self._outcome

    def _step(self, trigger: Trigger) -> bool:
        """Take one step of the table; False where it has none, so that nothing changes."""
        state = LIFE.get((self._state, trigger))
        self._state = state or self._state
        return state is not None

    def _take(
        self,
        answer: wire.ChatCompletionChunk | wire.ChatCompletion,
        parts: Sequence[tuple[wire.ChunkChoice | wire.Choice, wire.Delta | wire.Message | None]],
        now_ms: float,
        *,
        is_whole: bool = False,
    ) -> tuple[ChatTold, ...]:
        if not self._step("chunk"):
            return ()
        self._take_head(answer)
        told: list[ChatTold] = []
        for place, (stated, part) in enumerate(parts):
            choice = self._choice(place if stated.index is None else stated.index)
            if part is not None:
                told += choice.take(part, is_whole=is_whole)
            choice.finish_reason = stated.finish_reason or choice.finish_reason
            if stated.logprobs is not None:
                choice.logprobs.append(stated.logprobs)
        if told:
            self._step("delta")
            self._note_times(told, now_ms)
        return tuple(told)

    def _take_head(self, answer: wire.ChatCompletionChunk | wire.ChatCompletion) -> None:
        if answer.id and "id" not in self._head:
            self._head["id"] = answer.id
        if answer.created is not None and "created_s" not in self._head:
            self._head["created_s"] = answer.created
        for name in ("model", "service_tier", "system_fingerprint"):
            if value := getattr(answer, name):
                self._head[name] = value
        if answer.citations:
            self._citations = tuple(entry for entry in answer.citations if isinstance(entry, str)) or self._citations
        self._usage.push(answer.usage)

    def _choice(self, index: int) -> _Choice:
        if index not in self._choices:
            self._choices[index] = _Choice(index)
        return self._choices[index]

    def _note_times(self, told: Sequence[ChatTold], now_ms: float) -> None:
        if self._first_token_ms is None:
            self._first_token_ms = now_ms - self.started_ms
        if self._first_text_ms is None and any(isinstance(delta, TextDelta) for delta in told):
            self._first_text_ms = now_ms - self.started_ms

    def _ended(self, now_ms: float) -> ChatOutcome:
        """The worst of the choices. A stream without any is no answer, whatever its end says."""
        is_cut = self._is_cut
        ends = [(choice.status(is_cut=is_cut), choice.reason(is_cut=is_cut)) for choice in self._choices.values()]
        nothing: tuple[ChatStatus, str] = ("truncated", "cut" if is_cut else "empty")
        status, reason = min(ends, key=lambda end: BAD_STATUSES.index(end[0]), default=nothing)
        return self._outcome_of(status, reason, now_ms)

    def _outcome_of(self, status: ChatStatus, reason: str, now_ms: float) -> ChatOutcome:
        return ChatOutcome(
            status,
            reason,
            first_token_ms=self._first_token_ms,
            first_text_ms=self._first_text_ms,
            total_ms=now_ms - self.started_ms,
        )


def fold_completion(completion: wire.ChatCompletion, *, started_ms: float, now_ms: float) -> ChatReply:
    """The answer that one body holds. Its first token came with the whole of it."""
    fold = ReplyFold(started_ms=started_ms)
    fold.push_whole(completion, now_ms)
    fold.done(now_ms)
    return fold.reply
