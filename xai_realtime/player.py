"""Plays a whole tape through the typed client. In: a tape and a transport. Out: what was said, and how it ended.

Every outgoing frame of the tape is sent as the typed event it is, at its time; every answer is decoded, by the events
of the service that its connection speaks with. Realtime conversations are folded.
Imports: all rooms below.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup

from xai_realtime.cassette._json import dump_json, is_equal, parse_exact, parse_json
from xai_realtime.cassette._steps import append_audio
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.recording import RecordingTransport
from xai_realtime.cassette.records import FrameRecord, HttpRequestRecord, MarkRecord, OpenRecord
from xai_realtime.cassette.redaction import Rule
from xai_realtime.cassette.replay import Clock, ReplayReport, ReplayTransport, replay
from xai_realtime.cassette.services import CODECS, service_of
from xai_realtime.cassette.tape import Cassette, TapedConnection, TapedExchange
from xai_realtime.chat.taped import (
    ChatTape,
    TapedChat,
    chat_calls,
    chat_content,
    chat_items,
    chat_transcripts,
    chat_usage,
)
from xai_realtime.codec import encode_audio_append
from xai_realtime.digest import digest
from xai_realtime.errors import ConnectionClosedError, HandshakeError, TransportError
from xai_realtime.events import BinaryAudio, InvalidEvent, UnknownEvent, stt, tts
from xai_realtime.frames import Frame
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.realtime.connection import RealtimeConnection, ReceivedEvent
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, Transport

__all__ = ["Moment", "Playback", "PlayedEvent", "play"]

SEND_BEFORE_S: Final = 1e-7
"""A send is made this much before its time, as frames are read: a task that wakes at that time finds it made."""
MARK_BEFORE_S: Final = 2e-7
"""A mark is put this much before its time, so that it comes before a frame of the same time."""

Observer: TypeAlias = Callable[["Moment"], None]
PlayedEvent: TypeAlias = ReceivedEvent | stt.ServerEvent | tts.ServerEvent
"""What a connection of a tape may receive."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One event as it passed: `direction` is `in` or `out`, `at_ms` the tape's time, `frame` the message."""

    conn: int
    at_ms: float
    direction: Literal["in", "out"]
    event: PlayedEvent | dict[str, Any]
    frame: Frame


@dataclass(slots=True)
class Playback:
    """What playing a tape gave: counts, one folded conversation a connection, the chats, and the report of the replay.

    The conversation of a connection that is not realtime stays empty.
    """

    cassette: Cassette
    replay: ReplayReport | None = None
    conversations: list[Conversation] = field(default_factory=list)
    chats: list[TapedChat] = field(default_factory=list)
    unknown_events: int = 0
    invalid_events: int = 0
    untyped_sends: int = 0
    wall_ms: float = 0.0

    @property
    def digest(self) -> str:
        """The digest of the conversations and chats."""
        return digest(self.conversations, map(chat_content, self.chats))

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        report = self.replay
        return {
            "cassette": self.cassette.path.name,
            "origin": self.cassette.header.origin,
            "connections": report.connections if report else 0,
            "received": report.received if report else 0,
            "sent": report.sent if report else 0,
            "requests": report.requests if report else 0,
            "unknown_events": self.unknown_events,
            "invalid_events": self.invalid_events,
            "unread": len(report.unread) if report else 0,
            "unsent": len(report.unsent) if report else 0,
            "wall_ms": round(self.wall_ms, 3),
            "tape_ms": self.cassette.tape_ms,
            "digest": self.digest,
            "items": [
                {
                    "id": item.id,
                    "kind": item.kind,
                    "role": item.role,
                    "status": item.status,
                    "text": item.text,
                    "name": item.name,
                    "arguments": item.arguments.text or None,
                    "output": item.output,
                    "audio_bytes": item.audio_bytes,
                    "audio_sha256": item.audio_sha256,
                }
                for conversation in self.conversations
                for item in conversation.items
            ]
            + [item for chat in self.chats for item in chat_items(chat)],
            "tool_calls": [
                {"call_id": call.call_id, "name": call.name, "arguments": call.arguments, "output": call.output}
                for conversation in self.conversations
                for call in conversation.tool_calls
            ]
            + chat_calls(self.chats),
            "transcripts": [
                {"role": role, "text": text}
                for conversation in self.conversations
                for role, text in conversation.transcripts()
            ]
            + [{"role": role, "text": text} for chat in self.chats for role, text in chat_transcripts(chat)],
            "usage": _usage(self.conversations, self.chats),
        }


