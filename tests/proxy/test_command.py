"""The command `record` as a process: what it prints, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.transport.peers import proper
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.cli import main
from xai_realtime.errors import ConnectionClosedError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 30
KEY = "xai-canary-0123456789abcdef0123"


async def greet(connection: ServerConnection) -> None:
    try:
        await connection.send(f'{{"type":"error","message":"the key is {KEY}"}}')
        await connection.recv()
        await connection.send('{"type":"ping"}')
        await connection.wait_closed()
    except ConnectionClosed:
        return


@contextmanager
def command(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    process = subprocess.Popen(
        [sys.executable, "-m", "xai_realtime", "record", *map(str, arguments)],
        cwd=ROOT,
        env={**environment, "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def listening(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def talk(url: str, *, ends: bool = True) -> None:
    """One question; the key goes along."""

    async def main() -> None:
        request = ChannelRequest(url, headers={"Authorization": f"Bearer {KEY}"})
        with anyio.fail_after(10):
            async with WebSocketTransport().open(request) as channel:
                await channel.receive()
                await channel.send(Frame(b'{"type":"response.create"}'))
                assert (await channel.receive()).data == b'{"type":"ping"}'
                if ends:
                    return
                with pytest.raises(ConnectionClosedError):
                    await channel.receive()

    anyio.run(main)


@pytest.mark.behaviour("proxy-ends")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_finishes_the_tape_and_says_where_it_is(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "call.jsonl"
    with proper(greet) as upstream, command("--upstream", upstream, "--port", 0, "--json", path) as process:
        told = listening(process)
        assert told["upstream"] == upstream.removesuffix("/v1/realtime")
        talk(told["websocket"])
        process.send_signal(number)
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(output) == {"cassette": str(path), "connections": 1, "refused": 0, "not_reached": 0}
    tape = load_cassette(path)
    assert (tape.complete, [record.type for record in tape.connections[1].frames]) == (
        True,
        ["error", "response.create", "ping"],
    )
    assert "canary" not in path.read_text() + output
    assert [entry.name for entry in tmp_path.iterdir()] == ["call.jsonl"]


@pytest.mark.behaviour("proxy-ends")
def test_killed_process_leaves_a_partial_tape_that_loads(tmp_path: Path) -> None:
    with (
        proper(greet) as upstream,
        command("--upstream", upstream, "--port", 0, "--json", tmp_path / "t.jsonl") as process,
    ):
        talk(listening(process)["websocket"])
        process.kill()
        process.wait(TIMEOUT_S)
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.jsonl.partial"]
    tape = load_cassette(tmp_path / "t.jsonl.partial")
    assert (tape.complete, len(tape.connections[1].frames)) == (False, 3)


def test_command_tells_a_person_where_to_point_a_client_and_what_happened(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    with proper(greet) as upstream, command("--upstream", upstream, "--port", 0, path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(9)]
        (url,) = [line.split()[1] for line in lines if line.strip().startswith("WebSocket")]
        (base,) = [line.split()[2] for line in lines if line.strip().startswith("base URL")]
        assert url == f"{base.replace('http', 'ws')}/realtime"
        assert "Ctrl-C" in lines[-1]
        talk(url)
        for words in ("connection 1: open", "connection 1: over"):
            assert process.stdout.readline().strip() == words
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    assert output == f"\nThe tape is {path}: 1 connection.\n"


def run_here(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["record", *map(str, arguments)])
    captured = capsys.readouterr()
    assert captured.out == ""
    return status, captured.err


def test_command_replaces_no_tape_unless_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("precious")
    status, errors = run_here(capsys, "--upstream", "ws://127.0.0.1:1", path)
    assert status == 2
    assert "is there already: give another name, or --replace" in errors
    with command("--upstream", "ws://127.0.0.1:1", "--port", 0, "--json", "--replace", path) as process:
        listening(process)
        assert path.read_text() == "precious"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=TIMEOUT_S)
    assert load_cassette(path).connections == {}


@pytest.mark.parametrize(
    ("upstream", "name", "words"),
    [
        ("ftp://x", "t.jsonl", "allowed are http"),
        ("wss://api.x.ai/v1?model=x", "t.jsonl", "no query"),
        ("wss://api.x.ai/v1", "t.json", ".jsonl"),
    ],
)
def test_command_exits_with_2_and_a_sentence_when_it_cannot_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], upstream: str, name: str, words: str
) -> None:
    status, errors = run_here(capsys, "--upstream", upstream, "--port", 0, tmp_path / name)
    assert status == 2
    assert words in errors
    assert list(tmp_path.iterdir()) == []


def test_command_exits_with_2_when_the_port_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, errors = run_here(capsys, "--upstream", "ws://127.0.0.1:1", "--port", port, tmp_path / "t.jsonl")
    assert status == 2
    assert "in use" in errors
