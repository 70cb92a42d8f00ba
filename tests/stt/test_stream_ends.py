"""Ends that do not go well: lines that break behind the last word, and services that say no more."""

from __future__ import annotations

import anyio
import pytest

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
    serving,
)
from xai_realtime.errors import (
    TransportTimeoutError,
)
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.transport.faults import Fault

STORY = ("One two three four.", "Five six seven.", "Eight nine ten.")
WHOLE = " ".join(STORY)
POLICY = SttPolicy(reconnect=AT_ONCE)


@pytest.mark.behaviour("stt-stream-broken-end")
@pytest.mark.parametrize("cut", ["before_done", "after_done"])
@BACKENDS
def test_finish_gives_what_was_committed_when_the_line_breaks_at_the_end(backend: str, cut: str) -> None:
    async def main() -> None:
        async with listening(emulator(cut_at_end=cut), policy=POLICY) as ears:
            await ears.speak(*STORY)
            done = await ears.stt.finish()
            assert await ears.ended() is None
        assert done.text == WHOLE
        assert done.is_complete is (cut == "after_done")
        assert len(ears.tap.requests) == 1
        assert ears.told[-1] == done

    run(main, backend)


@pytest.mark.behaviour("stt-stream-broken-end")
@BACKENDS
def test_rest_goes_to_a_new_connection_when_the_line_breaks_at_the_end(backend: str) -> None:
    async def main() -> None:
        plan = Fault.cut(on="audio.done", direction="out")
        async with listening(None, plan, policy=POLICY) as ears:
            await ears.speak("One two three", after_ms=0)
            done = await ears.stt.finish()
        assert done.text == "One two three"
        assert done.is_complete
        assert [wish["type"] for wish in ears.tap.wishes(2)] == ["audio.done"]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-broken-end")
@BACKENDS
def test_both_ends_are_asked_for_again_when_the_line_breaks_between_them(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        assert await peer.wish() == "audio.done"
        await peer.say({**partial("Left.", 0.0, 0.1), "channel_index": 0})
        await peer.say({**HEARD_NOTHING, "channel_index": 0})
        if peer.number == 1:
            await peer.end.aclose(1011)
        await peer.say({**partial("Right.", 0.0, 0.1), "channel_index": 1})
        await peer.say({**HEARD_NOTHING, "channel_index": 1})
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport, listening(transport, policy=POLICY, channels=2) as ears:
            await ears.stt.send(FRAME * 2)
            done = await ears.stt.finish()
        assert done.texts == {0: "Left.", 1: "Right."}
        assert done.is_complete

    run(main, backend)


@pytest.mark.behaviour("stt-stream-broken-end")
@BACKENDS
def test_finish_ends_with_a_timeout_when_the_service_says_no_more(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        await peer.wish()
        await anyio.sleep(4)
        await peer.say(partial("Hello.", 0.0, 0.1))
        for _ in range(30):
            await anyio.sleep(1)
            await peer.say(partial("", 0.1, 0.1, is_final=False, speech_final=False))

    async def main() -> None:
        async with serving(script) as transport, listening(transport) as ears:
            await ears.stt.send(FRAME)
            with pytest.raises(TransportTimeoutError) as caught:
                await ears.stt.finish()
            assert (caught.value.phase, caught.value.timeout_s) == ("transcript.done", 10.0)
            assert anyio.current_time() == 14
            assert ears.stt.transcript.text == "Hello."
            assert await ears.ended() is caught.value
            assert ears.tap.open_now == 0

    run(main, backend)


@pytest.mark.behaviour("stt-stream-broken-end")
@BACKENDS
def test_finish_is_bounded_when_the_service_takes_no_more_audio(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        await anyio.sleep_forever()

    async def main() -> None:
        async with serving(script, buffer=2) as transport:
            async with listening(transport, wait_until_ready=False) as ears:
                await ears.stt.send(FRAME * 9)
                with pytest.raises(TransportTimeoutError, match=r"transcript\.done"):
                    await ears.stt.finish()

    run(main, backend)