async def play(
    cassette: Cassette,
    *,
    clock: Clock = "instant",
    scale: float = 1.0,
    policy: MatchPolicy | None = None,
    secrets: Iterable[str] = (),
    rules: Iterable[Rule] = (),
    around: Callable[[ReplayTransport], Transport] | None = None,
    observer: Observer | None = None,
) -> Playback:
    """Play a tape through the typed client and check it as it goes.

    `clock`, `scale`, `policy`, `secrets` and `rules` as in `replay`; `around` may wrap the replay in another
    transport (a recording, a fault); `observer` is called with every event. Raises what the replay raises
    (ReplayMismatchError, ReplayIncompleteError, ...). Cancelling is safe: nothing is left open.
    """
    started = time.perf_counter()
    playback = Playback(cassette)
    taped = replay(cassette, clock=clock, scale=scale, policy=policy, secrets=secrets, rules=rules)
    transport = taped if around is None else around(taped)
    try:
        async with transport:
            player = _Player(playback, transport, 0.0 if clock == "instant" else scale, observer)
            try:
                async with anyio.create_task_group() as group:
                    player.start(group)
            finally:
                player.read_chats()
    except BaseExceptionGroup as failures:
        raise _first_failure(failures) from None
    finally:
        playback.replay = taped.report()
        playback.wall_ms = (time.perf_counter() - started) * 1000
    return playback


class _Player:
    """One task a connection or HTTP exchange: they begin in the order of the tape, each after those that had ended."""

    def __init__(self, playback: Playback, transport: Transport, scale: float, observer: Observer | None) -> None:
        self._playback = playback
        self._transport = transport
        self._scale = scale
        self._observer = observer
        cassette = playback.cassette
        talks: list[TapedConnection | TapedExchange] = [*cassette.connections.values(), *cassette.exchanges.values()]
        self._talks = sorted(talks, key=lambda taped: _first(taped).line)
        self._conversations = {conn: Conversation() for conn in cassette.connections}
        playback.conversations = list(self._conversations.values())
        self._zero = anyio.current_time() - (_first(self._talks[0]).at_ms / 1000 * scale if self._talks else 0.0)
        self._begun = [anyio.Event() for _ in talks]
        self._ended = [anyio.Event() for _ in talks]
        self._pieces: dict[int, list[tuple[float, bytes]]] = {}

    def start(self, group: TaskGroup) -> None:
        for index in range(len(self._talks)):
            group.start_soon(self._run, index)

    def read_chats(self) -> None:
        """Read what was answered over HTTP, as far as it came, in the order of the requests."""
        tape, playback = ChatTape(), self._playback
        for taped in self._talks:
            chat = tape.read(taped, self._pieces.get(taped.conn, ())) if isinstance(taped, TapedExchange) else None
            if chat is not None:
                playback.chats.append(chat)
                playback.invalid_events += chat.invalid_events

    async def until(self, at_ms: float, before_s: float = 0.0) -> None:
        """Wait for a time of the tape."""
        if self._scale:
            await anyio.sleep_until(self._zero + at_ms / 1000 * self._scale - before_s)

    async def _run(self, index: int) -> None:
        taped = self._talks[index]
        if index:
            await self._begun[index - 1].wait()
        for earlier in range(index):
            if _last_line(self._talks[earlier]) < _first(taped).line:
                await self._ended[earlier].wait()
        await self.until(_first(taped).at_ms)
        try:
            if isinstance(taped, TapedExchange):
                await self._ask(taped, self._begun[index])
            else:
                await self._call(taped, self._begun[index])
        finally:
            self._begun[index].set()
            self._ended[index].set()

    async def _call(self, taped: TapedConnection, begun: anyio.Event) -> None:
        try:
            service = service_of(self._playback.cassette.header.service, taped.open.url) or "realtime"
            async with self._transport.open(ChannelRequest(taped.open.url or "", service)) as channel:
                begun.set()
                conversation = self._conversations[taped.conn]
                call = _Call(self, taped, channel, self._playback, conversation, service, self._observer)
                async with anyio.create_task_group() as group:
                    group.start_soon(call.read)
                    await call.say(self._marks(taped), self._transport)
        except HandshakeError:
            if taped.open.status == 101:
                raise

    async def _ask(self, taped: TapedExchange, begun: anyio.Event) -> None:
        """Ask again what the tape asked over HTTP, and read the answer as far as the tape read it."""
        record, left = taped.request, taped.done is not None and taped.done.error == "client"
        body = self._playback.cassette.request_body(record)
        content = body if isinstance(body, bytes) else b"" if body is None else _text_of(body)
        request = HttpRequest(record.method, record.url, record.headers, content)
        begun.set()
        pieces = self._pieces[taped.conn] = []
        chunks, marks = taped.chunks, deque(self._marks(taped))
        try:
            async with self._transport.request(request) as response:
                if not (left and not chunks):
                    async for piece in response:
                        pieces.append((chunks[len(pieces)].at_ms if len(pieces) < len(chunks) else record.at_ms, piece))
                        if left and len(pieces) == len(chunks):
                            break
                        await self._mark(marks, chunks[len(pieces)].line if len(pieces) < len(chunks) else None)
                if left and taped.done is not None:
                    await self._mark(marks, taped.done.line)
                    await self.until(taped.done.at_ms)
        except TransportError:
            if taped.done is None or taped.done.error in (None, "client"):
                raise
        await self._mark(marks, None if taped.done is None else math.inf)

    async def _mark(self, marks: deque[MarkRecord], before: float | None) -> None:
        """Put the marks that stand before a line of the tape, each at its time."""
        while marks and before is not None and marks[0].line < before:
            mark = marks.popleft()
            await self.until(mark.at_ms, MARK_BEFORE_S)
            if isinstance(self._transport, RecordingTransport):
                self._transport.mark(mark.label)

    def _marks(self, taped: TapedConnection | TapedExchange) -> list[MarkRecord]:
        """The marks made while this connection or request was the newest."""
        if not isinstance(self._transport, RecordingTransport):
            return []
        first = _first(taped).line
        last = min((line for other in self._talks if (line := _first(other).line) > first), default=math.inf)
        return [
            record
            for record in self._playback.cassette.records
            if isinstance(record, MarkRecord) and first < record.line < last
        ]


