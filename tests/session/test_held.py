"""What is held until the session is ready, who sees it, and how a session is entered, left and cancelled."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, talking, utterance
from tests.session.handmade import GREETING, served
from xai_realtime import AsyncClient, Manual, SessionPolicy
from xai_realtime.audio import silence
from xai_realtime.emulator import Emulator, Quirks
from xai_realtime.errors import ClosedByUsError, ConnectionBrokenError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import BinaryAudio, InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.protocol.session_events import (
    ItemCreated,
    ResponseDone,
    SessionReady,
    SessionWarning,
    Transcript,
)
from xai_realtime.realtime.session import RealtimeSession
from xai_realtime.transport.faults import Fault

ASK = ["conversation.item.create", "response.create"]
TURNS = {"hello": "Hello there", "bye": "See you", "good morning": "Good morning!"}


def numbered(count: int, first: int = 0) -> list[bytes]:
    """20 ms of audio each, no two alike."""
    return [number.to_bytes(2, "little") * (RATE_HZ // 50) for number in range(first, first + count)]


def said(talk: Talk) -> list[str]:
    return [event.text for event in talk.of(Transcript) if event.role == "assistant"]


async def is_usable(talk: Talk) -> None:
    """The session answers, once."""
    before = len(talk.of(ResponseDone))
    await talk.session.send_text("hello")
    await talk.until(lambda: len(talk.of(ResponseDone)) == before + 1)
    assert said(talk)[-1] == "Hello there"


# Before the session is ready


@pytest.mark.behaviour("ask-46")
@BACKENDS
def test_audio_given_before_the_configuration_is_acknowledged_goes_out_after_it_in_order(backend: str) -> None:
    async def main() -> None:
        late = Fault.delay(1_000, on="session.updated")
        async with talking(TURNS, late, wait_until_ready=False) as talk:
            for frame in numbered(100):
                await talk.session.send_audio(frame)
                await anyio.sleep(0.02)
            await talk.next(SessionReady)
            await anyio.sleep(0.1)
            for frame in numbered(50, 100):
                await talk.session.send_audio(frame)
            assert talk.microphone_bytes() == b"".join(numbered(150))
            assert talk.sent_types(audio=True)[0] == "session.update"
            first = next(event for event in talk.sent if isinstance(event, wire.InputAudioBufferAppend))
            assert first.decoded_audio == numbered(1)[0]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@pytest.mark.behaviour("ask-46")
@BACKENDS
def test_nothing_but_the_configuration_goes_out_before_it_is_acknowledged(backend: str) -> None:
    async def main() -> None:
        async with served(acknowledges=False, wait_until_ready=False) as (talk, server):
            await server.got("session.update")
            await talk.session.send_audio(silence(100, RATE_HZ))
            await talk.session.send_text("hello")
            await talk.session.say("Welcome")
            await anyio.sleep(5)
            assert [message["type"] for message in server.heard] == ["session.update"]
            await server.say("session.updated", session={})
            await server.got("response.create")
            kinds = [message["type"] for message in server.heard]
            assert kinds == ["session.update", "input_audio_buffer.append", *ASK]

    run(main, backend)


@pytest.mark.behaviour("ask-45")
@BACKENDS
def test_text_written_before_the_socket_is_open_is_answered_in_order_and_is_bounded(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(max_queued_turns=3)
        async with talking(TURNS, policy=policy, wait_until_ready=False) as talk:
            assert talk.received == talk.sent == []
            await talk.session.send_text("hello")
            await talk.session.send_text("bye")
            await talk.session.say("That is all")
            with pytest.raises(Exception, match="3 wishes wait already"):
                await talk.session.send_text("more")
            await talk.until(lambda: len(talk.of(ResponseDone)) == 3)
            assert said(talk) == ["Hello there", "See you", "That is all"]
            assert talk.sent_types() == ["session.update", *ASK, *ASK, "conversation.item.create"]

    run(main, backend)


@pytest.mark.behaviour("ask-45")
@BACKENDS
def test_what_was_wanted_before_the_session_was_entered_is_done_when_it_is(backend: str) -> None:
    async def main() -> None:
        async with AsyncClient(transport=Emulator(lambda prompt: TURNS[prompt.heard], seed=1).transport()) as client:
            session = client.realtime.session()
            await session.send_text("hello")
            async with session:
                async for event in session:
                    if isinstance(event, Transcript):
                        assert event.text == "Hello there"
                        break

    run(main, backend)


@pytest.mark.behaviour("ask-52")
@pytest.mark.parametrize(
    "quirks",
    [
        Quirks(),
        Quirks(conversation_first=True),
        Quirks(no_session_created=True),
        Quirks(no_conversation_created=True),
        Quirks(no_session_created=True, no_conversation_created=True),
        Quirks(no_session_created=True, conversation_first=True),
    ],
    ids=str,
)
@BACKENDS
def test_session_is_ready_whatever_comes_first_and_whatever_is_missing(backend: str, quirks: Quirks) -> None:
    async def main() -> None:
        emulator = Emulator(lambda prompt: TURNS[prompt.heard], seed=1, quirks=quirks)
        async with talking(emulator=emulator) as talk:
            assert anyio.current_time() < 0.5
            await is_usable(talk)
            assert talk.sent_types() == ["session.update", *ASK]
            (ready,) = talk.of(SessionReady)
            assert ready.is_confirmed
            assert (ready.conversation_id is None) == quirks.no_conversation_created

    run(main, backend)


@pytest.mark.behaviour("ask-52")
@pytest.mark.parametrize("first", [0, 1])
@BACKENDS
def test_configuration_is_sent_after_a_second_to_a_server_that_says_nothing(backend: str, first: int) -> None:
    async def main() -> None:
        async with served(greeting=GREETING[:first]) as (talk, server):
            assert anyio.current_time() == pytest.approx(0 if first else 1)
            await talk.session.send_text("hello")
            await server.got("response.create")

    run(main, backend)


# What the server sends that nobody expects


@pytest.mark.behaviour("ask-46")
@pytest.mark.behaviour("ask-49")
@BACKENDS
def test_events_of_unknown_types_and_about_unknown_items_stop_nothing(backend: str) -> None:
    call = {"id": "ghost", "type": "function_call", "call_id": "ghost-call", "status": "in_progress"}
    odd: list[tuple[str, dict[str, Any]]] = [
        ("brand.new.event", {"anything": [1, 2]}),
        ("response.output_item.done", {"response_id": "resp-1", "item": {"id": "ghost-0", "type": "message"}}),
        ("response.output_item.done", {"response_id": "resp-1", "item": {"id": "ghost-1", "type": "new_kind"}}),
        ("response.output_item.added", {"response_id": "resp-1", "item": call}),
        ("response.content_part.done", {"response_id": "resp-1", "item_id": "ghost-2"}),
        ("response.output_audio.done", {"response_id": "resp-1", "item_id": "ghost-3"}),
        ("response.output_audio_transcript.done", {"response_id": "resp-1", "item_id": "ghost-4", "transcript": ""}),
        ("conversation.item.truncated", {"item_id": "ghost-5", "content_index": 0, "audio_end_ms": 5}),
        ("conversation.item.deleted", {"item_id": "ghost-6"}),
        ("input_audio_buffer.speech_stopped", {"item_id": "ghost-7", "audio_end_ms": 5}),
        ("input_audio_buffer.cleared", {}),
    ]

    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("hello")
            await server.got("response.create")
            await server.begins("resp-1")
            for kind, fields in odd:
                await server.say(kind, **fields)
            await server.speaks("resp-1", "Hello there")
            await server.ends("resp-1")
            await talk.next(ResponseDone, status="completed")
            assert said(talk) == ["Hello there"]
            assert talk.of(SessionWarning) == []
            (unknown,) = [event for event in talk.received if isinstance(event, UnknownEvent)]
            assert unknown.type == "brand.new.event"

    run(main, backend)


@pytest.mark.behaviour("bug-19")
@BACKENDS
def test_new_item_is_told_once_however_often_it_is_announced_and_never_when_it_is_our_own(backend: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await talk.session.send_text("hello", respond=False)
            own = (await server.got("conversation.item.create"))["item"]
            item = {"id": "item-1", "type": "message", "role": "user", "content": []}
            for _ in range(2):
                for kind in ("conversation.item.added", "conversation.item.created"):
                    await server.say(kind, item=own)
                    await server.say(kind, item=item)
            await server.replies("resp-1")
            await talk.next(ResponseDone)
            assert [created.item.id for created in talk.of(ItemCreated)] == ["item-1", "resp-1-item"]

    run(main, backend)


@pytest.mark.behaviour("ask-48")
@BACKENDS
def test_observer_sees_every_event_in_and_out_in_order(backend: str) -> None:
    seen: list[tuple[str, Any]] = []

    async def main() -> None:
        def observe(way: str, event: Any) -> None:
            seen.append((way, event))

        async with served(observer=observe, turn_detection=Manual()) as (talk, server):
            await talk.session.send_audio(silence(40, RATE_HZ))
            await talk.session.end_turn()
            await server.got("response.create")
            await server.say("rate_limits.updated", rate_limits=[])
            await server.begins("resp-1")
            await server.send_frame(Frame(b"{broken"))
            await server.say("ping", timestamp=1)
            await server.speaks("resp-1", "Yes.")
            await server.send_frame(Frame(bytes(960), is_text=False))
            await server.ends("resp-1")
            await talk.next(ResponseDone)
            sent = [event.model_dump(exclude_unset=True) for way, event in seen if way == "out"]
            assert [{**event, "type": event["type"]} for event in sent] == server.heard
            came = [event for way, event in seen if way == "in"]
            assert [type(event) for event in came if isinstance(event, UnknownEvent | InvalidEvent | BinaryAudio)] == [
                UnknownEvent,
                InvalidEvent,
                BinaryAudio,
            ]
            kinds = [
                json.loads(frame.data)["type"] for frame in server.said if frame.is_text and frame.data != b"{broken"
            ]
            known = [event.type for event in came if not isinstance(event, InvalidEvent | BinaryAudio)]
            assert known == kinds
            events = [event for _, event in seen]
            places = [next(place for place, event in enumerate(events) if isinstance(event, kind)) for kind in CAUSES]
            assert places == sorted(places)

    run(main, backend)


CAUSES = (wire.SessionCreated, wire.SessionUpdate, wire.SessionUpdated, wire.ResponseCreate, wire.ResponseCreated)

# The microphone, open and closed


@BACKENDS
def test_microphone_that_starts_closed_lets_audio_through_only_while_it_is_open(backend: str) -> None:
    frames = numbered(30)

    async def main() -> None:
        async with talking(TURNS, policy=SessionPolicy(starts_paused=True)) as talk:
            for place, frame in enumerate(frames):
                if place == 10:
                    await talk.session.resume_input()
                elif place == 20:
                    await talk.session.pause_input()
                await talk.session.send_audio(frame)
            assert talk.microphone_bytes() == b"".join(frames[10:20])
            await talk.session.resume_input()
            await talk.speak("good morning")
            await talk.next(ResponseDone)
            assert said(talk) == ["Good morning!"]

    run(main, backend)


@BACKENDS
def test_audio_given_while_the_microphone_is_closed_is_not_held_for_later(backend: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(starts_paused=True)
        async with served(policy=policy, acknowledges=False, wait_until_ready=False) as (talk, server):
            await talk.session.send_audio(numbered(1)[0])
            await talk.session.resume_input()
            await talk.session.send_audio(numbered(1, 1)[0])
            await server.got("session.update")
            await server.say("session.updated", session={})
            await server.got("input_audio_buffer.append")
            await anyio.sleep(1)
            assert talk.microphone_bytes() == numbered(1, 1)[0]

    run(main, backend)


# After the end


VERBS: dict[str, Callable[[RealtimeSession], Awaitable[Any]]] = {
    "send_text": lambda session: session.send_text("bye"),
    "send_audio": lambda session: session.send_audio(silence(20, RATE_HZ)),
    "end_turn": lambda session: session.end_turn(),
    "respond": lambda session: session.respond(),
    "say": lambda session: session.say("Goodbye"),
    "interrupt": lambda session: session.interrupt(),
    "clear_input": lambda session: session.clear_input(),
    "update": lambda session: session.update(voice="rex"),
    "delete_item": lambda session: session.delete_item("item-1"),
    "reset": lambda session: session.reset(),
    "restart": lambda session: session.restart(),
    "ready": lambda session: session.ready(),
}
HARMLESS: dict[str, Callable[[RealtimeSession], Awaitable[Any]]] = {
    "played": lambda session: session.played(ms=20),
    "pause_input": lambda session: session.pause_input(),
    "resume_input": lambda session: session.resume_input(),
}


@pytest.mark.behaviour("bug-14")
@pytest.mark.parametrize("ending", ["closed by us", "closed by the server", "broken"])
@BACKENDS
def test_every_verb_raises_once_the_session_is_over(backend: str, ending: str) -> None:
    async def main() -> None:
        policy = SessionPolicy(reconnect=None)
        async with served(policy=policy, turn_detection=Manual()) as (talk, server):
            await talk.session.send_audio(silence(100, RATE_HZ))
            if ending == "closed by the server":
                await server.hang_up(1000)
                await talk.ended()
            elif ending == "broken":
                server.break_off()
                assert isinstance(await talk.ended(), ConnectionBrokenError)
            else:
                await talk.session.aclose()
            await all_raise(talk.session, ConnectionBrokenError if ending == "broken" else ClosedByUsError)
            await talk.session.aclose()
        await all_raise(talk.session, ConnectionBrokenError if ending == "broken" else ClosedByUsError)
        assert server.types() == []

    run(main, backend)


async def all_raise(session: RealtimeSession, kind: type[Exception]) -> None:
    """Every verb that wants something of the server raises, the others do nothing."""
    for name, verb in VERBS.items():
        with pytest.raises(kind):
            await verb(session)
            pytest.fail(f"{name} did not raise")
    for verb in HARMLESS.values():
        await verb(session)


# Cancelling


EVERY: dict[str, Callable[[RealtimeSession], Awaitable[Any]]] = {
    **VERBS,
    **HARMLESS,
    "aclose": lambda session: session.aclose(),
}


@pytest.mark.behaviour("session-cancelled-verb")
@pytest.mark.parametrize("name", list(EVERY))
@BACKENDS
def test_verb_cancelled_at_its_await_leaves_the_session_usable(backend: str, name: str) -> None:
    async def main() -> None:
        async with talking(lambda prompt: TURNS.get(prompt.heard, "Yes."), turn_detection=Manual()) as talk:
            await talk.session.send_audio(utterance("good morning", 300))
            with anyio.CancelScope() as scope:
                scope.cancel()
                await EVERY[name](talk.session)
            if name == "aclose":
                assert await talk.ended() is None
                return
            await anyio.sleep(30)  # whatever it wanted has been done, or not
            await talk.session.resume_input()
            await talk.session.clear_input()
            await is_usable(talk)

    run(main, backend)


@pytest.mark.behaviour("session-cancelled-verb")
@pytest.mark.parametrize("name", ["reset", "restart"])
@BACKENDS
def test_verb_cancelled_while_it_waits_for_a_new_line_leaves_the_session_usable(backend: str, name: str) -> None:
    async def main() -> None:
        slow = Fault.delay(500, on="session.updated", conn=2)
        async with talking(TURNS, slow) as talk:
            with anyio.move_on_after(0.2) as scope:
                await VERBS[name](talk.session)
            assert scope.cancelled_caught
            await is_usable(talk)

    run(main, backend)


@pytest.mark.behaviour("session-cancelled-verb")
@BACKENDS
def test_audio_cancelled_while_the_line_is_congested_is_in_order_afterwards(backend: str) -> None:
    async def main() -> None:
        frames = numbered(40)
        async with served(buffer=4) as (talk, server):
            await anyio.sleep(1)
            server.hears = anyio.Event()
            given = 0
            with anyio.move_on_after(1) as scope:
                for frame in frames[:20]:
                    await talk.session.send_audio(frame)
                    given += 1
            assert scope.cancelled_caught and 0 < given < 20
            server.hears.set()
            for frame in frames[20:]:
                await talk.session.send_audio(frame)
            await server.got("input_audio_buffer.append", given + 20)
            came = [message["audio"] for message in server.of("input_audio_buffer.append")]
            sent = [
                wire.InputAudioBufferAppend.model_validate(message) for message in server.heard if "audio" in message
            ]
            assert len(came) == len(set(came))
            assert b"".join(event.decoded_audio for event in sent) in [
                b"".join(frames[:first] + frames[20:]) for first in (given, given + 1)
            ]

    run(main, backend)
