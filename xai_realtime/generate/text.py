"""Python text that a formatter leaves as it is. In: names, values, words. Out: lines. Imports: the standard library."""

from __future__ import annotations

import json
import keyword
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = [
    "WIDTH",
    "Bracket",
    "Code",
    "Either",
    "class_name",
    "docstring",
    "field_name",
    "flat",
    "layout",
    "quote",
    "shown",
]

WIDTH: Final = 120


def class_name(wire: str) -> str:
    """`input_audio.format` as `InputAudioFormat`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", wire))


def field_name(wire: str, reserved: frozenset[str]) -> str:
    """A Python attribute name for a wire name: itself where possible, else without what Python forbids."""
    name = re.sub(r"\W+", "_", wire, flags=re.ASCII).lstrip("_")
    if not name or name[0].isdigit():
        name = f"field_{name}"
    if keyword.iskeyword(name) or name in reserved:
        name += "_"
    return name


def quote(value: Any) -> str:
    """A literal in the quotes a formatter prefers."""
    if not isinstance(value, str):
        return repr(value)
    text = repr(value)
    if text[0] == '"' or value.count('"') > value.count("'"):
        return text
    return '"' + text[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class Bracket:
    """`head`, entries between brackets, `tail`: a call, a subscript, a list, a set or a dict."""

    head: str
    entries: tuple[Code, ...]
    tail: str


@dataclass(frozen=True, slots=True)
class Either:
    """Alternatives joined with `|`."""

    arms: tuple[Code, ...]


Code: TypeAlias = str | Bracket | Either


def flat(code: Code) -> str:
    """Everything on one line."""
    if isinstance(code, str):
        return code
    if isinstance(code, Either):
        return " | ".join(flat(arm) for arm in code.arms)
    lone = "," if code.head == "(" and len(code.entries) == 1 else ""
    return code.head + ", ".join(flat(entry) for entry in code.entries) + lone + code.tail


def layout(start: str, code: Code, indent: str = "", end: str = "") -> list[str]:
    """`start` and then `code`: on one line where that fits, else opened up with trailing commas."""
    line = f"{indent}{start}{flat(code)}{end}"
    inner = indent + "    "
    if len(line) <= WIDTH or (isinstance(code, str) and not start.endswith("= ")):
        return [line]
    if isinstance(code, str):
        return [f"{indent}{start}(", inner + code, f"{indent}){end}"]
    if isinstance(code, Bracket):
        body = [line for entry in code.entries for line in layout("", entry, inner, ",")]
        return [f"{indent}{start}{code.head}", *body, f"{indent}{code.tail}{end}"]
    if not start:
        return _arms(code, indent, end)
    body = [inner + flat(code)] if len(inner) + len(flat(code)) <= WIDTH else _arms(code, inner, "")
    return [f"{indent}{start}(", *body, f"{indent}){end}"]


def _arms(code: Either, indent: str, end: str) -> list[str]:
    lines: list[str] = []
    for index, arm in enumerate(code.arms):
        last = index == len(code.arms) - 1
        lines += layout("| " if index else "", arm, indent, end if last else "")
    return lines


def docstring(paragraphs: Iterable[str], indent: str) -> list[str]:
    """Paragraphs as a docstring: the first stands alone, the rest wrapped below it."""
    texts = [_safe(paragraph) for paragraph in paragraphs]
    texts = [text for text in texts if text]
    width = WIDTH - len(indent)
    if len(texts) == 1 and len(texts[0]) + 6 <= width:
        return [f'{indent}"""{texts[0]}"""']
    lines: list[str] = []
    for text in texts:
        lines += ["", *_wrap(text, width, 0 if lines else 3)]
    lines = [indent + line if line else "" for line in lines[1:]]
    lines[0] = f'{indent}"""{lines[0].lstrip()}'
    return [*lines, f'{indent}"""']


def _wrap(text: str, width: int, taken: int) -> Sequence[str]:
    return textwrap.wrap(text, width, initial_indent=" " * taken, break_long_words=False, break_on_hyphens=False)


def _safe(paragraph: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in paragraph)
    text = " ".join(text.split()).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return text + " ." if text.endswith('"') else text


def shown(value: Any) -> str:
    """A default as the documentation shows it."""
    return json.dumps(value, ensure_ascii=False)
