"""A recording proxy. In: connections of any client. Out: the same to and from the upstream server, and a tape.

Imports: rooms 0-7. Runs on asyncio.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
from pydantic_core import to_json

from xai_realtime.address import Address
from xai_realtime.cassette.recording import RecordingTransport, record
from xai_realtime.cassette.redaction import Rule
from xai_realtime.errors import (
    ClosedByUsError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    LocalProtocolError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, Transport
from xai_realtime.transport.websocket import WebSocketTransport
from xai_realtime.transport.websocket_server import Arrival, ServingChannel, serve_sockets

__all__ = ["ProxyAddress", "ProxyReport", "run_proxy"]

OWN_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one hop."""
LOOPBACK: Final = "127.0.0.1"
BASE_PATH: Final = "/v1"
SOCKET_PATH: Final = "/realtime"
GOING_AWAY: Final = 1001
JSON: Final = ("Content-Type", "application/json")


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """Where a client is to be pointed: `socket_url` for WebSocket, `http_url` for REST, and the upstream's origin."""

    socket_url: str
    http_url: str
    upstream: str
    port: int


@dataclass(frozen=True, slots=True)
class ProxyReport:
    """Where the tape is, how many connections were opened, and how many refused or not reached."""

    path: Path
    opened: int
    refused: int
    unreached: int


async def run_proxy(
    upstream: str,
    cassette: str | PathLike[str],
    *,
    port: int = 0,
    started: Callable[[ProxyAddress], None],
    stop: anyio.Event,
    transport: Transport | None = None,
    origin: str = "live",
    keep_ids: bool = False,
    secrets: Iterable[str] = (),
    rules: Iterable[Rule] = (),
    said: Callable[[str], None] = lambda line: None,
) -> ProxyReport:
    """Record whatever client connects to a port of this machine, until `stop` is set.

    The client's path, query, headers (its key among them) and sub-protocols go to the origin of
    `upstream`; frames pass both ways as they are, with their close codes. `started` is told the address
    when connections are accepted (`port=0` takes a free one), `said` gets a line for each connection.
    `transport` reaches the upstream (a WebSocketTransport by default); the rest is as for `record`.

    Only asyncio can serve sockets. Raises ConfigurationError for a bad address, OSError for a port that
    cannot be had, RedactionError when a secret is still found in the tape. Anything unforeseen ends the
    recording, which is kept as `NAME.failed.jsonl`; a killed process leaves `NAME.jsonl.partial`.
    """
    server = _checked_upstream(upstream)
    if transport is None:
        # The client's own name goes upstream, and no other.
        transport = WebSocketTransport(user_agent=None)
    recording = record(cassette, transport, origin=origin, keep_ids=keep_ids, secrets=secrets, rules=rules)
    proxy = _Proxy(server, recording, said)
    with socket.create_server((LOOPBACK, port)) as listener:
        async with recording:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(serve_sockets, proxy.serve, listener)
                    started(server.address(listener.getsockname()[1]))
                    await stop.wait()
                    group.cancel_scope.cancel()
            except BaseExceptionGroup as failures:
                raise _first(failures) from None
    return ProxyReport(recording.path, proxy.opened, proxy.refused, proxy.unreached)


