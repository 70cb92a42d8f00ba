"""Changes of a running session: what is sent, what is reported, what cannot change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.realtime.configurations import PCM, lookup, session_of
from xai_realtime.audio import audio_format
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime
from xai_realtime.realtime.config import AudioSettings, ConfigChange, ServerVad, SessionConfig, Transcription
from xai_realtime.tools import WebSearch


def change(config: SessionConfig, **changes: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Old values and the session object of a change, which leads to what the new configuration says in full."""
    changed = config.changed(**changes)
    assert isinstance(changed, ConfigChange) and isinstance(changed.config, SessionConfig)
    return changed.fields, None if changed.update is None else session_of(changed.update)


@pytest.mark.behaviour("config-change-sends-the-difference")
@pytest.mark.parametrize(
    ("before", "changes", "fields", "session"),
    [
        ({}, {"voice": "rex"}, {"voice": None}, {"voice": "rex"}),
        ({"voice": "eve"}, {"voice": "rex"}, {"voice": "eve"}, {"voice": "rex"}),
        (
            {"instructions": "a", "reasoning_effort": "high"},
            {"instructions": "b", "reasoning_effort": "none"},
            {"instructions": "a", "reasoning_effort": "high"},
            {"instructions": "b", "reasoning": {"effort": "none"}},
        ),
        ({}, {"resumption": True}, {"resumption": None}, {"resumption": {"enabled": True}}),
        (
            {"replace": {"a": "b", "c": "d"}},
            {"replace": {"a": "b"}},
            {"replace": {"a": "b", "c": "d"}},
            {"replace": {"a": "b"}},
        ),
        (
            {},
            {"turn_detection": ServerVad(threshold=0.5)},
            {"turn_detection": ServerVad()},
            {"turn_detection": {"type": "server_vad", "threshold": 0.5}},
        ),
        (
            {"turn_detection": ServerVad(silence_duration_ms=500, threshold=0.5)},
            {"turn_detection": {"type": "server_vad", "threshold": 0.6}},
            {"turn_detection": ServerVad(silence_duration_ms=500, threshold=0.5)},
            {"turn_detection": {"type": "server_vad", "threshold": 0.6}},
        ),
        ({}, {"turn_detection": None}, {"turn_detection": ServerVad()}, {"turn_detection": {"type": None}}),
        (
            {"turn_detection": ServerVad()},
            {"turn_detection": ServerVad(idle_timeout_ms=None)},
            {"turn_detection": ServerVad()},
            {"turn_detection": {"type": "server_vad", "idle_timeout_ms": None}},
        ),
        (
            {"input": "pcmu", "transcription": {"model": "grok-transcribe"}},
            {"speed": 1.2},
            {"speed": None},
            {
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcmu", "rate": 8000},
                        "transcription": {"model": "grok-transcribe"},
                    },
                    "output": {"format": PCM, "speed": 1.2},
                }
            },
        ),
        (
            {"transcription": {"model": "grok-transcribe", "language_hint": "en"}},
            {"transcription": {"keyterms": ["Grok"]}},
            {"transcription": Transcription(model="grok-transcribe", language_hint="en")},
            {
                "audio": {
                    "input": {
                        "format": PCM,
                        "transcription": {"model": "grok-transcribe", "language_hint": "en", "keyterms": ["Grok"]},
                    },
                    "output": {"format": PCM},
                }
            },
        ),
        ({"tools": [lookup]}, {"tools": []}, {"tools": (lookup,)}, {"tools": []}),
        ({}, {"tools": []}, {"tools": None}, {"tools": []}),
        ({"tools": []}, {"tools": [WebSearch()]}, {"tools": ()}, {"tools": [{"type": "web_search"}]}),
        (
            {"extra": {"a": {"b": 1}, "c": 2}},
            {"extra": {"a": {"d": 1}}},
            {"extra": {"a": {"b": 1}, "c": 2}},
            {"a": {"b": 1, "d": 1}},
        ),
        ({"extra": {"a": 1}}, {"extra": {"a": True}}, {"extra": {"a": 1}}, {"a": True}),
        ({"extra": {"a": 1}}, {"voice": "rex"}, {"voice": None}, {"voice": "rex"}),
    ],
)
def test_change_sends_what_changed_and_reports_the_old_values(
    before: Any, changes: Any, fields: Any, session: Any
) -> None:
    config = SessionConfig(**before)
    whole = session_of(config.to_update())
    assert change(config, **changes) == (fields, session)
    assert session_of(config.to_update()) == whole
    assert session_of(config.changed(**changes).config.to_update()) == {**whole, **session}


@pytest.mark.behaviour("config-change-sends-the-difference")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "grok-voice-latest", "voice": "eve", "speed": 1, "instructions": "a"},
        {"input": "pcmu", "output": {}, "turn_detection": {"type": "server_vad", "threshold": 0.5}},
        {"input": audio_format("pcmu"), "output": AudioSettings(), "modalities": ["audio"]},
        {"tools": [lookup], "replace": {"b": "2", "a": "1"}, "extra": {"x": {"y": 1}}},
        {"transcription": {"keyterms": ["a"]}, "resumption": None, "reasoning_effort": None},
        {"transcription": Transcription(keyterms=("a",)), "extra": {}},
    ],
)
def test_change_to_equal_values_sends_nothing(changes: Any) -> None:
    config = SessionConfig(
        voice="eve",
        speed=1.0,
        instructions="a",
        input="pcmu",
        turn_detection=ServerVad(threshold=0.5),
        tools=(lookup,),
        replace={"a": "1", "b": "2"},
        transcription={"keyterms": ["a"]},
        extra={"x": {"y": 1}},
    )
    changed = config.changed(**changes)
    assert (changed.fields, changed.update, changed.config) == ({}, None, config)