class _Call:
    """One connection of the tape, played: a reader, and a speaker that keeps to the tape's order and time."""

    def __init__(
        self,
        player: _Player,
        taped: TapedConnection,
        channel: Channel,
        playback: Playback,
        conversation: Conversation,
        service: str,
        observer: Observer | None,
    ) -> None:
        self._player = player
        self._taped = taped
        self._channel = channel
        self._codec = CODECS[service]
        self._connection = RealtimeConnection(channel, self._codec)
        self._playback = playback
        self._conversation = conversation
        self._observer = observer
        self._read = 0
        self._is_over = False
        self._changed = anyio.Event()

    async def read(self) -> None:
        while True:
            try:
                event: PlayedEvent = await self._connection.receive()
            except ConnectionClosedError:
                self._is_over = True
                self._changed.set()
                return
            self._read += 1
            self._playback.unknown_events += isinstance(event, UnknownEvent)
            self._playback.invalid_events += isinstance(event, InvalidEvent)
            self._conversation.receive(event)
            frame = self._connection.last_frame
            if self._observer is not None and frame is not None:
                self._observer(Moment(self._taped.conn, frame.at_ms or 0.0, "in", event, frame))
            self._changed.set()
            self._changed = anyio.Event()

    async def say(self, marks: Sequence[MarkRecord], transport: Transport) -> None:
        inbound = 0
        entries: list[FrameRecord | MarkRecord] = sorted([*self._taped.frames, *marks], key=lambda entry: entry.line)
        for entry in entries:
            if isinstance(entry, MarkRecord):
                await self._heard(inbound)
                await self._player.until(entry.at_ms, MARK_BEFORE_S)
                if isinstance(transport, RecordingTransport):
                    transport.mark(entry.label)
            elif entry.direction == "in":
                inbound += 1
            else:
                await self._heard(inbound)
                await self._player.until(entry.at_ms, SEND_BEFORE_S)
                await self._send(entry)
        close = self._taped.close
        if close is not None and close.by == "client":
            await self._heard(inbound)
            await self._player.until(close.at_ms)
            await self._connection.aclose(1000 if close.code is None else close.code, close.reason)

    async def _heard(self, inbound: int) -> None:
        while self._read < inbound and not self._is_over:
            await self._changed.wait()

    async def _send(self, record: FrameRecord) -> None:
        frame = self._playback.cassette.frame(record)
        _, parsed = parse_exact(frame.data) if frame.is_text else (False, None)
        value: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
        if self._observer is not None:
            self._observer(Moment(self._taped.conn, record.at_ms, "out", value, frame))
        audio = append_audio(value)
        if audio is not None and encode_audio_append(audio).data == frame.data:
            await self._connection.send_audio(audio)
        elif value:
            await self._connection.send(self._typed(frame, value))
        else:
            await self._channel.send(frame)

    def _typed(self, frame: Frame, value: dict[str, Any]) -> Any:
        """The typed event when it says all that the recorded message says, and alike, else the message itself."""
        event = self._codec.decode_client(frame)
        if not isinstance(event, UnknownEvent | InvalidEvent | BinaryAudio):
            encoded = self._codec.encode(event).data
            if encoded == frame.data:
                return event
            if is_equal(parse_json(encoded), value):
                return value
        self._playback.untyped_sends += 1
        return value


def _first(taped: TapedConnection | TapedExchange) -> OpenRecord | HttpRequestRecord:
    """The record that begins it."""
    return taped.request if isinstance(taped, TapedExchange) else taped.open


def _last_line(taped: TapedConnection | TapedExchange) -> int:
    if isinstance(taped, TapedExchange):
        ends = (taped.done, *reversed(taped.chunks), taped.response, taped.request)
        return next(record.line for record in ends if record is not None)
    if taped.close is not None:
        return taped.close.line
    return taped.frames[-1].line if taped.frames else taped.open.line


def _text_of(body: Any) -> bytes:
    """A request body that the tape holds as text or as a JSON value."""
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else dump_json(body)


def _usage(conversations: Sequence[Conversation], chats: Sequence[TapedChat]) -> dict[str, Any]:
    """The usage of all connections and chats together; what none of them stated is left out."""
    totals: dict[str, Any] = {}
    for conversation in conversations:
        _add(totals, conversation.usage.to_json())
    for chat in chats:
        _add(totals, chat_usage(chat))
    return totals


def _add(totals: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(totals.setdefault(name, {}), value)
        elif value is not None:
            totals[name] = round((totals.get(name) or 0) + value, 6)


def _first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that came first, out of the groups that task groups make."""
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
