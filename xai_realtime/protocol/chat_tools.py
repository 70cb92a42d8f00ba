"""Tool calls put together out of whole calls or fragments. In: tool_calls of deltas. Out: calls, and what is new.

Imports: the standard library, room 1, protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from xai_realtime.protocol.chat_outcome import ToolDelta

if TYPE_CHECKING:
    from xai_realtime.events import chat as wire

__all__ = ["ChatToolCall", "ToolCallFold"]

OPENING: Final = "{["
CLOSING: Final = "}]"
NAMELESS: Final = "unnamed"
"""Stands for a name that the model left out: a conversation cannot go on with a call that has none."""


@dataclass(frozen=True, slots=True)
class ChatToolCall:
    """A call that the model makes of one of your functions.

    `arguments` is JSON text as the model wrote it, which may be malformed; `{}` where it wrote none. `id` is what the
    output has to name; made up where the service gave none. `name` may be empty, which is to be answered too.
    """

    id: str
    name: str
    arguments: str = field(default="{}", repr=False)

    def to_wire(self) -> dict[str, Any]:
        """The call as a message of the conversation repeats it; one without a name goes back under one."""
        function = {"name": self.name or NAMELESS, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


class _Call:
    __slots__ = ("id", "index", "name", "parts", "position")

    def __init__(self, position: int, index: int | None) -> None:
        self.position = position
        self.index = index
        self.id: str | None = None
        self.name = ""
        self.parts: list[str] = []

    @property
    def arguments(self) -> str:
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def shown_id(self) -> str:
        return self.id or f"call_{self.position}"

    def repeats(self, fragment: wire.ToolCall) -> bool:
        """Whether a fragment says the whole call again, as a repeated chunk does."""
        said = _arguments(fragment)
        return bool(said) and said == self.arguments and _is_whole(said) and _name(fragment) in ("", self.name)

    def is_another(self, fragment: wire.ToolCall) -> bool:
        """Whether a fragment that stands at the place of this call begins another one."""
        if fragment.id and self.id:
            return self.id != fragment.id
        return bool(_name(fragment)) and _is_whole(self.arguments) and not self.repeats(fragment)

    def add(self, fragment: wire.ToolCall) -> str:
        """Take in a fragment, and return what it adds to the arguments."""
        # A head that comes again names the call again; without id or arguments it is a piece of the name.
        is_head = bool(fragment.id and self.id) or bool(self.parts)
        name, said = _name(fragment), _arguments(fragment)
        if not (is_head and name == self.name):
            self.name += name
        self.id = self.id or fragment.id or None
        if not said or self.repeats(fragment):
            return ""
        self.parts.append(said)
        return said


class ToolCallFold:
    """The tool calls of one answer, told apart by index and id.

    Takes calls whole or in fragments, several in one chunk, from any index on, with gaps, interleaved, with the id on
    the first fragment alone, without index, and repeated.
    """

    def __init__(self, choice: int = 0) -> None:
        self._choice = choice
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}

    @property
    def calls(self) -> tuple[ChatToolCall, ...]:
        """The calls so far: in the order of their indexes, or as they appeared where one has none."""
        calls = self._calls
        if all(call.index is not None for call in calls):
            calls = sorted(calls, key=lambda call: call.index or 0)
        return tuple(
            ChatToolCall(call.shown_id, call.name, call.arguments if call.arguments.strip() else "{}") for call in calls
        )

    def push(self, fragments: Sequence[wire.ToolCall] | None, *, are_whole: bool = False) -> tuple[ToolDelta, ...]:
        """Take in the `tool_calls` of a delta; what is new of each call, in order. A repetition tells nothing.

        Those of a whole message are whole (`are_whole`): each is a call of its own, but for one whose id is known.
        """
        told: list[ToolDelta] = []
        for fragment in fragments or ():
            call = self._by_id.get(fragment.id or "") if are_whole else self._find(fragment)
            known = None if call is None else (call.id, call.name)
            call = call or self._begin(fragment)
            said = call.add(fragment)
            if call.id:
                self._by_id[call.id] = call
            if said or (call.id, call.name) != known:
                told.append(ToolDelta(call.position, call.id, call.name, said, self._choice))
        return tuple(told)

    def _find(self, fragment: wire.ToolCall) -> _Call | None:
        """The call that a fragment belongs to; None when it begins one."""
        if fragment.id and fragment.id in self._by_id:
            return self._by_id[fragment.id]
        if fragment.index is not None:
            call = self._by_index.get(fragment.index)
        else:
            call = self._calls[-1] if self._calls else None
        return None if call is None or call.is_another(fragment) else call

    def _begin(self, fragment: wire.ToolCall) -> _Call:
        call = _Call(len(self._calls), fragment.index)
        self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        return call


def _name(fragment: wire.ToolCall) -> str:
    return (fragment.function.name if fragment.function else None) or ""


def _arguments(fragment: wire.ToolCall) -> str:
    return (fragment.function.arguments if fragment.function else None) or ""


def _is_whole(text: str) -> bool:
    """Whether a text is an object or a list that is closed: nothing can be added to it."""
    text = text.strip()
    if not text or text[0] not in OPENING or text[-1] not in CLOSING:
        return False
    depth = 0
    is_text = is_escaped = False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif is_text:
            is_escaped = character == "\\"
            is_text = character != '"'
        elif character == '"':
            is_text = True
        else:
            depth += (character in OPENING) - (character in CLOSING)
    return depth == 0 and not is_text
