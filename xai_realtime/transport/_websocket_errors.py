"""Errors of the socket, mapped once. In: foreign exceptions. Out: errors of our own tree, free of secrets.

Imports: websockets (inside functions), rooms 0-2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    MessageTooLargeError,
    RedirectRefusedError,
    TransportTimeoutError,
)
from xai_realtime.transport.base import ChannelRequest

if TYPE_CHECKING:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    from xai_realtime.transport._websocket_line import Line

__all__ = ["Scrubber", "closed_error", "open_error", "origin_of", "parse_error_body"]

MAX_TEXT_CHARACTERS: Final = 1000
MIN_SECRET_CHARACTERS: Final = 6
NO_STATUS_CODE: Final = 1005
SECRET_WORDS: Final = ("auth", "cookie", "key", "password", "secret", "signature", "token")
NOT_KEPT: Final = frozenset({"location", "set-cookie", "sec-websocket-accept", "sec-websocket-protocol"})
REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})
HINTS: Final = {
    401: "no key arrived, or the server does not know it",
    403: "the key may not do this",
    404: "there is nothing at this address",
    429: "too many connections or requests",
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


def is_secret_name(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in SECRET_WORDS)


class Scrubber:
    """Takes the secrets of one request out of texts that a server wrote."""

    __slots__ = ("_secrets",)

    def __init__(self, request: ChannelRequest) -> None:
        found: set[str] = set()
        for name, value in request.headers.items():
            if is_secret_name(name):
                found |= {value, *value.split()[1:]}
        for protocol in request.subprotocols:
            found |= {protocol, protocol.partition(".")[2]}
        query = urlsplit(request.url).query
        for name, value in parse_qsl(query):
            if is_secret_name(name):
                found.add(value)
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if is_secret_name(unquote(name)):
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


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def parse_error_body(body: bytes) -> tuple[str | None, str | None]:
    """Code and message of a refusal's body.

    Reads `{"code": "...", "error": "..."}` (xAI), `{"error": {"code", "message", "type"}}` (OpenAI),
    `{"error": "..."}`, `{"message": "..."}` and plain text; a page of HTML has neither.
    """
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        text = " ".join(body.decode("utf-8", errors="replace").split())
        return None, (text if text and not text.startswith(("<", "{", "[")) else None)
    if isinstance(parsed, str):
        return None, as_text(parsed)
    if not isinstance(parsed, dict):
        return None, None
    inner = parsed.get("error")
    if isinstance(inner, dict):
        return as_text(inner.get("code")) or as_text(inner.get("type")), as_text(inner.get("message"))
    return as_text(parsed.get("code")), as_text(inner) or as_text(parsed.get("message"))


def refusal(error: InvalidStatus, url: str, scrub: Scrubber) -> HandshakeError:
    response = error.response
    status = response.status_code
    raw: Mapping[str, str] = dict(response.headers.raw_items())
    headers = {name.lower(): scrub.text(value) for name, value in raw.items() if name.lower() not in NOT_KEPT}
    # Secrets go before the cut: one that straddles the end of the kept part would be left in half.
    body = scrub.data(bytes(response.body or b""))[:MAX_ERROR_PAYLOAD_BYTES]
    if status in REDIRECTS:
        target = next((value for name, value in raw.items() if name.lower() == "location"), None)
        reason = "a redirect without a target was refused"
        if target is not None:
            headers["location"] = scrub.text(redirect_origin(url, target))
            reason = f"a redirect to {headers['location']} was refused; nothing was sent there"
        return RedirectRefusedError(reason, status=status, headers=headers, body=body)
    code, message = parse_error_body(body)
    return HandshakeError(
        HINTS.get(status, "the server gave no reason"),
        status=status,
        headers=headers,
        body=body,
        code=scrub.text(code) if code else None,
        message=scrub.text(message) if message else None,
    )


def redirect_origin(url: str, target: str) -> str:
    try:
        return origin_of(urljoin(url, target))
    except ValueError:
        return "an unreadable address"


def describe(error: BaseException) -> str:
    """What went wrong below, in few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def open_error(
    error: Exception, *, url: str, open_timeout_s: float, scrub: Scrubber
) -> ConfigurationError | ConnectError | HandshakeError | TransportTimeoutError | None:
    """What a failed open is in our tree; None for what is none of its known failures."""
    from websockets import exceptions as foreign

    origin = origin_of(url)
    if isinstance(error, foreign.InvalidStatus):
        return refusal(error, url, scrub)
    if isinstance(error, TimeoutError) and error.errno is None:
        return TransportTimeoutError("open", open_timeout_s)
    if isinstance(error, foreign.InvalidProxy):
        return ConfigurationError(f"the proxy's address cannot be used: {scrub.text(error.msg)}")
    if isinstance(error, foreign.InvalidURI):
        return ConfigurationError(f"the address at {origin} cannot be used: {scrub.text(error.msg)}")
    if isinstance(error, ImportError):
        return ConfigurationError("a SOCKS proxy needs the package python-socks (with its extra for the event loop)")
    if isinstance(error, foreign.InvalidMessage | foreign.SecurityError):
        cause = error.__cause__ or error
        return ConnectError(f"{origin} did not answer the WebSocket handshake: {scrub.text(describe(cause))}")
    if isinstance(error, foreign.ProxyError):
        cause = error.__cause__ or error
        return ConnectError(f"the proxy did not connect to {origin}: {scrub.text(describe(cause))}")
    if isinstance(error, foreign.InvalidHandshake):
        return HandshakeError(f"the upgrade is malformed: {scrub.text(str(error))}", status=101)
    if isinstance(error, OSError | EOFError) or type(error).__name__ in {"BrokenResourceError", "ClosedResourceError"}:
        cause = error if isinstance(error, OSError) else error.__cause__ or error
        return ConnectError(f"cannot connect to {origin}: {scrub.text(describe(cause))}")
    if isinstance(error, ValueError):
        return ConfigurationError(f"the address at {origin} or the proxy's cannot be used")
    return None


