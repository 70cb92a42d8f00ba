"""The timeline of HTTP requests: what was asked for, what came back, and how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tapes import header
from xai_realtime.cassette.records import (
    HttpChunkRecord,
    HttpDoneRecord,
    HttpRequestRecord,
    HttpResponseRecord,
    MediaRef,
)
from xai_realtime.cassette.tape import TapedExchange, load_cassette
from xai_realtime.cli.reports import tape_to_json
from xai_realtime.cli.timeline import timeline

pytestmark = pytest.mark.behaviour("timeline-requests")

CASSETTES = Path(__file__).resolve().parents[2] / "cassettes"
API = "https://api.x.ai/v1"


def told(
    path: str, body: Any, status: int | None, *pieces: str | int, error: str | None = None, method: str = "POST"
) -> list[str]:
    """The rows of one exchange; a piece is a text, or so many bytes."""
    request = HttpRequestRecord(1, 0.0, method, path if "://" in path else f"{API}{path}", {}, body)
    response = None if status is None else HttpResponseRecord(1, 20.0, status)
    chunks = [
        HttpChunkRecord(1, 20.0, piece)
        if isinstance(piece, str)
        else HttpChunkRecord(1, 20.0, None, MediaRef("x.raw", 0, piece))
        for piece in pieces
    ]
    exchange = TapedExchange(1, request, response, chunks, HttpDoneRecord(1, 30.0, error, reason="read"))
    rows = timeline([exchange], service=header().service)
    return [f"{row.at_ms:.0f} {row.who}: {row.text}" + (f" [{row.note}]" if row.note else "") for row in rows]


def spoken(**form: Any) -> dict[str, Any]:
    return {"text": "Hello.", "output_format": form}


@pytest.mark.parametrize(
    ("body", "pieces", "what"),
    [
        (spoken(codec="pcm", sample_rate=8000), (16_000,), "20 Grok: (speaks) [1.00 s of speech]"),
        (spoken(codec="pcm"), (24_000, 24_000), "20 Grok: (speaks) [1.00 s of speech]"),
        (spoken(codec="mulaw", sample_rate=8000), (4000,), "20 Grok: (speaks) [0.50 s of speech]"),
        (spoken(codec="mp3"), (4000,), "20 session: HTTP 200, 4,000 bytes"),
        (spoken(codec=[1]), (4000,), "20 session: HTTP 200, 4,000 bytes"),
        (spoken(codec="pcm", sample_rate=0), (4000,), "20 session: HTTP 200, 4,000 bytes"),
        ({"text": "Hello."}, (4000,), "20 session: HTTP 200, 4,000 bytes"),
        (spoken(codec="mp3"), ('{"audio": "", "dur', 'ation": 2.5}'), "20 Grok: (speaks) [2.50 s of speech]"),
    ],
)
def test_timeline_tells_text_that_was_spoken_over_http(body: Any, pieces: tuple[str | int, ...], what: str) -> None:
    assert told("/tts", body, 200, *pieces) == ["0 You: (POST /v1/tts)", "0 You: Hello. [to be spoken]", what]


def test_timeline_tells_what_was_heard_in_an_upload() -> None:
    upload = {"$media": {"file": "x.raw", "offset": 0, "bytes": 35_499}}
    answer = '{"text": "One two.", "duration": 1.5}'
    assert told("/stt", upload, 200, answer) == [
        "0 You: (POST /v1/stt) [35,499 bytes]",
        "20 You: One two. [1.50 s of audio]",
    ]
    assert told("/stt", upload, 200, '{"text": ""}')[1:] == ["20 You: (nothing is heard)"]
    channels = '{"text": "One two.", "duration": 1.5, "channels": [{"index": 0, "text": "One two."}, {"index": 1}, 2]}'
    assert told("/stt", upload, 200, channels)[1:] == [
        "20 You: One two. [channel 0]",
        "20 You: (nothing is heard) [channel 1 · 1.50 s of audio]",
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('{"error": "No such voice."}', "HTTP 404: No such voice."),
        ('{"code": "x", "error": {"message": "No such voice."}}', "HTTP 404: No such voice."),
        ("<html>busy</html>", "HTTP 404"),
        ("[]", "HTTP 404"),
        ("", "HTTP 404"),
    ],
)
def test_timeline_tells_why_a_request_was_refused(answer: str, text: str) -> None:
    assert told("/tts/voices/x", None, 404, answer, method="GET") == [
        "0 You: (GET /v1/tts/voices/x)",
        f"20 session: {text}",
    ]


def test_timeline_tells_answers_that_break_off_or_never_come() -> None:
    assert told("/tts/voices", None, None, error="timeout", method="GET")[1:] == [
        "30 session: there is no answer: timeout (read)"
    ]
    assert told("/tts/voices", None, 200, "{", error="broken", method="GET")[1:] == [
        "20 session: HTTP 200, 1 bytes",
        "30 session: the answer breaks off: broken (read)",
    ]
    assert told("http://[", None, 200, method="GET")[0] == "0 You: (GET http://[)"


def test_report_of_a_tape_counts_its_requests() -> None:
    told = tape_to_json(load_cassette(CASSETTES / "tts" / "emulator_synthesize_chunks.jsonl"))
    assert [(entry["method"], entry["status"], entry["error"]) for entry in told["requests"]] == [
        ("POST", 200, None),
        ("POST", 404, None),
        ("POST", 422, None),
    ]
    assert [row["text"] for row in told["timeline"]][:3] == [
        "(POST /v1/tts)",
        "Doors open on the left.",
        "(speaks)",
    ]
