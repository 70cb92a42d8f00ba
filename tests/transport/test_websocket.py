"""The live line against a proper server: what goes over it, how it ends, and what cancelling does."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from queue import Queue
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from tests.transport.peers import taken
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    LocalProtocolError,
    MessageTooLargeError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("live_backend")]

Start = Callable[..., str]
KEY = "xai-canary-0123456789abcdef"


async def echo(peer: ServerConnection) -> None:
    async for message in peer:
        await peer.send(message)


async def silent(peer: ServerConnection) -> None:
    await peer.wait_closed()


@pytest.mark.behaviour("ws-text-and-binary")
async def test_channel_tells_text_from_binary_when_both_are_echoed(server: Start) -> None:
    frames = [Frame("grüße".encode()), Frame(b"\x00\xff", is_text=False), Frame(b""), Frame(b"", is_text=False)]
    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(echo))) as channel:
            for frame in frames:
                await channel.send(frame)
            assert [await channel.receive() for _ in frames] == frames


@pytest.mark.behaviour("ws-text-and-binary")
async def test_channel_keeps_kinds_in_step_when_messages_are_fragmented_and_queued(server: Start) -> None:
    async def talk(peer: ServerConnection) -> None:
        for number in range(8):
            await peer.send(f"text {number}")
            await peer.send([b"bin", b"ary", b"!"])
            await peer.send(["frag", "ment"])
            await peer.ping()
            await peer.send(b"\x01")

    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(talk))) as channel:
            frames = []
            with pytest.raises(ClosedByServerError):
                while True:
                    frames.append(await channel.receive())
    assert frames == [
        frame
        for number in range(8)
        for frame in (
            Frame(f"text {number}".encode()),
            Frame(b"binary!", is_text=False),
            Frame(b"fragment"),
            Frame(b"\x01", is_text=False),
        )
    ]


@pytest.mark.behaviour("ws-handshake-carries")
async def test_open_sends_headers_subprotocols_and_query_when_given(server: Start) -> None:
    seen: list[Any] = []

    async def note(peer: ServerConnection) -> None:
        seen.append(peer.request)
        await peer.wait_closed()

    request = ChannelRequest(
        server(note, subprotocols=["realtime"]) + "?model=grok-voice-latest",
        headers={"Authorization": f"Bearer {KEY}", "X-Trace": "7"},
        subprotocols=("realtime", "other"),
    )
    with anyio.fail_after(5):
        async with WebSocketTransport(user_agent="probe/1").open(request) as channel:
            assert channel.subprotocol == "realtime"
    (got,) = seen
    assert got.path == "/v1/realtime?model=grok-voice-latest"
    assert got.headers["Authorization"] == f"Bearer {KEY}"
    assert got.headers["X-Trace"] == "7"
    assert got.headers["User-Agent"] == "probe/1"
    assert "Sec-WebSocket-Extensions" not in got.headers


async def test_open_offers_deflate_only_when_compression_is_on(server: Start) -> None:
    offers: list[bool] = []

    async def note(peer: ServerConnection) -> None:
        assert peer.request is not None
        offers.append("permessage-deflate" in peer.request.headers.get("Sec-WebSocket-Extensions", ""))
        await echo(peer)

    with anyio.fail_after(5):
        for compression in (False, True):
            async with WebSocketTransport(compression=compression).open(ChannelRequest(server(note))) as channel:
                await channel.send(Frame(b"a" * 500))
                assert await channel.receive() == Frame(b"a" * 500)
    assert offers == [False, True]


@pytest.mark.behaviour("ws-close-kinds")
@pytest.mark.parametrize(("code", "reason"), [(1000, "done"), (1001, ""), (1008, "no"), (4000, "own"), (1009, "big")])
async def test_receive_tells_code_and_reason_when_the_server_closes(server: Start, code: int, reason: str) -> None:
    async def leave(peer: ServerConnection) -> None:
        await peer.send("last words")
        await peer.close(code, reason)

    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(leave))) as channel:
            assert await channel.receive() == Frame(b"last words")
            for _ in range(2):
                with pytest.raises(ClosedByServerError) as caught:
                    await channel.receive()
                assert type(caught.value) is ClosedByServerError
                assert (caught.value.code, caught.value.reason) == (code, reason)
            with pytest.raises(ClosedByServerError):
                await channel.send(Frame(b"{}"))


@pytest.mark.behaviour("ws-close-kinds")
async def test_receive_first_delivers_what_came_when_a_send_finds_the_line_closed(server: Start) -> None:
    async def leave(peer: ServerConnection) -> None:
        for number in range(5):
            await peer.send(str(number))

    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(leave))) as channel:
            assert await channel.receive() == Frame(b"0")
            with pytest.raises(ClosedByServerError):
                while True:
                    await channel.send(Frame(b"{}"))
                    await anyio.lowlevel.checkpoint()
            assert [(await channel.receive()).data for _ in range(4)] == [b"1", b"2", b"3", b"4"]
            with pytest.raises(ClosedByServerError):
                await channel.receive()


@pytest.mark.behaviour("ws-close-kinds")
async def test_channel_says_we_closed_when_used_after_its_own_close(server: Start) -> None:
    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(silent))) as channel:
            await channel.aclose(4001, "enough")
            await channel.aclose()
            for _ in range(2):
                with pytest.raises(ClosedByUsError) as caught:
                    await channel.receive()
                assert (caught.value.code, caught.value.reason) == (4001, "enough")
            with pytest.raises(ClosedByUsError):
                await channel.send(Frame(b"{}"))


@pytest.mark.behaviour("ws-close-sends-frame")
async def test_leaving_sends_an_ordinary_close_when_the_body_ends_fails_or_is_cancelled(server: Start) -> None:
    codes: Queue[int | None] = Queue()

    async def note(peer: ServerConnection) -> None:
        await peer.wait_closed()
        codes.put(peer.close_code)

    transport = WebSocketTransport()
    with anyio.fail_after(5):
        url = server(note)
        async with transport.open(ChannelRequest(url)):
            pass
        with pytest.raises(KeyError):
            async with transport.open(ChannelRequest(url)):
                raise KeyError("body")
        with anyio.CancelScope() as scope:
            async with transport.open(ChannelRequest(url)):
                scope.cancel()
                await anyio.sleep_forever()
        assert [await taken(codes) for _ in range(3)] == [1000, 1000, 1000]


@pytest.mark.behaviour("ws-errors-pass-unwrapped")
async def test_leaving_passes_the_error_unchanged_when_the_body_raises_a_group(server: Start) -> None:
    group = ExceptionGroup("two", [KeyError("one"), ValueError("other")])
    with anyio.fail_after(5):
        with pytest.raises(ExceptionGroup) as caught:
            async with WebSocketTransport().open(ChannelRequest(server(silent))):
                raise group
    assert caught.value is group


@pytest.mark.behaviour("ws-cancel-receive")
async def test_receive_loses_nothing_when_cancelled_over_and_over(server: Start) -> None:
    async def talk(peer: ServerConnection) -> None:
        for number in range(200):
            await peer.send([str(number), "."] if number % 3 else str(number))
            if number % 7 == 0:
                await asyncio.sleep(0.0005)

    got: list[bytes] = []
    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(talk))) as channel:
            with pytest.raises(ClosedByServerError):
                while True:
                    with anyio.move_on_after(0.0002):
                        got.append((await channel.receive()).data)
    assert got == [f"{number}{'.' if number % 3 else ''}".encode() for number in range(200)]


async def test_receive_refuses_when_another_task_is_receiving(server: Start) -> None:
    with anyio.fail_after(5):
        async with (
            WebSocketTransport().open(ChannelRequest(server(silent))) as channel,
            anyio.create_task_group() as tasks,
        ):

            async def receive() -> None:
                with pytest.raises(ClosedByUsError):
                    await channel.receive()

            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(LocalProtocolError, match="already receiving"):
                await channel.receive()
            await channel.aclose()


@pytest.mark.behaviour("ws-send-many")
async def test_send_keeps_messages_whole_when_many_tasks_send(server: Start) -> None:
    got: list[Any] = []

    async def collect(peer: ServerConnection) -> None:
        async for message in peer:
            got.append(message)
            if len(got) == 40:
                await peer.close()

    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(collect))) as channel:

            async def send(number: int) -> None:
                await channel.send(Frame(str(number).encode() * 5000, is_text=number % 2 == 0))

            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(send, number)
            with pytest.raises(ClosedByServerError):
                await channel.receive()
    wanted = {str(number) * 5000 if number % 2 == 0 else str(number).encode() * 5000 for number in range(40)}
    assert set(got) == wanted


@pytest.mark.behaviour("ws-message-limit")
async def test_receive_tells_limit_and_size_when_a_message_is_too_large(server: Start) -> None:
    codes: Queue[int | None] = Queue()

    async def flood(peer: ServerConnection) -> None:
        await peer.send("fits")
        await peer.send("x" * 5000)
        await peer.wait_closed()
        codes.put(peer.close_code)

    with anyio.fail_after(5):
        async with WebSocketTransport(max_message_bytes=1000).open(ChannelRequest(server(flood))) as channel:
            assert await channel.receive() == Frame(b"fits")
            for _ in range(2):
                with pytest.raises(MessageTooLargeError) as caught:
                    await channel.receive()
                assert (caught.value.limit_bytes, caught.value.size_bytes) == (1000, 5000)
        assert await taken(codes) == 1009


@pytest.mark.behaviour("ws-message-limit")
async def test_receive_counts_all_fragments_when_a_message_is_too_large(server: Start) -> None:
    async def flood(peer: ServerConnection) -> None:
        await peer.send(["x" * 600, "y" * 700])

    with anyio.fail_after(5):
        async with WebSocketTransport(max_message_bytes=1000).open(ChannelRequest(server(flood))) as channel:
            with pytest.raises(MessageTooLargeError) as caught:
                await channel.receive()
    assert (caught.value.limit_bytes, caught.value.size_bytes) == (1000, 1300)


@pytest.mark.behaviour("ws-close-unread")
async def test_aclose_is_quick_when_many_messages_are_unread(server: Start) -> None:
    codes: Queue[int | None] = Queue()

    async def talk(peer: ServerConnection) -> None:
        try:
            while True:
                await peer.send("x" * 1000)
                await asyncio.sleep(0)
        finally:
            codes.put(peer.close_code)

    with anyio.fail_after(5):
        async with WebSocketTransport(close_timeout_s=60).open(ChannelRequest(server(talk))) as channel:
            await channel.receive()
            await anyio.sleep(0.05)
            await channel.aclose()
            left = 0
            with pytest.raises(ClosedByUsError):
                while True:
                    left += (await channel.receive()).data == b"x" * 1000
        assert left > 16
        assert await taken(codes) == 1000


async def test_aclose_cuts_the_reason_when_it_is_too_long(server: Start) -> None:
    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(silent))) as channel:
            await channel.aclose(1000, "ü" * 100)
            with pytest.raises(ClosedByUsError) as caught:
                await channel.receive()
    assert caught.value.reason == "ü" * 61


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_aclose_refuses_when_the_code_may_not_be_sent(server: Start, code: int) -> None:
    with anyio.fail_after(5):
        async with WebSocketTransport().open(ChannelRequest(server(silent))) as channel:
            with pytest.raises(ConfigurationError, match=str(code)):
                await channel.aclose(code)


@pytest.mark.behaviour("ws-silent-logs")
async def test_logs_hold_no_key_text_or_audio_when_debug_is_on(server: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="xai_realtime")
    caplog.set_level(logging.DEBUG, logger="websockets.client")
    request = ChannelRequest(
        server(echo) + "?token=xai-query-canary",
        headers={"Authorization": f"Bearer {KEY}"},
    )
    with anyio.fail_after(5):
        async with WebSocketTransport().open(request) as channel:
            await channel.send(Frame(b"spoken words"))
            await channel.receive()
    ours = [record for record in caplog.records if record.name in ("websockets.client",) or "xai" in record.name]
    assert any("opened realtime at ws://127.0.0.1" in record.getMessage() for record in ours)
    text = "\n".join(record.getMessage() for record in ours)
    assert "canary" not in text
    assert "spoken" not in text


async def test_open_works_over_tls_when_the_context_trusts_the_server(server: Start, tls: tuple[Any, Any]) -> None:
    server_context, client_context = tls
    url = server(echo, ssl=server_context).replace("ws://127.0.0.1", "wss://localhost")
    with anyio.fail_after(5):
        async with WebSocketTransport(ssl_context=client_context).open(ChannelRequest(url)) as channel:
            await channel.send(Frame(b"over tls"))
            assert await channel.receive() == Frame(b"over tls")


@pytest.mark.behaviour("ask-40")
async def test_open_ignores_the_tls_context_when_the_address_is_plain(server: Start) -> None:
    transport = WebSocketTransport(ssl_context=ssl.create_default_context())
    with anyio.fail_after(5):
        async with transport.open(ChannelRequest(server(silent))) as channel:
            assert channel.subprotocol is None
