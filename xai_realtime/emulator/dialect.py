"""The same happenings in OpenAI's strict shapes. In: facts. Out: JSON objects. Imports: rooms 0 and 7.

For clients that validate: complete sessions and responses, `output_audio` parts, indices, usage inside the response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from xai_realtime.audio import AudioFormat
from xai_realtime.emulator.failures import Failure
from xai_realtime.emulator.session import Session, TurnDetection
from xai_realtime.emulator.wire import Entry, Event, Events, ResponseState, Wire, format_of

__all__ = ["OpenAIWire", "wire_for"]

VOICE: Final = "marin"
SESSION_S: Final = 3600
DETECTION: Final = TurnDetection(is_automatic=True, threshold=0.5, silence_ms=500, padding_ms=300)


class OpenAIWire(Wire):
    """Shapes of the `openai` dialect."""

    knows_ping = False
    always_replies = False
    takes_back = False
    detection = DETECTION

    def event(self, type: str, fields: Mapping[str, Any], previous_item_id: str | None = None) -> Event:
        """One event in its envelope, which is its id alone."""
        return {"type": type, "event_id": self.new_id(), **fields}

    def session_created(self, session: Session, epoch_ms: int) -> Events:
        """The first event of a connection, with everything that the session is."""
        return (self.event("session.created", {"session": self._session(session, epoch_ms)}),)

    def session_updated(self, session: Session, epoch_ms: int) -> Events:
        """The receipt, again with everything."""
        return (self.event("session.updated", {"session": self._session(session, epoch_ms)}),)

    def _session(self, session: Session, epoch_ms: int) -> Event:
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session.id,
            "model": session.model,
            "output_modalities": list(session.modalities),
            "instructions": session.instructions,
            "tools": [flat_tool(tool) for tool in session.tools],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": epoch_ms // 1000 + SESSION_S,
            "include": None,
            "audio": {
                "input": {
                    "format": strict_format(session.input_format),
                    "transcription": session.transcription,
                    "noise_reduction": None,
                    "turn_detection": self._detection(session),
                },
                "output": {
                    "format": strict_format(session.output_format),
                    "voice": session.voice or VOICE,
                    "speed": session.speed or 1.0,
                },
            },
        }

    def _detection(self, session: Session) -> Event | None:
        detection = session.detection
        if not detection.is_automatic:
            return None
        return {
            "type": "server_vad",
            "threshold": DETECTION.threshold if detection.threshold is None else detection.threshold,
            "prefix_padding_ms": DETECTION.padding_ms if detection.padding_ms is None else detection.padding_ms,
            "silence_duration_ms": DETECTION.silence_ms if detection.silence_ms is None else detection.silence_ms,
            "idle_timeout_ms": detection.idle_timeout_ms,
            "create_response": detection.responds,
            "interrupt_response": detection.interrupts,
        }

    def ping(self, epoch_ms: int) -> Events:
        """Nothing: this dialect has no such event."""
        return ()

    def error(self, failure: Failure, event_id: str | None) -> Events:
        """What could not be done, with every field."""
        facts = {"code": failure.code, "message": failure.message, "param": failure.param, "event_id": event_id}
        return (self.event("error", {"error": {"type": failure.type, **facts}}),)

    def committed(self, item_id: str, previous: str | None) -> Events:
        """The input became an item."""
        return (self.event("input_audio_buffer.committed", {"item_id": item_id, "previous_item_id": previous}),)

    def timeout_triggered(self, item_id: str, previous: str | None, start_ms: int, end_ms: int) -> Events:
        """The user said nothing for the idle timeout."""
        fields = {"item_id": item_id, "audio_start_ms": start_ms, "audio_end_ms": end_ms}
        return (self.event("input_audio_buffer.timeout_triggered", fields),)

    def transcript_updated(self, item_id: str, text: str, before: str) -> Events:
        """What was heard since `before`."""
        if not text.startswith(before) or text == before:
            return ()
        fields = {"item_id": item_id, "content_index": 0, "delta": text[len(before) :]}
        return (self.event("conversation.item.input_audio_transcription.delta", fields),)

    def transcript_completed(self, item_id: str, text: str, *, is_final: bool) -> Events:
        """The whole of what was heard, once."""
        if not is_final:
            return ()
        usage = {"type": "duration", "seconds": 0}
        fields = {"item_id": item_id, "content_index": 0, "transcript": text, "usage": usage}
        return (self.event("conversation.item.input_audio_transcription.completed", fields),)

    def item_added(self, entry: Entry, previous: str | None) -> Events:
        """An item of the conversation, and that it is complete when it is."""
        fields = {"item": self._item(entry, entry.role), "previous_item_id": previous}
        added = self.event("conversation.item.added", fields)
        if entry.status == "in_progress":
            return (added,)
        return (added, self.event("conversation.item.done", fields))

    def item_deleted(self, item_id: str) -> Events:
        """An item is gone."""
        return (self.event("conversation.item.deleted", {"item_id": item_id}),)

    def item_truncated(self, item_id: str, content_index: int, end_ms: int, kept: str) -> Events:
        """A spoken item was cut."""
        fields = {"item_id": item_id, "content_index": content_index, "audio_end_ms": end_ms}
        return (self.event("conversation.item.truncated", fields),)

    def _item(self, entry: Entry, role: str) -> Event:
        stated: Event = {"id": entry.id, "object": "realtime.item", "type": entry.kind, "status": entry.status}
        if entry.kind != "message":
            return stated | entry.call_fields
        content: list[dict[str, Any]] = entry.content or []
        if entry.transcript:
            content = [{"type": "output_audio", "transcript": entry.transcript}]
        return {**stated, "role": role, "content": content}

    def _response(self, response: ResponseState) -> Event:
        is_running = response.status == "in_progress"
        return {
            "object": "realtime.response",
            "id": response.id,
            "status": response.status,
            "status_details": None if is_running else status_details(response),
            "output": [] if is_running else [self._item(entry, entry.role) for entry in response.entries],
            "conversation_id": response.conversation_id,
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": strict_format(response.form), "voice": response.voice or VOICE}},
            "usage": None if is_running else strict_usage(response.usage),
            "metadata": response.metadata,
        }

    def response_done(self, response: ResponseState) -> Events:
        """A response ended; its usage stands in it."""
        return (self.event("response.done", {"response": self._response(response)}),)

    def _output_item(self, what: str, response: ResponseState, entry: Entry) -> Event:
        fields = {
            "response_id": response.id,
            "output_index": entry.index,
            "item": self._item(entry, entry.role),
        }
        return self.event(f"response.output_item.{what}", fields)

    def output_begun(self, response: ResponseState, entry: Entry, previous: str | None) -> Events:
        """An item of a response, and the part of a message."""
        events = (self._output_item("added", response, entry), *self.item_added(entry, previous))
        if entry.kind != "message":
            return events
        part = {"type": "audio", "transcript": ""}
        return (*events, self.event("response.content_part.added", {**self.place(response, entry), "part": part}))

    def place(self, response: ResponseState, entry: Entry) -> Event:
        """The fields that say what a delta belongs to, with the item's true index."""
        return {"response_id": response.id, "item_id": entry.id, "output_index": entry.index, "content_index": 0}

    def audio_delta(self, response: ResponseState, entry: Entry, audio: str, extras: Event) -> Events:
        """A piece of speech in base64, without more."""
        return (self.event("response.output_audio.delta", {**self.place(response, entry), "delta": audio}),)

    def transcript_delta(self, response: ResponseState, entry: Entry, text: str, rid: str, start_ms: float) -> Events:
        """The text of a segment."""
        fields = {**self.place(response, entry), "delta": text}
        return (self.event("response.output_audio_transcript.delta", fields),)

    def message_done(self, response: ResponseState, entry: Entry) -> Events:
        """The end of a message: audio, transcript, part, item."""
        place = self.place(response, entry)
        part = {"type": "audio", "transcript": entry.transcript}
        fields = {"item": self._item(entry, entry.role), "previous_item_id": None}
        return (
            self.event("response.output_audio.done", place),
            self.event("response.output_audio_transcript.done", {**place, "transcript": entry.transcript}),
            self.event("response.content_part.done", {**place, "part": part}),
            self.event("conversation.item.done", fields),
            self._output_item("done", response, entry),
        )

    def call_done(self, response: ResponseState, entry: Entry, arguments: str) -> Events:
        """Arguments and end of a function call."""
        place = {
            "response_id": response.id,
            "item_id": entry.id,
            "output_index": entry.index,
            "call_id": entry.call_id,
        }
        entry.arguments, entry.status = arguments, "completed"
        return (
            self.event("response.function_call_arguments.delta", {**place, "delta": arguments}),
            self.event("response.function_call_arguments.done", {**place, "name": entry.name, "arguments": arguments}),
            self.event("conversation.item.done", {"item": self._item(entry, entry.role), "previous_item_id": None}),
            self._output_item("done", response, entry),
        )


