"""The page for people who come from other systems lists all of their behaviours, each with a proof that exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.behaviour("coming-from-is-complete")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "coming-from.md"
TABLES = {
    "001": 106,
    "004X": 69,
    "004D": 4,
    "004S": 45,
    "004T": 48,
    "005S": 67,
    "005T": 66,
    "005H": 32,
    "000": 19,
    "003": 56,
    "002": 21,
    "004L": 31,
}
EXPECTED = [f"{table}.{number}" for table, last in TABLES.items() for number in range(1, last + 1)]
ROW = re.compile(r"^\| (\d{3}[A-Z]?\.\d+) \|(.*)\|$", re.MULTILINE)
CELL = re.compile(r"(?<!\\)\|")
PROOF = re.compile(r"`(tests/[\w/]+\.py)::(?:(\w+)::)?(\w+)`")
REASON = "does not apply: "


def rows(text: str) -> list[tuple[str, list[str]]]:
    """The rows of all tables, as id and cells."""
    return [(name, [cell.strip() for cell in CELL.split(rest)]) for name, rest in ROW.findall(text)]


@cache
def functions_of(path: Path) -> frozenset[tuple[str | None, str]]:
    """The tests that a file holds, each with the class it stands in."""
    if not path.is_file():
        return frozenset()
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        place = node.name if isinstance(node, ast.ClassDef) else None
        found |= {(place, each.name) for each in inner if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset((place, name) for place, name in found if name.startswith("test_"))


def problems(text: str, root: Path = ROOT) -> list[str]:
    """What is wrong with a page: one line each."""
    listed = rows(text)
    counts = Counter(name for name, _ in listed)
    found = [f"{name} is missing" for name in EXPECTED if not counts[name]]
    found += [f"{name} stands {count} times" for name, count in counts.items() if count > 1]
    found += [f"{name} is not expected" for name in counts if name not in EXPECTED]
    for name, cells in listed:
        if len(cells) != 3 or not all(cells):
            found.append(f"{name} needs four cells, none of them empty")
            continue
        _, here, proof = cells
        named = PROOF.findall(proof)
        if here.startswith(REASON):
            if proof != "-" or len(here) < len(REASON) + 5:
                found.append(f"{name} does not apply, so it needs a reason, and a dash for a proof")
        elif not named or PROOF.sub("", proof).strip(" ,"):
            found.append(f"{name} has neither a proof nor a reason, or more than proofs")
        found += [
            f"{name} names {path}::{test}, which does not exist"
            for path, place, test in named
            if (place or None, test) not in functions_of(root / path)
        ]
    return found


def test_page_lists_every_behaviour_once_with_a_proof_that_exists_or_a_reason() -> None:
    assert problems(PAGE.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("| 001.2 |", "| 001.1 |"), ["001.2 is missing", "001.1 stands 2 times"]),
        (("| 004D.4 |", "| 004D.5 |"), ["004D.4 is missing", "004D.5 is not expected"]),
        (("::test_b`", "::test_c`"), ["001.2 names tests/test_it.py::test_c, which does not exist"]),
        (("::Test::test_b`", "::test_b`"), ["001.2 names tests/test_it.py::test_b, which does not exist"]),
        (
            ("tests/test_it.py::test_a", "tests/none.py::test_a"),
            ["001.1 names tests/none.py::test_a, which does not exist"],
        ),
        (("`tests/test_it.py::test_a`", "-"), ["001.1 has neither a proof nor a reason, or more than proofs"]),
        (("`tests/test_it.py::test_a`", "later"), ["001.1 has neither a proof nor a reason, or more than proofs"]),
        (
            ("does not apply: no frames", "does not apply:  "),
            ["001.3 has neither a proof nor a reason, or more than proofs"],
        ),
        (("| no frames |", "| |"), ["001.3 needs four cells, none of them empty"]),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
def test_check_of_the_page_names_what_is_wrong(tmp_path: Path, change: tuple[str, str], problem: list[str]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("def test_a(): ...\nclass Test:\n    def test_b(self): ...\n")
    lines = [f"| {name} | x | y | `tests/test_it.py::test_a` |" for name in EXPECTED]
    lines[1] = "| 001.2 | x | y | `tests/test_it.py::Test::test_b` |"
    lines[2] = "| 001.3 | no frames | does not apply: no frames | - |"
    text = "\n".join(lines)
    assert problems(text, tmp_path) == []
    assert change[0] in text
    assert problems(text.replace(change[0], change[1], 1), tmp_path) == problem
