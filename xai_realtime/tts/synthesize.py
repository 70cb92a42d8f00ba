"""A text spoken over HTTP, however long. In: a text, settings. Out: audio in memory, in a file, or as it comes.

Imports: rooms 0-4, anyio, pydantic_core.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias, Unpack

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES
from xai_realtime.errors import (
    AudioDecodeError,
    ConfigurationError,
    LocalProtocolError,
    RemoteProtocolError,
    XaiRealtimeError,
)
from xai_realtime.events._base import decode_audio
from xai_realtime.events.tts import AudioTimestamps
from xai_realtime.protocol import subtitles
from xai_realtime.protocol.stt_events import SttWord
from xai_realtime.protocol.tts_audio import TtsCharacter, TtsTimestamps, TtsWord
from xai_realtime.protocol.tts_joining import joined_speech
from xai_realtime.protocol.tts_text import sentences
from xai_realtime.transport._http_errors import api_error
from xai_realtime.transport.base import HttpRequest, HttpResponse, Transport
from xai_realtime.transport.rest import check_status
from xai_realtime.tts._sinks import Target, codec_of, sink_for
from xai_realtime.tts._tags import warn_of_tags
from xai_realtime.tts.config import TtsConfig, TtsSettings

__all__ = [
    "Progress",
    "SpeechOrder",
    "TtsResult",
    "TtsSynthesis",
    "configured",
    "synthesis",
    "synthesize",
]

MAX_ENVELOPE_BYTES: Final = 256 * 1024 * 1024
"""15,000 characters spoken slowly are 24 minutes: 183 MB of base64 at 48 kHz."""
ENVELOPE_TIMEOUT_S: Final = 900.0
"""Speech with its times comes in one piece when all is spoken, which the service allows itself so long for."""
CODEC_OF_KIND: Final = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
}
"""Files whose bytes, taken for samples, would be heard as noise."""
TRACE_IDS: Final = ("x-trace-id", "x-request-id")

Take: TypeAlias = Callable[[bytes], Awaitable[None]]
Progress: TypeAlias = Callable[[int, int, int], object]
"""Called with the bytes received, the characters whose speech is complete, and all characters of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsResult:
    """A text as speech.

    `audio` is the whole file (None when it was written to `to`), `size_bytes` its length. `duration_ms` is how long it
    plays, counted by samples, or by frames for mp3; None where neither can be counted. `characters` and `words` say
    what is spoken when, over all pieces, and are empty without `timestamps=True`. `pieces` is how many requests the
    text took, `trace_ids` their ids at xAI, `first_audio_s` the seconds from the first request to the first audio.
    """

    audio: bytes | None = field(repr=False)
    codec: str
    sample_rate: int
    size_bytes: int
    duration_ms: float | None
    characters: tuple[TtsCharacter, ...] = field(default=(), repr=False)
    words: tuple[TtsWord, ...] = field(default=(), repr=False)
    trace_ids: tuple[str, ...] = ()
    pieces: int = 1
    first_audio_s: float | None = field(default=None, compare=False)

    def srt(self, **limits: Unpack[subtitles.CueLimits]) -> str:
        """The spoken words as SubRip text; needs `timestamps=True`, else ConfigurationError. Limits as in `cues`."""
        return subtitles.srt(self._words_heard(), **limits)

    def webvtt(self, **limits: Unpack[subtitles.CueLimits]) -> str:
        """The spoken words as WebVTT; as `srt`."""
        return subtitles.webvtt(self._words_heard(), **limits)

    def _words_heard(self) -> list[SttWord]:
        if not self.words:
            raise ConfigurationError("subtitles need the times of the words: ask for timestamps=True")
        return [SttWord(word.text, word.start_s, word.end_s) for word in self.words]


def configured(config: TtsConfig | None, settings: TtsSettings, to: Target | None = None) -> TtsConfig:
    """The settings of a call: those of `config`, changed by `settings`; the name of a file decides a codec left open.

    Raises ConfigurationError.
    """
    chosen = TtsSettings(**settings)
    if config is None and "codec" not in chosen and (codec := codec_of(to)) is not None:
        chosen["codec"] = codec
    return (config or TtsConfig()).changed(**chosen)


