"""Uploads that fail: what the error is, and when another attempt is made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY, page, serving
from tests.stt.uploads import KINDS, ONCE, TOLD, Desk, Sources, at, refused
from tests.tapes import BACKENDS, on
from xai_realtime import AsyncClient
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.speech_quirks import Refuse, SpeechQuirks
from xai_realtime.errors import (
    ApiError,
    AuthenticationError,
    ConnectError,
    ConnectionBrokenError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TransportTimeoutError,
)

pytestmark = pytest.mark.anyio

STATUSES = [
    (400, "bad format", ApiError),
    (400, "Incorrect API key provided: xa***", AuthenticationError),
    (401, "no", AuthenticationError),
    (403, "no", PermissionDeniedError),
    (404, "no", NotFoundError),
    (413, "no", ApiError),
    (429, "slow down", RateLimitError),
    (500, "no", ServerError),
    (502, "no download", ServerError),
    (503, "busy", ServerError),
]


@pytest.mark.behaviour("stt-file-errors")
@pytest.mark.parametrize(("status", "message", "kind"), STATUSES)
@pytest.mark.parametrize("is_live", [True, False])
async def test_answer_that_says_no_is_a_typed_error(
    status: int, message: str, kind: type[ApiError], is_live: bool
) -> None:
    rule = Refuse(status=status, body=f'{{"code":"c","error":"{message}"}}', retry_after_s=7, path="/stt", times=5)
    emulator = Emulator(speech=SpeechQuirks(refuse=(rule,)))
    with anyio.fail_after(10):
        async with emulator:
            client = emulator.client() if is_live else AsyncClient(transport=emulator.transport())
            async with client:
                with pytest.raises(kind) as caught:
                    await client.stt.transcribe(bytes(3_000_000), audio_format="pcm", sample_rate=8000)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.message, caught.value.retry_after_s) == (status, message, 7)


@pytest.mark.behaviour("stt-file-errors")
@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ((502, {}, b"<html>Bad gateway</html>"), ServerError, "HTTP 502"),
        ((200, {}, b"<html>hello</html>"), RemoteProtocolError, "no JSON"),
        ((200, {}, b'{"text": "cut'), RemoteProtocolError, "no JSON"),
        ((200, {}, b'{"code": "c", "error": "not today"}'), ApiError, "not today"),
        ((200, {}, b"{}"), RemoteProtocolError, "holds no text"),
        ((200, {}, b"[]"), RemoteProtocolError, "list of 0"),
        (ConnectionBrokenError(None, "cut"), ConnectionBrokenError, "cut"),
        (TransportTimeoutError("read", 5), TransportTimeoutError, "read"),
        (ConnectError("nobody"), ConnectError, "nobody"),
    ],
)
async def test_answer_that_is_no_transcript_is_a_typed_error_and_nothing_is_asked_twice(
    answer: Any, kind: type[Exception], said: str
) -> None:
    desk = Desk(answer)
    with pytest.raises(kind, match=said):
        await at(desk).stt.transcribe(b"x")
    assert len(desk.requests) == 1


@pytest.mark.behaviour("stt-file-errors")
async def test_truncated_and_silent_answers_over_a_socket_are_typed_errors() -> None:
    async def answer(asked: Any, writer: asyncio.StreamWriter) -> None:
        if "silent" in asked.target:
            await asyncio.sleep(2)
        writer.write(page(200, b'{"text": "' + b"a" * 100)[:-50])
        await writer.drain()
        writer.close()

    with anyio.fail_after(10), serving(answer) as peer:
        async with AsyncClient(base_url=peer.url, api_key=KEY) as client:
            with pytest.raises(ConnectionBrokenError):
                await client.stt.transcribe(b"x")
            with pytest.raises(TransportTimeoutError, match=r"read did not finish within 0.2 s"):
                await client.stt.transcribe(b"x", query={"silent": "1"}, timeout_s=0.2)


@BACKENDS
@pytest.mark.parametrize(
    ("answers", "waited_s"),
    [
        ([refused(429, 7), refused(503), TOLD], 7.5),
        ([refused(503), refused(503), refused(503), TOLD], 0.25 + 0.5 + 1),
        ([ConnectError("no"), TransportTimeoutError("connect", 5), TransportTimeoutError("pool", 5), TOLD], 1.75),
        ([refused(503)] * 8 + [TOLD], 0.25 + 0.5 + 1 + 2 + 4 + 8 + 8 + 8),
        ([refused(429, 0), TOLD], 0),
    ],
)
@pytest.mark.behaviour("stt-file-retries")
def test_busy_service_is_asked_again_after_the_time_it_states(
    backend: str, answers: list[Any], waited_s: float
) -> None:
    async def main() -> None:
        desk, start = Desk(*answers), anyio.current_time()
        result = await at(desk).stt.transcribe(bytes(100_000), retries=9)
        assert result.text == "Hi."
        assert anyio.current_time() - start == pytest.approx(waited_s)
        assert [len(form.file.content) for form in desk.forms if form.file] == [100_000] * len(answers)
        assert len({request.headers["Content-Type"] for request in desk.requests}) == len(answers)

    on(backend, main)


@pytest.mark.parametrize(
    "answer",
    [
        refused(429, 61),
        refused(429, None, "You have used all available credits."),
        refused(403),
        refused(500),
        refused(502),
        refused(400),
        TransportTimeoutError("read", 5),
        TransportTimeoutError("write", 5),
        ConnectionBrokenError(None, "cut"),
    ],
)
@pytest.mark.behaviour("stt-file-retries")
async def test_answer_that_another_attempt_would_not_change_is_not_asked_for_again(answer: Any) -> None:
    desk = Desk(answer)
    with anyio.fail_after(5), pytest.raises((ApiError, ConnectionBrokenError, TransportTimeoutError)):
        await at(desk).stt.transcribe(b"x", retries=3)
    assert len(desk.requests) == 1


@BACKENDS
@pytest.mark.behaviour("stt-file-retries")
def test_attempts_end_with_the_last_error_and_a_source_that_runs_once_is_sent_once(
    backend: str, tmp_path: Path
) -> None:
    async def main() -> None:
        for kind in KINDS:
            desk = Desk(refused(503), refused(429, 1), refused(503, None, "the last"))
            source = Sources(b"12345", tmp_path).make(kind)
            with pytest.raises(ApiError) as caught:
                await at(desk).stt.transcribe(source, retries=2)
            assert len(desk.requests) == (1 if kind in ONCE else 3), kind
            assert caught.value.message == ("busy" if kind in ONCE else "the last")
            if kind == "file":
                source.close()

    on(backend, main)
