"""The events as the service shapes them, oddities included. In: facts. Out: JSON objects. Imports: rooms 0 and 7.

Every method gives the events of one happening in their order; `dialect.py` shapes the same happenings otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from xai_realtime.audio import AudioFormat
from xai_realtime.emulator.failures import Failure
from xai_realtime.emulator.session import Session, TurnDetection

__all__ = ["Entry", "Event", "Events", "ResponseState", "SessionWire", "Wire", "as_arguments", "format_of"]

Event: TypeAlias = dict[str, Any]
Events: TypeAlias = tuple[Event, ...]

DEFAULT_VOICE: Final = "ara"


@dataclass(slots=True)
class Entry:
    """An item on its way out. `transcript` is what an assistant message has said so far, `answers` the call that an
    output stands for."""

    id: str
    kind: str
    role: str
    status: str = "in_progress"
    content: list[dict[str, Any]] | None = None
    transcript: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""
    output: str | None = None
    answers: str | None = None
    index: int = 0

    @property
    def call_fields(self) -> dict[str, Any]:
        """What a function call or its output holds beside the common fields."""
        if self.kind == "function_call":
            return {"call_id": self.call_id, "name": self.name, "arguments": self.arguments}
        return {} if self.output is None else {"call_id": self.call_id, "output": self.output}


@dataclass(slots=True)
class ResponseState:
    """A response on its way out; `form` and `voice` are those in which it is spoken."""

    id: str
    conversation_id: str
    form: AudioFormat
    voice: str | None = None
    metadata: dict[str, Any] | None = None
    status: str = "in_progress"
    entries: list[Entry] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None


class SessionWire:
    """Shapes of everything but responses, in the `xai` dialect. `new_id` mints the event ids."""

    knows_ping = True
    always_replies = True
    takes_back = True
    detection = TurnDetection()

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.new_id = new_id

    def event(self, type: str, fields: Mapping[str, Any], previous_item_id: str | None = None) -> Event:
        """One event in its envelope."""
        return {"type": type, "event_id": self.new_id(), **fields, "previous_item_id": previous_item_id}

    def session_created(self, session: Session, epoch_ms: int) -> Events:
        """The first event of a connection; the only one without `previous_item_id`."""
        stated = {
            "id": session.id,
            "object": "realtime.session",
            "instructions": "",
            "voice": DEFAULT_VOICE,
            "modalities": ["audio"],
            "turn_detection": {"type": None},
            "tools": [],
            "model": session.model,
        }
        return ({"type": "session.created", "event_id": self.new_id(), "session": stated},)

    def session_updated(self, session: Session, epoch_ms: int) -> Events:
        """The receipt: normalised, with placeholders, without id and object."""
        stated: dict[str, Any] = {
            "instructions": session.instructions,
            "enable_noise_suppression": session.has_audio,
            "turn_detection": {"type": None} if session.detection_sent is None else session.detection_sent,
            "model": session.model,
            "keep_context": False,
            "enable_phonetic_spelling": False,
            "input_audio_transcription": None,
            "modalities": list(session.modalities),
            "input_audio_format": "not specified",
            "output_audio_format": "not specified",
            "tool_choice": "auto",
            "temperature": -1.0,
            "max_response_output_tokens": "inf",
        }
        if session.transcription is not None:
            stated["input_audio_transcription"] = {"model": session.transcription.get("model")}
        if session.tools:
            stated["tools"] = [nested_tool(tool) for tool in session.tools]
        for name in ("voice", "reasoning"):
            if getattr(session, name) is not None:
                stated[name] = getattr(session, name)
        if session.replacements:
            stated["replace"] = session.replacements
        if session.has_audio:
            stated["audio"] = self._audio(session)
        return (self.event("session.updated", {"session": stated}),)

    def _audio(self, session: Session) -> Event:
        heard: Event = {"format": format_of(session.input_format), "transport": session.input_transport}
        if session.transcription is not None:
            heard["transcription"] = session.transcription
        spoken: Event = {"format": format_of(session.output_format), "transport": session.output_transport}
        if session.speed is not None:
            spoken["speed"] = session.speed
        return {"input": heard, "output": spoken}

    def conversation_created(self, conversation_id: str) -> Events:
        """The second event of a connection."""
        stated = {"id": conversation_id, "object": "realtime.conversation"}
        return (self.event("conversation.created", {"conversation": stated}),)

    def ping(self, epoch_ms: int) -> Events:
        """A sign of life, in JSON."""
        return (self.event("ping", {"timestamp": epoch_ms}),)

    def error(self, failure: Failure, event_id: str | None) -> Events:
        """What could not be done; `event_id` is the client's."""
        facts = {"code": failure.code, "message": failure.message, "param": failure.param, "event_id": event_id}
        stated = {"type": failure.type, **{name: fact for name, fact in facts.items() if fact is not None}}
        return (self.event("error", {"error": stated}),)

    def speech_started(self, item_id: str, start_ms: int) -> Events:
        """The user began to speak, or went on."""
        return (self.event("input_audio_buffer.speech_started", {"item_id": item_id, "audio_start_ms": start_ms}),)

    def speech_stopped(self, item_id: str, end_ms: int) -> Events:
        """The user stopped speaking."""
        return (self.event("input_audio_buffer.speech_stopped", {"item_id": item_id, "audio_end_ms": end_ms}),)

    def committed(self, item_id: str, previous: str | None) -> Events:
        """The input became an item."""
        return (self.event("input_audio_buffer.committed", {"item_id": item_id}, previous),)

    def cleared(self) -> Events:
        """The input was thrown away."""
        return (self.event("input_audio_buffer.cleared", {}),)

    def timeout_triggered(self, item_id: str, previous: str | None, start_ms: int, end_ms: int) -> Events:
        """The user said nothing for the idle timeout."""
        fields = {"item_id": item_id, "audio_start_ms": start_ms, "audio_end_ms": end_ms}
        return (self.event("input_audio_buffer.timeout_triggered", fields, previous),)

    def transcript_updated(self, item_id: str, text: str, before: str) -> Events:
        """What the user has said so far."""
        fields = {"item_id": item_id, "transcript": text, "content_index": 0}
        return (self.event("conversation.item.input_audio_transcription.updated", fields),)

    def transcript_completed(self, item_id: str, text: str, *, is_final: bool) -> Events:
        """A snapshot of what the user said; comes several times."""
        status = "completed" if is_final else "in_progress"
        fields = {"item_id": item_id, "transcript": text, "content_index": 0, "status": status}
        return (self.event("conversation.item.input_audio_transcription.completed", fields),)

    def item_added(self, entry: Entry, previous: str | None) -> Events:
        """An item of the conversation; a function call has the role of a tool here."""
        role = "tool" if entry.kind.startswith("function_call") else entry.role
        stated = {**self._item(entry, role), **({} if entry.content is None else {"content": entry.content})}
        return (self.event("conversation.item.added", {"item": stated}, previous),)

    def item_deleted(self, item_id: str) -> Events:
        """An item is gone; the service leaves out which."""
        return (self.event("conversation.item.deleted", {"item_id": ""}),)

    def item_truncated(self, item_id: str, content_index: int, end_ms: int, kept: str) -> Events:
        """A spoken item was cut; `kept` is the text that was heard."""
        fields = {"item_id": item_id, "content_index": content_index, "audio_end_ms": end_ms, "transcript": kept}
        return (self.event("conversation.item.truncated", fields),)

    def _item(self, entry: Entry, role: str) -> Event:
        return {
            "id": entry.id,
            "object": "realtime.item",
            "type": entry.kind,
            "status": entry.status,
            "role": role,
            **entry.call_fields,
        }


