"""Times of a capture, and whether its audio is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cassette.captures import (
    CREATE,
    CREATED,
    EVENTS,
    PING,
    as_jsonl,
    as_yaml,
    audio,
    delta,
    frames,
    received,
    sent,
    tape_of,
)
from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.tape import load_cassette


@pytest.mark.behaviour("import-times")
@pytest.mark.parametrize(
    ("key", "times", "expected"),
    [
        ("at_ms", [0, 1.5, 20], [0, 1.5, 20]),
        ("t", [10, 20, 35], [0, 10, 25]),
        ("t", [0.5, 1, 2.25], [0, 500, 1750]),
        ("t", [10_000.5, 10_001, 10_002], [0, 0.5, 1.5]),
        ("timestamp", [1785214092.7, 1785214092.8, 1785214093.0], [0, 100, 300]),
        ("ts", [1785214092700, 1785214092800, 1785214093000], [0, 100, 300]),
        ("time", [1785214092700_000, 1785214092800_001, 1785214093000_000], [0, 100.001, 300]),
        ("time", [1785214092700_000_000, 1785214092800_000_000, 1785214093000_000_000], [0, 100, 300]),
        ("at", ["2026-07-28T04:48:12.7Z", "2026-07-28T06:48:12.8+02:00", "2026-07-28T04:48:13"], [0, 100, 300]),
        ("t", ["0.0", "0.25", "0.5"], [0, 250, 500]),
        ("t", [5, 3, 9], [0, 0, 4]),
    ],
)
def test_given_times_are_used_in_the_unit_they_are_in(
    key: str, times: list[Any], expected: list[float], tmp_path: Path
) -> None:
    told = [("in", CREATED), ("out", CREATE), ("in", EVENTS[0])]
    lines = [{"dir": way, "data": data, key: time} for (way, data), time in zip(told, times, strict=True)]
    report = import_capture(as_jsonl(tmp_path, *lines), tmp_path / "tape.jsonl")
    tape = load_cassette(report.path)
    assert [record.at_ms for record in frames(tape)] == pytest.approx(expected, abs=0.0011)
    assert tape.connections[1].open.at_ms == 0
    assert (report.timing, report.moved) == ("recorded", int(times == [5, 3, 9]))


@pytest.mark.behaviour("import-times")
def test_at_of_a_yaml_capture_is_in_seconds_across_its_connections(tmp_path: Path) -> None:
    close = {"kind": "close", "code": 1011, "ok": False, "at": 2.0}
    source = as_yaml(tmp_path, received(CREATED, at=0.0), sent(CREATE, at=1.0), close, received(CREATED, at=5.0))
    report = import_capture(source, tmp_path / "tape.jsonl")
    assert [record.at_ms for record in load_cassette(report.path).records] == [0, 0, 1000, 2000, 5000, 5000]
    assert report.timing == "recorded"


@pytest.mark.behaviour("import-times")
@pytest.mark.parametrize(("times", "factor"), [([1, 2, 3], 1000), ([1000, 2000, 3000], 1)])
def test_unit_of_given_times_agrees_with_the_times_inside_the_events(
    times: list[int], factor: int, tmp_path: Path
) -> None:
    events = [PING, CREATE, {**PING, "timestamp": PING["timestamp"] + 2100}]  # type: ignore[operator]
    lines = [{"data": event, "t": time} for event, time in zip(events, times, strict=True)]
    assert [record.at_ms for record in frames(tape_of(as_jsonl(tmp_path, *lines)))] == [
        (time - times[0]) * factor for time in times
    ]


@pytest.mark.behaviour("import-times")
def test_missing_times_are_spread_between_those_that_are_there(tmp_path: Path) -> None:
    lines = [{"data": CREATED}, {"data": PING, "t": 100}, {"data": CREATE}, {"data": PING, "t": 200}, {"data": PING}]
    report = import_capture(as_jsonl(tmp_path, *lines), tmp_path / "tape.jsonl")
    assert [record.at_ms for record in frames(load_cassette(report.path))] == [10, 20, 70, 120, 130]
    assert report.timing == "estimated"


@pytest.mark.behaviour("import-times")
def test_epoch_times_win_over_others_in_one_capture(tmp_path: Path) -> None:
    lines = [
        {"data": CREATED, "at_ms": 5},
        {"data": PING, "at": "2026-01-01T00:00:00Z"},
        {"data": CREATE, "t": 1767225600.5},
    ]
    tape = tape_of(as_jsonl(tmp_path, *lines))
    assert [record.at_ms for record in frames(tape)] == [10, 20, 520]
    assert tape.header.recorded_at == "2025-12-31T23:59:59Z"


@pytest.mark.behaviour("import-times")
def test_estimate_lets_stray_times_inside_events_be(tmp_path: Path) -> None:
    start = 1785214092700
    strays = [start, start - 5, start + 200_000_000, start + 30, 10, True, 10**400]
    events = [{**PING, "timestamp": time} for time in strays]
    report = import_capture(as_jsonl(tmp_path, CREATED, *events), tmp_path / "tape.jsonl")
    tape = load_cassette(report.path)
    assert [record.at_ms for record in frames(tape)] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert report.moved == 2


def test_capture_without_any_time_counts_steps(tmp_path: Path) -> None:
    tape = tape_of(as_jsonl(tmp_path, CREATED, CREATE))
    assert [record.at_ms for record in frames(tape)] == [10, 20]
    assert tape.header.recorded_at is None


def update(form: dict[str, Any], side: str) -> dict[str, Any]:
    return {"type": "session.update", "session": {"audio": {side: {"format": form}}}}


@pytest.mark.behaviour("import-media")
@pytest.mark.parametrize(
    ("events", "media"),
    [
        ([delta(4800, audio_duration_ms=100)], "full"),
        ([delta(2500, audio_duration_ms=100)], "full"),
        ([delta(2300, audio_duration_ms=100)], "shortened"),
        ([delta(4800, audio_duration_ms=100), delta(33, audio_duration_ms=31)], "shortened"),
        ([delta(33, audio_duration_ms=15)], "full"),
        ([delta(33)], "full"),
        ([delta(33, audio_duration_ms=True)], "full"),
        ([{**delta(0, audio_duration_ms=100), "delta": "AAA"}], "shortened"),
        ([{**delta(0, audio_duration_ms=100), "delta": None}], "shortened"),
        ([update({"type": "audio/pcm", "rate": 8000}, "output"), delta(1600, audio_duration_ms=100)], "full"),
        ([update({"type": "audio/pcmu"}, "output"), delta(800, audio_duration_ms=100)], "full"),
        ([update({"type": "audio/opus"}, "output"), delta(80, audio_duration_ms=100)], "full"),
        ([update({"type": 5}, "output"), delta(80, audio_duration_ms=100)], "full"),
        ([{"type": "input_audio_buffer.append", "audio": audio(33)},
          {"type": "input_audio_buffer.speech_stopped", "item_id": "x", "audio_end_ms": 432}], "shortened"),
        ([{"type": "input_audio_buffer.append", "audio": audio(20736)},
          {"type": "input_audio_buffer.speech_stopped", "item_id": "x", "audio_end_ms": 432}], "full"),
        ([update({"type": "audio/opus"}, "input"), {"type": "input_audio_buffer.append", "audio": audio(33)},
          {"type": "input_audio_buffer.speech_stopped", "item_id": "x", "audio_end_ms": 432}], "full"),
    ],
)  # fmt: skip
def test_media_are_called_shortened_when_the_events_contradict_the_bytes(
    events: list[dict[str, Any]], media: str, tmp_path: Path
) -> None:
    tape = tape_of(as_jsonl(tmp_path, CREATED, *events))
    assert tape.header.media == media


@pytest.mark.behaviour("import-media")
def test_binary_input_counts_as_audio_and_a_word_of_the_caller_wins(tmp_path: Path) -> None:
    stopped = {"type": "input_audio_buffer.speech_stopped", "item_id": "x", "audio_end_ms": 100}
    binary = {"kind": "binary", "direction": "sent", "data": audio(4800)}
    source = as_yaml(tmp_path, received(CREATED), sent("text"), binary, received(stopped))
    assert tape_of(source).header.media == "full"
    assert tape_of(source, media="shortened").header.media == "shortened"
