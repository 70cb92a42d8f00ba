"""Structured answers: read by their form, told while they grow, typed when they do not fit."""

from __future__ import annotations

import json
import logging
import traceback
from itertools import pairwise
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tests.chat.driving import BACKENDS, DONE, Told, asking, calls, chunk, emulated, run, said, sse, stop, usage, whole
from xai_realtime import ConfigurationError, ServiceError
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.protocol.chat_reply import ChatReply

MODEL = "grok-4.6"
CANARY = "canary-words"


class Step(BaseModel):
    name: str
    response: str = "deeper"


class Graph(BaseModel):
    """What a conversational graph says: its answer comes after an object that has a field of the same name."""

    before: Step
    response: str
    parts: list[Step]
    score: float


VALUE: dict[str, Any] = {
    "before": {"name": 'quoted "name" \\ { [', "response": "not this"},
    "response": 'Hello, "you" \\ \n\u00e9\u2028 \U0001f600 end',
    "parts": [{"name": "one", "response": "first"}, {"name": "two", "response": "second"}],
    "score": -12.5,
}
SCHEMA = {"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]}


def spoken(text: str, *cuts: int, gap_s: float = 0.0) -> Told:
    """A stream that says a text in pieces."""
    places = [0, *cuts, len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(places)]
    return sse(*(part for piece in pieces for part in (gap_s, said(piece))), stop(usage=usage()))


# What fits


@BACKENDS
@pytest.mark.behaviour("structured-parsed")
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Graph, Graph.model_validate(VALUE)),
        (SCHEMA, VALUE),
        ("json", VALUE),
        ({"type": "json_object"}, VALUE),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, VALUE),
        ("text", None),
        (None, None),
    ],
)
def test_answer_is_read_by_the_form_that_was_asked_for(backend: str, form: Any, expected: Any) -> None:
    async def main() -> None:
        text = json.dumps(VALUE, indent=1)
        async with asking(whole(text), spoken(text, 3, 40), spoken(text)) as (chat, _):
            created = await chat.create(MODEL, "hi", response_format=form)
            async with chat.stream(MODEL, "hi", response_format=form) as stream:
                assert stream.parsed is None
                streamed = await stream.finish()
                assert stream.parsed == expected
            ran = await chat.run(MODEL, ChatConversation([("user", "hi")], settings={"response_format": form}))
            for reply in (created, streamed, ran):
                assert reply.parsed == expected and type(reply.parsed) is type(expected)
                assert reply.text == text
                assert reply.outcome is not None and reply.outcome.is_complete

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-parsed")
def test_value_that_is_null_or_empty_is_parsed_too(backend: str) -> None:
    async def main() -> None:
        async with asking(whole("null"), whole("[]"), whole(" 0 ")) as (chat, _):
            values: tuple[Any, ...] = (None, [], 0)
            for expected in values:
                reply = await chat.create(MODEL, "hi", response_format="json")
                assert reply.parsed == expected
                assert reply.outcome is not None and reply.outcome.is_complete

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-parsed")
def test_emulated_service_answers_in_the_form_of_a_model(backend: str) -> None:
    async def main() -> None:
        async with emulated() as chat:
            reply = await chat.create(MODEL, "hello there", response_format=Graph)
            assert isinstance(reply.parsed, Graph) and reply.parsed.response

    run(main, backend)


# While it grows


@BACKENDS
@pytest.mark.behaviour("structured-grows")
@pytest.mark.parametrize("ascii_only", [True, False])
def test_field_and_partial_objects_are_told_at_any_cut(backend: str, ascii_only: bool) -> None:
    async def main() -> None:
        text = json.dumps(VALUE, ensure_ascii=ascii_only)
        for cut in range(1, len(text)):
            async with asking(spoken(text, cut)) as (chat, _):
                async with chat.stream(MODEL, "hi", response_format=Graph) as stream:
                    assert "".join([piece async for piece in stream.text_of("response")]) == VALUE["response"]
                    assert stream.parsed == Graph.model_validate(VALUE)
                async with chat.stream(MODEL, "hi", response_format=Graph) as stream:
                    partials = [partial async for partial in stream.partials()]
                    assert partials[-1] == VALUE
                    assert all(list(partial) == list(VALUE)[: len(partial)] for partial in partials)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-grows")
@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("response", VALUE["response"]),
        (("before", "response"), "not this"),
        (("parts", 1, "response"), "second"),
        (("parts", 7, "response"), ""),
        ("score", ""),
        ("absent", ""),
    ],
)
def test_field_is_told_letter_by_letter_and_no_other_one(backend: str, field: Any, expected: str) -> None:
    async def main() -> None:
        text = json.dumps(VALUE)
        async with asking(spoken(text, *range(1, len(text)))) as (chat, _):
            async with chat.stream(MODEL, "hi", response_format="json") as stream:
                with pytest.raises(ConfigurationError, match="a field is a name"):
                    await anext(stream.text_of(()))
                pieces = [piece async for piece in stream.text_of(field)]
                assert "".join(pieces) == expected and all(pieces)
                assert len(pieces) == len(expected)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-speech-starts-early")
