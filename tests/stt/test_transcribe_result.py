"""The answer to an upload: read leniently, told as text, subtitles and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xai_realtime.errors import ConfigurationError, RemoteProtocolError
from xai_realtime.protocol.stt_events import SttWord
from xai_realtime.stt.result import SttResult, read_result


def word(text: str, start: float, end: float, **more: Any) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, **more}


TALK = {
    "text": "Good morning, how are you? I am fine.",
    "language": "en-GB",
    "duration": 4.2,
    "words": [
        word("good", 0.1, 0.3, speaker=0, confidence=0.98),
        word("morning", 0.3, 0.8, speaker=0),
        word("how", 0.9, 1.1, speaker=0),
        word("are", 1.1, 1.2, speaker=0),
        word("you", 1.2, 1.5, speaker=0),
        word("I", 2.0, 2.1, speaker=1),
        word("am", 2.1, 2.3, speaker=1),
        word("fine", 2.3, 2.8, speaker=1),
    ],
    "billing": {"seconds": 5},
}
PHONE = {
    "text": "Hello? Pizza Napoli. Two pizzas please. Coming.",
    "language": "en",
    "duration": 9,
    "words": [word("Hello?", 0, 0.5), word("Pizza", 0.8, 1), word("Napoli.", 1, 1.5), word("Two", 3, 3.2)],
    "channels": [
        {
            "index": 1,
            "text": "Pizza Napoli. Coming.",
            "words": [word("pizza", 0.8, 1), word("napoli", 1, 1.5), word("coming", 6, 6.5)],
        },
        {
            "index": 0,
            "language": "it",
            "text": "Hello? Two pizzas please.",
            "words": [word("Hello?", 0, 0.5), word("Two", 3, 3.2), word("pizzas", 3.2, 3.8), word("please.", 3.8, 4.2)],
        },
    ],
}


@pytest.mark.behaviour("stt-file-result")
def test_answer_is_read_with_its_words_speakers_and_what_is_not_known() -> None:
    result = read_result(TALK)
    assert (result.text, result.language, result.duration_s) == (TALK["text"], "en-GB", 4.2)
    assert result.words[0] == SttWord("good", 0.1, 0.3, 0.98, 0, 0)
    assert result.words[1].confidence is None
    assert (result.speakers, result.channels) == ((0, 1), ())
    assert result.raw is TALK
    assert "morning" not in repr(result)


@pytest.mark.behaviour("stt-file-result")
@pytest.mark.parametrize(
    ("answer", "text", "words"),
    [
        ({"text": ""}, "", 0),
        ({"text": "a", "language": "", "duration": None, "words": None, "channels": None}, "a", 0),
        ({"words": [{"text": "a"}, {"text": "b."}]}, "a b.", 2),
        ({"channels": [{"words": [{"text": "a"}]}, {"text": "b", "index": None}]}, "a", 1),
        ({"channels": [{"text": "a"}, {"text": "b"}]}, "a b", 0),
        ({"text": "a", "words": [{"text": "a", "start": 1, "speaker": 2.0, "later": {}}], "more": []}, "a", 1),
    ],
)
def test_answer_with_fields_left_out_is_read_as_far_as_it_goes(answer: dict[str, Any], text: str, words: int) -> None:
    result = read_result(answer)
    assert (result.text, len(result.words)) == (text, words)
    assert (result.language, result.duration_s) == (None, None)


SECRET = "what she said"


@pytest.mark.behaviour("stt-file-result")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "the answer of a transcript is None, where an object belongs"),
        ([SECRET], "the answer of a transcript is list of 1"),
        ({}, "holds no text"),
        ({"text": 5}, "text of a transcript is 5, where a text belongs"),
        ({"text": {"a": SECRET}}, "text of a transcript is dict of 1,"),
        ({"text": "", "language": ["en"]}, "language of a transcript is list of 1,"),
        ({"text": "", "duration": SECRET}, "duration of a transcript is str of 13, where a number belongs"),
        ({"text": "", "duration": True}, "duration of a transcript is True,"),
        ({"text": "", "duration": float("nan")}, "duration of a transcript is nan,"),
        ({"text": "", "words": SECRET}, "words of a transcript is str of 13, where a list belongs"),
        ({"text": "", "words": [SECRET]}, r"words\[0\] of a transcript is str of 13, where an object belongs"),
        ({"text": "", "words": [{"start": 1}]}, r"words\[0\] of a transcript has no text"),
        ({"text": "", "words": [{"text": "a", "start": "1"}]}, r"words\[0\].start of a transcript is str of 1,"),
        ({"text": "", "words": [{"text": "a", "speaker": 1.5}]}, "is 1.5, where a whole number belongs"),
        ({"text": "", "channels": [{"index": "left"}]}, r"channels\[0\].index of a transcript is str of 4,"),
        ({"text": "", "channels": [{"words": [{"text": 5}]}]}, r"channels\[0\].words\[0\].text of a transcript is 5"),
    ],
)
def test_answer_of_another_shape_is_a_protocol_error_that_names_the_place_and_no_text(answer: Any, said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said) as caught:
        read_result(answer)
    assert SECRET not in str(caught.value)


@pytest.mark.behaviour("stt-file-subtitles")
def test_speakers_part_the_subtitles_and_the_punctuation_of_the_text_stands_in_them() -> None:
    result = read_result(TALK)
    assert result.srt() == (
        "1\n00:00:00,100 --> 00:00:01,500\nSpeaker 0: Good morning, how are you?\n\n"
        "2\n00:00:02,000 --> 00:00:02,800\nSpeaker 1: I am fine.\n"
    )
    assert result.webvtt(speakers={0: "Ann", 1: "Bob"}) == (
        "WEBVTT\n\n00:00:00.100 --> 00:00:01.500\n<v Ann>Good morning, how are you?\n\n"
        "00:00:02.000 --> 00:00:02.800\n<v Bob>I am fine.\n"
    )
    assert result.plain_text() == "Speaker 0: Good morning, how are you?\nSpeaker 1: I am fine.\n"
    assert result.plain_text(speakers=False) == "Good morning, how are you?\nI am fine.\n"
    assert result.srt(line_characters=12, lines=1).count("-->") == 4
    with pytest.raises(ConfigurationError):
        result.srt(lines=0)


@pytest.mark.behaviour("stt-file-channels")
def test_channels_are_told_turn_by_turn_and_each_word_once() -> None:
    result = read_result(PHONE)
    assert [channel.index for channel in result.channels] == [1, 0]
    assert [(one.text, one.channel) for one in result.words] == [
        ("Hello?", 0), ("pizza", 1), ("napoli", 1), ("Two", 0), ("pizzas", 0), ("please.", 0), ("coming", 1),
    ]  # fmt: skip
    assert result.plain_text() == (
        "Channel 0: Hello?\nChannel 1: Pizza Napoli.\nChannel 0: Two pizzas please.\nChannel 1: Coming.\n"
    )
    assert result.srt() == (
        "1\n00:00:00,000 --> 00:00:00,500\nChannel 0: Hello?\n\n"
        "2\n00:00:00,800 --> 00:00:01,500\nChannel 1: Pizza Napoli.\n\n"
        "3\n00:00:03,000 --> 00:00:04,200\nChannel 0: Two pizzas please.\n\n"
        "4\n00:00:06,000 --> 00:00:06,500\nChannel 1: Coming.\n"
    )
    assert [record["language"] for record in result.records()] == [
        "it", "en", "it", "en",
    ]  # fmt: skip
    assert [turn.index for turn in result.utterances] == [0, 1, 2, 3]
    assert sum(len(record["words"]) for record in result.records()) == 7


def test_channels_without_words_are_told_by_their_texts() -> None:
    result = read_result({"duration": 4, "channels": [{"text": "Left."}, {"text": ""}, {"text": "Right."}]})
    assert result.plain_text() == "Channel 0: Left.\nChannel 2: Right.\n"
    assert result.srt(speakers=False).count("00:00:00,000 --> 00:00:04,000") == 2


def test_channel_whose_text_has_other_words_is_told_by_its_words() -> None:
    told = [word("one", 0, 1), word("two", 3, 4)]
    result = read_result({"channels": [{"text": "It is 12", "words": told}, {"text": "x"}]})
    assert [turn.text for turn in result.utterances if turn.channel == 0] == ["one", "two"]


def test_text_without_words_has_the_length_of_the_file() -> None:
    result = read_result({"text": "Nobody told the words.", "duration": 2.5})
    assert result.srt() == "1\n00:00:00,000 --> 00:00:02,500\nNobody told the words.\n"
    silent = read_result({"text": "", "duration": 2.5})
    assert (silent.srt(), silent.plain_text(), silent.records(), silent.webvtt()) == ("", "", [], "WEBVTT\n")
    assert read_result({"text": "No time at all."}).plain_text() == "No time at all.\n"


@pytest.mark.behaviour("stt-file-subtitles")
def test_json_holds_the_text_and_the_utterances_with_their_words() -> None:
    told = json.loads(read_result(TALK).to_json(indent=1))
    assert list(told) == ["text", "language", "duration_s", "utterances"]
    (utterance,) = told["utterances"]
    assert utterance["words"][0] == {
        "text": "good", "start_s": 0.1, "end_s": 0.3, "speaker": 0, "channel": 0, "confidence": 0.98,
    }  # fmt: skip
    assert "\n" not in SttResult("é").to_json()
    assert "é" in SttResult("é").to_json()
