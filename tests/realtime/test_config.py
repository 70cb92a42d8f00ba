"""The configuration of a session: what goes on the wire, and from where it is read."""

from __future__ import annotations

import copy
import pickle
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.realtime.configurations import BARE, CANARY, PCM, lookup, session_of
from xai_realtime import AsyncClient
from xai_realtime.audio import audio_format
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime
from xai_realtime.realtime import config as module
from xai_realtime.realtime.config import (
    AudioSettings,
    Manual,
    ServerVad,
    SessionConfig,
    Transcription,
)
from xai_realtime.tools import Mcp, WebSearch, XSearch

EVERYTHING = """
model = "grok-voice-3.0"
voice = "rex"
instructions = "Be brief."
speed = 1.25
reasoning_effort = "none"
resumption = true
tools = [{ type = "web_search" }]

[turn_detection]
type = "server_vad"
threshold = 0.5
silence_duration_ms = 200
prefix_padding_ms = 300
idle_timeout_ms = 8000
create_response = true
interrupt_response = false

[input]
encoding = "pcmu"
transport = "binary"

[output]
encoding = "pcm"
rate_hz = 16000
transport = "json"

[transcription]
model = "grok-transcribe"
language_hint = "es-MX"
keyterms = ["Grok", "xAI"]

[replace]
xAI = "ex A I"

[extra]
keep_context = true
[extra.audio.input]
noise_reduction = { type = "near_field" }
"""

EVERYTHING_ON_THE_WIRE = {
    "instructions": "Be brief.",
    "voice": "rex",
    "replace": {"xAI": "ex A I"},
    "reasoning": {"effort": "none"},
    "resumption": {"enabled": True},
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.5,
        "silence_duration_ms": 200,
        "prefix_padding_ms": 300,
        "idle_timeout_ms": 8000,
        "create_response": True,
        "interrupt_response": False,
    },
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu", "rate": 8000},
            "transport": "binary",
            "transcription": {"model": "grok-transcribe", "language_hint": "es-MX", "keyterms": ["Grok", "xAI"]},
            "noise_reduction": {"type": "near_field"},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 16000}, "transport": "json", "speed": 1.25},
    },
    "tools": [{"type": "web_search"}],
    "keep_context": True,
}


def loaded(folder: Path, text: str) -> SessionConfig:
    path = folder / "session.toml"
    path.write_text(text, encoding="utf-8")
    return SessionConfig.load(path)


