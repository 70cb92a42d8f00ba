"""Forms with a file, made while they are sent. In: fields, a source of bytes. Out: a StreamedBody.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Final, TypeAlias

from anyio import to_thread

from xai_realtime.errors import ConfigurationError, LocalProtocolError
from xai_realtime.transport.base import StreamedBody

__all__ = ["AudioSource", "Form", "FormFile", "Progress", "is_url", "opened_source"]

AudioSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | io.IOBase | AsyncIterable[bytes]
)
"""A path, bytes, a file that is open for reading bytes, or an asynchronous iterator of bytes."""
Progress: TypeAlias = Callable[[int, int | None], object]
"""Told how many bytes of the file are sent, and how many there are (None: not known)."""

PIECE_BYTES: Final = 128 * 1024
MAX_NAME_CHARACTERS: Final = 100
ALLOWED: Final = "a path, bytes, a file that is open for reading bytes, or an asynchronous iterator of bytes"
CONTENT_TYPES: Final = {
    ".aac": "audio/aac",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mkv": "video/x-matroska",
    ".mp3": "audio/mpeg",
    ".mp4": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
}

Read: TypeAlias = Callable[[int], Awaitable[Any]]


def is_url(source: object) -> bool:
    """True for the text of an http or https address."""
    return isinstance(source, str) and source[:8].lower().startswith(("http://", "https://"))


@dataclass(frozen=True, slots=True)
class FormFile:
    """The file of a form: its name and type are made from the name of its source."""

    content: StreamedBody
    source_name: str = ""
    field: str = "file"

    @property
    def file_name(self) -> str:
        """The name of the source without its folders and without anything that could end a header."""
        name = self.source_name.replace("\\", "/").rpartition("/")[2]
        safe = "".join("_" if char == '"' or not char.isprintable() else char for char in name).strip()
        stem, dot, suffix = safe.rpartition(".")
        if len(safe) > MAX_NAME_CHARACTERS:
            safe = f"{stem[: MAX_NAME_CHARACTERS - 10]}{dot}{suffix[:9]}" if dot else safe[:MAX_NAME_CHARACTERS]
        return safe or "audio"

    @property
    def content_type(self) -> str:
        """What the suffix of the name says."""
        return CONTENT_TYPES.get(os.path.splitext(self.file_name)[1].lower(), "application/octet-stream")


class Form(StreamedBody):
    """A `multipart/form-data` body: the fields in their order, the file last. `content_type` goes with it.

    `progress` is told after each piece of the file that was taken; what it raises ends the sending and surfaces.
    """

    def __init__(
        self, fields: Sequence[tuple[str, str]], file: FormFile | None = None, *, progress: Progress | None = None
    ) -> None:
        self._boundary = token_hex(16)
        self._file = file
        self._progress = progress
        self._head = b""
        for name, value in fields:
            self._head += self._part(f'name="{name}"') + value.encode("utf-8", "replace") + b"\r\n"
        if file is not None:
            named = f'name="{file.field}"; filename="{file.file_name}"'
            self._head += self._part(named, f"Content-Type: {file.content_type}\r\n")
        self._tail = (b"" if file is None else b"\r\n") + f"--{self._boundary}--\r\n".encode()
        self.is_repeatable = file is None or file.content.is_repeatable
        size_bytes = 0 if file is None else file.content.size_bytes
        self.size_bytes = None if size_bytes is None else len(self._head) + size_bytes + len(self._tail)

    @property
    def content_type(self) -> str:
        """The header that names the boundary."""
        return f"multipart/form-data; boundary={self._boundary}"

    def open(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The pieces of the form. Raises what its file raises."""
        return aclosing(self._pieces())

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        if self._head:
            yield self._head
        if self._file is not None:
            sent_bytes, size_bytes = 0, self._file.content.size_bytes
            async with self._file.content.open() as pieces:
                async for piece in pieces:
                    yield piece
                    sent_bytes += len(piece)
                    if self._progress is not None:
                        self._progress(sent_bytes, size_bytes)
        yield self._tail

    def _part(self, disposition: str, more: str = "") -> bytes:
        text = f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
        return text.encode("utf-8", "replace")


async def opened_source(source: AudioSource) -> tuple[StreamedBody, str]:
    """The source as a body, and its name; "" when it has none.

    Files are looked at and read in threads. A file object is read from where it stands. Raises ConfigurationError for
    what is no source and for one that is empty, OSError for a file that cannot be looked at. Cancelling is safe.
    """
    body, name = await _source(source)
    if body.size_bytes == 0:
        raise ConfigurationError(f"there is no audio in {name or 'the source'}: it is empty")
    return body, name


