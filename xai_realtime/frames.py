"""One message of a socket as a value. In: bytes. Out: Frame. Imports: the standard library."""

from __future__ import annotations

__all__ = ["Frame"]


class Frame:
    """One WebSocket message.

    `data` are its bytes (of a text message: its UTF-8, which may be malformed), `is_text` tells text
    from binary, `at_ms` is the time it has on its tape in milliseconds from the first record, None on
    a live line. Equal when data and kind are equal; the repr shows sizes, never content.
    """

    __slots__ = ("at_ms", "data", "is_text")

    def __init__(self, data: bytes, is_text: bool = True, at_ms: float | None = None) -> None:
        self.data = data
        self.is_text = is_text
        self.at_ms = at_ms

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return self.data == other.data and self.is_text == other.is_text

    def __hash__(self) -> int:
        return hash((self.data, self.is_text))

    def __repr__(self) -> str:
        kind = "text" if self.is_text else "binary"
        time = "" if self.at_ms is None else f" at {self.at_ms:g} ms"
        return f"<Frame {kind}, {len(self.data)} bytes{time}>"
