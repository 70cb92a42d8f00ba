"""How a session goes on over a new connection: what it tells it, and what it asks for again. In: the session's core.

Out: items, wishes, events. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from xai_realtime.events import realtime as wire
from xai_realtime.protocol.conversation import Item
from xai_realtime.protocol.history import HistoryItem, call_item, seed_items
from xai_realtime.protocol.reply import Reply, Wish
from xai_realtime.protocol.session_events import Reconnected, SessionReady, SessionWarning

if TYPE_CHECKING:
    from xai_realtime.protocol.session import SessionCore

__all__ = [
    "LOST",
    "RESET",
    "Outage",
    "ask_again",
    "follows_audio",
    "is_heard_in_vain",
    "is_replayed",
    "seeds",
    "tell_lost_audio",
    "tell_ready",
]

LOST: Final = "connection_lost"
RESET: Final = "reset"


@dataclass(slots=True)
class Outage:
    """The time without a ready connection: since when and why, and whether this session wanted it."""

    reason: str = ""
    since_ms: float = 0.0
    is_planned: bool = False
    attempts: int = 0
    was_ready: bool = False

    def begins(self, now_ms: float, reason: str, *, is_planned: bool) -> None:
        """The connection is gone."""
        self.since_ms, self.reason, self.is_planned = now_ms, reason, is_planned

    def ends(self) -> None:
        """A connection is ready."""
        self.reason, self.was_ready = "", True


# What the new connection is told


def seeds(core: SessionCore) -> list[Any]:
    """The conversation as far as the server has to be told it, and what was on its way when the line dropped."""
    desk = core.desk
    told: list[HistoryItem] = []
    if core.history:
        told, core.history = core.history, []
    elif core.connections > 1:
        told = RETOLD[desk.policy.resumption](core, seed_items(desk.conversation.items, core.calls.is_left_out))
    ids = {item.id for item in told}
    under_way = [item for item_id, item in desk.unconfirmed.items() if item_id not in ids]
    return told + _calls(core, told, under_way) + under_way


def _all(core: SessionCore, items: list[HistoryItem]) -> list[HistoryItem]:
    """All of it; what nobody said or heard a word of is no part of it any more."""
    conversation = core.desk.conversation
    for item in conversation.items:
        if item.kind == "message" and not item.said().strip():
            conversation.forget(item.id)
    return items


def _unanswered(core: SessionCore, items: list[HistoryItem]) -> list[HistoryItem]:
    """What came after the assistant's last words, but for what the server told itself."""
    last = max((place for place, item in enumerate(items) if getattr(item, "role", "") == "assistant"), default=-1)
    return [item for item in items[last + 1 :] if item.id not in core.replayed]


def _nothing(core: SessionCore, items: list[HistoryItem]) -> list[HistoryItem]:
    return []


RETOLD: Final[Mapping[str, Callable[[SessionCore, list[HistoryItem]], list[HistoryItem]]]] = {
    "local": _all,
    "native": _unanswered,
    "none": _nothing,
}
"""What of the conversation a session tells again, by the policy's resumption."""


def _calls(core: SessionCore, told: list[HistoryItem], under_way: list[Any]) -> list[HistoryItem]:
    """Calls that the server does not know and whose outputs it gets now or later."""
    known: set[str | None] = {item.call_id for item in told if isinstance(item, wire.FunctionCallItem)}
    known |= {item.call_id for item in core.desk.conversation.items if item.id in core.replayed}
    outputs = [item.call_id for item in under_way if isinstance(item, wire.FunctionCallOutputItem)]
    wanted = dict.fromkeys([*outputs, *(call.call_id for call in core.calls.pending)])
    items = [item for item in core.desk.conversation.items if item.kind == "function_call" and item.call_id in wanted]
    return [call_item(item) for item in items if item.call_id not in known]


def is_replayed(core: SessionCore, stated: wire.ConversationItem) -> bool:
    """Is an item that the server tells again one that this session has already, under another id?"""
    items = [item for item in core.desk.conversation.items if item.kind == stated.type]
    if stated.type == "message":
        text = " ".join(part.transcript or part.text or "" for part in stated.content or ()).strip()
        role = stated.role or "assistant"
        found = [item for item in items if item.role == role and _says(item, text)]
    else:
        found = [item for item in items if item.call_id == stated.call_id]
    core.replayed |= dict.fromkeys([stated.id, *(item.id for item in found)])
    return bool(found)


