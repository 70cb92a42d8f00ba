"""Calls of functions under test: scenarios that make them, tools that answer, and a core driven event by event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from tests.session.driving import Talk, run, talking
from xai_realtime import SessionPolicy
from xai_realtime.audio import audio_format
from xai_realtime.emulator import Emulator, Quirks, ToolRequest, Turn
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.desk import HeldAudio
from xai_realtime.protocol.session import SessionCore, SessionSetup
from xai_realtime.protocol.session_events import ResponseDone, ToolCalled, ToolFinished
from xai_realtime.protocol.tool_ledger import Call
from xai_realtime.tools import Tool, as_tool, tool

__all__ = [
    "ARGUMENTS_DONE",
    "Core",
    "announces",
    "asking",
    "call_id_of",
    "called_back",
    "continuations",
    "outputs",
    "recorded",
    "slow",
    "without_calls",
]

ARGUMENTS_DONE = wire.ResponseFunctionCallArgumentsDone
ANNOUNCEMENTS = (wire.ResponseFunctionCallArgumentsDelta, ARGUMENTS_DONE)
ITEMS = (wire.ResponseOutputItemAdded, wire.ResponseOutputItemDone, wire.ConversationItemAdded)
PCM = audio_format("pcm", 24_000)


def asking(*calls: str | ToolRequest, say: str | None = None, then: str | None = "It is {output}") -> dict[str, Turn]:
    """A scenario that answers `go` with these calls."""
    requests = tuple(ToolRequest(call) if isinstance(call, str) else call for call in calls)
    return {"go": Turn(say=say, calls=requests, then=then)}


def slow(name: str, seconds: float, output: Any = None, **options: Any) -> Tool[..., Any]:
    """A tool that takes so long, and gives `<name> output` unless told otherwise."""

    async def function() -> Any:
        await anyio.sleep(seconds)
        return f"{name} output" if output is None else output

    return tool(name=name, description="A tool.", **options)(function)


def outputs(talk: Talk) -> list[tuple[str, str]]:
    """The outputs that were sent: call ids and texts."""
    items = [sent.item for sent in talk.sent_of(wire.ConversationItemCreate)]
    return [(item.call_id, item.output) for item in items if isinstance(item, wire.FunctionCallOutputItem)]


def continuations(talk: Talk) -> int:
    """How many replies were asked for after the first output."""
    kinds = [_kind(event) for event in talk.sent]
    return kinds[kinds.index("output") :].count("response.create") if "output" in kinds else 0


async def called_back(talk: Talk, calls: int = 1) -> None:
    """Say `go`, and wait until the reply about the outputs is over."""
    await talk.session.send_text("go")
    for _ in range(calls):
        await talk.next(ToolFinished)
    await talk.until(lambda: len(talk.of(ResponseDone)) >= 2)


def _kind(event: Any) -> str:
    item = getattr(event, "item", None)
    return "output" if isinstance(item, wire.FunctionCallOutputItem) else str(getattr(event, "type", event))


def recorded(scenario: Mapping[str, Turn], names: Sequence[str], quirks: Quirks | None = None) -> Recording:
    """One text turn with its calls and the reply about them, as the emulator sends it to a session."""

    async def main() -> Recording:
        tools = [as_tool(slow(name, 0)) for name in names]
        emulator = Emulator(lambda prompt: scenario.get(prompt.heard), seed=1, quirks=quirks)
        async with talking(emulator=emulator, tools=tools) as talk:
            await called_back(talk, len(names))
            minted = [str(sent.item.id) for sent in talk.sent_of(wire.ConversationItemCreate)]
            start = next(n for n, event in enumerate(talk.received) if isinstance(event, wire.ResponseCreated))
            return Recording(talk.received[start:], minted)

    found: Recording = run(main, "asyncio")
    return found


@dataclass(frozen=True)
class Recording:
    """What came of the server from the first `response.created` on, and the ids of the items the session made."""

    events: list[Any]
    minted: list[str]

    @property
    def first_reply(self) -> list[Any]:
        """The events of the reply that calls, its end included."""
        return self.events[: self.over + 1]

    @property
    def over(self) -> int:
        """The place of its `response.done`."""
        return next(n for n, event in enumerate(self.events) if isinstance(event, wire.ResponseDone))


def call_id_of(event: Any) -> str | None:
    """The call that an event announces, None when it announces none (or may announce several, as the end does)."""
    if isinstance(event, ANNOUNCEMENTS):
        return str(event.call_id)
    is_call = isinstance(event, ITEMS) and event.item.type == "function_call"
    return event.item.call_id if is_call else None


def announces(event: Any) -> bool:
    """Does an event announce a call, on its own or at the end of a reply?"""
    if isinstance(event, wire.ResponseDone):
        return any(item.type == "function_call" for item in event.response.output or ())
    return call_id_of(event) is not None


def without_calls(done: wire.ResponseDone) -> wire.ResponseDone:
    """The end of a reply that says nothing of its calls."""
    return done.model_copy(update={"response": done.response.model_copy(update={"output": []})})


@dataclass
class Core:
    """A session's core that is ready and, unless `asks` is False, asked for one reply.

    Functions that it wants run come back at once with `erg`, unless `holds`; then `finish` ends them. `ran` are call
    ids, `sent` the names of what was sent since, microphone audio left out.
    """

    minted: Iterable[str] = ()
    holds: bool = False
    asks: bool = True
    policy: SessionPolicy = field(default_factory=SessionPolicy)
    stoppable: tuple[str, ...] = ()
    ran: list[str] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    sent: list[Any] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    now_ms: float = 0.0
    _running: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        ids = iter([*self.minted, *(f"own-{number}" for number in range(100))])
        self.core = SessionCore(
            SessionSetup(lambda: {"type": "session.update"}, PCM, PCM),
            self.policy,
            mint=lambda: next(ids),
            is_server_tool=lambda name: name == "web_search",
            stops_on_interrupt=lambda name: name in self.stoppable,
        )
        self.connect()
        if self.asks:
            self.core.text("go", "user", responds=True, when_busy="queue", now_ms=0)
        self.settle()
        self.sent.clear()

    def connect(self) -> None:
        """A connection opens and is configured."""
        self.core.opened(self.now_ms)
        session = wire.Session.model_construct()
        self.feed(wire.SessionUpdated.model_construct(type="session.updated", session=session))

    def feed(self, *events: Any) -> None:
        """Events come, 10 ms apart."""
        for event in events:
            self.now_ms += 10
            self.core.receive(event, self.now_ms)
            self.settle()

    def settle(self) -> None:
        """Run what is to be run, and take what is to be sent."""
        desk = self.core.desk
        while desk.calls:
            call = desk.calls.pop(0)
            self.ran.append(call.call_id)
            self.arguments[call.call_id] = call.arguments
            self._running.append(call)
        if not self.holds:
            self.finish()
        self.stops.extend(desk.stops)
        desk.stops.clear()
        self.sent.extend(_kind(event) for event in desk.out if not isinstance(event, HeldAudio))
        desk.out.clear()

    def finish(self, *, responds: bool = True) -> None:
        """All functions that run come back."""
        running, self._running = self._running, []
        for call in running:
            self.core.desk.now_ms = self.now_ms
            self.core.calls.finished(call.call_id, "erg", is_error=False, responds=responds)
        if running:
            self.settle()

    @property
    def told(self) -> Counter[str]:
        """How often each kind of event was told."""
        return Counter(type(event).__name__ for event in self.core.desk.told)

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind that were told."""
        return [event for event in self.core.desk.told if isinstance(event, kind)]

    def check_once(self, calls: Iterable[str]) -> None:
        """Each call ran once and was answered once, and one request followed the last output."""
        expected = sorted(calls)
        assert sorted(self.ran) == expected, f"ran {self.ran}"
        assert [told.call_id for told in self.of(ToolCalled)] == self.ran
        assert sorted(told.call_id for told in self.of(ToolFinished)) == expected
        assert self.sent == ["output"] * len(expected) + ["response.create"], self.sent
