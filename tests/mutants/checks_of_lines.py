"""Checks of a line that drops: what is said and told again, once."""

from __future__ import annotations

from collections import Counter

from tests.mutants.checks import call, check, rest
from tests.session.driving import utterance
from xai_realtime.protocol.session_events import Reconnected, ResponseDone
from xai_realtime.transport.faults import Fault

__all__: list[str] = []


@check
async def microphone_audio_survives_a_cut() -> None:
    spoken = utterance("good day to all of you", 1_500)
    async with call({}, Fault.cut(at_ms=700)) as (talk, wire):
        await talk.stream(spoken)
        await talk.next(ResponseDone)
        sent = [len(message["audio"]) * 3 // 4 for message in wire.sent("input_audio_buffer.append", conn=2)]
        lost_ms = talk.of(Reconnected)[0].lost_ms
    missing_ms = (len(spoken) - sum(sent)) / 48 - lost_ms
    assert missing_ms < 20, f"{missing_ms:.0f} ms of the microphone were neither sent again nor reported as lost"


@check
async def conversation_is_told_anew_once() -> None:
    async with call({}) as (talk, wire):
        await talk.session.send_text("hello")
        await talk.next(ResponseDone)
        await rest()
        await talk.session.restart()
        await rest(1)
    told = Counter(item["id"] for item in wire.items("message", conn=2))
    assert len(told) == 2, f"{len(told)} of 2 items were told to the new connection"
    assert set(told.values()) == {1}, f"an item was told to the new connection {max(told.values())} times"
