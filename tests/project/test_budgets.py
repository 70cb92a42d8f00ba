"""Files, functions and classes stay small enough to be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.measure import over_budget

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path for folder in ("xai_realtime", "tests", "tools", "examples", "bench") for path in (ROOT / folder).rglob("*.py")
)


def test_source_files_stay_within_their_budgets() -> None:
    wrong = {str(path.relative_to(ROOT)): over_budget(path.read_text(encoding="utf-8")) for path in FILES}
    assert {path: too_large for path, too_large in wrong.items() if too_large} == {}


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("x = 1\n" * 501, "501 lines of the file"),
        ("def f():\n" + "    x = 1\n" * 60, "61 lines of a function"),
        ("class C:\n" + "".join(f"    a{n}: int\n" for n in range(21)), "21 attributes of a class"),
        (
            "class C:\n    a: int\n    def __init__(self):\n"
            + "".join(f"        self.b{n} = {n}\n" for n in range(20)),
            "21 attributes of a class",
        ),
        ("class C:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(26)), "26 methods of a class"),
    ],
)
def test_budget_check_names_what_is_too_large_when_it_is_planted(source: str, wrong: str) -> None:
    found = over_budget(source)
    assert len(found) == 1
    assert wrong in found[0]


def test_budget_check_leaves_generated_files_alone() -> None:
    assert over_budget('"""Generated from spec/x.yaml."""\n' + "x = 1\n" * 501) == []


def test_budget_check_counts_overloads_of_one_method_once() -> None:
    assert over_budget("class C:\n" + "    def m(self): ...\n" * 30) == []
