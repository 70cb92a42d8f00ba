"""The pytest snippet of docs/first-replay.md, run as a reader would run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.pages import python_blocks
from tests.project.scripts import ROOT, reader_folder, run_python


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder with the snippet in a test file."""
    page = (ROOT / "docs" / "first-replay.md").read_text("utf-8")
    snippet = next(block.code for block in python_blocks(page) if "def test_" in block.code)
    reader_folder(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nasyncio_default_fixture_loop_scope = function\n")
    (tmp_path / "test_tide.py").write_text(snippet)
    (tmp_path / "test_tide_asyncio.py").write_text(snippet.replace("pytest.mark.anyio", "pytest.mark.asyncio"))
    return tmp_path


@pytest.mark.behaviour("docs-first-replay")
def test_snippet_of_the_page_passes_under_anyio_on_both_backends_and_under_pytest_asyncio(folder: Path) -> None:
    done = run_python(["-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


@pytest.mark.behaviour("docs-first-replay")
def test_snippet_of_the_page_fails_when_the_code_under_test_changes(folder: Path) -> None:
    example = folder / "examples" / "replay_a_call.py"
    example.write_text(example.read_text("utf-8").replace("3.1 metres", "9.9 metres"))
    done = run_python(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "told_the_tide"], folder)
    assert done.returncode == 1
    assert "item.output" in done.stdout
