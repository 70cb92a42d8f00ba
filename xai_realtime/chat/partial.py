"""JSON that still grows: what it says so far. In: pieces of text. Out: values, the text of one field.

Imports: room 0, pydantic_core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from pydantic_core import from_json

from xai_realtime.errors import ConfigurationError

__all__ = ["FieldText", "PartialJson", "Step"]

Step: TypeAlias = str | int
"""A name in an object, or a place in a list."""

_NOTHING: Final = object()


class PartialJson:
    """The value that a JSON text holds so far: open texts as far as they go, lists and objects with what they have.

    A number at the very end may still grow. Once the text can be no JSON any more (`is_broken`) the value stays as it
    was. Each push reads the text anew.
    """

    __slots__ = ("_text", "has_value", "is_broken", "value")

    def __init__(self) -> None:
        self._text = ""
        self.value: Any = None
        self.has_value = False
        self.is_broken = False

    def push(self, text: str) -> Any:
        """Add the next piece, cut anywhere, and return the value so far; None before there is one."""
        if not self.is_broken:
            self._text += text
            try:
                self.value = from_json(self._text, allow_partial="trailing-strings", allow_inf_nan=False)
                self.has_value = True
            except ValueError:
                self.is_broken = not _may_begin(self._text)
        return self.value


class FieldText:
    """The text of one field of a JSON object while the object still grows, so that it can be spoken at once.

    `path` is the name of a field, or names and places from the outside in: `("answer", 0, "text")`. A field of that
    name elsewhere, or one that is no text, says nothing. Raises ConfigurationError for an empty path.
    """

    __slots__ = ("_json", "_path", "_said")

    def __init__(self, path: Step | Sequence[Step]) -> None:
        self._path = (path,) if isinstance(path, str | int) else tuple(path)
        if not self._path or not all(isinstance(step, str | int) and not isinstance(step, bool) for step in self._path):
            raise ConfigurationError("a field is a name, or names and places from the outside in; at least one")
        self._json = PartialJson()
        self._said = 0

    def push(self, text: str) -> str:
        """Add the next piece of the JSON, and return what is new of the field, unescaped; may be empty."""
        found = self._json.push(text)
        for step in self._path:
            found = _inside(found, step)
        if not isinstance(found, str):
            return ""
        new = found[self._said :]
        self._said += len(new)
        return new


def _may_begin(text: str) -> bool:
    """Whether a text without a value may be the beginning of one: blank, or a word or a number that is cut."""
    if text.lstrip().startswith("]"):
        return False
    try:
        # In a list such a beginning is left out, by itself it would be an error.
        return not from_json(f"[{text}", allow_partial=True, allow_inf_nan=False)
    except ValueError:
        return False


def _inside(value: Any, step: Step) -> Any:
    if isinstance(value, dict):
        return value.get(step, _NOTHING)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return _NOTHING
