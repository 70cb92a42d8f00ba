"""`python -m benchmarks.upload`: what a file of 500 MB costs to send. In: nothing. Out: Markdown on stdout.

A process of its own sends a sparse file to a server in this process, which reads it and answers. Measured are the most
memory that process had during the upload, beyond what it had before, its time on the CPU, and the time it took.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["main"]

SIZE_BYTES = 500 * 1000 * 1000
ANSWER = b'{"text": "", "language": "", "duration": 15625.0}'
BACKENDS = ("asyncio", "trio")
KINDS = ("path", "file", "iterator")
SENDER = """
import sys, time, anyio
from pathlib import Path
from xai_realtime import AsyncClient


backend, kind, path, port = sys.argv[1:]

def memory_bytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

async def pieces():
    with open(path, "rb") as file:
        while piece := file.read(64 * 1024):
            yield piece

async def main():
    client = AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", api_key="key")
    async with client:
        await client.stt.transcribe(b"warm", audio_format="pcm", sample_rate=16000)
        before, start, cpu = memory_bytes("VmRSS"), time.perf_counter(), time.process_time()
        Path("/proc/self/clear_refs").write_text("5")
        source = open(path, "rb") if kind == "file" else Path(path) if kind == "path" else pieces()
        await client.stt.transcribe(source, audio_format="pcm", sample_rate=16000)
        print(memory_bytes("VmHWM") - before, time.process_time() - cpu, time.perf_counter() - start)

anyio.run(main, backend=backend)
"""


def main() -> None:
    """Measure and print."""
    print("| loop | source | memory | CPU | time |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "silence.pcm"
        with path.open("wb") as file:
            file.truncate(SIZE_BYTES)
        for backend in BACKENDS:
            for kind in KINDS:
                memory_bytes, cpu_s, time_s = asyncio.run(_upload(backend, kind, path))
                print(
                    f"| {backend} | {kind} | {memory_bytes / 1e6:.1f} MB | {cpu_s:.2f} s | {time_s:.2f} s |", flush=True
                )


async def _upload(backend: str, kind: str, path: Path) -> tuple[float, float, float]:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    arguments = [sys.executable, "-c", SENDER, backend, kind, str(path), str(port)]
    async with server:
        process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the upload failed")
    memory_bytes, cpu_s, time_s = map(float, output.split())
    return memory_bytes, cpu_s, time_s


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length:")), None)
        if length is None:
            while size := int(await reader.readline(), 16):
                await _skip(reader, size + 2)
            await reader.readline()
        else:
            await _skip(reader, int(length.partition(b":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
        await writer.drain()
    finally:
        writer.close()


async def _skip(reader: asyncio.StreamReader, count: int) -> None:
    while count:
        piece = await reader.read(min(count, 1024 * 1024))
        if not piece:
            raise RuntimeError("the upload broke off")
        count -= len(piece)


if __name__ == "__main__":
    main()
