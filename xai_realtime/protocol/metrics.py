"""How long things took, over a session. In: durations. Out: counts, means, extremes. Imports: protocol."""

from __future__ import annotations

from dataclasses import dataclass, field

from xai_realtime.protocol.session_events import Latency

__all__ = ["SessionMetrics", "Spread"]


@dataclass(slots=True)
class Spread:
    """Durations of one kind, in milliseconds: how many, the last, the shortest, the longest, all together."""

    count: int = 0
    total_ms: float = 0.0
    last_ms: float | None = None
    least_ms: float | None = None
    most_ms: float | None = None

    @property
    def mean_ms(self) -> float | None:
        """The mean, None when there is nothing yet."""
        return self.total_ms / self.count if self.count else None

    def add(self, duration_ms: float | None) -> None:
        """One more; None counts as nothing."""
        if duration_ms is None:
            return
        self.count += 1
        self.total_ms += duration_ms
        self.last_ms = duration_ms
        self.least_ms = duration_ms if self.least_ms is None else min(self.least_ms, duration_ms)
        self.most_ms = duration_ms if self.most_ms is None else max(self.most_ms, duration_ms)


@dataclass(slots=True)
class SessionMetrics:
    """Latencies of a session.

    `first_audio_ms`: from the request for a reply to its first audio. `end_of_speech_ms`: from the end of the user's
    speech to the first audio. `reply_ms`: from the request to the end of the reply. `tool_ms`: one call of a function.
    """

    first_audio_ms: Spread = field(default_factory=Spread)
    end_of_speech_ms: Spread = field(default_factory=Spread)
    reply_ms: Spread = field(default_factory=Spread)
    tool_ms: Spread = field(default_factory=Spread)

    def replied(self, latency: Latency) -> None:
        """A reply is over."""
        self.first_audio_ms.add(latency.first_audio_ms)
        self.end_of_speech_ms.add(latency.end_of_speech_ms)
        self.reply_ms.add(latency.total_ms)
