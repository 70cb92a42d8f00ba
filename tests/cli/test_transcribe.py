"""The command `transcribe`: what it writes and where, against an emulator on a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from typer.testing import CliRunner, Result

from tests.http.peers import KEY, serving
from tests.stt.uploads import SAID, wav
from xai_realtime.cli import transcribing
from xai_realtime.cli.app import app
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.speech_quirks import Refuse, SpeechQuirks

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """An emulator in a thread of its own."""

    def __init__(self, **options: Any) -> None:
        self._emulator = Emulator(seed=1, **options)
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: anyio.run(self._serve), daemon=True)
        self.url = ""

    async def _serve(self) -> None:
        async with self._emulator:
            self.url = self._emulator.url
            self._ready.set()
            await anyio.to_thread.run_sync(self._stop.wait)

    def __enter__(self) -> str:
        self._thread.start()
        assert self._ready.wait(10)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with Running(speech=SpeechQuirks(speakers=(0, 1))) as url:
        yield url


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two recordings in a folder."""
    first, second = tmp_path / "one.wav", tmp_path / "two.wav"
    first.write_bytes(wav(SAID))
    second.write_bytes(wav("Good evening."))
    return first, second


def run(*arguments: object, key: str | None = KEY, width: str = "100") -> Result:
    env = {"COLUMNS": width, "XAI_API_KEY": key}
    return CliRunner().invoke(app, ["transcribe", *map(str, arguments)], env=env)


@pytest.mark.behaviour("cli-transcribe")
def test_text_of_a_file_is_printed_and_nothing_else(service: str, files: tuple[Path, Path]) -> None:
    result = run(files[0], "--base-url", service, "--language", "en", "--numbers", "--keyterm", "a", "--keyterm", "b")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{SAID}\n", "")


@pytest.mark.behaviour("cli-transcribe")
@pytest.mark.parametrize(
    ("option", "begins"), [("--srt", "1\n00:00:00,"), ("--vtt", "WEBVTT\n\n00:00:00."), ("--text", SAID)]
)
def test_each_way_to_write_it_goes_to_the_screen_or_into_a_file(
    option: str, begins: str, service: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    printed = run(files[0], option, "--base-url", service)
    assert printed.stdout.startswith(begins)
    target = tmp_path / "out.txt"
    written = run(files[0], option, "--base-url", service, "-o", target)
    assert (written.exit_code, written.stdout, written.stderr) == (0, "", "")
    assert target.read_text(encoding="utf-8") == printed.stdout


@pytest.mark.behaviour("cli-transcribe")
def test_json_is_one_object_a_file(service: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*files, "--json", "--base-url", service, "--diarize")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(one["file"], one["text"]) for one in told] == [(str(files[0]), SAID), (str(files[1]), "Good evening.")]
    assert list(told[0]) == ["file", "text", "language", "duration_s", "utterances"]
    assert {word["speaker"] for one in told[0]["utterances"] for word in one["words"]} == {0}
    run(files[0], "--json", "--base-url", service, "-o", tmp_path / "one.json")
    assert json.loads((tmp_path / "one.json").read_text())["text"] == SAID


