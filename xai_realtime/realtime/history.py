"""What a session's conversation begins with, in any form. In: messages, items. Out: items of the wire.

Imports: rooms 0-3, pydantic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from pydantic import TypeAdapter, ValidationError

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.history import HistoryItem, message_item
from xai_realtime.protocol.session_events import SessionItem

__all__ = ["HistoryLike", "as_history"]

HistoryLike: TypeAlias = HistoryItem | SessionItem | Mapping[str, Any] | tuple[str, str]
"""An entry: an item of the wire, one that a session told, its JSON, or (role, text)."""

ROLES: Final = ("user", "assistant", "system")

_adapter: TypeAdapter[HistoryItem] | None = None


def as_history(entries: Iterable[HistoryLike]) -> list[HistoryItem]:
    """The entries as items, in order.

    Raises ConfigurationError, with the number of the entry, for what is none, and for an output whose call does not
    come before it.
    """
    items: list[HistoryItem] = []
    calls: set[str] = set()
    for number, entry in enumerate(entries):
        for item in _items(entry, number):
            if isinstance(item, wire.FunctionCallItem):
                calls.add(item.call_id)
            elif isinstance(item, wire.FunctionCallOutputItem) and item.call_id not in calls:
                raise ConfigurationError(f"history[{number}] is the output of a call that does not come before it")
            items.append(item)
    return items


def _items(entry: HistoryLike, number: int) -> list[HistoryItem]:
    if isinstance(entry, wire.MessageItem | wire.FunctionCallItem | wire.FunctionCallOutputItem):
        return [entry]
    if isinstance(entry, SessionItem):
        return _of_session(entry)
    if isinstance(entry, Mapping):
        return [_parsed(entry, number)]
    if isinstance(entry, tuple) and len(entry) == 2 and entry[0] in ROLES and isinstance(entry[1], str):
        return [message_item(*entry)]
    raise ConfigurationError(
        f"history[{number}] is a {type(entry).__name__}; allowed are items, their JSON, and pairs of a role "
        f"({', '.join(ROLES)}) and a text"
    )


def _of_session(item: SessionItem) -> list[HistoryItem]:
    if item.kind == "function_call" and item.call_id and item.name:
        return [wire.FunctionCallItem(call_id=item.call_id, name=item.name, arguments=item.arguments or "{}")]
    if item.kind == "function_call_output" and item.call_id:
        return [wire.FunctionCallOutputItem(call_id=item.call_id, output=item.output or "")]
    text = (item.text if item.heard is None else item.heard).strip()
    return [message_item(item.role, text)] if item.kind == "message" and item.role in ROLES and text else []


def _parsed(entry: Mapping[str, Any], number: int) -> HistoryItem:
    global _adapter
    if _adapter is None:
        _adapter = TypeAdapter(HistoryItem)
    content = entry.get("content")
    if "type" not in entry and isinstance(content, str) and entry.get("role") in ROLES:
        return message_item(entry["role"], content)
    try:
        return _adapter.validate_python({"type": "message", **entry})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(f"history[{number}] is no item: {first['msg']} at {place}") from None
