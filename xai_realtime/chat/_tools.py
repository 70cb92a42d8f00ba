"""The tools of a chat request, nested as chat wants them. In: `@tool`, functions, dicts. Out: wire tools, a choice.

Imports: rooms 0-5.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.errors import ConfigurationError
from xai_realtime.events._base import ClientModel
from xai_realtime.tools import FileSearch, Mcp, ServerTool, Tool, WebSearch, WireServerTool, XSearch, as_tool
from xai_realtime.tools._tool import checked_name

__all__ = ["MAX_TOOLS", "ChatToolLike", "ChatTools", "ToolChoice", "checked_root"]

MAX_TOOLS: Final = 128
RESERVED: Final = "tool_search"
"""The service refuses a function of this name. Source: NousResearch/hermes-agent#95003."""
DEFINITIONS: Final = "#/$defs/"
MAX_REFERENCES: Final = 16
CHOICES: Final = ("none", "auto", "required")

ChatToolLike: TypeAlias = Tool[..., Any] | Callable[..., Any] | Mapping[str, Any] | ServerTool | WireServerTool
"""What may be given as a tool of a chat. Those that the service runs itself are refused, with the reason."""
ToolChoice: TypeAlias = Literal["none", "auto", "required"] | str | Tool[..., Any] | Mapping[str, Any]
"""Which tool is called: the model's choice, or the name of a function, its Tool, or the wire's own object."""


class ChatTools:
    """The tools of one request: as they go out, and those that can be run here, by name.

    Raises ConfigurationError for what is no function tool, for two under one name, and for more than 128.
    """

    def __init__(self, things: Iterable[ChatToolLike] = ()) -> None:
        self.wire: list[dict[str, Any]] = []
        self.functions: dict[str, Tool[..., Any]] = {}
        self.names: list[str] = []
        for thing in things:
            function = self._function(thing)
            name = function["name"]
            if name in self.names:
                raise ConfigurationError(f"two tools are named {name}; every name may be given once")
            checked_root(function.get("parameters"), f"the parameters of tool {name}", refuses_objects=False)
            self.names.append(name)
            self.wire.append({"type": "function", "function": function})
        if len(self.wire) > MAX_TOOLS:
            raise ConfigurationError(f"there are {len(self.wire)} tools; at most {MAX_TOOLS} are allowed")

    def __repr__(self) -> str:
        return f"ChatTools({self.names})"

    def _function(self, thing: ChatToolLike) -> dict[str, Any]:
        if isinstance(thing, WebSearch | XSearch | FileSearch | Mcp):
            thing = thing.to_wire()
        if isinstance(thing, ClientModel):
            thing = thing.model_dump(mode="json", exclude_unset=True)
        if isinstance(thing, Mapping):
            return function_of(thing)
        made = as_tool(thing)
        if made.name == RESERVED:
            raise reserved()
        self.functions[made.name] = made
        described = {} if made.description is None else {"description": made.description}
        return {"name": made.name, **described, "parameters": made.parameters}

    def choice(self, given: Any) -> Any:
        """`tool_choice` as it goes out. Raises ConfigurationError for one that names no tool of the request."""
        if given is None or (isinstance(given, str) and given in CHOICES):
            return given
        name = given.name if isinstance(given, Tool) else given
        if isinstance(given, Mapping):
            inner = given.get("function")
            name = inner.get("name") if isinstance(inner, Mapping) else given.get("name")
        if not isinstance(name, str) or name not in self.names:
            allowed = ", ".join((*CHOICES, *self.names))
            raise ConfigurationError(f"tool_choice is {shown(name)}; allowed are {allowed}")
        return {"type": "function", "function": {"name": name}}


def function_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The `function` object of a tool given as a dict, flat or nested."""
    kind = given.get("type", "function")
    if kind == "live_search":
        raise ConfigurationError("live_search is gone from chat: the service answers that it is deprecated")
    if kind != "function":
        raise ConfigurationError(
            f"a tool of type {shown(kind)} cannot be used in chat, which takes functions alone: tools that the "
            "service runs itself belong to a realtime session"
        )
    nested = given.get("function")
    if nested is not None and not isinstance(nested, Mapping):
        raise ConfigurationError(f"the function of a tool is a {type(nested).__name__}; a mapping is allowed")
    inner = nested if nested is not None else {name: value for name, value in given.items() if name != "type"}
    if "name" not in inner:
        raise ConfigurationError("a tool given as a mapping has no name")
    if inner["name"] == RESERVED:
        raise reserved()
    name = checked_name(inner["name"])
    parameters, description = inner.get("parameters"), inner.get("description")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise ConfigurationError(f"tool {name}: parameters is a {type(parameters).__name__}; a JSON Schema is allowed")
    if description is not None and not isinstance(description, str):
        raise ConfigurationError(f"tool {name}: description is a {type(description).__name__}; text is allowed")
    return copy.deepcopy(dict(inner))


def checked_root(schema: Any, what: str, *, refuses_objects: bool) -> None:
    """Raises ConfigurationError for a schema that the service refuses for what stands at its root.

    With `refuses_objects` any `anyOf` and `oneOf` there, else one with a branch that is no object.
    """
    if not isinstance(schema, Mapping):
        return
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword)
        if not isinstance(branches, list):
            continue
        if refuses_objects or any(not is_object(branch, schema) for branch in branches):
            raise ConfigurationError(
                f"{what} has {keyword} at its root, which the service refuses: put it into a field of an object"
            )


def is_object(branch: Any, root: Mapping[str, Any]) -> bool:
    """Does a branch of a schema describe an object?"""
    for _ in range(MAX_REFERENCES):
        name = str(branch.get("$ref", "")) if isinstance(branch, Mapping) else ""
        if not name.startswith(DEFINITIONS):
            break
        branch = (root.get("$defs") or {}).get(name.removeprefix(DEFINITIONS))
    return isinstance(branch, Mapping) and (branch.get("type") == "object" or "properties" in branch)


def reserved() -> ConfigurationError:
    """The refusal of the service's own name."""
    return ConfigurationError(f"the name {RESERVED} is taken by the service; give the function another one")


def shown(value: object) -> str:
    """A name as it may stand in an error."""
    return repr(value)[:80] if isinstance(value, str) else f"a {type(value).__name__}"
