"""Transcripts as subtitles: SRT, WebVTT, plain text, and records for JSON. In: words, utterances. Out: text, records.

Imports: room 0, protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import groupby, pairwise
from typing import Any, Final, TypeAlias, TypedDict, Unpack

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.stt_events import SttUtterance, SttWord
from xai_realtime.protocol.stt_text import joined

__all__ = ["Cue", "CueLimits", "SpeakerNames", "cues", "plain_text", "records", "srt", "webvtt"]

SpeakerNames: TypeAlias = bool | Mapping[int, str]
"""How speakers are called: by the names given, by their numbers (True), or not at all (False)."""
Source: TypeAlias = Iterable[SttUtterance | SttWord]

LINE_CHARACTERS: Final = 42
LINES: Final = 2
CUE_MAX_S: Final = 7.0
PAUSE_S: Final = 1.0
"""A silence as long as this ends a cue."""
_SENTENCE_END: Final = re.compile(r"[.!?…。！？][\"'”’»)\]」』）]*\Z")


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen from `start_s` to `end_s`, in lines."""

    start_s: float
    end_s: float
    lines: tuple[str, ...] = field(repr=False)
    speaker: int | None = None
    channel: int = 0


class CueLimits(TypedDict, total=False):
    """The limits of `cues`, as the writers take them."""

    line_characters: int
    lines: int
    max_cue_s: float


@dataclass(frozen=True, slots=True)
class _Timed:
    text: str
    start_s: float
    end_s: float
    speaker: int | None
    channel: int


def cues(
    source: Source,
    *,
    line_characters: int = LINE_CHARACTERS,
    lines: int = LINES,
    max_cue_s: float = CUE_MAX_S,
) -> list[Cue]:
    """Cues of at most `lines` lines and `max_cue_s` seconds, in the order of their times.

    A cue ends with its utterance, at a change of speaker or channel, at a pause of a second, and at the end of a
    sentence when it is half full. A word that is longer than a line has a line of its own, and one that is spoken for
    longer than `max_cue_s` a cue. Words without a time share that of their neighbours. Raises ConfigurationError for
    text without any time, and for limits that are not above 0.
    """
    if line_characters < 1 or lines < 1 or not max_cue_s > 0:
        raise ConfigurationError(f"cues of {lines!r} lines of {line_characters!r} characters and {max_cue_s!r} s")
    made: list[Cue] = []
    for words in _runs(source):
        for part in _parts(words, line_characters, lines, max_cue_s):
            wrapped = tuple(_lines([word.text for word in part], line_characters))
            made.append(Cue(part[0].start_s, part[-1].end_s, wrapped, part[0].speaker, part[0].channel))
    made.sort(key=lambda cue: cue.start_s)
    return _without_overlaps(made)


def srt(source: Source, *, speakers: SpeakerNames = True, **limits: Unpack[CueLimits]) -> str:
    """The transcript as SubRip text. `limits` are those of `cues`, and so are the errors.

    A cue begins with the name of its speaker where that changes.
    """
    made = cues(source, **limits)
    name = _naming(speakers, made)
    blocks, before = [], ""
    for number, cue in enumerate(made, start=1):
        who = name(cue)
        text = "\n".join(cue.lines)
        if who and who != before:
            text = f"{who}: {text}"
        before = who
        blocks.append(f"{number}\n{_stamp(cue.start_s, ',')} --> {_stamp(cue.end_s, ',')}\n{_without_arrows(text)}\n")
    return "\n".join(blocks)


