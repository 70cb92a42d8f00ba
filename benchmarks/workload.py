"""The workload: one 60 s reply of 825 events. In: nothing. Out: messages as bytes, the same in every run."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path

import pybase64

from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.records import Header
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.frames import Frame

__all__ = ["CHUNK_BYTES", "MIC_FRAME", "STT_FRAME", "chat_events", "inline_tape", "messages", "speech_messages", "tape"]

CHUNK_BYTES = 4_800
"""100 ms of 24 kHz PCM16."""
MODEL = "grok-voice-latest"
AUDIO_DELTAS = 600
CHAT_WORDS = 400
TRANSCRIPT_DELTAS = 205
_random = random.Random(60)
MIC_FRAME = _random.randbytes(960)
"""20 ms of 24 kHz PCM16."""
STT_FRAME = random.Random(16).randbytes(3_200)
"""100 ms of 16 kHz PCM16."""


def _uuid() -> str:
    return str(uuid.UUID(bytes=_random.randbytes(16), version=4))


def messages() -> list[bytes]:
    """The server's messages: session, one spoken reply with interleaved transcript, a function call, usage."""
    _random.seed(60)
    item, response, call = _uuid(), _uuid(), f"call-{_uuid()}-0"
    place = {"response_id": response, "output_index": 0}
    ids = {**place, "item_id": item, "content_index": 0}
    rows: list[dict[str, object]] = [
        {"type": "session.created", "session": {"id": "0" * 32, "object": "realtime.session", "model": MODEL}},
        {"type": "conversation.created", "conversation": {"id": _uuid(), "object": "realtime.conversation"}},
        {"type": "ping", "timestamp": 1785214084929},
        {"type": "session.updated", "session": {"model": MODEL, "turn_detection": {"type": "server_vad"}}},
        {"type": "response.created", "response": _response(response, "in_progress")},
        {"type": "response.output_item.added", **place, "item": _item(item, "in_progress")},
        {"type": "conversation.item.added", "item": {**_item(item, "in_progress"), "content": []}},
        {"type": "response.content_part.added", **ids, "part": {"type": "audio", "transcript": ""}},
    ]  # fmt: skip
    spoken = 0
    for index in range(AUDIO_DELTAS):
        audio = pybase64.b64encode_as_string(_random.randbytes(CHUNK_BYTES))
        delta = {"delta": audio, "rid": _uuid(), "audio_duration_ms": 100, "ts": 1785214086092 + 100 * index}
        rows.append({"type": "response.output_audio.delta", **ids, **delta})
        while spoken * AUDIO_DELTAS < (index + 1) * TRANSCRIPT_DELTAS and spoken < TRANSCRIPT_DELTAS:
            end = "." if spoken % 10 == 9 else ""
            rows.append({"type": "response.output_audio_transcript.delta", **ids, "delta": f"some words {spoken}{end} ",
                         "rid": _uuid(), "start_time": spoken * 0.3})  # fmt: skip
            spoken += 1
    rows += [
        {"type": "response.output_audio_transcript.done", **ids, "transcript": "some words " * TRANSCRIPT_DELTAS},
        {"type": "response.content_part.done", **ids},
        {"type": "response.output_audio.done", **ids},
        {"type": "response.output_item.done", **place, "item": _item(item, "completed")},
        *_call(response, call),
        {"type": "response.done", "response_id": response, "usage": _USAGE,
         "response": _response(response, "completed")},
        {"type": "ping", "timestamp": 1785214146929},
    ]  # fmt: skip
    return [json.dumps({**row, "event_id": _uuid(), "previous_item_id": None}).encode() for row in rows]


def speech_messages() -> list[bytes]:
    """60 s of speech from the text-to-speech socket, in pieces of 100 ms."""
    source = random.Random(61)
    pieces = (pybase64.b64encode_as_string(source.randbytes(CHUNK_BYTES)) for _ in range(AUDIO_DELTAS))
    rows = [{"type": "audio.delta", "delta": piece} for piece in pieces]
    return [json.dumps(row).encode() for row in [*rows, {"type": "audio.done", "trace_id": "bench"}]]


