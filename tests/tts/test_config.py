"""Settings of speech: what is allowed, what goes over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from xai_realtime.errors import ConfigurationError
from xai_realtime.tts.config import TtsConfig
from xai_realtime.tts.policy import TtsPolicy

PHRASE = "Grok"


@pytest.mark.behaviour("tts-config")
def test_settings_send_what_was_given_beside_the_four_that_are_always_sent() -> None:
    assert TtsConfig().query() == {"voice": "eve", "language": "auto", "codec": "pcm", "sample_rate": "24000"}
    config = TtsConfig(
        voice="nova1234", language="pt-BR", codec="mp3", sample_rate=44_100, bit_rate=64_000, latency=0, speed=1.25,
        text_normalization=False, timestamps=True,
    )  # fmt: skip
    assert config.query() == {
        "voice": "nova1234",
        "language": "pt-BR",
        "codec": "mp3",
        "sample_rate": "44100",
        "bit_rate": "64000",
        "optimize_streaming_latency": "0",
        "speed": "1.25",
        "text_normalization": "false",
        "with_timestamps": "true",
    }


@pytest.mark.behaviour("tts-config")
def test_body_nests_the_format_and_holds_the_pronunciations() -> None:
    config = TtsConfig(codec="mp3", bit_rate=32_000, pronunciations={PHRASE: "grock"}, timestamps=True, latency=1)
    assert config.body("Hello") == {
        "text": "Hello",
        "voice_id": "eve",
        "language": "auto",
        "output_format": {"codec": "mp3", "sample_rate": 24_000, "bit_rate": 32_000},
        "optimize_streaming_latency": 1,
        "with_timestamps": True,
        "replace": {PHRASE: "grock"},
    }
    for text in ("", " \n", "a" * 15_001):
        with pytest.raises(ConfigurationError):
            config.body(text)
    assert len(config.body("a" * 15_000)["text"]) == 15_000


@pytest.mark.behaviour("ask-62", "bug-54")
@pytest.mark.parametrize(
    ("given", "kept"), [("EVE", "eve"), ("Aurora", "aurora"), (" rex ", "rex"), ("Ab12Cd34", "Ab12Cd34"), ("새", "새")]
)
def test_any_voice_passes_and_built_in_ones_lose_their_case(given: str, kept: str) -> None:
    assert TtsConfig(voice=given).query()["voice"] == kept


@pytest.mark.behaviour("tts-config")
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"voice": " "}, "voice is ' '"),
        ({"voice": None}, "voice is None"),
        ({"language": ""}, "language is ''"),
        ({"codec": "opus"}, "codec is 'opus'; allowed are 'pcm', 'mulaw', 'alaw', 'mp3', 'wav'"),
        ({"sample_rate": 16_001}, "allowed are 8000, 16000, 22050, 24000, 44100, 48000"),
        ({"sample_rate": 24_000.0}, "sample_rate is 24000.0"),
        ({"codec": "mp3", "bit_rate": 1}, "bit_rate is 1; allowed are 32000"),
        ({"bit_rate": 64_000}, "it is for 'mp3' alone"),
        ({"latency": 3}, "latency is 3; allowed are 0, 1, 2"),
        ({"latency": True}, "latency is True"),
        ({"speed": 0.69}, "speed is 0.69; numbers from 0.7 to 1.5"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"speed": True}, "speed is True"),
        ({"text_normalization": "yes"}, "text_normalization is 'yes'"),
        ({"timestamps": None}, "timestamps is None"),
        ({"timestamps": 1}, "timestamps is 1"),
        ({"pronunciations": "Grok"}, "a mapping"),
        ({"pronunciations": {f"word{n}": "x" for n in range(201)}}, "201 pronunciations; 200 are allowed"),
        ({"pronunciations": {"a-b": "x"}}, "phrase 'a-b'"),
        ({"pronunciations": {"a" * 101: "x"}}, "at most 100"),
        ({"pronunciations": {"a": "x" * 129}}, "1 to 128"),
        ({"pronunciations": {"a": " "}}, "1 to 128"),
        ({"pronunciations": {1: "x"}}, "phrase '1'"),
    ],
)
def test_value_that_is_not_allowed_is_refused_and_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TtsConfig(**settings)
    assert named in str(caught.value)


@pytest.mark.behaviour("tts-config")
def test_configurations_are_values_that_change_by_making_new_ones() -> None:
    given = {PHRASE: "grock"}
    config = TtsConfig(pronunciations=given)
    given["other"] = "x"
    assert config.pronunciations == {PHRASE: "grock"}
    assert config == TtsConfig(pronunciations={PHRASE: "grock"})
    assert hash(config) == hash(config.changed())
    assert config.changed(speed=1.5, pronunciations=None) == TtsConfig(speed=1.5)
    assert TtsConfig(pronunciations={}).pronunciations is None
    assert PHRASE not in repr(config)
    with pytest.raises(ConfigurationError, match="known are bit_rate"):
        config.changed(volume=1)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="speed"):
        config.changed(speed=2)


@pytest.mark.behaviour("tts-config")
@pytest.mark.parametrize(
    "settings",
    [
        {"max_connections": 0},
        {"max_connections": 1.5},
        {"max_connections": True},
        {"max_age_s": 0},
        {"max_age_s": None},
        {"clear_timeout_s": float("inf")},
        {"first_audio_timeout_s": -1},
        {"audio_timeout_s": "1"},
    ],
)
def test_policy_that_cannot_be_is_refused_and_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        TtsPolicy(**settings)


def test_policy_may_wait_for_audio_for_ever() -> None:
    policy = TtsPolicy(first_audio_timeout_s=None, audio_timeout_s=None)
    assert (policy.first_audio_timeout_s, policy.audio_timeout_s) == (None, None)
