"""What of the agent's audio was played: the end of speech, reports of a speaker, formats, and the heard text."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.bare import Bare
from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, scripted, talking
from xai_realtime import AudioSettings, Manual, SessionPolicy
from xai_realtime.audible import duration_ms, hear, speak
from xai_realtime.emulator import Emulator, Quirks, ToolRequest, Turn
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import BinaryAudio
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ItemUpdated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
)

STORY = "One two three four five six. Seven eight nine ten."
STORY_MS = duration_ms(STORY)
ANSWER = "All right then."
TURNS: dict[str, Turn | str] = {"tell": STORY, "stop": ANSWER}


def emulator(pace: Any = "instant", turns: dict[str, Turn | str] | None = None, **quirks: Any) -> Emulator:
    return Emulator(scripted(turns or TURNS), seed=1, pace=pace, quirks=Quirks(**quirks))


async def settle() -> None:
    """Let everything happen that can happen now: virtual time goes on only afterwards."""
    await anyio.sleep(0.01)


def time_of(talk: Talk, event: object) -> float:
    return next(at_ms for at_ms, told in talk.told if told is event)


def truncates(talk: Talk | Bare) -> list[tuple[str, int]]:
    return [(event.item_id, event.audio_end_ms) for event in talk.sent_of(wire.ConversationItemTruncate)]


# To the end


@pytest.mark.behaviour("ask-12")
@pytest.mark.parametrize("pace", ["real", "instant"])
@pytest.mark.parametrize(
    ("encoding", "rate_hz", "transport"),
    [("pcm", 24_000, None), ("pcm", 8_000, "binary"), ("pcmu", 8_000, None), ("pcma", 8_000, "binary")],
)
@BACKENDS
def test_reply_is_passed_on_to_its_last_byte(
    backend: str, encoding: str, rate_hz: int, transport: Any, pace: Any
) -> None:
    async def main() -> None:
        output = AudioSettings(encoding, rate_hz, transport)
        async with talking(emulator=emulator(pace), output=output) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStopped, who="agent")
            assert talk.heard(encoding, rate_hz) == STORY
            assert len(talk.audio()) == STORY_MS * rate_hz // 1000 * (2 if encoding == "pcm" else 1)
            assert {(event.encoding, event.rate_hz) for event in talk.of(AudioOutput)} == {(encoding, rate_hz)}
            assert talk.of(Interrupted) == []
            assert truncates(talk) == []

    run(main, backend)


@pytest.mark.behaviour("bug-40")
@pytest.mark.parametrize(("encoding", "pace"), [("pcm", "real"), ("pcm", "instant"), ("pcmu", "instant")])
@BACKENDS
def test_agent_speaks_exactly_until_its_audio_is_played(backend: str, encoding: str, pace: Any) -> None:
    async def main() -> None:
        async with talking(emulator=emulator(pace), output=AudioSettings(encoding)) as talk:
            await talk.session.send_text("tell")
            started = await talk.next(SpeechStarted, who="agent")
            done = await talk.next(ResponseDone)
            stopped = await talk.next(SpeechStopped, who="agent")
            assert time_of(talk, stopped) - time_of(talk, started) == pytest.approx(STORY_MS, abs=0.01)
            assert time_of(talk, done) < time_of(talk, stopped)
            assert (started.item_id, stopped.item_id) == (stopped.item_id, talk.of(AudioOutput)[0].item_id)
            await anyio.sleep(5)
            assert len(talk.of(SpeechStopped)) == 1

    run(main, backend)


@pytest.mark.behaviour("bug-40")
def test_agent_goes_on_speaking_when_audio_comes_late_in_a_reply() -> None:
    talk = Bare().begin("r1").item("r1", "i1").audio("r1", "i1", 100).at(700)
    assert talk.of(SpeechStopped) == []
    talk.audio("r1", "i1", 100).at(750).end("r1")
    assert talk.of(SpeechStopped) == []
    talk.at(799.9)
    assert talk.of(SpeechStopped) == []
    talk.at(800)
    assert len(talk.of(SpeechStarted)) == len(talk.of(SpeechStopped)) == 1


def test_empty_audio_and_empty_words_are_not_told() -> None:
    talk = Bare().begin("r1").item("r1", "i1").audio("r1", "i1", 0).words("r1", "i1", "", 0.0)
    assert talk.of(AudioOutput) == talk.of(SpeechStarted) == talk.of(TranscriptDelta) == []


def test_agent_falls_silent_with_the_end_of_the_reply_when_its_audio_was_played_before() -> None:
    talk = Bare().begin("r1").item("r1", "i1").audio("r1", "i1", 100).at(700).end("r1")
    assert [type(event) for event in talk.told[-2:]] == [SpeechStopped, ResponseDone]


@pytest.mark.behaviour("ask-10")
@BACKENDS
def test_nothing_is_truncated_when_everything_was_played(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator()) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStopped, who="agent")
            await talk.speak("stop")
            await talk.next(SpeechStopped, who="agent")
            assert not await talk.session.interrupt()
            assert talk.of(Interrupted) == []
            assert truncates(talk) == []

    run(main, backend)


# Formats


@pytest.mark.behaviour("bug-12")
@pytest.mark.behaviour("ask-9")
@pytest.mark.parametrize("pace", ["real", "instant"])
@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
@BACKENDS
def test_heard_time_counts_one_byte_a_sample_when_the_output_is_g711(backend: str, encoding: str, pace: Any) -> None:
    async def main() -> None:
        async with talking(emulator=emulator(pace), output=AudioSettings(encoding)) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(1.03)
            await talk.session.interrupt()
            told = await talk.next(Interrupted)
            assert told.heard_ms == 1_030
            await settle()
            assert told.received_ms == (1_100 if pace == "real" else STORY_MS) == len(talk.audio()) / 8
            assert truncates(talk) == [(told.item_id, 1_030)]

    run(main, backend)


@pytest.mark.behaviour("bug-17")
@BACKENDS
def test_late_binary_audio_is_dropped_though_it_names_no_response(backend: str) -> None:
    async def main() -> None:
        output = AudioSettings("pcm", RATE_HZ, "binary")
        async with talking(emulator=emulator("real", late_deltas=7), output=output) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(0.5)
            await talk.speak("stop")
            told = await talk.next(Interrupted)
            await talk.next(Transcript, text=ANSWER)
            place = next(place for place, (_, event) in enumerate(talk.told) if event is told)
            after = b"".join(event.audio for _, event in talk.told[place:] if isinstance(event, AudioOutput))
            assert after == speak(ANSWER, sample_rate_hz=RATE_HZ)
            binary = b"".join(event.audio for event in talk.received if isinstance(event, BinaryAudio))
            assert len(binary) == len(talk.audio()) + 7 * 4_800
            assert told.heard_ms <= told.received_ms <= len(binary) / 48

    run(main, backend)


# Reported playback


@BACKENDS
def test_report_of_the_speaker_decides_what_was_heard(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator(), policy=SessionPolicy(playback="reported")) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(2)
            await talk.session.played(ms=500)
            await talk.session.played(audio_bytes=100 * 48)
            await talk.session.interrupt()
            told = await talk.next(Interrupted)
            await settle()
            assert (told.heard_ms, told.heard_text) == (600, "One two")
            assert truncates(talk) == [(told.item_id, 600)]

    run(main, backend)


@BACKENDS
def test_agent_speaks_until_the_speaker_reports_the_rest(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator()) as talk:
            await talk.session.send_text("tell")
            await talk.next(ResponseDone)
            await talk.session.played(ms=100)
            await anyio.sleep(60)
            assert talk.of(SpeechStopped) == []
            await talk.session.played(ms=STORY_MS)
            await talk.next(SpeechStopped, who="agent")
            assert not await talk.session.interrupt()
            with pytest.raises(ConfigurationError, match="either"):
                await talk.session.played()

    run(main, backend)


# The heard text


@pytest.mark.behaviour("ask-16")
@BACKENDS
def test_heard_text_stays_in_the_conversation_and_is_told_to_the_next_connection(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator("real", ignores_truncate=True), turn_detection=Manual()) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(1.4)
            await talk.session.interrupt()
            told = await talk.next(Interrupted)
            final = await talk.next(Transcript, role="assistant")
            assert (final.text, final.is_interrupted) == (told.heard_text, True) == ("One two three four", True)
            await settle()
            assert talk.of(ItemUpdated)[0].item.heard == told.heard_text
            (item,) = (item for item in talk.session.conversation.items if item.role == "assistant")
            assert item.said() == told.heard_text != item.text
            await settle()
            before = len(talk.sent)
            await talk.session.restart()
            await settle()
            seeds = [event.item for event in talk.sent[before:] if isinstance(event, wire.ConversationItemCreate)]
            assert [(seed.role, seed.content[0].text) for seed in seeds] == [
                ("user", "tell"),
                ("assistant", "One two three four"),
            ]

    run(main, backend)


@pytest.mark.behaviour("bug-39")
@BACKENDS
def test_text_of_an_interrupted_reply_is_not_glued_to_the_next(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator("real", late_deltas=3), turn_detection=Manual()) as talk:
            await talk.session.send_text("tell")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(1.4)
            await talk.session.interrupt()
            await talk.session.send_text("stop")
            await talk.next(Transcript, text=ANSWER)
            texts = [(event.text, event.is_interrupted) for event in talk.of(Transcript)]
            assert texts == [("One two three four", True), (ANSWER, False)]
            said = [item.said() for item in talk.session.conversation.items if item.role == "assistant"]
            assert said == ["One two three four", ANSWER]

    run(main, backend)


def test_heard_text_stops_before_words_whose_sound_has_not_come_when_the_agent_speaks_slowly() -> None:
    talk = Bare(is_manual=True).begin("r1").item("r1", "i1")
    talk.words("r1", "i1", "Once", 0.0).words("r1", "i1", " upon a time", 4.0).audio("r1", "i1", 3_000).at(3_000)
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    (told,) = talk.done().of(Interrupted)
    assert (told.heard_ms, told.received_ms, told.heard_text) == (3_000, 3_000, "")
    assert truncates(talk) == [("i1", 3_000)]


@pytest.mark.parametrize("end", ["cancelled", "next response", "connection lost"])
def test_heard_text_is_what_was_spoken_when_the_reply_was_broken_off_by_others(end: str) -> None:
    talk = Bare(is_manual=True).begin("r1").item("r1", "i1")
    talk.words("r1", "i1", "One two three", 0.0).words("r1", "i1", " four five six", 1.2).audio("r1", "i1", 1_200)
    ends = {
        "cancelled": lambda: talk.end("r1", "cancelled"),
        "next response": lambda: talk.begin("r2"),
        "connection lost": lambda: talk.lose(),
    }
    ends[end]()
    assert [(event.text, event.is_interrupted) for event in talk.of(Transcript)] == [("One two three", True)]
    assert talk.of(Interrupted) == [], "what came is played to its end"
    talk.at(800)
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    assert talk.done().of(Interrupted)[0].heard_text == "One two"
    assert [item.said() for item in talk.core.desk.conversation.items] == ["One two"]


def test_words_of_an_interrupted_reply_count_as_unheard_when_they_come_after_the_interruption() -> None:
    talk = Bare(is_manual=True).begin("r1")
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    talk.done().item("r1", "i1").words("r1", "i1", "Once upon a time", 0.0).audio("r1", "i1", 200)
    assert truncates(talk) == []
    talk.end("r1", "cancelled")
    assert talk.of(AudioOutput) == talk.of(Transcript) == []
    assert [event.item_id for event in talk.of(Interrupted)] == [None]
    assert truncates(talk) == [("i1", 0)]
    assert [item.said() for item in talk.core.desk.conversation.items] == [""]


def test_nothing_is_truncated_when_the_policy_says_so() -> None:
    talk = (
        Bare(SessionPolicy(truncate=False), is_manual=True).begin("r1").item("r1", "i1").audio("r1", "i1", 900).at(200)
    )
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    talk.done().end("r1", "cancelled").begin("r2")
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    talk.done().item("r2", "i2").end("r2", "cancelled")
    assert [(event.item_id, event.heard_ms) for event in talk.of(Interrupted)] == [("i1", 200), (None, 0)]
    assert truncates(talk) == []
    assert [event.response_id for event in talk.sent_of(wire.ResponseCancel)] == ["r1", "r2"]


# Several items, several replies


def test_only_items_that_were_not_wholly_heard_are_cut_when_a_reply_has_several() -> None:
    talk = Bare(is_manual=True).begin("r1")
    for item_id in ("i1", "i2", "i3"):
        talk.item("r1", item_id).audio("r1", item_id, 500)
    talk.at(700)
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    talk.done()
    assert [(event.item_id, event.heard_ms) for event in talk.of(Interrupted)] == [("i2", 200), ("i3", 0)]
    assert truncates(talk) == [("i2", 200), ("i3", 0)]
    assert len(talk.of(SpeechStopped)) == 1


@BACKENDS
def test_preamble_and_answer_are_cut_where_each_was_heard_when_one_reply_says_both(backend: str) -> None:
    async def main() -> None:
        search = Turn(
            say="Let me see.", calls=(ToolRequest("web_search", {"query": "tide"}),), then="High tide at noon."
        )
        async with talking(emulator=emulator(turns={"tide": search}), turn_detection=Manual()) as talk:
            await talk.session.send_text("tide")
            await talk.next(ResponseDone)
            preamble_ms = duration_ms("Let me see.")
            await anyio.sleep((preamble_ms + 400) / 1000)
            await talk.session.interrupt()
            told = await talk.next(Interrupted)
            await settle()
            assert (told.heard_ms, told.heard_text) == (400, "High")
            said = [item.said() for item in talk.session.conversation.items if item.role == "assistant" and item.text]
            assert said == ["Let me see.", "High"]
            assert truncates(talk) == [(told.item_id, 400)]

    run(main, backend)


def test_taken_back_reply_is_flushed_when_its_audio_plays() -> None:
    talk = Bare()
    turn = {"item_id": "u1"}
    talk.event("input_audio_buffer.speech_started", audio_start_ms=0, **turn)
    talk.event("input_audio_buffer.speech_stopped", audio_end_ms=900, **turn)
    talk.at(900).begin("r1").item("r1", "i1").audio("r1", "i1", 600).at(1_000)
    talk.event("input_audio_buffer.speech_started", audio_start_ms=950, **turn)
    (told,) = talk.of(Interrupted)
    assert (told.reason, told.heard_ms, told.received_ms) == ("taken_back", 100, 600)
    assert [(event.status, event.reason) for event in talk.of(ResponseDone)] == [("cancelled", "taken_back")]
    talk.audio("r1", "i1", 300)
    assert len(talk.of(AudioOutput)) == 1
    assert talk.sent_of(wire.ResponseCancel) == []


# Connections


@pytest.mark.behaviour("ask-11")
@pytest.mark.parametrize("reason", ["connection_lost", "restart"])
def test_old_items_are_never_truncated_when_the_connection_is_a_new_one(reason: str) -> None:
    talk = Bare(is_manual=True).begin("r1").item("r1", "i1").audio("r1", "i1", 5_000).end("r1").at(500).lose(reason)
    talk.begin("r2").item("r2", "i2").audio("r2", "i2", 300)
    assert talk.of(SpeechStopped) == []
    talk.core.interrupt(clear_input=False, force=False, now_ms=talk.now_ms)
    talk.done()
    assert [(event.item_id, event.heard_ms) for event in talk.of(Interrupted)] == [("i1", 500), ("i2", 0)]
    assert truncates(talk) == [("i2", 0)]
    assert [event.response_id for event in talk.sent_of(wire.ResponseCancel)] == ["r2"]


@pytest.mark.behaviour("ask-11")
@BACKENDS
def test_audio_plays_on_and_is_cut_without_a_word_to_the_server_when_the_session_was_restarted(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator(), turn_detection=Manual()) as talk:
            await talk.session.send_text("tell")
            await talk.next(ResponseDone)
            await anyio.sleep(0.3)
            await talk.session.restart()
            await talk.next(Reconnected)
            before = len(talk.sent)
            await anyio.sleep(0.7)
            assert talk.of(SpeechStopped) == []
            await talk.session.interrupt()
            assert (await talk.next(Interrupted)).heard_ms == 1_000
            await anyio.sleep(1)
            assert [event for event in talk.sent[before:] if not isinstance(event, wire.ConversationItemCreate)] == []

    run(main, backend)


@pytest.mark.behaviour("bug-24")
@BACKENDS
def test_reset_forgets_what_plays_and_leaves_the_microphone_open(backend: str) -> None:
    async def main() -> None:
        async with talking(emulator=emulator("real")) as talk:
            started = await start_story(talk)
            await talk.session.reset()
            await talk.next(SpeechStopped, who="agent")
            await settle()
            before = len(talk.sent)
            assert not await talk.session.interrupt()
            await talk.speak("stop")
            assert (await talk.next(Transcript, role="user")).text == "stop"
            assert (await talk.next(Transcript, role="assistant")).text == ANSWER
            kinds = {type(event) for event in talk.sent[before:]}
            assert kinds <= {wire.InputAudioBufferAppend}
            assert hear(talk.audio()[len(talk.audio(started.response_id)) :]) == ANSWER
            assert talk.of(Interrupted) == []

    run(main, backend)


async def start_story(talk: Talk) -> ResponseStarted:
    await talk.session.send_text("tell")
    started = await talk.next(ResponseStarted)
    await talk.next(SpeechStarted, who="agent")
    await anyio.sleep(0.5)
    return started


# What the server says of it


@pytest.mark.behaviour("ask-16")
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Audio content of 1000ms is already shorter than 1010ms", "invalid_value"),
        ("Only model output audio messages can be truncated", None),
        ("Item not found", "item_not_found"),
        ("Cancellation failed: no active response found", "response_cancel_not_active"),
    ],
)
@BACKENDS
def test_refused_truncation_is_settled_quietly(backend: str, message: str, code: str | None) -> None:
    async def main() -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message}
        turns: dict[str, Turn | str] = {**TURNS, "stop": Turn(ANSWER, events=({"type": "error", "error": error},))}
        async with talking(emulator=emulator("real", turns, ignores_truncate=True), turn_detection=Manual()) as talk:
            await start_story(talk)
            await talk.session.interrupt()
            await talk.session.send_text("stop")
            assert (await talk.next(Transcript, text=ANSWER)).is_interrupted is False
            assert [event.error.message for event in talk.received if isinstance(event, wire.Error)] == [message]
            assert talk.of(SessionWarning) == []
            assert len(talk.of(SessionReady)) == 1
            assert talk.audio(talk.of(ResponseStarted)[1].response_id) == speak(ANSWER, sample_rate_hz=RATE_HZ)

    run(main, backend)
