"""The printed modules at work: what they accept, what they refuse, what they carry."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.generate.small import asyncapi, event, module, parsed, ref
from xai_realtime.errors import AudioDecodeError
from xai_realtime.events._base import ClientModel, ServerModel
from xai_realtime.generate.emit import emit

REPOSITORY = Path(__file__).resolve().parents[2]
LONG = "a_long_word_of_the_wire_that_takes_up_some_room"
AUDIO = {"type": "string", "contentEncoding": "base64"}

RICH: dict[str, Any] = asyncapi(
    server={
        "Told": event(
            "told",
            {
                "delta": {**AUDIO, "description": 'Ends in a "quote"'},
                "mood": {
                    "type": ["string", "null"],
                    "enum": ["glad", "sad", None],
                    "default": "glad",
                    "x-unit": "mood",
                },
                "rates": {"type": "array", "items": {"enum": [8000, 16000]}},
                "words": {"enum": [f"{LONG}_{n}" for n in range(3)]},
                "mixed": {"enum": ["low", 5]},
                "count": {"type": "integer", "minimum": 0, "deprecated": True},
                "level": {"anyOf": [{"type": "number"}, {"type": "string"}]},
                "item": ref("Item"),
                "open": {},
                "bag": {"type": "object", "additionalProperties": True},
                "bags": {"type": "array", "items": {"type": "object"}},
                "list": {"type": "array"},
                "schema": {"type": "string", "examples": ["a\\b"]},
                "from": {"type": "string"},
                "reasoning.effort": {"type": "string", "title": "Effort"},
                "2nd": {"type": "boolean"},
                "none": {"type": "null"},
                "inside": {"type": "object", "properties": {"deep": {"type": "object", "properties": {"x": AUDIO}}}},
            },
            ["delta"],
        ),
    },
    client={
        "Ask": event(
            "ask",
            {
                "audio": {**AUDIO, "x-audio": "pcm"},
                "item": ref("Item"),
                "tool": {"oneOf": [ref("Web"), ref("Call")], "discriminator": {"propertyName": "type"}},
                "mode": {"type": ["string", "null"]},
                "speed": {"type": "number", "minimum": 0.7, "maximum": 1.5, "default": 1},
                "place": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
                "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z\"']+$"},
                "terms": {"type": "array", "items": {"type": "string", "maxLength": 3}, "minItems": 1, "maxItems": 2},
                "marks": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1},
                "key": {"type": "string", "x-secret": True},
                "voice": {"enum": ["eve", "rex"]},
                "free": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
                "max": {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "inf"}]},
            },
        ),
        "Append": event("append", {"audio": {**AUDIO, "x-audio": "pcm"}}, ["audio"]),
    },
    schemas={
        "Item": {
            "description": 'A piece.\n\nWith two paragraphs and a """ inside.',
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string"},
                "parts": {"type": "array", "items": ref("Item")},
                "either": ref("Either"),
                "audio": {**AUDIO, "x-audio": "bytes_of_audio"},
                "by_name": {"type": "object", "additionalProperties": ref("Part")},
            },
        },
        "Part": {"type": "object", "properties": {"sound": ref("Sound")}},
        "Sound": {**AUDIO, "description": "Sound as text."},
        "Either": {"anyOf": [ref("Item"), {"type": "string"}]},
        "Web": {"type": "object", "required": ["type"], "properties": {"type": {"const": "web"}}},
        "Call": {
            "type": "object",
            "required": ["type", "name"],
            "properties": {"type": {"const": "call"}, "name": {"type": "string"}},
        },
    },
)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return module(RICH, tmp_path_factory.mktemp("rich"))


def told(**fields: Any) -> dict[str, Any]:
    return {"type": "told", "delta": "QUJD", **fields}


def test_module_names_both_directions_apart_when_they_share_a_schema(rich: Any) -> None:
    assert issubclass(rich.Item, ServerModel)
    assert issubclass(rich.ItemParam, ClientModel)
    assert set(rich.__all__) <= set(vars(rich))
    assert {"told": rich.Told} == rich.SERVER_EVENTS
    assert {"ask": rich.Ask, "append": rich.Append} == rich.CLIENT_EVENTS
    assert ("small", parsed(RICH).sha256) == (rich.SERVICE, rich.SPEC_SHA256)


