"""A whole spec becomes checked values. In: bytes of a spec. Out: Spec. Imports: room 0, this room."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from xai_realtime.errors import ConfigurationError, SpecError
from xai_realtime.generate.load import Json, load, pointer
from xai_realtime.generate.model import Direction, Event, Notes, Schema, Spec
from xai_realtime.generate.schema import Reader, read_notes
from xai_realtime.generate.verify import verify

__all__ = ["parse", "read_spec"]

ROOT: Final = frozenset(
    {"asyncapi", "id", "info", "defaultContentType", "servers", "channels", "operations", "components"}
)
CHANNEL: Final = frozenset(
    {"address", "messages", "parameters", "title", "summary", "description", "bindings", "servers"}
)
OPERATION: Final = frozenset({"action", "channel", "messages", "title", "summary", "description"})
MESSAGE: Final = frozenset({"name", "title", "summary", "description", "payload", "deprecated"})
PLAIN_ROOT: Final = frozenset({"$schema", "$id", "title", "description", "$defs"})
DIRECTIONS: Final[Mapping[str, Direction]] = {"send": "client", "receive": "server"}


def read_spec(path: Path, *, require_evidence: bool = False) -> Spec:
    """Read and check one spec file (.json as JSON, anything else as YAML).

    Raises ConfigurationError when the file cannot be read, SpecError with its place when it cannot be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the spec {path}: {error.strerror or error}") from error
    return parse(data, path.name, require_evidence=require_evidence)


def parse(data: bytes, source: str, *, require_evidence: bool = False) -> Spec:
    """Check the bytes of one spec. `source` is the file name that stands in the output and in errors."""
    root = load(data, source=source, is_json=source.lower().endswith(".json"))
    document = _Document(root, source)
    events = document.plain() if "$defs" in root and "asyncapi" not in root else document.asyncapi()
    spec = Spec(
        source=source,
        sha256=hashlib.sha256(data).hexdigest(),
        service=document.service(require_evidence),
        definitions=document.reader.definitions,
        events=tuple(events),
        is_tagged=document.is_tagged,
    )
    verify(spec, require_evidence=require_evidence)
    return spec


