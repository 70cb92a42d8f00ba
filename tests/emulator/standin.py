"""A small engine that stands in for the real one, so that links and servers can be tested by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xai_realtime.emulator.world import World
from xai_realtime.frames import Frame

__all__ = ["Goodbye", "StandIn", "event", "stand_in"]


@dataclass(frozen=True)
class Goodbye:
    """How the stand-in ends a connection."""

    code: int = 1000
    reason: str = ""
    abrupt: bool = False


def event(**fields: Any) -> Frame:
    """A text frame."""
    return Frame(json.dumps(fields, separators=(",", ":")).encode())


class StandIn:
    """Greets, echoes, and does what it is told: `say`, `later`, `close`, `cut`, `raise`, `idle`."""

    def __init__(self, world: World, query: Mapping[str, str], now_ms: float) -> None:
        self.queue: list[tuple[float, Frame | Goodbye]] = []
        self.received: list[Frame] = []
        self.gone_ms: float | None = None
        self.lost: list[Frame] = []
        self.taken_ms: list[float] = []
        self.idle_until_ms: float | None = None
        self.put(now_ms, event(type="session.created", session={"id": world.ids.hex(), "model": query.get("model")}))

    def put(self, at_ms: float, what: Frame | Goodbye) -> None:
        self.queue.append((at_ms, what))
        self.queue.sort(key=lambda entry: entry[0])

    def receive(self, frame: Frame, now_ms: float) -> None:
        self.received.append(frame)
        parsed = json.loads(frame.data) if frame.is_text else None
        told: dict[str, Any] = parsed if isinstance(parsed, dict) else {"do": "say"}
        match told.get("do"):
            case "later":
                self.put(now_ms + told["ms"], event(type="later", at_ms=now_ms))
            case "close":
                self.put(now_ms, Goodbye(told["code"], told.get("reason", "")))
            case "cut":
                self.put(now_ms, Goodbye(abrupt=True))
            case "raise":
                raise RuntimeError("planted")
            case "idle":
                self.idle_until_ms = now_ms + told["ms"]
            case "nothing":
                pass
            case "many":
                for number in range(told["count"]):
                    self.put(now_ms, event(type="many", number=number, padding="x" * told.get("bytes", 0)))
            case _:
                kind = "text" if frame.is_text else "binary"
                self.put(now_ms, frame if not frame.is_text else event(type="echo", kind=kind, bytes=len(frame.data)))

    def next_due_ms(self) -> float | None:
        times = [at_ms for at_ms, _ in self.queue[:1]]
        if self.idle_until_ms is not None:
            times.append(0.0)
        return min(times, default=None)

    def take(self, now_ms: float) -> list[Frame | Goodbye]:
        self.taken_ms.append(now_ms)
        if self.idle_until_ms is not None and now_ms >= self.idle_until_ms:
            self.idle_until_ms = None
        due = [what for at_ms, what in self.queue if at_ms <= now_ms]
        self.queue = [entry for entry in self.queue if entry[0] > now_ms]
        return due

    def disconnected(self, now_ms: float, lost: Sequence[Frame]) -> None:
        self.gone_ms = now_ms
        self.lost = list(lost)


def stand_in() -> tuple[list[StandIn], Any]:
    """The stand-ins made so far, and what makes them: a value for `sockets`."""
    made: list[StandIn] = []

    def make(world: World, query: Mapping[str, str], now_ms: float) -> StandIn:
        made.append(StandIn(world, query, now_ms))
        return made[-1]

    return made, make
