"""Settings of the emulated chat: ChatQuirks, scenario files, and the smallest value that fits a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xai_realtime.emulator import ChatQuirks, Emulator, Refuse, SpeechQuirks, load_scenario
from xai_realtime.emulator.chat_schema import fitting_value
from xai_realtime.errors import ConfigurationError


@pytest.mark.behaviour("emulator-chat-quirks")
@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("usage_style", "sometimes", "'end', 'every_chunk'"),
        ("tool_calls", None, "'together'"),
        ("failure", True, "'error'"),
        ("unknown_model_status", 500, "404, 400"),
        ("retired_models", "maybe", "'served'"),
        ("first_token_ms", -1, "whole numbers from 0 to 3600000, None"),
        ("token_ms", 1.5, "whole numbers"),
        ("deferred_ms", None, "whole numbers from 0 to 86400000"),
        ("cached_tokens", True, "whole numbers"),
        ("context_tokens", 0, "whole numbers from 1"),
        ("reasoning", 5, "texts, None"),
        ("odd_chunks", 1, "True, False"),
        ("refuse", [Refuse(status=500)], "tuples of Refuse"),
        ("refuse", (Refuse(status=500, path="/tts"),), "tuples of Refuse whose path is None or one of /chat"),
    ],
)
def test_quirk_is_refused_with_what_is_allowed(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ChatQuirks(**{name: value})
    assert str(caught.value).startswith(f"{name} is ")
    assert allowed in str(caught.value)


@pytest.mark.behaviour("emulator-chat-quirks")
def test_refusals_stand_with_the_service_they_belong_to() -> None:
    with pytest.raises(ConfigurationError, match="path is '/other'"):
        Refuse(status=500, path="/other")
    with pytest.raises(ConfigurationError, match="refuse is "):
        SpeechQuirks(refuse=(Refuse(status=500, path="/chat"),))
    with pytest.raises(ConfigurationError, match="chat is a SpeechQuirks"):
        Emulator(chat=SpeechQuirks())  # type: ignore[arg-type]


SCENARIO = """
[chat]
usage_style = "every_chunk"
reasoning = "let me see"

[[chat.refuse]]
status = 429
path = "/chat"

[[turn]]
when = "."
say = "yes"
"""


@pytest.mark.behaviour("emulator-chat-quirks")
def test_scenario_file_sets_how_chat_behaves_unless_the_emulator_is_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    read = load_scenario(path).settings.chat
    rule = Refuse(status=429, path="/chat")
    assert read == ChatQuirks(usage_style="every_chunk", reasoning="let me see", refuse=(rule,))
    assert Emulator(path).world.chat == read
    assert Emulator(path, chat=ChatQuirks()).world.chat == ChatQuirks()


@pytest.mark.behaviour("emulator-chat-quirks")
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"every_chunk"', '"never"', "scenario.toml:3: chat.usage_style: is 'never'; allowed are 'end'"),
        ("reasoning =", "reasonning =", "scenario.toml:4: chat.reasonning: there is no such field; did you mean"),
        ('"/chat"', '"/stt"', "chat.refuse: is (Refuse("),
        ("status = 429\n", "", "chat.refuse[0].status: the HTTP status is missing"),
        ("[[chat.refuse]]", "[chat.refuse]", "write each refusal as a table of its own: [[chat.refuse]]"),
    ],
)
def test_mistake_in_a_scenario_file_is_told_with_its_place(tmp_path: Path, before: str, after: str, said: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO.replace(before, after), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)
    assert said in str(caught.value)


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}, "required": ["next"]}


@pytest.mark.behaviour("emulator-chat-structured")
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "hi"),
        ({}, "hi"),
        ({"type": "string", "minLength": 4}, "hi.."),
        ({"type": "string", "maxLength": 1}, "h"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}, 10),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 0),
        ({"type": ["null"]}, None),
        ({"const": 7}, 7),
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        ({"oneOf": [{"const": 1}]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"type": "array", "prefixItems": [{"const": 1}], "minItems": 2}, [1, "hi"]),
        ({"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 0}),
        ({"properties": {"a": {"type": "integer"}, "b": {}}}, {"a": 0, "b": "hi"}),
        ({"type": "object", "required": ["x"]}, {"x": "hi"}),
        ({"type": "object"}, {}),
        (
            {
                "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"const": 2}}, "required": ["b"]}],
                "$defs": {"A": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}},
            },
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/none", "$defs": {}}, None),
        (True, None),
    ],
)
def test_smallest_value_that_fits_a_schema(schema: Any, value: Any) -> None:
    assert fitting_value(schema, "hi") == value


@pytest.mark.behaviour("emulator-chat-structured")
def test_schema_that_holds_itself_ends() -> None:
    found = fitting_value({**NODE, "$defs": {"N": NODE}}, "hi")
    depth = 0
    while found is not None:
        found, depth = found["next"], depth + 1
    assert 5 < depth < 40
