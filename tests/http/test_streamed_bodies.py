"""Bodies of requests that are made while they are sent: on every transport, cut, answered early, sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from tests.http.peers import KEY, Scripted, page
from tests.http.streaming import PIECE, Counted, Reader, Slow, Writer, body_of, head_of, raw_server
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.errors import (
    ApiError,
    ConnectionBrokenError,
    LocalProtocolError,
    ReplayMismatchError,
    TransportTimeoutError,
)
from xai_realtime.transport.asgi import ask_asgi
from xai_realtime.transport.base import HttpRequest, StreamedBody
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.httpx_adapter import as_httpx, as_httpx2, from_httpx
from xai_realtime.transport.rest import ask_json

pytestmark = pytest.mark.anyio

URL = "https://api.x.ai/v1/x"


async def asked(
    port: int, body: StreamedBody, transport: HttpTransport | None = None, scheme: str = "http", **more: Any
) -> tuple[int, bytes]:
    request = HttpRequest("POST", f"{scheme}://127.0.0.1:{port}/x", {"Authorization": f"Bearer {KEY}"}, body, **more)
    async with (transport or HttpTransport(proxy=None)).request(request) as response:
        return response.status, await response.read(1_000_000)


@pytest.mark.behaviour("http-streamed-bodies")
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_entered", [True, False])
async def test_streamed_body_arrives_whole_with_its_length_where_that_is_known(
    is_known: bool, is_entered: bool
) -> None:
    came: list[tuple[dict[str, str], bytes]] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        _, headers = await head_of(reader)
        came.append((headers, await body_of(reader, headers)))
        writer.write(page(200, b"{}"))
        await writer.drain()

    body = Counted(20, is_known=is_known)
    transport = HttpTransport(proxy=None)
    with anyio.fail_after(10), raw_server(handler) as port:
        if is_entered:
            async with transport:
                assert await asked(port, body, transport) == (200, b"{}")
        else:
            assert await asked(port, body, transport) == (200, b"{}")
    ((headers, data),) = came
    assert data == PIECE * 20
    assert headers.get("content-length") == (str(20 * len(PIECE)) if is_known else None)
    assert ("transfer-encoding" in headers) is not is_known
    assert (body.opened, body.closed) == (1, 1)


@pytest.mark.behaviour("http-streamed-bodies")
async def test_streamed_body_waits_for_a_server_that_does_not_read_and_then_says_so() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        await asyncio.sleep(5)

    body = Counted(10_000)
    with anyio.fail_after(10), raw_server(handler) as port:
        with pytest.raises(TransportTimeoutError) as caught:
            await asked(port, body, write_timeout_s=0.3)
    assert (caught.value.phase, caught.value.timeout_s) == ("write", 0.3)
    assert body.taken < 400, "the whole body was taken though nobody read it"
    assert body.closed == 1


@pytest.mark.parametrize("name", ["read_timeout_s", "write_timeout_s"])
async def test_timeout_of_a_request_is_checked_before_anything_is_sent(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        await asked(1, Counted(1), **{name: 0})


async def test_answer_is_waited_for_as_long_as_the_request_says() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        _, headers = await head_of(reader)
        await body_of(reader, headers)
        await asyncio.sleep(0.2)
        writer.write(page(200, b"{}"))
        await writer.drain()

    transport = HttpTransport(proxy=None, read_timeout_s=0.05)
    with anyio.fail_after(10), raw_server(handler) as port:
        assert await asked(port, Counted(1), transport, read_timeout_s=5) == (200, b"{}")
        with pytest.raises(TransportTimeoutError, match=r"read did not finish within 0.05 s"):
            await asked(port, Counted(1), transport)


@pytest.mark.behaviour("http-early-answers")
async def test_answer_that_comes_while_the_body_is_sent_is_the_answer() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        _, headers = await head_of(reader)
        writer.write(page(413, b"too much"))
        await writer.drain()
        await body_of(reader, headers)

    body = Slow(50)
    with anyio.fail_after(10), raw_server(handler) as port:
        assert await asked(port, body) == (413, b"too much")
    assert body.closed == 1


@pytest.mark.behaviour("http-early-answers")
async def test_server_that_answers_early_and_hangs_up_ends_the_sending_with_its_answer_or_a_typed_error() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        writer.write(page(413, b"too much"))
        await writer.drain()

    body = Slow(5_000)
    with anyio.fail_after(10), raw_server(handler) as port:
        try:
            told: object = await asked(port, body)
        except ConnectionBrokenError as error:
            told = error
    assert isinstance(told, ConnectionBrokenError) or told == (413, b"too much")
    assert body.taken < 5_000
    assert body.closed == 1


@pytest.mark.behaviour("http-streamed-bodies")
@pytest.mark.parametrize("error", [OSError("gone"), httpx2.ReadError("theirs"), TimeoutError("own"), ValueError("x")])
async def test_what_the_source_raises_surfaces_as_it_is(error: Exception) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        while await reader.read(100_000):
            pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    body = Counted(5, fails_at=(3, error))
    with anyio.fail_after(10), raw_server(handler) as port:
        with pytest.raises(type(error)) as caught:
            await asked(port, body)
        assert caught.value is error
    with anyio.fail_after(5), pytest.raises(type(error)) as caught:
        async with ask_asgi(app, HttpRequest("POST", URL, {}, body)):
            pass
    assert caught.value is error
    assert body.closed == 2


@pytest.mark.behaviour("http-streamed-bodies")
async def test_cancelling_closes_what_the_body_comes_from() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        await head_of(reader)
        await asyncio.sleep(5)

    body = Counted(10_000)
    with anyio.fail_after(10), raw_server(handler) as port:
        with anyio.move_on_after(0.3) as scope:
            await asked(port, body)
        assert scope.cancelled_caught
    assert (body.opened, body.closed) == (1, 1)


@pytest.mark.behaviour("http-streamed-bodies")
async def test_application_in_process_gets_a_piece_when_it_asks_and_no_sooner() -> None:
    body = Counted(50)
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        data = b""
        while True:
            message = await receive()
            data += message["body"]
            seen.append(body.taken)
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(data)})

    with anyio.fail_after(5):
        async with ask_asgi(app, HttpRequest("POST", URL, {}, body)) as response:
            assert await response.read(100) == b"%d" % body.size_bytes  # type: ignore[str-bytes-safe, str-format]
    assert seen == [*range(1, 51), 50]
    assert body.closed == 1


async def test_application_that_answers_without_reading_ends_the_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    body = Counted(50)
    with anyio.fail_after(5):
        async with ask_asgi(app, HttpRequest("POST", URL, {}, body)) as response:
            assert response.status == 413
    assert (body.taken, body.closed) == (1, 1)


async def test_source_that_fails_after_the_answer_began_surfaces_from_reading_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["more_body"]:
            pass

    with anyio.fail_after(5), pytest.raises(KeyError):
        async with ask_asgi(app, HttpRequest("POST", URL, {}, Counted(5, fails_at=(2, KeyError("k"))))) as response:
            await response.read(100)


async def test_silent_application_runs_into_the_timeout_of_the_request() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()
        await anyio.sleep(60)

    async def stalling(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await anyio.sleep(60)

    with anyio.fail_after(5):
        for body in (b"whole", Counted(1)):
            with pytest.raises(TransportTimeoutError, match="read"):
                async with ask_asgi(silent, HttpRequest("POST", URL, {}, body, read_timeout_s=0.05)):
                    pass
        with pytest.raises(TransportTimeoutError, match="read"):
            async with ask_asgi(stalling, HttpRequest("POST", URL, {}, b"", read_timeout_s=0.05)) as response:
                await response.read(100)


@pytest.mark.behaviour("http-streamed-bodies")
async def test_redirect_is_followed_with_a_body_that_can_be_sent_again_alone() -> None:
    came: list[bytes] = []

    def answer(request: HttpRequest) -> Any:
        return (307, {"location": "/v1/y"}, [b""]) if request.url.endswith("/x") else (200, {}, [b"{}"])

    class Reading(Scripted):
        @asynccontextmanager
        async def _request(self, request: HttpRequest) -> AsyncIterator[Any]:
            came.append(await request.read_body())
            async with super()._request(request) as response:
                yield response

    server = Reading(answer)
    body = Counted(2)
    assert await ask_json(server, HttpRequest("POST", URL, {}, body)) == {}
    assert came == [PIECE * 2] * 2
    assert (body.opened, body.closed) == (2, 2)
    with pytest.raises(ApiError, match="redirect"):
        await ask_json(server, HttpRequest("POST", URL, {}, Counted(2, is_repeatable=False)))
    assert len(came) == 3


def test_request_tells_nothing_of_a_streamed_body() -> None:
    request = HttpRequest("POST", URL, {}, Counted(2, is_repeatable=False))
    assert "Counted" not in repr(request)
    assert not request.is_repeatable
    assert HttpRequest("GET", URL).is_repeatable


FORM = {"Content-Type": "multipart/form-data; boundary=abcdef0123456789"}


class Said(StreamedBody):
    """A body that is there, in pieces of one byte."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncGenerator[bytes, None]:
            for at in range(len(self._data)):
                yield self._data[at : at + 1]

        async with aclosing(pieces()) as given:
            yield given


