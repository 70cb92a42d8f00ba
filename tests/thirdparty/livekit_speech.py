"""livekit's xAI plugin, unmodified, hears and speaks with the emulator over real sockets.

Its addresses are fixed. It takes an aiohttp session of the user's own, and that one goes to another address.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.agents.tokenize.basic import WordTokenizer
from livekit.plugins import xai
from yarl import URL

from tests.thirdparty.talking import frames, utterance
from xai_realtime.audible import hear, speak
from xai_realtime.emulator import Emulator, Refuse, SpeechQuirks

pytestmark = pytest.mark.anyio

CALL_S = 60
HEARD_HZ = 16_000
SPOKEN_HZ = 24_000
ONCE = APIConnectOptions(max_retry=0, timeout=5)
STORY = "Tell me a story that takes its time, please, and then another one. No, I am not in a hurry."


class Service:
    """An emulator, and a session that goes there whatever its address is. `paths` are those that were dialled."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.key = emulator.api_key
        self.http = aiohttp.ClientSession(middlewares=(self._lead,))
        self.paths: list[str] = []

    async def _lead(self, request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        assert request.url.host == "api.x.ai"
        self.paths.append(request.url.path)
        here = URL(self.emulator.url)
        scheme = {"wss": "ws", "https": "http"}[request.url.scheme]
        request.url = request.url.with_scheme(scheme).with_host(here.host or "").with_port(here.port)
        return await handler(request)

    @asynccontextmanager
    async def speech(self, **options: Any) -> AsyncIterator[tuple[Any, list[SpeechEvent]]]:
        """A stream that hears; what it tells is complete once the block is left."""
        stt = xai.STT(api_key=self.key, http_session=self.http, **options)
        told: list[SpeechEvent] = []
        async with stt.stream(conn_options=ONCE) as stream:

            async def collect() -> None:
                async for event in stream:
                    told.append(event)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(collect)
                yield stream, told
                stream.end_input()

    def voice(self, **options: Any) -> xai.TTS:
        """What speaks; its own tokenizer takes the spaces between words away, this one keeps them."""
        keeping = WordTokenizer(ignore_punctuation=False, retain_format=True)
        return xai.TTS(**{"api_key": self.key, "http_session": self.http, "tokenizer": keeping, **options})


@asynccontextmanager
async def serving(pace: Any = "real", **quirks: Any) -> AsyncIterator[Service]:
    """An emulator of one's own."""
    with anyio.fail_after(CALL_S):
        async with Emulator(seed=1, pace=pace, speech=SpeechQuirks(**quirks)) as emulator:
            service = Service(emulator)
            async with service.http:
                yield service


def say(stream: Any, text: str, rate_hz: int = HEARD_HZ, silence_ms: int = 500) -> None:
    """A sentence into the stream, with silence after it."""
    for frame in frames(utterance(text, silence_ms, rate_hz), rate_hz // 5):
        stream.push_frame(rtc.AudioFrame(frame, rate_hz, 1, len(frame) // 2))


def texts(told: list[SpeechEvent], kind: SpeechEventType) -> list[str]:
    """What the events of one kind say."""
    return [event.alternatives[0].text for event in told if event.type == kind]


async def spoken(stream: Any) -> str:
    """What is heard in all the sound of a stream that speaks."""
    audio = b"".join([bytes(audio.frame.data) async for audio in stream])
    return (hear(audio, sample_rate_hz=SPOKEN_HZ) or "").strip()


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 48_000])
async def test_each_utterance_is_one_transcript_of_its_words(rate_hz: int) -> None:
    async with serving() as service:
        async with service.speech(sample_rate=rate_hz) as (stream, told):
            for text in ("Good morning.", "Yes.", "Yes."):
                say(stream, text, rate_hz)
    # The same text comes twice on the wire; it takes the first and lets the one at the end of the utterance pass.
    assert texts(told, SpeechEventType.FINAL_TRANSCRIPT) == ["Good morning.", "Yes.", "Yes."]
    kinds = [event.type for event in told]
    assert kinds.count(SpeechEventType.START_OF_SPEECH) == kinds.count(SpeechEventType.END_OF_SPEECH) == 3
    (first, *_) = [event for event in told if event.type == SpeechEventType.FINAL_TRANSCRIPT]
    assert [str(word) for word in first.alternatives[0].words or ()] == ["Good", "morning."]
    assert service.paths == ["/v1/stt"]


async def test_long_utterance_stays_in_fragments() -> None:
    async with serving() as service:
        async with service.speech() as (stream, told):
            say(stream, STORY)
    finals = texts(told, SpeechEventType.FINAL_TRANSCRIPT)
    # Its own doing: the fragments stand, and the whole utterance with its marks in place is passed over.
    assert len(finals) > 1
    assert STORY not in finals
    assert [word.strip(",.") for word in " ".join(finals).split() if word.strip(",.")] == [
        word.strip(",.") for word in STORY.split()
    ]


async def test_speakers_are_told_apart() -> None:
    async with serving(speakers=(0, 1)) as service:
        async with service.speech(enable_diarization=True) as (stream, told):
            say(stream, "Who is there?")
            say(stream, "It is me.")
    finals = [event.alternatives[0] for event in told if event.type == SpeechEventType.FINAL_TRANSCRIPT]
    assert [(final.speaker_id, final.text) for final in finals] == [("S0", "Who is there?"), ("S1", "It is me.")]


async def test_turn_that_is_not_over_is_held_open() -> None:
    async with serving() as service:
        async with service.speech(smart_turn=0.7, smart_turn_timeout=3000) as (stream, told):
            say(stream, "I would like a room and", silence_ms=1000)
            say(stream, "a cup of tea.", silence_ms=1000)
    kinds = [event.type for event in told]
    assert kinds.count(SpeechEventType.START_OF_SPEECH) == kinds.count(SpeechEventType.END_OF_SPEECH) == 1
    assert " ".join(texts(told, SpeechEventType.FINAL_TRANSCRIPT)).startswith("I would like a room and a cup of tea")


async def test_recording_is_transcribed_over_http() -> None:
    async with serving() as service:
        stt = xai.STT(api_key=service.key, http_session=service.http)
        pcm = speak("Good morning to you.", sample_rate_hz=HEARD_HZ)
        event = await stt.recognize([rtc.AudioFrame(pcm, HEARD_HZ, 1, len(pcm) // 2)], conn_options=ONCE)
    (heard,) = event.alternatives
    assert (event.type, heard.text) == (SpeechEventType.FINAL_TRANSCRIPT, "Good morning to you.")
    assert [str(word) for word in heard.words or ()] == ["Good", "morning", "to", "you."]


async def test_wrong_key_is_an_error_with_its_status() -> None:
    async with serving() as service:
        service.key = "xai-invalid"
        with pytest.raises(BaseExceptionGroup) as raised:
            async with service.speech() as (stream, _):
                say(stream, "Good morning.")
    (error,) = raised.value.exceptions
    assert isinstance(error, APIError)
    assert error.status_code == 400


@pytest.mark.parametrize("pace", ["instant", "real"])
async def test_texts_are_spoken_over_one_socket(pace: Any) -> None:
    async with serving(pace) as service:
        tts = service.voice()
        for text in ("Hello there.", "All is well today."):
            async with tts.stream() as stream:
                for piece in re.findall(r".{1,3}", text):
                    stream.push_text(piece)
                stream.end_input()
                assert await spoken(stream) == text
        await tts.aclose()
    assert service.paths == ["/v1/tts"]


async def test_whole_text_is_spoken() -> None:
    async with serving("instant") as service:
        tts = service.voice(voice="eve", language="en", speed=1.0)
        async with tts.synthesize("Hello there. How are you?") as stream:
            heard = await spoken(stream)
        await tts.aclose()
    assert heard == "Hello there. How are you?"


async def test_words_run_together_where_the_tokenizer_is_its_own() -> None:
    async with serving("instant") as service:
        tts = xai.TTS(api_key=service.key, http_session=service.http)
        async with tts.synthesize("Hello there. How are you?") as stream:
            heard = await spoken(stream)
        await tts.aclose()
    # Its own doing: it sends each word as a delta, without the space before it, and deltas may part words anywhere.
    assert heard == "Hellothere.Howareyou?"


async def test_busy_service_is_asked_again() -> None:
    async with serving("instant", refuse=(Refuse(status=503, path="/tts"),)) as service:
        tts = service.voice()
        again = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=5)
        async with tts.synthesize("Hello there.", conn_options=again) as stream:
            heard = await spoken(stream)
        await tts.aclose()
    assert heard == "Hello there."
    assert service.paths == ["/v1/tts", "/v1/tts"]


async def test_socket_that_grew_old_is_an_error_and_the_text_is_spoken_anew() -> None:
    async with serving("instant", tts_max_age_s=1.0) as service:
        tts = service.voice()
        again = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=5)
        for text in ("Hello there.", "All is well."):
            async with tts.synthesize(text, conn_options=again) as stream:
                assert await spoken(stream) == text
            await anyio.sleep(1.2)
        await tts.aclose()
    assert service.paths == ["/v1/tts", "/v1/tts"]
