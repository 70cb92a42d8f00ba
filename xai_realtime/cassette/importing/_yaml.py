"""A YAML capture, read without building any object but plain data. In: a text. Out: a Capture.

Only the parser's events are used: no tag can name a class, an alias cannot grow without bound, and a scalar means
what it means in JSON. Imports: rooms 0-2, yaml inside the function.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pybase64

from xai_realtime.cassette.importing._capture import Capture, EntryError, read_entry
from xai_realtime.errors import CassetteFormatError, ConfigurationError

if TYPE_CHECKING:
    import yaml

__all__ = ["MAX_DEPTH", "MAX_EXPANDED", "read_yaml"]

MAX_DEPTH: Final = 100
MAX_EXPANDED: Final = 256 * 1024 * 1024
"""Characters and nodes of a document once its aliases are written out."""
INTERACTION_DEPTH: Final = 3
KNOWN_VERSIONS: Final = (1,)
KNOWN_FIELDS: Final = frozenset({"interactions", "recorded_at", "url", "version"})

_TAG: Final = "tag:yaml.org,2002:"
_INT: Final = re.compile("[-+]?(?:0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(
    r"[-+]?(?:[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+][0-9]+)"
)
"""Not `12e4`, which the usual dumper leaves unquoted when it is a text."""
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def read_yaml(text: str, path: str) -> Capture:
    """The capture in a YAML text. Raises CassetteFormatError with the line, ConfigurationError without PyYAML."""
    builder = _Builder(path)
    document = builder.read(text)
    if not isinstance(document, dict) or "interactions" not in document:
        raise CassetteFormatError("no capture: a mapping with `interactions` is expected", path=path, line=1)
    version = document.get("version", 1)
    if type(version) is not int or version not in KNOWN_VERSIONS:
        shown = version if type(version) is int else type(version).__name__
        raise CassetteFormatError(f"version {shown} of a YAML capture is not known; 1 is", path=path, line=1)
    unknown = sorted(set(document) - KNOWN_FIELDS)
    if unknown:
        raise CassetteFormatError(f"a capture has no field {unknown[0][:40]!r}", path=path, line=1)
    url, interactions = document.get("url"), document["interactions"]
    if url is not None and not isinstance(url, str):
        raise CassetteFormatError("url is a text", path=path, line=1)
    if not isinstance(interactions, list | None):
        raise CassetteFormatError("interactions are a list", path=path, line=1)
    entries = []
    for item in interactions or ():
        line = builder.lines.get(id(item), 0)
        if not isinstance(item, dict):
            raise CassetteFormatError("an interaction is a mapping", path=path, line=line)
        try:
            entries.append(read_entry(item, strict=True))
        except ValueError as error:
            reason = str(error) if isinstance(error, EntryError) else "data that JSON cannot hold"
            raise CassetteFormatError(reason, path=path, line=line) from None
    return Capture("pydantic-ai", entries, url)


class _Builder:
    """Plain values out of the parser's events, one container at a time and without recursion."""

    def __init__(self, path: str) -> None:
        self.lines: dict[int, int] = {}
        self._path = path
        self._line = 1
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._open: list[_Container] = []
        self._weight = 0
        self._documents: list[Any] = []

    def read(self, text: str) -> Any:
        try:
            import yaml
        except ImportError:
            raise ConfigurationError("a YAML capture needs PyYAML: install xai-realtime[cli]") from None
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            for event in yaml.parse(text, Loader=loader):
                mark = getattr(event, "start_mark", None)
                self._line = self._line if mark is None else mark.line + 1
                self._take(event, yaml)
        except yaml.reader.ReaderError:
            found = yaml.reader.Reader.NON_PRINTABLE.search(text)
            line = text.count("\n", 0, found.start()) + 1 if found else None
            raise self._error("a character that YAML may not hold", line) from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = str(getattr(error, "problem", None) or "it cannot be parsed")[:100]
            raise self._error(f"no YAML: {problem}", None if mark is None else mark.line + 1) from None
        if len(self._documents) != 1:
            raise self._error("one YAML document is expected", 1)
        return self._documents[0]

    def _error(self, reason: str, line: int | None = None) -> CassetteFormatError:
        return CassetteFormatError(reason, path=self._path, line=self._line if line is None else line)

    def _take(self, event: yaml.Event, names: Any) -> None:
        if isinstance(event, names.ScalarEvent):
            value = self._scalar(event)
            weight = len(event.value) + 1
            self._grow(weight)
            if event.anchor:
                self._anchors[event.anchor] = value, weight
            self._put(value, event)
        elif isinstance(event, names.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._error("an alias of what is not there, or of what it stands in")
            value, weight = self._anchors[event.anchor]
            self._grow(weight)
            self._put(value, None)
        elif isinstance(event, names.SequenceStartEvent | names.MappingStartEvent):
            is_list = isinstance(event, names.SequenceStartEvent)
            if event.tag not in (None, "!", f"{_TAG}{'seq' if is_list else 'map'}"):
                raise self._error(f"the tag {event.tag[:60]!r}: a capture holds plain data alone")
            if len(self._open) >= MAX_DEPTH:
                raise self._error(f"nested over {MAX_DEPTH} levels deep")
            self._grow(1)
            value = [] if is_list else {}
            self.lines[id(value)] = self._line
            if event.anchor:
                self._anchors.pop(event.anchor, None)
            self._open.append(_Container(value, event.anchor, self._weight))
        elif isinstance(event, names.SequenceEndEvent | names.MappingEndEvent):
            done = self._open.pop()
            if done.anchor:
                self._anchors[done.anchor] = done.value, self._weight - done.weight_before
            self._put(done.value, None)

    def _grow(self, weight: int) -> None:
        self._weight += weight
        if self._weight > MAX_EXPANDED:
            raise self._error(f"over {MAX_EXPANDED} characters once its aliases are written out")

    def _put(self, value: Any, event: yaml.ScalarEvent | None) -> None:
        if not self._open:
            self._documents.append(value)
            return
        if isinstance(value, bytes) and len(self._open) != INTERACTION_DEPTH:
            raise self._error("a !!binary where JSON is expected")
        holder = self._open[-1]
        if isinstance(holder.value, list):
            holder.value.append(value)
        elif holder.has_key:
            holder.value[holder.key], holder.has_key = value, False
        else:
            if not isinstance(value, str):
                raise self._error("a key that is no text")
            if value == "<<" and event is not None and event.implicit[0]:
                raise self._error("a merge key: a capture holds plain data alone")
            if value in holder.value:
                raise self._error(f"the key {value[:40]!r} stands twice")
            holder.key, holder.has_key = value, True

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text, tag = str(event.value), event.tag
        if tag is None or tag == "!":
            return self._plain(text) if event.implicit[0] and tag is None else text
        kind = tag.removeprefix(_TAG)
        if kind == "str":
            return text
        if kind == "binary":
            try:
                return pybase64.b64decode("".join(text.split()), validate=True)
            except ValueError:
                raise self._error("a !!binary that is no base64") from None
        if kind in ("bool", "float", "int", "null") and tag != kind:
            value = self._plain(text)
            if kind == "float" and type(value) is int:
                return float(value)
            if type(value) is {"bool": bool, "float": float, "int": int, "null": type(None)}[kind]:
                return value
        raise self._error(f"the tag {tag[:60]!r}: a capture holds plain data alone")

    def _plain(self, text: str) -> Any:
        """What an unquoted scalar means: as in JSON, so that a date, `yes` or 12:30 stays the text it was."""
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            if len(text) > 4000:
                raise self._error("a number of over 4000 digits")
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _NOT_FINITE.fullmatch(text):
            raise self._error("a number that JSON cannot hold")
        return text


class _Container:
    """A list or a mapping whose end has not come yet."""

    __slots__ = ("anchor", "has_key", "key", "value", "weight_before")

    def __init__(self, value: Any, anchor: str | None, weight: int) -> None:
        self.value = value
        self.anchor = anchor
        self.weight_before = weight - 1
        self.key = ""
        self.has_key = False
