"""Audio of a transcription, kept until its words are certain. In: audio given and sent. Out: audio to send, losses.

Pure bookkeeping in units: bytes, or microseconds of Opus. No clock; audio is copied only where it is cut. Imports:
rooms 0, protocol.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal, TypeAlias

from xai_realtime.protocol.stt_loud import is_loud, opus_packet_us

__all__ = ["INFLOW", "OPUS_UNITS_PER_S", "Kind", "Piece", "Restart", "SttRing"]

Kind: TypeAlias = Literal["audio", "silence", "wish", "keep_alive", "end"]

OPUS_UNITS_PER_S: Final = 1_000_000
INFLOW: Final = 64
LISTENED_TO: Final = 8


class Piece:
    """What goes out as one message. `units` is how much of the caller's audio it is: silence and wishes are none."""

    __slots__ = ("kind", "payload", "units")

    def __init__(self, payload: bytes, units: int, kind: Kind = "audio") -> None:
        self.payload = payload
        self.units = units
        self.kind = kind

    @property
    def is_text(self) -> bool:
        """Is it JSON?"""
        return self.kind in ("wish", "end")


@dataclass(frozen=True, slots=True)
class Restart:
    """What a new connection begins with: the place of its first audio, how much comes again, and what is lost."""

    at: int
    resent: int
    lost: int


