"""What a transcription stream tells: each word once."""

from __future__ import annotations

from typing import Any

import pytest

from xai_realtime.events import stt as wire
from xai_realtime.events._base import UnknownEvent
from xai_realtime.protocol.stt_events import SttDone, SttEvent, SttInterim, SttReady, SttSegment, SttUtterance, SttWord
from xai_realtime.protocol.stt_text import joined, spoken
from xai_realtime.protocol.stt_transcript import SttTranscript


def partial(text: str, start: float | None = None, end: float | None = None, **fields: Any) -> wire.TranscriptPartial:
    duration = None if start is None or end is None else end - start
    given = {"type": "transcript.partial", "text": text, "start": start, "duration": duration, **fields}
    return wire.TranscriptPartial.model_validate({name: value for name, value in given.items() if value is not None})


def interim(text: str, start: float | None = None, end: float | None = None, **fields: Any) -> wire.TranscriptPartial:
    return partial(text, start, end, is_final=False, speech_final=False, **fields)


def segment(text: str, start: float | None = None, end: float | None = None, **fields: Any) -> wire.TranscriptPartial:
    return partial(text, start, end, is_final=True, speech_final=False, **fields)


def final(text: str, start: float | None = None, end: float | None = None, **fields: Any) -> wire.TranscriptPartial:
    return partial(text, start, end, is_final=True, speech_final=True, **fields)


def done(text: str | None = "", **fields: Any) -> wire.TranscriptDone:
    return wire.TranscriptDone.model_validate({"type": "transcript.done", "text": text, **fields})


def word(text: str, start: float | None = None, end: float | None = None, **fields: Any) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, **fields}


def told_by(transcript: SttTranscript, *events: object) -> list[SttEvent]:
    return [told for event in events for told in transcript.fold(event)]


def utterances(told: list[SttEvent]) -> list[str]:
    return [event.text for event in told if isinstance(event, SttUtterance)]


def last(told: list[SttEvent]) -> SttDone:
    assert isinstance(told[-1], SttDone)
    return told[-1]


REVISED = (
    interim("my order", 0.4, 1.0),
    segment("my order number", 0.4, 1.5),
    interim("is four", 1.5, 2.2),
    segment("is four two one.", 1.5, 3.0),
    final("My order number is four two one.", 0.4, 3.0),
)


def test_transcript_is_ready_when_the_service_says_so() -> None:
    transcript = SttTranscript()
    created = wire.TranscriptCreated(type="transcript.created", id="s1")
    assert told_by(transcript, created) == [SttReady("s1")]
    assert transcript.fold(created)[0].raw is created
    assert transcript.session_id == "s1"


@pytest.mark.behaviour("ask-53")
def test_transcript_commits_a_restated_utterance_once_when_its_segments_came_before() -> None:
    told = told_by(SttTranscript(), *REVISED, done(duration=3.4))
    assert [type(event) for event in told] == [
        SttInterim,
        SttSegment,
        SttInterim,
        SttSegment,
        SttUtterance,
        SttDone,
    ]
    assert utterances(told) == ["My order number is four two one."]
    assert last(told).text == "My order number is four two one."
    assert [event.is_revisable for event in told if not isinstance(event, SttReady | SttDone)] == [True] * 4 + [False]


@pytest.mark.behaviour("ask-53")
def test_transcript_commits_an_utterance_once_when_it_arrives_twice_with_the_same_text() -> None:
    told = told_by(SttTranscript(), segment("Hello there.", 0.1, 0.9), final("Hello there.", 0.1, 0.9), done())
    assert utterances(told) == ["Hello there."]
    assert last(told).text == "Hello there."


@pytest.mark.behaviour("ask-53")
@pytest.mark.parametrize("times", [((0.2, 0.5), (1.6, 1.9)), ((None, None), (None, None)), ((0.0, 0.0), (0.0, 0.0))])
def test_transcript_keeps_a_sentence_that_is_said_twice(times: tuple[tuple[float | None, float | None], ...]) -> None:
    told = told_by(SttTranscript(), final("Yes.", *times[0]), final("Yes.", *times[1]), done())
    assert utterances(told) == ["Yes.", "Yes."]
    assert last(told).text == "Yes. Yes."


