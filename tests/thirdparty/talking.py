"""The words of the calls, and how they sound. In: text; PCM. Out: chunks of audio; what a reply says."""

from __future__ import annotations

from collections.abc import Iterator

from xai_realtime.audible import speak
from xai_realtime.emulator import Prompt, ToolRequest, Turn

__all__ = ["ANSWER", "OUTPUT", "PREAMBLE", "QUESTION", "RATE_HZ", "answer", "frames", "stereo", "utterance"]

RATE_HZ = 24_000
QUESTION = "What is the weather in Porto?"
PREAMBLE = "Let me check."
OUTPUT = "sunny, 24 degrees"
ANSWER = f"In Porto: {OUTPUT}"
FRAME_BYTES = 4800
SILENCE_MS = 1500


def answer(prompt: Prompt) -> Turn | str | None:
    """The scenario: a weather question is looked up, everything else is said back."""
    if "weather" in prompt.heard:
        call = ToolRequest("get_weather", {"city": "Porto"})
        return Turn(say=PREAMBLE, calls=(call,), then="In Porto: {output}")
    return f"You said: {prompt.heard}"


def utterance(text: str, silence_ms: int = SILENCE_MS, rate_hz: int = RATE_HZ) -> bytes:
    """`text` as PCM16, with enough silence after it to end a turn."""
    return speak(text, sample_rate_hz=rate_hz) + bytes(2 * (rate_hz * silence_ms // 1000))


def frames(pcm: bytes, size: int = FRAME_BYTES) -> Iterator[bytes]:
    """`pcm` as a microphone gives it, 100 ms each where nothing else is said."""
    for start in range(0, len(pcm), size):
        yield pcm[start : start + size]


def stereo(pcm: bytes) -> bytes:
    """The same sound in two channels, interleaved."""
    return b"".join(2 * pcm[at : at + 2] for at in range(0, len(pcm), 2))
