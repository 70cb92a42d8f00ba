"""What the user says: turns out of audio, text out of turns. In: bytes of the input format. Out: events, and wishes.

The time of turns is the time of the audio, so that a burst and a real-time stream give the same turns.
Imports: rooms 0-3 and 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from xai_realtime.audible import Hearer
from xai_realtime.emulator import failures
from xai_realtime.emulator.encodings import Decoder
from xai_realtime.emulator.line import Line, Step
from xai_realtime.emulator.session import Session, TurnDetection
from xai_realtime.emulator.speaking import Speaker
from xai_realtime.emulator.wire import Entry
from xai_realtime.events.realtime import ConversationItemInputAudioTranscriptionCompleted
from xai_realtime.vad import EnergyVad, SpeechStarted, SpeechStopped

__all__ = ["Listener"]

LAG_WORDS: Final = 2
"""Words by which the transcript lags behind while the user speaks."""
TAKE_BACK_MS: Final = 360
"""Milliseconds of audio after a stop within which the user can go on with the same turn; then it is committed."""
DETECTION_MS: Final = 40
"""What the detector needs to tell that speech has begun."""
TAIL_MS: Final = 60
SILENCE_MS: Final = 500
MARGIN_MS: Final = 200
CHUNK_SLACK: Final = 1.25
MAX_CHUNK_MS: Final = 1000.0
WORD: Final = re.compile(r"\s*\S+")


class Listener:
    """The ears of one connection. `session` gives the settings in force."""

    def __init__(self, line: Line, session: Callable[[], Session]) -> None:
        self._line = line
        self._session = session
        self.speaker: Speaker
        self._turn: _Turn | None = None
        self._quiet: Step | None = None
        self._last_append_ms = line.now_ms
        self._before_ms = 0
        self._vad = make_vad(session().input_format.rate_hz, session().detection)
        self.reset()

    def reset(self) -> None:
        """Begin anew with the settings in force; audio that was not committed is gone, the time that it took is not."""
        self._before_ms += int(self._vad.audio_ms)
        session = self._session()
        detection = session.detection
        form = session.input_format
        self._decoder = Decoder(form)
        self._vad = make_vad(form.rate_hz, detection)
        self._silence_ms = SILENCE_MS if detection.silence_ms is None else detection.silence_ms
        self._kept_ms = (333 if detection.padding_ms is None else detection.padding_ms) + MARGIN_MS
        self._recent = bytearray()
        self._recent_from = 0
        self._turn = None
        self._call_off()

    def _call_off(self) -> None:
        if self._quiet is not None:
            self._quiet.call_off()
            self._quiet = None

    def _place(self, audio_ms: float) -> int:
        """The byte of PCM that sounds at a time of the audio."""
        return int(audio_ms * self._session().input_format.rate_hz / 1000) * 2

    def _time(self, place: int) -> float:
        return place * 500 / self._session().input_format.rate_hz

    def listen_to(self, audio: bytes) -> str:
        """The text of a whole piece of audio; the fallback when it is no audible text, "" when it is silent."""
        form = self._session().input_format
        pcm = decoded(Decoder(form), audio)
        if not make_vad(form.rate_hz, TurnDetection()).feed(pcm):
            return ""
        hearer = Hearer(sample_rate_hz=form.rate_hz)
        hearer.feed(pcm)
        hearer.finish()
        return hearer.text or self._line.world.scenario.settings.fallback

    def append(self, audio: bytes) -> None:
        """Take in audio: in any cuts, Opus a packet at a time. Raises Refused for what is no packet."""
        session = self._session()
        pcm = decoded(self._decoder, audio)
        self._line.audio_in_ms += self._time(len(pcm))
        self._last_append_ms = self._line.now_ms
        self._recent += pcm
        if session.detection.is_automatic:
            for event in self._vad.feed(pcm):
                self._happened(event)
                self._line.advance(self._line.now_ms)
            self._hear_on()
            if self._turn is not None and self._vad.audio_ms - self._turn.end_ms >= TAKE_BACK_MS + DETECTION_MS:
                self.commit_stopped()
            self._watch(self._time(len(pcm)))
        else:
            self._collect(pcm)

    def _watch(self, chunk_ms: float) -> None:
        """A sender that simply stops counts as silent once the time in question has passed without audio.

        Not before the next chunk of a microphone could have come, though.
        """
        self._call_off()
        next_ms = min(CHUNK_SLACK * chunk_ms, MAX_CHUNK_MS)
        if self._vad.is_speaking:
            self._quiet = self._line.after(max(self._silence_ms, next_ms), self._fell_silent)
        elif self._turn is not None:
            self._quiet = self._line.after(max(TAKE_BACK_MS + DETECTION_MS, next_ms), self.commit_stopped)

    def _fell_silent(self) -> None:
        self._quiet = None
        for event in self._vad.silence_for(self._line.now_ms - self._last_append_ms):
            self._happened(event)
        self._watch(0.0)

    def _hear_on(self, until: int | None = None) -> None:
        """Let the turn hear what came, and forget what no turn will need."""
        end = self._recent_from + len(self._recent)
        turn = self._turn
        if turn is not None:
            stop = end if until is None else min(until, end)
            turn.hear(bytes(self._recent[max(0, turn.cursor - self._recent_from) : stop - self._recent_from]), stop)
            self._tell(turn)
        if until is None:
            keep = self._place(self._kept_ms)
            excess = max(0, len(self._recent) - keep)
            del self._recent[:excess]
            self._recent_from += excess

    def _tell(self, turn: _Turn) -> None:
        """The transcript so far, a little behind."""
        words = turn.words
        text = "".join(words[:-LAG_WORDS]).strip()
        if turn.is_open and len(text) > len(turn.told):
            self._update(turn, text)

    def _update(self, turn: _Turn, text: str) -> None:
        if self._session().transcription is not None and text != turn.told:
            self._line.send(*self._line.wire.transcript_updated(turn.item_id, text, turn.told))
            turn.told = text

    def _happened(self, event: SpeechStarted | SpeechStopped) -> None:
        if isinstance(event, SpeechStopped):
            self._stopped(event)
            return
        turn, line = self._turn, self._line
        if turn is not None and event.speech_start_ms - turn.end_ms < TAKE_BACK_MS:
            turn.is_open = True
            self.speaker.begin_and_drop()
            line.send(*line.wire.speech_started(turn.item_id, self._before_ms + event.audio_start_ms))
            return
        self.commit_stopped()
        line.advance(line.now_ms)
        previous = line.last_item_id
        turn = self._turn = _Turn(line.ids.uuid(), self._place(event.audio_start_ms), self._new_hearer())
        turn.start_ms, turn.previous = event.audio_start_ms, previous
        line.send(*line.wire.speech_started(turn.item_id, self._before_ms + event.audio_start_ms))
        self._announce(turn.item_id, "in_progress", previous)
        self.speaker.speech_started()

    def _new_hearer(self) -> Hearer:
        return Hearer(sample_rate_hz=self._session().input_format.rate_hz)

    def _announce(self, item_id: str, status: str, previous: str | None) -> None:
        content = [{"type": "input_audio", "transcript": ""}]
        self._line.send(*self._line.wire.item_added(Entry(item_id, "message", "user", status, content), previous))

    def _stopped(self, event: SpeechStopped) -> None:
        """Speech ended, as it seems: the turn is committed when the user does not go on."""
        turn, line = self._turn, self._line
        if turn is None:
            return
        self._hear_on(self._place(event.audio_end_ms))
        turn.hearer.feed(bytes(self._place(TAIL_MS)))
        turn.is_open, turn.end_ms = False, event.audio_end_ms
        self._snapshot(turn, self._said(turn, LAG_WORDS))
        line.send(*line.wire.speech_stopped(turn.item_id, self._before_ms + event.audio_end_ms))
        if line.is_instant or not line.wire.takes_back:
            self.commit_stopped()

    def _said(self, turn: _Turn, lag_words: int) -> str:
        """What was heard but for the last words, of which the first is always told."""
        words = WORD.findall(turn.text or self._line.world.scenario.settings.fallback)
        return "".join(words[: max(1, len(words) - lag_words)]).strip()

    def commit_stopped(self) -> None:
        """A turn that had ended is an item now, and is answered; without one, nothing happens."""
        turn, line = self._turn, self._line
        if turn is None or turn.is_open:
            return
        self._turn = None
        line.send(*line.wire.committed(turn.item_id, turn.previous))
        self._snapshot(turn, self._said(turn, 1))
        text = self._said(turn, 0)
        line.send(*line.wire.transcript_completed(turn.item_id, text, is_final=True))
        self._respond(text, turn.end_ms - turn.start_ms)

    def _respond(self, text: str, audio_ms: float) -> None:
        if self._line.wire.always_replies or self._session().detection.responds:
            self.speaker.answer_voice(text, audio_ms)

    def _snapshot(self, turn: _Turn, text: str) -> None:
        self._update(turn, text)
        self._line.send(*self._line.wire.transcript_completed(turn.item_id, text, is_final=False))

    # By hand

    def _collect(self, pcm: bytes) -> None:
        if self._turn is None:
            self._turn = _Turn(self._line.ids.uuid(), 0, self._new_hearer())
        turn = self._turn
        turn.has_speech = bool(self._vad.feed(pcm)) or turn.has_speech
        if turn.has_speech:
            self.speaker.new_input()
        turn.hear(pcm, turn.cursor + len(pcm))
        self._recent.clear()

    def commit(self) -> None:
        """`input_audio_buffer.commit`: nothing under turn detection, and nothing for silence. Raises Refused."""
        if self._session().detection.is_automatic:
            return
        is_cut = self._decoder.is_cut
        heard = self.commit_buffer()
        self.reset()
        if heard is not None:
            answer = self.speaker.answer_voice if self._line.world.answers_commits else self.speaker.heard
            answer(*heard)
        if is_cut:
            raise failures.audio_format_refused("audio", "the committed audio ends in the middle of a sample")

    def commit_buffer(self) -> tuple[str, float] | None:
        """Make an item of speech that waits for its commit; its text and milliseconds, None when there is none."""
        turn, line = self._turn, self._line
        if turn is None or not turn.has_speech:
            return None
        turn.hearer.finish()
        text = turn.text or line.world.scenario.settings.fallback
        previous = line.last_item_id
        line.send(*line.wire.committed(turn.item_id, previous))
        self._announce(turn.item_id, "completed", previous)
        if self._session().transcription is not None:
            self._update(turn, text)
            line.send(*line.wire.transcript_completed(turn.item_id, text, is_final=True))
        else:
            line.conversation.receive(heard_text(turn.item_id, text))
        audio_ms = self._time(turn.cursor)
        self.reset()
        return text, audio_ms

    def clear(self) -> None:
        """`input_audio_buffer.clear`: audio that is no item yet is gone."""
        self.reset()
        self.speaker.new_input()
        self._line.send(*self._line.wire.cleared())

    def timed_out(self) -> None:
        """The user said nothing for the idle timeout: a silent turn is committed and answered."""
        line, previous = self._line, self._line.last_item_id
        item_id, end_ms = line.ids.uuid(), self._before_ms + int(self._vad.audio_ms)
        start_ms = max(0, end_ms - (self._session().detection.idle_timeout_ms or 0))
        line.send(*line.wire.timeout_triggered(item_id, previous, start_ms, end_ms))
        line.send(*line.wire.committed(item_id, previous))
        self._announce(item_id, "completed", previous)
        self._respond("", 0.0)


class _Turn:
    """A turn of the user: what of it was heard (`cursor` is the byte of PCM up to which), and what was told of it."""

    def __init__(self, item_id: str, cursor: int, hearer: Hearer) -> None:
        self.item_id = item_id
        self.cursor = cursor
        self.hearer = hearer
        self.start_ms = 0
        self.end_ms = 0
        self.previous: str | None = None
        self.told = ""
        self.is_open = True
        self.has_speech = False

    def hear(self, pcm: bytes, cursor: int) -> None:
        if cursor > self.cursor:
            self.hearer.feed(pcm)
            self.cursor = cursor

    @property
    def text(self) -> str:
        """What was heard so far."""
        return (self.hearer.text or "").strip()

    @property
    def words(self) -> list[str]:
        return WORD.findall(self.text)


def make_vad(rate_hz: int, detection: TurnDetection) -> EnergyVad:
    """The detector of these settings, its threshold brought into the range that the service documents."""
    threshold = 0.85 if detection.threshold is None else min(0.9, max(0.1, detection.threshold))
    silence_ms = SILENCE_MS if detection.silence_ms is None else detection.silence_ms
    padding_ms = 333 if detection.padding_ms is None else detection.padding_ms
    return EnergyVad(rate_hz, threshold=threshold, silence_duration_ms=silence_ms, prefix_padding_ms=padding_ms)


def heard_text(item_id: str, text: str) -> ConversationItemInputAudioTranscriptionCompleted:
    """What an item says, for the emulator's own memory where the client asked for no transcripts."""
    name: Final = "conversation.item.input_audio_transcription.completed"
    return ConversationItemInputAudioTranscriptionCompleted(type=name, item_id=item_id, transcript=text)


def decoded(decoder: Decoder, audio: bytes) -> bytes:
    """The PCM of a piece of audio. Raises Refused for what its encoding cannot be."""
    try:
        return decoder.push(audio)
    except ValueError as error:
        raise failures.audio_format_refused("audio", str(error)) from None
