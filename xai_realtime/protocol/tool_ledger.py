"""The calls of the model: each run once, each answered once, one continuation after the last. In: announcements,
outputs. Out: functions to run, client events. Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from xai_realtime.events import realtime as wire
from xai_realtime.protocol.desk import Desk, Table, step
from xai_realtime.protocol.floor import Floor
from xai_realtime.protocol.reply import Reply, Wish
from xai_realtime.protocol.session_events import ToolCalled, ToolFinished

__all__ = ["CALL", "Call", "ToolLedger"]

ANNOUNCED: Final = "announced"
RUNNING: Final = "running"
FINISHED: Final = "finished"
ANSWERED: Final = "answered"
IGNORED: Final = "ignored"
VOID: Final = "void"

CALL: Final[Table] = {
    (ANNOUNCED, "complete"): RUNNING,
    (ANNOUNCED, "ignore"): IGNORED,
    (ANNOUNCED, "drop"): VOID,
    (RUNNING, "finish"): FINISHED,
    (RUNNING, "drop"): VOID,
    (FINISHED, "answer"): ANSWERED,
    (FINISHED, "drop"): VOID,
}
"""One call of a function.

`announced`: its arguments are not complete. `running`, `finished`: its output is not with the server yet. `answered`,
`ignored` (the service's own tool) and `void` (its reply was taken back) are final: no announcement starts it again.
"""
PENDING: Final = (ANNOUNCED, RUNNING, FINISHED)
REMEMBERED: Final = 4096
BROKEN_OFF: Final = ("incomplete", "cancelled")
GONE: Final = ("taken_back", "reset")
"""Why a reply can end so that its calls never were in the conversation."""
NOT_RUN: Final = '{"error": "the reply was interrupted, the function was not run"}'


@dataclass(slots=True)
class Call:
    """One call of a function, by its call id.

    `responds` is False when its output wants no spoken answer, `is_stoppable` True until it was told to stop, when it
    is to stop once the user breaks in.
    """

    call_id: str
    name: str | None = None
    arguments: str = field(default="", repr=False)
    item_id: str | None = None
    response_id: str | None = None
    state: str = ANNOUNCED
    output: str = field(default="", repr=False)
    is_error: bool = False
    responds: bool = True
    is_stoppable: bool = False
    started_ms: float = 0.0
    raw: Any = field(default=None, repr=False)


class ToolLedger:
    """Every call of the session by its id, for the life of the session.

    `is_server_tool` tells the names that the service answers itself, `stops_on_interrupt` the functions to be stopped
    when the user breaks in. Arguments are passed on as they came.
    """

    __slots__ = ("_calls", "_desk", "_floor", "is_server_tool", "stops_on_interrupt")

    def __init__(
        self,
        desk: Desk,
        floor: Floor,
        is_server_tool: Callable[[str], bool],
        stops_on_interrupt: Callable[[str], bool],
    ) -> None:
        self._desk = desk
        self._floor = floor
        self._calls: dict[str, Call] = {}
        self.is_server_tool = is_server_tool
        self.stops_on_interrupt = stops_on_interrupt
        floor.on_interrupt = self._interrupted
        floor.on_free = self.advance

    @property
    def pending(self) -> tuple[Call, ...]:
        """The calls whose output is not with the server yet."""
        return tuple(call for call in self._calls.values() if call.state in PENDING)

    def is_left_out(self, call_id: str) -> bool:
        """Is a call none of this session's conversation: taken back, or answered by the service itself?"""
        call = self._calls.get(call_id)
        if call is None or call.state == VOID:
            return True
        return call.state == IGNORED and call.name is not None and self.is_server_tool(call.name)

    def settled_before(self, call_id: str) -> None:
        """A call of the history that the session began with: it counts as done."""
        self._remember(Call(call_id, state=IGNORED))

    # Announcements, in whatever order and however often they come

    def item(self, stated: wire.ConversationItem, response_id: str | None, *, is_done: bool, raw: Any) -> None:
        """An item that may be a call."""
        if stated.type != "function_call" or not stated.call_id:
            return
        call = self._call(stated.call_id)
        self._know(call, stated.name, stated.arguments, stated.id, response_id)
        if stated.status not in BROKEN_OFF and (is_done or (stated.status == "completed" and stated.arguments)):
            self._complete(call, raw)

    def arguments_done(self, event: wire.ResponseFunctionCallArgumentsDone) -> None:
        """The arguments of a call are complete."""
        call = self._call(event.call_id)
        self._know(call, event.name, event.arguments, event.item_id, event.response_id)
        self._complete(call, event)

    def _call(self, call_id: str) -> Call:
        return self._calls.get(call_id) or self._remember(Call(call_id))

    def _remember(self, call: Call) -> Call:
        self._calls[call.call_id] = call
        if len(self._calls) > REMEMBERED:
            settled = (known.call_id for known in self._calls.values() if known.state not in PENDING)
            self._calls.pop(next(settled, call.call_id))
        return call

    def _know(
        self, call: Call, name: str | None, arguments: str | None, item_id: str | None, response_id: str | None
    ) -> None:
        if call.state != ANNOUNCED:
            return
        if response_id is not None:
            self._floor.reply(response_id)
        call.name = call.name or name or None
        call.arguments = arguments or call.arguments
        call.item_id = call.item_id or item_id
        running = self._floor.open
        call.response_id = response_id or call.response_id or (None if running is None else running.id)

    def _complete(self, call: Call, raw: Any) -> None:
        """A call can run: now, unless its name has still to come with the end of the reply."""
        if call.state != ANNOUNCED:
            return
        reply = None if call.response_id is None else self._floor.known(call.response_id)
        call.raw = raw if call.raw is None else call.raw
        if call.name is None and reply is not None and not reply.is_over:
            return
        if call.name is not None and self.is_server_tool(call.name):
            call.state = step(CALL, call.state, "ignore")
            return
        if reply is not None and reply.reason in GONE:
            self._drop(call)
            return
        call.state = step(CALL, call.state, "complete")
        call.started_ms = self._desk.now_ms
        if reply is not None and reply.is_muted:
            # The user stopped the reply before it called: nothing may happen any more, but the call needs its output.
            call.state = step(CALL, call.state, "finish")
            call.output, call.is_error, call.responds = NOT_RUN, True, False
            self.advance()
            return
        if reply is not None:
            reply.has_calls = True
        call.is_stoppable = call.name is not None and self.stops_on_interrupt(call.name)
        self._desk.tell(ToolCalled(call.name or "", call.call_id, call.arguments, call.response_id, raw=call.raw))
        self._desk.calls.append(call)

    # Outputs

    def finished(self, call_id: str, output: str, *, is_error: bool, responds: bool) -> None:
        """A function came back. Its output goes out as soon as nobody speaks."""
        call = self._calls.get(call_id)
        if call is None or call.state != RUNNING:
            return
        call.state = step(CALL, call.state, "finish")
        call.output, call.is_error, call.responds = output, is_error, responds
        took_ms = self._desk.now_ms - call.started_ms
        self._desk.metrics.tool_ms.add(took_ms)
        self._desk.tell(ToolFinished(call.name or "", call_id, call.arguments, output, is_error, took_ms, raw=call.raw))
        self.advance()

    def reply_over(self, reply: Reply) -> None:
        """A reply is over: calls it left incomplete are run with what came, or are gone with it."""
        is_whole = reply.reason is None and reply.status == "completed"
        for call in self._of(reply.id):
            if reply.reason in GONE or (call.state == ANNOUNCED and not is_whole):
                self._drop(call)
            else:
                self._complete(call, None)

    def _drop(self, call: Call) -> None:
        if call.state == RUNNING:
            self._desk.stops.append(call.call_id)
        call.state = step(CALL, call.state, "drop")

    def advance(self) -> None:
        """Send the outputs that wait, when nobody speaks, and ask for the answer once a reply has all of its own."""
        if not self._floor.is_free:
            return
        finished = [call for call in self._calls.values() if call.state == FINISHED]
        for call in finished:
            call.state = step(CALL, call.state, "answer")
            self._desk.send_item(wire.FunctionCallOutputItem(call_id=call.call_id, output=call.output))
        if any(self._wants_answer(response_id) for response_id in {call.response_id for call in finished}):
            self._floor.enqueue(Wish("continuation", request=wire.ResponseCreate()), is_next=True)

    def _wants_answer(self, response_id: str | None) -> bool:
        calls = self._of(response_id)
        is_complete = all(call.state not in PENDING for call in calls)
        return is_complete and any(call.state == ANSWERED and call.responds for call in calls)

    def _of(self, response_id: str | None) -> list[Call]:
        return [call for call in self._calls.values() if call.response_id == response_id]

    # Ends

    def line_lost(self) -> None:
        """The connection is gone: calls that were not complete are gone with it, all others go on."""
        for call in self.pending:
            if call.state == ANNOUNCED:
                self._drop(call)

    def reset(self) -> None:
        """The conversation begins anew: nothing that runs has anyone to tell it to."""
        for call in self.pending:
            self._drop(call)

    def _interrupted(self) -> bool:
        stopped = [call for call in self._calls.values() if call.state == RUNNING and call.is_stoppable]
        for call in stopped:
            call.is_stoppable = False
            self._desk.stops.append(call.call_id)
        return bool(stopped)
