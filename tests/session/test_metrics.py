"""How long things took: exact in virtual time."""

from __future__ import annotations

import time

import anyio
import pytest

from tests.session.driving import BACKENDS, run, talking, utterance
from tests.session.serving import serving
from xai_realtime.emulator import ToolRequest, Turn
from xai_realtime.protocol.metrics import SessionMetrics, Spread
from xai_realtime.protocol.session_events import Latency, ResponseDone, ResponseStarted, SpeechStarted, ToolFinished
from xai_realtime.transport.faults import Fault

EXACT = pytest.mark.behaviour("latency-is-measured")
WORDS: dict[str, Turn | str] = {
    "hello": Turn(say="Hello there", delay_ms=700),
    "tide": Turn(
        say="One moment.", calls=(ToolRequest("look_up_tide", {"city": "Porto"}),), then="The tide is {output}."
    ),
    "quick": "Yes",
}


async def look_up_tide(city: str) -> str:
    """Look up the tide."""
    await anyio.sleep(12.5)
    return "high"


def near(ms: float) -> object:
    return pytest.approx(ms, abs=0.01)


@BACKENDS
@EXACT
def test_first_audio_counts_from_the_request_to_the_first_audio(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            await anyio.sleep(3)
            asked_ms = anyio.current_time() * 1000
            await talk.session.send_text("hello")
            await talk.next(SpeechStarted, who="agent")
            heard_ms = anyio.current_time() * 1000
            done = await talk.next(ResponseDone)
            over_ms = anyio.current_time() * 1000

            assert heard_ms - asked_ms >= 700
            assert done.latency.first_audio_ms == near(heard_ms - asked_ms)
            assert done.latency.total_ms == near(over_ms - asked_ms)
            assert done.latency.end_of_speech_ms is None
            assert talk.session.metrics.first_audio_ms.last_ms == done.latency.first_audio_ms
            assert talk.session.metrics.reply_ms.last_ms == done.latency.total_ms

    run(main, backend)


@BACKENDS
@EXACT
def test_first_audio_of_a_spoken_turn_counts_from_the_end_of_the_speech(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.stream, utterance("hello", 4_000))
                await talk.until(lambda: "SpeechStopped" in talk.kinds)
                stopped_ms = anyio.current_time() * 1000
                await talk.next(SpeechStarted, who="agent")
                heard_ms = anyio.current_time() * 1000
            done = await talk.next(ResponseDone)

            assert heard_ms - stopped_ms >= 700
            assert done.latency.end_of_speech_ms == done.latency.first_audio_ms == near(heard_ms - stopped_ms)

    run(main, backend)


@BACKENDS
@EXACT
def test_first_audio_of_a_turn_ended_by_hand_counts_from_its_end(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, turn_detection=None) as talk:
            await talk.speak("hello", after_ms=0)
            ended_ms = anyio.current_time() * 1000
            await talk.session.end_turn()
            await talk.next(SpeechStarted, who="agent")
            heard_ms = anyio.current_time() * 1000
            done = await talk.next(ResponseDone)

            assert done.latency.first_audio_ms == near(heard_ms - ended_ms)
            assert done.latency.end_of_speech_ms == near(heard_ms - ended_ms)

    run(main, backend)


@BACKENDS
@EXACT
def test_wish_that_waited_for_its_turn_counts_from_when_it_was_sent(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            await talk.session.send_text("quick")
            await talk.next(ResponseDone)
            alone = talk.session.metrics.first_audio_ms.last_ms
            for _ in range(2):
                await talk.session.send_text("quick")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 3)

            waits = [done.latency.first_audio_ms for done in talk.of(ResponseDone)]
            assert waits == [near(alone or 0)] * 3

    run(main, backend)


@BACKENDS
@EXACT
def test_function_is_timed_from_its_call_to_its_result(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, tools=[look_up_tide]) as talk:
            await talk.session.send_text("tide")
            finished = await talk.next(ToolFinished)
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)

            assert finished.duration_ms == near(12_500)
            assert talk.session.metrics.tool_ms == Spread(1, *[finished.duration_ms] * 4)
            # The answer to the result is asked for when the result is there.
            continuation = talk.of(ResponseDone)[1].latency.first_audio_ms
            assert continuation is not None
            assert continuation < 2_000

    run(main, backend)


@BACKENDS
@EXACT
def test_function_in_a_thread_is_timed_too(backend: str) -> None:
    def look_up_tide(city: str) -> str:
        """Look up the tide."""
        time.sleep(0.02)
        return "high"

    async def main() -> None:
        async with talking(WORDS, tools=[look_up_tide]) as talk:
            await talk.session.send_text("tide")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 2)

            assert talk.session.metrics.tool_ms.count == 1

    run(main, backend)


@BACKENDS
@EXACT
def test_reply_without_audio_has_no_first_audio(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            server.answers = lambda name: [event for event in server.reply(name) if "audio" not in event["type"]]
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)

            assert done.latency == Latency(None, None, near(0))  # type: ignore[arg-type]
            assert talk.session.metrics.first_audio_ms.count == 0
            assert talk.session.metrics.reply_ms.count == 1

    run(main, backend)


@BACKENDS
@EXACT
def test_delay_of_the_line_is_part_of_the_latency(backend: str) -> None:
    async def main() -> None:
        waits = []
        for delay_ms in (1, 250):
            async with talking(WORDS, Fault.delay(delay_ms, on="response.created")) as talk:
                await talk.session.send_text("quick")
                waits.append((await talk.next(ResponseDone)).latency.first_audio_ms or 0)
        assert waits[1] >= waits[0]
        assert waits[1] >= 250

    run(main, backend)


@BACKENDS
@EXACT
def test_request_that_is_sent_again_after_a_cut_counts_from_the_first_time(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, Fault.cut(on="response.created")) as talk:
            asked_ms = anyio.current_time() * 1000
            await talk.session.send_text("quick")
            await talk.next(SpeechStarted, who="agent")
            heard_ms = anyio.current_time() * 1000
            done = await talk.next(ResponseDone, status="completed")

            assert len(talk.of(ResponseStarted)) == 1
            assert done.latency.first_audio_ms == near(heard_ms - asked_ms)

    run(main, backend)


def test_spread_keeps_count_last_least_most_and_mean() -> None:
    spread = Spread()
    assert (spread.count, spread.mean_ms, spread.last_ms) == (0, None, None)
    for duration_ms in (30.0, None, 10.0, 20.0):
        spread.add(duration_ms)

    assert spread == Spread(3, 60.0, 20.0, 10.0, 30.0)
    assert spread.mean_ms == 20.0


def test_metrics_take_what_a_reply_has() -> None:
    metrics = SessionMetrics()
    metrics.replied(Latency(100.0, None, 900.0))
    metrics.replied(Latency(None, None, 50.0))

    counts = (metrics.first_audio_ms.count, metrics.end_of_speech_ms.count, metrics.reply_ms.count)
    assert counts == (1, 0, 2)
