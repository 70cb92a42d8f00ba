"""Errors of the socket, mapped once. In: foreign exceptions. Out: errors of our own tree, free of secrets.

Imports: websockets (inside functions), rooms 0-2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

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
from xai_realtime.transport._http_errors import (
    REDIRECTS,
    Scrubber,
    origin_of,
    parse_error_body,
    redirect_origin,
)

if TYPE_CHECKING:
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    from xai_realtime.transport._websocket_line import Line

__all__ = ["Scrubber", "closed_error", "open_error", "origin_of", "parse_error_body"]

NO_STATUS_CODE: Final = 1005
NOT_KEPT: Final = frozenset({"location", "set-cookie", "sec-websocket-accept", "sec-websocket-protocol"})
HINTS: Final = {
    401: "no key arrived, or the server does not know it",
    403: "the key may not do this",
    404: "there is nothing at this address",
    429: "too many connections or requests",
}


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