def webvtt(source: Source, *, speakers: SpeakerNames = True, **limits: Unpack[CueLimits]) -> str:
    """The transcript as WebVTT, with a voice tag on each cue whose speaker is known. Limits and errors as in `cues`."""
    made = cues(source, **limits)
    name = _naming(speakers, made)
    blocks = ["WEBVTT\n"]
    for cue in made:
        who, text = name(cue), escape("\n".join(cue.lines), quote=False)
        voice = f"<v {escape(who, quote=False)}>" if who else ""
        blocks.append(f"{_stamp(cue.start_s, '.')} --> {_stamp(cue.end_s, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def plain_text(source: Source, *, speakers: SpeakerNames = True) -> str:
    """The transcript as lines, one for each utterance or turn of a speaker, with the speaker's name where it changes.

    Needs no times.
    """
    made = [line for item in _grouped(source) for line in _turns(item)]
    name = _naming(speakers, made)
    written, before = [], ""
    for line in made:
        who = name(line)
        written.append(f"{who}: {line.lines[0]}" if who and who != before else line.lines[0])
        before = who
    return "".join(f"{line}\n" for line in written)


def records(source: Source) -> list[dict[str, Any]]:
    """The transcript as plain lists and dicts for JSON: one record for each utterance, with its words.

    Keys are `text`, `start_s`, `end_s`, `speaker`, `channel` and, for utterances, `language` and `words`; words have
    `confidence` as well. What is not known is None.
    """
    made = []
    for item in source:
        record: dict[str, Any] = {
            "text": item.text,
            "start_s": item.start_s,
            "end_s": item.end_s,
            "speaker": item.speaker,
            "channel": item.channel,
        }
        if isinstance(item, SttUtterance):
            made.append({**record, "language": item.language, "words": records(item.words)})
        else:
            made.append({**record, "confidence": item.confidence})
    return made


def _grouped(source: Source) -> list[SttUtterance | list[SttWord]]:
    """Utterances as they are; loose words gathered by channel, in the place of the first."""
    made: list[SttUtterance | list[SttWord]] = []
    loose: dict[int, list[SttWord]] = {}
    for item in source:
        if isinstance(item, SttUtterance):
            made.append(item)
        elif item.channel in loose:
            loose[item.channel].append(item)
        else:
            made.append(loose.setdefault(item.channel, [item]))
    return made


def _words_of(item: SttUtterance | list[SttWord]) -> list[SttWord]:
    """The words, with the punctuation of the utterance where both have as many."""
    if not isinstance(item, SttUtterance):
        return item
    tokens = item.text.split()
    if not item.words:
        return [SttWord(token, channel=item.channel) for token in tokens]
    if len(tokens) != len(item.words):
        return list(item.words)
    return [replace(word, text=token) for word, token in zip(item.words, tokens, strict=True)]


def _turns(item: SttUtterance | list[SttWord]) -> Iterator[Cue]:
    words = _words_of(item)
    if isinstance(item, SttUtterance) and len({word.speaker for word in words}) < 2:
        yield Cue(0, 0, (_one_line(item.text),), item.speaker, item.channel)
        return
    for speaker, said in groupby(words, key=lambda word: word.speaker):
        text = joined(_one_line(word.text) for word in said)
        yield Cue(0, 0, (text,), speaker, words[0].channel)


def _runs(source: Source) -> Iterator[list[_Timed]]:
    for item in _grouped(source):
        words = _words_of(item)
        span = (item.start_s, item.end_s) if isinstance(item, SttUtterance) else (None, None)
        if words:
            yield _timed(words, *span)


def _timed(words: Sequence[SttWord], start_s: float | None, end_s: float | None) -> list[_Timed]:
    """The words with a time each: gaps are shared by the words in them, by their lengths."""
    first, last = words[0], words[-1]
    known: list[tuple[int, float]] = []
    opening_s = first.start_s if first.start_s is not None else start_s
    if opening_s is not None:
        known.append((0, opening_s))
    for number, word in enumerate(words):
        if number and word.start_s is not None:
            known.append((2 * number, word.start_s))
        if word.end_s is not None:
            known.append((2 * number + 1, word.end_s))
    if last.end_s is None and end_s is not None:
        known.append((2 * len(words) - 1, end_s))
    if not known:
        raise ConfigurationError("subtitles need times, and this transcript states none; its plain text needs none")
    bounds = _between(known, [len(word.text) for word in words])
    return [
        _Timed(_one_line(word.text), bounds[2 * number], bounds[2 * number + 1], word.speaker, word.channel)
        for number, word in enumerate(words)
    ]


def _between(known: Sequence[tuple[int, float]], lengths: Sequence[int]) -> list[float]:
    """A time for each beginning (even places) and end (odd places) of the words, never running backwards."""
    ways = [0.0]
    for length in lengths:
        ways += [ways[-1] + max(1, length), ways[-1] + max(1, length)]
    ways.pop()
    bounds = [known[0][1]] * len(ways)
    bounds[known[-1][0] :] = [known[-1][1]] * (len(ways) - known[-1][0])
    for (left, from_s), (right, to_s) in pairwise(known):
        way = ways[right] - ways[left]
        for place in range(left, right):
            share = (ways[place] - ways[left]) / way if way else 0.0
            bounds[place] = from_s + share * (to_s - from_s)
    for place in range(1, len(bounds)):
        bounds[place] = max(bounds[place], bounds[place - 1])
    return bounds


def _parts(words: list[_Timed], line_characters: int, lines: int, max_cue_s: float) -> Iterator[list[_Timed]]:
    part: list[_Timed] = []
    for word in words:
        if part and _is_cut(part, word, line_characters, lines, max_cue_s):
            yield part
            part = []
        part.append(word)
    yield part


def _is_cut(part: list[_Timed], word: _Timed, line_characters: int, lines: int, max_cue_s: float) -> bool:
    if word.speaker != part[-1].speaker or word.start_s - part[-1].end_s >= PAUSE_S:
        return True
    if word.end_s - part[0].start_s > max_cue_s:
        return True
    texts = [each.text for each in part]
    if len(list(_lines([*texts, word.text], line_characters))) > lines:
        return True
    return _SENTENCE_END.search(texts[-1]) is not None and 2 * len(joined(texts)) >= line_characters * lines


def _lines(texts: Iterable[str], line_characters: int) -> Iterator[str]:
    line = ""
    for text in texts:
        longer = joined((line, text))
        if line and len(longer) > line_characters:
            yield line
            longer = text
        line = longer
    yield line


def _without_overlaps(made: list[Cue]) -> list[Cue]:
    """In one channel a cue ends when the next begins, and each lasts at least a millisecond."""
    following: dict[int, float] = {}
    for place in range(len(made) - 1, -1, -1):
        cue = made[place]
        end_s = max(min(cue.end_s, following.get(cue.channel, cue.end_s)), cue.start_s + 0.001)
        following[cue.channel] = cue.start_s
        made[place] = replace(cue, end_s=end_s)
    return made


def _naming(speakers: SpeakerNames, made: Sequence[Cue]) -> Callable[[Cue], str]:
    """How to call who says a cue; channels stand for speakers where none is known and there are several."""
    if speakers is False:
        return lambda cue: ""
    names: Mapping[int, str] = {} if speakers is True else speakers
    has_channels = len({cue.channel for cue in made}) > 1

    def name(cue: Cue) -> str:
        if cue.speaker is not None:
            return _one_line(names.get(cue.speaker, f"Speaker {cue.speaker}"))
        return f"Channel {cue.channel}" if has_channels else ""

    return name


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _without_arrows(text: str) -> str:
    return text.replace("-->", "->")


def _stamp(time_s: float, point: str) -> str:
    time_ms = max(0, round(time_s * 1000))
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"
