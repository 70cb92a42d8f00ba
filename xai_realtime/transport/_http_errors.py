"""What an HTTP answer that says no means. In: status, headers, body. Out: errors of our own tree, free of secrets.

Imports: the standard library, rooms 0-2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES
from xai_realtime.errors import (
    ApiError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)

if TYPE_CHECKING:
    from xai_realtime.transport.base import ChannelRequest, HttpRequest

__all__ = [
    "REDIRECTS",
    "ErrorBody",
    "Scrubber",
    "api_error",
    "origin_of",
    "parse_error_body",
    "read_error_body",
    "redirect_origin",
]

MAX_TEXT_CHARACTERS: Final = 1000
MIN_SECRET_CHARACTERS: Final = 6
SECRET_WORDS: Final = ("auth", "cookie", "key", "password", "secret", "signature", "token")
REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})
REQUEST_IDS: Final = ("x-request-id", "x-trace-id")
WRONG_KEY: Final = re.compile(r"api[ _-]?key|credentials|client[ _-]?secret|unauthenticated", re.IGNORECASE)
BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
}
HINTS: Final = {
    400: "the request is malformed, or its key is",
    401: "no key arrived, or the server does not know it",
    403: "the key may not do this, or the account has no credits",
    404: "there is nothing at this address",
    413: "the request is too large",
    429: "too many requests, or a spending limit is reached",
}


def origin_of(url: str) -> str:
    """Scheme, host and port of an address: what an error text may show of it."""
    try:
        parts = urlsplit(url)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "an unreadable address"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def redirect_origin(url: str, target: str) -> str:
    """Scheme, host and port to which a redirect points."""
    try:
        return origin_of(urljoin(url, target))
    except ValueError:
        return "an unreadable address"


class Scrubber:
    """Takes the secrets of one request out of texts that a server wrote."""

    __slots__ = ("_secrets",)

    def __init__(self, request: ChannelRequest | HttpRequest) -> None:
        found: set[str] = set()
        for name, value in request.headers.items():
            if _is_secret_name(name):
                found |= {value, *value.split()[1:]}
        for protocol in getattr(request, "subprotocols", ()):
            found |= {protocol, protocol.partition(".")[2]}
        query = urlsplit(request.url).query
        for name, value in parse_qsl(query):
            if _is_secret_name(name):
                found.add(value)
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if _is_secret_name(unquote(name)):
                found.add(value)
        kept = (secret for secret in found if len(secret) >= MIN_SECRET_CHARACTERS)
        self._secrets = tuple(sorted(kept, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text with every secret replaced, at most `MAX_TEXT_CHARACTERS` of it."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text[:MAX_TEXT_CHARACTERS]

    def data(self, data: bytes) -> bytes:
        """The bytes with every secret replaced."""
        for secret in self._secrets:
            data = data.replace(secret.encode(), b"[redacted]")
        return data


def _is_secret_name(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in SECRET_WORDS)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What the body of a refusal says; None for what it does not say."""

    code: str | None = None
    message: str | None = None
    type: str | None = None


def read_error_body(body: bytes) -> ErrorBody:
    """What the body of a refusal says, in whatever shape.

    Reads `{"code": "...", "error": "..."}` (xAI), `{"error": {"code", "message", "type"}}` (OpenAI),
    `{"error": "..."}`, `{"message": "..."}`, `{"detail": "..."}` and plain text; a page of HTML says
    nothing.
    """
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        text = " ".join(body.decode("utf-8", errors="replace").split())
        return ErrorBody(message=text if text and not text.startswith(("<", "{", "[")) else None)
    if isinstance(parsed, str):
        return ErrorBody(message=_as_text(parsed))
    if not isinstance(parsed, dict):
        return ErrorBody()
    inner = parsed.get("error")
    if isinstance(inner, dict):
        kind = _as_text(inner.get("type"))
        return ErrorBody(_as_text(inner.get("code")) or kind, _as_text(inner.get("message")), kind)
    message = _as_text(inner) or _as_text(parsed.get("message")) or _as_text(parsed.get("detail"))
    return ErrorBody(_as_text(parsed.get("code")), message, _as_text(parsed.get("type")))


def parse_error_body(body: bytes) -> tuple[str | None, str | None]:
    """Code and message of a refusal's body, as `read_error_body` reads them."""
    said = read_error_body(body)
    return said.code, said.message


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def api_error(request: HttpRequest, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> ApiError:
    """The error that an answer is. A wrong key is an AuthenticationError with status 400 too, as the service has it."""
    scrub = Scrubber(request)
    # Secrets go before the cut: one that straddles the end of the kept part would be left in half.
    body = scrub.data(body)[:MAX_ERROR_PAYLOAD_BYTES]
    said = read_error_body(body)
    named = {name.lower(): value for name, value in headers}
    request_id = next((named[name] for name in REQUEST_IDS if named.get(name)), None)
    reason = HINTS.get(status, "the service gave no reason")
    if status in REDIRECTS:
        target = named.get("location")
        where = scrub.text(redirect_origin(request.url, target)) if target else "nowhere"
        reason = f"a redirect to {where} was refused; nothing was sent there"
    return _class_of(status, said)(
        reason,
        status=status,
        code=scrub.text(said.code) if said.code else None,
        message=scrub.text(said.message) if said.message else None,
        type=scrub.text(said.type) if said.type else None,
        request_id=scrub.text(request_id) if request_id else None,
        retry_after_s=_retry_after_s(named),
        body=body,
    )


def _class_of(status: int, said: ErrorBody) -> type[ApiError]:
    if status == 400 and WRONG_KEY.search(f"{said.code or ''} {said.message or ''}"):
        return AuthenticationError
    return BY_STATUS.get(status, ServerError if status >= 500 else ApiError)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date counts from the answer's own Date, so that no clock of this machine has a say."""
    stated = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", stated, re.ASCII):
        return float(stated)
    from email.utils import parsedate_to_datetime

    try:
        until = parsedate_to_datetime(stated) - parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0.0, until.total_seconds())