def _says(item: Item, text: str) -> bool:
    """Does an item say this? Of one that was cut off, the server may have kept more than was heard, or less."""
    whole = item.text.strip()
    return text in (whole, item.said().strip()) or (item.heard is not None and whole.startswith(text))


# What is asked for again


def is_heard_in_vain(reply: Reply) -> bool:
    """Has a reply to be asked for again when its line drops: nothing of it was heard, and nobody stopped it?"""
    return reply.first_audio_ms is None and not reply.has_calls and not reply.is_muted


def ask_again(core: SessionCore, reply: Reply | None, wish: Wish | None, *, is_waiting: bool) -> None:
    """Nothing that was asked for is forgotten, unless the answer was heard in part, or will come by itself.

    `reply` was open, `wish` was asked for and not fulfilled, and `is_waiting` when the user waited for an answer.
    """
    floor, ring = core.floor, core.user.ring
    floor.wishes[:] = [_wish_again(core, wish) for wish in floor.wishes]
    if wish is not None:
        if core.desk.policy.resumption != "none" or _is_under_way(core, wish):
            floor.wishes.insert(0, _wish_again(core, wish, is_sent=True))
        return
    is_unheard = reply is not None and reply.wish is None and is_heard_in_vain(reply)
    if (is_unheard or is_waiting) and ring.is_settled and core.desk.policy.resumption != "none":
        floor.wishes.insert(0, Wish("reply", request=wire.ResponseCreate()))


def _wish_again(core: SessionCore, wish: Wish, *, is_sent: bool = False) -> Wish:
    """A wish as it has to be asked for now: a turn goes out as audio again, or its words are told."""
    if wish.turn is not None and core.user.ring.keeps(wish.turn):
        return wish
    return wish.again() if is_sent or wish.turn is not None else wish


def _is_under_way(core: SessionCore, wish: Wish) -> bool:
    """Is a wish one that a server without any memory can fulfil: does it get again what the wish is about?"""
    unconfirmed = core.desk.unconfirmed
    if wish.kind == "continuation":
        return any(isinstance(item, wire.FunctionCallOutputItem) for item in unconfirmed.values())
    is_kept = wish.turn is not None and core.user.ring.keeps(wish.turn)
    return is_kept or wish.kind == "say" or any(item.id in unconfirmed for item in wish.items)


def follows_audio(core: SessionCore) -> bool:
    """Has what is asked for next to follow the audio that waits? Audio of a later turn would be answered with it."""
    wish = next(iter(core.floor.wishes), None)
    return not core.user.is_manual or wish is None or (wish.turn is not None and core.user.ring.keeps(wish.turn))


# What the user is told


def tell_ready(core: SessionCore, raw: Any, *, is_confirmed: bool) -> None:
    """A connection is ready: it is the first one, one for a new conversation, or it carries the session on."""
    desk, outage = core.desk, core.outage
    conversation_id = desk.conversation.conversation_id
    resend = core.user.keeping.reconnected(desk.now_ms)
    lost_ms, resent_ms = round(resend.lost_ms, 3), round(resend.resent_ms, 3)
    if not outage.was_ready or outage.reason == RESET:
        desk.tell(SessionReady(conversation_id, core.limits.served_model, is_confirmed, raw=raw))
        tell_lost_audio(core, lost_ms)
        return
    is_planned = outage.is_planned and outage.attempts <= 1
    outage_ms = 0.0 if is_planned else desk.now_ms - outage.since_ms
    told = Reconnected(outage.reason, lost_ms, resent_ms, outage_ms, outage.attempts, conversation_id, raw=raw)
    desk.tell(told)


def tell_lost_audio(core: SessionCore, lost_ms: float) -> None:
    """Audio of the user fell out before it was sent."""
    if lost_ms:
        message = f"{lost_ms:.0f} ms of microphone audio were lost: more had to wait than is kept"
        core.desk.tell(SessionWarning("audio_lost", message, {"lost_ms": lost_ms}))
