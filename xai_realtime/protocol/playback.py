"""What of the agent's audio has been played. In: sizes, times, reports of a speaker. Out: heard time, cuts.

Pure bookkeeping: no audio is kept, and time comes as an argument. Imports: rooms 0-1.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final, Literal, NamedTuple

from xai_realtime.audio import AudioFormat
from xai_realtime.errors import ConfigurationError

__all__ = ["Cut", "Playback"]

REMEMBERED_ITEMS: Final = 64
"""Items that are over and whose times can still be asked for."""

_OPUS_UNITS_PER_S: Final = 1_000_000
_ROUNDING_UNITS: Final = 0.01
"""Float error of a sum of times stays far below this part of a sample."""


class Cut(NamedTuple):
    """An item that was stopped before its end, in whole milliseconds: `0 <= heard_ms < received_ms`."""

    item_id: str
    response_id: str
    heard_ms: int
    received_ms: int


class _Item:
    """One item's audio in units of `Playback`: samples, or microseconds of Opus."""

    __slots__ = ("heard", "is_done", "is_told", "item_id", "queued", "received", "response_id", "rest_bytes")

    def __init__(self, item_id: str, response_id: str) -> None:
        self.item_id = item_id
        self.response_id = response_id
        self.received = 0
        self.heard = 0
        self.queued = 0
        self.rest_bytes = 0
        self.is_done = False
        self.is_told = False


class _Span:
    """Audio of one item that plays in one piece."""

    __slots__ = ("item", "units")

    def __init__(self, item: _Item, units: int) -> None:
        self.item = item
        self.units = units


