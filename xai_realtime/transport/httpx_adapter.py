"""Between our Transport and clients of httpx2 and httpx. In: a transport of one kind. Out: the same as another kind.

Imports: httpx2 and httpx (extra `httpx`), inside functions alone; rooms 0-2.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from xai_realtime.errors import (
    ConfigurationError,
    ConnectError,
    ConnectionClosedError,
    LocalProtocolError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.transport.base import HttpRequest, HttpResponse, StreamedBody, Transport

if TYPE_CHECKING:
    import httpx2

__all__ = ["as_httpx", "as_httpx2", "from_httpx"]

LINE_HEADERS: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"})
"""Whoever holds the line writes them again."""
TIMEOUTS: Final[Mapping[str, str]] = {
    "open": "ConnectTimeout",
    "connect": "ConnectTimeout",
    "read": "ReadTimeout",
    "write": "WriteTimeout",
    "pool": "PoolTimeout",
}


def as_httpx2(transport: Transport) -> httpx2.AsyncBaseTransport:
    """Our transport (a tape, a recording, the emulator in process) under any httpx2 client.

    `httpx2.AsyncClient(transport=as_httpx2(replay("x.jsonl")))`. Failures of the line are the exceptions of
    httpx2, a tape that differs is our ReplayError. The client's context is the transport's context too: a
    tape is checked, a recording finished, where the client closes. Time limits are the transport's own, not
    the client's.
    """
    return _Bridges.under(import_module("httpx2"))(transport)  # type: ignore[no-any-return]


def as_httpx(transport: Transport) -> Any:
    """As `as_httpx2`, for a client of plain httpx (extra `httpx`); an `httpx.AsyncBaseTransport`.

    Raises ConfigurationError when httpx is not installed.
    """
    return _Bridges.under(_httpx())(transport)


def from_httpx(transport: Any) -> httpx2.AsyncBaseTransport:
    """A transport of plain httpx (extra `httpx`) for whatever takes one of httpx2.

    `HttpTransport(httpx2_transport=from_httpx(company_transport))`. It stays yours until it is closed through
    the adapter, as httpx2 clients do at their end. Raises ConfigurationError for what is no
    `httpx.AsyncBaseTransport`.
    """
    httpx = _httpx()
    if not isinstance(transport, httpx.AsyncBaseTransport):
        raise ConfigurationError(f"from_httpx takes an httpx.AsyncBaseTransport, not a {type(transport).__name__}")
    return _Bridges.adapter(httpx)(transport)  # type: ignore[no-any-return]


def _httpx() -> Any:
    try:
        return import_module("httpx")
    except ImportError:
        raise ConfigurationError("plain httpx is not installed: pip install 'xai-realtime[httpx]'") from None


class _Bridges:
    """The classes that have a foreign base, made when its package is first needed."""

    _made: Final[dict[tuple[str, Any], type[Any]]] = {}

    @classmethod
    def under(cls, foreign: Any) -> type[Any]:
        """A transport of `foreign` (httpx2 or httpx) over one of ours."""
        return cls._once("bridge", foreign, lambda: _bridge_class(foreign))

    @classmethod
    def adapter(cls, httpx: Any) -> type[Any]:
        """A transport of httpx2 over one of httpx."""
        return cls._once("adapter", httpx, lambda: _adapter_class(httpx))

    @classmethod
    def _once(cls, kind: str, foreign: Any, make: Callable[[], type[Any]]) -> type[Any]:
        if (kind, foreign) not in cls._made:
            cls._made[kind, foreign] = make()
        return cls._made[kind, foreign]


def _bridge_class(foreign: Any) -> type[Any]:
    class Bridge(foreign.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, transport: Transport) -> None:
            self._transport = transport

        async def handle_async_request(self, request: Any) -> Any:
            exchange = self._transport.request(_our_request(foreign, request))
            with _foreign_errors(foreign, request):
                answer = await exchange.__aenter__()
            stream = Stream(answer, exchange, request)
            return foreign.Response(answer.status, headers=list(answer.headers), stream=stream)

        async def __aenter__(self) -> Any:
            await self._transport.__aenter__()
            return self

        async def __aexit__(self, *failure: Any) -> None:
            await self._transport.__aexit__(*(failure or (None, None, None)))

    class Stream(foreign.AsyncByteStream):  # type: ignore[misc]
        def __init__(
            self, answer: HttpResponse, exchange: AbstractAsyncContextManager[HttpResponse], request: Any
        ) -> None:
            self._answer = answer
            self._exchange: AbstractAsyncContextManager[HttpResponse] | None = exchange
            self._request = request

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _foreign_errors(foreign, self._request):
                async for chunk in self._answer:
                    yield chunk

        async def aclose(self) -> None:
            exchange, self._exchange = self._exchange, None
            if exchange is not None:
                with _foreign_errors(foreign, self._request):
                    await exchange.__aexit__(None, None, None)

    return Bridge


def _our_request(foreign: Any, request: Any) -> HttpRequest:
    headers: dict[str, str] = {}
    for name, value in request.headers.multi_items():
        if name.lower() not in LINE_HEADERS:
            mark = "; " if name.lower() == "cookie" else ", "
            headers[name] = f"{headers[name]}{mark}{value}" if name in headers else value
    body: bytes | StreamedBody
    try:
        body = request.content
    except foreign.RequestNotRead:
        body = ForeignBody(request)
    return HttpRequest(request.method, str(request.url), headers, body)


class ForeignBody(StreamedBody):
    """The body of a request of httpx2 or httpx, as it is made."""

    def __init__(self, request: Any) -> None:
        stated = request.headers.get("content-length")
        self.size_bytes = None if stated is None else int(stated)
        self._stream: Any = request.stream

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces, once."""
        stream, self._stream = self._stream, None
        if stream is None:
            raise LocalProtocolError("a request whose body is streamed cannot be sent again")
        pieces = aiter(stream)
        try:
            yield pieces
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()


