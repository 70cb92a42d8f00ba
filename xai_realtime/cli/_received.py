"""What the service says, told on a timeline. In: inbound moments. Out: lines of a talk. Imports: rooms 0-6."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from xai_realtime.cli._sent import content_text
from xai_realtime.cli._speech import RECEIVED
from xai_realtime.cli._talk import Talk
from xai_realtime.cli.text import seconds, shortened
from xai_realtime.cli.wording import call_words, configured_words, usage_words
from xai_realtime.errors import AudioDecodeError
from xai_realtime.events import BinaryAudio, InvalidEvent, UnknownEvent
from xai_realtime.events import realtime as wire
from xai_realtime.player import Moment

__all__ = ["receive"]

BEFORE: Final = "from before"
MAX_NAME_CHARACTERS: Final = 60


def receive(talk: Talk, moment: Moment) -> None:
    """Tell one inbound moment."""
    talk.last_ms = moment.at_ms
    event = moment.event
    if isinstance(event, wire.ConversationItemDeleted):
        talk.settle()
    talk.conversation.receive(event)
    handler = _HANDLERS.get(type(event))
    if handler is not None:
        handler(talk, moment.at_ms, event)


def _session_created(talk: Talk, at_ms: float, event: wire.SessionCreated) -> None:
    model = event.session.model
    if model is not None:
        talk.session.setdefault("model", model)
    talk.line(at_ms, "session", "session", f"connected to {model}" if model else "connected")


def _session_updated(talk: Talk, at_ms: float, event: wire.SessionUpdated) -> None:
    talk.is_configured = True
    stated = event.session.model_dump(exclude_unset=True, exclude_none=True)
    known: dict[str, Any] = {
        key: stated[key] for key in ("model", "voice", "audio", "turn_detection", "tools") if key in stated
    }
    talk.session = {**talk.session, **known}
    line = talk.configuring or talk.line(at_ms, "session", "session")
    line.text = configured_words(talk.session)
    talk.configuring = None


def _speech_started(talk: Talk, at_ms: float, event: wire.InputAudioBufferSpeechStarted) -> None:
    speaking = talk.speaking
    if speaking is not None and at_ms < speaking.at_ms + talk.audio_ms(speaking):
        talk.line(at_ms, "You", "aside", f"(interrupt Grok {seconds(at_ms - speaking.at_ms)} into the answer)")
        speaking.notes.append("interrupted")
        talk.speaking = None
    line = talk.voice(at_ms, event.item_id)
    if line.began_ms is None:
        line.began_ms = event.audio_start_ms


def _speech_stopped(talk: Talk, at_ms: float, event: wire.InputAudioBufferSpeechStopped) -> None:
    line = talk.voice(at_ms, event.item_id)
    if line.began_ms is not None and event.audio_end_ms is not None:
        line.notes = [f"{seconds(event.audio_end_ms - line.began_ms)} of speech"]


def _committed(talk: Talk, at_ms: float, event: wire.InputAudioBufferCommitted) -> None:
    talk.voice(at_ms, event.item_id)
    talk.ask(at_ms)


def _timeout(talk: Talk, at_ms: float, event: wire.InputAudioBufferTimeoutTriggered) -> None:
    talk.line(at_ms, "You", "aside", "(are silent for so long that Grok goes on)")
    talk.ask(at_ms)


def _dtmf(talk: Talk, at_ms: float, event: wire.InputAudioBufferDtmfEventReceived) -> None:
    talk.line(at_ms, "You", "aside", f"(press {shortened(event.event, 8)})")


def _item(talk: Talk, at_ms: float, event: wire.ConversationItemAdded | wire.ConversationItemCreated) -> None:
    """An announced item: the echo of what we sent, the start of speech that is told elsewhere, or news."""
    item = event.item
    text = content_text(item.model_dump(include={"content"}))
    role = item.role or "assistant"
    if item.type == "function_call_output":
        talk.output(at_ms, item.call_id or "", item.output, BEFORE)
    elif item.type == "function_call":
        if item.call_id and item.arguments and item.call_id not in talk.calls and not talk.answers:
            talk.calls[item.call_id] = talk.line(
                at_ms, "Grok", "call", f"calls {call_words(item.name, item.arguments)}", BEFORE
            )
    elif talk.echoes[role, text] > 0:
        talk.echoes[role, text] -= 1
    elif text and item.id not in talk.said:
        note = [BEFORE] if item.replayed or not talk.is_configured else []
        who = {"user": "You", "assistant": "Grok"}.get(role)
        if who is None:
            talk.line(at_ms, "session", "aside", f"{role} message: {text}", *note)
        else:
            talk.said[item.id] = talk.line(at_ms, "You" if who == "You" else "Grok", "said", text, *note)


_Transcription: TypeAlias = (
    wire.ConversationItemInputAudioTranscriptionUpdated | wire.ConversationItemInputAudioTranscriptionCompleted
)
_AudioDelta: TypeAlias = wire.ResponseOutputAudioDelta | wire.ResponseAudioDelta
_TextDelta: TypeAlias = (
    wire.ResponseOutputAudioTranscriptDelta
    | wire.ResponseAudioTranscriptDelta
    | wire.ResponseOutputTextDelta
    | wire.ResponseTextDelta
    | wire.ResponseOutputAudioTranscriptDone
    | wire.ResponseAudioTranscriptDone
    | wire.ResponseOutputTextDone
    | wire.ResponseTextDone
)


def _transcription(talk: Talk, at_ms: float, event: _Transcription) -> None:
    talk.voice(at_ms, event.item_id)


def _response_created(talk: Talk, at_ms: float, event: wire.ResponseCreated) -> None:
    talk.answers.setdefault(event.response.id, None)


def _audio_delta(talk: Talk, at_ms: float, event: _AudioDelta) -> None:
    line = talk.speech(at_ms, event.item_id, event.response_id)
    stated = event.audio_duration_ms if isinstance(event, wire.ResponseOutputAudioDelta) else None
    line.audio_ms += stated or 0
    try:
        line.audio_bytes += len(event.audio)
    except AudioDecodeError as error:
        talk.line(at_ms, "session", "error", f"unreadable audio: {error}")


def _binary_audio(talk: Talk, at_ms: float, event: BinaryAudio) -> None:
    """Audio without ids belongs to what is being said."""
    line = talk.speaking if talk.speaking is not None else talk.speech(at_ms, "", None)
    line.audio_bytes += len(event.audio)


def _text(talk: Talk, at_ms: float, event: _TextDelta) -> None:
    talk.speech(at_ms, event.item_id, event.response_id)


def _arguments_done(talk: Talk, at_ms: float, event: wire.ResponseFunctionCallArgumentsDone) -> None:
    talk.call(at_ms, event.call_id, event.response_id)


def _output_item_done(talk: Talk, at_ms: float, event: wire.ResponseOutputItemDone) -> None:
    _output_item(talk, at_ms, event.item, event.response_id)


def _output_item(talk: Talk, at_ms: float, item: wire.ConversationItem, response_id: str) -> None:
    if item.type == "function_call" and item.call_id:
        talk.call(at_ms, item.call_id, response_id)
    elif item.type == "message" and item.content:
        talk.speech(at_ms, item.id, response_id)


def _response_done(talk: Talk, at_ms: float, event: wire.ResponseDone) -> None:
    response = event.response
    for item in response.output or ():
        _output_item(talk, at_ms, item, response.id)
    if response.status not in (None, "completed", "in_progress"):
        _unfinished(talk, at_ms, response.id, str(response.status))
    top = usage_words(event.usage) if event.usage is not None else ""
    words = top or (usage_words(response.usage) if response.usage is not None else "")
    if words:
        talk.line(at_ms, "session", "usage", f"usage: {words}")


def _response_cancelled(talk: Talk, at_ms: float, event: wire.ResponseCancelled) -> None:
    response_id = event.response_id or (event.response.id if event.response is not None else "")
    _unfinished(talk, at_ms, response_id, "cancelled")


def _unfinished(talk: Talk, at_ms: float, response_id: str, status: str) -> None:
    line = talk.answers.get(response_id)
    if line is not None:
        line.notes.append(status)
    else:
        talk.answer(at_ms)
        talk.line(at_ms, "Grok", "aside", f"(the answer is {status})")


def _truncated(talk: Talk, at_ms: float, event: wire.ConversationItemTruncated) -> None:
    line = talk.said.get(event.item_id)
    if line is not None and event.audio_end_ms is not None:
        line.notes.append(f"cut after {seconds(event.audio_end_ms)}")


def _mcp_call(talk: Talk, at_ms: float, event: wire.ResponseMcpCallArgumentsDone) -> None:
    talk.answer(at_ms)
    talk.line(at_ms, "Grok", "call", f"calls {call_words(event.name, event.arguments)}", "on an MCP server")


def _mcp_failed(talk: Talk, at_ms: float, event: wire.ResponseMcpCallFailed | wire.McpListToolsFailed) -> None:
    said = event.error.message or event.error.type or "" if event.error is not None else ""
    talk.line(at_ms, "tool", "error", "the MCP server fails" + (f": {said}" if said else ""))


def _error(talk: Talk, at_ms: float, event: wire.Error) -> None:
    detail = event.error
    if isinstance(detail, wire.ErrorDetail):
        said = [detail.code or detail.type, detail.message]
    else:
        said = [event.code, event.message or detail]
    text = ": ".join(part for part in said if part)
    talk.line(at_ms, "session", "error", f"error {text}" if text else "error")


def _unknown(talk: Talk, at_ms: float, event: UnknownEvent) -> None:
    name = "without a type" if event.type is None else shortened(event.type, MAX_NAME_CHARACTERS)
    talk.line(at_ms, "session", "error", f"unknown event {name}")


def _invalid(talk: Talk, at_ms: float, event: InvalidEvent) -> None:
    name = "message" if event.type is None else shortened(event.type, MAX_NAME_CHARACTERS)
    where = f" at {event.path}" if event.path else ""
    talk.line(at_ms, "session", "error", f"unreadable {name}{where}: {event.reason}")


_HANDLERS: Final[Mapping[type, Callable[[Talk, float, Any], None]]] = {
    wire.SessionCreated: _session_created,
    wire.SessionUpdated: _session_updated,
    wire.InputAudioBufferSpeechStarted: _speech_started,
    wire.InputAudioBufferSpeechStopped: _speech_stopped,
    wire.InputAudioBufferCommitted: _committed,
    wire.InputAudioBufferTimeoutTriggered: _timeout,
    wire.InputAudioBufferDtmfEventReceived: _dtmf,
    wire.ConversationItemAdded: _item,
    wire.ConversationItemCreated: _item,
    wire.ConversationItemTruncated: _truncated,
    wire.ConversationItemInputAudioTranscriptionUpdated: _transcription,
    wire.ConversationItemInputAudioTranscriptionCompleted: _transcription,
    wire.ResponseCreated: _response_created,
    wire.ResponseOutputAudioDelta: _audio_delta,
    wire.ResponseAudioDelta: _audio_delta,
    wire.ResponseOutputAudioTranscriptDelta: _text,
    wire.ResponseAudioTranscriptDelta: _text,
    wire.ResponseOutputTextDelta: _text,
    wire.ResponseTextDelta: _text,
    wire.ResponseOutputAudioTranscriptDone: _text,
    wire.ResponseAudioTranscriptDone: _text,
    wire.ResponseOutputTextDone: _text,
    wire.ResponseTextDone: _text,
    wire.ResponseFunctionCallArgumentsDone: _arguments_done,
    wire.ResponseOutputItemDone: _output_item_done,
    wire.ResponseDone: _response_done,
    wire.ResponseCancelled: _response_cancelled,
    wire.ResponseMcpCallArgumentsDone: _mcp_call,
    wire.ResponseMcpCallFailed: _mcp_failed,
    wire.McpListToolsFailed: _mcp_failed,
    wire.Error: _error,
    UnknownEvent: _unknown,
    InvalidEvent: _invalid,
    BinaryAudio: _binary_audio,
    **RECEIVED,
}
