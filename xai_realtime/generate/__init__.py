"""Specs become typed events. In: spec files. Out: Python modules, differences. Imports: room 0, events, this room."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from xai_realtime.errors import ConfigurationError, XaiRealtimeError
from xai_realtime.generate.document import read_spec
from xai_realtime.generate.emit import MARK, emit

__all__ = ["check", "generate", "run", "targets"]

SPECS = "spec"
EVENTS = "xai_realtime/events"


def generate(spec: Path, *, require_evidence: bool = False) -> str:
    """The module of one spec file (AsyncAPI 3 or JSON Schema with `$defs`, YAML or JSON), as text.

    `require_evidence` also wants `x-evidence` and `x-source` on every message and property, an
    `x-service`, and nothing unused. Raises SpecError with the place of what cannot be used, and
    ConfigurationError when the file or PyYAML is missing. The same bytes give the same text.
    """
    return emit(read_spec(spec, require_evidence=require_evidence))


def targets(root: Path) -> list[tuple[Path, Path]]:
    """The specs of a project and the modules they become: `spec/realtime.yaml`, `xai_realtime/events/realtime.py`.

    Raises ConfigurationError when there is none.
    """
    found = sorted(path for path in (root / SPECS).glob("*") if path.suffix in (".yaml", ".yml", ".json"))
    if not found:
        raise ConfigurationError(f"no spec (*.yaml, *.json) in {root / SPECS}")
    return [(path, root / EVENTS / f"{path.stem}.py") for path in found]


def check(root: Path) -> dict[Path, str]:
    """The stale modules of a project, each with a unified diff of its whole text; empty when all is well.

    A module can be changed, missing, or left over: marked as generated while no spec gives it.
    Raises what `generate` and `targets` raise.
    """
    stale: dict[Path, str] = {}
    wanted = {out: _project_text(spec) for spec, out in targets(root)}
    for out, text in wanted.items():
        found = _text(out) if out.exists() else None
        if found != text:
            stale[out] = _diff(out.relative_to(root), found, text)
    for path in sorted((root / EVENTS).glob("*.py")):
        found = _text(path)
        if path not in wanted and found.startswith(MARK):
            stale[path] = _diff(path.relative_to(root), found, None)
    return stale


def run(
    *,
    root: Path | None = None,
    spec: Path | None = None,
    out: Path | None = None,
    check_only: bool = False,
    write: Callable[[str], object] = print,
) -> int:
    """What the command does: print one spec (`spec`, to `out` or as text), or all specs of a project (`root`).

    With `check_only` nothing is written and differences are shown. Returns the exit status: 0 all
    well, 1 something is stale, 2 a spec or the arguments cannot be used. `write` gets the lines.
    """
    try:
        if spec is None and out is not None:
            raise ConfigurationError("--out needs --spec")
        if spec is not None and out is None and check_only:
            raise ConfigurationError("--check of one spec needs --out")
        if spec is None:
            return _run_project(root or Path.cwd(), check_only, write)
        return _run_one(spec, out, check_only, write)
    except XaiRealtimeError as error:
        write(str(error))
        return 2


def _run_one(spec: Path, out: Path | None, check_only: bool, write: Callable[[str], object]) -> int:
    text = generate(spec)
    if out is None:
        write(text.rstrip("\n"))
        return 0
    found = _text(out) if out.exists() else None
    if not check_only:
        _put(out, text, found, write)
        return 0
    if found != text:
        write(_diff(Path(out.name), found, text))
        return 1
    return 0


def _run_project(root: Path, check_only: bool, write: Callable[[str], object]) -> int:
    if check_only:
        stale = check(root)
        for diff in stale.values():
            write(diff)
        return 1 if stale else 0
    for spec, out in targets(root):
        _put(out, _project_text(spec), _text(out) if out.exists() else None, write)
    for path in check(root):
        path.unlink()
        write(f"removed {path.name}, which no spec gives")
    return 0


def _project_text(spec: Path) -> str:
    checked = read_spec(spec, require_evidence=True)
    if checked.service != spec.stem:
        raise ConfigurationError(f"{spec.name}: x-service is {checked.service!r}, the file name says {spec.stem!r}")
    return emit(checked)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def _put(out: Path, text: str, found: str | None, write: Callable[[str], object]) -> None:
    if found == text:
        write(f"{out.name} is up to date")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(text.encode("utf-8"))
    write(f"wrote {out.name}")


def _diff(name: Path, found: str | None, wanted: str | None) -> str:
    lines = difflib.unified_diff(
        [] if found is None else found.splitlines(keepends=True),
        [] if wanted is None else wanted.splitlines(keepends=True),
        fromfile="/dev/null" if found is None else f"a/{name.as_posix()}",
        tofile="/dev/null" if wanted is None else f"b/{name.as_posix()}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
