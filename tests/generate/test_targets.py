"""Projects: what is generated where, what is stale, what the command says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tests.generate.small import asyncapi, event, imported
from xai_realtime.errors import ConfigurationError, SpecError
from xai_realtime.generate import check, generate, run, targets
from xai_realtime.generate.__main__ import main
from xai_realtime.generate.load import load

REPOSITORY = Path(__file__).resolve().parents[2]
SPEC = REPOSITORY / "spec/realtime.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with two specs and their modules."""
    proof = {"x-evidence": "documented", "x-source": "a page"}
    for service in ("alpha", "beta"):
        payload = event(f"{service}.told")
        payload["properties"]["type"] |= proof
        document = asyncapi(server={"Told": payload}) | {"x-service": service}
        document["components"]["messages"]["Told"] |= proof
        (tmp_path / "spec").mkdir(exist_ok=True)
        (tmp_path / "spec" / f"{service}.json").write_text(json.dumps(document, indent=1))
    (tmp_path / "spec" / "README.md").write_text("no spec")
    assert run(root=tmp_path, write=lambda text: None) == 0
    (tmp_path / "xai_realtime/events/_base.py").write_text("# by hand\n")
    return tmp_path


def out(project: Path, service: str) -> Path:
    return project / f"xai_realtime/events/{service}.py"


def test_targets_name_each_spec_and_its_module(project: Path) -> None:
    names = [(spec.name, path.name) for spec, path in targets(project)]
    assert names == [("alpha.json", "alpha.py"), ("beta.json", "beta.py")]


def test_targets_refuse_a_project_without_specs(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no spec"):
        targets(tmp_path)


def test_check_is_empty_when_everything_is_as_generated(project: Path) -> None:
    assert check(project) == {}
    assert run(root=project, check_only=True) == 0


@pytest.mark.behaviour("generate-check-sees-everything")
def test_check_sees_a_changed_last_line(project: Path) -> None:
    path = out(project, "beta")
    path.write_text(path.read_text() + "# one more line")
    diff = check(project)[path]
    assert diff.startswith("--- a/xai_realtime/events/beta.py\n+++ b/xai_realtime/events/beta.py\n")
    assert "-# one more line\n\\ No newline at end of file\n" in diff


@pytest.mark.behaviour("generate-check-sees-everything")
def test_check_sees_a_missing_last_line_ending(project: Path) -> None:
    path = out(project, "beta")
    path.write_text(path.read_text().rstrip("\n"))
    assert list(check(project)) == [path]


@pytest.mark.behaviour("generate-check-sees-everything")
def test_check_sees_a_missing_module(project: Path) -> None:
    path = out(project, "alpha")
    path.unlink()
    assert check(project)[path].startswith("--- /dev/null\n+++ b/xai_realtime/events/alpha.py\n")


@pytest.mark.behaviour("generate-check-sees-everything")
def test_check_sees_a_module_that_no_spec_gives_and_the_next_run_removes_it(project: Path) -> None:
    (project / "spec/alpha.json").unlink()
    path = out(project, "alpha")
    assert "+++ /dev/null\n" in check(project)[path]
    said: list[str] = []
    assert run(root=project, check_only=True, write=said.append) == 1
    assert path.exists()
    assert run(root=project, write=said.append) == 0
    assert not path.exists()
    assert "removed alpha.py, which no spec gives" in said
    assert out(project, "_base").exists()


def test_check_refuses_a_spec_whose_service_is_not_its_file_name(project: Path) -> None:
    (project / "spec/alpha.json").rename(project / "spec/gamma.json")
    with pytest.raises(ConfigurationError, match="'gamma'"):
        check(project)


def test_run_says_what_it_wrote_and_what_was_up_to_date(project: Path) -> None:
    out(project, "alpha").write_text("stale")
    said: list[str] = []
    assert run(root=project, write=said.append) == 0
    assert said == ["wrote alpha.py", "beta.py is up to date"]


def test_run_handles_one_spec_by_its_out_file(project: Path, tmp_path: Path) -> None:
    spec, path = project / "spec/alpha.json", tmp_path / "new/folder/mine.py"
    said: list[str] = []
    assert run(spec=spec, out=path, check_only=True, write=said.append) == 1
    assert run(spec=spec, out=path, write=said.append) == 0
    assert run(spec=spec, out=path, check_only=True, write=said.append) == 0
    assert path.read_text() == generate(spec)
    assert said[1:] == ["wrote mine.py"]
    assert run(spec=spec, write=said.append) == 0
    assert f"{said[-1]}\n" == path.read_text()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--out", "a.py"], "--out needs --spec"),
        (["--spec", "none.yaml", "--check"], "needs --out"),
        (["--spec", "none.yaml"], "cannot read the spec none.yaml"),
        (["--root", "nowhere"], "no spec"),
    ],
)
def test_command_fails_with_a_reason_when_its_arguments_cannot_be_used(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().out


def test_command_names_the_place_when_a_spec_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(asyncapi(server={"Told": event("told", {"x": {"type": "strnig"}})})))
    assert main(["--spec", str(path)]) == 2
    place = "bad.json#/components/schemas/Told/properties/x/type: unknown type 'strnig'\n"
    assert capsys.readouterr().out == place
    with pytest.raises(SpecError):
        generate(path)