class Playback:
    """How much of the agent's audio has been played, item by item.

    In `clock` mode the speaker is taken to play without gaps from the moment at which audio arrives. In `reported`
    mode only `played` counts. Times are milliseconds on one clock; a time before the last one counts as the last one.

    Speech of the agent begins where `received` returns True and ends once: where `speech_ended` returns True, or with
    `flush`. A pause in the middle of a response, because its audio came late, is part of the speech. Ask `speech_ended`
    before giving `received` the audio of the next response, then begin and end alternate.
    """

    __slots__ = (
        "_finished",
        "_head_ms",
        "_is_reported",
        "_is_speaking",
        "_now_ms",
        "_open_responses",
        "_over_response",
        "_past",
        "_played",
        "_received",
        "_reported",
        "_response_id",
        "_sample_bytes",
        "_slack",
        "_spans",
        "_units_per_s",
        "_waiting",
    )

    def __init__(self, format: AudioFormat, *, mode: Literal["clock", "reported"] = "clock") -> None:
        if mode not in ("clock", "reported"):
            raise ConfigurationError(f"a playback mode is 'clock' or 'reported', not {mode!r}")
        is_opus = format.encoding == "opus"
        self._sample_bytes = 0 if is_opus else format.sample_bytes
        self._units_per_s = _OPUS_UNITS_PER_S if is_opus else format.rate_hz
        self._is_reported = mode == "reported"
        self.reset()

    def reset(self) -> None:
        """Forget everything that was received and played, as for a new connection. The mode stays."""
        self._waiting: dict[str, _Item] = {}
        self._past: dict[str, _Item] = {}
        self._spans: deque[_Span] = deque()
        self._finished: list[str] = []
        self._open_responses: set[str] = set()
        self._over_response: str | None = None
        self._response_id: str | None = None
        self._is_speaking = False
        self._received = 0
        self._played = 0
        self._reported = 0.0
        self._slack = 0
        self._now_ms = -math.inf
        self._head_ms = -math.inf

    @property
    def mode(self) -> Literal["clock", "reported"]:
        """`clock`, or `reported` from the first report on."""
        return "reported" if self._is_reported else "clock"

    @property
    def is_speaking(self) -> bool:
        """True from the first audio until `speech_ended` has said so, or `flush`."""
        return self._is_speaking

    def received(
        self, item_id: str, response_id: str, size_bytes: int, now_ms: float, duration_ms: float | None = None
    ) -> bool:
        """Audio arrived and goes to the speaker. True when the agent starts to speak with it.

        `duration_ms` goes before what the size tells. Half a sample at the end waits for the item's next audio.
        Raises ConfigurationError for Opus without a duration, and for a duration that is none.
        """
        self._settle(now_ms)
        item = self._waiting.get(item_id) or self._past.pop(item_id, None) or _Item(item_id, response_id)
        units = self._units(item, size_bytes, duration_ms)
        if not units:
            if item_id not in self._waiting:
                self._remember(item)
            return False
        starts = self._begin(response_id)
        self._waiting[item_id] = item
        item.received += units
        item.queued += units
        self._received += units
        if self._spans and self._spans[-1].item is item:
            self._spans[-1].units += units
        else:
            self._spans.append(_Span(item, units))
        self._head_ms = max(self._head_ms, self._now_ms) + units * 1000 / self._units_per_s
        return starts

    def played(self, audio_bytes: int | None = None, ms: float | None = None, *, now_ms: float) -> None:
        """The speaker has played so much more since its last report, in bytes or in milliseconds.

        The first report counts from where the agent last began to speak, and from then on only reports count. What a
        report says beyond the audio received is ignored, as is a late one after `flush`. A rest of less than 1 ms
        counts as played when the speaker reports milliseconds.
        Raises ConfigurationError when not one of the two is given, when it is negative, and for bytes of Opus.
        """
        self._settle(now_ms)
        if (audio_bytes is None) == (ms is None):
            raise ConfigurationError("a report of playback states either audio_bytes or ms")
        if audio_bytes is not None:
            if not self._sample_bytes:
                raise ConfigurationError("the bytes of Opus packets tell no time: report ms, not audio_bytes")
            more, slack = audio_bytes / self._sample_bytes, 0
        else:
            more, slack = _checked_ms(ms) * self._units_per_s / 1000, (self._units_per_s - 1) // 1000
        if more < 0:
            raise ConfigurationError(f"played audio is 0 bytes or more, not {audio_bytes!r}")
        self._is_reported = True
        self._slack = slack
        self._reported = min(self._reported + more, float(self._received))
        self._settle(now_ms)

    def item_done(self, item_id: str) -> None:
        """No more audio will come for the item. An item without audio is ignored."""
        item = self._waiting.get(item_id) or self._past.get(item_id)
        if item is not None:
            item.is_done = True
            self._tell(item)

    def response_done(self, response_id: str) -> None:
        """No more audio will come for the response; all its items are done."""
        self._open_responses.discard(response_id)
        self._over_response = response_id
        for item in (*self._past.values(), *self._waiting.values()):
            if item.response_id == response_id:
                item.is_done = True
                self._tell(item)

    def heard_ms(self, item_id: str, now_ms: float) -> float:
        """Milliseconds of the item that have been played; never more than `received_ms`, 0.0 for an unknown item."""
        self._settle(now_ms)
        item = self._waiting.get(item_id) or self._past.get(item_id)
        return 0.0 if item is None else item.heard * 1000 / self._units_per_s

    def received_ms(self, item_id: str) -> float:
        """Milliseconds of the item's audio received so far; 0.0 for an unknown item."""
        item = self._waiting.get(item_id) or self._past.get(item_id)
        return 0.0 if item is None else item.received * 1000 / self._units_per_s

    def is_playing(self, now_ms: float) -> bool:
        """True while received audio is not wholly played."""
        self._settle(now_ms)
        return self._played < self._received

    def ends_at_ms(self, now_ms: float) -> float | None:
        """When everything received will have been played; None when nothing plays and in `reported` mode."""
        return None if self._is_reported or not self.is_playing(now_ms) else self._head_ms

    def finished(self, now_ms: float) -> tuple[str, ...]:
        """Items that are done and wholly played since the last call, in order; never one that was cut."""
        self._settle(now_ms)
        finished = tuple(self._finished)
        self._finished.clear()
        return finished

    def speech_ended(self, now_ms: float) -> bool:
        """True once for each speech: all that was received is played, and each response that spoke is over.

        It needs `response_done` for every response with audio; also for one that the server dropped.
        """
        self._settle(now_ms)
        if not self._is_speaking or self._open_responses or self._played < self._received:
            return False
        self._is_speaking = False
        return True

    def flush(self, now_ms: float) -> tuple[Cut, ...]:
        """Stop now: the items that were cut, in playing order; empty when nothing was interrupted.

        Afterwards nothing is playing and the agent does not speak. An item of which less than 1 ms is missing counts
        as heard.
        """
        self._settle(now_ms)
        cuts = []
        for item in self._waiting.values():
            heard_ms, received_ms = (units * 1000 // self._units_per_s for units in (item.heard, item.received))
            if heard_ms < received_ms:
                cuts.append(Cut(item.item_id, item.response_id, heard_ms, received_ms))
                item.is_told = True
            item.queued = 0
            self._tell(item)
            self._remember(item)
        self._waiting.clear()
        self._spans.clear()
        self._open_responses.clear()
        self._is_speaking = False
        self._received = self._played
        self._reported = float(self._played)
        self._head_ms = -math.inf
        return tuple(cuts)

    def _units(self, item: _Item, size_bytes: int, duration_ms: float | None) -> int:
        if duration_ms is not None:
            return round(_checked_ms(duration_ms) * self._units_per_s / 1000)
        if not self._sample_bytes:
            raise ConfigurationError("the size of Opus packets tells no time: state duration_ms")
        units, item.rest_bytes = divmod(item.rest_bytes + size_bytes, self._sample_bytes)
        return units

    def _begin(self, response_id: str) -> bool:
        """Take note of who speaks; True when the agent was silent before."""
        is_quiet = self._played == self._received
        starts = is_quiet and not (self._is_speaking and response_id == self._response_id)
        if starts:
            self._open_responses.clear()
            self._is_speaking = True
            if not self._is_reported:
                self._reported = float(self._played)
        self._response_id = response_id
        if response_id != self._over_response:
            self._open_responses.add(response_id)
        return starts

    def _position(self) -> int:
        """Units played since `reset`, by the clock or by the reports."""
        if self._is_reported:
            position = int(self._reported + _ROUNDING_UNITS)
            return self._received if self._received - position <= self._slack else position
        ahead_ms = self._head_ms - self._now_ms
        if ahead_ms <= 0:
            return self._received
        # A sample that is playing counts, else the whole milliseconds of 22,050 Hz would come out one too low.
        return self._received - int(ahead_ms * self._units_per_s / 1000 + _ROUNDING_UNITS)

    def _settle(self, now_ms: float) -> None:
        """Move what has been played by now from the queue to the items."""
        if now_ms > self._now_ms:
            self._now_ms = now_ms
        if self._played == self._received:
            return
        advance = self._position() - self._played
        if advance <= 0:
            return
        self._played += advance
        while advance:
            span = self._spans[0]
            item = span.item
            step = min(span.units, advance)
            advance -= step
            span.units -= step
            item.heard += step
            item.queued -= step
            if not span.units:
                self._spans.popleft()
            if not item.queued:
                del self._waiting[item.item_id]
                self._remember(item)
                self._tell(item)

    def _tell(self, item: _Item) -> None:
        """Note for `finished` an item that is done and wholly played."""
        if item.is_done and not item.queued and not item.is_told:
            item.is_told = True
            self._finished.append(item.item_id)

    def _remember(self, item: _Item) -> None:
        self._past[item.item_id] = item
        if len(self._past) > REMEMBERED_ITEMS:
            del self._past[next(iter(self._past))]


def _checked_ms(ms: float | None) -> float:
    if ms is None or not 0 <= ms < math.inf:
        raise ConfigurationError(f"a duration is 0 ms or more, not {ms!r}")
    return ms