@pytest.mark.behaviour("cli-transcribe")
def test_several_files_go_into_a_folder_under_their_names(
    service: str, files: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "subtitles"
    result = run(*files, "--srt", "--output-dir", folder, "--base-url", service)
    assert result.exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["one.srt", "two.srt"]
    assert "Good evening." in (folder / "two.srt").read_text()
    assert f"{files[0]} -> {folder / 'one.srt'}" in result.stdout
    again = run(*files, "--srt", "--output-dir", folder, "--base-url", service)
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    assert run(*files, "--srt", "--output-dir", folder, "--base-url", service, "--replace").exit_code == 0


@pytest.mark.behaviour("cli-transcribe-failures")
def test_file_that_fails_is_told_and_the_others_go_on(service: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.wav", tmp_path / "empty.wav"
    broken.write_bytes(b"this is no sound")
    empty.touch()
    result = run(files[0], broken, empty, tmp_path / "none.wav", files[1], "--base-url", service)
    assert result.exit_code == 1
    assert result.stdout == f"== {files[0]}\n{SAID}\n== {files[1]}\nGood evening.\n"
    complaints = result.stderr.splitlines()
    assert len(complaints) == 3
    assert complaints[0].startswith(f"{broken}: HTTP 400: ")
    assert "it is empty" in complaints[1]
    assert complaints[2] == f"{tmp_path / 'none.wav'}: No such file or directory"


@pytest.mark.behaviour("cli-transcribe-failures")
def test_refusals_and_a_server_that_is_not_there_are_told_in_a_line(files: tuple[Path, Path]) -> None:
    busy = Refuse(status=503, path="/stt", retry_after_s=0, times=2)
    with Running(speech=SpeechQuirks(refuse=(busy,))) as url:
        assert run(files[0], "--base-url", url, "--retries", "1").exit_code == 1
        assert run(files[0], "--base-url", url).stdout == f"{SAID}\n"
        wrong = run(files[0], "--base-url", url, key="xai-invalid")
        assert (wrong.exit_code, "HTTP 400" in wrong.stderr) == (1, True)
        address = run("https://example.com/a.mp3", "--base-url", url, "--retries", "0")
        assert (address.exit_code, "HTTP 502" in address.stderr) == (1, True)
    gone = run(files[0], "--base-url", "http://127.0.0.1:9/v1", "--retries", "0")
    assert (gone.exit_code, gone.stderr.count("\n")) == (1, 1)
    assert "cannot connect" in gone.stderr
    assert KEY not in gone.stderr


@pytest.mark.behaviour("cli-transcribe-failures")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--srt", "--vtt"], "--srt and --vtt exclude each other"),
        (["two.wav", "-o", "x"], "--output-dir for several"),
        (["--output-dir", "x", "-o", "x"], "--output takes the transcript of one file"),
        (["two.wav", "--vtt"], "need --output-dir"),
        (["sub/one.wav", "--output-dir", "x"], "would be written twice"),
        (["--channels", "9"], "channels is 9"),
        (["--numbers"], "format is True"),
        (["--audio-format", "pcm"], "needs sample_rate"),
        (["--base-url", "http://example.com/v1"], "XAI_API_KEY goes to api.x.ai"),
        (["--base-url", "nowhere"], "address scheme"),
        (["--retries", "99"], "retries is 99"),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_is_sent(
    arguments: list[str], said: str, files: tuple[Path, Path]
) -> None:
    placed = [str(files[0].parent / argument) if argument.endswith(".wav") else argument for argument in arguments]
    result = run(files[0], "--base-url", "http://127.0.0.1:9/v1", *placed)
    assert (result.exit_code, result.stdout) == (2 if "retries" not in said else 1, "")
    assert said in result.stderr


def test_missing_key_is_told_once(files: tuple[Path, Path]) -> None:
    result = run(*files, key=None)
    assert (result.exit_code, result.stderr) == (2, "XAI_API_KEY is not set; the command takes its key from there\n")


def test_name_of_what_an_address_points_to_is_the_name_of_its_transcript(tmp_path: Path) -> None:
    task = transcribing.Task("vtt", None, tmp_path, False, {}, 0)
    assert task.target("https://example.com/talks/my%20talk.mp3?x=y.z") == tmp_path / "my talk.vtt"
    assert task.target("https://example.com/") == tmp_path / "transcript.vtt"


class Terminal:
    """A stream that says it is a terminal."""

    encoding = "ascii"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.behaviour("cli-transcribe")
def test_progress_stands_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with transcribing._watched("a.wav") as none:
        assert none is None
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with transcribing._watched("folder/[bold]" + "x" * 60 + ".wav") as tell:
        assert tell is not None
        tell(500, None)
        tell(500, 1000)
        tell(1000, 1000)
    assert "listening" in terminal.text
    assert "1.0" in terminal.text


def test_text_cannot_steer_a_terminal_and_fits_its_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert transcribing._printable("a\x1b[31mé\nb\n") == "a?[31m?\nb\n"


@pytest.mark.behaviour("cli-transcribe")
def test_ctrl_c_ends_the_command_without_a_traceback(files: tuple[Path, Path]) -> None:
    import asyncio

    came = threading.Event()

    async def never(asked: Any, writer: asyncio.StreamWriter) -> None:
        came.set()
        await asyncio.sleep(5)

    with serving(never) as peer:
        command = [sys.executable, "-m", "xai_realtime", "transcribe", str(files[0]), "--base-url", peer.url]
        env = {**os.environ, "XAI_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert came.wait(20)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
    assert output == ""
