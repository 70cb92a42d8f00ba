"""A taped connection cut into what must be sent and what is then received. In: a tape. Out: steps and gates.

Progress is counted in units: one for an ordinary outgoing frame, one for each byte of outgoing audio, so that audio
agrees however it is cut into chunks. An inbound frame is released once the progress has reached its gate.
Imports: rooms 0-2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import pybase64

from xai_realtime.cassette._json import Json
from xai_realtime.cassette.records import CloseRecord, FrameRecord
from xai_realtime.cassette.tape import Cassette, TapedConnection

__all__ = ["AudioRun", "Inbound", "Step", "append_audio", "cut", "microseconds"]

APPEND: Final = "input_audio_buffer.append"
TOO_LARGE: Final = 1009
"""The close code of a side that refuses a message for its size: nobody asked for that close, so it is received."""


def microseconds(at_ms: float) -> int:
    """Tape time as an integer, in which gaps add up exactly."""
    return round(at_ms * 1000)


def append_audio(value: Json) -> bytes | None:
    """The audio of an append event that holds nothing else; None for any other value."""
    if not isinstance(value, dict) or value.get("type") != APPEND or not value.keys() <= {"type", "audio", "event_id"}:
        return None
    audio = value.get("audio")
    if not isinstance(audio, str) or not audio:
        return None
    try:
        return pybase64.b64decode(audio, validate=True)
    except ValueError:
        return None


@dataclass(slots=True)
class Piece:
    """One outgoing frame of an audio run: where its bytes begin, and how many inbound frames came before it."""

    start: int
    line: int
    at_us: int
    inbound_before: int


@dataclass(slots=True)
class AudioRun:
    """Neighbouring audio frames as one stream. `start` and `units` place it on the scale of progress."""

    form: Literal["append", "binary"]
    start: int
    pieces: list[Piece] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    units: int = 0
    _joined: bytes | None = None

    @property
    def audio(self) -> bytes:
        """All its bytes."""
        if self._joined is None:
            self._joined = b"".join(self.chunks)
        return self._joined

    def piece_at(self, offset: int) -> Piece:
        """The recorded frame that holds the byte at `offset`."""
        found = self.pieces[0]
        for piece in self.pieces:
            if piece.start > offset:
                break
            found = piece
        return found


@dataclass(slots=True)
class Step:
    """One ordinary outgoing frame."""

    record: FrameRecord
    start: int
    at_us: int
    inbound_before: int
    units: int = 1


@dataclass(slots=True)
class Inbound:
    """One inbound frame or a close that nobody asked for, released at progress `gate`.

    `gate_at_us` is when the tape reached it.
    """

    record: FrameRecord | CloseRecord
    gate: int
    at_us: int
    gate_at_us: int


def cut(cassette: Cassette, taped: TapedConnection) -> tuple[list[Step | AudioRun], list[Inbound]]:
    """The steps to send and the frames to receive, in the order of the tape."""
    steps: list[Step | AudioRun] = []
    inbound: list[Inbound] = []
    progress, gate_at_us = 0, microseconds(taped.open.at_ms)
    for record in taped.frames:
        at_us = microseconds(record.at_ms)
        if record.direction == "in":
            inbound.append(Inbound(record, progress, at_us, gate_at_us))
            continue
        form, audio = _audio(cassette, record)
        if form is None:
            steps.append(Step(record, progress, at_us, len(inbound)))
            progress += 1
        else:
            run = steps[-1] if steps else None
            if not isinstance(run, AudioRun) or run.form != form:
                run = AudioRun(form, progress)
                steps.append(run)
            run.pieces.append(Piece(run.units, record.line, at_us, len(inbound)))
            run.chunks.append(audio)
            run.units += len(audio)
            progress += len(audio)
        gate_at_us = at_us
    if taped.close is not None and (taped.close.by != "client" or taped.close.code == TOO_LARGE):
        inbound.append(Inbound(taped.close, progress, microseconds(taped.close.at_ms), gate_at_us))
    return steps, inbound


def _audio(cassette: Cassette, record: FrameRecord) -> tuple[Literal["append", "binary"] | None, bytes]:
    if record.media is not None and record.opcode is None:
        return _or_none("binary", cassette.media(record))
    if record.type != APPEND:
        return None, b""
    return _or_none("append", append_audio(cassette.value(record)))


def _or_none(
    form: Literal["append", "binary"], audio: bytes | None
) -> tuple[Literal["append", "binary"] | None, bytes]:
    return (form, audio) if audio else (None, b"")
