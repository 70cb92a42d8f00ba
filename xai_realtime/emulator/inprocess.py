"""The emulator as a Transport, without any socket. In: channel requests, HTTP requests. Out: channels, answers.

Works on asyncio and trio, in real and in virtual time. Imports: rooms 0-4 and 7, anyio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import unquote, urlsplit

import anyio

from xai_realtime.defaults import CLOSE_TIMEOUT_S
from xai_realtime.emulator.app import Service
from xai_realtime.emulator.link import ServedChannel
from xai_realtime.emulator.rest import Admission, Credentials, Refusal
from xai_realtime.errors import HandshakeError
from xai_realtime.frames import Frame
from xai_realtime.transport._http_errors import parse_error_body
from xai_realtime.transport.asgi import ask_asgi
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport
from xai_realtime.transport.memory import MemoryChannel, memory_pair

__all__ = ["EmulatorTransport"]

FRAMES_UNDER_WAY: Final = 64


class EmulatorTransport(Transport):
    """Opens channels to an emulator in this process.

    The host of an address does not matter, its path and query do. A request without any credentials gets
    `api_key`; None leaves it without, which the emulator refuses as the service does.
    """

    needs_key = False

    def __init__(self, service: Service, api_key: str | None) -> None:
        self._service = service
        self._api_key = api_key

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open a channel to the emulator. Raises HandshakeError where it refuses, as over a socket."""
        return self._open(request)

    def request(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpResponse]:
        """Ask the emulator's REST side. Every answer is a value; its body comes piece by piece."""
        credentials = self._credentials(request.headers, ())
        named = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        if credentials.authorization is not None:
            request = replace(request, headers={**named, "Authorization": credentials.authorization})
        return ask_asgi(self._service, request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        parts = urlsplit(request.url)
        credentials = self._credentials(request.headers, request.subprotocols)
        with ExitStack() as seat:
            told = seat.enter_context(self._service.admitted(unquote(parts.path), parts.query, credentials))
            if isinstance(told, Refusal):
                raise refused(told)
            async with self._held(request, told, seat) as client:
                yield client

    @asynccontextmanager
    async def _held(self, request: ChannelRequest, admission: Admission, seat: ExitStack) -> AsyncIterator[Channel]:
        transport, server = memory_pair(buffer=FRAMES_UNDER_WAY)
        raised: BaseException | None = None
        under_way: deque[Frame] = deque()
        async with transport.open(request) as near, anyio.create_task_group() as tasks:
            assert isinstance(near, MemoryChannel)
            client = ClientEnd(near, under_way)
            client.subprotocol = admission.subprotocol
            _, end = await server.accept()
            server.close()
            tasks.start_soon(self._hold, admission, MemoryEnd(end, under_way), seat)
            try:
                yield client
            except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001
                raised = error  # raised again past the task group, which would wrap it
            finally:
                await client.aclose()
                # The emulator still takes in what was sent before the close.
                tasks.cancel_scope.deadline = anyio.current_time() + CLOSE_TIMEOUT_S
        if raised is not None:
            raise raised

    async def _hold(self, admission: Admission, end: MemoryEnd, seat: ExitStack) -> None:
        with seat:  # given up when the conversation ends, though the client may read on
            await self._service.hold(admission, end)

    def _credentials(self, headers: Mapping[str, str], subprotocols: tuple[str, ...]) -> Credentials:
        given = next((value for name, value in headers.items() if name.lower() == "authorization"), None)
        credentials = Credentials(given, subprotocols)
        if given is not None or credentials.key or self._api_key is None:
            return credentials
        return Credentials(f"Bearer {self._api_key}", subprotocols)


class ClientEnd(Channel):
    """The client's end of a memory pair; what it reads is no longer `under_way`."""

    def __init__(self, end: MemoryChannel, under_way: deque[Frame]) -> None:
        self._end = end
        self._under_way = under_way

    async def send(self, frame: Frame) -> None:
        """Send one message."""
        await self._end.send(frame)

    async def receive(self) -> Frame:
        """The next message. Cancelling is safe."""
        frame = await self._end.receive()
        self._under_way.popleft()
        return frame

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the line."""
        await self._end.aclose(code, reason)

    def break_off(self) -> None:
        """Break the line, as a lost network does."""
        self._end.break_off()


class MemoryEnd(ServedChannel):
    """The server's end of a memory pair; what it sends is `under_way` until the client reads it."""

    def __init__(self, end: MemoryChannel, under_way: deque[Frame]) -> None:
        self._end = end
        self._under_way = under_way
        self._has_ended = False

    @property
    def lost(self) -> Sequence[Frame]:
        """What the client left unread when it went; it reads on when the server is the first to go."""
        return () if self._has_ended else tuple(self._under_way)

    async def send(self, frame: Frame) -> None:
        """Send one message."""
        self._under_way.append(frame)
        try:
            await self._end.send(frame)
        except BaseException:
            self._under_way.pop()
            raise

    async def receive(self) -> Frame:
        """The next message. Cancelling is safe."""
        return await self._end.receive()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the line."""
        self._has_ended = True
        await self._end.aclose(code, reason)

    async def cut(self) -> None:
        """Break the line."""
        self._has_ended = True
        self._end.break_off()


def refused(refusal: Refusal) -> HandshakeError:
    """The error that the live line raises for the same answer."""
    code, message = parse_error_body(refusal.data)
    return HandshakeError(
        "the emulator refused the handshake",
        status=refusal.status,
        headers={
            "content-type": refusal.content_type,
            "content-length": str(len(refusal.data)),
            **refusal.headers,
        },
        body=refusal.data,
        code=code,
        message=message,
    )
