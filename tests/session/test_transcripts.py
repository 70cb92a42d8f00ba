"""Transcripts: growing, final once for each turn, stripped, never empty, told anew when the user went on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.driving import BACKENDS, run, scripted, talking, utterance
from tests.session.recorded import Driven, core_of, server_event
from tests.session.serving import response_done, serving
from xai_realtime.emulator import Emulator, Quirks
from xai_realtime.protocol.session_events import (
    ItemUpdated,
    ResponseDone,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
)

ITEM = "item_1"
ONE_FINAL = pytest.mark.behaviour("ask-47")
COMPLETED_ONLY = pytest.mark.behaviour("bug-21")


def updated(text: str, item_id: str = ITEM) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.updated"
    return {"type": kind, "item_id": item_id, "transcript": text, "content_index": 0}


def completed(text: str, status: str | None = "completed", item_id: str = ITEM) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    event = {"type": kind, "item_id": item_id, "transcript": text, "content_index": 0}
    return event if status is None else {**event, "status": status}


def started(item_id: str = ITEM) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 100}


def stopped(item_id: str = ITEM) -> list[dict[str, Any]]:
    return [
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 900},
        {"type": "input_audio_buffer.committed", "item_id": item_id},
    ]


def told_of(*events: dict[str, Any]) -> Driven:
    """A ready session that got these events, 10 ms apart."""
    driven = Driven(core_of())
    driven.core.opened(0)
    greeting: list[dict[str, Any]] = [
        {"type": "session.created", "session": {}},
        {"type": "session.updated", "session": {}},
    ]
    for number, event in enumerate([*greeting, *events]):
        driven.core.receive(server_event(event), number * 10.0)
    driven.collect()
    return driven


def finals(driven: Driven) -> list[tuple[str, str]]:
    return [(told.role, told.text) for told in driven.of(Transcript)]


@ONE_FINAL
@COMPLETED_ONLY
def test_transcript_in_progress_is_not_final_however_often_it_is_completed() -> None:
    driven = told_of(
        started(),
        updated("Hello?"),
        completed("Hello?", "in_progress"),
        *stopped(),
        updated("Hello, my name is"),
        completed("Hello, my name is", "in_progress"),
        completed("Hello, my name is Ines.", "completed"),
    )

    assert finals(driven) == [("user", "Hello, my name is Ines.")]
    grown = [(told.text, told.delta) for told in driven.of(TranscriptDelta)]
    assert grown == [("Hello?", "Hello?"), ("Hello, my name is", None)]
    assert [told.item.text for told in driven.of(ItemUpdated)] == ["Hello, my name is Ines."]


@ONE_FINAL
def test_transcript_that_is_completed_again_is_told_once_and_its_item_keeps_the_last_words() -> None:
    driven = told_of(started(), *stopped(), completed("Good day"), completed("Good day"), completed("Good day."))

    assert finals(driven) == [("user", "Good day")]
    assert [told.item.text for told in driven.of(ItemUpdated)] == ["Good day", "Good day."]


@ONE_FINAL
def test_transcript_without_a_status_is_final() -> None:
    assert finals(told_of(started(), *stopped(), completed("Hello", None))) == [("user", "Hello")]


@ONE_FINAL
@pytest.mark.parametrize("status", ["failed", "something_new"])
def test_transcript_with_another_status_is_not_final(status: str) -> None:
    assert finals(told_of(started(), *stopped(), completed("Hello", status))) == []


@ONE_FINAL
def test_transcript_is_stripped_and_an_empty_one_is_not_told() -> None:
    driven = told_of(
        *(started("a"), *stopped("a"), completed("  Hello \n", item_id="a")),
        *(started("b"), *stopped("b"), updated("   ", "b"), completed(" \n ", item_id="b")),
    )

    assert finals(driven) == [("user", "Hello")]
    assert driven.of(TranscriptDelta) == []


@ONE_FINAL
def test_words_that_come_after_an_empty_transcript_are_told() -> None:
    driven = told_of(started(), *stopped(), completed(""), completed("Hello after all"), completed("Hello after all"))

    assert finals(driven) == [("user", "Hello after all")]


@ONE_FINAL
def test_transcripts_of_two_turns_may_come_in_any_order() -> None:
    driven = told_of(
        *(started("a"), *stopped("a"), started("b"), *stopped("b")),
        *(updated("Second", "b"), completed("Second turn", item_id="b"), completed("First turn", item_id="a")),
    )

    assert [(told.item_id, told.text) for told in driven.of(Transcript)] == [("b", "Second turn"), ("a", "First turn")]


@ONE_FINAL
def test_turn_that_goes_on_after_its_end_is_told_anew_as_a_revision() -> None:
    driven = told_of(
        started(),
        *stopped(),
        completed("Call me"),
        {"type": "response.created", "response": {"id": "resp_1"}},
        started(),
        updated("Call me a"),
        completed("Call me a", "in_progress"),
        *stopped(),
        completed("Call me a taxi"),
        completed("Call me a taxi"),
    )

    told = [(told.text, told.is_revision, told.item_id) for told in driven.of(Transcript)]
    assert told == [("Call me", False, ITEM), ("Call me a taxi", True, ITEM)]
    assert [(done.response_id, done.reason) for done in driven.of(ResponseDone)] == [("resp_1", "taken_back")]
    assert [item.text for item in driven.core.desk.conversation.items] == ["Call me a taxi"]


@BACKENDS
@ONE_FINAL
def test_voice_turn_that_goes_on_before_its_transcript_was_final_is_told_once(backend: str) -> None:
    async def main() -> None:
        async with talking(scripted({"call me a taxi": "It is on its way"})) as talk:
            await talk.stream(utterance("call me", 750) + utterance("a taxi"))
            await talk.next(ResponseDone, status="completed")

            assert [done.reason for done in talk.of(ResponseDone)] == ["taken_back", None]
            said = [(told.text, told.is_revision) for told in talk.of(Transcript) if told.role == "user"]
            assert said == [("call me a taxi", False)]

    run(main, backend)


def speaks(*events: dict[str, Any], output: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """A reply whose message says these things."""
    item = {"id": "item_2", "type": "message", "role": "assistant", "status": "in_progress"}
    return [
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_item.added", "item": item, "response_id": "resp_1"},
        *({"item_id": "item_2", "response_id": "resp_1", **event} for event in events),
        response_done("resp_1", output=output or []),
    ]


def content(text: str) -> list[dict[str, Any]]:
    part = {"type": "audio", "transcript": text}
    return [{"id": "item_2", "type": "message", "role": "assistant", "status": "completed", "content": [part]}]


SPOKEN = {
    "the end of the transcript": speaks({"type": "response.output_audio_transcript.done", "transcript": " Yes. "}),
    "its pieces alone": speaks(
        {"type": "response.output_audio_transcript.delta", "delta": "Ye"},
        {"type": "response.output_audio_transcript.delta", "delta": "s. "},
    ),
    "the finished reply alone": speaks(output=content(" Yes. ")),
    "all of them": speaks(
        {"type": "response.output_audio_transcript.delta", "delta": "Yes."},
        {"type": "response.output_audio_transcript.done", "transcript": "Yes."},
        {"type": "response.output_audio_transcript.done", "transcript": "Yes."},
        output=content("Yes."),
    ),
    "the older names": speaks(
        {"type": "response.audio_transcript.delta", "delta": "Yes."},
        {"type": "response.audio_transcript.done", "transcript": "Yes."},
    ),
    "text in place of speech": speaks(
        {"type": "response.output_text.delta", "delta": "Yes."},
        {"type": "response.output_text.done", "text": "Yes."},
    ),
    "text under its older names": speaks(
        {"type": "response.text.delta", "delta": "Yes."},
        {"type": "response.text.done", "text": "Yes."},
    ),
}


@ONE_FINAL
@pytest.mark.parametrize("how", SPOKEN)
def test_agents_transcript_is_final_once_however_it_is_stated(how: str) -> None:
    (told,) = told_of(*SPOKEN[how]).of(Transcript)

    assert (told.role, told.text, told.item_id, told.response_id) == ("assistant", "Yes.", "item_2", "resp_1")
    assert not told.is_interrupted


@ONE_FINAL
@pytest.mark.parametrize("text", ["", "  \n"])
def test_agents_empty_transcript_is_not_told(text: str) -> None:
    done = {"type": "response.output_audio_transcript.done", "transcript": text}

    assert finals(told_of(*speaks(done, output=content(text)))) == []


def test_pieces_of_the_agents_transcript_join_to_its_words_spaces_included() -> None:
    pieces = ["I'll check", " the", "  weather ", "", "now."]
    deltas = [{"type": "response.output_audio_transcript.delta", "delta": piece} for piece in pieces]
    driven = told_of(*speaks(*deltas))

    told = driven.of(TranscriptDelta)
    assert [event.delta for event in told] == [piece for piece in pieces if piece]
    assert "".join(event.delta or "" for event in told) == "I'll check the  weather now."
    assert [event.text for event in told][-1] == "I'll check the  weather now."
    assert finals(driven) == [("assistant", "I'll check the  weather now.")]


@BACKENDS
@ONE_FINAL
def test_every_spoken_turn_of_a_talk_has_one_final_transcript_for_each_side(backend: str) -> None:
    async def main() -> None:
        async with talking({"one": "First answer", "two": "Second answer"}) as talk:
            for word in ("one", "two"):
                await talk.speak(word)
                await talk.next(ResponseDone)
                await talk.next(SpeechStopped, who="agent")

            told = [(told.role, told.text) for told in talk.of(Transcript)]
            assert told == [
                ("user", "one"),
                ("assistant", "First answer"),
                ("user", "two"),
                ("assistant", "Second answer"),
            ]
            items = [(item.role, item.text) for item in talk.session.conversation.items]
            assert items == told

    run(main, backend)


@BACKENDS
def test_turn_is_answered_when_the_service_transcribes_nothing(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(scripted({"one": "First answer"}), seed=1, quirks=Quirks(transcription_off=True))
        async with talking(emulator=emulator) as talk:
            await talk.speak("one")
            await talk.next(ResponseDone, status="completed")

            assert [(told.role, told.text) for told in talk.of(Transcript)] == [("assistant", "First answer")]
            assert [told.who for told in talk.of(SpeechStarted)] == ["user", "agent"]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-39")
def test_text_of_an_interrupted_reply_is_never_part_of_the_next(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            pieces = speaks({"type": "response.output_audio_transcript.delta", "delta": "Once upon"})[:-1]
            server.answers = lambda name: pieces if name == "resp_1" else server.reply(name)
            await talk.session.send_text("a story")
            await talk.next(TranscriptDelta)
            await talk.session.interrupt()
            await server.say(response_done("resp_1", "cancelled", output=content("Once upon a time")))
            await talk.session.send_text("and now?")
            await talk.next(ResponseDone, response_id="resp_2")

            told = [(told.text, told.response_id, told.is_interrupted) for told in talk.of(Transcript)]
            assert told[-1] == ("yes", "resp_2", False)
            assert all(is_interrupted for _, name, is_interrupted in told if name == "resp_1")

    run(main, backend)


STATUSES = st.sampled_from(["updated", "in_progress", "completed", "none"])


@ONE_FINAL
@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(STATUSES, st.sampled_from(["", " ", "a", "a b", "c"]), st.sampled_from("xy"))))
def test_user_has_at_most_one_final_transcript_for_each_item_and_it_is_the_first_with_words(
    steps: list[tuple[str, str, str]],
) -> None:
    events = [
        updated(text, item) if how == "updated" else completed(text, None if how == "none" else how, item)
        for how, text, item in steps
    ]
    driven = told_of(started("x"), *stopped("x"), started("y"), *stopped("y"), *events)

    for item in "xy":
        words = [text.strip() for how, text, name in steps if name == item and how in ("completed", "none")]
        expected = [text for text in words if text][:1]
        assert [told.text for told in driven.of(Transcript) if told.item_id == item] == expected
    assert all(told.text == told.text.strip() != "" for told in driven.of(Transcript))
    assert all(told.text for told in driven.of(TranscriptDelta))
