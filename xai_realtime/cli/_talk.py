"""One connection of a timeline while it is told. In: what began and ended. Out: lines. Imports: rooms 0-6."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.cassette.records import CloseRecord, OpenRecord
from xai_realtime.cli.text import seconds, shortened
from xai_realtime.cli.wording import audio_bytes_per_s, audio_format, call_words, counted
from xai_realtime.protocol.conversation import Conversation, Item

__all__ = ["Kind", "Line", "Talk", "Who"]

Who: TypeAlias = Literal["You", "Grok", "tool", "session"]
Kind: TypeAlias = Literal["session", "said", "aside", "call", "output", "usage", "error"]

MAX_OUTPUT_CHARACTERS: Final = 300
SHORTEST_PAUSE_MS: Final = 50.0


@dataclass(slots=True)
class Line:
    """A row that is still being filled."""

    at_ms: float
    who: Who
    kind: Kind
    text: str = ""
    notes: list[str] = field(default_factory=list)
    audio_bytes: int = 0
    audio_ms: float = 0.0
    pieces: int = 0
    began_ms: int | None = None


class Talk:
    """One connection: what it is waiting for, and which line each item and call fills.

    `conn` is its number on the tape, `number` its place among the connections, `lines` what all share;
    `is_shortened` says that the bytes of audio tell no duration.
    """

    def __init__(self, conn: int, number: int, lines: list[tuple[int, Line]], is_shortened: bool) -> None:
        self.conn = conn
        self.number = number
        self.conversation = Conversation()
        self.session: dict[str, Any] = {}
        self.is_configured = False
        self.configuring: Line | None = None
        self.said: dict[str, Line] = {}
        self.calls: dict[str, Line] = {}
        self.answered: set[str] = set()
        self.echoes: Counter[tuple[str, str]] = Counter()
        self.answers: dict[str, Line | None] = {}
        self.speaking: Line | None = None
        self.asked: Line | None = None
        self.last_ms = 0.0
        self._microphone: Line | None = None
        self._waiting: tuple[int, float] | None = None
        self._is_over = False
        self._lines = lines
        self._is_shortened = is_shortened

    def line(self, at_ms: float, who: Who, kind: Kind, text: str = "", *notes: str) -> Line:
        """A new line behind the others."""
        line = Line(at_ms, who, kind, text, list(notes))
        self._lines.append((self.conn, line))
        return line

    def opened(self, record: OpenRecord) -> None:
        """The handshake, worth a line when it was refused or is not the first."""
        self.last_ms = record.at_ms
        if record.status != 101:
            body = record.body if isinstance(record.body, dict) else {}
            said = ": ".join(part for key in ("code", "error") if isinstance(part := body.get(key), str))
            text = f"the handshake is refused with HTTP {record.status}" + (f": {said}" if said else "")
            self.line(record.at_ms, "session", "error", text)
            self._is_over = True
        elif self.number > 1:
            resumes = " and resumes the conversation" if "conversation_id=" in (record.url or "") else ""
            self.line(record.at_ms, "session", "session", f"connection {self.number} opens{resumes}")

    def closed(self, record: CloseRecord) -> None:
        """The end of the connection."""
        how = {"client": "you hang up", "server": "the service hangs up", "network": "the line breaks"}[record.by]
        said = [str(record.code)] if record.code is not None else []
        said += [record.reason] if record.reason else []
        is_plain = record.clean and record.by != "network"
        self._no_answer()
        text = f"{how} ({', '.join(said)})" if said else how
        self.line(record.at_ms, "session", "session" if is_plain else "error", text)
        self._is_over = True

    def microphone(self, at_ms: float, audio_bytes: int) -> None:
        """Microphone audio: one line however many pieces."""
        if self._microphone is None:
            self._microphone = self.line(at_ms, "You", "aside", "(microphone on)")
        self._microphone.pieces += 1
        self._microphone.audio_bytes += audio_bytes

    def ask(self, at_ms: float) -> None:
        """From here on an answer is awaited."""
        self._waiting = (len(self._lines), at_ms)

    def answer(self, at_ms: float) -> None:
        """The first of an answer is there: say how long it took."""
        if self._waiting is not None:
            index, asked_ms = self._waiting
            self._waiting = None
            if at_ms - asked_ms >= SHORTEST_PAUSE_MS:
                text = f"(thinks for {seconds(at_ms - asked_ms)})"
                self._lines.insert(index, (self.conn, Line(asked_ms, "Grok", "aside", text)))

    def _no_answer(self) -> None:
        if self._waiting is not None:
            index, asked_ms = self._waiting
            self._waiting = None
            self._lines.insert(index, (self.conn, Line(asked_ms, "Grok", "aside", "(does not answer)")))

    def speech(self, at_ms: float, item_id: str, response_id: str | None) -> Line:
        """The line of what Grok says in one item."""
        line = self.said.get(item_id)
        if line is None:
            self.answer(at_ms)
            line = self.said[item_id] = self.line(at_ms, "Grok", "said")
            self.speaking = line
        if response_id is not None:
            self.answers[response_id] = line
        return line

    def voice(self, at_ms: float, item_id: str) -> Line:
        """The line of what the user says in one item."""
        line = self.said.get(item_id)
        if line is None:
            line = self.said[item_id] = self.line(at_ms, "You", "said")
        return line

    def call(self, at_ms: float, call_id: str, response_id: str | None) -> None:
        """A function call, announced up to five times on the wire."""
        if call_id not in self.calls:
            self.answer(at_ms)
            line = self.calls[call_id] = self.line(at_ms, "Grok", "call")
            if response_id is not None and self.answers.get(response_id) is None:
                self.answers[response_id] = line

    def output(self, at_ms: float, call_id: str, output: object, *notes: str) -> None:
        """What a function gave back, sent by us and then announced by the service."""
        if call_id in self.answered:
            return
        self.answered.add(call_id)
        text = shortened(output if isinstance(output, str) else "", MAX_OUTPUT_CHARACTERS)
        line = self.line(at_ms, "tool", "output", text or "(gives nothing back)", *notes)
        call = self.calls.get(call_id)
        if call is not None and at_ms - call.at_ms >= SHORTEST_PAUSE_MS:
            line.notes.append(f"after {seconds(at_ms - call.at_ms)}")

    def audio_ms(self, line: Line) -> float:
        """Length of the speech of a line: as the service states it, else from its bytes."""
        return line.audio_ms or self._length_ms(line, "output") or 0.0

    def _length_ms(self, line: Line, side: str) -> float | None:
        per_s = audio_bytes_per_s(audio_format(self.session, side))
        return line.audio_bytes / per_s * 1000 if per_s and not self._is_shortened else None

    def settle(self) -> dict[str, Item]:
        """Give lines the words that the conversation holds now; gives its items by id."""
        items = {item.id: item for item in self.conversation.items}
        for item_id, line in self.said.items():
            item = items.get(item_id)
            if item is not None and item.text:
                line.text = item.text
        for item in items.values():
            call = self.calls.get(item.call_id or "")
            if item.kind == "function_call" and call is not None and not call.text:
                call.text = f"calls {call_words(item.name, item.arguments.text)}"
        return items

    def finish(self) -> None:
        """Fill in what is known only at the end."""
        self.settle()
        self._no_answer()
        for line in self.said.values():
            line.text = line.text or ("(speaks, without a transcript)" if line.who == "Grok" else "(speak)")
            if line.who == "Grok" and (audio_ms := self.audio_ms(line)):
                line.notes.insert(0, f"{seconds(audio_ms)} of speech")
        if self.configuring is not None:
            self.configuring.notes.append("not confirmed")
        if self._microphone is not None:
            length_ms = self._length_ms(self._microphone, "input")
            length = "" if length_ms is None else f"{seconds(length_ms)} of audio in "
            self._microphone.notes.append(f"{length}{counted(self._microphone.pieces, 'piece')}")
        if not self._is_over:
            self.line(self.last_ms, "session", "aside", "(the tape ends)")