class SpeechOrder:
    """A text to be spoken, checked and cut into requests like the one given. Raises ConfigurationError."""

    def __init__(
        self,
        transport: Transport,
        request: HttpRequest,
        text: str,
        config: TtsConfig,
        progress: Progress | None = None,
        *,
        check_tags: bool = True,
    ) -> None:
        if not isinstance(text, str):
            raise ConfigurationError(f"the text is a {type(text).__name__}; a str is allowed")
        pieces = sentences(text)
        if not pieces:
            raise ConfigurationError("the text is blank; there is nothing to speak")
        wait_s = request.read_timeout_s
        if wait_s is not None and (isinstance(wait_s, bool) or not isinstance(wait_s, int | float) or not wait_s > 0):
            raise ConfigurationError(f"timeout_s is {wait_s!r}; seconds above 0 are allowed, or None")
        wait_s = ENVELOPE_TIMEOUT_S if wait_s is None and config.timestamps else wait_s
        named = {**request.headers, "Content-Type": "application/json"}
        request = replace(request, headers=named, read_timeout_s=wait_s)
        self.requests = tuple(replace(request, body=to_json(config.body(piece))) for piece in pieces)
        self.lengths = tuple(len(piece) for piece in pieces)
        self.transport = transport
        self.config = config
        self.progress = progress
        if check_tags:
            warn_of_tags(text)


class _Speaking:
    """An order being carried out: request after request, the answers joined."""

    def __init__(self, order: SpeechOrder) -> None:
        self._order = order
        self._joined = joined_speech(order.config.codec, order.config.sample_rate, len(order.requests))
        self._times = TtsTimestamps()
        self._trace_ids: list[str] = []
        self._stated_ms = 0.0
        self._received_bytes = 0
        self._size_bytes = 0
        self._started_s = 0.0
        self.first_audio_s: float | None = None

    async def run(self, take: Take) -> None:
        """Ask for everything and hand the bytes of the file on."""
        order, done = self._order, 0
        self._started_s = anyio.current_time()
        for number, request in enumerate(order.requests, start=1):
            self._times.next_piece((self._duration_ms or 0.0) / 1000)
            try:
                await self._speak(request, take, done)
                self._joined.end_piece()
            except XaiRealtimeError as error:
                if len(order.requests) > 1:
                    error.add_note(f"in piece {number} of {len(order.requests)} of the text")
                raise
            done += order.lengths[number - 1]
            self._tell(0, done)
        await self._give(self._joined.finish(), take)
        if not self._size_bytes:
            raise RemoteProtocolError("the service answered without any audio")

    async def _speak(self, request: HttpRequest, take: Take, done: int) -> None:
        async with self._order.transport.request(request) as response:
            await check_status(request, response)
            trace_id = next((found for name in TRACE_IDS if (found := response.header(name))), None)
            self._trace_ids += [trace_id] if trace_id else []
            if self._order.config.timestamps:
                audio = await self._opened(request, response)
                self._tell(len(audio), done)
                await self._give(self._joined.push(audio), take)
                return
            await _check_is_audio(request, response)
            _check_codec(_kind_of(response), self._order.config.codec)
            async for chunk in response:
                self._tell(len(chunk), done)
                await self._give(self._joined.push(chunk), take)

    async def _opened(self, request: HttpRequest, response: HttpResponse) -> bytes:
        """The audio out of an answer that states its times."""
        body = await response.read(MAX_ENVELOPE_BYTES)
        envelope = await to_thread.run_sync(_read_json, body)
        if isinstance(envelope, dict) and envelope.get("error"):
            raise api_error(request, response.status, response.headers, body)
        if not isinstance(envelope, dict) or not isinstance(envelope.get("audio"), str):
            raise RemoteProtocolError(f"the answer holds no speech with times ({_kind_of(response) or 'no type'})")
        _check_codec(envelope.get("content_type"), self._order.config.codec)
        try:
            audio = await to_thread.run_sync(decode_audio, envelope["audio"])
            times = AudioTimestamps.model_validate(envelope.get("audio_timestamps") or {})
        except AudioDecodeError as error:
            raise RemoteProtocolError(f"the answer's {error}") from None
        except ValidationError:
            raise RemoteProtocolError("the times of the answer cannot be read") from None
        self._times.add(times)
        stated = envelope.get("duration")
        if isinstance(stated, int | float) and not isinstance(stated, bool) and stated >= 0:
            self._stated_ms += stated * 1000
        return audio

    async def _give(self, data: bytes, take: Take) -> None:
        self._size_bytes += len(data)
        if data:
            if self.first_audio_s is None:
                self.first_audio_s = anyio.current_time() - self._started_s
            await take(data)

    def _tell(self, more_bytes: int, done: int) -> None:
        self._received_bytes += more_bytes
        if self._order.progress is not None:
            self._order.progress(self._received_bytes, done, sum(self._order.lengths))

    @property
    def _duration_ms(self) -> float | None:
        counted = self._joined.duration_ms
        return counted if counted is not None else self._stated_ms or None

    def head(self) -> bytes | None:
        """What must replace the first bytes of the file."""
        return self._joined.head()

    def result(self, audio: bytes | None) -> TtsResult:
        """What became of the order."""
        return TtsResult(
            audio=audio,
            codec=self._order.config.codec,
            sample_rate=self._joined.rate_hz,
            size_bytes=self._size_bytes,
            duration_ms=self._duration_ms,
            characters=self._times.characters,
            words=self._times.words,
            trace_ids=tuple(self._trace_ids),
            pieces=len(self._order.requests),
            first_audio_s=self.first_audio_s,
        )


