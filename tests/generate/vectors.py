"""JSON values made from a spec: the least, the most, and the wrong kind."""

from __future__ import annotations

from typing import Any

from xai_realtime.generate.model import MISSING, Schema, Spec
from xai_realtime.generate.verify import json_kinds

__all__ = ["least", "most", "wrong"]

WRONG = {"array": [["x"]], "object": {"x": {"y": 1}}, "boolean": True, "string": "no number", "number": 5}


def least(spec: Spec, schema: Schema) -> Any:
    """The smallest value: required properties only."""
    return _value(spec, schema, is_whole=False, inside=())


def most(spec: Spec, schema: Schema) -> Any:
    """A value with every property, what contains itself once."""
    return _value(spec, schema, is_whole=True, inside=())


def wrong(spec: Spec, schema: Schema) -> Any:
    """A value of a JSON type that no lax reading accepts; MISSING for a schema that is open."""
    kinds = json_kinds(spec, schema)
    return next((WRONG[kind] for kind in ("array", "object") if kind not in kinds), MISSING)


def _value(spec: Spec, schema: Schema, *, is_whole: bool, inside: tuple[str, ...]) -> Any:
    kind = schema.kind
    if kind == "ref":
        return _value(spec, spec.definitions[schema.target], is_whole=is_whole, inside=(*inside, schema.target))
    if kind in ("enum", "const"):
        return schema.values[-1 if is_whole else 0]
    if kind == "union":
        return _value(spec, schema.arms[-1 if is_whole else 0], is_whole=is_whole, inside=inside)
    if kind == "object":
        return {
            prop.name: _value(spec, prop.schema, is_whole=is_whole, inside=inside)
            for prop in schema.properties
            if prop.is_required or (is_whole and not (set(_targets(prop.schema)) & set(inside)))
        }
    if kind == "array":
        count = max(schema.limits.get("minItems", 0), int(is_whole and schema.item is not None))
        if schema.item is not None and set(_targets(schema.item)) & set(inside):
            count = 0
        return [_value(spec, schema.item or Schema("", "any"), is_whole=is_whole, inside=inside) for _ in range(count)]
    if kind == "map":
        item = schema.item or Schema("", "any")
        return {"key": _value(spec, item, is_whole=is_whole, inside=inside)} if is_whole else {}
    return _scalar(schema)


def _scalar(schema: Schema) -> Any:
    if schema.kind in ("null", "any"):
        return None
    if schema.kind == "boolean":
        return True
    given = [value for value in (schema.notes.default, *schema.notes.examples) if value not in (MISSING, None)]
    if given:
        return given[0]
    if schema.kind == "string":
        return "QUJD" if schema.is_base64 else "x" * max(1, schema.limits.get("minLength", 1))
    low = schema.limits.get("minimum", schema.limits.get("exclusiveMinimum", 0) + 1)
    return min(low, schema.limits.get("maximum", low))


def _targets(schema: Schema) -> list[str]:
    if schema.kind == "ref":
        return [schema.target]
    return [name for child in schema.children() for name in _targets(child)]