class _Document:
    """The parts of one file, walked by the kind of file it is."""

    def __init__(self, root: dict[str, Json], source: str) -> None:
        self.reader = Reader(source, {})
        self._root = root
        self._source = source
        self.is_tagged = self._is_tagged()

    def _is_tagged(self) -> bool:
        """Whether `type` tells the messages apart; `x-tag: none` says that nothing in them does."""
        given = self._root.get("x-tag", "type")
        if given not in ("type", "none"):
            raise self._fail(f"x-tag is type or none, not {given!r}", "/x-tag")
        if given == "none" and "asyncapi" not in self._root:
            raise self._fail("x-tag: none needs an AsyncAPI file, whose messages have names", "/x-tag")
        return bool(given == "type")

    def _fail(self, reason: str, place: str) -> SpecError:
        return SpecError(reason, source=self._source, place=place)

    def _object(self, node: Mapping[str, Json], key: str, place: str) -> dict[str, Json]:
        value = node.get(key)
        if not isinstance(value, dict):
            raise self._fail(f"{key} must be an object", pointer(place, key))
        return value

    def _only(self, node: Mapping[str, Json], place: str, allowed: frozenset[str], what: str) -> None:
        for key in node:
            if key not in allowed and not key.startswith("x-"):
                raise self._fail(f"{key!r} is not supported in {what}", pointer(place, key))

    def service(self, is_required: bool) -> str:
        """The name of the service: `x-service`, else made of the file name."""
        given = self._root.get("x-service")
        if given is None and not is_required:
            given = re.sub(r"\W+", "_", Path(self._source).stem, flags=re.ASCII).strip("_").lower() or "events"
            return f"_{given}" if given[0].isdigit() else str(given)
        if not isinstance(given, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", given):
            raise self._fail(f"x-service must be a module name, not {given!r}", "/x-service")
        return given

    def plain(self) -> list[Event]:
        """Events of a JSON Schema file: definitions with a direction, or tagged ones that no other refers to."""
        self._only(self._root, "", PLAIN_ROOT, "a JSON Schema file")
        definitions = self._object(self._root, "$defs", "")
        self.reader = Reader(self._source, {f"#/$defs/{_step(name)}": name for name in definitions})
        for name, node in definitions.items():
            self._class_name(name, pointer("/$defs", name))
            self.reader.define(name, node, pointer("/$defs", name))
        used = {target for node in definitions.values() for target in _targets(node)}
        events: list[Event] = []
        for name, node in definitions.items():
            place = pointer("/$defs", name)
            wire = _constant_type(self.reader.definitions[name])
            direction = node.get("x-direction")
            if direction is None and (wire is None or f"#/$defs/{_step(name)}" in used):
                continue
            if direction not in ("client", "server"):
                raise self._fail(
                    f"an event needs x-direction: client or server, not {direction!r}", pointer(place, "x-direction")
                )
            events.append(self._event(name, wire, direction, self.reader.definitions[name].notes, place))
        return self._unique(events)

    def asyncapi(self) -> list[Event]:
        """Events of an AsyncAPI file: the messages that its operations send and receive."""
        self._only(self._root, "", ROOT, "an AsyncAPI file")
        version = self._root.get("asyncapi")
        if not isinstance(version, str) or not re.fullmatch(r"3\.\d+\.\d+", version):
            raise self._fail(f"asyncapi must be 3.x.y as text, not {version!r}", "/asyncapi")
        components = self._object(self._root, "components", "")
        self._only(components, "/components", frozenset({"messages", "schemas"}), "components")
        messages = self._object(components, "messages", "/components")
        schemas = self._object(components, "schemas", "/components") if "schemas" in components else {}
        names = self._names(messages, schemas)
        self.reader = Reader(self._source, names)
        for key, node in schemas.items():
            self.reader.define(names[f"#/components/schemas/{_step(key)}"], node, pointer("/components/schemas", key))
        for key, message in messages.items():
            place = pointer("/components/messages", key, "payload")
            if "$ref" not in message["payload"]:
                self.reader.define(key, message["payload"], place)
        found: list[Event] = []
        directions = self._directions(messages)
        for key, message in messages.items():
            place = pointer("/components/messages", key)
            if not directions[key]:
                raise self._fail("no operation sends or receives this message", place)
            wire = self._wire_name(key, message, place)
            found += [
                self._event(key, wire, way, self._message_notes(message, place), place) for way in directions[key]
            ]
        return self._unique(found)

    def _wire_name(self, key: str, message: Mapping[str, Json], place: str) -> str | None:
        """What tells a message apart: the `type` in it, or its name alone where nothing in it does."""
        payload, given = self.reader.definitions[key], message.get("name")
        if not self.is_tagged:
            if not isinstance(given, str) or not re.fullmatch(r"[a-z][a-z0-9_.]*", given):
                raise self._fail(f"{given!r} is no name of a message (a-z, 0-9, _ and .)", pointer(place, "name"))
            if payload.kind != "object":
                raise self._fail("the payload must be an object with properties", pointer(place, "payload"))
            return given
        wire = _constant_type(payload)
        if given != wire:
            raise self._fail(f"name is {given!r}, the payload's type {wire!r}", pointer(place, "name"))
        return wire

    def _message_notes(self, message: Mapping[str, Json], place: str) -> Notes:
        node = {key: value for key, value in message.items() if key not in ("payload", "name")}
        summary = node.pop("summary", None)
        if summary is not None:
            node["title"] = summary
        return read_notes(node, place, self._source)

    def _names(self, messages: Mapping[str, Json], schemas: Mapping[str, Json]) -> dict[str, str]:
        """References to Python names: a payload takes the name of its message, other schemas their own."""
        names: dict[str, str] = {}
        for key, message in messages.items():
            place = pointer("/components/messages", key)
            self._class_name(key, place)
            if not isinstance(message, dict):
                raise self._fail("a message must be an object", place)
            self._only(message, place, MESSAGE, "a message")
            payload = message.get("payload")
            if not isinstance(payload, dict):
                raise self._fail("payload must be an object", pointer(place, "payload"))
            if "$ref" in payload:
                target = payload["$ref"]
                if len(payload) > 1 or target in names:
                    raise self._fail("a payload is one $ref that no other message has", pointer(place, "payload"))
                if target not in {f"#/components/schemas/{_step(name)}" for name in schemas}:
                    raise self._fail(
                        f"{target!r} does not lead to a schema of this file", pointer(place, "payload", "$ref")
                    )
                names[target] = key
        for key in schemas:
            place = pointer("/components/schemas", key)
            self._class_name(key, place)
            ref = f"#/components/schemas/{_step(key)}"
            if ref not in names:
                if key in messages:
                    raise self._fail(f"{key} is also the name of a message with another payload", place)
                names[ref] = key
        return names

    def _class_name(self, name: str, place: str) -> None:
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            raise self._fail(f"{name!r} is no class name (letters and digits, a capital first)", place)

    def _directions(self, messages: Mapping[str, Json]) -> dict[str, list[Direction]]:
        channels = self._object(self._root, "channels", "")
        by_reference: dict[str, str] = {}
        for key in channels:
            place = pointer("/channels", key)
            channel = self._object(channels, key, "/channels")
            self._only(channel, place, CHANNEL, "a channel")
            for name, node in self._object(channel, "messages", place).items():
                where = pointer(place, "messages", name)
                target = self._reference(node, where)
                wanted = {f"#/components/messages/{_step(message)}": message for message in messages}
                if target not in wanted:
                    raise self._fail(f"{target!r} does not lead to a message of this file", pointer(where, "$ref"))
                by_reference[f"#/channels/{_step(key)}/messages/{_step(name)}"] = wanted[target]
        found: dict[str, list[Direction]] = {name: [] for name in messages}
        operations = self._object(self._root, "operations", "")
        for key in operations:
            place = pointer("/operations", key)
            operation = self._object(operations, key, "/operations")
            direction, used = self._operation(operation, place, channels, by_reference)
            for message in used:
                if direction not in found[message]:
                    found[message].append(direction)
        return found

    def _operation(
        self,
        operation: Mapping[str, Json],
        place: str,
        channels: Mapping[str, Json],
        by_reference: Mapping[str, str],
    ) -> tuple[Direction, list[str]]:
        self._only(operation, place, OPERATION, "an operation")
        action = operation.get("action")
        if not isinstance(action, str) or action not in DIRECTIONS:
            raise self._fail(f"action must be send or receive, not {action!r}", pointer(place, "action"))
        channel = self._reference(operation.get("channel"), pointer(place, "channel"))
        if channel not in {f"#/channels/{_step(name)}" for name in channels}:
            raise self._fail(f"{channel!r} does not lead to a channel of this file", pointer(place, "channel", "$ref"))
        given = operation.get("messages")
        if not isinstance(given, list) or not given:
            raise self._fail("messages must be a list of at least one reference", pointer(place, "messages"))
        used: list[str] = []
        for index, node in enumerate(given):
            where = pointer(place, "messages", index)
            target = self._reference(node, where)
            if target not in by_reference or not target.startswith(f"{channel}/"):
                raise self._fail(f"{target!r} does not lead to a message of that channel", pointer(where, "$ref"))
            used.append(by_reference[target])
        return DIRECTIONS[action], used

    def _reference(self, node: Json, place: str) -> str:
        if not isinstance(node, dict) or list(node) != ["$ref"] or not isinstance(node["$ref"], str):
            raise self._fail("must be one $ref", place)
        return str(node["$ref"])

    def _event(self, name: str, wire: str | None, direction: Direction, notes: Notes, place: str) -> Event:
        if wire is None:
            raise self._fail("an event needs a required property type with a const text", place)
        return Event(name, wire, direction, notes, place)

    def _unique(self, events: list[Event]) -> list[Event]:
        seen: set[tuple[str, str]] = set()
        for event in events:
            if (event.direction, event.type) in seen:
                raise self._fail(f"two events of one direction have the type {event.type!r}", event.place)
            seen.add((event.direction, event.type))
        if not events:
            raise self._fail("no events", "")
        return events


def _step(name: str) -> str:
    return pointer("", name)[1:]


def _constant_type(schema: Schema) -> str | None:
    """The wire type of an event's payload, None when it has none."""
    for prop in schema.properties:
        if prop.name == "type" and prop.is_required and prop.schema.kind == "const":
            value = prop.schema.values[0]
            return value if isinstance(value, str) else None
    return None


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _targets(value)
    elif isinstance(node, list):
        for entry in node:
            yield from _targets(entry)
