"""Text as tones: the symbols, the words and their times. In: text. Out: PCM, times. Imports: stdlib, 0.

A symbol is 20 ms of two tones, one of five low and one of five high ones, all between 600 and 2,900 Hz. A word is a
start symbol, two symbols a byte of its UTF-8, four symbols of CRC-16, and an end symbol. The start tells the place of
the word (first, else its number modulo 4), the end tells whether it is the last.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from array import array
from binascii import crc_hqx
from collections.abc import Iterator
from typing import Final, NamedTuple

from xai_realtime.audio import PCM_RATES_HZ
from xai_realtime.errors import ConfigurationError

__all__ = [
    "CRC_SYMBOLS",
    "END",
    "FIRST",
    "HIGH_HZ",
    "LAST",
    "LOW_HZ",
    "MAX_SYMBOLS",
    "NOTHING",
    "STARTS",
    "SYMBOL_MS",
    "VALUES",
    "WORD_BYTES",
    "Word",
    "check",
    "checked_rate",
    "duration_ms",
    "packets",
    "speak",
    "text_until",
    "words",
]

SYMBOL_MS: Final = 20
"""Milliseconds of one pair of tones; a byte takes two."""
WORD_BYTES: Final = 24
"""Bytes that one word carries at most; a longer run without spaces is cut at characters into several words."""

LOW_HZ: Final = (620, 810, 1000, 1190, 1380)
HIGH_HZ: Final = (1770, 2040, 2310, 2580, 2850)
_TONE_PEAK: Final = 8191
_RAMP_MS: Final = 2

# A symbol is 5 * low + high. The fifth low tone starts a word, the fifth high tone ends it, the rest are 4 bits each.
NIBBLES: Final = tuple(5 * (value >> 2) + (value & 3) for value in range(16))
VALUES: Final = {symbol: value for value, symbol in enumerate(NIBBLES)}
STARTS: Final = (20, 21, 22, 23)
FIRST: Final = 24
END: Final = 4
LAST: Final = 14
NOTHING: Final = -1
CRC_SYMBOLS: Final = 4
MAX_SYMBOLS: Final = 2 * WORD_BYTES + CRC_SYMBOLS + 2


class Word(NamedTuple):
    """A word without the spaces around it, and the milliseconds from the start of the audio between which it sounds."""

    text: str
    start_ms: float
    end_ms: float


def _pieces(text: str) -> list[str]:
    """The text cut into words with the spaces before them (and after the last), none over WORD_BYTES."""
    runs = re.findall(r"\s*\S+", text) or [""]
    runs[-1] += text[sum(map(len, runs)) :]
    pieces = []
    for run in runs:
        begin, size = 0, 0
        for place, character in enumerate(run):
            width = len(character.encode("utf-8", "replace"))
            if size + width > WORD_BYTES:
                pieces.append(run[begin:place])
                begin, size = place, 0
            size += width
        pieces.append(run[begin:])
    return [piece for piece in pieces if piece]


def check(start: int, body: bytes, end: int) -> int:
    """CRC-16 of a word, its start and its end symbol."""
    return crc_hqx(bytes((start, *body, end)), 0xFFFF)


def packets(text: str) -> Iterator[tuple[str, list[int]]]:
    """The words of `text`, each with the spaces that belong to it, and their symbols."""
    pieces = _pieces(text)
    for number, piece in enumerate(pieces):
        start = STARTS[number % 4] if number else FIRST
        end = END if number + 1 < len(pieces) else LAST
        body = piece.encode("utf-8", "replace")
        framed = body + check(start, body, end).to_bytes(2, "big")
        yield piece, [start, *(NIBBLES[half] for byte in framed for half in (byte >> 4, byte & 15)), end]


@functools.cache
def _waves(rate_hz: int) -> dict[int, bytes]:
    """PCM of every symbol, with soft edges so that neighbours do not click."""
    length = rate_hz * SYMBOL_MS // 1000
    ramp = rate_hz * _RAMP_MS // 1000
    edge = [0.5 - 0.5 * math.cos(math.pi * (place + 0.5) / ramp) for place in range(ramp)]
    shape = [*edge, *[1.0] * (length - 2 * ramp), *reversed(edge)]
    low, high = (
        [[_TONE_PEAK * math.sin(2 * math.pi * hz * place / rate_hz) for place in range(length)] for hz in group]
        for group in (LOW_HZ, HIGH_HZ)
    )
    waves = {}
    for symbol in (*NIBBLES, *STARTS, FIRST, END, LAST):
        pairs = zip(shape, low[symbol // 5], high[symbol % 5], strict=True)
        samples = array("h", (round(level * (one + other)) for level, one, other in pairs))
        if sys.byteorder == "big":  # pragma: no cover
            samples.byteswap()
        waves[symbol] = samples.tobytes()
    return waves


def checked_rate(rate_hz: int) -> int:
    """`rate_hz` again; raises ConfigurationError when the service has no PCM at that rate."""
    if isinstance(rate_hz, bool) or rate_hz not in PCM_RATES_HZ:
        allowed = ", ".join(map(str, PCM_RATES_HZ))
        raise ConfigurationError(f"a sample rate of {rate_hz!r} Hz is not allowed; allowed: {allowed}")
    return rate_hz


def speak(text: str, *, sample_rate_hz: int = 24_000) -> bytes:
    """`text` as audible text: mono PCM that `hear` turns back into it; no audio for an empty text.

    A sentence of 40 characters lasts about 2.5 s; `duration_ms` tells exactly. Peak -6 dBFS, level -12 dBFS. Lone
    surrogates are spoken as `?`. The same text gives the same bytes. Raises ConfigurationError for a rate that is not
    in `audio.PCM_RATES_HZ`.
    """
    waves = _waves(checked_rate(sample_rate_hz))
    return b"".join(waves[symbol] for _, symbols in packets(text) for symbol in symbols)


def duration_ms(text: str) -> int:
    """Milliseconds that `speak(text)` lasts: 40 a byte of UTF-8 and 120 a word."""
    return sum(SYMBOL_MS * len(symbols) for _, symbols in packets(text))


def words(text: str) -> list[Word]:
    """When each word of `speak(text)` sounds, in milliseconds from its start.

    Audio that is cut at `end_ms` or later still holds the word; cut a symbol (20 ms) earlier it does not.
    """
    spans, at_ms = [], 0
    for piece, symbols in packets(text):
        end_ms = at_ms + SYMBOL_MS * len(symbols)
        if piece.strip():
            spans.append(Word(piece.strip(), at_ms, end_ms))
        at_ms = end_ms
    return spans


def text_until(text: str, audio_ms: float) -> str:
    """The beginning of `text` that has sounded as whole words after `audio_ms` milliseconds of `speak(text)`."""
    said, at_ms = "", 0
    for piece, symbols in packets(text):
        at_ms += SYMBOL_MS * len(symbols)
        if at_ms > audio_ms:
            break
        said += piece
    return said
