"""Was the audio of a capture cut short? In: steps. Out: `full` or `shortened`. Imports: rooms 0-2.

The rule: audio is short when it holds less than half of a length that the events state, and more than 20 ms of it
are missing. One short piece makes the capture `shortened`. Stated are

* `audio_duration_ms` of each audio delta, held against the delta's bytes at the session's output format;
* `audio_end_ms` of the last `speech_stopped`, held against the audio sent before it at the input format.

Formats are those last set by `session.update` or echoed by `session.updated` on the connection, PCM16 at 24 kHz before
that. Opus packets tell no length and are no evidence; nor is audio that is longer than stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import pybase64

from xai_realtime.cassette.importing._capture import Message, Step
from xai_realtime.defaults import AUDIO_RATE_HZ

__all__ = ["judge_media"]

MISSING_MS: Final = 20.0
DELTAS: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
SAMPLE_BYTES: Final = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}
RATES_HZ: Final = {"audio/pcm": AUDIO_RATE_HZ, "audio/pcmu": 8_000, "audio/pcma": 8_000}


def judge_media(steps: Sequence[Step]) -> Literal["full", "shortened"]:
    """`shortened` when one stated length is contradicted by the bytes, else `full`."""
    judges: dict[int, _Judge] = {}
    for step in steps:
        if isinstance(step.what, Message) and judges.setdefault(step.conn, _Judge()).is_short(step.what):
            return "shortened"
    return "full"


class _Judge:
    """Formats and lengths of one connection."""

    def __init__(self) -> None:
        self._bytes_per_s: dict[str, float | None] = {"input": AUDIO_RATE_HZ * 2.0, "output": AUDIO_RATE_HZ * 2.0}
        self._sent_ms: float | None = 0.0

    def is_short(self, message: Message) -> bool:
        value = message.value
        if value is None:
            if message.direction == "out" and not message.frame.is_text:
                self._send(len(message.frame.data))
            return False
        name = value.get("type")
        if message.direction == "out" and name == "input_audio_buffer.append":
            self._send(_audio_bytes(value.get("audio")))
        elif name in ("session.update", "session.updated"):
            self._note(value.get("session"))
        elif name in DELTAS:
            held = self._ms("output", _audio_bytes(value.get("delta")))
            return _is_short(held, value.get("audio_duration_ms"))
        elif name == "input_audio_buffer.speech_stopped":
            return _is_short(self._sent_ms, value.get("audio_end_ms"))
        return False

    def _ms(self, side: str, size_bytes: int) -> float | None:
        rate = self._bytes_per_s[side]
        return None if rate is None else size_bytes * 1000 / rate

    def _send(self, size_bytes: int) -> None:
        more = self._ms("input", size_bytes)
        self._sent_ms = None if more is None or self._sent_ms is None else self._sent_ms + more

    def _note(self, session: Any) -> None:
        audio = session.get("audio") if isinstance(session, dict) else None
        for side in ("input", "output"):
            part = audio.get(side) if isinstance(audio, dict) else None
            form = part.get("format") if isinstance(part, dict) else None
            if not isinstance(form, dict):
                continue
            name = form.get("type", "audio/pcm")
            name = name if isinstance(name, str) else ""
            rate = form.get("rate")
            rate = rate if type(rate) is int and rate > 0 else RATES_HZ.get(name)
            sample_bytes = SAMPLE_BYTES.get(name)
            self._bytes_per_s[side] = rate * float(sample_bytes) if rate and sample_bytes else None


def _audio_bytes(text: Any) -> int:
    if not isinstance(text, str):
        return 0
    try:
        return len(pybase64.b64decode(text, validate=True))
    except ValueError:
        return len(text) * 3 // 4


def _is_short(held_ms: float | None, stated_ms: Any) -> bool:
    if held_ms is None or isinstance(stated_ms, bool) or not isinstance(stated_ms, int | float):
        return False
    return held_ms * 2 < stated_ms and stated_ms - held_ms > MISSING_MS
