"""A session's core without I/O, fed with what a server might say: for orders of events that none sends on wish.

talk = Bare()
talk.begin("r1").item("r1", "i1").audio("r1", "i1", 200)
talk.at(150)
"""

from __future__ import annotations

import base64
import json
from itertools import count
from typing import Any, Self, TypeVar

from xai_realtime import SessionPolicy
from xai_realtime.audio import audio_format
from xai_realtime.codec import realtime_codec
from xai_realtime.events import realtime as wire
from xai_realtime.frames import Frame
from xai_realtime.protocol.session import SessionCore, SessionSetup
from xai_realtime.protocol.session_events import SessionEvent

__all__ = ["Bare"]

E = TypeVar("E")
BYTES_PER_MS = 48


def update() -> wire.SessionUpdate:
    """A configuration that says nothing."""
    return wire.SessionUpdate(session=wire.SessionConfig())


class Bare:
    """A core that is ready. `told` and `sent` are taken off its desk as things happen."""

    def __init__(self, policy: SessionPolicy | None = None, *, is_manual: bool = False, encoding: str = "pcm") -> None:
        numbers = count(1)
        form = audio_format(encoding)
        self.setup = SessionSetup(update, form, form, is_manual=is_manual)
        self.core = SessionCore(
            self.setup,
            policy or SessionPolicy(),
            mint=lambda: f"own-{next(numbers)}",
            is_server_tool=lambda name: False,
            stops_on_interrupt=lambda name: False,
        )
        self.now_ms = 0.0
        self.told: list[SessionEvent] = []
        self.sent: list[Any] = []
        self.connect()

    def connect(self) -> Self:
        """A connection that is configured."""
        self.core.opened(self.now_ms)
        self.event("session.created", session={})
        self.event("session.updated", session={})
        return self

    def lose(self, reason: str = "connection_lost") -> Self:
        """The connection is gone, and another one takes its place."""
        self.core.lost(self.now_ms, reason)
        return self._collect().connect()

    def event(self, kind: str, **fields: Any) -> Self:
        """The server says something."""
        frame = Frame(json.dumps({"type": kind, "event_id": "e", **fields}).encode())
        self.core.receive(realtime_codec.decode(frame), self.now_ms)
        return self._collect()

    def at(self, now_ms: float) -> Self:
        """Time goes on until then, and what is due meanwhile is done at its time."""
        while (due_ms := self.core.next_due_ms()) is not None and due_ms <= now_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.core.tick(self.now_ms)
            self._collect()
        self.now_ms = now_ms
        return self

    def done(self) -> Self:
        """Something was called on the core: take what came of it."""
        return self._collect()

    def _collect(self) -> Self:
        self.told.extend(self.core.desk.told)
        self.sent.extend(self.core.desk.out)
        self.core.desk.told.clear()
        self.core.desk.out.clear()
        return self

    def begin(self, response_id: str) -> Self:
        """A response begins."""
        return self.event("response.created", response={"id": response_id, "status": "in_progress"})

    def item(self, response_id: str, item_id: str) -> Self:
        """It begins to say something."""
        stated = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        return self.event("response.output_item.added", response_id=response_id, output_index=0, item=stated)

    def audio(self, response_id: str, item_id: str, duration_ms: int) -> Self:
        """Sound of it."""
        delta = base64.b64encode(bytes(duration_ms * BYTES_PER_MS)).decode()
        ids = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        return self.event("response.output_audio.delta", delta=delta, **ids)

    def words(self, response_id: str, item_id: str, text: str, start_s: float) -> Self:
        """Words of it."""
        ids = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        return self.event("response.output_audio_transcript.delta", delta=text, start_time=start_s, **ids)

    def end(self, response_id: str, status: str = "completed") -> Self:
        """The response is over."""
        return self.event("response.done", response={"id": response_id, "status": status, "output": []})

    def of(self, kind: type[E]) -> list[E]:
        """What was told of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def sent_of(self, kind: type[E]) -> list[E]:
        """What was sent of one kind."""
        return [event for event in self.sent if isinstance(event, kind)]
