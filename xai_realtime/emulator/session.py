"""The settings of one session: what was asked for, merged. In: `session.update`. Out: settings. Imports: rooms 0, 5, 7.

Reads the shape of the service (voice and turn detection at the top) and the one of OpenAI-shaped clients (both nested).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from xai_realtime.audio import AudioFormat, audio_format
from xai_realtime.defaults import VOICE_MODEL
from xai_realtime.emulator import failures
from xai_realtime.emulator.encodings import has_opus
from xai_realtime.emulator.reading import Fields
from xai_realtime.errors import ConfigurationError
from xai_realtime.tools import RESERVED_NAMES

__all__ = ["SERVER_TOOLS", "Session", "TurnDetection", "updated"]

SERVER_TOOLS: Final = RESERVED_NAMES
"""Names of the service's own tools; a client function under one of them breaks the first response."""
DEFAULT_FORMAT: Final = audio_format("pcm")
DETECTORS: Final = ("server_vad", "semantic_vad")
TRANSPORTS: Final = ("json", "binary")
MAX_WAIT_MS: Final = 10_000
MAX_IDLE_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Who ends the user's turn: `is_automatic` is False when the client commits by hand. None means the default."""

    is_automatic: bool = False
    threshold: float | None = None
    silence_ms: int | None = None
    padding_ms: int | None = None
    idle_timeout_ms: int | None = None
    interrupts: bool = True
    responds: bool = True


@dataclass(frozen=True, slots=True)
class Session:
    """The settings in force. Raw parts of the client (`detection_sent`, `tools`, ...) are kept as they are echoed."""

    id: str
    model: str = VOICE_MODEL
    voice: str | None = None
    instructions: str = ""
    modalities: tuple[str, ...] = ("audio",)
    detection: TurnDetection = TurnDetection()
    detection_sent: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    reasoning: dict[str, Any] | None = None
    transcription: dict[str, Any] | None = None
    input_format: AudioFormat = DEFAULT_FORMAT
    output_format: AudioFormat = DEFAULT_FORMAT
    input_transport: str = "json"
    output_transport: str = "json"
    speed: float | None = None
    replacements: dict[str, str] = field(default_factory=dict)
    is_resumable: bool = False
    has_audio: bool = False
    is_configured: bool = False

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the functions among the tools."""
        return tuple(name for tool in self.tools if (name := function_name(tool)) is not None)


def function_name(tool: dict[str, Any]) -> str | None:
    """The name of a function tool, flat or nested."""
    if tool.get("type") != "function":
        return None
    nested = tool.get("function")
    name = nested.get("name") if isinstance(nested, dict) else tool.get("name")
    return name if isinstance(name, str) else None


def updated(session: Session, given: Fields) -> Session:
    """`session` with what `given` sets; what it leaves out stays. Raises Refused, and then nothing has changed."""
    changes: dict[str, Any] = {"is_configured": True}
    for name in ("voice", "instructions"):
        text = given.text(name)
        if text is not None:
            changes[name] = text
    modalities = given.texts("output_modalities") or given.texts("modalities")
    if modalities:
        changes["modalities"] = tuple(modalities)
    tools = given.objects("tools")
    if tools is not None:
        changes["tools"] = tuple(checked_tool(tool) for tool in tools)
    reasoning = given.object("reasoning")
    if reasoning is not None:
        reasoning.one_of("effort", ("high", "none", "low", "medium", "minimal"))
        changes["reasoning"] = dict(reasoning.values)
    resumption = given.object("resumption")
    if resumption is not None:
        changes["is_resumable"] = bool(resumption.flag("enabled"))
    replacements = given.object("replace")
    if replacements is not None:
        changes["replacements"] = {name: replacements.needed_text(name) for name in replacements.values}
    audio = given.object("audio")
    if audio is not None:
        changes |= audio_changes(session, audio)
    changes |= detection_changes(session, given, audio)
    return replace(session, **changes)


def checked_tool(tool: Fields) -> dict[str, Any]:
    """A tool as it came, once it names what it is."""
    kind = tool.needed_text("type")
    if kind == "function":
        inner = tool.object("function") or tool
        inner.needed_text("name")
        inner.text("description")
        inner.object("parameters")
    return dict(tool.values)


def audio_changes(session: Session, audio: Fields) -> dict[str, Any]:
    """What the `audio` object of an update sets."""
    changes: dict[str, Any] = {"has_audio": True}
    heard = audio.object("input")
    if heard is not None:
        transport = heard.one_of("transport", TRANSPORTS)
        changes["input_transport"] = transport or session.input_transport
        changes["input_format"] = checked_format(heard, session.input_format)
        transcription = heard.object("transcription")
        if transcription is not None:
            transcription.text("model")
            transcription.texts("keyterms")
            changes["transcription"] = dict(transcription.values)
        elif heard.holds("transcription"):
            changes["transcription"] = None
    spoken = audio.object("output")
    if spoken is not None:
        transport = spoken.one_of("transport", TRANSPORTS)
        changes["output_transport"] = transport or session.output_transport
        changes["output_format"] = checked_format(spoken, session.output_format)
        changes["speed"] = spoken.number("speed", 0.25, 1.5)
        voice = spoken.values.get("voice")
        if isinstance(voice, str):
            changes["voice"] = voice
    return changes


def checked_format(side: Fields, before: AudioFormat) -> AudioFormat:
    """The format that one side asks for. Raises Refused for one that this emulator or the service does not speak."""
    given = side.object("format")
    if given is None:
        return before
    try:
        wanted = audio_format(given.text("type") or before.wire_type, given.whole("rate", 1, 1_000_000))
    except ConfigurationError as error:
        raise failures.audio_format_refused(given.path, str(error)) from None
    if wanted.encoding == "opus" and not has_opus():
        raise failures.audio_format_refused(given.path, "audio/opus needs PyAV beside this emulator: pip install av")
    return wanted


def detection_changes(session: Session, given: Fields, audio: Fields | None) -> dict[str, Any]:
    """Turn detection from the top level, else from inside `audio.input`; without any, the documented server VAD."""
    heard = audio.object("input") if audio is not None else None
    holder = next((side for side in (given, heard) if side is not None and side.holds("turn_detection")), None)
    if holder is None:
        if session.is_configured or session.detection.is_automatic:
            return {}
        return {"detection": TurnDetection(is_automatic=True), "detection_sent": {"type": "server_vad"}}
    sent = holder.object("turn_detection")
    kind = None if sent is None else sent.one_of("type", DETECTORS)
    if sent is None or kind is None:
        return {"detection": TurnDetection(), "detection_sent": {}}
    interrupts, responds = sent.flag("interrupt_response"), sent.flag("create_response")
    detection = TurnDetection(
        is_automatic=True,
        threshold=sent.number("threshold", 0.0, 1.0),
        silence_ms=sent.whole("silence_duration_ms", 0, MAX_WAIT_MS),
        padding_ms=sent.whole("prefix_padding_ms", 0, MAX_WAIT_MS),
        idle_timeout_ms=sent.whole("idle_timeout_ms", 0, MAX_IDLE_MS),
        interrupts=interrupts is not False,
        responds=responds is not False,
    )
    return {"detection": detection, "detection_sent": dict(sent.values)}
