"""Speech as it arrives: whole samples, and when each character is spoken. In: bytes, timestamps. Out: the same, whole.

Imports: rooms 0-1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xai_realtime.audio import Audio, SampleAligner
from xai_realtime.errors import ConfigurationError
from xai_realtime.events.tts import AudioTimestamps

__all__ = ["AlignedAudio", "TtsCharacter", "TtsTimestamps", "TtsWord"]

_SAMPLE_BYTES: Final = {"pcm": 2, "mulaw": 1, "alaw": 1, "mp3": 1, "wav": 1}
_TIME_S_MAX: Final = 1e6
"""What is later than this is no time of speech."""


class AlignedAudio:
    """Chunks of whole samples out of chunks that are cut at any byte; every byte comes out once and in order.

    `codec` is the one asked for: `pcm` has two bytes a sample, `mulaw` and `alaw` have one; `mp3` and `wav` are files
    and pass as they come. One object for each utterance. Raises ConfigurationError for another codec.
    """

    __slots__ = ("_aligner", "total_bytes")

    def __init__(self, codec: str = "pcm") -> None:
        size = _SAMPLE_BYTES.get(codec)
        if size is None:
            raise ConfigurationError(f"codec {codec!r} is not one of {', '.join(_SAMPLE_BYTES)}")
        self._aligner = SampleAligner(size)
        self.total_bytes = 0
        """Bytes given out."""

    def push(self, chunk: Audio) -> bytes:
        """The whole samples that can be given out now; may be empty."""
        audio = self._aligner.push(chunk)
        self.total_bytes += len(audio)
        return audio

    def finish(self) -> int:
        """End the utterance: how many bytes of a sample that was never completed are left out, 0 when all is well."""
        left = self._aligner.pending_bytes
        self._aligner.reset()
        return left


@dataclass(frozen=True, slots=True)
class TtsCharacter:
    """One character of the text and when it is spoken, seconds from the start; None where the service does not say."""

    text: str = field(repr=False)
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class TtsWord:
    """One word of the text, what stands between blanks, and when it is spoken, in seconds from the start."""

    text: str = field(repr=False)
    start_s: float | None = None
    end_s: float | None = None


class TtsTimestamps:
    """The timestamps of an utterance, gathered: characters, and the words that they make.

    Reads times as `[start, end]` pairs and as objects with `start` and `end`: both are on the wire. Source:
    docs.x.ai voice reference and guide.
    """

    __slots__ = ("_characters", "_offset_s", "_open", "_words")

    def __init__(self) -> None:
        self._characters: list[TtsCharacter] = []
        self._words: list[TtsWord] = []
        self._open: list[TtsCharacter] = []
        self._offset_s = 0.0

    @property
    def characters(self) -> tuple[TtsCharacter, ...]:
        """All characters so far."""
        return tuple(self._characters)

    @property
    def words(self) -> tuple[TtsWord, ...]:
        """All words so far; the last one may still grow."""
        return (*self._words, *([_word(self._open)] if self._open else []))

    def add(self, timestamps: AudioTimestamps | None) -> tuple[TtsCharacter, ...]:
        """Take what one message carries; returns the new characters. A character without a time is kept without."""
        chars = (timestamps.graph_chars if timestamps else None) or []
        times = (timestamps.graph_times if timestamps else None) or []
        new = tuple(
            TtsCharacter(text, *self._span(times[number] if number < len(times) else None))
            for number, text in enumerate(chars)
        )
        for character in new:
            if character.text.isspace():
                self._end_word()
            else:
                self._open.append(character)
        self._characters += new
        return new

    def next_piece(self, offset_s: float) -> None:
        """The utterance goes on in another request, whose times begin at `offset_s`; a word ends here."""
        self._end_word()
        self._offset_s = offset_s

    def _end_word(self) -> None:
        if self._open:
            self._words.append(_word(self._open))
            self._open = []

    def _span(self, time: Any) -> tuple[float | None, float | None]:
        if isinstance(time, Mapping):
            return self._at(time.get("start")), self._at(time.get("end"))
        if isinstance(time, Sequence) and not isinstance(time, str | bytes) and len(time) == 2:
            return self._at(time[0]), self._at(time[1])
        return None, None

    def _at(self, time: object) -> float | None:
        if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < _TIME_S_MAX:
            return None
        return time + self._offset_s


def _word(characters: Sequence[TtsCharacter]) -> TtsWord:
    starts = [character.start_s for character in characters if character.start_s is not None]
    ends = [character.end_s for character in characters if character.end_s is not None]
    text = "".join(character.text for character in characters)
    return TtsWord(text, min(starts, default=None), max(ends, default=None))
