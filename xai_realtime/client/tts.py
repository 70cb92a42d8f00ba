"""Text to speech: `client.tts`. In: options, text. Out: speech, voices. Imports: rooms 0-5."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final, Unpack

from xai_realtime.address import Address
from xai_realtime.client._dialing import Dialing
from xai_realtime.defaults import TTS_LANGUAGE, TTS_VOICE
from xai_realtime.transport.base import HttpRequest

if TYPE_CHECKING:
    from xai_realtime.client.voices import CustomVoices, Voices
    from xai_realtime.tts._pool import SpeechPool
    from xai_realtime.tts._sinks import Target
    from xai_realtime.tts._socket import Order
    from xai_realtime.tts._text import TextInput
    from xai_realtime.tts.config import TtsConfig, TtsSettings
    from xai_realtime.tts.stream import FlushMode, TtsStream
    from xai_realtime.tts.synthesize import Progress, TtsResult, TtsSynthesis

__all__ = ["Tts"]

logger: Final = logging.getLogger("xai_realtime.tts")
DEFAULTS: Final = {"voice": TTS_VOICE, "language": TTS_LANGUAGE}
"""What an address may name instead, without a word about it in the call."""


class Tts:
    """Text to speech: `client.tts`."""

    def __init__(self, dialing: Dialing, pool: SpeechPool) -> None:
        self._dialing = dialing
        self._pool = pool

    def stream(
        self,
        text: TextInput,
        config: TtsConfig | None = None,
        *,
        flush: FlushMode = "speak",
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[TtsSettings],
    ) -> TtsStream:
        """Speak a text while it is written: `async for chunk in client.tts.stream("Hello!")`.

        `text` is a str, or an iterable or async iterable of pieces of it, such as the answer of a language model. A
        `Flush()` among them has what came before spoken without waiting for more (`flush="speak"`), or is passed over
        (`"ignore"`). `settings` are those of TtsConfig and change `config`. The sockets are the client's, which must be
        entered: one utterance follows the other over the same one as long as voice and settings do not change.

        Raises ConfigurationError at once; iterating raises what TtsStream says. Source: docs.x.ai voice reference.
        """
        from xai_realtime.tts.config import TtsConfig
        from xai_realtime.tts.stream import TtsStream

        chosen = (config or TtsConfig()).changed(**settings)
        order = self._order(chosen, url=url, query=query, api_key=api_key, headers=headers)
        return TtsStream(self._pool, order, chosen, text, flush=flush)

    async def prewarm(
        self,
        config: TtsConfig | None = None,
        *,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[TtsSettings],
    ) -> bool:
        """Have a socket ready before there is something to say; False when there is none.

        What goes wrong is logged, nothing is raised; it may be called again and again. Cancelling is safe.
        """
        from xai_realtime.tts.config import TtsConfig

        try:
            chosen = (config or TtsConfig()).changed(**settings)
            order = self._order(chosen, url=url, query=query, api_key=api_key, headers=headers)
            return await self._pool.prewarm(order)
        except Exception as error:  # noqa: BLE001 - the speech itself will raise it
            logger.warning("no socket was made ready to speak: %s", type(error).__name__)
            return False

    def _order(
        self,
        config: TtsConfig,
        *,
        url: str | None,
        query: Mapping[str, str] | None,
        api_key: str | None,
        headers: Mapping[str, str] | None,
    ) -> Order:
        from xai_realtime.tts._socket import Order

        asked = config.query()
        if url is not None:
            address = Address(url)
            named = [name for name, value in DEFAULTS.items() if asked[name] == value and address.has(name)]
            asked = {name: value for name, value in asked.items() if name not in named}
        asked |= query or {}
        request = self._dialing.socket("tts", "tts", asked, url=url, api_key=api_key, headers=headers)
        return Order(request, config.pronunciations)

    @property
    def voices(self) -> Voices:
        """The voices of the service."""
        from xai_realtime.client.voices import Voices

        return Voices(self._dialing)

    @property
    def custom_voices(self) -> CustomVoices:
        """The voices that your team made."""
        from xai_realtime.client.voices import CustomVoices

        return CustomVoices(self._dialing)

    async def synthesize(
        self,
        text: str,
        config: TtsConfig | None = None,
        *,
        to: Target | None = None,
        progress: Progress | None = None,
        timeout_s: float | None = None,
        check_tags: bool = True,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[TtsSettings],
    ) -> TtsResult:
        """Speak a text, however long, into memory or into a file.

        `settings` are those of TtsConfig and change `config`. `to` is a path or a binary file object, written while the
        speech comes. A file stands in its place when it is complete, and not at all otherwise; a file object is left
        open, and keeps what it got. The suffix of a path (.mp3 .wav .pcm .raw .ulaw .alaw) picks the codec when neither
        `codec` nor `config` is given; where one is, the suffix does not matter. Without `to` the result has the audio.

        A text of more than 15,000 characters is cut between sentences and asked for piece by piece; the pieces are
        joined without a gap, and the times of `timestamps=True` go on from one to the next. `progress` is called with
        the bytes received, the characters whose speech is complete, and all characters. `timeout_s` is the longest
        silence of the service: the transport's own when None, 15 minutes with timestamps, whose speech comes at once.
        `check_tags=False` logs no warnings about speech tags that the voice will not understand.

        Raises ConfigurationError before anything is sent; ApiError (NotFoundError for an unknown voice),
        RemoteProtocolError for audio that is cut or is none, ConnectError, ConnectionBrokenError,
        TransportTimeoutError; OSError of the file. Cancelling leaves no file behind. Source: docs.x.ai voice reference.
        """
        from xai_realtime.tts.synthesize import SpeechOrder, configured, synthesize

        chosen = configured(config, settings, to)
        address, named = self._dialing.web("tts", query or {}, url=url, api_key=api_key, headers=headers)
        request = HttpRequest("POST", address, named, read_timeout_s=timeout_s)
        order = SpeechOrder(self._dialing.transport, request, text, chosen, progress, check_tags=check_tags)
        return await synthesize(order, to)

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
    ) -> AbstractAsyncContextManager[TtsSynthesis]:
        """Speak a text over HTTP and read the audio as it comes.

        `async with client.tts.synthesis(text) as speech: async for chunk in speech: ...`; chunks of raw codecs are
        whole samples, and `speech.result` tells the rest at the end. Options and errors as in `synthesize`; those of
        the answer are raised where it is read. For text that is still being written, and to interrupt, use `stream`.
        """
        from xai_realtime.tts.synthesize import SpeechOrder, configured, synthesis

        chosen = configured(config, settings)
        address, named = self._dialing.web("tts", query or {}, url=url, api_key=api_key, headers=headers)
        request = HttpRequest("POST", address, named, read_timeout_s=timeout_s)
        return synthesis(SpeechOrder(self._dialing.transport, request, text, chosen, check_tags=check_tags))
