"""Client secrets: short-lived keys for a browser or a phone. In: a Transport. Out: ClientSecret. Imports: rooms 0-4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import to_json

from xai_realtime.defaults import MAX_CLIENT_SECRET_S
from xai_realtime.errors import ConfigurationError, RemoteProtocolError
from xai_realtime.transport.base import HttpRequest, Transport
from xai_realtime.transport.rest import ask_json

__all__ = ["SECRET_PATH", "SUBPROTOCOL", "ClientSecret", "checked_expiry_s", "mint_secret", "secret_value"]

SECRET_PATH: Final = "realtime/client_secrets"
SUBPROTOCOL: Final = "xai-client-secret."
"""Stands before the secret in the sub-protocol of a client that cannot set headers: a browser."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A short-lived key for one client: pass it on and keep the API key at home.

    `value` is the secret (never in the repr), `expires_at` the Unix time in seconds at which it stops to
    open sessions, None when the service did not say; a session that is open stays open. `subprotocol` is
    what a browser offers as its WebSocket sub-protocol. Source: docs.x.ai, ephemeral tokens.
    """

    value: str = field(repr=False)
    expires_at: int | None = None

    @property
    def subprotocol(self) -> str:
        """`xai-client-secret.` and the secret."""
        return SUBPROTOCOL + self.value


def checked_expiry_s(expires_in_s: object) -> int:
    """A whole number of seconds that the service grants. Raises ConfigurationError."""
    is_number = isinstance(expires_in_s, int) and not isinstance(expires_in_s, bool)
    if not isinstance(expires_in_s, int) or not is_number or not 1 <= expires_in_s <= MAX_CLIENT_SECRET_S:
        allowed = f"a whole number of seconds from 1 to {MAX_CLIENT_SECRET_S} is allowed"
        raise ConfigurationError(f"expires_in_s is {expires_in_s!r}; {allowed}")
    return expires_in_s


def secret_value(secret: ClientSecret | str) -> str:
    """The secret itself. Raises ConfigurationError, without showing it, for an empty or malformed one."""
    value = secret.value if isinstance(secret, ClientSecret) else secret
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError("client_secret must be a ClientSecret or its value: printable ASCII (it is not shown)")
    return value


async def mint_secret(transport: Transport, url: str, headers: Mapping[str, str], expires_in_s: int) -> ClientSecret:
    """Ask for a client secret. Raises what `ask_json` raises, RemoteProtocolError for an answer without one."""
    body = to_json({"expires_after": {"seconds": expires_in_s}})
    request = HttpRequest("POST", url, {**headers, "Content-Type": "application/json"}, body)
    answer: Any = await ask_json(transport, request)
    if isinstance(answer, dict) and "value" not in answer and isinstance(answer.get("client_secret"), dict):
        answer = answer["client_secret"]
    value = answer.get("value") if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise RemoteProtocolError("the answer to a request for a client secret holds none")
    expires_at = answer.get("expires_at")
    is_number = isinstance(expires_at, int | float) and not isinstance(expires_at, bool)
    return ClientSecret(value, int(expires_at) if is_number else None)
