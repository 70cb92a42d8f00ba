"""The timeline: what a newcomer reads of a conversation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tapes import COMMITTED, Close, Entry, In, Open, Out, append, audio_delta, make_tape
from xai_realtime.cassette.records import MarkRecord
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.cli.moments import moments_of, with_records
from xai_realtime.cli.timeline import Row, timeline
from xai_realtime.frames import Frame

TOOL_CALL = next(path for path in COMMITTED if path.stem == "tool_call")
SECOND = b"\0" * 48_000
ASK = Out({"type": "response.create"}, 1000)
USER_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello?"}]}
Told = Callable[..., list[Row]]


def rows_of(tape: Cassette) -> list[Row]:
    return timeline(with_records(tape, moments_of(tape)), is_shortened=tape.header.media == "shortened")


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Tells the rows of a tape made of these entries, the last one (the tape's end) left out."""

    def tell(*entries: Entry, **changes: Any) -> list[Row]:
        rows = rows_of(make_tape(tmp_path / "t.jsonl", *entries, **changes))
        assert rows[-1].kind == "aside"
        assert rows.pop().text == "(the tape ends)"
        return rows

    return tell


def texts(rows: list[Row]) -> list[str]:
    return [f"{row.who}: {row.text}" + (f" [{row.note}]" if row.note else "") for row in rows]


def transcript(text: str, at_ms: float, item_id: str = "item_2", response_id: str = "resp_1") -> In:
    value = {"type": "response.output_audio_transcript.delta", "item_id": item_id, "response_id": response_id}
    return In({**value, "delta": text}, at_ms)


def response(kind: str, at_ms: float, **fields: Any) -> In:
    inner = {"id": "resp_1", "status": "in_progress", "output": [], **fields.pop("response", {})}
    return In({"type": f"response.{kind}", "response": inner, **fields}, at_ms)


def added(at_ms: float, **item: Any) -> In:
    return In({"type": "conversation.item.added", "item": {"id": "item_9", "type": "message", **item}}, at_ms)


@pytest.mark.behaviour("timeline-tells-a-call")
def test_timeline_tells_the_taped_call_row_by_row() -> None:
    rows = rows_of(load_cassette(TOOL_CALL))
    assert [(row.who, row.kind) for row in rows] == [
        ("session", "session"),
        ("session", "session"),
        ("session", "aside"),
        ("You", "said"),
        ("Grok", "aside"),
        ("Grok", "said"),
        ("Grok", "call"),
        ("session", "usage"),
        ("tool", "output"),
        ("Grok", "aside"),
        ("Grok", "said"),
        ("session", "usage"),
        ("session", "aside"),
    ]
    assert rows[1].text == "configured: grok-voice-latest · PCM 24 kHz · turns by server_vad · tool look_up_tide"
    assert rows[3].text == "When is high tide in Porto today?"
    assert (rows[5].text, rows[5].note) == ("One moment, I look at the tide table for Porto.", "2.08 s of speech")
    assert rows[6].text == 'calls look_up_tide(city="Porto")'
    assert rows[8].text == "High tide in Porto is at 16:40, 3.1 metres."
    assert [row.at_ms for row in rows] == sorted(row.at_ms for row in rows)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
@pytest.mark.behaviour("timeline-tells-a-call")
def test_timeline_holds_every_transcript_once_and_no_error_of_its_own_for_each_committed_tape(path: Path) -> None:
    rows = rows_of(load_cassette(path))
    said = [row.text for row in rows if row.kind == "said"]
    assert said
    assert len(said) == len({(row.text, row.note) for row in rows if row.kind == "said"})
    assert "(speak)" not in said
    tape = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    errors = [entry for entry in tape if entry.get("json", {}).get("type") == "error" or entry.get("by") == "network"]
    assert len([row for row in rows if row.kind == "error" and "hangs up" not in row.text]) == len(errors)


def test_timeline_tells_a_voice_turn_with_the_length_of_the_speech() -> None:
    rows = rows_of(load_cassette(next(path for path in COMMITTED if path.stem == "voice_turn")))
    assert "You: (microphone on) [1.10 s of audio in 55 pieces]" in texts(rows)
    assert [row.note for row in rows if row.who == "You" and row.kind == "said"] == ["0.20 s of speech"]


