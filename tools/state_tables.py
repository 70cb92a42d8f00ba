"""Draws the state machines of a session from their tables, for `docs/state-tables.md`.

What a state means is read from the text below its table in the source.

Usage: python -m tools.state_tables [--check]
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final

from xai_realtime.protocol import chat_reply, floor, session, stt_core, tool_ledger, user_turns
from xai_realtime.protocol.desk import Table
from xai_realtime.tts import _socket

__all__ = ["MACHINES", "PAGE", "Machine", "drawn", "explained", "main", "page", "states"]

PAGE: Final = Path(__file__).parents[1] / "docs" / "state-tables.md"


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine: its heading, and the table that is it, by module and name."""

    title: str
    module: ModuleType
    name: str

    @property
    def table(self) -> Table:
        """The table itself."""
        found: Table = getattr(self.module, self.name)
        return found


MACHINES: Final = (
    Machine("The line", session, "LINE"),
    Machine("The floor", floor, "FLOOR"),
    Machine("The input", user_turns, "INPUT"),
    Machine("A transcript", user_turns, "TRANSCRIPT"),
    Machine("A call", tool_ledger, "CALL"),
    Machine("A transcription", stt_core, "STT_LINE"),
    Machine("A socket that speaks", _socket, "SOCKET"),
    Machine("A chat answer", chat_reply, "LIFE"),
)

HEAD: Final = """\
# State tables

A session is a few small machines, and so are a transcription, a socket that speaks and a chat answer. Each is a
table: (state, what happened) to the next state; what is not in the table changes nothing. A machine begins in the first
state of its table; one without a way out is final.

This page is printed from the tables by `python -m tools.state_tables` (`make generate`), and a test holds both
together.
"""


def states(table: Table) -> list[str]:
    """Every state, in the order in which the table names them; the first one is where the machine begins."""
    sources = [state for state, _ in table]
    return list(dict.fromkeys([*sources, *table.values()]))


def drawn(table: Table) -> str:
    """The table as a mermaid diagram; triggers that lead the same way share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, trigger), target in table.items():
        arrows.setdefault((state, target), []).append(trigger)
    named = states(table)
    lines = ["stateDiagram-v2", f"    [*] --> {named[0]}"]
    lines += [f"    {state} --> {target}: {', '.join(triggers)}" for (state, target), triggers in arrows.items()]
    lines += [f"    {state} --> [*]" for state in named if all(state != source for source, _ in table)]
    return "\n".join(lines)


def explained(module: ModuleType, name: str) -> str:
    """The text below an assignment in a module's source. Raises LookupError when there is none."""
    body = ast.parse(inspect.getsource(module)).body
    for node, below in pairwise(body):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    return inspect.cleandoc(text)
    raise LookupError(f"{module.__name__}.{name} has no text below it")


def page(machines: Sequence[Machine] = MACHINES) -> str:
    """The whole page."""
    parts = [HEAD]
    for machine in machines:
        text = explained(machine.module, machine.name)
        heading = f"## {machine.title}\n\n`{machine.module.__name__}.{machine.name}`\n"
        parts.append(f"{heading}\n{text}\n\n```mermaid\n{drawn(machine.table)}\n```\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    text = page()
    if arguments:
        is_same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print("docs/state-tables.md is current" if is_same else "docs/state-tables.md is stale: make generate")
        return 0 if is_same else 1
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
