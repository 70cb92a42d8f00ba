"""Addresses, and where a key may go. In: options. Out: checked addresses, headers, keys. Imports: the standard library.

A key belongs to one origin. The variable XAI_API_KEY belongs to api.x.ai and to this machine's loopback.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from xai_realtime.defaults import API_HOST
from xai_realtime.errors import ConfigurationError

__all__ = ["KEY_VARIABLE", "Address", "Key", "Query", "check_headers", "merge_headers", "socket_url", "web_url"]

KEY_VARIABLE: Final = "XAI_API_KEY"
PORTS: Final = {"https": 443, "wss": 443, "http": 80, "ws": 80}
WEB_SCHEME: Final = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
SOCKET_SCHEME: Final = {"https": "wss", "wss": "wss", "http": "ws", "ws": "ws"}
LOOPBACK: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
KEY: Final = re.compile(r"[\x21-\x7e]+")
HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Query: TypeAlias = Mapping[str, str | Sequence[str] | None]
"""Names and values of a query: a list is one name several times, None adds nothing."""


class Address:
    """An http, https, ws or wss address that was checked. Raises ConfigurationError, never showing user info."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except (ValueError, AttributeError):
            raise ConfigurationError("the address is malformed") from None
        if parts.scheme not in PORTS or not parts.hostname or port == 0:
            raise ConfigurationError(f"address scheme {parts.scheme!r}: allowed are http, https, ws, wss with a host")
        if parts.username or parts.password:
            raise ConfigurationError("an address holds no user or password: use api_key=")
        if parts.fragment or any(ord(char) <= 32 or ord(char) == 127 for char in url):
            raise ConfigurationError("an address holds no fragment, white space or control characters")
        self.url = url
        self._parts = parts
        self._port = port or PORTS[parts.scheme]

    @property
    def origin(self) -> str:
        """Scheme, host and port; wss counts as https and ws as http."""
        host = self._parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return f"{WEB_SCHEME[self._parts.scheme]}://{host}:{self._port}"

    @property
    def is_xai(self) -> bool:
        """True for api.x.ai over TLS."""
        return self.origin == f"https://{API_HOST}:443"

    @property
    def is_loopback(self) -> bool:
        """True for this machine's own addresses."""
        return LOOPBACK.fullmatch(self._parts.hostname or "") is not None

    def socket(self, path: str | None, query: Query) -> Address:
        """The ws or wss address under this one, `query` added to its own; a value of None adds nothing."""
        return self._below(SOCKET_SCHEME, path, query)

    def web(self, path: str | None, query: Query) -> Address:
        """The http or https address under this one, as `socket`."""
        return self._below(WEB_SCHEME, path, query)

    def _below(self, schemes: Mapping[str, str], path: str | None, query: Query) -> Address:
        given = {name: value for name, value in query.items() if value is not None}
        kept = [
            (name, value) for name, value in parse_qsl(self._parts.query, keep_blank_values=True) if name not in given
        ]
        full = self._parts.path if path is None else f"{self._parts.path.rstrip('/')}/{path}"
        scheme = schemes[self._parts.scheme]
        return Address(
            urlunsplit((scheme, self._parts.netloc, full, urlencode([*kept, *given.items()], doseq=True), ""))
        )

    def has(self, name: str) -> bool:
        """True when the query names it."""
        return any(key == name for key, _ in parse_qsl(self._parts.query, keep_blank_values=True))


class Key:
    """An API key that never shows. Blank is none; white space around it is dropped."""

    __slots__ = ("value",)

    def __init__(self, value: str | None) -> None:
        self.value = _checked_key(value, "api_key")

    def __repr__(self) -> str:
        return "<Key>" if self.value else "<no key>"

    def for_address(self, address: Address, base: Address, *, required: bool) -> str | None:
        """The key that may go to `address`: this one to the origin of `base`, the variable to api.x.ai and loopback.

        Raises ConfigurationError when one is required and none may go there.
        """
        if self.value is not None:
            if address.origin == base.origin:
                return self.value
            if required:
                raise ConfigurationError(
                    f"the client's key belongs to {base.origin}, not to {address.origin}: pass api_key with the call"
                )
            return None
        if not required:
            return None
        variable = _checked_key(os.environ.get(KEY_VARIABLE), KEY_VARIABLE)
        if variable is None:
            raise ConfigurationError(f"no API key was given: pass api_key, or set {KEY_VARIABLE}")
        if not (address.is_xai or address.is_loopback):
            raise ConfigurationError(
                f"{KEY_VARIABLE} belongs to {API_HOST} and to loopback, not to {address.origin}: pass api_key for it"
            )
        return variable


def _checked_key(value: str | None, name: str) -> str | None:
    if value is None or not value.strip():
        return None
    key = value.strip()
    if KEY.fullmatch(key) is None:
        raise ConfigurationError(
            f"{name} is malformed: a key is printable ASCII without white space (its value is not shown)"
        )
    return key


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, checked. Raises ConfigurationError for a bad name, a line break, or Authorization."""
    for name, value in headers.items():
        if HEADER_NAME.fullmatch(name) is None:
            raise ConfigurationError(f"header name {name[:40]!r}: letters, digits and -_.~ are allowed")
        if name.lower() == "authorization":
            raise ConfigurationError("Authorization is not set by a header: use api_key=")
        if not isinstance(value, str) or any(char in value for char in "\r\n\0"):
            raise ConfigurationError(f"header {name}: a value is text without line breaks (it is not shown)")
    return dict(headers)


def merge_headers(base: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both, `more` winning whatever the case of the names."""
    named = {name.lower() for name in more}
    return {name: value for name, value in base.items() if name.lower() not in named} | dict(more)


def socket_url(base: Address, path: str, query: Query, url: str | None) -> Address:
    """The socket address of a service: `path` under the base, or the full `url` that the call gave."""
    return base.socket(path, query) if url is None else Address(url).socket(None, query)


def web_url(base: Address, path: str, query: Query, url: str | None) -> Address:
    """The http address of a service: `path` under the base, or the full `url` that the call gave."""
    return base.web(path, query) if url is None else Address(url).web(None, query)