@pytest.mark.behaviour("http-streamed-bodies")
async def test_streamed_body_stands_whole_on_the_tape_and_replays(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    server = Scripted(lambda request: (200, {"content-type": "application/json"}, [b"{}"]))
    first, other = (b"--%s\r\n\r\nx\xff\r\n--%s--\r\n" % (name, name) for name in (b"abcdef0123456789", b"ffff"))
    async with record(path, server, origin="synthetic", service="stt") as taping:
        assert await ask_json(taping, HttpRequest("POST", URL, FORM, Said(first))) == {}
    assert server.asked[0].body == first
    assert "abcdef0123456789" not in path.read_text()
    async with replay(path) as taped:
        headers = {"Content-Type": "multipart/form-data; boundary=ffff"}
        assert await ask_json(taped, HttpRequest("POST", URL, headers, Said(other))) == {}
    with pytest.raises(ReplayMismatchError):
        async with replay(path) as taped:
            await ask_json(taped, HttpRequest("POST", URL, FORM, Said(first.replace(b"x", b"yy"))))
    with pytest.raises(KeyError):
        async with record(path, server, origin="synthetic") as taping:
            await ask_json(taping, HttpRequest("POST", URL, {}, Counted(3, fails_at=(1, KeyError("k")))))


@pytest.mark.behaviour("http-streamed-bodies")
@pytest.mark.parametrize(("module", "adapter"), [(httpx2, as_httpx2), (httpx, as_httpx)], ids=["httpx2", "httpx"])
async def test_form_of_another_client_streams_into_our_transport(module: Any, adapter: Any) -> None:
    came: list[StreamedBody | bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        data = b""
        while (message := await receive())["more_body"]:
            data += message["body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": data})

    class Own(Scripted):
        def request(self, request: HttpRequest) -> Any:
            came.append(request.body)
            return ask_asgi(app, request)

    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            yield b"abc"

    with anyio.fail_after(5):
        async with module.AsyncClient(transport=adapter(Own(lambda request: Exception()))) as client:
            answered = await client.post(URL, files={"file": ("a.wav", b"sound")}, data={"language": "en"})
            assert b"sound" in answered.content
            assert (await client.post(URL, content=pieces())).content == b"abcabcabc"
    assert isinstance(came[0], StreamedBody)
    assert isinstance(came[1], StreamedBody)
    assert (came[0].size_bytes, came[1].size_bytes) == (len(answered.content), None)
    with pytest.raises(LocalProtocolError, match="again"):
        async with came[1].open():
            pass


async def test_transport_of_plain_httpx_streams_our_body() -> None:
    came: list[bytes] = []

    async def handle(request: httpx.Request) -> httpx.Response:
        came.append(await request.aread())
        came.append(request.headers["content-length"].encode())
        return httpx.Response(200, content=b"{}")

    transport = HttpTransport(httpx2_transport=from_httpx(httpx.MockTransport(handle)))
    body = Counted(3)
    assert await ask_json(transport, HttpRequest("POST", URL, {}, body)) == {}
    assert came == [PIECE * 3, b"%d" % (3 * len(PIECE))]
    with pytest.raises(KeyError):
        await ask_json(transport, HttpRequest("POST", URL, {}, Counted(3, fails_at=(1, KeyError("k")))))
