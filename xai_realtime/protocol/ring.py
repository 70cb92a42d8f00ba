"""The microphone's audio, kept until it is safe. In: audio that went out or had to wait. Out: audio to send, losses.

Pure bookkeeping: no clock, and audio is never copied but where a chunk has to be cut. Imports: rooms 0-1.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from xai_realtime.audio import Audio, AudioFormat
from xai_realtime.errors import ConfigurationError

__all__ = ["MicrophoneRing", "Resend"]

OPUS_PACKET_MS: Final = 20.0

_OPUS_UNITS_PER_S: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Resend:
    """What a new connection has to be given, in order.

    `resent_ms` is how long `audio` lasts. `lost_ms` is audio that should be among it, but was too old for the ring.
    """

    audio: tuple[bytes, ...] = field(repr=False)
    resent_ms: float
    lost_ms: float


class _Chunk:
    """Audio in units of the ring: bytes, or microseconds of an Opus packet. An empty one is where turn `ends` ends."""

    __slots__ = ("audio", "ends", "units")

    def __init__(self, audio: bytes | memoryview, units: int, ends: int = 0) -> None:
        self.audio = audio
        self.units = units
        self.ends = ends


class _Turn:
    """Committed audio that is not settled: what is kept of it, and how much fell out."""

    __slots__ = ("chunks", "is_by_hand", "lost", "number", "units")

    def __init__(self, number: int, *, is_by_hand: bool = False) -> None:
        self.number = number
        self.is_by_hand = is_by_hand
        self.chunks: deque[_Chunk] = deque()
        self.units = 0
        self.lost = 0


class _Handed:
    """A waiting chunk that `next_held` gave out; `chunk` is None when it was dropped on purpose since."""

    __slots__ = ("audio", "chunk", "units")

    def __init__(self, chunk: _Chunk, audio: bytes) -> None:
        self.chunk: _Chunk | None = chunk
        self.audio = audio
        self.units = chunk.units


class MicrophoneRing:
    """Microphone audio in the session's input format, kept until the server has surely understood it.

    Audio is waiting (`held`), sent, or belongs to a committed turn. `settle` ends a turn and forgets its audio. On a
    new connection everything that is kept waits again. No more than `max_ms` milliseconds are kept: the oldest falls
    out, and counts as lost for as long as a new connection would need it.

    Order: while audio waits, new audio must go through `held` too. Send what waits like this; nothing is lost when
    that is cancelled anywhere, and what was handed out but not confirmed is handed out again:

        while (audio := ring.next_held()) is not None:
            await (send(audio) if audio else commit())
            ring.held_sent()

    Chunks are whole samples. Stream time is milliseconds of audio sent on this connection. Opus packets are never cut;
    `packet_ms` says how long one lasts, and counts for Opus alone.
    Raises ConfigurationError for a `max_ms` that is negative or no finite number.
    """

    __slots__ = (
        "_fallen",
        "_handed",
        "_held",
        "_held_lost",
        "_is_opus",
        "_kept",
        "_max_units",
        "_sample_bytes",
        "_sent",
        "_sent_lost",
        "_sent_units",
        "_stream",
        "_turn_number",
        "_turns",
        "_units_per_s",
    )

    def __init__(self, max_ms: float, format: AudioFormat) -> None:
        if not 0 <= max_ms < math.inf:
            raise ConfigurationError(f"the microphone ring keeps 0 ms or more, not {max_ms!r}")
        self._is_opus = format.encoding == "opus"
        self._sample_bytes = 1 if self._is_opus else format.sample_bytes
        self._units_per_s = _OPUS_UNITS_PER_S if self._is_opus else format.rate_hz * format.sample_bytes
        self._max_units = self._units(max_ms)
        self._turns: list[_Turn] = []
        self._fallen: list[_Turn] = []
        self._sent: deque[_Chunk] = deque()
        self._held: deque[_Chunk] = deque()
        self._handed: _Handed | None = None
        self._kept = 0
        self._sent_units = 0
        self._sent_lost = 0
        self._held_lost = 0
        self._stream = 0
        self._turn_number = 0

    @property
    def kept_ms(self) -> float:
        """Milliseconds of audio kept; never more than `max_ms`."""
        return self._ms(self._kept)

    @property
    def lost_ms(self) -> float:
        """Milliseconds that fell out since the last `reconnect` and that a new connection would need now.

        It falls when what fell out turns out not to be needed: its turn is settled, or it is discarded or released.
        """
        of_turns = sum(turn.lost for turns in (self._fallen, self._turns) for turn in turns)
        return self._ms(of_turns + self._sent_lost + self._held_lost)

    @property
    def is_settled(self) -> bool:
        """True when no audio of a committed turn is kept: what a new connection gets was never committed."""
        return not self._turns

    @property
    def has_held(self) -> bool:
        """Does audio, or the end of a turn, wait?"""
        return bool(self._held)

    @property
    def stream_ms(self) -> float:
        """Milliseconds of audio sent on this connection."""
        return self._ms(self._stream)

    def sent(self, audio: Audio, packet_ms: float = OPUS_PACKET_MS) -> None:
        """Audio went out on this connection, or is about to: what the line drops before the server had it is resent.

        The very object that `next_held` gave, or that waits first of `Resend.audio`, is that audio: `held_sent` then
        need not be called for it.
        """
        handed = self._handed
        is_handed = handed is not None and handed.chunk is not None and handed.audio is audio
        if is_handed or (self._held and self._held[0].audio is audio and self.next_held() is audio):
            self.held_sent()
            return
        chunk = self._chunk(audio, packet_ms)
        if chunk is not None:
            self._add_sent(chunk)
            self._kept += chunk.units
            self._fit()

    def held(self, audio: Audio, packet_ms: float = OPUS_PACKET_MS) -> None:
        """Audio that cannot be sent now, or not before what waits already."""
        chunk = self._chunk(audio, packet_ms)
        if chunk is not None:
            self._held.append(chunk)
            self._kept += chunk.units
            self._fit()

    def next_held(self) -> bytes | None:
        """The audio that has waited longest, None when none waits. It stays the next until `held_sent` is called.

        An empty piece is the end of a turn: the commit is to be sent.
        """
        if not self._held:
            return None
        chunk = self._held[0]
        handed = self._handed
        if handed is None or handed.chunk is not chunk or handed.units != chunk.units:
            chunk.audio = audio = bytes(chunk.audio)
            self._handed = handed = _Handed(chunk, audio)
        return handed.audio

    def held_sent(self) -> None:
        """What `next_held` gave last went out. Does nothing after a `reconnect`, which makes it wait again."""
        handed, self._handed = self._handed, None
        if handed is None:
            return
        if handed.chunk is None:
            self._stream += handed.units
            return
        if handed.chunk.ends:
            self._held.popleft()
            self._keep(self._take(self._stream, _Turn(handed.chunk.ends, is_by_hand=True)))
            return
        waiting = 0
        if self._held and self._held[0] is handed.chunk:
            waiting = self._held.popleft().units
        back = handed.units - waiting
        self._held_lost -= back
        self._kept += back
        self._add_sent(_Chunk(handed.audio, handed.units))
        self._fit()

    def commit(self, until_ms: float | None = None) -> int:
        """The server committed a turn: the audio up to this stream time, None for all that was sent, belongs to it.

        The number of the turn, for `settle`. A packet or sample that the time cuts stays uncommitted.
        """
        self._turn_number += 1
        until = self._stream if until_ms is None else self._units(until_ms)
        self._keep(self._take(until, _Turn(self._turn_number)))
        return self._turn_number

    def end_turn(self) -> int:
        """The user ends a turn by hand: all audio up to now belongs to it. Its number.

        While audio waits the end waits behind it. A new connection gets the end again, with the turn.
        """
        self._turn_number += 1
        if self._held:
            self._held.append(_Chunk(b"", 0, self._turn_number))
        else:
            self._keep(self._take(self._stream, _Turn(self._turn_number, is_by_hand=True)))
        return self._turn_number

    def keeps(self, turn: int) -> bool:
        """Does a new connection get this turn as audio?"""
        return any(kept.number == turn for kept in self._turns) or any(chunk.ends == turn for chunk in self._held)

    def _keep(self, turn: _Turn) -> None:
        if turn.units:
            self._turns.append(turn)
        elif turn.lost:
            self._fallen.append(turn)

    def settle(self, turn: int | None = None) -> None:
        """The turn's transcript is final or its reply is done: its audio is forgotten, and that of earlier turns.

        Without a number: of every turn committed so far. A turn that is settled already changes nothing.
        """
        for turns in (self._fallen, self._turns):
            while turns and (turn is None or turns[0].number <= turn):
                self._kept -= turns.pop(0).units

    def release(self, until_ms: float) -> None:
        """Forget uncommitted audio up to this stream time, as nobody spoke in it. It does not count as lost."""
        self._kept -= self._take(self._units(until_ms), _Turn(0)).units

    def discard_sent(self) -> None:
        """Drop what is uncommitted or waits, on purpose: it does not count as lost. Turns that were ended stay."""
        handed = self._handed
        while self._held and not self._held[-1].ends:
            dropped = self._held.pop()
            self._kept -= dropped.units
            if handed is not None and handed.chunk is dropped:
                handed.chunk = None
        if not self._held:
            self._kept -= self._sent_units
            self._sent.clear()
            self._sent_units = self._sent_lost = self._held_lost = 0
            if handed is not None:
                handed.chunk = None

    def forgotten_ms(self) -> float:
        """Milliseconds of waiting audio that fell out and will never be sent; asking counts them as told."""
        lost, self._held_lost = self._held_lost, 0
        return self._ms(lost)

    def reconnect(self) -> Resend:
        """The line is new: what it has to be given. Stream time and `lost_ms` start again at 0.

        All of it waits now, in order, and goes out through `next_held` and `held_sent`; so a drop in the middle of
        that loses nothing either. `Resend.audio` shows the same: by the time of sending, more may wait behind it, or
        its oldest have fallen out.
        """
        lost_ms = self.lost_ms
        again: list[_Chunk] = []
        for turn in self._turns:
            again += turn.chunks
            if turn.is_by_hand:
                again.append(_Chunk(b"", 0, turn.number))
        again += self._sent
        self._held.extendleft(reversed(again))
        self._fallen.clear()
        self._turns.clear()
        self._sent.clear()
        self._handed = None
        self._stream = self._sent_units = self._sent_lost = self._held_lost = 0
        for chunk in self._held:
            chunk.audio = bytes(chunk.audio)
        return Resend(tuple(bytes(chunk.audio) for chunk in self._held if chunk.units), self.kept_ms, lost_ms)

    def _ms(self, units: int) -> float:
        return units * 1000 / self._units_per_s

    def _units(self, time_ms: float) -> int:
        """The whole samples (or microseconds of Opus) within a time."""
        units = max(0, int(time_ms * self._units_per_s // 1000))
        return units - units % self._sample_bytes

    def _chunk(self, audio: Audio, packet_ms: float) -> _Chunk | None:
        data = bytes(audio)
        if not data:
            return None
        if not self._is_opus:
            return _Chunk(data, len(data))
        if not 0 < packet_ms < math.inf:
            raise ConfigurationError(f"an Opus packet lasts more than 0 ms, not {packet_ms!r}")
        return _Chunk(data, round(packet_ms * 1000))

    def _add_sent(self, chunk: _Chunk) -> None:
        self._stream += chunk.units
        self._sent_units += chunk.units
        self._sent.append(chunk)

    def _take(self, until: int, turn: _Turn) -> _Turn:
        """Take from the sent audio what lies before a stream position, also of what fell out."""
        left = min(until, self._stream) - (self._stream - self._sent_units)
        turn.lost = min(max(0, left + self._sent_lost), self._sent_lost)
        self._sent_lost -= turn.lost
        while left > 0:
            chunk = self._sent[0]
            if chunk.units <= left:
                turn.chunks.append(self._sent.popleft())
            elif self._is_opus:
                break
            else:
                chunk = _cut(chunk, left)
                turn.chunks.append(chunk)
            turn.units += chunk.units
            left -= chunk.units
        self._sent_units -= turn.units
        return turn

    def _fit(self) -> None:
        """Let the oldest fall out until the bound holds again, in whole samples or packets."""
        while (excess := self._kept - self._max_units) > 0:
            excess += -excess % self._sample_bytes
            if self._turns:
                turn = self._turns[0]
                lost = _shorten(turn.chunks, excess, is_whole=self._is_opus)
                turn.units -= lost
                turn.lost += lost
                if not turn.chunks:
                    self._fallen.append(self._turns.pop(0))
            elif self._sent:
                lost = _shorten(self._sent, excess, is_whole=self._is_opus)
                self._sent_units -= lost
                self._sent_lost += lost
            else:
                ends: list[_Chunk] = []
                while not self._held[0].units:
                    ends.append(self._held.popleft())
                lost = _shorten(self._held, excess, is_whole=self._is_opus)
                self._held.extendleft(reversed(ends))
                self._held_lost += lost
            self._kept -= lost


def _cut(chunk: _Chunk, units: int) -> _Chunk:
    """Split the first `units` of a chunk off it."""
    view = memoryview(chunk.audio)
    chunk.audio = view[units:]
    chunk.units -= units
    return _Chunk(view[:units], units)


def _shorten(chunks: deque[_Chunk], excess: int, *, is_whole: bool) -> int:
    """Drop up to `excess` units of the first chunk, all of it when it may not be cut; how many."""
    chunk = chunks[0]
    if is_whole or chunk.units <= excess:
        return chunks.popleft().units
    _cut(chunk, excess)
    if isinstance(chunk.audio, memoryview) and 2 * chunk.units < memoryview(chunk.audio.obj).nbytes:
        chunk.audio = bytes(chunk.audio)  # a small rest must not keep a large buffer alive
    return excess
