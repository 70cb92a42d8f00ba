"""Texts for a terminal, and how wire values are put into words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xai_realtime.cli.text import clean, plain, seconds, shortened
from xai_realtime.cli.wording import (
    audio_bytes_per_s,
    audio_format,
    call_words,
    configured_words,
    counted,
    usage_words,
)
from xai_realtime.events import realtime as wire


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  two   words\n\tand more ", "two words and more"),
        ("naïve 日本 🎙️", "naïve 日本 🎙️"),
        ("\x1b[2J", "\N{REPLACEMENT CHARACTER}[2J"),
        ("a\u202eb\u2066c\x9bd", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d"),
        ("\ud800 \uffff", "\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}"),
        ("soft\u00adhyphen", "soft\u00adhyphen"),
    ],
)
@pytest.mark.behaviour("cli-terminal-safe")
def test_clean_text_is_one_line_that_steers_no_terminal(text: str, wanted: str) -> None:
    assert clean(text) == wanted
    assert clean(wanted) == wanted


def test_shortened_text_ends_in_an_ellipsis_when_it_was_too_long() -> None:
    assert shortened("four", 4) == "four"
    assert shortened("one two three", 8) == "one two…"


@pytest.mark.behaviour("cli-unicode-safe")
def test_plain_text_is_written_in_what_the_stream_can_hold() -> None:
    assert plain("a · b → “c” 日", "utf-8") == "a · b → “c” 日"
    assert plain("a · b → “c” 日", "ascii") == 'a - b -> "c" ?'
    assert plain("café · 1", "latin-1") == "café · 1"
    assert plain("a…", "no-such-encoding") == "a..."


def test_seconds_and_counts_are_read_as_words() -> None:
    assert [seconds(0), seconds(2079.9)] == ["0.00 s", "2.08 s"]
    assert [counted(1, "tape"), counted(2, "tape")] == ["1 tape", "2 tapes"]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("f", '{"a":1,"b":[true,null],"c":"é"}', 'f(a=1, b=[true, null], c="é")'),
        ("f", "{}", "f()"),
        ("f", "", "f()"),
        (None, "{}", "?()"),
        ("f", "no json", "f(no json)"),
        ("f", "[1, 2]", "f([1, 2])"),
        ("f", json.dumps({"a": "x" * 100}), f'f(a="{"x" * 58}…)'),
        ("f", "[" * 100_000, "f(" + "[" * 59 + "…)"),
    ],
)
def test_call_reads_like_code_whatever_its_arguments_are(name: str | None, arguments: str, words: str) -> None:
    assert call_words(name, arguments) == words


@pytest.mark.parametrize(
    ("session", "words"),
    [
        ({}, "configured"),
        ({"model": "m", "voice": 1, "turn_detection": None, "tools": None}, "configured: m · turns by hand"),
        ({"tools": ["?", {"type": "function", "function": {"name": "f"}}, {"name": 3}]}, "configured: tool f"),
        ({"turn_detection": {"type": "server_vad"}}, "configured: turns by server_vad"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "configured: Opus 24 kHz in"),
        ({"audio": {"input": {"format": {"type": 1}}, "output": "?"}}, "configured"),
        ({"audio": {"output": {"format": {"type": "audio/pcma", "rate": 8000}}}}, "configured: G.711 A-law out"),
        ({"audio": {side: {"format": {"rate": 22050}} for side in ("input", "output")}}, "configured: PCM 22.05 kHz"),
    ],
)
def test_session_is_described_as_far_as_it_says(session: dict[str, Any], words: str) -> None:
    assert configured_words(session) == words


def test_audio_format_tells_the_bytes_of_a_second() -> None:
    assert audio_bytes_per_s(None) == 48_000
    assert audio_bytes_per_s(("audio/pcm", 16_000)) == 32_000
    assert audio_bytes_per_s(("audio/pcmu", 8000)) == 8000
    assert audio_bytes_per_s(("audio/opus", 24_000)) is None
    assert audio_format({"audio": {"input": {"format": {"rate": 0}}}}, "input") is None


def test_usage_is_empty_when_the_service_stated_nothing() -> None:
    assert usage_words(wire.Usage()) == ""
    assert usage_words(wire.Usage(output_tokens=1, total_tokens=1)) == "1 token out, 1 token in all"
