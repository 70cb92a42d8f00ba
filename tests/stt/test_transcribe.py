"""Whole files transcribed: every kind of source, what goes over the wire, how far it is, what can go wrong."""

from __future__ import annotations

import io
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY
from tests.stt.uploads import KINDS, ONCE, PIECE, SAID, TOLD, Desk, Sources, at, in_pieces, wav
from tests.tapes import BACKENDS, on
from xai_realtime import AsyncClient
from xai_realtime.audible import speak
from xai_realtime.audio import from_pcm16
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.speech_quirks import SpeechQuirks
from xai_realtime.errors import (
    ApiError,
    ConfigurationError,
    LocalProtocolError,
    ServerError,
)
from xai_realtime.stt import upload

pytestmark = pytest.mark.anyio


@pytest.mark.behaviour("stt-file-sources")
@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_source_arrives_whole_and_is_read_piece_by_piece(kind: str, tmp_path: Path) -> None:
    data = os.urandom(3 * PIECE + 1000)
    desk, told = Desk(), []
    source = Sources(data, tmp_path).make(kind)
    with anyio.fail_after(5):
        async with at(desk) as client:
            result = await client.stt.transcribe(source, progress=lambda *sent: told.append(sent))
    assert result.text == "Hi."
    (form,) = desk.forms
    assert form.file is not None
    assert bytes(form.file.content) == data
    assert max(desk.pieces) <= PIECE
    size = None if kind in ONCE else len(data)
    assert told[-1] == (len(data), size)
    assert [sent for sent, _ in told] == sorted({sent for sent, _ in told})
    assert {total for _, total in told} == {size}
    named = {"text": "a call.wav", "path": "a call.wav", "file": "a call.wav"}.get(kind, "audio")
    assert form.file.file_name == named
    if kind == "file":
        assert not source.closed
        source.close()


@pytest.mark.behaviour("stt-file-sources")
@pytest.mark.parametrize("kind", ["text", "bytes", "file", "pipe", "iterator"])
async def test_words_of_a_file_come_back_over_a_real_socket(kind: str, tmp_path: Path) -> None:
    source = Sources(wav(SAID), tmp_path).make(kind)
    with anyio.fail_after(10):
        async with Emulator(seed=1) as emulator, emulator.client() as client:
            result = await client.stt.transcribe(source, language="en", format=True)
    assert (result.text, result.language) == (SAID, "en")
    assert [word.text.strip("?,.") for word in result.words] == ["Hello", "there", "how", "are", "you", "today"]
    assert result.duration_s is not None
    if kind == "file":
        source.close()


