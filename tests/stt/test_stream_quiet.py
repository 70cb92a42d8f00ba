"""Streams in a pause, and services that fall asleep in one or hear nothing any more."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.stt.driving import (
    AT_ONCE,
    BACKENDS,
    CREATED,
    FRAME,
    RATE_HZ,
    Peer,
    emulator,
    listening,
    partial,
    run,
    said,
    serving,
)
from xai_realtime.audio import silence
from xai_realtime.protocol.stt_events import SttInterim, SttReconnected
from xai_realtime.protocol.stt_policy import SttPolicy

STORY = ("One two three four.", "Five six seven.", "Eight nine ten.")
WHOLE = " ".join(STORY)
POLICY = SttPolicy(reconnect=AT_ONCE)


@pytest.mark.behaviour("stt-stream-idle")
@pytest.mark.parametrize("encoding", ["pcm", "mulaw", "alaw"])
@BACKENDS
def test_pause_is_bridged_by_silence_that_does_not_count(backend: str, encoding: Any) -> None:
    quiet = {"pcm": b"\x00", "mulaw": b"\xff", "alaw": b"\xd5"}[encoding]

    async def main() -> None:
        async with listening(emulator(stt_idle_timeout_s=8), encoding=encoding, source_rate_hz=RATE_HZ) as ears:
            await ears.speak("Before.")
            sent = len(ears.tap.audio(1))
            await anyio.sleep(60)
            bridge = ears.tap.audio(1)[sent:]
            assert bridge.count(quiet) == len(bridge)
            assert len(ears.tap.sent[0]) - sent // 3_200 - 1 >= 9
            await ears.speak("After.")
            done = await ears.stt.finish()
        assert done.text == "Before. After."
        length_s = len(said("Before.")) / 32_000
        assert done.utterances[1].start_s == pytest.approx(length_s, abs=0.15)
        assert done.duration_s == pytest.approx(len(said("Before.", "After.")) / 32_000, abs=0.02)
        assert len(ears.tap.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("stt-stream-idle")
@pytest.mark.parametrize("keep_alive_s", [5, None])
@BACKENDS
def test_fresh_connection_is_used_after_a_long_pause(backend: str, keep_alive_s: float | None) -> None:
    async def main() -> None:
        policy = SttPolicy(renew_idle_s=30, keep_alive_s=keep_alive_s)
        ears_of = emulator(goes_deaf_after_s=20, stt_idle_timeout_s=None)
        async with listening(ears_of, policy=policy) as ears:
            await ears.speak("Before.")
            await anyio.sleep(40)
            assert len(ears.tap.requests) == 1
            await ears.speak("After.")
            done = await ears.stt.finish()
            await ears.ended()
        assert done.text == "Before. After."
        (again,) = ears.of(SttReconnected)
        assert (again.reason, again.resent_ms, again.lost_ms) == ("idle", 0.0, 0.0)
        assert again.offset_s == pytest.approx(len(said("Before.")) / 32_000)
        assert ears.tap.audio(2) == said("After.")

    run(main, backend)


@pytest.mark.behaviour("stt-stream-idle")
@pytest.mark.parametrize("verb", ["send", "finish", "flush"])
@BACKENDS
def test_line_that_ends_in_a_long_pause_is_opened_when_it_is_needed(backend: str, verb: str) -> None:
    async def main() -> None:
        policy = SttPolicy(renew_idle_s=30, keep_alive_s=None)
        async with listening(emulator(stt_idle_timeout_s=60), policy=policy) as ears:
            await ears.speak("Before.")
            await anyio.sleep(200)
            assert len(ears.tap.requests) == 1
            assert ears.tap.open_now == 0
            if verb == "send":
                await ears.speak("After.")
            elif verb == "flush":
                assert await ears.stt.flush() == ()
            done = await ears.stt.finish()
            await ears.ended()
        assert done.text == ("Before. After." if verb == "send" else "Before.")
        assert done.is_complete
        assert [again.reason for again in ears.of(SttReconnected)] == ["idle"]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-deaf")
@BACKENDS
def test_loud_audio_is_sent_once_more_when_the_service_has_gone_deaf(backend: str) -> None:
    async def main() -> None:
        policy = SttPolicy(keep_alive_s=None, deaf_after_s=2, renew_idle_s=None)
        async with listening(emulator(goes_deaf_after_s=20), policy=policy) as ears:
            await ears.speak("Before.")
            await anyio.sleep(25)
            await ears.speak(*STORY)
            done = await ears.stt.finish()
            await ears.ended()
        assert done.text == f"Before. {WHOLE}"
        (again,) = ears.of(SttReconnected)
        assert (again.reason, again.lost_ms) == ("deaf", 0.0)
        assert again.resent_ms > 2_000

    run(main, backend)


@pytest.mark.behaviour("stt-stream-deaf")
@BACKENDS
def test_deafness_is_met_with_one_new_connection_until_something_is_heard(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        if peer.number == 2:
            await peer.hear(len(FRAME) * 150)
            await peer.say(partial("Hello.", 0.0, 15.0))
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport, listening(transport, policy=SttPolicy(ring_s=60)) as ears:
            await ears.stt.send(FRAME * 149, pace=True)
            assert len(ears.tap.requests) == 2
            await ears.stt.send(FRAME * 90, pace=True)
            assert len(ears.tap.requests) == 2
            await ears.stt.send(FRAME * 30, pace=True)
            assert len(ears.tap.requests) == 3

    run(main, backend)


@pytest.mark.behaviour("stt-stream-deaf")
@BACKENDS
def test_silence_is_not_taken_for_deafness(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            await ears.stt.send(silence(60_000, RATE_HZ), pace=True)
            assert len(ears.tap.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("stt-stream-deaf")
@BACKENDS
def test_audio_nobody_heard_is_a_loss_when_it_is_too_old_to_be_sent_again(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        if peer.number == 1:
            await peer.hear(len(FRAME) * 50)
            await peer.end.aclose(1011)
        await peer.drain()

    async def main() -> None:
        policy = SttPolicy(ring_s=2, deaf_after_s=None, reconnect=AT_ONCE)
        async with serving(script) as transport, listening(transport, policy=policy) as ears:
            await ears.stt.send(FRAME * 50, pace=True)
            again = await ears.next(SttReconnected)
            assert (again.resent_ms, again.lost_ms, again.offset_s) == (2_000.0, 3_000.0, 3.0)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-events")
@BACKENDS
def test_empty_partials_tell_nothing(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(empty_partials=True)) as ears:
            await ears.speak("Hello.")
            await ears.stt.flush()
            count = len(ears.told)
            await anyio.sleep(20)
            assert len(ears.told) == count
            assert not [event for event in ears.of(SttInterim) if not event.text]

    run(main, backend)
