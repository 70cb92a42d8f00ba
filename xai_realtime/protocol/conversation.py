"""A conversation folded from the events of one connection. In: server events. Out: items, transcripts, calls, usage.

A pure fold: no clock, no waiting, and the same events give the same state. Imports: rooms 0-1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from xai_realtime.errors import AudioDecodeError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import BinaryAudio
from xai_realtime.protocol.usage import UsageTotals

__all__ = ["Conversation", "Item", "ToolCall"]

CALL: Final = "function_call"
CALL_OUTPUT: Final = "function_call_output"
MAX_ERRORS: Final = 1_000

AudioDelta: TypeAlias = wire.ResponseOutputAudioDelta | wire.ResponseAudioDelta


class Statements:
    """What was said of one text, in the order first said: the streamed pieces joined, and each full version."""

    __slots__ = ("_current", "_streamed", "_versions")

    def __init__(self) -> None:
        self._streamed = ""
        self._versions: dict[str, None] = {}
        self._current: str | None = None

    def stream(self, piece: str) -> None:
        """One more piece of a text that arrives in pieces."""
        self._streamed += piece

    def state(self, text: str) -> None:
        """A full version of the text; the last one holds."""
        if text:
            self._versions[text] = None
            self._current = text

    def cut(self, text: str) -> None:
        """What is left of the text after a truncation, possibly nothing."""
        self.state(text)
        self._current = text

    @property
    def text(self) -> str:
        """The version that holds."""
        return self._streamed if self._current is None else self._current

    def all(self) -> tuple[str, ...]:
        """Every different version, the streamed one first."""
        streamed = [self._streamed] if self._streamed else []
        return (*streamed, *(text for text in self._versions if text != self._streamed))


@dataclass(slots=True)
class Item:
    """One entry of the conversation.

    `kind` is the wire's item type, `role` who it belongs to (a function call to the assistant, its
    output to the tool, whatever role the wire repeats). `audio_bytes` counts the received audio. `heard` is
    what was heard of a message that was cut off, None when all of it was.
    """

    id: str
    kind: str
    role: str
    status: str | None = None
    replayed: bool = False
    call_id: str | None = None
    output: str | None = None
    response_id: str | None = None
    audio_bytes: int = 0
    heard: str | None = None
    names: Statements = field(default_factory=Statements)
    outputs: Statements = field(default_factory=Statements)
    arguments: Statements = field(default_factory=Statements)
    parts: dict[int, Statements] = field(default_factory=dict)
    _audio: Any = None

    @property
    def text(self) -> str:
        """What was said or written, the parts joined by a space."""
        return " ".join(text for _, part in sorted(self.parts.items()) if (text := part.text))

    @property
    def name(self) -> str | None:
        """The called function."""
        return self.names.text or None

    @property
    def audio_sha256(self) -> str | None:
        """Hash of the received audio, None when there was none."""
        return None if self._audio is None else str(self._audio.hexdigest())

    def part(self, index: int | None) -> Statements:
        """The statements about one content part."""
        return self.parts.setdefault(index or 0, Statements())

    def said(self) -> str:
        """What reached the listener: all of the text, or what was heard of it."""
        return self.text if self.heard is None else self.heard

    def hear(self, audio: bytes) -> None:
        """Take in one chunk of the item's audio."""
        if self._audio is None:
            self._audio = hashlib.sha256()
        self._audio.update(audio)
        self.audio_bytes += len(audio)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call and, once it came back, its output."""

    call_id: str
    name: str | None
    arguments: str
    output: str | None


class Conversation:
    """The state of one conversation: feed it every server event with `receive`.

    Without `hashes_audio` the received audio is counted alone, which spares decoding it here.
    """

    def __init__(self, *, hashes_audio: bool = True) -> None:
        self.session: wire.Session | None = None
        self.conversation_id: str | None = None
        self.usage = UsageTotals()
        self.errors: list[wire.Error] = []
        self.bad_audio = 0
        self._items: dict[str, Item] = {}
        self._order: list[str] = []
        self._configured = False
        self._hashes_audio = hashes_audio
        self._speaking = "(binary audio)"

    @property
    def items(self) -> tuple[Item, ...]:
        """The items in their order."""
        return tuple(self._items[name] for name in self._order)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The function calls in their order, one for each call however often it was announced."""
        outputs = {item.call_id: item.output for item in self.items if item.kind == CALL_OUTPUT}
        return tuple(
            ToolCall(item.call_id or "", item.name, item.arguments.text, outputs.get(item.call_id))
            for item in self.items
            if item.kind == CALL
        )

    def transcripts(self) -> Iterator[tuple[str, str]]:
        """(role, text) of every message with text, in order."""
        return ((item.role, item.text) for item in self.items if item.kind == "message" and item.text)

    def item(self, item_id: str) -> Item | None:
        """The item under an id, None when there is none."""
        return self._items.get(item_id)

    def forget(self, item_id: str) -> None:
        """Take an item out, as the server does when it confirms a deletion without saying of what."""
        if self._items.pop(item_id, None) is not None:
            self._order.remove(item_id)

    def reconnected(self) -> None:
        """The conversation goes on over a new connection: what comes before its first receipt is a replay."""
        self._configured = False

    @property
    def speaking_item(self) -> str:
        """The message that audio without ids belongs to."""
        return self._speaking

    @property
    def is_configured(self) -> bool:
        """Did the server acknowledge the configuration of this connection?"""
        return self._configured

    def receive(self, event: object) -> None:
        """Fold one event in. Events that do not bear on the conversation change nothing."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def _session(self, event: wire.SessionCreated | wire.SessionUpdated) -> None:
        self.session = event.session
        self._configured = self._configured or isinstance(event, wire.SessionUpdated)

    def _item_announced(self, event: wire.ConversationItemAdded | wire.ConversationItemCreated) -> None:
        item = self._know(event.item, event.previous_item_id)
        item.replayed = item.replayed or bool(event.item.replayed) or not self._configured

    def _output_item(self, event: wire.ResponseOutputItemAdded | wire.ResponseOutputItemDone) -> None:
        item = self._know(event.item, None)
        item.response_id = event.response_id
        if item.kind == "message":
            self._speaking = item.id

    def _item_deleted(self, event: wire.ConversationItemDeleted) -> None:
        self.forget(event.item_id)

    def _item_truncated(self, event: wire.ConversationItemTruncated) -> None:
        if event.transcript is not None:
            item = self._item(event.item_id, "assistant")
            item.part(event.content_index).cut(event.transcript)
            item.heard = event.transcript

    def _audio_delta(self, event: AudioDelta) -> None:
        item = self._item(event.item_id, "assistant")
        if not self._hashes_audio:
            item.audio_bytes += len(event.delta) // 4 * 3 - event.delta[-2:].count("=")
            return
        try:
            audio = event.audio
        except AudioDecodeError:
            self.bad_audio += 1
            return
        item.hear(audio)

    def _binary_audio(self, event: BinaryAudio) -> None:
        """Audio that came as a binary message names no item: it belongs to the message announced last."""
        item = self._item(self._speaking, "assistant")
        if self._hashes_audio:
            item.hear(event.audio)
        else:
            item.audio_bytes += len(event.audio)

    def _response_done(self, event: wire.ResponseDone) -> None:
        for output in event.response.output or ():
            self._know(output, None).response_id = event.response.id
        self.usage.add(event.response.id, event.usage, event.response.usage)

    def _know(self, stated: wire.ConversationItem, previous_item_id: str | None) -> Item:
        """The item that the server states, taken in as far as it says something new."""
        item = self._item(stated.id, _role(stated), stated.type, previous_item_id)
        item.kind, item.role = stated.type, _role(stated)
        item.status = stated.status or item.status
        item.call_id = stated.call_id or item.call_id
        if stated.output is not None:
            item.output = stated.output
            item.outputs.state(stated.output)
        item.names.state(stated.name or "")
        item.arguments.state(stated.arguments or "")
        for index, part in enumerate(stated.content or ()):
            item.part(index).state(_text_of(part))
        return item

    def _item(self, name: str, role: str, kind: str = "message", previous_item_id: str | None = None) -> Item:
        item = self._items.get(name)
        if item is None:
            item = self._items[name] = Item(name, kind, role)
            if previous_item_id is not None and previous_item_id in self._items:
                self._order.insert(self._order.index(previous_item_id) + 1, name)
            else:
                self._order.append(name)
        return item


def _conversation_created(conversation: Conversation, event: wire.ConversationCreated) -> None:
    conversation.conversation_id = event.conversation.id


def _error(conversation: Conversation, event: wire.Error) -> None:
    conversation.errors.append(event)
    del conversation.errors[:-MAX_ERRORS]


def _heard(
    conversation: Conversation,
    event: wire.ConversationItemInputAudioTranscriptionUpdated | wire.ConversationItemInputAudioTranscriptionCompleted,
) -> None:
    conversation._item(event.item_id, "user").part(event.content_index).state(event.transcript or "")


def _committed(
    conversation: Conversation, event: wire.InputAudioBufferCommitted | wire.InputAudioBufferSpeechStarted
) -> None:
    conversation._item(event.item_id, "user")


def _text_delta(conversation: Conversation, event: _TextDelta) -> None:
    conversation._item(event.item_id, "assistant").part(event.content_index).stream(event.delta or "")


def _transcript_done(
    conversation: Conversation, event: wire.ResponseOutputAudioTranscriptDone | wire.ResponseAudioTranscriptDone
) -> None:
    conversation._item(event.item_id, "assistant").part(event.content_index).state(event.transcript or "")


def _text_done(conversation: Conversation, event: wire.ResponseOutputTextDone | wire.ResponseTextDone) -> None:
    conversation._item(event.item_id, "assistant").part(event.content_index).state(event.text or "")


def _content_part(
    conversation: Conversation, event: wire.ResponseContentPartAdded | wire.ResponseContentPartDone
) -> None:
    if event.part is not None:
        conversation._item(event.item_id, "assistant").part(event.content_index).state(_text_of(event.part))


def _arguments_delta(conversation: Conversation, event: wire.ResponseFunctionCallArgumentsDelta) -> None:
    item = conversation._item(event.item_id, "assistant", CALL)
    item.arguments.stream(event.delta)
    item.call_id = item.call_id or event.call_id


def _arguments_done(conversation: Conversation, event: wire.ResponseFunctionCallArgumentsDone) -> None:
    item = conversation._item(event.item_id, "assistant", CALL)
    item.arguments.state(event.arguments)
    item.names.state(event.name or "")
    item.call_id = item.call_id or event.call_id


def _role(stated: wire.ConversationItem) -> str:
    """The wire calls a function call's role `user` in one event and `tool` in the next."""
    if stated.type == CALL:
        return "assistant"
    if stated.type == CALL_OUTPUT:
        return "tool"
    return stated.role or "assistant"


