"""The live line against servers that break rules, flood or go away: stated bounds hold and errors are ours."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
import zlib
from collections.abc import Callable
from queue import Queue
from typing import Any

import anyio
import pytest

from tests.transport.peers import BINARY, CLOSE, CONT, TEXT, Peer, frame_bytes, taken, talk
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConnectionBrokenError,
    MessageTooLargeError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport._websocket_line import MAX_FRAGMENTS
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("live_backend")]

Start = Callable[[Callable[[Peer], None]], str]
KEY = "xai-canary-0123456789abcdef"
TOKEN = "tok-canary-0123456789abcdef"


def keyed(url: str) -> ChannelRequest:
    return ChannelRequest(
        f"{url}?access_token={TOKEN}",
        headers={"Authorization": f"Bearer {KEY}"},
        subprotocols=(f"xai-client-secret.{KEY}",),
    )


async def ends(url: str, kind: type[Exception], *, after: int = 0, **settings: Any) -> Any:
    """How a line ends after some messages; the same at the next call."""
    with anyio.fail_after(5):
        async with WebSocketTransport(**{"close_timeout_s": 0.1, **settings}).open(keyed(url)) as channel:
            for _ in range(after):
                await channel.receive()
            for _ in range(2):
                with pytest.raises(kind) as caught:
                    await channel.receive()
                assert type(caught.value) is kind
    assert "canary" not in str(caught.value)
    return caught.value


@pytest.mark.behaviour("ws-broken")
async def test_receive_says_broken_when_the_stream_ends_without_a_close(raw_server: Start) -> None:
    error = await ends(raw_server(talk(frame_bytes(TEXT, b"{}"), hold=False)), ConnectionBrokenError, after=1)
    assert (error.code, error.reason) == (None, "the stream ended without a close frame")


@pytest.mark.behaviour("ws-broken")
async def test_receive_says_broken_when_a_frame_is_cut(raw_server: Start) -> None:
    cut = frame_bytes(TEXT, b"whole") + frame_bytes(TEXT, b"x" * 1000)[:500]
    await ends(raw_server(talk(cut, hold=False)), ConnectionBrokenError, after=1)


@pytest.mark.behaviour("ws-broken")
async def test_receive_says_broken_when_the_connection_is_reset(raw_server: Start) -> None:
    def script(peer: Peer) -> None:
        peer.send(peer.accept())
        peer.sock.recv(65536)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.sock.close()

    url = raw_server(script)
    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(url)) as channel:
            await channel.send(Frame(b"{}"))
            for _ in range(2):
                with pytest.raises(ConnectionBrokenError) as caught:
                    await channel.receive()
            assert caught.value.code is None
            assert caught.value.reason
            with pytest.raises(ConnectionBrokenError):
                await channel.send(Frame(b"{}"))


@pytest.mark.behaviour("ws-broken")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame_bytes(3, b"reserved"), "opcode"),
        (frame_bytes(CONT, b"of nothing"), "continuation"),
        (frame_bytes(TEXT, b"a", fin=False) + frame_bytes(TEXT, b"b"), "continuation"),
        (frame_bytes(TEXT, b"a", rsv1=True), "reserved"),
        (frame_bytes(CLOSE, b"\x03"), "close frame too short"),
        (frame_bytes(CLOSE, b"\x03\xe8\xff\xfe"), ""),
        (frame_bytes(9, b"x" * 200), "control frame"),
        (b"\x81\x85masked", "mask"),
    ],
)
async def test_receive_says_what_rule_was_broken_when_the_server_breaks_one(
    raw_server: Start, data: bytes, text: str
) -> None:
    error = await ends(raw_server(talk(frame_bytes(TEXT, b"{}") + data)), ConnectionBrokenError, after=1)
    assert error.code is None
    assert "broke the WebSocket protocol" in error.reason
    assert text in error.reason


@pytest.mark.behaviour("ws-keepalive")
async def test_receive_says_so_when_no_ping_is_answered(raw_server: Start) -> None:
    settings: dict[str, Any] = {"ping_interval_s": 0.05, "ping_timeout_s": 0.05}
    error = await ends(raw_server(talk(b"")), ConnectionBrokenError, **settings)
    assert error.reason == "no answer to a keepalive ping within 0.05 s"


@pytest.mark.behaviour("ws-bad-utf8")
async def test_receive_delivers_the_bytes_when_text_is_no_utf8(raw_server: Start) -> None:
    data = frame_bytes(TEXT, b"\xff\xfe") + frame_bytes(TEXT, b"{}")
    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=0.1).open(ChannelRequest(raw_server(talk(data)))) as channel:
            assert await channel.receive() == Frame(b"\xff\xfe")
            assert await channel.receive() == Frame(b"{}")


@pytest.mark.behaviour("ws-close-kinds")
async def test_receive_tells_no_code_when_the_close_frame_is_empty(raw_server: Start) -> None:
    error = await ends(raw_server(talk(frame_bytes(CLOSE))), ClosedByServerError)
    assert (error.code, error.reason) == (None, "")


@pytest.mark.behaviour("ws-no-secrets")
async def test_receive_hides_the_key_when_the_servers_reason_repeats_it(raw_server: Start) -> None:
    error = await ends(raw_server(talk(frame_bytes(CLOSE, b"\x0f\xa0bad key " + KEY.encode()))), ClosedByServerError)
    assert error.reason == "bad key [redacted]"


@pytest.mark.behaviour("ws-endless-close")
@pytest.mark.parametrize("ping_interval_s", [None, 20.0])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (frame_bytes(CLOSE, b"\x03\xe8bye"), ClosedByServerError),
        (struct.pack("!BBQ", 0x81, 127, 2**40), MessageTooLargeError),
        (frame_bytes(3), ConnectionBrokenError),
    ],
    ids=["closed", "too-large", "breach"],
)
async def test_receive_ends_in_bounded_time_when_the_server_never_ends_the_connection(
    raw_server: Start, data: bytes, kind: type[Exception], ping_interval_s: float | None
) -> None:
    def script(peer: Peer) -> None:
        peer.send(peer.accept() + data)
        while not peer.stopping.is_set():
            peer.send(frame_bytes(TEXT, b"more"))
            peer.stopping.wait(0.01)

    before = time.monotonic()
    await ends(raw_server(script), kind, ping_interval_s=ping_interval_s, close_timeout_s=0.2)
    assert time.monotonic() - before > 0.15


@pytest.mark.behaviour("ws-endless-close")
async def test_aclose_ends_in_bounded_time_when_the_server_does_not_answer_it(raw_server: Start) -> None:
    def script(peer: Peer) -> None:
        peer.send(peer.accept())
        while not peer.stopping.is_set():
            peer.send(frame_bytes(TEXT, b"more") * 100)

    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=0.2).open(ChannelRequest(raw_server(script))) as channel:
            await channel.receive()
            with anyio.fail_after(3):
                await channel.aclose()
            with pytest.raises(ClosedByUsError):
                while True:
                    await channel.receive()


@pytest.mark.behaviour("ws-endless-close")
async def test_leaving_ends_in_bounded_time_when_a_send_is_stuck_and_cancelled(raw_server: Start) -> None:
    frame = Frame(b"x" * 4_000_000, is_text=False)
    with anyio.fail_after(5):
        with anyio.move_on_after(0.1) as scope:
            async with WebSocketTransport(close_timeout_s=0.2).open(ChannelRequest(raw_server(talk(b"")))) as channel:
                while True:
                    await channel.send(frame)
    assert scope.cancelled_caught


@pytest.mark.behaviour("ws-cancel-send")
async def test_line_carries_only_whole_frames_when_a_send_is_cancelled_half_way(
    raw_server: Start, anyio_backend: str
) -> None:
    heard: Queue[bytes] = Queue()

    def script(peer: Peer) -> None:
        peer.send(peer.accept())
        peer.stopping.wait(0.2)
        heard.put(peer.read_to_end())

    url = raw_server(script)
    frame = Frame(b"x" * 8_000_000, is_text=False)
    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=0.3).open(ChannelRequest(url)) as channel:
            with anyio.move_on_after(0.05):
                await channel.send(frame)
            if anyio_backend == "trio":
                for use in (channel.receive, lambda: channel.send(frame)):
                    with pytest.raises(ConnectionBrokenError, match="a send was cancelled half way"):
                        await use()
            else:
                with anyio.move_on_after(0.05):
                    await channel.send(frame)
        data = await taken(heard)
    opcodes = []
    while len(data) >= 14:
        opcodes.append(data[0] & 15)
        short = data[1] & 127
        size = struct.unpack("!Q", data[2:10])[0] + 14 if short == 127 else short + 6
        data = data[size:]
    assert set(opcodes) <= {BINARY, CLOSE}
    assert BINARY in opcodes


@pytest.mark.behaviour("ws-fragment-flood")
@pytest.mark.parametrize("is_reading", [True, False])
async def test_receive_refuses_when_a_message_has_100000_fragments(raw_server: Start, is_reading: bool) -> None:
    flood = frame_bytes(TEXT, b"{}") + frame_bytes(TEXT, b"", fin=False) + frame_bytes(CONT, b"", fin=False) * 100_000
    url = raw_server(talk(flood + frame_bytes(CONT) + frame_bytes(TEXT, b"after")))
    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=0.1).open(ChannelRequest(url)) as channel:
            if not is_reading:
                await anyio.sleep(0.3)
            assert await channel.receive() == Frame(b"{}")
            with pytest.raises(MessageTooLargeError) as caught:
                await channel.receive()
    assert caught.value.reason == f"more than {MAX_FRAGMENTS} fragments"


async def test_receive_joins_when_a_message_has_as_many_fragments_as_allowed(raw_server: Start) -> None:
    parts = [frame_bytes(BINARY, b"a", fin=False), *[frame_bytes(CONT, b"b", fin=False)] * (MAX_FRAGMENTS - 2)]
    data = b"".join([*parts, frame_bytes(CONT, b"c")])
    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=0.1).open(ChannelRequest(raw_server(talk(data)))) as channel:
            assert await channel.receive() == Frame(b"a" + b"b" * (MAX_FRAGMENTS - 2) + b"c", is_text=False)


@pytest.mark.behaviour("ws-deflate-bomb")
async def test_receive_refuses_when_a_small_message_unpacks_to_more_than_the_limit(raw_server: Start) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (packer.compress(bytes(64 * 1024 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(bomb) < 100_000
    url = raw_server(talk(frame_bytes(TEXT, bomb, rsv1=True), "Sec-WebSocket-Extensions: permessage-deflate"))
    error = await ends(url, MessageTooLargeError, compression=True, max_message_bytes=1_000_000)
    assert error.limit_bytes == 1_000_000
    assert error.size_bytes is None


@pytest.mark.behaviour("ws-backpressure")
async def test_line_stops_reading_when_nobody_receives(raw_server: Start) -> None:
    sent: Queue[int] = Queue()

    def script(peer: Peer) -> None:
        peer.send(peer.accept())
        message = frame_bytes(BINARY, bytes(100_000))
        peer.sock.settimeout(0.3)
        count = 0
        try:
            while count < 2000:
                peer.send(message)
                count += 1
        except TimeoutError:
            sent.put(count)
            peer.hold()

    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=0.1).open(ChannelRequest(raw_server(script))):
            assert 0 < await taken(sent) < 500


@pytest.mark.behaviour("ws-native-cancel")
async def test_leaving_aborts_at_once_when_an_asyncio_task_is_cancelled_while_closing(
    raw_server: Start, anyio_backend: str
) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("only asyncio cancels a task in spite of a shield")
    closing = asyncio.Event()
    url = raw_server(talk(b""))

    async def use() -> None:
        async with WebSocketTransport(close_timeout_s=60).open(ChannelRequest(url)) as channel:
            closing.set()
            await channel.aclose()

    with anyio.fail_after(5):
        task = asyncio.create_task(use())
        await closing.wait()
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
