"""A capture of one JSON object a line. In: lines. Out: a Capture. Imports: rooms 0-2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from xai_realtime.cassette._json import parse_exact
from xai_realtime.cassette.importing._capture import (
    CLOSES,
    DIRECTIONS,
    OPENS,
    PAYLOADS,
    WAYS,
    Capture,
    Entry,
    EntryError,
    message,
    read_entry,
)
from xai_realtime.cassette.services import EVENTS
from xai_realtime.errors import CassetteFormatError
from xai_realtime.frames import Frame

__all__ = ["read_jsonl"]

CONTROL: Final = CLOSES | OPENS


def read_jsonl(lines: Iterable[bytes], path: str) -> Capture:
    """The capture in lines that are events themselves or wrap one. Raises CassetteFormatError with the line."""
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line:
            continue
        is_json, value = parse_exact(line)
        if not is_json or not isinstance(value, dict):
            raise CassetteFormatError("a line that is no JSON object", path=path, line=number)
        if value.get("kind") == "header" and "cassette" in value:
            raise CassetteFormatError("a cassette, which needs no import", path=path, line=number)
        try:
            entries.append(_entry(line, value))
        except EntryError as error:
            raise CassetteFormatError(str(error), path=path, line=number) from None
    return Capture("jsonl", entries)


def _entry(line: bytes, value: dict[str, Any]) -> Entry:
    name = value.get("type")
    is_event = isinstance(name, str) and any(
        name in events.SERVER_EVENTS or name in events.CLIENT_EVENTS for events in EVENTS.values()
    )
    if not is_event and _is_wrapper(value):
        return read_entry(_with_kind(value), strict=False)
    if not isinstance(name, str):
        raise EntryError("neither an event with a type nor an object around one")
    return Entry(message(Frame(line), None))


def _is_wrapper(value: dict[str, Any]) -> bool:
    words = [word.lower() for key in (*WAYS, "kind", "type") if isinstance(word := value.get(key), str)]
    if any(word in CONTROL for word in words):
        return True
    payload = next((value[key] for key in PAYLOADS if isinstance(value.get(key), dict | str)), None)
    if payload is None:
        return False
    is_event = isinstance(payload, dict) and isinstance(payload.get("type"), str)
    return is_event or "type" not in value or any(word in DIRECTIONS for word in words)


def _with_kind(value: dict[str, Any]) -> dict[str, Any]:
    """The wrapper with its `kind` where it belongs: some loggers call it `type`, some put other words there."""
    stated = [word.lower() for key in ("kind", "type") if isinstance(word := value.get(key), str)]
    kind = next((word for word in stated if word in CONTROL or word in DIRECTIONS), None)
    if kind is None:
        kind = next((word for word in stated if word in ("binary", "text")), None)
    way = next((key for key in WAYS if isinstance(word := value.get(key), str) and word.lower() in CONTROL), None)
    if way is not None:
        kind = value[way]
    rest = {key: item for key, item in value.items() if key not in ("kind", "type", way)}
    return {"kind": kind, **rest}
