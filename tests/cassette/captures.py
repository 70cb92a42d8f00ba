"""Captures as other tools make them, and what the tests of importing look at."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.records import FrameRecord
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.errors import CassetteFormatError
from xai_realtime.player import Playback, play

__all__ = [
    "CREATE",
    "CREATED",
    "EVENTS",
    "PING",
    "RECORDINGS",
    "UUID",
    "as_jsonl",
    "as_yaml",
    "audio",
    "check",
    "delta",
    "frames",
    "played",
    "received",
    "refused",
    "sent",
    "tape_of",
    "tape_of_into",
    "values",
]

UUID = "0f5efcd5-76f1-4a00-9cac-d907e17d44{:02x}"


RECORDINGS = [
    "audio_in_server_vad_turn",
    "history_seeding_parity_current",
    "session_resumption_after_drop",
    "text_in_audio_out_turn",
    "tool_call_round",
]


CREATED = {"type": "session.created", "event_id": UUID.format(1), "session": {"id": UUID.format(2)}}


PING = {"type": "ping", "event_id": UUID.format(3), "timestamp": 1785214092700}


CREATE = {"type": "response.create"}


def audio(size_bytes: int) -> str:
    return base64.b64encode(bytes(index % 251 for index in range(size_bytes))).decode()


def delta(size_bytes: int, **more: Any) -> dict[str, Any]:
    ids = {"item_id": UUID.format(4), "response_id": UUID.format(5), "output_index": 0, "content_index": 0}
    return {
        "type": "response.output_audio.delta",
        "event_id": UUID.format(6),
        "delta": audio(size_bytes),
        **ids,
        **more,
    }


def received(data: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "message", "direction": "received", "data": data, **more}


def sent(data: Any, **more: Any) -> dict[str, Any]:
    return {"kind": "message", "direction": "sent", "data": data, **more}


def as_yaml(folder: Path, *interactions: dict[str, Any], **more: Any) -> Path:
    path = folder / "capture.yaml"
    text = yaml.safe_dump({"version": 1, "interactions": list(interactions), **more}, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path


def as_jsonl(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "capture.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def tape_of(source: Path, **options: Any) -> Cassette:
    return load_cassette(import_capture(source, source.parent / "tape.jsonl", **options).path)


def frames(cassette: Cassette) -> list[FrameRecord]:
    return [record for record in cassette.records if isinstance(record, FrameRecord)]


def values(cassette: Cassette) -> list[Any]:
    return [(record.direction, cassette.value(record)) for record in frames(cassette)]


async def played(cassette: Cassette) -> Playback:
    with anyio.fail_after(5):
        return await play(cassette)


def check(playback: Playback) -> None:
    report = playback.to_json()
    counts = {name: report[name] for name in ("unknown_events", "invalid_events", "unread", "unsent")}
    assert counts == dict.fromkeys(counts, 0)


def refused(folder: Path, text: str | bytes, name: str = "capture.yaml") -> CassetteFormatError:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CassetteFormatError) as caught:
        import_capture(path, folder / "tape.jsonl")
    assert caught.value.path == str(path)
    assert not (folder / "tape.jsonl").exists()
    return caught.value


def tape_of_into(source: Path, target: Path, **options: Any) -> Cassette:
    return load_cassette(import_capture(source, target, **options).path)


EVENTS: list[dict[str, Any]] = [
    {"type": "input_audio_buffer.cleared"},
    {"type": "input_audio_buffer.dtmf_event_received", "event": "#", "received_at": 1785214092},
    {"type": "input_audio_buffer.timeout_triggered", "item_id": UUID.format(9), "audio_start_ms": 0, "audio_end_ms": 4},
    {"type": "conversation.item.deleted", "item_id": ""},
    {"type": "conversation.item.truncated", "item_id": UUID.format(9), "content_index": 0, "audio_end_ms": 20},
    {"type": "mcp_list_tools.failed", "item_id": UUID.format(9), "error": {"type": "x", "message": "y"}},
    {"type": "response.output_text.delta", "item_id": UUID.format(9), "response_id": UUID.format(8), "delta": "hé"},
    {"type": "error", "event_id": UUID.format(7), "error": {"type": "invalid_event", "message": "no", "code": None}},
    PING,
    delta(480, audio_duration_ms=10),
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "conversation.item.delete", "item_id": UUID.format(9)},
    {"type": "conversation.item.truncate", "item_id": UUID.format(9), "content_index": 0, "audio_end_ms": 20},
    {"type": "response.cancel", "response_id": UUID.format(8)},
    {"type": "input_audio_buffer.append", "audio": audio(96)},
    CREATE,
]
