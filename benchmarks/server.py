"""A loopback server in a process of its own. In: `python -m benchmarks.server [chat]`. Out: its port on line one.

`/feed` sends the workload over and over, each time that the client says go, and passes over what else it says; `/talk`
is the same behind a session: it acknowledges the configuration, and feeds for each message of the user, with fresh
ids; `/live` sends 20 ms of audio every 20 ms once the client says go, `/live-talk` does so behind a session; `/sink`
reads and drops; `/stt` says that it is ready and then does the same, `/tts` answers each `text.done` with speech;
`/idle` waits.

With `chat` it speaks HTTP: each POST is answered with the chat workload, one event a write. `/endless` begins and
never ends, `/open` tells how many other connections there are.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import uuid
from typing import Any

import pybase64
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from benchmarks.workload import MIC_FRAME, chat_events, messages, speech_messages

__all__ = ["main"]

ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = 4
"""The first messages of the workload, which a session has seen before it asks."""
CREATED, CONVERSATION, _PING, UPDATED = messages()[:HEAD]


async def _handle(socket: Any) -> None:
    # Some clients add a segment of their own to the path they are given.
    path = "/" + socket.request.path.partition("?")[0].split("/")[1]
    try:
        await _ANSWERS.get(path, _drop)(socket)
    except ConnectionClosed:
        return


async def _feed(socket: Any) -> None:
    rows = messages()
    async for message in socket:
        if message == "go" or json.loads(message)["type"] == "go":
            for row in rows:
                await socket.send(row, text=True)


async def _talk(socket: Any) -> None:
    rows = messages()[HEAD:]
    await _greet(socket)
    async for message in socket:
        if await _is_asked(socket, message):
            for row in _renamed(rows):
                await socket.send(row, text=True)


def _renamed(rows: list[bytes]) -> list[bytes]:
    fresh: dict[bytes, bytes] = {}

    def name(found: re.Match[bytes]) -> bytes:
        return fresh.setdefault(found[0], str(uuid.uuid4()).encode())

    return [ID.sub(name, row) for row in rows]


async def _live(socket: Any) -> None:
    async for _ in socket:
        await _stream(socket)


async def _live_talk(socket: Any) -> None:
    await _greet(socket)
    async for message in socket:
        if await _is_asked(socket, message):
            await _stream(socket)


async def _greet(socket: Any) -> None:
    await socket.send(CREATED, text=True)
    await socket.send(CONVERSATION, text=True)


async def _is_asked(socket: Any, message: str) -> bool:
    event = json.loads(message)
    if event["type"] == "session.update":
        await socket.send(UPDATED, text=True)
    return bool(event["type"] == "conversation.item.create" and event["item"]["type"] == "message")


async def _stream(socket: Any) -> None:
    fields = {"response_id": "response", "item_id": "item", "output_index": 0, "content_index": 0}
    event = {"type": "response.output_audio.delta", **fields, "delta": pybase64.b64encode_as_string(MIC_FRAME)}
    row = json.dumps({**event, "event_id": str(uuid.uuid4()), "previous_item_id": None}).encode()
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        await socket.send(row, text=True)
        due += 0.02
        await asyncio.sleep(max(0.0, due - loop.time()))


async def _stt(socket: Any) -> None:
    await socket.send('{"type":"transcript.created","id":"bench"}')
    async for message in socket:
        if isinstance(message, str):
            await socket.send('{"type":"transcript.done","text":"","words":[],"duration":0.0}')
            return


async def _tts(socket: Any) -> None:
    rows = speech_messages()
    async for message in socket:
        if json.loads(message)["type"] == "text.done":
            for row in rows:
                await socket.send(row, text=True)


async def _drop(socket: Any) -> None:
    async for _ in socket:
        pass


_ANSWERS = {"/feed": _feed, "/talk": _talk, "/live": _live, "/live-talk": _live_talk, "/stt": _stt, "/tts": _tts}


class _Chat:
    """Answers chat over HTTP/1.1, on connections that are kept."""

    def __init__(self) -> None:
        self._open = 0
        rows = chat_events()
        self._rows = [b"%x\r\n%b\r\n" % (len(row), row) for row in rows]
        self._ways = {b"/endless": self._for_ever}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1]
                length = re.search(rb"content-length: (\d+)", head.lower())
                await reader.readexactly(int(length[1]) if length else 0)
                if target == b"/open":
                    count = b"%d" % (self._open - 1)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(count) + count)
                    continue
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                await self._ways.get(target.partition(b"?")[0], self._at_once)(reader, writer)
                writer.write(b"0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._open -= 1
            writer.close()

    async def _at_once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for row in self._rows:
            writer.write(row)
            await writer.drain()

    async def _for_ever(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for row in self._rows[: len(self._rows) // 2]:
            writer.write(row)
            await writer.drain()
        await reader.read()


async def chat() -> None:
    """Answer chat until standard input closes."""
    async with await asyncio.start_server(_Chat().answer, "127.0.0.1", 0, backlog=2048) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def main() -> None:
    """Serve until standard input closes."""
    async with serve(_handle, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(chat() if "chat" in sys.argv[1:] else main())
