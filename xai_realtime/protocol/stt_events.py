"""What a transcription stream tells, in words a program acts on. In: nothing. Out: the event classes. Imports: stdlib.

Times are seconds from the beginning of the stream, over all its connections. What the wire does not state is None.
Each event carries the wire event behind it in `raw` (None where the stream itself is the cause).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

__all__ = [
    "SttDone",
    "SttEvent",
    "SttInterim",
    "SttReady",
    "SttReconnected",
    "SttSegment",
    "SttUtterance",
    "SttWord",
]


@dataclass(frozen=True, slots=True)
class SttWord:
    """One word as the recogniser heard it.

    `confidence` is 0 to 1; the service leaves it out where it is 0, so that None says little. `speaker` counts from 0
    and needs `diarize`. Source: docs.x.ai stt-streaming.ws.json.
    """

    text: str = field(repr=False)
    start_s: float | None = None
    end_s: float | None = None
    confidence: float | None = None
    speaker: int | None = None
    channel: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    raw: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SttReady(_Event):
    """The recogniser listens; audio may be sent now."""

    session_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SttReconnected(_Event):
    """The stream goes on over a new connection; `SttReady` follows.

    `reason` is `connection_lost`, `error` (an error event, where the policy says so), `not_ready` (no
    `transcript.created` in time), `deaf` (loud audio, and no word from the service) or `idle` (a pause, after which a
    fresh connection is used). `offset_s` is where in the caller's audio it begins, `resent_ms` how much of it was sent
    before, and `lost_ms` how much the service did not get to transcribe and nobody can send again. `attempt` counts
    the attempts that it took, from 1.
    """

    reason: str
    resent_ms: float
    lost_ms: float
    offset_s: float
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard(_Event):
    text: str = field(repr=False)
    words: tuple[SttWord, ...] = field(default=(), repr=False)
    channel: int = 0
    start_s: float | None = None
    end_s: float | None = None
    language: str | None = None
    end_of_turn_confidence: float | None = None

    @property
    def speaker(self) -> int | None:
        """Who says it, when all words name the same speaker; else None."""
        speakers = {word.speaker for word in self.words}
        return speakers.pop() if len(speakers) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SttInterim(_Heard):
    """A guess at what is being said; the next event of the channel replaces it.

    `text` is what this message says, `so_far` the whole utterance up to now, for a caption.
    """

    so_far: str = field(default="", repr=False)
    is_revisable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SttSegment(_Heard):
    """A piece that the service calls final while the utterance goes on: a preview all the same.

    The utterance repeats it, merged and with other punctuation, so that it must not be added to a transcript.
    `so_far` is the whole utterance up to now. Source: vercel/ai#17070.
    """

    so_far: str = field(default="", repr=False)
    is_revisable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SttUtterance(_Heard):
    """What was said, committed: the utterances of a stream in their order are its transcript, each word once.

    `index` counts the utterances of the stream as they are told. `replaces` names earlier ones whose audio this one
    says again in other words; it is empty but for a service that changes its mind. `is_provisional` marks text that
    only previews held when the stream (or its connection) ended.
    """

    index: int
    replaces: tuple[int, ...] = ()
    is_provisional: bool = False
    is_revisable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SttDone(_Event):
    """The whole transcript.

    `text` and `words` are those of all channels in the order of their times, `texts` has the text of each channel.
    `duration_s` is the length of all audio as the service states it. `language` is the one that all who stated one
    agree in. `is_complete` is False when the service did not confirm the end.
    """

    text: str = field(repr=False)
    texts: dict[int, str] = field(default_factory=dict, repr=False)
    utterances: tuple[SttUtterance, ...] = field(default=(), repr=False)
    words: tuple[SttWord, ...] = field(default=(), repr=False)
    duration_s: float | None = None
    language: str | None = None
    is_complete: bool = True


SttEvent: TypeAlias = SttReady | SttInterim | SttSegment | SttUtterance | SttReconnected | SttDone
"""Any event that a transcription stream tells."""
