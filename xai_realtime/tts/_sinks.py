"""Where speech is written while it comes. In: bytes. Out: bytes in memory, a file put in place, a file object.

Files are written in worker threads. Imports: anyio, room 0.
"""

from __future__ import annotations

import inspect
import io
import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeVar

import anyio
from anyio import to_thread

from xai_realtime.errors import ConfigurationError
from xai_realtime.tts.config import TtsCodec

__all__ = ["CODEC_OF_SUFFIX", "Sink", "Target", "codec_of", "sink_for"]

T = TypeVar("T")
Target = str | os.PathLike[str] | BinaryIO
"""Where speech may be written to: a path, or a binary file object."""

CODEC_OF_SUFFIX: Final[dict[str, TtsCodec]] = {
    ".mp3": "mp3",
    ".wav": "wav",
    ".pcm": "pcm",
    ".raw": "pcm",
    ".ulaw": "mulaw",
    ".alaw": "alaw",
}


def codec_of(to: Target | None) -> TtsCodec | None:
    """The codec that the name of a file asks for; None for what has no name.

    Raises ConfigurationError for a suffix that stands for no codec.
    """
    if not isinstance(to, str | os.PathLike):
        return None
    name = Path(to).name
    codec = CODEC_OF_SUFFIX.get(Path(name).suffix.lower())
    if codec is None:
        known = ", ".join(CODEC_OF_SUFFIX)
        raise ConfigurationError(
            f"the name {name!r} does not say the codec: give codec=, or one of the suffixes {known}"
        )
    return codec


class Sink(ABC):
    """Takes the bytes of one file. Leaving its context without `finish` gives it up."""

    @abstractmethod
    async def write(self, data: bytes) -> None:
        """Take the next bytes."""

    @abstractmethod
    async def finish(self, head: bytes | None) -> bytes | None:
        """All came; `head` replaces the first bytes. Returns what was kept in memory."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def sink_for(to: Target | None) -> Sink:
    """The sink of a target. Raises ConfigurationError for what is none."""
    if to is None:
        return _Memory()
    if isinstance(to, str | os.PathLike):
        return _Path(Path(to))
    write = getattr(to, "write", None)
    if not callable(write) or isinstance(to, io.TextIOBase) or inspect.iscoroutinefunction(write):
        raise ConfigurationError(f"to is a {type(to).__name__}; a path or a binary file object is allowed")
    return _File(to)


class _Memory(Sink):
    def __init__(self) -> None:
        self._audio = bytearray()

    async def write(self, data: bytes) -> None:
        self._audio += data

    async def finish(self, head: bytes | None) -> bytes:
        if head is not None:
            self._audio[: len(head)] = head
        audio = bytes(self._audio)
        self._audio.clear()
        return audio


class _File(Sink):
    """A file object of the caller, which stays open. One that cannot seek keeps the head that it got first."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin: int | None = None

    async def __aenter__(self) -> Self:
        self._begin = await to_thread.run_sync(_place, self._file)
        return self

    async def write(self, data: bytes) -> None:
        await to_thread.run_sync(_write_all, self._file, data)

    async def finish(self, head: bytes | None) -> None:
        await to_thread.run_sync(_end_file, self._file, self._begin, head)


class _Path(Sink):
    """A file that is written beside its place and put there at the end; anything but a file is written as it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial: Path | None = None
        self._file: BinaryIO | None = None

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(self._open)
        return self

    def _open(self) -> None:
        if self._path.exists() and not self._path.is_file():
            self._file = self._path.open("wb")
            return
        path = self._path = Path(os.path.realpath(self._path))
        partial = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex[:8]}.partial")
        self._file = partial.open("xb")
        self._partial = partial

    async def write(self, data: bytes) -> None:
        await self._in_thread(lambda file: _write_all(file, data))

    async def finish(self, head: bytes | None) -> None:
        await self._in_thread(lambda file: self._put_in_place(file, head))

    async def _in_thread(self, do: Callable[[BinaryIO], T]) -> T:
        assert self._file is not None
        return await to_thread.run_sync(do, self._file)

    def _put_in_place(self, file: BinaryIO, head: bytes | None) -> None:
        _end_file(file, 0 if self._partial is not None else None, head)
        file.close()
        self._file = None
        if self._partial is not None:
            self._partial.replace(self._path)
            self._partial = None

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._give_up)

    def _give_up(self) -> None:
        file, self._file = self._file, None
        partial, self._partial = self._partial, None
        try:
            if file is not None:
                file.close()
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)


def _place(file: BinaryIO) -> int | None:
    """Where a file stands, None when it cannot go back there."""
    seekable: Any = getattr(file, "seekable", None)
    return file.tell() if callable(seekable) and seekable() else None


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of it, also to a file without a buffer, which may take less at a time."""
    left = memoryview(data)
    while left:
        taken: int | None = file.write(left)
        if taken == 0:
            raise OSError("the file takes no more bytes")
        left = left[len(left) if taken is None else taken :]


def _end_file(file: BinaryIO, begin: int | None, head: bytes | None) -> None:
    if begin is not None and head is not None:
        end = file.tell()
        file.seek(begin)
        _write_all(file, head)
        file.seek(end)
    flush: Any = getattr(file, "flush", None)
    if callable(flush):
        flush()