def test_transcript_takes_an_utterance_once_when_the_same_audio_is_sent_again() -> None:
    transcript = SttTranscript()
    told = told_by(transcript, final("Yes.", 0.2, 0.5), final("No.", 0.6, 1.0), final("Yes.", 0.21, 0.5))
    assert utterances(told) == ["Yes.", "No."]


def test_transcript_replaces_an_utterance_when_the_same_audio_is_told_in_other_words() -> None:
    transcript = SttTranscript()
    told = told_by(
        transcript,
        final("Far", 0.0, 0.5),
        final("well.", 0.5, 0.9),
        final("Bye", 1.5, 2.0),
        final("Farewell.", 0.0, 0.9),
    )
    revision = told[-1]
    assert isinstance(revision, SttUtterance)
    assert (revision.index, revision.replaces) == (3, (0, 1))
    assert transcript.so_far().text == "Farewell. Bye"


@pytest.mark.parametrize(("start", "expected"), [(0.4, "Two."), (0.5, "One. Two."), (0.6, "One. Two.")])
def test_transcript_keeps_both_utterances_when_they_share_no_more_than_half_of_their_audio(
    start: float, expected: str
) -> None:
    transcript = SttTranscript()
    told = told_by(transcript, final("One.", 0.0, 1.0), final("Two.", start, start + 1.0))
    assert utterances(told) == ["One.", "Two."]
    assert transcript.so_far().text == expected


@pytest.mark.behaviour("ask-54")
@pytest.mark.behaviour("bug-49")
@pytest.mark.parametrize("text", ["", None, "  "])
def test_transcript_is_filled_from_what_was_said_when_the_end_comes_without_text(text: str | None) -> None:
    told = told_by(
        SttTranscript(),
        final("First.", 0.0, 1.0),
        segment("and then", 1.2, 1.8),
        interim("the rest", 1.8, 2.4),
        done(text, duration=2.5),
    )
    assert utterances(told) == ["First.", "and then the rest"]
    end = last(told)
    assert (end.text, end.duration_s, end.is_complete) == ("First. and then the rest", 2.5, True)
    assert [said.is_provisional for said in end.utterances] == [False, True]


@pytest.mark.behaviour("ask-54")
def test_transcript_has_no_text_when_nothing_was_said() -> None:
    told = told_by(SttTranscript(), done())
    assert [type(event) for event in told] == [SttDone]
    assert (last(told).text, last(told).texts, last(told).words) == ("", {0: ""}, ())


@pytest.mark.behaviour("bug-50")
@pytest.mark.parametrize("has_times", [True, False])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good bye.", "One two. Good bye."),
        ("good bye", "One two. Good bye."),
        ("One two. Good bye.", "One two. Good bye."),
        ("One two, good bye.", "One two. Good bye."),
        ("and more", "One two. Good bye. and more"),
        ("One two. Good bye. And more.", "One two. Good bye. And more."),
    ],
)
def test_transcript_has_each_word_once_when_the_end_repeats_some(text: str, expected: str, has_times: bool) -> None:
    times = {"one": 0.0, "two": 1.0, "good": 2.0, "bye": 3.0, "and": 4.0, "more": 5.0}
    words = [word(each, times[spoken(each)], times[spoken(each)] + 0.9) for each in text.split()]
    transcript = SttTranscript()
    spans: list[tuple[float, ...]] = [(0.0, 1.9), (2.0, 3.9)] if has_times else [(), ()]
    told = told_by(transcript, final("One two.", *spans[0]), final("Good bye.", *spans[1]))
    told += told_by(transcript, done(text, words=words if has_times else []))
    assert last(told).text == expected
    kept: dict[int, str] = {}
    for event in told:
        if isinstance(event, SttUtterance):
            kept = {number: text for number, text in kept.items() if number not in event.replaces}
            kept[event.index] = event.text
    assert " ".join(kept.values()) == expected


@pytest.mark.behaviour("bug-50")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bye now.", "Hello. Bye now."),
        ("Hello.", "Hello. bye now"),
        ("Hello. Bye now!", "Hello. bye now"),
        ("Hello. Bye now, friend!", "Hello. Bye now, friend!"),
    ],
)
def test_transcript_has_each_word_once_when_the_end_repeats_a_preview(text: str, expected: str) -> None:
    told = told_by(SttTranscript(), final("Hello."), interim("bye now"), done(text))
    assert last(told).text == expected


