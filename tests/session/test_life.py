"""The life of a session: waiting between attempts, limits, hand-overs, new beginnings, and its end."""

from __future__ import annotations

import random

import anyio
import pytest

from tests.session.breakable import AT_ONCE, breakable, seeded
from tests.session.driving import BACKENDS, Talk, run, talking
from tests.session.handmade import served
from xai_realtime import AsyncClient, Reconnect, SessionPolicy
from xai_realtime.emulator import Emulator, Quirks, ToolRequest, Turn
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConnectError,
    ConnectionBrokenError,
    HandshakeError,
    TransportTimeoutError,
)
from xai_realtime.protocol.session_events import (
    Reconnected,
    ResponseDone,
    SessionReady,
    SessionWarning,
    SpeechStopped,
    TranscriptDelta,
)
from xai_realtime.realtime.session import RealtimeSession
from xai_realtime.tools import tool
from xai_realtime.transport.memory import memory_pair

LONG = "One comes first of all numbers. Two comes then. Three comes after two."
SCENARIO: dict[str, Turn | str] = {"hello": "Hello there", "count": LONG}
CALLING = {"call": Turn(calls=(ToolRequest("slow", {}),), then="It is {output}")}


@tool(name="slow")
async def slow() -> str:
    """Never gets as far as this."""
    return "done"


def warned(talk: Talk, code: str) -> list[SessionWarning]:
    return [event for event in talk.of(SessionWarning) if event.code == code]


# Waiting


@pytest.fixture
def jitter(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """What was drawn from; the longest wait is taken."""
    drawn: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", longest)
    return drawn


@pytest.mark.behaviour("reconnect-backoff")
@BACKENDS
def test_waits_double_up_to_the_bound_and_end_after_the_last_attempt(
    backend: str, jitter: list[tuple[float, float]]
) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0.5, max_delay_s=3, max_attempts=5))
        async with breakable(policy=policy) as (talk, line):
            last = ConnectError("the fifth")
            line.refusals.extend([*(ConnectError("down") for _ in range(4)), last])
            line.cut()
            assert await talk.ended() is last
            assert jitter == [(0, 0.5), (0, 1), (0, 2), (0, 3), (0, 3)]
            waits = [round(after - before, 6) for before, after in zip(line.opened_s, line.opened_s[1:], strict=False)]
            assert waits == [0.5, 1, 2, 3, 3]

    run(main, backend)


@pytest.mark.behaviour("reconnect-backoff")
@BACKENDS
def test_waits_are_drawn_at_random_between_nothing_and_the_bound(backend: str) -> None:
    async def main() -> None:
        random.seed(7)
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=4, max_delay_s=4, max_attempts=60))
        async with breakable(policy=policy) as (talk, line):
            line.refusals.extend(ConnectError("down") for _ in range(50))
            line.cut()
            await talk.next(Reconnected)
            waits = [after - before for before, after in zip(line.opened_s, line.opened_s[1:], strict=False)]
            assert 0 <= min(waits) < 0.5
            assert 3.5 < max(waits) <= 4
            assert len(set(waits)) == len(waits)

    run(main, backend)


@pytest.mark.behaviour("reconnect-retry-after")
@pytest.mark.parametrize(("stated", "wait_s"), [("2", 2), ("9999999999", 8), ("soon", 0), ("-3", 0), ("", 0)])
@BACKENDS
def test_wait_that_a_refusal_asks_for_is_kept_within_the_bound(backend: str, stated: str, wait_s: float) -> None:
    async def main() -> None:
        async with breakable() as (talk, line):
            line.refusals.append(HandshakeError("no", status=503, headers={"Retry-After": stated}))
            line.cut()
            await talk.next(Reconnected)
            assert line.opened_s[2] - line.opened_s[1] == pytest.approx(wait_s)

    run(main, backend)


@pytest.mark.behaviour("reconnect-bounded")
@BACKENDS
def test_session_ends_when_its_line_keeps_dropping(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_per_session=3, window_s=100))
        async with breakable(policy=policy) as (talk, line):
            for _ in range(3):
                line.refusals.append(ConnectError("one attempt more does not count as another outage"))
                line.cut()
                await talk.next(Reconnected)
            await anyio.sleep(101)
            for _ in range(3):
                line.cut()
                await talk.next(Reconnected)
            line.cut()
            assert isinstance(await talk.ended(), ConnectionBrokenError)

    run(main, backend)


@pytest.mark.behaviour("reconnect-bounded")
@BACKENDS
def test_attempts_are_counted_anew_once_a_connection_was_ready(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_attempts=2))
        async with breakable(policy=policy) as (talk, line):
            for _ in range(4):
                line.refusals.append(ConnectError("down"))
                line.cut()
                assert (await talk.next(Reconnected)).attempts == 2

    run(main, backend)


