"""`xai-realtime emulate` as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from xai_realtime import AsyncClient
from xai_realtime.cli import emulating as command_module
from xai_realtime.cli import main
from xai_realtime.emulator import Emulator

ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_S = 30


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "xai_realtime", "emulate", *map(str, arguments)]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return {**kept, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}


@contextmanager
def emulating(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running emulator, and what it said up to its last line of introduction."""
    process = subprocess.Popen(
        command("--port", 0, *arguments),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(TIMEOUT_S, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Ctrl-C"):
                break
        yield process, said
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def base_of(said: str) -> str:
    found = re.search(r"^  REST +(\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.behaviour("emulator-command")
def test_command_says_where_to_point_a_client_and_stops_when_it_is_told(stop: signal.Signals) -> None:
    with emulating("--seed", 3, "--pace", "instant", "--dialect", "openai") as (process, said):
        base = base_of(said)
        port = int(base.rpartition(":")[2].partition("/")[0])
        assert f"port {port}: scenario built in, dialect openai, pace instant, seed 3." in said
        assert f"  WebSocket   {base.replace('http', 'ws')}/realtime?model=grok-voice-latest\n" in said
        assert f"OPENAI_BASE_URL={base}\n" in said
        line = next(line for line in said.splitlines() if "curl" in line)
        url, header = line.split()[3], line.split('"')[1].split(": ")
        request = urllib.request.Request(url, method="POST", headers=dict([header]))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=5) as answer:
            assert set(json.load(answer)) == {"value", "expires_at"}
        process.send_signal(stop)
        out, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    assert out.split("\n") == ["", f"{stop.name}: stopping ...", "The emulator has stopped.", ""]
    assert errors == ""


@pytest.mark.behaviour("emulator-command")
def test_command_logs_events_without_content_and_stops_with_a_call_open(tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    scenario.write_text('[[turn]]\nwhen = "."\nsay = "SECRET {heard}"\n')

    async def call(base: str) -> None:
        async with AsyncClient(base_url=base, api_key="canary-key").realtime.connect() as connection:
            content = [{"type": "input_text", "text": "SECRET"}]
            item = {"type": "message", "role": "user", "content": content}
            await connection.send({"type": "conversation.item.create", "item": item})
            await connection.send({"type": "response.create"})
            with anyio.fail_after(5):
                while (await connection.receive()).type != "response.done":
                    pass
            process.send_signal(signal.SIGINT)
            async for _ in connection:
                pass

    with emulating("--log", "--scenario", scenario, "--pace", "instant") as (process, said):
        assert f"scenario {scenario}, dialect xai" in said
        with pytest.raises(Exception, match="1012"):
            anyio.run(call, base_of(said))
        out, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (0, "")
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3}  session 1 sent session\.created, \d+ bytes event_id=", out, re.MULTILINE)
    assert "session 1 received response.create, " in out
    assert "session 1 over" in out
    assert "SECRET" not in out
    assert "canary" not in out


@pytest.mark.behaviour("emulator-port-in-use")
def test_command_says_in_one_line_that_its_port_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"cannot listen at 127.0.0.1:{port}: the port is in use by another program\n"


@pytest.mark.behaviour("emulator-scenario-mistakes")
def test_command_names_file_line_and_field_of_a_bad_scenario(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[[turn]]\nwhen = "."\nsay = 3\n')
    done = run("--port", 0, "--scenario", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{path}:3: turn 1, say: is a number; a text is allowed\n"


@pytest.mark.parametrize(
    ("flags", "answers"), [([], True), (["--no-answer-to-commits"], False), (["--answer-to-commits"], True)]
)
def test_command_answers_commits_unless_it_is_told_not_to(
    flags: list[str], answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Emulator] = []

    async def run(emulator: Emulator, scenario: str) -> None:
        made.append(emulator)

    monkeypatch.setattr(command_module, "_run", run)
    main(["emulate", "--port", "0", *flags])
    assert [emulator.world.answers_commits for emulator in made] == [answers]


@pytest.mark.parametrize(
    "arguments", [["--port", "70000"], ["--dialect", "azure"], ["--pace", "fast"], ["--seed", "x"]]
)
def test_command_refuses_bad_arguments(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.behaviour("emulator-missing-extra")
def test_command_says_how_to_get_its_extra_when_that_is_missing() -> None:
    code = (
        "import importlib.util as u, sys; real = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name in ('starlette', 'uvicorn') else real(name, package)\n"
        "from xai_realtime.cli import main; sys.exit(main(['emulate', '--port', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "the emulator needs starlette and uvicorn: pip install 'xai-realtime[emulator]'\n"
