"""Functions that the model may call, and tools of the service. In: functions. Out: wire tools, answers.

Imports: rooms 0-1, anyio, pydantic.
"""

from __future__ import annotations

from xai_realtime.tools._box import Toolbox, ToolLike, as_session_tool
from xai_realtime.tools._outcome import ToolOutcome, ToolResult
from xai_realtime.tools._server import FileSearch, Mcp, ServerTool, WebSearch, WireServerTool, XSearch
from xai_realtime.tools._tool import RESERVED_NAMES, Tool, as_tool, tool

__all__ = [
    "RESERVED_NAMES",
    "FileSearch",
    "Mcp",
    "ServerTool",
    "Tool",
    "ToolLike",
    "ToolOutcome",
    "ToolResult",
    "Toolbox",
    "WebSearch",
    "WireServerTool",
    "XSearch",
    "as_session_tool",
    "as_tool",
    "tool",
]
