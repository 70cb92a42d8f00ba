"""HTTP on the tape: recorded with the time of each piece, replayed in that time, recorded again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
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
    timed,
)
from tests.tapes import BACKENDS, on
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.recording import record
from xai_realtime.errors import (
    ConnectionBrokenError,
    ReplayMismatchError,
)
from xai_realtime.transport.base import HttpRequest, Transport


@BACKENDS
@pytest.mark.behaviour("http-tape-rhythm")
def test_event_stream_keeps_its_rhythm_on_the_tape_and_in_the_replay(backend: str, tmp_path: Path) -> None:
    pieces = [b'data: {"delta":"Hel"}\n\n', b'data: {"delta":"lo"}\n\n', b"data: [DONE]\n\n"]

    def answer(request: HttpRequest) -> Any:
        return 200, SSE, [0.25, pieces[0], 1.0, pieces[1], 0.5, pieces[2], 0.125]

    async def talk(transport: Transport) -> Any:
        await anyio.sleep(0.75)
        return await timed(transport, post({"stream": True}))

    path = recorded(backend, tmp_path / "t.jsonl", answer, talk)
    assert [line["kind"] for line in lines(path)] == [
        "header", "request", "response", "chunk", "chunk", "chunk", "done", "end",
    ]  # fmt: skip
    assert texts(path) == [(250.0, pieces[0].decode()), (1250.0, pieces[1].decode()), (1750.0, pieces[2].decode())]
    assert of_kind(path, "done") == [{"kind": "done", "conn": 1, "at_ms": 1875.0, "error": None, "reason": ""}]
    assert replayed(backend, path, talk) == list(zip([250.0, 1250.0, 1750.0], pieces, strict=True))
    assert replayed(backend, path, talk, scale=2)[0][0] == 500.0
    assert [piece for _, piece in replayed(backend, path, talk, clock="instant")] == pieces
    assert recorded_again(backend, path, talk) == path.read_bytes()


@BACKENDS
@pytest.mark.behaviour("http-tape-redacted")
def test_request_is_on_the_tape_without_its_key_and_with_its_body_as_json(backend: str, tmp_path: Path) -> None:
    async def talk(transport: Transport) -> None:
        request = post(
            {"model": "grok", "user_key": "u"}, f"{URL}?api_key={KEY}&x=1", **{"X-Own": "no", "Accept": "a/b"}
        )
        assert (await ask(transport, request))[0] == 200

    path = recorded(backend, tmp_path / "t.jsonl", lambda request: (200, JSON, [b"{}"]), talk)
    (asked,) = of_kind(path, "request")
    assert asked == {
        "kind": "request",
        "conn": 1,
        "at_ms": 0.0,
        "method": "POST",
        "url": f"{URL}?api_key=[redacted]&x=1",
        "headers": {"content-type": "application/json", "authorization": "[redacted]", "accept": "a/b"},
        "body": {"model": "grok", "user_key": "u"},
    }
    replayed(backend, path, talk)
    assert recorded_again(backend, path, talk) == path.read_bytes()


@pytest.mark.parametrize("cut", range(1, 60, 4))
@pytest.mark.behaviour("http-tape-redacted")
def test_secret_of_an_answer_is_never_on_the_tape_wherever_its_pieces_are_cut(cut: int, tmp_path: Path) -> None:
    secret = "completely_unlike_a_known_secret"
    body = json.dumps({"expires_at": 1_790_000_000, "value": secret}).encode()

    async def talk(transport: Transport) -> None:
        async with transport.request(post({})) as response:
            assert b"".join([piece async for piece in response]) in (
                body,
                b'{"expires_at":1790000000,"value":"[redacted]"}',
            )
        await ask(transport, post({"seen": secret}) if isinstance(transport, Scripted) else post({"seen": "x"}))

    def answer(request: HttpRequest) -> Any:
        return 200, JSON, [0.1, body[:cut], 0.1, body[cut:], 0.1]

    path = recorded("asyncio", tmp_path / "t.jsonl", answer, talk)
    assert secret not in path.read_text()
    assert secret[:12] not in path.read_text()
    assert texts(path)[0] == (200.0, '{"expires_at":1790000000,"value":"[redacted]"}')
    assert recorded_again("trio", path, talk) == path.read_bytes()


@pytest.mark.behaviour("http-tape-redacted")
def test_secret_that_an_answer_handed_out_is_found_wherever_it_comes_back(tmp_path: Path) -> None:
    secret = "completely_unlike_a_known_secret"
    body = json.dumps({"client_secret": {"value": secret, "expires_at": 1}}).encode()

    async def talk(transport: Transport) -> None:
        await ask(transport, post({}))
        await ask(transport, post({"echo": secret}))

    path = recorded("asyncio", tmp_path / "t.jsonl", lambda request: (200, JSON, [body]), talk)
    assert secret not in path.read_text()
    assert of_kind(path, "request")[1]["body"] == {"echo": "[redacted]"}


@BACKENDS
@pytest.mark.behaviour("http-tape-redacted")
def test_event_that_is_cut_holds_back_what_follows_until_it_can_be_read(backend: str, tmp_path: Path) -> None:
    def answer(request: HttpRequest) -> Any:
        if request.method == "GET":
            return 200, {"content-type": "text/plain"}, [b"plain"]
        event = f'data: {{"id":"{UUID}","text":"{KEY}"}}\n\n'.encode()
        return 200, SSE, [event[:20], 1.0, event[20:70], 1.0, event[70:] + b"data: 1\n", b"\n"]

    async def talk(transport: Transport) -> None:
        async def other() -> None:
            await anyio.sleep(0.5)
            assert await ask(transport, HttpRequest("GET", URL)) == (200, [b"plain"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            status, pieces = await ask(transport, post({}))
        assert (status, b"".join(pieces)[-10:]) == (200, b"\ndata: 1\n\n")

    path = recorded(backend, tmp_path / "t.jsonl", answer, talk)
    assert texts(path) == [
        (500.0, "plain"),
        (2000.0, 'data: {"id":"id_1","text":"[redacted]"}\n\ndata: 1\n'),
        (2000.0, "\n"),
    ]
    replayed(backend, path, talk)
    assert recorded_again(backend, path, talk) == path.read_bytes()


@BACKENDS
def test_clean_answer_keeps_its_very_bytes_and_cuts(backend: str, tmp_path: Path) -> None:
    body = '{"text":\n  "Grüße, 世界",  "n": 1.50 }\n'.encode()
    cuts = [body[:14], body[14:22], body[22:30], body[30:]]

    async def talk(transport: Transport) -> bytes:
        return b"".join((await ask(transport, post([])))[1])

    path = recorded(backend, tmp_path / "t.jsonl", lambda request: (200, JSON, cuts), talk)
    assert len(texts(path)) == 4
    assert "".join(text or "" for _, text in texts(path)).encode() == body
    assert replayed(backend, path, talk) == body
    assert recorded_again(backend, path, talk) == path.read_bytes()


@BACKENDS
def test_binary_bodies_are_beside_the_tape_byte_for_byte(backend: str, tmp_path: Path) -> None:
    audio = bytes(range(256)) * 9
    form = b'--XyZ7\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + audio + b"\r\n--XyZ7--\r\n"
    sent = post(form, **{"Content-Type": "multipart/form-data; boundary=XyZ7"})

    def answer(request: HttpRequest) -> Any:
        return 200, {"content-type": "audio/mpeg"}, [audio[:1001], 0.2, audio[1001:]]

    async def talk(transport: Transport) -> Any:
        return await ask(transport, sent)

    path = recorded(backend, tmp_path / "t.jsonl", answer, talk)
    assert sorted(file.name for file in (tmp_path / "t.media").iterdir()) == ["conn1.body.raw", "conn1.request.raw"]
    assert replayed(backend, path, talk) == (200, [audio[:1001], audio[1001:]])
    assert recorded_again(backend, path, talk) == path.read_bytes()
    sent = post(form.replace(b"XyZ7", b"other"), **{"Content-Type": 'multipart/form-data; boundary="other"'})
    replayed(backend, path, talk)
    sent = post(form.replace(b"\xff", b"\xfe"), **{"Content-Type": "multipart/form-data; boundary=XyZ7"})
    with pytest.raises(ReplayMismatchError, match=r"\(body\)\[314\]\n  expected 0xff\n  actual   0xfe"):
        replayed(backend, path, talk)
    replayed(backend, path, talk, policy=MatchPolicy(audio="length"))
    sent = post(form + b"more", **{"Content-Type": "multipart/form-data; boundary=XyZ7"})
    with pytest.raises(ReplayMismatchError):
        replayed(backend, path, talk, policy=MatchPolicy(audio="length"))
    replayed(backend, path, talk, policy=MatchPolicy(audio="ignore"))


@pytest.mark.parametrize(
    ("content_type", "pieces"),
    [
        ("text/plain", [b"\xff\xfe", b"abc"]),
        ("", [b"\x00\xff"]),
        ("application/x-ndjson", [b'{"a":1}\n{"b"', b":2}\n"]),
    ],
)
def test_text_that_is_none_and_lines_of_json_come_back_as_they_were(
    content_type: str, pieces: list[bytes], tmp_path: Path
) -> None:
    async def talk(transport: Transport) -> Any:
        return await ask(transport, post({}))

    path = recorded(
        "asyncio", tmp_path / "t.jsonl", lambda request: (200, {"content-type": content_type}, pieces), talk
    )
    assert b"".join(replayed("trio", path, talk)[1]) == b"".join(pieces)
    assert recorded_again("trio", path, talk) == path.read_bytes()


@BACKENDS
@pytest.mark.behaviour("http-tape-redacted")
def test_compressed_answer_is_not_kept_and_recording_asks_for_none(backend: str, tmp_path: Path) -> None:
    async def talk(transport: Transport) -> Any:
        return await ask(transport, post({}, **{"accept-encoding": "gzip, br"}))

    server = Scripted(lambda request: (200, {**JSON, "Content-Encoding": "br"}, [b"\x0b\x02\x80{}\x03"]))

    async def main() -> None:
        async with record(tmp_path / "t.jsonl", server, origin="synthetic") as transport:
            assert (await talk(transport))[1] == [b"\x0b\x02\x80{}\x03"]

    on(backend, main)
    assert {name.lower(): value for name, value in server.asked[0].headers.items()}["accept-encoding"] == "identity"
    assert of_kind(tmp_path / "t.jsonl", "chunk") == []
    with pytest.raises(ConnectionBrokenError, match=r"not on the tape .content-encoding br"):
        replayed(backend, tmp_path / "t.jsonl", talk)