def documented(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all fields that the generated event knows."""
    for name, field in model.model_fields.items():
        inner = [kind for kind in typing.get_args(field.annotation) if isinstance(kind, type)]
        nested = next((kind for kind in inner if issubclass(kind, BaseModel)), None)
        if nested is None:
            yield (*path, name)
        else:
            yield from documented(nested, (*path, name))


def has(value: Any, path: tuple[str, ...]) -> bool:
    return not path or (isinstance(value, Mapping) and path[0] in value and has(value[path[0]], path[1:]))


@pytest.mark.behaviour("bug-11", "config-formats-always-sent")
def test_configuration_without_settings_says_turn_detection_and_both_formats() -> None:
    update = SessionConfig().to_update()
    assert isinstance(update, realtime.SessionUpdate)
    assert session_of(update) == BARE


@pytest.mark.behaviour("config-formats-always-sent")
@pytest.mark.parametrize("side", ["input", "output"])
def test_format_of_one_side_is_filled_up_with_the_other(side: str) -> None:
    given: dict[str, Any] = {side: "pcmu"}
    audio = session_of(SessionConfig(**given).to_update())["audio"]
    other = {"input": "output", "output": "input"}[side]
    assert audio == {side: {"format": {"type": "audio/pcmu", "rate": 8000}}, other: {"format": PCM}}


@pytest.mark.behaviour("bug-13")
@pytest.mark.parametrize("given", ["manual", None, Manual(), {"type": "manual"}, {"type": None}])
def test_manual_mode_goes_out_as_a_type_of_null(given: Any) -> None:
    config = SessionConfig(turn_detection=given)
    assert config.is_manual and config == SessionConfig(turn_detection=Manual())
    assert session_of(config.to_update()) == {**BARE, "turn_detection": {"type": None}}


@pytest.mark.parametrize("given", ["server_vad", ServerVad(), {"type": "server_vad"}])
def test_server_vad_goes_out_without_thresholds_unless_given(given: Any) -> None:
    config = SessionConfig(turn_detection=given)
    assert not config.is_manual
    assert session_of(config.to_update())["turn_detection"] == {"type": "server_vad"}


@pytest.mark.behaviour("config-vad-on-the-wire")
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("threshold", [0.1, 0.5, 0.9], [0.09, 0.91, True, "0.5", float("nan")]),
        ("silence_duration_ms", [0, 10_000], [-1, 10_001, 200.0, True]),
        ("prefix_padding_ms", [0, 10_000], [-1, 10_001]),
        ("idle_timeout_ms", [0, 60_000, None], [-1, "5"]),
        ("create_response", [True, False], [1, "yes"]),
        ("interrupt_response", [True, False], [0]),
    ],
)
def test_vad_setting_reaches_the_wire_within_its_range(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        table = {"type": "server_vad", name: value}
        assert session_of(SessionConfig.from_mapping({"turn_detection": table}).to_update())["turn_detection"] == table
    for value in bad:
        with pytest.raises(ConfigurationError, match=rf"^turn_detection: {name} is {value!r}; allowed: "):
            SessionConfig.from_mapping({"turn_detection": {"type": "server_vad", name: value}})
        with pytest.raises(ConfigurationError, match=rf"^{name} is {value!r}; allowed: "):
            ServerVad(**{name: value})


def test_vad_setting_of_none_is_not_sent_where_null_means_nothing() -> None:
    detection = ServerVad(threshold=None, silence_duration_ms=None, create_response=None)
    assert detection.to_wire() == {"type": "server_vad"}


@pytest.mark.behaviour("ask-50")
def test_every_documented_field_is_sent_by_some_setting(tmp_path: Path) -> None:
    wire = session_of(loaded(tmp_path, EVERYTHING).to_update())
    assert wire == EVERYTHING_ON_THE_WIRE
    paths = set(documented(realtime.SessionConfig)) - {("model",)}
    assert len(paths) >= 19
    assert [path for path in paths if not has(wire, path)] == []


@pytest.mark.behaviour("ask-50")
def test_every_setting_from_toml_equals_the_one_from_keywords(tmp_path: Path) -> None:
    config = loaded(tmp_path, EVERYTHING)
    assert config == SessionConfig(
        model="grok-voice-3.0",
        voice="rex",
        instructions="Be brief.",
        speed=1.25,
        reasoning_effort="none",
        resumption=True,
        tools=[{"type": "web_search"}],
        turn_detection=ServerVad(
            threshold=0.5,
            silence_duration_ms=200,
            prefix_padding_ms=300,
            idle_timeout_ms=8000,
            create_response=True,
            interrupt_response=False,
        ),
        input=AudioSettings("pcmu", transport="binary"),
        output=AudioSettings(rate_hz=16_000, transport="json"),
        transcription=Transcription(model="grok-transcribe", language_hint="es-MX", keyterms=("Grok", "xAI")),
        replace={"xAI": "ex A I"},
        extra={"keep_context": True, "audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
    )
    assert config.model_fields_set == set(SessionConfig.model_fields)
    assert config.query() == {"model": "grok-voice-3.0"}


@pytest.mark.behaviour("ask-50", "bug-31", "bug-32", "config-vad-on-the-wire")
@pytest.mark.anyio
async def test_every_documented_field_is_taken_and_echoed_by_the_emulator(tmp_path: Path) -> None:
    config = loaded(tmp_path, EVERYTHING.partition("[extra]")[0])
    update = config.to_update()
    assert isinstance(update, realtime.SessionUpdate)
    with anyio.fail_after(5):
        async with AsyncClient(transport=Emulator(seed=1).transport()) as client:
            async with client.realtime.connect(query=config.query()) as connection:
                await connection.send(update)
                event = await connection.receive()
                while not isinstance(event, realtime.SessionUpdated):
                    assert not isinstance(event, realtime.Error), event
                    event = await connection.receive()
    echo = event.session
    assert (echo.model, echo.instructions) == ("grok-voice-3.0", "Be brief.")
    assert echo.turn_detection is not None
    assert echo.turn_detection.model_dump(exclude_unset=True) == EVERYTHING_ON_THE_WIRE["turn_detection"]
    assert echo.reasoning is not None and echo.reasoning.effort == "none"
    assert echo.audio is not None and echo.audio.input is not None and echo.audio.output is not None
    assert echo.audio.input.format is not None and echo.audio.input.format.type == "audio/pcmu"
    assert echo.audio.output.format is not None and echo.audio.output.format.rate == 16_000
    assert echo.tools is not None and [tool.type for tool in echo.tools] == ["web_search"]


@pytest.mark.behaviour("bug-31")
def test_model_goes_into_the_address_and_not_into_the_update() -> None:
    config = SessionConfig(model="grok-voice-3.0")
    assert config.query() == {"model": "grok-voice-3.0"}
    assert session_of(config.to_update()) == BARE
    assert SessionConfig().query() == {"model": "grok-voice-latest"}


@pytest.mark.behaviour("bug-32")
def test_instructions_and_turn_detection_are_sent() -> None:
    config = SessionConfig(instructions="Be kind.", turn_detection={"type": "server_vad", "threshold": 0.7})
    session = session_of(config.to_update())
    assert session == {
        **BARE,
        "instructions": "Be kind.",
        "turn_detection": {"type": "server_vad", "threshold": 0.7},
    }


@pytest.mark.behaviour("bug-15")
def test_empty_tools_are_sent_and_missing_ones_are_not() -> None:
    assert session_of(SessionConfig(tools=[]).to_update())["tools"] == []
    assert session_of(SessionConfig(tools=()).to_update())["tools"] == []
    assert "tools" not in session_of(SessionConfig(tools=None).to_update())


def test_tools_go_out_and_can_be_called() -> None:
    config = SessionConfig(tools=[lookup, XSearch(["xai"])])
    sent = session_of(config.to_update())["tools"]
    assert [(tool["type"], tool.get("name")) for tool in sent] == [("function", "lookup"), ("x_search", None)]
    assert sent[0]["parameters"]["required"] == ["city"]
    assert list(config.toolbox.functions) == ["lookup"]
    assert config.toolbox is config.toolbox


def test_tool_that_cannot_be_used_fails_when_the_configuration_is_made() -> None:
    def web_search(query: str) -> str:
        """Search."""
        return query

    with pytest.raises(ConfigurationError, match="web_search"):
        SessionConfig(tools=[web_search])


def test_explicit_none_counts_as_not_given_but_for_turn_detection() -> None:
    nothing: dict[str, Any] = dict.fromkeys(set(SessionConfig.model_fields) - {"turn_detection"})
    assert SessionConfig(**nothing) == SessionConfig()
    assert session_of(SessionConfig(**nothing).to_update()) == BARE


@pytest.mark.parametrize(
    ("given", "encoding", "rate_hz", "is_binary"),
    [
        ("pcm", "pcm", 24_000, False),
        ("audio/pcma", "pcma", 8_000, False),
        ("opus", "opus", 24_000, False),
        (audio_format("pcm", 48_000), "pcm", 48_000, False),
        ({"rate_hz": 16_000}, "pcm", 16_000, False),
        ({"encoding": "pcmu", "transport": "binary", "rate_hz": None}, "pcmu", 8_000, True),
        (AudioSettings(transport="json"), "pcm", 24_000, False),
    ],
)
def test_audio_is_given_in_several_forms(given: Any, encoding: str, rate_hz: int, is_binary: bool) -> None:
    config = SessionConfig(input=given, output=given)
    assert config.input_format == config.output_format == (encoding, rate_hz)
    assert (config.input_is_binary, config.output_is_binary) == (is_binary, is_binary)


@pytest.mark.parametrize(
    "settings",
    [{"modalities": ["text", "audio"]}, {"output_modalities": "audio"}, {"input_modalities": ["text"]}],
)
def test_modalities_that_say_what_is_the_case_are_taken_and_not_sent(settings: Any) -> None:
    given = copy.deepcopy(settings)
    assert SessionConfig.from_mapping(settings) == SessionConfig()
    assert settings == given


@pytest.mark.behaviour("ask-50")
def test_extra_is_laid_over_the_session_last_and_makes_the_update_a_mapping() -> None:
    extra = {"voice": "other", "audio": {"output": {"gain": [1, 2.5, None]}}, "new": {"deep": True}}
    config = SessionConfig(voice="eve", extra=extra)
    update = config.to_update()
    assert isinstance(update, dict)
    session = session_of(update)
    assert session == {
        **BARE,
        "voice": "other",
        "audio": {"input": {"format": PCM}, "output": {"format": PCM, "gain": [1, 2.5, None]}},
        "new": {"deep": True},
    }
    session["new"]["deep"] = extra["new"]["deep"] = False  # type: ignore[index]
    assert session_of(config.to_update())["new"] == {"deep": True}


def test_configuration_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        SessionConfig().voice = "eve"  # type: ignore[misc]


@pytest.mark.parametrize("deep", [False, True])
def test_copy_is_checked_like_a_new_one(deep: bool) -> None:
    config = SessionConfig(voice="eve", input="pcmu", tools=[lookup])
    assert config.model_copy(deep=deep) == config
    copied = config.model_copy(update={"output": "pcmu", "tools": []}, deep=deep)
    assert copied.output_format == ("pcmu", 8000) and not copied.toolbox.functions and copied.voice == "eve"
    with pytest.raises(ConfigurationError, match="speed is 9"):
        config.model_copy(update={"speed": 9}, deep=deep)


def test_configuration_with_tools_is_copied_deeply_and_pickled() -> None:
    config = SessionConfig(tools=[lookup, WebSearch()], extra={"a": {"b": 1}})
    for other in (copy.deepcopy(config), copy.copy(config), pickle.loads(pickle.dumps(config))):
        assert other == config and other is not config
        assert list(other.toolbox.functions) == ["lookup"] and other.to_update() == config.to_update()
    assert copy.deepcopy(config).extra["a"] is not config.extra["a"]


def test_configuration_stands_as_a_field_of_another_model() -> None:
    class App(BaseModel):
        session: SessionConfig

    assert App(session={"turn_detection": "manual"}).session.is_manual
    with pytest.raises(ValueError, match="speed is 9; allowed: a number"):
        App(session={"speed": 9})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("voice = ", "no TOML: "),
        ("[extra]\nday = 2026-10-01", "extra.day is date; allowed: what JSON can hold"),
        ("colour = 1", "'colour' is no setting; known: "),
        (f"a = {'[' * 5000}", ""),
    ],
)
def test_file_that_cannot_be_used_is_named_with_the_reason(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'session.toml'}: {said}")


def test_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "session.toml"
    with pytest.raises(ConfigurationError, match="No such file"):
        SessionConfig.load(path)
    path.write_bytes(b'voice = "\xff"')
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        SessionConfig.load(str(path))
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 4)
    with pytest.raises(ConfigurationError, match="larger than 4 bytes"):
        SessionConfig.load(path)


@pytest.mark.behaviour("config-no-secrets")
def test_repr_shows_no_text_no_secret_and_no_value_of_extra() -> None:
    config = SessionConfig(
        voice="eve",
        instructions=CANARY,
        replace={CANARY: CANARY},
        transcription={"keyterms": [CANARY]},
        tools=[lookup, Mcp("https://example.com", label="shop", authorization=CANARY, headers={"k": CANARY})],
        extra={"key": CANARY},
    )
    changed = config.changed(instructions="new", extra={"key": "x"})
    for shown in (repr(config), str(config), repr(changed), repr(changed.config)):
        assert CANARY not in shown
    assert "voice='eve'" in repr(config)
    assert "tools=['lookup', 'mcp']" in repr(config) and "extra=['key']" in repr(config)
    assert repr(SessionConfig()) == (
        "SessionConfig(model='grok-voice-latest', turn_detection=ServerVad(), "
        "input=AudioSettings(encoding='pcm', rate_hz=24000), output=AudioSettings(encoding='pcm', rate_hz=24000))"
    )
