"""A transcription stream folded into what was said, each word once. In: events of the stt socket. Out: told events.

Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, TypeAlias

from xai_realtime.events import stt as wire
from xai_realtime.protocol.stt_events import (
    SttDone,
    SttEvent,
    SttInterim,
    SttReady,
    SttSegment,
    SttUtterance,
    SttWord,
)
from xai_realtime.protocol.stt_places import Places
from xai_realtime.protocol.stt_text import joined, spoken

__all__ = ["SttTranscript"]

Preview: TypeAlias = SttInterim | SttSegment
Heard: TypeAlias = Preview | SttUtterance
Told: TypeAlias = tuple[SttEvent, ...]


def _is_timed(heard: Heard) -> bool:
    return heard.start_s is not None and heard.end_s is not None


def _covers(new: Heard, old: Heard) -> bool:
    """Whether `new` speaks of more than half of the audio of `old`."""
    if new.start_s is None or new.end_s is None or old.start_s is None or old.end_s is None:
        return False
    shared_s = min(new.end_s, old.end_s) - max(new.start_s, old.start_s)
    return 2 * shared_s > old.end_s - old.start_s


def _repeats(new: Heard, olds: Sequence[Heard]) -> bool:
    """Whether `new`, without times, says what `olds` said and goes on; with times they decide, not the text."""
    return bool(olds) and not _is_timed(new) and spoken(new.text).startswith(spoken(joined(old.text for old in olds)))


def _language(stated: Iterable[str | None]) -> str | None:
    languages = {language for language in stated if language}
    return languages.pop() if len(languages) == 1 else None


class _Channel:
    """One channel: what is committed, and the previews of what is being said."""

    __slots__ = ("interim", "is_done", "is_flushing", "known_s", "segments", "utterances")

    def __init__(self) -> None:
        self.known_s = 0.0
        """Up to here an earlier connection committed what was said."""
        self.utterances: list[SttUtterance] = []
        self.segments: list[SttSegment] = []
        self.interim: SttInterim | None = None
        self.is_flushing = False
        self.is_done = False

    def late(self, heard: Heard) -> Iterable[SttUtterance]:
        """The committed utterances that may share audio with `heard`, the last first."""
        start_s = heard.start_s
        if start_s is None:
            return
        for old in reversed(self.utterances):
            if old.end_s is not None and old.end_s <= start_s:
                return
            yield old

    def is_said(self, preview: Preview) -> bool:
        """Whether the audio of a preview is committed already."""
        return any(_covers(old, preview) for old in self.late(preview))

    def previews(self) -> list[Preview]:
        """What is being said and not committed, in order, each word once."""
        last = self.interim
        if last is None:
            return list(self.segments)
        if _repeats(last, self.segments):
            return [last]
        return [*(old for old in self.segments if not _covers(last, old)), last]

    def add_segment(self, segment: SttSegment) -> None:
        kept = [] if _repeats(segment, self.segments) else self.segments
        self.segments = [*(old for old in kept if not _covers(segment, old)), segment]
        self.interim = None

    def fresh(self, text: str, words: tuple[SttWord, ...], offset_s: float) -> tuple[str, tuple[SttWord, ...]]:
        """What of it no connection before this one has committed, by the times of the words."""
        if self.known_s <= offset_s:
            return text, words
        kept = tuple(word for word in words if word.end_s is None or _middle(word) >= self.known_s)
        return (text, words) if len(kept) == len(words) else (joined(word.text for word in kept), kept)

    def take_back(self, is_gone: Callable[[Preview], bool]) -> None:
        self.segments = [segment for segment in self.segments if not is_gone(segment)]
        if self.interim is not None and is_gone(self.interim):
            self.interim = None

    def clear_previews(self) -> None:
        self.segments.clear()
        self.interim = None


class SttTranscript:
    """Folds the events of a transcription socket into previews, utterances and the whole transcript.

    Text is committed only where `is_final` and `speech_final` are both true. Whether audio was spoken of before is
    decided by the times, not by the text: a sentence that is said twice stays twice. Messages without text tell
    nothing, nor do previews that change nothing, so that a timer may be set anew by whatever is told. Keeps all that
    was said until it is thrown away. `channels` is how many are sent, `interim` False tells utterances alone.
    """

    def __init__(self, channels: int = 1, *, interim: bool = True) -> None:
        self.session_id: str | None = None
        self.utterances_told = 0
        """How many utterances were told, each replacement counted: the next one's index."""
        self.places = Places()
        """The times of the present connection."""
        self._expected = channels
        self._tells_previews = interim
        self._channels: dict[int, _Channel] = {number: _Channel() for number in range(channels)}
        self._duration_s: float | None = None
        self._languages: set[str | None] = set()

    @property
    def is_done(self) -> bool:
        """Whether the service has confirmed the end of every channel."""
        return sum(channel.is_done for channel in self._channels.values()) >= self._expected

    @property
    def is_flushing(self) -> bool:
        """Whether an utterance that was asked for is still owed."""
        return bool(self.flushing)

    @property
    def offset_s(self) -> float:
        """Where on the time line of the stream the present connection begins."""
        return self.places.offset_s

    @property
    def has_previews(self) -> bool:
        """Is anything being said that is not committed?"""
        return any(channel.segments or channel.interim for channel in self._channels.values())

    def open_from_s(self) -> float | None:
        """Where the oldest unfinished utterance begins, as far as is known."""
        previews = chain.from_iterable(channel.previews() for channel in self._channels.values())
        return min((old.start_s for old in previews if old.start_s is not None), default=None)

    def committed_s(self, channel: int | None = None) -> float:
        """Up to where the service committed what was said on a channel (None: on all of them)."""
        channels = self._channels.values() if channel is None else (self._channel(channel),)
        return min(_end(said for said in one.utterances if not said.is_provisional) for one in channels)

    @property
    def flushing(self) -> tuple[int, ...]:
        """The channels on which an utterance that was asked for is still owed."""
        return tuple(number for number, channel in self._channels.items() if channel.is_flushing)

    def asked_to_flush(self, channel: int | None = None) -> None:
        """Note that the utterance of `channel` (None: of all) was asked for, by `finalize` or by silence.

        A channel on which nothing is being said may owe nothing, and the service does not say so: bound the wait.
        """
        for number in self._channels if channel is None else (channel,):
            self._channel(number).is_flushing = True

    def fold(self, event: object) -> Told:
        """What an event of the socket tells, in order. Events of other types, `error` too, tell nothing here."""
        handler = _HANDLERS.get(type(event))
        return () if handler is None else handler(self, event)

    def shift(self, offset_s: float) -> Told:
        """A new connection begins, whose first audio stands at `offset_s` of the stream: move its times there.

        Previews of audio that it will not hear again are committed as they stand and told; the others are dropped.
        Of audio that it does hear again, and whose words are committed, it tells nothing.
        """
        told: list[SttEvent] = []
        for number, channel in self._channels.items():
            channel.take_back(lambda old: old.start_s is None or old.end_s is None or _middle(old) >= offset_s)
            told += self._commit_previews(number, channel, None)
            channel.is_flushing = channel.is_done = False
            channel.known_s = _end(channel.utterances)
        self.places = Places(offset_s)
        return tuple(told)

    def end(self) -> Told:
        """The stream is over without a word from the service: what only previews held, then the transcript."""
        told: list[SttEvent] = []
        for number, channel in self._channels.items():
            told += self._commit_previews(number, channel, None)
            channel.is_flushing = False
        return (*told, self.so_far())

    def so_far(self) -> SttDone:
        """The transcript of what is committed, as it stands now."""
        channels = {number: channel.utterances for number, channel in sorted(self._channels.items())}
        utterances = _by_time(list(chain.from_iterable(channels.values())))
        words = chain.from_iterable(utterance.words for utterance in utterances)
        return SttDone(
            text=joined(utterance.text for utterance in utterances),
            texts={number: joined(said.text for said in channel) for number, channel in channels.items()},
            utterances=tuple(utterances),
            words=tuple(sorted(words, key=_start)) if len(channels) > 1 else tuple(words),
            duration_s=self._duration_s,
            language=_language(self._languages),
            is_complete=self.is_done,
        )

    def _channel(self, number: int) -> _Channel:
        return self._channels.setdefault(number, _Channel())

    def _created(self, event: wire.TranscriptCreated) -> Told:
        self.session_id = event.id
        return (SttReady(event.id, raw=event),)

    def _partial(self, event: wire.TranscriptPartial) -> Told:
        number = event.channel_index or 0
        channel = self._channel(number)
        heard = self._heard(event, number)
        if event.is_final and event.speech_final:
            channel.is_flushing = False
            self._languages.add(event.language)
            return self._commit(channel, SttUtterance(**heard, index=-1))
        if not heard["text"]:
            return ()
        return self._preview(channel, SttSegment(**heard) if event.is_final else SttInterim(**heard))

    def _preview(self, channel: _Channel, preview: Preview) -> Told:
        before = channel.interim
        if channel.is_said(preview):
            return ()
        if isinstance(preview, SttSegment):
            channel.add_segment(preview)
        else:
            channel.interim = preview
        so_far = joined(part.text for part in channel.previews())
        if not self._tells_previews or preview == before:
            return ()
        return (replace(preview, so_far=so_far),)

    def _heard(self, event: wire.TranscriptPartial, number: int) -> dict[str, Any]:
        text, words = self._channel(number).fresh(event.text.strip(), self._words(event.words, number), self.offset_s)
        start_s, end_s = _span(self.places, words, event.start, event.duration)
        known_s = self._channel(number).known_s
        if not words and end_s is not None and self.offset_s < end_s <= known_s:
            text = ""
        return {
            "raw": event,
            "text": text,
            "words": words,
            "channel": number,
            "start_s": start_s,
            "end_s": end_s,
            "language": event.language or None,
            "end_of_turn_confidence": event.end_of_turn_confidence,
        }

    def _words(self, words: Sequence[wire.Word] | None, number: int) -> tuple[SttWord, ...]:
        return tuple(
            SttWord(
                text=word.text.strip(),
                start_s=_at(self.places, word.start),
                end_s=_at(self.places, word.end),
                confidence=word.confidence,
                speaker=word.speaker,
                channel=number,
            )
            for word in words or ()
            if word.text and word.text.strip()
        )

    def _commit(self, channel: _Channel, said: SttUtterance) -> Told:
        if not said.text:
            channel.take_back(lambda old: _covers(said, old))
            return ()
        channel.clear_previews()
        covered = [old for old in channel.late(said) if _covers(said, old)]
        if len(covered) == 1 and covered[0].text == said.text:
            return ()
        return self._put(channel, said, covered)

    def _put(self, channel: _Channel, said: SttUtterance, covered: Sequence[SttUtterance]) -> Told:
        said = replace(said, index=self.utterances_told, replaces=tuple(sorted(old.index for old in covered)))
        self.utterances_told += 1
        if not covered:
            channel.utterances.append(said)
            return (said,)
        place = next(at for at, old in enumerate(channel.utterances) if old.index in said.replaces)
        channel.utterances = [old for old in channel.utterances if old.index not in said.replaces]
        channel.utterances.insert(place, said)
        return (said,)

    def _commit_previews(self, number: int, channel: _Channel, raw: Any, text: str | None = None) -> Told:
        """Make one utterance of what only previews hold, if they hold anything; `text` is how the end writes it."""
        previews = channel.previews()
        channel.clear_previews()
        if not previews:
            return ()
        starts = [preview.start_s for preview in previews if preview.start_s is not None]
        ends = [preview.end_s for preview in previews if preview.end_s is not None]
        said = SttUtterance(
            index=-1,
            raw=raw,
            text=text or joined(preview.text for preview in previews),
            words=tuple(chain.from_iterable(preview.words for preview in previews)),
            channel=number,
            start_s=min(starts, default=None),
            end_s=max(ends, default=None),
            language=_language(preview.language for preview in previews),
            is_provisional=text is None,
        )
        return self._put(channel, said, ())

    def _done(self, event: wire.TranscriptDone) -> Told:
        if self.is_done:
            return ()
        number = event.channel_index
        if number is None:
            number = next(number for number, channel in sorted(self._channels.items()) if not channel.is_done)
        channel = self._channel(number)
        self._languages.add(event.language)
        if event.duration is not None:
            self._duration_s = max(self._duration_s or 0.0, self.places.of_stream(event.duration))
        told = self._last_words(number, channel, event)
        channel.is_done, channel.is_flushing = True, False
        return (*told, replace(self.so_far(), raw=event)) if self.is_done else told

    def _last_words(self, number: int, channel: _Channel, event: wire.TranscriptDone) -> Told:
        """Commit what the end adds: its own text where that is new, else what only previews held."""
        text, words = channel.fresh((event.text or "").strip(), self._words(event.words, number), self.offset_s)
        if not spoken(text):
            return self._commit_previews(number, channel, event)
        start_s, end_s = _span(self.places, words, None, None)
        said = SttUtterance(
            index=-1,
            raw=event,
            text=text,
            words=words,
            channel=number,
            start_s=start_s,
            end_s=end_s,
            language=event.language or None,
        )
        covered, previews = _said_again(said, channel)
        known = joined(heard.text for heard in (*covered, *previews))
        if spoken(known) == spoken(text) and (covered or not words):
            return self._commit_previews(number, channel, event, None if covered else text)
        if previews:
            channel.take_back(lambda old: old in previews)
        kept = self._commit_previews(number, channel, event)
        return (*kept, *self._put(channel, said, covered))


