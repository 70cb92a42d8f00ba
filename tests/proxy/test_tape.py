"""The tape of a proxy: equal to one recorded directly, finished when stopped, kept as failed when it breaks."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.proxy.running import proxied
from tests.tapes import SHORT
from tests.transport.peers import proper
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.errors import ConfigurationError, ConnectionClosedError, HandshakeError
from xai_realtime.frames import Frame
from xai_realtime.player import play
from xai_realtime.proxy import run_proxy
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.faults import Fault, faults
from xai_realtime.transport.memory import memory_pair
from xai_realtime.transport.websocket import WebSocketTransport
from xai_realtime.virtual_time import run_virtual

BACKENDS = pytest.mark.usefixtures("live_backend")
URL = "ws://127.0.0.1:1"


async def serve_taped(tape: Cassette, connection: ServerConnection) -> None:
    """The server's side of a one-connection tape: each frame once all that came before it has come."""
    taped = tape.connections[1]
    try:
        for entry in taped.frames:
            if entry.direction == "out":
                await connection.recv(decode=False)
            else:
                frame = tape.frame(entry)
                await connection.send(frame.data, text=frame.is_text)
        await connection.wait_closed()
    except ConnectionClosed:
        return


async def converse_taped(tape: Cassette, channel: Channel) -> None:
    """The client's side of it."""
    for entry in tape.connections[1].frames:
        if entry.direction == "out":
            await channel.send(tape.frame(entry))
        else:
            await channel.receive()


