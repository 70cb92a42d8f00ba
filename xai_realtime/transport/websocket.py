"""The live line. In: a ChannelRequest and Frames. Out: Frames and errors of our own tree.

Imports: websockets (at the first open, never before), anyio, rooms 0-2.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from xai_realtime.defaults import (
    CLOSE_TIMEOUT_S,
    MAX_MESSAGE_BYTES,
    OPEN_TIMEOUT_S,
    PING_INTERVAL_S,
    PING_TIMEOUT_S,
)
from xai_realtime.errors import ConfigurationError, ConnectionClosedError, LocalProtocolError
from xai_realtime.frames import Frame
from xai_realtime.timemark import time_is_virtual
from xai_realtime.transport._http_errors import Scrubber, origin_of
from xai_realtime.transport._settings import (
    CONTROL,
    OWN_HEADERS,
    TOKEN,
    USER_AGENT,
    checked_address,
    checked_proxy,
    checked_ssl_context,
    checked_user_agent,
    seconds,
)
from xai_realtime.transport._websocket_errors import closed_error, open_error
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport

if TYPE_CHECKING:
    from xai_realtime.transport._websocket_line import Line

__all__ = ["WebSocketTransport"]

logger = logging.getLogger(__name__)

CLOSE_CODES: Final = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
MAX_REASON_BYTES: Final = 123
TRIO_NEEDS_WEBSOCKETS: Final = 17


class WebSocketTransport(Transport):
    """Opens live sockets: on asyncio with websockets 15 to 17, on trio with websockets 17.

    `http` carries the HTTP requests; None makes an HttpTransport with its defaults that takes the same proxy,
    certificates and user agent.

    Times are in seconds. `open_timeout_s` bounds name, TCP, TLS, proxy and handshake together;
    `close_timeout_s` bounds every close, whoever began it. `ping_interval_s=None` sends no pings,
    `ping_timeout_s=None` waits for their answers for ever. `max_message_bytes` bounds one message after
    decompression. `proxy` is True for what the environment says, an address, or None (or False) for none.
    `ssl_context` serves wss addresses; None is the system's default. `user_agent=None` sends none.

    Raises ConfigurationError for a value out of its range.
    """

    def __init__(
        self,
        *,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        ping_interval_s: float | None = PING_INTERVAL_S,
        ping_timeout_s: float | None = PING_TIMEOUT_S,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        compression: bool = False,
        proxy: str | bool | None = True,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = USER_AGENT,
        http: Transport | None = None,
    ) -> None:
        self.open_timeout_s = seconds("open_timeout_s", open_timeout_s)
        self.close_timeout_s = seconds("close_timeout_s", close_timeout_s)
        self.ping_interval_s = None if ping_interval_s is None else seconds("ping_interval_s", ping_interval_s)
        self.ping_timeout_s = None if ping_timeout_s is None else seconds("ping_timeout_s", ping_timeout_s)
        if not isinstance(max_message_bytes, int) or isinstance(max_message_bytes, bool) or max_message_bytes < 1:
            raise ConfigurationError(f"max_message_bytes is {max_message_bytes!r}; a whole number from 1 is allowed")
        self.max_message_bytes = max_message_bytes
        if not isinstance(compression, bool):
            raise ConfigurationError(f"compression is {compression!r}; True or False is allowed")
        self.compression = compression
        self._proxy = checked_proxy(proxy)
        self._ssl_context = checked_ssl_context(ssl_context)
        self._user_agent = checked_user_agent(user_agent)
        self._http = http

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send one HTTP request, as the transport given as `http` does."""
        return self._requester().request(request)

    def _requester(self) -> Transport:
        if self._http is None:
            from xai_realtime.transport.http import HttpTransport

            self._http = HttpTransport(proxy=self._proxy, ssl_context=self._ssl_context, user_agent=self._user_agent)
        return self._http

    async def __aenter__(self) -> Self:
        await self._requester().__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the HTTP connections that were kept."""
        await self._requester().__aexit__(exc_type, exc, traceback)

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        """Open one socket; leaving the context closes it, also under cancellation.

        Raises ConfigurationError (address, header or event loop that cannot work), HandshakeError,
        RedirectRefusedError, ConnectError, TransportTimeoutError with phase `open`. Cancelling is safe.
        """
        if time_is_virtual():
            raise ConfigurationError(
                "a live socket cannot be opened in virtual time: the other side lives in real time; "
                "use a tape or the emulator in process, or run without virtual time"
            )
        secure = checked_request(request)
        scrub = Scrubber(request)
        line = await self._connect(request, secure, scrub)
        logger.debug("opened %s at %s", request.service, origin_of(request.url))
        channel = WebSocketChannel(
            line,
            close_timeout_s=self.close_timeout_s,
            closed=lambda error: closed_error(
                error,
                line,
                max_message_bytes=self.max_message_bytes,
                ping_timeout_s=self.ping_timeout_s,
                scrub=scrub,
            ),
        )
        try:
            yield channel
        finally:
            try:
                await channel.aclose()
            finally:
                await line.release()

    async def _connect(self, request: ChannelRequest, secure: bool, scrub: Scrubber) -> Line:
        settings: dict[str, Any] = {
            "additional_headers": dict(request.headers),
            "subprotocols": list(request.subprotocols) or None,
            "user_agent_header": self._user_agent,
            "compression": "deflate" if self.compression else None,
            "proxy": self._proxy,
            "open_timeout": self.open_timeout_s,
            "close_timeout": self.close_timeout_s,
            "ping_interval": self.ping_interval_s,
            "ping_timeout": self.ping_timeout_s,
            "max_size": self.max_message_bytes,
            "logger": silent_logger(),
        }
        if secure and self._ssl_context is not None:
            settings["ssl"] = self._ssl_context
        connect_line = backend()
        try:
            return await connect_line(request.url, settings)
        except Exception as error:
            ours = open_error(error, url=request.url, open_timeout_s=self.open_timeout_s, scrub=scrub)
            if ours is None:
                raise
            logger.debug("could not open %s at %s: %s", request.service, origin_of(request.url), type(ours).__name__)
            # The rest of the chain may hold the address with its query, or the proxy's password.
            raise ours from (error if isinstance(error, OSError) else None)


class WebSocketChannel(Channel):
    """One live socket."""

    def __init__(
        self,
        line: Line,
        *,
        close_timeout_s: float,
        closed: Callable[[Any], Callable[[], ConnectionClosedError]],
    ) -> None:
        from websockets.exceptions import ConcurrencyError, ConnectionClosed

        self.subprotocol = line.subprotocol
        self._foreign = ConnectionClosed
        self._busy = ConcurrencyError
        self._line = line
        self._close_timeout_s = close_timeout_s
        self._closed = closed
        self._end: Callable[[], ConnectionClosedError] | None = None
        self._recv = line.recv
        self._send = line.send
        self._kinds = line.inbox.kinds

    async def send(self, frame: Frame) -> None:
        """Send one message; waits while the peer does not read.

        Cancelling may leave the message sent or not sent. On trio, cancelling a write that the peer
        has taken in part ends the line. Raises ConnectionClosedError (one of its kinds).
        """
        try:
            await self._send(frame.data, text=frame.is_text)
        except self._foreign as error:
            raise self._closed(error)() from None

    async def send_text(self, data: bytes) -> None:
        """Send one text message, as `send` does."""
        try:
            await self._send(data, text=True)
        except self._foreign as error:
            raise self._closed(error)() from None

    async def send_binary(self, data: bytes) -> None:
        """Send one binary message, as `send` does."""
        try:
            await self._send(data, text=False)
        except self._foreign as error:
            raise self._closed(error)() from None

    @property
    def has_message(self) -> bool:
        """True when a message was received and not read."""
        return bool(self._kinds)

    async def receive(self) -> Frame:
        """Return the next message; text as its UTF-8, not validated. Cancelling is safe: nothing is lost.

        Raises ConnectionClosedError (one of its kinds) once all that came before is read, and again at
        every later call; LocalProtocolError when another task is receiving.
        """
        if self._end is not None:
            raise self._end()
        try:
            data = await self._recv(False)
        except self._foreign as error:
            self._end = self._closed(error)
            raise self._end() from None
        except self._busy:
            raise LocalProtocolError("another task is already receiving on this channel") from None
        return Frame(data, self._kinds.popleft())

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the line within `close_timeout_s`, shielded from cancellation. A second call does nothing.

        `reason` is cut at 123 bytes of UTF-8. Messages that were received and not read stay readable.
        Raises ConfigurationError for a code that may not be sent.
        """
        if code not in CLOSE_CODES:
            raise ConfigurationError(f"close code {code!r}; 1000 to 1003, 1007 to 1014 and 3000 to 4999 are allowed")
        short = reason.encode("utf-8", errors="replace")[:MAX_REASON_BYTES].decode("utf-8", errors="ignore")
        await self._line.finish(code, short, self._close_timeout_s)


