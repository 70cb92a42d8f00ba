"""What the two socket backends share. In: frames of websockets. Out: whole messages and the kind of each.

Imports: websockets, rooms 0-2. Imported when a socket is opened, never before.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Literal, Protocol

from websockets.frames import Frame, Opcode

__all__ = ["FLOOD_REASON", "MAX_FRAGMENTS", "TEXT", "Inbox", "Line"]

BINARY: Final = Opcode.BINARY
CONT: Final = Opcode.CONT
TEXT: Final = Opcode.TEXT

MAX_FRAGMENTS: Final = 4096
"""Fragments of one message. No voice service fragments; a flood of empty fragments would pass every size limit."""

FLOOD_REASON: Final = f"more than {MAX_FRAGMENTS} fragments"


class Inbox:
    """Joins fragments and notes, message by message, whether it is text.

    `kinds` runs parallel to the messages that `recv` has yet to return. A message enters it and the
    library's queue in one step, whole, so a cancelled `recv` and a broken line leave the two equal.
    """

    __slots__ = ("is_flooded", "is_shut", "kinds", "parts")

    def __init__(self) -> None:
        self.kinds: deque[bool] = deque()
        self.parts: list[Frame] = []
        self.is_shut = False
        self.is_flooded = False

    def take(self, frame: Frame) -> Frame | None:
        """The frame to pass on: itself, the whole message that it ends, or None when there is none yet."""
        opcode = frame.opcode
        if opcode is TEXT or opcode is BINARY:
            if self.is_shut:
                return None
            if frame.fin:
                self.kinds.append(opcode is TEXT)
                return frame
            self.parts = [frame]
            return None
        if opcode is CONT:
            return None if self.is_shut else self._continue(frame)
        return frame

    def _continue(self, frame: Frame) -> Frame | None:
        if len(self.parts) >= MAX_FRAGMENTS:
            self.is_flooded = self.is_shut = True
            self.parts = []
            return None
        self.parts.append(frame)
        if not frame.fin:
            return None
        parts, self.parts = self.parts, []
        opcode = parts[0].opcode
        self.kinds.append(opcode is TEXT)
        return Frame(opcode, b"".join(part.data for part in parts))


class Line(Protocol):
    """One connection of either backend, as the channel uses it."""

    inbox: Inbox
    is_left: bool
    """True once we began the close ourselves."""
    broken: str
    """Why we gave the line up without a close; empty when we did not."""

    @property
    def protocol(self) -> Any: ...
    @property
    def subprotocol(self) -> str | None: ...
    async def recv(self, decode: Literal[False]) -> bytes: ...
    async def send(self, message: bytes, *, text: bool | None = None) -> None: ...
    async def finish(self, code: int, reason: str, bound_s: float) -> None:
        """Close within `bound_s`, shielded from cancellation."""

    async def release(self) -> None:
        """Free what stands around the closed line."""
