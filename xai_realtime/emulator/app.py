"""The emulated service as one ASGI application: REST and sockets under /v1. In: ASGI events. Out: ASGI events.

A service joins by an entry in `SOCKETS` and by routes of its own. Imports: starlette (extra `emulator`), rooms 0-4, 7.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Final, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from xai_realtime.emulator import rest, stt_settings, tts_settings
from xai_realtime.emulator.chat_app import chat_answers
from xai_realtime.emulator.link import Clock, ServedChannel, Talk, hold
from xai_realtime.emulator.rest import Check, Credentials, Refusal
from xai_realtime.emulator.speech_app import Answer, speech_answers
from xai_realtime.emulator.speech_rest import handshake, refuse_once
from xai_realtime.emulator.world import World
from xai_realtime.errors import ClosedByUsError, ConnectionBrokenError, ConnectionClosedError
from xai_realtime.frames import Frame

__all__ = ["CUT", "SOCKETS", "AsgiChannel", "Service", "realtime_engine", "stt_engine", "tts_engine"]

logger: Final = logging.getLogger("xai_realtime.emulator")

CUT: Final = 1006
"""A close code that no frame carries: to the server it means a connection ended without a close handshake."""
MAX_BODY_BYTES: Final = 1024 * 1024
UPGRADE_REQUIRED: Final = 426

MakeTalk: TypeAlias = Callable[[World, Mapping[str, str], float], Talk]


def realtime_engine(world: World, query: Mapping[str, str], now_ms: float) -> Talk:
    """The other side of `/v1/realtime`."""
    from xai_realtime.emulator.engine import Engine

    return Engine(world, query, now_ms)


def stt_engine(world: World, query: Mapping[str, str], now_ms: float) -> Talk:
    """The other side of `/v1/stt`."""
    from xai_realtime.emulator.stt_engine import SttEngine

    return SttEngine(world, query, now_ms)


def tts_engine(world: World, query: Mapping[str, str], now_ms: float) -> Talk:
    """The other side of `/v1/tts`."""
    from xai_realtime.emulator.tts_engine import TtsEngine

    return TtsEngine(world, query, now_ms)


SOCKETS: Final[Mapping[str, MakeTalk]] = {"/realtime": realtime_engine, "/stt": stt_engine, "/tts": tts_engine}
"""What answers on the sockets, by their path below the root."""
CHECKS: Final[Mapping[str, Check]] = {
    "/stt": handshake(stt_settings.streaming_settings),
    "/tts": handshake(tts_settings.streaming_settings),
}
"""What the handshake of a socket looks at before it opens."""


class Service:
    """One emulator's application: `Service(world)` is what a server or an in-process transport calls."""

    def __init__(self, world: World, clock: Clock, sockets: Mapping[str, MakeTalk]) -> None:
        self.world = world
        self.clock = clock
        self.sockets = sockets
        self._opened = 0
        self._http = Starlette(
            routes=[self._route(path, answers) for path, answers in self._answers().items()],
            exception_handlers={HTTPException: _refused_by_router, Exception: _failed},
        )
        self._http.router.redirect_slashes = False

    def _answers(self) -> dict[str, dict[str, Answer]]:
        """What answers over HTTP, by path below the root and by method; a socket's path asks for an upgrade."""
        answers: dict[str, dict[str, Answer]] = {
            "/realtime/client_secrets": {"POST": self._mint_secret},
        }
        for path in self.sockets:
            answers[path] = {"GET": self._upgrade}
        spoken, written = speech_answers(self.world, self.clock), chat_answers(self.world, self.clock)
        for path, methods in (*spoken.items(), *written.items()):
            answers[path] = {**answers.get(path, {}), **methods}
        return answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or hold one socket, as ASGI asks it."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._http(scope, receive, _logged(scope, send))

    @contextmanager
    def admitted(self, path: str, query: str, credentials: Credentials) -> Iterator[rest.Admission | Refusal]:
        """Whether a socket may open; an admitted one counts as a session while the context lasts."""
        checks = {name: CHECKS.get(name) for name in self.sockets}
        told = rest.admit(self.world, checks, path, query, credentials, self.clock.now_ms())
        if isinstance(told, Refusal):
            logger.debug("refused a socket with %d", told.status)
            yield told
            return
        self.world.open_sessions += 1
        try:
            yield told
        finally:
            self.world.open_sessions -= 1

    async def hold(self, admission: rest.Admission, channel: ServedChannel) -> None:
        """Hold one admitted socket until it is over."""
        self._opened += 1
        name = f"session {self._opened}"
        logger.debug("%s opened at %s", name, admission.path)
        talk = self.sockets[admission.path](self.world, admission.query, self.clock.now_ms())
        limit = self.world.limits.max_message_bytes
        await hold(talk, channel, self.clock, name=name, max_message_bytes=limit)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        # Older servers leave blanks around the names.
        offered = tuple(name.strip() for offer in scope["subprotocols"] for name in offer.split(",") if name.strip())
        credentials = Credentials(_header(scope, b"authorization"), offered)
        query = scope["query_string"].decode("latin-1")
        with self.admitted(scope["path"], query, credentials) as told:
            if isinstance(told, Refusal):
                await _deny(told, send)
                return
            await send({"type": "websocket.accept", "subprotocol": told.subprotocol})
            channel = AsgiChannel(receive, send)
            try:
                await self.hold(told, channel)
            finally:
                await channel.aclose()

    def _route(self, path: str, answers: Mapping[str, Answer]) -> Route:
        async def endpoint(request: Request) -> Response:
            answer = answers["GET" if request.method == "HEAD" else request.method]
            told = self._refusal(request) or await answer(request)
            if isinstance(told, Response):
                return told
            return _refused(told) if isinstance(told, Refusal) else JSONResponse(told)

        return Route(rest.ROOT + path, endpoint, methods=list(answers))

    def _refusal(self, request: Request) -> Refusal | None:
        credentials = Credentials(request.headers.get("authorization"))
        wrong_key = rest.check_key(self.world, credentials, self.clock.now_ms())
        return wrong_key or refuse_once(self.world, request.url.path.removeprefix(rest.ROOT))

    async def _mint_secret(self, request: Request) -> dict[str, Any] | Refusal:
        body = b""
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    return Refusal(413, rest.INVALID, f"The request's body is over {MAX_BODY_BYTES} bytes.")
        return rest.mint_secret(self.world, body, self.clock.now_ms())

    async def _upgrade(self, request: Request) -> Refusal:
        message = f"{request.url.path} is a WebSocket: ask for an upgrade."
        return Refusal(UPGRADE_REQUIRED, rest.INVALID, message, {"upgrade": "websocket", "connection": "Upgrade"})


