"""A chat answer is told as it comes, kept whole, and ends once, with one typed outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.codec import chat_codec
from xai_realtime.events import chat as wire
from xai_realtime.events._chat import ChatStreamError
from xai_realtime.protocol.chat_outcome import ChatOutcome, ReasoningDelta, RefusalDelta, TextDelta, ToolDelta
from xai_realtime.protocol.chat_reply import LIFE, ChatChoice, ChatReply, ReplyFold, fold_completion

OUTCOME = pytest.mark.behaviour("chat-one-outcome")
WHOLE = pytest.mark.behaviour("chat-nothing-is-lost")


def chunk(*choices: dict[str, Any], **fields: Any) -> wire.ChatCompletionChunk:
    found = chat_codec.decode_chunk(json.dumps({"choices": list(choices), **fields}).encode())
    assert isinstance(found, wire.ChatCompletionChunk)
    return found


def delta(index: int | None = 0, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


def call(name: str, arguments: str, index: int = 0) -> dict[str, Any]:
    return {
        "index": index,
        "id": f"call_{name}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def fold_of(*chunks: wire.ChatCompletionChunk) -> ReplyFold:
    fold = ReplyFold(started_ms=0.0)
    for number, each in enumerate(chunks, start=1):
        fold.push(each, 100.0 * number)
    return fold


HEAD = {"id": "c1", "created": 1785214081, "model": "grok-4.6-0807", "system_fingerprint": "fp_1"}
USAGE = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 241, "prompt_tokens_details": None}
STREAM = [
    chunk(delta(role="assistant", reasoning_content="Let me "), **HEAD),
    chunk(delta(reasoning_content="see."), **HEAD),
    chunk(delta(content="It is"), **HEAD),
    chunk(delta(content=" 4."), **HEAD, citations=["https://a.example"]),
    chunk(delta(tool_calls=[call("note", '{"x":4}')]), **HEAD),
    chunk(delta(finish_reason="tool_calls"), **HEAD, service_tier="default"),
    chunk(**HEAD, usage=USAGE),
]


@WHOLE
def test_stream_is_told_piece_by_piece_and_kept_whole() -> None:
    fold = ReplyFold(started_ms=1000.0)
    told = [each for number, piece in enumerate(STREAM) for each in fold.push(piece, 1100.0 + 50 * number)]
    assert told == [
        ReasoningDelta("Let me "),
        ReasoningDelta("see."),
        TextDelta("It is"),
        TextDelta(" 4."),
        ToolDelta(0, "call_note", "note", '{"x":4}'),
    ]
    assert fold.outcome is None and fold.is_finished
    assert fold.done(1500.0) == ChatOutcome("complete", "tool_calls", None, 100.0, 200.0, 500.0)
    reply = fold.reply
    assert (reply.text, reply.reasoning, reply.refusal, reply.finish_reason) == (
        "It is 4.",
        "Let me see.",
        "",
        "tool_calls",
    )
    assert (reply.id, reply.created_s, reply.model) == ("c1", 1785214081, "grok-4.6-0807") and fold.model == reply.model
    assert (reply.citations, reply.service_tier) == (("https://a.example",), "default")
    assert reply.system_fingerprint == "fp_1"
    assert reply.usage.total_tokens == 241 and reply.usage.is_complete
    assert [item.to_wire() for item in reply.tool_calls] == [
        {"id": "call_note", "type": "function", "function": {"name": "note", "arguments": '{"x":4}'}}
    ]
    assert reply.to_message() == {
        "role": "assistant",
        "content": "It is 4.",
        "tool_calls": [item.to_wire() for item in reply.tool_calls],
    }
    assert reply.to_message(with_reasoning=True)["reasoning_content"] == "Let me see."
    assert ChatChoice(text="x").to_message() == {"role": "assistant", "content": "x"}


@WHOLE
@pytest.mark.behaviour("bug-8")
def test_everything_of_a_chunk_is_told_when_content_stands_beside_tool_calls() -> None:
    fold = ReplyFold(started_ms=0.0)
    calls = [call("a", "{}"), call("b", "{}", 1)]
    said = chunk(
        delta(content="On it.", reasoning_content="Hm.", refusal="No.", tool_calls=calls, finish_reason="stop")
    )
    assert fold.push(said, 1.0) == (
        ReasoningDelta("Hm."),
        TextDelta("On it."),
        RefusalDelta("No."),
        ToolDelta(0, "call_a", "a", "{}"),
        ToolDelta(1, "call_b", "b", "{}"),
    )
    assert (fold.reply.text, fold.reply.refusal) == ("On it.", "No.")


@WHOLE
@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3), st.text(max_size=3)), max_size=20))
def test_choices_are_kept_apart_when_they_are_interleaved(pieces: list[tuple[int, str, str]]) -> None:
    fold = fold_of(*(chunk(delta(index, content=text, reasoning_content=thought)) for index, text, thought in pieces))
    for choice in fold.reply.choices:
        assert choice.text == "".join(text for index, text, _ in pieces if index == choice.index)
        assert choice.reasoning == "".join(thought for index, _, thought in pieces if index == choice.index)
        assert choice.status is None
    assert [choice.index for choice in fold.reply.choices] == sorted({index for index, _, _ in pieces})


def test_choices_without_an_index_count_by_their_place() -> None:
    fold = fold_of(chunk(delta(None, content="a"), delta(None, content="b")), chunk(delta(None, content="c")))
    assert [choice.text for choice in fold.reply.choices] == ["ac", "b"]


@WHOLE
@pytest.mark.parametrize(
    "empty",
    [
        {"choices": None},
        {"choices": []},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 0}]},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": None, "tool_calls": []}}]},
    ],
)
def test_chunk_without_anything_new_tells_nothing_and_is_no_first_token(empty: dict[str, Any]) -> None:
    fold = ReplyFold(started_ms=0.0)
    found = chat_codec.decode_chunk(json.dumps(empty).encode())
    assert isinstance(found, wire.ChatCompletionChunk)
    assert fold.push(found, 5.0) == ()
    assert not fold.has_output
    fold.push(chunk(delta(content="x")), 9.0)
    assert fold.has_output
    assert fold.done(10.0).first_token_ms == 9.0


def test_role_model_and_tier_may_be_repeated_and_the_first_id_holds() -> None:
    fold = fold_of(
        chunk(delta(role="assistant", content="a"), id="one", model="first", citations=["u"]),
        chunk(delta(role="assistant", content="b"), id="two", model="second", citations=[{"url": "x"}], created=5),
        chunk(delta(role=None), model=None, created=6),
    )
    reply = fold.reply
    assert (reply.text, reply.id, reply.model, reply.created_s, reply.citations) == ("ab", "one", "second", 5, ("u",))
    assert reply.choice.role == "assistant"


def test_log_probabilities_are_kept_as_they_come() -> None:
    fold = fold_of(chunk({**delta(content="a"), "logprobs": {"content": [1]}}), chunk(delta(content="b")))
    assert fold.reply.choice.logprobs == ({"content": [1]},)


# How it ends.


@OUTCOME
@pytest.mark.parametrize(
    ("chunks", "status", "reason"),
    [
        ([chunk(delta(content="a", finish_reason="stop"))], "complete", "stop"),
        ([chunk(delta(content="a", finish_reason="end_turn"))], "complete", "end_turn"),
        ([chunk(delta(content="a", finish_reason="never_heard_of"))], "complete", "never_heard_of"),
        ([chunk(delta(content="a"))], "complete", ""),
        ([chunk(delta(content="a", finish_reason="length"))], "truncated", "length"),
        ([chunk(delta(content="a", finish_reason="content_filter"))], "refused", "content_filter"),
        ([chunk(delta(refusal="No.", finish_reason="content_filter"))], "refused", "content_filter"),
        ([chunk(delta(refusal="No.")), chunk(delta(finish_reason="stop"))], "refused", "refusal"),
        ([chunk(delta(content="a", finish_reason="error"))], "failed", "error"),
        ([chunk(delta(0, "stop"), delta(1, "length"), delta(2, "content_filter"))], "truncated", "length"),
        ([chunk(delta(0, "stop"), delta(1, "content_filter"))], "refused", "content_filter"),
        ([], "truncated", "empty"),
    ],
)
def test_finish_reason_becomes_a_typed_outcome(
    chunks: list[wire.ChatCompletionChunk], status: str, reason: str
) -> None:
    fold = fold_of(*chunks)
    outcome = fold.done(900.0)
    assert (outcome.status, outcome.reason, outcome.total_ms) == (status, reason, 900.0)
    assert outcome.is_complete == (status == "complete")
    assert fold.outcome is outcome


@OUTCOME
@pytest.mark.behaviour("chat-usage-incomplete")
def test_stream_that_is_cut_before_its_finish_reason_is_truncated_and_its_usage_incomplete() -> None:
    fold = fold_of(chunk(delta(content="a"), usage={"completion_tokens": 1}))
    outcome = fold.closed(200.0)
    assert (outcome.status, outcome.reason) == ("truncated", "cut")
    assert fold.reply.text == "a" and fold.reply.choice.status == "truncated"
    assert fold.usage.completion_tokens == 1 and not fold.usage.is_complete


@OUTCOME
def test_stream_that_is_closed_after_its_finish_reason_is_complete_without_the_mark_of_the_end() -> None:
    fold = fold_of(chunk(delta(content="a", finish_reason="stop")), chunk(usage={"completion_tokens": 1}))
    assert fold.closed(200.0).status == "complete"
    assert fold.usage.is_complete
    fold = fold_of(chunk(delta(content="a", finish_reason="stop")))
    assert fold.closed(200.0).status == "complete"
    assert not fold.usage.is_complete


@OUTCOME
def test_one_of_two_choices_is_truncated_when_the_stream_is_cut_between_them() -> None:
    fold = fold_of(chunk(delta(0, "length", content="a"), delta(1, content="b"), delta(2, "stop", content="c")))
    assert fold.closed(9.0).status == "truncated"
    assert [choice.status for choice in fold.reply.choices] == ["truncated", "truncated", "complete"]


@OUTCOME
def test_cancelled_stream_keeps_what_came() -> None:
    fold = fold_of(chunk(delta(content="a"), usage={"prompt_tokens": 3}))
    assert fold.cancel(150.0) == ChatOutcome("cancelled", "cancelled", None, 100.0, 100.0, 150.0)
    assert fold.reply.text == "a"
    assert fold.reply.usage.prompt_tokens == 3 and not fold.reply.usage.is_complete


@OUTCOME
@pytest.mark.behaviour("bug-10")
@pytest.mark.parametrize("error", [ChatStreamError("c", "No."), OSError("line broke")])
def test_failed_stream_has_the_error_in_its_outcome_and_keeps_what_came(error: Any) -> None:
    fold = fold_of(chunk(delta(content="a")))
    outcome = fold.fail(error, 150.0)
    assert (outcome.status, outcome.reason) == ("failed", "error")
    assert outcome.error is error
    assert fold.reply.text == "a" and not outcome.is_complete


@OUTCOME
@given(st.lists(st.sampled_from(["push", "done", "closed", "cancel", "fail"]), max_size=12))
def test_answer_ends_once_and_nothing_counts_that_comes_later(steps: list[str]) -> None:
    fold = ReplyFold(started_ms=0.0)
    first: ChatOutcome | None = None
    text = ""
    for now_ms, step in enumerate(steps):
        if step == "push":
            told = fold.push(chunk(delta(content="x"), usage={"completion_tokens": now_ms + 1}), now_ms)
            assert told == (() if first else (TextDelta("x"),))
            text += "" if first else "x"
        else:
            end = getattr(fold, step)
            outcome = end(ChatStreamError(), now_ms) if step == "fail" else end(now_ms)
            first = first or outcome
            assert outcome == first
    assert fold.outcome == first
    assert fold.reply.text == text
    assert fold.usage.completion_tokens == (
        max((at + 1 for at, s in enumerate(steps[: _end(steps)]) if s == "push"), default=None)
    )


def _end(steps: list[str]) -> int:
    return next((at for at, step in enumerate(steps) if step != "push"), len(steps))


def test_table_of_an_answer_has_no_way_out_of_its_end() -> None:
    assert {state for state, _ in LIFE} == {"waiting", "speaking"}
    assert set(LIFE.values()) == {"waiting", "speaking", "ended"}


# Whole bodies.


def completion(**fields: Any) -> wire.ChatCompletion:
    found = chat_codec.decode(json.dumps({"id": "c1", **fields}).encode(), wire.ChatCompletion)
    assert isinstance(found, wire.ChatCompletion)
    return found


def test_whole_body_gives_the_same_answer_as_its_stream() -> None:
    message = {
        "role": "assistant",
        "content": "It is 4.",
        "reasoning_content": "Let me see.",
        "refusal": None,
        "tool_calls": [call("note", '{"x":4}')],
    }
    body = completion(
        **{**HEAD, "citations": ["https://a.example"], "service_tier": "default", "usage": USAGE},
        choices=[{"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}],
    )
    reply = fold_completion(body, started_ms=0.0, now_ms=500.0)
    fold = fold_of(*STREAM)
    fold.done(500.0)
    assert reply.choices == fold.reply.choices
    assert reply.usage == fold.reply.usage
    assert reply.outcome == ChatOutcome("complete", "tool_calls", None, 500.0, 500.0, 500.0)
    assert (reply.model, reply.citations, reply.service_tier) == ("grok-4.6-0807", ("https://a.example",), "default")


@pytest.mark.parametrize(
    ("choices", "status"),
    [
        (None, "truncated"),
        ([], "truncated"),
        ([{"index": 0, "message": None, "finish_reason": "stop"}], "complete"),
        ([{"index": 0, "message": {"content": None}, "finish_reason": "stop"}], "complete"),
        ([{"message": {"content": "a"}, "finish_reason": "length"}], "truncated"),
    ],
)
def test_whole_body_is_read_when_parts_of_it_are_missing(choices: Any, status: str) -> None:
    reply = fold_completion(completion(choices=choices), started_ms=0.0, now_ms=1.0)
    assert reply.outcome is not None and reply.outcome.status == status
    assert not reply.usage.is_known


@pytest.mark.behaviour("bug-7")
def test_calls_of_a_whole_body_are_kept_apart_when_they_have_neither_id_nor_index_nor_arguments() -> None:
    calls = [{"function": {"name": "now"}}, {"function": {"name": "now"}}, {"id": "a"}, {"id": "a"}]
    reply = fold_completion(completion(choices=[{"message": {"tool_calls": calls}}]), started_ms=0.0, now_ms=1.0)
    assert [(item.id, item.name, item.arguments) for item in reply.tool_calls] == [
        ("call_0", "now", "{}"),
        ("call_1", "now", "{}"),
        ("a", "", "{}"),
    ]
    assert "reasoning_content" not in reply.to_message(with_reasoning=True)


def test_reply_without_a_choice_is_empty() -> None:
    assert (ChatReply().text, ChatReply().tool_calls, ChatReply().choice) == ("", (), ChatChoice())


def test_repr_of_an_answer_shows_no_text() -> None:
    fold = fold_of(chunk(delta(content="CANARY", reasoning_content="CANARY", tool_calls=[call("x", "CANARY")])))
    fold.fail(ChatStreamError("c", "CANARY"), 1.0)
    told = ReplyFold(started_ms=0.0).push(chunk(delta(content="CANARY", tool_calls=[call("x", "CANARY")])), 1.0)
    assert "CANARY" not in f"{fold.reply!r} {told!r}"
