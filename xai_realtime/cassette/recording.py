"""A Transport that writes a tape of any Transport. In: channels, frames, HTTP. Out: the same, and a tape.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import anyio

from xai_realtime._version import __version__
from xai_realtime.cassette._channel import TapeEndedError
from xai_realtime.cassette._http_recording import HttpTaping, readable
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.records import ORIGINS, SERVICES, Header
from xai_realtime.cassette.redaction import Redactor, Rule
from xai_realtime.cassette.services import EVENTS
from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectionClosedError,
    HandshakeError,
    LocalProtocolError,
    MessageTooLargeError,
    TransportError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport

__all__ = ["RecordingTransport", "record"]

SPEC_SHA256: Final = {service: events.SPEC_SHA256 for service, events in EVENTS.items()}


def spec_sha256(service: str) -> str | None:
    """The digest of what specifies the messages of a service; None for a tape of several."""
    if service == "chat":
        # Loaded when it is wanted: no other tape pays for its classes.
        from xai_realtime.events import chat

        return chat.SPEC_SHA256
    return SPEC_SHA256.get(service)


class RecordingTransport(Transport):
    """Writes what passes through another transport; see `record`."""

    def __init__(
        self, transport: Transport, path: Path, header: Header, redactor: Redactor, names: IdNames | None
    ) -> None:
        self.needs_key = transport.needs_key
        self.path = path
        self._transport = transport
        self._header = header
        self._redactor = redactor
        self._names = names
        self._writer: CassetteWriter | None = None
        self._zero: float | None = None
        self._opened = 0

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        try:
            self._writer = CassetteWriter(self.path, self._header, self._redactor, self._names)
        except BaseException as failure:
            await self._transport.__aexit__(type(failure), failure, failure.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        writer, self._writer = self._writer, None
        try:
            await self._transport.__aexit__(exc_type, exc, traceback)
        except BaseException:
            if writer is not None:
                self.path = writer.finish(complete=False)
            raise
        if writer is not None:
            self.path = writer.finish(complete=exc is None)

    def mark(self, label: str) -> None:
        """Put a named moment on the tape, now."""
        self._open_writer().mark(self._now_ms(), label)

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open a channel of the inner transport and write down what happens on it."""
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        writer = self._open_writer()
        self._redactor.learn(request.headers, request.url, request.subprotocols)
        self._opened += 1
        conn = self._opened
        is_open = False
        try:
            async with self._transport.open(request) as channel:
                is_open = True
                writer.open(conn, self._now_ms(), request.url or None, subprotocol=channel.subprotocol)
                recorded = _RecordingChannel(channel, conn, writer, self._now_ms)
                try:
                    yield recorded
                finally:
                    await recorded.aclose()
        except HandshakeError as refusal:
            if not is_open:
                at_ms = self._now_ms()
                writer.open(
                    conn,
                    at_ms,
                    request.url or None,
                    status=refusal.status,
                    headers=refusal.headers,
                    body=refusal.body,
                )
            raise

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Send a request through the inner transport and write down what happens.

        It is asked for without compression, so that secrets in the answer can be seen and taken out. A streamed
        body is read whole first: it stands on the tape.
        """
        return self._request(request)

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        writer = self._open_writer()
        request = await request.with_whole_body()
        self._redactor.learn(request.headers, request.url)
        exchange = self._transport.request(readable(request))
        self._opened += 1
        taping = HttpTaping(self._opened, writer, self._now_ms)
        taping.ask(request)
        try:
            response = await exchange.__aenter__()
        except TransportError as error:
            taping.fail(error)
            raise
        except BaseException:
            taping.leave()
            raise
        async with AsyncExitStack() as stack:
            stack.push_async_exit(exchange)
            stack.callback(taping.leave)
            yield taping.answer(response)

    def _open_writer(self) -> CassetteWriter:
        if self._writer is None:
            raise LocalProtocolError("a recording transport is a context manager: enter it, or the client that has it")
        return self._writer

    def _now_ms(self) -> float:
        now = anyio.current_time()
        if self._zero is None:
            self._zero = now
        return (now - self._zero) * 1000


class _RecordingChannel(Channel):
    def __init__(self, channel: Channel, conn: int, writer: CassetteWriter, now_ms: Callable[[], float]) -> None:
        self.subprotocol = channel.subprotocol
        self.sends_at_call = channel.sends_at_call
        self._channel = channel
        self._conn = conn
        self._writer = writer
        self._now_ms = now_ms
        self._over = False

    async def send(self, frame: Frame) -> None:
        """Send and write down: before an answer can come, and once the line has taken it."""
        if self.sends_at_call and not self._over:
            self._writer.frame(self._conn, self._now_ms(), "out", frame)
        try:
            await self._channel.send(frame)
        except ConnectionClosedError as closed:
            self._write_close(closed)
            raise
        if not self.sends_at_call and not self._over:
            self._writer.frame(self._conn, self._now_ms(), "out", frame)

    async def receive(self) -> Frame:
        """Receive and write down. Cancelling is as safe as on the inner channel.

        What still comes in while our close is under way is handed on; on the tape the close is the end.
        """
        try:
            frame = await self._channel.receive()
        except ConnectionClosedError as closed:
            self._write_close(closed)
            raise
        if not self._over:
            self._writer.frame(self._conn, self._now_ms(), "in", frame)
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close, and write down that it was us unless the line was over before."""
        self._write_close(ClosedByUsError(code, reason))
        await self._channel.aclose(code, reason)

    def _write_close(self, closed: ConnectionClosedError) -> None:
        if self._over:
            return
        self._over = True
        if isinstance(closed, TapeEndedError):
            return
        by: Literal["client", "server", "network"] = "network"
        if isinstance(closed, ClosedByUsError | MessageTooLargeError):
            by = "client"
        elif isinstance(closed, ClosedByServerError):
            by = "server"
        self._writer.close(self._conn, self._now_ms(), by, closed.code, closed.reason, closed.is_clean)