def test_timeline_tells_both_connections_and_what_is_from_before_when_a_call_is_resumed() -> None:
    rows = rows_of(load_cassette(next(path for path in COMMITTED if path.stem == "resumption")))
    assert [row.text for row in rows if row.kind == "error"] == ["the service hangs up (1011, line lost)"]
    assert "connection 2 opens" in [row.text for row in rows]
    assert [row.who for row in rows if row.note == "from before"] == ["Grok"]
    assert {row.conn for row in rows} == {1, 2}


@pytest.mark.behaviour("timeline-folds-pieces")
def test_timeline_folds_streamed_pieces_into_one_row_at_their_beginning(told: Told) -> None:
    rows = told(
        transcript("Good ", 100), In(audio_delta(SECOND, "item_2"), 110), transcript("morning.", 120),
        In(audio_delta(SECOND, "item_2"), 130),
    )  # fmt: skip
    assert rows == [Row(100, "Grok", "said", "Good morning.", "2.00 s of speech")]


@pytest.mark.behaviour("timeline-folds-pieces")
def test_timeline_tells_a_call_once_however_often_it_is_announced(told: Told) -> None:
    item = {"id": "item_3", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'}
    call = {"item_id": "item_3", "call_id": "call_1", "response_id": "resp_1"}
    rows = told(
        In({"type": "response.output_item.added", "response_id": "resp_1", "item": {**item, "arguments": ""}}),
        In({"type": "conversation.item.added", "item": {**item, "arguments": ""}}),
        In({"type": "response.function_call_arguments.done", **call, "name": "f", "arguments": '{"a":1}'}, 50),
        In({"type": "response.output_item.done", "response_id": "resp_1", "item": item}),
        response("done", 80, response={"output": [item], "status": "completed"}),
    )
    assert rows == [Row(50, "Grok", "call", "calls f(a=1)")]


@pytest.mark.behaviour("timeline-folds-pieces")
def test_timeline_tells_a_text_once_when_the_service_repeats_what_was_sent(told: Told) -> None:
    echo = {"role": "user", "status": "completed", "content": USER_ITEM["content"]}
    sent = Out({"type": "conversation.item.create", "item": USER_ITEM}, 10)
    assert texts(told(sent, added(20, **echo))) == ["You: Hello?"]
    twice = told(sent, added(20, **echo), Out({"type": "conversation.item.create", "item": USER_ITEM}, 30))
    assert texts(twice) == ["You: Hello?", "You: Hello?"]


@pytest.mark.behaviour("timeline-thinking")
def test_timeline_tells_the_pause_between_a_question_and_the_first_sound(told: Told) -> None:
    rows = told(ASK, transcript("Yes.", 2250))
    assert rows[0] == Row(1000, "Grok", "aside", "(thinks for 1.25 s)")
    assert told(ASK, transcript("Yes.", 1040))[0].text == "Yes."


@pytest.mark.behaviour("timeline-thinking")
def test_timeline_says_that_no_answer_came_when_the_tape_or_the_line_ends(told: Told, tmp_path: Path) -> None:
    assert told(ASK) == [Row(1000, "Grok", "aside", "(does not answer)")]
    closed = rows_of(make_tape(tmp_path / "c.jsonl", ASK, Close("network", None, "", 1500)))
    assert texts(closed) == ["Grok: (does not answer)", "session: the line breaks"]
    assert closed[-1].kind == "error"


@pytest.mark.behaviour("timeline-barge-in")
def test_timeline_tells_an_interruption_and_how_far_the_answer_was(told: Told) -> None:
    rows = told(
        response("created", 0),
        In(audio_delta(SECOND * 3, "item_2"), 100), transcript("A very long story", 110),
        In({"type": "input_audio_buffer.speech_started", "item_id": "item_3", "audio_start_ms": 900}, 1350),
        In({"type": "input_audio_buffer.speech_stopped", "item_id": "item_3", "audio_end_ms": 1400}, 1900),
        In({"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_3",
            "content_index": 0, "transcript": "Stop!"}, 2000),
        Out({"type": "response.cancel"}, 2100),
        Out({"type": "conversation.item.truncate", "item_id": "item_2", "content_index": 0, "audio_end_ms": 1250}),
        In({"type": "conversation.item.truncated", "item_id": "item_2", "audio_end_ms": 1250, "content_index": 0}),
        response("done", 2200, response={"status": "cancelled"}),
    )  # fmt: skip
    assert texts(rows) == [
        "Grok: A very long story [3.00 s of speech · interrupted · cut after 1.25 s · cancelled]",
        "You: (interrupt Grok 1.25 s into the answer)",
        "You: Stop! [0.50 s of speech]",
        "You: (stop Grok)",
        "You: (cut what Grok said after 1.25 s)",
    ]


@pytest.mark.behaviour("timeline-barge-in")
def test_timeline_tells_no_interruption_when_the_answer_was_over(told: Told) -> None:
    started = In({"type": "input_audio_buffer.speech_started", "item_id": "item_3", "audio_start_ms": 900}, 1200)
    assert texts(told(In(audio_delta(SECOND, "item_2"), 100), started)) == [
        "Grok: (speaks, without a transcript) [1.00 s of speech]",
        "You: (speak)",
    ]


def test_timeline_tells_an_answer_that_ended_before_a_word(told: Told) -> None:
    failed = response("done", 1500, response={"status": "failed"})
    assert texts(told(ASK, failed)) == ["Grok: (thinks for 0.50 s)", "Grok: (the answer is failed)"]
    cancelled = In({"type": "response.cancelled", "response_id": "resp_1"}, 1020)
    assert texts(told(ASK, response("created", 1010), cancelled)) == ["Grok: (the answer is cancelled)"]
    nested = In({"type": "response.cancelled", "response": {"id": "resp_1"}}, 1020)
    assert texts(told(transcript("Well", 10), nested)) == ["Grok: Well [cancelled]"]


def test_timeline_tells_what_a_session_was_asked_for_and_whether_it_was_confirmed(told: Told) -> None:
    session = {
        "instructions": "Be  brief.\n",
        "voice": "eve",
        "turn_detection": {"type": None},
        "audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}, "output": {"format": {}}},
        "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
    }
    asked = Out({"type": "session.update", "session": session}, 10)
    words = "voice eve · G.711 mu-law in, PCM 24 kHz out · turns by hand · tools f, web_search"
    assert texts(told(asked)) == [f"session: configured: {words} [not confirmed]", "session: instructions: Be brief."]
    confirmed = In({"type": "session.updated", "session": {"model": "grok-x"}}, 20)
    rows = told(asked, confirmed)
    assert texts(rows)[0] == f"session: configured: grok-x · {words}"
    assert texts(told(confirmed)) == ["session: configured: grok-x"]


def test_timeline_tells_history_that_is_sent_and_wishes_of_the_client(told: Told) -> None:
    def create(**item: Any) -> Out:
        return Out({"type": "conversation.item.create", "item": item})

    words = [{"type": "output_text", "text": "Hi."}]
    rows = told(
        create(type="message", role="assistant", content=words),
        create(type="message", role="system", content=[{"type": "input_text", "text": "Be kind."}]),
        create(type="function_call", call_id="call_1", name="f", arguments="[1]"),
        create(type="function_call_output", call_id="call_1", output=""),
        create(type="message", role="user", content=[{"type": "input_audio", "audio": "AAA="}]),
        create(type="force_message", role="assistant", content=words),
        Out({"type": "conversation.item.delete", "item_id": "item_1"}),
        Out({"type": "input_audio_buffer.clear"}),
        Out({"type": "input_audio_buffer.commit"}),
        Out({"type": "pong"}),
        transcript("Hi.", 90),
    )
    assert texts(rows) == [
        "Grok: Hi. [history]",
        "session: system message: Be kind.",
        "Grok: calls f([1]) [history]",
        "tool: (gives nothing back)",
        "You: (speak, in one recording)",
        "You: (have Grok say: Hi.)",
        "You: (take an item out of the conversation)",
        "You: (take back the audio sent since the last turn)",
        "Grok: Hi.",
    ]


def test_timeline_tells_items_that_the_service_brings_from_before(told: Told) -> None:
    rows = told(
        added(10, role="user", id="item_1", content=[{"type": "input_text", "text": "Hi"}]),
        added(20, type="function_call", id="item_2", call_id="call_1", name="f", arguments="{}"),
        added(30, type="function_call_output", id="item_3", call_id="call_1", output="42"),
        In({"type": "session.updated", "session": {}}, 40),
        added(50, role="system", id="item_4", content=[{"type": "text", "text": "x"}], replayed=True),
        added(60, role="assistant", id="item_5", content=[{"type": "text", "text": "new"}]),
        added(70, role="assistant", id="item_6", content=[]),
    )
    assert texts(rows) == [
        "You: Hi [from before]",
        "Grok: calls f() [from before]",
        "tool: 42 [from before]",
        "session: configured",
        "session: system message: x [from before]",
        "Grok: new",
    ]


def test_timeline_tells_errors_and_what_it_cannot_read(told: Told) -> None:
    rows = told(
        In({"type": "error", "error": {"type": "t", "code": "c", "message": "m"}}),
        In({"type": "error", "error": {"type": "t"}}),
        In({"type": "error", "error": "flat"}),
        In({"type": "error", "code": "c", "message": "m"}),
        In({"type": "error"}),
        In({"type": "from.the.future"}),
        In([1]),
        In({"type": "response.output_audio.delta", "item_id": 1}),
        In(Frame(b"{")),
        In(audio_delta(b"", "item_2") | {"delta": "@@@@"}),
        Out({"type": "from.the.future"}),
        Out([1]),
    )
    assert [row.kind for row in rows if row.text != "(speaks, without a transcript)"] == ["error"] * 12
    assert [row.text for row in rows[:7]] == [
        "error c: m", "error t", "error flat", "error c: m", "error",
        "unknown event from.the.future", "unknown event without a type",
    ]  # fmt: skip
    assert rows[7].text.startswith("unreadable response.output_audio.delta at ")
    assert rows[8].text.startswith("unreadable message: ")
    assert rows[10].text.startswith("unreadable audio: ")
    assert [row.text for row in rows[11:]] == ["(send an unknown event, from.the.future)", "(send no event)"]


def test_timeline_tells_servers_tools_keys_and_silence(told: Told) -> None:
    call = {"item_id": "item_1", "output_index": 0}
    rows = told(
        In({"type": "response.mcp_call_arguments.done", **call, "name": "f", "arguments": '{"q":"x"}'}),
        In({"type": "response.mcp_call.failed", **call, "error": {"type": "t", "message": "gone"}}),
        In({"type": "mcp_list_tools.failed", "item_id": "item_1"}),
        In({"type": "input_audio_buffer.dtmf_event_received", "event": "5"}),
        In({"type": "input_audio_buffer.timeout_triggered", "item_id": "item_1"}),
        transcript("Still there?", 400),
    )
    assert texts(rows) == [
        'Grok: calls f(q="x") [on an MCP server]',
        "tool: the MCP server fails: gone",
        "tool: the MCP server fails",
        "You: (press 5)",
        "You: (are silent for so long that Grok goes on)",
        "Grok: (thinks for 0.35 s)",
        "Grok: Still there?",
    ]


def test_timeline_tells_usage_as_far_as_it_is_stated(told: Told) -> None:
    full = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "output_audio_seconds": 1.5}
    rows = told(
        response("done", 10, usage={**full, "billable_audio_seconds": 2}),
        response("done", 20, response={"usage": {"total_tokens": 5}}),
        response("done", 30, usage={}),
    )
    assert [row.text for row in rows] == [
        "usage: 1 token in, 2 tokens out · 1.50 s of speech · 2 s billed so far",
        "usage: 5 tokens in all",
    ]


