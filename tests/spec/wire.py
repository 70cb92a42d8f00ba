"""What the wire spec declares, read straight from the file: no generator, no pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "ALTERNATIVES",
    "SPEC",
    "events",
    "listed",
    "load",
    "lookup",
    "page",
    "properties",
    "recorded",
    "undeclared",
]

SPEC = Path(__file__).resolve().parents[2] / "spec" / "realtime.yaml"
ALTERNATIVES = ("oneOf", "anyOf")


def load(path: Path = SPEC) -> dict[str, Any]:
    """A spec as plain data."""
    spec: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return spec


def listed(section: str) -> list[tuple[str, str, str]]:
    """The events that a part of the wire page lists: type, class, evidence."""
    found: list[tuple[str, str, str]] = re.findall(
        r"^\| `([a-z_.]+)` \| `(\w+)` \| (\w+) \| \S.* \|$", section, flags=re.MULTILINE
    )
    return found


def page() -> list[str]:
    """The wire page in four parts: the realtime socket, speech to text, text to speech, chat."""
    text = (SPEC.parents[1] / "docs" / "wire.md").read_text(encoding="utf-8")
    return re.split(r"\n## (?:Speech to text|Text to speech|Chat)\n", text)


def resolve(spec: dict[str, Any], reference: str) -> dict[str, Any]:
    """What a local `$ref` points at."""
    node: Any = spec
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    assert isinstance(node, dict)
    return node


def events(spec: dict[str, Any], action: str) -> dict[str, dict[str, Any]]:
    """Messages of one direction by wire type, `send` from the client and `receive` from the server."""
    found: dict[str, dict[str, Any]] = {}
    for operation in spec["operations"].values():
        if operation["action"] == action:
            for entry in operation["messages"]:
                message = resolve(spec, resolve(spec, entry["$ref"])["$ref"])
                assert message["name"] not in found
                found[message["name"]] = message
    return found


def branches(spec: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema itself with references followed, or each of its alternatives."""
    if "$ref" in schema:
        yield from branches(spec, resolve(spec, schema["$ref"]))
    elif any(key in schema for key in ALTERNATIVES):
        for key in ALTERNATIVES:
            for arm in schema.get(key, ()):
                yield from branches(spec, arm)
    else:
        yield schema


def is_map(schema: dict[str, Any]) -> bool:
    """Whether the schema holds keys of any name."""
    return schema.get("type") == "object" and "properties" not in schema


def lookup(spec: dict[str, Any], schema: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Every declaration of a path such as `$.item.content[].text`; empty when there is none."""
    found = list(branches(spec, schema))
    for step in path.removeprefix("$").replace("[]", ".[]").split(".")[1:]:
        inner = [
            arm["items"] if step == "[]" else arm["properties"][step]
            for arm in found
            if ("items" in arm if step == "[]" else step in arm.get("properties", {}))
        ]
        found = [arm for node in inner for arm in branches(spec, node)]
    return found


def fits(arm: dict[str, Any], value: Any) -> bool:
    """Whether an alternative may hold the value, told by JSON kind and tag."""
    if isinstance(value, dict):
        tag = arm.get("properties", {}).get("type", {}).get("const")
        return arm.get("type") == "object" and tag in (None, value.get("type"))
    return (arm.get("type") == "array") == isinstance(value, list)


def undeclared(spec: dict[str, Any], schema: dict[str, Any], value: Any, path: str = "$") -> list[str]:
    """Paths of `value` that no alternative of the schema declares."""
    found: list[list[str]] = []
    for arm in branches(spec, schema):
        if "type" not in arm:
            return []  # Open: anything goes.
        if fits(arm, value):
            found.append([])
            if isinstance(value, dict) and not is_map(arm):
                for key, inner in value.items():
                    known = arm["properties"].get(key)
                    where = f"{path}.{key}"
                    found[-1] += [where] if known is None else undeclared(spec, known, inner, where)
            elif isinstance(value, list) and "items" in arm:
                for inner in value:
                    found[-1] += undeclared(spec, arm["items"], inner, f"{path}[]")
    return min(found, key=len, default=[path])


def properties(node: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of every object schema below a node, with its place."""
    if isinstance(node, dict):
        declared = node.get("properties")
        if isinstance(declared, dict) and node.get("type") == "object":
            for name, schema in declared.items():
                yield f"{place}/properties/{name}", schema
        for key, inner in node.items():
            yield from properties(inner, f"{place}/{key}")
    elif isinstance(node, list):
        for index, inner in enumerate(node):
            yield from properties(inner, f"{place}/{index}")


def recorded(path: Path, direction: str) -> list[dict[str, Any]]:
    """The JSON frames of one recording in one direction, `sent` or `received`."""
    tape = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [
        entry["data"]
        for entry in tape["interactions"]
        if entry["kind"] == "message" and entry["direction"] == direction
    ]
