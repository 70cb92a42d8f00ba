"""Secrets taken out of what goes on a tape. In: JSON, texts, headers, URLs. Out: the same, clean. Imports: rooms 0, 4.

On by default and closed on failure: rules by key name, by configured value and by pattern always
run, hooks only add to them, and a last scan finds what is still there without showing it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final
from urllib.parse import unquote_plus

from xai_realtime.cassette._secrets import (
    ANCHORS,
    INTERNAL_KEYS,
    KEPT_HEADER_PREFIX,
    KEPT_HEADERS,
    PATTERNS,
    PLACEHOLDER,
    SECRET_ENDINGS,
    SECRET_KEYS,
    SECRET_QUERY_KEYS,
    SUBPROTOCOLS,
    Compiled,
    forms,
    has_no_pattern,
    plain_key,
)
from xai_realtime.cassette.ids import Json
from xai_realtime.errors import ConfigurationError

__all__ = ["PLACEHOLDER", "Redactor", "Rule"]

_LONG: Final = 256
_PASSES: Final = 4
_CACHED_KEYS: Final = 4096

_VALUE_RULE: Final = "configured value"
_CONTEXT_KEYS: Final = frozenset({"headers", "token", "value"})
"""Whether these hold a secret is told by the keys beside them."""

_QUERY: Final = re.compile("([?&;#])([^=&;#?]*)=([^&;#]*)")
_URL_PARTS: Final = re.compile("[^/?#&=;]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of your own, on top of the built-in ones.

    `pattern` is a regular expression searched in every text (a group named `secret` limits what is
    replaced), `keys` are names whose values are replaced whole (case, `-` and `_` do not matter),
    `replace` is literal. Raises ConfigurationError when it cannot work: no name, neither pattern
    nor keys, a pattern that does not compile, matches nothing at all or finds its own replacement.
    """

    name: str
    pattern: str | None = None
    keys: tuple[str, ...] = ()
    replace: str = PLACEHOLDER

    def __post_init__(self) -> None:
        if not self.name or not (self.pattern or self.keys):
            raise ConfigurationError("a redaction rule needs a name, and a pattern or keys")
        if isinstance(self.keys, str) or not all(plain_key(key) for key in self.keys):
            raise ConfigurationError(f"the keys of redaction rule {self.name!r} must be a tuple of names")
        if self.pattern is not None:
            try:
                pattern = re.compile(self.pattern)
            except re.error as error:
                raise ConfigurationError(f"the pattern of redaction rule {self.name!r}: {error}") from None
            if any(pattern.search(text) for text in ("", self.replace, PLACEHOLDER)):
                raise ConfigurationError(f"redaction rule {self.name!r} matches the empty text or its replacement")


@dataclass(frozen=True, slots=True)
class _KeyRule:
    name: str
    replace: str = PLACEHOLDER
    empties: bool = False


@dataclass(frozen=True, slots=True)
class _Key:
    """What is known of one key: how it is written on a tape, its rule, whether its neighbours matter."""

    text: str
    rule: _KeyRule | None
    is_plain: bool


_SECRET_KEY: Final = _KeyRule("secret key")
_CLIENT_SECRET: Final = _KeyRule("client secret value")
_MCP_HEADERS: Final = _KeyRule("mcp headers")
_INTERNALS: Final = _KeyRule("provider internals", empties=True)


