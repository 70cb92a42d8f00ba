"""Text as sound and sound as text, without a model. In: text; PCM. Out: PCM; text. Imports: stdlib, 0, numpy.

Hearing imports numpy inside the function (extra `emulator`); speaking does without.
"""

from __future__ import annotations

from xai_realtime.audible._hearing import DAMAGE, Hearer, Utterance, hear
from xai_realtime.audible._speech import SYMBOL_MS, WORD_BYTES, Word, duration_ms, speak, text_until, words

__all__ = [
    "DAMAGE",
    "SYMBOL_MS",
    "WORD_BYTES",
    "Hearer",
    "Utterance",
    "Word",
    "duration_ms",
    "hear",
    "speak",
    "text_until",
    "words",
]
