"""The body of a chat request. In: a model, messages, settings on four levels. Out: ChatRequest, a checked dict.

What the documentation states is checked here and now; what a model can do the service alone knows: a refusal of it is
explained by `explain`. Imports: rooms 0-5, pydantic.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import to_json

from xai_realtime.chat._formats import answer_model, response_format
from xai_realtime.chat._hints import explain
from xai_realtime.chat._settings import TOKEN_NAMES, ChatSettings, Effort, ResponseFormatLike, checked_settings, joined
from xai_realtime.chat._tools import ChatToolLike, ChatTools, ToolChoice
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.messages import DeveloperAs, MessageLike, as_message, check_developer_as, demand_text, outgoing
from xai_realtime.errors import ConfigurationError
from xai_realtime.models import PROVIDERS, ModelRef, Provider, Providers
from xai_realtime.tools import Tool

__all__ = [
    "ChatRequest",
    "ChatSettings",
    "ChatToolLike",
    "Effort",
    "MessagesLike",
    "ResponseFormatLike",
    "ToolChoice",
    "chat_request",
    "explain",
]

MessagesLike: TypeAlias = str | Sequence[MessageLike] | ChatConversation
"""What is said to the model: the user's words, messages, or a conversation."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request, ready to be sent: `body` is its JSON object.

    `ref` and `provider` say which model of whom is asked, `functions` are the tools that can be run here, by name,
    `answer` is the pydantic model that the answer is to be read by.
    """

    ref: ModelRef
    provider: Provider
    body: dict[str, Any] = field(repr=False)
    functions: Mapping[str, Tool[..., Any]] = field(default_factory=dict, repr=False)
    answer: type[BaseModel] | None = None

    def to_json(self) -> bytes:
        """The body as it goes out."""
        return to_json(self.body)


def chat_request(
    model: str | ModelRef,
    messages: MessagesLike,
    *,
    stream: bool = False,
    system: str | None = None,
    developer_as: DeveloperAs | None = None,
    defaults: ChatSettings | None = None,
    client: ChatSettings | None = None,
    conversation: ChatSettings | None = None,
    call: ChatSettings | None = None,
    extra: Mapping[str, Any] | None = None,
    providers: Providers = PROVIDERS,
    stacklevel: int = 2,
) -> ChatRequest:
    """Put a request together.

    Settings are taken from `defaults`, `client`, `conversation` (a ChatConversation brings its own) and `call`, the
    later winning, and `extra` is laid over the body last. What is not set is not sent, None goes out as null. One
    limit of tokens goes out under the provider's name for it, and is never null. `tool_choice` and
    `parallel_tool_calls` go only where there are tools, `stream_options` only with a stream, which asks for its usage.
    `system` goes before the instruction of the conversation, and that before system messages of the list.

    Raises ConfigurationError, naming the value and what is allowed. Warns with RetiredModelWarning and
    InstructionConflictWarning. Source: xAI's OpenAPI, chat/completions.
    """
    ref, provider = referred(model, providers, stacklevel + 1)
    if system is not None:
        demand_text("system", system)
    if developer_as is not None:
        check_developer_as(developer_as)
    own = messages if isinstance(messages, ChatConversation) else None
    levels = {"defaults": defaults, "client": client, "conversation": conversation, "call": call}
    checked = [checked_settings(level, name) for name, level in levels.items()]
    if own is not None:
        checked.insert(2, checked_settings(own.settings, "conversation"))
    made, things = joined(checked, provider.token_field)
    tools = ChatTools(things)
    form = made.get("response_format")
    body: dict[str, Any] = {
        "model": ref.name,
        "messages": said(messages, system, developer_as, provider, stacklevel + 1),
        **fitted(made, tools, stream=stream),
    }
    overlaid(body, extra, stream=stream)
    return ChatRequest(ref, provider, body, dict(tools.functions), answer_model(form))


def referred(model: str | ModelRef, providers: Providers, stacklevel: int) -> tuple[ModelRef, Provider]:
    """The model and its provider's row."""
    ref = model if isinstance(model, ModelRef) else ModelRef.parse(model, providers, stacklevel=stacklevel + 1)
    if not ref.is_valid:
        raise ConfigurationError(str(ref.problem))
    provider = providers.find(ref.provider)
    if provider is None:
        known = ", ".join(providers.names)
        raise ConfigurationError(f"provider {ref.provider!r} of the model is not known here; known are {known}")
    return ref, provider


def said(
    messages: MessagesLike, system: str | None, developer_as: DeveloperAs | None, provider: Provider, stacklevel: int
) -> list[dict[str, Any]]:
    """The messages as they go out, with one instruction."""
    if isinstance(messages, ChatConversation):
        return messages.outgoing(
            system=system,
            developer_as=developer_as,
            has_developer_role=provider.has_developer_role,
            stacklevel=stacklevel + 1,
        )
    given: Sequence[MessageLike] = [("user", messages)] if isinstance(messages, str) else messages
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        allowed = "a text, a list of messages, or a ChatConversation is allowed"
        raise ConfigurationError(f"messages is a {type(given).__name__}; {allowed}")
    listed = [as_message(message, f"messages[{number}]") for number, message in enumerate(given)]
    made, _ = outgoing(
        listed,
        call=system,
        developer_as=developer_as or "user",
        has_developer_role=provider.has_developer_role,
        stacklevel=stacklevel + 1,
    )
    if not made:
        raise ConfigurationError("messages is empty; at least one message is needed")
    return made


def fitted(made: Mapping[str, Any], tools: ChatTools, *, stream: bool) -> dict[str, Any]:
    """The settings as fields of the body."""
    fields = dict(made)
    if stream and fields.get("deferred"):
        raise ConfigurationError("a deferred request has no stream: give deferred= to create, not to stream")
    if "response_format" in fields:
        fields["response_format"] = response_format(fields["response_format"])
    choice = fields.pop("tool_choice", None)
    if tools.wire:
        fields["tools"] = tools.wire
        if "tool_choice" in made:
            fields["tool_choice"] = tools.choice(choice)
    else:
        fields.pop("parallel_tool_calls", None)
    options = fields.pop("stream_options", {})
    if stream:
        fields["stream"] = True
        fields["stream_options"] = None if options is None else {"include_usage": True, **options}
    return fields


def overlaid(body: dict[str, Any], extra: Mapping[str, Any] | None, *, stream: bool) -> None:
    """Lay `extra` over the body; one limit of tokens alone is left."""
    if extra is None:
        return
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        raise ConfigurationError("extra is no mapping of names to values")
    if "stream" in extra and bool(extra["stream"]) is not stream:
        raise ConfigurationError("extra cannot change `stream`: call create for a whole answer, stream for a stream")
    if extra.keys() & set(TOKEN_NAMES):
        for name in TOKEN_NAMES:
            body.pop(name, None)
    body.update(copy.deepcopy(dict(extra)))
