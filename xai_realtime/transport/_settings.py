"""Settings of a live line, checked. In: what a user gave. Out: the same, or ConfigurationError. Imports: rooms 0-2."""

from __future__ import annotations

import math
import re
import ssl
from typing import Final
from urllib.parse import urlsplit

from xai_realtime._version import __version__
from xai_realtime.errors import ConfigurationError
from xai_realtime.transport._http_errors import origin_of

__all__ = [
    "CONTROL",
    "OWN_HEADERS",
    "TOKEN",
    "USER_AGENT",
    "checked_address",
    "checked_proxy",
    "checked_ssl_context",
    "checked_user_agent",
    "seconds",
]

USER_AGENT: Final = f"xai-realtime/{__version__}"
PROXY_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
OWN_HEADERS: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})
"""They belong to the line and are written by whoever holds it."""


def seconds(name: str, value: object) -> float:
    """A finite number of seconds above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ConfigurationError(f"{name} is {value!r}; a finite number of seconds above 0 is allowed")
    return float(value)


def checked_proxy(proxy: object) -> str | bool | None:
    """True for the environment's, an address, or None. A refused address is not shown: it may hold a password."""
    if proxy is None or proxy is True or proxy is False:
        return True if proxy else None
    if isinstance(proxy, str):
        try:
            parts = urlsplit(proxy)
            if parts.scheme in PROXY_SCHEMES and parts.hostname and parts.port != 0:
                return proxy
        except ValueError:
            pass
    raise ConfigurationError(
        f"proxy must be True (the environment), None, or an address with a host and one of {', '.join(PROXY_SCHEMES)}"
    )


def checked_ssl_context(ssl_context: object) -> ssl.SSLContext | None:
    """An SSLContext, or None for the system's default."""
    if ssl_context is None or isinstance(ssl_context, ssl.SSLContext):
        return ssl_context
    raise ConfigurationError(f"ssl_context is a {type(ssl_context).__name__}; an SSLContext or None is allowed")


def checked_user_agent(user_agent: object) -> str | None:
    """Text without control characters, or None."""
    if user_agent is None or (isinstance(user_agent, str) and not CONTROL.search(user_agent)):
        return user_agent
    raise ConfigurationError("user_agent must be text without control characters, or None")


def checked_address(url: str, schemes: tuple[str, str]) -> bool:
    """Whether the address has the second of the schemes, the one over TLS. A refused one is shown by origin alone."""
    allowed = " or ".join(f"{scheme}://host" for scheme in schemes)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"the address cannot be read; {allowed} is allowed") from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise ConfigurationError(f"the address is at {origin_of(url)}; {allowed} is allowed")
    if "@" in parts.netloc or parts.fragment or CONTROL.search(url):
        raise ConfigurationError(
            f"the address at {origin_of(url)} holds user information, a fragment or a control character; "
            "none of them is allowed"
        )
    return parts.scheme == schemes[1]
