"""HTTP on the live line. In: an HttpRequest. Out: an HttpResponse and errors of our own tree.

Imports: httpx2 (at the first request, never before), anyio, rooms 0-2.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import anyio

from xai_realtime.defaults import (
    CLOSE_TIMEOUT_S,
    HTTP_CONNECT_TIMEOUT_S,
    HTTP_CONNECTIONS,
    HTTP_KEEPALIVE_S,
    HTTP_POOL_TIMEOUT_S,
    HTTP_READ_TIMEOUT_S,
    HTTP_WRITE_TIMEOUT_S,
)
from xai_realtime.errors import ConfigurationError, LocalProtocolError
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
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport

if TYPE_CHECKING:
    import httpx2

    from xai_realtime.transport._http_foreign import Body

__all__ = ["HttpTransport"]

logger = logging.getLogger(__name__)

METHOD: Final = re.compile(r"[A-Z]+")


class HttpTransport(Transport):
    """Carries HTTP over httpx2, on asyncio and on trio; it opens no sockets.

    Times are in seconds. `connect_timeout_s` bounds name, TCP, TLS and proxy, `read_timeout_s` the silence
    between two pieces of an answer (None waits for ever), `write_timeout_s` the silence while sending,
    `pool_timeout_s` the wait for one of `max_connections`. `proxy` is True for what the environment says, an
    address (http, https, socks5), or None (or False) for none. `ssl_context` serves https addresses; None is
    the system's default. `user_agent=None` sends none. `httpx2_transport` carries the requests instead
    (`MockTransport`, one of your own); it stays yours to close, and proxy, certificates and connections are
    then its matter.

    As a context manager it keeps connections for the next request; outside of one each request has its own.
    Raises ConfigurationError for a value out of its range.
    """

    def __init__(
        self,
        *,
        connect_timeout_s: float = HTTP_CONNECT_TIMEOUT_S,
        read_timeout_s: float | None = HTTP_READ_TIMEOUT_S,
        write_timeout_s: float = HTTP_WRITE_TIMEOUT_S,
        pool_timeout_s: float = HTTP_POOL_TIMEOUT_S,
        max_connections: int = HTTP_CONNECTIONS,
        proxy: str | bool | None = True,
        ssl_context: ssl.SSLContext | None = None,
        user_agent: str | None = USER_AGENT,
        httpx2_transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeouts: dict[str, float | None] = {
            "connect": seconds("connect_timeout_s", connect_timeout_s),
            "read": None if read_timeout_s is None else seconds("read_timeout_s", read_timeout_s),
            "write": seconds("write_timeout_s", write_timeout_s),
            "pool": seconds("pool_timeout_s", pool_timeout_s),
        }
        if not isinstance(max_connections, int) or isinstance(max_connections, bool) or max_connections < 1:
            raise ConfigurationError(f"max_connections is {max_connections!r}; a whole number from 1 is allowed")
        self._max_connections = max_connections
        self._proxy = checked_proxy(proxy)
        self._ssl_context = checked_ssl_context(ssl_context)
        self._user_agent = checked_user_agent(user_agent)
        if httpx2_transport is not None and not hasattr(httpx2_transport, "handle_async_request"):
            raise ConfigurationError("httpx2_transport must be an AsyncBaseTransport of httpx2")
        self._given = httpx2_transport
        self._entered = 0
        self._lines: dict[str | None, httpx2.AsyncHTTPTransport] = {}

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Raises LocalProtocolError: sockets are opened by a WebSocketTransport, which takes this one as `http=`."""
        raise LocalProtocolError("HttpTransport opens no sockets: pass it as WebSocketTransport(http=...)")

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send one request. Every answer is a value; no redirect is followed. Cancelling is safe.

        A streamed body goes out piece by piece, on a connection of its own; the answer is read once all of it is sent,
        or cannot be sent any more. What its source raises surfaces as it is.

        Raises ConfigurationError (an address or a header that cannot be sent, virtual time), ConnectError,
        TransportTimeoutError with phase `connect`, `read`, `write` or `pool`, ConnectionBrokenError.
        """
        return self._request(request)

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        checked_request(request)
        if self._given is None and time_is_virtual():
            raise ConfigurationError(
                "a live request cannot be made in virtual time: the other side lives in real time; "
                "use a tape or the emulator in process, or run without virtual time"
            )
        exchange = _Exchange(request, self._timeouts)
        proxy = None if self._given is not None else self._proxy_for(request.url)
        async with self._line(proxy, is_own=not isinstance(request.body, bytes)) as line:
            response = await exchange.ask(line, self._user_agent)
            logger.debug("%s at %s: %d", request.method, origin_of(request.url), response.status)
            try:
                yield response
            finally:
                with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                    await exchange.aclose()

    @asynccontextmanager
    async def _line(self, proxy: str | None, *, is_own: bool) -> AsyncIterator[httpx2.AsyncBaseTransport]:
        """A streamed body has a connection of its own: a kept one may be dead, and some cannot be sent twice."""
        if self._given is not None:
            yield self._given
            return
        if self._entered and not is_own:
            if proxy not in self._lines:
                self._lines[proxy] = self._new_line(proxy)
            yield self._lines[proxy]
            return
        line = self._new_line(proxy)
        try:
            yield line
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                await line.aclose()

    def _new_line(self, proxy: str | None) -> httpx2.AsyncHTTPTransport:
        import httpx2

        if self._ssl_context is None:
            self._ssl_context = httpx2.create_ssl_context()
        limits = httpx2.Limits(
            max_connections=self._max_connections,
            max_keepalive_connections=self._max_connections,
            keepalive_expiry=HTTP_KEEPALIVE_S,
        )
        try:
            return httpx2.AsyncHTTPTransport(verify=self._ssl_context, limits=limits, proxy=proxy)
        except ImportError:
            raise ConfigurationError("a SOCKS proxy needs the package socksio for HTTP requests") from None
        except ValueError:
            raise ConfigurationError("HTTP requests take a proxy with one of http, https, socks5, socks5h") from None

    def _proxy_for(self, url: str) -> str | None:
        if self._proxy is not True:
            return self._proxy or None
        from urllib.request import getproxies, proxy_bypass

        parts = urlsplit(url)
        proxies = getproxies()
        if proxy_bypass(parts.hostname or ""):
            return None
        found = proxies.get(parts.scheme) or proxies.get("all")
        return found if found is None or "://" in found else f"http://{found}"

    async def __aenter__(self) -> Self:
        self._entered += 1
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections that were kept."""
        self._entered -= 1
        if not self._entered:
            lines, self._lines = self._lines, {}
            for line in lines.values():
                with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
                    await line.aclose()

    def __repr__(self) -> str:
        return f"<HttpTransport{'' if self._given is None else f' over {type(self._given).__name__}'}>"


