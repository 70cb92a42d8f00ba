"""HTTP spoken to an ASGI application in this process. In: one request. Out: its answer, piece by piece as it is made.

Works on asyncio and trio, in real and in virtual time. Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from xai_realtime.errors import ConnectionBrokenError, TransportTimeoutError
from xai_realtime.transport.base import HttpRequest, HttpResponse

__all__ = ["AsgiApp", "ask_asgi"]

Message: TypeAlias = MutableMapping[str, Any]
AsgiApp: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

CHUNKS_UNDER_WAY: Final = 8


@asynccontextmanager
async def ask_asgi(app: AsgiApp, request: HttpRequest) -> AsyncIterator[HttpResponse]:
    """Ask `app`; what it still does when the context ends is cancelled. Cancelling is safe.

    A streamed body is read as the application asks for it; what its source raises surfaces as it is. Raises
    ConnectionBrokenError when the application ends or fails before it answers, and from reading when it does so
    before the end of its answer; TransportTimeoutError when it is silent for the request's `read_timeout_s`.
    """
    exchange = _Exchange(app, request)
    raised: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run)
        try:
            yield await exchange.answer()
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001
            raised = error  # raised again past the task group, which would wrap it
        finally:
            exchange.close()
            tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised


class _Exchange:
    def __init__(self, app: AsgiApp, request: HttpRequest) -> None:
        self._app = app
        self._request = request
        self._unread: bytes | None = request.body if isinstance(request.body, bytes) else None
        self._sending: AsyncIterator[bytes] | None = None
        self._source_failure: Exception | None = None
        self._patience = anyio.CancelScope()
        self._started = anyio.Event()
        self._head: tuple[int, tuple[tuple[str, str], ...]] | None = None
        self._is_whole = False
        self._chunks: MemoryObjectSendStream[bytes]
        self._pieces: MemoryObjectReceiveStream[bytes]
        self._chunks, self._pieces = anyio.create_memory_object_stream[bytes](CHUNKS_UNDER_WAY)
        self._failure: str = "the application ended before its answer did"

    async def run(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                if not isinstance(self._request.body, bytes):
                    with self._noticed():
                        self._sending = await stack.enter_async_context(self._request.body.open())
                await self._app(_scope(self._request), self._receive, self._send)
        except Exception as error:  # noqa: BLE001
            self._failure = f"the application failed: {type(error).__name__}"
        finally:
            self._chunks.close()
            self._started.set()

    async def answer(self) -> HttpResponse:
        if self._unread is not None:
            self._wait_from_now()
        with self._patience:
            await self._started.wait()
        if self._source_failure is not None:
            raise self._source_failure
        if self._patience.cancelled_caught:
            raise self._timeout()
        if self._head is None:
            raise ConnectionBrokenError(None, self._failure)
        return HttpResponse(*self._head, self)

    def close(self) -> None:
        self._pieces.close()
        self._chunks.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with anyio.move_on_after(self._request.read_timeout_s):
            try:
                return await self._pieces.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                if self._is_whole:
                    raise StopAsyncIteration from None
                if self._source_failure is not None:
                    raise self._source_failure from None
                raise ConnectionBrokenError(None, self._failure) from None
        raise self._timeout()

    async def _receive(self) -> Message:
        if self._unread is not None:
            body, self._unread = self._unread, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._sending is not None:
            with self._noticed():
                piece = await anext(self._sending, None)
            if piece is not None:
                return {"type": "http.request", "body": piece, "more_body": True}
            self._sending = None
            self._wait_from_now()
            return {"type": "http.request", "body": b"", "more_body": False}
        await anyio.sleep_forever()  # until the context ends, and this with it
        raise AssertionError

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._source_failure = error
            raise

    def _wait_from_now(self) -> None:
        if self._request.read_timeout_s is not None:
            self._patience.deadline = anyio.current_time() + self._request.read_timeout_s

    def _timeout(self) -> TransportTimeoutError:
        return TransportTimeoutError("read", self._request.read_timeout_s or 0.0)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            named = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"])
            self._head = (message["status"], named)
            self._started.set()
        elif message["type"] == "http.response.body":
            self._is_whole = not message.get("more_body", False)
            if message.get("body"):
                await self._chunks.send(bytes(message["body"]))


def _scope(request: HttpRequest) -> dict[str, Any]:
    parts = urlsplit(request.url)
    path = parts.path or "/"
    named = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
    if all(name != b"host" for name, _ in named):
        named.append((b"host", parts.netloc.rpartition("@")[2].encode("latin-1")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method.upper(),
        "scheme": parts.scheme or "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii", "replace"),
        "root_path": "",
        "query_string": parts.query.encode("ascii", "replace"),
        "headers": named,
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname or "localhost", parts.port or 80),
    }