def frames_of(path: Path) -> list[dict[str, Any]]:
    """The records of a tape but for times; the sidecar's sums stand in the last."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in ("at_ms", "recorded_at")} for entry in records]


ONE_CONNECTION = [path for path in SHORT if len(load_cassette(path).connections) == 1]


@pytest.mark.anyio
@BACKENDS
@pytest.mark.behaviour("proxy-tape-equals-direct")
@pytest.mark.parametrize("source", ONE_CONNECTION, ids=lambda path: path.stem)
async def test_tape_of_the_proxy_equals_one_recorded_directly_but_for_times(tmp_path: Path, source: Path) -> None:
    tape = load_cassette(source)
    direct, relayed = tmp_path / "direct.jsonl", tmp_path / "relayed.jsonl"

    async def handler(connection: ServerConnection) -> None:
        await serve_taped(tape, connection)

    with proper(handler, max_size=None) as upstream:
        with anyio.fail_after(20):
            async with record(direct, WebSocketTransport()) as transport:
                async with transport.open(ChannelRequest(f"{upstream}?model=m")) as channel:
                    await converse_taped(tape, channel)
        with proxied(upstream, relayed) as proxy, anyio.fail_after(20):
            async with WebSocketTransport().open(ChannelRequest(f"{proxy.url}?model=m")) as channel:
                await converse_taped(tape, channel)
    assert frames_of(direct) == frames_of(relayed)
    digests = {(await play(load_cassette(path))).digest for path in (source, direct, relayed)}
    assert len(digests) == 1


@pytest.mark.anyio
@BACKENDS
async def test_fault_breaks_a_live_line_as_it_does_one_in_memory(tmp_path: Path) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("{}")
        await connection.send("{}")
        await connection.wait_closed()

    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl") as proxy:
        transport = faults(WebSocketTransport(), [Fault.refuse(503), Fault.cut(at=2, conn=2)])
        with anyio.fail_after(5):
            with pytest.raises(HandshakeError):
                async with transport.open(ChannelRequest(proxy.url)):
                    raise AssertionError("opened")
            async with transport.open(ChannelRequest(proxy.url)) as channel:
                await channel.receive()
                with pytest.raises(ConnectionClosedError):
                    await channel.receive()
    assert proxy.report.opened == 1


@pytest.mark.parametrize("keep_ids", [False, True])
def test_ids_are_kept_on_the_tape_when_that_is_asked_for(tmp_path: Path, keep_ids: bool) -> None:
    minted = "item_0f9e8d7c6b5a49388271605f4e3d2c1b"

    async def handler(connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "conversation.item.deleted", "item_id": minted}))
        await connection.wait_closed()

    async def main(url: str) -> None:
        async with WebSocketTransport().open(ChannelRequest(url)) as channel:
            assert minted in (await channel.receive()).data.decode()

    with proper(handler) as upstream, proxied(upstream, tmp_path / "t.jsonl", keep_ids=keep_ids) as proxy:
        anyio.run(main, proxy.url)
    assert (minted in proxy.report.path.read_text()) is keep_ids


class Breaking(Transport):
    """An upstream whose channel fails in a way that nobody foresaw."""

    needs_key = False

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:  # type: ignore[override]
        yield BreakingChannel()


class BreakingChannel(Channel):
    """Fails when it is read."""

    async def send(self, frame: Frame) -> None:
        return None

    async def receive(self) -> Frame:
        raise KeyError("unforeseen")

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        return None


@pytest.mark.behaviour("proxy-ends")
def test_unforeseen_failure_ends_the_proxy_and_its_tape_is_kept_as_failed(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with WebSocketTransport().open(ChannelRequest(url)) as channel:
            with pytest.raises(ConnectionClosedError):
                await channel.receive()

    with proxied(URL, tmp_path / "t.jsonl", transport=Breaking()) as proxy:
        anyio.run(main, proxy.url)
    assert isinstance(proxy.failure, KeyError)
    assert [path.name for path in tmp_path.iterdir()] == ["t.failed.jsonl"]


@pytest.mark.behaviour("proxy-ends")
def test_connections_that_are_open_are_closed_when_the_proxy_is_stopped_and_the_tape_is_whole(tmp_path: Path) -> None:
    """The client is in another loop, so that its line stays open while the proxy ends."""
    transport, server = memory_pair()
    path = tmp_path / "t.jsonl"
    closes: list[ConnectionClosedError] = []

    async def main() -> None:
        stop, heard = anyio.Event(), anyio.Event()
        address = []

        async def serve() -> None:
            _, channel = await server.accept()
            assert (await channel.receive()).data == b'{"type":"a"}'
            heard.set()
            with pytest.raises(ConnectionClosedError):
                await channel.receive()
            await channel.aclose()

        async def client() -> None:
            async with WebSocketTransport().open(ChannelRequest(address[0].socket_url)) as channel:
                await channel.send(Frame(b'{"type":"a"}'))
                await heard.wait()
                stop.set()
                with pytest.raises(ConnectionClosedError) as closed:
                    await channel.receive()
                closes.append(closed.value)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:

                def started(given: Any) -> None:
                    address.append(given)
                    group.start_soon(serve)
                    group.start_soon(client)

                report = await run_proxy(URL, path, transport=transport, started=started, stop=stop, origin="emulator")
                assert report.opened == 1
        server.close()

    anyio.run(main)
    assert closes[0].code == 1001
    tape = load_cassette(path)
    assert (tape.complete, tape.header.origin) == (True, "emulator")
    assert tape.connections[1].close is not None


@pytest.mark.parametrize(
    ("upstream", "words"),
    [("ftp://a", "allowed are http"), ("wss://a/v1?model=x", "no query"), ("https://u:p@a", "no user")],
)
def test_bad_upstream_is_refused_before_anything_is_written(tmp_path: Path, upstream: str, words: str) -> None:
    async def main() -> None:
        await run_proxy(upstream, tmp_path / "t.jsonl", started=print, stop=anyio.Event())

    with pytest.raises(ConfigurationError, match=words):
        anyio.run(main)
    assert list(tmp_path.iterdir()) == []


def test_port_in_use_is_an_os_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:

        async def main() -> None:
            port = taken.getsockname()[1]
            await run_proxy(URL, tmp_path / "t.jsonl", port=port, started=print, stop=anyio.Event())

        with pytest.raises(OSError, match="in use"):
            anyio.run(main)
    assert list(tmp_path.iterdir()) == []


def test_proxy_says_that_it_needs_asyncio_and_real_time(tmp_path: Path) -> None:
    async def main() -> None:
        await run_proxy(URL, tmp_path / "t.jsonl", started=lambda address: None, stop=anyio.Event())

    with pytest.raises(ConfigurationError, match="asyncio"):
        anyio.run(main, backend="trio")
    with pytest.raises(ConfigurationError, match="virtual time"):
        run_virtual(main)


@pytest.mark.parametrize(
    ("upstream", "socket_url", "http_url"),
    [
        ("https://api.x.ai/v1", "ws://127.0.0.1:{}/v1/realtime", "http://127.0.0.1:{}/v1"),
        ("wss://api.x.ai", "ws://127.0.0.1:{}/v1/realtime", "http://127.0.0.1:{}/v1"),
        ("ws://localhost:9/a/realtime/", "ws://127.0.0.1:{}/a/realtime", "http://127.0.0.1:{}/a"),
    ],
)
def test_address_to_point_a_client_at_follows_the_upstreams_path(
    tmp_path: Path, upstream: str, socket_url: str, http_url: str
) -> None:
    async def main() -> None:
        stop = anyio.Event()
        stop.set()
        addresses = []
        await run_proxy(upstream, tmp_path / "t.jsonl", started=addresses.append, stop=stop)
        (address,) = addresses
        assert (address.socket_url, address.http_url) == (
            socket_url.format(address.port),
            http_url.format(address.port),
        )

    anyio.run(main)
