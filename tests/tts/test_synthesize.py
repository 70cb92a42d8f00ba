"""A text spoken over HTTP: words heard, codecs, long texts, times, tags, the answer as it comes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY
from tests.tapes import BACKENDS, on
from tests.tts.spoken import LONG, SPOKEN_LONG, answering, body_of, emulated, envelope, heard
from xai_realtime import AsyncClient, check_cassette, record, replay, speech_tags
from xai_realtime.audible import hear
from xai_realtime.emulator import Emulator, SpeechQuirks
from xai_realtime.errors import ConfigurationError, LocalProtocolError, NotFoundError
from xai_realtime.tts.config import RATES_HZ, TtsConfig
from xai_realtime.tts.synthesize import TtsResult

TEXT = "High tide in Porto is at 16:40."
PCM = {"content-type": "audio/pcm", "x-trace-id": "trace-1"}
JSON = {"content-type": "application/json", "x-trace-id": "trace-2"}


@BACKENDS
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("codec", ["pcm", "wav", "mulaw", "alaw"])
@pytest.mark.behaviour("tts-files-codecs")
def test_synthesize_gives_audio_in_which_the_words_are_heard_in_each_codec(
    backend: str, codec: Any, rate_hz: int
) -> None:
    async def talk(client: AsyncClient) -> TtsResult:
        return await client.tts.synthesize(TEXT, codec=codec, sample_rate=rate_hz)

    result = emulated(backend, talk)
    assert heard(result.audio, codec, rate_hz) == TEXT
    assert (result.codec, result.sample_rate, result.pieces) == (codec, rate_hz, 1)
    assert result.size_bytes == len(result.audio)
    head_bytes, sample_bytes = 44 if codec == "wav" else 0, 2 if codec in ("pcm", "wav") else 1
    assert result.duration_ms == (result.size_bytes - head_bytes) / sample_bytes * 1000 / rate_hz
    assert len(result.trace_ids) == 1


@pytest.mark.behaviour("tts-files-codecs")
def test_synthesize_gives_mp3_that_decodes_to_the_words_also_in_pieces(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the emulator needs PyAV for mp3")
    path = tmp_path / "long.mp3"

    async def talk(client: AsyncClient) -> tuple[TtsResult, TtsResult]:
        first = await client.tts.synthesize(TEXT, codec="mp3", bit_rate=64_000)
        return first, await client.tts.synthesize(LONG, to=path, sample_rate=8000, bit_rate=32_000)

    short, long = emulated("asyncio", talk)
    assert hear(decoded(short.audio, 24_000)) == TEXT
    assert short.duration_ms % 24 == 0
    pcm = decoded(path.read_bytes(), 8000)
    assert (hear(pcm, sample_rate_hz=8000) or "").split() == SPOKEN_LONG.split()
    assert long.pieces == 2
    assert long.duration_ms == pytest.approx(len(pcm) / 16, abs=80)


def decoded(audio: bytes, rate_hz: int) -> bytes:
    """PCM of an MP3, as PyAV reads it."""
    import io

    import av

    made = bytearray()
    with av.open(io.BytesIO(audio), "r") as container:
        resampler: Any = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                made += piece.to_ndarray().tobytes()
    return bytes(made)


@BACKENDS
@pytest.mark.behaviour("tts-files-long")
@pytest.mark.parametrize("codec", ["pcm", "wav", pytest.param("mulaw", marks=pytest.mark.slow)])
def test_synthesize_speaks_a_long_text_in_pieces_without_a_gap_and_with_times_that_go_on(
    backend: str, codec: Any
) -> None:
    async def talk(client: AsyncClient) -> TtsResult:
        return await client.tts.synthesize(LONG, codec=codec, sample_rate=8000, timestamps=True)

    result = emulated(backend, talk)
    assert result.pieces == 2
    assert heard(result.audio, codec, 8000).split() == SPOKEN_LONG.split()
    assert [word.text for word in result.words] == SPOKEN_LONG.split()
    starts = [word.start_s for word in result.words]
    assert starts == sorted(starts)
    assert result.words[-1].end_s == pytest.approx(result.duration_ms / 1000, abs=0.05)
    assert len(set(result.trace_ids)) == 2


@BACKENDS
@pytest.mark.behaviour("tts-files-long")
def test_long_text_goes_out_in_pieces_within_the_limit_with_its_tags_whole(backend: str) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    told: list[tuple[int, int, int]] = []

    async def main() -> TtsResult:
        return await client.tts.synthesize(LONG, progress=lambda *figures: told.append(figures))

    result = on(backend, main)
    texts = [body_of(request)["text"] for request in asked]
    assert [len(text) <= 15_000 for text in texts] == [True] * 2
    assert [text.count("<whisper>") - text.count("</whisper>") for text in texts] == [0, 0]
    assert "".join(texts) == LONG
    assert result.audio == b"abab"
    lengths = [len(text) for text in texts]
    assert told[0] == (2, 0, sum(lengths))
    assert told[-1] == (4, sum(lengths), sum(lengths))
    assert [figures[1] for figures in told] == sorted(figures[1] for figures in told)


@BACKENDS
@pytest.mark.behaviour("ask-67")
@pytest.mark.parametrize("shape", ["pairs", "objects"])
def test_synthesize_tells_when_each_word_is_spoken_in_both_shapes_of_times(backend: str, shape: Any) -> None:
    async def talk(client: AsyncClient) -> TtsResult:
        return await client.tts.synthesize("Hello there, friend.", timestamps=True)

    result = emulated(backend, talk, speech=SpeechQuirks(graph_times=shape))
    assert [word.text for word in result.words] == ["Hello", "there,", "friend."]
    assert "".join(character.text for character in result.characters) == "Hello there, friend."
    assert result.words[0].start_s == 0
    assert result.words[-1].end_s == pytest.approx(result.duration_ms / 1000)
    assert result.srt() == "1\n00:00:00,000 --> 00:00:01,160\nHello there, friend.\n"
    assert "00:00:00.000 --> 00:00:01.160\nHello there, friend." in result.webvtt()
    assert heard(result.audio) == "Hello there, friend."


@BACKENDS
def test_synthesize_without_timestamps_has_no_words_and_no_subtitles(backend: str) -> None:
    async def talk(client: AsyncClient) -> TtsResult:
        return await client.tts.synthesize(TEXT)

    result = emulated(backend, talk)
    assert (result.words, result.characters) == ((), ())
    with pytest.raises(ConfigurationError, match="timestamps=True"):
        result.srt()


@BACKENDS
def test_length_is_what_the_service_states_when_it_cannot_be_counted(backend: str) -> None:
    client, _ = answering((200, JSON, [envelope(b"no frame", "ab", [[0, 0.1]])]))
    result = on(backend, lambda: client.tts.synthesize("ab", codec="mp3", timestamps=True))
    assert (result.duration_ms, result.audio) == (500.0, b"no frame")
    assert result.characters[1].start_s is None
    client, _ = answering((200, JSON, [envelope(b"no frame", duration="long", audio_timestamps=None)]))
    result = on(backend, lambda: client.tts.synthesize("ab", codec="mp3", timestamps=True))
    assert (result.duration_ms, result.words) == (None, ())


@BACKENDS
@pytest.mark.parametrize(
    ("given", "sent"), [("EVE", "eve"), ("Carina", "carina"), ("k7x2m9qp", "k7x2m9qp"), ("Brand-New", "Brand-New")]
)
@pytest.mark.behaviour("ask-62", "tts-files-voice-ids")
def test_any_voice_id_is_sent_and_a_built_in_one_in_lower_case(backend: str, given: str, sent: str) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    on(backend, lambda: client.tts.synthesize("Hi.", voice=given))
    assert body_of(asked[0])["voice_id"] == sent


@BACKENDS
def test_synthesize_sends_what_was_asked_for_and_nothing_else(backend: str) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    config = TtsConfig(voice="leo", speed=1.2)

    async def main() -> None:
        await client.tts.synthesize("Hi.", config, language="en", query={"team": "a"}, headers={"X-Own": "1"})

    on(backend, main)
    request = asked[0]
    assert (request.method, request.url) == ("POST", "https://api.x.ai/v1/tts?team=a")
    assert request.headers["X-Own"] == "1"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.read_timeout_s is None
    assert body_of(request) == {
        "text": "Hi.",
        "voice_id": "leo",
        "language": "en",
        "speed": 1.2,
        "output_format": {"codec": "pcm", "sample_rate": 24_000},
    }


@BACKENDS
def test_wait_for_speech_with_times_is_longer_unless_the_call_sets_it(backend: str) -> None:
    client, asked = answering((200, JSON, [envelope(b"ab")]))

    async def main() -> None:
        await client.tts.synthesize("Hi.", timestamps=True)
        await client.tts.synthesize("Hi.", timestamps=True, timeout_s=5)

    on(backend, main)
    assert [request.read_timeout_s for request in asked] == [900.0, 5]


@BACKENDS
@pytest.mark.behaviour("tts-files-chunks-aligned")
def test_synthesis_gives_the_audio_as_it_comes_in_whole_samples(backend: str) -> None:
    async def talk(client: AsyncClient) -> tuple[list[bytes], TtsResult]:
        async with client.tts.synthesis(TEXT) as speech:
            with pytest.raises(LocalProtocolError):
                assert speech.result
            chunks = [chunk async for chunk in speech]
            assert repr(speech) == "<TtsSynthesis over>"
            assert [chunk async for chunk in speech] == []
        return chunks, speech.result

    chunks, result = emulated(backend, talk)
    assert len(chunks) > 3
    assert [len(chunk) % 2 for chunk in chunks] == [0] * len(chunks)
    assert heard(b"".join(chunks)) == TEXT
    assert result.audio is None
    assert result.size_bytes == len(b"".join(chunks))


@BACKENDS
def test_synthesis_tells_the_time_to_its_first_audio_on_the_way_and_in_its_result(backend: str) -> None:
    client, _ = answering((200, PCM, [0.5, b"ab", 3.0, b"cd"]))

    async def main() -> float | None:
        async with client.tts.synthesis(TEXT) as speech:
            assert speech.first_audio_s is None
            assert await anext(aiter(speech)) == b"ab"
            assert speech.first_audio_s == pytest.approx(0.5)
            assert [chunk async for chunk in speech] == [b"cd"]
        return speech.result.first_audio_s

    assert on(backend, main) == pytest.approx(0.5)


@BACKENDS
@pytest.mark.behaviour("tts-files-errors")
def test_synthesis_raises_where_it_is_read_when_the_service_says_no(backend: str) -> None:
    async def talk(client: AsyncClient) -> None:
        async with client.tts.synthesis(TEXT, voice="nobody-at-all") as speech:
            with pytest.raises(NotFoundError):
                await anext(aiter(speech))
            with pytest.raises(StopAsyncIteration):
                await anext(aiter(speech))

    emulated(backend, talk)


@BACKENDS
def test_synthesis_can_be_left_at_any_time_and_errors_of_its_body_come_out_bare(backend: str) -> None:
    client, _ = answering((200, PCM, [b"ab", 3600.0, b"cd"]))

    async def main() -> float:
        async with client.tts.synthesis(TEXT) as speech:
            assert await anext(aiter(speech)) == b"ab"
            assert repr(speech) == "<TtsSynthesis under way>"
        assert [chunk async for chunk in speech] == []
        with pytest.raises(KeyError):
            async with client.tts.synthesis(TEXT):
                raise KeyError
        async with client.tts.synthesis(TEXT) as speech:
            with anyio.move_on_after(1):
                async for _ in speech:
                    pass
        return anyio.current_time()

    assert on(backend, main) < 10


@pytest.mark.behaviour("tts-files-tags")
def test_mistakes_in_tags_are_logged_by_kind_and_place_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = answering((200, PCM, [b"ab"]))
    text = "Secret [paus] words [laughs] and <whisper>more."
    with caplog.at_level(logging.WARNING, "xai_realtime.tts"):
        on("asyncio", lambda: client.tts.synthesize(text))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "speech tag unknown at character 7 and 1 more",
        "speech tag unclosed at character 33",
    ]
    assert not any(word in caplog.text for word in ("Secret", "paus", "whisper"))
    caplog.clear()
    on("asyncio", lambda: client.tts.synthesize(text, check_tags=False))
    on("asyncio", lambda: client.tts.synthesize(f"{speech_tags.whisper('Well')} {speech_tags.pause()} then."))
    assert caplog.records == []


@BACKENDS
@pytest.mark.behaviour("tts-files-codecs")
def test_speech_is_recorded_and_replayed_byte_for_byte(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "speech.jsonl"

    async def speak(client: AsyncClient) -> list[TtsResult]:
        return [await client.tts.synthesize(TEXT, codec="wav"), await client.tts.synthesize(TEXT, timestamps=True)]

    async def taped() -> list[TtsResult]:
        transport = record(path, Emulator(seed=1).transport(), origin="emulator")
        async with AsyncClient(transport=transport) as client:
            return await speak(client)

    async def again() -> list[TtsResult]:
        async with AsyncClient(transport=replay(path)) as client:
            return await speak(client)

    live, replayed = on(backend, taped), on(backend, again)
    assert check_cassette(path).findings == []
    assert [result.audio for result in live] == [result.audio for result in replayed]
    assert [result.words for result in live] == [result.words for result in replayed]


@pytest.mark.anyio
@pytest.mark.behaviour("tts-files-codecs")
async def test_speech_comes_over_a_real_socket(live_backend: str, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the emulator is an extra")
    path = tmp_path / "speech.wav"
    with anyio.fail_after(20):
        async with Emulator(seed=1) as emulator, emulator.client() as client:
            result = await client.tts.synthesize(TEXT, to=path)
            async with client.tts.synthesis(TEXT, codec="mulaw", sample_rate=8000) as speech:
                audio = b"".join([chunk async for chunk in speech])
            with pytest.raises(NotFoundError) as caught:
                await client.tts.synthesize(TEXT, voice="nobody-at-all")
    assert heard(path.read_bytes(), "wav") == TEXT
    assert result.size_bytes == path.stat().st_size
    assert heard(audio, "mulaw", 8000) == TEXT
    assert caught.value.request_id
