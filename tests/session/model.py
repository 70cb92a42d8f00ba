"""Any program of verbs against the emulator in virtual time, and what must be true of a session whatever it was.

A program is a list of acts, each prints as it is written. Every text that is said stands in it once, and the scenario
answers it with words that stand nowhere else: so each reply tells which wish it answers.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc

from tests.session.driving import Talk, run, talking, utterance
from xai_realtime.emulator import Emulator, Quirks
from xai_realtime.emulator.scenario import Prompt, ToolRequest, Turn
from xai_realtime.errors import ConnectionBrokenError, LocalProtocolError
from xai_realtime.frames import Frame
from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.tools import tool
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

__all__ = ["LAST", "Act", "Asked", "Record", "Setting", "answer_to", "perform"]

FRAME_MS = 100
SETTLE_S = 60.0
LAST = "omega"
"""What is said at the end, when everything is quiet: a session that is well answers it."""


@dataclass(frozen=True)
class Setting:
    """What kind of session it is."""

    manual: bool = False
    answers_commits: bool = True
    quirks: tuple[tuple[str, Any], ...] = ()
    backend: str = "asyncio"


@dataclass(frozen=True)
class Act:
    """One step of a program: a verb and what it is given."""

    verb: str
    given: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.verb}({', '.join(f'{name}={value!r}' for name, value in self.given.items())})"


@dataclass
class Asked:
    """A wish for a reply: what was said, and the words of the reply that answers it.

    `epoch` counts the resets before it. `is_sure` is False for what the service may rightly not have heard in full.
    """

    kind: str
    text: str
    answer: str
    epoch: int
    is_sure: bool = True


@dataclass
class Record:
    """What happened in a program, for the laws to look at.

    `said` are the texts that were written, with their epoch; `stops` counts what may have stopped a wish before its
    reply began; `is_mixed` when something else was asked for while functions ran, so that the service answers both in
    an order of its own.
    """

    setting: Setting
    talk: Talk
    asked: list[Asked] = field(default_factory=list)
    said: list[tuple[int, str]] = field(default_factory=list)
    wire: list[tuple[float, str, Any]] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    epoch: int = 0
    stops: int = 0
    cuts: int = 0
    is_mixed: bool = False
    is_quiet: bool = False


class Line(Transport):
    """The emulator's line, with scissors."""

    needs_key = False

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._channels: list[CutChannel] = []

    def cut(self) -> None:
        """Break whatever connection is open."""
        for channel in self._channels:
            channel.cut()

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        """Open a channel that can be cut."""
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        async with self._inner.open(request) as inner:
            channel = CutChannel(inner)
            self._channels.append(channel)
            try:
                yield channel
            finally:
                self._channels.remove(channel)