@contextmanager
def _foreign_errors(foreign: Any, request: Any) -> Iterator[None]:
    """Turns our errors of the line into those that users of `foreign` expect."""
    try:
        yield
    except TransportTimeoutError as error:
        raise getattr(foreign, TIMEOUTS.get(error.phase, "ReadTimeout"))(str(error), request=request) from error
    except ConnectError as error:
        raise foreign.ConnectError(str(error), request=request) from error
    except ConnectionClosedError as error:
        raise foreign.ReadError(str(error), request=request) from error
    except TransportError as error:
        raise foreign.NetworkError(str(error), request=request) from error


def _adapter_class(httpx: Any) -> type[Any]:
    httpx2 = import_module("httpx2")

    class Adapter(httpx2.AsyncBaseTransport):  # type: ignore[misc, name-defined]
        def __init__(self, transport: Any) -> None:
            self._transport = transport

        async def handle_async_request(self, request: Any) -> Any:
            try:
                content = request.content
            except httpx2.RequestNotRead:
                content = request.stream
            asked = httpx.Request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                content=content,
                extensions=request.extensions,
            )
            with _as_httpx2_errors(httpx, httpx2, request):
                answer = await self._transport.handle_async_request(asked)
            return httpx2.Response(
                answer.status_code,
                headers=answer.headers.multi_items(),
                stream=Stream(answer.stream, request),
                extensions=answer.extensions,
            )

        async def aclose(self) -> None:
            await self._transport.aclose()

    class Stream(httpx2.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, stream: Any, request: Any) -> None:
            self._stream = stream
            self._request = request

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with _as_httpx2_errors(httpx, httpx2, self._request):
                async for chunk in self._stream:
                    yield chunk

        async def aclose(self) -> None:
            with _as_httpx2_errors(httpx, httpx2, self._request):
                await self._stream.aclose()

    return Adapter


@contextmanager
def _as_httpx2_errors(httpx: Any, httpx2: Any, request: Any) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        kind = getattr(httpx2, type(error).__name__, httpx2.TransportError)
        raise kind(str(error), request=request) from error
