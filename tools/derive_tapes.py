"""Makes the tapes in `cassettes/realtime/` out of a folder of recorded sessions.

The order of events and fields, their JSON types, the lengths of audio and the distances in time are a recording's.
Words, ids, audio, token counts and the date are this project's own: words stand in the table below and are put in by
position, audio is synthesised in whole numbers, so that every machine makes the same bytes.

Usage: python tools/derive_tapes.py RECORDINGS_DIR [OUT]
"""

from __future__ import annotations

import math
import sys
from array import array
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xai_realtime.cassette._json import dump_json
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.importing import ReadCapture, read_capture, write_steps
from xai_realtime.cassette.importing._capture import Closing, Message, Step, message
from xai_realtime.cassette.records import Header
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.frames import Frame

RATE_HZ: Final = 24_000
APPEND_MS: Final = 20
EPOCH_MS: Final = 1_767_225_600_000
"""The tapes begin with the year 2026."""
AUDIO: Final = "response.output_audio.delta"
WORDS_IN: Final = frozenset(
    {"arguments", "delta", "description", "instructions", "name", "output", "text", "transcript"}
)
NOTES: Final = (
    "Derived from a session with the service that was recorded for the tests of pydantic-ai (MIT licence): the order "
    "of events and fields, JSON types, audio lengths and distances in time are its. Words, ids, audio, token counts "
    "and the date are this project's own; the audio is a synthesised tone."
)


@dataclass(frozen=True)
class Script:
    """What is said on one tape: every text in the order in which it is first met, sentences piece by piece."""

    recording: str
    words: tuple[str, ...]
    close_reason: str = ""


SCRIPTS: Final[dict[str, Script]] = {
    "text_turn": Script(
        "text_in_audio_out_turn",
        ("Be brief and warm.", "Wish the crew good luck.", "Fair winds, all!"),
    ),
    "voice_turn": Script(
        "audio_in_server_vad_turn",
        (
            "Keep every answer friendly.",
            "Morning!",
            "Morning! This is",
            "Morning! This is Ines.",
            "Good morning Ines, lovely voice.",
            " What shall we look at first?",
        ),
    ),
    "history_seeding": Script(
        "history_seeding_parity_current",
        (
            "One sentence per reply, please.",
            "I am Tomas, and I keep four brown hens.",
            "Welcome Tomas, hens are fun!",
            "Who am I, and what do I keep?",
            "You are Tomas, you keep",
            " four brown hens.",
            " You said so at the very start.",
        ),
    ),
    "resumption": Script(
        "session_resumption_after_drop",
        (
            "Speak plainly and stay brief.",
            "Please note: our meeting point is the old lighthouse. Just confirm.",
            "Noted: the old lighthouse.",
            "Where did we agree to meet?",
            "Lighthouse.",
            " We said the old lighthouse is where we meet.",
        ),
        close_reason="line lost",
    ),
    "tool_call": Script(
        "tool_call_round",
        (
            "Call look_up_tide whenever somebody asks about the sea. Then give a single sentence.",
            "look_up_tide",
            "Gives the next high tide of a harbour town.",
            "When is high tide in Porto today?",
            "One moment, I look at the tide table",
            " for Porto.",
            '{"city":"Porto"}',
            "High tide in Porto is at 16:40, 3.1 metres.",
            "Porto has its high tide",
            " at twenty to five.",
            " It will reach about three metres.",
        ),
    ),
}