class _Proxy:
    """Serves what arrives, and counts."""

    def __init__(self, server: _Upstream, recording: RecordingTransport, said: Callable[[str], None]) -> None:
        self.opened = 0
        self.refused = 0
        self.unreached = 0
        self._server = server
        self._recording = recording
        self._said = said
        self._arrived = 0

    async def serve(self, arrival: Arrival) -> None:
        """One request of a client."""
        if not arrival.target.startswith("/"):
            await arrival.answer(400, [JSON], _error("bad_request", "the target of the request is no path"))
            return
        self._arrived += 1
        name = f"connection {self._arrived}"
        if not arrival.wants_socket:
            await self._pass_http(arrival, name)
            return
        try:
            await self._relay(arrival, name)
        except HandshakeError as refusal:
            self.refused += 1
            self._said(f"{name}: refused with HTTP {refusal.status}")
            headers = [(key, value) for key, value in refusal.headers.items() if key != "location"]
            await arrival.answer(refusal.status, headers, refusal.body)
        except ConfigurationError as wrong:
            self._said(f"{name}: cannot be passed on: {wrong}")
            await arrival.answer(400, [JSON], _error("bad_request", str(wrong)))
        except (ConnectError, TransportTimeoutError) as failure:
            self._said(f"{name}: {failure}")
            self._recording.mark(f"{name}: the upstream was not reached")
            await self._not_reached(arrival, failure)

    async def _pass_http(self, arrival: Arrival, name: str) -> None:
        """Pass one HTTP request and its answer on, where the transport carries HTTP."""
        try:
            async with self._recording.request(self._server.http_request(arrival)) as answer:
                self._said(f"{name}: {arrival.method} answered with HTTP {answer.status}")
                await arrival.answer(answer.status, answer.headers, aiter(answer))
        except LocalProtocolError:
            self._arrived -= 1  # nothing of it stands on the tape, whose numbers these are
            await arrival.answer(501, [JSON], _error("not_carried", "this proxy carries WebSocket connections alone"))
        except ConfigurationError as wrong:
            await arrival.answer(400, [JSON], _error("bad_request", str(wrong)))
        except (ConnectError, ConnectionBrokenError, TransportTimeoutError) as failure:
            if arrival.is_served:
                return  # the answer breaks off for the client as it did here
            await self._not_reached(arrival, failure)

    async def _not_reached(self, arrival: Arrival, failure: TransportError) -> None:
        self.unreached += 1
        status = 504 if isinstance(failure, TransportTimeoutError) else 502
        await arrival.answer(status, [JSON], _error("upstream_not_reached", str(failure)))

    async def _relay(self, arrival: Arrival, name: str) -> None:
        request = self._server.request(arrival)
        async with self._recording.open(request) as upstream, arrival.accept(upstream.subprotocol) as client:
            self.opened += 1
            self._said(f"{name}: open")
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(_to_client, upstream, client, group.cancel_scope)
                    group.start_soon(_to_upstream, client, upstream, group.cancel_scope)
            finally:
                self._said(f"{name}: over")


async def _to_client(upstream: Channel, client: ServingChannel, both: anyio.CancelScope) -> None:
    """Pass on what the upstream sends, and then its close, which ends both directions."""
    while True:
        try:
            frame = await upstream.receive()
        except ClosedByUsError:
            return  # the other direction closed it
        except ConnectionBrokenError:
            client.break_off()
            break
        except ConnectionClosedError as closed:
            if closed.code is None:
                await client.aclose_without_code()
            else:
                await client.aclose(closed.code, closed.reason)
            break
        try:
            await client.send(frame)
        except ConnectionClosedError:
            return  # the other direction sees how the client left
    both.cancel()


async def _to_upstream(client: Channel, upstream: Channel, both: anyio.CancelScope) -> None:
    """Pass on what the client sends, and then its close, which ends both directions."""
    while True:
        try:
            frame = await client.receive()
        except ClosedByUsError:
            return  # the other direction closed it
        except ConnectionClosedError as closed:
            # A client that is lost, or closes without a code, cannot be imitated: the upstream hears an ordinary one.
            lost = isinstance(closed, ConnectionBrokenError)
            await upstream.aclose(GOING_AWAY if lost else closed.code or 1000, closed.reason if closed.code else "")
            break
        try:
            await upstream.send(frame)
        except ConnectionClosedError:
            return  # the other direction sees how the upstream left, behind what it still sent
    both.cancel()


@dataclass(frozen=True, slots=True)
class _Upstream:
    socket_origin: str
    path: str

    def address(self, port: int) -> ProxyAddress:
        """Where clients are pointed: any path is passed on, and these are the usual ones."""
        base = f"{LOOPBACK}:{port}{self.path.removesuffix(SOCKET_PATH) or BASE_PATH}"
        return ProxyAddress(f"ws://{base}{SOCKET_PATH}", f"http://{base}", self.socket_origin, port)

    def request(self, arrival: Arrival) -> ChannelRequest:
        """The socket that the client asks for, asked of the upstream."""
        url = self.socket_origin + arrival.target
        return ChannelRequest(url, "realtime", _headers(arrival), arrival.subprotocols)

    def http_request(self, arrival: Arrival) -> HttpRequest:
        """The request of the client, asked of the upstream."""
        url = f"http{self.socket_origin.removeprefix('ws')}{arrival.target}"
        return HttpRequest(arrival.method, url, _headers(arrival), arrival.body)


def _headers(arrival: Arrival) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in arrival.headers:
        lowered = name.lower()
        if lowered not in OWN_HEADERS and not lowered.startswith("sec-websocket-"):
            headers[lowered] = f"{headers[lowered]}, {value}" if lowered in headers else value
    return headers


def _checked_upstream(upstream: str) -> _Upstream:
    parts = urlsplit(Address(upstream).socket(None, {}).url)
    if parts.query:
        raise ConfigurationError("the upstream's address holds no query: the client's own is passed on")
    return _Upstream(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"))


def _error(code: str, message: str) -> bytes:
    return to_json({"code": code, "error": message})


def _first(failure: BaseException) -> BaseException:
    """The failure that came first, out of the groups that task groups make."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
