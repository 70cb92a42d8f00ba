"""What a connection begins with, how settings are merged and echoed, how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.engine.driving import MANUAL, VAD, Call, say
from xai_realtime.emulator.engine import PING_MS, Hangup
from xai_realtime.emulator.world import World
from xai_realtime.frames import Frame

TOOL = {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": {"type": "object"}}


@pytest.mark.behaviour("emulator-greeting-order")
def test_engine_sends_session_created_then_conversation_created_then_ping_unprompted() -> None:
    call = Call()
    assert call.types == ["session.created", "conversation.created", "ping"]
    session = call.of("session.created")[0]["session"]
    assert session["turn_detection"] == {"type": None}
    assert session["modalities"] == ["audio"]
    assert session["voice"] == "ara"
    assert "previous_item_id" not in call.of("session.created")[0]
    assert call.of("ping")[0]["previous_item_id"] is None


@pytest.mark.behaviour("emulator-model-from-address")
def test_engine_takes_any_model_from_the_address_and_the_default_without_one() -> None:
    assert Call(query={"model": "made-up"}).of("session.created")[0]["session"]["model"] == "made-up"
    assert Call().of("session.created")[0]["session"]["model"] == "grok-voice-latest"


@pytest.mark.behaviour("emulator-session-receipt")
def test_session_updated_is_normalised_and_echoes_functions_nested() -> None:
    call = Call(session={**VAD, "tools": [TOOL, {"type": "web_search"}], "instructions": "Be brief."})
    session = call.last("session.updated")["session"]
    placeholders = {name: session[name] for name in ("input_audio_format", "temperature", "max_response_output_tokens")}
    assert placeholders == {
        "input_audio_format": "not specified",
        "temperature": -1.0,
        "max_response_output_tokens": "inf",
    }
    assert session["tools"][0] == {"type": "function", "function": {k: TOOL[k] for k in TOOL if k != "type"}}
    assert session["tools"][1] == {"type": "web_search"}
    assert session["input_audio_transcription"] == {"model": "grok-transcribe"}
    assert {"id", "object", "voice", "reasoning"}.isdisjoint(session)


def test_session_updated_has_no_audio_when_none_was_given() -> None:
    call = Call(session={"turn_detection": {"type": None}})
    session = call.last("session.updated")["session"]
    assert "audio" not in session
    assert session["enable_noise_suppression"] is False
    assert session["turn_detection"] == {}


def test_session_update_changes_only_what_it_gives() -> None:
    call = Call(session={**VAD, "instructions": "One.", "voice": "eve", "tools": [TOOL]})
    call.send({"type": "session.update", "session": {"instructions": "Two.", "tools": None, "replace": {"a": "b"}}})
    call.take()
    session = call.last("session.updated")["session"]
    assert session["instructions"] == "Two."
    assert session["voice"] == "eve"
    assert len(session["tools"]) == 1
    assert session["replace"] == {"a": "b"}
    assert session["turn_detection"] == {"type": "server_vad"}
    call.send({"type": "session.update", "session": {"tools": [], "reasoning": {"effort": "none"}}})
    call.take()
    session = call.last("session.updated")["session"]
    assert "tools" not in session
    assert session["reasoning"] == {"effort": "none"}


@pytest.mark.behaviour("emulator-manual-spellings")
@pytest.mark.parametrize("sent", [None, {"type": None}, {}])
def test_turn_detection_is_by_hand_in_each_of_its_spellings(sent: Any) -> None:
    call = Call(session={"turn_detection": sent})
    assert call.last("session.updated")["session"]["turn_detection"] == {}
    call.append(say("Hello"))
    call.run()
    assert "input_audio_buffer.speech_started" not in call.types


def test_turn_detection_is_server_vad_when_an_update_never_names_it() -> None:
    call = Call(session={"instructions": "x"})
    assert call.last("session.updated")["session"]["turn_detection"] == {"type": "server_vad"}
    call.append(say("Hello"))
    call.run()
    assert "input_audio_buffer.committed" in call.types


@pytest.mark.behaviour("emulator-nested-turn-detection")
def test_turn_detection_and_voice_are_read_where_other_clients_nest_them() -> None:
    nested = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "audio": {
            "input": {"turn_detection": {"type": "server_vad", "create_response": True}, "noise_reduction": None},
            "output": {"voice": "eve"},
        },
    }
    call = Call(session=nested)
    session = call.last("session.updated")["session"]
    assert session["turn_detection"] == {"type": "server_vad", "create_response": True}
    assert session["voice"] == "eve"


def test_flat_audio_format_of_older_clients_is_ignored() -> None:
    call = Call(session={"input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"})
    call.write("Hello")
    call.run()
    assert call.heard() == "You said: Hello"


def test_engine_pings_on() -> None:
    call = Call().run(3 * PING_MS)
    stamps = [event["timestamp"] for event in call.of("ping")]
    assert len(stamps) == 4
    assert stamps[1] - stamps[0] == PING_MS


def test_pong_is_taken_without_an_answer() -> None:
    call = Call()
    call.forget()
    call.send({"type": "pong"})
    call.take()
    assert call.types == []


@pytest.mark.behaviour("emulator-max-duration")
def test_session_ends_with_an_error_and_a_close_at_its_maximum_duration() -> None:
    call = Call(max_duration_s=30.0).run(31_000)
    assert call.errors[0]["type"] == "max_duration"
    assert call.errors[0]["code"] == "max_duration"
    assert call.events[-1][0] == 30_000
    assert call.hangup == Hangup(1000, "max_duration")
    assert call.engine.next_due_ms() is None
    call.forget()
    call.write("Anyone?")
    call.run()
    assert call.types == []


def test_session_ends_when_the_client_is_silent_for_the_idle_limit() -> None:
    call = Call(idle_timeout_s=20.0)
    call.run(15_000)
    call.send({"type": "pong"})
    call.run(15_000)
    assert call.hangup is None
    call.run(10_000)
    assert call.errors[0]["type"] == "timeout"
    assert call.events[-1][0] == 35_000
    assert call.hangup == Hangup(1000, "timeout")


def resumed(call: Call, after_ms: float = 1_000.0) -> Call:
    call.engine.disconnected(call.now_ms)
    query = {"conversation_id": call.conversation.conversation_id or ""}
    return Call(world=call.world, query=query, now_ms=call.now_ms + after_ms)


@pytest.mark.behaviour("emulator-resumption")
def test_resumed_conversation_replays_what_the_assistant_said_before_session_updated() -> None:
    first = Call(session={**VAD, "resumption": {"enabled": True}})
    first.write("Hello")
    first.run()
    first.write("Bye")
    first.run()
    second = resumed(first)
    assert second.conversation.conversation_id == first.conversation.conversation_id
    assert second.of("session.created")[0]["session"]["id"] != first.of("session.created")[0]["session"]["id"]
    second.send({"type": "session.update", "session": {"resumption": {"enabled": True}}})
    second.take()
    assert second.types[3:] == ["conversation.item.added", "conversation.item.added", "session.updated"]
    one, two = second.of("conversation.item.added")
    assert one["item"]["content"] == [{"type": "text", "text": "You said: Hello"}]
    assert one["item"]["role"] == "assistant"
    assert one["previous_item_id"] is None
    assert two["previous_item_id"] == one["item"]["id"]
    third = resumed(second)
    third.send({"type": "session.update", "session": {}})
    third.take()
    assert [item.text for item in third.conversation.items] == ["You said: Hello", "You said: Bye"]


@pytest.mark.parametrize(("enabled", "after_ms"), [(False, 1_000.0), (True, 31 * 60_000.0)])
def test_conversation_is_new_when_it_was_not_kept_or_its_time_is_over(enabled: bool, after_ms: float) -> None:
    first = Call(session={**VAD, "resumption": {"enabled": enabled}})
    first.write("Hello")
    first.run()
    second = resumed(first, after_ms)
    assert second.conversation.conversation_id != first.conversation.conversation_id


def test_conversation_can_be_resumed_when_the_server_has_not_noticed_the_loss_yet() -> None:
    first = Call(session={"resumption": {"enabled": True}})
    first.write("Hello")
    first.run()
    query = {"conversation_id": first.conversation.conversation_id or ""}
    second = Call(world=first.world, query=query, now_ms=first.now_ms, session={})
    assert [item.text for item in second.conversation.items] == ["You said: Hello"]


STORY = "One comes first of all the numbers that there are. Two comes then. Three comes after two."


def resumable(text: str = STORY, **settings: Any) -> Call:
    """A call that was asked for a story."""
    call = Call(lambda prompt: text, session={"resumption": {"enabled": True}, **MANUAL}, **settings)
    call.write("Tell me")
    return call


def replayed(call: Call) -> list[str]:
    call.send({"type": "session.update", "session": {"resumption": {"enabled": True}}})
    call.take()
    return [item.text for item in call.conversation.items]


@pytest.mark.behaviour("emulator-resumes-what-was-said")
@pytest.mark.parametrize("pace", ["real", "instant"])
def test_reply_that_was_cut_is_replayed_as_far_as_its_words_went_out(pace: str) -> None:
    call = resumable(pace=pace)
    call.run(1_000)
    deltas = [frame for _, frame in call.frames if b"audio_transcript.delta" in frame.data]
    call.now_ms += 5_000
    lost = [] if pace == "real" else deltas[1:]
    odd = [Frame(b"\x00", is_text=False), Frame(b'{"type": "response.output_audio_transcript.delta", "delta": 1}')]
    call.engine.disconnected(call.now_ms, [*odd, *lost])
    query = {"conversation_id": call.conversation.conversation_id or ""}
    again = Call(world=call.world, query=query, now_ms=call.now_ms)
    assert replayed(again) == ["One comes first of all the numbers"]


def test_reply_of_which_no_word_went_out_is_not_replayed() -> None:
    call = resumable()
    call.engine.disconnected(call.now_ms + 1_000)
    query = {"conversation_id": call.conversation.conversation_id or ""}
    assert replayed(Call(world=call.world, query=query, now_ms=call.now_ms)) == []


@pytest.mark.behaviour("emulator-resumed-elsewhere")
def test_connection_that_was_resumed_elsewhere_keeps_nothing_any_more() -> None:
    call = resumable()
    call.run(20_000)
    call.write("Tell me more")
    call.run(1_000)
    query = {"conversation_id": call.conversation.conversation_id or ""}
    again = Call(world=call.world, query=query, now_ms=call.now_ms)
    assert replayed(again) == [STORY]
    call.run(20_000)
    call.engine.disconnected(call.now_ms)
    assert replayed(resumed(again)) == [STORY]


def test_engine_sends_nothing_after_the_client_has_left() -> None:
    call = Call()
    call.write("Hello")
    call.engine.disconnected(call.now_ms)
    assert call.engine.next_due_ms() is None
    assert call.engine.take(call.now_ms + 10_000) == []
    call.engine.receive(Frame(b"{}"), call.now_ms)
    assert call.engine.take(call.now_ms + 10_000) == []


def test_wall_clock_is_that_of_the_emulator() -> None:
    world = World(seed=1)
    call = Call(world=world, now_ms=5_000.0, session=MANUAL)
    assert call.of("ping")[0]["timestamp"] == world.now_epoch_ms(5_000.0)
