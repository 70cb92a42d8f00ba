"""Chats as they lie on a tape. In: its HTTP exchanges. Out: what was asked anew, what was answered, and when.

Imports: rooms 0-4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from xai_realtime.cassette._json import is_equal
from xai_realtime.cassette.tape import TapedExchange
from xai_realtime.chat.asking import unreadable
from xai_realtime.codec import chat_codec
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.errors import ConnectionBrokenError, RemoteProtocolError
from xai_realtime.events._base import InvalidEvent
from xai_realtime.events._chat import DONE, ChatStreamError
from xai_realtime.protocol.chat_outcome import ChatTold
from xai_realtime.protocol.chat_reply import ChatReply, ReplyFold
from xai_realtime.protocol.chat_tools import ChatToolCall
from xai_realtime.protocol.chat_usage import FIGURES
from xai_realtime.protocol.sse import SseEvent, SseParser

__all__ = [
    "ChatTape",
    "TapedChat",
    "called",
    "chat_calls",
    "chat_content",
    "chat_items",
    "chat_transcripts",
    "chat_usage",
    "chats_of",
    "message_text",
    "path_of",
]

MAX_EVENT_BYTES: Final = MAX_MESSAGE_BYTES
OK: Final = 200
PENDING: Final = 202
LATER: Final = "/chat/deferred-completion/"
STREAM: Final = "text/event-stream"
AUTHOR: Final = "assistant"
OUTPUTS: Final = ("tool", "function")
SPEAKERS: Final = ("user", "assistant")
SAID: Final = ("kind", "role", "text", "name", "arguments", "output")

End: TypeAlias = Literal["answered", "later", "pending", "refused", "nothing"]


@dataclass(frozen=True, slots=True)
class TapedChat:
    """One request for an answer, and what came of it.

    `body` is what was sent, empty where a deferred answer was fetched. `new` are the messages that no request or answer
    before it had said. `told` are the deltas and their times, `reply` is the answer; None where there is none. `end` is
    what came: an answer, that it comes `later`, that it is `pending`, a refusal, or nothing. Times are milliseconds of
    the tape, but for those of the outcome, which count from the request. `invalid_events` could not be read.
    """

    conn: int
    asked_ms: float
    body: Mapping[str, Any] = field(repr=False)
    new: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    end: End = "nothing"
    reply: ChatReply | None = None
    told: tuple[tuple[float, ChatTold], ...] = field(default=(), repr=False)
    invalid_events: int = 0


class ChatTape:
    """Reads the chats of one tape, which are given in the order of their requests."""

    def __init__(self) -> None:
        self._known: list[Sequence[Any]] = []
        self._answers: list[Mapping[str, Any]] = []

    def read(self, exchange: TapedExchange, pieces: Iterable[tuple[float, bytes]] | None = None) -> TapedChat | None:
        """The chat that an exchange is; None for any other. `pieces` of the body stand for those of the tape."""
        request = exchange.request
        body: Mapping[str, Any] = request.body if isinstance(request.body, dict) else {}
        is_asked = request.method == "POST" and isinstance(body.get("messages"), list)
        if not is_asked and not (request.method == "GET" and LATER in path_of(request.url)):
            return None
        new = self._new(body["messages"]) if is_asked else ()
        if pieces is None:
            pieces = [(chunk.at_ms, (chunk.text or "").encode()) for chunk in exchange.chunks]
        reader = _Reader(exchange)
        reader.read(pieces)
        if reader.reply is not None:
            self._answers += [choice.to_message() for choice in reader.reply.choices]
        told = tuple(reader.told)
        return TapedChat(exchange.conn, request.at_ms, body, new, reader.end, reader.reply, told, reader.invalid_events)

    def _new(self, messages: list[Any]) -> tuple[Mapping[str, Any], ...]:
        """Messages behind those that an earlier request began with; an answer that was heard is none of them."""
        known = max((_common(messages, earlier) for earlier in self._known), default=0)
        self._known.append(messages)
        said = (message for message in messages[known:] if isinstance(message, dict))
        return tuple(message for message in said if not any(_repeats(message, answer) for answer in self._answers))


def message_text(message: Mapping[str, Any]) -> str:
    """The words of a message; other parts of its content by their type."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [part["text"] if isinstance(part.get("text"), str) else f"({part.get('type')})" for part in parts]
    return " ".join(texts)