class SttRing:
    """The caller's audio from the oldest that a new connection would need to the newest that was given.

    What was sent is kept until it is settled, `max_s` seconds of it: then the oldest falls out. What was given and
    never sent is kept beside it, never falls out, and is bounded by the same: ask `has_room` before `hold`. Places
    count the units of the caller's audio from the beginning of the stream. `wire` counts what this connection was
    sent, silence of ours included. Whoever sends audio past nothing that waits just appends it to `inflow`, which is
    looked at later; call `absorb` before it has more than `INFLOW` pieces.
    """

    __slots__ = (
        "_encoding",
        "_fallen_loud",
        "_given",
        "_heard_at",
        "_held",
        "_high",
        "_max",
        "_pieces",
        "_sent",
        "_settled",
        "_size",
        "_start",
        "_wire",
        "inflow",
        "units_per_s",
    )

    def __init__(self, max_s: float, units_per_s: int, encoding: str) -> None:
        self.units_per_s = units_per_s
        self._encoding = encoding
        self._max = int(max_s * units_per_s)
        self._size: Callable[[bytes], int] = opus_packet_us if encoding == "opus" else len
        self._pieces: deque[Piece | bytes] = deque()
        self._held: deque[Piece] = deque()
        self.inflow: list[bytes] = []
        self._start = self._sent = self._given = self._wire = 0
        self._high = self._settled = self._heard_at = self._fallen_loud = 0

    def units(self, audio: bytes) -> int:
        """How long audio is."""
        return self._size(audio)

    @property
    def has_held(self) -> bool:
        """Does anything wait to be sent?"""
        return bool(self._held)

    @property
    def has_wish(self) -> bool:
        """Does a wish, or silence that stands for one, wait to be sent?"""
        return any(piece.kind in ("wish", "silence") for piece in self._held)

    def has_room(self, units: int) -> bool:
        """May so much more wait?"""
        self.absorb()
        fresh = self._given - self._high
        return not fresh or fresh + units <= self._max

    def absorb(self) -> None:
        """Count what went out."""
        inflow = self.inflow
        if not inflow:
            return
        units = sum(map(self._size, inflow))
        self._pieces.extend(inflow)
        inflow.clear()
        self._given += units
        self._count_sent(units, units)

    @property
    def given(self) -> int:
        """How much the caller gave."""
        self.absorb()
        return self._given

    @property
    def sent(self) -> int:
        """Up to where this connection was sent it."""
        self.absorb()
        return self._sent

    @property
    def wire(self) -> int:
        """How much this connection was sent in all."""
        self.absorb()
        return self._wire

    def hold(self, piece: Piece) -> None:
        """It waits, behind what waits already."""
        self.absorb()
        self._given += piece.units
        self._held.append(piece)

    def next(self) -> Piece | None:
        """What has waited longest; it stays the next until `held_sent`."""
        return self._held[0] if self._held else None

    def held_sent(self) -> Piece:
        """What `next` gave went out."""
        self.absorb()
        piece = self._held.popleft()
        if piece.kind == "keep_alive":
            self._wire += len(piece.payload)
        else:
            self._add_sent(piece)
        return piece

    def heard(self) -> None:
        """The service told something: it has heard what was sent by now."""
        self.absorb()
        self._heard_at = self._sent
        self._fallen_loud = 0

    def settle(self, until: int) -> None:
        """The words of the audio up to here are certain; no new connection needs it."""
        self.absorb()
        self._settled = max(self._settled, min(until, self._sent))
        while self._pieces and self._start + (units := self._piece(self._pieces[0]).units) <= self._settled:
            self._pieces.popleft()
            self._start += units

    def loud_units(self) -> int:
        """How much of what was sent since the service was last heard is loud. Unknown of Opus, and then 0."""
        self.absorb()
        if self._encoding == "opus":
            return 0
        loud, end = self._fallen_loud, self._sent
        for piece in map(self._piece, reversed(self._pieces)):
            if end <= self._heard_at:
                break
            if piece.units and is_loud(piece.payload, self._encoding):
                loud += min(piece.units, end - self._heard_at)
            end -= piece.units
        return loud

    def unsettled(self) -> Iterator[tuple[int, bytes]]:
        """The audio that is not settled, sent or not, each piece with its place."""
        self.absorb()
        at = self._start
        for piece in map(self._piece, chain(self._pieces, self._held)):
            if piece.units:
                yield at, piece.payload
            at += piece.units

    def kept(self) -> tuple[bytes, ...]:
        """The caller's audio that is not settled, sent or not."""
        self._cut()
        pieces = map(self._piece, chain(self._pieces, self._held))
        return tuple(piece.payload for piece in pieces if piece.units)

    def restart(self, open_from: int | None) -> Restart:
        """The line is new: all that is not settled waits again. `open_from` is where an unfinished utterance began."""
        self._cut()
        lost = self._fallen_loud
        if open_from is not None:
            lost = max(lost, self._start - max(open_from, self._settled))
        self._held = deque(piece for piece in self._held if piece.kind != "keep_alive")
        self._held.extendleft(map(self._piece, reversed(self._pieces)))
        self._pieces.clear()
        self._sent = self._heard_at = self._settled = self._start
        self._wire = self._fallen_loud = 0
        return Restart(self._start, self._high - self._start, lost)

    def _add_sent(self, piece: Piece) -> None:
        if piece.units or not self._pieces or self._piece(self._pieces[-1]).payload != piece.payload:
            self._pieces.append(piece)
        self._count_sent(piece.units, piece.units or (len(piece.payload) if piece.kind == "silence" else 0))

    def _count_sent(self, units: int, wire: int) -> None:
        self._sent += units
        self._wire += wire
        self._high = max(self._high, self._sent)
        if self._sent - self._start > self._max:
            self._drop()

    def _drop(self) -> None:
        """The oldest falls out. It is a loss where the service gave no sign that it heard it, and there was speech.

        Of pieces that fall out together one in eight is listened to, and stands for its neighbours.
        """
        place, least, heard_at = self._start, self._sent - self._max, self._heard_at
        popleft, size, is_speech = self._pieces.popleft, self._size, self._encoding == "opus"
        number = 0
        while place < least:
            piece = popleft()
            audio, units = (piece, size(piece)) if isinstance(piece, bytes) else (piece.payload, piece.units)
            place += units
            if place > heard_at and units:
                if not number % LISTENED_TO and self._encoding != "opus":
                    is_speech = is_loud(audio, self._encoding)
                number += 1
                self._fallen_loud += min(units, place - heard_at) if is_speech else 0
        self._start = place

    def _piece(self, entry: Piece | bytes) -> Piece:
        return Piece(entry, self._size(entry)) if isinstance(entry, bytes) else entry

    def _cut(self) -> None:
        """Cut what is settled off the oldest piece. A packet of Opus stays whole."""
        self.absorb()
        while self._pieces and not self._piece(self._pieces[0]).units:
            self._pieces.popleft()
        settled = self._settled - self._start
        if settled > 0 and self._encoding != "opus":
            piece = self._piece(self._pieces[0])
            self._pieces[0] = Piece(piece.payload[settled:], piece.units - settled)
            self._start += settled
