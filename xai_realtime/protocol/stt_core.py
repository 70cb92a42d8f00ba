"""What a transcription stream knows and decides, without I/O and clock. In: audio, events, times. Out: what to do.

Times are seconds of any clock that does not go back. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import Any, Final

from xai_realtime.defaults import STT_FRAME_MS
from xai_realtime.errors import ServiceError, TransportTimeoutError
from xai_realtime.events import stt as wire
from xai_realtime.protocol.desk import Table
from xai_realtime.protocol.stt_events import SttDone, SttEvent, SttReconnected
from xai_realtime.protocol.stt_flush import wire_silence
from xai_realtime.protocol.stt_loud import is_loud
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.protocol.stt_ring import OPUS_UNITS_PER_S, Kind, Piece, Restart, SttRing
from xai_realtime.protocol.stt_transcript import SttTranscript

__all__ = ["DEAF", "ERROR_CODE", "IDLE", "STT_LINE", "SttCore"]

STT_LINE: Final[Table] = {
    ("down", "opened"): "starting",
    ("starting", "created"): "ready",
    ("ready", "end_sent"): "ending",
    ("starting", "lost"): "down",
    ("ready", "lost"): "down",
    ("ending", "lost"): "down",
    ("down", "over"): "over",
    ("starting", "over"): "over",
    ("ready", "over"): "over",
    ("ending", "over"): "over",
}
"""The connection: `starting` until `transcript.created`, `ready` for audio, `ending` after `audio.done`."""

IDLE: Final = "idle"
DEAF: Final = "deaf"
ERROR_CODE: Final = "error"
"""The service gives its errors no codes: they all have this one."""
POLL_S: Final = 1.0
POLLS: Final = 5
"""Silence of the caller is noticed within so many parts of the time after which it counts."""
LEAST_LOUD_S: Final = 0.1
"""Less loud audio than this behind the last words is their end and no new word."""


class _Watch:
    """When things happened: what the timers go by."""

    __slots__ = ("audio_s", "counted", "given", "heard_s", "moved_s", "was_deaf", "went_s")

    def __init__(self) -> None:
        self.audio_s = self.went_s = self.heard_s = self.moved_s = 0.0
        self.counted = self.given = 0
        self.was_deaf = False

    def begin(self, now_s: float) -> None:
        """A connection is ready."""
        self.went_s = self.heard_s = self.moved_s = now_s


class SttCore:
    """One stream: its audio, its words, and the state of its line.

    `told` is what the reader has not taken yet, `redial` why the connection has to be replaced, `failure` what ends
    the stream, `done` the transcript once the stream ended in order.
    """

    def __init__(self, config: Any, policy: SttPolicy, block_bytes: int) -> None:
        self.policy = policy
        self.state = "down"
        self.told: deque[SttEvent] = deque()
        self.transcript = SttTranscript(config.channels, interim=config.interim_results)
        self.is_ending = False
        self.redial: str | None = None
        self.failure: Exception | None = None
        self.done: SttDone | None = None
        self.connections = 0
        self.attempt = 1
        self._encoding: str = config.encoding
        self._channels: int = config.channels
        self._block = block_bytes
        units_per_s = OPUS_UNITS_PER_S if self._encoding == "opus" else block_bytes * config.sample_rate
        self.ring = SttRing(policy.ring_s, units_per_s, self._encoding)
        self._silence = b""
        if self._encoding != "opus":
            self._silence = wire_silence(
                STT_FRAME_MS, config.sample_rate, encoding=self._encoding, channels=config.channels
            )
        self._watch = _Watch()
        self._restart: SttReconnected | None = None
        self._is_stale = False
        self.is_paused = False
        """The reader is slow, and the socket is not read."""

    # The line

    def _step(self, trigger: str) -> None:
        self.state = STT_LINE.get((self.state, trigger), self.state)

    def opened(self) -> None:
        """The socket is open."""
        self.connections += 1
        self._step("opened")

    def lost(self, reason: str) -> None:
        """The connection is over and the stream is not: what is not certain waits for the next one."""
        self._step("lost")
        self.redial = None
        if reason == IDLE:
            self.ring.settle(self.ring.sent)
        ring, open_s = self.ring, self.transcript.open_from_s()
        restart = ring.restart(None if open_s is None else self._place(open_s))
        flushing = self.transcript.flushing if ring.has_wish else ()
        self.told.extend(self.transcript.shift(self._seconds(restart.at)))
        for channel in flushing:
            self.transcript.asked_to_flush(channel)
        if self.connections:
            self._restart = self._reconnected(reason, restart)

    def _reconnected(self, reason: str, restart: Restart) -> SttReconnected:
        before = self._restart
        return SttReconnected(
            reason=reason if before is None else before.reason,
            resent_ms=self._seconds(restart.resent) * 1000,
            lost_ms=self._seconds(restart.lost) * 1000 + (0.0 if before is None else before.lost_ms),
            offset_s=self._seconds(restart.at),
            attempt=1,
        )

    def over(self) -> None:
        """The stream is over, for whatever reason."""
        self._step("over")

    def end(self) -> None:
        """The stream is over, without a word from the service about its end."""
        *told, done = self.transcript.end()
        self.told.extend((*told, done))
        assert isinstance(done, SttDone)
        self.done = done
        self.over()

    def fail(self, error: Exception) -> None:
        """The stream is over because of this; what was said by then stays said."""
        if self.state != "over":
            self.failure = error
            self.told.extend(event for event in self.transcript.end() if not isinstance(event, SttDone))
            self.over()

    @property
    def is_parked(self) -> bool:
        """Does the line stay down until there is something to send?"""
        return self._is_stale and not self.is_ending and not self.ring.has_held

    # What goes out

    @property
    def is_direct(self) -> bool:
        """May audio go out at once? It is appended to `ring.inflow` then; else it has to be held."""
        is_busy = self._is_stale or self.is_ending or self.redial is not None or self.ring.has_held
        return self.state == "ready" and not is_busy

    def hold(self, payload: bytes, kind: Kind = "audio") -> None:
        """Audio, a wish or silence has to wait for its turn."""
        units = self.ring.units(payload) if kind == "audio" else 0
        self.ring.hold(Piece(payload, units, kind))
        if self._is_stale and self.state == "ready":
            self.redial = IDLE

    def next_out(self, end: bytes) -> Piece | None:
        """What is to be sent next; behind everything else `end`, when there is no more audio."""
        if self.state != "ready" or self.redial is not None:
            return None
        piece = self.ring.next()
        return Piece(end, 0, "end") if piece is None and self.is_ending else piece

    def went_out(self, piece: Piece, now_s: float) -> None:
        """It was sent."""
        self._watch.moved_s = now_s
        if piece.kind == "end":
            self._step("end_sent")
            return
        at = self.ring.wire
        self.ring.held_sent()
        if piece.kind in ("silence", "keep_alive"):
            self.transcript.places.insert(self._seconds(at), self._seconds(len(piece.payload)))
        if piece.kind == "keep_alive":
            self._watch.counted = self.ring.wire

    # What comes in

    def receive(self, event: object, now_s: float) -> bool:
        """Take in an event of the socket; True when the connection is of no more use.

        Raises ServiceError for an `error` event.
        """
        if isinstance(event, wire.Error):
            raise ServiceError(ERROR_CODE, _said(event))
        told = self.transcript.fold(event)
        if isinstance(event, wire.TranscriptCreated):
            self._created(now_s)
        elif told:
            self._watch.heard_s = self._watch.moved_s = now_s
            self._watch.was_deaf = False
            self.ring.heard()
        ended = bool(told) and isinstance(told[-1], SttDone)
        is_end = ended and self.is_ending and not self.ring.has_held
        if is_end:
            self.done = self.transcript.so_far()
            self.over()
        self.told.extend(event for event in told if is_end or not isinstance(event, SttDone))
        if told:
            self.ring.settle(self._place(self.transcript.committed_s()))
        return ended

    def _created(self, now_s: float) -> None:
        self._step("created")
        self._is_stale = False
        self._watch.begin(now_s)
        self._watch.audio_s = now_s
        self._watch.counted, self._watch.given = self.ring.wire, self.ring.given
        restart, self._restart = self._restart, None
        if restart is not None:
            self.told.append(replace(restart, attempt=self.attempt))

    # What nobody told

    def owes(self, channel: int) -> bool:
        """May an utterance be owed on a channel: is something being said, or is loud audio behind the last words?"""
        return self.transcript.has_previews or self._has_loud(channel)

    @property
    def has_uncommitted(self) -> bool:
        """Was anything said whose words are not certain, as far as one can tell?"""
        return self.transcript.has_previews or any(self._has_loud(channel) for channel in range(self._channels))

    def _has_loud(self, channel: int) -> bool:
        if self._encoding == "opus":
            return self.ring.given > self._place(self.transcript.committed_s(channel))
        committed, loud = self._place(self.transcript.committed_s(channel)), 0
        for at, audio in self.ring.unsettled():
            rest = audio[max(0, committed - at) :]
            if rest and is_loud(rest, self._encoding, self._channels, channel):
                loud += len(rest)
        return self._seconds(loud) >= LEAST_LOUD_S

    # Time

    def next_due_s(self, now_s: float) -> float:
        """When `tick` is to be called next."""
        if self.state not in ("ready", "ending"):
            return math.inf
        due_s = self._watch.moved_s + self.policy.finish_timeout_s if self.is_ending else math.inf
        if self.state == "ending":
            return due_s
        waits = (self.policy.keep_alive_s, self.policy.renew_idle_s, self.policy.deaf_after_s)
        polls = [min(POLL_S, wait_s / POLLS) for wait_s in waits if wait_s is not None]
        return min(due_s, now_s + min(polls, default=math.inf))

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        if self.is_ending:
            bound_s = self.policy.finish_timeout_s
            if now_s >= self._watch.moved_s + bound_s:
                self.fail(TransportTimeoutError("transcript.done", bound_s))
            return
        if self.state != "ready":
            return
        watch, policy, ring = self._watch, self.policy, self.ring
        if ring.wire != watch.counted:
            watch.counted, watch.went_s = ring.wire, now_s
        if ring.given != watch.given:
            watch.given, watch.audio_s = ring.given, now_s
        if policy.renew_idle_s is not None and now_s - watch.audio_s >= policy.renew_idle_s:
            self._is_stale = True
        self._check_deafness(now_s)
        rest_s = policy.keep_alive_s if self._silence and not (self._is_stale or ring.has_held) else None
        if rest_s is not None and now_s - watch.went_s >= rest_s:
            watch.went_s = now_s
            ring.hold(Piece(self._silence, 0, "keep_alive"))

    def _check_deafness(self, now_s: float) -> None:
        deaf_after_s, watch = self.policy.deaf_after_s, self._watch
        if deaf_after_s is None or watch.was_deaf or self.is_paused or now_s - watch.heard_s < deaf_after_s:
            return
        if self._seconds(self.ring.loud_units()) >= deaf_after_s:
            watch.was_deaf = True
            self.redial = DEAF

    def reads_again(self, now_s: float) -> None:
        """The service may be silent from now on only for so long: until now the silence was ours."""
        self.is_paused = False
        self._watch.heard_s = self._watch.moved_s = now_s

    def _seconds(self, units: int) -> float:
        return units / self.ring.units_per_s

    def _place(self, time_s: float) -> int:
        """The units before a second of the stream, whole samples of all channels."""
        units = round(time_s * self.ring.units_per_s)
        return units if self._encoding == "opus" else units - units % self._block


def _said(event: wire.Error) -> str:
    """What an error says, under whichever name."""
    told: Any = event.message or event.error
    if isinstance(told, dict):
        told = told.get("message") or told.get("error") or ""
    return str(told or "")
