"""Messages of a chat in any form, as they go out. In: mappings, pairs, answers. Out: checked dicts.

Texts of messages stand in no error and no warning. Imports: rooms 0-5, pydantic.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import pybase64
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from xai_realtime.errors import ConfigurationError

__all__ = [
    "ROLES",
    "ContentLike",
    "DeveloperAs",
    "InstructionConflictWarning",
    "Message",
    "MessageLike",
    "as_message",
    "call_part",
    "check_developer_as",
    "file_part",
    "image_part",
    "outgoing",
    "text_of",
    "text_part",
]

Message: TypeAlias = dict[str, Any]
"""A message as it goes out."""
MessageLike: TypeAlias = Mapping[str, Any] | tuple[str, Any] | BaseModel
"""A message: its JSON, (role, content), or the message of an answer."""
ContentLike: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""Content: a text, a part, or several of them."""
DeveloperAs: TypeAlias = Literal["user", "system"]

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
DEVELOPER_AS: Final = ("user", "system")
TEXT_PARTS: Final = ("text", "input_text", "output_text")
IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
DETAILS: Final = ("auto", "low", "high")
ASSISTANT_FIELDS: Final = ("role", "content", "reasoning_content", "name", "tool_calls")
"""What goes back of an answer; the rest of it is the service's own."""


class InstructionConflictWarning(UserWarning):
    """Two system instructions that differ were given, and one of them was sent."""


def text_part(text: str) -> dict[str, Any]:
    """A text as one part of a message's content."""
    return {"type": "text", "text": demand_text("text", text)}


def image_part(
    image: str | bytes | None = None,
    *,
    media_type: str | None = None,
    detail: str | None = None,
    file_id: str | None = None,
) -> dict[str, Any]:
    """An image as one part of a message's content: an address, bytes (JPEG, PNG, WebP), or an uploaded file.

    `detail` is auto, low or high. Raises ConfigurationError.
    """
    if (image is None) is (file_id is None):
        raise ConfigurationError("an image is given as an address or bytes, or as file_id=: one of the two")
    if detail is not None and detail not in DETAILS:
        raise ConfigurationError(f"detail is {detail!r}; allowed are {', '.join(DETAILS)}")
    if isinstance(image, bytes):
        if media_type not in IMAGE_TYPES:
            raise ConfigurationError(f"media_type is {media_type!r}; for bytes allowed are {', '.join(IMAGE_TYPES)}")
        image = f"data:{media_type};base64,{pybase64.b64encode_as_string(image)}"
    shown = {"url": image, "file_id": file_id, "detail": detail}
    return {"type": "image_url", "image_url": {name: value for name, value in shown.items() if value is not None}}


def file_part(*, file_id: str | None = None, url: str | None = None) -> dict[str, Any]:
    """A file as one part of a message's content: an uploaded one, or an address. Raises ConfigurationError."""
    if (file_id is None) is (url is None):
        raise ConfigurationError("a file is given as file_id= or as url=: one of the two")
    return {"type": "file", "file": {"file_id": file_id} if url is None else {"url": url}}


