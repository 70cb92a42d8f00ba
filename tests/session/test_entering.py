"""Entering and leaving a session: what its body raises, cancellation, a second time, and a reader that left."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, run, talking
from tests.session.handmade import served
from xai_realtime import AsyncClient, SessionPolicy
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ClosedByServerError, ConfigurationError
from xai_realtime.protocol.session_events import AudioOutput, ResponseDone, SessionEvent, SessionReady
from xai_realtime.realtime.session import RealtimeSession
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.transport.memory import memory_pair

STORY = "One two three four five six seven eight nine ten."


class OfTheBodyError(Exception):
    """What a program may raise."""


def client(*plan: Fault) -> AsyncClient:
    """A client of an emulator that tells a story."""
    return AsyncClient(transport=faults(Emulator(lambda prompt: STORY, seed=1, pace="instant").transport(), plan))


@pytest.mark.behaviour("session-entered")
@pytest.mark.parametrize("failure", [OfTheBodyError, ExceptionGroup, KeyError], ids=lambda kind: str(kind.__name__))
@BACKENDS
def test_what_the_body_raises_comes_out_as_it_is(backend: str, failure: type[Exception]) -> None:
    raised = failure("a group", [OfTheBodyError()]) if failure is ExceptionGroup else failure("mine")

    async def main() -> None:
        async with client() as xai:
            with pytest.raises(failure) as caught:
                async with xai.realtime.session() as session:
                    await session.send_text("tell")
                    async for _ in session:
                        raise raised
            assert caught.value is raised
            assert caught.value.__context__ is None

    run(main, backend)


@pytest.mark.behaviour("session-entered")
@BACKENDS
def test_cancelling_all_of_a_session_passes_cleanly_and_closes_the_line(backend: str) -> None:
    async def main() -> None:
        line, door = memory_pair()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                channels: list[Any] = []

                async def accept() -> None:
                    _, channel = await door.accept()
                    channels.append(channel)
                    with pytest.raises(ClosedByServerError):
                        while True:
                            await channel.receive()

                tasks.start_soon(accept)
                with anyio.move_on_after(5) as scope:
                    async with AsyncClient(transport=line) as xai, xai.realtime.session():
                        pytest.fail("nobody acknowledged the configuration")
                assert scope.cancelled_caught
                assert anyio.current_time() == pytest.approx(5, abs=0.5)

    run(main, backend)


@pytest.mark.behaviour("session-entered")
@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.3, 1.0, 2.5])
@BACKENDS
def test_cancelling_a_session_from_outside_ends_it_at_any_moment(backend: str, after_s: float) -> None:
    reached: list[str] = []

    async def main() -> None:
        async with client(Fault.delay(200, on="session.updated"), Fault.delay(500, on="response.created")) as xai:
            with anyio.move_on_after(after_s) as scope:
                async with xai.realtime.session() as session:
                    reached.append("body")
                    await session.send_text("tell")
                    async for _ in session:
                        reached.append("event")
                reached.append("after")
            assert scope.cancelled_caught
            assert "after" not in reached

    run(main, backend)


@pytest.mark.behaviour("session-entered")
def test_cancelling_the_task_of_asyncio_that_holds_a_session_passes_cleanly() -> None:
    async def main() -> None:
        async def talk() -> None:
            async with client() as xai, xai.realtime.session() as session:
                async for _ in session:
                    pass

        task = asyncio.create_task(talk())
        await anyio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert len(asyncio.all_tasks()) == 1

    run(main, "asyncio")


@pytest.mark.behaviour("session-entered")
@BACKENDS
def test_session_is_entered_once(backend: str) -> None:
    async def main() -> None:
        async with client() as xai:
            session = xai.realtime.session()
            async with session:
                with pytest.raises(ConfigurationError, match="entered once"):
                    await session.__aenter__()
                await session.send_text("tell")
                assert await first(session, ResponseDone)
            with pytest.raises(ConfigurationError, match="entered once"):
                async with session:
                    pytest.fail("entered twice")

    run(main, backend)


async def first(session: RealtimeSession, kind: type[SessionEvent]) -> SessionEvent:
    """Read on until an event of a kind comes."""
    async for event in session:
        if isinstance(event, kind):
            return event
    raise AssertionError("the session ended")


@pytest.mark.behaviour("session-entered")
@BACKENDS
def test_iterating_goes_on_where_it_was_left_and_ends_once_and_for_all(backend: str) -> None:
    async def main() -> None:
        async with client() as xai, xai.realtime.session() as session:
            assert await first(session, SessionReady)
            for _ in range(2):
                await session.send_text("tell")
                done = await first(session, ResponseDone)
                assert isinstance(done, ResponseDone) and done.status == "completed"
            await session.aclose()
            rest = [type(event).__name__ async for event in session]
            assert set(rest) <= {"SpeechStopped"}
            assert [event async for event in session] == []

    run(main, backend)


@pytest.mark.behaviour("session-entered")
@BACKENDS
def test_two_readers_share_the_events_and_both_end(backend: str) -> None:
    seen: list[list[SessionEvent]] = [[], []]

    async def main() -> None:
        async with client() as xai, xai.realtime.session() as session:

            async def read(mine: list[SessionEvent]) -> None:
                async for event in session:
                    mine.append(event)
                    await anyio.sleep(0.001)

            async with anyio.create_task_group() as tasks:
                for mine in seen:
                    tasks.start_soon(read, mine)
                await session.send_text("tell")
                await anyio.sleep(10)
                await session.aclose()
        assert all(seen)
        told = [event for mine in seen for event in mine]
        assert len({id(event) for event in told}) == len(told)
        assert len([event for event in told if isinstance(event, ResponseDone)]) == 1

    run(main, backend)


@pytest.mark.behaviour("session-entered")
@pytest.mark.parametrize("raises", [False, True])
@BACKENDS
def test_leaving_with_a_full_queue_that_nobody_reads_takes_bounded_time(backend: str, raises: bool) -> None:
    async def main() -> None:
        policy = SessionPolicy(max_events=4)
        left_s = 0.0
        try:
            async with client() as xai, xai.realtime.session(policy=policy) as session:
                await session.send_text("tell")
                await session.send_text("tell")
                await anyio.sleep(30)
                left_s = anyio.current_time()
                if raises:
                    raise OfTheBodyError
        except OfTheBodyError:
            assert raises
        assert anyio.current_time() - left_s < 5

    run(main, backend)


@pytest.mark.behaviour("session-entered")
@BACKENDS
def test_slow_reader_gets_every_event_in_order(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(max_events=2)
        whole: list[list[bytes]] = []
        for pause_s in (0.0, 0.5):
            emulator = Emulator(lambda prompt: STORY, seed=1, pace="instant")
            async with talking(emulator=emulator, policy=policy, reads=False) as talk:
                await talk.session.send_text("tell")
                heard: list[bytes] = []
                async for event in talk.session:
                    await anyio.sleep(pause_s)
                    if isinstance(event, AudioOutput):
                        heard.append(event.audio)
                    if isinstance(event, ResponseDone):
                        break
                whole.append(heard)
        assert whole[0] == whole[1] != []

    run(main, backend)


@pytest.mark.behaviour("bug-14")
@BACKENDS
def test_what_is_sent_while_the_line_is_down_is_held_and_goes_out_in_order(backend: str) -> None:
    async def main() -> None:
        frames = [number.to_bytes(2, "little") * 480 for number in range(50)]
        async with served() as (talk, server):
            for frame in frames[:10]:
                await talk.session.send_audio(frame)
            server.break_off()
            await anyio.sleep(0)
            await talk.session.send_text("first")
            for frame in frames[10:]:
                await talk.session.send_audio(frame)
            await talk.session.send_text("second")
            await talk.until(lambda: server.connections == 2)
            await server.got("response.create")
            place = [message["type"] for message in server.heard].index("session.update", 1)
            again = server.heard[place:]
            audio = [message["audio"] for message in again if message["type"] == "input_audio_buffer.append"]
            assert [b64decode(text) for text in audio[-40:]] == frames[10:]
            texts = [item["item"]["content"][0]["text"] for item in server.of("conversation.item.create")]
            assert texts == ["first"]
            await server.replies("resp-1")
            await server.got("response.create", 2)
            texts = [item["item"]["content"][0]["text"] for item in server.of("conversation.item.create")]
            assert texts == ["first", "second"]

    run(main, backend)
