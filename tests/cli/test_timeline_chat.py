"""The timeline and the report of chat tapes: the conversation, however the answers ended."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.http.peers import KEY
from tests.tapes import BACKENDS, on
from tools.own_chat import MODEL, brain
from xai_realtime import AsyncClient, record
from xai_realtime.cassette.records import (
    HttpChunkRecord,
    HttpDoneRecord,
    HttpRequestRecord,
    HttpResponseRecord,
)
from xai_realtime.cassette.tape import TapedExchange, load_cassette
from xai_realtime.chat.taped import ChatTape, TapedChat, chat_items, chat_transcripts, chats_of, message_text
from xai_realtime.cli.reports import check_tape, tape_to_json
from xai_realtime.cli.timeline import timeline
from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.errors import RemoteProtocolError
from xai_realtime.player import play

FOLDER = Path(__file__).resolve().parents[2] / "cassettes" / "chat"
QUESTION = "Which is the longer day, 21 June or 21 July?"


def tape(name: str) -> Path:
    return FOLDER / f"emulator_{name}.jsonl"


def rows(*exchanges: TapedExchange) -> list[str]:
    found = timeline(exchanges, service="chat")
    return [f"{row.at_ms:.0f} {row.who}: {row.text}" + (f" [{row.note}]" if row.note else "") for row in found]


def shown(name: str) -> list[str]:
    return rows(*load_cassette(tape(name)).exchanges.values())


@pytest.mark.behaviour("chat-tapes-timeline")
def test_timeline_tells_a_run_as_the_conversation_it_is() -> None:
    asked = "You: (POST /v1/chat/completions) [grok-4.6 · streamed · tools get_wind, get_swell, get_tide]"
    assert shown("parallel_tools") == [
        f"0 {asked}",
        "0 You: How is the sea at Sines?",
        "0 Grok: (thinks for 0.30 s)",
        "300 Grok: Let me look.",
        '360 Grok: calls get_wind(place="Sines")',
        '360 Grok: calls get_swell(place="Sines")',
        '360 Grok: calls get_tide(place="Sines")',
        "360 session: usage: 42 tokens in, 41 tokens out (32 thought) · 0.00033 USD",
        f"660 {asked}",
        "660 tool: 9 knots [get_wind]",
        "660 tool: two metres [get_swell]",
        "660 tool: high at 16:40 [get_tide]",
        "660 Grok: (thinks for 0.30 s)",
        "960 Grok: That is 9 knots two metres high at 16:40.",
        "1120 session: usage: 91 tokens in, 41 tokens out (32 thought) · 0.000428 USD",
    ]


@pytest.mark.behaviour("chat-tapes-timeline")
def test_timeline_tells_thoughts_instructions_errors_and_what_was_left() -> None:
    assert "0 Grok: (thinks for 0.38 s): Midsummer is in June." in shown("stream")
    assert "0 session: instructions: Be brief." in shown("answer")
    assert "360 You: (stop Grok)" in shown("cancelled")
    broken = "session: the answer breaks off: The service is currently unavailable: A failure that was asked for."
    assert f"360 {broken}" in shown("error_midway")
    assert "0 You: (POST /v1/chat/completions) [grok-4.6 · streamed · answer as Tide]" in shown("structured")
    assert shown("turned_away")[1:4] == [
        "0 You: And at Lagos?",
        "0 session: HTTP 429: A refusal that was asked for.",
        "2000 You: (POST /v1/chat/completions) [grok-4.6 · streamed]",
    ]
    later = shown("deferred")
    assert "0 session: the answer is to be fetched as request_2" in later
    assert "0 session: the answer is not ready" in later
    assert "1000 Grok: On the north side, where it is damp." in later
    assert shown("models")[1::2][:2] == ["0 session: 8 models", "0 session: HTTP 200, 72 bytes"]


def exchange(body: Any, *pieces: str, kind: str = "text/event-stream", error: str | None = None) -> TapedExchange:
    """One request at 0 ms whose pieces came from 100 ms on, 10 ms apart."""
    url = "https://api.x.ai/v1/chat/completions"
    request = HttpRequestRecord(1, 0.0, "POST", url, {}, body)
    response = HttpResponseRecord(1, 90.0, 200, {"content-type": kind})
    chunks = [HttpChunkRecord(1, 100.0 + 10 * place, piece) for place, piece in enumerate(pieces)]
    return TapedExchange(1, request, response, chunks, HttpDoneRecord(1, 500.0, error, reason="gone"))


def piece(**choice: Any) -> str:
    return "data: " + json.dumps({"id": "a", "choices": [{"index": 0, **choice}]}) + "\n\n"


def asking(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


ASKED = {"role": "user", "content": "Hello"}
DONE = "data: [DONE]\n\n"


@pytest.mark.behaviour("chat-tapes-timeline")
@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            exchange(asking(ASKED), piece(delta={"content": "Hi"}), error="broken"),
            ["100 Grok: Hi", "500 session: the answer breaks off: connection broken (no close code, gone)"],
        ),
        (
            exchange(asking(ASKED), piece(delta={"content": "Hi"}, finish_reason="length"), DONE),
            ["100 Grok: Hi [truncated (length)]"],
        ),
        (exchange(asking(ASKED), piece(delta={"content": "Hi"})), ["100 Grok: Hi [truncated (cut)]"]),
        (
            exchange(asking(ASKED), piece(delta={"refusal": "No"}, finish_reason="stop"), DONE),
            ["100 Grok: No [refuses · refused (refusal)]"],
        ),
        (exchange(asking(ASKED), DONE), ["100 Grok: (the answer is truncated (empty))"]),
        (
            exchange(asking(ASKED), 'data: {"choices": [{"ind\n\n', piece(delta={"content": "late"})),
            ["100 session: the answer breaks off: a chunk of the answer cannot be read: "],
        ),
        (
            exchange(asking(ASKED), '{"code": "x", "error": "busy"}', kind="application/json"),
            ["90 session: HTTP 200: busy"],
        ),
        (exchange(asking(ASKED), "<html>", kind="text/html"), ["90 session: HTTP 200, 6 bytes"]),
        (
            exchange(
                asking(ASKED, response_format={"type": "json_object"}, deferred=True), "{}", kind="application/json"
            ),
            ["90 session: HTTP 200, 2 bytes"],
        ),
    ],
)
def test_timeline_tells_how_an_answer_ended(made: TapedExchange, told: list[str]) -> None:
    found = [row for row in rows(made)[2:] if "thinks" not in row]
    assert len(found) == len(told)
    assert all(row.startswith(start) for row, start in zip(found, told, strict=True)), found


@pytest.mark.behaviour("chat-tapes-timeline")
def test_timeline_tells_history_other_choices_and_what_is_no_text() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "ring", "arguments": "{}"}}
    history = [
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": "Earlier.", "tool_calls": [call, 7]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url"}, 3]},
        7,
    ]
    two = "data: " + json.dumps({"choices": [{"index": 1, "delta": {"content": "B"}}]}) + "\n\n"
    made = exchange(asking(*history), piece(delta={"content": "A"}), two, DONE)  # type: ignore[arg-type]
    assert rows(made)[1:] == [
        "0 session: instructions: Be brief.",
        "0 Grok: Earlier. [history]",
        "0 Grok: calls ring() [history]",
        "0 tool: (gives nothing back) [ring]",
        "0 You: What is this? (image_url)",
        "0 Grok: (thinks for 0.10 s)",
        "100 Grok: A [choice 0]",
        "110 Grok: B [choice 1]",
    ]


@pytest.mark.behaviour("chat-tapes-timeline")
def test_reader_of_a_tape_leaves_out_what_it_told_before_and_keeps_what_was_heard() -> None:
    talk = ChatTape()
    first = talk.read(exchange(asking(ASKED), piece(delta={"content": "Hi there."}, finish_reason="stop"), DONE))
    again = {"role": "user", "content": "Again"}
    cut = {"role": "assistant", "content": "Hi"}
    second = talk.read(exchange(asking(ASKED, {"role": "assistant", "content": "Hi there."}, again), DONE))
    third = talk.read(exchange(asking(ASKED, cut, again), DONE))
    assert [chat.new for chat in (first, second, third) if isinstance(chat, TapedChat)] == [
        (ASKED,),
        (again,),
        (cut, again),
    ]
    assert message_text({"content": None}) == ""


def test_tape_of_a_huge_event_is_invalid_and_not_read_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xai_realtime.chat.taped.MAX_EVENT_BYTES", 50)
    (chat,) = chats_of([exchange(asking(ASKED), piece(delta={"content": "x" * 60}))])
    assert chat.invalid_events == 1
    assert chat.reply is not None
    assert chat.reply.text == ""


def test_request_without_an_answer_is_a_chat_of_which_nothing_came() -> None:
    made = exchange(asking(ASKED))
    made.response = None
    (chat,) = chats_of([made])
    assert (chat.end, chat.reply, list(chat_transcripts(chat))) == ("nothing", None, [("user", "Hello")])
    assert [item["kind"] for item in chat_items(chat)] == ["message"]


@pytest.mark.behaviour("chat-tapes-timeline")
@BACKENDS
def test_report_of_a_playback_lists_items_calls_words_and_usage(backend: str) -> None:
    report = on(backend, partial(play, load_cassette(tape("parallel_tools")), clock="virtual")).to_json()
    kinds = ["message", "message"] + ["function_call"] * 3 + ["function_call_output"] * 3 + ["message"]
    assert [item["kind"] for item in report["items"]] == kinds
    assert [(call["name"], call["output"]) for call in report["tool_calls"]] == [
        ("get_wind", "9 knots"),
        ("get_swell", "two metres"),
        ("get_tide", "high at 16:40"),
    ]
    assert [entry["role"] for entry in report["transcripts"]] == ["user", "assistant", "assistant"]
    assert report["usage"]["total_tokens"] == 215
    assert report["usage"]["cost_in_usd_ticks"] == 7_580_000
    folded = tape_to_json(load_cassette(tape("parallel_tools")))
    assert {name: folded[name] for name in ("items", "tool_calls", "transcripts", "usage", "digest")} == {
        name: report[name] for name in ("items", "tool_calls", "transcripts", "usage", "digest")
    }
    assert folded["model"] == MODEL


def test_check_finds_an_answer_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    quirks = ChatQuirks(fails_after=2, failure="malformed")

    async def main() -> None:
        taping = record(path, Emulator(brain, seed=1, chat=quirks).transport(), origin="emulator", service="chat")
        async with AsyncClient(transport=taping, api_key=KEY) as client:
            async with client.chat.stream(MODEL, QUESTION) as stream:
                with pytest.raises(RemoteProtocolError):
                    await stream.finish()

    on("asyncio", main)
    (finding,) = check_tape(path).findings
    assert (finding.check, finding.line) == ("received", 2)
