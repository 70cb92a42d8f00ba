"""What a person gets to see. In: rows, tables, sentences. Out: a terminal or a pipe. Imports: rich, rooms 0-6.

Colour only on a terminal, none with NO_COLOR; texts of a tape are redacted and never read as markup.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cli.text import clean, plain
from xai_realtime.cli.timeline import Row

__all__ = ["UNBROKEN", "Screen"]

WHO: Final[Mapping[str, str]] = {"You": "bold cyan", "Grok": "bold magenta", "tool": "bold yellow", "session": "dim"}
WORDS: Final[Mapping[str, str]] = {
    "aside": "dim italic",
    "call": "yellow",
    "error": "bold red",
    "output": "yellow",
    "said": "",
    "session": "dim",
    "usage": "dim",
}
NO_TERMINAL_COLUMNS: Final = 80
UNBROKEN: Final = "\uffff"
"""Stands for a blank at which no line breaks; no text holds it, and rich breaks at a no-break space."""


class Screen:
    """Prints on standard output; complaints go to standard error.

    Every text goes through the redactor (configured keys and what looks like one) and through the
    stream's encoding, so that printing cannot fail and cannot show a key.
    """

    def __init__(self, output: TextIO | None = None, errors: TextIO | None = None) -> None:
        self._redactor = Redactor()
        self._output = sys.stdout if output is None else output
        self._errors = sys.stderr if errors is None else errors
        self._console = _console(self._output)

    @property
    def is_terminal(self) -> bool:
        """True when a person watches."""
        return self._console.is_terminal

    def json(self, value: Any) -> None:
        """One JSON object on one line."""
        self._output.write(json.dumps(self._redactor.json(value)) + "\n")

    def say(self, text: str = "", style: str = "", *, wrap: bool = True) -> None:
        """A sentence; `wrap=False` keeps it on one line, for other programs to read."""
        self._print(self._text(text, style), wrap=wrap)

    def complain(self, text: str) -> None:
        """What went wrong, on standard error. Its lines stay lines."""
        lines = [clean(line) if line == line.lstrip() else "  " + clean(line) for line in text.splitlines()]
        words = self._redactor.text("\n".join(lines))
        self._errors.write(plain(words, _encoding(self._errors)) + "\n")

    def timeline(self, rows: Iterable[Row]) -> None:
        """Time in seconds, who, what."""
        rows = list(rows)
        grid = Table.grid(padding=(0, 2), pad_edge=False)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold", ratio=1)
        for row in rows:
            words = self._text(row.text, WORDS[row.kind])
            if row.note:
                words.append("  ")
                words.append_text(self._text(f"[{row.note}]", "dim", is_unbroken=True))
            grid.add_row(self._text(f"{row.at_ms / 1000:.3f}", "dim"), self._text(row.who, WHO[row.who]), words)
        self._print(grid)

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """A small table: a name, what it is."""
        grid = Table.grid(padding=(0, 2), pad_edge=False)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold", ratio=1)
        for name, value in facts:
            grid.add_row(self._text(name, "dim"), self._text(value))
        self._print(grid)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[str] = ()) -> None:
        """A table without lines; the last column takes what room is left, `numbers` stand to the right."""
        grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for head in heads:
            is_last = head == heads[-1]
            side: Literal["left", "right"] = "right" if head in numbers else "left"
            grid.add_column(self._text(head), no_wrap=not is_last, overflow="fold", justify=side)
        for row in rows:
            grid.add_row(*(self._text(cell) for cell in row))
        self._print(grid)

    def _print(self, what: RenderableType, *, wrap: bool = True) -> None:
        """Print, without the blanks that fill a column up and with plain ones where a line could not break."""
        with self._console.capture() as captured:
            self._console.print(what, soft_wrap=not wrap)
        for line in captured.get().splitlines():
            self._output.write(f"{line.rstrip().replace(UNBROKEN, ' ')}\n")

    def _text(self, text: str, style: str = "", *, is_unbroken: bool = False) -> Text:
        words = plain(self._redactor.text(clean_keeping_indent(text)), _encoding(self._output))
        return Text(words.replace(" ", UNBROKEN) if is_unbroken else words, style=style)


def clean_keeping_indent(text: str) -> str:
    """A clean line with the blanks that stand before it."""
    return text[: len(text) - len(text.lstrip(" "))] + clean(text)


def _encoding(stream: TextIO) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _console(stream: TextIO) -> Console:
    is_coloured = not os.environ.get("NO_COLOR") and stream.isatty()
    width = None if stream.isatty() or os.environ.get("COLUMNS") else NO_TERMINAL_COLUMNS
    return Console(
        file=stream,
        color_system="auto" if is_coloured else None,
        no_color=not is_coloured,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
