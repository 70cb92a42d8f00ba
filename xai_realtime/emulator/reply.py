"""One response of the model, step by step. In: a turn. Out: its events at their time. Imports: rooms 0-3 and 7."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from xai_realtime.emulator.items import Items, Spoken
from xai_realtime.emulator.line import Hangup, Line, Step
from xai_realtime.emulator.scenario import ToolRequest, Turn, fill
from xai_realtime.emulator.session import SERVER_TOOLS, Session
from xai_realtime.emulator.speech import CHUNK_MS, Segment, Speech, token_count
from xai_realtime.emulator.wire import Entry, ResponseState, as_arguments
from xai_realtime.events._base import encode_audio

__all__ = ["Reply", "Want"]

CREATED_MS: Final = 60.0
"""From the wish for a reply to `response.created`, at real pace."""
THINKING_MS: Final = 500.0
"""From the wish for a reply to its first audio, at real pace; observed were 520 to 880."""
VOICE_THINKING_MS: Final = 250.0
"""The same after a spoken turn was committed: thinking began when it seemed over."""
TOKENS_PER_S: Final = 50


@dataclass(frozen=True, slots=True)
class Want:
    """Why a reply is wanted: what it answers (for the usage), and what `response.create` said."""

    text: str = ""
    audio_ms: float = 0.0
    metadata: dict[str, Any] | None = None
    instructions: str | None = None
    is_interruptible: bool = True
    is_voice: bool = False


class Reply:
    """A response from the wish for it to its `response.done`.

    `calls` are the calls it made that wait for an output. `is_dying` is true once it was broken off. `on_end` is
    called when it is over.
    """

    def __init__(
        self,
        line: Line,
        items: Items,
        session: Session,
        turn: Turn,
        want: Want,
        on_end: Callable[[Reply], None],
    ) -> None:
        self._line = line
        self._items = items
        self._session = session
        self._turn = turn
        self._on_end = on_end
        self.want = want
        conversation_id = line.conversation.conversation_id or ""
        self.state = ResponseState(
            line.ids.uuid(), conversation_id, session.output_format, session.voice, metadata=want.metadata
        )
        self.is_over = False
        self.is_dying = False
        self.calls: dict[str, ToolRequest] = {}
        self._is_created = False
        self._ends_untold = False
        self._started_ms = line.now_ms
        self._audio_ms = 0.0
        self._text_tokens = 0
        self._message: _Message | None = None
        self._next: Step | None = None

    @property
    def turn(self) -> Turn:
        """What the scenario wanted."""
        return self._turn

    def start(self) -> None:
        """Begin to think."""
        self._later(0.0 if self._line.is_instant else CREATED_MS, self._create_and_think)

    def _later(self, delay_ms: float, action: Callable[[], None]) -> None:
        self._next = self._line.after(delay_ms, action)

    def _create_and_think(self) -> None:
        self._create()
        thinking_ms = VOICE_THINKING_MS if self.want.is_voice else THINKING_MS
        thinking_ms = 0.0 if self._line.is_instant else thinking_ms - CREATED_MS
        self._later(thinking_ms + self._turn.delay_ms, self._begin)

    def _create(self) -> None:
        self._is_created = True
        line, drop = self._line, self._turn.drop
        line.send(*line.wire.response_created(self.state))
        if drop is not None:
            farewell = Hangup(1006 if drop.code is None else drop.code, "", abrupt=drop.code is None)
            line.after(drop.after_ms, lambda: line.hang_up(farewell))

    def _begin(self) -> None:
        ids = {"response_id": self.state.id, "item_id": self._line.ids.uuid()}
        send_raw(self._line, self._turn.events, ids)
        if self._turn.say:
            self._speak(self._turn.say, self._call)
        else:
            self._call()

    def _speak(self, text: str, after: Callable[[], None]) -> None:
        entry = self._entry("message", "assistant")
        form = self._session.output_format
        message = self._message = _Message(entry, Speech(text, form, self._session.replacements), after)
        self._items.spoken[entry.id] = message.sound
        previous = self._line.last_item_id
        self._line.send(*self._line.wire.output_begun(self.state, entry, previous))
        message.rids = [self._line.ids.uuid() for _ in message.speech.segments]
        message.started_ms = self._line.now_ms
        self._speak_on(message)

    def _entry(self, kind: str, role: str) -> Entry:
        entry = Entry(self._line.ids.uuid(), kind, role, index=len(self.state.entries))
        self.state.entries.append(entry)
        return entry

    def _speak_on(self, message: _Message) -> None:
        """One chunk, and the text that goes out with it: the text runs ahead of the sound."""
        if message.sent < len(message.speech.chunks):
            self._send_chunk(message)
        self._send_texts(message)
        if message.sent < len(message.speech.chunks):
            self._at_next_chunk(message, lambda: self._speak_on(message))
            return
        self._close_message("incomplete" if self._turn.incomplete else "completed")
        message.after()

    def _at_next_chunk(self, message: _Message, action: Callable[[], None]) -> None:
        due_ms = self._line.now_ms if self._line.is_instant else message.started_ms + message.sent * CHUNK_MS
        self._next = self._line.agenda.put(due_ms, action)

    def _send_chunk(self, message: _Message) -> None:
        audio, duration_ms = message.speech.chunks[message.sent]
        line = self._line
        if self._session.output_transport == "binary":
            line.send_audio(audio)
        else:
            extras: dict[str, Any] = {"rid": message.rid_at(message.audio_ms)}
            if not self._audio_ms:
                extras["latency"] = f"{(line.now_ms - self._started_ms) / 1000:.2f}"
            extras |= {"audio_duration_ms": round(duration_ms), "ts": line.epoch_ms}
            line.send(*line.wire.audio_delta(self.state, message.entry, encode_audio(audio), extras))
        message.sent += 1
        message.audio_ms += duration_ms
        self._audio_ms += duration_ms
        line.audio_out_ms += duration_ms
        message.sound.audio_ms = message.audio_ms

    def _send_texts(self, message: _Message) -> None:
        for segment in message.texts_due():
            rid = message.rids[message.told]
            message.told += 1
            message.entry.transcript += segment.text
            events = self._line.wire.transcript_delta(self.state, message.entry, segment.text, rid, segment.start_ms)
            self._line.send(*events)

    def _close_message(self, status: str) -> None:
        message = self._message
        if message is None:
            return
        self._message = None
        message.entry.status = status
        self._text_tokens += token_count(message.entry.transcript)
        self._line.send(*self._line.wire.message_done(self.state, message.entry))

    def _call(self) -> None:
        """Announce the calls; the service's own tools are answered inside, in the same response."""
        quirks = self._line.world.quirks
        for number, request in enumerate(self._turn.calls):
            entry = self._entry("function_call", "user")
            entry.call_id = f"call-{self._line.ids.uuid()}-{number}"
            entry.name = request.name
            line = self._line
            line.send(*line.wire.output_begun(self.state, entry, line.last_item_id))
            line.send(*line.wire.call_done(self.state, entry, as_arguments(request.arguments)))
            if request.name not in SERVER_TOOLS:
                self.calls[entry.call_id] = request
                if not quirks.refuse_early_outputs:
                    self._items.answerable.add(entry.call_id)
        answer = self._turn.answer(()) if self._turn.calls and not self.calls else None
        if answer:
            self._speak(answer, self._end)
        elif self.calls and quirks.done_after_calls_ms:
            self._later(quirks.done_after_calls_ms, self._end)
        else:
            self._end()

    def _end(self) -> None:
        self._finish("failed" if self._turn.fail else "incomplete" if self._turn.incomplete else "completed")

    def _finish(self, status: str) -> None:
        self._stop()
        self.state.status = status
        self.state.usage = self._usage()
        if not self._ends_untold:
            self._line.send(*self._line.wire.response_done(self.state))
        self._items.answerable.update(self.calls)
        self._on_end(self)

    def _stop(self) -> None:
        self.is_over = True
        self._call_off()

    def _call_off(self) -> None:
        if self._next is not None:
            self._next.call_off()

    def cancel(self, *, by_speech: bool = False) -> None:
        """Break off: what was begun ends as incomplete, the response as cancelled."""
        quirks = self._line.world.quirks
        if not self._is_created:
            self._create()
        self.is_dying = True
        self._ends_untold = by_speech and quirks.no_done_after_interrupt
        self._call_off()
        self._run_out(quirks.late_deltas)

    def _run_out(self, chunks: int) -> None:
        """At most so many chunks still come, each at its time, and then the end."""
        message = self._message
        if message is None or not chunks or message.sent == len(message.speech.chunks):
            self._close_message("incomplete")
            self._finish("cancelled")
        else:
            self._at_next_chunk(message, lambda: self._send_late(message, chunks))

    def _send_late(self, message: _Message, chunks: int) -> None:
        self._send_chunk(message)
        self._run_out(chunks - 1)

    def _usage(self) -> dict[str, Any]:
        text_in, audio_in = token_count(self.want.text), round(self.want.audio_ms * TOKENS_PER_S / 1000)
        audio_out = round(self._audio_ms * TOKENS_PER_S / 1000)
        return {
            "input_tokens": text_in + audio_in,
            "input_token_details": {"text_tokens": text_in, "audio_tokens": audio_in, "grok_tokens": 0},
            "output_tokens": self._text_tokens + audio_out,
            "output_token_details": {"text_tokens": self._text_tokens, "audio_tokens": audio_out, "grok_tokens": 0},
            "total_tokens": text_in + audio_in + self._text_tokens + audio_out,
            "output_audio_seconds": round(self._audio_ms / 1000, 6),
            "billable_audio_seconds": self._line.billable_s(is_by_clock=self._session.detection.is_automatic),
        }