def _said_again(said: SttUtterance, channel: _Channel) -> tuple[list[SttUtterance], list[Preview]]:
    """The utterances and previews whose words stand in the text of the end as well, by time, else by sound."""
    previews, utterances = channel.previews(), channel.utterances
    if all(_is_timed(heard) for heard in (said, *utterances, *previews)):
        covered = [old for old in utterances if _covers(said, old)]
        return covered, [preview for preview in previews if _covers(said, preview)]
    text = spoken(said.text)
    if previews and text == spoken(joined(preview.text for preview in previews)):
        return [], previews
    suffix = ""
    for first in range(len(utterances) - 1, -1, -1):
        suffix = spoken(utterances[first].text) + suffix
        if suffix == text:
            return utterances[first:], []
        if len(suffix) > len(text):
            return [], previews
    return (list(utterances) if text.startswith(suffix) else []), previews


def _at(places: Places, time_s: float | None) -> float | None:
    return None if time_s is None else places.of_stream(time_s)


def _span(
    places: Places, words: Sequence[SttWord], start: float | None, duration: float | None
) -> tuple[float | None, float | None]:
    starts = [word.start_s for word in words if word.start_s is not None]
    ends = [word.end_s for word in words if word.end_s is not None]
    end = None if start is None or duration is None else start + duration
    return min(starts, default=_at(places, start)), max(ends, default=_at(places, end))


def _middle(heard: Heard | SttWord) -> float:
    return ((heard.start_s or 0.0) + (heard.end_s or 0.0)) / 2


def _end(utterances: Iterable[SttUtterance]) -> float:
    return max((said.end_s for said in utterances if said.end_s is not None), default=0.0)


def _start(heard: SttWord) -> float:
    return heard.start_s or 0.0


def _by_time(utterances: list[SttUtterance]) -> list[SttUtterance]:
    """The channels in one, by time; those of one channel stay in their order."""
    keys: dict[int, float] = {}
    last: dict[int, float] = {}
    for said in utterances:
        last[said.channel] = keys[said.index] = max(last.get(said.channel, 0.0), said.start_s or 0.0)
    return sorted(utterances, key=lambda said: keys[said.index])


_HANDLERS: Final[dict[type, Callable[[SttTranscript, Any], Told]]] = {
    wire.TranscriptCreated: SttTranscript._created,
    wire.TranscriptPartial: SttTranscript._partial,
    wire.TranscriptDone: SttTranscript._done,
}
