"""What a session tells: which events, with what in them, in what order, and what never shows."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, Talk, run, scripted, talking, utterance
from tests.session.serving import MODEL, response_done, serving
from xai_realtime.audible import hear, speak
from xai_realtime.audio import from_pcm16, silence, to_pcm16
from xai_realtime.emulator import Emulator, Quirks, ToolRequest, Turn
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import BinaryAudio
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.session_events import (
    AudioOutput,
    DtmfReceived,
    Interrupted,
    ItemCreated,
    ItemUpdated,
    ResponseDone,
    SessionEvent,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    ToolFinished,
    Transcript,
)

WORDS: dict[str, Turn | str] = {
    "hello": "Hello there",
    "story": "Once upon a time there was a very long story that went on and on until the evening came.",
    "tide": Turn(
        say="One moment.",
        calls=(ToolRequest("look_up_tide", {"city": "Porto"}),),
        then="The tide is {output}.",
    ),
    "fail": Turn(fail=True),
    "incomplete": Turn(say="Half of", incomplete=True),
}
SECRETS = ("hello", "Hello there", "Once upon", "story", "One moment", "Porto", "lighthouse", "very private")


async def look_up_tide(city: str) -> str:
    """Look up the tide."""
    await anyio.sleep(0.25)
    return f"high at the lighthouse of {city}"


async def talk_of_all(talk: Talk) -> None:
    """A written turn, one with a function, a spoken one that cuts the answer off, and one that is interrupted."""
    await talk.session.send_text("hello")
    await talk.next(SpeechStopped, who="agent")
    await talk.session.send_text("tide")
    await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
    await talk.speak("story")
    await talk.until(lambda: len(talk.of(ResponseDone)) == 3 and talk.session.conversation.items[-1].audio_bytes)
    await talk.speak("hello")
    await talk.until(lambda: len(talk.of(ResponseDone)) == 5)
    await talk.session.interrupt()
    await talk.next(Interrupted, reason="interrupt")


@BACKENDS
def test_ready_says_what_serves_and_that_it_is_confirmed(backend: str) -> None:
    async def main() -> None:
        async with serving(model="grok-voice-latest") as (talk, _):
            ready = await talk.next(SessionReady)

            assert (ready.conversation_id, ready.model, ready.is_confirmed) == ("conversation_1", MODEL, True)
            assert isinstance(ready.raw, wire.SessionUpdated)

    run(main, backend)


@BACKENDS
def test_ready_says_that_the_server_never_confirmed(backend: str) -> None:
    async def main() -> None:
        emulator = Emulator(scripted(WORDS), seed=1, quirks=Quirks(no_session_updated=True))
        async with talking(emulator=emulator) as talk:
            ready = await talk.next(SessionReady)

            assert (ready.is_confirmed, ready.raw) == (False, None)
            assert [warning.code for warning in talk.of(SessionWarning)] == ["not_acknowledged"]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-19")
@pytest.mark.parametrize("duplicates", [0, 3])
def test_item_is_told_once_however_often_it_is_announced_and_never_when_it_is_our_own(
    backend: str, duplicates: int
) -> None:
    async def main() -> None:
        emulator = Emulator(scripted(WORDS), seed=1, quirks=Quirks(duplicate_calls=duplicates))
        async with talking(emulator=emulator, tools=[look_up_tide]) as talk:
            await talk_of_all(talk)

            ids = [event.item.id for event in talk.of(ItemCreated)]
            assert len(ids) == len(set(ids))
            own = {created.item.id for created in talk.sent_of(wire.ConversationItemCreate)}
            assert own
            assert own & set(ids) == set()
            assert own | set(ids) == {item.id for item in talk.session.conversation.items}
            kinds = [event.item.kind for event in talk.of(ItemCreated)]
            assert kinds.count("function_call") == 1

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-19")
def test_item_is_told_once_when_each_announcement_of_it_comes_alone_or_twice(backend: str) -> None:
    item = {"id": "x", "type": "message", "role": "assistant"}
    announcements: list[Any] = [
        {"type": "response.output_item.added", "item": item, "response_id": "resp_9"},
        {"type": "conversation.item.added", "item": item},
        {"type": "conversation.item.created", "item": item},
        {"type": "response.output_item.done", "item": item, "response_id": "resp_9"},
        response_done("resp_9", output=[item]),
    ]

    async def main() -> None:
        for announcement in (*announcements, None):
            async with serving() as (talk, server):
                said = announcements if announcement is None else [announcement]
                await server.say(*said, *said)
                assert (await talk.next(ItemCreated)).item.id == "x"
                await talk.session.send_text("and now?")
                await talk.next(ResponseDone, status="completed", response_id="resp_1")
                assert [event.item.id for event in talk.of(ItemCreated)] == ["x", "resp_1_item"]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("item-updates")
def test_item_is_told_anew_with_its_final_transcript_in_the_finished_reply_and_when_it_was_cut(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            await talk.speak("story")
            await talk.until(lambda: len(talk.audio()) > 48_000)
            spoken = next(event.item for event in talk.of(ItemUpdated))
            assert (spoken.role, spoken.text) == ("user", "story")

            await talk.session.interrupt()
            done = await talk.next(ResponseDone, status="cancelled")
            updates = [event.item for event in talk.of(ItemUpdated) if event.item.role == "assistant"]
            (cut,) = talk.of(Interrupted)
            assert {item.id for item in updates} == {cut.item_id}
            assert {item.heard for item in updates} == {cut.heard_text}
            assert done.reason == "interrupted"

            await talk.session.send_text("hello")
            await talk.next(ResponseDone, status="completed")
            said = talk.of(ItemUpdated)[-1].item
            assert (said.text, said.heard, said.status) == ("Hello there", None, "completed")

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("response-outcomes")
def test_reply_that_fails_is_an_event_and_the_next_one_is_answered(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            for text, status in (("fail", "failed"), ("incomplete", "incomplete"), ("hello", "completed")):
                await talk.session.send_text(text)
                done = await talk.next(ResponseDone)
                assert (done.status, done.reason) == (status, None)

            await talk.session.send_text("story")
            await talk.next(SpeechStarted, who="agent")
            await talk.session.interrupt()
            done = await talk.next(ResponseDone)
            assert (done.status, done.reason) == ("cancelled", "interrupted")
            assert talk.of(SessionWarning) == []

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("response-outcomes")
@pytest.mark.parametrize("details", ["unimplemented", {"type": "failed", "error": {"code": "x"}}, None])
def test_details_of_a_status_are_passed_on_in_either_form(backend: str, details: Any) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            given = {} if details is None else {"status_details": details}
            server.answers = lambda name: server.reply(name, status="failed", metadata={"turn": "7"}, **given)
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)

            assert (done.status, done.status_details, done.metadata) == ("failed", details, {"turn": "7"})

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-50")
def test_settings_of_a_session_reach_the_wire_whole_before_anything_else_is_sent(backend: str) -> None:
    async def main() -> None:
        settings: Any = {
            "voice": "ara",
            "instructions": "Be brief.",
            "turn_detection": {"type": "server_vad", "threshold": 0.7, "idle_timeout_ms": 9_000},
            "transcription": {"language_hint": "pt", "keyterms": ["Porto"]},
            "reasoning_effort": "none",
            "speed": 1.2,
            "replace": {"Porto": "Oporto"},
            "extra": {"a_field_of_tomorrow": 1},
        }
        async with serving(**settings) as (talk, server):
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)

            sent = server.got[0]
            assert sent["type"] == "session.update"
            assert sent == talk.session.config.to_update()
            session = sent["session"]
            assert session["turn_detection"] == settings["turn_detection"]
            assert session["audio"]["input"]["transcription"] == settings["transcription"]
            assert session["audio"]["output"]["speed"] == 1.2
            assert session["reasoning"] == {"effort": "none"}
            kept = ("voice", "instructions", "replace")
            assert {name: session[name] for name in kept} == {name: settings[name] for name in kept}
            assert session["a_field_of_tomorrow"] == 1

    run(main, backend)


@BACKENDS
def test_keys_pressed_on_the_phone_are_told_and_not_shown(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            for key in "12#":
                await server.say({"type": "input_audio_buffer.dtmf_event_received", "event": key, "received_at": 1.5})
            await talk.until(lambda: len(talk.of(DtmfReceived)) == 3)

            assert "".join(event.digit for event in talk.of(DtmfReceived)) == "12#"
            assert talk.of(DtmfReceived)[0].raw.received_at == 1.5
            assert repr(talk.of(DtmfReceived)[0]) == "DtmfReceived()"

    run(main, backend)


@BACKENDS
def test_failures_of_an_mcp_server_are_warnings(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            failure = {"type": "http_error", "message": "no answer"}
            await server.say({"type": "mcp_list_tools.failed", "item_id": "a", "error": failure})
            await server.say({"type": "response.mcp_call.failed", "item_id": "b"})
            await talk.until(lambda: len(talk.of(SessionWarning)) == 2)

            first, second = talk.of(SessionWarning)
            assert (first.code, first.message, first.details) == ("mcp_failed", "no answer", {"item_id": "a"})
            assert (second.code, second.message, second.details) == (
                "mcp_failed",
                "an MCP server failed",
                {"item_id": "b"},
            )

    run(main, backend)


@BACKENDS
def test_every_audio_event_says_whose_audio_it_is_and_how_to_play_it(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS) as talk:
            await talk.session.send_text("hello")
            done = await talk.next(ResponseDone)

            pieces = talk.of(AudioOutput)
            (item,) = [event.item for event in talk.of(ItemCreated)]
            assert {(piece.item_id, piece.response_id) for piece in pieces} == {(item.id, done.response_id)}
            assert {(piece.encoding, piece.rate_hz, piece.channels) for piece in pieces} == {("pcm", 24_000, 1)}
            assert [piece.raw for piece in pieces] == deltas(talk)
            assert talk.heard() == "Hello there"

    run(main, backend)


def deltas(talk: Talk) -> list[Any]:
    return [event for event in talk.received if isinstance(event, wire.ResponseOutputAudioDelta)]


@BACKENDS
def test_binary_audio_is_told_as_audio_of_the_item_that_speaks(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, output={"encoding": "pcm", "rate_hz": 24_000, "transport": "binary"}) as talk:
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)

            frames = [event for event in talk.received if isinstance(event, BinaryAudio)]
            assert [piece.raw for piece in talk.of(AudioOutput)] == frames != []
            assert talk.audio() == b"".join(frame.audio for frame in frames)
            (item,) = [event.item for event in talk.of(ItemCreated)]
            assert {piece.item_id for piece in talk.of(AudioOutput)} == {item.id}
            assert talk.heard() == "Hello there"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-63")
@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_phone_audio_goes_both_ways_bit_by_bit(backend: str, encoding: str) -> None:
    phone = from_pcm16(speak("hello", sample_rate_hz=8_000) + silence(1_500, 8_000), encoding)

    async def main() -> None:
        async with talking(WORDS, input=encoding, output=encoding) as talk:
            for at in range(0, len(phone), 160):
                await talk.session.send_audio(phone[at : at + 160])
                await anyio.sleep(0.02)
            await talk.next(ResponseDone)

            assert talk.microphone_bytes() == phone
            assert talk.audio() == b"".join(event.audio for event in deltas(talk))
            assert hear(to_pcm16(talk.audio(), encoding), sample_rate_hz=8_000) == "Hello there"
            assert {(piece.encoding, piece.rate_hz) for piece in talk.of(AudioOutput)} == {(encoding, 8_000)}

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-63")
@pytest.mark.parametrize("way", ["input", "output"])
def test_format_of_a_running_call_is_fixed(backend: str, way: str) -> None:
    async def main() -> None:
        async with talking(WORDS, input="pcmu", output="pcmu") as talk:
            with pytest.raises(ConfigurationError, match="pcm"):
                changes: Any = {way: "pcm"}
                await talk.session.update(**changes)
            assert talk.sent_types() == ["session.update"]
            assert talk.session.config.input_format.encoding == "pcmu"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-12")
def test_durations_of_phone_audio_count_one_byte_a_sample(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, input="pcmu", output="pcmu") as talk:
            await talk.session.send_text("story")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(1.0)
            await talk.session.interrupt()
            cut = await talk.next(Interrupted)

            assert cut.received_ms == len(talk.audio()) // 8
            assert 900 <= cut.heard_ms <= 1_100
            await talk.next(ResponseDone)
            (truncated,) = talk.sent_of(wire.ConversationItemTruncate)
            assert truncated.audio_end_ms == cut.heard_ms

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-38")
def test_slow_reader_loses_nothing_and_the_order_stays_however_few_events_may_wait(backend: str) -> None:
    async def main() -> None:
        async with talking(
            emulator=Emulator(scripted(WORDS), seed=1, pace="instant"), reads=False, policy=SessionPolicy(max_events=2)
        ) as talk:
            await talk.session.send_text("story")
            told: list[SessionEvent] = []
            waiting: list[int] = []
            async for event in talk.session:
                told.append(event)
                await anyio.sleep(1.0)
                waiting.append(len(deltas(talk)) - sum(isinstance(each, AudioOutput) for each in told))
                if isinstance(event, ResponseDone):
                    break

            audio = b"".join(event.audio for event in told if isinstance(event, AudioOutput))
            assert audio == b"".join(event.audio for event in deltas(talk))
            assert hear(audio, sample_rate_hz=24_000) == WORDS["story"]
            assert len(deltas(talk)) > 20
            assert max(waiting) <= 3, "the socket was read although the reader lagged behind"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-48")
def test_observer_sees_every_message_in_order_before_anything_is_told_of_it(backend: str) -> None:
    seen: list[tuple[str, Any]] = []

    async def main() -> None:
        async with talking(WORDS, tools=[look_up_tide], observer=lambda *message: seen.append(message)) as talk:
            await talk_of_all(talk)

            assert [event for way, event in seen if way == "in"] == talk.received
            assert [event for way, event in seen if way == "out"] == talk.sent
            assert [getattr(event, "type", None) for _, event in seen[:1]] == ["session.created"]
            requests = [at for at, (_, event) in enumerate(seen) if getattr(event, "type", "") == "response.create"]
            begun = [at for at, (_, event) in enumerate(seen) if getattr(event, "type", "") == "response.created"]
            assert len(requests) == 3
            assert all(asked < answered for asked, answered in zip(requests, begun, strict=False))

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("raw-behind-every-event")
def test_every_event_carries_the_message_behind_it_unless_the_session_itself_is_the_cause(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, tools=[look_up_tide]) as talk:
            await talk_of_all(talk)

            received = {id(event) for event in talk.received}
            causeless = {type(event).__name__ for _, event in talk.told if event.raw is None}
            assert causeless <= {"SpeechStopped", "Interrupted", "Transcript", "ItemUpdated"}
            assert all(id(event.raw) in received for _, event in talk.told if event.raw is not None)
            by_hand = talk.of(Interrupted)[-1]
            assert (by_hand.reason, by_hand.raw) == ("interrupt", None)
            assert all(isinstance(event.raw, wire.ResponseFunctionCallArgumentsDone) for event in talk.of(ToolFinished))

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("nothing-said-is-shown")
def test_repr_of_no_event_shows_what_was_said(backend: str) -> None:
    async def main() -> None:
        async with talking(WORDS, tools=[look_up_tide], instructions="very private") as talk:
            await talk_of_all(talk)

            told = [event for _, event in talk.told]
            shown = "\n".join(map(repr, [*told, *(getattr(event, "item", None) for event in told)]))
            shown += f"{talk.session!r} {talk.session.config!r}"
            assert {type(event).__name__ for event in told} >= {
                "Transcript",
                "ToolCalled",
                "ToolFinished",
                "Interrupted",
            }
            assert [secret for secret in SECRETS if secret.lower() in shown.lower()] == []
            assert "\\x" not in shown

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("nothing-said-is-shown")
def test_log_of_a_session_shows_neither_words_nor_audio_nor_the_key(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with talking(WORDS, tools=[look_up_tide], instructions="very private", api_key="xai-canary-1234") as talk:
            await talk_of_all(talk)
            await talk.session.restart()
            audio = [event.delta[:60] for event in deltas(talk)]

            logged = caplog.text
            assert "received response.done" in logged
            assert [secret for secret in (*SECRETS, "canary", *audio) if secret.lower() in logged.lower()] == []

    caplog.set_level(logging.DEBUG)
    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-38")
def test_stream_of_audio_given_in_odd_pieces_reaches_the_wire_in_order(backend: str) -> None:
    async def main() -> None:
        said = utterance("hello")
        async with talking(WORDS) as talk:
            at = 0
            for size in (1, 3, 481, 7, 2_001, 33_333, len(said)):
                await talk.session.send_audio(said[at : at + size])
                at += size
            await talk.next(ResponseDone)

            assert talk.microphone_bytes() == said
            assert [told.text for told in talk.of(Transcript)] == ["hello", "Hello there"]

    run(main, backend)
