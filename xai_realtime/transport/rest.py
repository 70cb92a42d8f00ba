"""One question over HTTP, its answer understood. In: an HttpRequest. Out: the JSON of the answer, or a typed error.

Imports: rooms 0-2, pydantic_core.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pydantic_core import from_json

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES, MAX_MESSAGE_BYTES
from xai_realtime.errors import ConnectionClosedError, RemoteProtocolError
from xai_realtime.transport._http_errors import REDIRECTS, api_error, origin_of
from xai_realtime.transport.base import HttpRequest, HttpResponse, Transport

__all__ = ["Answer", "answered", "ask_json", "ask_whole", "check_status"]

MAX_REDIRECTS: Final = 5
KEEPS_METHOD: Final = (307, 308)
SAFE: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer, read to its end."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    content_type: str | None


@asynccontextmanager
async def answered(transport: Transport, request: HttpRequest) -> AsyncIterator[HttpResponse]:
    """Send a request; the good answer to it lasts as long as the context.

    A redirect is followed within the origin of the request alone, and only with a body that can be sent again.
    Raises ApiError (one of its kinds) for an answer that says no; RemoteProtocolError for redirects without an end;
    ConnectError, ConnectionBrokenError, TransportTimeoutError. Cancelling is safe; the service may have done what was
    asked.
    """
    for _ in range(MAX_REDIRECTS):
        async with transport.request(request) as response:
            target = _followed(request, response)
            if target is None:
                await check_status(request, response)
                yield response
                return
        request = replace(request, url=target)
    raise RemoteProtocolError(f"{origin_of(request.url)} redirects without an end")


async def ask_whole(transport: Transport, request: HttpRequest, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Answer:
    """Send a request and read the good answer to it. Raises as `answered`, and RemoteProtocolError over `max_bytes`."""
    async with answered(transport, request) as response:
        body = await response.read(max_bytes)
        return Answer(response.status, response.headers, body, response.header("content-type"))


async def ask_json(transport: Transport, request: HttpRequest, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Any:
    """Send a request and return the JSON value of its answer.

    Raises as `ask_whole`, ApiError for an error with status 200 too, and RemoteProtocolError for what is no JSON.
    """
    answer = await ask_whole(transport, request, max_bytes=max_bytes)
    try:
        value = from_json(answer.body)
    except ValueError:
        kind = (answer.content_type or "no content type")[:80]
        raise RemoteProtocolError(f"the answer of {origin_of(request.url)} is no JSON ({kind})") from None
    if isinstance(value, dict) and value.get("error"):
        raise api_error(request, answer.status, answer.headers, answer.body)
    return value


async def check_status(request: HttpRequest, response: HttpResponse) -> None:
    """Raise the ApiError that the answer is, reading its body as far as an error keeps it; return for a good one."""
    if 200 <= response.status < 300:
        return
    body = b""
    try:
        async for chunk in response:
            body += chunk
            if len(body) > 2 * MAX_ERROR_PAYLOAD_BYTES:
                break
    except (ConnectionClosedError, TimeoutError):
        # The status alone says what is wrong; how its explanation got lost does not matter.
        pass
    raise api_error(request, response.status, response.headers, body)


def _followed(request: HttpRequest, response: HttpResponse) -> str | None:
    """The address of a redirect that may be followed."""
    target = response.header("location")
    if response.status not in REDIRECTS or not target:
        return None
    if not request.is_repeatable or (response.status not in KEEPS_METHOD and request.method not in SAFE):
        return None
    try:
        url = urljoin(request.url, target)
        same = origin_of(url) == origin_of(request.url) and "@" not in urlsplit(url).netloc
    except ValueError:
        return None
    return url.partition("#")[0] if same else None
