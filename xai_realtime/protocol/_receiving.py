"""What each server event means to a session. In: events. Out: calls of the parts it concerns. Imports: rooms 0-1,
protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xai_realtime.errors import AudioDecodeError, ServiceError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import BinaryAudio, InvalidEvent
from xai_realtime.protocol._resuming import is_replayed
from xai_realtime.protocol.desk import forget_oldest, snapshot
from xai_realtime.protocol.server_errors import read_error
from xai_realtime.protocol.session_events import DtmfReceived, ItemCreated, ItemUpdated, SessionWarning

if TYPE_CHECKING:
    from xai_realtime.protocol.session import SessionCore

__all__ = ["HANDLERS", "announce"]

AudioDelta: TypeAlias = wire.ResponseOutputAudioDelta | wire.ResponseAudioDelta
TranscriptPiece: TypeAlias = wire.ResponseOutputAudioTranscriptDelta | wire.ResponseAudioTranscriptDelta
TranscriptDone: TypeAlias = wire.ResponseOutputAudioTranscriptDone | wire.ResponseAudioTranscriptDone
TextDone: TypeAlias = wire.ResponseOutputTextDone | wire.ResponseTextDone

REMEMBERED: Final = 4096


def announce(known: dict[str, None], item_id: str) -> bool:
    """Is this the first time that the item is heard of? It is remembered."""
    if item_id in known:
        return False
    known[item_id] = None
    forget_oldest(known, REMEMBERED)
    return True


def _session_created(core: SessionCore, event: wire.SessionCreated) -> None:
    core.desk.conversation.receive(event)
    core.limits.served_model = event.session.model or core.limits.served_model


def _session_updated(core: SessionCore, event: wire.SessionUpdated) -> None:
    core.desk.conversation.receive(event)
    core.limits.served_model = event.session.model or core.limits.served_model
    core.became_ready("acknowledged", event)


def _audio(core: SessionCore, event: AudioDelta) -> None:
    core.desk.conversation.receive(event)
    reply = core.floor.reply(event.response_id)
    if reply.is_muted:
        return
    try:
        audio = event.audio
    except AudioDecodeError as error:
        core.desk.conversation.bad_audio += 1
        core.desk.tell(SessionWarning("bad_audio", str(error), {"item_id": event.item_id}, raw=event))
        return
    stated_ms = event.audio_duration_ms if isinstance(event, wire.ResponseOutputAudioDelta) else None
    core.voice.audio(reply, event.item_id, audio, event, stated_ms)


def _binary_audio(core: SessionCore, event: BinaryAudio) -> None:
    """Audio without ids belongs to the message announced last, of the reply that runs."""
    core.desk.conversation.receive(event)
    running = core.floor.open
    if running is not None and not running.is_muted:
        reply = core.floor.reply(running.id)
        core.voice.audio(reply, core.desk.conversation.speaking_item, event.audio, event)


def _audio_done(core: SessionCore, event: wire.ResponseOutputAudioDone | wire.ResponseAudioDone) -> None:
    core.voice.audio_done(event.item_id)


def _transcript_piece(core: SessionCore, event: TranscriptPiece) -> None:
    core.desk.conversation.receive(event)
    reply = core.floor.reply(event.response_id)
    start_s = event.start_time if isinstance(event, wire.ResponseOutputAudioTranscriptDelta) else None
    if not reply.is_muted:
        core.voice.words(reply, event.item_id, event.delta, None if start_s is None else start_s * 1000, event)


def _text_piece(core: SessionCore, event: wire.ResponseOutputTextDelta | wire.ResponseTextDelta) -> None:
    core.desk.conversation.receive(event)
    reply = core.floor.reply(event.response_id)
    if not reply.is_muted:
        core.voice.words(reply, event.item_id, event.delta or "", None, event)


def _transcript_done(core: SessionCore, event: TranscriptDone | TextDone) -> None:
    core.desk.conversation.receive(event)
    reply = core.floor.reply(event.response_id)
    if not reply.is_muted:
        core.voice.final_words(reply, event.item_id, event)


def _heard(
    core: SessionCore,
    event: wire.ConversationItemInputAudioTranscriptionUpdated | wire.ConversationItemInputAudioTranscriptionCompleted,
) -> None:
    core.desk.conversation.receive(event)
    core.user.heard(event)


def _speech_started(core: SessionCore, event: wire.InputAudioBufferSpeechStarted) -> None:
    core.desk.conversation.receive(event)
    core.user.speech_started(event)


def _speech_stopped(core: SessionCore, event: wire.InputAudioBufferSpeechStopped) -> None:
    core.user.speech_stopped(event)


def _committed(core: SessionCore, event: wire.InputAudioBufferCommitted) -> None:
    core.desk.conversation.receive(event)
    core.user.committed(event)


def _dtmf(core: SessionCore, event: wire.InputAudioBufferDtmfEventReceived) -> None:
    core.desk.tell(DtmfReceived(event.event, raw=event))


def _item_added(core: SessionCore, event: wire.ConversationItemAdded | wire.ConversationItemCreated) -> None:
    conversation = core.desk.conversation
    stated = event.item
    is_replay = bool(stated.replayed) or (core.connections > 1 and not core.is_ready)
    if is_replay and is_replayed(core, stated):
        core.announced(stated.id)
        return
    conversation.receive(event)
    core.desk.unconfirmed.pop(stated.id, None)
    is_new = core.announced(stated.id) and stated.id not in core.desk.own_ids
    item = conversation.item(stated.id)
    if is_new and not is_replay and item is not None:
        core.desk.tell(ItemCreated(snapshot(item), raw=event))
    if not is_replay and stated.id not in core.desk.own_ids:
        core.calls.item(stated, None, is_done=False, raw=event)


def _item_deleted(core: SessionCore, event: wire.ConversationItemDeleted) -> None:
    core.deleted(event.item_id)


def _item_truncated(core: SessionCore, event: wire.ConversationItemTruncated) -> None:
    core.desk.conversation.receive(event)
    item = core.desk.conversation.item(event.item_id)
    if item is not None and event.transcript is not None:
        core.desk.tell(ItemUpdated(snapshot(item), raw=event))


def _output_item(core: SessionCore, event: wire.ResponseOutputItemAdded | wire.ResponseOutputItemDone) -> None:
    core.desk.conversation.receive(event)
    reply = core.floor.reply(event.response_id)
    _know_output(core, event.item, event)
    if event.item.type == "message":
        reply.item_ids[event.item.id] = None
        if reply.is_muted:
            core.voice.unheard(event.item.id)
    is_done = isinstance(event, wire.ResponseOutputItemDone)
    core.calls.item(event.item, event.response_id, is_done=is_done, raw=event)


def _know_output(core: SessionCore, stated: wire.ConversationItem, raw: Any) -> None:
    item = core.desk.conversation.item(stated.id)
    if core.announced(stated.id) and item is not None and stated.id not in core.desk.own_ids:
        core.desk.tell(ItemCreated(snapshot(item), raw=raw))


def _arguments_done(core: SessionCore, event: wire.ResponseFunctionCallArgumentsDone) -> None:
    core.desk.conversation.receive(event)
    core.calls.arguments_done(event)


def _response_created(core: SessionCore, event: wire.ResponseCreated) -> None:
    core.desk.conversation.receive(event)
    core.floor.created(event, core.user.answered())


def _response_done(core: SessionCore, event: wire.ResponseDone) -> None:
    core.desk.conversation.receive(event)
    response = event.response
    known = core.floor.known(response.id)
    is_gone = known is not None and known.is_over
    for stated in response.output or ():
        if is_gone:
            break
        _know_output(core, stated, event)
        core.calls.item(stated, response.id, is_done=response.status == "completed", raw=event)
        item = core.desk.conversation.item(stated.id)
        if item is not None:
            core.desk.tell(ItemUpdated(snapshot(item), raw=event))
    core.floor.done(event)


def _mcp_failed(core: SessionCore, event: wire.McpListToolsFailed | wire.ResponseMcpCallFailed) -> None:
    reason = event.error.message if event.error is not None else None
    message = reason or "an MCP server failed"
    core.desk.tell(SessionWarning("mcp_failed", message, {"item_id": event.item_id}, raw=event))


def _invalid(core: SessionCore, event: InvalidEvent) -> None:
    place = f" at {event.path}" if event.path else ""
    message = f"a message of the server could not be read: {event.reason}{place}"
    core.desk.tell(SessionWarning("invalid_event", message, {"type": event.type}, raw=event))
    if event.type == "response.done":
        core.floor.done(event)


def _error(core: SessionCore, event: wire.Error) -> None:
    """An error of the service: most say that something is so already, few are the end."""
    core.desk.conversation.receive(event)
    error = read_error(event)
    work = _ERRORS.get(error.kind)
    if work is not None:
        work(core)
    if error.kind == "fatal":
        core.desk.finish = ServiceError(error.code, error.message)
    elif not error.is_benign:
        core.desk.tell(SessionWarning(error.code, error.message, {"kind": error.kind}, raw=event))


_ERRORS: Final[Mapping[str, Callable[[SessionCore], None]]] = {
    "no_active_response": lambda core: core.floor.nothing_to_stop(),
    "active_response": lambda core: core.floor.refused(),
    "item_not_found": lambda core: core.deleted(None),
    "session_limit": lambda core: core.limits.reached(),
}

HANDLERS: Final[Mapping[type, Callable[[SessionCore, Any], None]]] = {
    wire.SessionCreated: _session_created,
    wire.SessionUpdated: _session_updated,
    wire.ResponseOutputAudioDelta: _audio,
    wire.ResponseAudioDelta: _audio,
    BinaryAudio: _binary_audio,
    wire.ResponseOutputAudioDone: _audio_done,
    wire.ResponseAudioDone: _audio_done,
    wire.ResponseOutputAudioTranscriptDelta: _transcript_piece,
    wire.ResponseAudioTranscriptDelta: _transcript_piece,
    wire.ResponseOutputTextDelta: _text_piece,
    wire.ResponseTextDelta: _text_piece,
    wire.ResponseOutputAudioTranscriptDone: _transcript_done,
    wire.ResponseAudioTranscriptDone: _transcript_done,
    wire.ResponseOutputTextDone: _transcript_done,
    wire.ResponseTextDone: _transcript_done,
    wire.ConversationItemInputAudioTranscriptionUpdated: _heard,
    wire.ConversationItemInputAudioTranscriptionCompleted: _heard,
    wire.InputAudioBufferSpeechStarted: _speech_started,
    wire.InputAudioBufferSpeechStopped: _speech_stopped,
    wire.InputAudioBufferCommitted: _committed,
    wire.InputAudioBufferDtmfEventReceived: _dtmf,
    wire.ConversationItemAdded: _item_added,
    wire.ConversationItemCreated: _item_added,
    wire.ConversationItemDeleted: _item_deleted,
    wire.ConversationItemTruncated: _item_truncated,
    wire.ResponseOutputItemAdded: _output_item,
    wire.ResponseOutputItemDone: _output_item,
    wire.ResponseFunctionCallArgumentsDone: _arguments_done,
    wire.ResponseCreated: _response_created,
    wire.ResponseDone: _response_done,
    wire.McpListToolsFailed: _mcp_failed,
    wire.ResponseMcpCallFailed: _mcp_failed,
    wire.Error: _error,
    InvalidEvent: _invalid,
}