def test_speech_can_start_long_before_the_object_is_whole(backend: str) -> None:
    text = json.dumps({"response": "One two three.", "reasons": ["because"] * 50, "score": 1})

    async def main() -> None:
        async with asking(spoken(text, *range(1, len(text)), gap_s=0.05)) as (chat, _):
            async with chat.stream(MODEL, "hi", response_format="json") as stream:
                told = [(anyio.current_time(), piece) async for piece in stream.text_of("response")]
                ended_s = anyio.current_time()
            begin = text.index("One")
            assert told[0][0] == pytest.approx((begin + 1) * 0.05) and told[0][1] == "O"
            assert told[-1][0] == pytest.approx((begin + len("One two three.")) * 0.05)
            assert ended_s == pytest.approx(len(text) * 0.05)
            assert told[-1][0] < ended_s / 10
            async with chat.stream(MODEL, "hi", response_format="json") as stream:
                began_s = anyio.current_time()
                async for partial in stream.partials():
                    if partial.get("response") == "One two three.":
                        break
                assert anyio.current_time() - began_s == pytest.approx((begin + len("One two three.")) * 0.05)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-speech-starts-early")
def test_emulated_answer_is_spoken_while_it_is_written(backend: str) -> None:
    text = json.dumps({"response": "One two three four.", "rest": " ".join(["word"] * 40)})

    async def main() -> None:
        async with emulated(lambda prompt: text, first_token_ms=500, token_ms=100) as chat:
            async with chat.stream(MODEL, "hi", response_format=SCHEMA) as stream:
                told = [(anyio.current_time(), piece) async for piece in stream.text_of("response")]
            assert "".join(piece for _, piece in told) == "One two three four."
            assert told[0][0] == pytest.approx(0.6) and told[-1][0] < 1.1
            assert stream.outcome is not None and stream.outcome.total_ms is not None
            assert stream.outcome.total_ms > 4000
            assert stream.parsed == json.loads(text)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-grows")
def test_text_that_is_no_json_is_told_as_nothing(backend: str) -> None:
    async def main() -> None:
        async with asking(spoken("Well, I would say...", 3, 9)) as (chat, _):
            async with chat.stream(MODEL, "hi", response_format="json") as stream:
                assert [piece async for piece in stream.text_of("response")] == []
            async with chat.stream(MODEL, "hi", response_format="json") as stream:
                assert [partial async for partial in stream.partials()] == []
                assert stream.outcome is not None and stream.outcome.status == "unparsed"

    run(main, backend)


# What does not fit

NO_JSON = ["canary-words", "", '{"a": canary-words}', '{"a": NaN}', "[1, 2", '{"a": 1} {"b": 2}']


