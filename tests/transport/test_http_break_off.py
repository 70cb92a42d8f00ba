"""An answer whose connection is closed under its reader: over TCP and TLS, on asyncio and trio."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import httpx2
import pytest

from xai_realtime import AsyncClient
from xai_realtime.errors import ConnectionBrokenError, TransportTimeoutError
from xai_realtime.transport._http_foreign import Body
from xai_realtime.transport.base import HttpRequest
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.websocket import WebSocketTransport

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"One "}}]}\n\n'
PATIENCE_S = 5


@contextmanager
def silent(context: ssl.SSLContext | None) -> Iterator[tuple[int, threading.Event]]:
    """A server that says one event and then nothing, in a thread of its own; set is that its client is gone."""
    started, gone = threading.Event(), threading.Event()
    ports: list[int] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
            while await reader.read(4096):
                continue
        except OSError:
            pass  # that is what is waited for as well
        finally:
            gone.set()
            writer.close()

    async def serve() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(PATIENCE_S)
    try:
        yield ports[0], gone
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        loop.close()


@pytest.mark.parametrize("is_secure", [False, True])
async def test_cancelled_stream_that_waits_ends_at_once_and_its_connection_is_gone(
    is_secure: bool, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with silent(tls[0] if is_secure else None) as (port, gone), anyio.fail_after(PATIENCE_S):
        url = f"{'https' if is_secure else 'http'}://localhost:{port}/v1/chat/completions"
        line = WebSocketTransport(http=HttpTransport(ssl_context=tls[1], proxy=None))
        async with AsyncClient(api_key="xai-test", transport=line) as client:
            said = anyio.Event()
            words: list[str] = []

            async def read() -> None:
                async for word in stream.text():
                    words.append(word)
                    said.set()

            async with client.chat.stream("grok-4.6", "Hello", url=url, api_key="xai-test") as stream:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    await said.wait()
                    await anyio.wait_all_tasks_blocked()
                    await stream.cancel()
            assert words == ["One "]
            assert stream.outcome is not None
            assert stream.outcome.status == "cancelled"
            await anyio.to_thread.run_sync(gone.wait, PATIENCE_S)
            assert gone.is_set()


async def test_reader_whose_connection_is_closed_learns_that_it_broke() -> None:
    with silent(None) as (port, _gone), anyio.fail_after(PATIENCE_S):
        async with HttpTransport(proxy=None) as line:
            async with line.request(HttpRequest("GET", f"http://127.0.0.1:{port}/")) as answer:
                body = aiter(answer)
                assert isinstance(body, Body)
                assert body.break_off is not None
                assert await anext(body) == EVENT

                async def read() -> None:
                    with pytest.raises(ConnectionBrokenError):
                        await anext(body)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(read)
                    await anyio.wait_all_tasks_blocked()
                    await body.break_off()


async def test_reader_of_a_silent_server_still_runs_into_its_timeout() -> None:
    with silent(None) as (port, _gone), anyio.fail_after(PATIENCE_S):
        async with HttpTransport(proxy=None, read_timeout_s=0.05) as line:
            async with line.request(HttpRequest("GET", f"http://127.0.0.1:{port}/")) as answer:
                with pytest.raises(TransportTimeoutError) as caught:
                    await answer.read(1_000_000)
        assert (caught.value.phase, caught.value.timeout_s) == ("read", 0.05)


async def test_connection_that_other_answers_share_is_not_closed() -> None:
    class Line:
        async def aclose(self) -> None:
            raise AssertionError

    def mapped() -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    for version, is_own in ((b"HTTP/1.1", True), (b"HTTP/2", False), (None, False)):
        extensions = {"network_stream": Line(), "http_version": version}
        answer = httpx2.Response(200, content=b"x", extensions=extensions)
        assert (Body(answer, mapped).break_off is not None) == is_own
    assert Body(httpx2.Response(200, content=b"x"), mapped).break_off is None
