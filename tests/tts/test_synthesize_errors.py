"""What goes wrong when a text is spoken over HTTP: refusals, pages of HTML, audio that is none, broken lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.peers import KEY
from tests.tapes import BACKENDS, on
from tests.tts.spoken import LONG, answering, emulated, envelope
from xai_realtime import AsyncClient
from xai_realtime.emulator import Refuse, SpeechQuirks
from xai_realtime.errors import (
    ApiError,
    AuthenticationError,
    ConnectionBrokenError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TransportTimeoutError,
)

JSON = {"content-type": "application/json", "x-trace-id": "trace-9"}
PCM = {"content-type": "audio/pcm"}


def flat(message: str) -> list[Any]:
    return [json.dumps({"error": message}).encode()]


@BACKENDS
@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad codec", ApiError),
        (400, "Incorrect API key provided", AuthenticationError),
        (401, "no key", AuthenticationError),
        (403, "no credits", PermissionDeniedError),
        (404, "no such voice", NotFoundError),
        (422, "missing field language", ApiError),
        (429, "slow down", RateLimitError),
        (500, "oh", ServerError),
        (503, "unavailable", ServerError),
    ],
)
@pytest.mark.behaviour("tts-files-errors")
def test_refusal_is_typed_and_has_the_trace_id(
    backend: str, status: int, message: str, kind: type[ApiError], timestamps: bool
) -> None:
    client, asked = answering((status, {**JSON, "retry-after": "7"}, flat(f"{message} {KEY}")))
    with pytest.raises(kind) as caught:
        on(backend, lambda: client.tts.synthesize("Hi.", timestamps=timestamps))
    error = caught.value
    assert (error.status, error.request_id, error.retry_after_s) == (status, "trace-9", 7)
    assert message in str(error)
    assert KEY not in str(error) and KEY.encode() not in error.body
    assert len(asked) == 1


@BACKENDS
@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.behaviour("tts-files-errors")
def test_refusal_of_the_emulator_is_typed_also_as_a_page_of_html(backend: str, status: int) -> None:
    rule = Refuse(status=status, body="<html>no</html>", content_type="text/html", path="/tts")

    async def talk(client: AsyncClient) -> int:
        with pytest.raises(ApiError) as caught:
            await client.tts.synthesize("Hi.")
        assert (await client.tts.synthesize("Hi.")).size_bytes > 0
        return caught.value.status

    assert emulated(backend, talk, speech=SpeechQuirks(refuse=(rule,))) == status


@BACKENDS
@pytest.mark.behaviour("tts-files-errors")
def test_unknown_voice_is_not_found(backend: str) -> None:
    async def talk(client: AsyncClient) -> str | None:
        with pytest.raises(NotFoundError) as caught:
            await client.tts.synthesize("Hi.", voice="nobody-at-all")
        return caught.value.request_id

    assert emulated(backend, talk)


@BACKENDS
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=utf-8", b"<html>hello</html>"),
        ("text/plain", b"words"),
        ("application/json", b'{"audio": "YWI="}'),
        ("application/problem+json", b"{}"),
        ("application/json", b"no json"),
    ],
)
@pytest.mark.behaviour("tts-files-errors")
def test_good_status_without_audio_is_told_by_its_type(backend: str, kind: str, body: bytes) -> None:
    client, _ = answering((200, {"content-type": kind}, [body]))
    with pytest.raises(RemoteProtocolError, match="no audio"):
        on(backend, lambda: client.tts.synthesize("Hi."))


@BACKENDS
@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize(("kind", "asked"), [("audio/mpeg", "pcm"), ("audio/wav", "mulaw"), ("audio/mp3", "wav")])
@pytest.mark.behaviour("tts-files-errors")
def test_audio_in_another_codec_than_asked_for_is_told(backend: str, kind: str, asked: Any, timestamps: bool) -> None:
    plain = (200, {"content-type": kind}, [b"ab"])
    client, _ = answering((200, JSON, [envelope(b"ab", content_type=kind)]) if timestamps else plain)
    with pytest.raises(RemoteProtocolError, match=f"not with {asked}"):
        on(backend, lambda: client.tts.synthesize("Hi.", codec=asked, timestamps=timestamps))


@BACKENDS
@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.behaviour("tts-files-errors")
def test_error_under_a_good_status_is_an_api_error(backend: str, timestamps: bool) -> None:
    client, _ = answering((200, JSON, flat("The service is currently unavailable")))
    with pytest.raises(ApiError, match="unavailable") as caught:
        on(backend, lambda: client.tts.synthesize("Hi.", timestamps=timestamps))
    assert (caught.value.status, caught.value.request_id) == (200, "trace-9")


@BACKENDS
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no speech with times"),
        (b"[1]", "no speech with times"),
        (b'{"audio": 7}', "no speech with times"),
        (envelope("no base64!"), "no base64"),
        (envelope(b"ab", audio_timestamps={"graph_chars": 7}), "cannot be read"),
        (envelope(b"abc"), "cut"),
        (envelope(b""), "without any audio"),
    ],
)
@pytest.mark.behaviour("tts-files-errors", "ask-67")
def test_envelope_that_cannot_be_read_is_told(backend: str, body: bytes, reason: str) -> None:
    client, _ = answering((200, JSON, [body]))
    with pytest.raises(RemoteProtocolError, match=reason):
        on(backend, lambda: client.tts.synthesize("Hi.", timestamps=True))


@BACKENDS
@pytest.mark.parametrize("kind", [ConnectionBrokenError, TransportTimeoutError])
@pytest.mark.behaviour("tts-files-cut")
def test_line_that_breaks_in_the_middle_is_told_with_the_piece(backend: str, kind: type[Exception]) -> None:
    broken = kind() if kind is ConnectionBrokenError else kind("read", 60)
    client, asked = answering((200, PCM, [b"ab"]), (200, PCM, [b"ab", broken]))
    with pytest.raises(kind) as caught:
        on(backend, lambda: client.tts.synthesize(LONG))
    assert len(asked) == 2
    assert caught.value.__notes__ == ["in piece 2 of 2 of the text"]
