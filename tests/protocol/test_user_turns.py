"""The user's turns: every cell of both tables, and what each state means for others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from tests.session.bare import Bare
from xai_realtime import SessionPolicy
from xai_realtime.protocol.session_events import SpeechStarted, SpeechStopped, Transcript, TranscriptDelta
from xai_realtime.protocol.user_turns import INPUT, TRANSCRIPT

STATES = sorted({state for state, _ in INPUT} | set(INPUT.values()))
AUDIO = bytes(960)

TRIGGERS: dict[str, Callable[[Bare], object]] = {
    "audio": lambda talk: talk.core.user.audio_sent(AUDIO),
    "commit": lambda talk: talk.core.user.turn_ended(),
    "clear": lambda talk: talk.core.user.cleared(),
    "speech_started": lambda talk: talk.event("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0),
    "speech_stopped": lambda talk: talk.event("input_audio_buffer.speech_stopped", item_id="u1", audio_end_ms=900),
    "committed": lambda talk: talk.event("input_audio_buffer.committed", item_id="u1"),
    "answered": lambda talk: talk.core.user.answered(),
    "expired": lambda talk: talk.core.user.expired(),
}


def test_tables_know_every_trigger_of_the_test() -> None:
    assert {trigger for _, trigger in INPUT} == set(TRIGGERS)
    assert {trigger for _, trigger in TRANSCRIPT} == {"updated", "completed", "speech_started"}


@pytest.mark.parametrize("is_manual", [False, True], ids=["vad", "manual"])
@pytest.mark.parametrize(("state", "trigger"), list(product(STATES, sorted(TRIGGERS))))
def test_input_moves_as_its_table_says_and_nowhere_else(state: str, trigger: str, is_manual: bool) -> None:
    talk = Bare(is_manual=is_manual)
    user = talk.core.user
    user.state = state
    TRIGGERS[trigger](talk)
    # Without turns by hand nobody asks whether there is audio that is no speech.
    is_unasked = trigger == "audio" and not is_manual
    assert user.state == (state if is_unasked else INPUT.get((state, trigger), state))


@pytest.mark.parametrize("trigger", sorted(TRIGGERS))
@pytest.mark.parametrize("state", STATES)
def test_user_has_the_floor_from_speech_until_the_answer_when_the_server_ends_turns(state: str, trigger: str) -> None:
    talk = Bare()
    talk.core.user.state = state
    TRIGGERS[trigger](talk)
    has_moved = (state, trigger) in INPUT and trigger != "audio"
    if has_moved:
        after = INPUT[state, trigger]
        assert talk.core.floor.user_has_it == (after in ("speaking", "stopped", "committed"))
        assert ("answer" in talk.core.desk.timers) == (after in ("stopped", "committed"))


@pytest.mark.parametrize("state", STATES)
def test_user_never_has_the_floor_when_turns_are_ended_by_hand(state: str) -> None:
    for trigger in TRIGGERS:
        talk = Bare(is_manual=True)
        talk.core.user.state = state
        TRIGGERS[trigger](talk)
        assert talk.core.floor.user_has_it is False


@pytest.mark.parametrize("state", STATES)
def test_input_is_quiet_on_a_new_connection_unless_audio_waits(state: str) -> None:
    talk = Bare(is_manual=True)
    talk.core.user.state = state
    talk.core.user.line_lost()
    assert talk.core.user.state == ("heard" if state == "heard" else "quiet")
    assert {"answer", "speech"}.isdisjoint(talk.core.desk.timers)
    talk.core.user.reset()
    assert talk.core.user.state == "quiet"


def test_wishes_wait_for_the_answer_of_the_server_and_not_for_ever() -> None:
    talk = Bare()
    TRIGGERS["speech_started"](talk)
    talk.core.text("hello", "user", responds=True, when_busy="queue", now_ms=talk.now_ms)
    TRIGGERS["speech_stopped"](talk)
    assert "response.create" not in [getattr(event, "type", "") for event in talk.done().sent]
    talk.at(4_999)
    assert "response.create" not in [getattr(event, "type", "") for event in talk.sent]
    talk.at(5_000)
    assert "response.create" in [getattr(event, "type", "") for event in talk.sent]


def test_speech_is_told_once_when_its_start_or_its_end_is_said_twice() -> None:
    talk = Bare()
    for trigger in ("speech_started", "speech_started", "speech_stopped", "speech_stopped"):
        TRIGGERS[trigger](talk)
    assert [type(event) for event in talk.told[1:]] == [SpeechStarted, SpeechStopped]
    assert [event.audio_ms for event in (*talk.of(SpeechStarted), *talk.of(SpeechStopped))] == [0, 900]


# Transcripts


def say(talk: Bare, text: str, *, status: str | None, kind: str = "completed") -> list[tuple[str, str, bool]]:
    """The server tells a transcript; what the session made of it."""
    before = len(talk.told)
    name = f"conversation.item.input_audio_transcription.{kind}"
    fields = {} if status is None else {"status": status}
    talk.event(name, item_id="u1", content_index=0, transcript=text, **fields)
    return [
        ("final" if isinstance(event, Transcript) else "interim", event.text, getattr(event, "is_revision", False))
        for event in talk.told[before:]
        if isinstance(event, Transcript | TranscriptDelta)
    ]


REACHED: dict[str, Callable[[Bare], object]] = {
    "none": lambda talk: None,
    "interim": lambda talk: say(talk, "turn", status=None, kind="updated"),
    "final": lambda talk: say(talk, "turn it", status="completed"),
    "reopened": lambda talk: (
        TRIGGERS["speech_started"](talk),
        TRIGGERS["speech_stopped"](talk),
        say(talk, "turn it", status="completed"),
        TRIGGERS["speech_started"](talk),
    ),
}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("none", [("final", "turn it off", False)]),
        ("interim", [("final", "turn it off", False)]),
        ("final", []),
        ("reopened", [("final", "turn it off", True)]),
    ],
)
def test_transcript_is_final_once_and_again_only_when_the_turn_went_on(
    state: str, expected: list[tuple[str, str, bool]]
) -> None:
    talk = Bare()
    REACHED[state](talk)
    assert say(talk, " turn it off ", status="completed") == expected
    assert say(talk, "turn it off", status="completed") == []


@pytest.mark.parametrize("status", [None, "in_progress"])
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("none", [("interim", "turn it off", False)]),
        ("interim", [("interim", "turn it off", False)]),
        ("final", []),
        ("reopened", [("interim", "turn it off", False)]),
    ],
)
def test_interim_transcript_is_told_until_the_final_one(
    state: str, expected: list[tuple[str, str, bool]], status: str | None
) -> None:
    talk = Bare()
    REACHED[state](talk)
    kind = "updated" if status is None else "completed"
    assert say(talk, "turn it off", status=status, kind=kind) == expected
    assert say(talk, "turn it off", status=status, kind=kind) == []


def test_interim_transcript_says_what_is_new_unless_the_server_revised_it() -> None:
    talk = Bare()
    for text in ("turn", "turn it", "learn it"):
        say(talk, text, status=None, kind="updated")
    assert [(event.text, event.delta) for event in talk.of(TranscriptDelta)] == [
        ("turn", "turn"),
        ("turn it", " it"),
        ("learn it", None),
    ]


@pytest.mark.parametrize("text", ["", "   "])
def test_empty_transcript_is_not_told(text: str) -> None:
    talk = Bare()
    assert say(talk, text, status=None, kind="updated") == say(talk, text, status="completed") == []


def test_memory_of_transcripts_is_bounded_when_none_becomes_final() -> None:
    talk = Bare()
    for number in range(500):
        fields = {"item_id": f"u{number}", "content_index": 0, "transcript": "well"}
        talk.event("conversation.item.input_audio_transcription.updated", **fields)
    assert len(talk.core.user._texts) <= 64


# Speech of some length


@pytest.mark.behaviour("ask-13")
@pytest.mark.parametrize("encoding", ["pcm", "pcmu", "opus"])
def test_speech_that_cannot_be_measured_cuts_when_the_server_calls_it_speech_long_enough(encoding: str) -> None:
    talk = Bare(SessionPolicy(min_speech_ms=300), encoding=encoding)
    talk.begin("r1").item("r1", "i1").audio("r1", "i1", 5_000)
    TRIGGERS["speech_started"](talk)
    for _ in range(50):
        talk.core.microphone(b"\xff" * 160 if encoding != "pcm" else bytes(960), 20, talk.now_ms)
    talk.at(799)
    assert talk.core.floor.state == "open"
    talk.at(800)
    assert talk.core.floor.state == "stopping"
    assert [event.type for event in talk.sent[-2:]] == ["response.cancel", "conversation.item.truncate"]


@pytest.mark.behaviour("ask-13")
def test_speech_that_the_server_took_back_in_time_cuts_nothing() -> None:
    talk = Bare(SessionPolicy(min_speech_ms=300)).begin("r1").item("r1", "i1").audio("r1", "i1", 5_000)
    TRIGGERS["speech_started"](talk)
    talk.at(790)
    TRIGGERS["speech_stopped"](talk)
    talk.at(3_000)
    assert talk.core.floor.state == "open"


@pytest.mark.behaviour("ask-13")
def test_sound_before_a_pause_does_not_count_towards_the_length_of_speech() -> None:
    talk = Bare(SessionPolicy(min_speech_ms=300)).begin("r1").item("r1", "i1").audio("r1", "i1", 5_000)
    loud, quiet = b"\x00\x20" * 480, bytes(960)
    TRIGGERS["speech_started"](talk)
    for sound in [loud] * 10 + [quiet] * 10 + [loud] * 14:
        talk.core.microphone(sound, 20, talk.now_ms)
    assert talk.core.floor.state == "open"
    talk.core.microphone(loud, 20, talk.now_ms)
    assert talk.core.floor.state == "stopping"


@pytest.mark.behaviour("ask-13")
def test_sound_on_an_old_connection_does_not_count_towards_the_length_of_speech() -> None:
    talk = Bare(SessionPolicy(min_speech_ms=300))
    loud = b"\x00\x20" * 480
    for _ in range(20):
        talk.core.microphone(loud, 20, talk.now_ms)
    talk.lose().begin("r1").item("r1", "i1").audio("r1", "i1", 5_000)
    TRIGGERS["speech_started"](talk)
    assert talk.core.floor.state == "open"