def backend() -> Callable[[str, dict[str, Any]], Awaitable[Line]]:
    """What opens a socket on the event loop that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        from websockets.version import version

        if int(version.split(".")[0]) < TRIO_NEEDS_WEBSOCKETS:
            raise ConfigurationError(
                f"trio over a live socket needs websockets >= {TRIO_NEEDS_WEBSOCKETS}; installed is {version}; "
                "replay and the in-process emulator work on trio with any version"
            ) from None
        from xai_realtime.transport._websocket_trio import connect_line as connect_trio

        return connect_trio
    from xai_realtime.transport._websocket_asyncio import connect_line

    return connect_line


def silent_logger() -> logging.Logger:
    """A logger that says nothing: at DEBUG the library writes headers, keys and audio."""
    return logging.Logger(f"{__name__}.silent", level=logging.CRITICAL + 1)


def checked_request(request: ChannelRequest) -> bool:
    """Whether the address is a wss one. Raises ConfigurationError without showing a secret."""
    secure = checked_address(request.url, ("ws", "wss"))
    for name, value in request.headers.items():
        lowered = name.lower()
        if not TOKEN.fullmatch(name) or lowered in OWN_HEADERS or lowered.startswith("sec-websocket-"):
            raise ConfigurationError(f"header name {name!r} is not allowed at the handshake")
        if CONTROL.search(value):
            raise ConfigurationError(f"the value of header {name!r} holds a control character")
    if not all(TOKEN.fullmatch(protocol) for protocol in request.subprotocols):
        raise ConfigurationError("a sub-protocol holds a character that is not allowed in one")
    return secure