class CutChannel(Channel):
    """A channel that ends when it is cut, with what was on its way."""

    def __init__(self, inner: Channel) -> None:
        self._inner = inner
        self._is_cut = False
        self._waiting: anyio.CancelScope | None = None

    def cut(self) -> None:
        """Break the line."""
        self._is_cut = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def send(self, frame: Frame) -> None:
        """Send one message, while there is a line."""
        if self._is_cut:
            raise ConnectionBrokenError
        await self._inner.send(frame)

    async def receive(self) -> Frame:
        """The next message, while there is a line."""
        if not self._is_cut:
            with anyio.CancelScope() as self._waiting:
                return await self._inner.receive()
        raise ConnectionBrokenError

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close."""
        await self._inner.aclose(code, reason)


class Performer:
    """Does the acts of a program, one after the other; the microphone and the functions run beside them."""

    def __init__(self, record: Record, line: Line, tasks: anyio.abc.TaskGroup) -> None:
        self.record = record
        self.line = line
        self.tasks = tasks
        self.session = record.talk.session
        self.voices = 0
        self.clears = 0
        self.is_torn = False
        """Was the last turn torn? What is left of it may run into the next one."""
        self.microphone = anyio.Lock()

    @property
    def is_calm(self) -> bool:
        """Does nothing run, wait or sound?"""
        core = self.session._core
        is_free = core.is_ready and core.floor.state == "free" and not core.floor.wishes
        is_done = not (self.voices or core.voice.is_speaking or core.calls.pending or core.desk.out)
        return is_free and is_done and core.user.state in ("quiet", "heard")

    def _note(self, when_busy: str = "queue", is_fetch: bool = False) -> None:
        if not self.is_calm and (is_fetch or any(asked.kind == "fetch" for asked in self.record.asked)):
            self.record.is_mixed = True
        if when_busy == "cancel" and self.session._core.floor.is_busy:
            self.record.stops += 1

    def _ask(self, kind: str, text: str, answer: str) -> Asked:
        is_sure = not (self.record.setting.manual and self.voices)
        asked = Asked(kind, text, answer, self.record.epoch, is_sure)
        self.record.asked.append(asked)
        return asked

    def _said(self, text: str) -> None:
        self.record.said.append((self.record.epoch, text))

    async def send_text(self, text: str, when_busy: str = "queue", respond: bool = True) -> None:
        """Write something; with `respond` it wants an answer."""
        self._note(when_busy)
        await self.session.send_text(text, respond=respond, when_busy=when_busy)  # type: ignore[arg-type]
        self._said(text)
        if respond:
            self._ask("text", text, answer_to(text))

    async def fetch(self, text: str, ms: int, when_busy: str = "queue") -> None:
        """Write something that makes the model call a function, each call of which takes so long."""
        self._note(when_busy, is_fetch=True)
        await self.session.send_text(f"fetch {text}", when_busy=when_busy)  # type: ignore[arg-type]
        self._said(f"fetch {text}")
        self._ask("fetch", f"fetch {text}", answer_to(f"fetch {text}"))

    async def respond(self, text: str, when_busy: str = "queue", interruptible: bool = True) -> None:
        """Ask for a reply that follows these instructions."""
        self._note(when_busy)
        await self.session.respond(instructions=text, interruptible=interruptible, when_busy=when_busy)  # type: ignore[arg-type]
        self._ask("respond", text, f"As told {text}")

    async def say(self, text: str, when_busy: str = "queue", interruptible: bool = True) -> None:
        """Have the agent say something."""
        self._note(when_busy)
        await self.session.say(text, interruptible=interruptible, when_busy=when_busy)  # type: ignore[arg-type]
        self._ask("say", text, text)

    async def speak(self, text: str, waits: bool = True) -> None:
        """Speak a turn into the microphone; without `waits` the program goes on meanwhile."""
        if waits:
            await self._speak(text)
        else:
            self.tasks.start_soon(self._speak, text)
            await anyio.sleep(0)

    async def _speak(self, text: str) -> None:
        self._note()
        self._note_waiting_wishes()
        self.voices += 1
        try:
            async with self.microphone:
                before = self._ears()
                await self.record.talk.stream(utterance(text, 1_200), frame_ms=FRAME_MS)
                is_whole = self._ears() == before
                is_sure = is_whole and not self.is_torn
                self.is_torn = not is_whole
                if self.record.setting.manual:
                    core = self.session._core
                    is_sure &= not (core.floor.is_busy or core.calls.pending)
                    is_sure &= await self._end_turn()
                self._ask("voice", text, answer_to(text)).is_sure = is_sure
                if is_sure:
                    self._said(text)
        finally:
            self.voices -= 1

    def _note_waiting_wishes(self) -> None:
        """By hand, a request commits what was said so far and answers that: those that wait now may come too late."""
        if self.record.setting.manual and not self.is_calm:
            for asked in self.record.asked:
                asked.is_sure = False

    def _ears(self) -> tuple[Any, ...]:
        """What changes when a turn is not heard in one piece: by hand, a request commits what was said so far."""
        requests = self.record.talk.sent_types().count("response.create") if self.record.setting.manual else 0
        return self.session._core.withheld_ms, self.record.epoch, self.clears, requests

    async def _end_turn(self) -> bool:
        try:
            await self.session.end_turn()
        except LocalProtocolError:
            return False
        return True

    async def interrupt(self, clear_input: bool = False, force: bool = False) -> None:
        """Stop the agent."""
        self.clears += clear_input
        if await self.session.interrupt(clear_input=clear_input, force=force):
            self.record.stops += 1
        self.clears += clear_input

    async def pause(self) -> None:
        """Close the microphone for a while."""
        await self.session.pause_input()
        await anyio.sleep(0.5)
        await self.session.resume_input()

    async def update(self, voice: str) -> None:
        """Change the configuration."""
        await self.session.update(voice=voice)

    async def restart(self) -> None:
        """Move to a fresh connection."""
        self.record.cuts += 1
        await self.session.restart()

    async def reset(self) -> None:
        """Begin a new conversation."""
        self.record.epoch += 1
        await self.session.reset()

    async def cut(self) -> None:
        """Break the line."""
        self.record.cuts += 1
        self.line.cut()
        await anyio.sleep(0)

    async def wait(self, ms: int) -> None:
        """Let time pass."""
        await anyio.sleep(ms / 1000)

    async def perform(self, program: list[Act]) -> None:
        """Do all of it, come to rest, and ask one last thing."""
        for act in program:
            try:
                await getattr(self, act.verb)(**act.given)
            except LocalProtocolError:
                assert act.given.get("when_busy") == "raise", f"{act} was refused"
        await self.settle()
        await self.send_text(LAST)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing runs, waits or sounds any more. The bound is far beyond what any program needs."""
        still = 0
        with anyio.move_on_after(SETTLE_S) as scope:
            while still < 4:
                await anyio.sleep(0.5)
                still = still + 1 if self.is_calm else 0
        self.record.is_quiet = not scope.cancelled_caught