# The limit of the service


@pytest.mark.behaviour("ask-35", "session-limit")
@BACKENDS
def test_connection_that_reached_its_limit_is_replaced(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, session_limit_s=None)
        async with breakable(emulator=Emulator(None, seed=1, max_duration_s=60), policy=policy) as (talk, line):
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            back = await talk.next(Reconnected)
            assert back.reason == "session_limit"
            assert anyio.current_time() == pytest.approx(60, abs=1)
            await anyio.sleep(1)
            assert [role for role, _ in seeded(line, 2)] == ["user", "assistant"]
            await talk.session.send_text("again")
            assert (await talk.next(ResponseDone)).status == "completed"

    run(main, backend)


@pytest.mark.behaviour("ask-35", "session-limit")
@BACKENDS
def test_session_warns_before_the_limit_and_moves_in_a_pause_of_the_talk(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, session_limit_s=100, warn_before_s=40, handover_before_s=20)
        async with breakable({"tell": " ".join([LONG] * 2)}, policy=policy) as (talk, line):
            warning = await talk.next(SessionWarning)
            assert (warning.code, warning.details) == ("session_limit", {"left_s": 40.0})
            assert anyio.current_time() == pytest.approx(60)
            await anyio.sleep(19)
            await talk.session.send_text("tell")
            stopped = await talk.next(SpeechStopped)
            silent_s = anyio.current_time()
            assert silent_s > 85, "the reply lasts beyond the time for the hand-over"
            assert len(line.requests) == 1
            back = await talk.next(Reconnected)
            assert (back.reason, back.outage_ms, back.lost_ms, back.attempts) == ("session_limit", 0.0, 0.0, 1)
            assert anyio.current_time() - silent_s < 1
            assert stopped.who == "agent"
            assert talk.heard() == " ".join([LONG] * 2)
            assert warned(talk, "connection_lost") == []

    run(main, backend)


@pytest.mark.behaviour("session-limit")
@BACKENDS
def test_session_moves_in_the_middle_of_a_reply_when_the_time_is_nearly_up(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, session_limit_s=30, warn_before_s=0, handover_before_s=10)
        async with breakable({"tell": " ".join([LONG] * 20)}, policy=policy) as (talk, line):
            await talk.session.send_text("tell")
            back = await talk.next(Reconnected)
            assert back.reason == "session_limit"
            assert 25 <= anyio.current_time() < 26
            (done,) = talk.of(ResponseDone)
            assert (done.status, done.reason) == ("cancelled", "session_limit")
            assert len(line.requests) == 2

    run(main, backend)


@pytest.mark.behaviour("session-limit")
@BACKENDS
def test_session_does_not_move_on_and_on_when_the_limit_is_shorter_than_the_margin(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=AT_ONCE, session_limit_s=20, handover_before_s=60)
        async with breakable(policy=policy) as (talk, line):
            await anyio.sleep(95)
            assert 6 <= len(line.requests) <= 10
            assert {event.reason for event in talk.of(Reconnected)} == {"session_limit"}

    run(main, backend)


# Getting ready, and the end


async def answered(session: RealtimeSession) -> str:
    """How the next reply ends."""
    async for event in session:
        if isinstance(event, ResponseDone):
            return event.status
    return "the session ended"


@pytest.mark.behaviour("session-ready")
@BACKENDS
def test_session_goes_on_with_a_warning_when_the_configuration_is_never_acknowledged(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(lambda prompt: "Hello", seed=1, quirks=Quirks(no_session_updated=True))
        async with breakable(emulator=emulator, policy=SessionPolicy(ready_timeout_s=3)) as (talk, _):
            assert anyio.current_time() == pytest.approx(3)
            assert (await talk.next(SessionWarning)).code == "not_acknowledged"
            assert not (await talk.next(SessionReady)).is_confirmed
            await talk.session.send_text("hello")
            assert (await talk.next(ResponseDone)).status == "completed"

    run(main, backend)


@pytest.mark.behaviour("session-ready")
@BACKENDS
def test_entering_fails_in_time_when_the_server_says_nothing_at_all(backend: str) -> None:
    async def main() -> None:
        with pytest.raises(TransportTimeoutError) as caught:
            silent, _ = memory_pair()
            async with AsyncClient(transport=silent) as client:
                async with client.realtime.session(policy=SessionPolicy(ready_timeout_s=3)):
                    pytest.fail("it was entered")
        assert (caught.value.phase, caught.value.timeout_s) == ("ready", 3)
        assert anyio.current_time() == pytest.approx(3)

    run(main, backend)


@pytest.mark.behaviour("session-ready")
@BACKENDS
def test_connection_that_never_gets_ready_counts_as_an_attempt(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_attempts=2), ready_timeout_s=2)
        async with served(greeting=(), policy=policy) as (talk, server):
            await talk.next(SessionReady)
            server._acknowledges = False
            server.break_off()
            error = await talk.ended()
            assert isinstance(error, TransportTimeoutError)
            assert server.connections == 3

    run(main, backend)


