"""What people bring along from pipecat's and videosdk's speech to text, said to a stream: `docs/coming-from.md`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from tests.emulator.speech.test_stt_engine import interleaved
from tests.stt.driving import (
    AT_ONCE,
    BACKENDS,
    CREATED,
    FRAME,
    HEARD_NOTHING,
    RATE_HZ,
    Peer,
    Wiretap,
    emulator,
    listening,
    partial,
    run,
    said,
    serving,
)
from xai_realtime import AsyncClient
from xai_realtime.audible import speak
from xai_realtime.audio import from_pcm16
from xai_realtime.errors import ConfigurationError, ConnectionBrokenError
from xai_realtime.frames import Frame
from xai_realtime.protocol.stt_events import SttInterim, SttReconnected, SttUtterance
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.stt.config import SttConfig
from xai_realtime.stt.stream import SttStream
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.memory import memory_pair

ALWAYS = {"sample_rate": ["16000"], "encoding": ["pcm"], "interim_results": ["true"], "endpointing": ["400"]}
WORDS = "The quick brown fox jumps."


def asked(request: ChannelRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url).query)


# Before the line is open


@pytest.mark.behaviour("speech-key-is-missed-at-once")
@BACKENDS
def test_stream_and_upload_without_a_key_are_refused_before_anything_is_sent(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    client = AsyncClient()
    with pytest.raises(ValueError, match="XAI_API_KEY") as caught:
        client.stt.stream()
    assert isinstance(caught.value, ConfigurationError)

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
            await client.stt.transcribe(b"RIFF")

    run(main, backend)


async def handshake_of(base: dict[str, Any], **options: Any) -> ChannelRequest:
    """What a stream asks for when it opens its line."""
    line, door = memory_pair()
    async with AsyncClient(
        transport=line, api_key="xai-key", default_headers={"User-Agent": "mine/1"}, **base
    ) as client:
        async with client.stt.stream(wait_until_ready=False, **options):
            with anyio.fail_after(5):
                request, _ = await door.accept()
    return request


@pytest.mark.parametrize(
    ("base", "options", "url"),
    [
        ({}, {}, "wss://api.x.ai/v1/stt"),
        ({"base_url": "http://127.0.0.1:8765/v1"}, {}, "ws://127.0.0.1:8765/v1/stt"),
        ({}, {"url": "wss://eu.test/v1/stt", "api_key": "k"}, "wss://eu.test/v1/stt"),
    ],
)
@BACKENDS
def test_address_and_headers_of_a_stream_are_those_of_the_client_unless_the_call_names_others(
    backend: str, base: dict[str, Any], options: dict[str, Any], url: str
) -> None:
    async def main() -> None:
        request = await handshake_of(base, **options)
        assert request.url.partition("?")[0] == url
        assert asked(request) == ALWAYS
        key = options.get("api_key", "xai-key")
        assert request.headers == {"User-Agent": "mine/1", "Authorization": f"Bearer {key}"}

    run(main, backend)


@pytest.mark.behaviour("speech-settings-as-given")
@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, {}),
        ({"sample_rate": 48_000, "encoding": "mulaw"}, {"sample_rate": ["48000"], "encoding": ["mulaw"]}),
        ({"interim_results": False, "endpointing": 0}, {"interim_results": ["false"], "endpointing": ["0"]}),
        ({"endpointing": 5_000}, {"endpointing": ["5000"]}),
        ({"language": "en"}, {"language": ["en"]}),
        ({"language": "en-US"}, {"language": ["en-US"]}),
        ({"language": "fil"}, {"language": ["fil"]}),
        ({"language": None}, {}),
        ({"diarize": True}, {"diarize": ["true"]}),
        ({"channels": 1}, {}),
        ({"channels": 8}, {"multichannel": ["true"], "channels": ["8"]}),
        ({"model": "grok-voice-transcribe-1.0"}, {"model": ["grok-voice-transcribe-1.0"]}),
        ({"keyterms": ["Grok"], "filler_words": True}, {"keyterm": ["Grok"], "filler_words": ["true"]}),
        ({"smart_turn": 0.5, "smart_turn_timeout": 900}, {"smart_turn": ["0.5"], "smart_turn_timeout": ["900"]}),
        ({"vad_threshold": 0.3}, {"vad_threshold": ["0.3"]}),
    ],
    ids=str,
)
@BACKENDS
def test_stream_asks_for_what_was_given_and_for_nothing_else(
    backend: str, settings: dict[str, Any], more: dict[str, Any]
) -> None:
    async def main() -> None:
        assert asked(await handshake_of({}, **settings)) == {**ALWAYS, **more}

    run(main, backend)


# One line and the next


@BACKENDS
def test_streams_with_other_settings_follow_each_other_on_one_client(backend: str) -> None:
    """A setting is changed by beginning another stream."""

    async def main() -> None:
        tap = Wiretap(emulator().transport())
        async with AsyncClient(transport=tap) as client:
            config = SttConfig(language="en")
            texts = []
            for change in ({}, {"language": "de", "encoding": "mulaw"}):
                config = config.changed(**change)  # type: ignore[arg-type]
                async with client.stt.stream(config) as stt:
                    await stt.send(from_pcm16(said(WORDS), config.format.encoding))
                    texts.append((await stt.finish()).text)
        assert texts == [WORDS, WORDS]
        assert [asked(request)["language"] for request in tap.requests] == [["en"], ["de"]]

    run(main, backend)


@pytest.mark.behaviour("stt-waits-on-each-line")
@BACKENDS
def test_audio_waits_on_each_new_connection_until_its_recogniser_listens(backend: str) -> None:
    early: list[Any] = []

    async def script(peer: Peer) -> None:
        with anyio.move_on_after(3):
            early.append(await peer.end.receive())
        await peer.say(CREATED)
        await peer.hear(len(FRAME) * (1 if peer.number == 1 else 3))
        if peer.number == 1:
            await peer.end.aclose(1011)
        await peer.say(partial("Hello.", 0.0, 0.3))
        await peer.drain()

    async def main() -> None:
        policy = SttPolicy(reconnect=AT_ONCE)
        async with serving(script) as transport:
            async with listening(transport, policy=policy, wait_until_ready=False) as ears:
                await ears.stt.send(FRAME)
                await ears.next(SttReconnected)
                await ears.stt.send(FRAME * 2)
                assert (await ears.next(SttUtterance)).text == "Hello."
                assert ears.kinds == ["SttReady", "SttReconnected", "SttReady", "SttUtterance"]
                assert ears.tap.audio(2) == FRAME * 3
        assert early == []

    run(main, backend)


@pytest.mark.behaviour("stt-waits-on-each-line")
@BACKENDS
def test_audio_given_while_the_line_is_down_is_sent_to_the_next(backend: str) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.say(CREATED)
            await peer.end.aclose(1011)
            return
        await anyio.sleep(4)
        await peer.say(CREATED)
        await peer.hear(len(FRAME) * 20)
        await peer.say(partial("Hello.", 0.0, 2.0))
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport, listening(transport, policy=SttPolicy(reconnect=AT_ONCE)) as ears:
            for _ in range(20):
                await ears.stt.send(FRAME)
                await anyio.sleep(0.1)
            assert (await ears.next(SttUtterance)).text == "Hello."
            assert ears.tap.audio(2) == FRAME * 20
            assert ears.of(SttReconnected)[0].lost_ms == 0

    run(main, backend)


@BACKENDS
def test_flush_asked_for_before_the_recogniser_listens_is_kept(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(startup_ms=900), wait_until_ready=False) as ears:
            await ears.stt.send(speak("Take this", sample_rate_hz=RATE_HZ))
            assert [event.text for event in await ears.stt.flush()] == ["Take this"]
            assert [wish["type"] for wish in ears.tap.wishes(1)] == ["finalize"]

    run(main, backend)


# What the service says


@pytest.mark.behaviour("stt-passes-over-what-is-no-event")
@BACKENDS
def test_messages_that_are_no_events_are_passed_over_and_not_shown(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    odd = [b"{CANARY", b"CANARY", b"[1]", b"7", b"null", b'{"type": 5, "text": "CANARY"}', b'{"no_type": "CANARY"}']
    odd += [b'{"type": "transcript.later", "text": "CANARY"}', b'{"type": "transcript.partial", "text": 7}']

    async def script(peer: Peer) -> None:
        for message in odd:
            await peer.end.send(Frame(message))
        await peer.end.send(Frame(b"CANARY", is_text=False))
        await peer.say(CREATED)
        for message in odd:
            await peer.end.send(Frame(message))
        await peer.say(partial("Hello.", 0.0, 0.1))
        assert await peer.wish() == "audio.done"
        await peer.say(HEARD_NOTHING)
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport, listening(transport) as ears:
            await ears.stt.send(FRAME)
            await ears.next(SttUtterance)
            assert (await ears.stt.finish()).text == "Hello."
            await ears.ended()
            assert ears.kinds == ["SttReady", "SttUtterance", "SttDone"]
            assert len(ears.tap.requests) == 1

    run(main, backend)
    assert "CANARY" not in caplog.text


@BACKENDS
def test_each_event_carries_the_message_behind_it(backend: str) -> None:
    audio = interleaved(said("Good morning."), said("Who is there?"))

    async def main() -> None:
        async with listening(channels=2) as ears:
            await ears.stt.send(audio, pace=True)
            await ears.stt.finish()
            await ears.ended()
        assert ears.of(SttUtterance)
        assert ears.of(SttInterim)
        for said_now in (*ears.of(SttUtterance), *ears.of(SttInterim)):
            is_final = isinstance(said_now, SttUtterance)
            assert (said_now.raw.is_final, said_now.raw.speech_final) == (is_final, is_final)
            assert said_now.raw.text == said_now.text
            assert said_now.raw.channel_index == said_now.channel

    run(main, backend)


# The end


class ClosesBadly(Transport):
    """The emulator, on lines whose ends fail."""

    needs_key = False

    def __init__(self, error: Exception) -> None:
        self._inner = emulator().transport()
        self._error = error
        self.closed = 0

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        try:
            async with self._inner.open(request) as channel:
                yield channel
        finally:
            self.closed += 1
            raise self._error


@pytest.mark.parametrize("error", [ConnectionBrokenError(None, "the end failed"), OSError("the end failed")], ids=repr)
@BACKENDS
def test_error_of_closing_a_line_spoils_neither_this_stream_nor_the_next(backend: str, error: Exception) -> None:
    async def words(stt: SttStream) -> str:
        await stt.send(said(WORDS))
        return (await stt.finish()).text

    async def main() -> None:
        transport = ClosesBadly(error)
        async with AsyncClient(transport=transport) as client:
            for _ in range(2):
                async with client.stt.stream() as stt:
                    assert await words(stt) == WORDS
        assert transport.closed == 2

    run(main, backend)


@BACKENDS
def test_words_come_out_of_the_iteration_while_audio_is_given(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            audio = said(WORDS, "And again.")
            for at in range(0, len(audio), 3_200):
                await ears.stt.send(audio[at : at + 3_200])
                await anyio.sleep(0.1)
            assert [event.text for event in ears.of(SttUtterance)] == [WORDS, "And again."]

    run(main, backend)
