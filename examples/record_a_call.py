"""Record a conversation, then replay the recording.

Here the other side is a few lines in this process; with `WebSocketTransport()` and a key it is Grok.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio

from xai_realtime import AsyncClient, Frame, MemoryServer, memory_pair, record, replay
from xai_realtime.events.realtime import ConversationItemCreate, InputTextPart, MessageItem, ResponseCreate


async def ask(client: AsyncClient) -> list[str]:
    """One question over the typed wire; the types of the answers."""
    async with client.realtime.connect() as connection:
        question = MessageItem(role="user", content=[InputTextPart(text="Is it high tide?")])
        await connection.send(ConversationItemCreate(item=question))
        await connection.send(ResponseCreate())
        return [(await connection.receive()).type or "?" for _ in range(2)]


async def answer(server: MemoryServer) -> None:
    """The other side of the line."""
    _, channel = await server.accept()
    await channel.receive()
    await channel.receive()
    await channel.send(Frame(b'{"type":"response.created","response":{"id":"resp_a1b2c3d4e5f6a7"}}'))
    done = b'{"type":"response.done","response":{"id":"resp_a1b2c3d4e5f6a7"},"usage":{"total_tokens":7}}'
    await channel.send(Frame(done))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tide.jsonl"
        transport, server = memory_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, server)
            async with AsyncClient(transport=record(path, transport, origin="synthetic")) as client:
                print("recorded:", await ask(client))
        print(path.read_text().count("\n"), "lines on the tape")
        async with AsyncClient(transport=replay(path)) as client:
            print("replayed:", await ask(client))


if __name__ == "__main__":
    anyio.run(main)
