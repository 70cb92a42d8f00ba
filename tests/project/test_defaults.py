"""The table of docs/defaults.md and the constants of the package say the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from xai_realtime import defaults

PAGE = Path(__file__).resolve().parents[2] / "docs" / "defaults.md"
ROW = re.compile(r"^\| `(?P<name>[A-Z][A-Z0-9_]*)` \| `(?P<value>[^`]*)` \|", re.MULTILINE)


def documented(text: str) -> dict[str, object]:
    rows = [(row["name"], ast.literal_eval(row["value"])) for row in ROW.finditer(text)]
    assert len(dict(rows)) == len(rows), "a default is documented twice"
    return dict(rows)


def test_documented_defaults_are_those_of_the_package() -> None:
    actual = {name: getattr(defaults, name) for name in defaults.__all__}
    assert documented(PAGE.read_text(encoding="utf-8")) == actual


def test_every_constant_of_the_defaults_module_is_offered() -> None:
    constants = {name for name in vars(defaults) if name.isupper() and not name.startswith("_")}
    assert constants == set(defaults.__all__)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "| `PING_S` | `1.0` | x |"), (24000, "| `RATE_HZ` | `24_000` |"), (None, "| `A` | `None` |")],
)
def test_table_reader_reads_the_value_of_a_row(value: object, text: str) -> None:
    assert list(documented(text).values()) == [value]
