"""Entering and leaving a stream: slow readers, cancellation anywhere, what the body raises, what may be seen."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.stt.driving import (
    AT_ONCE,
    BACKENDS,
    CREATED,
    FRAME,
    HEARD_NOTHING,
    RATE_HZ,
    Ears,
    Peer,
    emulator,
    listening,
    partial,
    run,
    said,
    serving,
)
from xai_realtime import AsyncClient, WebSocketTransport
from xai_realtime.audible import speak
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.errors import (
    ConfigurationError,
    ConnectionBrokenError,
    HandshakeError,
    LocalProtocolError,
    ReplayMismatchError,
    ServiceError,
)
from xai_realtime.protocol.stt_events import SttDone, SttReconnected, SttUtterance
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.stt.stream import SttStream
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.virtual_time import run_virtual

STORY = ("One two three four.", "Five six seven.")
POLICY = SttPolicy(reconnect=AT_ONCE)
CANARY = "xai-canary-93kfTq8Zw"


class OfTheBodyError(Exception):
    """What a program may raise."""


@pytest.mark.behaviour("stt-stream-slow-reader")
@BACKENDS
def test_socket_is_not_read_while_nobody_takes_the_events(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        for number in range(200):
            await peer.say(partial(f"w{number}", number, number + 1))
            sent.append(number)
        assert await peer.wish() == "audio.done"
        await peer.say(HEARD_NOTHING)
        await peer.drain()

    sent: list[int] = []

    async def main() -> None:
        policy = SttPolicy(max_events=10, deaf_after_s=1)
        async with serving(script, buffer=40) as transport, listening(transport, policy=policy, reads=False) as ears:
            await ears.stt.send(FRAME * 30, pace=True)
            assert len(sent) < 60
            texts = []
            async for event in ears.stt:
                if isinstance(event, SttUtterance):
                    texts.append(event.text)
                if len(texts) == 100:
                    break
            assert texts == [f"w{number}" for number in range(100)]
            done = await ears.stt.finish()
            assert len(done.utterances) == 200
            assert len(ears.tap.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("stt-stream-cancel")
@pytest.mark.parametrize("failure", [OfTheBodyError, ExceptionGroup, KeyError], ids=lambda kind: str(kind.__name__))
@BACKENDS
def test_what_the_body_raises_comes_out_as_it_is(backend: str, failure: type[Exception]) -> None:
    raised = failure("a group", [OfTheBodyError()]) if failure is ExceptionGroup else failure("mine")

    async def main() -> None:
        async with AsyncClient(transport=emulator().transport()) as client:
            with pytest.raises(failure) as caught:
                async with client.stt.stream() as stt:
                    await stt.send(FRAME)
                    raise raised
            assert caught.value is raised

    run(main, backend)


@pytest.mark.behaviour("stt-stream-cancel")
@pytest.mark.parametrize("at_ms", [0, 50, 150, 200, 700, 1_900, 2_600, 3_000, 3_700, 9_000])
@BACKENDS
def test_cancelling_leaves_no_connection_wherever_it_comes(backend: str, at_ms: int) -> None:
    async def use(ears_of: list[Ears]) -> None:
        async with listening(emulator(cut_at_end="before_done"), Fault.cut(at_ms=1_500), policy=POLICY) as ears:
            ears_of.append(ears)
            await ears.speak(*STORY)
            await ears.stt.flush()
            await ears.stt.finish()
            await anyio.sleep_forever()

    async def main() -> None:
        ears_of: list[Ears] = []
        with anyio.move_on_after(at_ms / 1000):
            await use(ears_of)
        assert anyio.current_time() <= at_ms / 1000 + 1
        if ears_of:
            assert ears_of[0].tap.open_now == 0
        if backend == "asyncio":
            await anyio.sleep(2)
            assert len(asyncio.all_tasks()) == 1

    run(main, backend)


@pytest.mark.behaviour("stt-stream-cancel")
@BACKENDS
def test_verbs_can_be_cancelled_and_the_stream_goes_on(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(startup_ms=500), wait_until_ready=False) as ears:
            for verb in (ears.stt.ready(), ears.stt.flush(), ears.stt.send(b"\0\0" * 16_000, pace=True)):
                with anyio.move_on_after(0.1) as scope:
                    await verb
                assert scope.cancelled_caught or verb is not None
            await ears.stt.send(said(STORY[0]))
            with anyio.move_on_after(0.05):
                await ears.stt.finish()
            done = await ears.stt.finish()
            assert done.text == STORY[0]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-end")
@BACKENDS
def test_leaving_without_finish_closes_at_once(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            await ears.stt.send(speak("This is not waited for", sample_rate_hz=RATE_HZ))
            left_s = anyio.current_time()
        assert anyio.current_time() <= left_s + 1
        assert ears.tap.open_now == 0
        assert not ears.of(SttDone)
        assert not ears.tap.wishes(1)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-end")
@BACKENDS
def test_failure_that_nobody_saw_is_raised_at_the_end_of_the_context(backend: str) -> None:
    async def main() -> None:
        never = SttPolicy(reconnect=None)
        transport = faults(emulator().transport(), [Fault.cut(at_ms=500)])
        async with AsyncClient(transport=transport) as client:
            with pytest.raises(ConnectionBrokenError):
                async with client.stt.stream(policy=never):
                    await anyio.sleep(2)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-end")
@BACKENDS
def test_stream_is_entered_once_and_takes_nothing_before(backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(transport=emulator().transport()) as client:
            stt = client.stt.stream()
            assert repr(stt) == "<SttStream down, 0 connections>"
            for verb in (stt.send(FRAME), stt.finish(), stt.flush(), stt.finalize()):
                with pytest.raises(LocalProtocolError, match="async with"):
                    await verb
            await stt.__aexit__(None, None, None)
            async with stt:
                with pytest.raises(ConfigurationError, match="entered once"):
                    await stt.__aenter__()

    run(main, backend)


@pytest.mark.behaviour("stt-stream-end")
@BACKENDS
def test_closing_ends_who_waits(backend: str) -> None:
    async def main() -> None:
        outcomes: list[str] = []

        async def wait(stt: SttStream, verb: str) -> None:
            try:
                await getattr(stt, verb)()
            except Exception as error:  # noqa: BLE001 - told below
                outcomes.append(type(error).__name__)

        async with listening(emulator(startup_ms=60_000), wait_until_ready=False) as ears:
            async with anyio.create_task_group() as tasks:
                await ears.stt.send(FRAME)
                for verb in ("ready", "flush", "finish"):
                    tasks.start_soon(wait, ears.stt, verb)
                    await anyio.sleep(0.1)
                await ears.stt.aclose()
        assert outcomes == ["ClosedByUsError"] * 3

    run(main, backend)


@pytest.mark.behaviour("stt-stream-sockets")
@pytest.mark.anyio
@pytest.mark.parametrize(("encoding", "rate_hz"), [("pcm", 16_000), ("mulaw", 8_000), ("pcm", 44_100)])
async def test_words_come_over_real_sockets(anyio_backend: Any, encoding: Any, rate_hz: int) -> None:
    with anyio.fail_after(30):
        async with emulator() as server, AsyncClient(base_url=server.url, api_key="k") as client:
            stream = client.stt.stream(encoding=encoding, sample_rate=rate_hz, source_rate_hz=rate_hz)
            async with stream as stt, anyio.create_task_group() as tasks:
                told: list[Any] = []

                async def read() -> None:
                    async for event in stt:
                        told.append(event)

                tasks.start_soon(read)
                audio = said(*STORY, rate_hz=rate_hz)
                for at in range(0, len(audio), 999):
                    await stt.send(audio[at : at + 999])
                done = await stt.finish()
            assert done.text == " ".join(STORY)
            assert told[-1] == done
            assert [event.text for event in told if isinstance(event, SttUtterance)] == list(STORY)


@pytest.mark.behaviour("stt-stream-sockets")
@pytest.mark.anyio
async def test_line_is_opened_again_over_real_sockets(anyio_backend: Any) -> None:
    with anyio.fail_after(30):
        async with emulator() as server:
            transport = faults(WebSocketTransport(), [Fault.cut(on="transcript.partial", nth=6)])
            async with AsyncClient(base_url=server.url, api_key="k", transport=transport) as client:
                async with client.stt.stream(policy=SttPolicy(reconnect=AT_ONCE)) as stt:
                    await stt.send(said(*STORY))
                    done = await stt.finish()
                    events = [event async for event in stt]
            assert done.text == " ".join(STORY)
            assert [event.reason for event in events if isinstance(event, SttReconnected)] == ["connection_lost"]


@pytest.mark.behaviour("stt-stream-sockets")
@BACKENDS
def test_stream_is_recorded_and_played_again(backend: str, tmp_path: Path) -> None:
    tape = tmp_path / "stream.jsonl"

    async def talk(transport: Any, text: str) -> tuple[list[str], SttDone]:
        async with AsyncClient(transport=transport) as client, client.stt.stream(language="en") as stt:
            await stt.send(said(text), pace=True)
            await stt.send(speak("And this", sample_rate_hz=RATE_HZ), pace=True)
            assert [said.text for said in await stt.flush()] == ["And this"]
            await anyio.sleep(12)
            done = await stt.finish()
            return [type(event).__name__ async for event in stt], done

    recorded = run(lambda: talk(record(tape, emulator().transport()), "Record me."), backend)
    assert recorded[1].text == "Record me. And this"
    played = run(lambda: talk(replay(tape, clock="virtual"), "Record me."), backend)
    assert played == recorded
    with pytest.raises(ReplayMismatchError):
        run(lambda: talk(replay(tape, clock="virtual"), "Another text."), backend)


@pytest.mark.behaviour("stt-stream-secrets")
def test_neither_key_nor_words_are_shown(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> str:
        shown = []
        transport = faults(emulator().transport(), [Fault.cut(at_ms=1_000)])
        async with AsyncClient(transport=transport, api_key=CANARY) as client:
            stt = client.stt.stream(policy=SttPolicy(reconnect=AT_ONCE), keyterms=["Mississippi"])
            async with stt:
                await stt.send(said("Mississippi river."), pace=True)
                shown.append(repr(await stt.finish()))
                shown += [repr(event) async for event in stt]
                shown += [repr(stt), repr(stt.config), repr(stt.transcript), repr(stt._core.ring.next())]
        for refused in (Fault.refuse(400, {"error": "no"}), Fault.refuse(401)):
            async with AsyncClient(transport=faults(emulator().transport(), [refused]), api_key=CANARY) as client:
                with pytest.raises(HandshakeError) as caught:
                    async with client.stt.stream():
                        raise AssertionError("it opened")
                shown += [repr(caught.value), str(caught.value)]
        shown.append(str(ServiceError("error", "no")))
        return "".join(shown)

    shown = run_virtual(main) + caplog.text + "".join(capsys.readouterr())
    assert "SttReconnected" in shown
    assert "received 'transcript.partial' (TranscriptPartial)" in shown
    assert CANARY not in shown
    assert "ississippi" not in shown
