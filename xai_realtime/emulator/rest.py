"""The service's HTTP side as plain values. In: keys, bodies, a world. Out: JSON objects and refusals.

No web framework here: the server and the in-process transport share it. Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from xai_realtime.emulator.world import BAD_KEY, SECRET_PREFIX, World

__all__ = [
    "CHAT_MODELS",
    "ROOT",
    "Admission",
    "Check",
    "Credentials",
    "Refusal",
    "admit",
    "check_key",
    "mint_secret",
    "model",
    "models",
    "not_found",
    "wrong_method",
]

ROOT: Final = "/v1"
SECRET_SECONDS: Final = 600
MAX_SECRET_SECONDS: Final = 3600
SECRET_PROTOCOLS: Final = ("xai-client-secret.", "openai-insecure-api-key.")
PLAIN_PROTOCOL: Final = "realtime"

INVALID: Final = "Client specified an invalid argument"
UNAUTHENTICATED: Final = "The request does not have valid authentication credentials for the operation."
FORBIDDEN: Final = "The caller does not have permission to execute the specified operation"
NOT_FOUND: Final = "Some requested entity was not found"
EXHAUSTED: Final = "Some resource has been exhausted"

CHAT_MODELS: Final[Mapping[str, int]] = {
    "grok-4.7": 1_790_812_800,
    "grok-4.6": 1_786_060_800,
    "grok-4.5": 1_783_468_800,
    "grok-4.3": 1_776_211_200,
    "grok-4.20-reasoning": 1_773_014_400,
    "grok-4.20-non-reasoning": 1_773_014_400,
    "grok-4.20-multi-agent": 1_773_014_400,
    "grok-build-0.1": 1_779_840_000,
}
"""Model ids and the second at which each is said to be made; the voice models are not listed, as at the service."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer that says no: `body` is the flat JSON object of the service, without a `code` where it is empty.

    `raw` goes out in its place, with `content_type`.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    content_type: str = "application/json"

    @property
    def body(self) -> dict[str, str]:
        """The JSON object that goes out."""
        return {"code": self.code, "error": self.message} if self.code else {"error": self.message}

    @property
    def data(self) -> bytes:
        """What goes out, as bytes."""
        return json.dumps(self.body, separators=(",", ":")).encode() if self.raw is None else self.raw


Check: TypeAlias = Callable[[World, str, Sequence[tuple[str, str]]], Refusal | None]
"""Why a socket's path and query do not do, None when they do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of itself: the Authorization header and the sub-protocols it offers."""

    authorization: str | None = field(default=None, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """The key or client secret, empty when there is none."""
        scheme, _, value = (self.authorization or "").strip().partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            return value.strip()
        return next(
            (
                offer.removeprefix(prefix)
                for offer in self.subprotocols
                for prefix in SECRET_PROTOCOLS
                if offer.startswith(prefix) and offer != prefix
            ),
            "",
        )

    @property
    def chosen(self) -> str | None:
        """The sub-protocol that the service takes up: `realtime`, else the one that carries the secret."""
        if PLAIN_PROTOCOL in self.subprotocols:
            return PLAIN_PROTOCOL
        return next((offer for offer in self.subprotocols if offer.startswith(SECRET_PROTOCOLS)), None)


@dataclass(frozen=True, slots=True)
class Admission:
    """A socket that may open: its path below the root, its query, the sub-protocol taken up."""

    path: str
    query: Mapping[str, str] = field(repr=False)
    subprotocol: str | None = field(default=None, repr=False)


def check_key(world: World, credentials: Credentials, now_ms: float) -> Refusal | None:
    """Why the credentials do not do, None when they do."""
    key = credentials.key
    if not key:
        return Refusal(401, UNAUTHENTICATED, "No API key provided. Send it as `Authorization: Bearer <key>`.")
    if key == BAD_KEY:
        return Refusal(400, INVALID, "Incorrect API key provided. Keys are made at https://console.x.ai.")
    if key.startswith(SECRET_PREFIX):
        expires_ms = world.secret_expires_ms(key)
        if expires_ms is None:
            return Refusal(400, INVALID, "Incorrect API key provided: this client secret was not made here.")
        if now_ms >= expires_ms:
            return Refusal(400, INVALID, "Incorrect API key provided: this client secret has expired.")
    return None


def admit(
    world: World, checks: Mapping[str, Check | None], path: str, query: str, credentials: Credentials, now_ms: float
) -> Admission | Refusal:
    """Whether a socket may open at `path`, and with what: below the root it is one of `checks`, which read queries."""
    name = path.removeprefix(ROOT)
    if name not in checks or not path.startswith(f"{ROOT}/"):
        return not_found(path)
    refusal = check_key(world, credentials, now_ms)
    if refusal is not None:
        return refusal
    pairs = parse_qsl(query, keep_blank_values=True)
    check = checks[name]
    refusal = None if check is None else check(world, name, pairs)
    if refusal is not None:
        return refusal
    named = dict(pairs)
    if "call_id" in named and credentials.key.startswith(SECRET_PREFIX):
        return Refusal(403, FORBIDDEN, "A phone call is joined with an API key, not with a client secret.")
    if world.open_sessions >= world.limits.concurrent_sessions:
        limit = world.limits.concurrent_sessions
        return Refusal(429, EXHAUSTED, f"Too many concurrent sessions: your team may hold {limit} at a time.")
    return Admission(name, named, credentials.chosen)


def mint_secret(world: World, body: bytes, now_ms: float) -> dict[str, Any] | Refusal:
    """The answer to `POST /v1/realtime/client_secrets`. An empty body is one without wishes."""
    try:
        asked = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        return Refusal(400, INVALID, "The request's body is not JSON.")
    if not isinstance(asked, dict):
        return Refusal(400, INVALID, "The request's body is no JSON object.")
    expiry = asked.get("expires_after")
    if expiry is not None and not isinstance(expiry, dict):
        return Refusal(422, INVALID, "expires_after: expected an object with `seconds`.")
    seconds = (expiry or {}).get("seconds")
    if seconds is None:
        seconds = SECRET_SECONDS
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return Refusal(422, INVALID, "expires_after.seconds: expected a whole number.")
    if not 1 <= seconds <= MAX_SECRET_SECONDS:
        return Refusal(400, INVALID, f"expires_after.seconds must be between 1 and {MAX_SECRET_SECONDS}.")
    value, expires_at = world.mint_secret(seconds, now_ms)
    return {"value": value, "expires_at": expires_at}


def models() -> dict[str, Any]:
    """The answer to `GET /v1/models`."""
    return {"object": "list", "data": [_model(name) for name in CHAT_MODELS]}


def model(name: str) -> dict[str, Any] | Refusal:
    """The answer to `GET /v1/models/{name}`."""
    if name in CHAT_MODELS:
        return _model(name)
    return Refusal(404, NOT_FOUND, f"The model {name[:200]} does not exist or your team does not have access to it.")


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "created": CHAT_MODELS[name], "object": "model", "owned_by": "xai"}


def not_found(path: str) -> Refusal:
    """There is nothing at this address."""
    return Refusal(404, NOT_FOUND, f"There is nothing at {path[:200]}.")


def wrong_method(method: str, path: str, allowed: str) -> Refusal:
    """The address is right and the verb is not."""
    message = f"{method[:20]} is not allowed at {path[:200]}; allowed is {allowed}."
    return Refusal(405, INVALID, message, {"allow": allowed})
