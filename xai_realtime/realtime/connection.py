"""The typed wire of one realtime socket, without policy. In: client events. Out: server events.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Final, TypeAlias

from xai_realtime.codec import Codec, audio_append_text, realtime_codec
from xai_realtime.errors import ClosedByUsError, ConnectionClosedError
from xai_realtime.events import realtime
from xai_realtime.events._base import BinaryAudio, InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel

__all__ = ["RealtimeConnection", "ReceivedEvent"]

ReceivedEvent: TypeAlias = realtime.ServerEvent | UnknownEvent | InvalidEvent | BinaryAudio

LOGGED: Final = ("type", "event_id", "response_id", "item_id", "call_id")

_log: Final = logging.getLogger("xai_realtime.realtime")


class RealtimeConnection:
    """One realtime socket: what it says as typed events, what you say as typed events.

    Nothing is sent, answered or remembered on its own. One task may receive at a time, any number may
    send. `async for event in connection` ends at an ordinary close (codes 1000, 1001, or our own) and
    raises ConnectionClosedError at any other.
    """

    def __init__(
        self, channel: Channel, codec: Codec[realtime.ServerEvent, realtime.ClientEvent] = realtime_codec
    ) -> None:
        self._channel = channel
        self._codec = codec
        self._last_frame: Frame | None = None

    @property
    def subprotocol(self) -> str | None:
        """The sub-protocol the server chose."""
        return self._channel.subprotocol

    @property
    def last_frame(self) -> Frame | None:
        """The message behind the event received last; on a tape its `at_ms` is the recorded time."""
        return self._last_frame

    async def send(self, event: realtime.ClientEvent | Mapping[str, Any]) -> None:
        """Send one event. Only the fields you gave go out; an explicit None goes out as null.

        A mapping goes out as it is, for what the spec does not know yet. Cancelling may leave it sent or
        not sent. Raises LocalProtocolError for what JSON cannot hold, ConnectionClosedError when the line
        is over.
        """
        frame = self._codec.encode(event)
        if _log.isEnabledFor(logging.DEBUG):
            fields = event if isinstance(event, Mapping) else {name: getattr(event, name, None) for name in LOGGED}
            _log.debug("sent %s, %d bytes%s", _shown(fields.get("type")), len(frame.data), _ids(fields))
        await self._channel.send(frame)

    def send_audio(self, audio: bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        """Append audio in the session's input format (PCM16 little-endian mono by default): await the result.

        Sent at once as one `input_audio_buffer.append`; not converted, not cut. Raises as `send` does.
        """
        # The channel's own coroutine, since a second one around it is felt at fifty frames a second and socket.
        text = audio_append_text(audio)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("sent input_audio_buffer.append, %d bytes", len(text))
        return self._channel.send_text(text)

    def send_binary_audio(self, audio: bytes) -> Coroutine[Any, Any, None]:
        """Append audio as one binary message, for the input transport `binary`: await the result. As `send_audio`."""
        return self._channel.send(Frame(audio, is_text=False))

    async def receive(self) -> ReceivedEvent:
        """The next event. Cancelling is safe: nothing is lost.

        UnknownEvent, InvalidEvent and BinaryAudio are values like the others. Raises
        ConnectionClosedError (one of its kinds) when the line is over.
        """
        self._last_frame = frame = await self._channel.receive()
        event = self._codec.decode(frame)
        if _log.isEnabledFor(logging.DEBUG):
            _log_received(event, frame)
        return event

    def __aiter__(self) -> AsyncIterator[ReceivedEvent]:
        return self

    async def __anext__(self) -> ReceivedEvent:
        try:
            return await self.receive()
        except ConnectionClosedError as closed:
            if closed.is_clean or isinstance(closed, ClosedByUsError):
                raise StopAsyncIteration from None
            raise

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket within a bounded time. A second call does nothing."""
        await self._channel.aclose(code, reason)


def _log_received(event: ReceivedEvent, frame: Frame) -> None:
    fields = {name: getattr(event, name, None) for name in LOGGED}
    kind = "" if not isinstance(event, UnknownEvent | InvalidEvent) else f" ({type(event).__name__})"
    _log.debug("received %s%s, %d bytes%s", _shown(event.type), kind, len(frame.data), _ids(fields))


def _ids(fields: Mapping[str, Any]) -> str:
    found = ((name, fields.get(name)) for name in LOGGED if name != "type")
    return "".join(f" {name}={_shown(value)}" for name, value in found if isinstance(value, str))


def _shown(value: object) -> str:
    """A name or an id as it stands in a log line: bounded, and no line break of a peer's."""
    return ascii(value)[1:-1][:80] if isinstance(value, str) else "(no type)"
