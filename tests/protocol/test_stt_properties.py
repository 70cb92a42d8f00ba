"""The transcript against a recogniser that restates, repeats, revises and reconnects as the service does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.events import stt as wire
from xai_realtime.protocol.stt_events import SttDone, SttEvent, SttUtterance
from xai_realtime.protocol.stt_text import spoken
from xai_realtime.protocol.stt_transcript import SttTranscript

WORDS = st.sampled_from(["yes", "no", "four", "two", "one"])
ENDS = ["empty", "missing", "last", "all", "tail"]


@dataclass(frozen=True)
class Said:
    """One utterance: its words, how they fall into segments, and whether its `speech_final` comes."""

    words: list[str]
    cuts: list[bool]
    has_interims: bool
    is_repeated: bool
    is_resent: bool


def said(ends_open: bool = False) -> st.SearchStrategy[Said]:
    return st.lists(WORDS, min_size=1, max_size=5).flatmap(
        lambda words: st.builds(
            Said,
            words=st.just(words),
            cuts=st.lists(st.booleans(), min_size=len(words), max_size=len(words)),
            has_interims=st.booleans(),
            is_repeated=st.booleans(),
            is_resent=st.just(False) if ends_open else st.booleans(),
        )
    )


class Recogniser:
    """Sends what the service would for utterances one after another, a word each half second."""

    def __init__(self, *, has_words: bool) -> None:
        self.now = 0.0
        self.has_words = has_words
        self.sent: list[Any] = []

    def partial(self, words: list[str], start: float, *, is_final: bool, speech_final: bool) -> wire.TranscriptPartial:
        text = " ".join(words)
        times = [{"text": text, "start": start + at / 2, "end": start + at / 2 + 0.4} for at, text in enumerate(words)]
        return wire.TranscriptPartial.model_validate(
            {
                "type": "transcript.partial",
                "text": f"{text.capitalize()}." if speech_final else text,
                "words": times if self.has_words else None,
                "is_final": is_final,
                "speech_final": speech_final,
                "start": start,
                "duration": len(words) / 2,
            }
        )

    def say(self, said: Said, *, is_ended: bool = True) -> None:
        start, first = self.now, 0
        for at, cut in enumerate(said.cuts, start=1):
            begin = start + first / 2
            if said.has_interims:
                self.sent.append(self.partial(said.words[first:at], begin, is_final=False, speech_final=False))
            if cut:
                self.sent.append(self.partial(said.words[first:at], begin, is_final=True, speech_final=False))
                first = at
        if not is_ended:
            self.sent.append(self.partial(said.words, start, is_final=True, speech_final=False))
        else:
            last = self.partial(said.words, start, is_final=True, speech_final=True)
            if said.is_repeated:
                self.sent.append(last.model_copy(update={"speech_final": False}))
            self.sent += [last, last] if said.is_resent else [last]
        self.now += len(said.words) / 2 + 0.3

    def done(self, how: str, all_said: list[Said], open_end: Said | None) -> None:
        texts = [" ".join(each.words).capitalize() + "!" for each in all_said]
        tail = [] if open_end is None else [" ".join(open_end.words)]
        text = {
            "empty": "",
            "missing": None,
            "last": (tail or texts[-1:] or [""])[0],
            "all": " ".join(texts + tail),
            "tail": "".join(tail),
        }[how]
        self.sent.append(
            wire.TranscriptDone.model_validate({"type": "transcript.done", "text": text, "duration": self.now})
        )


def kept_by_index(told: list[SttEvent]) -> list[str]:
    kept: dict[int, str] = {}
    for event in told:
        if isinstance(event, SttUtterance):
            kept = {number: text for number, text in kept.items() if number not in event.replaces}
            kept[event.index] = event.text
    return list(kept.values())


@settings(max_examples=60, deadline=None)
@pytest.mark.behaviour("ask-53")
@given(
    utterances=st.lists(said(), max_size=4),
    open_end=st.none() | said(ends_open=True),
    how=st.sampled_from(ENDS),
    has_words=st.booleans(),
)
def test_transcript_has_each_word_once_however_the_service_tells_it(
    utterances: list[Said], open_end: Said | None, how: str, has_words: bool
) -> None:
    recogniser = Recogniser(has_words=has_words)
    for each in utterances:
        recogniser.say(each)
    if open_end is not None:
        recogniser.say(open_end, is_ended=False)
    recogniser.done(how, utterances, open_end)
    transcript = SttTranscript()
    told = [event for sent in recogniser.sent for event in transcript.fold(sent)]
    expected = [word for each in [*utterances, *([open_end] if open_end else [])] for word in each.words]
    end = told[-1]
    assert isinstance(end, SttDone)
    assert spoken(end.text) == "".join(expected)
    assert spoken(" ".join(kept_by_index(told))) == "".join(expected)
    if has_words:
        assert [word.text for word in end.words] == expected
        assert [word.start_s for word in end.words] == sorted(word.start_s or 0 for word in end.words)


@settings(max_examples=50, deadline=None)
@given(utterances=st.lists(said(), min_size=1, max_size=4), data=st.data())
def test_transcript_loses_and_doubles_no_word_when_the_connection_breaks_and_audio_is_resent(
    utterances: list[Said], data: st.DataObject
) -> None:
    recogniser = Recogniser(has_words=True)
    begins = []
    for each in utterances:
        begins.append((len(recogniser.sent), recogniser.now))
        recogniser.say(each)
    broken_at = data.draw(st.integers(0, len(recogniser.sent)), label="messages before the break")
    complete = [each for each in zip(begins, utterances, strict=True) if each[0][0] <= broken_at]
    resumed = data.draw(st.integers(0, max(0, len(complete) - 1)), label="first utterance whose audio is resent")
    offset_s = begins[resumed][1]
    transcript = SttTranscript()
    told = [event for sent in recogniser.sent[:broken_at] for event in transcript.fold(sent)]
    told += transcript.shift(offset_s)
    again = Recogniser(has_words=True)
    for each in utterances[resumed:]:
        again.say(each)
    told += [event for sent in again.sent for event in transcript.fold(sent)]
    expected = "".join(word for each in utterances for word in each.words)
    assert spoken(transcript.so_far().text) == expected
    assert spoken(" ".join(kept_by_index(told))) == expected