def test_module_lists_base64_and_open_fields_with_their_paths(rich: Any) -> None:
    item = ("item.parts[].audio", "item.either.audio", "item.audio", "item.by_name.*.sound")
    assert {
        "told": ("delta", *(path for path in item if path in rich.BASE64_FIELDS["told"]), "inside.deep.x"),
        "ask": ("audio", *(path for path in item if path in rich.BASE64_FIELDS["ask"])),
        "append": ("audio",),
    } == rich.BASE64_FIELDS
    assert {"item.audio", "item.by_name.*.sound"} <= set(rich.BASE64_FIELDS["told"])
    assert rich.OPEN_FIELDS == ("Told.bag", "Told.bags[]", "Told.list[]", "Told.open")


@pytest.mark.parametrize(
    "fields",
    [
        {"mood": "elated"},
        {"mood": None},
        {"rates": [8000, 11025]},
        {"words": "another"},
        {"mixed": 6},
        {"mixed": "high"},
        {"count": -5},
        {"count": "7"},
        {"level": "inf"},
        {"item": {"id": "1", "parts": [{"id": "2", "either": {"id": "3"}}], "new": 1}},
        {"open": [1, {"a": 2}]},
        {"bag": {"a": [1]}},
        {"none": None},
        {"unheard_of": {"a": 1}},
    ],
)
def test_server_event_is_read_leniently(rich: Any, fields: dict[str, Any]) -> None:
    found = TypeAdapter(rich.ServerEvent).validate_python(told(**fields))
    assert type(found) is rich.Told


