"""What people bring along from pipecat's and videosdk's Grok services, said to a session: `docs/coming-from.md`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, talking
from tests.session.handmade import served
from xai_realtime import AsyncClient, Manual, WebSearch
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator, Quirks, ToolRequest, Turn
from xai_realtime.errors import ConfigurationError, HandshakeError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    ToolFinished,
    Transcript,
)
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.transport.memory import memory_pair

STORY = "One two three four five six. Seven eight nine ten."
TURNS: dict[str, Turn | str] = {"hello": "Hello there", "tell": STORY, "is it raining": "Yes, a little."}
ASK = ["conversation.item.create", "response.create"]


def said(talk: Talk) -> list[str]:
    return [event.text for event in talk.of(Transcript) if event.role == "assistant"]


def updates(talk: Talk) -> list[dict[str, Any]]:
    """The session objects of all configurations that were sent."""
    sent = (event for event in talk.sent if not isinstance(event, dict))
    return [event.model_dump(exclude_unset=True)["session"] for event in sent if isinstance(event, wire.SessionUpdate)]


# Before the line is open


@pytest.mark.behaviour("key-is-missed-at-once")
def test_session_without_a_key_is_refused_when_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match="XAI_API_KEY") as caught:
        AsyncClient().realtime.session()
    assert isinstance(caught.value, ConfigurationError)


async def handshake_of(**options: Any) -> ChannelRequest:
    """What a session asks for when it opens its line."""
    line, door = memory_pair()
    async with AsyncClient(transport=line, api_key="xai-key", default_headers={"X-Team": "blue"}) as client:
        async with client.realtime.session(wait_until_ready=False, **options):
            with anyio.fail_after(5):
                request, _ = await door.accept()
    return request


@pytest.mark.behaviour("bug-31")
@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "wss://api.x.ai/v1/realtime?model=grok-voice-latest"),
        ({"model": "grok-voice-3.0"}, "wss://api.x.ai/v1/realtime?model=grok-voice-3.0"),
        (
            {"url": "wss://eu.test/v1/realtime?zone=1", "api_key": "k"},
            "wss://eu.test/v1/realtime?zone=1&model=grok-voice-latest",
        ),
        ({"url": "wss://eu.test/v1/realtime?model=own", "api_key": "k"}, "wss://eu.test/v1/realtime?model=own"),
    ],
)
@BACKENDS
def test_address_and_headers_of_a_session_are_those_of_the_client_and_its_settings(
    backend: str, options: dict[str, Any], url: str
) -> None:
    async def main() -> None:
        request = await handshake_of(**options)
        assert request.url == url
        key = options.get("api_key", "xai-key")
        assert request.headers == {"X-Team": "blue", "Authorization": f"Bearer {key}"}

    run(main, backend)


@BACKENDS
def test_entering_raises_what_refused_the_connection_and_the_client_can_be_used_again(backend: str) -> None:
    async def main() -> None:
        refusal = Fault.refuse(status=403, conn=1)
        transport = faults(Emulator(lambda prompt: "Hello there", seed=1).transport(), [refusal])
        async with AsyncClient(transport=transport) as client:
            with pytest.raises(HandshakeError) as caught:
                async with client.realtime.session():
                    pytest.fail("entered")
            assert caught.value.status == 403
            await first_words(client)

    run(main, backend)


class ClosesBadly(Transport):
    """The emulator, on lines whose first end fails."""

    needs_key = False

    def __init__(self) -> None:
        self._inner = Emulator(lambda prompt: "Hello there", seed=1).transport()
        self._opened = 0

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        is_first, self._opened = not self._opened, self._opened + 1
        try:
            async with self._inner.open(request) as channel:
                yield channel
        finally:
            if is_first:
                raise OSError("the end failed")


@pytest.mark.behaviour("bug-62")
@BACKENDS
def test_error_of_closing_comes_out_of_leaving_and_the_next_session_works(backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(transport=ClosesBadly()) as client:
            with anyio.fail_after(60):
                with pytest.raises(OSError, match="the end failed"):
                    async with client.realtime.session():
                        pass
                await first_words(client)

    run(main, backend)


async def first_words(client: AsyncClient) -> None:
    """A session of that client can be talked with."""
    async with client.realtime.session() as session:
        await session.send_text("hello")
        async for event in session:
            if isinstance(event, Transcript):
                assert event.text == "Hello there"
                return
    pytest.fail("the session ended")


@BACKENDS
def test_session_waits_ten_seconds_for_an_acknowledgement_and_then_talks(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(lambda prompt: "Hello there", seed=1, quirks=Quirks(no_session_updated=True))
        async with talking(emulator=emulator) as talk:
            assert anyio.current_time() == pytest.approx(10, abs=0.5)
            await talk.session.send_text("hello")
            await talk.next(ResponseDone, status="completed")
            assert said(talk) == ["Hello there"]

    run(main, backend)


# Settings


@BACKENDS
def test_session_takes_a_plain_mapping_with_keywords_laid_over_it(backend: str) -> None:
    async def main() -> None:
        mapping = {"voice": "eve", "instructions": "Be brief.", "turn_detection": {"type": "manual"}}
        async with talking(TURNS, config=mapping, voice="rex") as talk:
            (session,) = updates(talk)
            assert (session["voice"], session["instructions"]) == ("rex", "Be brief.")
            assert session["turn_detection"] == {"type": None}
            assert (talk.session.config.voice, talk.session.config.is_manual) == ("rex", True)
        with pytest.raises(ConfigurationError, match="'session_properties' is no setting"):
            AsyncClient(api_key="k").realtime.session({"session_properties": {}})

    run(main, backend)


@pytest.mark.behaviour("update-tells-what-changed")
@BACKENDS
def test_update_gives_the_old_values_and_sends_one_message_or_none(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS, voice="eve", output={"rate_hz": 16_000}) as talk:
            assert await talk.session.update(voice="rex", instructions="Be kind.") == {
                "voice": "eve",
                "instructions": None,
            }
            await anyio.sleep(1)
            assert updates(talk)[1:] == [{"voice": "rex", "instructions": "Be kind."}]
            assert await talk.session.update(voice="rex", output={"rate_hz": 16_000}) == {}
            await anyio.sleep(1)
            assert len(updates(talk)) == 2
            assert talk.session.config.output_format.rate_hz == 16_000
            with pytest.raises(ConfigurationError, match="another model needs a new session"):
                await talk.session.update(model="grok-voice-3.0")
            assert len(updates(talk)) == 2

    run(main, backend)


async def look_up(city: str) -> str:
    """Look a city up."""
    return f"{city} is fine"


@pytest.mark.behaviour("bug-15")
@BACKENDS
def test_tools_are_given_to_a_running_session_and_taken_away_again(backend: str) -> None:
    async def main() -> None:
        turns = {"go": Turn(calls=(ToolRequest("look_up", {"city": "Porto"}),), then="It says {output}.")}
        async with talking(turns) as talk:
            await talk.session.update(tools=[look_up, WebSearch()])
            await talk.session.send_text("go")
            assert (await talk.next(ToolFinished)).output == "Porto is fine"
            await talk.next(Transcript, text="It says Porto is fine.")
            assert await talk.session.update(tools=()) != {}
            await talk.session.send_text("go")
            assert (await talk.next(ToolFinished)).is_error
            first, given, taken = updates(talk)
            assert "tools" not in first
            assert [entry["type"] for entry in given["tools"]] == ["function", "web_search"]
            assert taken == {"tools": []}

    run(main, backend)


# Turns


@BACKENDS
def test_written_turn_is_one_text_part_under_an_id_of_ours_and_a_bare_request(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("hello")
            request = await server.got("response.create")
            item = server.of("conversation.item.create")[0]["item"]
            content = [{"type": "input_text", "text": "hello"}]
            assert item == {"type": "message", "role": "user", "id": item["id"], "content": content}
            assert item["id"].startswith("item-")
            assert request == {"type": "response.create"}
            assert server.types() == ASK

    run(main, backend)


@BACKENDS
def test_start_and_end_of_the_users_speech_are_told_once_each_with_the_message_behind_them(backend: str) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            await talk.speak("is it raining")
            await talk.next(ResponseDone)
            (started,) = [event for event in talk.of(SpeechStarted) if event.who == "user"]
            (stopped,) = [event for event in talk.of(SpeechStopped) if event.who == "user"]
            assert isinstance(started.raw, wire.InputAudioBufferSpeechStarted)
            assert isinstance(stopped.raw, wire.InputAudioBufferSpeechStopped)
            assert started.item_id == stopped.item_id == talk.session.conversation.items[0].id
            places = [talk.kinds.index(kind) for kind in ("SpeechStarted", "SpeechStopped", "ResponseStarted")]
            assert places == sorted(places)

    run(main, backend)


@BACKENDS
def test_ping_of_the_service_is_neither_told_nor_answered(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await anyio.sleep(1)
            before = list(talk.kinds)
            for number in range(3):
                await server.say("ping", timestamp=number)
            await anyio.sleep(1)
            assert [event.type for event in talk.received[-3:]] == ["ping"] * 3
            assert talk.kinds == before
            assert server.types() == []

    run(main, backend)


@pytest.mark.behaviour("latency-is-measured")
@BACKENDS
def test_reply_cut_off_before_its_first_audio_measures_nothing_and_the_next_one_counts_anew(backend: str) -> None:
    async def main() -> None:
        turns = {"tell": Turn(say=STORY, delay_ms=5_000), "hello": "Hello there"}
        async with talking(turns, turn_detection=Manual()) as talk:
            await talk.session.send_text("tell")
            await talk.until(lambda: "ResponseStarted" in talk.kinds)
            await anyio.sleep(1)
            assert await talk.session.interrupt()
            cut = await talk.next(ResponseDone)
            assert (cut.status, cut.latency.first_audio_ms) == ("cancelled", None)
            assert talk.session.metrics.first_audio_ms.count == 0
            await talk.session.send_text("hello")
            asked_ms = anyio.current_time() * 1000
            await talk.next(SpeechStarted, who="agent")
            waited_ms = anyio.current_time() * 1000 - asked_ms
            done = await talk.next(ResponseDone)
            assert done.latency.first_audio_ms == pytest.approx(waited_ms, abs=0.01)
            assert talk.session.metrics.first_audio_ms.count == 1

    run(main, backend)


# What was said before


HISTORY: list[Any] = [
    ("user", "What is the tide?"),
    {"type": "function_call", "call_id": "call-1", "name": "look_up", "arguments": '{"city":"Porto"}'},
    {"type": "function_call_output", "call_id": "call-1", "output": "high"},
    ("assistant", "It is high."),
]


@pytest.mark.behaviour("history-calls-count-as-done")
@BACKENDS
def test_calls_of_the_history_are_told_and_never_run_however_often_the_line_changes(backend: str) -> None:
    ran: list[str] = []

    async def look_up(city: str) -> str:
        """Look a city up."""
        ran.append(city)
        return "low"

    async def main() -> None:
        async with talking(lambda prompt: "As I said, high.", history=HISTORY, tools=[look_up]) as talk:
            await anyio.sleep(30)
            kinds = ["message", "function_call", "function_call_output", "message"]
            assert talk.sent_types() == ["session.update", *["conversation.item.create"] * 4]
            assert [item.kind for item in talk.session.conversation.items] == kinds
            await talk.session.respond()
            await talk.next(ResponseDone)
            assert said(talk) == ["As I said, high."]
            await talk.session.restart()
            await talk.session.reset(HISTORY)
            await anyio.sleep(30)
            assert talk.sent_types().count("response.create") == 1
            assert [item.kind for item in talk.session.conversation.items] == kinds
            assert ran == []
            assert talk.of(ToolCalled) == []
            assert talk.of(ToolFinished) == []

    run(main, backend)


# The microphone


@pytest.mark.behaviour("bug-33")
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frame_ms", [10, 40, 100])
@BACKENDS
def test_microphone_at_48_khz_is_heard_whatever_its_channels_and_pieces(
    backend: str, channels: int, frame_ms: int
) -> None:
    """Pieces of 40 ms and more, whose length could pass for stereo, are what they are said to be."""
    mono = speak("is it raining", sample_rate_hz=48_000) + silence(1_500, 48_000)
    samples = [mono[at : at + 2] for at in range(0, len(mono), 2)]
    pcm = mono if channels == 1 else b"".join(sample * 2 for sample in samples)
    size = 96 * channels * frame_ms

    async def main() -> None:
        async with talking(TURNS) as talk:
            for at in range(0, len(pcm), size):
                await talk.session.send_audio(pcm[at : at + size], rate_hz=48_000, channels=channels)
                await anyio.sleep(frame_ms / 1000)
            assert (await talk.next(Transcript, role="user")).text == "is it raining"
            assert len(talk.microphone_bytes()) == pytest.approx(len(mono) / 2, abs=RATE_HZ / 5)

    run(main, backend)


@pytest.mark.parametrize(
    ("pcm", "options", "kind", "said"),
    [
        (bytes(960), {"rate_hz": 0}, ConfigurationError, "rate_hz is .* not 0"),
        (bytes(960), {"rate_hz": 48_000, "channels": 0}, ConfigurationError, "channels is .* not 0"),
        ("text", {}, TypeError, None),
    ],
)
@BACKENDS
def test_audio_that_cannot_be_sent_raises_and_the_session_talks_on(
    backend: str, pcm: Any, options: dict[str, Any], kind: type[Exception], said: str | None
) -> None:
    async def main() -> None:
        async with talking(TURNS) as talk:
            with pytest.raises(kind, match=said):
                await talk.session.send_audio(pcm, **options)
            await talk.session.send_text("hello")
            await talk.next(ResponseDone, status="completed")
            assert talk.microphone_bytes() == b""

    run(main, backend)
