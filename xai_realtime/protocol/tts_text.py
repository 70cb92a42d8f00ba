"""Text on its way to the voice, cut where that does no harm. In: text. Out: deltas, pieces. Imports: room 0."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from unicodedata import combining

from xai_realtime.defaults import TTS_MAX_CHARACTERS
from xai_realtime.errors import ConfigurationError
from xai_realtime.speech_tags import OLD_TAGS, TAG, UNFINISHED_TAG, WRAPPING_TAGS

__all__ = ["DELTA_CHARACTERS_MAX", "Flush", "TextPieces", "sentences"]

DELTA_CHARACTERS_MAX: Final = TTS_MAX_CHARACTERS
"""Characters that one `text.delta`, and one request, may have. Source: docs.x.ai voice reference."""
PIECE_CHARACTERS_MIN: Final = 64
"""Below this a tag would not fit into a piece."""

_JOINERS: Final = "\u200c\u200d\ufe0e\ufe0f"
_WRAPPING: Final = frozenset((*WRAPPING_TAGS, *OLD_TAGS))
_CLOSERS: Final = r"[\"'”’»)\]]*(?:</[A-Za-z_-]+>)*"
_ENDS: Final = (
    re.compile(rf"(?<![.!?…])[.!?…]+{_CLOSERS}\s+|[。！？]+[」』）”]*(?:</[A-Za-z_-]+>)*\s*|\n\s*"),
    re.compile(rf"(?<![,;:–—])[,;:–—]+{_CLOSERS}\s+|[、，；：]+\s*"),
    re.compile(r"\s+"),
)
"""Where a text may be cut, the best places first: ends of sentences, of clauses, of words."""


@dataclass(frozen=True, slots=True)
class Flush:
    """A mark in an iterator of text: what was given so far is to be spoken, without waiting for more."""


def _checked(max_characters: int) -> int:
    if not PIECE_CHARACTERS_MIN <= max_characters <= DELTA_CHARACTERS_MAX:
        allowed = f"{PIECE_CHARACTERS_MIN} to {DELTA_CHARACTERS_MAX}"
        raise ConfigurationError(f"pieces of {max_characters!r} characters are not allowed; allowed: {allowed}")
    return max_characters


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _whole(text: str, cut: int, start: int = 0) -> int:
    """The last place from `start` to `cut` that is not inside a tag, nor before a mark of the letter ahead of it.

    Where there is nothing but marks, they are parted.
    """
    place = cut
    while start < place < len(text) and (combining(text[place]) or text[place] in _JOINERS):
        place -= 1
    cut = place if place > start else cut
    for match in TAG.finditer(text, max(start, cut - PIECE_CHARACTERS_MIN)):
        if match.start() < cut < match.end():
            return match.start()
    return cut


class TextPieces:
    """Deltas out of text that comes in pieces cut anywhere, for a voice that reads each delta for itself.

    A speech tag is never split between two deltas: what may yet become one waits, at most 34 characters and until
    the next text or `flush`. Blanks are kept with the text before or after them and never sent alone. Each delta has
    fewer than `max_characters`. The deltas joined are the text, but for blanks that nothing follows, and blanks in a
    row beyond half of a delta. Raises ConfigurationError for fewer than 64 characters or more than 15,000.
    """

    __slots__ = ("_limit", "_waiting")

    def __init__(self, max_characters: int = DELTA_CHARACTERS_MAX) -> None:
        self._limit = _checked(max_characters) - 1
        self._waiting = ""

    @property
    def waiting_characters(self) -> int:
        """Characters that wait for more text."""
        return len(self._waiting)

    def push(self, text: str) -> list[str]:
        """The deltas that can go out now, in order; may be empty."""
        text = self._waiting + text
        unfinished = UNFINISHED_TAG.search(text, max(0, len(text) - PIECE_CHARACTERS_MIN))
        end = unfinished.start() if unfinished else len(text)
        deltas, rest = self._cut(text[:end])
        self._waiting = rest + text[end:]
        return deltas

    def flush(self) -> list[str]:
        """The deltas of what waited; the next text begins anew. Blanks alone are not worth one and are left out."""
        deltas, _ = self._cut(self._waiting)
        self._waiting = ""
        return deltas

    def clear(self) -> None:
        """Forget what waits, as after an interruption."""
        self._waiting = ""

    def _cut(self, text: str) -> tuple[list[str], str]:
        """Deltas, and the blanks behind them that wait for text."""
        deltas: list[str] = []
        while True:
            blanks = len(text) - len(text.lstrip())
            text = text[max(0, blanks - self._limit // 2) :]
            if _is_blank(text):
                return deltas, text
            if len(text) <= self._limit:
                return [*deltas, text], ""
            cut = self._place(text)
            deltas.append(text[:cut])
            text = text[cut:]

    def _place(self, text: str) -> int:
        for place in range(self._limit, self._limit // 2, -1):
            if text[place - 1].isspace():
                return place
        return _whole(text, self._limit)


class _Tags:
    """Which wrapping tags are open at which place of a text."""

    def __init__(self, text: str) -> None:
        self._places = [0]
        self._open: list[tuple[str, ...]] = [()]
        for match in TAG.finditer(text):
            name, now = match["wrapping"], self._open[-1]
            if name not in _WRAPPING:
                continue
            if not match["slash"]:
                now = (*now, name)
            elif name in now:
                last = len(now) - 1 - now[::-1].index(name)
                now = now[:last] + now[last + 1 :]
            self._places.append(match.end())
            self._open.append(now)

    def at(self, place: int) -> tuple[str, ...]:
        return self._open[bisect_right(self._places, place) - 1]


def _opening(names: tuple[str, ...]) -> str:
    return "".join(f"<{name}>" for name in names)


def _closing(names: tuple[str, ...]) -> str:
    return "".join(f"</{name}>" for name in reversed(names))


def _says_something(piece: str) -> bool:
    return not _is_blank(TAG.sub(lambda match: "" if match["wrapping"] in _WRAPPING else match[0], piece))


def sentences(text: str, max_characters: int = DELTA_CHARACTERS_MAX) -> list[str]:
    """A long text in as few pieces as fit, to be spoken one by one; blank text is no piece at all.

    Cut at the end of a sentence, else of a clause, else of a word, else anywhere but inside a tag. Wrapping tags that
    are open at a cut are closed before it and opened again behind it. Raises ConfigurationError for fewer than 64
    characters or more than 15,000, and where so many tags are open that no text fits.
    """
    limit = _checked(max_characters)
    if len(text) <= limit:
        return [] if _is_blank(text) else [text]
    return [piece for piece in _pieces(text, limit) if _says_something(piece)]


def _pieces(text: str, limit: int) -> Iterator[str]:
    tags = _Tags(text)
    start = 0
    while start < len(text):
        before = _opening(tags.at(start))
        end = _end_of_piece(text, start, limit - len(before), tags)
        yield before + text[start:end] + _closing(tags.at(end))
        start = end


def _behind_closing(text: str, place: int, fits: Callable[[int], bool]) -> int:
    """Past the closing tags that follow: they belong to the text that they close."""
    while (match := TAG.match(text, place)) and match["slash"] and fits(match.end()):
        place = match.end()
    return place


def _end_of_piece(text: str, start: int, room: int, tags: _Tags) -> int:
    """Where the piece from `start` ends so that it fits into `room` characters with the tags that it must close."""

    def fits(end: int) -> bool:
        return end - start + len(_closing(tags.at(end))) <= room

    if len(text) - start <= room and fits(len(text)):
        return len(text)
    window_end = min(len(text), start + max(0, room))
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(text, start, window_end)]
        for place in reversed(places):
            if fits(place):
                return _behind_closing(text, place, fits)
    for place in range(window_end, start, -1):
        if fits(place) and place == _whole(text, place, start):
            return place
    raise ConfigurationError(f"no text fits between the {len(tags.at(start))} open speech tags at character {start}")
