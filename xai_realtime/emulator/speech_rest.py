"""Speech over HTTP as plain values. In: forms, JSON bodies, a world. Out: JSON objects, audio, refusals.

No web framework here: the server and the in-process transport share it. Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pybase64

from xai_realtime.audio import AudioFormat
from xai_realtime.emulator.containers import Recording, channels_of, raw_recording, read_container
from xai_realtime.emulator.failures import Refused
from xai_realtime.emulator.multipart import Part
from xai_realtime.emulator.query import SPEECH_RATES_HZ, BadSetting, Settings
from xai_realtime.emulator.reading import Fields
from xai_realtime.emulator.rest import INVALID, NOT_FOUND, Refusal
from xai_realtime.emulator.sounds import CODECS, CONTENT_TYPES, Encoder, check_codec
from xai_realtime.emulator.speech_quirks import SPEECH_PATHS
from xai_realtime.emulator.stt_engine import word_fields
from xai_realtime.emulator.stt_hearing import Ear, HeardWord
from xai_realtime.emulator.stt_settings import MAX_CHANNELS, RAW_ENCODINGS, SttSettings, check_common
from xai_realtime.emulator.tts_engine import timestamps
from xai_realtime.emulator.tts_settings import (
    BIT_RATES,
    MAX_TEXT_CHARACTERS,
    SPEEDS,
    TtsSettings,
    checked_replacements,
    language_of,
)
from xai_realtime.emulator.tts_sound import SpokenText
from xai_realtime.emulator.voices import built_in, is_known, new_voice_id, voice_list
from xai_realtime.emulator.world import World
from xai_realtime.errors import XaiRealtimeError

__all__ = [
    "MAX_UPLOAD_BYTES",
    "SpokenAnswer",
    "Transcription",
    "create_voice",
    "delete_voice",
    "handshake",
    "json_object",
    "refuse_once",
    "refused_setting",
    "synthesize",
    "update_voice",
    "voice",
    "voices",
]

MAX_UPLOAD_BYTES: Final = 500 * 1000 * 1000
MAX_REFERENCE_S: Final = 120
SLICE_MS: Final = 1000
ODD_BYTES: Final = 4801
CONTAINERS: Final = ("wav", "mp3", "ogg", "opus", "flac", "aac", "mp4", "m4a", "mkv")
UNPROCESSABLE: Final = ("missing_required_parameter", "invalid_type")
UNAVAILABLE: Final = "The service is currently unavailable"


def refuse_once(world: World, path: str) -> Refusal | None:
    """The refusal that `SpeechQuirks.refuse` asks for next at a path below the root, None when there is none."""
    for number, rule in enumerate(world.speech.refuse):
        is_meant = path.startswith(SPEECH_PATHS)
        is_meant = is_meant if rule.path is None else path == rule.path or path.startswith(f"{rule.path}/")
        if is_meant and world.refused[number] < rule.times:
            world.refused[number] += 1
            headers = {} if rule.retry_after_s is None else {"retry-after": str(rule.retry_after_s)}
            body = None if rule.body is None else rule.body.encode()
            return Refusal(rule.status, UNAVAILABLE, "A refusal that was asked for.", headers, body, rule.content_type)
    return None


def handshake(
    check: Callable[[Iterable[tuple[str, str]]], SttSettings | TtsSettings],
) -> Callable[[World, str, Sequence[tuple[str, str]]], Refusal | None]:
    """What a socket's query is refused for; `check` reads it."""

    def refusal(world: World, path: str, pairs: Sequence[tuple[str, str]]) -> Refusal | None:
        planned = refuse_once(world, path)
        if planned is not None:
            return planned
        try:
            asked = check(pairs)
        except BadSetting as error:
            return refused_setting(error)
        if isinstance(asked, TtsSettings) and not is_known(asked.voice):
            return no_voice(asked.voice)
        return None

    return refusal


def refused_setting(error: XaiRealtimeError, status: int = 400) -> Refusal:
    """The flat refusal of a setting."""
    return Refusal(status, INVALID, str(error))


def no_voice(voice_id: str) -> Refusal:
    """A voice that is not known."""
    return Refusal(404, NOT_FOUND, f"The voice {voice_id[:80]!r} does not exist.")


