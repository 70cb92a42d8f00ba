"""Minted ids as first-seen names, and back. In: JSON, text, URLs. Out: the same, renamed. Imports: stdlib.

A tape holds `item_1` and `resp_2` where the service said a uuid, so that recording an equal
conversation again changes no line. One value has one name in the whole tape, wherever it stands:
under an id key, quoted in an error text, or in a URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias, cast

__all__ = ["OPAQUE_KEYS", "TEXT_KEYS", "IdNames", "Json", "id_kind", "is_canonical", "looks_minted"]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""A JSON value as the standard library reads it."""

OPAQUE_KEYS: Final = frozenset(
    {"arguments", "input_schema", "json_schema", "metadata", "parameters", "properties", "replace", "schema"}
)
"""What stands below these belongs to the user: a property called `id` is no id of the wire."""
TEXT_KEYS: Final = frozenset({"detail", "error", "message", "reason"})
"""Wording of the service, which quotes ids. Speech and prompts are never looked into."""

_NOT_MINTED: Final = frozenset({"model", "models", "voice", "voices"})
_STEMS: Final = {
    "call": "call",
    "conversation": "conversation",
    "event": "event",
    "item": "item",
    "response": "resp",
    "session": "session",
}
_PARENTS: Final = _STEMS | {"items": "item", "output": "item", "tool_call": "call", "tool_calls": "call"}
_PREFIXES: Final = _STEMS | {"conv": "conversation", "evt": "event", "msg": "item", "resp": "resp", "sess": "session"}

_KEY: Final = re.compile(r"[a-z][a-z0-9_]*_id")
_UUID: Final = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_PREFIX: Final = (
    "(?:call|chatcmpl|conv|conversation|event|evt|fco?|file|item|mcp[lr]?|msg|req|request|resp|response"
    "|rs|run|sess|session|toolu?|trace|ws)"
)
_KINDS: Final = frozenset({*_STEMS.values(), "id", "request", "rid"})
_NAME: Final = f"(?:{'|'.join(sorted(_KINDS))})_[1-9][0-9]*"
_SURE: Final = rf"{_PREFIX}[-_]{_UUID}(?:-[0-9]+)?|{_UUID}|[0-9a-fA-F]{{32}}"
_LIKELY: Final = rf"{_PREFIX}[-_][A-Za-z0-9]{{12,}}"
_LONG_HEX: Final = "[0-9a-fA-F]{16,}"

_IS_NAME: Final = re.compile(_NAME)
_IS_MINTED: Final = re.compile(f"{_SURE}|{_LIKELY}|{_LONG_HEX}|{_NAME}")
_WORDS: Final = re.compile(
    f"(?<![A-Za-z0-9_])(?:(?P<sure>{_SURE})|(?P<likely>{_LIKELY})|{_LONG_HEX}|{_NAME})(?![A-Za-z0-9_])"
)
_NAMES_IN_TEXT: Final = re.compile(f"(?<![A-Za-z0-9_]){_NAME}(?![A-Za-z0-9_])")
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?(.*)", re.DOTALL)
_QUERY: Final = re.compile(r"[?&]([A-Za-z0-9_.-]+)=([^&#]*)")

_Place: TypeAlias = "tuple[dict[str, Json], str, str]"


@lru_cache(maxsize=1024)
def id_kind(key: str, parent_key: str | None = None) -> str | None:
    """What an id under this key names: `item`, `resp`, `call`, ..., `id` for others; None when it holds no id.

    `parent_key` is the key of the object that holds it (of the list, for an object in a list) and
    decides for a bare `id`. Header names work too: `x-request-id` is a `request`. Keys of voices
    and models are never ids, because their values are names.
    """
    name = key.lower().replace("-", "_")
    if name == "rid":
        return "rid"
    if name == "id":
        return None if parent_key in _NOT_MINTED else _PARENTS.get(parent_key or "", "id")
    if not _KEY.fullmatch(name):
        return None
    stem = name[:-3]
    last = stem.rpartition("_")[2]
    if last in _NOT_MINTED:
        return None
    kind = _STEMS.get(last, last)
    return kind if kind in _KINDS else "id"


def is_canonical(value: str) -> bool:
    """True when the text has the form of a name that IdNames gives: `item_3`."""
    return _IS_NAME.fullmatch(value) is not None


def looks_minted(key: str, value: object) -> bool:
    """True when `value` under `key` was drawn by a machine (or is already a name of ours).

    Uuids with or without dashes, long hex, `call-<uuid>-<n>`, a known prefix with 12 or more
    letters and digits. Not `""`, `"0"`, voices, models, or a readable id that somebody chose.
    """
    return isinstance(value, str) and id_kind(key) is not None and _IS_MINTED.fullmatch(value) is not None


