"""Uploads without a service: a desk that takes them, the same audio as every kind of source."""

from __future__ import annotations

import array
import io
import json
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.http.peers import KEY
from xai_realtime import AsyncClient
from xai_realtime.audible import speak
from xai_realtime.audio import silence
from xai_realtime.emulator.multipart import FormReader, boundary_of
from xai_realtime.stt import upload
from xai_realtime.transport.base import HttpRequest, HttpResponse, Transport

__all__ = [
    "KINDS", "ONCE", "PIECE", "RATE_HZ", "SAID", "TOLD", "Desk", "Pipe", "Sources", "as_json", "at", "in_pieces",
    "refused", "wav",
]  # fmt: skip

SAID = "Hello there, how are you today?"
RATE_HZ = 16_000
PIECE = upload.PIECE_BYTES
TOLD = {"text": "Hi.", "language": "en", "duration": 1.0, "words": [{"text": "Hi.", "start": 0.1, "end": 0.4}]}


def wav(*texts: str, rate_hz: int = RATE_HZ) -> bytes:
    """A WAV file in which each text is said in a channel of its own."""
    tracks = [speak(text, sample_rate_hz=rate_hz) + silence(600, rate_hz) for text in texts]
    longest = max(map(len, tracks))
    samples = [array.array("h", track.ljust(longest, b"\0")) for track in tracks]
    mixed = array.array("h", [value for moment in zip(*samples, strict=True) for value in moment])
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((len(tracks), 2, rate_hz, 0, "NONE", ""))
        writer.writeframes(mixed.tobytes())
    return file.getvalue()


class Desk(Transport):
    """Takes uploads in pieces and answers as it is told; `forms` are what came, `requests` the rest of it."""

    def __init__(self, *answers: Any) -> None:
        self.requests: list[HttpRequest] = []
        self.forms: list[FormReader] = []
        self.pieces: list[int] = []
        self._answers = list(answers) or [TOLD]

    def open(self, request: Any) -> Any:
        raise AssertionError("no sockets here")

    def request(self, request: HttpRequest) -> Any:
        return self._request(request)

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        self.requests.append(request)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        boundary = boundary_of(request.headers["Content-Type"])
        assert boundary is not None
        form = FormReader(boundary, max_file_bytes=10**9, ends_at_file=False)
        assert not isinstance(request.body, bytes)
        async with request.body.open() as pieces:
            size = 0
            async for piece in pieces:
                self.pieces.append(len(piece))
                size += len(piece)
                form.feed(piece)
                if isinstance(answer, tuple) and answer[0] == 413:
                    break
            else:
                assert form.is_whole
                assert request.body.size_bytes in (None, size)
        self.forms.append(form)
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer if isinstance(answer, tuple) else (200, {}, None)

        async def chunks() -> AsyncGenerator[bytes, None]:
            yield as_json(answer) if body is None else body

        async with aclosing(chunks()) as given:
            yield HttpResponse(status, (("content-type", "application/json"), *headers.items()), given)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def at(desk: Desk, **options: Any) -> AsyncClient:
    return AsyncClient(transport=desk, **{"api_key": KEY, **options})


class Pipe(io.RawIOBase):
    """A file that goes forward only."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


async def in_pieces(data: bytes, size: int = 5000) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Sources:
    """The same audio as every kind of source, and what is known of each: its size, whether it can be sent again."""

    def __init__(self, data: bytes, folder: Path) -> None:
        self._data = data
        self._path = folder / "a call.wav"
        self._path.write_bytes(data)

    def make(self, kind: str) -> Any:
        whole = self._data
        match kind:
            case "text":
                return str(self._path)
            case "path":
                return self._path
            case "bytes":
                return whole
            case "bytearray":
                return bytearray(whole)
            case "memoryview":
                return memoryview(b"--" + whole + b"--")[2:-2]
            case "array":
                return array.array("B", whole)
            case "file":
                file = self._path.open("rb")
                return file
            case "middle":
                file = io.BytesIO(b"some head" + whole)
                file.seek(9)
                return file
            case "pipe":
                return Pipe(whole)
            case "buffered pipe":
                return io.BufferedReader(Pipe(whole))
            case "iterator":
                return in_pieces(whole)
        raise AssertionError(kind)


ONCE = ("pipe", "buffered pipe", "iterator")
KINDS = (
    "text", "path", "bytes", "bytearray", "memoryview", "array", "file", "middle", "pipe", "buffered pipe", "iterator",
)  # fmt: skip


def refused(status: int, retry_after_s: Any = None, message: str = "busy") -> tuple[int, dict[str, str], bytes]:
    headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return status, headers, as_json({"code": "c", "error": message})
