"""HTTP bodies as text that can be changed without losing its cuts. In: pieces of bytes. Out: pieces of bytes.

A body that is text is changed (redacted, its ids renamed) unit by unit: line by line where it is a stream of events,
else as a whole. A piece that ends inside a unit waits until that unit is whole; a unit that is changed goes to the
piece in which it became whole. Imports: rooms 0-2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from xai_realtime.cassette._json import Json, dump_json, is_equal, parse_exact

__all__ = ["BodyKind", "Piece", "TextBody", "body_kind", "changed_unit", "multipart_as", "rewritten"]

BodyKind: TypeAlias = Literal["lines", "whole", "binary", "encoded"]

LINES: Final = frozenset({"text/event-stream", "application/x-ndjson", "application/jsonl"})
WHOLE: Final = re.compile(r"|text/.*|application/(json|xml|javascript|x-www-form-urlencoded)|.*\+(json|xml)")
EVENT_DATA: Final = re.compile(rb"(data:[ ]?)(.*?)(\r?\n|\r)?", re.DOTALL)
BOUNDARY: Final = re.compile(r"(multipart/[^;]*;.*?boundary=)(\"[^\"]+\"|[^;\s]+)(.*)", re.IGNORECASE | re.DOTALL)
FIXED_BOUNDARY: Final = "boundary"


def body_kind(headers: Mapping[str, str]) -> BodyKind:
    """How a body is treated, by its headers (names in lower case).

    `lines` and `whole` are text, `binary` is kept as it is, `encoded` cannot be looked into.
    """
    if headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        return "encoded"
    name = headers.get("content-type", "").partition(";")[0].strip().lower()
    if name in LINES:
        return "lines"
    return "whole" if WHOLE.fullmatch(name) else "binary"


def changed_unit(unit: bytes, on_json: Callable[[Json], Json], on_text: Callable[[bytes], bytes]) -> bytes:
    """A unit with its JSON changed, then its text; the very same bytes when nothing changes."""
    event = EVENT_DATA.fullmatch(unit)
    before, data, after = (event[1], event[2], event[3] or b"") if event else (b"", unit, b"")
    is_json, value = parse_exact(data)
    if is_json and isinstance(value, dict | list):
        changed = on_json(value)
        if not is_equal(changed, value):
            data = dump_json(changed) + _line_end(data)
    return before + on_text(data) + after


def _line_end(data: bytes) -> bytes:
    return data[len(data.rstrip(b"\r\n")) :]


@dataclass(slots=True, eq=False)
class Piece:
    """One piece of a body: where it ends in the bytes as they came, and in the changed ones once they are known."""

    end: int
    changed_end: int | None = None


class TextBody:
    """A body that comes in pieces and is taken out in pieces, each unit changed by `change` when it is taken.

    `can_stand` says whether a part of an unchanged unit may stand for itself.
    """

    def __init__(
        self, *, by_line: bool, change: Callable[[bytes], bytes], can_stand: Callable[[bytes], bool] = bool
    ) -> None:
        self._by_line = by_line
        self._change = change
        self._can_stand = can_stand
        self._came = 0
        self._whole = 0
        self._raw = bytearray()
        self._raw_start = 0
        self._cuts: list[Piece] = []
        self._out = bytearray()
        self._taken = 0

    def feed(self, data: bytes) -> Piece:
        """Take in the next piece."""
        self._raw += data
        self._came += len(data)
        if self._by_line:
            found = data.rfind(b"\n")
            if found >= 0:
                self._whole = self._came - len(data) + found + 1
        piece = Piece(self._came)
        self._cuts.append(piece)
        return piece

    def finish(self) -> None:
        """No piece will follow: what there is, is whole."""
        self._whole = self._came

    def is_ready(self, piece: Piece) -> bool:
        """True when every unit that the piece touches is whole."""
        return piece.end <= self._whole

    def take(self, piece: Piece) -> bytes:
        """The changed bytes of a piece that is ready; pieces are taken in their order."""
        while piece.changed_end is None:
            self._change_next()
        data = bytes(self._out[: piece.changed_end - self._taken])
        del self._out[: len(data)]
        self._taken = piece.changed_end
        return data

    def _change_next(self) -> None:
        size = self._whole - self._raw_start
        if self._by_line:
            found = self._raw.find(b"\n", 0, size)
            size = size if found < 0 else found + 1
        unit = bytes(self._raw[:size])
        changed = self._change(unit) if unit else unit
        cuts = [piece.end - self._raw_start for piece in self._cuts if piece.end <= self._raw_start + size]
        keeps_cuts = changed == unit and self._can_be_cut(unit, [at for at in cuts if at < size])
        before = self._taken + len(self._out)
        for piece, at in zip(self._cuts, cuts, strict=False):
            if at == size:
                piece.changed_end = before + len(changed)
            else:
                piece.changed_end = before + (_character_start(unit, at) if keeps_cuts else 0)
        del self._cuts[: len(cuts)]
        self._out += changed
        del self._raw[:size]
        self._raw_start += size

    def _can_be_cut(self, unit: bytes, cuts: list[int]) -> bool:
        places = [0, *cuts, len(unit)]
        return not cuts or all(self._can_stand(unit[one:two]) for one, two in pairwise(places) if one < two)


def _character_start(data: bytes, at: int) -> int:
    """The place, or the next one after it, where no character of UTF-8 is cut."""
    while at < len(data) and data[at] & 0xC0 == 0x80:
        at += 1
    return at


def rewritten(pieces: Iterable[bytes], *, by_line: bool, change: Callable[[bytes], bytes]) -> list[bytes]:
    """All pieces of a body that is there, changed."""
    body = TextBody(by_line=by_line, change=change)
    fed = [body.feed(piece) for piece in pieces]
    body.finish()
    return [body.take(piece) for piece in fed]


def multipart_as(content_type: str, body: bytes) -> tuple[str, bytes]:
    """A multipart body with a boundary that is the same in every run, and its content type; others as they are."""
    match = BOUNDARY.fullmatch(content_type)
    if match is None:
        return content_type, body
    boundary = match[2].strip('"').encode("latin-1", "replace")
    return f"{match[1]}{FIXED_BOUNDARY}{match[3]}", body.replace(b"--" + boundary, b"--" + FIXED_BOUNDARY.encode())
