"""One transcription as the service holds it, without I/O and clock. In: frames, times. Out: frames at their time.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from xai_realtime.emulator.failures import Refused
from xai_realtime.emulator.line import Hangup, Step
from xai_realtime.emulator.reading import Fields, read_message
from xai_realtime.emulator.speech_line import SpeechLine
from xai_realtime.emulator.stt_hearing import Ears, HeardWord, Result
from xai_realtime.emulator.stt_settings import SttSettings, streaming_settings
from xai_realtime.emulator.world import World
from xai_realtime.frames import Frame

__all__ = ["SttEngine", "word_fields"]

EMPTY_PARTIALS_MS: Final = 1000
MAX_SHOWN: Final = 80


class SttEngine:
    """One connection to `/v1/stt`: give it what the client sends, and fetch what is due.

    `query` are the parameters of the address; those that may be repeated do not matter here. Raises BadSetting for
    one that the handshake refuses. Times are milliseconds on any clock that does not go back. Utterances are found
    on the time of the audio alone: a client that stops sending in mid speech has to `finalize`, to send silence or
    to end. Nothing raises for what a client sends: it ends as an `error` event.
    """

    def __init__(self, world: World, query: Mapping[str, str], now_ms: float) -> None:
        self._settings: SttSettings = streaming_settings(query.items())
        self._quirks = world.speech
        self._line = SpeechLine(world, now_ms)
        self._ears = Ears(self._settings, world.scenario.settings.stt_fallback, self._quirks.speakers)
        self._utterances: list[list[Result]] = [[] for _ in self._ears.channels]
        self._is_ready = self._is_deaf = self._is_ending = False
        self._heard_ms = now_ms
        self._empties: Step | None = None
        self._handlers: dict[str, Callable[[Fields], None]] = {
            "finalize": self._finalize,
            "Finalize": self._finalize,
            "audio.done": self._end,
        }
        self._line.after(self._quirks.startup_ms, self._ready)

    def receive(self, frame: Frame, now_ms: float) -> None:
        """Take in a frame of the client, whatever it holds."""
        line = self._line
        line.advance(now_ms)
        if line.is_over or self._is_ending:
            return
        if not frame.is_text:
            self._listen(frame.data)
            return
        try:
            given = Fields(read_message(frame, line.world.limits.max_message_bytes))
            kind = given.values.get("type")
            handler = self._handlers.get(kind) if isinstance(kind, str) else None
            if handler is None:
                line.fail(f"unknown message type '{str(kind)[:MAX_SHOWN]}', expected 'audio.done'")
                return
            handler(given)
        except Refused as refused:
            line.fail(f"{refused.failure.message} Expected 'audio.done'.")

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

    def _ready(self) -> None:
        self._is_ready = True
        self._line.send("transcript.created", {"id": self._line.world.ids.uuid()})
        if self._is_ending:
            self._finish()
            return
        self._heard_ms = self._line.now_ms
        self._watch()

    def _watch(self) -> None:
        """Look again when the patience with a client that sends no audio would be over."""
        limits = {self._go_deaf: self._quirks.goes_deaf_after_s, self._time_out: self._quirks.stt_idle_timeout_s}
        times = [(limit_s * 1000, act) for act, limit_s in limits.items() if limit_s is not None]
        if not times:
            return
        limit_ms, act = min(times, key=lambda entry: entry[0])
        left_ms = self._heard_ms + limit_ms - self._line.now_ms
        if left_ms > 0:
            self._line.after(left_ms, self._watch)
        else:
            act()

    def _go_deaf(self) -> None:
        self._is_deaf = True

    def _time_out(self) -> None:
        self._line.end_with("ASR stream timed out")

    def _listen(self, audio: bytes) -> None:
        """Audio before `transcript.created` is not heard, as at the service."""
        self._heard_ms = self._line.now_ms
        if not self._is_ready or self._is_deaf:
            return
        try:
            results = self._ears.feed(audio)
        except ValueError as error:
            self._line.end_with(f"Failed to decode audio: {error}")
            return
        for channel, result in results:
            self._tell(channel, result)

    def _tell(self, channel: int, result: Result) -> None:
        if self._empties is not None:
            self._empties.call_off()
            self._empties = None
        if result.speech_final:
            self._utterances[channel].append(result)
        self._line.send("transcript.partial", self._partial(channel, result))

    def _partial(self, channel: int, result: Result) -> dict[str, Any]:
        start_s, end_s = seconds(result.start_ms), seconds(result.end_ms)
        fields: dict[str, Any] = {"text": result.text}
        if not self._quirks.no_words:
            fields["words"] = self._words(result.words)
        fields |= {"is_final": result.is_final, "speech_final": result.speech_final}
        fields |= {"start": start_s, "duration": round(end_s - start_s, 2), **self._channel(channel)}
        if self._settings.smart_turn is not None:
            fields["end_of_turn_confidence"] = result.turn_confidence
        return fields | self._language()

    def _language(self) -> dict[str, str]:
        return {} if self._quirks.language is None else {"language": self._quirks.language}

    def _words(self, words: Iterable[HeardWord]) -> list[dict[str, Any]]:
        return [word_fields(word, diarize=self._settings.diarize) for word in words]

    def _channel(self, channel: int) -> dict[str, int]:
        return {"channel_index": channel} if self._settings.is_multichannel else {}

    def _finalize(self, given: Fields) -> None:
        count = len(self._ears.channels)
        wanted = given.whole("channel", 0, count - 1)
        for channel in range(count) if wanted is None else (wanted,):
            for result in self._ears.channels[channel].finalize():
                self._tell(channel, result)
        if self._quirks.empty_partials and self._is_ready and self._empties is None:
            at_ms = self._ears.channels[0].audio_ms
            self._empties = self._line.after(EMPTY_PARTIALS_MS, lambda: self._say_nothing(at_ms))

    def _say_nothing(self, at_ms: float) -> None:
        self._line.send("transcript.partial", self._partial(0, Result("", (), at_ms, at_ms)))
        self._empties = self._line.after(EMPTY_PARTIALS_MS, lambda: self._say_nothing(at_ms))

    def _end(self, given: Fields) -> None:
        self._is_ending = True
        if self._is_ready:
            self._finish()

    def _finish(self) -> None:
        """What is left, then `transcript.done` for each channel, then the end."""
        tails: list[list[Result]] = []
        for channel, ear in enumerate(self._ears.channels):
            left = ear.finalize()
            tails.append([result for result in left if result.speech_final])
            if self._quirks.done_text != "tail":
                for result in left:
                    self._tell(channel, result)
        if self._quirks.cut_at_end == "before_done":
            self._line.hang_up(abrupt=True)
        for channel, ear in enumerate(self._ears.channels):
            said = self._done_says(channel, tails[channel])
            words = [word for result in said for word in result.words]
            fields: dict[str, Any] = {"text": " ".join(result.text for result in said), "words": self._words(words)}
            fields |= {"duration": seconds(ear.audio_ms), **self._channel(channel), **self._language()}
            self._line.send("transcript.done", fields)
        if self._quirks.stays_open_after_done and self._quirks.cut_at_end is None:
            self._begin_anew()
        else:
            self._line.hang_up(abrupt=self._quirks.cut_at_end == "after_done")

    def _begin_anew(self) -> None:
        """A new turn; the time of the audio goes on."""
        self._is_ending = False
        self._heard_ms = self._line.now_ms
        for said in self._utterances:
            said.clear()

    def _done_says(self, channel: int, tail: list[Result]) -> list[Result]:
        said = self._utterances[channel]
        return {"empty": [], "tail": tail, "last": said[-1:], "full": said}[self._quirks.done_text]


def seconds(time_ms: float) -> float:
    """Seconds as the service tells them, with two decimals."""
    return round(time_ms / 1000, 2)


def word_fields(word: HeardWord, *, diarize: bool) -> dict[str, Any]:
    """A word on the wire: a confidence of 0 is left out."""
    fields: dict[str, Any] = {"text": word.text, "start": seconds(word.start_ms), "end": seconds(word.end_ms)}
    if word.confidence:
        fields["confidence"] = word.confidence
    if diarize:
        fields["speaker"] = word.speaker
    return fields