def call_part(call_id: str, name: str, arguments: str | Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A call for the `tool_calls` of an assistant's message; missing and blank arguments are `{}`."""
    written = arguments if isinstance(arguments, str) else as_json(arguments or {})
    function = {"name": demand_text("name", name), "arguments": written if written.strip() else "{}"}
    return {"id": demand_text("call_id", call_id), "type": "function", "function": function}


def as_message(given: MessageLike, place: str = "the message") -> Message:
    """A message as it goes out, a copy. Raises ConfigurationError, with its place and without its text.

    Of an answer of the service go back: role, content, reasoning_content, and calls.
    """
    if isinstance(given, BaseModel):
        dumped = given.model_dump(mode="json")
        made = {name: dumped[name] for name in ASSISTANT_FIELDS if dumped.get(name) is not None}
    elif isinstance(given, Mapping):
        made = copy.deepcopy(dict(given))
    elif isinstance(given, tuple) and len(given) == 2:
        made = {"role": given[0], "content": given[1]}
    else:
        allowed = "a mapping, a pair of role and content, or the message of an answer is allowed"
        raise ConfigurationError(f"{place} is a {type(given).__name__}; {allowed}")
    role = made.get("role")
    if role not in ROLES:
        raise ConfigurationError(f"the role of {place} is {role!r}; allowed are {', '.join(ROLES)}")
    content = made.get("content")
    if content is not None:
        made["content"] = checked_content(content, place)
    calls = made.get("tool_calls")
    if calls is not None:
        made["tool_calls"] = checked_calls(calls, place)
        if not calls:
            del made["tool_calls"]
    if role == "assistant" and content is None:
        made["content"] = ""
    if made.get("content") is None:
        raise ConfigurationError(f"{place} has no content")
    if role == "tool" and not isinstance(made.get("tool_call_id"), str):
        raise ConfigurationError(f"{place} is the output of a tool without its tool_call_id")
    return made


def checked_content(content: Any, place: str) -> str | list[dict[str, Any]]:
    """Content as it goes out: a text, or a list of parts."""
    if isinstance(content, str):
        return content
    parts = [content] if isinstance(content, Mapping) else content
    if not isinstance(parts, Sequence) or isinstance(parts, bytes) or not parts:
        allowed = "a text, a part, or a list of them is allowed"
        raise ConfigurationError(f"the content of {place} is {kind_of(content)}; {allowed}")
    return [checked_part(part, f"part {number} of {place}") for number, part in enumerate(parts)]


def checked_part(part: Any, place: str) -> dict[str, Any]:
    """One part: text in any of its names, images and files in the service's form, anything else with a type as is."""
    if isinstance(part, str):
        return text_part(part)
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise ConfigurationError(f"{place} is {kind_of(part)}; a text, or a mapping with a type, is allowed")
    made = copy.deepcopy(dict(part))
    if made["type"] in TEXT_PARTS:
        if not isinstance(made.get("text"), str):
            raise ConfigurationError(f"{place} holds no text")
        made["type"] = "text"
    elif made["type"] == "image_url":
        image = made.get("image_url")
        made["image_url"] = {"url": image} if isinstance(image, str) else image
        if not isinstance(made["image_url"], dict) or not made["image_url"].keys() & {"url", "file_id"}:
            raise ConfigurationError(f"{place} is an image without url or file_id")
    elif made["type"] == "file" and not isinstance(made.get("file"), dict):
        raise ConfigurationError(f"{place} is a file without file_id or url")
    return made


def checked_calls(calls: Any, place: str) -> list[dict[str, Any]]:
    """The calls of an assistant's message."""
    if not isinstance(calls, Sequence) or isinstance(calls, str | bytes):
        raise ConfigurationError(f"tool_calls of {place} is {kind_of(calls)}; a list is allowed")
    made = []
    for number, call in enumerate(calls):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(call.get("id"), str):
            raise ConfigurationError(f"call {number} of {place} has no id or no function")
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"call {number} of {place} names no function")
        made.append(call_part(call["id"], name, function.get("arguments")))
    return made


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says: its text parts, joined by a space."""
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)
    return content if isinstance(content, str) else ""


def outgoing(
    messages: Sequence[Mapping[str, Any]],
    *,
    call: str | None = None,
    conversation: str | None = None,
    developer_as: DeveloperAs = "user",
    has_developer_role: bool = False,
    warn: bool = True,
    stacklevel: int = 2,
) -> tuple[list[Message], bool]:
    """The messages of one request, and whether two instructions were in conflict.

    The instruction of the call goes first, else that of the conversation (blank is none): system messages of the
    list are then left out. Without either they go as they stand. Of instructions that differ InstructionConflictWarning
    tells, without their text, unless `warn` is False. `developer` becomes `developer_as` where there is no such role.
    """
    given = [text for text in (call, conversation) if text is not None and text.strip()]
    role = "developer" if has_developer_role else developer_as
    listed = [text_of(message) for message in messages if message["role"] == "system"] if given else []
    made: list[Message] = [{"role": "system", "content": given[0]}] if given else []
    for message in messages:
        if not (given and message["role"] == "system"):
            named = {"role": role} if message["role"] == "developer" else {}
            made.append({**copy.deepcopy(dict(message)), **named})
    is_conflict = any(text.strip() != given[0].strip() for text in (*given[1:], *listed)) if given else False
    if is_conflict and warn:
        used = "call" if call is not None and call.strip() else "conversation"
        text = f"the system instruction of the {used} is sent; another one, which differs, is not"
        warnings.warn(text, InstructionConflictWarning, stacklevel=stacklevel)
    return made, is_conflict


def check_developer_as(developer_as: object) -> None:
    """Raises ConfigurationError for what a developer message cannot become."""
    if developer_as not in DEVELOPER_AS:
        raise ConfigurationError(f"developer_as is {developer_as!r}; allowed are {', '.join(DEVELOPER_AS)}")


def as_json(value: Any) -> str:
    """JSON text of arguments. Raises ConfigurationError for what JSON cannot hold."""
    try:
        return to_json(value, inf_nan_mode="null").decode()
    except PydanticSerializationError:
        raise ConfigurationError("the arguments of a call hold what cannot be written as JSON") from None


def demand_text(name: str, value: object) -> str:
    """A text. Raises ConfigurationError."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is {kind_of(value)}; text is allowed")
    return value


def kind_of(value: object) -> str:
    """What a value is, without showing it."""
    return "missing" if value is None else f"a {type(value).__name__}"
