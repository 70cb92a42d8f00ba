"""Chats over HTTP, told on a timeline. In: a chat of a tape. Out: lines. Imports: rooms 0-6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from xai_realtime.chat.taped import TapedChat, called, message_text
from xai_realtime.cli._talk import MAX_OUTPUT_CHARACTERS, SHORTEST_PAUSE_MS, Line
from xai_realtime.cli.text import seconds, shortened
from xai_realtime.cli.wording import call_words, chat_usage_words
from xai_realtime.protocol.chat_outcome import ReasoningDelta, RefusalDelta, TextDelta, ToolDelta
from xai_realtime.protocol.chat_reply import ChatChoice, ChatReply
from xai_realtime.protocol.chat_tools import ChatToolCall

__all__ = ["answered", "asked", "asked_for"]

MAX_INSTRUCTION_CHARACTERS: Final = 160
INSTRUCTING: Final = ("system", "developer")


def asked_for(chat: TapedChat) -> list[str]:
    """What is remarkable of a request: the model, how the answer comes, tools, the form."""
    body = chat.body
    found = [str(body["model"])] if isinstance(body.get("model"), str) else []
    found += [word for name, word in (("stream", "streamed"), ("deferred", "deferred")) if body.get(name)]
    names = [name for tool in _listed(body.get("tools")) if (name := _function(tool).get("name"))]
    if names:
        found.append(f"{'tool' if len(names) == 1 else 'tools'} {', '.join(map(str, names))}")
    form = body.get("response_format")
    schema = form.get("json_schema") if isinstance(form, dict) else None
    if isinstance(form, dict) and form.get("type") != "text":
        name = schema.get("name") if isinstance(schema, dict) else None
        found.append(f"answer as {name}" if isinstance(name, str) else "answer as JSON")
    return found


def asked(chat: TapedChat) -> Iterator[Line]:
    """What is said that was not said before."""
    for message in chat.new:
        role, text = message.get("role"), message_text(message)
        if role in INSTRUCTING:
            yield Line(
                chat.asked_ms, "session", "aside", f"instructions: {shortened(text, MAX_INSTRUCTION_CHARACTERS)}"
            )
        elif role in ("tool", "function"):
            words = shortened(text, MAX_OUTPUT_CHARACTERS) or "(gives nothing back)"
            yield Line(chat.asked_ms, "tool", "output", words, _called(chat, message.get("tool_call_id")))
        elif role == "assistant":
            if text:
                yield Line(chat.asked_ms, "Grok", "said", text, ["history"])
            for call in called(message):
                yield _call(chat.asked_ms, call, "history")
        else:
            yield Line(chat.asked_ms, "You", "said", text)


def answered(chat: TapedChat, reply: ChatReply) -> Iterator[Line]:
    """What is thought, said and called, each when it began; how it ended, and what it used."""
    outcome = reply.outcome
    assert outcome is not None
    end_ms = chat.asked_ms + (outcome.total_ms or 0.0)
    began = next((at_ms for at_ms, told in chat.told if not isinstance(told, ReasoningDelta)), end_ms)
    if chat.told and began - chat.asked_ms >= SHORTEST_PAUSE_MS:
        thought = f": {shortened(reply.reasoning, MAX_INSTRUCTION_CHARACTERS)}" if reply.reasoning else ""
        yield Line(chat.asked_ms, "Grok", "aside", f"(thinks for {seconds(began - chat.asked_ms)}){thought}")
    said = [line for choice in reply.choices for line in _choice(chat, choice, len(reply.choices) > 1)]
    yield from said
    why = f" ({outcome.reason})" if outcome.reason and outcome.reason != outcome.status else ""
    if outcome.status == "failed":
        yield Line(end_ms, "session", "error", f"the answer breaks off: {outcome.error}")
    elif outcome.status == "cancelled":
        yield Line(end_ms, "You", "aside", "(stop Grok)")
    elif not outcome.is_complete and said:
        said[-1].notes.append(f"{outcome.status}{why}")
    elif not outcome.is_complete:
        yield Line(end_ms, "Grok", "aside", f"(the answer is {outcome.status}{why})")
    if words := chat_usage_words(reply.usage):
        yield Line(end_ms, "session", "usage", f"usage: {words}")


def _choice(chat: TapedChat, choice: ChatChoice, is_one_of_many: bool) -> Iterator[Line]:
    notes = [f"choice {choice.index}"] if is_one_of_many else []
    for kind, text in ((TextDelta, choice.text), (RefusalDelta, choice.refusal)):
        if text.strip():
            line = Line(_first_ms(chat, kind, choice.index), "Grok", "said", text, list(notes))
            line.notes += ["refuses"] if kind is RefusalDelta else []
            yield line
    for call in choice.tool_calls:
        at_ms = _first_ms(chat, ToolDelta, choice.index, call.id)
        yield _call(at_ms, call, *notes)


def _first_ms(chat: TapedChat, kind: type, choice: int, call_id: str | None = None) -> float:
    """When the first of such deltas came; of a call by its id where the deltas name it."""
    times = [
        (at_ms, getattr(told, "id", None)) for at_ms, told in chat.told if type(told) is kind and told.choice == choice
    ]
    named = [at_ms for at_ms, name in times if name == call_id]
    return next(iter(named or [at_ms for at_ms, _ in times]), chat.asked_ms)


def _called(chat: TapedChat, call_id: Any) -> list[str]:
    """The name of the function that an output is of, as a note."""
    calls = (call for message in chat.body["messages"] for call in called(message))
    return [call.name for call in calls if call.id == call_id][:1]


def _call(at_ms: float, call: ChatToolCall, *notes: str) -> Line:
    return Line(at_ms, "Grok", "call", f"calls {call_words(call.name, call.arguments)}", list(notes))


def _function(value: Any) -> Mapping[str, Any]:
    inner = value.get("function") if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
