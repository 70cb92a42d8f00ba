"""The command as a process of its own: entry points, exit statuses, pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tapes import COMMITTED, In, Out, make_tape

ROOT = Path(__file__).resolve().parents[2]
TOOL_CALL = next(path for path in COMMITTED if path.stem == "tool_call")
TIMEOUT_S = 60
HIDE = """
import sys
from importlib.abc import MetaPathFinder

class Hide(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hide())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {hidden} else real(name, package)
from xai_realtime.cli import main
sys.exit(main({arguments}))
"""


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    kept = {name: value for name, value in kept.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**kept, "PYTHONWARNINGS": "error", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.behaviour("cli-replay-json")
def test_process_prints_one_json_object_for_a_replay_on_each_backend(backend: str) -> None:
    done = run("-m", "xai_realtime", "replay", TOOL_CALL, "--json", "--backend", backend)
    assert (done.returncode, done.stderr) == (0, b"")
    told = json.loads(done.stdout)
    assert (told["received"], told["sent"], told["unread"], told["unsent"]) == (51, 5, 0, 0)


@pytest.mark.behaviour("cli-plain-pipe")
def test_process_writes_no_escape_codes_into_a_pipe() -> None:
    done = run("-m", "xai_realtime", "demo", "--tape", TERM="xterm-256color", FORCE_COLOR="1", GITHUB_ACTIONS="true")
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout + done.stderr
    assert "PCM 24 kHz · turns by server_vad" in done.stdout.decode("utf-8")


@pytest.mark.behaviour("cli-unicode-safe")
def test_process_writes_ascii_when_its_output_can_hold_nothing_else() -> None:
    done = run("-m", "xai_realtime", "demo", "--tape", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"PCM 24 kHz - turns by server_vad" in done.stdout


@pytest.mark.behaviour("cli-exit-status")
def test_process_exits_with_1_when_what_is_sent_disagrees_with_the_tape(tmp_path: Path) -> None:
    """What is sent is compared after redaction, so a key that was left on a tape agrees with nothing."""
    secret = "canary-3f9c2b7e51d84a6c"
    session = {"type": "session.update", "session": {"instructions": secret}}
    path = make_tape(tmp_path / "t.jsonl", Out(session), In({"type": "ping"})).path
    assert run("-m", "xai_realtime", "replay", path).returncode == 0
    done = run("-m", "xai_realtime", "replay", path, SOME_API_KEY=secret)
    assert done.returncode == 1
    errors = done.stderr.decode()
    assert "t.jsonl:3: " in errors
    assert "session.instructions" in errors
    assert "Traceback" not in errors
    assert secret not in errors + done.stdout.decode()


@pytest.mark.behaviour("cli-exit-status")
def test_process_exits_with_2_and_a_sentence_when_there_is_no_such_file() -> None:
    done = run("-m", "xai_realtime", "replay", "none.jsonl")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().strip() == "none.jsonl: No such file or directory"


@pytest.mark.parametrize("hidden", [("typer",), ("rich", "typer")])
@pytest.mark.behaviour("cli-missing-extra")
def test_command_says_how_to_get_its_extra_when_that_is_missing(hidden: tuple[str, ...]) -> None:
    done = run("-c", HIDE.format(hidden=set(hidden), arguments=["demo", "--tape"]))
    assert (done.returncode, done.stdout) == (2, b"")
    errors = done.stderr.decode()
    assert 'pip install "xai-realtime[cli]"' in errors
    assert f"needs {' and '.join(hidden)}," in errors
    assert "Traceback" not in errors


@pytest.mark.behaviour("cli-missing-extra")
def test_import_says_how_to_get_yaml_when_that_is_missing(tmp_path: Path) -> None:
    capture = tmp_path / "c.yaml"
    capture.write_text("version: 1\ninteractions: []\n")
    arguments = ["import", str(capture), str(tmp_path / "t.jsonl")]
    done = run("-c", HIDE.format(hidden={"yaml"}, arguments=arguments))
    assert done.returncode == 2
    assert "xai-realtime[cli]" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_importing_the_entry_point_loads_neither_typer_nor_rich() -> None:
    code = "import sys, xai_realtime.cli; print(*sorted({'typer', 'rich', 'anyio'} & set(sys.modules)))"
    done = run("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, b"")