class _Message:
    """A message being spoken: how much of it has gone out."""

    def __init__(self, entry: Entry, speech: Speech, after: Callable[[], None]) -> None:
        self.entry = entry
        self.speech = speech
        self.after = after
        self.sound = Spoken(scale=speech.scale)
        self.rids: list[str] = []
        self.started_ms = 0.0
        self.audio_ms = 0.0
        self.sent = 0
        self.told = 0

    def rid_at(self, audio_ms: float) -> str:
        """The id of the segment that sounds then."""
        segments = self.speech.segments
        number = max((place for place, segment in enumerate(segments) if segment.start_ms <= audio_ms), default=0)
        return self.rids[number] if self.rids else ""

    def texts_due(self) -> list[Segment]:
        """The segments whose text goes out now: one at a time, half of what was spoken ahead of its sound."""
        waiting = self.speech.segments[self.told :]
        if self.sent >= len(self.speech.chunks):
            return waiting
        due = [segment for segment in waiting[:1] if segment.start_ms <= 2 * self.audio_ms]
        if due and len(waiting) > 1 and waiting[1].is_rest:
            due.append(waiting[1])
        return due


def send_raw(line: Line, events: tuple[Mapping[str, Any], ...], ids: Mapping[str, str]) -> None:
    """Send a scenario's own events: `{response_id}` and `{item_id}` filled in, an id given where they have none."""
    for event in events:
        filled: dict[str, Any] = _filled(dict(event), ids)
        line.send_as_it_is({"event_id": line.ids.uuid(), **filled})


def _filled(value: Any, ids: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, ids)
    if isinstance(value, Mapping):
        return {name: _filled(inner, ids) for name, inner in value.items()}
    return [_filled(inner, ids) for inner in value] if isinstance(value, list | tuple) else value
