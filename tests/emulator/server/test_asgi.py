"""HTTP to an application in this process: piece by piece, bounded, with its failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from xai_realtime import ConnectionBrokenError, run_virtual
from xai_realtime.transport.asgi import ask_asgi
from xai_realtime.transport.base import HttpRequest

pytestmark = pytest.mark.anyio
Receive, Send = Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]
START = {"type": "http.response.start", "status": 201, "headers": [(b"X-A", b"\xe9"), (b"x-a", b"2")]}


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    message = await receive()
    await send(START)
    names = ("method", "path", "query_string", "headers", "scheme", "server")
    await send(
        {"type": "http.response.body", "body": repr([scope[name] for name in names]).encode(), "more_body": True}
    )
    await send({"type": "http.response.body", "body": message["body"]})


async def ticking(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await send(START)
    for number in range(1000):
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await anyio.sleep(1)


async def failing(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["path"] == "/late":
        await send(START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
    if scope["path"] != "/silent":
        raise RuntimeError("SECRET")


async def test_application_sees_the_request_and_its_answer_comes_back() -> None:
    with anyio.fail_after(5):
        async with ask_asgi(echo, HttpRequest("post", "https://u:p@h:81/a%20b?c=%20", {"X": "ü"}, b"body")) as answer:
            pieces = [piece async for piece in answer]
            assert [piece async for piece in answer] == []
    assert (answer.status, answer.headers) == (201, (("X-A", "é"), ("x-a", "2")))
    headers = [(b"x", b"\xfc"), (b"host", b"h:81")]
    assert pieces == [repr(["POST", "/a b", b"c=%20", headers, "https", ("h", 81)]).encode(), b"body"]


@pytest.mark.behaviour("emulator-rest-streams")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_pieces_come_at_their_time_and_leaving_stops_the_application(backend: str) -> None:
    async def main() -> None:
        async with ask_asgi(ticking, HttpRequest("GET", "http://h/", {"Host": "other"})) as answer:
            times = []
            async for piece in answer:
                times.append((piece, anyio.current_time()))
                if piece == b"3":
                    break
        assert times == [(b"%d" % second, second) for second in range(4)]
        assert anyio.current_time() == 3

    run_virtual(main, backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "said"), [("/early", "failed: RuntimeError"), ("/silent", "ended before")])
async def test_application_that_does_not_answer_is_a_broken_connection(path: str, said: str) -> None:
    with anyio.fail_after(5), pytest.raises(ConnectionBrokenError, match=said):
        async with ask_asgi(failing, HttpRequest("GET", f"http://h{path}")):
            pass


async def test_application_that_fails_in_the_middle_breaks_the_body() -> None:
    with anyio.fail_after(5):
        async with ask_asgi(failing, HttpRequest("GET", "http://h/late")) as answer:
            assert await anext(aiter(answer)) == b"a"
            with pytest.raises(ConnectionBrokenError, match="failed: RuntimeError") as caught:
                await anext(aiter(answer))
    assert "SECRET" not in str(caught.value)


async def test_application_may_wait_for_a_disconnect_that_never_comes() -> None:
    async def waiting(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await receive()

    with anyio.fail_after(5):
        async with ask_asgi(waiting, HttpRequest("GET", "http://h")) as answer:
            assert answer.status == 201


async def test_error_of_the_asker_passes_unwrapped() -> None:
    with pytest.raises(ZeroDivisionError):
        async with ask_asgi(echo, HttpRequest("GET", "http://h")):
            1 / 0
