"""What a session used, what it costs, and how it ends when that is enough."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, Talk, run, scripted, talking
from tests.session.serving import MODEL, response_done, serving
from xai_realtime import AsyncClient
from xai_realtime.emulator import Emulator, Quirks, Turn
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.ledger import Budget
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.prices import PRICES
from xai_realtime.protocol.session_events import (
    ResponseDone,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    Transcript,
)
from xai_realtime.tools import WebSearch
from xai_realtime.transport.faults import Fault
from xai_realtime.transport.memory import memory_pair

LATEST = "grok-voice-latest"
STORY = "Once upon a time there was a long story that went on until the evening came."
WORDS: dict[str, Turn | str] = {"hello": "Hello there", "story": STORY, "epic": f"{STORY} " * 12}


def stated(talk: Talk) -> list[dict[str, Any]]:
    """The usages on the wire, wherever they stand."""
    done = [event for event in talk.received if isinstance(event, wire.ResponseDone)]
    found = [event.usage if event.usage and event.usage.model_fields_set else event.response.usage for event in done]
    return [{} if usage is None else usage.model_dump(exclude_unset=True) for usage in found]


# Usage


@BACKENDS
@pytest.mark.behaviour("ask-29")
@pytest.mark.parametrize("place", ["top", "nested", "both"])
def test_usage_is_read_wherever_the_service_states_it(backend: str, place: Any) -> None:
    async def main() -> None:
        async with talking(emulator=Emulator(scripted(WORDS), seed=1, quirks=Quirks(usage=place))) as talk:
            await talk.speak("hello")
            done = await talk.next(ResponseDone)

            (there,) = stated(talk)
            assert there["total_tokens"] > 0
            assert done.usage is not None
            assert done.usage.total_tokens == there["total_tokens"]
            assert done.usage.input_audio_tokens == there["input_token_details"]["audio_tokens"]
            assert done.usage.output_audio_seconds == there["output_audio_seconds"]
            assert done.usage.billable_audio_seconds == there["billable_audio_seconds"]
            assert talk.session.usage.responses[done.response_id] == done.usage
            assert talk.session.usage.session.total_tokens == there["total_tokens"]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-29")
@pytest.mark.parametrize("place", ["missing", "empty"])
def test_usage_that_is_not_stated_is_unknown_and_not_nothing(backend: str, place: Any) -> None:
    async def main() -> None:
        async with talking(emulator=Emulator(scripted(WORDS), seed=1, quirks=Quirks(usage=place))) as talk:
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)

            total = talk.session.usage.session
            assert done.usage is None
            assert (total.total_tokens, total.output_audio_seconds, total.billable_audio_seconds) == (None, None, None)
            assert (total.responses, total.unknown_responses, total.is_complete) == (1, 1, False)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-31")
def test_usage_of_a_reply_that_is_reported_twice_counts_once(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, Fault.duplicate(times=2, on="response.done", nth=None)) as talk:
            for text in ("hello", "story"):
                await talk.session.send_text(text)
                await talk.next(ResponseDone)
            await anyio.sleep(1)

            once = stated(talk)[::3]
            assert len(once) == len(talk.of(ResponseDone)) == 2
            assert talk.session.usage.session.responses == 2
            assert talk.session.usage.session.total_tokens == sum(each["total_tokens"] for each in once)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-30")
def test_billed_seconds_run_on_over_a_conversation_and_begin_anew_with_the_next(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            for text in ("story", "hello", "story"):
                await talk.session.send_text(text)
                await talk.next(ResponseDone)
            first = [each["billable_audio_seconds"] for each in stated(talk)]
            assert first == sorted(first) and first[0] < first[-1]
            assert talk.session.usage.session.billable_audio_seconds == first[-1]

            await talk.session.reset()
            await talk.session.send_text("story")
            await talk.next(ResponseDone)
            second = stated(talk)[-1]["billable_audio_seconds"]

            assert talk.session.usage.conversation.billable_audio_seconds == second
            assert talk.session.usage.session.billable_audio_seconds == first[-1] + second
            added = [done.usage.billable_audio_seconds for done in talk.of(ResponseDone) if done.usage]
            assert added == [first[0], first[1] - first[0], first[2] - first[1], second]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-22")
def test_usage_whose_total_is_nothing_keeps_its_seconds(backend: str) -> None:
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "billable_audio_seconds": 3}

    async def main() -> None:
        async with serving() as (talk, server):
            server.answers = lambda name: server.reply(name, usage={**usage, "cost_in_usd_ticks": 7})
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)

            assert done.usage is not None
            assert (done.usage.total_tokens, done.usage.billable_audio_seconds) == (0, 3)
            assert dict(done.usage.extra) == {"cost_in_usd_ticks": 7}
            assert talk.session.usage.session.billable_audio_seconds == 3

    run(main, backend)


@BACKENDS
def test_reply_that_was_lost_with_the_line_is_known_to_be_unknown(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, Fault.cut(on="response.output_audio.delta", nth=5)) as talk:
            await talk.session.send_text("story")
            lost = await talk.next(ResponseDone)

            assert (lost.reason, lost.usage) == ("connection_lost", None)
            assert talk.session.usage.session.unknown_responses == 1

    run(main, backend)


# Cost


@BACKENDS
def test_cost_is_that_of_the_model_that_serves(backend: str) -> None:
    async def main() -> None:
        async with serving(model=LATEST) as (talk, server):
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            await anyio.sleep(60 - anyio.current_time())

            cost = talk.session.cost
            assert cost.parts == {"audio": Decimal("0.05"), "messages": Decimal("0.004")}
            assert cost.is_complete
            assert server.got[1]["item"]["content"][0]["text"] == "hello"
            assert PRICES.price(LATEST).audio_per_minute is None
            assert PRICES.price(MODEL).audio_per_minute == Decimal("0.05")

    run(main, backend)


@BACKENDS
def test_cost_without_a_price_is_unknown_until_one_is_given(backend: str) -> None:
    prices = PRICES.with_price(LATEST, audio_per_minute="0.60", text_message="0.004")

    async def main() -> None:
        async with talking(WORDS) as talk:
            await anyio.sleep(10)
            assert talk.session.cost.amount is None
            assert str(talk.session.cost).startswith("unknown (price of grok-voice-latest")
        async with talking(WORDS, policy=SessionPolicy(prices=prices)) as talk:
            await anyio.sleep(10)
            assert talk.session.cost.amount == Decimal("0.10")
            await talk.session.say("Welcome")
            await talk.next(ResponseDone)
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            assert talk.session.cost.parts["messages"] == Decimal("0.008")

    run(main, backend)


@BACKENDS
def test_cost_of_a_session_that_could_ever_search_is_a_lower_bound(backend: str) -> None:
    prices = PRICES.with_price(LATEST, audio_per_minute="0.60", text_message="0")

    async def main() -> None:
        async with talking(WORDS, policy=SessionPolicy(prices=prices)) as talk:
            await anyio.sleep(10)
            assert talk.session.cost.is_complete
            await talk.session.update(tools=[WebSearch()])
            await talk.session.update(tools=())
            assert talk.session.cost.unknown == ("server tools",)
            assert str(talk.session.cost) == "at least $0.10"

    run(main, backend)


@BACKENDS
def test_clock_of_the_cost_stands_still_once_the_session_is_over(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            await anyio.sleep(10)
        await anyio.sleep(100)

        assert talk.session.usage.session.wall_ms == pytest.approx(10_000, abs=1)

    run(main, backend)


# Budget


def budgeted(*, prices: Any = PRICES, **limits: Any) -> SessionPolicy:
    return SessionPolicy(budget=Budget(**limits), prices=prices)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_limit_of_seconds_ends_the_session_after_the_reply_that_runs(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, policy=budgeted(max_audio_s=5, warn_at=0.6)) as talk:
            await anyio.sleep(4)
            await talk.session.send_text("story")
            await talk.next(SpeechStarted, who="agent")
            await talk.session.send_text("hello")
            assert await talk.ended() is None

            warned = [
                (event.code, round(at_ms / 1000)) for at_ms, event in talk.told if isinstance(event, SessionWarning)
            ]
            assert warned == [("budget_low", 3), ("budget_over", 5)]
            assert talk.heard() == STORY
            assert [(done.status, done.reason) for done in talk.of(ResponseDone)] == [("completed", None)]
            (last, event) = talk.told[-1]
            assert (type(event), round(anyio.current_time() * 1000 - last)) == (SpeechStopped, 0)
            assert "hello" not in [told.text for told in talk.of(Transcript)]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_limit_of_seconds_ends_a_silent_session_at_once_and_closes_its_socket(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(scripted(WORDS), seed=1, concurrent_sessions=1)
        async with talking(emulator=emulator, policy=budgeted(max_audio_s=5)) as talk:
            assert await talk.ended() is None
            assert 5 <= anyio.current_time() <= 6.1
            with pytest.raises(Exception, match="over"):
                await talk.session.send_text("hello")
            async with talking(emulator=emulator) as next_talk:  # refused while the first socket is open
                await next_talk.session.send_text("hello")
                await next_talk.next(ResponseDone)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_limit_of_seconds_counts_audio_both_ways_where_turns_are_ended_by_hand(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, turn_detection=None, policy=budgeted(max_audio_s=3)) as talk:
            await anyio.sleep(60)
            assert talk.of(SessionWarning) == []
            await talk.speak("story", after_ms=0)
            await talk.session.end_turn()
            assert await talk.ended() is None

            assert [event.code for event in talk.of(SessionWarning)][-1] == "budget_over"
            assert talk.heard() == STORY

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_limit_of_money_ends_the_session(backend: str) -> None:
    prices = PRICES.with_price(LATEST, audio_per_minute="0.06", text_message="0.001")

    async def main() -> None:
        async with talking(WORDS, policy=budgeted(max_cost="0.02", prices=prices)) as talk:
            for _ in range(5):
                await talk.session.send_text("a note", respond=False)
            assert await talk.ended() is None

            assert 14.9 <= anyio.current_time() <= 16.1
            assert [event.code for event in talk.of(SessionWarning)] == ["budget_low", "budget_over"]
            assert "$0.02" in talk.of(SessionWarning)[-1].message
            amount = talk.session.cost.amount
            assert amount is not None
            assert Decimal("0.02") <= amount <= Decimal("0.0212")

    run(main, backend)


@pytest.mark.behaviour("ask-33")
def test_limit_of_money_without_a_price_is_refused_before_anything_is_opened() -> None:
    transport, _ = memory_pair()
    client = AsyncClient(transport=transport)
    with pytest.raises(ConfigurationError, match="price of grok-voice-latest"):
        client.realtime.session(policy=budgeted(max_cost=1))


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_limit_of_money_that_cannot_be_watched_is_said_once_and_the_session_goes_on(backend: str) -> None:
    prices = PRICES.with_price(LATEST, audio_per_minute="0.06", text_message="0.001").with_price(MODEL)
    rows = tuple(row for row in prices.rows if row.model == LATEST)

    async def main() -> None:
        policy = budgeted(max_cost="0.02", prices=replace(prices, rows=rows))
        async with serving(model=LATEST, policy=policy) as (talk, _):
            await anyio.sleep(60)
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)

            (warning,) = talk.of(SessionWarning)
            assert warning.code == "budget_unwatched"
            assert f"price of {MODEL}" in warning.message
            assert "nearly" not in warning.message

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_reply_that_goes_on_and_on_is_cut_half_a_minute_after_the_limit(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, policy=budgeted(max_audio_s=2)) as talk:
            await talk.session.send_text("epic")
            assert await talk.ended() is None
            assert 32 <= anyio.current_time() <= 33.1

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_limits_that_are_not_reached_say_nothing(backend: str) -> None:
    prices = PRICES.with_price(LATEST, audio_per_minute="0.06", text_message="0.001")

    async def main() -> None:
        async with talking(WORDS, policy=budgeted(max_audio_s=100, max_cost=1, prices=prices)) as talk:
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            await anyio.sleep(60)
            assert talk.of(SessionWarning) == []
            assert not talk.has_ended

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-33")
def test_what_the_service_says_of_its_seconds_counts_when_it_is_more_than_was_measured(backend: str) -> None:
    async def main() -> None:
        async with serving(policy=budgeted(max_audio_s=100)) as (talk, server):
            server.answers = lambda name: [
                *server.reply(name)[:-1],
                response_done(name, usage={"billable_audio_seconds": 120}),
            ]
            await talk.session.send_text("hello")
            assert await talk.ended() is None
            assert [event.code for event in talk.of(SessionWarning)] == ["budget_over"]
            assert anyio.current_time() < 5

    run(main, backend)
