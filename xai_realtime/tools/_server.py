"""Tools that the service runs itself. In: their settings. Out: wire tools. Imports: rooms 0-1, pydantic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import ValidationError

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import ClientModel

__all__ = ["FileSearch", "Mcp", "ServerTool", "WebSearch", "WireServerTool", "XSearch", "checked_wire", "read_wire"]

WireServerTool: TypeAlias = wire.WebSearchTool | wire.XSearchTool | wire.FileSearchTool | wire.McpTool
"""A tool of the service as it goes out."""

Wire = TypeVar("Wire", bound=ClientModel)

BY_TYPE: Final[Mapping[str, type[WireServerTool]]] = {
    "web_search": wire.WebSearchTool,
    "x_search": wire.XSearchTool,
    "file_search": wire.FileSearchTool,
    "mcp": wire.McpTool,
}


def checked_wire(what: str, kind: type[Wire], values: Mapping[str, Any]) -> Wire:
    """A wire tool of `values`. Raises ConfigurationError with the fields that are wrong, without their values."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"{'.'.join(map(str, entry['loc'])) or what}: {entry['msg']}" for entry in wrong)
        raise ConfigurationError(f"{what} cannot be sent: {said}") from None


def read_wire(given: Mapping[str, Any]) -> WireServerTool:
    """A plain mapping as a wire tool. Raises ConfigurationError for another type than the service runs."""
    kind = given.get("type")
    if kind == "function":
        raise ConfigurationError("a function tool needs its function: use Tool.from_schema(...) or @tool")
    if not isinstance(kind, str) or kind not in BY_TYPE:
        raise ConfigurationError(f"the type of a tool is {kind!r}; one of {', '.join(BY_TYPE)} is allowed")
    return checked_wire(kind, BY_TYPE[kind], given)


def texts(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Several texts, none of them empty; a single text is refused, since it would be taken letter by letter."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{name} is a {type(given).__name__}; a list of texts is allowed")
    found = tuple(given)
    if not all(isinstance(text, str) and text.strip() for text in found):
        raise ConfigurationError(f"{name} holds an entry that is empty or no text; texts are allowed")
    return found


@dataclass(frozen=True, slots=True)
class WebSearch:
    """Let the service search the web."""

    def to_wire(self) -> wire.WebSearchTool:
        """The tool as it goes out."""
        return wire.WebSearchTool()


@dataclass(frozen=True, slots=True)
class XSearch:
    """Let the service search X: posts of everyone, or of `handles` alone (with or without the leading @)."""

    handles: Sequence[str] = ()

    def __post_init__(self) -> None:
        bare = [handle.strip().removeprefix("@") for handle in texts("handles", self.handles)]
        object.__setattr__(self, "handles", texts("handles", bare))

    def to_wire(self) -> wire.XSearchTool:
        """The tool as it goes out."""
        return wire.XSearchTool(allowed_x_handles=list(self.handles)) if self.handles else wire.XSearchTool()


@dataclass(frozen=True, slots=True)
class FileSearch:
    """Let the service search your collections, at least one, by their ids.

    `max_results` is the most results it uses; unsent unless given, and then the service's own default holds.
    """

    collections: Sequence[str]
    max_results: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "collections", texts("collections", self.collections))
        if not self.collections:
            raise ConfigurationError("collections is empty; at least one id of a collection is needed")
        most = self.max_results
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ConfigurationError(f"max_results is {most!r}; a whole number above 0, or None, is allowed")

    def to_wire(self) -> wire.FileSearchTool:
        """The tool as it goes out."""
        if self.max_results is None:
            return wire.FileSearchTool(vector_store_ids=list(self.collections))
        return wire.FileSearchTool(vector_store_ids=list(self.collections), max_num_results=self.max_results)


@dataclass(frozen=True, slots=True)
class Mcp:
    """Let the service use the tools of an MCP server, which it reaches itself.

    `label` is a short name for the server and `description` what it is for; `allowed_tools` limits it to these
    tools. `authorization` and `headers` are sent to it by the service. The address may hold a secret too, so
    none of the three is in the repr.
    """

    server_url: str = field(repr=False)
    label: str | None = None
    description: str | None = None
    allowed_tools: Sequence[str] | None = None
    authorization: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.server_url, str) or not self.server_url.startswith(("https://", "http://")):
            raise ConfigurationError("server_url must be an address with https:// or http:// (it is not shown)")
        if self.allowed_tools is not None:
            object.__setattr__(self, "allowed_tools", texts("allowed_tools", self.allowed_tools))
        self.to_wire()

    def to_wire(self) -> wire.McpTool:
        """The tool as it goes out. Raises ConfigurationError for a setting of a wrong type, which it does not show."""
        values: dict[str, Any] = {
            "server_url": self.server_url,
            "server_label": self.label,
            "server_description": self.description,
            "allowed_tools": None if self.allowed_tools is None else list(self.allowed_tools),
            "authorization": self.authorization,
            "headers": self.headers,
        }
        return checked_wire("Mcp", wire.McpTool, {name: value for name, value in values.items() if value is not None})


ServerTool: TypeAlias = WebSearch | XSearch | FileSearch | Mcp
"""A tool of the service as you declare it."""
