"""A loopback server in a process of its own. In: `python -m benchmarks.server`. Out: its port on the first line.

`/feed` sends the workload over and over, at the client's word; `/sink` reads and drops; `/idle` waits.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from benchmarks.workload import messages

__all__ = ["main"]


async def _handle(socket: Any) -> None:
    path = socket.request.path
    try:
        if path.startswith("/feed"):
            rows = messages()
            async for _ in socket:
                for row in rows:
                    await socket.send(row, text=True)
        else:
            async for _ in socket:
                pass
    except ConnectionClosed:
        return


async def main() -> None:
    """Serve until standard input closes."""
    async with serve(_handle, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
