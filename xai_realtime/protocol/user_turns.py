"""What the user says: turns, their transcripts, and the microphone audio that is not safe yet. In: events, audio.

Out: session events, and whether the user has the floor. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from typing import Any, Final

from xai_realtime.audio import AudioFormat
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.desk import Desk, Table, forget_oldest, snapshot, step
from xai_realtime.protocol.floor import Floor
from xai_realtime.protocol.keeping import Keeping
from xai_realtime.protocol.ring import MicrophoneRing
from xai_realtime.protocol.session_events import ItemUpdated, SpeechStarted, SpeechStopped, Transcript, TranscriptDelta
from xai_realtime.protocol.speech_gate import SpeechGate

__all__ = ["INPUT", "TRANSCRIPT", "UserTurns"]

QUIET: Final = "quiet"
HEARD: Final = "heard"
SPEAKING: Final = "speaking"
STOPPED: Final = "stopped"
COMMITTED: Final = "committed"

INPUT: Final[Table] = {
    (QUIET, "audio"): HEARD,
    (HEARD, "commit"): COMMITTED,
    (HEARD, "clear"): QUIET,
    (QUIET, "speech_started"): SPEAKING,
    (HEARD, "speech_started"): SPEAKING,
    (STOPPED, "speech_started"): SPEAKING,
    (COMMITTED, "speech_started"): SPEAKING,
    (SPEAKING, "speech_stopped"): STOPPED,
    (SPEAKING, "clear"): QUIET,
    (STOPPED, "clear"): QUIET,
    (QUIET, "committed"): COMMITTED,
    (HEARD, "committed"): COMMITTED,
    (SPEAKING, "committed"): COMMITTED,
    (STOPPED, "committed"): COMMITTED,
    (COMMITTED, "answered"): QUIET,
    (COMMITTED, "audio"): HEARD,
    (STOPPED, "expired"): QUIET,
    (COMMITTED, "expired"): QUIET,
}
"""The input audio buffer.

