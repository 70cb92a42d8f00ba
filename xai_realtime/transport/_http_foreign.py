"""Where httpx2 is met. In: our requests, its exceptions. Out: its requests, our errors.

Imports: httpx2 (this module is imported inside functions alone), rooms 0-2.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from xai_realtime.errors import (
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.transport._http_errors import Scrubber, origin_of
from xai_realtime.transport.base import HttpRequest, StreamedBody

if TYPE_CHECKING:
    import httpx2

__all__ = ["Body", "SentBody", "foreign_request", "mapped"]

MAX_LEFT_PIECES: Final = 10_000
PHASES: Final = {"ConnectTimeout": "connect", "ReadTimeout": "read", "WriteTimeout": "write", "PoolTimeout": "pool"}


def foreign_request(
    request: HttpRequest,
    timeouts_s: Mapping[str, float | None],
    user_agent: str | None,
) -> tuple[httpx2.Request, SentBody | None]:
    """The request as httpx2 has it, and its body when that is streamed.

    Answers are asked for as they are, so that a tape can read them.
    """
    import httpx2

    named = {name.lower() for name in request.headers}
    headers = dict(request.headers)
    if "accept-encoding" not in named:
        headers["Accept-Encoding"] = "identity"
    if "user-agent" not in named and user_agent is not None:
        headers["User-Agent"] = user_agent
    extensions: dict[str, Any] = {"timeout": dict(timeouts_s)}
    sent = None if isinstance(request.body, bytes) else SentBody(request.body)
    if isinstance(request.body, StreamedBody) and request.body.size_bytes is not None:
        headers["Content-Length"] = str(request.body.size_bytes)
    content = (request.body or None) if isinstance(request.body, bytes) else sent
    try:
        made = httpx2.Request(request.method, request.url, headers=headers, content=content, extensions=extensions)
    except (httpx2.InvalidURL, UnicodeError):
        raise ConfigurationError(f"the address at {origin_of(request.url)} cannot be used") from None
    return made, sent


class SentBody(AsyncIterable[bytes]):
    """A streamed body on its way; `failure` is what its source raised, which httpx2 would take for its own."""

    def __init__(self, body: StreamedBody) -> None:
        self.failure: Exception | None = None
        self._body = body

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        async with AsyncExitStack() as stack:
            with self._noticed():
                pieces = await stack.enter_async_context(self._body.open())
            while True:
                with self._noticed():
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.failure = error
            raise


@contextmanager
def mapped(url: str, timeouts_s: Mapping[str, float | None], scrub: Scrubber) -> Iterator[None]:
    """Turns the errors of httpx2 into ours."""
    import httpx2

    try:
        yield
    except httpx2.TransportError as error:
        raise _our_error(error, url, timeouts_s, scrub) from None


def _our_error(
    error: httpx2.TransportError, url: str, timeouts_s: Mapping[str, float | None], scrub: Scrubber
) -> TransportError | ConfigurationError:
    import httpx2

    origin, why = origin_of(url), scrub.text(str(error) or type(error).__name__)
    if isinstance(error, httpx2.TimeoutException):
        phase = PHASES.get(type(error).__name__, "request")
        return TransportTimeoutError(phase, timeouts_s.get(phase) or 0.0)
    if isinstance(error, httpx2.ConnectError):
        return ConnectError(f"cannot connect to {origin}: {why}")
    if isinstance(error, httpx2.ProxyError):
        return ConnectError(f"the proxy did not connect to {origin}: {why}")
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return ConfigurationError(f"the request to {origin} cannot be sent: {why}")
    if isinstance(error, httpx2.RemoteProtocolError):
        return ConnectionBrokenError(None, f"the server broke HTTP: {why}")
    return ConnectionBrokenError(None, why)


class Body(AsyncIterator[bytes]):
    """The body of an answer as it comes, undecoded.

    `break_off` closes the connection under whoever reads, whose wait then ends in ConnectionBrokenError; None where the
    connection cannot be had, or is not this answer's alone.
    """

    def __init__(self, answer: httpx2.Response, mapping: Callable[[], AbstractContextManager[None]]) -> None:
        import httpx2

        self._stream = cast("Any", answer.stream)
        self._chunks = aiter(self._stream)
        self._mapping = mapping
        self._errors = httpx2.TransportError
        self._is_over = False
        line = answer.extensions.get("network_stream")
        is_own = answer.extensions.get("http_version") in (b"HTTP/1.1", b"HTTP/1.0")
        self.break_off: Callable[[], Awaitable[None]] | None = getattr(line, "aclose", None) if is_own else None

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        # Errors are turned into ours only where there is one: this is done for every piece.
        try:
            while True:
                chunk: bytes = await self._chunks.__anext__()
                if chunk:
                    return chunk
        except StopAsyncIteration:
            self._is_over = True
            raise
        except self._errors as error:
            with self._mapping():
                raise error

    async def aclose(self) -> None:
        """Let go of the connection."""
        import httpx2

        self._is_over = True
        with self._mapping():
            await self._stream.aclose()
        # The stream is a nest of generators: only when it ends or fails is none left to the garbage collector,
        # which trio warns about. On the closed connection it does so after what was received already.
        for _ in range(MAX_LEFT_PIECES):
            try:
                await anext(self._chunks)
            except (StopAsyncIteration, httpx2.TransportError):
                return
