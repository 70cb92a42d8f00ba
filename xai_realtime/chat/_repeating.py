"""Chunks that differ from an earlier one in their text alone, as most of a stream do. In: bytes. Out: the text.

Imports: rooms 0-2, pydantic_core.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json

from xai_realtime.codec import chat_codec
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.events._base import InvalidEvent
from xai_realtime.events._chat import DONE, ChatStreamError

if TYPE_CHECKING:
    from xai_realtime.events import chat

__all__ = ["RepeatingChunks"]

TEXT: Final = re.compile(rb'"content":[ ]?("(?:[^"\\]|\\.)*")', re.DOTALL)
MARK: Final = "\N{REPLACEMENT CHARACTER}mark"
MAX_VAIN: Final = 3


class RepeatingChunks:
    """Reads the text of a chunk without the rest, where all but the text is byte for byte that of an earlier chunk.

    What it gives is what `chat_codec` would read: the bytes around the text are those of a chunk that was read whole,
    and what is between them is a JSON string. A stream whose chunks never repeat is left alone after a few of them.
    """

    __slots__ = ("_after", "_before", "_vain", "choice")

    def __init__(self) -> None:
        self.choice = 0
        """Whose text it is: the choice of the chunk that was learned."""
        self._before = b""
        self._after = b""
        self._vain = 0

    def text(self, data: bytes) -> str | None:
        """The text of a chunk that says nothing else that is new; None for any other."""
        before, after = self._before, self._after
        if not before or not data.startswith(before) or not data.endswith(after) or len(data) > MAX_MESSAGE_BYTES:
            return None
        try:
            text = from_json(data[len(before) : len(data) - len(after)])
        except ValueError:
            return None
        if type(text) is not str or not text:
            return None
        self._vain = 0
        return text

    def learn(self, data: bytes, chunk: chat.ChatCompletionChunk) -> None:
        """Take a chunk as the pattern of those that follow, if it says nothing but the next words of one choice.

        Any other ends the pattern: what it changed must be said again by the chunk that is learned next.
        """
        self._before = b""
        if self._vain >= MAX_VAIN or not _is_text_alone(chunk):
            return
        found = TEXT.findall(data)
        if len(found) != 1:
            return
        at = data.index(found[0], data.index(b'"content":'))
        before, after = data[:at], data[at + len(found[0]) :]
        # Another place of that name would not show the mark.
        marked = chat_codec.decode_chunk(before + f'"{MARK}"'.encode() + after)
        if marked is DONE or isinstance(marked, ChatStreamError | InvalidEvent) or not marked.choices:
            return
        delta = marked.choices[0].delta
        if delta is not None and delta.content == MARK:
            self.choice = marked.choices[0].index or 0
            self._before, self._after = before, after
            self._vain += 1


def _is_text_alone(chunk: chat.ChatCompletionChunk) -> bool:
    if chunk.usage is not None or chunk.citations or not chunk.choices or len(chunk.choices) != 1:
        return False
    (stated,) = chunk.choices
    part = stated.delta
    if part is None or stated.finish_reason or stated.index is None or stated.logprobs is not None:
        return False
    return bool(part.content) and not (part.role or part.reasoning_content or part.refusal or part.tool_calls)
