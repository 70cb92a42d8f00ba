"""The settings of a stream: what is allowed, what is sent, and what a wrong one says."""

from __future__ import annotations

from typing import Any

import pytest

from xai_realtime import AsyncClient
from xai_realtime.audio import AudioFormat
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.stt_settings import streaming_settings
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.policy import Reconnect
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.stt.config import ENCODINGS, RATES_HZ, SttConfig, stream_config, with_extras

REFUSED: list[tuple[str, Any, str]] = [
    ("encoding", "mp3", "'pcm', 'mulaw', 'alaw', 'opus'"),
    ("sample_rate", 11_025, "8000, 16000, 22050, 24000, 44100, 48000"),
    ("sample_rate", 16_000.0, "8000, 16000"),
    ("sample_rate", True, "8000, 16000"),
    ("channels", 0, "from 1 to 8"),
    ("channels", 9, "from 1 to 8"),
    ("channels", True, "from 1 to 8"),
    ("interim_results", 1, "True, False"),
    ("diarize", None, "True, False"),
    ("filler_words", "yes", "True, False, None"),
    ("endpointing", -1, "from 0 to 5000"),
    ("endpointing", 5_001, "from 0 to 5000"),
    ("endpointing", 0.5, "from 0 to 5000"),
    ("smart_turn", 1.1, "from 0 to 1"),
    ("smart_turn", float("nan"), "from 0 to 1"),
    ("vad_threshold", -0.1, "from 0 to 1"),
    ("vad_threshold", True, "from 0 to 1"),
    ("smart_turn_timeout", 0, "from 1 to 5000"),
    ("smart_turn_timeout", 5_001, "from 1 to 5000"),
    ("smart_turn_timeout", 100, "with smart_turn alone"),
    ("language", 5, "texts, None"),
    ("model", b"x", "texts, None"),
    ("keyterms", "Grok", "lists of texts"),
    ("keyterms", 5, "lists of texts"),
    ("keyterms", ["x"] * 101, "up to 100"),
    ("keyterms", ["x" * 51], "1 to 50 characters"),
    ("keyterms", [" "], "1 to 50 characters"),
    ("keyterms", [1], "1 to 50 characters"),
]


@pytest.mark.behaviour("stt-config")
@pytest.mark.parametrize(("name", "value", "allowed"), REFUSED)
def test_setting_is_refused_with_its_value_and_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    client = AsyncClient(transport=Emulator().transport())
    with pytest.raises(ConfigurationError, match=allowed) as caught:
        client.stt.stream(**{name: value})
    assert isinstance(caught.value, ValueError)
    assert name.removesuffix("s") in str(caught.value)


@pytest.mark.behaviour("stt-config")
def test_opus_is_refused_where_the_service_would_not_take_it() -> None:
    for rate_hz in (22_050, 44_100):
        with pytest.raises(ConfigurationError, match="8000, 16000, 24000, 48000 with opus"):
            SttConfig(encoding="opus", sample_rate=rate_hz)
    with pytest.raises(ConfigurationError, match="channels is 2; allowed are 1 with opus"):
        SttConfig(encoding="opus", channels=2)
    client = AsyncClient(transport=Emulator().transport())
    with pytest.raises(ConfigurationError, match="with opus 'finalize' is allowed"):
        client.stt.stream(encoding="opus", policy=SttPolicy(flush="silence"))
    with pytest.raises(ConfigurationError, match="packets of Opus go as they are"):
        client.stt.stream(encoding="opus", source_rate_hz=48_000)


@pytest.mark.behaviour("stt-config")
def test_nothing_is_sent_that_was_not_set_but_for_four_settings() -> None:
    assert SttConfig().query() == {
        "sample_rate": "16000",
        "encoding": "pcm",
        "interim_results": "true",
        "endpointing": "400",
    }