def strict_format(form: AudioFormat) -> Event:
    """A format; only PCM has a rate here."""
    return format_of(form) if form.encoding == "pcm" else {"type": form.wire_type}


def flat_tool(tool: Mapping[str, Any]) -> Event:
    """A function with its fields at the top."""
    nested = tool.get("function")
    return {"type": "function", **nested} if isinstance(nested, dict) else dict(tool)


def strict_usage(usage: Mapping[str, Any]) -> Event:
    """Usage with the names of this dialect."""
    heard, said = usage.get("input_token_details", {}), usage.get("output_token_details", {})
    return {
        "total_tokens": usage.get("total_tokens", 0),
        "input_tokens": usage.get("input_tokens", 0),
        "output_tokens": usage.get("output_tokens", 0),
        "input_token_details": {
            "text_tokens": heard.get("text_tokens", 0),
            "audio_tokens": heard.get("audio_tokens", 0),
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {
            "text_tokens": said.get("text_tokens", 0),
            "audio_tokens": said.get("audio_tokens", 0),
        },
    }


def status_details(response: ResponseState) -> Event:
    """Why a response ended as it did."""
    if response.status == "cancelled":
        return {"type": "cancelled", "reason": "turn_detected"}
    if response.status == "incomplete":
        return {"type": "incomplete", "reason": "max_output_tokens"}
    if response.status == "failed":
        failure = response.failure or Failure("The response failed.", "server_error", "server_error")
        return {"type": "failed", "error": {"type": failure.type, "code": failure.code}}
    return {"type": "completed"}


def wire_for(dialect: str, new_id: Callable[[], str]) -> Wire:
    """The shapes of a dialect, `xai` or `openai`."""
    return OpenAIWire(new_id) if dialect == "openai" else Wire(new_id)