@pytest.mark.behaviour("ask-6", "session-end-wakes")
@pytest.mark.parametrize("verb", ["ready", "reset", "restart"])
@BACKENDS
def test_verbs_that_wait_for_a_connection_raise_when_the_session_dies(backend: str, verb: str) -> None:
    async def main() -> None:
        async with breakable(policy=SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_attempts=2))) as (
            talk,
            line,
        ):
            line.delay_s = 0.5
            line.refusals.extend(ConnectError("down") for _ in range(5))
            if verb == "ready":
                line.cut()
                await talk.next(SessionWarning)
            with anyio.fail_after(10), pytest.raises(ConnectError):
                await getattr(talk.session, verb)()
            assert isinstance(await talk.ended(), ConnectError)

    run(main, backend)


@pytest.mark.behaviour("ask-6", "session-end-wakes")
@BACKENDS
def test_readers_wake_up_with_the_error_when_the_line_drops_in_a_reply_and_is_not_opened_again(backend: str) -> None:
    async def main() -> None:
        async with breakable(SCENARIO, policy=SessionPolicy(reconnect=None)) as (talk, line):
            await talk.session.send_text("count")
            await talk.next(TranscriptDelta)
            line.cut()
            with anyio.fail_after(1):
                error = await talk.ended()
            assert isinstance(error, ConnectionBrokenError)
            for verb in (talk.session.send_text("x"), talk.session.send_audio(bytes(960)), talk.session.respond()):
                with pytest.raises(ConnectionBrokenError):
                    await verb
            with pytest.raises(ConnectionBrokenError):
                await anext(aiter(talk.session))

    run(main, backend)


@pytest.mark.behaviour("session-end-in-order")
@BACKENDS
def test_iteration_ends_normally_when_the_server_closes_in_order(backend: str) -> None:
    async def main() -> None:
        async with breakable() as (talk, line):
            line.cut(ClosedByServerError(1000, "bye"))
            assert await talk.ended() is None
            assert len(line.requests) == 1
            with pytest.raises(ClosedByUsError):
                await talk.session.send_text("too late")

    run(main, backend)


@pytest.mark.behaviour("bug-62", "session-end-in-order")
@BACKENDS
def test_session_that_is_closed_stays_closed_also_between_two_attempts(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=60, max_delay_s=60))
        async with breakable(policy=policy) as (talk, line):
            line.cut()
            await talk.next(SessionWarning)
            await talk.session.aclose()
            await talk.session.aclose()
            assert await talk.ended() is None
            assert len(line.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("bug-62")
@BACKENDS
def test_two_sessions_of_one_client_follow_each_other_when_the_first_ended_in_an_error(backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(transport=Emulator(lambda prompt: "Hello", seed=1).transport()) as client:
            with pytest.raises(ValueError, match="mine"):
                async with client.realtime.session():
                    raise ValueError("mine")
            async with client.realtime.session() as session:
                await session.send_text("hello")
                assert await answered(session) == "completed"

    run(main, backend)


@pytest.mark.behaviour("session-end-in-order")
@BACKENDS
def test_failure_of_a_tool_hook_while_the_line_is_down_ends_the_session_without_another_connection(
    backend: str,
) -> None:
    async def approve(call: object) -> bool:
        await anyio.sleep(1)
        raise ValueError("mine")

    async def main() -> None:
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0.1))
        async with breakable(CALLING, policy=policy, tools=[slow], approve=approve) as (talk, line):
            await talk.session.send_text("call")
            await talk.next(ResponseDone)
            line.refusals.extend(HandshakeError("no", status=503, headers={"Retry-After": "5"}) for _ in range(2))
            line.cut()
            error = await talk.ended()
            assert isinstance(error, ValueError)
            assert len(line.requests) == 2

    run(main, backend)


@BACKENDS
def test_transport_is_asked_for_one_connection_alone_when_nothing_happens(backend: str) -> None:
    async def main() -> None:
        async with talking(SCENARIO) as talk:
            await anyio.sleep(3_000)
            assert talk.kinds == ["SessionReady"]

    run(main, backend)