class _Exchange:
    """One request on a line of httpx2, and its answer."""

    def __init__(self, request: HttpRequest, timeouts_s: Mapping[str, float | None]) -> None:
        own = {"read": request.read_timeout_s, "write": request.write_timeout_s}
        given = {phase: seconds(f"{phase}_timeout_s", value) for phase, value in own.items() if value is not None}
        self._timeouts = {**timeouts_s, **given}
        self._request = request
        self._scrub = Scrubber(request)
        self._body: Body | None = None

    async def ask(self, line: httpx2.AsyncBaseTransport, user_agent: str | None) -> HttpResponse:
        from xai_realtime.transport import _http_foreign as foreign

        asked, sent = foreign.foreign_request(self._request, self._timeouts, user_agent)
        try:
            with self._mapped():
                answer = await line.handle_async_request(asked)
        except Exception:
            if sent is not None and sent.failure is not None:
                raise sent.failure from None
            raise
        self._body = foreign.Body(answer, self._mapped)
        return HttpResponse(answer.status_code, tuple(answer.headers.multi_items()), self._body)

    async def aclose(self) -> None:
        if self._body is not None:
            await self._body.aclose()

    def _mapped(self) -> AbstractContextManager[None]:
        from xai_realtime.transport import _http_foreign as foreign

        return foreign.mapped(self._request.url, self._timeouts, self._scrub)


def checked_request(request: HttpRequest) -> None:
    """Raises ConfigurationError, without showing a secret, for a request that cannot be sent."""
    checked_address(request.url, ("http", "https"))
    if any(char.isspace() for char in request.url):
        raise ConfigurationError(f"the address at {origin_of(request.url)} holds white space")
    if METHOD.fullmatch(request.method) is None:
        raise ConfigurationError(
            f"method {request.method[:20]!r}: GET, POST, PUT, PATCH, DELETE and the like are allowed"
        )
    for name, value in request.headers.items():
        if not TOKEN.fullmatch(name) or name.lower() in OWN_HEADERS:
            raise ConfigurationError(f"header name {name!r} is not allowed in a request")
        if CONTROL.search(value) or not value.isascii():
            raise ConfigurationError(f"the value of header {name!r} holds a control character or is no ASCII")
