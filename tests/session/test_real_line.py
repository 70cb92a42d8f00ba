"""Sessions over real sockets that break: resets, half-open lines, silent servers, proxies, and leaving in time."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError

from tests.lines import TcpProxy, http_connect_proxy, tcp_proxy
from tests.session.driving import Talk
from tests.session.test_resend import FRAME_BYTES, covered, numbered
from tests.transport.peers import TEXT, Peer, frame_bytes, http_answer, proper, raw
from xai_realtime import AsyncClient, Reconnect, SessionPolicy, WebSocketTransport
from xai_realtime.emulator import Emulator
from xai_realtime.errors import HandshakeError, TransportTimeoutError
from xai_realtime.events._base import decode_audio
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Reconnected,
    ResponseDone,
    SessionReady,
    SessionWarning,
)
from xai_realtime.realtime.config import Manual
from xai_realtime.realtime.session import RealtimeSession

pytestmark = pytest.mark.anyio

SOON = Reconnect(first_delay_s=0.01, max_delay_s=0.1)
FRAMES = 1_050
RESETS = 10
CANARY = "xai-canary-7Tq2MdK9"


class Counter:
    """A server that configures, pings now and then and takes audio in; `heard` is the audio by connection."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []

    async def got(self, audio: bytes) -> None:
        """Wait until the last connection has had this at the end. The server has a loop of its own."""
        while not self.heard[-1].endswith(audio):  # noqa: ASYNC110
            await anyio.sleep(0.01)

    async def serve(self, peer: ServerConnection) -> None:
        heard = bytearray()
        await peer.send(json.dumps({"type": "session.created", "session": {"id": "s"}}))
        with suppress(ConnectionClosedError):
            async for message in peer:
                await self.take(peer, json.loads(message), heard)

    async def take(self, peer: ServerConnection, event: dict[str, Any], heard: bytearray) -> None:
        """One event of the client."""
        if event["type"] == "session.update":
            self.heard.append(heard)
            await peer.send(json.dumps({"type": "session.updated", "session": {}}))
        elif event["type"] == "input_audio_buffer.append":
            heard += decode_audio(event["audio"])
            if len(heard) % (10 * FRAME_BYTES) == 0:
                await peer.send(json.dumps({"type": "ping", "timestamp": 0}))


@contextmanager
def counting() -> Iterator[tuple[Counter, int]]:
    """Such a server and its port."""
    counter = Counter()
    with proper(counter.serve) as url:
        yield counter, urlsplit(url).port or 0


@asynccontextmanager
async def over(base_url: str, *, transport: WebSocketTransport | None = None, **options: Any) -> AsyncIterator[Talk]:
    """A session over a real socket, that is being read."""
    options.setdefault("policy", SessionPolicy(reconnect=SOON))
    async with AsyncClient(base_url=base_url, api_key=CANARY, transport=transport) as client:
        async with client.realtime.session(**options) as session, anyio.create_task_group() as tasks:
            talk = Talk(session)
            tasks.start_soon(talk.read)
            yield talk
            tasks.cancel_scope.cancel()


async def stream(talk: Talk, audio: bytes) -> None:
    """A microphone, several times as fast as real time."""
    for place in range(0, len(audio), FRAME_BYTES):
        await talk.session.send_audio(audio[place : place + FRAME_BYTES])
        await anyio.sleep(0.002)


async def reset_often(talk: Talk, proxy: TcpProxy) -> None:
    """Reset the line again and again, each time once it is up."""
    for number in range(RESETS):
        await anyio.sleep(0.06)
        proxy.reset()
        while len(talk.of(Reconnected)) <= number:
            await talk.next(Reconnected)