def texts_in(value: Any, event: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Where the free texts of a frame stand: its words, not the words of the protocol."""
    if isinstance(value, list):
        for item in value:
            yield from texts_in(item, event)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                if item and key in WORDS_IN and not (key == "delta" and event == AUDIO):
                    yield value, key
            else:
                yield from texts_in(item, event)


class Retelling:
    """One recording, told again: holds what was said so far, to put the same words where the same were."""

    def __init__(self, name: str, capture: ReadCapture) -> None:
        self._script = SCRIPTS[name]
        self._capture = capture
        self._voice = sorted(SCRIPTS).index(name)
        self._said: dict[str, str] = {}
        self._left = list(self._script.words)
        self._pieces: list[str] = []
        self._prompt = ""
        self._played: dict[str, int] = {}
        self._appends = 0
        self._speech = self._speech_ms()

    def steps(self) -> list[Step]:
        """The steps of the tape."""
        for step in self._capture.steps:
            if isinstance(step.what, Closing):
                step.what.reason = self._script.close_reason
            elif isinstance(step.what, Message):
                if step.what.value is None:
                    raise SystemExit(f"{self._script.recording}: a frame that is no JSON object")
                self._tell(step.what.value)
                step.what = message(Frame(dump_json(step.what.value)), step.what.direction)
        if self._left:
            raise SystemExit(f"{self._script.recording}: {len(self._left)} texts of the script are left over")
        return self._capture.steps

    def _tell(self, value: dict[str, Any]) -> None:
        event = str(value["type"])
        if event == "response.output_audio_transcript.done":
            self._said[value["transcript"]] = "".join(self._pieces)
        for holder, key in texts_in(value, event):
            holder[key] = self._own(holder[key])
            if key == "text" and event == "conversation.item.create":
                self._prompt = holder[key]
        if event == "response.created":
            self._pieces = []
        elif event == "response.output_audio_transcript.delta":
            self._pieces.append(value["delta"])
        elif event == AUDIO:
            value["delta"] = self._spoken(value["item_id"], value["audio_duration_ms"])
            value["ts"] = self._shifted(value["ts"])
        elif event == "ping":
            value["timestamp"] = self._shifted(value["timestamp"])
        elif event == "input_audio_buffer.append":
            value["audio"] = self._heard()
        elif event == "response.done":
            items = [item["id"] for item in value["response"]["output"]]
            self._count(value["usage"], sum(self._played.get(item, 0) for item in items))

    def _own(self, text: str) -> str:
        if text not in self._said:
            if not self._left:
                raise SystemExit(f"{self._script.recording}: the script has too few texts")
            self._said[text] = self._left.pop(0)
        return self._said[text]

    def _shifted(self, epoch_ms: int) -> int:
        zero = self._capture.line.epoch_ms
        if zero is None:
            raise SystemExit(f"{self._script.recording}: no event states its time")
        return EPOCH_MS + epoch_ms - round(zero)

    def _spoken(self, item: str, duration_ms: int) -> str:
        start = self._played.get(item, 0)
        self._played[item] = start + duration_ms
        return _base64(tone(start, duration_ms, self._voice + len(self._played)))

    def _heard(self) -> str:
        start, self._appends = self._appends * APPEND_MS, self._appends + 1
        samples = tone(start, APPEND_MS, self._voice + 3)
        first, last = self._speech
        for index in range(len(samples)):
            if not first * RATE_HZ <= (start * RATE_HZ + index * 1000) < last * RATE_HZ:
                samples[index] = 0
        return _base64(samples)

    def _speech_ms(self) -> tuple[int, int]:
        values = [step.what.value or {} for step in self._capture.steps if isinstance(step.what, Message)]
        names = [value.get("type") for value in values]
        starts = [value["audio_start_ms"] for value in values if "audio_start_ms" in value]
        ends = [value["audio_end_ms"] for value in values if "audio_end_ms" in value]
        sent_ms = names.count("input_audio_buffer.append") * APPEND_MS
        if max(ends, default=0) > sent_ms:
            raise SystemExit(f"{self._script.recording}: {sent_ms} ms of microphone are less than the events state")
        return min(starts, default=0), max(ends, default=0)

    def _count(self, usage: dict[str, Any], spoken_ms: int) -> None:
        """Own token counts: a word is a token, a second of audio 50; what was 0 stays 0."""
        heard_ms = self._appends * APPEND_MS
        words_in = self._prompt or " ".join(self._script.words[:1])
        sizes = {
            "input": (len(words_in.split()), math.ceil(heard_ms / 20)),
            "output": (len("".join(self._pieces).split()), math.ceil(spoken_ms / 20)),
        }
        for side, (words, audio) in sizes.items():
            details = usage[f"{side}_token_details"]
            details["text_tokens"] = words if details["text_tokens"] else 0
            details["audio_tokens"] = audio if details["audio_tokens"] else 0
            usage[f"{side}_tokens"] = sum(details.values())
        usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
        usage["output_audio_seconds"] = spoken_ms / 1000
        usage["billable_audio_seconds"] = math.ceil((spoken_ms + heard_ms) / 1000)


def tone(start_ms: int, duration_ms: int, voice: int) -> array[int]:
    """Soft syllables as 16-bit samples at 24 kHz, a function of the place in the stream alone."""
    syllable, gap = RATE_HZ * 170 // 1000, RATE_HZ * 30 // 1000
    samples = array("h")
    first = start_ms * RATE_HZ // 1000
    for position in range(first, first + duration_ms * RATE_HZ // 1000):
        number, place = divmod(position, syllable)
        sounding = syllable - gap
        if place >= sounding:
            samples.append(0)
            continue
        hertz = (196, 220, 247, 262, 294)[(number * 3 + voice * 2 + number // 4) % 5]
        swell = 4096 * place * (sounding - place) // (sounding * sounding)
        samples.append(_wave(place * hertz * 65_536 // RATE_HZ) * swell >> 11)
    return samples


def _wave(phase: int) -> int:
    """A sine's shape out of two parabolas, from -4096 to 4096; 65,536 is a full turn."""
    x = (phase & 0xFFFF) - 32_768
    return -(x * (32_768 - abs(x)) >> 16)


def _base64(samples: array[int]) -> str:
    if sys.byteorder == "big":
        samples.byteswap()
    return b64encode(samples.tobytes()).decode("ascii")


def derive(recordings: Path, out: Path) -> list[Path]:
    """Write every tape of the table; give their paths."""
    paths = []
    for name, script in SCRIPTS.items():
        capture = read_capture(recordings / f"{script.recording}.yaml")
        redactor = Redactor(environ={})
        header = Header(origin="derived", timing=capture.timing, media="full", redaction=redactor.policy, notes=NOTES)
        steps = Retelling(name, capture).steps()
        paths.append(write_steps(CassetteWriter(out / f"{name}.jsonl", header, redactor, IdNames()), steps))
    return paths


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__)
        return 2
    out = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parents[1] / "cassettes" / "realtime"
    for path in derive(Path(arguments[0]), out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