@pytest.mark.behaviour("bug-50")
def test_transcript_takes_the_text_of_the_end_for_its_preview_when_both_repeat_the_utterance_before() -> None:
    told = told_by(SttTranscript(), final("Good bye."), interim("good bye"), done("Good bye!"))
    assert last(told).text == "Good bye. Good bye!"
    assert not last(told).utterances[-1].is_provisional


def test_transcript_keeps_a_preview_beside_the_text_of_the_end_when_that_speaks_of_other_audio() -> None:
    told = told_by(
        SttTranscript(),
        final("One.", 0.0, 1.0),
        interim("two", 1.0, 2.0),
        done("Three.", words=[word("Three.", 2.0, 3.0)]),
    )
    assert last(told).text == "One. two Three."


@pytest.mark.behaviour("bug-51")
def test_transcript_states_confidence_language_and_speaker_only_when_the_wire_does() -> None:
    transcript = SttTranscript()
    bare, full = told_by(
        transcript,
        final("Yes no", 0.0, 1.0, words=[word("Yes", 0.1, 0.4), word("no", 0.5, 0.9)]),
        final(
            "Si",
            2.0,
            3.0,
            words=[word("Si", 2.1, 2.4, confidence=0.91, speaker=1)],
            language="es",
            end_of_turn_confidence=0.7,
        ),
    )
    assert isinstance(bare, SttUtterance)
    assert isinstance(full, SttUtterance)
    assert [(each.confidence, each.speaker) for each in bare.words] == [(None, None), (None, None)]
    assert (bare.language, bare.speaker, bare.end_of_turn_confidence) == (None, None, None)
    assert full.words == (SttWord("Si", 2.1, 2.4, 0.91, 1),)
    assert (full.language, full.speaker, full.end_of_turn_confidence) == ("es", 1, 0.7)
    assert transcript.so_far().language == "es"


def test_transcript_has_no_language_when_the_wire_states_two() -> None:
    transcript = SttTranscript()
    told_by(transcript, final("Si", language="es"), final("Oui", language="fr"))
    assert transcript.so_far().language is None


def test_utterance_has_no_speaker_when_its_words_have_two() -> None:
    (said,) = told_by(SttTranscript(), final("a b", words=[word("a", speaker=0), word("b", speaker=1)]))
    assert isinstance(said, SttUtterance)
    assert said.speaker is None


@pytest.mark.behaviour("bug-51")
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (final("a b", 0.0, 3.0, words=[word("a", 0.5, 0.9), word("b", 1.0, 1.4)]), (0.5, 1.4)),
        (final("a b", 0.0, 3.0), (0.0, 3.0)),
        (final("a b", 0.0, 3.0, words=[word("a"), word("b")]), (0.0, 3.0)),
        (final("a b", 0.0, words=[word("a", 0.5)]), (0.5, None)),
        (final("a b", 1.0), (1.0, None)),
        (final("a b"), (None, None)),
    ],
)
def test_utterance_has_the_times_of_its_words_or_else_of_its_message(
    event: wire.TranscriptPartial, expected: tuple[float | None, float | None]
) -> None:
    (said,) = told_by(SttTranscript(), event)
    assert isinstance(said, SttUtterance)
    assert (said.start_s, said.end_s) == expected


def test_preview_tells_the_whole_utterance_so_far() -> None:
    told = told_by(SttTranscript(), *REVISED[:4])
    assert [event.so_far for event in told if isinstance(event, SttInterim | SttSegment)] == [
        "my order",
        "my order number",
        "my order number is four",
        "my order number is four two one.",
    ]


@pytest.mark.parametrize("is_timed", [True, False])
def test_preview_repeats_no_word_when_the_service_sends_all_of_the_utterance_each_time(is_timed: bool) -> None:
    def times(end: float) -> tuple[float, ...]:
        return (0.0, end) if is_timed else ()

    told = told_by(
        SttTranscript(),
        segment("No", *times(0.5)),
        interim("no I'm", *times(0.8)),
        segment("No, I'm not", *times(1.1)),
        done(),
    )
    assert [event.so_far for event in told if isinstance(event, SttInterim | SttSegment)] == [
        "No",
        "no I'm",
        "No, I'm not",
    ]
    assert last(told).text == "No, I'm not"


