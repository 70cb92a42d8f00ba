"""Every way a spec can be wrong is an error with its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.generate.small import asyncapi, event, parsed, ref
from xai_realtime.errors import SpecError
from xai_realtime.generate.emit import emit
from xai_realtime.generate.verify import accepts

HERE = "/components/schemas/Told/properties/x"


def told(schema: Any, **schemas: Any) -> dict[str, Any]:
    return asyncapi(server={"Told": event("told", {"x": schema})}, schemas=schemas)


def asked(schema: Any, **schemas: Any) -> dict[str, Any]:
    return asyncapi(client={"Told": event("told", {"x": schema})}, schemas=schemas)


def refused(document: Any, **options: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        emit(parsed(document, **options))
    return caught.value


@pytest.mark.behaviour("generate-refuses-unsupported-keywords")
@pytest.mark.parametrize(
    "keyword",
    ["allOf", "not", "if", "then", "patternProperties", "format", "nullable", "prefixItems", "multipleOf", "$defs"],
)
def test_schema_is_refused_with_its_place_when_a_keyword_is_not_supported(keyword: str) -> None:
    error = refused(told({"type": "string", keyword: {}}))
    assert (error.place, error.source) == (f"{HERE}/{keyword}", "small.json")
    assert keyword in error.reason


@pytest.mark.parametrize(
    "schema, place, reason",
    [
        ([], "", "must be an object"),
        ({"type": "strnig"}, "/type", "unknown type 'strnig'"),
        ({"type": "any"}, "/type", "write {}"),
        ({"type": ["string", "nul"]}, "/type/1", "unknown type 'nul'"),
        ({"type": ["string", "integer"]}, "/type", "use anyOf"),
        ({"type": ["null", "null"]}, "/type", "use anyOf"),
        ({"type": "string", "minimum": 1}, "/minimum", "does not go with type string"),
        ({"type": "integer", "minLength": 1}, "/minLength", "does not go with type integer"),
        ({"properties": {}}, "/properties", "without a type"),
        ({"type": "string", "minLength": "1"}, "/minLength", "whole number"),
        ({"type": "string", "minLength": True}, "/minLength", "whole number"),
        ({"type": "string", "minLength": -1}, "/minLength", "negative"),
        ({"type": "number", "minimum": "1"}, "/minimum", "must be a number"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "/minimum", "above maximum"),
        ({"type": "string", "pattern": "("}, "/pattern", "not supported"),
        ({"type": "string", "pattern": "(?=a)"}, "/pattern", "not supported"),
        ({"type": "string", "pattern": 1}, "/pattern", "must be text"),
        ({"type": "string", "contentEncoding": "base32"}, "/contentEncoding", "base32"),
        ({"type": "string", "x-audio": "pcm"}, "/x-audio", "contentEncoding"),
        ({"type": "string", "enum": []}, "/enum", "at least one"),
        ({"type": "string", "enum": "a"}, "/enum", "at least one"),
        ({"type": "string", "enum": ["a", 1]}, "/enum", "1 is no value"),
        ({"type": "integer", "enum": [True]}, "/enum", "True is no value"),
        ({"type": "number", "enum": [0.5]}, "/enum", "0.5 is no value"),
        ({"enum": ["a", "a"]}, "/enum", "twice"),
        ({"enum": [[]]}, "/enum", "is no value"),
        ({"type": ["string", "null"], "enum": ["a"]}, "/enum", "null is a type"),
        ({"type": "string", "enum": ["a"], "const": "a"}, "", "together"),
        ({"type": "string", "enum": ["a"], "minLength": 1}, "/minLength", "does not go with enum"),
        ({"type": "string", "default": 1}, "/default", "no value of this schema"),
        ({"type": "string", "enum": ["a"], "default": "b"}, "/default", "no value of this schema"),
        ({"type": "number", "maximum": 1, "default": 2}, "/default", "no value of this schema"),
        ({"type": "string", "default": None}, "/default", "no value of this schema"),
        ({"type": "string", "examples": ["a", 2]}, "/examples/1", "no value of this schema"),
        ({"type": "string", "examples": "a"}, "/examples", "must be a list"),
        ({"type": "string", "description": 1}, "/description", "must be text"),
        ({"type": "string", "deprecated": "yes"}, "/deprecated", "true or false"),
        ({"type": "string", "x-secret": 1}, "/x-secret", "true or false"),
        ({"type": "string", "x-evidence": "guessed"}, "/x-evidence", "documented, observed, reported"),
        ({"$ref": "#/components/schemas/Nothing"}, "/$ref", "does not lead to a schema"),
        ({"$ref": "other.yaml#/A"}, "/$ref", "does not lead to a schema"),
        ({"$ref": 1}, "/$ref", "does not lead to a schema"),
        ({"$ref": "#/components/schemas/Told", "type": "object"}, "/type", "does not go with a reference"),
        ({"type": "object", "required": ["a"]}, "/required", "without properties"),
        ({"type": "object", "properties": []}, "/properties", "must be an object"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "/required/0", "is no property"),
        ({"type": "object", "properties": {"a": {}}, "required": ["a", "a"]}, "/required", "repetition"),
        ({"type": "object", "properties": {"a": {}}, "required": "a"}, "/required", "must be a list"),
        ({"type": "object", "properties": {}, "additionalProperties": {}}, "/additionalProperties", "beside"),
        ({"type": "object", "properties": {}, "maxProperties": 1}, "/maxProperties", "beside"),
        ({"oneOf": []}, "/oneOf", "at least one"),
        ({"oneOf": [{}], "type": "string"}, "/type", "does not go with oneOf"),
        ({"anyOf": [{"type": "string"}, {"const": "a"}]}, "/anyOf/1", "share a JSON type"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "/anyOf/1", "share a JSON type"),
        ({"anyOf": [{"type": "string"}, {}]}, "/anyOf/1", "share a JSON type"),
        (
            {"oneOf": [{"type": "string"}, {"type": "object"}], "discriminator": "type"},
            "/discriminator",
            "propertyName",
        ),
        (
            {"oneOf": [{"type": "string"}], "discriminator": {"propertyName": "type", "mapping": {}}},
            "/discriminator/mapping",
            "not supported",
        ),
    ],
)
def test_schema_is_refused_with_its_place_when_it_cannot_be_used(schema: Any, place: str, reason: str) -> None:
    error = refused(told(schema))
    assert reason in error.reason
    assert error.place == HERE + place


def part(tag: Any) -> dict[str, Any]:
    return {"type": "object", "required": ["type"], "properties": {"type": tag}}


@pytest.mark.parametrize(
    "arms, index, reason",
    [
        ([part({"const": "a"}), {"type": "string"}], 1, "needs objects"),
        ([part({"const": "a"}), part({"type": "string"})], 1, "required type with a const"),
        ([part({"const": "a"}), {"type": "object", "properties": {"type": {"const": "b"}}}], 1, "required type"),
        ([part({"const": "a"}), {"type": "object", "properties": {}}], 1, "required type with a const"),
    ],
)
def test_tagged_union_is_refused_when_an_alternative_has_no_tag(arms: list[Any], index: int, reason: str) -> None:
    document = told({"oneOf": arms, "discriminator": {"propertyName": "type"}})
    error = refused(document)
    assert reason in error.reason
    assert error.place == f"{HERE}/oneOf/{index}"


def test_tagged_union_is_refused_when_two_alternatives_have_one_tag() -> None:
    document = told(
        {"oneOf": [ref("A"), ref("B")], "discriminator": {"propertyName": "type"}},
        A=part({"const": "a"}),
        B=part({"const": "a"}),
    )
    assert "two alternatives have type 'a'" in refused(document).reason


def test_untagged_objects_are_refused_unless_strict_and_told_apart_by_what_they_require() -> None:
    flat = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    nested = {"type": "object", "required": ["inner"], "properties": {"inner": {"type": "string"}}}
    either = {"anyOf": [ref("Flat"), ref("Nested")]}
    assert parsed(asked(either, Flat=flat, Nested=nested))
    assert "share a JSON type" in refused(told(either, Flat=flat, Nested=nested)).reason
    assert "share a JSON type" in refused(asked(either, Flat=flat, Nested=flat)).reason
    opened = {**nested, "additionalProperties": True}
    assert "share a JSON type" in refused(asked(either, Flat=flat, Nested=opened)).reason
    assert "share a JSON type" in refused(asked(either, Flat=flat, Nested={"type": "object"})).reason


@pytest.mark.parametrize(
    "schemas, reason",
    [
        ({"Loop": ref("Loop")}, "refers to itself only"),
        ({"Loop": {"anyOf": [ref("Other"), {"type": "string"}]}, "Other": ref("Loop")}, "refers to itself only"),
        ({"Loop": {"type": "array", "items": ref("Loop")}}, "contains itself"),
        ({"Loop": {"type": ["object", "null"], "properties": {}}}, "cannot be null"),
        ({"Loop": {"type": "object", "properties": {}}, "ToldX": ref("Loop")}, ""),
        ({"Loop": {"type": "object", "properties": {"a.b": {}, "a_b": {}}}}, "same Python name a_b"),
    ],
)
def test_named_schema_is_refused_when_it_has_no_meaning(schemas: dict[str, Any], reason: str) -> None:
    document = told(ref("Loop"), **schemas)
    if not reason:
        assert emit(parsed(document))
        return
    assert reason in refused(document).reason


@pytest.mark.parametrize(
    "name, reason",
    [("lower", "no class name"), ("With_Line", "no class name"), ("Any", "is taken"), ("ServerEvent", "is taken")],
)
def test_named_schema_is_refused_when_its_name_is_no_free_class_name(name: str, reason: str) -> None:
    assert reason in refused(told(ref(name), **{name: {"type": "object", "properties": {}}})).reason


def test_inline_schema_is_refused_when_the_name_made_for_it_is_taken() -> None:
    inline = {"type": "object", "properties": {}}
    assert "ToldX is taken" in refused(told(inline, ToldX={"type": "string"})).reason


def test_class_is_refused_when_a_client_twin_takes_its_name() -> None:
    shared = {"type": "object", "properties": {}}
    document = asyncapi(
        server={"Told": event("told", {"x": ref("Thing")})},
        client={"Ask": event("ask", {"x": ref("Thing"), "y": ref("ThingParam")})},
        schemas={"Thing": shared, "ThingParam": shared},
    )
    assert "ThingParam is taken" in refused(document).reason


@pytest.mark.parametrize(
    "name, properties",
    [
        ("audio", {"audio": {"type": "string", "contentEncoding": "base64"}}),
        ("model_dump", {"x": {"type": "string", "contentEncoding": "base64", "x-audio": "model_dump"}}),
        ("not a name", {"x": {"type": "string", "contentEncoding": "base64", "x-audio": "not a name"}}),
        (
            "audio",
            {
                "x": {"type": "string", "contentEncoding": "base64"},
                "y": {"type": "string", "contentEncoding": "base64"},
            },
        ),
    ],
)
def test_audio_property_is_refused_when_its_name_is_not_free(name: str, properties: dict[str, Any]) -> None:
    error = refused(asyncapi(server={"Told": event("told", properties)}))
    assert repr(name) in error.reason
    assert "x-audio" in error.reason


def base() -> dict[str, Any]:
    return copy.deepcopy(asyncapi(server={"Told": event("told")}, client={"Ask": event("ask")}))


def put(*steps: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        node = document
        for step in steps[:-1]:
            node = node[step]
        node[steps[-1]] = value

    return change


def drop(*steps: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        node = document
        for step in steps[:-1]:
            node = node[step]
        del node[steps[-1]]

    return change


@pytest.mark.parametrize(
    "change, place, reason",
    [
        (put("asyncapi", value="2.6.0"), "/asyncapi", "3.x.y"),
        (put("asyncapi", value=3), "/asyncapi", "3.x.y"),
        (put("tags", value=[]), "/tags", "not supported"),
        (put("x-service", value="Not A Module"), "/x-service", "module name"),
        (drop("components"), "/components", "must be an object"),
        (put("components", "traits", value={}), "/components/traits", "not supported"),
        (put("components", "messages", "Told", value=[]), "/components/messages/Told", "must be an object"),
        (
            put("components", "messages", "Told", "traits", value=[]),
            "/components/messages/Told/traits",
            "not supported",
        ),
        (put("components", "messages", "Told", "name", value="sold"), "/components/messages/Told/name", "'sold'"),
        (drop("components", "messages", "Told", "payload"), "/components/messages/Told/payload", "must be an object"),
        (
            put("components", "messages", "Told", "payload", value=ref("Nothing")),
            "/components/messages/Told/payload/$ref",
            "does not lead to a schema",
        ),
        (
            put("components", "messages", "Ask", "payload", value=ref("Told")),
            "/components/messages/Ask/payload",
            "no other message has",
        ),
        (
            put("components", "messages", "Told", "payload", value=event("told")),
            "/components/schemas/Told",
            "another payload",
        ),
        (
            put("components", "schemas", "Told", "required", value=[]),
            "/components/messages/Told/name",
            "the payload's type None",
        ),
        (
            put("components", "schemas", "Told", "properties", "type", value={"const": 5}),
            "/components/messages/Told/name",
            "the payload's type None",
        ),
        (drop("channels"), "/channels", "must be an object"),
        (put("channels", "line", "tags", value=[]), "/channels/line/tags", "not supported"),
        (put("channels", "line", "messages", "Told", value=1), "/channels/line/messages/Told", "one $ref"),
        (
            put("channels", "line", "messages", "Told", value={"$ref": "#/x"}),
            "/channels/line/messages/Told/$ref",
            "does not lead to a message",
        ),
        (put("operations", "say", "reply", value={}), "/operations/say/reply", "not supported"),
        (put("operations", "say", "action", value="shout"), "/operations/say/action", "send or receive"),
        (put("operations", "say", "channel", value={"$ref": "#/x"}), "/operations/say/channel/$ref", "channel"),
        (put("operations", "say", "messages", value=[]), "/operations/say/messages", "at least one"),
        (
            put("operations", "say", "messages", value=[{"$ref": "#/components/messages/Ask"}]),
            "/operations/say/messages/0/$ref",
            "message of that channel",
        ),
        (drop("operations", "hear"), "/components/messages/Told", "no operation"),
    ],
)
def test_document_is_refused_with_its_place_when_its_frame_is_wrong(
    change: Callable[[dict[str, Any]], None], place: str, reason: str
) -> None:
    document = base()
    change(document)
    error = refused(document)
    assert reason in error.reason
    assert error.place == place


def test_document_is_refused_when_two_messages_of_one_direction_share_a_type() -> None:
    document = asyncapi(server={"One": event("told"), "Two": event("told")})
    assert "have the type 'told'" in refused(document).reason
    assert parsed(asyncapi(server={"One": event("told")}, client={"Two": event("told")}))


def test_document_is_refused_when_it_has_no_events() -> None:
    document = asyncapi(server={"Told": event("told")})
    document["components"]["messages"] = {}
    document["channels"]["line"]["messages"] = {}
    document["operations"] = {}
    assert "no events" in refused(document).reason


@pytest.mark.behaviour("generate-wants-evidence")
def test_evidence_is_wanted_on_every_message_and_property_when_asked_for() -> None:
    proof = {"x-evidence": "documented", "x-source": "a page"}
    document = asyncapi(server={"Told": event("told", {"x": {"type": "string"}})})
    assert parsed(document)
    message = document["components"]["messages"]["Told"]
    fields = document["components"]["schemas"]["Told"]["properties"]
    assert refused(document, require_evidence=True).place == "/components/messages/Told"
    message |= proof
    assert refused(document, require_evidence=True).place == "/components/schemas/Told/properties/type"
    fields["type"] |= proof
    fields["x"] |= {"x-evidence": "reported"}
    error = refused(document, require_evidence=True)
    assert (error.place, error.reason) == (HERE, "x-source is missing")
    fields["x"] |= proof
    assert parsed(document, require_evidence=True)
    document["components"]["schemas"]["Spare"] = {"type": "string"}
    assert refused(document, require_evidence=True).place == "/components/schemas/Spare"
    del document["components"]["schemas"]["Spare"], document["x-service"]
    assert refused(document, require_evidence=True).place == "/x-service"


def test_json_schema_file_gives_events_by_direction_and_refuses_one_without() -> None:
    item = {"type": "object", "required": ["type"], "properties": {"type": {"const": "item"}}}
    document: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {
            "Told": {**event("told", {"item": {"$ref": "#/$defs/Item"}}), "x-direction": "server"},
            "Item": item,
            "Spare": {"type": "object", "properties": {}},
        },
    }
    assert [(found.name, found.direction) for found in parsed(document).events] == [("Told", "server")]
    assert parsed(document).service == "small"
    document["$defs"]["Ask"] = event("ask")
    error = refused(document)
    assert (error.place, "x-direction" in error.reason) == ("/$defs/Ask/x-direction", True)
    document["$defs"]["Ask"]["x-direction"] = "both"
    assert "not 'both'" in refused(document).reason
    document["$defs"]["Ask"] = {"type": "string", "x-direction": "client"}
    assert "required property type" in refused(document).reason
    del document["$defs"]["Ask"]
    document["allOf"] = []
    assert refused(document).place == "/allOf"


@pytest.mark.parametrize(
    "schema, good, bad",
    [
        ({}, [None, 1, []], []),
        ({"type": "boolean"}, [True], [1, None]),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [1, 3, True, 2.0]),
        ({"type": "string", "pattern": "^a", "maxLength": 2}, ["a", "ab"], ["b", "abc", 1]),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1], "a"]),
        ({"type": "array"}, [[1, "a"]], [{}]),
        ({"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 1}, [{"a": 1}], [{"a": "x"}]),
        ({"type": "object"}, [{"a": 1}], [[]]),
        ({"type": "null"}, [None], ["x"]),
        ({"const": None}, [None], ["x"]),
        ({"anyOf": [{"type": "null"}]}, [None], ["x"]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["x", None], [1]),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["x", 1], [None, []]),
        ({"enum": ["a", 1, None]}, ["a", 1, None], ["b", True]),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
            [{"a": "x", "b": 1}],
            [{}, {"a": 1}],
        ),
    ],
)
def test_default_is_judged_strictly_by_its_schema(schema: Any, good: list[Any], bad: list[Any]) -> None:
    spec = parsed(asyncapi(server={"Told": event("told", {"x": schema})}))
    found = spec.definitions["Told"].properties[1].schema
    assert [value for value in good if not accepts(spec, found, value)] == []
    assert [value for value in bad if accepts(spec, found, value)] == []