def test_command_takes_the_current_directory_when_no_root_is_given(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["--check"]) == 0
    out(project, "beta").unlink()
    assert main(["--check"]) == 1
    assert capsys.readouterr().out.startswith("--- /dev/null\n+++ b/xai_realtime/events/beta.py\n")


def test_command_runs_as_a_module(project: Path) -> None:
    out(project, "beta").unlink()
    command = [sys.executable, "-m", "xai_realtime.generate", "--root", str(project)]
    for arguments, status in ((["--check"], 1), ([], 0), (["--check"], 0)):
        done = subprocess.run([*command, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr


@pytest.mark.parametrize(
    "stem, service",
    [("My Own-Spec", "my_own_spec"), ("2nd", "_2nd"), ("...", "events")],
    ids=["words", "digit", "dots"],
)
def test_service_is_made_of_the_file_name_when_the_spec_gives_none(stem: str, service: str, tmp_path: Path) -> None:
    document = asyncapi(server={"Told": event("told")})
    del document["x-service"]
    path = tmp_path / f"{stem}.json"
    path.write_text(json.dumps(document))
    assert f'SERVICE: Final = "{service}"\n' in generate(path)


@pytest.mark.behaviour("generate-own-spec")
def test_a_spec_copy_with_one_more_event_and_field_is_generated_and_parses_both(tmp_path: Path) -> None:
    document = load(SPEC.read_bytes(), source=SPEC.name, is_json=False)
    parts = document["components"]
    tide = event("tide.turned", {"height_cm": {"type": "integer"}}, ["height_cm"])
    parts["schemas"]["Tide"] = tide
    parts["messages"]["TideTurned"] = {"name": "tide.turned", "payload": {"$ref": "#/components/schemas/Tide"}}
    (channel,) = document["channels"].values()
    channel["messages"]["TideTurned"] = {"$ref": "#/components/messages/TideTurned"}
    heard = next(entry for entry in document["operations"].values() if entry["action"] == "receive")
    heard["messages"].append({"$ref": f"{heard['channel']['$ref']}/messages/TideTurned"})
    parts["schemas"]["ResponseOutputAudioDelta"]["properties"]["loudness_db"] = {"type": "number"}
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    target = tmp_path / "own_events.py"
    assert run(spec=path, out=target, write=lambda said: None) == 0
    own = imported(target)
    adapter = TypeAdapter(own.ServerEvent)
    turned = adapter.validate_json('{"type": "tide.turned", "height_cm": 210}')
    assert (type(turned).__name__, turned.height_cm) == ("TideTurned", 210)
    delta = (
        '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "", "loudness_db": -3}'
    )
    found = adapter.validate_json(delta)
    assert found.loudness_db == -3.0
    assert not found.model_extra


def test_own_project_is_up_to_date_and_clean(tmp_path: Path) -> None:
    assert run(root=REPOSITORY, check_only=True) == 0
    copy = tmp_path / "xai_realtime/events"
    shutil.copytree(REPOSITORY / "xai_realtime/events", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for command in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *command, "--config", str(REPOSITORY / "pyproject.toml"), str(copy)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout
