"""What can only be judged with the whole spec read. In: Spec. Out: SpecError, if any. Imports: room 0, this room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from xai_realtime.errors import SpecError
from xai_realtime.generate.load import pointer
from xai_realtime.generate.model import MISSING, Schema, Spec

__all__ = ["accepts", "json_kinds", "verify"]

JSON_KINDS: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "object": "object",
    "map": "object",
    "array": "array",
}
VALUE_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "boolean"),
    (str, "string"),
    (int, "number"),
    (float, "number"),
)


def verify(spec: Spec, *, require_evidence: bool = False) -> None:
    """Check unions, defaults, examples and, on request, evidence and use. Raises SpecError."""
    for name in spec.definitions:
        _alias_cycle(spec, name)
    lenient = spec.reachable("server")
    for name, definition in spec.definitions.items():
        for schema in _walk(definition):
            if schema.kind == "union":
                _union(spec, schema, is_strict=name not in lenient)
            _given_values(spec, schema)
    if require_evidence:
        _evidence(spec)


def _walk(schema: Schema) -> Iterator[Schema]:
    yield schema
    for child in schema.children():
        yield from _walk(child)


def _alias_cycle(spec: Spec, name: str) -> None:
    """A named schema that is nothing but itself, through references and unions."""
    todo, seen = [spec.definitions[name]], {name}
    while todo:
        schema = todo.pop()
        todo += schema.arms
        if schema.kind == "ref" and schema.target == name:
            raise SpecError("this schema refers to itself only", source=spec.source, place=spec.definitions[name].place)
        if schema.kind == "ref" and schema.target not in seen:
            seen.add(schema.target)
            todo.append(spec.definitions[schema.target])


def json_kinds(spec: Spec, schema: Schema) -> frozenset[str]:
    """The JSON types (string, number, boolean, object, array, null) a schema lets through; all six for an open one."""
    if schema.kind == "any":
        return frozenset(JSON_KINDS.values()) | {"null"}
    found = {"null"} if schema.is_nullable or schema.kind == "null" else set()
    if schema.kind == "ref":
        found |= json_kinds(spec, spec.definitions[schema.target])
    elif schema.kind == "union":
        for arm in schema.arms:
            found |= json_kinds(spec, arm)
    elif schema.kind in ("enum", "const"):
        found |= {next(kind for type_, kind in VALUE_KINDS if isinstance(value, type_)) for value in schema.values}
    elif schema.kind != "null":
        found.add(JSON_KINDS[schema.kind])
    return frozenset(found)


def _union(spec: Spec, schema: Schema, *, is_strict: bool) -> None:
    if schema.tag:
        _tagged(spec, schema)
        return
    for index, arm in enumerate(schema.arms):
        for other in schema.arms[:index]:
            shared = (json_kinds(spec, arm) & json_kinds(spec, other)) - {"null"}
            if not shared or (is_strict and shared == {"object"} and _are_apart(spec, arm, other)):
                continue
            raise SpecError(
                f"alternatives share a JSON type ({', '.join(sorted(shared))}): tag them with a discriminator",
                source=spec.source,
                place=arm.place,
            )


def _objects(spec: Spec, schema: Schema) -> list[Schema]:
    schema = spec.resolve(schema)
    if schema.kind == "union":
        return [found for arm in schema.arms for found in _objects(spec, arm)]
    return [schema] if schema.kind in ("object", "map") else []


def _are_apart(spec: Spec, one: Schema, other: Schema) -> bool:
    """Whether no closed object fits both: for each pair, one side requires a property that the other lacks."""
    return all(
        not a.is_open and not b.is_open and a.kind == b.kind == "object" and (_requires(a, b) or _requires(b, a))
        for a in _objects(spec, one)
        for b in _objects(spec, other)
    )


def _requires(one: Schema, other: Schema) -> bool:
    known = {prop.name for prop in other.properties}
    return any(prop.is_required and prop.name not in known for prop in one.properties)


def _tagged(spec: Spec, schema: Schema) -> None:
    def fail(reason: str, place: str) -> SpecError:
        return SpecError(reason, source=spec.source, place=place)

    tags: set[Any] = set()
    for arm in schema.arms:
        target = spec.resolve(arm)
        if target.kind != "object":
            raise fail("a discriminator needs objects", arm.place)
        tag = next((prop for prop in target.properties if prop.name == schema.tag), None)
        if tag is None or tag.schema.kind != "const" or not tag.is_required:
            raise fail(f"the alternative needs a required {schema.tag} with a const", arm.place)
        value = tag.schema.values[0]
        if value in tags:
            raise fail(f"two alternatives have {schema.tag} {value!r}", arm.place)
        tags.add(value)


def _given_values(spec: Spec, schema: Schema) -> None:
    notes = schema.notes
    if notes.default is not MISSING and not accepts(spec, schema, notes.default):
        raise SpecError(
            f"the default {notes.default!r} is no value of this schema",
            source=spec.source,
            place=pointer(schema.place, "default"),
        )
    for index, example in enumerate(notes.examples):
        if not accepts(spec, schema, example):
            raise SpecError(
                f"the example {example!r} is no value of this schema",
                source=spec.source,
                place=pointer(schema.place, "examples", index),
            )


def accepts(spec: Spec, schema: Schema, value: Any) -> bool:
    """Whether a value fits a schema, strictly."""
    if value is None:
        return spec.allows_null(schema)
    kind = schema.kind
    if kind == "any":
        return True
    if kind == "ref":
        return accepts(spec, spec.definitions[schema.target], value)
    if kind == "union":
        return any(accepts(spec, arm, value) for arm in schema.arms)
    if kind in ("enum", "const"):
        return any(type(value) is type(allowed) and value == allowed for allowed in schema.values)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "number"):
        return _is_number(value, kind) and _within(schema, value)
    if kind == "string":
        return isinstance(value, str) and _within(schema, len(value)) and _matches(schema, value)
    if kind == "array":
        item = schema.item
        return (
            isinstance(value, list)
            and _within(schema, len(value))
            and (item is None or all(accepts(spec, item, entry) for entry in value))
        )
    return isinstance(value, dict) and _fits_object(spec, schema, value)


def _is_number(value: Any, kind: str) -> bool:
    return not isinstance(value, bool) and isinstance(value, int if kind == "integer" else int | float)


def _matches(schema: Schema, value: str) -> bool:
    pattern = schema.limits.get("pattern")
    return pattern is None or re.search(pattern, value) is not None


def _within(schema: Schema, amount: float) -> bool:
    limits = schema.limits
    low = max((limits[key] for key in ("minimum", "minLength", "minItems") if key in limits), default=amount)
    high = min(
        (limits[key] for key in ("maximum", "maxLength", "maxItems", "maxProperties") if key in limits), default=amount
    )
    above = "exclusiveMinimum" not in limits or bool(amount > limits["exclusiveMinimum"])
    below = "exclusiveMaximum" not in limits or bool(amount < limits["exclusiveMaximum"])
    return bool(low <= amount <= high) and above and below


def _fits_object(spec: Spec, schema: Schema, value: dict[str, Any]) -> bool:
    if schema.kind == "map":
        item = schema.item
        return _within(schema, len(value)) and (
            item is None or all(accepts(spec, item, entry) for entry in value.values())
        )
    known = {prop.name: prop for prop in schema.properties}
    if any(prop.is_required and prop.name not in value for prop in schema.properties):
        return False
    return all(accepts(spec, known[key].schema, entry) if key in known else True for key, entry in value.items())


def _evidence(spec: Spec) -> None:
    """Every message and every property says how it is known and from where; every definition is used."""

    def need(place: str, evidence: str, source: str) -> None:
        for key, value in (("x-evidence", evidence), ("x-source", source)):
            if not value:
                raise SpecError(f"{key} is missing", source=spec.source, place=place)

    for event in spec.events:
        need(event.place, event.notes.evidence, event.notes.source)
    used = spec.reachable("server") | spec.reachable("client")
    for name, definition in spec.definitions.items():
        if name not in used:
            raise SpecError(f"no event uses {name}", source=spec.source, place=definition.place)
        for schema in _walk(definition):
            for prop in schema.properties:
                need(prop.schema.place, prop.schema.notes.evidence, prop.schema.notes.source)
