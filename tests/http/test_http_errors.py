"""What an answer that says no becomes, whatever the shape of its body, and which redirects are followed."""

from __future__ import annotations

import json
import traceback
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY, Scripted
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
from xai_realtime.transport._http_errors import parse_error_body, read_error_body
from xai_realtime.transport.base import HttpRequest
from xai_realtime.transport.rest import ask_json

pytestmark = pytest.mark.anyio

REQUEST = HttpRequest("GET", f"https://api.x.ai/v1/x?token={KEY}", {"Authorization": f"Bearer {KEY}"})
FLAT = {"code": "Client specified an invalid argument", "error": "Argument not supported"}


async def answered(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with anyio.fail_after(5):
        return await ask_json(Scripted(lambda request: (status, headers or {}, [data[:5], data[5:]])), REQUEST)


async def refused(status: int, body: Any = b"", headers: dict[str, str] | None = None) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await answered(status, body, headers)
    return raised.value


@pytest.mark.behaviour("http-errors-typed")
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ApiError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ApiError),
        (422, ApiError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
        (599, ServerError),
    ],
)
async def test_status_decides_the_class_of_the_error(status: int, kind: type[ApiError]) -> None:
    error = await refused(status, FLAT)
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, FLAT["code"], FLAT["error"])
    assert str(error) == f"HTTP {status}: {FLAT['code']}: {FLAT['error']}"
    assert error.body == json.dumps(FLAT).encode()


@pytest.mark.behaviour("http-wrong-key-is-400")
@pytest.mark.parametrize(
    "body",
    [
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***zz."},
        {"error": {"message": "bad", "code": "invalid_api_key"}},
        {"error": "The request does not have valid authentication credentials"},
        b"invalid client secret",
    ],
)
async def test_wrong_key_is_an_authentication_error_though_the_status_is_400(body: Any) -> None:
    assert type(await refused(400, body)) is AuthenticationError
    assert type(await refused(422, body)) is ApiError


async def test_prompt_of_too_many_tokens_is_no_wrong_key() -> None:
    text = "This model's maximum prompt length is 131072 but the request contains 140000 tokens."
    assert type(await refused(400, {"code": "invalid-argument", "error": text})) is ApiError


@pytest.mark.behaviour("http-error-shapes")
@pytest.mark.parametrize(
    ("body", "code", "message", "kind"),
    [
        ({"code": "c", "error": "m"}, "c", "m", None),
        ({"error": {"message": "m", "type": "t", "param": None, "code": "c"}}, "c", "m", "t"),
        ({"error": {"message": "m", "type": "t"}}, "t", "m", "t"),
        ({"error": "m"}, None, "m", None),
        ({"message": "m", "type": "t"}, None, "m", "t"),
        ({"detail": "m"}, None, "m", None),
        ({"detail": [{"loc": ["body"]}]}, None, None, None),
        ({"code": 5, "error": ["x"]}, None, None, None),
        (b"upstream\n  connect error", None, "upstream connect error", None),
        (b"<html><body>502</body></html>", None, None, None),
        (b'{"code": "cut', None, None, None),
        (b"", None, None, None),
        (b"\xff\xfe\x00", None, "\ufffd\ufffd\x00", None),
        ([1, 2], None, None, None),
        ("m", None, "m", None),
    ],
)
async def test_body_of_any_shape_gives_what_it_says(
    body: Any, code: str | None, message: str | None, kind: str | None
) -> None:
    error = await refused(500, body)
    assert (error.code, error.message, error.type) == (code, message, kind)
    assert error.code is not None or error.message is not None or "the service gave no reason" in str(error)


