"""A spec file becomes plain data. In: bytes of YAML or JSON. Out: dicts and lists. Imports: room 0, PyYAML inside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from xai_realtime.errors import ConfigurationError, SpecError

__all__ = ["MAX_SPEC_BYTES", "MAX_SPEC_NODES", "Json", "load", "pointer"]

Json: TypeAlias = Any
"""What JSON can hold: str, int, float, bool, None, list, dict with str keys."""

MAX_SPEC_BYTES: Final = 8 * 1024 * 1024
MAX_SPEC_NODES: Final = 200_000
"""Values of one spec after its aliases are written out: forty times the realtime spec."""


def pointer(place: str, *steps: str | int) -> str:
    """The JSON pointer `place` with more steps."""
    return place + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def load(data: bytes, *, source: str, is_json: bool) -> dict[str, Json]:
    """Read one document whose root is an object.

    Raises SpecError on bad syntax, a duplicate key, a key that is no text, a value JSON cannot hold
    (an unquoted date), a merge key, an alias that contains itself, or aliases that unfold to more
    than MAX_SPEC_NODES values; ConfigurationError when PyYAML is missing.
    """
    if len(data) > MAX_SPEC_BYTES:
        raise SpecError(f"{len(data)} bytes, {MAX_SPEC_BYTES} are allowed", source=source)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"not UTF-8: {error.reason} at byte {error.start}", source=source) from None
    try:
        document = _load_json(text, source) if is_json else _load_yaml(text, source)
    except RecursionError:
        raise SpecError("nested too deeply", source=source) from None
    if not isinstance(document, dict):
        raise SpecError("the root must be an object", source=source)
    return document


def _load_json(text: str, source: str) -> Json:
    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise SpecError(f"duplicate key {twice!r}", source=source)
        return found

    def refuse(constant: str) -> Json:
        raise SpecError(f"{constant} is no JSON value", source=source)

    try:
        document = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise SpecError(f"bad JSON: {error}", source=source) from None
    return document


def _load_yaml(text: str, source: str) -> Json:
    try:
        import yaml
    except ImportError as error:
        raise ConfigurationError(
            "reading a YAML spec needs PyYAML: pip install 'xai-realtime[codegen]', or give the spec as JSON"
        ) from error
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _bound(root, source)
        return _Builder(loader, source).build(root, "")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(f"bad YAML{where}: {getattr(error, 'problem', None) or error}", source=source) from None


def _children(node: Any) -> list[Any]:
    if isinstance(node.value, str):
        return []
    return [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]


def _bound(root: Any, source: str) -> None:
    """Refuse aliases that would unfold without end or beyond measure, before anything is unfolded."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        key = id(node)
        if key in open_nodes:
            raise SpecError(f"an alias contains itself, line {node.start_mark.line + 1}", source=source)
        if key not in sizes:
            open_nodes.add(key)
            sizes[key] = 1 + sum(size(child) for child in _children(node))
            open_nodes.discard(key)
        return sizes[key]

    if size(root) > MAX_SPEC_NODES:
        raise SpecError(f"aliases unfold to {size(root)} values, {MAX_SPEC_NODES} are allowed", source=source)


class _Builder:
    """Composed YAML nodes to plain data, with a JSON pointer for every complaint."""

    def __init__(self, loader: Any, source: str) -> None:
        self._loader = loader
        self._source = source

    def build(self, node: Any, place: str) -> Json:
        if node.id == "mapping":
            return self._mapping(node, place)
        if node.id == "sequence":
            return [self.build(child, pointer(place, index)) for index, child in enumerate(node.value)]
        try:
            value = self._loader.construct_object(node)
        except ValueError as error:
            raise SpecError(f"{node.value!r}: {error}", source=self._source, place=place) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise SpecError(f"{node.value} is no JSON value", source=self._source, place=place)
        if value is not None and not isinstance(value, str | int | float):
            raise SpecError(
                f"{node.value!r} reads as {type(value).__name__}; put it in quotes", source=self._source, place=place
            )
        return value

    def _mapping(self, node: Any, place: str) -> Mapping[str, Json]:
        found: dict[str, Json] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise SpecError("a merge key (<<) is not supported", source=self._source, place=place)
            key = self.build(key_node, place)
            if not isinstance(key, str):
                raise SpecError(f"the key {key_node.value!r} is no text; quote it", source=self._source, place=place)
            if key in found:
                raise SpecError(f"duplicate key {key!r}", source=self._source, place=place)
            found[key] = self.build(value_node, pointer(place, key))
        return found