class Wire(SessionWire):
    """Shapes of the `xai` dialect."""

    def response_created(self, response: ResponseState) -> Events:
        """A response began."""
        return (self.event("response.created", {"response": self._response(response)}),)

    def response_done(self, response: ResponseState) -> Events:
        """A response ended; its usage stands beside it, not in it."""
        fields = {"response": self._response(response), "response_id": response.id, "usage": response.usage}
        return (self.event("response.done", fields),)

    def _response(self, response: ResponseState) -> Event:
        stated: Event = {
            "id": response.id,
            "object": "realtime.response",
            "output": [self._finished_item(entry) for entry in response.entries if response.status != "in_progress"],
            "status": response.status,
            "status_details": "unimplemented",
            "usage": {},
        }
        if response.metadata is not None:
            stated["metadata"] = response.metadata
        return stated

    def _finished_item(self, entry: Entry) -> Event:
        if entry.kind != "message":
            return self._item(entry, "user")
        return {**self._item(entry, entry.role), "content": [{"type": "audio", "transcript": entry.transcript}]}

    def output_begun(self, response: ResponseState, entry: Entry, previous: str | None) -> Events:
        """An item of a response: announced twice, a message with its part too. Every item has the index 0."""
        entry.content = [] if entry.kind == "message" else None
        is_call = entry.kind == "function_call"
        events = (
            self._output_item("added", response, entry),
            *self.item_added(entry, None if is_call else previous),
        )
        if is_call:
            return events
        fields = {**self.place(response, entry), "part": {"type": "audio", "transcript": ""}}
        return (*events, self.event("response.content_part.added", fields, "0"))

    def _output_item(self, what: str, response: ResponseState, entry: Entry) -> Event:
        role = "user" if entry.kind == "function_call" else entry.role
        fields = {"item": self._item(entry, role), "response_id": response.id, "output_index": 0}
        return self.event(f"response.output_item.{what}", fields)

    def place(self, response: ResponseState, entry: Entry) -> Event:
        """The fields that say what a delta belongs to."""
        return {"item_id": entry.id, "response_id": response.id, "content_index": 0, "output_index": 0}

    def audio_delta(self, response: ResponseState, entry: Entry, audio: str, extras: Event) -> Events:
        """A piece of speech in base64; `extras` are the figures that the service adds."""
        return (self.event("response.output_audio.delta", {**self.place(response, entry), "delta": audio, **extras}),)

    def transcript_delta(self, response: ResponseState, entry: Entry, text: str, rid: str, start_ms: float) -> Events:
        """The text of a segment; the segment's audio deltas name this event by `rid`."""
        fields = {**self.place(response, entry), "delta": text, "rid": rid, "start_time": round(start_ms / 1000, 3)}
        return ({**self.event("response.output_audio_transcript.delta", fields), "event_id": rid},)

    def message_done(self, response: ResponseState, entry: Entry) -> Events:
        """The end of a message; one that was broken off ends in another order and without its part."""
        place = self.place(response, entry)
        audio = ("response.output_audio.done", place)
        transcript = ("response.output_audio_transcript.done", {**place, "transcript": entry.transcript})
        part = ("response.content_part.done", place)
        order = (transcript, part, audio) if entry.status == "completed" else (audio, transcript)
        events = (self.event(name, fields) for name, fields in order)
        return (*events, self._output_item("done", response, entry))

    def call_done(self, response: ResponseState, entry: Entry, arguments: str) -> Events:
        """Arguments and end of a function call: the third to the fifth announcement, the response's end apart."""
        place = {"item_id": entry.id, "response_id": response.id}
        delta = {**place, "delta": arguments, "call_id": entry.call_id}
        done = {**place, "output_index": 0, "call_id": entry.call_id, "name": entry.name, "arguments": arguments}
        entry.arguments, entry.status = arguments, "completed"
        return (
            self.event("response.function_call_arguments.delta", delta),
            self.event("response.function_call_arguments.done", done),
            self._output_item("done", response, entry),
        )


def format_of(form: AudioFormat) -> Event:
    """A format as it stands on the wire."""
    return {"type": form.wire_type, "rate": form.rate_hz}


def nested_tool(tool: Mapping[str, Any]) -> Event:
    """A tool as the service echoes it: a function under `function`, anything else as it came."""
    if tool.get("type") != "function" or isinstance(tool.get("function"), dict):
        return dict(tool)
    known = {name: tool[name] for name in ("name", "description", "parameters") if name in tool}
    return {"type": "function", "function": known}


def as_arguments(arguments: Mapping[str, Any] | str) -> str:
    """Arguments of a call as the text that goes out."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
