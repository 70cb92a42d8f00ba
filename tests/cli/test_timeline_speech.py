"""The timeline of the two speech sockets: what was said, what was spoken, what went wrong."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.tapes import Close, Entry, In, Open, Out, make_tape
from xai_realtime.cli.reports import tape_to_json
from xai_realtime.frames import Frame

pytestmark = pytest.mark.behaviour("tape-speech-timeline")

STT = "wss://api.x.ai/v1/stt?sample_rate=8000"
TTS = "wss://api.x.ai/v1/tts?language=en&codec=pcm"
HALF_SECOND = bytes(24_000)


def told(folder: Path, *entries: Entry, service: str = "realtime") -> list[str]:
    rows = tape_to_json(make_tape(folder / "t.jsonl", *entries, service=service))["timeline"]
    return [f"{row['who']}: {row['text']}" + (f" [{row['note']}]" if row["note"] else "") for row in rows]


def partial(text: str, is_final: bool, speech_final: bool, **more: Any) -> In:
    flags = {"is_final": is_final, "speech_final": speech_final}
    return In({"type": "transcript.partial", "text": text, **flags, **more})


def audio(data: bytes = HALF_SECOND, at_ms: float | None = None) -> In:
    return In({"type": "audio.delta", "delta": base64.b64encode(data).decode()}, at_ms)


def test_timeline_of_speech_to_text_tells_what_stands(tmp_path: Path) -> None:
    assert told(
        tmp_path,
        Open(url=STT),
        In({"type": "transcript.created", "id": "x"}),
        Out(Frame(bytes(8000), False)),
        Out(Frame(bytes(8000), False)),
        partial("No", False, False),
        partial("No", True, False),
        partial("No, I'm not.", True, True),
        partial("", True, True),
        Out({"type": "finalize"}),
        partial("Not me.", True, True, channel_index=1),
        Out({"type": "audio.done"}),
        In({"type": "transcript.done", "text": "", "duration": 1.0, "channel_index": 0}),
        In({"type": "transcript.done", "text": "tail", "channel_index": 1}),
        Close("server"),
    ) == [
        "session: ready to listen",
        "You: (microphone on) [1.00 s of audio in 2 pieces]",
        "You: No, I'm not.",
        "You: (end the utterance)",
        "You: Not me. [channel 1]",
        "You: (have no more audio)",
        "session: all is written down, 1.00 s of audio [channel 0]",
        "You: tail [channel 1]",
        "session: all is written down [channel 1]",
        "session: the service hangs up (1000)",
    ]


def test_timeline_of_text_to_speech_joins_the_pieces_of_an_utterance(tmp_path: Path) -> None:
    assert told(
        tmp_path,
        Open(url=TTS),
        Out({"type": "session.update", "replace": {"xAI": "ex A I", "SDK": "S D K"}}),
        In({"type": "session.updated", "replace": {}}),
        Out({"type": "text.delta", "delta": "Hello "}, 100),
        Out({"type": "text.delta", "delta": "there"}),
        Out({"type": "text.delta", "delta": 5}),
        Out({"type": "text.done"}),
        In({"type": "audio.delta", "audio_timestamps": {}}),
        audio(at_ms=400),
        audio(),
        In({"type": "audio.done"}),
        Out({"type": "text.delta", "delta": "Again"}),
        audio(),
        Out({"type": "text.clear"}),
        In({"type": "audio.clear"}),
        In({"type": "audio.clear"}),
        Close(),
    ) == [
        "session: pronunciation of 2 phrases",
        "You: Hello there [to be spoken]",
        "Grok: (thinks for 0.30 s)",
        "Grok: (speaks) [1.00 s of speech]",
        "You: Again [to be spoken]",
        "Grok: (speaks) [0.50 s of speech · interrupted]",
        "You: (stop Grok)",
        "session: you hang up (1000)",
    ]


@pytest.mark.parametrize("url", [STT, TTS])
@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"message": "timed out"}, "error: timed out"),
        ({"error": "timed out"}, "error: timed out"),
        ({"error": {"message": "timed out"}}, "error: timed out"),
        ({"error": {}}, "error"),
        ({}, "error"),
    ],
)
def test_timeline_tells_errors_of_speech_sockets(tmp_path: Path, url: str, event: dict[str, Any], text: str) -> None:
    assert told(tmp_path, Open(url=url), In({"type": "error", **event}), Close())[0] == f"session: {text}"


def test_timeline_tells_unreadable_speech_and_unknown_events(tmp_path: Path) -> None:
    rows = told(
        tmp_path,
        Open(url=TTS),
        In({"type": "audio.delta", "delta": "@@@"}),
        In({"type": "transcript.done"}),
        In({"type": "audio.delta", "delta": 5}),
        Close(),
    )
    assert rows[0].startswith("session: unreadable audio: ")
    assert rows[1:3] == [
        "session: unknown event transcript.done",
        "session: unreadable audio.delta at delta: Input should be a valid string",
    ]


@pytest.mark.parametrize(
    ("query", "length"),
    [
        ("encoding=opus", ""),
        ("sample_rate=many", ""),
        ("multichannel=true&channels=two", ""),
        ("multichannel=true&channels=0", ""),
        ("encoding=mulaw", "0.50 s of audio in "),
        ("encoding=alaw&sample_rate=8000", "1.00 s of audio in "),
        ("sample_rate=8000&multichannel=true&channels=2", "0.25 s of audio in "),
        ("sample_rate=8000&multichannel=false&channels=2", "0.50 s of audio in "),
    ],
)
def test_timeline_states_the_length_of_raw_audio_whatever_its_format(tmp_path: Path, query: str, length: str) -> None:
    entries = (Open(url=f"wss://gateway.example/voice?{query}"), Out(Frame(bytes(8000), False)), Close())
    assert told(tmp_path, *entries, service="stt")[0] == f"You: (microphone on) [{length}1 piece]"
