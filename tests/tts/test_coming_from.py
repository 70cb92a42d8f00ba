"""What people bring along from pipecat's and videosdk's text to speech, said to a speech: `docs/coming-from.md`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest

from tests.http.peers import KEY
from tests.tapes import on
from tests.tts.driving import BACKENDS, audio, gather, listen, mouth, run, served, writing
from tests.tts.spoken import answering, body_of
from xai_realtime import AsyncClient, HttpTransport, WebSocketTransport
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    ClosedByServerError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    ServiceError,
)
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.memory import memory_pair

TEXT = "One two three four five."
PCM = {"content-type": "audio/pcm"}
ALWAYS = {"voice": ["eve"], "language": ["auto"], "codec": ["pcm"], "sample_rate": ["24000"]}


def asked(request: ChannelRequest) -> dict[str, list[str]]:
    return parse_qs(urlsplit(request.url).query)


# Before anything is sent


@pytest.mark.behaviour("speech-key-is-missed-at-once")
@BACKENDS
def test_speech_without_a_key_is_refused_before_anything_is_sent(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    client = AsyncClient()
    with pytest.raises(ValueError, match="XAI_API_KEY") as caught:
        client.tts.stream(TEXT)
    assert isinstance(caught.value, ConfigurationError)
    with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
        client.tts.synthesis(TEXT)

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
            await client.tts.synthesize(TEXT)

    run(main, backend)


async def handshake_of(base: dict[str, Any], **options: Any) -> ChannelRequest:
    """What a speech asks for when it opens its socket."""
    line, door = memory_pair()
    client = AsyncClient(transport=line, api_key="xai-key", default_headers={"X-Team": "blue"}, **base)
    async with client, anyio.create_task_group() as tasks:
        tasks.start_soon(gather, client.tts.stream(TEXT, **options))
        with anyio.fail_after(5):
            request, _ = await door.accept()
        tasks.cancel_scope.cancel()
    return request


@pytest.mark.parametrize(
    ("base", "options", "url"),
    [
        ({}, {}, "wss://api.x.ai/v1/tts"),
        ({"base_url": "http://127.0.0.1:8765/v1"}, {}, "ws://127.0.0.1:8765/v1/tts"),
        ({}, {"url": "wss://eu.test/v1/tts", "api_key": "k"}, "wss://eu.test/v1/tts"),
    ],
)
@BACKENDS
def test_address_and_headers_of_a_speech_are_those_of_the_client_unless_the_call_names_others(
    backend: str, base: dict[str, Any], options: dict[str, Any], url: str
) -> None:
    async def main() -> None:
        request = await handshake_of(base, **options)
        assert request.url.partition("?")[0] == url
        assert asked(request) == ALWAYS
        key = options.get("api_key", "xai-key")
        assert request.headers == {"X-Team": "blue", "Authorization": f"Bearer {key}"}

    run(main, backend)


@pytest.mark.parametrize(
    ("options", "url"),
    [({}, "https://api.x.ai/v1/tts"), ({"url": "https://eu.test/say?a=b", "api_key": "k"}, "https://eu.test/say?a=b")],
)
@BACKENDS
def test_address_and_headers_over_http_are_those_of_the_client_unless_the_call_names_others(
    backend: str, options: dict[str, Any], url: str
) -> None:
    client, requests = answering((200, PCM, [b"ab"]))
    on(backend, lambda: client.tts.synthesize(TEXT, **options))
    (request,) = requests
    assert (request.method, request.url) == ("POST", url)
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == f"Bearer {options.get('api_key', KEY)}"


class OfTheUser(httpx2.AsyncBaseTransport):
    """A transport of HTTP that its user opens and closes."""

    def __init__(self) -> None:
        self.answered = 0
        self.is_closed = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.answered += 1
        return httpx2.Response(200, headers=PCM, content=b"ab")

    async def aclose(self) -> None:
        self.is_closed = True


@BACKENDS
def test_speech_goes_over_an_http_transport_of_the_user_and_leaves_it_open(backend: str) -> None:
    async def main() -> None:
        given = OfTheUser()
        for number in (1, 2):
            transport = WebSocketTransport(http=HttpTransport(httpx2_transport=given))
            async with AsyncClient(transport=transport, api_key=KEY) as client:
                assert (await client.tts.synthesize(TEXT)).audio == b"ab"
            assert (given.answered, given.is_closed) == (number, False)

    run(main, backend)


@pytest.mark.behaviour("speech-settings-as-given")
@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, {}),
        ({"voice": "ARA"}, {"voice": ["ara"]}),
        ({"voice": "Ab12Cd34"}, {"voice": ["Ab12Cd34"]}),
        ({"language": "en"}, {"language": ["en"]}),
        ({"language": "pt-BR"}, {"language": ["pt-BR"]}),
        ({"language": "en-US"}, {"language": ["en-US"]}),
        ({"codec": "alaw", "sample_rate": 8_000}, {"codec": ["alaw"], "sample_rate": ["8000"]}),
        ({"speed": 1.5}, {"speed": ["1.5"]}),
        ({"latency": 2}, {"optimize_streaming_latency": ["2"]}),
        ({"latency": 0}, {"optimize_streaming_latency": ["0"]}),
        ({"text_normalization": True}, {"text_normalization": ["true"]}),
        ({"text_normalization": False}, {"text_normalization": ["false"]}),
        ({"timestamps": True}, {"with_timestamps": ["true"]}),
    ],
    ids=str,
)
@BACKENDS
def test_speech_asks_for_what_was_given_and_for_nothing_else(
    backend: str, settings: dict[str, Any], more: dict[str, Any]
) -> None:
    async def main() -> None:
        assert asked(await handshake_of({}, **settings)) == {**ALWAYS, **more}

    run(main, backend)


@pytest.mark.behaviour("speech-settings-as-given")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sample_rate": 11_025}, "sample_rate is 11025; allowed are 8000, 16000, 22050, 24000, 44100, 48000"),
        ({"codec": "opus"}, "codec is 'opus'; allowed are 'pcm', 'mulaw', 'alaw', 'mp3', 'wav'"),
        ({"codec": None}, "codec is None"),
        ({"latency": 3}, "latency is 3; allowed are 0, 1, 2"),
        ({"speed": 2}, "speed is 2; numbers from 0.7 to 1.5"),
        ({"language": None}, "language is None"),
        ({"voice": ""}, "voice is ''"),
        ({"model": "x"}, "setting 'model' is not known"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@BACKENDS
def test_setting_that_is_not_allowed_is_refused_before_anything_is_sent(
    backend: str, settings: dict[str, Any], words: str
) -> None:
    client, requests = answering((200, PCM, [b"ab"]))
    for make in (client.tts.stream, client.tts.synthesis):
        with pytest.raises(ValueError, match=words) as caught:
            make(TEXT, **settings)
        assert isinstance(caught.value, ConfigurationError)
    with pytest.raises(ConfigurationError, match=words):
        on(backend, lambda: client.tts.synthesize(TEXT, **settings))
    assert requests == []


# Speaking


@BACKENDS
def test_text_goes_out_as_it_is_with_its_tags(backend: str) -> None:
    text = "So I walked in and [pause] there it was. <whisper>It is a secret.</whisper> 7 °C!"
    client, requests = answering((200, PCM, [b"ab"]))
    on(backend, lambda: client.tts.synthesize(text))
    assert body_of(requests[0])["text"] == text

    async def main() -> None:
        async with mouth(pace="instant") as talk:
            await gather(talk.stream(text))
            assert talk.wire.text() == text
            await gather(talk.stream(writing("One.", "Two. ", " Three.")))
            assert talk.wire.text() == text + "One.Two.  Three."

    run(main, backend)


@pytest.mark.behaviour("bug-58")
@pytest.mark.parametrize("has_audio", [False, True])
@BACKENDS
def test_speech_ends_with_an_error_when_the_line_closes_while_its_text_is_still_written(
    backend: str, has_audio: bool
) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.delta")
        if has_audio:
            await peer.say(audio(b"ab"))

    async def main() -> None:
        async with served(handler) as talk:
            text = writing("One two. ", *["Three. "] * 100, pause_s=1)
            got: list[bytes] = []
            with anyio.fail_after(30), pytest.raises(ClosedByServerError):
                async for chunk in talk.stream(text):
                    got.append(chunk)
            assert got == ([b"ab"] if has_audio else [])
            assert anyio.current_time() < 5
            await anyio.sleep(5)
            assert text.closed_s is not None
            assert text.closed_s < 5

    run(main, backend)


@BACKENDS
def test_socket_that_told_an_error_is_not_used_again(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        if peer.conn == 1:
            await peer.say({"type": "error", "message": "no such thing"})
        await peer.say(audio(b"ab"), {"type": "audio.done"})
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            with pytest.raises(ServiceError, match="no such thing"):
                await gather(talk.stream(TEXT))
            assert await gather(talk.stream(TEXT)) == b"ab"
            assert len(talk.wire.requests) == 2

    run(main, backend)


@pytest.mark.behaviour("tts-passes-over-what-is-no-event")
@BACKENDS
def test_messages_of_any_shape_are_passed_over_and_not_shown(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    odd = [b"{CANARY", b"[1]", b"7", b"null", b'{"type": 5, "delta": "CANARY"}', b'{"no_type": "CANARY"}']

    async def handler(peer: Any) -> None:
        await peer.until("text.done")
        await peer.say(*odd, audio(b"ab"), *odd, audio(b"cd"), *odd, {"type": "audio.done"})
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            assert await gather(talk.stream(TEXT)) == b"abcd"
            assert len(talk.wire.requests) == 1

    run(main, backend)
    assert "CANARY" not in caplog.text


@pytest.mark.behaviour("bug-59")
@BACKENDS
def test_words_of_an_interrupted_speech_are_not_among_those_of_the_next(backend: str) -> None:
    async def main() -> None:
        async with mouth(timestamps_alone=True) as talk:
            first = talk.stream("Unfinished business of yesterday.", timestamps=True)
            async for piece in first.pieces():
                if piece.characters:
                    await first.interrupt()
            assert first.characters
            second = talk.stream("Hello there.", timestamps=True)
            assert listen(await gather(second), second.config) == "Hello there."
            assert [word.text for word in second.words] == ["Hello", "there."]
            assert second.words[0].start_s == pytest.approx(0, abs=0.05)
            assert len(talk.wire.requests) == 1

    run(main, backend)


class Unreachable(Transport):
    """The emulator, which nothing reaches at first."""

    needs_key = False

    def __init__(self) -> None:
        self._inner = Emulator(seed=1, pace="instant").transport()
        self.tries = 0

    def open(self, request: ChannelRequest) -> Any:
        self.tries += 1
        if self.tries == 1:
            raise ConnectError("no such host")
        return self._inner.open(request)


@BACKENDS
def test_speech_tells_that_nothing_can_be_reached_and_the_next_one_dials_again(backend: str) -> None:
    async def main() -> None:
        async with mouth(inner=Unreachable()) as talk:
            with pytest.raises(ConnectError, match="no such host"):
                await gather(talk.stream(TEXT))
            assert await talk.heard(TEXT) == TEXT

    run(main, backend)


class ClosesBadly(Transport):
    """The emulator, on lines whose ends fail."""

    needs_key = False

    def __init__(self, error: Exception) -> None:
        self._inner = Emulator(seed=1, pace="instant").transport()
        self._error = error
        self.closed = 0

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        try:
            async with self._inner.open(request) as channel:
                yield channel
        finally:
            self.closed += 1
            raise self._error


@pytest.mark.parametrize("error", [ConnectionBrokenError(None, "the end failed"), OSError("the end failed")], ids=repr)
@BACKENDS
def test_error_of_closing_a_socket_spoils_no_speech(backend: str, error: Exception) -> None:
    async def main() -> None:
        transport = ClosesBadly(error)
        async with mouth(inner=transport) as talk:
            for voice in ("eve", "ara", "rex", "sal", "leo", "eve"):
                assert await talk.heard(TEXT, voice=voice) == TEXT
            assert transport.closed > 0
        assert transport.closed == len(talk.wire.requests)

    run(main, backend)
