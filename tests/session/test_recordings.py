"""Recorded sessions with the service, and what a careful reader of them writes down."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, Talk, run, scripted, talking
from tests.session.recorded import Driven, drive, tape_moments, yaml_moments
from tests.tapes import SHORT
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.emulator import Emulator, ToolRequest, Turn
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.session_events import (
    Interrupted,
    ItemCreated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    Transcript,
    TranscriptDelta,
)
from xai_realtime.transport.base import Transport

TAPES = Path(__file__).resolve().parents[2] / "cassettes" / "realtime"
USER, AGENT = "user", "assistant"


@dataclass(frozen=True)
class Usage:
    """The usage of one reply as it is written in the recording; `billed_s` is what it adds to the running count."""

    input: int
    input_text: int
    input_audio: int
    output: int
    output_text: int
    output_audio: int
    total: int
    spoken_s: float
    billed_s: int


@dataclass(frozen=True)
class Expected:
    """What is in a recording, read by hand."""

    model: str
    items: tuple[tuple[str, str], ...]
    finals: tuple[tuple[str, str], ...]
    usages: tuple[Usage, ...]
    billed_s: int
    calls: tuple[tuple[str, str], ...] = ()
    outputs: tuple[str, ...] = ()


LATEST = "grok-voice-latest"
GREETING = ("Say a short greeting.", "Hello there!")
COBALT = ("Remember exactly: the code word is cobalt. Briefly acknowledge it.", "Got it\u2014code word is cobalt.")
RECALL = ("What code word did I ask you to remember?", "Cobalt. The code word you asked me to remember is cobalt.")
FOG = "It is foggy and 12 degrees in London."
LONDON = "I'll check the weather for London right away."
ALICE = (
    "My name is Alice and my favorite color is teal.",
    "Nice to meet you, Alice!",
    "What is my name and favorite color?",
    "Your name is Alice and your favorite color is teal. That's what you told me earlier.",
)

RECORDINGS = {
    "text_in_audio_out_turn": Expected(
        model=LATEST,
        items=((USER, GREETING[0]), (AGENT, GREETING[1])),
        finals=((AGENT, GREETING[1]),),
        usages=(Usage(5, 5, 0, 42, 3, 39, 47, 0.7699999999999999, 1),),
        billed_s=1,
    ),
    "audio_in_server_vad_turn": Expected(
        model=LATEST,
        items=(
            (USER, "Hello, my name is Marcelo."),
            (AGENT, "Hello Marcelo! Nice to meet you. How can I help you today?"),
        ),
        finals=(
            (USER, "Hello, my name is Marcelo."),
            (AGENT, "Hello Marcelo! Nice to meet you. How can I help you today?"),
        ),
        usages=(Usage(156, 10, 146, 185, 15, 170, 341, 3.38, 5),),
        billed_s=5,
    ),
    "tool_call_round": Expected(
        model=LATEST,
        items=(
            (USER, "What is the weather in London?"),
            (AGENT, LONDON),
            ("call", 'get_weather {"city":"London"}'),
            ("output", FOG),
            (AGENT, FOG + " The weather is foggy and 12 degrees."),
        ),
        finals=((AGENT, LONDON), (AGENT, FOG + " The weather is foggy and 12 degrees.")),
        usages=(
            Usage(7, 7, 0, 113, 9, 104, 120, 2.081166666666667, 1),
            Usage(0, 0, 0, 269, 19, 250, 269, 4.970666666666666, 3),
        ),
        billed_s=4,
        calls=(("get_weather", '{"city":"London"}'),),
        outputs=(FOG,),
    ),
    "history_seeding_parity_current": Expected(
        model="grok-voice-think-fast-1.0",
        items=((USER, ALICE[0]), (AGENT, ALICE[1]), (USER, ALICE[2]), (AGENT, ALICE[3])),
        finals=((AGENT, ALICE[3]),),
        usages=(Usage(8, 8, 0, 249, 18, 231, 257, 4.6075, 2),),
        billed_s=2,
    ),
    "session_resumption_after_drop": Expected(
        model=LATEST,
        items=((USER, COBALT[0]), (AGENT, COBALT[1]), (USER, RECALL[0]), (AGENT, RECALL[1])),
        finals=((AGENT, COBALT[1]), (AGENT, RECALL[1])),
        usages=(
            Usage(13, 13, 0, 113, 8, 105, 126, 2.0900000000000003, 1),
            Usage(10, 10, 0, 198, 13, 185, 208, 3.68, 2),
        ),
        billed_s=3,
    ),
}

TIDE = "High tide in Porto is at 16:40, 3.1 metres."
PORTO = "One moment, I look at the tide table for Porto."
HIGH = "Porto has its high tide at twenty to five. It will reach about three metres."
INES = "Good morning Ines, lovely voice. What shall we look at first?"
TOMAS = "You are Tomas, you keep four brown hens. You said so at the very start."
LIGHTHOUSE = "Please note: our meeting point is the old lighthouse. Just confirm."
MEET = "Lighthouse. We said the old lighthouse is where we meet."

DERIVED = {
    "text_turn": Expected(
        model=LATEST,
        items=((USER, "Wish the crew good luck."), (AGENT, "Fair winds, all!")),
        finals=((AGENT, "Fair winds, all!"),),
        usages=(Usage(5, 5, 0, 42, 3, 39, 47, 0.77, 1),),
        billed_s=1,
    ),
    "voice_turn": Expected(
        model=LATEST,
        items=((USER, "Morning! This is Ines."), (AGENT, INES)),
        finals=((USER, "Morning! This is Ines."), (AGENT, INES)),
        usages=(Usage(59, 4, 55, 180, 11, 169, 239, 3.379, 5),),
        billed_s=5,
    ),
    "tool_call": Expected(
        model=LATEST,
        items=(
            (USER, "When is high tide in Porto today?"),
            (AGENT, PORTO),
            ("call", 'look_up_tide {"city":"Porto"}'),
            ("output", TIDE),
            (AGENT, HIGH),
        ),
        finals=((AGENT, PORTO), (AGENT, HIGH)),
        usages=(Usage(7, 7, 0, 115, 10, 105, 122, 2.081, 3), Usage(0, 0, 0, 264, 15, 249, 264, 4.97, 2)),
        billed_s=5,
        calls=(("look_up_tide", '{"city":"Porto"}'),),
        outputs=(TIDE,),
    ),
    "history_seeding": Expected(
        model="grok-voice-think-fast-1.0",
        items=(
            (USER, "I am Tomas, and I keep four brown hens."),
            (AGENT, "Welcome Tomas, hens are fun!"),
            (USER, "Who am I, and what do I keep?"),
            (AGENT, TOMAS),
        ),
        finals=((AGENT, TOMAS),),
        usages=(Usage(8, 8, 0, 246, 15, 231, 254, 4.607, 5),),
        billed_s=5,
    ),
    "resumption": Expected(
        model=LATEST,
        items=(
            (USER, LIGHTHOUSE),
            (AGENT, "Noted: the old lighthouse."),
            (USER, "Where did we agree to meet?"),
            (AGENT, MEET),
        ),
        finals=((AGENT, "Noted: the old lighthouse."), (AGENT, MEET)),
        usages=(Usage(11, 11, 0, 109, 4, 105, 120, 2.09, 3), Usage(6, 6, 0, 194, 10, 184, 200, 3.679, 1)),
        billed_s=4,
    ),
}


@pytest.fixture(params=[*RECORDINGS, *DERIVED])
def read(request: pytest.FixtureRequest) -> tuple[Expected, Driven]:
    """Each recording: what a reader expects, and what a session made of it."""
    name = request.param
    if name in DERIVED:
        return DERIVED[name], drive(tape_moments(TAPES / f"{name}.jsonl"), NATIVE)
    listed: Callable[[], list[Path]] = request.getfixturevalue("recordings")
    path = next(path for path in listed() if path.stem == name)
    return RECORDINGS[name], drive(yaml_moments(path), NATIVE)


NATIVE = SessionPolicy(resumption="native")


@pytest.mark.behaviour("recordings-are-read-as-by-hand")
def test_conversation_holds_the_items_that_a_reader_finds_in_a_recording(read: tuple[Expected, Driven]) -> None:
    expected, driven = read

    assert list(expected.items) == [said(item) for item in driven.core.desk.conversation.items]
    assert [said(event.item)[0] for event in driven.of(ItemCreated)] == [kind for kind, _ in expected.items]
    assert len({event.item.id for event in driven.of(ItemCreated)}) == len(expected.items)


@pytest.mark.behaviour("recordings-are-read-as-by-hand")
def test_session_tells_one_final_transcript_for_each_spoken_turn_of_a_recording(read: tuple[Expected, Driven]) -> None:
    expected, driven = read

    assert [(told.role, told.text) for told in driven.of(Transcript)] == list(expected.finals)
    assert not any(told.is_interrupted or told.is_revision for told in driven.of(Transcript))


@pytest.mark.behaviour("recordings-are-read-as-by-hand")
def test_session_runs_the_calls_of_a_recording_once_and_answers_them(read: tuple[Expected, Driven]) -> None:
    expected, driven = read

    assert [(told.name, told.arguments) for told in driven.of(ToolCalled)] == list(expected.calls)
    items = [event.item for event in driven.sent_of(wire.ConversationItemCreate)]
    assert [item.output for item in items if isinstance(item, wire.FunctionCallOutputItem)] == list(expected.outputs)
    assert len(driven.sent_of(wire.ResponseCreate)) == len(expected.calls)


@pytest.mark.behaviour("ask-29")
@pytest.mark.behaviour("ask-30")
@pytest.mark.behaviour("bug-22")
def test_session_tells_the_usage_that_a_recording_states(read: tuple[Expected, Driven]) -> None:
    expected, driven = read

    done = driven.of(ResponseDone)
    assert [told.status for told in done] == ["completed"] * len(expected.usages)
    assert {told.status_details for told in done} == {"unimplemented"}
    assert [written(told.usage) for told in done] == list(expected.usages)


@pytest.mark.behaviour("ask-30")
def test_ledger_sums_the_usage_of_a_recording(read: tuple[Expected, Driven]) -> None:
    expected, driven = read

    total = driven.core.desk.ledger.session
    assert total.responses == len(expected.usages)
    assert total.is_complete
    assert total.total_tokens == sum(usage.total for usage in expected.usages)
    assert total.input_tokens == sum(usage.input for usage in expected.usages)
    assert total.output_audio_tokens == sum(usage.output_audio for usage in expected.usages)
    assert total.output_audio_seconds == pytest.approx(sum(usage.spoken_s for usage in expected.usages))
    assert total.billable_audio_seconds == expected.billed_s


@pytest.mark.behaviour("bug-20")
def test_session_tells_each_reply_of_a_recording_begun_and_over_once_without_a_warning(
    read: tuple[Expected, Driven],
) -> None:
    expected, driven = read

    kinds = [type(told) for told in driven.told if isinstance(told, ResponseStarted | ResponseDone)]
    assert kinds == [ResponseStarted, ResponseDone] * len(expected.usages)
    assert driven.of(SessionWarning) == []
    assert [told.model for told in driven.of(SessionReady)] == [expected.model]


@pytest.mark.behaviour("recordings-are-read-as-by-hand")
def test_agent_of_a_recording_begins_to_speak_and_falls_silent_in_turn(read: tuple[Expected, Driven]) -> None:
    _, driven = read

    heard = [type(told) for told in driven.told if isinstance(told, SpeechStarted | SpeechStopped) and is_agent(told)]
    assert heard
    assert heard == [SpeechStarted, SpeechStopped] * (len(heard) // 2)


@pytest.mark.behaviour("ask-47")
@pytest.mark.behaviour("bug-21")
def test_session_tells_a_recorded_voice_turn_as_it_grew() -> None:
    driven = drive(tape_moments(TAPES / "voice_turn.jsonl"))

    grown = [(told.text, told.delta) for told in driven.of(TranscriptDelta) if told.role == USER]
    assert grown == [("Morning!", "Morning!"), ("Morning! This is", " This is")]
    assert next((told.who, told.audio_ms) for told in driven.of(SpeechStarted)) == ("user", 227)
    assert next((told.who, told.audio_ms) for told in driven.of(SpeechStopped)) == ("user", 432)


@pytest.mark.behaviour("recordings-are-read-as-by-hand")
def test_session_does_not_tell_again_what_the_service_replays_to_a_resumed_connection() -> None:
    driven = drive(tape_moments(TAPES / "resumption.jsonl"), NATIVE)

    (told,) = driven.of(Reconnected)
    assert (told.reason, told.conversation_id) == ("connection_lost", "conversation_1")
    noted = [event.item for event in driven.of(ItemCreated) if event.item.text == "Noted: the old lighthouse."]
    assert noted == []
    assert "item_3" not in [event.item.id for event in driven.of(ItemCreated)]


@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.stem)
def test_session_warns_of_nothing_but_the_errors_in_a_tape_of_this_project(path: Path) -> None:
    driven = drive(moment for moment in tape_moments(path) if moment.kind != "out")

    warned = ["invalid_tool_call_id", "internal_error"] if path.stem == "emulator_error_recovery" else []
    assert [told.code for told in driven.of(SessionWarning)] == warned
    begun = [told.response_id for told in driven.of(ResponseStarted)]
    assert begun == [told.response_id for told in driven.of(ResponseDone)] == list(dict.fromkeys(begun))


def is_agent(told: SpeechStarted | SpeechStopped) -> bool:
    return told.who == "agent"


def said(item: Any) -> tuple[str, str]:
    """An item in two words: who, and what."""
    if item.kind == "function_call":
        arguments = item.arguments if isinstance(item.arguments, str) else item.arguments.text
        return "call", f"{item.name} {arguments}"
    if item.kind == "function_call_output":
        return "output", item.output
    return item.role, item.text


def written(usage: Any) -> Usage:
    assert (usage.input_grok_tokens, usage.output_grok_tokens) == (0, 0)
    return Usage(
        usage.input_tokens,
        usage.input_text_tokens,
        usage.input_audio_tokens,
        usage.output_tokens,
        usage.output_text_tokens,
        usage.output_audio_tokens,
        usage.total_tokens,
        usage.output_audio_seconds,
        usage.billable_audio_seconds,
    )


SCENARIO: dict[str, Turn | str] = {
    "hello": "Hello there",
    "tide": Turn(
        say="One moment.",
        calls=(ToolRequest("look_up_tide", {"city": "Porto"}),),
        then="The tide is {output}, as far as I can see from here.",
    ),
}


async def look_up_tide(city: str) -> str:
    """Look up the tide."""
    await anyio.sleep(0.3)
    return f"high in {city}"


async def three_turns(talk: Talk) -> None:
    """A written turn, one with a function, and a spoken one that cuts the reply off."""
    await talk.session.send_text("hello")
    await talk.next(SpeechStopped, who="agent")
    await talk.session.send_text("tide")
    await talk.until(lambda: len(talk.of(ResponseStarted)) == 3)
    await talk.speak("good morning")
    await talk.until(lambda: len(talk.of(ResponseDone)) == 4)
    assert [event.reason for event in talk.of(Interrupted)] == ["speech"]
    await talk.next(SpeechStopped, who="agent")


def told_to(transport: Transport, backend: str) -> list[str]:
    """What the program was told, with times to the millisecond, and ids numbered as they come."""
    told: list[str] = []

    async def main() -> None:
        async with talking(transport=transport, tools=[look_up_tide]) as talk:
            await three_turns(talk)
            told.extend(f"{round(at_ms)} {shown(event)}" for at_ms, event in talk.told)

    run(main, backend)
    return without_ids(told)


def shown(event: Any) -> str:
    """All fields of an event but the wire behind it, also those that its repr hides; times to the millisecond."""
    fields = {name: value for name, value in asdict(replace(event, raw=None)).items() if name != "raw"}
    return f"{type(event).__name__} {rounded(fields)}"


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def without_ids(lines: list[str]) -> list[str]:
    names: dict[str, str] = {}
    pattern = re.compile(r"'(?:(?:call-|item-)?[0-9a-f]{8}-[0-9a-f-]{27,}|[a-z]+_\d+)'")
    return [pattern.sub(lambda found: names.setdefault(found[0], f"id_{len(names)}"), line) for line in lines]


@BACKENDS
@pytest.mark.behaviour("session-is-recorded-and-replayed")
def test_session_replays_its_own_recording_with_the_same_events_and_no_difference(backend: str, tmp_path: Path) -> None:
    tape = tmp_path / "session.jsonl"
    recorded = told_to(record(tape, Emulator(scripted(SCENARIO), seed=1).transport()), backend)

    replayed = replay(tape, clock="virtual")
    again = told_to(replayed, backend)

    assert again == recorded
    assert (replayed.report().unread, replayed.report().unsent) == ((), ())
