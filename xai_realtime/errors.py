"""Errors as values with facts in fields. In: facts. Out: exceptions. Imports: the standard library.

The tree::

    XaiRealtimeError
    ├── ConfigurationError (also ValueError)    a local mistake, found before anything is sent
    ├── SpecError (also ValueError)             a spec the generator cannot read, with its place
    ├── AudioDecodeError (also ValueError)      an audio payload that is no base64
    ├── ProtocolError
    │   ├── LocalProtocolError                  we tried what the protocol does not allow now
    │   └── RemoteProtocolError                 the peer sent what cannot be used
    ├── ServiceError                            an `error` event after which the session cannot go on
    ├── ApiError                                an HTTP answer that says no: status, code, message, request id
    │   ├── AuthenticationError                 401, or 400 over a wrong key
    │   ├── PermissionDeniedError               403: the key may not do this, or there are no credits
    │   ├── NotFoundError                       404
    │   ├── RateLimitError                      429, with `retry_after_s` where it is stated
    │   └── ServerError                         5xx
    ├── TransportError
    │   ├── HandshakeError                      the upgrade was refused, with status and body
    │   │   └── RedirectRefusedError            the server pointed elsewhere; nothing was sent there
    │   ├── ConnectError                        no connection came about
    │   ├── TransportTimeoutError (also TimeoutError)
    │   └── ConnectionClosedError
    │       ├── ClosedByUsError
    │       ├── ClosedByServerError
    │       │   └── MessageTooLargeError        a message over the limit; the socket ended with 1009
    │       └── ConnectionBrokenError           no close handshake
    └── CassetteError
        ├── CassetteFormatError                 not a tape, a newer tape, or a damaged one
        ├── RedactionError                      a secret was found where none may be
        └── ReplayError
            ├── ReplayMismatchError             a frame or an open that differs from the tape
            ├── ReplayOrderError                a send ahead of the tape under strict order
            ├── ReplayStuckError                both sides wait
            └── ReplayIncompleteError           frames left unread or unsent at the end
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ApiError",
    "AudioDecodeError",
    "AuthenticationError",
    "CassetteError",
    "CassetteFormatError",
    "ClosedByServerError",
    "ClosedByUsError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionBrokenError",
    "ConnectionClosedError",
    "HandshakeError",
    "LocalProtocolError",
    "MessageTooLargeError",
    "NotFoundError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RedactionError",
    "RedirectRefusedError",
    "RemoteProtocolError",
    "ReplayError",
    "ReplayIncompleteError",
    "ReplayMismatchError",
    "ReplayOrderError",
    "ReplayStuckError",
    "ServerError",
    "ServiceError",
    "SpecError",
    "TransportError",
    "TransportTimeoutError",
    "XaiRealtimeError",
]


class XaiRealtimeError(Exception):
    """Root of everything this library raises on its own."""


class ConfigurationError(XaiRealtimeError, ValueError):
    """A local mistake: no key, a bad address, a value out of range. Nothing was sent."""


class SpecError(XaiRealtimeError, ValueError):
    """A spec that the generator cannot read. `place` is a JSON pointer into `source`."""

    def __init__(self, reason: str, *, source: str = "", place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.source = source
        self.place = place

    def __str__(self) -> str:
        where = f"{self.source}#{self.place}" if self.source or self.place else ""
        return f"{where}: {self.reason}" if where else self.reason


class AudioDecodeError(XaiRealtimeError, ValueError):
    """An audio payload that is no base64. `payload` keeps its first characters, `characters` its full length."""

    def __init__(self, reason: str, *, payload: str, characters: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.payload = payload
        self.characters = characters

    def __str__(self) -> str:
        return f"audio of {self.characters} characters is no base64: {self.reason}"


class ProtocolError(XaiRealtimeError):
    """Something the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """Our own fault: what was tried is not allowed now."""


class RemoteProtocolError(ProtocolError):
    """The peer's fault: what it sent cannot be used."""


class ServiceError(XaiRealtimeError):
    """The service ended the session with an `error` event, over a wrong key or a used-up quota.

    `code` and `message` are its own words.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class ApiError(XaiRealtimeError):
    """The service answered an HTTP request with an error.

    `status` is the HTTP status, `code`, `message` and `type` what the body says (None where it says
    nothing; the service words `code` differently over time, so do not branch on it), `request_id` the id
    under which the service knows the request, `retry_after_s` when it wants to be asked again, `body` the
    first bytes of the answer. The key of the request is in none of them.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int,
        code: str | None = None,
        message: str | None = None,
        type: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code
        self.message = message
        self.type = type
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.body = body

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.code, self.message) if part)
        where = f" (request {self.request_id})" if self.request_id else ""
        return f"HTTP {self.status}: {said or self.reason}{where}"


class AuthenticationError(ApiError):
    """No key arrived, or a wrong one: HTTP 401, or 400 with a message about the key."""


class PermissionDeniedError(ApiError):
    """HTTP 403: the key may not do this, or the account has no credits."""


class NotFoundError(ApiError):
    """HTTP 404: there is nothing at this address, or no such model, voice or id."""


class RateLimitError(ApiError):
    """HTTP 429: too many requests, or a spending limit is reached."""


class ServerError(ApiError):
    """HTTP 5xx: the service failed; the same request may work later."""


