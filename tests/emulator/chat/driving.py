"""Asking the emulated chat in process."""

from __future__ import annotations

import json
from typing import Any

import anyio

from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.errors import ConnectionBrokenError
from xai_realtime.transport.base import HttpRequest

__all__ = ["LOOK", "Told", "ask", "chat", "chunks_of", "complete", "get", "stream"]

MODEL = "grok-4.6"
LOOK = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Told:
    """An answer: status, headers, body, and whether it was cut."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes, *, is_cut: bool = False) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.is_cut = is_cut

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[bytes]:
        """What stands behind `data:`."""
        found = (line.strip() for line in self.body.splitlines())
        return [line.removeprefix(b"data: ") for line in found if line.startswith(b"data: ")]


async def ask(emulator: Emulator, method: str, path: str, body: Any = None, *, key: str = "k") -> Told:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    request = HttpRequest(method, f"http://emulator/v1{path}", {"Authorization": f"Bearer {key}"}, data)
    read, is_cut = b"", False
    with anyio.fail_after(10):
        async with emulator.transport().request(request) as answer:
            try:
                async for piece in answer:
                    read += piece
            except ConnectionBrokenError:
                is_cut = True
            headers = {name.lower(): value for name, value in answer.headers}
            return Told(answer.status, headers, read, is_cut=is_cut)


async def get(emulator: Emulator, path: str) -> Told:
    return await ask(emulator, "GET", path)


def chat(messages: Any = "hi", **fields: Any) -> dict[str, Any]:
    """The body of a request."""
    listed = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return {"model": MODEL, "messages": listed, **fields}


async def complete(messages: Any = "hi", *, emulator: Emulator | None = None, **fields: Any) -> Told:
    usual = emulator or Emulator(seed=1, pace="instant")
    return await ask(usual, "POST", "/chat/completions", chat(messages, **fields))


async def stream(
    messages: Any = "hi", *, quirks: ChatQuirks | None = None, scenario: Any = None, **fields: Any
) -> Told:
    emulator = Emulator(scenario, seed=1, pace="instant", chat=quirks)
    fields.setdefault("stream_options", {"include_usage": True})
    return await complete(messages, emulator=emulator, stream=True, **fields)


def chunks_of(told: Told) -> list[dict[str, Any]]:
    """The chunks of a stream that ends as it should."""
    assert (told.status, told.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert told.lines[-1] == b"[DONE]"
    return [json.loads(line) for line in told.lines[:-1]]
