"""Chat under test: a service that answers as it is told, the emulator, and what went over the line.

@BACKENDS
def test_...(backend):
    async def main():
        async with asking(sse(said("Hello"), stop())) as (chat, service):
            async with chat.stream("grok-4.6", "hi") as stream: ...
    run(main, backend)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import trio.lowlevel

from tests.tapes import BACKENDS
from xai_realtime import AsyncClient
from xai_realtime.client.chat import Chat
from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.transport.base import ChannelRequest, HttpRequest, HttpResponse, Transport
from xai_realtime.virtual_time import run_virtual

__all__ = [
    "BACKENDS",
    "DONE",
    "JSON",
    "MODEL",
    "SSE",
    "Hang",
    "Service",
    "Told",
    "asked",
    "asking",
    "calls",
    "chunk",
    "emulated",
    "event",
    "outcome_of",
    "refusal",
    "run",
    "said",
    "sse",
    "stop",
    "tasks_living",
    "usage",
    "whole",
]

MODEL = "grok-4.6"
SSE = "text/event-stream"
JSON = "application/json"
DONE = b"data: [DONE]\n\n"
PATIENCE_S = 3_600.0
"""Of virtual time."""


class Hang:
    """A piece of a body that never comes."""


Piece = bytes | float | Exception | Hang | Callable[[], None]


@dataclass
class Told:
    """One answer: a piece that is a number is a pause in seconds, an exception is raised, Hang never comes.

    A function is called, and nothing happens between it and the piece behind it. `after_s` is until its head comes.
    """

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0


Script = Told | Exception | Callable[[HttpRequest], "Told | Exception"]


class Service(Transport):
    """Gives its answers in order, the last one for ever; `asked` are the requests with their time in ms.

    `log` says in which order bodies were begun and let go, and answers let go; `open_answers` how many are held.
    """

    def __init__(self, *script: Script) -> None:
        self.asked: list[HttpRequest] = []
        self.at_ms: list[float] = []
        self.log: list[str] = []
        self.open_answers = 0
        self._script = script

    @property
    def bodies(self) -> list[Any]:
        """What was sent."""
        return [json.loads(request.body) for request in self.asked if isinstance(request.body, bytes)]

    def open(self, request: ChannelRequest) -> Any:
        raise AssertionError("chat opens no sockets")

    def request(self, request: HttpRequest) -> Any:
        return self._request(request)

    @asynccontextmanager
    async def _request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        self.asked.append(request)
        self.at_ms.append(anyio.current_time() * 1000)
        told = self._script[min(len(self.asked), len(self._script)) - 1]
        if callable(told) and not isinstance(told, Exception):
            told = told(request)
        await anyio.lowlevel.checkpoint()
        if isinstance(told, Exception):
            raise told
        await anyio.sleep(told.after_s)
        self.open_answers += 1
        try:
            async with aclosing(self._pieces(told)) as body:
                try:
                    yield HttpResponse(told.status, tuple(told.headers.items()), body)
                finally:
                    self.log.append("answer")
        finally:
            self.open_answers -= 1

    async def _pieces(self, told: Told) -> AsyncGenerator[bytes, None]:
        self.log.append("begun")
        try:
            before: Any = None
            for piece in told.pieces:
                if not callable(before):
                    await anyio.lowlevel.checkpoint()
                before = piece
                if isinstance(piece, Exception):
                    raise piece
                if isinstance(piece, Hang):
                    await anyio.sleep_forever()
                elif isinstance(piece, bytes):
                    yield piece
                elif callable(piece):
                    piece()
                else:
                    await anyio.sleep(piece)
        finally:
            self.log.append("body")


def event(value: Any) -> bytes:
    """One event of a stream; bytes are its data as they are."""
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def chunk(delta: Any = None, *, choices: Any = ..., finish: str | None = None, **more: Any) -> bytes:
    """One chunk; with `choices` those as they are."""
    choice: dict[str, Any] = {"index": 0, "delta": delta if delta is not None else {}}
    if finish is not None:
        choice["finish_reason"] = finish
    shown = [choice] if choices is ... else choices
    named = {"id": "chat-id-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "grok-4.6-0807"}
    return event({**named, "choices": shown, **more})


def said(text: str, **more: Any) -> bytes:
    """A piece of text."""
    return chunk({"content": text}, **more)


def stop(reason: str = "stop", **more: Any) -> bytes:
    """The chunk with the finish reason."""
    return chunk({}, finish=reason, **more)


def calls(*listed: tuple[int, str, str, str]) -> dict[str, Any]:
    """A delta with calls: index, id, name, arguments."""
    return {
        "tool_calls": [
            {"index": index, "id": name, "type": "function", "function": {"name": function, "arguments": arguments}}
            for index, name, function, arguments in listed
        ]
    }


def usage(prompt: int = 12, completion: int = 2, reasoning: int = 0) -> dict[str, Any]:
    """Usage as the live service counts it."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion + reasoning,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def sse(*pieces: Piece, done: bool = True, **more: Any) -> Told:
    """A stream."""
    return Told([*pieces, *([DONE] if done else [])], headers={"Content-Type": f"{SSE}; charset=utf-8"}, **more)


