"""One HTTP exchange, written down while it passes. In: an answer. Out: the same answer, and records.

The request is written before it goes out, the head and each piece when they came, the end when it is known.
Imports: rooms 0-2.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Final

from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.errors import (
    ConnectError,
    ConnectionClosedError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.transport._http_errors import origin_of
from xai_realtime.transport.base import HttpRequest, HttpResponse

__all__ = ["HttpTaping", "readable"]

PLAIN: Final = {"Accept-Encoding": "identity"}


def readable(request: HttpRequest) -> HttpRequest:
    """The request, asking for an answer that is not compressed: secrets in it could not be seen."""
    headers: Mapping[str, str] = {
        name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"
    }
    return replace(request, headers={**headers, **PLAIN})


class HttpTaping(AsyncIterator[bytes]):
    """Writes one exchange down; iterating gives the pieces of the body."""

    def __init__(self, conn: int, writer: CassetteWriter, now_ms: Callable[[], float]) -> None:
        self._conn = conn
        self._writer = writer
        self._now_ms = now_ms
        self._pieces: AsyncIterator[bytes]
        self._origin = ""
        self._over = False

    def ask(self, request: HttpRequest) -> None:
        """The request goes out now."""
        self._origin = origin_of(request.url)
        self._writer.request(self._conn, self._now_ms(), request)

    def answer(self, response: HttpResponse) -> HttpResponse:
        """The head came; gives the answer to hand on."""
        self._writer.response(self._conn, self._now_ms(), response.status, response.headers)
        self._pieces = aiter(response)
        return HttpResponse(response.status, response.headers, self)

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._pieces)
        except StopAsyncIteration:
            self._end()
            raise
        except TransportError as error:
            self.fail(error)
            raise
        self._writer.chunk(self._conn, self._now_ms(), piece)
        return piece

    def fail(self, error: TransportError) -> None:
        """The exchange failed."""
        if isinstance(error, TransportTimeoutError):
            self._end("timeout", error.phase)
        elif isinstance(error, ConnectError):
            self._end("connect", str(error).replace(self._origin, "the server"))
        else:
            self._end("broken", error.reason if isinstance(error, ConnectionClosedError) else str(error))

    def leave(self) -> None:
        """The client is through with it; an answer that was not read to its end ends here."""
        self._end("client")

    def _end(self, error: str | None = None, reason: str = "") -> None:
        if not self._over:
            self._over = True
            self._writer.done(self._conn, self._now_ms(), error, reason)
