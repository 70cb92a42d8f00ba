"""Runs under test: what was told, answers that call, and whether a conversation can go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.chat.driving import Piece, Told, calls, chunk, said, sse, stop, usage
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.run import ChatRun, ChatRunEvent
from xai_realtime.protocol.chat_outcome import TextDelta

__all__ = ["answer", "calling", "check", "outputs", "read", "text_told"]


def calling(*made: tuple[str, Any], text: str = "", ids: Sequence[str] = (), gap_s: float = 0.0) -> Told:
    """A stream that says something, word by word, and calls: names with their arguments."""
    listed = [
        (at, ids[at] if ids else f"call_{name}_{at}", name, args if isinstance(args, str) else json.dumps(args))
        for at, (name, args) in enumerate(made)
    ]
    return sse(*words(text, gap_s), gap_s, chunk(calls(*listed)), stop("tool_calls", usage=usage()))


def answer(text: str, gap_s: float = 0.0, **more: Any) -> Told:
    """A stream that says something, word by word."""
    return sse(*words(text, gap_s), stop(usage=usage()), **more)


def words(text: str, gap_s: float) -> list[Piece]:
    pieces: list[Piece] = []
    for word in text.split(" ") if text else []:
        pieces += [gap_s, said(word if not pieces else f" {word}")]
    return pieces


async def read(run: ChatRun) -> list[ChatRunEvent]:
    """All that a run tells."""
    async with run:
        return [event async for event in run]


def text_told(events: Sequence[ChatRunEvent]) -> str:
    """The words that were told."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def outputs(body: Any) -> dict[str, str]:
    """What a request brings back, by the id of the call."""
    made = [message for message in body["messages"] if message["role"] == "tool"]
    assert len({message["tool_call_id"] for message in made}) == len(made), "a call was answered twice"
    return {message["tool_call_id"]: message["content"] for message in made}


def check(conversation: ChatConversation | Sequence[Any]) -> None:
    """A conversation that a service takes: outputs right behind their calls, in order; nothing empty."""
    waiting: list[str] = []
    for message in conversation:
        if message["role"] == "tool":
            assert waiting and waiting.pop(0) == message["tool_call_id"]
            continue
        assert not waiting, "a call without its output"
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        assert message["content"] or waiting, "a message that says nothing"
    assert not waiting, "a call without its output"
