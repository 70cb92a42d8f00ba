"""Python blocks of the README and of the pages under docs/ run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project import pages
from tests.project.pages import Block, PageError, compiled, python_blocks
from tests.project.scripts import ROOT, reader_folder, run_python

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)[^)]*\)")


def run_page(page: Path, folder: Path) -> tuple[int, str]:
    run = run_python([Path(pages.__file__), page], reader_folder(folder))
    return run.returncode, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs_block_by_block(page: Path, tmp_path: Path) -> None:
    blocks = python_blocks(page.read_text(encoding="utf-8"))
    assert all(compiled(block, page.name) for block in blocks)
    if any(block.runs for block in blocks):
        code, errors = run_page(page, tmp_path)
        assert code == 0, errors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_links_to_files_that_exist(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_page_check_fails_with_the_line_of_the_page_when_a_block_raises(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\n```\n\n```python\nprint('fine')\nraise ValueError('planted')\n```\n")
    code, errors = run_page(page, tmp_path)
    assert code == 1
    assert "page.md:8" in errors
    assert 'page.md", line 9' in errors
    assert "planted" in errors


def test_page_check_fails_when_a_block_only_warns(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nimport warnings\nwarnings.warn('planted')\n```\n")
    assert run_page(page, tmp_path)[0] == 1


def test_page_check_does_not_run_a_block_marked_no_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python no-run\nawait nothing.here()\n```\n")
    assert run_page(page, tmp_path) == (0, "")


def test_page_check_refuses_syntax_errors_in_a_block_marked_no_run() -> None:
    with pytest.raises(SyntaxError):
        compiled(Block("await (\n", 1, runs=False), "page.md")


@pytest.mark.parametrize("text", ["```python\nx = 1\n", "```python norun\nx = 1\n```\n", "```py\nx = 1\n```\n"])
def test_page_check_refuses_fences_that_it_cannot_read(text: str) -> None:
    with pytest.raises(PageError):
        python_blocks(text)


def test_page_reader_finds_blocks_inside_lists_and_skips_other_languages() -> None:
    text = "- item\n\n  ```python\n  x = 1\n  ```\n\n```sh\nls\n```\n\n````text\n```python\n````\n"
    assert python_blocks(text) == [Block("x = 1\n", 4, runs=True)]
