"""What a session's configuration refuses before anything is sent, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.realtime.configurations import CANARY
from xai_realtime.errors import ConfigurationError
from xai_realtime.realtime import _config_refusals as refusals
from xai_realtime.realtime.config import SessionConfig


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"input": "mp3"}, "input: audio encoding 'mp3' is not one of pcm, pcmu, pcma, opus"),
        ({"input": {"encoding": 5}}, "input: encoding is 5; allowed: pcm, pcmu, pcma, opus"),
        ({"output": {"encoding": "pcmu", "rate_hz": 16_000}}, "output: a rate of 16000 Hz is not allowed for pcmu"),
        ({"output": {"encoding": "opus", "rate_hz": 48_000}}, "output: a rate of 48000 Hz is not allowed for opus"),
        ({"input": {"transport": "udp"}}, "input: transport is 'udp'; allowed: 'json' or 'binary'"),
        ({"input": {"rate": 8_000}}, "input: 'rate' is no setting; known: encoding, rate_hz, transport"),
        ({"input": 24_000}, "input is 24000; allowed: an encoding such as 'pcm', or a table"),
        ({"speed": 0.69}, "speed is 0.69; allowed: a number from 0.7 to 1.5"),
        ({"speed": 1.51}, "speed is 1.51; allowed: a number from 0.7 to 1.5"),
        ({"speed": True}, "speed is True; allowed: a number from 0.7 to 1.5"),
        ({"voice": ""}, "voice is ''; allowed: text that is not empty"),
        ({"model": ""}, "model is ''; allowed: text that is not empty"),
        ({"voice": 7}, "voice is 7; allowed: text that is not empty"),
        ({"reasoning_effort": "low"}, "reasoning_effort is 'low'; allowed: 'high' or 'none'"),
        ({"resumption": "yes"}, "resumption is 'yes'; allowed: True or False"),
        ({"tools": {"type": "web_search"}}, "tools is dict of length 1; allowed: a list of tools"),
        ({"tools": 5}, "tools is int; allowed: a list of tools"),
        ({"replace": {"a": 1}}, "replace is int; allowed: a mapping of text to text"),
        ({"turn_detection": "semantic_vad"}, "turn_detection is 'semantic_vad'; allowed: 'server_vad', 'manual'"),
        ({"turn_detection": True}, "turn_detection is True; allowed: 'server_vad', 'manual'"),
        ({"turn_detection": {"threshold": 0.5}}, "turn_detection is a table without a type; allowed: 'server_vad'"),
        ({"turn_detection": {"type": ["x"]}}, "turn_detection is ['x']; allowed: "),
        ({"turn_detection": {"type": "manual", "threshold": 0.5}}, "turn_detection: 'threshold' is no setting"),
        ({"turn_detection": {"type": "server_vad", "eagerness": 1}}, "turn_detection: 'eagerness' is no setting"),
        ({"transcription": "grok-transcribe"}, "transcription is str; allowed: a table of model, language_hint"),
        ({"transcription": {"language": "en"}}, "transcription: 'language' is no setting; known: keyterms, "),
        (
            {"transcription": {"language_hint": ""}},
            "transcription: language_hint is ''; allowed: the tag of a language",
        ),
        ({"transcription": {"keyterms": ["x"] * 101}}, "transcription: keyterms is list of length 101; allowed: "),
        ({"transcription": {"keyterms": ["ok", "x" * 51]}}, "transcription: keyterms[1] is text of length 51; allow"),
        ({"transcription": {"keyterms": {"a", "b"}}}, "transcription: keyterms is set of length 2; allowed: a list"),
        ({"transcription": {"keyterms": "abc"}}, "transcription: keyterms is text of length 3; allowed: a list"),
        ({"voise": "eve"}, "'voise' is no setting; known: extra, input, instructions, model, output, "),
        ({"x" * 100: 1}, f"'{'x' * 59}... is no setting; known: "),
        ({5: 1}, "5 is no setting of a realtime session: names are text"),
        ({"extra": 5}, "extra is int; allowed: a mapping of names to JSON values"),
        ({"extra": {"a": {5: 1}}}, "extra.a has the name 5; allowed: text"),
        ({"extra": {"a": [{"b": float("inf")}]}}, "extra.a.0.b is float; allowed: what JSON can hold"),
        ({"extra": {"a": b"x"}}, "extra.a is bytes of length 1; allowed: what JSON can hold"),
        ({"extra": {"model": "x"}}, "extra.model is a setting of its own: give model="),
        ({"extra": {"tools": []}}, "extra.tools is a setting of its own: give tools="),
        ({"extra": {"turn_detection": {"type": "x"}}}, "extra.turn_detection.type is a setting of its own"),
        ({"extra": {"turn_detection": None}}, "extra.turn_detection is NoneType; allowed: a mapping"),
        ({"extra": {"audio": 5}}, "extra.audio is int; allowed: a mapping"),
        ({"extra": {"audio": {"output": {"format": {}}}}}, "extra.audio.output.format is a setting of its own"),
        ({"extra": {"audio": {"input": {"transport": "json"}}}}, "extra.audio.input.transport is a setting of its own"),
        ([("voice", "eve")], "a configuration is a mapping, not list"),
    ],
)
def test_wrong_value_is_refused_with_its_name_and_what_is_allowed(settings: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SessionConfig.from_mapping(settings)
    assert str(caught.value).startswith(said)
    assert caught.value.__cause__ is None and (caught.value.__suppress_context__ or caught.value.__context__ is None)


def test_extra_that_never_ends_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    with pytest.raises(ConfigurationError, match=r"^extra\.a\.a\.\.\. is nested more than 100 deep$"):
        SessionConfig(extra=endless)


@pytest.mark.behaviour("config-ignored-settings-refused")
def test_refusals_say_for_each_setting_whether_it_is_ignored_unknown_or_named_otherwise() -> None:
    ignored = {"temperature", "seed", "top_p", "top_k", "presence_penalty", "frequency_penalty", "repetition_penalty"}
    lengths = {"max_tokens", "max_output_tokens", "max_completion_tokens", "max_response_output_tokens"}
    undocumented = {"tool_choice", "parallel_tool_calls"}
    for name, reason in refusals.REFUSED.items():
        kind = "ignores it" if name in ignored | lengths else "pass it in extra=" if name in undocumented else "give "
        assert kind in reason, name
    assert ignored | lengths | undocumented < refusals.REFUSED.keys()


@pytest.mark.behaviour("config-ignored-settings-refused")
@pytest.mark.parametrize("name", sorted(refusals.REFUSED))
def test_setting_without_effect_is_refused_with_its_reason(name: str) -> None:
    given: Any = {name: 1}
    for make in (SessionConfig.from_mapping, lambda changes: SessionConfig().changed(**changes)):
        with pytest.raises(ConfigurationError) as caught:
            make(given)
        said = str(caught.value)
        assert said == f"{name!r} is no setting of a realtime session: {refusals.REFUSED[name]}"


@pytest.mark.behaviour("ask-51")
@pytest.mark.parametrize("name", ["modalities", "output_modalities"])
@pytest.mark.parametrize("value", [["text"], "text", []])
def test_output_without_audio_is_refused_since_the_service_always_speaks(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is .*, without audio: xAI always speaks"):
        SessionConfig.from_mapping({name: value})


@pytest.mark.behaviour("config-ignored-settings-refused")
@pytest.mark.parametrize("name", ["modalities", "input_modalities", "output_modalities"])
@pytest.mark.parametrize("kind", ["image", "video"])
def test_pictures_are_refused_since_the_model_never_sees_them(name: str, kind: str) -> None:
    with pytest.raises(ConfigurationError, match="the model never sees them"):
        SessionConfig.from_mapping({name: ["audio", kind]})


@pytest.mark.parametrize("value", [["audio", "smell"], 5, {"audio": 1}])
def test_unknown_modality_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="allowed: a list of audio and text"):
        SessionConfig.from_mapping({"modalities": value})


@pytest.mark.behaviour("config-no-secrets")
@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": CANARY},
        {"instructions": [CANARY]},
        {"replace": {CANARY: 5}},
        {"replace": CANARY},
        {"tools": CANARY},
        {"tools": [{"type": "mcp", "server_url": "https://example.com", "authorization": [CANARY]}]},
        {"transcription": {"keyterms": [CANARY * 9]}},
        {"transcription": CANARY},
        {"extra": CANARY},
        {"extra": {"a": CANARY.encode()}},
        {"extra": {"audio": CANARY}},
    ],
)
def test_error_shows_no_text_and_no_secret(settings: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SessionConfig.from_mapping(settings)
    assert CANARY not in str(caught.value) and CANARY not in repr(caught.value)
