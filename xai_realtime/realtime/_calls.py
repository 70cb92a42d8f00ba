"""The functions that the model calls, while they run. In: calls. Out: what they came to.

Imports: rooms 0-1, protocol, tools, anyio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

import anyio

from xai_realtime.protocol.session_events import ToolCalled
from xai_realtime.protocol.tool_ledger import Call
from xai_realtime.tools import Toolbox, ToolOutcome
from xai_realtime.tools._outcome import error_outcome

__all__ = ["Approve", "CallRunner"]

Approve: TypeAlias = Callable[[ToolCalled], Awaitable[bool | str]]
"""Asked before each call: True runs it, False or a reason (told to the model) does not."""


class CallRunner:
    """Runs the calls of one session. `toolbox` holds what the model may call from now on; what runs is left alone."""

    def __init__(self, toolbox: Toolbox, approve: Approve | None) -> None:
        self.toolbox = toolbox
        self._approve = approve
        self._scopes: dict[str, anyio.CancelScope] = {}

    def is_server_tool(self, name: str) -> bool:
        """Is a name one of the service's own tools?"""
        return self.toolbox.is_server_tool(name)

    def stops_on_interrupt(self, name: str) -> bool:
        """Is a function to be given up when the user breaks in?"""
        found = self.toolbox.find(name)
        return found is not None and found.cancel_on_interrupt

    async def run(self, call: Call, timeout_s: float | None) -> ToolOutcome:
        """What a call comes to; one that was stopped wants no answer.

        Raises what the hook raises that approves of calls. A cancellation goes through.
        """
        scope = self._scopes.setdefault(call.call_id, anyio.CancelScope())
        outcome: ToolOutcome | None = None
        try:
            if not scope.cancel_called:
                with scope:
                    outcome = await self._answer(call, self.toolbox, timeout_s)
        finally:
            del self._scopes[call.call_id]
        outcome = outcome or error_outcome("the call was stopped")
        return replace(outcome, respond=False) if scope.cancel_called else outcome

    async def _answer(self, call: Call, toolbox: Toolbox, timeout_s: float | None) -> ToolOutcome:
        if self._approve is not None and call.name:
            told = ToolCalled(call.name, call.call_id, call.arguments, call.response_id, raw=call.raw)
            verdict = await self._approve(told)
            if verdict is not True:
                return error_outcome((isinstance(verdict, str) and verdict) or "the call was not approved")
        return await toolbox.run(call.name, call.arguments, timeout_s)

    def stop(self, call_id: str) -> None:
        """Stop a call that runs, or is about to."""
        self._scopes.setdefault(call_id, anyio.CancelScope()).cancel()