def whole(text: str = "Hello", **more: Any) -> Told:
    """A whole answer."""
    body = {
        "id": "chat-id-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "grok-4.6-0807",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": usage(),
        **more,
    }
    return Told([json.dumps(body).encode()], headers={"Content-Type": JSON})


def refusal(status: int, body: Any = None, *, content_type: str = JSON, **headers: str) -> Told:
    """An answer that says no; a mapping goes out as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body or {"code": "no", "error": "No."}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Told([data] if data else [], status, {"Content-Type": content_type, **named})


def tasks_living() -> int:
    """How many tasks the event loop has."""
    try:
        return trio.lowlevel.current_statistics().tasks_living
    except RuntimeError:
        return len(asyncio.all_tasks())


@asynccontextmanager
async def asking(*script: Script, **options: Any) -> AsyncIterator[tuple[Chat, Service]]:
    """Chat with a service that answers so; nothing of it is held when this ends."""
    service = Service(*script)
    options.setdefault("api_key", "xai-test-key")
    async with AsyncClient(transport=service, **options) as client:
        yield client.chat, service
    assert service.open_answers == 0
    assert service.log.count("begun") == service.log.count("body")
    if service.log.count("begun") == 1 and service.asked[-1].headers.get("Accept") == SSE:
        assert service.log[-2:] == ["body", "answer"], "a body is let go before its answer"


@asynccontextmanager
async def emulated(scenario: Any = None, **quirks: Any) -> AsyncIterator[Chat]:
    """Chat with the emulator in process; `quirks` are those of ChatQuirks."""
    emulator = Emulator(scenario, seed=1, chat=ChatQuirks(**quirks))
    async with AsyncClient(transport=emulator.transport()) as client:
        yield client.chat


def run(main: Callable[[], Awaitable[Any]], backend: str) -> Any:
    """Run in virtual time, within an hour of it."""

    async def bounded() -> Any:
        with anyio.fail_after(PATIENCE_S):
            return await main()

    return run_virtual(bounded, backend=backend)  # type: ignore[arg-type]


async def asked(chat: Chat, verb: str, **options: Any) -> ChatReply:
    """The whole answer, by either way."""
    if verb == "create":
        return await chat.create(MODEL, "hi", **options)
    async with chat.stream(MODEL, "hi", **options) as stream:
        return await stream.finish()


def outcome_of(verb: str, *script: Any, backend: str, **policy: Any) -> tuple[Any, list[float]]:
    """The answer or the error, and when each request went out, in seconds."""

    async def main() -> tuple[Any, list[float]]:
        async with asking(*script, chat_policy=ChatPolicy(**policy)) as (chat, service):
            try:
                found: Any = await asked(chat, verb)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                found = error
            return found, [round((at - service.at_ms[0]) / 1000, 3) for at in service.at_ms]

    result: tuple[Any, list[float]] = run(main, backend)
    return result
