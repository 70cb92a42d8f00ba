"""Speaking over a socket: words, text in pieces, times, marks, blanks."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.tts.driving import BACKENDS, LINES, audio, gather, listen, mouth, run, served, writing
from xai_realtime import AsyncClient
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ConfigurationError, LocalProtocolError
from xai_realtime.protocol.tts_text import Flush
from xai_realtime.tts.config import RATES_HZ, TtsConfig

TEXT = "The quick brown fox jumps over 13 lazy dogs."


@pytest.mark.behaviour("tts-words")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("codec", ["pcm", "mulaw", "alaw"])
@BACKENDS
def test_words_that_are_spoken_are_the_words_of_the_text(backend: str, codec: Any, rate_hz: int) -> None:
    async def main() -> None:
        async with mouth(pace="instant") as talk:
            assert await talk.heard(TEXT, codec=codec, sample_rate=rate_hz) == TEXT

    run(main, backend)


@pytest.mark.behaviour("tts-words", "ask-61", "bug-57")
@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
@BACKENDS
def test_text_in_pieces_is_spoken_as_the_whole_text(backend: str, size: int) -> None:
    text = "Well [pause] then, <whisper>quiet please</whisper> all of you."
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    async def main() -> None:
        async with mouth() as talk:
            for given in (text, writing(*pieces, pause_s=0.05), iter(pieces)):
                assert str(await talk.heard(given)).split() == ["Well", "then,", "quiet", "please", "all", "of", "you."]
            deltas = [
                message["delta"] for _, way, message, _ in talk.wire.frames if "delta" in message and way == "out"
            ]
            assert all(
                delta.count("[") == delta.count("]") and delta.count("<") == delta.count(">") for delta in deltas
            )
            assert not any(delta.isspace() for delta in deltas)

    run(main, backend)


@pytest.mark.behaviour("ask-57")
@BACKENDS
def test_utterances_follow_each_other_over_one_socket(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            for line in LINES * 2:
                assert await talk.heard(line) == line
            assert len(talk.wire.requests) == 1
            assert talk.wire.sent() == ["text.delta", "text.done"] * 6

    run(main, backend)


@pytest.mark.behaviour("ask-57", "bug-55")
@BACKENDS
def test_voice_of_a_call_is_dialled_for_and_used_for_that_call_alone(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            for voice in ("eve", "ara", "eve", "ara", "Ab12Cd34"):
                assert await talk.heard("Hi there.", voice=voice) == "Hi there."
            assert [request.url.partition("voice=")[2].partition("&")[0] for request in talk.wire.requests] == [
                "eve",
                "ara",
                "Ab12Cd34",
            ]
            assert await talk.heard("Hi there.", TtsConfig(voice="ara", speed=1.2), speed=None) == "Hi there."
            assert len(talk.wire.requests) == 3

    run(main, backend)


@pytest.mark.behaviour("ask-57")
@BACKENDS
def test_another_key_header_or_pronunciation_does_not_share_a_socket(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            for options in ({}, {"api_key": "other"}, {"headers": {"X-One": "1"}}, {"pronunciations": {"one": "won"}}):
                await talk.heard("one two", **options)
                await talk.heard("one two", **options)
            assert len(talk.wire.requests) == 4
            assert talk.wire.sent(4) == ["session.update", *["text.delta", "text.done"] * 2]
            assert talk.wire.received(4)[0] == "session.updated"
            assert await talk.heard("one two", pronunciations={"one": "won"}) == "won two"

    run(main, backend)


@pytest.mark.behaviour("ask-59")
@pytest.mark.parametrize("codec", ["pcm", "mulaw"])
@BACKENDS
def test_audio_that_is_cut_within_samples_comes_whole_and_exact(backend: str, codec: Any) -> None:
    async def main() -> None:
        whole, cut = [], []
        for chunks, odd in ((whole, False), (cut, True)):
            async with mouth(odd_cuts=odd, pace="instant") as talk:
                chunks += [chunk async for chunk in talk.stream(TEXT, codec=codec)]
        assert b"".join(cut) == b"".join(whole)
        assert codec == "mulaw" or all(len(chunk) % 2 == 0 for chunk in cut)

    run(main, backend)


@pytest.mark.behaviour("ask-59")
@BACKENDS
def test_sample_that_is_never_completed_is_left_out_and_said(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(peer: Any) -> None:
        for _ in range(2):
            await peer.until("text.done")
            await peer.say(audio(b"\1\2\3"), audio(b"\4\5"), audio(b""), {"type": "audio.done"})
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            for _ in range(2):
                assert [chunk async for chunk in talk.stream("hello")] == [b"\1\2", b"\3\4"]

    run(main, backend)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "an utterance ended within a sample: 1 bytes are left out"
    ] * 2


@pytest.mark.parametrize("form", ["pairs", "objects"])
@pytest.mark.parametrize("alone", [False, True])
@BACKENDS
def test_timestamps_tell_when_each_character_and_word_is_spoken(backend: str, form: Any, alone: bool) -> None:
    async def main() -> None:
        async with mouth(graph_times=form, timestamps_alone=alone) as talk:
            async with talk.stream("Hello there.", timestamps=True) as speech:
                pieces = [piece async for piece in speech.pieces()]
            sound = b"".join(piece.audio for piece in pieces)
            assert listen(sound, speech.config) == "Hello there."
            assert "".join(character.text for character in speech.characters).strip() == "Hello there."
            assert [character for piece in pieces for character in piece.characters] == list(speech.characters)
            assert any(not piece.audio and piece.characters for piece in pieces) is alone
            assert [word.text for word in speech.words] == ["Hello", "there."]
            assert speech.duration_ms == len(sound) / 48
            ends = [word.end_s for word in speech.words if word.end_s is not None]
            assert len(ends) == 2
            assert ends[-1] <= speech.duration_ms / 1000 + 0.001
            at_ms = 0.0
            for piece in pieces:
                assert (piece.start_ms, piece.duration_ms) == (at_ms, len(piece.audio) / 48)
                at_ms += len(piece.audio) / 48
            assert speech.first_audio_s == pytest.approx(0.2)
            assert speech.trace_id
            assert speech.text_sent == "Hello there."

    run(main, backend)


@BACKENDS
def test_pieces_without_timestamps_stand_one_behind_the_other(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            speech = talk.stream("Hello there.", codec="mulaw", sample_rate=8000)
            pieces = [piece async for piece in speech.pieces()]
            assert [piece.start_ms for piece in pieces] == [100.0 * number for number in range(len(pieces))]
            assert speech.characters == speech.words == ()
            assert all(piece.characters == () for piece in pieces)

    run(main, backend)


@pytest.mark.behaviour("tts-flush")
@BACKENDS
def test_flush_ends_an_utterance_and_goes_on_over_the_same_socket(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            text = writing(
                Flush(), "One two. ", Flush(), Flush(), " ", Flush(), "Three ", "four.", Flush(), pause_s=0.1
            )
            speech = talk.stream(text, timestamps=True)
            sound = await gather(speech)
            assert str(listen(sound, speech.config)).split() == ["One", "two.", "Three", "four."]
            assert talk.wire.sent() == ["text.delta", "text.done", "text.delta", "text.delta", "text.done"]
            assert len(talk.wire.requests) == 1
            assert speech.text_sent == "One two. Three four."
            starts = [word.start_s for word in speech.words if word.start_s is not None]
            assert [word.text for word in speech.words] == ["One", "two.", "Three", "four."]
            assert starts == sorted(starts)
            first = next(entry for entry in talk.wire.frames if entry[2]["type"] == "audio.done")
            third = next(entry for entry in talk.wire.frames if entry[2].get("delta", "").startswith("Three"))
            assert third[3] >= first[3], "the text of the next utterance waits for the end of this one"

    run(main, backend)


@pytest.mark.behaviour("tts-flush")
@BACKENDS
def test_flush_that_is_ignored_changes_nothing(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            speech = talk.stream(writing("One two. ", Flush(), "Three ", Flush(), "four."), flush="ignore")
            assert listen(await gather(speech), speech.config) == "One two. Three four."
            assert talk.wire.sent().count("text.done") == 1

    run(main, backend)


@pytest.mark.behaviour("tts-blank")
@pytest.mark.parametrize("kind", ["str", "iterable", "async"])
@BACKENDS
def test_blank_text_sends_nothing_and_ends(backend: str, kind: str) -> None:
    given: Any = {"str": " \n", "iterable": ["", "  ", "\n"], "async": writing(" ", "", Flush(), "\n", pause_s=0.3)}[
        kind
    ]

    async def main() -> None:
        async with mouth() as talk:
            assert await gather(talk.stream(given)) == b""
            assert talk.wire.frames == []
            assert await talk.heard("Then this.") == "Then this."
            assert len(talk.wire.requests) == 1

    run(main, backend)


@BACKENDS
def test_long_text_is_sent_in_deltas_below_the_limit_while_its_audio_is_read(backend: str) -> None:
    text = ("All work and no play makes a dull day. " * 2400).strip()
    deltas: list[str] = []

    async def handler(peer: Any) -> None:
        got = deltas
        while True:
            message = await peer.until("text.delta")
            got.append(message["delta"])
            await peer.say(*[audio()] * 20)
            if len("".join(got)) == len(text):
                await peer.until("text.done")
                await peer.say({"type": "audio.done"})
                assert max(map(len, got)) < 15_000
                return await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            speech = talk.stream(text)
            assert len(await gather(speech)) == 480 * 20 * len(deltas)
            assert speech.text_sent == text

    run(main, backend)


@BACKENDS
def test_text_that_comes_faster_than_it_can_be_sent_is_not_read_ahead_without_bounds(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await anyio.sleep(60)
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            text = writing(*["word "] * 5000)
            with anyio.move_on_after(30):
                await gather(talk.stream(text))
            assert 64 < len(text.given) < 300

    run(main, backend)


@BACKENDS
def test_speech_tells_of_wrong_tags_in_the_log_without_the_text(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with mouth(pace="instant") as talk:
            await gather(talk.stream("Hello <whisper>there."))

    run(main, backend)
    assert "speech tag" in caplog.text
    assert "Hello" not in caplog.text


def test_mistakes_are_told_when_the_stream_is_made() -> None:
    client = AsyncClient(transport=Emulator().transport())
    with pytest.raises(ConfigurationError, match="inside `async with AsyncClient"):
        client.tts.stream("Hello")

    async def main() -> None:
        async with client:
            for text in (b"bytes", None, 7):
                with pytest.raises(ConfigurationError, match="an iterable or async iterable of str is allowed"):
                    client.tts.stream(text)  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="flush is 'maybe'"):
                client.tts.stream("Hello", flush="maybe")  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError, match="speed"):
                client.tts.stream("Hello", speed=9)
            with pytest.raises(ConfigurationError, match="known are"):
                client.tts.stream("Hello", volume=9)  # type: ignore[call-arg]
            late = client.tts.stream("Hello")
        with pytest.raises(ConfigurationError, match="inside `async with AsyncClient"):
            await gather(late)

    run(main, "asyncio")


@BACKENDS
def test_speech_is_iterated_once(backend: str) -> None:
    async def main() -> None:
        async with mouth(pace="instant") as talk:
            speech = talk.stream("Hello")
            await gather(speech)
            with pytest.raises(LocalProtocolError):
                await gather(speech)
            with pytest.raises(LocalProtocolError):
                async for _ in speech.pieces():
                    pass
            assert repr(speech).startswith("<TtsStream eve, pcm, ")

    run(main, backend)


@BACKENDS
def test_length_of_files_is_that_of_their_samples_and_unknown_for_mp3(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        await peer.say(audio(b"xyz", audio_duration=0.5), audio(b"abc"), {"type": "audio.done"})
        await peer.rest()

    async def main() -> None:
        async with mouth(pace="instant") as talk:
            pcm, wav = talk.stream("Hello there."), talk.stream("Hello there.", codec="wav")
            sound = await gather(pcm)
            assert (await gather(wav)).endswith(sound)
            assert wav.duration_ms == pcm.duration_ms == len(sound) / 48
        async with served(handler) as talk:
            speech = talk.stream("Hello", codec="mp3")
            assert speech.duration_ms is None
            assert await gather(speech) == b"xyzabc"
            assert speech.duration_ms == 500

    run(main, backend)


@pytest.mark.behaviour("tts-config")
@BACKENDS
def test_address_of_a_call_keeps_its_query_and_what_the_call_says_wins(backend: str) -> None:
    async def main() -> None:
        async with mouth(pace="instant") as talk:
            url = "wss://api.x.ai/v1/tts?voice=rex&codec=mp3&trace=1"
            assert await talk.heard("Hi.", url=url) == "Hi."
            assert await talk.heard("Hi.", url=url, voice="ara", query={"more": "2"}) == "Hi."
            queries = [request.url.partition("?")[2].split("&") for request in talk.wire.requests]
            rest = ["codec=pcm", "language=auto", "sample_rate=24000", "trace=1"]
            assert sorted(queries[0]) == sorted([*rest, "voice=rex"])
            assert sorted(queries[1]) == sorted([*rest, "voice=ara", "more=2"])

    run(main, backend)