def record(
    path: str | PathLike[str],
    transport: Transport,
    *,
    origin: str = "live",
    service: str = "realtime",
    recorded_at: datetime | None = None,
    keep_ids: bool = False,
    secrets: Iterable[str] = (),
    rules: Iterable[Rule] = (),
    notes: str = "",
) -> RecordingTransport:
    """A transport that writes a tape at `path` of all that passes through `transport`.

    Redaction is on: the key in use, every `*_API_KEY` of the environment, `secrets`, and by pattern;
    `rules` add to it. Minted ids become `item_1`, `resp_2`, ... unless `keep_ids`. A recording of a
    replay carries the tape's own header over. While it runs the tape is `NAME.jsonl.partial`; a run
    that ends with an exception is kept as `NAME.failed.jsonl` and replaces nothing.

    Raises ConfigurationError; at its end RedactionError when a secret is still found in the tape.
    """
    if origin not in ORIGINS:
        raise ConfigurationError(f"origin {origin!r}: allowed are {', '.join(ORIGINS)}")
    if service not in SERVICES:
        raise ConfigurationError(f"service {service!r}: allowed are {', '.join(SERVICES)}")
    target = Path(path)
    if target.suffix != ".jsonl":
        raise ConfigurationError(f"cassette {target.name!r}: the name ends in .jsonl")
    redactor = Redactor(secrets, rules=rules)
    carried = getattr(transport, "header", None)
    if isinstance(carried, Header):
        header = carried
    else:
        header = Header(
            origin=origin,
            service=service,
            recorded_at=(recorded_at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            sdk=f"xai-realtime {__version__}",
            spec_sha256=spec_sha256(service),
            redaction=redactor.policy,
            notes=redactor.text(notes),
        )
    return RecordingTransport(transport, target, header, redactor, None if keep_ids else IdNames())