def test_preview_joins_a_fragment_to_its_punctuation() -> None:
    told = told_by(SttTranscript(), segment("No", 0.0, 0.4), segment(", I'm not", 0.4, 1.0))
    assert isinstance(told[-1], SttSegment)
    assert told[-1].so_far == "No, I'm not"


def test_preview_of_committed_audio_is_not_told_when_it_comes_late() -> None:
    transcript = SttTranscript()
    told = told_by(transcript, final("Good bye.", 1.0, 2.0), interim("good bye", 1.0, 1.9), segment("bye", 1.5, 2.0))
    assert utterances(told) == ["Good bye."]
    assert last([*transcript.end()]).text == "Good bye."


def test_preview_tells_nothing_when_it_changes_nothing() -> None:
    told = told_by(SttTranscript(), interim("hm", 0.0, 0.5), interim("hm", 0.0, 0.5), interim("hm", 0.0, 0.6))
    assert len(told) == 2


def test_transcript_tells_nothing_when_a_partial_has_no_text() -> None:
    transcript = SttTranscript()
    told_by(transcript, final("Hi.", 0.0, 0.5))
    assert told_by(transcript, *[interim("", 50.7, 51.9), segment(" ", 50.7, 51.9)] * 3) == []
    assert transcript.so_far().text == "Hi."


def test_transcript_drops_the_previews_when_their_utterance_ends_without_text() -> None:
    transcript = SttTranscript()
    told_by(transcript, segment("uh", 0.0, 0.3), interim("eh", 0.3, 0.6), final("", 0.0, 0.6))
    assert last([*transcript.end()]).text == ""
    told_by(transcript, interim("kept", 2.0, 2.6), final("", 0.0, 0.6))
    assert last([*transcript.end()]).text == "kept"


def test_transcript_takes_speech_final_without_is_final_for_a_guess() -> None:
    (told,) = told_by(SttTranscript(), partial("hm", is_final=False, speech_final=True))
    assert isinstance(told, SttInterim)


def test_transcript_tells_utterances_alone_when_previews_are_not_wanted() -> None:
    told = told_by(SttTranscript(interim=False), *REVISED, interim("bye", 4.0, 4.5), done())
    assert utterances(told) == ["My order number is four two one.", "bye"]
    assert [type(event) for event in told] == [SttUtterance, SttUtterance, SttDone]


def test_transcript_keeps_channels_apart_and_merges_them_by_time() -> None:
    transcript = SttTranscript(channels=2)
    told = told_by(
        transcript,
        interim("how", 0.0, 0.2, channel_index=0),
        final("Fine.", 2.0, 2.5, channel_index=1, words=[word("Fine.", 2.0, 2.5)]),
        final("How are you?", 0.0, 1.0, channel_index=0, words=[word("How", 0.0, 0.5)]),
        interim("and", 3.0, 3.2, channel_index=0),
        done(channel_index=1, duration=4.0),
    )
    assert not any(isinstance(event, SttDone) for event in told)
    assert not transcript.is_done
    end = last(told_by(transcript, done(channel_index=0, duration=3.9)))
    assert end.text == "How are you? Fine. and"
    assert end.texts == {0: "How are you? and", 1: "Fine."}
    assert [(each.text, each.channel) for each in end.words] == [("How", 0), ("Fine.", 1)]
    assert end.duration_s == 4.0
    assert transcript.is_done


def test_transcript_counts_ends_without_a_channel_when_there_are_several_channels() -> None:
    told = told_by(SttTranscript(channels=2), done(duration=1.0), done())
    assert [type(event) for event in told] == [SttDone]


def test_transcript_tells_its_end_once_when_the_service_repeats_it() -> None:
    told = told_by(SttTranscript(), final("Hi."), done(), done("Hi."))
    assert [type(event) for event in told] == [SttUtterance, SttDone]


def test_transcript_copes_with_a_channel_that_was_not_announced() -> None:
    told = told_by(SttTranscript(), final("Hi.", channel_index=7), done(channel_index=7))
    assert last(told).texts == {0: "", 7: "Hi."}


def test_transcript_keeps_the_order_of_a_channel_when_some_times_are_missing() -> None:
    transcript = SttTranscript(channels=2)
    told_by(transcript, final("b", 2.0, 2.5), final("c"), final("a", 1.0, 1.5, channel_index=1), final("d", 4.0, 5.0))
    assert transcript.so_far().text == "a b c d"