def test_timeline_attributes_binary_audio_to_what_is_being_said(told: Told) -> None:
    binary = In(Frame(SECOND, is_text=False), 20)
    assert texts(told(transcript("Hm", 10), binary)) == ["Grok: Hm [1.00 s of speech]"]
    assert texts(told(binary)) == ["Grok: (speaks, without a transcript) [1.00 s of speech]"]
    assert texts(told(Out(Frame(SECOND, is_text=False), 20))) == ["You: (microphone on) [1.00 s of audio in 1 piece]"]


def test_timeline_tells_no_duration_that_it_cannot_know(told: Told) -> None:
    opus = {"audio": {side: {"format": {"type": "audio/opus"}} for side in ("input", "output")}}
    session = In({"type": "session.updated", "session": opus}, 5)
    delta = In(audio_delta(b"\0\0", "item_2"), 20)
    mic = Out(append(b"\0\0"), 10)
    assert texts(told(session, mic, delta))[1:] == [
        "You: (microphone on) [1 piece]",
        "Grok: (speaks, without a transcript)",
    ]
    assert texts(told(mic, media="shortened")) == ["You: (microphone on) [1 piece]"]
    stated = In(audio_delta(b"\0\0", "item_2", audio_duration_ms=700), 20)
    assert texts(told(stated, media="shortened")) == ["Grok: (speaks, without a transcript) [0.70 s of speech]"]


