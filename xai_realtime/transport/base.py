"""The one seam: a Transport opens Channels, a Channel carries Frames; a Transport carries HTTP exchanges too.

In: requests and Frames. Out: Frames, answers and errors of our own tree. Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from types import MappingProxyType, TracebackType
from typing import Any, Self

from xai_realtime.errors import LocalProtocolError, RemoteProtocolError
from xai_realtime.frames import Frame

__all__ = ["Channel", "ChannelRequest", "HttpRequest", "HttpResponse", "StreamedBody", "Transport"]


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """What is asked for at the handshake.

    `url` is the whole address with its query, `service` names the wire (`realtime`, `stt`, `tts`),
    `headers` hold the Authorization too: neither they nor the sub-protocols appear in the repr.
    """

    url: str
    service: str = "realtime"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)


class StreamedBody(ABC):
    """The body of a request that is made while it is sent.

    `size_bytes` is its whole size, None when it is not known. `is_repeatable` says whether it can be opened again and
    is the same then; only such a body is sent a second time.
    """

    size_bytes: int | None = None
    is_repeatable: bool = False

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The pieces, from the first on; what they come from is let go when the context ends, also when cancelled.

        Raises LocalProtocolError for a second time of a body that is not repeatable, and what its source raises.
        """


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, its body whole or streamed.

    `url` is the whole http or https address with its query. `headers` hold the Authorization too, and none
    that belong to the line (Host, Content-Length, Transfer-Encoding, Connection). Neither they nor the body
    appear in the repr. `read_timeout_s` and `write_timeout_s` are for this request, in the place of the
    transport's own; None leaves those.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    body: bytes | StreamedBody = field(default=b"", repr=False)
    read_timeout_s: float | None = None
    write_timeout_s: float | None = None

    @property
    def is_repeatable(self) -> bool:
        """True when it can be sent again."""
        return isinstance(self.body, bytes) or self.body.is_repeatable

    async def read_body(self) -> bytes:
        """The whole body. Raises what opening and reading a streamed one raises."""
        if isinstance(self.body, bytes):
            return self.body
        async with self.body.open() as pieces:
            return b"".join([piece async for piece in pieces])

    async def with_whole_body(self) -> HttpRequest:
        """The same request with its body in memory."""
        return self if isinstance(self.body, bytes) else replace(self, body=await self.read_body())


class HttpResponse:
    """The answer to one HTTP request; `async for chunk in response` gives its body as it comes, once.

    `status` is the HTTP status, `headers` are pairs of name and value as they came. Iterating raises
    ConnectionBrokenError when the body is cut, TransportTimeoutError when it stalls. The answer is over
    when the context of its request ends; nothing of it can be read afterwards.
    """

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...], body: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    def header(self, name: str) -> str | None:
        """The value of a header, whatever the case of its name; several are joined by a comma, None is none."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body

    async def read(self, max_bytes: int) -> bytes:
        """What is left of the body. Raises RemoteProtocolError beyond `max_bytes`, and what iterating raises."""
        chunks: list[bytes] = []
        size_bytes = 0
        async for chunk in self:
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise RemoteProtocolError(f"the body of an answer is over the limit of {max_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}>"


class Channel(ABC):
    """One open socket. One task may receive at a time; any number may send."""

    subprotocol: str | None = None
    sends_at_call: bool = True
    """True when a message is on its way as soon as `send` is called; False when it may wait for its turn first."""

    @abstractmethod
    async def send(self, frame: Frame) -> None:
        """Send one message.

        Cancelling may leave the message sent or not sent. Raises ConnectionClosedError (one of its
        kinds) when the line is over.
        """

    def send_text(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send one text message given as UTF-8: as `send` does, for whoever holds no Frame."""
        return self.send(Frame(data))

    def send_binary(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send one binary message: as `send` does, for whoever holds no Frame."""
        return self.send(Frame(data, is_text=False))

    @property
    def has_message(self) -> bool:
        """True when `receive` surely need not wait. False says nothing."""
        return False

    @abstractmethod
    async def receive(self) -> Frame:
        """Return the next message. Cancelling is safe: nothing is lost.

        Raises ConnectionClosedError (one of its kinds) once the line is over and all is read.
        """

    @abstractmethod
    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the line within a bounded time. A second call does nothing."""


class Transport(ABC):
    """Opens channels and carries HTTP. Passed to the client; as a context manager it checks and frees what it holds."""

    needs_key: bool = True
    """False for a transport that reaches no service, so that the client asks for no API key."""

    @abstractmethod
    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open one channel, closed again when the context ends.

        Raises HandshakeError, ConnectError, TransportTimeoutError or, on a tape, a ReplayError.
        """

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send one HTTP request; the answer lasts as long as the context.

        Every answer is a value, also one that says no: nothing is judged, no redirect is followed. Raises
        ConnectError, ConnectionBrokenError, TransportTimeoutError or, on a tape, a ReplayError, and
        LocalProtocolError from a transport that carries no HTTP.
        """
        raise LocalProtocolError(f"{type(self).__name__} carries no HTTP, only sockets")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Free what the transport holds; a tape also checks here that it was used up."""
