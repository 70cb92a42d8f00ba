"""The tools of one session. In: functions, tools of the service. Out: what is sent, answers to calls.

Imports: rooms 0-1, this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.tools._outcome import ToolOutcome, error_outcome
from xai_realtime.tools._server import FileSearch, Mcp, ServerTool, WebSearch, WireServerTool, XSearch, read_wire
from xai_realtime.tools._tool import RESERVED_NAMES, Tool, as_tool

__all__ = ["ToolLike", "Toolbox", "as_session_tool"]

ToolLike: TypeAlias = Tool[..., Any] | Callable[..., Any] | ServerTool | WireServerTool | Mapping[str, Any]
"""What may be given as a tool of a session."""


def as_session_tool(thing: ToolLike) -> Tool[..., Any] | WireServerTool:
    """A function as a Tool, a tool of the service as its wire class. Raises ConfigurationError.

    Takes Tools, plain callables, `WebSearch()` and the like, their wire classes, and mappings such as
    `{"type": "web_search"}`.
    """
    if isinstance(thing, WebSearch | XSearch | FileSearch | Mcp):
        return thing.to_wire()
    if isinstance(thing, wire.WebSearchTool | wire.XSearchTool | wire.FileSearchTool | wire.McpTool):
        return thing
    if isinstance(thing, wire.FunctionTool | wire.NestedFunctionTool):
        return read_wire({"type": "function"})
    if isinstance(thing, Mapping):
        return read_wire(thing)
    return as_tool(thing)


class Toolbox:
    """The tools of one session: the functions by name, and the tools that the service runs itself.

    Raises ConfigurationError for what is no tool, and for two tools under one name.
    """

    def __init__(self, things: Iterable[ToolLike] = ()) -> None:
        functions: dict[str, Tool[..., Any]] = {}
        servers: list[WireServerTool] = []
        for thing in things:
            made = as_session_tool(thing)
            if not isinstance(made, Tool):
                servers.append(made)
            elif made.name in functions:
                raise ConfigurationError(f"two tools are named {made.name}; every name may be given once")
            else:
                functions[made.name] = made
        remote = {name for made in servers if isinstance(made, wire.McpTool) for name in made.allowed_tools or ()}
        for name in sorted(remote & functions.keys()):
            raise ConfigurationError(f"tool {name} is a function and a tool of an MCP server; rename the function")
        self.functions: Mapping[str, Tool[..., Any]] = MappingProxyType(functions)
        self._servers = tuple(servers)
        self._server_names = RESERVED_NAMES | remote

    def __repr__(self) -> str:
        return f"Toolbox({[*self.functions, *(made.type for made in self._servers)]})"

    def to_wire(self) -> list[wire.FunctionTool | WireServerTool]:
        """All tools as they go out, functions first; empty when there are none."""
        return [*(function.to_wire() for function in self.functions.values()), *self._servers]

    def find(self, name: str | None) -> Tool[..., Any] | None:
        """The function under a name."""
        return None if name is None else self.functions.get(name)

    def is_server_tool(self, name: str | None) -> bool:
        """True where the service runs the tool: under names of its own, and the `allowed_tools` of MCP servers."""
        return name in self._server_names

    async def run(self, name: str | None, arguments: str | None, default_timeout_s: float | None = None) -> ToolOutcome:
        """Answer one call of the model, for the tool's own `timeout_s` or the default one (None: no limit).

        Never raises for what the model does: an unknown name and wrong arguments are error outcomes, as are a
        timeout and an exception of the function. A cancellation goes through.
        """
        if not name:
            return error_outcome("the call names no tool")
        found = self.find(name)
        if found is None:
            return error_outcome(f"there is no tool named {name}")
        return await found.run(arguments, timeout_s=default_timeout_s if found.timeout_s is None else found.timeout_s)
