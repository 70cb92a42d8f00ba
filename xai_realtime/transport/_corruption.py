"""A frame, damaged on purpose. In: a frame and how. Out: the damaged frame. Imports: rooms 0-2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xai_realtime.cassette._json import Json, dump_json, parse_json
from xai_realtime.cassette.services import EVENTS
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.errors import ConfigurationError
from xai_realtime.frames import Frame
from xai_realtime.transport._fault import Corruption

__all__ = ["OVERSIZE_BYTES", "corrupted", "event_type"]

OVERSIZE_BYTES: Final = MAX_MESSAGE_BYTES + 1
UNKNOWN_TYPE: Final = "unknown.to_any_spec"
NOT_BASE64: Final = "*not base64*"


def event_type(frame: Frame) -> str:
    """The event type in a message; empty when there is none."""
    if not frame.is_text:
        return ""
    try:
        value = parse_json(frame.data)
    except ValueError:
        return ""
    name = value.get("type") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def corrupted(frame: Frame, how: Corruption, field: str | None) -> Frame:
    """The frame, damaged. Raises ConfigurationError when this frame cannot be damaged so."""
    if how == "oversize":
        # JSON allows white space around a value: only the size is wrong.
        return Frame(frame.data.ljust(OVERSIZE_BYTES), frame.is_text, frame.at_ms)
    if not frame.is_text:
        raise ConfigurationError(f"fault corrupt({how!r}) met a binary message: only oversize can be done to one")
    if how == "bad_json":
        return Frame(_bad_json(frame.data.strip()), True, frame.at_ms)
    if how == "bad_utf8":
        at = max(frame.data.rfind(b'"'), 0)
        return Frame(frame.data[:at] + b"\xff" + frame.data[at:], True, frame.at_ms)
    try:
        value = parse_json(frame.data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigurationError(f"fault corrupt({how!r}) met a message that is no JSON object")
    if how == "unknown_type":
        value["type"] = UNKNOWN_TYPE
    else:
        name = value.get("type")
        _at(value, field or _usual_field(value, how, name if isinstance(name, str) else ""), CHANGES[how])
    return Frame(dump_json(value), True, frame.at_ms)


def _bad_json(data: bytes) -> bytes:
    """No JSON for certain: a proper beginning of an object, list or string never is."""
    if data[:1] in (b"{", b"[", b'"'):
        return data[: max(1, len(data) // 2)]
    return data + b"}"


def _usual_field(value: dict[str, Json], how: Corruption, name: str) -> str:
    """A field that the event must have, or its audio, by the first service that knows one in this message."""
    paths: list[str] = []
    for events in EVENTS.values():
        if how == "bad_base64":
            paths += [path.replace("[]", ".0") for path in events.BASE64_FIELDS.get(name, ())]
        else:
            shape: Any = events.SERVER_EVENTS.get(name) or events.CLIENT_EVENTS.get(name)
            known = shape.model_fields.items() if shape is not None else ()
            paths += [key for key, info in known if key != "type" and info.is_required() and key in value]
    if not paths:
        raise ConfigurationError(f"fault corrupt({how!r}) needs field=: {name[:80] or 'the message'} has no such field")
    return paths[0]


def _at(value: Json, path: str, change: Callable[[Any, Any], None]) -> None:
    *before, last = path.split(".")
    place = value
    try:
        for step in before:
            place = place[_key(place, step)]
        key = _key(place, last)
        place[key]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ConfigurationError(f"fault corrupt met a message without the field {path[:80]!r}") from None
    change(place, key)


def _key(place: Json, step: str) -> str | int:
    return int(step) if isinstance(place, list) else step


def _spoil(place: Any, key: Any) -> None:
    if not isinstance(place[key], str):
        raise ConfigurationError("fault corrupt('bad_base64') met a field that is no text")
    place[key] = NOT_BASE64


def _take_out(place: Any, key: Any) -> None:
    del place[key]


def _mistype(place: Any, key: Any) -> None:
    # No lax reading takes a list for a single value, nor a number for a list or an object.
    place[key] = 7 if isinstance(place[key], dict | list) else [None]


CHANGES: Final[dict[str, Callable[[Any, Any], None]]] = {
    "bad_base64": _spoil,
    "missing_field": _take_out,
    "wrong_type": _mistype,
}
