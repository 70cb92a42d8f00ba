"""The transcript of a file. In: the service's JSON. Out: SttResult, and its subtitles. Imports: rooms 0-3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Unpack

from xai_realtime.errors import RemoteProtocolError
from xai_realtime.protocol import subtitles
from xai_realtime.protocol.stt_events import SttUtterance, SttWord
from xai_realtime.protocol.stt_text import joined
from xai_realtime.protocol.subtitles import CueLimits, SpeakerNames

__all__ = ["SttChannel", "SttResult", "read_result"]

TURN_PAUSE_S: Final = 1.0
"""A silence as long as this parts the turns of a channel, so that channels can be told in the order of their times."""


@dataclass(frozen=True, slots=True)
class SttChannel:
    """One channel of a file that was heard channel by channel; `index` counts from 0."""

    index: int
    text: str = field(repr=False)
    words: tuple[SttWord, ...] = field(default=(), repr=False)
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SttResult:
    """The transcript of a file.

    `text` is all of it, `words` every word once, in the order of their times; with `channels` those of all channels.
    `language` is the one that was detected, None when the service does not say. `duration_s` is the length of the
    audio in seconds. `raw` is the whole answer. Source: docs.x.ai, voice reference.
    """

    text: str = field(repr=False)
    language: str | None = None
    duration_s: float | None = None
    words: tuple[SttWord, ...] = field(default=(), repr=False)
    channels: tuple[SttChannel, ...] = field(default=(), repr=False)
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def speakers(self) -> tuple[int, ...]:
        """Who speaks, by number; empty without `diarize`."""
        return tuple(sorted({word.speaker for word in self.words if word.speaker is not None}))

    @property
    def utterances(self) -> tuple[SttUtterance, ...]:
        """What was said: the whole, or the turns of each channel (parted by pauses) in the order of their times."""
        if not self.channels:
            return (self._spoken(0, self.text, self.words, self.language),) if self.text or self.words else ()
        turns = [turn for channel in self.channels for turn in self._turns(channel)]
        turns.sort(key=lambda turn: turn[2][0].start_s or 0.0 if turn[2] else 0.0)
        return tuple(self._spoken(*turn, index=index) for index, turn in enumerate(turns))

    def srt(self, *, speakers: SpeakerNames = True, **limits: Unpack[CueLimits]) -> str:
        """The transcript as SubRip text. Raises ConfigurationError for limits that are not above 0."""
        return subtitles.srt(self.utterances, speakers=speakers, **limits)

    def webvtt(self, *, speakers: SpeakerNames = True, **limits: Unpack[CueLimits]) -> str:
        """The transcript as WebVTT. Raises ConfigurationError for limits that are not above 0."""
        return subtitles.webvtt(self.utterances, speakers=speakers, **limits)

    def plain_text(self, *, speakers: SpeakerNames = True) -> str:
        """The transcript as lines, one for each turn of a speaker or channel."""
        return subtitles.plain_text(self.utterances, speakers=speakers)

    def records(self) -> list[dict[str, Any]]:
        """The utterances with their words as plain lists and dicts; keys as in `xai_realtime.subtitles.records`."""
        return subtitles.records(self.utterances)

    def to_json(self, *, indent: int | None = None) -> str:
        """The transcript as one JSON object: `text`, `language`, `duration_s` and, as `utterances`, the records."""
        told = {"text": self.text, "language": self.language, "duration_s": self.duration_s}
        return json.dumps({**told, "utterances": self.records()}, ensure_ascii=False, indent=indent)

    def _turns(self, channel: SttChannel) -> Iterator[tuple[int, str, tuple[SttWord, ...], str | None]]:
        """The words of a channel cut at its pauses, with its punctuation where it has as many words."""
        words, tokens = channel.words, channel.text.split()
        if not words:
            if tokens:
                yield channel.index, channel.text, (), channel.language
            return
        texts = tokens if len(tokens) == len(words) else [word.text for word in words]
        start = 0
        for place in range(1, len(words) + 1):
            if place == len(words) or _is_pause(words[place - 1], words[place]):
                yield channel.index, joined(texts[start:place]), words[start:place], channel.language
                start = place

    def _spoken(
        self, channel: int, text: str, words: tuple[SttWord, ...], language: str | None, *, index: int = 0
    ) -> SttUtterance:
        """Text without words has the length of the file."""
        start_s = words[0].start_s if words else 0.0
        end_s = words[-1].end_s if words else self.duration_s
        return SttUtterance(
            index=index,
            text=text or joined(word.text for word in words),
            words=words,
            channel=channel,
            start_s=start_s,
            end_s=end_s,
            language=language or self.language,
        )


def _is_pause(before: SttWord, after: SttWord) -> bool:
    return before.end_s is not None and after.start_s is not None and after.start_s - before.end_s >= TURN_PAUSE_S


def read_result(answer: object) -> SttResult:
    """The transcript in the JSON of an answer; what is not known stays in `raw`.

    Raises RemoteProtocolError, naming the place and the kind of what stands there, never a text.
    """
    told = _object(answer, "the answer")
    language = _text(told, "language", "")
    channels = tuple(_channel(entry, place) for place, entry in enumerate(_list(told, "channels", "")))
    words = _words(told, "", 0)
    if any(channel.words for channel in channels):
        words = tuple(word for channel in channels for word in channel.words)
        words = tuple(sorted(words, key=lambda word: word.start_s or 0.0))
    text = _text(told, "text", "")
    if text is None:
        if not words and not channels:
            raise RemoteProtocolError("the answer to an upload holds no text")
        text = joined(word.text for word in words) or joined(channel.text for channel in channels)
    return SttResult(text, language or None, _number(told, "duration", ""), words, channels, told)


def _channel(entry: object, place: int) -> SttChannel:
    where = f"channels[{place}]"
    told = _object(entry, where)
    number = _whole(told, "index", f"{where}.")
    index = place if number is None else number
    words = _words(told, f"{where}.", index)
    text = _text(told, "text", f"{where}.")
    return SttChannel(
        index,
        joined(word.text for word in words) if text is None else text,
        words,
        _text(told, "language", f"{where}.") or None,
    )


def _words(holder: dict[str, Any], where: str, channel: int) -> tuple[SttWord, ...]:
    return tuple(
        _word(entry, f"{where}words[{place}]", channel) for place, entry in enumerate(_list(holder, "words", where))
    )


def _word(entry: object, where: str, channel: int) -> SttWord:
    told, within = _object(entry, where), f"{where}."
    text = _text(told, "text", within)
    if text is None:
        raise RemoteProtocolError(f"{where} of a transcript has no text")
    start_s, end_s = _number(told, "start", within), _number(told, "end", within)
    return SttWord(text, start_s, end_s, _number(told, "confidence", within), _whole(told, "speaker", within), channel)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{where} of a transcript is {_shown(value)}, where an object belongs")
    return value


def _list(holder: dict[str, Any], name: str, where: str) -> list[Any]:
    return _found(holder, name, where, lambda value: isinstance(value, list), "a list") or []


def _text(holder: dict[str, Any], name: str, where: str) -> str | None:
    found: str | None = _found(holder, name, where, lambda value: isinstance(value, str), "a text")
    return found


def _number(holder: dict[str, Any], name: str, where: str) -> float | None:
    found = _found(holder, name, where, _is_number, "a number")
    return None if found is None else float(found)


def _whole(holder: dict[str, Any], name: str, where: str) -> int | None:
    found = _found(holder, name, where, lambda value: _is_number(value) and value == int(value), "a whole number")
    return None if found is None else int(found)


def _found(holder: dict[str, Any], name: str, where: str, fits: Callable[[Any], bool], wanted: str) -> Any:
    value = holder.get(name)
    if value is None or fits(value):
        return value
    raise RemoteProtocolError(f"{where}{name} of a transcript is {_shown(value)}, where {wanted} belongs")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _shown(value: object) -> str:
    """What stands there, as far as it can be no text of a person."""
    if isinstance(value, bool | int | float | None):
        return repr(value)[:40]
    size = f" of {len(value)}" if isinstance(value, str | list | dict) else ""
    return f"{type(value).__name__}{size}"
