"""What happens in a session, in words a program acts on. In: nothing. Out: the event classes. Imports: rooms 0-1.

Each carries the wire event behind it in `raw` (None where the session itself is the cause). Times are milliseconds of
the event loop's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from xai_realtime.protocol.ledger import ResponseUsage

__all__ = [
    "AudioOutput",
    "DtmfReceived",
    "Interrupted",
    "ItemCreated",
    "ItemUpdated",
    "Latency",
    "Reconnected",
    "ResponseDone",
    "ResponseStarted",
    "SessionEvent",
    "SessionItem",
    "SessionReady",
    "SessionWarning",
    "SpeechStarted",
    "SpeechStopped",
    "ToolCalled",
    "ToolFinished",
    "Transcript",
    "TranscriptDelta",
]

Role: TypeAlias = Literal["user", "assistant"]
Speaker: TypeAlias = Literal["user", "agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    raw: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SessionItem:
    """One entry of the conversation as it stands.

    `text` is what was said, `heard` what of it was heard when it was cut off; `kind` is `message`, `function_call` or
    `function_call_output`; `heard` is None when all of it was heard.
    """

    id: str
    kind: str
    role: str
    text: str = field(default="", repr=False)
    heard: str | None = field(default=None, repr=False)
    status: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str = field(default="", repr=False)
    output: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one reply took, in milliseconds; None for what did not happen.

    `first_audio_ms` counts from the request for the reply (or from the end of the user's speech, when the server
    answered on its own), `end_of_speech_ms` from the end of the user's speech to the first audio, `total_ms` from the
    request to the end of the reply.
    """

    first_audio_ms: float | None = None
    end_of_speech_ms: float | None = None
    total_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SessionReady(_Event):
    """The session is configured; what was held goes out now.

    `is_confirmed` is False when the server never acknowledged the configuration.
    """

    conversation_id: str | None
    model: str | None
    is_confirmed: bool = True


@dataclass(frozen=True, slots=True)
class AudioOutput(_Event):
    """A piece of the agent's audio, to be played now; `encoding` is `pcm`, `pcmu`, `pcma` or `opus`."""

    audio: bytes = field(repr=False)
    item_id: str
    response_id: str
    encoding: str
    rate_hz: int
    channels: int = 1


@dataclass(frozen=True, slots=True)
class TranscriptDelta(_Event):
    """A transcript grows. `text` is all of it so far; `delta` what is new, None when the server revised it."""

    role: Role
    item_id: str
    text: str = field(repr=False)
    delta: str | None = field(default=None, repr=False)
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript(_Event):
    """What was said in one turn, once and finally, stripped and never empty.

    Of an interrupted reply it is what was heard. `is_revision` marks a user's turn that went on after it had seemed
    over: it replaces the transcript of the same item.
    """

    role: Role
    text: str = field(repr=False)
    item_id: str
    response_id: str | None = None
    is_interrupted: bool = False
    is_revision: bool = False


@dataclass(frozen=True, slots=True)
class SpeechStarted(_Event):
    """Someone begins to speak: the user as the server hears it, the agent with the first audio."""

    who: Speaker
    item_id: str | None = None
    audio_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped(_Event):
    """Someone stopped: the user as the server hears it, the agent when its audio has been played or was cut off."""

    who: Speaker
    item_id: str | None = None
    audio_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ItemCreated(_Event):
    """A new entry of the conversation, told once, and not for what this session made itself."""

    item: SessionItem


@dataclass(frozen=True, slots=True)
class ItemUpdated(_Event):
    """An entry says more than before: its final transcript, its place in a finished reply, or it was cut."""

    item: SessionItem


@dataclass(frozen=True, slots=True)
class ResponseStarted(_Event):
    """A reply has begun."""

    response_id: str
    metadata: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ResponseDone(_Event):
    """A reply is over, told once for each.

    `status` is `completed`, `cancelled`, `failed` or `incomplete` (or what the server says). `reason` says why, when it
    was not the server that ended it: `interrupted`, `taken_back` (the user went on), `next_response`,
    `connection_lost`, `session_limit`, `restart`, `reset`, `unreadable` (its end could not be read), `no_end` (nothing
    came of it for a minute). `usage` is None when it is not known. A reply that was interrupted before it began is not
    told at all.
    """

    response_id: str
    status: str
    status_details: str | dict[str, Any] | None = None
    reason: str | None = None
    usage: ResponseUsage | None = None
    metadata: dict[str, Any] | None = field(default=None, repr=False)
    latency: Latency = Latency()


@dataclass(frozen=True, slots=True)
class Interrupted(_Event):
    """The agent was cut off: what is still waiting to be played must be thrown away.

    `heard_ms` of `received_ms` were played. `reason` is `speech`, `taken_back` or `interrupt`. `item_id` is None when
    no audio had come.
    """

    response_id: str | None
    item_id: str | None
    heard_ms: int = 0
    received_ms: int = 0
    heard_text: str = field(default="", repr=False)
    reason: str = "speech"


@dataclass(frozen=True, slots=True)
class ToolCalled(_Event):
    """The model calls a function of yours; it runs now, once."""

    name: str
    call_id: str
    arguments: str = field(repr=False)
    response_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolFinished(_Event):
    """A function came back. `output` is what the model gets, `is_error` whether it tells of a failure."""

    name: str
    call_id: str
    arguments: str = field(repr=False)
    output: str = field(repr=False)
    is_error: bool = False
    duration_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Reconnected(_Event):
    """A new connection carries the session on, configured and with its conversation.

    `resent_ms` of microphone audio were sent again, `lost_ms` could not be. `outage_ms` is the time without a ready
    connection, 0 for a planned hand-over.
    """

    reason: str
    lost_ms: float
    resent_ms: float
    outage_ms: float
    attempts: int = 1
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class DtmfReceived(_Event):
    """A key was pressed on the phone: one of `0123456789*#`."""

    digit: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionWarning(_Event):
    """Something went wrong, and the session goes on. `code` is stable, `message` is for people."""

    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)


SessionEvent: TypeAlias = (
    SessionReady
    | AudioOutput
    | TranscriptDelta
    | Transcript
    | SpeechStarted
    | SpeechStopped
    | ItemCreated
    | ItemUpdated
    | ResponseStarted
    | ResponseDone
    | Interrupted
    | ToolCalled
    | ToolFinished
    | Reconnected
    | DtmfReceived
    | SessionWarning
)
"""Everything that a session tells."""
