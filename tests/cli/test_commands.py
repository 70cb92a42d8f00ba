"""The commands, run in process: what they print, what they write, how they exit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.tapes import COMMITTED, Close, In, Open, Out, append, make_tape
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import Cassette, load_cassette, media_folder
from xai_realtime.cli import app as commands
from xai_realtime.cli import main, reports
from xai_realtime.cli.app import app
from xai_realtime.cli.moments import moments_of
from xai_realtime.cli.playing import play_tape
from xai_realtime.errors import ConfigurationError, ReplayIncompleteError, ReplayMismatchError

TOOL_CALL = next(path for path in COMMITTED if path.stem == "tool_call")
KEYS = [
    "cassette", "connections", "received", "sent", "unknown_events", "invalid_events", "unread", "unsent", "wall_ms",
    "tape_ms", "digest", "items", "tool_calls", "transcripts", "usage",
]  # fmt: skip
QUESTION = "When is high tide in Porto today?"
POLICY = Redactor(environ={}).policy
SECRET = "canary-3f9c2b7e51d84a6c"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


def report(*arguments: object) -> dict[str, Any]:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def ways() -> list[tuple[str, str]]:
    return [(clock, backend) for clock in ("instant", "virtual", "real") for backend in ("asyncio", "trio")]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
@pytest.mark.behaviour("cli-replay-json")
def test_replay_json_has_the_stated_keys_and_nothing_left_for_each_committed_tape(path: Path) -> None:
    told = report("replay", path, "--json")
    assert set(KEYS) <= told.keys()
    assert [told[key] for key in ("unknown_events", "invalid_events", "unread", "unsent")] == [0, 0, 0, 0]
    assert told["cassette"] == path.name
    assert told["received"] > 0
    assert told["transcripts"]


@pytest.mark.behaviour("cli-replay-json")
def test_replay_json_is_equal_on_every_clock_and_backend_but_for_the_wall_time() -> None:
    told = []
    for clock, backend in ways():
        scale = ["--scale", "0.001"] if clock == "real" else []
        told.append(report("replay", TOOL_CALL, "--json", "--clock", clock, "--backend", backend, *scale))
        assert told[-1].pop("wall_ms") >= 0
    assert told == [told[0]] * len(told)


@pytest.mark.behaviour("cli-replay-text")
def test_replay_prints_the_conversation_and_its_figures() -> None:
    result = run("replay", TOOL_CALL, "--clock", "virtual", "--backend", "trio")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert f"You      {QUESTION}" in result.stdout
    assert 'Grok     calls look_up_tide(city="Porto")' in result.stdout
    assert "frames  51 received, 5 sent" in result.stdout
    assert "left    0 unread, 0 unsent" in result.stdout
    assert "(clock virtual, trio)" in result.stdout
    assert report("replay", TOOL_CALL, "--json")["digest"] in result.stdout


def test_replay_prints_a_tape_on_which_nobody_spoke(tmp_path: Path) -> None:
    path = make_tape(tmp_path / "t.jsonl", Out({"type": "pong"}), Close()).path
    result = run("replay", path)
    assert result.exit_code == 0
    assert "said    0 items, 0 tool calls" in result.stdout
    assert "usage" not in result.stdout


def failing(error: Exception, passed: int) -> Callable[..., object]:
    def play(tape: Cassette, moments: list[Any], **settings: object) -> object:
        moments += moments_of(tape)[:passed]
        raise error

    return play


@pytest.mark.behaviour("cli-exit-status")
def test_replay_exits_with_1_and_names_path_and_line_when_the_tape_does_not_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = ReplayMismatchError("it differs", path="x.jsonl", line=7, where="item.role", expected="a", actual="b")
    monkeypatch.setattr(commands, "play_tape", failing(error, 6))
    result = run("replay", TOOL_CALL)
    assert result.exit_code == 1
    assert result.stderr == "x.jsonl:7: it differs\n  at item.role\n  expected a\n  actual b\n"
    assert QUESTION in result.stdout
    assert "frames" not in result.stdout


@pytest.mark.behaviour("cli-exit-status")
def test_replay_json_still_is_one_object_when_frames_are_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ReplayIncompleteError(path="x.jsonl", unread=("ping (line 3)",), unsent=())
    monkeypatch.setattr(commands, "play_tape", failing(error, 0))
    result = run("replay", TOOL_CALL, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["cassette"] == TOOL_CALL.name
    assert told["error"]["unread"] == ["ping (line 3)"]
    assert "unread ping (line 3)" in result.stderr
    monkeypatch.setattr(commands, "play_tape", failing(ReplayMismatchError("differs", line=4), 0))
    assert json.loads(run("replay", TOOL_CALL, "--json").stdout)["error"] == {
        "kind": "ReplayMismatchError",
        "line": 4,
        "reason": "differs",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "none.jsonl"], "none.jsonl: No such file or directory"),
        (["show", "."], ".: Is a directory"),
        (["show", "foreign.yaml"], "foreign.yaml:1: no cassette"),
        (["replay", "newer.jsonl"], "newer.jsonl:1: cassette version 2 is newer"),
        (["replay", "t.jsonl", "--scale", "0"], "scale 0.0: it must be"),
        (["replay", "t.jsonl", "--clock", "slow"], "'slow' is not one of"),
        (["replay", "t.jsonl", "--backend", "curio"], "'curio' is not one of"),
        (["replay"], "Missing argument"),
        (["check"], "Missing argument"),
        (["check", "empty"], "empty: no tape (*.jsonl) in this folder"),
        (["check", "none.jsonl"], "none.jsonl: No such file or directory"),
        (["import", "none.yaml", "x.jsonl"], "none.yaml: No such file or directory"),
        (["import", "foreign.yaml", "x.txt"], "the name ends in .jsonl"),
        (["import", "foreign.yaml", "x.jsonl"], "foreign.yaml"),
        (["generate", "--out", "x.py"], "--out needs --spec"),
        (["generate", "--root", "empty"], "no spec"),
        (["sing"], "No such command 'sing'"),
        (["--sing"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.behaviour("cli-exit-status")
def test_mistake_exits_with_2_and_a_sentence_on_standard_error(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign.yaml").write_text("a: [1, 2]\n")
    (tmp_path / "newer.jsonl").write_text('{"kind":"header","cassette":2}\n')
    make_tape(tmp_path / "t.jsonl", redaction=POLICY)
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.behaviour("cli-exit-status")
def test_damaged_media_exit_with_2_and_the_line(tmp_path: Path) -> None:
    path = make_tape(tmp_path / "t.jsonl", Out(append(b"\0\0" * 9))).path
    shutil.rmtree(media_folder(path))
    for command in ("replay", "show"):
        result = run(command, path)
        assert result.exit_code == 2
        assert "t.jsonl:3: media file" in result.stderr


def test_replay_on_trio_says_how_to_get_it_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trio", None)
    result = run("replay", TOOL_CALL, "--backend", "trio")
    assert result.exit_code == 2
    assert result.stderr == "the event loop trio is not installed: pip install trio\n"


@pytest.mark.behaviour("cli-show")
def test_show_reads_a_tape_without_playing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "play_tape", failing(AssertionError("played"), 0))
    monkeypatch.setattr(commands, "play_tape", failing(AssertionError("played"), 0))
    result = run("show", TOOL_CALL)
    assert result.exit_code == 0
    assert "tape      tool_call.jsonl · derived · times estimated · audio full" in result.stdout
    assert "model     grok-voice-latest" in result.stdout
    assert QUESTION in result.stdout
    assert "tokens in" in result.stdout


@pytest.mark.behaviour("cli-show")
def test_show_frames_prints_one_line_for_each_frame() -> None:
    result = run("show", TOOL_CALL, "--frames")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    frames = [line for line in lines if "→" in line or "←" in line]
    assert len(frames) == 56
    assert ["9", "0.428", "→", "response.create", "26"] in frames
    assert ["2", "0.000", "(open)"] in lines
    assert QUESTION not in result.stdout


def test_show_numbers_the_connections_when_there_are_several() -> None:
    path = next(path for path in COMMITTED if path.stem == "resumption")
    result = run("show", path, "--frames")
    assert "1←" in result.stdout
    assert "2→" in result.stdout


@pytest.mark.behaviour("cli-show")
def test_show_json_tells_header_frames_timeline_and_what_was_said() -> None:
    told = report("show", TOOL_CALL, "--json")
    played = report("replay", TOOL_CALL, "--json")
    assert told["header"]["origin"] == "derived"
    assert told["complete"] is True
    assert len(told["frames"]) == 56
    assert told["frames"][0].keys() == {"line", "conn", "at_ms", "dir", "type", "bytes"}
    assert [row["text"] for row in told["timeline"] if row["who"] == "You"] == [QUESTION]
    for name in ("digest", "items", "tool_calls", "transcripts", "usage"):
        assert told[name] == played[name]
    assert told["connections"] == [{"conn": 1, "url": None, "status": 101, "frames": 56, "close": None}]


def test_show_tells_an_unfinished_tape_a_refused_handshake_and_a_close(tmp_path: Path) -> None:
    partial = make_tape(tmp_path / "p.jsonl", In({"type": "ping"}), finish=False).path
    assert "incomplete" in run("show", partial).stdout
    assert report("show", partial, "--json")["complete"] is False
    closed = make_tape(tmp_path / "c.jsonl", Open(1, status=401), Open(2), Close("server", 1011, "", conn=2)).path
    result = run("show", closed)
    assert "the handshake is refused with HTTP 401" in result.stdout
    assert [entry["close"] for entry in report("show", closed, "--json")["connections"]] == [
        None,
        {"by": "server", "code": 1011},
    ]


@pytest.mark.behaviour("check-committed-tapes")
def test_check_accepts_all_committed_tapes_given_as_a_folder() -> None:
    result = run("check", TOOL_CALL.parent)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.count("\nok ") + result.stdout.startswith("ok ") == len(COMMITTED)
    assert f"{len(COMMITTED)} tapes, all ok (loads, media, " in result.stdout
    told = report("check", *COMMITTED, "--json")
    assert told["ok"] is True
    assert [entry["checks"]["replay"] for entry in told["cassettes"]] == [True] * len(COMMITTED)


@pytest.mark.behaviour("cli-exit-status")
def test_check_exits_with_1_and_lists_what_is_wrong(tmp_path: Path) -> None:
    bad = make_tape(tmp_path / "bad.jsonl", In({"type": "from.the.future"})).path
    broken = tmp_path / "broken.jsonl"
    broken.write_text("no tape\n")
    result = run("check", bad, TOOL_CALL, broken)
    assert result.exit_code == 1
    assert f"failed {bad}\n  received, line 3: unknown event 'from.the.future'\n  header, line 1:" in result.stdout
    assert f"failed {broken}\n  loads, line 1: no cassette: its first line is no header\n" in result.stdout
    assert "3 tapes, 2 failed" in result.stdout
    told = run("check", bad, "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["ok"] is False


def test_check_finds_a_tape_that_does_not_play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_tape(tmp_path / "t.jsonl", In({"type": "ping"}), redaction=POLICY).path
    monkeypatch.setattr(reports, "play_tape", failing(ReplayMismatchError("it differs", line=3), 0))
    assert run("check", path).stdout.splitlines()[1] == "  replay, line 3: it differs"
    created = In({"type": "transcript.created"})
    stt = make_tape(tmp_path / "stt.jsonl", Open(url="wss://api.x.ai/v1/stt"), created, redaction=POLICY).path
    assert run("check", stt).stdout.splitlines()[1] == "  replay, line 3: it differs"


CAPTURE = [
    {"type": "session.created", "session": {"id": "5b8e2f3c111142228333944445555666", "model": "grok-voice-latest"}},
    {"type": "response.create"},
    {"type": "from.the.future"},
]


@pytest.mark.behaviour("cli-import")
def test_import_writes_a_tape_that_shows_and_checks(tmp_path: Path) -> None:
    source, target = tmp_path / "capture.jsonl", tmp_path / "new" / "tape.jsonl"
    source.write_text("".join(json.dumps(event) + "\n" for event in CAPTURE))
    result = run("import", source, target)
    assert result.exit_code == 0, result.stderr
    assert f"wrote {target}" in " ".join(result.stdout.split())
    assert "frames   2 received, 1 sent on 1 connection" in result.stdout
    assert "unknown  from.the.future" in result.stdout
    assert load_cassette(target).header.origin == "imported"
    assert "session_1" in target.read_text()
    told = report("import", source, target, "--keep-ids", "--json")
    assert (told["received"], told["sent"], told["unknown_types"]) == (2, 1, ["from.the.future"])
    assert "5b8e2f3c111142228333944445555666" in target.read_text()


@pytest.mark.behaviour("cli-generate")
def test_generate_checks_the_events_of_this_project(repository: Path) -> None:
    assert run("generate", "--check", "--root", repository).exit_code == 0


@pytest.mark.behaviour("cli-generate")
def test_generate_prints_and_writes_one_spec_and_finds_it_stale(tmp_path: Path, repository: Path) -> None:
    spec, out = repository / "spec" / "realtime.yaml", tmp_path / "events.py"
    printed = run("generate", "--spec", spec)
    assert printed.exit_code == 0
    assert "class SessionCreated" in printed.stdout
    assert run("generate", "--spec", spec, "--out", out).stdout == "wrote events.py\n"
    assert out.read_text("utf-8") == printed.stdout
    out.write_text("stale\n")
    stale = run("generate", "--spec", spec, "--out", out, "--check")
    assert stale.exit_code == 1
    assert "-stale" in stale.stdout


@pytest.mark.behaviour("cli-demo")
def test_demo_shows_the_taped_call_and_says_that_it_is_derived() -> None:
    result = run("demo", "--tape")
    assert result.exit_code == 0, result.stderr
    assert "The tape is derived from a recording of a real call" in result.stdout
    assert 'calls look_up_tide(city="Porto")' in result.stdout
    assert "usage: " in result.stdout
    assert "examples/replay_a_call.py" in result.stdout
    told = report("demo", "--tape", "--json")
    told.pop("wall_ms")
    played = report("replay", TOOL_CALL, "--json")
    played.pop("wall_ms")
    assert told == played


@pytest.mark.behaviour("cli-demo")
def test_demo_finds_its_tape_in_the_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "_demo"
    shutil.copytree(media_folder(TOOL_CALL), folder / "tool_call.media")
    shutil.copy(TOOL_CALL, folder)
    monkeypatch.setattr(reports, "files", lambda package: tmp_path)
    with reports.demo_tape() as path:
        assert path == folder / "tool_call.jsonl"
        assert play_tape(load_cassette(path), []).unknown_events == 0


def test_demo_says_that_its_tape_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "DEMO", "gone.jsonl")
    with pytest.raises(ConfigurationError, match=r"gone\.jsonl, did not come"), reports.demo_tape():
        pass
    assert run("demo", "--tape").exit_code == 2


@pytest.mark.parametrize("command", ["demo", "replay", "show", "check", "import", "generate"])
def test_help_of_each_command_is_a_sentence_and_names_its_options(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert words.partition("Options:")[0].count(". ") >= 1
    assert ("--json" in words) is (command != "generate")
    assert command in run("--help").stdout


def test_version_is_printed() -> None:
    assert run("--version").stdout.startswith("xai-realtime 0.")


@pytest.mark.behaviour("cli-no-secrets")
def test_commands_show_no_key_that_a_foreign_tape_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"my key is {SECRET}"}]}
    path = make_tape(
        tmp_path / "t.jsonl",
        Out({"type": "conversation.item.create", "item": item}),
        In({"type": "conversation.item.added", "item": {"id": SECRET, **item}}),
        In({"type": SECRET}),
    ).path
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    for arguments in (["replay"], ["replay", "--json"], ["show"], ["show", "--frames"], ["show", "--json"], ["check"]):
        result = run(arguments[0], path, *arguments[1:])
        assert result.exit_code == (arguments[0] in ("check", "replay"))
        assert SECRET not in result.output
    assert SECRET not in run("replay", tmp_path / f"{SECRET}.jsonl").output


def test_main_gives_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["check", str(TOOL_CALL)]) == 0
    assert main(["replay", "/none.jsonl"]) == 2
    assert main(["no-such-command"]) == 2
    assert "none.jsonl" in capsys.readouterr().err
