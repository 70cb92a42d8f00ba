"""A memory pair behaves as a socket does: order, back-pressure, closing from either side."""

from __future__ import annotations

import gc
import warnings

import anyio
import pytest

from tests.tapes import URL
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest
from xai_realtime.transport.memory import memory_pair

pytestmark = pytest.mark.anyio
REQUEST = ChannelRequest(URL)


@pytest.mark.behaviour("memory-loses-nothing")
async def test_what_the_other_end_sent_before_it_closed_is_read_though_a_send_failed_in_between() -> None:
    transport, server = memory_pair()
    with anyio.fail_after(5):
        async with transport.open(REQUEST) as channel:
            _, peer = await server.accept()
            await peer.send(Frame(b"last"))
            await peer.aclose(1011, "over")
            for _ in range(2):
                with pytest.raises(ClosedByServerError):
                    await channel.send(Frame(b"x"))
            assert await channel.receive() == Frame(b"last")
            for _ in range(2):
                with pytest.raises(ClosedByServerError) as caught:
                    await channel.receive()
                assert caught.value.code == 1011
            with pytest.raises(ClosedByServerError):
                await channel.send(Frame(b"x"))


@pytest.mark.parametrize("how", ["close", "break", "peer closes", "peer breaks"])
async def test_waiting_reader_and_sender_wake_when_the_line_ends(how: str) -> None:
    transport, server = memory_pair(buffer=1)
    ends: list[type[ConnectionClosedError]] = []

    async def read(channel: Channel) -> None:
        with pytest.raises(ConnectionClosedError) as caught:
            await channel.receive()
        ends.append(type(caught.value))

    async def send(channel: Channel) -> None:
        with pytest.raises(ConnectionClosedError) as caught:
            for _ in range(3):
                await channel.send(Frame(b"x"))
        ends.append(type(caught.value))

    with anyio.fail_after(5):
        async with transport.open(REQUEST) as channel:
            _, peer = await server.accept()
            async with anyio.create_task_group() as group:
                group.start_soon(read, channel)
                group.start_soon(send, channel)
                await anyio.wait_all_tasks_blocked()
                if how == "close":
                    await channel.aclose()
                elif how == "break":
                    channel.break_off()  # type: ignore[attr-defined]
                elif how == "peer closes":
                    await peer.aclose()
                else:
                    peer.break_off()
    wanted = {"close": ClosedByUsError, "break": ConnectionBrokenError, "peer closes": ClosedByServerError}
    assert ends == [wanted.get(how, ConnectionBrokenError)] * 2


async def test_sender_waits_while_the_other_end_lags_and_order_is_kept() -> None:
    transport, server = memory_pair(buffer=2)
    with anyio.fail_after(5):
        async with transport.open(REQUEST) as channel:
            _, peer = await server.accept()
            sent: list[int] = []

            async def send() -> None:
                for number in range(9):
                    await channel.send(Frame(b"%d" % number))
                    sent.append(number)

            async with anyio.create_task_group() as group:
                group.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                assert sent == [0, 1]
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await peer.receive()
                assert [(await peer.receive()).data for _ in range(9)] == [b"%d" % number for number in range(9)]


async def test_closing_twice_and_breaking_after_closing_keep_the_first_end() -> None:
    transport, server = memory_pair()
    with anyio.fail_after(5):
        async with transport.open(REQUEST) as channel:
            _, peer = await server.accept()
            await peer.aclose(1001, "first")
            await peer.aclose(1011, "second")
            peer.break_off()
            with pytest.raises(ClosedByServerError) as caught:
                await channel.receive()
            assert (caught.value.code, caught.value.reason) == (1001, "first")


async def test_server_waits_for_an_open_and_refuses_after_it_closed() -> None:
    transport, server = memory_pair()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            seen: list[str] = []

            async def accept() -> None:
                request, _ = await server.accept()
                seen.append(request.url)

            group.start_soon(accept)
            group.start_soon(accept)
            await anyio.wait_all_tasks_blocked()
            async with transport.open(REQUEST), transport.open(REQUEST):
                await anyio.wait_all_tasks_blocked()
        assert seen == [URL, URL]
        server.close()
        with pytest.raises(ConnectError):
            async with transport.open(REQUEST):
                raise AssertionError("opened")


async def test_pair_that_is_left_behind_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport, server = memory_pair()
        async with transport.open(REQUEST) as channel:
            await channel.send(Frame(b"never read"))
        del transport, server, channel
        gc.collect()


def test_buffer_holds_at_least_one_frame() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        memory_pair(buffer=0)
