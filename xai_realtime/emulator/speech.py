"""A spoken text: its sound in pieces and its words in segments. In: text, a format. Out: audio, times. Imports: 0, 7.

Segments are cut as the service was seen to cut them: what fits into the first seven words, then sentence by sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from xai_realtime.audible import duration_ms, speak
from xai_realtime.audio import AudioFormat
from xai_realtime.emulator.encodings import encoded

__all__ = ["CHUNK_MS", "Segment", "Speech", "replaced", "segments_of", "token_count"]

CHUNK_MS: Final = 100
FIRST_WORDS: Final = 7
SENTENCE: Final = re.compile(r"\s*\S.*?(?:[.!?]+(?=\s|$)|$)", re.DOTALL)
WORD: Final = re.compile(r"\s*\S+")
TOKEN: Final = re.compile(r"\d|[^\W\d]+(?:'[^\W\d]+)?|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text that goes out as one transcript delta; `start_ms` is where its sound begins.

    `is_rest` marks the end of a sentence that the first segment began and with which the text ends.
    """

    text: str
    start_ms: float
    is_rest: bool = False


def segments_of(text: str) -> list[str]:
    """`text` in segments; joined they are the text."""
    sentences = SENTENCE.findall(text)
    if not sentences:
        return [text] if text else []
    sentences[-1] += text[sum(map(len, sentences)) :]
    words = WORD.findall(sentences[0])
    if len(words) > FIRST_WORDS:
        first = "".join(words[:FIRST_WORDS])
        return [first, sentences[0][len(first) :], *sentences[1:]]
    taken, count = 0, 0
    for sentence in sentences:
        count += len(WORD.findall(sentence))
        if count > FIRST_WORDS:
            break
        taken += 1
    return ["".join(sentences[:taken]), *sentences[taken:]]


def replaced(text: str, replacements: Mapping[str, str]) -> str:
    """`text` as it is spoken: whole words replaced whatever their case. The transcript stays."""
    for word, spoken in replacements.items():
        if word:
            verbatim = spoken.replace("\\", r"\\")
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", verbatim, text, flags=re.IGNORECASE)
    return text


def token_count(text: str) -> int:
    """Tokens as the service counts them, near enough: words, digits and marks."""
    return len(TOKEN.findall(text))


class Speech:
    """One text as sound. `chunks` are its pieces of 100 ms, the last one shorter, each with its milliseconds.

    `scale` is how much longer the sound is than the text would be, 1.0 when no word was replaced.
    """

    def __init__(self, text: str, form: AudioFormat, replacements: Mapping[str, str]) -> None:
        spoken = replaced(text, replacements)
        self.text = text
        self.chunks = encoded(speak(spoken, sample_rate_hz=form.rate_hz), form, CHUNK_MS)
        self.scale = duration_ms(spoken) / duration_ms(text) if text else 1.0
        texts = segments_of(text)
        self.segments = [Segment(texts[0], 0.0)] if texts else []
        said = ""
        for before, piece in pairwise(texts):
            said += before
            is_rest = len(texts) == 2 and not before.rstrip().endswith((".", "!", "?"))
            self.segments.append(Segment(piece, duration_ms(said) * self.scale, is_rest))
