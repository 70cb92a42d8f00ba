"""One utterance as it is spoken while its text still comes. In: pieces of text. Out: sound and times, batch by batch.

All batches together are one piece of audible text, with every space in its place. Imports: stdlib, rooms 0 and 7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from xai_realtime.audible import SYMBOL_MS, duration_ms, speak
from xai_realtime.audible._speech import packets
from xai_realtime.audio import bytes_for_ms

__all__ = ["Batch", "SpokenText", "pronounced", "without_tags"]

INLINE: Final = (
    "pause|long-pause|hum-tune|laugh|chuckle|giggle|cry|tsk|tongue-click|lip-smack|breath|inhale|exhale|sigh"
)
WRAPPING: Final = (
    "soft|whisper|loud|build-intensity|decrease-intensity|higher-pitch|lower-pitch|slow|fast|sing-song|singing"
    "|laugh-speak|emphasis"
)
TAG: Final = re.compile(rf"(?<=\s)\[(?:{INLINE})\]\s|\[(?:{INLINE})\]|</?(?:{WRAPPING})>")
NEXT_WORD: Final = re.compile(r"\s+(?=\S)")
SENTENCE_END: Final = re.compile(r"[.!?…。！？](?=\s|$)")
WORD: Final = re.compile(r"\S+")
BATCH_WORDS: Final = 7


def without_tags(delta: str) -> str:
    """A text without its speech tags; one that is not whole stays and is spoken, as at the service."""
    return TAG.sub("", delta)


def pronounced(text: str, replacements: Mapping[str, str]) -> str:
    """`text` as it is spoken: whole words replaced whatever their case, the longest phrase first."""
    if not replacements:
        return text
    spoken = {phrase.lower(): said for phrase, said in replacements.items()}
    phrases = "|".join(re.escape(phrase) for phrase in sorted(spoken, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{phrases})(?!\w)", lambda found: spoken[found[0].lower()], text, flags=re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sound, and when each character of it is spoken: seconds from the start of the utterance."""

    pcm: bytes
    duration_s: float
    characters: list[str]
    times: list[tuple[float, float]]


class SpokenText:
    """Give it text with `push`, fetch what can be spoken with `next_batch`, and what is left with `rest`."""

    def __init__(self, rate_hz: int, replacements: Mapping[str, str]) -> None:
        self._rate_hz = rate_hz
        self._replacements = replacements
        self._pending = ""
        self._words = 0
        self._at_ms = 0

    def push(self, delta: str) -> None:
        """More text. Tags are recognised within one piece alone."""
        self._pending += without_tags(delta)

    def next_batch(self) -> Batch | None:
        """What is enough to begin with: a sentence, or seven words, and never the last word: it may go on."""
        ends = [found.start() for found in NEXT_WORD.finditer(self._pending) if found.start() > 0]
        if not ends:
            return None
        ready = self._pending[: ends[-1]]
        if not SENTENCE_END.search(ready) and len(WORD.findall(ready)) < BATCH_WORDS:
            return None
        self._pending = self._pending[ends[-1] :]
        return self._spoken(ready, is_last=False)

    def rest(self) -> Batch | None:
        """All that was not spoken yet: the text is complete."""
        ready, self._pending = self._pending, ""
        return self._spoken(ready, is_last=True)

    def _spoken(self, text: str, *, is_last: bool) -> Batch | None:
        said = pronounced(text, self._replacements)
        if not said.strip():
            return None
        # A word of audible text carries its number modulo 4 and whether it is the last: words that are cut off
        # again stand for those before and after.
        before = " ".join("a" * (4 + self._words % 4)) if self._words else ""
        pcm = speak(f"{before}{said}" if is_last else f"{before}{said} a", sample_rate_hz=self._rate_hz)
        length_ms = duration_ms(said)
        begin = bytes_for_ms(duration_ms(before) if before else 0, self._rate_hz)
        batch_pcm = pcm[begin : begin + bytes_for_ms(length_ms, self._rate_hz)]
        characters: list[str] = []
        times: list[tuple[float, float]] = []
        for piece, symbols in packets(said):
            end_ms = self._at_ms + SYMBOL_MS * len(symbols)
            characters += piece
            times += spans(piece, self._at_ms, end_ms)
            self._at_ms = end_ms
            self._words += 1
        return Batch(batch_pcm, length_ms / 1000, characters, times)


def spans(piece: str, start_ms: float, end_ms: float) -> list[tuple[float, float]]:
    """When the characters of one word are spoken; the spaces around it take no time."""
    word = piece.strip()
    lead = len(piece) - len(piece.lstrip()) if word else len(piece)
    step_ms = (end_ms - start_ms) / max(len(word), 1)
    edges = [round((start_ms + place * step_ms) / 1000, 3) for place in range(len(word) + 1)]
    inner = list(pairwise(edges))
    start_s, end_s = edges[0], edges[-1]
    return [(start_s, start_s)] * lead + inner + [(end_s, end_s)] * (len(piece) - lead - len(word))
