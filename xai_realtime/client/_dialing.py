"""What every service needs to be reached: an address, headers and the key where it belongs. In: options. Out: requests.

Imports: rooms 0-4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xai_realtime.address import Address, Key, Query, check_headers, merge_headers, socket_url, web_url
from xai_realtime.errors import ConfigurationError
from xai_realtime.transport.base import ChannelRequest, Transport

if TYPE_CHECKING:
    from xai_realtime.models import Provider

__all__ = ["Dialing"]


class Dialing:
    """The base address, the key, the headers and the transport of one client.

    Raises ConfigurationError for a malformed key, address or header.
    """

    def __init__(self, base_url: str, api_key: str | None, headers: Mapping[str, str], transport: Transport) -> None:
        self.base = Address(base_url)
        self._key = Key(api_key)
        self._headers = check_headers(headers)
        self.transport = transport

    def socket(
        self,
        path: str,
        service: str,
        query: Query,
        *,
        url: str | None,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        subprotocols: Sequence[str] = (),
    ) -> ChannelRequest:
        """What one service asks for at its handshake, the key included where it belongs."""
        address = socket_url(self.base, path, query, url)
        return ChannelRequest(address.url, service, self._named(address, api_key, headers), tuple(subprotocols))

    def web(
        self,
        path: str,
        query: Query,
        *,
        url: str | None,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        provider: Provider | None = None,
    ) -> tuple[str, dict[str, str]]:
        """The address and the headers of one HTTP request, the key included where it belongs.

        A `provider` that is not built in has an address and a key of its own.
        """
        other = None if provider is None or provider.is_built_in else provider
        base = self.base if other is None else Address(other.base_url)
        address = web_url(base, path, query, url)
        return address.url, self._named(address, api_key, headers, other)

    def _named(
        self,
        address: Address,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        provider: Provider | None = None,
    ) -> dict[str, str]:
        named = merge_headers(self._headers, check_headers(headers or {}))
        is_required = self.transport.needs_key
        secret = Key(api_key).value
        if secret is None:
            secret = self._key.for_address(address, self.base, required=is_required and provider is None)
        if secret is None and provider is not None:
            from xai_realtime.models import provider_key

            secret = provider_key(provider, address)
            if secret is None and is_required:
                variable = f", or set {provider.key_variable}" if provider.key_variable else ""
                raise ConfigurationError(f"no API key was given for provider {provider.name}: pass api_key{variable}")
        if secret is not None:
            named["Authorization"] = f"Bearer {secret}"
        return named
