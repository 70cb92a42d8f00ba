"""The settings that speech clients send as texts, in queries and forms. In: names and texts. Out: checked values.

Every mistake is a BadSetting, whose text goes to the client. Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

from xai_realtime.errors import XaiRealtimeError

__all__ = ["SPEECH_RATES_HZ", "BadSetting", "Settings"]

SPEECH_RATES_HZ: Final = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
"""Sample rates of the speech services. Source: docs.x.ai stt-streaming.ws.json and voice reference."""
MAX_SHOWN: Final = 80
WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}")


class BadSetting(XaiRealtimeError):
    """A setting that the service refuses; the text says which and what is allowed."""


class Settings:
    """Named texts, each name once or several times; of several the last counts. Everything raises BadSetting.

    An empty text counts as not given.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = [(name, value) for name, value in pairs if value != ""]
        self._last = dict(self._pairs)

    def all(self, name: str) -> list[str]:
        """Every value of a name that may be repeated."""
        return [value for key, value in self._pairs if key == name]

    def text(self, name: str) -> str | None:
        """A text as it came."""
        return self._last.get(name)

    def one_of(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of a few texts."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise bad(name, value, f"one of {', '.join(allowed)} is allowed")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when it is not given."""
        return self.one_of(name, ("true", "false")) == "true"

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds."""
        value = self.text(name)
        if value is None:
            return None
        if not WHOLE.fullmatch(value) or not low <= int(value) <= high:
            raise bad(name, value, f"a whole number from {low} to {high} is allowed")
        return int(value)

    def one_of_numbers(self, name: str, allowed: Sequence[int]) -> int | None:
        """One of a few whole numbers."""
        value = self.one_of(name, tuple(map(str, allowed)))
        return None if value is None else int(value)

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number within bounds."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise bad(name, value, f"a number from {low:g} to {high:g} is allowed")
        return number


def bad(name: str, value: object, wanted: str) -> BadSetting:
    """The refusal of a value."""
    return BadSetting(f"Invalid value for '{name}': '{str(value)[:MAX_SHOWN]}'; {wanted}.")
