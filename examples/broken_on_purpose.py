"""A client that tries again, and a line that breaks four times on purpose: refused, cut, stalled, damaged.

The other side is a few lines in this process, and all of it passes in virtual time: no waiting, the same every run.
"""

from __future__ import annotations

import anyio

from xai_realtime import (
    AsyncClient,
    ConnectionClosedError,
    Fault,
    Frame,
    HandshakeError,
    InvalidEvent,
    MemoryServer,
    faults,
    memory_pair,
    run_virtual,
)
from xai_realtime.events.realtime import ConversationItemCreate, InputTextPart, MessageItem, ResponseCreate

PLAN = [
    Fault.refuse(503, "overloaded", conn=1),
    Fault.cut(on="response.done", conn=2),
    Fault.stall(on="response.created", conn=3),
    Fault.corrupt("bad_json", on="response.done", conn=4),
]


async def ask(client: AsyncClient) -> str:
    """One question over the typed wire; how it went."""
    async with client.realtime.connect() as connection:
        question = MessageItem(role="user", content=[InputTextPart(text="Is it high tide?")])
        await connection.send(ConversationItemCreate(item=question))
        await connection.send(ResponseCreate())
        with anyio.fail_after(20):
            while True:
                event = await connection.receive()
                if isinstance(event, InvalidEvent):
                    raise ValueError(f"unreadable: {event.reason}")
                if event.type == "response.done":
                    return "answered"


async def ask_until_answered(client: AsyncClient) -> None:
    """What a robust program does: tell failures apart, wait a little longer each time, try again."""
    pause_s = 1.0
    while True:
        try:
            print(f"{anyio.current_time():5.1f} s  {await ask(client)}")
            return
        except (ConnectionClosedError, HandshakeError, TimeoutError, ValueError) as failure:
            print(f"{anyio.current_time():5.1f} s  {str(failure) or 'nothing came for 20 s'}")
        await anyio.sleep(pause_s)
        pause_s *= 2


async def serve(server: MemoryServer) -> None:
    """The other side of the line: answers every question after half a second."""
    while True:
        _, channel = await server.accept()
        try:
            await channel.receive()
            await channel.receive()
            await channel.send(Frame(b'{"type":"response.created","response":{"id":"resp_1"}}'))
            await anyio.sleep(0.5)
            await channel.send(Frame(b'{"type":"response.done","response":{"id":"resp_1"}}'))
            await channel.receive()
        except ConnectionClosedError:
            await channel.aclose()


async def main() -> None:
    line, server = memory_pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, server)
        broken = faults(line, PLAN, fail_unused=True)
        async with AsyncClient(transport=broken) as client:
            await ask_until_answered(client)
        tasks.cancel_scope.cancel()
    server.close()
    print("What was done to the line:")
    for injection in broken.trace:
        print(f"  {injection}")


if __name__ == "__main__":
    run_virtual(main)