async def _source(source: AudioSource) -> tuple[StreamedBody, str]:
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        info = await to_thread.run_sync(path.stat)
        if stat.S_ISDIR(info.st_mode):
            raise ConfigurationError(f"{path.name} is a folder, where an audio file belongs")
        return PathBody(path, info.st_size if stat.S_ISREG(info.st_mode) else None), path.name
    if isinstance(source, bytes | bytearray | memoryview):
        return MemoryBody(source), ""
    if isinstance(source, AsyncIterable):
        return StreamBody(source), ""
    if isinstance(source, io.TextIOBase):
        raise ConfigurationError("the file is open for reading text; open it with 'rb'")
    if callable(getattr(source, "read", None)):
        name = getattr(source, "name", "")
        start, end = await to_thread.run_sync(_places, source)
        return FileBody(source, start, end), name if isinstance(name, str) else ""
    try:
        return MemoryBody(memoryview(source)), ""  # type: ignore[arg-type]  # whatever else holds bytes
    except TypeError:
        raise ConfigurationError(f"the source is a {type(source).__name__}; {ALLOWED} is allowed") from None


def _places(file: Any) -> tuple[int | None, int | None]:
    """Where a file stands and where it ends; None for one that only goes forward."""
    try:
        if not file.seekable():
            return None, None
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
    except (AttributeError, OSError):
        return None, None
    return start, end if isinstance(end, int) else file.tell()


class MemoryBody(StreamedBody):
    """Bytes that are there."""

    is_repeatable = True

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        self._view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self.size_bytes = self._view.nbytes

    def open(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The pieces."""
        return aclosing(self._pieces())

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        for at in range(0, self._view.nbytes, PIECE_BYTES):
            yield bytes(self._view[at : at + PIECE_BYTES])


class PathBody(StreamedBody):
    """A file on the disk; one of no known size, a pipe, is read once."""

    def __init__(self, path: Path, size_bytes: int | None) -> None:
        self._path = path
        self.size_bytes = size_bytes
        self.is_repeatable = size_bytes is not None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces; the file is closed when the context ends."""
        file = await to_thread.run_sync(io.FileIO, self._path)
        try:
            read = _in_threads(file, is_left=self.size_bytes is None)
            async with aclosing(_read_through(read, self.size_bytes)) as pieces:
                yield pieces
        finally:
            file.close()


class FileBody(StreamedBody):
    """A file that the caller has open, from where it stands; it stays open."""

    def __init__(self, file: Any, start: int | None, end: int | None) -> None:
        self._file = file
        self._start = start
        self._is_used = False
        self.is_repeatable = start is not None
        self.size_bytes = None if start is None or end is None else max(0, end - start)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces. Cancelling does not wait for a pipe that says nothing."""
        if self._start is not None:
            await to_thread.run_sync(self._file.seek, self._start)
        elif self._is_used:
            raise LocalProtocolError("the file cannot be read a second time")
        self._is_used = True
        read = _in_threads(self._file, is_left=self._start is None)
        async with aclosing(_read_through(read, self.size_bytes)) as pieces:
            yield pieces


class StreamBody(StreamedBody):
    """An asynchronous iterator, once."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source: AsyncIterable[bytes] | None = source

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces; a generator is closed when the context ends."""
        source, self._source = self._source, None
        if source is None:
            raise LocalProtocolError("an asynchronous iterator cannot be read a second time")
        given = aiter(source)
        try:
            async with aclosing(_checked(given)) as pieces:
                yield pieces
        finally:
            if isinstance(given, AsyncGenerator):
                await given.aclose()


def _in_threads(file: Any, *, is_left: bool = False) -> Read:
    async def read(max_bytes: int) -> Any:
        return await to_thread.run_sync(file.read, max_bytes, abandon_on_cancel=is_left)

    return read


async def _read_through(read: Read, size_bytes: int | None) -> AsyncGenerator[bytes, None]:
    """What a file gives, exactly as much as was announced."""
    left = size_bytes
    while left is None or left > 0:
        piece = _bytes(await read(PIECE_BYTES if left is None else min(PIECE_BYTES, left)))
        if not piece:
            break
        if left is not None:
            left -= len(piece)
        yield piece
    if left:
        raise LocalProtocolError(f"the file ended {left} bytes before its end: it changed while it was sent")


async def _checked(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for piece in pieces:
        data = _bytes(piece)
        for at in range(0, len(data), PIECE_BYTES):
            yield data[at : at + PIECE_BYTES]


def _bytes(piece: Any) -> bytes:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise ConfigurationError(f"the source gave a {type(piece).__name__}, where bytes belong")
    return bytes(piece)