def test_timeline_keeps_the_words_of_an_item_that_is_deleted(told: Told) -> None:
    deleted = In({"type": "conversation.item.deleted", "item_id": "item_2"}, 30)
    assert texts(told(transcript("Secret", 10), deleted)) == ["Grok: Secret"]


def test_timeline_tells_refused_handshakes_closes_resumption_and_marks(tmp_path: Path) -> None:
    body = b'{"code":"invalid_argument","error":"Incorrect API key"}'
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(1, 0, status=400, body=body), Open(2, 10, status=503), Open(3, 20),
        Close("client", 1000, "done", 30, 3), Open(4, 40, "wss://h/?conversation_id=c"),
        Close("server", None, "", 50, 4),
    )  # fmt: skip
    rows = timeline([*with_records(tape, []), MarkRecord(60, "barge-in")])
    assert texts(rows) == [
        "session: the handshake is refused with HTTP 400: invalid_argument: Incorrect API key",
        "session: the handshake is refused with HTTP 503",
        "session: connection 3 opens",
        "session: you hang up (1000, done)",
        "session: connection 4 opens and resumes the conversation",
        "session: the service hangs up",
        "session: mark: barge-in",
    ]
    assert [row.kind for row in rows[:2]] == ["error", "error"]


@pytest.mark.behaviour("cli-terminal-safe")
def test_timeline_rows_hold_no_control_characters_whatever_a_tape_says(told: Told) -> None:
    evil = "\x1b[31mred\x07\u202egnp\n\n\x9b2J\u2028end"
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": evil}]}
    call = {"type": "function_call_output", "call_id": "call_1", "output": evil}
    seeded = {"type": "function_call", "call_id": "call_1", "name": evil, "arguments": r'{"a\u001b": "\u009b"}'}
    rows = told(
        Out({"type": "session.update", "session": {"instructions": evil, "voice": evil, "model": evil}}),
        Out({"type": "conversation.item.create", "item": item}),
        Out({"type": "conversation.item.create", "item": seeded}),
        Out({"type": "conversation.item.create", "item": call}),
        Out({"type": evil}),
        In({"type": evil}),
        In({"type": "error", "error": {"code": evil, "message": evil}}),
        In({"type": "session.created", "session": {"model": evil}}),
        transcript(evil, 200),
    )
    assert len(rows) == 10
    assert [row.text for row in rows if any(mark in row.text for mark in "\x1b\x07\x9b\u202e\u2028\n")] == []


def test_moments_of_a_failed_playback_are_told_up_to_where_it_failed() -> None:
    tape = load_cassette(TOOL_CALL)
    moments = moments_of(tape)[:3]
    assert len(with_records(tape, moments, is_whole=False)) == 4
    assert with_records(tape, [], is_whole=False) == []


@pytest.mark.behaviour("timeline-tells-a-call")
def test_moments_are_told_in_the_order_of_the_tape_however_they_passed() -> None:
    tape = load_cassette(TOOL_CALL)
    moments = moments_of(tape)
    jumbled = sorted(moments, key=lambda moment: moment.direction)
    assert with_records(tape, jumbled) == with_records(tape, moments)
