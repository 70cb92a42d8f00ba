"""What the parts of a session share: the time, the timers, and where their wishes go. In: wishes. Out: lists.

Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from xai_realtime.events import realtime as wire
from xai_realtime.protocol.conversation import Conversation, Item
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.protocol.metrics import SessionMetrics
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.session_events import SessionEvent, SessionItem

__all__ = ["HELD_AUDIO", "Desk", "HeldAudio", "Outgoing", "Table", "forget_oldest", "snapshot", "step"]

Table: TypeAlias = Mapping[tuple[str, str], str]
"""A state machine: (state, what happened) to the next state. What is not in it changes nothing."""


class HeldAudio:
    """A place in what is to be sent: here goes the microphone audio that waits."""


HELD_AUDIO: Final = HeldAudio()
Outgoing: TypeAlias = wire.ClientEvent | Mapping[str, Any] | HeldAudio
"""What is to be sent."""

REMEMBERED: Final = 4096


def step(table: Table, state: str, trigger: str) -> str:
    """The state after `trigger`; the same one when the table says nothing."""
    return table.get((state, trigger), state)


class Desk:
    """One session's desk.

    `told` is what the user gets to know, `out` what is to be sent, in order; `calls` are functions to run, `stops` call
    ids whose functions are to be stopped. `unconfirmed` are items that were sent and not seen in the conversation yet.
    `finish` is set when the session is to end, `redial` when a new connection is wanted, with the reason,
    `has_new_timer` when a timer may be due before all others. `now_ms` is the time of what is being worked on.
    """

    __slots__ = (
        "calls",
        "conversation",
        "finish",
        "has_new_timer",
        "ledger",
        "metrics",
        "mint",
        "now_ms",
        "out",
        "own_ids",
        "policy",
        "redial",
        "stops",
        "timers",
        "told",
        "unconfirmed",
    )

    def __init__(self, policy: SessionPolicy, mint: Callable[[], str], *, is_by_clock: bool) -> None:
        self.policy = policy
        self.mint = mint
        self.now_ms = 0.0
        self.told: deque[SessionEvent] = deque()
        self.out: deque[Outgoing] = deque()
        self.calls: list[Any] = []
        self.stops: list[str] = []
        self.timers: dict[str, float] = {}
        self.has_new_timer = False
        self.conversation = Conversation(hashes_audio=False)
        self.ledger = UsageLedger(is_by_clock=is_by_clock)
        self.metrics = SessionMetrics()
        self.own_ids: dict[str, None] = {}
        self.unconfirmed: dict[str, Any] = {}
        self.finish: BaseException | str | None = None
        self.redial: str | None = None

    def tell(self, event: SessionEvent) -> None:
        """Let the user know."""
        self.told.append(event)

    def send(self, *events: Outgoing) -> None:
        """Have events sent, in this order."""
        self.out.extend(events)

    def send_item(self, item: Any) -> str:
        """Have an item of our own created, under an id of our own; the id."""
        item_id: str = item.id if item.id is not None else self.mint()
        self.own(item_id)
        named = item if item.id is not None else item.model_copy(update={"id": item_id})
        if not isinstance(item, wire.ForceMessageItem):
            _remember(self.unconfirmed, item_id, named)
        if _is_priced(item):
            self.ledger.message_sent()
        self.send(wire.ConversationItemCreate(item=named))
        return item_id

    def own(self, item_id: str) -> None:
        """Remember an item as made by this session."""
        _remember(self.own_ids, item_id, None)

    def start_timer(self, name: str, after_ms: float) -> None:
        """Set a timer, anew when it runs."""
        self.timers[name] = self.now_ms + after_ms
        self.has_new_timer = True

    def stop_timer(self, name: str) -> None:
        """Call a timer off."""
        self.timers.pop(name, None)

    def due(self) -> Iterable[str]:
        """The timers that ran out, in the order of their times, called off."""
        names = sorted((at_ms, name) for name, at_ms in self.timers.items() if at_ms <= self.now_ms)
        for _, name in names:
            if self.timers.pop(name, None) is not None:
                yield name


def forget_oldest(known: dict[str, Any], kept: int) -> None:
    """Forget the oldest entry when there are more than are to be kept."""
    if len(known) > kept:
        del known[next(iter(known))]


def _remember(known: dict[str, Any], name: str, value: Any) -> None:
    known[name] = value
    forget_oldest(known, REMEMBERED)


def _is_priced(item: Any) -> bool:
    """All items are, but for the outputs of functions and for audio, which is billed by its length."""
    if isinstance(item, wire.FunctionCallOutputItem):
        return False
    return not any(isinstance(part, wire.InputAudioPart) for part in getattr(item, "content", ()))


def snapshot(item: Item) -> SessionItem:
    """An item as it stands now."""
    return SessionItem(
        item.id,
        item.kind,
        item.role,
        item.text,
        item.heard,
        item.status,
        item.call_id,
        item.name,
        item.arguments.text,
        item.output,
    )
