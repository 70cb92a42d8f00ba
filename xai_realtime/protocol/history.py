"""The conversation as items for a fresh server. In: what was said and called. Out: items to create.

Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from xai_realtime.events import realtime as wire
from xai_realtime.protocol.conversation import Item

__all__ = ["HistoryItem", "call_item", "message_item", "seed_items"]

HistoryItem: TypeAlias = wire.MessageItem | wire.FunctionCallItem | wire.FunctionCallOutputItem
"""An item that a conversation can begin with."""

ROLES: Final = ("user", "assistant", "system")


def message_item(role: str, text: str, item_id: str | None = None) -> wire.MessageItem:
    """A message as an item; what the assistant said goes as text."""
    part = wire.TextPart(text=text) if role == "assistant" else wire.InputTextPart(text=text)
    named = {} if item_id is None else {"id": item_id}
    return wire.MessageItem.model_validate({"role": role, "content": [part], **named})


def call_item(item: Item) -> wire.FunctionCallItem:
    """A call of the conversation as an item, under its own id."""
    return wire.FunctionCallItem(
        id=item.id, call_id=item.call_id or "", name=item.name or "unknown", arguments=item.arguments.text or "{}"
    )


def seed_items(items: Iterable[Item], is_left_out: Callable[[str], bool]) -> list[HistoryItem]:
    """What was said and called, in order, as items with their ids: of what was cut off, what was heard.

    Empty messages are left out, so are outputs without a call, and calls whose id `is_left_out`.
    """
    seeds: list[HistoryItem] = []
    known: set[str] = set()
    for item in items:
        if item.kind == "message" and item.role in ROLES:
            text = item.said().strip()
            if text:
                seeds.append(message_item(item.role, text, item.id))
        elif item.kind == "function_call" and item.call_id and not is_left_out(item.call_id):
            known.add(item.call_id)
            seeds.append(call_item(item))
        elif item.kind == "function_call_output" and item.call_id in known:
            output = wire.FunctionCallOutputItem(id=item.id, call_id=item.call_id, output=item.output or "")
            seeds.append(output)
    return seeds
