"""`python -m benchmarks.peers`: this library and the other clients in turns. In: nothing. Out: Markdown on stdout.

Each client runs in its own environment (`make bench-peers` makes them), a fresh process for each measure and turn, and
beside it in the same process the untyped baseline. A client that is not installed or fails is named, not left out.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.workload import MIC_FRAME, messages

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
TURNS = 3
ROUNDS = {"parse": 21, "unread": 21, "receive": 21, "session": 21, "send": 11, "chat": 21}
IMPORTS = 7
WORKER_S = 300
GOALS = {
    "parse": ("bytes to typed event, PCM in hand", "<= 1.2, then <= 0.95"),
    "unread": ("bytes to typed event, audio not read", "<= 0.9"),
    "receive": ("receive over loopback, typed, PCM in hand, CPU", "<= 1.5"),
    "session": ("same through the session", "<= 2.0"),
    "send": ("send a 20 ms microphone frame, CPU", "<= 1.05"),
    "chat": ("chunk of a chat stream, CPU against httpx2 + split + orjson", "<= 1.4, then <= 1.2"),
}


@dataclass
class Client:
    """One client: where it lives, what it can do, and what was measured so far."""

    name: str
    module: str
    ready: str
    packages: tuple[str, ...]
    measures: tuple[str, ...]
    folder: Path | None = None
    pairs: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    import_ms: float = float("inf")
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return sys.executable if self.folder is None else str(self.folder / "bin" / "python")

    @property
    def installed(self) -> bool:
        return self.folder is None or (self.folder / ".stamp").exists()


HERE_READY = (
    "from xai_realtime import AsyncClient, Frame\n"
    "from xai_realtime.codec import realtime_codec\n"
    "AsyncClient(api_key='x').realtime\n"
    'realtime_codec.decode(Frame(b\'{"type":"ping"}\'))'
)
OPENAI_READY = "from openai import AsyncOpenAI\nAsyncOpenAI(api_key='x').realtime"
PIPECAT_READY = "from pipecat.services.xai.realtime.llm import GrokRealtimeLLMService"


def clients() -> list[Client]:
    """This library and its peers, in the order of the columns."""
    here = Client(
        "here",
        "benchmarks.peers.here",
        HERE_READY,
        ("pydantic", "websockets", "httpx2"),
        ("parse", "unread", "receive", "session", "send", "chat"),
    )
    openai = Client(
        "openai",
        "benchmarks.peers.openai_realtime",
        OPENAI_READY,
        ("openai", "websockets", "httpx2"),
        ("parse", "unread", "receive", "send", "chat"),
    )
    livekit = Client(
        "livekit",
        "benchmarks.peers.livekit_xai",
        "from livekit.plugins.xai.realtime import RealtimeModel",
        ("livekit-plugins-xai", "aiohttp", "websockets"),
        ("parse", "receive", "send"),
    )
    pipecat = Client(
        "pipecat",
        "benchmarks.peers.pipecat_grok",
        PIPECAT_READY,
        ("pipecat-ai", "websockets"),
        ("parse", "unread", "receive", "session", "send"),
    )
    videosdk = Client(
        "videosdk",
        "benchmarks.peers.videosdk_xai",
        "from videosdk.plugins.xai import XAIRealtime",
        ("videosdk-plugins-xai", "aiohttp", "websockets"),
        ("parse", "receive", "send"),
    )
    for peer in (openai, livekit, pipecat, videosdk):
        peer.folder = ROOT / f".venv-peer-{peer.name}"
    return [here, openai, livekit, pipecat, videosdk]


def main() -> int:
    """Measure and print."""
    everyone = clients()
    present = [client for client in everyone if client.installed]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "messages.jsonl").write_bytes(b"\n".join(messages()))
        Path(folder, "frame.pcm").write_bytes(MIC_FRAME)
        for turn in range(TURNS):
            # Each turn begins with another client, so that no one always runs after the same neighbour.
            order = present[turn % len(present) :] + present[: turn % len(present)]
            for measure in ROUNDS:
                print(f"turn {turn + 1} of {TURNS}: {measure}", file=sys.stderr, flush=True)
                _take_turns(order, measure, folder)
    print("imports", file=sys.stderr, flush=True)
    above_bare_ms = _imports(present)
    _print(everyone, above_bare_ms)
    return 1 if everyone[0].failures else 0


def _take_turns(order: list[Client], measure: str, folder: str) -> None:
    with _server("chat" if measure == "chat" else "") as port:
        for client in order:
            if measure not in client.measures or measure in client.failures:
                continue
            command = [client.python, "-m", client.module, measure, folder, str(port), str(ROUNDS[measure])]
            output = _output(client, measure, command)
            if output is not None:
                result = json.loads(output.splitlines()[-1])
                client.messages[measure] = result["messages"]
                client.pairs.setdefault(measure, []).extend(map(tuple, result["pairs"]))


def _imports(present: list[Client]) -> float:
    """Wall time of fresh interpreters, best of several, in turns; returned is `import xai_realtime` over none."""
    best = {"pass": float("inf"), "import xai_realtime": float("inf")}
    for _ in range(IMPORTS):
        for program in best:
            best[program] = min(best[program], _import_ms(present[0], program))
        for client in present:
            client.import_ms = min(client.import_ms, _import_ms(client, client.ready))
    return best["import xai_realtime"] - best["pass"]


def _import_ms(client: Client, program: str) -> float:
    if "import" in client.failures:
        return float("inf")
    start = time.perf_counter()
    output = _output(client, "import", [client.python, "-c", program])
    return (time.perf_counter() - start) * 1000 if output is not None else float("inf")


def _output(client: Client, measure: str, command: list[str]) -> str | None:
    """What the process printed, or nothing and the reason kept as this client's failure."""
    try:
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WORKER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        client.failures[measure] = type(error).__name__
        return None
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
        client.failures[measure] = lines[-1][:300]
        return None
    return run.stdout


