"""A JSON Schema made small. In: what pydantic writes. Out: what a model needs of it. Imports: the standard library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["minimal_schema"]

DEFINITIONS: Final = "#/$defs/"

BY_NAME: Final = frozenset({"$defs", "patternProperties", "properties"})
"""Keywords that hold schemas under names of the user's."""
SEVERAL: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
SINGLE: Final = frozenset({"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"})
PLAIN: Final = frozenset(
    {
        "$ref",
        "const",
        "contentEncoding",
        "contentMediaType",
        "default",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
)
"""Keywords whose value is no schema. What stands in none of these sets (`title`, `discriminator`, ...) is left out."""


def minimal_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without titles and extras, every `$ref` replaced by what it names unless that holds itself."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    recursive = recursive_names(definitions)
    inline = {DEFINITIONS + name: body for name, body in definitions.items() if name not in recursive}
    small = minimal({key: value for key, value in schema.items() if key != "$defs"}, inline)
    kept = {name: minimal(body, inline) for name, body in definitions.items() if name in recursive}
    result: dict[str, Any] = small | {"$defs": kept} if kept else small
    return result


def minimal(node: Any, inline: Mapping[str, Any]) -> Any:
    """One schema and what it holds; True and False stay."""
    if not isinstance(node, Mapping):
        return node
    while node.get("$ref") in inline:
        node = {**inline[node["$ref"]], **{key: value for key, value in node.items() if key != "$ref"}}
    small: dict[str, Any] = {}
    for key, value in node.items():
        if key in BY_NAME:
            small[key] = {name: minimal(inner, inline) for name, inner in value.items()}
        elif key in SEVERAL:
            small[key] = [minimal(inner, inline) for inner in value]
        elif key in SINGLE:
            small[key] = minimal(value, inline)
        elif key in PLAIN and is_finite(value):
            small[key] = value
    return small


def is_finite(value: Any) -> bool:
    """False for a value that holds a number JSON cannot write."""
    if isinstance(value, Mapping):
        return all(is_finite(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(is_finite(inner) for inner in value)
    return not isinstance(value, float) or math.isfinite(value)


def recursive_names(definitions: Mapping[str, Any]) -> set[str]:
    """The definitions that refer to themselves, directly or through others."""
    direct = {name: {ref.removeprefix(DEFINITIONS) for ref in references(body)} for name, body in definitions.items()}
    recursive: set[str] = set()
    for name in direct:
        reached: set[str] = set()
        ahead = set(direct[name])
        while ahead:
            other = ahead.pop()
            reached.add(other)
            ahead |= direct.get(other, set()) - reached
        if name in reached:
            recursive.add(name)
    return recursive


def references(node: Any) -> Iterator[str]:
    """Every definition that is referred to anywhere inside."""
    if isinstance(node, Mapping):
        ref = node.get("$ref")
        if isinstance(ref, str):
            yield ref
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from references(inner)
