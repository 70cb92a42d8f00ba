"""`python -m benchmarks`: measure everything once and print the table. In: nothing. Out: Markdown on stdout."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import TypeVar

from benchmarks import rows

__all__ = ["main", "served"]

Result = TypeVar("Result")
PACKAGES = ("pydantic", "pydantic-core", "anyio", "websockets", "pybase64", "orjson", "trio", "httpx2")


def main() -> None:
    """Measure and print."""
    print(f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores,", _versions(), "\n")
    print("| measure | here | goal |\n|---|---|---|")
    audio, unread = rows.parse()
    _row("bytes to typed event, audio in hand, against orjson + pybase64", f"{audio:.2f}", "<= 1.2, then <= 0.95")
    _row("bytes to typed event, audio unread, against the same", f"{unread:.2f}", "<= 0.9")
    ratio, raw_us = served(rows.receive)
    _row("receive over loopback, audio in hand, CPU against websockets", f"{ratio:.2f} (raw {raw_us:.1f} us)", "<= 1.5")
    ratio, raw_us = served(rows.send)
    _row("send a 20 ms microphone frame, CPU against websockets", f"{ratio:.3f} (raw {raw_us:.1f} us)", "<= 1.05")
    raw, ours = served(rows.memory)
    _row("memory of one open socket", f"{ours / 1000:.1f} kB (raw websockets {raw / 1000:.1f} kB)", "<= 22 kB")
    _imports()
    for backend, wall_ms in rows.replay().items():
        _row(f"replay of a 60 s tape in virtual time, {backend}", f"{wall_ms:.0f} ms", "<= 100 ms")
    tape = rows.cassette()
    frames = f"{tape['load_and_frames_ms']:.1f} ms with every frame's audio"
    inline = f"inline JSON lines {tape['inline_ms']:.1f} ms"
    _row("cassette load, 825 frames, 60 s audio", f"{tape['load_ms']:.1f} ms, {frames} ({inline})", "<= 12 ms")
    _row("cassette text against inline", f"{tape['text_share']:.1%}", "<= 8 %")


def _imports() -> None:
    best = rows.imports()
    bare = best["bare Python"]
    others = ", ".join(
        f"{name} {best[name]:.0f} ms" for name in ("import pydantic", "import websockets", "import httpx2")
    )
    _row("`import xai_realtime`, over bare Python", f"+{best['import xai_realtime'] - bare:.1f} ms", "<= 10 ms more")
    _row("realtime client ready", f"{best['realtime client ready']:.0f} ms ({others})", "<= 200 ms, then <= 150 ms")


def _row(measure: str, here: str, goal: str) -> None:
    print(f"| {measure} | {here} | {goal} |", flush=True)


def served(work: Callable[[int], Awaitable[Result]], *kind: str) -> Result:
    """Run one measurement against a fresh server process, of a kind that it knows."""
    command = [sys.executable, "-m", "benchmarks.server", *kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server has no pipes")
        port = int(server.stdout.readline())

        async def measured() -> Result:
            return await work(port)

        try:
            return asyncio.run(measured())
        finally:
            server.stdin.close()
            server.wait(10)


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


if __name__ == "__main__":
    main()
