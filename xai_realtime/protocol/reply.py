"""Replies of the model, and the wishes for them. In: beginnings and ends. Out: session events, usage.

Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from xai_realtime.events import realtime as wire
from xai_realtime.protocol.desk import Desk, forget_oldest
from xai_realtime.protocol.session_events import Latency, ResponseDone, ResponseStarted

if TYPE_CHECKING:
    from xai_realtime.protocol.agent_voice import AgentVoice
    from xai_realtime.protocol.ledger import ResponseUsage

__all__ = ["Replies", "Reply", "Wish", "WishKind"]

REMEMBERED: Final = 64

WishKind: TypeAlias = Literal["text", "reply", "say", "turn", "continuation", "item"]


@dataclass(slots=True)
class Wish:
    """Something to be said to the server when it is its turn.

    `kind` is `item` when no reply is wanted. `items` are sent first, then the request. `turn` is the
    number of the user's turn that was ended by hand for it.
    """

    kind: WishKind
    items: tuple[Any, ...] = ()
    request: wire.ResponseCreate | None = None
    is_interruptible: bool = True
    asked_ms: float | None = None
    turn: int | None = None

    @property
    def wants_reply(self) -> bool:
        """Is a reply expected?"""
        return self.kind != "item"

    def again(self) -> Wish:
        """The same wish for a reply, once its items and its audio are with the server."""
        if self.kind == "say":
            return self
        request = self.request or wire.ResponseCreate()
        return Wish("reply", request=request, is_interruptible=self.is_interruptible, asked_ms=self.asked_ms)


@dataclass(slots=True)
class Reply:
    """One response of the model. `status` and `reason` are those of its end.

    `wish` is what it answers, None when the server spoke on its own. A muted reply is not passed on any more, one that
    is `is_unwanted` never was: nobody is told of its beginning and its end. `reason` says why it did not end by itself.
    """

    id: str
    wish: Wish | None = None
    is_interruptible: bool = True
    is_muted: bool = False
    is_unwanted: bool = False
    is_over: bool = False
    status: str = "in_progress"
    reason: str | None = None
    metadata: dict[str, Any] | None = None
    started_ms: float = 0.0
    alive_ms: float = 0.0
    speech_end_ms: float | None = None
    first_audio_ms: float | None = None
    item_ids: dict[str, None] = field(default_factory=dict)
    has_calls: bool = False

    def latency(self, now_ms: float) -> Latency:
        """How long it took, as far as it is known now."""
        asked_ms = None if self.wish is None else self.wish.asked_ms
        begun = next(ms for ms in (asked_ms, self.speech_end_ms, self.started_ms) if ms is not None)
        audio = self.first_audio_ms
        return Latency(
            first_audio_ms=None if audio is None else audio - begun,
            end_of_speech_ms=None if audio is None or self.speech_end_ms is None else audio - self.speech_end_ms,
            total_ms=now_ms - begun,
        )


class Replies:
    """The replies of a session by their ids: begun once, ended once, told once."""

    __slots__ = ("_by_id", "_desk", "_voice")

    def __init__(self, desk: Desk, voice: AgentVoice) -> None:
        self._desk = desk
        self._voice = voice
        self._by_id: dict[str, Reply] = {}

    def known(self, response_id: str) -> Reply | None:
        """The reply under an id, when it is known."""
        return self._by_id.get(response_id)

    def begin(self, response: wire.Response) -> Reply:
        """A reply that begins now."""
        now_ms = self._desk.now_ms
        reply = Reply(response.id, metadata=response.metadata, started_ms=now_ms, alive_ms=now_ms)
        self._by_id[reply.id] = reply
        forget_oldest(self._by_id, REMEMBERED)
        return reply

    def tell_start(self, reply: Reply, raw: Any) -> None:
        """Let the user know that a reply has begun."""
        self._desk.tell(ResponseStarted(reply.id, reply.metadata, raw=raw))

    def close(self, reply: Reply, status: str, raw: Any) -> None:
        """A reply is over; `raw` is its `response.done` when it had one."""
        desk = self._desk
        reply.is_over = True
        usage = details = None
        if isinstance(raw, wire.ResponseDone):
            usage, details = self.take_usage(reply, raw), raw.response.status_details
        else:
            desk.ledger.response_lost(reply.id, now_ms=desk.now_ms)
        self._voice.reply_over(reply, raw)
        if reply.is_unwanted:
            return
        latency = reply.latency(desk.now_ms)
        desk.metrics.replied(latency)
        desk.tell(ResponseDone(reply.id, status, details, reply.reason, usage, reply.metadata, latency, raw=raw))

    def take_usage(self, reply: Reply, event: wire.ResponseDone) -> ResponseUsage | None:
        """What a reply used, None when that is not known. It counts once, however often it is stated."""
        response = event.response
        if response.metadata is not None:
            reply.metadata = response.metadata
        usage = self._desk.ledger.response_done(
            reply.id, event.usage, response.usage, status=response.status, now_ms=self._desk.now_ms
        )
        return usage if usage is not None and usage.is_known else None
