"""pipecat's xAI services, unmodified and in pipelines of their own, hear and speak with the emulator over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from loguru import logger
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.services.xai.stt import XAISTTService
from pipecat.services.xai.tts import XAIHttpTTSService, XAITTSService
from pipecat.workers.runner import WorkerRunner

from tests.thirdparty.talking import RATE_HZ, frames, utterance
from xai_realtime.audible import hear, speak
from xai_realtime.emulator import Emulator

pytestmark = pytest.mark.anyio

logger.remove()

CALL_S = 60
FRAME_S = 0.02
"""100 ms of audio every 20 ms: the ears go by the time of the audio."""
LEAD_S = 0.5
"""Audio before `transcript.created` is dropped by the plugin: speech begins later."""
STORY = "Tell me a story that takes its time, please"
SEEN = (InterimTranscriptionFrame, TranscriptionFrame, TTSAudioRawFrame, TTSStoppedFrame, TTSTextFrame)


class Failed(Exception):
    """The service has reported an error."""


class Call:
    """A pipeline that runs, and the frames that reach its ends."""

    def __init__(self, worker: PipelineWorker, frames: MemoryObjectReceiveStream[Frame]) -> None:
        self.worker = worker
        self._frames = frames

    async def until(self, kind: type[Frame]) -> list[Any]:
        """The frames up to the next one of that kind, which is the last of them."""
        seen: list[Frame] = []
        async for frame in self._frames:
            if isinstance(frame, ErrorFrame):
                raise Failed(frame.error)
            seen.append(frame)
            if isinstance(frame, kind):
                return seen
        raise AssertionError("the pipeline ended too soon")

    async def say(self, text: str, rate_hz: int = RATE_HZ) -> None:
        """A sentence into the microphone."""
        for frame in frames(utterance(text, rate_hz=rate_hz), rate_hz // 5):
            await self.worker.queue_frame(InputAudioRawFrame(frame, rate_hz, 1))
            await anyio.sleep(FRAME_S)


@asynccontextmanager
async def running(service: Any, rate_hz: int = RATE_HZ) -> AsyncIterator[Call]:
    """A pipeline with one service."""
    send, receive = anyio.create_memory_object_stream[Frame](1000)
    params = PipelineParams(audio_in_sample_rate=rate_hz, audio_out_sample_rate=rate_hz)
    worker = PipelineWorker(Pipeline([service]), params=params, cancel_on_idle_timeout=False, enable_rtvi=False)
    worker.set_reached_downstream_filter(SEEN)
    worker.set_reached_upstream_filter((ErrorFrame,))
    started = anyio.Event()

    @worker.event_handler("on_pipeline_started")
    async def on_started(worker: Any, frame: Frame) -> None:
        started.set()

    @worker.event_handler("on_frame_reached_downstream")
    async def on_downstream(worker: Any, frame: Frame) -> None:
        await send.send(frame)

    @worker.event_handler("on_frame_reached_upstream")
    async def on_upstream(worker: Any, frame: Frame) -> None:
        await send.send(frame)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    with anyio.fail_after(CALL_S), send, receive:
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await runner.run()
                send.close()

            tasks.start_soon(run)
            await started.wait()
            yield Call(worker, receive)
            await worker.queue_frame(EndFrame())


def texts(seen: list[Any], kind: type[Frame]) -> list[str]:
    """The texts of the frames of one kind."""
    return [frame.text for frame in seen if type(frame) is kind]


def spoken(seen: list[Any]) -> str | None:
    """What the audio says."""
    audio = [frame for frame in seen if isinstance(frame, TTSAudioRawFrame)]
    (rate_hz,) = {frame.sample_rate for frame in audio}
    heard = hear(b"".join(frame.audio for frame in audio), sample_rate_hz=rate_hz)
    # It puts a space behind each sentence.
    return heard and heard.strip()


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 48_000])
async def test_each_utterance_is_one_transcript_of_its_words(rate_hz: int) -> None:
    async with Emulator(seed=1) as emulator:
        stt = XAISTTService(api_key=emulator.api_key, ws_url=f"{emulator.ws_url}/stt")
        async with running(stt, rate_hz) as call:
            await anyio.sleep(LEAD_S)
            said = []
            for text in ("Good morning to you.", "Yes.", "Yes."):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(call.say, text, rate_hz)
                    said += await call.until(TranscriptionFrame)
    # The same text comes twice on the wire; the first, which is no end of an utterance, is an interim frame here.
    assert texts(said, TranscriptionFrame) == ["Good morning to you.", "Yes.", "Yes."]
    assert texts(said, InterimTranscriptionFrame).count("Good morning to you.") == 1
    assert texts(said, InterimTranscriptionFrame)[0] in "Good morning to you."


async def test_long_utterance_is_told_in_fragments_and_then_whole() -> None:
    async with Emulator(seed=1) as emulator:
        stt = XAISTTService(api_key=emulator.api_key, ws_url=f"{emulator.ws_url}/stt")
        async with running(stt, 16_000) as call:
            await anyio.sleep(LEAD_S)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call.say, f"{STORY}, and then another one.", 16_000)
                said = await call.until(TranscriptionFrame)
    assert texts(said, TranscriptionFrame) == [f"{STORY}, and then another one."]


async def test_last_words_are_lost_when_the_pipeline_ends_before_their_silence() -> None:
    async with Emulator(seed=1) as emulator:
        stt = XAISTTService(api_key=emulator.api_key, ws_url=f"{emulator.ws_url}/stt")
        async with running(stt, 16_000) as call:
            await anyio.sleep(LEAD_S)
            await call.worker.queue_frame(InputAudioRawFrame(speak("Good morning.", sample_rate_hz=16_000), 16_000, 1))
            await call.until(InterimTranscriptionFrame)
            await call.worker.queue_frame(EndFrame())
            # Its own doing: it sends `audio.done`, and stops to read at once.
            with pytest.raises(AssertionError, match="ended too soon"):
                await call.until(TranscriptionFrame)


@pytest.mark.parametrize("pace", ["instant", "real"])
async def test_text_is_spoken_and_its_words_are_told(pace: Any) -> None:
    async with Emulator(seed=1, pace=pace) as emulator:
        tts = XAITTSService(api_key=emulator.api_key, base_url=f"{emulator.ws_url}/tts")
        async with running(tts) as call:
            for text in ("Hello there.", "All is well today."):
                await call.worker.queue_frame(TTSSpeakFrame(text))
                seen = await call.until(TTSStoppedFrame)
                assert spoken(seen) == text
                assert texts(seen, TTSTextFrame) == text.split()


async def test_answer_of_a_model_is_spoken_while_it_comes() -> None:
    async with Emulator(seed=1) as emulator:
        tts = XAITTSService(api_key=emulator.api_key, base_url=f"{emulator.ws_url}/tts")
        async with running(tts) as call:
            await call.worker.queue_frame(LLMFullResponseStartFrame())
            for piece in ("Hello ", "there. ", "How ", "are you?"):
                await call.worker.queue_frame(LLMTextFrame(piece))
            await call.worker.queue_frame(LLMFullResponseEndFrame())
            seen = await call.until(TTSStoppedFrame)
    assert spoken(seen) == "Hello there. How are you?"
    assert texts(seen, TTSTextFrame) == ["Hello", "there.", "How", "are", "you?"]


async def test_nothing_of_an_interrupted_text_is_spoken_with_the_next() -> None:
    async with Emulator(seed=1) as emulator:
        tts = XAITTSService(api_key=emulator.api_key, base_url=f"{emulator.ws_url}/tts")
        async with running(tts) as call:
            await call.worker.queue_frame(TTSSpeakFrame(STORY))
            await call.until(TTSAudioRawFrame)
            await call.worker.queue_frame(InterruptionFrame())
            await anyio.sleep(0.5)
            await call.worker.queue_frame(TTSSpeakFrame("All is well."))
            seen = await call.until(TTSStoppedFrame)
            while "well." not in texts(seen, TTSTextFrame):
                seen = await call.until(TTSStoppedFrame)
    after = [frame for frame in seen if getattr(frame, "context_id", None) == seen[-1].context_id]
    assert spoken(after) == "All is well."


@pytest.mark.parametrize("rate_hz", [8000, 24_000])
async def test_text_is_spoken_over_http(rate_hz: int) -> None:
    async with Emulator(seed=1) as emulator:
        tts = XAIHttpTTSService(api_key=emulator.api_key, base_url=f"{emulator.url}/tts")
        async with running(tts, rate_hz) as call:
            await call.worker.queue_frame(TTSSpeakFrame("Hello there."))
            seen = await call.until(TTSStoppedFrame)
    # Its body comes in pieces of odd length, which the plugin aligns.
    assert spoken(seen) == "Hello there."


async def test_unknown_voice_is_an_error_of_the_service_over_http() -> None:
    async with Emulator(seed=1) as emulator:
        settings = XAIHttpTTSService.Settings(voice="nobody")
        tts = XAIHttpTTSService(api_key=emulator.api_key, base_url=f"{emulator.url}/tts", settings=settings)
        async with running(tts) as call:
            await call.worker.queue_frame(TTSSpeakFrame("Hello there."))
            with pytest.raises(Failed, match="status: 404"):
                await call.until(TTSStoppedFrame)
