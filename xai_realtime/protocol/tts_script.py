"""The text of one speech on its way to the voice, utterance by utterance. In: text, marks. Out: messages.

An utterance of the service ends with `text.done`; a speech is one of them, or several where its text has marks.
Imports: rooms 0, 1, protocol.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from xai_realtime.events.tts import TextDelta, TextDone
from xai_realtime.protocol.tts_text import TextPieces

__all__ = ["TtsScript"]


@dataclass(slots=True)
class _Part:
    """The text of one utterance: what is to be sent, and what was."""

    waiting: deque[str] = field(default_factory=deque)
    sent: list[str] = field(default_factory=list)
    is_complete: bool = False
    is_done_sent: bool = False


class TtsScript:
    """What is to be said, what of it was sent, and what is still to be sent. Only the first utterance is ever sent.

    `speaks_at_marks` ends an utterance at each mark; otherwise marks are passed over.
    """

    __slots__ = ("_is_finished", "_parts", "_pieces", "_said", "_speaks_at_marks")

    def __init__(self, *, speaks_at_marks: bool = True) -> None:
        self._pieces = TextPieces()
        self._parts: deque[_Part] = deque()
        self._said: list[str] = []
        self._speaks_at_marks = speaks_at_marks
        self._is_finished = False

    @property
    def is_over(self) -> bool:
        """All text was given and spoken, or there was none."""
        return self._is_finished and not self._parts

    @property
    def is_finished(self) -> bool:
        """All text was given."""
        return self._is_finished

    @property
    def has_begun(self) -> bool:
        """Something of the utterance was sent: the service may be speaking."""
        return bool(self._parts and self._parts[0].sent)

    @property
    def is_done_sent(self) -> bool:
        """The service knows that the text of the utterance is complete."""
        return bool(self._parts and self._parts[0].is_done_sent)

    @property
    def has_more(self) -> bool:
        """There is something to be sent now."""
        if not self._parts:
            return False
        part = self._parts[0]
        return bool(part.waiting) or (part.is_complete and not part.is_done_sent)

    @property
    def waiting_messages(self) -> int:
        """Deltas that were not sent."""
        return sum(len(part.waiting) for part in self._parts)

    @property
    def text_sent(self) -> str:
        """The text that was sent; what was sent again counts once."""
        return "".join((*self._said, *(self._parts[0].sent if self._parts else ())))

    def push(self, text: str) -> None:
        """More text."""
        self._add(self._pieces.push(text))

    def mark(self) -> None:
        """What was given so far is to be spoken; nothing happens where nothing was given since the last mark."""
        if self._speaks_at_marks:
            self._end_part()

    def finish(self) -> None:
        """The text is complete."""
        self._end_part()
        self._is_finished = True

    def next_message(self) -> TextDelta | TextDone | None:
        """What is to be sent next; it counts as sent."""
        if not self.has_more:
            return None
        part = self._parts[0]
        if part.waiting:
            delta = part.waiting.popleft()
            part.sent.append(delta)
            return TextDelta(delta=delta)
        part.is_done_sent = True
        return TextDone()

    def spoken(self) -> None:
        """The utterance was spoken; the next one may be sent."""
        self._said += self._parts.popleft().sent

    def rewind(self) -> bool:
        """Send the utterance from its beginning again; False when nothing of it had been sent."""
        if not self.has_begun:
            return False
        part = self._parts[0]
        part.waiting.extendleft(reversed(part.sent))
        part.sent.clear()
        part.is_done_sent = False
        return True

    def _add(self, deltas: list[str]) -> None:
        if deltas:
            if not self._parts or self._parts[-1].is_complete:
                self._parts.append(_Part())
            self._parts[-1].waiting.extend(deltas)

    def _end_part(self) -> None:
        self._add(self._pieces.flush())
        if self._parts:
            self._parts[-1].is_complete = True
