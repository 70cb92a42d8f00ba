"""One speech over a socket: text goes in as it is written, audio comes out as it is spoken. In: text. Out: audio.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import anyio.lowlevel

from xai_realtime.errors import ConfigurationError, LocalProtocolError
from xai_realtime.protocol.tts_audio import TtsCharacter, TtsWord
from xai_realtime.protocol.tts_script import TtsScript
from xai_realtime.protocol.tts_track import TtsPiece, TtsTrack
from xai_realtime.tts._pool import SpeechPool
from xai_realtime.tts._socket import Order
from xai_realtime.tts._speech import Speech
from xai_realtime.tts._text import TextInput, check_text
from xai_realtime.tts.config import TtsConfig

__all__ = ["FlushMode", "TtsStream"]

FlushMode: TypeAlias = Literal["speak", "ignore"]
FLUSH_MODES: Final = ("speak", "ignore")


class TtsStream:
    """One speech: `async for chunk in client.tts.stream("Hello!")` gives its audio, or `pieces()` more of it.

    Nothing happens before the first chunk is asked for, and it can be iterated once, by one task. Chunks are whole
    samples. An iterable of text is read while the speech goes on, in a task of the client's. Leaving the loop early,
    cancelling it and leaving `async with` end the speech as `interrupt()` does.

    Iterating raises what the text raises, as it is; ServiceError for an `error` of the service; HandshakeError,
    ConnectError, ConnectionClosedError (one of its kinds) and TransportTimeoutError (`first audio`, `audio`) for the
    line. A socket that was used before and fails before any audio of an utterance is replaced once and told the text
    again (`retried`). What was given out before an error stays given.
    """

    def __init__(
        self, pool: SpeechPool, order: Order, config: TtsConfig, text: TextInput, *, flush: FlushMode = "speak"
    ) -> None:
        check_text(text)
        if flush not in FLUSH_MODES:
            raise ConfigurationError(f"flush is {flush!r}; allowed are {', '.join(map(repr, FLUSH_MODES))}")
        pool.check_open()
        self._config = config
        self._script = TtsScript(speaks_at_marks=flush == "speak")
        self._track = TtsTrack(config.codec, config.sample_rate)
        self._speech = Speech(pool, order, text, self._script, self._track)
        self._has_begun = False
        self.was_interrupted = False
        """`interrupt()` ended it."""

    # What is true now

    @property
    def config(self) -> TtsConfig:
        """What was asked for."""
        return self._config

    @property
    def text_sent(self) -> str:
        """The text that went out so far."""
        return self._script.text_sent

    @property
    def characters(self) -> tuple[TtsCharacter, ...]:
        """The characters so far and when they are spoken, in seconds of the speech; empty without `timestamps`."""
        return self._track.characters

    @property
    def words(self) -> tuple[TtsWord, ...]:
        """The words so far and when they are spoken, in seconds of the speech; empty without `timestamps`."""
        return self._track.words

    @property
    def duration_ms(self) -> float | None:
        """How long the audio so far is; None for mp3 unless the service states it, which it does with `timestamps`."""
        return self._track.duration_ms

    @property
    def first_audio_s(self) -> float | None:
        """Seconds from the first text to the first audio, opening a socket included; None before that."""
        return self._speech.first_audio_s

    @property
    def trace_id(self) -> str | None:
        """Under which the service knows the utterance that was spoken last."""
        return self._speech.trace_id

    @property
    def retried(self) -> bool:
        """Text was sent again over a fresh socket."""
        return self._speech.retried

    def __repr__(self) -> str:
        return f"<TtsStream {self._config.voice}, {self._config.codec}, {self._track.total_bytes} bytes>"

    # Reading

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._begin()
        try:
            while (piece := await self._speech.next()) is not None:
                if isinstance(piece, bytes):
                    yield piece
                elif piece.audio:
                    yield piece.audio
        finally:
            self._speech.abandon()

    async def pieces(self) -> AsyncIterator[TtsPiece]:
        """The audio with where it stands and the characters told with it; also pieces with characters alone."""
        self._begin()
        try:
            while (piece := await self._speech.next()) is not None:
                yield self._track.piece(piece) if isinstance(piece, bytes) else piece
        finally:
            self._speech.abandon()

    async def interrupt(self) -> None:
        """Stop speaking, from any task: the iteration ends in order, the text is not read any further.

        The service is told, and nothing of this text comes with a later speech. A second call, and one after the end,
        do nothing. Returns when the text is closed; cancelling is safe.
        """
        self.was_interrupted = self.was_interrupted or not self._speech.is_over
        self._speech.abandon()
        await anyio.lowlevel.checkpoint()
        await self._speech.closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._speech.abandon()
        await self._speech.closed()

    def _begin(self) -> None:
        if self._has_begun:
            raise LocalProtocolError("a speech is iterated once: ask for another stream")
        self._has_begun = True
        self._speech.begin()
