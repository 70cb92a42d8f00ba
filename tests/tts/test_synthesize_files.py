"""Speech written to files: put in place at the end, the suffix picks the codec, nothing half is left."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import BACKENDS, on
from tests.tts.spoken import answering, body_of, emulated, envelope, heard, left_in
from xai_realtime import AsyncClient
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ConfigurationError, ConnectionBrokenError, RemoteProtocolError
from xai_realtime.tts.config import TtsConfig
from xai_realtime.tts.synthesize import TtsResult

TEXT = "High tide in Porto is at 16:40."
PCM = {"content-type": "audio/pcm"}


@BACKENDS
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "wav"), ("a.PCM", "pcm"), ("a.raw", "pcm"), ("a.ulaw", "mulaw"), ("a.alaw", "alaw")],
)
@pytest.mark.behaviour("tts-files-in-place")
def test_suffix_picks_the_codec_of_a_file(backend: str, name: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / name

    async def talk(client: AsyncClient) -> TtsResult:
        return await client.tts.synthesize(TEXT, to=path, sample_rate=8000)

    result = emulated(backend, talk)
    assert (result.codec, result.audio) == (codec, None)
    assert result.size_bytes == path.stat().st_size
    assert heard(path.read_bytes(), codec, 8000) == TEXT
    assert left_in(tmp_path) == [name]


@BACKENDS
@pytest.mark.behaviour("tts-files-in-place")
def test_suffix_does_not_matter_when_a_codec_is_given(backend: str, tmp_path: Path) -> None:
    client, asked = answering((200, PCM, [b"ab"]))

    async def main() -> None:
        await client.tts.synthesize("Hi.", to=str(tmp_path / "a.mp3"), codec="mulaw")
        await client.tts.synthesize("Hi.", TtsConfig(codec="alaw"), to=tmp_path / "b.audio")
        await client.tts.synthesize("Hi.", to=tmp_path / "c.mp3")

    on(backend, main)
    assert [body_of(request)["output_format"]["codec"] for request in asked] == ["mulaw", "alaw", "mp3"]


@BACKENDS
@pytest.mark.parametrize("name", ["speech", "speech.txt", ".wav"])
@pytest.mark.behaviour("tts-files-in-place")
def test_name_without_a_known_suffix_is_refused_before_anything_is_sent(
    backend: str, name: str, tmp_path: Path
) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    with pytest.raises(ConfigurationError, match=r"\.mp3, \.wav"):
        on(backend, lambda: client.tts.synthesize("Hi.", to=tmp_path / name))
    assert (asked, left_in(tmp_path)) == ([], [])


@BACKENDS
@pytest.mark.parametrize("text", ["", "  \n"])
def test_blank_text_is_refused_before_anything_is_sent(backend: str, text: str, tmp_path: Path) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    with pytest.raises(ConfigurationError, match="blank"):
        on(backend, lambda: client.tts.synthesize(text, to=tmp_path / "a.wav"))
    assert (asked, left_in(tmp_path)) == ([], [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": 7},
        {"to": 7},
        {"to": io.StringIO()},
        {"timeout_s": 0},
        {"timeout_s": True},
        {"timeout_s": "5"},
        {"speedy": 2},
        {"speed": 2},
    ],
    ids=lambda wrong: "-".join(f"{name}={type(value).__name__}" for name, value in wrong.items()),
)
def test_wrong_options_are_refused_before_anything_is_sent(wrong: dict[str, Any]) -> None:
    client, asked = answering((200, PCM, [b"ab"]))

    async def main() -> None:
        await client.tts.synthesize(**{"text": "Hi.", **wrong})

    with pytest.raises(ConfigurationError):
        on("asyncio", main)
    assert asked == []


@pytest.mark.anyio
async def test_asynchronous_file_is_refused(anyio_backend: str, tmp_path: Path) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    async with await anyio.open_file(tmp_path / "a.pcm", "wb") as file:
        with pytest.raises(ConfigurationError, match="AsyncFile"):
            await client.tts.synthesize("Hi.", to=file)  # type: ignore[arg-type]
    assert asked == []


@BACKENDS
@pytest.mark.parametrize(
    ("name", "answer", "kind"),
    [
        ("a.pcm", (200, PCM, [b"abc"]), RemoteProtocolError),
        ("a.pcm", (200, PCM, [b"ab", ConnectionBrokenError()]), ConnectionBrokenError),
        ("a.wav", (200, {"content-type": "audio/wav"}, [b"RIFF\0\0\0\0WAVE"]), RemoteProtocolError),
        ("a.pcm", (200, PCM, []), RemoteProtocolError),
    ],
)
@pytest.mark.behaviour("tts-files-cut", "tts-files-in-place")
def test_failure_leaves_what_was_there_before_and_no_half_file(
    backend: str, name: str, answer: Any, kind: type[Exception], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")
    client, _ = answering(answer)
    with pytest.raises(kind):
        on(backend, lambda: client.tts.synthesize("Hi.", to=path))
    assert (left_in(tmp_path), path.read_bytes()) == ([name], b"before")


@BACKENDS
@pytest.mark.behaviour("tts-files-in-place")
def test_cancelled_speech_leaves_no_file(backend: str, tmp_path: Path) -> None:
    client, _ = answering((200, PCM, [b"ab", 3600.0, b"cd"]))

    async def main() -> list[str]:
        with anyio.move_on_after(1):
            await client.tts.synthesize("Hi.", to=tmp_path / "a.pcm")
        return left_in(tmp_path)

    assert on(backend, main) == []


@BACKENDS
@pytest.mark.behaviour("tts-files-in-place")
def test_file_is_beside_its_place_until_it_is_complete(backend: str, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    client, _ = answering((200, PCM, [b"ab", b"cd"]))

    async def main() -> None:
        await client.tts.synthesize(
            "Hi.", to=tmp_path / "a.pcm", progress=lambda *figures: seen.append(left_in(tmp_path))
        )

    on(backend, main)
    assert [(len(names), names[0].endswith(".partial")) for names in seen] == [(1, True)] * len(seen)
    assert left_in(tmp_path) == ["a.pcm"]


@BACKENDS
def test_error_of_progress_surfaces_and_leaves_no_file(backend: str, tmp_path: Path) -> None:
    client, _ = answering((200, PCM, [b"ab"]))

    def fail(*figures: int) -> None:
        raise KeyError("planted")

    async def main() -> None:
        await client.tts.synthesize("Hi.", to=tmp_path / "a.pcm", progress=fail)

    with pytest.raises(KeyError, match="planted"):
        on(backend, main)
    assert left_in(tmp_path) == []


@BACKENDS
def test_folder_that_is_not_there_is_told_before_anything_is_sent(backend: str, tmp_path: Path) -> None:
    client, asked = answering((200, PCM, [b"ab"]))
    for path in (tmp_path / "none" / "a.pcm", tmp_path):
        with pytest.raises(OSError):
            on(backend, lambda to=path: client.tts.synthesize("Hi.", codec="pcm", to=to))  # type: ignore[misc]
    assert asked == []


@pytest.mark.behaviour("tts-files-in-place")
def test_link_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.pcm").write_bytes(b"before")
    (tmp_path / "link.pcm").symlink_to(tmp_path / "real.pcm")
    client, _ = answering((200, PCM, [b"ab"]))
    on("asyncio", lambda: client.tts.synthesize("Hi.", to=tmp_path / "link.pcm"))
    assert (tmp_path / "link.pcm").is_symlink()
    assert (tmp_path / "real.pcm").read_bytes() == b"ab"


def test_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "a.pcm"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    client, _ = answering((200, PCM, [b"ab", b"cd"]))
    on("asyncio", lambda: client.tts.synthesize("Hi.", to=pipe))
    reader.join(5)
    assert got == [b"abcd"]
    assert pipe.is_fifo()


@BACKENDS
def test_file_object_is_written_from_where_it_stands_and_stays_open(backend: str, tmp_path: Path) -> None:
    wav = {"content-type": "audio/wav"}

    async def talk(client: AsyncClient) -> bytes:
        return (await client.tts.synthesize(TEXT, codec="wav")).audio or b""

    whole = emulated(backend, talk)
    unstated = whole[:40] + b"\xff\xff\xff\xff" + whole[44:]
    client, _ = answering((200, wav, [unstated]))
    with (tmp_path / "two.bin").open("w+b") as file:
        file.write(b"head")
        on(backend, lambda: client.tts.synthesize("Hi.", codec="wav", to=file))
        assert file.tell() == 4 + len(whole)
        file.seek(0)
        assert file.read() == b"head" + whole


class Slow(io.RawIOBase):
    """Takes three bytes at a time and cannot go back."""

    def __init__(self) -> None:
        self.got = b""

    def write(self, data: Any) -> int:
        piece = bytes(data[:3])
        self.got += piece
        return len(piece)


class Simple:
    """Has no more than a `write` that says nothing."""

    def __init__(self) -> None:
        self.got = b""

    def write(self, data: Any) -> None:
        self.got += bytes(data)


class Full(io.RawIOBase):
    def write(self, data: Any) -> int:
        return 0


@BACKENDS
def test_file_object_gets_all_bytes_whatever_it_takes_at_a_time(backend: str) -> None:
    client, _ = answering((200, PCM, [b"abcdefgh"]))
    for file in (Slow(), Simple()):
        on(backend, lambda to=file: client.tts.synthesize("Hi.", to=to))  # type: ignore[misc]
        assert file.got == b"abcdefgh"
    with pytest.raises(OSError, match="no more"):
        on(backend, lambda: client.tts.synthesize("Hi.", to=Full()))  # type: ignore[arg-type]


@BACKENDS
def test_memory_has_the_final_head_of_a_wav_that_stated_none(backend: str) -> None:
    async def talk(client: AsyncClient) -> bytes:
        return (await client.tts.synthesize(TEXT, codec="wav")).audio or b""

    whole = emulated(backend, talk)
    client, _ = answering((200, {}, [whole[:40] + bytes(4) + whole[44:]]))
    result = on(backend, lambda: client.tts.synthesize("Hi.", codec="wav"))
    assert result.audio == whole
    client, _ = answering((200, {"content-type": "application/json"}, [envelope(whole)]))
    result = on(backend, lambda: client.tts.synthesize("Hi.", codec="wav", timestamps=True))
    assert result.audio == whole


@BACKENDS
@pytest.mark.behaviour("tts-files-codecs")
def test_spoken_file_is_transcribed_to_its_text(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "loop.wav"

    async def main() -> str:
        async with AsyncClient(transport=Emulator(seed=1).transport()) as client:
            await client.tts.synthesize("Ships leave on every quiet tide.", to=path, sample_rate=16_000)
            return (await client.stt.transcribe(path)).text

    assert on(backend, main) == "Ships leave on every quiet tide."