class IdNames:
    """The names of one tape: which id is called what, in the order of first sight.

    Numbers run per prefix, so that one more `ping` moves `event_7` but no `item_2`. Names and values
    are one to one: an id that already reads `item_3` is renamed like any other, and a word in an
    error text that reads like a name is kept apart. Naming a whole named tape again, from a fresh
    IdNames, therefore changes nothing.
    """

    __slots__ = ("_next", "_originals", "_values")

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._originals: dict[str, str] = {}
        self._next: dict[str, int] = {}

    @property
    def names(self) -> Mapping[str, str]:
        """Each value met so far with its name, in the order of first sight (a live view)."""
        return MappingProxyType(self._values)

    def original(self, name: str) -> str | None:
        """The value behind a name, None when the name was not given."""
        return self._originals.get(name)

    def canonical(self, value: Json) -> Json:
        """One frame with names for its minted ids; key order stays, the frame given is not changed.

        Ids other than `event_id` are named first, because the `event_id` of a transcript delta is
        the `rid` of its audio; texts that quote ids come last.
        """
        copy, ids, texts = _places(value)
        for holder, key, kind in sorted(ids, key=lambda place: place[2] == "event"):
            holder[key] = self._name(kind, cast("str", holder[key]))
        for holder, key, _ in texts:
            holder[key] = self.canonical_text(cast("str", holder[key]))
        return copy

    def restore(self, value: Json) -> Json:
        """The exact inverse of `canonical`, by the names given so far."""
        copy, ids, texts = _places(value)
        for holder, key, _ in ids:
            name = cast("str", holder[key])
            holder[key] = self._originals.get(name, name)
        for holder, key, _ in texts:
            holder[key] = self.restore_text(cast("str", holder[key]))
        return copy

    def canonical_text(self, text: str) -> str:
        """Names for the ids inside a text: those already known, and what can be nothing but an id."""
        return _WORDS.sub(self._name_word, text)

    def restore_text(self, text: str) -> str:
        """The exact inverse of `canonical_text`."""
        return _NAMES_IN_TEXT.sub(lambda match: self._originals.get(match[0], match[0]), text)

    def canonical_url(self, url: str) -> str:
        """Names for the ids in the path and the query of a URL; scheme, host and port stay."""
        origin, rest = _split(url)
        for key, value in _QUERY.findall(rest):
            kind = id_kind(key)
            if kind is not None and looks_minted(key, value):
                self._name(kind, value)
        return origin + self.canonical_text(rest)

    def restore_url(self, url: str) -> str:
        """The exact inverse of `canonical_url`."""
        origin, rest = _split(url)
        return origin + self.restore_text(rest)

    def __repr__(self) -> str:
        return f"<IdNames, {len(self._values)} ids>"

    def _name_word(self, match: re.Match[str]) -> str:
        word = match[0]
        if word in self._values:
            return self._values[word]
        if match["sure"] or (match["likely"] and any(letter.isdigit() for letter in word)):
            return self._name(_PREFIXES.get(re.split("[-_]", word, maxsplit=1)[0], "id"), word)
        if not is_canonical(word):
            return word
        # A plain word of this form would be restored to somebody else's id: it takes the name itself
        # while that is free, so that no id gets it later.
        return self._name("id", word) if word in self._originals else self._bind(word, word)

    def _name(self, kind: str, value: str) -> str:
        known = self._values.get(value)
        if known is not None:
            return known
        number = self._next.get(kind, 1)
        while (name := f"{kind}_{number}") in self._originals:
            number += 1
        self._next[kind] = number + 1
        return self._bind(value, name)

    def _bind(self, value: str, name: str) -> str:
        self._values[value] = name
        self._originals[name] = value
        return name


def _split(url: str) -> tuple[str, str]:
    match = _URL.fullmatch(url)
    return (match[1] or "", match[2]) if match else ("", url)


def _places(value: Json) -> tuple[Json, list[_Place], list[_Place]]:
    """A copy of the value, and where in it ids and texts stand, in document order.

    Without recursion: a frame may be nested as deep as its parser allowed.
    """
    ids: list[_Place] = []
    texts: list[_Place] = []
    if not isinstance(value, dict | list):
        return value, ids, texts
    root = value.copy()
    stack: list[tuple[dict[str, Json] | list[Json], str | None, Iterator[tuple[str | int, Json]]]] = []
    stack.append((root, None, _children(root)))
    while stack:
        holder, parent_key, children = stack[-1]
        for key, child in children:
            if isinstance(child, dict | list) and key not in OPAQUE_KEYS:
                copy = child.copy()
                holder[key] = copy  # type: ignore[index]
                stack.append((copy, key if isinstance(key, str) else parent_key, _children(copy)))
                break
            if isinstance(child, str) and isinstance(key, str) and isinstance(holder, dict):
                kind = id_kind(key, parent_key)
                if kind is not None and _IS_MINTED.fullmatch(child):
                    ids.append((holder, key, kind))
                elif key in TEXT_KEYS:
                    texts.append((holder, key, "text"))
        else:
            stack.pop()
    return root, ids, texts


def _children(holder: dict[str, Json] | list[Json]) -> Iterator[tuple[str | int, Json]]:
    # A list of the pairs, because the holder gets its copies while they are walked.
    return iter(list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder)))