def closed_error(
    error: ConnectionClosed, line: Line, *, max_message_bytes: int, ping_timeout_s: float | None, scrub: Scrubber
) -> Callable[[], ConnectionClosedError]:
    """How the line ended, as a maker of equal errors: each call that finds the line over raises its own."""
    from websockets import exceptions as foreign

    rcvd, sent = error.rcvd, error.sent
    if rcvd is not None and error.rcvd_then_sent is not False:
        code = None if rcvd.code == NO_STATUS_CODE else int(rcvd.code)
        reason = scrub.text(rcvd.reason)
        return lambda: ClosedByServerError(code, reason)
    cause = line.protocol.parser_exc
    if line.broken:
        broken = line.broken
        return lambda: ConnectionBrokenError(None, broken)
    if sent is not None and line.is_left:
        ours, why = int(sent.code), sent.reason
        return lambda: ClosedByUsError(ours, why)
    if isinstance(cause, foreign.PayloadTooBig):
        size = too_big_bytes(cause)
        return lambda: MessageTooLargeError(limit_bytes=max_message_bytes, size_bytes=size, reason=str(cause))
    if sent is not None and sent.code == 1009:
        flood = sent.reason
        return lambda: MessageTooLargeError(limit_bytes=max_message_bytes, reason=flood)
    if sent is not None and "keepalive" in sent.reason:
        silence = f"no answer to a keepalive ping within {ping_timeout_s:g} s"
        return lambda: ConnectionBrokenError(None, silence)
    if isinstance(cause, foreign.ProtocolError | UnicodeDecodeError):
        breach = f"the server broke the WebSocket protocol: {scrub.text(str(cause))}"
        return lambda: ConnectionBrokenError(None, breach)
    if isinstance(error.__cause__, OSError):
        lost = describe(error.__cause__)
        return lambda: ConnectionBrokenError(None, lost)
    return lambda: ConnectionBrokenError(None, "the stream ended without a close frame")


def too_big_bytes(error: Any) -> int | None:
    """Bytes of the refused message as far as announced: what came before plus the frame's length."""
    size: int | None = getattr(error, "size", None)
    before: int | None = getattr(error, "current_size", getattr(error, "cur_size", None))
    return None if size is None else size + (before or 0)