@pytest.mark.parametrize(
    "fields",
    [
        {"mood": ["glad"]},
        {"rates": 8000},
        {"rates": ["x"]},
        {"words": {}},
        {"mixed": []},
        {"count": {}},
        {"count": 1.5},
        {"level": []},
        {"item": []},
        {"item": {"id": "1", "parts": [{"id": []}]}},
        {"item": {"id": "1", "either": []}},
        {"bag": []},
        {"bags": [[]]},
        {"list": {}},
        {"none": 1},
        {"2nd": []},
        {"delta": None},
        {"inside": {"deep": []}},
    ],
)
def test_server_event_is_refused_when_a_json_type_is_wrong(rich: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(rich.Told).validate_python(told(**fields))


def test_fields_get_a_python_name_when_the_wire_name_cannot_be_one(rich: Any) -> None:
    wire = told(**{"schema": "a", "from": "b", "reasoning.effort": "c", "2nd": True, "list": [1]})
    found = rich.Told.model_validate(wire)
    assert (found.schema_, found.from_, found.reasoning_effort, found.field_2nd, found.list_) == (
        "a",
        "b",
        "c",
        True,
        [1],
    )
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == wire
    assert rich.Told(type="told", delta="", from_="b").from_ == "b"


@pytest.mark.behaviour("generated-audio-is-decoded-once")
def test_audio_is_decoded_once_and_leaves_equality_and_dump_alone(rich: Any) -> None:
    read, unread = (
        rich.Told(**told(item={"id": "1", "audio": "QQ=="})),
        rich.Told(**told(item={"id": "1", "audio": "QQ=="})),
    )
    before = read.model_dump_json()
    assert read.audio is read.audio
    assert (read.audio, read.item.bytes_of_audio) == (b"ABC", b"A")
    assert read == unread
    assert unread == read
    assert read.model_dump_json() == before
    assert rich.Item(id="1").bytes_of_audio is None


def test_audio_raises_its_own_error_when_it_is_no_base64(rich: Any) -> None:
    with pytest.raises(AudioDecodeError):
        _ = rich.Told(**told(delta="@@@")).audio


def test_client_audio_follows_the_field_when_it_is_changed(rich: Any) -> None:
    sent = rich.Append.from_audio(b"ABC")
    assert sent.to_wire() == {"type": "append", "audio": "QUJD"}
    assert sent.pcm == b"ABC"
    sent.audio = "QQ=="
    assert sent.pcm == b"A"
    assert not hasattr(rich.Ask, "from_audio")
    assert rich.Ask().pcm is None


@pytest.mark.behaviour("generated-repr-hides-audio")
def test_repr_shows_neither_audio_nor_secrets(rich: Any) -> None:
    text = repr(rich.Told(**told(delta="AUDIOAUDIO"))) + repr(rich.Ask(audio="AUDIO", key="sesame"))
    assert "AUDIO" not in text
    assert "sesame" not in text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mode": None},
        {"mode": "a"},
        {"speed": 0.7},
        {"place": 9},
        {"name": "a\"'b"},
        {"terms": ["abc"]},
        {"marks": {"a": "b"}},
        {"voice": "eve"},
        {"free": {"a": "b", "c": 1}},
        {"max": 4},
        {"max": "inf"},
        {"tool": {"type": "call", "name": "f"}},
        {"item": {"id": "1", "parts": []}},
    ],
)
def test_client_event_goes_out_as_given(rich: Any, fields: dict[str, Any]) -> None:
    assert rich.Ask(**fields).to_wire() == {"type": "ask", **fields}
    assert TypeAdapter(rich.ClientEvent).validate_python({"type": "ask", **fields}).to_wire() == {
        "type": "ask",
        **fields,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"speed": None},
        {"speed": 0.6},
        {"speed": 1.6},
        {"place": 0},
        {"place": 10},
        {"name": ""},
        {"name": "abcdef"},
        {"name": "A"},
        {"terms": []},
        {"terms": ["abcd"]},
        {"terms": ["a", "b", "c"]},
        {"marks": {"a": "b", "c": "d"}},
        {"marks": {"a": 1}},
        {"voice": "bob"},
        {"max": 0},
        {"max": "infinite"},
        {"unknown": 1},
        {"tool": {"type": "other"}},
        {"tool": {"type": "web", "name": "f"}},
        {"item": {"id": "1", "new": 1}},
    ],
)
def test_client_event_is_refused_when_it_breaks_the_spec(rich: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rich.Ask(**fields)


def test_docstrings_carry_meaning_unit_range_and_default() -> None:
    text = emit(parsed(RICH))
    assert 'Unit: mood. Default of the server: "glad".' in text
    assert "At least 0.7, at most 1.5. Default of the server: 1." in text
    assert 'Such as "a\\\\\\\\b".' in text
    assert "Deprecated." in text
    assert '"""Told. `told`, server to client."""' in text
    assert 'A piece. With two paragraphs and a \\"\\"\\" inside.' in text


def test_message_summary_heads_the_class_and_its_description_follows() -> None:
    document = asyncapi(server={"Told": {**event("told"), "description": "About the payload"}})
    message = document["components"]["messages"]["Told"]
    message |= {
        "summary": "Something is told",
        "description": "At any time.",
        "x-evidence": "observed",
        "x-source": "a tape",
    }
    text = emit(parsed(document))
    assert '"""Something is told. `told`, server to client.' in text
    assert "    At any time.\n\n    About the payload\n\n    Evidence: observed. Source: a tape.\n" in text


@pytest.mark.behaviour("generate-is-deterministic")
def test_output_is_the_same_when_made_twice_in_different_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xai_realtime.generate", "--spec", "spec/realtime.yaml"]
    texts = {
        subprocess.run(
            command, cwd=REPOSITORY, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


@pytest.mark.parametrize("direction", ["server", "client"])
def test_unions_work_when_a_spec_has_one_event_and_one_direction(direction: str, tmp_path: Path) -> None:
    payloads: Any = {direction: {"Only": event("only")}}
    found = module(asyncapi(**payloads), tmp_path)
    union = found.ServerEvent if direction == "server" else found.ClientEvent
    assert type(TypeAdapter(union).validate_json('{"type": "only"}')) is found.Only
    assert found.BASE64_FIELDS == {}
    assert found.OPEN_FIELDS == ()


def test_event_of_both_directions_is_printed_twice(tmp_path: Path) -> None:
    document = asyncapi(server={"Ping": event("ping", {"at": {"type": "integer"}})})
    document["operations"]["say"] = {**document["operations"]["hear"], "action": "send"}
    found = module(document, tmp_path)
    assert {"ping": found.Ping} == found.SERVER_EVENTS
    assert {"ping": found.PingParam} == found.CLIENT_EVENTS


def test_payload_may_stand_in_its_message(tmp_path: Path) -> None:
    document = asyncapi(server={"Told": event("told")})
    document["components"]["messages"]["Told"]["payload"] = document["components"].pop("schemas")["Told"]
    assert module(document, tmp_path).SERVER_EVENTS.keys() == {"told"}


def awkward() -> dict[str, Any]:
    """Long names, long unions, long limits: what a formatter would break up."""
    names = [f"Alternative{LONG.title().replace('_', '')}{n}" for n in range(4)]
    arms = {name: {"type": "object", "required": ["type"], "properties": {"type": {"const": name}}} for name in names}
    union = {"oneOf": [ref(name) for name in names], "discriminator": {"propertyName": "type"}}
    wide = {
        "anyOf": [{"type": "string"}, ref(names[0]), {"type": "array", "items": ref(names[1])}, {"type": "integer"}]
    }
    return asyncapi(
        server={
            "Told": event(
                "told",
                {
                    "words": {"enum": [f"{LONG}_{n}" for n in range(6)]},
                    "three": {"enum": [f"{LONG[:25]}_{n}" for n in range(3)], "type": "string"},
                    "quoted": {"enum": ['say "a"', "it's", "both ' and \"", "tab\t", "back\\slash"]},
                    "union": union,
                    f"{LONG}_{LONG[:30]}": {**AUDIO, "x-audio": "decoded"},
                    f"{LONG}.{LONG}.dotted": {"type": "string"},
                },
            )
        },
        client={
            "Ask": event(
                "ask",
                {
                    **{f"{LONG}_{n}": {"type": "string"} for n in range(4)},
                    f"{LONG}_limited": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": 9,
                        "pattern": "^[a-z]{1,9}$" * 3,
                    },
                    "wide": ref("Wide"),
                    f"wide_{LONG}": wide,
                },
            )
        },
        schemas={**arms, "Wide": wide, "LongLine": {"type": "string", "pattern": "x" * 90, "minLength": 3}},
    )


def lone() -> dict[str, Any]:
    """One field that is left open, so that the table of such fields is a tuple of one."""
    return asyncapi(server={"Told": event("told", {"anything": {}})}, client={"Ask": event("ask")})


def test_output_passes_the_formatter_the_linter_and_the_type_checker(tmp_path: Path) -> None:
    names = {"rich": RICH, "awkward": awkward(), "lone": lone()}
    for name, document in names.items():
        (tmp_path / f"{name}.py").write_text(emit(parsed(document)))
        (tmp_path / f"use_{name}.py").write_text(
            f"from {name} import Told, Ask, ServerEvent, ClientEvent, SERVER_EVENTS\n\n\n"
            "def read(event: ServerEvent) -> str:\n    return event.type\n\n\n"
            "def made() -> ClientEvent:\n    return Ask()\n\n\n"
            "def of(model: type[Told]) -> bool:\n    return SERVER_EVENTS['told'] is model\n"
        )
    paths = [str(tmp_path / f"{name}.py") for name in names]
    uses = [str(tmp_path / f"use_{name}.py") for name in names]
    config = ["--config", str(REPOSITORY / "pyproject.toml")]
    formatter = ["ruff", "format", "--diff", *config, *paths]
    linter = ["ruff", "check", *config, "--ignore", "E501", *paths]
    checker = ["mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), *uses, *paths]
    for command in (formatter, linter, checker):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"MYPYPATH": f"{tmp_path}:{REPOSITORY}", "PYTHONPATH": str(REPOSITORY)},
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_base64_payload_of_every_length_survives(rich: Any) -> None:
    for size in range(5):
        audio = bytes(range(size))
        assert rich.Told(**told(delta=base64.b64encode(audio).decode())).audio == audio
