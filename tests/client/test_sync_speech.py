"""Speech to text and text to speech without async, over real sockets: every wait is bounded by an alarm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.client.blocking import PATIENCE_S, client_of, loop_threads
from xai_realtime.audible import hear, speak
from xai_realtime.audio import AudioFormat, silence, write_wav
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    ClosedByUsError,
    ConfigurationError,
    LocalProtocolError,
    NotFoundError,
    TransportTimeoutError,
)
from xai_realtime.protocol.stt_events import SttDone, SttReady, SttUtterance
from xai_realtime.protocol.tts_text import Flush
from xai_realtime.sync_client import Client

pytestmark = pytest.mark.usefixtures("bounded")

WORDS = "Is it raining in Porto?"


def test_stream_writes_speech_down_when_used_without_async(client: Client) -> None:
    with client.stt.stream(interim_results=False) as stt:
        assert isinstance(stt.receive(timeout_s=PATIENCE_S), SttReady)
        stt.send(speak(WORDS, sample_rate_hz=16_000))
        [said] = stt.flush()
        assert said.text == WORDS
        assert isinstance(stt.receive(timeout_s=PATIENCE_S), SttUtterance)
        with pytest.raises(TransportTimeoutError):
            stt.receive(timeout_s=0.01)
        assert stt.finish().text == WORDS
        assert [type(event) for event in stt] == [SttDone]
        with pytest.raises(ClosedByUsError):
            stt.receive(timeout_s=PATIENCE_S)
        assert stt.transcript.is_complete
        assert stt.kept_audio == b""
        assert stt.config.sample_rate == 16_000
        with pytest.raises(LocalProtocolError):
            stt.send(silence(20, 16_000))
        assert "Sync" in repr(stt)


def test_stream_is_read_in_one_thread_while_audio_comes_from_another(client: Client) -> None:
    with client.stt.stream() as stt:

        def talk() -> None:
            stt.send(speak(WORDS, sample_rate_hz=16_000), pace=False)
            stt.finish()

        talker = threading.Thread(target=talk)
        talker.start()
        texts = [event.text for event in stt if isinstance(event, SttUtterance)]
        talker.join(PATIENCE_S)
    assert texts == [WORDS]


def test_stream_says_what_is_missing_when_it_is_read_before_it_is_entered(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="before the stream is entered"):
        next(client.stt.stream())


def test_file_is_written_down_when_used_without_async(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    write_wav(path, speak(WORDS, sample_rate_hz=16_000), AudioFormat("pcm", 16_000))
    told: list[tuple[int, int | None]] = []
    assert client.stt.transcribe(path, progress=lambda sent, size: told.append((sent, size))).text == WORDS
    assert told[-1][0] == told[-1][1] == path.stat().st_size


def test_text_is_spoken_when_used_without_async(client: Client) -> None:
    assert client.tts.prewarm()
    speech = client.tts.stream("Good morning.", timestamps=True)
    assert hear(b"".join(speech)) == "Good morning."
    assert [word.text for word in speech.words] == ["Good", "morning."]
    assert "".join(character.text for character in speech.characters) == "Good morning."
    assert speech.duration_ms
    assert speech.first_audio_s is not None
    assert speech.text_sent == "Good morning."
    assert speech.trace_id
    assert speech.config.voice == "eve"
    assert not speech.was_interrupted
    assert "Sync" in repr(speech)
    with client.tts.stream("Good night.") as speech:
        assert hear(b"".join(piece.audio for piece in speech.pieces())) == "Good night."


def test_text_is_read_in_a_worker_thread_when_it_is_still_being_written(client: Client) -> None:
    threads = []
    closed = []

    def writing() -> Iterator[str | Flush]:
        try:
            for piece in ("Good ", "morning.", Flush(), " How ", "are you?"):
                threads.append(threading.current_thread())
                yield piece
        finally:
            closed.append(True)

    # The end of the first utterance is one of the audio as well, so that each is heard alone.
    assert hear(b"".join(client.tts.stream(writing(), flush="ignore"))) == "Good morning. How are you?"
    assert closed
    assert not set(threads) & {threading.main_thread(), *loop_threads()}


def test_speech_ends_and_is_not_waited_for_when_it_is_interrupted_while_its_text_blocks(client: Client) -> None:
    blocked, go_on = threading.Event(), threading.Event()

    def writing() -> Iterator[str]:
        yield "Good morning to all of you who are here today. "
        blocked.set()
        go_on.wait(PATIENCE_S)
        yield "Never said."

    speech = client.tts.stream(writing())
    chunks = iter(speech)
    assert next(chunks)
    assert blocked.wait(PATIENCE_S)
    speech.interrupt()
    assert list(chunks) == []
    assert speech.was_interrupted
    go_on.set()
    assert hear(b"".join(client.tts.stream("Next."))) == "Next."


def test_text_is_spoken_into_memory_and_piece_by_piece_when_used_without_async(client: Client) -> None:
    whole = client.tts.synthesize("Good morning.", codec="wav")
    assert whole.audio is not None
    with client.tts.synthesis("Good morning.", codec="pcm") as speech:
        audio = b"".join(speech)
        assert speech.result.size_bytes == len(audio)
        assert speech.first_audio_s == speech.result.first_audio_s is not None
    assert hear(audio) == "Good morning."


def test_voices_are_listed_made_changed_and_deleted_when_used_without_async(client: Client) -> None:
    assert "eve" in {voice.voice_id for voice in client.tts.voices.list()}
    assert client.tts.voices.get("EVE").voice_id == "eve"
    recording = BytesIO()
    write_wav(recording, speak("This is how I sound."), AudioFormat("pcm", 24_000))
    sample = recording.getvalue()
    made = client.tts.custom_voices.create(sample, name="Mine")
    assert [voice.voice_id for voice in client.tts.custom_voices.list(limit=1)] == [made.voice_id]
    assert client.tts.custom_voices.page().voices[0].name == "Mine"
    assert client.tts.custom_voices.update(made.voice_id, name="Yours").name == "Yours"
    assert client.tts.custom_voices.get(made.voice_id).name == "Yours"
    assert client.tts.custom_voices.audio(made.voice_id) == sample
    client.tts.custom_voices.delete(made.voice_id)
    with pytest.raises(NotFoundError):
        client.tts.custom_voices.get(made.voice_id)


def test_sockets_and_thread_are_gone_when_the_client_is_left_in_the_middle_of_a_speech(emulator: Emulator) -> None:
    with client_of(emulator) as client:
        chunks = iter(client.tts.stream("What goes up must come down, and what comes down has been up before."))
        assert next(chunks)
    with pytest.raises(ClosedByUsError):
        list(chunks)