async def synthesize(order: SpeechOrder, to: Target | None = None) -> TtsResult:
    """Speak all of it into memory or to a target. Raises as `Tts.synthesize`."""
    async with sink_for(to) as sink:
        speaking = _Speaking(order)
        await speaking.run(sink.write)
        audio = await sink.finish(speaking.head())
    return speaking.result(audio)


class TtsSynthesis:
    """Speech over HTTP as it comes: `async for chunk in speech`, once.

    Chunks of raw codecs are whole samples. The head of a WAV states no length unless the text is a single request whose
    answer does. Iterating raises what `client.tts.synthesize` raises. After its end `result` is what it was.
    """

    def __init__(self, order: SpeechOrder, chunks: MemoryObjectReceiveStream[bytes]) -> None:
        self._speaking = _Speaking(order)
        self._chunks = chunks
        self._error: Exception | None = None
        self._is_over = False
        self.config = order.config

    async def run(self, chunks: MemoryObjectSendStream[bytes]) -> None:
        """Fetch the speech until it is all there or nobody wants it any more."""
        async with chunks:
            try:
                await self._speaking.run(chunks.send)
                self._is_over = True
            except Exception as error:  # noqa: BLE001 - raised where the speech is read
                self._error = error

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._chunks.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopAsyncIteration

    @property
    def result(self) -> TtsResult:
        """What was spoken, without the audio. Raises LocalProtocolError before all of it was read."""
        if not self._is_over:
            raise LocalProtocolError("the speech was not read to its end; there is no result of it")
        return self._speaking.result(None)

    @property
    def first_audio_s(self) -> float | None:
        """Seconds from the request to the first audio; None before that."""
        return self._speaking.first_audio_s

    def __repr__(self) -> str:
        return f"<TtsSynthesis {'over' if self._is_over else 'under way'}>"


@asynccontextmanager
async def synthesis(order: SpeechOrder) -> AsyncIterator[TtsSynthesis]:
    """Speech as it comes. A request that is under way when the context ends is cancelled."""
    send, receive = anyio.create_memory_object_stream[bytes](0)
    speech = TtsSynthesis(order, receive)
    raised: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speech.run, send)
        try:
            yield speech
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001
            raised = error  # raised again past the task group, which would wrap it
        finally:
            tasks.cancel_scope.cancel()
            receive.close()
    if raised is not None:
        raise raised


def _kind_of(response: HttpResponse) -> str:
    return (response.header("content-type") or "").partition(";")[0].strip().lower()[:80]


async def _check_is_audio(request: HttpRequest, response: HttpResponse) -> None:
    """Raises for a good status whose body says that it is something else than audio."""
    kind = _kind_of(response)
    if not (kind.startswith("text/") or kind == "application/json" or kind.endswith("+json")):
        return
    body = await response.read(MAX_ERROR_PAYLOAD_BYTES)
    told = _read_json(body)
    if isinstance(told, dict) and told.get("error"):
        raise api_error(request, response.status, response.headers, body)
    raise RemoteProtocolError(f"the answer to a request for speech is no audio ({kind})")


def _check_codec(kind: object, codec: str) -> None:
    """Raises for audio that says that it is in another codec than the one asked for."""
    stated = CODEC_OF_KIND.get(kind, codec) if isinstance(kind, str) else codec
    if stated != codec:
        raise RemoteProtocolError(f"the service answered with {stated}, not with {codec}, which was asked for")


def _read_json(body: bytes) -> Any:
    """The JSON value of a body, None for what is none."""
    try:
        return from_json(body)
    except ValueError:
        return None
