"""The parts of a session's configuration. In: words, tables. Out: checked values. Imports: pydantic, rooms 0, 5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationError

from xai_realtime.audio import AudioFormat, Encoding, audio_format
from xai_realtime.defaults import AUDIO_RATE_HZ
from xai_realtime.errors import ConfigurationError
from xai_realtime.realtime._config_refusals import (
    KEYTERM_CHARACTERS,
    KEYTERMS,
    MAX_THRESHOLD,
    MAX_WAIT_MS,
    MIN_THRESHOLD,
    worded,
)

__all__ = [
    "AudioLike",
    "AudioSettings",
    "AudioTransport",
    "Manual",
    "ServerVad",
    "Settings",
    "Transcription",
    "TranscriptionLike",
    "TurnDetectionLike",
    "as_audio",
    "as_transcription",
    "as_turn_detection",
    "continued_audio",
    "continued_transcription",
    "listed",
]

AudioTransport = Literal["json", "binary"]


def listed(value: object) -> object:
    """A list as a tuple; anything else as it is, since a set would go out in another order each time."""
    return tuple(value) if isinstance(value, list) else value


WaitMs: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MAX_WAIT_MS)]
Term: TypeAlias = Annotated[str, Field(max_length=KEYTERM_CHARACTERS)]
Terms: TypeAlias = Annotated[tuple[Term, ...], BeforeValidator(listed), Field(strict=True, max_length=KEYTERMS)]


class Settings(BaseModel):
    """What the parts share: no unknown names, no change once made, and mistakes as ConfigurationError."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        defer_build=True,
        protected_namespaces=(),
    )

    def __init__(self, /, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise ConfigurationError(worded(error, type(self).model_fields)) from None

    def given(self) -> dict[str, Any]:
        """The settings that were given, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What holds a value and may be shown."""
        yield from ((name, value) for name, value in super().__repr_args__() if value is not None)


class ServerVad(Settings):
    """The server hears when the user begins and ends to speak, and ends the turn.

    What you leave out is not sent, and the server's own value holds. `threshold` (0.1 to 0.9, the server's is 0.85)
    is how sure it must be that it hears speech; `silence_duration_ms` (0 to 10,000) the silence that ends the turn;
    `prefix_padding_ms` (0 to 10,000, the server's is 333) the audio kept from before the speech; `idle_timeout_ms`
    the silence after a reply that makes the model speak up again, None for never (an explicit None is sent as null).
    `create_response` and `interrupt_response` are accepted and echoed by the service, but not documented.

    Raises ConfigurationError. Source: docs.x.ai voice-realtime.ws.json; pydantic/pydantic-ai cassettes, Jul 2026.
    """

    threshold: Annotated[float, Field(strict=True, ge=MIN_THRESHOLD, le=MAX_THRESHOLD)] | None = None
    silence_duration_ms: WaitMs | None = None
    prefix_padding_ms: WaitMs | None = None
    idle_timeout_ms: Annotated[int, Field(strict=True, ge=0)] | None = None
    create_response: StrictBool | None = None
    interrupt_response: StrictBool | None = None

    def to_wire(self) -> dict[str, Any]:
        """The `turn_detection` object of the wire."""
        sent = {name: value for name, value in self.given().items() if value is not None or name == "idle_timeout_ms"}
        return {"type": "server_vad", **sent}


class Manual(Settings):
    """You end the user's turn by hand; the server listens for nothing. Source: docs.x.ai voice-realtime.ws.json."""

    def to_wire(self) -> dict[str, Any]:
        """The `turn_detection` object of the wire."""
        return {"type": None}


class AudioSettings(Settings):
    """Audio of one direction: encoding (`pcm`, `pcmu`, `pcma`, `opus`), sample rate, and how it is carried.

    Without a rate: 24,000 Hz for PCM and Opus, 8,000 Hz for G.711. `transport` is `json` (base64 in events, the
    server's default) or `binary` (raw messages); it is sent only when given.

    Raises ConfigurationError for what the service does not accept. Source: docs.x.ai voice-realtime.ws.json.
    """

    encoding: Encoding = "pcm"
    rate_hz: int = AUDIO_RATE_HZ
    transport: AudioTransport | None = None

    def __init__(
        self,
        encoding: str = "pcm",
        rate_hz: int | None = None,
        transport: AudioTransport | None = None,
        **unknown: Any,
    ) -> None:
        if not isinstance(encoding, str):
            raise ConfigurationError(f"encoding is {encoding!r}; allowed: pcm, pcmu, pcma, opus")
        checked = audio_format(encoding, rate_hz)
        super().__init__(encoding=checked.encoding, rate_hz=checked.rate_hz, transport=transport, **unknown)

    @property
    def format(self) -> AudioFormat:
        """Encoding and rate as one value."""
        return AudioFormat(self.encoding, self.rate_hz)

    def to_wire(self) -> dict[str, Any]:
        """Format and transport as they stand in `audio.input` and `audio.output` of the wire."""
        carried = {} if self.transport is None else {"transport": self.transport}
        return {"format": {"type": self.format.wire_type, "rate": self.rate_hz}, **carried}


class Transcription(Settings):
    """How the service writes down what the user says.

    `model="grok-transcribe"` turns on intermediate transcripts; `language_hint` is the tag of the language (Spanish
    and Portuguese need a region: es-MX), without it the language is detected; `keyterms` are up to 100 terms of up
    to 50 characters to listen for, which may change during a session.

    Raises ConfigurationError. Source: docs.x.ai voice-realtime.ws.json; pydantic/pydantic-ai cassettes, Jul 2026.
    """

    model: Annotated[str, Field(min_length=1)] | None = None
    language_hint: Annotated[str, Field(min_length=1)] | None = None
    keyterms: Terms | None = Field(default=None, repr=False)

    def to_wire(self) -> dict[str, Any]:
        """The `audio.input.transcription` object of the wire."""
        sent = {name: value for name, value in self.given().items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in sent.items()}


AudioLike: TypeAlias = AudioSettings | AudioFormat | Encoding | Mapping[str, Any]
TranscriptionLike: TypeAlias = Transcription | Mapping[str, Any]
TurnDetectionLike: TypeAlias = ServerVad | Manual | Literal["server_vad", "manual"] | Mapping[str, Any] | None

Part = TypeVar("Part", bound=Settings)

DETECTIONS: Final[dict[str | None, type[ServerVad] | type[Manual]]] = {
    "server_vad": ServerVad,
    "manual": Manual,
    None: Manual,
}
DETECTION_WORDS: Final = "'server_vad', 'manual', or a table with one of them as its type"


def _built(kind: type[Part], values: Mapping[str, Any], place: str) -> Part:
    try:
        return kind(**{str(name): value for name, value in values.items()})
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def as_turn_detection(value: object) -> ServerVad | Manual:
    """Turn detection out of a word, a table with a `type`, or None, which means by hand. Raises ConfigurationError."""
    if isinstance(value, ServerVad | Manual):
        return value
    if isinstance(value, Mapping):
        if "type" not in value:
            raise ConfigurationError(f"turn_detection is a table without a type; allowed: {DETECTION_WORDS}")
        kind, rest = value["type"], {name: inner for name, inner in value.items() if name != "type"}
    else:
        kind, rest = value, {}
    if not isinstance(kind, str | None) or kind not in DETECTIONS:
        raise ConfigurationError(f"turn_detection is {kind!r}; allowed: {DETECTION_WORDS}")
    return _built(DETECTIONS[kind], rest, "turn_detection")


def _audio_table(value: object, place: str) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"encoding": value}
    if isinstance(value, AudioFormat):
        return value._asdict()
    if isinstance(value, Mapping):
        return {str(name): inner for name, inner in value.items() if inner is not None}
    allowed = "an encoding such as 'pcm', or a table of encoding, rate_hz and transport"
    raise ConfigurationError(f"{place} is {value!r}; allowed: {allowed}")