class TransportError(XaiRealtimeError):
    """A failure of the line, mapped once where the foreign library is called."""


class HandshakeError(TransportError):
    """The server refused the upgrade.

    `status` is the HTTP status (a malformed key is 400, a missing one 401), `headers` the kept
    response headers, `body` the first bytes of the answer, `code` and `message` what its JSON says.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        code: str | None = None,
        message: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.headers = dict(headers or {})
        self.body = body
        self.code = code
        self.message = message

    def __str__(self) -> str:
        said = ": ".join(part for part in (self.code, self.message) if part)
        return f"handshake refused with HTTP {self.status}: {said or self.reason}"


class RedirectRefusedError(HandshakeError):
    """The server answered with a redirect; it was not followed and no key was sent there."""


class ConnectError(TransportError):
    """No connection came about: name not found, refused, TLS failure."""


class TransportTimeoutError(TransportError, TimeoutError):
    """A bounded wait ran out. `phase` says which (`open`, `close`, ...), `timeout_s` its bound."""

    def __init__(self, phase: str, timeout_s: float) -> None:
        super().__init__(phase, timeout_s)
        self.phase = phase
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return f"{self.phase} did not finish within {self.timeout_s:g} s"


class ConnectionClosedError(TransportError):
    """The connection is over. `code` and `reason` come from the close frame; None when there was none."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    @property
    def is_clean(self) -> bool:
        """True for the ordinary close codes 1000 and 1001."""
        return self.code in (1000, 1001)

    def __str__(self) -> str:
        code = "no close code" if self.code is None else f"code {self.code}"
        return f"{self._who} ({code}{', ' + self.reason if self.reason else ''})"

    _who = "connection closed"


class ClosedByUsError(ConnectionClosedError):
    """We closed the connection; it cannot be used any more."""

    _who = "connection closed by us"


class ClosedByServerError(ConnectionClosedError):
    """The server closed the connection with a close frame."""

    _who = "connection closed by the server"


class MessageTooLargeError(ClosedByServerError):
    """A message was over the limit, so the socket ended with 1009.

    `limit_bytes` is the limit in force; `size_bytes` the announced size, None when it is not known.
    """

    _who = "connection closed over a message that is too large"

    def __init__(self, *, limit_bytes: int, size_bytes: int | None = None, reason: str = "") -> None:
        super().__init__(1009, reason)
        self.limit_bytes = limit_bytes
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        size = "" if self.size_bytes is None else f" of {self.size_bytes} bytes"
        why = f": {self.reason}" if self.reason else ""
        return f"a message{size} is over the limit of {self.limit_bytes} bytes (code 1009){why}"


class ConnectionBrokenError(ConnectionClosedError):
    """The connection broke without a close handshake."""

    _who = "connection broken"


class CassetteError(XaiRealtimeError):
    """Something about a tape."""


class CassetteFormatError(CassetteError):
    """A file that is no tape of a known version, or a damaged one. `line` counts from 1, 0 for the file."""

    def __init__(self, reason: str, *, path: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.reason}" if place else self.reason


class RedactionError(CassetteError):
    """A secret is still in a tape, which was therefore not written. The value is never shown."""

    def __init__(self, rule: str, *, path: str = "", line: int = 0) -> None:
        super().__init__(rule)
        self.rule = rule
        self.path = path
        self.line = line

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: a secret was found (rule {self.rule}); the tape was not put in place"


class ReplayError(CassetteError):
    """Live and taped conversation do not agree. `path` and `line` name the place on the tape."""

    def __init__(self, reason: str, *, path: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.reason}" if place else self.reason


class ReplayMismatchError(ReplayError):
    """What was sent differs from the tape.

    `where` is the path inside the frame (`session.voice`), `expected` and `actual` the values there
    (bounded and redacted), `around` the types of the frames about that line.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str = "",
        line: int = 0,
        where: str = "",
        expected: str = "",
        actual: str = "",
        around: tuple[str, ...] = (),
    ) -> None:
        super().__init__(reason, path=path, line=line)
        self.where = where
        self.expected = expected
        self.actual = actual
        self.around = around

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.where:
            lines.append(f"  at       {self.where}")
        if self.expected or self.actual:
            lines += [f"  expected {self.expected}", f"  actual   {self.actual}"]
        lines += [f"  {entry}" for entry in self.around]
        return "\n".join(lines)


class ReplayOrderError(ReplayError):
    """A send was ahead of the frames recorded before it, under `strict_order=True`."""


class ReplayStuckError(ReplayError):
    """Both sides wait: the text says which frame each waits for."""


class ReplayIncompleteError(ReplayError):
    """The tape was not used up. `unread` and `unsent` list what is left, a line each."""

    def __init__(self, *, path: str, unread: tuple[str, ...] = (), unsent: tuple[str, ...] = (), line: int = 0) -> None:
        super().__init__(f"{len(unread)} frames were left unread and {len(unsent)} unsent", path=path, line=line)
        self.unread = unread
        self.unsent = unsent

    def __str__(self) -> str:
        shown = [f"  unread {entry}" for entry in self.unread[:10]] + [
            f"  unsent {entry}" for entry in self.unsent[:10]
        ]
        return "\n".join([super().__str__(), *shown])
