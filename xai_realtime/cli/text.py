"""Texts fit for a terminal. In: anything said on a tape. Out: one clean line. Imports: stdlib."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["clean", "plain", "seconds", "shortened"]

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
ASCII: Final = {"…": "...", "·": "-", "→": "->", "←": "<-", "“": '"', "”": '"', "’": "'", "—": "-", "–": "-"}
STEERING: Final = frozenset("\uffff\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn the direction of all that follows, and one that this program uses itself."""


def clean(text: str) -> str:
    """One line without control characters, so that nothing on a tape can steer the terminal."""
    words = " ".join(text.split())
    if words.isprintable():
        return words
    return "".join(REPLACEMENT if _steers(letter) else letter for letter in words)


def _steers(letter: str) -> bool:
    return letter in STEERING or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, an ellipsis standing for the rest."""
    text = clean(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def seconds(milliseconds: float) -> str:
    """A duration as it is read: `2.08 s`, `0.05 s`."""
    return f"{milliseconds / 1000:.2f} s"


def plain(text: str, encoding: str) -> str:
    """The text in what an encoding can hold; what it cannot is written in ASCII or as a question mark."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        table: Mapping[str, Any] = ASCII
        text = "".join(table.get(letter, letter) for letter in text)
        return text.encode("ascii", "replace").decode("ascii")
    return text
