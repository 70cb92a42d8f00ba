"""Errors of the socket that no server of these tests can cause, and the texts that bodies are read for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xai_realtime.errors import ConfigurationError, ConnectError
from xai_realtime.transport._websocket_errors import Scrubber, open_error, origin_of, parse_error_body
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

SECRET = "xai-canary-0123456789abcdef"


@pytest.mark.behaviour("ws-refusal-flat")
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"code": "invalid", "error": "wrong key"}, "invalid", "wrong key"),
        ({"error": {"code": "invalid_api_key", "type": "auth", "message": "wrong"}}, "invalid_api_key", "wrong"),
        ({"error": {"code": None, "type": "auth", "message": "wrong"}}, "auth", "wrong"),
        ({"error": {"code": 7, "message": ["x"]}}, None, None),
        ({"error": "wrong"}, None, "wrong"),
        ({"message": "wrong"}, None, "wrong"),
        ({"detail": "other"}, None, "other"),
        ({"other": "detail"}, None, None),
        ("wrong", None, "wrong"),
        (["wrong"], None, None),
        (None, None, None),
    ],
)
def test_error_body_gives_code_and_message_when_it_is_json(body: object, code: str | None, message: str | None) -> None:
    assert parse_error_body(json.dumps(body).encode()) == (code, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", None),
        (b"  upstream\n is  down ", "upstream is down"),
        (b"<html><body>Bad Gateway</body></html>", None),
        (b'{"error": "cut of', None),
        (b"[" * 60_000, None),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"1" * 5000, "1" * 5000),
    ],
)
def test_error_body_gives_its_text_when_it_is_no_json(body: bytes, message: str | None) -> None:
    assert parse_error_body(body) == (None, message)


@pytest.mark.behaviour("ws-no-secrets")
def test_scrubber_hides_every_form_of_a_secret_when_a_server_repeats_them() -> None:
    scrub = Scrubber(
        ChannelRequest(
            "wss://api.x.ai/v1/realtime?model=grok-voice-latest&api_key=query%2Bsecret",
            headers={"Authorization": f"Bearer {SECRET}", "X-Api-Token": "other-secret", "X-Trace": "trace-7"},
            subprotocols=("realtime", "xai-client-secret.protocol-secret"),
        )
    )
    said = (
        f"{SECRET} Bearer {SECRET} other-secret query+secret query%2Bsecret protocol-secret trace-7 grok-voice-latest"
    )
    for shown in (scrub.text(said), scrub.data(said.encode()).decode()):
        assert shown.replace("[redacted]", "").split() == ["trace-7", "grok-voice-latest"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("wss://user:word@api.x.ai/v1/realtime?key=1", "wss://api.x.ai"),
        ("ws://[::1]:8080/x", "ws://[::1]:8080"),
        ("ws://host:99999/", "an unreadable address"),
    ],
)
def test_origin_shows_scheme_host_and_port_alone(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def mapped(error: Exception) -> Any:
    scrub = Scrubber(ChannelRequest("ws://host"))
    return open_error(error, url="ws://host/?key=1", open_timeout_s=1, scrub=scrub)


def test_open_error_names_the_systems_timeout_as_a_failure_to_connect() -> None:
    assert isinstance(mapped(TimeoutError(110, "Connection timed out")), ConnectError)
    assert str(mapped(TimeoutError(110, "Connection timed out"))) == "cannot connect to ws://host: Connection timed out"


def test_open_error_reads_the_cause_when_trio_reports_a_broken_resource() -> None:
    broken = type("BrokenResourceError", (Exception,), {})()
    broken.__cause__ = OSError(104, "Connection reset by peer")
    assert str(mapped(broken)) == "cannot connect to ws://host: Connection reset by peer"
    assert str(mapped(EOFError())) == "cannot connect to ws://host: EOFError"


def test_open_error_hides_the_address_when_the_library_refuses_it() -> None:
    from websockets.exceptions import InvalidURI

    error = mapped(InvalidURI("ws://host/?key=1", "hostname isn't provided"))
    assert isinstance(error, ConfigurationError)
    assert str(error) == "the address at ws://host cannot be used: hostname isn't provided"


@pytest.mark.anyio
async def test_open_passes_an_unknown_error_unchanged(live_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(url: str, settings: dict[str, Any]) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("xai_realtime.transport.websocket.backend", lambda: fail)
    with pytest.raises(RuntimeError, match="a bug"):
        async with WebSocketTransport().open(ChannelRequest("ws://127.0.0.1:9/")):
            raise AssertionError("opened")
