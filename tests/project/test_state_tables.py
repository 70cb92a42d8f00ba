"""The page of state diagrams and the tables of the session say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.state_tables import MACHINES, PAGE, Machine, drawn, explained, main, page, states
from xai_realtime.protocol import floor
from xai_realtime.protocol.session import LINE

ARROW = re.compile(r"^    (\S+) --> (\S+): (.+)$", re.MULTILINE)


def test_page_of_state_tables_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/state-tables.md is stale: run `make generate`"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_diagram_draws_each_step_of_the_table_once(machine: Machine) -> None:
    steps = {
        (state, trigger): target
        for state, target, triggers in ARROW.findall(drawn(machine.table))
        for trigger in triggers.split(", ")
    }
    assert steps == dict(machine.table)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: str(machine.name))
def test_each_state_can_be_reached_from_the_first(machine: Machine) -> None:
    reached = {states(machine.table)[0]}
    while more := {target for (state, _), target in machine.table.items() if state in reached} - reached:
        reached |= more
    assert reached == set(states(machine.table))


def test_each_table_of_the_package_is_on_the_page() -> None:
    folder = Path(__file__).resolve().parents[2] / "xai_realtime"
    sources = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    table = re.compile(r"^(\w+): Final\[(?:Table|Mapping\[tuple\[State, Trigger\], State\])\]", re.MULTILINE)
    named = {name for source in sources for name in table.findall(source)}
    assert named == {machine.name for machine in MACHINES}


def test_page_is_stale_when_a_table_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"]) == 0
    monkeypatch.setitem(LINE, ("down", "planted"), "ready")
    assert main(["--check"]) == 1
    assert "stale" in capsys.readouterr().out


def test_table_without_a_text_below_it_is_refused() -> None:
    with pytest.raises(LookupError, match="NOTHING has no text below it"):
        explained(floor, "NOTHING")


def test_state_tables_tool_writes_the_page_and_refuses_unknown_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.state_tables.PAGE", tmp_path / "page.md")
    assert (main(["--check"]), main([]), main(["--check"]), main(["--draw"])) == (1, 0, 0, 2)
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()