class Redactor:
    """Takes secrets out of everything that goes on a tape; doing it twice changes nothing.

    `secrets` are values in use (a key, a token); every `*_API_KEY` of `environ` (the process's own
    when None) is added. Values of 8 or more characters are found as they are, URL-encoded,
    JSON-escaped and inside base64. `rules` add to the built-in rules; nothing turns those off.
    The repr shows counts, never a value. Raises ConfigurationError for a rule that cannot work.
    """

    __slots__ = (
        "_custom",
        "_custom_keys",
        "_has_numbers",
        "_inert_needles",
        "_keys",
        "_needles",
        "_needles_pattern",
        "_rules",
    )

    def __init__(
        self,
        secrets: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
        rules: Iterable[Rule] = (),
    ) -> None:
        self._rules = tuple(rules)
        self._custom: tuple[Compiled, ...] = tuple(
            (rule.name, re.compile(rule.pattern), (), rule.replace) for rule in self._rules if rule.pattern
        )
        self._custom_keys = {
            plain_key(key): _KeyRule(rule.name, rule.replace) for rule in reversed(self._rules) for key in rule.keys
        }
        self._keys: dict[str, _Key] = {}
        self._needles: tuple[str, ...] = ()
        self._inert_needles: tuple[str, ...] = ()
        self._needles_pattern = re.compile("(?!)")
        self._has_numbers = False
        source = os.environ if environ is None else environ
        self._learn([*secrets, *(value for name, value in source.items() if name.upper().endswith("_API_KEY"))])
        for rule in self._rules:
            if self.text(rule.replace) != rule.replace:
                raise ConfigurationError(f"the replacement of redaction rule {rule.name!r} is itself redacted")

    def add_secret(self, value: str) -> None:
        """Learn a value to be found from now on. Shorter than 8 characters, it is left to the other rules."""
        self._learn([value])

    def learn(self, headers: Mapping[str, str] | None = None, url: str = "", subprotocols: Iterable[str] = ()) -> None:
        """Learn the secrets of a request, and nothing else of it: of headers, query and sub-protocols."""
        found: list[str] = []
        for name, value in (headers or {}).items():
            if self._key(name).rule is not None:
                found += [value, value.strip().rpartition(" ")[2]]
        for _, name, value in _QUERY.findall(url):
            if self._query_rule(name) is not None:
                found.append(unquote_plus(value))
        for subprotocol in subprotocols:
            for _, pattern, _, _ in SUBPROTOCOLS:
                found += pattern.findall(subprotocol)
        self._learn(found)

    @property
    def policy(self) -> dict[str, str]:
        """Name and sha256 of the rules (names and patterns, no secrets), for the header of a tape."""
        builtin = [sorted(names) for names in (KEPT_HEADERS, SECRET_ENDINGS, SECRET_KEYS, INTERNAL_KEYS)]
        patterns = [[name, pattern.pattern, replace] for name, pattern, _, replace in PATTERNS]
        custom = [[rule.name, rule.pattern, sorted(rule.keys), rule.replace] for rule in self._rules]
        text = json.dumps([builtin, patterns, custom], separators=(",", ":"))
        name = "custom" if self._rules else "default"
        return {"policy": name, "sha256": hashlib.sha256(text.encode()).hexdigest()}

    def json(self, value: Json) -> Json:
        """One JSON value without secrets, keys and types kept. A clean value is returned itself, else a copy.

        Strings under a secret key become the placeholder, numbers 0; provider internals become empty.
        Raises TypeError for what is no JSON.
        """
        return value if self._is_clean(value) else self._clean(value, [])

    def text(self, text: str) -> str:
        """One text without secrets: an error, a close reason, a file name, a sub-protocol."""
        return self._clean_text(text, [])

    def headers(self, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, str]:
        """The headers worth a line on a tape, names in lower case.

        Only an allow-list stays. Authorization, cookies and keys stay as placeholders, to show that
        they were sent. A repeated header is joined with a comma.
        """
        kept: dict[str, str] = {}
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            name = name.lower()
            key = self._key(name)
            if key.rule is not None:
                kept[key.text] = key.rule.replace
            elif name in KEPT_HEADERS or name.startswith(KEPT_HEADER_PREFIX):
                clean = self.url(value) if name == "location" else self.text(value)
                kept[key.text] = f"{kept[key.text]}, {clean}" if key.text in kept else clean
        return kept

    def url(self, url: str) -> str:
        """A URL without userinfo and without the secrets of its query; the rest stays as it is written."""
        for _ in range(_PASSES):
            clean = re.sub(r"\A([^/?#]*//)[^/?#]*@", r"\1", url)
            clean = self.text(_QUERY.sub(self._query_value, clean))
            clean = _URL_PARTS.sub(self._encoded, clean)
            if clean == url:
                return url
            url = clean
        return PLACEHOLDER

    def scan(self, text: str) -> str | None:
        """Name of the first rule that still finds something, None when the text is clean.

        Takes a text, a line of a tape or a whole tape; lines of JSON are read as JSON.
        """
        hits: list[str] = []
        if any(needle in text for needle in self._needles):
            return _VALUE_RULE
        for line in text.split("\n"):
            try:
                value = json.loads(line) if line.startswith(("{", "[", '"')) else line
            except (ValueError, RecursionError):
                value = line
            if not self._is_clean(value):
                self._clean(value, hits)
                if hits:
                    return hits[0]
        return None

    def __repr__(self) -> str:
        return f"<Redactor, {len(PATTERNS) + len(self._rules)} rules, {len(self._needles)} forms of secrets>"

    def _learn(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in forms(secret.strip())}
        if not found.issubset(self._needles):
            self._needles = tuple(sorted(found.union(self._needles), key=lambda needle: (-len(needle), needle)))
            self._inert_needles = tuple(needle for needle in self._needles if has_no_pattern(needle))
            self._needles_pattern = re.compile("|".join(re.escape(needle) for needle in self._needles))
            self._has_numbers = any(needle.isdigit() for needle in self._needles)
            self._keys.clear()

    def _key(self, key: str) -> _Key:
        known = self._keys.get(key)
        if known is None:
            if len(self._keys) >= _CACHED_KEYS:
                self._keys.clear()
            plain = plain_key(key)
            rule = self._custom_keys.get(plain) or _builtin_key_rule(plain)
            text = self.text(key)
            known = _Key(text, rule, rule is None and plain not in _CONTEXT_KEYS and text == key)
            self._keys[key] = known
        return known

    def _query_rule(self, name: str) -> _KeyRule | None:
        name = unquote_plus(name)
        return _SECRET_KEY if plain_key(name) in SECRET_QUERY_KEYS else self._key(name).rule

    def _query_value(self, match: re.Match[str]) -> str:
        rule = self._query_rule(match[2])
        return f"{match[1]}{match[2]}={rule.replace}" if rule is not None and match[3] else match[0]

    def _encoded(self, match: re.Match[str]) -> str:
        plain = unquote_plus(match[0]) if "%" in match[0] else ""
        return match[0] if self.text(plain) == plain else PLACEHOLDER

    def _rule_of(self, key: str, known: _Key, holder: Mapping[str, Json]) -> _KeyRule | None:
        """The rule of one entry of an object, with its neighbours considered."""
        plain = plain_key(key)
        if plain == "token" and "logprob" in holder:
            return self._custom_keys.get(plain)
        if plain == "value" and known.rule is None:
            if "expires_at" in holder:
                return _CLIENT_SECRET
            name = holder.get("name")
            return self._key(name).rule if isinstance(name, str) else None
        if plain == "headers" and known.rule is None:
            is_mcp = holder.get("type") == "mcp" or "server_url" in holder or "server_label" in holder
            return _MCP_HEADERS if is_mcp else None
        return known.rule

    def _is_clean(self, value: Json) -> bool:
        """A quick look that never calls a dirty value clean; what it doubts goes the long way."""
        if self._custom or self._has_numbers:
            return False
        short: list[str] = []
        todo: list[Json] = [value]
        known_keys = self._keys
        while todo:
            node = todo.pop()
            if isinstance(node, str):
                if len(node) < _LONG:
                    short.append(node)
                elif not self._is_inert(node):
                    return False
            elif isinstance(node, dict):
                for key in node:
                    if not (known_keys.get(key) or self._key(key)).is_plain:
                        return False
                todo.extend(node.values())
            elif isinstance(node, list):
                todo.extend(node)
            elif node is not None and not isinstance(node, bool | int | float):
                return False
        text = "\n".join(short)
        if any(needle in text for needle in self._needles):
            return False
        lowered = text.lower()
        return not any(anchor in lowered for anchor in ANCHORS)

    def _is_inert(self, text: str) -> bool:
        return has_no_pattern(text) and not any(needle in text for needle in self._inert_needles)

    def _clean(self, value: Json, hits: list[str]) -> Json:
        """The long way, without recursion: a frame may be nested as deep as its parser allowed."""
        root: list[Json] = [value]
        todo: list[tuple[dict[str, Json] | list[Json], _KeyRule | None]] = [(root, None)]
        while todo:
            holder, rule = todo.pop()
            if isinstance(holder, list):
                for index, child in enumerate(holder):
                    holder[index] = self._child("", child, rule, hits, todo)
                continue
            original = holder.copy()
            holder.clear()
            for key, child in original.items():
                known = self._key(key)
                child_rule = rule or self._rule_of(key, known, original)
                name = self._free_key(key, known.text, holder, hits)
                holder[name] = self._child(key, child, child_rule, hits, todo)
        return root[0]

    def _child(
        self,
        key: str,
        child: Json,
        rule: _KeyRule | None,
        hits: list[str],
        todo: list[tuple[dict[str, Json] | list[Json], _KeyRule | None]],
    ) -> Json:
        """A clean leaf, or a copy of a container that is still to be cleaned."""
        if isinstance(child, dict | list):
            if rule is not None and rule.empties:
                if child:
                    hits.append(rule.name)
                return type(child)()
            copy = child.copy()
            todo.append((copy, rule))
            return copy
        if child is None or isinstance(child, bool):
            return child
        if isinstance(child, str):
            if rule is None:
                return self._clean_text(child, hits)
            clean = rule.replace if child else child
            if clean != child:
                hits.append(rule.name)
            return clean
        if not isinstance(child, int | float):
            raise TypeError(f"{type(child).__name__} is no JSON")
        if rule is None:
            name = _VALUE_RULE
            is_secret = self._has_numbers and any(needle in json.dumps(child) for needle in self._needles)
        else:
            name = rule.name
            is_secret = not (key == "expires_at" and rule in (_SECRET_KEY, _CLIENT_SECRET))
        if is_secret and child:
            hits.append(name)
        return type(child)() if is_secret else child

    def _free_key(self, key: str, clean: str, holder: Mapping[str, Json], hits: list[str]) -> str:
        if clean != key:
            self._clean_text(key, hits)
        name, number = clean, 2
        while name in holder:
            name = f"{clean} {number}"
            number += 1
        return name

    def _clean_text(self, text: str, hits: list[str]) -> str:
        # One replacement can bring another match about; what does not settle is dropped whole.
        for _ in range(_PASSES):
            clean = self._pass(text, hits)
            if clean == text:
                return text
            text = clean
        return PLACEHOLDER

    def _pass(self, text: str, hits: list[str]) -> str:
        if any(needle in text for needle in self._needles):
            text = self._needles_pattern.sub(PLACEHOLDER, text)
            hits.append(_VALUE_RULE)
        lowered = "" if len(text) >= _LONG and has_no_pattern(text) else text.lower()
        for name, pattern, anchors, replace in (*PATTERNS, *self._custom):
            if anchors and not any(anchor in lowered for anchor in anchors):
                continue
            clean = pattern.sub(partial(_replaced, replace), text)
            if clean != text:
                hits.append(name)
                text = clean
        return text


def _replaced(replace: str, match: re.Match[str]) -> str:
    start, end = match.span("secret" if "secret" in match.re.groupindex else 0)
    if start < 0:
        start, end = match.span()
    return match.string[match.start() : start] + replace + match.string[end : match.end()]


@lru_cache(maxsize=1024)
def _builtin_key_rule(plain: str) -> _KeyRule | None:
    if plain in INTERNAL_KEYS:
        return _INTERNALS
    return _SECRET_KEY if plain in SECRET_KEYS or plain.endswith(SECRET_ENDINGS) else None
