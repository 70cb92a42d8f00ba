"""A lenient reader of what clients send. In: a text message. Out: checked values, or Refused. Imports: pydantic, 0, 7.

Third-party clients send fields of other services too: what is not asked for is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import from_json

from xai_realtime.emulator import failures
from xai_realtime.frames import Frame

__all__ = ["Fields", "read_message"]


def read_message(frame: Frame, limit_bytes: int) -> dict[str, Any]:
    """The JSON object of a text message. Raises Refused."""
    if len(frame.data) > limit_bytes:
        raise failures.too_large(len(frame.data), limit_bytes)
    try:
        value = from_json(frame.data, allow_inf_nan=False)
    except ValueError as error:
        raise failures.malformed(str(error)) from None
    if not isinstance(value, dict):
        raise failures.malformed("it is no JSON object")
    return cast("dict[str, Any]", value)


class Fields:
    """An object of the client with the path that leads to it.

    A null counts as not given, except where the name is asked for with `holds`. Everything raises Refused.
    """

    __slots__ = ("path", "values")

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path

    def place(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def holds(self, name: str) -> bool:
        """Is the field there, be it null?"""
        return name in self.values

    def _typed(self, name: str, kinds: type | tuple[type, ...], wanted: str) -> Any:
        value = self.values.get(name)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool)):
            raise failures.wrong_type(self.place(name), wanted, value)
        return value

    def text(self, name: str) -> str | None:
        """A string."""
        return cast("str | None", self._typed(name, str, "a string"))

    def needed_text(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise failures.missing(self.place(name))
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        return cast("bool | None", self._typed(name, bool, "a boolean"))

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number within bounds."""
        value = self._typed(name, (int, float), "a number")
        return None if value is None else self._within(name, value, low, high)

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds; 500.0 is one."""
        value = self._typed(name, (int, float), "an integer")
        if value is None:
            return None
        if value != int(value):
            raise failures.wrong_type(self.place(name), "an integer", value)
        return int(self._within(name, value, low, high))

    def needed_whole(self, name: str, low: int, high: int) -> int:
        """A whole number that must be there."""
        value = self.whole(name, low, high)
        if value is None:
            raise failures.missing(self.place(name))
        return value

    def _within(self, name: str, value: float, low: float, high: float) -> float:
        if not low <= value <= high:
            raise failures.out_of_range(self.place(name), f"a number from {low:g} to {high:g} is allowed")
        return value

    def object(self, name: str) -> Fields | None:
        """An object."""
        value = self._typed(name, dict, "an object")
        return None if value is None else Fields(value, self.place(name))

    def needed_object(self, name: str) -> Fields:
        """An object that must be there."""
        value = self.object(name)
        if value is None:
            raise failures.missing(self.place(name))
        return value

    def objects(self, name: str) -> list[Fields] | None:
        """An array of objects."""
        value = self._typed(name, list, "an array")
        if value is None:
            return None
        for index, entry in enumerate(value):
            if not isinstance(entry, dict):
                raise failures.wrong_type(f"{self.place(name)}[{index}]", "an object", entry)
        return [Fields(entry, f"{self.place(name)}[{index}]") for index, entry in enumerate(value)]

    def texts(self, name: str) -> list[str] | None:
        """An array of strings."""
        value = self._typed(name, list, "an array")
        if value is None:
            return None
        for index, entry in enumerate(value):
            if not isinstance(entry, str):
                raise failures.wrong_type(f"{self.place(name)}[{index}]", "a string", entry)
        return cast("list[str]", value)

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """A string out of a few."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise failures.out_of_range(self.place(name), f"one of {', '.join(map(repr, allowed))} is allowed")
        return value