@pytest.mark.behaviour("resend-over-resets", "bug-61")
@pytest.mark.parametrize("is_manual", [False, True], ids=["server VAD", "by hand"])
async def test_no_audio_is_lost_silently_over_ten_resets(live_backend: str, is_manual: bool) -> None:
    audio = numbered(FRAMES)
    options: dict[str, Any] = {"turn_detection": Manual()} if is_manual else {}
    with anyio.fail_after(60), counting() as (counter, port):
        async with tcp_proxy("127.0.0.1", port, delay_ms=50) as proxy:
            async with over(proxy.base_url, **options) as talk:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(stream, talk, audio)
                    tasks.start_soon(reset_often, talk, proxy)
                told = talk.of(Reconnected)
                await counter.got(audio[-FRAME_BYTES:])
            parts = [bytes(heard) for heard in counter.heard]
    assert len(told) == RESETS
    assert sum(event.lost_ms for event in told) == 0
    assert covered(audio, parts) == len(audio), "every byte arrived somewhere, in order"
    if is_manual:
        assert parts[-1] == audio, "no turn was ended, so the last connection has all of it, once"


@pytest.mark.behaviour("resend-over-resets")
async def test_conversation_goes_on_over_a_reset_in_the_middle_of_a_reply(live_backend: str) -> None:
    with anyio.fail_after(20):
        async with Emulator(lambda prompt: f"{prompt.heard} it is and so on", pace="real") as emulator:
            async with tcp_proxy("127.0.0.1", emulator.port, delay_ms=10) as proxy, over(proxy.base_url) as talk:
                await talk.session.send_text("one")
                await talk.until(lambda: len(talk.of(AudioOutput)) > 7)
                proxy.reset()
                assert (await talk.next(ResponseDone)).reason == "connection_lost"
                back = await talk.next(Reconnected)
                assert back.outage_ms < 3000
                await talk.session.send_text("two")
                assert (await talk.next(ResponseDone)).status == "completed"
                items = talk.session.conversation.items
                assert [item.role for item in items] == ["user", "assistant", "user", "assistant"]
                assert proxy.connections == 2


# Half-open lines


@pytest.mark.behaviour("ask-37", "ask-38")
async def test_half_open_line_is_noticed_by_its_pings_and_replaced(live_backend: str) -> None:
    pinging = WebSocketTransport(ping_interval_s=0.1, ping_timeout_s=0.2, close_timeout_s=0.1)
    with anyio.fail_after(10), counting() as (counter, port):
        async with tcp_proxy("127.0.0.1", port, delay_ms=1) as proxy:
            async with over(proxy.base_url, transport=pinging) as talk:
                proxy.stall()
                begun = time.monotonic()
                lost = await talk.next(SessionWarning)
                assert lost.code == "connection_lost"
                assert time.monotonic() - begun < 2
                await talk.session.send_audio(numbered(1))
                proxy.resume()
                assert (await talk.next(Reconnected)).lost_ms == 0
                await counter.got(numbered(1))


@pytest.mark.behaviour("ask-37")
async def test_silent_line_is_left_alone_when_pings_are_off(live_backend: str) -> None:
    silent = WebSocketTransport(ping_interval_s=None, ping_timeout_s=0.1)
    with anyio.fail_after(10), counting() as (counter, port):
        async with tcp_proxy("127.0.0.1", port, delay_ms=1) as proxy:
            async with over(proxy.base_url, transport=silent) as talk:
                proxy.stall()
                await anyio.sleep(0.6)
                proxy.resume()
                await talk.session.send_audio(numbered(1))
                await counter.got(numbered(1))
                assert talk.kinds == ["SessionReady"]
            assert proxy.connections == 1


@pytest.mark.behaviour("bug-62", "session-end-in-time")
async def test_leaving_ends_within_the_time_to_close_when_the_line_is_stalled(live_backend: str) -> None:
    with anyio.fail_after(10), counting() as (_, port):
        async with tcp_proxy("127.0.0.1", port, delay_ms=1) as proxy:
            async with over(proxy.base_url) as talk:
                await talk.next(SessionReady)
                proxy.stall()
                begun = time.monotonic()
            assert time.monotonic() - begun < 2


# Handshakes


async def answered(session: RealtimeSession) -> str:
    """How the next reply ends."""
    async for event in session:
        if isinstance(event, ResponseDone):
            return event.status
    return "the session ended"


