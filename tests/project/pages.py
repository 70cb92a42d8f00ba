"""Code blocks of Markdown pages; run as a program it executes the runnable blocks of one page, one after the other."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "PageError", "compiled", "python_blocks"]

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")


class PageError(Exception):
    """A page whose code blocks cannot be told apart or are labelled in a way that nothing checks."""


@dataclass(frozen=True, slots=True)
class Block:
    """One ```python block: its code, the line of the page where the code begins, whether it is to be run."""

    code: str
    line: int
    runs: bool


def python_blocks(text: str) -> list[Block]:
    """The Python blocks of a page. Raises PageError on an open fence or an unknown label after `python`."""
    blocks: list[Block] = []
    lines = text.splitlines()
    position = 0
    while position < len(lines):
        opening = FENCE.match(lines[position])
        position += 1
        if opening is None:
            continue
        start = position
        closing = re.compile(rf"^ *{re.escape(opening['ticks'])}\s*$")
        while position < len(lines) and not closing.match(lines[position]):
            position += 1
        if position == len(lines):
            raise PageError(f"the fence of line {start} is never closed")
        info = opening["info"].split()
        if info and info[0].lower() in {"python", "py", "python3"}:
            if info not in (["python"], ["python", "no-run"]):
                raise PageError(f"line {start}: label {' '.join(info)!r}; use `python` or `python no-run`")
            code = textwrap.dedent("\n".join(lines[start:position])) + "\n"
            blocks.append(Block(code, start + 1, info == ["python"]))
        position += 1
    return blocks


def compiled(block: Block, page: str) -> object:
    """The code object of a block, its lines numbered as in the page. Raises SyntaxError."""
    flags = 0 if block.runs else ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile("\n" * (block.line - 1) + block.code, page, "exec", flags=flags, dont_inherit=True)


def main(page: Path) -> None:
    warnings.simplefilter("error")
    for block in python_blocks(page.read_text(encoding="utf-8")):
        code = compiled(block, str(page))
        if block.runs:
            print(f"{page.name}:{block.line}", file=sys.stderr, flush=True)
            exec(code, {"__name__": "__main__", "__file__": str(page)})  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