class AsgiChannel(ServedChannel):
    """The server's end of one accepted ASGI socket."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._end: ConnectionClosedError | None = None

    async def send(self, frame: Frame) -> None:
        """Send one message."""
        if self._end is not None:
            raise self._end
        payload = {"text": frame.data.decode()} if frame.is_text else {"bytes": frame.data}
        try:
            await self._send({"type": "websocket.send", **payload})
        except OSError:
            raise self._over(ConnectionBrokenError(None, "the client is gone")) from None

    async def receive(self) -> Frame:
        """The next message. Cancelling is safe."""
        if self._end is not None:
            raise self._end
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise self._over(ConnectionClosedError(message.get("code"), message.get("reason") or ""))
        text = message.get("text")
        return Frame(message["bytes"], is_text=False) if text is None else Frame(text.encode())

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket. A second call does nothing."""
        if self._end is None:
            self._over(ClosedByUsError(code, reason))
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
            except OSError:
                logger.debug("the client was gone before the close")

    async def cut(self) -> None:
        """End the connection without a close handshake."""
        await self.aclose(CUT)

    def _over(self, end: ConnectionClosedError) -> ConnectionClosedError:
        self._end = end
        return end


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted), None)


async def _deny(refusal: Refusal, send: Send) -> None:
    body = refusal.data
    # The server adds the length: older ones do so even where there is one.
    headers = [(b"content-type", refusal.content_type.encode())]
    headers += [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def _refused(refusal: Refusal) -> Response:
    return Response(refusal.data, refusal.status, dict(refusal.headers), refusal.content_type)


async def _refused_by_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        return _refused(rest.wrong_method(request.method, request.url.path, allowed))
    return _refused(rest.not_found(request.url.path))


async def _failed(request: Request, error: Exception) -> Response:
    logger.error("the emulator failed: %s", type(error).__name__)
    return _refused(Refusal(500, "Internal error", "The emulator failed; its log says why."))


def _logged(scope: Scope, send: Send) -> Send:
    async def logging_send(message: Any) -> None:
        if message["type"] == "http.response.start":
            logger.debug("%s %s: %d", scope["method"], ascii(scope["path"])[1:-1][:80], message["status"])
        await send(message)

    return logging_send
