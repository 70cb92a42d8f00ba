"""vcrpy with our serializer and our redaction, beside our own tape."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import anyio
import pytest
import vcr

from tests.http.peers import KEY, jsonic, page, serving
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.vcr import VcrJson, configure_vcr
from xai_realtime.client import AsyncClient
from xai_realtime.errors import CassetteFormatError
from xai_realtime.transport.base import HttpRequest, HttpResponse
from xai_realtime.transport.http import HttpTransport

pytestmark = pytest.mark.anyio

SECRET = "xai-realtime-client-secret-canary0123456789canary0123456789"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XAI_API_KEY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    logging.getLogger("vcr").setLevel(logging.ERROR)


async def mint(base_url: str) -> str:
    async with AsyncClient(base_url=base_url, api_key=KEY) as client:
        return (await client.realtime.client_secret()).value


@pytest.mark.behaviour("vcr-works-beside-tapes")
async def test_client_secret_is_kept_by_vcrpy_without_any_secret_and_played_without_a_server(tmp_path: Path) -> None:
    cassette = tmp_path / "vcr.json"
    ours = configure_vcr(vcr.VCR(record_mode="once"))
    with anyio.fail_after(10), serving(jsonic({"value": SECRET, "expires_at": 5}, Set_Cookie="a=b")) as peer:
        with ours.use_cassette(str(cassette)):
            assert await mint(peer.url) == SECRET
        url = peer.url
    assert len(peer.asked) == 1
    text = cassette.read_text()
    assert SECRET not in text
    assert KEY not in text
    assert "set-cookie" not in text.lower() or "[redacted]" in text
    with anyio.fail_after(10), ours.use_cassette(str(cassette)) as played:
        assert await mint(url) == "[redacted]"
    assert played.all_played


@pytest.mark.behaviour("vcr-works-beside-tapes")
async def test_one_call_goes_to_vcrpy_and_to_our_tape_at_once_and_both_play(tmp_path: Path) -> None:
    ours = configure_vcr(vcr.VCR(record_mode="once"))
    path, cassette = tmp_path / "t.jsonl", str(tmp_path / "vcr.json")

    async def talk(client: AsyncClient) -> str:
        async with client:
            return (await client.realtime.client_secret()).value

    with anyio.fail_after(10), serving(jsonic({"value": SECRET, "expires_at": 5})) as peer:
        url = peer.url
        with ours.use_cassette(cassette):
            taping = record(path, HttpTransport())
            assert await talk(AsyncClient(base_url=url, api_key=KEY, transport=taping)) == SECRET
    with anyio.fail_after(10), ours.use_cassette(cassette):
        assert await talk(AsyncClient(base_url=url, api_key=KEY, transport=HttpTransport())) == "[redacted]"
    assert await talk(AsyncClient(base_url=url, transport=replay(path))) == "[redacted]"


async def answers(request: HttpRequest) -> tuple[HttpResponse, bytes]:
    async with HttpTransport().request(request) as response:
        return response, await response.read(10_000)


@pytest.mark.parametrize(
    ("content_type", "body", "kept"),
    [
        ("audio/mpeg", bytes(range(256)), bytes(range(256))),
        ("text/event-stream", f'data: {{"k":"{KEY}"}}\n\n'.encode(), b'data: {"k":"[redacted]"}\n\n'),
        ("text/plain", f"key {KEY}".encode(), b"key [redacted]"),
        ("text/plain", b"\xff\xfe", b"\xff\xfe"),
        ("application/json", b'{"a":1.50}', b'{"a":1.50}'),
    ],
)
async def test_bodies_of_every_kind_come_back_from_vcrpy_clean(
    content_type: str, body: bytes, kept: bytes, tmp_path: Path
) -> None:
    ours = configure_vcr(vcr.VCR(record_mode="once"), secrets=["another-secret"])
    sent = b"\x00\xffanother-secret"

    async def answer(asked: Any, writer: Any) -> None:
        writer.write(page(200, body, content_type))

    with anyio.fail_after(10), serving(answer) as peer:
        request = HttpRequest("POST", f"{peer.url}?token={KEY}", {"Authorization": f"Bearer {KEY}"}, sent)
        with ours.use_cassette(str(tmp_path / "v.json")):
            assert (await answers(request))[1] == body
    with anyio.fail_after(10), ours.use_cassette(str(tmp_path / "v.json")):
        response, played = await answers(request)
    assert played == kept
    assert response.header("content-type") == content_type
    text = (tmp_path / "v.json").read_text()
    assert KEY not in text
    assert "another-secret" not in text


async def test_compressed_body_is_not_kept_by_vcrpy(tmp_path: Path) -> None:
    ours = configure_vcr(vcr.VCR(record_mode="once"))

    async def answer(asked: Any, writer: Any) -> None:
        writer.write(page(200, b"\x0b\x02\x80{}\x03", Content_Encoding="br"))

    with anyio.fail_after(10), serving(answer) as peer:
        with ours.use_cassette(str(tmp_path / "v.json")):
            assert (await answers(HttpRequest("GET", peer.url)))[1] != b""
    (kept,) = json.loads((tmp_path / "v.json").read_text())["interactions"]
    assert kept["response"]["body"]["string"] == ""
    assert "content-encoding" not in kept["response"]["headers"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"interactions": 5}', '{"interactions": [{}]}', "[" * 5000])
def test_text_that_is_no_cassette_is_a_format_error(text: str) -> None:
    with pytest.raises(CassetteFormatError, match="no vcrpy cassette"):
        VcrJson.deserialize(text)


def test_serializer_keeps_what_it_does_not_know() -> None:
    told = {"version": 1, "interactions": [{"request": {"body": None}, "response": {"body": "x"}, "extra": 1}]}
    assert VcrJson.deserialize(VcrJson.serialize(told)) == told
