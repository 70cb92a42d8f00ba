"""Streams that go well: words in are words out, whatever the format, and everything has its time."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

from tests.emulator.speech.test_stt_engine import interleaved
from tests.stt.driving import BACKENDS, RATE_HZ, Ears, emulator, listening, run, said
from xai_realtime.audible import duration_ms, speak
from xai_realtime.audio import AudioFormat, from_pcm16, silence
from xai_realtime.emulator.encodings import encoded
from xai_realtime.errors import ClosedByUsError, ConfigurationError, LocalProtocolError
from xai_realtime.protocol.stt_events import SttDone, SttInterim, SttReady, SttSegment, SttUtterance
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.stt.config import RATES_HZ, SttConfig

WORDS = "The quick brown fox jumps."
ENCODINGS = {"pcm": "pcm", "mulaw": "pcmu", "alaw": "pcma"}


def asked(ears: Ears) -> dict[str, list[str]]:
    return parse_qs(urlsplit(ears.tap.requests[0].url).query)


@pytest.mark.behaviour("stt-stream-words")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("encoding", ENCODINGS)
@BACKENDS
def test_words_given_are_words_told_in_every_format(backend: str, encoding: Any, rate_hz: int) -> None:
    async def main() -> None:
        async with listening(sample_rate=rate_hz, encoding=encoding) as ears:
            audio = from_pcm16(said(WORDS, rate_hz=rate_hz), ENCODINGS[encoding])
            for at in range(0, len(audio), 1_001):
                await ears.stt.send(audio[at : at + 1_001])
            done = await ears.stt.finish()
            await ears.ended()
        assert done.text == WORDS
        assert done.is_complete
        assert done.duration_s == pytest.approx(duration_ms(WORDS) / 1000 + 0.7, abs=0.02)
        assert ears.told[-1] == done
        assert ears.tap.audio(1) == audio
        assert asked(ears)["sample_rate"] == [str(rate_hz)]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-words")
@BACKENDS
def test_packets_of_opus_go_out_one_by_one(backend: str) -> None:
    pytest.importorskip("av", reason="PyAV is an extra")
    packets = [packet for packet, _ in encoded(said(WORDS, rate_hz=24_000), AudioFormat("opus", 24_000), 20)]

    async def main() -> None:
        async with listening(sample_rate=24_000, encoding="opus") as ears:
            started_s = anyio.current_time()
            for packet in packets:
                await ears.stt.send(packet, pace=True)
            assert anyio.current_time() - started_s == pytest.approx(0.02 * (len(packets) - 1))
            await ears.stt.send(b"")
            done = await ears.stt.finish()
        assert done.text == WORDS
        assert [frame.data for frame in ears.tap.sent[0] if not frame.is_text] == packets

    run(main, backend)


@pytest.mark.behaviour("stt-stream-channels")
@BACKENDS
def test_channels_are_transcribed_each_by_itself(backend: str) -> None:
    left, right = said("Good morning.", after_ms=2_000), silence(1_500, RATE_HZ) + said("Who is there?")

    async def main() -> None:
        async with listening(channels=2) as ears:
            audio = interleaved(left, right)
            for at in range(0, len(audio), 3_333):
                await ears.stt.send(audio[at : at + 3_333])
            done = await ears.stt.finish()
        assert done.texts == {0: "Good morning.", 1: "Who is there?"}
        assert done.text == "Good morning. Who is there?"
        assert {word.channel for word in done.words} == {0, 1}
        assert asked(ears)["multichannel"] == ["true"]
        assert asked(ears)["channels"] == ["2"]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-channels")
@BACKENDS
def test_speakers_are_told_when_they_are_asked_for(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(speakers=(0, 1)), diarize=True) as ears:
            await ears.stt.send(said("I say this.", "And I say that."))
            await ears.stt.finish()
            await ears.ended()
        assert [said.speaker for said in ears.of(SttUtterance)] == [0, 1]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-events")
@BACKENDS
def test_previews_come_while_somebody_speaks_and_utterances_after_it(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            await ears.speak(WORDS, "And again.")
            await ears.stt.finish()
            await ears.ended()
        assert ears.kinds[0] == "SttReady"
        assert ears.kinds[-1] == "SttDone"
        first = ears.kinds.index("SttUtterance")
        assert {"SttInterim", "SttSegment"} == set(ears.kinds[1:first])
        assert ears.at_s[1] < 1
        interims = [event.so_far for event in ears.of(SttInterim)]
        assert interims[0] != interims[1]
        assert WORDS.startswith(interims[0])
        assert [said.text for said in ears.of(SttUtterance)] == [WORDS, "And again."]
        assert [said.is_provisional for said in ears.of(SttUtterance)] == [False, False]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-events")
@BACKENDS
def test_utterances_alone_are_told_when_no_previews_are_wanted(backend: str) -> None:
    async def main() -> None:
        async with listening(interim_results=False) as ears:
            await ears.speak(WORDS)
            await ears.stt.finish()
            await ears.ended()
        assert ears.kinds == ["SttReady", "SttUtterance", "SttDone"]
        assert asked(ears)["interim_results"] == ["false"]

    run(main, backend)


@pytest.mark.behaviour("ask-53")
@pytest.mark.behaviour("bug-50")
@pytest.mark.parametrize("done_text", ["empty", "tail", "last", "full"])
@BACKENDS
def test_each_word_is_told_once_whatever_the_end_repeats(backend: str, done_text: str) -> None:
    async def main() -> None:
        async with listening(emulator(done_text=done_text)) as ears:
            await ears.stt.send(said("Yes.", "Yes.", "No, I am not."))
            await ears.stt.send(speak("Cut off", sample_rate_hz=RATE_HZ))
            done = await ears.stt.finish()
            await ears.ended()
        assert done.text == "Yes. Yes. No, I am not. Cut off"
        assert [said.text for said in ears.of(SttUtterance)] == ["Yes.", "Yes.", "No, I am not.", "Cut off"]

    run(main, backend)


@pytest.mark.behaviour("ask-54")
@pytest.mark.behaviour("bug-49")
@BACKENDS
def test_transcript_is_what_was_said_when_the_end_has_no_text(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(done_text="empty")) as ears:
            await ears.stt.send(said(WORDS))
            assert (await ears.stt.finish()).text == WORDS

    run(main, backend)


@pytest.mark.behaviour("stt-stream-settings")
@pytest.mark.behaviour("ask-55")
@pytest.mark.behaviour("ask-56")
@BACKENDS
def test_model_and_language_are_on_the_wire_when_they_are_given(backend: str) -> None:
    async def main() -> None:
        async with listening(model="grok-voice-transcribe-2.0", language="de", keyterms=["Grok", "xAI"]) as ears:
            assert asked(ears) == {
                "sample_rate": ["16000"],
                "encoding": ["pcm"],
                "interim_results": ["true"],
                "endpointing": ["400"],
                "model": ["grok-voice-transcribe-2.0"],
                "language": ["de"],
                "keyterm": ["Grok", "xAI"],
            }
        async with listening(language="") as ears:
            assert {"model", "language"} & asked(ears).keys() == set()

    run(main, backend)


@pytest.mark.behaviour("stt-stream-settings")
@BACKENDS
def test_address_and_headers_are_merged_with_the_settings(backend: str) -> None:
    async def main() -> None:
        url = "wss://voice.example/v1/stt?region=eu&sample_rate=1"
        more: dict[str, Any] = {"query": {"new": "1"}, "headers": {"X-Mine": "2"}, "api_key": "k"}
        async with listening(url=url, config=SttConfig(diarize=True), **more) as ears:
            request = ears.tap.requests[0]
            assert request.service == "stt"
            assert request.headers == {"X-Mine": "2", "Authorization": "Bearer k"}
            assert asked(ears)["region"] == ["eu"]
            assert asked(ears)["new"] == ["1"]
            assert asked(ears)["sample_rate"] == ["16000"]
            assert asked(ears)["diarize"] == ["true"]
            assert ears.stt.config == SttConfig(diarize=True)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-conversion")
@pytest.mark.parametrize("encoding", ENCODINGS)
@BACKENDS
def test_audio_of_another_rate_and_more_channels_is_converted(backend: str, encoding: Any) -> None:
    mono = said(WORDS, rate_hz=48_000)
    stereo = interleaved(mono, mono)

    async def main() -> None:
        async with listening(encoding=encoding, source_rate_hz=48_000, source_channels=2) as ears:
            for at in range(0, len(stereo), 7_777):
                await ears.stt.send(memoryview(stereo)[at : at + 7_777])
            done = await ears.stt.finish()
        assert done.text == WORDS
        size = 2 if encoding == "pcm" else 1
        assert len(ears.tap.audio(1)) == pytest.approx(len(mono) / 3 / 2 * size, abs=4)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-conversion")
@BACKENDS
def test_channels_are_converted_each_by_itself_when_the_stream_has_several(backend: str) -> None:
    audio = interleaved(said("Good morning.", rate_hz=24_000, after_ms=2_000), said("Who is there?", rate_hz=24_000))

    async def main() -> None:
        async with listening(channels=2, source_rate_hz=24_000) as ears:
            for at in range(0, len(audio), 5_555):
                await ears.stt.send(audio[at : at + 5_555])
            done = await ears.stt.finish()
        assert done.texts == {0: "Good morning.", 1: "Who is there?"}

    run(main, backend)


@pytest.mark.behaviour("stt-stream-conversion")
@BACKENDS
def test_audio_goes_out_untouched_when_no_source_is_stated(backend: str) -> None:
    """Whatever the length of a chunk, nobody guesses that it is stereo."""

    async def main() -> None:
        audio = bytes(range(256)) * 100
        async with listening() as ears:
            for size in (640, 1_280, 1_920, 3_840, 2, 4):
                await ears.stt.send(audio[:size])
            await ears.stt.finish()
        assert ears.tap.audio(1) == b"".join(audio[:size] for size in (640, 1_280, 1_920, 3_840, 2, 4))

    run(main, backend)


@pytest.mark.behaviour("stt-stream-pace")
@BACKENDS
def test_long_audio_goes_out_in_frames_and_in_real_time_when_it_is_paced(backend: str) -> None:
    audio = said(WORDS)

    async def main() -> None:
        async with listening() as ears:
            started_s = anyio.current_time()
            await ears.stt.send(audio[:-101], pace=True)
            await ears.stt.send(audio[-101:], pace=True)
            assert anyio.current_time() - started_s == pytest.approx(len(audio) / 32_000, abs=0.11)
            await ears.stt.send(audio)
            assert anyio.current_time() - started_s == pytest.approx(len(audio) / 32_000, abs=0.11)
            await ears.stt.finish()
        sizes = [len(frame.data) for frame in ears.tap.sent[0] if not frame.is_text]
        assert max(sizes) == 3_200
        assert all(size % 2 == 0 for size in sizes)
        assert ears.tap.audio(1) == audio * 2

    run(main, backend)


@pytest.mark.behaviour("stt-stream-flush")
@pytest.mark.parametrize("how", ["finalize", "silence"])
@BACKENDS
def test_flush_ends_the_utterance_and_gives_it(backend: str, how: Any) -> None:
    async def main() -> None:
        async with listening(policy=SttPolicy(flush=how)) as ears:
            await ears.stt.send(speak("Take this", sample_rate_hz=RATE_HZ))
            first = await ears.stt.flush()
            await ears.stt.send(speak("and that", sample_rate_hz=RATE_HZ))
            second = await ears.stt.flush()
            done = await ears.stt.finish()
        assert [said.text for said in first] == ["Take this"]
        assert [said.text for said in second] == ["and that"]
        assert done.text == "Take this and that"
        assert second[0].start_s == pytest.approx(duration_ms("Take this") / 1000, abs=0.1)
        assert done.duration_s == pytest.approx((duration_ms("Take this") + duration_ms("and that")) / 1000, abs=0.02)
        kinds = [wish["type"] for wish in ears.tap.wishes(1)]
        assert kinds == (["finalize", "finalize", "audio.done"] if how == "finalize" else ["audio.done"])

    run(main, backend)


@pytest.mark.behaviour("stt-stream-flush")
@BACKENDS
def test_flush_does_not_wait_when_nothing_was_said(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            started_s = anyio.current_time()
            assert await ears.stt.flush() == ()
            await ears.stt.send(said(WORDS) + silence(1_000, RATE_HZ))
            await ears.next(SttUtterance)
            assert await ears.stt.flush() == ()
            assert anyio.current_time() - started_s < 0.5

    run(main, backend)


@pytest.mark.behaviour("stt-stream-flush")
@BACKENDS
def test_flush_waits_no_longer_than_it_may_when_noise_is_no_speech(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(goes_deaf_after_s=1)) as ears:
            await anyio.sleep(2)
            await ears.stt.send(b"\x00\x20\x00\xe0" * 8_000)
            started_s = anyio.current_time()
            assert await ears.stt.flush(timeout_s=1.5) == ()
            assert anyio.current_time() - started_s == pytest.approx(1.5)

    run(main, backend)


@pytest.mark.behaviour("stt-stream-flush")
@BACKENDS
def test_finalize_ends_the_utterance_of_one_channel(backend: str) -> None:
    audio = interleaved(*(speak(text, sample_rate_hz=RATE_HZ) for text in ("One two three", "Four five six")))

    async def main() -> None:
        async with listening(channels=2) as ears:
            await ears.stt.send(audio)
            await ears.stt.finalize(channel=1)
            first = await ears.next(SttUtterance)
            assert (first.text, first.channel) == ("Four five six", 1)
            await ears.stt.finalize()
            assert (await ears.next(SttUtterance, 2)).text == "One two three"
            for wrong in (2, -1, True, "0"):
                with pytest.raises(ConfigurationError, match=r"channel is .*allowed are None and whole numbers from 0"):
                    await ears.stt.finalize(wrong)  # type: ignore[arg-type]
        assert ears.tap.wishes(1)[:2] == [{"type": "finalize", "channel": 1}, {"type": "finalize"}]

    run(main, backend)


@pytest.mark.behaviour("stt-stream-ready")
@BACKENDS
def test_audio_waits_for_the_recogniser_when_it_is_given_early(backend: str) -> None:
    async def main() -> None:
        async with listening(emulator(startup_ms=3_000), wait_until_ready=False) as ears:
            assert anyio.current_time() == 0
            await ears.stt.send(said(WORDS))
            await ears.stt.finalize()
            assert ears.tap.sent in ([], [[]])
            assert ears.stt.kept_audio == said(WORDS)
            await ears.stt.ready()
            assert anyio.current_time() == 3
            assert (await ears.stt.finish()).text == WORDS
            assert ears.told[0] == SttReady(ears.stt.session_id)

    run(main, backend)


@pytest.mark.behaviour("bug-53")
@BACKENDS
def test_finish_waits_for_the_last_words_and_gives_the_same_twice(backend: str) -> None:
    async def main() -> None:
        async with listening(reads=False) as ears:
            await ears.stt.send(speak("These are the last words", sample_rate_hz=RATE_HZ))
            done = await ears.stt.finish()
            assert done.text == "These are the last words"
            assert await ears.stt.finish() == done
            assert ears.stt.transcript == done
            assert [type(event).__name__ async for event in ears.stt][-1] == "SttDone"
            assert [event async for event in ears.stt] == []

    run(main, backend)


@pytest.mark.behaviour("stt-stream-end")
@BACKENDS
def test_audio_after_the_end_is_an_error_and_never_lost_in_silence(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            await ears.stt.finish()
            for verb in (ears.stt.send(b"\0\0"), ears.stt.flush(), ears.stt.finalize(), ears.stt.send(b"\0" * 9_999)):
                with pytest.raises(LocalProtocolError, match="finish"):
                    await verb
        async with listening() as ears:
            await ears.stt.aclose()
            await ears.stt.aclose()
            closed: tuple[Any, ...] = (ears.stt.send(b"\0\0"), ears.stt.finish(), ears.stt.ready(), ears.stt.flush())
            for ended in closed:
                with pytest.raises(ClosedByUsError):
                    await ended
            assert await ears.ended() is None
            assert "SttDone" not in ears.kinds

    run(main, backend)


@pytest.mark.behaviour("stt-stream-end")
@BACKENDS
def test_transcript_so_far_is_there_at_any_time(backend: str) -> None:
    async def main() -> None:
        async with listening() as ears:
            assert ears.stt.transcript.text == ""
            await ears.speak(WORDS)
            await ears.next(SttUtterance)
            so_far = ears.stt.transcript
            assert (so_far.text, so_far.is_complete) == (WORDS, False)
            assert ears.of(SttSegment)
            assert WORDS not in repr(ears.told) + repr(ears.stt) + repr(so_far)
            done = await ears.stt.finish()
            assert isinstance(done, SttDone)

    run(main, backend)
