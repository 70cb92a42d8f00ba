"""What a docstring says of a function and its parameters. In: a docstring. Out: texts. Imports: the standard library.

Reads the Google style (`Args:`), the NumPy style (`Parameters` over dashes) and the Sphinx style (`:param x:`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Final, TypeAlias

__all__ = ["read_docstring"]

Found: TypeAlias = tuple[list[str], dict[str, str]]

GOOGLE_HEAD: Final = re.compile(
    r"(Args|Arguments|Params|Parameters|Keyword Args|Keyword Arguments|Other Parameters):\s*"
)
GOOGLE_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:\s*(.*)")
NUMPY_HEAD: Final = re.compile(r"(Parameters|Other Parameters)\s*")
NUMPY_ENTRY: Final = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
DASHES: Final = re.compile(r"-{3,}\s*")
SPHINX_TEXT: Final = re.compile(r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)")
SPHINX_TYPE: Final = re.compile(r":type\s+\w+\s*:.*")


def read_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The text without what describes parameters, and the description of each parameter by its name."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    described: dict[str, str] = {}
    styles: tuple[Callable[[list[str]], Found], ...] = (without_google, without_numpy, without_sphinx)
    for style in styles:
        lines, found = style(lines)
        described = found | described
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines))
    return text.strip(), {name: said for name, said in described.items() if said}


def indent_of(line: str) -> int:
    """How many columns a line is indented."""
    return len(line) - len(line.lstrip())


def entries(lines: list[str], entry: re.Pattern[str]) -> dict[str, str]:
    """Descriptions in a block whose least indented lines start a parameter and whose deeper lines go on with it."""
    base = min((indent_of(line) for line in lines if line.strip()), default=0)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in filter(str.strip, lines):
        start = entry.fullmatch(line.strip()) if indent_of(line) == base else None
        if start is not None:
            names = [name.strip().lstrip("*") for name in start[1].split(",")]
            said = start[2] if entry.groups > 1 else ""
        else:
            said = line.strip()
        for name in names:
            found[name] = f"{found.get(name, '')} {said}".strip()
    return found


def without_google(lines: list[str]) -> Found:
    """Take out `Args:` and the indented lines below it."""
    kept: list[str] = []
    found: dict[str, str] = {}
    position = 0
    while position < len(lines):
        end = position + 1
        if GOOGLE_HEAD.fullmatch(lines[position]):
            while end < len(lines) and (not lines[end].strip() or indent_of(lines[end])):
                end += 1
        block = entries(lines[position + 1 : end], GOOGLE_ENTRY)
        found |= block
        kept += [""] if block else lines[position:end]
        position = end
    return kept, found


def without_numpy(lines: list[str]) -> Found:
    """Take out `Parameters` over dashes, up to the next heading over dashes."""
    heads = [at for at in range(len(lines) - 1) if lines[at].strip() and DASHES.fullmatch(lines[at + 1])]
    kept = lines[: heads[0]] if heads else lines
    found: dict[str, str] = {}
    for head, end in pairwise([*heads, len(lines)]):
        if NUMPY_HEAD.fullmatch(lines[head]):
            found |= entries(lines[head + 2 : end], NUMPY_ENTRY)
        else:
            kept = kept + lines[head:end]
    return kept, found


def without_sphinx(lines: list[str]) -> Found:
    """Take out `:param x:` and `:type x:` with the indented lines below each."""
    kept: list[str] = []
    found: dict[str, str] = {}
    name: str | None = None
    is_inside = False
    for line in lines:
        start = SPHINX_TEXT.fullmatch(line.strip())
        if start is not None:
            name, is_inside = start[1], True
            found[name] = start[2].strip()
        elif SPHINX_TYPE.fullmatch(line.strip()):
            name, is_inside = None, True
        elif is_inside and line.strip() and indent_of(line):
            if name is not None:
                found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            is_inside = False
            kept.append(line)
    return kept, found
