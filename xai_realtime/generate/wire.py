"""Where a spec has audio and where it is open. In: Spec. Out: paths. Imports: this room."""

from __future__ import annotations

from collections.abc import Iterator

from xai_realtime.generate.model import Schema, Spec

__all__ = ["base64_fields", "open_fields"]


def base64_fields(spec: Spec) -> dict[str, tuple[str, ...]]:
    """Wire type to the dotted paths of base64 fields, in the order of the spec.

    `item.content[].audio` goes into each entry of a list, `parts.*.audio` into each value of a map.
    What contains itself is followed once.
    """
    found: dict[str, dict[str, None]] = {}
    for event in spec.events:
        paths = list(_base64(spec, spec.definitions[event.name], "", (event.name,)))
        if paths:
            found.setdefault(event.type, {}).update(dict.fromkeys(paths))
    return {wire: tuple(paths) for wire, paths in found.items()}


def _base64(spec: Spec, schema: Schema, path: str, inside: tuple[str, ...]) -> Iterator[str]:
    if schema.kind == "ref":
        if schema.target not in inside:
            yield from _base64(spec, spec.definitions[schema.target], path, (*inside, schema.target))
        return
    if schema.is_base64:
        yield path
    for prop in schema.properties:
        yield from _base64(spec, prop.schema, f"{path}.{prop.name}" if path else prop.name, inside)
    if schema.item is not None:
        yield from _base64(spec, schema.item, f"{path}[]" if schema.kind == "array" else f"{path}.*", inside)
    for arm in schema.arms:
        yield from _base64(spec, arm, path, inside)


def open_fields(schema: Schema) -> list[str]:
    """The paths below one definition that let anything through, its references not followed."""
    return list(_open(schema, ""))


def _open(schema: Schema, path: str) -> Iterator[str]:
    if schema.kind == "any":
        yield path
    for prop in schema.properties:
        yield from _open(prop.schema, f"{path}.{prop.name}")
    if schema.kind in ("map", "array"):
        inner = path if schema.kind == "map" else f"{path}[]"
        if schema.item is None:
            yield inner
        else:
            yield from _open(schema.item, inner)
    for arm in schema.arms:
        yield from _open(arm, path)
