"""Transcripts as subtitles."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.stt_events import SttUtterance, SttWord
from xai_realtime.protocol.subtitles import Cue, CueLimits, cues, plain_text, records, srt, webvtt

pytestmark = pytest.mark.behaviour("subtitles")


def words(text: str, start_s: float = 0.0, *, speaker: int | None = None, channel: int = 0) -> tuple[SttWord, ...]:
    """The words of a text, each half a second long."""
    return tuple(
        SttWord(each, start_s + at / 2, start_s + at / 2 + 0.5, None, speaker, channel)
        for at, each in enumerate(text.split())
    )


def said(
    text: str,
    start_s: float | None = 0.0,
    end_s: float | None = None,
    *,
    channel: int = 0,
    made_of: tuple[SttWord, ...] = (),
) -> SttUtterance:
    return SttUtterance(text=text, words=made_of, index=0, channel=channel, start_s=start_s, end_s=end_s)


CALL = [
    said("Hello, who is there?", made_of=words("hello who is there", 0.5, speaker=0)),
    said("It's me <again> & again.", made_of=words("It's me <again> & again.", 3.0, speaker=1)),
]


def test_srt_numbers_its_cues_and_names_the_speaker_where_it_changes() -> None:
    more = said("Yes.", made_of=words("yes", 6.0, speaker=1))
    assert srt([*CALL, more]) == (
        "1\n00:00:00,500 --> 00:00:02,500\nSpeaker 0: Hello, who is there?\n\n"
        "2\n00:00:03,000 --> 00:00:05,500\nSpeaker 1: It's me <again> & again.\n\n"
        "3\n00:00:06,000 --> 00:00:06,500\nYes.\n"
    )


def test_webvtt_has_a_voice_for_each_cue_and_escapes_its_text() -> None:
    assert webvtt(CALL, speakers={1: "Ann <A> & Co\n"}) == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:02.500\n<v Speaker 0>Hello, who is there?\n\n"
        "00:00:03.000 --> 00:00:05.500\n<v Ann &lt;A&gt; &amp; Co>It's me &lt;again&gt; &amp; again.\n"
    )


def test_plain_text_has_a_line_for_each_utterance() -> None:
    more = said("Still\n me.", made_of=words("Still me.", 9.0, speaker=1))
    assert plain_text([*CALL, more], speakers={0: "Bob"}) == (
        "Bob: Hello, who is there?\nSpeaker 1: It's me <again> & again.\nStill me.\n"
    )


@pytest.mark.parametrize("write", [srt, webvtt, plain_text])
def test_transcript_names_nobody_when_names_are_not_wanted(write: object) -> None:
    assert callable(write)
    assert "Speaker" not in write(CALL, speakers=False)
    assert "<v" not in write(CALL, speakers=False)


@pytest.mark.parametrize(
    ("write", "expected"),
    [(srt, ""), (webvtt, "WEBVTT\n"), (plain_text, ""), (cues, []), (records, [])],
)
def test_transcript_is_empty_when_nothing_was_said(write: object, expected: object) -> None:
    assert callable(write)
    assert write([]) == expected


def test_channels_stand_for_speakers_when_there_are_several() -> None:
    source = [said("Hi.", 0.0, 1.0), said("Hello.", 0.5, 1.5, channel=1), said("Bye.", 2.0, 3.0)]
    assert plain_text(source) == "Channel 0: Hi.\nChannel 1: Hello.\nChannel 0: Bye.\n"
    assert "<v Channel 1>Hello." in webvtt(source)
    assert plain_text(source[:1]) == "Hi.\n"


def test_plain_text_begins_a_line_at_a_change_of_speaker_within_an_utterance() -> None:
    source = [said("Go on. No.", made_of=words("Go on.", 0.0, speaker=0) + words("No.", 1.0, speaker=1))]
    assert plain_text(source) == "Speaker 0: Go on.\nSpeaker 1: No.\n"
    assert [cue.lines for cue in cues(source)] == [("Go on.",), ("No.",)]


def test_plain_text_needs_no_times() -> None:
    assert plain_text([said("Hi there.", None), SttWord("you")]) == "Hi there.\nyou\n"


def test_srt_keeps_arrows_and_blank_lines_out_of_its_text() -> None:
    text = srt([said("a --> b\n\nc", 0.0, 2.0)])
    assert text == "1\n00:00:00,000 --> 00:00:02,000\na -> b c\n"


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [(-0.4, "00:00:00,000"), (1.0006, "00:00:01,001"), (59.9996, "00:01:00,000"), (360_061.5, "100:01:01,500")],
)
def test_time_is_rounded_to_milliseconds(time_s: float, expected: str) -> None:
    assert srt([said("a", time_s, time_s + 1)]).split("\n")[1].startswith(f"{expected} --> ")


def test_cue_takes_the_punctuation_of_its_utterance_when_both_have_as_many_words() -> None:
    assert cues(CALL[:1]) == [Cue(0.5, 2.5, ("Hello, who is there?",), 0)]
    differing = said("Hello, who's there?", made_of=words("hello who is there"))
    assert cues([differing])[0].lines == ("hello who is there",)


def test_cues_break_lines_between_words_and_end_when_they_are_full() -> None:
    source = words("one two three four five six seven eight nine ten")
    made = cues(source, line_characters=13, lines=2, max_cue_s=60)
    assert [cue.lines for cue in made] == [("one two three", "four five six"), ("seven eight", "nine ten")]
    assert [(cue.start_s, cue.end_s) for cue in made] == [(0.0, 3.0), (3.0, 5.0)]


def test_cues_end_when_they_last_long_enough() -> None:
    made = cues(words("one two three four five"), max_cue_s=1.0)
    assert [cue.lines for cue in made] == [("one two",), ("three four",), ("five",)]


def test_cues_end_with_a_sentence_when_they_are_half_full() -> None:
    made = cues(words("Aa. Bbbbb bbbbbb. Cc."), line_characters=16, lines=2, max_cue_s=60)
    assert [cue.lines for cue in made] == [("Aa. Bbbbb", "bbbbbb."), ("Cc.",)]


def test_cues_end_at_a_pause() -> None:
    made = cues([*words("a b"), *words("c", 1.9), *words("d", 3.4)])
    assert [cue.lines for cue in made] == [("a b c",), ("d",)]


def test_word_that_is_longer_than_a_line_has_a_line_of_its_own() -> None:
    made = cues(words("a bbbbbbbb c"), line_characters=4, lines=3)
    assert [cue.lines for cue in made] == [("a", "bbbbbbbb", "c")]


def test_cues_of_loose_words_keep_channels_apart_and_are_in_the_order_of_their_times() -> None:
    left, right = words("a b"), words("x y", 0.25, channel=1)
    made = cues([left[0], right[0], left[1], right[1]])
    assert [(cue.channel, cue.lines) for cue in made] == [(0, ("a b",)), (1, ("x y",))]


def test_cue_ends_when_the_next_one_of_its_channel_begins() -> None:
    made = cues([said("a", 0.0, 5.0), said("b", 2.0, 3.0), said("c", 2.5, 2.5), said("x", 1.0, 9.0, channel=1)])
    assert [(cue.start_s, cue.end_s) for cue in made] == [(0.0, 2.0), (1.0, 9.0), (2.0, 2.5), (2.5, 2.501)]


def test_cues_write_chinese_without_blanks() -> None:
    assert cues([SttWord("今日", 0, 1), SttWord("は", 1, 2)])[0].lines == ("今日は",)


def test_cues_share_the_time_of_an_utterance_when_its_words_have_none() -> None:
    made = cues([said("aaaa bbbb cccccccc", 10.0, 14.0)], max_cue_s=1.0)
    assert [(cue.start_s, cue.end_s) for cue in made] == [(10.0, 11.0), (11.0, 12.0), (12.0, 14.0)]
    bare = tuple(SttWord(text) for text in ("aaaa", "bbbb"))
    assert [cue.start_s for cue in cues([said("aaaa bbbb", 10.0, 12.0, made_of=bare)], max_cue_s=1.0)] == [10.0, 11.0]


def test_cues_fill_the_times_that_some_words_lack_from_their_neighbours() -> None:
    source = [SttWord("a"), SttWord("b", 1.0), SttWord("c"), SttWord("d", end_s=4.0), SttWord("e")]
    made = cues(source, max_cue_s=0.5)
    assert [(cue.lines, cue.start_s, cue.end_s) for cue in made] == [
        (("a",), 1.0, 1.001),
        (("b",), 1.0, 2.0),
        (("c",), 2.0, 3.0),
        (("d",), 3.0, 4.0),
        (("e",), 4.0, 4.001),
    ]


def test_cues_are_refused_when_there_is_no_time_at_all() -> None:
    with pytest.raises(ConfigurationError, match="subtitles need times"):
        cues([said("a b", None)])


@pytest.mark.parametrize(
    "limits", [{"line_characters": 0}, {"lines": 0}, {"max_cue_s": 0}, {"max_cue_s": float("nan")}]
)
def test_cues_are_refused_when_their_limits_allow_nothing(limits: CueLimits) -> None:
    with pytest.raises(ConfigurationError, match="cues of"):
        srt([], **limits)


def test_records_hold_what_is_known_and_can_be_written_as_json() -> None:
    word = SttWord("Hi.", 0.1, 0.4, 0.9, 2, 1)
    utterance = SttUtterance(text="Hi.", words=(word,), index=4, channel=1, start_s=0.1, end_s=0.4, language="en")
    written = {"text": "Hi.", "start_s": 0.1, "end_s": 0.4, "speaker": 2, "channel": 1}
    assert json.loads(json.dumps(records([utterance]))) == [
        {**written, "language": "en", "words": [{**written, "confidence": 0.9}]}
    ]


TOKENS = st.text(st.sampled_from("abc.,!<>&-→\n日"), min_size=1, max_size=9).filter(str.strip)
TIMES = st.none() | st.floats(0, 20)


@settings(max_examples=80, deadline=None)
@given(
    tokens=st.lists(st.tuples(TOKENS, TIMES, TIMES, st.sampled_from([None, 0, 1]), st.integers(0, 1)), max_size=25),
    line_characters=st.integers(1, 20),
    lines=st.integers(1, 3),
    max_cue_s=st.floats(0.5, 10),
)
def test_cues_hold_every_word_within_their_limits(
    tokens: list[tuple[str, float | None, float | None, int | None, int]],
    line_characters: int,
    lines: int,
    max_cue_s: float,
) -> None:
    source = [SttWord(text, start, end, None, speaker, channel) for text, start, end, speaker, channel in tokens]
    timed = {word.channel for word in source if word.start_s is not None or word.end_s is not None}
    source = [word for word in source if word.channel in timed]
    limits: CueLimits = {"line_characters": line_characters, "lines": lines, "max_cue_s": max_cue_s}
    made = cues(source, **limits)
    for channel in timed:
        shown = "".join("".join(cue.lines) for cue in made if cue.channel == channel)
        expected = "".join(word.text for word in source if word.channel == channel)
        assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", expected)
    longest = max((len(" ".join(word.text.split())) for word in source), default=0)
    for cue in made:
        assert len(cue.lines) <= lines
        assert all(line and len(line) <= max(line_characters, longest) for line in cue.lines)
        assert cue.end_s > cue.start_s
    assert [cue.start_s for cue in made] == sorted(cue.start_s for cue in made)
    blocks = webvtt(source, **limits).split("\n\n")[1:]
    assert len(blocks) == len(made)
    assert all(block.count("-->") == 1 and "<" not in re.sub("^<v .*?>", "", block.split("\n")[1]) for block in blocks)
    assert len(srt(source, **limits).split("\n\n")) == max(1, len(made))
