"""JSON Schema nodes become checked values. In: plain data. Out: Schema. Imports: room 0, this room."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from xai_realtime.errors import SpecError
from xai_realtime.generate.load import Json, pointer
from xai_realtime.generate.model import MISSING, Notes, Property, Schema
from xai_realtime.generate.text import class_name

__all__ = ["EVIDENCE", "Reader", "read_notes"]

EVIDENCE: Final = ("documented", "observed", "reported")

ANNOTATIONS: Final = frozenset({"description", "title", "default", "examples", "deprecated"})
VALUES: Final = frozenset({"enum", "const"})
NUMBERS: Final = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "string": VALUES | {"minLength", "maxLength", "pattern", "contentEncoding"},
    "integer": VALUES | NUMBERS,
    "number": VALUES | NUMBERS,
    "boolean": VALUES,
    "null": VALUES,
    "object": frozenset({"properties", "required", "additionalProperties", "maxProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
}
UNION: Final = frozenset({"oneOf", "anyOf", "discriminator"})
SIZES: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems", "maxProperties"})
LIMITS: Final = NUMBERS | SIZES | {"pattern"}
ALL_KEYWORDS: Final = ANNOTATIONS | UNION | {"$ref", "type"} | frozenset().union(*KEYWORDS.values())
PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def read_notes(node: Mapping[str, Json], place: str, source: str) -> Notes:
    """The annotations of one node, checked."""

    def text(key: str) -> str:
        value = node.get(key, "")
        if not isinstance(value, str):
            raise SpecError(f"{key} must be text", source=source, place=pointer(place, key))
        return " ".join(value.split()) if key != "description" else value

    def flag(key: str) -> bool:
        value = node.get(key, False)
        if not isinstance(value, bool):
            raise SpecError(f"{key} must be true or false", source=source, place=pointer(place, key))
        return value

    examples = node.get("examples", [])
    if not isinstance(examples, list):
        raise SpecError("examples must be a list", source=source, place=pointer(place, "examples"))
    evidence = text("x-evidence")
    if evidence and evidence not in EVIDENCE:
        allowed = ", ".join(EVIDENCE)
        raise SpecError(
            f"x-evidence is {evidence!r}, allowed are {allowed}", source=source, place=pointer(place, "x-evidence")
        )
    return Notes(
        title=text("title"),
        description=text("description"),
        default=node.get("default", MISSING),
        examples=tuple(examples),
        is_deprecated=flag("deprecated"),
        evidence=evidence,
        source=text("x-source"),
        unit=text("x-unit"),
        audio=text("x-audio"),
        is_secret=flag("x-secret"),
    )


class Reader:
    """Reads the definitions of one spec.

    `names` maps each reference (`#/components/schemas/Item`) to the Python name of its definition.
    Inline objects, enums and tagged unions get a definition of their own, named by their place.
    """

    def __init__(self, source: str, names: Mapping[str, str]) -> None:
        self.definitions: dict[str, Schema] = {}
        self._source = source
        self._names = names
        self._taken = frozenset(names.values())

    def fail(self, reason: str, place: str) -> SpecError:
        """The error to raise for a place."""
        return SpecError(reason, source=self._source, place=place)

    def define(self, name: str, node: Json, place: str) -> None:
        """Read a named schema into `definitions`."""
        schema = self._read(node, place, name)
        if schema.kind == "object" and schema.is_nullable:
            raise self.fail("a named object cannot be null; allow null where it is used", pointer(place, "type"))
        self.definitions[name] = schema

    def _inline(self, node: Json, place: str, name: str) -> Schema:
        """Read an unnamed schema; what needs a name of its own moves to `definitions`."""
        schema = self._read(node, place, name)
        if schema.kind in ("object", "enum") or (schema.kind == "union" and schema.tag):
            if name in self.definitions or name in self._taken:
                raise self.fail(f"the name {name} is taken; give this schema a name of its own and refer to it", place)
            self.definitions[name] = replace(schema, is_nullable=False)
            return Schema(place, "ref", is_nullable=schema.is_nullable, target=name, notes=schema.notes)
        return schema

    def _read(self, node: Json, place: str, name: str) -> Schema:
        if not isinstance(node, dict):
            raise self.fail("a schema must be an object", place)
        for key in node:
            if key not in ALL_KEYWORDS and not key.startswith("x-"):
                raise self.fail(f"keyword {key!r} is not supported", pointer(place, key))
        notes = read_notes(node, place, self._source)
        if "x-audio" in node and "$ref" not in node and "contentEncoding" not in node:
            raise self.fail("x-audio needs contentEncoding: base64", pointer(place, "x-audio"))
        if "$ref" in node:
            self._allow(node, place, "a reference", frozenset({"$ref"}))
            target = node["$ref"]
            if not isinstance(target, str) or target not in self._names:
                raise self.fail(f"{target!r} does not lead to a schema of this file", pointer(place, "$ref"))
            return Schema(place, "ref", target=self._names[target], notes=notes)
        if "oneOf" in node or "anyOf" in node:
            return self._union(node, place, name, notes)
        types, is_nullable = self._types(node, place)
        if not types:
            self._allow(node, place, "a schema without a type", VALUES)
            if not VALUES & node.keys():
                return Schema(place, "any", notes=notes)
            return self._values(node, place, notes, "", is_nullable)
        self._allow(node, place, f"type {types}", KEYWORDS[types] | {"type"})
        if VALUES & node.keys():
            return self._values(node, place, notes, types, is_nullable)
        limits = self._limits(node, place)
        if types == "object":
            return replace(self._object(node, place, name, notes), is_nullable=is_nullable, limits=limits)
        item = None
        if types == "array" and "items" in node:
            item = self._inline(node["items"], pointer(place, "items"), f"{name}Item")
        return Schema(
            place,
            types,  # type: ignore[arg-type]
            is_nullable=is_nullable,
            item=item,
            limits=limits,
            is_base64=self._base64(node, place),
            notes=notes,
        )

    def _allow(self, node: Mapping[str, Json], place: str, what: str, allowed: frozenset[str]) -> None:
        for key in node:
            if key not in allowed and key not in ANNOTATIONS and not key.startswith("x-"):
                raise self.fail(f"keyword {key!r} does not go with {what}", pointer(place, key))

    def _types(self, node: Mapping[str, Json], place: str) -> tuple[str, bool]:
        """The one type of a node ("" when none is given) and whether null is allowed beside it."""
        if "type" not in node:
            return "", False
        given = node["type"]
        found = given if isinstance(given, list) else [given]
        for index, entry in enumerate(found):
            if not isinstance(entry, str) or entry not in KEYWORDS:
                where = pointer(place, "type", index) if isinstance(given, list) else pointer(place, "type")
                hint = "; for any value write {}" if entry == "any" else ""
                raise self.fail(f"unknown type {entry!r}{hint}", where)
        if isinstance(given, list):
            others = [entry for entry in found if entry != "null"]
            if len(found) != 2 or len(others) != 1:
                raise self.fail('a list of types must be [x, "null"]; use anyOf for more', pointer(place, "type"))
            return str(others[0]), True
        return str(given), False

    def _limits(self, node: Mapping[str, Json], place: str) -> dict[str, Any]:
        limits = {key: node[key] for key in node if key in LIMITS}
        for key, value in limits.items():
            where = pointer(place, key)
            if key == "pattern":
                self._pattern(value, where)
            elif isinstance(value, bool) or not isinstance(value, int if key in SIZES else int | float):
                raise self.fail(f"{key} must be a {'whole ' if key in SIZES else ''}number", where)
            elif key in SIZES and value < 0:
                raise self.fail(f"{key} is negative", where)
        for low, high in (
            ("minimum", "maximum"),
            ("minimum", "exclusiveMaximum"),
            ("exclusiveMinimum", "maximum"),
            ("exclusiveMinimum", "exclusiveMaximum"),
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
        ):
            if low in limits and high in limits and limits[low] > limits[high]:
                raise self.fail(f"{low} {limits[low]} is above {high} {limits[high]}", pointer(place, low))
        return limits

    def _pattern(self, value: Json, place: str) -> None:
        from pydantic_core import SchemaError, SchemaValidator, core_schema

        if not isinstance(value, str):
            raise self.fail("pattern must be text", place)
        try:
            re.compile(value)
            SchemaValidator(core_schema.str_schema(pattern=value))
        except (re.error, SchemaError):
            raise self.fail(f"pattern {value!r} is not supported", place) from None

    def _base64(self, node: Mapping[str, Json], place: str) -> bool:
        encoding = node.get("contentEncoding")
        if encoding not in (None, "base64"):
            raise self.fail(f"contentEncoding {encoding!r} is not supported", pointer(place, "contentEncoding"))
        return encoding is not None

    def _values(self, node: Mapping[str, Json], place: str, notes: Notes, type_: str, is_nullable: bool) -> Schema:
        """An enum or a const, with or without a type beside it."""
        key = "const" if "const" in node else "enum"
        if len(VALUES & node.keys()) == 2:
            raise self.fail("enum and const together", place)
        mixed = sorted((LIMITS | {"contentEncoding"}) & node.keys())
        if mixed:
            raise self.fail(f"keyword {mixed[0]!r} does not go with {key}", pointer(place, mixed[0]))
        values = [node["const"]] if key == "const" else node["enum"]
        where = pointer(place, key)
        if not isinstance(values, list) or not values:
            raise self.fail("enum must be a list of at least one value", where)
        allowed = (*PYTHON_TYPES[type_], *((type(None),) if is_nullable else ())) if type_ else (str, int, type(None))
        for value in values:
            fits = isinstance(value, allowed) and (not isinstance(value, bool) or type_ in ("", "boolean"))
            if not fits or isinstance(value, float):
                raise self.fail(f"{value!r} is no value of this {key}", where)
        if len({(type(value), value) for value in values}) != len(values):
            raise self.fail("enum has a value twice", where)
        if is_nullable and None not in values:
            raise self.fail(f"null is a type here but no value of the {key}", where)
        others = tuple(value for value in values if value is not None)
        if not others:
            return Schema(place, "null", is_nullable=True, notes=notes)
        kind = "const" if key == "const" else "enum"
        return Schema(place, kind, is_nullable=None in values, values=others, notes=notes)  # type: ignore[arg-type]

    def _object(self, node: Mapping[str, Json], place: str, name: str, notes: Notes) -> Schema:
        properties = node.get("properties")
        extra = node.get("additionalProperties", True)
        if "properties" not in node and extra is not False:
            for key in ("required",):
                if node.get(key):
                    raise self.fail("required without properties", pointer(place, key))
            item = None
            if extra is not True:
                item = self._inline(extra, pointer(place, "additionalProperties"), f"{name}Value")
            return Schema(place, "map", item=item, notes=notes)
        if not isinstance(extra, bool):
            raise self.fail(
                "additionalProperties with a schema beside properties is not supported",
                pointer(place, "additionalProperties"),
            )
        if "maxProperties" in node:
            raise self.fail("maxProperties beside properties is not supported", pointer(place, "maxProperties"))
        properties = {} if properties is None else properties
        if not isinstance(properties, dict):
            raise self.fail("properties must be an object", pointer(place, "properties"))
        required = node.get("required", [])
        if not isinstance(required, list) or len({str(entry) for entry in required}) != len(required):
            raise self.fail("required must be a list without repetition", pointer(place, "required"))
        for index, entry in enumerate(required):
            if entry not in properties:
                raise self.fail(f"required names {entry!r}, which is no property", pointer(place, "required", index))
        found = tuple(
            Property(
                key, self._inline(value, pointer(place, "properties", key), name + class_name(key)), key in required
            )
            for key, value in properties.items()
        )
        is_open = node.get("additionalProperties") is True
        return Schema(place, "object", properties=found, is_open=is_open, notes=notes)

    def _union(self, node: Mapping[str, Json], place: str, name: str, notes: Notes) -> Schema:
        key = "oneOf" if "oneOf" in node else "anyOf"
        self._allow(node, place, key, frozenset({key, "discriminator"}))
        arms = node[key]
        if not isinstance(arms, list) or not arms:
            raise self.fail(f"{key} must be a list of at least one schema", pointer(place, key))
        tag = self._tag(node, place)
        found: list[Schema] = []
        is_nullable = False
        for index, arm in enumerate(arms):
            schema = self._inline(arm, pointer(place, key, index), self._arm_name(name, arm, tag, len(arms)))
            if schema.kind == "null":
                is_nullable = True
            else:
                is_nullable = is_nullable or schema.is_nullable
                found.append(replace(schema, is_nullable=False))
        if not found:
            return Schema(place, "null", is_nullable=True, notes=notes)
        if len(found) == 1:
            return replace(found[0], is_nullable=is_nullable, notes=notes, place=place)
        return Schema(place, "union", is_nullable=is_nullable, arms=tuple(found), tag=tag, notes=notes)

    def _tag(self, node: Mapping[str, Json], place: str) -> str:
        if "discriminator" not in node:
            return ""
        given = node["discriminator"]
        where = pointer(place, "discriminator")
        if not isinstance(given, dict) or not isinstance(given.get("propertyName"), str):
            raise self.fail("discriminator needs propertyName", where)
        for key in given:
            if key != "propertyName" and not key.startswith("x-"):
                raise self.fail(f"keyword {key!r} is not supported in a discriminator", pointer(where, key))
        return str(given["propertyName"])

    @staticmethod
    def _arm_name(name: str, arm: Json, tag: str, count: int) -> str:
        """An inline arm is named by its tag (ItemMessage); without one by its type (ToolChoiceObject)."""
        if not isinstance(arm, dict):
            return name
        properties = arm.get("properties")
        tagged = properties.get(tag) if isinstance(properties, dict) else None
        if isinstance(tagged, dict) and isinstance(tagged.get("const"), str):
            return name + class_name(tagged["const"])
        return name + class_name(str(arm.get("type", "Value"))) if count > 2 else name + "Value"