def answer_to(text: str) -> str:
    """The words that end the matter of a text: of one that wants functions called, what is said of their outputs."""
    return f"Fetched {' '.join(wanted(text))}" if text.startswith("fetch ") else f"You said {text} and that is all"


def wanted(text: str) -> list[str]:
    """What a text wants to be fetched."""
    return text.removeprefix("fetch ").split(" and ")


def perform(setting: Setting, program: list[Act]) -> Record:
    """Run a program; what happened."""
    records: list[Record] = []
    random.seed(0)

    async def main() -> None:
        await _perform(setting, program, records)

    run(main, setting.backend)
    return records[0]


async def _perform(setting: Setting, program: list[Act], records: list[Record]) -> None:
    runs: list[str] = []
    prompts: list[Prompt] = []
    wire: list[tuple[float, str, Any]] = []
    took_ms: dict[str, int] = {}
    for act in program:
        if act.verb == "fetch":
            took_ms |= dict.fromkeys(wanted(f"fetch {act.given['text']}"), act.given["ms"])

    @tool
    async def fetch(what: str) -> str:
        """Fetch something."""
        runs.append(what)
        await anyio.sleep(took_ms[what] / 1000)
        return what

    def answer(prompt: Prompt) -> Turn | str:
        prompts.append(prompt)
        if prompt.instructions is not None:
            return f"As told {prompt.instructions}"
        if prompt.heard.startswith("fetch "):
            names = wanted(prompt.heard)
            if all(name in runs for name in names):
                return answer_to(prompt.heard)  # a fresh line knows the outputs as history alone
            calls = tuple(ToolRequest("fetch", {"what": name}) for name in names)
            return Turn(say="One moment", calls=calls, then=answer_to(prompt.heard))
        return answer_to(prompt.heard)

    def observe(direction: str, event: Any) -> None:
        wire.append((anyio.current_time() * 1000, direction, event))

    quirks = Quirks(**dict(setting.quirks))
    line = Line(Emulator(answer, seed=1, quirks=quirks, answers_commits=setting.answers_commits).transport())
    options: dict[str, Any] = {"turn_detection": "manual"} if setting.manual else {}
    options["transcription"] = {"model": "grok-transcribe"}
    policy = SessionPolicy(max_queued_turns=1000)
    async with talking(transport=line, tools=[fetch], observer=observe, policy=policy, **options) as talk:
        record = Record(setting, talk, wire=wire, runs=runs, prompts=prompts)
        records.append(record)
        async with anyio.create_task_group() as tasks:
            await Performer(record, line, tasks).perform(program)
