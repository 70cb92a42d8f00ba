"""What a spec says, checked, as values. In: nothing. Out: Spec and its parts. Imports: the standard library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

__all__ = ["MISSING", "Direction", "Event", "Kind", "Notes", "Property", "Schema", "Spec", "references"]

Direction: TypeAlias = Literal["server", "client"]
"""Who sends: `server` models are lenient, `client` models strict."""

Kind: TypeAlias = Literal[
    "string", "integer", "number", "boolean", "null", "enum", "const", "object", "map", "array", "ref", "union", "any"
]

MISSING: Final[Any] = object()
"""Stands for a default that is not given; None is a default of its own."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a schema says to its readers and to the printer."""

    title: str = ""
    description: str = ""
    default: Any = MISSING
    examples: tuple[Any, ...] = ()
    is_deprecated: bool = False
    evidence: str = ""
    source: str = ""
    unit: str = ""
    audio: str = ""
    is_secret: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an object. `name` is the wire name."""

    name: str
    schema: Schema
    is_required: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema of the spec, with `place`, the JSON pointer it stands at.

    `values` belong to enum and const, `properties` and `is_open` to object, `item` to array and map
    (None: anything), `arms` and `tag` to union, `target` to ref, `limits` to what they bound.
    """

    place: str
    kind: Kind
    is_nullable: bool = False
    values: tuple[Any, ...] = ()
    properties: tuple[Property, ...] = ()
    is_open: bool = False
    item: Schema | None = None
    arms: tuple[Schema, ...] = ()
    tag: str = ""
    target: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    is_base64: bool = False
    notes: Notes = field(default_factory=Notes)

    def children(self) -> Iterator[Schema]:
        """The schemas directly inside this one, references not followed."""
        for prop in self.properties:
            yield prop.schema
        if self.item is not None:
            yield self.item
        yield from self.arms


@dataclass(frozen=True, slots=True)
class Event:
    """One message in one direction. `name` is its class and the definition that holds its payload."""

    name: str
    type: str
    direction: Direction
    notes: Notes
    place: str


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole spec: its definitions by Python name in the order of the file, and its events.

    `is_tagged` is False where no `type` tells the messages apart (`x-tag: none`).
    """

    source: str
    sha256: str
    service: str
    definitions: Mapping[str, Schema]
    events: tuple[Event, ...]
    is_tagged: bool = True

    def resolve(self, schema: Schema) -> Schema:
        """Follow references to what is meant."""
        while schema.kind == "ref":
            schema = self.definitions[schema.target]
        return schema

    def allows_null(self, schema: Schema) -> bool:
        """Whether null is a value of this schema."""
        if schema.is_nullable or schema.kind in ("null", "any"):
            return True
        if schema.kind == "ref":
            return self.allows_null(self.definitions[schema.target])
        if schema.kind in ("enum", "const"):
            return None in schema.values
        return any(self.allows_null(arm) for arm in schema.arms)

    def reachable(self, direction: Direction) -> dict[str, Schema]:
        """The definitions that messages of one direction use, in the order of the file."""
        found: set[str] = set()
        todo = [event.name for event in self.events if event.direction == direction]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += references(self.definitions[name])
        return {name: schema for name, schema in self.definitions.items() if name in found}


def references(schema: Schema) -> list[str]:
    """The names of the definitions a schema refers to, itself not followed."""
    if schema.kind == "ref":
        return [schema.target]
    return [name for child in schema.children() for name in references(child)]
