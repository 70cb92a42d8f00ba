"""What a secret looks like. In: names, texts, values. Out: patterns and forms to look for. Imports: stdlib."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from typing import Final
from urllib.parse import quote, quote_plus

__all__ = [
    "ANCHORS",
    "INTERNAL_KEYS",
    "KEPT_HEADERS",
    "KEPT_HEADER_PREFIX",
    "MIN_SECRET_CHARACTERS",
    "PATTERNS",
    "PLACEHOLDER",
    "SECRET_ENDINGS",
    "SECRET_KEYS",
    "SECRET_QUERY_KEYS",
    "SUBPROTOCOLS",
    "Compiled",
    "forms",
    "has_no_pattern",
    "plain_key",
]

PLACEHOLDER: Final = "[redacted]"
MIN_SECRET_CHARACTERS: Final = 8
"""A shorter value would be found all over ordinary speech; key names and patterns still cover it."""

KEPT_HEADERS: Final = frozenset(
    {
        "accept",
        "content-encoding",
        "content-type",
        "location",
        "retry-after",
        "sec-websocket-protocol",
        "www-authenticate",
        "x-grok-conv-id",
        "x-request-id",
        "x-trace-id",
    }
)
KEPT_HEADER_PREFIX: Final = "x-ratelimit-"

# Key names here are lower case and without `-`, `_` or any other mark.
SECRET_ENDINGS: Final = (
    "accesskey",
    "accesstoken",
    "apikey",
    "authorization",
    "authtoken",
    "bearertoken",
    "ephemeraltoken",
    "idtoken",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "refreshtoken",
    "secret",
    "secretkey",
    "sessiontoken",
    "setcookie",
)
SECRET_KEYS: Final = frozenset(
    {"apikeys", "auth", "bearer", "cookie", "cookies", "credential", "credentials", "secrets", "token"}
)
SECRET_QUERY_KEYS: Final = frozenset({"key", "sig", "signature"})
INTERNAL_KEYS: Final = frozenset(
    {"asrclassifier", "modeladdress", "responsepatientstarterconfig", "xvadmodelname", "xvadsettings"}
)

_WORDS: Final = (
    "(?:authorization|api[-_ ]?key|client[-_]?secret|(?:access|auth|bearer|ephemeral|id|refresh|session)[-_]?token"
    "|(?:access|private|secret)[-_]?key|password|passwd|passphrase|set-cookie)"
)
_SCHEME: Final = "(?:bearer|basic|digest)"
_TOKEN: Final = "[A-Za-z0-9._~+/=%-]"
_CONSTANT: Final = r"(?:null|none|true|false)(?![^\s\"'\\,;&{}\])])"
_WORD_ANCHORS: Final = ("authorization", "key", "secret", "token", "passw", "passphrase", "cookie")

Compiled = tuple[str, re.Pattern[str], tuple[str, ...], str]
"""Name, pattern, lower-case literals of which every match holds one, replacement."""


def _builtin(name: str, pattern: str, anchors: tuple[str, ...], replace: str = PLACEHOLDER) -> Compiled:
    return name, re.compile(pattern, re.IGNORECASE | re.ASCII), anchors, replace


SUBPROTOCOLS: Final = (
    _builtin("xai sub-protocol", rf"xai-client-secret\.(?P<secret>{_TOKEN}+)", ("xai-",)),
    _builtin("openai sub-protocol", rf"openai-insecure-api-key\.(?P<secret>{_TOKEN}+)", ("openai-",)),
)
# Only the group `secret` is replaced where there is one.
PATTERNS: Final = (
    _builtin("client secret", "xai-realtime-client-secret-[A-Za-z0-9._~+/=-]+", ("xai-",)),
    *SUBPROTOCOLS,
    _builtin("xai key", "xai-(?!realtime(?:-[a-z]+)*(?![a-z0-9_-]))[a-z0-9_-]{20,}", ("xai-",)),
    _builtin("sk key", "(?<![a-z0-9])sk-[a-z0-9_-]{16,}", ("sk-",)),
    _builtin(
        "bearer token",
        rf"bearer(?:[ \t]+|%20)(?P<secret>(?=[a-z.]*[0-9_~+/=%-]){_TOKEN}{{8,}}|[a-z.]{{24,}})",
        ("bearer",),
    ),
    _builtin("json web token", r"eyJ[a-z0-9_-]{8,}\.[a-z0-9_-]{8,}\.[a-z0-9_-]*", ("eyj",)),
    _builtin("url userinfo", r"://(?P<secret>[^\s/?#\"'<>\\]*@)", ("://",), ""),
    _builtin(
        "query value",
        rf"[?&;](?:[\w.-]*{_WORDS}|[\w.-]*secret|token|key|sig|signature|auth)="
        r"(?!\[redacted\](?:[&#;\s\"'<>\\]|\Z))(?P<secret>[^&#\s\"'<>\\]+)",
        ("=",),
    ),
    _builtin(
        "quoted secret",
        rf"(?:{_WORDS}|[\"'](?:secret|token|cookie))\\*[\"']?\s*[:=]\s*(?P<quote>\\*[\"'])"
        r"(?!\[redacted\](?:(?P=quote)|\Z))(?P<secret>(?:(?!(?P=quote)).)+)",
        _WORD_ANCHORS,
    ),
    _builtin(
        "named secret",
        rf"{_WORDS}(?: provided)?[\"'\\]*\s*[:=]\s*(?:{_SCHEME}\s+)?(?!{_SCHEME}(?:\s|\Z))(?!{_CONSTANT})"
        r"(?P<secret>[^\s\"'\\<>&,;{}\[\]()][^\s\"'\\<>&]*)",
        _WORD_ANCHORS,
    ),
    _builtin("cookie", r"cookie:\s*(?P<secret>[\w.-]+=[^\r\n\"']+)", ("cookie",)),
    _builtin(
        "provider internals",
        r"(?:model_address|xvad_model_name)\\*[\"']?\s*[:=]\s*\\*[\"']?"
        r"(?P<secret>[^\s\"'\\<>&,;{}\[\]()][^\s\"'\\<>&,;{}]*)",
        ("model_address", "xvad_model_name"),
    ),
)
ANCHORS: Final = tuple(sorted({anchor for _, _, anchors, _ in PATTERNS for anchor in anchors}))


def has_no_pattern(text: str) -> bool:
    """True when no pattern above can match, because none of the marks that they need is there.

    Base64 holds none of them but the `=` at its end, so audio is passed over quickly.
    """
    if "-" in text or " " in text or ":" in text or "." in text or "%" in text or "\t" in text:
        return False
    return "=" not in text.rstrip("=")


def plain_key(key: str) -> str:
    """A key's letters and digits in lower case: `X-Api-Key` and `x_api_key` are one name."""
    return "".join(letter for letter in key.lower() if letter.isalnum())


def forms(secret: str) -> set[str]:
    """The ways in which a secret may be written; none for a short one, and none that the placeholder holds."""
    if len(secret) < MIN_SECRET_CHARACTERS:
        return set()
    escaped = json.dumps(secret)[1:-1]
    found = {secret, escaped, json.dumps(secret, ensure_ascii=False)[1:-1], escaped.replace("/", "\\/")}
    data = secret.encode("utf-8", "surrogatepass")
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        found |= {encoded, re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)}
    for before in range(3):
        # Only the characters that depend on the secret alone, wherever it starts in the encoded bytes.
        coded = b64encode(bytes(before) + data).decode("ascii")
        inner = coded[math.ceil(before * 8 / 6) : (before + len(data)) * 8 // 6]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= MIN_SECRET_CHARACTERS and form not in PLACEHOLDER}
