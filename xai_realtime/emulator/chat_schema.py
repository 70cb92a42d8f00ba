"""The smallest value that fits a JSON Schema. In: a schema, a text. Out: a value. Imports: the standard library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["fitting_value"]

MAX_DEPTH: Final = 32
FORMATS: Final[Mapping[str, str]] = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}


def fitting_value(schema: Any, text: str) -> Any:
    """The smallest value that fits: required fields alone, `text` where a free text is wanted.

    Patterns of texts and rules across fields are not looked at.
    """
    return _value(schema, schema if isinstance(schema, Mapping) else {}, text, 0)


def _value(schema: Any, root: Mapping[str, Any], text: str, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "$ref" in schema:
        return _value(_referred(schema["$ref"], root), root, text, depth + 1)
    if schema.get("allOf"):
        return _value(_merged(schema, root), root, text, depth + 1)
    for keyword in ("anyOf", "oneOf"):
        if schema.get(keyword):
            return _value(schema[keyword][0], root, text, depth + 1)
    kind = _kind(schema)
    if kind == "object":
        fields = schema.get("properties") or {}
        return {
            name: _value(fields.get(name, {"type": "string"}), root, text, depth + 1)
            for name in schema.get("required") or fields
        }
    if kind == "array":
        first = schema.get("prefixItems") or []
        fixed = [_value(entry, root, text, depth + 1) for entry in first]
        more = max(0, schema.get("minItems", 0) - len(fixed))
        return fixed + [_value(schema.get("items", {"type": "string"}), root, text, depth + 1) for _ in range(more)]
    if kind == "string":
        return _text(schema, text)
    return _number(schema, kind) if kind in ("integer", "number") else False if kind == "boolean" else None


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((entry for entry in kind if entry != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _referred(reference: Any, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) and step else found
    return found


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
    for part in schema["allOf"]:
        whole = _referred(part["$ref"], root) if "$ref" in part else part
        for name, value in (whole or {}).items():
            if name == "properties":
                merged[name] = {**merged.get(name, {}), **value}
            elif name == "required":
                merged[name] = [*merged.get(name, []), *value]
            else:
                merged.setdefault(name, value)
    return merged


def _text(schema: Mapping[str, Any], text: str) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), ".")


def _number(schema: Mapping[str, Any], kind: str) -> float:
    step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
    low = schema.get("minimum", -math.inf)
    if "exclusiveMinimum" in schema:
        low = max(low, schema["exclusiveMinimum"] + (step or 1))
    high = schema.get("maximum", math.inf)
    if "exclusiveMaximum" in schema:
        high = min(high, schema["exclusiveMaximum"] - (step or 1))
    value = min(max(0, low), high)
    value = math.ceil(value / step) * step if step else value
    return int(value) if kind == "integer" else value
