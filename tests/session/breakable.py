"""A session whose line breaks when the test says so, in virtual time, and what each of its connections was sent.

async with breakable({"hello": "Hello there"}) as (talk, line):
    line.cut()
    await talk.next(Reconnected)
    assert line.kinds(2) == [...]
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from tests.session.driving import Talk, scripted, talking
from xai_realtime import Reconnect, SessionPolicy
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ConnectionBrokenError, ConnectionClosedError
from xai_realtime.events._base import decode_audio
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

__all__ = ["AT_ONCE", "Line", "breakable", "seeded"]

AT_ONCE = Reconnect(first_delay_s=0)
"""No waiting, so that times are exact."""
MICROPHONE = ("input_audio_buffer.append", "(binary)")


class Line(Transport):
    """A line over another transport. `refusals` are raised by the next opens, each of which takes `delay_s`.

    Frames take `latency_s` each way; what is under way when the line is cut never arrives. `requests` are the
    handshakes with their times in `opened_s`, `sent` what each connection was given. The line drops by itself once a
    connection was given `cuts_after` frames; a `stalled` one passes nothing on.
    """

    needs_key = False

    def __init__(self, inner: Transport, latency_s: float = 0.0) -> None:
        self._inner = inner
        self.latency_s = latency_s
        self.delay_s = 0.0
        self.refusals: deque[Exception] = deque()
        self.requests: list[ChannelRequest] = []
        self.opened_s: list[float] = []
        self.sent: list[list[dict[str, Any]]] = []
        self.cuts_after: int | None = None
        self.current: Wire | None = None

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        """Open a channel, or raise the next refusal."""
        self.requests.append(request)
        self.opened_s.append(anyio.current_time())
        await anyio.sleep(self.delay_s)
        if self.refusals:
            raise self.refusals.popleft()
        raised: BaseException | None = None
        async with self._inner.open(request) as channel, anyio.create_task_group() as tasks:
            self.sent.append([])
            self.current = Wire(channel, self.sent[-1], self)
            tasks.start_soon(self.current.carry_down)
            tasks.start_soon(self.current.carry_up)
            try:
                yield self.current
            except Exception as error:  # noqa: BLE001 - the task group would wrap it
                raised = error
            tasks.cancel_scope.cancel()
        if raised is not None:
            raise raised

    def cut(self, error: Exception | None = None) -> None:
        """End the connection, without a close unless told otherwise."""
        assert self.current is not None
        self.current.end(error or ConnectionBrokenError(None, "cut"))

    def stall(self) -> None:
        """Let nothing pass any more on this connection."""
        assert self.current is not None
        self.current.is_stalled = True

    def kinds(self, connection: int) -> list[str]:
        """The types of what a connection was sent, microphone audio left out. Connections count from 1."""
        return [event["type"] for event in self.sent[connection - 1] if event["type"] not in MICROPHONE]

    def items(self, connection: int) -> list[dict[str, Any]]:
        """The items that a connection was told."""
        return [event["item"] for event in self.sent[connection - 1] if event["type"] == "conversation.item.create"]

    def audio(self, connection: int) -> bytes:
        """The microphone audio that a connection was sent."""
        return b"".join(
            event["audio"] if event["type"] == "(binary)" else decode_audio(event["audio"])
            for event in self.sent[connection - 1]
            if event["type"] in MICROPHONE
        )


class Wire(Channel):
    """One connection of a line."""

    def __init__(self, inner: Channel, sent: list[dict[str, Any]], line: Line) -> None:
        self._inner = inner
        self._sent = sent
        self._line = line
        self._error: Exception | None = None
        self._up: deque[tuple[float, Frame]] = deque()
        self._down: deque[tuple[float, Frame]] = deque()
        self._news = anyio.Event()
        self.is_stalled = False

    def end(self, error: Exception) -> None:
        """It is over, at both ends, and what is under way is lost."""
        self._up.clear()
        self._down.clear()
        self._close(error)

    def _close(self, error: Exception) -> None:
        self._error = self._error or error
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def send(self, frame: Frame) -> None:
        if self._error is None and self._line.cuts_after == len(self._sent):
            self._line.cuts_after = None
            self.end(ConnectionBrokenError(None, "cut"))
        if self._error is not None:
            raise self._error
        told = json.loads(frame.data) if frame.is_text else {"type": "(binary)", "audio": frame.data}
        self._sent.append(told)
        self._up.append((anyio.current_time() + self._line.latency_s, frame))
        self._tell()
        await anyio.lowlevel.checkpoint()

    async def carry_up(self) -> None:
        while self._error is None:
            if not self._up or self.is_stalled:
                await self._news.wait()
                continue
            due_s, frame = self._up[0]
            await anyio.sleep_until(due_s)
            if self._up and not self.is_stalled:
                self._up.popleft()
                with suppress(ConnectionClosedError):
                    await self._inner.send(frame)

    async def carry_down(self) -> None:
        try:
            while True:
                frame = await self._inner.receive()
                self._down.append((anyio.current_time() + self._line.latency_s, frame))
                self._tell()
        except ConnectionClosedError as closed:
            self._close(closed)

    async def receive(self) -> Frame:
        while True:
            if self._down and not self.is_stalled:
                due_s, frame = self._down[0]
                if due_s <= anyio.current_time():
                    self._down.popleft()
                    return frame
                with anyio.move_on_after(due_s - anyio.current_time()):
                    await self._news.wait()
            elif self._error is not None:
                raise self._error
            else:
                await self._news.wait()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        await self._inner.aclose(code, reason)


@asynccontextmanager
async def breakable(
    scenario: Any = None, *, emulator: Emulator | None = None, policy: SessionPolicy | None = None, **options: Any
) -> AsyncIterator[tuple[Talk, Line]]:
    """A session over such a line; `options` are those of `talking`."""
    if isinstance(scenario, Mapping):
        scenario = scripted(scenario)
    line = Line((emulator or Emulator(scenario, seed=1)).transport())
    given = policy or SessionPolicy(reconnect=AT_ONCE)
    async with talking(transport=line, policy=given, **options) as talk:
        yield talk, line


def seeded(line: Line, connection: int) -> list[tuple[str, str]]:
    """The items that a connection was told, in short: who, and what."""
    told = []
    for item in line.items(connection):
        if item["type"] == "message":
            told.append((item["role"], item["content"][0]["text"]))
        else:
            told.append((item["type"], item.get("output") or item.get("arguments") or ""))
    return told
