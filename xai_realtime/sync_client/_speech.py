"""Speech to text and text to speech without async. In: options, audio, text. Out: what blocks until it is there.

Imports: rooms 0-6, anyio. Everything happens in the async services; see `_thread` for where.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from anyio import to_thread

from xai_realtime.client.stt import Stt
from xai_realtime.client.tts import Tts
from xai_realtime.client.voices import CallOptions, CustomVoices, Voices
from xai_realtime.errors import ClosedByUsError, ConfigurationError
from xai_realtime.protocol.tts_text import Flush
from xai_realtime.stt.stream import SttStream
from xai_realtime.sync_client._thread import Front, Held, check_thread, verb, within
from xai_realtime.tts.custom_voices import PAGE_LIMIT, CustomVoice
from xai_realtime.tts.stream import FlushMode, TtsStream
from xai_realtime.tts.synthesize import TtsResult, TtsSynthesis

if TYPE_CHECKING:
    from xai_realtime.client import AsyncClient
    from xai_realtime.protocol.stt_events import SttDone, SttEvent
    from xai_realtime.protocol.stt_policy import SttPolicy
    from xai_realtime.protocol.tts_audio import TtsCharacter, TtsWord
    from xai_realtime.protocol.tts_track import TtsPiece
    from xai_realtime.stt.config import SttConfig, SttSettings
    from xai_realtime.tts.config import TtsConfig, TtsSettings

__all__ = [
    "SyncCustomVoices",
    "SyncStt",
    "SyncSttStream",
    "SyncTts",
    "SyncTtsStream",
    "SyncTtsSynthesis",
    "SyncVoices",
]

R = TypeVar("R")


class SyncStt(Front[Stt]):
    """Speech to text without async: `client.stt`."""

    transcribe = verb(Stt.transcribe)

    def stream(
        self,
        config: SttConfig | Mapping[str, Any] | None = None,
        *,
        policy: SttPolicy | None = None,
        source_rate_hz: int | None = None,
        source_channels: int | None = None,
        wait_until_ready: bool = True,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[SttSettings],
    ) -> SyncSttStream:
        """A transcription while the audio comes: `with client.stt.stream() as stt`. All as in `Stt.stream`."""
        check_thread()
        stream = self._inner.stream(
            config,
            policy=policy,
            source_rate_hz=source_rate_hz,
            source_channels=source_channels,
            wait_until_ready=wait_until_ready,
            url=url,
            query=query,
            api_key=api_key,
            headers=headers,
            **settings,
        )
        return SyncSttStream(stream, Held(stream))


class SyncSttStream(Front[SttStream]):
    """One transcription, as SttStream, whose verbs wait here.

    `for event in stt` tells what is said, to one thread; audio may be given from any other meanwhile. Ctrl-C while it
    waits loses nothing.
    """

    def __init__(self, inner: SttStream, held: Held[SttStream]) -> None:
        super().__init__(inner, held)
        self._waiting: deque[SttEvent] = deque()

    send = verb(SttStream.send)
    finalize = verb(SttStream.finalize)
    flush = verb(SttStream.flush)
    finish = verb(SttStream.finish)
    ready = verb(SttStream.ready)
    close = verb(SttStream.aclose)

    @property
    def config(self) -> SttConfig:
        """What the service was asked for."""
        return self._inner.config

    @property
    def transcript(self) -> SttDone:
        """What is committed so far."""
        return self._there(lambda: self._inner.transcript)

    @property
    def kept_audio(self) -> bytes:
        """The audio whose words are not certain."""
        return self._there(lambda: self._inner.kept_audio)

    def receive(self, timeout_s: float | None = None) -> SttEvent:
        """The next event; nothing is lost when the wait is broken off.

        Raises TransportTimeoutError when nothing came in time, ClosedByUsError when the stream is over, or what broke
        it.
        """
        if not self._waiting and not self._fetch(timeout_s):
            raise ClosedByUsError(1000, "the stream is over")
        return self._waiting.popleft()

    def __iter__(self) -> Iterator[SttEvent]:
        return self

    def __next__(self) -> SttEvent:
        if not self._waiting and not self._fetch(None):
            raise StopIteration
        return self._waiting.popleft()

    def __enter__(self) -> Self:
        self._held.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.__exit__(exc_type, exc, traceback)

    def __repr__(self) -> str:
        return repr(self._inner).replace("SttStream", "SyncSttStream")

    def _there(self, read: Callable[[], R]) -> R:
        async def look() -> R:
            return read()

        return self._held.call(look)

    def _fetch(self, timeout_s: float | None) -> bool:
        if not self._held.was_entered:
            raise ConfigurationError("nothing happens before the stream is entered: `with ... as stt`")
        return self._held.call(partial(self._move, timeout_s))

    async def _move(self, timeout_s: float | None) -> bool:
        # What has been read is kept here, so that nothing is lost when the call is broken off as it returns.
        event = await within(timeout_s, partial(anext, self._inner, None))
        if event is not None:
            self._waiting.append(event)
        return event is not None


class SyncTts(Front[Tts]):
    """Text to speech without async: `client.tts`."""

    synthesize = verb(Tts.synthesize)
    prewarm = verb(Tts.prewarm)

    def __init__(self, inner: Tts, held: Held[AsyncClient]) -> None:
        super().__init__(inner, held)
        self.voices = SyncVoices(inner.voices, held)
        self.custom_voices = SyncCustomVoices(inner.custom_voices, held)

    def stream(
        self,
        text: str | Iterable[str | Flush],
        config: TtsConfig | None = None,
        *,
        flush: FlushMode = "speak",
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[TtsSettings],
    ) -> SyncTtsStream:
        """Speak a text while it is written: `for chunk in client.tts.stream("Hello!")`.

        All as in `Tts.stream`, but for an iterable of text: it is read in a worker thread, and may block. One that
        blocks while the speech is interrupted is not waited for, and read no further.
        """
        check_thread()
        given = text if isinstance(text, str) or not isinstance(text, Iterable) else _Threaded(text)
        stream = self._there(
            lambda: self._inner.stream(
                given, config, flush=flush, url=url, query=query, api_key=api_key, headers=headers, **settings
            )
        )
        return SyncTtsStream(stream, self._held)

    def synthesis(
        self,
        text: str,
        config: TtsConfig | None = None,
        *,
        timeout_s: float | None = None,
        check_tags: bool = True,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[TtsSettings],
    ) -> AbstractContextManager[SyncTtsSynthesis]:
        """Speak a text over HTTP and read the audio as it comes. All as in `Tts.synthesis`."""
        check_thread()
        opening = self._inner.synthesis(
            text,
            config,
            timeout_s=timeout_s,
            check_tags=check_tags,
            url=url,
            query=query,
            api_key=api_key,
            headers=headers,
            **settings,
        )
        return _opened(Held(opening))

    def _there(self, make: Callable[[], R]) -> R:
        async def there() -> R:
            return make()

        return self._held.call(there)


class _Chunks(Generic[R], Iterator[R]):
    """An asynchronous iterator read from here; nothing is lost when a wait is broken off.

    Raises ClosedByUsError once the client was left, whose loop it belongs to.
    """

    def __init__(self, items: AsyncIterator[R], held: Held[Any]) -> None:
        self._items = items
        self._held = held
        self._waiting: deque[R] = deque()

    def __next__(self) -> R:
        if self._held.is_over:
            raise ClosedByUsError(1000, "the client was left")
        if not self._waiting and not self._held.call(self._move):
            raise StopIteration
        return self._waiting.popleft()

    async def _move(self) -> bool:
        async for item in self._items:
            self._waiting.append(item)
            return True
        return False


class SyncTtsStream(Front[TtsStream]):
    """One speech, as TtsStream: `for chunk in speech` gives its audio, `pieces()` more of it.

    Leave a loop early inside `with client.tts.stream(...) as speech`, or call `interrupt()`: that ends the speech.
    """

    interrupt = verb(TtsStream.interrupt)

    @property
    def config(self) -> TtsConfig:
        """What was asked for."""
        return self._inner.config

    @property
    def characters(self) -> tuple[TtsCharacter, ...]:
        """The characters so far and when they are spoken; empty without `timestamps`."""
        return self._inner.characters

    @property
    def words(self) -> tuple[TtsWord, ...]:
        """The words so far and when they are spoken; empty without `timestamps`."""
        return self._inner.words

    @property
    def duration_ms(self) -> float | None:
        """How long the audio so far is, None where that is not known."""
        return self._inner.duration_ms

    @property
    def first_audio_s(self) -> float | None:
        """Seconds from the first text to the first audio."""
        return self._inner.first_audio_s

    @property
    def was_interrupted(self) -> bool:
        """`interrupt()` ended it."""
        return self._inner.was_interrupted

    @property
    def text_sent(self) -> str:
        """The text that went out so far."""
        return self._inner.text_sent

    @property
    def trace_id(self) -> str | None:
        """Under which the service knows the utterance spoken last."""
        return self._inner.trace_id

    def __iter__(self) -> Iterator[bytes]:
        return _Chunks(aiter(self._inner), self._held)

    def pieces(self) -> Iterator[TtsPiece]:
        """The audio with where it stands and the characters told with it."""
        return _Chunks(self._inner.pieces(), self._held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.call(partial(self._inner.__aexit__, exc_type, None, None))

    def __repr__(self) -> str:
        return repr(self._inner).replace("TtsStream", "SyncTtsStream")


class SyncTtsSynthesis(Front[TtsSynthesis]):
    """A speech over HTTP, read as it comes: `for chunk in speech`; `speech.result` tells the rest at the end."""

    @property
    def result(self) -> TtsResult:
        """What was spoken, without the audio. Raises LocalProtocolError before all of it was read."""
        return self._inner.result

    @property
    def first_audio_s(self) -> float | None:
        """Seconds from the request to the first audio; None before that."""
        return self._inner.first_audio_s

    def __iter__(self) -> Iterator[bytes]:
        return _Chunks(aiter(self._inner), self._held)


class SyncVoices(Front[Voices]):
    """The voices of the service without async: `client.tts.voices`."""

    list = verb(Voices.list)
    get = verb(Voices.get)


class SyncCustomVoices(Front[CustomVoices]):
    """The voices that your team made, without async: `client.tts.custom_voices`."""

    create = verb(CustomVoices.create)
    page = verb(CustomVoices.page)
    get = verb(CustomVoices.get)
    update = verb(CustomVoices.update)
    delete = verb(CustomVoices.delete)
    audio = verb(CustomVoices.audio)

    def list(self, *, limit: int = PAGE_LIMIT, **options: Unpack[CallOptions]) -> Iterator[CustomVoice]:
        """All voices of the team, asked for page by page."""
        return _Chunks(self._inner.list(limit=limit, **options), self._held)


@contextmanager
def _opened(held: Held[TtsSynthesis]) -> Iterator[SyncTtsSynthesis]:
    with held as speech:
        yield SyncTtsSynthesis(speech, held)


class _Threaded(AsyncIterable[str | Flush]):
    """An iterable that may block, read in a worker thread."""

    def __init__(self, text: Iterable[str | Flush]) -> None:
        self._text = text

    async def __aiter__(self) -> AsyncIterator[str | Flush]:
        iterator = iter(self._text)
        step = partial(next, iterator, None)
        is_reading = False
        try:
            while True:
                is_reading = True
                item = await to_thread.run_sync(step, abandon_on_cancel=True)
                is_reading = False
                if item is None:
                    return
                yield item
        finally:
            if not is_reading and hasattr(iterator, "close"):
                iterator.close()