def called(message: Any) -> list[ChatToolCall]:
    """The calls that a message of the conversation repeats."""
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    found = []
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            found.append(ChatToolCall(*map(_text, (call.get("id"), function.get("name"), function.get("arguments")))))
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _common(messages: Sequence[Any], earlier: Sequence[Any]) -> int:
    pairs = enumerate(zip(messages, earlier, strict=False))
    return next((place for place, (one, two) in pairs if not is_equal(one, two)), min(len(messages), len(earlier)))


def _repeats(message: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    if message.get("role") != AUTHOR or (message.get("content") or "") != answer["content"]:
        return False
    return [call.id for call in called(message)] == [call.id for call in called(answer)]


class _Reader:
    """One answer while it is read."""

    def __init__(self, exchange: TapedExchange) -> None:
        self._exchange = exchange
        self._fold = ReplyFold(started_ms=exchange.request.at_ms)
        self.told: list[tuple[float, ChatTold]] = []
        self.reply: ChatReply | None = None
        self.end: End = "nothing"
        self.invalid_events = 0

    def read(self, pieces: Iterable[tuple[float, bytes]]) -> None:
        head = self._exchange.response
        if head is None:
            return
        if head.status != OK:
            self.end = "pending" if head.status == PENDING else "refused"
        elif head.headers.get("content-type", "").lower().startswith(STREAM):
            self._read_stream(pieces)
        else:
            self._read_whole(list(pieces))

    def _read_stream(self, pieces: Iterable[tuple[float, bytes]]) -> None:
        self.end = "answered"
        done = self._exchange.done
        parser, last_ms = SseParser(max_event_bytes=MAX_EVENT_BYTES), self._exchange.request.at_ms
        try:
            for last_ms, piece in pieces:
                self._take(parser.push(piece), last_ms)
            self._take(parser.finish(), last_ms)
        except RemoteProtocolError as error:
            self.invalid_events += 1
            self._fold.fail(error, last_ms)
        end_ms = last_ms if done is None else done.at_ms
        if done is not None and done.error == "client":
            self._fold.cancel(end_ms)
        elif done is not None and done.error is not None:
            self._fold.fail(ConnectionBrokenError(None, done.reason or done.error), end_ms)
        else:
            self._fold.closed(end_ms)
        self.reply = self._fold.reply

    def _take(self, events: Iterable[SseEvent], at_ms: float) -> None:
        for event in events:
            said = chat_codec.decode_chunk(event.data)
            if said is DONE:
                self._fold.done(at_ms)
            elif isinstance(said, ChatStreamError):
                self._fold.fail(said, at_ms)
            elif not isinstance(said, InvalidEvent):
                self.told += [(at_ms, told) for told in self._fold.push(said, at_ms)]
            elif event.is_whole:
                self.invalid_events += 1
                self._fold.fail(unreadable("a chunk of the answer", said), at_ms)

    def _read_whole(self, pieces: Sequence[tuple[float, bytes]]) -> None:
        from xai_realtime.events import chat

        body = b"".join(piece for _, piece in pieces)
        at_ms = pieces[-1][0] if pieces else self._exchange.request.at_ms
        asked = self._exchange.request.body
        if isinstance(asked, dict) and asked.get("deferred"):
            receipt = chat_codec.decode(body, chat.DeferredCompletion)
            self.end = "later" if isinstance(receipt, chat.DeferredCompletion) else "refused"
            self.invalid_events += isinstance(receipt, InvalidEvent)
            return
        said = chat_codec.decode(body, chat.ChatCompletion)
        if isinstance(said, ChatStreamError | InvalidEvent):
            self.end = "refused"
            self.invalid_events += isinstance(said, InvalidEvent)
            return
        self.end = "answered"
        self.told += [(at_ms, told) for told in self._fold.push_whole(said, at_ms)]
        self._fold.done(at_ms)
        self.reply = self._fold.reply


def chats_of(exchanges: Iterable[TapedExchange]) -> Iterator[TapedChat]:
    """The chats among exchanges, in their order."""
    tape = ChatTape()
    for exchange in exchanges:
        chat = tape.read(exchange)
        if chat is not None:
            yield chat


# What a report says of them


def chat_items(chat: TapedChat) -> Iterator[dict[str, Any]]:
    """Messages and calls, those of the request that are new and then those of the answer, as a report lists items."""
    for message in chat.new:
        role = str(message.get("role") or "user")
        if role in OUTPUTS:
            yield _item("function_call_output", call_id=message.get("tool_call_id"), output=message_text(message))
            continue
        text = message_text(message)
        if text or not called(message):
            yield _item("message", role=role, text=text)
        yield from (_item("function_call", call_id=call.id, call=call) for call in called(message))
    choices, reply_id = ((), None) if chat.reply is None else (chat.reply.choices, chat.reply.id)
    for choice in choices:
        if choice.text or choice.refusal or not choice.tool_calls:
            text = choice.text or choice.refusal
            yield _item("message", item_id=reply_id, role=choice.role, status=choice.status, text=text)
        for call in choice.tool_calls:
            yield _item("function_call", call_id=call.id, call=call, status=choice.status)


def _item(
    kind: str,
    *,
    item_id: str | None = None,
    role: str | None = None,
    status: str | None = None,
    text: str | None = None,
    call_id: Any = None,
    call: ChatToolCall | None = None,
    output: str | None = None,
) -> dict[str, Any]:
    return {
        "id": call_id if isinstance(call_id, str) else item_id,
        "kind": kind,
        "role": role,
        "status": status,
        "text": text or "",
        "name": None if call is None else call.name,
        "arguments": None if call is None else call.arguments,
        "output": output,
        "audio_bytes": 0,
        "audio_sha256": None,
    }


def chat_calls(chats: Iterable[TapedChat]) -> list[dict[str, Any]]:
    """The calls of all answers, with the outputs that went back."""
    chats = list(chats)
    outputs = {
        message.get("tool_call_id"): message_text(message)
        for chat in chats
        for message in chat.new
        if message.get("role") in OUTPUTS
    }
    choices = [choice for chat in chats if chat.reply is not None for choice in chat.reply.choices]
    return [
        {"call_id": call.id, "name": call.name, "arguments": call.arguments, "output": outputs.get(call.id)}
        for choice in choices
        for call in choice.tool_calls
    ]


def chat_transcripts(chat: TapedChat) -> Iterator[tuple[str, str]]:
    """Who said what, in order."""
    for item in chat_items(chat):
        if item["kind"] == "message" and item["role"] in SPEAKERS and item["text"]:
            yield item["role"], item["text"]


def chat_usage(chat: TapedChat) -> dict[str, int]:
    """The figures that the answer states."""
    if chat.reply is None:
        return {}
    usage = chat.reply.usage
    stated = {name: getattr(usage, name) for name in (*FIGURES, "output_tokens")}
    return {name: value for name, value in stated.items() if value is not None}


def chat_content(chat: TapedChat) -> Any:
    """What counts for a digest: what was said and called, thought and how it ended, usage; no ids and no times."""
    items = [[item[name] for name in SAID] for item in chat_items(chat)]
    outcome = None if chat.reply is None else chat.reply.outcome
    end = [chat.end] if outcome is None else [chat.end, outcome.status, outcome.reason]
    thought = [] if chat.reply is None else [choice.reasoning for choice in chat.reply.choices]
    return {"items": items, "end": end, "thought": thought, "usage": chat_usage(chat)}


def path_of(url: str) -> str:
    """The path of an address; a malformed one, as a foreign tape may hold, as it is."""
    try:
        return urlsplit(url).path
    except ValueError:
        return url
