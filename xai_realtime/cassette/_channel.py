"""One taped connection, played. In: frames that are sent. Out: the recorded frames, each at its turn and time.

Imports: rooms 0-2, anyio.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import anyio
import anyio.lowlevel

from xai_realtime.cassette._json import Json, dump_json, parse_exact
from xai_realtime.cassette._steps import AudioRun, Inbound, Step, append_audio, cut, microseconds
from xai_realtime.cassette.matching import Difference, IdBinding, MatchPolicy, compare
from xai_realtime.cassette.records import CloseRecord, FrameRecord
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import Cassette, TapedConnection
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectionBrokenError,
    ConnectionClosedError,
    LocalProtocolError,
    MessageTooLargeError,
    ReplayMismatchError,
    ReplayOrderError,
    ReplayStuckError,
)
from xai_realtime.frames import Frame
from xai_realtime.timemark import time_is_virtual
from xai_realtime.transport.base import Channel

__all__ = ["Left", "ReplayChannel", "TapeClock", "TapeEndedError"]

STUCK_S: Final = 5.0
STUCK_VIRTUAL_S: Final = 30.0
TURN_S: Final = 1.0
INSTANT_BEFORE_S: Final = 1e-7
"""A frame is handed over this much before its time, so that a task that wakes at that very time finds it read."""


class TapeEndedError(ClosedByServerError):
    """The tape ends here without a recorded close: an ordinary end of the connection."""


class TapeClock:
    """Tape time on the event loop's clock: integer microseconds from the first record."""

    def __init__(self, *, instant: bool, virtual: bool, scale: float, stuck_s: float | None) -> None:
        self.instant = instant
        self.scale = scale
        self._virtual = virtual
        self._stuck_s = stuck_s
        self._zero: float | None = None
        self._from_us = 0

    def start(self, at_ms: float) -> None:
        """Let the tape begin now; later calls change nothing. Raises ConfigurationError without a virtual loop."""
        if self._virtual and not time_is_virtual():
            raise ConfigurationError("clock='virtual' needs a virtual-time event loop: use xai_realtime.run_virtual")
        if self._zero is None:
            self._zero = anyio.current_time() - at_ms / 1000
            self._from_us = microseconds(at_ms)

    @property
    def zero(self) -> float:
        """Loop time of the tape's beginning, in seconds."""
        if self._zero is None:
            raise LocalProtocolError("the tape has not begun")
        return self._zero

    @property
    def stuck_s(self) -> float:
        """Bound of a wait for the other side."""
        if self._stuck_s is not None:
            return self._stuck_s
        return STUCK_VIRTUAL_S if time_is_virtual() else STUCK_S

    def now_us(self) -> int:
        """Tape time now."""
        return round((anyio.current_time() - self.zero) * 1e6)

    def loop_time(self, at_us: int) -> float:
        """Loop time of a tape time."""
        return self.zero + at_us / 1e6

    def gap(self, from_us: int, to_us: int) -> int:
        """A recorded gap as it is played."""
        return round(max(0, to_us - from_us) * self.scale)

    async def wait_for_open(self, at_ms: float) -> None:
        """Wait until the answer to a handshake is due."""
        await anyio.lowlevel.checkpoint()
        if not self.instant:
            await anyio.sleep_until(self.loop_time(self._from_us + self.gap(self._from_us, microseconds(at_ms))))


class Left(NamedTuple):
    """What is left of a tape: what it is, and its line."""

    what: str
    line: int

    def __str__(self) -> str:
        return f"{self.what} (line {self.line})"


@dataclass(slots=True)
class _Move:
    """What a send would advance: units of progress, and the place of the tape it belongs to."""

    units: int
    inbound_before: int
    line: int
    at_us: int
    pending: dict[str, str] = field(default_factory=dict)