def _text_of(part: wire.ContentPart) -> str:
    return part.transcript or part.text or ""


_TextDelta: TypeAlias = (
    wire.ResponseOutputAudioTranscriptDelta
    | wire.ResponseAudioTranscriptDelta
    | wire.ResponseOutputTextDelta
    | wire.ResponseTextDelta
)

_HANDLERS: Final[Mapping[type, Callable[[Conversation, Any], None]]] = {
    wire.SessionCreated: Conversation._session,
    wire.SessionUpdated: Conversation._session,
    wire.ConversationCreated: _conversation_created,
    wire.ConversationItemAdded: Conversation._item_announced,
    wire.ConversationItemCreated: Conversation._item_announced,
    wire.ConversationItemDeleted: Conversation._item_deleted,
    wire.ConversationItemTruncated: Conversation._item_truncated,
    wire.ConversationItemInputAudioTranscriptionUpdated: _heard,
    wire.ConversationItemInputAudioTranscriptionCompleted: _heard,
    wire.InputAudioBufferSpeechStarted: _committed,
    wire.InputAudioBufferCommitted: _committed,
    wire.ResponseOutputItemAdded: Conversation._output_item,
    wire.ResponseOutputItemDone: Conversation._output_item,
    wire.ResponseContentPartAdded: _content_part,
    wire.ResponseContentPartDone: _content_part,
    wire.ResponseOutputAudioDelta: Conversation._audio_delta,
    wire.ResponseAudioDelta: Conversation._audio_delta,
    BinaryAudio: Conversation._binary_audio,
    wire.ResponseOutputAudioTranscriptDelta: _text_delta,
    wire.ResponseAudioTranscriptDelta: _text_delta,
    wire.ResponseOutputTextDelta: _text_delta,
    wire.ResponseTextDelta: _text_delta,
    wire.ResponseOutputAudioTranscriptDone: _transcript_done,
    wire.ResponseAudioTranscriptDone: _transcript_done,
    wire.ResponseOutputTextDone: _text_done,
    wire.ResponseTextDone: _text_done,
    wire.ResponseFunctionCallArgumentsDelta: _arguments_delta,
    wire.ResponseFunctionCallArgumentsDone: _arguments_done,
    wire.ResponseDone: Conversation._response_done,
    wire.Error: _error,
}