def test_parser_of_handshakes_is_the_same_one() -> None:
    body = json.dumps(FLAT).encode()
    assert parse_error_body(body) == (FLAT["code"], FLAT["error"])
    assert read_error_body(body).code == FLAT["code"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon", "date": "now"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
async def test_rate_limit_says_when_to_come_back_where_it_is_stated(
    headers: dict[str, str], expected: float | None
) -> None:
    error = await refused(429, FLAT, headers)
    assert isinstance(error, RateLimitError)
    assert error.retry_after_s == expected


async def test_request_id_is_on_the_error_and_in_its_text() -> None:
    error = await refused(500, b"", {"X-Trace-Id": "t-1"})
    assert error.request_id == "t-1"
    assert str(error) == "HTTP 500: the service gave no reason (request t-1)"


@pytest.mark.behaviour("http-no-secrets")
async def test_key_that_the_server_repeats_is_in_no_part_of_the_error() -> None:
    body = {"code": f"bad {KEY}", "error": f"key {KEY} is wrong", "type": KEY, "pad": "x" * 70_000}
    error = await refused(400, body, {"x-request-id": KEY, "location": f"https://h/{KEY}"})
    assert KEY not in "".join(traceback.format_exception(error))
    assert KEY not in repr(vars(error))
    assert len(error.body) == 65_536
    straddling = b"x" * (65_536 - 10) + KEY.encode() + b"x" * 99
    assert KEY[:10].encode() not in (await refused(500, straddling)).body


async def test_endless_explanation_is_read_in_part() -> None:
    server = Scripted(lambda request: (500, {}, [b"x" * 50_000] * 1000))
    with anyio.fail_after(5), pytest.raises(ServerError) as raised:
        await ask_json(server, REQUEST)
    assert len(raised.value.body) == 65_536


@pytest.mark.parametrize("failure", [ConnectionBrokenError(None, "cut"), TransportTimeoutError("read", 1.0)])
async def test_error_whose_explanation_is_cut_is_still_that_error(failure: Exception) -> None:
    server = Scripted(lambda request: (403, {}, [b"no cred", failure]))
    with anyio.fail_after(5), pytest.raises(PermissionDeniedError, match="no cred"):
        await ask_json(server, REQUEST)


async def test_good_answer_is_its_json() -> None:
    assert await answered(200, {"a": [1]}) == {"a": [1]}
    assert await answered(202, []) == []


async def test_good_status_with_an_error_in_the_body_is_an_error() -> None:
    error = await refused(200, {"code": "The service is currently unavailable", "error": "try later"})
    assert (type(error), error.status, error.message) == (ApiError, 200, "try later")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": NaN', b"\xff"])
async def test_answer_that_is_no_json_is_the_servers_fault(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"https://api\.x\.ai is no JSON \(text/html\)"):
        await answered(200, body, {"content-type": "text/html"})


async def test_answer_that_is_too_large_is_refused_before_it_is_read() -> None:
    server = Scripted(lambda request: (200, {}, [b"x" * 1000] * 1000))
    with anyio.fail_after(5), pytest.raises(RemoteProtocolError, match="over the limit of 4000 bytes"):
        await ask_json(server, REQUEST, max_bytes=4000)


@pytest.mark.behaviour("http-no-redirect")
@pytest.mark.parametrize(
    ("method", "status", "target", "followed"),
    [
        ("GET", 301, "/v1/y", "https://api.x.ai/v1/y"),
        ("GET", 302, "y#part", "https://api.x.ai/v1/y"),
        ("POST", 307, "https://api.x.ai/v1/y", "https://api.x.ai/v1/y"),
        ("POST", 308, "//api.x.ai/v1/y", "https://api.x.ai/v1/y"),
        ("POST", 303, "/v1/y", None),
        ("GET", 301, "https://evil.test/v1/y", None),
        ("GET", 301, "http://api.x.ai/v1/y", None),
        ("GET", 301, "https://api.x.ai:444/v1/y", None),
        ("GET", 301, "https://api.x.ai@evil.test/", None),
        ("GET", 301, "https://evil@api.x.ai/", None),
        ("GET", 301, "https://[broken/", None),
        ("GET", 301, "", None),
    ],
)
async def test_redirect_is_followed_within_its_origin_alone(
    method: str, status: int, target: str, followed: str | None
) -> None:
    def answer(request: HttpRequest) -> Any:
        if len(server.asked) > 1:
            return 200, {}, [b"true"]
        return status, {"Location": target} if target else {}, [b""]

    server = Scripted(answer)
    request = HttpRequest(method, "https://api.x.ai/v1/x", {"Authorization": f"Bearer {KEY}"}, b"{}")
    with anyio.fail_after(5):
        if followed is None:
            with pytest.raises(ApiError, match=f"HTTP {status}: a redirect to .* was refused; nothing was sent there"):
                await ask_json(server, request)
        else:
            assert await ask_json(server, request) is True
    assert [asked.url for asked in server.asked[1:]] == ([followed] if followed else [])
    assert all((asked.method, asked.body) == (method, b"{}") for asked in server.asked)


async def test_redirect_without_an_end_is_the_servers_fault() -> None:
    server = Scripted(lambda request: (308, {"location": request.url}, []))
    with anyio.fail_after(5), pytest.raises(RemoteProtocolError, match="redirects without an end"):
        await ask_json(server, REQUEST)
    assert len(server.asked) == 5
