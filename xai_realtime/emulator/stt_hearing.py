"""The ears of a transcription: utterances out of audio. In: audio in any cuts. Out: results, on the time of the audio.

However the audio is cut and timed, the results are the same. Imports: the standard library, numpy, rooms 0 and 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from xai_realtime.audible import DAMAGE, Hearer
from xai_realtime.audible import Word as SpokenWord
from xai_realtime.audio import SampleAligner, bytes_for_ms, duration_ms
from xai_realtime.emulator.encodings import Decoder
from xai_realtime.emulator.stt_settings import SttSettings
from xai_realtime.vad import FRAME_MS, EnergyVad, SpeechStarted

__all__ = ["Ear", "Ears", "HeardWord", "Result"]

INTERIM_MS: Final = 500
CHUNK_MS: Final = 3000
PAUSE_MS: Final = 200
"""A pause of this length within an utterance ends a chunk."""
SETTLING_MS: Final = 60
"""What the hearer needs after a word to be sure of it; no utterance ends sooner."""
PRE_ROLL_MS: Final = 160
CERTAIN, UNSURE, DOUBTFUL = 0.99, 0.9, 0.0
"""Confidence of words whose checksum was right, of the fallback, and of damage."""
TURN_OVER, TURN_UNCLEAR, TURN_GOES_ON = 0.95, 0.6, 0.1
MARKS: Final = re.compile(r"[.,;:!?]+$")
FILLER: Final = re.compile(r"(?<![\w'-])(?:u+m+|u+h+|e+r+m?|a+h+|h+m+|m+h*m+|uh-huh|mm-hmm)(?![\w'-])[,.…]?\s*", re.I)
GOING_ON: Final = re.compile(r"(?:,|;|:|-|\b(?:and|but|or|so|because|the|a|to|with))$", re.I)


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word and when it sounded, milliseconds from the start of the stream."""

    text: str
    start_ms: float
    end_ms: float
    confidence: float
    speaker: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one partial says. `turn_confidence` is how sure it is that the turn is over."""

    text: str
    words: tuple[HeardWord, ...]
    start_ms: float
    end_ms: float
    is_final: bool = False
    speech_final: bool = False
    turn_confidence: float = 0.0


class Ears:
    """One stream as it comes over the wire: an `Ear` for each channel."""

    def __init__(self, settings: SttSettings, fallback: str, speakers: Sequence[int]) -> None:
        self._decoder = Decoder(settings.form)
        self._aligner = SampleAligner(2 * settings.channels)
        self.channels = [Ear(settings, fallback, speakers) for _ in range(settings.channels)]

    def feed(self, audio: bytes) -> list[tuple[int, Result]]:
        """Listen on; channel and result in order. Raises ValueError for what its encoding cannot be."""
        import numpy as np

        pcm = self._aligner.push(self._decoder.push(audio))
        count = len(self.channels)
        if count == 1:
            return [(0, result) for result in self.channels[0].feed(pcm)]
        samples = np.frombuffer(pcm, "<i2").reshape(-1, count)
        found = [
            (channel, result)
            for channel, ear in enumerate(self.channels)
            for result in ear.feed(bytes(samples[:, channel].tobytes()))
        ]
        return sorted(found, key=lambda entry: entry[1].end_ms)


class Ear:
    """One channel: `feed` it, and end an utterance by hand with `finalize`."""

    def __init__(self, settings: SttSettings, fallback: str, speakers: Sequence[int]) -> None:
        self._settings = settings
        self._rate_hz = settings.form.rate_hz
        self._fallback = fallback
        self._speakers = speakers
        self._endpoint_ms = max(settings.endpointing_ms, SETTLING_MS)
        self._frame_bytes = bytes_for_ms(FRAME_MS, self._rate_hz)
        self._pre_roll_bytes = bytes_for_ms(PRE_ROLL_MS, self._rate_hz)
        self._at_ms = 0.0
        self._utterances = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._rest = b""
        self._recent = b""
        self._vad_from_ms = self._at_ms
        self._vad = EnergyVad(self._rate_hz, silence_duration_ms=min(PAUSE_MS, self._endpoint_ms))
        self._open: Utterance | None = None

    @property
    def audio_ms(self) -> float:
        """Milliseconds of audio so far."""
        return self._at_ms + duration_ms(self._rest, self._rate_hz)

    def feed(self, pcm: bytes) -> list[Result]:
        """Listen to PCM of the channel, cut between samples; what can be told by it."""
        data = self._rest + pcm
        size = self._frame_bytes
        whole = len(data) // size * size
        self._rest = data[whole:]
        return [result for at in range(0, whole, size) for result in self._frame(data[at : at + size])]

    def finalize(self) -> list[Result]:
        """End the utterance now: what came so far is all of it. Nothing when nobody speaks."""
        if self._open is None:
            return []
        self._open.hear(self._rest)
        told = self._open.close(self.audio_ms)
        self._at_ms = self.audio_ms
        self._begin_anew()
        return told

    def _frame(self, frame: bytes) -> list[Result]:
        self._at_ms += FRAME_MS
        told: list[Result] = []
        self._recent = (self._recent + frame)[-self._pre_roll_bytes :]
        if self._open is not None:
            self._open.hear(frame)
        for event in self._vad.feed(frame):
            if isinstance(event, SpeechStarted):
                told += self._speaks(self._vad_from_ms + event.speech_start_ms)
            elif self._open is not None:
                self._open.quiet_from_ms = self._vad_from_ms + event.speech_end_ms
        if self._open is not None:
            told += self._open.tell(self._at_ms)
            quiet_from_ms = self._open.quiet_from_ms
            if quiet_from_ms is not None and self._at_ms - quiet_from_ms >= self._endpoint_ms:
                told += self._judge(self._open, self._at_ms - quiet_from_ms)
        return told

    def _speaks(self, start_ms: float) -> list[Result]:
        if self._open is not None:
            return self._open.resume(start_ms)
        number, self._utterances = self._utterances, self._utterances + 1
        speaker = self._speakers[number % len(self._speakers)] if self._speakers else 0
        from_ms = self._at_ms - duration_ms(self._recent, self._rate_hz)
        self._open = Utterance(self._settings, self._fallback, speaker, from_ms, start_ms)
        self._open.hear(self._recent)
        return []

    def _judge(self, utterance: Utterance, quiet_ms: float) -> list[Result]:
        """The endpointing silence is over: end the utterance, or hold the turn open as `smart_turn` asks."""
        threshold, timeout_ms = self._settings.smart_turn, self._settings.smart_turn_timeout_ms
        is_over = threshold is None or utterance.turn_confidence >= threshold
        is_late = timeout_ms is not None and quiet_ms >= timeout_ms
        if is_over or is_late:
            self._open = None
            return utterance.close(self._at_ms)
        return utterance.demote()


class Utterance:
    """What one person says from the first sound to the silence after it."""

    def __init__(self, settings: SttSettings, fallback: str, speaker: int, from_ms: float, start_ms: float) -> None:
        self._keeps_fillers = settings.filler_words
        self._has_interims = settings.interim_results
        self._fallback = fallback
        self._speaker = speaker
        self._from_ms = from_ms
        self._start_ms = start_ms
        self._hearer = Hearer(sample_rate_hz=settings.form.rate_hz)
        self._words: list[HeardWord] = []
        self._told = 0
        self._held_marks = ""
        self._has_chunks = False
        self._was_demoted = False
        self._chunk_from_ms = start_ms
        self._interim_due_ms = start_ms + INTERIM_MS
        self.quiet_from_ms: float | None = None

    def hear(self, pcm: bytes) -> None:
        """Listen on."""
        self._take(self._hearer.feed(pcm))

    def _take(self, words: Sequence[SpokenWord]) -> None:
        for word in words:
            confidence = DOUBTFUL if DAMAGE in word.text else CERTAIN
            start_ms, end_ms = self._from_ms + word.start_ms, self._from_ms + word.end_ms
            self._words.append(HeardWord(word.text, start_ms, end_ms, confidence, self._speaker))

    @property
    def _pending(self) -> list[HeardWord]:
        return self._cleaned(self._words[self._told :])

    def _cleaned(self, words: Sequence[HeardWord]) -> list[HeardWord]:
        return [word for word in words if self._keeps_fillers or not FILLER.fullmatch(word.text)]

    @property
    def turn_confidence(self) -> float:
        """How sure it is that the speaker wants an answer now, by how the text ends."""
        text = self._words[-1].text if self._words else self._fallback
        return TURN_OVER if text.endswith((".", "!", "?")) else TURN_GOES_ON if GOING_ON.search(text) else TURN_UNCLEAR

    def tell(self, now_ms: float) -> list[Result]:
        """What is due by now: a chunk that is long enough, or an interim result."""
        pending = self._pending
        if pending and now_ms - self._chunk_from_ms >= CHUNK_MS:
            self._interim_due_ms = now_ms + INTERIM_MS
            return self._chunk(now_ms)
        if not self._has_interims or now_ms < self._interim_due_ms:
            return []
        self._interim_due_ms = now_ms + INTERIM_MS
        if not pending:
            return []
        unsure = tuple(replace(word, confidence=DOUBTFUL) for word in pending)
        return [Result(MARKS.sub("", joined(pending)), unsure, pending[0].start_ms, now_ms)]

    def resume(self, start_ms: float) -> list[Result]:
        """Speech goes on after a pause, which ended a chunk."""
        self.quiet_from_ms = None
        self._was_demoted = False
        return self._chunk(start_ms)

    def demote(self) -> list[Result]:
        """A pause that is taken for a part of the turn; it is told once."""
        if self._was_demoted:
            return []
        self._was_demoted = True
        return [replace(result, turn_confidence=self.turn_confidence) for result in self._chunk(self._chunk_from_ms)]

    def _chunk(self, next_from_ms: float) -> list[Result]:
        """A fragment: the marks at its end wait for the next one, as at the service."""
        pending = self._pending
        self._told = len(self._words)
        self._chunk_from_ms = next_from_ms
        text = joined(pending)
        marks = MARKS.search(text)
        bare = MARKS.sub("", text)
        shown = f"{self._held_marks} {bare}".strip() if bare else ""
        if not shown:
            return []
        self._held_marks = marks[0] if marks else ""
        self._has_chunks = True
        return [Result(shown, tuple(pending), pending[0].start_ms, pending[-1].end_ms, is_final=True)]

    def close(self, now_ms: float) -> list[Result]:
        """The last chunk, then all of it once more with its marks in place. Nothing when all of it were fillers."""
        self._take(self._hearer.finish())
        end_ms = now_ms if self.quiet_from_ms is None else self.quiet_from_ms
        if not self._words:
            self._words = spread(self._fallback, self._start_ms, end_ms, self._speaker)
        heard = (self._hearer.text or self._fallback).strip()
        text = heard if self._keeps_fillers else FILLER.sub("", heard).strip()
        words = tuple(self._cleaned(self._words))
        if not text or not words:
            return []
        confidence = self.turn_confidence
        whole = Result(text, words, words[0].start_ms, words[-1].end_ms, True, True, confidence)
        last = self._chunk(now_ms) if self._has_chunks else [replace(whole, speech_final=False, turn_confidence=0.0)]
        return [*last, whole]


def joined(words: Sequence[HeardWord]) -> str:
    """Words as a text."""
    return " ".join(word.text for word in words)


def spread(text: str, start_ms: float, end_ms: float, speaker: int) -> list[HeardWord]:
    """A text that was not heard word by word, its words spread evenly over the sound."""
    texts = text.split()
    step_ms = (end_ms - start_ms) / max(len(texts), 1)
    at: Callable[[int], float] = lambda number: start_ms + number * step_ms  # noqa: E731
    return [HeardWord(word, at(number), at(number + 1), UNSURE, speaker) for number, word in enumerate(texts)]
