"""Streams whose line breaks, is refused, stays silent: each word once, times of the caller's audio."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.emulator.speech.test_stt_engine import interleaved
from tests.stt.driving import (
    AT_ONCE,
    BACKENDS,
    CREATED,
    FRAME,
    HEARD_NOTHING,
    Peer,
    emulator,
    listening,
    partial,
    run,
    said,
    serving,
)
from xai_realtime.emulator import Refuse
from xai_realtime.errors import (
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    ServiceError,
    TransportTimeoutError,
)
from xai_realtime.protocol.policy import Reconnect
from xai_realtime.protocol.stt_events import SttDone, SttReconnected, SttUtterance
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.transport.base import ChannelRequest, Transport
from xai_realtime.transport.faults import Fault

STORY = ("One two three four.", "Five six seven.", "Eight nine ten.")
WHOLE = " ".join(STORY)
POLICY = SttPolicy(reconnect=AT_ONCE)
NEVER = SttPolicy(reconnect=None)


@pytest.mark.behaviour("stt-stream-resend")
@pytest.mark.behaviour("bug-48")
@pytest.mark.parametrize("at_ms", range(400, 5_300, 350))
@BACKENDS
def test_each_word_is_told_once_wherever_the_line_drops(backend: str, at_ms: int) -> None:
    async def main() -> None:
        async with listening(None, Fault.cut(at_ms=at_ms), policy=POLICY) as ears:
            await ears.speak(*STORY)
            done = await ears.stt.finish()
            await ears.ended()
        assert done.text == WHOLE
        assert done.is_complete
        committed = [event for event in ears.of(SttUtterance) if not event.replaces]
        assert " ".join(event.text for event in committed) == WHOLE
        assert [event.is_provisional for event in committed] == [False] * 3
        (again,) = ears.of(SttReconnected)
        assert (again.reason, again.lost_ms, again.attempt) == ("connection_lost", 0.0, 1)
        assert done.duration_s == pytest.approx(len(said(*STORY)) / 32_000, abs=0.02)
        starts = [event.start_s or 0.0 for event in committed]
        places = [len(said(*STORY[:number])) / 32_000 for number in range(3)]
        assert starts == pytest.approx(places, abs=0.15)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-resend")
@BACKENDS
def test_only_what_is_not_certain_is_sent_again(backend: str) -> None:
    audio = said(*STORY[:2])

    async def main() -> None:
        async with listening(None, Fault.cut(at_ms=3_200), policy=POLICY) as ears:
            await ears.stt.send(audio, pace=True)
            await ears.stt.finish()
        first, again = ears.of(SttUtterance)[0], ears.of(SttReconnected)[0]
        assert again.offset_s == pytest.approx(first.end_s)
        place = round((first.end_s or 0) * 32_000)
        assert ears.tap.audio(2) == audio[place:]
        assert again.resent_ms == pytest.approx((len(ears.tap.audio(1)) - place) / 32, abs=101)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-resend")
@BACKENDS
def test_words_of_one_channel_are_told_once_when_the_other_was_silent(backend: str) -> None:
    audio = interleaved(said(*STORY), b"")

    async def main() -> None:
        async with listening(None, Fault.cut(at_ms=4_900), policy=POLICY, channels=2) as ears:
            await ears.stt.send(audio, pace=True)
            done = await ears.stt.finish()
            await ears.ended()
        assert done.texts == {0: WHOLE, 1: ""}
        assert [event.text for event in ears.of(SttUtterance)] == list(STORY)
        assert ears.of(SttReconnected)[0].offset_s == 0

    run(main, backend)


@pytest.mark.behaviour("stt-stream-resend")
@BACKENDS
def test_losses_are_told_when_an_utterance_is_longer_than_the_ring(backend: str) -> None:
    async def main() -> None:
        policy = SttPolicy(reconnect=AT_ONCE, ring_s=1)
        async with listening(None, Fault.cut(at_ms=3_500), policy=policy) as ears:
            await ears.speak("One two three four five six seven eight nine ten eleven twelve.")
            done = await ears.stt.finish()
            await ears.ended()
        again = ears.of(SttReconnected)[0]
        assert again.resent_ms == pytest.approx(1_000, abs=101)
        assert again.lost_ms == pytest.approx(again.offset_s * 1_000, abs=101)
        provisional = ears.of(SttUtterance)[0]
        assert provisional.is_provisional
        assert provisional.text.startswith("One two three")
        assert done.text.startswith("One two three")
        assert done.text.endswith("eleven twelve.")

    run(main, backend)


@pytest.mark.behaviour("stt-stream-resend")
@BACKENDS
def test_silence_that_is_long_over_is_no_loss(backend: str) -> None:
    async def main() -> None:
        policy = SttPolicy(reconnect=AT_ONCE, ring_s=2)
        async with listening(None, Fault.cut(at_ms=8_800), policy=policy) as ears:
            await ears.speak("Well.", after_ms=8_000)
            await ears.speak("Yes.")
            done = await ears.stt.finish()
        assert done.text == "Well. Yes."
        assert ears.of(SttReconnected)[0].lost_ms == 0
        assert ears.of(SttReconnected)[0].resent_ms <= 2_000

    run(main, backend)


@pytest.mark.behaviour("stt-stream-resend")
@BACKENDS
def test_flush_is_asked_for_again_when_the_line_drops_before_its_answer(backend: str) -> None:
    async def main() -> None:
        plan = Fault.cut(on="finalize")
        async with listening(None, plan, policy=POLICY) as ears:
            await ears.speak("Take this", after_ms=0)
            flushed = await ears.stt.flush()
        assert [event.text for event in flushed] == ["Take this"]
        assert [wish["type"] for wish in ears.tap.wishes(2)] == ["finalize"]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_stream_ends_with_the_error_of_the_line_when_it_may_not_connect_again(backend: str) -> None:
    async def main() -> None:
        async with listening(None, Fault.cut(at_ms=1_000), policy=NEVER) as ears:
            with pytest.raises(ConnectionBrokenError):
                await ears.speak(*STORY)
            assert isinstance(await ears.ended(), ConnectionBrokenError)
            with pytest.raises(ConnectionBrokenError):
                await ears.stt.finish()
            assert ears.stt.transcript.text.startswith("One")
            assert ears.of(SttUtterance)[-1].is_provisional
            assert ears.stt.kept_audio == ears.tap.audio(1)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_attempts_are_counted_and_come_to_an_end(backend: str) -> None:
    async def main() -> None:
        plan = (Fault.cut(at_ms=1_000), *(Fault.refuse(503, conn=number) for number in (2, 3)))
        async with listening(None, *plan, policy=POLICY) as ears:
            await ears.speak(*STORY)
            assert (await ears.stt.finish()).text == WHOLE
            assert ears.of(SttReconnected)[0].attempt == 3
        few = SttPolicy(reconnect=Reconnect(first_delay_s=0.1, max_attempts=2))
        async with listening(None, *plan, policy=few) as ears:
            with pytest.raises(HandshakeError) as caught:
                await ears.speak(*STORY)
            assert caught.value.status == 503
        rare = SttPolicy(reconnect=Reconnect(first_delay_s=0, max_per_session=1))
        plan = (Fault.cut(at_ms=1_000), Fault.cut(at_ms=2_000, conn=2))
        async with listening(None, *plan, policy=rare) as ears:
            with pytest.raises(ConnectionBrokenError):
                await ears.speak(*STORY)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-retry")
@pytest.mark.parametrize("status", [429, 502, 503])
@BACKENDS
def test_refusal_that_may_pass_is_tried_again_when_the_stream_begins(backend: str, status: int) -> None:
    async def main() -> None:
        refuse = Refuse(status=status, body="<html>busy</html>", content_type="text/html", retry_after_s=3, times=2)
        async with listening(emulator(refuse=(refuse,)), policy=POLICY) as ears:
            assert ears.tap.opened_s == [0, 3, 6]
            await ears.stt.send(said("Hello."))
            assert (await ears.stt.finish()).text == "Hello."
            await ears.ended()
        assert not ears.of(SttReconnected)
        refuse = Refuse(status=status, times=1)
        with pytest.raises(HandshakeError) as caught:
            async with listening(emulator(refuse=(refuse,)), policy=NEVER):
                raise AssertionError("it opened")
        assert caught.value.status == status

    run(main, backend)


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_refusal_that_will_not_pass_is_raised_at_once(backend: str) -> None:
    async def main() -> None:
        refuse = Refuse(status=400, body='{"code": "invalid-argument", "error": "Incorrect API key provided: xa***"}')
        with pytest.raises(HandshakeError, match="Incorrect API key") as caught:
            async with listening(emulator(refuse=(refuse,))):
                raise AssertionError("it opened")
        assert caught.value.status == 400
        assert anyio.current_time() == 0

    run(main, backend)


class Nowhere(Transport):
    """Nothing can be reached."""

    needs_key = False

    def open(self, request: ChannelRequest) -> Any:
        raise ConnectError("no such host")


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_audio_is_kept_when_no_connection_comes_about(backend: str) -> None:
    async def main() -> None:
        async with listening(Nowhere(), policy=POLICY, wait_until_ready=False) as ears:
            await ears.stt.send(FRAME)
            assert isinstance(await ears.ended(), ConnectError)
            assert ears.stt.kept_audio == FRAME
            assert len(ears.tap.requests) == 7

    run(main, backend)


@pytest.mark.behaviour("bug-46")
@BACKENDS
def test_stream_ends_with_a_timeout_when_the_recogniser_is_never_ready(backend: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.drain()

    async def main() -> None:
        async with serving(silent) as transport:
            once = SttPolicy(reconnect=None)
            async with listening(transport, policy=once, wait_until_ready=False) as ears:
                await ears.stt.send(FRAME)
                error = await ears.ended()
                assert isinstance(error, TransportTimeoutError)
                assert (error.phase, error.timeout_s) == ("transcript.created", 5.0)
                assert anyio.current_time() == 5
                assert ears.tap.open_now == 0
                assert ears.tap.sent == [[]]
                assert ears.stt.kept_audio == FRAME
                with pytest.raises(TransportTimeoutError):
                    await ears.stt.send(FRAME)
            with pytest.raises(TransportTimeoutError):
                async with listening(transport, policy=once):
                    raise AssertionError("it was ready")

    run(main, backend)


@pytest.mark.behaviour("bug-46")
@BACKENDS
def test_audio_given_before_the_recogniser_was_ready_goes_to_the_next_connection(backend: str) -> None:
    async def script(peer: Peer) -> None:
        if peer.number > 1:
            await peer.say(CREATED)
            await peer.hear(len(FRAME))
            await peer.say(partial("Hello.", 0.0, 0.1))
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport:
            async with listening(transport, policy=POLICY, wait_until_ready=False) as ears:
                await ears.stt.send(FRAME)
                await ears.next(SttUtterance)
                assert ears.kinds == ["SttReconnected", "SttReady", "SttUtterance"]
                assert ears.told[0] == SttReconnected(
                    reason="not_ready", resent_ms=0.0, lost_ms=0.0, offset_s=0.0, attempt=1
                )
                assert ears.tap.audio(2) == FRAME
                assert ears.tap.sent[0] == []

    run(main, backend)


@pytest.mark.behaviour("stt-stream-ready")
@BACKENDS
def test_giver_waits_when_as_much_waits_for_the_line_as_may(backend: str) -> None:
    async def main() -> None:
        policy = SttPolicy(ring_s=1)
        async with listening(emulator(startup_ms=2_000), policy=policy, wait_until_ready=False) as ears:
            for _ in range(10):
                await ears.stt.send(FRAME)
            assert anyio.current_time() == 0
            await ears.stt.send(FRAME)
            assert anyio.current_time() == 2
            await ears.stt.finish()
            assert ears.tap.audio(1) == FRAME * 11
        policy = SttPolicy(ring_s=1, created_timeout_s=1, reconnect=None)
        async with listening(emulator(startup_ms=2_000), policy=policy, wait_until_ready=False) as ears:
            with pytest.raises(TransportTimeoutError):
                await ears.stt.send(FRAME * 11)

    run(main, backend)


@pytest.mark.behaviour("bug-47")
@pytest.mark.parametrize(
    "fields", [{"message": "ASR stream timed out"}, {"error": {"message": "ASR stream timed out"}}]
)
@pytest.mark.parametrize("is_early", [True, False])
@BACKENDS
def test_error_event_ends_the_stream_with_its_text(backend: str, fields: dict[str, Any], is_early: bool) -> None:
    async def script(peer: Peer) -> None:
        if not is_early:
            await peer.say(CREATED, partial("Hello", 0.0, 0.1, is_final=False, speech_final=False))
            await peer.wish()
        await peer.say({"type": "error", **fields})
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport, listening(transport, wait_until_ready=False) as ears:
            with pytest.raises(ServiceError) as caught:
                await ears.stt.finish()
            assert (caught.value.code, caught.value.message) == ("error", "ASR stream timed out")
            assert await ears.ended() is caught.value
            assert ears.tap.open_now == 0
            assert len(ears.tap.requests) == 1
            assert ears.stt.transcript.text == ("" if is_early else "Hello")
            assert not ears.stt.transcript.is_complete
            assert "SttDone" not in ears.kinds
            with pytest.raises(ServiceError):
                await ears.stt.send(FRAME)

    run(main, backend)


@pytest.mark.behaviour("bug-47")
@BACKENDS
def test_error_event_counts_as_a_dropped_line_when_the_policy_says_so(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        await peer.hear(len(FRAME))
        if peer.number == 1:
            await peer.say({"type": "error", "message": "pipeline failure"})
        else:
            await peer.say(partial("Hello.", 0.0, 0.1))
        await peer.drain()

    async def main() -> None:
        policy = SttPolicy(reconnect=AT_ONCE, reconnect_on_error=True)
        async with serving(script) as transport, listening(transport, policy=policy) as ears:
            await ears.stt.send(FRAME)
            await ears.next(SttUtterance)
            assert ears.of(SttReconnected)[0].reason == "error"
            assert ears.stt.transcript.text == "Hello."

    run(main, backend)


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_close_in_mid_stream_is_a_failure_even_when_it_is_an_ordinary_one(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        await peer.hear(len(FRAME))
        if peer.number == 1:
            await peer.end.aclose(1000)
        elif peer.number == 2:
            await peer.say(HEARD_NOTHING)
            await peer.drain()
        else:
            await peer.end.aclose(4_401, "who are you?")

    async def main() -> None:
        async with serving(script) as transport, listening(transport, policy=POLICY) as ears:
            await ears.stt.send(FRAME)
            error = await ears.ended()
            assert isinstance(error, ConnectionClosedError)
            assert error.code == 4_401
            assert [again.reason for again in ears.of(SttReconnected)] == ["connection_lost"] * 2
            assert not ears.of(SttDone)

    run(main, backend)