def chat_events() -> list[bytes]:
    """A streamed answer of 400 words as server-sent events: thought, words, why it ended, usage, the end."""
    head = {"id": "5a0e8d2c-7d0b-4f6e-9c59-3f1a0c2b7d11", "object": "chat.completion.chunk", "created": 1785214086}
    rest = {"system_fingerprint": "fp_44968622fb"}

    def chunk(choices: list[dict[str, object]], **more: object) -> bytes:
        row = {**head, "model": "grok-4.6", "choices": choices, **rest, **more}
        return b"data: " + json.dumps(row, separators=(",", ":")).encode() + b"\n\n"

    deltas: list[dict[str, object]] = [{"role": "assistant", "reasoning_content": "Let "}]
    deltas += [{"reasoning_content": f"me think {at} "} for at in range(20)]
    deltas += [{"content": f"word{at}{'.' if at % 10 == 9 else ''} "} for at in range(CHAT_WORDS)]
    usage = {
        "prompt_tokens": 156,
        "completion_tokens": CHAT_WORDS,
        "total_tokens": 156 + CHAT_WORDS + 21,
        "prompt_tokens_details": {"text_tokens": 156, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 128},
        "completion_tokens_details": {"reasoning_tokens": 21, "audio_tokens": 0},
        "num_sources_used": 0,
        "cost_in_usd_ticks": 980000,
    }
    return [
        *(chunk([{"index": 0, "delta": delta}]) for delta in deltas),
        chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        chunk([], usage=usage),
        b"data: [DONE]\n\n",
    ]


def _response(name: str, status: str) -> dict[str, object]:
    shape = {"id": name, "object": "realtime.response", "status": status, "status_details": "unimplemented"}
    return {**shape, "output": [], "usage": {}}


def _item(name: str, status: str) -> dict[str, object]:
    return {"id": name, "object": "realtime.item", "type": "message", "status": status, "role": "assistant"}


def _call(response: str, call: str) -> list[dict[str, object]]:
    name = _uuid()
    place = {"response_id": response, "output_index": 0}
    shape = {"id": name, "object": "realtime.item", "type": "function_call", "call_id": call, "name": "get_tide"}
    arguments = '{"harbour":"Dover"}'
    return [
        {"type": "response.output_item.added", **place, "item": {**shape, "arguments": ""}},
        {"type": "conversation.item.added", "item": {**shape, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "response_id": response, "item_id": name, "call_id": call,
         "delta": arguments},
        {"type": "response.function_call_arguments.done", "response_id": response, "item_id": name, "call_id": call,
         "name": "get_tide", "arguments": arguments},
        {"type": "response.output_item.done", **place, "item": {**shape, "arguments": arguments}},
    ]  # fmt: skip


_USAGE = {
    "input_tokens": 156,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 146, "grok_tokens": 0},
    "output_tokens": 185,
    "output_token_details": {"text_tokens": 15, "audio_tokens": 170, "grok_tokens": 0},
    "total_tokens": 341,
    "output_audio_seconds": 60.0,
    "billable_audio_seconds": 60,
}


def tape(folder: Path, rows: list[bytes]) -> Path:
    """A 60 s tape of these messages."""
    header = Header(origin="synthetic", recorded_at="2026-01-01T00:00:00Z")
    writer = CassetteWriter(folder / "workload.jsonl", header, Redactor(environ={}), IdNames())
    writer.open(1, 0.0, "wss://api.x.ai/v1/realtime?model=grok-voice-latest")
    for index, row in enumerate(rows):
        writer.frame(1, 60_000 * (index + 1) / len(rows), "in", Frame(row))
    return writer.finish()


def inline_tape(folder: Path, rows: list[bytes]) -> Path:
    """The same as plain JSON lines with the audio inline: what the sidecar is compared with."""
    path = folder / "inline.jsonl"
    path.write_bytes(b"".join(b'{"at_ms":0,"dir":"in","json":' + row + b"}\n" for row in rows))
    return path
