"""One accepted TCP connection before anybody knows what it will be. In: bytes. Out: an HTTP head, a body, or a line.

Imports: the standard library, room 0.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, cast

from xai_realtime.errors import ConnectionBrokenError, RemoteProtocolError

__all__ = ["Front", "Head", "parse_head", "response_head"]

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_CHUNK_LINE_BYTES: Final = 1024
PAUSE_BYTES: Final = 256 * 1024
REQUEST_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]")
HEADER_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Head:
    """What a request begins with; header names as they came."""

    method: str
    target: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    raw: bytes = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name]

    def tokens(self, name: str) -> list[str]:
        """The members of a header that is a list."""
        return [token for value in self.values(name) for part in value.split(",") if (token := part.strip())]

    @property
    def wants_socket(self) -> bool:
        """True for a WebSocket handshake."""
        return self.method == "GET" and "websocket" in (token.lower() for token in self.tokens("upgrade"))


def parse_head(raw: bytes) -> Head:
    """The head of a request. Raises RemoteProtocolError."""
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    request = REQUEST_LINE.fullmatch(first)
    headers = [HEADER_LINE.fullmatch(line) for line in lines]
    if request is None or not all(headers):
        raise RemoteProtocolError("the request is no HTTP/1.1")
    return Head(request[1], request[2], tuple((match[1], match[2]) for match in headers if match), raw)


def response_head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of an answer; the connection closes behind it."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


class Front(asyncio.Protocol):
    """Reads a head and a body, writes an answer, or hands its connection over to a line."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._is_over = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._is_over = True
        self._changed.set()
        self._writable.set()

    def eof_received(self) -> bool:
        """The client sends nothing more; it may still wait for its answer."""
        self._is_over = True
        self._changed.set()
        return True

    def data_received(self, data: bytes) -> None:
        """Keep what came until it is asked for."""
        self._buffer += data
        if len(self._buffer) > PAUSE_BYTES:
            self.transport.pause_reading()
        self._changed.set()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    async def read_head(self) -> Head:
        """The head of the request. Raises RemoteProtocolError, ConnectionBrokenError."""
        return parse_head(await self._until(b"\r\n\r\n", MAX_HEAD_BYTES))

    async def read_body(self, head: Head, max_bytes: int) -> bytes:
        """The whole body of the request. Raises RemoteProtocolError, also when it is too large."""
        if "chunked" in (token.lower() for token in head.tokens("transfer-encoding")):
            return await self._chunked(max_bytes)
        lengths = set(head.values("content-length"))
        if not lengths:
            return b""
        length = lengths.pop()
        if lengths or not length.isascii() or not length.isdigit() or int(length) > max_bytes:
            raise RemoteProtocolError(f"a body is of one length, at most {max_bytes} bytes")
        if int(length) and "100-continue" in (token.lower() for token in head.tokens("expect")):
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await self._exactly(int(length))

    async def write(self, data: bytes) -> None:
        """Write, and wait while the client does not read. Raises ConnectionBrokenError when it is gone."""
        if not self.transport.is_closing():
            self.transport.write(data)
            await self._writable.wait()
        if self.transport.is_closing():
            raise ConnectionBrokenError(None, "the client is gone")

    async def write_body(self, body: AsyncIterator[bytes]) -> None:
        """Write a body in chunks as they come."""
        async for chunk in body:
            if chunk:
                await self.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await self.write(b"0\r\n\r\n")

    def hand_over(self, line: asyncio.Protocol) -> None:
        """Let a line have the connection, with what came already."""
        self.transport.set_protocol(line)
        line.connection_made(self.transport)
        self.transport.resume_reading()
        rest, self._buffer = bytes(self._buffer), bytearray()
        if rest:
            line.data_received(rest)
        if self._is_over and not line.eof_received():
            self.transport.close()

    async def _chunked(self, max_bytes: int) -> bytes:
        body = b""
        while True:
            size = (await self._until(b"\r\n", MAX_CHUNK_LINE_BYTES)).split(b";")[0].strip()
            try:
                count = int(size, 16)
            except ValueError:
                count = -1
            if not 0 <= count <= max_bytes - len(body):
                raise RemoteProtocolError(f"a chunked body is malformed or over {max_bytes} bytes")
            if count == 0:
                while await self._until(b"\r\n", MAX_HEAD_BYTES) != b"\r\n":
                    continue
                return body
            body += (await self._exactly(count + 2))[:-2]

    async def _until(self, end: bytes, max_bytes: int) -> bytes:
        while (at := self._buffer.find(end)) < 0:
            if len(self._buffer) > max_bytes:
                break
            await self._more()
        if at < 0 or at > max_bytes:
            raise RemoteProtocolError(f"a head or line of the request is over {max_bytes} bytes")
        return self._take(at + len(end))

    async def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        return self._take(count)

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    async def _more(self) -> None:
        if self._is_over:
            raise ConnectionBrokenError(None, "the client left in the middle of its request")
        self._changed.clear()
        self.transport.resume_reading()
        await self._changed.wait()
