"""What passes through the proxy: frames, closes and refusals as they are, both ways, and what is written of it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from queue import Queue
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from tests.proxy.ends import KEYED, bare_client, echo, request
from tests.proxy.running import proxied
from tests.transport.peers import CLOSE, CONT, TEXT, answer, frame_bytes, http_answer, proper, raw, taken, talk
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.errors import (
    ClosedByServerError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    MessageTooLargeError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("live_backend")]

FRAMES = [
    Frame(b'{"type":"response.create"}'),
    Frame(b"no json at all"),
    Frame(b'{"type":'),
    Frame(b""),
    Frame(b"\0\1\2\3", False),
    Frame(b"", False),
    Frame(b"\xff\xfe no utf-8"),
    Frame(b"[" * 300),
    Frame(b'{"type":"input_audio_buffer.append","audio":"AAAA","unknown":1e400}'),
]


async def until_over(channel: Channel) -> ConnectionClosedError:
    with anyio.fail_after(5):
        while True:
            try:
                await channel.receive()
            except ConnectionClosedError as closed:
                return closed


@pytest.mark.behaviour("proxy-passes-frames")
async def test_frames_pass_both_ways_as_they_are_and_stand_on_the_tape(tmp_path: Path) -> None:
    """What is no event passes too, and binary stays binary."""
    frames = [frame for frame in FRAMES if frame.is_text or frame.data]
    with proper(echo) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(10):
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                for frame in frames:
                    await channel.send(frame)
                    back = await channel.receive()
                    assert (back.data, back.is_text) == (frame.data, frame.is_text)
    taped = proxy.tape.connections[1].frames
    assert [record.direction for record in taped] == ["out", "in"] * len(frames)
    assert [proxy.tape.frame(record) for record in taped] == [frame for frame in frames for _ in "ab"]
    assert proxy.tape.complete
    assert (proxy.report.opened, proxy.report.refused, proxy.report.unreached) == (1, 0, 0)


@pytest.mark.behaviour("proxy-passes-handshake")
async def test_handshake_passes_path_query_headers_and_subprotocols_and_keeps_the_key_off_the_tape(
    tmp_path: Path,
) -> None:
    arrived: Queue[Any] = Queue()
    token = "xai-client-secret.canary-fedcba98765432100123"

    async def handler(connection: ServerConnection) -> None:
        assert connection.request is not None
        arrived.put((connection.request.path, connection.request.headers))
        await connection.wait_closed()

    def choose(_: ServerConnection, offered: Any) -> Any:
        return offered[1]

    with proper(handler, select_subprotocol=choose) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        asked = ChannelRequest(
            f"{proxy.url}?model=grok-voice-latest&x=%20y",
            headers={**KEYED, "X-Trace": "7", "Cookie": "a=canary-cookie-value"},
            subprotocols=(token, "realtime"),
        )
        with anyio.fail_after(5):
            async with WebSocketTransport(user_agent="their-client/1.0").open(asked) as channel:
                assert channel.subprotocol == "realtime"
                path, headers = await taken(arrived)
    assert path == "/v1/realtime?model=grok-voice-latest&x=%20y"
    assert headers["Authorization"] == KEYED["Authorization"]
    assert (headers["X-Trace"], headers["User-Agent"]) == ("7", "their-client/1.0")
    assert headers["Sec-WebSocket-Protocol"].replace(" ", "") == f"{token},realtime"
    assert headers["Host"] == upstream.split("/")[2]
    assert headers.get_all("Upgrade") == ["websocket"]
    written = proxy.report.path.read_text()
    assert "canary" not in written
    assert "their-client" not in written
    assert proxy.tape.connections[1].open.subprotocol == "realtime"
    assert not any("canary" in line for line in proxy.said)


@pytest.mark.behaviour("proxy-passes-closes")
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1011, "internal"), (4001, "sä")])
async def test_close_of_the_upstream_reaches_the_client_behind_what_it_sent(
    tmp_path: Path, code: int, reason: str
) -> None:
    async def handler(connection: ServerConnection) -> None:
        for number in range(50):
            await connection.send(json.dumps({"type": "n", "n": number}))
        await connection.close(code, reason)

    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5):
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                assert [json.loads((await channel.receive()).data)["n"] for _ in range(50)] == list(range(50))
                closed = await until_over(channel)
    assert (type(closed), closed.code, closed.reason) == (ClosedByServerError, code, reason)
    end = proxy.tape.connections[1].close
    assert end is not None
    assert (end.by, end.code, end.reason) == ("server", code, reason)


@pytest.mark.behaviour("proxy-passes-closes")
async def test_close_without_a_code_reaches_the_client_without_one(tmp_path: Path) -> None:
    with raw(talk(frame_bytes(TEXT, b"{}") + frame_bytes(CLOSE))) as upstream:
        with proxied(upstream, tmp_path / "t.jsonl") as proxy:
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                closed = await until_over(channel)
    assert (type(closed), closed.code) == (ClosedByServerError, None)
    end = proxy.tape.connections[1].close
    assert end is not None
    assert (end.by, end.code) == ("server", None)


@pytest.mark.behaviour("proxy-passes-closes")
async def test_upstream_that_breaks_off_breaks_the_client_off_too(tmp_path: Path) -> None:
    with raw(talk(frame_bytes(TEXT, b"{}"), hold=False)) as upstream:
        with proxied(upstream, tmp_path / "t.jsonl") as proxy:
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                closed = await until_over(channel)
    assert type(closed) is ConnectionBrokenError
    tape = proxy.tape
    end = tape.connections[1].close
    assert end is not None
    assert (end.by, end.code, len(tape.connections[1].frames)) == ("network", None, 1)


@pytest.mark.behaviour("proxy-passes-closes")
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "tab closed"), (4002, "enough")])
async def test_close_of_the_client_reaches_the_upstream(tmp_path: Path, code: int, reason: str) -> None:
    ends: Queue[tuple[int | None, str | None]] = Queue()

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        ends.put((connection.close_code, connection.close_reason))

    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5):
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                await channel.aclose(code, reason)
            assert await taken(ends) == (code, reason)
    end = proxy.tape.connections[1].close
    assert end is not None
    assert (end.by, end.code, end.reason) == ("client", code, reason)


@pytest.mark.parametrize(("farewell", "code"), [(b"\x88\x80\0\0\0\0", 1000), (b"", 1001)])
async def test_upstream_hears_an_ordinary_close_when_the_client_gives_no_code_or_is_lost(
    tmp_path: Path, farewell: bytes, code: int
) -> None:
    """The client is a bare socket: an empty close frame as browsers send, or none at all."""
    ends: Queue[int | None] = Queue()

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        ends.put(connection.close_code)

    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(bare_client, proxy.address.port, farewell)
            assert await taken(ends) == code


@pytest.mark.behaviour("proxy-passes-refusals")
@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (
            "400 Bad Request",
            b'{"code":"invalid-argument","error":"Incorrect API key"}',
            "invalid-argument",
            "Incorrect API key",
        ),
        ("401 Unauthorized", b"", None, None),
        ("429 Too Many Requests", b'{"error":{"code":"limit","message":"slow down"}}', "limit", "slow down"),
        ("503 Service Unavailable", b"overloaded", None, "overloaded"),
    ],
)
async def test_refusal_of_the_upstream_reaches_the_client_as_it_was_and_is_written(
    tmp_path: Path, status: str, body: bytes, code: str | None, message: str | None
) -> None:
    script = answer(http_answer(status, body, "X-Request-Id: 7", "Retry-After: 3"))
    with raw(script) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5), pytest.raises(HandshakeError) as refused:
            async with WebSocketTransport().open(request(proxy.url)):
                raise AssertionError("opened")
    error = refused.value
    assert (error.status, error.body, error.code, error.message) == (int(status[:3]), body, code, message)
    assert (error.headers["x-request-id"], error.headers["retry-after"]) == ("7", "3")
    taped = proxy.tape.connections[1].open
    assert taped.status == int(status[:3])
    assert taped.body == (json.loads(body) if body.startswith(b"{") else body.decode() or None)
    assert (proxy.report.opened, proxy.report.refused) == (0, 1)


async def test_redirect_is_passed_on_without_its_target(tmp_path: Path) -> None:
    script = answer(http_answer("302 Found", b"", "Location: http://127.0.0.1:1/elsewhere"))
    with raw(script) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5), pytest.raises(HandshakeError) as refused:
            async with WebSocketTransport().open(request(proxy.url)):
                raise AssertionError("opened")
    assert refused.value.status == 302
    assert "location" not in refused.value.headers


@pytest.mark.behaviour("proxy-upstream-not-reached")
async def test_client_is_told_and_the_recording_goes_on_when_the_upstream_is_not_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        upstream = f"ws://127.0.0.1:{free.getsockname()[1]}"
    with proxied(upstream, tmp_path / "t.jsonl") as proxy:
        for _ in range(2):
            with anyio.fail_after(5), pytest.raises(HandshakeError) as refused:
                async with WebSocketTransport().open(request(proxy.url)):
                    raise AssertionError("opened")
            assert (refused.value.status, refused.value.code) == (502, "upstream_not_reached")
    assert proxy.report.unreached == 2
    assert "connection 2: the upstream was not reached" in proxy.report.path.read_text()
    assert proxy.tape.complete


async def test_client_hears_504_when_the_upstream_does_not_answer_in_time(tmp_path: Path) -> None:
    slow = WebSocketTransport(open_timeout_s=0.2)
    with raw(lambda peer: peer.hold()) as upstream, proxied(upstream, tmp_path / "t.jsonl", transport=slow) as proxy:
        with anyio.fail_after(5), pytest.raises(HandshakeError) as refused:
            async with WebSocketTransport().open(request(proxy.url)):
                raise AssertionError("opened")
    assert refused.value.status == 504


@pytest.mark.behaviour("proxy-many-connections")
async def test_several_connections_at_once_stand_on_one_tape_apart(tmp_path: Path) -> None:
    async def converse(url: str, name: str) -> None:
        async with WebSocketTransport().open(request(f"{url}?name={name}")) as channel:
            for number in range(20):
                frame = Frame(json.dumps({"type": name, "n": number}).encode())
                await channel.send(frame)
                assert await channel.receive() == frame

    with proper(echo) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for name in "abcd":
                    group.start_soon(converse, proxy.url, name)
    tape = proxy.tape
    assert sorted(tape.connections) == [1, 2, 3, 4]
    for taped in tape.connections.values():
        assert taped.open.url is not None
        assert {record.type for record in taped.frames} == {taped.open.url[-1]}
        assert len(taped.frames) == 40


async def test_message_over_the_limit_ends_both_sides_with_1009(tmp_path: Path) -> None:
    """The client announces a message that is too long, and sends none of it."""
    ends: Queue[int | None] = Queue()

    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()
        ends.put(connection.close_code)

    announced = b"\x81\xff" + (MAX_MESSAGE_BYTES + 1).to_bytes(8, "big") + bytes(4)
    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(10):
            heard = await anyio.to_thread.run_sync(bare_client, proxy.address.port, announced, True)
            assert await taken(ends) == 1009
    assert heard[:1] == b"\x88"
    assert heard[2:4] == (1009).to_bytes(2, "big")


async def test_message_of_the_upstream_over_the_limit_ends_both_sides_with_1009(tmp_path: Path) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("x" * 2000)
        await connection.wait_closed()

    small = WebSocketTransport(max_message_bytes=1000)
    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl", transport=small) as proxy:
        async with WebSocketTransport().open(request(proxy.url)) as channel:
            closed = await until_over(channel)
    assert closed.code == 1009
    assert not isinstance(closed, MessageTooLargeError)


async def test_fragments_of_one_message_arrive_as_one(tmp_path: Path) -> None:
    parts = frame_bytes(TEXT, b'{"ty', fin=False) + frame_bytes(CONT, b'pe":"a"}')
    with raw(talk(parts + frame_bytes(CLOSE))) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        with anyio.fail_after(5):
            async with WebSocketTransport().open(request(proxy.url)) as channel:
                assert await channel.receive() == Frame(b'{"type":"a"}')
