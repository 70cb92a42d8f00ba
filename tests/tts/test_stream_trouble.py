"""Speaking over a line that breaks, a service that errs or falls silent, a text that raises, a client that leaves."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.tts.driving import BACKENDS, audio, gather, listen, mouth, run, served, writing
from xai_realtime import AsyncClient
from xai_realtime.emulator import Emulator, Refuse, SpeechQuirks
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    LocalProtocolError,
    ServiceError,
    TransportTimeoutError,
)
from xai_realtime.transport.faults import Fault
from xai_realtime.tts.policy import TtsPolicy

TEXT = "One two three four five."
AGAIN = "Six seven."


@pytest.mark.behaviour("bug-58")
@pytest.mark.parametrize("fault", ["close", "cut"])
@BACKENDS
def test_line_that_ends_within_an_utterance_is_an_error_and_what_was_heard_stays(backend: str, fault: str) -> None:
    kind = ClosedByServerError if fault == "close" else ConnectionBrokenError

    async def main() -> None:
        async with mouth(getattr(Fault, fault)(on="audio.delta", nth=3)) as talk:
            speech, got = talk.stream(TEXT), []
            with anyio.fail_after(60), pytest.raises(kind):
                async for chunk in speech:
                    got.append(chunk)
            assert len(got) == 2
            assert not speech.retried
            assert speech.duration_ms == 200
            assert await talk.heard(AGAIN) == AGAIN

    run(main, backend)


@pytest.mark.behaviour("ask-58")
@pytest.mark.parametrize("fault", ["close", "cut", "error"])
@pytest.mark.parametrize("form", ["str", "async"])
@BACKENDS
def test_used_socket_that_fails_before_any_audio_is_replaced_once(backend: str, fault: str, form: str) -> None:
    async def handler(peer: Any) -> None:
        text = ""
        while True:
            text += (await peer.until("text.delta"))["delta"]
            if peer.conn == 1 and text == "Hello.":
                await peer.until("text.done")
                await peer.say(audio(b"he"), {"type": "audio.done"})
            elif peer.conn == 1:
                if fault == "error":
                    await peer.say({"type": "error", "message": "TTS pipeline timed out after 2101s"})
                elif fault == "cut":
                    peer.channel.break_off()
                return
            elif text == AGAIN:
                await peer.until("text.done")
                await peer.say(audio(b"ag"), {"type": "audio.done"})
                return await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            assert await gather(talk.stream("Hello.")) == b"he"
            text = AGAIN if form == "str" else writing(*AGAIN.partition(" "), pause_s=0.5)
            speech = talk.stream(text)
            assert await gather(speech) == b"ag"
            assert speech.retried
            assert speech.text_sent == AGAIN
            assert talk.wire.text(2) == AGAIN
            assert len(talk.wire.requests) == 2

    run(main, backend)


@pytest.mark.behaviour("ask-58")
@BACKENDS
def test_second_failure_in_a_row_is_told(backend: str) -> None:
    async def handler(peer: Any) -> None:
        if peer.conn == 1:
            await peer.until("text.done")
            await peer.say(audio(b"he"), {"type": "audio.done"})
        await peer.until("text.delta")
        await peer.say({"type": "error", "error": {"message": f"no {peer.conn}"}})
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            await gather(talk.stream("Hello."))
            speech = talk.stream(AGAIN)
            with pytest.raises(ServiceError, match="no 2"):
                await gather(speech)
            assert speech.retried
            assert len(talk.wire.requests) == 2

    run(main, backend)


@pytest.mark.behaviour("ask-58")
@BACKENDS
def test_deadline_of_the_service_is_met_by_a_fresh_socket(backend: str) -> None:
    async def main() -> None:
        async with mouth(tts_max_age_s=2.0, policy=TtsPolicy(max_age_s=5000)) as talk:
            first = talk.stream("Hello.")
            await gather(first)
            await anyio.sleep(1.9 - anyio.current_time())
            speech = talk.stream(AGAIN)
            assert listen(await gather(speech), speech.config) == AGAIN
            assert speech.retried
            await anyio.sleep(100)
            late = talk.stream(AGAIN)
            assert listen(await gather(late), late.config) == AGAIN
            assert not late.retried, "a socket that ends while it is idle is not used"

    run(main, backend)


@pytest.mark.parametrize("field", ["message", "error"])
@BACKENDS
def test_error_event_on_a_first_socket_is_told_as_it_is(backend: str, field: Any) -> None:
    async def main() -> None:
        async with mouth(tts_max_age_s=0.1, error_field=field) as talk:
            speech = talk.stream(TEXT)
            with pytest.raises(ServiceError, match="TTS pipeline timed out") as caught:
                await gather(speech)
            assert caught.value.code == "error"
            assert not speech.retried
            assert len(talk.wire.requests) == 1

    run(main, backend)


@BACKENDS
def test_refused_handshake_is_told_and_the_next_speech_dials_again(backend: str) -> None:
    async def main() -> None:
        refuse = (Refuse(status=503, body="<html>busy</html>", content_type="text/html"), Refuse(status=429))
        async with mouth(refuse=refuse) as talk:
            for status in (503, 429):
                text = writing(TEXT, pause_s=0.1)
                with pytest.raises(HandshakeError) as caught:
                    await gather(talk.stream(text))
                assert caught.value.status == status
                await anyio.sleep(1)
                assert text.closed_s is None or text.closed_s < anyio.current_time()
            assert await talk.heard(TEXT) == TEXT

    run(main, backend)


@BACKENDS
def test_refused_handshake_of_a_second_try_is_told(backend: str) -> None:
    async def main() -> None:
        plan = (Fault.cut(on="text.delta", nth=2), Fault.refuse(500, conn=2))
        async with mouth(*plan) as talk:
            await gather(talk.stream("Hello."))
            with pytest.raises(HandshakeError):
                await gather(talk.stream(AGAIN))
            assert await talk.heard(AGAIN) == AGAIN

    run(main, backend)


@pytest.mark.behaviour("tts-silence")
@BACKENDS
def test_first_audio_that_does_not_come_is_a_timeout_from_the_end_of_the_text_on(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.rest()

    async def main() -> None:
        async with served(handler, policy=TtsPolicy(first_audio_timeout_s=3)) as talk:
            with pytest.raises(TransportTimeoutError) as caught:
                await gather(talk.stream(writing("one", " two", pause_s=10)))
            assert (caught.value.phase, caught.value.timeout_s) == ("first audio", 3)
            assert anyio.current_time() == pytest.approx(23)
            with pytest.raises(TransportTimeoutError):
                await gather(talk.stream(TEXT))
            assert anyio.current_time() == pytest.approx(26)
        async with served(handler, policy=TtsPolicy(first_audio_timeout_s=None, audio_timeout_s=None)) as talk:
            with anyio.move_on_after(500) as scope:
                await gather(talk.stream(TEXT))
            assert scope.cancelled_caught

    run(main, backend)


@pytest.mark.behaviour("tts-silence", "bug-58")
@BACKENDS
def test_audio_that_stops_is_a_timeout_though_not_for_a_slow_listener_or_a_slow_text(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.delta")
        await peer.say(audio(b"ab"))
        await peer.until("text.done")
        await peer.say(audio(b"cd"), audio(b"ef"))
        await peer.rest()

    async def main() -> None:
        async with served(handler, policy=TtsPolicy(audio_timeout_s=4)) as talk:
            got = []
            text = writing("one", " two", pause_s=30)
            with pytest.raises(TransportTimeoutError) as caught:
                async for chunk in talk.stream(text):
                    got.append((chunk, anyio.current_time()))
                    if chunk == b"cd":
                        await anyio.sleep(50)
            assert [chunk for chunk, _ in got] == [b"ab", b"cd", b"ef"]
            assert caught.value.phase == "audio"
            assert 4 <= anyio.current_time() - got[-1][1] <= 6

    run(main, backend)


@BACKENDS
def test_messages_that_are_no_events_are_passed_over_and_logged(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(peer: Any) -> None:
        await peer.say(audio(b"xx"), {"type": "audio.clear"}, {"type": "audio.done"})
        await peer.until("text.delta")
        await peer.say({"type": "audio.done"}, audio(b"ab"))
        await peer.until("text.done")
        bad = {"type": "audio.delta", "delta": "no base64!"}
        await peer.say(
            b"{", {"type": "audio.later"}, {"type": "audio.delta", "delta": 7}, bad, {"type": "session.updated"}
        )
        from xai_realtime.frames import Frame

        await peer.channel.send(Frame(b"binary", is_text=False))
        await peer.say(
            {"delta": "Y2Q=", "type": "audio.delta"}, audio(b"ef", x=1), audio(b"gh"), {"type": "audio.done"}
        )
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            assert await gather(talk.stream(writing("one", " two", pause_s=1))) == b"abcdefgh"

    run(main, backend)
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    names = ("InvalidEvent", "UnknownEvent", "InvalidEvent", "BinaryAudio")
    passed = [f"passed over a message that is no event of this service: {name}" for name in names]
    assert said == [
        "dropped audio that came before any text",
        *passed[:3],
        "passed over audio that is no base64",
        passed[3],
    ]


@BACKENDS
def test_service_that_gives_an_utterance_up_ends_it(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        await peer.say(audio(b"ab"), {"type": "audio.clear"})
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            assert await gather(talk.stream(TEXT)) == b"ab"

    run(main, backend)


@BACKENDS
def test_socket_that_speaks_without_being_asked_is_not_used_again(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        await peer.say(audio(b"ab"), {"type": "audio.done"}, audio(b"zz"))
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            for _ in range(2):
                assert await gather(talk.stream(TEXT)) == b"ab"
                await anyio.sleep(1)
            assert len(talk.wire.requests) == 2

    run(main, backend)


@pytest.mark.parametrize("after_s", [0.0, 0.7])
@BACKENDS
def test_what_the_text_raises_comes_out_as_it_is(backend: str, after_s: float) -> None:
    error = ExceptionGroup("mine", [KeyError("secret")])

    async def fails() -> Any:
        yield "One two three. "
        await anyio.sleep(after_s)
        raise error

    def fails_too() -> Any:
        yield "One."
        raise error

    async def main() -> None:
        async with mouth() as talk:
            for text in (fails(), fails_too()):
                with anyio.fail_after(5), pytest.raises(ExceptionGroup) as caught:
                    await gather(talk.stream(text))
                assert caught.value is error
                assert await talk.heard(AGAIN) == AGAIN
            for item in (7, b"bytes", None):
                with pytest.raises(ConfigurationError, match="str and Flush are allowed"):
                    await gather(talk.stream([item]))
            assert len(talk.wire.requests) == 1

    run(main, backend)


@BACKENDS
def test_iterator_that_cannot_be_closed_is_logged_and_one_without_close_is_left(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Bare:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> str:
            await anyio.sleep(0.1)
            return "word "

    class Bad(Bare):
        async def aclose(self) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        async with mouth() as talk:
            for text in (Bare(), Bad()):
                speech = talk.stream(text)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(gather, speech)
                    await anyio.sleep(1)
                    await speech.interrupt()
            assert await talk.heard(AGAIN) == AGAIN

    run(main, backend)
    assert "closing the iterator of the text raised ZeroDivisionError" in caplog.text


def test_text_that_cancels_itself_is_an_error_and_not_a_hang() -> None:
    import asyncio

    async def cancelled() -> Any:
        yield "One."
        raise asyncio.CancelledError

    async def main() -> None:
        async with mouth() as talk:
            with anyio.fail_after(5), pytest.raises(LocalProtocolError, match="cancelled before its end"):
                await gather(talk.stream(cancelled()))
            assert await talk.heard(AGAIN) == AGAIN

    run(main, "asyncio")


@pytest.mark.behaviour("tts-owned")
@pytest.mark.parametrize("kind", ["str", "async"])
@pytest.mark.parametrize("at_s", [0.0, 0.1, 0.8])
@BACKENDS
def test_client_that_leaves_ends_its_speeches_with_an_error(backend: str, kind: str, at_s: float) -> None:
    async def main() -> None:
        errors: list[Exception] = []
        text = writing("One two. ", "Three.", pause_s=0.5)

        async def listener(speech: Any) -> None:
            try:
                await gather(speech)
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            async with mouth() as talk:
                for _ in range(3):
                    tasks.start_soon(listener, talk.stream(TEXT if kind == "str" else text))
                await anyio.sleep(at_s)
        assert len(errors) == 3
        assert {type(error) for error in errors} <= {ClosedByUsError, ConfigurationError}
        assert at_s == 0 or {type(error) for error in errors} == {ClosedByUsError}

    run(main, backend)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.behaviour("tts-owned")
@BACKENDS
def test_exception_of_the_clients_body_comes_out_as_it_is(backend: str) -> None:
    async def main() -> None:
        error = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError) as caught:
            async with AsyncClient(transport=Emulator(seed=1).transport()) as client:
                async for _ in client.tts.stream(writing(TEXT)):
                    raise error
        assert caught.value is error
        with anyio.move_on_after(1) as scope:
            async with AsyncClient(transport=Emulator(seed=1).transport()) as client:
                await gather(client.tts.stream(TEXT))
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert anyio.current_time() < 3

    run(main, backend)


@pytest.mark.behaviour("tts-key-never-shows")
@BACKENDS
def test_key_text_and_audio_are_in_no_log_repr_or_error(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, shown = "xai-CANARY7Tq2MdK9", []

    async def main() -> None:
        emulator = Emulator(seed=1, speech=SpeechQuirks(tts_max_age_s=4.0))
        async with AsyncClient(transport=emulator.transport(), api_key=key) as client:
            speech = client.tts.stream("CANARY one.", pronunciations={"CANARY": "x CANARY"})
            pieces = [piece async for piece in speech.pieces()]
            shown.extend(map(repr, (speech, speech.config, client, client._speech, pieces, speech.characters)))
            shown.append(repr(list(client._speech._sockets)))
            try:
                await gather(client.tts.stream(writing(*["CANARY two. "] * 5, pause_s=1)))
            except (ServiceError, ConnectionClosedError) as error:
                shown.append(repr(error))
            assert await client.tts.prewarm(speed=99) is False

    run(main, backend)
    assert len(shown) == 8
    assert caplog.records
    assert not [entry for entry in (*shown, caplog.text) if "CANARY" in entry]


@pytest.mark.behaviour("ask-58")
@pytest.mark.parametrize("news", ["error", "audio", "close"])
@BACKENDS
def test_idle_socket_that_fails_in_the_moment_it_is_taken_fails_nobody(backend: str, news: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        await peer.say(audio(b"ab"), {"type": "audio.done"})
        if peer.conn == 1:
            await anyio.sleep_until(10)
            if news == "close":
                return
            await peer.say({"type": "error", "message": "too old"} if news == "error" else audio(b"zz"))
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            assert await gather(talk.stream(TEXT)) == b"ab"
            await anyio.sleep_until(10)
            assert await gather(talk.stream(TEXT)) == b"ab"
            assert len(talk.wire.requests) == 2

    run(main, backend)
