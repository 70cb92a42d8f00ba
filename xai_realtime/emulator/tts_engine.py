"""One speech socket as the service holds it, without I/O and clock. In: frames, times. Out: frames at their time.

Imports: the standard library, pybase64, rooms 0 and 7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pybase64

from xai_realtime.audio import bytes_for_ms
from xai_realtime.emulator.failures import Refused
from xai_realtime.emulator.line import Hangup, Step
from xai_realtime.emulator.query import BadSetting
from xai_realtime.emulator.reading import Fields, read_message
from xai_realtime.emulator.sounds import Encoder
from xai_realtime.emulator.speech_line import SpeechLine
from xai_realtime.emulator.speech_quirks import SpeechQuirks
from xai_realtime.emulator.tts_settings import (
    MAX_TEXT_CHARACTERS,
    TtsSettings,
    checked_replacements,
    streaming_settings,
)
from xai_realtime.emulator.tts_sound import Batch, SpokenText
from xai_realtime.emulator.world import World
from xai_realtime.frames import Frame

__all__ = ["TtsEngine", "timestamps"]

FIRST_AUDIO_MS: Final = 200
CHUNK_MS: Final = 100
CLEARING_MS: Final = 40
MAX_SHOWN: Final = 80


class TtsEngine:
    """One connection to `/v1/tts`: give it what the client sends, and fetch what is due.

    `query` are the parameters of the address. Raises BadSetting for one that the handshake refuses. Times are
    milliseconds on any clock that does not go back. Text that comes while an utterance is still spoken waits for
    its end; text between a `text.clear` and its receipt is dropped with the utterance. Nothing raises for what
    a client sends: it ends as an `error` event.
    """

    def __init__(self, world: World, query: Mapping[str, str], now_ms: float) -> None:
        self._settings: TtsSettings = streaming_settings(query.items())
        self._quirks = world.speech
        self._line = SpeechLine(world, now_ms)
        self._is_instant = world.pace == "instant"
        self._replacements: dict[str, str] = {}
        self._utterances: deque[Utterance] = deque()
        self._playing: Step | None = None
        self._free_ms = now_ms
        self._is_clearing = False
        self._handlers: dict[str, Callable[[Fields], None]] = {
            "text.delta": self._text,
            "text.done": self._text_done,
            "text.clear": self._clear,
            "session.update": self._update,
        }
        if self._quirks.tts_max_age_s is not None:
            self._line.after(self._quirks.tts_max_age_s * 1000, self._too_old)

    def receive(self, frame: Frame, now_ms: float) -> None:
        """Take in a frame of the client, whatever it holds."""
        line = self._line
        line.advance(now_ms)
        if line.is_over:
            return
        try:
            if not frame.is_text:
                raise BadSetting("A binary message came; text messages are expected.")
            given = Fields(read_message(frame, line.world.limits.max_message_bytes))
            kind = given.values.get("type")
            handler = self._handlers.get(kind) if isinstance(kind, str) else None
            if handler is None:
                raise BadSetting(f"Unknown message type '{str(kind)[:MAX_SHOWN]}'.")
            handler(given)
        except Refused as refused:
            line.fail(refused.failure.message)
        except BadSetting as refused:
            line.fail(str(refused))

    def next_due_ms(self) -> float | None:
        """When `take` has something next, None when only the client can bring that about."""
        return self._line.next_due_ms()

    def take(self, now_ms: float) -> list[Frame | Hangup]:
        """What is due up to `now_ms`, in order. After a Hangup nothing more comes."""
        self._line.advance(now_ms)
        return self._line.fetch()

    def disconnected(self, now_ms: float, lost: Iterable[Frame] = ()) -> None:
        """The connection is over."""
        self._line.advance(now_ms)
        self._line.hang_up()
        self._line.fetch()

    def _too_old(self) -> None:
        age_s = int(self._quirks.tts_max_age_s or 0) + 1
        self._line.end_with(f"TTS pipeline timed out after {age_s}s (Deadline expired before operation could complete)")

    def _update(self, given: Fields) -> None:
        self._replacements = checked_replacements(given.needed_object("replace").values)
        self._line.send("session.updated", {"replace": self._replacements})

    def _text(self, given: Fields) -> None:
        delta = given.needed_text("delta")
        if len(delta) > MAX_TEXT_CHARACTERS:
            raise BadSetting(f"'delta' has {len(delta)} characters; {MAX_TEXT_CHARACTERS} are allowed.")
        if not self._is_clearing:
            self._unfinished().push(delta)
            self._go_on()

    def _text_done(self, given: Fields) -> None:
        if not self._is_clearing:
            self._unfinished().finish()
            self._go_on()

    def _unfinished(self) -> Utterance:
        """The utterance whose text still comes: a new one when there is none."""
        if not self._utterances or self._utterances[-1].is_complete:
            self._utterances.append(Utterance(self._settings, self._quirks, self._replacements))
        return self._utterances[-1]

    def _go_on(self) -> None:
        """Speak the first utterance on, unless that is under way or there is nothing yet to say."""
        if self._playing is not None or not self._utterances:
            return
        first = self._utterances[0]
        if first.pieces or first.is_complete:
            wait_ms = self._free_ms - self._line.now_ms if first.has_begun else FIRST_AUDIO_MS
            self._playing = self._line.after(max(0.0, wait_ms), self._play)

    def _play(self) -> None:
        self._playing = None
        utterance = self._utterances[0]
        if utterance.pieces:
            piece = self._send_piece(utterance)
            self._free_ms = self._line.now_ms + (0.0 if self._is_instant else piece.length_ms)
        else:
            for rest in utterance.ending():
                self._line.send("audio.delta", rest)
            self._utterances.popleft()
            self._line.send("audio.done", {"trace_id": self._line.world.ids.hex()})
        self._go_on()

    def _send_piece(self, utterance: Utterance) -> Piece:
        piece = utterance.pieces.popleft()
        for fields in utterance.deltas(piece):
            self._line.send("audio.delta", fields)
        return piece

    def _clear(self, given: Fields) -> None:
        """Give up what is spoken and what waits; what is on its way still comes before the receipt."""
        if self._is_clearing:
            return
        if self._playing is not None:
            self._playing.call_off()
            self._playing = None
        first = self._utterances[0] if self._utterances else None
        if first is not None and first.has_begun:
            for _ in range(min(self._quirks.in_flight_deltas, len(first.pieces))):
                self._send_piece(first)
        self._utterances.clear()
        self._is_clearing = True
        self._line.after(CLEARING_MS, self._cleared)

    def _cleared(self) -> None:
        self._is_clearing = False
        if not self._quirks.no_clear_receipt:
            self._line.send("audio.clear")
        if self._quirks.done_after_clear:
            self._line.send("audio.done", {"trace_id": self._line.world.ids.hex()})


@dataclass(slots=True)
class Piece:
    """Up to 100 ms of PCM; the first one of a batch tells its times."""

    pcm: bytes
    length_ms: float
    batch: Batch | None


class Utterance:
    """One utterance: text comes in, `pieces` wait to be sent, as deltas in the codec of the socket."""

    def __init__(self, settings: TtsSettings, quirks: SpeechQuirks, replacements: Mapping[str, str]) -> None:
        self._settings = settings
        self._quirks = quirks
        self._text = SpokenText(settings.rate_hz, replacements)
        self._encoder = Encoder(settings.codec, settings.rate_hz, settings.bit_rate)
        self._held = b""
        self.pieces: deque[Piece] = deque()
        self.is_complete = False
        self.has_begun = False

    def push(self, delta: str) -> None:
        """More text."""
        self._text.push(delta)
        self._cut(self._text.next_batch())

    def finish(self) -> None:
        """The text is complete."""
        self.is_complete = True
        self._cut(self._text.rest())

    def _cut(self, batch: Batch | None) -> None:
        if batch is None:
            return
        size = bytes_for_ms(CHUNK_MS, self._settings.rate_hz)
        for at in range(0, len(batch.pcm), size):
            pcm = batch.pcm[at : at + size]
            self.pieces.append(Piece(pcm, len(pcm) * 500 / self._settings.rate_hz, None if at else batch))

    def deltas(self, piece: Piece) -> list[dict[str, Any]]:
        """What goes out for a piece: one delta mostly, none while a codec waits for more."""
        self.has_begun = True
        audio = self._held + self._encoder.push(piece.pcm)
        self._held = b""
        if self._quirks.odd_cuts and len(audio) % 2 == 0:
            audio, self._held = audio[:-1], audio[-1:]
        fields: dict[str, Any] = {"delta": pybase64.b64encode_as_string(audio)}
        if piece.batch is None or not self._settings.with_timestamps:
            return [fields] if audio else []
        told = timestamps(piece.batch.characters, piece.batch.times, self._quirks)
        stamps = {"audio_timestamps": told, "audio_duration": piece.batch.duration_s}
        if self._quirks.timestamps_alone:
            return [{"delta": "", **stamps}, *([fields] if audio else [])]
        return [fields | stamps]

    def ending(self) -> list[dict[str, Any]]:
        """What the codec held back."""
        audio = self._held + self._encoder.finish()
        return [{"delta": pybase64.b64encode_as_string(audio)}] if audio else []


def timestamps(characters: list[str], times: list[tuple[float, float]], quirks: SpeechQuirks) -> dict[str, Any]:
    """Characters and their times on the wire, as pairs or as objects."""
    if quirks.graph_times == "objects":
        return {"graph_chars": characters, "graph_times": [{"start": start, "end": end} for start, end in times]}
    return {"graph_chars": characters, "graph_times": [list(pair) for pair in times]}
