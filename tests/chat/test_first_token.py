"""A first token that is late: the one second try, what it is told of, and what it costs."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from tests.chat.driving import (
    BACKENDS,
    DONE,
    MODEL,
    Hang,
    Told,
    asking,
    chunk,
    event,
    outcome_of,
    refusal,
    run,
    said,
    sse,
    stop,
    usage,
)
from xai_realtime.chat.stream import ChatStream
from xai_realtime.errors import ServiceError, TransportTimeoutError
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.protocol.ledger import UsageLedger

GOOD = sse(said("Hel"), said("lo"), stop(usage=usage()))


LATE = {
    "head": Told([Hang()], after_s=60),
    "body": sse(Hang(), done=False),
    "empty chunks": sse(
        *[piece for _ in range(60) for piece in (1, chunk({"role": "assistant"}, id="first-id"))], said("late")
    ),
    "comments": sse(*[piece for _ in range(60) for piece in (1, b": keep-alive\n\n")], said("late")),
    "whole": Told([Hang()], headers={"Content-Type": "application/json"}),
}


@pytest.mark.behaviour("bug-5")
@BACKENDS
@pytest.mark.parametrize("name", LATE)
def test_late_first_token_is_given_up_once_and_both_requests_are_in_the_ledger(backend: str, name: str) -> None:
    async def main() -> tuple[ChatReply, list[float], UsageLedger]:
        ledger = UsageLedger()
        policy = ChatPolicy(first_token_timeout_s=5)
        second = sse(2, said("Hel"), 30, said("lo"), stop(usage=usage()))
        async with asking(LATE[name], second, chat_policy=policy) as (chat, service):
            async with chat.stream(MODEL, "hi", ledger=ledger) as stream:
                assert service.open_answers == 1, "the first answer is let go"
                reply = await stream.finish()
            return reply, [at - service.at_ms[0] for at in service.at_ms], ledger

    reply, at_ms, ledger = run(main, backend)
    assert [round(at) for at in at_ms] == [0, 5000]
    assert (reply.text, reply.outcome.status, reply.was_asked_twice, reply.attempts) == ("Hello", "complete", True, 2)
    assert round(reply.outcome.first_token_ms) == 7000, "it counts from the first request"
    assert [call.usage.is_known for call in ledger.chat_requests.values()].count(True) == 1
    chat = ledger.session.chat
    assert (chat.requests, chat.unknown_requests, chat.incomplete_requests, chat.total_tokens) == (2, 1, 0, 14)


@BACKENDS
def test_nothing_of_the_answer_that_was_given_up_stands_in_the_second_one(backend: str) -> None:
    async def main() -> tuple[ChatReply, UsageLedger]:
        ledger = UsageLedger()
        head = {"id": "first-id", "created": 1, "model": "grok-first", "service_tier": "priority"}
        first = event({**head, "choices": [{"index": 0, "delta": {"role": "assistant"}}], "usage": usage(99, 98)})
        async with asking(sse(first, Hang(), done=False), GOOD) as (chat, _):
            policy = ChatPolicy(first_token_timeout_s=1)
            async with chat.stream(MODEL, "hi", ledger=ledger, policy=policy) as stream:
                return await stream.finish(), ledger

    reply, ledger = run(main, backend)
    assert (reply.id, reply.model, reply.created_s, reply.service_tier) == (
        "chat-id-1",
        "grok-4.6-0807",
        1_790_000_000,
        None,
    )
    assert reply.usage.total_tokens == 14
    chat = ledger.session.chat
    assert (chat.requests, chat.incomplete_requests, chat.total_tokens) == (2, 1, 14 + 197)
    assert set(ledger.chat_requests) == {"first-id", "chat-id-1"}


@pytest.mark.behaviour("bug-5")
@BACKENDS
def test_second_try_is_not_given_up_and_ends_with_the_times_of_the_transport(backend: str) -> None:
    async def main() -> tuple[Any, int, UsageLedger]:
        ledger = UsageLedger()
        late = sse(60, TransportTimeoutError("read", 60))
        async with asking(sse(Hang(), done=False), late, chat_policy=ChatPolicy(first_token_timeout_s=5)) as (
            chat,
            service,
        ):
            stream = chat.stream(MODEL, "hi", ledger=ledger)
            with pytest.raises(TransportTimeoutError, match="read"):
                async with stream:
                    await stream.finish()
            assert anyio.current_time() * 1000 - service.at_ms[0] == pytest.approx(65_000)
            return stream.reply, len(service.asked), ledger

    reply, count, ledger = run(main, backend)
    assert (reply.outcome.status, reply.was_asked_twice, reply.attempts, count) == ("failed", True, 2, 2)
    assert ledger.session.chat.unknown_requests == 2


@BACKENDS
def test_first_token_in_time_is_not_asked_for_twice_however_late_the_rest_is(backend: str) -> None:
    script = [sse(4.9, said("Hel"), 30, said("lo"), stop())]
    reply, at_s = outcome_of("stream", *script, backend=backend, first_token_timeout_s=5)
    assert (reply.text, reply.was_asked_twice, at_s) == ("Hello", False, [0])


@BACKENDS
@pytest.mark.parametrize("first", [chunk({"reasoning_content": "hm"}), chunk({"refusal": "No."})])
def test_thought_and_refusal_are_tokens_too(backend: str, first: bytes) -> None:
    script = [sse(1, first, 30, said("Hello"), stop())]
    reply, at_s = outcome_of("stream", *script, backend=backend, first_token_timeout_s=5)
    assert (reply.text, at_s) == ("Hello", [0])


@BACKENDS
def test_late_token_is_waited_for_when_nothing_else_is_asked_for(backend: str) -> None:
    reply, at_s = outcome_of("stream", sse(50, said("Hello"), stop()), backend=backend)
    assert (reply.text, reply.was_asked_twice, at_s) == ("Hello", False, [0])


@BACKENDS
def test_waits_between_attempts_do_not_count_as_a_late_token(backend: str) -> None:
    script = [refusal(429, retry_after="20"), sse(3, said("Hello"), stop())]
    reply, at_s = outcome_of("stream", *script, backend=backend, first_token_timeout_s=5)
    assert (reply.text, reply.was_asked_twice, reply.attempts, at_s) == ("Hello", False, 2, [0, 20])


@BACKENDS
def test_second_try_may_be_turned_away_and_tried_again(backend: str) -> None:
    script = [sse(Hang(), done=False), refusal(429, retry_after="3"), GOOD]
    reply, at_s = outcome_of("stream", *script, backend=backend, first_token_timeout_s=5)
    assert (reply.text, reply.was_asked_twice, reply.attempts, at_s) == ("Hello", True, 3, [0, 5, 8])


@BACKENDS
@pytest.mark.parametrize("late_by_s", [-1e-6, 0.0, 1e-6])
def test_token_that_comes_at_the_very_deadline_is_told_once(backend: str, late_by_s: float) -> None:
    async def main() -> list[str]:
        policy = ChatPolicy(first_token_timeout_s=5)
        async with asking(sse(5 + late_by_s, said("Hel"), 1, said("lo"), stop()), GOOD, chat_policy=policy) as (
            chat,
            _,
        ):
            async with chat.stream(MODEL, "hi") as stream:
                await anyio.sleep(1)  # a scope that was cancelled would stop this
                return [text async for text in stream.text()]

    assert run(main, backend) == ["Hel", "lo"]


@BACKENDS
def test_token_that_comes_while_it_is_given_up_is_not_told_and_stops_nobody(backend: str) -> None:
    async def main() -> tuple[list[str], ChatReply, int]:
        streams: list[ChatStream] = []

        def too_late() -> None:
            # The deadline passes in the very turn of the loop in which the token comes.
            scope = streams[0]._scope
            assert scope is not None
            scope.deadline = -math.inf

        policy = ChatPolicy(first_token_timeout_s=5)
        late = sse(4.9, too_late, said("stale"), Hang(), done=False)
        async with asking(late, GOOD, chat_policy=policy) as (chat, service):
            streams.append(chat.stream(MODEL, "hi"))
            async with streams[0] as stream:
                await anyio.sleep(1)
                told = [text async for text in stream.text()]
            return told, stream.reply, len(service.asked)

    told, reply, asked = run(main, backend)
    assert (told, reply.text, reply.was_asked_twice, asked) == (["Hel", "lo"], "Hello", True, 2)


@BACKENDS
def test_whole_answer_that_comes_while_it_is_given_up_is_kept(backend: str) -> None:
    async def main() -> tuple[list[str], ChatReply, int, int]:
        streams: list[ChatStream] = []
        ledger = UsageLedger()

        def too_late() -> None:
            scope = streams[0]._scope
            assert scope is not None
            scope.deadline = -math.inf

        policy = ChatPolicy(first_token_timeout_s=5)
        answer = sse(4.9, too_late, said("all") + stop() + DONE, done=False)
        async with asking(answer, GOOD, chat_policy=policy) as (chat, service):
            streams.append(chat.stream(MODEL, "hi", ledger=ledger))
            async with streams[0] as stream:
                await anyio.sleep(1)
                told = [text async for text in stream.text()]
            return told, stream.reply, len(service.asked), ledger.session.chat.requests

    told, reply, asked, requests = run(main, backend)
    assert (told, reply.outcome.status, reply.was_asked_twice, asked, requests) == (["all"], "complete", False, 1, 1)


@BACKENDS
def test_answer_that_fails_before_its_first_token_is_told_when_it_is_read(backend: str) -> None:
    async def main() -> str:
        policy = ChatPolicy(first_token_timeout_s=5)
        async with asking(sse(1, event({"code": "c", "error": "It broke."})), chat_policy=policy) as (chat, service):
            async with chat.stream(MODEL, "hi") as stream:
                assert stream.outcome is not None
                with pytest.raises(ServiceError, match=r"It broke\."):
                    await anext(stream)
            assert len(service.asked) == 1
            return stream.outcome.status

    assert run(main, backend) == "failed"
