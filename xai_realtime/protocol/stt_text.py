"""Pieces of a transcript put together, and compared by their sound. In: texts. Out: texts. Imports: stdlib."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from unicodedata import category, east_asian_width, name

__all__ = ["joined", "spoken"]


def _is_unspaced(character: str) -> bool:
    return east_asian_width(character) in "WF" and not name(character, "").startswith("HANGUL")


def _gap(left: str, right: str) -> str:
    if right[0] in ".,;:!?…%" or category(right[0]) == "Pe" or (_is_unspaced(left[-1]) and _is_unspaced(right[0])):
        return ""
    return " "


def joined(texts: Iterable[str]) -> str:
    """The texts as one: a space between two, but not before punctuation nor inside Chinese and Japanese."""
    pieces = [piece for text in texts if (piece := text.strip())]
    return "".join(pieces[:1] + [_gap(left, right) + right for left, right in pairwise(pieces)])


def spoken(text: str) -> str:
    """What of a text can be heard: letters and digits, without case; two texts that differ in punctuation are equal."""
    return "".join(character for character in text.casefold() if character.isalnum())
