"""Checks of audio, interruptions and usage: what plays, what was heard, what it used."""

from __future__ import annotations

import json
from typing import Any

import anyio

from tests.mutants.checks import call, check, rest
from tests.session.driving import Talk
from xai_realtime.audible import speak
from xai_realtime.emulator import Quirks
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
)

__all__: list[str] = []

LONG = "one two three four five six seven eight nine ten eleven twelve"


async def speaking(talk: Talk, ms: float) -> None:
    """Wait until the agent has spoken so long."""
    await talk.session.send_text("hello")
    await talk.next(SpeechStarted, who="agent")
    await anyio.sleep(ms / 1000)


@check
async def truncation_says_what_was_played() -> None:
    async with call({"hello": LONG}) as (talk, wire):
        await speaking(talk, 1_010)
        await talk.session.interrupt()
        await rest(2)
        [cut] = wire.sent("conversation.item.truncate")
    played_ms = 1_010
    assert cut["audio_end_ms"] <= played_ms, (
        f"truncated at {cut['audio_end_ms']} ms, but only {played_ms} ms had been played"
    )
    assert cut["audio_end_ms"] >= played_ms - 1


@check
async def nothing_of_an_interrupted_reply_is_passed_on() -> None:
    async with call({"hello": LONG}, quirks=Quirks(late_deltas=5)) as (talk, _):
        await speaking(talk, 500)
        await talk.session.interrupt()
        await rest(2)
        events = [event for _, event in talk.told]
    place = next(place for place, event in enumerate(events) if isinstance(event, Interrupted))
    stale = [event for event in events[place:] if isinstance(event, AudioOutput)]
    assert not stale, f"{len(stale)} pieces of stale audio of an interrupted reply were passed on"


@check
async def nothing_is_cancelled_when_nothing_runs() -> None:
    async with call({}) as (talk, wire):
        assert not await talk.session.interrupt()
        await speaking(talk, 0)
        await talk.next(ResponseDone)
        await talk.session.interrupt()
        await rest(1)
    assert not wire.sent("response.cancel"), "response.cancel was sent with no reply running"


@check
async def heard_text_is_kept() -> None:
    async with call({"hello": LONG}, quirks=Quirks(ignores_truncate=True)) as (talk, _):
        await speaking(talk, 1_200)
        await talk.session.interrupt()
        await rest(2)
        told = talk.of(Interrupted)[0].heard_text
        kept = talk.session.conversation.items[-1].said()
    assert LONG.startswith(told) and 0 < len(told) < len(LONG)
    assert kept == told, f"the conversation keeps {kept!r} of an interrupted reply, heard was {told!r}"


@check
async def audio_of_the_phone_lasts_as_long_as_it_sounds() -> None:
    async with call({"hello": "a b c"}, output="pcmu") as (talk, _):
        await talk.session.send_text("hello")
        await talk.next(SpeechStopped, who="agent")
        begun_ms = next(at_ms for at_ms, event in talk.told if isinstance(event, SpeechStarted))
        ended_ms = next(at_ms for at_ms, event in talk.told if isinstance(event, SpeechStopped))
        size = len(talk.audio())
    lasted_ms, wanted_ms = round(ended_ms - begun_ms), round(size / 8)
    assert abs(lasted_ms - wanted_ms) < 5, (
        f"{size} bytes of G.711 last {wanted_ms} ms, and were taken as {lasted_ms} ms: wrong bytes a sample"
    )


@check
async def microphone_audio_goes_out_as_it_was_given() -> None:
    given = speak("good day", sample_rate_hz=24_000)
    async with call({}, turn_detection="manual") as (talk, _):
        await talk.session.send_audio(given)
        await rest(1)
        sent = talk.microphone_bytes()
    assert len(sent) == len(given), f"{len(given)} bytes of mono went out as {len(sent)}: averaged as if it were stereo"
    assert sent == given


@check
async def microphone_waits_for_the_receipt_of_the_configuration() -> None:
    async with call({}, wait_until_ready=False, alter=None) as (talk, wire):
        await talk.session.send_audio(bytes(4800))
        for _ in range(20):
            await anyio.sleep(0)
            await talk.session.send_audio(bytes(480))
        await rest(1)
        order = wire.order()
    early = order[: order.index("< session.updated")].count("> input_audio_buffer.append")
    assert "> input_audio_buffer.append" in order, "audio that was given early never went out"
    assert not early, f"{early} pieces of audio were sent before session.updated"


# Usage


def stated(message: dict[str, Any]) -> dict[str, Any]:
    return message.get("usage") or message["response"].get("usage") or {}


def hides(message: dict[str, Any]) -> dict[str, Any]:
    """Usage in the response, beside an empty object."""
    if message["type"] == "response.done":
        usage = stated(message)
        message = json.loads(json.dumps(message))
        message["usage"], message["response"]["usage"] = {}, usage
    return message


async def used(alter: Any = None, place: Any = "top") -> tuple[int | None, dict[str, Any]]:
    async with call({}, quirks=Quirks(usage=place), alter=alter) as (talk, wire):
        await talk.session.send_text("hello")
        await talk.next(ResponseDone)
        return talk.session.usage.session.total_tokens, stated(wire.came("response.done")[0])


@check
async def usage_is_read_where_it_is_stated() -> None:
    total, wanted = await used(place="top")
    assert total == wanted["total_tokens"], (
        f"the usage is {total}, stated was {wanted['total_tokens']}: it was read from response.usage, which is empty"
    )
    total, wanted = await used(place="nested")
    assert total == wanted["total_tokens"], f"the usage is {total}: that in the response was not read"


@check
async def empty_usage_hides_nothing() -> None:
    total, wanted = await used(hides, place="nested")
    assert total == wanted["total_tokens"], (
        f"the usage is {total}, stated was {wanted['total_tokens']}: an empty object masks what stands in the response"
    )


@check
async def running_count_of_seconds_is_not_summed() -> None:
    async with call({}) as (talk, wire):
        for _ in range(3):
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
        last = stated(wire.came("response.done")[-1])["billable_audio_seconds"]
        counted = talk.session.usage.session.billable_audio_seconds
    assert counted == last, (
        f"{counted} billable seconds, the service counts {last}: a running count was summed in place of its differences"
    )
