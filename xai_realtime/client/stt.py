"""Speech to text: `client.stt`. In: options, audio. Out: streams, transcripts. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from xai_realtime.client._dialing import Dialing

if TYPE_CHECKING:
    from xai_realtime.protocol.stt_policy import SttPolicy
    from xai_realtime.stt.config import SttConfig, SttSettings
    from xai_realtime.stt.result import SttResult
    from xai_realtime.stt.stream import SttStream
    from xai_realtime.stt.transcribe import TranscribeSettings
    from xai_realtime.stt.upload import AudioSource, Progress

__all__ = ["Stt"]


class Stt:
    """Speech to text: `client.stt`."""

    def __init__(self, dialing: Dialing) -> None:
        self._dialing = dialing

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
    ) -> SttStream:
        """A transcription while the audio comes: `async with client.stt.stream(sample_rate=16_000) as stt`.

        `settings` are those of SttConfig, laid over `config`; `policy` says how the stream behaves. With
        `source_rate_hz` or `source_channels` the audio you give is PCM16 of that rate and those channels, and is
        converted. Entering waits until the recogniser listens, unless `wait_until_ready=False`: then what you send is
        held. `url` replaces the whole address, the settings excepted; `query` adds what the settings do not know.

        A connection that does not come about for a reason that may pass (429, 5xx, none at all, no
        `transcript.created`) is tried again as `policy.reconnect` says, the first one too.

        Raises ConfigurationError at once; entering raises HandshakeError, ConnectError, TransportTimeoutError,
        ServiceError. Source: docs.x.ai stt-streaming.ws.json.
        """
        from xai_realtime.protocol.stt_policy import SttPolicy
        from xai_realtime.stt.config import stream_config, with_extras
        from xai_realtime.stt.stream import SttStream

        made = stream_config(config, settings)
        asked = with_extras(made.query(), query)
        request = self._dialing.socket("stt", "stt", asked, url=url, api_key=api_key, headers=headers)
        transport = self._dialing.transport
        return SttStream(
            lambda: transport.open(request),
            made,
            policy or SttPolicy(),
            source_rate_hz=source_rate_hz,
            source_channels=source_channels,
            waits_until_ready=wait_until_ready,
        )

    async def transcribe(
        self,
        source: AudioSource,
        *,
        progress: Progress | None = None,
        timeout_s: float | None = None,
        retries: int = 0,
        url: str | None = None,
        query: Mapping[str, str] | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **settings: Unpack[TranscribeSettings],
    ) -> SttResult:
        """The transcript of a whole file: `(await client.stt.transcribe("call.wav", diarize=True)).text`.

        `source` is a path, bytes, a file that is open for reading bytes (from where it stands), an asynchronous
        iterator of bytes, or the text of an http or https address, from which the service fetches the file itself.
        Files are read in threads, a piece at a time while they are sent, so that their size costs no memory.
        `progress` is called with the bytes of the file that are sent and those there are (None: not known); what it
        raises ends the upload and surfaces. `timeout_s` is how long the service may be silent once it has the file, 15
        minutes unless you say otherwise. `retries` are further attempts after 429, 503 and a connection that did not
        come about, after the time the service states (up to a minute) or a growing one; a source that cannot be read
        again is sent once. `settings` are those of TranscribeSettings. `url`, `query`, `api_key` and `headers` are
        where it is sent, and with what.

        Cancelling is safe and closes what was opened. Raises ConfigurationError before anything is sent, also for a
        file that is empty or over 500 MB; OSError for a file that cannot be read; what an iterator raises;
        AuthenticationError, PermissionDeniedError, RateLimitError, ServerError (502: the address could not be fetched)
        or another ApiError for an answer that says no (413: too large);
        RemoteProtocolError for an answer that is no transcript; ConnectError, ConnectionBrokenError,
        TransportTimeoutError. Source: docs.x.ai, voice reference.
        """
        from xai_realtime.stt.transcribe import TRANSCRIBE_TIMEOUT_S, form_fields, transcribe_file

        fields = form_fields(settings)
        address, named = self._dialing.web("stt", query or {}, url=url, api_key=api_key, headers=headers)
        return await transcribe_file(
            self._dialing.transport,
            address,
            named,
            source,
            fields,
            progress=progress,
            timeout_s=TRANSCRIBE_TIMEOUT_S if timeout_s is None else timeout_s,
            retries=retries,
        )
