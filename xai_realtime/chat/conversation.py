"""The context of a chat, without any framework. In: what was said, called and heard. Out: messages, JSON, history.

No text of it stands in errors, warnings or the repr. Imports: rooms 0-5, pydantic.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from pydantic_core import from_json

from xai_realtime.chat.messages import (
    ContentLike,
    DeveloperAs,
    Message,
    MessageLike,
    as_json,
    as_message,
    call_part,
    check_developer_as,
    demand_text,
    outgoing,
    text_of,
)
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.protocol.history import HistoryItem, message_item, seed_items
from xai_realtime.realtime.history import HistoryLike, as_history

if TYPE_CHECKING:
    from xai_realtime.chat._settings import ChatSettings

__all__ = ["ChatConversation", "Count", "estimated_tokens"]

Count: TypeAlias = Callable[[Mapping[str, Any]], int]
"""How many tokens a message takes."""
CallLike: TypeAlias = Mapping[str, Any] | tuple[str, str, str | Mapping[str, Any]]
"""A call: its JSON, or (call id, name, arguments)."""

VERSION: Final = 1
CHARACTERS_PER_TOKEN: Final = 4
TOKENS_OF_A_MESSAGE: Final = 4
PART_TOKENS: Final = 256
"""What an image or a file counts in the estimate."""


def estimated_tokens(message: Mapping[str, Any]) -> int:
    """About how many tokens a message takes, with four characters a token: an estimate, where no tokenizer is given."""
    characters = len(text_of(message)) + len(message.get("reasoning_content") or "")
    calls = message.get("tool_calls") or ()
    characters += sum(len(call["function"]["name"]) + len(call["function"]["arguments"]) for call in calls)
    content = message.get("content")
    others = sum("text" not in part for part in content) if isinstance(content, list) else 0
    return TOKENS_OF_A_MESSAGE + -(-characters // CHARACTERS_PER_TOKEN) + others * PART_TOKENS


class ChatConversation:
    """What was said so far, and the settings that go with it: pass it to chat in place of a list of messages.

    `system` is the instruction: it goes before a system message among `messages`, and a call's own goes before it;
    one of them is sent, and when they differ that is warned of once. `developer_as` is what developer messages
    become at a provider without that role. `settings` are those of the conversation, over the client's and under the
    call's. Raises ConfigurationError for what is no message.
    """

    def __init__(
        self,
        messages: Iterable[MessageLike] = (),
        *,
        system: str | None = None,
        developer_as: DeveloperAs = "user",
        settings: ChatSettings | None = None,
    ) -> None:
        if system is not None:
            demand_text("system", system)
        check_developer_as(developer_as)
        self.system = system
        self.developer_as: DeveloperAs = developer_as
        self.settings: ChatSettings | None = settings
        self._messages: list[Message] = []
        self._has_warned = False
        for message in messages:
            self.add(message)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said, called and answered, as copies; the instruction is not among it."""
        return tuple(copy.deepcopy(self._messages))

    @property
    def open_calls(self) -> tuple[str, ...]:
        """The ids of calls that no output has answered yet, in order."""
        made: list[str] = []  # in order, since a service may use an id again in a later answer
        for message in self._messages:
            if message["role"] == "tool" and message.get("tool_call_id") in made:
                made.remove(message["tool_call_id"])
            made += call_ids(message)
        return tuple(made)

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChatConversation):
            return NotImplemented
        return self._told() == other._told()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        roles = ", ".join(message["role"] for message in self._messages[-3:])
        return f"<ChatConversation of {len(self)} messages{f', the last {roles}' if roles else ''}>"

    def add(self, message: MessageLike) -> Self:
        """Add a message in any form, also that of an answer. Raises ConfigurationError.

        The output of a tool needs its call before it.
        """
        made = as_message(message, f"message {len(self)}")
        if made["role"] == "tool" and made["tool_call_id"] not in self.open_calls:
            raise ConfigurationError(f"message {len(self)} is an output without an open call before it")
        self._messages.append(made)
        return self

    def add_user(self, content: ContentLike, *, name: str | None = None) -> Self:
        """What the user said: text, or parts made by `text_part`, `image_part` and `file_part`."""
        return self.add(named({"role": "user", "content": content}, name))

    def add_system(self, content: ContentLike) -> Self:
        """A system message at this place; not sent where the call or `system` gives an instruction."""
        return self.add({"role": "system", "content": content})

    def add_developer(self, content: ContentLike) -> Self:
        """What the application has to say in between."""
        return self.add({"role": "developer", "content": content})

    def add_assistant(
        self,
        content: ContentLike | None = None,
        *,
        tool_calls: Iterable[CallLike] = (),
        reasoning_content: str | None = None,
        heard: str | None = None,
        name: str | None = None,
    ) -> Self:
        """What the model said and called. `heard` is what of it was heard when it was spoken and cut off."""
        said = content if heard is None else heard
        message: dict[str, Any] = {"role": "assistant", "content": "" if said is None else said}
        if reasoning_content is not None:
            message["reasoning_content"] = demand_text("reasoning_content", reasoning_content)
        calls = [call_part(*call) if isinstance(call, tuple) else call for call in tool_calls]
        return self.add(named({**message, "tool_calls": calls} if calls else message, name))

    def add_tool(self, call_id: str, output: ContentLike) -> Self:
        """What a call brought. Raises ConfigurationError when no such call is open."""
        return self.add({"role": "tool", "tool_call_id": call_id, "content": output})

    def heard(self, text: str) -> bool:
        """Keep of the last thing the model said only what was heard of it; False when it has said nothing.

        A message of which nothing was heard goes, unless it made calls.
        """
        demand_text("text", text)
        for index in reversed(range(len(self._messages))):
            message = self._messages[index]
            if message["role"] == "assistant" and text_of(message):
                message["content"] = text
                if not text.strip() and not message.get("tool_calls"):
                    del self._messages[index]
                return True
        return False

    def clear(self) -> None:
        """Forget everything that was said; instruction and settings stay."""
        self._messages.clear()

    def trim(self, *, max_tokens: int, count: Count = estimated_tokens) -> tuple[Message, ...]:
        """Take away the oldest until at most `max_tokens` are left; returns what was taken.

        The instruction and system messages stay, calls and their outputs stay or go together, and the newest
        entry stays in any case. `count` tells the tokens of a message; the default is an estimate.
        """
        if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
            raise ConfigurationError(f"max_tokens is {max_tokens!r}; a whole number from 1 is allowed")
        left = max_tokens - (count({"role": "system", "content": self.system}) if self.system else 0)
        sizes = [count(copy.deepcopy(message)) for message in self._messages]
        fixed = {index for index, message in enumerate(self._messages) if message["role"] == "system"}
        left -= sum(sizes[index] for index in fixed)
        kept = set(fixed)
        rounds = [entry for entry in rounds_of(self._messages) if not entry <= fixed]
        for number, entry in enumerate(reversed(rounds)):
            left -= sum(sizes[index] for index in entry)
            if left < 0 and number > 0:
                break
            kept |= entry
        taken = tuple(message for index, message in enumerate(self._messages) if index not in kept)
        self._messages = [message for index, message in enumerate(self._messages) if index in kept]
        return taken

    def with_overrides(
        self,
        *messages: MessageLike,
        system: str | None = None,
        developer_as: DeveloperAs | None = None,
        settings: ChatSettings | None = None,
    ) -> ChatConversation:
        """This conversation with other settings and more messages, for one question beside it; it is not changed.

        `settings` are laid over its own; `system` replaces its instruction.
        """
        laid: Any = {**(self.settings or {}), **(settings or {})}
        made = ChatConversation(
            self._messages,
            system=self.system if system is None else system,
            developer_as=developer_as or self.developer_as,
            settings=laid or None,
        )
        made._has_warned = self._has_warned
        for message in messages:
            made.add(message)
        return made

    def outgoing(
        self,
        *,
        system: str | None = None,
        developer_as: DeveloperAs | None = None,
        has_developer_role: bool = False,
        stacklevel: int = 2,
    ) -> list[Message]:
        """The messages of one request, the instruction of the call first, else the conversation's.

        Warns once in a conversation, with InstructionConflictWarning, when one that differs is left out. Raises
        ConfigurationError when there is nothing to send.
        """
        made, is_conflict = outgoing(
            self._messages,
            call=system,
            conversation=self.system,
            developer_as=developer_as or self.developer_as,
            has_developer_role=has_developer_role,
            warn=not self._has_warned,
            stacklevel=stacklevel + 1,
        )
        self._has_warned = self._has_warned or is_conflict
        if not made:
            raise ConfigurationError("the conversation is empty; at least one message is needed")
        return made

    def to_json(self) -> str:
        """The conversation as JSON text. Settings are not in it: they hold functions."""
        return as_json({"version": VERSION, **self._told()})

    @classmethod
    def from_json(cls, text: str | bytes, *, settings: ChatSettings | None = None) -> Self:
        """A conversation out of `to_json`. Raises ConfigurationError for what is none."""
        try:
            given = from_json(text)
        except ValueError:
            raise ConfigurationError("the conversation is no JSON") from None
        if (
            not isinstance(given, dict)
            or given.get("version") != VERSION
            or not isinstance(given.get("messages"), list)
        ):
            raise ConfigurationError(f"the JSON is no conversation of version {VERSION}")
        return cls(
            given["messages"],
            system=given.get("system"),
            developer_as=given.get("developer_as", "user"),
            settings=settings,
        )

    @classmethod
    def from_session(
        cls,
        items: Conversation | Iterable[HistoryLike],
        *,
        system: str | None = None,
        developer_as: DeveloperAs = "user",
        settings: ChatSettings | None = None,
    ) -> Self:
        """A conversation out of a realtime session's: `session.conversation`, or history in any form.

        Of what was cut off it holds what was heard; calls that were not answered are left out. A call goes with what
        the model said right before it, and an output right behind its call, where chat wants it. Raises
        ConfigurationError for what is no history.
        """
        made = cls(system=system, developer_as=developer_as, settings=settings)
        for item in answered(history_of(items)):
            made._add_history(item)
        return made

    def to_history(self) -> list[HistoryItem]:
        """The messages as `history=` of a realtime session. The instruction is not among them: pass `system` there.

        Developer messages become system messages, and of images and files nothing goes over.
        """
        items: list[HistoryItem] = []
        for message in self._messages:
            role, text = message["role"], text_of(message).strip()
            if role == "tool":
                call_id = message["tool_call_id"]
                items.append(wire.FunctionCallOutputItem(call_id=call_id, output=text_of(message)))
            elif text and role != "function":
                items.append(message_item("system" if role == "developer" else role, text))
            for call in message.get("tool_calls") or ():
                function = call["function"]
                items.append(
                    wire.FunctionCallItem(call_id=call["id"], name=function["name"], arguments=function["arguments"])
                )
        return items

    def _told(self) -> dict[str, Any]:
        return {"system": self.system, "developer_as": self.developer_as, "messages": self._messages}

    def _add_history(self, item: HistoryItem) -> None:
        if isinstance(item, wire.MessageItem):
            self.add((item.role, said_in(item)))
        elif isinstance(item, wire.FunctionCallItem):
            if not self._messages or self._messages[-1]["role"] != "assistant":
                self.add_assistant()
            call = call_part(item.call_id, item.name, item.arguments)
            self._messages[-1].setdefault("tool_calls", []).append(call)
        else:
            entry = next(
                entry for entry in rounds_of(self._messages) if item.call_id in call_ids(self._messages[min(entry)])
            )
            message = as_message({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
            self._messages.insert(max(entry) + 1, message)


def call_ids(message: Mapping[str, Any]) -> list[str]:
    """The ids of the calls that a message makes."""
    return [call["id"] for call in message.get("tool_calls") or ()]


def rounds_of(messages: Sequence[Mapping[str, Any]]) -> list[set[int]]:
    """The places of what belongs together: calls with their outputs, anything else by itself."""
    rounds: list[set[int]] = []
    by_call: dict[str, set[int]] = {}
    for index, message in enumerate(messages):
        entry = by_call.get(message.get("tool_call_id", "")) if message["role"] == "tool" else None
        if entry is None:
            entry = set()
            rounds.append(entry)
        entry.add(index)
        by_call.update((call_id, entry) for call_id in call_ids(message))
    return rounds


def history_of(items: Conversation | Iterable[HistoryLike]) -> list[HistoryItem]:
    """Items of the wire, of a session's conversation or of history in any form."""
    if isinstance(items, Conversation):
        return seed_items(items.items, lambda call_id: False)
    return as_history(items)


def answered(items: Sequence[HistoryItem]) -> list[HistoryItem]:
    """Without calls that have no output, and without messages that say nothing."""
    outputs = {item.call_id for item in items if isinstance(item, wire.FunctionCallOutputItem)}
    return [
        item
        for item in items
        if not (isinstance(item, wire.FunctionCallItem) and item.call_id not in outputs)
        and not (isinstance(item, wire.MessageItem) and not said_in(item))
    ]


def said_in(item: wire.MessageItem) -> str:
    """What a message of a session says."""
    return " ".join(text for part in item.content if (text := getattr(part, "text", None))).strip()


def named(message: dict[str, Any], name: str | None) -> dict[str, Any]:
    """With the speaker's name, where there is one."""
    return message if name is None else {**message, "name": name}
