"""The microphone ring against a plain model of it, sample by sample and packet by packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import count
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.audio import AudioFormat, audio_format
from xai_realtime.protocol.ring import MicrophoneRing

PCM: Final = audio_format("pcm", 8_000)
OPUS: Final = audio_format("opus")


@dataclass
class Unit:
    """A sample, or an Opus packet, in the model."""

    number: int
    state: str
    turn: int = 0
    at: int = 0
    lost: bool = False


class Model:
    """What the ring should know, sample by sample, in the plainest way."""

    def __init__(self, max_units: int) -> None:
        self.max_units = max_units
        self.units: list[Unit] = []
        self.stream = 0
        self.handed: list[Unit] = []
        self.discarded = False

    def of(self, state: str) -> list[Unit]:
        return [unit for unit in self.units if unit.state == state and not unit.lost]

    def kept(self) -> list[Unit]:
        return [unit for unit in self.units if not unit.lost]

    def fit(self) -> None:
        kept = self.kept()
        for unit in kept[: max(0, len(kept) - self.max_units)]:
            unit.lost = True

    def add(self, numbers: list[int], state: str) -> None:
        units = [Unit(number, state) for number in numbers]
        if state == "sent":
            self.go_out(units)
        self.units += units
        self.fit()

    def go_out(self, units: list[Unit]) -> None:
        for unit in units:
            unit.state, unit.at, unit.lost = "sent", self.stream, False
            self.stream += 1

    def hand(self, numbers: list[int]) -> None:
        self.handed = [unit for unit in self.units if unit.number in numbers]
        self.discarded = False
        assert self.handed == self.of("held")[: len(numbers)]

    def confirm(self) -> None:
        if self.discarded:
            self.stream += len(self.handed)
        else:
            self.go_out(self.handed)
            self.fit()
        self.handed = []

    def take(self, until: int) -> list[Unit]:
        return [unit for unit in self.units if unit.state == "sent" and unit.at < until]

    def settle(self, turn: int) -> None:
        self.units = [unit for unit in self.units if unit.state != "turn" or unit.turn > turn]

    def discard(self) -> None:
        self.units = [unit for unit in self.units if unit.state == "turn"]
        self.discarded = True

    def reconnect(self) -> None:
        self.units = self.kept()
        for unit in self.units:
            unit.state = "held"
        self.stream, self.handed = 0, []


class Both:
    """The ring and the model side by side; every method is one step of a course."""

    def __init__(self, format: AudioFormat, max_units: int) -> None:
        self.is_pcm = format.encoding == "pcm"
        self.unit_ms = 0.125 if self.is_pcm else 20
        self.max_ms = max_units * self.unit_ms
        self.ring, self.model = MicrophoneRing(self.max_ms, format), Model(max_units)
        self.numbers = count()
        self.turn = 0

    def read(self, audio: bytes) -> list[int]:
        step = 2 if self.is_pcm else len(audio)
        return [struct.unpack_from("<H", audio, at)[0] for at in range(0, len(audio), step)]

    def _new(self, size: int, state: str) -> bytes:
        numbers = [next(self.numbers) for _ in range(size if self.is_pcm else 1)]
        self.model.add(numbers, state)
        padding = b"" if self.is_pcm else b"x" * (numbers[0] % 3)
        return b"".join(struct.pack("<H", number) for number in numbers) + padding

    def sent(self, size: int, part: float) -> None:
        if self.model.of("held") or self.model.handed:
            self.held(size, part)  # audio goes out at once only when none waits
        else:
            self.ring.sent(self._new(size, "sent"))

    def held(self, size: int, part: float) -> None:
        self.ring.held(self._new(size, "held"))

    def hand(self, size: int, part: float) -> None:
        audio = self.ring.next_held()
        assert (audio is None) == (not self.model.of("held"))
        if audio is not None:
            self.model.hand(self.read(audio))

    def confirm(self, size: int, part: float) -> None:
        self.ring.held_sent()
        self.model.confirm()

    def drain(self, size: int, part: float) -> None:
        while self.model.of("held"):
            self.hand(size, part)
            self.confirm(size, part)

    def commit(self, size: int, part: float) -> None:
        until = int(part * self.model.stream)
        self.turn = self.ring.commit(until * self.unit_ms)
        for unit in self.model.take(until):
            unit.state, unit.turn = "turn", self.turn

    def release(self, size: int, part: float) -> None:
        until = int(part * self.model.stream)
        self.ring.release(until * self.unit_ms)
        released = self.model.take(until)
        self.model.units = [unit for unit in self.model.units if unit not in released]

    def settle(self, size: int, part: float) -> None:
        turn = max(0, self.turn - size % 3)
        self.ring.settle(turn)
        self.model.settle(turn)

    def discard(self, size: int, part: float) -> None:
        self.ring.discard_sent()
        self.model.discard()

    def reconnect(self, size: int = 0, part: float = 0) -> None:
        lost_ms, resend = self.ring.lost_ms, self.ring.reconnect()
        self.model.reconnect()
        assert (resend.lost_ms, resend.resent_ms) == (lost_ms, self.ring.kept_ms)
        resent = [number for audio in resend.audio for number in self.read(audio)]
        assert resent == [unit.number for unit in self.model.units]

    def check(self) -> None:
        assert self.ring.kept_ms == len(self.model.kept()) * self.unit_ms <= self.max_ms
        assert self.ring.lost_ms == sum(unit.lost for unit in self.model.units) * self.unit_ms
        assert self.ring.stream_ms == self.model.stream * self.unit_ms


OPERATIONS: Final = {
    "sent": Both.sent,
    "held": Both.held,
    "sent again": Both.sent,
    "held again": Both.held,
    "hand": Both.hand,
    "confirm": Both.confirm,
    "drain": Both.drain,
    "commit": Both.commit,
    "release": Both.release,
    "settle": Both.settle,
    "discard": Both.discard,
    "reconnect": Both.reconnect,
}
STEPS: Final = st.lists(
    st.tuples(st.sampled_from(list(OPERATIONS)), st.integers(1, 12), st.floats(0, 1.2)), max_size=40
)


@pytest.mark.behaviour("ring-loses-nothing-silently")
@pytest.mark.behaviour("ring-second-drop")
@pytest.mark.parametrize("format", [PCM, OPUS])
@settings(max_examples=120, deadline=None)
@given(steps=STEPS, max_units=st.integers(0, 40))
def test_audio_is_settled_discarded_kept_in_order_or_counted_as_lost_for_any_course(
    format: AudioFormat, steps: list[tuple[str, int, float]], max_units: int
) -> None:
    both = Both(format, max_units)
    for kind, size, part in steps:
        OPERATIONS[kind](both, size, part)
        both.check()
    both.reconnect()
