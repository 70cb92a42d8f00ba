"""The untyped baselines, each the calls named in its first line and nothing else."""

from __future__ import annotations

from typing import Any

import orjson
import pybase64

__all__ = ["append", "chat_stream", "load_lines", "parse", "receive"]

CHAT = {"model": "grok-4.6", "messages": [{"role": "user", "content": "go"}], "stream": True}


def parse(rows: list[bytes]) -> None:
    """`orjson.loads(b)` + `pybase64.b64decode(s)`."""
    for row in rows:
        event = orjson.loads(row)
        if event["type"] == "response.output_audio.delta":
            pybase64.b64decode(event["delta"])


async def receive(socket: Any, count: int) -> None:
    """websockets `recv(decode=False)`."""
    for _ in range(count):
        await socket.recv(decode=False)


async def append(socket: Any, audio: bytes, count: int) -> None:
    """Concatenated bytes + pybase64 over websockets."""
    for _ in range(count):
        message = b'{"type":"input_audio_buffer.append","audio":"' + pybase64.b64encode(audio) + b'"}'
        await socket.send(message, text=True)


async def chat_stream(client: Any, url: str) -> list[Any]:
    """httpx2 `aiter_raw`, `bytes.split` at blank lines, `orjson.loads` of each event."""
    found = []
    rest = b""
    async with client.stream("POST", url, json=CHAT) as response:
        async for piece in response.aiter_raw():
            *blocks, rest = (rest + piece).split(b"\n\n")
            for block in blocks:
                data = block[6:]
                if data != b"[DONE]":
                    found.append(orjson.loads(data))
    return found


def load_lines(path: str) -> int:
    """JSON lines with inline audio: `orjson.loads` a line, `pybase64.b64decode` of its audio."""
    total = 0
    with open(path, "rb") as file:
        for line in file:
            event = orjson.loads(line)["json"]
            if event["type"] == "response.output_audio.delta":
                total += len(pybase64.b64decode(event["delta"]))
    return total