@BACKENDS
@pytest.mark.behaviour("stt-file-sources")
def test_words_of_a_file_come_back_in_process_in_virtual_time(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(wav(SAID))

    async def main() -> None:
        quirks = SpeechQuirks(speakers=(0, 1))
        async with AsyncClient(transport=Emulator(seed=1, speech=quirks).transport()) as client:
            for source in (path, path.read_bytes(), in_pieces(path.read_bytes())):
                result = await client.stt.transcribe(source, diarize=True)
                assert result.text == SAID
                assert result.speakers == (0,)
            raw = from_pcm16(speak(SAID, sample_rate_hz=8000), "pcmu")
            assert (await client.stt.transcribe(raw, audio_format="mulaw", sample_rate=8000)).text == SAID

    on(backend, main)


@pytest.mark.behaviour("stt-file-channels")
async def test_channels_are_heard_by_themselves_and_no_word_is_told_twice() -> None:
    data = wav("Good morning.", "Good evening to you.")
    with anyio.fail_after(5):
        async with AsyncClient(transport=Emulator(seed=1).transport()) as client:
            results = [
                await client.stt.transcribe(data, channels=2),
                await client.stt.transcribe(data, multichannel=True),
            ]
    for result in results:
        assert [(channel.index, channel.text) for channel in result.channels] == [
            (0, "Good morning."),
            (1, "Good evening to you."),
        ]
        assert len(result.words) == 6
        assert result.srt().count("Good") == 2
        assert result.plain_text().count("Good") == 2


@pytest.mark.behaviour("ask-55")
@pytest.mark.behaviour("ask-56")
async def test_settings_stand_in_the_form_before_the_file_and_what_is_not_given_is_not_sent() -> None:
    desk = Desk()
    async with at(desk) as client:
        await client.stt.transcribe(
            b"audio",
            model="grok-voice-transcribe-2.0",
            audio_format="alaw",
            sample_rate=8000,
            language=" fil ",
            format=True,
            channels=2,
            diarize=True,
            keyterms=["Grok", 'a "b"\r\n--x'],
            filler_words=False,
            vad_threshold=0.25,
        )
        await client.stt.transcribe(b"audio", language="", model=None, diarize=None, keyterms=())
        await client.stt.transcribe(b"audio", multichannel=True)
    assert desk.forms[0].fields == [
        ("model", "grok-voice-transcribe-2.0"),
        ("audio_format", "alaw"),
        ("sample_rate", "8000"),
        ("language", "fil"),
        ("format", "true"),
        ("multichannel", "true"),
        ("channels", "2"),
        ("diarize", "true"),
        ("keyterm", "Grok"),
        ("keyterm", 'a "b"\r\n--x'),
        ("filler_words", "false"),
        ("vad_threshold", "0.25"),
    ]
    assert [form.fields for form in desk.forms[1:]] == [[], [("multichannel", "true")]]
    whole = await body_of(desk, "fil")
    assert re.findall(rb'; name="([^"]*)"', whole)[-1] == b"file"
    assert whole.index(b"audio\r\n--") > whole.rindex(b"form-data")


async def body_of(desk: Desk, language: str) -> bytes:
    """The whole form of one more upload."""
    client = at(desk)
    await client.stt.transcribe(b"audio", language=language)
    return await desk.requests[-1].read_body()


@pytest.mark.parametrize("source", ["https://example.com/a.mp3?x=y", "HTTP://example.com/a"])
@pytest.mark.behaviour("stt-file-address")
async def test_address_goes_out_as_a_field_without_a_file(source: str) -> None:
    desk, told = Desk(), []
    await at(desk).stt.transcribe(source, diarize=True, progress=lambda *sent: told.append(sent))
    assert (desk.forms[0].fields, desk.forms[0].file) == ([("diarize", "true"), ("url", source)], None)
    assert told == []
    assert desk.requests[0].is_repeatable
    async with Emulator() as emulator, emulator.client() as client:
        with anyio.fail_after(5), pytest.raises(ServerError) as caught:
            await client.stt.transcribe(source)
    assert caught.value.status == 502


async def test_request_goes_where_the_options_say_with_the_timeouts_of_an_upload() -> None:
    desk = Desk()
    client = at(desk, base_url="https://other.example/v7", default_headers={"X-A": "b"})
    await client.stt.transcribe(b"x", query={"team": "c"}, headers={"content-type": "text/plain", "X-D": "e"})
    await client.stt.transcribe(b"x", url="https://third.example/up?d=e", api_key="xai-other", timeout_s=2)
    first, second = desk.requests
    assert (first.method, first.url) == ("POST", "https://other.example/v7/stt?team=c")
    named = {name.lower(): value for name, value in first.headers.items()}
    assert (named["authorization"], named["x-a"], named["x-d"]) == (f"Bearer {KEY}", "b", "e")
    assert named["content-type"].startswith("multipart/form-data; boundary=")
    assert [name for name in first.headers if name.lower() == "content-type"] == ["Content-Type"]
    assert (first.read_timeout_s, first.write_timeout_s) == (900, 60)
    assert (second.url, second.headers["Authorization"]) == ("https://third.example/up?d=e", "Bearer xai-other")
    assert (second.read_timeout_s, second.write_timeout_s) == (2, 2)
    assert KEY not in repr(first)


@pytest.mark.behaviour("stt-file-memory")
async def test_endless_source_is_never_read_ahead_of_what_is_sent() -> None:
    given, ahead = [0], []

    async def source() -> AsyncGenerator[bytes, None]:
        for _ in range(500):
            given[0] += PIECE
            yield bytes(PIECE)

    async with at(Desk()) as client:
        await client.stt.transcribe(source(), progress=lambda sent, total: ahead.append(given[0] - sent))
    assert len(ahead) == 500
    assert max(ahead) == 0


@pytest.mark.behaviour("stt-file-memory")
async def test_file_is_read_no_further_than_an_answer_that_says_no_needs(tmp_path: Path) -> None:
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(400 * PIECE)
    told: list[int] = []
    desk = Desk((413, {}, b'{"code":"invalid","error":"too large"}'))
    with pytest.raises(ApiError) as caught:
        await at(desk).stt.transcribe(path, progress=lambda sent, total: told.append(sent))
    assert (caught.value.status, caught.value.message) == (413, "too large")
    assert sum(desk.pieces) < PIECE


async def test_what_progress_raises_ends_the_upload_and_surfaces() -> None:
    def stop(sent: int, total: int | None) -> None:
        raise KeyError("stop")

    with anyio.fail_after(10):
        async with Emulator() as emulator, emulator.client() as client:
            with pytest.raises(KeyError, match="stop"):
                await client.stt.transcribe(bytes(10 * PIECE), progress=stop)
            assert (await client.stt.transcribe(wav(SAID))).text == SAID
        async with AsyncClient(transport=Emulator().transport()) as client:
            with pytest.raises(KeyError, match="stop"):
                await client.stt.transcribe(bytes(10 * PIECE), progress=stop)


@pytest.mark.parametrize("is_live", [True, False])
async def test_what_an_iterator_raises_surfaces_and_its_generator_is_closed(is_live: bool) -> None:
    ended = []

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            yield b"abc"
            raise ConnectionResetError("mine")
        finally:
            ended.append(True)

    with anyio.fail_after(10):
        async with Emulator() as emulator:
            client = emulator.client() if is_live else AsyncClient(transport=emulator.transport())
            async with client:
                with pytest.raises(ConnectionResetError, match="mine"):
                    await client.stt.transcribe(source())
                assert (await client.stt.transcribe(wav(SAID))).text == SAID
    assert ended == [True]


async def test_cancelled_upload_closes_its_generator_and_the_next_one_works() -> None:
    ended = []

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            yield wav(SAID)[:1000]
            await anyio.sleep(60)
        finally:
            ended.append(True)

    with anyio.fail_after(10):
        async with Emulator() as emulator, emulator.client() as client:
            with anyio.move_on_after(0.2) as scope:
                await client.stt.transcribe(source())
            assert scope.cancelled_caught
            assert ended == [True]
            assert (await client.stt.transcribe(wav(SAID))).text == SAID


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files by /proc")
async def test_cancelled_upload_closes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "canary.wav"
    path.write_bytes(bytes(50 * PIECE))

    def is_open() -> bool:
        return any(os.path.realpath(f"/proc/self/fd/{name}") == str(path) for name in os.listdir("/proc/self/fd"))

    seen = []
    with anyio.CancelScope() as scope:

        def tell(sent: int, total: int | None) -> None:
            seen.append(is_open())
            scope.cancel()

        await at(Desk()).stt.transcribe(path, progress=tell)
    assert scope.cancelled_caught
    assert seen[0] is True
    assert not is_open()


@pytest.mark.behaviour("stt-file-refused-early")
async def test_source_that_cannot_be_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    client = at(desk)
    empty, large, text = tmp_path / "empty.wav", tmp_path / "large.wav", tmp_path / "text.txt"
    empty.touch()
    text.write_text("x")
    with large.open("wb") as file:
        file.truncate(500_000_001)
    refused: list[tuple[Any, str]] = [
        (b"", "no audio in the source: it is empty"),
        (empty, "no audio in empty.wav"),
        (large, "large.wav has 500000001 bytes; up to 500000000 are allowed"),
        (tmp_path, "is a folder"),
        (5, "the source is a int; a path, bytes"),
        (None, "NoneType"),
        (io.StringIO("x"), "'rb'"),
    ]
    for source, said in refused:
        with pytest.raises(ConfigurationError, match=said):
            await client.stt.transcribe(source)
    with pytest.raises(FileNotFoundError):
        await client.stt.transcribe(tmp_path / "none.wav")
    for options, said in (
        ({"retries": -1}, "retries is -1"),
        ({"retries": True}, "retries is True"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"timeout_s": float("inf")}, "timeout_s is inf"),
        ({"progress": 5}, "progress is 5"),
        ({"language": "en", "smart_turn": 0.5}, "transcribe takes no 'smart_turn'"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            await client.stt.transcribe(b"x", **options)  # type: ignore[arg-type]
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
        await AsyncClient(transport=desk).stt.transcribe(b"x")
    assert desk.requests == []


class Odd(io.BytesIO):
    """A file that changes, or that gives something else than bytes."""

    def __init__(self, data: bytes, gives: Any) -> None:
        super().__init__(data)
        self._gives = gives

    def read(self, size: int | None = -1) -> Any:
        return self._gives


async def test_source_that_changes_or_gives_no_bytes_ends_the_upload_with_a_typed_error() -> None:
    async def numbers() -> AsyncGenerator[Any, None]:
        yield 5

    client = at(Desk())
    with pytest.raises(LocalProtocolError, match="3 bytes before its end"):
        await client.stt.transcribe(Odd(b"abc", b""))
    with pytest.raises(ConfigurationError, match="gave a str, where bytes belong"):
        await client.stt.transcribe(Odd(b"abc", "abc"))
    with pytest.raises(ConfigurationError, match="gave a int"):
        await client.stt.transcribe(numbers())


async def test_file_that_grows_while_it_is_sent_is_sent_as_far_as_it_was(tmp_path: Path) -> None:
    path, desk = tmp_path / "growing.wav", Desk()
    path.write_bytes(bytes(2 * PIECE))

    def grow(sent: int, total: int | None) -> None:
        with path.open("ab") as file:
            file.write(bytes(PIECE))

    await at(desk).stt.transcribe(path, progress=grow)
    assert desk.forms[0].file is not None
    assert len(desk.forms[0].file.content) == 2 * PIECE


async def test_named_pipe_is_read_without_a_size(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    path, desk = tmp_path / "pipe.wav", Desk()
    os.mkfifo(path)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, path.write_bytes, bytes(100_000))
            await at(desk).stt.transcribe(path)
    assert desk.forms[0].file is not None
    assert len(desk.forms[0].file.content) == 100_000
    assert desk.requests[0].body.size_bytes is None  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["pipe", "iterator"])
async def test_source_that_runs_once_cannot_be_opened_twice(kind: str, tmp_path: Path) -> None:
    body, _ = await upload.opened_source(Sources(b"12345", tmp_path).make(kind))
    for times in (1, 2):
        with pytest.raises(LocalProtocolError, match="second time") if times == 2 else anyio.fail_after(5):
            async with body.open() as pieces:
                assert b"".join([piece async for piece in pieces]) == b"12345"


async def test_audio_and_key_are_in_no_repr(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    desk = Desk({**TOLD, "text": "canary-text"})
    result = await at(desk).stt.transcribe(b"canary-audio")
    assert "canary" not in repr(result) + repr(desk.requests) + caplog.text
    assert KEY not in repr(desk.requests) + caplog.text
