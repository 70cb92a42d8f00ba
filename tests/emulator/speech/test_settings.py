"""What the speech services are asked for: every parameter in its range, and the switches of the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xai_realtime import ConfigurationError
from xai_realtime.audio import AudioFormat
from xai_realtime.emulator import Emulator, Refuse, SpeechQuirks, load_scenario, sounds, stt_settings, tts_settings
from xai_realtime.emulator.query import BadSetting

LANGUAGE = ("language", "en")


@pytest.mark.behaviour("emulator-stt-query")
@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("sample_rate", "32000")], "sample_rate"),
        ([("sample_rate", "16000.0")], "sample_rate"),
        ([("encoding", "mp3")], "encoding"),
        ([("interim_results", "True")], "interim_results"),
        ([("endpointing", "5001")], "endpointing"),
        ([("endpointing", "-1")], "endpointing"),
        ([("endpointing", "x")], "endpointing"),
        ([("multichannel", "true")], "channels"),
        ([("multichannel", "true"), ("channels", "1")], "channels"),
        ([("multichannel", "true"), ("channels", "9")], "channels"),
        ([("diarize", "1")], "diarize"),
        ([("filler_words", "yes")], "filler_words"),
        ([("keyterm", "x")] * 101, "keyterm"),
        ([("keyterm", "x" * 51)], "keyterm"),
        ([("smart_turn", "1.1")], "smart_turn"),
        ([("smart_turn", "nan")], "smart_turn"),
        ([("smart_turn_timeout", "100")], "smart_turn"),
        ([("smart_turn", "0.5"), ("smart_turn_timeout", "5001")], "smart_turn_timeout"),
        ([("vad_threshold", "x")], "vad_threshold"),
        ([("model", "grok-4.6")], "model"),
        ([("encoding", "opus"), ("sample_rate", "44100")], "sample_rate"),
        ([("encoding", "opus"), ("multichannel", "true"), ("channels", "2")], "multichannel"),
    ],
)
def test_transcription_parameter_out_of_its_range_is_refused(pairs: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        stt_settings.streaming_settings(pairs)


@pytest.mark.behaviour("emulator-stt-query")
def test_transcription_parameters_in_their_ranges_are_taken_and_others_passed_over() -> None:
    pairs = [
        ("model", "grok-voice-transcribe-2.0"),
        ("sample_rate", "8000"),
        ("encoding", "alaw"),
        ("interim_results", "true"),
        ("endpointing", "0"),
        ("language", "fil"),
        ("multichannel", "true"),
        ("channels", "8"),
        ("diarize", "true"),
        *[("keyterm", "x" * 50)] * 100,
        ("filler_words", "true"),
        ("smart_turn", "1"),
        ("smart_turn_timeout", "5000"),
        ("vad_threshold", "0"),
        ("unheard_of", "?"),
    ]
    asked = stt_settings.streaming_settings(pairs)
    assert asked == stt_settings.SttSettings(AudioFormat("pcma", 8000), 8, True, True, 0, True, True, 1.0, 5000)
    assert stt_settings.streaming_settings([("channels", "2"), ("sample_rate", "")]) == stt_settings.SttSettings()


@pytest.mark.behaviour("emulator-tts-query")
@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([], "language"),
        ([("language", "")], "language"),
        ([("language", "English please")], "language"),
        ([LANGUAGE, ("codec", "opus")], "codec"),
        ([LANGUAGE, ("sample_rate", "32000")], "sample_rate"),
        ([LANGUAGE, ("bit_rate", "1")], "bit_rate"),
        ([LANGUAGE, ("optimize_streaming_latency", "3")], "optimize_streaming_latency"),
        ([LANGUAGE, ("speed", "0.6")], "speed"),
        ([LANGUAGE, ("speed", "1.6")], "speed"),
        ([LANGUAGE, ("text_normalization", "on")], "text_normalization"),
        ([LANGUAGE, ("with_timestamps", "on")], "with_timestamps"),
    ],
)
def test_speech_parameter_out_of_its_range_is_refused(pairs: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(BadSetting, match=said):
        tts_settings.streaming_settings([("codec", "pcm"), *pairs])


@pytest.mark.behaviour("emulator-tts-query")
@pytest.mark.parametrize("language", ["auto", "AUTO", "en", "pt-br", "es-419", "zh-Hant-TW"])
def test_speech_parameters_in_their_ranges_are_taken(language: str) -> None:
    pairs = [("language", language), ("codec", "ulaw"), ("voice", "ABCD1234"), ("speed", "1.5"), ("bit_rate", "32000")]
    asked = tts_settings.streaming_settings([*pairs, ("sample_rate", "8000"), ("with_timestamps", "true")])
    assert asked == tts_settings.TtsSettings(language, "ABCD1234", "mulaw", 8000, 32_000, True)


@pytest.mark.behaviour("emulator-tts-codecs")
def test_mp3_and_opus_without_pyav_are_refused_with_a_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "has_opus", lambda: False)
    monkeypatch.setattr(stt_settings, "has_opus", lambda: False)
    with pytest.raises(BadSetting, match="PyAV"):
        tts_settings.streaming_settings([LANGUAGE])
    with pytest.raises(BadSetting, match="PyAV"):
        stt_settings.streaming_settings([("encoding", "opus")])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("startup_ms", -1),
        ("startup_ms", True),
        ("speakers", [0]),
        ("speakers", (-1,)),
        ("done_text", "some"),
        ("no_words", 1),
        ("language", 1),
        ("stays_open_after_done", None),
        ("stt_idle_timeout_s", 0),
        ("goes_deaf_after_s", float("inf")),
        ("tts_max_age_s", "1"),
        ("cut_at_end", "now"),
        ("graph_times", "lists"),
        ("in_flight_deltas", 1.5),
        ("error_field", "text"),
        ("refuse", (503,)),
    ],
)
def test_switch_with_a_value_that_is_not_allowed_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .*; allowed are "):
        SpeechQuirks(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 399),
        ("body", b"x"),
        ("content_type", ""),
        ("content_type", "a\nb"),
        ("retry_after_s", -1),
        ("times", 0),
        ("path", "/realtime"),
    ],
)
def test_refusal_with_a_value_that_is_not_allowed_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .*; allowed are "):
        Refuse(**{"status": 503, name: value})


@pytest.mark.behaviour("emulator-speech-scenario")
def test_scenario_file_sets_how_the_speech_services_behave(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    lines = [
        "[speech]",
        "startup_ms = 0",
        "speakers = [0, 1]",
        'done_text = "full"',
        "[[speech.refuse]]",
        "status = 503",
        "retry_after_s = 2",
        "[[turn]]",
        'when = "."',
        'say = "x"',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    wanted = SpeechQuirks(
        startup_ms=0, speakers=(0, 1), done_text="full", refuse=(Refuse(status=503, retry_after_s=2),)
    )
    assert load_scenario(path).settings.speech == wanted
    assert Emulator(path).world.speech == wanted
    assert Emulator(path, speech=SpeechQuirks()).world.speech == SpeechQuirks()


def test_emulator_takes_no_other_thing_for_speech_quirks() -> None:
    with pytest.raises(ConfigurationError, match="SpeechQuirks or None"):
        Emulator(speech={})  # type: ignore[arg-type]
