"""A transcription while the audio comes: captions, utterances, and a line that may drop. In: audio. Out: events.

Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, cast

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from xai_realtime.audio import Audio
from xai_realtime.codec import stt_codec
from xai_realtime.defaults import MAX_MESSAGE_BYTES, STT_FLUSH_TIMEOUT_S, STT_FRAME_MS
from xai_realtime.errors import ClosedByUsError, ConfigurationError, ConnectionClosedError
from xai_realtime.events import stt as wire
from xai_realtime.protocol.stt_core import SttCore
from xai_realtime.protocol.stt_events import SttDone, SttEvent, SttUtterance
from xai_realtime.protocol.stt_flush import flush_silence
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.protocol.stt_ring import INFLOW
from xai_realtime.stt._intake import Intake
from xai_realtime.stt._line import Connect, SttLine
from xai_realtime.stt.config import SttConfig

__all__ = ["SttStream"]


class SttStream:
    """One transcription, whatever connections carry it: `async with client.stt.stream() as stt`.

    `async for event in stt` tells what is said: SttInterim and SttSegment are previews, SttUtterance is committed, and
    SttDone, the last, is the whole transcript. It raises what broke the stream. Events wait in a bounded queue: while
    it is full the socket is not read. Audio may be given from any task, also before the recogniser is ready.

    Times are seconds of the audio that was given, over all connections. When a line drops, what is not certain is sent
    again to a new one, and `SttReconnected` says so; words that were committed are not told again. Leaving the context
    without `finish()` closes at once: what was not transcribed by then is not waited for.
    """

    def __init__(
        self,
        connect: Connect,
        config: SttConfig,
        policy: SttPolicy,
        *,
        source_rate_hz: int | None = None,
        source_channels: int | None = None,
        waits_until_ready: bool = True,
    ) -> None:
        if policy.flush == "silence" and config.encoding == "opus":
            raise ConfigurationError("policy.flush is 'silence'; with opus 'finalize' is allowed")
        self._config = config
        self._intake = Intake(config, source_rate_hz, source_channels)
        self._block_bytes = self._intake.block_bytes
        self._frame_bytes = self._block_bytes * (config.sample_rate * STT_FRAME_MS // 1000)
        if config.encoding == "opus":
            self._frame_bytes = MAX_MESSAGE_BYTES
        self._core = SttCore(config, policy, self._block_bytes)
        self._inflow = self._core.ring.inflow
        self._line = SttLine(self._core, connect)
        self._waits = waits_until_ready
        self._tasks: anyio.abc.TaskGroup | None = None
        self._paced_s = 0.0

    # What is true now

    @property
    def config(self) -> SttConfig:
        """What the service was asked for."""
        return self._config

    @property
    def transcript(self) -> SttDone:
        """What is committed so far, `is_complete` False until the service has confirmed the end."""
        return self._core.done or self._core.transcript.so_far()

    @property
    def session_id(self) -> str | None:
        """The service's id of the present connection."""
        return self._core.transcript.session_id

    @property
    def kept_audio(self) -> bytes:
        """The audio, in the stream's format, whose words are not certain: given and not covered by an utterance.

        `policy.ring_s` seconds of what was sent, and all that was not. Packets of Opus stand in `kept_packets`.
        """
        return b"".join(self._core.ring.kept())

    @property
    def kept_packets(self) -> tuple[bytes, ...]:
        """The same in the pieces in which it is sent: of Opus, packet by packet."""
        return self._core.ring.kept()

    def __repr__(self) -> str:
        return f"<SttStream {self._core.state}, {self._core.connections} connections>"

    # Speaking

    async def send(self, audio: Audio, *, pace: bool = False) -> None:
        """Give audio in the stream's format, or in that of `source_rate_hz` and `source_channels`, cut anywhere.

        Opus is given packet by packet. `pace=True` sends in real time, for audio that is there already. Audio given
        while no connection is ready is held; once `policy.ring_s` seconds wait, this waits too. It waits as well while
        the socket is congested. Cancelling may leave the audio sent in part.

        Raises what ended the stream, ClosedByUsError after `aclose()`, LocalProtocolError after `finish()`.
        """
        channel = self._line.direct
        if channel is None or pace or audio.__class__ is not bytes or not self._intake.passes:
            await self._send_wired(self._intake.take(audio), pace)
            return
        size = len(audio)
        if size > self._frame_bytes or not size or size % self._block_bytes:
            await self._send_wired(self._intake.take(audio), pace)
            return
        # What nearly every call is: here, since a further step for each frame would be felt.
        inflow = self._inflow
        inflow.append(audio)
        if len(inflow) >= INFLOW:
            self._core.ring.absorb()
        try:
            await channel.send_binary(audio)
        except ConnectionClosedError:
            return  # the ring has it, and the reader learns of it once it has read what came before

    async def _send_wired(self, wired: bytes, pace: bool) -> None:
        self._line.raise_if_over()
        if not wired:
            await checkpoint()
        ring, size = self._core.ring, self._frame_bytes
        for at in range(0, len(wired), size):
            piece = wired[at : at + size]
            if pace:
                self._paced_s = max(self._paced_s, anyio.current_time())
                await anyio.sleep_until(self._paced_s)
                self._paced_s += ring.units(piece) / ring.units_per_s
            await self._line.send(piece)

    async def finalize(self, channel: int | None = None) -> None:
        """Ask for the utterance of `channel` (None: of all) as it stands now; the stream goes on, nothing is awaited.

        Raises ConfigurationError for a channel that the stream has not, else as `send` does.
        """
        self._line.raise_if_over()
        most = self._config.channels - 1
        if channel is not None and (isinstance(channel, bool) or channel not in range(most + 1)):
            raise ConfigurationError(f"channel is {channel!r}; allowed are None and whole numbers from 0 to {most}")
        await self._send_rest()
        self._core.transcript.asked_to_flush(channel)
        wish = wire.Finalize() if channel is None else wire.Finalize(channel=channel)
        self._line.hold(stt_codec.encode(wish).data, "wish")
        await checkpoint()

    async def flush(self, timeout_s: float = STT_FLUSH_TIMEOUT_S) -> tuple[SttUtterance, ...]:
        """End the utterance now, and wait for it, at most `timeout_s`; the utterances that came meanwhile.

        They are told to the reader as well. Where nothing loud was given since the last utterance nothing is owed, and
        this does not wait. By `finalize`, or by silence with `policy.flush="silence"`. Cancelling leaves it asked for.
        Raises as `send` does, also when the stream ends meanwhile.
        """
        transcript = self._core.transcript
        first = transcript.utterances_told
        self._line.raise_if_over()
        await self._send_rest()
        owed = [channel for channel in range(self._config.channels) if self._core.owes(channel)]
        if self._core.policy.flush == "silence":
            config = self._config
            silence = flush_silence(
                config.endpointing, config.sample_rate, encoding=config.encoding, channels=config.channels
            )
            self._line.hold(silence, "silence")
        else:
            self._line.hold(stt_codec.encode(wire.Finalize()).data, "wish")
        for channel in owed:
            transcript.asked_to_flush(channel)
        with anyio.move_on_after(timeout_s):
            await self._line.wait_until(lambda: not transcript.is_flushing)
        if self._core.state == "over":
            self._line.raise_if_over()
        return tuple(said for said in transcript.so_far().utterances if said.index >= first)

    async def _send_rest(self) -> None:
        rest = self._intake.flush()
        if rest:
            await self._line.send(rest)

    async def finish(self) -> SttDone:
        """There is no more audio: wait for the last words, and give the whole transcript. A second call gives the same.

        It need not be read meanwhile. When the line breaks now and everything loud was committed, the transcript is
        given with `is_complete` False; else the rest is sent to a new connection. Cancelling leaves the end asked for.

        Raises TransportTimeoutError(`transcript.done`) after `policy.finish_timeout_s` without a word from the
        service, ServiceError for its error event, ConnectionClosedError when no new connection comes about. What was
        said until then stays in `transcript`.
        """
        if self._core.done is None:
            if not self._core.is_ending:
                self._line.raise_if_over()
                await self._send_rest()
                self._line.end_audio()
            await self._line.wait_until_ended()
            self._line.inbox.raise_if_over()
        if self._core.done is None:
            raise ClosedByUsError(1000, "the stream was closed before its end")
        return self._core.done

    # Reading

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self

    async def __anext__(self) -> SttEvent:
        event = await self._line.inbox.next()
        if event is None:
            raise StopAsyncIteration
        return cast("SttEvent", event)

    # Life

    async def ready(self) -> None:
        """Wait until the recogniser listens. Raises what ended the stream instead."""
        await self._line.wait_until(lambda: self._core.state == "ready")
        if self._core.state == "over":
            self._line.raise_if_over()

    async def aclose(self) -> None:
        """End the stream at once; leaving its context does the same. A second call does nothing."""
        self._line.close()
        await checkpoint()

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise ConfigurationError("a stream is entered once")
        self._tasks = tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._line.is_entered = True
        tasks.start_soon(self._line.run, tasks)
        try:
            if self._waits:
                await self.ready()
        except BaseException as error:
            self._line.inbox.was_surfaced = True
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._tasks is None:
            return
        self._line.close()
        self._tasks.cancel_scope.cancel()
        # Without the exception of the body, which would come back wrapped in a group.
        is_cancelled = isinstance(exc, anyio.get_cancelled_exc_class())
        await self._tasks.__aexit__(*((exc_type, exc, traceback) if is_cancelled else (None, None, None)))
        if exc is None and not self._line.inbox.was_surfaced:
            self._line.inbox.raise_if_over()