@pytest.mark.behaviour("stt-config")
def test_each_setting_has_its_name_on_the_wire() -> None:
    config = SttConfig(
        sample_rate=8_000,
        encoding="mulaw",
        interim_results=False,
        endpointing=0,
        language=" fil ",
        channels=2,
        diarize=True,
        keyterms=iter(["xAI", "Grok"]),
        filler_words=False,
        smart_turn=0.5,
        smart_turn_timeout=3_000,
        vad_threshold=0,
        model="grok-voice-transcribe-2.0",
    )
    assert config.query() == {
        "sample_rate": "8000",
        "encoding": "mulaw",
        "interim_results": "false",
        "endpointing": "0",
        "language": "fil",
        "multichannel": "true",
        "channels": "2",
        "diarize": "true",
        "keyterm": ["xAI", "Grok"],
        "filler_words": "false",
        "smart_turn": "0.5",
        "smart_turn_timeout": "3000",
        "vad_threshold": "0",
        "model": "grok-voice-transcribe-2.0",
    }
    assert config.format == AudioFormat("pcmu", 8_000)
    assert "Grok" not in repr(config)


@pytest.mark.behaviour("stt-config")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_what_is_allowed_is_what_the_service_takes(encoding: Any, rate_hz: int) -> None:
    if encoding == "opus":
        pytest.importorskip("av", reason="PyAV is an extra")
    try:
        query = SttConfig(encoding=encoding, sample_rate=rate_hz).query()
    except ConfigurationError:
        with pytest.raises(Exception, match="sample_rate"):
            streaming_settings([("encoding", encoding), ("sample_rate", str(rate_hz))])
    else:
        streaming_settings([(name, str(value)) for name, value in query.items()])


@pytest.mark.behaviour("stt-config")
def test_settings_are_laid_over_a_configuration() -> None:
    base = SttConfig(diarize=True, language="de")
    assert stream_config(base, {"language": None}) == SttConfig(diarize=True)
    assert stream_config({"diarize": True, "language": "de"}, {"endpointing": 5}) == base.changed(endpointing=5)
    assert stream_config(None, {}) == SttConfig()
    for given in ({"languages": "de"}, {}):
        with pytest.raises(ConfigurationError, match="setting 'languages' is not known; allowed are sample_rate"):
            stream_config(given, {} if given else {"languages": "de"})


@pytest.mark.behaviour("stt-config")
def test_extra_query_must_not_contradict_the_settings() -> None:
    assert with_extras({"a": "1"}, {"b": "2"}) == {"a": "1", "b": "2"}
    assert with_extras({"a": "1"}, None) == {"a": "1"}
    with pytest.raises(ConfigurationError, match="query names 'a'"):
        with_extras({"a": "1"}, {"a": "2"})


@pytest.mark.behaviour("stt-config")
def test_source_is_refused_when_it_cannot_be_converted() -> None:
    client = AsyncClient(transport=Emulator().transport())
    with pytest.raises(ConfigurationError, match="source_channels is 3; with channels=2 it is the same"):
        client.stt.stream(channels=2, source_channels=3)
    with pytest.raises(ConfigurationError, match="rate_hz is a whole number"):
        client.stt.stream(source_rate_hz=0)


@pytest.mark.behaviour("stt-config")
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("created_timeout_s", 0, "from 0.001"),
        ("finish_timeout_s", float("inf"), "from 0.001"),
        ("keep_alive_s", 0, "from 0.1 on, None"),
        ("renew_idle_s", True, "from 0.1 on, None"),
        ("deaf_after_s", -1, "from 0.1 on, None"),
        ("ring_s", -1, "from 0 on"),
        ("reconnect", False, r"Reconnect\(...\), None"),
        ("reconnect_on_error", 1, "True, False"),
        ("flush", "now", "'finalize', 'silence'"),
        ("max_events", 0, "from 1 on"),
        ("max_events", True, "from 1 on"),
    ],
)
def test_policy_refuses_values_that_are_not_allowed(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .*{allowed}"):
        SttPolicy(**{name: value})
    assert SttPolicy().reconnect == Reconnect()