`quiet`: nothing was said since the last turn. `heard`: audio was sent since then, which nobody called speech yet.
`speaking`, `stopped`: as the server hears it. `committed`: the turn is an item and will be answered.
"""

NONE: Final = "none"
INTERIM: Final = "interim"
FINAL: Final = "final"
REOPENED: Final = "reopened"

TRANSCRIPT: Final[Table] = {
    (NONE, "updated"): INTERIM,
    (NONE, "completed"): FINAL,
    (INTERIM, "completed"): FINAL,
    (FINAL, "speech_started"): REOPENED,
    (REOPENED, "completed"): FINAL,
}
"""The transcript of one item of the user: final once, and once more when the user went on with the same turn."""

ANSWER_TIMER: Final = "answer"
ANSWER_TIMEOUT_MS: Final = 5_000.0
"""How long wishes wait for the server to answer a turn of the user on its own."""
SPEECH_TIMER: Final = "speech"
SILENCE_MS: Final = 500.0
"""The silence that ends speech, when the server was not told how long to wait. Source: what other servers do."""
REMEMBERED: Final = 64


class UserTurns:
    """The user's side. `is_manual` when the user's turns are ended by hand; then speech is not reported.

    `interrupts` is False when speech is not to stop the agent. `silence_ms` is how long the server waits before it
    calls speech ended. Where the policy wants speech of some length, the server leaves it to the session to stop the
    agent: by the sound of the microphone, and what cannot be measured by the time that it goes on for the server.
    """

    __slots__ = (
        "_desk",
        "_floor",
        "_format",
        "_gate",
        "_item",
        "_line_ms",
        "_speech",
        "_stopped_at_ms",
        "_texts",
        "_transcripts",
        "interrupts",
        "is_manual",
        "keeping",
        "silence_ms",
        "speech_end_ms",
        "state",
    )

    def __init__(self, desk: Desk, floor: Floor, format: AudioFormat) -> None:
        self._desk = desk
        self._floor = floor
        self._gate = SpeechGate(format) if desk.policy.min_speech_ms else None
        self._speech: Any = None
        self._item: str | None = None
        self._transcripts: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._stopped_at_ms = 0.0
        self._line_ms: int | None = None
        self._format = format
        self.keeping = Keeping(MicrophoneRing(desk.policy.ring_s * 1000, format))
        self.is_manual = False
        self.interrupts = True
        self.silence_ms = SILENCE_MS
        self.speech_end_ms: float | None = None
        self.state = QUIET

    @property
    def ring(self) -> MicrophoneRing:
        """The microphone's audio that is not safe yet."""
        return self.keeping.ring

    def _step(self, trigger: str) -> str:
        before, self.state = self.state, step(INPUT, self.state, trigger)
        has_floor = not self.is_manual and self.state in (SPEAKING, STOPPED, COMMITTED)
        if self.state in (STOPPED, COMMITTED):
            self._desk.start_timer(ANSWER_TIMER, ANSWER_TIMEOUT_MS)
        else:
            self._desk.stop_timer(ANSWER_TIMER)
        self._floor.user_has_it = has_floor
        return before

    # What is sent

    def audio_sent(self, audio: bytes) -> None:
        """Microphone audio goes out."""
        if self.state in (QUIET, COMMITTED) and self.is_manual:
            self._step("audio")
        if self._gate is not None:
            self._gate.feed(audio)
            self._barge_in_when_long_enough(self._gate)

    def has_audio(self) -> bool:
        """Was audio sent, or is any held, since the last turn?"""
        return self.state == HEARD

    def turn_ended(self) -> int:
        """The user's turn is ended by hand; its number."""
        self._step("commit")
        self.speech_end_ms = self._desk.now_ms
        return self.keeping.end_turn()

    def cleared(self) -> None:
        """What was not committed is thrown away."""
        self.ring.discard_sent()
        self._step("clear")
        self._floor.advance()

    # What the server hears

    def speech_started(self, event: wire.InputAudioBufferSpeechStarted) -> None:
        """The user speaks; again, with the same item, when a turn that seemed over goes on."""
        desk = self._desk
        is_same = event.item_id == self._item and self.state != SPEAKING
        if not is_same and event.audio_start_ms is not None:
            self.ring.release(event.audio_start_ms)
        before = self._step("speech_started")
        if before != SPEAKING or event.item_id != self._item:
            desk.tell(SpeechStarted("user", event.item_id, event.audio_start_ms, raw=event))
        if is_same:
            self._floor.taken_back(event, self._stopped_at_ms)
            self._reopen(event.item_id)
        self._item = event.item_id
        self._speech = event
        if self._gate is None:
            self.barge_in()
        else:
            desk.start_timer(SPEECH_TIMER, desk.policy.min_speech_ms + self.silence_ms)
            self._barge_in_when_long_enough(self._gate)

    def _barge_in_when_long_enough(self, gate: SpeechGate) -> None:
        if self._speech is not None and gate.sound_ms >= self._desk.policy.min_speech_ms:
            self.barge_in()

    def barge_in(self) -> None:
        """The user spoke long enough to be meant: what the agent says is cut off."""
        raw = self._speech
        self._speech_judged()
        if self.interrupts:
            self._floor.interrupt("speech", raw, stops_server=self._gate is not None)

    def _speech_judged(self) -> None:
        self._desk.stop_timer(SPEECH_TIMER)
        self._speech = None

    def speech_stopped(self, event: wire.InputAudioBufferSpeechStopped) -> None:
        """The user seems to be silent."""
        desk = self._desk
        self._speech_judged()
        self._item = event.item_id
        if self._step("speech_stopped") == SPEAKING:
            self._line_ms = event.audio_end_ms
            self._stopped_at_ms = self.speech_end_ms = desk.now_ms
            desk.tell(SpeechStopped("user", event.item_id, event.audio_end_ms, raw=event))

    def committed(self, event: wire.InputAudioBufferCommitted) -> None:
        """The turn is an item."""
        until_ms = None if self.is_manual or self.state != STOPPED else self._line_ms
        self.keeping.committed(event.item_id, until_ms, is_by_hand=self.is_manual)
        self._item = event.item_id
        self._step("committed")

    def answered(self) -> float | None:
        """A response begins; when the user's speech that it may answer ended."""
        self.keeping.answered()
        if self.state != COMMITTED:
            return None
        self._step("answered")
        ended_ms, self.speech_end_ms = self.speech_end_ms, None
        return ended_ms

    def expired(self) -> None:
        """The server does not answer."""
        self._step("expired")
        self._floor.advance()

    # Transcripts

    def heard(
        self,
        event: wire.ConversationItemInputAudioTranscriptionUpdated
        | wire.ConversationItemInputAudioTranscriptionCompleted,
    ) -> None:
        """A transcript as it stands."""
        text, previous = event.transcript.strip(), self._texts.get(event.item_id, "")
        before = self._transcripts.get(event.item_id, NONE)
        is_final = (
            isinstance(event, wire.ConversationItemInputAudioTranscriptionCompleted)
            and (event.status or "completed") == "completed"
        )
        if before == FINAL and not is_final:
            return
        self._texts[event.item_id] = text
        self._transcripts[event.item_id] = step(TRANSCRIPT, before, "completed" if is_final and text else "updated")
        for known in (self._transcripts, self._texts):
            forget_oldest(known, REMEMBERED)
        if not is_final:
            if text and text != previous:
                delta = text[len(previous) :] if text.startswith(previous) else None
                self._desk.tell(TranscriptDelta("user", event.item_id, text, delta, raw=event))
            return
        self.keeping.final(event.item_id, text)
        item = self._desk.conversation.item(event.item_id)
        if text and before != FINAL:
            self._desk.tell(Transcript("user", text, event.item_id, is_revision=before == REOPENED, raw=event))
        if item is not None and text and (before != FINAL or text != previous):
            self._desk.tell(ItemUpdated(snapshot(item), raw=event))

    def _reopen(self, item_id: str) -> None:
        before = self._transcripts.get(item_id, NONE)
        self._transcripts[item_id] = step(TRANSCRIPT, before, "speech_started")

    # Ends

    def line_lost(self) -> bool:
        """The connection is gone; True when a turn of the user waited for its answer, which nobody will ask for."""
        was_waiting = self.state == COMMITTED and not self.is_manual
        speaking = self._item if self.state in (SPEAKING, STOPPED) else None
        is_quiet = self.state == QUIET and not self.is_manual
        self.keeping.line_lost(self._desk.conversation, speaking, is_quiet=is_quiet, is_by_hand=self.is_manual)
        self.state, self._item = HEARD if self.state == HEARD else QUIET, None
        self._floor.user_has_it = False
        self._desk.stop_timer(ANSWER_TIMER)
        self._speech_judged()
        if self._gate is not None:
            self._gate.reset()
        return was_waiting

    def reset(self) -> None:
        """Begin anew: nothing was said."""
        self.keeping.reset(MicrophoneRing(self._desk.policy.ring_s * 1000, self._format))
        self.line_lost()
        self.state = QUIET
        self._transcripts.clear()
        self._texts.clear()
        self.speech_end_ms = None
