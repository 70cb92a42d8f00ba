"""An answer while it is written: what it tells and when, what stays of it, what it used."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.chat.driving import (
    BACKENDS,
    DONE,
    JSON,
    MODEL,
    Hang,
    Told,
    asking,
    calls,
    chunk,
    emulated,
    event,
    run,
    said,
    sse,
    stop,
    usage,
    whole,
)
from xai_realtime import AsyncClient
from xai_realtime.chat.stream import ChatStream
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ConfigurationError, ServiceError
from xai_realtime.protocol.chat_outcome import ChatTold, ReasoningDelta, RefusalDelta, TextDelta, ToolDelta
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.protocol.session_events import ResponseDone

HELLO = sse(said("Hel"), said("lo"), stop(), chunk(choices=[], usage=usage()))


async def told_by(stream: ChatStream) -> list[ChatTold]:
    async with stream:
        return [delta async for delta in stream]


@BACKENDS
def test_stream_tells_pieces_when_they_come_and_ends_with_the_whole_answer_and_its_times(backend: str) -> None:
    async def main() -> tuple[list[tuple[float, str]], ChatStream]:
        pieces = [0.3, chunk({"reasoning_content": "hm"}), 0.2, said("Hel"), 0.1, said("lo"), stop(), 0.05]
        async with asking(sse(*pieces)) as (chat, _):
            began_s = anyio.current_time()
            async with chat.stream(MODEL, "hi") as stream:
                assert stream.outcome is None
                told = [(round(anyio.current_time() - began_s, 3), delta.kind) async for delta in stream]
            return told, stream

    told, stream = run(main, backend)
    assert told == [(0.3, "reasoning"), (0.5, "text"), (0.6, "text")]
    assert (stream.reply.text, stream.reply.reasoning) == ("Hello", "hm")
    outcome = stream.outcome
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.is_complete) == ("complete", "stop", True)
    assert [round(ms or 0) for ms in (outcome.first_token_ms, outcome.first_text_ms, outcome.total_ms)] == [
        300,
        500,
        650,
    ]


@BACKENDS
def test_stream_works_against_the_emulator_at_its_pace(backend: str) -> None:
    async def main() -> ChatReply:
        async with emulated(lambda prompt: "one two three", first_token_ms=400, token_ms=50) as chat:
            async with chat.stream(MODEL, "hello") as stream:
                return await stream.finish()

    reply = run(main, backend)
    assert reply.text == "one two three"
    assert (reply.outcome.first_token_ms, reply.outcome.total_ms) == (400, 500)
    assert reply.usage.is_complete


ODD = [
    event({"id": "chat-id-1", "choices": None}),
    event({"id": "chat-id-1", "choices": []}),
    chunk(choices=[{"index": 0, "delta": None}]),
    chunk(choices=[{"index": 0}]),
    chunk({"role": "assistant", "content": None}),
    chunk({"content": ""}),
    b": a comment\n\n",
    b"event: ping\nretry: 10\n\n",
    chunk({"content": None, "tool_calls": None, "x_unknown": {"a": [1]}}, x_more=1),
]


@pytest.mark.behaviour("chat-nothing-is-lost")
@BACKENDS
def test_odd_chunks_are_passed_over_and_lose_nothing(backend: str) -> None:
    async def main() -> tuple[list[ChatTold], ChatReply]:
        pieces = [piece for text in ("a", "b", "c") for piece in (*ODD, said(text))]
        async with asking(sse(*pieces, *ODD, stop(), *ODD)) as (chat, _):
            stream = chat.stream(MODEL, "hi")
            return await told_by(stream), stream.reply

    told, reply = run(main, backend)
    assert told == [TextDelta("a"), TextDelta("b"), TextDelta("c")]
    assert (reply.text, reply.outcome.status) == ("abc", "complete")


@pytest.mark.behaviour("bug-8")
@BACKENDS
def test_everything_in_one_chunk_is_told(backend: str) -> None:
    async def main() -> tuple[list[ChatTold], ChatReply]:
        both = {
            "reasoning_content": "I look.",
            "content": "One moment.",
            "refusal": "Not all.",
            **calls((1, "call_1", "look", '{"a":1}'), (3, "call_2", "listen", "")),
        }
        async with asking(sse(chunk(both, finish="tool_calls", usage=usage()))) as (chat, _):
            stream = chat.stream(MODEL, "hi")
            return await told_by(stream), stream.reply

    told, reply = run(main, backend)
    assert told[:3] == [ReasoningDelta("I look."), TextDelta("One moment."), RefusalDelta("Not all.")]
    assert [(delta.position, delta.id, delta.name) for delta in told if isinstance(delta, ToolDelta)] == [
        (0, "call_1", "look"),
        (1, "call_2", "listen"),
    ]
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("call_1", "look", '{"a":1}'),
        ("call_2", "listen", "{}"),
    ]
    assert (reply.text, reply.refusal, reply.outcome.status) == ("One moment.", "Not all.", "refused")
    assert reply.usage.total_tokens == 14


@BACKENDS
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000_000])
def test_pieces_of_the_body_may_be_cut_anywhere_and_be_empty(backend: str, size: int) -> None:
    body = b"".join(piece for piece in [*ODD, said("Grüße 🙂"), *ODD, stop(usage=usage()), DONE])

    async def main() -> ChatReply:
        pieces = [piece for at in range(0, len(body), size) for piece in (body[at : at + size], b"")]
        async with asking(sse(*pieces, done=False)) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                return await stream.finish()

    reply = run(main, backend)
    assert (reply.text, reply.outcome.status, reply.usage.total_tokens) == ("Grüße 🙂", "complete", 14)


@pytest.mark.behaviour("bug-2")
@BACKENDS
def test_stream_knows_the_model_that_serves_tier_citations_and_usage_as_they_come(backend: str) -> None:
    async def main() -> list[Any]:
        pieces = [
            said("a", service_tier="priority", system_fingerprint="fp", usage=usage(11, 1)),
            said("b", citations=["https://example.org"], usage=usage(12, 2)),
            stop(usage={}),
        ]
        seen: list[Any] = []
        async with asking(sse(*pieces)) as (chat, _):
            async with chat.stream("grok-latest", "hi") as stream:
                async for _ in stream:
                    seen.append((stream.model, stream.usage.completion_tokens, stream.usage.is_complete))
            seen.append((stream.reply.service_tier, stream.reply.citations, stream.reply.system_fingerprint))
            seen.append((stream.usage.prompt_tokens, stream.usage.completion_tokens, stream.usage.is_complete))
        return seen

    assert run(main, backend) == [
        ("grok-4.6-0807", 1, False),
        ("grok-4.6-0807", 2, False),
        ("priority", ("https://example.org",), "fp"),
        (12, 2, True),
    ]


@BACKENDS
def test_parts_of_a_stream_share_one_pass(backend: str) -> None:
    async def main() -> tuple[str, list[str], ChatReply]:
        async with asking(sse(said("a"), said("b"), said("c"), stop())) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                first = await anext(stream)
                assert isinstance(first, TextDelta)
                rest = [text async for text in stream.text()]
                return first.text, rest, await stream.finish()

    first, rest, reply = run(main, backend)
    assert (first, rest, reply.text) == ("a", ["b", "c"], "abc")


@BACKENDS
def test_text_gives_the_words_of_the_first_choice_alone(backend: str) -> None:
    async def main() -> list[str]:
        choices = [{"index": place, "delta": {"content": text}} for place, text in enumerate(("a", "x"))]
        async with asking(sse(chunk({"reasoning_content": "hm"}), chunk(choices=choices), stop())) as (chat, _):
            async with chat.stream(MODEL, "hi", n=2) as stream:
                return [text async for text in stream.text()]

    assert run(main, backend) == ["a"]


ENDS = [
    ([said("a"), stop()], True, ("complete", "stop")),
    ([said("a"), stop("end_turn")], True, ("complete", "end_turn")),
    ([said("a"), stop()], False, ("complete", "stop")),
    ([said("a"), stop("length")], True, ("truncated", "length")),
    ([said("a")], False, ("truncated", "cut")),
    ([], False, ("truncated", "cut")),
    ([], True, ("truncated", "empty")),
    ([said("a"), stop("content_filter")], True, ("refused", "content_filter")),
    ([chunk({"refusal": "No."}), stop()], True, ("refused", "refusal")),
    ([said("a"), stop("error")], True, ("failed", "error")),
    ([chunk(calls((0, "call_1", "look", "{}"))), stop("tool_calls")], True, ("complete", "tool_calls")),
    ([said("a")], True, ("complete", "")),
]


@pytest.mark.behaviour("chat-one-outcome")
@BACKENDS
@pytest.mark.parametrize(("pieces", "has_done", "expected"), ENDS)
def test_stream_ends_with_one_typed_outcome(
    backend: str, pieces: list[bytes], has_done: bool, expected: tuple[str, str]
) -> None:
    async def main() -> ChatReply:
        async with asking(sse(*pieces, done=has_done)) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                return await stream.finish()

    outcome = run(main, backend).outcome
    assert (outcome.status, outcome.reason) == expected
    assert outcome.total_ms is not None


@BACKENDS
def test_nothing_after_the_end_counts(backend: str) -> None:
    async def main() -> tuple[list[ChatTold], ChatReply]:
        late = [DONE, said("late"), event({"code": "c", "error": "late"}), b"data: {broken\n\n"]
        async with asking(sse(said("a"), stop(), *late)) as (chat, _):
            stream = chat.stream(MODEL, "hi")
            return await told_by(stream), stream.reply

    told, reply = run(main, backend)
    assert (told, reply.text, reply.outcome.status) == ([TextDelta("a")], "a", "complete")


@BACKENDS
def test_server_that_answers_whole_where_a_stream_was_asked_for_is_understood(backend: str) -> None:
    async def main() -> tuple[list[ChatTold], ChatReply]:
        async with asking(whole("Hello")) as (chat, _):
            stream = chat.stream(MODEL, "hi")
            return await told_by(stream), stream.reply

    told, reply = run(main, backend)
    assert (told, reply.text, reply.outcome.status) == ([TextDelta("Hello")], "Hello", "complete")
    assert reply.usage.is_complete


@BACKENDS
@pytest.mark.parametrize("kind", ["text/event-stream", "TEXT/Event-Stream; charset=utf-8", f"{JSON}; x=1"])
def test_kind_of_the_answer_is_read_whatever_its_case_and_parameters(backend: str, kind: str) -> None:
    async def main() -> ChatReply:
        told = whole() if kind.startswith(JSON) else Told(HELLO.pieces)
        told.headers = {"content-type": kind}
        async with asking(told) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                return await stream.finish()

    assert run(main, backend).text == "Hello"


@BACKENDS
def test_stream_is_entered_once_and_before_it_is_read(backend: str) -> None:
    async def main() -> int:
        async with asking(HELLO) as (chat, service):
            stream = chat.stream(MODEL, "hi")
            with pytest.raises(ConfigurationError, match="entered before it is read"):
                await anext(stream)
            assert await told_by(stream) == [TextDelta("Hel"), TextDelta("lo")]
            with pytest.raises(ConfigurationError, match="entered once"):
                await told_by(stream)
            assert [delta async for delta in stream] == [], "what is over tells nothing more"
            return len(service.asked)

    assert run(main, backend) == 1


@BACKENDS
def test_repr_shows_the_model_and_the_state_alone(backend: str) -> None:
    async def main() -> list[str]:
        async with asking(HELLO) as (chat, _):
            stream = chat.stream(MODEL, "hi")
            shown = [repr(stream)]
            async with stream:
                shown.append(repr(stream))
                await stream.finish()
            return [*shown, repr(stream), repr(stream._asking)]

    before, while_open, after, asked = run(main, backend)
    assert (before, while_open, after) == (
        "<ChatStream grok-4.6, open>",
        "<ChatStream grok-4.6, open>",
        "<ChatStream grok-4.6, complete>",
    )
    assert "hi" not in asked.replace("which", "")
    assert "xai-test-key" not in asked


# What was used


@pytest.mark.behaviour("ask-31")
@pytest.mark.behaviour("bug-29")
@BACKENDS
def test_ledger_is_told_once_also_when_usage_stands_on_every_chunk(backend: str) -> None:
    async def main() -> UsageLedger:
        ledger = UsageLedger()
        pieces = [said("a", usage=usage(12, 1)), said("b", usage=usage(12, 2)), stop(usage=usage(12, 2))]
        async with asking(sse(*pieces, chunk(choices=[], usage=usage(12, 2)))) as (chat, _):
            async with chat.stream(MODEL, "hi", ledger=ledger) as stream:
                await stream.finish()
                await stream.finish()
                await stream.cancel()
        return ledger

    chat = run(main, backend).session.chat
    assert (chat.requests, chat.unknown_requests, chat.incomplete_requests) == (1, 0, 0)
    assert (chat.prompt_tokens, chat.completion_tokens, chat.total_tokens) == (12, 2, 14)


BROKEN = {
    "cancelled": ([said("a", usage=usage(12, 1)), Hang()], (1, 0, 1)),
    "cut": ([said("a", usage=usage(12, 1))], (1, 0, 1)),
    "error": ([said("a", usage=usage(12, 1)), event({"code": "c", "error": "e"})], (1, 0, 1)),
    "unknown": ([said("a"), Hang()], (1, 1, 0)),
}


@pytest.mark.behaviour("chat-usage-incomplete")
@BACKENDS
@pytest.mark.parametrize("name", BROKEN)
def test_ledger_is_told_of_a_stream_that_broke_as_incomplete(backend: str, name: str) -> None:
    pieces, expected = BROKEN[name]

    async def main() -> UsageLedger:
        ledger = UsageLedger()
        async with asking(sse(*pieces, done=False)) as (chat, _):
            async with chat.stream(MODEL, "hi", ledger=ledger) as stream:
                try:
                    async for _ in stream:
                        if name in ("cancelled", "unknown"):
                            await stream.cancel()
                except ServiceError:
                    assert name == "error"
        return ledger

    chat = run(main, backend).session.chat
    assert (chat.requests, chat.unknown_requests, chat.incomplete_requests) == expected
    assert chat.total_tokens == (None if name == "unknown" else 13)


@pytest.mark.behaviour("chat-one-ledger")
@BACKENDS
def test_chat_and_a_voice_session_share_one_ledger(backend: str) -> None:
    async def main() -> UsageLedger:
        emulator = Emulator(seed=1)
        async with AsyncClient(transport=emulator.transport()) as client:
            async with client.realtime.session() as session:
                await session.send_text("hello")
                async for happened in session:
                    if isinstance(happened, ResponseDone):
                        break
                before = session.usage.session
                assert not before.chat.requests
                async with client.chat.stream(MODEL, "hello", ledger=session.usage) as stream:
                    await stream.finish()
                assert before.responses == session.usage.session.responses == 1
                return session.usage

    ledger = run(main, backend)
    assert ledger.session.chat.requests == 1
    assert ledger.session.chat.total_tokens
