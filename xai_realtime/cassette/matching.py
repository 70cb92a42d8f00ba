"""Does what is sent agree with the tape? In: recorded and live JSON values. Out: the first difference, and ids bound.

Imports: rooms 0-2.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import parse_qsl, urlsplit

from xai_realtime.cassette._json import Json, is_equal
from xai_realtime.cassette.ids import OPAQUE_KEYS, TEXT_KEYS, id_kind, is_canonical, looks_minted
from xai_realtime.errors import ConfigurationError

__all__ = ["AudioMatch", "Difference", "IdBinding", "IdMode", "MatchPolicy", "compare", "same_address"]

AudioMatch: TypeAlias = Literal["exact", "length", "ignore"]
IdMode: TypeAlias = Literal["canonical", "fresh"]

SHOWN_CHARACTERS: Final = 200
WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
OPAQUE: Final = "(opaque)"
"""Stands as the parent of what belongs to the user: there an id is a value like any other."""


@dataclass(frozen=True, slots=True)
class MatchPolicy:
    """What of the outgoing frames must agree, as data.

    `audio`: `exact` bytes, only their `length`, or `ignore` (they only count for the order); None takes
    `exact`, and `ignore` for a tape whose header says that its media are shortened. `ignore` lists
    paths (`session.instructions`) by event type, `*` for every type. `trailing` are the event types
    that may stay unread at the end. Raises ConfigurationError for another `audio`.
    """

    audio: AudioMatch | None = None
    ignore: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trailing: tuple[str, ...] = ("ping",)

    def __post_init__(self) -> None:
        if self.audio is not None and self.audio not in get_args(AudioMatch):
            raise ConfigurationError(f"audio {self.audio!r}: allowed are {', '.join(get_args(AudioMatch))}, None")

    def ignores(self, event_type: str, path: str) -> bool:
        """True when the value at `path` need not agree."""
        for name in (event_type, "*"):
            for ignored in self.ignore.get(name, ()):
                if path == ignored or path.startswith((f"{ignored}.", f"{ignored}[")):
                    return True
        return False


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two values differ."""

    path: str
    expected: str
    actual: str


class IdBinding:
    """Which live id stands for which recorded one, both ways, for one run of a tape."""

    def __init__(self, mode: IdMode) -> None:
        self._mode = mode
        self._live: dict[str, str] = {}
        self._recorded: dict[str, str] = {}
        self._differs = False

    def bind(self, recorded: str, live: str) -> None:
        """Let `live` stand for `recorded` from now on."""
        self._live[recorded] = live
        self._recorded[live] = recorded
        self._differs = self._differs or recorded != live

    def allows(self, recorded: str, live: str, pending: Mapping[str, str]) -> bool:
        """May `live` stand for `recorded` here? A bound id only for its partner, a free one only for a free one."""
        known = self._live.get(recorded, pending.get(recorded))
        if known is not None:
            return known == live
        if live in self._recorded or live in pending.values():
            return False
        if recorded == live:
            return True
        return (is_canonical(recorded) or looks_minted("id", recorded)) and (
            looks_minted("id", live) and not is_canonical(live)
        )

    def to_live(self, value: Json) -> Json:
        """An inbound value in the ids of this run; ids met first are bound on the way."""
        if self._mode == "canonical" and not self._differs:
            self._learn(value)
            return value
        return self._walk(value, None)

    def text_to_live(self, text: str) -> str:
        """A text of the service in the ids of this run: an error's message, a close reason."""
        return WORD.sub(lambda word: self._live.get(word[0], word[0]), text) if self._differs else text

    def to_recorded(self, live: str) -> str:
        """The recorded id for a live one, itself when it is not bound."""
        return self._recorded.get(live, live)

    def _learn(self, value: Json, parent: str | None = None) -> None:
        """Bind the ids of an untouched value to themselves."""
        if isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, str):
                    if id_kind(key, parent) is not None and item not in self._live and looks_minted(key, item):
                        self.bind(item, item)
                elif isinstance(item, dict | list) and key not in OPAQUE_KEYS:
                    self._learn(item, key)
        elif isinstance(value, list):
            for item in value:
                self._learn(item, parent)

    def _walk(self, value: Json, parent: str | None) -> Json:
        if isinstance(value, dict):
            return {key: self._item(key, item, parent) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, parent) for item in value]
        return value

    def _item(self, key: str, item: Json, parent: str | None) -> Json:
        if not isinstance(item, str):
            return self._walk(item, key) if isinstance(item, dict | list) and key not in OPAQUE_KEYS else item
        if id_kind(key, parent) is None or not looks_minted(key, item):
            return self.text_to_live(item) if key in TEXT_KEYS else item
        live = self._live.get(item)
        if live is None:
            live = str(uuid.uuid4()) if self._mode == "fresh" else item
            self.bind(item, live)
        return live


