"""videosdk's xAI plugin, unmodified, hears and speaks with the emulator over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from videosdk.agents import FlushMarker, SpeechEventType, STTResponse, audio_format
from videosdk.plugins.xai import XAISTT, XAITTS

from tests.thirdparty.talking import frames, stereo, utterance
from xai_realtime.audible import hear, speak
from xai_realtime.audio import to_pcm16
from xai_realtime.emulator import Emulator, SpeechQuirks

pytestmark = pytest.mark.anyio

CALL_S = 60
ROOM_HZ = 48_000
STORY = "Tell me a story that takes its time, please"


class Heard:
    """A transcription with an emulator, and what it tells."""

    def __init__(self, stt: XAISTT) -> None:
        self.stt = stt
        self.told: list[STTResponse] = []
        self.errors: list[Any] = []
        self._news = anyio.Event()
        stt.on_stt_transcript(self._on_transcript)
        stt.on("error", self._on_error)

    async def _on_transcript(self, response: STTResponse) -> None:
        self.told.append(response)
        self._tell()

    def _on_error(self, error: Any) -> None:
        self.errors.append(error)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def until(self, is_there: Callable[[], bool]) -> None:
        """Wait until something was told."""
        while not is_there():
            await self._news.wait()

    @property
    def finals(self) -> list[str]:
        """The texts of the utterances."""
        return [event.data.text for event in self.told if event.event_type == SpeechEventType.FINAL]

    async def say(self, sound: bytes, frame_bytes: int) -> None:
        """Audio as the room gives it, 20 ms each."""
        for frame in frames(sound, frame_bytes):
            await self.stt.process_audio(frame)


@asynccontextmanager
async def hearing(
    rate_hz: int = ROOM_HZ, channels: int = 1, *, quirks: Any = None, **options: Any
) -> AsyncIterator[Heard]:
    """A transcription of a room whose audio has that form."""
    audio_format.publish(rate_hz, channels)
    with anyio.fail_after(CALL_S):
        async with Emulator(seed=1, speech=SpeechQuirks(**(quirks or {}))) as emulator:
            stt = XAISTT(api_key=emulator.api_key, base_url=f"{emulator.ws_url}/stt", **options)
            try:
                yield Heard(stt)
            finally:
                await stt.aclose()


class Track:
    """Where the audio goes."""

    def __init__(self) -> None:
        self.audio = bytearray()
        self.news = anyio.Event()

    async def add_new_bytes(self, audio: bytes) -> None:
        """Take in what is spoken."""
        self.audio += audio
        self.news.set()

    def interrupt(self) -> None:
        """What was not played is thrown away."""
        self.audio.clear()

    def heard(self, rate_hz: int, encoding: Any = "pcm") -> str | None:
        """What was spoken since the last time."""
        audio, self.audio, self.news = bytes(self.audio), bytearray(), anyio.Event()
        return hear(to_pcm16(audio, encoding), sample_rate_hz=rate_hz)


@asynccontextmanager
async def speaking(pace: Any = "instant", *, quirks: Any = None, **options: Any) -> AsyncIterator[tuple[XAITTS, Track]]:
    """A voice, and the track that it plays into."""
    with anyio.fail_after(CALL_S):
        async with Emulator(seed=1, pace=pace, speech=SpeechQuirks(**(quirks or {}))) as emulator:
            tts = XAITTS(api_key=emulator.api_key, base_url=f"{emulator.ws_url}/tts", **options)
            track = tts.audio_track = Track()
            tts.loop = asyncio.get_running_loop()
            try:
                yield tts, track
            finally:
                await tts.aclose()


async def pieces(*texts: Any) -> AsyncIterator[Any]:
    """A text as a model writes it."""
    for text in texts:
        yield text


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 24_000, 44_100, 48_000])
async def test_each_utterance_is_one_transcript_of_its_words(rate_hz: int) -> None:
    async with hearing(rate_hz) as heard:
        for number, text in enumerate(("Good morning to you.", "Yes.", "Yes."), 1):
            await heard.say(utterance(text, 500, rate_hz), rate_hz // 50 * 2)
            await heard.until(lambda: len(heard.finals) == number)  # noqa: B023
    assert heard.finals == ["Good morning to you.", "Yes.", "Yes."]
    assert heard.errors == []
    # The same text comes twice on the wire; the first is an interim result here, whether those were asked for or not.
    assert len(heard.told) == 2 * len(heard.finals)


async def test_room_in_stereo_is_mixed_to_one_channel() -> None:
    async with hearing(ROOM_HZ, 2) as heard:
        await heard.say(stereo(utterance("Good morning.", 500, ROOM_HZ)), ROOM_HZ // 50 * 4)
        await heard.until(lambda: bool(heard.finals))
    assert heard.finals == ["Good morning."]


async def test_channels_are_transcribed_one_by_one() -> None:
    async with hearing(16_000, 2, multichannel=True) as heard:
        await heard.say(stereo(utterance("Good morning.", 500, 16_000)), 1280)
        await heard.until(lambda: len(heard.finals) == 2)
    told = [
        (event.metadata or {})["channel_index"] for event in heard.told if event.event_type == SpeechEventType.FINAL
    ]
    assert sorted(told) == [0, 1]
    assert heard.finals == ["Good morning."] * 2


async def test_flush_ends_the_utterance_with_silence() -> None:
    async with hearing(16_000) as heard:
        await heard.say(speak("Good morning.", sample_rate_hz=16_000), 640)
        await heard.stt.flush()
        await heard.until(lambda: bool(heard.finals))
    assert heard.finals == ["Good morning."]


async def test_last_words_are_lost_when_it_is_closed_before_their_silence() -> None:
    async with hearing(16_000, interim_results=True) as heard:
        await heard.say(speak("Good morning.", sample_rate_hz=16_000), 640)
        await heard.until(lambda: bool(heard.told))
        await heard.stt.aclose()
    # Its own doing: it sends `audio.done`, and stops to read at once.
    assert heard.finals == []


async def test_error_of_the_service_is_reported() -> None:
    async with hearing(16_000, quirks={"stt_idle_timeout_s": 0.3}) as heard:
        await heard.say(bytes(640), 640)
        await heard.until(lambda: bool(heard.errors))
    assert heard.errors == ["ASR stream timed out"]


@pytest.mark.parametrize(
    ("codec", "encoding", "rate_hz"), [("pcm", "pcm", 24_000), ("pcm", "pcm", 48_000), ("mulaw", "pcmu", 8000)]
)
async def test_texts_are_spoken_over_one_socket(codec: Any, encoding: Any, rate_hz: int) -> None:
    async with speaking(codec=codec, sample_rate=rate_hz) as (tts, track):
        await tts.prewarm()
        for text in ("Hello there.", "All is well today."):
            await tts.synthesize(text)
            assert track.heard(rate_hz, encoding) == text


async def test_text_is_spoken_while_it_is_written() -> None:
    async with speaking("real") as (tts, track):
        await tts.synthesize(pieces("Hello ", "there. ", FlushMarker(), "How ", "are you?"))
        assert track.heard(24_000) == "Hello there. How are you?"


async def test_words_run_together_where_the_space_between_them_comes_alone() -> None:
    async with speaking() as (tts, track):
        await tts.synthesize(pieces("Hello", " ", "there."))
        # Its own doing: pieces of nothing but space are not sent.
        assert track.heard(24_000) == "Hellothere."


async def test_interrupted_text_is_heard_in_the_place_of_the_next_one() -> None:
    async with speaking("real") as (tts, track):
        async with anyio.create_task_group() as tasks:

            async def first() -> None:
                with pytest.raises(asyncio.CancelledError):
                    await tts.synthesize(STORY)

            tasks.start_soon(first)
            await track.news.wait()
            await tts.interrupt()
        await tts.synthesize("All is well.")
        heard = track.heard(24_000)
    # Its own doing: nothing tells the service to give up the old text, and its end is taken for that of the new.
    assert heard is not None
    assert heard.endswith("me a story that takes its time, please")


async def test_broken_socket_leaves_an_error() -> None:
    async with speaking(quirks={"tts_max_age_s": 0.5}) as (tts, _):
        await tts.prewarm()

        async def slowly() -> AsyncIterator[str]:
            yield "Hello "
            await anyio.sleep(1)
            yield "there."

        with pytest.raises(RuntimeError, match="timed out after 1s"):
            await tts.synthesize(slowly())