@contextmanager
def _server(kind: str) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.server", kind]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait(10)


def _print(everyone: list[Client], above_bare_ms: float) -> None:
    names = " | ".join(client.name for client in everyone)
    print(f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n")
    for client in everyone:
        print(f"* {client.name}: {_versions(client)}")
    print(f"\n| measure | {names} | goal |\n|---|{'---|' * len(everyone)}---|")
    for measure, (title, goal) in GOALS.items():
        print(f"| {title} | {' | '.join(_ratio(client, measure) for client in everyone)} | {goal} |")
    ready = " | ".join(_ready(client) for client in everyone)
    print(f"| import, realtime client ready, ms | {ready} | <= 200, then <= 150 |")
    print(f"| `import xai_realtime` over bare Python, ms | {above_bare_ms:+.1f} |{' |' * (len(everyone) - 1)} <= 10 |")
    print(f"\nMicroseconds a message, and those of the baseline beside it:\n\n| measure | {names} |")
    print(f"|---|{'---|' * len(everyone)}")
    for measure, (title, _) in GOALS.items():
        print(f"| {title} | {' | '.join(_microseconds(client, measure) for client in everyone)} |")
    for client in everyone:
        for measure, reason in client.failures.items():
            print(f"\n{client.name}, {measure}: failed: {reason}")


def _versions(client: Client) -> str:
    if not client.installed:
        return "not installed; `make bench-peers` says why"
    program = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    output = _output(client, "versions", [client.python, "-c", program, *client.packages])
    versions = output.split() if output is not None else ["unknown"] * len(client.packages)
    named = [f"{name} {version}" for name, version in zip(client.packages, versions, strict=True)]
    return ", ".join(["this tree", *named] if client.folder is None else named)


def _measured(client: Client, measure: str) -> str | None:
    """The name under which a client has this measure: what takes messages off the line may be its session already."""
    if measure == "session" and client.name in ("livekit", "videosdk"):
        return "receive"
    return measure if measure in client.measures else None


def _missing(client: Client, measure: str | None) -> str | None:
    if not client.installed:
        return "not installed"
    if measure is None:
        return "-"
    return "failed" if measure in client.failures else None


def _ratio(client: Client, measure: str) -> str:
    name = _measured(client, measure)
    missing = _missing(client, name)
    if name is None or missing is not None:
        return missing or "-"
    return f"{statistics.median(mine / baseline for baseline, mine in client.pairs[name]):.2f}"


def _microseconds(client: Client, measure: str) -> str:
    name = _measured(client, measure)
    missing = _missing(client, name)
    if name is None or missing is not None:
        return missing or "-"
    pairs, count = client.pairs[name], client.messages[name]
    baseline, mine = (statistics.median(side) / count * 1e6 for side in zip(*pairs, strict=True))
    return f"{mine:.1f} ({baseline:.1f})"


def _ready(client: Client) -> str:
    return _missing(client, "import") or f"{client.import_ms:.0f}"


if __name__ == "__main__":
    sys.exit(main())
