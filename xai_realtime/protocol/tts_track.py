"""The audio of one speech as it comes: whole samples, where they stand in time, characters. In: events. Out: pieces.

Imports: rooms 0, 1, protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from xai_realtime.events.tts import AudioDelta
from xai_realtime.protocol.tts_audio import AlignedAudio, TtsCharacter, TtsTimestamps, TtsWord

__all__ = ["TtsPiece", "TtsTrack"]

CHUNK_HEADER_BYTES: Final = 8
"""Of a WAV file: the name of a chunk, here `data`, and its size."""
_SAMPLE_BYTES: Final = {"pcm": 2, "wav": 2, "mulaw": 1, "alaw": 1}


@dataclass(frozen=True, slots=True)
class TtsPiece:
    """A piece of a speech: whole samples, or none where only times came, and the characters that were told with it.

    `start_ms` is where its audio stands in the speech and `duration_ms` how long it is, None where the format does not
    tell. Characters may be spoken later than this audio.
    """

    audio: bytes = field(repr=False)
    characters: tuple[TtsCharacter, ...] = field(default=(), repr=False)
    start_ms: float | None = None
    duration_ms: float | None = None


class TtsTrack:
    """One speech, be it several utterances of the service. `codec` and `rate_hz` are those that were asked for.

    The length is counted in samples; for mp3 it is what the service states, None where it states nothing.
    """

    __slots__ = (
        "_aligned",
        "_bytes_per_s",
        "_codec",
        "_counted_bytes",
        "_has_audio",
        "_header",
        "_stated_s",
        "timestamps",
        "total_bytes",
    )

    def __init__(self, codec: str, rate_hz: int) -> None:
        self._codec = codec
        self._aligned = AlignedAudio(codec)
        self._bytes_per_s = _SAMPLE_BYTES.get(codec, 0) * rate_hz
        self._counted_bytes = 0
        self._stated_s: float | None = None
        self._has_audio = False
        self._header: bytes | None = b"" if codec == "wav" else None
        self.timestamps = TtsTimestamps()
        self.total_bytes = 0
        """Bytes given out."""

    @property
    def has_audio(self) -> bool:
        """Audio of the present utterance has come."""
        return self._has_audio

    @property
    def duration_ms(self) -> float | None:
        """How long the speech is so far."""
        if self._bytes_per_s:
            return self._counted_bytes * 1000 / self._bytes_per_s
        return None if self._stated_s is None else self._stated_s * 1000

    @property
    def characters(self) -> tuple[TtsCharacter, ...]:
        """All characters so far."""
        return self.timestamps.characters

    @property
    def words(self) -> tuple[TtsWord, ...]:
        """All words so far."""
        return self.timestamps.words

    def push(self, chunk: bytes) -> bytes:
        """Take audio that comes without times; the whole samples of it, may be empty."""
        self._has_audio = True
        audio = self._aligned.push(chunk)
        size = len(audio)
        self.total_bytes += size
        self._counted_bytes += size if self._header is None else self._samples(audio)
        return audio

    def add(self, event: AudioDelta) -> TtsPiece | None:
        """Take an event; None when it completes nothing. Raises AudioDecodeError."""
        raw = event.audio
        start_ms = self.duration_ms
        audio = self.push(raw) if raw else b""
        if event.audio_duration is not None:
            self._stated_s = (self._stated_s or 0.0) + max(0.0, event.audio_duration)
        characters: tuple[TtsCharacter, ...] = ()
        if event.audio_timestamps is not None:
            characters = self.timestamps.add(event.audio_timestamps)
        if not audio and not characters:
            return None
        return TtsPiece(audio, characters, start_ms, self._length_ms(audio))

    def piece(self, audio: bytes) -> TtsPiece:
        """What was pushed last, as a piece."""
        length_ms, end_ms = self._length_ms(audio), self.duration_ms
        start_ms = None if length_ms is None or end_ms is None else max(0.0, end_ms - length_ms)
        return TtsPiece(audio, (), start_ms, length_ms)

    def _length_ms(self, audio: bytes) -> float | None:
        return len(audio) * 1000 / self._bytes_per_s if self._bytes_per_s else None

    def end_utterance(self) -> int:
        """The utterance is over: how many bytes of a sample that was never completed are left out, 0 when all is well.

        Another one that follows stands behind it.
        """
        self._has_audio = False
        self._header = b"" if self._codec == "wav" else None
        self.timestamps.next_piece((self.duration_ms or 0.0) / 1000)
        return self._aligned.finish()

    def _samples(self, audio: bytes) -> int:
        """How many bytes of a WAV file are samples, counted from its header on."""
        header = (self._header or b"") + audio
        place = header.find(b"data")
        if place < 0 or len(header) < place + CHUNK_HEADER_BYTES:
            self._header = header[place:] if place >= 0 else header[-CHUNK_HEADER_BYTES:]
            return 0
        self._header = None
        return len(header) - place - CHUNK_HEADER_BYTES
