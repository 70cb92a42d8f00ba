"""The input is cleared while audio that was held is going out: what is said after the clear is not lost."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, run
from tests.session.handmade import served
from xai_realtime import Manual
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import SessionWarning

CLEAR = "input_audio_buffer.clear"


def numbered(count: int, first: int) -> list[bytes]:
    """20 ms of audio each, no two alike."""
    return [number.to_bytes(2, "little") * (RATE_HZ // 50) for number in range(first, first + count)]


def sent_audio(events: list[Any]) -> list[bytes]:
    """The microphone audio among what was sent, piece by piece."""
    return [event.decoded_audio for event in events if isinstance(event, wire.InputAudioBufferAppend)]


@pytest.mark.behaviour("audio-said-after-a-clear-is-kept")
@pytest.mark.parametrize("way", ["clear_input", "interrupt"])
@BACKENDS
def test_audio_said_after_a_clear_goes_out_after_it_when_held_audio_is_going_out(backend: str, way: str) -> None:
    before, after = numbered(40, 1), numbered(10, 100)

    async def main() -> None:
        async with served(acknowledges=False, buffer=4, wait_until_ready=False) as (talk, server):
            await server.got("session.update")
            for frame in before:
                await talk.session.send_audio(frame)
            server.hears = anyio.Event()
            await server.say("session.updated", session={})
            await anyio.sleep(1)  # the line takes no more, and the rest waits
            assert 0 < len(sent_audio(talk.sent)) < len(before)
            if way == "interrupt":
                await talk.session.interrupt(clear_input=True)
            else:
                await talk.session.clear_input()
            for frame in after:
                await talk.session.send_audio(frame)
            server.hears.set()
            await server.got("input_audio_buffer.clear")
            await anyio.sleep(1)
            place = talk.sent_types(audio=True).index("input_audio_buffer.clear")
            assert set(sent_audio(talk.sent[:place])) <= set(before)
            assert sent_audio(talk.sent[place:]) == after
            assert talk.of(SessionWarning) == []
            await talk.session.send_audio(before[0])
            assert sent_audio(talk.sent)[-1] == before[0]

    run(main, backend)


@pytest.mark.behaviour("audio-said-after-a-clear-is-kept")
@BACKENDS
def test_every_clear_stands_before_what_is_said_after_it_when_held_audio_is_going_out(backend: str) -> None:
    frames = numbered(20, 1)

    async def main() -> None:
        async with served(acknowledges=False, buffer=4, wait_until_ready=False) as (talk, server):
            await server.got("session.update")
            for frame in frames[:10]:
                await talk.session.send_audio(frame)
            server.hears = anyio.Event()
            await server.say("session.updated", session={})
            await anyio.sleep(1)
            await talk.session.clear_input()
            await talk.session.send_text("hello", respond=False)
            for frame in frames[10:15]:
                await talk.session.send_audio(frame)
            await talk.session.clear_input()
            for frame in frames[15:]:
                await talk.session.send_audio(frame)
            server.hears.set()
            await server.got("input_audio_buffer.clear", 2)
            await anyio.sleep(1)
            kinds = talk.sent_types()
            assert kinds == ["session.update", CLEAR, "conversation.item.create", CLEAR]
            last = max(place for place, kind in enumerate(talk.sent_types(audio=True)) if kind == CLEAR)
            assert sent_audio(talk.sent[last:]) == frames[15:]
            assert not {*frames[10:15]} & {*sent_audio(talk.sent)}

    run(main, backend)


@pytest.mark.behaviour("audio-said-after-a-clear-is-kept")
@BACKENDS
def test_turn_said_and_ended_after_a_clear_goes_out_whole_when_held_audio_is_going_out(backend: str) -> None:
    before, after = numbered(20, 1), numbered(5, 100)

    async def main() -> None:
        manual: Any = {"turn_detection": Manual(), "wait_until_ready": False}
        async with served(acknowledges=False, buffer=4, **manual) as (talk, server):
            await server.got("session.update")
            for frame in before:
                await talk.session.send_audio(frame)
            server.hears = anyio.Event()
            await server.say("session.updated", session={})
            await anyio.sleep(1)
            await talk.session.clear_input()
            for frame in after:
                await talk.session.send_audio(frame)
            await talk.session.end_turn()
            server.hears.set()
            await server.got("response.create")
            assert talk.sent_types() == ["session.update", CLEAR, "input_audio_buffer.commit", "response.create"]
            kinds = talk.sent_types(audio=True)
            turn = talk.sent[kinds.index(CLEAR) : kinds.index("input_audio_buffer.commit")]
            assert sent_audio(turn) == after

    run(main, backend)
