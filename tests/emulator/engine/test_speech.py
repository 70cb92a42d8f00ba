"""Spoken texts: segments as the service cuts them, pieces of sound, tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.audible import hear
from xai_realtime.audio import audio_format
from xai_realtime.emulator.line import Agenda
from xai_realtime.emulator.speech import Speech, replaced, segments_of, token_count

PCM = audio_format("pcm")


@pytest.mark.behaviour("emulator-segments")
@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("Hello there!", ["Hello there!"]),
        ("Xxxxx Xxxxxx! Xxxx xx xxxx xxx. Xxx xxx X xxxx xxx xxxxx?", ["Xxxxx Xxxxxx! Xxxx xx xxxx xxx.", None]),
        ("Xxxxxx. Xxx xxxx xxxx xxx xxxxx xx xx xxxxxxxx xx xxxxxx.", ["Xxxxxx.", None]),
        ("One two three four five six seven eight.", ["One two three four five six seven", " eight."]),
        ("One two three four five six seven eight. Nine.", ["One two three four five six seven", " eight.", " Nine."]),
        ("3.5 is a number", ["3.5 is a number"]),
        ("  ", ["  "]),
        ("", []),
    ],
)
def test_text_is_cut_into_segments_as_recorded(text: str, segments: list[str | None]) -> None:
    made = segments_of(text)
    assert len(made) == len(segments)
    assert all(wanted in (None, got) for got, wanted in zip(made, segments, strict=True))


@given(st.text())
def test_segments_joined_are_the_text(text: str) -> None:
    assert "".join(segments_of(text)) == text


def test_speech_is_the_audible_text_in_pieces_of_100_ms() -> None:
    speech = Speech("Hello there, you. How are you?", PCM, {})
    assert {(len(chunk), ms) for chunk, ms in speech.chunks[:-1]} == {(4_800, 100.0)}
    assert hear(b"".join(chunk for chunk, _ in speech.chunks)) == speech.text
    assert [segment.is_rest for segment in speech.segments] == [False]


def test_rest_of_a_sentence_is_marked_when_the_text_ends_with_it() -> None:
    alone = Speech("One two three four five six seven eight.", PCM, {})
    followed = Speech("One two three four five six seven eight. Nine.", PCM, {})
    assert [segment.is_rest for segment in alone.segments] == [False, True]
    assert [segment.is_rest for segment in followed.segments] == [False, False, False]


def test_words_are_replaced_whole_and_literally() -> None:
    assert replaced("A.I. said xai, XAI and xais", {"xai": r"\1 x", "": "y", "a.i.": "robot"}) == (
        r"robot said \1 x, \1 x and xais"
    )


@pytest.mark.behaviour("emulator-tokens")
@pytest.mark.parametrize(
    ("text", "tokens"),
    [("Hello there!", 3), ("It's 12.", 4), ("What is the weather in London?", 7), ("yes—no", 3), ("", 0)],
)
def test_tokens_are_counted_as_recorded(text: str, tokens: int) -> None:
    assert token_count(text) == tokens


def test_agenda_keeps_the_order_of_equal_times_and_forgets_what_is_called_off() -> None:
    agenda, done = Agenda(), list[str]()
    agenda.put(2, lambda: done.append("c"))
    agenda.put(1, lambda: done.append("a"))
    off = agenda.put(0, lambda: done.append("off"))
    agenda.put(1, lambda: done.append("b"))
    off.call_off()
    assert agenda.next_due_ms() == 1
    while (step := agenda.pop(1.5)) is not None:
        step.action()
    assert done == ["a", "b"]
    agenda.clear()
    assert agenda.next_due_ms() is None
