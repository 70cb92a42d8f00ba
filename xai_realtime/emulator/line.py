"""What the parts of one connection share: time, what is due, what goes out. In: events. Out: frames in order.

Imports: the standard library, pydantic, rooms 0-3 and 7.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from pydantic_core import to_json

from xai_realtime.codec import realtime_codec
from xai_realtime.emulator.failures import Failure
from xai_realtime.emulator.quirks import alterations
from xai_realtime.emulator.wire import Event, Wire
from xai_realtime.emulator.world import Ids, World
from xai_realtime.events._base import BinaryAudio
from xai_realtime.frames import Frame
from xai_realtime.protocol.conversation import Conversation

__all__ = ["Agenda", "Hangup", "Line", "Step"]


@dataclass(frozen=True, slots=True)
class Hangup:
    """The end of the connection by the server; `abrupt` means without a close handshake."""

    code: int
    reason: str
    abrupt: bool = False


class Step:
    """Something to be done at a time, unless it is called off before."""

    __slots__ = ("action", "due_ms", "is_off")

    def __init__(self, due_ms: float, action: Callable[[], None]) -> None:
        self.due_ms = due_ms
        self.action = action
        self.is_off = False

    def call_off(self) -> None:
        """Do not do it."""
        self.is_off = True


class Agenda:
    """Steps by time, those of one time in the order in which they were put there."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Step]] = []
        self._count = count()

    def put(self, due_ms: float, action: Callable[[], None]) -> Step:
        """Do `action` at `due_ms`."""
        step = Step(due_ms, action)
        heapq.heappush(self._heap, (due_ms, next(self._count), step))
        return step

    def next_due_ms(self) -> float | None:
        """When the first step is due."""
        while self._heap and self._heap[0][2].is_off:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now_ms: float) -> Step | None:
        """The first step that is due, None when none is."""
        due_ms = self.next_due_ms()
        return None if due_ms is None or due_ms > now_ms else heapq.heappop(self._heap)[2]

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()


class Line:
    """One connection as its parts see it.

    What goes out is folded as a client would fold it: `conversation` is what is true about items and usage.
    `now_ms` is the time of what is being done, which may lie before the time at which it is fetched.
    """

    def __init__(self, world: World, ids: Ids, wire: Wire, now_ms: float) -> None:
        self.world = world
        self.ids = ids
        self.wire = wire
        self.agenda = Agenda()
        self.conversation = Conversation()
        self.now_ms = now_ms
        self.started_ms = now_ms
        self.is_over = False
        self.audio_in_ms = 0.0
        self.audio_out_ms = 0.0
        self._billed_s = 1
        self._outbox: deque[Frame | Hangup] = deque()
        self._alterations = alterations(world.quirks, ids.uuid)

    @property
    def is_instant(self) -> bool:
        """Does everything come at once, without the time that speaking takes?"""
        return self.world.pace == "instant"

    @property
    def epoch_ms(self) -> int:
        """The wall clock."""
        return self.world.now_epoch_ms(self.now_ms)

    @property
    def last_item_id(self) -> str | None:
        """The item after which the next one comes."""
        items = self.conversation.items
        return items[-1].id if items else None

    def send(self, *events: Event) -> None:
        """Send events, and take them for true."""
        for event in events:
            self.conversation.receive(realtime_codec.decode(self.send_untold(event)))

    def send_untold(self, event: Event) -> Frame:
        """Send an event that says less than is true: whoever sends it tells the conversation himself.

        Quirks change what goes out, not what is true.
        """
        frame = Frame(to_json(event))
        alter = self._alterations.get(event["type"])
        if alter is None:
            self._put(frame)
        else:
            for altered in alter(event):
                self._put(Frame(to_json(altered)))
        return frame

    def send_as_it_is(self, event: Event) -> None:
        """Send an event that no quirk may change, and take it for true."""
        frame = Frame(to_json(event))
        self._put(frame)
        self.conversation.receive(realtime_codec.decode(frame))

    def _put(self, frame: Frame) -> None:
        if not self.is_over:
            self._outbox.append(frame)

    def send_audio(self, audio: bytes) -> None:
        """Send audio as a binary message."""
        self._put(Frame(audio, is_text=False))
        self.conversation.receive(BinaryAudio(audio))

    def fail(self, failure: Failure, event_id: str | None = None) -> None:
        """Send an `error`."""
        self.send(*self.wire.error(failure, event_id))

    def billable_s(self, *, is_by_clock: bool) -> int:
        """Whole seconds billed on this connection so far, never less than before.

        With turn detection by the clock of the session (or of its audio, when that came faster), else by audio.
        """
        clock_ms = max(self.now_ms - self.started_ms, self.audio_in_ms)
        billed_ms = clock_ms if is_by_clock else self.audio_in_ms + self.audio_out_ms
        self._billed_s = max(self._billed_s, int(billed_ms / 1000))
        return self._billed_s

    def hang_up(self, farewell: Hangup) -> None:
        """End the connection after what was sent so far."""
        if not self.is_over:
            self._outbox.append(farewell)
            self.is_over = True
        self.agenda.clear()

    def after(self, delay_ms: float, action: Callable[[], None]) -> Step:
        """Do `action` in a while."""
        return self.agenda.put(self.now_ms + delay_ms, action)

    def advance(self, now_ms: float) -> None:
        """Do everything that is due up to `now_ms`, each at its own time."""
        while not self.is_over and (step := self.agenda.pop(now_ms)) is not None:
            self.now_ms = max(self.now_ms, step.due_ms)
            step.action()
        self.now_ms = max(self.now_ms, now_ms)

    def next_due_ms(self) -> float | None:
        """When there is something to fetch: at once when something waits."""
        if self._outbox:
            return self.now_ms
        return None if self.is_over else self.agenda.next_due_ms()

    def fetch(self) -> list[Frame | Hangup]:
        """Everything that waits to go out."""
        waiting = list(self._outbox)
        self._outbox.clear()
        return waiting
