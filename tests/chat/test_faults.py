"""What goes wrong on the way: cut anywhere, malformed, no stream, silent, huge, sent elsewhere. Nothing hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from tests.chat.driving import (
    BACKENDS,
    DONE,
    JSON,
    MODEL,
    Service,
    Told,
    asking,
    calls,
    chunk,
    event,
    refusal,
    run,
    said,
    sse,
    stop,
    usage,
    whole,
)
from tests.http.streaming import Reader, Writer, body_of, head_of, raw_server
from xai_realtime import AsyncClient
from xai_realtime.chat.stream import ChatStream
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.errors import (
    ApiError,
    ConnectionBrokenError,
    RemoteProtocolError,
    ServiceError,
    TransportTimeoutError,
)
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.transport.http import HttpTransport

ONCE = ChatPolicy(max_retries=0)
WORDS = "Grüße 🙂 an alle"
BODY = b"".join(
    [
        chunk({"role": "assistant", "reasoning_content": "hm"}),
        *[said(word) for word in ("Grüße ", "🙂 ", "an ", "alle")],
        chunk(calls((0, "call_1", "look", '{"a": 1}'))),
        stop("tool_calls"),
        chunk(choices=[], usage=usage()),
        DONE,
    ]
)
END_OF_ANSWER = BODY.index(b"\n\n", BODY.index(b"finish_reason"))


async def read_out(stream: ChatStream) -> tuple[str, ChatReply, Exception | None]:
    """What a stream told, what stays of it, and what broke it."""
    told: list[str] = []
    try:
        async with stream:
            async for text in stream.text():
                told.append(text)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return "".join(told), stream.reply, error
    return "".join(told), stream.reply, None


def judge(at: int, told: str, reply: ChatReply, error: Exception | None, *, is_broken: bool) -> None:
    """A stream cut at this byte says so, and keeps what came."""
    outcome = reply.outcome
    assert outcome is not None
    assert told == reply.text
    assert WORDS.startswith(told)
    if at < END_OF_ANSWER:
        assert outcome.status == ("failed" if is_broken else "truncated"), at
        assert not reply.usage.is_complete
    else:
        assert (outcome.status in ("complete", "failed" if is_broken else "complete"), told) == (True, WORDS), at
    assert isinstance(error, ConnectionBrokenError) is (outcome.status == "failed"), at


@pytest.mark.behaviour("chat-stream-cut")
@BACKENDS
@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize("is_broken", [False, True])
def test_stream_cut_at_any_byte_is_truncated_or_failed(backend: str, is_broken: bool, is_bounded: bool) -> None:
    policy = ChatPolicy(max_retries=0, first_token_timeout_s=5 if is_bounded else None)

    async def main() -> int:
        for at in range(len(BODY)):
            pieces: list[Any] = [BODY[:at]] if at else []
            if is_broken:
                pieces.append(ConnectionBrokenError(None, "cut"))
            async with asking(sse(*pieces, done=False), chat_policy=policy) as (chat, service):
                told, reply, error = await read_out(chat.stream(MODEL, "hi"))
                judge(at, told, reply, error, is_broken=is_broken)
                assert len(service.asked) == 1
        return len(BODY)

    assert run(main, backend) > 1000


@pytest.mark.behaviour("chat-stream-cut")
@BACKENDS
def test_stream_of_the_emulator_cut_at_any_chunk_is_failed(backend: str) -> None:
    async def main() -> list[str]:
        found = []
        for after in range(5):
            quirks = ChatQuirks(fails_after=after, failure="cut")
            emulator = Emulator(lambda prompt: "one two three", seed=1, pace="instant", chat=quirks)
            async with AsyncClient(transport=emulator.transport()) as client:
                told, reply, error = await read_out(client.chat.stream(MODEL, "hi"))
            assert isinstance(error, ConnectionBrokenError)
            assert reply.outcome is not None
            found.append(f"{told}|{reply.outcome.status}")
        return found

    assert run(main, backend) == [
        "|failed",
        "one |failed",
        "one two |failed",
        *["one two three|failed"] * 2,
    ]


@pytest.mark.behaviour("chat-stream-cut")
@pytest.mark.parametrize("is_sized", [False, True])
@pytest.mark.anyio
async def test_stream_cut_all_along_over_a_socket_ends_and_leaves_nothing(is_sized: bool) -> None:
    """Without a length the end of the connection is the end of the body; with one it is a cut."""
    cuts: list[int] = []

    async def handler(reader: Reader, writer: Writer) -> None:
        _, headers = await head_of(reader)
        await body_of(reader, headers)
        length = b"Content-Length: %d\r\n" % len(BODY) if is_sized else b""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n%s" % (length, BODY[: cuts[-1]]))
        await writer.drain()

    with anyio.fail_after(60), raw_server(handler) as port:
        address = f"http://127.0.0.1:{port}/v1"
        async with AsyncClient(api_key="k", base_url=address, transport=HttpTransport(proxy=None)) as client:
            for at in range(0, len(BODY), 3):
                cuts.append(at)
                with anyio.fail_after(5):
                    told, reply, error = await read_out(client.chat.stream(MODEL, "hi", policy=ONCE))
                judge(at, told, reply, error, is_broken=is_sized)


MALFORMED = {
    "no JSON": event(b"{nothing of this stands in the error"),
    "a number": event(b"17"),
    "a list": event(b"[]"),
    "a text": event(b'"nothing of this stands in the error"'),
    "half a chunk": event(b'{"id": "x", "choices": [{"delta": {"content": "nothing of this stands in the error"'),
    "a wrong type": event({"choices": [{"index": 0, "delta": {"content": ["nothing of this stands in the error"]}}]}),
    "choices that are none": event({"choices": "nothing of this stands in the error"}),
    "no UTF-8": event(b'{"choices": [{"delta": {"content": "\xff\xfe"}}]}'),
    "deep": event(b'{"choices": ' + b"[" * 100_000),
}


@BACKENDS
@pytest.mark.parametrize("name", MALFORMED)
def test_chunk_that_cannot_be_read_fails_the_stream_without_its_text(backend: str, name: str) -> None:
    async def main() -> tuple[str, ChatReply, Exception | None]:
        async with asking(sse(said("Hel"), MALFORMED[name], said("lo"), stop())) as (chat, _):
            return await read_out(chat.stream(MODEL, "hi"))

    told, reply, error = run(main, backend)
    assert isinstance(error, RemoteProtocolError)
    assert "nothing of this" not in f"{error}{reply!r}{reply.outcome!r}"
    assert (told, reply.text, reply.outcome.status, reply.outcome.error) == ("Hel", "Hel", "failed", error)


ERRORS = {
    "flat": ({"code": "c-1", "error": "It broke."}, "c-1"),
    "openai": (
        {"error": {"message": "It broke.", "type": "server_error", "param": None, "code": None}},
        "server_error",
    ),
    "message": ({"error": "It broke."}, "error"),
    "event": ({"type": "error", "code": "c-1", "message": "It broke."}, "c-1"),
    "chunk": (
        {"id": "x", "object": "chat.completion.chunk", "choices": [], "error": {"message": "It broke."}},
        "error",
    ),
}


@pytest.mark.behaviour("bug-10")
@BACKENDS
@pytest.mark.parametrize("name", ERRORS)
def test_error_amid_a_stream_is_raised_and_typed_in_any_shape(backend: str, name: str) -> None:
    value, code = ERRORS[name]

    async def main() -> tuple[str, ChatReply, Exception | None]:
        async with asking(sse(said("Hel"), event(value), said("lo"), stop())) as (chat, _):
            return await read_out(chat.stream(MODEL, "hi"))

    told, reply, error = run(main, backend)
    assert isinstance(error, ServiceError)
    assert (error.code, error.message) == (code, "It broke.")
    assert (told, reply.outcome.status, reply.outcome.error) == ("Hel", "failed", error)


@BACKENDS
@pytest.mark.parametrize("failure", ["error", "openai", "event", "malformed"])
def test_failures_of_the_emulator_are_failures_here(backend: str, failure: Any) -> None:
    async def main() -> Exception | None:
        quirks = ChatQuirks(fails_after=1, failure=failure)
        emulator = Emulator(lambda prompt: "one two three", seed=1, pace="instant", chat=quirks)
        async with AsyncClient(transport=emulator.transport()) as client:
            told, reply, error = await read_out(client.chat.stream(MODEL, "hi"))
        assert (told, reply.outcome.status if reply.outcome else None) == ("one ", "failed")
        return error

    assert isinstance(run(main, backend), RemoteProtocolError if failure == "malformed" else ServiceError)


NO_STREAM: dict[str, tuple[Told, type[Exception]]] = {
    "a page": (Told([b"<html>Hello</html>"], headers={"Content-Type": "text/html"}), RemoteProtocolError),
    "nothing": (Told([], headers={"Content-Type": JSON}), RemoteProtocolError),
    "no kind": (Told([b"data: {}\n\n"]), RemoteProtocolError),
    "204": (Told([], status=204), RemoteProtocolError),
    "an error": (refusal(200, {"code": "c", "error": "No."}), ApiError),
    "an openai error": (refusal(200, {"error": {"message": "No.", "code": "c"}}), ApiError),
    "half an answer": (Told([b'{"choices": ['], headers={"Content-Type": JSON}), RemoteProtocolError),
    "a cut answer": (
        Told([b"{", ConnectionBrokenError(None, "x")], headers={"Content-Type": JSON}),
        ConnectionBrokenError,
    ),
    "a list": (Told([b"[]"], headers={"Content-Type": JSON}), RemoteProtocolError),
}


@BACKENDS
@pytest.mark.parametrize("name", NO_STREAM)
def test_answer_that_is_no_stream_is_an_error_at_entering(backend: str, name: str) -> None:
    told, kind = NO_STREAM[name]

    async def main() -> tuple[Exception, ChatReply, int]:
        async with asking(told) as (chat, service):
            stream = chat.stream(MODEL, "hi")
            with pytest.raises(kind) as caught:
                async with stream:
                    raise AssertionError("it was entered")
            return caught.value, stream.reply, len(service.asked)

    error, reply, asked = run(main, backend)
    assert "Hello" not in str(error)
    assert (reply.outcome.status, reply.outcome.error, asked) == ("failed", error, 1)


@BACKENDS
@pytest.mark.parametrize(
    "body",
    [
        b"event: x\n\n",
        b": only comments\n\n" * 50,
        b"data\n\ndata:\n\n",
        b"\n\n\n\n",
        b"\xef\xbb\xbf",
        b"id: 1\nretry: x\n\n",
    ],
)
def test_stream_of_events_without_data_is_truncated(backend: str, body: bytes) -> None:
    async def main() -> tuple[str, ChatReply, Exception | None]:
        async with asking(sse(body, done=False)) as (chat, _):
            return await read_out(chat.stream(MODEL, "hi"))

    told, reply, error = run(main, backend)
    assert (told, error, reply.outcome.status, reply.outcome.reason) == ("", None, "truncated", "cut")


@BACKENDS
def test_huge_event_is_refused_before_it_fills_the_memory(backend: str) -> None:
    piece = b"x" * 1_000_000

    async def main() -> tuple[str, ChatReply, Exception | None, int]:
        given = 0

        class Endless(Service):
            async def _pieces(self, told: Told) -> Any:
                nonlocal given
                yield said("Hel")
                yield b"data: "
                while True:
                    given += 1
                    await anyio.lowlevel.checkpoint()
                    yield piece

        async with AsyncClient(api_key="k", transport=Endless(sse())) as client:
            told, reply, error = await read_out(client.chat.stream(MODEL, "hi"))
        return told, reply, error, given

    told, reply, error, given = run(main, backend)
    assert isinstance(error, RemoteProtocolError)
    assert (told, reply.outcome.status) == ("Hel", "failed")
    assert given <= MAX_MESSAGE_BYTES // len(piece) + 2


@BACKENDS
def test_huge_whole_answer_is_refused(backend: str) -> None:
    async def main() -> None:
        pieces = [b"x" * 1_000_000] * (MAX_MESSAGE_BYTES // 1_000_000 + 2)
        async with asking(Told(pieces, headers={"Content-Type": JSON})) as (chat, _):
            with pytest.raises(RemoteProtocolError, match="over the limit"):
                await chat.create(MODEL, "hi")

    run(main, backend)


# A silent server, in real time


SILENT = {
    "at once": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "after the head": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    "amid a chunk": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + said("Hel") + b'data: {"cho',
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", SILENT)
async def test_server_that_falls_silent_is_given_up_after_the_read_timeout(name: str) -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        _, headers = await head_of(reader)
        await body_of(reader, headers)
        writer.write(SILENT[name])
        await writer.drain()
        await asyncio.sleep(30)

    with anyio.fail_after(5), raw_server(handler) as port:
        transport = HttpTransport(proxy=None, read_timeout_s=0.1)
        async with AsyncClient(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", transport=transport) as client:
            told, reply, error = await read_out(client.chat.stream(MODEL, "hi"))
    assert isinstance(error, TransportTimeoutError)
    assert (error.phase, error.timeout_s) == ("read", 0.1)
    assert (told, reply.text, reply.outcome.status if reply.outcome else None, reply.attempts) == (
        "Hel" if name == "amid a chunk" else "",
        "Hel" if name == "amid a chunk" else "",
        "failed",
        1,
    )


@pytest.mark.anyio
async def test_server_that_drips_for_ever_can_be_bounded_and_cancelled() -> None:
    async def handler(reader: Reader, writer: Writer) -> None:
        _, headers = await head_of(reader)
        await body_of(reader, headers)
        writer.write(SILENT["after the head"])
        while True:
            writer.write(b":")
            await writer.drain()
            await asyncio.sleep(0.005)

    with anyio.fail_after(5), raw_server(handler) as port:
        transport = HttpTransport(proxy=None, read_timeout_s=1)
        async with AsyncClient(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", transport=transport) as client:
            policy = ChatPolicy(first_token_timeout_s=0.1)
            stream = client.chat.stream(MODEL, "hi", policy=policy)
            with anyio.move_on_after(0.4) as scope:
                async with stream:
                    await stream.finish()
    assert scope.cancelled_caught
    assert stream.outcome is not None
    assert (stream.outcome.status, stream.reply.was_asked_twice) == ("cancelled", True)


# Redirects


@BACKENDS
@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("target", ["/v2/chat", "https://api.x.ai/v2/chat", "../v2/chat"])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_redirect_on_the_same_origin_is_followed_with_body_and_key(
    backend: str, status: int, target: str, is_streamed: bool
) -> None:
    async def main() -> tuple[str, Service]:
        good = sse(said("Hello"), stop()) if is_streamed else whole("Hello")
        async with asking(refusal(status, location=target), good) as (chat, service):
            if not is_streamed:
                return (await chat.create(MODEL, "hi")).text, service
            async with chat.stream(MODEL, "hi") as stream:
                return (await stream.finish()).text, service

    text, service = run(main, backend)
    first, second = service.asked
    assert text == "Hello"
    assert (second.method, second.body, second.headers) == (first.method, first.body, first.headers)
    assert second.url.removeprefix("https://api.x.ai").endswith("v2/chat")


@BACKENDS
@pytest.mark.parametrize(
    ("status", "target"),
    [
        (307, "https://evil.example/v1/chat"),
        (308, "//evil.example/v1/chat"),
        (307, "http://api.x.ai/v1/chat"),
        (307, "https://api.x.ai:8443/v1/chat"),
        (307, "https://user@api.x.ai/v1/chat"),
        (307, "https://api.x.ai.evil.example/"),
        (307, "https://[broken"),
        (301, "/v2/chat"),
        (302, "/v2/chat"),
        (303, "/v2/chat"),
        (307, ""),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_redirect_elsewhere_or_of_another_kind_is_refused_and_nothing_is_sent(
    backend: str, status: int, target: str, is_streamed: bool
) -> None:
    async def main() -> tuple[ApiError, int]:
        async with asking(refusal(status, b" ", location=target), whole()) as (chat, service):
            with pytest.raises(ApiError) as caught:
                if is_streamed:
                    async with chat.stream(MODEL, "hi"):
                        raise AssertionError("it was entered")
                await chat.create(MODEL, "hi")
            return caught.value, len(service.asked)

    error, asked = run(main, backend)
    assert (error.status, asked) == (status, 1)
    assert "redirect" in str(error)


@BACKENDS
def test_redirects_without_an_end_are_an_error(backend: str) -> None:
    async def main() -> int:
        async with asking(refusal(307, location="/v1/chat/completions")) as (chat, service):
            with pytest.raises(RemoteProtocolError, match="redirects without an end"):
                await chat.create(MODEL, "hi")
            return len(service.asked)

    assert run(main, backend) == 5
