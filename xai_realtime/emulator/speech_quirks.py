"""How the emulated speech services behave where it can be chosen. In: settings. Out: the same, checked.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.errors import ConfigurationError

__all__ = ["CHAT_PATHS", "SPEECH_PATHS", "DoneText", "Refuse", "SpeechQuirks"]

DoneText: TypeAlias = Literal["empty", "tail", "last", "full"]
Cut: TypeAlias = Literal["before_done", "after_done"]

CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "done_text": ("empty", "tail", "last", "full"),
    "cut_at_end": (None, "before_done", "after_done"),
    "graph_times": ("pairs", "objects"),
    "error_field": ("message", "error"),
}
COUNTS: Final[Mapping[str, int]] = {"startup_ms": 600_000, "in_flight_deltas": 10_000}
SECONDS: Final = ("stt_idle_timeout_s", "goes_deaf_after_s", "tts_max_age_s")
SPEECH_PATHS: Final = ("/stt", "/tts", "/custom-voices")
CHAT_PATHS: Final = ("/chat", "/chat/completions", "/chat/deferred-completion", "/models", "/language-models")
PATHS: Final = (*SPEECH_PATHS, *CHAT_PATHS)
MAX_SPEAKER: Final = 1000
MAX_TIMES: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Answer requests with an HTTP status, `times` times; sockets that open are requests too.

    `body` goes out as it is (with `content_type`); without it the body is the flat JSON object of the service.
    `retry_after_s` is told in a header. `path` is what is refused with everything below it: `/stt`, `/tts` or
    `/custom-voices` among `SpeechQuirks`, `/chat`, `/models` or `/language-models` among `ChatQuirks`; None is all of
    them. Raises ConfigurationError for a value that is not allowed.
    """

    status: int
    body: str | None = None
    content_type: str = "application/json"
    retry_after_s: int | None = None
    times: int = 1
    path: str | None = None

    def __post_init__(self) -> None:
        _demand("status", self.status, _is_whole(self.status, 400, 599), "whole numbers from 400 to 599")
        _demand("body", self.body, isinstance(self.body, str | None), "texts, None")
        kind = self.content_type
        is_header = isinstance(kind, str) and kind.isascii() and kind.isprintable() and kind != ""
        _demand("content_type", kind, is_header, "texts that a header can hold")
        is_wait = self.retry_after_s is None or _is_whole(self.retry_after_s, 0, 86_400)
        _demand("retry_after_s", self.retry_after_s, is_wait, "whole numbers from 0 to 86400, None")
        _demand("times", self.times, _is_whole(self.times, 1, MAX_TIMES), f"whole numbers from 1 to {MAX_TIMES}")
        _demand("path", self.path, self.path in (None, *PATHS), ", ".join(map(repr, (None, *PATHS))))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechQuirks:
    """What `/v1/stt` and `/v1/tts` do where sources differ, or where a test wants it otherwise.

    Hearing: `startup_ms` is from the open socket to `transcript.created`. `speakers` are given to the utterances of
    a channel in turn where `diarize` asks for them, 0 without any. `done_text` is what `transcript.done` says:
    nothing, the utterance that was not over (`"tail"`, which then comes nowhere else), the last utterance once
    more, or everything. `no_words` leaves `words` out of partials. `language` is what was detected: partials, their
    end and answers state it, an empty one too (None: answers say what was asked for, else `en`, and partials nothing).
    `stays_open_after_done` hears a new turn behind `transcript.done`. `stt_idle_timeout_s` without audio ends in
    `ASR stream timed out` (None: never), `goes_deaf_after_s` without audio leaves the socket open and hears nothing
    any more. `stays_open_after_error` leaves the socket open after a fatal error, silent. `empty_partials` sends
    a partial without text every second after a `finalize`, until speech. `cut_at_end` breaks the connection off
    before or after the last `transcript.done`, without a close handshake.

    Speaking: `tts_max_age_s` is how long a socket lives. `odd_cuts` cuts audio through samples. `graph_times` are
    pairs or objects; `timestamps_alone` sends them in deltas without audio. `in_flight_deltas` is how much audio
    that is left still comes after a `text.clear`. `no_clear_receipt` never sends `audio.clear`; `done_after_clear`
    lets an `audio.done` follow it.

    Both: `error_field` is where an error says what is wrong; `refuse` are requests refused, each rule till it is
    used up.

    Raises ConfigurationError for a value that is not allowed.
    """

    startup_ms: int = 150
    speakers: tuple[int, ...] = ()
    done_text: DoneText = "empty"
    no_words: bool = False
    language: str | None = None
    stays_open_after_done: bool = False
    stt_idle_timeout_s: float | None = 300.0
    goes_deaf_after_s: float | None = None
    stays_open_after_error: bool = False
    empty_partials: bool = False
    cut_at_end: Cut | None = None
    tts_max_age_s: float | None = 2100.0
    odd_cuts: bool = False
    graph_times: Literal["pairs", "objects"] = "pairs"
    timestamps_alone: bool = False
    in_flight_deltas: int = 2
    no_clear_receipt: bool = False
    done_after_clear: bool = False
    error_field: Literal["message", "error"] = "message"
    refuse: tuple[Refuse, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            _demand(field.name, value, *_rule(field.name, value))


def _rule(name: str, value: Any) -> tuple[bool, str]:
    """Is the value of this field allowed, and what is?"""
    if name in CHOICES:
        return value in CHOICES[name], ", ".join(map(repr, CHOICES[name]))
    if name in COUNTS:
        return _is_whole(value, 0, COUNTS[name]), f"whole numbers from 0 to {COUNTS[name]}"
    if name in SECONDS:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value is None or (is_number and 0 < value < float("inf")), "seconds above 0, None"
    if name == "speakers":
        is_list = isinstance(value, tuple) and all(_is_whole(entry, 0, MAX_SPEAKER) for entry in value)
        return is_list, f"tuples of whole numbers from 0 to {MAX_SPEAKER}"
    if name == "language":
        return value is None or isinstance(value, str), "texts, None"
    if name == "refuse":
        is_rules = isinstance(value, tuple) and all(isinstance(entry, Refuse) for entry in value)
        allowed = "tuples of Refuse whose path is None, '/stt', '/tts' or '/custom-voices'"
        return is_rules and all(entry.path in (None, *SPEECH_PATHS) for entry in value), allowed
    return isinstance(value, bool), "True, False"


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _demand(name: str, value: Any, is_allowed: bool, wanted: str) -> None:
    if not is_allowed:
        raise ConfigurationError(f"{name} is {value!r}; allowed are {wanted}")
