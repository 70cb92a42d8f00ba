"""Which of the user's audio a new connection needs, and how far the old one surely heard. In: what was sent, events.

Out: audio to send again. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from typing import Final

from xai_realtime.protocol.conversation import Conversation
from xai_realtime.protocol.desk import forget_oldest
from xai_realtime.protocol.ring import MicrophoneRing, Resend

__all__ = ["Keeping"]

UNTOLD_MS: Final = 2_000.0
"""Speech that the server may have heard and not reported when the line dropped."""
REMEMBERED: Final = 64


class Keeping:
    """The user's turns as audio, until their words are safe.

    A turn is safe when its transcript is final, or when the reply to it has ended. Silence is safe as far as the server
    surely heard it: a line that carries speech at least as fast as it is spoken had it when something came back.
    """

    __slots__ = (
        "_answered",
        "_at_ms",
        "_backlog_ms",
        "_by_hand",
        "_finals",
        "_newest",
        "_stream_ms",
        "_sure_ms",
        "_turns",
        "ring",
    )

    def __init__(self, ring: MicrophoneRing) -> None:
        self.ring = ring
        self._turns: dict[str, int] = {}
        self._finals: dict[str, str] = {}
        self._by_hand: list[int] = []
        self._newest = 0
        self._answered = 0
        self._new_line(0.0)

    def _new_line(self, now_ms: float) -> None:
        self._at_ms = now_ms
        self._stream_ms = self._backlog_ms = self._sure_ms = 0.0

    def sending(self, now_ms: float) -> None:
        """Audio is about to be sent, or something came: what was sent by now is on its way."""
        stream_ms = self.ring.stream_ms
        gone_ms = max(0.0, now_ms - self._at_ms)
        self._backlog_ms = max(0.0, self._backlog_ms - gone_ms) + stream_ms - self._stream_ms
        self._at_ms, self._stream_ms = now_ms, stream_ms

    def server_spoke(self, now_ms: float) -> None:
        """Something came from the server: it hears."""
        if self._sure_ms == self._stream_ms == self.ring.stream_ms:
            self._at_ms = now_ms
            return
        self.sending(now_ms)
        self._sure_ms = self._stream_ms - self._backlog_ms

    # Turns

    def end_turn(self) -> int:
        """The user ends a turn by hand; its number."""
        number = self.ring.end_turn()
        self._by_hand.append(number)
        return number

    def committed(self, item_id: str, until_ms: float | None, *, is_by_hand: bool) -> None:
        """The server made an item of a turn; all that was sent belongs to it, or what was sent up to a stream time."""
        is_known = is_by_hand and bool(self._by_hand)
        self._newest = self._by_hand.pop(0) if is_known else self.ring.commit(until_ms)
        self._turns[item_id] = self._newest
        forget_oldest(self._turns, REMEMBERED)

    def final(self, item_id: str, text: str) -> None:
        """The words of an item are known, so its audio is not needed any more."""
        self._finals[item_id] = text
        forget_oldest(self._finals, REMEMBERED)
        number = self._turns.pop(item_id, None)
        if number is not None:
            self.ring.settle(number)

    def answered(self) -> None:
        """A reply begins: to the turns that the server has by now."""
        self._answered = self._newest

    def settled(self, turn: int | None) -> None:
        """A reply has ended: what it answers needs no second try; that is `turn`, if it was asked for with one."""
        until = max(self._answered, turn or 0)
        while self._by_hand and self._by_hand[0] <= until:
            del self._by_hand[0]
        self.ring.settle(until)

    # Connections

    def line_lost(self, conversation: Conversation, speaking: str | None, *, is_quiet: bool, is_by_hand: bool) -> None:
        """The connection is gone. What goes out again as audio is taken out of the conversation, but for final words.

        `speaking` is the item that the user speaks or spoke just now. When the server said that nobody spoke, no more
        is sent again than it may not have heard, or not have told.
        """
        if is_quiet:
            self.ring.release(self._sure_ms - UNTOLD_MS)
        kept = {item_id: number for item_id, number in self._turns.items() if self.ring.keeps(number)}
        for item_id in dict.fromkeys([*kept, *([] if speaking is None else [speaking])]):
            self._take_back(conversation, item_id)
        numbers = {*self._by_hand, *kept.values()} if is_by_hand else set()
        self._by_hand = [number for number in sorted(numbers) if self.ring.keeps(number)]
        self._turns.clear()

    def _take_back(self, conversation: Conversation, item_id: str) -> None:
        item, final = conversation.item(item_id), self._finals.get(item_id, "")
        if item is None:
            return
        if not final:
            conversation.forget(item_id)
            return
        for part in item.parts.values():
            part.cut("")
        item.part(0).cut(final)

    def reconnected(self, now_ms: float) -> Resend:
        """A new connection is ready: what is kept waits for it."""
        self._new_line(now_ms)
        return self.ring.reconnect()

    def reset(self, ring: MicrophoneRing) -> None:
        """Begin anew, with an empty ring."""
        self.ring = ring
        self._turns.clear()
        self._finals.clear()
        self._by_hand.clear()
        self._newest = self._answered = 0
