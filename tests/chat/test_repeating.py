"""Chunks that repeat all but their text are read quickly, and never otherwise than the codec reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.chat._repeating import MAX_VAIN, RepeatingChunks
from xai_realtime.codec import chat_codec
from xai_realtime.events import chat
from xai_realtime.protocol.chat_reply import ReplyFold

TEXTS = st.text(max_size=12) | st.sampled_from(
    ['"', "\\", '","content":"x', "}}]}", "\u2028", "né", "\N{GRINNING FACE}"]
)


def chunk(text: Any, *, delta: Any = None, choice: Any = None, **more: Any) -> dict[str, Any]:
    content = {"content": text, **(delta or {})}
    return {"id": "a", "model": "m", "choices": [{"index": 0, "delta": content, **(choice or {})}], "x": 1, **more}


def written(value: Any, *, spaced: bool = False, ascii_only: bool = False) -> bytes:
    separators = None if spaced else (",", ":")
    return json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def taught(data: bytes) -> RepeatingChunks:
    repeating = RepeatingChunks()
    learn(repeating, data)
    return repeating


def learn(repeating: RepeatingChunks, data: bytes) -> None:
    read = chat_codec.decode_chunk(data)
    assert isinstance(read, chat.ChatCompletionChunk)
    repeating.learn(data, read)


EXTRA = st.fixed_dictionaries(
    {},
    optional={
        "delta": st.sampled_from(
            [{"role": "assistant"}, {"reasoning_content": "r"}, {"refusal": "no"}, {"y": "content"}]
        ),
        "choice": st.sampled_from([{"finish_reason": "stop"}, {"index": 1}, {"logprobs": {"content": "x"}}]),
        "usage": st.sampled_from([{"total_tokens": 3}, None]),
        "citations": st.sampled_from([["https://example.com"], None]),
        "created": st.integers(0, 2),
        "model": st.sampled_from(["m", "n"]),
        "x": st.sampled_from([1, {"content": "x"}, '"content":"x"']),
    },
)


@given(st.lists(st.tuples(TEXTS, EXTRA, st.booleans(), st.booleans()), max_size=8), st.booleans())
def test_stream_is_read_as_without_the_quick_way(
    chunks: list[tuple[str, dict[str, Any], bool, bool]], flag: bool
) -> None:
    plain, quick, repeating = ReplyFold(started_ms=0.0), ReplyFold(started_ms=0.0), RepeatingChunks()
    for number, (text, more, spaced, ascii_only) in enumerate(chunks):
        data = written(chunk(text, **more), spaced=spaced and flag, ascii_only=ascii_only)
        read = chat_codec.decode_chunk(data)
        if not isinstance(read, chat.ChatCompletionChunk):
            assert repeating.text(data) is None
            continue
        told = plain.push(read, number)
        found = repeating.text(data)
        if found is None:
            assert quick.push(read, number) == told
            repeating.learn(data, read)
        else:
            assert (quick.push_text(found, repeating.choice, number),) == told
    assert quick.reply == plain.reply
    assert quick.done(9) == plain.done(9)


@given(st.binary(max_size=30))
def test_what_stands_between_is_a_json_text_or_it_is_no_repetition(between: bytes) -> None:
    data = written(chunk("one"))
    repeating = taught(data)
    before, _, after = data.partition(b'"one"')
    found = repeating.text(before + between + after)
    read = chat_codec.decode_chunk(before + between + after)
    if found is not None:
        assert isinstance(read, chat.ChatCompletionChunk)
        assert read.choices is not None
        assert read.choices[0].delta is not None
        assert read.choices[0].delta.content == found


def test_text_of_a_repeating_chunk_is_found_whatever_is_in_it() -> None:
    repeating = taught(written(chunk("one")))
    for text in ("two", ' "quoted" \\ ', "né\n", '","content":"x'):
        assert repeating.text(written(chunk(text))) == text
        assert repeating.text(written(chunk(text), ascii_only=True)) == text
    assert repeating.text(written(chunk(""))) is None
    assert repeating.text(written(chunk(None))) is None
    assert repeating.text(written(chunk("two"))[:-1]) is None


@pytest.mark.parametrize(
    "value",
    [
        chunk("one", x={"content": "other"}),
        chunk("one", usage={"total_tokens": 1}),
        chunk("one", delta={"role": "assistant"}),
        chunk("one", delta={"tool_calls": [{"index": 0}]}),
        chunk("one", choice={"finish_reason": "stop"}),
        chunk("one", choice={"index": None}),
        chunk("one", choice={"delta": None}),
        chunk("", x=1),
        {"id": "a", "choices": []},
        {"id": "a", "choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]},
    ],
)
def test_chunk_that_says_more_is_no_pattern(value: Any) -> None:
    repeating = taught(written(value))
    assert repeating.text(written(value).replace(b"one", b"two")) is None


def test_text_at_another_place_of_that_name_is_no_pattern() -> None:
    value = {"id": "a", "choices": [{"index": 0, "delta": {"content": "one"}}], "x": {}}
    data = written(value).replace(b'"content":"one"', b'"content" :"one"').replace(b"{}", b'{"content":"one"}')
    assert taught(data).text(data) is None


def test_pattern_is_given_up_when_no_chunk_repeats() -> None:
    repeating = RepeatingChunks()
    for number in range(MAX_VAIN + 2):
        data = written(chunk("one", created=number))
        assert repeating.text(data) is None
        learn(repeating, data)
    assert repeating.text(written(chunk("two", created=MAX_VAIN - 1))) is None
    assert repeating.text(written(chunk("two", created=MAX_VAIN + 1))) is None


def test_words_after_the_end_of_an_answer_are_not_told() -> None:
    fold = ReplyFold(started_ms=0.0)
    assert fold.push_text("One ", 0, 5.0) is not None
    fold.done(6.0)
    assert fold.push_text("two.", 0, 7.0) is None
    assert fold.reply.text == "One "
    assert fold.reply.outcome is not None
    assert fold.reply.outcome.first_text_ms == 5.0
