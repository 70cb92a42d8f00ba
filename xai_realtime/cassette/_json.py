"""JSON as a value, strictly. In: bytes. Out: plain values, or that it is no JSON. Imports: pydantic_core."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic_core import PydanticSerializationError, from_json, to_json

__all__ = ["Json", "dump_json", "is_equal", "parse_exact", "parse_json"]

Json: TypeAlias = Any
"""None, bool, int, float, str, a list of these or a dict of str to these."""


def parse_json(data: bytes | str) -> Json:
    """Parse one JSON text. Raises ValueError for anything else, NaN and lone surrogates included."""
    return from_json(data, allow_inf_nan=False)


def dump_json(value: Json) -> bytes:
    """The compact UTF-8 text of a value, keys in their order."""
    return to_json(value)


def parse_exact(data: bytes) -> tuple[bool, Json]:
    """(True, value) when `data` is JSON that a dump gives back with equal value, else (False, None).

    A number beyond the range of a float would not come back, so it is not kept as a value.
    """
    try:
        value = parse_json(data)
        text = to_json(value)
        if b"Infinity" in text or b"NaN" in text:
            parse_json(text)
    except (ValueError, PydanticSerializationError):
        return False, None
    return True, value


def is_equal(one: Json, other: Json) -> bool:
    """Equality of JSON values: unlike Python's, true is not 1; 1 and 1.0 are the same number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(is_equal(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(is_equal(left, right) for left, right in zip(one, other, strict=True))
        )
    return bool(one == other)