@pytest.mark.behaviour("ask-39")
async def test_server_that_accepts_and_never_answers_fails_in_time(live_backend: str) -> None:
    impatient = WebSocketTransport(open_timeout_s=0.3)
    with anyio.fail_after(10), counting() as (_, port):
        async with tcp_proxy("127.0.0.1", port) as proxy:
            proxy.refuse = True
            begun = time.monotonic()
            with pytest.raises(TransportTimeoutError) as caught:
                async with over(proxy.base_url, transport=impatient):
                    pytest.fail("it was entered")
            assert (caught.value.phase, caught.value.timeout_s) == ("open", 0.3)
            assert time.monotonic() - begun < 2


@pytest.mark.behaviour("ask-39")
async def test_server_that_stops_answering_counts_as_an_attempt_each(live_backend: str) -> None:
    impatient = WebSocketTransport(open_timeout_s=0.2)
    policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_attempts=2))
    with anyio.fail_after(10), counting() as (_, port):
        async with tcp_proxy("127.0.0.1", port, delay_ms=1) as proxy:
            async with over(proxy.base_url, transport=impatient, policy=policy) as talk:
                proxy.refuse = True
                proxy.reset()
                assert isinstance(await talk.ended(), TransportTimeoutError)
            assert proxy.connections == 3


@pytest.mark.behaviour("ask-40")
async def test_session_goes_through_a_proxy_that_it_is_given_also_when_it_reconnects(live_backend: str) -> None:
    with anyio.fail_after(10), counting() as (_, port):
        async with http_connect_proxy() as proxy:
            through = WebSocketTransport(proxy=proxy.url)
            async with over(f"http://127.0.0.1:{port}/v1", transport=through) as talk:
                await talk.session.restart()
                await talk.next(Reconnected)
            assert proxy.targets == [f"127.0.0.1:{port}"] * 2
            assert not any(CANARY.encode() in head for head in proxy.heads)


@pytest.mark.behaviour("ask-43")
async def test_session_opens_with_a_client_secret_in_the_place_of_the_key(live_backend: str) -> None:
    with anyio.fail_after(20):
        async with Emulator(pace="instant") as emulator, emulator.client() as client:
            secret = await client.realtime.client_secret(expires_in_s=60)
            async with AsyncClient(base_url=emulator.url) as browser:
                async with browser.realtime.connect(client_secret=secret, as_subprotocol=True) as connection:
                    assert connection.subprotocol == f"xai-client-secret.{secret.value}"
                async with browser.realtime.session(client_secret=secret) as session:
                    await session.send_text("hello")
                    assert await answered(session) == "completed"


@pytest.mark.behaviour("ask-41", "no-secret-in-errors")
async def test_key_is_in_no_error_and_no_log_when_the_server_repeats_it_at_the_next_handshake(
    live_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    requests: list[bytes] = []

    def serve_once(peer: Peer) -> None:
        requests.append(peer.read_request())
        if len(requests) == 1:
            events = ({"type": "session.created", "session": {}}, {"type": "session.updated", "session": {}})
            peer.send(peer.accept() + b"".join(frame_bytes(TEXT, json.dumps(event).encode()) for event in events))
            peer.sock.recv(1)
        else:
            body = json.dumps({"code": "unauthorized", "error": f"wrong key {CANARY}"}).encode()
            peer.send(http_answer("401 Unauthorized", body))

    with caplog.at_level(logging.DEBUG), anyio.fail_after(10), raw(serve_once) as url:
        async with over(f"http://127.0.0.1:{urlsplit(url).port}/v1") as talk:
            error = await talk.ended()
    assert isinstance(error, HandshakeError)
    assert error.status == 401
    assert CANARY.encode() in requests[1]
    seen = [*traceback.format_exception(error), repr(error), repr(vars(error)), repr(talk.told), repr(talk.session)]
    assert CANARY not in "\n".join([*seen, *(record.getMessage() for record in caplog.records)])