def compare(
    recorded: Json, live: Json, event_type: str, policy: MatchPolicy, binding: IdBinding
) -> tuple[Difference | None, dict[str, str]]:
    """The first difference between a recorded and a live frame, and the ids to bind when there is none."""
    pending: dict[str, str] = {}
    return _compare(recorded, live, "", None, (event_type, policy, binding, pending)), pending


_Context: TypeAlias = tuple[str, MatchPolicy, IdBinding, dict[str, str]]


def _compare(recorded: Json, live: Json, path: str, parent: str | None, context: _Context) -> Difference | None:
    if path and context[1].ignores(context[0], path):
        return None
    if isinstance(recorded, dict) and isinstance(live, dict):
        return _compare_objects(recorded, live, path, parent, context)
    if isinstance(recorded, list) and isinstance(live, list):
        for index, (left, right) in enumerate(zip(recorded, live, strict=False)):
            found = _compare(left, right, f"{path}[{index}]", parent, context)
            if found is not None:
                return found
        if len(recorded) != len(live):
            return Difference(path, f"{len(recorded)} entries", f"{len(live)} entries")
        return None
    return None if is_equal(recorded, live) else Difference(path, _show(recorded), _show(live))


def _compare_objects(
    recorded: dict[str, Json], live: dict[str, Json], path: str, parent: str | None, context: _Context
) -> Difference | None:
    for key in [*recorded, *(key for key in live if key not in recorded)]:
        place = f"{path}.{key}" if path else key
        left, right = recorded.get(key), live.get(key)
        if place == "event_id":
            _bind_event_id(left, right, context)
        elif key not in live or key not in recorded:
            if not context[1].ignores(context[0], place):
                return Difference(
                    place,
                    _show(left) if key in recorded else "(absent)",
                    _show(right) if key in live else "(absent)",
                )
        elif parent != OPAQUE and isinstance(left, str) and isinstance(right, str) and id_kind(key, parent) is not None:
            if context[1].ignores(context[0], place):
                continue
            if not context[2].allows(left, right, context[3]):
                return Difference(place, _show(left), _show(context[2].to_recorded(right)))
            context[3][left] = right
        else:
            below = OPAQUE if parent == OPAQUE or key in OPAQUE_KEYS else key
            found = _compare(left, right, place, below, context)
            if found is not None:
                return found
    return None


def _bind_event_id(recorded: Json, live: Json, context: _Context) -> None:
    """An event's own id need not agree, but an answer that quotes it must quote the live one."""
    if isinstance(recorded, str) and isinstance(live, str) and context[2].allows(recorded, live, context[3]):
        context[3][recorded] = live


def same_address(recorded: str, live: str, binding: IdBinding) -> tuple[bool, dict[str, str]]:
    """Do two addresses ask for the same? Path and query count, the host does not; ids in both are bound."""
    left, right = urlsplit(recorded), urlsplit(live)
    pending: dict[str, str] = {}
    steps, live_steps = left.path.rstrip("/").split("/"), right.path.rstrip("/").split("/")
    if len(steps) != len(live_steps):
        return False, {}
    for expected, actual in zip(steps, live_steps, strict=True):
        if looks_minted("id", expected):
            if not binding.allows(expected, actual, pending):
                return False, {}
            pending[expected] = actual
        elif expected != actual:
            return False, {}
    ours, theirs = (sorted(parse_qsl(part.query, keep_blank_values=True)) for part in (left, right))
    if [key for key, _ in ours] != [key for key, _ in theirs]:
        return False, {}
    for (key, expected), (_, actual) in zip(ours, theirs, strict=True):
        if id_kind(key, None) is not None:
            if not binding.allows(expected, actual, pending):
                return False, {}
            pending[expected] = actual
        elif expected != actual:
            return False, {}
    return True, pending


def _show(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}… ({len(text)} characters)"
