"""Recordings driven through the core of a session: the server's messages at their times, without a line.

What the recorded client did is done by the session itself where a function was called; the rest of it is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from xai_realtime.cassette.records import CloseRecord, FrameRecord, OpenRecord
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.codec import realtime_codec
from xai_realtime.frames import Frame
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.session import SessionCore, SessionSetup
from xai_realtime.protocol.session_events import SessionEvent
from xai_realtime.realtime.config import SessionConfig

__all__ = ["Driven", "Moment", "core_of", "drive", "server_event", "tape_moments", "yaml_moments"]

E = TypeVar("E")
STEP_MS = 25.0
"""Between the messages of a recording that does not tell its times."""


@dataclass(frozen=True)
class Moment:
    """One thing that happened on the wire."""

    at_ms: float
    kind: Literal["open", "in", "out", "close"]
    value: Any = None


def server_event(value: dict[str, Any] | Frame) -> Any:
    """The event of a JSON value, as it is received."""
    return realtime_codec.decode(value if isinstance(value, Frame) else Frame(json.dumps(value).encode()))


def yaml_moments(path: Path) -> Iterator[Moment]:
    """The moments of a recording in YAML. It does not tell when a connection opens: before the next message."""
    is_open, now_ms = False, 0.0
    for entry in yaml.safe_load(path.read_text())["interactions"]:
        now_ms += STEP_MS
        if entry["kind"] == "close":
            is_open = False
            yield Moment(now_ms, "close")
            continue
        if not is_open:
            is_open = True
            yield Moment(now_ms, "open")
        yield Moment(now_ms, "in" if entry["direction"] == "received" else "out", entry["data"])


def tape_moments(path: Path) -> Iterator[Moment]:
    """The moments of a tape."""
    tape = load_cassette(path)
    for record in tape.records:
        if isinstance(record, OpenRecord):
            yield Moment(record.at_ms, "open")
        elif isinstance(record, CloseRecord):
            yield Moment(record.at_ms, "close")
        elif isinstance(record, FrameRecord):
            frame = tape.frame(record)
            yield Moment(record.at_ms, record.direction, frame if record.direction == "in" else json.loads(frame.data))


def core_of(config: SessionConfig | None = None, policy: SessionPolicy | None = None) -> SessionCore:
    """The core of a session, without anything around it."""
    config = config or SessionConfig()
    setup = SessionSetup(
        config.to_update, config.input_format, config.output_format, config.model, is_manual=config.is_manual
    )
    numbers = iter(range(1, 10_000))
    return SessionCore(
        setup,
        policy or SessionPolicy(),
        mint=lambda: f"own_{next(numbers)}",
        is_server_tool=lambda name: False,
        stops_on_interrupt=lambda name: False,
    )


class Driven:
    """A core after a recording: what it told, what it wanted to send."""

    def __init__(self, core: SessionCore) -> None:
        self.core = core
        self.told: list[SessionEvent] = []
        self.sent: list[Any] = []

    def collect(self) -> None:
        """Take what the core has told and sent."""
        desk = self.core.desk
        self.told += desk.told
        self.sent += desk.out
        desk.told.clear()
        desk.out.clear()

    def wait(self, until_ms: float) -> None:
        """Let time pass."""
        while (due_ms := self.core.next_due_ms()) is not None and due_ms <= until_ms:
            self.core.tick(due_ms)
            self.collect()

    def of(self, kind: type[E]) -> list[E]:
        """What was told of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def sent_of(self, kind: type[E]) -> list[E]:
        """What was sent of one kind."""
        return [event for event in self.sent if isinstance(event, kind)]


def drive(moments: Iterable[Moment], policy: SessionPolicy | None = None) -> Driven:
    """Drive a session over a recording, to a minute after its end."""
    core = core_of(policy=policy)
    driven = Driven(core)
    now_ms = 0.0
    for moment in moments:
        now_ms = moment.at_ms
        driven.wait(now_ms)
        if moment.kind == "open":
            core.opened(now_ms)
        elif moment.kind == "close":
            core.lost(now_ms, "connection_lost")
        elif moment.kind == "in":
            core.receive(server_event(moment.value), now_ms)
        elif moment.value["type"] == "conversation.item.create":
            _answer(core, moment.value["item"])
        driven.collect()
    driven.wait(now_ms + 60_000)
    return driven


def _answer(core: SessionCore, item: dict[str, Any]) -> None:
    """The recorded client answers a call: so does the function of this session, which must be running."""
    if item["type"] != "function_call_output":
        return
    running = [call.call_id for call in core.desk.calls]
    assert item["call_id"] in running, f"{item['call_id']} was answered in the recording, and does not run here"
    core.calls.finished(item["call_id"], item["output"], is_error=False, responds=True)
