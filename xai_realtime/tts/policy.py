"""How speaking behaves where the wire leaves it open. In: wishes. Out: checked values. Imports: room 0."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from xai_realtime.defaults import (
    TTS_AUDIO_TIMEOUT_S,
    TTS_CLEAR_TIMEOUT_S,
    TTS_CONNECTIONS,
    TTS_FIRST_AUDIO_TIMEOUT_S,
    TTS_MAX_AGE_S,
)
from xai_realtime.errors import ConfigurationError

__all__ = ["TtsPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsPolicy:
    """How the sockets of `client.tts.stream` are kept: `AsyncClient(tts_policy=TtsPolicy(max_age_s=60))`.

    A socket older than `max_age_s` is renewed before the next utterance, never within one. `max_connections` may be
    open at a time; who wants one more waits, in order. After an interruption the service has `clear_timeout_s` to
    confirm that nothing of the old text follows; then the socket is given up. `first_audio_timeout_s` bounds the wait
    for audio once the text of an utterance is complete, `audio_timeout_s` the silence between two pieces of audio
    from then on; None waits for ever. Times are in seconds.

    Raises ConfigurationError for a value that is not allowed.
    """

    max_age_s: float = TTS_MAX_AGE_S
    max_connections: int = TTS_CONNECTIONS
    clear_timeout_s: float = TTS_CLEAR_TIMEOUT_S
    first_audio_timeout_s: float | None = TTS_FIRST_AUDIO_TIMEOUT_S
    audio_timeout_s: float | None = TTS_AUDIO_TIMEOUT_S

    def __post_init__(self) -> None:
        count = self.max_connections
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"max_connections is {count!r}; a whole number from 1 is allowed")
        for entry in fields(self):
            value = getattr(self, entry.name)
            may_be_none = entry.name in ("first_audio_timeout_s", "audio_timeout_s")
            if entry.name == "max_connections" or (value is None and may_be_none):
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not is_number or value <= 0:
                also = " or None" if may_be_none else ""
                raise ConfigurationError(
                    f"{entry.name} is {value!r}; a finite number of seconds above 0{also} is allowed"
                )
