"""Programs under examples/ run without arguments, key or network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.scripts import ROOT, reader_folder, run_python

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_examples_to_run() -> None:
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_without_arguments(example: Path, tmp_path: Path) -> None:
    folder = reader_folder(tmp_path)
    run = run_python([folder / "examples" / example.name], folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip(), "an example shows something"
    assert run.stderr == ""
