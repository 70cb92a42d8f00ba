"""The one seam: a Transport opens Channels, a Channel carries Frames.

In: a ChannelRequest and Frames. Out: Frames and errors of our own tree. Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Self

from xai_realtime.frames import Frame

__all__ = ["Channel", "ChannelRequest", "Transport"]


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

    @abstractmethod
    async def receive(self) -> Frame:
        """Return the next message. Cancelling is safe: nothing is lost.

        Raises ConnectionClosedError (one of its kinds) once the line is over and all is read.
        """

    @abstractmethod
    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the line within a bounded time. A second call does nothing."""


class Transport(ABC):
    """Opens channels. Passed to the client; as a context manager it checks and frees what it holds."""

    needs_key: bool = True
    """False for a transport that reaches no service, so that the client asks for no API key."""

    @abstractmethod
    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open one channel, closed again when the context ends.

        Raises HandshakeError, ConnectError, TransportTimeoutError or, on a tape, a ReplayError.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Free what the transport holds; a tape also checks here that it was used up."""
