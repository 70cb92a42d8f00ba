"""The commands `speak` and `voices` against an emulator over a real socket: what they write, print and exit with."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner, Result

from tests.tts.spoken import LONG, heard
from xai_realtime.cli import speaking
from xai_realtime.cli.app import app
from xai_realtime.emulator import Emulator, Refuse, SpeechQuirks

pytest.importorskip("uvicorn", reason="the emulator is an extra")

TEXT = "High tide in Porto is at 16:40."
KEY = "xai-emulator"


def serving(**options: Any) -> Iterator[str]:
    with start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(Emulator(seed=1, pace="instant", **options)) as emulator:
            yield emulator.url


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """An emulator for all tests that do not change it."""
    yield from serving()


@pytest.fixture
def busy_url() -> Iterator[str]:
    """An emulator that is busy."""
    yield from serving(speech=SpeechQuirks(refuse=(Refuse(status=503, path="/tts", times=1000),)))


def run(*arguments: object, text: str | None = None, key: str | None = KEY) -> Result:
    environment = {"COLUMNS": "100", "XAI_API_KEY": key}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text, env=environment)


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "wav"), ("a.ulaw", "mulaw"), ("a.raw", "pcm")])
@pytest.mark.behaviour("cli-speak")
def test_speak_writes_the_words_into_a_file_and_tells_about_it(
    base_url: str, name: str, codec: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    result = run("speak", TEXT, "-o", path, "--rate", 8000, "--base-url", base_url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert heard(path.read_bytes(), codec, 8000) == TEXT
    shown = " ".join(result.stdout.split())
    assert f"{codec}, 8000 Hz, {path.stat().st_size} bytes" in shown
    assert "s of speech" in shown


@pytest.mark.behaviour("cli-speak")
def test_speak_as_json_is_one_object_with_the_figures(base_url: str, tmp_path: Path) -> None:
    path, times = tmp_path / "a.wav", tmp_path / "a.json"
    result = run(
        "speak", TEXT, "-o", path, "--timestamps", times, "--voice", "EVE", "--speed", 1.1, "--language", "en",
        "--base-url", base_url, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert told.keys() == {
        "file", "codec", "sample_rate", "size_bytes", "duration_ms", "pieces", "trace_ids", "timestamps"
    }  # fmt: skip
    assert (told["file"], told["size_bytes"]) == (str(path), path.stat().st_size)
    written = json.loads(times.read_text())
    assert written["duration_ms"] == told["duration_ms"]
    assert " ".join(word["text"] for word in written["words"]) == TEXT


@pytest.mark.parametrize(("suffix", "begins"), [(".srt", "1\n00:00:00,000 --> "), (".VTT", "WEBVTT\n")])
@pytest.mark.behaviour("cli-speak")
def test_speak_writes_subtitles_of_what_it_says(base_url: str, suffix: str, begins: str, tmp_path: Path) -> None:
    times = tmp_path / f"a{suffix}"
    result = run("speak", TEXT, "-o", tmp_path / "a.pcm", "--timestamps", times, "--base-url", base_url)
    assert result.exit_code == 0, result.stderr
    assert times.read_text().startswith(begins)
    assert TEXT in " ".join(times.read_text().split())
    assert "7 words in" in " ".join(result.stdout.split())


@pytest.mark.behaviour("cli-speak")
def test_speak_reads_a_long_text_from_standard_input(base_url: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ulaw"
    result = run("speak", "-", "-o", path, "--rate", 8000, "--base-url", base_url, text=LONG)
    assert result.exit_code == 0, result.stderr
    assert "pieces 2" in " ".join(result.stdout.split())
    assert heard(path.read_bytes(), "mulaw", 8000).startswith("Ships leave on every quiet tide, he said. Ships")


@pytest.mark.behaviour("cli-speak")
def test_speak_writes_nothing_but_audio_to_standard_output(base_url: str) -> None:
    result = run("speak", TEXT, "-o", "-", "--base-url", base_url)
    assert result.exit_code == 0, result.stderr
    assert heard(result.stdout_bytes) == TEXT


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-o", "a.txt"], "suffixes .mp3"),
        (["-o", "a.wav", "--timestamps", "a.xml"], "must end in .json"),
        (["-o", "-", "--json"], "cannot both"),
        (["-o", "a.wav", "--rate", "7"], "8000"),
        (["-o", "a.wav", "--speed", "3"], "0.7 to 1.5"),
        (["-o", "nowhere/a.wav"], "No such file"),
        (["-o", "here.wav"], "--replace"),
        (["-o", "a.wav", "--timestamps", "here.srt"], "--replace"),
    ],
)
@pytest.mark.behaviour("cli-speak")
def test_speak_refuses_what_cannot_be_done_with_status_two(
    base_url: str, arguments: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("here.wav", "here.srt"):
        (tmp_path / name).write_bytes(b"before")
    result = run("speak", TEXT, *arguments, "--base-url", base_url)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here.srt", "here.wav"]
    assert (tmp_path / "here.wav").read_bytes() == b"before"


@pytest.mark.behaviour("cli-speak")
def test_speak_replaces_a_file_when_it_is_told_to(base_url: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"before")
    assert run("speak", TEXT, "-o", path, "--replace", "--base-url", base_url).exit_code == 0
    assert heard(path.read_bytes(), "wav") == TEXT


@pytest.mark.behaviour("cli-speak")
def test_speak_without_a_key_says_where_to_put_one(base_url: str, tmp_path: Path) -> None:
    result = run("speak", TEXT, "-o", tmp_path / "a.wav", "--base-url", base_url, key=None)
    assert result.exit_code == 2
    assert "XAI_API_KEY" in result.stderr


@pytest.mark.behaviour("cli-speak")
def test_commands_exit_with_one_when_the_service_says_no(busy_url: str, base_url: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for result in (
        run("speak", TEXT, "-o", path, "--base-url", busy_url),
        run("voices", "--base-url", busy_url),
        run("speak", TEXT, "-o", path, "--base-url", "http://127.0.0.1:1/v1"),
        run("speak", TEXT, "-o", path, "--voice", "nobody-at-all", "--base-url", base_url),
    ):
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.behaviour("cli-voices")
def test_voices_are_listed_as_a_table_and_as_json(base_url: str) -> None:
    shown = run("voices", "--base-url", base_url)
    assert shown.exit_code == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0] == ["voice", "id", "name", "language"]
    assert ["eve", "Eve", "multilingual"] in lines
    told = json.loads(run("voices", "--base-url", base_url, "--json").stdout)
    assert len(told["voices"]) == len(lines) - 1
    assert {"voice_id": "eve", "name": "Eve", "language": "multilingual"} in told["voices"]


@pytest.mark.behaviour("cli-voices")
def test_custom_voices_are_listed_with_what_is_known_of_them(base_url: str, tmp_path: Path) -> None:
    from xai_realtime import AsyncClient

    assert "There are no voices." in run("voices", "--custom", "--base-url", base_url).stdout

    async def make() -> str:
        async with AsyncClient(base_url=base_url, api_key=KEY) as client:
            recording = (await client.tts.synthesize("This is me.", codec="wav")).audio
            assert recording is not None
            return (await client.tts.custom_voices.create(recording, name="Narrator", tone="calm")).voice_id

    voice_id = anyio.run(make)
    lines = [line.split() for line in run("voices", "--custom", "--base-url", base_url).stdout.splitlines()]
    assert lines == [["voice", "id", "name", "tone"], [voice_id, "Narrator", "calm"]]
    told = json.loads(run("voices", "--custom", "--base-url", base_url, "--json").stdout)
    assert told["voices"][0]["voice_id"] == voice_id


@pytest.mark.behaviour("cli-speak")
def test_sign_of_life_is_shown_where_a_person_watches(
    base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with speaking._watched() as progress:
        assert progress is not None
        progress(2000, 0, 10)
        progress(5000, 5, 10)
    assert "Speaking ... 5 kB, 5 of 10 characters" in terminal.getvalue()


@pytest.mark.parametrize("words", [["speak", "Hello", "-o", "hello.wav"], ["voices"], ["chat", "Hello"]])
def test_command_says_in_full_how_to_give_a_key_when_there_is_none(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert " ".join(result.stderr.split()) == "no API key was given: pass api_key, or set XAI_API_KEY"
