"""HTTP conversations recorded and replayed in virtual time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from tests.http.peers import KEY, Scripted
from tests.tapes import on
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.transport.base import HttpRequest, Transport

__all__ = [
    "JSON",
    "SSE",
    "URL",
    "UUID",
    "lines",
    "of_kind",
    "post",
    "recorded",
    "recorded_again",
    "replayed",
    "texts",
    "timed",
]

URL = "https://api.x.ai/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}
UUID = "3f2b8c1e-58d1-4f0a-9d58-0d3c27c2a001"


def post(body: Any, url: str = URL, **headers: str) -> HttpRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpRequest("POST", url, {**JSON, "Authorization": f"Bearer {KEY}", **headers}, data)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_kind(path: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in lines(path) if line["kind"] == kind]


def texts(path: Path) -> list[tuple[float, str | None]]:
    """Time and text of every piece on the tape."""
    return [(line["at_ms"], line.get("text")) for line in of_kind(path, "chunk")]


Talk = Callable[[Transport], Awaitable[Any]]


def recorded(backend: str, path: Path, answer: Any, talk: Talk, **options: Any) -> Path:
    """The tape of a talk with a scripted server, in virtual time. The run may fail."""

    async def main() -> Path:
        taping = record(path, Scripted(answer), **{"origin": "synthetic", "service": "chat", **options})
        async with taping:
            await talk(taping)
        return taping.path

    made: Path = on(backend, main)
    assert check_cassette(made).findings == []
    return made


def replayed(backend: str, path: Path, talk: Talk, **options: Any) -> Any:
    async def main() -> Any:
        async with replay(path, **{"clock": "virtual", **options}) as transport:
            return await talk(transport)

    return on(backend, main)


def recorded_again(backend: str, path: Path, talk: Talk) -> bytes:
    """What a recording of a replay of the tape holds."""
    target = path.with_name("again.jsonl")

    async def main() -> None:
        async with record(target, replay(path, clock="virtual")) as transport:
            await talk(transport)

    on(backend, main)
    return target.read_bytes()


async def timed(transport: Transport, request: HttpRequest) -> list[tuple[float, bytes]]:
    """The pieces of an answer with the milliseconds at which each came."""
    zero = anyio.current_time()
    async with transport.request(request) as response:
        return [(round((anyio.current_time() - zero) * 1000, 1), piece) async for piece in response]