class Picky(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mood: int
    words: dict[str, int] = Field(default_factory=dict)
    tags: list[int] = Field(default_factory=list)
    said: str = Field(default="", alias="saidText", max_length=50)

    @field_validator("said")
    @classmethod
    def not_odd(cls, value: str) -> str:
        if value == "odd":
            raise KeyError(CANARY)
        if value == "wrong":
            raise ValueError(f"not {value} {CANARY}")
        return value


MISFITS = {
    "no json": (f"Sorry, {CANARY}", "(all)"),
    "cut json": ('{"mood": 3, "saidText": "canary-words', "(all)"),
    "behind it": ('{"mood": 3} canary-words', "(all)"),
    "empty": ("", "(all)"),
    "another type": ('"canary-words"', "(all)"),
    "wrong type": ('{"mood": "canary-words"}', "mood"),
    "missing": ("{}", "mood"),
    "unknown field": ('{"mood": 3, "canary-words": 1}', "*"),
    "key of a map": ('{"mood": 3, "words": {"canary-words": "x"}}', "words.*"),
    "own rule": ('{"mood": 3, "saidText": "wrong"}', "saidText"),
    "several": ('{"mood": "x", "saidText": 7}', "mood, saidText"),
    "many": ('{"mood": 3, "tags": ["x", "x", "x", "x", "x", "x", "x"]}', "tags.0, tags.1, tags.2, tags.3, tags.4, ..."),
}


@BACKENDS
@pytest.mark.behaviour("bug-30", "structured-no-text")
@pytest.mark.parametrize("kind", list(MISFITS))
def test_answer_that_does_not_fit_is_typed_and_says_where_but_not_what(
    backend: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    text, places = MISFITS[kind]

    def checked(reply: ChatReply) -> None:
        outcome = reply.outcome
        assert outcome is not None and reply.parsed is None and not outcome.is_complete
        assert (outcome.status, outcome.reason) == ("unparsed", "unparsed")
        assert reply.text == text, "what the model said is not lost"
        assert reply.usage.is_complete and outcome.total_ms is not None
        assert isinstance(outcome.error, ValueError)
        assert str(outcome.error) == f"the answer does not fit Picky: {places}"
        shown = [
            repr(reply),
            repr(outcome),
            *traceback.format_exception(outcome.error),
            repr(outcome.error.__context__),
        ]
        assert not any(CANARY in line for line in shown)

    async def main() -> None:
        async with asking(whole(text), spoken(text), spoken(text)) as (chat, _):
            checked(await chat.create(MODEL, "hi", response_format=Picky))
            async with chat.stream(MODEL, "hi", response_format=Picky) as stream:
                checked(await stream.finish())
                assert stream.outcome == stream.reply.outcome and CANARY not in repr(stream)
            checked(await chat.run(MODEL, "hi", response_format=Picky))

    caplog.set_level(logging.DEBUG)
    run(main, backend)
    assert CANARY not in caplog.text


@BACKENDS
@pytest.mark.behaviour("bug-30", "structured-no-text")
@pytest.mark.parametrize(
    "text", ["canary-words", "", '{"a": canary-words}', '{"a": NaN}', "[1, 2", '{"a": 1} {"b": 2}']
)
def test_text_that_is_no_json_is_unparsed_where_json_was_asked_for(backend: str, text: str) -> None:
    async def main() -> None:
        async with asking(whole(text)) as (chat, _):
            for form in ("json", SCHEMA):
                reply = await chat.create(MODEL, "hi", response_format=form)
                assert reply.outcome is not None and reply.parsed is None
                assert reply.outcome.status == "unparsed" and isinstance(reply.outcome.error, ValueError)
                assert CANARY not in f"{reply.outcome.error} {reply.outcome!r} {reply!r}"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-30")
def test_validator_that_fails_in_its_own_way_makes_the_answer_unparsed(backend: str) -> None:
    async def main() -> None:
        text = '{"mood": 3, "saidText": "odd"}'
        async with asking(whole(text), spoken(text)) as (chat, service):
            created = await chat.create(MODEL, "hi", response_format=Picky)
            async with chat.stream(MODEL, "hi", response_format=Picky) as stream:
                streamed = await stream.finish()
            for reply in (created, streamed):
                assert reply.outcome is not None and reply.outcome.status == "unparsed"
                assert isinstance(reply.outcome.error, KeyError) and reply.parsed is None
                assert CANARY not in repr(reply)
            assert service.open_answers == 0

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-not-read")
@pytest.mark.parametrize(
    ("pieces", "status", "reason"),
    [
        ([chunk({"refusal": "I will not."}), stop(), DONE], "refused", "refusal"),
        ([said('{"mood": 3}'), stop("content_filter"), DONE], "refused", "content_filter"),
        ([said('{"mood": 3}'), stop("length"), DONE], "truncated", "length"),
        ([said('{"mood": 3}')], "truncated", "cut"),
        ([], "truncated", "cut"),
    ],
)
def test_refusal_and_truncation_are_typed_and_are_not_read(
    backend: str, pieces: list[bytes], status: str, reason: str
) -> None:
    async def main() -> None:
        async with asking(sse(*pieces, done=False)) as (chat, _):
            async with chat.stream(MODEL, "hi", response_format=Picky) as stream:
                streamed = await stream.finish()
            ran = await chat.run(MODEL, "hi", response_format=Picky)
            for reply in (streamed, ran):
                assert reply.outcome is not None and reply.parsed is None
                assert (reply.outcome.status, reply.outcome.reason) == (status, reason)
                assert reply.outcome.error is None

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-not-read")
def test_whole_answer_that_is_refused_or_cut_is_not_read(backend: str) -> None:
    async def main() -> None:
        message = {"role": "assistant", "content": '{"mood": 3}'}
        refused = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}}
        script = (
            whole(choices=[{"index": 0, "message": message, "finish_reason": "length"}]),
            whole(choices=[{**refused, "finish_reason": "stop"}]),
        )
        async with asking(*script) as (chat, _):
            for status in ("truncated", "refused"):
                reply = await chat.create(MODEL, "hi", response_format=Picky)
                assert reply.outcome is not None and reply.outcome.status == status and reply.parsed is None

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-not-read")
def test_answer_that_is_cancelled_or_fails_is_not_read(backend: str) -> None:
    async def main() -> None:
        failing = sse(said('{"mood": 3}'), b'data: {"code":"busy","error":"No."}\n\n')
        async with asking(spoken('{"mood": 3}', 5, gap_s=1), failing) as (chat, _):
            async with chat.stream(MODEL, "hi", response_format=Picky) as stream:
                partials = []
                async for partial in stream.partials():
                    partials.append(partial)
                    await stream.cancel()
                assert partials == [{}] or partials == [{"mood": 3}]
                assert stream.outcome is not None and stream.outcome.status == "cancelled" and stream.parsed is None
            async with chat.stream(MODEL, "hi", response_format=Picky) as stream:
                with pytest.raises(ServiceError):
                    await stream.finish()
                assert stream.outcome is not None and stream.outcome.status == "failed" and stream.parsed is None

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("structured-not-read")
def test_answer_that_calls_is_not_read(backend: str) -> None:
    async def main() -> None:
        call = chunk(calls((0, "c1", "look", "{}")))
        tools = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]
        async with asking(sse(said("Wait."), call, stop("tool_calls"))) as (chat, _):
            async with chat.stream(MODEL, "hi", response_format=Picky, tools=tools) as stream:
                reply = await stream.finish()
            assert reply.parsed is None and reply.outcome is not None and reply.outcome.is_complete

    run(main, backend)