class ReplayChannel(Channel):
    """A Channel whose peer is a tape."""

    sends_at_call = False

    def __init__(
        self,
        cassette: Cassette,
        taped: TapedConnection,
        clock: TapeClock,
        policy: MatchPolicy,
        binding: IdBinding,
        redactor: Redactor,
        strict_order: bool,
    ) -> None:
        self.subprotocol = taped.open.subprotocol
        self.received = 0
        self.sent = 0
        self.waited: list[int] = []
        self._cassette = cassette
        self._taped = taped
        self._clock = clock
        self._policy = policy
        self._binding = binding
        self._redactor = redactor
        self._strict_order = strict_order
        self._steps, self._inbound = cut(cassette, taped)
        self._schedule = _Schedule(clock, self._inbound, microseconds(taped.open.at_ms))
        self._step = 0
        self._offset = 0
        self._next = 0
        self._gave_up_at = -1
        self._turn = _Turn()
        self._error: ConnectionClosedError | None = None

    async def send(self, frame: Frame) -> None:
        """Match one message with the tape; it waits while the frames recorded before it are unread.

        Cancelling before it returns leaves the tape where it was. Raises ReplayMismatchError,
        ReplayOrderError, ConnectionClosedError.
        """
        async with self._turn.sending:
            await anyio.lowlevel.checkpoint()
            if isinstance(self._error, TapeEndedError):
                # Nothing on the tape says that the peer closed here: what is sent beyond its end differs from it.
                self._match(frame)
            self._raise_if_over()
            move = self._match(frame)
            if self._next < move.inbound_before:
                await self._wait_for_turn(move)
                self._raise_if_over()
                move = self._match(frame)
            self._advance(move)

    async def receive(self) -> Frame:
        """The next recorded message, when it is due. Cancelling is safe.

        Raises ConnectionClosedError (one of its kinds) at the recorded end, ReplayStuckError when what it
        waits for does not come.
        """
        self._turn.begin_receive()
        try:
            await anyio.lowlevel.checkpoint()
            waiting_since = (-1, -1)
            stuck_at = 0.0
            while True:
                self._raise_if_over()
                at = (self._next, self._schedule.progress)
                if self._next < len(self._inbound) and self._inbound[self._next].gate <= self._schedule.progress:
                    wake_at = self._schedule.wake_at(self._next)
                    if wake_at is None:
                        return self._deliver()
                    await self._turn.wait(wake_at)
                    continue
                if self._is_over():
                    self._error = TapeEndedError(1000, "end of the tape")
                    continue
                if at != waiting_since:
                    waiting_since, stuck_at = at, self._stuck_at()
                if anyio.current_time() >= stuck_at:
                    raise ReplayStuckError(
                        self._stuck_text(), path=str(self._cassette.path), line=self._expected_line()
                    )
                await self._turn.wait(stuck_at)
        finally:
            self._turn.receiving = False

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close our side. A second call does nothing."""
        if self._error is None:
            self._error = ClosedByUsError(code, reason)
            self._turn.notify()

    def unread(self) -> list[Left]:
        """The frames left unread, less those that the policy lets be."""
        left = [item.record for item in self._inbound[self._next :] if isinstance(item.record, FrameRecord)]
        if all(record.type in self._policy.trailing for record in left):
            return []
        return [Left(record.type, record.line) for record in left]

    def unsent(self) -> list[Left]:
        """The sends that did not come."""
        left: list[Left] = []
        for step in self._steps[self._step :]:
            if isinstance(step, Step):
                left.append(Left(step.record.type, step.record.line))
            else:
                offset = self._offset if not left else 0
                left.append(Left(f"{step.units - offset} bytes of audio", step.piece_at(offset).line))
        return left

    def _raise_if_over(self) -> None:
        if self._error is not None:
            raise self._error

    def _is_over(self) -> bool:
        """All was read and sent, and nothing more was recorded."""
        return self._next == len(self._inbound) and self._step == len(self._steps) and self._taped.close is None

    def _deliver(self) -> Frame:
        item = self._inbound[self._next]
        self._next += 1
        self._turn.notify()
        if isinstance(item.record, CloseRecord):
            self._error = _closed(item.record, self._binding.text_to_live(item.record.reason))
            raise self._error
        self.received += 1
        frame = self._cassette.frame(item.record)
        if item.record.text is None and item.record.media is None:
            value = self._cassette.value(item.record)
            live = self._binding.to_live(value)
            if live is not value:
                frame = Frame(dump_json(live), True, item.record.at_ms)
        return frame

    def _advance(self, move: _Move) -> None:
        for recorded, live in move.pending.items():
            self._binding.bind(recorded, live)
        self.sent += 1
        self._schedule.sent(move.units, move.at_us)
        if self._step < len(self._steps):
            step = self._steps[self._step]
            self._offset += move.units
            if self._offset >= step.units and move.units:
                self._step, self._offset = self._step + 1, 0
        self._turn.notify()

    async def _wait_for_turn(self, move: _Move) -> None:
        """Let the frames recorded before this send be read first, unless waiting for that could not help."""
        if self._strict_order:
            ahead = f"the send is ahead of {move.inbound_before - self._next} unread frames recorded before it"
            raise ReplayOrderError(ahead, path=str(self._cassette.path), line=move.line)
        if self._turn.reader == anyio.get_current_task().id or self._next == self._gave_up_at:
            return
        self.waited.append(move.line)
        is_virtual = time_is_virtual()
        slack_s = INSTANT_BEFORE_S if is_virtual else TURN_S
        limit = max(anyio.current_time(), self._schedule.loop_time(move.inbound_before - 1)) + slack_s
        while self._next < move.inbound_before and self._error is None and anyio.current_time() < limit:
            await self._turn.wait(limit)
        if self._next < move.inbound_before:
            # Until something is read again, waiting longer would not help the next send either.
            self._gave_up_at = self._next

    def _audio_mode(self) -> str:
        if self._policy.audio is not None:
            return self._policy.audio
        return "ignore" if self._cassette.header.media == "shortened" else "exact"

    def _match(self, frame: Frame) -> _Move:
        is_json, value = parse_exact(frame.data) if frame.is_text else (False, None)
        audio = (frame.data or None) if not frame.is_text else append_audio(value) if is_json else None
        form = "append" if frame.is_text else "binary"
        expected = self._steps[self._step] if self._step < len(self._steps) else None
        if audio is not None:
            return self._match_audio(expected, form, audio)
        if expected is None:
            raise self._mismatch("the tape has no further outgoing frame", actual=_type_of(value))
        if isinstance(expected, AudioRun):
            left = expected.units - self._offset
            raise self._mismatch("other than audio was sent", f"{left} more bytes of audio", _type_of(value))
        record = expected.record
        if record.text is not None or record.media is not None or not is_json:
            if self._cassette.frame(record) != Frame(self._redacted(frame), frame.is_text):
                raise self._mismatch("the message differs", record.type, _type_of(value))
            return _Move(1, expected.inbound_before, record.line, expected.at_us)
        recorded = self._cassette.value(record)
        live = self._redactor.json(value)
        difference, pending = compare(recorded, live, record.type, self._policy, self._binding)
        if difference is not None:
            raise self._mismatch(f"{_type_of(value)} differs", difference=difference)
        return _Move(1, expected.inbound_before, record.line, expected.at_us, pending)

    def _redacted(self, frame: Frame) -> bytes:
        text = frame.data.decode("utf-8", "surrogateescape")
        return self._redactor.text(text).encode("utf-8", "surrogateescape")

    def _match_audio(self, expected: Step | AudioRun | None, form: str, audio: bytes) -> _Move:
        mode = self._audio_mode()
        if not isinstance(expected, AudioRun) or expected.form != form:
            if mode == "ignore" and any(isinstance(step, AudioRun) for step in self._steps[: self._step]):
                return _Move(0, 0, 0, 0)
            if expected is None:
                raise self._mismatch("audio was sent; the tape has no further outgoing frame", "", "audio")
            name = expected.record.type if isinstance(expected, Step) else f"audio as {expected.form}"
            raise self._mismatch("audio was sent where the tape holds another frame", name, f"audio as {form}")
        left = expected.units - self._offset
        piece = expected.piece_at(self._offset)
        if mode == "ignore":
            return _Move(min(left, len(audio)), piece.inbound_before, piece.line, piece.at_us)
        if len(audio) > left:
            raise self._mismatch("more audio was sent than the tape holds here", f"{left} bytes", f"{len(audio)} bytes")
        if mode == "exact":
            recorded = expected.audio[self._offset : self._offset + len(audio)]
            if recorded != audio:
                at = next(i for i, (one, two) in enumerate(zip(recorded, audio, strict=True)) if one != two)
                place = Difference(f"audio[{self._offset + at}]", f"{recorded[at]:#04x}", f"{audio[at]:#04x}")
                raise self._mismatch("the audio differs", difference=place)
        return _Move(len(audio), piece.inbound_before, piece.line, piece.at_us)

    def _mismatch(
        self, reason: str, expected: str = "", actual: str = "", *, difference: Difference | None = None
    ) -> ReplayMismatchError:
        line = self._expected_line()
        around = [record for record in self._taped.frames if abs(record.line - line) <= 2]
        return ReplayMismatchError(
            reason,
            path=str(self._cassette.path),
            line=line,
            where=difference.path if difference else "",
            expected=self._redactor.text(difference.expected) if difference else expected,
            actual=self._redactor.text(difference.actual) if difference else actual,
            around=tuple(f"line {record.line} {record.direction:3} {record.type}" for record in around),
        )

    def _expected_line(self) -> int:
        """The line of the next expected send, or the last line of the connection."""
        if self._step < len(self._steps):
            step = self._steps[self._step]
            return step.record.line if isinstance(step, Step) else step.piece_at(self._offset).line
        if self._taped.close is not None:
            return self._taped.close.line
        return self._taped.frames[-1].line if self._taped.frames else self._taped.open.line

    def _stuck_at(self) -> float:
        """Loop time at which a wait for the client has lasted too long: counted from when it was due to act."""
        due = anyio.current_time()
        if not self._clock.instant:
            step = self._steps[self._step] if self._step < len(self._steps) else None
            if isinstance(step, Step):
                due = max(due, self._schedule.loop_time_of_send(self._next, step.at_us))
            elif step is not None:
                due = max(due, self._schedule.loop_time_of_send(self._next, step.piece_at(self._offset).at_us))
            elif self._taped.close is not None:
                due = max(due, self._schedule.loop_time_of_send(self._next, microseconds(self._taped.close.at_ms)))
        return due + self._clock.stuck_s

    def _stuck_text(self) -> str:
        left = self.unsent()
        if left:
            waits = "the end of the tape"
            if self._next < len(self._inbound):
                record = self._inbound[self._next].record
                waits = f"{record.type if isinstance(record, FrameRecord) else 'the close'} (line {record.line})"
            return f"stuck: receiving waits for {waits}, which waits for the client to send {left[0]}"
        return "stuck: receiving waits, but the tape ends here with the client closing the connection"


class _Turn:
    """Who may go: one task receives, senders go one after the other, and all wait for the same change."""

    def __init__(self) -> None:
        self.receiving = False
        self.reader: int | None = None
        self.sending = anyio.Lock()
        self._changed = anyio.Event()
        self._waiters = 0

    def begin_receive(self) -> None:
        if self.receiving:
            raise LocalProtocolError("another task is receiving on this channel")
        self.receiving = True
        self.reader = anyio.get_current_task().id

    def notify(self) -> None:
        if self._waiters:
            self._changed.set()
            self._changed = anyio.Event()

    async def wait(self, until: float) -> None:
        """Wait for the next change, at most until that loop time."""
        self._waiters += 1
        try:
            with anyio.CancelScope(deadline=until):
                await self._changed.wait()
        finally:
            self._waiters -= 1


class _Schedule:
    """When each inbound frame is due, given when the client did its part."""

    def __init__(self, clock: TapeClock, inbound: list[Inbound], open_at_us: int) -> None:
        self.progress = 0
        self._clock = clock
        self._inbound = inbound
        self._opened_us = clock.now_us()
        self._last_send = (self._opened_us, open_at_us)
        self._reached: list[int] = []
        self._reached_us: list[int] = []
        self._dues: list[int] = []

    def sent(self, units: int, at_us: int) -> None:
        """The client has sent that much; the tape has it at `at_us`."""
        if units:
            self.progress += units
            self._last_send = (self._clock.now_us(), at_us)
            self._reached.append(self.progress)
            self._reached_us.append(self._clock.now_us())

    def due_us(self, index: int) -> int:
        """Tape time at which an inbound frame is due: its recorded gap after the later of the frame before it
        and the send that released it."""
        while len(self._dues) <= index:
            item = self._inbound[len(self._dues)]
            base = (self._sent_us(item.gate), item.gate_at_us)
            if self._dues:
                base = max(base, (self._dues[-1], self._inbound[len(self._dues) - 1].at_us))
            self._dues.append(base[0] + self._clock.gap(base[1], item.at_us))
        return self._dues[index]

    def wake_at(self, index: int) -> float | None:
        """Loop time to wake for an inbound frame, None when it is due."""
        if self._clock.instant or self._clock.now_us() >= self.due_us(index):
            return None
        return self._clock.loop_time(self.due_us(index)) - INSTANT_BEFORE_S

    def loop_time(self, index: int) -> float:
        """Loop time at which an inbound frame is due."""
        return self._clock.zero if self._clock.instant else self._clock.loop_time(self.due_us(index))

    def loop_time_of_send(self, next_inbound: int, at_us: int) -> float:
        """Loop time at which a send would be due by the recorded gaps."""
        base = self._last_send
        if next_inbound and self._dues:
            index = min(next_inbound, len(self._dues)) - 1
            base = max(base, (self._dues[index], self._inbound[index].at_us))
        return self._clock.loop_time(base[0] + self._clock.gap(base[1], at_us))

    def _sent_us(self, gate: int) -> int:
        if gate == 0:
            return self._opened_us
        return self._reached_us[bisect_left(self._reached, gate)]


def _type_of(value: Json) -> str:
    name = value.get("type") if isinstance(value, dict) else None
    return name[:80] if isinstance(name, str) else "a message without a type"


def _closed(record: CloseRecord, reason: str) -> ConnectionClosedError:
    if record.by == "server":
        return ClosedByServerError(record.code, reason)
    if record.by == "client":
        return MessageTooLargeError(limit_bytes=MAX_MESSAGE_BYTES, reason=reason)
    return ConnectionBrokenError(record.code, reason)