def as_audio(value: object, place: str) -> AudioSettings:
    """Audio settings out of an encoding, a format or a table. Raises ConfigurationError."""
    if isinstance(value, AudioSettings):
        return value
    return _built(AudioSettings, _audio_table(value, place), place)


def continued_audio(current: AudioSettings, value: object, place: str) -> AudioSettings:
    """As `as_audio`, but what an encoding, a format or a table leaves out stays as it is now."""
    if isinstance(value, AudioSettings):
        return value
    table = _audio_table(value, place)
    kept: dict[str, Any] = {"encoding": current.encoding, "transport": current.transport}
    if str(table.get("encoding", current.encoding)).removeprefix("audio/") == current.encoding:
        kept["rate_hz"] = current.rate_hz
    return _built(AudioSettings, {**kept, **table}, place)


def as_transcription(value: object) -> Transcription:
    """Transcription out of a table. Raises ConfigurationError."""
    if isinstance(value, Transcription):
        return value
    if not isinstance(value, Mapping):
        allowed = "a table of model, language_hint and keyterms"
        raise ConfigurationError(f"transcription is {type(value).__name__}; allowed: {allowed}")
    return _built(Transcription, {name: inner for name, inner in value.items() if inner is not None}, "transcription")


def continued_transcription(current: Transcription | None, value: object) -> Transcription:
    """As `as_transcription`, but what a table leaves out stays as it is now."""
    if current is None or not isinstance(value, Mapping):
        return as_transcription(value)
    return as_transcription({**current.given(), **value})