def test_change_of_a_function_alone_is_reported_and_sends_nothing() -> None:
    def other(city: str) -> str:
        """Look a city up."""
        return city.upper()

    other.__name__ = "lookup"
    changed = SessionConfig(tools=[lookup]).changed(tools=[other])
    assert changed.fields == {"tools": (lookup,)} and changed.update is None
    assert changed.config.toolbox.functions.keys() == {"lookup"}


def test_update_of_a_change_is_typed_unless_extra_is_used() -> None:
    assert isinstance(SessionConfig().changed(voice="rex").update, realtime.SessionUpdate)
    assert isinstance(SessionConfig().changed(extra={"a": 1}).update, dict)


@pytest.mark.behaviour("bug-13")
def test_manual_mode_of_a_change_goes_out_as_a_type_of_null() -> None:
    update = SessionConfig().changed(turn_detection="manual").update
    assert isinstance(update, realtime.SessionUpdate)
    assert update.to_wire() == {"type": "session.update", "session": {"turn_detection": {"type": None}}}


@pytest.mark.behaviour("config-format-fixed")
@pytest.mark.parametrize("side", ["input", "output"])
@pytest.mark.parametrize("value", ["pcmu", {"rate_hz": 16_000}, audio_format("opus"), AudioSettings("pcma"), None])
def test_format_of_a_running_session_cannot_change(side: str, value: Any) -> None:
    config = SessionConfig(input={"rate_hz": 48_000}, output={"rate_hz": 48_000})
    with pytest.raises(
        ConfigurationError, match=f"^{side} cannot change from pcm at 48000 Hz to .* open a new session$"
    ):
        config.changed(**{side: value})


@pytest.mark.behaviour("config-format-fixed")
def test_transport_of_a_running_session_changes_and_keeps_the_format() -> None:
    config = SessionConfig(input="pcmu", output={"rate_hz": 16_000})
    changed = config.changed(output={"transport": "binary"})
    assert changed.config.output_is_binary and changed.config.output_format == ("pcm", 16_000)
    audio = {
        "input": {"format": {"type": "audio/pcmu", "rate": 8000}},
        "output": {"format": {"type": "audio/pcm", "rate": 16_000}, "transport": "binary"},
    }
    assert session_of(changed.update) == {"audio": audio}
    again = changed.config.changed(output="pcm")
    assert again.update is None and again.config.output_is_binary
    back = changed.config.changed(output=AudioSettings("pcm", 16_000))
    assert session_of(back.update)["audio"]["output"]["transport"] == "json"
    assert not back.config.output_is_binary


@pytest.mark.behaviour("bug-31")
def test_model_of_a_running_session_cannot_change() -> None:
    with pytest.raises(ConfigurationError, match="another model needs a new session"):
        SessionConfig().changed(model="grok-voice-3.0")


@pytest.mark.parametrize(
    ("before", "changes", "session"),
    [
        ({"instructions": "a"}, {"instructions": None}, {"instructions": ""}),
        ({"reasoning_effort": "none"}, {"reasoning_effort": None}, {"reasoning": {"effort": "high"}}),
        ({"replace": {"a": "b"}}, {"replace": None}, {"replace": {}}),
        ({"resumption": True}, {"resumption": None}, {"resumption": {"enabled": False}}),
        ({"tools": [lookup]}, {"tools": None}, {"tools": []}),
        (
            {"speed": 1.2},
            {"speed": None},
            {"audio": {"input": {"format": PCM}, "output": {"format": PCM, "speed": 1.0}}},
        ),
        (
            {"transcription": {"keyterms": ["a"]}},
            {"transcription": {"keyterms": None}},
            {"audio": {"input": {"format": PCM, "transcription": {"keyterms": []}}, "output": {"format": PCM}}},
        ),
        (
            {"transcription": {"model": "grok-transcribe"}},
            {"transcription": None, "extra": {"audio": {"input": {"transcription": None}}}},
            {"audio": {"input": {"format": PCM, "transcription": None}, "output": {"format": PCM}}},
        ),
    ],
)
def test_setting_taken_back_is_sent_as_the_documented_value_of_the_service(
    before: Any, changes: Any, session: Any
) -> None:
    assert change(SessionConfig(**before), **changes)[1] == session


@pytest.mark.parametrize(
    ("before", "changes", "path"),
    [
        ({"voice": "eve"}, {"voice": None}, "voice"),
        ({"transcription": {"model": "m"}}, {"transcription": None}, "audio.input.transcription.model"),
        ({"transcription": {}}, {"transcription": None}, "audio.input.transcription"),
        ({"extra": {"a": {"b": 1}}}, {"extra": None}, "a.b"),
    ],
)
def test_setting_that_cannot_be_taken_back_is_refused(before: Any, changes: Any, path: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{path} cannot be taken back in a running session"):
        SessionConfig(**before).changed(**changes)
