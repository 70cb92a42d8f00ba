"""How much of a transcript was heard. In: pieces of text with their audio times. Out: the heard part of the text.

Imports: rooms 0-1.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

__all__ = ["HeardText"]

_IDEOGRAM: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD: Final = re.compile(f"[{_IDEOGRAM}]|[^\\s{_IDEOGRAM}]+")
"""A word runs to the next white space; Chinese and Japanese have none, so each of their characters is one."""


class HeardText:
    """The transcript of one item, and how far into it a listener came.

    Text runs at an even pace between two known times. A piece without a time goes on where the one before it ended.
    """

    __slots__ = ("_anchors", "_length", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._anchors: list[tuple[float, int]] = []

    @property
    def text(self) -> str:
        """All pieces, joined."""
        return "".join(self._pieces)

    def add(self, piece: str, start_ms: float | None = None) -> None:
        """The next piece of the transcript; its audio starts `start_ms` milliseconds into the item, None if unknown.

        A start before that of an earlier piece counts as the earlier one.
        """
        if start_ms is not None:
            earliest_ms = self._anchors[-1][0] if self._anchors else 0.0
            self._anchors.append((max(earliest_ms, start_ms), self._length))
        self._pieces.append(piece)
        self._length += len(piece)

    def length_ms(self, ms_per_character: float) -> float:
        """How long the text will have taken when it is spoken, as far as its times do not tell at this pace."""
        start_ms, place = self._anchors[-1] if self._anchors else (0.0, 0)
        return start_ms + (self._length - place) * ms_per_character

    def until(self, heard_ms: float, received_ms: float) -> str:
        """The text heard when `heard_ms` of the `received_ms` milliseconds of audio were played.

        Always a beginning of `text` that ends with a whole word; a word counts when its end was heard. Empty when
        nothing was played, and the whole text when everything was.
        """
        if heard_ms <= 0:
            return ""
        text = self.text
        if heard_ms >= received_ms:
            return text
        reached = self._reached(heard_ms, received_ms)
        end = 0
        for word in _WORD.finditer(text):
            if word.end() > reached:
                break
            end = word.end()
        return text[:end]

    def _reached(self, heard_ms: float, received_ms: float) -> float:
        """The place in the text, in characters, that is spoken at `heard_ms`."""
        known = ((0.0, 0), *self._anchors, (received_ms, self._length))
        (start_ms, start), (end_ms, end) = next(pair for pair in pairwise(known) if heard_ms < pair[1][0])
        return start + (heard_ms - start_ms) / (end_ms - start_ms) * (end - start)
