"""The run of one speech: text to a socket, its audio to whoever iterates, and how that ends. In: text. Out: audio.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

import logging
import math
from typing import Final

import anyio
import anyio.lowlevel

from xai_realtime.codec import tts_codec
from xai_realtime.errors import (
    AudioDecodeError,
    ClosedByUsError,
    ConnectionClosedError,
    ServiceError,
    TransportTimeoutError,
)
from xai_realtime.events import tts as wire
from xai_realtime.frames import Frame
from xai_realtime.protocol.tts_script import TtsScript
from xai_realtime.protocol.tts_track import TtsPiece, TtsTrack
from xai_realtime.quick_audio import QuickAudio
from xai_realtime.tts._pool import SpeechPool
from xai_realtime.tts._socket import Order, SpeechSocket
from xai_realtime.tts._tags import warn_of_tags
from xai_realtime.tts._text import TextInput
from xai_realtime.tts._writer import TextWriter

__all__ = ["Speech"]

_log: Final = logging.getLogger("xai_realtime.tts")

MESSAGES_AT_ONCE: Final = 4
"""A text of more deltas is sent while its audio is read already, so that neither side waits for the other."""


class Speech:
    """One speech on its way. `begin` and `next` are for the task that iterates, `abandon` may come from any task."""

    def __init__(self, pool: SpeechPool, order: Order, text: TextInput, script: TtsScript, track: TtsTrack) -> None:
        self._pool = pool
        self._order = order
        self._text: TextInput = text
        self._script = script
        self._track = track
        self._socket: SpeechSocket | None = None
        self._is_fresh = False
        self.is_over = False
        self._failure: Exception | None = None
        self._scope: anyio.CancelScope | None = None
        self._scope_class: type[anyio.CancelScope] = anyio.CancelScope
        self._quick = QuickAudio()
        self._hears_audio = False
        self._writer: TextWriter | None = None
        self._first_text_s: float | None = None
        self._deadline_s = math.inf
        self._is_doubted = False
        self.retried = False
        self.trace_id: str | None = None
        self.first_audio_s: float | None = None

    def begin(self) -> None:
        """Start with the text."""
        if self.is_over:
            return
        self._pool.check_open()
        self._scope_class = type(anyio.CancelScope())
        if isinstance(self._text, str):
            self._script.push(self._text)
            self._text_came(self._text)
            warn_of_tags(self._text)
            self._script.finish()
            if self._script.waiting_messages <= MESSAGES_AT_ONCE:
                self._text_ended(None)
                return
        self._writer = TextWriter(
            () if isinstance(self._text, str) else self._text,
            self._script,
            given=self._text_came,
            send=self._send_waiting,
            ended=self._text_ended,
        )
        self._writer.start(self._pool)

    async def next(self) -> bytes | TtsPiece | None:
        """The next audio, as bytes where nothing else came with it; None at the end. Raises what broke the speech."""
        while True:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self.is_over:
                return None
            socket = self._socket
            if socket is None:
                await self._connect()
            elif self._writer is None and self._script.has_more:
                await self._send_here()
            else:
                frame = await self._receive(socket)
                if frame is None:
                    continue
                audio = self._quick.read(frame.data) if self._hears_audio else None
                piece = self._take(frame) if audio is None else self._track.push(audio)
                if piece:
                    return piece

    async def _connect(self) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                self._socket, self._is_fresh = await self._pool.take(self._order, fresh=self._is_fresh)
        except Exception:
            if not self.is_over:
                self.abandon()
                raise
        finally:
            self._scope = None
        if self.is_over:
            self._leave_socket()
        elif self._writer is not None:
            self._writer.wake()

    async def _send_here(self) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                await self._send_waiting()
        finally:
            self._scope = None

    async def _receive(self, socket: SpeechSocket) -> Frame | None:
        """The next message, None when there is something else to do first."""
        frame = None
        if socket.has_message:
            # There is nothing to wait for, so that nothing could break the wait off.
            try:
                return await socket.receive()
            except ConnectionClosedError as closed:
                self._broken(closed)
                return None
        # Of the loop's own class, since looking the loop up again is felt at each message.
        self._scope = scope = self._scope_class()
        if self._deadline_s != math.inf:
            scope.deadline = self._deadline_s
        try:
            with scope:
                frame = await socket.receive()
        except ConnectionClosedError as closed:
            error = TransportTimeoutError("audio", self._pool.policy.audio_timeout_s or 0.0)
            self._broken(error if socket.is_stuck else closed)
        finally:
            self._scope = None
        if self._socket is socket:
            if frame is None and anyio.current_time() >= self._deadline_s:
                self._late()
            return frame
        return None

    # What the text does

    async def _send_waiting(self) -> None:
        socket = self._socket
        try:
            while socket is not None and socket is self._socket and (message := self._script.next_message()):
                await socket.send(message)
                if isinstance(message, wire.TextDone) and socket is self._socket:
                    self._wait_for_audio()
        except ConnectionClosedError as closed:
            # Whoever receives learns of it as well, once everything that came before is read.
            _log.debug("text could not be sent: %s", type(closed).__name__)

    def _text_came(self, text: str) -> None:
        if self._first_text_s is None and not text.isspace() and text:
            self._first_text_s = anyio.current_time()

    def _text_ended(self, error: Exception | None) -> None:
        """The text is complete, or could not be read to its end."""
        if self.is_over:
            return
        if error is not None:
            self._fail(error if self._pool.is_open else ClosedByUsError(1000, "the client was left"))
        elif self._script.is_over:
            self._finish()

    # What the service says

    def _take(self, frame: Frame) -> TtsPiece | None:
        event = tts_codec.decode(frame)
        if event.__class__ is wire.AudioDelta:
            return self._audio(event)
        if isinstance(event, wire.AudioDone):
            self._done(event)
        elif isinstance(event, wire.Error):
            self._broken(ServiceError("error", _message(event)))
        elif isinstance(event, wire.AudioCleared):
            if self._script.has_begun:
                _log.warning("the service gave an utterance up that nobody cleared")
                self._spoken()
        elif not isinstance(event, wire.SessionUpdated):
            _log.warning("passed over a message that is no event of this service: %s", type(event).__name__)
        return None

    def _audio(self, event: wire.AudioDelta) -> TtsPiece | None:
        if not self._script.has_begun:
            _log.warning("dropped audio that came before any text")
            return None
        try:
            piece = self._track.add(event)
        except AudioDecodeError:
            _log.warning("passed over audio that is no base64")
            return None
        if not self._hears_audio and self._track.has_audio:
            self._hears_audio = True
            if self.first_audio_s is None:
                self.first_audio_s = anyio.current_time() - (self._first_text_s or 0.0)
            if self._script.is_done_sent:
                self._wait_for_audio()
        return piece

    def _done(self, event: wire.AudioDone) -> None:
        socket = self._socket
        if socket is None or not self._script.is_done_sent:
            _log.debug("passed over the end of an utterance that is not at its end")
        elif socket.was_cleared and not self._hears_audio:
            # It may belong to what was cleared. If it does not, nothing else will come.
            socket.was_cleared = False
            self._is_doubted = True
            self._deadline_s = anyio.current_time() + self._pool.policy.clear_timeout_s
        else:
            self.trace_id = event.trace_id
            self._spoken()

    def _spoken(self) -> None:
        """The utterance is over."""
        left_bytes = self._track.end_utterance()
        if left_bytes:
            _log.warning("an utterance ended within a sample: %d bytes are left out", left_bytes)
        self._script.spoken()
        self._is_fresh = self._is_doubted = self._hears_audio = False
        self._deadline_s = math.inf
        if self._socket is not None:
            self._socket.expects_audio = False
        if self._script.is_over:
            self._finish()
        elif self._writer is not None:
            self._writer.wake()

    def _wait_for_audio(self) -> None:
        """The text is complete: audio must come within bounds."""
        bound_s = None if self._hears_audio else self._pool.policy.first_audio_timeout_s
        self._deadline_s = math.inf if bound_s is None else anyio.current_time() + bound_s
        if self._scope is not None:
            self._scope.deadline = self._deadline_s
        if self._socket is not None:
            self._socket.expects_audio = self._hears_audio

    def _late(self) -> None:
        if self._is_doubted:
            self._spoken()
            return
        self._broken(TransportTimeoutError("first audio", self._pool.policy.first_audio_timeout_s or 0.0))

    # How it ends

    def _broken(self, error: Exception) -> None:
        """The socket is of no use any more: try a fresh one, where that can do no harm."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        socket.move("dropped")
        self._deadline_s = math.inf
        if self._is_fresh or self._hears_audio or not self._pool.is_open:
            self._fail(error)
            return
        _log.debug("a socket that was used before failed (%s); the text goes over a fresh one", type(error).__name__)
        self._is_fresh = True
        self.retried = self._script.rewind() or self.retried

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.abandon()

    async def closed(self) -> None:
        """Wait until the text is closed. Cancelling is safe."""
        if self._writer is not None:
            await self._writer.closed()

    def _finish(self) -> None:
        """All was spoken."""
        self.is_over = True
        self._leave_socket()
        self._stop()

    def abandon(self) -> None:
        """Whatever is under way ends here."""
        if not self.is_over:
            self.is_over = True
            self._leave_socket()
            self._stop()

    def _leave_socket(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.move("abandoned" if self._script.has_begun else "released")

    def _stop(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
        if self._scope is not None:
            self._scope.cancel()


def _message(event: wire.Error) -> str:
    """What an error says, under either of its names."""
    said = event.error.get("message") if isinstance(event.error, dict) else event.error
    return event.message or (said if isinstance(said, str) else "")