def test_transcript_moves_the_times_when_a_new_connection_begins() -> None:
    transcript = SttTranscript()
    told_by(transcript, final("One.", 0.0, 1.0))
    assert transcript.shift(10.0) == ()
    told = told_by(
        transcript,
        final("Two.", 0.5, 1.0, words=[word("Two.", 0.6, 0.9)]),
        done(duration=2.0),
    )
    said = told[0]
    assert isinstance(said, SttUtterance)
    assert (said.start_s, said.end_s, said.words[0].start_s) == (10.6, 10.9, 10.6)
    assert (last(told).text, last(told).duration_s) == ("One. Two.", 12.0)


def test_transcript_commits_the_previews_that_a_new_connection_will_not_hear() -> None:
    transcript = SttTranscript()
    told_by(transcript, segment("lost", 0.0, 1.0), segment("heard again", 1.5, 2.5), interim("so is this", 2.5, 3.0))
    told = transcript.shift(1.5)
    assert utterances(list(told)) == ["lost"]
    told_by(transcript, final("Heard again, so is this.", 0.0, 1.5))
    assert transcript.so_far().text == "lost Heard again, so is this."


def test_transcript_takes_audio_that_was_resent_once() -> None:
    transcript = SttTranscript()
    told_by(transcript, final("One.", 5.0, 6.0))
    transcript.shift(4.9)
    assert utterances(told_by(transcript, final("One.", 0.1, 1.1), final("One.", 1.2, 2.2))) == ["One."]
    assert transcript.so_far().text == "One. One."


def test_transcript_is_kept_when_the_stream_ends_without_a_word_from_the_service() -> None:
    transcript = SttTranscript()
    told_by(transcript, final("One.", 0.0, 1.0), interim("two", 1.0, 2.0))
    said, end = transcript.end()
    assert isinstance(said, SttUtterance)
    assert isinstance(end, SttDone)
    assert (said.text, said.is_provisional, said.words, said.start_s, said.end_s) == ("two", True, (), 1.0, 2.0)
    assert (end.text, end.is_complete, end.duration_s) == ("One. two", False, None)


def test_transcript_owes_an_utterance_until_it_comes_when_one_was_asked_for() -> None:
    transcript = SttTranscript(channels=2)
    assert not transcript.is_flushing
    transcript.asked_to_flush()
    told_by(transcript, interim("hm"), interim(""), segment("hm"), final("Hm."))
    assert transcript.is_flushing
    told_by(transcript, final("", channel_index=1))
    assert not transcript.is_flushing
    transcript.asked_to_flush(channel=1)
    told_by(transcript, final("Yes.", channel_index=0))
    assert transcript.is_flushing
    told_by(transcript, done(channel_index=1))
    assert not transcript.is_flushing


def test_transcript_owes_nothing_when_the_connection_or_the_stream_is_over() -> None:
    transcript = SttTranscript()
    for over in (lambda: transcript.shift(1.0), transcript.end):
        transcript.asked_to_flush()
        over()
        assert not transcript.is_flushing


@pytest.mark.parametrize(
    "event",
    [wire.Error(type="error", message="ASR stream timed out"), UnknownEvent("x", b""), object()],
)
def test_transcript_leaves_other_events_alone(event: object) -> None:
    assert SttTranscript().fold(event) == ()


def test_transcript_shows_no_text_in_its_reprs() -> None:
    transcript = SttTranscript()
    told = told_by(
        transcript,
        interim("secret", words=[word("secret", 0.0, 1.0)]),
        final("secret", words=[word("secret", 0.0, 1.0)]),
        done("secret"),
    )
    assert "secret" not in repr(told)
    assert "secret" not in repr(transcript)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a", "b"], "a b"),
        ([" a ", "", " ", "b"], "a b"),
        (["No", ", I'm not"], "No, I'm not"),
        (["(a", ")"], "(a)"),
        (["今日は", "いい天気。"], "今日はいい天気。"),
        (["안녕", "하세요"], "안녕 하세요"),
        ([], ""),
    ],
)
def test_texts_are_joined_as_they_are_written(texts: list[str], expected: str) -> None:
    assert joined(texts) == expected
