"""The sockets that one client speaks over: how many, whose turn, how old, ready beforehand, entered and left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.tts.driving import BACKENDS, audio, gather, listen, mouth, run, served, writing
from xai_realtime import AsyncClient
from xai_realtime.emulator import Emulator, Refuse
from xai_realtime.errors import ClosedByUsError, ConfigurationError, HandshakeError
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.faults import Fault
from xai_realtime.tts._socket import SOCKET
from xai_realtime.tts.policy import TtsPolicy

TEXT = "One two three."


@pytest.mark.behaviour("tts-first-in")
@pytest.mark.parametrize("most", [1, 2, 4])
@BACKENDS
def test_speeches_beyond_the_limit_wait_and_are_served_in_order(backend: str, most: int) -> None:
    async def main() -> None:
        order: list[int] = []

        async def speak(number: int) -> None:
            voice = ("eve", "ara", "rex")[number % 3]
            async for _ in talk.stream(f"Number {number}.", voice=voice):
                if number not in order:
                    order.append(number)

        async with mouth(policy=TtsPolicy(max_connections=most)) as talk:
            async with anyio.create_task_group() as tasks:
                for number in range(9):
                    tasks.start_soon(speak, number)
                    await anyio.sleep(0.001)
            assert order == list(range(9))
            assert talk.wire.most_open == most

    run(main, backend)


@pytest.mark.behaviour("tts-first-in")
@BACKENDS
def test_one_who_stops_waiting_is_passed_over(backend: str) -> None:
    async def main() -> None:
        async with mouth(policy=TtsPolicy(max_connections=1)) as talk:
            done: list[str] = []

            async def speak(text: str, patience_s: float) -> None:
                with anyio.move_on_after(patience_s):
                    await gather(talk.stream(text))
                    done.append(text)

            async with anyio.create_task_group() as tasks:
                for text, patience_s in (("one", 60), ("two", 0.2), ("three", 60)):
                    tasks.start_soon(speak, text, patience_s)
                    await anyio.sleep(0.001)
            assert done == ["one", "three"]
            assert talk.wire.text() == "onethree"
            assert len(talk.wire.requests) == 1

    run(main, backend)


@BACKENDS
def test_idle_socket_of_another_voice_makes_room_at_the_limit_and_stays_below_it(backend: str) -> None:
    async def main() -> None:
        async with mouth(policy=TtsPolicy(max_connections=2)) as talk:
            for voice in ("eve", "ara", "rex", "rex", "ara"):
                assert await talk.heard(TEXT, voice=voice) == TEXT
            assert len(talk.wire.requests) == 3
            assert talk.wire.most_open == 2
            assert talk.wire.open_now == 2

    run(main, backend)


@pytest.mark.behaviour("ask-58")
@BACKENDS
def test_socket_is_renewed_before_an_utterance_when_it_is_too_old_and_never_within_one(backend: str) -> None:
    async def main() -> None:
        async with mouth(policy=TtsPolicy(max_age_s=300)) as talk:
            await talk.heard(TEXT)
            await anyio.sleep(299.5 - anyio.current_time())
            assert await talk.heard(TEXT) == TEXT
            assert len(talk.wire.requests) == 1
            assert await talk.heard(TEXT) == TEXT
            assert len(talk.wire.requests) == 2
            await anyio.sleep(400)
            assert talk.wire.open_now == 0, "an idle socket is not kept beyond its age"
            assert await talk.heard(TEXT) == TEXT
            assert len(talk.wire.requests) == 3

    run(main, backend)


@BACKENDS
def test_idle_socket_that_the_service_closes_is_forgotten(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        await peer.say(audio(b"ab"), {"type": "audio.done"})
        await anyio.sleep(5)

    async def main() -> None:
        async with served(handler) as talk:
            speech = talk.stream(TEXT)
            await gather(speech)
            await anyio.sleep(6)
            assert talk.wire.open_now == 0
            speech = talk.stream(TEXT)
            assert await gather(speech) == b"ab"
            assert not speech.retried

    run(main, backend)


@pytest.mark.behaviour("tts-prewarm")
@BACKENDS
def test_prewarm_has_one_socket_ready_however_often_it_is_called(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            tts = talk.client.tts
            assert [await tts.prewarm(voice="ara") for _ in range(3)] == [True] * 3
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(lambda: tts.prewarm(voice="rex"))
                await anyio.lowlevel.checkpoint()
                tasks.start_soon(lambda: talk.heard(TEXT, voice="rex"))
            assert len(talk.wire.requests) == 2
            assert await talk.heard(TEXT, voice="ara") == TEXT
            assert len(talk.wire.requests) == 2

    run(main, backend)


@pytest.mark.behaviour("tts-prewarm")
@BACKENDS
def test_prewarm_logs_what_goes_wrong_and_takes_nobodys_turn(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with mouth(policy=TtsPolicy(max_connections=1), refuse=(Refuse(status=503),)) as talk:
            tts = talk.client.tts
            assert await tts.prewarm() is False
            assert await tts.prewarm(speed=9) is False
            assert await tts.prewarm() is True
            assert await tts.prewarm(voice="ara") is True, "an idle socket of another voice makes room"
            assert talk.wire.open_now == 1
            async for _ in (speech := talk.stream(TEXT, voice="ara")):
                assert await tts.prewarm(voice="ara") is False
                await speech.interrupt()
            async with anyio.create_task_group() as tasks:
                for _ in range(2):
                    tasks.start_soon(talk.heard, TEXT)
                await anyio.sleep(0.1)
                assert await tts.prewarm() is False
        assert await talk.client.tts.prewarm() is False

    run(main, backend)
    assert [
        record.message for record in caplog.records if record.name == "xai_realtime.tts" and record.levelno > 10
    ] == [
        "no socket was made ready to speak: HandshakeError",
        "no socket was made ready to speak: ConfigurationError",
        "no socket was made ready to speak: ConfigurationError",
    ]


@BACKENDS
def test_socket_made_ready_that_fails_to_open_does_not_fail_who_waits_for_it(backend: str) -> None:
    async def main() -> None:
        async with mouth(Fault.refuse(503)) as talk:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(talk.client.tts.prewarm)
                for _ in range(1):
                    await anyio.lowlevel.checkpoint()
                tasks.start_soon(talk.heard, TEXT)
            with pytest.raises(HandshakeError):
                async with mouth(Fault.refuse(503)) as other:
                    await other.heard(TEXT)

    run(main, backend)


@pytest.mark.behaviour("tts-owned")
@BACKENDS
def test_client_may_be_entered_several_times_and_again(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(seed=1)
        client = AsyncClient(transport=emulator.transport())
        for _ in range(2):
            async with client:
                async with client:
                    await gather(client.tts.stream(TEXT))
                await gather(client.tts.stream(TEXT))
            with pytest.raises(ConfigurationError):
                client.tts.stream(TEXT)

    run(main, backend)


@pytest.mark.behaviour("tts-owned")
@BACKENDS
def test_task_that_leaves_first_waits_for_the_speeches_that_run_on_its_sockets(backend: str) -> None:
    async def main() -> None:
        client = AsyncClient(transport=Emulator(seed=1).transport())
        left: list[float] = []

        async def first() -> None:
            async with client:
                await anyio.sleep(1)
            left.append(anyio.current_time())

        async def second() -> None:
            await anyio.sleep(0.5)
            async with client:
                speech = client.tts.stream(TEXT)
                await gather(speech)
                assert speech.duration_ms
                await gather(client.tts.stream(TEXT))
                assert left
                await anyio.sleep(5)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            tasks.start_soon(second)
        assert 1 < left[0] < 3

    run(main, backend)


@pytest.mark.behaviour("tts-owned")
def test_client_may_be_left_in_another_task_than_it_was_entered_in_on_asyncio() -> None:
    async def main() -> None:
        client = AsyncClient(transport=Emulator(seed=1, pace="instant").transport())
        await asyncio.create_task(client.__aenter__())
        await asyncio.create_task(gather(client.tts.stream(TEXT)))
        await asyncio.create_task(client.__aexit__(None, None, None))
        assert len(asyncio.all_tasks()) == 1
        with pytest.raises(ConfigurationError):
            client.tts.stream(TEXT)

    asyncio.run(main())


def test_each_state_of_a_socket_can_be_reached_and_left_towards_its_end() -> None:
    states = {state for state, _ in SOCKET} | set(SOCKET.values())
    assert states == {"dialling", "idle", "busy", "clearing", "closing"}
    assert {state for state, trigger in SOCKET if trigger == "dropped"} == states - {"closing"}


class SlowLine(Transport):
    """Takes half a second to open a socket, as the service does."""

    needs_key = False

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        await anyio.sleep(0.5)
        async with self._inner.open(request) as channel:
            yield channel


@pytest.mark.behaviour("tts-cancelled")
@pytest.mark.parametrize("ends", ["cancelled", "interrupted"])
@BACKENDS
def test_socket_that_is_not_waited_for_any_more_serves_the_next(backend: str, ends: str) -> None:
    async def main() -> None:
        async with mouth(inner=SlowLine(Emulator(seed=1).transport())) as talk:
            speech = talk.stream(TEXT)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(gather, speech)
                await anyio.sleep(0.3)
                if ends == "interrupted":
                    await speech.interrupt()
                else:
                    tasks.cancel_scope.cancel()
            began_s = anyio.current_time()
            again = talk.stream(TEXT)
            assert listen(await gather(again), again.config) == TEXT
            assert again.first_audio_s == pytest.approx(0.4)
            assert began_s == pytest.approx(0.3)
            assert len(talk.wire.requests) == 1
            assert talk.wire.text() == TEXT

    run(main, backend)


@BACKENDS
def test_socket_that_nobody_waits_for_makes_room_while_it_is_opened(backend: str) -> None:
    async def main() -> None:
        async with mouth(inner=SlowLine(Emulator(seed=1).transport()), policy=TtsPolicy(max_connections=1)) as talk:
            with anyio.move_on_after(0.1):
                await gather(talk.stream(TEXT))
            assert await talk.heard(TEXT, voice="ara") == TEXT
            assert len(talk.wire.requests) == 2
            assert talk.wire.most_open == 1

    run(main, backend)


@pytest.mark.behaviour("tts-words")
@BACKENDS
def test_text_is_written_while_the_socket_is_opened(backend: str) -> None:
    async def main() -> None:
        async with mouth(inner=SlowLine(Emulator(seed=1).transport())) as talk:
            text = writing("One two ", "three.", pause_s=0.2)
            speech = talk.stream(text)
            assert listen(await gather(speech), speech.config) == TEXT
            sent = [at for _, way, message, at in talk.wire.frames if message["type"].startswith("text.")]
            assert sent == [pytest.approx(0.5)] * 3
            assert speech.first_audio_s == pytest.approx(0.5)

    run(main, backend)


@pytest.mark.behaviour("tts-cancelled")
@BACKENDS
def test_socket_that_comes_as_its_user_is_cancelled_goes_to_the_next(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with mouth(policy=TtsPolicy(max_connections=1)) as talk:
            pool, scope = talk.client._speech, anyio.CancelScope()
            give = pool._give

            def give_and_cancel(socket: Any, place: Any) -> None:
                give(socket, place)
                scope.cancel()

            monkeypatch.setattr(pool, "_give", give_and_cancel)
            with scope:
                await gather(talk.stream(TEXT))
            assert scope.cancelled_caught
            monkeypatch.undo()
            with anyio.fail_after(5):
                assert await talk.heard(TEXT) == TEXT
            assert len(talk.wire.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("tts-owned")
@BACKENDS
def test_those_who_wait_when_the_client_leaves_are_told(backend: str) -> None:
    async def main() -> None:
        told: list[Exception] = []

        async def speak() -> None:
            try:
                await gather(talk.stream(TEXT))
            except ClosedByUsError as error:
                told.append(error)

        async with anyio.create_task_group() as tasks:
            async with mouth(policy=TtsPolicy(max_connections=1)) as talk:
                for _ in range(3):
                    tasks.start_soon(speak)
                await anyio.sleep(0.5)
                assert repr(talk.client._speech) == "<SpeechPool, 1 sockets, 2 waiting>"
        assert len(told) == 3

    run(main, backend)
