"""On which line each field of a TOML text stands. In: a text that parses. Out: paths and lines.

Imports: the standard library. The parser of the standard library tells no lines, so headers and keys are found here.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

__all__ = ["Path", "places"]

Path: TypeAlias = tuple[str | int, ...]

QUOTED: Final = r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'"
KEY: Final = rf"(?:[A-Za-z0-9_-]+|{QUOTED})(?:[ \t]*\.[ \t]*(?:[A-Za-z0-9_-]+|{QUOTED}))*"
PART: Final = re.compile(rf"{QUOTED}|[A-Za-z0-9_-]+")
TOKEN: Final = re.compile(
    r"(?P<comment>#[^\n]*)"
    r"|(?P<long>\"\"\"(?:[^\\]|\\.)*?\"\"\"+|'''.*?'''+)"
    rf"|(?P<assignment>{KEY})[ \t]*=(?!=)"
    rf"|(?P<text>{QUOTED})"
    r"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<line>\n)|(?P<other>[^\n])",
    re.DOTALL,
)
HEADER: Final = re.compile(rf"[ \t]*(?P<open>\[\[?)[ \t]*(?P<key>{KEY})[ \t]*\]")


def places(text: str) -> dict[Path, int]:
    """The line, from 1, of every header and of every key that stands at the beginning of a line."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    inside: Path = ()
    line, depth, position, is_start = 1, 0, 0, True
    while position < len(text):
        header = HEADER.match(text, position) if is_start and depth == 0 else None
        if header is not None:
            inside = _named(header["key"], counts)
            if header["open"] == "[[":
                counts[inside] = counts.get(inside, -1) + 1
                inside = (*inside, counts[inside])
            found.setdefault(inside, line)
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
            is_start = False
            continue
        token = TOKEN.match(text, position)
        assert token is not None  # the last alternative takes any character
        if token["assignment"] is not None and depth == 0:
            key = (*inside, *_parts(token["assignment"]))
            for length in range(len(inside) + 1, len(key) + 1):
                found.setdefault(key[:length], line)
        depth += (token["open"] is not None) - (token["close"] is not None)
        line += token[0].count("\n")
        is_start = token["line"] is not None
        position = token.end()
    return found


def _parts(key: str) -> list[str]:
    return [part[1:-1] if part[0] in "\"'" else part for part in PART.findall(key)]


def _named(key: str, counts: dict[Path, int]) -> Path:
    """The path of a header: what is below a list of tables belongs to its last one."""
    path: Path = ()
    parts = _parts(key)
    for position, part in enumerate(parts):
        path = (*path, part)
        if position < len(parts) - 1 and path in counts:
            path = (*path, counts[path])
    return path
