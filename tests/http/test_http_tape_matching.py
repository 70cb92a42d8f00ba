"""HTTP on the tape: what fails, what differs, what is left, whose ids are whose, and tapes that are none."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.http.peers import KEY, Scripted, ask
from tests.http.taping import (
    JSON,
    SSE,
    URL,
    UUID,
    lines,
    of_kind,
    post,
    recorded,
    recorded_again,
    replayed,
    texts,
)
from tests.tapes import BACKENDS, on
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.errors import (
    CassetteFormatError,
    ConnectError,
    ConnectionBrokenError,
    LocalProtocolError,
    ReplayIncompleteError,
    ReplayMismatchError,
    ReplayStuckError,
    TransportError,
    TransportTimeoutError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import ChannelRequest, HttpRequest, HttpResponse, Transport
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.memory import memory_pair


@BACKENDS
@pytest.mark.behaviour("http-tape-failures")
@pytest.mark.parametrize("begun", [False, True], ids=["no-answer", "half-an-answer"])
@pytest.mark.parametrize(
    "failure",
    [
        ConnectError("cannot connect to https://api.x.ai: Connection refused"),
        TransportTimeoutError("read", 60.0),
        ConnectionBrokenError(None, "the server broke HTTP: cut"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_failure_is_on_the_tape_and_happens_again_at_its_time(
    failure: TransportError, begun: bool, backend: str, tmp_path: Path
) -> None:
    after = 60.0 if isinstance(failure, TransportTimeoutError) else 0.5

    class Failing(Scripted):
        def request(self, request: HttpRequest) -> Any:
            return super().request(request) if begun else _failing(after, failure)

    async def talk(transport: Transport) -> tuple[float, list[bytes], str]:
        zero, got = anyio.current_time(), []
        with pytest.raises(type(failure)) as raised:
            async with transport.request(post({})) as response:
                async for piece in response:
                    got.append(piece)
        return round(anyio.current_time() - zero, 3), got, str(raised.value)

    async def main() -> Any:
        server = Failing(lambda request: (200, SSE, [b"data: 1\n\n", after, failure]))
        async with record(tmp_path / "t.jsonl", server, origin="synthetic") as transport:
            return await talk(transport)

    live = on(backend, main)
    again = replayed(backend, tmp_path / "t.jsonl", talk)
    assert live[:2] == again[:2] == (after, [b"data: 1\n\n"] if begun else [])
    assert again[2] == live[2].replace("https://api.x.ai", "the server")
    assert "api.x.ai:" not in (tmp_path / "t.jsonl").read_text()
    assert recorded_again(backend, tmp_path / "t.jsonl", talk) == (tmp_path / "t.jsonl").read_bytes()


def _failing(after_s: float, failure: Exception) -> Any:
    class Context:
        async def __aenter__(self) -> HttpResponse:
            await anyio.sleep(after_s)
            raise failure

        async def __aexit__(self, *failed: Any) -> None:
            raise AssertionError("never entered")

    return Context()


@BACKENDS
@pytest.mark.behaviour("http-tape-consumed")
def test_answer_that_the_client_left_ends_there_on_the_tape(backend: str, tmp_path: Path) -> None:
    def answer(request: HttpRequest) -> Any:
        return 200, SSE, [b"data: 1\n\n", 1.0, b"data: 2\n\n", 1.0, b"data: 3\n\n"]

    async def leave(transport: Transport) -> None:
        async with transport.request(post({})) as response:
            body = aiter(response)
            for _ in range(2):
                await anext(body)

    path = recorded(backend, tmp_path / "t.jsonl", answer, leave)
    assert of_kind(path, "done")[0] | {"at_ms": 0} == {
        "kind": "done", "conn": 1, "at_ms": 0, "error": "client", "reason": "",
    }  # fmt: skip
    replayed(backend, path, leave)
    assert recorded_again(backend, path, leave) == path.read_bytes()
    with pytest.raises(ReplayStuckError, match=r"t\.jsonl:6: stuck: the answer to POST /v1/chat/completions was left"):
        replayed(backend, path, lambda transport: ask(transport, post({})))

    async def less(transport: Transport) -> None:
        async with transport.request(post({})) as response:
            await anext(aiter(response))

    with pytest.raises(ReplayIncompleteError, match=r"unread a piece of the answer to POST .* \(line 5\)"):
        replayed(backend, path, less)


@BACKENDS
@pytest.mark.behaviour("http-tape-matched")
def test_request_that_differs_is_a_mismatch_with_its_place(backend: str, tmp_path: Path) -> None:
    body = {"model": "grok-4.6", "messages": [{"role": "user", "content": "hi"}]}
    path = recorded(backend, tmp_path / "t.jsonl", lambda request: (200, JSON, [b"{}"]), lambda t: ask(t, post(body)))

    def mismatch(request: HttpRequest, **options: Any) -> ReplayMismatchError:
        with pytest.raises(ReplayMismatchError) as raised:
            replayed(backend, path, lambda transport: ask(transport, request), **options)
        return raised.value

    other = {**body, "messages": [{"role": "user", "content": f"bye {KEY}"}]}
    error = mismatch(post(other))
    assert (error.line, error.where, error.expected, error.actual) == (
        2, "messages[0].content", "'hi'", "'bye [redacted]'",
    )  # fmt: skip
    assert KEY not in str(error)
    assert mismatch(post({**body, "n": 2})).where == "n"
    assert mismatch(post({"model": "grok-4.6"})).actual == "(absent)"
    assert mismatch(post(b"")).actual == "no body"
    assert mismatch(post(b'"text"')).actual == repr('"text"')
    assert mismatch(post(b"x" * 500)).actual.endswith("… (502 characters)")
    assert mismatch(post(body, f"{URL}?x=1")).expected == f"POST {URL}"
    assert mismatch(replace(post(body), method="PUT")).actual == f"PUT {URL}"
    assert "the request differs" in str(mismatch(post(body, "https://api.x.ai/v1/other")))
    policy = MatchPolicy(ignore={"POST /v1/chat/completions": ("messages",)})
    replayed(backend, path, lambda transport: ask(transport, post(other)), policy=policy)
    replayed(backend, path, lambda transport: ask(transport, post(body, URL.replace("api.x.ai", "elsewhere:99"))))

    async def twice(transport: Transport) -> None:
        await ask(transport, post(body))
        await ask(transport, post(body))

    with pytest.raises(ReplayMismatchError, match="no further request"):
        replayed(backend, path, twice)


@BACKENDS
@pytest.mark.behaviour("http-tape-consumed")
def test_request_that_does_not_come_is_an_error_at_the_end(backend: str, tmp_path: Path) -> None:
    path = recorded(backend, tmp_path / "t.jsonl", lambda request: (200, JSON, [b"{}"]), lambda t: ask(t, post({})))
    with pytest.raises(ReplayIncompleteError, match=r"unsent the request POST /v1/chat/completions \(line 2\)"):
        replayed(backend, path, lambda transport: anyio.sleep(0))

    async def report(transport: Any) -> Any:
        await ask(transport, post({}))
        return transport.report()

    told = replayed(backend, path, report)
    assert (told.requests, told.connections, told.unread, told.unsent) == (1, 0, (), ())


@BACKENDS
@pytest.mark.behaviour("http-tape-matched")
def test_requests_one_after_the_other_may_not_be_swapped_but_those_at_once_may(backend: str, tmp_path: Path) -> None:
    def answer(request: HttpRequest) -> Any:
        return 200, JSON, [0.2, request.body]

    async def ask_in(transport: Transport, order: tuple[int, ...]) -> list[bytes]:
        return [(await ask(transport, post({"n": number})))[1][0] for number in order]

    async def at_once(transport: Transport, order: tuple[int, ...]) -> list[bytes]:
        got: dict[int, bytes] = {}

        async def one(number: int) -> None:
            await anyio.sleep(0.001 * order.index(number))
            got[number] = (await ask(transport, post({"n": number})))[1][0]

        async with anyio.create_task_group() as tasks:
            for number in order:
                tasks.start_soon(one, number)
        return [got[number] for number in sorted(got)]

    path = recorded(backend, tmp_path / "t.jsonl", answer, lambda transport: ask_in(transport, (1, 2)))
    with pytest.raises(ReplayMismatchError, match="POST /v1/chat/completions differs"):
        replayed(backend, path, lambda transport: ask_in(transport, (2, 1)))
    path = recorded(backend, tmp_path / "u.jsonl", answer, lambda transport: at_once(transport, (1, 2)))
    assert [line["conn"] for line in lines(path) if "conn" in line] == [1, 1, 2, 2, 1, 1, 2, 2]
    assert replayed(backend, path, lambda t: at_once(t, (2, 1))) == [b'{"n": 1}', b'{"n": 2}']


@BACKENDS
@pytest.mark.behaviour("http-tape-ids")
def test_ids_are_named_on_the_tape_and_bound_both_ways_in_the_replay(backend: str, tmp_path: Path) -> None:
    async def talk(transport: Transport, minted: str) -> Any:
        async with transport.request(post({"request_id": minted})) as response:
            told = json.loads(await response.read(1000))
            header = response.header("x-request-id")
        await ask(transport, HttpRequest("GET", f"https://api.x.ai/v1/responses/{told['id']}?response_id={told['id']}"))
        return told, header

    def answer(request: HttpRequest) -> Any:
        told = {"id": f"resp_{UUID}", "request_id": json.loads(request.body)["request_id"]} if request.body else {}
        return 200, {**JSON, "X-Request-Id": UUID}, [json.dumps(told).encode()]

    path = recorded(backend, tmp_path / "t.jsonl", answer, lambda transport: talk(transport, str(uuid.UUID(int=7))))
    assert of_kind(path, "request")[0]["body"] == {"request_id": "request_1"}
    assert of_kind(path, "response")[0]["headers"]["x-request-id"] == "request_2"
    assert texts(path)[0][1] == '{"id":"id_1","request_id":"request_1"}'
    assert of_kind(path, "request")[1]["url"] == "https://api.x.ai/v1/responses/id_1?response_id=id_1"
    mine = str(uuid.UUID(int=8))
    told, header = replayed(backend, path, lambda transport: talk(transport, mine))
    assert told["request_id"] == mine
    assert header == "request_2"
    fresh, _ = replayed(backend, path, lambda transport: talk(transport, mine), ids="fresh")
    assert fresh["id"] != told["id"]
    assert recorded_again(backend, path, lambda transport: talk(transport, "request_1")) == path.read_bytes()


@BACKENDS
@pytest.mark.behaviour("http-seam")
def test_sockets_and_http_share_one_tape_and_one_time(backend: str, tmp_path: Path) -> None:
    async def talk(transport: Transport) -> Any:
        zero = anyio.current_time()
        status, _ = await ask(transport, post({}))
        async with transport.open(ChannelRequest("wss://api.x.ai/v1/realtime")) as channel:
            await channel.send(Frame(b'{"type":"a"}'))
            frame = await channel.receive()
        return status, json.loads(frame.data), round(anyio.current_time() - zero, 3)

    async def main() -> Any:
        sockets, server = memory_pair()

        class Both(Scripted):
            def open(self, request: ChannelRequest) -> Any:
                return sockets.open(request)

        async def serve() -> None:
            _, channel = await server.accept()
            await channel.receive()
            await anyio.sleep(0.5)
            await channel.send(Frame(b'{"type":"b"}'))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            both = Both(lambda request: (200, JSON, [0.25, b"{}"]))
            async with record(tmp_path / "t.jsonl", both, origin="synthetic") as transport:
                return await talk(transport)

    live = on(backend, main)
    assert [line["conn"] for line in lines(tmp_path / "t.jsonl") if "conn" in line] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert live == replayed(backend, tmp_path / "t.jsonl", talk) == (200, {"type": "b"}, 0.75)
    assert recorded_again(backend, tmp_path / "t.jsonl", talk) == (tmp_path / "t.jsonl").read_bytes()


def test_killed_recording_leaves_a_tape_that_says_where_it_ends(tmp_path: Path) -> None:
    async def main() -> Any:
        server = Scripted(lambda request: (200, SSE, [b"data: 1\n\n", b"data: 2"]))
        transport = record(tmp_path / "t.jsonl", server, origin="synthetic")
        await transport.__aenter__()
        async with transport.request(post({})) as response:
            async for _ in response:
                pass
            kept = (tmp_path / "t.jsonl.partial").read_bytes()
        await transport.__aexit__(None, None, None)
        half = kept[: kept.index(b'{"kind":"done"')]
        (tmp_path / "half.jsonl.partial").write_bytes(half)
        async with replay(tmp_path / "half.jsonl.partial") as tape:
            return await ask(tape, post({}))

    with pytest.raises(ConnectionBrokenError, match="ends within this exchange"):
        on("asyncio", main)


@pytest.mark.parametrize(
    ("records", "wrong"),
    [
        ([("response", {"status": 200})], "exchange 1 is not open here"),
        ([("request", {"method": "GET", "url": "/"})] * 2, "opened twice"),
        ([("request", {"method": "GET", "url": "/"}), ("chunk", {"text": ""})], "body before its head"),
        ([("request", {"method": "GET", "url": "/"}), ("done", {}), ("done", {})], "exchange 1 is over here"),
        ([("request", {"method": "GET", "url": "/"}), *[("response", {"status": 200})] * 2], "two heads"),
    ],
)
def test_exchange_out_of_order_makes_no_tape(records: list[Any], wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.partial"
    head = {"kind": "header", "cassette": 1, "origin": "synthetic", "service": "chat"}
    rows = [head, *({"kind": kind, "conn": 1, "at_ms": 0.0, **fields} for kind, fields in records)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(CassetteFormatError, match=wrong):
        load_cassette(path)


def test_body_of_a_request_that_reads_like_a_reference_comes_back_as_it_was(tmp_path: Path) -> None:
    body = {"$media": {"file": "x", "offset": 0, "bytes": 1}, "a": [{"$literal": 1}]}

    async def talk(transport: Transport) -> Any:
        return await ask(transport, post(body))

    path = recorded("asyncio", tmp_path / "t.jsonl", lambda request: (204, {}, []), talk)
    tape = load_cassette(path)
    assert tape.request_body(tape.exchanges[1].request) == body
    assert replayed("trio", path, talk) == (204, [])
    record_ = tape.exchanges[1].request
    record_.body = {"$media": {"file": "gone.raw", "offset": 0, "bytes": 1}}
    with pytest.raises(CassetteFormatError, match=r"gone\.raw"):
        tape.request_body(record_)


def test_recording_of_a_transport_without_http_says_so_and_takes_no_number(tmp_path: Path) -> None:
    async def main() -> None:
        transport, _ = memory_pair()
        async with record(tmp_path / "t.jsonl", transport, origin="synthetic") as taping:
            with pytest.raises(LocalProtocolError, match="no HTTP"):
                await ask(taping, post({}))
            async with taping.open(ChannelRequest("wss://h/v1/realtime")):
                pass

    on("asyncio", main)
    assert [line.get("conn") for line in lines(tmp_path / "t.jsonl")] == [None, 1, 1, None]


def test_check_finds_what_naming_or_redacting_an_answer_again_would_change(tmp_path: Path) -> None:
    body = [json.dumps({"id": UUID, "value": "short", "expires_at": 1}).encode()]
    path = recorded("asyncio", tmp_path / "t.jsonl", lambda request: (200, JSON, body), lambda t: ask(t, post({})))
    text = path.read_text()
    assert check_cassette(path).findings == []
    path.write_text(text.replace("[redacted]\\", "something\\"))
    assert [finding.check for finding in check_cassette(path).findings] == ["redaction"]
    path.write_text(text.replace('\\"id_1\\"', f'\\"{UUID}\\"'))
    assert any("ids are kept" in note for note in check_cassette(path).notes)


@pytest.mark.anyio
async def test_recording_in_real_time_over_httpx2_replays_in_any_time(tmp_path: Path) -> None:
    given = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"a": request.url.path}))
    path = tmp_path / "t.jsonl"
    with anyio.fail_after(5):
        async with record(path, HttpTransport(httpx2_transport=given), service="chat") as transport:
            assert await ask(transport, post({})) == (200, [b'{"a":"/v1/chat/completions"}'])
        for clock in ("instant", "real"):
            async with replay(path, clock=clock) as transport:  # type: ignore[arg-type]
                assert await ask(transport, post({})) == (200, [b'{"a":"/v1/chat/completions"}'])