def json_object(body: bytes) -> dict[str, Any] | Refusal:
    """The JSON object of a body."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return Refusal(400, "", "The request's body is not JSON.")
    return given if isinstance(given, dict) else Refusal(400, "", "The request's body is no JSON object.")


class Transcription:
    """An upload to `POST /v1/stt`: made from its form, then heard bit by bit. Making it raises BadSetting."""

    def __init__(self, world: World, pairs: Sequence[tuple[str, str]], file: Part | None) -> None:
        given = Settings(pairs)
        check_common(given)
        given.number("vad_threshold", 0, 1)
        self._diarize = given.flag("diarize")
        asked = given.text("language")
        if given.flag("format") and asked is None:
            raise BadSetting("'format' needs 'language'.")
        stated = world.speech.language
        self._language = (asked or "en") if stated is None else stated
        self._channel_language = {} if stated is None else {"language": stated}
        self._is_multichannel = given.flag("multichannel")
        self._recording = recording_of(given, bytes(file.content) if file is not None else None)
        if self._is_multichannel and not 2 <= self._recording.channels <= MAX_CHANNELS:
            raise BadSetting(f"'multichannel' needs 2 to {MAX_CHANNELS} channels.")
        self._pcm, rate_hz = channels_of(self._recording, is_multichannel=self._is_multichannel)
        settings = SttSettings(form=AudioFormat("pcm", rate_hz), filler_words=given.flag("filler_words"))
        fallback, speakers = world.scenario.settings.stt_fallback, world.speech.speakers
        self._ears = [Ear(settings, fallback, speakers) for _ in self._pcm]
        self._slice_bytes = 2 * rate_hz * SLICE_MS // 1000
        self._texts: list[list[tuple[float, str]]] = [[] for _ in self._pcm]
        self._words: list[list[HeardWord]] = [[] for _ in self._pcm]

    def hear(self) -> Iterator[None]:
        """Listen to all of it, a second at a time, so that others have their turn between."""
        for channel, (ear, pcm) in enumerate(zip(self._ears, self._pcm, strict=True)):
            for at in range(0, len(pcm) + self._slice_bytes, self._slice_bytes):
                piece = pcm[at : at + self._slice_bytes]
                for result in ear.feed(piece) if piece else ear.finalize():
                    if result.speech_final:
                        self._texts[channel].append((result.start_ms, result.text))
                        self._words[channel] += result.words
                yield

    @property
    def answer(self) -> dict[str, Any]:
        """What was heard: the channels merged by time, and each by itself where that was asked for."""
        texts = sorted(text for channel in self._texts for text in channel)
        words = sorted((word for channel in self._words for word in channel), key=lambda word: word.start_ms)
        told: dict[str, Any] = {
            "text": " ".join(text for _, text in texts),
            "language": self._language,
            "duration": round(self._recording.duration_s, 2),
            **self._told(words),
        }
        if self._is_multichannel:
            told["channels"] = [
                {
                    "index": index,
                    **self._channel_language,
                    "text": " ".join(text for _, text in self._texts[index]),
                    **self._told(words),
                }
                for index, words in enumerate(self._words)
            ]
        return told

    def _told(self, words: Sequence[HeardWord]) -> dict[str, Any]:
        return {"words": [word_fields(word, diarize=self._diarize) for word in words]} if words else {}


def recording_of(given: Settings, audio: bytes | None) -> Recording:
    """The audio of an upload. Raises BadSetting."""
    kind = given.one_of("audio_format", (*RAW_ENCODINGS, *CONTAINERS))
    rate_hz = given.one_of_numbers("sample_rate", SPEECH_RATES_HZ)
    rate_hz = rate_hz or given.one_of_numbers("sample_rate_hertz", SPEECH_RATES_HZ)
    channels = given.whole("channels", 1, MAX_CHANNELS)
    if audio is None:
        raise BadSetting("Either 'file' or 'url' is required.")
    if kind not in RAW_ENCODINGS:
        return read_container(audio)
    if rate_hz is None:
        raise BadSetting(f"'sample_rate' is required with the audio_format '{kind}'.")
    if given.flag("multichannel") and channels is None:
        raise BadSetting("'channels' is required for raw audio of several channels.")
    return raw_recording(audio, RAW_ENCODINGS[kind], rate_hz, channels or 1)


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """Speech as the answer to `POST /v1/tts`."""

    content_type: str
    data: bytes = field(repr=False)

    def pieces(self) -> Iterator[bytes]:
        """The body in pieces that end anywhere, also in the middle of a sample."""
        for at in range(0, len(self.data), ODD_BYTES):
            yield self.data[at : at + ODD_BYTES]


def synthesize(world: World, body: bytes) -> SpokenAnswer | Refusal:
    """The answer to `POST /v1/tts`. Refusals have no code here, as at the service."""
    given = json_object(body)
    if isinstance(given, Refusal):
        return given
    try:
        return spoken_answer(world, Fields(given))
    except Refused as refused:
        status = 422 if refused.failure.code in UNPROCESSABLE else 400
        return Refusal(status, "", refused.failure.message)
    except BadSetting as refused:
        return Refusal(400, "", str(refused))


def spoken_answer(world: World, given: Fields) -> SpokenAnswer | Refusal:
    """Raises Refused and BadSetting."""
    text = given.needed_text("text")
    settings = speech_settings(given)
    replace = given.object("replace")
    replacements = checked_replacements(replace.values) if replace is not None else {}
    if not text.strip():
        raise BadSetting("'text' is empty.")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise BadSetting(f"'text' has {len(text)} characters; {MAX_TEXT_CHARACTERS} are allowed.")
    if not is_known(settings.voice):
        return Refusal(404, "", no_voice(settings.voice).message)
    speech = SpokenText(settings.rate_hz, replacements)
    speech.push(text)
    batch = speech.rest()
    pcm = b"" if batch is None else batch.pcm
    encoder = Encoder(settings.codec, settings.rate_hz, settings.bit_rate, len(pcm))
    audio = encoder.push(pcm) + encoder.finish()
    kind = CONTENT_TYPES[settings.codec]
    if not settings.with_timestamps:
        return SpokenAnswer(kind, audio)
    characters, times = ([], []) if batch is None else (batch.characters, batch.times)
    envelope = {
        "audio": pybase64.b64encode_as_string(audio),
        "content_type": kind,
        "duration": 0.0 if batch is None else batch.duration_s,
        "audio_timestamps": timestamps(characters, times, world.speech),
    }
    return SpokenAnswer("application/json", json.dumps(envelope, separators=(",", ":")).encode())


def speech_settings(given: Fields) -> TtsSettings:
    """What speech is asked for, without its text. Raises Refused and BadSetting."""
    language = language_of(given.needed_text("language"))
    form = given.object("output_format")
    codec, rate_hz, bit_rate = "mp3", None, None
    if form is not None:
        form.needed_text("codec")
        codec = form.one_of("codec", CODECS) or codec
        rate_hz = form.whole("sample_rate", 1, 1_000_000)
        bit_rate = form.whole("bit_rate", 1, 10_000_000)
    for name, value, allowed in (("sample_rate", rate_hz, SPEECH_RATES_HZ), ("bit_rate", bit_rate, BIT_RATES)):
        if value is not None and value not in allowed:
            raise BadSetting(f"Invalid '{name}': {value}; one of {', '.join(map(str, allowed))} is allowed.")
    codec = "mulaw" if codec == "ulaw" else codec
    check_codec(codec)
    given.number("speed", *SPEEDS)
    given.whole("optimize_streaming_latency", 0, 2)
    given.flag("text_normalization")
    usual = TtsSettings()
    return TtsSettings(
        language=language,
        voice=given.text("voice_id") or usual.voice,
        codec=codec,
        rate_hz=rate_hz or usual.rate_hz,
        bit_rate=bit_rate or usual.bit_rate,
        with_timestamps=bool(given.flag("with_timestamps")),
    )


def voices() -> dict[str, Any]:
    """The answer to `GET /v1/tts/voices`."""
    return voice_list()


def voice(voice_id: str) -> dict[str, Any] | Refusal:
    """The answer to `GET /v1/tts/voices/{voice_id}`."""
    return built_in(voice_id) or no_voice(voice_id)


def create_voice(world: World, pairs: Sequence[tuple[str, str]], file: Part | None, now_ms: float) -> dict[str, Any]:
    """The answer to `POST /v1/custom-voices`. Raises BadSetting."""
    if file is None:
        raise BadSetting("'file' is required.")
    audio = bytes(file.content)
    if read_container(audio).duration_s > MAX_REFERENCE_S:
        raise BadSetting(f"The reference audio is longer than {MAX_REFERENCE_S} seconds.")
    voice_id = new_voice_id(world.ids.below)
    return world.voices.create(voice_id, dict(pairs), audio, file.content_type, world.now_epoch_ms(now_ms))


def update_voice(world: World, voice_id: str, body: bytes) -> dict[str, Any] | Refusal:
    """The answer to `PATCH /v1/custom-voices/{voice_id}`. Raises BadSetting."""
    given = json_object(body)
    return given if isinstance(given, Refusal) else world.voices.update(voice_id, given) or no_voice(voice_id)


def delete_voice(world: World, voice_id: str) -> dict[str, Any] | Refusal:
    """The answer to `DELETE /v1/custom-voices/{voice_id}`."""
    return {"deleted": True} if world.voices.delete(voice_id) else no_voice(voice_id)
