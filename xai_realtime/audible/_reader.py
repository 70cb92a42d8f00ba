"""Words in a row of symbols. In: a symbol per hop. Out: words with a right CRC, and their hops. Imports: stdlib, 0."""

from __future__ import annotations

from typing import Final, NamedTuple

from xai_realtime.audible._speech import CRC_SYMBOLS, END, LAST, MAX_SYMBOLS, NOTHING, STARTS, VALUES, check

__all__ = ["Packet", "Reader", "Stray", "nibbles_to_bytes"]

CLEAR_HOPS: Final = 3
"""Fewer neighbouring windows with the same tones are no symbol but the seam of two."""
DAMAGE_SYMBOLS: Final = 3
"""Fewer stray tones than this are taken for chance."""


class Stray:
    """Tones outside whole words since the last whole word."""

    def __init__(self, symbol_hops: int) -> None:
        self.symbol_hops = symbol_hops
        self.clear()

    def clear(self) -> None:
        """Begin anew after a whole word."""
        self.symbols = 0
        self.quiet_hops = 0
        self.is_beginning = False
        self.run: tuple[int, int] = (NOTHING, 0)

    def note(self, symbol: int, hops: int) -> None:
        """Take `hops` hops of one symbol, or of a part of it, in."""
        before = self.run[1] if symbol == self.run[0] else 0
        length = before + hops
        self.run = (symbol, length)
        if symbol == NOTHING or length < CLEAR_HOPS:
            self.quiet_hops += hops
            return
        if before < CLEAR_HOPS:
            self.quiet_hops -= before
            if not self.symbols:
                self.is_beginning = symbol >= STARTS[0]
            elif symbol not in VALUES or self.is_quiet:
                self.is_beginning = False
        self.symbols += self._count(length) - self._count(before)
        self.quiet_hops = 0

    def _count(self, hops: int) -> int:
        return 0 if hops < CLEAR_HOPS else 1 + (hops - CLEAR_HOPS) // self.symbol_hops

    @property
    def is_quiet(self) -> bool:
        """No tone for about 50 ms: longer than any seam of two symbols."""
        return self.quiet_hops >= 2 * self.symbol_hops

    def is_damage(self, *, at_end: bool) -> bool:
        """False also for the beginning of a word after which it became quiet: that was cut off, not damaged."""
        cut_off = self.is_beginning and (at_end or self.is_quiet)
        return self.symbols >= DAMAGE_SYMBOLS and not cut_off


class Packet(NamedTuple):
    """A whole word: its start and end symbol, its text with spaces, its hops, and whether damage lies before it."""

    start: int
    body: str
    end: int
    start_hop: int
    end_hop: int
    after_damage: bool


class Reader:
    """Symbols per hop in, whole words out. It finds a start symbol, then reads one symbol in each symbol's time."""

    SHIFTS = (0, -1, 1, -2, 2)

    def __init__(self, symbol_hops: int) -> None:
        self.symbol_hops = symbol_hops
        self.symbols: list[int] = []
        self.base_hop = 3 - symbol_hops  # the first window lies before the audio, but for its last hop
        self.at = 0
        self.stray = Stray(symbol_hops)
        self.begun: list[int] = []

    def feed(self, symbols: list[int], *, is_end: bool = False) -> list[Packet]:
        """The words that are whole now. `is_end`: no symbol will follow."""
        self.symbols += symbols
        self.begun = []
        packets: list[Packet] = []
        while self.at < len(self.symbols):
            run_end = self._run_end()
            if self._may_start(run_end):
                if run_end == len(self.symbols) and not is_end:
                    break
                packet = self._packet((self.at + run_end - 1) // 2, is_end=is_end)
                if packet is None:
                    break
                if isinstance(packet, Packet):
                    packets.append(packet)
                    continue
            self._pass(run_end)
        if self.at > 4096:
            heard = min(self.at, len(self.symbols))
            del self.symbols[:heard]
            self.base_hop += heard
            self.at -= heard
        return packets

    def _may_start(self, run_end: int) -> bool:
        symbol, hops = self.symbols[self.at], run_end - self.at
        if symbol < STARTS[0] or symbol == self.stray.run[0] or hops > 2 * self.symbol_hops:
            return False
        return hops >= CLEAR_HOPS or run_end == len(self.symbols)

    def _run_end(self) -> int:
        symbol, place = self.symbols[self.at], self.at + 1
        while place < len(self.symbols) and self.symbols[place] == symbol:
            place += 1
        return place

    def _pass(self, place: int) -> None:
        self.stray.note(self.symbols[self.at], place - self.at)
        self.at = place

    def _packet(self, centre: int, *, is_end: bool) -> Packet | bool | None:
        """The word whose start symbol is there; False when it is none, None while that is not known yet."""
        for shift in self.SHIFTS:
            place = max(0, centre + shift)
            heard, is_open = self._heard(place)
            if is_open and not is_end:
                self.begun = heard
                return None
            body = None if is_open else _body(heard)
            if body is None:
                continue
            last = place + self.symbol_hops * (len(heard) - 1)
            packet = Packet(
                heard[0],
                body,
                heard[-1],
                self.base_hop + place - 1,
                self.base_hop + last - 1 + self.symbol_hops,
                self.stray.is_damage(at_end=False),
            )
            self.stray.clear()
            self.at = last + CLEAR_HOPS
            return packet
        return False

    def _heard(self, place: int) -> tuple[list[int], bool]:
        """The symbols from a start on, up to an end or to what cannot follow, and whether more are needed."""
        heard: list[int] = []
        for at in range(place, place + self.symbol_hops * MAX_SYMBOLS, self.symbol_hops):
            if at >= len(self.symbols):
                return heard, True
            heard.append(self.symbols[at])
            if heard[1:] and heard[-1] not in VALUES:
                break
        return heard, False


def nibbles_to_bytes(nibbles: list[int]) -> bytes:
    """The bytes of data symbols, two each; an odd one at the end is left out."""
    values = [VALUES[symbol] for symbol in nibbles]
    return bytes(high << 4 | low for high, low in zip(values[0::2], values[1::2], strict=False))


def _body(heard: list[int]) -> str | None:
    """Text of a whole word, from its start symbol to its end symbol; None when they are none."""
    start, nibbles, end = heard[0], heard[1:-1], heard[-1]
    if start < STARTS[0] or end not in (END, LAST) or len(nibbles) <= CRC_SYMBOLS or len(nibbles) % 2:
        return None
    framed = nibbles_to_bytes(nibbles)
    if check(start, framed[:-2], end) != int.from_bytes(framed[-2:], "big"):
        return None
    try:
        return framed[:-2].decode("utf-8")
    except UnicodeDecodeError:
        return None
